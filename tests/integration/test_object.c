/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The object mask tool against the segmentation it stands on: prompts and taking them back, candidates, rough masks,
 * the cache; and what goes wrong on the way. */
#include "support.h"

#include "ai/seg_cache.h"
#include "develop/masks/object.h"
#include "imageio/imageio.h"

#include <glib/gstdio.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static const char *_dir;
static dt_ai_environment_t *_env;
static dt_seg_context_t *_seg;

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
  char *fixtures = test_fixture("models");
  _env = dt_ai_env_init(fixtures);
  g_free(fixtures);
  _seg = dt_seg_load(_env, "mask-object-tiny");
  assert_non_null(_seg);
  return 0;
}

static int _teardown(void **state)
{
  (void)state;
  dt_seg_free(_seg);
  dt_ai_env_destroy(_env);
  test_world_destroy();
  return 0;
}

/* A picture of soft colours, different for each seed. */
static const char *_write_picture(const char *name, int width, int height, int seed, int orientation)
{
  GError *error = NULL;
  const dt_metadata_t metadata = { .orientation = orientation };
  const dt_imageio_write_opts_t opts = { .bits = 8, .metadata = &metadata, .overwrite = TRUE };
  dt_row_sink_t *sink = dt_imageio_create(_path(name), width, height, DT_ROW_RGB, &opts, &error);
  assert_no_error(error);
  float *row = g_new(float, 3 * width);
  for(int y = 0; y < height; y++)
  {
    for(int i = 0; i < 3 * width; i++)
      row[i] = 0.5f + 0.4f * sinf((float)(i * (seed + 1)) * 0.01f) * cosf((float)(y + seed) * 0.03f);
    assert_true(sink->write(sink, y, 1, row, &error));
  }
  assert_true(sink->finish(sink, &error));
  g_free(row);
  return _path(name);
}

static dt_object_t *_open(const char *path, gboolean no_cache)
{
  const dt_object_opts_t opts = { .no_cache = no_cache };
  GError *error = NULL;
  dt_object_t *object = dt_object_open(_seg, path, &opts, &error);
  assert_no_error(error);
  return object;
}

static void _click(dt_object_t *object, double x, double y, gboolean foreground)
{
  GError *error = NULL;
  assert_true(dt_object_add_point(object, x, y, foreground, &error));
}

static const dt_seg_answer_t *_ask(dt_object_t *object)
{
  GError *error = NULL;
  const dt_seg_answer_t *answer = dt_object_answer(object, NULL, &error);
  assert_no_error(error);
  return answer;
}

static size_t _bytes(const dt_seg_answer_t *a)
{
  return (size_t)a->n * (size_t)a->rows * (size_t)a->columns * sizeof(float);
}

/* The logits, to compare with later ones. */
static GBytes *_keep(const dt_seg_answer_t *a)
{
  return g_bytes_new(a->logits, _bytes(a));
}

static void _assert_same(const dt_seg_answer_t *a, GBytes *kept, gboolean same)
{
  assert_int_equal(_bytes(a), g_bytes_get_size(kept));
  assert_true((memcmp(a->logits, g_bytes_get_data(kept, NULL), _bytes(a)) == 0) == same);
}

/* The same picture, encoded by hand. */
static dt_seg_context_t *_encode_by_hand(dt_object_t *object)
{
  GError *error = NULL;
  assert_true(dt_object_read_photo(object, NULL, &error));
  dt_seg_context_t *seg = dt_seg_fork(_seg);
  dt_row_source_t *rows = dt_photo_rows(dt_object_photo(object));
  assert_true(dt_seg_encode(seg, rows, NULL, NULL, NULL, &error));
  dt_row_source_destroy(rows);
  return seg;
}

/* --- prompts --- */

