/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The wavelet behind strength against the formula of its header, written down a second time over the whole picture in
 * double precision: rows that stream must give what the whole picture gives. */
#include "support.h"

#include "ai/detail.h"

#include <math.h>
#include <string.h>

#define MAX_PIXELS ((size_t)1 << 18)

/* --- the whole picture at once --- */

static int _mirror(int i, int n)
{
  while(n > 1 && (i < 0 || i >= n)) i = i < 0 ? -i : 2 * (n - 1) - i;
  return n > 1 ? i : 0;
}

static void _smooth(double *field, double *spare, int w, int h, int step)
{
  static const double spline[] = { 1.0 / 16, 4.0 / 16, 6.0 / 16, 4.0 / 16, 1.0 / 16 };
  for(int pass = 0; pass < 2; pass++)
  {
    memcpy(spare, field, (size_t)w * (size_t)h * sizeof *field);
    for(int y = 0; y < h; y++)
      for(int x = 0; x < w; x++)
      {
        double sum = 0;
        for(int k = -2; k <= 2; k++)
          sum += spline[k + 2]
                 * (pass ? spare[_mirror(y + k * step, h) * w + x] : spare[y * w + _mirror(x + k * step, w)]);
        field[y * w + x] = sum;
      }
  }
}

static void _find_texture(const double *residual, double *texture, int w, int h)
{
  static const double thresholds[] = { 0.25, 0.15, 0.05, 0.02, 0.01 };
  const size_t n = (size_t)w * (size_t)h;
  double *mean = g_memdup2(residual, n * sizeof *residual), *square = g_new(double, n),
         *spare = g_new(double, n);
  double *finer = g_memdup2(residual, n * sizeof *residual),
         *smooth = g_memdup2(residual, n * sizeof *residual);
  for(size_t i = 0; i < n; i++) square[i] = residual[i] * residual[i];
  for(int band = 0; band < 4; band++)
  {
    _smooth(mean, spare, w, h, 1 << band);
    _smooth(square, spare, w, h, 1 << band);
  }
  memset(texture, 0, n * sizeof *texture);
  for(int band = 0; band < 5; band++)
  {
    _smooth(smooth, spare, w, h, 1 << band);
    for(size_t i = 0; i < n; i++)
    {
      const double sigma = sqrt(fmax(square[i] - mean[i] * mean[i], 0)), d = finer[i] - smooth[i];
      texture[i] += copysign(fmax(fabs(d) - thresholds[band] * sigma, 0), d);
      finer[i] = smooth[i];
    }
  }
  for(size_t i = 0; i < n; i++) texture[i] += smooth[i];
  g_free(mean);
  g_free(square);
  g_free(spare);
  g_free(finer);
  g_free(smooth);
}

/* --- streaming --- */

typedef struct _stream_t
{
  int width, height, channels, next;
  float strength;
  const float *strengths; /* per pixel, or NULL */
  float *out;             /* planar */
} _stream_t;

static gboolean _give_strength(void *data, int y, float *strength, GError **error)
{
  (void)error;
  const _stream_t *s = data;
  for(int x = 0; x < s->width; x++) strength[x] = s->strengths ? s->strengths[y * s->width + x] : s->strength;
  return TRUE;
}

static gboolean _take_row(void *data, int y, float *const *planes, GError **error)
{
  (void)error;
  _stream_t *s = data;
  assert_int_equal(y, s->next++);
  for(int c = 0; c < s->channels; c++)
    memcpy(s->out + ((size_t)c * (size_t)s->height + (size_t)y) * (size_t)s->width, planes[c],
           (size_t)s->width * sizeof(float));
  return TRUE;
}

