/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A photograph of a ColorChecker, developed: how far its patches are from what is published of them, in CIEDE2000.
 *
 * The light is a lamp's, of 2800 K, and the raw has no matrix for that. White is balanced on grey patches. The file says
 * black 2056; columns of the sensor that no light reaches have 2049. */
#include "iop.h"

#include "common/conf.h"
#include "develop/pixelpipe.h"

#include <math.h>

#define PATCHES 24
#define GREYS 6 /* the last ones */
#define HALF 26 /* of the square that is looked at of a patch */
#define BLACK (-7)

/* L*, a*, b* (D50) of charts made before November 2014: X-Rite, "New color specifications for ColorChecker SG and Classic
 * charts" */
static const double _published[PATCHES][3] = {
  { 37.986, 13.555, 14.059 },  { 65.711, 18.13, 17.81 },    { 49.927, -4.88, -21.925 },
  { 43.139, -13.095, 21.905 }, { 55.112, 8.844, -25.399 },  { 70.719, -33.397, -0.199 },
  { 62.661, 36.067, 57.096 },  { 40.02, 10.41, -45.964 },   { 51.124, 48.239, 16.248 },
  { 30.325, 22.976, -21.587 }, { 72.532, -23.709, 57.255 }, { 71.941, 19.363, 67.857 },
  { 28.778, 14.179, -50.297 }, { 55.261, -38.342, 31.37 },  { 42.101, 53.378, 28.19 },
  { 81.733, 4.039, 79.819 },   { 51.935, 49.986, -14.574 }, { 51.038, -28.631, -28.638 },
  { 96.539, -0.425, 1.186 },   { 81.257, -0.638, -0.335 },  { 66.766, -0.734, -0.504 },
  { 50.867, -0.153, -0.27 },   { 35.656, -0.421, -1.231 },  { 20.461, -0.079, -0.973 },
};
static const char *const _names[PATCHES] = {
  "dark skin", "light skin",    "blue sky",     "foliage",   "blue flower",  "bluish green",
  "orange",    "purplish blue", "moderate red", "purple",    "yellow green", "orange yellow",
  "blue",      "green",         "red",          "yellow",    "magenta",      "cyan",
  "white",     "neutral 8",     "neutral 6.5",  "neutral 5", "neutral 3.5",  "black",
};

/* --- CIEDE2000 --- */

static double _degrees(double radians)
{
  return radians * 180 / G_PI;
}

static double _radians(double degrees)
{
  return degrees * G_PI / 180;
}

/* The angle of (a, b) from 0 to 360; 0 of no chroma. */
static double _hue(double a, double b)
{
  const double h = a == 0 && b == 0 ? 0 : _degrees(atan2(b, a));
  return h < 0 ? h + 360 : h;
}

static double _seventh(double c)
{
  return sqrt(pow(c, 7) / (pow(c, 7) + pow(25, 7)));
}

/* CIE 142-2001 as G. Sharma, W. Wu and E. N. Dalal have it (Color Research & Application 30, 2005, p. 21), all weights 1. */
static double _difference(const double one[3], const double other[3])
{
  const double stretch = 1.5 - 0.5 * _seventh((hypot(one[1], one[2]) + hypot(other[1], other[2])) / 2);
  const double a1 = one[1] * stretch, a2 = other[1] * stretch;
  const double c1 = hypot(a1, one[2]), c2 = hypot(a2, other[2]);
  const double h1 = _hue(a1, one[2]), h2 = _hue(a2, other[2]);
  double turn = h2 - h1, mean = (h1 + h2) / 2;
  if(c1 * c2 == 0)
    turn = 0, mean = h1 + h2;
  else if(fabs(turn) > 180)
  {
    turn += turn > 0 ? -360 : 360;
    mean += mean < 180 ? 180 : -180;
  }
  const double l = (one[0] + other[0]) / 2 - 50, c = (c1 + c2) / 2;
  const double t = 1 - 0.17 * cos(_radians(mean - 30)) + 0.24 * cos(_radians(2 * mean))
                   + 0.32 * cos(_radians(3 * mean + 6)) - 0.20 * cos(_radians(4 * mean - 63));
  const double lightness = (other[0] - one[0]) / (1 + 0.015 * l * l / sqrt(20 + l * l));
  const double chroma = (c2 - c1) / (1 + 0.045 * c);
  const double hue = 2 * sqrt(c1 * c2) * sin(_radians(turn / 2)) / (1 + 0.015 * c * t);
  const double rotation =
      -2 * _seventh(c) * sin(_radians(60 * exp(-(mean - 275) * (mean - 275) / (25.0 * 25.0))));
  return sqrt(lightness * lightness + chroma * chroma + hue * hue + rotation * chroma * hue);
}

