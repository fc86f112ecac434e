/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Whoever shares a graphics processor is asked before every run of a network on it and told after it, whatever became of
 * it, by restoring, by masks, and by the jobs of libs/, which claim it. The runtime and the driver are the scripted fakes;
 * how many runs there were is read from the runtime's notes. The claims of common/opencl.h are stand-ins. */
#include "support.h"

#include "common/paths.h"
#include "imageio/imageio.h"
#include "libs/denoise_ai.h"
#include "libs/mask_ai.h"

#include <glib/gstdio.h>
#include <math.h>
#include <pthread.h>
#include <string.h>
#include <unistd.h>

#define PCI "0000:c1:00.0" /* of the fake driver's first device */

static const char *_world;
static dt_ai_environment_t *_env;

/* --- the fake and its folder --- */

static const char *_path(const char *name)
{
  char *path = g_build_filename(_world, name, NULL);
  const char *kept = g_intern_string(path);
  g_free(path);
  return kept;
}

/* What the runtime does from now on. */
static void _script(const char *text)
{
  char *all = g_strconcat("[runtime]\nproviders=CUDAExecutionProvider;CPUExecutionProvider\n", text, NULL);
  assert_true(g_file_set_contents(_path("script.ini"), all, -1, NULL));
  g_free(all);
}

static void _install(const char *fake, const char *name)
{
  assert_int_equal(symlink(fake, _path(name)), 0);
}

