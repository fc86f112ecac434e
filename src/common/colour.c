/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Transfer curves and small matrices.
 *
 * A curve costs one logarithm and one exponential to base two, both short polynomials in single
 * precision. The exponent g·log2(x) is summed as an exact whole part and a small rest, so that no
 * digit is lost where log2(x) is large: that is what keeps the error at a few units in the last
 * place over the whole range. All loops run over blocks of constant length, without branches or
 * calls, so that a compiler turns them into vector code at -O2 already. */
#include "common/colour.h"

#include <float.h>
#include <math.h>
#include <stdint.h>
#include <string.h>

/** Samples per block: a multiple of every vector width in use, and long enough that filling a block in
 * narrower pieces than it is read in does not stall. */
#define BLOCK 64

/* The loops are compiled a second time for processors with wider vectors, which halves their time;
 * the C library picks one when the program starts. Both give the same bits, for neither fuses
 * multiplication and addition. Sanitizers do not get along with such functions. */
#if defined(__x86_64__) && defined(__GLIBC__) && !defined(__SANITIZE_ADDRESS__)                              \
    && !defined(__SANITIZE_THREAD__)
#define FOR_WIDE_VECTORS __attribute__((target_clones("avx2", "default")))
#else
#define FOR_WIDE_VECTORS
#endif

const dt_curve_t dt_curve_linear = { .g = 1.0, .a = 1.0, .c = 1.0 };
const dt_curve_t dt_curve_srgb = {
  .g = 2.4, .a = 1.0 / 1.055, .b = 0.055 / 1.055, .c = 1.0 / 12.92, .d = 0.04045
};
const dt_curve_t dt_curve_adobergb = { .g = 563.0 / 256.0, .a = 1.0 };
const dt_curve_t dt_curve_prophoto = { .g = 1.8, .a = 1.0, .c = 1.0 / 16.0, .d = 16.0 / 512.0 };
const dt_curve_t dt_curve_rec2020 = { .g = 1.0 / 0.45,
                                      .a = 1.0 / 1.09929682680944,
                                      .b = 0.09929682680944 / 1.09929682680944,
                                      .c = 1.0 / 4.5,
                                      .d = 4.5 * 0.018053968510807 };

/** x^g, prepared: g as a short head, whose product with a whole number is exact, and a tail. */
typedef struct _power_t
{
  float head, tail, log2e;
} _power_t;

/** One direction of a curve on non-negative values:
 * y = scale·(x + shift)^g + offset for x >= limit, y = slope·x + base below. */
typedef struct _plan_t
{
  _power_t power;
  float shift, scale, offset, limit, slope, base;
} _plan_t;

static inline uint32_t _to_bits(float x)
{
  uint32_t bits;
  memcpy(&bits, &x, sizeof(bits));
  return bits;
}

static inline float _from_bits(uint32_t bits)
{
  float x;
  memcpy(&x, &bits, sizeof(x));
  return x;
}

/** a where size >= limit, else b; both compared numbers are non-negative, so their bits compare like
 * them. Written with masks because a conditional would become a branch. */
static inline float _select(float size, float limit, float a, float b)
{
  const uint32_t mask = 0u - (uint32_t)((int32_t)_to_bits(size) >= (int32_t)_to_bits(limit));
  return _from_bits((_to_bits(a) & mask) | (_to_bits(b) & ~mask));
}

static _power_t _prepare_power(double g)
{
  // eleven bits and the seven of an exponent fit a float's mantissa with room to spare
  const float head = (float)(nearbyint(g * 1024.0) / 1024.0);
  return (_power_t){ head, (float)(g - (double)head), (float)(g * 1.4426950408889634) };
}

static _plan_t _plan_decode(const dt_curve_t *k)
{
  return (_plan_t){ .power = _prepare_power(k->g),
                    .shift = (float)(k->b / k->a),
                    .scale = (float)pow(k->a, k->g),
                    .offset = (float)k->e,
                    .limit = (float)k->d,
                    .slope = (float)k->c,
                    .base = (float)k->f };
}

static _plan_t _plan_encode(const dt_curve_t *k)
{
  const double base = k->a * k->d + k->b;
  return (_plan_t){ .power = _prepare_power(1.0 / k->g),
                    .shift = (float)-k->e,
                    .scale = (float)(1.0 / k->a),
                    .offset = (float)(-k->b / k->a),
                    .limit = (float)((base > 0.0 ? pow(base, k->g) : 0.0) + k->e),
                    .slope = k->c > 0.0 ? (float)(1.0 / k->c) : 0.0f,
                    .base = k->c > 0.0 ? (float)(-k->f / k->c) : 0.0f };
}

/** Natural logarithm of 1 + r for r in [-0.293, 0.414] (Cephes, logf). */
static inline float _log1p(float r)
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

