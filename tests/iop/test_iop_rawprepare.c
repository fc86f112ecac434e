/* SPDX-License-Identifier: GPL-3.0-or-later */
/* rawprepare against the reader of mosaics, to the last bit; in rectangles, and on a device. */
#include "iop.h"
#include "pocl.h"

#include <math.h>
#include <string.h>

/* Every site has levels of its own. */
static void _vary_levels(test_photo_t *photo, test_random_t *random)
{
  for(int y = 0; y < DT_MOSAIC_PERIOD; y++)
    for(int x = 0; x < DT_MOSAIC_PERIOD; x++)
    {
      photo->mosaic.black[y][x] = (float)test_random_range(random, 0, 1000);
      photo->mosaic.white[y][x] = (float)test_random_range(random, 10000, 17000);
    }
}

/* The pipe's first pixels are the samples. */
static void _become_float(test_photo_t *photo, test_random_t *random)
{
  const gsize n = (gsize)photo->image.width * (gsize)photo->image.height * (gsize)photo->channels;
  static const float odd[] = { NAN, INFINITY, -INFINITY, 3e38f, -3e38f, 1e9f };
  for(int i = 0; i < 6; i++)
    photo->pixels[test_random_int(random, 0, (int)n / photo->channels - 1) * photo->channels] = odd[i];
  photo->mosaic.is_float = TRUE;
  photo->mosaic.samples = photo->pixels;
  photo->mosaic.step = (size_t)photo->channels;
  photo->mosaic.stride = photo->mosaic.step * (size_t)photo->image.width;
}

static void _check_against_reader(const test_photo_t *photo, const float *got)
{
  const dt_mosaic_t *m = &photo->mosaic;
  const int n = m->sensor == DT_SENSOR_LINEAR ? 3 : 1;
  float *row = g_new(float, m->width *n);
  for(int y = 0; y < m->height; y++)
  {
    dt_mosaic_read(m, 0, y, m->width, row);
    for(int x = 0; x < m->width; x++)
      for(int c = 0; c < n; c++)
        assert_memory_equal(got + (y * m->width + x) * photo->channels + c, row + x * n + c, sizeof(float));
  }
  g_free(row);
}

static void _check(dt_sensor_t sensor, int phase, gboolean is_float, int width, int height,
                   test_random_t *random)
{
  test_photo_t photo;
  test_photo_init(&photo, random, sensor, phase, FALSE, width, height);
  _vary_levels(&photo, random);
  if(is_float) _become_float(&photo, random);
  dt_iop_piece_t piece = test_piece_new(&photo, "rawprepare", NULL, photo.channels, width, height, 1.0);
  assert_true(piece.enabled);
  float *out = test_piece_run(&piece, photo.pixels);
  _check_against_reader(&photo, out);
  g_free(out);
  test_piece_check(&piece, photo.pixels, test_iop_cl, random);
  test_piece_clear(&piece);
  test_photo_clear(&photo);
}

static void test_reader(void **state)
{
  (void)state;
  test_random_t random = { 1 };
  for(int i = 0; i < TEST_SENSORS; i++)
    for(int phase = 0; phase < test_sensors[i].phases; phase++)
      for(int is_float = 0; is_float < 2; is_float++)
        _check(test_sensors[i].sensor, phase, is_float, test_random_int(&random, 1, 70),
               test_random_int(&random, 1, 50), &random);
  _check(DT_SENSOR_BAYER, 0, FALSE, 1, 1, &random);
  _check(DT_SENSOR_LINEAR, 0, TRUE, 1, 1, &random);
}

