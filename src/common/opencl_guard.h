/* SPDX-License-Identifier: GPL-3.0-or-later */
/** @file
 * A driver that crashes or hangs when it is asked for its devices takes the process with it. So a child process asks first,
 * once: what became of it is kept beside the compiled programs, for as long as the library and the drivers that are
 * installed stay as they are. `darktable-ai cache clear opencl` forgets it.
 */
#ifndef DT_COMMON_OPENCL_GUARD_H
#define DT_COMMON_OPENCL_GUARD_H

#include "common/opencl_driver.h"

G_BEGIN_DECLS

/** Whether the driver may be asked in this process. Asks the child where that is not known, which takes as long as the
 * driver takes, at most the setting `opencl_hang_seconds`; a crash and a hang are said (DT_LOG_NOTICE).
 * Without the child's program nobody can know, and it may. Thread-safe.
 * @return FALSE with DT_AI_ERROR_PROVIDER: a clause that says what it did */
gboolean dt_opencl_guard_check(const dt_opencl_driver_t *driver, GError **error);

/** The child's side: asks the library @p path for its devices.
 * @return the answer for the parent (static string) */
const char *dt_opencl_guard_child(const char *path);

G_END_DECLS

#endif
