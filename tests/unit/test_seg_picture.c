/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A picture as a mask model's encoder is shown it, against the specification's words in double precision: fitted,
 * interpolated between the middles of pixels, padded with zeros, normalised. */
#include "support.h"

#include "ai/seg_model.h"
#include "ai/seg_resize.h"
#include "common/colour.h"

#include <math.h>
#include <string.h>

static dt_seg_model_t _model(int side, gboolean antialias)
{
  return (dt_seg_model_t){ .side = side,
                           .mean = { 123.675f, 116.28f, 103.53f },
                           .scale = { 1 / 58.395f, 1 / 57.12f, 1 / 57.375f },
                           .antialias = antialias };
}

/* The colour of a pixel as a screen has it. */
static double _screen(const test_image_t *image, int x, int y, int c)
{
  const int colour = DT_ROW_COLOURS(image->channels) == 3 ? c : 0;
  const double v = (double)image->pixels[(y * image->width + x) * image->channels + colour];
  const double encoded = v <= 0.0031308 ? 12.92 * v : 1.055 * pow(v, 1 / 2.4) - 0.055;
  return floor(255 * CLAMP(encoded, 0, 1) + 0.5);
}

/* Levels of a screen, so that no rounding hangs on the last bit. */
static void _quantise(test_image_t *image)
{
  const int n = image->width * image->height * image->channels;
  for(int i = 0; i < n; i++) image->pixels[i] = floorf(image->pixels[i] * 255.0f) * (1.0f / 255.0f);
  dt_srgb_decode(image->pixels, image->pixels, (size_t)n);
}

static double _triangle(double x)
{
  return MAX(0, 1 - fabs(x));
}

/* What the encoder sees at column @p i and row @p j of a picture fitted into @p fw × @p fh. */
static double _seen(const test_image_t *image, int i, int j, int c, int fw, int fh, gboolean antialias)
{
  const double sx = (double)image->width / fw, sy = (double)image->height / fh;
  const double wx = antialias ? MAX(sx, 1) : 1, wy = antialias ? MAX(sy, 1) : 1;
  const double x0 = (i + 0.5) * sx - 0.5, y0 = (j + 0.5) * sy - 0.5;
  double sum = 0, weights = 0;
  for(int y = MAX(0, (int)(y0 - wy)); y <= MIN(image->height - 1, (int)(y0 + wy) + 1); y++)
    for(int x = MAX(0, (int)(x0 - wx)); x <= MIN(image->width - 1, (int)(x0 + wx) + 1); x++)
    {
      const double w = _triangle((x - x0) / wx) * _triangle((y - y0) / wy);
      sum += w * _screen(image, x, y, c);
      weights += w;
    }
  return sum / weights;
}

static void _check_picture(test_random_t *random, int width, int height, int channels, int side,
                           gboolean antialias)
{
  const dt_seg_model_t model = _model(side, antialias);
  test_image_t image = test_image_random(random, width, height, channels);
  _quantise(&image);
  dt_row_source_t *rows = test_source_new(&image);
  float *tensor = g_new(float, 3 * side * side);
  GError *error = NULL;
  int fw, fh;
  assert_true(dt_seg_picture_read(&model, rows, tensor, NULL, NULL, NULL, &error));
  assert_no_error(error);
  dt_seg_fit(width, height, side, &fw, &fh);
  double worst = 0;
  for(int c = 0; c < 3; c++)
    for(int j = 0; j < side; j++)
      for(int i = 0; i < side; i++)
      {
        const double seen = i < fw && j < fh ? _seen(&image, i, j, c, fw, fh, antialias) : 0;
        const double wanted = (seen - (double)model.mean[c]) * (double)model.scale[c];
        worst = fmax(worst, fabs((double)tensor[(c * side + j) * side + i] - wanted));
      }
  if(worst > 2e-5) fail_msg("%d×%d×%d to %d: %g", width, height, channels, side, worst);
  g_free(tensor);
  dt_row_source_destroy(rows);
  test_image_free(&image);
}

static void test_specification(void **state)
{
  (void)state;
  test_random_t random = { 20261121 };
  const int n = test_is_long() ? 400 : 60;
  for(int i = 0; i < n; i++)
  {
    const int width = test_random_int(&random, 1, i % 3 ? 90 : 300);
    const int height = test_random_int(&random, 1, i % 3 == 1 ? 300 : 90);
    _check_picture(&random, width, height, test_random_int(&random, 1, 4), i % 2 ? 64 : 48, i % 4 < 2);
  }
  _check_picture(&random, 1, 1, 3, 32, FALSE);
  _check_picture(&random, 1, 2000, 3, 32, FALSE);
  _check_picture(&random, 2000, 1, 1, 32, TRUE);
}