/* From the same paper's table 1, both ways round. */
static void test_differences(void **state)
{
  (void)state;
  static const double pairs[][7] = {
    { 50, 2.6772, -79.7751, 50, 0, -82.7485, 2.0425 },
    { 50, -1.3802, -84.2814, 50, 0, -82.7485, 1.0000 },
    { 50, 0, 0, 50, -1, 2, 2.3669 },
    { 50, -1, 2, 50, 0, 0, 2.3669 },
    { 50, 2.49, -0.001, 50, -2.49, 0.0009, 7.1792 },
    { 50, 2.49, -0.001, 50, -2.49, 0.0010, 7.1792 },
    { 50, -0.001, 2.49, 50, 0.0009, -2.49, 4.8045 },
    { 50, 2.5, 0, 50, 0, -2.5, 4.3065 },
    { 50, 2.5, 0, 73, 25, -18, 27.1492 },
    { 50, 2.5, 0, 56, -27, -3, 31.9030 },
    { 60.2574, -34.0099, 36.2677, 60.4626, -34.1751, 39.4387, 1.2644 },
    { 61.2901, 3.7196, -5.3901, 61.4292, 2.2480, -4.9620, 1.8731 },
    { 90.8027, -2.0831, 1.4410, 91.1528, -1.6435, 0.0447, 1.4441 },
    { 2.0776, 0.0795, -1.1350, 0.9033, -0.0636, -0.5514, 0.9082 },
  };
  for(gsize i = 0; i < G_N_ELEMENTS(pairs); i++)
  {
    assert_true(fabs(_difference(pairs[i], pairs[i] + 3) - pairs[i][6]) < 1e-4);
    assert_true(fabs(_difference(pairs[i] + 3, pairs[i]) - pairs[i][6]) < 1e-4);
  }
}

/* --- the chart --- */

/* Linear Rec.709 to XYZ under D50, white 1: the sRGB profile's colorants. */
static void _to_lab(const double rgb[3], double lab[3])
{
  static const double to_xyz[3][3] = { { 0.4360747, 0.3850649, 0.1430804 },
                                       { 0.2225045, 0.7168786, 0.0606169 },
                                       { 0.0139322, 0.0971045, 0.7141733 } };
  static const double white[3] = { 0.96422, 1.0, 0.82521 };
  double f[3];
  for(int i = 0; i < 3; i++)
  {
    const double t = (to_xyz[i][0] * rgb[0] + to_xyz[i][1] * rgb[1] + to_xyz[i][2] * rgb[2]) / white[i];
    f[i] = t > 216.0 / 24389 ? cbrt(t) : (24389.0 / 27 * t + 16) / 116;
  }
  lab[0] = 116 * f[1] - 16;
  lab[1] = 500 * (f[0] - f[1]);
  lab[2] = 200 * (f[1] - f[2]);
}

/* The middle of a patch in the picture: between those in the corners. */
static void _find_patch(int patch, int *x, int *y)
{
  static const double corners[4][2] = { { 716, 626 }, { 1250, 614 }, { 703, 930 }, { 1261, 922 } };
  const int row = patch / 6, column = patch % 6;
  const double right = column / 5.0, down = row / 3.0;
  double place[2];
  for(int i = 0; i < 2; i++)
    place[i] = (corners[0][i] * (1 - right) + corners[1][i] * right) * (1 - down)
               + (corners[2][i] * (1 - right) + corners[3][i] * right) * down;
  *x = (int)place[0];
  *y = (int)place[1];
}

/* The mean colour of each patch. FALSE: the photograph is not here. */
static gboolean _develop(const char *const *settings, dt_opencl_t *cl, double patches[PATCHES][3])
{
  char *path = test_data("raw/colorchart.dng");
  if(!path) return FALSE;
  GError *error = NULL;
  dt_dev_input_t *input = dt_dev_input_open(path, NULL, NULL, &error);
  assert_no_error(error);
  dt_history_t *history = dt_history_create(NULL);
  for(; *settings; settings++) assert_true(dt_history_set(history, *settings, NULL, &error));
  dt_dev_pixelpipe_t *pipe = dt_dev_pixelpipe_create(
      input, &(dt_dev_pixelpipe_opts_t){ .type = DT_OPENCL_EXPORT, .cl = cl, .name = "chart" });
  dt_dev_pixelpipe_set_history(pipe, history, &error);
  assert_no_error(error);
  float *pixels = g_new(float, 4 * 4 * HALF * HALF);
  for(int i = 0; i < PATCHES; i++)
  {
    dt_iop_roi_t roi = { .width = 2 * HALF, .height = 2 * HALF, .scale = 1 };
    _find_patch(i, &roi.x, &roi.y);
    roi.x -= HALF;
    roi.y -= HALF;
    dt_dev_pixelpipe_run(pipe, &roi, pixels, NULL, NULL, &error);
    assert_no_error(error);
    for(int c = 0; c < 3; c++)
    {
      patches[i][c] = 0;
      for(int k = 0; k < 4 * HALF * HALF; k++) patches[i][c] += (double)pixels[4 * k + c];
      patches[i][c] /= 4 * HALF * HALF;
    }
  }
  g_free(pixels);
  dt_dev_pixelpipe_destroy(pipe);
  dt_history_free(history);
  dt_dev_input_unref(input);
  g_free(path);
  return TRUE;
}

