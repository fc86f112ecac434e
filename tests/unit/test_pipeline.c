/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The three stages: order, the ring of slots, failure in every stage at every place, cancellation, and that
 * no thread outlives the call. */
#include "support.h"

#include "ai/pipeline.h"

#include <pthread.h>
#include <string.h>
#include <unistd.h>

typedef enum _stage_t
{
  PREPARE,
  RUN,
  FINISH,
  STAGES,
  NOWHERE = -1,
} _stage_t;

/* What the stages see of each other; one lock for all of it. */
typedef struct _world_t
{
  pthread_mutex_t lock;
  pthread_t caller;
  int items, slots, workers;
  int *passed[STAGES]; /* per item: how often it went through the stage */
  int *in_slot;        /* per slot: the item in it, -1: none */
  int *cargo;          /* per slot: plain memory, handed from stage to stage */
  int next_prepare, next_finish;
  int in_flight, most_in_flight, running, most_running;
  _stage_t fail_stage, cancel_stage;
  int fail_item, cancel_item;
  GCancellable *cancellable;
  gboolean dawdle;
} _world_t;

static _world_t *_world_new(int items, int slots, int workers)
{
  _world_t *w = g_new0(_world_t, 1);
  pthread_mutex_init(&w->lock, NULL);
  w->caller = pthread_self();
  w->items = items;
  w->slots = slots;
  w->workers = workers;
  for(int i = 0; i < STAGES; i++) w->passed[i] = g_new0(int, (gsize)items + 1);
  w->in_slot = g_new(int, (gsize)slots);
  w->cargo = g_new0(int, (gsize)slots);
  for(int i = 0; i < slots; i++) w->in_slot[i] = -1;
  w->fail_stage = w->cancel_stage = NOWHERE;
  return w;
}

static void _world_free(_world_t *w)
{
  for(int i = 0; i < STAGES; i++) g_free(w->passed[i]);
  g_free(w->in_slot);
  g_free(w->cargo);
  g_clear_object(&w->cancellable);
  pthread_mutex_destroy(&w->lock);
  g_free(w);
}

/* What every stage checks, with the lock held. g_assert: a failing cmocka assertion may not jump out of
 * another thread. */
static void _note_item(_world_t *w, _stage_t stage, int item, int slot)
{
  g_assert(item >= 0 && item < w->items);
  g_assert(slot == item % w->slots);
  g_assert(w->passed[stage][item]++ == 0);
  if(stage != PREPARE) g_assert(w->passed[stage - 1][item] == 1 && w->in_slot[slot] == item);
}

static gboolean _outcome(_world_t *w, _stage_t stage, int item, GError **error)
{
  if(w->dawdle && (item * 7 + (int)stage) % 5 == 0) g_usleep(50);
  if(stage == w->cancel_stage && item == w->cancel_item) g_cancellable_cancel(w->cancellable);
  if(stage != w->fail_stage || item != w->fail_item) return TRUE;
  g_set_error(error, DT_AI_ERROR, DT_AI_ERROR_INPUT, "stage %d, item %d", (int)stage, item);
  return FALSE;
}

static gboolean _prepare(void *data, int item, int slot, GError **error)
{
  _world_t *w = data;
  pthread_mutex_lock(&w->lock);
  _note_item(w, PREPARE, item, slot);
  g_assert(item == w->next_prepare++);
  g_assert(w->in_slot[slot] == -1);
  g_assert(w->slots == 1 || !pthread_equal(pthread_self(), w->caller));
  w->in_slot[slot] = item;
  w->in_flight++;
  w->most_in_flight = MAX(w->most_in_flight, w->in_flight);
  pthread_mutex_unlock(&w->lock);
  w->cargo[slot] = item + 1; /* without the lock: the pipeline itself has to order this */
  return _outcome(w, PREPARE, item, error);
}

static gboolean _run(void *data, int item, int slot, GError **error)
{
  _world_t *w = data;
  pthread_mutex_lock(&w->lock);
  _note_item(w, RUN, item, slot);
  w->running++;
  w->most_running = MAX(w->most_running, w->running);
  pthread_mutex_unlock(&w->lock);
  g_assert(w->cargo[slot] == item + 1);
  w->cargo[slot] = -item;
  const gboolean ok = _outcome(w, RUN, item, error);
  pthread_mutex_lock(&w->lock);
  w->running--;
  pthread_mutex_unlock(&w->lock);
  return ok;
}

static gboolean _finish(void *data, int item, int slot, GError **error)
{
  _world_t *w = data;
  g_assert(w->cargo[slot] == -item);
  pthread_mutex_lock(&w->lock);
  _note_item(w, FINISH, item, slot);
  g_assert(item == w->next_finish++);
  g_assert(pthread_equal(pthread_self(), w->caller));
  w->in_slot[slot] = -1;
  w->in_flight--;
  pthread_mutex_unlock(&w->lock);
  return _outcome(w, FINISH, item, error);
}

