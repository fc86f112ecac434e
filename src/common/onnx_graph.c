/* SPDX-License-Identifier: GPL-3.0-or-later */
/** @file
 * A reader of .onnx files that runs nothing. Every length is checked against the bytes that are
 * left, unknown fields are skipped as protobuf itself would, and what costs memory or time is
 * counted against a limit. Nothing of the payload is copied: names, nodes and tensors are slices of
 * the caller's bytes, and attributes are looked up in them when asked for.
 */
#include "common/onnx_graph_internal.h"

#include <string.h>

/* --- limits --- */

#define MAX_BYTES ((size_t)1 << 31) // protobuf has no larger messages
#define MAX_NODES 100000            // subgraphs and functions included
#define MAX_NAMES (1 << 20)         // inputs and outputs of all nodes
#define MAX_TENSORS (1 << 20)       // initialisers
#define MAX_VALUES 4096             // inputs and outputs of the graph, each
#define MAX_NAME 4096               // bytes of one name
#define MAX_DEPTH 8                 // subgraphs within subgraphs

/* --- types --- */

typedef struct _field_t
{
  uint32_t tag;          // field number << 3 | wire type
  uint64_t number;       // value of a varint or fixed field
  dt_onnx_bytes_t bytes; // value of a length-delimited field
} _field_t;

typedef struct _parser_t
{
  dt_onnx_graph_t *graph;
  gboolean has_graph;
  int depth, nodes;
  const char *trouble; // why the bytes were refused, or NULL for "not well-formed"
} _parser_t;

/* --- protobuf --- */

enum
{
  VARINT = 0,
  FIXED64 = 1,
  BYTES = 2,
  FIXED32 = 5,
};

#define TAG(field, wire) ((uint32_t)(field) << 3 | (uint32_t)(wire))

// The fields this file looks at, from onnx.proto. A field with another wire type than the one
// given is an unknown field, here as in every protobuf library.
enum
{
  MODEL_GRAPH = TAG(7, BYTES),
  MODEL_OPSET_IMPORT = TAG(8, BYTES),
  MODEL_TRAINING_INFO = TAG(20, BYTES),
  MODEL_FUNCTION = TAG(25, BYTES),
  OPSET_DOMAIN = TAG(1, BYTES),
  OPSET_VERSION = TAG(2, VARINT),
  TRAINING_INITIALIZATION = TAG(1, BYTES),
  TRAINING_ALGORITHM = TAG(2, BYTES),
  FUNCTION_NODE = TAG(7, BYTES),
  FUNCTION_ATTRIBUTE = TAG(11, BYTES),
  GRAPH_NODE = TAG(1, BYTES),
  GRAPH_INITIALIZER = TAG(5, BYTES),
  GRAPH_INPUT = TAG(11, BYTES),
  GRAPH_OUTPUT = TAG(12, BYTES),
  GRAPH_SPARSE_INITIALIZER = TAG(15, BYTES),
  NODE_INPUT = TAG(1, BYTES),
  NODE_OUTPUT = TAG(2, BYTES),
  NODE_NAME = TAG(3, BYTES),
  NODE_OP_TYPE = TAG(4, BYTES),
  NODE_ATTRIBUTE = TAG(5, BYTES),
  NODE_DOMAIN = TAG(7, BYTES),
  ATTRIBUTE_NAME = TAG(1, BYTES),
  ATTRIBUTE_F = TAG(2, FIXED32),
  ATTRIBUTE_I = TAG(3, VARINT),
  ATTRIBUTE_S = TAG(4, BYTES),
  ATTRIBUTE_T = TAG(5, BYTES),
  ATTRIBUTE_G = TAG(6, BYTES),
  ATTRIBUTE_FLOATS = TAG(7, FIXED32),
  ATTRIBUTE_FLOATS_PACKED = TAG(7, BYTES),
  ATTRIBUTE_INTS = TAG(8, VARINT),
  ATTRIBUTE_INTS_PACKED = TAG(8, BYTES),
  ATTRIBUTE_TENSORS = TAG(10, BYTES),
  ATTRIBUTE_GRAPHS = TAG(11, BYTES),
  ATTRIBUTE_SPARSE_TENSOR = TAG(22, BYTES),
  ATTRIBUTE_SPARSE_TENSORS = TAG(23, BYTES),
  TENSOR_DIMS = TAG(1, VARINT),
  TENSOR_DIMS_PACKED = TAG(1, BYTES),
  TENSOR_DATA_TYPE = TAG(2, VARINT),
  TENSOR_FLOAT_DATA = TAG(4, FIXED32),
  TENSOR_FLOAT_DATA_PACKED = TAG(4, BYTES),
  TENSOR_INT32_DATA = TAG(5, VARINT),
  TENSOR_INT32_DATA_PACKED = TAG(5, BYTES),
  TENSOR_STRING_DATA = TAG(6, BYTES),
  TENSOR_INT64_DATA = TAG(7, VARINT),
  TENSOR_INT64_DATA_PACKED = TAG(7, BYTES),
  TENSOR_NAME = TAG(8, BYTES),
  TENSOR_RAW_DATA = TAG(9, BYTES),
  TENSOR_DOUBLE_DATA = TAG(10, FIXED64),
  TENSOR_DOUBLE_DATA_PACKED = TAG(10, BYTES),
  TENSOR_UINT64_DATA = TAG(11, VARINT),
  TENSOR_UINT64_DATA_PACKED = TAG(11, BYTES),
  TENSOR_EXTERNAL_DATA = TAG(13, BYTES),
  TENSOR_DATA_LOCATION = TAG(14, VARINT),
  SPARSE_VALUES = TAG(1, BYTES),
  SPARSE_INDICES = TAG(2, BYTES),
  VALUE_NAME = TAG(1, BYTES),
  VALUE_TYPE = TAG(2, BYTES),
  TYPE_TENSOR = TAG(1, BYTES),
  TYPE_TENSOR_ELEM = TAG(1, VARINT),
  TYPE_TENSOR_SHAPE = TAG(2, BYTES),
  SHAPE_DIM = TAG(1, BYTES),
  DIM_VALUE = TAG(1, VARINT),
  DIM_PARAM = TAG(2, BYTES),
};