static void _test_click(void **state)
{
  (void)state;
  dt_object_t *object = _open(_write_picture("a.png", 300, 200, 1, 6), TRUE);
  const dt_photo_t *photo = dt_object_photo(object);
  GError *error = NULL;
  assert_int_equal(photo->width, 200);
  assert_int_equal(photo->height, 300);
  _click(object, 150, 220, TRUE);
  float *mask = dt_object_mask(object, NULL, 0, 0, NULL, &error);
  assert_no_error(error);
  assert_true(mask[220 * 200 + 150] > 0.5f);
  assert_true(mask[20 * 200 + 20] < 0.5f);
  free(mask);

  /* smaller, and with edges */
  const dt_seg_edges_t edges = { .guided = TRUE, .holes = 10, .specks = -1 };
  mask = dt_object_mask(object, &edges, 20, 30, NULL, &error);
  assert_no_error(error);
  assert_true(mask[22 * 20 + 15] > 0.5f);
  assert_true(mask[2 * 20 + 2] < 0.5f);
  free(mask);
  dt_object_free(object);
}

static void _test_undo(void **state)
{
  (void)state;
  dt_object_t *object = _open(_write_picture("a.png", 300, 200, 1, 1), TRUE);
  int n;
  assert_false(dt_object_undo(object));
  _click(object, 100, 100, TRUE);
  GBytes *one = _keep(_ask(object));
  _click(object, 200, 100, TRUE);
  GBytes *two = _keep(_ask(object));
  _click(object, 120, 50, FALSE);
  GBytes *three = _keep(_ask(object));
  assert_int_equal(dt_object_count(object), 3);

  for(int round = 0; round < 2; round++)
  {
    assert_true(dt_object_undo(object));
    _assert_same(_ask(object), two, TRUE);
    assert_true(dt_object_undo(object));
    _assert_same(_ask(object), one, TRUE);
    _click(object, 200, 100, TRUE);
    _assert_same(_ask(object), two, TRUE);
    _click(object, 120, 50, FALSE);
    _assert_same(_ask(object), three, TRUE);
  }
  /* two taken back without asking in between */
  assert_true(dt_object_undo(object) && dt_object_undo(object));
  _assert_same(_ask(object), one, TRUE);
  dt_object_clear(object);
  assert_int_equal(dt_object_count(object), 0);
  dt_object_get_points(object, &n);
  assert_int_equal(n, 0);
  _click(object, 100, 100, TRUE);
  _assert_same(_ask(object), one, TRUE);
  g_bytes_unref(one);
  g_bytes_unref(two);
  g_bytes_unref(three);
  dt_object_free(object);
}

/* Prompts that come together are one question; those that come one after the other go on from what was. */
static void _test_questions(void **state)
{
  (void)state;
  dt_object_t *object = _open(_write_picture("a.png", 300, 200, 1, 1), TRUE);
  dt_seg_context_t *seg = _encode_by_hand(object);
  GError *error = NULL;
  const dt_seg_point_t points[] = { { 20, 30, DT_SEG_BOX_TOP_LEFT },
                                    { 220, 130, DT_SEG_BOX_BOTTOM_RIGHT },
                                    { 100, 100, DT_SEG_FOREGROUND } };
  dt_seg_prompts_t prompts = { .points = points, .n_points = 3, .fresh = TRUE };
  dt_seg_answer_t *expected = dt_seg_answer(seg, &prompts, NULL, &error);
  GBytes *together = _keep(expected);
  dt_seg_answer_free(expected);
  assert_true(dt_object_add_box(object, 220, 30, 20, 130, &error));
  _click(object, 100, 100, TRUE);
  _assert_same(_ask(object), together, TRUE);

  dt_object_clear(object);
  assert_true(dt_object_add_box(object, 20, 130, 220, 30, &error));
  _ask(object);
  _click(object, 100, 100, TRUE);
  _assert_same(_ask(object), together, FALSE);
  prompts.n_points = 2;
  dt_seg_answer_free(dt_seg_answer(seg, &prompts, NULL, &error));
  prompts.n_points = 3;
  prompts.fresh = FALSE;
  expected = dt_seg_answer(seg, &prompts, NULL, &error);
  GBytes *in_turn = _keep(expected);
  dt_seg_answer_free(expected);
  _assert_same(_ask(object), in_turn, TRUE);
  g_bytes_unref(together);
  g_bytes_unref(in_turn);
  dt_seg_free(seg);
  dt_object_free(object);
}

