/* SPDX-License-Identifier: GPL-3.0-or-later */
/** @file
 * Whether an OpenCL device computes at all: a kernel of a few numbers, checked.
 */
#ifndef DT_COMMON_OPENCL_PROBE_H
#define DT_COMMON_OPENCL_PROBE_H

#include "common/opencl_worker.h"

/** A dt_opencl_work_t without data. FALSE with DT_AI_ERROR_PROVIDER also when the numbers are wrong. */
gboolean dt_opencl_probe(dt_opencl_queue_t *queue, void *data, GError **error);

#endif
