/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Sessions and inference over ONNX Runtime's C API. A model is read, looked through and only then
 * given to the runtime; a run wraps the caller's memory, converts halves, and copies back what the
 * runtime had to allocate itself. */
#include "ai/backend_internal.h"
#include "common/conf.h"
#include "common/half.h"
#include "common/log.h"

#include <fcntl.h>
#include <glib/gstdio.h>
#include <pthread.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

/* more dimensions than any image network uses; a fixed array keeps introspection simple */
#define MAX_DIMS 16

/* One input or output as the model declares it. */
typedef struct _slot_t
{
  char *name;
  dt_ai_dtype_t type;
  int ndim;
  int64_t shape[MAX_DIMS]; /* -1: symbolic */
} _slot_t;

struct dt_ai_context_t
{
  const dt_ort_t *ort;
  OrtSession *session;
  OrtMemoryInfo *memory;
  _slot_t *inputs, *outputs;
  const char **input_names, **output_names; /* borrowed from the slots */
  size_t n_inputs, n_outputs;
  gboolean dynamic_outputs; /* some output's shape is only known after a run */
  dt_ai_provider_t provider;
  char *device, *pci, *fallback;
  GString *placement; /* "CUDA 118, CPU 2" */
};

static const struct
{
  dt_ai_dtype_t type;
  ONNXTensorElementDataType onnx;
  size_t size;
  const char *name;
} _types[] = {
  { DT_AI_FLOAT, ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT, 4, "float32" },
  { DT_AI_UINT8, ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT8, 1, "uint8" },
  { DT_AI_INT8, ONNX_TENSOR_ELEMENT_DATA_TYPE_INT8, 1, "int8" },
  { DT_AI_INT32, ONNX_TENSOR_ELEMENT_DATA_TYPE_INT32, 4, "int32" },
  { DT_AI_INT64, ONNX_TENSOR_ELEMENT_DATA_TYPE_INT64, 8, "int64" },
  { DT_AI_FLOAT16, ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT16, 2, "float16" },
};

static int _type_row(dt_ai_dtype_t type)
{
  for(size_t i = 0; i < G_N_ELEMENTS(_types); i++)
    if(_types[i].type == type) return (int)i;
  return -1;
}

static gboolean _fail(GError **error, int code, const char *format, ...) G_GNUC_PRINTF(3, 4);
static gboolean _fail(GError **error, int code, const char *format, ...)
{
  va_list args;
  va_start(args, format);
  if(error) *error = g_error_new_valist(DT_AI_ERROR, code, format, args);
  va_end(args);
  return FALSE;
}

/* --- reading the file --- */

GBytes *dt_ai_read_model_file(const char *model_dir, const char *model_file, GError **error)
{
  const char *name = model_file ? model_file : "model.onnx";
  char *path = g_build_filename(model_dir, name, NULL);
  char *bytes = NULL;
  gsize size = 0;
  GError *cause = NULL;
  GBytes *result = NULL;
  if(!dt_manifest_id_is_safe(name))
    _fail(error, DT_AI_ERROR_NO_MODEL, "\"%s\" is not the plain name of a model file.", name);
  else if(!g_file_get_contents(path, &bytes, &size, &cause))
    _fail(error, DT_AI_ERROR_NO_MODEL, "The model file cannot be read: %s. Install the model again.",
          cause->message);
  else
    result = g_bytes_new_take(bytes, size);
  g_clear_error(&cause);
  g_free(path);
  return result;
}

/* --- session options --- */

/* A cap on the arena makes an allocation that would not fit fail in time; without it Linux grants
 * everything and kills the process later. The allocator is shared through the environment, so the
 * registration is replaced for each session; sessions keep the one they were made with. */
static gboolean _replace_arena(const dt_ort_t *ort, OrtSessionOptions *options,
                               const dt_ai_session_opts_t *opts, GError **error)
{
  static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
  static const char *const keys[] = { "max_mem", "arena_extend_strategy" };
  const size_t values[] = { opts->arena_limit, (size_t)opts->arena_strategy };
  const OrtApi *api = ort->api;
  OrtMemoryInfo *memory = NULL;
  OrtArenaCfg *config = NULL;
  pthread_mutex_lock(&lock);
  gboolean ok = dt_ort_check(api->CreateCpuMemoryInfo(OrtArenaAllocator, OrtMemTypeDefault, &memory),
                             DT_AI_ERROR_FAILED, "Describing memory", error);
  if(ok)
  {
    OrtStatus *none = api->UnregisterAllocator(ort->env, memory);
    if(none) api->ReleaseStatus(none); /* the first time there is nothing to replace */
    ok = dt_ort_check(api->CreateArenaCfgV2(keys, values, G_N_ELEMENTS(keys), &config), DT_AI_ERROR_FAILED,
                      "Describing the arena", error)
         && dt_ort_check(api->CreateAndRegisterAllocator(ort->env, memory, config), DT_AI_ERROR_FAILED,
                         "Creating the arena", error)
         && dt_ort_check(api->AddSessionConfigEntry(options, "session.use_env_allocators", "1"),
                         DT_AI_ERROR_FAILED, "Using the arena", error);
  }
  pthread_mutex_unlock(&lock);
  if(config) api->ReleaseArenaCfg(config);
  if(memory) api->ReleaseMemoryInfo(memory);
  return ok;
}