static void _test_candidates(void **state)
{
  (void)state;
  dt_object_t *object = _open(_write_picture("a.png", 300, 200, 1, 1), TRUE);
  dt_seg_context_t *seg = _encode_by_hand(object);
  GError *error = NULL;
  assert_int_equal(dt_object_get_candidate(object), -1);
  assert_false(dt_object_choose(object, 0));
  _click(object, 100, 100, TRUE);
  assert_int_equal(dt_object_get_candidate(object), -1);
  const int best = _ask(object)->best, other = best == 2 ? 1 : 2;
  assert_int_equal(dt_object_get_candidate(object), best);
  assert_false(dt_object_choose(object, 3));
  assert_false(dt_object_choose(object, -2));
  assert_true(dt_object_choose(object, other));
  assert_int_equal(dt_object_get_candidate(object), other);

  /* the next question goes on from it */
  _click(object, 200, 100, TRUE);
  const dt_seg_answer_t *answer = _ask(object);
  const dt_seg_point_t points[] = { { 100, 100, 1 }, { 200, 100, 1 } };
  dt_seg_prompts_t prompts = { .points = points, .n_points = 1, .fresh = TRUE };
  dt_seg_answer_free(dt_seg_answer(seg, &prompts, NULL, &error));
  assert_true(dt_seg_choose(seg, other));
  prompts.n_points = 2;
  prompts.fresh = FALSE;
  dt_seg_answer_t *expected = dt_seg_answer(seg, &prompts, NULL, &error);
  assert_memory_equal(answer->logits, expected->logits, _bytes(answer));
  dt_seg_answer_free(expected);
  assert_int_equal(dt_object_get_candidate(object), other);

  /* a choice is taken back with the prompt it was made for */
  assert_true(dt_object_choose(object, -1));
  assert_int_equal(dt_object_get_candidate(object), dt_object_answer(object, NULL, NULL)->best);
  assert_true(dt_object_undo(object));
  _ask(object);
  assert_int_equal(dt_object_get_candidate(object), other);
  dt_object_clear(object);
  _click(object, 100, 100, TRUE);
  _ask(object);
  assert_int_equal(dt_object_get_candidate(object), best);
  dt_seg_free(seg);
  dt_object_free(object);
}

static void _test_rough(void **state)
{
  (void)state;
  dt_object_t *object = _open(_write_picture("a.png", 300, 200, 1, 1), TRUE);
  dt_seg_context_t *seg = _encode_by_hand(object);
  GError *error = NULL;
  float rough[6 * 4] = { 0 };
  int width, height;
  rough[8] = rough[9] = 1;
  assert_null(dt_object_get_rough(object, &width, &height));
  _click(object, 250, 150, TRUE);
  GBytes *before = _keep(_ask(object));
  assert_true(dt_object_set_rough(object, rough, 6, 4, &error));
  const dt_seg_answer_t *answer = _ask(object);
  const dt_seg_point_t points[] = { { 250, 150, 1 }, { 100, 100, 1 } };
  dt_seg_prompts_t prompts = {
    .points = points, .n_points = 1, .rough = rough, .rough_width = 6, .rough_height = 4
  };
  dt_seg_answer_t *expected = dt_seg_answer(seg, &prompts, NULL, &error);
  assert_memory_equal(answer->logits, expected->logits, _bytes(answer));
  dt_seg_answer_free(expected);
  assert_non_null(dt_object_get_rough(object, &width, &height));
  assert_int_equal(width * 10 + height, 64);

  /* once it is answered, the answer counts */
  _click(object, 100, 100, TRUE);
  answer = _ask(object);
  prompts = (dt_seg_prompts_t){ .points = points, .n_points = 2 };
  expected = dt_seg_answer(seg, &prompts, NULL, &error);
  assert_memory_equal(answer->logits, expected->logits, _bytes(answer));
  dt_seg_answer_free(expected);
  assert_true(dt_object_undo(object) && dt_object_undo(object));
  _assert_same(_ask(object), before, TRUE);

  /* alone it is enough; of no size it is not */
  dt_object_clear(object);
  assert_true(dt_object_set_rough(object, rough, 6, 4, &error));
  _ask(object);
  assert_false(dt_object_set_rough(object, rough, 0, 4, &error));
  assert_true(g_error_matches(error, DT_AI_ERROR, DT_AI_ERROR_INPUT));
  g_clear_error(&error);
  g_bytes_unref(before);
  dt_seg_free(seg);
  dt_object_free(object);
}

