/* SPDX-License-Identifier: GPL-3.0-or-later */
/** @file
 * Progress of a job of several steps: downloading, verifying, unpacking, trying.
 */
#ifndef DT_CLI_STEPS_H
#define DT_CLI_STEPS_H

#include "cli/cli.h"

/** A job under way; zero-initialise but for bar.mode. */
typedef struct dt_cli_steps_t
{
  dt_cli_progress_t bar;
  const char *what; ///< is being changed: "models", "runtimes"
  char step[16], *label;
  gboolean running;
} dt_cli_steps_t;

/** What step of the thing called @p name is under way, and how far. "wait": another process is at it. */
void dt_cli_steps_show(dt_cli_steps_t *steps, const char *name, const char *step, guint64 done,
                       guint64 total);

/** Says something between; a dt_…_say_t of the jobs. @param data  a dt_cli_steps_t */
void dt_cli_steps_say(const char *sentence, gpointer data);

/** Ends the last step and frees what is inside. */
void dt_cli_steps_end(dt_cli_steps_t *steps);

#endif
