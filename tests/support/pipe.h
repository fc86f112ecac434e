/* SPDX-License-Identifier: GPL-3.0-or-later */
/** @file
 * Whole pixelpipes put to the test: photographs of no file, pipes over them, their results.
 */
#ifndef DT_TESTS_PIPE_H
#define DT_TESTS_PIPE_H

#include "iop.h"

#include "develop/pixelpipe.h"

/** A raw of test_photo_init(), turned by a quarter and, unless it is tiny, cropped. */
dt_dev_input_t *test_pipe_new_raw(dt_sensor_t sensor, int phase, int width, int height, uint64_t seed);
/** A picture of test_photo_init(). */
dt_dev_input_t *test_pipe_new_picture(int width, int height, uint64_t seed);

/** Sets the pipe to "name.param=value" settings (NULL-terminated) over the standard ones; one behind a + is kept in the
 * history although it is not understood. */
void test_pipe_set(dt_dev_pixelpipe_t *pipe, const char *const *settings);
dt_dev_pixelpipe_t *test_pipe_open(dt_dev_input_t *input, const dt_dev_pixelpipe_opts_t *opts,
                                   const char *const *settings);
/** All of the result (g_free()). @param report  or NULL */
float *test_pipe_run(dt_dev_pixelpipe_t *pipe, dt_dev_run_report_t *report);

/** The largest difference between the rectangle @p roi of @p whole, which is @p width pixels wide, and @p part. */
double test_pipe_difference(const float *whole, int width, const dt_iop_roi_t *roi, const float *part);

#endif