static GraphOptimizationLevel _graph_level(dt_ai_opt_level_t level)
{
  switch(level)
  {
  case DT_AI_OPT_BASIC: return ORT_ENABLE_BASIC;
  case DT_AI_OPT_DISABLED: return ORT_DISABLE_ALL;
  case DT_AI_OPT_ALL: break;
  }
  return ORT_ENABLE_ALL;
}

static gboolean _configure(const dt_ort_t *ort, OrtSessionOptions *options, const dt_ai_session_opts_t *opts,
                           GError **error)
{
  const OrtApi *api = ort->api;
  const int threads = opts->threads > 0 ? opts->threads : (int)g_get_num_processors();
  gboolean ok = dt_ort_check(api->SetIntraOpNumThreads(options, threads), DT_AI_ERROR_FAILED,
                             "Setting the number of threads", error)
                && dt_ort_check(api->SetSessionGraphOptimizationLevel(options, _graph_level(opts->opt_level)),
                                DT_AI_ERROR_FAILED, "Setting the optimisation level", error)
                /* nearly halves the memory of image networks at equal speed */
                && dt_ort_check(api->DisableMemPattern(options), DT_AI_ERROR_FAILED,
                                "Switching memory patterns off", error)
                /* waiting threads leave the cores to decoding and encoding */
                && dt_ort_check(api->AddSessionConfigEntry(options, "session.intra_op.allow_spinning", "0"),
                                DT_AI_ERROR_FAILED, "Switching spinning off", error);
  for(int i = 0; ok && i < opts->n_overrides; i++)
    ok = dt_ort_check(
        api->AddFreeDimensionOverrideByName(options, opts->overrides[i].name, opts->overrides[i].value),
        DT_AI_ERROR_USAGE, "Binding a symbolic dimension", error);
  if(ok && opts->own_arena) ok = _replace_arena(ort, options, opts, error);
  return ok;
}

/* --- where the nodes of the graph went --- */

/* Every version of the runtime tells it in its most talkative log and, up to 1.23, nowhere else:
 * "All nodes placed on [CPUExecutionProvider]. Number of nodes: 7", or "Node(s) placed on […" per provider, in any
 * order. The CPU is told of last. */
static void _note_placement(dt_ai_context_t *ctx, const char *message)
{
  const char *name = strstr(message, "laced on ["), *end = name ? strstr(name, "]. Number of nodes: ") : NULL;
  if(!end) return;
  name += strlen("laced on [");
  char *long_name = g_strndup(name, (gsize)(end - name));
  const char *known = dt_ai_provider_of_runtime(long_name);
  const int n = (int)g_ascii_strtoll(end + strlen("]. Number of nodes: "), NULL, 10);
  const char *comma = ctx->placement->len ? ", " : "";
  const gboolean last = g_strcmp0(known, "CPU") == 0;
  char *words =
      g_strdup_printf("%s%s %d%s", last ? comma : "", known ? known : long_name, n, last ? "" : comma);
  g_string_insert(ctx->placement, last ? -1 : 0, words);
  g_free(long_name);
  g_free(words);
}

static void ORT_API_CALL _listen(void *param, OrtLoggingLevel severity, const char *category,
                                 const char *logid, const char *location, const char *message)
{
  if(severity < ORT_LOGGING_LEVEL_WARNING)
    _note_placement(param, message);
  else
    dt_ort_forward_log(NULL, severity, category, logid, location, message);
}

/* A provider that finds nothing to do, e.g. on a device that is not there, is passed over by the runtime without a
 * word: the CPU would do the work in its name. */
static gboolean _check_placement(const dt_ai_context_t *ctx, const dt_ai_target_t *target, GError **error)
{
  const char *placement = ctx->placement->str, *key = dt_ai_provider_device_key(ctx->provider);
  if(ctx->provider == DT_AI_PROVIDER_CPU || !g_str_has_prefix(placement, "CPU ") || strchr(placement, ','))
    return TRUE;
  if(!key) return _fail(error, DT_AI_ERROR_PROVIDER, "it leaves everything to the CPU");
  return _fail(error, DT_AI_ERROR_PROVIDER, "it leaves everything to the CPU (the setting %s is \"%s\")", key,
               target->device);
}

static gboolean _listen_to(dt_ai_context_t *ctx, OrtSessionOptions *options, GError **error)
{
  const OrtApi *api = ctx->ort->api;
  ctx->placement = g_string_new(NULL);
  return dt_ort_check(api->SetUserLoggingFunction(options, _listen, ctx), DT_AI_ERROR_FAILED,
                      "Listening to the runtime", error)
         && dt_ort_check(api->SetSessionLogSeverityLevel(options, ORT_LOGGING_LEVEL_VERBOSE),
                         DT_AI_ERROR_FAILED, "Listening to the runtime", error);
}