static void _stream(_stream_t *s, const float *original, const float *result)
{
  GError *error = NULL;
  dt_detail_t *detail = dt_detail_new(s->width, s->height, s->channels, _give_strength, _take_row, s, &error);
  assert_no_error(error);
  s->next = 0;
  for(int y = 0; y < s->height; y++)
  {
    const float *a[4], *b[4];
    for(int c = 0; c < s->channels; c++)
    {
      a[c] = original + ((size_t)c * (size_t)s->height + (size_t)y) * (size_t)s->width;
      b[c] = result + ((size_t)c * (size_t)s->height + (size_t)y) * (size_t)s->width;
    }
    assert_true(dt_detail_push(detail, y, a, b, &error));
    assert_true(y - s->next < DT_DETAIL_DELAY);
  }
  assert_int_equal(s->next, s->height);
  dt_detail_free(detail);
}

/* --- the two together --- */

typedef struct _pair_t
{
  int width, height, channels;
  float *original, *result, *out;
} _pair_t;

static _pair_t _pair_new(test_random_t *random, int width, int height, int channels)
{
  const size_t n = (size_t)width * (size_t)height * (size_t)channels;
  assert_true(n <= MAX_PIXELS);
  _pair_t p = { width, height, channels, g_new(float, n), g_new(float, n), g_new(float, n) };
  for(size_t i = 0; i < n; i++)
  {
    p.result[i] = 0.5f + 0.4f * sinf((float)i * 0.01f);
    p.original[i] = p.result[i] + (float)test_random_range(random, -0.1, 0.1);
  }
  return p;
}

static void _pair_free(_pair_t *p)
{
  g_free(p->original);
  g_free(p->result);
  g_free(p->out);
}

static void _check_formula(const _pair_t *p, double strength)
{
  static const double weights[] = { 0.2126, 0.7152, 0.0722 };
  const size_t n = (size_t)p->width * (size_t)p->height;
  const int colours = DT_ROW_COLOURS(p->channels);
  double *residual = g_new0(double, n), *texture = g_new(double, n);
  for(int c = 0; c < colours; c++)
    for(size_t i = 0; i < n; i++)
      residual[i] += (colours == 1 ? 1 : weights[c])
                     * ((double)p->original[(size_t)c * n + i] - (double)p->result[(size_t)c * n + i]);
  _find_texture(residual, texture, p->width, p->height);
  const double chroma = pow(fmax(0, 1 - strength / 0.2), 2);
  for(int c = 0; c < p->channels; c++)
    for(size_t i = 0; i < n; i++)
    {
      const double was = p->original[(size_t)c * n + i], is = p->result[(size_t)c * n + i];
      const double wanted =
          c < colours ? is + (1 - strength) * texture[i] + chroma * (was - is - texture[i]) : was;
      if(fabs(wanted - (double)p->out[(size_t)c * n + i]) > 2e-6)
        fail_msg("%d×%d×%d, strength %g, pixel %zu: %.8g instead of %.8g", p->width, p->height, p->channels,
                 strength, i, (double)p->out[(size_t)c * n + i], wanted);
    }
  g_free(residual);
  g_free(texture);
}

static void test_streaming_is_the_formula(void **state)
{
  (void)state;
  static const int sizes[][3] = { { 1, 1, 3 },    { 3, 500, 1 },  { 200, 5, 3 },  { 61, 63, 4 },
                                  { 90, 128, 3 }, { 64, 129, 2 }, { 40, 190, 3 }, { 33, 191, 3 },
                                  { 50, 252, 3 }, { 50, 253, 1 }, { 70, 700, 3 }, { 1, 400, 3 },
                                  { 130, 318, 3 } };
  static const double strengths[] = { 0.05, 0.5, 0.9 };
  test_random_t random = { 4711 };
  for(size_t i = 0; i < G_N_ELEMENTS(sizes); i++)
    for(size_t k = 0; k < G_N_ELEMENTS(strengths); k++)
    {
      _pair_t p = _pair_new(&random, sizes[i][0], sizes[i][1], sizes[i][2]);
      _stream_t s = { .width = p.width,
                      .height = p.height,
                      .channels = p.channels,
                      .strength = (float)strengths[k],
                      .out = p.out };
      _stream(&s, p.original, p.result);
      _check_formula(&p, (double)s.strength);
      _pair_free(&p);
    }
}

