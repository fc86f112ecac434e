/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What identifies the place a session runs at: the chosen device, and a fingerprint of everything whose change
 * makes compiled graphs and old verdicts worthless. */
#include "ai/target.h"
#include "ai/devices.h"
#include "common/conf.h"
#include "common/paths.h"

#include <glib/gstdio.h>
#include <string.h>

#define CACHE_SCHEMA 2

/* The setting that chooses a device, and the environment variable that wins over it. */
static const struct
{
  const char *key, *variable;
} _choices[DT_AI_PROVIDER_COUNT] = {
  [DT_AI_PROVIDER_CUDA] = { "plugins/ai/cuda_device_id", "DT_CUDA_DEVICE_ID" },
  [DT_AI_PROVIDER_MIGRAPHX] = { "plugins/ai/migraphx_device_id", "DT_MIGRAPHX_DEVICE_ID" },
  [DT_AI_PROVIDER_DIRECTML] = { "plugins/ai/dml_device_id", "DT_DML_DEVICE_ID" },
  [DT_AI_PROVIDER_OPENVINO] = { DT_CONF_AI_OPENVINO_DEVICE, "DT_OPENVINO_DEVICE" },
  [DT_AI_PROVIDER_WEBGPU] = { DT_CONF_AI_WEBGPU_ADAPTER, "DT_WEBGPU_ADAPTER" },
};

const char *dt_ai_provider_device_key(dt_ai_provider_t provider)
{
  return (int)provider >= 0 && provider < DT_AI_PROVIDER_COUNT ? _choices[provider].key : NULL;
}

static char *_chosen_device(dt_ai_provider_t provider)
{
  const char *key = _choices[provider].key;
  const char *variable = key ? g_getenv(_choices[provider].variable) : NULL;
  if(variable && *variable) return g_strdup(variable);
  char *setting = key ? dt_conf_get_string(key) : NULL;
  return setting ? setting : g_strdup("");
}

/* The memory is only known to who has asked the driver; a limit that a person sets is known before. */
static guint64 _memory_limit(dt_ai_provider_t provider)
{
  char *setting = provider == DT_AI_PROVIDER_CUDA ? dt_conf_get_string(DT_CONF_AI_GPU_MEMORY) : NULL;
  const guint64 bytes = setting ? dt_conf_parse_size(setting) : 0;
  g_free(setting);
  return bytes;
}

static void _add_file(GChecksum *sum, const char *folder, const char *name)
{
  char *path = g_build_filename(folder, name, NULL);
  GStatBuf status;
  char text[96] = "absent";
  if(g_stat(path, &status) == 0)
    g_snprintf(text, sizeof text, "%" G_GINT64_FORMAT " %" G_GINT64_FORMAT, (gint64)status.st_size,
               (gint64)status.st_mtime);
  g_checksum_update(sum, (const guchar *)path, -1);
  g_checksum_update(sum, (const guchar *)text, -1);
  g_free(path);
}

static char *_fingerprint(const dt_ort_t *ort, const dt_ai_target_t *target)
{
  GChecksum *sum = g_checksum_new(G_CHECKSUM_SHA256);
  char *folder = g_path_get_dirname(ort->path), *name = g_path_get_basename(ort->path);
  char *driver = dt_ai_devices_fingerprint(target->provider, folder);
  const char *library = dt_ai_provider_library(ort, target->provider);
  _add_file(sum, folder, name);
  if(library) _add_file(sum, folder, library);
  const char *texts[] = { ort->version, driver, target->device };
  for(size_t i = 0; i < G_N_ELEMENTS(texts); i++)
    g_checksum_update(sum, (const guchar *)texts[i], (gssize)strlen(texts[i]) + 1);
  char *text = g_strndup(g_checksum_get_string(sum), 16);
  g_checksum_free(sum);
  g_free(driver);
  g_free(name);
  g_free(folder);
  return text;
}

void dt_ai_target_init(dt_ai_target_t *target, const dt_ort_t *ort, dt_ai_provider_t provider)
{
  *target = (dt_ai_target_t){ .provider = provider };
  if(provider == DT_AI_PROVIDER_CPU)
  {
    target->device = g_strdup("");
    return;
  }
  target->device = _chosen_device(provider);
  target->memory = _memory_limit(provider);
  char *cache = dt_paths_get(DT_DIR_CACHE), *fingerprint = _fingerprint(ort, target);
  char *name = g_ascii_strdown(dt_ai_providers[provider].config_string, -1);
  target->cache =
      g_strdup_printf("%s/ai_v%d_%s_ort%s_%s", cache, CACHE_SCHEMA, name, ort->version, fingerprint);
  g_free(name);
  g_free(fingerprint);
  g_free(cache);
}

void dt_ai_target_cleanup(dt_ai_target_t *target)
{
  g_clear_pointer(&target->device, g_free);
  g_clear_pointer(&target->cache, g_free);
  g_clear_pointer(&target->graphs, g_free);
}

void dt_ai_target_set_graphs(dt_ai_target_t *target, const char *name)
{
  g_free(target->graphs);
  target->graphs = target->cache ? g_build_filename(target->cache, name, NULL) : NULL;
}
