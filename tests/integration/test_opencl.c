/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Runs on real OpenCL devices (PoCL) over a driver that the test can break: programs and their cache, a device that
 * hangs, one that fails, waiting, nesting, claims, the trace. Skipped where PoCL is not installed. */
#include "pocl.h"
#include "support.h"

#include "common/conf.h"
#include "common/log.h"
#include "common/opencl_launch.h"
#include "common/opencl_probe.h"
#include "common/opencl_program.h"

#include <glib/gstdio.h>
#include <pthread.h>
#include <string.h>
#include <unistd.h>

static const char *_world;

/* --- notices --- */

static char _notice[4096];
static gint _notices;

static void _read_notice(unsigned topics, const char *line, void *data)
{
  (void)data;
  if(!(topics & DT_LOG_NOTICE)) return;
  g_strlcpy(_notice, line, sizeof(_notice));
  g_atomic_int_inc(&_notices);
}

static int _set_up(void **state)
{
  (void)state;
  _world = test_pocl_world();
  dt_log_set_handler(_read_notice, NULL, DT_LOG_NOTICE);
  return 0;
}

static int _tear_down(void **state)
{
  (void)state;
  dt_log_set_handler(NULL, NULL, 0);
  test_world_destroy();
  return 0;
}

static int _set_up_test(void **state)
{
  (void)state;
  g_atomic_int_set(&_notices, 0);
  dt_conf_override(DT_CONF_OPENCL_PRIORITY, "*/*/*/*");
  dt_conf_override(DT_CONF_OPENCL_HANG_SECONDS, "60");
  dt_conf_override(DT_CONF_OPENCL_TIMEOUT, "400");
  return 0;
}

static dt_opencl_driver_t *_driver(void)
{
  dt_opencl_driver_t *driver = test_pocl_driver();
  if(!driver) skip();
  return driver;
}

static dt_opencl_t *_open(const dt_opencl_driver_t *driver)
{
  GError *error = NULL;
  dt_opencl_t *cl = dt_opencl_create(&(dt_opencl_opts_t){ .driver = driver, .set_aside = 20000 }, &error);
  assert_no_error(error);
  assert_null(dt_opencl_absence(cl));
  return cl;
}

static dt_opencl_run_t *_begin(dt_opencl_t *cl, dt_opencl_pipe_t pipe)
{
  GError *error = NULL;
  dt_opencl_run_t *run = dt_opencl_run_begin(cl, &(dt_opencl_run_opts_t){ .pipe = pipe }, &error);
  assert_no_error(error);
  return run;
}

/* --- programs --- */

static char *_cached_file(const char *program)
{
  char *folder = dt_opencl_program_cache(), *found = NULL;
  GDir *dir = g_dir_open(folder, 0, NULL);
  for(const char *name; dir && !found && (name = g_dir_read_name(dir));)
    if(g_str_has_prefix(name, program)) found = g_build_filename(folder, name, NULL);
  if(dir) g_dir_close(dir);
  g_free(folder);
  return found;
}

typedef enum _origin_t
{
  COMPILED,
  CACHED,
} _origin_t;

/* On a device's thread: how the program was come by. */
static gboolean _open_program(dt_opencl_queue_t *queue, void *data, GError **error)
{
  char *key;
  cl_program program = dt_opencl_program_open(queue->cl, queue->context, queue->device, "basic", &key, error);
  *(_origin_t *)data = key ? COMPILED : CACHED;
  if(key) dt_opencl_program_keep(queue->cl, queue->device, "basic", key, program);
  g_free(key);
  if(program) queue->cl->ReleaseProgram(program);
  return program != NULL;
}

static _origin_t _origin(dt_opencl_t *cl)
{
  _origin_t origin = COMPILED;
  GError *error = NULL;
  dt_opencl_run_t *run = _begin(cl, DT_OPENCL_EXPORT);
  assert_int_equal(dt_opencl_run_device(run), 0);
  dt_opencl_run_perform(run, _open_program, &origin, NULL, &error);
  assert_no_error(error);
  dt_opencl_run_end(run);
  return origin;
}

static void test_programs_are_kept(void **state)
{
  (void)state;
  dt_opencl_t *cl = _open(_driver());
  assert_int_equal(_origin(cl), COMPILED);
  assert_int_equal(_origin(cl), CACHED);
  dt_opencl_destroy(cl);
  cl = _open(_driver());
  assert_int_equal(_origin(cl), CACHED);
  dt_opencl_destroy(cl);
}

