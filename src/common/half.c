/* SPDX-License-Identifier: GPL-3.0-or-later */
/** @file
 * Half floats without the processor's help.
 *
 * Loops of integer arithmetic and selections, no branches and no tables, so that a compiler turns
 * them into vector code for any target. The two subnormal ranges are left to one floating
 * point addition or subtraction of a constant that puts the binary point in the right place; its
 * operands and results are normal numbers (or zero), so a flush-to-zero mode does no harm.
 */
#include "common/half.h"

#include <string.h>

#define FLOAT_INFINITY 0x7f800000u
#define FLOAT_QUIET 0x00400000u
#define HALF_INFINITY 0x7c00u
#define HALF_QUIET 0x0200u
#define HALF_MIN 0x0400u // 2^-14, the smallest normal half

#define REBIAS ((127u - 15u) << 23)          // between the two exponents, in a float's place
#define FLOAT_HALF_MIN ((127u - 14u) << 23)  // the same 2^-14
#define FLOAT_HALF_OVER ((127u + 16u) << 23) // 2^16, the first power of two that is too large

static inline uint32_t _bits(float value)
{
  uint32_t bits;
  memcpy(&bits, &value, sizeof(bits));
  return bits;
}

static inline float _value(uint32_t bits)
{
  float value;
  memcpy(&value, &bits, sizeof(value));
  return value;
}

// A choice by masks: compilers make a branch of `?:`, with the floating point inside, and then
// cannot vectorise.
static inline uint32_t _select(int condition, uint32_t yes, uint32_t no)
{
  return no ^ ((yes ^ no) & -(uint32_t)condition);
}

static inline uint16_t _half(float value)
{
  const uint32_t bits = _bits(value);
  const uint32_t sign = bits >> 16 & 0x8000u;
  const uint32_t size = bits & 0x7fffffffu;

  // A normal half: half of the last place less a bit, plus the bit that breaks ties towards even.
  // The carry may run into the exponent, up to infinity, as it should.
  const uint32_t small = _select(size < FLOAT_HALF_OVER, size, FLOAT_HALF_OVER);
  const uint32_t normal = (small - REBIAS + 0xfffu + (small >> 13 & 1u)) >> 13;
  // A subnormal one: the last place of numbers from 0.5 to 1 is 2^-24, that of subnormal halves.
  const uint32_t subnormal = _bits(_value(small) + 0.5f) - _bits(0.5f);
  const uint32_t nan = HALF_INFINITY | HALF_QUIET | (size >> 13 & 0x3ffu);

  const uint32_t finite = _select(size < FLOAT_HALF_MIN, subnormal, normal);
  return (uint16_t)(sign | _select(size > FLOAT_INFINITY, nan, finite));
}

static inline float _single(uint16_t half)
{
  const uint32_t sign = (uint32_t)(half & 0x8000u) << 16;
  const uint32_t size = half & 0x7fffu;

  const uint32_t normal = (size << 13) + REBIAS;
  const uint32_t subnormal = _bits(_value(FLOAT_HALF_MIN | size << 13) - _value(FLOAT_HALF_MIN));
  const uint32_t special = FLOAT_INFINITY | size << 13 | _select(size > HALF_INFINITY, FLOAT_QUIET, 0);

  const uint32_t finite = _select(size < HALF_MIN, subnormal, normal);
  return _value(sign | _select(size >= HALF_INFINITY, special, finite));
}

void dt_float_to_half(const float *restrict in, uint16_t *restrict out, size_t count)
{
  for(size_t i = 0; i < count; i++) out[i] = _half(in[i]);
}

void dt_half_to_float(const uint16_t *restrict in, float *restrict out, size_t count)
{
  for(size_t i = 0; i < count; i++) out[i] = _single(in[i]);
}
