/* SPDX-License-Identifier: GPL-3.0-or-later */
/* How each execution provider is attached to a session, and in which order auto tries them.
 *
 * To add one: a value in dt_ai_provider_t before DT_AI_PROVIDER_COUNT, a row in dt_ai_providers[]
 * (provider_table.c), a function and a row in _attachments[]. Static assertions keep the three in step. */
#include "ai/backend_internal.h"
#include "ai/platform.h"
#include "common/conf.h"
#include "common/log.h"
#include "common/paths.h"

#include <glib/gstdio.h>
#include <string.h>

/* --- one function per provider --- */

static char *_device_id(const char *provider)
{
  char *key = g_strdup_printf("plugins/ai/%s_device_id", provider);
  char *id = g_strdup_printf("%d", (int)CLAMP(dt_conf_get_int(key, 0), 0, 255));
  g_free(key);
  return id;
}

/* `<cachedir>/ai_v1_<provider>`, where compiled graphs are kept; created when it is not there. */
static char *_cache_dir(const char *provider)
{
  char *cache = dt_paths_get(DT_DIR_CACHE), *dir = g_strdup_printf("%s/ai_v1_%s", cache, provider);
  if(g_mkdir_with_parents(dir, 0700) != 0) dt_log(DT_LOG_AI, "no cache for %s at %s", provider, dir);
  g_free(cache);
  return dir;
}

static gboolean _append(const dt_ort_t *ort, OrtSessionOptions *options, const char *name,
                        const char *const *keys, const char *const *values, size_t n, GError **error)
{
  return dt_ort_check(ort->api->SessionOptionsAppendExecutionProvider(options, name, keys, values, n),
                      DT_AI_ERROR_PROVIDER, "Attaching it", error);
}

/* The functions of old: one symbol per provider, with the number of the device. */
static gboolean _append_by_symbol(const dt_ort_t *ort, OrtSessionOptions *options, const char *provider,
                                  int device, GError **error)
{
  char *name = g_strconcat("OrtSessionOptionsAppendExecutionProvider_", provider, NULL);
  OrtStatus *(ORT_API_CALL * append)(OrtSessionOptions *, int);
  gpointer symbol = dt_ort_symbol(ort, name);
  if(!symbol) g_set_error(error, DT_AI_ERROR, DT_AI_ERROR_PROVIDER, "The library has no function %s", name);
  g_free(name);
  if(!symbol) return FALSE;
  memcpy(&append, &symbol, sizeof symbol);
  return dt_ort_check(append(options, device), DT_AI_ERROR_PROVIDER, "Attaching it", error);
}

/* Memory grows by what is asked for, and convolutions are chosen by heuristics: an exhaustive search would take
 * seconds for every new size of a tile. */
static gboolean _attach_cuda(const dt_ort_t *ort, OrtSessionOptions *options, GError **error)
{
  char *device = _device_id("cuda");
  const char *const keys[] = { "device_id", "arena_extend_strategy", "cudnn_conv_algo_search" };
  const char *const values[] = { device, "kSameAsRequested", "HEURISTIC" };
  OrtCUDAProviderOptionsV2 *cuda = NULL;
  const gboolean ok =
      dt_ort_check(ort->api->CreateCUDAProviderOptions(&cuda), DT_AI_ERROR_PROVIDER, "Describing it", error)
      && dt_ort_check(ort->api->UpdateCUDAProviderOptions(cuda, keys, values, G_N_ELEMENTS(keys)),
                      DT_AI_ERROR_PROVIDER, "Describing it", error)
      && dt_ort_check(ort->api->SessionOptionsAppendExecutionProvider_CUDA_V2(options, cuda),
                      DT_AI_ERROR_PROVIDER, "Attaching it", error);
  if(cuda) ort->api->ReleaseCUDAProviderOptions(cuda);
  g_free(device);
  return ok;
}

/* Runtimes for AMD that have no MIGraphX yet have ROCm. */
static gboolean _attach_migraphx(const dt_ort_t *ort, OrtSessionOptions *options, GError **error)
{
  const int device = (int)CLAMP(dt_conf_get_int("plugins/ai/migraphx_device_id", 0), 0, 255);
  GError *reason = NULL;
  if(_append_by_symbol(ort, options, "MIGraphX", device, &reason)) return TRUE;
  dt_log(DT_LOG_AI, "MIGraphX: %s; trying ROCm", reason->message);
  if(_append_by_symbol(ort, options, "ROCM", device, NULL))
  {
    g_error_free(reason);
    return TRUE;
  }
  g_propagate_error(error, reason);
  return FALSE;
}

/* Single precision, as the CPU computes: results are compared with it. */
static gboolean _attach_openvino(const dt_ort_t *ort, OrtSessionOptions *options, GError **error)
{
  char *device = dt_conf_get_string(DT_CONF_AI_OPENVINO_DEVICE), *cache = _cache_dir("openvino");
  const char *const keys[] = { "device_type", "cache_dir", "precision" };
  const char *const values[] = { device && *device ? device : "CPU", cache, "FP32" };
  const gboolean ok = dt_ort_check(
      ort->api->SessionOptionsAppendExecutionProvider_OpenVINO_V2(options, keys, values, G_N_ELEMENTS(keys)),
      DT_AI_ERROR_PROVIDER, "Attaching it", error);
  g_free(cache);
  g_free(device);
  return ok;
}

