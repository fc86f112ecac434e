/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Sharing a graphics processor: when it is claimed, offered and given up. The claims of common/opencl.h are stand-ins,
 * which know whether somebody is inside when the device is given away. */
#include "support.h"

#include "libs/gpu_share.h"

#include <pthread.h>

#define PCI "0000:01:00.0"

/* --- stand-ins --- */

struct dt_opencl_run_t
{
  gboolean held;
};

static struct
{
  pthread_mutex_t lock;
  int claims, yields, ends;
  int alive; /* claims that are not ended */
  int inside;
  gboolean refuses, loses; /* no claim is to be had; an offered one does not come back */
  gulong waits;            /* microseconds, of claims and offers */
  char *pci;
  dt_opencl_t *cl;
  GCancellable *cancellable;
  dt_opencl_run_t *held;
} _w = { .lock = PTHREAD_MUTEX_INITIALIZER };

/* g_assert: a failing cmocka assertion may not jump out of another thread. */
dt_opencl_run_t *dt_opencl_claim(dt_opencl_t *cl, const char *pci, GCancellable *cancellable)
{
  g_usleep(_w.waits);
  pthread_mutex_lock(&_w.lock);
  g_assert(_w.inside == 0 && _w.alive == 0);
  _w.claims++;
  _w.cl = cl;
  _w.cancellable = cancellable;
  g_free(_w.pci);
  _w.pci = g_strdup(pci);
  if(!_w.refuses)
  {
    _w.held = g_new(dt_opencl_run_t, 1);
    _w.held->held = TRUE;
    _w.alive++;
  }
  dt_opencl_run_t *run = _w.refuses ? NULL : _w.held;
  pthread_mutex_unlock(&_w.lock);
  return run;
}

void dt_opencl_claim_yield(dt_opencl_run_t *claim)
{
  pthread_mutex_lock(&_w.lock);
  g_assert(claim && claim == _w.held && claim->held && _w.inside == 0);
  _w.yields++;
  claim->held = FALSE;
  pthread_mutex_unlock(&_w.lock);
  g_usleep(_w.waits);
  pthread_mutex_lock(&_w.lock);
  g_assert(_w.inside == 0); /* nobody got in while it was given away */
  claim->held = !_w.loses;
  pthread_mutex_unlock(&_w.lock);
}

int dt_opencl_run_device(const dt_opencl_run_t *run)
{
  return run->held ? 0 : -1;
}

void dt_opencl_run_end(dt_opencl_run_t *run)
{
  if(!run) return;
  g_assert(run == _w.held);
  _w.ends++;
  _w.alive--;
  _w.held = NULL;
  g_free(run);
}

/* --- */

static dt_opencl_t *const _cl = (dt_opencl_t *)&_w; /* nobody looks into it */

static int _begin(void **state)
{
  (void)state;
  _w.claims = _w.yields = _w.ends = 0;
  _w.refuses = _w.loses = FALSE;
  _w.waits = 0;
  return 0;
}

static int _end(void **state)
{
  (void)state;
  g_clear_pointer(&_w.pci, g_free);
  return _w.alive;
}

static void _assert_counts(int claims, int yields, int ends)
{
  if(_w.claims != claims || _w.yields != yields || _w.ends != ends)
    fail_msg("%d claims, %d yields, %d ends instead of %d, %d, %d", _w.claims, _w.yields, _w.ends, claims,
             yields, ends);
}

static void _pass(dt_gpu_share_t *share, const char *pci)
{
  dt_gpu_share_enter(share, pci);
  dt_gpu_share_leave(share, pci);
}

static void test_nothing_to_share(void **state)
{
  (void)state;
  dt_gpu_share_t *share = dt_gpu_share_create(NULL, NULL);
  assert_null(share);
  assert_null(dt_gpu_share_gate(share));
  _pass(share, PCI);
  dt_gpu_share_destroy(share);
  share = dt_gpu_share_create(_cl, NULL);
  _pass(share, NULL); /* the CPU */
  dt_gpu_share_destroy(share);
  _assert_counts(0, 0, 0);
}

static void test_claim(void **state)
{
  (void)state;
  GCancellable *cancellable = g_cancellable_new();
  dt_gpu_share_t *share = dt_gpu_share_create(_cl, cancellable);
  _assert_counts(0, 0, 0);
  dt_gpu_share_enter(share, PCI);
  assert_ptr_equal(_w.cl, _cl);
  assert_ptr_equal(_w.cancellable, cancellable);
  assert_string_equal(_w.pci, PCI);
  dt_gpu_share_enter(share, PCI);
  dt_gpu_share_leave(share, PCI);
  _assert_counts(1, 0, 0);
  dt_gpu_share_leave(share, PCI);
  _assert_counts(1, 1, 0);
  _pass(share, PCI); /* it is still held */
  _assert_counts(1, 2, 0);
  dt_gpu_share_destroy(share);
  _assert_counts(1, 2, 1);
  g_object_unref(cancellable);
}

static void test_gate(void **state)
{
  (void)state;
  dt_gpu_share_t *share = dt_gpu_share_create(_cl, NULL);
  const dt_ai_gate_t *gate = dt_gpu_share_gate(share);
  gate->enter(NULL, gate->user_data);
  gate->leave(NULL, gate->user_data);
  _assert_counts(0, 0, 0);
  gate->enter(PCI, gate->user_data);
  _assert_counts(1, 0, 0);
  gate->leave(PCI, gate->user_data);
  _assert_counts(1, 1, 0);
  dt_gpu_share_destroy(share);
}

