/* SPDX-License-Identifier: GPL-3.0-or-later */
/** @file
 * The options of denoise and upscale, parsed and checked.
 */
#ifndef DT_CLI_RESTORE_OPTIONS_H
#define DT_CLI_RESTORE_OPTIONS_H

#include "cli/cli.h"
#include "libs/denoise_ai.h"

#include <json-glib/json-glib.h>

/** What was asked for, ready to be used. */
typedef struct dt_cli_restore_t
{
  dt_restore_job_t job;
  dt_restore_load_opts_t load;
  dt_cli_progress_t progress;
  const char *model;       ///< NULL: the active one
  gboolean provider_given; ///< on the command line
  gboolean sigma_given;
  gboolean skip_existing, dry_run, json;
  gboolean recursive, resume, fail_fast;
  const char *journal; ///< NULL: none, or with resume the default
  int shard, shards;   ///< 0 of 0: everything
  char **files;        ///< borrowed from argv: files and directories
  int n_files;
} dt_cli_restore_t;

/** Parses the command line of the task in argv[0].
 * @return TRUE to go on; FALSE to return *exit_code */
gboolean dt_cli_restore_parse(int argc, char **argv, dt_cli_restore_t *restore, int *exit_code);

/** Whether -o can serve one file, or @p several. @return FALSE with DT_AI_ERROR_USAGE */
gboolean dt_cli_restore_check_output(const dt_cli_restore_t *restore, gboolean several, GError **error);

/** The options given that decide what results look like and how they are called; of files that are read the digest
 * as well (transfer full). */
JsonObject *dt_cli_restore_settings(const char *task);

#endif
