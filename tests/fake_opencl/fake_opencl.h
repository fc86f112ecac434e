/* SPDX-License-Identifier: GPL-3.0-or-later */
/** @file
 * What a test may ask of the fake OpenCL driver, beside OpenCL: found by name in the library that was loaded
 * (g_module_symbol()). README.md is the manual. All of it is thread-safe.
 */
#ifndef DT_TESTS_FAKE_OPENCL_H
#define DT_TESTS_FAKE_OPENCL_H

/** fake_opencl_script: takes this script from now on, and counts from 0. Handles of devices that were given out stay
 * valid, but are those of the old script. NULL: what the environment says. */
typedef void fake_opencl_script_t(const char *script);
/** fake_opencl_live_objects: contexts, queues, programs, kernels and buffers that were not released. */
typedef int fake_opencl_live_objects_t(void);
/** fake_opencl_calls: how often a function was called ("clFinish" or "Finish"), failed calls included. */
typedef int fake_opencl_calls_t(const char *function);
/** fake_opencl_device_calls: the same, only for calls on the script's device of that number, from 0. */
typedef int fake_opencl_device_calls_t(int device, const char *function);

#endif