/* Coefficients of white balance from the greys, as the sensor saw them above @p black. FALSE: no photograph. */
static gboolean _balance(double black, double *red, double *blue)
{
  char *path = test_data("raw/colorchart.dng");
  if(!path) return FALSE;
  dt_raw_t *raw = dt_raw_open(path, NULL);
  assert_non_null(raw);
  const dt_mosaic_t *m = &raw->mosaic;
  double sums[3] = { 0 };
  for(int i = PATCHES - GREYS; i < PATCHES; i++)
  {
    int left, top;
    _find_patch(i, &left, &top);
    for(int y = top - HALF; y < top + HALF; y++)
      for(int x = left - HALF; x < left + HALF; x++)
        sums[dt_mosaic_colour(m, x, y)] += ((const guint16 *)m->samples)[(size_t)y * m->stride + (size_t)x]
                                           - ((double)m->black[y % 2][x % 2] + black);
  }
  *red = sums[1] / 2 / sums[0];
  *blue = sums[1] / 2 / sums[2];
  dt_raw_free(raw);
  g_free(path);
  return TRUE;
}

/* Scales all patches until the greys are as light as they should be, in the mean. */
static void _expose(double patches[PATCHES][3])
{
  double least = 0.01, most = 1000, lab[3];
  for(int round = 0; round < 60; round++)
  {
    const double gain = sqrt(least * most);
    double sum = 0;
    for(int i = PATCHES - GREYS; i < PATCHES; i++)
    {
      _to_lab((double[]){ patches[i][0] * gain, patches[i][1] * gain, patches[i][2] * gain }, lab);
      sum += lab[0] - _published[i][0];
    }
    *(sum < 0 ? &least : &most) = gain;
  }
  for(int i = 0; i < 3 * PATCHES; i++) patches[i / 3][i % 3] *= least;
}

/* The mean difference of all patches. */
static double _compare(double patches[PATCHES][3], gboolean print)
{
  double sum = 0;
  _expose(patches);
  for(int i = 0; i < PATCHES; i++)
  {
    double lab[3];
    _to_lab(patches[i], lab);
    const double d = _difference(lab, _published[i]);
    sum += d;
    if(print)
      print_message("%-14s %5.2f  L* %+6.2f  a* %+6.2f  b* %+6.2f\n", _names[i], d, lab[0] - _published[i][0],
                    lab[1] - _published[i][1], lab[2] - _published[i][2]);
  }
  return sum / PATCHES;
}

static void _check(double black, double bound)
{
  double red = 1, blue = 1, patches[PATCHES][3], there[PATCHES][3];
  dt_conf_override(DT_CONF_OPENCL_PRIORITY, "*/*/*/*");
  if(!_balance(black, &red, &blue)) skip();
  char text[3][48];
  g_snprintf(text[0], sizeof(text[0]), "temperature.red=%.4f", red);
  g_snprintf(text[1], sizeof(text[1]), "temperature.blue=%.4f", blue);
  g_snprintf(text[2], sizeof(text[2]), "rawprepare.black=%g", black);
  const char *const settings[] = { "sigmoid=off", "temperature.mode=user", text[0], text[1], text[2], NULL };
  assert_true(_develop(settings, NULL, patches));
  if(test_iop_cl && black != 0 && _develop(settings, test_iop_cl, there))
    for(int i = 0; i < 3 * PATCHES; i++)
      assert_true(fabs(patches[i / 3][i % 3] - there[i / 3][i % 3]) < 1e-4);
  const double mean = _compare(patches, black != 0);
  print_message("black %+g, white %.3f, 1, %.3f: the mean CIEDE2000 is %.2f\n", black, red, blue, mean);
  assert_true(mean <= bound);
}

static void test_with_its_black(void **state)
{
  (void)state;
  _check(BLACK, 3.0);
}

static void test_as_the_file_says(void **state)
{
  (void)state;
  _check(0, 3.5);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_differences),
    cmocka_unit_test(test_with_its_black),
    cmocka_unit_test(test_as_the_file_says),
  };
  return cmocka_run_group_tests(tests, test_iop_set_up, test_iop_tear_down);
}