/* The user's levels instead of, and beside, those of the file. */
static void test_levels(void **state)
{
  (void)state;
  test_random_t random = { 2 };
  test_photo_t photo;
  test_photo_init(&photo, &random, DT_SENSOR_BAYER, 1, FALSE, 20, 10);
  dt_iop_piece_t piece = test_piece_new(
      &photo, "rawprepare", (const char *[]){ "black=-12.5", "white=4000", NULL }, 1, 20, 10, 1.0);
  float *out = test_piece_run(&piece, photo.pixels);
  for(int i = 0; i < 200; i++) assert_true(fabs(out[i] - (photo.pixels[i] - 499.5) / (4000 - 499.5)) < 1e-6);
  for(int c = 0; c < 4; c++) assert_true(piece.saturation_out[c] == 1.0f);
  g_free(out);
  test_piece_clear(&piece);
  test_photo_clear(&photo);
}

/* What was made of a raw has codes of its own; the raw's history does to it what it does to the raw. */
static void test_levels_of_the_original(void **state)
{
  (void)state;
  static const char *const settings[][3] = { { "black=-12.5", NULL },
                                             { "white=4000", NULL },
                                             { "black=30", "white=9000" } };
  test_random_t random = { 4 };
  test_photo_t photo;
  test_photo_init(&photo, &random, DT_SENSOR_LINEAR, 0, FALSE, 9, 7);
  const int n = 9 * 7 * photo.channels;
  float *codes = g_memdup2(photo.pixels, (gsize)n * sizeof(float));
  const dt_mosaic_t original = photo.mosaic;
  for(gsize i = 0; i < G_N_ELEMENTS(settings); i++)
  {
    dt_iop_piece_t piece = test_piece_new(&photo, "rawprepare", settings[i], photo.channels, 9, 7, 1.0);
    float *wanted = test_piece_run(&piece, codes);
    test_piece_clear(&piece);
    photo.mosaic.original_black = original.black[0][0];
    photo.mosaic.original_white = original.white[0][0];
    for(int c = 0; c < 3; c++)
    {
      photo.mosaic.black[0][c] = 100;
      photo.mosaic.white[0][c] = 100 + 4 * (original.white[0][c] - original.black[0][c]);
    }
    for(int k = 0; k < n; k++) photo.pixels[k] = 100 + 4 * (codes[k] - original.black[0][0]);
    piece = test_piece_new(&photo, "rawprepare", settings[i], photo.channels, 9, 7, 1.0);
    float *got = test_piece_run(&piece, photo.pixels);
    for(int k = 0; k < n; k++)
      if(k % photo.channels < 3)
        assert_true(fabsf(got[k] - wanted[k]) <= 1e-5f * MAX(1.0f, fabsf(wanted[k])));
    test_piece_clear(&piece);
    g_free(got);
    g_free(wanted);
    photo.mosaic = original;
  }
  g_free(codes);
  test_photo_clear(&photo);
}

static void _check_refused(const test_photo_t *photo, const char *name, const char *value)
{
  const dt_iop_module_t *module = dt_iop_find("rawprepare");
  void *params = dt_iop_standard_params(module);
  GError *error = NULL;
  assert_true(dt_iop_set_param(module, dt_iop_find_param(module, name), params, value, NULL));
  dt_iop_piece_t piece = { .module = module, .image = &photo->image, .enabled = TRUE };
  assert_false(module->commit(&piece, params, &error));
  assert_true(g_error_matches(error, DT_AI_ERROR, DT_AI_ERROR_USAGE));
  g_error_free(error);
  test_piece_clear(&piece);
  g_free(params);
}

/* Black that is not below white would divide by nothing. */
static void test_bad_levels(void **state)
{
  (void)state;
  test_random_t random = { 3 };
  test_photo_t photo;
  test_photo_init(&photo, &random, DT_SENSOR_XTRANS, 0, FALSE, 6, 6);
  _check_refused(&photo, "black", "15871"); // 512 + 15871 is white
  _check_refused(&photo, "black", "65535");
  _check_refused(&photo, "white", "512");
  test_photo_clear(&photo);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_reader),
    cmocka_unit_test(test_levels_of_the_original),
    cmocka_unit_test(test_levels),
    cmocka_unit_test(test_bad_levels),
  };
  return cmocka_run_group_tests(tests, test_iop_set_up, test_iop_tear_down);
}
