/* SPDX-License-Identifier: GPL-3.0-or-later */
/* colorout against its matrix in double precision; what compression keeps and what it moves. */
#include "colour_module.h"

static const char *const _compress[] = { "gamut=compress", NULL };
static const char *const *const _settings[] = { (const char *const[]){ NULL }, _compress, NULL };

static void test_matrix(void **state)
{
  (void)state;
  double m[9], wanted[3], in[3];
  test_convert(TEST_REC2020, TEST_REC709, m);
  float *pixels = test_colour_random(1, WIDTH, 0.01, 4),
        *out = test_colour_run("colorout", NULL, pixels, WIDTH);
  int below = 0, above = 0;
  for(int i = 0; i < WIDTH; i++)
  {
    test_pixel(pixels + 4 * i, in);
    test_apply(m, in, wanted);
    for(int c = 0; c < 3; c++)
    {
      assert_true(fabs(out[4 * i + c] - wanted[c]) < 2e-6);
      below += out[4 * i + c] < 0.0f;
      above += out[4 * i + c] > 1.0f;
    }
    assert_true(out[4 * i + 3] == pixels[4 * i + 3]);
  }
  assert_true(below > 0 && above > 0);
  g_free(pixels);
  g_free(out);
}

static double _y709(const float *p)
{
  double m[9], xyz[3], rgb[3];
  test_to_xyz(TEST_REC709, m);
  test_pixel(p, rgb);
  test_apply(m, rgb, xyz);
  return xyz[1];
}

/* On the straight line from grey to the colour, at the surface or, where grey is outside itself, at grey. */
static void _check_moved(const float *kept, const float *moved, double y)
{
  double least = INFINITY, most = -INFINITY, far = 0, near = 0;
  for(int c = 0; c < 3; c++)
  {
    least = fmin(least, moved[c]);
    most = fmax(most, moved[c]);
    if(fabs(kept[c] - y) > fabs(far))
    {
      far = kept[c] - y;
      near = moved[c] - y;
    }
  }
  const double share = near / far;
  assert_true(share > -1e-6 && share < 1.0);
  for(int c = 0; c < 3; c++) assert_true(fabs(moved[c] - y - share * (kept[c] - y)) < 2e-6);
  if(y >= 0 && y <= 1)
  {
    assert_true(least > -1e-6 && most < 1.0 + 1e-6);
    assert_true(fmin(fabs(least), fabs(most - 1.0)) < 1e-6);
  }
}

static void test_compression(void **state)
{
  (void)state;
  float *pixels = test_colour_random(2, WIDTH, 0.01, 2);
  float *kept = test_colour_run("colorout", NULL, pixels, WIDTH);
  float *moved = test_colour_run("colorout", _compress, pixels, WIDTH);
  int inside = 0, outside = 0;
  for(int i = 0; i < WIDTH; i++)
  {
    const float *a = kept + 4 * i, *b = moved + 4 * i;
    const double y = _y709(a);
    gboolean fits = TRUE;
    for(int c = 0; c < 3; c++) fits = fits && a[c] >= 0.0f && a[c] <= 1.0f;
    assert_true(fabs(_y709(b) - y) < 2e-6);
    assert_true(b[3] == a[3]);
    if(fits)
      assert_memory_equal(a, b, 4 * sizeof(float));
    else
      _check_moved(a, b, y);
    inside += fits;
    outside += !fits;
  }
  assert_true(inside > 50 && outside > 50);
  g_free(pixels);
  g_free(kept);
  g_free(moved);
}

/* Along a way out of the gamut nothing jumps. */
static void test_compression_is_continuous(void **state)
{
  (void)state;
  enum
  {
    STEPS = 4000
  };
  float *pixels = g_new0(float, 4 * STEPS);
  for(int i = 0; i < STEPS; i++)
    for(int c = 0; c < 3; c++) pixels[4 * i + c] = (float)(0.3 + (c == 1 ? 0.9 : -0.3) * i / STEPS);
  float *out = test_colour_run("colorout", _compress, pixels, STEPS);
  for(int i = 4; i < 4 * STEPS; i++) assert_true(fabs((double)out[i] - (double)out[i - 4]) < 0.002);
  g_free(out);
  g_free(pixels);
}

static void test_sizes(void **state)
{
  (void)state;
  test_module_sizes("colorout", _settings, 3);
}

static void test_extremes(void **state)
{
  (void)state;
  test_colour_extremes("colorout", _settings);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_matrix),
    cmocka_unit_test(test_compression),
    cmocka_unit_test(test_compression_is_continuous),
    cmocka_unit_test(test_sizes),
    cmocka_unit_test(test_extremes),
  };
  return cmocka_run_group_tests(tests, test_iop_set_up, test_iop_tear_down);
}
