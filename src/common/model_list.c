/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Scans the directories of models. A list is built by one thread and never changed afterwards. */
#include "common/model_list.h"
#include "common/conf.h"
#include "common/log.h"
#include "common/model_catalogue.h"
#include "common/paths.h"

#include <pthread.h>
#include <string.h>

int dt_model_compare_versions(const char *a, const char *b)
{
  while(*a || *b)
  {
    char *a_end, *b_end;
    const guint64 na = g_ascii_strtoull(a, &a_end, 10), nb = g_ascii_strtoull(b, &b_end, 10);
    if(na != nb) return na < nb ? -1 : 1;
    a = strchr(a_end, '.');
    b = strchr(b_end, '.');
    a = a ? a + 1 : "";
    b = b ? b + 1 : "";
  }
  return 0;
}

/* --- one scan --- */

static void _free_model(gpointer data)
{
  dt_model_t *model = data;
  dt_manifest_unref(model->manifest);
  g_free(model);
}

static void _clear_list(gpointer data)
{
  dt_model_list_t *list = data;
  g_ptr_array_unref(list->models);
  g_ptr_array_unref(list->problems);
  g_ptr_array_unref(list->waiting);
}

static dt_model_t *_find(const dt_model_list_t *list, const char *id)
{
  for(guint i = 0; i < list->models->len; i++)
  {
    dt_model_t *model = g_ptr_array_index(list->models, i);
    if(strcmp(model->manifest->id, id) == 0) return model;
  }
  return NULL;
}

static gboolean _is_named_like_its_id(const dt_manifest_t *m)
{
  char *folder = g_path_get_basename(m->directory);
  const gboolean same = strcmp(folder, m->id) == 0;
  g_free(folder);
  return same;
}

static void _report(dt_model_list_t *list, const char *format, ...) G_GNUC_PRINTF(2, 3);
static void _report(dt_model_list_t *list, const char *format, ...)
{
  va_list args;
  va_start(args, format);
  char *text = g_strdup_vprintf(format, args);
  va_end(args);
  dt_log(DT_LOG_AI, "skipped: %s", text);
  g_ptr_array_add(list->problems, text);
}

static gboolean _are_neighbours(const dt_manifest_t *a, const dt_manifest_t *b)
{
  char *of_a = g_path_get_dirname(a->directory), *of_b = g_path_get_dirname(b->directory);
  const gboolean same = strcmp(of_a, of_b) == 0;
  g_free(of_a);
  g_free(of_b);
  return same;
}

/* Two models with one id: the earlier directory wins, and in one directory the folder that bears the id. */
static void _add_twin(dt_model_list_t *list, dt_model_t *twin, dt_manifest_t *m, dt_model_origin_t origin)
{
  const gboolean same_place = _are_neighbours(twin->manifest, m);
  if(same_place && _is_named_like_its_id(m))
  {
    dt_manifest_t *other = twin->manifest;
    twin->manifest = m;
    m = other;
  }
  if(same_place)
    _report(
        list,
        "%s: this model has the id of the one in %s, so it is not used. Move it away, or give it an id of "
        "its own.",
        m->directory, twin->manifest->directory);
  else if(origin == DT_MODEL_BUNDLED && dt_model_compare_versions(twin->manifest->version, m->version) < 0)
    _report(list,
            "%s: this is version %s and hides %s, which came with the program. Remove it with: darktable-ai "
            "models remove %s",
            twin->manifest->directory, twin->manifest->version, m->version, m->id);
  /* the user's own copy of a bundled model takes its place */
  twin->is_default |= origin == DT_MODEL_BUNDLED;
  dt_log(DT_LOG_AI, "skipping duplicate model ID %s in %s", m->id, m->directory);
  dt_manifest_unref(m);
}

static void _add_model(dt_model_list_t *list, const char *directory, dt_model_origin_t origin)
{
  GError *reason = NULL;
  dt_manifest_t *m = dt_manifest_read(directory, &reason);
  dt_model_t *twin = m ? _find(list, m->id) : NULL;
  if(!m)
  {
    _report(list, "%s", reason->message);
    g_error_free(reason);
  }
  else if(twin)
    _add_twin(list, twin, m, origin);
  else
  {
    dt_log(DT_LOG_AI, "discovered: %s (%s, backend=%s)", m->name, m->id, m->backend);
    const dt_model_t model = { m, origin, origin == DT_MODEL_BUNDLED };
    g_ptr_array_add(list->models, g_memdup2(&model, sizeof model));
  }
}

