/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Overlays: what is inside, outside, on the outline and marked, at sizes from one pixel on. */
#include "support.h"

#include "common/memory.h"
#include "develop/masks/overlay.h"

#include <string.h>
#include <sys/resource.h>

enum
{
  WIDTH = 240,
  HEIGHT = 160
};

/* An evenly coloured photo. */
static dt_photo_t *_make_photo(int width, int height)
{
  dt_photo_t *photo = g_new0(dt_photo_t, 1);
  photo->width = width;
  photo->height = height;
  photo->rgb = g_malloc(3 * (gsize)width * (gsize)height);
  for(int i = 0; i < width * height; i++) memcpy(photo->rgb + 3 * i, (uint8_t[]){ 180, 150, 90 }, 3);
  return photo;
}

static void _free(dt_photo_t *photo)
{
  g_free(photo->rgb);
  g_free(photo);
}

/* The right half. */
static float *_make_mask(int width, int height)
{
  float *mask = g_new(float, width *height);
  for(int i = 0; i < width * height; i++) mask[i] = i % width >= width / 2 ? 1.0f : 0.0f;
  return mask;
}

static int _at(const uint8_t *rgb, int width, int x, int y, int c)
{
  return rgb[3 * (y * width + x) + c];
}

/* Of many masks little is kept, and what there is no room for is an error and not the end. */
static void _test_memory(void **state)
{
  (void)state;
  enum
  {
    SIDE = 1000,
    MASKS = 200
  };
  GError *error = NULL;
  dt_photo_t *photo = _make_photo(SIDE, SIDE);
  float *mask = _make_mask(SIDE, SIDE);
  dt_overlay_t *overlay = dt_overlay_new(photo, 0, NULL);
  const guint64 before = dt_memory_resident();
  for(int i = 0; i < MASKS; i++)
    assert_true(dt_overlay_add(overlay, &(dt_overlay_mask_t){ .mask = mask }, NULL));
  if(!test_is_sanitized()) assert_true(dt_memory_resident() - before < (guint64)3 * SIDE * SIDE * MASKS / 2);
  struct rlimit old, tight;
  assert_int_equal(getrlimit(RLIMIT_AS, &old), 0);
  tight = old;
  tight.rlim_cur = 1;
  if(!test_is_sanitized())
  {
    assert_int_equal(setrlimit(RLIMIT_AS, &tight), 0);
    const gboolean ok = dt_overlay_add(overlay, &(dt_overlay_mask_t){ .mask = mask }, &error);
    assert_int_equal(setrlimit(RLIMIT_AS, &old), 0);
    assert_false(ok);
    assert_true(g_error_matches(error, DT_AI_ERROR, DT_AI_ERROR_MEMORY));
    g_clear_error(&error);
  }
  dt_overlay_free(overlay);
  g_free(mask);
  _free(photo);
}

static void _test_inside_and_outside(void **state)
{
  (void)state;
  dt_photo_t *photo = _make_photo(WIDTH, HEIGHT);
  float *mask = _make_mask(WIDTH, HEIGHT);
  dt_overlay_t *overlay = dt_overlay_new(photo, 0, NULL);
  assert_true(dt_overlay_add(overlay, &(dt_overlay_mask_t){ .mask = mask }, NULL));
  int width, height;
  const uint8_t *rgb = dt_overlay_draw(overlay, &width, &height);
  assert_int_equal(width, WIDTH);
  assert_int_equal(height, HEIGHT);
  assert_in_range(_at(rgb, width, 200, 80, 0), 160, 182);
  assert_true(_at(rgb, width, 40, 80, 0) < 100);
  /* the outline is bluish, where the halves meet and nowhere else, the picture's edge included */
  for(int y = 0; y < HEIGHT; y += 53)
    for(int x = 0; x < WIDTH; x++)
    {
      const gboolean blue = _at(rgb, width, x, y, 2) > _at(rgb, width, x, y, 0) + 40;
      if(x == WIDTH / 2) assert_true(blue);
      if(x < WIDTH / 2 - 5 || x > WIDTH / 2 + 5) assert_false(blue);
    }
  dt_overlay_free(overlay);
  g_free(mask);
  _free(photo);
}

