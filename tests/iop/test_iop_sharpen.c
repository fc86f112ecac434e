/* SPDX-License-Identifier: GPL-3.0-or-later */
/* sharpen against its formula in double precision, in rectangles, on a device; edges, halos, limits. */
#include "iop.h"
#include "pocl.h"

#include <float.h>
#include <math.h>
#include <string.h>

static double _luminance(const float *pixel)
{
  return 0.2627 * pixel[0] + 0.678 * pixel[1] + 0.0593 * pixel[2];
}

/* The blurred square root of luminance at a place: a Gaussian in two dimensions, cut off at three deviations. */
static double _blurred(const float *in, int width, int height, int x, int y, double deviation)
{
  double sum = 0, weights = 0;
  const int reach = (int)ceil(3 * deviation);
  for(int dy = -reach; dy <= reach; dy++)
    for(int dx = -reach; dx <= reach; dx++)
    {
      const int at = CLAMP(y + dy, 0, height - 1) * width + CLAMP(x + dx, 0, width - 1);
      const double weight = exp(-(dx * dx + dy * dy) / (2 * deviation * deviation));
      sum += weight * sqrt(MAX(_luminance(in + 4 * at), 0));
      weights += weight;
    }
  return sum / weights;
}

static void _check_formula(double radius, double amount, double threshold, double scale)
{
  enum
  {
    WIDTH = 50,
    HEIGHT = 41
  };
  test_random_t random = { 1 };
  test_photo_t photo;
  test_photo_init(&photo, &random, DT_SENSOR_LINEAR, 0, TRUE, WIDTH, HEIGHT);
  char *settings[4] = { g_strdup_printf("radius=%g", radius), g_strdup_printf("amount=%g", amount),
                        g_strdup_printf("threshold=%g", threshold), NULL };
  dt_iop_piece_t piece =
      test_piece_new(&photo, "sharpen", (const char *const *)settings, 4, WIDTH, HEIGHT, scale);
  assert_true(piece.enabled);
  float *out = test_piece_run(&piece, photo.pixels);
  for(int i = 0; i < WIDTH * HEIGHT; i++)
  {
    const float *in = photo.pixels + 4 * i;
    const double lightness = sqrt(MAX(_luminance(in), 0));
    const double detail =
        lightness - _blurred(photo.pixels, WIDTH, HEIGHT, i % WIDTH, i / WIDTH, radius * scale);
    const double s = amount * MAX(fabs(detail) - threshold / 100, 0);
    const double part = s > 0 ? 0.3 * s / (0.3 * lightness + s) : 0;
    const double gain = lightness > 0 ? pow(detail > 0 ? 1 + part : 1 - part, 2) : 1;
    for(int c = 0; c < 4; c++)
      if(!(fabs(out[4 * i + c] - (c < 3 ? in[c] * gain : in[c])) < 5e-6))
        fail_msg("pixel %d channel %d: %g, not %g", i, c, (double)out[4 * i + c], in[c] * gain);
  }
  g_free(out);
  for(int i = 0; i < 3; i++) g_free(settings[i]);
  test_piece_clear(&piece);
  test_photo_clear(&photo);
}

static void test_formula(void **state)
{
  (void)state;
  _check_formula(1, 0.7, 0.5, 1);
  _check_formula(5, 3, 0, 1);
  _check_formula(20, 5, 2, 0.5);
  _check_formula(1.2, 1, 0, 0.23);
}

static void test_rectangles_and_device(void **state)
{
  (void)state;
  static const char *const settings[][4] = { { NULL },
                                             { "radius=20", "amount=5", NULL },
                                             { "radius=3.3", "threshold=0", NULL },
                                             { "radius=2", "amount=1", "threshold=3", NULL } };
  static const double scales[] = { 1.0, 0.5, 0.23 };
  test_random_t random = { 2 };
  for(int i = 0; i < 30; i++)
  {
    const int width = i == 0 ? 1 : test_random_int(&random, 1, i % 3 ? 90 : 300);
    const int height = i == 0 ? 1 : test_random_int(&random, 1, 120);
    test_photo_t photo;
    test_photo_init(&photo, &random, DT_SENSOR_LINEAR, 0, TRUE, width, height);
    dt_iop_piece_t piece =
        test_piece_new(&photo, "sharpen", settings[i % 4], 4, width, height, scales[i % 3]);
    if(piece.enabled) test_piece_check(&piece, photo.pixels, test_iop_cl, &random);
    test_piece_clear(&piece);
    test_photo_clear(&photo);
  }
}