static int _compare_names(gconstpointer a, gconstpointer b)
{
  return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* What is in a directory, sorted; hidden names are somebody's work in progress. */
static GPtrArray *_read_names(const char *path)
{
  GPtrArray *names = g_ptr_array_new_with_free_func(g_free);
  GDir *dir = path && *path ? g_dir_open(path, 0, NULL) : NULL;
  if(!dir) return names;
  for(const char *name; (name = g_dir_read_name(dir));)
    if(name[0] != '.') g_ptr_array_add(names, g_strdup(name));
  g_dir_close(dir);
  g_ptr_array_sort(names, _compare_names);
  return names;
}

static void _scan_directory(dt_model_list_t *list, const char *path, dt_model_origin_t origin)
{
  GPtrArray *names = _read_names(path);
  for(guint i = 0; i < names->len; i++)
  {
    const char *name = g_ptr_array_index(names, i);
    char *entry = g_build_filename(path, name, NULL);
    char *config = g_build_filename(entry, "config.json", NULL);
    if(g_file_test(config, G_FILE_TEST_EXISTS))
      _add_model(list, entry, origin);
    else if(origin == DT_MODEL_USER && g_str_has_suffix(name, ".dtmodel"))
      g_ptr_array_add(list->waiting, g_strdup(entry));
    g_free(config);
    g_free(entry);
  }
  g_ptr_array_unref(names);
}

/* The catalogue recommends one model per task, unless one came with the program. */
static void _mark_defaults(dt_model_list_t *list)
{
  GPtrArray *catalogue = dt_catalogue_read();
  for(guint i = 0; i < list->models->len; i++)
  {
    dt_model_t *model = g_ptr_array_index(list->models, i);
    const dt_catalogue_entry_t *entry = dt_catalogue_find(catalogue, model->manifest->id);
    model->is_default |= entry && entry->is_default;
  }
  g_ptr_array_unref(catalogue);
}

char *dt_model_list_user_dir(void)
{
  char *base = dt_paths_get(DT_DIR_CONFIG);
  char *models = g_build_filename(base, "models", NULL);
  g_free(base);
  return models;
}

static void _scan_all(dt_model_list_t *list, const char *search_paths)
{
  char **paths = g_strsplit(search_paths ? search_paths : "", ";", -1);
  for(char **path = paths; *path; path++) _scan_directory(list, g_strstrip(*path), DT_MODEL_CUSTOM);
  g_strfreev(paths);
  char *data = dt_paths_get(DT_DIR_DATA);
  char *user = dt_model_list_user_dir(), *darktable = g_build_filename(data, "models", NULL);
  char *bundled = dt_paths_bundled("models");
  _scan_directory(list, user, DT_MODEL_USER);
  _scan_directory(list, darktable, DT_MODEL_DARKTABLE);
  _scan_directory(list, bundled, DT_MODEL_BUNDLED);
  g_free(bundled);
  g_free(darktable);
  g_free(user);
  g_free(data);
}

dt_model_list_t *dt_model_list_scan(const char *search_paths)
{
  dt_model_list_t *list = g_atomic_rc_box_new0(dt_model_list_t);
  list->models = g_ptr_array_new_with_free_func(_free_model);
  list->problems = g_ptr_array_new_with_free_func(g_free);
  list->waiting = g_ptr_array_new_with_free_func(g_free);
  _scan_all(list, search_paths);
  _mark_defaults(list);
  dt_log(DT_LOG_AI, "found %u models", list->models->len);
  return list;
}

dt_model_list_t *dt_model_list_ref(dt_model_list_t *list)
{
  return g_atomic_rc_box_acquire(list);
}

void dt_model_list_unref(dt_model_list_t *list)
{
  if(list) g_atomic_rc_box_release_full(list, _clear_list);
}

/* --- questions --- */

const dt_model_t *dt_model_list_find(const dt_model_list_t *list, const char *id)
{
  return _find(list, id);
}

/* Bundled before recommended before the first found. */
static const dt_model_t *_default_for_task(const dt_model_list_t *list, const char *task)
{
  const dt_model_t *best = NULL;
  int best_rank = 3;
  for(guint i = 0; i < list->models->len; i++)
  {
    const dt_model_t *model = g_ptr_array_index(list->models, i);
    const int rank = model->origin == DT_MODEL_BUNDLED ? 0 : model->is_default ? 1 : 2;
    if(strcmp(model->manifest->task, task) != 0 || rank >= best_rank) continue;
    best = model;
    best_rank = rank;
  }
  return best;
}

static void _explain_none(const dt_model_list_t *list, const char *task, const char *id, GError **error)
{
  const dt_model_t *any = _default_for_task(list, task);
  if(id && *id)
    g_set_error(
        error, DT_AI_ERROR, DT_AI_ERROR_NO_MODEL,
        "The active model for %s, \"%s\", is not installed. Get it with: darktable-ai models download "
        "%s; or choose another with: darktable-ai models activate ID",
        task, id, id);
  else if(any)
    g_set_error(error, DT_AI_ERROR, DT_AI_ERROR_NO_MODEL,
                "Models for %s are installed, but none is active. Activate one with: darktable-ai models "
                "activate %s",
                task, any->manifest->id);
  else
    g_set_error(error, DT_AI_ERROR, DT_AI_ERROR_NO_MODEL,
                "No model for %s is installed. Get the recommended ones with: darktable-ai models download "
                "--default; or install a package with: darktable-ai models install FILE.dtmodel",
                task);
}

const dt_model_t *dt_model_list_active(const dt_model_list_t *list, const char *task, GError **error)
{
  char *key = g_strconcat(DT_CONF_AI_ACTIVE_MODEL, task, NULL);
  char *id = dt_conf_get_string(key);
  const dt_model_t *model = id ? _find(list, id) : _default_for_task(list, task);
  if(model && strcmp(model->manifest->task, task) != 0) model = NULL;
  if(!model) _explain_none(list, task, id, error);
  g_free(id);
  g_free(key);
  return model;
}

/* --- packages that were dropped --- */

static pthread_mutex_t _lock = PTHREAD_MUTEX_INITIALIZER; /* of the two below, and while unpacking */
static void (*_unpack)(GPtrArray *problems, gpointer user_data);
static gpointer _unpack_data;

void dt_model_list_set_unpacker(void (*unpack)(GPtrArray *problems, gpointer user_data), gpointer user_data)
{
  pthread_mutex_lock(&_lock);
  _unpack = unpack;
  _unpack_data = user_data;
  pthread_mutex_unlock(&_lock);
}

void dt_model_list_unset_unpacker(gpointer user_data)
{
  pthread_mutex_lock(&_lock);
  if(_unpack_data == user_data) _unpack = NULL;
  pthread_mutex_unlock(&_lock);
}

void dt_model_list_unpack_waiting(GPtrArray *problems)
{
  pthread_mutex_lock(&_lock);
  if(_unpack) _unpack(problems, _unpack_data);
  pthread_mutex_unlock(&_lock);
}
