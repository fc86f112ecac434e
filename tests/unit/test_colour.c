/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The transfer curves against the mathematical library in double precision: error, oddness,
 * monotony, inverse, the ends of the range, and that the length of a call makes no difference. */
#include "common/colour.h"

#include <float.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

typedef struct _named_t
{
  const char *name;
  const dt_curve_t *curve;
} _named_t;

static const dt_curve_t _gamma = { .g = 2.2, .a = 1.0 };
static const dt_curve_t _offsets = {
  .g = 2.0, .a = 0.9, .b = 0.1, .c = 0.2, .d = 0.05, .e = 0.01, .f = 0.021
};

static const _named_t _curves[] = {
  { "sRGB", &dt_curve_srgb },         { "Adobe RGB", &dt_curve_adobergb },
  { "ProPhoto", &dt_curve_prophoto }, { "Rec. 2020", &dt_curve_rec2020 },
  { "gamma 2.2", &_gamma },
};

static double _decode(const dt_curve_t *k, double x)
{
  const double size = fabs(x);
  const double y = (float)size >= (float)k->d ? pow(k->a * size + k->b, k->g) + k->e : k->c * size + k->f;
  return copysign(y, x);
}

static double _encode(const dt_curve_t *k, double y)
{
  const double size = fabs(y), limit = pow(k->a * k->d + k->b, k->g) + k->e;
  const double x =
      (float)size >= (float)limit ? (pow(size - k->e, 1.0 / k->g) - k->b) / k->a : (size - k->f) / k->c;
  return copysign(x, y);
}

static float _from_bits(uint32_t bits)
{
  float x;
  memcpy(&x, &bits, sizeof(x));
  return x;
}

/** Compares all floats from 2^-31 to 2^11 in small steps with the exact curve. */
static void test_error_is_below_4e_7(void **state)
{
  (void)state;
  for(size_t k = 0; k < G_N_ELEMENTS(_curves); k++)
    for(uint32_t bits = 0x30000000u; bits < 0x45000000u; bits += 641)
    {
      const float x = _from_bits(bits);
      float decoded, encoded;
      dt_curve_decode(_curves[k].curve, &x, &decoded, 1);
      dt_curve_encode(_curves[k].curve, &x, &encoded, 1);
      const double d = _decode(_curves[k].curve, (double)x), e = _encode(_curves[k].curve, (double)x);
      if(fabs(d) > 1e-35 && fabs((double)decoded / d - 1.0) > 4e-7)
        fail_msg("%s decodes %.9g to %.9g, not %.9g", _curves[k].name, (double)x, (double)decoded, d);
      if(fabs((double)encoded / e - 1.0) > 4e-7)
        fail_msg("%s encodes %.9g to %.9g, not %.9g", _curves[k].name, (double)x, (double)encoded, e);
    }
}

static void test_srgb_pair_is_the_srgb_curve(void **state)
{
  (void)state;
  for(uint32_t bits = 0x2f000000u; bits < 0x43000000u; bits += 977)
  {
    const float x = _from_bits(bits);
    float fast, general;
    dt_srgb_decode(&x, &fast, 1);
    dt_curve_decode(&dt_curve_srgb, &x, &general, 1);
    assert_true(fabsf(fast - general) <= 2e-7f * general);
    dt_srgb_encode(&x, &fast, 1);
    dt_curve_encode(&dt_curve_srgb, &x, &general, 1);
    assert_true(fabsf(fast - general) <= 3e-7f * general);
  }
}

static void test_curves_are_odd(void **state)
{
  (void)state;
  for(size_t k = 0; k < G_N_ELEMENTS(_curves); k++)
    for(uint32_t bits = 0; bits < 0x7f800000u; bits += 1000003)
    {
      const float x[2] = { _from_bits(bits), -_from_bits(bits) };
      float y[2];
      dt_curve_decode(_curves[k].curve, x, y, 2);
      assert_true(y[0] == -y[1]);
      dt_curve_encode(_curves[k].curve, x, y, 2);
      assert_true(y[0] == -y[1]);
    }
}

/** Neighbouring codes of 16 bits never swap or merge. */
static void test_codes_rise_strictly(void **state)
{
  (void)state;
  for(size_t k = 0; k < G_N_ELEMENTS(_curves); k++)
  {
    float previous_decoded = -1.0f, previous_encoded = -1.0f;
    for(int i = 0; i < 65536; i++)
    {
      const float x = (float)i / 65535.0f;
      float y;
      dt_curve_decode(_curves[k].curve, &x, &y, 1);
      assert_true(y > previous_decoded);
      previous_decoded = y;
      dt_curve_encode(_curves[k].curve, &x, &y, 1);
      assert_true(y > previous_encoded);
      previous_encoded = y;
    }
  }
}

