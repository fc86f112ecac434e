/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Sessions: a model is read, "compiled" for its provider, kept in the provider's cache, and described. */
#include "fake.h"

#include <stdlib.h>
#include <string.h>

/* --- compiling --- */

/* `<hash of the model>.blob` in the provider's cache directory; NULL when it has none. */
static char *_blob_path(const OrtSessionOptions *options, const void *bytes, size_t size)
{
  if(!options->cache_dir) return NULL;
  char *hash = g_compute_checksum_for_data(G_CHECKSUM_SHA256, bytes, size);
  char *name = g_strconcat(hash, ".blob", NULL);
  char *path = g_build_filename(options->cache_dir, name, NULL);
  g_free(name);
  g_free(hash);
  return path;
}

/* A blob that cannot be kept is compiled again next time, as the real ones are. */
static void _write_blob(const char *path, int size)
{
  char *dir = g_path_get_dirname(path), *blob = g_malloc0((gsize)size + 1);
  g_mkdir_with_parents(dir, 0700);
  if(!g_file_set_contents(path, blob, size, NULL)) fake_note("cannot write %s", path);
  g_free(blob);
  g_free(dir);
}

static void _compile(const fake_behaviour_t *b, const OrtSessionOptions *options, const void *bytes,
                     size_t size)
{
  char *path = _blob_path(options, bytes, size);
  if(path && g_file_test(path, G_FILE_TEST_EXISTS))
    fake_note("session %s cached", b->provider->name);
  else
  {
    fake_note("session %s compile %d ms", b->provider->name, b->compile_ms);
    fake_sleep(b->compile_ms, NULL);
    if(path && b->blob_bytes > 0) _write_blob(path, b->blob_bytes);
  }
  g_free(path);
}

/* --- placement --- */

static fake_logger_t _session_logger(const OrtSessionOptions *options)
{
  const fake_logger_t env = fake_env_logger();
  fake_logger_t logger = options->logger.write ? options->logger : env;
  logger.least = options->severity < 0 ? env.least : (OrtLoggingLevel)options->severity;
  logger.id[0] = '\0';
  return logger;
}

static void _log_nodes(const fake_logger_t *logger, const char *where, const char *provider,
                       const GPtrArray *nodes, guint first, guint n)
{
  fake_log(logger, ORT_LOGGING_LEVEL_VERBOSE, where, " Node(s) placed on [%s]. Number of nodes: %u", provider,
           n);
  for(guint i = first; i < first + n; i++)
    fake_log(logger, ORT_LOGGING_LEVEL_VERBOSE, where, "  %s", (const char *)g_ptr_array_index(nodes, i));
}

/* The last nodes stay on the CPU. The words are those of ONNX Runtime 1.30. */
static void _log_placement(const OrtSession *session, const OrtSessionOptions *options)
{
  static const char where[] = "session_state.cc:1380 VerifyEachNodeIsAssignedToAnEp",
                    cpu[] = "CPUExecutionProvider";
  const fake_logger_t logger = _session_logger(options);
  const GPtrArray *nodes = session->model->nodes;
  const char *provider = session->behaviour.provider->ort_name;
  const guint on_cpu =
      strcmp(provider, cpu) == 0 ? nodes->len : MIN(nodes->len, (guint)session->behaviour.nodes_cpu);
  fake_log(&logger, ORT_LOGGING_LEVEL_VERBOSE, where, "Node placements");
  if(on_cpu == 0 || on_cpu == nodes->len)
  {
    fake_log(&logger, ORT_LOGGING_LEVEL_VERBOSE, where, " All nodes placed on [%s]. Number of nodes: %u",
             on_cpu ? cpu : provider, nodes->len);
    return;
  }
  _log_nodes(&logger, where, cpu, nodes, nodes->len - on_cpu, on_cpu);
  _log_nodes(&logger, where, provider, nodes, 0, nodes->len - on_cpu);
  fake_log(&logger, ORT_LOGGING_LEVEL_WARNING, where,
           "Some nodes were not assigned to the preferred execution providers which may or may not have an "
           "negative impact on performance. e.g. ORT explicitly assigns shape related ops to CPU to improve "
           "perf.");
}

