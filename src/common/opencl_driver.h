/* SPDX-License-Identifier: GPL-3.0-or-later */
/** @file
 * The OpenCL library, loaded when it is first needed: a table of its functions.
 *
 * Nothing links against OpenCL. A system without it is a normal state, with a sentence that says what was looked for.
 * The library is never unloaded: drivers keep threads of their own.
 */
#ifndef DT_COMMON_OPENCL_DRIVER_H
#define DT_COMMON_OPENCL_DRIVER_H

#include "common/errors.h"

#define CL_TARGET_OPENCL_VERSION 120
#ifdef __APPLE__
#include <OpenCL/cl.h>
#else
#include <CL/cl.h>
#endif

G_BEGIN_DECLS

/** Every function that is called, without its `cl`. A library that lacks one cannot be used; only CreateSubDevices may be
 * missing, and is NULL then. */
#define DT_OPENCL_FUNCTIONS(X)                                                                               \
  X(GetPlatformIDs)                                                                                          \
  X(GetPlatformInfo)                                                                                         \
  X(GetDeviceIDs)                                                                                            \
  X(GetDeviceInfo)                                                                                           \
  X(CreateSubDevices)                                                                                        \
  X(CreateContext)                                                                                           \
  X(ReleaseContext)                                                                                          \
  X(CreateCommandQueue)                                                                                      \
  X(ReleaseCommandQueue)                                                                                     \
  X(CreateProgramWithSource)                                                                                 \
  X(CreateProgramWithBinary)                                                                                 \
  X(BuildProgram)                                                                                            \
  X(GetProgramInfo)                                                                                          \
  X(GetProgramBuildInfo)                                                                                     \
  X(ReleaseProgram)                                                                                          \
  X(CreateKernel)                                                                                            \
  X(SetKernelArg)                                                                                            \
  X(GetKernelWorkGroupInfo)                                                                                  \
  X(ReleaseKernel)                                                                                           \
  X(CreateBuffer)                                                                                            \
  X(ReleaseMemObject)                                                                                        \
  X(EnqueueWriteBuffer)                                                                                      \
  X(EnqueueReadBuffer)                                                                                       \
  X(EnqueueCopyBuffer)                                                                                       \
  X(EnqueueNDRangeKernel)                                                                                    \
  X(Flush)                                                                                                   \
  X(Finish)

typedef struct dt_opencl_driver_t
{
  char *path; ///< the library's file, or its name as the loader was asked for
#define DT_OPENCL_MEMBER(name) __typeof__(cl##name) *(name);
  DT_OPENCL_FUNCTIONS(DT_OPENCL_MEMBER)
#undef DT_OPENCL_MEMBER
} dt_opencl_driver_t;

/** Loads the library that the setting `opencl_library` names, else the system's.
 * A library that was asked for and cannot be used is an error; no other one takes its place. Thread-safe.
 * @return NULL with DT_AI_ERROR_PROVIDER: a clause that says what was looked for and what is missing */
dt_opencl_driver_t *dt_opencl_driver_load(GError **error);
/** Frees the table; the library stays. NULL is fine. */
void dt_opencl_driver_destroy(dt_opencl_driver_t *driver);

/** The name of an error of OpenCL's ("CL_OUT_OF_RESOURCES"), or "error -9999". Static or interned string. */
const char *dt_opencl_error_name(cl_int code);

/** Sets @p error from what @p function ("clFinish") gave: DT_AI_ERROR_MEMORY when the device's memory is used up
 * (CL_MEM_OBJECT_ALLOCATION_FAILURE; of clCreateBuffer also CL_OUT_OF_RESOURCES and CL_INVALID_BUFFER_SIZE), else
 * DT_AI_ERROR_PROVIDER. The message is a clause: "clFinish failed with CL_OUT_OF_RESOURCES".
 * @return code == CL_SUCCESS (then nothing is set) */
gboolean dt_opencl_check(cl_int code, const char *function, GError **error);

G_END_DECLS

#endif
