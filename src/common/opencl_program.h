/* SPDX-License-Identifier: GPL-3.0-or-later */
/** @file
 * Compiled kernels: from `kernels/<program>.cl` beside the program, or from what an earlier compilation left.
 *
 * Below the cache directory, in `opencl_v1/`, lies one file for each program and kind of device, with the key of what
 * was compiled (source, options, device, driver) and a checksum. Files appear whole or not at all; one that is of
 * another key, damaged, or refused by the driver is replaced. A cache that cannot be written is worth one sentence.
 *
 * Thread-safe; several processes may read and write at once.
 */
#ifndef DT_COMMON_OPENCL_PROGRAM_H
#define DT_COMMON_OPENCL_PROGRAM_H

#include "common/opencl_device.h"

G_BEGIN_DECLS

/** How a program was come by. */
typedef enum dt_opencl_origin_t
{
  DT_OPENCL_COMPILED,
  DT_OPENCL_CACHED,
} dt_opencl_origin_t;

/** Opens the program @p name for @p device.
 * @param name    of a file below `kernels/`, without `.cl`
 * @param origin  NULL, or receives how
 * @return to be released; NULL with DT_AI_ERROR_INPUT: there is no such file, or the device's compiler refuses it, with
 *         its own words; DT_AI_ERROR_MEMORY or _PROVIDER: the driver fails */
cl_program dt_opencl_program_open(const dt_opencl_driver_t *cl, cl_context context,
                                  const dt_opencl_device_t *device, const char *name,
                                  dt_opencl_origin_t *origin, GError **error);

/** The names of all programs that came along (transfer full, sorted). */
char **dt_opencl_program_list(void);

/** The cache's folder (transfer full); it need not exist. */
char *dt_opencl_program_cache(void);

G_END_DECLS

#endif