// TensorProto.DataType, of the parameters whose values matter.
enum
{
  TYPE_FLOAT = 1,
  TYPE_INT32 = 6,
  TYPE_INT64 = 7,
  TYPE_BOOL = 9,
};

static gboolean _take(dt_onnx_bytes_t *in, uint64_t size, dt_onnx_bytes_t *out)
{
  if(size > in->size) return FALSE;
  *out = (dt_onnx_bytes_t){ in->at, (size_t)size };
  in->at += size;
  in->size -= (size_t)size;
  return TRUE;
}

static gboolean _read_varint(dt_onnx_bytes_t *in, uint64_t *value)
{
  *value = 0;
  for(int shift = 0; shift < 64 && in->size; shift += 7)
  {
    const uint8_t byte = *in->at++;
    in->size--;
    *value |= (uint64_t)(byte & 0x7f) << shift;
    if(!(byte & 0x80)) return TRUE;
  }
  return FALSE;
}

// Protobuf is little-endian whatever the machine is.
static uint64_t _little_endian(const uint8_t *at, size_t size)
{
  uint64_t value = 0;
  for(size_t i = size; i-- > 0;) value = value << 8 | at[i];
  return value;
}

static gboolean _read_fixed(dt_onnx_bytes_t *in, size_t size, uint64_t *value)
{
  dt_onnx_bytes_t bytes;
  if(!_take(in, size, &bytes)) return FALSE;
  *value = _little_endian(bytes.at, size);
  return TRUE;
}

// One value of the given wire type; the deprecated groups (3 and 4) are refused.
static gboolean _read_value(dt_onnx_bytes_t *in, uint32_t wire, _field_t *field)
{
  switch(wire)
  {
  case VARINT: return _read_varint(in, &field->number);
  case FIXED64: return _read_fixed(in, 8, &field->number);
  case FIXED32: return _read_fixed(in, 4, &field->number);
  case BYTES: return _read_varint(in, &field->number) && _take(in, field->number, &field->bytes);
  default: return FALSE;
  }
}

static gboolean _read_field(dt_onnx_bytes_t *in, _field_t *field)
{
  uint64_t tag = 0;
  *field = (_field_t){ 0 };
  if(!_read_varint(in, &tag) || tag > G_MAXUINT32 || tag < TAG(1, 0)) return FALSE;
  field->tag = (uint32_t)tag;
  return _read_value(in, field->tag & 7, field);
}

gboolean dt_onnx_equals(dt_onnx_bytes_t bytes, const char *text)
{
  const size_t size = strlen(text);
  return size == bytes.size && (size == 0 || memcmp(bytes.at, text, size) == 0);
}

int dt_onnx_compare_bytes(const void *a, const void *b)
{
  const dt_onnx_bytes_t *x = a, *y = b;
  if(x->size != y->size) return x->size < y->size ? -1 : 1;
  return x->size ? memcmp(x->at, y->at, x->size) : 0;
}

gboolean dt_onnx_is_default_domain(dt_onnx_bytes_t domain)
{
  return domain.size == 0 || dt_onnx_equals(domain, "ai.onnx");
}

/* --- tensors --- */

