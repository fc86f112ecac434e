/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Photographs as masks are made on them: every orientation there and back, every kind of file, and what cannot be read.
 * Orientations are compared with turns and mirrors that are done one after the other. */
#include "raw_file.h"
#include "support.h"

#include "common/colour.h"
#include "develop/photo.h"
#include "imageio/imageio.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const char *_dir;

static const char *_path(const char *name)
{
  char *path = g_build_filename(_dir, name, NULL);
  const char *kept = g_intern_string(path);
  g_free(path);
  return kept;
}

static int _setup(void **state)
{
  (void)state;
  _dir = test_world_create();
  return 0;
}

static int _teardown(void **state)
{
  (void)state;
  test_world_destroy();
  return 0;
}

/* Writes encoded values of 0 to 1 (straight, as they are) as a file. */
static void _write(const char *path, int width, int height, int channels, const float *values,
                   int orientation)
{
  GError *error = NULL;
  const dt_metadata_t metadata = { .orientation = orientation };
  const dt_imageio_write_opts_t opts = {
    .bits = 8, .untouched = TRUE, .metadata = &metadata, .overwrite = TRUE
  };
  dt_row_sink_t *sink = dt_imageio_create(path, width, height, channels, &opts, &error);
  assert_no_error(error);
  assert_true(sink->write(sink, 0, height, values, &error));
  assert_true(sink->finish(sink, &error));
}

/* --- orientation, step by step --- */

typedef struct _grid_t
{
  int width, height;
  int value[40 * 40];
} _grid_t;

static void _mirror(_grid_t *g)
{
  const _grid_t old = *g;
  for(int y = 0; y < g->height; y++)
    for(int x = 0; x < g->width; x++) g->value[y * g->width + x] = old.value[y * g->width + g->width - 1 - x];
}

/* A quarter turn clockwise. */
static void _turn(_grid_t *g)
{
  const _grid_t old = *g;
  g->width = old.height;
  g->height = old.width;
  for(int y = 0; y < g->height; y++)
    for(int x = 0; x < g->width; x++)
      g->value[y * g->width + x] = old.value[(old.height - 1 - x) * old.width + y];
}

/* What has to be done to a file's picture to see it upright. */
static void _make_upright(_grid_t *g, int orientation)
{
  static const int mirrored[] = { 0, 0, 1, 0, 1, 1, 0, 1, 0 }, turns[] = { 0, 0, 0, 2, 2, 3, 1, 1, 3 };
  if(mirrored[orientation]) _mirror(g);
  for(int i = 0; i < turns[orientation]; i++) _turn(g);
}

static void _check_orientation(int width, int height, int orientation, const char *name)
{
  _grid_t grid = { width, height, { 0 } };
  float *values = g_new(float, 3 * width * height);
  for(int i = 0; i < width * height; i++)
  {
    grid.value[i] = (37 * i + 11) % 256;
    for(int c = 0; c < 3; c++) values[3 * i + c] = (float)((grid.value[i] + 40 * c) % 256) / 255.0f;
  }
  _write(_path(name), width, height, DT_ROW_RGB, values, orientation);
  _make_upright(&grid, orientation);

  GError *error = NULL;
  dt_photo_t *photo = dt_photo_load(_path(name), NULL, NULL, &error);
  assert_no_error(error);
  assert_int_equal(photo->orientation, orientation);
  assert_int_equal(photo->width, grid.width);
  assert_int_equal(photo->height, grid.height);
  assert_int_equal(photo->file_width, width);
  assert_int_equal(photo->file_height, height);
  for(int i = 0; i < width * height; i++)
    for(int c = 0; c < 3; c++) assert_int_equal(photo->rgb[3 * i + c], (grid.value[i] + 40 * c) % 256);

  /* and back: the plane of red is the file's */
  float *plane = g_new(float, width *height), *back = g_new(float, width *height),
        *row = g_new(float, 3 * width);
  for(int i = 0; i < width * height; i++) plane[i] = (float)photo->rgb[3 * i] / 255.0f;
  dt_photo_turn_back(photo, plane, back);
  for(int i = 0; i < width * height; i++) assert_float_equal(back[i], values[3 * i], 1e-6);
  for(int y = 0; y < height; y++)
  {
    dt_photo_turn_back_rgb_row(photo, y, row);
    for(int i = 0; i < 3 * width; i++) assert_float_equal(row[i], values[3 * y * width + i], 1e-6);
  }
  g_free(plane);
  g_free(back);
  g_free(row);
  g_free(values);
  dt_photo_free(photo);
}

