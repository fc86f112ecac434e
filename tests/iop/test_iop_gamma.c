/* SPDX-License-Identifier: GPL-3.0-or-later */
/* gamma: the sRGB curve in double precision, codes, what dither keeps, and the same codes in rectangles and on devices. */
#include "colour_module.h"

static const char *const _nearest[] = { "dither=false", NULL };
static const char *const *const _settings[] = { (const char *const[]){ NULL }, _nearest, NULL };

static double _encode(double x)
{
  return x <= 0.04045 / 12.92 ? 12.92 * x : 1.055 * pow(x, 1 / 2.4) - 0.055;
}

static double _decode(double x)
{
  return x <= 0.04045 ? x / 12.92 : pow((x + 0.055) / 1.055, 2.4);
}

/* Every sample is a code; without dither the nearest, with it one of the two beside. */
static void test_codes(void **state)
{
  (void)state;
  float *pixels = test_colour_random(1, WIDTH, 0.0005, 1.2);
  for(int k = 0; k < 2; k++)
  {
    float *out = test_colour_run("gamma", _settings[k], pixels, WIDTH);
    for(int i = 0; i < 4 * WIDTH; i++)
    {
      const double code = 255.0 * (double)out[i];
      if(i % 4 == 3)
      {
        assert_true(out[i] == pixels[i]);
        continue;
      }
      assert_true(fabs(code - round(code)) < 1e-4 && code >= 0 && code < 255.5);
      const double wanted = 255.0 * _encode(fmin(fmax((double)pixels[i], 0), 1));
      assert_true(fabs(code - wanted) < (k == 0 ? 1.0 : 0.5) + 1e-3);
    }
    g_free(out);
  }
  g_free(pixels);
}

/* What is a code already is that code, at every place; what is outside becomes an end, what is no number black. */
static void test_exact_codes(void **state)
{
  (void)state;
  float pixels[4 * 1024];
  for(int i = 0; i < 4 * 1024; i++) pixels[i] = (float)_decode((i / 4 % 256) / 255.0);
  for(int k = 0; k < 2; k++)
  {
    float *out = test_colour_run("gamma", _settings[k], pixels, 1024);
    for(int i = 0; i < 4 * 1024; i++)
      if(i % 4 < 3) assert_true(lround(255.0 * (double)out[i]) == i / 4 % 256);
    g_free(out);
  }
  const float odd[12] = { -0.1f, -FLT_MAX, NAN, 0.5f, 1.1f, FLT_MAX, INFINITY, 0.5f, 0, -0.0f, 1e-45f, 0.5f };
  float *out = test_colour_run("gamma", NULL, odd, 3);
  for(int i = 0; i < 12; i++) assert_true(out[i] == (i % 4 == 3 ? 0.5f : i / 4 == 1 ? 1.0f : 0.0f));
  g_free(out);
}

/* A flat area keeps its mean with dither, and grey stays grey. */
static void test_dither_keeps_means(void **state)
{
  (void)state;
  for(int step = 1; step < 10; step++)
  {
    const double light = _decode((100 + step / 10.0) / 255.0);
    float *pixels = g_new(float, 4 * 4096);
    for(int i = 0; i < 4 * 4096; i++) pixels[i] = (float)light;
    float *out = test_colour_run("gamma", NULL, pixels, 4096);
    double sum = 0;
    for(int i = 0; i < 4096; i++)
    {
      assert_true(out[4 * i] == out[4 * i + 1] && out[4 * i] == out[4 * i + 2]);
      sum += 255.0 * (double)out[4 * i] / 4096;
    }
    assert_true(fabs(sum - 100 - step / 10.0) < 0.04);
    g_free(pixels);
    g_free(out);
  }
}

/* A pixel's threshold is of its place in the picture, not in the rectangle: the whole picture in two halves. */
static void test_places(void **state)
{
  (void)state;
  test_random_t random = { 2 };
  test_photo_t photo;
  test_photo_init(&photo, &random, DT_SENSOR_LINEAR, 0, TRUE, 64, 64);
  for(int i = 0; i < 4 * 64 * 64; i++) photo.pixels[i] = 0.3f;
  dt_iop_piece_t piece = test_piece_new(&photo, "gamma", NULL, 4, 64, 64, 1.0);
  float *whole = test_piece_run(&piece, photo.pixels);
  test_piece_check_rectangles(&piece, photo.pixels, whole, &random, 40);
  int ups = 0;
  for(int i = 0; i < 64 * 64; i++) ups += whole[4 * i] > whole[0];
  for(int i = 0; i < 64 * 64; i++) ups += whole[4 * i] < whole[0];
  assert_true(ups > 64 && ups < 64 * 63);
  test_piece_clear(&piece);
  test_photo_clear(&photo);
  g_free(whole);
}

/* Within 1e-4 in codes of 1/255 is: the very same codes. */
static void test_sizes(void **state)
{
  (void)state;
  test_module_sizes("gamma", _settings, 3);
}

static void test_extremes(void **state)
{
  (void)state;
  test_colour_extremes("gamma", _settings);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_codes),
    cmocka_unit_test(test_exact_codes),
    cmocka_unit_test(test_dither_keeps_means),
    cmocka_unit_test(test_places),
    cmocka_unit_test(test_sizes),
    cmocka_unit_test(test_extremes),
  };
  return cmocka_run_group_tests(tests, test_iop_set_up, test_iop_tear_down);
}
