/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Colours of single pixels: colorin, sigmoid, colorbalance, colorout, gamma. Their files in src/iop say what is computed
 * and why; here are the same operations in the same order. */
#pragma OPENCL FP_CONTRACT OFF

/* Light is within this size; what is smaller than the other is no divisor. */
#define MOST 1e30f
#define LEAST 1e-30f

static float3 _limit(const float3 p)
{
  return clamp(p, -MOST, MOST);
}

static float _dot(const float4 row, const float3 p)
{
  return row.x * p.x + row.y * p.y + row.z * p.z;
}

static float _least(const float3 p)
{
  return min(min(p.x, p.y), p.z);
}

static float _most(const float3 p)
{
  return max(max(p.x, p.y), p.z);
}

/* --- powers (src/common/power.h) --- */

static float _log1p(const float r)
{
  float p = 7.0376836292e-2f;
  p = p * r - 1.1514610310e-1f;
  p = p * r + 1.1676998740e-1f;
  p = p * r - 1.2420140846e-1f;
  p = p * r + 1.4249322787e-1f;
  p = p * r - 1.6668057665e-1f;
  p = p * r + 2.0000714765e-1f;
  p = p * r - 2.4999993993e-1f;
  p = p * r + 3.3333331174e-1f;
  const float square = r * r;
  return r + (p * r * square - 0.5f * square);
}

static float _exp2(const float f)
{
  float p = 1.535336188319500e-4f;
  p = p * f + 1.339887440266574e-3f;
  p = p * f + 9.618437357674640e-3f;
  p = p * f + 5.550332471162809e-2f;
  p = p * f + 2.402264791363012e-1f;
  p = p * f + 6.931472028550421e-1f;
  return 1.0f + p * f;
}

/* x^g of x >= 0; g has head, tail, and g log2(e) */
static float _raise(const float x, const float4 g)
{
  const float to_whole = 12582912.0f;
  const uint bits = as_uint(x);
  const int exponent = (int)(bits - 0x3f3504f3u) >> 23;
  const float rest = _log1p(as_float(bits - ((uint)exponent << 23)) - 1.0f);
  const float whole = g.x * (float)exponent;
  const float small = g.y * (float)exponent + g.z * rest;
  const float rounded = (whole + small) + to_whole;
  const float fraction = (whole - (rounded - to_whole)) + small;
  const int power = clamp(as_int(rounded) - as_int(to_whole) + 127, 1, 254);
  const float y = _exp2(fraction) * as_float((uint)power << 23);
  return x >= FLT_MIN ? y : 0.0f;
}

/* --- into the working space --- */

/* the matrix's rows; its fourth column only of four colours, after which there is nothing to carry along */
kernel void colorin(global const float4 *in, global float4 *out, const int width, const int height, const float4 red,
                    const float4 green, const float4 blue, const int four)
{
  const int x = get_global_id(0), y = get_global_id(1);
  if(x >= width || y >= height) return;
  const float4 pixel = in[y * width + x];
  const float3 p = _limit(pixel.xyz);
  const float fourth = four ? clamp(pixel.w, -MOST, MOST) : 0.0f;
  out[y * width + x] = (float4)(_dot(red, p) + red.w * fourth, _dot(green, p) + green.w * fourth,
                                _dot(blue, p) + blue.w * fourth, four ? 0.0f : pixel.w);
}

/* --- sigmoid --- */

static float3 _lift(const float3 p, const float4 luminance)
{
  const float y = _dot(luminance, p), below = min(_least(p), 0.0f);
  const float gain = y > LEAST ? y / (y - below) : 0.0f;
  return (p - below) * gain;
}

/* curve: inverse scale, black, white, share of hue */
static float _curve(const float x, const float4 slope, const float4 skew, const int skewed, const float4 curve)
{
  const float t = _raise(x * curve.x, slope), share = t / (1.0f + t);
  return curve.y + (curve.z - curve.y) * (skewed ? _raise(share, skew) : share);
}

kernel void sigmoid(global const float4 *in, global float4 *out, const int width, const int height,
                    const float4 luminance, const float4 slope, const float4 skew, const int skewed,
                    const float4 curve)
{
  const int x = get_global_id(0), y = get_global_id(1);
  if(x >= width || y >= height) return;
  const float4 pixel = in[y * width + x];
  const float3 p = _lift(_limit(pixel.xyz), luminance);
  const float3 q = (float3)(_curve(p.x, slope, skew, skewed, curve), _curve(p.y, slope, skew, skewed, curve),
                            _curve(p.z, slope, skew, skewed, curve));
  const float least = _least(p), spread = _most(p) - least;
  const float base = _least(q), reach = _most(q) - base;
  const float inverse = spread > LEAST ? 1.0f / spread : 0.0f;
  const float3 kept = base + (p - least) * inverse * reach;
  out[y * width + x] = (float4)(clamp(q + curve.w * (kept - q), curve.y, curve.z), pixel.w);
}

/* --- tone and colour --- */

constant float4 to_cones[3] = { (float4)(0.616755787f, 0.360198399f, 0.023045813f, 0.0f),
                                (float4)(0.265133064f, 0.635839364f, 0.099027572f, 0.0f),
                                (float4)(0.100102634f, 0.203906519f, 0.695990846f, 0.0f) };
