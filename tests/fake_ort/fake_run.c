/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Tensors and runs. Whatever the model, the network is the identity: an output is the first input of floats, cut
 * or repeated to the output's channels. Only a single Relu is computed, because programs try devices with it. */
#include "common/half.h"
#include "fake.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* --- tensors --- */

struct OrtValue
{
  ONNXTensorElementDataType type;
  size_t ndim, n; /* n: elements */
  int64_t *dims;
  void *data;
  gboolean owned; /* whether data is freed with the value */
};

static const struct
{
  const char *name;
  size_t size;
} _types[] = {
  [ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT] = { "tensor(float)", 4 },
  [ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT8] = { "tensor(uint8)", 1 },
  [ONNX_TENSOR_ELEMENT_DATA_TYPE_INT8] = { "tensor(int8)", 1 },
  [ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT16] = { "tensor(uint16)", 2 },
  [ONNX_TENSOR_ELEMENT_DATA_TYPE_INT16] = { "tensor(int16)", 2 },
  [ONNX_TENSOR_ELEMENT_DATA_TYPE_INT32] = { "tensor(int32)", 4 },
  [ONNX_TENSOR_ELEMENT_DATA_TYPE_INT64] = { "tensor(int64)", 8 },
  [ONNX_TENSOR_ELEMENT_DATA_TYPE_BOOL] = { "tensor(bool)", 1 },
  [ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT16] = { "tensor(float16)", 2 },
  [ONNX_TENSOR_ELEMENT_DATA_TYPE_DOUBLE] = { "tensor(double)", 8 },
  [ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT32] = { "tensor(uint32)", 4 },
  [ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT64] = { "tensor(uint64)", 8 },
};

static size_t _type_size(ONNXTensorElementDataType type)
{
  return (size_t)type < G_N_ELEMENTS(_types) ? _types[type].size : 0;
}

static const char *_type_name(ONNXTensorElementDataType type)
{
  return _type_size(type) ? _types[type].name : "tensor(?)";
}

/* Why a tensor cannot be, or NULL and the bytes it takes. */
static OrtStatus *_measure(ONNXTensorElementDataType type, const int64_t *dims, size_t ndim, size_t *bytes)
{
  *bytes = _type_size(type);
  if(!*bytes) return fake_status(ORT_NOT_IMPLEMENTED, "element type %d is not supported", (int)type);
  for(size_t i = 0; i < ndim; i++)
    if(dims[i] < 0 || !g_size_checked_mul(bytes, *bytes, (size_t)dims[i]))
      return fake_status(ORT_INVALID_ARGUMENT, "tried creating tensor with negative or huge value in shape");
  return NULL;
}

static OrtValue *_new_value(ONNXTensorElementDataType type, const int64_t *dims, size_t ndim, size_t bytes)
{
  OrtValue *value = g_new0(OrtValue, 1);
  value->type = type;
  value->ndim = ndim;
  value->n = bytes / _type_size(type);
  value->dims = g_new(int64_t, ndim + 1);
  if(ndim) memcpy(value->dims, dims, ndim * sizeof *dims);
  return value;
}

static void ORT_API_CALL _release_value(OrtValue *value)
{
  if(!value) return;
  if(value->owned) free(value->data);
  g_free(value->dims);
  g_free(value);
}

static OrtStatus *ORT_API_CALL _wrap_data(const OrtMemoryInfo *info, void *data, size_t size,
                                          const int64_t *dims, size_t ndim, ONNXTensorElementDataType type,
                                          OrtValue **out)
{
  (void)info;
  size_t bytes;
  OrtStatus *status = _measure(type, dims, ndim, &bytes);
  if(!status && size < bytes)
    status = fake_status(ORT_INVALID_ARGUMENT, "not enough space: expected %zu, got %zu", bytes, size);
  if(status) return status;
  *out = _new_value(type, dims, ndim, bytes);
  (*out)->data = data;
  return NULL;
}

