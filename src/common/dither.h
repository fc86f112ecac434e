/* SPDX-License-Identifier: GPL-3.0-or-later */
/** @file
 * Rounding to 8 bits without bands.
 *
 * A sample between two codes becomes the upper one as often as it is near to it: the threshold is drawn evenly over one
 * step, from the pixel's place. So the mean of a neighbourhood is what it was before rounding, and a smooth gradient
 * does not end in steps. One step wide is the narrowest noise of which that is true, and the only one that leaves
 * alone what needs no rounding: black, white and every other exact code stay flat, and an 8-bit picture that nothing
 * was done to comes back as it was. (Triangular noise two steps wide would also hide that the noise depends on the
 * signal, which matters to ears, for twice the variance and speckled flats.)
 *
 * All colours of a pixel share one threshold: grey stays grey. No state is carried along, so that rows, tiles and
 * threads may come in any order. `data/kernels/colour.cl` has the same, operation by operation.
 */
#ifndef DT_COMMON_DITHER_H
#define DT_COMMON_DITHER_H

#include "common/power.h"

#include <glib.h>

/** The threshold that rounds to the nearest code. */
#define DT_DITHER_NEAREST 0.5f

/** A threshold that belongs to a place of the picture, without a pattern that an eye could find. It is drawn evenly from 0
 * to 1, but is never within 0.01 of a code: what is so near is that code, for conversions there and back round a
 * little. */
static inline float dt_dither_threshold(uint32_t x, uint32_t y)
{
  uint32_t h = x * 0x9e3779b1u ^ (y + 0x7f4a7c15u) * 0x85ebca77u;
  h ^= h >> 16;
  h *= 0x21f0aaadu;
  h ^= h >> 15;
  h *= 0x735a2d97u;
  h ^= h >> 15;
  return (float)(int32_t)CLAMP(h >> 8, 0x28f5cu, 0x1000000u - 0x28f5cu) * 0x1p-24f;
}

/** The code 0 to 255 of @p sample, of which 1 is 255. What is no number becomes 0. */
static inline int32_t dt_dither_round(float sample, float threshold)
{
  // cut off by its bits, which compare like it: comparing what it is would become branches
  const int32_t bits = (int32_t)dt_power_bits(sample), number = bits & -(int32_t)(bits <= 0x7f800000);
  const float scaled = dt_power_float((uint32_t)CLAMP(number, 0, 0x3f800000)) * 255.0f;
  const int32_t below = (int32_t)scaled;
  return below + (int32_t)(scaled - (float)below > threshold);
}

#endif
