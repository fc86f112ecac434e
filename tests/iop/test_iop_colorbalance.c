/* SPDX-License-Identifier: GPL-3.0-or-later */
/* tone and colour against its formulas in double precision, with Oklab as it is published. */
#include "colour_module.h"

#define STEPS 2000

static const char *const _tone[] = { "contrast=1.4", "brightness=0.3", "pivot=0.25", NULL };
static const char *const _flat[] = { "contrast=0.6", "brightness=-0.4", NULL };
static const char *const _colour[] = { "saturation=1.3", "vibrance=0.5", NULL };
static const char *const _pale[] = { "saturation=0.7", "vibrance=-1", NULL };
static const char *const _grey[] = { "saturation=0", NULL };
static const char *const _all[] = { "contrast=1.2", "brightness=-0.2", "saturation=2", "vibrance=1", NULL };
static const char *const *const _settings[] = { _tone, _flat, _colour, _pale, _grey, _all, NULL };
/* what those are: brightness, contrast, pivot, saturation, vibrance */
static const double _values[][5] = { { 0.3, 1.4, 0.25, 1, 0 }, { -0.4, 0.6, GREY, 1, 0 },
                                     { 0, 1, GREY, 1.3, 0.5 }, { 0, 1, GREY, 0.7, -1 },
                                     { 0, 1, GREY, 0, 0 },     { -0.2, 1.2, GREY, 2, 1 } };

static const char *const _limits_low[] = { "contrast=0.2", "brightness=1", "pivot=0.01",
                                           "saturation=0", "vibrance=-1",  NULL };
static const char *const _limits_high[] = { "contrast=3",   "brightness=-1", "pivot=1",
                                            "saturation=2", "vibrance=1",    NULL };
static const char *const _limits_tone[] = { "contrast=3", "brightness=-1", "pivot=0.01", NULL };

/* --- Oklab: https://bottosson.github.io/posts/oklab/, its matrices from linear sRGB --- */

static const double _to_cones[9] = { 0.4122214708, 0.5363325363, 0.0514459929, 0.2119034982, 0.6806995451,
                                     0.1073969566, 0.0883024619, 0.2817188376, 0.6299787005 };
static const double _to_lab[9] = { 0.2104542553, 0.7936177850, -0.0040720468, 1.9779984951, -2.4285922050,
                                   0.4505937099, 0.0259040371, 0.7827717662,  -0.8086757660 };

static void _to_oklab(const double rgb[3], double lab[3])
{
  double m[9], linear[3], cones[3];
  test_convert(TEST_REC2020, TEST_REC709, m);
  test_apply(m, rgb, linear);
  test_apply(_to_cones, linear, cones);
  for(int c = 0; c < 3; c++) cones[c] = cbrt(cones[c]);
  test_apply(_to_lab, cones, lab);
}

static void _from_oklab(const double lab[3], double rgb[3])
{
  double m[9], inverse[9], cones[3], linear[3];
  test_invert(_to_lab, inverse);
  test_apply(inverse, lab, cones);
  for(int c = 0; c < 3; c++) cones[c] = cones[c] * cones[c] * cones[c];
  test_invert(_to_cones, inverse);
  test_apply(inverse, cones, linear);
  test_convert(TEST_REC709, TEST_REC2020, m);
  test_apply(m, linear, rgb);
}

static void _change(const double v[5], const double in[3], double out[3])
{
  double lab[3];
  _to_oklab(in, lab);
  const double saturation = hypot(lab[1], lab[2]) / lab[0];
  const double s = v[3] * (1 + v[4] / (1 + pow(saturation / 0.2, 2)));
  lab[1] *= s;
  lab[2] *= s;
  _from_oklab(lab, out);
  const double y = fmin(fmax(test_luminance(in), v[2] / 1024), v[2] * 1024);
  const double moved = v[2] * pow(pow(y, pow(2, -v[0])) / v[2], v[1]);
  for(int c = 0; c < 3; c++) out[c] *= moved / y;
}

