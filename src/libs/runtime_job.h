/* SPDX-License-Identifier: GPL-3.0-or-later */
/** @file
 * How a long job on runtimes reports what it does, and how it is stopped.
 */
#ifndef DT_LIBS_RUNTIME_JOB_H
#define DT_LIBS_RUNTIME_JOB_H

#include <gio/gio.h>

/** Zero-initialise for silence. All callbacks come from the thread that does the work. */
typedef struct dt_runtime_job_t
{
  /** @param step   "wait", "download", "verify", "unpack" or "test"
   *  @param total  bytes, 0: unknown */
  void (*progress)(const char *step, guint64 done, guint64 total, gpointer user_data);
  void (*say)(const char *sentence, gpointer user_data); ///< what a person should know
  gpointer user_data;
  GCancellable *cancellable;
} dt_runtime_job_t;

#endif
