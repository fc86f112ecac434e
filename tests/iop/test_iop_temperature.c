/* SPDX-License-Identifier: GPL-3.0-or-later */
/* temperature against its formula for every kind of raw, in rectangles, and on a device. */
#include "iop.h"
#include "pocl.h"

#include <math.h>
#include <string.h>

static const char *const _user[] = { "mode=user", "red=1.7", "green=0.9", "blue=2.3", "fourth=1.3", NULL };
static const double _user_balance[4] = { 1.7, 0.9, 2.3, 1.3 };

/* The formula in double precision. */
static void _check_formula(const test_photo_t *photo, const double balance[4], const float *got)
{
  const int n = photo->channels;
  for(int y = 0; y < photo->image.height; y++)
    for(int x = 0; x < photo->image.width; x++)
      for(int c = 0; c < n; c++)
      {
        const int at = (y * photo->image.width + x) * n + c;
        const double factor = n == 1   ? balance[dt_mosaic_colour(&photo->mosaic, x, y)]
                              : c == 3 ? 1.0
                                       : balance[c];
        assert_true(fabs(got[at] - (double)photo->pixels[at] * factor)
                    < 2e-7 * (double)fabsf(got[at]) + 1e-30);
      }
}

static void _check(dt_sensor_t sensor, int phase, gboolean user, int width, int height, test_random_t *random)
{
  test_photo_t photo;
  test_photo_init(&photo, random, sensor, phase, FALSE, width, height);
  const gsize values = (gsize)width * (gsize)height * (gsize)photo.channels;
  for(gsize i = 0; i < values; i++) photo.pixels[i] = (photo.pixels[i] - 512) / 15871;
  photo.image.neutral[3] = 0.8;
  for(int c = 0; c < 4; c++) photo.saturation[c] = 0.5f + (float)c;
  double balance[4];
  for(int c = 0; c < 4; c++) balance[c] = user ? _user_balance[c] : 1 / photo.image.neutral[c];
  dt_iop_piece_t piece =
      test_piece_new(&photo, "temperature", user ? _user : NULL, photo.channels, width, height, 1.0);
  assert_true(piece.enabled);
  for(int c = 0; c < 4; c++)
    assert_true(fabs(piece.saturation_out[c] - (double)photo.saturation[c] * balance[c]) < 1e-6);
  float *out = test_piece_run(&piece, photo.pixels);
  _check_formula(&photo, balance, out);
  g_free(out);
  test_piece_check(&piece, photo.pixels, test_iop_cl, random);
  test_piece_clear(&piece);
  test_photo_clear(&photo);
}

static void test_formula(void **state)
{
  (void)state;
  test_random_t random = { 1 };
  for(int i = 0; i < TEST_SENSORS; i++)
    for(int phase = 0; phase < test_sensors[i].phases; phase++)
      for(int user = 0; user < 2; user++)
        _check(test_sensors[i].sensor, phase, user, test_random_int(&random, 1, 70),
               test_random_int(&random, 1, 50), &random);
  _check(DT_SENSOR_BAYER, 3, TRUE, 1, 1, &random);
}

/* What was white is the same in all colours. */
static void test_white(void **state)
{
  (void)state;
  test_random_t random = { 2 };
  test_photo_t photo;
  test_photo_init(&photo, &random, DT_SENSOR_XTRANS, 7, FALSE, 12, 12);
  for(int i = 0; i < 144; i++)
    photo.pixels[i] = 0.4f * (float)photo.image.neutral[dt_mosaic_colour(&photo.mosaic, i % 12, i / 12)];
  dt_iop_piece_t piece = test_piece_new(&photo, "temperature", NULL, 1, 12, 12, 1.0);
  float *out = test_piece_run(&piece, photo.pixels);
  for(int i = 0; i < 144; i++) assert_true(fabsf(out[i] - 0.4f) < 1e-6f);
  g_free(out);
  test_piece_clear(&piece);
  test_photo_clear(&photo);
}

/* Coefficients of 1 need not be multiplied by; those of a colour that the sensor has not, neither. */
static void test_neutral(void **state)
{
  (void)state;
  test_random_t random = { 3 };
  test_photo_t photo;
  test_photo_init(&photo, &random, DT_SENSOR_BAYER, 0, FALSE, 6, 6);
  dt_iop_piece_t piece =
      test_piece_new(&photo, "temperature", (const char *[]){ "mode=user", "fourth=3", NULL }, 1, 6, 6, 1.0);
  assert_false(piece.enabled);
  test_piece_clear(&piece);
  memset(photo.image.neutral, 0, sizeof(photo.image.neutral)); // not known
  piece = test_piece_new(&photo, "temperature", NULL, 1, 6, 6, 1.0);
  assert_false(piece.enabled);
  test_piece_clear(&piece);
  test_photo_clear(&photo);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_formula),
    cmocka_unit_test(test_white),
    cmocka_unit_test(test_neutral),
  };
  return cmocka_run_group_tests(tests, test_iop_set_up, test_iop_tear_down);
}
