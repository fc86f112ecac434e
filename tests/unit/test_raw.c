/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Raws in: the samples as they were stored, with the levels, colours and areas that belong to them, of every kind of
 * sensor; and whatever is no raw, or a damaged one, is refused in words. */
#include "raw_file.h"
#include "support.h"

#include "imageio/raw.h"

#include <glib/gstdio.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define XTRANS "GGRGGBGGBGGRBRGRBGGGBGGRGGRGGBRBGBRG"

/** The raw as it is read; frees what it was made from. */
static dt_raw_t *_open(test_raw_t *made)
{
  GError *error = NULL;
  const char *path = test_raw_path("made.dng");
  test_raw_write(made, path);
  test_raw_free(made);
  assert_true(dt_raw_is_raw(path));
  dt_raw_t *raw = dt_raw_open(path, &error);
  assert_no_error(error);
  return raw;
}

static void _assert_path_fails(const char *path, const char *words)
{
  GError *error = NULL;
  assert_null(dt_raw_open(path, &error));
  assert_non_null(error);
  if(!g_error_matches(error, DT_AI_ERROR, DT_AI_ERROR_INPUT) || !strstr(error->message, words))
    fail_msg("\"%s\" missing: %s", words, error->message);
  g_error_free(error);
}

static void _assert_fails(test_raw_t *made, const char *words)
{
  const char *path = test_raw_path("bad.dng");
  test_raw_write(made, path);
  test_raw_free(made);
  _assert_path_fails(path, words);
}

/** Sample @p c of the pixel, as it is stored. */
static float _sample(const dt_mosaic_t *m, int x, int y, int c)
{
  const size_t at = (size_t)y * m->stride + (size_t)x * m->step + (size_t)c;
  return m->is_float ? ((const float *)m->samples)[at] : (float)((const guint16 *)m->samples)[at];
}

/** Whether all samples of @p made from (@p left, @p top) on are there. */
static void _assert_samples(const test_raw_t *made, const dt_raw_t *raw, int left, int top)
{
  for(int y = 0; y < raw->mosaic.height; y++)
    for(int x = 0; x < raw->mosaic.width; x++)
      for(int c = 0; c < made->per_pixel; c++)
      {
        const size_t at =
            ((size_t)(y + top) * (size_t)made->width + (size_t)(x + left)) * (size_t)made->per_pixel;
        float expected = made->samples[at + (size_t)c];
        if(made->bits == TEST_RAW_HALF) expected = (float)(_Float16)expected;
        if(_sample(&raw->mosaic, x, y, c) != expected)
          fail_msg("%d, %d: %g, not %g", x, y, (double)_sample(&raw->mosaic, x, y, c), (double)expected);
      }
}

static dt_raw_t *_open_filled(const char *pattern, int width, int height, int bits, gboolean big_endian,
                              gboolean sub)
{
  test_raw_t *made = test_raw_new(pattern, width, height, bits);
  made->big_endian = big_endian;
  made->sub_ifd = sub;
  test_raw_fill(made, 7);
  GError *error = NULL;
  test_raw_write(made, test_raw_path("made.dng"));
  dt_raw_t *raw = dt_raw_open(test_raw_path("made.dng"), &error);
  assert_no_error(error);
  assert_int_equal(raw->mosaic.width, width);
  assert_int_equal(raw->mosaic.height, height);
  _assert_samples(made, raw, 0, 0);
  test_raw_free(made);
  return raw;
}

// --- Samples

static void test_samples_come_as_they_were_stored(void **state)
{
  (void)state;
  static const int depths[] = { 8, 10, 12, 14, 16, TEST_RAW_HALF };
  static const char *const patterns[] = { "RGGB", XTRANS, "LINEAR" };
  for(size_t p = 0; p < G_N_ELEMENTS(patterns); p++)
    for(size_t i = 0; i < G_N_ELEMENTS(depths); i++)
      for(int form = 0; form < 4; form++)
      {
        dt_raw_t *raw = _open_filled(patterns[p], 48, 36, depths[i], form & 1, form & 2);
        assert_int_equal(raw->mosaic.is_float, depths[i] < 0);
        assert_true(raw->memory >= (size_t)48 * 36 * 2);
        dt_raw_free(raw);
      }
}

static void test_any_size_is_read(void **state)
{
  (void)state;
  for(int width = 22; width < 40; width += width < 30 ? 1 : 5) // LibRaw takes less for no raw
    for(int height = 22; height < 40; height += height < 24 ? 1 : 7)
    {
      dt_raw_free(_open_filled("GRBG", width, height, 16, FALSE, FALSE));
    }
}

