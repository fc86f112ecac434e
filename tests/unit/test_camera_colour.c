/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Camera colours to Rec.709 under any light, against cameras that are made up: what they see is computed, and comes back. */
#include "support.h"

#include "common/camera_colour.h"

#include <math.h>
#include <string.h>

/* sensors of no maker */
static const double _daylight[4][3] = {
  { 0.69, -0.12, -0.09 }, { -0.38, 1.16, 0.25 }, { -0.04, 0.15, 0.60 }, { -0.2, 0.7, 0.5 }
};
static const double _tungsten[4][3] = {
  { 0.62, 0.05, -0.12 }, { -0.30, 1.05, 0.28 }, { -0.02, 0.10, 0.71 }, { -0.1, 0.6, 0.6 }
};
static const double _rec709[3][3] = { { 0.4123908, 0.3575843, 0.1804808 },
                                      { 0.2126390, 0.7151687, 0.0721923 },
                                      { 0.0193308, 0.1191948, 0.9505322 } };
/* light A of CIE 15 */
static const double _a[3] = { 1.09850, 1.0, 0.35585 };

static dt_camera_colour_t _camera(int colours, const double matrix[4][3])
{
  dt_camera_colour_t camera = { .colours = colours, .lights = 1 };
  memcpy(camera.light[0].matrix, matrix, sizeof(camera.light[0].matrix));
  return camera;
}

/* Bradford's transform from D65, written once more. */
static void _from_d65(const double white[3], const double in[3], double out[3])
{
  static const double to[3][3] = { { 0.8951, 0.2664, -0.1614 },
                                   { -0.7502, 1.7135, 0.0367 },
                                   { 0.0389, -0.0685, 1.0296 } };
  static const double back[3][3] = { { 0.9869929, -0.1470543, 0.1599627 },
                                     { 0.4323053, 0.5183603, 0.0492912 },
                                     { -0.0085287, 0.0400428, 0.9684867 } };
  double cones[3];
  for(int i = 0; i < 3; i++)
  {
    double v = 0, before = 0, after = 0;
    for(int k = 0; k < 3; k++)
    {
      v += to[i][k] * in[k];
      before += to[i][k] * dt_camera_d65[k];
      after += to[i][k] * white[k];
    }
    cones[i] = v * after / before;
  }
  for(int i = 0; i < 3; i++) out[i] = back[i][0] * cones[0] + back[i][1] * cones[1] + back[i][2] * cones[2];
}

static void _respond(const double matrix[4][3], const double xyz[3], double response[4])
{
  for(int c = 0; c < 4; c++)
    response[c] = matrix[c][0] * xyz[0] + matrix[c][1] * xyz[1] + matrix[c][2] * xyz[2];
}

/* Colours of Rec.709, as the camera sees them under that white, come back. */
static void _check_sight(const dt_camera_colour_t *camera, const double matrix[4][3], const double white[3],
                         double tolerance)
{
  double neutral[4], xyz[3], there[3], seen[4];
  float m[12];
  _respond(matrix, white, neutral);
  assert_true(dt_camera_to_rec709(camera, neutral, m));
  test_random_t random = { 1 };
  for(int i = 0; i < 100; i++)
  {
    const double rgb[3] = { test_random_range(&random, 0, 1), test_random_range(&random, 0, 1),
                            test_random_range(&random, 0, 1) };
    for(int k = 0; k < 3; k++)
      xyz[k] = _rec709[k][0] * rgb[0] + _rec709[k][1] * rgb[1] + _rec709[k][2] * rgb[2];
    _from_d65(white, xyz, there);
    _respond(matrix, there, seen);
    for(int k = 0; k < 3; k++)
    {
      double got = 0;
      for(int c = 0; c < camera->colours; c++)
        got += (double)m[k * camera->colours + c] * seen[c] / neutral[c];
      if(!(fabs(got - rgb[k]) < tolerance)) fail_msg("%g, and not %g", got, rgb[k]);
    }
  }
}

