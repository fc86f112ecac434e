/* SPDX-License-Identifier: GPL-3.0-or-later */
/** @file
 * Powers of single precision that a compiler turns into vector code.
 *
 * A power costs one logarithm and one exponential to base two, both short polynomials. The exponent g·log2(x) is summed
 * as an exact whole part and a small rest, so that no digit is lost where log2(x) is large: that is what keeps the
 * error at a few units in the last place over the whole range, for exponents up to about 60. There are no branches and
 * no calls. `data/kernels/colour.cl` has the same, operation by operation.
 */
#ifndef DT_COMMON_POWER_H
#define DT_COMMON_POWER_H

#include "common/wide_vectors.h"

#include <float.h>
#include <math.h>
#include <stdint.h>
#include <string.h>

/** x^g, prepared: g as a short head, whose product with a whole number is exact, and a tail. */
typedef struct dt_power_t
{
  float head, tail, log2e;
} dt_power_t;

static inline uint32_t dt_power_bits(float x)
{
  uint32_t bits;
  memcpy(&bits, &x, sizeof(bits));
  return bits;
}

static inline float dt_power_float(uint32_t bits)
{
  float x;
  memcpy(&x, &bits, sizeof(x));
  return x;
}

/** a where size >= limit, else b; both compared numbers are non-negative, so their bits compare like
 * them. Written with masks because a conditional would become a branch. */
static inline float dt_power_select(float size, float limit, float a, float b)
{
  const uint32_t mask = 0u - (uint32_t)((int32_t)dt_power_bits(size) >= (int32_t)dt_power_bits(limit));
  return dt_power_float((dt_power_bits(a) & mask) | (dt_power_bits(b) & ~mask));
}

static inline dt_power_t dt_power_prepare(double g)
{
  // eleven bits and the seven of an exponent fit a float's mantissa with room to spare
  const float head = (float)(nearbyint(g * 1024.0) / 1024.0);
  return (dt_power_t){ head, (float)(g - (double)head), (float)(g * 1.4426950408889634) };
}

/** Natural logarithm of 1 + r for r in [-0.293, 0.414] (Cephes, logf). */
static inline float dt_power_log1p(float r)
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
static inline float dt_power_exp2(float f)
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
static inline float dt_power_raise(float x, const dt_power_t *g)
{
  const float to_whole = 12582912.0f; // 1.5·2^23: adding it rounds to a whole number
  const uint32_t bits = dt_power_bits(x);
  const int32_t exponent = (int32_t)(bits - 0x3f3504f3u) >> 23; // mantissa in [√½, √2)
  const float rest = dt_power_log1p(dt_power_float(bits - ((uint32_t)exponent << 23)) - 1.0f);
  const float whole = g->head * (float)exponent;
  const float small = g->tail * (float)exponent + g->log2e * rest;
  const float rounded = (whole + small) + to_whole;
  const float fraction = (whole - (rounded - to_whole)) + small;
  int32_t power = (int32_t)(dt_power_bits(rounded) - dt_power_bits(to_whole)) + 127;
  power = power > 1 ? power : 1;
  power = power < 254 ? power : 254;
  const float y = dt_power_exp2(fraction) * dt_power_float((uint32_t)power << 23);
  return dt_power_select(x, FLT_MIN, y, 0.0f);
}

#endif
