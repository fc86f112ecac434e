/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Reads data/ai_models.json. It was made with this program, so a defect in it is passed over, not argued about. */
#include "common/model_catalogue.h"
#include "common/paths.h"

#include <json-glib/json-glib.h>
#include <string.h>

static void _free_entry(gpointer data)
{
  dt_catalogue_entry_t *e = data;
  char *strings[] = { e->id, e->name, e->task, e->license, e->min_version };
  for(size_t i = 0; i < G_N_ELEMENTS(strings); i++) g_free(strings[i]);
  g_free(e);
}

static char *_dup_string(JsonObject *object, const char *key)
{
  JsonNode *node = json_object_get_member(object, key);
  const gboolean is_string = node && json_node_get_value_type(node) == G_TYPE_STRING;
  return g_strdup(is_string ? json_node_get_string(node) : "");
}

static void _add_entry(JsonArray *array, guint index, JsonNode *node, gpointer catalogue)
{
  (void)array;
  (void)index;
  if(!JSON_NODE_HOLDS_OBJECT(node)) return;
  JsonObject *object = json_node_get_object(node);
  JsonNode *is_default = json_object_get_member(object, "default");
  dt_catalogue_entry_t *e = g_new0(dt_catalogue_entry_t, 1);
  e->id = _dup_string(object, "id");
  e->name = _dup_string(object, "name");
  e->task = _dup_string(object, "task");
  e->license = _dup_string(object, "license");
  e->min_version = _dup_string(object, "min_version");
  e->is_default = is_default && json_node_get_value_type(is_default) == G_TYPE_BOOLEAN
                  && json_node_get_boolean(is_default);
  g_ptr_array_add(catalogue, e);
}

GPtrArray *dt_catalogue_read(void)
{
  GPtrArray *catalogue = g_ptr_array_new_with_free_func(_free_entry);
  char *path = dt_paths_bundled("ai_models.json"), *text = NULL;
  if(path && g_file_get_contents(path, &text, NULL, NULL))
  {
    JsonNode *root = json_from_string(text, NULL);
    JsonNode *models = root && JSON_NODE_HOLDS_OBJECT(root)
                           ? json_object_get_member(json_node_get_object(root), "models")
                           : NULL;
    if(models && JSON_NODE_HOLDS_ARRAY(models))
      json_array_foreach_element(json_node_get_array(models), _add_entry, catalogue);
    g_clear_pointer(&root, json_node_unref);
  }
  g_free(text);
  g_free(path);
  return catalogue;
}

const dt_catalogue_entry_t *dt_catalogue_find(const GPtrArray *catalogue, const char *id)
{
  for(guint i = 0; i < catalogue->len; i++)
  {
    const dt_catalogue_entry_t *e = g_ptr_array_index(catalogue, i);
    if(strcmp(e->id, id) == 0) return e;
  }
  return NULL;
}
