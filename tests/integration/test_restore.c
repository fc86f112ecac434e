/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The restored picture against the network run once over the whole picture, bit for bit; and what happens
 * when something goes wrong on the way. The reference is written down here a second time, as plainly as
 * possible. */
#include "support.h"

#include "ai/restore.h"
#include "ai/tiling.h"
#include "common/colour.h"
#include "common/memory.h"
#include "common/paths.h"

#include <glib/gstdio.h>
#include <math.h>
#include <string.h>

static dt_ai_environment_t *_env;

static int _setup(void **state)
{
  (void)state;
  test_world_create();
  char *fixtures = test_fixture("models"), *data = test_data("models");
  char *paths = g_strjoin(";", fixtures, data, NULL);
  _env = dt_ai_env_init(paths);
  assert_non_null(_env);
  g_free(paths);
  g_free(data);
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

/* --- the reference --- */

typedef struct _reference_t
{
  dt_ai_context_t *model;
  int halo, stride;
  float low, high, sigma;
} _reference_t;

static int _continue_by_mirror(int i, int n)
{
  while(n > 1 && (i < 0 || i >= n)) i = i < 0 ? -i : 2 * (n - 1) - i;
  return n > 1 ? i : 0;
}

/* One Run() over the picture, mirror-extended by the halo and up to the stride. */
static void _untiled(const _reference_t *ref, const test_image_t *in, test_image_t *out)
{
  const int w = (in->width + ref->stride - 1) / ref->stride * ref->stride + 2 * ref->halo;
  const int h = (in->height + ref->stride - 1) / ref->stride * ref->stride + 2 * ref->halo;
  const size_t plane = (size_t)w * (size_t)h;
  const int colours = DT_ROW_COLOURS(in->channels);
  float *x = g_new(float, 3 * plane), *y = g_new(float, 3 * plane), *sigma = g_new(float, plane);
  for(int c = 0; c < 3; c++)
    for(int j = 0; j < h; j++)
      for(int i = 0; i < w; i++)
      {
        const int px = _continue_by_mirror(i - ref->halo, in->width);
        const int py = _continue_by_mirror(j - ref->halo, in->height);
        float v = in->pixels[((size_t)py * (size_t)in->width + (size_t)px) * (size_t)in->channels
                             + (size_t)MIN(c, colours - 1)];
        dt_srgb_encode(&v, &v, 1);
        x[(size_t)c * plane + (size_t)j * (size_t)w + (size_t)i] = fminf(fmaxf(v, ref->low), ref->high);
      }
  for(size_t i = 0; i < plane; i++) sigma[i] = ref->sigma * (1.0f / 255.0f);
  int64_t image[] = { 1, 3, h, w }, map[] = { 1, 1, h, w }, result[] = { 1, 3, h, w };
  dt_ai_tensor_t inputs[] = { { x, DT_AI_FLOAT, image, 4 }, { sigma, DT_AI_FLOAT, map, 4 } };
  dt_ai_tensor_t output = { y, DT_AI_FLOAT, result, 4 };
  assert_int_equal(dt_ai_run(ref->model, inputs, dt_ai_get_input_count(ref->model), &output, 1), 0);
  for(int j = 0; j < in->height; j++)
    for(int i = 0; i < in->width; i++)
    {
      const size_t at = ((size_t)j * (size_t)in->width + (size_t)i) * (size_t)in->channels;
      const size_t from = (size_t)(j + ref->halo) * (size_t)w + (size_t)(i + ref->halo);
      for(int c = 0; c < in->channels; c++)
      {
        float v = in->pixels[at + (size_t)c];
        if(c < colours)
        {
          float encoded;
          dt_srgb_encode(&v, &encoded, 1);
          v = y[(size_t)c * plane + from];
          if(colours == 1) v = (y[from] + y[plane + from] + y[2 * plane + from]) * (1.0f / 3.0f);
          v += encoded - fminf(fmaxf(encoded, ref->low), ref->high);
          dt_srgb_decode(&v, &v, 1);
        }
        out->pixels[at + (size_t)c] = v;
      }
    }
  g_free(x);
  g_free(y);
  g_free(sigma);
}

/* --- helpers --- */

static dt_restore_context_t *_load(const char *id, const dt_restore_load_opts_t *opts)
{
  GError *error = NULL;
  dt_restore_context_t *ctx = dt_restore_load(_env, "denoise", id, opts, &error);
  assert_no_error(error);
  assert_non_null(ctx);
  return ctx;
}

static gboolean _restore(dt_restore_context_t *ctx, const test_image_t *in, test_image_t *out,
                         const dt_restore_opts_t *opts, dt_restore_report_t *report, GError **error)
{
  test_sink_t sink;
  test_sink_init(&sink, out);
  dt_row_source_t *source = test_source_new(in);
  const gboolean ok = dt_restore_process(ctx, source, &sink.sink, opts, report, error);
  assert_int_equal(sink.finished, ok);
  assert_int_equal(sink.abandoned, !ok);
  if(ok) assert_int_equal(sink.next, in->height);
  dt_row_source_destroy(source);
  return ok;
}

static void _assert_identical(const test_image_t *a, const test_image_t *b, const char *what)
{
  const size_t n = (size_t)a->width * (size_t)a->height * (size_t)a->channels;
  for(size_t i = 0; i < n; i++)
    if(memcmp(&a->pixels[i], &b->pixels[i], sizeof(float)) != 0)
      fail_msg("%s: %d×%d×%d differs at pixel %zu,%zu: %.9g instead of %.9g", what, a->width, a->height,
               a->channels, i / (size_t)a->channels % (size_t)a->width,
               i / (size_t)a->channels / (size_t)a->width, a->pixels[i], b->pixels[i]);
}

/* --- exactness --- */

static const struct
{
  const char *id;
  int stride;
  gboolean unclamped;
} _exact_models[] = {
  { "denoise-conv3", 1, FALSE }, { "denoise-unet", 4, FALSE }, { "denoise-shuffle", 2, FALSE },
  { "denoise-sigma", 2, TRUE },  { "denoise-fp16", 2, FALSE }, { "denoise-fp16-sigma", 2, TRUE },
  { "denoise-batch", 1, FALSE }, { "denoise-clip", 1, FALSE }, { "denoise-ffdnet", 2, TRUE },
  { "denoise-leaves", 8, TRUE },
};

static void _check_model(const char *id, int stride, gboolean unclamped, int threads, int sizes,
                         test_random_t *random)
{
  const dt_restore_load_opts_t opts = { .threads = threads, .runs = 1 + threads % 2, .max_tile = 256 };
  dt_restore_context_t *ctx = _load(id, &opts);
  _reference_t ref = { .model = dt_ai_load_model(_env, id, NULL, DT_AI_PROVIDER_CPU),
                       .halo = 96, /* the widest receptive field of them, on every stride */
                       .stride = stride,
                       .low = unclamped ? -1.0f : 0.0f,
                       .high = unclamped ? 2.0f : 1.0f };
  assert_non_null(ref.model);
  for(int i = 0; i < sizes; i++)
  {
    /* the first few are the awkward ones */
    const int w = i == 0 ? 1 : i == 1 ? 7 : test_random_int(random, 1, 256);
    const int h = i == 0 ? 1 : i == 1 ? 256 : test_random_int(random, 1, 256);
    const int channels = i == 2 ? 1 : i == 3 ? 4 : i == 4 ? 2 : 3;
    test_image_t in = test_image_random(random, w, h, channels);
    test_image_t tiled = test_image_new(w, h, channels), whole = test_image_new(w, h, channels);
    const dt_restore_opts_t run = { .sigma = (float)test_random_range(random, 5, 60) };
    dt_restore_report_t report;
    GError *error = NULL;
    _restore(ctx, &in, &tiled, &run, &report, &error);
    assert_no_error(error);
    assert_true(report.plan.exact);
    ref.sigma = run.sigma;
    _untiled(&ref, &in, &whole);
    _assert_identical(&tiled, &whole, id);
    test_image_free(&in);
    test_image_free(&tiled);
    test_image_free(&whole);
  }
  dt_ai_unload_model(ref.model);
  dt_restore_free(ctx);
}

static void test_tiled_equals_untiled(void **state)
{
  (void)state;
  static const int threads[] = { 1, 2, 16 };
  test_random_t random = { 20251 };
  for(size_t m = 0; m < G_N_ELEMENTS(_exact_models); m++)
  {
    if(!dt_ai_get_model_info_by_id(_env, _exact_models[m].id))
    {
      print_message("skipped: %s is not here\n", _exact_models[m].id);
      continue;
    }
    const gboolean heavy = strcmp(_exact_models[m].id, "denoise-ffdnet") == 0
                           || strcmp(_exact_models[m].id, "denoise-leaves") == 0;
    for(size_t t = 0; t < G_N_ELEMENTS(threads); t++)
      _check_model(_exact_models[m].id, _exact_models[m].stride, _exact_models[m].unclamped, threads[t],
                   test_is_long()                 ? 200
                   : heavy || test_is_sanitized() ? 6
                                                  : 12,
                   &random);
  }
}

/* --- when something goes wrong --- */

/* Makes the stored measurements claim that the network needs almost nothing, so that the plan is far too
 * bold and the runtime really runs out of its arena. */
static void _falsify_calibration(void)
{
  char *cache = dt_paths_get(DT_DIR_CACHE);
  char *dir = g_build_filename(cache, "ai_v1_CPU_calibration", NULL);
  GDir *d = g_dir_open(dir, 0, NULL);
  assert_non_null(d);
  for(const char *name; (name = g_dir_read_name(d));)
  {
    char *path = g_build_filename(dir, name, NULL);
    GKeyFile *file = g_key_file_new();
    assert_true(g_key_file_load_from_file(file, path, G_KEY_FILE_NONE, NULL));
    g_key_file_set_double(file, "calibration", "pixel_bytes", 1.0);
    assert_true(g_key_file_save_to_file(file, path, NULL));
    g_key_file_unref(file);
    g_free(path);
  }
  g_dir_close(d);
  g_free(dir);
  g_free(cache);
}

static void _remove_calibration(void)
{
  char *cache = dt_paths_get(DT_DIR_CACHE);
  char *dir = g_build_filename(cache, "ai_v1_CPU_calibration", NULL);
  GDir *d = g_dir_open(dir, 0, NULL);
  for(const char *name; d && (name = g_dir_read_name(d));)
  {
    char *path = g_build_filename(dir, name, NULL);
    g_unlink(path);
    g_free(path);
  }
  if(d) g_dir_close(d);
  g_free(dir);
  g_free(cache);
}

/* The network takes some 500 bytes per pixel: a plan that believes in one byte asks for several times what
 * the arena may hold, whatever the machine. */
static void test_memory_runs_out(void **state)
{
  (void)state;
  if(test_is_sanitized()) skip();
  test_random_t random = { 7 };
  test_image_t in = test_image_random(&random, 1500, 900, 3);
  test_image_t expected = test_image_new(1500, 900, 3), out = test_image_new(1500, 900, 3);
  const dt_restore_load_opts_t small = { .max_tile = 384 };
  dt_restore_context_t *ctx = _load("denoise-wide", &small);
  GError *error = NULL;
  _restore(ctx, &in, &expected, NULL, NULL, &error);
  assert_no_error(error);
  dt_restore_free(ctx);

  _falsify_calibration();
  dt_memory_trim();
  const dt_restore_load_opts_t bold = { .memory = (size_t)dt_memory_resident() + ((size_t)200 << 20) };
  dt_restore_report_t report;
  ctx = _load("denoise-wide", &bold);
  assert_true(_restore(ctx, &in, &out, NULL, &report, &error));
  assert_no_error(error);
  assert_true(report.retries > 0);
  _assert_identical(&out, &expected, "out of memory");
  dt_restore_free(ctx);
  _remove_calibration();
  test_image_free(&in);
  test_image_free(&out);
  test_image_free(&expected);
}

static void test_budget_too_small(void **state)
{
  (void)state;
  const dt_restore_load_opts_t opts = { .memory = 8 << 20 };
  GError *error = NULL;
  dt_restore_context_t *ctx = dt_restore_load(_env, "denoise", "denoise-conv3", &opts, &error);
  dt_restore_plan_t plan;
  if(ctx) assert_false(dt_restore_plan(ctx, 4000, 3000, 3, NULL, 0, &plan, &error));
  assert_true(g_error_matches(error, DT_AI_ERROR, DT_AI_ERROR_MEMORY));
  assert_non_null(strstr(error->message, "--memory"));
  g_clear_error(&error);
  dt_restore_free(ctx);
}

static void test_sink_fails(void **state)
{
  (void)state;
  test_random_t random = { 11 };
  test_image_t in = test_image_random(&random, 300, 500, 3), out = test_image_new(300, 500, 3);
  const dt_restore_load_opts_t opts = { .max_tile = 256 };
  dt_restore_context_t *ctx = _load("denoise-conv3", &opts);
  for(int row = 0; row < 500; row += 83)
  {
    test_sink_t sink;
    test_sink_init(&sink, &out);
    sink.fail_at = row;
    dt_row_source_t *source = test_source_new(&in);
    GError *error = NULL;
    assert_false(dt_restore_process(ctx, source, &sink.sink, NULL, NULL, &error));
    assert_true(g_error_matches(error, DT_AI_ERROR, DT_AI_ERROR_OUTPUT));
    assert_true(sink.abandoned);
    g_clear_error(&error);
    dt_row_source_destroy(source);
  }
  dt_restore_free(ctx);
  test_image_free(&in);
  test_image_free(&out);
}

static void _cancel_at_half(double fraction, double megapixels, void *cancellable)
{
  (void)megapixels;
  if(fraction > 0.3) g_cancellable_cancel(cancellable);
}

static void test_cancel(void **state)
{
  (void)state;
  test_random_t random = { 13 };
  test_image_t in = test_image_random(&random, 400, 700, 3), out = test_image_new(400, 700, 3);
  const dt_restore_load_opts_t opts = { .max_tile = 256 };
  dt_restore_context_t *ctx = _load("denoise-conv3", &opts);
  GCancellable *cancellable = g_cancellable_new();
  const dt_restore_opts_t run = { .cancellable = cancellable,
                                  .progress = _cancel_at_half,
                                  .progress_data = cancellable };
  GError *error = NULL;
  assert_false(_restore(ctx, &in, &out, &run, NULL, &error));
  assert_true(g_error_matches(error, DT_AI_ERROR, DT_AI_ERROR_CANCELLED));
  g_clear_error(&error);
  /* the context serves the next picture */
  assert_true(_restore(ctx, &in, &out, NULL, NULL, &error));
  assert_no_error(error);
  g_object_unref(cancellable);
  dt_restore_free(ctx);
  test_image_free(&in);
  test_image_free(&out);
}

/* --- values outside the range, and what is not a number --- */

static void test_out_of_range_survives(void **state)
{
  (void)state;
  test_random_t random = { 17 };
  test_image_t in = test_image_random(&random, 200, 100, 3), out = test_image_new(200, 100, 3);
  in.pixels[3 * (50 * 200 + 100)] = 30.0f;    /* a highlight five stops above white */
  in.pixels[3 * (20 * 200 + 40) + 1] = -0.7f; /* far outside the gamut */
  in.pixels[3 * (70 * 200 + 10) + 2] = NAN;
  dt_restore_context_t *ctx = _load("denoise-clip", NULL);
  GError *error = NULL;
  assert_true(_restore(ctx, &in, &out, NULL, NULL, &error));
  assert_no_error(error);
  assert_true(out.pixels[3 * (50 * 200 + 100)] > 20.0f);
  assert_true(out.pixels[3 * (20 * 200 + 40) + 1] < -0.3f);
  for(size_t i = 0; i < 3 * 200 * 100; i++) assert_true(isfinite(out.pixels[i]));
  dt_restore_free(ctx);
  test_image_free(&in);
  test_image_free(&out);
}

/* A ramp that crosses white and leaves the gamut must stay a ramp: no step where the clamp begins. */
static void test_out_of_range_is_continuous(void **state)
{
  (void)state;
  enum
  {
    W = 512,
    H = 32
  };
  test_image_t in = test_image_new(W, H, 3), out = test_image_new(W, H, 3);
  for(int y = 0; y < H; y++)
    for(int x = 0; x < W; x++)
      for(int c = 0; c < 3; c++)
        in.pixels[3 * (y * W + x) + c] = (float)(x - 128) / 128.0f * (c == 1 ? 0.5f : 1);
  dt_restore_context_t *ctx = _load("denoise-clip", NULL);
  GError *error = NULL;
  assert_true(_restore(ctx, &in, &out, NULL, NULL, &error));
  for(int c = 0; c < 3; c++)
    for(int x = 1; x < W; x++)
    {
      const float step = out.pixels[3 * (16 * W + x) + c] - out.pixels[3 * (16 * W + x - 1) + c];
      assert_true(fabsf(step) < 0.25f);
    }
  dt_restore_free(ctx);
  test_image_free(&in);
  test_image_free(&out);
}

/* --- blended models --- */

static void test_blended_is_smooth(void **state)
{
  (void)state;
  test_random_t random = { 19 };
  /* flat grey: whatever the tiles disagree about shows as a step */
  test_image_t in = test_image_new(700, 600, 3), out = test_image_new(700, 600, 3);
  for(size_t i = 0; i < 3 * 700 * 600; i++)
    in.pixels[i] = 0.3f + (float)(i / (3 * 700)) * 1e-4f + (float)test_random_range(&random, 0, 1e-4);
  const dt_restore_load_opts_t opts = { .max_tile = 320 };
  dt_restore_context_t *ctx = _load("denoise-global", &opts);
  dt_restore_report_t report;
  GError *error = NULL;
  assert_true(_restore(ctx, &in, &out, NULL, &report, &error));
  assert_no_error(error);
  assert_false(report.plan.exact);
  assert_true(strlen(report.plan.reason) > 0);
  for(int y = 1; y < 600; y++)
    for(int x = 1; x < 700; x++)
      assert_true(fabsf(out.pixels[3 * (y * 700 + x)] - out.pixels[3 * ((y - 1) * 700 + x)]) < 0.01f);
  dt_restore_free(ctx);
  test_image_free(&in);
  test_image_free(&out);
}

static void test_fixed_window(void **state)
{
  (void)state;
  test_random_t random = { 23 };
  dt_restore_context_t *ctx = _load("denoise-static", NULL);
  for(int i = 0; i < 12; i++)
  {
    const int w = test_random_int(&random, 1, 200), h = test_random_int(&random, 1, 200);
    test_image_t in = test_image_random(&random, w, h, 3), out = test_image_new(w, h, 3);
    dt_restore_report_t report;
    GError *error = NULL;
    assert_true(_restore(ctx, &in, &out, NULL, &report, &error));
    assert_no_error(error);
    assert_int_equal(report.plan.tile_width, 64);
    test_image_free(&in);
    test_image_free(&out);
  }
  dt_restore_free(ctx);
}

/* --- models that are refused --- */

static void test_refused_models(void **state)
{
  (void)state;
  static const struct
  {
    const char *id, *words;
  } models[] = {
    { "broken-onnx", "not a valid ONNX" }, { "broken-wrong-names", "called" },
    { "broken-rank", "dimensions" },       { "broken-type", "floating-point" },
    { "broken-channels", "shape" },        { "broken-external", "another file" },
    { "denoise-resize", "keep the size" }, { "test-identity", "task" },
    { "not-there", "no model" },
  };
  for(size_t i = 0; i < G_N_ELEMENTS(models); i++)
  {
    GError *error = NULL;
    assert_null(dt_restore_load(_env, "denoise", models[i].id, NULL, &error));
    assert_true(g_error_matches(error, DT_AI_ERROR, DT_AI_ERROR_NO_MODEL));
    if(!strstr(error->message, models[i].words)) fail_msg("%s: %s", models[i].id, error->message);
    g_clear_error(&error);
  }
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_tiled_equals_untiled),
    cmocka_unit_test(test_memory_runs_out),
    cmocka_unit_test(test_budget_too_small),
    cmocka_unit_test(test_sink_fails),
    cmocka_unit_test(test_cancel),
    cmocka_unit_test(test_out_of_range_survives),
    cmocka_unit_test(test_out_of_range_is_continuous),
    cmocka_unit_test(test_blended_is_smooth),
    cmocka_unit_test(test_fixed_window),
    cmocka_unit_test(test_refused_models),
  };
  return cmocka_run_group_tests_name("restore", tests, _setup, _teardown);
}
