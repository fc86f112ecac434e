/* SPDX-License-Identifier: GPL-3.0-or-later */
/** @file
 * Takes a few files out of a Python wheel (ZIP) or an npm package (tar.gz).
 */
#ifndef DT_LIBS_RUNTIME_UNPACK_H
#define DT_LIBS_RUNTIME_UNPACK_H

#include "common/model_package.h"

/** Unpacks the entries of @p archive whose path one of the patterns @p members matches (fnmatch, '*' stays within a
 * folder), each under its last name alone, into the existing directory @p dir.
 *
 * Nothing is created but regular files in @p dir itself. An archive with any entry that leads elsewhere (absolute,
 * "..", backslashes), that has a link where a file is wanted, two files of one name, or more than @p limit bytes of
 * what is wanted, is refused as a whole. Every pattern has to match. Shared libraries lose the demand for an
 * executable stack, which newer systems refuse and no build needs.
 * @param progress  or NULL
 * @return FALSE with DT_AI_ERROR_NETWORK (the archive), _INPUT, _OUTPUT or _CANCELLED; the caller removes what is
 *         in @p dir by then */
gboolean dt_runtime_unpack(const char *archive, char *const *members, guint64 limit, const char *dir,
                           dt_bytes_progress_t progress, gpointer user_data, GCancellable *cancellable,
                           GError **error);

#endif