/* --- introspection --- */

static gboolean _describe_tensor(const dt_ort_t *ort, const OrtTypeInfo *type_info, _slot_t *slot,
                                 GError **error)
{
  const OrtApi *api = ort->api;
  const OrtTensorTypeAndShapeInfo *info = NULL;
  ONNXTensorElementDataType type = ONNX_TENSOR_ELEMENT_DATA_TYPE_UNDEFINED;
  size_t ndim = 0;
  if(!dt_ort_check(api->CastTypeInfoToTensorInfo(type_info, &info), DT_AI_ERROR_NO_MODEL,
                   "Reading a tensor's type", error))
    return FALSE;
  if(!info)
    return _fail(error, DT_AI_ERROR_NO_MODEL, "\"%s\" is not a tensor; the model cannot be used.",
                 slot->name);
  if(!dt_ort_check(api->GetTensorElementType(info, &type), DT_AI_ERROR_NO_MODEL, "Reading a tensor's type",
                   error)
     || !dt_ort_check(api->GetDimensionsCount(info, &ndim), DT_AI_ERROR_NO_MODEL, "Reading a tensor's rank",
                      error))
    return FALSE;
  for(size_t i = 0; i < G_N_ELEMENTS(_types); i++)
    if(_types[i].onnx == type) slot->type = _types[i].type;
  if(!slot->type || ndim > MAX_DIMS)
    return _fail(error, DT_AI_ERROR_NO_MODEL,
                 "\"%s\" has an element type (%d) or rank (%zu) that is not supported. Export the "
                 "model with float32 or float16 tensors.",
                 slot->name, (int)type, ndim);
  slot->ndim = (int)ndim;
  if(!dt_ort_check(api->GetDimensions(info, slot->shape, ndim), DT_AI_ERROR_NO_MODEL,
                   "Reading a tensor's shape", error))
    return FALSE;
  for(int i = 0; i < slot->ndim; i++)
    if(slot->shape[i] <= 0) slot->shape[i] = -1;
  return TRUE;
}

static gboolean _describe_slot(dt_ai_context_t *ctx, gboolean input, size_t index, _slot_t *slot,
                               GError **error)
{
  const OrtApi *api = ctx->ort->api;
  OrtAllocator *allocator;
  char *name = NULL;
  OrtTypeInfo *type = NULL;
  if(!dt_ort_check(api->GetAllocatorWithDefaultOptions(&allocator), DT_AI_ERROR_FAILED,
                   "Getting an allocator", error)
     || !dt_ort_check((input ? api->SessionGetInputName : api->SessionGetOutputName)(ctx->session, index,
                                                                                     allocator, &name),
                      DT_AI_ERROR_NO_MODEL, "Reading a tensor's name", error))
    return FALSE;
  slot->name = g_strdup(name);
  OrtStatus *status = api->AllocatorFree(allocator, name);
  if(status) api->ReleaseStatus(status);
  gboolean ok = dt_ort_check((input ? api->SessionGetInputTypeInfo
                                    : api->SessionGetOutputTypeInfo)(ctx->session, index, &type),
                             DT_AI_ERROR_NO_MODEL, "Reading a tensor's type", error)
                && _describe_tensor(ctx->ort, type, slot, error);
  if(type) api->ReleaseTypeInfo(type);
  return ok;
}

/* "input[0]: input, float32 [1, 3, ?, ?]" */
static void _log_slot(const char *side, size_t index, const _slot_t *slot)
{
  if(!dt_log_enabled(DT_LOG_AI)) return;
  GString *shape = g_string_new(NULL);
  for(int i = 0; i < slot->ndim; i++)
  {
    g_string_append(shape, i ? ", " : "");
    if(slot->shape[i] > 0)
      g_string_append_printf(shape, "%" G_GINT64_FORMAT, slot->shape[i]);
    else
      g_string_append_c(shape, '?');
  }
  dt_log(DT_LOG_AI, "%s[%zu]: %s, %s [%s]", side, index, slot->name, _types[_type_row(slot->type)].name,
         shape->str);
  g_string_free(shape, TRUE);
}

static gboolean _describe_side(dt_ai_context_t *ctx, gboolean input, GError **error)
{
  const OrtApi *api = ctx->ort->api;
  size_t n = 0;
  if(!dt_ort_check((input ? api->SessionGetInputCount : api->SessionGetOutputCount)(ctx->session, &n),
                   DT_AI_ERROR_NO_MODEL, "Counting tensors", error))
    return FALSE;
  _slot_t *slots = g_new0(_slot_t, n + 1);
  const char **names = g_new0(const char *, n + 1);
  *(input ? &ctx->inputs : &ctx->outputs) = slots;
  *(input ? &ctx->input_names : &ctx->output_names) = names;
  *(input ? &ctx->n_inputs : &ctx->n_outputs) = n;
  for(size_t i = 0; i < n; i++)
  {
    if(!_describe_slot(ctx, input, i, &slots[i], error)) return FALSE;
    names[i] = slots[i].name;
    _log_slot(input ? "input" : "output", i, &slots[i]);
  }
  return TRUE;
}

