/* SPDX-License-Identifier: GPL-3.0-or-later */
/* denoise (profiled): against its formula in double precision, in rectangles, on a device; and by how much it helps. */
#include "iop.h"
#include "pocl.h"

#include "common/demosaic.h"
#include "imageio/imageio.h"

#include <float.h>
#include <math.h>
#include <string.h>

/* --- pictures --- */

/* Normally distributed (Box and Muller). */
static double _normal(test_random_t *random)
{
  const double radius = sqrt(-2.0 * log(test_random_range(random, 1e-12, 1.0)));
  return radius * cos(2.0 * G_PI * test_random_range(random, 0.0, 1.0));
}

/* A piece for a picture of four channels that is known to have that noise. */
static dt_iop_piece_t _piece(test_photo_t *photo, double scale, double offset, const char *const *settings,
                             int width, int height, double size)
{
  photo->image.noise_scale = scale;
  photo->image.noise_offset = offset;
  return test_piece_new(photo, "denoiseprofile", settings, 4, width, height, size);
}

/* Noise as a sensor's: of the light, and of reading. Enough photons for a normal distribution. */
static float *_add_noise(const float *clean, gsize pixels, double scale, double offset, test_random_t *random)
{
  float *noisy = g_new(float, 4 * pixels);
  for(gsize i = 0; i < 4 * pixels; i++)
    noisy[i] =
        (float)(clean[i] + (i % 4 < 3 ? sqrt(scale * MAX(clean[i], 0.0f) + offset) * _normal(random) : 0.0));
  return noisy;
}

static float *_flat(int width, int height, const double colour[3])
{
  float *pixels = g_new0(float, 4 * (gsize)width * (gsize)height);
  for(gsize i = 0; i < 4 * (gsize)width * (gsize)height; i++)
    pixels[i] = i % 4 < 3 ? (float)colour[i % 4] : 1.0f;
  return pixels;
}

/* Mean and deviation of one channel. */
static void _statistics(const float *pixels, gsize n, int channel, double *mean, double *deviation)
{
  double sum = 0, squares = 0;
  for(gsize i = 0; i < n; i++) sum += pixels[4 * i + (gsize)channel];
  *mean = sum / (double)n;
  for(gsize i = 0; i < n; i++) squares += pow(pixels[4 * i + (gsize)channel] - *mean, 2);
  *deviation = sqrt(squares / (double)n);
}

/* --- the formula once more, the slow way --- */

static int _mirror(int at, int n)
{
  while(at < 0 || at >= n) at = n == 1 ? 0 : at < 0 ? -at : 2 * (n - 1) - at;
  return at;
}

static const double _spline[5] = { 1 / 16., 4 / 16., 6 / 16., 4 / 16., 1 / 16. },
                    _mean[5] = { .2, .2, .2, .2, .2 };

static void _blur(const double *in, double *out, int width, int height, int step, const double taps[5])
{
  for(int y = 0; y < height; y++)
    for(int x = 0; x < width; x++)
    {
      double sum = 0;
      for(int k = 0; k < 25; k++)
        sum += taps[k / 5] * taps[k % 5]
               * in[_mirror(y + (k / 5 - 2) * step, height) * width + _mirror(x + (k % 5 - 2) * step, width)];
      out[y * width + x] = sum;
    }
}

/* Deviation of white noise in scale @p j: what a blur of a single 1 leaves and takes. */
static double _white(int j)
{
  const int size = (8 << j) + 9, n = size * size;
  double *a = g_new0(double, n), *b = g_new(double, n), sum = 0;
  a[n / 2] = 1;
  for(int i = 0; i <= j; i++)
  {
    _blur(a, b, size, size, 1 << i, _spline);
    if(i == j) break;
    memcpy(a, b, (gsize)n * sizeof(double));
  }
  for(int i = 0; i < n; i++) sum += (a[i] - b[i]) * (a[i] - b[i]);
  g_free(a);
  g_free(b);
  return sqrt(sum);
}