static void test_real_raw(void **state)
{
  (void)state;
  char *path = test_data("raw/colorchart.dng");
  if(!path) skip();
  GError *error = NULL;
  dt_raw_t *raw = dt_raw_open(path, &error);
  assert_no_error(error);
  print_message("%s\n", raw->decoder);
  assert_int_equal(raw->mosaic.sensor, DT_SENSOR_BAYER);
  assert_int_equal(raw->mosaic.width, 1734);
  assert_int_equal(raw->mosaic.height, 1156);
  assert_true(raw->mosaic.black[1][1] == 2056.0f && raw->mosaic.white[0][0] == 15000.0f);
  assert_int_equal(dt_mosaic_colour(&raw->mosaic, 0, 0), DT_SITE_RED);
  assert_int_equal(dt_mosaic_colour(&raw->mosaic, 1, 1), DT_SITE_BLUE);
  assert_string_equal(raw->make, "Canon");
  assert_string_equal(raw->unique_model, "Canon EOS Kiss X4");
  assert_string_equal(raw->name, "colorchart.dng");
  assert_true(raw->has_matrix && raw->has_neutral && raw->is_dng);
  assert_true(fabs(raw->matrix[1][0] + 0.3825) < 1e-4 && raw->baseline_exposure == 0.0);
  assert_true(fabs(raw->neutral[0] - 1.0 / 2.477) < 1e-5 && raw->neutral[1] == 1.0);
  assert_int_equal(raw->orientation, 1);
  assert_int_equal(raw->crop_width, 1734);
  dt_raw_free(raw);
  g_free(path);
}

// --- Sensors

static void test_phases(void **state)
{
  (void)state;
  static const char *const patterns[] = { "RGGB", "GRBG", "GBRG", "BGGR" };
  for(int i = 0; i < 4; i++)
    for(int margin = 0; margin < 4; margin++) // the visible area begins anywhere in the pattern
    {
      test_raw_t *made = test_raw_new(patterns[i], 40, 30, 12);
      test_raw_set_active(made, 2 + margin / 2, 4 + margin % 2, 29, 39);
      dt_raw_t *raw = _open(made);
      assert_int_equal(raw->mosaic.sensor, DT_SENSOR_BAYER);
      assert_int_equal(raw->mosaic.period, 2);
      for(int y = 0; y < 2; y++)
        for(int x = 0; x < 2; x++)
        {
          const char letter = patterns[i][y * 2 + x]; // counts from the visible area
          assert_int_equal(raw->mosaic.colour[y][x], strchr("RGB", letter) - "RGB");
        }
      dt_raw_free(raw);
    }
}

static void test_xtrans_phases(void **state)
{
  (void)state;
  for(int margin = 0; margin < 36; margin += 5)
  {
    test_raw_t *made = test_raw_new(XTRANS, 40, 40, 14);
    test_raw_set_active(made, margin / 6, margin % 6, 37, 39);
    dt_raw_t *raw = _open(made);
    assert_int_equal(raw->mosaic.sensor, DT_SENSOR_XTRANS);
    assert_int_equal(raw->mosaic.period, 6);
    for(int y = 0; y < 6; y++)
      for(int x = 0; x < 6; x++)
      {
        const char letter = XTRANS[y * 6 + x];
        assert_int_equal(raw->mosaic.colour[y][x], strchr("RGB", letter) - "RGB");
      }
    dt_raw_free(raw);
  }
}

static void test_four_colours(void **state)
{
  (void)state;
  test_raw_t *made = test_raw_new("RGEB", 40, 30, 14);
  test_raw_set(made, TEST_RAW_MAIN, 50721, DT_TYPE_SRATIONAL, 12,
               (double[]){ 3.2405, -1.5371, -0.4985, -0.9693, 1.8760, 0.0416, 0.0556, -0.2040, 1.0572, -0.5,
                           1.2, 0.3 });
  test_raw_set(made, TEST_RAW_MAIN, 50728, DT_TYPE_RATIONAL, 4, (double[]){ 0.5, 1.0, 0.7, 0.9 });
  dt_raw_t *raw = _open(made);
  assert_int_equal(raw->mosaic.sensor, DT_SENSOR_FOUR);
  static const guint8 expected[4] = { 0, 1, 3, 2 }; // planes in the order of their names: R, G, B, E
  for(int i = 0; i < 4; i++) assert_int_equal(raw->mosaic.colour[i / 2][i % 2], expected[i]);
  assert_true(raw->has_matrix && fabs(raw->neutral[3] - 0.9) < 1e-4);
  float matrix[12];
  assert_false(dt_raw_camera_to_rec709(raw, matrix));
  assert_true(matrix[0] == 1.0f && matrix[4] == 1.0f && matrix[1] == 0.0f);
  assert_true(dt_raw_colours_to_rec709(raw, matrix));
  for(int i = 0; i < 3; i++)
    assert_true(fabsf(matrix[4 * i] + matrix[4 * i + 1] + matrix[4 * i + 2] + matrix[4 * i + 3] - 1.0f)
                < 1e-6f);
  dt_raw_free(raw);
}