static char _options[200];

static cl_int CL_API_CALL _noting_build(cl_program program, cl_uint n, const cl_device_id *devices,
                                        const char *options, void(CL_CALLBACK *notify)(cl_program, void *),
                                        void *data)
{
  g_strlcpy(_options, options, sizeof(_options));
  return test_pocl_real_driver()->BuildProgram(program, n, devices, options, notify, data);
}

/* What a real compiler is asked for it accepts: a wish it cannot grant would be an error. */
static void test_rounding_is_asked_for(void **state)
{
  (void)state;
  dt_opencl_driver_t *driver = _driver();
  driver->BuildProgram = _noting_build;
  dt_opencl_t *cl = _open(driver);
  const gboolean rounds = dt_opencl_device(cl, 0)->rounds;
  print_message("%s rounds quotients correctly: %s\n", dt_opencl_device(cl, 0)->name, rounds ? "yes" : "no");
  _origin(cl);
  dt_opencl_destroy(cl);
  assert_int_equal(strstr(_options, "correctly-rounded") != NULL, rounds);
}

/* Whatever lies there in its place is replaced, and does no harm. */
static void test_damaged_programs(void **state)
{
  (void)state;
  dt_opencl_t *cl = _open(_driver());
  _origin(cl);
  char *path = _cached_file("basic"), *good;
  gsize size;
  assert_non_null(path);
  assert_true(g_file_get_contents(path, &good, &size, NULL));
  test_random_t random = { 7 };
  for(int round = 0; round < 24; round++)
  {
    char *bad = g_memdup2(good, size);
    gsize length = size;
    if(round % 3 == 0)
      length = (gsize)test_random_int(&random, 0, (int)size - 1);
    else if(round % 3 == 1)
      bad[test_random_int(&random, 0, (int)size - 1)] ^= (char)(1 << test_random_int(&random, 0, 7));
    else
      for(gsize i = 0; i < length; i++) bad[i] = (char)test_random_int(&random, 0, 255);
    assert_true(g_file_set_contents(path, bad, (gssize)length, NULL));
    g_free(bad);
    assert_int_equal(_origin(cl), COMPILED);
    assert_int_equal(_origin(cl), CACHED);
  }
  g_free(good);
  g_free(path);
  dt_opencl_destroy(cl);
}

/* A file where the folder should be: every start compiles, says so once, and works. */
static void test_cache_that_cannot_be_written(void **state)
{
  (void)state;
  dt_opencl_driver_t *driver = _driver();
  char *folder = dt_opencl_program_cache(), *away = g_strconcat(folder, ".away", NULL);
  const gboolean moved = g_rename(folder, away) == 0;
  assert_true(g_file_set_contents(folder, "", 0, NULL));
  dt_opencl_t *cl = _open(driver);
  assert_int_equal(_origin(cl), COMPILED);
  assert_int_equal(_origin(cl), COMPILED);
  assert_int_equal(g_atomic_int_get(&_notices), 1);
  assert_non_null(strstr(_notice, "cannot be kept"));
  dt_opencl_destroy(cl);
  g_unlink(folder);
  if(moved) assert_int_equal(g_rename(away, folder), 0);
  g_free(away);
  g_free(folder);
}

static cl_device_id _picky; /* the device whose compiler accepts nothing */

static cl_int CL_API_CALL _refusing_build(cl_program program, cl_uint n, const cl_device_id *devices,
                                          const char *options, void(CL_CALLBACK *notify)(cl_program, void *),
                                          void *data)
{
  if(devices[0] == _picky) return CL_BUILD_PROGRAM_FAILURE;
  return test_pocl_real_driver()->BuildProgram(program, n, devices, options, notify, data);
}

static gboolean _ask_for_kernel(dt_opencl_queue_t *queue, void *data, GError **error)
{
  (void)data;
  return dt_opencl_kernel(queue, "scale", "scale_bilinear", error) != NULL;
}

