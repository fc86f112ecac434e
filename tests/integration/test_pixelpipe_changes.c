/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What a change of parameters computes anew: exactly the modules from it on, and nothing when it is taken back; on large
 * screens too, where little can be kept. Modules are counted at their own functions. */
#include "pipe.h"

#include "develop/pixelpipe_internal.h"

#include <string.h>

/* --- modules that are counted --- */

static dt_iop_module_t _counted[DT_DEV_MAX_NODES];
static const dt_iop_module_t *_real[DT_DEV_MAX_NODES];
static int _calls[DT_DEV_MAX_NODES];

static gboolean _process(const dt_iop_piece_t *piece, const float *in, const dt_iop_roi_t *roi_in, float *out,
                         const dt_iop_roi_t *roi_out, GError **error)
{
  const int i = (int)(piece->module - _counted);
  _calls[i]++;
  return _real[i]->process(piece, in, roi_in, out, roi_out, error);
}

/* The plan's modules, in the places of which their doubles stand afterwards. */
static void _count(dt_dev_plan_t *plan)
{
  for(int i = 0; i < plan->n; i++)
  {
    _real[i] = plan->nodes[i].piece.module;
    _counted[i] = *_real[i];
    _counted[i].process = _process;
    plan->nodes[i].piece.module = &_counted[i];
  }
  memset(_calls, 0, sizeof(_calls));
}

static int _find(const dt_dev_plan_t *plan, const char *name)
{
  for(int i = 0; i < plan->n; i++)
    if(strcmp(plan->nodes[i].piece.module->name, name) == 0) return i;
  fail_msg("%s is not in the pipe", name);
  return -1;
}

/* --- a pipe that is changed --- */

static const char *const _base[] = { "denoiseprofile.scales=3",
                                     "exposure.exposure=0.4",
                                     "exposure.blend.opacity=0.7",
                                     "exposure.blend.lightness_from=0.3",
                                     "exposure.blend.lightness_full_from=0.4",
                                     "clipping.angle=2",
                                     "colorbalance.saturation=0.2",
                                     "sharpen.amount=0.8",
                                     "sharpen.radius=4",
                                     NULL };

enum
{
  BASE = G_N_ELEMENTS(_base) - 1
};

/* The settings above, and up to two more. */
static void _change(dt_dev_pixelpipe_t *pipe, const char *first, const char *second)
{
  const char *settings[BASE + 3];
  int n = BASE;
  memcpy(settings, _base, BASE * sizeof(*settings));
  if(first) settings[n++] = first;
  if(second) settings[n++] = second;
  settings[n] = NULL;
  test_pipe_set(pipe, settings);
  _count(pipe->plan);
}

/* Runs it, and checks that each module from @p first on is called once and the others never; -1: none is. */
static void _expect(dt_dev_pixelpipe_t *pipe, const dt_iop_roi_t *roi, float *pixels, int first,
                    const char *what)
{
  GError *error = NULL;
  memset(_calls, 0, sizeof(_calls));
  dt_dev_pixelpipe_run(pipe, roi, pixels, NULL, NULL, &error);
  assert_no_error(error);
  for(int i = 0; i < pipe->plan->n; i++)
    if(_calls[i] != (first >= 0 && i >= first))
      fail_msg("%s: %s was called %d times", what, pipe->plan->nodes[i].piece.module->name, _calls[i]);
  assert_true(dt_dev_cache_bytes(pipe->cache) <= (guint64)256 << 20);
}

/* A region of a full pipe, or all of a preview. */
typedef struct _pipe_case_t
{
  dt_dev_pixelpipe_opts_t opts;
  const dt_iop_roi_t *roi;
} _pipe_case_t;

static const dt_iop_roi_t _region = { 40, 30, 120, 90, 1.0 };
static const _pipe_case_t _pipes[] = {
  { { .type = DT_OPENCL_FULL, .width = 230, .height = 230, .for_screen = TRUE }, &_region },
  { { .type = DT_OPENCL_PREVIEW, .width = 96, .height = 96, .for_screen = TRUE }, NULL },
};

