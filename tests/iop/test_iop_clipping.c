/* SPDX-License-Identifier: GPL-3.0-or-later */
/* clipping: orientations and crops bit for bit, rotations against the formula in doubles, in rectangles, and on a
 * device. */
#include "iop.h"
#include "pocl.h"

#include "common/errors.h"
#include "iop/affine.h"

#include <math.h>
#include <string.h>

/* A picture of which the camera shows all but @p margin pixels on each side. */
static test_photo_t _photo(test_random_t *random, int width, int height, int margin)
{
  test_photo_t photo;
  test_photo_init(&photo, random, DT_SENSOR_LINEAR, 0, TRUE, width, height);
  photo.image.crop_x = photo.image.crop_y = margin;
  photo.image.crop_width = width - 2 * margin;
  photo.image.crop_height = height - 2 * margin;
  return photo;
}

static dt_iop_piece_t _piece(const test_photo_t *photo, const char *const *settings)
{
  return test_piece_new(photo, "clipping", settings, 4, photo->image.width, photo->image.height, 1.0);
}

/* --- right angles: pictures turned by hand --- */

static test_image_t _mirrored(const test_image_t *in)
{
  test_image_t out = test_image_new(in->width, in->height, 4);
  for(int y = 0; y < in->height; y++)
    for(int x = 0; x < in->width; x++)
      memcpy(out.pixels + 4 * (y * in->width + x), in->pixels + 4 * (y * in->width + in->width - 1 - x), 16);
  return out;
}

/* Clockwise: the left column becomes the top row. */
static test_image_t _turned(const test_image_t *in)
{
  test_image_t out = test_image_new(in->height, in->width, 4);
  for(int y = 0; y < in->height; y++)
    for(int x = 0; x < in->width; x++)
      memcpy(out.pixels + 4 * (x * in->height + in->height - 1 - y), in->pixels + 4 * (y * in->width + x),
             16);
  return out;
}

static test_image_t _part(const float *pixels, int stride, int x, int y, int width, int height)
{
  test_image_t out = test_image_new(width, height, 4);
  for(int i = 0; i < height; i++)
    memcpy(out.pixels + 4 * i * width, pixels + 4 * ((y + i) * stride + x), 16 * (size_t)width);
  return out;
}

/* What EXIF says is to be done to show a picture: first mirrored, then so many right angles clockwise. */
static const struct
{
  gboolean mirror;
  int turns;
} _exif[9] = { { 0, 0 }, { 0, 0 }, { 1, 0 }, { 0, 2 }, { 1, 2 }, { 1, 3 }, { 0, 1 }, { 1, 1 }, { 0, 3 } };

static void _replace(test_image_t *image, test_image_t by)
{
  test_image_free(image);
  *image = by;
}

static test_image_t _shown(const test_photo_t *photo, int orientation, int more_turns)
{
  const dt_iop_image_t *i = &photo->image;
  test_image_t image = _part(photo->pixels, i->width, i->crop_x, i->crop_y, i->crop_width, i->crop_height);
  if(_exif[orientation].mirror) _replace(&image, _mirrored(&image));
  for(int k = 0; k < _exif[orientation].turns + more_turns; k++) _replace(&image, _turned(&image));
  return image;
}

static void _check_equal(const dt_iop_piece_t *piece, const float *in, const test_image_t *wanted)
{
  assert_int_equal(piece->out_width, wanted->width);
  assert_int_equal(piece->out_height, wanted->height);
  float *out = test_piece_run(piece, in);
  assert_memory_equal(out, wanted->pixels, (size_t)wanted->width * (size_t)wanted->height * 16);
  g_free(out);
}

static void test_orientations(void **state)
{
  (void)state;
  static const char *const names[] = { "flip=none",       "flip=horizontal", "flip=180",
                                       "flip=vertical",   "flip=transpose",  "flip=90",
                                       "flip=transverse", "flip=270" };
  test_random_t random = { 1 };
  for(int o = 1; o <= 8; o++)
  {
    test_photo_t photo = _photo(&random, 23, 17, 2);
    test_image_t wanted = _shown(&photo, o, 0), more = _shown(&photo, o, 3);
    dt_iop_piece_t piece = _piece(&photo, (const char *[]){ names[o - 1], NULL });
    _check_equal(&piece, photo.pixels, &wanted);
    test_piece_clear(&piece);
    photo.image.orientation = o;
    piece = _piece(&photo, NULL);
    _check_equal(&piece, photo.pixels, &wanted);
    test_piece_clear(&piece);
    piece = _piece(&photo, (const char *[]){ "angle=-90", NULL });
    _check_equal(&piece, photo.pixels, &more);
    test_piece_check(&piece, photo.pixels, test_iop_cl, &random);
    test_piece_clear(&piece);
    test_image_free(&wanted);
    test_image_free(&more);
    test_photo_clear(&photo);
  }
}

