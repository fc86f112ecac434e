/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The resampler against the textbook sum in double precision, and what any resampler owes its users. */
#include "support.h"

#include "common/resample.h"

#include <math.h>
#include <string.h>

static test_image_t _resample(const test_image_t *in, int width, int height, int chunk)
{
  test_image_t out = test_image_new(width, height, in->channels);
  test_sink_t sink;
  test_sink_init(&sink, &out);
  GError *error = NULL;
  dt_row_sink_t *r = dt_resample_sink(&sink.sink, in->width, in->height, in->channels, width, height, &error);
  assert_no_error(error);
  for(int y = 0; y < in->height; y += chunk)
  {
    const int n = MIN(chunk, in->height - y);
    assert_true(r->write(r, y, n, in->pixels + (size_t)y * (size_t)in->width * (size_t)in->channels, &error));
  }
  assert_true(r->finish(r, &error));
  assert_int_equal(sink.next, height);
  assert_true(sink.finished);
  return out;
}

static double _kernel(double x)
{
  if(fabs(x) < 1e-12) return 1;
  return fabs(x) < 3 ? 3 * sin(G_PI * x) * sin(G_PI * x / 3) / (G_PI * G_PI * x * x) : 0;
}

/* One axis, from samples @p step apart. */
static double _sum(const float *in, int n, int step, int i, int to)
{
  const double ratio = (double)n / to, wide = fmax(ratio, 1), middle = (i + 0.5) * ratio - 0.5;
  double sum = 0, weights = 0;
  for(int k = (int)floor(middle - 3 * wide) - 1; k <= (int)ceil(middle + 3 * wide) + 1; k++)
  {
    const double w = _kernel((k - middle) / wide);
    sum += w * (double)in[(size_t)CLAMP(k, 0, n - 1) * (size_t)step];
    weights += w;
  }
  return sum / weights;
}

static void _check(const test_image_t *in, const test_image_t *out)
{
  const size_t row = (size_t)out->width * (size_t)in->channels;
  float *wide = g_new(float, row *(size_t)in->height);
  for(int y = 0; y < in->height; y++)
    for(size_t i = 0; i < row; i++)
      wide[(size_t)y * row + i] = (float)_sum(
          in->pixels + (size_t)y * (size_t)in->width * (size_t)in->channels + i % (size_t)in->channels,
          in->width, in->channels, (int)(i / (size_t)in->channels), out->width);
  for(int y = 0; y < out->height; y++)
    for(size_t i = 0; i < row; i++)
    {
      const double wanted = _sum(wide + i, in->height, (int)row, y, out->height);
      const double got = (double)out->pixels[(size_t)y * row + i];
      if(fabs(got - wanted) > 5e-6)
        fail_msg("%d×%d to %d×%d: %.8g instead of %.8g at %zu,%d", in->width, in->height, out->width,
                 out->height, got, wanted, i, y);
    }
  g_free(wide);
}

static void test_textbook(void **state)
{
  (void)state;
  static const int sizes[][4] = {
    { 20, 30, 15, 22 }, { 20, 30, 57, 91 }, { 1, 1, 5, 4 },     { 40, 7, 3, 7 },
    { 5, 64, 5, 9 },    { 100, 90, 7, 6 },  { 33, 21, 34, 20 }, { 2, 3, 1, 1 }
  };
  test_random_t random = { 77 };
  for(size_t i = 0; i < G_N_ELEMENTS(sizes); i++)
    for(int channels = 1; channels <= 4; channels++)
    {
      test_image_t in = test_image_random(&random, sizes[i][0], sizes[i][1], channels);
      test_image_t out = _resample(&in, sizes[i][2], sizes[i][3], 1 + (int)i);
      _check(&in, &out);
      test_image_free(&in);
      test_image_free(&out);
    }
}

static void test_same_size_is_the_same(void **state)
{
  (void)state;
  test_random_t random = { 78 };
  test_image_t in = test_image_random(&random, 31, 17, 3), out = _resample(&in, 31, 17, 5);
  for(size_t i = 0; i < (size_t)31 * 17 * 3; i++) assert_true(fabsf(in.pixels[i] - out.pixels[i]) < 1e-6f);
  test_image_free(&in);
  test_image_free(&out);
}

static void test_flat_stays_flat(void **state)
{
  (void)state;
  static const int sizes[] = { 1, 3, 50, 99, 100, 101, 333 };
  test_image_t in = test_image_new(100, 100, 1);
  for(size_t i = 0; i < 10000; i++) in.pixels[i] = 2.5f;
  for(size_t i = 0; i < G_N_ELEMENTS(sizes); i++)
  {
    test_image_t out = _resample(&in, sizes[i], sizes[G_N_ELEMENTS(sizes) - 1 - i], 16);
    for(size_t k = 0; k < (size_t)out.width * (size_t)out.height; k++)
      assert_true(fabsf(out.pixels[k] - 2.5f) < 4e-6f);
    test_image_free(&out);
  }
  test_image_free(&in);
}

static gboolean _refuse(dt_row_sink_t *self, int y, int n, const float *rows, GError **error)
{
  (void)self;
  (void)y;
  (void)n;
  (void)rows;
  g_set_error_literal(error, DT_AI_ERROR, DT_AI_ERROR_OUTPUT, "full");
  return FALSE;
}

static void test_the_next_sink_fails(void **state)
{
  (void)state;
  test_image_t in = test_image_new(10, 10, 1), out = test_image_new(5, 5, 1);
  test_sink_t sink;
  test_sink_init(&sink, &out);
  sink.sink.write = _refuse;
  GError *error = NULL;
  dt_row_sink_t *r = dt_resample_sink(&sink.sink, 10, 10, 1, 5, 5, &error);
  assert_false(r->write(r, 0, 10, in.pixels, &error));
  assert_true(g_error_matches(error, DT_AI_ERROR, DT_AI_ERROR_OUTPUT));
  g_clear_error(&error);
  r->abandon(r);
  assert_true(sink.abandoned);
  test_image_free(&in);
  test_image_free(&out);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_textbook),
    cmocka_unit_test(test_same_size_is_the_same),
    cmocka_unit_test(test_flat_stays_flat),
    cmocka_unit_test(test_the_next_sink_fails),
  };
  return cmocka_run_group_tests_name("resample", tests, NULL, NULL);
}
