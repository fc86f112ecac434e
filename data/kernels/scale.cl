/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Other sizes. Pixels are squares and samples their centres, so nothing moves by half a pixel. */
#pragma OPENCL FP_CONTRACT OFF

/* Bilinear, from in_width x in_height to width x height. */
kernel void scale_bilinear(global const float4 *in, const int in_width, const int in_height, global float4 *out,
                           const int width, const int height)
{
  const int x = get_global_id(0), y = get_global_id(1);
  if(x >= width || y >= height) return;
  const float sx = clamp((x + 0.5f) * in_width / width - 0.5f, 0.0f, in_width - 1.0f);
  const float sy = clamp((y + 0.5f) * in_height / height - 0.5f, 0.0f, in_height - 1.0f);
  const int x0 = (int)sx, y0 = (int)sy;
  const int x1 = min(x0 + 1, in_width - 1), y1 = min(y0 + 1, in_height - 1);
  const float fx = sx - x0, fy = sy - y0;
  const float4 above = in[y0 * in_width + x0] * (1.0f - fx) + in[y0 * in_width + x1] * fx;
  const float4 below = in[y1 * in_width + x0] * (1.0f - fx) + in[y1 * in_width + x1] * fx;
  out[y * width + x] = above * (1.0f - fy) + below * fy;
}
