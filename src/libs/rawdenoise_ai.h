/* SPDX-License-Identifier: GPL-3.0-or-later */
/** @file
 * What is different in the restore jobs of denoise_ai.h when the picture is a raw: the network is shown the sensor's
 * samples, and the result is a DNG, or a picture in linear Rec.2020.
 */
#ifndef DT_LIBS_RAWDENOISE_AI_H
#define DT_LIBS_RAWDENOISE_AI_H

#include "libs/denoise_ai.h"

/** As dt_restore_job_plan(). @param how  with the mask, where there is one */
gboolean dt_rawdenoise_plan(dt_restore_context_t *ctx, const dt_restore_job_t *job, const dt_raw_t *raw,
                            const char *output, const dt_restore_opts_t *how, dt_restore_plan_t *plan,
                            dt_restore_result_t *result, GError **error);

/** As dt_restore_job_run(). @param stamp  what is done, for the output */
gboolean dt_rawdenoise_run(dt_restore_context_t *ctx, const dt_restore_job_t *job, const dt_raw_t *raw,
                           const char *output, const dt_restore_opts_t *how, const dt_provenance_t *stamp,
                           dt_restore_report_t *report, char **note, GError **error);

#endif
