/* SPDX-License-Identifier: GPL-3.0-or-later */
/** @file
 * A reader of .onnx files that runs nothing, and the analysis that makes tiling exact.
 *
 * The first half reads protobuf: every length is checked against the bytes that are left, unknown
 * fields are skipped as protobuf itself would, and what costs memory or time is counted against a
 * limit. Nothing of the payload is copied: names, nodes and tensors are slices of the caller's
 * bytes, and attributes are looked up in them when asked for.
 *
 * The second half walks the graph from the image inputs to output 0 and keeps, for every tensor
 * and axis, which input pixels each sample can see. Samples come in periods: `period` samples
 * stand for `step` input pixels, and sample `period * m + r` sees the pixels from
 * `step * m + span[r].lo` to `step * m + span[r].hi`. So all arithmetic is in integers, and the
 * phases of an upsampled grid, which see different pixels, are kept apart.
 *
 * The list of operators is a list of what is local *and* has been seen to give the same bits in a
 * window as in the whole image (ONNX Runtime 1.18 and 1.31, CPU). Left off for their bits alone:
 * ConvTranspose above four threads; Elu, Selu, Celu, Softplus, Mish, Log and Sqrt, whose vectorised
 * loop and its remainder differ in the last bit; linear Resize by factors that are no power of two.
 */
#include "common/onnx_graph.h"

#include <string.h>

// --- limits --------------------------------------------------------------------------------------

#define MAX_BYTES ((size_t)1 << 31) // protobuf has no larger messages
#define MAX_NODES 100000            // subgraphs and functions included
#define MAX_NAMES (1 << 20)         // inputs and outputs of all nodes
#define MAX_TENSORS (1 << 20)       // initialisers
#define MAX_VALUES 4096             // inputs and outputs of the graph, each
#define MAX_NAME 4096               // bytes of one name
#define MAX_DEPTH 8                 // subgraphs within subgraphs
#define MAX_RANK 8                  // as dt_onnx_value_t has room for

#define MAX_NUMBERS 64       // a constant whose values matter (scales, pads, axes) is no longer
#define MAX_PERIOD 256       // samples
#define MAX_STEP (1 << 16)   // input pixels, also of the total stride
#define MAX_REACH (1 << 20)  // input pixels a sample may see to one side
#define MAX_WINDOW (1 << 16) // kernel size, stride, dilation and padding of one operator
#define MAX_FACTOR 64        // of Resize and DepthToSpace
#define MAX_WORK (8 * 1024 * 1024) // spans computed in one walk; real networks need some 10^5

// --- types ---------------------------------------------------------------------------------------

typedef struct _bytes_t
{
  const uint8_t *at;
  size_t size;
} _bytes_t;

typedef struct _field_t
{
  uint32_t tag;    // field number << 3 | wire type
  uint64_t number; // value of a varint or fixed field
  _bytes_t bytes;  // value of a length-delimited field
} _field_t;

typedef struct _node_t
{
  _bytes_t message; // the whole NodeProto; attributes are found in it when needed
  _bytes_t name, op, domain;
  guint first_input, inputs;   // range in node_inputs
  guint first_output, outputs; // range in node_outputs
  gboolean subgraph;           // has an attribute that holds a graph
} _node_t;

typedef struct _constant_t
{
  _bytes_t name;
  _bytes_t tensor; // the TensorProto; empty for a sparse initialiser
} _constant_t;

typedef struct _tensor_t
{
  _bytes_t name, raw;
  int type, rank; // rank may exceed MAX_RANK; then dims holds the first ones
  int64_t dims[MAX_RANK];
  uint64_t elements; // product of all dims, saturating
  uint64_t payload;  // bytes of all data fields
  gboolean has_raw, external;
} _tensor_t;

typedef struct _attribute_t
{
  _bytes_t message, name, text, tensor;
  int64_t integer;
} _attribute_t;

struct dt_onnx_graph_t
{
  GArray *nodes;                      // _node_t, of the main graph
  GArray *node_inputs, *node_outputs; // _bytes_t
  GArray *constants;                  // _constant_t
  GArray *inputs, *outputs;           // dt_onnx_value_t
  GTree *constants_by_name;           // _bytes_t * -> _constant_t *
  int64_t opset;
  gboolean external, functions;
  char *custom_domain;
};

typedef struct _parser_t
{
  dt_onnx_graph_t *graph;
  gboolean has_graph;
  int depth, nodes;
  const char *trouble; // why the bytes were refused, or NULL for "not well-formed"
} _parser_t;

// --- protobuf ------------------------------------------------------------------------------------

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

static gboolean _take(_bytes_t *in, uint64_t size, _bytes_t *out)
{
  if(size > in->size) return FALSE;
  *out = (_bytes_t){in->at, (size_t)size};
  in->at += size;
  in->size -= (size_t)size;
  return TRUE;
}

static gboolean _read_varint(_bytes_t *in, uint64_t *value)
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
  for(size_t i = size; i-- > 0;)
    value = value << 8 | at[i];
  return value;
}

static gboolean _read_fixed(_bytes_t *in, size_t size, uint64_t *value)
{
  _bytes_t bytes;
  if(!_take(in, size, &bytes)) return FALSE;
  *value = _little_endian(bytes.at, size);
  return TRUE;
}

// One value of the given wire type; the deprecated groups (3 and 4) are refused.
static gboolean _read_value(_bytes_t *in, uint32_t wire, _field_t *field)
{
  switch(wire)
  {
  case VARINT:
    return _read_varint(in, &field->number);
  case FIXED64:
    return _read_fixed(in, 8, &field->number);
  case FIXED32:
    return _read_fixed(in, 4, &field->number);
  case BYTES:
    return _read_varint(in, &field->number) && _take(in, field->number, &field->bytes);
  default:
    return FALSE;
  }
}

static gboolean _read_field(_bytes_t *in, _field_t *field)
{
  uint64_t tag = 0;
  *field = (_field_t){0};
  if(!_read_varint(in, &tag) || tag > G_MAXUINT32 || tag < TAG(1, 0)) return FALSE;
  field->tag = (uint32_t)tag;
  return _read_value(in, field->tag & 7, field);
}

static gboolean _equals(_bytes_t bytes, const char *text)
{
  return strlen(text) == bytes.size && memcmp(bytes.at, text, bytes.size) == 0;
}

// A total order for lookup trees; not alphabetical.
static int _compare_bytes(const void *a, const void *b)
{
  const _bytes_t *x = a, *y = b;
  if(x->size != y->size) return x->size < y->size ? -1 : 1;
  return x->size ? memcmp(x->at, y->at, x->size) : 0;
}

static gboolean _is_default_domain(_bytes_t domain)
{
  return domain.size == 0 || _equals(domain, "ai.onnx");
}

// --- tensors -------------------------------------------------------------------------------------

static gboolean _fail(_parser_t *parser, const char *trouble)
{
  if(!parser->trouble) parser->trouble = trouble;
  return FALSE;
}

// Bits of one element as raw_data stores it, 0 when unknown or of no fixed size.
static unsigned _bits_of_type(int type)
{
  static const uint8_t bits[] = {0,  32,  8,  8, 16, 16, 32, 64, 0, 8, 16, 64, 32, 64,
                                 64, 128, 16, 8, 8,  8,  8,  4,  4, 4, 8,  2,  2};
  return type > 0 && type < (int)G_N_ELEMENTS(bits) ? bits[type] : 0;
}

static gboolean _add_dim(_tensor_t *tensor, uint64_t dim)
{
  if(dim > G_MAXINT64) return FALSE;
  if(tensor->rank < MAX_RANK) tensor->dims[tensor->rank] = (int64_t)dim;
  if(tensor->rank < G_MAXINT) tensor->rank++;
  if(!g_uint64_checked_mul(&tensor->elements, tensor->elements, dim))
    tensor->elements = G_MAXUINT64;
  return TRUE;
}

static gboolean _add_packed_dims(_tensor_t *tensor, _bytes_t packed)
{
  uint64_t dim;
  while(packed.size)
    if(!_read_varint(&packed, &dim) || !_add_dim(tensor, dim)) return FALSE;
  return TRUE;
}