static void test_what_is_refused_by_its_sensor(void **state)
{
  (void)state;
  _assert_fails(test_raw_new("MONO", 40, 30, 14), "monochrome");
  _assert_fails(test_raw_new("RRGB", 40, 30, 14), "pattern");
  _assert_fails(test_raw_new("GGRB", 40, 30, 14), "pattern");
  _assert_fails(test_raw_new("RGGB", 1, 1, 14), "cannot read");
  _assert_fails(test_raw_new("RGGB", 7, 40, 14), "cannot read");
  test_raw_t *made = test_raw_new("RGGB", 40, 30, 14);
  test_raw_set_number(made, TEST_RAW_PICTURE, 259, DT_TYPE_SHORT, 4711); // compression
  _assert_fails(made, "LibRaw");
}

// --- Levels

static void test_black_of_every_site(void **state)
{
  (void)state;
  for(int margin = 0; margin < 2; margin++)
  {
    test_raw_t *made = test_raw_new("RGGB", 40, 30, 14);
    test_raw_set_active(made, margin, margin, 30, 40);
    test_raw_set(made, TEST_RAW_PICTURE, 50713, DT_TYPE_SHORT, 2, (double[]){ 2, 2 });
    test_raw_set(made, TEST_RAW_PICTURE, 50714, DT_TYPE_RATIONAL, 4, (double[]){ 100, 200.5, 300, 400 });
    dt_raw_t *raw = _open(made);
    assert_true(raw->mosaic.black[0][0] == 100.0f
                && raw->mosaic.black[0][1] == 200.5f); // of the visible area
    assert_true(raw->mosaic.black[1][0] == 300.0f && raw->mosaic.black[1][1] == 400.0f);
    assert_true(raw->mosaic.white[1][0] == 16383.0f);
    dt_raw_free(raw);
  }
}

static void test_black_of_another_period_is_averaged(void **state)
{
  (void)state;
  test_raw_t *made = test_raw_new("RGGB", 40, 30, 14);
  test_raw_set(made, TEST_RAW_PICTURE, 50713, DT_TYPE_SHORT, 2, (double[]){ 4, 1 });
  test_raw_set(made, TEST_RAW_PICTURE, 50714, DT_TYPE_LONG, 4, (double[]){ 100, 200, 300, 400 });
  test_raw_set(made, TEST_RAW_PICTURE, 50716, DT_TYPE_SRATIONAL, 30, (double[30]){ [3] = 60, [4] = -30 });
  dt_raw_t *raw = _open(made);
  for(int x = 0; x < 2; x++)
    assert_true(raw->mosaic.black[0][x] == 201.0f && raw->mosaic.black[1][x] == 301.0f);
  dt_raw_free(raw);
}

static void test_levels_of_linear_colours(void **state)
{
  (void)state;
  test_raw_t *made = test_raw_new("LINEAR", 40, 30, 16);
  test_raw_set(made, TEST_RAW_PICTURE, 50714, DT_TYPE_LONG, 3, (double[]){ 10, 20, 30 });
  test_raw_set(made, TEST_RAW_PICTURE, 50717, DT_TYPE_LONG, 3, (double[]){ 60000, 61000, 62000 });
  dt_raw_t *raw = _open(made);
  assert_int_equal(raw->mosaic.sensor, DT_SENSOR_LINEAR);
  for(int c = 0; c < 3; c++)
    assert_true(raw->mosaic.black[0][c] == 10.0f + 10.0f * (float)c
                && raw->mosaic.white[0][c] == 60000.0f + 1000.0f * (float)c);
  assert_true(raw->mosaic.step >= 3);
  dt_raw_free(raw);
}

static void test_levels_that_make_no_sense(void **state)
{
  (void)state;
  for(int i = 0; i < 2; i++) // white is where samples end: 0 is none, nor is what they cannot reach
  {
    test_raw_t *made = test_raw_new("RGGB", 40, 30, 14);
    test_raw_set_number(made, TEST_RAW_PICTURE, 50717, DT_TYPE_LONG, i ? 4e9 : 0);
    dt_raw_t *raw = _open(made);
    assert_true(raw->mosaic.white[0][1] == 16383.0f && raw->mosaic.black[0][1] == 64.0f);
    dt_raw_free(raw);
  }
  test_raw_t *made = test_raw_new("RGGB", 40, 30, 14);
  test_raw_set_number(made, TEST_RAW_PICTURE, 50714, DT_TYPE_LONG, 20000);
  _assert_fails(made, "levels");
  made = test_raw_new("RGGB", 40, 30, TEST_RAW_HALF);
  test_raw_set_number(made, TEST_RAW_PICTURE, 50714, DT_TYPE_LONG, 3);
  _assert_fails(made, "levels");
}

