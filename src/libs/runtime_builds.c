/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Reads the table of builds. Its names become parts of paths and arguments of programs, and the table may be
 * another one than ours: a row that is not what it should be makes the whole table unusable. */
#include "libs/runtime_builds.h"
#include "common/paths.h"

#include <json-glib/json-glib.h>
#include <stddef.h>
#include <string.h>
#include <sys/utsname.h>

#define DIGEST 64 /* hex digits */
#define MAX_TABLE ((gsize)1 << 20)
#define PROVIDER_ENDING "ExecutionProvider"

/* What a text may consist of. */
typedef enum _kind_t
{
  KIND_WORD, /* letters, digits and "._-", not "." or '-' in front */
  KIND_WORD_OR_NOTHING,
  KIND_DIGEST,
  KIND_TEXT,
} _kind_t;

static const struct
{
  const char *key;
  size_t offset;
  _kind_t kind;
} _fields[] = {
  { "name", offsetof(dt_runtime_build_t, name), KIND_WORD },
  { "ep", offsetof(dt_runtime_build_t, ep), KIND_WORD },
  { "provider", offsetof(dt_runtime_build_t, provider), KIND_WORD },
  { "provider_library", offsetof(dt_runtime_build_t, provider_library), KIND_WORD },
  { "gpu", offsetof(dt_runtime_build_t, gpu), KIND_WORD },
  { "machine", offsetof(dt_runtime_build_t, machine), KIND_WORD },
  { "client", offsetof(dt_runtime_build_t, client), KIND_WORD },
  { "package", offsetof(dt_runtime_build_t, package), KIND_WORD },
  { "version", offsetof(dt_runtime_build_t, version), KIND_WORD },
  { "platform", offsetof(dt_runtime_build_t, platform), KIND_WORD_OR_NOTHING },
  { "python", offsetof(dt_runtime_build_t, python), KIND_WORD_OR_NOTHING },
  { "abi", offsetof(dt_runtime_build_t, abi), KIND_WORD_OR_NOTHING },
  { "sha256", offsetof(dt_runtime_build_t, sha256), KIND_DIGEST },
  { "license", offsetof(dt_runtime_build_t, license), KIND_TEXT },
};

static char **_field(dt_runtime_build_t *build, size_t i)
{
  return (char **)((char *)build + _fields[i].offset);
}

static void _free_build(gpointer data)
{
  dt_runtime_build_t *build = data;
  for(size_t i = 0; i < G_N_ELEMENTS(_fields); i++) g_free(*_field(build, i));
  g_strfreev(build->members);
  g_strfreev(build->needs);
  g_free(build);
}

static gboolean _consists_of(const char *text, const char *others)
{
  for(; *text; text++)
    if(!g_ascii_isalnum(*text) && !strchr(others, *text)) return FALSE;
  return TRUE;
}

static gboolean _is_fine(const char *text, _kind_t kind)
{
  switch(kind)
  {
  case KIND_WORD: return g_ascii_isalnum(text[0]) && _consists_of(text, "._-");
  case KIND_WORD_OR_NOTHING: return !*text || _is_fine(text, KIND_WORD);
  case KIND_DIGEST: return strlen(text) == DIGEST && strspn(text, "0123456789abcdef") == DIGEST;
  case KIND_TEXT: return _consists_of(text, " ._-+,()");
  }
  return FALSE;
}

static const char *_string(JsonObject *row, const char *key)
{
  JsonNode *node = json_object_get_member(row, key);
  return node && json_node_get_value_type(node) == G_TYPE_STRING ? json_node_get_string(node) : "";
}

static guint64 _size(JsonObject *row, const char *key)
{
  JsonNode *node = json_object_get_member(row, key);
  const gboolean is_number = node && json_node_get_value_type(node) == G_TYPE_INT64;
  return is_number && json_node_get_int(node) > 0 ? (guint64)json_node_get_int(node) : 0;
}

/* What is no text becomes "", which no list wants. */
static char **_list(JsonObject *row, const char *key)
{
  JsonNode *node = json_object_get_member(row, key);
  GPtrArray *list = g_ptr_array_new();
  JsonArray *array = node && JSON_NODE_HOLDS_ARRAY(node) ? json_node_get_array(node) : NULL;
  for(guint i = 0; array && i < json_array_get_length(array); i++)
  {
    JsonNode *item = json_array_get_element(array, i);
    const gboolean is_string = json_node_get_value_type(item) == G_TYPE_STRING;
    g_ptr_array_add(list, g_strdup(is_string ? json_node_get_string(item) : ""));
  }
  g_ptr_array_add(list, NULL);
  return (char **)g_ptr_array_free(list, FALSE);
}

static gboolean _lists_are_fine(const dt_runtime_build_t *build)
{
  for(char **member = build->members; *member; member++)
    if(!**member || !_consists_of(*member, "._-/*")) return FALSE;
  for(char **soname = build->needs; *soname; soname++)
    if(!_is_fine(*soname, KIND_WORD)) return FALSE;
  return build->members[0] != NULL;
}