static gboolean _fail(_parser_t *parser, const char *trouble)
{
  if(!parser->trouble) parser->trouble = trouble;
  return FALSE;
}

// Bits of one element as raw_data stores it, 0 when unknown or of no fixed size.
static unsigned _bits_of_type(int type)
{
  static const uint8_t bits[] = { 0,  32,  8,  8, 16, 16, 32, 64, 0, 8, 16, 64, 32, 64,
                                  64, 128, 16, 8, 8,  8,  8,  4,  4, 4, 8,  2,  2 };
  return type > 0 && type < (int)G_N_ELEMENTS(bits) ? bits[type] : 0;
}

static gboolean _add_dim(dt_onnx_tensor_t *tensor, uint64_t dim)
{
  if(dim > G_MAXINT64) return FALSE;
  if(tensor->rank < DT_ONNX_MAX_RANK) tensor->dims[tensor->rank] = (int64_t)dim;
  if(tensor->rank < G_MAXINT) tensor->rank++;
  if(!g_uint64_checked_mul(&tensor->elements, tensor->elements, dim)) tensor->elements = G_MAXUINT64;
  return TRUE;
}

static gboolean _add_packed_dims(dt_onnx_tensor_t *tensor, dt_onnx_bytes_t packed)
{
  uint64_t dim;
  while(packed.size)
    if(!_read_varint(&packed, &dim) || !_add_dim(tensor, dim)) return FALSE;
  return TRUE;
}

static gboolean _read_tensor_field(const _field_t *field, dt_onnx_tensor_t *tensor)
{
  switch(field->tag)
  {
  case TENSOR_DIMS: return _add_dim(tensor, field->number);
  case TENSOR_DIMS_PACKED: return _add_packed_dims(tensor, field->bytes);
  case TENSOR_DATA_TYPE: tensor->type = (int)field->number; break;
  case TENSOR_NAME: tensor->name = field->bytes; break;
  case TENSOR_RAW_DATA:
    tensor->raw = field->bytes;
    tensor->has_raw = TRUE;
    break;
  case TENSOR_EXTERNAL_DATA: tensor->external = TRUE; break;
  case TENSOR_DATA_LOCATION:
    // 0 is "in this file"; whatever else there may be one day is not.
    tensor->external |= field->number != 0;
    break;
  case TENSOR_FLOAT_DATA:
  case TENSOR_INT32_DATA:
  case TENSOR_INT64_DATA:
  case TENSOR_DOUBLE_DATA:
  case TENSOR_UINT64_DATA:
  case TENSOR_STRING_DATA: tensor->payload += field->bytes.size + 1; break;
  case TENSOR_FLOAT_DATA_PACKED:
  case TENSOR_INT32_DATA_PACKED:
  case TENSOR_INT64_DATA_PACKED:
  case TENSOR_DOUBLE_DATA_PACKED:
  case TENSOR_UINT64_DATA_PACKED: tensor->payload += field->bytes.size; break;
  default: break;
  }
  return TRUE;
}

gboolean dt_onnx_read_tensor(dt_onnx_bytes_t in, dt_onnx_tensor_t *tensor)
{
  *tensor = (dt_onnx_tensor_t){ .elements = 1 };
  _field_t field;
  while(in.size)
    if(!_read_field(&in, &field) || !_read_tensor_field(&field, tensor)) return FALSE;
  return TRUE;
}

// A tensor must not promise more values than the file holds: who believes it would allocate them.
static gboolean _payload_matches(const dt_onnx_tensor_t *tensor)
{
  if(tensor->external) return TRUE; // refused as such, by whoever loads models
  const unsigned bits = _bits_of_type(tensor->type);
  if(tensor->has_raw && bits)
    return tensor->elements <= MAX_BYTES * 8 && (tensor->elements * bits + 7) / 8 == tensor->raw.size;
  // Typed fields spend at least a byte on one value, or on the four that fit into it.
  return tensor->elements <= 8 * (tensor->payload + tensor->raw.size);
}

static gboolean _check_tensor(_parser_t *parser, dt_onnx_bytes_t in, dt_onnx_tensor_t *tensor)
{
  if(!dt_onnx_read_tensor(in, tensor)) return FALSE;
  if(!_payload_matches(tensor)) return _fail(parser, "a tensor's size does not match its data");
  parser->graph->external |= tensor->external;
  return TRUE;
}

// A SparseTensorProto is made of two tensors; its name is that of the values.
static gboolean _check_sparse_tensor(_parser_t *parser, dt_onnx_bytes_t in, dt_onnx_bytes_t *name)
{
  _field_t field;
  dt_onnx_tensor_t tensor;
  while(in.size)
  {
    if(!_read_field(&in, &field)) return FALSE;
    if(field.tag != SPARSE_VALUES && field.tag != SPARSE_INDICES) continue;
    if(!_check_tensor(parser, field.bytes, &tensor)) return FALSE;
    if(field.tag == SPARSE_VALUES && name) *name = tensor.name;
  }
  return TRUE;
}

