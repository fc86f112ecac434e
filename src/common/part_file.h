/* SPDX-License-Identifier: GPL-3.0-or-later */
/** @file
 * Output files that appear whole or not at all: a hidden file beside the target becomes the target once it is
 * complete. Used from one thread at a time.
 */
#ifndef DT_COMMON_PART_FILE_H
#define DT_COMMON_PART_FILE_H

#include "common/errors.h"

#include <stdint.h>

typedef struct dt_part_t dt_part_t;

/** Creates the `.part` for @p path, sweeping stale ones of the directory first.
 * @return (transfer full: dt_part_commit() or dt_part_abandon()), or NULL with DT_AI_ERROR_OUTPUT */
dt_part_t *dt_part_create(const char *path, gboolean overwrite, GError **error);
/** The same for a pipe or whatever else @p fd is, which stays open and is called @p name in messages. The bytes go
 * there at once when they are all appended, else through an unnamed temporary file when the part is committed.
 * @param in_order  nothing is written by offset or read back
 * @return as above; a terminal is refused. The process has to ignore SIGPIPE. */
dt_part_t *dt_part_create_stream(int fd, const char *name, gboolean in_order, GError **error);
/** The file it will become, links resolved; NULL for a stream (transfer none). */
const char *dt_part_target(const dt_part_t *part);
/** Writes at @p offset. A failure is remembered and reported by dt_part_set_error(). */
gboolean dt_part_write(dt_part_t *part, uint64_t offset, const void *data, size_t size);
/** Writes behind the last append, through a buffer. */
gboolean dt_part_append(dt_part_t *part, const void *data, size_t size);
/** Writes out what dt_part_append() holds back. */
gboolean dt_part_flush(dt_part_t *part);
/** Bytes read back at @p offset (the TIFF library asks for its own directory). */
size_t dt_part_read(dt_part_t *part, uint64_t offset, void *data, size_t size);
/** Bytes in the file. */
uint64_t dt_part_size(dt_part_t *part);
/** Whether nothing has failed so far. */
gboolean dt_part_is_fine(const dt_part_t *part);
/** Turns the remembered failure into an error; @p otherwise says what failed if there is none. */
void dt_part_set_error(const dt_part_t *part, const char *otherwise, GError **error);
/** Syncs the file, gives it the target's name and frees @p part; on failure removes the file. */
gboolean dt_part_commit(dt_part_t *part, GError **error);
/** Removes the file and frees @p part; NULL is fine. */
void dt_part_abandon(dt_part_t *part);

/** Removes the `.part` files that killed processes left in @p directory; those of living ones are locked and
 * stay. dt_part_create() does so by itself. */
void dt_part_sweep(const char *directory);

#endif