static void test_levels_that_are_missing(void **state)
{
  (void)state;
  for(int half = 0; half < 2; half++)
  {
    test_raw_t *made = test_raw_new("RGGB", 40, 30, half ? TEST_RAW_HALF : 12);
    test_raw_remove(made, TEST_RAW_PICTURE, 50714);
    test_raw_remove(made, TEST_RAW_PICTURE, 50717);
    dt_raw_t *raw = _open(made);
    assert_true(raw->mosaic.black[1][0] == 0.0f && raw->mosaic.white[1][0] == (half ? 1.0f : 4095.0f));
    dt_raw_free(raw);
  }
}

// --- Areas

static void test_active_areas(void **state)
{
  (void)state;
  test_random_t random = { .state = 5 };
  for(int i = 0; i < 60; i++)
  {
    const int width = test_random_int(&random, 30, 70), height = test_random_int(&random, 30, 70);
    test_raw_t *made = test_raw_new(i % 2 ? "GBRG" : "LINEAR", width, height, 12);
    test_raw_fill(made, (uint32_t)i);
    const int left = test_random_int(&random, 0, width - 26), top = test_random_int(&random, 0, height - 26);
    const int right = test_random_int(&random, left + 26, width);
    const int bottom = test_random_int(&random, top + 26, height);
    test_raw_set_active(made, top, left, bottom, right);
    test_raw_write(made, test_raw_path("area.dng"));
    GError *error = NULL;
    dt_raw_t *raw = dt_raw_open(test_raw_path("area.dng"), &error);
    assert_no_error(error);
    if(raw->mosaic.width != right - left || raw->mosaic.height != bottom - top)
      fail_msg("%d x %d: %d..%d, %d..%d came as %d x %d", width, height, left, right, top, bottom,
               raw->mosaic.width, raw->mosaic.height);
    _assert_samples(made, raw, left, top);
    dt_raw_free(raw);
    test_raw_free(made);
  }
}

static void test_crops(void **state)
{
  (void)state;
  test_raw_t *made = test_raw_new("RGGB", 61, 47, 14);
  test_raw_set_active(made, 3, 5, 46, 60);
  test_raw_set(made, TEST_RAW_PICTURE, 50719, DT_TYPE_RATIONAL, 2, (double[]){ 3, 7 });
  test_raw_set(made, TEST_RAW_PICTURE, 50720, DT_TYPE_RATIONAL, 2, (double[]){ 41, 29.5 });
  dt_raw_t *raw = _open(made);
  assert_int_equal(raw->mosaic.width, 55);
  assert_int_equal(raw->crop_x, 3);
  assert_int_equal(raw->crop_y, 7);
  assert_int_equal(raw->crop_width, 41);
  assert_int_equal(raw->crop_height, 30);
  dt_raw_free(raw);
  // outside of what is visible: all is shown
  made = test_raw_new("RGGB", 61, 47, 14);
  test_raw_set(made, TEST_RAW_PICTURE, 50719, DT_TYPE_LONG, 2, (double[]){ 30, 7 });
  test_raw_set(made, TEST_RAW_PICTURE, 50720, DT_TYPE_LONG, 2, (double[]){ 41, 29 });
  raw = _open(made);
  assert_int_equal(raw->crop_x, 0);
  assert_int_equal(raw->crop_width, 61);
  dt_raw_free(raw);
}

static void test_orientations(void **state)
{
  (void)state;
  for(int orientation = 0; orientation <= 9; orientation++)
  {
    test_raw_t *made = test_raw_new("RGGB", 40, 30, 14);
    test_raw_set_number(made, TEST_RAW_MAIN, 274, DT_TYPE_SHORT, orientation);
    dt_raw_t *raw = _open(made);
    const int expected = orientation >= 1 && orientation <= 8 ? orientation : 1;
    assert_int_equal(raw->orientation, expected);
    dt_raw_free(raw);
  }
}

// --- Colours

static void test_neutral_becomes_grey(void **state)
{
  (void)state;
  for(int even = 0; even < 2; even++)
  {
    test_raw_t *made = test_raw_new("RGGB", 40, 30, 14);
    if(even) test_raw_set(made, TEST_RAW_MAIN, 50728, DT_TYPE_RATIONAL, 3, (double[]){ 1, 1, 1 });
    dt_raw_t *raw = _open(made);
    float matrix[9];
    assert_true(dt_raw_camera_to_rec709(raw, matrix));
    for(int i = 0; i < 3; i++)
    {
      assert_true(fabsf(matrix[3 * i] + matrix[3 * i + 1] + matrix[3 * i + 2] - 1.0f) <= 2.4e-7f);
      for(int j = 0; j < 3 && even; j++) // the camera is sRGB, and the light D65
        assert_true(fabsf(matrix[3 * i + j] - (i == j ? 1.0f : 0.0f)) < 2e-3f);
    }
    dt_raw_free(raw);
  }
}

