/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Between raw samples and linear rows.
 *
 * Integers are decoded by tables that hold the curve; everything else goes through blocks that stay
 * in the first-level cache. The matrix is applied in double precision: profiles with a plain gamma
 * magnify what is lost near black, and 16-bit files shall come back bit for bit. Alpha goes along
 * untouched. */
#include "imageio/icc_internal.h"

#include <math.h>
#include <string.h>

/** Pixels per block. */
#define BLOCK 256
#define MAX_CHANNELS 4

size_t dt_sample_size(dt_sample_t sample)
{
  static const size_t sizes[] = { [DT_SAMPLE_U8] = 1,  [DT_SAMPLE_U16] = 2, [DT_SAMPLE_U32] = 4,
                                  [DT_SAMPLE_F16] = 2, [DT_SAMPLE_F32] = 4, [DT_SAMPLE_F64] = 8 };
  return sizes[sample];
}

// --- Curves given as tables

static float _decode_point(const dt_trc_t *trc, float x)
{
  const float *t = trc->table;
  const int last = trc->size - 1;
  const float position = fabsf(x) * (float)last;
  if(!(position < (float)last)) // beyond the end: on with the last slope
    return copysignf(t[last] + (position - (float)last) * (t[last] - t[last - 1]), x);
  const int i = (int)position;
  return copysignf(t[i] + (position - (float)i) * (t[i + 1] - t[i]), x);
}

/** The last point that is not above @p y, which lies in the table's range. */
static int _find_segment(const float *table, int size, float y)
{
  int low = 0, high = size - 1;
  while(high - low > 1)
  {
    const int middle = (low + high) / 2;
    if(table[middle] <= y)
      low = middle;
    else
      high = middle;
  }
  return low;
}

static float _encode_point(const dt_trc_t *trc, float y)
{
  const float *t = trc->table;
  const int last = trc->size - 1;
  const float size = fabsf(y);
  int i = 0;
  if(!(size < t[last]))
    i = last - 1;
  else if(size > t[0])
    i = _find_segment(t, trc->size, size);
  const float rise = t[i + 1] - t[i];
  const float within = rise > 0.0f ? (size - t[i]) / rise : 1.0f;
  const float position = (float)i + (size > t[0] ? within : 0.0f);
  return copysignf(position / (float)last, y);
}

void dt_trc_decode(const dt_trc_t *trc, const float *in, float *out, size_t n)
{
  if(!trc->size)
    dt_curve_decode(&trc->curve, in, out, n);
  else
    for(size_t i = 0; i < n; i++) out[i] = _decode_point(trc, in[i]);
}

void dt_trc_encode(const dt_trc_t *trc, const float *in, float *out, size_t n)
{
  if(!trc->size)
    dt_curve_encode(&trc->curve, in, out, n);
  else
    for(size_t i = 0; i < n; i++) out[i] = _encode_point(trc, in[i]);
}

void dt_icc_fill_luts(dt_icc_t *icc, dt_sample_t sample)
{
  const size_t size = sample == DT_SAMPLE_U8 ? 256 : sample == DT_SAMPLE_U16 ? 65536 : 0;
  const int count = icc->one_curve ? 1 : 3;
  g_clear_pointer(&icc->luts, g_free);
  icc->lut_size = size;
  if(!size) return;
  icc->luts = g_new(float, size *(size_t)count);
  for(int c = 0; c < count; c++)
  {
    float *lut = icc->luts + size * (size_t)c;
    for(size_t i = 0; i < size; i++) lut[i] = (float)i / (float)(size - 1);
    dt_trc_decode(&icc->trc[c], lut, lut, size);
  }
}

void dt_icc_set_untouched(dt_icc_t *icc)
{
  icc->untouched = TRUE;
}

size_t dt_icc_memory(const dt_icc_t *icc)
{
  size_t bytes = sizeof(*icc) + icc->lut_size * sizeof(float) * (icc->one_curve ? 1 : 3);
  for(int i = 0; i < 3; i++) bytes += (size_t)icc->trc[i].size * sizeof(float);
  // a general profile keeps its tables, as floats and once for each direction
  if(icc->is_general) bytes += (size_t)4 << 20;
  return bytes;
}

// --- One block of interleaved floats, in place

static void _take_channel(const float *block, int channels, int c, float *plane, size_t n)
{
  for(size_t i = 0; i < n; i++) plane[i] = block[i * (size_t)channels + (size_t)c];
}

static void _put_channel(float *block, int channels, int c, const float *plane, size_t n)
{
  for(size_t i = 0; i < n; i++) block[i * (size_t)channels + (size_t)c] = plane[i];
}

typedef void (*_curve_fn)(const dt_trc_t *, const float *, float *, size_t);

static void _apply_curves(const dt_icc_t *icc, _curve_fn apply, float *block, int channels, size_t n)
{
  float plane[BLOCK];
  if(icc->one_curve)
  {
    apply(&icc->trc[0], block, block, n * (size_t)channels);
    return;
  }
  for(int c = 0; c < 3; c++)
  {
    _take_channel(block, channels, c, plane, n);
    apply(&icc->trc[c], plane, plane, n);
    _put_channel(block, channels, c, plane, n);
  }
}

