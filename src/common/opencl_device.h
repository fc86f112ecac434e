/* SPDX-License-Identifier: GPL-3.0-or-later */
/** @file
 * The OpenCL devices of this machine: which there are, what they are called, which are used and why the others are not.
 *
 * Used devices are numbered from 0 in the order in which the drivers list them; the numbers are those of
 * `opencl_device_priority`. Devices of type CPU are only used with `opencl_use_cpu_devices=TRUE`. A graphics processor that
 * two drivers offer is used through the first of them that can be used.
 *
 * What drivers say is not trusted: strings are short valid UTF-8 without control characters, a device whose driver fails to
 * answer is not used and the reason says which question it was. A driver that crashes or hangs when it is asked does so in a
 * child process first (common/opencl_guard.h). Everything here may be called from any thread.
 */
#ifndef DT_COMMON_OPENCL_DEVICE_H
#define DT_COMMON_OPENCL_DEVICE_H

#include "common/opencl_driver.h"
#include "common/opencl_priority.h"

G_BEGIN_DECLS

/** One device. A platform that does not list its devices stands for them as one that is not used, with neither id nor
 * name. */
typedef struct dt_opencl_device_t
{
  cl_device_id id; ///< a part of a device of type CPU is never released
  cl_platform_id platform_id;
  int number;             ///< from 0; -1: not used
  char *rejected;         ///< why it is not used, as a clause; NULL: it is
  char *name, *canonical; ///< "GeForce GTS 450", "geforcegts450"; never NULL, as little as the strings below
  /** "pci:0000:01:00.0" or "uuid:…" where the driver tells and no other used device has it, else "GeForce GTS 450#1": the
   * first of that name among all devices, used or not */
  char *identity;
  char *pci;               ///< "0000:01:00.0" as below /sys/bus/pci/devices, or NULL
  char *uuid;              ///< "01234567-89ab-cdef-0123-456789abcdef", or NULL
  char *platform, *vendor; ///< "NVIDIA CUDA", "NVIDIA Corporation"
  char *driver_version, *version;
  cl_device_type type;
  guint64 memory, max_alloc; ///< bytes
  guint compute_units;
  gsize work_group; ///< most work items in one group
  gboolean unified; ///< shares the machine's memory
  gboolean rounds;  ///< can round quotients and square roots of single precision correctly
} dt_opencl_device_t;

/** Bytes of memory that a device must have: less does not hold what one step of a pipe on a tile needs. */
#define DT_OPENCL_LEAST_MEMORY ((guint64)256 << 20)

/** All devices of all platforms in the order of detection, used or not.
 * @param parts   more than 1: devices of type CPU are cut into so many sub-devices that work side by side; one that has
 *                fewer compute units, or a driver that cannot do that, stays whole
 * @param error   DT_AI_ERROR_PROVIDER: there is no platform, or the driver fails at that, as a clause
 * @return of dt_opencl_device_t * (transfer full); NULL only with @p error; empty: platforms without devices */
GPtrArray *dt_opencl_devices_detect(const dt_opencl_driver_t *driver, int parts, GError **error);

/** Loads the library and looks for devices, as the settings say: with `opencl=FALSE` nothing is loaded.
 * @param parts    as above
 * @param driver   receives (transfer full) the library, or NULL
 * @param absence  receives (transfer full) why no device can be used, as a clause; NULL: one can
 * @return as above, but never NULL */
GPtrArray *dt_opencl_devices_open(int parts, dt_opencl_driver_t **driver, char **absence);

/** What `-d opencl` prints at start: the used devices with their numbers, the others with the reason, the verdict.
 * @param absence  as dt_opencl_devices_open() gives it
 * @return lines (transfer full, g_strfreev()) */
char **dt_opencl_devices_report(const GPtrArray *devices, const char *absence);

/** "gpu", "cpu", "accelerator", "custom", or "unknown". Static string. */
const char *dt_opencl_type_name(cl_device_type type);

/** How they may be called in a priority string: of the used ones, by number (g_free(); the strings stay theirs).
 * @param n  receives how many */
dt_opencl_names_t *dt_opencl_devices_names(const GPtrArray *devices, int *n);

G_END_DECLS

#endif