/* Said once, no reason to set the device aside, and the other device does not care. */
static void test_refused_program(void **state)
{
  (void)state;
  dt_opencl_driver_t *driver = _driver();
  driver->BuildProgram = _refusing_build;
  dt_opencl_t *cl = _open(driver);
  _picky = dt_opencl_device(cl, 0)->id;
  for(int i = 0; i < 3; i++)
  {
    GError *error = NULL;
    dt_opencl_run_t *run = _begin(cl, DT_OPENCL_FULL);
    assert_int_equal(dt_opencl_run_device(run), 0);
    assert_false(dt_opencl_run_perform(run, _ask_for_kernel, NULL, NULL, &error));
    assert_true(g_error_matches(error, DT_AI_ERROR, DT_AI_ERROR_INPUT));
    assert_non_null(strstr(error->message, "scale.cl"));
    assert_int_equal(dt_opencl_run_device(run), 0);
    g_clear_error(&error);
    dt_opencl_run_end(run);
  }
  assert_int_equal(g_atomic_int_get(&_notices), 1);
  dt_conf_override(DT_CONF_OPENCL_PRIORITY, "1///");
  dt_opencl_destroy(cl);
  cl = _open(driver);
  _picky = dt_opencl_device(cl, 0)->id;
  dt_opencl_run_t *run = _begin(cl, DT_OPENCL_FULL);
  assert_int_equal(dt_opencl_run_device(run), 1);
  assert_true(dt_opencl_run_perform(run, _ask_for_kernel, NULL, NULL, NULL));
  dt_opencl_run_end(run);
  dt_opencl_destroy(cl);
}

static void test_kernels_that_are_not_there(void **state)
{
  (void)state;
  GError *error = NULL;
  char *key;
  GPtrArray *devices = dt_opencl_devices_detect(_driver(), 1, &error);
  assert_no_error(error);
  assert_null(
      dt_opencl_program_open(test_pocl_real_driver(), NULL, devices->pdata[0], "no_such", &key, &error));
  assert_null(key);
  assert_true(g_error_matches(error, DT_AI_ERROR, DT_AI_ERROR_INPUT));
  g_clear_error(&error);
  g_ptr_array_unref(devices);
  char **names = dt_opencl_program_list();
  assert_true(g_strv_contains((const char *const *)names, "basic"));
  g_strfreev(names);
}

/* --- a driver that hangs --- */

static pthread_mutex_t _hang_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t _hang_over = PTHREAD_COND_INITIALIZER;
static gboolean _hangs;

static void _hang(gboolean hangs)
{
  pthread_mutex_lock(&_hang_lock);
  _hangs = hangs;
  pthread_cond_broadcast(&_hang_over);
  pthread_mutex_unlock(&_hang_lock);
}

static cl_int CL_API_CALL _hanging_read(cl_command_queue queue, cl_mem buffer, cl_bool blocking,
                                        size_t offset, size_t size, void *data, cl_uint n,
                                        const cl_event *wait, cl_event *event)
{
  pthread_mutex_lock(&_hang_lock);
  while(_hangs) pthread_cond_wait(&_hang_over, &_hang_lock);
  pthread_mutex_unlock(&_hang_lock);
  return test_pocl_real_driver()->EnqueueReadBuffer(queue, buffer, blocking, offset, size, data, n, wait,
                                                    event);
}

static gint _freed;

static void _count_freed(gpointer data)
{
  (void)data;
  g_atomic_int_inc(&_freed);
}

