/* SPDX-License-Identifier: GPL-3.0-or-later */
/** @file
 * Removing a directory with everything in it.
 */
#ifndef DT_COMMON_TREE_H
#define DT_COMMON_TREE_H

/** Removes @p path, a file or a directory with all that is in it, as far as possible. Links are removed, never
 * followed. Thread-safe. */
void dt_tree_remove(const char *path);

#endif
