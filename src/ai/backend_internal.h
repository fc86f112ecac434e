/* SPDX-License-Identifier: GPL-3.0-or-later */
/** @file
 * What the files of src/ai share and nobody else sees.
 */
#ifndef DT_AI_BACKEND_INTERNAL_H
#define DT_AI_BACKEND_INTERNAL_H

#include "ai/backend.h"
#include "ai/ort_runtime.h"
#include "common/ai_manifest.h"

/** Everything that can be asked of a session. Zero-initialise for the defaults. */
typedef struct dt_ai_session_opts_t
{
  dt_ai_provider_t provider;
  dt_ai_opt_level_t opt_level;
  const dt_ai_dim_override_t *overrides;
  int n_overrides;
  int threads;        ///< intra-op threads, 0: all cores
  gboolean own_arena; ///< an arena of its own, with the two properties below
  size_t arena_limit; ///< bytes it may take, 0: no limit
  int arena_strategy; ///< 0: grows by doubling, 1: by what is requested
} dt_ai_session_opts_t;

/** Creates a session from the bytes of a model, which may be freed afterwards.
 * @param path  for messages only */
dt_ai_context_t *dt_ai_session_create(const char *path, const void *bytes, size_t size,
                                      const dt_ai_session_opts_t *opts, GError **error);

/** dt_ai_run_cancellable() for callers that know every output's real shape: the runtime writes
 * straight into their buffers, also when the model declares symbolic dimensions. */
gboolean dt_ai_run_in_place(dt_ai_context_t *ctx, dt_ai_tensor_t *inputs, int num_inputs,
                            dt_ai_tensor_t *outputs, int num_outputs, GCancellable *cancellable,
                            GError **error);

/** Reads a model file whole, refusing what is not one.
 * @return the bytes (transfer full) */
GBytes *dt_ai_read_model_file(const char *model_dir, const char *model_file, GError **error);

/** The manifest behind @p info. */
const dt_manifest_t *dt_ai_model_manifest(const dt_ai_model_info_t *info);

/** Stores @p error (transfer full) as this thread's dt_ai_last_error(). */
void dt_ai_take_last_error(GError *error);

/** Attaches @p provider to @p options; CPU needs nothing. DT_AI_ERROR_PROVIDER when it cannot. */
gboolean dt_ai_provider_attach(const dt_ort_t *ort, dt_ai_provider_t provider, OrtSessionOptions *options,
                               GError **error);

/** The provider to use when AUTO is asked for: the first that attaches, the reasons are logged.
 * @param failed  bits (1 << provider) of those that attached before and then could not make a session */
dt_ai_provider_t dt_ai_provider_resolve_auto(const dt_ort_t *ort, unsigned failed);

#endif
