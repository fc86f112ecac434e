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

#include <stdint.h>

/** What is this near to a code, in steps, is that code: conversions there and back round a little. */
#define DT_DITHER_SNAP 0.01f
/** The threshold that rounds to the nearest code. */
#define DT_DITHER_NEAREST 0.5f

/** A threshold in 0 ≤ n < 1 that belongs to a place of the picture, without a pattern that an eye could find. */
static inline float dt_dither_threshold(uint32_t x, uint32_t y)
{
  uint32_t h = x * 0x9e3779b1u ^ (y + 0x7f4a7c15u) * 0x85ebca77u;
  h ^= h >> 16;
  h *= 0x21f0aaadu;
  h ^= h >> 15;
  h *= 0x735a2d97u;
  h ^= h >> 15;
  return (float)(h >> 8) * 0x1p-24f;
}

/** The code 0 to 255 of @p sample, of which 1 is 255. What is no number becomes 0. */
static inline int32_t dt_dither_round(float sample, float threshold)
{
  const float positive = sample > 0.0f ? sample : 0.0f;
  const float scaled = (positive < 1.0f ? positive : 1.0f) * 255.0f;
  const int32_t below = (int32_t)scaled;
  const float rest = scaled - (float)below;
  const float away = rest > 1.0f - DT_DITHER_SNAP ? 2.0f : rest < DT_DITHER_SNAP ? -1.0f : rest;
  return below + (away > threshold ? 1 : 0);
}

#endif