/* --- inputs and outputs --- */

static void _clear_value(void *data)
{
  dt_onnx_value_t *value = data;
  g_free(value->name);
  for(int i = 0; i < DT_ONNX_MAX_RANK; i++) g_free(value->symbols[i]);
}

// Names that leave this file become C strings, so they must be text without a NUL.
static gboolean _copy_text(_parser_t *parser, dt_onnx_bytes_t bytes, char **text)
{
  if(bytes.size > MAX_NAME) return _fail(parser, "a name is too long");
  if(!g_utf8_validate_len((const char *)bytes.at, bytes.size, NULL))
    return _fail(parser, "a name is not valid text");
  g_free(*text);
  *text = g_strndup((const char *)bytes.at, bytes.size);
  return TRUE;
}

static gboolean _parse_dim(_parser_t *parser, dt_onnx_bytes_t in, dt_onnx_value_t *value)
{
  if(value->rank >= DT_ONNX_MAX_RANK) return _fail(parser, "an input or output has too many dimensions");
  const int i = value->rank++;
  value->dims[i] = -1;
  _field_t field;
  while(in.size)
  {
    if(!_read_field(&in, &field)) return FALSE;
    if(field.tag == DIM_VALUE)
      value->dims[i] = field.number <= G_MAXINT64 ? (int64_t)field.number : -1;
    else if(field.tag == DIM_PARAM && field.bytes.size)
    {
      if(!_copy_text(parser, field.bytes, &value->symbols[i])) return FALSE;
    }
  }
  // Of a size and a symbol only one can be meant; a size needs no override.
  if(value->dims[i] >= 0) g_clear_pointer(&value->symbols[i], g_free);
  return TRUE;
}

static gboolean _parse_shape(_parser_t *parser, dt_onnx_bytes_t in, dt_onnx_value_t *value)
{
  if(value->rank < 0) value->rank = 0;
  _field_t field;
  while(in.size)
  {
    if(!_read_field(&in, &field)) return FALSE;
    if(field.tag == SHAPE_DIM && !_parse_dim(parser, field.bytes, value)) return FALSE;
  }
  return TRUE;
}

static gboolean _parse_tensor_type(_parser_t *parser, dt_onnx_bytes_t in, dt_onnx_value_t *value)
{
  _field_t field;
  while(in.size)
  {
    if(!_read_field(&in, &field)) return FALSE;
    if(field.tag == TYPE_TENSOR_ELEM) value->elem_type = (int)field.number;
    if(field.tag == TYPE_TENSOR_SHAPE && !_parse_shape(parser, field.bytes, value)) return FALSE;
  }
  return TRUE;
}

// Sequences, maps and optionals stay at "unknown type, unknown rank".
static gboolean _parse_type(_parser_t *parser, dt_onnx_bytes_t in, dt_onnx_value_t *value)
{
  _field_t field;
  while(in.size)
  {
    if(!_read_field(&in, &field)) return FALSE;
    if(field.tag == TYPE_TENSOR && !_parse_tensor_type(parser, field.bytes, value)) return FALSE;
  }
  return TRUE;
}

static gboolean _parse_value_fields(_parser_t *parser, dt_onnx_bytes_t in, dt_onnx_value_t *value)
{
  _field_t field;
  while(in.size)
  {
    if(!_read_field(&in, &field)) return FALSE;
    if(field.tag == VALUE_NAME && !_copy_text(parser, field.bytes, &value->name)) return FALSE;
    if(field.tag == VALUE_TYPE && !_parse_type(parser, field.bytes, value)) return FALSE;
  }
  return value->name != NULL || _fail(parser, "an input or output has no name");
}

static gboolean _parse_value(_parser_t *parser, dt_onnx_bytes_t in, GArray *values)
{
  if(values->len >= MAX_VALUES) return _fail(parser, "it has too many inputs or outputs");
  dt_onnx_value_t value = { .rank = -1 };
  const gboolean ok = _parse_value_fields(parser, in, &value);
  g_array_append_val(values, value); // the array frees it in any case
  return ok;
}

/* --- nodes and graphs --- */

static gboolean _parse_graph(_parser_t *parser, dt_onnx_bytes_t in, gboolean keep);

static gboolean _parse_subgraph(_parser_t *parser, dt_onnx_bytes_t in)
{
  if(parser->depth >= MAX_DEPTH) return _fail(parser, "its subgraphs are nested too deeply");
  parser->depth++;
  const gboolean ok = _parse_graph(parser, in, FALSE);
  parser->depth--;
  return ok;
}

