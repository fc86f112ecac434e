/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The execution providers by name: one row each. Part of every build, with AI or without. */
#include "ai/backend.h"
#include "ai/platform.h"

const dt_ai_provider_desc_t dt_ai_providers[] = {
  { DT_AI_PROVIDER_AUTO, "auto", "auto", TRUE },
  { DT_AI_PROVIDER_CPU, "CPU", "CPU", TRUE },
  { DT_AI_PROVIDER_COREML, "CoreML", "Apple CoreML", ON_MACOS },
  { DT_AI_PROVIDER_CUDA, "CUDA", "NVIDIA CUDA", ON_LINUX || ON_WINDOWS },
  { DT_AI_PROVIDER_MIGRAPHX, "MIGraphX", "AMD MIGraphX", ON_LINUX },
  { DT_AI_PROVIDER_OPENVINO, "OpenVINO", "Intel OpenVINO",
    ON_LINUX || ON_WINDOWS || (ON_MACOS && ON_X86_64) },
  { DT_AI_PROVIDER_DIRECTML, "DirectML", "Windows DirectML", ON_WINDOWS },
  { DT_AI_PROVIDER_WEBGPU, "WebGPU", "WebGPU", TRUE },
};
_Static_assert(G_N_ELEMENTS(dt_ai_providers) == DT_AI_PROVIDER_COUNT,
               "one row in dt_ai_providers[] per dt_ai_provider_t");

const char *dt_ai_provider_to_string(dt_ai_provider_t provider)
{
  if((int)provider < 0 || provider >= DT_AI_PROVIDER_COUNT) provider = DT_AI_PROVIDER_AUTO;
  return dt_ai_providers[provider].display_name;
}

/* The provider of that name, or -1. */
static int _find(const char *str)
{
  for(int i = 0; i < DT_AI_PROVIDER_COUNT; i++)
    if(g_ascii_strcasecmp(str, dt_ai_providers[i].config_string) == 0
       || g_ascii_strcasecmp(str, dt_ai_providers[i].display_name) == 0)
      return i;
  return g_ascii_strcasecmp(str, "ROCm") == 0 ? DT_AI_PROVIDER_MIGRAPHX : -1;
}

dt_ai_provider_t dt_ai_provider_from_string(const char *str)
{
  return (dt_ai_provider_t)MAX(str ? _find(str) : -1, DT_AI_PROVIDER_AUTO);
}

gboolean dt_ai_provider_is_known(const char *str)
{
  return str && _find(str) >= 0;
}