static const double _planes[3][3] = { { 1, 1, 1 }, { 1, 0, -1 }, { 1, -2, 1 } };
static const double _lengths[3] = { 3, 2, 6 };

/* The generalised Anscombe transform as it is written in books, brought to slope 1 and value 0 at 0. */
static double _anscombe(double x, double a, double b)
{
  const double root = sqrt(0.375 * a * a + b);
  return x <= 0 ? x : (2 / a * sqrt(a * x + 0.375 * a * a + b) - 2 / a * root) * root;
}

static double _back(double v, double a, double b)
{
  const double root = sqrt(0.375 * a * a + b), d = v / root * a / 2 + root;
  return v <= 0 ? v : (d * d - 0.375 * a * a - b) / a;
}

/* What `strength` 1 makes of a picture without a filter array, all of whose noise is taken for removed. */
static void _reference(const float *in, double *out, int width, int height, double a, double b, int scales)
{
  const int n = width * height;
  const double root = sqrt(0.375 * a * a + b), align = 0.18 / _anscombe(0.18, a, b);
  double *planes[3], *fine = g_new(double, n), *coarse = g_new(double, n);
  double *energy[2] = { g_new(double, n), g_new(double, n) }, *blurred = g_new(double, n);
  double *details[3] = { g_new(double, n), g_new(double, n), g_new(double, n) }, *left[3];
  for(int p = 0; p < 3; p++)
  {
    planes[p] = g_new(double, n);
    for(int i = 0; i < n; i++)
    {
      planes[p][i] = 0;
      for(int c = 0; c < 3; c++)
        planes[p][i] += _planes[p][c] / sqrt(_lengths[p]) * align * _anscombe(in[4 * i + c], a, b);
    }
    left[p] = g_memdup2(planes[p], (gsize)n * sizeof(double));
  }
  for(int j = 0; j < scales; j++)
  {
    memset(energy[0], 0, (gsize)n * sizeof(double));
    memset(energy[1], 0, (gsize)n * sizeof(double));
    for(int p = 0; p < 3; p++)
    {
      _blur(left[p], coarse, width, height, 1 << j, _spline);
      for(int i = 0; i < n; i++)
      {
        details[p][i] = left[p][i] - coarse[i];
        energy[p > 0][i] += pow(details[p][i] / (root * align), 2) / (p > 0 ? 2 : 1);
      }
      memcpy(left[p], coarse, (gsize)n * sizeof(double));
    }
    for(int p = 0; p < 3; p++)
    {
      const double noise = pow((p > 0 ? 1.4 : 1.15) * _white(j), 2);
      _blur(energy[p > 0], blurred, width, height, 1 << j, _mean);
      for(int i = 0; i < n; i++) planes[p][i] -= details[p][i] * MIN(1, noise / (blurred[i] + 1e-12));
    }
  }
  for(int i = 0; i < n; i++)
    for(int c = 0; c < 3; c++)
    {
      double v = 0;
      for(int p = 0; p < 3; p++) v += _planes[p][c] / sqrt(_lengths[p]) * planes[p][i] / align;
      out[3 * i + c] = _back(v, a, b) + a / 4 * CLAMP(0.5 + v / (2 * root), 0, 1);
    }
  g_free(fine);
  g_free(coarse);
  g_free(blurred);
  for(int i = 0; i < 2; i++) g_free(energy[i]);
  for(int p = 0; p < 3; p++) g_free(details[p]);
  for(int p = 0; p < 3; p++) g_free(planes[p]);
  for(int p = 0; p < 3; p++) g_free(left[p]);
}