// Attributes are read again when asked for; here they are checked for what they may hide.
static gboolean _check_attribute(_parser_t *parser, dt_onnx_bytes_t in, gboolean *subgraph)
{
  _field_t field;
  dt_onnx_tensor_t tensor;
  gboolean ok = TRUE;
  while(ok && in.size)
  {
    if(!_read_field(&in, &field)) return FALSE;
    switch(field.tag)
    {
    case ATTRIBUTE_T:
    case ATTRIBUTE_TENSORS: ok = _check_tensor(parser, field.bytes, &tensor); break;
    case ATTRIBUTE_SPARSE_TENSOR:
    case ATTRIBUTE_SPARSE_TENSORS: ok = _check_sparse_tensor(parser, field.bytes, NULL); break;
    case ATTRIBUTE_G:
    case ATTRIBUTE_GRAPHS:
      *subgraph = TRUE;
      ok = _parse_subgraph(parser, field.bytes);
      break;
    default: break;
    }
  }
  return ok;
}

static gboolean _add_name(_parser_t *parser, GArray *names, dt_onnx_bytes_t name, gboolean keep)
{
  if(name.size > MAX_NAME) return _fail(parser, "a name is too long");
  if(!keep) return TRUE;
  if(names->len >= MAX_NAMES) return _fail(parser, "its nodes have too many inputs or outputs");
  g_array_append_val(names, name);
  return TRUE;
}

static gboolean _parse_node_field(_parser_t *parser, const _field_t *field, dt_onnx_node_t *node,
                                  gboolean keep)
{
  switch(field->tag)
  {
  case NODE_INPUT: return _add_name(parser, parser->graph->node_inputs, field->bytes, keep);
  case NODE_OUTPUT: return _add_name(parser, parser->graph->node_outputs, field->bytes, keep);
  case NODE_ATTRIBUTE: return _check_attribute(parser, field->bytes, &node->subgraph);
  case NODE_NAME: node->name = field->bytes; break;
  case NODE_OP_TYPE: node->op = field->bytes; break;
  case NODE_DOMAIN: node->domain = field->bytes; break;
  default: break;
  }
  return TRUE;
}

/* The first unknown domain counts; the runtime's own is worth a word only where there is no other. */
static gboolean _note_domain(_parser_t *parser, dt_onnx_bytes_t domain)
{
  char **noted = &parser->graph->custom_domain;
  if(dt_onnx_is_default_domain(domain)) return TRUE;
  if(*noted
     && (strcmp(*noted, DT_ONNX_RUNTIME_DOMAIN) != 0 || dt_onnx_equals(domain, DT_ONNX_RUNTIME_DOMAIN)))
    return TRUE;
  g_clear_pointer(noted, g_free);
  return _copy_text(parser, domain, noted);
}

// Nodes of subgraphs and functions are checked and counted, but only the main graph's are kept.
static gboolean _parse_node(_parser_t *parser, dt_onnx_bytes_t in, gboolean keep)
{
  if(++parser->nodes > MAX_NODES) return _fail(parser, "it has too many nodes");
  dt_onnx_graph_t *graph = parser->graph;
  dt_onnx_node_t node = { .message = in,
                          .first_input = graph->node_inputs->len,
                          .first_output = graph->node_outputs->len };
  _field_t field;
  while(in.size)
    if(!_read_field(&in, &field) || !_parse_node_field(parser, &field, &node, keep)) return FALSE;
  node.inputs = graph->node_inputs->len - node.first_input;
  node.outputs = graph->node_outputs->len - node.first_output;
  if(keep) g_array_append_val(graph->nodes, node);
  return _note_domain(parser, node.domain);
}

static gboolean _add_constant(_parser_t *parser, dt_onnx_bytes_t name, dt_onnx_bytes_t tensor, gboolean keep)
{
  GArray *constants = parser->graph->constants;
  if(name.size > MAX_NAME) return _fail(parser, "a name is too long");
  if(!keep) return TRUE;
  if(constants->len >= MAX_TENSORS) return _fail(parser, "it has too many initialisers");
  const dt_onnx_constant_t constant = { name, tensor };
  g_array_append_val(constants, constant);
  return TRUE;
}

static gboolean _parse_initialiser(_parser_t *parser, dt_onnx_bytes_t in, gboolean keep)
{
  dt_onnx_tensor_t tensor;
  return _check_tensor(parser, in, &tensor) && _add_constant(parser, tensor.name, in, keep);
}

static gboolean _parse_sparse_initialiser(_parser_t *parser, dt_onnx_bytes_t in, gboolean keep)
{
  dt_onnx_bytes_t name = { 0 };
  return _check_sparse_tensor(parser, in, &name) && _add_constant(parser, name, (dt_onnx_bytes_t){ 0 }, keep);
}

