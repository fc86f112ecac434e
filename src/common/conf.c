/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Settings. Three layers of key=value (darktablerc, darktable-airc, overrides) over a table of
 * defaults; the user's file is rewritten line by line so that nothing a person wrote gets lost. */
#include "common/conf.h"
#include "common/paths.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

static const struct
{
  const char *key, *value;
} _defaults[] = {
  { DT_CONF_AI_ENABLED, "FALSE" },
  { DT_CONF_AI_PROVIDER, "auto" },
  { DT_CONF_AI_ORT_LIBRARY, "" },
  { DT_CONF_AI_REPOSITORY, "darktable-org/darktable-ai" },
  { DT_CONF_AI_STALL_SECONDS, "30" },
  { DT_CONF_AI_MEMORY, "" },
  { DT_CONF_AI_CACHE_LIMIT, "4G" },
  { DT_CONF_AI_MASK_CACHE_LIMIT, "1G" },
  { DT_CONF_THUMBNAIL_CACHE_LIMIT, "1G" },
  { "plugins/ai/cuda_device_id", "0" },
  { "plugins/ai/migraphx_device_id", "0" },
  { DT_CONF_AI_OPENVINO_DEVICE, "CPU" },
  { "plugins/ai/dml_device_id", "0" },
  { DT_CONF_AI_WEBGPU_ADAPTER, "high-performance" },
  { DT_CONF_AI_GPU_MEMORY, "" },
  { DT_CONF_AI_PROBE_SECONDS, "60" },
  { DT_CONF_AI_LONG_JOB_SECONDS, "20" },
  { DT_CONF_OPENCL, "TRUE" },
  { DT_CONF_OPENCL_PRIORITY, "*/!0,*/*/*" },
  { DT_CONF_OPENCL_PROFILE, "default" },
  { DT_CONF_OPENCL_TIMEOUT, "400" },
  { DT_CONF_OPENCL_CPU_DEVICES, "FALSE" },
  { DT_CONF_OPENCL_LIBRARY, "" },
  { DT_CONF_OPENCL_HANG_SECONDS, "30" },
};

static pthread_mutex_t _lock = PTHREAD_MUTEX_INITIALIZER;
/* One table per layer; NULL until first use. Overrides survive a reload. */
static GHashTable *_darktablerc, *_airc, *_overrides;

static GHashTable *_new_table(void)
{
  return g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
}

/* Splits one line into key and value; FALSE for comments, blank and malformed lines. */
static gboolean _split_line(const char *line, char **key, char **value)
{
  const char *equals = strchr(line, '=');
  if(!equals || equals == line || line[0] == '#') return FALSE;
  *key = g_strstrip(g_strndup(line, (gsize)(equals - line)));
  *value = g_strchomp(g_strdup(equals + 1));
  return TRUE;
}

static GHashTable *_read_file(const char *name)
{
  GHashTable *table = _new_table();
  char *dir = dt_paths_get(DT_DIR_CONFIG);
  char *path = g_build_filename(dir, name, NULL);
  char *text = NULL;
  if(g_file_get_contents(path, &text, NULL, NULL))
  {
    char **lines = g_strsplit(text, "\n", -1);
    for(char **line = lines; *line; line++)
    {
      char *key, *value;
      if(_split_line(*line, &key, &value)) g_hash_table_replace(table, key, value);
    }
    g_strfreev(lines);
  }
  g_free(text);
  g_free(path);
  g_free(dir);
  return table;
}

/* with _lock held */
static void _load_once(void)
{
  if(!_overrides) _overrides = _new_table();
  if(!_darktablerc) _darktablerc = _read_file("darktablerc");
  if(!_airc) _airc = _read_file("darktable-airc");
}

void dt_conf_reload(void)
{
  pthread_mutex_lock(&_lock);
  g_clear_pointer(&_darktablerc, g_hash_table_unref);
  g_clear_pointer(&_airc, g_hash_table_unref);
  pthread_mutex_unlock(&_lock);
}

const char *dt_conf_default(const char *key)
{
  for(size_t i = 0; i < G_N_ELEMENTS(_defaults); i++)
    if(strcmp(key, _defaults[i].key) == 0) return _defaults[i].value;
  return NULL;
}

/* with _lock held: the value in force (borrowed) and where it comes from */
static const char *_look_up(const char *key, dt_conf_origin_t *origin)
{
  GHashTable *layers[] = { _overrides, _airc, _darktablerc };
  const dt_conf_origin_t origins[] = { DT_CONF_OVERRIDE, DT_CONF_AIRC, DT_CONF_DARKTABLERC };
  for(size_t i = 0; i < G_N_ELEMENTS(layers); i++)
  {
    const char *value = g_hash_table_lookup(layers[i], key);
    *origin = origins[i];
    if(value) return value;
  }
  const char *value = dt_conf_default(key);
  *origin = value ? DT_CONF_DEFAULT : DT_CONF_UNSET;
  return value;
}

