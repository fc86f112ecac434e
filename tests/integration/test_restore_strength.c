/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Enlarging and strength through the whole of restoration: tiles do not show, ends are exact, highlights and alpha
 * come along. */
#include "support.h"

#include "ai/restore.h"
#include "common/colour.h"

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

static dt_restore_context_t *_load(const char *task, const char *id, int scale, int max_tile)
{
  const dt_restore_load_opts_t opts = { .scale = scale, .max_tile = max_tile, .threads = 1 };
  GError *error = NULL;
  dt_restore_context_t *ctx = dt_restore_load(_env, task, id, &opts, &error);
  assert_no_error(error);
  return ctx;
}

static test_image_t _restore(dt_restore_context_t *ctx, const test_image_t *in, const dt_restore_opts_t *opts)
{
  const int scale = dt_restore_get_scale(ctx);
  test_image_t out = test_image_new(scale * in->width, scale * in->height, in->channels);
  test_sink_t sink;
  test_sink_init(&sink, &out);
  dt_row_source_t *source = test_source_new(in);
  GError *error = NULL;
  dt_restore_process(ctx, source, &sink.sink, opts, NULL, &error);
  assert_no_error(error);
  assert_int_equal(sink.next, out.height);
  dt_row_source_destroy(source);
  return out;
}

static size_t _count(const test_image_t *i)
{
  return (size_t)i->width * (size_t)i->height * (size_t)i->channels;
}

static void _assert_same(const test_image_t *a, const test_image_t *b, const char *what)
{
  for(size_t i = 0; i < _count(a); i++)
    if(memcmp(&a->pixels[i], &b->pixels[i], sizeof(float)) != 0)
      fail_msg("%s: %d×%d×%d differs at %zu: %.9g and %.9g", what, a->width, a->height, a->channels, i,
               (double)a->pixels[i], (double)b->pixels[i]);
}

/* --- enlarging --- */

static const struct
{
  const char *id;
  int scale;
} _upscalers[] = { { "upscale-x2", 2 }, { "upscale-x4", 4 } };

static void test_enlarged_tiles_do_not_show(void **state)
{
  (void)state;
  test_random_t random = { 99 };
  for(size_t m = 0; m < G_N_ELEMENTS(_upscalers); m++)
  {
    dt_restore_context_t *small = _load("upscale", _upscalers[m].id, _upscalers[m].scale, 256);
    dt_restore_context_t *large = _load("upscale", _upscalers[m].id, _upscalers[m].scale, 2048);
    assert_int_equal(dt_restore_get_scale(small), _upscalers[m].scale);
    for(int i = 0; i < 6; i++)
    {
      const int w = i == 0 ? 1 : test_random_int(&random, 1, 500),
                h = i == 1 ? 1 : test_random_int(&random, 1, 500);
      test_image_t in = test_image_random(&random, w, h, 1 + i % 4);
      test_image_t a = _restore(small, &in, NULL), b = _restore(large, &in, NULL);
      _assert_same(&a, &b, _upscalers[m].id);
      test_image_free(&a);
      test_image_free(&b);
      test_image_free(&in);
    }
    dt_restore_free(small);
    dt_restore_free(large);
  }
}

/* The network is shown nothing above white; what exceeds it is enlarged linearly and added to what it makes. */
static void test_highlights_are_enlarged(void **state)
{
  (void)state;
  dt_restore_context_t *ctx = _load("upscale", "upscale-x2", 2, 2048);
  test_image_t in = test_image_new(40, 30, 3), clipped = test_image_new(40, 30, 3);
  for(size_t i = 0; i < _count(&in); i++) in.pixels[i] = clipped.pixels[i] = 1.0f;
  for(int c = 0; c < 3; c++)
    for(int y = 0; y < 30; y++)
      for(int x = 20; x < 40; x++) in.pixels[(y * 40 + x) * 3 + c] = 4.0f;
  test_image_t a = _restore(ctx, &in, NULL), b = _restore(ctx, &clipped, NULL);
  float four = 4.0f, one = 1.0f;
  dt_srgb_encode(&four, &four, 1);
  dt_srgb_encode(&one, &one, 1);
  for(size_t i = 0; i < _count(&a); i++)
  {
    const int x = (int)(i / 3 % 80);
    const float share = x < 39 ? 0.0f : x == 39 ? 0.25f : x == 40 ? 0.75f : 1.0f;
    float got[2];
    dt_srgb_encode(&a.pixels[i], &got[0], 1);
    dt_srgb_encode(&b.pixels[i], &got[1], 1);
    assert_true(fabsf(got[0] - got[1] - share * (four - one)) < 1e-5f);
  }
  test_image_free(&a);
  test_image_free(&b);
  test_image_free(&in);
  test_image_free(&clipped);
  dt_restore_free(ctx);
}

