/* SPDX-License-Identifier: GPL-3.0-or-later */
/* How each execution provider is attached to a session, and in which order auto tries them.
 *
 * To add one: a value in dt_ai_provider_t before DT_AI_PROVIDER_COUNT, a row in dt_ai_providers[]
 * (provider_table.c), a row in _attachments[]. Static assertions keep the three in step. */
#include "ai/backend_internal.h"
#include "ai/platform.h"
#include "common/log.h"

#include <string.h>

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

gboolean dt_ai_provider_attach(const dt_ort_t *ort, dt_ai_provider_t provider, OrtSessionOptions *options,
                               GError **error)
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