/* Module by module: what follows, what is the same again, what was before. */
static void test_what_follows(void **state)
{
  (void)state;
  static const char *const changes[][3] = {
    { "rawprepare", "rawprepare.black=20" },
    { "temperature", "temperature.mode=user", "temperature.red=2.2" },
    { "highlights", "highlights.clip=0.9" },
    { "demosaic", "demosaic.method=bilinear" },
    { "denoiseprofile", "denoiseprofile.luma=0.4" },
    { "exposure", "exposure.black=0.01" },
    { "exposure", "exposure.blend.opacity=0.3" },
    { "sigmoid", "sigmoid.contrast=1.9" },
    { "colorbalance", "colorbalance.contrast=0.3" },
    { "sharpen", "sharpen.amount=0.3" },
    { "sharpen", "sharpen.radius=3" },
  };
  dt_dev_input_t *input = test_pipe_new_raw(DT_SENSOR_BAYER, 2, 330, 260, 4);
  float *first = g_new(float, 240 * 240 * 4), *again = g_new(float, 240 * 240 * 4);
  for(size_t p = 0; p < G_N_ELEMENTS(_pipes); p++)
  {
    dt_dev_pixelpipe_t *pipe = dt_dev_pixelpipe_create(input, &_pipes[p].opts);
    _change(pipe, NULL, NULL);
    _expect(pipe, _pipes[p].roi, first, 0, "the first run");
    _expect(pipe, _pipes[p].roi, again, -1, "the same again");
    for(size_t i = 0; i < G_N_ELEMENTS(changes); i++)
    {
      _change(pipe, changes[i][1], changes[i][2]);
      _expect(pipe, _pipes[p].roi, again, _find(pipe->plan, changes[i][0]), changes[i][1]);
      _change(pipe, NULL, NULL);
      _expect(pipe, _pipes[p].roi, again, -1, "taken back");
    }
    const gsize n = _pipes[p].roi ? 120 * 90 : (gsize)pipe->plan->width * (gsize)pipe->plan->height;
    assert_memory_equal(again, first, n * 4 * sizeof(float));
    dt_dev_pixelpipe_destroy(pipe);
  }
  g_free(again);
  g_free(first);
  dt_dev_input_unref(input);
}

/* Of several changes the first in the stack counts, and what lies before it is found wherever it was last left. */
static void test_the_nearest(void **state)
{
  (void)state;
  dt_dev_input_t *input = test_pipe_new_raw(DT_SENSOR_XTRANS, 8, 250, 200, 5);
  float *pixels = g_new(float, 240 * 240 * 4);
  for(size_t p = 0; p < G_N_ELEMENTS(_pipes); p++)
  {
    dt_dev_pixelpipe_t *pipe = dt_dev_pixelpipe_create(input, &_pipes[p].opts);
    const dt_iop_roi_t *roi = _pipes[p].roi;
    _change(pipe, NULL, NULL);
    _expect(pipe, roi, pixels, 0, "the first run");
    _change(pipe, "sharpen.amount=0.2", "exposure.exposure=1");
    _expect(pipe, roi, pixels, _find(pipe->plan, "exposure"), "two changes");
    _change(pipe, NULL, "exposure.exposure=1");
    _expect(pipe, roi, pixels, _find(pipe->plan, "sharpen"), "one of them taken back");
    _change(pipe, "sharpen.amount=0.2", NULL);
    _expect(pipe, roi, pixels, _find(pipe->plan, "sharpen"), "the other one");
    _change(pipe, "sharpen=off", NULL);
    _expect(pipe, roi, pixels, _find(pipe->plan, "colorout"), "a module switched off");
    dt_dev_pixelpipe_destroy(pipe);
  }
  g_free(pixels);
  dt_dev_input_unref(input);
}

/* A part of a region that is known is known. */
static void test_part_of_a_region(void **state)
{
  (void)state;
  dt_dev_input_t *input = test_pipe_new_raw(DT_SENSOR_BAYER, 1, 330, 260, 6);
  dt_dev_pixelpipe_t *pipe = dt_dev_pixelpipe_create(input, &_pipes[0].opts);
  float *pixels = g_new(float, 240 * 240 * 4), *part = g_new(float, 240 * 240 * 4);
  _change(pipe, NULL, NULL);
  _expect(pipe, &_region, pixels, 0, "the first run");
  const dt_iop_roi_t inner = { _region.x + 13, _region.y + 7, 50, 41, 1.0 };
  const dt_iop_roi_t there = { 13, 7, 50, 41, 1.0 };
  _expect(pipe, &inner, part, -1, "a part");
  assert_true(test_pipe_difference(pixels, _region.width, &there, part) <= 0);
  const dt_iop_roi_t beside = { _region.x + 80, _region.y, 60, 41, 1.0 };
  memset(_calls, 0, sizeof(_calls));
  assert_true(dt_dev_pixelpipe_run(pipe, &beside, part, NULL, NULL, NULL));
  assert_int_equal(_calls[pipe->plan->n - 1], 1);
  g_free(part);
  g_free(pixels);
  dt_dev_pixelpipe_destroy(pipe);
  dt_dev_input_unref(input);
}

