/* SPDX-License-Identifier: GPL-3.0-or-later */
/** @file
 * What denoise, upscale and rawdenoise print on stdout, and in words on stderr.
 */
#ifndef DT_CLI_RESTORE_REPORT_H
#define DT_CLI_RESTORE_REPORT_H

#include "libs/denoise_ai.h"

/** What will become of a picture. */
typedef struct dt_cli_forecast_t
{
  dt_restore_result_t result;
  double seconds; ///< negative: not known
} dt_cli_forecast_t;

/** How a batch went, or will go. */
typedef struct dt_cli_summary_t
{
  int total, done, skipped, failed; ///< files; those not begun are in none of the latter
  int resumed;                      ///< of those skipped, what an earlier run has done
  GPtrArray *failures;              ///< of char *: what failed and why
  double seconds;                   ///< that it took
  gboolean dry_run;
  double megapixels;          ///< (dry run) of the inputs
  dt_cli_forecast_t forecast; ///< (dry run) sums; the seconds are negative when those of one file are
} dt_cli_summary_t;

/** The plan for one file. */
void dt_cli_restore_print_plan(const dt_restore_context_t *ctx, const dt_restore_picture_t *picture,
                               const char *output, const dt_restore_plan_t *plan,
                               const dt_cli_forecast_t *forecast, gboolean json);

/** The end of a batch: as JSON always, in words what is worth it. */
void dt_cli_restore_print_summary(const dt_cli_summary_t *summary, gboolean json);

/** What was done with one file. */
void dt_cli_restore_print_result(const dt_restore_context_t *ctx, const char *input, const char *output,
                                 const dt_restore_report_t *report, gboolean json);

/** A failed or skipped file. @param event  "error" or "skipped" */
void dt_cli_restore_print_event(const char *event, const char *input, int code, const char *message,
                                gboolean json);

#endif