/* The device is given up, the run goes on on the CPU, others get the other device, and what the driver had stays. */
static void test_hang(void **state)
{
  (void)state;
  dt_opencl_driver_t *driver = _driver();
  driver->EnqueueReadBuffer = _hanging_read;
  dt_opencl_t *warm = _open(driver); /* so that compiling takes none of the second below */
  dt_opencl_run_t *run = _begin(warm, DT_OPENCL_FULL);
  assert_true(dt_opencl_run_perform(run, dt_opencl_probe, NULL, NULL, NULL));
  dt_opencl_run_end(run);
  dt_opencl_destroy(warm);

  dt_conf_override(DT_CONF_OPENCL_HANG_SECONDS, "1");
  dt_opencl_t *cl = _open(driver);
  GError *error = NULL;
  run = _begin(cl, DT_OPENCL_FULL);
  assert_int_equal(dt_opencl_run_device(run), 0);
  g_atomic_int_set(&_freed, 0);
  _hang(TRUE);
  const gint64 begun = g_get_monotonic_time();
  assert_false(dt_opencl_run_perform(run, dt_opencl_probe, (gpointer) "its own", _count_freed, &error));
  assert_true(g_get_monotonic_time() - begun < 20 * G_USEC_PER_SEC);
  assert_true(g_error_matches(error, DT_AI_ERROR, DT_AI_ERROR_PROVIDER));
  assert_non_null(strstr(error->message, "given up"));
  g_clear_error(&error);
  assert_int_equal(dt_opencl_run_device(run), -1);
  assert_non_null(dt_opencl_run_reason(run));
  assert_int_equal(dt_opencl_health(cl, 0), DT_OPENCL_GIVEN_UP);
  assert_int_equal(dt_opencl_health(cl, 1), DT_OPENCL_FREE);
  assert_int_equal(g_atomic_int_get(&_freed), 0);
  assert_false(dt_opencl_run_perform(run, dt_opencl_probe, NULL, NULL, NULL));
  dt_opencl_run_end(run);
  _hang(FALSE);
  dt_opencl_run_t *next = _begin(cl, DT_OPENCL_EXPORT);
  assert_int_equal(dt_opencl_run_device(next), 1);
  assert_true(dt_opencl_run_perform(next, dt_opencl_probe, NULL, NULL, NULL));
  dt_opencl_run_end(next);
  assert_int_equal(dt_opencl_health(cl, 0), DT_OPENCL_GIVEN_UP);
  dt_opencl_destroy(cl);
  /* the thread that was left behind comes back to what is still there */
  g_usleep(100000);
  assert_int_equal(g_atomic_int_get(&_freed), 0);
}

/* --- failing and coming back --- */

static gint _ill; /* calls that fail from now on */
static cl_device_id _ill_device;
static cl_command_queue _ill_queue;

static cl_command_queue CL_API_CALL _watched_queue(cl_context context, cl_device_id device,
                                                   cl_command_queue_properties properties, cl_int *code)
{
  cl_command_queue queue = test_pocl_real_driver()->CreateCommandQueue(context, device, properties, code);
  if(device == _ill_device) g_atomic_pointer_set(&_ill_queue, queue);
  return queue;
}

static cl_int CL_API_CALL _ill_enqueue(cl_command_queue queue, cl_kernel kernel, cl_uint dims,
                                       const size_t *offset, const size_t *global, const size_t *local,
                                       cl_uint n, const cl_event *wait, cl_event *event)
{
  if(queue == g_atomic_pointer_get(&_ill_queue) && g_atomic_int_add(&_ill, -1) > 0)
    return CL_DEVICE_NOT_AVAILABLE;
  return test_pocl_real_driver()->EnqueueNDRangeKernel(queue, kernel, dims, offset, global, local, n, wait,
                                                       event);
}

static void test_failure_and_recovery(void **state)
{
  (void)state;
  dt_opencl_driver_t *driver = _driver();
  driver->EnqueueNDRangeKernel = _ill_enqueue;
  driver->CreateCommandQueue = _watched_queue;
  g_atomic_int_set(&_ill, 0);
  dt_conf_override(DT_CONF_OPENCL_PRIORITY, "+0/+0/1/1");
  dt_opencl_t *cl = _open(driver);
  _ill_device = dt_opencl_device(cl, 0)->id;
  dt_opencl_run_t *run = _begin(cl, DT_OPENCL_FULL);
  g_atomic_int_set(&_ill, 2); /* the run, and the first test of the device */
  assert_false(dt_opencl_run_perform(run, dt_opencl_probe, NULL, NULL, NULL));
  assert_int_equal(dt_opencl_run_device(run), -1);
  assert_int_equal(dt_opencl_health(cl, 0), DT_OPENCL_SET_ASIDE);
  assert_non_null(strstr(_notice, "set aside"));
  dt_opencl_run_t *other = _begin(cl, DT_OPENCL_EXPORT);
  assert_int_equal(dt_opencl_run_device(other), 1);
  assert_true(dt_opencl_run_perform(other, dt_opencl_probe, NULL, NULL, NULL));
  dt_opencl_run_end(other);
  /* waits until the device has passed its second test */
  dt_opencl_run_t *waiting = _begin(cl, DT_OPENCL_PREVIEW);
  assert_int_equal(dt_opencl_run_device(waiting), 0);
  assert_true(dt_opencl_run_perform(waiting, dt_opencl_probe, NULL, NULL, NULL));
  dt_opencl_run_end(waiting);
  dt_opencl_run_end(run);
  dt_opencl_destroy(cl);
}