/* Where only a few pictures fit, those stay from which the next change begins; where none fits, none is kept. */
static void test_little_room(void **state)
{
  (void)state;
  dt_dev_input_t *input = test_pipe_new_raw(DT_SENSOR_BAYER, 3, 330, 260, 7);
  dt_dev_pixelpipe_opts_t opts = _pipes[0].opts;
  float *wanted = g_new(float, 240 * 240 * 4), *pixels = g_new(float, 240 * 240 * 4);
  for(int fit = 0; fit < 5; fit++)
  {
    opts.cache = fit ? (guint64)(fit * 260 * 200 * 16) : 1000;
    dt_dev_pixelpipe_t *pipe = dt_dev_pixelpipe_create(input, &opts);
    _change(pipe, NULL, NULL);
    _expect(pipe, NULL, wanted, 0, "the first run");
    for(int round = 0; round < 4; round++)
    {
      char change[40];
      g_snprintf(change, sizeof(change), "sigmoid.contrast=1.%d", round + 1);
      _change(pipe, change, NULL);
      const int sigmoid = _find(pipe->plan, "sigmoid");
      if(fit && round > 0)
        _expect(pipe, NULL, pixels, sigmoid, change);
      else
        dt_dev_pixelpipe_run(pipe, NULL, pixels, NULL, NULL, NULL);
      assert_true(dt_dev_cache_bytes(pipe->cache) <= opts.cache);
      if(fit > 1) assert_true(_calls[_find(pipe->plan, "demosaic")] == 0);
      if(!fit) assert_true(_calls[0] == 1);
    }
    _change(pipe, NULL, NULL);
    dt_dev_pixelpipe_run(pipe, NULL, pixels, NULL, NULL, NULL);
    assert_memory_equal(pixels, wanted, (gsize)pipe->plan->width * (gsize)pipe->plan->height * 16);
    dt_dev_pixelpipe_destroy(pipe);
  }
  g_free(pixels);
  g_free(wanted);
  dt_dev_input_unref(input);
}

/* On a device the pixels come back where the photograph has become small, and where a parameter has changed. */
static void test_device(void **state)
{
  (void)state;
  if(!test_iop_cl) skip();
  dt_dev_input_t *input = test_pipe_new_raw(DT_SENSOR_BAYER, 0, 330, 260, 8);
  for(size_t p = 0; p < G_N_ELEMENTS(_pipes); p++)
  {
    dt_dev_pixelpipe_opts_t opts = _pipes[p].opts;
    opts.cl = test_iop_cl;
    dt_dev_pixelpipe_t *pipe = dt_dev_pixelpipe_create(input, &opts);
    dt_dev_run_report_t report;
    const char *const changes[] = { NULL, "sigmoid.contrast=1.2", "sigmoid.contrast=1.3", NULL };
    const char *const begins[] = { NULL, "denoiseprofile", "sigmoid", "" };
    for(size_t i = 0; i < G_N_ELEMENTS(changes); i++)
    {
      _change(pipe, changes[i], NULL);
      g_free(test_pipe_run(pipe, &report));
      const int n = pipe->plan->n;
      const int first = !begins[i] ? 0 : begins[i][0] ? _find(pipe->plan, begins[i]) : n;
      assert_int_equal(report.modules, n - first);
      assert_true(first == n || report.device >= 0);
    }
    dt_dev_pixelpipe_destroy(pipe);
  }
  dt_dev_input_unref(input);
}

/* --- the cache by itself --- */

/* Never more than it may keep; what is found is what was put in, and the newest of what was preferred is there. */
static void test_bound(void **state)
{
  (void)state;
  enum
  {
    LIMIT = 100000
  };
  test_random_t random = { 11 };
  dt_dev_cache_t *cache = dt_dev_cache_create(LIMIT);
  int found = 0;
  for(int i = 0; i < 20000; i++)
  {
    const guint64 hash = (guint64)test_random_int(&random, 1, 40);
    const guint64 preferred[DT_DEV_CACHE_PREFERRED] = { 1 + (guint64)(i / 1000), 21 + (guint64)(i / 1000) };
    const dt_iop_roi_t roi = { 0, 0, 10 + (int)hash, test_random_int(&random, 1, 60), 1 };
    dt_dev_cache_prefer(cache, preferred);
    dt_dev_buffer_t *buffer = dt_dev_cache_find(cache, hash, &roi);
    if(buffer)
    {
      found++;
      assert_true(buffer->data[0] == (float)hash && buffer->roi.height == roi.height);
    }
    else
    {
      buffer = dt_dev_buffer_new(&roi, 4, NULL);
      for(int k = 0; k < roi.width * roi.height * 4; k++) buffer->data[k] = (float)hash;
      dt_dev_cache_keep(cache, hash, buffer);
      if(hash == preferred[0] || hash == preferred[1])
      {
        dt_dev_buffer_unref(buffer);
        buffer = dt_dev_cache_find(cache, hash, &roi);
        assert_non_null(buffer);
      }
    }
    dt_dev_buffer_unref(buffer);
    assert_true(dt_dev_cache_bytes(cache) <= LIMIT);
  }
  assert_true(found > 1000);
  dt_dev_cache_destroy(cache);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_what_follows),     cmocka_unit_test(test_the_nearest),
    cmocka_unit_test(test_part_of_a_region), cmocka_unit_test(test_little_room),
    cmocka_unit_test(test_device),           cmocka_unit_test(test_bound),
  };
  return cmocka_run_group_tests(tests, test_iop_set_up, test_iop_tear_down);
}
