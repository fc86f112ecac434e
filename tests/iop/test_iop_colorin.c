/* SPDX-License-Identifier: GPL-3.0-or-later */
/* colorin against matrices in double precision: of pictures, of cameras of three and of four colours. */
#include "colour_module.h"

static const char *const *const _standard[] = { (const char *const[]){ NULL }, NULL };

static void test_pictures(void **state)
{
  (void)state;
  double m[9], wanted[3], in[3];
  test_convert(TEST_REC709, TEST_REC2020, m);
  float *pixels = test_colour_random(1, WIDTH, 0.01, 4),
        *out = test_colour_run("colorin", NULL, pixels, WIDTH);
  for(int i = 0; i < WIDTH; i++)
  {
    test_pixel(pixels + 4 * i, in);
    test_apply(m, in, wanted);
    for(int c = 0; c < 3; c++) assert_true(fabs(out[4 * i + c] - wanted[c]) < 1e-6);
    assert_true(out[4 * i + 3] == pixels[4 * i + 3]);
  }
  g_free(pixels);
  g_free(out);
}

static void test_grey_stays_grey(void **state)
{
  (void)state;
  float pixels[4 * 16];
  for(int i = 0; i < 64; i++) pixels[i] = (float)(i / 4) * 0.15f;
  float *out = test_colour_run("colorin", NULL, pixels, 16);
  for(int i = 0; i < 64; i++) assert_true(fabs((double)out[i] - (double)pixels[i]) < 3e-7);
  g_free(out);
}

/* Into the working space and out of it again. */
static void test_round_trip(void **state)
{
  (void)state;
  float *pixels = test_colour_random(2, WIDTH, 0.001, 1.0),
        *in = test_colour_run("colorin", NULL, pixels, WIDTH);
  float *out = test_colour_run("colorout", NULL, in, WIDTH);
  for(int i = 0; i < 4 * WIDTH; i++) assert_true(fabs((double)out[i] - (double)pixels[i]) < 1e-6);
  g_free(out);
  g_free(in);
  g_free(pixels);
}

/* A raw of @p sensor in a balance; every fourth channel is a colour or comes along. */
static void _check_raw(dt_sensor_t sensor, uint64_t seed)
{
  test_random_t random = { seed };
  const int columns = sensor == DT_SENSOR_FOUR ? 4 : 3;
  test_photo_t photo;
  test_photo_init(&photo, &random, sensor, 0, TRUE, 61, 47);
  photo.image.mosaic = &photo.mosaic;
  double to_rec2020[9], neutral[4], in[3] = { 0 }, wanted[3];
  float to_rec709[12];
  for(int c = 0; c < 4; c++)
  {
    photo.saturation[c] = (float)test_random_range(&random, 1, 2.5);
    neutral[c] = 1 / (double)photo.saturation[c];
  }
  test_convert(TEST_REC709, TEST_REC2020, to_rec2020);
  assert_true(dt_camera_to_rec709(&photo.image.colour, neutral, to_rec709));
  dt_iop_piece_t piece = test_piece_new(&photo, "colorin", NULL, 4, 61, 47, 1.0);
  float *out = test_piece_run(&piece, photo.pixels);
  for(int i = 0; i < 61 * 47; i++)
  {
    for(int k = 0; k < 3; k++)
    {
      in[k] = 0;
      for(int c = 0; c < columns; c++)
        in[k] += (double)to_rec709[columns * k + c] * (double)photo.pixels[4 * i + c];
    }
    test_apply(to_rec2020, in, wanted);
    for(int k = 0; k < 3; k++) assert_true(fabs(out[4 * i + k] - wanted[k]) < 3e-6);
    assert_true(out[4 * i + 3] == (columns == 4 ? 0.0f : photo.pixels[4 * i + 3]));
  }
  test_piece_check(&piece, photo.pixels, test_iop_cl, &random);
  g_free(out);
  test_piece_clear(&piece);
  test_photo_clear(&photo);
}

static void test_cameras(void **state)
{
  (void)state;
  _check_raw(DT_SENSOR_BAYER, 3);
  _check_raw(DT_SENSOR_XTRANS, 4);
  _check_raw(DT_SENSOR_LINEAR, 5);
  _check_raw(DT_SENSOR_FOUR, 6);
}

/* The colours of a camera that is not known are those of Rec.709. */
static void test_no_matrix(void **state)
{
  (void)state;
  test_random_t random = { 7 };
  test_photo_t photo;
  test_photo_init(&photo, &random, DT_SENSOR_LINEAR, 0, FALSE, 40, 30);
  photo.image.colour.light[0].matrix[1][1] = NAN;
  dt_iop_piece_t piece = test_piece_new(&photo, "colorin", NULL, 4, 40, 30, 1.0);
  float *out = test_piece_run(&piece, photo.pixels);
  test_piece_clear(&piece);
  photo.image.mosaic = NULL;
  piece = test_piece_new(&photo, "colorin", NULL, 4, 40, 30, 1.0);
  float *wanted = test_piece_run(&piece, photo.pixels);
  for(int i = 0; i < 4 * 40 * 30; i++)
    assert_true(fabsf(out[i] - wanted[i]) <= 1e-6f * fmaxf(1.0f, fabsf(wanted[i])));
  g_free(out);
  g_free(wanted);
  test_piece_clear(&piece);
  test_photo_clear(&photo);
}

static void test_sizes(void **state)
{
  (void)state;
  test_module_sizes("colorin", _standard, 8);
}

static void test_extremes(void **state)
{
  (void)state;
  test_colour_extremes("colorin", _standard);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_pictures),   cmocka_unit_test(test_grey_stays_grey),
    cmocka_unit_test(test_round_trip), cmocka_unit_test(test_cameras),
    cmocka_unit_test(test_no_matrix),  cmocka_unit_test(test_sizes),
    cmocka_unit_test(test_extremes),
  };
  return cmocka_run_group_tests(tests, test_iop_set_up, test_iop_tear_down);
}
