/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Other places: crops, turns and rotations. Places are whole numbers of 1/2^40 pixels, so that they are the same on every
 * device and on the CPU. */
#pragma OPENCL FP_CONTRACT OFF

#define ONE (1L << 40)
#define LOBES 3
#define TAPS 6
#define REST_BITS 14

/* Every pixel is one of the input: the first one at `first`, from there on `across` and `down` further. */
kernel void clipping_copy(global const float4 *in, global float4 *out, const int width, const int height, const int first,
                          const int across, const int down)
{
  const int x = get_global_id(0), y = get_global_id(1);
  if(x >= width || y >= height) return;
  out[y * width + x] = in[first + x * across + y * down];
}

/* How much of a pixel lies between low and high, of one axis. */
static float _cover(const long place, const int low, const int high)
{
  const long inside = min(place - (low - 1) * ONE, (high + 1) * ONE - place);
  return (float)(int)((clamp(inside, 0L, ONE) + (1L << 15)) >> 16) * (1.0f / (1 << 24));
}

static void _weigh(constant float *weights, const long place, float *out)
{
  const int fraction = (int)((place >> 16) & 0xFFFFFF), phase = fraction >> REST_BITS;
  const float rest = (float)(fraction & ((1 << REST_BITS) - 1)) * (1.0f / (1 << REST_BITS));
  constant float *before = weights + phase * TAPS, *behind = before + TAPS;
  for(int k = 0; k < TAPS; k++) out[k] = before[k] + (behind[k] - before[k]) * rest;
}

/* The pixel (x, y) comes from (u + x a + y b, v + x d + y e). The input's rectangle begins at (in_x, in_y); what is shown
 * of the input goes from (x0, y0) to (x1, y1). */
kernel void clipping_resample(global const float4 *in, const int in_x, const int in_y, const int in_width,
                              global float4 *out, const int width, const int height, const long u, const long a,
                              const long b, const long v, const long d, const long e, const int x0, const int y0,
                              const int x1, const int y1, constant float *weights)
{
  const int x = get_global_id(0), y = get_global_id(1);
  if(x >= width || y >= height) return;
  const long at_u = u + x * a + y * b, at_v = v + x * d + y * e;
  const float cover = _cover(at_u, x0, x1) * _cover(at_v, y0, y1);
  float4 sum = 0.0f, least = 0.0f;
  if(cover > 0)
  {
    const int left = (int)(at_u >> 40) - (LOBES - 1), top = (int)(at_v >> 40) - (LOBES - 1);
    float across[TAPS], down[TAPS];
    _weigh(weights, at_u, across);
    _weigh(weights, at_v, down);
    for(int j = 0; j < TAPS; j++)
    {
      global const float4 *row = in + (clamp(top + j, y0, y1) - in_y) * in_width;
      float4 line = 0.0f;
      for(int k = 0; k < TAPS; k++)
      {
        const float4 value = row[clamp(left + k, x0, x1) - in_x];
        line += across[k] * value;
        if((j == LOBES - 1 || j == LOBES) && (k == LOBES - 1 || k == LOBES)) least = fmin(value, least);
      }
      sum += down[j] * line;
    }
  }
  out[y * width + x] = fmax(sum, least) * cover;
}

/* Column x of the output is the sum of `taps` columns of the input from first[x] on, which are counted from the column
 * `origin` of the picture. */
kernel void scale_rows(global const float4 *in, const int in_width, global float4 *out, const int width, const int height,
                       const int origin, global const int *first, const int taps, global const float *weights)
{
  const int x = get_global_id(0), y = get_global_id(1);
  if(x >= width || y >= height) return;
  global const float4 *from = in + y * in_width + first[x] - origin;
  float4 sum = 0.0f;
  for(int k = 0; k < taps; k++) sum += weights[x * taps + k] * from[k];
  out[y * width + x] = sum;
}

/* The same for rows. */
kernel void scale_columns(global const float4 *in, const int in_width, global float4 *out, const int width,
                          const int height, const int origin, global const int *first, const int taps,
                          global const float *weights)
{
  const int x = get_global_id(0), y = get_global_id(1);
  if(x >= width || y >= height) return;
  global const float4 *from = in + (first[y] - origin) * in_width + x;
  float4 sum = 0.0f;
  for(int k = 0; k < taps; k++) sum += weights[y * taps + k] * from[k * in_width];
  out[y * width + x] = sum;
}
