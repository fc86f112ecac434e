/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Sensors' pictures through raw models: against the network run once over the whole picture, bit for bit; phases, sizes,
 * gain, strength, saturation; and what is refused. The reference is written down here a second time, as plainly as
 * possible. */
#include "support.h"

#include "ai/restore_raw.h"
#include "common/demosaic.h"

#include <math.h>
#include <string.h>

static dt_ai_environment_t *_env;

static int _setup(void **state)
{
  (void)state;
  test_world_create();
  char *fixtures = test_fixture("models");
  _env = dt_ai_env_init(fixtures);
  assert_non_null(_env);
  g_free(fixtures);
  return 0;
}

static int _teardown(void **state)
{
  (void)state;
  dt_ai_env_destroy(_env);
  test_world_destroy();
  return 0;
}

/* --- sensors --- */

#define BLACK 512
#define WHITE 15000

/* A light, far from the same in the three colours, with a pattern and noise; @p x and @p y may be anywhere. */
static guint16 _scene(int x, int y, int colour, double level)
{
  static const double tint[3] = { 0.45, 1.0, 0.62 };
  guint32 h = (guint32)x * 0x9E3779B1u ^ (guint32)y * 0x85EBCA77u;
  h = (h ^ (h >> 15)) * 0x2C1B3C6Du;
  const double noise = ((h >> 8) % 2001) / 1000.0 - 1, light = 0.5 + 0.3 * sin(x * 0.11) * cos(y * 0.07);
  return (guint16)(BLACK + level * tint[colour] * light * (WHITE - BLACK) + 200 * noise);
}

/* A Bayer sensor whose corner sees the scene at (x0, y0); red sites are where both are even. */
static dt_mosaic_t _bayer(int width, int height, int x0, int y0, double level)
{
  dt_mosaic_t m = { .sensor = DT_SENSOR_BAYER, .width = width, .height = height, .step = 1, .period = 2 };
  guint16 *samples = g_new(guint16, (gsize)width * (gsize)height);
  m.samples = samples;
  m.stride = (size_t)width;
  for(int i = 0; i < 4; i++)
  {
    m.colour[i / 2][i % 2] = (guint8)(((x0 + i % 2) & 1) + ((y0 + i / 2) & 1));
    m.black[i / 2][i % 2] = BLACK;
    m.white[i / 2][i % 2] = WHITE;
  }
  for(int y = 0; y < height; y++)
    for(int x = 0; x < width; x++)
      samples[y * width + x] = _scene(x0 + x, y0 + y, dt_mosaic_colour(&m, x, y), level);
  return m;
}

/* The same light with three samples per pixel. */
static dt_mosaic_t _linear(int width, int height)
{
  dt_mosaic_t m = { .sensor = DT_SENSOR_LINEAR, .width = width, .height = height, .step = 3, .period = 1 };
  guint16 *samples = g_new(guint16, 3 * (gsize)width * (gsize)height);
  m.samples = samples;
  m.stride = 3 * (size_t)width;
  for(int i = 0; i < 3; i++)
  {
    m.black[0][i] = BLACK;
    m.white[0][i] = WHITE;
  }
  for(int i = 0; i < 3 * width * height; i++) samples[i] = _scene(i / 3 % width, i / 3 / width, i % 3, 0.8);
  return m;
}

static void _free(dt_mosaic_t *m)
{
  g_free((void *)m->samples);
}

static const dt_restore_camera_t _camera = {
  .neutral = { 0.45, 1, 0.62, 1 },
  .daylight = { 0.5, 1, 0.7, 1 },
  .to_rec2020 = { 0.8f, 0.3f, -0.1f, 0, -0.05f, 1.2f, -0.15f, 0, 0.02f, -0.3f, 1.28f, 0 },
};

/* --- helpers --- */

static dt_restore_context_t *_load(const char *id, gboolean linear, int max_tile)
{
  const dt_restore_load_opts_t opts = { .linear = linear, .max_tile = max_tile, .threads = 1, .runs = 2 };
  GError *error = NULL;
  dt_restore_context_t *ctx = dt_restore_load(_env, "rawdenoise", id, &opts, &error);
  assert_no_error(error);
  assert_non_null(ctx);
  return ctx;
}

