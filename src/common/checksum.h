/* SPDX-License-Identifier: GPL-3.0-or-later */
/** @file
 * A checksum that is as quick as memory: against accidents on disk, not against anyone who means it.
 */
#ifndef DT_COMMON_CHECKSUM_H
#define DT_COMMON_CHECKSUM_H

#include <stddef.h>
#include <stdint.h>

/** XXH64 with seed 0 of @p size bytes, after the "xxHash fast digest algorithm" specification, version 0.1.1.
 * The same number on every machine. Thread-safe. */
uint64_t dt_checksum64(const void *data, size_t size);

#endif
