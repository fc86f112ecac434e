/* SPDX-License-Identifier: GPL-3.0-or-later */
/** @file
 * The reader of .onnx files: what it finds in good models, how it takes damaged and hostile bytes,
 * and whether stride and radius are those that running the networks has shown (locality.txt).
 *
 * Good models are files; hostile ones are written here, field by field.
 */
#include "common/onnx_graph.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#ifndef DT_TEST_FIXTURES_DIR
#define DT_TEST_FIXTURES_DIR "tests/fixtures"
#endif

// --- helpers -------------------------------------------------------------------------------------

typedef struct _model_t
{
  char *bytes;
  gsize size;
  dt_onnx_graph_t *graph;
} _model_t;

static const char *_fixtures(void)
{
  const char *folder = g_getenv("DT_TEST_FIXTURES");
  return folder ? folder : DT_TEST_FIXTURES_DIR;
}

static void _read_fixture(const char *name, char **bytes, gsize *size)
{
  char *path = g_build_filename(_fixtures(), "models", name, NULL);
  GError *error = NULL;
  if(!g_file_get_contents(path, bytes, size, &error)) fail_msg("%s", error->message);
  g_free(path);
}

static _model_t _open(const char *name)
{
  _model_t model = { 0 };
  GError *error = NULL;
  _read_fixture(name, &model.bytes, &model.size);
  model.graph = dt_onnx_graph_parse(model.bytes, model.size, &error);
  if(!model.graph) fail_msg("%s: %s", name, error->message);
  return model;
}

static void _close(_model_t *model)
{
  dt_onnx_graph_destroy(model->graph);
  g_free(model->bytes);
}

static void _assert_value(const dt_onnx_value_t *value, const char *name, int type, int rank)
{
  assert_string_equal(value->name, name);
  assert_int_equal(value->elem_type, type);
  assert_int_equal(value->rank, rank);
}

// --- a small writer of protobuf ------------------------------------------------------------------

typedef GByteArray *_message_t;

static void _put_raw_varint(_message_t message, uint64_t value)
{
  do
  {
    const uint8_t byte = (uint8_t)((value & 0x7f) | (value > 0x7f ? 0x80 : 0));
    g_byte_array_append(message, &byte, 1);
    value >>= 7;
  } while(value);
}

static void _put_varint(_message_t message, uint32_t field, uint64_t value)
{
  _put_raw_varint(message, field << 3);
  _put_raw_varint(message, value);
}

static void _put_bytes(_message_t message, uint32_t field, const void *data, size_t size)
{
  _put_raw_varint(message, field << 3 | 2);
  _put_raw_varint(message, size);
  g_byte_array_append(message, data, (guint)size);
}

static void _put_text(_message_t message, uint32_t field, const char *text)
{
  _put_bytes(message, field, text, strlen(text));
}

// Appends @p part as a field and frees it.
static void _put(_message_t message, uint32_t field, _message_t part)
{
  _put_bytes(message, field, part->data, part->len);
  g_byte_array_unref(part);
}

static _message_t _new(void)
{
  return g_byte_array_new();
}

static _message_t _value_info(const char *name, int rank)
{
  _message_t shape = _new(), tensor = _new(), type = _new(), value = _new();
  for(int i = 0; i < rank; i++) _put(shape, 1, _new());
  _put_varint(tensor, 1, 1);
  _put(tensor, 2, shape);
  _put(type, 1, tensor);
  _put_text(value, 1, name);
  _put(value, 2, type);
  return value;
}

static _message_t _node(const char *op, const char *input, const char *output)
{
  _message_t node = _new();
  _put_text(node, 1, input);
  _put_text(node, 2, output);
  _put_text(node, 4, op);
  return node;
}

static _message_t _integers(const char *name, int count, const int64_t *values)
{
  _message_t attribute = _new();
  _put_text(attribute, 1, name);
  for(int i = 0; i < count; i++) _put_varint(attribute, 8, (uint64_t)values[i]);
  return attribute;
}

static _message_t _integer(const char *name, int64_t value)
{
  _message_t attribute = _new();
  _put_text(attribute, 1, name);
  _put_varint(attribute, 3, (uint64_t)value);
  return attribute;
}

