/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The pixelpipe: parts against the whole, devices against the CPU, what is kept, what is given up. */
#include "pipe.h"

#include "develop/pixelpipe_internal.h"

#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

/* --- a photograph and its pipes --- */

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

static const _params_t _brighter = { 1.0f, 0.01f };

/* Whatever the memory, the same to the last bit; as rows too. */
static void test_parts(void **state)
{
  (void)state;
  dt_dev_input_t *input = test_pipe_new_picture(150, 110, 1);
  dt_dev_pixelpipe_t *whole =
      _open(input, &(dt_dev_pixelpipe_opts_t){ .type = DT_OPENCL_EXPORT }, &_brighter);
  dt_dev_run_report_t report;
  float *wanted = test_pipe_run(whole, &report);
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
    float *got = test_pipe_run(pipe, &report);
    if(memory < 200000) assert_true(report.tiles > 1);
    assert_memory_equal(got, wanted, bytes);
    GError *error = NULL;
    dt_row_source_t *rows = dt_dev_pixelpipe_rows(pipe, NULL);
    memset(got, 0, bytes);
    for(int y = 0; y < height; y += 7)
      assert_true(rows->read(rows, y, MIN(7, height - y), got + (gsize)y * (gsize)width * 4, &error));
    assert_memory_equal(got, wanted, bytes);
    dt_dev_run_report_t of_rows;
    dt_dev_pixelpipe_rows_report(rows, &of_rows);
    assert_true(of_rows.tiles >= report.tiles); /* of all bands */
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
  dt_dev_input_t *input = test_pipe_new_picture(64, 64, 2);
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
  if(!test_iop_cl) skip();
  dt_dev_input_t *input = test_pipe_new_picture(90, 70, 3);
  dt_dev_pixelpipe_t *here = _open(input, &(dt_dev_pixelpipe_opts_t){ .type = DT_OPENCL_EXPORT }, &_brighter);
  dt_dev_pixelpipe_t *there =
      _open(input, &(dt_dev_pixelpipe_opts_t){ .type = DT_OPENCL_EXPORT, .cl = test_iop_cl, .name = "it" },
            &_brighter);
  dt_dev_run_report_t report;
  float *wanted = test_pipe_run(here, NULL), *got = test_pipe_run(there, &report);
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

/* Whether device 0 can be had between two rows of such a pipe. */
static gboolean _is_free_between_rows(dt_dev_input_t *input, gboolean yields, const float *wanted)
{
  GError *error = NULL;
  dt_dev_pixelpipe_t *pipe = _open(
      input, &(dt_dev_pixelpipe_opts_t){ .type = DT_OPENCL_EXPORT, .cl = test_iop_cl, .yields = yields },
      &_brighter);
  dt_row_source_t *rows = dt_dev_pixelpipe_rows(pipe, NULL);
  const gsize n = (gsize)rows->width * (gsize)rows->height * 4;
  float *got = g_new0(float, n);
  assert_true(rows->read(rows, 0, 1, got, &error));
  dt_opencl_run_t *claim = dt_opencl_claim_device(test_iop_cl, 0, NULL);
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
  if(!test_iop_cl) skip();
  dt_dev_input_t *input = test_pipe_new_picture(80, 60, 5);
  dt_dev_pixelpipe_t *whole =
      _open(input, &(dt_dev_pixelpipe_opts_t){ .type = DT_OPENCL_EXPORT }, &_brighter);
  dt_dev_run_report_t report;
  float *wanted = test_pipe_run(whole, &report);
  assert_true(_is_free_between_rows(input, TRUE, wanted));
  assert_false(_is_free_between_rows(input, FALSE, wanted));
  g_free(wanted);
  dt_dev_pixelpipe_destroy(whole);
  dt_dev_input_unref(input);
}

/* Rows of two plans are no picture: not of the new size, and not of the old one either. */
static void test_rows_of_a_changed_pipe(void **state)
{
  (void)state;
  const struct
  {
    int flip;
    float angle;
    int fit;
    float left, top, right, bottom;
  } params = { .fit = 1, .left = 0.5f, .top = 0.5f, .right = 1, .bottom = 1 };
  const dt_dev_setting_t settings[] = {
    _exposure(&_brighter), { .module = dt_iop_find("clipping"), .enabled = TRUE, .params = &params }
  };
  dt_dev_input_t *input = test_pipe_new_picture(150, 110, 4);
  for(int yields = 0; yields <= 1; yields++)
    for(int read = 0; read <= 1; read++) /* whether something has been read before */
    {
      GError *error = NULL;
      dt_dev_pixelpipe_t *pipe = _open(
          input, &(dt_dev_pixelpipe_opts_t){ .type = DT_OPENCL_EXPORT, .memory = 100000, .yields = yields },
          &_brighter);
      dt_row_source_t *rows = dt_dev_pixelpipe_rows(pipe, NULL);
      float *row = g_new(float, (gsize)rows->width * 4);
      if(read) assert_true(rows->read(rows, 0, 1, row, &error));
      assert_true(dt_dev_pixelpipe_set(pipe, settings, 2, &error));
      assert_false(rows->read(rows, rows->height - 1, 1, row, &error));
      assert_true(g_error_matches(error, DT_AI_ERROR, DT_AI_ERROR_CANCELLED));
      g_clear_error(&error);
      g_free(row);
      dt_row_source_destroy(rows);
      dt_dev_pixelpipe_destroy(pipe);
    }
  dt_dev_input_unref(input);
}

/* The same again is not computed again; other parameters are. */
static void test_cache(void **state)
{
  (void)state;
  dt_dev_input_t *input = test_pipe_new_picture(40, 30, 4);
  dt_dev_pixelpipe_t *pipe = _open(input, &(dt_dev_pixelpipe_opts_t){ .type = DT_OPENCL_FULL }, &_brighter);
  dt_dev_run_report_t first, second, third;
  float *a = test_pipe_run(pipe, &first), *b = test_pipe_run(pipe, &second);
  assert_true(first.modules > 0);
  assert_int_equal(second.modules, 0);
  assert_memory_equal(a, b, 40 * 30 * 4 * sizeof(float));
  const _params_t darker = { -1.0f, 0.0f };
  const dt_dev_setting_t setting = _exposure(&darker);
  assert_true(dt_dev_pixelpipe_set(pipe, &setting, 1, NULL));
  float *c = test_pipe_run(pipe, &third);
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
  dt_dev_input_t *input = test_pipe_new_picture(40, 30, 5);
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

/* The scene's noise is even between -0.03 and 0.03: a variance of 0.0003. */
static void test_noise(void **state)
{
  (void)state;
  dt_dev_input_t *raw = test_pipe_new_raw(DT_SENSOR_BAYER, 1, 400, 300, 21),
                 *picture = test_pipe_new_picture(40, 30, 22);
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

/* One size of the picture that is developed, and what of the product is looked at. */
typedef struct _case_t
{
  dt_sensor_t sensor;
  int phase, width, height;
  uint64_t seed;
} _case_t;

/* Every module, a mask of ranges that is blurred; and little more than what raws need. */
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
static const char *const _little[] = { "demosaic.method=bilinear", "colorbalance.contrast=0.2", NULL };

static const dt_dev_pixelpipe_opts_t _kinds[] = {
  { .type = DT_OPENCL_EXPORT, .for_screen = TRUE },
  { .type = DT_OPENCL_FULL, .width = 250, .height = 190, .for_screen = TRUE },
  { .type = DT_OPENCL_EXPORT, .width = 170, .height = 250, .for_screen = TRUE },
  { .type = DT_OPENCL_THUMBNAIL, .width = 64, .height = 64, .for_screen = TRUE },
};

/* What was seen, over all cases. */
typedef struct _seen_t
{
  int cases, in_parts, on_device;
  double difference; /* of devices */
} _seen_t;

static dt_iop_roi_t _all_of(dt_dev_pixelpipe_t *pipe)
{
  dt_iop_roi_t all = { .scale = 1 };
  assert_true(dt_dev_pixelpipe_size(pipe, &all.width, &all.height));
  return all;
}

/* With the least memory in which parts fit at all, when that is less than what the whole takes. */
static void _check_parts(dt_dev_input_t *input, dt_dev_pixelpipe_opts_t opts, const char *const *settings,
                         const float *wanted, _seen_t *seen)
{
  dt_dev_pixelpipe_t *pipe = test_pipe_open(input, &opts, settings);
  const dt_iop_roi_t all = _all_of(pipe);
  dt_iop_roi_t rois[DT_DEV_MAX_NODES + 1];
  dt_dev_plan_rois(pipe->plan, &all, rois);
  const guint64 whole = dt_dev_plan_memory(pipe->plan, rois);
  float *got = g_new(float, (gsize)all.width *(gsize)all.height * 4);
  for(pipe->opts.memory = whole / 4; pipe->opts.memory < whole; pipe->opts.memory += whole / 8)
  {
    GError *error = NULL;
    dt_dev_run_report_t report;
    const gboolean fine = dt_dev_pixelpipe_run(pipe, NULL, got, NULL, &report, &error);
    assert_true(fine || g_error_matches(error, DT_AI_ERROR, DT_AI_ERROR_MEMORY));
    g_clear_error(&error);
    if(!fine) continue;
    assert_true(report.tiles > 1);
    assert_true(test_pipe_difference(wanted, all.width, &all, got) <= 0);
    seen->in_parts++;
    break;
  }
  g_free(got);
  dt_dev_pixelpipe_destroy(pipe);
}

static void _check_rectangle(dt_dev_pixelpipe_t *pipe, const float *wanted, test_random_t *random)
{
  const dt_iop_roi_t all = _all_of(pipe);
  dt_iop_roi_t roi = { .width = test_random_int(random, 1, all.width),
                       .height = test_random_int(random, 1, all.height) };
  roi.x = test_random_int(random, 0, all.width - roi.width);
  roi.y = test_random_int(random, 0, all.height - roi.height);
  float *got = g_new(float, (gsize)roi.width *(gsize)roi.height * 4);
  GError *error = NULL;
  dt_dev_pixelpipe_run(pipe, &roi, got, NULL, NULL, &error);
  assert_no_error(error);
  assert_true(test_pipe_difference(wanted, all.width, &roi, got) <= 0);
  g_free(got);
}

static void _check_device(dt_dev_input_t *input, dt_dev_pixelpipe_opts_t opts, const char *const *settings,
                          const float *wanted, _seen_t *seen)
{
  dt_dev_run_report_t report;
  opts.cl = test_iop_cl;
  dt_dev_pixelpipe_t *pipe = test_pipe_open(input, &opts, settings);
  const dt_iop_roi_t all = _all_of(pipe);
  float *got = test_pipe_run(pipe, &report);
  const double difference = test_pipe_difference(wanted, all.width, &all, got);
  seen->on_device += report.device >= 0;
  seen->difference = MAX(seen->difference, difference);
  g_free(got);
  dt_dev_pixelpipe_destroy(pipe);
}

static void _check_case(const _case_t *c, _seen_t *seen)
{
  test_random_t random = { c->seed };
  const int kind = seen->cases++;
  const gboolean large = MIN(c->width, c->height) >= 24; /* a turn leaves something */
  const dt_dev_pixelpipe_opts_t *opts = &_kinds[kind % (int)G_N_ELEMENTS(_kinds)];
  const char *const *settings = large && kind % 3 != 2 ? _everything : _little;
  dt_dev_input_t *input = test_pipe_new_raw(c->sensor, c->phase, c->width, c->height, c->seed);
  dt_dev_pixelpipe_t *pipe = test_pipe_open(input, opts, settings);
  float *wanted = test_pipe_run(pipe, NULL);
  for(int i = 0; i < 2; i++) _check_rectangle(pipe, wanted, &random);
  _check_parts(input, *opts, settings, wanted, seen);
  if(test_iop_cl) _check_device(input, *opts, settings, wanted, seen);
  g_free(wanted);
  dt_dev_pixelpipe_destroy(pipe);
  dt_dev_input_unref(input);
}

static const int _sizes[30][2] = { { 2, 2 },     { 3, 2 },     { 2, 5 },     { 5, 3 },     { 6, 6 },
                                   { 7, 4 },     { 9, 11 },    { 13, 8 },    { 16, 16 },   { 17, 31 },
                                   { 24, 24 },   { 25, 40 },   { 33, 29 },   { 48, 37 },   { 64, 64 },
                                   { 65, 47 },   { 71, 120 },  { 96, 80 },   { 101, 103 }, { 119, 120 },
                                   { 121, 122 }, { 150, 77 },  { 160, 200 }, { 173, 241 }, { 31, 300 },
                                   { 300, 31 },  { 242, 181 }, { 256, 256 }, { 301, 199 }, { 401, 299 } };

/* A whole pipe of raws of every size: in rectangles and in parts to the last bit, on a device within a step of eight bits.
 * Every size meets a phase of Bayer and one of X-Trans, and every phase meets sizes; the full counts are all by all. */
static void test_whole_pipe(void **state)
{
  (void)state;
  static const struct
  {
    dt_sensor_t sensor;
    int phases, step; /* each size, of these so many apart */
  } arrays[] = { { DT_SENSOR_BAYER, 4, 1 }, { DT_SENSOR_XTRANS, 36, 7 }, { DT_SENSOR_FOUR, 4, 1 } };
  _seen_t seen = { 0 };
  for(int i = 0; i < (int)G_N_ELEMENTS(_sizes); i++)
    for(size_t a = 0; a < G_N_ELEMENTS(arrays); a++)
      for(int k = 0; k < (test_is_long() ? arrays[a].phases : 1); k++)
      {
        if(!test_is_long() && arrays[a].sensor == DT_SENSOR_FOUR && i % 5 != 2) continue;
        const _case_t c = { arrays[a].sensor, (i * arrays[a].step + i / 4 + k) % arrays[a].phases,
                            _sizes[i][0], _sizes[i][1], (uint64_t)(i * 100 + (int)a * 40 + k + 1) };
        _check_case(&c, &seen);
      }
  print_message("%d pipes, %d of them in parts, %d on a device: within %.4f of a step of eight bits\n",
                seen.cases, seen.in_parts, seen.on_device, seen.difference * 255);
  assert_true(seen.in_parts >= 10);
  assert_true(!test_iop_cl || seen.on_device == seen.cases);
  assert_true(seen.difference <= 1.01 / 255);
}

/* What is seen of it to 0 is off; half of a white balance is that of half the coefficients, to where the sensor is full. */
static void test_half_a_white_balance(void **state)
{
  (void)state;
  static const char *const pairs[][2][5] = {
    { { "temperature.blend.opacity=0" }, { "temperature=off" } },
    { { "temperature.blend.opacity=0.5" },
      { "temperature.mode=user", "temperature.red=1.5", "temperature.blue=1.26923077" } },
    { { "highlights.clip=0.6", "highlights.blend.opacity=0" }, { "highlights=off" } },
    /* what is not understood is not used */
    { { "exposure.exposure=1", "+exposure.blend.opacity=7", "+exposure.blend.later=1" },
      { "exposure.exposure=1" } },
  };
  dt_dev_input_t *input = test_pipe_new_raw(DT_SENSOR_BAYER, 1, 120, 90, 31);
  for(size_t i = 0; i < G_N_ELEMENTS(pairs); i++)
  {
    dt_dev_pixelpipe_t *pipe =
        test_pipe_open(input, &(dt_dev_pixelpipe_opts_t){ .type = DT_OPENCL_EXPORT }, pairs[i][0]);
    const dt_iop_roi_t all = _all_of(pipe);
    float *got = test_pipe_run(pipe, NULL);
    test_pipe_set(pipe, pairs[i][1]);
    float *wanted = test_pipe_run(pipe, NULL);
    const double difference = test_pipe_difference(wanted, all.width, &all, got);
    if(!(difference <= (i == 1 ? 2e-5 : 0.0))) fail_msg("pair %zu: %g", i, difference);
    g_free(got);
    g_free(wanted);
    dt_dev_pixelpipe_destroy(pipe);
  }
  dt_dev_input_unref(input);
}

/* An item of a later version is passed over: what is on for raws stays on. */
static void test_item_of_a_later_version(void **state)
{
  (void)state;
  dt_dev_input_t *input = test_pipe_new_raw(DT_SENSOR_BAYER, 0, 60, 50, 32);
  dt_dev_pixelpipe_t *pipe =
      test_pipe_open(input, &(dt_dev_pixelpipe_opts_t){ .type = DT_OPENCL_EXPORT }, (const char *[]){ NULL });
  const dt_iop_roi_t all = _all_of(pipe);
  float *wanted = test_pipe_run(pipe, NULL);
  dt_history_t *history = dt_history_create(NULL);
  dt_history_push(history, dt_history_item_new("sigmoid", 99, TRUE));
  assert_true(dt_dev_pixelpipe_set_history(pipe, history, NULL));
  float *got = test_pipe_run(pipe, NULL);
  assert_true(test_pipe_difference(wanted, all.width, &all, got) <= 0);
  g_free(got);
  g_free(wanted);
  dt_history_free(history);
  dt_dev_pixelpipe_destroy(pipe);
  dt_dev_input_unref(input);
}

/* A result of another size fits into what was asked for, on screens too, where it is small early. */
static void test_fits(void **state)
{
  (void)state;
  static const dt_opencl_pipe_t types[] = { DT_OPENCL_FULL, DT_OPENCL_EXPORT, DT_OPENCL_THUMBNAIL };
  static const char *const angles[] = { "clipping.angle=0", "clipping.angle=7.3", "clipping.left=0.1234" };
  test_random_t random = { 33 };
  for(int i = 0; i < 300; i++)
  {
    dt_dev_pixelpipe_opts_t opts = { .type = types[i % 3] };
    opts.width = test_random_int(&random, 2, 90);
    opts.height = test_random_int(&random, 2, 90);
    dt_dev_input_t *input = test_pipe_new_raw(DT_SENSOR_BAYER, i % 4, test_random_int(&random, 60, 200),
                                              test_random_int(&random, 60, 200), 34);
    dt_dev_pixelpipe_t *pipe = test_pipe_open(input, &opts, (const char *[]){ angles[i / 3 % 3], NULL });
    const dt_iop_roi_t all = _all_of(pipe);
    if(all.width > opts.width || all.height > opts.height)
      fail_msg("%d: %d x %d is more than %d x %d", i, all.width, all.height, opts.width, opts.height);
    dt_dev_pixelpipe_destroy(pipe);
    dt_dev_input_unref(input);
  }
}

/* Masks on the sites of a raw: @p opts (with memory: less than the whole takes) against
 * @p wanted, which is filled when it is NULL. @p tolerance below 0: it differs. */
static void _check_masked(dt_dev_input_t *input, const dt_dev_setting_t *settings, int n, float **wanted,
                          const dt_dev_pixelpipe_opts_t *opts, double tolerance)
{
  GError *error = NULL;
  dt_dev_run_report_t report;
  dt_dev_pixelpipe_t *pipe = dt_dev_pixelpipe_create(input, opts);
  dt_dev_pixelpipe_set(pipe, settings, n, &error);
  assert_no_error(error);
  const dt_iop_roi_t all = _all_of(pipe);
  dt_iop_roi_t rois[DT_DEV_MAX_NODES + 1];
  dt_dev_plan_rois(pipe->plan, &all, rois);
  if(opts->memory) pipe->opts.memory = dt_dev_plan_memory(pipe->plan, rois) * 3 / 4;
  float *got = test_pipe_run(pipe, &report);
  if(opts->memory) assert_true(report.tiles > 1);
  if(opts->cl) assert_true(report.device >= 0);
  if(!*wanted)
    *wanted = g_steal_pointer(&got);
  else if(tolerance < 0)
    assert_true(test_pipe_difference(*wanted, all.width, &all, got) > 0.1);
  else
    assert_true(test_pipe_difference(*wanted, all.width, &all, got) <= tolerance);
  g_free(got);
  dt_dev_pixelpipe_destroy(pipe);
}

static void test_masks_of_raws(void **state)
{
  (void)state;
  float *plane = g_new(float, 20 * 15);
  for(int i = 0; i < 20 * 15; i++) plane[i] = (float)(i % 20) / 19.0f;
  dt_dev_mask_t *mask = dt_dev_mask_new(plane, 20, 15);
  dt_blend_params_t *feathered = dt_iop_standard_params(&dt_blend_table), inverted = *feathered;
  feathered->feather = 9;
  feathered->opacity = 0.8f;
  inverted.invert = TRUE;
  const dt_dev_setting_t settings[] = {
    { .module = dt_iop_find("temperature"), .enabled = TRUE, .blend = feathered, .mask = mask },
    { .module = dt_iop_find("highlights"), .enabled = TRUE, .blend = &inverted, .mask = mask },
  };
  const dt_dev_pixelpipe_opts_t whole = { .type = DT_OPENCL_EXPORT },
                                parts = { .type = DT_OPENCL_EXPORT, .memory = 1 },
                                device = { .type = DT_OPENCL_EXPORT, .cl = test_iop_cl };
  for(int phase = 0; phase < 4; phase += 3)
  {
    dt_dev_input_t *input = test_pipe_new_raw(DT_SENSOR_BAYER, phase, 401, 299, 40 + (uint64_t)phase);
    float *wanted = NULL;
    _check_masked(input, settings, 2, &wanted, &whole, 0);
    _check_masked(input, settings, 2, &wanted, &parts, 0);
    if(test_iop_cl) _check_masked(input, settings, 2, &wanted, &device, 1e-4);
    _check_masked(input, NULL, 0, &wanted, &whole, -1); /* they do something */
    g_free(wanted);
    dt_dev_input_unref(input);
  }
  g_free(feathered);
  dt_dev_mask_unref(mask);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_parts),         cmocka_unit_test(test_memory_that_is_too_little),
    cmocka_unit_test(test_device),        cmocka_unit_test(test_cache),
    cmocka_unit_test(test_yielding),      cmocka_unit_test(test_rows_of_a_changed_pipe),
    cmocka_unit_test(test_bad_requests),  cmocka_unit_test(test_whole_pipe),
    cmocka_unit_test(test_noise),         cmocka_unit_test(test_half_a_white_balance),
    cmocka_unit_test(test_masks_of_raws), cmocka_unit_test(test_item_of_a_later_version),
    cmocka_unit_test(test_fits),
  };
  return cmocka_run_group_tests(tests, test_iop_set_up, test_iop_tear_down);
}
