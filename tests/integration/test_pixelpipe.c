/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The pixelpipe: parts against the whole, devices against the CPU, what is kept, what is given up. */
#include "iop.h"
#include "pocl.h"

#include "common/conf.h"
#include "develop/pixelpipe.h"
#include "imageio/raw_internal.h"

#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

static dt_opencl_t *_cl;

static int _set_up(void **state)
{
  (void)state;
  test_pocl_world();
  dt_conf_override(DT_CONF_OPENCL_PRIORITY, "*/*/*/*");
  _cl = test_iop_opencl();
  return 0;
}

static int _tear_down(void **state)
{
  (void)state;
  dt_opencl_destroy(_cl);
  test_world_destroy();
  return 0;
}

/* --- a photograph and its pipes --- */

static dt_dev_input_t *_new_picture(int width, int height, uint64_t seed)
{
  test_random_t random = { seed };
  test_photo_t photo;
  test_photo_init(&photo, &random, DT_SENSOR_LINEAR, 0, TRUE, width, height);
  const size_t bytes = (size_t)width * (size_t)height * 4 * sizeof(float);
  float *pixels = malloc(bytes);
  memcpy(pixels, photo.pixels, bytes);
  test_photo_clear(&photo);
  return dt_dev_input_new_picture(pixels, width, height, 1);
}

typedef struct _params_t
{
  float exposure, black;
} _params_t;

static dt_dev_setting_t _exposure(const _params_t *params)
{
  return (dt_dev_setting_t){ .module = dt_iop_find("exposure"), .enabled = TRUE, .params = params };
}

static dt_dev_pixelpipe_t *_open(dt_dev_input_t *input, const dt_dev_pixelpipe_opts_t *opts,
                                 const _params_t *params)
{
  GError *error = NULL;
  dt_dev_pixelpipe_t *pipe = dt_dev_pixelpipe_create(input, opts);
  const dt_dev_setting_t setting = _exposure(params);
  dt_dev_pixelpipe_set(pipe, &setting, 1, &error);
  assert_no_error(error);
  return pipe;
}

/* All of the result (g_free()). */
static float *_run(dt_dev_pixelpipe_t *pipe, dt_dev_run_report_t *report)
{
  int width, height;
  assert_true(dt_dev_pixelpipe_size(pipe, &width, &height));
  float *pixels = g_new(float, (gsize)width *(gsize)height * 4);
  GError *error = NULL;
  dt_dev_pixelpipe_run(pipe, NULL, pixels, NULL, report, &error);
  assert_no_error(error);
  return pixels;
}

static const _params_t _brighter = { 1.0f, 0.01f };

/* Whatever the memory, the same to the last bit; as rows too. */
static void test_parts(void **state)
{
  (void)state;
  dt_dev_input_t *input = _new_picture(150, 110, 1);
  dt_dev_pixelpipe_t *whole =
      _open(input, &(dt_dev_pixelpipe_opts_t){ .type = DT_OPENCL_EXPORT }, &_brighter);
  dt_dev_run_report_t report;
  float *wanted = _run(whole, &report);
  assert_int_equal(report.tiles, 1);
  int width, height;
  dt_dev_pixelpipe_size(whole, &width, &height);
  const gsize bytes = (gsize)width * (gsize)height * 4 * sizeof(float);
  for(guint64 memory = 600000; memory > 40000; memory /= 2)
  {
    dt_dev_pixelpipe_t *pipe = _open(
        input,
        &(dt_dev_pixelpipe_opts_t){ .type = DT_OPENCL_EXPORT, .memory = memory, .yields = memory < 300000 },
        &_brighter);
    float *got = _run(pipe, &report);
    if(memory < 200000) assert_true(report.tiles > 1);
    assert_memory_equal(got, wanted, bytes);
    GError *error = NULL;
    dt_row_source_t *rows = dt_dev_pixelpipe_rows(pipe, NULL);
    memset(got, 0, bytes);
    for(int y = 0; y < height; y += 7)
      assert_true(rows->read(rows, y, MIN(7, height - y), got + (gsize)y * (gsize)width * 4, &error));
    assert_memory_equal(got, wanted, bytes);
    dt_row_source_destroy(rows);
    g_free(got);
    dt_dev_pixelpipe_destroy(pipe);
  }
  g_free(wanted);
  dt_dev_pixelpipe_destroy(whole);
  dt_dev_input_unref(input);
}

