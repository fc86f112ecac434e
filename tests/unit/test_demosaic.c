/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Demosaicking: what any method owes its users, for every sensor and size; and how close the methods come to
 * photographs. */
#include "support.h"

#include "common/demosaic.h"
#include "imageio/imageio.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

// --- sensors

typedef enum _kind_t
{
  KIND_BAYER, ///< and the next three: its phases
  KIND_XTRANS = 4,
  KIND_FOUR,
  KINDS
} _kind_t;

static const char *const _patterns[KINDS][6] = {
  { "RG", "GB" },
  { "GR", "BG" },
  { "GB", "RG" },
  { "BG", "GR" },
  { "GBGGRG", "RGRBGB", "GBGGRG", "GRGGBG", "BGBRGR", "GRGGBG" },
  { "RG", "EB" },
};

/* A sensor that sees @p samples, which are borrowed. */
static dt_mosaic_t _mosaic(_kind_t kind, int width, int height, const float *samples)
{
  dt_mosaic_t m = { .sensor = kind == KIND_XTRANS ? DT_SENSOR_XTRANS
                              : kind == KIND_FOUR ? DT_SENSOR_FOUR
                                                  : DT_SENSOR_BAYER,
                    .width = width,
                    .height = height,
                    .is_float = TRUE,
                    .samples = samples,
                    .stride = (size_t)width,
                    .step = 1,
                    .period = kind == KIND_XTRANS ? 6 : 2 };
  for(int y = 0; y < m.period; y++)
    for(int x = 0; x < m.period; x++)
    {
      m.colour[y][x] = (guint8)(strchr("RGBE", _patterns[kind][y][x]) - "RGBE");
      m.white[y][x] = 1;
    }
  return m;
}

/* What @p kind of sensor sees of @p picture; of a fourth colour the green. Free the samples. */
static dt_mosaic_t _see(_kind_t kind, const test_image_t *picture)
{
  float *samples = g_new(float, picture->width * picture->height);
  dt_mosaic_t m = _mosaic(kind, picture->width, picture->height, samples);
  for(int i = 0; i < picture->width * picture->height; i++)
  {
    const int colour = dt_mosaic_colour(&m, i % picture->width, i / picture->width);
    samples[i] = picture->pixels[3 * i + (colour == DT_SITE_FOURTH ? DT_SITE_GREEN : colour)];
  }
  return m;
}

static test_image_t _demosaic(const dt_mosaic_t *m, const double neutral[4], dt_demosaic_method_t method)
{
  dt_row_source_t *source = dt_demosaic_source(m, neutral, method);
  test_image_t out = test_image_new(m->width, m->height, source->channels);
  assert_int_equal(source->width, m->width);
  assert_int_equal(source->height, m->height);
  assert_int_equal(source->space, DT_ROW_CAMERA_RGB);
  assert_true(source->read(source, 0, m->height, out.pixels, NULL));
  dt_row_source_destroy(source);
  return out;
}

static const float *_at(const test_image_t *image, int x, int y)
{
  return image->pixels + ((size_t)y * (size_t)image->width + (size_t)x) * (size_t)image->channels;
}

static test_image_t _noise(test_random_t *random, int width, int height)
{
  test_image_t image = test_image_new(width, height, 3);
  for(int i = 0; i < 3 * width * height; i++) image.pixels[i] = (float)test_random_range(random, -0.2, 1.5);
  return image;
}

// --- properties

static const double _neutral[4] = { 0.47, 1, 0.63, 0.8 };

static void _check_samples(const dt_mosaic_t *m, const test_image_t *out)
{
  const float *samples = m->samples;
  for(int i = 0; i < m->width * m->height; i++)
  {
    const int x = i % m->width, y = i / m->width;
    assert_memory_equal(&_at(out, x, y)[dt_mosaic_colour(m, x, y)], &samples[i], sizeof(float));
    for(int c = 0; c < out->channels; c++) assert_true(isfinite(_at(out, x, y)[c]));
  }
}

static void test_samples_stay(void **state)
{
  (void)state;
  test_random_t random = { 1 };
  for(int i = 0; i < 60 * KINDS; i++)
  {
    const int most = i % 7 ? 14 : 300;
    test_image_t picture =
        _noise(&random, test_random_int(&random, 1, most), test_random_int(&random, 1, most));
    dt_mosaic_t m = _see((_kind_t)(i % KINDS), &picture);
    test_image_t out =
        _demosaic(&m, i / KINDS % 2 ? _neutral : NULL, (dt_demosaic_method_t)(i / KINDS / 2 % 2));
    _check_samples(&m, &out);
    test_image_free(&out);
    test_image_free(&picture);
    g_free((void *)m.samples);
  }
}

