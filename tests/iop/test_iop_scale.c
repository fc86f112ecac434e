/* SPDX-License-Identifier: GPL-3.0-or-later */
/* scale: ramps, waves and flat areas, the rows' filter, rectangles, and a device. */
#include "iop.h"
#include "pocl.h"

#include "common/resample.h"

#include <math.h>

static test_photo_t _photo(test_random_t *random, int width, int height)
{
  test_photo_t photo;
  test_photo_init(&photo, random, DT_SENSOR_LINEAR, 0, TRUE, width, height);
  return photo;
}

static dt_iop_piece_t _piece(const test_photo_t *photo, int width, int height, double scale)
{
  char wide[32], high[32];
  g_snprintf(wide, sizeof(wide), "width=%d", width);
  g_snprintf(high, sizeof(high), "height=%d", height);
  return test_piece_new(photo, "scale", (const char *[]){ wide, high, NULL }, 4, photo->image.width,
                        photo->image.height, scale);
}

/* --- ramps and waves: what is at a place of the output is what was at its origin --- */

typedef double (*_shape_t)(double x, double y);

static double _ramp(double x, double y)
{
  return 0.2 + 0.004 * x - 0.003 * y;
}

/* 10 pixels of the input. */
static double _wave(double x, double y)
{
  return 0.5 + 0.4 * sin(0.5 * x + 0.38 * y);
}

/* 3.1 pixels: too fine for half the size. */
static double _fine_wave(double x, double y)
{
  (void)y;
  return 0.5 + 0.4 * sin(2.0 * x);
}

static double _flat(double x, double y)
{
  (void)x;
  (void)y;
  return 0.5;
}

/* The largest deviation from @p shape, seen away from the edges. */
static double _deviation(_shape_t in, _shape_t wanted, int from, int to)
{
  test_random_t random = { 1 };
  test_photo_t photo = _photo(&random, from, from);
  for(int i = 0; i < from * from * 4; i++)
    photo.pixels[i] = (float)in(i / 4 % from + 0.5, i / 4 / from + 0.5);
  dt_iop_piece_t piece = _piece(&photo, to, to, 1.0);
  dt_iop_affine_t map;
  piece.module->origin(&piece, &map);
  float *out = test_piece_run(&piece, photo.pixels);
  double worst = 0;
  for(int y = to / 4; y < to - to / 4; y++)
    for(int x = to / 4; x < to - to / 4; x++)
      worst = MAX(worst,
                  fabs(out[4 * (y * to + x)] - wanted(map.a * (x + 0.5) + map.c, map.e * (y + 0.5) + map.f)));
  g_free(out);
  test_piece_clear(&piece);
  test_photo_clear(&photo);
  return worst;
}

static void test_no_shift(void **state)
{
  (void)state;
  /* where the new pixels lie alike between the old ones, ramps stay exactly */
  assert_true(_deviation(_ramp, _ramp, 120, 60) < 1e-6);
  assert_true(_deviation(_ramp, _ramp, 120, 40) < 1e-6);
  assert_true(_deviation(_ramp, _ramp, 120, 120 / 8) < 1e-6);
  /* elsewhere within some hundredths of a pixel, of which one is 0.007 */
  assert_true(_deviation(_ramp, _ramp, 120, 97) < 3e-4);
  assert_true(_deviation(_ramp, _ramp, 120, 49) < 3e-4);
  assert_true(_deviation(_ramp, _ramp, 60, 120) < 3e-4);
}

static void test_waves(void **state)
{
  (void)state;
  const double smaller = _deviation(_wave, _wave, 200, 151), larger = _deviation(_wave, _wave, 200, 323);
  print_message("a wave of 10 pixels: %.4f smaller, %.4f larger\n", smaller, larger);
  assert_true(smaller < 0.4 * 0.03 && larger < 0.4 * 0.03);
  /* what is too fine for the new pixels is gone, what is not stays */
  assert_true(_deviation(_fine_wave, _flat, 200, 80) < 0.4 * 0.04);
  assert_true(_deviation(_fine_wave, _flat, 200, 190) > 0.3);
}

