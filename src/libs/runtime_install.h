/* SPDX-License-Identifier: GPL-3.0-or-later */
/** @file
 * Installs builds of ONNX Runtime for accelerators below the user's home, one folder per provider, and takes them
 * away again.
 *
 * A new one is put together in a hidden folder beside the others and takes its place by one rename; the previous
 * one stays until then. Beside the libraries lies `.installed`, by which we know our own: folders that somebody else
 * made are never replaced or removed. Whoever changes something holds a lock (flock) on ~/.local/lib.
 */
#ifndef DT_LIBS_RUNTIME_INSTALL_H
#define DT_LIBS_RUNTIME_INSTALL_H

#include "libs/runtime_builds.h"
#include "libs/runtime_job.h"

/** `~/.local/lib/onnxruntime-<ep>` (transfer full). */
char *dt_runtime_home(const char *ep);

/** The system libraries that @p build needs and that are not here, as sentences for people.
 * @return of char * (transfer full), empty when all are there */
GPtrArray *dt_runtime_lacks(const dt_runtime_build_t *build);

/** Downloads, verifies, unpacks and tries @p build, and puts it in the place of what is installed for its provider.
 * System libraries that its provider lacks and that @p build does not name are told through job->say.
 * @return the library's path (transfer full), or NULL with DT_AI_ERROR_NETWORK (download, digest, archive),
 *         _PROVIDER (it does not load, or lacks the provider), _OUTPUT or _CANCELLED; then nothing has changed */
char *dt_runtime_install(const dt_runtime_build_t *build, const dt_runtime_job_t *job, GError **error);

/** Removes what is installed for the provider @p ep, and the setting plugins/ai/ort_library_path when it points into
 * it.
 * @param was_chosen  receives whether it did
 * @return FALSE with DT_AI_ERROR_PROVIDER when nothing is there, _OUTPUT when it is not ours or cannot be removed */
gboolean dt_runtime_remove(const char *ep, const dt_runtime_job_t *job, gboolean *was_chosen, GError **error);

#endif