static gboolean _read_tensor_field(const _field_t *field, _tensor_t *tensor)
{
  switch(field->tag)
  {
  case TENSOR_DIMS:
    return _add_dim(tensor, field->number);
  case TENSOR_DIMS_PACKED:
    return _add_packed_dims(tensor, field->bytes);
  case TENSOR_DATA_TYPE:
    tensor->type = (int)field->number;
    break;
  case TENSOR_NAME:
    tensor->name = field->bytes;
    break;
  case TENSOR_RAW_DATA:
    tensor->raw = field->bytes;
    tensor->has_raw = TRUE;
    break;
  case TENSOR_EXTERNAL_DATA:
    tensor->external = TRUE;
    break;
  case TENSOR_DATA_LOCATION:
    // 0 is "in this file"; whatever else there may be one day is not.
    tensor->external |= field->number != 0;
    break;
  case TENSOR_FLOAT_DATA:
  case TENSOR_INT32_DATA:
  case TENSOR_INT64_DATA:
  case TENSOR_DOUBLE_DATA:
  case TENSOR_UINT64_DATA:
  case TENSOR_STRING_DATA:
    tensor->payload += field->bytes.size + 1;
    break;
  case TENSOR_FLOAT_DATA_PACKED:
  case TENSOR_INT32_DATA_PACKED:
  case TENSOR_INT64_DATA_PACKED:
  case TENSOR_DOUBLE_DATA_PACKED:
  case TENSOR_UINT64_DATA_PACKED:
    tensor->payload += field->bytes.size;
    break;
  default:
    break;
  }
  return TRUE;
}

static gboolean _read_tensor(_bytes_t in, _tensor_t *tensor)
{
  *tensor = (_tensor_t){.elements = 1};
  _field_t field;
  while(in.size)
    if(!_read_field(&in, &field) || !_read_tensor_field(&field, tensor)) return FALSE;
  return TRUE;
}

// A tensor must not promise more values than the file holds: who believes it would allocate them.
static gboolean _payload_matches(const _tensor_t *tensor)
{
  if(tensor->external) return TRUE; // refused as such, by whoever loads models
  const unsigned bits = _bits_of_type(tensor->type);
  if(tensor->has_raw && bits)
    return tensor->elements <= MAX_BYTES * 8 &&
           (tensor->elements * bits + 7) / 8 == tensor->raw.size;
  // Typed fields spend at least a byte on one value, or on the four that fit into it.
  return tensor->elements <= 8 * (tensor->payload + tensor->raw.size);
}

static gboolean _check_tensor(_parser_t *parser, _bytes_t in, _tensor_t *tensor)
{
  if(!_read_tensor(in, tensor)) return FALSE;
  if(!_payload_matches(tensor)) return _fail(parser, "a tensor's size does not match its data");
  parser->graph->external |= tensor->external;
  return TRUE;
}

// A SparseTensorProto is made of two tensors; its name is that of the values.
static gboolean _check_sparse_tensor(_parser_t *parser, _bytes_t in, _bytes_t *name)
{
  _field_t field;
  _tensor_t tensor;
  while(in.size)
  {
    if(!_read_field(&in, &field)) return FALSE;
    if(field.tag != SPARSE_VALUES && field.tag != SPARSE_INDICES) continue;
    if(!_check_tensor(parser, field.bytes, &tensor)) return FALSE;
    if(field.tag == SPARSE_VALUES && name) *name = tensor.name;
  }
  return TRUE;
}

// --- inputs and outputs --------------------------------------------------------------------------

static void _clear_value(void *data)
{
  dt_onnx_value_t *value = data;
  g_free(value->name);
  for(int i = 0; i < MAX_RANK; i++)
    g_free(value->symbols[i]);
}

// Names that leave this file become C strings, so they must be text without a NUL.
static gboolean _copy_text(_parser_t *parser, _bytes_t bytes, char **text)
{
  if(bytes.size > MAX_NAME) return _fail(parser, "a name is too long");
  if(!g_utf8_validate_len((const char *)bytes.at, bytes.size, NULL))
    return _fail(parser, "a name is not valid text");
  g_free(*text);
  *text = g_strndup((const char *)bytes.at, bytes.size);
  return TRUE;
}

static gboolean _parse_dim(_parser_t *parser, _bytes_t in, dt_onnx_value_t *value)
{
  if(value->rank >= MAX_RANK) return _fail(parser, "an input or output has too many dimensions");
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

static gboolean _parse_shape(_parser_t *parser, _bytes_t in, dt_onnx_value_t *value)
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

static gboolean _parse_tensor_type(_parser_t *parser, _bytes_t in, dt_onnx_value_t *value)
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
static gboolean _parse_type(_parser_t *parser, _bytes_t in, dt_onnx_value_t *value)
{
  _field_t field;
  while(in.size)
  {
    if(!_read_field(&in, &field)) return FALSE;
    if(field.tag == TYPE_TENSOR && !_parse_tensor_type(parser, field.bytes, value)) return FALSE;
  }
  return TRUE;
}

static gboolean _parse_value_fields(_parser_t *parser, _bytes_t in, dt_onnx_value_t *value)
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

static gboolean _parse_value(_parser_t *parser, _bytes_t in, GArray *values)
{
  if(values->len >= MAX_VALUES) return _fail(parser, "it has too many inputs or outputs");
  dt_onnx_value_t value = {.rank = -1};
  const gboolean ok = _parse_value_fields(parser, in, &value);
  g_array_append_val(values, value); // the array frees it in any case
  return ok;
}

// --- nodes and graphs ----------------------------------------------------------------------------

static gboolean _parse_graph(_parser_t *parser, _bytes_t in, gboolean keep);

static gboolean _parse_subgraph(_parser_t *parser, _bytes_t in)
{
  if(parser->depth >= MAX_DEPTH) return _fail(parser, "its subgraphs are nested too deeply");
  parser->depth++;
  const gboolean ok = _parse_graph(parser, in, FALSE);
  parser->depth--;
  return ok;
}

// Attributes are read again when asked for; here they are checked for what they may hide.
static gboolean _check_attribute(_parser_t *parser, _bytes_t in, gboolean *subgraph)
{
  _field_t field;
  _tensor_t tensor;
  gboolean ok = TRUE;
  while(ok && in.size)
  {
    if(!_read_field(&in, &field)) return FALSE;
    switch(field.tag)
    {
    case ATTRIBUTE_T:
    case ATTRIBUTE_TENSORS:
      ok = _check_tensor(parser, field.bytes, &tensor);
      break;
    case ATTRIBUTE_SPARSE_TENSOR:
    case ATTRIBUTE_SPARSE_TENSORS:
      ok = _check_sparse_tensor(parser, field.bytes, NULL);
      break;
    case ATTRIBUTE_G:
    case ATTRIBUTE_GRAPHS:
      *subgraph = TRUE;
      ok = _parse_subgraph(parser, field.bytes);
      break;
    default:
      break;
    }
  }
  return ok;
}

static gboolean _add_name(_parser_t *parser, GArray *names, _bytes_t name, gboolean keep)
{
  if(name.size > MAX_NAME) return _fail(parser, "a name is too long");
  if(!keep) return TRUE;
  if(names->len >= MAX_NAMES) return _fail(parser, "its nodes have too many inputs or outputs");
  g_array_append_val(names, name);
  return TRUE;
}

static gboolean _parse_node_field(_parser_t *parser, const _field_t *field, _node_t *node,
                                  gboolean keep)
{
  switch(field->tag)
  {
  case NODE_INPUT:
    return _add_name(parser, parser->graph->node_inputs, field->bytes, keep);
  case NODE_OUTPUT:
    return _add_name(parser, parser->graph->node_outputs, field->bytes, keep);
  case NODE_ATTRIBUTE:
    return _check_attribute(parser, field->bytes, &node->subgraph);
  case NODE_NAME:
    node->name = field->bytes;
    break;
  case NODE_OP_TYPE:
    node->op = field->bytes;
    break;
  case NODE_DOMAIN:
    node->domain = field->bytes;
    break;
  default:
    break;
  }
  return TRUE;
}

static gboolean _note_domain(_parser_t *parser, _bytes_t domain)
{
  if(_is_default_domain(domain) || parser->graph->custom_domain) return TRUE;
  return _copy_text(parser, domain, &parser->graph->custom_domain);
}

// Nodes of subgraphs and functions are checked and counted, but only the main graph's are kept.
static gboolean _parse_node(_parser_t *parser, _bytes_t in, gboolean keep)
{
  if(++parser->nodes > MAX_NODES) return _fail(parser, "it has too many nodes");
  dt_onnx_graph_t *graph = parser->graph;
  _node_t node = {.message = in,
                  .first_input = graph->node_inputs->len,
                  .first_output = graph->node_outputs->len};
  _field_t field;
  while(in.size)
    if(!_read_field(&in, &field) || !_parse_node_field(parser, &field, &node, keep)) return FALSE;
  node.inputs = graph->node_inputs->len - node.first_input;
  node.outputs = graph->node_outputs->len - node.first_output;
  if(keep) g_array_append_val(graph->nodes, node);
  return _note_domain(parser, node.domain);
}

static gboolean _add_constant(_parser_t *parser, _bytes_t name, _bytes_t tensor, gboolean keep)
{
  GArray *constants = parser->graph->constants;
  if(name.size > MAX_NAME) return _fail(parser, "a name is too long");
  if(!keep) return TRUE;
  if(constants->len >= MAX_TENSORS) return _fail(parser, "it has too many initialisers");
  const _constant_t constant = {name, tensor};
  g_array_append_val(constants, constant);
  return TRUE;
}

static gboolean _parse_initialiser(_parser_t *parser, _bytes_t in, gboolean keep)
{
  _tensor_t tensor;
  return _check_tensor(parser, in, &tensor) && _add_constant(parser, tensor.name, in, keep);
}

static gboolean _parse_sparse_initialiser(_parser_t *parser, _bytes_t in, gboolean keep)
{
  _bytes_t name = {0};
  return _check_sparse_tensor(parser, in, &name) &&
         _add_constant(parser, name, (_bytes_t){0}, keep);
}

static gboolean _parse_graph_field(_parser_t *parser, const _field_t *field, gboolean keep)
{
  switch(field->tag)
  {
  case GRAPH_NODE:
    return _parse_node(parser, field->bytes, keep);
  case GRAPH_INITIALIZER:
    return _parse_initialiser(parser, field->bytes, keep);
  case GRAPH_SPARSE_INITIALIZER:
    return _parse_sparse_initialiser(parser, field->bytes, keep);
  case GRAPH_INPUT:
    return !keep || _parse_value(parser, field->bytes, parser->graph->inputs);
  case GRAPH_OUTPUT:
    return !keep || _parse_value(parser, field->bytes, parser->graph->outputs);
  default:
    return TRUE;
  }
}

static gboolean _parse_graph(_parser_t *parser, _bytes_t in, gboolean keep)
{
  _field_t field;
  while(in.size)
    if(!_read_field(&in, &field) || !_parse_graph_field(parser, &field, keep)) return FALSE;
  return TRUE;
}

// --- models --------------------------------------------------------------------------------------

static gboolean _parse_opset(_parser_t *parser, _bytes_t in)
{
  _bytes_t domain = {0};
  uint64_t version = 0;
  _field_t field;
  while(in.size)
  {
    if(!_read_field(&in, &field)) return FALSE;
    if(field.tag == OPSET_DOMAIN) domain = field.bytes;
    if(field.tag == OPSET_VERSION) version = field.number;
  }
  if(_is_default_domain(domain)) parser->graph->opset = (int64_t)version;
  return TRUE;
}

// Training graphs and functions are looked through for external data, nothing else.
static gboolean _check_training(_parser_t *parser, _bytes_t in)
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

static gboolean _check_function(_parser_t *parser, _bytes_t in)
{
  parser->graph->functions = TRUE;
  gboolean subgraph;
  _field_t field;
  while(in.size)
  {
    if(!_read_field(&in, &field)) return FALSE;
    if(field.tag == FUNCTION_NODE && !_parse_node(parser, field.bytes, FALSE)) return FALSE;
    if(field.tag == FUNCTION_ATTRIBUTE && !_check_attribute(parser, field.bytes, &subgraph))
      return FALSE;
  }
  return TRUE;
}

static gboolean _parse_model_field(_parser_t *parser, const _field_t *field)
{
  switch(field->tag)
  {
  case MODEL_GRAPH:
    parser->has_graph = TRUE;
    return _parse_graph(parser, field->bytes, TRUE);
  case MODEL_OPSET_IMPORT:
    return _parse_opset(parser, field->bytes);
  case MODEL_TRAINING_INFO:
    return _check_training(parser, field->bytes);
  case MODEL_FUNCTION:
    return _check_function(parser, field->bytes);
  default:
    return TRUE;
  }
}

static gboolean _parse_model(_parser_t *parser, _bytes_t in)
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
    _constant_t *constant = &g_array_index(graph->constants, _constant_t, i);
    g_tree_insert(graph->constants_by_name, &constant->name, constant);
  }
}

