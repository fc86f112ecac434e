/* SPDX-License-Identifier: GPL-3.0-or-later */
/** @file
 * Runs another program and keeps what it says: with a time limit, cancellable, and never outlived by it.
 */
#ifndef DT_COMMON_CHILD_H
#define DT_COMMON_CHILD_H

#include "common/errors.h"

#include <gio/gio.h>

/** How it ended and what it said. */
typedef struct dt_child_t
{
  int exit_code;      ///< -1 when it did not end by itself
  int signal;         ///< the signal that ended it, or 0
  gboolean timed_out; ///< it was ended because its time was up
  char *result;       ///< what it wrote to file descriptor 3, never NULL
  char *words;        ///< stdout and stderr together, the last 32 KiB, never NULL
} dt_child_t;

/** Called ten times a second, or more often, from the thread that waits. */
typedef void (*dt_child_tick_t)(double seconds, void *user_data);

/** How to run. Zero-initialise for the defaults. */
typedef struct dt_child_opts_t
{
  int seconds; ///< time limit, 0: none
  GCancellable *cancellable;
  dt_child_tick_t tick;
  void *tick_data;
} dt_child_opts_t;

/** Runs @p argv (argv[0]: a path, or a name looked up in $PATH) with an empty stdin and in a process group of its
 * own, which is killed as a whole when time is up or the caller cancels.
 *
 * @param opts   NULL for the defaults
 * @param child  filled on success: dt_child_cleanup()
 * @return FALSE when it could not be started (DT_AI_ERROR_FAILED) or was cancelled (DT_AI_ERROR_CANCELLED); a child
 *         that crashes or hangs is a success of this function
 * Thread-safe. */
gboolean dt_child_run(const char *const *argv, const dt_child_opts_t *opts, dt_child_t *child,
                      GError **error);
void dt_child_cleanup(dt_child_t *child);

#endif
