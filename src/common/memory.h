/* SPDX-License-Identifier: GPL-3.0-or-later */
/** @file
 * How much memory there is, and how much this process takes.
 */
#ifndef DT_COMMON_MEMORY_H
#define DT_COMMON_MEMORY_H

#include <glib.h>

/** Bytes a new job may take without pushing others out: the kernel's estimate, lowered by the limits
 * of the control group. 4 GiB when the system does not say. */
guint64 dt_memory_available(void);

/** Resident bytes of this process now; 0 when the system does not say. */
guint64 dt_memory_resident(void);

/** Allocates @p count × @p size bytes for a large buffer, in huge pages where the system has them: a picture's
 * buffers would otherwise cost a page fault every four kilobytes. Free with free().
 * @return the memory, not cleared, or NULL */
void *dt_memory_try_large(size_t count, size_t size);

/** Gives memory that was freed back to the system, so that dt_memory_resident() tells what is in use. */
void dt_memory_trim(void);

/** The highest dt_memory_resident() so far. */
guint64 dt_memory_peak(void);

#endif