static void _test_orientations(void **state)
{
  (void)state;
  static const int sizes[][2] = { { 7, 5 }, { 1, 1 }, { 1, 9 }, { 31, 2 }, { 40, 40 } };
  for(size_t s = 0; s < G_N_ELEMENTS(sizes); s++)
    for(int orientation = 1; orientation <= 8; orientation++)
    {
      _check_orientation(sizes[s][0], sizes[s][1], orientation, "o.tif");
      _check_orientation(sizes[s][0], sizes[s][1], orientation, "o.png");
    }
}

/* More rows than one band has, so that bands meet. */
static void _test_bands(void **state)
{
  (void)state;
  enum
  {
    WIDTH = 3,
    HEIGHT = 301
  };
  float *values = g_new(float, 3 * WIDTH * HEIGHT);
  for(int i = 0; i < 3 * WIDTH * HEIGHT; i++) values[i] = (float)(i * 7 % 256) / 255.0f;
  _write(_path("bands.png"), WIDTH, HEIGHT, DT_ROW_RGB, values, 6);
  GError *error = NULL;
  dt_photo_t *photo = dt_photo_load(_path("bands.png"), NULL, NULL, &error);
  assert_no_error(error);
  for(int y = 0; y < HEIGHT; y++)
    for(int x = 0; x < WIDTH; x++)
      assert_int_equal(photo->rgb[3 * (x * HEIGHT + HEIGHT - 1 - y)], 3 * (y * WIDTH + x) * 7 % 256);
  dt_photo_free(photo);
  g_free(values);
}

/* --- kinds of files --- */

static void _test_alpha_and_grey(void **state)
{
  (void)state;
  const float rgba[] = { 0, 0, 0, 0, 0, 0, 0, 1, 1, 0, 0, 1 }, grey[] = { 0, 0.2f, 1 };
  GError *error = NULL;
  _write(_path("a.png"), 3, 1, DT_ROW_RGBA, rgba, 1);
  dt_photo_t *photo = dt_photo_load(_path("a.png"), NULL, NULL, &error);
  assert_no_error(error);
  assert_memory_equal(photo->rgb, ((uint8_t[]){ 255, 255, 255, 0, 0, 0, 255, 0, 0 }), 9);
  dt_photo_free(photo);
  _write(_path("g.png"), 3, 1, DT_ROW_GREY, grey, 1);
  photo = dt_photo_load(_path("g.png"), NULL, NULL, &error);
  assert_no_error(error);
  assert_memory_equal(photo->rgb, ((uint8_t[]){ 0, 0, 0, 51, 51, 51, 255, 255, 255 }), 9);
  dt_photo_free(photo);
}

/* Writes a picture whose colours are multiplied by alpha already. */
static void _write_associated(const char *path, int bits, const float *values)
{
  GError *error = NULL;
  const dt_imageio_write_opts_t opts = { .bits = bits,
                                         .untouched = bits == 8,
                                         .alpha_associated = TRUE,
                                         .alpha_linear = bits > 8,
                                         .overwrite = TRUE };
  dt_row_sink_t *sink = dt_imageio_create(path, 3, 1, DT_ROW_RGBA, &opts, &error);
  assert_no_error(error);
  assert_true(sink->write(sink, 0, 1, values, &error));
  assert_true(sink->finish(sink, &error));
}

/* What is half transparent and multiplied already is not multiplied again: grey of 200 over white. */
static void _test_associated_alpha(void **state)
{
  (void)state;
  const float grey = 200.0f / 255.0f, half = 0.5f * grey, linear = 0.57758f, half_linear = 0.5f * linear;
  const float encoded[] = { grey, grey, grey, 1, half, half, half, 0.5f, 0, 0, 0, 0 };
  const float light[] = {
    linear, linear, linear, 1, half_linear, half_linear, half_linear, 0.5f, 0, 0, 0, 0
  };
  _write_associated(_path("assoc.tif"), 8, encoded);
  _write_associated(_path("assoc.exr"), 32, light);
  const char *const names[] = { "assoc.tif", "assoc.exr" };
  for(size_t i = 0; i < G_N_ELEMENTS(names); i++)
  {
    GError *error = NULL;
    int width, height;
    dt_photo_t *photo = dt_photo_load(_path(names[i]), NULL, NULL, &error);
    assert_no_error(error);
    assert_int_equal(photo->rgb[0], 200);
    /* (0.57758 + 1) / 2 in linear light */
    assert_true(abs(photo->rgb[3] - 229) <= 1);
    assert_int_equal(photo->rgb[6], 255);
    dt_photo_free(photo);
    float *plane = dt_photo_load_plane(_path(names[i]), &width, &height, NULL, &error);
    assert_no_error(error);
    assert_float_equal(plane[1], 0.5f * plane[0], 0.003);
    assert_float_equal(plane[2], 0, 0);
    g_free(plane);
  }
}