static void test_flat(void **state)
{
  (void)state;
  static const int sizes[][2] = {
    { 50, 1 }, { 50, 7 }, { 50, 49 }, { 50, 51 }, { 7, 90 }, { 1, 20 }, { 2, 3 }
  };
  for(size_t i = 0; i < G_N_ELEMENTS(sizes); i++)
    assert_true(_deviation(_flat, _flat, sizes[i][0], sizes[i][1]) < 1e-6);
}

/* --- the filter of rows --- */

static void test_rows_agree(void **state)
{
  (void)state;
  test_random_t random = { 2 };
  for(int i = 0; i < 10; i++)
  {
    test_photo_t photo = _photo(&random, test_random_int(&random, 1, 80), test_random_int(&random, 1, 80));
    const int w = test_random_int(&random, 1, 120), h = test_random_int(&random, 1, 120);
    test_image_t image = test_image_new(w, h, 4);
    test_sink_t sink;
    test_sink_init(&sink, &image);
    GError *error = NULL;
    dt_row_sink_t *resample =
        dt_resample_sink(&sink.sink, photo.image.width, photo.image.height, 4, w, h, &error);
    assert_no_error(error);
    assert_true(resample->write(resample, 0, photo.image.height, photo.pixels, &error));
    assert_true(resample->finish(resample, &error));
    dt_iop_piece_t piece = _piece(&photo, w, h, 1.0);
    float *out = test_piece_run(&piece, photo.pixels);
    for(int k = 0; k < w * h * 4; k++) assert_true(fabs((double)out[k] - (double)image.pixels[k]) < 2e-6);
    g_free(out);
    test_piece_clear(&piece);
    test_image_free(&image);
    test_photo_clear(&photo);
  }
}

/* --- the module --- */

static void test_rectangles_and_device(void **state)
{
  (void)state;
  static const double scales[] = { 1, 0.5, 0.23 };
  test_random_t random = { 3 };
  for(int i = 0; i < 30; i++)
  {
    const int width = i ? test_random_int(&random, 1, 90) : 1,
              height = i ? test_random_int(&random, 1, 70) : 1;
    test_photo_t photo = _photo(&random, width, height);
    dt_iop_piece_t piece = _piece(&photo, i == 1 ? 1 : test_random_int(&random, 1, 120),
                                  i == 2 ? 1 : test_random_int(&random, 1, 100), scales[i % 3]);
    test_piece_check(&piece, photo.pixels, test_iop_cl, &random);
    test_piece_clear(&piece);
    test_photo_clear(&photo);
  }
}

static void test_size(void **state)
{
  (void)state;
  test_random_t random = { 4 };
  test_photo_t photo = _photo(&random, 60, 40);
  dt_iop_piece_t piece = _piece(&photo, 15, 11, 0.5);
  assert_true(piece.enabled && piece.out_width == 15 && piece.out_height == 11 && piece.out_scale == 0.125);
  test_piece_clear(&piece);
  piece = _piece(&photo, 60, 0, 0.5);
  assert_true(!piece.enabled && piece.out_height == 40 && piece.out_scale == 0.5);
  test_piece_clear(&piece);
  piece = _piece(&photo, 0, 41, 0.5);
  assert_true(piece.enabled && piece.out_width == 60 && piece.out_height == 41);
  test_piece_clear(&piece);
  test_photo_clear(&photo);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_no_shift),
    cmocka_unit_test(test_waves),
    cmocka_unit_test(test_flat),
    cmocka_unit_test(test_rows_agree),
    cmocka_unit_test(test_rectangles_and_device),
    cmocka_unit_test(test_size),
  };
  return cmocka_run_group_tests(tests, test_iop_set_up, test_iop_tear_down);
}