/* The key of the first thing that is wrong with the row, or NULL. */
static const char *_read_row(JsonObject *row, dt_runtime_build_t *build)
{
  const char *wrong = NULL;
  for(size_t i = 0; i < G_N_ELEMENTS(_fields); i++)
  {
    *_field(build, i) = g_strdup(_string(row, _fields[i].key));
    if(!_is_fine(*_field(build, i), _fields[i].kind)) wrong = _fields[i].key;
  }
  if(g_str_has_suffix(build->provider, PROVIDER_ENDING))
    build->provider[strlen(build->provider) - strlen(PROVIDER_ENDING)] = '\0';
  build->size = _size(row, "size");
  build->unpacked = _size(row, "unpacked");
  build->members = _list(row, "members");
  build->needs = _list(row, "needs");
  if(!_lists_are_fine(build)) wrong = "members or needs";
  if(!build->size || !build->unpacked) wrong = "size or unpacked";
  return wrong;
}

static gboolean _refuse_table(const char *path, const char *why, GError **error)
{
  g_set_error(error, DT_AI_ERROR, DT_AI_ERROR_FAILED,
              "%s is no usable table of builds: %s. Install darktable-ai again, or correct DT_ORT_GPU_TABLE.",
              path, why);
  return FALSE;
}

static gboolean _add_row(GPtrArray *builds, JsonNode *node, const char *machine, const char *path,
                         GError **error)
{
  if(!JSON_NODE_HOLDS_OBJECT(node)) return _refuse_table(path, "a build is no object", error);
  dt_runtime_build_t *build = g_new0(dt_runtime_build_t, 1);
  const char *wrong = _read_row(json_node_get_object(node), build);
  if(wrong)
  {
    char *why = g_strdup_printf("a build has no proper %s", wrong);
    _free_build(build);
    _refuse_table(path, why, error);
    g_free(why);
    return FALSE;
  }
  if(strcmp(build->machine, machine) == 0)
    g_ptr_array_add(builds, build);
  else
    _free_build(build);
  return TRUE;
}

static gboolean _read_rows(GPtrArray *builds, JsonNode *root, const char *path, GError **error)
{
  JsonNode *rows = root && JSON_NODE_HOLDS_OBJECT(root)
                       ? json_object_get_member(json_node_get_object(root), "builds")
                       : NULL;
  if(!rows || !JSON_NODE_HOLDS_ARRAY(rows)) return _refuse_table(path, "it has no list of builds", error);
  struct utsname system;
  if(uname(&system) != 0) return _refuse_table(path, "the system does not tell what machine it is", error);
  JsonArray *array = json_node_get_array(rows);
  for(guint i = 0; i < json_array_get_length(array); i++)
    if(!_add_row(builds, json_array_get_element(array, i), system.machine, path, error)) return FALSE;
  return TRUE;
}

static gboolean _read_table(GPtrArray *builds, const char *path, GError **error)
{
  char *text = NULL;
  gsize length = 0;
  GError *cause = NULL;
  if(!g_file_get_contents(path, &text, &length, &cause))
  {
    _refuse_table(path, cause->message, error);
    g_error_free(cause);
    return FALSE;
  }
  JsonNode *root = length < MAX_TABLE ? json_from_string(text, NULL) : NULL;
  const gboolean ok = _read_rows(builds, root, path, error);
  g_clear_pointer(&root, json_node_unref);
  g_free(text);
  return ok;
}

GPtrArray *dt_runtime_builds(GError **error)
{
  const char *other = g_getenv("DT_ORT_GPU_TABLE");
  char *path = other && *other ? g_strdup(other) : dt_paths_bundled("ort_gpu.json");
  GPtrArray *builds = g_ptr_array_new_with_free_func(_free_build);
  const gboolean ok = path ? _read_table(builds, path, error)
                           : _refuse_table("data/ort_gpu.json", "it is not beside the program", error);
  g_free(path);
  if(!ok) g_clear_pointer(&builds, g_ptr_array_unref);
  return builds;
}

const dt_runtime_build_t *dt_runtime_builds_find(const GPtrArray *builds, const char *name)
{
  for(guint i = 0; i < builds->len; i++)
  {
    const dt_runtime_build_t *build = g_ptr_array_index(builds, i);
    if(strcmp(build->name, name) == 0) return build;
  }
  return NULL;
}

char *dt_runtime_builds_names(const GPtrArray *builds)
{
  GString *names = g_string_new(NULL);
  for(guint i = 0; i < builds->len; i++)
  {
    const dt_runtime_build_t *build = g_ptr_array_index(builds, i);
    g_string_append_printf(names, "%s%s", i ? ", " : "", build->name);
  }
  return g_string_free(names, FALSE);
}
