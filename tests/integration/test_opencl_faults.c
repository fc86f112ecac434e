/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Runs on a driver that does what a script says (tests/fake_opencl/README.md): every call of it fails once, every call
 * hangs once, devices are lost, die, miscalculate, refuse programs. Whatever happens, the run can be completed on the
 * CPU, the other device serves, and what can come back does. And the manual's example of priorities, and claims. */
#include "support.h"

#include "common/conf.h"
#include "common/log.h"
#include "common/opencl.h"
#include "common/opencl_launch.h"
#include "common/opencl_probe.h"
#include "common/opencl_program.h"
#include "fake_opencl.h"

#include <glib/gstdio.h>
#include <gmodule.h>
#include <json-glib/json-glib.h>
#include <pthread.h>
#include <string.h>

#define SET_ASIDE 2000 /* microseconds */
#define MOST_DEVICES 32

static dt_opencl_driver_t *_driver;
static fake_opencl_script_t *_script;
static fake_opencl_calls_t *_calls;
static fake_opencl_device_calls_t *_device_calls;
static fake_opencl_live_objects_t *_live_objects;
static const char *_world;
static int _left; /* objects that a driver that failed or hung still has */

static const char *const _functions[] = {
#define NAME(name) #name,
  DT_OPENCL_FUNCTIONS(NAME)
#undef NAME
};

/* Devices that fail say so in a notice each time, which nobody reads here. */
static void _ignore(unsigned topics, const char *line, void *data)
{
  (void)topics;
  (void)line;
  (void)data;
}

static int _set_up(void **state)
{
  (void)state;
  _world = test_world_create();
  dt_log_set_handler(_ignore, NULL, DT_LOG_NOTICE);
  dt_conf_override(DT_CONF_OPENCL_LIBRARY, DT_TEST_FAKE_OPENCL);
  _driver = dt_opencl_driver_load(NULL);
  assert_non_null(_driver);
  GModule *module = g_module_open(DT_TEST_FAKE_OPENCL, G_MODULE_BIND_LAZY);
  assert_true(g_module_symbol(module, "fake_opencl_script", (void **)&_script));
  assert_true(g_module_symbol(module, "fake_opencl_calls", (void **)&_calls));
  assert_true(g_module_symbol(module, "fake_opencl_device_calls", (void **)&_device_calls));
  assert_true(g_module_symbol(module, "fake_opencl_live_objects", (void **)&_live_objects));
  return 0;
}

static int _tear_down(void **state)
{
  (void)state;
  dt_log_set_handler(NULL, NULL, 0);
  dt_opencl_driver_destroy(_driver);
  test_world_destroy();
  return 0;
}

static int _set_up_test(void **state)
{
  (void)state;
  dt_conf_override(DT_CONF_OPENCL_PRIORITY, "*/*/*/+*");
  dt_conf_override(DT_CONF_OPENCL_HANG_SECONDS, "60");
  dt_conf_override(DT_CONF_OPENCL_TIMEOUT, "4000"); /* 20 s */
  return 0;
}

/* --- what all tests do --- */

static void _clear_cache(void)
{
  char *folder = dt_opencl_program_cache();
  GDir *dir = g_dir_open(folder, 0, NULL);
  for(const char *name; dir && (name = g_dir_read_name(dir));)
  {
    char *path = g_build_filename(folder, name, NULL);
    g_unlink(path);
    g_free(path);
  }
  if(dir) g_dir_close(dir);
  g_free(folder);
}

static dt_opencl_t *_open(const char *script, const char *priority)
{
  GError *error = NULL;
  dt_conf_override(DT_CONF_OPENCL_PRIORITY, priority);
  _script(script);
  dt_opencl_t *cl = dt_opencl_create(&(dt_opencl_opts_t){ .set_aside = SET_ASIDE }, &error);
  assert_no_error(error);
  return cl;
}

static dt_opencl_run_t *_begin(dt_opencl_t *cl, dt_opencl_pipe_t pipe)
{
  GError *error = NULL;
  dt_opencl_run_t *run = dt_opencl_run_begin(cl, &(dt_opencl_run_opts_t){ .pipe = pipe }, &error);
  assert_no_error(error);
  return run;
}

/* A whole small run; @return the device that did it, or -1. */
static int _run(dt_opencl_t *cl, dt_opencl_pipe_t pipe)
{
  dt_opencl_run_t *run = _begin(cl, pipe);
  const int device = dt_opencl_run_device(run);
  const gboolean fine = dt_opencl_run_perform(run, dt_opencl_probe, NULL, NULL, NULL);
  dt_opencl_run_end(run);
  return fine ? device : -1;
}

static void _assert_words(const GError *error, const char *part)
{
  assert_non_null(error);
  if(strlen(error->message) < 15 || !strstr(error->message, part) || strstr(error->message, "null"))
    fail_msg("\"%s\" lacks \"%s\"", error->message, part);
}

