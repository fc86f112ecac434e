/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A separable blur: one direction at a time. What lies outside the picture is its nearest pixel. */
#pragma OPENCL FP_CONTRACT OFF

/* taps[k] is the weight at distance k, for k from 0 to radius; the sum of all 2 radius + 1 is 1. */
static float4 _weigh(global const float4 *in, const int at, const int step, const int place, const int size,
                     const int radius, constant float *taps)
{
  float4 sum = taps[0] * in[at];
  for(int k = 1; k <= radius; k++)
  {
    const int before = at - min(k, place) * step, behind = at + min(k, size - 1 - place) * step;
    sum += taps[k] * (in[before] + in[behind]);
  }
  return sum;
}

kernel void blur_rows(global const float4 *in, global float4 *out, const int width, const int height, const int radius,
                      constant float *taps)
{
  const int x = get_global_id(0), y = get_global_id(1);
  if(x >= width || y >= height) return;
  out[y * width + x] = _weigh(in, y * width + x, 1, x, width, radius, taps);
}

kernel void blur_columns(global const float4 *in, global float4 *out, const int width, const int height,
                         const int radius, constant float *taps)
{
  const int x = get_global_id(0), y = get_global_id(1);
  if(x >= width || y >= height) return;
  out[y * width + x] = _weigh(in, y * width + x, width, y, height, radius, taps);
}