/* --- waiting, nesting, claims --- */

typedef struct _asker_t
{
  dt_opencl_t *cl;
  dt_opencl_pipe_t pipe;
  GCancellable *cancellable;
  dt_opencl_run_t *run;
  GError *error;
  int device;
} _asker_t;

static void *_ask(void *data)
{
  _asker_t *asker = data;
  asker->run = dt_opencl_run_begin(
      asker->cl, &(dt_opencl_run_opts_t){ .pipe = asker->pipe, .cancellable = asker->cancellable },
      &asker->error);
  if(asker->run) asker->device = dt_opencl_run_device(asker->run);
  dt_opencl_run_end(asker->run);
  return NULL;
}

static void _expect_cancelled(_asker_t *asker, const char *word)
{
  assert_null(asker->run);
  assert_true(g_error_matches(asker->error, DT_AI_ERROR, DT_AI_ERROR_CANCELLED));
  assert_non_null(strstr(asker->error->message, word));
  g_clear_error(&asker->error);
}

/* A run that waits is cancelled, one is replaced by a newer one, and that gets its turn. */
static void test_waiting(void **state)
{
  (void)state;
  dt_opencl_t *cl = _open(_driver());
  GCancellable *cancellable = g_cancellable_new();
  dt_opencl_run_t *run = _begin(cl, DT_OPENCL_FULL);
  _asker_t a = { .cl = cl, .pipe = DT_OPENCL_FULL, .cancellable = cancellable }, b = { .cl = cl }, c = b;
  pthread_t threads[3];
  assert_int_equal(pthread_create(&threads[0], NULL, _ask, &a), 0);
  g_usleep(50000);
  g_cancellable_cancel(cancellable);
  pthread_join(threads[0], NULL);
  _expect_cancelled(&a, "Cancelled");
  assert_int_equal(pthread_create(&threads[1], NULL, _ask, &b), 0);
  g_usleep(50000);
  assert_int_equal(pthread_create(&threads[2], NULL, _ask, &c), 0);
  pthread_join(threads[1], NULL);
  _expect_cancelled(&b, "newer");
  dt_opencl_run_end(run);
  pthread_join(threads[2], NULL);
  assert_null(c.error);
  assert_int_equal(c.device, 0);
  /* cancelled before it was asked for */
  dt_opencl_run_t *again = _begin(cl, DT_OPENCL_FULL);
  assert_null(dt_opencl_run_begin(cl, &(dt_opencl_run_opts_t){ .cancellable = cancellable }, NULL));
  dt_opencl_run_end(again);
  g_object_unref(cancellable);
  dt_opencl_destroy(cl);
}

static void test_timeout(void **state)
{
  (void)state;
  dt_conf_override(DT_CONF_OPENCL_PRIORITY, "+0/+0/0/");
  dt_conf_override(DT_CONF_OPENCL_TIMEOUT, "20"); /* a tenth of a second */
  dt_opencl_t *cl = _open(_driver());
  dt_opencl_run_t *full = _begin(cl, DT_OPENCL_FULL);
  const gint64 begun = g_get_monotonic_time();
  dt_opencl_run_t *preview = _begin(cl, DT_OPENCL_PREVIEW);
  assert_true(g_get_monotonic_time() - begun >= 100000);
  assert_int_equal(dt_opencl_run_device(preview), -1);
  assert_non_null(strstr(dt_opencl_run_reason(preview), "0.1 s"));
  dt_opencl_run_t *export = _begin(cl, DT_OPENCL_EXPORT), *thumbnail = _begin(cl, DT_OPENCL_THUMBNAIL);
  assert_int_equal(dt_opencl_run_device(export), -1);
  assert_non_null(strstr(dt_opencl_run_reason(export), "busy"));
  assert_non_null(strstr(dt_opencl_run_reason(thumbnail), "no device"));
  dt_opencl_run_end(thumbnail);
  dt_opencl_run_end(export);
  dt_opencl_run_end(preview);
  dt_opencl_run_end(full);
  dt_opencl_destroy(cl);
}