static gboolean _run(dt_restore_context_t *ctx, const dt_mosaic_t *m, const dt_restore_opts_t *opts,
                     test_image_t *out, dt_restore_report_t *report, GError **error)
{
  test_sink_t sink;
  *out = test_image_new(m->width, m->height, 3);
  test_sink_init(&sink, out);
  const gboolean ok = dt_restore_raw_process(ctx, m, &_camera, &sink.sink, opts, report, error);
  assert_int_equal(sink.finished, ok);
  assert_int_equal(sink.abandoned, !ok);
  if(ok) assert_int_equal(sink.next, m->height);
  return ok;
}

static test_image_t _denoise(dt_restore_context_t *ctx, const dt_mosaic_t *m, const dt_restore_opts_t *opts,
                             dt_restore_report_t *report)
{
  test_image_t out;
  GError *error = NULL;
  _run(ctx, m, opts, &out, report, &error);
  assert_no_error(error);
  return out;
}

static void _assert_identical(const test_image_t *a, const test_image_t *b, const char *what)
{
  for(int i = 0; i < 3 * a->width * a->height; i++)
    if(memcmp(&a->pixels[i], &b->pixels[i], sizeof(float)) != 0)
      fail_msg("%s: %d×%d differs at pixel %d,%d: %.9g instead of %.9g", what, a->width, a->height,
               i / 3 % a->width, i / 3 / a->width, (double)a->pixels[i], (double)b->pixels[i]);
}

/* --- exactness --- */

static int _mirror(int i, int n)
{
  while(n > 1 && (i < 0 || i >= n)) i = i < 0 ? -i : 2 * (n - 1) - i;
  return n > 1 ? i : 0;
}

static float _site(const dt_mosaic_t *m, int x, int y)
{
  float v;
  dt_mosaic_read(m, _mirror(x, m->width), _mirror(y, m->height), 1, &v);
  return v;
}

/* One Run() over all cells, continued by mirroring cells. */
static test_image_t _untiled(const char *id, const dt_mosaic_t *m, gboolean native, int halo, int stride)
{
  dt_ai_context_t *model = dt_ai_load_model(_env, id, "model_bayer.onnx", DT_AI_PROVIDER_CPU);
  int x0 = 0, y0 = 0;
  assert_non_null(model);
  if(!native) dt_mosaic_red_origin(m, &x0, &y0);
  const int cells_w = (m->width + x0 + 1) / 2, cells_h = (m->height + y0 + 1) / 2;
  const int w = (cells_w + stride - 1) / stride * stride + 2 * halo,
            h = (cells_h + stride - 1) / stride * stride + 2 * halo;
  float *in = g_new(float, 4 * w * h), *out = g_new(float, 12 * w * h);
  for(int p = 0; p < 4; p++)
    for(int y = 0; y < h; y++)
      for(int x = 0; x < w; x++)
        in[(p * h + y) * w + x] = _site(m, 2 * _mirror(x - halo, cells_w) - x0 + p % 2,
                                        2 * _mirror(y - halo, cells_h) - y0 + p / 2);
  int64_t cells[] = { 1, 4, h, w }, pixels[] = { 1, 3, 2 * h, 2 * w };
  dt_ai_tensor_t input = { in, DT_AI_FLOAT, cells, 4 }, output = { out, DT_AI_FLOAT, pixels, 4 };
  assert_int_equal(dt_ai_run(model, &input, 1, &output, 1), 0);
  test_image_t image = test_image_new(m->width, m->height, 3);
  for(int y = 0; y < m->height; y++)
    for(int x = 0; x < m->width; x++)
      for(int c = 0; c < 3; c++)
        image.pixels[3 * (y * m->width + x) + c] =
            out[(c * 2 * h + y + y0 + 2 * halo) * 2 * w + x + x0 + 2 * halo];
  g_free(in);
  g_free(out);
  dt_ai_unload_model(model);
  return image;
}