/* Bytes of a photograph come out as the same bytes. */
static void test_bytes(void **state)
{
  (void)state;
  dt_seg_model_t model = _model(256, FALSE);
  test_image_t image = test_image_new(256, 256, 3);
  float *tensor = g_new(float, 3 * 256 * 256);
  for(int c = 0; c < 3; c++) model.mean[c] = 0, model.scale[c] = 1;
  for(int i = 0; i < 256 * 256 * 3; i++) image.pixels[i] = (float)(i / 3 % 256) * (1.0f / 255.0f);
  dt_srgb_decode(image.pixels, image.pixels, 256 * 256 * 3);
  dt_row_source_t *rows = test_source_new(&image);
  assert_true(dt_seg_picture_read(&model, rows, tensor, NULL, NULL, NULL, NULL));
  for(int i = 0; i < 3 * 256 * 256; i++) assert_true(tensor[i] == (float)(i % 256));
  g_free(tensor);
  dt_row_source_destroy(rows);
  test_image_free(&image);
}

/* What is no number, and what no screen shows. */
static void test_odd_values(void **state)
{
  (void)state;
  const dt_seg_model_t model = _model(16, FALSE);
  const float odd[] = { NAN, INFINITY, -INFINITY, -3, 7 }, wanted[] = { 0, 255, 0, 0, 255 };
  for(int k = 0; k < 5; k++)
  {
    test_image_t image = test_image_new(16, 16, 3);
    float *tensor = g_new(float, 3 * 16 * 16);
    for(int i = 0; i < 16 * 16 * 3; i++) image.pixels[i] = odd[k];
    dt_row_source_t *rows = test_source_new(&image);
    assert_true(dt_seg_picture_read(&model, rows, tensor, NULL, NULL, NULL, NULL));
    assert_float_equal(tensor[17], (wanted[k] - model.mean[0]) * model.scale[0], 1e-6);
    g_free(tensor);
    dt_row_source_destroy(rows);
    test_image_free(&image);
  }
}

static void test_fit(void **state)
{
  (void)state;
  static const int sizes[][4] = { { 6000, 4000, 1024, 683 }, { 4000, 6000, 683, 1024 },
                                  { 1, 1, 1024, 1024 },      { 1, 20000, 1, 1024 },
                                  { 20000, 1, 1024, 1 },     { 1024, 1024, 1024, 1024 },
                                  { 30, 20, 1024, 683 } };
  for(size_t i = 0; i < G_N_ELEMENTS(sizes); i++)
  {
    int width, height;
    dt_seg_fit(sizes[i][0], sizes[i][1], 1024, &width, &height);
    assert_int_equal(width, sizes[i][2]);
    assert_int_equal(height, sizes[i][3]);
  }
}

/* A plane stays the same plane, wherever that can be. */
static void test_resize_plane(void **state)
{
  (void)state;
  test_random_t random = { 7 };
  for(int k = 0; k < 40; k++)
  {
    const int w = test_random_int(&random, 1, 200), h = test_random_int(&random, 1, 200);
    const int ow = test_random_int(&random, 1, 64), oh = test_random_int(&random, 1, 64);
    const double sx = (double)w / ow, sy = (double)h / oh;
    float *in = g_new(float, w *h), *out = g_new0(float, 70 * oh);
    for(int i = 0; i < w * h; i++) in[i] = 0.25f * (float)(i % w) - 0.125f * (float)(i / w);
    dt_seg_resize(in, w, h, sx, sy, out, ow, oh, 70);
    for(int y = 0; y < oh; y++)
      for(int x = 0; x < ow; x++)
      {
        const double px = (x + 0.5) * sx - 0.5, py = (y + 0.5) * sy - 0.5;
        const gboolean inside =
            px >= MAX(sx, 1) && py >= MAX(sy, 1) && px <= w - 1 - MAX(sx, 1) && py <= h - 1 - MAX(sy, 1);
        /* a triangle between whole samples is a plane's own only for whole steps; it is near for others */
        if(inside) assert_float_equal(out[y * 70 + x], 0.25 * px - 0.125 * py, 0.05);
      }
    g_free(in);
    g_free(out);
  }
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_specification), cmocka_unit_test(test_bytes),
    cmocka_unit_test(test_odd_values),    cmocka_unit_test(test_fit),
    cmocka_unit_test(test_resize_plane),
  };
  return cmocka_run_group_tests_name("seg_picture", tests, NULL, NULL);
}
