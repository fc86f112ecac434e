/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Session options, and the many ways to attach an execution provider to them. */
#include "fake.h"

#include <string.h>

/* --- options --- */

static OrtStatus *ORT_API_CALL _create_options(OrtSessionOptions **out)
{
  *out = g_new0(OrtSessionOptions, 1);
  (*out)->overrides = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
  (*out)->severity = -1;
  return NULL;
}

static void ORT_API_CALL _release_options(OrtSessionOptions *options)
{
  if(!options) return;
  g_hash_table_unref(options->overrides);
  g_free(options->cache_dir);
  g_free(options);
}

/* What a runtime that computes nothing need not heed. */
static OrtStatus *ORT_API_CALL _ignore_number(OrtSessionOptions *options, int number)
{
  (void)options;
  (void)number;
  return NULL;
}

static OrtStatus *ORT_API_CALL _ignore_level(OrtSessionOptions *options, GraphOptimizationLevel level)
{
  (void)options;
  (void)level;
  return NULL;
}

static OrtStatus *ORT_API_CALL _ignore_mode(OrtSessionOptions *options, ExecutionMode mode)
{
  (void)options;
  (void)mode;
  return NULL;
}

static OrtStatus *ORT_API_CALL _ignore_switch(OrtSessionOptions *options)
{
  (void)options;
  return NULL;
}

static OrtStatus *ORT_API_CALL _ignore_entry(OrtSessionOptions *options, const char *key, const char *value)
{
  (void)options;
  (void)key;
  (void)value;
  return NULL;
}

static OrtStatus *ORT_API_CALL _override_dim(OrtSessionOptions *options, const char *name, int64_t size)
{
  int64_t *copy = g_new(int64_t, 1);
  *copy = size;
  g_hash_table_replace(options->overrides, g_strdup(name), copy);
  return NULL;
}

static OrtStatus *ORT_API_CALL _set_severity(OrtSessionOptions *options, int severity)
{
  options->severity = severity;
  return NULL;
}

static OrtStatus *ORT_API_CALL _set_logger(OrtSessionOptions *options, OrtLoggingFunction write, void *param)
{
  options->logger.write = write;
  options->logger.param = param;
  return NULL;
}

/* --- attaching --- */

static gboolean _offers(const fake_provider_t *provider)
{
  fake_runtime_t runtime;
  fake_runtime_init(&runtime);
  char **names = g_strsplit(runtime.providers, ";", -1);
  const gboolean found = g_strv_contains((const char *const *)names, provider->ort_name);
  g_strfreev(names);
  fake_runtime_cleanup(&runtime);
  return found;
}

static OrtStatus *_check_keys(const fake_provider_t *provider, const char *const *keys, size_t n)
{
  if(!provider->options) return NULL;
  char **known = g_strsplit(provider->options, " ", -1);
  OrtStatus *status = NULL;
  for(size_t i = 0; i < n && !status; i++)
    if(!g_strv_contains((const char *const *)known, keys[i]))
      status = fake_status(ORT_INVALID_ARGUMENT, "Unknown provider option: \"%s\"", keys[i]);
  g_strfreev(known);
  return status;
}

static void _note_attach(const fake_provider_t *provider, const char *const *keys, const char *const *values,
                         size_t n)
{
  GString *words = g_string_new(provider->name);
  for(size_t i = 0; i < n; i++) g_string_append_printf(words, " %s=%s", keys[i], values[i]);
  fake_note("attach %s", words->str);
  g_string_free(words, TRUE);
}

/* Where what was compiled is kept: the option of whichever provider, or MIGraphX's variable. */
static char *_find_cache(const fake_provider_t *provider, const char *const *keys, const char *const *values,
                         size_t n)
{
  static const char *const names[] = { "cache_dir", "ModelCacheDirectory", "migraphx_model_cache_dir", NULL };
  for(size_t i = 0; i < n; i++)
    if(g_strv_contains(names, keys[i])) return g_strdup(values[i]);
  return strcmp(provider->name, "MIGraphX") == 0 ? g_strdup(g_getenv("ORT_MIGRAPHX_MODEL_CACHE_PATH")) : NULL;
}

