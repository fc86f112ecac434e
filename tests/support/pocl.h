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

#endif
