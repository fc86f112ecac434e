/* SPDX-License-Identifier: GPL-3.0-or-later */
/* How each execution provider is attached to a session, and in which order auto tries them.
 *
 * To add one: a value in dt_ai_provider_t before DT_AI_PROVIDER_COUNT, a row in dt_ai_providers[]
 * (provider_table.c), a function and a row in _attachments[]. Static assertions keep the three in step; see
 * doc/adding-a-provider.md. */
#include "ai/backend_internal.h"
#include "ai/platform.h"
#include "ai/target.h"
#include "common/conf.h"
#include "common/log.h"

#include <glib/gstdio.h>
#include <string.h>

/* --- what they share --- */

static gboolean _refuse(GError **error, const char *format, ...) G_GNUC_PRINTF(2, 3);
static gboolean _refuse(GError **error, const char *format, ...)
{
  va_list args;
  va_start(args, format);
  if(error) *error = g_error_new_valist(DT_AI_ERROR, DT_AI_ERROR_PROVIDER, format, args);
  va_end(args);
  return FALSE;
}

/* The number of a device, as its setting says. */
static gboolean _device_number(const dt_ai_target_t *target, int *number, GError **error)
{
  guint64 value = 0;
  const gboolean ok = g_ascii_string_to_unsigned(target->device, 10, 0, 255, &value, NULL);
  *number = (int)value;
  return ok
         || _refuse(error, "the setting %s takes the number of a device, not \"%s\"",
                    dt_ai_provider_device_key(target->provider), target->device);
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
static gboolean _attach_cuda(const dt_ort_t *ort, const dt_ai_target_t *target, OrtSessionOptions *options,
                             GError **error)
{
  int device;
  if(!_device_number(target, &device, error)) return FALSE;
  char *limit = g_strdup_printf("%" G_GUINT64_FORMAT, target->memory);
  const char *const keys[] = { "device_id", "arena_extend_strategy", "cudnn_conv_algo_search",
                               "gpu_mem_limit" };
  const char *const values[] = { target->device, "kSameAsRequested", "HEURISTIC", limit };
  OrtCUDAProviderOptionsV2 *cuda = NULL;
  const gboolean ok =
      dt_ort_check(ort->api->CreateCUDAProviderOptions(&cuda), DT_AI_ERROR_PROVIDER, "Describing it", error)
      && dt_ort_check(ort->api->UpdateCUDAProviderOptions(cuda, keys, values,
                                                          G_N_ELEMENTS(keys) - (target->memory ? 0 : 1)),
                      DT_AI_ERROR_PROVIDER, "Describing it", error)
      && dt_ort_check(ort->api->SessionOptionsAppendExecutionProvider_CUDA_V2(options, cuda),
                      DT_AI_ERROR_PROVIDER, "Attaching it", error);
  if(cuda) ort->api->ReleaseCUDAProviderOptions(cuda);
  g_free(limit);
  return ok;
}

/* The provider's cache is named by the environment in runtimes that attach it by symbol; they read it when a session
 * is made. */
static void _name_migraphx_cache(const dt_ai_target_t *target)
{
  static const char *const variables[] = { "ORT_MIGRAPHX_MODEL_CACHE_PATH", "ORT_MIGRAPHX_CACHE_PATH",
                                           "MIOPEN_USER_DB_PATH", "MIOPEN_CUSTOM_CACHE_DIR" };
  for(size_t i = 0; target->graphs && i < G_N_ELEMENTS(variables); i++)
    g_setenv(variables[i], target->graphs, TRUE);
}

/* Full precision: fp16 is faster and darker. Runtimes from 1.23 take keys and values, older ones have a symbol, and
 * those for AMD that have no MIGraphX yet have ROCm. */
static gboolean _attach_migraphx(const dt_ort_t *ort, const dt_ai_target_t *target,
                                 OrtSessionOptions *options, GError **error)
{
  const char *const keys[] = { "device_id", "migraphx_fp16_enable", "migraphx_model_cache_dir" };
  const char *const values[] = { target->device, "0", target->graphs };
  GError *reason = NULL;
  int device;
  if(!_device_number(target, &device, error)) return FALSE;
  _name_migraphx_cache(target);
  if(_append(ort, options, "MIGraphX", keys, values, target->graphs ? 3 : 2, NULL)
     || _append_by_symbol(ort, options, "MIGraphX", device, &reason))
    return TRUE;
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
static gboolean _attach_openvino(const dt_ort_t *ort, const dt_ai_target_t *target,
                                 OrtSessionOptions *options, GError **error)
{
  const char *const keys[] = { "device_type", "precision", "cache_dir" };
  const char *const values[] = { *target->device ? target->device : "CPU", "FP32", target->graphs };
  return dt_ort_check(ort->api->SessionOptionsAppendExecutionProvider_OpenVINO_V2(options, keys, values,
                                                                                  target->graphs ? 3 : 2),
                      DT_AI_ERROR_PROVIDER, "Attaching it", error);
}

static gboolean _attach_coreml(const dt_ort_t *ort, const dt_ai_target_t *target, OrtSessionOptions *options,
                               GError **error)
{
  const char *const keys[] = { "ModelFormat", "MLComputeUnits", "ModelCacheDirectory" };
  const char *const values[] = { "MLProgram", "ALL", target->graphs };
  return _append(ort, options, "CoreML", keys, values, target->graphs ? 3 : 2, error);
}

static gboolean _attach_directml(const dt_ort_t *ort, const dt_ai_target_t *target,
                                 OrtSessionOptions *options, GError **error)
{
  int device;
  return _device_number(target, &device, error) && _append_by_symbol(ort, options, "DML", device, error);
}

/* Planar images are what the networks take; the other layout would be converted to and fro. */
static gboolean _attach_webgpu(const dt_ort_t *ort, const dt_ai_target_t *target, OrtSessionOptions *options,
                               GError **error)
{
  const char *const keys[] = { "preferredLayout", "powerPreference" };
  const char *const values[] = { "NCHW", target->device };
  if(strcmp(target->device, "high-performance") != 0 && strcmp(target->device, "low-power") != 0)
    return _refuse(error, "the setting %s takes high-performance or low-power, not \"%s\"",
                   DT_CONF_AI_WEBGPU_ADAPTER, target->device);
  return _append(ort, options, "WebGPU", keys, values, G_N_ELEMENTS(keys), error);
}

/* --- the table --- */

/* How ONNX Runtime calls each provider, its library beside the runtime's where it has one of its own, whether it
 * compiles for one shape of its inputs, and how it is attached. */
static const struct
{
  const char *ort_name, *other_name, *library, *other_library;
  gboolean fixed_shapes;
  gboolean (*attach)(const dt_ort_t *ort, const dt_ai_target_t *target, OrtSessionOptions *options,
                     GError **error);
} _attachments[] = {
  [DT_AI_PROVIDER_AUTO] = { 0 },
  [DT_AI_PROVIDER_CPU] = { "CPUExecutionProvider", NULL, NULL, NULL, FALSE, NULL },
  [DT_AI_PROVIDER_COREML] = { "CoreMLExecutionProvider", NULL, NULL, NULL, TRUE, _attach_coreml },
  [DT_AI_PROVIDER_CUDA] = { "CUDAExecutionProvider", NULL, "libonnxruntime_providers_cuda.so", NULL, FALSE,
                            _attach_cuda },
  [DT_AI_PROVIDER_MIGRAPHX] = { "MIGraphXExecutionProvider", "ROCMExecutionProvider",
                                "libonnxruntime_providers_migraphx.so", "libonnxruntime_providers_rocm.so",
                                TRUE, _attach_migraphx },
  [DT_AI_PROVIDER_OPENVINO] = { "OpenVINOExecutionProvider", NULL, "libonnxruntime_providers_openvino.so",
                                NULL, FALSE, _attach_openvino },
  [DT_AI_PROVIDER_DIRECTML] = { "DmlExecutionProvider", NULL, NULL, NULL, FALSE, _attach_directml },
  [DT_AI_PROVIDER_WEBGPU] = { "WebGpuExecutionProvider", NULL, NULL, NULL, FALSE, _attach_webgpu },
};
_Static_assert(G_N_ELEMENTS(_attachments) == DT_AI_PROVIDER_COUNT,
               "one row in _attachments[] per dt_ai_provider_t");

/* What auto tries, best first; what it ends with, the CPU, is not listed. */
static const dt_ai_provider_t _macos_order[] = { DT_AI_PROVIDER_COREML, DT_AI_PROVIDER_AUTO };
static const dt_ai_provider_t _windows_order[] = { DT_AI_PROVIDER_DIRECTML, DT_AI_PROVIDER_AUTO };
static const dt_ai_provider_t _linux_order[] = { DT_AI_PROVIDER_CUDA, DT_AI_PROVIDER_MIGRAPHX,
                                                 DT_AI_PROVIDER_OPENVINO, DT_AI_PROVIDER_WEBGPU,
                                                 DT_AI_PROVIDER_AUTO };

const dt_ai_provider_t *dt_ai_provider_auto_order(void)
{
  return ON_MACOS ? _macos_order : ON_WINDOWS ? _windows_order : _linux_order;
}

gboolean dt_ai_provider_wants_fixed_shapes(dt_ai_provider_t provider)
{
  return _attachments[provider].fixed_shapes;
}

/* Whether @p library lies beside the runtime. */
static gboolean _is_beside(const dt_ort_t *ort, const char *library)
{
  char *folder = g_path_get_dirname(ort->path), *path = g_build_filename(folder, library, NULL);
  const gboolean found = g_file_test(path, G_FILE_TEST_EXISTS);
  g_free(path);
  g_free(folder);
  return found;
}

const char *dt_ai_provider_library(const dt_ort_t *ort, dt_ai_provider_t provider)
{
  const char *usual = _attachments[provider].library, *other = _attachments[provider].other_library;
  return other && !_is_beside(ort, usual) && _is_beside(ort, other) ? other : usual;
}

const char *dt_ai_provider_of_runtime(const char *name)
{
  for(int i = DT_AI_PROVIDER_CPU; i < DT_AI_PROVIDER_COUNT; i++)
  {
    if(strcmp(name, _attachments[i].ort_name) == 0) return dt_ai_providers[i].config_string;
    if(g_strcmp0(name, _attachments[i].other_name) == 0) return "ROCm";
  }
  return NULL;
}

static gboolean _is_listed(const dt_ort_t *ort, dt_ai_provider_t provider)
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

/* Runtimes list what they were compiled for, also where the package left the provider's own library out. */
static gboolean _has_library(const dt_ort_t *ort, dt_ai_provider_t provider)
{
  const char *library = dt_ai_provider_library(ort, provider);
  return !library || !ON_LINUX || _is_beside(ort, library);
}

char *dt_ai_provider_absence(const dt_ort_t *ort, dt_ai_provider_t provider)
{
  if(!dt_ai_providers[provider].available) return g_strdup("it does not exist on this platform");
  if(!_is_listed(ort, provider)) return g_strdup("the ONNX Runtime in use was built without it");
  if(_has_library(ort, provider)) return NULL;
  return g_strdup_printf("the ONNX Runtime in use comes without its library %s",
                         _attachments[provider].library);
}

/* --- attaching --- */

gboolean dt_ai_target_attach(const dt_ort_t *ort, const dt_ai_target_t *target, OrtSessionOptions *options,
                             GError **error)
{
  const dt_ai_provider_t provider = target->provider;
  if(provider == DT_AI_PROVIDER_CPU) return TRUE; /* every session has it */
  char *absence = dt_ai_provider_absence(ort, provider);
  if(absence) _refuse(error, "%s", absence);
  g_free(absence);
  if(absence) return FALSE;
  if(target->graphs && g_mkdir_with_parents(target->graphs, 0700) != 0)
    dt_log(DT_LOG_AI, "there is no cache for compiled graphs: %s cannot be made", target->graphs);
  GString *words = g_string_new(NULL);
  GError *reason = NULL;
  dt_log(DT_LOG_AI, "attempting to enable %s...", dt_ai_providers[provider].display_name);
  dt_ort_collect(words);
  const gboolean ok = _attachments[provider].attach(ort, target, options, &reason);
  dt_ort_collect(NULL);
  if(!ok) _refuse(error, "%s%s%s", reason->message, words->len ? "; " : "", words->str);
  g_clear_error(&reason);
  g_string_free(words, TRUE);
  return ok;
}
