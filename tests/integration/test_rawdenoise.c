/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Raw denoise from file to file, with a sensor of the test's own making: a scene becomes a noisy raw (our DNG writer), is
 * read (LibRaw), denoised and written (DNG) and read again (LibRaw); what comes out is compared with the scene, beside
 * bilinear demosaicking and LibRaw's AHD of the same raw. And the colour chart of a real camera. */
#include "support.h"

#include "common/demosaic.h"
#include "libs/denoise_ai.h"

#include <libraw/libraw.h>

#include <glib/gstdio.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define WIDTH 402
#define HEIGHT 302
#define MODEL "rawdenoise-leaves"
#define BLACK 512
#define WHITE 15871

static const char *_world;
static dt_ai_environment_t *_env;
static dt_restore_context_t *_ctx;

static int _setup(void **state)
{
  (void)state;
  _world = test_world_create();
  _env = dt_ai_env_init(DT_TEST_SOURCE_DIR "/data/models");
  GError *error = NULL;
  _ctx = dt_restore_load(_env, "rawdenoise", MODEL, NULL, &error);
  assert_no_error(error);
  return 0;
}

static int _teardown(void **state)
{
  (void)state;
  dt_restore_free(_ctx);
  dt_ai_env_destroy(_env);
  test_world_destroy();
  return 0;
}

/* --- the scene --- */

/* Discs that hide one another, some of them with fine stripes, over a gradient: camera RGB as a sensor in daylight sees it. */
static test_image_t _draw_scene(void)
{
  test_random_t random = { 7 };
  test_image_t scene = test_image_new(WIDTH, HEIGHT, 3);
  for(int i = 0; i < WIDTH * HEIGHT; i++)
    for(int c = 0; c < 3; c++)
      scene.pixels[3 * i + c] = (float)(0.05 + 0.3 * (i % WIDTH) / WIDTH) * (c == 1 ? 1.0f : 0.6f);
  for(int n = 0; n < 220; n++)
  {
    const double radius = 4 * pow(test_random_range(&random, 0.02, 1), -0.7),
                 cx = test_random_range(&random, 0, WIDTH), cy = test_random_range(&random, 0, HEIGHT),
                 value = test_random_range(&random, 0.01, 0.8), angle = test_random_range(&random, 0, 6.28),
                 pitch = test_random_range(&random, 0.5, 1.6), stripes = n % 3 ? 0 : 0.3;
    const double colour[3] = { test_random_range(&random, 0.3, 0.8), 1,
                               test_random_range(&random, 0.3, 0.9) };
    for(int y = MAX(0, (int)(cy - radius)); y < MIN(HEIGHT, cy + radius); y++)
      for(int x = MAX(0, (int)(cx - radius)); x < MIN(WIDTH, cx + radius); x++)
      {
        if(hypot(x - cx, y - cy) > radius) continue;
        const double wave = 1 + stripes * sin(pitch * (x * cos(angle) + y * sin(angle)));
        for(int c = 0; c < 3; c++)
          scene.pixels[3 * (y * WIDTH + x) + c] = (float)MIN(0.95, value * colour[c] * wave);
      }
  }
  /* no lens draws edges in a single pixel */
  test_image_t soft = test_image_new(WIDTH, HEIGHT, 3);
  for(int y = 0; y < HEIGHT; y++)
    for(int x = 0; x < WIDTH; x++)
      for(int c = 0; c < 3; c++)
      {
        float sum = 0;
        for(int k = 0; k < 9; k++)
        {
          static const float weight[3] = { 0.25f, 0.5f, 0.25f };
          const int j = CLAMP(y + k / 3 - 1, 0, HEIGHT - 1), i = CLAMP(x + k % 3 - 1, 0, WIDTH - 1);
          sum += weight[k / 3] * weight[k % 3] * scene.pixels[3 * (j * WIDTH + i) + c];
        }
        soft.pixels[3 * (y * WIDTH + x) + c] = sum;
      }
  test_image_free(&scene);
  return soft;
}

static double _gauss(test_random_t *random)
{
  return sqrt(-2 * log(test_random_range(random, 1e-12, 1))) * cos(test_random_range(random, 0, 2 * G_PI));
}

/* --- the camera --- */

