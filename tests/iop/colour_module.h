/* SPDX-License-Identifier: GPL-3.0-or-later */
/** @file
 * What the tests of colour modules share: pixels through one module, and matrices in double
 * precision from the primaries.
 */
#ifndef DT_TESTS_COLOUR_MODULE_H
#define DT_TESTS_COLOUR_MODULE_H

#include "iop.h"

#include <float.h>
#include <math.h>
#include <string.h>

#define GREY 0.1845
#define WIDTH 640

/** Puts one row of @p n pixels through a module, on the device too, where both come to the same within @p tolerance
 * times what there is, or 1. @return g_free() */
static inline float *test_colour_run_near(const char *module, const char *const *settings,
                                          const float *pixels, int n, double tolerance)
{
  test_random_t random = { 1 };
  test_photo_t photo;
  test_photo_init(&photo, &random, DT_SENSOR_LINEAR, 0, TRUE, n, 1);
  dt_iop_piece_t piece = test_piece_new(&photo, module, settings, 4, n, 1, 1.0);
  float *out = test_piece_run(&piece, pixels);
  float *there = test_iop_cl ? test_piece_run_cl(&piece, pixels, test_iop_cl) : NULL;
  for(int i = 0; there && i < 4 * n; i++)
  {
    const double d = fabs((double)there[i] - (double)out[i]);
    if(!(d <= tolerance * fmax(1.0, fabs((double)out[i]))))
      fail_msg("%s: %.9g, and on the device %.9g", module, (double)out[i], (double)there[i]);
  }
  g_free(there);
  test_piece_clear(&piece);
  test_photo_clear(&photo);
  return out;
}

static inline float *test_colour_run(const char *module, const char *const *settings, const float *pixels,
                                     int n)
{
  return test_colour_run_near(module, settings, pixels, n, 1e-4);
}

/** @p n random colours with a fourth channel, their light between @p least and @p most, some of them outside the
 * working space. @return g_free() */
static inline float *test_colour_random(uint64_t seed, int n, double least, double most)
{
  test_random_t random = { seed };
  float *pixels = g_new(float, 4 * (gsize)n);
  for(int i = 0; i < n; i++)
  {
    const double light = exp(test_random_range(&random, log(least), log(most)));
    for(int c = 0; c < 3; c++) pixels[4 * i + c] = (float)(light * test_random_range(&random, -0.1, 1.0));
    pixels[4 * i + 3] = (float)test_random_range(&random, 0, 1);
  }
  return pixels;
}

/** Numbers that no photograph has stay numbers, on the device too. */
static inline void test_colour_extremes(const char *module, const char *const *const *settings)
{
  static const float values[] = {
    0.0f,   -0.0f, 1e-45f, -1e-45f,  1e-38f, FLT_MIN, 1e-30f, -1e-30f, 1e-9f,
    -1e-9f, 1.0f,  -1.0f,  65504.0f, 1e12f,  -1e12f,  1e30f,  FLT_MAX, -FLT_MAX
  };
  const int count = (int)G_N_ELEMENTS(values), n = count * count * count;
  float *pixels = g_new(float, 4 * (gsize)n);
  for(int i = 0; i < n; i++)
  {
    pixels[4 * i] = values[i % count];
    pixels[4 * i + 1] = values[i / count % count];
    pixels[4 * i + 2] = values[i / count / count];
    pixels[4 * i + 3] = 0.25f;
  }
  for(; *settings; settings++)
  {
    test_random_t random = { 1 };
    test_photo_t photo;
    test_photo_init(&photo, &random, DT_SENSOR_LINEAR, 0, TRUE, n, 1);
    dt_iop_piece_t piece = test_piece_new(&photo, module, *settings, 4, n, 1, 1.0);
    float *out[2] = { test_piece_run(&piece, pixels),
                      test_iop_cl ? test_piece_run_cl(&piece, pixels, test_iop_cl) : NULL };
    for(int k = 0; k < 2; k++)
    {
      for(int i = 0; out[k] && i < 4 * n; i++)
        if(!isfinite(out[k][i]))
          fail_msg("%s: (%g, %g, %g) becomes %g", module, (double)pixels[i / 4 * 4],
                   (double)pixels[i / 4 * 4 + 1], (double)pixels[i / 4 * 4 + 2], (double)out[k][i]);
      g_free(out[k]);
    }
    test_piece_clear(&piece);
    test_photo_clear(&photo);
  }
  g_free(pixels);
}

/* --- matrices --- */

#define TEST_REC709 ((const double[6]){ 0.64, 0.33, 0.30, 0.60, 0.15, 0.06 })
#define TEST_REC2020 ((const double[6]){ 0.708, 0.292, 0.170, 0.797, 0.131, 0.046 })

static inline void test_multiply(const double a[9], const double b[9], double out[9])
{
  for(int i = 0; i < 9; i++)
    out[i] = a[i / 3 * 3] * b[i % 3] + a[i / 3 * 3 + 1] * b[i % 3 + 3] + a[i / 3 * 3 + 2] * b[i % 3 + 6];
}

/** Gauss and Jordan. */
static inline void test_invert(const double in[9], double out[9])
{
  double m[3][6] = { 0 };
  for(int i = 0; i < 9; i++) m[i / 3][i % 3] = in[i];
  for(int i = 0; i < 3; i++) m[i][3 + i] = 1;
  for(int p = 0; p < 3; p++)
  {
    const double by = m[p][p];
    for(int k = 0; k < 6; k++) m[p][k] /= by;
    for(int i = 0; i < 3; i++)
    {
      const double f = m[i][p];
      for(int k = 0; k < 6 && i != p; k++) m[i][k] -= f * m[p][k];
    }
  }
  for(int i = 0; i < 9; i++) out[i] = m[i / 3][3 + i % 3];
}

/** Linear RGB of these primaries and D65 to XYZ (SMPTE RP 177). */
static inline void test_to_xyz(const double xy[6], double out[9])
{
  const double white[3] = { 0.3127 / 0.3290, 1.0, (1 - 0.3127 - 0.3290) / 0.3290 };
  double inverse[9];
  for(int j = 0; j < 3; j++)
  {
    out[j] = xy[2 * j] / xy[2 * j + 1];
    out[3 + j] = 1;
    out[6 + j] = (1 - xy[2 * j] - xy[2 * j + 1]) / xy[2 * j + 1];
  }
  test_invert(out, inverse);
  double scale[3] = { 0 };
  for(int i = 0; i < 9; i++) scale[i / 3] += inverse[i] * white[i % 3];
  for(int i = 0; i < 9; i++) out[i] *= scale[i % 3];
}

static inline void test_convert(const double from[6], const double to[6], double out[9])
{
  double a[9], b[9], inverse[9];
  test_to_xyz(from, a);
  test_to_xyz(to, b);
  test_invert(b, inverse);
  test_multiply(inverse, a, out);
}

static inline void test_apply(const double m[9], const double in[3], double out[3])
{
  for(int i = 0; i < 3; i++) out[i] = m[3 * i] * in[0] + m[3 * i + 1] * in[1] + m[3 * i + 2] * in[2];
}

static inline void test_pixel(const float *pixel, double out[3])
{
  for(int c = 0; c < 3; c++) out[c] = pixel[c];
}

static inline double test_luminance(const double rgb[3])
{
  double m[9], xyz[3];
  test_to_xyz(TEST_REC2020, m);
  test_apply(m, rgb, xyz);
  return xyz[1];
}

#endif
