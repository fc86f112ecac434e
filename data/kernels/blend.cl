/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Masks, and modules limited by them. Colours by sums, products and whole numbers alone, in the order in which the CPU
 * does it, so that a pixel at the edge of a steep range falls the same way everywhere. */
#pragma OPENCL FP_CONTRACT OFF

#define HAS_LIGHTNESS 1
#define HAS_CHROMA 2
#define HAS_HUE 4
#define INVERTED 16
#define HAS_OBJECT 32
#define HAS_RANGES (HAS_LIGHTNESS | HAS_CHROMA | HAS_HUE)
#define HUE_CHROMA 0.02f

static float _cube_root(const float x)
{
  const float a = fabs(x);
  float y = as_float(0x54A2FA8C - as_int(a) / 3);
  for(int i = 0; i < 3; i++) y = y * (1.33333333f - 0.333333333f * (a * y * y * y));
  const float root = a * y * y;
  return x < 0 ? -root : root;
}

static float _square_root(const float x)
{
  float y = as_float(0x5F375A86 - (as_int(x) >> 1));
  for(int i = 0; i < 3; i++) y = y * (1.5f - 0.5f * x * y * y);
  return x * y;
}

static float _reciprocal(const float x)
{
  float y = as_float(0x7EF311C3 - as_int(x));
  for(int i = 0; i < 3; i++) y = y * (2.0f - x * y);
  return y;
}

/* The direction of (a, b) in degrees, 0 to 360. */
static float _direction(const float a, const float b)
{
  const float x = fabs(a), y = fabs(b);
  const float most = x > y ? x : y, least = x > y ? y : x;
  const float r = least * _reciprocal(most > 1e-20f ? most : 1e-20f), s = r * r;
  float degrees = 0.390286187f * s - 1.92537739f;
  degrees = degrees * s + 4.56209717f;
  degrees = degrees * s - 7.58214466f;
  degrees = degrees * s + 11.3490418f;
  degrees = degrees * s - 19.0894457f;
  degrees = (degrees * s + 57.2955567f) * r;
  degrees = y > x ? 90.0f - degrees : degrees;
  degrees = a < 0 ? 180.0f - degrees : degrees;
  return b < 0 ? 360.0f - degrees : degrees;
}

static float _limit(const float x)
{
  return x > 0.0f ? (x < 1.0f ? x : 1.0f) : 0.0f;
}

/* r: from, full from, full to, to, and the steepness of both sides */
static float _trapezoid(constant float *r, const float x)
{
  const float up = x >= r[1] ? 1.0f : _limit((x - r[0]) * r[4]);
  const float down = x <= r[2] ? 1.0f : _limit((r[3] - x) * r[5]);
  return up * down;
}

/* ranges: six numbers each of lightness, chroma and hue, and the hue from which hues are counted */
static float _pass(const float4 p, const int flags, constant float *ranges)
{
  const float l = _cube_root(0.616755788f * p.x + 0.360198402f * p.y + 0.0230458100f * p.z);
  const float m = _cube_root(0.265133060f * p.x + 0.635839371f * p.y + 0.0990275683f * p.z);
  const float s = _cube_root(0.100102631f * p.x + 0.203906520f * p.y + 0.695990848f * p.z);
  const float lightness = 0.2104542553f * l + 0.7936177850f * m - 0.0040720468f * s;
  const float a = 1.9779984951f * l - 2.4285922050f * m + 0.4505937099f * s;
  const float b = 0.0259040371f * l + 0.7827717662f * m - 0.8086757660f * s;
  const float chroma = _square_root(a * a + b * b);
  float pass = 1.0f;
  if(flags & HAS_LIGHTNESS) pass *= _trapezoid(ranges, lightness);
  if(flags & HAS_CHROMA) pass *= _trapezoid(ranges + 6, chroma);
  if(flags & HAS_HUE)
  {
    const float way = _direction(a, b) - ranges[18];
    pass *= _trapezoid(ranges + 12, way < 0 ? way + 360.0f : way) * _limit(chroma * (1.0f / HUE_CHROMA));
  }
  return pass;
}

