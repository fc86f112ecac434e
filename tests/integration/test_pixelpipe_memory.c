/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Memory that is short although the plan said it would do: here and on devices. Parts become smaller, and the result is the
 * same; a device that has none at all is not asked for ever. */
#include "pipe.h"
#include "pocl.h"

#include "common/conf.h"
#include "common/memory.h"

#include <string.h>

/* --- allocations that fail; the linker puts this one in the place of dt_memory_try_large() --- */

void *__real_dt_memory_try_large(size_t count, size_t size);
void *__wrap_dt_memory_try_large(size_t count, size_t size);

static gint _asked, _fail_at; /* since _refuse(); the one that fails, 0: none */
static gint _largest;         /* bytes; more are refused; 0: no limit */

void *__wrap_dt_memory_try_large(size_t count, size_t size)
{
  const gint n = g_atomic_int_add(&_asked, 1) + 1, largest = g_atomic_int_get(&_largest);
  if(n == g_atomic_int_get(&_fail_at) || (largest && count * size > (size_t)largest)) return NULL;
  return __real_dt_memory_try_large(count, size);
}

static void _refuse(int at, int largest)
{
  g_atomic_int_set(&_asked, 0);
  g_atomic_int_set(&_fail_at, at);
  g_atomic_int_set(&_largest, largest);
}

static int _set_up(void **state)
{
  (void)state;
  test_pocl_world();
  dt_conf_override(DT_CONF_OPENCL_PRIORITY, "*/*/*/*");
  return 0;
}

static int _tear_down(void **state)
{
  (void)state;
  test_world_destroy();
  return 0;
}

/* --- here --- */

/* Each of its allocations once. */
static void _check_demosaic(dt_sensor_t sensor, const char *const *settings, int least)
{
  test_random_t random = { 3 };
  test_photo_t photo;
  test_photo_init(&photo, &random, sensor, 1, FALSE, 70, 300);
  dt_iop_piece_t piece = test_piece_new(&photo, "demosaic", settings, 1, 70, 300, 1.0);
  const dt_iop_roi_t roi = { 0, 0, 70, 300, 1.0 };
  float *out = g_new(float, 70 * 300 * 4);
  int at = 1;
  for(gboolean fine = FALSE; !fine; at++)
  {
    GError *error = NULL;
    _refuse(at, 0);
    fine = piece.module->process(&piece, photo.pixels, &roi, out, &roi, &error);
    assert_true(fine == (_asked < at));
    assert_true(fine || g_error_matches(error, DT_AI_ERROR, DT_AI_ERROR_MEMORY));
    g_clear_error(&error);
  }
  _refuse(0, 0);
  assert_true(at > least);
  g_free(out);
  test_piece_clear(&piece);
  test_photo_clear(&photo);
}

static void test_demosaic(void **state)
{
  (void)state;
  static const char *const bilinear[] = { "method=bilinear", NULL };
  _check_demosaic(DT_SENSOR_BAYER, NULL, 1);
  _check_demosaic(DT_SENSOR_BAYER, bilinear, 1);
  _check_demosaic(DT_SENSOR_XTRANS, NULL, 3);
  _check_demosaic(DT_SENSOR_FOUR, NULL, 1);
}

static const char *const _settings[] = { "denoiseprofile.scales=2",
                                         "exposure.blend.feather=5",
                                         "exposure.blend.lightness_from=0.2",
                                         "exposure.blend.lightness_full_from=0.3",
                                         "sharpen.amount=0.6",
                                         NULL };
static const dt_dev_pixelpipe_opts_t _export = {
  .type = DT_OPENCL_EXPORT, .width = 200, .height = 200, .for_screen = TRUE
};

/* Whichever allocation fails, the parts that are left give the same. */
static void test_each_allocation(void **state)
{
  (void)state;
  dt_dev_input_t *input = test_pipe_new_raw(DT_SENSOR_XTRANS, 5, 260, 220, 5);
  dt_dev_pixelpipe_t *pipe = test_pipe_open(input, &_export, _settings);
  dt_dev_run_report_t report;
  float *wanted = test_pipe_run(pipe, NULL);
  int width, height, at = 1;
  dt_dev_pixelpipe_size(pipe, &width, &height);
  for(report.tiles = 2; report.tiles > 1; at++)
  {
    _refuse(at, 0);
    float *got = test_pipe_run(pipe, &report);
    assert_true((report.tiles > 1) == (_asked >= at));
    assert_memory_equal(got, wanted, (gsize)width * (gsize)height * 4 * sizeof(float));
    g_free(got);
  }
  assert_true(at > 8);
  _refuse(0, 0);
  g_free(wanted);
  dt_dev_pixelpipe_destroy(pipe);
  dt_dev_input_unref(input);
}

