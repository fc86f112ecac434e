/* SPDX-License-Identifier: GPL-3.0-or-later */
/** @file
 * What denoise and upscale print on stdout, and in words on stderr.
 */
#ifndef DT_CLI_RESTORE_REPORT_H
#define DT_CLI_RESTORE_REPORT_H

#include "ai/restore.h"

/** The plan for one file. */
void dt_cli_restore_print_plan(const dt_restore_context_t *ctx, const char *input, const char *output,
                               const dt_restore_plan_t *plan, gboolean json);

/** What was done with one file. */
void dt_cli_restore_print_result(const dt_restore_context_t *ctx, const char *input, const char *output,
                                 const dt_restore_report_t *report, gboolean json);

/** A failed or skipped file. @param event  "error" or "skipped" */
void dt_cli_restore_print_event(const char *event, const char *input, int code, const char *message,
                                gboolean json);

#endif
