/* SPDX-License-Identifier: GPL-3.0-or-later */
/** @file
 * Two real OpenCL devices without a GPU, and a driver over them that tests can break.
 */
#ifndef DT_TESTS_POCL_H
#define DT_TESTS_POCL_H

#include "common/opencl.h"

/** A world (test_world_create()) in which PoCL shows two devices of different names and keeps nothing of its own.
 * @return its path */
const char *test_pocl_world(void);

/** A copy of the real driver's table, to be changed, or NULL where there are no two devices (said). The real one is
 * loaded once. */
dt_opencl_driver_t *test_pocl_driver(void);
const dt_opencl_driver_t *test_pocl_real_driver(void);

/** The same, failing as test_pocl_fail_every() says. */
dt_opencl_driver_t *test_pocl_failing_driver(void);
/** From now on one in @p calls of the kernels enqueued and reads fails, two in three as if the device were ill, the third
 * as if memory were used up; and one in @p buffers of the buffers made. 0: none. */
void test_pocl_fail_every(int calls, int buffers);

#endif
