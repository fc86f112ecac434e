/* SPDX-License-Identifier: GPL-3.0-or-later */
/** @file
 * Modules of the pixelpipe put to the test one by one: rectangles against the whole, devices against the CPU.
 */
#ifndef DT_TESTS_IOP_H
#define DT_TESTS_IOP_H

#include "support.h"

#include "common/opencl.h"
#include "iop/iop.h"

/** A photograph of no file: a raw of a sensor, or a picture (DT_SENSOR_LINEAR with picture set). */
typedef struct test_photo_t
{
  dt_iop_image_t image;
  dt_mosaic_t mosaic;
  guint16 *samples; ///< of a raw, black 512, white 16383
  float *pixels;    ///< what the pipe begins with: one or four floats for each pixel
  int channels;
  float saturation[4]; ///< handed to the pieces: where each colour is full; 1
} test_photo_t;

/** @param sensor   of the raw; DT_SENSOR_LINEAR: four channels
 * @param phase    of a Bayer sensor: 0 to 3; of X-Trans: the shift of its pattern, 0 to 35
 * @param picture  TRUE: no raw at all */
void test_photo_init(test_photo_t *photo, test_random_t *random, dt_sensor_t sensor, int phase,
                     gboolean picture, int width, int height);
void test_photo_clear(test_photo_t *photo);

/** Every kind of raw, and how many phases it has. */
typedef struct test_sensor_t
{
  dt_sensor_t sensor;
  int phases;
} test_sensor_t;
#define TEST_SENSORS 4
extern const test_sensor_t test_sensors[TEST_SENSORS];

/** A module at work on @p photo, with the standard parameters but for "name=value" pairs.
 * @param settings  NULL-terminated, or NULL
 * @param channels  of what comes in
 * @return cleaned up with test_piece_clear() */
dt_iop_piece_t test_piece_new(const test_photo_t *photo, const char *module, const char *const *settings,
                              int channels, int width, int height, double scale);
void test_piece_clear(dt_iop_piece_t *piece);

/** The whole output of @p piece for the whole input @p in (g_free()). */
float *test_piece_run(const dt_iop_piece_t *piece, const float *in);
/** The same on a device of @p cl; fails the test when the device does. */
float *test_piece_run_cl(const dt_iop_piece_t *piece, const float *in, dt_opencl_t *cl);

/** Random rectangles of the output, computed from the rectangle of @p in they need, are those parts of the whole output
 * @p whole, to the last bit. */
void test_piece_check_rectangles(const dt_iop_piece_t *piece, const float *in, const float *whole,
                                 test_random_t *random, int rounds);

/** All of that for one piece: rectangles, and a device (unless @p cl is NULL) within 1e-4 and likewise in rectangles. The
 * input is unchanged afterwards. */
void test_piece_check(const dt_iop_piece_t *piece, const float *in, dt_opencl_t *cl, test_random_t *random);

/** That for a module of pictures, in 30 sizes from 1x1 at three scales; @p settings, each as of test_piece_new(), ends with
 * NULL and is gone through in turn. */
void test_module_sizes(const char *module, const char *const *const *settings, uint64_t seed);

/** Prints how long a piece takes for 24 megapixels @p in of four channels; it is not judged. */
void test_piece_speed(const dt_iop_piece_t *piece, const float *in, const char *what);
#define TEST_LARGE_WIDTH 6000
#define TEST_LARGE_HEIGHT 4000

/** Two PoCL devices, or NULL where there are none (said); set up once, in the test's world. */
dt_opencl_t *test_iop_opencl(void);

/** What test_iop_opencl() gives, for every pipe, between the two below, which are for cmocka_run_group_tests(). */
extern dt_opencl_t *test_iop_cl;
int test_iop_set_up(void **state);
int test_iop_tear_down(void **state);

#endif