/* Black and white levels apply, of each site its own, to 16-bit samples as well. */
static void test_levels(void **state)
{
  (void)state;
  enum
  {
    SIZE = 40
  };
  guint16 samples[SIZE * SIZE];
  dt_mosaic_t m = _mosaic(KIND_BAYER, SIZE, SIZE, NULL);
  m.is_float = FALSE;
  m.samples = samples;
  for(int i = 0; i < 4; i++)
  {
    m.black[i / 2][i % 2] = (float)(100 * i);
    m.white[i / 2][i % 2] = (float)(1000 + 200 * i);
  }
  for(int i = 0; i < SIZE * SIZE; i++)
  {
    const int x = i % SIZE % 2, y = i / SIZE % 2;
    samples[i] = (guint16)((m.black[y][x] + m.white[y][x]) / 2);
  }
  test_image_t out = _demosaic(&m, NULL, DT_DEMOSAIC_BEST);
  for(int i = 0; i < SIZE * SIZE * 3; i++) assert_true(fabsf(out.pixels[i] - 0.5f) < 1e-6f);
  test_image_free(&out);
}

static void _fill(test_image_t *picture, const float flat[3], float across, float down)
{
  for(int i = 0; i < picture->width * picture->height; i++)
    for(int c = 0; c < 3; c++)
      picture->pixels[3 * i + c] =
          flat[c] + across * (float)(i % picture->width) + down * (float)(i / picture->width);
}

static float _largest_error(const test_image_t *got, const test_image_t *picture, int border)
{
  float most = 0;
  for(int y = border; y < picture->height - border; y++)
    for(int x = border; x < picture->width - border; x++)
      for(int c = 0; c < 3; c++) most = MAX(most, fabsf(_at(got, x, y)[c] - _at(picture, x, y)[c]));
  return most;
}

/* To the edges; Bayer's arithmetic does not even round. Beyond 0 and 1, too. */
static void test_flat_stays_flat(void **state)
{
  (void)state;
  static const float colours[][3] = {
    { 0.5f, 0.5f, 0.5f }, { 0.9f, 0.2f, 0.01f }, { 0.001f, 3, 0.4f }, { -0.1f, -0.02f, -0.3f }, { 0, 0, 0 }
  };
  static const int sizes[][2] = { { 6, 6 }, { 7, 9 }, { 300, 40 }, { 31, 250 } };
  for(size_t i = 0; i < G_N_ELEMENTS(colours) * G_N_ELEMENTS(sizes); i++)
    for(int kind = 0; kind <= KIND_XTRANS; kind++)
    {
      const int *size = sizes[i % G_N_ELEMENTS(sizes)];
      test_image_t picture = test_image_new(size[0], size[1], 3);
      _fill(&picture, colours[i / G_N_ELEMENTS(sizes)], 0, 0);
      dt_mosaic_t m = _see((_kind_t)kind, &picture);
      test_image_t out = _demosaic(&m, NULL, DT_DEMOSAIC_BEST);
      assert_true(_largest_error(&out, &picture, 0) <= (kind < KIND_XTRANS ? 1e-7f : 2e-6f));
      test_image_free(&out);
      test_image_free(&picture);
      g_free((void *)m.samples);
    }
}

static void test_slopes_stay_straight(void **state)
{
  (void)state;
  static const float grey[3] = { 0.3f, 0.3f, 0.3f }, colour[3] = { 0.6f, 0.4f, 0.25f };
  for(int kind = 0; kind <= KIND_XTRANS; kind++)
    for(int i = 0; i < 6; i++)
    {
      test_image_t picture = test_image_new(150, 140, 3);
      _fill(&picture, i < 3 ? grey : colour, i % 3 == 1 ? 0 : 0.003f, i % 3 == 0 ? 0 : -0.001f);
      dt_mosaic_t m = _see((_kind_t)kind, &picture);
      test_image_t out = _demosaic(&m, NULL, DT_DEMOSAIC_BEST);
      assert_true(_largest_error(&out, &picture, 12) <= (i < 3 ? 2e-5f : 2e-3f));
      test_image_free(&out);
      test_image_free(&picture);
      g_free((void *)m.samples);
    }
}

