/* SPDX-License-Identifier: GPL-3.0-or-later */
/** @file
 * A directory with everything in it: how much that is, and removing it.
 */
#ifndef DT_COMMON_TREE_H
#define DT_COMMON_TREE_H

#include <glib.h>

/** The bytes of all plain files at and below @p path, no more than a few directories deep; links are not followed.
 * @param files  NULL, or receives how many there are
 * @param used   NULL, or receives when the latest of them was changed, in seconds since 1970; 0: there is none
 * Thread-safe. */
guint64 dt_tree_measure(const char *path, int *files, gint64 *used);

/** Removes @p path, a file or a directory with all that is in it, as far as possible. Links are removed, never
 * followed. Thread-safe. */
void dt_tree_remove(const char *path);

#endif