static gboolean _attach_coreml(const dt_ort_t *ort, OrtSessionOptions *options, GError **error)
{
  char *cache = _cache_dir("coreml");
  const char *const keys[] = { "ModelFormat", "MLComputeUnits", "ModelCacheDirectory" };
  const char *const values[] = { "MLProgram", "ALL", cache };
  const gboolean ok = _append(ort, options, "CoreML", keys, values, G_N_ELEMENTS(keys), error);
  g_free(cache);
  return ok;
}

static gboolean _attach_directml(const dt_ort_t *ort, OrtSessionOptions *options, GError **error)
{
  return _append_by_symbol(ort, options, "DML",
                           (int)CLAMP(dt_conf_get_int("plugins/ai/dml_device_id", 0), 0, 255), error);
}

/* --- the table --- */

/* How ONNX Runtime calls each provider, in which place auto tries it on this platform (0: not at all), and how
 * it is attached. */
static const struct
{
  const char *ort_name, *other_name;
  int auto_rank;
  gboolean (*attach)(const dt_ort_t *ort, OrtSessionOptions *options, GError **error);
} _attachments[] = {
  [DT_AI_PROVIDER_AUTO] = { NULL, NULL, 0, NULL },
  [DT_AI_PROVIDER_CPU] = { "CPUExecutionProvider", NULL, 0, NULL },
  [DT_AI_PROVIDER_COREML] = { "CoreMLExecutionProvider", NULL, ON_MACOS ? 1 : 0, _attach_coreml },
  [DT_AI_PROVIDER_CUDA] = { "CUDAExecutionProvider", NULL, ON_LINUX ? 1 : 0, _attach_cuda },
  [DT_AI_PROVIDER_MIGRAPHX] = { "MIGraphXExecutionProvider", "ROCMExecutionProvider", ON_LINUX ? 2 : 0,
                                _attach_migraphx },
  [DT_AI_PROVIDER_OPENVINO] = { "OpenVINOExecutionProvider", NULL, ON_LINUX ? 3 : 0, _attach_openvino },
  [DT_AI_PROVIDER_DIRECTML] = { "DmlExecutionProvider", NULL, ON_WINDOWS ? 1 : 0, _attach_directml },
};
_Static_assert(G_N_ELEMENTS(_attachments) == DT_AI_PROVIDER_COUNT,
               "one row in _attachments[] per dt_ai_provider_t");

static gboolean _is_offered(const dt_ort_t *ort, dt_ai_provider_t provider)
{
  const char *wanted[] = { _attachments[provider].ort_name, _attachments[provider].other_name };
  char **names;
  int count;
  if(!dt_ort_check(ort->api->GetAvailableProviders(&names, &count), DT_AI_ERROR_PROVIDER,
                   "Listing the runtime's providers", NULL))
    return FALSE;
  gboolean found = FALSE;
  for(int i = 0; i < count; i++)
    for(size_t j = 0; j < G_N_ELEMENTS(wanted); j++) found |= g_strcmp0(names[i], wanted[j]) == 0;
  OrtStatus *status = ort->api->ReleaseAvailableProviders(names, count);
  if(status) ort->api->ReleaseStatus(status);
  return found;
}

/* --- attaching --- */

static gboolean _refuse(dt_ai_provider_t provider, const char *why, GError **error)
{
  g_set_error(error, DT_AI_ERROR, DT_AI_ERROR_PROVIDER,
              "The execution provider %s is not available: %s. Use --provider auto or CPU.",
              dt_ai_providers[provider].display_name, why);
  return FALSE;
}

gboolean dt_ai_provider_attach(const dt_ort_t *ort, dt_ai_provider_t provider, OrtSessionOptions *options,
                               GError **error)
{
  if(provider == DT_AI_PROVIDER_CPU) return TRUE; /* every session has it */
  if(!dt_ai_providers[provider].available)
    return _refuse(provider, "it does not exist on this platform", error);
  if(!_is_offered(ort, provider))
    return _refuse(provider, "the ONNX Runtime library in use was built without it", error);
  GError *reason = NULL;
  if(_attachments[provider].attach(ort, options, &reason)) return TRUE;
  _refuse(provider, reason->message, error);
  g_error_free(reason);
  return FALSE;
}

/* Attaches to options that are thrown away: whether the provider really initialises. */
static gboolean _try(const dt_ort_t *ort, dt_ai_provider_t provider, GError **error)
{
  OrtSessionOptions *options = NULL;
  const gboolean ok = dt_ort_check(ort->api->CreateSessionOptions(&options), DT_AI_ERROR_PROVIDER,
                                   "Preparing the provider", error)
                      && dt_ai_provider_attach(ort, provider, options, error);
  if(options) ort->api->ReleaseSessionOptions(options);
  return ok;
}

dt_ai_provider_t dt_ai_provider_resolve_auto(const dt_ort_t *ort, unsigned failed)
{
  for(int rank = 1; rank < DT_AI_PROVIDER_COUNT; rank++)
    for(int i = 0; i < DT_AI_PROVIDER_COUNT; i++)
    {
      if(_attachments[i].auto_rank != rank || (failed & 1u << i)) continue;
      GError *reason = NULL;
      dt_log(DT_LOG_AI, "attempting to enable %s...", dt_ai_providers[i].display_name);
      if(_try(ort, (dt_ai_provider_t)i, &reason)) return (dt_ai_provider_t)i;
      dt_log(DT_LOG_AI, "%s", reason->message);
      g_error_free(reason);
    }
  dt_log(DT_LOG_AI, "using CPU only (no hardware acceleration)");
  return DT_AI_PROVIDER_CPU;
}
