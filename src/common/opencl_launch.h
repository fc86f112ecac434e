/* SPDX-License-Identifier: GPL-3.0-or-later */
/** @file
 * What work on an OpenCL device does all the time: buffers to and fro, kernels over a picture.
 *
 * Everything is called on the device's thread, from a dt_opencl_work_t, and says FALSE or NULL with @p error as
 * dt_opencl_check() sets it: DT_AI_ERROR_MEMORY or DT_AI_ERROR_PROVIDER.
 */
#ifndef DT_COMMON_OPENCL_LAUNCH_H
#define DT_COMMON_OPENCL_LAUNCH_H

#include "common/opencl_worker.h"

G_BEGIN_DECLS

/** A buffer of @p bytes, filled from @p data unless that is NULL. To be released with dt_opencl_buffer_free(). */
cl_mem dt_opencl_buffer_new(dt_opencl_queue_t *queue, gsize bytes, const void *data, GError **error);
/** NULL is fine. */
void dt_opencl_buffer_free(dt_opencl_queue_t *queue, cl_mem buffer);
/** Fills @p bytes of @p buffer, after all that was enqueued before. */
gboolean dt_opencl_buffer_write(dt_opencl_queue_t *queue, cl_mem buffer, gsize bytes, const void *data,
                                GError **error);
/** Waits for all that was enqueued before, and copies @p bytes back. */
gboolean dt_opencl_buffer_read(dt_opencl_queue_t *queue, cl_mem buffer, gsize bytes, void *data,
                               GError **error);

/** One argument of a kernel: its size and where it stands. */
typedef struct dt_opencl_arg_t
{
  gsize size;
  const void *value;
} dt_opencl_arg_t;
/** The argument @p variable (a cl_mem, a cl_int, a float, …). */
#define DT_OPENCL_ARG(variable)                                                                              \
  {                                                                                                          \
    sizeof(variable), &(variable)                                                                            \
  }

/** Enqueues @p kernel for at least @p width x @p height work items; those beyond return at once by themselves. */
gboolean dt_opencl_enqueue(dt_opencl_queue_t *queue, cl_kernel kernel, const dt_opencl_arg_t *args,
                           int n_args, gsize width, gsize height, GError **error);
/** The same with the kernel @p name of data/kernels/<program>.cl. */
gboolean dt_opencl_launch(dt_opencl_queue_t *queue, const char *program, const char *name,
                          const dt_opencl_arg_t *args, int n_args, int width, int height, GError **error);
/** Waits for everything enqueued. */
gboolean dt_opencl_finish(dt_opencl_queue_t *queue, GError **error);

G_END_DECLS

#endif