constant float4 from_cones[3] = { (float4)(2.139906736f, -1.246389509f, 0.106482773f, 0.0f),
                                  (float4)(-0.884735862f, 2.163230982f, -0.278495119f, 0.0f),
                                  (float4)(-0.048573758f, -0.454503143f, 1.503076901f, 0.0f) };
constant float4 to_oklab[3] = { (float4)(0.2104542553f, 0.7936177850f, -0.0040720468f, 0.0f),
                                (float4)(1.9779984951f, -2.4285922050f, 0.4505937099f, 0.0f),
                                (float4)(0.0259040371f, 0.7827717662f, -0.8086757660f, 0.0f) };

static float3 _multiply(constant const float4 *m, const float3 p)
{
  return (float3)(_dot(m[0], p), _dot(m[1], p), _dot(m[2], p));
}

static float _cube_root(const float x)
{
  return copysign(_raise(fabs(x), (float4)(0.3330078125f, 0.000325520833f, 0.480898347f, 0.0f)), x);
}

/* colour: saturation, vibrance, the saturation at which half of it is left */
static float _chroma(const float3 roots, const float lightness, const float4 colour)
{
  const float a = _dot(to_oklab[1], roots), b = _dot(to_oklab[2], roots), size = lightness * colour.z;
  const float square = size * size + LEAST;
  return colour.x * (1.0f + colour.y * (square / (square + (a * a + b * b))));
}

static float3 _colour(const float3 p, const float4 colour)
{
  const float3 cones = _multiply(to_cones, p);
  const float3 v = (float3)(_cube_root(cones.x), _cube_root(cones.y), _cube_root(cones.z));
  const float l = _dot(to_oklab[0], v), s = _chroma(v, l, colour);
  const float3 w = l + s * (v - l);
  return _multiply(from_cones, w * w * w);
}

/* tone: factor, and the least and the greatest luminance that the power is of */
kernel void colorbalance(global const float4 *in, global float4 *out, const int width, const int height,
                         const float4 luminance, const float4 power, const float4 tone, const int has_colour,
                         const float4 colour)
{
  const int x = get_global_id(0), y = get_global_id(1);
  if(x >= width || y >= height) return;
  const float4 pixel = in[y * width + x];
  const float3 p = _limit(pixel.xyz);
  const float factor = tone.x * _raise(clamp(_dot(luminance, p), tone.y, tone.z), power);
  out[y * width + x] = (float4)(_limit((has_colour ? _colour(p, colour) : p) * factor), pixel.w);
}

/* --- out of the working space --- */

static float3 _compress(const float3 p, const float4 luminance)
{
  const float y = _dot(luminance, p), least = _least(p), most = _most(p);
  const float above = y > 0.0f ? y / (y - least) : 0.0f, below = y < 1.0f ? (1.0f - y) / (most - y) : 0.0f;
  const float share = min(least < -LEAST ? above : 1.0f, most > 1.0f ? below : 1.0f);
  return p * share + y * (1.0f - share);
}

kernel void colorout(global const float4 *in, global float4 *out, const int width, const int height, const float4 red,
                     const float4 green, const float4 blue, const float4 luminance, const int compress)
{
  const int x = get_global_id(0), y = get_global_id(1);
  if(x >= width || y >= height) return;
  const float4 pixel = in[y * width + x];
  const float3 p = _limit(pixel.xyz), q = (float3)(_dot(red, p), _dot(green, p), _dot(blue, p));
  out[y * width + x] = (float4)(compress ? _compress(q, luminance) : q, pixel.w);
}

/* --- for a screen (src/common/dither.h) --- */

static float _srgb(const float linear)
{
  const float4 power = (float4)(0.4169921875f, -0.000325520833333f, 0.601122933703735f, 0.0f);
  const float x = linear > 0.0f ? linear : 0.0f;
  return x >= 0.0031308072830676845f ? 1.055f * _raise(x, power) + -0.055f : 12.92f * x;
}

static float _threshold(const uint x, const uint y)
{
  uint h = x * 0x9e3779b1u ^ (y + 0x7f4a7c15u) * 0x85ebca77u;
  h ^= h >> 16;
  h *= 0x21f0aaadu;
  h ^= h >> 15;
  h *= 0x735a2d97u;
  h ^= h >> 15;
  return (float)clamp(h >> 8, 0x28f5cu, 0x1000000u - 0x28f5cu) * 0x1p-24f;
}

static float _code(const float linear, const float threshold)
{
  const float sample = _srgb(linear), scaled = (sample < 1.0f ? sample : 1.0f) * 255.0f;
  const int below = (int)scaled;
  const float rest = scaled - (float)below;
  return (float)(below + (rest > threshold ? 1 : 0)) / 255.0f;
}

/* left, top: the place of the rectangle in the picture */
kernel void srgb_codes(global const float4 *in, global float4 *out, const int width, const int height, const int left,
                       const int top, const int dither)
{
  const int x = get_global_id(0), y = get_global_id(1);
  if(x >= width || y >= height) return;
  const float4 pixel = in[y * width + x];
  const float threshold = dither ? _threshold((uint)(left + x), (uint)(top + y)) : 0.5f;
  out[y * width + x] = (float4)(_code(pixel.x, threshold), _code(pixel.y, threshold), _code(pixel.z, threshold),
                                pixel.w);
}