static void _apply_matrix(const double m[9], float *block, int channels, size_t n)
{
  for(float *p = block, *end = block + n * (size_t)channels; p < end; p += channels)
  {
    const double r = p[0], g = p[1], b = p[2];
    p[0] = (float)(m[0] * r + m[1] * g + m[2] * b);
    p[1] = (float)(m[3] * r + m[4] * g + m[5] * b);
    p[2] = (float)(m[6] * r + m[7] * g + m[8] * b);
  }
}

static void _apply_transform(cmsHTRANSFORM transform, int colours, float *block, int channels, size_t n)
{
  float in[BLOCK * 3] = { 0 }, out[BLOCK * 3];
  for(size_t i = 0; i < n; i++)
    for(int c = 0; c < colours; c++)
      in[i * (size_t)colours + (size_t)c] = block[i * (size_t)channels + (size_t)c];
  cmsDoTransform(transform, in, out, (cmsUInt32Number)n);
  for(size_t i = 0; i < n; i++)
    for(int c = 0; c < colours; c++)
      block[i * (size_t)channels + (size_t)c] = out[i * (size_t)colours + (size_t)c];
}

static void _decode_colours(const dt_icc_t *icc, float *block, int channels, size_t n)
{
  if(icc->untouched) return;
  if(icc->is_general)
  {
    _apply_transform(icc->decode, icc->colours, block, channels, n);
    return;
  }
  _apply_curves(icc, dt_trc_decode, block, channels, n);
  if(!icc->is_rec709) _apply_matrix(icc->to_rec709, block, channels, n);
}

static void _encode_colours(const dt_icc_t *icc, float *block, int channels, size_t n)
{
  if(icc->untouched) return;
  if(icc->is_general)
  {
    _apply_transform(icc->encode, icc->colours, block, channels, n);
    return;
  }
  if(!icc->is_rec709) _apply_matrix(icc->from_rec709, block, channels, n);
  _apply_curves(icc, dt_trc_encode, block, channels, n);
}

// --- Decoding

/** IEEE 754 binary16 to float, subnormals, infinities and NaN included. */
static float _widen_half(uint16_t half)
{
  const uint32_t sign = (uint32_t)(half & 0x8000u) << 16;
  const uint32_t size = half & 0x7fffu;
  uint32_t bits = size >= 0x7c00u ? 0x7f800000u | (size & 0x3ffu) << 13 : (size << 13) + (112u << 23);
  float value;
  if(size < 0x400u)
    value = (float)size * 0x1p-24f;
  else
    memcpy(&value, &bits, sizeof(value));
  memcpy(&bits, &value, sizeof(bits));
  bits |= sign;
  memcpy(&value, &bits, sizeof(value));
  return value;
}

/** Samples as floats, integers scaled to 0..1. */
static void _widen(dt_sample_t sample, const void *in, float *out, size_t n)
{
  const uint8_t *u8 = in;
  const uint16_t *u16 = in;
  const uint32_t *u32 = in;
  const double *f64 = in;
  switch(sample)
  {
  case DT_SAMPLE_U8:
    for(size_t i = 0; i < n; i++) out[i] = (float)u8[i] / 255.0f;
    break;
  case DT_SAMPLE_U16:
    for(size_t i = 0; i < n; i++) out[i] = (float)u16[i] / 65535.0f;
    break;
  case DT_SAMPLE_U32:
    for(size_t i = 0; i < n; i++) out[i] = (float)((double)u32[i] / 4294967295.0);
    break;
  case DT_SAMPLE_F16:
    for(size_t i = 0; i < n; i++) out[i] = _widen_half(u16[i]);
    break;
  case DT_SAMPLE_F32: memcpy(out, in, n * sizeof(float)); break;
  case DT_SAMPLE_F64:
    for(size_t i = 0; i < n; i++) out[i] = (float)f64[i];
    break;
  }
}

static void _decode_block(const dt_icc_t *icc, dt_sample_t sample, int channels, const void *in, float *out,
                          size_t n)
{
  float alpha[BLOCK];
  const gboolean has_alpha = DT_ROW_HAS_ALPHA(channels);
  _widen(sample, in, out, n * (size_t)channels);
  if(has_alpha) _take_channel(out, channels, channels - 1, alpha, n);
  _decode_colours(icc, out, channels, n);
  if(has_alpha) _put_channel(out, channels, channels - 1, alpha, n);
}

static void _look_up_8(const float *lut, const uint8_t *in, float *out, size_t n, int step)
{
  for(size_t i = 0, end = n * (size_t)step; i < end; i += (size_t)step) out[i] = lut[in[i]];
}

static void _look_up_16(const float *lut, const uint16_t *in, float *out, size_t n, int step)
{
  for(size_t i = 0, end = n * (size_t)step; i < end; i += (size_t)step) out[i] = lut[in[i]];
}

