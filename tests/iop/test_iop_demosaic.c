/* SPDX-License-Identifier: GPL-3.0-or-later */
/* demosaic against the source of rows it is made of, to the last bit; in rectangles of every phase, and on a device. */
#include "iop.h"
#include "pocl.h"

#include "common/demosaic.h"

#include <math.h>

static const char *const _best[] = { NULL }, *const _bilinear[] = { "method=bilinear", NULL };

/* Codes become light: what comes in, and the mosaic of it in floating point for the source of rows. */
static void _init(test_photo_t *photo, test_random_t *random, dt_sensor_t sensor, int phase, int width,
                  int height)
{
  test_photo_init(photo, random, sensor, phase, FALSE, width, height);
  for(int i = 0; i < width * height; i++) photo->pixels[i] = (photo->pixels[i] - 512) / 15871;
  dt_mosaic_t *m = &photo->mosaic;
  m->is_float = TRUE;
  m->samples = photo->pixels;
  for(int y = 0; y < DT_MOSAIC_PERIOD; y++)
    for(int x = 0; x < DT_MOSAIC_PERIOD; x++)
    {
      m->black[y][x] = 0;
      m->white[y][x] = 1;
    }
}

static dt_iop_piece_t _piece(const test_photo_t *photo, const char *const *settings)
{
  return test_piece_new(photo, "demosaic", settings, 1, photo->image.width, photo->image.height, 1.0);
}

static void _check_against_source(const test_photo_t *photo, dt_demosaic_method_t method, const float *got)
{
  dt_row_source_t *source = dt_demosaic_source(&photo->mosaic, NULL, method);
  const int n = source->channels;
  float *row = g_new(float, source->width *n);
  for(int y = 0; y < source->height; y++)
  {
    source->read(source, y, 1, row, NULL);
    for(int x = 0; x < source->width; x++, got += 4)
    {
      assert_memory_equal(got, row + x * n, (size_t)n * sizeof(float));
      if(n == 3) assert_true(got[3] == 0);
    }
  }
  g_free(row);
  dt_row_source_destroy(source);
}

static void _check(dt_sensor_t sensor, int phase, dt_demosaic_method_t method, int width, int height,
                   test_random_t *random)
{
  test_photo_t photo;
  _init(&photo, random, sensor, phase, width, height);
  dt_iop_piece_t piece = _piece(&photo, method == DT_DEMOSAIC_BEST ? _best : _bilinear);
  assert_true(piece.enabled && piece.channels_out == 4);
  float *out = test_piece_run(&piece, photo.pixels);
  _check_against_source(&photo, method, out);
  g_free(out);
  test_piece_check(&piece, photo.pixels, test_iop_cl, random);
  test_piece_clear(&piece);
  test_photo_clear(&photo);
}

/* Every phase in a size of its own; among them such as no rectangle's margin fits into. */
static void _check_phases(dt_sensor_t sensor, int phases, int each)
{
  test_random_t random = { 1 + (guint32)sensor };
  for(int i = 0; i < phases * each; i++)
    for(dt_demosaic_method_t method = DT_DEMOSAIC_BEST; method <= DT_DEMOSAIC_BILINEAR; method++)
    {
      const int most = i % 3 == 0 ? 14 : 70;
      _check(sensor, i % phases, method, test_random_int(&random, 1, most), test_random_int(&random, 1, most),
             &random);
    }
  _check(sensor, 0, DT_DEMOSAIC_BEST, 1, 1, &random);
  _check(sensor, 1, DT_DEMOSAIC_BEST, 1, 40, &random);
  _check(sensor, 2, DT_DEMOSAIC_BILINEAR, 40, 2, &random);
}

static void test_bayer(void **state)
{
  (void)state;
  _check_phases(DT_SENSOR_BAYER, 4, 8);
}

static void test_xtrans(void **state)
{
  (void)state;
  _check_phases(DT_SENSOR_XTRANS, 36, 1);
}

static void test_four_colours(void **state)
{
  (void)state;
  _check_phases(DT_SENSOR_FOUR, 4, 4);
}