// A tensor without data, or with its data elsewhere.
static _message_t _tensor(const char *name, int64_t dim, gboolean external)
{
  _message_t tensor = _new();
  _put_varint(tensor, 1, (uint64_t)dim);
  _put_varint(tensor, 2, 1);
  _put_text(tensor, 8, name);
  if(external) _put_varint(tensor, 14, 1);
  return tensor;
}

static _message_t _image_graph(void)
{
  _message_t graph = _new();
  _put(graph, 11, _value_info("input", 4));
  _put(graph, 12, _value_info("output", 4));
  return graph;
}

static _message_t _model(_message_t graph)
{
  _message_t model = _new(), opset = _new();
  _put_varint(opset, 2, 17);
  _put(model, 8, opset);
  _put(model, 7, graph);
  return model;
}

// The model that consists of one node.
static _message_t _single(_message_t node)
{
  _message_t graph = _image_graph();
  _put(graph, 1, node);
  return _model(graph);
}

// Parses @p message and frees it; the graph's borrowed bytes live on in @p bytes.
static dt_onnx_graph_t *_parse(_message_t message, GBytes **bytes, GError **error)
{
  *bytes = g_byte_array_free_to_bytes(message);
  gsize size;
  const void *data = g_bytes_get_data(*bytes, &size);
  return dt_onnx_graph_parse(data, size, error);
}

static void _assert_refused(_message_t message, const char *why)
{
  GBytes *bytes;
  GError *error = NULL;
  assert_null(_parse(message, &bytes, &error));
  assert_true(g_error_matches(error, DT_AI_ERROR, DT_AI_ERROR_NO_MODEL));
  if(!strstr(error->message, why)) fail_msg("\"%s\" lacks \"%s\"", error->message, why);
  g_error_free(error);
  g_bytes_unref(bytes);
}

static void _assert_external(_message_t message, gboolean expected)
{
  GBytes *bytes;
  dt_onnx_graph_t *graph = _parse(message, &bytes, NULL);
  assert_non_null(graph);
  assert_int_equal(dt_onnx_graph_has_external_data(graph), expected);
  dt_onnx_graph_destroy(graph);
  g_bytes_unref(bytes);
}

// NULL for @p why: the model is local.
static dt_onnx_locality_t _assert_locality(_message_t message, const char *why)
{
  GBytes *bytes;
  dt_onnx_graph_t *graph = _parse(message, &bytes, NULL);
  assert_non_null(graph);
  const dt_onnx_locality_t locality = dt_onnx_graph_locality(graph);
  if(locality.local != !why) fail_msg("local %d: %s", locality.local, locality.reason);
  if(why && !strstr(locality.reason, why)) fail_msg("\"%s\" lacks \"%s\"", locality.reason, why);
  dt_onnx_graph_destroy(graph);
  g_bytes_unref(bytes);
  return locality;
}

// --- good models ---------------------------------------------------------------------------------

static void _test_values(void **state)
{
  (void)state;
  _model_t model = _open("denoise-sigma/model.onnx");
  int inputs, outputs;
  const dt_onnx_value_t *in = dt_onnx_graph_inputs(model.graph, &inputs);
  const dt_onnx_value_t *out = dt_onnx_graph_outputs(model.graph, &outputs);
  assert_int_equal(inputs, 2);
  assert_int_equal(outputs, 1);
  _assert_value(&in[0], "input", 1, 4);
  _assert_value(&in[1], "sigma", 1, 4);
  _assert_value(&out[0], "output", 1, 4);
  assert_int_equal(in[0].dims[1], 3);
  assert_int_equal(in[1].dims[1], 1);
  assert_int_equal(in[0].dims[2], -1);
  assert_null(in[0].symbols[1]);
  assert_string_equal(in[0].symbols[2], "height");
  assert_string_equal(in[0].symbols[3], "width");
  _close(&model);
}