static void _check_formula(int width, int height, double a, double b, int scales)
{
  test_random_t random = { (uint64_t)(width + scales) };
  test_photo_t photo;
  test_photo_init(&photo, &random, DT_SENSOR_LINEAR, 0, TRUE, width, height);
  char *setting = g_strdup_printf("scales=%d", scales);
  dt_iop_piece_t piece = _piece(&photo, a, b, (const char *[]){ setting, NULL }, width, height, 1.0);
  float *out = test_piece_run(&piece, photo.pixels);
  double *wanted = g_new(double, 3 * width * height), worst = 0;
  _reference(photo.pixels, wanted, width, height, a, b, scales);
  for(int i = 0; i < width * height; i++)
  {
    for(int c = 0; c < 3; c++) worst = MAX(worst, fabs(out[4 * i + c] - wanted[3 * i + c]));
    assert_true(out[4 * i + 3] == photo.pixels[4 * i + 3]);
  }
  if(worst > 1e-5) fail_msg("%d x %d, %d scales: %g off", width, height, scales, worst);
  g_free(wanted);
  g_free(out);
  g_free(setting);
  test_piece_clear(&piece);
  test_photo_clear(&photo);
}

static void test_formula(void **state)
{
  (void)state;
  _check_formula(90, 70, 2e-3, 1e-4, 3);
  _check_formula(61, 107, 1e-4, 1e-6, 4);
  _check_formula(33, 20, 1e-2, 1e-5, 5);
  _check_formula(2, 9, 1e-3, 1e-5, 2);
  _check_formula(1, 1, 1e-3, 1e-5, 6);
}

/* --- rectangles and devices --- */

static void test_rectangles_and_device(void **state)
{
  (void)state;
  static const char *const settings[][5] = { { NULL },
                                             { "scales=1", "strength=2", NULL },
                                             { "scales=6", "luma=0.3", "chroma=2", NULL },
                                             { "scales=3", "luma=0", NULL },
                                             { "strength=4", "luma=2", "chroma=0", NULL } };
  static const double sizes[] = { 1.0, 0.5, 0.23 };
  test_random_t random = { 2 };
  for(int i = 0; i < 30; i++)
  {
    const int width = i == 0 ? 1 : test_random_int(&random, 1, i % 5 ? 300 : 20);
    const int height = i == 0 ? 1 : test_random_int(&random, 1, i % 7 ? 120 : 700);
    test_photo_t photo;
    test_photo_init(&photo, &random, DT_SENSOR_LINEAR, 0, TRUE, width, height);
    if(i % 3 == 1) photo.image.mosaic = &photo.mosaic;
    photo.mosaic.sensor = i % 2 ? DT_SENSOR_BAYER : DT_SENSOR_XTRANS;
    dt_iop_piece_t piece =
        _piece(&photo, i % 4 ? 2e-3 : 0.0, 1e-4, settings[i % 5], width, height, sizes[i % 3]);
    if(piece.enabled) test_piece_check(&piece, photo.pixels, test_iop_cl, &random);
    test_piece_clear(&piece);
    test_photo_clear(&photo);
  }
}

/* A picture of several strips and bands. */
static void test_strips(void **state)
{
  (void)state;
  test_random_t random = { 3 };
  test_photo_t photo;
  test_photo_init(&photo, &random, DT_SENSOR_LINEAR, 0, TRUE, 2100, 530);
  dt_iop_piece_t piece = _piece(&photo, 1e-3, 1e-4, NULL, 2100, 530, 1.0);
  float *whole = test_piece_run(&piece, photo.pixels);
  test_piece_check_rectangles(&piece, photo.pixels, whole, &random, 4);
  assert_true(piece.module->memory_cl(&piece, &(dt_iop_roi_t){ 0, 0, 2100, 530, 1 },
                                      &(dt_iop_roi_t){ 0, 0, 2100, 530, 1 })
              >= 2100 * 530 * 48);
  g_free(whole);
  test_piece_clear(&piece);
  test_photo_clear(&photo);
}

/* --- noise --- */

