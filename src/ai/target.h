/* SPDX-License-Identifier: GPL-3.0-or-later */
/** @file
 * Where a session runs: a provider, one of its devices, and the cache folder that belongs to just this
 * runtime, driver and device.
 */
#ifndef DT_AI_TARGET_H
#define DT_AI_TARGET_H

#include "ai/backend.h"
#include "ai/ort_runtime.h"

typedef struct dt_ai_target_t
{
  dt_ai_provider_t provider;
  char *device; ///< as its setting says: "0", "GPU.0", "high-performance"; "" for providers without a choice
  guint64 memory; ///< bytes of the device's memory to take, 0: no limit
  char *cache;    ///< `<cachedir>/ai_v2_<provider>_ort<version>_<fingerprint>`, or NULL
  char *graphs;   ///< folder for compiled graphs, below cache, or NULL; exists once something is attached
} dt_ai_target_t;

/** Reads the settings and computes the fingerprint of runtime, driver and device; loads nothing.
 * Clean up with dt_ai_target_cleanup(). */
void dt_ai_target_init(dt_ai_target_t *target, const dt_ort_t *ort, dt_ai_provider_t provider);
void dt_ai_target_cleanup(dt_ai_target_t *target);

/** From here on compiled graphs go to the folder @p name below the cache. */
void dt_ai_target_set_graphs(dt_ai_target_t *target, const char *name);

/** Attaches the provider to @p options; CPU needs nothing. @p error DT_AI_ERROR_PROVIDER: a clause with the
 * runtime's and the loader's own words, what was needed and by whom. */
gboolean dt_ai_target_attach(const dt_ort_t *ort, const dt_ai_target_t *target, OrtSessionOptions *options,
                             GError **error);

/** Why the runtime does not even offer @p provider, as a clause (transfer full): the platform, the runtime's own list,
 * or a package that left the provider's library out. NULL: it does. */
char *dt_ai_provider_absence(const dt_ort_t *ort, dt_ai_provider_t provider);

/** The providers in the order in which auto tries them here, without CPU, ended by DT_AI_PROVIDER_AUTO. */
const dt_ai_provider_t *dt_ai_provider_auto_order(void);

/** Whether the provider compiles for one shape of its inputs: then all windows should have the same. */
gboolean dt_ai_provider_wants_fixed_shapes(dt_ai_provider_t provider);

/** Name of the provider's own library beside the runtime ("libonnxruntime_providers_cuda.so"; of those it may have the
 * one that is there), or NULL when it has none. Static string. */
const char *dt_ai_provider_library(const dt_ort_t *ort, dt_ai_provider_t provider);

/** The provider that ONNX Runtime calls @p name ("WebGpuExecutionProvider"), as its setting is written, or NULL.
 * Static string. */
const char *dt_ai_provider_of_runtime(const char *name);

#endif