/* Linear light, with values that no screen has, and some that are no numbers. */
static void _test_floats(void **state)
{
  (void)state;
  const float light[] = { 0.5f, -1, 7, NAN, 0.0f, 1.0f, INFINITY, -INFINITY, 0.25f };
  const dt_imageio_write_opts_t opts = { .bits = 32, .overwrite = TRUE };
  GError *error = NULL;
  dt_row_sink_t *sink = dt_imageio_create(_path("f.pfm"), 3, 1, DT_ROW_RGB, &opts, &error);
  assert_non_null(sink);
  assert_true(sink->write(sink, 0, 1, light, &error));
  assert_true(sink->finish(sink, &error));
  dt_photo_t *photo = dt_photo_load(_path("f.pfm"), NULL, NULL, &error);
  assert_no_error(error);
  assert_memory_equal(photo->rgb, ((uint8_t[]){ 188, 0, 255, 0, 0, 255, 255, 0, 137 }), 9);
  dt_photo_free(photo);
}

/* What an encoder is shown are the picture's own eight bits. */
static void _test_rows(void **state)
{
  (void)state;
  float values[256 * 3];
  for(int i = 0; i < 256 * 3; i++) values[i] = (float)(i % 256) / 255.0f;
  _write(_path("r.png"), 256, 1, DT_ROW_RGB, values, 1);
  GError *error = NULL;
  dt_photo_t *photo = dt_photo_load(_path("r.png"), NULL, NULL, &error);
  assert_no_error(error);
  dt_row_source_t *rows = dt_photo_rows(photo);
  float line[256 * 3];
  assert_true(rows->read(rows, 0, 1, line, &error));
  dt_srgb_encode(line, line, 256 * 3);
  for(int i = 0; i < 256 * 3; i++) assert_int_equal(lroundf(line[i] * 255), photo->rgb[i]);
  dt_row_source_destroy(rows);
  dt_photo_free(photo);
}

/* A grey wall with a darker part at the upper left, as a sensor with its neutral sees it. */
static void _fill_raw(test_raw_t *raw, double light, double dark)
{
  static const double neutral[] = { 0.5, 1.0, 1.0, 0.7 }; /* RGGB */
  for(int y = 0; y < raw->height; y++)
    for(int x = 0; x < raw->width; x++)
    {
      const double v = x < raw->width / 2 && y < raw->height / 2 ? dark : light;
      raw->samples[y * raw->width + x] = (float)(64 + (16383 - 64) * v * neutral[2 * (y % 2) + x % 2]);
    }
}

static int _shown(double light)
{
  float v = (float)(light * (2.5 + light) / (1 + 2.5 * light));
  dt_srgb_encode(&v, &v, 1);
  return (int)(v * 255 + 0.5f);
}

static void _test_raw(void **state)
{
  (void)state;
  for(int orientation = 1; orientation <= 8; orientation++)
  {
    test_raw_t *raw = test_raw_new("RGGB", 60, 44, 14);
    _fill_raw(raw, 0.4, 0.1);
    test_raw_set(raw, TEST_RAW_PICTURE, 50719, DT_TYPE_LONG, 2, (double[]){ 4, 2 });
    test_raw_set(raw, TEST_RAW_PICTURE, 50720, DT_TYPE_LONG, 2, (double[]){ 50, 40 });
    test_raw_set_number(raw, TEST_RAW_MAIN, 274, DT_TYPE_SHORT, orientation);
    test_raw_write(raw, _path("x.dng"));
    test_raw_free(raw);
    GError *error = NULL;
    dt_photo_t *photo = dt_photo_load(_path("x.dng"), NULL, NULL, &error);
    assert_no_error(error);
    assert_true(photo->is_raw);
    assert_int_equal(photo->orientation, orientation);
    assert_int_equal(photo->file_width, 50);
    assert_int_equal(photo->file_height, 40);
    /* the file's four corners, through the way back */
    float *row = g_new(float, 150);
    for(int y = 0; y < 40; y += 39)
    {
      dt_photo_turn_back_rgb_row(photo, y, row);
      for(int c = 0; c < 3; c++)
      {
        assert_int_equal(lroundf(255 * row[c]), y ? _shown(0.4) : _shown(0.1));
        assert_int_equal(lroundf(255 * row[147 + c]), _shown(0.4));
      }
    }
    g_free(row);
    dt_photo_free(photo);
  }
}

static void _test_raw_exposure(void **state)
{
  (void)state;
  test_raw_t *raw = test_raw_new("RGGB", 32, 32, 14);
  _fill_raw(raw, 0.2, 0.2);
  test_raw_set(raw, TEST_RAW_MAIN, 50730, 10, 1, (double[]){ 1.0 }); /* BaselineExposure */
  test_raw_write(raw, _path("e.dng"));
  test_raw_free(raw);
  GError *error = NULL;
  dt_photo_t *photo = dt_photo_load(_path("e.dng"), NULL, NULL, &error);
  assert_no_error(error);
  for(int c = 0; c < 3; c++) assert_in_range(photo->rgb[3 * 500 + c], _shown(0.4) - 1, _shown(0.4) + 1);
  dt_photo_free(photo);
}