static OrtStatus *_attach_as_told(const fake_provider_t *provider)
{
  const fake_logger_t logger = fake_env_logger();
  fake_behaviour_t behaviour;
  fake_behaviour_init(&behaviour, provider, FALSE);
  if(behaviour.log)
    fake_log(&logger, ORT_LOGGING_LEVEL_ERROR, "provider_bridge_ort.cc:2341 Create", "%s", behaviour.log);
  OrtStatus *status = fake_do(behaviour.attach, behaviour.message);
  fake_behaviour_cleanup(&behaviour);
  return status;
}

/* The first provider that is attached is the one that does the work. */
static OrtStatus *_attach(OrtSessionOptions *options, const char *name, const char *const *keys,
                          const char *const *values, size_t n)
{
  const fake_provider_t *provider = fake_provider_find(name);
  if(!_offers(provider))
    return fake_status(ORT_FAIL, "%s execution provider is not enabled in this build.", provider->name);
  OrtStatus *status = _check_keys(provider, keys, n);
  if(status) return status;
  _note_attach(provider, keys, values, n);
  status = _attach_as_told(provider);
  if(status || options->provider) return status;
  options->provider = provider;
  options->cache_dir = _find_cache(provider, keys, values, n);
  return NULL;
}

static OrtStatus *ORT_API_CALL _attach_by_name(OrtSessionOptions *options, const char *name,
                                               const char *const *keys, const char *const *values, size_t n)
{
  const fake_provider_t *provider = fake_provider_find(name);
  if(!provider || !provider->by_name || fake_api_version() < provider->by_name)
    return fake_status(ORT_INVALID_ARGUMENT, "Unknown provider name '%s'.", name);
  for(size_t i = 0; i < n; i++)
    if(!keys[i] || !*keys[i] || !values[i] || !*values[i])
      return fake_status(ORT_INVALID_ARGUMENT, "Provider options key/value cannot be empty");
  if(!_offers(provider))
    return fake_status(ORT_INVALID_ARGUMENT, "%s execution provider is not supported in this build. ", name);
  return _attach(options, name, keys, values, n);
}

static OrtStatus *ORT_API_CALL _attach_openvino(OrtSessionOptions *options, const char *const *keys,
                                                const char *const *values, size_t n)
{
  return _attach(options, "OpenVINO", keys, values, n);
}

/* --- by structures --- */

struct OrtCUDAProviderOptionsV2
{
  GPtrArray *keys, *values; /* of char * */
};

static void ORT_API_CALL _release_cuda_options(OrtCUDAProviderOptionsV2 *cuda)
{
  if(!cuda) return;
  g_ptr_array_unref(cuda->keys);
  g_ptr_array_unref(cuda->values);
  g_free(cuda);
}

static OrtStatus *ORT_API_CALL _create_cuda_options(OrtCUDAProviderOptionsV2 **out)
{
  if(!_offers(fake_provider_find("CUDA")))
    return fake_status(ORT_FAIL, "CUDA execution provider is not enabled in this build.");
  *out = g_new0(OrtCUDAProviderOptionsV2, 1);
  (*out)->keys = g_ptr_array_new_with_free_func(g_free);
  (*out)->values = g_ptr_array_new_with_free_func(g_free);
  return NULL;
}

static OrtStatus *ORT_API_CALL _update_cuda_options(OrtCUDAProviderOptionsV2 *cuda, const char *const *keys,
                                                    const char *const *values, size_t n)
{
  OrtStatus *status = _check_keys(fake_provider_find("CUDA"), keys, n);
  for(size_t i = 0; i < n && !status; i++)
  {
    g_ptr_array_add(cuda->keys, g_strdup(keys[i]));
    g_ptr_array_add(cuda->values, g_strdup(values[i]));
  }
  return status;
}

