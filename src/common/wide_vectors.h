/* SPDX-License-Identifier: GPL-3.0-or-later */
/** @file
 * Loops compiled a second time for processors with wider vectors, which halves their time; the C library picks one when
 * the program starts. Both give the same bits, for neither fuses multiplication and addition. Sanitizers do not get along
 * with such functions.
 */
#ifndef DT_COMMON_WIDE_VECTORS_H
#define DT_COMMON_WIDE_VECTORS_H

#include <stdint.h> /* any header of the C library says which one it is */

#if defined(__x86_64__) && defined(__GLIBC__) && !defined(__SANITIZE_ADDRESS__)                              \
    && !defined(__SANITIZE_THREAD__)
#define DT_WIDE_VECTORS __attribute__((target_clones("avx2", "default")))
#else
#define DT_WIDE_VECTORS
#endif

#endif