/* --- the cache --- */

static void _test_cache(void **state)
{
  (void)state;
  const char *path = _write_picture("c.png", 120, 80, 3, 8);
  dt_object_t *object = _open(path, FALSE);
  GError *error = NULL;
  double reading, encoding;
  assert_false(dt_object_was_cached(object));
  dt_object_get_seconds(object, &reading, &encoding);
  assert_true(reading > 0 && encoding > 0);
  _click(object, 30, 60, TRUE);
  GBytes *first = _keep(_ask(object));
  dt_object_free(object);

  object = _open(path, FALSE);
  assert_true(dt_object_was_cached(object));
  assert_null(dt_object_photo(object)->rgb);
  assert_int_equal(dt_object_photo(object)->width, 80);
  _click(object, 30, 60, TRUE);
  _assert_same(_ask(object), first, TRUE);
  const dt_seg_edges_t edges = { .guided = TRUE };
  float *mask = dt_object_mask(object, &edges, 0, 0, NULL, &error);
  assert_no_error(error);
  assert_non_null(dt_object_photo(object)->rgb);
  free(mask);
  dt_object_free(object);

  object = _open(path, TRUE);
  assert_false(dt_object_was_cached(object));
  dt_object_free(object);
  const dt_object_opts_t opts = { .assume_profile = "adobergb" };
  object = dt_object_open(_seg, path, &opts, &error);
  assert_no_error(error);
  assert_false(dt_object_was_cached(object));
  dt_object_free(object);
  object = _open(_write_picture("c.png", 120, 80, 4, 8), FALSE);
  assert_false(dt_object_was_cached(object));
  dt_object_free(object);
  g_bytes_unref(first);
}

/* Another picture with the same content has the same encoding, another orientation has not. */
static void _test_cache_by_content(void **state)
{
  (void)state;
  dt_object_free(_open(_write_picture("d.png", 90, 60, 5, 1), FALSE));
  dt_object_t *object = _open(_write_picture("e.png", 90, 60, 5, 1), FALSE);
  assert_true(dt_object_was_cached(object));
  dt_object_free(object);
  object = _open(_write_picture("e.png", 90, 60, 5, 6), FALSE);
  assert_false(dt_object_was_cached(object));
  dt_object_free(object);
}

/* --- what goes wrong --- */

static void _assert_error(GError **error, int code, const char *words)
{
  assert_true(g_error_matches(*error, DT_AI_ERROR, code));
  assert_non_null(strstr((*error)->message, words));
  g_clear_error(error);
}