static const dt_pipeline_ops_t _ops = { _prepare, _run, _finish };

/* Threads of this process now, to see that none is left. */
static int _count_threads(void)
{
  GDir *dir = g_dir_open("/proc/self/task", 0, NULL);
  int n = 0;
  while(dir && g_dir_read_name(dir)) n++;
  if(dir) g_dir_close(dir);
  return n;
}

static gboolean _go(_world_t *w, GError **error)
{
  const int before = _count_threads();
  const gboolean ok = dt_pipeline_run(&_ops, w, w->items, w->slots, w->workers, w->cancellable, error);
  /* a joined thread leaves /proc a moment later */
  for(int i = 0; i < 1000 && _count_threads() > before; i++) g_usleep(1000);
  assert_int_equal(_count_threads(), before);
  assert_int_equal(w->running, 0);
  assert_true(w->most_in_flight <= w->slots);
  assert_true(w->most_running <= w->workers);
  return ok;
}

static void _assert_all_passed(const _world_t *w)
{
  for(int stage = 0; stage < STAGES; stage++)
    for(int i = 0; i < w->items; i++) assert_int_equal(w->passed[stage][i], 1);
  assert_int_equal(w->in_flight, 0);
}

/* --- everything goes well --- */

static void test_order(void **state)
{
  (void)state;
  for(int slots = 1; slots <= 5; slots++)
    for(int workers = 1; workers <= 4; workers++)
      for(int items = 0; items <= 12; items += 3)
      {
        _world_t *w = _world_new(items, slots, workers);
        GError *error = NULL;
        w->dawdle = TRUE;
        assert_true(_go(w, &error));
        assert_no_error(error);
        _assert_all_passed(w);
        _world_free(w);
      }
}

static void test_zero_items(void **state)
{
  (void)state;
  _world_t *w = _world_new(0, 3, 2);
  GError *error = NULL;
  assert_true(_go(w, &error));
  assert_no_error(error);
  assert_int_equal(w->next_prepare, 0);
  _world_free(w);
}

/* Stages overlap: the first item only gets through its run once the second is prepared. */
static gboolean _run_when_next_is_prepared(void *data, int item, int slot, GError **error)
{
  _world_t *w = data;
  for(gboolean prepared = item + 1 == w->items; !prepared; g_usleep(100))
  {
    pthread_mutex_lock(&w->lock);
    prepared = w->next_prepare > item + 1;
    pthread_mutex_unlock(&w->lock);
  }
  return _run(data, item, slot, error);
}

static void test_stages_overlap(void **state)
{
  (void)state;
  static const dt_pipeline_ops_t ops = { _prepare, _run_when_next_is_prepared, _finish };
  _world_t *w = _world_new(20, 2, 1);
  assert_true(dt_pipeline_run(&ops, w, w->items, w->slots, w->workers, NULL, NULL));
  _assert_all_passed(w);
  _world_free(w);
}

/* Several workers really work side by side: each waits until it has seen company. */
static gboolean _run_in_company(void *data, int item, int slot, GError **error)
{
  (void)slot;
  (void)error;
  _world_t *w = data;
  pthread_mutex_lock(&w->lock);
  w->running++;
  w->most_running = MAX(w->most_running, w->running);
  pthread_mutex_unlock(&w->lock);
  for(gboolean seen = item >= w->workers; !seen; g_usleep(100))
  {
    pthread_mutex_lock(&w->lock);
    seen = w->most_running >= w->workers;
    pthread_mutex_unlock(&w->lock);
  }
  pthread_mutex_lock(&w->lock);
  w->running--;
  pthread_mutex_unlock(&w->lock);
  return TRUE;
}

static gboolean _do_nothing(void *data, int item, int slot, GError **error)
{
  (void)data;
  (void)item;
  (void)slot;
  (void)error;
  return TRUE;
}

static void test_workers_work_side_by_side(void **state)
{
  (void)state;
  static const dt_pipeline_ops_t ops = { _do_nothing, _run_in_company, _do_nothing };
  _world_t *w = _world_new(12, 4, 3);
  assert_true(dt_pipeline_run(&ops, w, w->items, w->slots, w->workers, NULL, NULL));
  assert_int_equal(w->most_running, 3);
  _world_free(w);
}

static void test_stress(void **state)
{
  (void)state;
  test_random_t random = { 31 };
  for(int round = 0; round < (test_is_long() ? 100 : 4); round++)
  {
    _world_t *w = _world_new(10000, test_random_int(&random, 1, 8), test_random_int(&random, 1, 6));
    assert_true(_go(w, NULL));
    _assert_all_passed(w);
    _world_free(w);
  }
}

/* --- something goes wrong --- */