static int _setup(void **state)
{
  (void)state;
  _world = test_world_create();
  _install(DT_TEST_FAKE_ORT, "libonnxruntime.so.1");
  _install(DT_TEST_FAKE_ORT_BARE, "libonnxruntime_providers_cuda.so");
  _install(DT_TEST_FAKE_ORT_BARE, "libonnxruntime_providers_shared.so");
  g_setenv("DT_ORT_LIBRARY", _path("libonnxruntime.so.1"), TRUE);
  g_setenv("DT_FAKE_ORT", _path("script.ini"), TRUE);
  g_setenv("DT_FAKE_ORT_NOTES", _path("notes"), TRUE);
  g_setenv("DT_SYSFS_ROOT", _path("sys"), TRUE);
  g_setenv("LD_LIBRARY_PATH", DT_TEST_DRIVERS, TRUE);
  g_unsetenv("FAKE_DEVICES");
  _script("");
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

/* Runs that this process has begun; trials are other processes. */
static int _count_runs(void)
{
  char *text = NULL, *own = g_strdup_printf("%d run ", (int)getpid());
  int n = 0;
  if(g_file_get_contents(_path("notes"), &text, NULL, NULL))
  {
    char **lines = g_strsplit(text, "\n", -1);
    for(char **line = lines; *line; line++) n += g_str_has_prefix(*line, own);
    g_strfreev(lines);
  }
  g_free(text);
  g_free(own);
  return n;
}

/* --- a gate that watches --- */

typedef struct _watch_t
{
  dt_ai_gate_t gate;
  pthread_t thread;
  int entered, left;
  int runs;         /* before the one that is under way */
  int on_gpu;       /* of those that entered */
  gboolean lenient; /* a run may be given up before it begins */
  int cancel_at;    /* that one, counted from 1 */
  GCancellable *cancellable;
} _watch_t;

/* g_assert: a failing cmocka assertion may not jump out of another thread. */
static void _enter(const char *pci, void *data)
{
  _watch_t *w = data;
  g_assert(w->entered++ == w->left); /* here runs take turns */
  if(pci) g_assert_cmpstr(pci, ==, PCI);
  w->on_gpu += pci != NULL;
  w->thread = pthread_self();
  w->runs = _count_runs();
  if(w->entered == w->cancel_at) g_cancellable_cancel(w->cancellable);
}

static void _leave(const char *pci, void *data)
{
  _watch_t *w = data;
  const int runs = _count_runs() - w->runs;
  g_assert(++w->left == w->entered && pthread_equal(w->thread, pthread_self()));
  if(pci) g_assert_cmpstr(pci, ==, PCI);
  g_assert(runs == 1 || (runs == 0 && w->lenient));
}

static void _watch_begin(_watch_t *w)
{
  *w = (_watch_t){ .gate = { _enter, _leave, w }, .runs = _count_runs(), .cancellable = g_cancellable_new() };
}

static void _watch_end(_watch_t *w)
{
  assert_int_equal(w->entered, w->left);
  g_object_unref(w->cancellable);
}

/* --- restoring --- */

static dt_restore_context_t *_load(const char *id, int max_tile)
{
  const dt_restore_load_opts_t opts = { .provider = DT_AI_PROVIDER_CUDA,
                                        .strict = TRUE,
                                        .max_tile = max_tile };
  GError *error = NULL;
  dt_restore_context_t *ctx = dt_restore_load(_env, "denoise", id, &opts, &error);
  assert_no_error(error);
  return ctx;
}

static gboolean _restore(dt_restore_context_t *ctx, const _watch_t *watch, dt_restore_report_t *report,
                         GError **error)
{
  test_random_t random = { 5 };
  test_image_t in = test_image_random(&random, 400, 700, 3), out = test_image_new(400, 700, 3);
  test_sink_t sink;
  test_sink_init(&sink, &out);
  dt_row_source_t *source = test_source_new(&in);
  const dt_restore_opts_t opts = { .gate = &watch->gate, .cancellable = watch->cancellable };
  const gboolean ok = dt_restore_process(ctx, source, &sink.sink, &opts, report, error);
  dt_row_source_destroy(source);
  test_image_free(&in);
  test_image_free(&out);
  return ok;
}

static void test_restore(void **state)
{
  (void)state;
  _watch_t watch;
  dt_restore_report_t report;
  GError *error = NULL;
  dt_restore_context_t *ctx = _load("denoise-conv3", 256);
  _watch_begin(&watch);
  const int before = _count_runs();
  assert_true(_restore(ctx, &watch, &report, &error));
  assert_no_error(error);
  assert_true(report.plan.columns * report.plan.rows > 1);
  assert_int_equal(watch.entered, report.plan.columns * report.plan.rows);
  assert_int_equal(watch.on_gpu, watch.entered);
  assert_int_equal(_count_runs() - before, watch.entered); /* and there was none outside */
  _watch_end(&watch);
  dt_restore_free(ctx);
}

/* Runs that fail are followed by a leave as well; then smaller ones are begun. */
static void test_restore_retries(void **state)
{
  (void)state;
  _watch_t watch;
  dt_restore_report_t report;
  GError *error = NULL;
  _script("[CUDA]\nrun_oom_above=100000\n");
  dt_restore_context_t *ctx = _load("denoise-conv3", 512);
  _watch_begin(&watch);
  assert_true(_restore(ctx, &watch, &report, &error));
  assert_no_error(error);
  assert_true(report.retries > 0);
  assert_true(watch.entered > report.plan.columns * report.plan.rows);
  _watch_end(&watch);
  dt_restore_free(ctx);
  _script("");
}

static void test_restore_fails(void **state)
{
  (void)state;
  _watch_t watch;
  GError *error = NULL;
  _script("[CUDA]\nrun_oom_at=3\n");
  dt_restore_context_t *ctx = _load("denoise-static", 256); /* there is no smaller window */
  _watch_begin(&watch);
  assert_false(_restore(ctx, &watch, NULL, &error));
  assert_true(g_error_matches(error, DT_AI_ERROR, DT_AI_ERROR_MEMORY));
  assert_true(watch.entered >= 1);
  _watch_end(&watch);
  g_clear_error(&error);
  dt_restore_free(ctx);
  _script("");
}

static void test_restore_cancelled(void **state)
{
  (void)state;
  dt_restore_context_t *ctx = _load("denoise-conv3", 256);
  for(int at = 1; at < 4; at++)
  {
    _watch_t watch;
    GError *error = NULL;
    _watch_begin(&watch);
    watch.lenient = TRUE;
    watch.cancel_at = at;
    assert_false(_restore(ctx, &watch, NULL, &error));
    assert_true(g_error_matches(error, DT_AI_ERROR, DT_AI_ERROR_CANCELLED));
    assert_int_equal(watch.entered, at);
    _watch_end(&watch);
    g_clear_error(&error);
  }
  dt_restore_free(ctx);
}

/* --- masks --- */

static dt_seg_context_t *_load_mask(void)
{
  const dt_seg_load_opts_t opts = { .provider = DT_AI_PROVIDER_CUDA, .strict = TRUE };
  GError *error = NULL;
  dt_seg_context_t *seg = dt_seg_load_ext(_env, "mask-object-tiny", &opts, &error);
  assert_no_error(error);
  return seg;
}

static gboolean _encode(dt_seg_context_t *seg, GCancellable *cancellable, GError **error)
{
  test_random_t random = { 6 };
  test_image_t in = test_image_random(&random, 90, 60, 3);
  dt_row_source_t *rows = test_source_new(&in);
  const gboolean ok = dt_seg_encode(seg, rows, NULL, NULL, cancellable, error);
  dt_row_source_destroy(rows);
  test_image_free(&in);
  return ok;
}

static gboolean _ask(dt_seg_context_t *seg, GCancellable *cancellable, GError **error)
{
  const dt_seg_point_t point = { 40, 30, DT_SEG_FOREGROUND };
  const dt_seg_prompts_t prompts = { .points = &point, .n_points = 1 };
  dt_seg_answer_t *answer = dt_seg_answer(seg, &prompts, cancellable, error);
  dt_seg_answer_free(answer);
  return answer != NULL;
}

/* The encoder runs on the device, the decoder on the CPU. */
static void test_mask(void **state)
{
  (void)state;
  _watch_t watch;
  GError *error = NULL;
  dt_seg_context_t *seg = _load_mask();
  _watch_begin(&watch);
  dt_seg_set_gate(seg, &watch.gate);
  assert_true(_encode(seg, NULL, &error));
  assert_int_equal(watch.entered, 1);
  assert_int_equal(watch.on_gpu, 1);
  assert_true(_ask(seg, NULL, &error) && _ask(seg, NULL, &error));
  assert_int_equal(watch.entered, 3);
  assert_int_equal(watch.on_gpu, 1);
  dt_seg_context_t *fork = dt_seg_fork(seg); /* without a gate */
  assert_true(_encode(fork, NULL, &error));
  dt_seg_set_gate(seg, NULL);
  assert_true(_encode(seg, NULL, &error) && _ask(seg, NULL, &error));
  assert_int_equal(watch.entered, 3);
  _watch_end(&watch);
  dt_seg_free(fork);
  dt_seg_free(seg);
}

static void test_mask_cancelled(void **state)
{
  (void)state;
  dt_seg_context_t *seg = _load_mask();
  GError *error = NULL;
  assert_true(_encode(seg, NULL, &error));
  for(int asks = 1; asks >= 0; asks--)
  {
    _watch_t watch;
    _watch_begin(&watch);
    watch.lenient = TRUE;
    watch.cancel_at = 1;
    dt_seg_set_gate(seg, &watch.gate);
    assert_false(asks ? _ask(seg, watch.cancellable, &error) : _encode(seg, watch.cancellable, &error));
    assert_true(g_error_matches(error, DT_AI_ERROR, DT_AI_ERROR_CANCELLED));
    assert_int_equal(watch.entered, 1);
    _watch_end(&watch);
    g_clear_error(&error);
  }
  dt_seg_free(seg);
}

/* A run that fails. */
static void test_mask_fails(void **state)
{
  (void)state;
  _watch_t watch;
  GError *error = NULL;
  dt_seg_free(_load_mask()); /* it has been tried with the device, which was good */
  _script("[CUDA]\nrun_oom_at=1\n");
  dt_seg_context_t *seg = _load_mask();
  _watch_begin(&watch);
  dt_seg_set_gate(seg, &watch.gate);
  assert_false(_encode(seg, NULL, &error));
  assert_true(g_error_matches(error, DT_AI_ERROR, DT_AI_ERROR_MEMORY));
  assert_int_equal(watch.entered, 1);
  _watch_end(&watch);
  g_clear_error(&error);
  dt_seg_free(seg);
  _script("");
}

/* --- jobs: stand-ins for claims --- */

static struct
{
  int claims, yields, ends;
  int runs; /* at the first claim */
  gboolean held;
} _device;
static int _claim; /* its address is one */

dt_opencl_run_t *dt_opencl_claim(dt_opencl_t *cl, const char *pci, GCancellable *cancellable)
{
  (void)cancellable;
  g_assert((void *)cl == &_device && !_device.held);
  g_assert_cmpstr(pci, ==, PCI);
  _device.held = TRUE;
  _device.runs = _count_runs();
  _device.claims++;
  return (dt_opencl_run_t *)(void *)&_claim;
}

void dt_opencl_claim_yield(dt_opencl_run_t *claim)
{
  g_assert((void *)claim == &_claim && _device.held);
  _device.yields++;
  g_assert_cmpint(_count_runs() - _device.runs, ==, _device.yields); /* after every run */
}

int dt_opencl_run_device(const dt_opencl_run_t *run)
{
  g_assert((const void *)run == &_claim);
  return 0;
}

void dt_opencl_run_end(dt_opencl_run_t *run)
{
  if(!run) return;
  g_assert((void *)run == &_claim && _device.held);
  _device.held = FALSE;
  _device.ends++;
}

static dt_opencl_t *_new_device(void)
{
  memset(&_device, 0, sizeof _device);
  return (dt_opencl_t *)(void *)&_device;
}

/* --- jobs --- */

static const char *_write_picture(const char *name, int width, int height)
{
  GError *error = NULL;
  const dt_imageio_write_opts_t opts = { .bits = 8, .overwrite = TRUE };
  dt_row_sink_t *sink = dt_imageio_create(_path(name), width, height, DT_ROW_RGB, &opts, &error);
  assert_no_error(error);
  float *row = g_new(float, 3 * (gsize)width);
  for(int y = 0; y < height; y++)
  {
    for(int i = 0; i < 3 * width; i++) row[i] = 0.5f + 0.4f * sinf((float)(i + y) * 0.03f);
    assert_true(sink->write(sink, y, 1, row, &error));
  }
  assert_true(sink->finish(sink, &error));
  g_free(row);
  return _path(name);
}

static gboolean _run_job(dt_restore_context_t *ctx, const dt_restore_job_t *job, dt_restore_report_t *report,
                         GError **error)
{
  dt_restore_picture_t *picture = dt_restore_job_open(job, _write_picture("in.png", 400, 700), error);
  assert_non_null(picture);
  const gboolean ok = dt_restore_job_run(ctx, job, picture, _path("out.png"), report, NULL, error);
  dt_restore_picture_close(picture);
  return ok;
}

/* The device is claimed once, offered after every tile, and given up. */
static void test_restore_job(void **state)
{
  (void)state;
  GError *error = NULL;
  dt_restore_report_t report;
  dt_restore_context_t *ctx = _load("denoise-conv3", 256);
  dt_restore_job_t job = { .overwrite = TRUE, .opencl = _new_device() };
  assert_true(_run_job(ctx, &job, &report, &error));
  assert_int_equal(_device.claims, 1);
  assert_int_equal(_device.yields, report.plan.columns * report.plan.rows);
  assert_int_equal(_device.ends, 1);
  job.opencl = NULL;
  assert_true(_run_job(ctx, &job, NULL, &error));
  assert_int_equal(_device.claims, 1);
  dt_restore_free(ctx);
}

static void _cancel(double fraction, double megapixels, void *cancellable)
{
  (void)fraction;
  (void)megapixels;
  g_cancellable_cancel(cancellable);
}

static void test_restore_job_cancelled(void **state)
{
  (void)state;
  GError *error = NULL;
  GCancellable *cancellable = g_cancellable_new();
  dt_restore_context_t *ctx = _load("denoise-conv3", 256);
  const dt_restore_job_t job = {
    .overwrite = TRUE,
    .opencl = _new_device(),
    .restore = { .cancellable = cancellable, .progress = _cancel, .progress_data = cancellable }
  };
  assert_false(_run_job(ctx, &job, NULL, &error));
  assert_true(g_error_matches(error, DT_AI_ERROR, DT_AI_ERROR_CANCELLED));
  assert_int_equal(_device.claims, 1);
  assert_int_equal(_device.ends, 1);
  g_clear_error(&error);
  g_object_unref(cancellable);
  dt_restore_free(ctx);
}

/* Nobody's device is touched. */
static void test_restore_job_on_cpu(void **state)
{
  (void)state;
  GError *error = NULL;
  const dt_restore_load_opts_t opts = { .provider = DT_AI_PROVIDER_CPU, .max_tile = 256 };
  dt_restore_context_t *ctx = dt_restore_load(_env, "denoise", "denoise-conv3", &opts, &error);
  const dt_restore_job_t job = { .overwrite = TRUE, .opencl = _new_device() };
  assert_true(_run_job(ctx, &job, NULL, &error));
  assert_int_equal(_device.claims, 0);
  dt_restore_free(ctx);
}

/* The object mask tool borrows the gate while it is opened. */
static void test_object(void **state)
{
  (void)state;
  _watch_t watch;
  GError *error = NULL;
  dt_seg_context_t *seg = _load_mask();
  _watch_begin(&watch);
  const dt_object_opts_t opts = { .gate = &watch.gate, .no_cache = TRUE };
  dt_object_t *object = dt_object_open(seg, _write_picture("object.png", 120, 80), &opts, &error);
  assert_no_error(error);
  assert_int_equal(watch.entered, 1);
  assert_true(dt_object_add_point(object, 50, 40, TRUE, &error));
  assert_non_null(dt_object_answer(object, NULL, &error));
  assert_int_equal(watch.entered, 1);
  _watch_end(&watch);
  dt_object_free(object);
  dt_seg_free(seg);
}

static void test_mask_job(void **state)
{
  (void)state;
  GError *error = NULL;
  dt_seg_context_t *seg = _load_mask();
  const dt_mask_job_t job = { .input = _write_picture("photo.png", 120, 80), .opencl = _new_device() };
  const dt_object_opts_t opts = { 0 };
  for(int i = 0; i < 2; i++) /* the second time the encoded picture is in the cache, and nothing runs */
  {
    dt_photo_t *photo = dt_photo_open(job.input, NULL, &error);
    dt_object_t *object = dt_mask_job_open(&job, seg, photo, &opts, &error);
    assert_no_error(error);
    assert_int_equal(dt_object_was_cached(object), i);
    assert_int_equal(_device.claims, 1);
    assert_int_equal(_device.yields, 1);
    assert_int_equal(_device.ends, 1);
    assert_true(dt_object_add_point(object, 50, 40, TRUE, &error));
    assert_non_null(dt_object_answer(object, NULL, &error)); /* the decoder's, on the CPU */
    assert_int_equal(_device.claims, 1);
    dt_object_free(object);
  }
  dt_seg_free(seg);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_restore),
    cmocka_unit_test(test_restore_retries),
    cmocka_unit_test(test_restore_fails),
    cmocka_unit_test(test_restore_cancelled),
    cmocka_unit_test(test_mask),
    cmocka_unit_test(test_mask_cancelled),
    cmocka_unit_test(test_mask_fails),
    cmocka_unit_test(test_restore_job),
    cmocka_unit_test(test_restore_job_cancelled),
    cmocka_unit_test(test_restore_job_on_cpu),
    cmocka_unit_test(test_object),
    cmocka_unit_test(test_mask_job),
  };
  return cmocka_run_group_tests_name("gate", tests, _setup, _teardown);
}
