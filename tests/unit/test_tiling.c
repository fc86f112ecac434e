/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Tile plans against a search that tries every core size and knows nothing of the planner's ways; the mirror
 * against walking there and back; and the numbers the specification names. */
#include "support.h"

#include "ai/tiling.h"

#include <limits.h>
#include <string.h>

/* below this window side the specification's ladder ends */
#define LEAST_WINDOW 256
#define MIB (1024.0 * 1024.0)

static int64_t _up(int64_t a, int64_t b)
{
  return (a + b - 1) / b;
}

/* --- a second opinion on what a core size costs --- */

typedef struct _cost_t
{
  int64_t computed;
  double memory;
} _cost_t;

static _cost_t _cost(const dt_tile_request_t *r, int64_t core_w, int64_t core_h)
{
  const int64_t cols = _up(r->width, core_w), rows = _up(r->height, core_h);
  const int64_t window = (core_w + 2 * r->halo) * (core_h + 2 * r->halo);
  /* the bands of the windows in flight, at most one more than they can fill, and the halo around them */
  const int64_t band = MIN(core_h * (1 + _up(r->slots, cols)), r->height) + 2 * r->halo;
  const double windows = (double)window * (r->pixel_bytes * r->runs + (double)r->slot_pixel_bytes * r->slots);
  const double rows_in = (double)r->width * (double)band * (double)r->row_sample_bytes;
  const double rows_out = (double)r->width * (double)(core_h + 2 * r->halo) * (double)r->out_sample_bytes;
  return (_cost_t){ window * cols * rows, (double)r->fixed_bytes + windows + rows_in + rows_out };
}

/* Core sizes worth trying along an axis of @p n pixels. Not below a window of LEAST_WINDOW, unless that is
 * all max_side allows or one core covers the axis anyway. */
static gboolean _is_admissible(const dt_tile_request_t *r, int core, int n)
{
  const int window = core + 2 * r->halo;
  if(window > r->max_side) return FALSE;
  return window >= LEAST_WINDOW || window + r->stride > r->max_side || core >= n;
}

/* The fewest pixels any admissible rectangular core computes within budget, or -1. */
static int64_t _best_of_all(const dt_tile_request_t *r)
{
  int64_t best = -1;
  const int end_w = r->width + r->stride, end_h = r->height + r->stride;
  for(int w = r->stride; w < end_w && w + 2 * r->halo <= r->max_side; w += r->stride)
  {
    if(!_is_admissible(r, w, r->width)) continue;
    for(int h = r->stride; h < end_h && h + 2 * r->halo <= r->max_side; h += r->stride)
    {
      if(!_is_admissible(r, h, r->height)) continue;
      const _cost_t cost = _cost(r, w, h);
      if(cost.memory <= (double)r->budget && (best < 0 || cost.computed < best)) best = cost.computed;
    }
  }
  return best;
}

/* --- what every plan must be --- */

/* Each pixel of an axis lies in exactly one core, and no core lies outside. */
static void _check_cover(int n, int core, int count)
{
  assert_true(core > 0 && count > 0);
  assert_true((int64_t)core * count >= n);
  assert_true((int64_t)core * (count - 1) < n);
}

/* The ring holds every row that the items between the oldest unfinished and the newest prepared one need. */
static void _check_band(const dt_tile_request_t *r, const dt_tile_plan_t *p)
{
  const int64_t items = (int64_t)p->cols * p->rows, few = MIN(items, 4 * (int64_t)p->cols + r->slots);
  for(int64_t newest = 0; newest < few; newest++)
  {
    const int64_t oldest = MAX(0, newest - r->slots + 1);
    const int64_t top = MAX(0, oldest / p->cols * p->core_h - p->halo);
    const int64_t bottom = MIN(r->height, (newest / p->cols + 1) * p->core_h + p->halo);
    assert_true(bottom - top <= p->band_rows);
  }
}

