/* SPDX-License-Identifier: GPL-3.0-or-later */
/** @file
 * Half floats (IEEE 754 binary16) as models with float16 tensors take and give them.
 */
#ifndef DT_COMMON_HALF_H
#define DT_COMMON_HALF_H

#include <glib.h>

#include <stddef.h>
#include <stdint.h>

G_BEGIN_DECLS

/** Converts @p count floats to half floats.
 *
 * Rounds to nearest, ties to even, denormals included; what rounds to 65520 or more becomes
 * infinity. A NaN stays a NaN: it becomes quiet and keeps its sign and the payload bits that fit.
 *
 * @param in   @p count values
 * @param out  room for @p count values; must not overlap @p in
 * Thread-safe. */
void dt_float_to_half(const float *in, uint16_t *out, size_t count);

/** Converts @p count half floats to floats, exactly; a NaN becomes quiet.
 *
 * @param in   @p count values
 * @param out  room for @p count values; must not overlap @p in
 * Thread-safe. */
void dt_half_to_float(const uint16_t *in, float *out, size_t count);

G_END_DECLS

#endif