/* Everything was given back, but for @p more objects that the driver was told to keep. */
static void _close(dt_opencl_t *cl, int more)
{
  dt_opencl_destroy(cl);
  _left += more;
  assert_int_equal(_live_objects(), _left);
}

/* --- every call fails once --- */

/* What is asked of the platforms, not of a device. */
static gboolean _is_of_platforms(const char *function)
{
  return strstr(function, "Platform") || strcmp(function, "GetDeviceIDs") == 0;
}

/* A run on A while its driver has the fault; it completes, there or here. @return whether A did it */
static gboolean _run_with_fault(dt_opencl_t *cl, const char *function)
{
  GError *error = NULL;
  dt_opencl_run_t *run = _begin(cl, DT_OPENCL_FULL);
  if(dt_opencl_run_device(run) < 0)
  {
    assert_non_null(dt_opencl_run_reason(run));
    assert_false(dt_opencl_run_perform(run, dt_opencl_probe, NULL, NULL, &error));
    _assert_words(error, dt_opencl_run_reason(run));
  }
  else if(!dt_opencl_run_perform(run, dt_opencl_probe, NULL, NULL, &error))
  {
    char *name = g_strconcat("cl", function, NULL);
    _assert_words(error, name);
    g_free(name);
    /* memory that is used up says nothing against the device, all else does */
    const gboolean memory = g_error_matches(error, DT_AI_ERROR, DT_AI_ERROR_MEMORY);
    assert_int_equal(dt_opencl_run_device(run), memory ? 0 : -1);
    if(!memory) assert_string_equal(dt_opencl_run_reason(run), error->message);
    if(!memory) assert_int_not_equal(dt_opencl_health(cl, 0), DT_OPENCL_BUSY);
  }
  const gboolean fine = error == NULL;
  g_clear_error(&error);
  dt_opencl_run_end(run);
  return fine;
}

/* @return whether A did the run although a call failed */
static gboolean _fail_at(const char *function, int k)
{
  const gboolean of_platforms = _is_of_platforms(function);
  char *script = of_platforms ? g_strdup_printf("name=A\nname=B\nfail=%s@%d:-6", function, k)
                              : g_strdup_printf("name=A;fail=%s@%d:-6\nname=B", function, k);
  dt_opencl_t *cl = _open(script, "A/B/B/+A");
  const gboolean here = dt_opencl_device(cl, 1) != NULL; /* else A, or both, could not be asked */
  const gboolean fine = _run_with_fault(cl, function);
  if(here)
  {
    assert_int_equal(_run(cl, DT_OPENCL_EXPORT), 1);
    assert_int_equal(dt_opencl_health(cl, 1), DT_OPENCL_FREE);
    /* waits for A to be tested and taken back */
    assert_int_equal(_run(cl, DT_OPENCL_THUMBNAIL), 0);
  }
  else
    assert_true(dt_opencl_absence(cl) || dt_opencl_device(cl, 0));
  dt_opencl_destroy(cl);
  /* what the driver does not release when it is told to stays */
  const int calls = of_platforms ? _calls(function) : _device_calls(0, function);
  if(g_str_has_prefix(function, "Release") && calls >= k) _left++;
  assert_int_equal(_live_objects(), _left);
  g_free(script);
  return fine;
}

/* How often a healthy run calls it on A, from beginning to end. */
static void _count_calls(int *counts)
{
  dt_opencl_t *cl = _open("name=A\nname=B", "A/B/B/+A");
  assert_int_equal(_run(cl, DT_OPENCL_FULL), 0);
  assert_int_equal(_run(cl, DT_OPENCL_EXPORT), 1);
  _close(cl, 0);
  for(size_t i = 0; i < G_N_ELEMENTS(_functions); i++)
    counts[i] = _is_of_platforms(_functions[i]) ? _calls(_functions[i]) : _device_calls(0, _functions[i]);
}

static void _fail_everywhere(gboolean cached)
{
  int counts[G_N_ELEMENTS(_functions)], cases = 0, survived = 0;
  _clear_cache();
  if(cached) _count_calls(counts);
  _count_calls(counts);
  for(size_t i = 0; i < G_N_ELEMENTS(_functions); i++)
    for(int k = 1; k <= counts[i]; k++)
    {
      if(!cached) _clear_cache();
      survived += _fail_at(_functions[i], k);
      cases++;
    }
  print_message("%d calls failed, %d runs went on on their device\n", cases, survived);
  assert_true(cases > 30);
}

static void test_every_call_fails_once(void **state)
{
  (void)state;
  _fail_everywhere(FALSE);
}

static void test_every_call_fails_once_with_a_cache(void **state)
{
  (void)state;
  _fail_everywhere(TRUE);
}

/* Whatever the code: the run completes, the other device serves, A comes back. */
static void test_every_code(void **state)
{
  (void)state;
  for(int code = -72; code < 0; code++)
  {
    char *script = g_strdup_printf("name=A;fail=EnqueueReadBuffer@1:%d\nname=B", code);
    dt_opencl_t *cl = _open(script, "A/B/B/+A");
    assert_false(_run_with_fault(cl, "EnqueueReadBuffer"));
    assert_int_equal(_run(cl, DT_OPENCL_EXPORT), 1);
    assert_int_equal(_run(cl, DT_OPENCL_THUMBNAIL), 0);
    _close(cl, 0);
    g_free(script);
  }
}