static void test_there_and_back(void **state)
{
  (void)state;
  for(size_t k = 0; k < G_N_ELEMENTS(_curves); k++)
    for(uint32_t bits = 0x35000000u; bits < 0x44000000u; bits += 9973)
    {
      const float x = _from_bits(bits);
      float y, back;
      dt_curve_decode(_curves[k].curve, &x, &y, 1);
      dt_curve_encode(_curves[k].curve, &y, &back, 1);
      assert_true(fabsf(back - x) <= 1e-6f * x);
    }
}

static void test_offsets_are_honoured(void **state)
{
  (void)state;
  for(int i = -300; i <= 300; i++)
  {
    const float x = (float)i / 100.0f;
    float y, back;
    dt_curve_decode(&_offsets, &x, &y, 1);
    assert_true(fabs((double)y - _decode(&_offsets, (double)x)) < 1e-5);
    dt_curve_encode(&_offsets, &y, &back, 1);
    assert_true(fabsf(back - x) < 1e-5f);
  }
}

static void test_linear_copies(void **state)
{
  (void)state;
  const float in[4] = { -2.0f, 0.0f, 1e30f, 0.3f };
  float out[4];
  dt_curve_decode(&dt_curve_linear, in, out, 4);
  assert_memory_equal(in, out, sizeof(in));
  dt_curve_encode(&dt_curve_linear, in, out, 4);
  assert_memory_equal(in, out, sizeof(in));
}

static void test_ends_of_the_range(void **state)
{
  (void)state;
  for(size_t k = 0; k < G_N_ELEMENTS(_curves); k++)
  {
    const float in[6] = { 0.0f, 1.0f, INFINITY, -INFINITY, NAN, FLT_MAX };
    float out[6];
    for(int direction = 0; direction < 2; direction++)
    {
      if(direction)
        dt_curve_decode(_curves[k].curve, in, out, 6);
      else
        dt_curve_encode(_curves[k].curve, in, out, 6);
      assert_true(out[0] == 0.0f);
      assert_true(fabsf(out[1] - 1.0f) < 3e-7f);
      assert_true(isinf(out[2]) && out[2] > 0.0f);
      assert_true(isinf(out[3]) && out[3] < 0.0f);
      assert_true(isnan(out[4]));
      assert_true(out[5] > 1e15f);
    }
  }
}

/** Whatever the length and the alignment, in place or not: the same bits. */
static void test_length_makes_no_difference(void **state)
{
  (void)state;
  float in[100], whole[100], part[100];
  for(int i = 0; i < 100; i++) in[i] = (float)(i - 20) / 37.0f;
  dt_srgb_decode(in, whole, 100);
  for(size_t start = 0; start < 20; start++)
    for(size_t n = 0; n + start <= 100; n += 7)
    {
      memcpy(part, in, sizeof(in));
      dt_srgb_decode(part + start, part + start, n);
      assert_memory_equal(part + start, whole + start, n * sizeof(float));
      assert_memory_equal(part, in, start * sizeof(float));
      assert_memory_equal(part + start + n, in + start + n, (100 - start - n) * sizeof(float));
    }
}

static void test_matrix(void **state)
{
  (void)state;
  const float m[9] = { 1, 2, 3, 4, 5, 6, 7, 8, 9 };
  float rgb[6] = { 1, 0, 0, 1, 1, 1 }, rgba[8] = { 0, 1, 0, 42, 0, 0, 1, 43 };
  dt_matrix_apply(m, rgb, 2, 3);
  const float want_rgb[6] = { 1, 4, 7, 6, 15, 24 };
  assert_memory_equal(rgb, want_rgb, sizeof(rgb));
  dt_matrix_apply(m, rgba, 2, 4);
  const float want_rgba[8] = { 2, 5, 8, 42, 3, 6, 9, 43 };
  assert_memory_equal(rgba, want_rgba, sizeof(rgba));
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_error_is_below_4e_7),
    cmocka_unit_test(test_srgb_pair_is_the_srgb_curve),
    cmocka_unit_test(test_curves_are_odd),
    cmocka_unit_test(test_codes_rise_strictly),
    cmocka_unit_test(test_there_and_back),
    cmocka_unit_test(test_offsets_are_honoured),
    cmocka_unit_test(test_linear_copies),
    cmocka_unit_test(test_ends_of_the_range),
    cmocka_unit_test(test_length_makes_no_difference),
    cmocka_unit_test(test_matrix),
  };
  return cmocka_run_group_tests_name("colour", tests, NULL, NULL);
}