static void test_crop(void **state)
{
  (void)state;
  test_random_t random = { 2 };
  test_photo_t photo = _photo(&random, 50, 44, 2); /* 46 x 40 shown */
  dt_iop_piece_t piece =
      _piece(&photo, (const char *[]){ "left=0.25", "top=0.1", "right=0.75", "bottom=0.8", NULL });
  /* 11.5 and 34.5 of 46 are rounded away from 0 */
  test_image_t wanted = _part(photo.pixels, 50, 2 + 12, 2 + 4, 35 - 12, 32 - 4);
  _check_equal(&piece, photo.pixels, &wanted);
  dt_iop_affine_t map;
  piece.module->origin(&piece, &map);
  assert_true(map.a == 1 && map.c == 14 && map.e == 1 && map.f == 6);
  test_image_free(&wanted);
  test_piece_clear(&piece);
  test_photo_clear(&photo);
}

static void test_neutral(void **state)
{
  (void)state;
  test_random_t random = { 3 };
  test_photo_t photo = _photo(&random, 9, 7, 0);
  dt_iop_piece_t piece = _piece(&photo, NULL);
  assert_false(piece.enabled);
  test_piece_clear(&piece);
  photo.image.crop_width = 8;
  piece = _piece(&photo, NULL);
  assert_true(piece.enabled);
  test_piece_clear(&piece);
  test_photo_clear(&photo);
}

/* --- other angles --- */

/* Where the middle of an output pixel lies in a picture of w x h that was rotated about its middle. */
static void _back(double degrees, double w, double h, const dt_iop_piece_t *piece, int x, int y, double *u,
                  double *v)
{
  const double t = degrees * G_PI / 180, dx = x + 0.5 - 0.5 * piece->out_width,
               dy = y + 0.5 - 0.5 * piece->out_height;
  *u = 0.5 * w + cos(t) * dx + sin(t) * dy - 0.5;
  *v = 0.5 * h - sin(t) * dx + cos(t) * dy - 0.5;
}

static double _lanczos(double x)
{
  return x == 0 ? 1 : fabs(x) >= 3 ? 0 : sin(G_PI * x) * sin(G_PI * x / 3) * 3 / (G_PI * G_PI * x * x);
}

static double _interpolated(const test_photo_t *photo, double u, double v, int c)
{
  const int w = photo->image.width, h = photo->image.height, x0 = (int)floor(u), y0 = (int)floor(v);
  double sum = 0, weight = 0, least = 0;
  for(int y = y0 - 2; y <= y0 + 3; y++)
    for(int x = x0 - 2; x <= x0 + 3; x++)
    {
      const double k = _lanczos(u - x) * _lanczos(v - y);
      const double value = photo->pixels[4 * (CLAMP(y, 0, h - 1) * w + CLAMP(x, 0, w - 1)) + c];
      sum += k * value;
      weight += k;
      if(fabs(x - x0 - 0.5) < 1 && fabs(y - y0 - 0.5) < 1) least = MIN(least, value);
    }
  return MAX(sum / weight, least);
}