static void _test_shapes_and_types(void **state)
{
  (void)state;
  int count;
  _model_t model = _open("denoise-static/model.onnx");
  const dt_onnx_value_t *in = dt_onnx_graph_inputs(model.graph, &count);
  assert_int_equal(in[0].dims[2], 64);
  assert_null(in[0].symbols[2]);
  _close(&model);

  model = _open("denoise-batch/model.onnx");
  in = dt_onnx_graph_inputs(model.graph, &count);
  assert_int_equal(in[0].dims[0], -1);
  assert_string_equal(in[0].symbols[0], "N");
  _close(&model);

  model = _open("test-types/model.onnx");
  in = dt_onnx_graph_inputs(model.graph, &count);
  assert_int_equal(count, 6);
  const int types[] = { 2, 3, 6, 7, 10, 1 };
  for(int i = 0; i < count; i++) assert_int_equal(in[i].elem_type, types[i]);
  _assert_value(&in[0], "in_uint8", 2, 1);
  _close(&model);
}

static void _test_initialised_inputs_are_dropped(void **state)
{
  (void)state;
  int count;
  _model_t model = _open("locality-graphs/parameters.onnx");
  const dt_onnx_value_t *in = dt_onnx_graph_inputs(model.graph, &count);
  assert_int_equal(count, 3);
  assert_string_equal(in[1].name, "strength");
  assert_string_equal(in[2].name, "tint");
  _close(&model);
}

static void _test_facts_about_the_model(void **state)
{
  (void)state;
  _model_t model = _open("denoise-unet/model.onnx");
  assert_int_equal(dt_onnx_graph_opset(model.graph), 17);
  assert_false(dt_onnx_graph_has_external_data(model.graph));
  assert_null(dt_onnx_graph_custom_domain(model.graph));
  _close(&model);

  model = _open("broken-external/model.onnx");
  assert_true(dt_onnx_graph_has_external_data(model.graph));
  _close(&model);

  model = _open("locality-graphs/not-custom.onnx");
  assert_string_equal(dt_onnx_graph_custom_domain(model.graph), "com.example");
  _close(&model);
}

// --- stride and radius ---------------------------------------------------------------------------

static void _check_locality(const char *name, int stride, int radius, int scale)
{
  _model_t model = _open(name);
  const dt_onnx_locality_t found = dt_onnx_graph_locality(model.graph);
  if(found.local != (stride > 0) || found.stride != stride || found.radius != radius || found.scale != scale)
    fail_msg("%s: local %d (%s), stride %d, radius %d, scale %d; measured %d, %d, %d", name, found.local,
             found.reason, found.stride, found.radius, found.scale, stride, radius, scale);
  assert_int_equal(found.reason[0] == 0, found.local);
  _close(&model);
}

// Every fixture, against what running it has shown.
static void _test_measured_networks(void **state)
{
  (void)state;
  char *table;
  gsize size;
  _read_fixture("locality.txt", &table, &size);
  char **lines = g_strsplit(table, "\n", -1);
  int checked = 0;
  for(int i = 0; lines[i]; i++)
  {
    if(!lines[i][0] || lines[i][0] == '#') continue;
    char **word = g_strsplit(lines[i], " ", 4);
    assert_int_equal(g_strv_length(word), 4);
    _check_locality(word[0], (int)g_ascii_strtoll(word[1], NULL, 10), (int)g_ascii_strtoll(word[2], NULL, 10),
                    (int)g_ascii_strtoll(word[3], NULL, 10));
    g_strfreev(word);
    checked++;
  }
  assert_true(checked > 100);
  g_strfreev(lines);
  g_free(table);
}

static void _test_reasons(void **state)
{
  (void)state;
  static const struct
  {
    const char *file, *reason;
  } cases[] = {
    { "denoise-global/model.onnx",
      "GlobalAveragePool (node GlobalAveragePool_) is not on the list of local operators" },
    { "denoise-convtranspose/model.onnx",
      "ConvTranspose (node ConvTranspose_2) gives other last bits in a tile" },
    { "denoise-resize/model.onnx", "the output is smaller than the input" },
    { "locality-graphs/not-indices.onnx", "Cast (node Cast_1) reads a tensor that is not local" },
    { "locality-graphs/not-custom.onnx", "Relu (node Relu_0) is no standard operator" },
    { "locality-graphs/not-if.onnx", "If (node If_0) runs a graph of its own" },
  };
  for(size_t i = 0; i < G_N_ELEMENTS(cases); i++)
  {
    _model_t model = _open(cases[i].file);
    assert_string_equal(dt_onnx_graph_locality(model.graph).reason, cases[i].reason);
    _close(&model);
  }
}