/* A sensor with 40000 electrons at ISO 100 and three of reading noise: every site of @p scene, cut at (dx, dy), in codes
 * of 14 bits. The noise of a pixel of the scene is the same wherever it is cut. */
static dt_raw_t *_expose(const test_image_t *scene, double iso, int dx, int dy, guint16 *samples)
{
  const double electrons = 40000.0 * 100 / iso;
  test_random_t random = { 4711 };
  dt_raw_t *raw = g_new0(dt_raw_t, 1);
  dt_mosaic_t *m = &raw->mosaic;
  *m = (dt_mosaic_t){ .sensor = DT_SENSOR_BAYER,
                      .width = WIDTH - 2,
                      .height = HEIGHT - 2,
                      .samples = samples,
                      .stride = WIDTH - 2,
                      .step = 1,
                      .period = 2 };
  for(int i = 0; i < 4; i++)
  {
    m->colour[i / 2][i % 2] = (guint8)(((dx + i % 2) & 1) + ((dy + i / 2) & 1));
    m->black[i / 2][i % 2] = BLACK;
    m->white[i / 2][i % 2] = WHITE;
  }
  for(int y = 0; y < HEIGHT; y++)
    for(int x = 0; x < WIDTH; x++)
    {
      const double light = (double)scene->pixels[3 * (y * WIDTH + x) + (x & 1) + (y & 1)];
      const double noisy = light + sqrt(light / electrons + 9 / (electrons * electrons)) * _gauss(&random);
      const int cx = x - dx, cy = y - dy;
      if(cx >= 0 && cy >= 0 && cx < m->width && cy < m->height)
        samples[cy * m->width + cx] = (guint16)CLAMP(BLACK + noisy * (WHITE - BLACK) + 0.5, 0, 16383);
    }
  raw->name = (char *)"scene.dng";
  raw->make = (char *)"Test";
  raw->model = raw->unique_model = (char *)"Test Sensor";
  raw->has_matrix = raw->has_neutral = TRUE;
  const double matrix[3][3] = { { 0.65, -0.12, -0.09 }, { -0.38, 1.16, 0.25 }, { -0.04, 0.15, 0.60 } };
  memcpy(raw->matrix, matrix, sizeof matrix);
  memcpy(raw->neutral, (double[4]){ 0.5, 1, 0.65, 1 }, sizeof raw->neutral);
  raw->iso = iso;
  raw->crop_x = 6;
  raw->crop_y = 4;
  raw->crop_width = m->width - 16;
  raw->crop_height = m->height - 12;
  raw->orientation = 1;
  return raw;
}

/* The raw as a file: its own samples stand in for all three colours. */
static void _write_raw(const dt_raw_t *raw, const char *path)
{
  const dt_dng_opts_t opts = { .kind = DT_DNG_CFA, .overwrite = TRUE };
  const int width = raw->mosaic.width;
  GError *error = NULL;
  dt_row_sink_t *sink = dt_dng_create(path, raw, &opts, &error);
  assert_no_error(error);
  float *row = g_new(float, width), *rgb = g_new(float, 3 * width);
  for(int y = 0; y < raw->mosaic.height; y++)
  {
    dt_mosaic_read(&raw->mosaic, 0, y, width, row);
    for(int i = 0; i < 3 * width; i++) rgb[i] = row[i / 3];
    assert_true(sink->write(sink, y, 1, rgb, &error));
  }
  assert_true(sink->finish(sink, &error));
  g_free(row);
  g_free(rgb);
}

static char *_make_raw(const test_image_t *scene, double iso, int dx, int dy)
{
  guint16 *samples = g_new(guint16, WIDTH * HEIGHT);
  dt_raw_t *raw = _expose(scene, iso, dx, dy, samples);
  char *path = g_strdup_printf("%s/iso%.0f-%d%d.dng", _world, iso, dx, dy);
  _write_raw(raw, path);
  g_free(raw);
  g_free(samples);
  return path;
}

/* --- developers --- */

static test_image_t _read_all(dt_row_source_t *rows)
{
  test_image_t image = test_image_new(rows->width, rows->height, 3);
  GError *error = NULL;
  assert_true(rows->read(rows, 0, rows->height, image.pixels, &error));
  dt_row_source_destroy(rows);
  return image;
}