/* Each call of everything fails, one function at a time: nothing but the CPU is left for A. */
static void test_functions_that_never_work(void **state)
{
  (void)state;
  static const char *const vital[] = { "CreateContext", "CreateCommandQueue",   "CreateProgramWithSource",
                                       "BuildProgram",  "CreateKernel",         "SetKernelArg",
                                       "CreateBuffer",  "EnqueueNDRangeKernel", "EnqueueReadBuffer" };
  for(size_t i = 0; i < G_N_ELEMENTS(vital); i++)
  {
    _clear_cache();
    char *script = g_strdup_printf("name=A;fail=%s:-6\nname=B", vital[i]);
    dt_opencl_t *cl = _open(script, "A/B/B/A");
    for(int n = 0; n < 5; n++)
    {
      assert_false(_run_with_fault(cl, vital[i]));
      assert_int_equal(_run(cl, DT_OPENCL_EXPORT), 1);
      g_usleep(SET_ASIDE);
    }
    assert_int_not_equal(dt_opencl_health(cl, 0), DT_OPENCL_GIVEN_UP);
    _close(cl, 0);
    g_free(script);
  }
}

/* --- a device that is lost, or whose context dies --- */

static void test_lost_at_every_command(void **state)
{
  (void)state;
  for(int k = 1; k <= 4; k++)
  {
    char *script = g_strdup_printf("name=A;lost=%d\nname=B", k);
    dt_opencl_t *cl = _open(script, "A/B/B/A");
    for(int i = 0; i < 4; i++)
    {
      GError *error = NULL;
      dt_opencl_run_t *run = _begin(cl, DT_OPENCL_FULL);
      /* a probe is two commands */
      const gboolean lost = 2 * (i + 1) >= k;
      assert_int_equal(dt_opencl_run_perform(run, dt_opencl_probe, NULL, NULL, &error), !lost);
      if(lost) assert_int_equal(dt_opencl_run_device(run), -1);
      if(lost) _assert_words(error, " ");
      g_clear_error(&error);
      dt_opencl_run_end(run);
      assert_int_equal(_run(cl, DT_OPENCL_EXPORT), 1);
    }
    assert_true(dt_opencl_health(cl, 0) == DT_OPENCL_SET_ASIDE
                || dt_opencl_health(cl, 0) == DT_OPENCL_TESTING);
    _close(cl, 0);
    g_free(script);
  }
}

/* As drivers do after a kernel that went astray: the context is of no use any more, a new one is. */
static void test_context_dies(void **state)
{
  (void)state;
  for(int k = 1; k <= 4; k++)
  {
    char *script = g_strdup_printf("name=A;dies=%d\nname=B", k);
    dt_opencl_t *cl = _open(script, "A/B/B/+A");
    for(int run = 1; run <= 2; run++)
    {
      const gboolean dies = (k + 1) / 2 == run;
      assert_int_equal(_run(cl, DT_OPENCL_FULL), dies ? -1 : 0);
      if(dies) assert_int_equal(_run(cl, DT_OPENCL_THUMBNAIL), 0);
      assert_int_equal(_run(cl, DT_OPENCL_EXPORT), 1);
    }
    assert_int_equal(_device_calls(0, "CreateContext"), 2);
    _close(cl, 0);
    g_free(script);
  }
}

/* Everything ends while devices are tested, about to be tested, or have just been. */
static void test_end_while_devices_are_tested(void **state)
{
  (void)state;
  for(int i = 0; i < 100; i++)
  {
    dt_opencl_t *cl = _open("name=A;lost=1;slow=1\nname=B;fail=EnqueueReadBuffer%2:-5", "A/B/*/*");
    (void)_run(cl, DT_OPENCL_FULL);
    (void)_run(cl, DT_OPENCL_PREVIEW);
    (void)_run(cl, DT_OPENCL_PREVIEW);
    g_usleep((gulong)(i % 50 * 100));
    (void)_run(cl, DT_OPENCL_EXPORT);
    _close(cl, 0);
  }
}

/* --- devices that refuse or miscalculate --- */

static void test_program_refused_by_one(void **state)
{
  (void)state;
  _clear_cache();
  dt_opencl_t *cl = _open("name=A;build_fails=line 7\\072 no such thing\nname=B", "A/B/A/*");
  for(int i = 0; i < 3; i++)
  {
    GError *error = NULL;
    dt_opencl_run_t *run = _begin(cl, DT_OPENCL_FULL);
    assert_int_equal(dt_opencl_run_device(run), 0);
    assert_false(dt_opencl_run_perform(run, dt_opencl_probe, NULL, NULL, &error));
    assert_true(g_error_matches(error, DT_AI_ERROR, DT_AI_ERROR_INPUT));
    _assert_words(error, "line 7: no such thing");
    assert_int_equal(dt_opencl_run_device(run), 0);
    g_clear_error(&error);
    dt_opencl_run_end(run);
    assert_int_equal(_run(cl, DT_OPENCL_PREVIEW), 1);
  }
  assert_int_equal(_device_calls(0, "BuildProgram"), 1);
  assert_int_equal(dt_opencl_health(cl, 0), DT_OPENCL_FREE);
  _close(cl, 0);
}

