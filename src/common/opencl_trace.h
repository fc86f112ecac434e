/* SPDX-License-Identifier: GPL-3.0-or-later */
/** @file
 * What became of every run: as JSON lines in a file, as words under `-d opencl`, as counters at the end.
 */
#ifndef DT_COMMON_OPENCL_TRACE_H
#define DT_COMMON_OPENCL_TRACE_H

#include "common/errors.h"

G_BEGIN_DECLS

/** A run that is over. Times are microseconds. */
typedef struct dt_opencl_event_t
{
  guint64 run;             ///< its number
  const char *pipe;        ///< "full", …, or "claim"
  const char *image;       ///< or NULL
  int device;              ///< that it was given; -1: none
  const char *device_name; ///< or NULL
  gboolean nested;         ///< on the device of the run it belongs to
  gint64 begun;            ///< since the trace was opened
  gint64 waited, ran;
  gint64 held;        ///< how long it had the device; less than it ran where the device failed
  int tiles;          ///< 1 and more
  gboolean failed;    ///< the device did not do it to the end
  const char *reason; ///< why it ran, or ended, on the CPU, or NULL
} dt_opencl_event_t;

typedef struct dt_opencl_trace_t dt_opencl_trace_t;

/** @param path     file to be written anew, or NULL: none
 * @param devices  how many there are
 * @return NULL with DT_AI_ERROR_OUTPUT */
dt_opencl_trace_t *dt_opencl_trace_open(const char *path, int devices, GError **error);
/** Microseconds since it was opened. */
gint64 dt_opencl_trace_now(const dt_opencl_trace_t *trace);
/** Thread-safe. */
void dt_opencl_trace_add(dt_opencl_trace_t *trace, const dt_opencl_event_t *event);
/** Logs the counters, one line for each device and one for the CPU, and closes the file.
 * @param names  of the devices, by number */
void dt_opencl_trace_close(dt_opencl_trace_t *trace, const char *const *names);

G_END_DECLS

#endif