static void _scale_alpha(dt_sample_t sample, int channels, const void *in, float *out, size_t n)
{
  const uint8_t *u8 = in;
  const uint16_t *u16 = in;
  const size_t end = n * (size_t)channels;
  for(size_t i = (size_t)channels - 1; i < end; i += (size_t)channels)
    out[i] = sample == DT_SAMPLE_U8 ? (float)u8[i] / 255.0f : (float)u16[i] / 65535.0f;
}

/** The way of 8 and 16-bit files: curves from tables, then the matrix. */
static void _decode_by_luts(const dt_icc_t *icc, dt_sample_t sample, int channels, const void *in, float *out,
                            size_t n)
{
  if(DT_ROW_HAS_ALPHA(channels)) _scale_alpha(sample, channels, in, out, n);
  const gboolean flat = icc->one_curve && !DT_ROW_HAS_ALPHA(channels);
  const int loops = flat ? 1 : icc->colours, step = flat ? 1 : channels;
  const size_t count = flat ? n * (size_t)channels : n;
  for(int c = 0; c < loops; c++)
  {
    const float *lut = icc->luts + (icc->one_curve ? 0 : icc->lut_size * (size_t)c);
    if(sample == DT_SAMPLE_U8)
      _look_up_8(lut, (const uint8_t *)in + c, out + c, count, step);
    else
      _look_up_16(lut, (const uint16_t *)in + c, out + c, count, step);
  }
  if(!icc->is_rec709) _apply_matrix(icc->to_rec709, out, channels, n);
}

void dt_icc_decode(const dt_icc_t *icc, dt_sample_t sample, int channels, const void *in, float *out,
                   size_t n)
{
  const size_t pixel = dt_sample_size(sample) * (size_t)channels;
  for(size_t i = 0; i < n; i += BLOCK)
  {
    const size_t count = MIN(n - i, (size_t)BLOCK);
    const char *from = (const char *)in + i * pixel;
    if(icc->luts && !icc->untouched)
      _decode_by_luts(icc, sample, channels, from, out + i * (size_t)channels, count);
    else
      _decode_block(icc, sample, channels, from, out + i * (size_t)channels, count);
  }
}

// --- Encoding

/** @p x clamped to 0..1, 0 for what is not a number; on the bits, to stay free of branches. */
static inline float _clamp_unit(float x)
{
  uint32_t bits;
  memcpy(&bits, &x, sizeof(bits));
  const uint32_t positive = (uint32_t)((int32_t)bits > 0 && bits <= 0x7f800000u);
  bits &= 0u - positive;
  bits = bits < 0x3f800000u ? bits : 0x3f800000u;
  memcpy(&x, &bits, sizeof(x));
  return x;
}

static void _narrow_8(const float *in, uint8_t *out, size_t n)
{
  for(size_t i = 0; i < n; i++) out[i] = (uint8_t)(int32_t)(_clamp_unit(in[i]) * 255.0f + 0.5f);
}

static void _narrow_16(const float *in, uint16_t *out, size_t n)
{
  for(size_t i = 0; i < n; i++) out[i] = (uint16_t)(int32_t)(_clamp_unit(in[i]) * 65535.0f + 0.5f);
}

static void _narrow(dt_sample_t sample, const float *in, void *out, size_t n)
{
  if(sample == DT_SAMPLE_U8)
    _narrow_8(in, out, n);
  else if(sample == DT_SAMPLE_U16)
    _narrow_16(in, out, n);
  else
    memcpy(out, in, n * sizeof(float));
}

/** Divides encoded colours by alpha. */
static void _unassociate(float *block, int channels, size_t n)
{
  for(size_t i = 0; i < n; i++)
  {
    float *p = block + i * (size_t)channels;
    const float alpha = p[channels - 1];
    for(int c = 0; c < channels - 1 && alpha > 0.0f; c++) p[c] /= alpha;
  }
}

static void _encode_block(const dt_icc_t *icc, dt_sample_t sample, int channels, gboolean unassociate,
                          const float *in, void *out, size_t n)
{
  float block[BLOCK * MAX_CHANNELS], alpha[BLOCK];
  const gboolean has_alpha = DT_ROW_HAS_ALPHA(channels);
  memcpy(block, in, n * (size_t)channels * sizeof(float));
  if(has_alpha) _take_channel(block, channels, channels - 1, alpha, n);
  _encode_colours(icc, block, channels, n);
  if(has_alpha) _put_channel(block, channels, channels - 1, alpha, n);
  if(has_alpha && unassociate) _unassociate(block, channels, n);
  _narrow(sample, block, out, n * (size_t)channels);
}

void dt_icc_encode(const dt_icc_t *icc, dt_sample_t sample, int channels, gboolean unassociate,
                   const float *in, void *out, size_t n)
{
  const size_t pixel = dt_sample_size(sample) * (size_t)channels;
  for(size_t i = 0; i < n; i += BLOCK)
    _encode_block(icc, sample, channels, unassociate, in + i * (size_t)channels, (char *)out + i * pixel,
                  MIN(n - i, (size_t)BLOCK));
}
