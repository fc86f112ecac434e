/* SPDX-License-Identifier: GPL-3.0-or-later */
/** @file
 * Settings: `key=value` lines, read from darktable's file, kept in our own.
 *
 * `<configdir>/darktablerc` belongs to darktable: it is read and never written. What the user sets
 * here goes into `darktable-airc` beside it, which wins; it is written atomically under a lock,
 * unknown keys and comments are kept, values equal to the default are not written out. Overrides
 * (`--conf KEY=VALUE`) win over both, for this process only.
 *
 * All functions are thread-safe.
 */
#ifndef DT_COMMON_CONF_H
#define DT_COMMON_CONF_H

#include "errors.h"

G_BEGIN_DECLS

#define DT_CONF_AI_ENABLED "plugins/ai/enabled"
#define DT_CONF_AI_PROVIDER "plugins/ai/provider"
#define DT_CONF_AI_ORT_LIBRARY "plugins/ai/ort_library_path"
#define DT_CONF_AI_ACTIVE_MODEL "plugins/ai/models/active/" ///< followed by the task
#define DT_CONF_AI_MEMORY "plugins/ai/memory"
#define DT_CONF_AI_CACHE_LIMIT "plugins/ai/cache_limit"
#define DT_CONF_AI_MASK_CACHE_LIMIT "plugins/ai/mask_cache_limit" ///< of encoded pictures; 0: none are kept
#define DT_CONF_THUMBNAIL_CACHE_LIMIT "plugins/ai/thumbnail_cache_limit" ///< 0: there is none
#define DT_CONF_AI_OPENVINO_DEVICE "plugins/ai/openvino_device" ///< as OpenVINO calls it: CPU, GPU, NPU, AUTO
#define DT_CONF_AI_WEBGPU_ADAPTER "plugins/ai/webgpu_adapter"   ///< high-performance or low-power
#define DT_CONF_AI_GPU_MEMORY                                                                                \
  "plugins/ai/gpu_memory" ///< of a device that CUDA may take; empty: three quarters
#define DT_CONF_AI_PROBE_SECONDS "plugins/ai/probe_seconds" ///< a provider that takes longer to start hangs
#define DT_CONF_AI_LONG_JOB_SECONDS                                                                          \
  "plugins/ai/long_job_seconds" ///< on the CPU, until a GPU is mentioned; 0: never
#define DT_CONF_AI_REPOSITORY "plugins/ai/repository"
#define DT_CONF_AI_STALL_SECONDS "plugins/ai/stall_seconds" ///< a download this slow for so long ends
#define DT_CONF_OPENCL "opencl"
#define DT_CONF_OPENCL_PRIORITY "opencl_device_priority"
#define DT_CONF_OPENCL_PROFILE "opencl_scheduling_profile" ///< default, very fast GPU, multiple GPUs
#define DT_CONF_OPENCL_TIMEOUT "opencl_mandatory_timeout"  ///< in steps of 5 ms
#define DT_CONF_OPENCL_CPU_DEVICES "opencl_use_cpu_devices"
#define DT_CONF_OPENCL_LIBRARY "opencl_library"           ///< path; empty: the system's
#define DT_CONF_OPENCL_HANG_SECONDS "opencl_hang_seconds" ///< work that takes longer on a device hangs

/** Where a value comes from. */
typedef enum dt_conf_origin_t
{
  DT_CONF_UNSET, ///< no file, no default
  DT_CONF_DEFAULT,
  DT_CONF_DARKTABLERC,
  DT_CONF_AIRC,
  DT_CONF_OVERRIDE,
} dt_conf_origin_t;

/** Reads the settings again on next use (files changed, directories moved). */
void dt_conf_reload(void);

/** The value of @p key (transfer full), or NULL when it is set nowhere and has no default. */
char *dt_conf_get_string(const char *key);
/** TRUE for "TRUE", "true", "1", "yes", "on". */
gboolean dt_conf_get_bool(const char *key);
/** The value as integer, or @p fallback when it is not one. */
gint64 dt_conf_get_int(const char *key, gint64 fallback);
/** Where the value in force comes from. */
dt_conf_origin_t dt_conf_get_origin(const char *key);
/** The documented default of @p key, or NULL. */
const char *dt_conf_default(const char *key);

/** Sets @p key for this process only. */
void dt_conf_override(const char *key, const char *value);
/** Sets @p key in `darktable-airc`. DT_AI_ERROR_USAGE for a malformed key or value,
 * DT_AI_ERROR_OUTPUT when the file cannot be written (it is then unchanged). */
gboolean dt_conf_set(const char *key, const char *value, GError **error);
/** Sets @p key, unless another program has changed it meanwhile: only if its value is still @p expected (NULL:
 * it is not set anywhere). Errors as above; a value that was left alone is none. */
gboolean dt_conf_set_instead(const char *key, const char *expected, const char *value, GError **error);
/** Removes @p key from `darktable-airc`. */
gboolean dt_conf_reset(const char *key, GError **error);

/** All keys that have a default or are set and start with "plugins/ai/" or "opencl", sorted
 * (transfer full, NULL-terminated). */
char **dt_conf_list(void);

/** Parses "512M", "1.5G", "2GiB", "100000" (bytes); 0 when it is no size. */
guint64 dt_conf_parse_size(const char *text);

G_END_DECLS

#endif