char *dt_conf_get_string(const char *key)
{
  dt_conf_origin_t origin;
  pthread_mutex_lock(&_lock);
  _load_once();
  char *value = g_strdup(_look_up(key, &origin));
  pthread_mutex_unlock(&_lock);
  return value;
}

dt_conf_origin_t dt_conf_get_origin(const char *key)
{
  dt_conf_origin_t origin;
  pthread_mutex_lock(&_lock);
  _load_once();
  _look_up(key, &origin);
  pthread_mutex_unlock(&_lock);
  return origin;
}

gboolean dt_conf_get_bool(const char *key)
{
  static const char *const words[] = { "TRUE", "1", "yes", "on" };
  char *value = dt_conf_get_string(key);
  gboolean result = FALSE;
  for(size_t i = 0; value && i < G_N_ELEMENTS(words); i++) result |= g_ascii_strcasecmp(value, words[i]) == 0;
  g_free(value);
  return result;
}

gint64 dt_conf_get_int(const char *key, gint64 fallback)
{
  char *value = dt_conf_get_string(key);
  gint64 number;
  if(!value || !g_ascii_string_to_signed(value, 10, G_MININT64, G_MAXINT64, &number, NULL)) number = fallback;
  g_free(value);
  return number;
}

void dt_conf_override(const char *key, const char *value)
{
  pthread_mutex_lock(&_lock);
  _load_once();
  g_hash_table_replace(_overrides, g_strdup(key), g_strdup(value));
  pthread_mutex_unlock(&_lock);
}

/* The text of the file with @p key set to @p value, or removed when NULL; other lines untouched. */
static char *_edit_text(const char *text, const char *key, const char *value)
{
  GString *out = g_string_new(NULL);
  gboolean done = FALSE;
  char **lines = g_strsplit(text, "\n", -1);
  for(char **line = lines; *line; line++)
  {
    char *k = NULL, *v = NULL;
    const gboolean ours = _split_line(*line, &k, &v) && strcmp(k, key) == 0;
    g_free(k);
    g_free(v);
    if(!ours && (**line || line[1])) g_string_append_printf(out, "%s\n", *line);
    if(ours && value && !done) g_string_append_printf(out, "%s=%s\n", key, value);
    done |= ours;
  }
  g_strfreev(lines);
  if(value && !done) g_string_append_printf(out, "%s=%s\n", key, value);
  return g_string_free(out, FALSE);
}

/* Two programs may set different keys at once: the file is read, edited and replaced under one
 * lock file. */
static int _lock_file(const char *dir, GError **error)
{
  char *path = g_build_filename(dir, ".darktable-airc.lock", NULL);
  const int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if(fd < 0 || flock(fd, LOCK_EX) != 0)
  {
    g_set_error(error, DT_AI_ERROR, DT_AI_ERROR_OUTPUT,
                "The settings cannot be locked: %s: %s. Make the configuration directory writable, "
                "or choose another with --configdir.",
                path, g_strerror(errno));
    if(fd >= 0) close(fd);
    g_free(path);
    return -1;
  }
  g_free(path);
  return fd;
}

static gboolean _replace_file(const char *dir, const char *key, const char *value, GError **error)
{
  char *path = g_build_filename(dir, "darktable-airc", NULL);
  char *old = NULL, *text = NULL;
  GError *cause = NULL;
  /* only a file that is not there is empty: one that cannot be read would lose what it holds */
  gboolean ok = g_file_get_contents(path, &old, NULL, &cause)
                || g_error_matches(cause, G_FILE_ERROR, G_FILE_ERROR_NOENT);
  if(ok)
  {
    g_clear_error(&cause);
    text = _edit_text(old ? old : "", key, value);
    ok = g_file_set_contents_full(path, text, -1,
                                  G_FILE_SET_CONTENTS_CONSISTENT | G_FILE_SET_CONTENTS_DURABLE, 0600, &cause);
  }
  if(!ok)
    g_set_error(error, DT_AI_ERROR, DT_AI_ERROR_OUTPUT,
                "The settings cannot be saved: %s. Make the configuration directory writable, or "
                "choose another with --configdir.",
                cause->message);
  g_clear_error(&cause);
  g_free(text);
  g_free(old);
  g_free(path);
  return ok;
}