/* A file's rows in camera RGB. */
static test_image_t _open_rgb(const char *path, dt_demosaic_method_t method)
{
  GError *error = NULL;
  dt_raw_t *raw = dt_raw_open(path, &error);
  assert_no_error(error);
  test_image_t image = _read_all(dt_demosaic_source(&raw->mosaic, raw->neutral, method));
  dt_raw_free(raw);
  return image;
}

/* LibRaw's AHD, in camera RGB. */
static test_image_t _develop_ahd(const char *path)
{
  libraw_data_t *l = libraw_init(0);
  l->params.output_bps = 16;
  l->params.gamm[0] = l->params.gamm[1] = 1;
  l->params.no_auto_bright = 1;
  l->params.user_qual = 3;
  l->params.output_color = 0;
  for(int i = 0; i < 4; i++) l->params.user_mul[i] = 1;
  assert_int_equal(libraw_open_file(l, path), 0);
  assert_int_equal(libraw_unpack(l), 0);
  assert_int_equal(libraw_dcraw_process(l), 0);
  int status;
  libraw_processed_image_t *made = libraw_dcraw_make_mem_image(l, &status);
  assert_non_null(made);
  test_image_t image = test_image_new(made->width, made->height, 3);
  for(int i = 0; i < 3 * image.width * image.height; i++)
    image.pixels[i] = ((const guint16 *)(const void *)made->data)[i] / 65535.0f;
  libraw_dcraw_clear_mem(made);
  libraw_close(l);
  return image;
}

static char *_denoise(const char *input, dt_dng_kind_t kind, float original, const char *mask)
{
  const dt_restore_job_t job = {
    .task = "rawdenoise", .overwrite = TRUE, .kind = kind, .mask = mask, .restore = { .original = original }
  };
  char *output = dt_restore_job_output(&job, input);
  GError *error = NULL;
  dt_restore_picture_t *picture = dt_restore_job_open(&job, input, &error);
  assert_no_error(error);
  dt_restore_job_run(_ctx, &job, picture, output, NULL, NULL, &error);
  assert_no_error(error);
  dt_restore_picture_close(picture);
  return output;
}

/* PSNR against the scene, a few pixels of border left out. */
static double _psnr(const test_image_t *image, const test_image_t *scene, int dx, int dy)
{
  double sum = 0;
  int n = 0;
  for(int y = 8; y < image->height - 8; y++)
    for(int x = 8; x < image->width - 8; x++)
      for(int c = 0; c < 3; c++, n++)
      {
        const double d = (double)image->pixels[3 * (y * image->width + x) + c]
                         - (double)scene->pixels[3 * ((y + dy) * WIDTH + x + dx) + c];
        sum += d * d;
      }
  return -10 * log10(sum / n);
}

/* --- tests --- */

static void test_gain_over_developers(void **state)
{
  (void)state;
  /* what has been seen is 0.7 dB more */
  static const struct
  {
    double iso, over_bilinear, over_ahd;
  } wanted[] = { { 800, 4, 7 }, { 3200, 3.3, 4.5 }, { 12800, 3.7, 6 }, { 25600, 4.4, 7 } };
  test_image_t scene = _draw_scene();
  for(size_t i = 0; i < G_N_ELEMENTS(wanted); i++)
  {
    char *noisy = _make_raw(&scene, wanted[i].iso, 0, 0), *clean = _denoise(noisy, DT_DNG_LINEAR, 0, NULL);
    test_image_t bilinear = _open_rgb(noisy, DT_DEMOSAIC_BILINEAR), ahd = _develop_ahd(noisy),
                 ours = _open_rgb(clean, DT_DEMOSAIC_BEST);
    const double b = _psnr(&bilinear, &scene, 0, 0), a = _psnr(&ahd, &scene, 0, 0),
                 o = _psnr(&ours, &scene, 0, 0);
    print_message("ISO %5.0f: bilinear %.2f, AHD %.2f, denoised %.2f dB\n", wanted[i].iso, b, a, o);
    assert_true(o >= b + wanted[i].over_bilinear);
    assert_true(o >= a + wanted[i].over_ahd);
    test_image_free(&bilinear);
    test_image_free(&ahd);
    test_image_free(&ours);
    g_free(noisy);
    g_free(clean);
  }
  test_image_free(&scene);
}

