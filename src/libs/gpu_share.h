/* SPDX-License-Identifier: GPL-3.0-or-later */
/** @file
 * Takes turns with pixelpipes on one graphics processor: a job that runs a network there holds the device's claim
 * (common/opencl.h) from its first run on, and offers it to whoever waits after every run, that is between two tiles.
 *
 *     dt_gpu_share_t *share = dt_gpu_share_create(cl, cancellable);
 *     opts.gate = dt_gpu_share_gate(share);
 *     …the job…
 *     dt_gpu_share_destroy(share);
 *
 * Both sides know the processor by its PCI address. Where either does not tell, where OpenCL does not use the device, and
 * on the CPU, nothing is waited for. Neither is it for long: a claim that cannot be had in time is done without, and tried
 * for again so seldom that a job spends no more than about a tenth of its time with it.
 *
 * A job must not share a device that a run of its own thread holds: it would wait for itself, until the patience ends.
 */
#ifndef DT_LIBS_GPU_SHARE_H
#define DT_LIBS_GPU_SHARE_H

#include "ai/backend.h"
#include "common/opencl.h"

typedef struct dt_gpu_share_t dt_gpu_share_t;

/** For one job. It serves one device, the first that dt_gpu_share_enter() names; jobs run on one.
 * @param cl           NULL: nothing is shared
 * @param cancellable  ends waiting for the device, or NULL
 * @return (transfer full), or NULL for a NULL @p cl, which all functions below take */
dt_gpu_share_t *dt_gpu_share_create(dt_opencl_t *cl, GCancellable *cancellable);
/** Gives the device up. All runs are over. */
void dt_gpu_share_destroy(dt_gpu_share_t *share);

/** Around a run on the device at @p pci; NULL costs nothing. The first to enter claims the device where it is not held
 * already, the last to leave lets others have it and waits until it is back. Thread-safe; they may overlap. @{ */
void dt_gpu_share_enter(dt_gpu_share_t *share, const char *pci);
void dt_gpu_share_leave(dt_gpu_share_t *share, const char *pci);
/** @} */

/** The two as a gate (transfer none, as long as @p share), or NULL for a NULL @p share. */
const dt_ai_gate_t *dt_gpu_share_gate(const dt_gpu_share_t *share);

#endif