static OrtStatus *ORT_API_CALL _attach_cuda_v2(OrtSessionOptions *options,
                                               const OrtCUDAProviderOptionsV2 *cuda)
{
  return _attach(options, "CUDA", (const char *const *)cuda->keys->pdata,
                 (const char *const *)cuda->values->pdata, cuda->keys->len);
}

/* The structures of old have a device and little else of interest. */
static OrtStatus *_attach_device(OrtSessionOptions *options, const char *name, int device)
{
  static const char *const keys[] = { "device_id" };
  char text[16];
  g_snprintf(text, sizeof text, "%d", device);
  const char *const values[] = { text };
  return _attach(options, name, keys, values, 1);
}

static OrtStatus *ORT_API_CALL _attach_cuda(OrtSessionOptions *options, const OrtCUDAProviderOptions *cuda)
{
  return _attach_device(options, "CUDA", cuda->device_id);
}

static OrtStatus *ORT_API_CALL _attach_rocm(OrtSessionOptions *options, const OrtROCMProviderOptions *rocm)
{
  return _attach_device(options, "ROCM", rocm->device_id);
}

static OrtStatus *ORT_API_CALL _attach_migraphx(OrtSessionOptions *options,
                                                const OrtMIGraphXProviderOptions *migraphx)
{
  return _attach_device(options, "MIGraphX", migraphx->device_id);
}

/* --- by symbols --- */

/* fake_ort_bare.so is a runtime that was built without them. */
#ifndef FAKE_ORT_BARE
#define LEGACY(name)                                                                                         \
  FAKE_EXPORT OrtStatus *ORT_API_CALL OrtSessionOptionsAppendExecutionProvider_##name(                       \
      OrtSessionOptions *options, int device);                                                               \
  OrtStatus *ORT_API_CALL OrtSessionOptionsAppendExecutionProvider_##name(OrtSessionOptions *options,        \
                                                                          int device)                        \
  {                                                                                                          \
    return _attach_device(options, #name, device);                                                           \
  }
LEGACY(CUDA)
LEGACY(MIGraphX)
LEGACY(ROCM)
LEGACY(DML)
#endif

void fake_attach_fill(OrtApi *api)
{
  api->CreateSessionOptions = _create_options;
  api->ReleaseSessionOptions = _release_options;
  api->SetIntraOpNumThreads = _ignore_number;
  api->SetInterOpNumThreads = _ignore_number;
  api->SetSessionGraphOptimizationLevel = _ignore_level;
  api->SetSessionExecutionMode = _ignore_mode;
  api->EnableMemPattern = _ignore_switch;
  api->DisableMemPattern = _ignore_switch;
  api->EnableCpuMemArena = _ignore_switch;
  api->DisableCpuMemArena = _ignore_switch;
  api->AddSessionConfigEntry = _ignore_entry;
  api->AddFreeDimensionOverrideByName = _override_dim;
  api->SetSessionLogSeverityLevel = _set_severity;
  api->SetUserLoggingFunction = _set_logger;
  api->SessionOptionsAppendExecutionProvider = _attach_by_name;
  api->SessionOptionsAppendExecutionProvider_OpenVINO_V2 = _attach_openvino;
  api->CreateCUDAProviderOptions = _create_cuda_options;
  api->UpdateCUDAProviderOptions = _update_cuda_options;
  api->ReleaseCUDAProviderOptions = _release_cuda_options;
  api->SessionOptionsAppendExecutionProvider_CUDA_V2 = _attach_cuda_v2;
  api->SessionOptionsAppendExecutionProvider_CUDA = _attach_cuda;
  api->SessionOptionsAppendExecutionProvider_ROCM = _attach_rocm;
  api->SessionOptionsAppendExecutionProvider_MIGraphX = _attach_migraphx;
}
