/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Undecimated wavelets with the B3 spline, and what they take from a picture whose noise is known. What the numbers are is
 * said in src/iop/denoiseprofile.c. Planes of luma and chroma lie in x, y, z of a float4. */
#pragma OPENCL FP_CONTRACT OFF

#define THIRD 0.57735027f
#define HALF 0.70710678f
#define SIXTH 0.40824829f
#define MOST 1e9f
#define LEAST 1e-12f

/* u = align x / (1/2 + sqrt(1 + x / o) / 2), then luma and chroma */
kernel void stabilise(global const float4 *in, global float4 *out, const int width, const int height,
                      const float4 align, const float4 inverse_offset)
{
  const int x = get_global_id(0), y = get_global_id(1);
  if(x >= width || y >= height) return;
  const float4 p = clamp(in[y * width + x], -MOST, MOST);
  const float4 u = align * p / (0.5f + 0.5f * sqrt(1.0f + fmax(p, 0.0f) * inverse_offset));
  out[y * width + x] = (float4)(THIRD * (u.x + u.y + u.z), HALF * (u.x - u.z), SIXTH * (u.x - 2.0f * u.y + u.z), 0.0f);
}

/* The way back; sum holds the planes and receives the picture. (x0, y0) is its place in the input, which has alpha. */
kernel void restore(global const float4 *in, global float4 *sum, const int in_width, const int x0, const int y0,
                    const int width, const int height, const float4 align, const float4 inverse_offset,
                    const float4 bias, const float4 slope)
{
  const int x = get_global_id(0), y = get_global_id(1);
  if(x >= width || y >= height) return;
  const float4 p = sum[y * width + x];
  const float grey = THIRD * p.x, tint = SIXTH * p.z;
  const float3 u = (float3)(grey + HALF * p.y + tint, grey - 2.0f * tint, grey - HALF * p.y + tint);
  const float3 v = u * (1.0f / align.xyz);
  const float3 lost = clamp(0.5f + v * slope.xyz, 0.0f, 1.0f);
  const float3 given = v + fmax(v, 0.0f) * v * (0.25f * inverse_offset.xyz) + bias.xyz * lost;
  sum[y * width + x] = (float4)(given, in[(y + y0) * in_width + x + x0].w);
}

/* The place inside that one outside of n is the mirror image of. */
static int _mirror(const int at, const int n)
{
  if(at >= 0 && at < n) return at;
  const int period = max(2 * (n - 1), 1);
  const int place = abs(at) % period;
  return place < n ? place : period - place;
}

static float4 _spline(const float4 a, const float4 b, const float4 c, const float4 d, const float4 e)
{
  return 0.0625f * (a + e) + 0.25f * (b + d) + 0.375f * c;
}

static float4 _mean(const float4 a, const float4 b, const float4 c, const float4 d, const float4 e)
{
  return 0.2f * (a + e) + 0.2f * (b + d) + 0.2f * c;
}

kernel void blur_down(global const float4 *in, global float4 *out, const int width, const int height, const int step)
{
  const int x = get_global_id(0), y = get_global_id(1);
  if(x >= width || y >= height) return;
  out[y * width + x] = _spline(in[_mirror(y - 2 * step, height) * width + x], in[_mirror(y - step, height) * width + x],
                               in[y * width + x], in[_mirror(y + step, height) * width + x],
                               in[_mirror(y + 2 * step, height) * width + x]);
}

kernel void blur_along(global const float4 *in, global float4 *out, const int width, const int height, const int step)
{
  const int x = get_global_id(0), y = get_global_id(1);
  if(x >= width || y >= height) return;
  global const float4 *row = in + y * width;
  out[y * width + x] = _spline(row[_mirror(x - 2 * step, width)], row[_mirror(x - step, width)], row[x],
                               row[_mirror(x + step, width)], row[_mirror(x + 2 * step, width)]);
}

/* The energy of details in units of the noise: x luma's, y chroma's. */
static float4 _energy(global const float4 *fine, global const float4 *coarse, const int at, const float4 weight)
{
  const float4 detail = fine[at] - coarse[at], energy = weight * (detail * detail);
  return (float4)(energy.x, energy.y + energy.z, 0.0f, 0.0f);
}

kernel void energy_down(global const float4 *fine, global const float4 *coarse, global float4 *out, const int width,
                        const int height, const int step, const float4 weight)
{
  const int x = get_global_id(0), y = get_global_id(1);
  if(x >= width || y >= height) return;
  out[y * width + x] = _mean(_energy(fine, coarse, _mirror(y - 2 * step, height) * width + x, weight),
                             _energy(fine, coarse, _mirror(y - step, height) * width + x, weight),
                             _energy(fine, coarse, y * width + x, weight),
                             _energy(fine, coarse, _mirror(y + step, height) * width + x, weight),
                             _energy(fine, coarse, _mirror(y + 2 * step, height) * width + x, weight));
}

/* Takes from the sum what is noise in the details; the first scale (step 1) begins it. energy is the
 * mean of columns. */
kernel void shrink(global const float4 *fine, global const float4 *coarse, global const float4 *energy,
                   global float4 *sum, const int in_width, const int x0, const int y0, const int width,
                   const int height, const int step, const float luma, const float chroma)
{
  const int x = get_global_id(0), y = get_global_id(1);
  if(x >= width || y >= height) return;
  const int column = x + x0, at = (y + y0) * in_width + column;
  global const float4 *row = energy + (y + y0) * in_width;
  const float4 met = _mean(row[_mirror(column - 2 * step, in_width)], row[_mirror(column - step, in_width)], row[column],
                           row[_mirror(column + step, in_width)], row[_mirror(column + 2 * step, in_width)]);
  const float4 part = fmin((float4)(luma, chroma, chroma, 0.0f) / (met.xyyw + LEAST), 1.0f);
  sum[y * width + x] = (step == 1 ? fine[at] : sum[y * width + x]) - (fine[at] - coarse[at]) * part;
}