static void test_wrong_numbers(void **state)
{
  (void)state;
  GError *error = NULL;
  dt_opencl_t *cl = _open("name=A;wrong=1\nname=B", "A/B/*/A");
  dt_opencl_run_t *run = _begin(cl, DT_OPENCL_FULL);
  assert_false(dt_opencl_run_perform(run, dt_opencl_probe, NULL, NULL, &error));
  assert_true(g_error_matches(error, DT_AI_ERROR, DT_AI_ERROR_PROVIDER));
  _assert_words(error, "\"A\" computes wrong numbers");
  g_clear_error(&error);
  dt_opencl_run_end(run);
  /* it fails each test, too */
  for(int i = 0; i < 5; i++)
  {
    g_usleep(SET_ASIDE);
    assert_int_equal(_run(cl, DT_OPENCL_THUMBNAIL), -1);
    assert_int_equal(_run(cl, DT_OPENCL_EXPORT), 1);
  }
  _close(cl, 0);
}

/* Memory that is used up is the work's affair. */
static void test_out_of_memory(void **state)
{
  (void)state;
  dt_opencl_t *cl = _open("name=A;fail=CreateBuffer@1:-4\nname=B", "A/B/*/A");
  GError *error = NULL;
  dt_opencl_run_t *run = _begin(cl, DT_OPENCL_FULL);
  assert_false(dt_opencl_run_perform(run, dt_opencl_probe, NULL, NULL, &error));
  assert_true(g_error_matches(error, DT_AI_ERROR, DT_AI_ERROR_MEMORY));
  g_clear_error(&error);
  assert_true(dt_opencl_run_perform(run, dt_opencl_probe, NULL, NULL, &error));
  dt_opencl_run_end(run);
  _close(cl, 0);
}

/* --- every call hangs once, side by side: a device for each function, and a healthy one --- */

typedef struct _victim_t
{
  dt_opencl_t *cl;
  int device;
  gboolean fine;
  GError *error;
  int device_after;
  gint64 ended;
} _victim_t;

static void *_run_victim(void *data)
{
  _victim_t *v = data;
  dt_opencl_run_t *run = dt_opencl_claim_device(v->cl, v->device, NULL);
  v->fine = dt_opencl_run_perform(run, dt_opencl_probe, NULL, NULL, &v->error);
  v->device_after = dt_opencl_run_device(run);
  dt_opencl_run_end(run);
  v->ended = g_get_monotonic_time();
  return NULL;
}

static void _expect_hung(const _victim_t *v, const char *function, gint64 begun)
{
  if(v->fine) fail_msg("nothing calls cl%s", function);
  assert_true(g_error_matches(v->error, DT_AI_ERROR, DT_AI_ERROR_PROVIDER));
  _assert_words(v->error, "given up");
  assert_int_equal(v->device_after, -1);
  assert_int_equal(dt_opencl_health(v->cl, v->device), DT_OPENCL_GIVEN_UP);
  assert_true(v->ended - begun >= G_USEC_PER_SEC && v->ended - begun < 10 * G_USEC_PER_SEC);
}

static void _hang_at(const char *const *functions, gboolean at_the_end)
{
  pthread_t threads[MOST_DEVICES];
  _victim_t victims[MOST_DEVICES] = { 0 };
  int n = 0;
  GString *script = g_string_new(NULL);
  for(; functions[n]; n++) g_string_append_printf(script, "name=Device %d;hang=%s@1\n", n, functions[n]);
  g_string_append(script, "name=Healthy");
  dt_conf_override(DT_CONF_OPENCL_HANG_SECONDS, "1");
  dt_opencl_t *cl = _open(script->str, "Healthy/*/+*/*");
  const gint64 begun = g_get_monotonic_time();
  for(int i = 0; i < n; i++)
  {
    victims[i] = (_victim_t){ .cl = cl, .device = i };
    assert_int_equal(pthread_create(&threads[i], NULL, _run_victim, &victims[i]), 0);
  }
  assert_int_equal(_run(cl, DT_OPENCL_FULL), n);
  for(int i = 0; i < n; i++) pthread_join(threads[i], NULL);
  for(int i = 0; i < n; i++)
  {
    if(at_the_end)
      assert_true(victims[i].fine);
    else
      _expect_hung(&victims[i], functions[i], begun);
    g_clear_error(&victims[i].error);
  }
  assert_int_equal(_run(cl, DT_OPENCL_FULL), n);
  if(!at_the_end) assert_int_equal(_run(cl, DT_OPENCL_EXPORT), n);
  const gint64 ending = g_get_monotonic_time();
  dt_opencl_destroy(cl);
  assert_true(g_get_monotonic_time() - ending < 10 * G_USEC_PER_SEC);
  /* what the devices that hang have, they keep; the healthy one has nothing */
  _left = _live_objects();
  assert_true(_left > 0);
  g_string_free(script, TRUE);
}