/* An edge between two greys of one hue becomes steeper; beside it there is a limited halo; far from it nothing changes,
 * and colours keep their ratios. */
static void test_edge(void **state)
{
  (void)state;
  enum
  {
    WIDTH = 80,
    HEIGHT = 10,
    MIDDLE = 40
  };
  static const float colour[4] = { 0.8f, 0.5f, 0.2f, 1.0f };
  float in[4 * WIDTH * HEIGHT];
  for(int i = 0; i < WIDTH * HEIGHT; i++)
    for(int c = 0; c < 4; c++)
    {
      const double ramp = CLAMP((i % WIDTH - MIDDLE) / 4.0 + 0.5, 0, 1);
      in[4 * i + c] = c < 3 ? colour[c] * (float)(0.02 + 0.6 * ramp) : 1.0f;
    }
  test_photo_t photo = { .image = { .width = WIDTH, .height = HEIGHT } };
  for(int strong = 0; strong < 2; strong++)
  {
    dt_iop_piece_t piece = test_piece_new(
        &photo, "sharpen", (const char *[]){ "radius=2", strong ? "amount=5" : "amount=0.7", NULL }, 4, WIDTH,
        HEIGHT, 1);
    float *out = test_piece_run(&piece, in);
    double least = 1, most = 0, steepest_in = 0, steepest_out = 0;
    for(int x = 0; x < WIDTH; x++)
    {
      const float *a = in + 4 * (5 * WIDTH + x), *b = out + 4 * (5 * WIDTH + x);
      least = MIN(least, (double)b[1]);
      most = MAX(most, (double)b[1]);
      if(x < MIDDLE - 10 || x > MIDDLE + 10) assert_true(fabsf(a[1] - b[1]) < 1e-6f);
      assert_true(fabsf(b[0] / b[1] - 1.6f) < 1e-5f && fabsf(b[2] / b[1] - 0.4f) < 1e-5f);
      if(x == 0) continue;
      steepest_in = MAX(steepest_in, (double)(a[1] - a[-3]));
      steepest_out = MAX(steepest_out, (double)(b[1] - b[-3]));
    }
    print_message("amount %g: steepness %.3f -> %.3f, from %.4f to %.3f (were 0.01 and 0.31)\n",
                  strong ? 5.0 : 0.7, steepest_in, steepest_out, least, most);
    assert_true(steepest_out > 1.15 * steepest_in);
    assert_true(least >= 0.01 * 0.49 - 1e-6 && most <= 0.31 * 1.69 + 1e-6);
    assert_true(least < 0.01 && most > 0.31);
    g_free(out);
    test_piece_clear(&piece);
  }
}

/* What is smaller than the threshold stays; so do flat places and black. */
static void test_threshold(void **state)
{
  (void)state;
  enum
  {
    SIDE = 40
  };
  test_random_t random = { 5 };
  test_photo_t photo = { .image = { .width = SIDE, .height = SIDE } };
  float in[4 * SIDE * SIDE];
  for(int level = 0; level < 4; level++)
  {
    const double lightness = 0.3 * level;
    for(int i = 0; i < SIDE * SIDE; i++)
    {
      const double light = pow(lightness + (level ? test_random_range(&random, -0.009, 0.009) : 0), 2);
      for(int c = 0; c < 4; c++) in[4 * i + c] = c < 3 ? (float)light : 0.5f;
    }
    dt_iop_piece_t piece = test_piece_new(
        &photo, "sharpen", (const char *[]){ "amount=5", "threshold=2", NULL }, 4, SIDE, SIDE, 1);
    float *out = test_piece_run(&piece, in);
    assert_memory_equal(out, in, sizeof(in));
    g_free(out);
    test_piece_clear(&piece);
  }
}