static void _note_dynamic_outputs(dt_ai_context_t *ctx)
{
  for(size_t i = 0; i < ctx->n_outputs; i++)
    for(int d = 0; d < ctx->outputs[i].ndim; d++) ctx->dynamic_outputs |= ctx->outputs[i].shape[d] <= 0;
}

/* --- creation and destruction --- */

/* Providers replace what they have compiled under the eyes of other processes (OpenVINO fails then): one at a time.
 * Who waits finds it compiled. @return a descriptor to close, or -1: no lock, no cache, no matter */
static int _lock_graphs(const dt_ai_target_t *target)
{
  char *path = target->graphs ? g_build_filename(target->graphs, ".lock", NULL) : NULL;
  const int fd = path ? g_open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600) : -1;
  if(fd >= 0) (void)flock(fd, LOCK_EX);
  g_free(path);
  return fd;
}

static gboolean _create_session(dt_ai_context_t *ctx, const dt_ai_target_t *target, const void *bytes,
                                size_t size, const OrtSessionOptions *options, GError **error)
{
  /* what the CPU cannot open is no model; an accelerator may fail for reasons of its own */
  const int blame = ctx->provider == DT_AI_PROVIDER_CPU ? DT_AI_ERROR_NO_MODEL : DT_AI_ERROR_PROVIDER;
  const int lock = _lock_graphs(target);
  const gboolean ok =
      dt_ort_check(ctx->ort->api->CreateSessionFromArray(ctx->ort->env, bytes, size, options, &ctx->session),
                   blame, "Opening the model", error);
  if(lock >= 0) close(lock);
  return ok;
}

static gboolean _open_session(dt_ai_context_t *ctx, const dt_ai_target_t *target, const char *path,
                              const void *bytes, size_t size, const dt_ai_session_opts_t *opts,
                              GError **error)
{
  const OrtApi *api = ctx->ort->api;
  OrtSessionOptions *options = NULL;
  const gint64 start = g_get_monotonic_time();
  const gboolean ok =
      dt_ort_check(api->CreateSessionOptions(&options), DT_AI_ERROR_FAILED, "Opening the model", error)
      && _configure(ctx->ort, options, opts, error) && dt_ai_target_attach(ctx->ort, target, options, error)
      && _listen_to(ctx, options, error) && _create_session(ctx, target, bytes, size, options, error);
  if(options) api->ReleaseSessionOptions(options);
  if(ok)
    dt_log(DT_LOG_AI, "loading: %s, provider %s, nodes %s, session created in %.0f ms", path,
           dt_ai_provider_to_string(ctx->provider), ctx->placement->str,
           1e-3 * (double)(g_get_monotonic_time() - start));
  return ok && _check_placement(ctx, target, error);
}

dt_ai_context_t *dt_ai_session_open(const dt_ort_t *ort, const dt_ai_target_t *target, const char *path,
                                    const void *bytes, size_t size, const dt_ai_session_opts_t *opts,
                                    GError **error)
{
  dt_ai_context_t *ctx = g_new0(dt_ai_context_t, 1);
  ctx->ort = ort;
  ctx->provider = target->provider;
  GError *cause = NULL;
  if(_open_session(ctx, target, path, bytes, size, opts, &cause)
     && dt_ort_check(ort->api->CreateCpuMemoryInfo(OrtArenaAllocator, OrtMemTypeDefault, &ctx->memory),
                     DT_AI_ERROR_FAILED, "Describing memory", &cause)
     && _describe_side(ctx, TRUE, &cause) && _describe_side(ctx, FALSE, &cause))
  {
    _note_dynamic_outputs(ctx);
    return ctx;
  }
  if(g_error_matches(cause, DT_AI_ERROR, DT_AI_ERROR_NO_MODEL)) g_prefix_error(&cause, "%s: ", path);
  g_propagate_error(error, cause);
  dt_ai_unload_model(ctx);
  return NULL;
}

void dt_ai_context_set_device(dt_ai_context_t *ctx, const char *name, const char *pci)
{
  g_free(ctx->device);
  g_free(ctx->pci);
  ctx->device = g_strdup(name);
  ctx->pci = g_strdup(pci);
}

void dt_ai_context_set_fallback(dt_ai_context_t *ctx, const char *reasons)
{
  g_free(ctx->fallback);
  ctx->fallback = g_strdup(reasons);
}

