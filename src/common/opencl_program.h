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

/** Opens the program @p name for @p device.
 * @param name  of a file below `kernels/`, without `.cl`
 * @param key   receives (transfer full) what to keep it under, or NULL: it was kept
 * @return to be released; NULL with DT_AI_ERROR_INPUT: there is no such file, or the device's compiler refuses it, with
 *         its own words; DT_AI_ERROR_MEMORY or _PROVIDER: the driver fails */
cl_program dt_opencl_program_open(const dt_opencl_driver_t *cl, cl_context context,
                                  const dt_opencl_device_t *device, const char *name, char **key,
                                  GError **error);

/** Keeps what was compiled. Best after its kernels have run: some drivers compile a kernel again when it first runs, for
 * that size of work groups, and put that into the compiled form as well, but only if they are not asked for it before. */
void dt_opencl_program_keep(const dt_opencl_driver_t *cl, const dt_opencl_device_t *device, const char *name,
                            const char *key, cl_program program);

/** The names of all programs that came along (transfer full, sorted). */
char **dt_opencl_program_list(void);

/** The cache's folder (transfer full); it need not exist. */
char *dt_opencl_program_cache(void);

G_END_DECLS

#endif