static void _test_refused(void **state)
{
  (void)state;
  dt_object_t *object = _open(_write_picture("a.png", 300, 200, 1, 1), TRUE);
  GError *error = NULL;
  static const double outside[][2] = { { -1, 5 },  { 5, -0.6 }, { 299.6, 5 },
                                       { 5, 200 }, { NAN, 5 },  { 5, INFINITY } };
  for(size_t i = 0; i < G_N_ELEMENTS(outside); i++)
  {
    assert_false(dt_object_add_point(object, outside[i][0], outside[i][1], TRUE, &error));
    _assert_error(&error, DT_AI_ERROR_INPUT, "300×200");
    assert_false(dt_object_add_box(object, 5, 5, outside[i][0], outside[i][1], &error));
    _assert_error(&error, DT_AI_ERROR_INPUT, "300×200");
  }
  assert_int_equal(dt_object_count(object), 0);
  assert_null(dt_object_answer(object, NULL, &error));
  _assert_error(&error, DT_AI_ERROR_USAGE, "");
  assert_null(dt_object_mask(object, NULL, 0, 0, NULL, &error));
  _assert_error(&error, DT_AI_ERROR_USAGE, "");
  _click(object, -0.5, -0.5, TRUE);
  _click(object, 299.5, 199.5, TRUE);
  _ask(object);
  for(int i = 0; dt_object_add_point(object, i % 300, i % 200, TRUE, &error); i++) assert_true(i < 2000);
  _assert_error(&error, DT_AI_ERROR_USAGE, "1024");
  int n;
  dt_object_get_points(object, &n);
  assert_int_equal(n, DT_SEG_MAX_POINTS);
  _ask(object);
  dt_object_free(object);
}

static void _test_boxes_of_segnext(void **state)
{
  (void)state;
  dt_seg_context_t *seg = dt_seg_load(_env, "mask-object-published-segnext");
  const dt_object_opts_t opts = { .no_cache = TRUE };
  GError *error = NULL;
  dt_object_t *object = dt_object_open(seg, _write_picture("a.png", 300, 200, 1, 1), &opts, &error);
  assert_no_error(error);
  assert_false(dt_object_add_box(object, 1, 1, 50, 50, &error));
  _assert_error(&error, DT_AI_ERROR_INPUT, "boxes");
  _click(object, 100, 100, TRUE);
  GBytes *one = _keep(_ask(object));
  _click(object, 200, 100, TRUE);
  _ask(object);
  assert_true(dt_object_undo(object));
  _assert_same(_ask(object), one, TRUE);
  g_bytes_unref(one);
  dt_object_free(object);
  dt_seg_free(seg);
}

static void _cancel_later(double fraction, void *data)
{
  if(fraction > 0.1) g_cancellable_cancel(data);
}

static void _test_cancel(void **state)
{
  (void)state;
  const char *path = _write_picture("big.png", 400, 3000, 1, 1);
  GError *error = NULL;
  GCancellable *cancellable = g_cancellable_new();
  const dt_object_opts_t opts = { .progress = _cancel_later,
                                  .progress_data = cancellable,
                                  .cancellable = cancellable };
  assert_null(dt_object_open(_seg, path, &opts, &error));
  _assert_error(&error, DT_AI_ERROR_CANCELLED, "");
  assert_null(dt_object_open(_seg, path, &opts, &error));
  _assert_error(&error, DT_AI_ERROR_CANCELLED, "");
  dt_object_t *object = _open(path, FALSE);
  assert_false(dt_object_was_cached(object));
  _click(object, 100, 100, TRUE);
  assert_null(dt_object_answer(object, cancellable, &error));
  _assert_error(&error, DT_AI_ERROR_CANCELLED, "");
  _ask(object);
  dt_object_free(object);
  assert_null(dt_object_open(_seg, _path("missing.jpg"), NULL, &error));
  _assert_error(&error, DT_AI_ERROR_INPUT, "missing.jpg");
  g_object_unref(cancellable);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(_test_click),
    cmocka_unit_test(_test_undo),
    cmocka_unit_test(_test_questions),
    cmocka_unit_test(_test_candidates),
    cmocka_unit_test(_test_rough),
    cmocka_unit_test(_test_cache),
    cmocka_unit_test(_test_cache_by_content),
    cmocka_unit_test(_test_refused),
    cmocka_unit_test(_test_boxes_of_segnext),
    cmocka_unit_test(_test_cancel),
  };
  return cmocka_run_group_tests(tests, _setup, _teardown);
}