static void test_hang_in_every_call(void **state)
{
  (void)state;
  static const char *const cold[] = { "CreateContext",
                                      "CreateCommandQueue",
                                      "CreateProgramWithSource",
                                      "BuildProgram",
                                      "CreateKernel",
                                      "SetKernelArg",
                                      "CreateBuffer",
                                      "EnqueueNDRangeKernel",
                                      "EnqueueReadBuffer",
                                      "ReleaseMemObject",
                                      NULL };
  _clear_cache();
  _hang_at(cold, FALSE);
}

static void test_hang_with_a_cache(void **state)
{
  (void)state;
  static const char *const warm[] = { "CreateProgramWithBinary", NULL };
  _clear_cache();
  _close(_open("name=Device 0", "*///"), 0);
  dt_opencl_t *cl = _open("name=Device 0", "*///");
  assert_int_equal(_run(cl, DT_OPENCL_FULL), 0);
  _close(cl, 0);
  _hang_at(warm, FALSE);
}

static void test_hang_at_the_end(void **state)
{
  (void)state;
  static const char *const releases[] = { "ReleaseKernel", "ReleaseProgram", "ReleaseCommandQueue",
                                          "ReleaseContext", NULL };
  _hang_at(releases, TRUE);
}

/* The compiler's words are asked for on the device's thread as well. */
static void test_hang_in_the_compilers_words(void **state)
{
  (void)state;
  _clear_cache();
  dt_conf_override(DT_CONF_OPENCL_HANG_SECONDS, "1");
  dt_opencl_t *cl = _open("name=A;build_fails=no;hang=GetProgramBuildInfo@1\nname=B", "A/B/*/*");
  assert_int_equal(_run(cl, DT_OPENCL_FULL), -1);
  assert_int_equal(dt_opencl_health(cl, 0), DT_OPENCL_GIVEN_UP);
  assert_int_equal(_run(cl, DT_OPENCL_PREVIEW), 1);
  dt_opencl_destroy(cl);
  _left = _live_objects();
}

/* What was compiled is fetched behind the run that needed it: that one is fine, the next one learns that the device
 * hangs. */
static void test_hang_behind_a_run(void **state)
{
  (void)state;
  _clear_cache();
  dt_conf_override(DT_CONF_OPENCL_HANG_SECONDS, "1");
  dt_opencl_t *cl = _open("name=A;hang=GetProgramInfo@1\nname=B", "A/B/*/*");
  assert_int_equal(_run(cl, DT_OPENCL_FULL), 0);
  assert_int_equal(_run(cl, DT_OPENCL_FULL), -1);
  assert_int_equal(dt_opencl_health(cl, 0), DT_OPENCL_GIVEN_UP);
  assert_int_equal(_run(cl, DT_OPENCL_PREVIEW), 1);
  dt_opencl_destroy(cl);
  _left = _live_objects();
}

/* Programs are kept when they have run. */
static void test_programs_are_kept_once(void **state)
{
  (void)state;
  _clear_cache();
  dt_opencl_t *cl = _open("name=A\nname=B", "A/B//");
  for(int i = 0; i < 2; i++)
  {
    assert_int_equal(_run(cl, DT_OPENCL_FULL), 0);
    assert_int_equal(_run(cl, DT_OPENCL_PREVIEW), 1);
  }
  assert_int_equal(_calls("GetProgramInfo"), 4); /* of each, its size and itself */
  _close(cl, 0);
  cl = _open("name=A\nname=B", "A/B//");
  assert_int_equal(_run(cl, DT_OPENCL_FULL), 0);
  assert_int_equal(_run(cl, DT_OPENCL_PREVIEW), 1);
  assert_int_equal(_calls("CreateProgramWithSource"), 0);
  assert_int_equal(_calls("GetProgramInfo"), 0);
  _close(cl, 0);
}

/* On the device's thread: with which options a program is built. */
static gboolean _read_options(dt_opencl_queue_t *queue, void *data, GError **error)
{
  char *key, **options = data, text[200] = "";
  cl_program program = dt_opencl_program_open(queue->cl, queue->context, queue->device, "basic", &key, error);
  g_free(key);
  if(!program) return FALSE;
  queue->cl->GetProgramBuildInfo(program, queue->device->id, CL_PROGRAM_BUILD_OPTIONS, sizeof(text), text,
                                 NULL);
  queue->cl->ReleaseProgram(program);
  *options = g_strdup(text);
  return TRUE;
}