/* Whoever reads which rows gets the same. */
static void test_bands(void **state)
{
  (void)state;
  test_random_t random = { 3 };
  for(int i = 0; i < 6 * KINDS; i++)
  {
    test_image_t picture =
        _noise(&random, test_random_int(&random, 1, 320), test_random_int(&random, 100, 400));
    dt_mosaic_t m = _see((_kind_t)(i % KINDS), &picture);
    test_image_t whole = _demosaic(&m, _neutral, DT_DEMOSAIC_BEST);
    dt_row_source_t *source = dt_demosaic_source(&m, _neutral, DT_DEMOSAIC_BEST);
    const size_t row = (size_t)whole.width * (size_t)whole.channels;
    float *rows = g_new(float, row *(size_t)whole.height);
    for(int y = test_random_int(&random, 0, 30), n; y < m.height; y += n + test_random_int(&random, 0, 9))
    {
      n = test_random_int(&random, 1, 40);
      n = MIN(n, m.height - y);
      assert_true(source->read(source, y, n, rows, NULL));
      assert_memory_equal(rows, whole.pixels + row * (size_t)y, row * (size_t)n * sizeof(float));
    }
    assert_true(source->read(source, 0, 1, rows, NULL)); /* back again */
    assert_memory_equal(rows, whole.pixels, row * sizeof(float));
    dt_row_source_destroy(source);
    g_free(rows);
    test_image_free(&whole);
    test_image_free(&picture);
    g_free((void *)m.samples);
  }
}

/* A part of a sensor is another phase of it, and away from the edges the same picture: neither phase nor bands nor
 * tiles show. */
static void test_parts_are_the_same(void **state)
{
  (void)state;
  enum
  {
    EDGE = 12
  };
  test_random_t random = { 4 };
  test_image_t picture = _noise(&random, 290, 270);
  for(int kind = 0; kind < KINDS; kind++)
  {
    dt_mosaic_t m = _see((_kind_t)kind, &picture);
    test_image_t whole = _demosaic(&m, _neutral, DT_DEMOSAIC_BEST);
    for(int i = 1; i < m.period * m.period; i++)
    {
      const int dx = i % m.period, dy = i / m.period;
      dt_mosaic_t part = m;
      part.samples = (const float *)m.samples + dy * m.width + dx;
      part.width -= dx;
      part.height -= dy;
      for(int k = 0; k < m.period * m.period; k++)
        part.colour[k / m.period][k % m.period] =
            (guint8)dt_mosaic_colour(&m, k % m.period + dx, k / m.period + dy);
      test_image_t got = _demosaic(&part, _neutral, DT_DEMOSAIC_BEST);
      for(int y = EDGE; y < part.height - EDGE; y++)
        assert_memory_equal(_at(&got, EDGE, y), _at(&whole, EDGE + dx, y + dy),
                            (size_t)(part.width - 2 * EDGE) * (size_t)got.channels * sizeof(float));
      test_image_free(&got);
    }
    test_image_free(&whole);
    g_free((void *)m.samples);
  }
  test_image_free(&picture);
}

/* Twice as bright, or balanced by powers of two, is the same but for that; what is added to keep from dividing by 0 is
 * not. */
static void test_neutral(void **state)
{
  (void)state;
  static const double neutral[4] = { 0.5, 1, 0.25, 1 };
  test_random_t random = { 6 };
  for(int kind = 0; kind <= KIND_XTRANS; kind++)
  {
    test_image_t picture = _noise(&random, 60, 50);
    dt_mosaic_t m = _see((_kind_t)kind, &picture), n = m;
    float *samples = g_memdup2(m.samples, 60 * 50 * sizeof(float));
    for(int i = 0; i < 60 * 50; i++) samples[i] *= (float)neutral[dt_mosaic_colour(&m, i % 60, i / 60)];
    n.samples = samples;
    test_image_t plain = _demosaic(&m, NULL, DT_DEMOSAIC_BEST),
                 out = _demosaic(&n, neutral, DT_DEMOSAIC_BEST);
    for(int i = 0; i < 60 * 50 * 3; i++)
      assert_true(out.pixels[i] == plain.pixels[i] * (float)neutral[i % 3]);
    test_image_free(&plain);
    test_image_free(&out);
    test_image_free(&picture);
    g_free(samples);
    g_free((void *)m.samples);
  }
}

/* Noise around a dark grey stays around that grey in every colour. */
static void test_noise_keeps_the_mean(void **state)
{
  (void)state;
  enum
  {
    SIZE = 400
  };
  static const double greys[] = { 0, 0.003, 0.01, 0.03 }, deviation = 0.01;
  test_random_t random = { 8 };
  float *samples = g_new(float, SIZE *SIZE);
  for(int i = 0; i < 8; i++)
  {
    const double grey = greys[i / 2];
    for(int k = 0; k < SIZE * SIZE; k++)
    {
      double sum = grey;
      for(int n = 0; n < 12; n++) sum += deviation * test_random_range(&random, -0.5, 0.5);
      samples[k] = (float)sum;
    }
    dt_mosaic_t m = _mosaic(i % 2 ? KIND_XTRANS : KIND_BAYER, SIZE, SIZE, samples);
    test_image_t out = _demosaic(&m, NULL, DT_DEMOSAIC_BEST);
    double means[3] = { 0 };
    for(int k = 0; k < SIZE * SIZE * 3; k++) means[k % 3] += (double)out.pixels[k] / (SIZE * SIZE);
    for(int c = 0; c < 3; c++) assert_true(fabs(means[c] - grey) < 0.04 * deviation);
    test_image_free(&out);
  }
  g_free(samples);
}