static void test_formula(void **state)
{
  (void)state;
  float *pixels = test_colour_random(1, WIDTH, 0.0001, 2);
  for(int k = 0; _settings[k]; k++)
  {
    float *out = test_colour_run("colorbalance", _settings[k], pixels, WIDTH);
    for(int i = 0; i < WIDTH; i++)
    {
      double in[3], wanted[3];
      test_pixel(pixels + 4 * i, in);
      _change(_values[k], in, wanted);
      const double size = fmax(fabs(wanted[0]), fmax(fabs(wanted[1]), fabs(wanted[2])));
      for(int c = 0; c < 3; c++)
        if(!(fabs(out[4 * i + c] - wanted[c]) < 2e-5 * fmax(size, 0.1)))
          fail_msg("settings %d: (%g, %g, %g) becomes %.9g in channel %d, not %.9g", k, in[0], in[1], in[2],
                   (double)out[4 * i + c], c, wanted[c]);
      assert_true(out[4 * i + 3] == pixels[4 * i + 3]);
    }
    g_free(out);
  }
  g_free(pixels);
}

/* Hue and lightness in Oklab stay when only colour changes, up to the most saturated colours of Rec.2020; no colour becomes less saturated than a paler one was. */
static void test_hue_and_order(void **state)
{
  (void)state;
  for(int k = 2; k < 4; k++)
    for(int turn = 0; turn < 12; turn++)
    {
      float pixels[4 * 60];
      double before = -1, lab[3];
      for(int i = 0; i < 60; i++)
      {
        const double angle = turn * G_PI / 6, chroma = 0.005 * i;
        double rgb[3];
        _from_oklab((const double[3]){ 0.6, chroma * cos(angle), chroma * sin(angle) }, rgb);
        for(int c = 0; c < 3; c++) pixels[4 * i + c] = (float)rgb[c];
        pixels[4 * i + 3] = 0;
      }
      float *out = test_colour_run("colorbalance", _settings[k], pixels, 60);
      for(int i = 0; i < 60; i++)
      {
        double rgb[3];
        test_pixel(out + 4 * i, rgb);
        _to_oklab(rgb, lab);
        const double chroma = lab[1] * cos(turn * G_PI / 6) + lab[2] * sin(turn * G_PI / 6);
        const double across = lab[2] * cos(turn * G_PI / 6) - lab[1] * sin(turn * G_PI / 6);
        assert_true(fabs(lab[0] - 0.6) < 1e-5 && fabs(across) < 1e-5 && chroma > before);
        before = chroma;
      }
      g_free(out);
    }
}

/* Vibrance gives pale colours more than saturated ones. */
static void test_vibrance_protects(void **state)
{
  (void)state;
  const float pixels[8] = { 0.5f, 0.45f, 0.42f, 0, 0.5f, 0.05f, 0.02f, 0 };
  double gain[2];
  float *out = test_colour_run("colorbalance", (const char *[]){ "vibrance=1", NULL }, pixels, 2);
  for(int i = 0; i < 2; i++)
  {
    double in[3], there[3], a[3], b[3];
    test_pixel(pixels + 4 * i, in);
    test_pixel(out + 4 * i, there);
    _to_oklab(in, a);
    _to_oklab(there, b);
    gain[i] = hypot(b[1], b[2]) / hypot(a[1], a[2]);
  }
  assert_true(gain[0] > 1.8 && gain[1] < 1.3 && gain[1] > 1.0);
  g_free(out);
}

