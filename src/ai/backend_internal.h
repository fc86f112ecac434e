/* SPDX-License-Identifier: GPL-3.0-or-later */
/** @file
 * What the files of src/ai share and nobody else sees.
 */
#ifndef DT_AI_BACKEND_INTERNAL_H
#define DT_AI_BACKEND_INTERNAL_H

#include "ai/backend.h"
#include "ai/ort_runtime.h"
#include "ai/target.h"
#include "common/ai_manifest.h"

/** Everything that can be asked of a session. Zero-initialise for the defaults. */
typedef struct dt_ai_session_opts_t
{
  dt_ai_provider_t provider;
  dt_ai_opt_level_t opt_level;
  const dt_ai_dim_override_t *overrides;
  int n_overrides;
  int threads;               ///< intra-op threads, 0: all cores
  gboolean own_arena;        ///< an arena of its own, with the two properties below
  size_t arena_limit;        ///< bytes it may take, 0: no limit
  int arena_strategy;        ///< 0: grows by doubling, 1: by what is requested
  gboolean strict;           ///< this provider or none: no fallback to the CPU
  const char *cpu_only;      ///< the manifest's wish (JSON), or NULL
  int side;                  ///< width and height that will be run, 0: any
  GCancellable *cancellable; ///< ends probing and compiling
} dt_ai_session_opts_t;

/** Creates a session from the bytes of a model, which may be freed afterwards, on the first provider that works
 * with it.
 * @param path  of the model's file */
dt_ai_context_t *dt_ai_session_create(const char *path, const void *bytes, size_t size,
                                      const dt_ai_session_opts_t *opts, GError **error);

/** The same on @p target and nowhere else, without asking first whether that works. DT_AI_ERROR_PROVIDER: a
 * clause. */
dt_ai_context_t *dt_ai_session_open(const dt_ort_t *ort, const dt_ai_target_t *target, const char *path,
                                    const void *bytes, size_t size, const dt_ai_session_opts_t *opts,
                                    GError **error);

/** dt_ai_onnx_load_ext() with everything that can be asked of a session. */
dt_ai_context_t *dt_ai_onnx_load(const char *model_dir, const char *model_file,
                                 const dt_ai_session_opts_t *opts, GError **error);

/** What dt_ai_get_device(), dt_ai_get_pci() and dt_ai_get_fallback() will say. @{ */
void dt_ai_context_set_device(dt_ai_context_t *ctx, const char *name, const char *pci);
void dt_ai_context_set_fallback(dt_ai_context_t *ctx, const char *reasons);
/** @} */

/** dt_ai_run_cancellable() for callers that know every output's real shape: the runtime writes
 * straight into their buffers, also when the model declares symbolic dimensions. */
gboolean dt_ai_run_in_place(dt_ai_context_t *ctx, dt_ai_tensor_t *inputs, int num_inputs,
                            dt_ai_tensor_t *outputs, int num_outputs, GCancellable *cancellable,
                            GError **error);

/** Before and after a run of @p ctx; without a gate (NULL, or one without functions) nothing. @{ */
void dt_ai_gate_enter(const dt_ai_gate_t *gate, dt_ai_context_t *ctx);
void dt_ai_gate_leave(const dt_ai_gate_t *gate, dt_ai_context_t *ctx);
/** @} */

/** Reads a model file whole, refusing what is not one.
 * @return the bytes (transfer full) */
GBytes *dt_ai_read_model_file(const char *model_dir, const char *model_file, GError **error);

/** The manifest behind @p info. */
const dt_manifest_t *dt_ai_model_manifest(const dt_ai_model_info_t *info);

/** Stores @p error (transfer full) as this thread's dt_ai_last_error(). */
void dt_ai_take_last_error(GError *error);

#endif
