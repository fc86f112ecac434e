/* SPDX-License-Identifier: GPL-3.0-or-later */
/** @file
 * Gets the archive of a build with the ordinary client of its registry, pip or npm, which knows where that is and
 * how the user has set it up (mirrors, proxies, certificates).
 */
#ifndef DT_LIBS_RUNTIME_FETCH_H
#define DT_LIBS_RUNTIME_FETCH_H

#include "libs/runtime_builds.h"
#include "libs/runtime_job.h"

/** The words of the command that gets @p build into @p dir, for people (transfer full). */
char *dt_runtime_fetch_command(const dt_runtime_build_t *build, const char *dir);

/** Downloads the archive of @p build and compares its digest.
 *
 * Ends when nothing more comes for plugins/ai/stall_seconds. Whatever the client needs on the way, it puts below
 * @p dir, an existing, empty directory that the caller removes.
 * @return the archive's path (transfer full), or NULL with DT_AI_ERROR_NETWORK (with the client's last words),
 *         _OUTPUT or _CANCELLED */
char *dt_runtime_fetch(const dt_runtime_build_t *build, const char *dir, const dt_runtime_job_t *job,
                       GError **error);

#endif
