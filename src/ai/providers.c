/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The execution providers: one table row each, with the way to attach it to a session.
 *
 * To add one: a value in dt_ai_provider_t before DT_AI_PROVIDER_COUNT, a row in dt_ai_providers[],
 * a row in _attachments[]. The static assertions keep the three in step. */
#include "ai/backend_internal.h"
#include "common/log.h"

#include <string.h>

#if defined(_WIN32)
#define ON_WINDOWS TRUE
#else
#define ON_WINDOWS FALSE
#endif
#if defined(__APPLE__)
#define ON_MACOS TRUE
#else
#define ON_MACOS FALSE
#endif
#if defined(__x86_64__) || defined(_M_X64)
#define ON_X86_64 TRUE
#else
#define ON_X86_64 FALSE
#endif
#define ON_LINUX (!ON_WINDOWS && !ON_MACOS)

const dt_ai_provider_desc_t dt_ai_providers[] = {
  { DT_AI_PROVIDER_AUTO, "auto", "auto", TRUE },
  { DT_AI_PROVIDER_CPU, "CPU", "CPU", TRUE },
  { DT_AI_PROVIDER_COREML, "CoreML", "Apple CoreML", ON_MACOS },
  { DT_AI_PROVIDER_CUDA, "CUDA", "NVIDIA CUDA", ON_LINUX || ON_WINDOWS },
  { DT_AI_PROVIDER_MIGRAPHX, "MIGraphX", "AMD MIGraphX", ON_LINUX },
  { DT_AI_PROVIDER_OPENVINO, "OpenVINO", "Intel OpenVINO",
    ON_LINUX || ON_WINDOWS || (ON_MACOS && ON_X86_64) },
  { DT_AI_PROVIDER_DIRECTML, "DirectML", "Windows DirectML", ON_WINDOWS },
};
_Static_assert(G_N_ELEMENTS(dt_ai_providers) == DT_AI_PROVIDER_COUNT,
               "one row in dt_ai_providers[] per dt_ai_provider_t");

/* How ONNX Runtime calls each provider, and in which place auto tries it on this platform (0: not
 * at all). */
static const struct
{
  const char *ort_name;
  int auto_rank;
} _attachments[] = {
  [DT_AI_PROVIDER_AUTO] = { NULL, 0 },
  [DT_AI_PROVIDER_CPU] = { "CPUExecutionProvider", 0 },
  [DT_AI_PROVIDER_COREML] = { "CoreMLExecutionProvider", ON_MACOS ? 1 : 0 },
  [DT_AI_PROVIDER_CUDA] = { "CUDAExecutionProvider", ON_LINUX ? 1 : 0 },
  [DT_AI_PROVIDER_MIGRAPHX] = { "MIGraphXExecutionProvider", ON_LINUX ? 2 : 0 },
  [DT_AI_PROVIDER_OPENVINO] = { "OpenVINOExecutionProvider", ON_LINUX ? 3 : 0 },
  [DT_AI_PROVIDER_DIRECTML] = { "DmlExecutionProvider", ON_WINDOWS ? 1 : 0 },
};
_Static_assert(G_N_ELEMENTS(_attachments) == DT_AI_PROVIDER_COUNT,
               "one row in _attachments[] per dt_ai_provider_t");

const char *dt_ai_provider_to_string(dt_ai_provider_t provider)
{
  if((int)provider < 0 || provider >= DT_AI_PROVIDER_COUNT) provider = DT_AI_PROVIDER_AUTO;
  return dt_ai_providers[provider].display_name;
}

dt_ai_provider_t dt_ai_provider_from_string(const char *str)
{
  if(!str) return DT_AI_PROVIDER_AUTO;
  for(int i = 0; i < DT_AI_PROVIDER_COUNT; i++)
    if(g_ascii_strcasecmp(str, dt_ai_providers[i].config_string) == 0
       || g_ascii_strcasecmp(str, dt_ai_providers[i].display_name) == 0)
      return dt_ai_providers[i].value;
  if(g_ascii_strcasecmp(str, "ROCm") == 0) return DT_AI_PROVIDER_MIGRAPHX;
  return DT_AI_PROVIDER_AUTO;
}

static gboolean _runtime_offers(const dt_ort_t *ort, const char *name)
{
  char **names;
  int count;
  if(!dt_ort_check(ort->api->GetAvailableProviders(&names, &count), DT_AI_ERROR_PROVIDER,
                   "Listing the runtime's providers", NULL))
    return FALSE;
  gboolean found = FALSE;
  for(int i = 0; i < count; i++) found |= strcmp(names[i], name) == 0;
  OrtStatus *status = ort->api->ReleaseAvailableProviders(names, count);
  if(status) ort->api->ReleaseStatus(status);
  return found;
}

gboolean dt_ai_provider_attach(const dt_ort_t *ort, dt_ai_provider_t provider,
                               OrtSessionOptions *options, GError **error)
{
  (void)options;
  if(provider == DT_AI_PROVIDER_CPU) return TRUE;
  const dt_ai_provider_desc_t *desc = &dt_ai_providers[provider];
  const char *why = "this version of darktable-ai runs models on the CPU only";
  if(!desc->available)
    why = "it does not exist on this platform";
  else if(!_runtime_offers(ort, _attachments[provider].ort_name))
    why = "the ONNX Runtime library in use was built without it";
  g_set_error(error, DT_AI_ERROR, DT_AI_ERROR_PROVIDER,
              "The execution provider %s is not available: %s. Use --provider auto or CPU.",
              desc->display_name, why);
  return FALSE;
}

dt_ai_provider_t dt_ai_provider_resolve_auto(const dt_ort_t *ort)
{
  for(int rank = 1; rank < DT_AI_PROVIDER_COUNT; rank++)
    for(int i = 0; i < DT_AI_PROVIDER_COUNT; i++)
    {
      if(_attachments[i].auto_rank != rank) continue;
      GError *reason = NULL;
      dt_log(DT_LOG_AI, "attempting to enable %s...", dt_ai_providers[i].display_name);
      if(dt_ai_provider_attach(ort, (dt_ai_provider_t)i, NULL, &reason)) return (dt_ai_provider_t)i;
      dt_log(DT_LOG_AI, "%s", reason->message);
      g_error_free(reason);
    }
  dt_log(DT_LOG_AI, "using CPU only (no hardware acceleration)");
  return DT_AI_PROVIDER_CPU;
}