static void test_one_light(void **state)
{
  (void)state;
  static const double whites[][3] = {
    { 0.95046, 1, 1.08906 }, { 1.09850, 1, 0.35585 }, { 0.9642, 1, 0.8251 }, { 0.99, 1, 0.61 }
  };
  for(int colours = 3; colours <= 4; colours++)
    for(gsize i = 0; i < G_N_ELEMENTS(whites); i++)
    {
      const dt_camera_colour_t camera = _camera(colours, _daylight);
      _check_sight(&camera, _daylight, whites[i], 2e-5);
    }
}

/* In the light of a matrix that matrix holds, beyond it too, and between two what is between them in reciprocal
 * temperature: half way from A, 2856 K, to D65, 6504 K, is 3969 K, which McCamy's formula has at x 0.3826, y 0.3793. */
static void test_two_lights(void **state)
{
  (void)state;
  for(int order = 0; order < 2; order++)
  {
    dt_camera_colour_t camera = { .colours = 3, .lights = 2 };
    camera.light[order].kelvin = 2856;
    memcpy(camera.light[order].matrix, _tungsten, sizeof(_tungsten));
    camera.light[!order].kelvin = 6504;
    memcpy(camera.light[!order].matrix, _daylight, sizeof(_daylight));
    _check_sight(&camera, _tungsten, _a, 2e-3); // McCamy's formula gives 2857 K
    _check_sight(&camera, _daylight, dt_camera_d65, 2e-3);
    _check_sight(&camera, _tungsten, (double[]){ 1.2743, 1, 0.1452 }, 1e-4); // 2000 K
    _check_sight(&camera, _daylight, (double[]){ 0.9539, 1, 1.5 }, 1e-4);    // of a blue sky
    double half[4][3];
    for(int i = 0; i < 12; i++) half[i / 3][i % 3] = (_tungsten[i / 3][i % 3] + _daylight[i / 3][i % 3]) / 2;
    _check_sight(&camera, half, (double[]){ 0.3826 / 0.3793, 1, 0.2381 / 0.3793 }, 2e-3);
  }
}

/* Of three those two count that are to either side. */
static void test_three_lights(void **state)
{
  (void)state;
  dt_camera_colour_t camera = { .colours = 3, .lights = 3 };
  const double(*const matrices[3])[3] = { _daylight, _tungsten, _tungsten };
  static const double kelvin[3] = { 6504, 2856, 5003 };
  for(int i = 0; i < 3; i++)
  {
    camera.light[i].kelvin = kelvin[i];
    memcpy(camera.light[i].matrix, matrices[i], sizeof(_daylight));
  }
  _check_sight(&camera, _tungsten, (double[]){ 0.3826 / 0.3793, 1, 0.2381 / 0.3793 }, 1e-4);
  _check_sight(&camera, _daylight, dt_camera_d65, 2e-3);
}

/* Published: white of D50 is white, and the primaries of Rec.709 adapted to D50 are those of the sRGB profile. */
static void test_forward(void **state)
{
  (void)state;
  static const double srgb[3][3] = { { 0.4360747, 0.3850649, 0.1430804 },
                                     { 0.2225045, 0.7168786, 0.0606169 },
                                     { 0.0139322, 0.0971045, 0.7141733 } };
  dt_camera_colour_t camera = _camera(3, _daylight);
  float m[9];
  camera.light[0].has_forward = TRUE;
  memcpy(camera.light[0].forward, srgb, sizeof(srgb));
  assert_true(dt_camera_to_rec709(&camera, (double[]){ 0.6, 1, 0.5, 0 }, m));
  for(int i = 0; i < 9; i++) assert_true(fabs((double)m[i] - (i % 4 == 0)) < 5e-4);
  // half of it under A, where red and green are the other way round
  camera.lights = 2;
  camera.light[0].kelvin = 6504;
  camera.light[1] = camera.light[0];
  camera.light[1].kelvin = 2856;
  for(int k = 0; k < 3; k++)
    for(int c = 0; c < 3; c++) camera.light[1].forward[k][c] = srgb[k][c == 2 ? 2 : !c];
  double neutral[4];
  _respond(_daylight, _a, neutral);
  assert_true(dt_camera_to_rec709(&camera, neutral, m));
  for(int i = 0; i < 9; i++) assert_true(fabs((double)m[i] - (i == 1 || i == 3 || i == 8)) < 3e-3);
  _respond(_daylight, (double[]){ 0.3826 / 0.3793, 1, 0.2381 / 0.3793 }, neutral);
  assert_true(dt_camera_to_rec709(&camera, neutral, m));
  for(int i = 0; i < 6; i++) assert_true(fabs((double)m[i] - (i % 3 == 2 ? 0.0 : 0.5)) < 3e-3);
}

