/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Reads config.json. Every value is checked for its JSON type before it is used: a manifest is
 * somebody else's file. */
#include "common/manifest.h"

#include <json-glib/json-glib.h>
#include <string.h>

/* far beyond any real manifest, far below what would hurt */
#define MAX_MANIFEST_BYTES (1 << 20)

gboolean dt_manifest_id_is_safe(const char *id)
{
  const size_t n = strlen(id);
  if(n == 0 || n > 255 || strcmp(id, ".") == 0 || strcmp(id, "..") == 0) return FALSE;
  for(const char *c = id; *c; c++)
    if(*c == '/' || *c == '\\' || g_ascii_iscntrl(*c)) return FALSE;
  return g_utf8_validate(id, -1, NULL);
}

static gboolean _refuse(GError **error, const char *path, const char *why)
{
  g_set_error(error, DT_AI_ERROR, DT_AI_ERROR_NO_MODEL,
              "%s: %s. Install the model again, or correct its config.json.", path, why);
  return FALSE;
}

/* json-glib recurses; a manifest that nests deeper than this is an attack, not a manifest */
static gboolean _nests_too_deep(const char *text)
{
  int depth = 0;
  gboolean quoted = FALSE;
  for(const char *c = text; *c; c++)
  {
    if(*c == '\\' && quoted && c[1])
      c++;
    else if(*c == '"')
      quoted = !quoted;
    else if(!quoted && (*c == '{' || *c == '['))
      depth++;
    else if(!quoted && (*c == '}' || *c == ']'))
      depth--;
    if(depth > 32) return TRUE;
  }
  return FALSE;
}

static char *_read_text(const char *path, GError **error)
{
  char *text = NULL;
  gsize size = 0;
  GError *cause = NULL;
  if(!g_file_get_contents(path, &text, &size, &cause))
    _refuse(error, path, cause->message);
  else if(size > MAX_MANIFEST_BYTES || strlen(text) != size || _nests_too_deep(text))
  {
    _refuse(error, path, "this is not a manifest (too large, binary, or nested too deeply)");
    g_clear_pointer(&text, g_free);
  }
  g_clear_error(&cause);
  return text;
}

static JsonNode *_parse_object(const char *path, const char *text, GError **error)
{
  GError *cause = NULL;
  JsonNode *root = json_from_string(text, &cause);
  if(root && JSON_NODE_HOLDS_OBJECT(root)) return root;
  char *why = g_strdup_printf("it is not a JSON object%s%s", cause ? ": " : "", cause ? cause->message : "");
  _refuse(error, path, why);
  g_free(why);
  g_clear_error(&cause);
  g_clear_pointer(&root, json_node_unref);
  return NULL;
}

static gboolean _is_string(JsonNode *node)
{
  return node && JSON_NODE_HOLDS_VALUE(node) && json_node_get_value_type(node) == G_TYPE_STRING;
}

static gboolean _is_boolean(JsonNode *node)
{
  return node && JSON_NODE_HOLDS_VALUE(node) && json_node_get_value_type(node) == G_TYPE_BOOLEAN;
}

static char *_dup_string(JsonObject *object, const char *key, const char *fallback)
{
  JsonNode *node = json_object_get_member(object, key);
  return g_strdup(_is_string(node) ? json_node_get_string(node) : fallback);
}

static char *_dup_json(JsonObject *object, const char *key)
{
  JsonNode *node = json_object_get_member(object, key);
  return node && !JSON_NODE_HOLDS_NULL(node) ? json_to_string(node, FALSE) : NULL;
}

static char *_dup_object(JsonObject *object, const char *key)
{
  JsonNode *node = json_object_get_member(object, key);
  return node && JSON_NODE_HOLDS_OBJECT(node) ? json_to_string(node, FALSE) : NULL;
}

static gint64 _get_int(JsonObject *object, const char *key, gint64 fallback)
{
  JsonNode *node = json_object_get_member(object, key);
  const gboolean number =
      node && JSON_NODE_HOLDS_VALUE(node) && json_node_get_value_type(node) == G_TYPE_INT64;
  return number ? json_node_get_int(node) : fallback;
}

static gboolean _get_bool(JsonObject *object, const char *key, gboolean fallback)
{
  JsonNode *node = json_object_get_member(object, key);
  return _is_boolean(node) ? json_node_get_boolean(node) : fallback;
}

static gboolean _check(const dt_manifest_t *m, const char *path, GError **error)
{
  if(!m->id) return _refuse(error, path, "it has no \"id\" (a string)");
  if(!m->name) return _refuse(error, path, "it has no \"name\" (a string)");
  if(!dt_manifest_id_is_safe(m->id)) return _refuse(error, path, "its \"id\" is not a plain file name");
  if(strcmp(m->backend, "onnx") != 0)
    return _refuse(error, path, "its \"backend\" is not \"onnx\", the only one supported");
  if(m->num_inputs < 1 || m->num_inputs > 16)
    return _refuse(error, path, "its \"num_inputs\" is not between 1 and 16");
  return TRUE;
}

