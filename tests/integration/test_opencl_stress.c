/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Pipes of all types at once on two real devices, whose driver fails at random: every result is right, every run is in
 * the trace, and the trace agrees with the priorities. Skipped where PoCL is not installed. */
#include "pocl.h"
#include "support.h"
#include "trace.h"

#include "common/conf.h"
#include "common/opencl_launch.h"
#include "libs/opencl_cpu.h"

#include <math.h>
#include <pthread.h>
#include <string.h>

#define WIDTH 48
#define HEIGHT 40
#define FLOATS (WIDTH * HEIGHT * 4)
#define PATTERNS 8
#define RADIUS 3
#define SET_ASIDE 2000 /* microseconds */
#define PRIORITIES "*/!0,*/+1,0/*"

static const float _taps[RADIUS + 1] = { 0.4f, 0.2f, 0.075f, 0.025f };

static float _inputs[PATTERNS][FLOATS], _expected[PATTERNS][FLOATS];

/* --- a pipe of two modules --- */

static void _compute(const float *in, float *out)
{
  float *between = g_new(float, FLOATS);
  dt_opencl_cpu_exposure(in, between, WIDTH, HEIGHT, 0.01f, 1.5f);
  dt_opencl_cpu_blur_rows(between, out, WIDTH, HEIGHT, RADIUS, _taps);
  g_free(between);
}

/* Counted: one reference is the device's. */
typedef struct _job_t
{
  int pattern;
  float out[FLOATS];
} _job_t;

static gboolean _enqueue_both(dt_opencl_queue_t *queue, const cl_mem *b, cl_kernel exposure, cl_kernel blur,
                              GError **error)
{
  const cl_int width = WIDTH, height = HEIGHT, radius = RADIUS;
  const float black = 0.01f, scale = 1.5f;
  const dt_opencl_arg_t first[] = { DT_OPENCL_ARG(b[0]),   DT_OPENCL_ARG(b[1]),  DT_OPENCL_ARG(width),
                                    DT_OPENCL_ARG(height), DT_OPENCL_ARG(black), DT_OPENCL_ARG(scale) };
  const dt_opencl_arg_t second[] = { DT_OPENCL_ARG(b[1]),   DT_OPENCL_ARG(b[2]),   DT_OPENCL_ARG(width),
                                     DT_OPENCL_ARG(height), DT_OPENCL_ARG(radius), DT_OPENCL_ARG(b[3]) };
  return dt_opencl_enqueue(queue, exposure, first, G_N_ELEMENTS(first), WIDTH, HEIGHT, error)
         && dt_opencl_enqueue(queue, blur, second, G_N_ELEMENTS(second), WIDTH, HEIGHT, error);
}

static gboolean _work(dt_opencl_queue_t *queue, void *data, GError **error)
{
  _job_t *job = data;
  const gsize bytes = sizeof(job->out);
  cl_kernel exposure = dt_opencl_kernel(queue, "basic", "exposure", error);
  cl_kernel blur = exposure ? dt_opencl_kernel(queue, "gaussian", "blur_rows", error) : NULL;
  if(!blur) return FALSE;
  cl_mem b[4] = { dt_opencl_buffer_new(queue, bytes, _inputs[job->pattern], error) };
  if(b[0]) b[1] = dt_opencl_buffer_new(queue, bytes, NULL, error);
  if(b[1]) b[2] = dt_opencl_buffer_new(queue, bytes, NULL, error);
  if(b[2]) b[3] = dt_opencl_buffer_new(queue, sizeof(_taps), _taps, error);
  const gboolean fine = b[3] && _enqueue_both(queue, b, exposure, blur, error)
                        && dt_opencl_buffer_read(queue, b[2], bytes, job->out, error);
  for(int i = 0; i < 4; i++) dt_opencl_buffer_free(queue, b[i]);
  return fine;
}

/* --- the threads --- */

typedef struct _pipe_t
{
  dt_opencl_t *cl;
  dt_opencl_pipe_t pipe;
  int runs, seed;
  int wrong, on_device, on_cpu, over; /* results */
} _pipe_t;