/* --- creating --- */

static void _bind_dims(GPtrArray *slots, GHashTable *overrides)
{
  for(guint i = 0; i < slots->len; i++)
  {
    const fake_slot_t *slot = g_ptr_array_index(slots, i);
    for(guint d = 0; d < slot->dims->len; d++)
    {
      const int64_t *size = g_hash_table_lookup(overrides, g_ptr_array_index(slot->params, d));
      if(size) g_array_index(slot->dims, int64_t, d) = *size;
    }
  }
}

static void ORT_API_CALL _release_session(OrtSession *session)
{
  if(!session) return;
  fake_model_destroy(session->model);
  fake_behaviour_cleanup(&session->behaviour);
  g_free(session);
}

static gboolean _is_relu(const fake_model_t *model)
{
  return model->nodes->len == 1 && g_str_has_prefix(g_ptr_array_index(model->nodes, 0), "Relu (");
}

static OrtStatus *ORT_API_CALL _create_session(const OrtEnv *env, const void *bytes, size_t size,
                                               const OrtSessionOptions *options, OrtSession **out)
{
  (void)env;
  fake_model_t *model = fake_model_parse(bytes, size);
  if(!model)
    return fake_status(ORT_INVALID_PROTOBUF, "Failed to load model because protobuf parsing failed.");
  OrtSession *session = g_new0(OrtSession, 1);
  session->model = model;
  fake_behaviour_t *b = &session->behaviour;
  session->relu = _is_relu(model);
  fake_behaviour_init(b, options->provider ? options->provider : fake_provider_find("CPU"), session->relu);
  if(b->session != FAKE_OK) fake_note("session %s %s", b->provider->name, fake_act_name(b->session));
  OrtStatus *status = fake_do(b->session, b->session_message);
  if(status)
  {
    _release_session(session);
    return status;
  }
  _bind_dims(model->inputs, options->overrides);
  _bind_dims(model->outputs, options->overrides);
  _compile(b, options, bytes, size);
  _log_placement(session, options);
  *out = session;
  return NULL;
}

static OrtStatus *ORT_API_CALL _create_session_from_file(const OrtEnv *env, const ORTCHAR_T *path,
                                                         const OrtSessionOptions *options, OrtSession **out)
{
  char *bytes;
  gsize size;
  if(!g_file_get_contents(path, &bytes, &size, NULL))
    return fake_status(ORT_NO_SUCHFILE, "Load model from %s failed:File doesn't exist", path);
  OrtStatus *status = _create_session(env, bytes, size, options, out);
  g_free(bytes);
  return status;
}

/* --- describing --- */

struct OrtTypeInfo
{
  OrtTensorTypeAndShapeInfo *tensor; /* NULL: something else */
};

OrtTensorTypeAndShapeInfo *fake_tensor_info_new(ONNXTensorElementDataType type, const int64_t *dims,
                                                size_t ndim)
{
  OrtTensorTypeAndShapeInfo *info = g_malloc(sizeof *info + ndim * sizeof *dims);
  info->type = type;
  info->ndim = ndim;
  if(ndim) memcpy(info->dims, dims, ndim * sizeof *dims);
  return info;
}

static OrtStatus *_copy_name(const GPtrArray *slots, size_t index, OrtAllocator *allocator, char **out)
{
  if(index >= slots->len) return fake_status(ORT_FAIL, "index out of range");
  const fake_slot_t *slot = g_ptr_array_index(slots, index);
  const size_t size = strlen(slot->name) + 1;
  *out = memcpy(allocator->Alloc(allocator, size), slot->name, size);
  return NULL;
}

static OrtStatus *_copy_type(const GPtrArray *slots, size_t index, OrtTypeInfo **out)
{
  if(index >= slots->len) return fake_status(ORT_FAIL, "index out of range");
  const fake_slot_t *slot = g_ptr_array_index(slots, index);
  *out = g_new0(OrtTypeInfo, 1);
  if(slot->is_tensor)
    (*out)->tensor =
        fake_tensor_info_new(slot->type, (const int64_t *)(void *)slot->dims->data, slot->dims->len);
  return NULL;
}