/* A device that rounds as it should is asked to; what was compiled without that is not taken for it. */
static void test_rounding_is_asked_for(void **state)
{
  (void)state;
  static const char *const scripts[] = { "name=A", "name=A;rounds=1", "name=A;rounds=1", "name=A" };
  static const int compiled[] = { 1, 1, 0, 1 };
  _clear_cache();
  for(gsize i = 0; i < G_N_ELEMENTS(scripts); i++)
  {
    char *options = NULL;
    GError *error = NULL;
    dt_opencl_t *cl = _open(scripts[i], "A");
    dt_opencl_run_t *run = _begin(cl, DT_OPENCL_FULL);
    assert_int_equal(dt_opencl_run_device(run), 0);
    dt_opencl_run_perform(run, _read_options, &options, NULL, &error);
    assert_no_error(error);
    dt_opencl_run_end(run);
    assert_int_equal(strstr(options, "-cl-fp32-correctly-rounded-divide-sqrt") != NULL,
                     strstr(scripts[i], "rounds") != NULL);
    assert_int_equal(_run(cl, DT_OPENCL_FULL), 0); /* keeps it */
    assert_int_equal(_calls("CreateProgramWithSource") > 0, compiled[i]);
    g_free(options);
    _close(cl, 0);
  }
}

/* On the device's thread: how many programs were built when the probe was done. */
static gboolean _probe_and_count(dt_opencl_queue_t *queue, void *data, GError **error)
{
  const gboolean fine = dt_opencl_probe(queue, NULL, error);
  *(int *)data = _device_calls(0, "BuildProgram");
  return fine;
}

/* Programs that may be needed some time keep nobody waiting, nor the test of a device. */
static void test_compiling_gives_way(void **state)
{
  (void)state;
  int built = 0;
  _clear_cache();
  dt_opencl_t *cl = _open("name=A;build=200", "A///");
  dt_opencl_prepare(cl, "scale");
  dt_opencl_prepare(cl, "gaussian");
  dt_opencl_run_t *run = _begin(cl, DT_OPENCL_FULL);
  assert_true(dt_opencl_run_perform(run, _probe_and_count, &built, NULL, NULL));
  dt_opencl_run_end(run);
  assert_in_range(built, 1, 2); /* the probe's, and the one that had begun */
  _close(cl, 0);
}

/* A device that fails and then hangs in its test is given up; who waits for it is told in time. */
static void test_hang_in_the_test(void **state)
{
  (void)state;
  dt_conf_override(DT_CONF_OPENCL_HANG_SECONDS, "1");
  dt_opencl_t *cl = _open("name=A;fail=EnqueueReadBuffer@1:-5;hang=CreateBuffer@2\nname=B", "A/+A/B/*");
  assert_int_equal(_run(cl, DT_OPENCL_FULL), -1);
  const gint64 begun = g_get_monotonic_time();
  assert_int_equal(_run(cl, DT_OPENCL_PREVIEW), -1);
  assert_true(g_get_monotonic_time() - begun < 10 * G_USEC_PER_SEC);
  assert_int_equal(dt_opencl_health(cl, 0), DT_OPENCL_GIVEN_UP);
  assert_int_equal(_run(cl, DT_OPENCL_EXPORT), 1);
  dt_opencl_destroy(cl);
  _left = _live_objects();
}

/* --- the manual's example --- */

#define GTS_AND_TAHITI                                                                                       \
  "name=GeForce GTS 450;platform=NVIDIA CUDA;pci=0000:01:00.0;pci_by=nv\n"                                   \
  "name=Tahiti;platform=AMD Accelerated Parallel Processing;pci=0000:02:00.0;pci_by=amd"
#define EXAMPLE "!GeForce GTS450,*/!Tahiti,*/Tahiti,*/Tahiti,*"

enum
{
  GTS,
  TAHITI
};

/* Where each pipe runs, in the order of the fields, while the devices of the bits @p busy are taken. */
static void _expect_decisions(dt_opencl_t *cl, int busy, const int *expected)
{
  dt_opencl_run_t *claims[2] = { NULL };
  for(int i = 0; i < 2; i++)
    if(busy & 1 << i) claims[i] = dt_opencl_claim_device(cl, i, NULL);
  for(int pipe = 0; pipe < DT_OPENCL_PIPES; pipe++)
  {
    dt_opencl_run_t *run = _begin(cl, (dt_opencl_pipe_t)pipe);
    if(dt_opencl_run_device(run) != expected[pipe])
      fail_msg("busy %d: %s runs on %d, not %d", busy, dt_opencl_pipe_name((dt_opencl_pipe_t)pipe),
               dt_opencl_run_device(run), expected[pipe]);
    if(expected[pipe] < 0)
      assert_string_equal(dt_opencl_run_reason(run), "its devices are busy");
    else
      assert_true(dt_opencl_run_perform(run, dt_opencl_probe, NULL, NULL, NULL));
    dt_opencl_run_end(run);
  }
  for(int i = 0; i < 2; i++) dt_opencl_run_end(claims[i]);
}

