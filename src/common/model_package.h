/* SPDX-License-Identifier: GPL-3.0-or-later */
/** @file
 * The `.dtmodel` format: a ZIP archive with one directory, named like the model's id, that holds its
 * `config.json` and .onnx files.
 *
 * A package is somebody else's file. Reading one creates nothing but regular files and directories below the
 * directory given, through descriptors that never follow a link; entries of any other kind, names that lead
 * elsewhere, names that differ only in case, and archives larger than the limits are refused.
 */
#ifndef DT_COMMON_MODEL_PACKAGE_H
#define DT_COMMON_MODEL_PACKAGE_H

#include "common/errors.h"

#include <gio/gio.h>

/** What a package may hold. Counted while unpacking, whatever the headers claim. */
#define DT_PACKAGE_MAX_ENTRIES 64
#define DT_PACKAGE_MAX_BYTES ((guint64)8 << 30)
/** Unpacked bytes per packed byte, beyond the first 10 MiB. */
#define DT_PACKAGE_MAX_RATIO 100

/** Progress of work on bytes; @p total is 0 when unknown. Called at most every 100 ms, and at the end. */
typedef void (*dt_bytes_progress_t)(guint64 done, guint64 total, gpointer user_data);

/** SHA-256 of the file at @p path.
 * @return 64 lowercase hex digits (transfer full), or NULL: DT_AI_ERROR_INPUT, _CANCELLED */
char *dt_package_sha256(const char *path, GCancellable *cancellable, GError **error);

/** Unpacks @p path into the existing, empty directory @p dir: afterwards `<dir>/<id>/config.json` and the
 * model's files are there, each written through to the disk, mode 0644 (directories 0755).
 *
 * The bytes are read, hashed and limited as they come; @p total of @p progress is an estimate while they are
 * hashed. Cancelling takes less than 100 ms where the disk keeps up. On failure @p dir may hold a part of it;
 * the caller removes it.
 * @param sha256  the digest the archive must have (64 hex digits), or NULL for any
 * @return the id, which is the archive's one top-level directory (transfer full); or NULL with
 *         DT_AI_ERROR_INPUT when the file cannot be read, DT_AI_ERROR_NO_MODEL when it is not an acceptable
 *         package, DT_AI_ERROR_NETWORK when @p sha256 does not match, DT_AI_ERROR_OUTPUT, _CANCELLED */
char *dt_package_unpack(const char *path, const char *dir, const char *sha256, dt_bytes_progress_t progress,
                        gpointer user_data, GCancellable *cancellable, GError **error);

/** Writes the model in @p dir as a package: `<id>/<relative path>` in sorted order, DEFLATE, no directory
 * entries, no hidden files, fixed times, so that the same directory gives the same bytes. Atomic: @p output
 * appears whole or not at all.
 *
 * What dt_package_unpack() would refuse is not packed. Names have to be plain ASCII (any other could depend on
 * the locale), and @p output lies outside @p dir.
 * @return FALSE with DT_AI_ERROR_INPUT (not readable, links or special files in it, beyond the limits),
 *         _OUTPUT, _CANCELLED; then @p output is what it was */
gboolean dt_package_pack(const char *dir, const char *id, const char *output, gboolean overwrite,
                         GCancellable *cancellable, GError **error);

#endif