// The published model that the bundled data holds; it is not part of the source tree.
static void _test_ffdnet(void **state)
{
  (void)state;
  const char *data = g_getenv("DT_TEST_DATA");
  char *folder =
      data ? g_strdup(data) : g_build_filename(_fixtures(), "..", "..", "..", "shared", "data", NULL);
  char *path = g_build_filename(folder, "models", "denoise-ffdnet", "model.onnx", NULL);
  char *bytes = NULL;
  gsize size = 0;
  const gboolean there = g_file_get_contents(path, &bytes, &size, NULL);
  g_free(path);
  g_free(folder);
  if(!there) skip();
  dt_onnx_graph_t *graph = dt_onnx_graph_parse(bytes, size, NULL);
  assert_non_null(graph);
  const dt_onnx_locality_t found = dt_onnx_graph_locality(graph);
  assert_true(found.local);
  assert_int_equal(found.stride, 2);
  assert_int_equal(found.radius, 25);
  assert_int_equal(found.scale, 1);
  dt_onnx_graph_destroy(graph);
  g_free(bytes);
}

// --- hostile networks ----------------------------------------------------------------------------

static _message_t _conv(const char *attribute, int count, const int64_t *values)
{
  _message_t node = _node("MaxPool", "input", "output");
  if(strcmp(attribute, "kernel_shape") != 0)
    _put(node, 5, _integers("kernel_shape", 2, (const int64_t[]){ 3, 3 }));
  _put(node, 5, _integers(attribute, count, values));
  return _single(node);
}

static void _test_windows_out_of_bounds(void **state)
{
  (void)state;
  const char *why = "cannot be followed";
  const int64_t none[] = { 0, 0 }, huge[] = { G_MAXINT64, G_MAXINT64 }, negative[] = { -1, -1 };
  const int64_t pads[] = { 0, 0, -1, 0 }, large[] = { 65536, 65536 };
  _assert_locality(_conv("kernel_shape", 2, none), why);
  _assert_locality(_conv("kernel_shape", 2, huge), why);
  _assert_locality(_conv("strides", 2, none), why);
  _assert_locality(_conv("strides", 2, negative), why);
  _assert_locality(_conv("dilations", 2, huge), why);
  _assert_locality(_conv("pads", 4, pads), why);
  _assert_locality(_conv("pads", 2, none), why);
  _assert_locality(_conv("strides", 1, large), "two-dimensional");
  _assert_locality(_conv("kernel_shape", 2, large), "size of the output");
  _assert_locality(_conv("dilations", 2, large), "size of the output");
  _assert_locality(_conv("strides", 2, large), "smaller");
}

// Unknown attributes and those given twice end the walk: either could mean anything.
static void _test_attributes_are_whitelisted(void **state)
{
  (void)state;
  _message_t node = _node("DepthToSpace", "input", "output");
  _put(node, 5, _integer("blocksize", 2));
  assert_int_equal(_assert_locality(_single(node), NULL).scale, 2);

  node = _node("DepthToSpace", "input", "output");
  _put(node, 5, _integer("blocksize", 2));
  _put(node, 5, _integer("blocksize", 3));
  _assert_locality(_single(node), "attribute that is not known");

  node = _node("Relu", "input", "output");
  _put(node, 5, _integer("new_in_2030", 1));
  _assert_locality(_single(node), "attribute that is not known");

  node = _node("DepthToSpace", "input", "output");
  _put(node, 5, _integer("blocksize", G_MININT64));
  _assert_locality(_single(node), "block size");
}

// @p count operators in a row, from "input" to "output".
static _message_t _chain(int count, const char *op, const char *attribute, int64_t value)
{
  _message_t graph = _image_graph();
  for(int i = 0; i < count; i++)
  {
    char *from = i ? g_strdup_printf("t%d", i) : g_strdup("input");
    char *to = i + 1 < count ? g_strdup_printf("t%d", i + 1) : g_strdup("output");
    _message_t node = _node(op, from, to);
    if(attribute) _put(node, 5, _integer(attribute, value));
    _put(graph, 1, node);
    g_free(from);
    g_free(to);
  }
  return _model(graph);
}

