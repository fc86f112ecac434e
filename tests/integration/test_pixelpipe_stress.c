/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Real pipes of all four types at once on two real devices, whose driver fails at random, while parameters change under
 * the pipes of the screen: every result is that of an undisturbed run on the CPU, none is lost, and the trace agrees.
 *
 * What equal means: where no device had a part in a result, or in what the pipe had kept for it, every bit; else within
 * one step of eight bits. Results are those of parameters that were in force while the run went on: the threads that
 * change them count what they begin and what they have done. */
#include "pipe.h"
#include "pocl.h"
#include "trace.h"

#include "common/conf.h"
#include "develop/pixelpipe_internal.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define PRIORITIES "*/!0,*/+1,0/+*"
#define SET_ASIDE 2000 /* microseconds */
#define LITTLE 500000  /* of some caches */
#define STEP (1.01 / 255)

enum
{
  PHOTOS = 3,
  HISTORIES = 4,
  TYPES = 4
};

static const char *const _plain[] = { NULL };
static const char *const _masked[] = { "denoiseprofile.scales=3",
                                       "highlights.clip=0.95",
                                       "exposure.exposure=0.6",
                                       "exposure.blend.opacity=0.7",
                                       "exposure.blend.feather=7",
                                       "exposure.blend.lightness_from=0.3",
                                       "clipping.angle=3",
                                       "exposure.blend.lightness_full_from=0.4",
                                       "colorbalance.saturation=0.2",
                                       "colorbalance.blend.mask=MASK",
                                       "colorbalance.blend.invert=yes",
                                       "sharpen.amount=0.8",
                                       "sharpen.blend.chroma_to=0.3",
                                       "sharpen.blend.chroma_full_to=0.2",
                                       "sharpen.blend.range_of=output",
                                       NULL };
static const char *const _bright[] = { "denoiseprofile.luma=0.7", "exposure.exposure=1",
                                       "exposure.blend.mask=MASK", NULL };
static const char *const _soft[] = { "denoiseprofile.scales=3", "denoiseprofile.blend.opacity=0.5",
                                     "sigmoid.contrast=1.1", "colorbalance.contrast=0.8", NULL };
static const char *const *const _settings[HISTORIES] = { _plain, _masked, _bright, _soft };

static const dt_iop_roi_t _region = { 20, 15, 101, 77, 1.0 };
static const dt_dev_pixelpipe_opts_t _kinds[TYPES] = {
  { .type = DT_OPENCL_FULL, .width = 180, .height = 180, .for_screen = TRUE },
  { .type = DT_OPENCL_PREVIEW, .width = 90, .height = 90, .for_screen = TRUE },
  { .type = DT_OPENCL_EXPORT, .for_screen = TRUE },
  { .type = DT_OPENCL_THUMBNAIL, .width = 64, .height = 48, .for_screen = TRUE },
};

/* --- what is right --- */

typedef struct _result_t
{
  int width, height;
  float *pixels;
} _result_t;

static const char *_world;
static dt_dev_input_t *_photos[PHOTOS];
static dt_history_t *_histories[HISTORIES];
static _result_t _right[PHOTOS][HISTORIES][TYPES];

static dt_history_t *_new_history(const char *const *settings, const char *mask)
{
  GError *error = NULL;
  dt_history_t *history = dt_history_create(NULL);
  for(; *settings; settings++)
  {
    char **words = g_strsplit(*settings, "MASK", 2);
    char *text = g_strjoinv(mask, words);
    dt_history_set(history, text, NULL, &error);
    assert_no_error(error);
    g_free(text);
    g_strfreev(words);
  }
  return history;
}

/* A disc, as a picture of floating point (g_free()). */
static char *_write_mask(void)
{
  enum
  {
    SIDE = 50
  };
  GString *file = g_string_new("Pf\n50 50\n-1.0\n");
  for(int y = 0; y < SIDE; y++)
    for(int x = 0; x < SIDE; x++)
    {
      const float value = (x - 25) * (x - 25) + (y - 20) * (y - 20) < 200 ? 1.0f : 0.0f;
      g_string_append_len(file, (const char *)&value, sizeof(value));
    }
  char *path = g_build_filename(_world, "mask.pfm", NULL);
  assert_true(g_file_set_contents(path, file->str, (gssize)file->len, NULL));
  g_string_free(file, TRUE);
  return path;
}