/* An infinity is a very bright pixel; its neighbours stay numbers. */
static void test_infinities_are_enlarged(void **state)
{
  (void)state;
  dt_restore_context_t *ctx = _load("upscale", "upscale-x2", 2, 2048);
  test_random_t random = { 6 };
  test_image_t in = test_image_random(&random, 40, 30, 4);
  in.pixels[4 * (15 * 40 + 20)] = INFINITY;
  in.pixels[4 * (10 * 40 + 5) + 1] = -INFINITY;
  in.pixels[4 * (20 * 40 + 5) + 3] = NAN;
  test_image_t out = _restore(ctx, &in, NULL);
  for(size_t i = 0; i < _count(&out); i++) assert_true(isfinite(out.pixels[i]));
  assert_true(out.pixels[4 * (30 * 80 + 40)] > 1000);
  assert_true(out.pixels[4 * (20 * 80 + 10) + 1] < -1000);
  test_image_free(&in);
  test_image_free(&out);
  dt_restore_free(ctx);
}

static void test_wrong_factor_is_refused(void **state)
{
  (void)state;
  static const struct
  {
    const char *id;
    int scale;
    const char *words;
  } cases[] = { { "upscale-x2", 4, "model_x4.onnx" },
                { "broken-check-factor", 2, "4 times the size of its input; twice the size was wanted" } };
  for(size_t i = 0; i < G_N_ELEMENTS(cases); i++)
  {
    const dt_restore_load_opts_t opts = { .scale = cases[i].scale };
    GError *error = NULL;
    assert_null(dt_restore_load(_env, "upscale", cases[i].id, &opts, &error));
    assert_true(g_error_matches(error, DT_AI_ERROR, DT_AI_ERROR_NO_MODEL));
    if(!strstr(error->message, cases[i].words)) fail_msg("%s", error->message);
    g_clear_error(&error);
  }
}

/* --- strength --- */

static void test_strength_ends(void **state)
{
  (void)state;
  dt_restore_context_t *ctx = _load("denoise", "denoise-conv3", 0, 256);
  test_random_t random = { 5 };
  for(int channels = 1; channels <= 4; channels++)
  {
    test_image_t in = test_image_random(&random, 150, 430, channels);
    const dt_restore_opts_t none = { .original = 1 }, half = { .original = 0.5f };
    test_image_t a = _restore(ctx, &in, &none), full = _restore(ctx, &in, NULL),
                 between = _restore(ctx, &in, &half);
    _assert_same(&a, &in, "strength 0");
    double to_full = 0, apart = 0;
    for(size_t i = 0; i < _count(&in); i++)
    {
      to_full += fabs((double)between.pixels[i] - (double)full.pixels[i]);
      apart += fabs((double)in.pixels[i] - (double)full.pixels[i]);
    }
    assert_true(to_full > 0.05 * apart && to_full < 0.95 * apart);
    test_image_free(&a);
    test_image_free(&full);
    test_image_free(&between);
    test_image_free(&in);
  }
  dt_restore_free(ctx);
}

/* Tiles, and with them the moments at which rows arrive, do not matter. */
static void test_strength_with_any_tiles(void **state)
{
  (void)state;
  dt_restore_context_t *small = _load("denoise", "denoise-unet", 0, 256);
  dt_restore_context_t *large = _load("denoise", "denoise-unet", 0, 2048);
  test_random_t random = { 6 };
  test_image_t in = test_image_random(&random, 300, 600, 4);
  const dt_restore_opts_t opts = { .original = 0.9f };
  test_image_t a = _restore(small, &in, &opts), b = _restore(large, &in, &opts);
  _assert_same(&a, &b, "strength 10");
  test_image_free(&a);
  test_image_free(&b);
  test_image_free(&in);
  dt_restore_free(small);
  dt_restore_free(large);
}

