/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Operations on raws: one float for each site, or four for each pixel. */
#pragma OPENCL FP_CONTRACT OFF

/* No period of a filter array is longer: rows of tables are this far apart. */
#define PERIOD 6

/* out = (in - black) * factor, by the place of the value at (x, y) of the picture in tables of so many rows and columns;
 * with largest above 0 not beyond ± that, and what is no number becomes 0. */
kernel void sites(global const float *in, global float *out, const int width, const int height, const int from_x,
                  const int from_y, const int rows, const int columns, constant float *black, constant float *factor,
                  const float largest)
{
  const int x = get_global_id(0), y = get_global_id(1);
  if(x >= width || y >= height) return;
  const int place = (from_y + y) % rows * PERIOD + (from_x + x) % columns;
  const size_t at = (size_t)y * width + x;
  float value = (in[at] - black[place]) * factor[place];
  if(largest > 0) value = isnan(value) ? 0 : fabs(value) > largest ? copysign(largest, value) : value;
  out[at] = value;
}