static void test_nested(void **state)
{
  (void)state;
  dt_conf_override(DT_CONF_OPENCL_PRIORITY, "0/0/0/0");
  dt_opencl_t *cl = _open(_driver());
  dt_opencl_run_t *outer = _begin(cl, DT_OPENCL_FULL);
  dt_opencl_run_t *inner =
      dt_opencl_run_begin(cl, &(dt_opencl_run_opts_t){ .pipe = DT_OPENCL_FULL, .parent = outer }, NULL);
  assert_int_equal(dt_opencl_run_device(inner), 0);
  assert_true(dt_opencl_run_perform(inner, dt_opencl_probe, NULL, NULL, NULL));
  dt_opencl_run_end(inner);
  assert_int_equal(dt_opencl_health(cl, 0), DT_OPENCL_BUSY);
  dt_opencl_run_end(outer);
  assert_int_equal(dt_opencl_health(cl, 0), DT_OPENCL_FREE);
  dt_opencl_destroy(cl);
}

/* Other work holds the device; between two of its parts a pipe that waits gets it. */
static void test_claim(void **state)
{
  (void)state;
  dt_conf_override(DT_CONF_OPENCL_PRIORITY, "+0/0//");
  dt_opencl_t *cl = _open(_driver());
  assert_null(dt_opencl_claim(cl, "0000:01:00.0", NULL));
  assert_null(dt_opencl_claim(cl, NULL, NULL));
  dt_opencl_run_t *claim = dt_opencl_claim_device(cl, 0, NULL);
  assert_non_null(claim);
  dt_opencl_claim_yield(claim); /* nobody waits: it is kept */
  assert_int_equal(dt_opencl_health(cl, 0), DT_OPENCL_BUSY);
  _asker_t asker = { .cl = cl, .pipe = DT_OPENCL_FULL };
  pthread_t thread;
  assert_int_equal(pthread_create(&thread, NULL, _ask, &asker), 0);
  g_usleep(50000);
  dt_opencl_claim_yield(claim);
  pthread_join(thread, NULL);
  assert_null(asker.error);
  assert_int_equal(asker.device, 0);
  assert_int_equal(dt_opencl_run_device(claim), 0);
  dt_opencl_run_end(claim);
  assert_int_equal(dt_opencl_health(cl, 0), DT_OPENCL_FREE);
  dt_opencl_destroy(cl);
}

/* --- without devices --- */

static void test_without_opencl(void **state)
{
  (void)state;
  GError *error = NULL;
  dt_conf_override(DT_CONF_OPENCL, "FALSE");
  dt_opencl_t *cl = dt_opencl_create(NULL, &error);
  assert_no_error(error);
  assert_non_null(strstr(dt_opencl_absence(cl), "switched off"));
  dt_opencl_run_t *run = _begin(cl, DT_OPENCL_EXPORT);
  assert_int_equal(dt_opencl_run_device(run), -1);
  assert_string_equal(dt_opencl_run_reason(run), dt_opencl_absence(cl));
  assert_false(dt_opencl_run_perform(run, dt_opencl_probe, NULL, NULL, NULL));
  dt_opencl_run_end(run);
  dt_opencl_destroy(cl);
  dt_conf_override(DT_CONF_OPENCL, "TRUE");
  assert_null(dt_opencl_create(&(dt_opencl_opts_t){ .trace = "/no/such/folder/trace" }, &error));
  assert_true(g_error_matches(error, DT_AI_ERROR, DT_AI_ERROR_OUTPUT));
  g_clear_error(&error);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test_setup(test_programs_are_kept, _set_up_test),
    cmocka_unit_test_setup(test_rounding_is_asked_for, _set_up_test),
    cmocka_unit_test_setup(test_damaged_programs, _set_up_test),
    cmocka_unit_test_setup(test_cache_that_cannot_be_written, _set_up_test),
    cmocka_unit_test_setup(test_refused_program, _set_up_test),
    cmocka_unit_test_setup(test_kernels_that_are_not_there, _set_up_test),
    cmocka_unit_test_setup(test_hang, _set_up_test),
    cmocka_unit_test_setup(test_failure_and_recovery, _set_up_test),
    cmocka_unit_test_setup(test_waiting, _set_up_test),
    cmocka_unit_test_setup(test_timeout, _set_up_test),
    cmocka_unit_test_setup(test_nested, _set_up_test),
    cmocka_unit_test_setup(test_claim, _set_up_test),
    cmocka_unit_test_setup(test_without_opencl, _set_up_test),
  };
  return cmocka_run_group_tests(tests, _set_up, _tear_down);
}