static gboolean _parse_graph_field(_parser_t *parser, const _field_t *field, gboolean keep)
{
  switch(field->tag)
  {
  case GRAPH_NODE: return _parse_node(parser, field->bytes, keep);
  case GRAPH_INITIALIZER: return _parse_initialiser(parser, field->bytes, keep);
  case GRAPH_SPARSE_INITIALIZER: return _parse_sparse_initialiser(parser, field->bytes, keep);
  case GRAPH_INPUT: return !keep || _parse_value(parser, field->bytes, parser->graph->inputs);
  case GRAPH_OUTPUT: return !keep || _parse_value(parser, field->bytes, parser->graph->outputs);
  default: return TRUE;
  }
}

static gboolean _parse_graph(_parser_t *parser, dt_onnx_bytes_t in, gboolean keep)
{
  _field_t field;
  while(in.size)
    if(!_read_field(&in, &field) || !_parse_graph_field(parser, &field, keep)) return FALSE;
  return TRUE;
}

/* --- models --- */

static gboolean _parse_opset(_parser_t *parser, dt_onnx_bytes_t in)
{
  dt_onnx_bytes_t domain = { 0 };
  uint64_t version = 0;
  _field_t field;
  while(in.size)
  {
    if(!_read_field(&in, &field)) return FALSE;
    if(field.tag == OPSET_DOMAIN) domain = field.bytes;
    if(field.tag == OPSET_VERSION) version = field.number;
  }
  if(dt_onnx_is_default_domain(domain)) parser->graph->opset = (int64_t)version;
  return TRUE;
}

// Training graphs and functions are looked through for external data, nothing else.
static gboolean _check_training(_parser_t *parser, dt_onnx_bytes_t in)
{
  _field_t field;
  while(in.size)
  {
    if(!_read_field(&in, &field)) return FALSE;
    if(field.tag != TRAINING_INITIALIZATION && field.tag != TRAINING_ALGORITHM) continue;
    if(!_parse_graph(parser, field.bytes, FALSE)) return FALSE;
  }
  return TRUE;
}

static gboolean _check_function(_parser_t *parser, dt_onnx_bytes_t in)
{
  parser->graph->functions = TRUE;
  gboolean subgraph;
  _field_t field;
  while(in.size)
  {
    if(!_read_field(&in, &field)) return FALSE;
    if(field.tag == FUNCTION_NODE && !_parse_node(parser, field.bytes, FALSE)) return FALSE;
    if(field.tag == FUNCTION_ATTRIBUTE && !_check_attribute(parser, field.bytes, &subgraph)) return FALSE;
  }
  return TRUE;
}

static gboolean _parse_model_field(_parser_t *parser, const _field_t *field)
{
  switch(field->tag)
  {
  case MODEL_GRAPH: parser->has_graph = TRUE; return _parse_graph(parser, field->bytes, TRUE);
  case MODEL_OPSET_IMPORT: return _parse_opset(parser, field->bytes);
  case MODEL_TRAINING_INFO: return _check_training(parser, field->bytes);
  case MODEL_FUNCTION: return _check_function(parser, field->bytes);
  default: return TRUE;
  }
}

static gboolean _parse_model(_parser_t *parser, dt_onnx_bytes_t in)
{
  if(in.size > MAX_BYTES) return _fail(parser, "it is larger than 2 GiB");
  _field_t field;
  while(in.size)
    if(!_read_field(&in, &field) || !_parse_model_field(parser, &field)) return FALSE;
  if(!parser->has_graph) return _fail(parser, "it holds no graph");
  return parser->graph->outputs->len > 0 || _fail(parser, "its graph has no output");
}

static void _index_constants(dt_onnx_graph_t *graph)
{
  for(guint i = 0; i < graph->constants->len; i++)
  {
    dt_onnx_constant_t *constant = &g_array_index(graph->constants, dt_onnx_constant_t, i);
    g_tree_insert(graph->constants_by_name, &constant->name, constant);
  }
}

// Old files list every initialiser among the inputs, where it is merely a default value.
static void _drop_initialised_inputs(dt_onnx_graph_t *graph)
{
  for(guint i = graph->inputs->len; i-- > 0;)
  {
    const char *name = g_array_index(graph->inputs, dt_onnx_value_t, i).name;
    const dt_onnx_bytes_t key = { (const uint8_t *)name, strlen(name) };
    if(g_tree_lookup(graph->constants_by_name, &key)) g_array_remove_index(graph->inputs, i);
  }
}