dt_ai_context_t *dt_ai_onnx_load(const char *model_dir, const char *model_file,
                                 const dt_ai_session_opts_t *opts, GError **error)
{
  if(!dt_conf_get_bool(DT_CONF_AI_ENABLED))
  {
    _fail(error, DT_AI_ERROR_DISABLED,
          "AI features are switched off. Switch them on with: darktable-ai enable");
    return NULL;
  }
  GBytes *bytes = dt_ai_read_model_file(model_dir, model_file, error);
  if(!bytes) return NULL;
  char *path = g_build_filename(model_dir, model_file ? model_file : "model.onnx", NULL);
  dt_ai_context_t *ctx =
      dt_ai_session_create(path, g_bytes_get_data(bytes, NULL), g_bytes_get_size(bytes), opts, error);
  g_free(path);
  g_bytes_unref(bytes);
  return ctx;
}

dt_ai_context_t *dt_ai_onnx_load_ext(const char *model_dir, const char *model_file, dt_ai_provider_t provider,
                                     dt_ai_opt_level_t opt_level, const dt_ai_dim_override_t *dim_overrides,
                                     int n_overrides)
{
  const dt_ai_session_opts_t opts = {
    .provider = provider, .opt_level = opt_level, .overrides = dim_overrides, .n_overrides = n_overrides
  };
  GError *error = NULL;
  dt_ai_context_t *ctx = dt_ai_onnx_load(model_dir, model_file, &opts, &error);
  if(!ctx) dt_ai_take_last_error(error);
  return ctx;
}

static void _free_slots(_slot_t *slots, const char **names, size_t n)
{
  for(size_t i = 0; slots && i < n; i++) g_free(slots[i].name);
  g_free(slots);
  g_free(names);
}

void dt_ai_unload_model(dt_ai_context_t *ctx)
{
  if(!ctx) return;
  if(ctx->session) ctx->ort->api->ReleaseSession(ctx->session);
  if(ctx->memory) ctx->ort->api->ReleaseMemoryInfo(ctx->memory);
  if(ctx->placement) g_string_free(ctx->placement, TRUE);
  g_free(ctx->device);
  g_free(ctx->pci);
  g_free(ctx->fallback);
  _free_slots(ctx->inputs, ctx->input_names, ctx->n_inputs);
  _free_slots(ctx->outputs, ctx->output_names, ctx->n_outputs);
  g_free(ctx);
}

/* --- running --- */

/* One run's tensors: the runtime's values and the memory behind converted inputs. */
typedef struct _run_t
{
  dt_ai_context_t *ctx;
  OrtValue **inputs, **outputs;
  void **converted;
  gboolean *in_place; /* outputs the runtime writes straight into the caller's memory */
  size_t *capacity;   /* elements each caller's output buffer holds, from its shape on entry */
  GError **error;
} _run_t;

static int _bad_tensor(_run_t *run, const char *side, size_t i, const char *why)
{
  _fail(run->error, DT_AI_ERROR_USAGE, "%s tensor %zu cannot be used: %s.", side, i, why);
  return DT_AI_RUN_BAD_TENSOR;
}

/* Whether the backend converts between the two types by itself. */
static gboolean _converts(dt_ai_dtype_t a, dt_ai_dtype_t b)
{
  return (a == DT_AI_FLOAT && b == DT_AI_FLOAT16) || (a == DT_AI_FLOAT16 && b == DT_AI_FLOAT);
}

static void _convert(const void *from, dt_ai_dtype_t from_type, void *to, size_t n)
{
  if(from_type == DT_AI_FLOAT)
    dt_float_to_half(from, to, n);
  else
    dt_half_to_float(from, to, n);
}

static int _check_tensor(_run_t *run, const char *side, size_t i, const dt_ai_tensor_t *t,
                         dt_ai_dtype_t wanted)
{
  if(!t->data || !t->shape || t->ndim < 0 || t->ndim > MAX_DIMS)
    return _bad_tensor(run, side, i, "it has no data, no shape, or too many dimensions");
  if(_type_row(t->type) < 0) return _bad_tensor(run, side, i, "its type is unknown");
  if(dt_ai_tensor_element_count(t->shape, t->ndim) == 0)
    return _bad_tensor(run, side, i, "its shape has a dimension that is not positive");
  if(t->type != wanted && !_converts(t->type, wanted))
    return _bad_tensor(run, side, i, "its type is not the model's");
  return DT_AI_RUN_OK;
}

static OrtValue *_wrap(_run_t *run, const dt_ai_tensor_t *t, void *data, dt_ai_dtype_t type)
{
  const size_t n = dt_ai_tensor_element_count(t->shape, t->ndim);
  const int row = _type_row(type);
  OrtValue *value = NULL;
  dt_ort_check(run->ctx->ort->api->CreateTensorWithDataAsOrtValue(run->ctx->memory, data,
                                                                  n * _types[row].size, t->shape,
                                                                  (size_t)t->ndim, _types[row].onnx, &value),
               DT_AI_ERROR_FAILED, "Wrapping a tensor", run->error);
  return value;
}