static dt_manifest_t *_from_object(JsonObject *o, const char *directory)
{
  dt_manifest_t *m = g_new0(dt_manifest_t, 1);
  m->id = _dup_string(o, "id", NULL);
  m->name = _dup_string(o, "name", NULL);
  m->description = _dup_string(o, "description", "");
  m->task = _dup_string(o, "task", "general");
  m->backend = _dup_string(o, "backend", "onnx");
  m->arch = _dup_string(o, "arch", "generic");
  m->version = _dup_string(o, "version", "");
  m->num_inputs = (int)CLAMP(_get_int(o, "num_inputs", 1), G_MININT, G_MAXINT);
  m->tiling = _get_bool(o, "tiling", FALSE);
  m->attributes = _dup_object(o, "attributes");
  m->cpu_only = _dup_json(o, "cpu_only");
  m->coreml_format = _dup_json(o, "coreml_format");
  m->model_card = _dup_object(o, "model_card");
  m->directory = g_canonicalize_filename(directory, NULL);
  return m;
}

dt_manifest_t *dt_manifest_read(const char *directory, GError **error)
{
  char *path = g_build_filename(directory, "config.json", NULL);
  char *text = _read_text(path, error);
  JsonNode *root = text ? _parse_object(path, text, error) : NULL;
  dt_manifest_t *m = root ? _from_object(json_node_get_object(root), directory) : NULL;
  if(m && !_check(m, path, error)) g_clear_pointer(&m, dt_manifest_free);
  g_clear_pointer(&root, json_node_unref);
  g_free(text);
  g_free(path);
  return m;
}

void dt_manifest_free(dt_manifest_t *m)
{
  if(!m) return;
  char *strings[] = {
    m->id,      m->name,       m->description, m->task,          m->backend,    m->arch,
    m->version, m->attributes, m->cpu_only,    m->coreml_format, m->model_card, m->directory
  };
  for(size_t i = 0; i < G_N_ELEMENTS(strings); i++) g_free(strings[i]);
  g_free(m);
}

static gboolean _is_number(JsonNode *node)
{
  if(!node || !JSON_NODE_HOLDS_VALUE(node)) return FALSE;
  const GType type = json_node_get_value_type(node);
  return type == G_TYPE_INT64 || type == G_TYPE_DOUBLE;
}

static gboolean _is_array(JsonNode *node)
{
  return node && JSON_NODE_HOLDS_ARRAY(node);
}

/* The attribute called @p key if it is of the type wanted, or NULL; *root is to be unreferenced
 * afterwards. */
static JsonNode *_find_attribute(const dt_manifest_t *m, const char *key,
                                 gboolean (*is_wanted)(JsonNode *node), JsonNode **root)
{
  *root = m->attributes ? json_from_string(m->attributes, NULL) : NULL;
  if(!*root || !JSON_NODE_HOLDS_OBJECT(*root)) return NULL;
  JsonObject *top = json_node_get_object(*root);
  const char *dot = strchr(key, '.');
  JsonNode *found = NULL;
  if(dot)
  {
    char *stem = g_strndup(key, (gsize)(dot - key));
    JsonNode *nested = json_object_get_member(top, stem);
    g_free(stem);
    if(nested && JSON_NODE_HOLDS_OBJECT(nested))
      found = json_object_get_member(json_node_get_object(nested), dot + 1);
  }
  if(!is_wanted(found)) found = json_object_get_member(top, dot ? dot + 1 : key);
  return is_wanted(found) ? found : NULL;
}

gboolean dt_manifest_attribute_bool(const dt_manifest_t *m, const char *key, gboolean fallback)
{
  JsonNode *root, *node = _find_attribute(m, key, _is_boolean, &root);
  if(node) fallback = json_node_get_boolean(node);
  g_clear_pointer(&root, json_node_unref);
  return fallback;
}

double dt_manifest_attribute_double(const dt_manifest_t *m, const char *key, double fallback)
{
  JsonNode *root, *node = _find_attribute(m, key, _is_number, &root);
  if(node) fallback = json_node_get_double(node);
  g_clear_pointer(&root, json_node_unref);
  return fallback;
}

char *dt_manifest_attribute_string(const dt_manifest_t *m, const char *key)
{
  JsonNode *root, *node = _find_attribute(m, key, _is_string, &root);
  char *result = node ? g_strdup(json_node_get_string(node)) : NULL;
  g_clear_pointer(&root, json_node_unref);
  return result;
}

int dt_manifest_attribute_ints(const dt_manifest_t *m, const char *key, int *values, int max)
{
  JsonNode *root, *node = _find_attribute(m, key, _is_array, &root);
  JsonArray *array = node ? json_node_get_array(node) : NULL;
  int n = 0;
  for(guint i = 0; array && i < json_array_get_length(array) && n < max; i++)
  {
    JsonNode *element = json_array_get_element(array, i);
    if(_is_number(element))
      values[n++] = (int)CLAMP(json_node_get_double(element), (double)G_MININT, (double)G_MAXINT);
  }
  g_clear_pointer(&root, json_node_unref);
  return n;
}