static void _check_plan(const dt_tile_request_t *r, const dt_tile_plan_t *p)
{
  _check_cover(r->width, p->core_w, p->cols);
  _check_cover(r->height, p->core_h, p->rows);
  _check_band(r, p);
  assert_int_equal(p->halo, r->halo);
  assert_int_equal(p->window_w, p->core_w + 2 * p->halo);
  assert_int_equal(p->window_h, p->core_h + 2 * p->halo);
  assert_true(p->memory <= r->budget);
  assert_int_equal(p->computed, (int64_t)p->window_w * p->window_h * p->cols * p->rows);
  if(r->fixed_w)
  {
    assert_int_equal(p->window_w, r->fixed_w);
    assert_int_equal(p->window_h, r->fixed_h);
    return;
  }
  assert_int_equal(p->core_w % r->stride, 0);
  assert_int_equal(p->core_h % r->stride, 0);
  if(r->halo % r->stride == 0) assert_true(p->window_w % r->stride == 0 && p->window_h % r->stride == 0);
  assert_true(p->window_w <= r->max_side && p->window_h <= r->max_side);
  const _cost_t cost = _cost(r, p->core_w, p->core_h);
  assert_true((double)p->memory >= 0.999 * cost.memory && (double)p->memory <= 1.001 * cost.memory + 1);
}

static dt_tile_request_t _request(int width, int height)
{
  return (dt_tile_request_t){ .width = width,
                              .height = height,
                              .stride = 1,
                              .halo = 64,
                              .max_side = 2048,
                              .budget = SIZE_MAX,
                              .pixel_bytes = 300,
                              .slot_pixel_bytes = 24,
                              .row_sample_bytes = 12,
                              .out_sample_bytes = 12,
                              .runs = 1,
                              .slots = 3 };
}

static dt_tile_request_t _random_request(test_random_t *random)
{
  static const int strides[] = { 1, 2, 4, 8, 16, 32, 3, 7 };
  dt_tile_request_t r = _request(test_random_int(random, 1, 1 << test_random_int(random, 3, 13)),
                                 test_random_int(random, 1, 1 << test_random_int(random, 3, 13)));
  r.stride = strides[test_random_int(random, 0, G_N_ELEMENTS(strides) - 1)];
  r.halo =
      r.stride * (int)_up(test_random_int(random, 0, 3) ? 64 : test_random_int(random, 0, 150), r.stride);
  r.max_side = test_random_int(random, 0, 2) ? dt_tile_ladder[test_random_int(random, 0, 6)]
                                             : test_random_int(random, 64, 2048);
  r.runs = test_random_int(random, 1, 8);
  r.slots = r.runs + test_random_int(random, 1, 2);
  r.pixel_bytes = test_random_range(random, 24, 3000);
  r.fixed_bytes = (size_t)test_random_int(random, 0, 1 << 28);
  if(test_random_int(random, 0, 2))
    r.budget =
        r.fixed_bytes + (size_t)(test_random_range(random, 1, 40) * test_random_range(random, 1, 60) * MIB);
  return r;
}

static char *_describe(const dt_tile_request_t *r)
{
  return g_strdup_printf("%d×%d stride %d halo %d max %d budget %.0f MiB fixed %.0f MiB runs %d slots %d "
                         "%.0f bytes/pixel",
                         r->width, r->height, r->stride, r->halo, r->max_side, (double)r->budget / MIB,
                         (double)r->fixed_bytes / MIB, r->runs, r->slots, r->pixel_bytes);
}

static void _check_request(const dt_tile_request_t *r)
{
  dt_tile_plan_t plan;
  GError *error = NULL;
  const gboolean fits = dt_tile_plan(r, &plan, &error);
  const int64_t best = _best_of_all(r);
  char *what = _describe(r);
  if(!fits)
  {
    assert_true(g_error_matches(error, DT_AI_ERROR, DT_AI_ERROR_MEMORY));
    if(best >= 0) fail_msg("%s: no plan although there is one of %g pixels", what, (double)best);
  }
  else
  {
    assert_no_error(error);
    _check_plan(r, &plan);
    if(best >= 0 && (double)plan.computed > 1.03 * (double)best)
      fail_msg("%s: %d×%d cores compute %g pixels, possible are %g", what, plan.core_w, plan.core_h,
               (double)plan.computed, (double)best);
  }
  g_clear_error(&error);
  g_free(what);
}

static void test_random_plans(void **state)
{
  (void)state;
  test_random_t random = { 20252 };
  const int cases = test_is_long() ? 100000 : 2000;
  for(int i = 0; i < cases; i++)
  {
    const dt_tile_request_t r = _random_request(&random);
    _check_request(&r);
  }
}

/* --- the mirror --- */

