/* SPDX-License-Identifier: GPL-3.0-or-later */
/* As much of an ONNX model as the fake needs: inputs, outputs and the list of nodes. A walk over the protobuf of
 * its own, apart from the one under test; the numbers are those of onnx.proto. */
#include "fake.h"

#include <string.h>

/* --- protobuf --- */

typedef struct _cursor_t
{
  const uint8_t *at, *end;
  gboolean *broken; /* shared by all cursors of a walk */
} _cursor_t;

typedef struct _field_t
{
  uint64_t number, value;
  _cursor_t body;
} _field_t;

static uint64_t _read_varint(_cursor_t *c)
{
  uint64_t value = 0;
  for(unsigned shift = 0; shift < 64; shift += 7)
  {
    if(c->at == c->end) break;
    const uint8_t byte = *c->at++;
    value |= (uint64_t)(byte & 0x7f) << shift;
    if(!(byte & 0x80)) return value;
  }
  *c->broken = TRUE;
  return 0;
}

static _cursor_t _take(_cursor_t *c, uint64_t size)
{
  _cursor_t body = { c->at, c->at, c->broken };
  if(size > (uint64_t)(c->end - c->at))
    *c->broken = TRUE;
  else
    body.end = c->at += size;
  return body;
}

/* The next field, or FALSE at the end and after a mistake. */
static gboolean _next(_cursor_t *c, _field_t *field)
{
  if(c->at == c->end || *c->broken) return FALSE;
  const uint64_t tag = _read_varint(c);
  *field = (_field_t){ .number = tag >> 3, .body = { c->at, c->at, c->broken } };
  switch(tag & 7)
  {
  case 0: field->value = _read_varint(c); break;
  case 1: field->body = _take(c, 8); break;
  case 2: field->body = _take(c, _read_varint(c)); break;
  case 5: field->body = _take(c, 4); break;
  default: *c->broken = TRUE;
  }
  return !*c->broken;
}

static char *_text(const _field_t *field)
{
  return g_strndup((const char *)field->body.at, (gsize)(field->body.end - field->body.at));
}

static void _replace_text(char **text, const _field_t *field)
{
  g_free(*text);
  *text = _text(field);
}

/* --- inputs and outputs --- */

static void _free_slot(void *data)
{
  fake_slot_t *slot = data;
  g_free(slot->name);
  g_array_unref(slot->dims);
  g_ptr_array_unref(slot->params);
  g_free(slot);
}

static fake_slot_t *_new_slot(void)
{
  fake_slot_t *slot = g_new0(fake_slot_t, 1);
  slot->name = g_strdup("");
  slot->dims = g_array_new(FALSE, FALSE, sizeof(int64_t));
  slot->params = g_ptr_array_new_with_free_func(g_free);
  return slot;
}

static void _read_dim(_cursor_t c, fake_slot_t *slot)
{
  int64_t size = -1;
  char *param = g_strdup("");
  for(_field_t field; _next(&c, &field);)
    if(field.number == 1)
      size = (int64_t)field.value;
    else if(field.number == 2)
      _replace_text(&param, &field);
  g_array_append_val(slot->dims, size);
  g_ptr_array_add(slot->params, param);
}

static void _read_tensor_type(_cursor_t c, fake_slot_t *slot)
{
  slot->is_tensor = TRUE;
  for(_field_t field; _next(&c, &field);)
    if(field.number == 1)
      slot->type = (ONNXTensorElementDataType)field.value;
    else if(field.number == 2)
      for(_field_t dim; _next(&field.body, &dim);)
        if(dim.number == 1) _read_dim(dim.body, slot);
}

static fake_slot_t *_read_value_info(_cursor_t c)
{
  fake_slot_t *slot = _new_slot();
  for(_field_t field; _next(&c, &field);)
    if(field.number == 1)
      _replace_text(&slot->name, &field);
    else if(field.number == 2)
      for(_field_t kind; _next(&field.body, &kind);)
        if(kind.number == 1) _read_tensor_type(kind.body, slot);
  return slot;
}

/* --- the graph --- */

/* "Conv (conv_0)", as the runtime lists nodes */
static char *_read_node(_cursor_t c)
{
  char *name = g_strdup(""), *type = g_strdup("");
  for(_field_t field; _next(&c, &field);)
    if(field.number == 3)
      _replace_text(&name, &field);
    else if(field.number == 4)
      _replace_text(&type, &field);
  char *words = g_strdup_printf("%s (%s)", type, name);
  g_free(name);
  g_free(type);
  return words;
}

/* A tensor's name; a sparse one has it in the tensor of its values. */
static char *_read_initializer_name(_cursor_t c, gboolean sparse)
{
  char *name = g_strdup("");
  for(_field_t field; _next(&c, &field);)
  {
    if(!sparse && field.number == 8) _replace_text(&name, &field);
    if(!sparse || field.number != 1) continue;
    g_free(name);
    name = _read_initializer_name(field.body, FALSE);
  }
  return name;
}

static void _read_graph(_cursor_t c, fake_model_t *model, GHashTable *initializers)
{
  for(_field_t field; _next(&c, &field);) switch(field.number)
    {
    case 1: g_ptr_array_add(model->nodes, _read_node(field.body)); break;
    case 5: g_hash_table_add(initializers, _read_initializer_name(field.body, FALSE)); break;
    case 11: g_ptr_array_add(model->inputs, _read_value_info(field.body)); break;
    case 12: g_ptr_array_add(model->outputs, _read_value_info(field.body)); break;
    case 15: g_hash_table_add(initializers, _read_initializer_name(field.body, TRUE)); break;
    default: break;
    }
}

/* Old models declare their weights as inputs too; the runtime does not count those. */
static void _drop_initializers(fake_model_t *model, GHashTable *initializers)
{
  for(guint i = model->inputs->len; i-- > 0;)
  {
    const fake_slot_t *slot = g_ptr_array_index(model->inputs, i);
    if(g_hash_table_contains(initializers, slot->name)) g_ptr_array_remove_index(model->inputs, i);
  }
}

fake_model_t *fake_model_parse(const void *bytes, size_t size)
{
  gboolean broken = FALSE, has_graph = FALSE;
  _cursor_t c = { bytes, (const uint8_t *)bytes + size, &broken };
  fake_model_t *model = g_new0(fake_model_t, 1);
  model->inputs = g_ptr_array_new_with_free_func(_free_slot);
  model->outputs = g_ptr_array_new_with_free_func(_free_slot);
  model->nodes = g_ptr_array_new_with_free_func(g_free);
  GHashTable *initializers = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
  for(_field_t field; _next(&c, &field);)
    if(field.number == 7)
    {
      has_graph = TRUE;
      _read_graph(field.body, model, initializers);
    }
  _drop_initializers(model, initializers);
  g_hash_table_unref(initializers);
  if(broken || !has_graph) g_clear_pointer(&model, fake_model_destroy);
  return model;
}

void fake_model_destroy(fake_model_t *model)
{
  if(!model) return;
  g_ptr_array_unref(model->inputs);
  g_ptr_array_unref(model->outputs);
  g_ptr_array_unref(model->nodes);
  g_free(model);
}