/* Flat places get flat, and their mean stays: of three colours balanced by a sensor's gains. */
static void _check_flat(double light, double a, double b, gboolean balanced)
{
  enum
  {
    SIDE = 300
  };
  static const double neutral[4] = { 0.5, 1.0, 0.65, 1.0 }, none[4] = { 1, 1, 1, 1 };
  const double *response = balanced ? neutral : none;
  test_random_t random = { (uint64_t)(1e6 * light) + 7 };
  test_photo_t photo = {
    .image = { .width = SIDE, .height = SIDE, .mosaic = balanced ? &photo.mosaic : NULL },
    .mosaic = { .sensor = DT_SENSOR_LINEAR }
  };
  memcpy(photo.image.neutral, neutral, sizeof(neutral));
  float *clean =
      _flat(SIDE, SIDE, (const double[]){ response[0] * light, response[1] * light, response[2] * light });
  float *noisy = _add_noise(clean, SIDE * SIDE, a, b, &random);
  for(gsize i = 0; i < 4 * SIDE * SIDE; i++) noisy[i] /= i % 4 < 3 ? (float)response[i % 4] : 1.0f;
  dt_iop_piece_t piece = _piece(&photo, a, b, NULL, SIDE, SIDE, 1.0);
  float *out = test_piece_run(&piece, noisy);
  for(int c = 0; c < 3; c++)
  {
    double before, noise, after, rest;
    _statistics(noisy, SIDE * SIDE, c, &before, &noise);
    _statistics(out, SIDE * SIDE, c, &after, &rest);
    print_message("light %g channel %d: deviation %.5f -> %.5f, mean %+.6f (a / 4 is %.6f)\n", light, c,
                  noise, rest, after - before, a / response[c] / 4);
    assert_true(rest < 0.12 * noise);
    assert_true(fabs(after - before) < 0.1 * a / response[c] + 1e-5);
  }
  g_free(out);
  g_free(noisy);
  g_free(clean);
  test_piece_clear(&piece);
}

static void test_flat(void **state)
{
  (void)state;
  static const double lights[] = { 0.0, 0.001, 0.01, 0.1, 0.7 };
  for(gsize i = 0; i < G_N_ELEMENTS(lights); i++)
  {
    _check_flat(lights[i], 2e-3, 4e-6, i % 2);
    _check_flat(lights[i], 2e-3, 4e-5, !(i % 2));
    _check_flat(lights[i], 0.0, 1e-4, FALSE);
  }
}

/* A picture at half the size: the noise of binned pixels goes as well, with a scale less. */
static void test_binned(void **state)
{
  (void)state;
  enum
  {
    SIDE = 256
  };
  test_random_t random = { 5 };
  test_photo_t photo = { .image = { .width = 2 * SIDE, .height = 2 * SIDE } };
  float *clean = _flat(SIDE, SIDE, (const double[]){ 0.2, 0.2, 0.2 });
  float *noisy = _add_noise(clean, SIDE * SIDE, 1e-3 / 4, 1e-5 / 4, &random);
  dt_iop_piece_t piece = _piece(&photo, 1e-3, 1e-5, NULL, SIDE, SIDE, 0.5);
  dt_iop_roi_t need;
  piece.module->need(&piece, &(dt_iop_roi_t){ 100, 100, 10, 10, 0.5 }, &need);
  assert_int_equal(need.x, 100 - (3 * 16 - 2));
  assert_int_equal(need.width, 10 + 2 * (3 * 16 - 2));
  float *out = test_piece_run(&piece, noisy);
  double before, noise, after, rest;
  _statistics(noisy, SIDE * SIDE, 1, &before, &noise);
  _statistics(out, SIDE * SIDE, 1, &after, &rest);
  print_message("half size: deviation %.5f -> %.5f, mean %+.6f\n", noise, rest, after - before);
  assert_true(rest < 0.12 * noise && fabs(after - before) < 3e-5);
  g_free(out);
  g_free(noisy);
  g_free(clean);
  test_piece_clear(&piece);
}