static void test_mirror(void **state)
{
  (void)state;
  for(int n = 1; n <= 40; n++)
  {
    /* walk away from pixel 0 in both directions, turning at the ends */
    int right = 0, step = n > 1;
    for(int i = 0; i <= 5 * n; i++)
    {
      assert_int_equal(dt_tile_mirror(i, n), right);
      assert_int_equal(dt_tile_mirror(-i, n), right);
      if(right + step < 0 || right + step >= n) step = -step;
      right += step;
    }
  }
  static const int far[] = { INT_MAX, INT_MIN, INT_MIN + 1, INT_MAX - 1 };
  for(size_t i = 0; i < G_N_ELEMENTS(far); i++)
    for(int n = 1; n < 70000; n = 3 * n + 1) assert_in_range(dt_tile_mirror(far[i], n), 0, n - 1);
}

/* --- fixed windows --- */

static void test_fixed_windows(void **state)
{
  (void)state;
  test_random_t random = { 5 };
  for(int i = 0; i < 500; i++)
  {
    dt_tile_request_t r = _request(test_random_int(&random, 1, 9000), test_random_int(&random, 1, 9000));
    r.fixed_w = test_random_int(&random, 1, 1024);
    r.fixed_h = test_random_int(&random, 1, 1024);
    r.halo = test_random_int(&random, 0, 80);
    dt_tile_plan_t plan;
    GError *error = NULL;
    if(dt_tile_plan(&r, &plan, &error))
      _check_plan(&r, &plan);
    else
    {
      assert_true(MIN(r.fixed_w, r.fixed_h) <= 2 * r.halo);
      assert_true(g_error_matches(error, DT_AI_ERROR, DT_AI_ERROR_NO_MODEL));
    }
    g_clear_error(&error);
  }
}

static void test_fixed_window_over_budget(void **state)
{
  (void)state;
  dt_tile_request_t r = _request(4000, 3000);
  r.fixed_w = r.fixed_h = 512;
  r.budget = 1 << 20;
  dt_tile_plan_t plan;
  GError *error = NULL;
  assert_false(dt_tile_plan(&r, &plan, &error));
  assert_true(g_error_matches(error, DT_AI_ERROR, DT_AI_ERROR_MEMORY));
  g_error_free(error);
}

/* --- the ladder --- */

static void test_ladder(void **state)
{
  (void)state;
  static const int ladder[] = { 2048, 1536, 1024, 768, 512, 384, 256, 0 };
  for(size_t i = 0; i < G_N_ELEMENTS(ladder); i++) assert_int_equal(dt_tile_ladder[i], ladder[i]);
  static const int steps[][2] = { { 4096, 2048 }, { 2048, 1536 }, { 2047, 1536 }, { 1537, 1536 },
                                  { 1536, 1024 }, { 1025, 1024 }, { 600, 512 },   { 385, 384 },
                                  { 384, 256 },   { 257, 256 },   { 256, 0 },     { 64, 0 } };
  for(size_t i = 0; i < G_N_ELEMENTS(steps); i++)
  {
    const dt_tile_plan_t wide = { .window_w = steps[i][0], .window_h = 1 };
    const dt_tile_plan_t high = { .window_w = 1, .window_h = steps[i][0] };
    assert_int_equal(dt_tile_next_smaller(&wide), steps[i][1]);
    assert_int_equal(dt_tile_next_smaller(&high), steps[i][1]);
  }
}

/* --- budgets --- */

/* The number before " MiB" number @p index of the message. */
static double _mib_in(const char *message, int index)
{
  const char *mib = strstr(message, " MiB");
  while(mib && index--) mib = strstr(mib + 1, " MiB");
  if(!mib) fail_msg("no MiB: %s", message);
  while(mib > message && g_ascii_isdigit(mib[-1])) mib--;
  return g_ascii_strtod(mib, NULL);
}

static void test_too_small_a_budget(void **state)
{
  (void)state;
  dt_tile_request_t r = _request(4000, 3000);
  dt_tile_plan_t plan;
  GError *error = NULL;
  r.budget = 20 << 20;
  assert_false(dt_tile_plan(&r, &plan, &error));
  assert_true(g_error_matches(error, DT_AI_ERROR, DT_AI_ERROR_MEMORY));
  assert_non_null(strstr(error->message, "--memory"));
  assert_true(_mib_in(error->message, 0) == 20);
  /* what it says is needed is enough, and a little less is not */
  const double needed = _mib_in(error->message, 1);
  g_clear_error(&error);
  r.budget = (size_t)((needed + 1) * MIB);
  assert_true(dt_tile_plan(&r, &plan, &error));
  r.budget = (size_t)((needed - 1) * MIB);
  assert_false(dt_tile_plan(&r, &plan, &error));
  g_clear_error(&error);
}

