/* SPDX-License-Identifier: GPL-3.0-or-later */
/** @file
 * What a ZIP archive says about its entries, read before a byte is unpacked.
 *
 * The unpacking is libarchive's. This looks at the directory first because libarchive reads it without a
 * limit, converts names to the locale's character set and ends them at the first NUL; here the directory is
 * bounded, names are the bytes in the file, and an archive that could be read in two ways is refused: bytes
 * around it, overlapping entries, local headers that contradict the directory.
 */
#ifndef DT_COMMON_ZIP_DIRECTORY_H
#define DT_COMMON_ZIP_DIRECTORY_H

#include "common/errors.h"

/** An open regular file. */
typedef struct dt_zip_file_t
{
  int fd;
  guint64 size;
  const char *path; ///< for messages
} dt_zip_file_t;

typedef struct dt_zip_entry_t
{
  char *name;           ///< as stored, without NUL, not otherwise checked; a directory's ends in '/'
  guint64 packed, size; ///< bytes stored, bytes unpacked
  guint64 offset;       ///< of the local header
  guint32 crc, type;    ///< type: S_IFMT of a Unix mode, 0 when the archive does not say
  guint16 flags, method;
} dt_zip_entry_t;

/** Reads the directory of @p file.
 * @return dt_zip_entry_t* in the order in which they lie in the file, at least one, at most @p most (transfer
 *         full); or NULL with DT_AI_ERROR_NO_MODEL and the reason, DT_AI_ERROR_INPUT when it cannot be read */
GPtrArray *dt_zip_directory_read(const dt_zip_file_t *file, guint most, GError **error);

/** Sets DT_AI_ERROR_NO_MODEL "PATH is not an acceptable model package: WHY. ADVICE" and returns FALSE. */
gboolean dt_zip_refuse(const char *path, GError **error, const char *advice, const char *why, ...)
    G_GNUC_PRINTF(4, 5);

/** What to do next. */
#define DT_ZIP_DOWNLOAD_AGAIN "Download it again"
#define DT_ZIP_ASK_AUTHOR "Ask whoever made it for a correct one"

/** @p name for a message: valid, printable, on one line, not too long (transfer full). */
char *dt_zip_printable(const char *name);

/** A whole pread(): FALSE when it fails (errno) or the file ends before (errno 0). */
gboolean dt_zip_read_at(int fd, guint64 offset, void *data, size_t size);

#endif