/* No large block is to be had: smaller parts need smaller ones. And at last there is none at all. */
static void test_large_blocks(void **state)
{
  (void)state;
  dt_dev_input_t *input = test_pipe_new_raw(DT_SENSOR_BAYER, 0, 260, 220, 7);
  dt_dev_pixelpipe_t *pipe = test_pipe_open(input, &_export, _settings);
  dt_dev_run_report_t report;
  float *wanted = test_pipe_run(pipe, NULL);
  int width, height;
  dt_dev_pixelpipe_size(pipe, &width, &height);
  for(int largest = 800000; largest >= 500000; largest -= 150000)
  {
    _refuse(0, largest);
    float *got = test_pipe_run(pipe, &report);
    assert_true(report.tiles > 1);
    assert_memory_equal(got, wanted, (gsize)width * (gsize)height * 4 * sizeof(float));
    g_free(got);
  }
  GError *error = NULL;
  float *none = g_new(float, (gsize)width *(gsize)height * 4);
  _refuse(0, 100);
  assert_false(dt_dev_pixelpipe_run(pipe, NULL, none, NULL, NULL, &error));
  assert_true(g_error_matches(error, DT_AI_ERROR, DT_AI_ERROR_MEMORY));
  _refuse(0, 0);
  g_error_free(error);
  g_free(none);
  g_free(wanted);
  dt_dev_pixelpipe_destroy(pipe);
  dt_dev_input_unref(input);
}

/* --- on a device --- */

static gsize _room; /* bytes of the largest buffer a device gives */
static gint _refused;

static cl_mem CL_API_CALL _create(cl_context context, cl_mem_flags flags, size_t size, void *data,
                                  cl_int *code)
{
  if(size <= _room) return test_pocl_real_driver()->CreateBuffer(context, flags, size, data, code);
  g_atomic_int_inc(&_refused);
  *code = CL_MEM_OBJECT_ALLOCATION_FAILURE;
  return NULL;
}

/* Smaller parts are tried, and where they do not fit either, a few are enough. */
static void test_device(void **state)
{
  (void)state;
  dt_opencl_driver_t *driver = test_pocl_driver();
  if(!driver) skip();
  driver->CreateBuffer = _create;
  GError *error = NULL;
  dt_opencl_t *cl = dt_opencl_create(&(dt_opencl_opts_t){ .driver = driver }, &error);
  assert_no_error(error);
  dt_dev_input_t *input = test_pipe_new_raw(DT_SENSOR_BAYER, 2, 260, 220, 6);
  static const char *const settings[] = { NULL };
  dt_dev_pixelpipe_opts_t opts = _export;
  opts.width = opts.height = 0;
  dt_dev_pixelpipe_t *here = test_pipe_open(input, &opts, settings);
  opts.cl = cl;
  dt_dev_pixelpipe_t *there = test_pipe_open(input, &opts, settings);
  int width, height;
  dt_dev_pixelpipe_size(here, &width, &height);
  const dt_iop_roi_t all = { 0, 0, width, height, 1.0 };
  float *wanted = test_pipe_run(here, NULL);
  dt_dev_run_report_t report;
  _room = 300000;
  float *got = test_pipe_run(there, &report);
  assert_true(report.device >= 0 && report.tiles >= 4 && _refused >= 2);
  assert_true(test_pipe_difference(wanted, width, &all, got) <= 1.01 / 255);
  g_free(got);
  _room = 100;
  _refused = 0;
  got = test_pipe_run(there, &report);
  assert_true(report.device == -1 && report.tiles == 4);
  if(_refused != 4) fail_msg("the device was asked %d times", _refused);
  assert_true(test_pipe_difference(wanted, width, &all, got) <= 0);
  g_free(got);
  g_free(wanted);
  dt_dev_pixelpipe_destroy(here);
  dt_dev_pixelpipe_destroy(there);
  dt_dev_input_unref(input);
  dt_opencl_destroy(cl);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_demosaic),
    cmocka_unit_test(test_each_allocation),
    cmocka_unit_test(test_large_blocks),
    cmocka_unit_test(test_device),
  };
  return cmocka_run_group_tests(tests, _set_up, _tear_down);
}