static void test_rotation_formula(void **state)
{
  (void)state;
  test_random_t random = { 4 };
  for(int i = 0; i < 12; i++)
  {
    test_photo_t photo = _photo(&random, 70 + i, 60 - i, 0);
    const double degrees = i < 2 ? 45 - 90 * i : (float)test_random_range(&random, -44, 44);
    char angle[64];
    g_snprintf(angle, sizeof(angle), "angle=%.9g", degrees);
    dt_iop_piece_t piece = _piece(&photo, (const char *[]){ angle, NULL });
    float *out = test_piece_run(&piece, photo.pixels);
    for(int y = 0; y < piece.out_height; y++)
      for(int x = 0; x < piece.out_width; x++)
      {
        double u, v;
        /* 45 is a right angle and back */
        if(i == 0)
        {
          double a, b;
          _back(-45, photo.image.height, photo.image.width, &piece, x, y, &a, &b);
          u = b;
          v = photo.image.height - 1 - a;
        }
        else
          _back(degrees, photo.image.width, photo.image.height, &piece, x, y, &u, &v);
        for(int c = 0; c < 4; c++)
          assert_true(fabs(out[4 * (y * piece.out_width + x) + c] - _interpolated(&photo, u, v, c)) < 1e-5);
      }
    g_free(out);
    test_piece_clear(&piece);
    test_photo_clear(&photo);
  }
}

/* A wave comes out as that wave at the place, but for the percent by which Lanczos is no ideal filter. */
static void test_wave(void **state)
{
  (void)state;
  test_random_t random = { 5 };
  test_photo_t photo = _photo(&random, 200, 150, 0);
  for(int i = 0; i < 200 * 150 * 4; i++)
    photo.pixels[i] = (float)(0.5 + 0.4 * sin(0.5 * (i / 4 % 200) + 0.3 * (i / 800)));
  dt_iop_piece_t piece = _piece(&photo, (const char *[]){ "angle=7.3", NULL });
  float *out = test_piece_run(&piece, photo.pixels);
  double worst = 0;
  for(int y = 5; y < piece.out_height - 5; y++)
    for(int x = 5; x < piece.out_width - 5; x++)
    {
      double u, v;
      _back((double)7.3f, 200, 150, &piece, x, y, &u, &v);
      worst = MAX(worst, fabs(out[4 * (y * piece.out_width + x)] - (0.5 + 0.4 * sin(0.5 * u + 0.3 * v))));
    }
  print_message("a wave of 11 pixels: %.5f\n", worst);
  assert_true(worst < 0.4 * 0.015);
  g_free(out);
  test_piece_clear(&piece);
  test_photo_clear(&photo);
}

static void _fill(test_photo_t *photo, float value)
{
  for(int i = 0; i < photo->image.width * photo->image.height * 4; i++) photo->pixels[i] = value;
}

/* The largest part of w x h of the same shape that has its corners within the rotated picture. */
static double _largest_part(double degrees, double w, double h)
{
  const double c = cos(degrees * G_PI / 180), s = fabs(sin(degrees * G_PI / 180));
  double low = 0, high = 1;
  for(int i = 0; i < 60; i++)
  {
    const double part = 0.5 * (low + high);
    gboolean inside = TRUE;
    for(int k = -1; k <= 1; k += 2)
      inside &= fabs(c * part * w + k * s * part * h) <= w && fabs(s * part * w * k + c * part * h) <= h;
    if(inside)
      low = part;
    else
      high = part;
  }
  return low;
}

/* With fit nothing is empty, and nothing is wasted. */
static void test_fit(void **state)
{
  (void)state;
  test_random_t random = { 6 };
  for(int i = 0; i < 60; i++)
  {
    const int w = test_random_int(&random, 1, 90), h = test_random_int(&random, 1, 90);
    test_photo_t photo = _photo(&random, w, h, 0);
    _fill(&photo, 1);
    const double degrees = (float)test_random_range(&random, -45, 45);
    char angle[64];
    g_snprintf(angle, sizeof(angle), "angle=%.9g", degrees);
    dt_iop_piece_t piece = _piece(&photo, (const char *[]){ angle, NULL });
    const double part = _largest_part(degrees, w, h);
    if(part * w >= 1) assert_true(piece.out_width <= part * w + 1e-5 && piece.out_width > part * w - 1.00001);
    if(part * h >= 1)
      assert_true(piece.out_height <= part * h + 1e-5 && piece.out_height > part * h - 1.00001);
    float *out = test_piece_run(&piece, photo.pixels);
    for(int k = 0; k < piece.out_width * piece.out_height * 4; k++)
      if(MIN(part * w, part * h) >= 1 && fabs(out[k] - 1.0) > 1e-6) fail_msg("%g at %d", (double)out[k], k);
    g_free(out);
    test_piece_clear(&piece);
    test_photo_clear(&photo);
  }
}

