/* SPDX-License-Identifier: GPL-3.0-or-later */
/** @file
 * The OpenCL devices of this machine: which there are, what they are called, which are used and why the others are not.
 *
 * Used devices are numbered from 0 in the order in which the drivers list them; the numbers are those of
 * `opencl_device_priority`. Devices of type CPU are only used with `opencl_use_cpu_devices=TRUE`. A graphics processor that
 * two drivers offer is used through the first of them.
 */
#ifndef DT_COMMON_OPENCL_DEVICE_H
#define DT_COMMON_OPENCL_DEVICE_H

#include "common/opencl_driver.h"
#include "common/opencl_priority.h"

G_BEGIN_DECLS

typedef struct dt_opencl_device_t
{
  cl_device_id id;
  cl_platform_id platform_id;
  int number;             ///< from 0; -1: not used
  char *rejected;         ///< why it is not used, as a clause; NULL: it is
  char *name, *canonical; ///< "GeForce GTS 450", "geforcegts450"
  char *identity; ///< "pci:0000:01:00.0" or "uuid:…" where the driver tells, else "GeForce GTS 450#1"
  char *pci;      ///< "0000:01:00.0", or NULL
  char *platform, *vendor; ///< "NVIDIA CUDA", "NVIDIA Corporation"
  char *driver_version, *version;
  cl_device_type type;
  guint64 memory, max_alloc; ///< bytes
  guint compute_units;
  gsize work_group; ///< most work items in one group
  gboolean unified; ///< shares the machine's memory
} dt_opencl_device_t;

/** All devices of all platforms in the order of detection, used or not.
 * @param parts   more than 1: devices of type CPU are cut into so many sub-devices that work side by side
 * @param error   DT_AI_ERROR_PROVIDER: there is no platform, or the driver fails at that, as a clause
 * @return of dt_opencl_device_t * (transfer full); NULL only with @p error; empty: platforms without devices */
GPtrArray *dt_opencl_devices_detect(const dt_opencl_driver_t *driver, int parts, GError **error);

/** How they may be called in a priority string: of the used ones, by number (g_free(); the strings stay theirs).
 * @param n  receives how many */
dt_opencl_names_t *dt_opencl_devices_names(const GPtrArray *devices, int *n);

G_END_DECLS

#endif