static void test_matrix_nearest_daylight(void **state)
{
  (void)state;
  test_raw_t *made = test_raw_new("RGGB", 40, 30, 14);
  const double tungsten[9] = { 1, 0, 0, 0, 1, 0, 0, 0, 1 };
  const double daylight[9] = { 0.9, 0.1, 0, 0, 1, 0.1, 0.1, 0, 0.8 };
  test_raw_set(made, TEST_RAW_MAIN, 50721, DT_TYPE_SRATIONAL, 9, tungsten);
  test_raw_set_number(made, TEST_RAW_MAIN, 50778, DT_TYPE_SHORT, 17);
  test_raw_set(made, TEST_RAW_MAIN, 50722, DT_TYPE_SRATIONAL, 9, daylight);
  test_raw_set_number(made, TEST_RAW_MAIN, 50779, DT_TYPE_SHORT, 21);
  test_raw_set(made, TEST_RAW_MAIN, 50724, DT_TYPE_SRATIONAL, 9, (double[]){ 1.1, 0, 0, 0.2, 1, 0, 0, 0, 1 });
  test_raw_set(made, TEST_RAW_MAIN, 50727, DT_TYPE_RATIONAL, 3, (double[]){ 2, 1, 0.5 });
  dt_raw_t *raw = _open(made);
  const double expected[9] = { 1.98, 0.22, 0, 0.18, 1.02, 0.1, 0.05, 0, 0.4 };
  assert_true(raw->has_matrix);
  for(int i = 0; i < 9; i++) assert_true(fabs(raw->matrix[i / 3][i % 3] - expected[i]) < 1e-9);
  assert_int_equal(raw->colour.lights, 2); // and what is known of each light
  assert_true(raw->colour.light[0].kelvin == 2856 && raw->colour.light[1].kelvin == 6504);
  assert_true(raw->colour.light[0].matrix[0][0] == 2.0 && raw->colour.light[0].matrix[2][2] == 0.5);
  assert_memory_equal(raw->colour.light[1].matrix, raw->matrix, sizeof(raw->matrix));
  assert_false(raw->colour.light[0].has_forward);
  dt_raw_free(raw);
}

/** In tungsten light as shot the matrix for it counts, and that white is adapted. */
static void test_two_lights(void **state)
{
  (void)state;
  test_raw_t *made = test_raw_new("RGGB", 40, 30, 14);
  const double daylight[9] = { 0.69, -0.12, -0.09, -0.38, 1.16, 0.25, -0.04, 0.15, 0.60 },
               tungsten[9] = { 0.62, 0.05, -0.12, -0.30, 1.05, 0.28, -0.02, 0.10, 0.71 };
  test_raw_set(made, TEST_RAW_MAIN, 50721, DT_TYPE_SRATIONAL, 9, tungsten);
  test_raw_set_number(made, TEST_RAW_MAIN, 50778, DT_TYPE_SHORT, 17);
  test_raw_set(made, TEST_RAW_MAIN, 50722, DT_TYPE_SRATIONAL, 9, daylight);
  test_raw_set_number(made, TEST_RAW_MAIN, 50779, DT_TYPE_SHORT, 21);
  test_raw_remove(made, TEST_RAW_MAIN, 50728);
  test_raw_set(made, TEST_RAW_MAIN, 50729, DT_TYPE_RATIONAL, 2, (double[]){ 0.4476, 0.4074 });
  dt_raw_t *raw = _open(made);
  const double a[3] = { 0.4476 / 0.4074, 1, 0.145 / 0.4074 };
  dt_camera_colour_t alone = { .colours = 3, .lights = 1 };
  double neutral[4] = { 0 };
  float got[9], wanted[9];
  for(int i = 0; i < 9; i++)
  {
    alone.light[0].matrix[i / 3][i % 3] = tungsten[i];
    neutral[i / 3] += tungsten[i] * a[i % 3];
  }
  print_message("%g %g\n", raw->neutral[0], neutral[0] / neutral[1]);
  assert_true(fabs(raw->neutral[0] - neutral[0] / neutral[1]) < 1e-3); // McCamy's formula gives 2857 K
  assert_true(dt_raw_camera_to_rec709(raw, got));
  assert_true(dt_camera_to_rec709(&alone, raw->neutral, wanted));
  for(int i = 0; i < 9; i++) assert_true(fabsf(got[i] - wanted[i]) < 2e-3f);
  dt_raw_free(raw);
}

