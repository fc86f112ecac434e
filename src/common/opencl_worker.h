/* SPDX-License-Identifier: GPL-3.0-or-later */
/** @file
 * One OpenCL device at work: its context, its queue, its kernels, and the one thread that calls its driver.
 *
 * A driver may hang. Therefore nobody calls it but the device's own thread, and who waits for that thread waits no longer
 * than a limit: then the device is given up, and its thread, context and whatever the work holds are left alone for good,
 * on purpose, since nobody can know when the driver will touch them again. Work therefore owns what it uses.
 */
#ifndef DT_COMMON_OPENCL_WORKER_H
#define DT_COMMON_OPENCL_WORKER_H

#include "common/opencl_device.h"

G_BEGIN_DECLS

/** What work finds on the device's thread. */
typedef struct dt_opencl_queue_t
{
  const dt_opencl_driver_t *cl;
  const dt_opencl_device_t *device;
  cl_context context;
  cl_command_queue queue; ///< in order
  GHashTable *programs;   ///< of dt_opencl_kernel() alone
} dt_opencl_queue_t;

/** Work for a device, on its thread. It waits for what it has enqueued (clFinish, blocking reads) before it returns.
 * @return FALSE with @p error: DT_AI_ERROR_MEMORY when the device has too little memory for it (which says nothing
 *         against the device), DT_AI_ERROR_CANCELLED, else DT_AI_ERROR_PROVIDER */
typedef gboolean (*dt_opencl_work_t)(dt_opencl_queue_t *queue, void *data, GError **error);

/** The kernel @p name of `kernels/<program>.cl`, compiled when it is first asked for.
 * Only from the device's thread; stays the queue's. NULL with @p error, which holds the compiler's words. */
cl_kernel dt_opencl_kernel(dt_opencl_queue_t *queue, const char *program, const char *name, GError **error);

typedef struct dt_opencl_worker_t dt_opencl_worker_t;

/** Starts the device's thread, which opens context and queue when it first works. Both arguments outlive the worker. */
dt_opencl_worker_t *dt_opencl_worker_create(const dt_opencl_driver_t *driver,
                                            const dt_opencl_device_t *device);
/** Ends the thread after what it does now; one that was given up is left alone with all it has. */
void dt_opencl_worker_destroy(dt_opencl_worker_t *worker);

/** Hands over work and waits for it.
 * @param data     freed with @p destroy, by whoever is last: this call, or never when the device is given up
 * @param seconds  it takes no longer than that, else the device is given up and the error is DT_AI_ERROR_PROVIDER
 * Thread-safe; work is done in the order it comes. */
gboolean dt_opencl_worker_perform(dt_opencl_worker_t *worker, dt_opencl_work_t work, void *data,
                                  GDestroyNotify destroy, double seconds, GError **error);
/** Hands over work and does not wait. @p done is called on the device's thread. */
void dt_opencl_worker_post(dt_opencl_worker_t *worker, dt_opencl_work_t work, void *data,
                           GDestroyNotify destroy,
                           void (*done)(gboolean fine, const GError *error, void *user_data),
                           void *user_data);
/** Whether the device was given up. */
gboolean dt_opencl_worker_is_lost(dt_opencl_worker_t *worker);
/** From here on it is given up: a posted work did not come back. */
void dt_opencl_worker_give_up(dt_opencl_worker_t *worker);

G_END_DECLS

#endif
