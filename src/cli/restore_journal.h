/* SPDX-License-Identifier: GPL-3.0-or-later */
/** @file
 * The journal of a run of denoise or upscale: where it lies, and what a later run must have in common with it.
 */
#ifndef DT_CLI_RESTORE_JOURNAL_H
#define DT_CLI_RESTORE_JOURNAL_H

#include "cli/restore_options.h"
#include "libs/journal.h"

/** Opens the journal that was asked for.
 * @param info  the model
 * @param note  receives (transfer full) what a person should know, or NULL
 * @return as dt_journal_open(), its errors included */
dt_journal_t *dt_cli_restore_open_journal(const dt_cli_restore_t *restore, const dt_ai_model_info_t *info,
                                          char **note, GError **error);

#endif