static int _wrap_input(_run_t *run, size_t i, const dt_ai_tensor_t *t)
{
  const dt_ai_dtype_t wanted = run->ctx->inputs[i].type;
  const int bad = _check_tensor(run, "Input", i, t, wanted);
  if(bad) return bad;
  void *data = t->data;
  if(t->type != wanted)
  {
    const size_t n = dt_ai_tensor_element_count(t->shape, t->ndim);
    data = run->converted[i] = g_try_malloc_n(n, _types[_type_row(wanted)].size);
    if(!data)
    {
      _fail(run->error, DT_AI_ERROR_MEMORY, "There is no memory to convert an input tensor.");
      return DT_AI_RUN_FAILED;
    }
    _convert(t->data, t->type, data, n);
  }
  run->inputs[i] = _wrap(run, t, data, wanted);
  return run->inputs[i] ? DT_AI_RUN_OK : DT_AI_RUN_BAD_TENSOR;
}

/* Outputs of known shape and equal type are written in place; the runtime allocates the others. */
static int _wrap_output(_run_t *run, size_t i, const dt_ai_tensor_t *t, gboolean in_place)
{
  const dt_ai_dtype_t given = run->ctx->outputs[i].type;
  const int bad = _check_tensor(run, "Output", i, t, given);
  if(bad) return bad;
  run->capacity[i] = dt_ai_tensor_element_count(t->shape, t->ndim);
  if(t->type != given || (run->ctx->dynamic_outputs && !in_place)) return DT_AI_RUN_OK;
  run->in_place[i] = TRUE;
  run->outputs[i] = _wrap(run, t, t->data, given);
  return run->outputs[i] ? DT_AI_RUN_OK : DT_AI_RUN_BAD_TENSOR;
}

static gboolean _get_shape(_run_t *run, const OrtValue *value, int64_t *shape, size_t *ndim)
{
  const OrtApi *api = run->ctx->ort->api;
  OrtTensorTypeAndShapeInfo *info = NULL;
  gboolean ok = dt_ort_check(api->GetTensorTypeAndShape(value, &info), DT_AI_ERROR_FAILED,
                             "Reading an output's shape", run->error)
                && dt_ort_check(api->GetDimensionsCount(info, ndim), DT_AI_ERROR_FAILED,
                                "Reading an output's rank", run->error);
  if(ok && *ndim > MAX_DIMS)
    ok = _fail(run->error, DT_AI_ERROR_FAILED, "An output has %zu dimensions.", *ndim);
  ok = ok
       && dt_ort_check(api->GetDimensions(info, shape, *ndim), DT_AI_ERROR_FAILED,
                       "Reading an output's shape", run->error);
  if(info) api->ReleaseTensorTypeAndShapeInfo(info);
  return ok;
}

/* Copies an output that the runtime allocated. What fits was decided from the caller's shape before
 * anything is written over it. */
static gboolean _copy_output(_run_t *run, size_t i, dt_ai_tensor_t *t)
{
  const OrtApi *api = run->ctx->ort->api;
  int64_t shape[MAX_DIMS];
  size_t ndim = 0;
  void *data = NULL;
  if(!_get_shape(run, run->outputs[i], shape, &ndim)) return FALSE;
  gboolean empty = FALSE;
  for(size_t d = 0; d < ndim; d++) empty |= shape[d] == 0;
  const size_t n = empty ? 0 : dt_ai_tensor_element_count(shape, (int)ndim);
  if(n > run->capacity[i] || (int)ndim > t->ndim)
    return _fail(run->error, DT_AI_ERROR_FAILED,
                 "Output \"%s\" has %zu elements in %zu dimensions; the buffer given for it holds "
                 "%zu in %d.",
                 run->ctx->outputs[i].name, n, ndim, run->capacity[i], t->ndim);
  if(!dt_ort_check(api->GetTensorMutableData(run->outputs[i], &data), DT_AI_ERROR_FAILED, "Reading an output",
                   run->error))
    return FALSE;
  const dt_ai_dtype_t given = run->ctx->outputs[i].type;
  if(t->type != given)
    _convert(data, given, t->data, n);
  else if(n)
    memcpy(t->data, data, n * _types[_type_row(given)].size);
  t->ndim = (int)ndim;
  memcpy(t->shape, shape, ndim * sizeof *shape);
  return TRUE;
}

/* A run that another thread may end. The counter orders the two threads; GCancellable does so as well, with
 * locks that ThreadSanitizer cannot see. */
typedef struct _terminator_t
{
  const OrtApi *api;
  OrtRunOptions *options;
  gint handshakes;
} _terminator_t;

static void _terminate(GCancellable *cancellable, gpointer data)
{
  (void)cancellable;
  _terminator_t *t = data;
  g_atomic_int_inc(&t->handshakes);
  OrtStatus *status = t->api->RunOptionsSetTerminate(t->options);
  if(status) t->api->ReleaseStatus(status);
  g_atomic_int_inc(&t->handshakes);
}

