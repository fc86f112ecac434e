/* SPDX-License-Identifier: GPL-3.0-or-later */
/** @file
 * Temporary files that have no name: what has to wait on disk, because it is too large to be held, leaves nothing
 * behind whatever happens.
 */
#ifndef DT_COMMON_SPOOL_H
#define DT_COMMON_SPOOL_H

#include <glib.h>

/** Opens an empty unnamed file for reading and writing in $TMPDIR (or where the system has such files).
 * @return its descriptor, or -1 with errno. Thread-safe. */
int dt_spool_open(void);

/** Copies what is left in @p from, in pieces, to the end of the spool @p to.
 * @param failed_reading  set when it is @p from that failed
 * @return FALSE with errno */
gboolean dt_spool_fill(int to, int from, gboolean *failed_reading);

#endif