static GArray *_new_values(void)
{
  GArray *values = g_array_new(FALSE, TRUE, sizeof(dt_onnx_value_t));
  g_array_set_clear_func(values, _clear_value);
  return values;
}

static dt_onnx_graph_t *_new_graph(void)
{
  dt_onnx_graph_t *graph = g_new0(dt_onnx_graph_t, 1);
  graph->nodes = g_array_new(FALSE, FALSE, sizeof(dt_onnx_node_t));
  graph->node_inputs = g_array_new(FALSE, FALSE, sizeof(dt_onnx_bytes_t));
  graph->node_outputs = g_array_new(FALSE, FALSE, sizeof(dt_onnx_bytes_t));
  graph->constants = g_array_new(FALSE, FALSE, sizeof(dt_onnx_constant_t));
  graph->inputs = _new_values();
  graph->outputs = _new_values();
  graph->constants_by_name = g_tree_new(dt_onnx_compare_bytes);
  return graph;
}

/* --- attributes and small constants --- */

static dt_onnx_attribute_t _read_attribute(dt_onnx_bytes_t in)
{
  dt_onnx_attribute_t attribute = { .message = in };
  _field_t field;
  while(in.size && _read_field(&in, &field))
  {
    if(field.tag == ATTRIBUTE_NAME) attribute.name = field.bytes;
    if(field.tag == ATTRIBUTE_I) attribute.integer = (int64_t)field.number;
    if(field.tag == ATTRIBUTE_S) attribute.text = field.bytes;
    if(field.tag == ATTRIBUTE_T) attribute.tensor = field.bytes;
  }
  return attribute;
}

gboolean dt_onnx_next_attribute(dt_onnx_bytes_t *rest, dt_onnx_attribute_t *attribute)
{
  _field_t field;
  while(rest->size && _read_field(rest, &field))
  {
    if(field.tag != NODE_ATTRIBUTE) continue;
    *attribute = _read_attribute(field.bytes);
    return TRUE;
  }
  return FALSE;
}

static gboolean _find_attribute(const dt_onnx_node_t *node, const char *name, dt_onnx_attribute_t *attribute)
{
  dt_onnx_bytes_t rest = node->message;
  while(dt_onnx_next_attribute(&rest, attribute))
    if(dt_onnx_equals(attribute->name, name)) return TRUE;
  return FALSE;
}

int64_t dt_onnx_integer_attribute(const dt_onnx_node_t *node, const char *name, int64_t fallback)
{
  dt_onnx_attribute_t attribute;
  return _find_attribute(node, name, &attribute) ? attribute.integer : fallback;
}

dt_onnx_bytes_t dt_onnx_text_attribute(const dt_onnx_node_t *node, const char *name, const char *fallback)
{
  dt_onnx_attribute_t attribute;
  if(_find_attribute(node, name, &attribute)) return attribute.text;
  return (dt_onnx_bytes_t){ (const uint8_t *)fallback, strlen(fallback) };
}

static void _add_number(dt_onnx_numbers_t *numbers, double value)
{
  if(numbers->count >= 0 && numbers->count < DT_ONNX_MAX_NUMBERS)
    numbers->value[numbers->count++] = value;
  else
    numbers->count = -1;
}

static double _as_number(uint64_t bits, int type)
{
  const uint32_t word = (uint32_t)bits;
  float real;
  memcpy(&real, &word, sizeof(real));
  if(type == TYPE_FLOAT) return real;
  return type == TYPE_INT32 ? (int32_t)word : (double)(int64_t)bits;
}

// Values of a packed field or of raw data: fixed size, or varints when @p size is 0.
static void _add_packed(dt_onnx_numbers_t *numbers, dt_onnx_bytes_t packed, size_t size, int type)
{
  uint64_t bits = 0;
  while(packed.size && numbers->count >= 0)
  {
    if(!(size ? _read_fixed(&packed, size, &bits) : _read_varint(&packed, &bits)))
      numbers->count = -1;
    else
      _add_number(numbers, _as_number(bits, type));
  }
}

// Reads a repeated field of @p type in both its spellings, one by one and packed.
static void _collect_numbers(dt_onnx_bytes_t in, uint32_t field_number, int type, dt_onnx_numbers_t *numbers)
{
  const uint32_t wire = type == TYPE_FLOAT ? FIXED32 : VARINT;
  const size_t size = type == TYPE_FLOAT ? 4 : 0;
  _field_t field;
  while(in.size && numbers->count >= 0 && _read_field(&in, &field))
  {
    if(field.tag == TAG(field_number, wire)) _add_number(numbers, _as_number(field.number, type));
    if(field.tag == TAG(field_number, BYTES)) _add_packed(numbers, field.bytes, size, type);
  }
}