static void test_mask(void **state)
{
  (void)state;
  dt_restore_context_t *ctx = _load("denoise", "denoise-conv3", 0, 256);
  test_random_t random = { 7 };
  test_image_t in = test_image_random(&random, 100, 300, 3), map = test_image_new(100, 300, 1);
  for(int i = 0; i < 100 * 300; i++) map.pixels[i] = i % 100 < 50 ? 0.0f : 1.0f;
  test_image_t full = _restore(ctx, &in, NULL);
  dt_row_source_t *source = test_source_new(&map);
  const dt_restore_opts_t opts = { .mask = source };
  test_image_t masked = _restore(ctx, &in, &opts);
  for(size_t i = 0; i < _count(&in); i++)
  {
    const float wanted = i / 3 % 100 < 50 ? in.pixels[i] : full.pixels[i];
    assert_true(fabsf(masked.pixels[i] - wanted) <= 1e-6f * MAX(1.0f, fabsf(wanted)));
  }
  dt_row_source_destroy(source);
  test_image_free(&masked);
  test_image_free(&full);
  test_image_free(&map);
  test_image_free(&in);
  dt_restore_free(ctx);
}

static void test_mask_of_another_size(void **state)
{
  (void)state;
  dt_restore_context_t *ctx = _load("denoise", "denoise-conv3", 0, 256);
  test_image_t in = test_image_new(30, 30, 3), map = test_image_new(30, 31, 1),
               out = test_image_new(30, 30, 3);
  dt_row_source_t *source = test_source_new(&in), *mask = test_source_new(&map);
  const dt_restore_opts_t opts = { .mask = mask };
  test_sink_t sink;
  test_sink_init(&sink, &out);
  GError *error = NULL;
  assert_false(dt_restore_process(ctx, source, &sink.sink, &opts, NULL, &error));
  assert_true(g_error_matches(error, DT_AI_ERROR, DT_AI_ERROR_INPUT));
  assert_true(sink.abandoned);
  g_clear_error(&error);
  dt_row_source_destroy(source);
  dt_row_source_destroy(mask);
  test_image_free(&in);
  test_image_free(&map);
  test_image_free(&out);
  dt_restore_free(ctx);
}

static void test_gamut_is_clipped_on_request(void **state)
{
  (void)state;
  dt_restore_context_t *ctx = _load("denoise", "denoise-conv3", 0, 256);
  test_random_t random = { 8 };
  test_image_t in = test_image_random(&random, 50, 50, 3);
  for(size_t i = 0; i < _count(&in); i += 2) in.pixels[i] = i % 4 ? -0.5f : 3.0f;
  const dt_restore_opts_t clip = { .clip_gamut = TRUE };
  test_image_t kept = _restore(ctx, &in, NULL), clipped = _restore(ctx, &in, &clip);
  gboolean above = FALSE, below = FALSE;
  for(size_t i = 0; i < _count(&in); i++)
  {
    above |= kept.pixels[i] > 1.5f;
    below |= kept.pixels[i] < -0.1f;
    assert_true(clipped.pixels[i] >= 0 && clipped.pixels[i] <= 1);
  }
  assert_true(above && below);
  test_image_free(&kept);
  test_image_free(&clipped);
  test_image_free(&in);
  dt_restore_free(ctx);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_enlarged_tiles_do_not_show),
    cmocka_unit_test(test_highlights_are_enlarged),
    cmocka_unit_test(test_infinities_are_enlarged),
    cmocka_unit_test(test_wrong_factor_is_refused),
    cmocka_unit_test(test_strength_ends),
    cmocka_unit_test(test_strength_with_any_tiles),
    cmocka_unit_test(test_mask),
    cmocka_unit_test(test_mask_of_another_size),
    cmocka_unit_test(test_gamut_is_clipped_on_request),
  };
  return cmocka_run_group_tests_name("strength", tests, _setup, _teardown);
}
