/* SPDX-License-Identifier: GPL-3.0-or-later */
/** @file
 * The verbs of the command `opencl` and their options.
 */
#ifndef DT_CLI_CMD_OPENCL_H
#define DT_CLI_CMD_OPENCL_H

#include <glib.h>

typedef struct dt_cli_opencl_opts_t
{
  gboolean json;
  char *explain; ///< priorities: of this string instead of the one in force, or NULL
  char *trace;   ///< test: file for one JSON object per run, or NULL
  double megapixels;
  int rounds;
} dt_cli_opencl_opts_t;

/** Each prints its results and returns the exit code. */
int dt_cli_opencl_priorities(const dt_cli_opencl_opts_t *opts);
int dt_cli_opencl_test(const dt_cli_opencl_opts_t *opts);

#endif