static void _test_grids_out_of_bounds(void **state)
{
  (void)state;
  assert_int_equal(_assert_locality(_chain(2, "DepthToSpace", "blocksize", 16), NULL).scale, 256);
  _assert_locality(_chain(3, "DepthToSpace", "blocksize", 16), "sampling grid");
  _assert_locality(_chain(4, "SpaceToDepth", "blocksize", 16), "smaller");
  _assert_locality(_chain(9, "SpaceToDepth", "blocksize", 61), "sampling grid");
}

// Seventeen dilated windows of which each sees 65536 pixels to either side.
static void _test_reach_out_of_bounds(void **state)
{
  (void)state;
  _message_t graph = _image_graph();
  for(int i = 0; i < 17; i++)
  {
    char *from = g_strdup_printf("t%d", i), *to = g_strdup_printf("t%d", i + 1);
    _message_t node = _node("MaxPool", i ? from : "input", i < 16 ? to : "output");
    _put(node, 5, _integers("kernel_shape", 2, (const int64_t[]){ 3, 3 }));
    _put(node, 5, _integers("dilations", 2, (const int64_t[]){ 65536, 65536 }));
    _put(node, 5, _integers("pads", 4, (const int64_t[]){ 65536, 65536, 65536, 65536 }));
    _put(graph, 1, node);
    g_free(from);
    g_free(to);
  }
  _assert_locality(_model(graph), "sees too far");
}

// A kernel that repeats the phases of its grid is not walked tap by tap, but gives the same.
static void _test_large_kernels(void **state)
{
  (void)state;
  _message_t graph = _image_graph();
  _message_t up = _node("DepthToSpace", "input", "t");
  _put(up, 5, _integer("blocksize", 4));
  _message_t pool = _node("MaxPool", "t", "output");
  _put(pool, 5, _integers("kernel_shape", 2, (const int64_t[]){ 41, 41 }));
  _put(pool, 5, _integers("pads", 4, (const int64_t[]){ 20, 20, 20, 20 }));
  _put(graph, 1, up);
  _put(graph, 1, pool);
  const dt_onnx_locality_t found = _assert_locality(_model(graph), NULL);
  assert_int_equal(found.radius, 5);
  assert_int_equal(found.scale, 4);
}

// What a walk costs is bounded, whatever the file asks for.
static void _test_work_is_bounded(void **state)
{
  (void)state;
  _message_t graph = _image_graph();
  _message_t up = _node("DepthToSpace", "input", "t0");
  _put(up, 5, _integer("blocksize", 64));
  _put(graph, 1, up);
  for(int i = 0; i < 90000; i++)
  {
    char *from = g_strdup_printf("t%d", i), *to = g_strdup_printf("t%d", i + 1);
    _put(graph, 1, _node("Relu", from, i + 1 < 90000 ? to : "output"));
    g_free(from);
    g_free(to);
  }
  _assert_locality(_model(graph), "too large to analyse");
}

static _message_t _pair(const char *op, const char *second)
{
  _message_t node = _node(op, "input", "output");
  _put_text(node, 1, second);
  return node;
}

// An image where a parameter belongs, a parameter where an image belongs, and modes of training.
static void _test_roles_of_inputs(void **state)
{
  (void)state;
  _assert_locality(_single(_pair("Conv", "input")), "takes a parameter from the image");
  _assert_locality(_single(_pair("Concat", "output")), "reads a tensor");
  _message_t node = _pair("BatchNormalization", "");
  _put(node, 5, _integer("training_mode", 1));
  _assert_locality(_single(node), "training mode");
  node = _pair("QuantizeLinear", "");
  _put(node, 5, _integer("axis", 3));
  _assert_locality(_single(node), "another axis");

  // An input that is not rank 4 is a parameter.
  _message_t graph = _image_graph();
  node = _new();
  _put_text(node, 1, "scalar");
  _put_text(node, 1, "input");
  _put_text(node, 2, "output");
  _put_text(node, 4, "Pow");
  _put(graph, 1, node);
  _put(graph, 11, _value_info("scalar", 0));
  _assert_locality(_model(graph), NULL);

  graph = _image_graph();
  node = _node("Conv", "scalar", "output");
  _put_text(node, 1, "input");
  _put(graph, 1, node);
  _put(graph, 11, _value_info("scalar", 0));
  _assert_locality(_model(graph), "takes a parameter from the image");
}