/* --- demosaic --- */

/* A flat sensor's noise as demosaic hands it on: grey 0.5, deviation 0.01 of each site. */
static float *_demosaiced(dt_sensor_t sensor, int side, test_photo_t *photo)
{
  test_random_t random = { 11 };
  test_photo_init(photo, &random, sensor, 0, FALSE, side, side);
  const double span = 16383 - 512;
  photo->mosaic.is_float = FALSE;
  for(int i = 0; i < side * side; i++)
    photo->samples[i] = (guint16)lround(512 + span * 0.5 + span * 0.01 * _normal(&random));
  for(int y = 0; y < DT_MOSAIC_PERIOD; y++)
    for(int x = 0; x < DT_MOSAIC_PERIOD; x++) photo->mosaic.white[y][x] = (float)span;
  for(int c = 0; c < 4; c++) photo->image.neutral[c] = 1;
  dt_row_source_t *source = dt_demosaic_source(&photo->mosaic, photo->image.neutral, DT_DEMOSAIC_BEST);
  float *pixels = g_new0(float, 4 * side * side), *row = g_new(float, (gsize)side *(gsize)source->channels);
  GError *error = NULL;
  for(int y = 0; y < side; y++)
  {
    source->read(source, y, 1, row, &error);
    assert_no_error(error);
    for(int x = 0; x < side; x++)
      memcpy(pixels + 4 * (y * side + x), row + x * source->channels, 3 * sizeof(float));
  }
  g_free(row);
  dt_row_source_destroy(source);
  return pixels;
}

/* Deviation of a plane of noise in each scale beside that of white noise. */
static void _measure_scales(const float *pixels, int side, int plane, double deviation, double *found)
{
  const int n = side * side, rim = 140;
  double *a = g_new(double, n), *b = g_new(double, n);
  for(int i = 0; i < n; i++)
  {
    a[i] = 0;
    for(int c = 0; c < 3; c++) a[i] += _planes[plane][c] / sqrt(_lengths[plane]) * pixels[4 * i + c];
  }
  for(int j = 0; j < 6; j++)
  {
    double sum = 0;
    _blur(a, b, side, side, 1 << j, _spline);
    for(int y = rim; y < side - rim; y++)
      for(int x = rim; x < side - rim; x++) sum += pow(a[y * side + x] - b[y * side + x], 2);
    found[j] = sqrt(sum / ((side - 2 * rim) * (side - 2 * rim))) / deviation / _white(j);
    memcpy(a, b, (gsize)n * sizeof(double));
  }
  g_free(a);
  g_free(b);
}

/* What is known of noise after demosaic holds: most of it goes, and in coarse scales too. */
static void _check_demosaiced(dt_sensor_t sensor, const char *name)
{
  enum
  {
    SIDE = 700
  };
  test_photo_t photo;
  float *noisy = _demosaiced(sensor, SIDE, &photo);
  dt_iop_piece_t piece = _piece(&photo, 0.0, 1e-4, NULL, SIDE, SIDE, 1.0);
  float *out = test_piece_run(&piece, noisy);
  for(int plane = 0; plane < 3; plane++)
  {
    double before[6], after[6];
    _measure_scales(noisy, SIDE, plane, 0.01, before);
    _measure_scales(out, SIDE, plane, 0.01, after);
    print_message("%s plane %d:", name, plane);
    for(int j = 0; j < 6; j++) print_message(" %.2f->%.2f", before[j], after[j]);
    print_message("\n");
    for(int j = 0; j < 4; j++) assert_true(after[j] < 0.15 * before[j]);
  }
  g_free(out);
  g_free(noisy);
  test_piece_clear(&piece);
  test_photo_clear(&photo);
}

static void test_demosaiced(void **state)
{
  (void)state;
  _check_demosaiced(DT_SENSOR_BAYER, "Bayer");
  _check_demosaiced(DT_SENSOR_XTRANS, "X-Trans");
}