static void test_memory_that_is_too_little(void **state)
{
  (void)state;
  dt_dev_input_t *input = _new_picture(64, 64, 2);
  dt_dev_pixelpipe_t *pipe =
      _open(input, &(dt_dev_pixelpipe_opts_t){ .type = DT_OPENCL_EXPORT, .memory = 1000 }, &_brighter);
  float *pixels = g_new(float, 64 * 64 * 4);
  GError *error = NULL;
  assert_false(dt_dev_pixelpipe_run(pipe, NULL, pixels, NULL, NULL, &error));
  assert_true(g_error_matches(error, DT_AI_ERROR, DT_AI_ERROR_MEMORY));
  g_clear_error(&error);
  g_free(pixels);
  dt_dev_pixelpipe_destroy(pipe);
  dt_dev_input_unref(input);
}

static void test_device(void **state)
{
  (void)state;
  if(!_cl) skip();
  dt_dev_input_t *input = _new_picture(90, 70, 3);
  dt_dev_pixelpipe_t *here = _open(input, &(dt_dev_pixelpipe_opts_t){ .type = DT_OPENCL_EXPORT }, &_brighter);
  dt_dev_pixelpipe_t *there = _open(
      input, &(dt_dev_pixelpipe_opts_t){ .type = DT_OPENCL_EXPORT, .cl = _cl, .name = "it" }, &_brighter);
  dt_dev_run_report_t report;
  float *wanted = _run(here, NULL), *got = _run(there, &report);
  assert_true(report.device >= 0);
  int width, height;
  dt_dev_pixelpipe_size(here, &width, &height);
  for(int i = 0; i < width * height * 4; i++) assert_true(fabsf(got[i] - wanted[i]) <= 1e-4f);
  g_free(wanted);
  g_free(got);
  dt_dev_pixelpipe_destroy(here);
  dt_dev_pixelpipe_destroy(there);
  dt_dev_input_unref(input);
}

/* The same again is not computed again; other parameters are. */
/* Whether device 0 can be had between two rows of such a pipe. */
static gboolean _is_free_between_rows(dt_dev_input_t *input, gboolean yields, const float *wanted)
{
  GError *error = NULL;
  dt_dev_pixelpipe_t *pipe = _open(
      input, &(dt_dev_pixelpipe_opts_t){ .type = DT_OPENCL_EXPORT, .cl = _cl, .yields = yields }, &_brighter);
  dt_row_source_t *rows = dt_dev_pixelpipe_rows(pipe, NULL);
  const gsize n = (gsize)rows->width * (gsize)rows->height * 4;
  float *got = g_new0(float, n);
  assert_true(rows->read(rows, 0, 1, got, &error));
  dt_opencl_run_t *claim = dt_opencl_claim_device(_cl, 0, NULL);
  const gboolean is_free = claim != NULL;
  dt_opencl_run_end(claim);
  assert_true(rows->read(rows, 0, rows->height, got, &error));
  assert_no_error(error);
  for(gsize i = 0; i < n; i++) assert_true(fabsf(got[i] - wanted[i]) <= 1e-4f);
  dt_row_source_destroy(rows);
  dt_dev_pixelpipe_destroy(pipe);
  g_free(got);
  return is_free;
}

/* Rows keep their device until they are over, unless they are told to yield. */
static void test_yielding(void **state)
{
  (void)state;
  if(!_cl) skip();
  dt_dev_input_t *input = _new_picture(80, 60, 5);
  dt_dev_pixelpipe_t *whole =
      _open(input, &(dt_dev_pixelpipe_opts_t){ .type = DT_OPENCL_EXPORT }, &_brighter);
  dt_dev_run_report_t report;
  float *wanted = _run(whole, &report);
  assert_true(_is_free_between_rows(input, TRUE, wanted));
  assert_false(_is_free_between_rows(input, FALSE, wanted));
  g_free(wanted);
  dt_dev_pixelpipe_destroy(whole);
  dt_dev_input_unref(input);
}