/* The runtime has one error code for everything; an allocation that failed is told by its words. */
static int _classify(const char *message)
{
  static const char *const words[] = { "allocate memory", "Available memory of",  "bad_alloc",
                                       "ut of memory",    "OUT_OF_DEVICE_MEMORY", "ALLOC_FAILED",
                                       "out of memory" };
  for(size_t i = 0; i < G_N_ELEMENTS(words); i++)
    if(strstr(message, words[i])) return DT_AI_ERROR_MEMORY;
  return DT_AI_ERROR_FAILED;
}

static gboolean _execute(_run_t *run, GCancellable *cancellable)
{
  dt_ai_context_t *ctx = run->ctx;
  const OrtApi *api = ctx->ort->api;
  OrtRunOptions *options = NULL;
  if(!dt_ort_check(api->CreateRunOptions(&options), DT_AI_ERROR_FAILED, "Preparing a run", run->error))
    return FALSE;
  /* the session talks only while it is made */
  OrtStatus *quiet = api->RunOptionsSetRunLogSeverityLevel(options, ORT_LOGGING_LEVEL_WARNING);
  if(quiet) api->ReleaseStatus(quiet);
  _terminator_t terminator = { .api = api, .options = options };
  g_atomic_int_inc(&terminator.handshakes);
  const gulong id =
      cancellable ? g_cancellable_connect(cancellable, G_CALLBACK(_terminate), &terminator, NULL) : 0;
  OrtStatus *status = api->Run(ctx->session, options, ctx->input_names, (const OrtValue *const *)run->inputs,
                               ctx->n_inputs, ctx->output_names, ctx->n_outputs, run->outputs);
  if(cancellable) g_cancellable_disconnect(cancellable, id);
  (void)g_atomic_int_get(&terminator.handshakes);
  api->ReleaseRunOptions(options);
  if(!status) return TRUE;
  /* the runtime has no code for a terminated run either */
  if(cancellable && g_cancellable_is_cancelled(cancellable))
    _fail(run->error, DT_AI_ERROR_CANCELLED, "Cancelled.");
  else
    _fail(run->error, _classify(api->GetErrorMessage(status)), "Running the model failed: %s",
          api->GetErrorMessage(status));
  api->ReleaseStatus(status);
  return FALSE;
}

static void _release_run(_run_t *run)
{
  dt_ai_context_t *ctx = run->ctx;
  for(size_t i = 0; i < ctx->n_inputs; i++)
  {
    if(run->inputs[i]) ctx->ort->api->ReleaseValue(run->inputs[i]);
    g_free(run->converted[i]);
  }
  for(size_t i = 0; i < ctx->n_outputs; i++)
    if(run->outputs[i]) ctx->ort->api->ReleaseValue(run->outputs[i]);
  g_free(run->inputs);
  g_free(run->outputs);
  g_free(run->converted);
  g_free(run->in_place);
  g_free(run->capacity);
}

static int _run(dt_ai_context_t *ctx, dt_ai_tensor_t *inputs, int num_inputs, dt_ai_tensor_t *outputs,
                int num_outputs, gboolean in_place, GCancellable *cancellable, GError **error)
{
  if(!ctx)
  {
    _fail(error, DT_AI_ERROR_USAGE, "There is no loaded model to run.");
    return DT_AI_RUN_NO_CONTEXT;
  }
  if(num_inputs != (int)ctx->n_inputs || num_outputs != (int)ctx->n_outputs || !inputs || !outputs)
  {
    _fail(error, DT_AI_ERROR_USAGE,
          "The model has %zu inputs and %zu outputs, but %d and %d tensors were given.", ctx->n_inputs,
          ctx->n_outputs, num_inputs, num_outputs);
    return DT_AI_RUN_COUNT_MISMATCH;
  }
  _run_t run = { .ctx = ctx,
                 .inputs = g_new0(OrtValue *, ctx->n_inputs + 1),
                 .outputs = g_new0(OrtValue *, ctx->n_outputs + 1),
                 .converted = g_new0(void *, ctx->n_inputs + 1),
                 .in_place = g_new0(gboolean, ctx->n_outputs + 1),
                 .capacity = g_new0(size_t, ctx->n_outputs + 1),
                 .error = error };
  int result = DT_AI_RUN_OK;
  for(int i = 0; !result && i < num_inputs; i++) result = _wrap_input(&run, (size_t)i, &inputs[i]);
  for(int i = 0; !result && i < num_outputs; i++)
    result = _wrap_output(&run, (size_t)i, &outputs[i], in_place);
  if(!result && !_execute(&run, cancellable)) result = DT_AI_RUN_FAILED;
  for(int i = 0; !result && i < num_outputs; i++)
    if(!run.in_place[i] && !_copy_output(&run, (size_t)i, &outputs[i])) result = DT_AI_RUN_FAILED;
  _release_run(&run);
  return result;
}