/* --- by how much it helps --- */

/* As eyes see light. */
static double _encode(double x)
{
  x = CLAMP(x, 0, 1);
  return x <= 0.0031308 ? 12.92 * x : 1.055 * pow(x, 1 / 2.4) - 0.055;
}

static double _psnr(const float *a, const float *b, gsize pixels, gboolean linear)
{
  double sum = 0;
  for(gsize i = 0; i < 4 * pixels; i++)
    if(i % 4 < 3) sum += pow(linear ? _encode(a[i]) - _encode(b[i]) : CLAMP(a[i], 0.0f, 1.0f) - b[i], 2);
  return -10 * log10(sum / (3 * (double)pixels));
}

/* dB before and after. */
static void _help(const float *clean, int width, int height, double a, double b, gboolean linear,
                  double *before, double *after)
{
  const gsize n = (gsize)width * (gsize)height;
  test_random_t random = { 13 };
  test_photo_t photo = { .image = { .width = width, .height = height } };
  float *noisy = _add_noise(clean, n, a, b, &random);
  dt_iop_piece_t piece = _piece(&photo, a, b, NULL, width, height, 1.0);
  float *out = test_piece_run(&piece, noisy);
  *before += _psnr(noisy, clean, n, linear);
  *after += _psnr(out, clean, n, linear);
  g_free(out);
  g_free(noisy);
  test_piece_clear(&piece);
}

static void test_synthetic(void **state)
{
  (void)state;
  enum
  {
    WIDTH = 400,
    HEIGHT = 300
  };
  float *clean = g_new0(float, 4 * WIDTH * HEIGHT);
  for(int i = 0; i < WIDTH * HEIGHT; i++)
    for(int c = 0; c < 3; c++)
    {
      const int x = i % WIDTH, y = i / WIDTH;
      const double texture = 0.05 * sin(0.9 * x) * sin(0.7 * y) * (x > 200);
      clean[4 * i + c] = (float)(0.3 + 0.2 * sin(0.02 * x + c) * cos(0.03 * y)
                                 + ((x / 50 + y / 50) % 2 ? 0.1 : 0.0) + texture);
    }
  static const double noises[][3] = { { 1e-3, 1e-6, 6 }, { 5e-3, 2e-5, 8.5 }, { 2e-2, 2e-4, 11 } };
  for(gsize i = 0; i < G_N_ELEMENTS(noises); i++)
  {
    double before = 0, after = 0;
    _help(clean, WIDTH, HEIGHT, noises[i][0], noises[i][1], TRUE, &before, &after);
    print_message("synthetic, a %g b %g: %.2f -> %.2f dB\n", noises[i][0], noises[i][1], before, after);
    assert_true(after > before + noises[i][2]);
  }
  g_free(clean);
}

/* A photograph's own values, or light. */
static float *_load(const char *path, gboolean linear, int *width, int *height)
{
  GError *error = NULL;
  dt_imageio_reader_t *reader = dt_imageio_open(path, NULL, &error);
  assert_no_error(error);
  if(!linear) dt_imageio_set_untouched(reader);
  *width = reader->source.width;
  *height = reader->source.height;
  const gsize n = (gsize)*width * (gsize)*height;
  float *rgb = g_new(float, 3 * n), *pixels = g_new0(float, 4 * n);
  assert_int_equal(reader->source.channels, 3);
  reader->source.read(&reader->source, 0, *height, rgb, &error);
  assert_no_error(error);
  for(gsize i = 0; i < n; i++) memcpy(pixels + 4 * i, rgb + 3 * i, 3 * sizeof(float));
  g_free(rgb);
  dt_row_source_destroy(&reader->source);
  return pixels;
}