// Old files list every initialiser among the inputs, where it is merely a default value.
static void _drop_initialised_inputs(dt_onnx_graph_t *graph)
{
  for(guint i = graph->inputs->len; i-- > 0;)
  {
    const char *name = g_array_index(graph->inputs, dt_onnx_value_t, i).name;
    const _bytes_t key = {(const uint8_t *)name, strlen(name)};
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
  graph->nodes = g_array_new(FALSE, FALSE, sizeof(_node_t));
  graph->node_inputs = g_array_new(FALSE, FALSE, sizeof(_bytes_t));
  graph->node_outputs = g_array_new(FALSE, FALSE, sizeof(_bytes_t));
  graph->constants = g_array_new(FALSE, FALSE, sizeof(_constant_t));
  graph->inputs = _new_values();
  graph->outputs = _new_values();
  graph->constants_by_name = g_tree_new(_compare_bytes);
  return graph;
}

// --- attributes and small constants --------------------------------------------------------------

static _attribute_t _read_attribute(_bytes_t in)
{
  _attribute_t attribute = {.message = in};
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

// Steps through a node's attributes; @p rest starts as the node's message.
static gboolean _next_attribute(_bytes_t *rest, _attribute_t *attribute)
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

static gboolean _find_attribute(const _node_t *node, const char *name, _attribute_t *attribute)
{
  _bytes_t rest = node->message;
  while(_next_attribute(&rest, attribute))
    if(_equals(attribute->name, name)) return TRUE;
  return FALSE;
}

static int64_t _integer_attribute(const _node_t *node, const char *name, int64_t fallback)
{
  _attribute_t attribute;
  return _find_attribute(node, name, &attribute) ? attribute.integer : fallback;
}

static _bytes_t _text_attribute(const _node_t *node, const char *name, const char *fallback)
{
  _attribute_t attribute;
  if(_find_attribute(node, name, &attribute)) return attribute.text;
  return (_bytes_t){(const uint8_t *)fallback, strlen(fallback)};
}

// A list of numbers being collected; count is -1 once there were too many.
typedef struct _numbers_t
{
  double value[MAX_NUMBERS];
  int count;
} _numbers_t;

static void _add_number(_numbers_t *numbers, double value)
{
  if(numbers->count >= 0 && numbers->count < MAX_NUMBERS)
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
static void _add_packed(_numbers_t *numbers, _bytes_t packed, size_t size, int type)
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
static void _collect_numbers(_bytes_t in, uint32_t field_number, int type, _numbers_t *numbers)
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

static gboolean _integers_attribute(const _node_t *node, const char *name, _numbers_t *numbers)
{
  _attribute_t attribute;
  numbers->count = 0;
  if(!_find_attribute(node, name, &attribute)) return FALSE;
  _collect_numbers(attribute.message, ATTRIBUTE_INTS >> 3, TYPE_INT64, numbers);
  return TRUE;
}

// The field of a TensorProto that holds values of a type, 0 for types nobody needs here.
static uint32_t _data_field(int type)
{
  switch(type)
  {
  case TYPE_FLOAT:
    return TENSOR_FLOAT_DATA >> 3;
  case TYPE_INT32:
  case TYPE_BOOL:
    return TENSOR_INT32_DATA >> 3;
  case TYPE_INT64:
    return TENSOR_INT64_DATA >> 3;
  default:
    return 0;
  }
}

static gboolean _tensor_numbers(_bytes_t message, _numbers_t *numbers)
{
  _tensor_t tensor;
  numbers->count = 0;
  if(!_read_tensor(message, &tensor) || tensor.external || !_data_field(tensor.type)) return FALSE;
  if(tensor.has_raw)
    _add_packed(numbers, tensor.raw, _bits_of_type(tensor.type) / 8, tensor.type);
  else
    _collect_numbers(message, _data_field(tensor.type), tensor.type, numbers);
  return numbers->count >= 0 && (uint64_t)numbers->count == tensor.elements;
}

// --- what a tensor depends on --------------------------------------------------------------------

typedef struct _span_t
{
  int32_t lo, hi; // first and last input pixel, relative to the start of the sample's period
} _span_t;

typedef struct _axis_t
{
  int period;    // samples in which the pattern of spans repeats …
  int step;      // … and how many input pixels they stand for
  int extra;     // samples beyond period * pixels / step, of convolutions without padding < 0
  _span_t *span; // one per sample of the period
} _axis_t;

// A tensor: an image with axes H and W, or a constant (whatever does not depend on an image).
typedef struct _state_t
{
  gboolean image;
  _axis_t axis[2];
  int rank; // of a constant, -1 unknown
  int64_t dims[MAX_RANK];
  _bytes_t tensor;    // TensorProto with a constant's values, if at hand
  _bytes_t attribute; // or the AttributeProto with them
} _state_t;

typedef struct _walk_t
{
  const dt_onnx_graph_t *graph;
  const _node_t *node;  // the one being looked at
  const char *obstacle; // why the answer is no
  GPtrArray *states;    // owns every _state_t
  GTree *by_name;       // _bytes_t * -> _state_t *
  int64_t stride;       // least common multiple of all steps so far
  int64_t work;         // spans computed so far
  int64_t fixed[2];     // height and width of the image inputs, 0 when open
} _walk_t;

static void _free_state(void *data)
{
  _state_t *state = data;
  g_free(state->axis[0].span);
  g_free(state->axis[1].span);
  g_free(state);
}

static _state_t *_new_state(_walk_t *walk)
{
  _state_t *state = g_new0(_state_t, 1);
  state->rank = -1;
  g_ptr_array_add(walk->states, state);
  return state;
}

static gboolean _refuse(_walk_t *walk, const char *obstacle)
{
  if(!walk->obstacle) walk->obstacle = obstacle;
  return FALSE;
}

static int64_t _gcd(int64_t a, int64_t b)
{
  while(b)
  {
    const int64_t rest = a % b;
    a = b;
    b = rest;
  }
  return a;
}

static int64_t _lcm(int64_t a, int64_t b)
{
  return a / _gcd(a, b) * b;
}

static int64_t _floor_div(int64_t a, int64_t b)
{
  return a / b - (a % b < 0);
}

static gboolean _spend(_walk_t *walk, int64_t work)
{
  walk->work += work;
  return walk->work <= MAX_WORK || _refuse(walk, "makes the network too large to analyse");
}

// --- axes ----------------------------------------------------------------------------------------

static gboolean _init_axis(_walk_t *walk, _axis_t *axis, int64_t period, int64_t step,
                           int64_t extra)
{
  if(period > MAX_PERIOD || step > MAX_STEP || ABS(extra) > MAX_REACH)
    return _refuse(walk, "changes the sampling grid too much");
  walk->stride = _lcm(walk->stride, step);
  if(walk->stride > MAX_STEP) return _refuse(walk, "makes the total stride too large");
  if(!_spend(walk, period)) return FALSE;
  *axis = (_axis_t){(int)period, (int)step, (int)extra, g_new(_span_t, period)};
  // Empty: the union with anything is that thing.
  for(int r = 0; r < period; r++)
    axis->span[r] = (_span_t){G_MAXINT32, G_MININT32};
  return TRUE;
}

typedef struct _reach_t
{
  int64_t lo, hi;
} _reach_t;

static _reach_t _reach_of(const _axis_t *axis, int64_t sample)
{
  const int64_t periods = _floor_div(sample, axis->period);
  const _span_t *span = &axis->span[sample - periods * axis->period];
  return (_reach_t){periods * axis->step + span->lo, periods * axis->step + span->hi};
}

static gboolean _widen(_walk_t *walk, _axis_t *axis, int r, _reach_t reach)
{
  if(reach.lo < -MAX_REACH || reach.hi > MAX_REACH || reach.lo > MAX_REACH || reach.hi < -MAX_REACH)
    return _refuse(walk, "sees too far");
  _span_t *span = &axis->span[r];
  span->lo = MIN(span->lo, (int32_t)reach.lo);
  span->hi = MAX(span->hi, (int32_t)reach.hi);
  return TRUE;
}

static gboolean _copy_axis(_walk_t *walk, const _axis_t *in, _axis_t *out)
{
  if(!_init_axis(walk, out, in->period, in->step, in->extra)) return FALSE;
  memcpy(out->span, in->span, sizeof(_span_t) * (size_t)in->period);
  return TRUE;
}

// Samples that are made up beyond the first or last one (padding) stand for pixels outside the
// window: whoever reads them must know it reads past the window's border. That is so by itself
// unless something was cropped before.
static void _reach_border(_axis_t *axis, gboolean before, gboolean after)
{
  for(int r = 0; before && r < axis->period; r++)
    axis->span[r].lo = MIN(axis->span[r].lo, axis->step - 1);
  for(int r = 0; after && r < axis->period; r++)
  {
    const int64_t periods = _floor_div((int64_t)axis->extra + r, axis->period);
    _span_t *span = &axis->span[axis->extra + r - periods * axis->period];
    const int64_t least = CLAMP(-periods * axis->step, -MAX_REACH, MAX_REACH);
    span->hi = MAX(span->hi, (int32_t)least);
  }
}

// A sliding window along one axis: convolution, pooling, padding, cropping.
typedef struct _window_t
{
  int64_t kernel, stride, dilation, before, after;
  gboolean ceil; // the last window may hang over the end
} _window_t;

static int64_t _window_extra(const _window_t *window, int64_t extra)
{
  const int64_t reach = window->dilation * (window->kernel - 1) + 1;
  const int64_t room = extra + window->before + window->after - reach;
  int64_t count = _floor_div(room, window->stride) + 1;
  if(window->ceil && room - (count - 1) * window->stride > 0) count++;
  // A window that would start in the padding after the end is not placed.
  if(window->ceil && (count - 1) * window->stride >= extra + window->before) count--;
  return count;
}

static gboolean _slide_sample(_walk_t *walk, const _axis_t *in, const _window_t *window,
                              _axis_t *out, int r)
{
  const int64_t first = window->stride * r - window->before;
  // Taps repeat the phases of the period: the first of each sees farthest left, the last right.
  const int64_t skip_from = window->kernel > 2 * in->period ? in->period : window->kernel;
  const int64_t skip_to = MAX(skip_from, window->kernel - in->period);
  for(int64_t tap = 0; tap < window->kernel; tap = tap + 1 == skip_from ? skip_to : tap + 1)
    if(!_widen(walk, out, r, _reach_of(in, first + tap * window->dilation))) return FALSE;
  return TRUE;
}

static gboolean _slide(_walk_t *walk, const _axis_t *input, const _window_t *window, _axis_t *out)
{
  const int64_t period = input->period / _gcd(input->period, window->stride);
  const int64_t step = input->step * (window->stride * period / input->period);
  const int64_t extra = _window_extra(window, input->extra);
  if(!_spend(walk, period * MIN(window->kernel, 2 * input->period))) return FALSE;
  if(!_init_axis(walk, out, period, step, extra)) return FALSE;

  _axis_t in = *input;
  in.span = g_memdup2(input->span, sizeof(_span_t) * (size_t)input->period);
  const int64_t last =
      (extra - 1) * window->stride - window->before + window->dilation * (window->kernel - 1);
  _reach_border(&in, window->before > 0, last >= input->extra);
  gboolean ok = TRUE;
  for(int r = 0; ok && r < period; r++)
    ok = _slide_sample(walk, &in, window, out, r);
  g_free(in.span);
  return ok;
}

// Every sample becomes @p factor samples that see the same.
static gboolean _replicate(_walk_t *walk, const _axis_t *in, int64_t factor, _axis_t *out)
{
  if(!_init_axis(walk, out, in->period * factor, in->step, in->extra * factor)) return FALSE;
  for(int r = 0; r < out->period; r++)
    out->span[r] = in->span[r / factor];
  return TRUE;
}

// Every sample becomes @p factor samples between two neighbours; the ends are held. @p centred:
// samples are pixel centres, so that the first half of them looks to the left.
static gboolean _interpolate(_walk_t *walk, const _axis_t *input, int64_t factor, gboolean centred,
                             _axis_t *out)
{
  if(!_init_axis(walk, out, input->period * factor, input->step, input->extra * factor))
    return FALSE;
  _axis_t in = *input;
  in.span = g_memdup2(input->span, sizeof(_span_t) * (size_t)input->period);
  _reach_border(&in, centred, TRUE);
  gboolean ok = TRUE;
  for(int r = 0; ok && r < out->period; r++)
  {
    const int64_t left = r / factor - (centred && r % factor < factor / 2);
    ok = _widen(walk, out, r, _reach_of(&in, left)) &&
         _widen(walk, out, r, _reach_of(&in, left + 1));
  }
  g_free(in.span);
  return ok;
}

// Widens @p axis to see what @p other sees as well; both must be the same grid.
static gboolean _join_axis(_walk_t *walk, _axis_t *axis, const _axis_t *other)
{
  if((int64_t)axis->step * other->period != (int64_t)other->step * axis->period ||
     axis->extra != other->extra)
    return _refuse(walk, "joins images of different sizes");
  const int64_t period = _lcm(axis->period, other->period);
  _axis_t both = {0};
  if(!_init_axis(walk, &both, period, axis->step * (period / axis->period), axis->extra))
    return FALSE;
  gboolean ok = TRUE;
  for(int r = 0; ok && r < period; r++)
    ok = _widen(walk, &both, r, _reach_of(axis, r)) && _widen(walk, &both, r, _reach_of(other, r));
  g_free(axis->span);
  *axis = both;
  return ok;
}

// --- inputs of a node ----------------------------------------------------------------------------

static void _name_state(_walk_t *walk, const _bytes_t *name, _state_t *state)
{
  g_tree_insert(walk->by_name, (void *)name, state);
}

static _state_t *_constant_state(_walk_t *walk, const _constant_t *constant)
{
  _state_t *state = _new_state(walk);
  _tensor_t tensor;
  if(!constant->tensor.size || !_read_tensor(constant->tensor, &tensor)) return state;
  state->tensor = constant->tensor;
  if(tensor.rank > MAX_RANK) return state;
  state->rank = tensor.rank;
  memcpy(state->dims, tensor.dims, sizeof(state->dims));
  return state;
}

// Image inputs start the walk: one sample per pixel that sees itself. All must be of one size.
static gboolean _start_image(_walk_t *walk, const dt_onnx_value_t *value, _state_t *state)
{
  state->image = TRUE;
  for(int i = 0; i < 2; i++)
  {
    const int64_t size = MAX(value->dims[2 + i], 0);
    if(size && walk->fixed[i] && size != walk->fixed[i])
      return _refuse(walk, "joins images of different sizes");
    if(size) walk->fixed[i] = size;
    if(!_init_axis(walk, &state->axis[i], 1, 1, 0)) return FALSE;
    state->axis[i].span[0] = (_span_t){0, 0};
  }
  return TRUE;
}

static _state_t *_input_state(_walk_t *walk, const dt_onnx_value_t *value)
{
  _state_t *state = _new_state(walk);
  // A rank-4 input of one pixel is a parameter, not an image.
  if(value->rank == 4 && !(value->dims[2] == 1 && value->dims[3] == 1))
    return _start_image(walk, value, state) ? state : NULL;
  state->rank = value->rank;
  memcpy(state->dims, value->dims, sizeof(state->dims));
  return state;
}

static const dt_onnx_value_t *_find_input(const dt_onnx_graph_t *graph, const _bytes_t *name)
{
  for(guint i = 0; i < graph->inputs->len; i++)
  {
    const dt_onnx_value_t *value = &g_array_index(graph->inputs, dt_onnx_value_t, i);
    if(_equals(*name, value->name)) return value;
  }
  return NULL;
}

// The state of a tensor by name: made by an earlier node, an initialiser, or a graph input.
static _state_t *_state_of(_walk_t *walk, const _bytes_t *name)
{
  _state_t *state = g_tree_lookup(walk->by_name, name);
  if(state) return state;
  const _constant_t *constant = g_tree_lookup(walk->graph->constants_by_name, name);
  const dt_onnx_value_t *value = constant ? NULL : _find_input(walk->graph, name);
  if(constant)
    state = _constant_state(walk, constant);
  else if(value)
    state = _input_state(walk, value);
  if(state)
    _name_state(walk, name, state);
  else
    _refuse(walk, "reads a tensor that is not local");
  return state;
}

// Input @p i of the current node, NULL when it was left out.
static const _state_t *_input(_walk_t *walk, guint i)
{
  if(i >= walk->node->inputs) return NULL;
  const _bytes_t *name =
      &g_array_index(walk->graph->node_inputs, _bytes_t, walk->node->first_input + i);
  return name->size ? _state_of(walk, name) : NULL;
}

// The image a rule works on: input 0, while all others are parameters known beforehand.
static const _state_t *_image(_walk_t *walk)
{
  for(guint i = 1; i < walk->node->inputs; i++)
  {
    const _state_t *other = _input(walk, i);
    if(other && other->image)
    {
      _refuse(walk, "takes a parameter from the image");
      return NULL;
    }
  }
  const _state_t *image = _input(walk, 0);
  if(image && image->image) return image;
  _refuse(walk, "has no image for an input");
  return NULL;
}

static gboolean _constant_numbers(const _state_t *state, _numbers_t *numbers)
{
  numbers->count = 0;
  if(!state) return FALSE;
  if(state->tensor.size) return _tensor_numbers(state->tensor, numbers);
  if(!state->attribute.size) return FALSE;
  _collect_numbers(state->attribute, ATTRIBUTE_I >> 3, TYPE_INT64, numbers);
  _collect_numbers(state->attribute, ATTRIBUTE_INTS >> 3, TYPE_INT64, numbers);
  _collect_numbers(state->attribute, ATTRIBUTE_F >> 3, TYPE_FLOAT, numbers);
  _collect_numbers(state->attribute, ATTRIBUTE_FLOATS >> 3, TYPE_FLOAT, numbers);
  return numbers->count > 0;
}

static gboolean _is_channel_axis(double axis)
{
  return axis == 1 || axis == -3; // of NCHW
}

// --- rules, one per kind of operator -------------------------------------------------------------

static gboolean _copy_image(_walk_t *walk, const _state_t *image, _state_t *out)
{
  out->image = TRUE;
  return _copy_axis(walk, &image->axis[0], &out->axis[0]) &&
         _copy_axis(walk, &image->axis[1], &out->axis[1]);
}

// Joins @p image into @p out, which may still be empty.
static gboolean _join_image(_walk_t *walk, const _state_t *image, _state_t *out)
{
  if(!out->image) return _copy_image(walk, image, out);
  return _join_axis(walk, &out->axis[0], &image->axis[0]) &&
         _join_axis(walk, &out->axis[1], &image->axis[1]);
}

// Whether a constant is the same for every pixel when broadcast to an image.
static gboolean _is_uniform(const _state_t *constant)
{
  const int rank = constant->rank;
  if(rank < 0 || rank > 4) return FALSE;
  return (rank < 1 || constant->dims[rank - 1] == 1) && (rank < 2 || constant->dims[rank - 2] == 1);
}

static gboolean _rule_elementwise(_walk_t *walk, _state_t *out)
{
  for(guint i = 0; i < walk->node->inputs; i++)
  {
    const _state_t *input = _input(walk, i);
    if(!input) continue;
    if(input->image && !_join_image(walk, input, out)) return FALSE;
    if(!input->image && !_is_uniform(input))
      return _refuse(walk, "has a constant that may vary over the image");
  }
  return TRUE;
}

static gboolean _rule_per_pixel(_walk_t *walk, _state_t *out)
{
  const _state_t *image = _image(walk);
  return image && _copy_image(walk, image, out);
}

static gboolean _rule_batch_normalization(_walk_t *walk, _state_t *out)
{
  if(_integer_attribute(walk->node, "training_mode", 0))
    return _refuse(walk, "is in training mode");
  return _rule_per_pixel(walk, out);
}

static gboolean _rule_dropout(_walk_t *walk, _state_t *out)
{
  _numbers_t training;
  const _state_t *mode = _input(walk, 2);
  if(mode && !(_constant_numbers(mode, &training) && training.count == 1 && !training.value[0]))
    return _refuse(walk, "may be in training mode");
  return _rule_per_pixel(walk, out);
}

static gboolean _rule_concat(_walk_t *walk, _state_t *out)
{
  if(!_is_channel_axis((double)_integer_attribute(walk->node, "axis", 0)))
    return _refuse(walk, "works along another axis than channels");
  for(guint i = 0; i < walk->node->inputs; i++)
  {
    const _state_t *input = _input(walk, i);
    if(!input || !input->image) return _refuse(walk, "adds a constant plane to an image");
    if(!_join_image(walk, input, out)) return FALSE;
  }
  return TRUE;
}

// Split, Softmax and the like: fine along the channels, and there only.
static gboolean _rule_channel_axis(_walk_t *walk, _state_t *out)
{
  if(!_is_channel_axis((double)_integer_attribute(walk->node, "axis", 0)))
    return _refuse(walk, "works along another axis than channels");
  // Until operator set 13 Softmax took all axes from `axis` on as one.
  if(walk->graph->opset < 13 && !_equals(walk->node->op, "Split"))
    return _refuse(walk, "works along more than the channels");
  return _rule_per_pixel(walk, out);
}

// The `axes` of Slice and the reductions: an attribute once, an input since.
static gboolean _only_channel_axes(_walk_t *walk, guint input)
{
  _numbers_t axes;
  if(!_integers_attribute(walk->node, "axes", &axes) &&
     !_constant_numbers(_input(walk, input), &axes))
    return FALSE;
  for(int i = 0; i < axes.count; i++)
    if(!_is_channel_axis(axes.value[i])) return FALSE;
  return axes.count > 0;
}

static gboolean _rule_slice(_walk_t *walk, _state_t *out)
{
  if(!_only_channel_axes(walk, 3)) return _refuse(walk, "slices more than the channels");
  return _rule_per_pixel(walk, out);
}

static gboolean _rule_reduce(_walk_t *walk, _state_t *out)
{
  if(!_only_channel_axes(walk, 1) || !_integer_attribute(walk->node, "keepdims", 1))
    return _refuse(walk, "reduces more than the channels");
  return _rule_per_pixel(walk, out);
}

static gboolean _rule_quantize(_walk_t *walk, _state_t *out)
{
  const _state_t *scale = _input(walk, 1);
  const gboolean one = scale && (scale->rank == 0 || (scale->rank == 1 && scale->dims[0] == 1));
  if(!one && !_is_channel_axis((double)_integer_attribute(walk->node, "axis", 1)))
    return _refuse(walk, "quantizes along another axis than channels");
  return _rule_per_pixel(walk, out);
}

static gboolean _window_in_bounds(const _window_t *window)
{
  return window->kernel >= 1 && window->kernel <= MAX_WINDOW && window->stride >= 1 &&
         window->stride <= MAX_WINDOW && window->dilation >= 1 && window->dilation <= MAX_WINDOW &&
         ABS(window->before) <= MAX_WINDOW && ABS(window->after) <= MAX_WINDOW;
}

static int64_t _clamped(double value)
{
  return value >= -2.0 * MAX_REACH && value <= 2.0 * MAX_REACH ? (int64_t)value : 2 * MAX_REACH;
}

// Fills one member of both windows from a list of two, or of four for pads.
static gboolean _read_pair(const _node_t *node, const char *name, int64_t pair[2])
{
  _numbers_t numbers;
  if(!_integers_attribute(node, name, &numbers)) return TRUE;
  if(numbers.count != 2) return FALSE;
  pair[0] = _clamped(numbers.value[0]);
  pair[1] = _clamped(numbers.value[1]);
  return TRUE;
}

static gboolean _read_pads(const _node_t *node, _window_t window[2])
{
  _numbers_t pads;
  if(!_integers_attribute(node, "pads", &pads)) return TRUE;
  if(pads.count != 4) return FALSE;
  for(int i = 0; i < 2; i++)
  {
    window[i].before = _clamped(pads.value[i]);
    window[i].after = _clamped(pads.value[2 + i]);
    if(window[i].before < 0 || window[i].after < 0) return FALSE;
  }
  return TRUE;
}

// auto_pad SAME: as many output samples as steps begin within the input, the padding split evenly
// and an odd one at the end (UPPER) or the beginning (LOWER).
static void _pad_same(const _axis_t *axis, _window_t *window, gboolean upper)
{
  const int64_t count = -_floor_div(-(int64_t)axis->extra, window->stride);
  const int64_t pad = MAX(0, (count - 1) * window->stride + window->kernel - axis->extra);
  window->before = upper ? pad / 2 : pad - pad / 2;
  window->after = pad - window->before;
}

static gboolean _read_padding(const _node_t *node, const _state_t *image, _window_t window[2])
{
  const _bytes_t how = _text_attribute(node, "auto_pad", "NOTSET");
  const gboolean upper = _equals(how, "SAME_UPPER");
  if(_equals(how, "VALID")) return TRUE;
  if(_equals(how, "NOTSET")) return _read_pads(node, window);
  // Runtimes disagree on what SAME means for dilated kernels.
  if(window[0].dilation != 1 || window[1].dilation != 1) return FALSE;
  if(!upper && !_equals(how, "SAME_LOWER")) return FALSE;
  for(int i = 0; i < 2; i++)
    _pad_same(&image->axis[i], &window[i], upper);
  return TRUE;
}

// Convolution and pooling share their attributes; @p kernel comes in as the weights' size.
static gboolean _slide_image(_walk_t *walk, int64_t kernel[2], _state_t *out)
{
  const _node_t *node = walk->node;
  const _state_t *image = _image(walk);
  if(!image) return FALSE;
  int64_t strides[2] = {1, 1}, dilations[2] = {1, 1};
  if(!_read_pair(node, "kernel_shape", kernel) || !_read_pair(node, "strides", strides) ||
     !_read_pair(node, "dilations", dilations))
    return _refuse(walk, "is not two-dimensional");
  const gboolean ceil = _integer_attribute(node, "ceil_mode", 0) != 0;
  _window_t window[2];
  for(int i = 0; i < 2; i++)
    window[i] = (_window_t){kernel[i], strides[i], dilations[i], 0, 0, ceil};
  if(!_window_in_bounds(&window[0]) || !_window_in_bounds(&window[1]) ||
     !_read_padding(node, image, window) || !_window_in_bounds(&window[0]) ||
     !_window_in_bounds(&window[1]))
    return _refuse(walk, "has a window that cannot be followed");
  out->image = TRUE;
  return _slide(walk, &image->axis[0], &window[0], &out->axis[0]) &&
         _slide(walk, &image->axis[1], &window[1], &out->axis[1]);
}

static gboolean _rule_pool(_walk_t *walk, _state_t *out)
{
  int64_t kernel[2] = {0, 0};
  return _slide_image(walk, kernel, out);
}

static gboolean _convolve(_walk_t *walk, guint weight_input, _state_t *out)
{
  const _state_t *weight = _input(walk, weight_input);
  int64_t kernel[2] = {0, 0};
  if(weight && weight->rank == 4)
  {
    kernel[0] = MIN(weight->dims[2], MAX_REACH);
    kernel[1] = MIN(weight->dims[3], MAX_REACH);
  }
  return _slide_image(walk, kernel, out);
}

static gboolean _rule_conv(_walk_t *walk, _state_t *out)
{
  return _convolve(walk, 1, out);
}

static gboolean _rule_quantized_conv(_walk_t *walk, _state_t *out)
{
  return _convolve(walk, 3, out);
}

static gboolean _replicate_image(_walk_t *walk, const int64_t factor[2], _state_t *out)
{
  const _state_t *image = _image(walk);
  out->image = TRUE;
  return image && _replicate(walk, &image->axis[0], factor[0], &out->axis[0]) &&
         _replicate(walk, &image->axis[1], factor[1], &out->axis[1]);
}

static gboolean _rule_depth_to_space(_walk_t *walk, _state_t *out)
{
  const int64_t block = _integer_attribute(walk->node, "blocksize", 0);
  if(block < 1 || block > MAX_FACTOR) return _refuse(walk, "has no usable block size");
  const int64_t factor[2] = {block, block};
  return _replicate_image(walk, factor, out);
}

static gboolean _rule_space_to_depth(_walk_t *walk, _state_t *out)
{
  const int64_t block = _integer_attribute(walk->node, "blocksize", 0);
  const _state_t *image = _image(walk);
  if(!image) return FALSE;
  if(block < 1 || block > MAX_FACTOR) return _refuse(walk, "has no usable block size");
  if(image->axis[0].extra % block || image->axis[1].extra % block)
    return _refuse(walk, "does not divide the image evenly");
  const _window_t window = {block, block, 1, 0, 0, FALSE};
  out->image = TRUE;
  return _slide(walk, &image->axis[0], &window, &out->axis[0]) &&
         _slide(walk, &image->axis[1], &window, &out->axis[1]);
}

// Samples along an axis when the model's image size is fixed, 0 when it is open.
static int64_t _axis_length(const _walk_t *walk, const _axis_t *axis, int i)
{
  if(!walk->fixed[i] || walk->fixed[i] % axis->step) return 0;
  return axis->period * (walk->fixed[i] / axis->step) + axis->extra;
}

// The factors of Resize or Upsample, from scales or, in models of fixed size, from sizes.
static gboolean _resize_factors(_walk_t *walk, const _state_t *image, double factor[2])
{
  const guint scales_at = walk->graph->opset >= 11 ? 2 : 1;
  _numbers_t list;
  _attribute_t attribute;
  list.count = 0;
  if(_find_attribute(walk->node, "scales", &attribute))
    _collect_numbers(attribute.message, ATTRIBUTE_FLOATS >> 3, TYPE_FLOAT, &list);
  else
    _constant_numbers(_input(walk, scales_at), &list);
  if(list.count == 4 && list.value[0] == 1 && list.value[1] == 1)
  {
    factor[0] = list.value[2];
    factor[1] = list.value[3];
    return TRUE;
  }
  if(list.count > 0 || !_constant_numbers(_input(walk, 3), &list) || list.count != 4) return FALSE;
  for(int i = 0; i < 2; i++)
  {
    const int64_t length = _axis_length(walk, &image->axis[i], i);
    if(length < 1) return FALSE;
    factor[i] = list.value[2 + i] / (double)length;
  }
  return TRUE;
}

// Which ways of choosing the nearest sample amount to repeating every sample `factor` times.
static gboolean _nearest_replicates(const _walk_t *walk, int64_t factor)
{
  if(factor == 1 || walk->graph->opset < 11) return TRUE;
  const _bytes_t where =
      _text_attribute(walk->node, "coordinate_transformation_mode", "half_pixel");
  const _bytes_t which = _text_attribute(walk->node, "nearest_mode", "round_prefer_floor");
  const gboolean floors = _equals(which, "floor");
  const gboolean prefers_floor = _equals(which, "round_prefer_floor");
  if(_equals(where, "asymmetric")) return floors || (prefers_floor && factor == 2);
  if(_equals(where, "tf_half_pixel_for_nn")) return floors;
  if(!_equals(where, "half_pixel") && !_equals(where, "pytorch_half_pixel")) return FALSE;
  return prefers_floor || _equals(which, "round_prefer_ceil");
}

static gboolean _resize_linear(_walk_t *walk, const _state_t *image, const int64_t factor[2],
                               _state_t *out)
{
  const _bytes_t where = _text_attribute(walk->node, "coordinate_transformation_mode",
                                         walk->graph->opset >= 11 ? "half_pixel" : "asymmetric");
  const gboolean asymmetric = _equals(where, "asymmetric");
  if(!asymmetric && !_equals(where, "half_pixel") && !_equals(where, "pytorch_half_pixel"))
    return _refuse(walk, "depends on the size of the image");
  out->image = TRUE;
  for(int i = 0; i < 2; i++)
  {
    // Only powers of two have exact weights, the same wherever the window lies.
    if(factor[i] & (factor[i] - 1)) return _refuse(walk, "is linear, by no power of two");
    if(!_interpolate(walk, &image->axis[i], factor[i], !asymmetric, &out->axis[i])) return FALSE;
  }
  return TRUE;
}

static gboolean _rule_resize(_walk_t *walk, _state_t *out)
{
  const _state_t *image = _image(walk);
  double scale[2];
  int64_t factor[2];
  if(!image) return FALSE;
  if(!_resize_factors(walk, image, scale)) return _refuse(walk, "resizes by an unknown factor");
  for(int i = 0; i < 2; i++)
  {
    factor[i] = _clamped(scale[i]);
    if(factor[i] < 1 || factor[i] > MAX_FACTOR || (double)factor[i] != scale[i])
      return _refuse(walk, "resizes by no whole factor");
  }
  const _bytes_t mode = _text_attribute(walk->node, "mode", "nearest");
  if(_equals(mode, "linear")) return _resize_linear(walk, image, factor, out);
  if(!_equals(mode, "nearest") || !_nearest_replicates(walk, factor[0]) ||
     !_nearest_replicates(walk, factor[1]))
    return _refuse(walk, "does more than repeat pixels");
  return _replicate_image(walk, factor, out);
}

static gboolean _pad_amounts(_walk_t *walk, _numbers_t *pads)
{
  if(!_integers_attribute(walk->node, "pads", pads) && !_constant_numbers(_input(walk, 1), pads))
    return FALSE;
  // Without `axes`, the pads before all four axes, then those after; none to the batch.
  return pads->count == 8 && pads->value[0] == 0 && pads->value[4] == 0 && !_input(walk, 3);
}

static gboolean _rule_pad(_walk_t *walk, _state_t *out)
{
  const _state_t *image = _image(walk);
  const _bytes_t mode = _text_attribute(walk->node, "mode", "constant");
  _numbers_t pads;
  if(!image) return FALSE;
  if(!_equals(mode, "constant") && !_equals(mode, "reflect") && !_equals(mode, "edge"))
    return _refuse(walk, "brings in the opposite border");
  if(!_pad_amounts(walk, &pads)) return _refuse(walk, "pads by an unknown amount");
  out->image = TRUE;
  for(int i = 0; i < 2; i++)
  {
    const _window_t window = {1,    1, 1, _clamped(pads.value[2 + i]), _clamped(pads.value[6 + i]),
                              FALSE};
    if(!_window_in_bounds(&window)) return _refuse(walk, "pads by too much");
    if(!_slide(walk, &image->axis[i], &window, &out->axis[i])) return FALSE;
  }
  return TRUE;
}

// --- the list ------------------------------------------------------------------------------------

typedef gboolean (*_rule_t)(_walk_t *walk, _state_t *out);

// Operators of one rule, and the attributes they may have: an attribute this list does not know
// could mean anything, so it ends the walk like an unknown operator.
typedef struct _operators_t
{
  const char *names;
  _rule_t rule;
  const char *attributes;
} _operators_t;

static const _operators_t _local_operators[] = {
    {"Relu Sigmoid Tanh Erf Abs Neg Exp Sign Floor Ceil Round Identity PRelu HardSwish Not "
     "Add Sub Mul Div Pow Min Max Sum Mean Where And Or Xor Equal Less Greater LessOrEqual "
     "GreaterOrEqual",
     _rule_elementwise, ""},
    {"LeakyRelu ThresholdedRelu HardSigmoid", _rule_elementwise, "alpha beta"},
    {"Clip", _rule_elementwise, "min max"},
    {"Gelu", _rule_elementwise, "approximate"},
    {"Cast", _rule_elementwise, "to saturate"},
    {"Dropout", _rule_dropout, "ratio seed"},
    {"BatchNormalization", _rule_batch_normalization, "epsilon momentum training_mode"},
    {"Concat", _rule_concat, "axis"},
    {"Split", _rule_channel_axis, "axis split num_outputs"},
    {"Softmax", _rule_channel_axis, "axis"},
    {"Slice", _rule_slice, "axes starts ends"},
    {"ReduceMean ReduceSum ReduceMax ReduceMin", _rule_reduce,
     "axes keepdims noop_with_empty_axes"},
    {"QuantizeLinear DequantizeLinear", _rule_quantize, "axis saturate"},
    {"Conv", _rule_conv, "auto_pad dilations group kernel_shape pads strides"},
    {"QLinearConv", _rule_quantized_conv, "auto_pad dilations group kernel_shape pads strides"},
    {"MaxPool AveragePool", _rule_pool,
     "auto_pad ceil_mode count_include_pad dilations kernel_shape pads storage_order strides"},
    {"DepthToSpace", _rule_depth_to_space, "blocksize mode"},
    {"SpaceToDepth", _rule_space_to_depth, "blocksize"},
    {"Resize", _rule_resize,
     "mode coordinate_transformation_mode nearest_mode cubic_coeff_a exclude_outside "
     "extrapolation_value"},
    {"Upsample", _rule_resize, "mode scales"},
    {"Pad", _rule_pad, "mode pads value"},
};

// Operators that would be local, were their last bits not a matter of where the window lies.
static const char _inexact_operators[] = "ConvTranspose Elu Selu Celu Softplus Mish Log Sqrt";

// Operators that give something else every time.
static const char _random_operators[] =
    "RandomNormal RandomNormalLike RandomUniform RandomUniformLike Multinomial Bernoulli";

// Position of @p word in a list separated by spaces, -1 if it is not there.
static int _word_index(const char *list, _bytes_t word)
{
  for(int i = 0; *list; i++)
  {
    const size_t length = strcspn(list, " ");
    if(length == word.size && memcmp(list, word.at, length) == 0) return i;
    list += length + (list[length] == ' ');
  }
  return -1;
}

static const _operators_t *_find_operators(_bytes_t op)
{
  for(size_t i = 0; i < G_N_ELEMENTS(_local_operators); i++)
    if(_word_index(_local_operators[i].names, op) >= 0) return &_local_operators[i];
  return NULL;
}

static gboolean _attributes_known(const _node_t *node, const char *list)
{
  unsigned seen = 0;
  _bytes_t rest = node->message;
  _attribute_t attribute;
  while(_next_attribute(&rest, &attribute))
  {
    const int i = _word_index(list, attribute.name);
    if(i < 0 || seen & 1u << i) return FALSE; // given twice, either could count
    seen |= 1u << i;
  }
  return TRUE;
}

// --- the walk ------------------------------------------------------------------------------------

// What a Constant node holds is a tensor, or numbers right in an attribute.
static void _read_constant_node(const _node_t *node, _state_t *out)
{
  _attribute_t attribute;
  _tensor_t tensor;
  _bytes_t rest = node->message;
  if(!_next_attribute(&rest, &attribute)) return;
  if(_equals(attribute.name, "value") && _read_tensor(attribute.tensor, &tensor))
  {
    out->tensor = attribute.tensor;
    if(tensor.rank > MAX_RANK) return;
    out->rank = tensor.rank;
    memcpy(out->dims, tensor.dims, sizeof(out->dims));
  }
  else if(_equals(attribute.name, "value_float") || _equals(attribute.name, "value_int"))
  {
    out->attribute = attribute.message;
    out->rank = 0;
  }
  else if(_equals(attribute.name, "value_floats") || _equals(attribute.name, "value_ints"))
    out->attribute = attribute.message;
}

// The shape two constants have together, unknown if either is.
static void _broadcast(_state_t *out, const _state_t *other)
{
  if(out->rank < 0 || other->rank < 0)
  {
    out->rank = -1;
    return;
  }
  const _state_t longer = out->rank >= other->rank ? *out : *other;
  const _state_t *shorter = out->rank >= other->rank ? other : out;
  int64_t dims[MAX_RANK];
  memcpy(dims, longer.dims, sizeof(dims));
  for(int i = 1; i <= shorter->rank; i++)
    if(dims[longer.rank - i] == 1) dims[longer.rank - i] = shorter->dims[shorter->rank - i];
  out->rank = longer.rank;
  memcpy(out->dims, dims, sizeof(dims));
}

// A node that sees constants only is one itself; its shape matters, its values only if copied.
static void _fold(_walk_t *walk, const _operators_t *row, _state_t *out)
{
  const _state_t *first = _input(walk, 0);
  if(_equals(walk->node->op, "Constant")) _read_constant_node(walk->node, out);
  if(!first || !row) return;
  if(_equals(walk->node->op, "Identity") || row->rule == _rule_quantize)
  {
    *out = *first;
    if(row->rule == _rule_quantize) out->tensor = out->attribute = (_bytes_t){0};
  }
  else if(row->rule == _rule_elementwise)
  {
    out->rank = 0;
    for(guint i = 0; i < walk->node->inputs; i++)
      if(_input(walk, i)) _broadcast(out, _input(walk, i));
  }
}

// Whether the current node reads an image; FALSE in @p ok when it reads something unknown.
static gboolean _reads_image(_walk_t *walk, gboolean *ok)
{
  gboolean image = FALSE;
  *ok = TRUE;
  for(guint i = 0; i < walk->node->inputs; i++)
  {
    const _state_t *input = _input(walk, i);
    image |= input && input->image;
  }
  *ok = walk->obstacle == NULL;
  return image;
}

static gboolean _evaluate_constant(_walk_t *walk, const _operators_t *row, _state_t *out)
{
  if(_word_index(_random_operators, walk->node->op) >= 0)
    return _refuse(walk, "makes random numbers");
  _fold(walk, row, out);
  return TRUE;
}

static gboolean _evaluate(_walk_t *walk, _state_t *out)
{
  const _node_t *node = walk->node;
  gboolean ok;
  const gboolean image = _reads_image(walk, &ok);
  if(!ok) return FALSE;
  if(!_is_default_domain(node->domain)) return _refuse(walk, "is no standard operator");
  if(node->subgraph) return _refuse(walk, "runs a graph of its own");
  const _operators_t *row = _find_operators(node->op);
  if(!image) return _evaluate_constant(walk, row, out);
  if(_word_index(_inexact_operators, node->op) >= 0)
    return _refuse(walk, "gives other last bits in a tile");
  if(!row) return _refuse(walk, "is not on the list of local operators");
  if(!_attributes_known(node, row->attributes))
    return _refuse(walk, "has an attribute that is not known");
  return row->rule(walk, out);
}

static gboolean _visit(_walk_t *walk)
{
  const _node_t *node = walk->node;
  _state_t *out = _new_state(walk);
  if(!_evaluate(walk, out)) return FALSE;
  // Further outputs (indices, masks, statistics) stay unknown; only Split's are like the first.
  const guint count = _equals(node->op, "Split") ? node->outputs : MIN(node->outputs, 1);
  for(guint i = 0; i < count; i++)
    _name_state(walk, &g_array_index(walk->graph->node_outputs, _bytes_t, node->first_output + i),
                out);
  return TRUE;
}

static GTree *_index_producers(const dt_onnx_graph_t *graph)
{
  GTree *producers = g_tree_new(_compare_bytes);
  for(guint n = 0; n < graph->nodes->len; n++)
  {
    const _node_t *node = &g_array_index(graph->nodes, _node_t, n);
    for(guint i = 0; i < node->outputs; i++)
    {
      _bytes_t *name = &g_array_index(graph->node_outputs, _bytes_t, node->first_output + i);
      if(name->size) g_tree_insert(producers, name, GUINT_TO_POINTER(n + 1));
    }
  }
  return producers;
}

static void _mark_producer(GTree *producers, const _bytes_t *name, gboolean *needed,
                           GArray *pending)
{
  const guint producer = GPOINTER_TO_UINT(g_tree_lookup(producers, name));
  if(!producer || needed[producer - 1]) return;
  needed[producer - 1] = TRUE;
  const guint node = producer - 1;
  g_array_append_val(pending, node);
}

// Marks the nodes that @p name depends on.
static gboolean *_needed_nodes(const dt_onnx_graph_t *graph, const _bytes_t *name)
{
  gboolean *needed = g_new0(gboolean, MAX(graph->nodes->len, 1));
  GTree *producers = _index_producers(graph);
  GArray *pending = g_array_new(FALSE, FALSE, sizeof(guint));
  _mark_producer(producers, name, needed, pending);
  while(pending->len)
  {
    const guint last = g_array_index(pending, guint, pending->len - 1);
    const _node_t *node = &g_array_index(graph->nodes, _node_t, last);
    g_array_set_size(pending, pending->len - 1);
    for(guint i = 0; i < node->inputs; i++)
      _mark_producer(producers, &g_array_index(graph->node_inputs, _bytes_t, node->first_input + i),
                     needed, pending);
  }
  g_array_unref(pending);
  g_tree_unref(producers);
  return needed;
}

// Follows the graph up to @p name; nodes are in an order in which inputs come first.
static const _state_t *_walk_to(_walk_t *walk, const _bytes_t *name)
{
  gboolean *needed = _needed_nodes(walk->graph, name);
  gboolean ok = TRUE;
  for(guint n = 0; ok && n < walk->graph->nodes->len; n++)
  {
    if(!needed[n]) continue;
    walk->node = &g_array_index(walk->graph->nodes, _node_t, n);
    ok = _visit(walk);
  }
  g_free(needed);
  if(!ok) return NULL;
  walk->node = NULL;
  return _state_of(walk, name);
}

// --- the answer ----------------------------------------------------------------------------------

// Farthest pixel a sample of an output axis sees, from the pixel it lies in.
static int64_t _radius_of(const _axis_t *axis)
{
  int64_t radius = 0;
  for(int r = 0; r < axis->period; r++)
  {
    const int64_t own = (int64_t)r * axis->step / axis->period;
    radius = MAX(radius, MAX(own - axis->span[r].lo, axis->span[r].hi - own));
  }
  return radius;
}

static gboolean _check_output(_walk_t *walk, const _state_t *output)
{
  if(!output->image) return _refuse(walk, "the output does not depend on an image");
  const _axis_t *h = &output->axis[0], *w = &output->axis[1];
  if(h->period % h->step || w->period % w->step)
    return _refuse(walk, "the output is smaller than the input");
  if(h->period / h->step != w->period / w->step)
    return _refuse(walk, "the output has other proportions than the input");
  if(h->extra || w->extra)
    return _refuse(walk, "the size of the output is no multiple of the input's");
  if(walk->fixed[0] % walk->stride || walk->fixed[1] % walk->stride)
    return _refuse(walk, "the fixed size is no multiple of the network's stride");
  return TRUE;
}

// Node and operator names come from the file: printable ASCII survives, the rest becomes '?'.
static void _append_printable(GString *text, _bytes_t bytes, size_t most)
{
  for(size_t i = 0; i < MIN(bytes.size, most); i++)
    g_string_append_c(text, g_ascii_isprint((char)bytes.at[i]) ? (char)bytes.at[i] : '?');
}

static void _explain(const _walk_t *walk, char *reason, size_t size)
{
  GString *text = g_string_new(NULL);
  if(walk->node)
  {
    _append_printable(text, walk->node->op, 24);
    g_string_append(text, " (node ");
    _append_printable(text, walk->node->name, 18);
    g_string_append(text, ") ");
  }
  g_string_append(text, walk->obstacle);
  g_strlcpy(reason, text->str, size);
  g_string_free(text, TRUE);
}

static dt_onnx_locality_t _conclude(_walk_t *walk, const _state_t *output)
{
  dt_onnx_locality_t locality = {0};
  if(output && _check_output(walk, output))
  {
    locality.local = TRUE;
    locality.stride = (int)walk->stride;
    locality.radius = (int)MAX(_radius_of(&output->axis[0]), _radius_of(&output->axis[1]));
    locality.scale = output->axis[0].period / output->axis[0].step;
  }
  else
    _explain(walk, locality.reason, sizeof(locality.reason));
  return locality;
}

// --- the interface -------------------------------------------------------------------------------

dt_onnx_graph_t *dt_onnx_graph_parse(const void *data, size_t size, GError **error)
{
  _parser_t parser = {.graph = _new_graph()};
  if(_parse_model(&parser, (_bytes_t){data, size}))
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

dt_onnx_locality_t dt_onnx_graph_locality(const dt_onnx_graph_t *graph)
{
  _walk_t walk = {.graph = graph,
                  .stride = 1,
                  .states = g_ptr_array_new_with_free_func(_free_state),
                  .by_name = g_tree_new(_compare_bytes)};
  const char *name = g_array_index(graph->outputs, dt_onnx_value_t, 0).name;
  const _bytes_t key = {(const uint8_t *)name, strlen(name)};
  const _state_t *output = NULL;
  // Before operator set 7 broadcasting was spelled otherwise, and functions can redefine anything.
  if(graph->opset < 7)
    _refuse(&walk, "the operator set is too old to be analysed");
  else if(graph->functions)
    _refuse(&walk, "the model defines operators of its own");
  else
    output = _walk_to(&walk, &key);
  const dt_onnx_locality_t locality = _conclude(&walk, output);
  g_tree_unref(walk.by_name);
  g_ptr_array_unref(walk.states);
  return locality;
}