/* The object at (u, v), in 1/2^40 pixels of its plane, of which there are the rows from first_row on. */
static float _sample(global const float *plane, const int width, const int height, const int first_row, const long u,
                     const long v)
{
  const int x = (int)(u >> 40), y = (int)(v >> 40);
  const int x0 = clamp(x, 0, width - 1), x1 = clamp(x + 1, 0, width - 1);
  global const float *above = plane + (long)(clamp(y, 0, height - 1) - first_row) * width;
  global const float *below = plane + (long)(clamp(y + 1, 0, height - 1) - first_row) * width;
  const float fx = (float)(int)((u >> 16) & 0xFFFFFF) * (1.0f / (1 << 24));
  const float fy = (float)(int)((v >> 16) & 0xFFFFFF) * (1.0f / (1 << 24));
  const float top = above[x0] + (above[x1] - above[x0]) * fx;
  const float low = below[x0] + (below[x1] - below[x0]) * fx;
  return _limit(top + (low - top) * fy);
}

/* The mask from (x0, y0) of a picture of picture_width x picture_height on; what lies beyond its edges is as the pixel at
 * them. The pixels' rectangle begins at (in_x, in_y). A pixel (x, y) is at (c + x a + y b, f + x d + y e) of the object. */
kernel void blend_mask(global const float4 *in, const int in_x, const int in_y, const int in_width, global float *mask,
                       const int width, const int height, const int x0, const int y0, const int picture_width,
                       const int picture_height, const int flags, constant float *ranges, global const float *plane,
                       const int plane_width, const int plane_height, const int first_row, const long a, const long b,
                       const long c, const long d, const long e, const long f)
{
  const int column = get_global_id(0), row = get_global_id(1);
  if(column >= width || row >= height) return;
  const int x = clamp(x0 + column, 0, picture_width - 1), y = clamp(y0 + row, 0, picture_height - 1);
  float m = 1.0f;
  if(flags & HAS_OBJECT)
    m = _sample(plane, plane_width, plane_height, first_row, c + x * a + y * b, f + x * d + y * e);
  if(flags & HAS_RANGES) m *= _pass(in[(y - in_y) * in_width + x - in_x], flags, ranges);
  mask[row * width + column] = flags & INVERTED ? 1.0f - m : m;
}

/* The blur of one direction: `step` from one number to the next; the input is in_width wide and has a margin. */
kernel void blend_blur(global const float *in, const int in_width, const int first, const int step, const int radius,
                       constant float *taps, global float *out, const int width, const int height)
{
  const int x = get_global_id(0), y = get_global_id(1);
  if(x >= width || y >= height) return;
  global const float *at = in + first + y * in_width + x;
  float sum = taps[0] * *at;
  for(int k = 1; k <= radius; k++) sum += taps[k] * (at[-k * step] + at[k * step]);
  out[y * width + x] = sum;
}

/* out = in + (processed - in) * mask * opacity; out may be processed. */
kernel void blend_mix(global const float4 *in, const int in_first, const int in_width, global const float4 *processed,
                      const int processed_first, const int processed_width, global const float *mask,
                      const float opacity, global float4 *out, const int width, const int height)
{
  const int x = get_global_id(0), y = get_global_id(1);
  if(x >= width || y >= height) return;
  const float4 before = in[in_first + y * in_width + x], after = processed[processed_first + y * processed_width + x];
  const float m = mask[y * width + x] * opacity;
  out[y * width + x] = m < 1.0f ? before + (after - before) * m : after;
}

/* The same of one number for each site. */
kernel void blend_mix_sites(global const float *in, const int in_first, const int in_width, global const float *processed,
                            const int processed_first, const int processed_width, global const float *mask,
                            const float opacity, global float *out, const int width, const int height)
{
  const int x = get_global_id(0), y = get_global_id(1);
  if(x >= width || y >= height) return;
  const float before = in[in_first + y * in_width + x], after = processed[processed_first + y * processed_width + x];
  const float m = mask[y * width + x] * opacity;
  out[y * width + x] = m < 1.0f ? before + (after - before) * m : after;
}