static void test_ends_are_exact(void **state)
{
  (void)state;
  test_random_t random = { 1 };
  _pair_t p = _pair_new(&random, 120, 300, 3);
  const size_t bytes = (size_t)120 * 300 * 3 * sizeof(float);
  _stream_t s = { .width = 120, .height = 300, .channels = 3, .out = p.out };
  _stream(&s, p.original, p.result);
  assert_memory_equal(p.out, p.original, bytes);
  s.strength = 1;
  _stream(&s, p.original, p.result);
  assert_memory_equal(p.out, p.result, bytes);
  _pair_free(&p);
}

/* The farther from 100 the farther from the result, at every pixel and for the picture. */
static void test_monotone(void **state)
{
  (void)state;
  test_random_t random = { 2 };
  _pair_t p = _pair_new(&random, 100, 200, 3);
  _stream_t s = { .width = 100, .height = 200, .channels = 3, .out = p.out };
  double last = INFINITY;
  for(int percent = 0; percent <= 100; percent += 5)
  {
    s.strength = (float)percent / 100;
    _stream(&s, p.original, p.result);
    double distance = 0;
    for(size_t i = 0; i < (size_t)100 * 200 * 3; i++)
      distance += pow((double)p.out[i] - (double)p.result[i], 2);
    if(distance > last * (1 + 1e-6)) fail_msg("strength %d: %g after %g", percent, distance, last);
    last = distance;
  }
  assert_true(last == 0);
  _pair_free(&p);
}

/* Around an infinity, and a highlight without bounds, the picture is what it would be without. */
static void test_infinities_stay_alone(void **state)
{
  (void)state;
  test_random_t random = { 4 };
  _pair_t p = _pair_new(&random, 100, 200, 3);
  const size_t n = 100 * 200, at[] = { 50, 100 * 100 + 50, n + 7000, 2 * n + 19999 };
  const float values[] = { INFINITY, INFINITY, -INFINITY, 1e30f };
  float *plain = g_new(float, 3 * n);
  for(size_t i = 0; i < G_N_ELEMENTS(at); i++) p.original[at[i]] = p.result[at[i]];
  _stream_t s = { .width = 100, .height = 200, .channels = 3, .strength = 0.1f, .out = plain };
  _stream(&s, p.original, p.result);
  for(size_t i = 0; i < G_N_ELEMENTS(at); i++) p.original[at[i]] = p.result[at[i]] = values[i];
  s.out = p.out;
  _stream(&s, p.original, p.result);
  for(size_t i = 0; i < G_N_ELEMENTS(at); i++)
  {
    assert_true(p.out[at[i]] == values[i]);
    plain[at[i]] = p.out[at[i]];
  }
  assert_memory_equal(p.out, plain, 3 * n * sizeof(float));
  g_free(plain);
  _pair_free(&p);
}

/* A map of strengths gives at each pixel what that strength gives everywhere. */
static void test_map(void **state)
{
  (void)state;
  test_random_t random = { 3 };
  _pair_t p = _pair_new(&random, 60, 210, 3);
  const size_t n = 60 * 210;
  float *map = g_new(float, n), *mapped = g_new(float, 3 * n);
  for(size_t i = 0; i < n; i++) map[i] = (float)(i % 3) * 0.5f;
  _stream_t s = { .width = 60, .height = 210, .channels = 3, .strengths = map, .out = mapped };
  _stream(&s, p.original, p.result);
  for(int k = 0; k < 3; k++)
  {
    _stream_t even = { .width = 60, .height = 210, .channels = 3, .strength = (float)k * 0.5f, .out = p.out };
    _stream(&even, p.original, p.result);
    for(size_t i = 0; i < 3 * n; i++)
      if((int)(i % n % 3) == k) assert_true(mapped[i] == p.out[i]);
  }
  g_free(map);
  g_free(mapped);
  _pair_free(&p);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_streaming_is_the_formula),
    cmocka_unit_test(test_ends_are_exact),
    cmocka_unit_test(test_monotone),
    cmocka_unit_test(test_infinities_stay_alone),
    cmocka_unit_test(test_map),
  };
  return cmocka_run_group_tests_name("detail", tests, NULL, NULL);
}