// Reads attribute @p name as a list of @p type, of which @p field holds the values.
static gboolean _list_attribute(const dt_onnx_node_t *node, const char *name, uint32_t field, int type,
                                dt_onnx_numbers_t *numbers)
{
  dt_onnx_attribute_t attribute;
  numbers->count = 0;
  if(!_find_attribute(node, name, &attribute)) return FALSE;
  _collect_numbers(attribute.message, field >> 3, type, numbers);
  return TRUE;
}

gboolean dt_onnx_integers_attribute(const dt_onnx_node_t *node, const char *name, dt_onnx_numbers_t *numbers)
{
  return _list_attribute(node, name, ATTRIBUTE_INTS, TYPE_INT64, numbers);
}

gboolean dt_onnx_floats_attribute(const dt_onnx_node_t *node, const char *name, dt_onnx_numbers_t *numbers)
{
  return _list_attribute(node, name, ATTRIBUTE_FLOATS, TYPE_FLOAT, numbers);
}

gboolean dt_onnx_attribute_numbers(dt_onnx_bytes_t message, dt_onnx_numbers_t *numbers)
{
  numbers->count = 0;
  _collect_numbers(message, ATTRIBUTE_I >> 3, TYPE_INT64, numbers);
  _collect_numbers(message, ATTRIBUTE_INTS >> 3, TYPE_INT64, numbers);
  _collect_numbers(message, ATTRIBUTE_F >> 3, TYPE_FLOAT, numbers);
  _collect_numbers(message, ATTRIBUTE_FLOATS >> 3, TYPE_FLOAT, numbers);
  return numbers->count > 0;
}

// The field of a TensorProto that holds values of a type, 0 for types nobody needs here.
static uint32_t _data_field(int type)
{
  switch(type)
  {
  case TYPE_FLOAT: return TENSOR_FLOAT_DATA >> 3;
  case TYPE_INT32:
  case TYPE_BOOL: return TENSOR_INT32_DATA >> 3;
  case TYPE_INT64: return TENSOR_INT64_DATA >> 3;
  default: return 0;
  }
}

gboolean dt_onnx_tensor_numbers(dt_onnx_bytes_t message, dt_onnx_numbers_t *numbers)
{
  dt_onnx_tensor_t tensor;
  numbers->count = 0;
  if(!dt_onnx_read_tensor(message, &tensor) || tensor.external || !_data_field(tensor.type)) return FALSE;
  if(tensor.has_raw)
    _add_packed(numbers, tensor.raw, _bits_of_type(tensor.type) / 8, tensor.type);
  else
    _collect_numbers(message, _data_field(tensor.type), tensor.type, numbers);
  return numbers->count >= 0 && (uint64_t)numbers->count == tensor.elements;
}

/* --- the interface --- */

dt_onnx_graph_t *dt_onnx_graph_parse(const void *data, size_t size, GError **error)
{
  _parser_t parser = { .graph = _new_graph() };
  if(_parse_model(&parser, (dt_onnx_bytes_t){ data, size }))
  {
    _index_constants(parser.graph);
    _drop_initialised_inputs(parser.graph);
    return parser.graph;
  }
  dt_onnx_graph_destroy(parser.graph);
  g_set_error(error, DT_AI_ERROR, DT_AI_ERROR_NO_MODEL,
              "This is not a usable ONNX model: %s. Download or export it again.",
              parser.trouble ? parser.trouble : "its bytes are damaged or of another format");
  return NULL;
}

void dt_onnx_graph_destroy(dt_onnx_graph_t *graph)
{
  if(!graph) return;
  g_array_unref(graph->nodes);
  g_array_unref(graph->node_inputs);
  g_array_unref(graph->node_outputs);
  g_array_unref(graph->constants);
  g_array_unref(graph->inputs);
  g_array_unref(graph->outputs);
  g_tree_unref(graph->constants_by_name);
  g_free(graph->custom_domain);
  g_free(graph);
}

const dt_onnx_value_t *dt_onnx_graph_inputs(const dt_onnx_graph_t *graph, int *count)
{
  *count = (int)graph->inputs->len;
  return (const dt_onnx_value_t *)(const void *)graph->inputs->data;
}

const dt_onnx_value_t *dt_onnx_graph_outputs(const dt_onnx_graph_t *graph, int *count)
{
  *count = (int)graph->outputs->len;
  return (const dt_onnx_value_t *)(const void *)graph->outputs->data;
}

int64_t dt_onnx_graph_opset(const dt_onnx_graph_t *graph)
{
  return graph->opset;
}

gboolean dt_onnx_graph_has_external_data(const dt_onnx_graph_t *graph)
{
  return graph->external;
}

const char *dt_onnx_graph_custom_domain(const dt_onnx_graph_t *graph)
{
  return graph->custom_domain;
}