/* Whether @p key still has the value @p expected (NULL: none), asked again of the files. */
static gboolean _is_still(const char *key, const char *expected)
{
  dt_conf_origin_t origin;
  dt_conf_reload();
  pthread_mutex_lock(&_lock);
  _load_once();
  const gboolean same = g_strcmp0(_look_up(key, &origin), expected) == 0;
  pthread_mutex_unlock(&_lock);
  return same;
}

/* With @p expected the value is stored only if the present one is that. */
static gboolean _store(const char *key, const char *const *expected, const char *value, GError **error)
{
  char *dir = dt_paths_get(DT_DIR_CONFIG);
  gboolean ok = g_mkdir_with_parents(dir, 0700) == 0;
  if(!ok)
    g_set_error(error, DT_AI_ERROR, DT_AI_ERROR_OUTPUT,
                "The configuration directory %s cannot be created: %s. Choose another with "
                "--configdir.",
                dir, g_strerror(errno));
  const int fd = ok ? _lock_file(dir, error) : -1;
  const gboolean wanted = fd < 0 || !expected || _is_still(key, *expected);
  ok = fd >= 0 && (!wanted || _replace_file(dir, key, value, error));
  if(fd >= 0) close(fd);
  g_free(dir);
  dt_conf_reload();
  return ok;
}

static gboolean _check_pair(const char *key, const char *value, GError **error)
{
  const size_t n = strlen(key);
  if(n && *key != '#' && !g_ascii_isspace(key[0]) && !g_ascii_isspace(key[n - 1]) && !strpbrk(key, "=\n\r")
     && !strpbrk(value, "\n\r"))
    return TRUE;
  g_set_error(error, DT_AI_ERROR, DT_AI_ERROR_USAGE,
              "\"%s\" cannot be a setting's name or value: neither may contain line breaks, and a "
              "name is not empty, has no '=' and neither starts with '#' nor starts or ends with a space.",
              key);
  return FALSE;
}

gboolean dt_conf_set(const char *key, const char *value, GError **error)
{
  if(!_check_pair(key, value, error)) return FALSE;
  /* a default is not written out, unless it has to win over a darktablerc that says otherwise */
  dt_conf_reload();
  pthread_mutex_lock(&_lock);
  _load_once();
  const char *below = g_hash_table_lookup(_darktablerc, key);
  if(!below) below = dt_conf_default(key);
  const gboolean same = below && strcmp(below, value) == 0;
  pthread_mutex_unlock(&_lock);
  return _store(key, NULL, same ? NULL : value, error);
}

gboolean dt_conf_set_instead(const char *key, const char *expected, const char *value, GError **error)
{
  return _check_pair(key, value, error) && _store(key, &expected, value, error);
}

gboolean dt_conf_reset(const char *key, GError **error)
{
  return _check_pair(key, "", error) && _store(key, NULL, NULL, error);
}

static void _collect_keys(GHashTable *from, GHashTable *into)
{
  GHashTableIter iter;
  gpointer key;
  g_hash_table_iter_init(&iter, from);
  while(g_hash_table_iter_next(&iter, &key, NULL))
    if(g_str_has_prefix(key, "plugins/ai/") || g_str_has_prefix(key, "opencl"))
      g_hash_table_add(into, g_strdup(key));
}

static int _compare_keys(gconstpointer a, gconstpointer b)
{
  return strcmp(*(const char *const *)a, *(const char *const *)b);
}

char **dt_conf_list(void)
{
  GHashTable *set = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
  pthread_mutex_lock(&_lock);
  _load_once();
  for(size_t i = 0; i < G_N_ELEMENTS(_defaults); i++) g_hash_table_add(set, g_strdup(_defaults[i].key));
  _collect_keys(_darktablerc, set);
  _collect_keys(_airc, set);
  _collect_keys(_overrides, set);
  pthread_mutex_unlock(&_lock);
  guint n;
  char **keys = (char **)g_hash_table_get_keys_as_array(set, &n);
  qsort(keys, n, sizeof *keys, _compare_keys);
  g_hash_table_steal_all(set); /* the keys are the caller's now */
  g_hash_table_unref(set);
  return keys;
}

guint64 dt_conf_parse_size(const char *text)
{
  char *end;
  const double number = g_ascii_strtod(text, &end);
  if(end == text || !(number > 0)) return 0;
  static const char units[] = "KMGT";
  const char *unit = *end ? strchr(units, g_ascii_toupper(*end)) : NULL;
  if(unit)
  {
    end++;
    if(g_ascii_strcasecmp(end, "iB") == 0 || g_ascii_strcasecmp(end, "B") == 0) end += strlen(end);
  }
  const double bytes = number * (unit ? (double)(1ULL << (10 * (unit - units + 1))) : 1.0);
  return *end || bytes >= 1e18 ? 0 : (guint64)bytes;
}