static void _check_failure(_stage_t stage, int item, int slots, int workers)
{
  _world_t *w = _world_new(9, slots, workers);
  GError *error = NULL;
  w->fail_stage = stage;
  w->fail_item = item;
  w->dawdle = TRUE;
  assert_false(_go(w, &error));
  assert_true(g_error_matches(error, DT_AI_ERROR, DT_AI_ERROR_INPUT));
  char *expected = g_strdup_printf("stage %d, item %d", (int)stage, item);
  assert_string_equal(error->message, expected);
  /* nothing behind the failed item has gone further than it; what finished did so in order */
  for(int i = item; i < w->items; i++) assert_int_equal(w->passed[FINISH][i], stage == FINISH && i == item);
  for(int i = 0; i < w->next_finish; i++) assert_int_equal(w->passed[FINISH][i], 1);
  g_free(expected);
  g_error_free(error);
  _world_free(w);
}

static void test_failure_anywhere(void **state)
{
  (void)state;
  for(int stage = PREPARE; stage < STAGES; stage++)
    for(int item = 0; item < 9; item++)
      for(int slots = 1; slots <= 4; slots++)
        for(int workers = 1; workers <= 3; workers++) _check_failure((_stage_t)stage, item, slots, workers);
}

/* When several fail, one error comes back and the others are not leaked. */
static gboolean _fail_always(void *data, int item, int slot, GError **error)
{
  (void)data;
  (void)slot;
  g_set_error(error, DT_AI_ERROR, DT_AI_ERROR_MEMORY, "item %d", item);
  return FALSE;
}

static void test_many_failures(void **state)
{
  (void)state;
  static const dt_pipeline_ops_t ops = { _do_nothing, _fail_always, _do_nothing };
  for(int i = 0; i < 50; i++)
  {
    GError *error = NULL;
    assert_false(dt_pipeline_run(&ops, NULL, 20, 6, 4, NULL, &error));
    assert_true(g_error_matches(error, DT_AI_ERROR, DT_AI_ERROR_MEMORY));
    g_error_free(error);
    assert_false(dt_pipeline_run(&ops, NULL, 20, 6, 4, NULL, NULL));
  }
}

static void test_cancellation(void **state)
{
  (void)state;
  for(int stage = PREPARE; stage < STAGES; stage++)
    for(int item = 0; item < 8; item++)
      for(int slots = 1; slots <= 4; slots++)
      {
        _world_t *w = _world_new(9, slots, 2);
        GError *error = NULL;
        w->cancellable = g_cancellable_new();
        w->cancel_stage = (_stage_t)stage;
        w->cancel_item = item;
        assert_false(_go(w, &error));
        assert_true(g_error_matches(error, DT_AI_ERROR, DT_AI_ERROR_CANCELLED));
        assert_true(w->next_finish <= item + 1);
        g_error_free(error);
        _world_free(w);
      }
}

static void test_cancelled_before(void **state)
{
  (void)state;
  _world_t *w = _world_new(5, 2, 1);
  GError *error = NULL;
  w->cancellable = g_cancellable_new();
  g_cancellable_cancel(w->cancellable);
  assert_false(_go(w, &error));
  assert_true(g_error_matches(error, DT_AI_ERROR, DT_AI_ERROR_CANCELLED));
  assert_int_equal(w->next_prepare, 0);
  g_error_free(error);
  _world_free(w);
}

static void *_cancel(void *cancellable)
{
  g_cancellable_cancel(cancellable);
  return NULL;
}

static void test_cancelled_from_outside(void **state)
{
  (void)state;
  _world_t *w = _world_new(1 << 20, 3, 2);
  w->cancellable = g_cancellable_new();
  pthread_t thread;
  GError *error = NULL;
  assert_int_equal(pthread_create(&thread, NULL, _cancel, w->cancellable), 0);
  assert_false(dt_pipeline_run(&_ops, w, w->items, w->slots, w->workers, w->cancellable, &error));
  assert_true(g_error_matches(error, DT_AI_ERROR, DT_AI_ERROR_CANCELLED));
  pthread_join(thread, NULL);
  g_error_free(error);
  _world_free(w);
}

static void *_return_at_once(void *data)
{
  return data;
}

/* ThreadSanitizer starts a thread of its own with the first one; it should not be counted as left behind. */
static int _setup(void **state)
{
  (void)state;
  pthread_t thread;
  return pthread_create(&thread, NULL, _return_at_once, NULL) || pthread_join(thread, NULL);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_order),
    cmocka_unit_test(test_zero_items),
    cmocka_unit_test(test_stages_overlap),
    cmocka_unit_test(test_workers_work_side_by_side),
    cmocka_unit_test(test_stress),
    cmocka_unit_test(test_failure_anywhere),
    cmocka_unit_test(test_many_failures),
    cmocka_unit_test(test_cancellation),
    cmocka_unit_test(test_cancelled_before),
    cmocka_unit_test(test_cancelled_from_outside),
  };
  return cmocka_run_group_tests_name("pipeline", tests, _setup, NULL);
}