static void test_cache(void **state)
{
  (void)state;
  dt_dev_input_t *input = _new_picture(40, 30, 4);
  dt_dev_pixelpipe_t *pipe = _open(input, &(dt_dev_pixelpipe_opts_t){ .type = DT_OPENCL_FULL }, &_brighter);
  dt_dev_run_report_t first, second, third;
  float *a = _run(pipe, &first), *b = _run(pipe, &second);
  assert_true(first.modules > 0);
  assert_int_equal(second.modules, 0);
  assert_memory_equal(a, b, 40 * 30 * 4 * sizeof(float));
  const _params_t darker = { -1.0f, 0.0f };
  const dt_dev_setting_t setting = _exposure(&darker);
  assert_true(dt_dev_pixelpipe_set(pipe, &setting, 1, NULL));
  float *c = _run(pipe, &third);
  assert_true(third.modules > 0);
  assert_memory_not_equal(a, c, 40 * 30 * 4 * sizeof(float));
  g_free(a);
  g_free(b);
  g_free(c);
  dt_dev_pixelpipe_destroy(pipe);
  dt_dev_input_unref(input);
}

static void test_bad_requests(void **state)
{
  (void)state;
  dt_dev_input_t *input = _new_picture(40, 30, 5);
  dt_dev_pixelpipe_t *pipe =
      dt_dev_pixelpipe_create(input, &(dt_dev_pixelpipe_opts_t){ .type = DT_OPENCL_FULL });
  float pixel[4];
  int width, height;
  GError *error = NULL;
  assert_false(dt_dev_pixelpipe_size(pipe, &width, &height));
  assert_false(dt_dev_pixelpipe_run(pipe, NULL, pixel, NULL, NULL, &error));
  assert_true(g_error_matches(error, DT_AI_ERROR, DT_AI_ERROR_USAGE));
  g_clear_error(&error);
  assert_true(dt_dev_pixelpipe_set(pipe, NULL, 0, NULL));
  const dt_iop_roi_t wrong[] = { { -1, 0, 1, 1, 1 }, { 40, 0, 1, 1, 1 },      { 0, 0, 41, 1, 1 },
                                 { 0, 0, 0, 1, 1 },  { 0, 29, 1, 2, 1 },      { 5, 5, G_MAXINT, 1, 1 },
                                 { 0, 0, 1, -3, 1 }, { G_MAXINT, 0, 1, 1, 1 } };
  for(size_t i = 0; i < G_N_ELEMENTS(wrong); i++)
  {
    assert_false(dt_dev_pixelpipe_run(pipe, &wrong[i], pixel, NULL, NULL, &error));
    assert_true(g_error_matches(error, DT_AI_ERROR, DT_AI_ERROR_USAGE));
    g_clear_error(&error);
  }
  GCancellable *cancellable = g_cancellable_new();
  g_cancellable_cancel(cancellable);
  float *pixels = g_new(float, 40 * 30 * 4);
  const dt_dev_setting_t setting = _exposure(&_brighter);
  assert_true(dt_dev_pixelpipe_set(pipe, &setting, 1, NULL));
  assert_false(dt_dev_pixelpipe_run(pipe, NULL, pixels, cancellable, NULL, &error));
  assert_true(g_error_matches(error, DT_AI_ERROR, DT_AI_ERROR_CANCELLED));
  g_clear_error(&error);
  g_object_unref(cancellable);
  g_free(pixels);
  dt_dev_pixelpipe_destroy(pipe);
  dt_dev_input_unref(input);
}

/* --- raws, masks, all modules at once --- */

static dt_dev_input_t *_new_raw(int width, int height, int phase, uint64_t seed)
{
  test_random_t random = { seed };
  test_photo_t photo;
  test_photo_init(&photo, &random, DT_SENSOR_BAYER, phase, FALSE, width, height);
  dt_raw_held_t *held = g_new0(dt_raw_held_t, 1);
  dt_raw_t *raw = &held->raw;
  held->release = g_free;
  held->decoder = photo.samples;
  raw->mosaic = photo.mosaic;
  for(int c = 0; c < 4; c++) raw->neutral[c] = photo.image.neutral[c];
  raw->iso = 800;
  raw->crop_x = 3;
  raw->crop_y = 2;
  raw->crop_width = width - 8;
  raw->crop_height = height - 6;
  raw->orientation = 6;
  raw->mosaic.samples = photo.samples;
  g_free(photo.pixels);
  return dt_dev_input_new_raw(raw);
}