static gboolean _is_right(const float *out, int pattern)
{
  for(int i = 0; i < FLOATS; i++)
    if(!(fabsf(out[i] - _expected[pattern][i]) <= 1e-5f)) return FALSE;
  return TRUE;
}

/* On the run's device, else here. @return whether the device did it */
static gboolean _do(dt_opencl_run_t *run, int pattern, float *out)
{
  _job_t *job = g_atomic_rc_box_new0(_job_t);
  job->pattern = pattern;
  const gboolean had_device = dt_opencl_run_device(run) >= 0;
  const gboolean there =
      had_device
      && dt_opencl_run_perform(run, _work, g_atomic_rc_box_acquire(job), g_atomic_rc_box_release, NULL);
  if(there)
    memcpy(out, job->out, sizeof(job->out));
  else
  {
    if(had_device) g_usleep(10 * SET_ASIDE); /* long enough for the device to serve others meanwhile */
    _compute(_inputs[pattern], out);
  }
  g_atomic_rc_box_release(job);
  return there;
}

static void _count(_pipe_t *p, dt_opencl_run_t *run, int pattern)
{
  float *out = g_new(float, FLOATS);
  if(_do(run, pattern, out))
    p->on_device++;
  else
    p->on_cpu++;
  if(!_is_right(out, pattern)) p->wrong++;
  g_free(out);
}

/* A run, and now and then another inside it. */
static void _run_once(_pipe_t *p, test_random_t *random)
{
  char image[32];
  g_snprintf(image, sizeof(image), "image %d", test_random_int(random, 0, 99));
  dt_opencl_run_t *run =
      dt_opencl_run_begin(p->cl, &(dt_opencl_run_opts_t){ .pipe = p->pipe, .image = image }, NULL);
  if(!run)
  {
    p->over++;
    return;
  }
  _count(p, run, test_random_int(random, 0, PATTERNS - 1));
  if(test_random_int(random, 0, 9) == 0)
  {
    dt_opencl_run_t *inner =
        dt_opencl_run_begin(p->cl, &(dt_opencl_run_opts_t){ .pipe = p->pipe, .parent = run }, NULL);
    if(inner) _count(p, inner, test_random_int(random, 0, PATTERNS - 1));
    dt_opencl_run_end(inner);
  }
  dt_opencl_run_end(run);
}

static void *_run_pipe(void *data)
{
  _pipe_t *p = data;
  test_random_t random = { (uint64_t)p->seed * 7919 + 1 };
  for(int i = 0; i < p->runs; i++) _run_once(p, &random);
  return NULL;
}

/* --- the world --- */

static const char *_world;

static int _set_up(void **state)
{
  (void)state;
  _world = test_pocl_world();
  dt_conf_override(DT_CONF_OPENCL_PRIORITY, PRIORITIES);
  test_random_t random = { 42 };
  for(int p = 0; p < PATTERNS; p++)
  {
    for(int i = 0; i < FLOATS; i++) _inputs[p][i] = (float)test_random_range(&random, 0.0, 1.0);
    _compute(_inputs[p], _expected[p]);
  }
  return 0;
}

static int _tear_down(void **state)
{
  (void)state;
  test_world_destroy();
  return 0;
}

/* A driver that fails, over the real one; skips the test when there are not two devices. */
static dt_opencl_t *_open(const char *trace, int fail_every)
{
  dt_opencl_driver_t *failing = test_pocl_failing_driver();
  if(!failing) skip();
  test_pocl_fail_every(fail_every, 0);
  GError *error = NULL;
  dt_opencl_t *cl = dt_opencl_create(
      &(dt_opencl_opts_t){ .trace = trace, .driver = failing, .set_aside = SET_ASIDE }, &error);
  assert_no_error(error);
  return cl;
}

static void _run_all(_pipe_t *pipes, int n)
{
  pthread_t threads[16];
  for(int i = 0; i < n; i++) assert_int_equal(pthread_create(&threads[i], NULL, _run_pipe, &pipes[i]), 0);
  for(int i = 0; i < n; i++) pthread_join(threads[i], NULL);
}