static void test_forward_matrices(void **state)
{
  (void)state;
  const double forward[9] = { 0.7, 0.1, 0.1642, 0.2, 0.8, 0, 0, 0.1, 0.7249 };
  for(int i = 0; i < 4; i++)
  {
    test_raw_t *made = test_raw_new("RGGB", 40, 30, 14);
    const double unit[9] = { 1, i == 2 ? 0.1 : 0, 0, 0, 1, 0, 0, 0, 0.9 };
    test_raw_set(made, TEST_RAW_MAIN, 50723, DT_TYPE_SRATIONAL, 9, unit);
    test_raw_set(made, TEST_RAW_MAIN, 50964, DT_TYPE_SRATIONAL, 9, i == 3 ? (double[9]){ 0 } : forward);
    if(i == 1) // the other light has none
    {
      test_raw_set(made, TEST_RAW_MAIN, 50722, DT_TYPE_SRATIONAL, 9, (double[]){ 1, 0, 0, 0, 1, 0, 0, 0, 1 });
      test_raw_set_number(made, TEST_RAW_MAIN, 50779, DT_TYPE_SHORT, 17);
    }
    dt_raw_t *raw = _open(made);
    assert_int_equal(raw->colour.lights, i == 1 ? 2 : 1);
    for(int k = 0; k < raw->colour.lights; k++) assert_int_equal(raw->colour.light[k].has_forward, i == 0);
    if(i == 0) assert_true(fabs(raw->colour.light[0].forward[0][2] - 0.1642) < 1e-9);
    dt_raw_free(raw);
  }
}

static void test_missing_colours(void **state)
{
  (void)state;
  test_raw_t *made = test_raw_new("RGGB", 40, 30, 14);
  test_raw_remove(made, TEST_RAW_MAIN, 50728);
  dt_raw_t *raw = _open(made);
  assert_false(raw->has_neutral);
  assert_true(raw->has_matrix && raw->neutral[1] == 1.0 && fabs(raw->neutral[0] - 1.0) < 2e-3); // D65 of sRGB
  dt_raw_free(raw);
  for(int i = 0; i < 3; i++) // none, singular, of nothing
  {
    made = test_raw_new("RGGB", 40, 30, 14);
    test_raw_remove(made, TEST_RAW_MAIN, 50728);
    test_raw_remove(made, TEST_RAW_MAIN, 50721);
    const double flat[9] = { 1, 2, 3, 2, 4, 6, 1, 1, 1 };
    if(i) test_raw_set(made, TEST_RAW_MAIN, 50721, DT_TYPE_SRATIONAL, 9, i == 1 ? flat : (double[9]){ 0 });
    raw = _open(made);
    float matrix[9];
    assert_false(raw->has_matrix || raw->has_neutral || dt_raw_camera_to_rec709(raw, matrix));
    assert_true(matrix[0] == 1.0f && matrix[3] == 0.0f && raw->neutral[0] == 1.0 && raw->neutral[2] == 1.0);
    dt_raw_free(raw);
  }
}

static void test_neutrals(void **state)
{
  (void)state;
  test_raw_t *made = test_raw_new("RGGB", 40, 30, 14);
  test_raw_set(made, TEST_RAW_MAIN, 50728, DT_TYPE_RATIONAL, 3, (double[]){ 0.0, 1.0, 0.7 });
  dt_raw_t *raw = _open(made);
  assert_false(raw->has_neutral);
  dt_raw_free(raw);
  made = test_raw_new("RGGB", 40, 30, 14);
  test_raw_remove(made, TEST_RAW_MAIN, 50728);
  test_raw_set(made, TEST_RAW_MAIN, 50729, DT_TYPE_RATIONAL, 2, (double[]){ 0.3127, 0.329 });
  raw = _open(made);
  assert_true(raw->has_neutral && fabs(raw->neutral[2] - 1.0) < 2e-3);
  dt_raw_free(raw);
}