/* Photographs: white noise of the usual deviations on their own values, and a sensor's on their light. */
static void test_photographs(void **state)
{
  (void)state;
  static const char *const names[] = { "kodim01", "kodim03", "kodim05", "kodim08",
                                       "kodim13", "kodim19", "kodim20", "kodim23" };
  static const struct
  {
    double a, b, gain;
    gboolean linear;
  } noises[] = { { 0, 10 * 10 / 65025., 4.5, FALSE },
                 { 0, 25 * 25 / 65025., 6.5, FALSE },
                 { 0, 50 * 50 / 65025., 8, FALSE },
                 { 1e-3, 1e-6, 2, TRUE },
                 { 5e-3, 2e-5, 4, TRUE },
                 { 2e-2, 2e-4, 5.5, TRUE } };
  char *kodak = test_data("kodak");
  if(!kodak)
  {
    print_message("There are no test photographs here.\n");
    skip();
  }
  const int count = test_is_long() ? 8 : 2;
  for(gsize k = 0; k < G_N_ELEMENTS(noises); k++)
  {
    double before = 0, after = 0;
    for(int i = 0; i < count; i++)
    {
      int width, height;
      char *path = g_strdup_printf("%s/%s.png", kodak, names[i * 8 / count]);
      float *clean = _load(path, noises[k].linear, &width, &height);
      _help(clean, width, height, noises[k].a, noises[k].b, noises[k].linear, &before, &after);
      g_free(clean);
      g_free(path);
    }
    print_message("photographs, a %g deviation %.1f / 255%s: %.2f -> %.2f dB\n", noises[k].a,
                  255 * sqrt(noises[k].b), noises[k].linear ? " of light" : "", before / count,
                  after / count);
    assert_true(after > before + noises[k].gain * count);
  }
  g_free(kodak);
}

/* --- limits --- */

static void test_neutral(void **state)
{
  (void)state;
  test_random_t random = { 17 };
  test_photo_t photo;
  test_photo_init(&photo, &random, DT_SENSOR_LINEAR, 0, TRUE, 40, 30);
  static const char *const off[][3] = { { "strength=0", NULL }, { "luma=0", "chroma=0", NULL } };
  for(int i = 0; i < 2; i++)
  {
    dt_iop_piece_t piece = _piece(&photo, 1e-3, 1e-5, off[i], 40, 30, 1.0);
    assert_false(piece.enabled);
    test_piece_clear(&piece);
  }
  dt_iop_piece_t piece =
      _piece(&photo, 1e-3, 1e-5, NULL, 40, 30, 1 / 50.0); /* smaller than the coarsest scale */
  assert_false(piece.enabled);
  test_piece_clear(&piece);
  assert_false(dt_iop_find("denoiseprofile")->flags & DT_IOP_ON);
  /* what is not known of a sensor comes from the ISO: 40000 electrons at 100, of reading 3 */
  photo.image.iso = 3200;
  piece = _piece(&photo, 0, 0, NULL, 40, 30, 1.0);
  float *by_iso = test_piece_run(&piece, photo.pixels);
  test_piece_clear(&piece);
  piece = _piece(&photo, 8e-4, 9 * 8e-4 * 8e-4, NULL, 40, 30, 1.0);
  float *by_noise = test_piece_run(&piece, photo.pixels);
  for(int i = 0; i < 4 * 40 * 30; i++) assert_true(fabsf(by_iso[i] - by_noise[i]) < 1e-6f);
  assert_memory_not_equal(by_noise, photo.pixels, 4 * 40 * 30 * sizeof(float));
  g_free(by_iso);
  g_free(by_noise);
  test_piece_clear(&piece);
  test_photo_clear(&photo);
}

