/* SPDX-License-Identifier: GPL-3.0-or-later */
/* sigmoid against its formula in double precision; what stays, what grows, what is bounded, and hues. */
#include "colour_module.h"

#define STEPS 3000

static const char *const _low[] = { "contrast=0.2", "skew=-1", "white=0.2", "hue=0", NULL };
static const char *const _high[] = { "contrast=5", "skew=1", "white=16", "black=0.15", NULL };
static const char *const _middle[] = {
  "contrast=2.2", "skew=0.4", "black=0.002", "white=1.3", "hue=0.5", NULL
};
static const char *const _steep[] = { "contrast=5", "skew=-1", "white=0.2", "black=0.15", NULL };
static const char *const _film[] = { "skew=-0.6", "hue=0", NULL };
static const char *const _none[] = { NULL };
static const char *const *const _settings[] = { _none, _low, _high, _middle, _steep, _film, NULL };
/* what those are: contrast, skew, white, black, hue */
static const double _values[][5] = { { 1.5, 0, 1, 0, 1 },     { 0.2, -1, 0.2, 0, 0 },
                                     { 5, 1, 16, 0.15, 1 },   { 2.2, 0.4, 1.3, 0.002, 0.5 },
                                     { 5, -1, 0.2, 0.15, 1 }, { 1.5, -0.6, 1, 0, 0 } };

static double _slope(const double v[5])
{
  const double k = pow(4, v[1]), u = (GREY - v[3]) / (v[2] - v[3]);
  return v[0] * GREY / ((GREY - v[3]) * k * (1 - pow(u, 1 / k)));
}

/* Burr's distribution in its usual form: (1 + (x / s)^-c)^-k. */
static double _curve(const double v[5], double x)
{
  const double k = pow(4, v[1]), u = (GREY - v[3]) / (v[2] - v[3]), c = _slope(v);
  const double s = GREY * pow(pow(u, -1 / k) - 1, 1 / c);
  return x > 0 ? v[3] + (v[2] - v[3]) * pow(1 + pow(x / s, -c), -k) : v[3];
}

/* The middle channel's place between the others, by sorting. */
static void _map(const double v[5], const double in[3], double out[3])
{
  double p[3], least = fmin(in[0], fmin(in[1], in[2]));
  const double y = test_luminance(in);
  int low = 0, high = 0;
  for(int c = 0; c < 3; c++)
  {
    p[c] = least >= 0 ? in[c] : y <= 0 ? 0 : y + (in[c] - y) * y / (y - least);
    out[c] = _curve(v, fabs(p[c]) < 1e-12 ? 0 : p[c]);
    if(p[c] < p[low]) low = c;
    if(p[c] > p[high]) high = c;
  }
  const int mid = 3 - low - high;
  if(low == high) return;
  const double kept = out[low] + (p[mid] - p[low]) / (p[high] - p[low]) * (out[high] - out[low]);
  out[mid] += v[4] * (kept - out[mid]);
}

static void test_formula(void **state)
{
  (void)state;
  float *pixels = test_colour_random(1, WIDTH, 0.001, 30);
  for(int k = 0; _settings[k]; k++)
  {
    float *out = test_colour_run("sigmoid", _settings[k], pixels, WIDTH);
    for(int i = 0; i < WIDTH; i++)
    {
      double in[3], wanted[3];
      test_pixel(pixels + 4 * i, in);
      _map(_values[k], in, wanted);
      for(int c = 0; c < 3; c++)
        if(!(fabs(out[4 * i + c] - wanted[c]) < 4e-6 * fmax(1, _slope(_values[k]))))
          fail_msg("settings %d: (%g, %g, %g) becomes %.9g in channel %d, not %.9g", k, in[0], in[1], in[2],
                   (double)out[4 * i + c], c, wanted[c]);
      assert_true(out[4 * i + 3] == pixels[4 * i + 3]);
    }
    g_free(out);
  }
  g_free(pixels);
}

/* Greys from far below black to far above white: grey stays grey, middle grey stays where it is, nothing falls, nothing
 * leaves the display's range, the slope is the contrast. */