/** What LibRaw knows of a camera, of a file that is no DNG and says nothing itself. */
static void test_a_camera_that_libraw_knows(void **state)
{
  (void)state;
  test_raw_t *made = test_raw_new("RGGB", 60, 40, 16);
  made->sub_ifd = TRUE;
  test_raw_fill(made, 4);
  for(int tag = 50706; tag <= 50778; tag++) test_raw_remove(made, TEST_RAW_MAIN, (uint16_t)tag);
  for(int tag = 50714; tag <= 50717; tag++) test_raw_remove(made, TEST_RAW_PICTURE, (uint16_t)tag);
  test_raw_set_text(made, TEST_RAW_MAIN, 271, "LEICA CAMERA AG");
  test_raw_set_text(made, TEST_RAW_MAIN, 272, "LEICA M8");
  test_raw_write(made, test_raw_path("known.pef"));
  GError *error = NULL;
  dt_raw_t *raw = dt_raw_open(test_raw_path("known.pef"), &error);
  assert_no_error(error);
  assert_false(raw->is_dng || raw->has_neutral || raw->dng_tags);
  assert_true(raw->has_matrix && raw->matrix[0][0] > 0.3);
  assert_true(raw->neutral[1] == 1.0 && raw->neutral[0] > 0.2 && raw->neutral[0] < 0.9); // of D65
  assert_true(raw->mosaic.black[0][0] == 0.0f && raw->mosaic.white[1][1] == 65535.0f);
  assert_string_equal(raw->unique_model, "LEICA M8");
  float matrix[9];
  assert_true(dt_raw_camera_to_rec709(raw, matrix));
  assert_true(fabsf(matrix[0] + matrix[1] + matrix[2] - 1.0f) <= 1.2e-7f);
  _assert_samples(made, raw, 0, 0);
  dt_raw_free(raw);
  test_raw_free(made);
}

// --- No raw, or a damaged one

static void test_no_raws(void **state)
{
  (void)state;
  g_assert_true(g_file_set_contents(test_raw_path("x.nef"), "\xff\xd8\xff\xe0rest", 8, NULL));
  assert_false(dt_raw_is_raw(test_raw_path("x.nef")));
  _assert_path_fails(test_raw_path("x.nef"), "this is a JPEG, not a raw");
  g_assert_true(g_file_set_contents(test_raw_path("x.txt"), "some text that goes on", 22, NULL));
  assert_false(dt_raw_is_raw(test_raw_path("x.txt")));
  _assert_path_fails(test_raw_path("x.txt"), "no raw");
  g_assert_true(g_file_set_contents(test_raw_path("x.raf"), "some text that goes on", 22, NULL));
  _assert_path_fails(test_raw_path("x.raf"), "cut off or damaged");
  g_assert_true(g_file_set_contents(test_raw_path("empty.dng"), "", 0, NULL));
  assert_false(dt_raw_is_raw(test_raw_path("empty.dng")));
  _assert_path_fails(test_raw_path("empty.dng"), "empty");
  assert_false(dt_raw_is_raw(test_raw_path("")));
  _assert_path_fails(test_raw_path(""), "not a regular file");
  assert_false(dt_raw_is_raw(test_raw_path("nowhere.dng")));
  _assert_path_fails(test_raw_path("nowhere.dng"), "cannot be opened");
  dt_raw_free(NULL);
}

static void test_a_plain_tiff_is_no_raw(void **state)
{
  (void)state;
  test_raw_t *made = test_raw_new("LINEAR", 20, 20, 8);
  for(int tag = 50706; tag <= 50708; tag++) test_raw_remove(made, TEST_RAW_MAIN, (uint16_t)tag);
  test_raw_set_number(made, TEST_RAW_PICTURE, 262, DT_TYPE_SHORT, 2);
  test_raw_write(made, test_raw_path("x.tif"));
  test_raw_write(made, test_raw_path("x.arw"));
  test_raw_free(made);
  assert_false(dt_raw_is_raw(test_raw_path("x.tif")));
  assert_true(dt_raw_is_raw(test_raw_path("x.arw"))); // could be one
  _assert_path_fails(test_raw_path("x.tif"), "this is a TIFF, not a raw");
}

static void _assert_cut(const GByteArray *file, guint size)
{
  GError *error = NULL;
  const char *path = test_raw_path("cut.dng");
  g_assert_true(g_file_set_contents(path, (const char *)file->data, size, NULL));
  dt_raw_t *raw = dt_raw_open(path, &error);
  if(raw) fail_msg("%u of %u bytes are a raw", size, file->len);
  assert_true(g_error_matches(error, DT_AI_ERROR, DT_AI_ERROR_INPUT));
  g_error_free(error);
}

static void test_cut_off(void **state)
{
  (void)state;
  for(int form = 0; form < 4; form++)
  {
    test_raw_t *made = test_raw_new(form & 1 ? "LINEAR" : "RGGB", 40, 30, form & 2 ? 14 : 16);
    // as if all were there: the strip's size says nothing
    if(form == 3) test_raw_set_number(made, TEST_RAW_PICTURE, 279, DT_TYPE_LONG, 1);
    test_raw_fill(made, 3);
    GByteArray *file = test_raw_build(made);
    for(guint size = 1; size < file->len; size += test_is_long() ? 1 : 29) _assert_cut(file, size);
    _assert_cut(file, file->len - 1);
    g_byte_array_unref(file);
    test_raw_free(made);
  }
}