/* Greys stay grey, but for rounding that a fourfold chroma magnifies, and in their order; the pivot stays; black and white stay under brightness. */
static void test_greys(void **state)
{
  (void)state;
  float pixels[4 * STEPS];
  for(int i = 0; i < 4 * STEPS; i++) pixels[i] = (float)(GREY * exp2((i / 4 - STEPS / 2) * 30.0 / STEPS));
  for(int k = 0; _settings[k]; k++)
  {
    float *out = test_colour_run_near("colorbalance", _settings[k], pixels, STEPS, 1e-5);
    for(int i = 0; i < STEPS; i++)
    {
      const float *p = out + 4 * i;
      const double size = p[0];
      assert_true(fabs((double)p[1] - size) < 1e-5 * size && fabs((double)p[2] - size) < 1e-5 * size);
      assert_true(i == 0 || p[0] > p[-4]);
    }
    if(_values[k][2] == GREY && _values[k][0] == 0)
      assert_true(fabs((double)out[4 * (STEPS / 2)] - GREY) < 1e-6);
    g_free(out);
  }
  const float ends[12] = { 0, 0, 0, 0, 1, 1, 1, 0, 0.25f, 0.25f, 0.25f, 0 };
  float *out = test_colour_run("colorbalance", (const char *[]){ "brightness=0.5", NULL }, ends, 3);
  assert_true(out[0] == 0.0f && fabs((double)out[4] - 1.0) < 1e-6 && out[8] > 0.3f);
  g_free(out);
  out = test_colour_run("colorbalance", (const char *[]){ "contrast=2", "pivot=0.25", NULL }, ends, 3);
  assert_true(out[0] == 0.0f && fabs((double)out[4] - 4.0) < 1e-5 && fabs((double)out[8] - 0.25) < 1e-6);
  g_free(out);
}

/* Tone changes no ratio of the channels, below 0 neither. */
static void test_tone_keeps_colour(void **state)
{
  (void)state;
  float *pixels = test_colour_random(2, WIDTH, 0.01, 2);
  float *out = test_colour_run("colorbalance", _tone, pixels, WIDTH);
  for(int i = 0; i < WIDTH; i++)
  {
    const double factor = (double)out[4 * i] / (double)pixels[4 * i];
    assert_true(factor > 0);
    for(int c = 1; c < 3; c++)
      assert_true(fabs((double)out[4 * i + c] - factor * (double)pixels[4 * i + c]) < 1e-5 * factor);
  }
  g_free(pixels);
  g_free(out);
}

static void test_neutral(void **state)
{
  (void)state;
  static const char *const changes[] = { "brightness=0.1", "contrast=1.1", "saturation=0.9", "vibrance=0.1" };
  test_random_t random = { 3 };
  test_photo_t photo;
  test_photo_init(&photo, &random, DT_SENSOR_LINEAR, 0, TRUE, 4, 4);
  dt_iop_piece_t piece =
      test_piece_new(&photo, "colorbalance", (const char *[]){ "pivot=0.5", NULL }, 4, 4, 4, 1.0);
  assert_false(piece.enabled);
  test_piece_clear(&piece);
  for(gsize i = 0; i < G_N_ELEMENTS(changes); i++)
  {
    piece = test_piece_new(&photo, "colorbalance", (const char *[]){ changes[i], NULL }, 4, 4, 4, 1.0);
    assert_true(piece.enabled);
    test_piece_clear(&piece);
  }
  test_photo_clear(&photo);
}

static void test_sizes(void **state)
{
  (void)state;
  test_module_sizes("colorbalance", _settings, 4);
}

static void test_extremes(void **state)
{
  (void)state;
  test_colour_extremes("colorbalance", _settings);
  test_colour_extremes("colorbalance",
                       (const char *const *[]){ _limits_low, _limits_high, _limits_tone, NULL });
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_formula),
    cmocka_unit_test(test_hue_and_order),
    cmocka_unit_test(test_vibrance_protects),
    cmocka_unit_test(test_greys),
    cmocka_unit_test(test_tone_keeps_colour),
    cmocka_unit_test(test_neutral),
    cmocka_unit_test(test_sizes),
    cmocka_unit_test(test_extremes),
  };
  return cmocka_run_group_tests(tests, test_iop_set_up, test_iop_tear_down);
}