static void test_tiled_equals_untiled(void **state)
{
  (void)state;
  test_random_t random = { 611 };
  dt_restore_context_t *ctx = _load("rawdenoise-unet", FALSE, 128);
  for(int i = 0; i < (test_is_long() ? 200 : 25); i++)
  {
    const int w = i == 0 ? 2 : test_random_int(&random, 2, 420),
              h = i == 1 ? 2 : test_random_int(&random, 2, 420);
    dt_mosaic_t m = _bayer(w, h, i & 1, i >> 1 & 1, 0.8);
    dt_restore_report_t report;
    test_image_t tiled = _denoise(ctx, &m, NULL, &report);
    test_image_t whole = _untiled("rawdenoise-unet", &m, TRUE, 32, 2);
    assert_true(report.plan.exact);
    assert_int_equal(report.plan.cell, 2);
    assert_int_equal(report.plan.width, w);
    _assert_identical(&tiled, &whole, "rawdenoise-unet");
    test_image_free(&tiled);
    test_image_free(&whole);
    _free(&m);
  }
  dt_restore_free(ctx);
}

/* The factor is the picture's, not the tiles': whatever the plan, the same bytes. */
static void test_gain_is_independent_of_tiles(void **state)
{
  (void)state;
  static const int sides[] = { 96, 130, 256, 2048 };
  dt_mosaic_t m = _bayer(701, 467, 1, 0, 0.9);
  test_image_t first = { 0 };
  for(size_t i = 0; i < G_N_ELEMENTS(sides); i++)
  {
    dt_restore_context_t *ctx = _load("rawdenoise-tiny", FALSE, sides[i]);
    test_image_t out = _denoise(ctx, &m, NULL, NULL);
    if(i == 0)
      first = out;
    else
    {
      _assert_identical(&out, &first, "other tiles");
      test_image_free(&out);
    }
    dt_restore_free(ctx);
  }
  test_image_free(&first);
  _free(&m);
}

/* --- phases --- */

/* Four sensors see the same scene, one pixel apart: the results are the same but for that. */
static void test_phases(void **state)
{
  (void)state;
  dt_restore_context_t *ctx = _load("rawdenoise-tiny", FALSE, 128);
  dt_mosaic_t big = _bayer(402, 302, 0, 0, 0.8);
  test_image_t whole = _denoise(ctx, &big, NULL, NULL);
  for(int phase = 1; phase < 4; phase++)
  {
    const int dx = phase & 1, dy = phase >> 1;
    dt_mosaic_t m = _bayer(400, 300, dx, dy, 0.8);
    test_image_t part = _denoise(ctx, &m, NULL, NULL);
    for(int y = 8; y < 292; y++)
      for(int x = 8; x < 392; x++)
        for(int c = 0; c < 3; c++)
        {
          /* the gain is measured on slightly different windows */
          const double a = (double)part.pixels[3 * (y * 400 + x) + c],
                       b = (double)whole.pixels[3 * ((y + dy) * 402 + x + dx) + c];
          if(fabs(a - b) > 2e-3 * fabs(b) + 1e-6) fail_msg("phase %d at %d,%d: %g and %g", phase, x, y, a, b);
        }
    test_image_free(&part);
    _free(&m);
  }
  test_image_free(&whole);
  _free(&big);
  dt_restore_free(ctx);
}

/* A network that hands back each site's value, with a factor of its own, in balanced colours: every site is itself, in
 * ordinary light and in light so bright that balanced values are far above 1. */