/* --- planes --- */

static void _test_plane(void **state)
{
  (void)state;
  const float rgba[] = { 1, 1, 1, 1, 1, 1, 1, 0.5f, 1, 1, 1, 0, 0, 0, 0, 1 };
  int width, height;
  GError *error = NULL;
  _write(_path("s.png"), 4, 1, DT_ROW_RGBA, rgba, 6);
  float *plane = dt_photo_load_plane(_path("s.png"), &width, &height, NULL, &error);
  assert_no_error(error);
  assert_int_equal(width, 1);
  assert_int_equal(height, 4);
  const float expected[] = { 1, 128.0f / 255, 0, 0 };
  for(int i = 0; i < 4; i++) assert_float_equal(plane[i], expected[i], 1e-4);
  g_free(plane);
  const float greys[] = { 0, 0.2f, 0.6f, 1 };
  _write(_path("n.png"), 4, 1, DT_ROW_GREY, greys, 1);
  _write(_path("n.tif"), 4, 1, DT_ROW_GREY, greys, 3);
  plane = dt_photo_load_plane(_path("n.png"), &width, &height, NULL, &error);
  float *turned = dt_photo_load_plane(_path("n.tif"), &width, &height, NULL, &error);
  for(int i = 0; i < 4; i++) assert_float_equal(plane[i], greys[i], 1e-6);
  for(int i = 0; i < 4; i++) assert_float_equal(turned[3 - i], greys[i], 1e-6);
  g_free(turned);
  g_free(plane);
  assert_null(dt_photo_load_plane(_path("none.png"), &width, &height, NULL, &error));
  assert_true(g_error_matches(error, DT_AI_ERROR, DT_AI_ERROR_INPUT));
  g_clear_error(&error);
}

/* --- what goes wrong --- */

static void _assert_refused(const char *path, GCancellable *cancellable, int code)
{
  GError *error = NULL;
  assert_null(dt_photo_load(path, NULL, cancellable, &error));
  assert_true(g_error_matches(error, DT_AI_ERROR, code));
  g_error_free(error);
}

static void _test_failures(void **state)
{
  (void)state;
  const float values[3 * 400] = { 0 };
  _write(_path("ok.png"), 20, 20, DT_ROW_RGB, values, 1);
  char *bytes = NULL;
  gsize size;
  assert_true(g_file_get_contents(_path("ok.png"), &bytes, &size, NULL));
  assert_true(g_file_set_contents(_path("cut.png"), bytes, (gssize)size / 2, NULL));
  g_free(bytes);
  assert_true(g_file_set_contents(_path("text.jpg"), "no picture", -1, NULL));
  _assert_refused(_path("missing.jpg"), NULL, DT_AI_ERROR_INPUT);
  _assert_refused(_path("text.jpg"), NULL, DT_AI_ERROR_INPUT);
  _assert_refused(_path("cut.png"), NULL, DT_AI_ERROR_INPUT);
  GCancellable *cancelled = g_cancellable_new();
  g_cancellable_cancel(cancelled);
  _assert_refused(_path("ok.png"), cancelled, DT_AI_ERROR_CANCELLED);
  g_object_unref(cancelled);
  dt_photo_free(NULL);
}

/* Opening tells the size and reads nothing; reading twice is once. */
static void _test_open_first(void **state)
{
  (void)state;
  const float values[3 * 6] = { 0.2f };
  GError *error = NULL;
  _write(_path("p.png"), 3, 2, DT_ROW_RGB, values, 5);
  dt_photo_t *photo = dt_photo_open(_path("p.png"), NULL, &error);
  assert_no_error(error);
  assert_null(photo->rgb);
  assert_int_equal(photo->width, 2);
  assert_true(dt_photo_read(photo, NULL, &error));
  const uint8_t *rgb = photo->rgb;
  assert_true(dt_photo_read(photo, NULL, &error));
  assert_ptr_equal(photo->rgb, rgb);
  assert_int_equal(photo->rgb[0], 51);
  dt_photo_free(photo);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(_test_orientations),
    cmocka_unit_test(_test_bands),
    cmocka_unit_test(_test_alpha_and_grey),
    cmocka_unit_test(_test_floats),
    cmocka_unit_test(_test_rows),
    cmocka_unit_test(_test_raw),
    cmocka_unit_test(_test_raw_exposure),
    cmocka_unit_test(_test_plane),
    cmocka_unit_test(_test_failures),
    cmocka_unit_test(_test_open_first),
    cmocka_unit_test(_test_associated_alpha),
  };
  return cmocka_run_group_tests(tests, _setup, _teardown);
}