/* Without it all of the picture is there, and around it nothing. */
static void test_no_fit(void **state)
{
  (void)state;
  test_random_t random = { 7 };
  test_photo_t photo = _photo(&random, 120, 80, 0);
  _fill(&photo, 1);
  dt_iop_piece_t piece = _piece(&photo, (const char *[]){ "angle=-20", "fit=false", NULL });
  assert_int_equal(piece.out_width, (int)(120 * cos(G_PI / 9) + 80 * sin(G_PI / 9)));
  assert_int_equal(piece.out_height, (int)(120 * sin(G_PI / 9) + 80 * cos(G_PI / 9)));
  float *out = test_piece_run(&piece, photo.pixels);
  double sum = 0;
  const int n = piece.out_width * piece.out_height;
  for(int i = 0; i < n; i++) sum += out[4 * i];
  assert_true(out[0] == 0 && out[4 * n - 4] == 0);
  assert_true(fabs(sum - 120 * 80) < 20);
  test_piece_check(&piece, photo.pixels, test_iop_cl, &random);
  g_free(out);
  test_piece_clear(&piece);
  test_photo_clear(&photo);
}

/* A light in the dark makes nothing darker than dark. */
static void test_highlight(void **state)
{
  (void)state;
  test_random_t random = { 8 };
  test_photo_t photo = _photo(&random, 40, 40, 0);
  _fill(&photo, 0.001f);
  for(int y = 15; y < 25; y++)
    for(int x = 15; x < 25; x++) photo.pixels[4 * (y * 40 + x)] = 50;
  dt_iop_piece_t piece = _piece(&photo, (const char *[]){ "angle=3", NULL });
  float *out = test_piece_run(&piece, photo.pixels);
  for(int i = 0; i < piece.out_width * piece.out_height * 4; i++) assert_true(out[i] >= 0 && out[i] < 75);
  g_free(out);
  test_piece_clear(&piece);
  test_photo_clear(&photo);
}

/* Every size and scale, with everything at once. */
static void test_rectangles_and_device(void **state)
{
  (void)state;
  static const double scales[] = { 1, 0.5, 0.23 };
  static const char *const fits[] = { "fit=true", "fit=false" }, *const flips[] = { "flip=auto", "flip=90" };
  test_random_t random = { 9 };
  for(int i = 0; i < 30; i++)
  {
    const int width = i ? test_random_int(&random, 1, 90) : 1,
              height = i ? test_random_int(&random, 1, 70) : 1;
    const double scale = scales[i % 3];
    test_photo_t photo = _photo(&random, width, height, 0);
    photo.image.orientation = 1 + i % 8;
    photo.image.crop_x = i % 5;
    photo.image.crop_width = (int)ceil(width / scale) - i % 5;
    photo.image.crop_height = (int)ceil(height / scale) - i % 4;
    char angle[64], left[64];
    g_snprintf(angle, sizeof(angle), "angle=%.9g", (float)test_random_range(&random, -180, 180));
    g_snprintf(left, sizeof(left), "left=%.9g", width > 40 ? test_random_range(&random, 0, 0.5) : 0.0);
    dt_iop_piece_t piece = test_piece_new(
        &photo, "clipping",
        (const char *[]){ i == 13 ? "angle=180" : angle, left, fits[i % 2], flips[i / 2 % 2], NULL }, 4,
        width, height, scale);
    test_piece_check(&piece, photo.pixels, test_iop_cl, &random);
    test_piece_clear(&piece);
    test_photo_clear(&photo);
  }
}

/* Pixels of a rectangle's need are all used: one less, and something is missing. */
static void test_need_is_exact(void **state)
{
  (void)state;
  test_random_t random = { 10 };
  test_photo_t photo = _photo(&random, 100, 100, 0);
  dt_iop_piece_t piece = _piece(&photo, (const char *[]){ "angle=30", NULL });
  const dt_iop_roi_t out = { 20, 20, 10, 5, 1.0 };
  dt_iop_roi_t in;
  piece.module->need(&piece, &out, &in);
  const double c = cos(G_PI / 6), s = 0.5;
  assert_in_range(in.width, (int)(9 * c + 4 * s) + 6, (int)(9 * c + 4 * s) + 7);
  assert_in_range(in.height, (int)(9 * s + 4 * c) + 6, (int)(9 * s + 4 * c) + 7);
  test_piece_clear(&piece);
  test_photo_clear(&photo);
}