static void test_no_room_for_a_core(void **state)
{
  (void)state;
  dt_tile_request_t r = _request(4000, 3000);
  r.max_side = 128;
  dt_tile_plan_t plan;
  GError *error = NULL;
  assert_false(dt_tile_plan(&r, &plan, &error));
  assert_true(g_error_matches(error, DT_AI_ERROR, DT_AI_ERROR_MEMORY));
  assert_true(strlen(error->message) > 20);
  g_error_free(error);
}

/* More memory never makes more work. */
static void test_budgets_are_monotonic(void **state)
{
  (void)state;
  dt_tile_request_t r = _request(6000, 4000);
  int64_t last = INT64_MAX;
  for(r.budget = 40 << 20; r.budget < (size_t)4 << 30; r.budget += r.budget / 8)
  {
    dt_tile_plan_t plan;
    if(!dt_tile_plan(&r, &plan, NULL)) continue;
    assert_true(plan.computed <= last);
    last = plan.computed;
  }
  assert_true(last < INT64_MAX);
}

/* --- sizes --- */

static void test_the_ordinary_photograph(void **state)
{
  (void)state;
  const dt_tile_request_t r = _request(4000, 3000);
  dt_tile_plan_t plan;
  assert_true(dt_tile_plan(&r, &plan, NULL));
  /* equalised tiles compute 1.19 × the picture, and a plan may give up 3 % of that for less memory */
  assert_true((double)plan.computed <= 1.19 * 1.03 * 4000 * 3000);
}

static void test_small_pictures_are_one_tile(void **state)
{
  (void)state;
  for(int size = 1; size <= 1920; size = size * 2 + 1)
  {
    dt_tile_request_t r = _request(size, 1 + size / 3);
    dt_tile_plan_t plan;
    r.stride = 4;
    assert_true(dt_tile_plan(&r, &plan, NULL));
    _check_plan(&r, &plan);
    assert_int_equal(plan.cols * plan.rows, 1);
    assert_true(plan.core_w < size + 4);
  }
}

/* Pictures of any size are planned at once, whatever stride and halo, and nothing overflows. */
static void test_huge_pictures(void **state)
{
  (void)state;
  static const int sizes[][2] = {
    { 65535, 65535 }, { 200000, 10 }, { 10, 200000 }, { 1000000, 1 }, { 200000, 200000 }
  };
  static const int halos[] = { 0, 64, 96, 120, 128, 200, 1000 };
  for(size_t i = 0; i < G_N_ELEMENTS(sizes); i++)
    for(size_t h = 0; h < G_N_ELEMENTS(halos); h++)
    {
      dt_tile_request_t r = _request(sizes[i][0], sizes[i][1]);
      dt_tile_plan_t plan;
      r.halo = halos[h];
      r.max_side = 2048;
      const gint64 start = g_get_monotonic_time();
      assert_true(dt_tile_plan(&r, &plan, NULL));
      assert_true(g_get_monotonic_time() - start < 5 * G_USEC_PER_SEC);
      _check_plan(&r, &plan);
      assert_true(plan.computed >= (int64_t)r.width * r.height);
      assert_true((double)plan.computed < 2e15);
    }
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_random_plans),
    cmocka_unit_test(test_mirror),
    cmocka_unit_test(test_fixed_windows),
    cmocka_unit_test(test_fixed_window_over_budget),
    cmocka_unit_test(test_ladder),
    cmocka_unit_test(test_too_small_a_budget),
    cmocka_unit_test(test_no_room_for_a_core),
    cmocka_unit_test(test_budgets_are_monotonic),
    cmocka_unit_test(test_the_ordinary_photograph),
    cmocka_unit_test(test_small_pictures_are_one_tile),
    cmocka_unit_test(test_huge_pictures),
  };
  return cmocka_run_group_tests_name("tiling", tests, NULL, NULL);
}