int dt_ai_run(dt_ai_context_t *ctx, dt_ai_tensor_t *inputs, int num_inputs, dt_ai_tensor_t *outputs,
              int num_outputs)
{
  GError *error = NULL;
  const int result = _run(ctx, inputs, num_inputs, outputs, num_outputs, FALSE, NULL, &error);
  if(result) dt_ai_take_last_error(error);
  return result;
}

gboolean dt_ai_run_cancellable(dt_ai_context_t *ctx, dt_ai_tensor_t *inputs, int num_inputs,
                               dt_ai_tensor_t *outputs, int num_outputs, GCancellable *cancellable,
                               GError **error)
{
  return _run(ctx, inputs, num_inputs, outputs, num_outputs, FALSE, cancellable, error) == DT_AI_RUN_OK;
}

void dt_ai_gate_enter(const dt_ai_gate_t *gate, dt_ai_context_t *ctx)
{
  if(gate && gate->enter) gate->enter(dt_ai_get_pci(ctx), gate->user_data);
}

void dt_ai_gate_leave(const dt_ai_gate_t *gate, dt_ai_context_t *ctx)
{
  if(gate && gate->leave) gate->leave(dt_ai_get_pci(ctx), gate->user_data);
}

gboolean dt_ai_run_in_place(dt_ai_context_t *ctx, dt_ai_tensor_t *inputs, int num_inputs,
                            dt_ai_tensor_t *outputs, int num_outputs, GCancellable *cancellable,
                            GError **error)
{
  return _run(ctx, inputs, num_inputs, outputs, num_outputs, TRUE, cancellable, error) == DT_AI_RUN_OK;
}

/* --- the public side of introspection --- */

static const _slot_t *_slot(const dt_ai_context_t *ctx, gboolean input, int index)
{
  if(!ctx || index < 0 || (size_t)index >= (input ? ctx->n_inputs : ctx->n_outputs)) return NULL;
  return &(input ? ctx->inputs : ctx->outputs)[index];
}

static int _slot_shape(const _slot_t *slot, int64_t *shape, int max_dims)
{
  if(!slot) return -1;
  for(int i = 0; i < MIN(max_dims, slot->ndim); i++) shape[i] = slot->shape[i];
  return slot->ndim;
}

int dt_ai_get_input_count(dt_ai_context_t *ctx)
{
  return ctx ? (int)ctx->n_inputs : 0;
}

int dt_ai_get_output_count(dt_ai_context_t *ctx)
{
  return ctx ? (int)ctx->n_outputs : 0;
}

const char *dt_ai_get_input_name(dt_ai_context_t *ctx, int index)
{
  const _slot_t *slot = _slot(ctx, TRUE, index);
  return slot ? slot->name : NULL;
}

const char *dt_ai_get_output_name(dt_ai_context_t *ctx, int index)
{
  const _slot_t *slot = _slot(ctx, FALSE, index);
  return slot ? slot->name : NULL;
}

dt_ai_dtype_t dt_ai_get_input_type(dt_ai_context_t *ctx, int index)
{
  const _slot_t *slot = _slot(ctx, TRUE, index);
  return slot ? slot->type : DT_AI_FLOAT;
}

dt_ai_dtype_t dt_ai_get_output_type(dt_ai_context_t *ctx, int index)
{
  const _slot_t *slot = _slot(ctx, FALSE, index);
  return slot ? slot->type : DT_AI_FLOAT;
}

int dt_ai_get_input_shape(dt_ai_context_t *ctx, int index, int64_t *shape, int max_dims)
{
  return _slot_shape(_slot(ctx, TRUE, index), shape, max_dims);
}

int dt_ai_get_output_shape(dt_ai_context_t *ctx, int index, int64_t *shape, int max_dims)
{
  return _slot_shape(_slot(ctx, FALSE, index), shape, max_dims);
}

dt_ai_provider_t dt_ai_get_provider(dt_ai_context_t *ctx)
{
  return ctx ? ctx->provider : DT_AI_PROVIDER_CPU;
}

const char *dt_ai_get_device(dt_ai_context_t *ctx)
{
  return ctx ? ctx->device : NULL;
}

const char *dt_ai_get_pci(dt_ai_context_t *ctx)
{
  return ctx ? ctx->pci : NULL;
}

const char *dt_ai_get_placement(dt_ai_context_t *ctx)
{
  return ctx ? ctx->placement->str : "";
}

const char *dt_ai_get_fallback(dt_ai_context_t *ctx)
{
  return ctx ? ctx->fallback : NULL;
}

const char *dt_ai_runtime_warning(void)
{
  const dt_ort_t *ort = dt_ort_is_loaded() ? dt_ort_get(NULL) : NULL;
  return ort ? ort->warning : NULL;
}

const char *dt_ai_runtime_version(const char **path)
{
  GError *error = NULL;
  const dt_ort_t *ort = dt_ort_get(&error);
  if(!ort)
  {
    dt_ai_take_last_error(error);
    return NULL;
  }
  if(path) *path = ort->path;
  return ort->version;
}
