/* SPDX-License-Identifier: GPL-3.0-or-later */
/** @file
 * Half floats: every half there is, every tie and neighbour of a tie, and a million floats, all
 * against a slow reference in double precision.
 */
#include "common/half.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#define HALVES 65536

static uint32_t _bits(float value)
{
  uint32_t bits;
  memcpy(&bits, &value, sizeof(bits));
  return bits;
}

static float _from_bits(uint32_t bits)
{
  float value;
  memcpy(&value, &bits, sizeof(value));
  return value;
}

// The value of a finite half by the definition in IEEE 754.
static double _value_of(uint16_t half)
{
  const int exponent = half >> 10 & 31, fraction = half & 1023;
  const double size = exponent ? ldexp(1024 + fraction, exponent - 25) : ldexp(fraction, -24);
  return half & 0x8000 ? -size : size;
}

// The nearest half, by rounding the multiple of the last place; ties to even.
static uint16_t _reference(float value)
{
  const uint16_t sign = signbit(value) ? 0x8000 : 0;
  const double size = fabs((double)value);
  int exponent;
  frexp(size, &exponent);
  const double last_place = ldexp(1, MAX(exponent - 11, -24));
  const double rounded = nearbyint(size / last_place) * last_place;
  if(rounded >= 65536) return sign | 0x7c00;
  if(rounded < ldexp(1, -14)) return sign | (uint16_t)ldexp(rounded, 24);
  const double fraction = frexp(rounded, &exponent);
  return (uint16_t)(sign | ((exponent + 14) << 10) | ((int)ldexp(fraction, 11) - 1024));
}

static uint16_t _to_half(float value)
{
  uint16_t half;
  dt_float_to_half(&value, &half, 1);
  return half;
}

static float _to_float(uint16_t half)
{
  float value;
  dt_half_to_float(&half, &value, 1);
  return value;
}

static void _check_against_reference(float value)
{
  if(isnan(value)) return;
  const uint16_t expected = isinf(value) ? (signbit(value) ? 0xfc00 : 0x7c00) : _reference(value);
  if(_to_half(value) != expected)
    fail_msg("%a became %04x, not %04x", (double)value, _to_half(value), expected);
}

static void _test_every_half(void **state)
{
  (void)state;
  for(uint32_t i = 0; i < HALVES; i++)
  {
    const uint16_t half = (uint16_t)i;
    if((half & 0x7c00) == 0x7c00) continue;
    assert_true((double)_to_float(half) == _value_of(half));
    assert_int_equal(signbit(_to_float(half)) != 0, half >> 15);
    assert_int_equal(_to_half(_to_float(half)), half);
  }
}

static void _test_infinities(void **state)
{
  (void)state;
  assert_true(_bits(_to_float(0x7c00)) == 0x7f800000);
  assert_true(_bits(_to_float(0xfc00)) == 0xff800000);
  assert_int_equal(_to_half(INFINITY), 0x7c00);
  assert_int_equal(_to_half(-INFINITY), 0xfc00);
}

static void _test_nans_stay_nans(void **state)
{
  (void)state;
  for(uint32_t i = 1; i < 1024; i++)
    for(uint32_t sign = 0; sign <= 0x8000; sign += 0x8000)
    {
      const uint16_t half = (uint16_t)(sign | 0x7c00 | i);
      const uint32_t bits = _bits(_to_float(half));
      assert_int_equal(bits, sign << 16 | 0x7fc00000 | i << 13);
      assert_int_equal(_to_half(_from_bits(bits)), half | 0x0200);
    }
  // A payload that does not fit must not turn the NaN into an infinity.
  assert_int_equal(_to_half(_from_bits(0x7f800001)), 0x7e00);
  assert_int_equal(_to_half(_from_bits(0xff800fff)), 0xfe00);
  assert_int_equal(_to_half(_from_bits(0x7fffffff)), 0x7fff);
}

static void _test_overflow(void **state)
{
  (void)state;
  assert_int_equal(_to_half(65504.0f), 0x7bff);
  assert_int_equal(_to_half(65519.99f), 0x7bff);
  assert_int_equal(_to_half(65520.0f), 0x7c00);
  assert_int_equal(_to_half(65536.0f), 0x7c00);
  assert_int_equal(_to_half(3.4e38f), 0x7c00);
  assert_int_equal(_to_half(-65520.0f), 0xfc00);
}

static void _test_underflow(void **state)
{
  (void)state;
  const float least = ldexpf(1, -24);
  assert_int_equal(_to_half(least), 1);
  assert_int_equal(_to_half(least / 2), 0); // a tie, and zero is even
  assert_int_equal(_to_half(nextafterf(least / 2, 1)), 1);
  assert_int_equal(_to_half(1.5f * least), 2);
  assert_int_equal(_to_half(nextafterf(ldexpf(1, -14), 0)), 0x0400);
  assert_int_equal(_to_half(_from_bits(1)), 0);
  assert_int_equal(_to_half(-0.0f), 0x8000);
  assert_int_equal(_to_half(_from_bits(0x80000001)), 0x8000);
}

// Halfway between every two neighbouring halves, and one float to either side.
static void _test_ties(void **state)
{
  (void)state;
  for(uint16_t half = 0; half < 0x7c00; half++)
  {
    const double next = half == 0x7bff ? 65536 : _value_of(half + 1);
    const float tie = (float)((_value_of(half) + next) / 2);
    const float around[] = { nextafterf(tie, 0), tie, nextafterf(tie, INFINITY) };
    const uint16_t expected[] = { half, half + (half & 1), half + 1 };
    for(int i = 0; i < 3; i++)
    {
      assert_int_equal(_to_half(around[i]), expected[i]);
      assert_int_equal(_to_half(-around[i]), 0x8000 | expected[i]);
    }
  }
}

// Every exponent and sign of a float with fractions that exercise all roundings.
static void _test_all_exponents(void **state)
{
  (void)state;
  for(uint32_t top = 0; top < 1u << 9; top++)
    for(uint32_t step = 0; step < 1u << 11; step++)
      for(uint32_t low = 0; low < 3; low++)
        _check_against_reference(_from_bits(top << 23 | ((step << 12) + low - 1)));
}

static void _test_random_floats(void **state)
{
  (void)state;
  GRand *random = g_rand_new_with_seed(16);
  for(int i = 0; i < 1000000; i++) _check_against_reference(_from_bits(g_rand_int(random)));
  g_rand_free(random);
}

// Arrays of every small length: the vector loop, its remainder, and nothing beyond the end.
static void _test_lengths(void **state)
{
  (void)state;
  float in[70], back[70];
  uint16_t out[70];
  for(size_t count = 0; count < 69; count++)
  {
    for(size_t i = 0; i < 70; i++)
    {
      in[i] = (float)i - 3.25f;
      out[i] = 0xabcd;
      back[i] = -1;
    }
    dt_float_to_half(in, out, count);
    dt_half_to_float(out, back, count);
    for(size_t i = 0; i < count; i++) assert_true(back[i] == in[i]);
    assert_int_equal(out[count], 0xabcd);
    assert_true(back[count] == -1);
  }
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(_test_every_half),     cmocka_unit_test(_test_infinities),
    cmocka_unit_test(_test_nans_stay_nans), cmocka_unit_test(_test_overflow),
    cmocka_unit_test(_test_underflow),      cmocka_unit_test(_test_ties),
    cmocka_unit_test(_test_all_exponents),  cmocka_unit_test(_test_random_floats),
    cmocka_unit_test(_test_lengths),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