static OrtStatus *ORT_API_CALL _create_tensor(OrtAllocator *allocator, const int64_t *dims, size_t ndim,
                                              ONNXTensorElementDataType type, OrtValue **out)
{
  (void)allocator;
  size_t bytes;
  OrtStatus *status = _measure(type, dims, ndim, &bytes);
  if(status) return status;
  void *data = calloc(1, MAX(bytes, 1));
  if(!data) return fake_status(ORT_FAIL, "Failed to allocate memory for requested buffer of size %zu", bytes);
  *out = _new_value(type, dims, ndim, bytes);
  (*out)->data = data;
  (*out)->owned = TRUE;
  return NULL;
}

static OrtStatus *ORT_API_CALL _is_tensor(const OrtValue *value, int *out)
{
  *out = value != NULL;
  return NULL;
}

static OrtStatus *ORT_API_CALL _describe_value(const OrtValue *value, OrtTensorTypeAndShapeInfo **out)
{
  *out = fake_tensor_info_new(value->type, value->dims, value->ndim);
  return NULL;
}

static OrtStatus *ORT_API_CALL _get_data(OrtValue *value, void **out)
{
  *out = value->data;
  return NULL;
}

/* --- run options --- */

struct OrtRunOptions
{
  gint terminate;
};

static OrtStatus *ORT_API_CALL _create_run_options(OrtRunOptions **out)
{
  *out = g_new0(OrtRunOptions, 1);
  return NULL;
}

static void ORT_API_CALL _release_run_options(OrtRunOptions *options)
{
  g_free(options);
}

static OrtStatus *ORT_API_CALL _set_terminate(OrtRunOptions *options)
{
  g_atomic_int_set(&options->terminate, 1);
  return NULL;
}

static OrtStatus *ORT_API_CALL _unset_terminate(OrtRunOptions *options)
{
  g_atomic_int_set(&options->terminate, 0);
  return NULL;
}

static OrtStatus *ORT_API_CALL _ignore_severity(OrtRunOptions *options, int severity)
{
  (void)options;
  (void)severity;
  return NULL;
}

/* --- checking what is given --- */

static const fake_slot_t *_find_slot(const GPtrArray *slots, const char *name)
{
  for(guint i = 0; i < slots->len; i++)
  {
    const fake_slot_t *slot = g_ptr_array_index(slots, i);
    if(strcmp(slot->name, name) == 0) return slot;
  }
  return NULL;
}

static OrtStatus *_check_input(const fake_slot_t *slot, const OrtValue *value)
{
  if(value->type != slot->type)
    return fake_status(ORT_INVALID_ARGUMENT, "Unexpected input data type. Actual: (%s) , expected: (%s)",
                       _type_name(value->type), _type_name(slot->type));
  if(value->ndim != slot->dims->len)
    return fake_status(
        ORT_INVALID_ARGUMENT,
        "Invalid rank for input: %s Got: %zu Expected: %u Please fix either the inputs/outputs or the "
        "model.",
        slot->name, value->ndim, slot->dims->len);
  for(guint d = 0; d < slot->dims->len; d++)
  {
    const int64_t wanted = g_array_index(slot->dims, int64_t, d);
    if(wanted >= 0 && value->dims[d] != wanted)
      return fake_status(ORT_INVALID_ARGUMENT,
                         "Got invalid dimensions for input: %s for the following indices\n index: %u Got: "
                         "%" G_GINT64_FORMAT " Expected: %" G_GINT64_FORMAT
                         "\n Please fix either the inputs/outputs or the model.",
                         slot->name, d, value->dims[d], wanted);
  }
  return NULL;
}

static OrtStatus *_check_inputs(const fake_model_t *model, const char *const *names,
                                const OrtValue *const *inputs, size_t n)
{
  OrtStatus *status = NULL;
  for(size_t i = 0; i < n && !status; i++)
  {
    const fake_slot_t *slot = _find_slot(model->inputs, names[i]);
    status = slot ? _check_input(slot, inputs[i])
                  : fake_status(ORT_INVALID_ARGUMENT, "Invalid input name: %s", names[i]);
  }
  if(!status && n < model->inputs->len) status = fake_status(ORT_FAIL, "Missing Input");
  return status;
}

/* --- computing --- */