static void test_pieces_that_are_missing(void **state)
{
  (void)state;
  test_raw_t *made = test_raw_new("RGGB", 40, 30, 14);
  test_raw_set_number(made, TEST_RAW_PICTURE, 278, DT_TYPE_LONG,
                      10); // rows of a strip, of which there is one
  _assert_fails(made, "cut off");
  made = test_raw_new("RGGB", 40, 30, 14);
  test_raw_set_number(made, TEST_RAW_PICTURE, 322, DT_TYPE_LONG, 16);
  test_raw_set_number(made, TEST_RAW_PICTURE, 323, DT_TYPE_LONG, 16);
  test_raw_set(made, TEST_RAW_PICTURE, 324, DT_TYPE_LONG, 2, (double[]){ 8, 16 });
  test_raw_set(made, TEST_RAW_PICTURE, 325, DT_TYPE_LONG, 2, (double[]){ 8, 8 });
  _assert_fails(made, "cut off");
}

static void test_filter_arrays_that_libraw_has_no_room_for(void **state)
{
  (void)state;
  for(int i = 0; i < 3; i++)
  {
    test_raw_t *made = test_raw_new(i == 2 ? "RGGB" : XTRANS, 40, 36, 14);
    if(i == 0) test_raw_set(made, TEST_RAW_PICTURE, 33421, DT_TYPE_SHORT, 2, (double[]){ 10, 6 });
    if(i == 1) test_raw_remove(made, TEST_RAW_PICTURE, 33421);
    if(i == 2) test_raw_set(made, TEST_RAW_PICTURE, 33422, DT_TYPE_BYTE, 300, (double[300]){ 1 });
    _assert_fails(made, "filter array");
  }
}

static void test_garbage(void **state)
{
  (void)state;
  test_random_t random = { .state = 9 };
  test_raw_t *made = test_raw_new("RGGB", 40, 30, 14);
  GByteArray *file = test_raw_build(made);
  test_raw_free(made);
  for(int i = 0; i < (test_is_long() ? 20000 : 500); i++)
  {
    GByteArray *copy = g_byte_array_new();
    g_byte_array_append(copy, file->data, file->len);
    for(int k = 0; k < 6; k++) copy->data[test_random_int(&random, 0, 700)] = (guint8)test_random(&random);
    g_assert_true(
        g_file_set_contents(test_raw_path("garbage.dng"), (const char *)copy->data, copy->len, NULL));
    g_byte_array_unref(copy);
    GError *error = NULL;
    dt_raw_t *raw = dt_raw_open(test_raw_path("garbage.dng"), &error);
    assert_true((raw != NULL) != (error != NULL));
    if(error && !strstr(error->message, ";")) fail_msg("what to do? %s", error->message);
    float least, most;
    if(raw) dt_mosaic_extremes(&raw->mosaic, &least, &most);
    dt_raw_free(raw);
    g_clear_error(&error);
  }
  g_byte_array_unref(file);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_samples_come_as_they_were_stored),
    cmocka_unit_test(test_any_size_is_read),
    cmocka_unit_test(test_real_raw),
    cmocka_unit_test(test_phases),
    cmocka_unit_test(test_xtrans_phases),
    cmocka_unit_test(test_four_colours),
    cmocka_unit_test(test_what_is_refused_by_its_sensor),
    cmocka_unit_test(test_black_of_every_site),
    cmocka_unit_test(test_black_of_another_period_is_averaged),
    cmocka_unit_test(test_levels_of_linear_colours),
    cmocka_unit_test(test_levels_that_make_no_sense),
    cmocka_unit_test(test_levels_that_are_missing),
    cmocka_unit_test(test_active_areas),
    cmocka_unit_test(test_crops),
    cmocka_unit_test(test_orientations),
    cmocka_unit_test(test_neutral_becomes_grey),
    cmocka_unit_test(test_matrix_nearest_daylight),
    cmocka_unit_test(test_two_lights),
    cmocka_unit_test(test_forward_matrices),
    cmocka_unit_test(test_missing_colours),
    cmocka_unit_test(test_neutrals),
    cmocka_unit_test(test_a_camera_that_libraw_knows),
    cmocka_unit_test(test_no_raws),
    cmocka_unit_test(test_a_plain_tiff_is_no_raw),
    cmocka_unit_test(test_cut_off),
    cmocka_unit_test(test_pieces_that_are_missing),
    cmocka_unit_test(test_filter_arrays_that_libraw_has_no_room_for),
    cmocka_unit_test(test_garbage),
  };
  return cmocka_run_group_tests(tests, test_raw_set_up, test_raw_tear_down);
}
