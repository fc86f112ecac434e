/* SPDX-License-Identifier: GPL-3.0-or-later */
/* An unsharp mask on lightness. What the numbers are is said in src/iop/sharpen.c. What lies outside the picture is its
 * nearest pixel. taps[k] is the weight at distance k, for k from 0 to reach. */
#pragma OPENCL FP_CONTRACT OFF

#define HALO 0.3f
#define LEAST 1e-20f
#define MOST 1e30f

/* The square root of the luminance of linear Rec.2020. */
kernel void find_lightness(global const float4 *in, global float *lightness, const int width, const int height)
{
  const int x = get_global_id(0), y = get_global_id(1);
  if(x >= width || y >= height) return;
  const float4 p = in[y * width + x];
  lightness[y * width + x] = sqrt(clamp(0.2627f * p.x + 0.678f * p.y + 0.0593f * p.z, 0.0f, MOST));
}

kernel void blur_down(global const float *in, global float *out, const int width, const int height, const int reach,
                      constant float *taps)
{
  const int x = get_global_id(0), y = get_global_id(1);
  if(x >= width || y >= height) return;
  float sum = taps[0] * in[y * width + x];
  for(int k = 1; k <= reach; k++)
    sum += taps[k] * (in[max(y - k, 0) * width + x] + in[min(y + k, height - 1) * width + x]);
  out[y * width + x] = sum;
}

/* Blurs along rows what is blurred downwards, and sharpens. (left, top) is the output's place in the input. */
kernel void apply(global const float4 *in, global const float *lightness, global const float *blurred,
                  global float4 *out, const int in_width, const int left, const int top, const int width,
                  const int height, const int reach, constant float *taps, const float amount, const float threshold)
{
  const int x = get_global_id(0), y = get_global_id(1);
  if(x >= width || y >= height) return;
  const int column = x + left, row = (y + top) * in_width, at = row + column;
  float sum = taps[0] * blurred[at];
  for(int k = 1; k <= reach; k++)
    sum += taps[k] * (blurred[row + max(column - k, 0)] + blurred[row + min(column + k, in_width - 1)]);
  const float own = lightness[at], detail = own - sum, s = amount * fmax(fabs(detail) - threshold, 0.0f);
  const float part = HALO * s / (HALO * own + s + LEAST);
  const float root = detail > 0.0f ? 1.0f + part : 1.0f - part;
  const float gain = own > 0.0f ? root * root : 1.0f;
  const float4 p = in[at];
  out[y * width + x] = (float4)(clamp(p.xyz * gain, -FLT_MAX, FLT_MAX), p.w);
}