static void test_linear_passes(void **state)
{
  (void)state;
  test_random_t random = { 7 };
  test_image_t picture = _noise(&random, 33, 21);
  dt_mosaic_t m = { .sensor = DT_SENSOR_LINEAR, .width = 33, .height = 21, .is_float = TRUE };
  m.samples = picture.pixels;
  m.stride = 99;
  m.step = 3;
  m.period = 1;
  for(int c = 0; c < 3; c++) m.white[0][c] = 1;
  test_image_t out = _demosaic(&m, _neutral, DT_DEMOSAIC_BEST);
  assert_memory_equal(out.pixels, picture.pixels, 33 * 21 * 3 * sizeof(float));
  test_image_free(&out);
  test_image_free(&picture);
}

// --- photographs

static float _encode(float v)
{
  v = CLAMP(v, 0, 1);
  return v <= 0.0031308f ? 12.92f * v : 1.055f * powf(v, 1 / 2.4f) - 0.055f;
}

/* In sRGB's encoding, from 0 to 1. */
static double _mean_square(const test_image_t *a, const test_image_t *b)
{
  const int n = 3 * a->width * a->height;
  double sum = 0;
  for(int i = 0; i < n; i++)
  {
    const double d = (double)(_encode(a->pixels[i]) - _encode(b->pixels[i]));
    sum += d * d;
  }
  return sum / n;
}

static gboolean _load(int number, test_image_t *image)
{
  char name[32];
  snprintf(name, sizeof(name), "kodak/kodim%02d.png", number);
  char *path = test_data(name);
  if(!path) return FALSE;
  GError *error = NULL;
  dt_imageio_reader_t *reader = dt_imageio_open(path, NULL, &error);
  assert_no_error(error);
  *image = test_image_new(reader->source.width, reader->source.height, 3);
  assert_true(reader->source.read(&reader->source, 0, image->height, image->pixels, &error));
  dt_row_source_destroy(&reader->source);
  g_free(path);
  return TRUE;
}

/* Decibels of both methods, the mean over some photographs. */
static void _measure(_kind_t kind, double decibels[2])
{
  static const int numbers[] = { 1, 3, 5, 8, 13, 19, 20, 23 };
  gint64 spent = 0;
  double pixels = 0;
  decibels[0] = decibels[1] = 0;
  for(size_t i = 0; i < G_N_ELEMENTS(numbers); i++)
  {
    test_image_t picture;
    if(!_load(numbers[i], &picture)) skip();
    dt_mosaic_t m = _see(kind, &picture);
    for(int method = 0; method < 2; method++)
    {
      const gint64 start = g_get_monotonic_time();
      test_image_t out = _demosaic(&m, NULL, (dt_demosaic_method_t)method);
      if(method == DT_DEMOSAIC_BEST) spent += g_get_monotonic_time() - start;
      decibels[method] -= 10 * log10(_mean_square(&out, &picture)) / G_N_ELEMENTS(numbers);
      test_image_free(&out);
    }
    pixels += (double)m.width * m.height;
    test_image_free(&picture);
    g_free((void *)m.samples);
  }
  print_message("best %.2f dB, bilinear %.2f dB; %.1f megapixels per second\n", decibels[0], decibels[1],
                pixels / (double)spent);
}

static void test_photographs_bayer(void **state)
{
  (void)state;
  double decibels[2];
  _measure(KIND_BAYER, decibels);
  assert_true(decibels[0] > 35.4);
  assert_true(decibels[0] > decibels[1] + 7.5);
}

static void test_photographs_xtrans(void **state)
{
  (void)state;
  double decibels[2];
  _measure(KIND_XTRANS, decibels);
  assert_true(decibels[0] > 35.4);
  assert_true(decibels[0] > decibels[1] + 8);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_samples_stay),
    cmocka_unit_test(test_levels),
    cmocka_unit_test(test_flat_stays_flat),
    cmocka_unit_test(test_slopes_stay_straight),
    cmocka_unit_test(test_bands),
    cmocka_unit_test(test_parts_are_the_same),
    cmocka_unit_test(test_neutral),
    cmocka_unit_test(test_linear_passes),
    cmocka_unit_test(test_noise_keeps_the_mean),
    cmocka_unit_test(test_photographs_bayer),
    cmocka_unit_test(test_photographs_xtrans),
  };
  return cmocka_run_group_tests_name("demosaic", tests, NULL, NULL);
}