static void test_the_manuals_example(void **state)
{
  (void)state;
  static const int decisions[4][DT_OPENCL_PIPES] = {
    /* full, preview, export, thumbnail, preview2 */
    [0] = { TAHITI, GTS, TAHITI, TAHITI, GTS },
    [1 << GTS] = { TAHITI, -1, TAHITI, TAHITI, -1 },
    [1 << TAHITI] = { -1, GTS, GTS, GTS, GTS },
    [1 << GTS | 1 << TAHITI] = { -1, -1, -1, -1, -1 },
  };
  dt_opencl_t *cl = _open(GTS_AND_TAHITI, EXAMPLE);
  assert_string_equal(dt_opencl_device(cl, GTS)->name, "GeForce GTS 450");
  assert_string_equal(dt_opencl_device(cl, TAHITI)->name, "Tahiti");
  for(int busy = 0; busy < 4; busy++) _expect_decisions(cl, busy, decisions[busy]);
  _close(cl, 0);
}

/* All pipes at once: each takes what the ones before have left. */
static void test_the_manuals_example_all_at_once(void **state)
{
  (void)state;
  static const struct
  {
    dt_opencl_pipe_t pipe;
    int device;
  } steps[] = { { DT_OPENCL_EXPORT, TAHITI },
                { DT_OPENCL_FULL, -1 },
                { DT_OPENCL_PREVIEW, GTS },
                { DT_OPENCL_THUMBNAIL, -1 },
                { DT_OPENCL_EXPORT, -1 } };
  dt_opencl_run_t *runs[G_N_ELEMENTS(steps)];
  dt_opencl_t *cl = _open(GTS_AND_TAHITI, EXAMPLE);
  for(size_t i = 0; i < G_N_ELEMENTS(steps); i++)
  {
    runs[i] = _begin(cl, steps[i].pipe);
    assert_int_equal(dt_opencl_run_device(runs[i]), steps[i].device);
  }
  dt_opencl_run_end(runs[0]);
  assert_int_equal(_run(cl, DT_OPENCL_THUMBNAIL), TAHITI);
  for(size_t i = 1; i < G_N_ELEMENTS(steps); i++) dt_opencl_run_end(runs[i]);
  _close(cl, 0);
}

/* --- claims by address --- */

typedef struct _asker_t
{
  dt_opencl_t *cl;
  gint device; /* + 2, when it has one; 0: not yet */
  gint go_on;
} _asker_t;

static void *_ask(void *data)
{
  _asker_t *asker = data;
  dt_opencl_run_t *run =
      dt_opencl_run_begin(asker->cl, &(dt_opencl_run_opts_t){ .pipe = DT_OPENCL_FULL }, NULL);
  g_atomic_int_set(&asker->device, dt_opencl_run_device(run) + 2);
  while(!g_atomic_int_get(&asker->go_on)) g_usleep(1000);
  dt_opencl_run_end(run);
  return NULL;
}

static void test_claim_by_address(void **state)
{
  (void)state;
  pthread_t thread;
  dt_opencl_t *cl = _open(GTS_AND_TAHITI, "+Tahiti/Tahiti,*/*/*");
  assert_null(dt_opencl_claim(cl, "0000:03:00.0", NULL));
  assert_null(dt_opencl_claim(NULL, "0000:02:00.0", NULL));
  dt_opencl_run_t *claim = dt_opencl_claim(cl, "0000:02:00.0", NULL);
  assert_int_equal(dt_opencl_run_device(claim), TAHITI);
  assert_int_equal(_run(cl, DT_OPENCL_PREVIEW), GTS); /* which does not wait */
  _asker_t asker = { .cl = cl };
  assert_int_equal(pthread_create(&thread, NULL, _ask, &asker), 0);
  g_usleep(30000);
  assert_int_equal(g_atomic_int_get(&asker.device), 0);
  g_atomic_int_set(&asker.go_on, 1);
  /* the pipe has it for its run, then the claim again */
  dt_opencl_claim_yield(claim);
  assert_int_equal(g_atomic_int_get(&asker.device), TAHITI + 2);
  assert_int_equal(dt_opencl_run_device(claim), TAHITI);
  pthread_join(thread, NULL);
  assert_int_equal(dt_opencl_health(cl, TAHITI), DT_OPENCL_BUSY);
  dt_opencl_run_end(claim);
  assert_int_equal(dt_opencl_health(cl, TAHITI), DT_OPENCL_FREE);
  _close(cl, 0);
}

/* What was given way to keeps the device for too long: the claim goes on without. */
static void test_claim_is_not_had_again(void **state)
{
  (void)state;
  pthread_t thread;
  dt_conf_override(DT_CONF_OPENCL_TIMEOUT, "20"); /* a tenth of a second */
  dt_opencl_t *cl = _open(GTS_AND_TAHITI, "+Tahiti/*/*/*");
  dt_opencl_run_t *claim = dt_opencl_claim(cl, "0000:02:00.0", NULL);
  _asker_t asker = { .cl = cl };
  assert_int_equal(pthread_create(&thread, NULL, _ask, &asker), 0);
  while(g_atomic_int_get(&asker.device) == 0) dt_opencl_claim_yield(claim);
  assert_int_equal(g_atomic_int_get(&asker.device), TAHITI + 2);
  assert_int_equal(dt_opencl_run_device(claim), -1);
  assert_non_null(dt_opencl_run_reason(claim));
  dt_opencl_claim_yield(claim);
  assert_null(dt_opencl_claim(cl, "0000:02:00.0", NULL));
  g_atomic_int_set(&asker.go_on, 1);
  pthread_join(thread, NULL);
  dt_opencl_run_end(claim);
  assert_int_equal(_run(cl, DT_OPENCL_FULL), TAHITI);
  _close(cl, 0);
}

