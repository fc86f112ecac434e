/* SPDX-License-Identifier: GPL-3.0-or-later */
/** @file
 * The options of denoise and upscale, parsed and checked.
 */
#ifndef DT_CLI_RESTORE_OPTIONS_H
#define DT_CLI_RESTORE_OPTIONS_H

#include "cli/cli.h"
#include "libs/denoise_ai.h"

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
  char **files; ///< borrowed from argv
  int n_files;
} dt_cli_restore_t;

/** Parses the command line of the task in argv[0].
 * @return TRUE to go on; FALSE to return *exit_code */
gboolean dt_cli_restore_parse(int argc, char **argv, dt_cli_restore_t *restore, int *exit_code);

#endif