/* Three threads ask for full and two for preview, so that some wait and some are replaced. */
static void test_all_pipes(void **state)
{
  (void)state;
  char *trace = g_build_filename(_world, "trace.jsonl", NULL);
  dt_opencl_t *cl = _open(trace, 97);
  static const dt_opencl_pipe_t types[] = { DT_OPENCL_FULL,    DT_OPENCL_FULL,      DT_OPENCL_FULL,
                                            DT_OPENCL_PREVIEW, DT_OPENCL_PREVIEW,   DT_OPENCL_EXPORT,
                                            DT_OPENCL_EXPORT,  DT_OPENCL_THUMBNAIL, DT_OPENCL_THUMBNAIL };
  const int n_pipes = G_N_ELEMENTS(types);
  _pipe_t pipes[G_N_ELEMENTS(types)] = { 0 }, sum = { 0 };
  for(int i = 0; i < n_pipes; i++) pipes[i] = (_pipe_t){ .cl = cl, .pipe = types[i], .runs = 300, .seed = i };
  _run_all(pipes, n_pipes);
  for(int i = 0; i < n_pipes; i++)
  {
    sum.wrong += pipes[i].wrong;
    sum.on_device += pipes[i].on_device;
    sum.on_cpu += pipes[i].on_cpu;
    sum.over += pipes[i].over;
  }
  dt_opencl_destroy(cl);
  print_message("%d on devices, %d on the CPU, %d replaced\n", sum.on_device, sum.on_cpu, sum.over);
  assert_int_equal(sum.wrong, 0);
  assert_true(sum.on_device > 100 && sum.on_cpu > 10 && sum.over > 0);
  int n;
  test_trace_line_t *lines = test_trace_read(trace, &n);
  assert_int_equal(n, sum.on_device + sum.on_cpu);
  test_trace_check(lines, n);
  for(int i = 0; i < n; i++) assert_true(lines[i].pipe != DT_OPENCL_PREVIEW || lines[i].device != 0);
  gboolean served[2] = { FALSE };
  for(int i = 0; i < n; i++)
    if(lines[i].device >= 0) served[lines[i].device] = TRUE;
  assert_true(served[0] && served[1]);
  g_free(lines);
  g_free(trace);
}

/* Everything fails: everything is done on the CPU, and both devices end up set aside, not given up. */
static void test_hopeless_driver(void **state)
{
  (void)state;
  dt_opencl_t *cl = _open(NULL, 1);
  _pipe_t pipe = { .cl = cl, .pipe = DT_OPENCL_THUMBNAIL, .runs = 20 };
  _run_pipe(&pipe);
  assert_int_equal(pipe.wrong, 0);
  assert_int_equal(pipe.on_device, 0);
  for(int i = 0; i < 2; i++) assert_int_not_equal(dt_opencl_health(cl, i), DT_OPENCL_GIVEN_UP);
  dt_opencl_destroy(cl);
}

/* A device that was ill comes back, tested. */
static void test_recovery(void **state)
{
  (void)state;
  dt_opencl_t *cl = _open(NULL, 1);
  _pipe_t pipe = { .cl = cl, .pipe = DT_OPENCL_EXPORT, .runs = 4 };
  _run_pipe(&pipe);
  assert_int_equal(pipe.on_device, 0);
  test_pocl_fail_every(0, 0);
  g_usleep(50000);
  const gint64 begun = g_get_monotonic_time();
  for(pipe.runs = 1; pipe.on_device == 0 && g_get_monotonic_time() - begun < 20 * G_USEC_PER_SEC;)
    _run_pipe(&pipe);
  assert_true(pipe.on_device > 0);
  assert_int_equal(pipe.wrong, 0);
  dt_opencl_destroy(cl);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_all_pipes),
    cmocka_unit_test(test_hopeless_driver),
    cmocka_unit_test(test_recovery),
  };
  return cmocka_run_group_tests(tests, _set_up, _tear_down);
}