/* The same scene through sensors of the four phases, both kinds of output: the same but for the place. */
static void test_phases(void **state)
{
  (void)state;
  test_image_t scene = _draw_scene(), first[2] = { { 0 } };
  for(int phase = 0; phase < 8; phase++)
  {
    const int dx = phase & 1, dy = phase >> 1 & 1, kind = phase >> 2;
    char *noisy = _make_raw(&scene, 6400, dx, dy), *clean = _denoise(noisy, (dt_dng_kind_t)kind, 0, NULL);
    test_image_t ours = _open_rgb(clean, DT_DEMOSAIC_BILINEAR);
    if(dx + dy == 0)
      first[kind] = ours;
    else
    {
      for(int y = 80; y < ours.height - 80; y++)
        for(int x = 80 * 3; x < (ours.width - 80) * 3; x++)
          assert_float_equal(ours.pixels[y * 3 * ours.width + x],
                             first[kind].pixels[(y + dy) * 3 * ours.width + x + 3 * dx], 1e-4);
      test_image_free(&ours);
    }
    g_free(noisy);
    g_free(clean);
  }
  test_image_free(&first[0]);
  test_image_free(&first[1]);
  test_image_free(&scene);
}

/* Nothing asked of the network, behind the filter array again: the samples of the source, code for code. */
static void test_strength_zero_keeps_codes(void **state)
{
  (void)state;
  test_image_t scene = _draw_scene();
  char *noisy = _make_raw(&scene, 3200, 1, 0), *same = _denoise(noisy, DT_DNG_CFA, 1, NULL);
  GError *error = NULL;
  dt_raw_t *a = dt_raw_open(noisy, &error), *b = dt_raw_open(same, &error);
  assert_no_error(error);
  for(int y = 0; y < a->mosaic.height; y++)
    for(int x = 0; x < a->mosaic.width; x++)
    {
      float v, w;
      dt_mosaic_read(&a->mosaic, x, y, 1, &v);
      dt_mosaic_read(&b->mosaic, x, y, 1, &w);
      assert_float_equal(v, w, 1e-6);
    }
  dt_raw_free(a);
  dt_raw_free(b);
  g_free(noisy);
  g_free(same);
  test_image_free(&scene);
}

/* A black mask as large as what the camera shows: there the samples of the source, and around it the network's. */
static void test_mask_of_what_is_shown(void **state)
{
  (void)state;
  test_image_t scene = _draw_scene();
  char *noisy = _make_raw(&scene, 6400, 0, 0), *mask = g_build_filename(_world, "mask.png", NULL);
  GError *error = NULL;
  dt_raw_t *a = dt_raw_open(noisy, &error);
  assert_no_error(error);
  const dt_imageio_write_opts_t opts = { .bits = 8 };
  dt_row_sink_t *sink = dt_imageio_create(mask, a->crop_width, a->crop_height, 1, &opts, &error);
  assert_no_error(error);
  float *black = g_new0(float, a->crop_width);
  for(int y = 0; y < a->crop_height; y++) assert_true(sink->write(sink, y, 1, black, &error));
  assert_true(sink->finish(sink, &error));
  char *masked = _denoise(noisy, DT_DNG_CFA, 0, mask);
  dt_raw_t *b = dt_raw_open(masked, &error);
  assert_no_error(error);
  int changed = 0;
  for(int y = 0; y < a->mosaic.height; y++)
    for(int x = 0; x < a->mosaic.width; x++)
    {
      const gboolean shown =
          x >= a->crop_x && x < a->crop_x + a->crop_width && y >= a->crop_y && y < a->crop_y + a->crop_height;
      float v, w;
      dt_mosaic_read(&a->mosaic, x, y, 1, &v);
      dt_mosaic_read(&b->mosaic, x, y, 1, &w);
      if(shown) assert_float_equal(v, w, 1e-6);
      changed += !shown && fabsf(v - w) > 1e-4f;
    }
  assert_true(changed > 1000);
  dt_raw_free(a);
  dt_raw_free(b);
  g_free(black);
  g_free(noisy);
  g_free(mask);
  g_free(masked);
  test_image_free(&scene);
}