/* A job that changes its device goes on without; nothing gets out of step. */
static void test_another_device(void **state)
{
  (void)state;
  dt_gpu_share_t *share = dt_gpu_share_create(_cl, NULL);
  dt_gpu_share_enter(share, PCI);
  _pass(share, "0000:02:00.0");
  _assert_counts(1, 0, 0);
  dt_gpu_share_leave(share, PCI);
  _pass(share, "0000:02:00.0");
  _assert_counts(1, 1, 0);
  dt_gpu_share_destroy(share);
}

/* Passes until there are so many claims. @return seconds it took */
static double _pass_until(dt_gpu_share_t *share, int claims)
{
  const gint64 start = g_get_monotonic_time();
  while(_w.claims < claims)
  {
    _pass(share, PCI);
    g_usleep(1000);
    if(g_get_monotonic_time() - start > 20 * G_USEC_PER_SEC) fail_msg("%d claims after 20 s", _w.claims);
  }
  return 1e-6 * (double)(g_get_monotonic_time() - start);
}

/* There is no such device in OpenCL, which is told at once: asking costs nothing. */
static void test_refused_at_once(void **state)
{
  (void)state;
  dt_gpu_share_t *share = dt_gpu_share_create(_cl, NULL);
  _w.refuses = TRUE;
  _pass(share, PCI);
  _assert_counts(1, 0, 0);
  _w.refuses = FALSE;
  _pass_until(share, 2);
  _assert_counts(2, 1, 0);
  dt_gpu_share_destroy(share);
  _assert_counts(2, 1, 1);
}

/* Who joins others that go on without a claim does so, too. */
static void test_refused_then_joined(void **state)
{
  (void)state;
  dt_gpu_share_t *share = dt_gpu_share_create(_cl, NULL);
  _w.refuses = TRUE;
  dt_gpu_share_enter(share, PCI);
  _w.refuses = FALSE;
  g_usleep(50000);
  _pass(share, PCI);
  _assert_counts(1, 0, 0);
  dt_gpu_share_leave(share, PCI);
  _assert_counts(1, 0, 0);
  dt_gpu_share_destroy(share);
}

/* Waiting in vain is not done for every tile. */
static void test_refused_after_waiting(void **state)
{
  (void)state;
  dt_gpu_share_t *share = dt_gpu_share_create(_cl, NULL);
  _w.refuses = TRUE;
  _w.waits = 50000;
  _pass(share, PCI);
  _assert_counts(1, 0, 0);
  assert_true(_pass_until(share, 2) >= 8 * 0.05);
  assert_true(_pass_until(share, 3) >= 8 * 0.05);
  _w.refuses = FALSE;
  _pass_until(share, 4);
  _assert_counts(4, 1, 0);
  dt_gpu_share_destroy(share);
}

/* Whoever got it in between keeps it. */
static void test_lost(void **state)
{
  (void)state;
  dt_gpu_share_t *share = dt_gpu_share_create(_cl, NULL);
  dt_gpu_share_enter(share, PCI);
  _w.loses = TRUE;
  _w.waits = 50000;
  dt_gpu_share_leave(share, PCI);
  _assert_counts(1, 1, 1);
  _w.loses = FALSE;
  assert_true(_pass_until(share, 2) >= 8 * 0.05);
  _assert_counts(2, 2, 1);
  dt_gpu_share_destroy(share);
  _assert_counts(2, 2, 2);
}

/* --- threads --- */

static gpointer _work(gpointer share)
{
  for(int i = 0; i < 200; i++)
  {
    dt_gpu_share_enter(share, PCI);
    pthread_mutex_lock(&_w.lock);
    g_assert(_w.held && _w.held->held);
    _w.inside++;
    pthread_mutex_unlock(&_w.lock);
    g_usleep((gulong)(i % 7) * 20);
    pthread_mutex_lock(&_w.lock);
    g_assert(_w.held && _w.held->held);
    _w.inside--;
    pthread_mutex_unlock(&_w.lock);
    dt_gpu_share_leave(share, PCI);
    g_usleep((gulong)(i % 5) * 30);
  }
  return NULL;
}

/* The device is held while anybody is inside, and given away only when nobody is. */
static void test_threads(void **state)
{
  (void)state;
  GThread *threads[4];
  dt_gpu_share_t *share = dt_gpu_share_create(_cl, NULL);
  _w.waits = 100;
  for(size_t i = 0; i < G_N_ELEMENTS(threads); i++) threads[i] = g_thread_new("work", _work, share);
  for(size_t i = 0; i < G_N_ELEMENTS(threads); i++) g_thread_join(threads[i]);
  print_message("offered %d times in 800 runs\n", _w.yields);
  assert_int_equal(_w.claims, 1);
  assert_in_range(_w.yields, 1, 800);
  dt_gpu_share_destroy(share);
  assert_int_equal(_w.ends, 1);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test_setup_teardown(test_nothing_to_share, _begin, _end),
    cmocka_unit_test_setup_teardown(test_claim, _begin, _end),
    cmocka_unit_test_setup_teardown(test_gate, _begin, _end),
    cmocka_unit_test_setup_teardown(test_another_device, _begin, _end),
    cmocka_unit_test_setup_teardown(test_refused_at_once, _begin, _end),
    cmocka_unit_test_setup_teardown(test_refused_then_joined, _begin, _end),
    cmocka_unit_test_setup_teardown(test_refused_after_waiting, _begin, _end),
    cmocka_unit_test_setup_teardown(test_lost, _begin, _end),
    cmocka_unit_test_setup_teardown(test_threads, _begin, _end),
  };
  return cmocka_run_group_tests_name("gpu_share", tests, NULL, NULL);
}