/* --- bad input --- */

typedef struct _crop_t
{
  const char *left, *right;
  double scale;
  gboolean fine;
} _crop_t;

static void test_crops_of_nothing(void **state)
{
  (void)state;
  static const _crop_t crops[] = { { "0", "0", 1, FALSE },       { "0.5", "0.5", 1, FALSE },
                                   { "0.6", "0.5", 1, FALSE },   { "1", "0", 1, FALSE },
                                   { "0.5", "0.505", 1, FALSE }, { "0.5", "0.51", 1, TRUE },
                                   { "0.99", "1", 1, TRUE },     { "0.5", "0.505", 0.1, TRUE } };
  test_random_t random = { 11 };
  test_photo_t photo = _photo(&random, 100, 20, 0);
  const dt_iop_module_t *module = dt_iop_find("clipping");
  for(size_t i = 0; i < G_N_ELEMENTS(crops); i++)
  {
    void *params = dt_iop_standard_params(module);
    GError *error = NULL;
    dt_iop_set_param(module, dt_iop_find_param(module, "left"), params, crops[i].left, &error);
    assert_no_error(error);
    dt_iop_set_param(module, dt_iop_find_param(module, "right"), params, crops[i].right, &error);
    assert_no_error(error);
    photo.image.crop_width = (int)(100 / crops[i].scale);
    photo.image.crop_height = (int)(20 / crops[i].scale);
    dt_iop_piece_t piece = { .module = module,
                             .image = &photo.image,
                             .enabled = TRUE,
                             .in_width = 100,
                             .in_height = 20,
                             .in_scale = crops[i].scale };
    assert_int_equal(module->commit(&piece, params, &error), crops[i].fine);
    if(crops[i].fine)
    {
      module->size(&piece);
      assert_true(piece.out_width >= 1 && piece.out_height == 20);
    }
    else
    {
      assert_true(g_error_matches(error, DT_AI_ERROR, DT_AI_ERROR_USAGE));
      assert_non_null(strstr(error->message, "less than one pixel"));
    }
    g_clear_error(&error);
    test_piece_clear(&piece);
    g_free(params);
  }
  test_photo_clear(&photo);
}

/* --- maps --- */

static void test_affine(void **state)
{
  (void)state;
  const dt_iop_affine_t p = { 0.8, 0.3, 5, -0.2, 1.1, 7 }, q = { 2, -1, 0.5, 0.25, 3, -4 };
  const dt_iop_affine_t both = dt_iop_affine_then(&p, &q), back = dt_iop_affine_invert(&both);
  const double x = 13, y = -4, px = 0.8 * x + 0.3 * y + 5, py = -0.2 * x + 1.1 * y + 7;
  const double qx = 2 * px - py + 0.5, qy = 0.25 * px + 3 * py - 4;
  assert_true(fabs(both.a * x + both.b * y + both.c - qx) < 1e-12);
  assert_true(fabs(both.d * x + both.e * y + both.f - qy) < 1e-12);
  assert_true(fabs(back.a * qx + back.b * qy + back.c - x) < 1e-12);
  assert_true(fabs(back.d * qx + back.e * qy + back.f - y) < 1e-12);
  const dt_iop_fixed_t fixed = dt_iop_fixed_from(&p);
  assert_true(fabs((double)dt_iop_fixed_x(&fixed, 60000, 50000) / (double)DT_IOP_FIXED_ONE
                   - (0.8 * 60000.5 + 0.3 * 50000.5 + 4.5))
              < 1e-6);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_orientations),
    cmocka_unit_test(test_crop),
    cmocka_unit_test(test_neutral),
    cmocka_unit_test(test_rotation_formula),
    cmocka_unit_test(test_wave),
    cmocka_unit_test(test_fit),
    cmocka_unit_test(test_no_fit),
    cmocka_unit_test(test_highlight),
    cmocka_unit_test(test_rectangles_and_device),
    cmocka_unit_test(test_need_is_exact),
    cmocka_unit_test(test_crops_of_nothing),
    cmocka_unit_test(test_affine),
  };
  return cmocka_run_group_tests(tests, test_iop_set_up, test_iop_tear_down);
}