/* Numbers stay numbers, whatever they are and whatever is said of the noise. */
static void test_extremes(void **state)
{
  (void)state;
  static const float values[] = { 0,    -0.0f,  1,       -1,       65504,   -65504,
                                  1e9f, -1e12f, FLT_MAX, -FLT_MAX, FLT_MIN, 1e-42f };
  static const double noises[] = { 0, -1, NAN, 1e-30, 1e-9, 1, 1e30 };
  static const char *const settings[][4] = { { "strength=4", "luma=2", "chroma=2", NULL },
                                             { "luma=0", NULL },
                                             { "scales=6", "strength=0.001", NULL } };
  test_random_t random = { 19 };
  test_photo_t photo;
  test_photo_init(&photo, &random, DT_SENSOR_LINEAR, 0, TRUE, 30, 20);
  for(int i = 0; i < 4 * 30 * 20; i++)
    photo.pixels[i] = values[test_random_int(&random, 0, G_N_ELEMENTS(values) - 1)];
  for(int i = 0; i < 7 * 7 * 3; i++)
  {
    dt_iop_piece_t piece =
        _piece(&photo, noises[i % 7], noises[i / 7 % 7], settings[i / 49], 30, 20, i % 2 ? 1.0 : 0.3);
    float *out = test_piece_run(&piece, photo.pixels), *there = NULL;
    if(test_iop_cl && i % 10 == 0) there = test_piece_run_cl(&piece, photo.pixels, test_iop_cl);
    for(int k = 0; k < 4 * 30 * 20; k++)
    {
      if(!isfinite(out[k])) fail_msg("noise %g, %g: %g", noises[i % 7], noises[i / 7 % 7], out[k]);
      if(there) assert_true(isfinite(there[k]));
    }
    g_free(out);
    g_free(there);
    test_piece_clear(&piece);
  }
  test_photo_clear(&photo);
}

/* Black, and light without noise, stay as they are but for what is given back. */
static void test_constant(void **state)
{
  (void)state;
  test_photo_t photo = { .image = { .width = 50, .height = 40 } };
  for(int i = 0; i < 3; i++)
  {
    float *in = _flat(50, 40, (const double[]){ 0.4 * i, 0.3 * i, 0.5 * i });
    dt_iop_piece_t piece = _piece(&photo, 1e-4, 1e-7, NULL, 50, 40, 1.0);
    float *out = test_piece_run(&piece, in);
    for(int k = 0; k < 4 * 50 * 40; k++) assert_true(fabsf(out[k] - in[k]) < 3e-5f);
    g_free(out);
    g_free(in);
    test_piece_clear(&piece);
  }
}

/* How long it takes; said, not judged. */
static void test_speed(void **state)
{
  (void)state;
  if(!test_is_long()) skip();
  test_photo_t photo = { .image = { .width = TEST_LARGE_WIDTH, .height = TEST_LARGE_HEIGHT } };
  float *in = _flat(TEST_LARGE_WIDTH, TEST_LARGE_HEIGHT, (const double[]){ 0.2, 0.3, 0.1 });
  for(gsize i = 0; i < 4 * TEST_LARGE_WIDTH * TEST_LARGE_HEIGHT; i++)
    in[i] += (float)(i * 2654435761u % 1024) * 1e-4f;
  dt_iop_piece_t piece = _piece(&photo, 1e-3, 1e-4, NULL, TEST_LARGE_WIDTH, TEST_LARGE_HEIGHT, 1.0);
  test_piece_speed(&piece, in, "");
  g_free(in);
  test_piece_clear(&piece);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_formula),   cmocka_unit_test(test_rectangles_and_device),
    cmocka_unit_test(test_strips),    cmocka_unit_test(test_flat),
    cmocka_unit_test(test_binned),    cmocka_unit_test(test_demosaiced),
    cmocka_unit_test(test_synthetic), cmocka_unit_test(test_photographs),
    cmocka_unit_test(test_neutral),   cmocka_unit_test(test_extremes),
    cmocka_unit_test(test_constant),  cmocka_unit_test(test_speed),
  };
  return cmocka_run_group_tests(tests, test_iop_set_up, test_iop_tear_down);
}