static void _set_text(dt_dev_pixelpipe_t *pipe, const char *const *settings)
{
  GError *error = NULL;
  dt_history_t *history = dt_history_create(NULL);
  for(; *settings; settings++)
  {
    dt_history_set(history, *settings, NULL, &error);
    assert_no_error(error);
  }
  dt_dev_pixelpipe_set_history(pipe, history, &error);
  assert_no_error(error);
  dt_history_free(history);
}

/* The scene's noise is even between -0.03 and 0.03: a variance of 0.0003. */
static void test_noise(void **state)
{
  (void)state;
  dt_dev_input_t *raw = _new_raw(400, 300, 1, 21), *picture = _new_picture(40, 30, 22);
  dt_dev_input_measure_noise(raw);
  const dt_iop_image_t *image = dt_dev_input_image(raw);
  const double variance = image->noise_scale * 0.5 + image->noise_offset;
  if(variance < 1e-4 || variance > 9e-4) fail_msg("the variance is %g", variance);
  dt_dev_input_measure_noise(picture);
  assert_true(dt_dev_input_image(picture)->noise_scale == 0.0
              && dt_dev_input_image(picture)->noise_offset == 0.0);
  dt_dev_input_unref(raw);
  dt_dev_input_unref(picture);
}

static const char *const _everything[] = { "denoiseprofile.scales=3",
                                           "exposure.exposure=0.4",
                                           "exposure.blend.opacity=0.7",
                                           "exposure.blend.feather=9",
                                           "exposure.blend.lightness_from=0.3",
                                           "exposure.blend.lightness_full_from=0.4",
                                           "clipping.angle=4",
                                           "sharpen.amount=0.8",
                                           "colorbalance.saturation=0.2",
                                           NULL };

/* A whole pipe with every module on: in parts and on a device, of raws of all phases. */
static void test_everything(void **state)
{
  (void)state;
  for(int phase = 0; phase < 4; phase++)
  {
    dt_dev_input_t *input = _new_raw(401, 299, phase, 9 + (uint64_t)phase);
    const dt_dev_pixelpipe_opts_t opts = {
      .type = DT_OPENCL_EXPORT, .width = 250, .height = 250, .for_screen = TRUE
    };
    dt_dev_pixelpipe_opts_t small = opts, device = opts;
    small.memory = 9500000;
    device.cl = _cl;
    dt_dev_pixelpipe_t *pipes[3] = { dt_dev_pixelpipe_create(input, &opts),
                                     dt_dev_pixelpipe_create(input, &small),
                                     _cl ? dt_dev_pixelpipe_create(input, &device) : NULL };
    float *results[3] = { NULL };
    dt_dev_run_report_t reports[3];
    int width = 0, height = 0;
    for(int i = 0; i < 3 && pipes[i]; i++)
    {
      _set_text(pipes[i], _everything);
      dt_dev_pixelpipe_size(pipes[i], &width, &height);
      results[i] = _run(pipes[i], &reports[i]);
    }
    assert_true(MAX(width, height) == 250);
    assert_true(reports[0].modules >= 12 && reports[1].tiles > 1);
    assert_memory_equal(results[1], results[0], (size_t)width * (size_t)height * 4 * sizeof(float));
    for(int i = 0; i < width * height * 4 && results[2]; i++)
      assert_true(fabsf(results[2][i] - results[0][i]) <= 1.01f / 255.0f);
    for(int i = 0; i < 3; i++)
    {
      g_free(results[i]);
      dt_dev_pixelpipe_destroy(pipes[i]);
    }
    dt_dev_input_unref(input);
  }
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_parts),      cmocka_unit_test(test_memory_that_is_too_little),
    cmocka_unit_test(test_device),     cmocka_unit_test(test_cache),
    cmocka_unit_test(test_yielding),   cmocka_unit_test(test_bad_requests),
    cmocka_unit_test(test_everything), cmocka_unit_test(test_noise),
  };
  return cmocka_run_group_tests(tests, _set_up, _tear_down);
}
