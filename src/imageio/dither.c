/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Rounding to 8 bits without bands.
 *
 * A sample between two codes becomes the upper one as often as it is near to it: the threshold is drawn evenly over one
 * step, from the pixel's place. So the mean of a neighbourhood is what it was before rounding, and a smooth gradient
 * does not end in steps. One step wide is the narrowest noise of which that is true, and the only one that leaves
 * alone what needs no rounding: black, white and every other exact code stay flat, and an 8-bit picture that nothing
 * was done to comes back as it was. (Triangular noise two steps wide would also hide that the noise depends on the
 * signal, which matters to ears, for twice the variance and speckled flats.)
 *
 * All colours of a pixel share one threshold: grey stays grey. No state is carried along, so that rows, tiles and
 * threads may come in any order. */
#include "imageio/imageio_internal.h"

/** What is this near to a code, in steps, is that code: conversions there and back round a little. */
#define SNAP 0.01f

/** A number in 0 ≤ n < 1 that belongs to a place, without a pattern that an eye could find. */
static float _draw(uint32_t x, uint32_t y)
{
  uint32_t h = x * 0x9e3779b1u ^ (y + 0x7f4a7c15u) * 0x85ebca77u;
  h ^= h >> 16;
  h *= 0x21f0aaadu;
  h ^= h >> 15;
  h *= 0x735a2d97u;
  h ^= h >> 15;
  return (float)(h >> 8) * 0x1p-24f;
}

static uint8_t _round(float sample, float threshold)
{
  if(!(sample > 0.0f)) return 0; // nor what is not a number
  if(sample >= 1.0f) return 255;
  const float scaled = sample * 255.0f;
  const int below = (int)scaled;
  const float rest = scaled - (float)below;
  if(rest < SNAP) return (uint8_t)below;
  return (uint8_t)(below + (rest > 1.0f - SNAP || rest > threshold));
}

void dt_dither_row(const float *in, uint8_t *out, int width, int channels, int y)
{
  const int colours = DT_ROW_COLOURS(channels);
  for(int x = 0; x < width; x++, in += channels, out += channels)
  {
    const float threshold = _draw((uint32_t)x, (uint32_t)y);
    for(int c = 0; c < colours; c++) out[c] = _round(in[c], threshold);
    if(DT_ROW_HAS_ALPHA(channels)) out[channels - 1] = _round(in[channels - 1], 0.5f);
  }
}
