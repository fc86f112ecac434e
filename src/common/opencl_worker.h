/* SPDX-License-Identifier: GPL-3.0-or-later */
/** @file
 * One OpenCL device at work: its context, its queue, its kernels, and the one thread that calls its driver.
 *
 * A driver may hang. Therefore nobody calls it but the device's own thread, and who waits for that thread waits no
 * longer than a limit: then the device is given up, and its thread, context and whatever the work holds are left alone
 * for good, on purpose, since nobody can know when the driver will touch them again. Work therefore owns what it uses.
 */
#ifndef DT_COMMON_OPENCL_WORKER_H
#define DT_COMMON_OPENCL_WORKER_H

#include "common/opencl_device.h"

G_BEGIN_DECLS

typedef struct dt_opencl_worker_t dt_opencl_worker_t;

/** What work finds on the device's thread. */
typedef struct dt_opencl_queue_t
{
  const dt_opencl_driver_t *cl;
  const dt_opencl_device_t *device;
  cl_context context;
  cl_command_queue queue; ///< in order
  dt_opencl_worker_t *worker;
} dt_opencl_queue_t;

/** Work for a device, on its thread. It waits for what it has enqueued (clFinish, blocking reads) before it returns.
 * @return FALSE with @p error: DT_AI_ERROR_PROVIDER when the device or its driver fails; any other error says nothing
 *         against the device: DT_AI_ERROR_MEMORY, _CANCELLED, _INPUT (a program that it refuses) */
typedef gboolean (*dt_opencl_work_t)(dt_opencl_queue_t *queue, void *data, GError **error);

/** Told on the device's thread that work needs a program for the first time, before it is opened. */
typedef void (*dt_opencl_need_t)(const char *program, void *user_data);

/** The kernel @p name of `kernels/<program>.cl`, compiled when it is first asked for. Only from the device's thread;
 * stays the queue's. NULL with @p error: DT_AI_ERROR_INPUT when the device's compiler refuses it, with its words, which is
 * remembered; DT_AI_ERROR_MEMORY or _PROVIDER when the driver fails. */
cl_kernel dt_opencl_kernel(dt_opencl_queue_t *queue, const char *program, const char *name, GError **error);

/** Opens the program without asking for a kernel; the same rules. */
gboolean dt_opencl_compile(dt_opencl_queue_t *queue, const char *program, GError **error);

/** Gives the context back with all programs and kernels, and opens a new one: a failure may leave the old one useless for
 * good. Buffers that live on in the old one can only be released. Only from the device's thread. */
gboolean dt_opencl_reopen(dt_opencl_queue_t *queue, GError **error);

/** Starts the device's thread, which opens context and queue when it first works.
 * @param driver, device  outlive the worker
 * @param seconds         what the thread does for itself, keeping programs and giving everything back, may take no longer
 *                        than that, else the device is given up
 * @param need            NULL, or called with @p user_data
 * @return NULL with DT_AI_ERROR_FAILED: the system gives no thread */
dt_opencl_worker_t *dt_opencl_worker_create(const dt_opencl_driver_t *driver,
                                            const dt_opencl_device_t *device, double seconds,
                                            dt_opencl_need_t need, void *user_data, GError **error);
/** Ends the thread after what it does now, without waiting for that; what was posted and has not begun is dropped, and
 * nothing more may be handed over. NULL is fine. */
void dt_opencl_worker_stop(dt_opencl_worker_t *worker);
/** Stops the thread, waits for its end and frees everything. NULL is fine.
 * @return FALSE: the device was given up, now or earlier; the worker is left alone with all it has */
gboolean dt_opencl_worker_destroy(dt_opencl_worker_t *worker);

/** Hands over work and waits for it. Work is done in the order it comes, before all that was posted for later.
 * @param data     freed with @p destroy (NULL: not at all) when the work is over; never, when the device hangs in it
 * @param seconds  no work may take longer than that, else the device is given up
 * @return FALSE with what @p work says, or DT_AI_ERROR_PROVIDER: the device was given up, or cannot be opened.
 * Thread-safe. */
gboolean dt_opencl_worker_perform(dt_opencl_worker_t *worker, dt_opencl_work_t work, void *data,
                                  GDestroyNotify destroy, double seconds, GError **error);

/** How posted work ended; called on the device's thread, not at all when the device hangs in it. */
typedef void (*dt_opencl_done_t)(gboolean fine, const GError *error, void *user_data);

/** Hands over work and does not wait for it. Thread-safe.
 * @param later  only when there is nothing else to do: whoever waits is not kept waiting by it
 * @param done   NULL, or called with @p user_data */
void dt_opencl_worker_post(dt_opencl_worker_t *worker, gboolean later, dt_opencl_work_t work, void *data,
                           GDestroyNotify destroy, double seconds, dt_opencl_done_t done, void *user_data);

/** Whether the device was given up. Thread-safe. */
gboolean dt_opencl_worker_is_lost(dt_opencl_worker_t *worker);
/** Gives the device up: what was posted did not come back in time. Thread-safe. */
void dt_opencl_worker_give_up(dt_opencl_worker_t *worker);

G_END_DECLS

#endif