/* --- the trace --- */

typedef struct _line_t
{
  gint64 begun, ended;
} _line_t;

/* Lines of the trace that say @p device, in the order of writing. */
static int _read_trace(const char *path, int device, _line_t *lines, int most)
{
  char *text = NULL;
  int n = 0;
  assert_true(g_file_get_contents(path, &text, NULL, NULL));
  char **rows = g_strsplit(g_strchomp(text), "\n", -1);
  for(char **row = rows; *row && n < most; row++)
  {
    JsonNode *root = json_from_string(*row, NULL);
    JsonObject *o = json_node_get_object(root);
    if(!json_object_get_null_member(o, "device") && json_object_get_int_member(o, "device") == device)
    {
      lines[n].begun = json_object_get_int_member(o, "begun_us");
      lines[n].ended = lines[n].begun + json_object_get_int_member(o, "held_us");
      n++;
    }
    json_node_unref(root);
  }
  g_strfreev(rows);
  g_free(text);
  return n;
}

/* Also of a claim that gives way: no device is said to serve two at once. */
static void test_trace_of_a_claim(void **state)
{
  (void)state;
  pthread_t thread;
  _line_t lines[8];
  char *path = g_build_filename(_world, "trace.jsonl", NULL);
  dt_conf_override(DT_CONF_OPENCL_PRIORITY, "+*///");
  _script("name=A;pci=0000:01:00.0");
  dt_opencl_t *cl = dt_opencl_create(&(dt_opencl_opts_t){ .trace = path }, NULL);
  dt_opencl_run_t *claim = dt_opencl_claim(cl, "0000:01:00.0", NULL);
  _asker_t asker = { .cl = cl, .go_on = 1 };
  assert_int_equal(pthread_create(&thread, NULL, _ask, &asker), 0);
  while(g_atomic_int_get(&asker.device) == 0) dt_opencl_claim_yield(claim);
  pthread_join(thread, NULL);
  dt_opencl_run_end(claim);
  _close(cl, 0);
  assert_int_equal(_read_trace(path, 0, lines, G_N_ELEMENTS(lines)), 3);
  for(int i = 0; i < 3; i++)
    for(int j = 0; j < i; j++)
      assert_false(lines[i].begun < lines[j].ended && lines[j].begun < lines[i].ended);
  g_free(path);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test_setup(test_every_call_fails_once, _set_up_test),
    cmocka_unit_test_setup(test_every_call_fails_once_with_a_cache, _set_up_test),
    cmocka_unit_test_setup(test_every_code, _set_up_test),
    cmocka_unit_test_setup(test_functions_that_never_work, _set_up_test),
    cmocka_unit_test_setup(test_lost_at_every_command, _set_up_test),
    cmocka_unit_test_setup(test_context_dies, _set_up_test),
    cmocka_unit_test_setup(test_end_while_devices_are_tested, _set_up_test),
    cmocka_unit_test_setup(test_program_refused_by_one, _set_up_test),
    cmocka_unit_test_setup(test_wrong_numbers, _set_up_test),
    cmocka_unit_test_setup(test_out_of_memory, _set_up_test),
    cmocka_unit_test_setup(test_hang_in_every_call, _set_up_test),
    cmocka_unit_test_setup(test_hang_with_a_cache, _set_up_test),
    cmocka_unit_test_setup(test_hang_at_the_end, _set_up_test),
    cmocka_unit_test_setup(test_hang_in_the_compilers_words, _set_up_test),
    cmocka_unit_test_setup(test_hang_behind_a_run, _set_up_test),
    cmocka_unit_test_setup(test_programs_are_kept_once, _set_up_test),
    cmocka_unit_test_setup(test_rounding_is_asked_for, _set_up_test),
    cmocka_unit_test_setup(test_compiling_gives_way, _set_up_test),
    cmocka_unit_test_setup(test_hang_in_the_test, _set_up_test),
    cmocka_unit_test_setup(test_the_manuals_example, _set_up_test),
    cmocka_unit_test_setup(test_the_manuals_example_all_at_once, _set_up_test),
    cmocka_unit_test_setup(test_claim_by_address, _set_up_test),
    cmocka_unit_test_setup(test_claim_is_not_had_again, _set_up_test),
    cmocka_unit_test_setup(test_trace_of_a_claim, _set_up_test),
  };
  return cmocka_run_group_tests(tests, _set_up, _tear_down);
}