static void _test_marks(void **state)
{
  (void)state;
  static const dt_seg_point_t points[] = {
    { 60, 40, DT_SEG_FOREGROUND },       { 60, 120, DT_SEG_BACKGROUND },
    { 150, 30, DT_SEG_BOX_TOP_LEFT },    { 220, 130, DT_SEG_BOX_BOTTOM_RIGHT },
    { -0.5f, -0.5f, DT_SEG_FOREGROUND }, { WIDTH - 0.5f, HEIGHT - 0.5f, DT_SEG_BACKGROUND }
  };
  dt_photo_t *photo = _make_photo(WIDTH, HEIGHT);
  float *mask = _make_mask(WIDTH, HEIGHT);
  const float rough[] = { 0, 0, 1, 0 };
  dt_overlay_t *overlay = dt_overlay_new(photo, 0, NULL);
  const dt_overlay_mask_t what = { mask, points, G_N_ELEMENTS(points), rough, 2, 2 };
  assert_true(dt_overlay_add(overlay, &what, NULL));
  int width, height;
  const uint8_t *rgb = dt_overlay_draw(overlay, &width, &height);
  assert_true(_at(rgb, width, 60, 43, 1) > _at(rgb, width, 60, 43, 0) + 60); /* green beside its sign */
  assert_true(_at(rgb, width, 60, 123, 0) > _at(rgb, width, 60, 123, 1) + 60);
  int light = 0, dark = 0;
  for(int x = 152; x < 218; x++)
  {
    light += _at(rgb, width, x, 30, 0) > 240;
    dark += _at(rgb, width, x, 30, 0) < 30;
  }
  assert_true(light > 15 && dark > 15);
  /* the scribble shows at the lower left */
  assert_true(_at(rgb, width, 20, 140, 0) > _at(rgb, width, 20, 20, 0) + 5);
  dt_overlay_free(overlay);
  g_free(mask);
  _free(photo);
}

static void _test_sizes(void **state)
{
  (void)state;
  static const int sizes[][4] = {
    { 1, 1, 1, 1 }, { 1000, 3, 100, 1 }, { 7, 300, 2, 100 }, { 50, 40, 50, 40 }, { 333, 222, 100, 67 }
  };
  for(size_t i = 0; i < G_N_ELEMENTS(sizes); i++)
  {
    const int w = sizes[i][0], h = sizes[i][1];
    dt_photo_t *photo = _make_photo(w, h);
    float *mask = _make_mask(w, h);
    const dt_seg_point_t points[] = { { 0, 0, DT_SEG_BOX_TOP_LEFT },
                                      { (float)w - 1, (float)h - 1, DT_SEG_BOX_BOTTOM_RIGHT },
                                      { (float)w / 2, (float)h / 2, DT_SEG_FOREGROUND } };
    dt_overlay_t *overlay = dt_overlay_new(photo, 100, NULL);
    for(int k = 0; k < 8; k++)
      assert_true(dt_overlay_add(
          overlay, &(dt_overlay_mask_t){ .mask = mask, .points = points, .n_points = 3 }, NULL));
    int width, height;
    dt_overlay_draw(overlay, &width, &height);
    assert_int_equal(width, sizes[i][2]);
    assert_int_equal(height, sizes[i][3]);
    dt_overlay_free(overlay);
    g_free(mask);
    _free(photo);
  }
  dt_overlay_free(NULL);
}

/* The photo itself is left as it is, and an even one stays even when it is made smaller. */
static void _test_photo_is_kept(void **state)
{
  (void)state;
  dt_photo_t *photo = _make_photo(WIDTH, HEIGHT);
  float *mask = g_new(float, WIDTH *HEIGHT);
  for(int i = 0; i < WIDTH * HEIGHT; i++) mask[i] = 1.0f;
  dt_overlay_t *overlay = dt_overlay_new(photo, 77, NULL);
  assert_true(dt_overlay_add(overlay, &(dt_overlay_mask_t){ .mask = mask }, NULL));
  int width, height;
  const uint8_t *rgb = dt_overlay_draw(overlay, &width, &height);
  for(int i = 3; i < 3 * width * height; i++) assert_int_equal(rgb[i], rgb[i - 3]);
  for(int i = 0; i < WIDTH * HEIGHT; i++) assert_int_equal(photo->rgb[3 * i], 180);
  dt_overlay_free(overlay);
  g_free(mask);
  _free(photo);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(_test_memory), cmocka_unit_test(_test_inside_and_outside), cmocka_unit_test(_test_marks),
    cmocka_unit_test(_test_sizes),  cmocka_unit_test(_test_photo_is_kept),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