static void test_sites_return(void **state)
{
  (void)state;
  dt_restore_context_t *ctx = _load("rawdenoise-nearest", FALSE, 128);
  for(int i = 0; i < 8; i++)
  {
    const int phase = i / 2;
    dt_mosaic_t m = _bayer(131 + phase, 97, phase & 1, phase >> 1, i % 2 ? 1.2 : 0.5);
    test_image_t out = _denoise(ctx, &m, NULL, NULL);
    for(int y = 0; y < m.height; y++)
      for(int x = 0; x < m.width; x++)
      {
        const double a = (double)out.pixels[3 * (y * m.width + x) + dt_mosaic_colour(&m, x, y)],
                     b = (double)_site(&m, x, y);
        if(fabs(a - b) > 1e-5) fail_msg("phase %d at %d,%d: %g instead of %g", phase, x, y, a, b);
      }
    test_image_free(&out);
    _free(&m);
  }
  dt_restore_free(ctx);
}

/* --- sizes --- */

/* Fixed windows of 512 cells, as published: every remainder of a side by the step from one window to the next. */
static void test_remainders(void **state)
{
  (void)state;
  dt_restore_context_t *ctx = _load("rawdenoise-published", FALSE, 0);
  dt_restore_report_t report;
  for(int rest = 0; rest < 32; rest++)
  {
    dt_mosaic_t m = _bayer(2 * (448 + rest) - rest % 2, 40 + rest, 0, rest & 1, 0.8);
    test_image_t out = _denoise(ctx, &m, NULL, &report);
    assert_int_equal(report.plan.tile_width, 512);
    for(int i = 0; i < 3 * m.width * m.height; i++) assert_true(isfinite(out.pixels[i]));
    test_image_free(&out);
    _free(&m);
  }
  dt_restore_free(ctx);
}

/* --- gates --- */

static void _count(const char *pci, void *counter)
{
  g_assert(pci == NULL); /* the CPU has none */
  g_atomic_int_inc((gint *)counter);
}

/* The runs by which the gain is found are runs, too. */
static void test_gate(void **state)
{
  (void)state;
  static const struct
  {
    const char *id;
    gboolean finds_gain;
  } cases[] = { { "rawdenoise-unet", FALSE }, { "rawdenoise-tiny", TRUE } };
  for(size_t i = 0; i < G_N_ELEMENTS(cases); i++)
  {
    gint calls = 0;
    const dt_ai_gate_t gate = { _count, _count, &calls };
    const dt_restore_opts_t opts = { .gate = &gate };
    dt_restore_context_t *ctx = _load(cases[i].id, FALSE, 128);
    dt_mosaic_t m = _bayer(500, 300, 0, 0, 0.8);
    dt_restore_report_t report;
    test_image_t out = _denoise(ctx, &m, &opts, &report);
    const int tiles = report.plan.columns * report.plan.rows;
    assert_true(tiles > 1 && calls % 2 == 0);
    assert_int_equal(calls / 2 > tiles, cases[i].finds_gain);
    assert_in_range(calls / 2, tiles, tiles + 9);
    test_image_free(&out);
    _free(&m);
    dt_restore_free(ctx);
  }
}

/* --- strength --- */

static void test_strength(void **state)
{
  (void)state;
  dt_restore_context_t *ctx = _load("rawdenoise-tiny", FALSE, 128);
  dt_mosaic_t m = _bayer(211, 143, 1, 1, 0.8);
  test_image_t full = _denoise(ctx, &m, NULL, NULL), none, half;
  none = _denoise(ctx, &m, &(dt_restore_opts_t){ .original = 1 }, NULL);
  half = _denoise(ctx, &m, &(dt_restore_opts_t){ .original = 0.5f }, NULL);
  for(int y = 0; y < m.height; y++)
    for(int x = 0; x < m.width; x++)
    {
      const int at = 3 * (y * m.width + x);
      assert_true(none.pixels[at + dt_mosaic_colour(&m, x, y)] == _site(&m, x, y));
      for(int c = 0; c < 3; c++)
        assert_float_equal(half.pixels[at + c], 0.5f * (full.pixels[at + c] + none.pixels[at + c]), 1e-6);
    }
  test_image_free(&full);
  test_image_free(&none);
  test_image_free(&half);
  _free(&m);
  dt_restore_free(ctx);
}