static void _test_orders_and_names(void **state)
{
  (void)state;
  // The order of nodes matters; a tensor nobody makes is not local; neither is a cycle.
  _message_t graph = _image_graph();
  _put(graph, 1, _node("Relu", "t", "output"));
  _put(graph, 1, _node("Relu", "input", "t"));
  _assert_locality(_model(graph), "not local");
  _assert_locality(_single(_node("Relu", "nobody", "output")), "not local");
  _assert_locality(_single(_node("Relu", "output", "output")), "not local");
  _assert_locality(_single(_node("Relu", "input", "t")), "reads a tensor");
  // An operator without inputs that is no constant, and one whose input was left out.
  _assert_locality(_single(_node("Relu", "", "output")), "does not depend on an image");
  // The reason is for people: no control characters, and never too long.
  char *odd = g_strnfill(3000, '\n');
  const dt_onnx_locality_t found = _assert_locality(_single(_node(odd, "input", "output")), "????");
  assert_true(strlen(found.reason) < sizeof(found.reason));
  g_free(odd);
}

static void _test_old_operator_sets_and_functions(void **state)
{
  (void)state;
  _message_t graph = _image_graph();
  _put(graph, 1, _node("Relu", "input", "output"));
  _message_t model = _model(graph), opset = _new();
  _put_varint(opset, 2, 6);
  _put(model, 8, opset);
  _assert_locality(model, "too old");

  model = _single(_node("Relu", "input", "output"));
  _put(model, 25, _new());
  _assert_locality(model, "operators of its own");
}

// --- hostile bytes -------------------------------------------------------------------------------

static void _assert_bytes_refused(const char *bytes, size_t size)
{
  _message_t message = _new();
  g_byte_array_append(message, (const guint8 *)bytes, (guint)size);
  _assert_refused(message, "damaged");
}