static dt_iop_roi_t _roi_of(int type, int width, int height)
{
  const dt_iop_roi_t all = { 0, 0, width, height, 1.0 };
  return type == 0 ? _region : all;
}

static _result_t _compute(int photo, int history, int type)
{
  GError *error = NULL;
  _result_t result;
  dt_dev_pixelpipe_t *pipe = dt_dev_pixelpipe_create(_photos[photo], &_kinds[type]);
  dt_dev_pixelpipe_set_history(pipe, _histories[history], &error);
  assert_no_error(error);
  dt_dev_pixelpipe_size(pipe, &result.width, &result.height);
  result.pixels = test_pipe_run(pipe, NULL);
  dt_dev_pixelpipe_destroy(pipe);
  return result;
}

static int _set_up(void **state)
{
  (void)state;
  _world = test_pocl_world();
  dt_conf_override(DT_CONF_OPENCL_PRIORITY, PRIORITIES);
  char *mask = _write_mask();
  _photos[0] = test_pipe_new_raw(DT_SENSOR_BAYER, 1, 260, 200, 1);
  _photos[1] = test_pipe_new_raw(DT_SENSOR_XTRANS, 9, 211, 190, 2);
  _photos[2] = test_pipe_new_picture(230, 160, 3);
  for(int h = 0; h < HISTORIES; h++) _histories[h] = _new_history(_settings[h], mask);
  for(int i = 0; i < PHOTOS * HISTORIES * TYPES; i++)
  {
    const int photo = i % PHOTOS, history = i / PHOTOS % HISTORIES, type = i / PHOTOS / HISTORIES;
    _right[photo][history][type] = _compute(photo, history, type);
  }
  g_free(mask);
  return 0;
}

static int _tear_down(void **state)
{
  (void)state;
  for(int i = 0; i < PHOTOS * HISTORIES * TYPES; i++)
    g_free(_right[i % PHOTOS][i / PHOTOS % HISTORIES][i / PHOTOS / HISTORIES].pixels);
  for(int h = 0; h < HISTORIES; h++) dt_history_free(_histories[h]);
  for(int p = 0; p < PHOTOS; p++) dt_dev_input_unref(_photos[p]);
  test_world_destroy();
  return 0;
}

/* --- a pipe and its thread --- */

typedef struct _pipe_t
{
  dt_opencl_t *cl;
  int type, photo, runs;
  uint64_t seed;
  gboolean changes; /* under way, by another thread */
  dt_dev_pixelpipe_t *pipe;
  gint begun, done; /* changes so far */
  gint sets[4000];  /* the history of each change */
  gboolean tainted; /* a device had a part in what is kept */
  gint stop;        /* no more changes */
  int right, wrong, failed, changed, replaced, on_device, on_cpu, in_parts, too_little; /* results */
  double difference; /* of devices, the most */
} _pipe_t;

/* Changes the parameters; how many have been begun and done is known to whoever runs the pipe. */
static void _set(_pipe_t *p, int history)
{
  const gint n = g_atomic_int_get(&p->begun);
  p->sets[n] = history;
  g_atomic_int_set(&p->begun, n + 1);
  if(!dt_dev_pixelpipe_set_history(p->pipe, _histories[history], NULL)) abort();
  g_atomic_int_set(&p->done, n + 1);
}

/* Whether @p pixels are what one of the changes @p first to @p last asks for. */
static gboolean _is_right(_pipe_t *p, const float *pixels, const dt_iop_roi_t *roi, gint first, gint last,
                          double tolerance)
{
  for(gint i = first; i <= last; i++)
  {
    const _result_t *right = &_right[p->photo][p->sets[i]][p->type];
    if(roi->x + roi->width > right->width || roi->y + roi->height > right->height) continue;
    const double difference = test_pipe_difference(right->pixels, right->width, roi, pixels);
    if(difference > tolerance) continue;
    p->difference = MAX(p->difference, difference);
    return TRUE;
  }
  return FALSE;
}

/* The region lies in all results; what is whole has the size of the plan in force, which a change may replace: then it is
 * asked for anew. */
static void _count_failure(_pipe_t *p, const GError *error, gint before)
{
  const gboolean newer = g_atomic_int_get(&p->begun) > before;
  if(p->pipe->opts.memory && g_error_matches(error, DT_AI_ERROR, DT_AI_ERROR_MEMORY))
  {
    p->too_little++;
    p->pipe->opts.memory = 0;
  }
  else if(!g_error_matches(error, DT_AI_ERROR, DT_AI_ERROR_CANCELLED))
    p->failed += !(newer && g_error_matches(error, DT_AI_ERROR, DT_AI_ERROR_USAGE));
  else if(strstr(error->message, "took its place"))
  {
    p->replaced++;
    g_usleep(5000); /* or those that wait would replace each other all the time */
  }
  else if(newer)
    p->changed++;
  else
    p->failed++;
}

