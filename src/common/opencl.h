/* SPDX-License-Identifier: GPL-3.0-or-later */
/** @file
 * OpenCL for pixelpipes: a run asks for a device, works on it, and gives it back.
 *
 *     dt_opencl_run_t *run = dt_opencl_run_begin(cl, &(dt_opencl_run_opts_t){ .pipe = DT_OPENCL_EXPORT }, &error);
 *     if(dt_opencl_run_device(run) >= 0 && !dt_opencl_run_perform(run, work, data, free_data, &error)) …the CPU, then
 *     dt_opencl_run_end(run);
 *
 * What the settings say (`opencl`, `opencl_library`, `opencl_device_priority`, …) is read at dt_opencl_create(). Who gets
 * which device is decided by common/opencl_scheduler.h, the string that says so is read by common/opencl_priority.h. A
 * machine without OpenCL is no error: every run is then told the CPU.
 *
 * All functions are thread-safe, but one run belongs to one thread at a time.
 */
#ifndef DT_COMMON_OPENCL_H
#define DT_COMMON_OPENCL_H

#include "common/opencl_scheduler.h"
#include "common/opencl_worker.h"

#include <gio/gio.h>

G_BEGIN_DECLS

typedef struct dt_opencl_t dt_opencl_t;
typedef struct dt_opencl_run_t dt_opencl_run_t;

/** How to set it up. Zero-initialise for the defaults. */
typedef struct dt_opencl_opts_t
{
  const char *trace; ///< file that receives one JSON object per run, or NULL
  int parts;         ///< see dt_opencl_devices_detect()
  gint64 set_aside;  ///< microseconds for which a device is set aside when it first fails; 0: a second
  const dt_opencl_driver_t *driver; ///< instead of the one that is loaded; outlives it; NULL: none
} dt_opencl_opts_t;

/** Looks for devices. Nothing is compiled yet.
 * @return NULL only with DT_AI_ERROR_OUTPUT: the trace cannot be written. No OpenCL, no device: dt_opencl_absence() */
dt_opencl_t *dt_opencl_create(const dt_opencl_opts_t *opts, GError **error);
/** All runs have ended. Logs the counters (`-d opencl`). NULL is fine. */
void dt_opencl_destroy(dt_opencl_t *cl);

/** Why there is no device to use, as a clause; NULL: there is one. Stays @p cl's. */
const char *dt_opencl_absence(const dt_opencl_t *cl);
/** The library in use, or NULL. */
const char *dt_opencl_library(const dt_opencl_t *cl);
/** All devices, used or not (of dt_opencl_device_t *; stays @p cl's). */
const GPtrArray *dt_opencl_devices(const dt_opencl_t *cl);
/** The used device of that number, or NULL. */
const dt_opencl_device_t *dt_opencl_device(const dt_opencl_t *cl, int number);
/** The priorities in force, and @p why (NULL, or receives a string that stays @p cl's). */
const dt_opencl_priorities_t *dt_opencl_priorities(const dt_opencl_t *cl, const char **why);
/** How the device is now. */
dt_opencl_health_t dt_opencl_health(dt_opencl_t *cl, int number);

/** Who wants to run. */
typedef struct dt_opencl_run_opts_t
{
  dt_opencl_pipe_t pipe;
  const char *image;         ///< for the trace, or NULL
  dt_opencl_run_t *parent;   ///< the run this one is nested in, or NULL
  GCancellable *cancellable; ///< ends the waiting, or NULL
} dt_opencl_run_opts_t;

/** Waits until the run may begin and is told its device.
 * @return NULL with DT_AI_ERROR_CANCELLED: cancelled, or a newer request of the pipe took its place */
dt_opencl_run_t *dt_opencl_run_begin(dt_opencl_t *cl, const dt_opencl_run_opts_t *opts, GError **error);
/** Number of its device; -1: the CPU. */
int dt_opencl_run_device(const dt_opencl_run_t *run);
/** Why it runs on the CPU, as a clause for people ("both devices are busy"), or NULL. Stays the run's. */
const char *dt_opencl_run_reason(const dt_opencl_run_t *run);

/** Does @p work on the run's device. After DT_AI_ERROR_PROVIDER the run's device is -1:
 * it is set aside, or given up when it hung, and the run goes on on the CPU.
 * @param data  freed with @p destroy, unless the device hangs: then never */
gboolean dt_opencl_run_perform(dt_opencl_run_t *run, dt_opencl_work_t work, void *data,
                               GDestroyNotify destroy, GError **error);
/** For the trace: in how many tiles it was done. */
void dt_opencl_run_set_tiles(dt_opencl_run_t *run, int tiles);
/** For the trace: why it goes on on the CPU. */
void dt_opencl_run_fall_back(dt_opencl_run_t *run, const char *reason);
/** The run is over; its device is free for the next. NULL is fine. */
void dt_opencl_run_end(dt_opencl_run_t *run);

/** Takes the device at a PCI address ("0000:01:00.0") for work that is not OpenCL's, for instance a neural network.
 * @return a run to be ended; NULL: no device of @p cl is there, or it could not be had in time; then there is nothing to
 *         share, or nothing to wait for, and the work goes on */
dt_opencl_run_t *dt_opencl_claim(dt_opencl_t *cl, const char *pci, GCancellable *cancellable);
/** The same for the device of that number, whatever the priorities say. */
dt_opencl_run_t *dt_opencl_claim_device(dt_opencl_t *cl, int device, GCancellable *cancellable);
/** Between two parts of such work: lets whoever waits for the device have it for a run, then takes it again. The trace has
 * a line for each time it was held. When it cannot be had again in time, the claim's device is -1 and the work goes on. */
void dt_opencl_claim_yield(dt_opencl_run_t *claim);

/** Compiles a program for all devices side by side, in the background. */
void dt_opencl_prepare(dt_opencl_t *cl, const char *program);

G_END_DECLS

#endif