static void _test_malformed(void **state)
{
  (void)state;
  _assert_bytes_refused("\x80", 1);                                              // tag without an end
  _assert_bytes_refused("\x08", 1);                                              // varint without a byte
  _assert_bytes_refused("\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 12); // too long
  _assert_bytes_refused("\x3a\x05\x01", 3);                                      // longer than the file
  _assert_bytes_refused("\x3a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 11);     // far longer
  _assert_bytes_refused("\x09\x01\x02\x03", 4);                                  // half a fixed64
  _assert_bytes_refused("\x0d\x01\x02", 3);                                      // half a fixed32
  _assert_bytes_refused("\x0b\x0c", 2);                                          // a group
  _assert_bytes_refused("\x0f\x00", 2);                                          // wire type 7
  _assert_bytes_refused("\x02\x00", 2);                                          // field number 0
  _assert_bytes_refused("\x82\x80\x80\x80\x80\x01\x00", 7);                      // tag beyond 32 bits
  _assert_bytes_refused("This is not a model.\n", 21);
}

static void _test_incomplete(void **state)
{
  (void)state;
  _assert_refused(_new(), "no graph");
  _assert_refused(_model(_new()), "no output");
  _message_t graph = _new();
  _put(graph, 12, _new());
  _assert_refused(_model(graph), "no name");
}

static void _test_bad_names_and_ranks(void **state)
{
  (void)state;
  _message_t graph = _new(), value = _new();
  _put_bytes(value, 1, "a\0b", 3);
  _put(graph, 12, value);
  _assert_refused(_model(graph), "not valid text");

  graph = _new();
  value = _new();
  _put_bytes(value, 1, "\xff\xfe", 2);
  _put(graph, 12, value);
  _assert_refused(_model(graph), "not valid text");

  graph = _new();
  char *name = g_strnfill(5000, 'x');
  _put(graph, 12, _value_info(name, 1));
  _assert_refused(_model(graph), "too long");
  _assert_refused(_single(_node("Relu", name, "output")), "too long");
  g_free(name);

  graph = _new();
  _put(graph, 12, _value_info("x", 9));
  _assert_refused(_model(graph), "too many dimensions");
}

static void _test_too_many(void **state)
{
  (void)state;
  _message_t graph = _image_graph();
  for(int i = 0; i <= 100000; i++) _put(graph, 1, _new());
  _assert_refused(_model(graph), "too many nodes");

  graph = _image_graph();
  for(int i = 0; i < 5000; i++) _put(graph, 11, _value_info("x", 0));
  _assert_refused(_model(graph), "too many inputs or outputs");

  _message_t node = _new();
  for(int i = 0; i <= 1 << 20; i++) _put_text(node, 1, "");
  _assert_refused(_single(node), "too many inputs or outputs");
}

// A tensor that promises more than the file holds.
static void _test_lying_tensors(void **state)
{
  (void)state;
  const int64_t sizes[] = { 1, 1000000, G_MAXINT64 };
  for(size_t i = 0; i < G_N_ELEMENTS(sizes); i++)
  {
    _message_t graph = _image_graph();
    _put(graph, 5, _tensor("w", sizes[i], FALSE));
    _assert_refused(_model(graph), "does not match its data");
  }
  _message_t graph = _image_graph(), tensor = _tensor("w", 3, FALSE);
  _put_bytes(tensor, 9, "12345678", 8);
  _put(graph, 5, tensor);
  _assert_refused(_model(graph), "does not match its data");

  graph = _image_graph();
  tensor = _tensor("w", G_MAXINT64, FALSE);
  _put_varint(tensor, 1, 4);
  _put_bytes(tensor, 9, "", 0);
  _put(graph, 5, tensor);
  _assert_refused(_model(graph), "does not match its data");

  graph = _image_graph();
  tensor = _tensor("w", -1, FALSE);
  _put(graph, 5, tensor);
  _assert_refused(_model(graph), "damaged");
}

static _message_t _attribute_with(uint32_t field, _message_t part)
{
  _message_t attribute = _new(), node = _node("X", "input", "output");
  _put_text(attribute, 1, "a");
  _put(attribute, field, part);
  _put(node, 5, attribute);
  return node;
}

static _message_t _graph_with(uint32_t field, _message_t part)
{
  _message_t graph = _new();
  _put(graph, field, part);
  return graph;
}

// External data is found wherever a tensor can hide.
static void _test_external_data_everywhere(void **state)
{
  (void)state;
  _message_t graph = _image_graph();
  _put(graph, 5, _tensor("w", 9, TRUE));
  _assert_external(_model(graph), TRUE);
  _assert_external(_single(_attribute_with(5, _tensor("w", 9, TRUE))), TRUE);
  _assert_external(_single(_attribute_with(10, _tensor("w", 9, TRUE))), TRUE);

  _message_t sparse = _graph_with(1, _tensor("w", 9, TRUE));
  _assert_external(_single(_attribute_with(22, sparse)), TRUE);
  sparse = _graph_with(2, _tensor("w", 9, TRUE));
  _assert_external(_single(_attribute_with(23, sparse)), TRUE);
  graph = _image_graph();
  _put(graph, 15, _graph_with(2, _tensor("w", 9, TRUE)));
  _assert_external(_model(graph), TRUE);

  _message_t inner = _graph_with(5, _tensor("w", 9, TRUE));
  _assert_external(_single(_attribute_with(6, inner)), TRUE);
  inner = _graph_with(1, _attribute_with(5, _tensor("w", 9, TRUE)));
  _assert_external(_single(_attribute_with(11, inner)), TRUE);

  _message_t model = _single(_node("Relu", "input", "output"));
  _put(model, 25, _graph_with(7, _attribute_with(5, _tensor("w", 9, TRUE))));
  _assert_external(model, TRUE);
  model = _single(_node("Relu", "input", "output"));
  _put(model, 20, _graph_with(2, _graph_with(5, _tensor("w", 9, TRUE))));
  _assert_external(model, TRUE);

  // The list of keys alone, without the flag, counts as well.
  graph = _image_graph();
  _message_t tensor = _tensor("w", 0, FALSE);
  _put(tensor, 13, _new());
  _put(graph, 5, tensor);
  _assert_external(_model(graph), TRUE);
  _assert_external(_single(_node("Relu", "input", "output")), FALSE);
}

static _message_t _nested(int depth)
{
  _message_t graph = _graph_with(1, _node("Relu", "a", "b"));
  for(int i = 0; i < depth; i++) graph = _graph_with(1, _attribute_with(6, graph));
  _put(graph, 11, _value_info("input", 4));
  _put(graph, 12, _value_info("output", 4));
  return _model(graph);
}

static void _test_nesting(void **state)
{
  (void)state;
  _assert_external(_nested(8), FALSE);
  _assert_refused(_nested(9), "nested too deeply");
  _assert_refused(_nested(5000), "nested too deeply");
}

// Uses everything a graph offers, so that a sanitizer sees every read.
static void _exercise(const uint8_t *bytes, size_t size)
{
  uint8_t *exact = g_memdup2(bytes, size);
  dt_onnx_graph_t *graph = dt_onnx_graph_parse(exact, size, NULL);
  if(graph)
  {
    const dt_onnx_locality_t found = dt_onnx_graph_locality(graph);
    assert_true(!found.local || (found.stride > 0 && found.radius >= 0 && found.scale > 0));
    assert_true(memchr(found.reason, 0, sizeof(found.reason)) != NULL);
    dt_onnx_graph_destroy(graph);
  }
  g_free(exact);
}

static void _test_truncation_at_every_byte(void **state)
{
  (void)state;
  const char *names[] = { "denoise-fp16/model.onnx", "locality-graphs/constant-nodes.onnx" };
  for(size_t n = 0; n < G_N_ELEMENTS(names); n++)
  {
    char *bytes;
    gsize size;
    _read_fixture(names[n], &bytes, &size);
    for(gsize length = 0; length <= size; length++) _exercise((const uint8_t *)bytes, length);
    g_free(bytes);
  }
}

static void _flip_bytes(GRand *random, const char *name, int rounds)
{
  char *bytes;
  gsize size;
  _read_fixture(name, &bytes, &size);
  uint8_t *copy = g_malloc(size);
  for(int i = 0; i < rounds; i++)
  {
    memcpy(copy, bytes, size);
    for(int flips = g_rand_int_range(random, 1, 6); flips > 0; flips--)
      copy[g_rand_int_range(random, 0, (gint32)size)] = (uint8_t)g_rand_int(random);
    _exercise(copy, size);
  }
  g_free(copy);
  g_free(bytes);
}

static void _test_random_byte_flips(void **state)
{
  (void)state;
  GRand *random = g_rand_new_with_seed(17);
  _flip_bytes(random, "denoise-fp16/model.onnx", 2500);
  _flip_bytes(random, "denoise-unet/model.onnx", 1000);
  _flip_bytes(random, "locality-graphs/constant-nodes.onnx", 2500);
  _flip_bytes(random, "locality-graphs/phases.onnx", 2000);
  _flip_bytes(random, "locality-graphs/not-if.onnx", 2000);
  g_rand_free(random);
}

static void _test_destroy_null(void **state)
{
  (void)state;
  dt_onnx_graph_destroy(NULL);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(_test_values),
    cmocka_unit_test(_test_shapes_and_types),
    cmocka_unit_test(_test_initialised_inputs_are_dropped),
    cmocka_unit_test(_test_facts_about_the_model),
    cmocka_unit_test(_test_measured_networks),
    cmocka_unit_test(_test_reasons),
    cmocka_unit_test(_test_ffdnet),
    cmocka_unit_test(_test_windows_out_of_bounds),
    cmocka_unit_test(_test_attributes_are_whitelisted),
    cmocka_unit_test(_test_grids_out_of_bounds),
    cmocka_unit_test(_test_reach_out_of_bounds),
    cmocka_unit_test(_test_large_kernels),
    cmocka_unit_test(_test_work_is_bounded),
    cmocka_unit_test(_test_roles_of_inputs),
    cmocka_unit_test(_test_orders_and_names),
    cmocka_unit_test(_test_old_operator_sets_and_functions),
    cmocka_unit_test(_test_malformed),
    cmocka_unit_test(_test_incomplete),
    cmocka_unit_test(_test_bad_names_and_ranks),
    cmocka_unit_test(_test_too_many),
    cmocka_unit_test(_test_lying_tensors),
    cmocka_unit_test(_test_external_data_everywhere),
    cmocka_unit_test(_test_nesting),
    cmocka_unit_test(_test_truncation_at_every_byte),
    cmocka_unit_test(_test_random_byte_flips),
    cmocka_unit_test(_test_destroy_null),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