/* --- the colour chart --- */

/* Corners of boxes of 64×56 within the patches, in visible pixels of the sensor. */
static const int _patches[24][2] = {
  { 684, 598 }, { 790, 596 }, { 898, 594 }, { 1002, 590 }, { 1112, 588 }, { 1220, 586 },
  { 680, 698 }, { 786, 694 }, { 894, 692 }, { 1002, 690 }, { 1112, 688 }, { 1222, 686 },
  { 674, 798 }, { 784, 796 }, { 894, 794 }, { 1004, 792 }, { 1114, 790 }, { 1224, 788 },
  { 672, 902 }, { 782, 900 }, { 892, 898 }, { 1002, 896 }, { 1114, 894 }, { 1228, 894 },
};

/* Of one channel of a patch: mean, and the deviation from a plane, for light falls off. Of @p sensor only its own sites
 * count. */
static void _measure_patch(const test_image_t *image, const dt_mosaic_t *sensor, const int corner[2],
                           int channel, double *mean, double *deviation)
{
  double s[6] = { 0 }; /* of 1, v, xv, yv, xx, yy; x and y from the middle */
  for(int pass = 0; pass < 2; pass++)
  {
    double squares = 0;
    for(int y = 0; y < 56; y++)
      for(int x = 0; x < 64; x++)
      {
        if(sensor && dt_mosaic_colour(sensor, corner[0] + x, corner[1] + y) != channel) continue;
        const double u = x - 31.5, v = y - 27.5,
                     p = (double)
                             image->pixels[3 * ((corner[1] + y) * image->width + corner[0] + x) + channel];
        if(pass == 0)
        {
          const double terms[6] = { 1, p, u * p, v * p, u * u, v * v };
          for(int k = 0; k < 6; k++) s[k] += terms[k];
        }
        else
          squares += pow(p - s[1] / s[0] - u * s[2] / s[4] - v * s[3] / s[5], 2);
      }
    *deviation = sqrt(squares / s[0]);
  }
  *mean = s[1] / s[0];
}