static gboolean _run_once(_pipe_t *p, float *pixels)
{
  GError *error = NULL;
  dt_dev_run_report_t report;
  int width, height;
  const gint before = g_atomic_int_get(&p->done);
  dt_dev_pixelpipe_size(p->pipe, &width, &height);
  const dt_iop_roi_t roi = _roi_of(p->type, width, height);
  const gboolean fine = dt_dev_pixelpipe_run(p->pipe, &roi, pixels, NULL, &report, &error);
  const gint after = g_atomic_int_get(&p->begun);
  p->tainted |= report.device >= 0;
  if(!fine)
  {
    _count_failure(p, error, before);
    g_error_free(error);
    return FALSE;
  }
  p->right++;
  p->in_parts += report.tiles > 1;
  if(!_is_right(p, pixels, &roi, before - 1, after - 1, p->tainted ? STEP : 0)) p->wrong++;
  if(report.device >= 0)
    p->on_device++;
  else
    p->on_cpu++;
  return TRUE;
}

/* Less than what the whole takes; for some not enough, and then there is no limit the next time. */
static guint64 _little_memory(const dt_dev_plan_t *plan)
{
  const dt_iop_roi_t all = { 0, 0, plan->width, plan->height, 1.0 };
  dt_iop_roi_t rois[DT_DEV_MAX_NODES + 1];
  dt_dev_plan_rois(plan, &all, rois);
  return dt_dev_plan_memory(plan, rois) / 8 * 7;
}

static void _open(_pipe_t *p, int history)
{
  dt_dev_pixelpipe_opts_t opts = _kinds[p->type];
  opts.cl = p->cl;
  opts.name = "photo";
  if(p->type < 2 && p->seed % 2) opts.cache = LITTLE;
  p->pipe = dt_dev_pixelpipe_create(_photos[p->photo], &opts);
  p->begun = p->done = 0;
  p->tainted = FALSE;
  _set(p, history);
  if(p->type == 2) p->pipe->opts.memory = _little_memory(p->pipe->plan);
}

/* A pipe of no screen is made for one photograph and one history. */
static void *_run_pipes(void *data)
{
  _pipe_t *p = data;
  test_random_t random = { p->seed * 7919 + 1 };
  float *pixels = g_new(float, 260 * 260 * 4);
  for(int i = 0; i < p->runs; i++)
  {
    p->photo = test_random_int(&random, 0, PHOTOS - 1);
    _open(p, test_random_int(&random, 0, HISTORIES - 1));
    while(!_run_once(p, pixels) && !p->failed)
      ;
    dt_dev_pixelpipe_destroy(p->pipe);
  }
  g_free(pixels);
  return NULL;
}

/* The hand that changes parameters. */
static void *_run_changes(void *data)
{
  _pipe_t *p = data;
  test_random_t random = { p->seed * 104729 + 1 };
  const gint most = G_N_ELEMENTS(p->sets) - 2;
  while(!g_atomic_int_get(&p->stop) && g_atomic_int_get(&p->begun) < most)
  {
    g_usleep((gulong)test_random_int(&random, 500, 30000));
    _set(p, test_random_int(&random, 0, HISTORIES - 1));
  }
  return NULL;
}

/* A pipe of a screen stays for as long as its photograph is shown, and its last parameters must come out. */
static void *_run_screen(void *data)
{
  _pipe_t *p = data;
  float *pixels = g_new(float, 260 * 260 * 4);
  pthread_t changes;
  for(p->photo = 0; p->photo < PHOTOS; p->photo++)
  {
    _open(p, 0);
    g_atomic_int_set(&p->stop, 0);
    const int seen = p->right;
    pthread_create(&changes, NULL, _run_changes, p);
    while(p->right < seen + p->runs && !p->failed) _run_once(p, pixels);
    g_atomic_int_set(&p->stop, 1);
    pthread_join(changes, NULL);
    while(!_run_once(p, pixels) && !p->failed)
      ;
    dt_dev_pixelpipe_destroy(p->pipe);
  }
  g_free(pixels);
  return NULL;
}

