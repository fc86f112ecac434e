/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Rows of 8 bits without bands. */
#include "common/dither.h"
#include "imageio/imageio_internal.h"

void dt_dither_row(const float *in, uint8_t *out, int width, int channels, int y)
{
  const int colours = DT_ROW_COLOURS(channels);
  for(int x = 0; x < width; x++, in += channels, out += channels)
  {
    const float threshold = dt_dither_threshold((uint32_t)x, (uint32_t)y);
    for(int c = 0; c < colours; c++) out[c] = (uint8_t)dt_dither_round(in[c], threshold);
    if(DT_ROW_HAS_ALPHA(channels))
      out[channels - 1] = (uint8_t)dt_dither_round(in[channels - 1], DT_DITHER_NEAREST);
  }
}