static void test_greys(void **state)
{
  (void)state;
  float pixels[4 * STEPS];
  for(int i = 0; i < 4 * STEPS; i++) pixels[i] = (float)(GREY * exp2((i / 4 - STEPS / 2) * 40.0 / STEPS));
  pixels[0] = pixels[1] = pixels[2] = 0;
  /* around middle grey finely enough for a slope */
  const float beside[8] = { 0.18446f, 0.18446f, 0.18446f, 0, 0.18454f, 0.18454f, 0.18454f, 0 };
  for(int k = 0; _settings[k]; k++)
  {
    const double *v = _values[k];
    float *out = test_colour_run("sigmoid", _settings[k], pixels, STEPS);
    for(int i = 0; i < STEPS; i++)
    {
      const float *p = out + 4 * i;
      assert_true(p[0] == p[1] && p[1] == p[2]);
      assert_true(p[0] >= (float)v[3] && p[0] <= (float)v[2]);
      /* rounding: of a fraction near 1, raised to the fourth power at most */
      assert_true(i == 0 || (double)p[0] >= (double)p[-4] * (1 - 8 * FLT_EPSILON / 2));
    }
    const float *grey = out + 4 * (STEPS / 2);
    assert_true(fabs(grey[0] - GREY) < 1e-6);
    assert_true(out[0] == (float)v[3]);
    g_free(out);
    out = test_colour_run("sigmoid", _settings[k], beside, 2);
    const double slope = log((double)out[4] / (double)out[0]) / log((double)beside[4] / (double)beside[0]);
    assert_true(fabs(slope - v[0]) < 0.01 * v[0]);
    g_free(out);
  }
}

/* More skew: less light below grey and less above it near white. */
static void test_skew(void **state)
{
  (void)state;
  static const char *const names[] = { "skew=-1", "skew=-0.3", "skew=0", "skew=0.5", "skew=1" };
  const float pixels[8] = { 0.03f, 0.03f, 0.03f, 0, 1.5f, 1.5f, 1.5f, 0 };
  double dark = 2, bright = 2;
  for(gsize k = 0; k < G_N_ELEMENTS(names); k++)
  {
    float *out = test_colour_run("sigmoid", (const char *[]){ names[k], NULL }, pixels, 2);
    assert_true(out[0] < dark && out[4] < bright);
    dark = out[0];
    bright = out[4];
    g_free(out);
  }
}

static void test_black_and_endless_light(void **state)
{
  (void)state;
  static const float lights[] = { 0.0f, -0.0f, -1e-20f, -1.0f, -1e30f, 1e6f, 1e30f, FLT_MAX };
  float pixels[4 * G_N_ELEMENTS(lights)];
  for(gsize i = 0; i < G_N_ELEMENTS(pixels); i++) pixels[i] = lights[i / 4];
  float *out = test_colour_run("sigmoid", (const char *[]){ "black=0.01", "white=2", NULL }, pixels,
                               G_N_ELEMENTS(lights));
  for(gsize i = 0; i < G_N_ELEMENTS(lights); i++) assert_true(fabs(out[4 * i] - (i < 5 ? 0.01 : 2.0)) < 1e-6);
  g_free(out);
}

/* Where the three channels lie between each other. */
static double _place(const float *p)
{
  const double least = fmin(p[0], fmin(p[1], p[2])), most = fmax(p[0], fmax(p[1], p[2]));
  return (p[0] + p[1] + p[2] - least - most - least) / (most - least);
}

static void test_hue(void **state)
{
  (void)state;
  float *pixels = test_colour_random(3, WIDTH, 0.3, 3);
  for(int i = 0; i < 4 * WIDTH; i++) pixels[i] = fabsf(pixels[i]);
  float *kept = test_colour_run("sigmoid", NULL, pixels, WIDTH),
        *film = test_colour_run("sigmoid", _film, pixels, WIDTH);
  int turned = 0;
  for(int i = 0; i < WIDTH; i++)
  {
    assert_true(fabs(_place(kept + 4 * i) - _place(pixels + 4 * i)) < 1e-4);
    turned += fabs(_place(film + 4 * i) - _place(pixels + 4 * i)) > 0.02;
  }
  assert_true(turned > WIDTH / 2);
  g_free(pixels);
  g_free(kept);
  g_free(film);
}

/* On for raws, off for pictures, and there for both. */
static void test_on(void **state)
{
  (void)state;
  const dt_mosaic_t mosaic = { .sensor = DT_SENSOR_BAYER };
  const dt_iop_image_t raw = { .mosaic = &mosaic }, picture = { 0 };
  const dt_iop_module_t *module = dt_iop_find("sigmoid");
  assert_true(dt_iop_is_on(module, &raw));
  assert_false(dt_iop_is_on(module, &picture));
  assert_false(module->flags & DT_IOP_RAW);
  assert_true(dt_iop_is_on(dt_iop_find("colorin"), &picture));
  assert_false(dt_iop_is_on(dt_iop_find("colorbalance"), &raw));
}

static void test_sizes(void **state)
{
  (void)state;
  test_module_sizes("sigmoid", _settings, 4);
}

static void test_extremes(void **state)
{
  (void)state;
  test_colour_extremes("sigmoid", _settings);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_formula), cmocka_unit_test(test_greys),
    cmocka_unit_test(test_skew),    cmocka_unit_test(test_black_and_endless_light),
    cmocka_unit_test(test_hue),     cmocka_unit_test(test_on),
    cmocka_unit_test(test_sizes),   cmocka_unit_test(test_extremes),
  };
  return cmocka_run_group_tests(tests, test_iop_set_up, test_iop_tear_down);
}