static OrtStatus *ORT_API_CALL _count_inputs(const OrtSession *session, size_t *out)
{
  *out = session->model->inputs->len;
  return NULL;
}

static OrtStatus *ORT_API_CALL _count_outputs(const OrtSession *session, size_t *out)
{
  *out = session->model->outputs->len;
  return NULL;
}

static OrtStatus *ORT_API_CALL _name_input(const OrtSession *session, size_t index, OrtAllocator *allocator,
                                           char **out)
{
  return _copy_name(session->model->inputs, index, allocator, out);
}

static OrtStatus *ORT_API_CALL _name_output(const OrtSession *session, size_t index, OrtAllocator *allocator,
                                            char **out)
{
  return _copy_name(session->model->outputs, index, allocator, out);
}

static OrtStatus *ORT_API_CALL _type_input(const OrtSession *session, size_t index, OrtTypeInfo **out)
{
  return _copy_type(session->model->inputs, index, out);
}

static OrtStatus *ORT_API_CALL _type_output(const OrtSession *session, size_t index, OrtTypeInfo **out)
{
  return _copy_type(session->model->outputs, index, out);
}

static void ORT_API_CALL _release_tensor_info(OrtTensorTypeAndShapeInfo *info)
{
  g_free(info);
}

static void ORT_API_CALL _release_type(OrtTypeInfo *type)
{
  if(!type) return;
  g_free(type->tensor);
  g_free(type);
}

static OrtStatus *ORT_API_CALL _cast_type(const OrtTypeInfo *type, const OrtTensorTypeAndShapeInfo **out)
{
  *out = type->tensor;
  return NULL;
}

static OrtStatus *ORT_API_CALL _get_kind(const OrtTypeInfo *type, enum ONNXType *out)
{
  *out = type->tensor ? ONNX_TYPE_TENSOR : ONNX_TYPE_UNKNOWN;
  return NULL;
}

static OrtStatus *ORT_API_CALL _get_type(const OrtTensorTypeAndShapeInfo *info,
                                         ONNXTensorElementDataType *out)
{
  *out = info->type;
  return NULL;
}

static OrtStatus *ORT_API_CALL _count_dims(const OrtTensorTypeAndShapeInfo *info, size_t *out)
{
  *out = info->ndim;
  return NULL;
}

static OrtStatus *ORT_API_CALL _get_dims(const OrtTensorTypeAndShapeInfo *info, int64_t *dims, size_t n)
{
  for(size_t i = 0; i < MIN(n, info->ndim); i++) dims[i] = info->dims[i];
  return NULL;
}

static OrtStatus *ORT_API_CALL _count_elements(const OrtTensorTypeAndShapeInfo *info, size_t *out)
{
  *out = 1;
  for(size_t i = 0; i < info->ndim; i++) *out *= (size_t)info->dims[i];
  return NULL;
}

void fake_session_fill(OrtApi *api)
{
  api->CreateSessionFromArray = _create_session;
  api->CreateSession = _create_session_from_file;
  api->ReleaseSession = _release_session;
  api->SessionGetInputCount = _count_inputs;
  api->SessionGetOutputCount = _count_outputs;
  api->SessionGetInputName = _name_input;
  api->SessionGetOutputName = _name_output;
  api->SessionGetInputTypeInfo = _type_input;
  api->SessionGetOutputTypeInfo = _type_output;
  api->ReleaseTypeInfo = _release_type;
  api->CastTypeInfoToTensorInfo = _cast_type;
  api->GetOnnxTypeFromTypeInfo = _get_kind;
  api->GetTensorElementType = _get_type;
  api->GetDimensionsCount = _count_dims;
  api->GetDimensions = _get_dims;
  api->GetTensorShapeElementCount = _count_elements;
  api->ReleaseTensorTypeAndShapeInfo = _release_tensor_info;
}