static void test_neutral(void **state)
{
  (void)state;
  test_photo_t photo = { .image = { .width = 4, .height = 4 } };
  static const char *const off[][3] = { { "amount=0", NULL }, { "radius=0", NULL }, { "radius=0.2", NULL } };
  for(int i = 0; i < 3; i++)
  {
    dt_iop_piece_t piece = test_piece_new(&photo, "sharpen", off[i], 4, 4, 4, 1);
    assert_false(piece.enabled);
    test_piece_clear(&piece);
  }
  dt_iop_piece_t piece =
      test_piece_new(&photo, "sharpen", NULL, 4, 4, 4, 0.2); /* finer than a pixel by far */
  assert_false(piece.enabled);
  test_piece_clear(&piece);
  piece = test_piece_new(&photo, "sharpen", (const char *[]){ "radius=4", NULL }, 4, 400, 400, 0.5);
  dt_iop_roi_t need;
  piece.module->need(&piece, &(dt_iop_roi_t){ 50, 60, 10, 10, 0.5 }, &need);
  assert_int_equal(need.x, 44);
  assert_int_equal(need.height, 22);
  test_piece_clear(&piece);
  assert_false(dt_iop_find("sharpen")->flags & DT_IOP_ON);
}

/* Numbers stay numbers; what has no light stays as it is. */
static void test_extremes(void **state)
{
  (void)state;
  static const float values[] = { 0,    -0.0f, 1,       -1,       65504,   -65504,
                                  1e9f, -1e9f, FLT_MAX, -FLT_MAX, FLT_MIN, 1e-42f };
  static const char *const settings[][4] = { { NULL },
                                             { "radius=20", "amount=5", "threshold=0", NULL },
                                             { "radius=0.25", "threshold=100", NULL } };
  test_random_t random = { 7 };
  test_photo_t photo;
  test_photo_init(&photo, &random, DT_SENSOR_LINEAR, 0, TRUE, 30, 20);
  for(int i = 0; i < 4 * 30 * 20; i++)
    photo.pixels[i] = values[test_random_int(&random, 0, G_N_ELEMENTS(values) - 1)];
  for(int i = 0; i < 3; i++)
  {
    dt_iop_piece_t piece = test_piece_new(&photo, "sharpen", settings[i], 4, 30, 20, 1);
    float *out = test_piece_run(&piece, photo.pixels);
    float *there = test_iop_cl ? test_piece_run_cl(&piece, photo.pixels, test_iop_cl) : NULL;
    for(int k = 0; k < 4 * 30 * 20; k++)
    {
      assert_true(isfinite(out[k]) && (!there || isfinite(there[k])));
      const float *in = photo.pixels + k / 4 * 4;
      if(in[0] < 0 && in[1] < 0 && in[2] < 0) assert_true(out[k] == photo.pixels[k]);
    }
    g_free(out);
    g_free(there);
    test_piece_clear(&piece);
  }
  test_photo_clear(&photo);
}

/* How long it takes; said, not judged. */
static void test_speed(void **state)
{
  (void)state;
  if(!test_is_long()) skip();
  test_photo_t photo = { .image = { .width = TEST_LARGE_WIDTH, .height = TEST_LARGE_HEIGHT } };
  const gsize n = (gsize)4 * TEST_LARGE_WIDTH * TEST_LARGE_HEIGHT;
  float *in = g_new(float, n);
  for(gsize i = 0; i < n; i++) in[i] = (float)(i * 2654435761u % 1024) * 1e-3f;
  for(int i = 0; i < 2; i++)
  {
    dt_iop_piece_t piece =
        test_piece_new(&photo, "sharpen", (const char *[]){ i % 2 ? "radius=1" : "radius=20", NULL }, 4,
                       TEST_LARGE_WIDTH, TEST_LARGE_HEIGHT, 1);
    test_piece_speed(&piece, in, i % 2 ? ", radius 1" : ", radius 20");
    test_piece_clear(&piece);
  }
  g_free(in);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_formula), cmocka_unit_test(test_rectangles_and_device),
    cmocka_unit_test(test_edge),    cmocka_unit_test(test_threshold),
    cmocka_unit_test(test_neutral), cmocka_unit_test(test_extremes),
    cmocka_unit_test(test_speed),
  };
  return cmocka_run_group_tests(tests, test_iop_set_up, test_iop_tear_down);
}