/* A black half of the mask is the original, a white one the network's, to the bit. */
static void test_mask(void **state)
{
  (void)state;
  dt_restore_context_t *ctx = _load("rawdenoise-tiny", FALSE, 128);
  dt_mosaic_t m = _bayer(120, 90, 0, 1, 0.8);
  test_image_t mask = test_image_new(120, 90, 1);
  for(int i = 0; i < 120 * 90; i++) mask.pixels[i] = i % 120 < 60 ? 0.0f : 1.0f;
  dt_row_source_t *source = test_source_new(&mask);
  test_image_t full = _denoise(ctx, &m, NULL, NULL), none, mixed;
  none = _denoise(ctx, &m, &(dt_restore_opts_t){ .original = 1 }, NULL);
  mixed = _denoise(ctx, &m, &(dt_restore_opts_t){ .mask = source }, NULL);
  for(int i = 0; i < 3 * 120 * 90; i++)
    assert_true(mixed.pixels[i] == (i / 3 % 120 < 60 ? none : full).pixels[i]);
  dt_row_source_destroy(source);
  test_image_free(&mask);
  test_image_free(&full);
  test_image_free(&none);
  test_image_free(&mixed);
  _free(&m);
  dt_restore_free(ctx);
}

/* What was saturated does not come back a little darker: developers would tint it. */
static void test_saturation(void **state)
{
  (void)state;
  dt_restore_context_t *ctx = _load("rawdenoise-unet", FALSE, 128);
  dt_mosaic_t m = _bayer(100, 80, 0, 0, 0.4);
  guint16 *samples = (guint16 *)m.samples;
  for(int y = 20; y < 40; y++)
    for(int x = 30; x < 60; x++) samples[y * 100 + x] = WHITE;
  test_image_t out = _denoise(ctx, &m, NULL, NULL);
  for(int y = 20; y < 40; y++)
    for(int x = 30; x < 60; x++)
      for(int c = 0; c < 3; c++) assert_true(out.pixels[3 * (y * 100 + x) + c] > 0.99999f);
  test_image_free(&out);
  _free(&m);
  dt_restore_free(ctx);
}

/* --- other sensors --- */

/* A linear network that doubles everything, on a picture brightened to a mean of 0.3, in Rec.2020: all of it is undone. */
static void test_linear_returns(void **state)
{
  (void)state;
  dt_restore_context_t *ctx = _load("rawdenoise-nearest", TRUE, 128);
  dt_mosaic_t m = _linear(150, 110);
  dt_restore_report_t report;
  test_image_t out = _denoise(ctx, &m, NULL, &report);
  assert_int_equal(report.plan.cell, 1);
  for(int y = 0; y < m.height; y++)
  {
    float row[450];
    dt_mosaic_read(&m, 0, y, m.width, row);
    for(int i = 0; i < 450; i++)
      if(fabsf(out.pixels[450 * y + i] - row[i]) > 2e-5f)
        fail_msg("%d,%d: %g instead of %g", i / 3, y, (double)out.pixels[450 * y + i], (double)row[i]);
  }
  test_image_free(&out);
  _free(&m);
  dt_restore_free(ctx);
}

/* --- what is refused, and what goes wrong --- */

static void _assert_refused(const char *id, gboolean linear, const char *words)
{
  const dt_restore_load_opts_t opts = { .linear = linear };
  GError *error = NULL;
  assert_null(dt_restore_load(_env, "rawdenoise", id, &opts, &error));
  assert_true(g_error_matches(error, DT_AI_ERROR, DT_AI_ERROR_NO_MODEL));
  if(!strstr(error->message, words)) fail_msg("\"%s\" does not say \"%s\"", error->message, words);
  g_clear_error(&error);
}

static void test_refused_models(void **state)
{
  (void)state;
  _assert_refused("broken-raw-kind", FALSE, "linear_v1");
  _assert_refused("broken-raw-word", FALSE, "moonlight");
  _assert_refused("rawdenoise-unet", TRUE, "model_linear.onnx");
  _assert_refused("broken-run-raw-mean", FALSE, "model_bayer.onnx");
  _assert_refused("denoise-conv3", FALSE, "task");
}