/* --- all at once --- */

static void _add(_pipe_t *sum, const _pipe_t *p)
{
  sum->right += p->right;
  sum->wrong += p->wrong;
  sum->failed += p->failed;
  sum->changed += p->changed;
  sum->replaced += p->replaced;
  sum->on_device += p->on_device;
  sum->on_cpu += p->on_cpu;
  sum->in_parts += p->in_parts;
  sum->too_little += p->too_little;
  sum->difference = MAX(sum->difference, p->difference);
}

/* Three threads ask for full, so that some wait and some are replaced. */
static void _run_all(dt_opencl_t *cl, int runs, _pipe_t *sum)
{
  static const int types[] = { 0, 0, 0, 1, 1, 2, 3, 3 };
  enum
  {
    THREADS = G_N_ELEMENTS(types)
  };
  pthread_t threads[THREADS];
  _pipe_t *pipes = g_new0(_pipe_t, THREADS);
  for(int i = 0; i < THREADS; i++)
  {
    const int type = types[i];
    pipes[i].cl = cl;
    pipes[i].type = type;
    pipes[i].runs = runs;
    pipes[i].seed = (uint64_t)i + 1;
    assert_int_equal(pthread_create(&threads[i], NULL, type < 2 ? _run_screen : _run_pipes, &pipes[i]), 0);
  }
  for(int i = 0; i < THREADS; i++) pthread_join(threads[i], NULL);
  for(int i = 0; i < THREADS; i++) _add(sum, &pipes[i]);
  g_free(pipes);
}

static void _check_trace(const char *path, const _pipe_t *sum)
{
  int n;
  gboolean served[2] = { FALSE };
  test_trace_line_t *lines = test_trace_read(path, &n);
  test_trace_check(lines, n);
  for(int i = 0; i < n; i++)
  {
    assert_true(lines[i].pipe != DT_OPENCL_PREVIEW || lines[i].device != 0);
    if(lines[i].device >= 0) served[lines[i].device] = TRUE;
  }
  /* what was replaced never began */
  assert_int_equal(n, sum->right + sum->changed + sum->too_little);
  assert_true(served[0] && served[1]);
  g_free(lines);
}

/* Kernels are compiled when they are first enqueued, which would take the time of the test. */
static void _warm_up(dt_opencl_t *cl, _pipe_t *sum)
{
  pthread_t threads[2];
  _pipe_t *pipes = g_new0(_pipe_t, 2);
  for(int i = 0; i < 2; i++)
  {
    pipes[i] = (_pipe_t){ .cl = cl, .type = i ? 2 : 3, .runs = 6, .seed = (uint64_t)(10 + i) };
    pthread_create(&threads[i], NULL, _run_pipes, &pipes[i]);
  }
  for(int i = 0; i < 2; i++) pthread_join(threads[i], NULL);
  for(int i = 0; i < 2; i++) _add(sum, &pipes[i]);
  g_free(pipes);
}

static void test_all_pipes(void **state)
{
  (void)state;
  dt_opencl_driver_t *driver = test_pocl_failing_driver();
  if(!driver) skip();
  char *path = g_build_filename(_world, "trace.jsonl", NULL);
  GError *error = NULL;
  dt_opencl_t *cl = dt_opencl_create(
      &(dt_opencl_opts_t){ .trace = path, .driver = driver, .set_aside = SET_ASIDE }, &error);
  assert_no_error(error);
  _pipe_t *sum = g_new0(_pipe_t, 1);
  _warm_up(cl, sum);
  test_pocl_fail_every(1201, 2503);
  _run_all(cl, test_is_long() ? 100 : test_is_sanitized() ? 8 : 25, sum);
  test_pocl_fail_every(0, 0);
  dt_opencl_destroy(cl);
  print_message("%d results, %d of them with devices, %d in parts, within %.4f of a step; %d runs ended by "
                "changes, %d replaced\n",
                sum->right, sum->on_device, sum->in_parts, sum->difference * 255, sum->changed,
                sum->replaced);
  assert_int_equal(sum->wrong, 0);
  assert_int_equal(sum->failed, 0);
  assert_true(sum->on_device > 10 && sum->on_cpu > 10);
  assert_true(sum->changed > 0 && sum->replaced > 0 && sum->in_parts > 0);
  _check_trace(path, sum);
  g_free(sum);
  g_free(path);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_all_pipes),
  };
  return cmocka_run_group_tests(tests, _set_up, _tear_down);
}
