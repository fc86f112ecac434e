/* SPDX-License-Identifier: GPL-3.0-or-later */
/** @file
 * Trying what may crash, hang or answer wrongly in a child process: providers, models on them, libraries.
 *
 * The child is the program `darktable-ai-probe` beside the bundled runtime. It answers with a key file, which is
 * kept as it is in the cache folder of the target: a verdict lives as long as runtime, driver and device stay.
 */
#ifndef DT_AI_PROBE_H
#define DT_AI_PROBE_H

#include "ai/target.h"

/** What the provider of @p target does when it is started.
 * @param again  do not believe the cache
 * @return the report (transfer full), or NULL with DT_AI_ERROR_CANCELLED */
dt_ai_provider_report_t *dt_ai_probe(const dt_ort_t *ort, const dt_ai_target_t *target, gboolean again,
                                     GCancellable *cancellable, GError **error);

/** The chosen device's entry in @p report, or NULL. */
const dt_ai_device_t *dt_ai_report_device(const dt_ai_provider_report_t *report,
                                          const dt_ai_target_t *target);

/** Whether the provider would use a GPU that only software pretends to be, or cannot tell. */
gboolean dt_ai_report_is_pretended(const dt_ai_provider_report_t *report, const dt_ai_target_t *target);

/** A model to be tried. */
typedef struct dt_ai_trial_t
{
  const char *path; ///< of the model file
  const char *hash; ///< of its bytes, for the cache
  dt_ai_opt_level_t opt_level;
  int side; ///< of the picture it is shown, 0: any that works; providers that compile do so for it
  GCancellable *cancellable;
} dt_ai_trial_t;

/** Compiles the model for @p target into its cache and compares one result with the CPU's; once, then the cache
 * answers. Announces itself (DT_LOG_NOTICE) when it takes more than a moment.
 * @return FALSE with DT_AI_ERROR_PROVIDER (a clause: what is wrong with this pair) or _CANCELLED */
gboolean dt_ai_trial(const dt_ort_t *ort, const dt_ai_target_t *target, const dt_ai_trial_t *trial,
                     GError **error);

/* --- the child's side --- */

/** Opens and runs the model of @p trial on @p target and on the CPU and writes what it found to @p answer, groups
 * "trial" and "nodes". */
void dt_ai_trial_run(const dt_ort_t *ort, const dt_ai_target_t *target, const dt_ai_trial_t *trial,
                     GKeyFile *answer);

#endif
