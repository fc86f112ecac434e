/* SPDX-License-Identifier: GPL-3.0-or-later */
/** @file
 * How many cores the loops of a thread share, where several threads do the same kind of work.
 */
#ifndef DT_COMMON_CORES_H
#define DT_COMMON_CORES_H

/** From here on the parallel loops that the calling thread begins use that part of the cores: all divided by @p threads,
 * at least one. */
void dt_cores_share(int threads);

#endif