/* Several bands and, of X-Trans, several columns of tiles. */
static void test_large(void **state)
{
  (void)state;
  test_random_t random = { 5 };
  _check(DT_SENSOR_BAYER, 2, DT_DEMOSAIC_BEST, 301, 397, &random);
  _check(DT_SENSOR_XTRANS, 8, DT_DEMOSAIC_BEST, 397, 301, &random);
}

/* Columns around a changed site in which something changes. */
static int _find_reach(dt_sensor_t sensor, int x)
{
  enum
  {
    SIDE = 60
  };
  test_random_t random = { 6 };
  test_photo_t photo;
  _init(&photo, &random, sensor, 0, SIDE, SIDE);
  dt_iop_piece_t piece = _piece(&photo, _best);
  float *before = test_piece_run(&piece, photo.pixels);
  photo.pixels[30 * SIDE + x] += 0.3f;
  float *after = test_piece_run(&piece, photo.pixels);
  int reach = 0;
  for(int i = 0; i < SIDE * SIDE; i++)
    for(int c = 0; c < 4; c++)
      if(before[4 * i + c] != after[4 * i + c]) reach = MAX(reach, ABS(i % SIDE - x));
  g_free(after);
  g_free(before);
  test_piece_clear(&piece);
  test_photo_clear(&photo);
  return reach;
}

/* The margin that is asked for is no smaller than it must be, and not much larger. */
static void test_reach(void **state)
{
  (void)state;
  for(dt_sensor_t sensor = DT_SENSOR_BAYER; sensor <= DT_SENSOR_XTRANS; sensor++)
  {
    int most = 0;
    for(int x = 0; x < 36; x++) most = MAX(most, _find_reach(sensor, x));
    assert_in_range(most, 7, DT_DEMOSAIC_REACH);
  }
}

/* Flat grey is flat grey, whatever its level, and samples of another range stay finite. */
static void test_levels(void **state)
{
  (void)state;
  static const float levels[] = { 0, -0.01f, 0.18f, 1, 3, 65504, 1e9f };
  test_random_t random = { 7 };
  for(dt_sensor_t sensor = DT_SENSOR_BAYER; sensor <= DT_SENSOR_FOUR; sensor++)
    for(gsize k = 0; k < G_N_ELEMENTS(levels); k++)
    {
      test_photo_t photo;
      _init(&photo, &random, sensor, 1, 20, 20);
      for(int i = 0; i < 400; i++) photo.pixels[i] = levels[k];
      dt_iop_piece_t piece = _piece(&photo, _best);
      float *out = test_piece_run(&piece, photo.pixels);
      const float wanted = MIN(levels[k], DT_MOSAIC_LARGEST);
      for(int i = 0; i < 1600; i++)
        if(i % 4 < (sensor == DT_SENSOR_FOUR ? 4 : 3))
          assert_true(fabsf(out[i] - wanted) <= 1e-5f * fabsf(wanted));
      g_free(out);
      test_piece_clear(&piece);
      test_photo_clear(&photo);
    }
}

/* Raws of several samples per pixel need none; and the memory that is told is some. */
static void test_linear(void **state)
{
  (void)state;
  test_random_t random = { 8 };
  test_photo_t photo;
  test_photo_init(&photo, &random, DT_SENSOR_LINEAR, 0, FALSE, 8, 8);
  dt_iop_piece_t piece = test_piece_new(&photo, "demosaic", NULL, 4, 8, 8, 1.0);
  assert_false(piece.enabled);
  assert_int_equal(piece.channels_out, 4);
  test_piece_clear(&piece);
  test_photo_clear(&photo);
  _init(&photo, &random, DT_SENSOR_XTRANS, 0, 8, 8);
  piece = _piece(&photo, _best);
  const dt_iop_roi_t roi = { 0, 0, 1000, 1000, 1.0 };
  assert_true(piece.module->memory_cl(&piece, &roi, &roi) >= (gsize)12 * 1000 * 1000 * sizeof(float));
  test_piece_clear(&piece);
  test_photo_clear(&photo);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_bayer),  cmocka_unit_test(test_xtrans), cmocka_unit_test(test_four_colours),
    cmocka_unit_test(test_large),  cmocka_unit_test(test_reach),  cmocka_unit_test(test_levels),
    cmocka_unit_test(test_linear),
  };
  return cmocka_run_group_tests(tests, test_iop_set_up, test_iop_tear_down);
}
