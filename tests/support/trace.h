/* SPDX-License-Identifier: GPL-3.0-or-later */
/** @file
 * The trace of OpenCL's runs read back, and what must hold of every one.
 */
#ifndef DT_TESTS_TRACE_H
#define DT_TESTS_TRACE_H

#include "common/opencl.h"

/** A run of the trace; times in microseconds. */
typedef struct test_trace_line_t
{
  int pipe, device; ///< a dt_opencl_pipe_t; -1: the CPU
  gboolean nested;
  gint64 begun, ended, left; ///< left: the device
} test_trace_line_t;

/** All lines of the file, each checked by itself (g_free()). */
test_trace_line_t *test_trace_read(const char *path, int *n);
/** No device serves two at a time; full and preview run one at a time. */
void test_trace_check(const test_trace_line_t *lines, int n);

#endif