/** 2^f for f in [-0.6, 0.6] (Cephes, exp2f). */
static inline float _exp2_fraction(float f)
{
  float p = 1.535336188319500e-4f;
  p = p * f + 1.339887440266574e-3f;
  p = p * f + 9.618437357674640e-3f;
  p = p * f + 5.550332471162809e-2f;
  p = p * f + 2.402264791363012e-1f;
  p = p * f + 6.931472028550421e-1f;
  return 1.0f + p * f;
}

/** x^g for normal x > 0; saturates at the ends of the float range, 0 for anything smaller. */
static inline float _raise(float x, const _power_t *g)
{
  const float to_whole = 12582912.0f; // 1.5·2^23: adding it rounds to a whole number
  const uint32_t bits = _to_bits(x);
  const int32_t exponent = (int32_t)(bits - 0x3f3504f3u) >> 23; // mantissa in [√½, √2)
  const float rest = _log1p(_from_bits(bits - ((uint32_t)exponent << 23)) - 1.0f);
  const float whole = g->head * (float)exponent;
  const float small = g->tail * (float)exponent + g->log2e * rest;
  const float rounded = (whole + small) + to_whole;
  const float fraction = (whole - (rounded - to_whole)) + small;
  int32_t power = (int32_t)(_to_bits(rounded) - _to_bits(to_whole)) + 127;
  power = power > 1 ? power : 1;
  power = power < 254 ? power : 254;
  const float y = _exp2_fraction(fraction) * _from_bits((uint32_t)power << 23);
  return _select(x, FLT_MIN, y, 0.0f);
}

static inline float _apply(const _plan_t *plan, float x)
{
  const uint32_t sign = _to_bits(x) & 0x80000000u;
  const float size = _from_bits(_to_bits(x) & 0x7fffffffu);
  const float curved = plan->scale * _raise(size + plan->shift, &plan->power) + plan->offset;
  const float straight = plan->slope * size + plan->base;
  const float y = _select(size, plan->limit, curved, straight);
  // the bits of infinity and of all that is not a number stay as they are
  return _select(size, INFINITY, x, _from_bits(_to_bits(y) ^ sign));
}

static inline void _apply_block(const _plan_t *plan, const float *in, float *out)
{
  float block[BLOCK];
  memcpy(block, in, sizeof(block));
  for(int i = 0; i < BLOCK; i++) block[i] = _apply(plan, block[i]);
  memcpy(out, block, sizeof(block));
}

FOR_WIDE_VECTORS static void _apply_all(const _plan_t *plan, const float *in, float *out, size_t n)
{
  const _plan_t local = *plan; // not aliased by out: stays in registers
  size_t i = 0;
  for(; i + BLOCK <= n; i += BLOCK) _apply_block(&local, in + i, out + i);
  if(i == n) return;
  float block[BLOCK] = { 0 };
  memcpy(block, in + i, (n - i) * sizeof(float));
  _apply_block(&local, block, block);
  memcpy(out + i, block, (n - i) * sizeof(float));
}

static gboolean _is_identity(const dt_curve_t *k)
{
  return k->g == 1.0 && k->a == 1.0 && k->b == 0.0 && k->e == 0.0 && k->d <= 0.0;
}

void dt_curve_decode(const dt_curve_t *curve, const float *in, float *out, size_t n)
{
  if(_is_identity(curve))
  {
    memmove(out, in, n * sizeof(float));
    return;
  }
  const _plan_t plan = _plan_decode(curve);
  _apply_all(&plan, in, out, n);
}

void dt_curve_encode(const dt_curve_t *curve, const float *in, float *out, size_t n)
{
  if(_is_identity(curve))
  {
    memmove(out, in, n * sizeof(float));
    return;
  }
  const _plan_t plan = _plan_encode(curve);
  _apply_all(&plan, in, out, n);
}

// the plans of sRGB as constants: restoration calls these on short rows of tiles

void dt_srgb_decode(const float *in, float *out, size_t n)
{
  static const _plan_t plan = { .power = { 2.400390625f, -0.000390625f, 3.46246809813335f },
                                .shift = 0.055f,
                                .scale = 0.87941546140213f,
                                .limit = 0.04045f,
                                .slope = (float)(1.0 / 12.92) };
  _apply_all(&plan, in, out, n);
}

void dt_srgb_encode(const float *in, float *out, size_t n)
{
  static const _plan_t plan = { .power = { 0.4169921875f, -0.000325520833333f, 0.601122933703735f },
                                .scale = 1.055f,
                                .offset = -0.055f,
                                .limit = 0.0031308072830676845f,
                                .slope = 12.92f };
  _apply_all(&plan, in, out, n);
}

void dt_matrix_apply(const float m[9], float *pixels, size_t n, int stride)
{
  for(float *p = pixels, *end = pixels + n * (size_t)stride; p < end; p += stride)
  {
    const float r = p[0], g = p[1], b = p[2];
    p[0] = m[0] * r + m[1] * g + m[2] * b;
    p[1] = m[3] * r + m[4] * g + m[5] * b;
    p[2] = m[6] * r + m[7] * g + m[8] * b;
  }
}