static void _assert_fails(dt_restore_context_t *ctx, const dt_mosaic_t *m, const dt_restore_opts_t *opts,
                          int code)
{
  test_image_t out;
  GError *error = NULL;
  assert_false(_run(ctx, m, opts, &out, NULL, &error));
  assert_true(g_error_matches(error, DT_AI_ERROR, code));
  g_clear_error(&error);
  test_image_free(&out);
}

static void test_refused_pictures(void **state)
{
  (void)state;
  dt_restore_context_t *ctx = _load("rawdenoise-tiny", FALSE, 128);
  dt_mosaic_t thin = _bayer(1, 50, 0, 0, 0.8), linear = _linear(40, 30), fine = _bayer(300, 200, 0, 0, 0.8);
  GCancellable *cancelled = g_cancellable_new();
  g_cancellable_cancel(cancelled);
  _assert_fails(ctx, &thin, NULL, DT_AI_ERROR_INPUT);
  _assert_fails(ctx, &linear, NULL, DT_AI_ERROR_INPUT);
  _assert_fails(ctx, &fine, &(dt_restore_opts_t){ .cancellable = cancelled }, DT_AI_ERROR_CANCELLED);
  _assert_fails(ctx, &fine, &(dt_restore_opts_t){ .cancellable = cancelled, .original = 1 },
                DT_AI_ERROR_CANCELLED);
  g_object_unref(cancelled);
  _free(&thin);
  _free(&linear);
  _free(&fine);
  dt_restore_free(ctx);
}

/* A picture that is black has no gain to be found, and is no reason to fail. */
static void test_black_picture(void **state)
{
  (void)state;
  dt_restore_context_t *ctx = _load("rawdenoise-tiny", FALSE, 128);
  dt_mosaic_t m = _bayer(64, 64, 0, 0, 0);
  for(int i = 0; i < 64 * 64; i++) ((guint16 *)m.samples)[i] = BLACK;
  test_image_t out = _denoise(ctx, &m, NULL, NULL);
  for(int i = 0; i < 3 * 64 * 64; i++) assert_true(fabsf(out.pixels[i]) < 1.0f);
  test_image_free(&out);
  _free(&m);
  dt_restore_free(ctx);
}

/* A damaged sample of floating point is one dark place, not the end of its surroundings. */
static void test_damaged_sample(void **state)
{
  (void)state;
  dt_restore_context_t *ctx = _load("rawdenoise-unet", FALSE, 128);
  dt_mosaic_t whole = _bayer(64, 64, 0, 0, 0.8), m = whole;
  float *samples = g_new(float, 64 * 64);
  for(int i = 0; i < 64 * 64; i++) samples[i] = ((const guint16 *)whole.samples)[i];
  samples[64 * 30 + 31] = NAN;
  m.is_float = TRUE;
  m.samples = samples;
  test_image_t out = _denoise(ctx, &m, NULL, NULL), expected = _denoise(ctx, &whole, NULL, NULL);
  for(int i = 0; i < 3 * 64 * 64; i++) assert_true(fabsf(out.pixels[i] - expected.pixels[i]) < 1.0f);
  test_image_free(&out);
  test_image_free(&expected);
  g_free(samples);
  _free(&whole);
  dt_restore_free(ctx);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_tiled_equals_untiled),
    cmocka_unit_test(test_gain_is_independent_of_tiles),
    cmocka_unit_test(test_phases),
    cmocka_unit_test(test_sites_return),
    cmocka_unit_test(test_remainders),
    cmocka_unit_test(test_gate),
    cmocka_unit_test(test_strength),
    cmocka_unit_test(test_mask),
    cmocka_unit_test(test_saturation),
    cmocka_unit_test(test_linear_returns),
    cmocka_unit_test(test_refused_models),
    cmocka_unit_test(test_refused_pictures),
    cmocka_unit_test(test_black_picture),
    cmocka_unit_test(test_damaged_sample),
  };
  return cmocka_run_group_tests(tests, _setup, _teardown);
}
