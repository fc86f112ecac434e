/* SPDX-License-Identifier: GPL-3.0-or-later */
/* exposure against its formula, in rectangles, and on a device. */
#include "colour_module.h"

static void test_formula(void **state)
{
  (void)state;
  test_random_t random = { 1 };
  test_photo_t photo;
  test_photo_init(&photo, &random, DT_SENSOR_LINEAR, 0, TRUE, 40, 30);
  dt_iop_piece_t piece = test_piece_new(
      &photo, "exposure", (const char *[]){ "exposure=1.5", "black=0.01", NULL }, 4, 40, 30, 1.0);
  float *out = test_piece_run(&piece, photo.pixels);
  for(int i = 0; i < 40 * 30; i++)
    for(int c = 0; c < 4; c++)
    {
      const double in = photo.pixels[4 * i + c];
      assert_true(fabs(out[4 * i + c] - (c == 3 ? in : (in - 0.01) * pow(2.0, 1.5))) < 1e-6);
    }
  g_free(out);
  test_piece_clear(&piece);
  test_photo_clear(&photo);
}

static void test_rectangles_and_device(void **state)
{
  (void)state;
  static const char *const darker[] = { "exposure=-0.7", NULL }, *const black[] = { "black=0.2", NULL };
  test_module_sizes("exposure", (const char *const *const[]){ darker, black, NULL }, 2);
}

static void test_extremes(void **state)
{
  (void)state;
  static const char *const most[] = { "exposure=18", "black=-1", NULL }, *const least[] = { "exposure=-18",
                                                                                            NULL };
  test_colour_extremes("exposure", (const char *const *const[]){ most, least, NULL });
}

/* Nothing to do is not done. */
static void test_neutral(void **state)
{
  (void)state;
  test_random_t random = { 3 };
  test_photo_t photo;
  test_photo_init(&photo, &random, DT_SENSOR_LINEAR, 0, TRUE, 4, 4);
  dt_iop_piece_t piece = test_piece_new(&photo, "exposure", NULL, 4, 4, 4, 1.0);
  assert_false(piece.enabled);
  test_piece_clear(&piece);
  photo.image.baseline_exposure = 0.5;
  piece = test_piece_new(&photo, "exposure", NULL, 4, 4, 4, 1.0);
  assert_true(piece.enabled);
  test_piece_clear(&piece);
  test_photo_clear(&photo);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_formula),
    cmocka_unit_test(test_rectangles_and_device),
    cmocka_unit_test(test_extremes),
    cmocka_unit_test(test_neutral),
  };
  return cmocka_run_group_tests(tests, test_iop_set_up, test_iop_tear_down);
}