/* What every output is made of: the first input of floats, widened. */
typedef struct _source_t
{
  const OrtValue *value; /* NULL: there is none */
  const float *data;
  float *widened;
} _source_t;

static gboolean _is_float(ONNXTensorElementDataType type)
{
  return type == ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT || type == ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT16;
}

static _source_t _open_source(const OrtValue *const *inputs, size_t n)
{
  _source_t source = { NULL, NULL, NULL };
  for(size_t i = 0; i < n && !source.value; i++)
    if(_is_float(inputs[i]->type)) source.value = inputs[i];
  if(!source.value) return source;
  source.data = source.value->data;
  if(source.value->type != ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT16) return source;
  source.data = source.widened = g_new(float, source.value->n);
  dt_half_to_float(source.value->data, source.widened, source.value->n);
  return source;
}

/* Whether the two differ in nothing but the channels, the dimension after the batch. */
static gboolean _is_like(const OrtValue *a, const OrtValue *b)
{
  if(!a || a->ndim != b->ndim || a->n == 0 || b->n == 0) return FALSE;
  for(size_t d = 0; d < a->ndim; d++)
    if((d != 1 || a->ndim < 3) && a->dims[d] != b->dims[d]) return FALSE;
  return TRUE;
}

static void _copy_planes(const _source_t *source, float *out, const OrtValue *value)
{
  const OrtValue *in = source->value;
  const size_t have = in->ndim < 3 ? 1 : (size_t)in->dims[1],
               want = in->ndim < 3 ? 1 : (size_t)value->dims[1];
  const size_t batch = in->ndim < 3 ? 1 : (size_t)in->dims[0], plane = in->n / batch / have;
  for(size_t b = 0; b < batch; b++)
    for(size_t c = 0; c < want; c++)
      memcpy(out + (b * want + c) * plane, source->data + (b * have + c % have) * plane, plane * sizeof *out);
}

static void _fill(const _source_t *source, float *out, const OrtValue *value)
{
  if(_is_like(source->value, value))
    _copy_planes(source, out, value);
  else
    for(size_t i = 0; i < value->n; i++) out[i] = (float)i / (float)value->n;
}

static void _spoil(float *out, size_t n, int output)
{
  if(output == FAKE_OUTPUT_OK) return;
  for(size_t i = 0; i < n; i++) switch(output)
    {
    case FAKE_OUTPUT_NAN: out[i] = NAN; break;
    case FAKE_OUTPUT_FLAT: out[i] = 0.5f; break;
    case FAKE_OUTPUT_WRONG: out[i] = 1.0f - out[i]; break;
    default: out[i] += i % 2 ? 1e-4f : -1e-4f;
    }
}

/* Outputs that are not of floats stay as they are: zero, when the fake allocated them. */
static void _compute(const OrtSession *session, const _source_t *source, OrtValue *value)
{
  if(!_is_float(value->type)) return;
  const gboolean half = value->type == ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT16;
  float *out = half ? g_new(float, value->n) : value->data;
  _fill(source, out, value);
  for(size_t i = 0; session->relu && i < value->n; i++) out[i] = MAX(out[i], 0);
  _spoil(out, value->n, session->behaviour.output);
  if(!half) return;
  dt_float_to_half(out, value->data, value->n);
  g_free(out);
}

/* Sizes the model leaves open are those of the input. */
static int64_t *_output_dims(const fake_slot_t *slot, const OrtValue *source)
{
  int64_t *dims = g_new(int64_t, slot->dims->len + 1);
  for(guint d = 0; d < slot->dims->len; d++)
  {
    dims[d] = g_array_index(slot->dims, int64_t, d);
    if(dims[d] < 0) dims[d] = source && d < source->ndim ? source->dims[d] : 1;
  }
  return dims;
}