static int _compare(const void *a, const void *b)
{
  const double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

/* The noise of patches falls to a third or less, and their colours stay. */
static void test_colour_chart(void **state)
{
  (void)state;
  char *chart = test_data("raw/colorchart.dng"), *copy = g_build_filename(_world, "chart.dng", NULL);
  if(!chart) skip();
  GError *error = NULL;
  dt_raw_t *raw = dt_raw_open(chart, &error);
  assert_no_error(error);
  char *contents;
  gsize size;
  assert_true(g_file_get_contents(chart, &contents, &size, NULL)
              && g_file_set_contents(copy, contents, (gssize)size, NULL));
  char *clean = _denoise(copy, DT_DNG_LINEAR, 0, NULL);
  test_image_t before = _open_rgb(chart, DT_DEMOSAIC_BILINEAR), after = _open_rgb(clean, DT_DEMOSAIC_BEST);
  double over_sites[72], over_bilinear[72], moved[72];
  for(int i = 0; i < 72; i++)
  {
    double mean, deviation, site_mean, site_deviation, new_mean, new_deviation;
    _measure_patch(&before, &raw->mosaic, _patches[i / 3], i % 3, &site_mean, &site_deviation);
    _measure_patch(&before, NULL, _patches[i / 3], i % 3, &mean, &deviation);
    _measure_patch(&after, NULL, _patches[i / 3], i % 3, &new_mean, &new_deviation);
    over_sites[i] = site_deviation / new_deviation;
    over_bilinear[i] = deviation / new_deviation;
    moved[i] = fabs(new_mean / site_mean - 1);
  }
  qsort(over_sites, 72, sizeof(double), _compare);
  qsort(over_bilinear, 72, sizeof(double), _compare);
  qsort(moved, 72, sizeof(double), _compare);
  print_message("noise of sites / noise now %.2f (least %.2f), of bilinear / now %.2f (least %.2f); means "
                "moved %.2f %%, at "
                "most %.2f %%\n",
                over_sites[36], over_sites[0], over_bilinear[36], over_bilinear[0], 100 * moved[36],
                100 * moved[71]);
  assert_true(over_sites[36] >= 3 && over_bilinear[36] >= 3);
  assert_true(moved[36] <= 0.01 && moved[71] <= 0.03);
  test_image_free(&before);
  test_image_free(&after);
  dt_raw_free(raw);
  g_free(contents);
  g_free(chart);
  g_free(copy);
  g_free(clean);
}

/* In the light of a candle red is saturated before green: what is white is white in a TIFF all the same. */
static void test_white_by_candlelight(void **state)
{
  (void)state;
  test_image_t scene = test_image_new(WIDTH, HEIGHT, 3);
  for(int i = 0; i < 3 * WIDTH * HEIGHT; i++) scene.pixels[i] = 1.2f;
  guint16 *samples = g_new(guint16, WIDTH * HEIGHT);
  dt_raw_t *raw = _expose(&scene, 100, 0, 0, samples);
  memcpy(raw->neutral, (double[4]){ 1.4, 1, 0.4, 1 }, sizeof raw->neutral);
  char *white = g_build_filename(_world, "white.dng", NULL),
       *tiff = g_build_filename(_world, "white.tif", NULL);
  _write_raw(raw, white);
  const dt_restore_job_t job = { .task = "rawdenoise", .restore = { .original = 1 } };
  GError *error = NULL;
  dt_restore_picture_t *picture = dt_restore_job_open(&job, white, &error);
  assert_no_error(error);
  assert_true(dt_restore_job_run(_ctx, &job, picture, tiff, NULL, NULL, &error));
  dt_imageio_reader_t *reader = dt_imageio_open(tiff, NULL, &error);
  assert_no_error(error);
  test_image_t rows = test_image_new(reader->source.width, 1, 3);
  assert_true(reader->source.read(&reader->source, 0, 1, rows.pixels, &error));
  for(int i = 0; i < 3 * rows.width; i++) assert_float_equal(rows.pixels[i], 1, 1e-3);
  dt_row_source_destroy(&reader->source);
  dt_restore_picture_close(picture);
  test_image_free(&rows);
  test_image_free(&scene);
  g_free(raw);
  g_free(samples);
  g_free(white);
  g_free(tiff);
}

/* Single sites that noise or a defect lifts to saturation are no highlights, and no dots in the result either. */
static void test_saturated_by_chance(void **state)
{
  (void)state;
  const int middle = WIDTH / 2;
  test_image_t scene = test_image_new(WIDTH, HEIGHT, 3);
  for(int i = 0; i < 3 * WIDTH * HEIGHT; i++)
    scene.pixels[i] = (i / 3 % WIDTH < middle ? 0.1f : 0.8f) * (i % 3 == 1 ? 1.0f : 0.6f);
  guint16 *samples = g_new(guint16, WIDTH * HEIGHT);
  dt_raw_t *raw = _expose(&scene, 12800, 0, 0, samples);
  const int width = raw->mosaic.width, height = raw->mosaic.height;
  for(int y = 20; y < height - 20; y += 17)
    for(int x = 20; x < middle - 20; x += 13) samples[y * width + x] = WHITE;
  char *noisy = g_build_filename(_world, "defects.dng", NULL);
  _write_raw(raw, noisy);
  char *clean = _denoise(noisy, DT_DNG_LINEAR, 0, NULL);
  test_image_t ours = _open_rgb(clean, DT_DEMOSAIC_BILINEAR);
  int dots = 0;
  for(int i = 0; i < 3 * width * height; i++)
    dots += abs(i / 3 % width - middle) > 16 && ours.pixels[i] > 0.99f;
  assert_int_equal(dots, 0);
  test_image_free(&scene);
  test_image_free(&ours);
  g_free(raw);
  g_free(samples);
  g_free(noisy);
  g_free(clean);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_gain_over_developers),
    cmocka_unit_test(test_phases),
    cmocka_unit_test(test_strength_zero_keeps_codes),
    cmocka_unit_test(test_mask_of_what_is_shown),
    cmocka_unit_test(test_white_by_candlelight),
    cmocka_unit_test(test_saturated_by_chance),
    cmocka_unit_test(test_colour_chart),
  };
  return cmocka_run_group_tests(tests, _setup, _teardown);
}