/* Whatever is said to be white: it is, numbers are numbers, and a small change of it is a small change of colour. */
static void test_any_white(void **state)
{
  (void)state;
  test_random_t random = { 3 };
  for(int i = 0; i < 3000; i++)
  {
    const int colours = i % 3 == 2 ? 4 : 3;
    dt_camera_colour_t camera = _camera(colours, _daylight);
    camera.light[0].kelvin = 6504;
    camera.lights = 1 + i % 2;
    camera.light[1].kelvin = 2856;
    memcpy(camera.light[1].matrix, _tungsten, sizeof(_tungsten));
    double neutral[4];
    float m[2][12];
    for(int c = 0; c < 4; c++) neutral[c] = exp(test_random_range(&random, -4.6, 4.6));
    assert_true(dt_camera_to_rec709(&camera, neutral, m[0]));
    neutral[i % 3] *= 1 + 1e-7;
    assert_true(dt_camera_to_rec709(&camera, neutral, m[1]));
    for(int k = 0; k < 3; k++)
    {
      double sum = 0;
      for(int c = 0; c < colours; c++)
      {
        const double v = m[0][k * colours + c];
        sum += v;
        assert_true(fabs(v) < 100 && fabs(v - (double)m[1][k * colours + c]) < 1e-4);
      }
      assert_true(fabs(sum - 1) < 3e-6);
    }
  }
}

/* The size of the response says nothing; a response that is none is that to D65. */
static void test_sizes_of_white(void **state)
{
  (void)state;
  const dt_camera_colour_t camera = _camera(3, _daylight);
  double neutral[4];
  float m[9], same[9];
  _respond(_daylight, _a, neutral);
  assert_true(dt_camera_to_rec709(&camera, neutral, m));
  for(int c = 0; c < 4; c++) neutral[c] *= 0.01;
  assert_true(dt_camera_to_rec709(&camera, neutral, same));
  for(int i = 0; i < 9; i++) assert_true(fabsf(m[i] - same[i]) < 1e-6f);
  _respond(_daylight, dt_camera_d65, neutral);
  assert_true(dt_camera_to_rec709(&camera, neutral, m));
  const double nonsense[][4] = { { 0, 1, 1, 1 }, { 1, -1, 1, 1 }, { 1, 1, NAN, 1 }, { INFINITY, 1, 1, 1 } };
  for(int k = 0; k < 4; k++)
  {
    assert_true(dt_camera_to_rec709(&camera, nonsense[k], same));
    for(int i = 0; i < 9; i++) assert_true(fabsf(m[i] - same[i]) < 1e-6f);
  }
}

static void test_what_is_not_known(void **state)
{
  (void)state;
  const double neutral[4] = { 0.5, 1, 0.6, 1 };
  for(int colours = 3; colours <= 4; colours++)
    for(int k = 0; k < 4; k++)
    {
      dt_camera_colour_t camera = _camera(colours, _daylight);
      if(k == 0) camera.lights = 0;
      for(int c = 0; c < 4 && k > 0; c++)
        for(int i = 0; i < 3; i++)
          camera.light[0].matrix[c][i] = k == 1 ? 0.0 : k == 2 ? (c + 1) * (i + 1) : NAN;
      float m[12];
      assert_false(dt_camera_to_rec709(&camera, neutral, m));
      for(int i = 0; i < 3 * colours; i++) assert_true(m[i] == (i / colours == i % colours ? 1.0f : 0.0f));
    }
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_one_light),         cmocka_unit_test(test_two_lights),
    cmocka_unit_test(test_three_lights),      cmocka_unit_test(test_forward),
    cmocka_unit_test(test_any_white),         cmocka_unit_test(test_sizes_of_white),
    cmocka_unit_test(test_what_is_not_known),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
