/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Operations on single pixels: four floats each, red, green, blue and one that is carried along. */
#pragma OPENCL FP_CONTRACT OFF

/* out = (in - black) * scale */
kernel void exposure(global const float4 *in, global float4 *out, const int width, const int height, const float black,
                     const float scale)
{
  const int x = get_global_id(0), y = get_global_id(1);
  if(x >= width || y >= height) return;
  const float4 pixel = in[y * width + x];
  const float3 light = fmin(fmax((pixel.xyz - black) * scale, -1e30f), 1e30f); /* a number, whatever comes in */
  out[y * width + x] = (float4)(light, pixel.w);
}

/* out = matrix * in; the matrix's nine numbers row by row */
kernel void colour_matrix(global const float4 *in, global float4 *out, const int width, const int height,
                          constant float *matrix)
{
  const int x = get_global_id(0), y = get_global_id(1);
  if(x >= width || y >= height) return;
  const float4 p = in[y * width + x];
  out[y * width + x] = (float4)(matrix[0] * p.x + matrix[1] * p.y + matrix[2] * p.z,
                                matrix[3] * p.x + matrix[4] * p.y + matrix[5] * p.z,
                                matrix[6] * p.x + matrix[7] * p.y + matrix[8] * p.z, p.w);
}

/* out[i] = base + i for i below count: tells whether a device computes at all */
kernel void count_up(global uint *out, const uint base, const uint count)
{
  const uint i = get_global_id(0);
  if(i < count && get_global_id(1) == 0) out[i] = base + i;
}