static OrtStatus *_make_output(const OrtSession *session, const char *name, const _source_t *source,
                               OrtValue **output)
{
  const fake_slot_t *slot = _find_slot(session->model->outputs, name);
  if(!slot) return fake_status(ORT_INVALID_ARGUMENT, "Invalid output name: %s", name);
  OrtStatus *status = NULL;
  int64_t *dims = _output_dims(slot, source->value);
  const size_t ndim = slot->dims->len;
  OrtValue *given = *output;
  if(!given)
    status = _create_tensor(NULL, dims, ndim, slot->type, output);
  else if(given->type != slot->type || given->ndim != ndim
          || memcmp(given->dims, dims, ndim * sizeof *dims) != 0)
    status = fake_status(
        ORT_INVALID_ARGUMENT,
        "The output OrtValue provided for output '%s' has another shape or type than the computed "
        "output for this run.",
        name);
  if(!status) _compute(session, source, *output);
  g_free(dims);
  return status;
}

/* --- running --- */

static void _note_run(const OrtSession *session, const OrtValue *source)
{
  GString *shape = g_string_new(NULL);
  for(size_t d = 0; source && d < source->ndim; d++)
    g_string_append_printf(shape, "%s%" G_GINT64_FORMAT, d ? "x" : " ", source->dims[d]);
  fake_note("run %s%s", session->behaviour.provider->name, shape->str);
  g_string_free(shape, TRUE);
}

static gboolean _is_too_large(const OrtValue *source, int limit)
{
  if(!limit || !source || source->ndim < 2) return FALSE;
  return source->dims[source->ndim - 2] * source->dims[source->ndim - 1] > limit;
}

/* What goes wrong, and how long it takes. */
static OrtStatus *_go_through(OrtSession *session, const OrtRunOptions *options, const OrtValue *source)
{
  const fake_behaviour_t *b = &session->behaviour;
  const gint *terminate = options ? &options->terminate : NULL;
  const int number = g_atomic_int_add(&session->runs, 1) + 1;
  OrtStatus *status = fake_do(b->run, b->run_message);
  if(status) return status;
  if(number == b->run_oom_at || _is_too_large(source, b->run_oom_above))
    return fake_status(ORT_FAIL, "CUDA failure 2: out of memory");
  if(!fake_sleep(b->run_ms, terminate))
    return fake_status(ORT_FAIL, "Exiting due to terminate flag being set to true.");
  return NULL;
}

static void _release_new(OrtValue **outputs, const gboolean *is_new, size_t n)
{
  for(size_t i = 0; i < n; i++)
    if(is_new[i]) g_clear_pointer(&outputs[i], _release_value);
}

static OrtStatus *_make_outputs(const OrtSession *session, const char *const *names, const _source_t *source,
                                OrtValue **outputs, size_t n)
{
  OrtStatus *status = NULL;
  gboolean *is_new = g_new(gboolean, n + 1);
  for(size_t i = 0; i < n; i++) is_new[i] = !outputs[i];
  for(size_t i = 0; i < n && !status; i++) status = _make_output(session, names[i], source, &outputs[i]);
  if(status) _release_new(outputs, is_new, n);
  g_free(is_new);
  return status;
}

static OrtStatus *ORT_API_CALL _run(OrtSession *session, const OrtRunOptions *options,
                                    const char *const *names, const OrtValue *const *inputs, size_t n_inputs,
                                    const char *const *output_names, size_t n_outputs, OrtValue **outputs)
{
  OrtStatus *status = _check_inputs(session->model, names, inputs, n_inputs);
  if(status) return status;
  _source_t source = _open_source(inputs, n_inputs);
  _note_run(session, source.value);
  status = _go_through(session, options, source.value);
  if(!status) status = _make_outputs(session, output_names, &source, outputs, n_outputs);
  g_free(source.widened);
  return status;
}

void fake_run_fill(OrtApi *api)
{
  api->CreateTensorWithDataAsOrtValue = _wrap_data;
  api->CreateTensorAsOrtValue = _create_tensor;
  api->ReleaseValue = _release_value;
  api->IsTensor = _is_tensor;
  api->GetTensorTypeAndShape = _describe_value;
  api->GetTensorMutableData = _get_data;
  api->CreateRunOptions = _create_run_options;
  api->ReleaseRunOptions = _release_run_options;
  api->RunOptionsSetTerminate = _set_terminate;
  api->RunOptionsUnsetTerminate = _unset_terminate;
  api->RunOptionsSetRunLogSeverityLevel = _ignore_severity;
  api->Run = _run;
}
