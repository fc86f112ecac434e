/* SPDX-License-Identifier: GPL-3.0-or-later */
/** @file
 * The verbs of `runtime` and what they share.
 */
#ifndef DT_CLI_CMD_RUNTIME_H
#define DT_CLI_CMD_RUNTIME_H

#include "cli/cli.h"

typedef struct dt_cli_runtime_opts_t
{
  gboolean json, yes, use, strict, dry_run;
  dt_cli_progress_mode_t progress;
} dt_cli_runtime_opts_t;

/** A verb gets its operands and returns the exit code. */
typedef int (*dt_cli_runtime_verb_t)(const dt_cli_runtime_opts_t *opts, int n, char **operands);

int dt_cli_runtime_install(const dt_cli_runtime_opts_t *opts, int n, char **operands);
int dt_cli_runtime_remove(const dt_cli_runtime_opts_t *opts, int n, char **operands);

/** Chooses the library @p path after having looked at it, and says so. @return the exit code */
int dt_cli_runtime_choose(const dt_cli_runtime_opts_t *opts, const char *path);

/** Prints one JSON list of strings on stdout; NULL is an empty one. */
void dt_cli_runtime_print_list(char *const *items);

#endif
