/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "pipe.h"

#include "imageio/raw_internal.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

dt_dev_input_t *test_pipe_new_raw(dt_sensor_t sensor, int phase, int width, int height, uint64_t seed)
{
  test_random_t random = { seed };
  test_photo_t photo;
  test_photo_init(&photo, &random, sensor, phase, FALSE, width, height);
  dt_raw_held_t *held = g_new0(dt_raw_held_t, 1);
  dt_raw_t *raw = &held->raw;
  const gboolean tiny = width < 16 || height < 16;
  held->release = g_free;
  held->decoder = photo.samples;
  raw->mosaic = photo.mosaic;
  for(int c = 0; c < 4; c++) raw->neutral[c] = photo.image.neutral[c];
  raw->iso = 800;
  raw->crop_x = tiny ? 0 : 3;
  raw->crop_y = tiny ? 0 : 2;
  raw->crop_width = tiny ? width : width - 8;
  raw->crop_height = tiny ? height : height - 6;
  raw->orientation = 6;
  raw->mosaic.samples = photo.samples;
  g_free(photo.pixels);
  return dt_dev_input_new_raw(raw);
}

dt_dev_input_t *test_pipe_new_picture(int width, int height, uint64_t seed)
{
  test_random_t random = { seed };
  test_photo_t photo;
  test_photo_init(&photo, &random, DT_SENSOR_LINEAR, 0, TRUE, width, height);
  const size_t bytes = (size_t)width * (size_t)height * 4 * sizeof(float);
  float *pixels = malloc(bytes);
  memcpy(pixels, photo.pixels, bytes);
  test_photo_clear(&photo);
  return dt_dev_input_new_picture(pixels, width, height, 1);
}

void test_pipe_set(dt_dev_pixelpipe_t *pipe, const char *const *settings)
{
  GError *error = NULL;
  GPtrArray *remarks = g_ptr_array_new_with_free_func(g_free);
  dt_history_t *history = dt_history_create(NULL);
  for(; *settings; settings++)
  {
    const gboolean keeps = **settings == '+';
    dt_history_set(history, *settings + keeps, keeps ? remarks : NULL, &error);
    assert_no_error(error);
  }
  g_ptr_array_unref(remarks);
  dt_dev_pixelpipe_set_history(pipe, history, &error);
  assert_no_error(error);
  dt_history_free(history);
}

dt_dev_pixelpipe_t *test_pipe_open(dt_dev_input_t *input, const dt_dev_pixelpipe_opts_t *opts,
                                   const char *const *settings)
{
  dt_dev_pixelpipe_t *pipe = dt_dev_pixelpipe_create(input, opts);
  test_pipe_set(pipe, settings);
  return pipe;
}

float *test_pipe_run(dt_dev_pixelpipe_t *pipe, dt_dev_run_report_t *report)
{
  int width, height;
  assert_true(dt_dev_pixelpipe_size(pipe, &width, &height));
  float *pixels = g_new(float, (gsize)width *(gsize)height * 4);
  GError *error = NULL;
  dt_dev_pixelpipe_run(pipe, NULL, pixels, NULL, report, &error);
  assert_no_error(error);
  return pixels;
}

double test_pipe_difference(const float *whole, int width, const dt_iop_roi_t *roi, const float *part)
{
  double most = 0;
  for(int y = 0; y < roi->height; y++)
  {
    const float *from = whole + ((gsize)(roi->y + y) * (gsize)width + (gsize)roi->x) * 4;
    for(int i = 0; i < roi->width * 4; i++, part++)
    {
      const double d = fabs((double)*part - (double)from[i]);
      if(!(d <= most)) most = isnan(d) ? INFINITY : d;
    }
  }
  return most;
}
