/* SPDX-License-Identifier: GPL-3.0-or-later */
/* highlights: what is promised of highlights for every kind of raw; in rectangles, and on a device. */
#include "iop.h"
#include "pocl.h"

#include <math.h>
#include <string.h>

/* As an ordinary camera's in daylight. */
static const float _saturation[4] = { 2.0f, 1.0f, 1.5f, 1.2f };

static int _colour(const test_photo_t *photo, int i)
{
  const int width = photo->image.width;
  if(photo->channels == 4) return i % 4;
  return dt_mosaic_colour(&photo->mosaic, i % width, i / width);
}

static int _values(const test_photo_t *photo)
{
  return photo->image.width * photo->image.height * photo->channels;
}

static gboolean _is_light(const test_photo_t *photo, int i)
{
  return photo->channels == 1 || i % 4 < 3;
}

/* What the sensor makes of @p light, white balanced. */
static void _expose(test_photo_t *photo, const float light[4])
{
  for(int i = 0; i < _values(photo); i++)
    if(_is_light(photo, i))
      photo->pixels[i] = MIN(light[_colour(photo, i)], photo->saturation[_colour(photo, i)]);
}

static void _init(test_photo_t *photo, test_random_t *random, dt_sensor_t sensor, int phase, int width,
                  int height)
{
  test_photo_init(photo, random, sensor, phase, FALSE, width, height);
  for(int c = 0; c < 4; c++) photo->saturation[c] = _saturation[c];
  for(int i = 0; i < _values(photo); i++) // codes become light, some of it too much
    photo->pixels[i] = _is_light(photo, i) ? (photo->pixels[i] - 512) / 15871 * 2.2f
                                           : (float)test_random_range(random, -1, 2);
  for(int i = 0; i < _values(photo); i++)
    if(_is_light(photo, i)) photo->pixels[i] = MIN(photo->pixels[i], _saturation[_colour(photo, i)]);
}

static float *_run(const test_photo_t *photo, const char *const *settings)
{
  dt_iop_piece_t piece = test_piece_new(photo, "highlights", settings, photo->channels, photo->image.width,
                                        photo->image.height, 1.0);
  float *out = test_piece_run(&piece, photo->pixels);
  test_piece_clear(&piece);
  return out;
}

/* White light of any brightness stays white, and gets no less bright, however many colours are full. */
static void _check_white(test_photo_t *photo)
{
  for(int percent = 10; percent < 300; percent++)
  {
    const float light = 0.01f * (float)percent;
    _expose(photo, (const float[]){ light, light, light, light });
    float *out = _run(photo, NULL);
    const float wanted = MIN(light, 2.0f);
    // where a colour is nearly full the guess leans to white
    for(int i = 0; i < _values(photo); i++)
      if(_is_light(photo, i)) assert_true(fabsf(out[i] - wanted) < 0.06f);
    g_free(out);
  }
}

static void test_white(void **state)
{
  (void)state;
  test_random_t random = { 1 };
  for(int k = 0; k < TEST_SENSORS; k++)
    for(int phase = 0; phase < test_sensors[k].phases; phase += 1 + phase / 4 * 6)
    {
      test_photo_t photo;
      _init(&photo, &random, test_sensors[k].sensor, phase, 7, 8);
      _check_white(&photo);
      test_photo_clear(&photo);
    }
}

/* The colours' mean values after a flat area of @p light. */
static void _develop(test_photo_t *photo, const float light[4], double colours[4])
{
  int n[4] = { 0 };
  memset(colours, 0, 4 * sizeof(*colours));
  _expose(photo, light);
  float *out = _run(photo, NULL);
  for(int i = 0; i < _values(photo); i++)
    if(_is_light(photo, i))
    {
      colours[_colour(photo, i)] += (double)out[i];
      n[_colour(photo, i)]++;
    }
  for(int c = 0; c < 4; c++) colours[c] /= MAX(1, n[c]);
  g_free(out);
}

/* A sky that is full in green and blue does not become purple; strong colours stay. */
static void test_colours(void **state)
{
  (void)state;
  static const float sky[4] = { 1.0f, 1.25f, 1.6f, 1.3f }, bright[4] = { 1.4f, 1.6f, 1.9f, 1.6f },
                     lamp[4] = { 5, 0.3f, 0.02f, 0.3f };
  test_random_t random = { 2 };
  for(int k = 0; k < TEST_SENSORS; k++)
  {
    test_photo_t photo;
    double colours[4];
    _init(&photo, &random, test_sensors[k].sensor, 0, 12, 12);
    _develop(&photo, sky, colours);
    assert_true(fabs(colours[0] - 1) < 1e-6 && fabs(colours[1] - 1.25) < 0.03
                && fabs(colours[2] - 1.5) < 1e-6);
    _develop(&photo, bright, colours);
    assert_true(fabs(colours[0] - 1.4) < 1e-6 && colours[1] > 1.39 && colours[1] < 1.6);
    _develop(&photo, lamp, colours);
    for(int c = 0; c < (test_sensors[k].sensor == DT_SENSOR_FOUR ? 4 : 3); c++)
      assert_true(fabs(colours[c] - (double)MIN(lamp[c], 2.0f)) < 1e-6);
    test_photo_clear(&photo);
  }
}

/* Beside a dark edge blown white is white up to the last site. */
static void test_edge(void **state)
{
  (void)state;
  test_random_t random = { 3 };
  test_photo_t photo;
  _init(&photo, &random, DT_SENSOR_BAYER, 0, 16, 16);
  _expose(&photo, (const float[]){ 4, 4, 4, 4 });
  for(int i = 0; i < 256; i++) photo.pixels[i] = i % 16 < 7 ? 0.05f : photo.pixels[i];
  float *out = _run(&photo, NULL);
  for(int i = 0; i < 256; i++) assert_true(i % 16 < 7 ? out[i] == 0.05f : fabsf(out[i] - 2.0f) < 0.1f);
  g_free(out);
  test_photo_clear(&photo);
}

/* A bright sky that goes over from not full to full, with noise: as white as its noise is everywhere. */
static void test_sky(void **state)
{
  (void)state;
  test_random_t random = { 6 };
  for(int k = 0; k < TEST_SENSORS; k++)
  {
    test_photo_t photo;
    _init(&photo, &random, test_sensors[k].sensor, 0, 300, 12);
    for(int i = 0; i < _values(&photo); i++)
    {
      const double light = 0.5 + 0.01 * (i / photo.channels % 300);
      const float seen = (float)(light * test_random_range(&random, 0.98, 1.02));
      if(_is_light(&photo, i)) photo.pixels[i] = MIN(seen, _saturation[_colour(&photo, i)]);
    }
    float *out = _run(&photo, NULL);
    for(int i = 0; i < _values(&photo); i++)
    {
      const double light = MIN(0.5 + 0.01 * (i / photo.channels % 300), 2.0);
      if(_is_light(&photo, i)) assert_true(fabs(out[i] - light) < 0.09);
    }
    g_free(out);
    test_photo_clear(&photo);
  }
}

/* Nothing gets darker, nothing below the levels changes, and the fourth channel never does. */
static void _check_bounds(const test_photo_t *photo, const float *out, float clip)
{
  for(int i = 0; i < _values(photo); i++)
  {
    const float in = photo->pixels[i];
    assert_true(out[i] >= in && out[i] < 2.5f);
    if(!_is_light(photo, i) || in <= 0.9499f * clip * _saturation[_colour(photo, i)])
      assert_true(out[i] == in);
  }
}

static void _check(dt_sensor_t sensor, int phase, float clip, test_random_t *random)
{
  test_photo_t photo;
  const int width = test_random_int(random, 1, 80), height = test_random_int(random, 1, 60);
  _init(&photo, random, sensor, phase, width, height);
  char *setting = g_strdup_printf("clip=%d.%d", (int)clip, (int)(clip * 10 + 0.5f) % 10);
  const char *const settings[] = { setting, NULL }, *const cut[] = { setting, "mode=clip", NULL };
  dt_iop_piece_t piece = test_piece_new(&photo, "highlights", settings, photo.channels, width, height, 1.0);
  test_piece_check(&piece, photo.pixels, test_iop_cl, random);
  float *out = test_piece_run(&piece, photo.pixels);
  _check_bounds(&photo, out, clip);
  g_free(out);
  test_piece_clear(&piece);

  piece = test_piece_new(&photo, "highlights", cut, photo.channels, width, height, 1.0);
  test_piece_check(&piece, photo.pixels, test_iop_cl, random);
  out = test_piece_run(&piece, photo.pixels);
  for(int i = 0; i < _values(&photo); i++)
    assert_true(out[i] == (_is_light(&photo, i) ? MIN(photo.pixels[i], clip) : photo.pixels[i]));
  g_free(out);
  test_piece_clear(&piece);
  g_free(setting);
  test_photo_clear(&photo);
}

static void test_rectangles_and_device(void **state)
{
  (void)state;
  test_random_t random = { 4 };
  for(int k = 0; k < TEST_SENSORS; k++)
    for(int phase = 0; phase < test_sensors[k].phases; phase++)
      for(int strong = 0; strong < 2; strong++)
        _check(test_sensors[k].sensor, phase, strong ? 0.7f : 1, &random);
}

/* A site without neighbours of other colours stays; values far out stay finite. */
static void test_odd(void **state)
{
  (void)state;
  test_random_t random = { 5 };
  test_photo_t photo;
  _init(&photo, &random, DT_SENSOR_BAYER, 0, 1, 1);
  photo.pixels[0] = 2;
  float *out = _run(&photo, NULL);
  assert_true(out[0] == 2);
  g_free(out);
  test_photo_clear(&photo);
  for(int k = 0; k < TEST_SENSORS; k++)
  {
    _init(&photo, &random, test_sensors[k].sensor, 0, 12, 12);
    for(int i = 0; i < _values(&photo); i++) photo.pixels[i] = i % 3 ? 6.5504e6f : i % 2 ? -6.5504e6f : 0;
    out = _run(&photo, NULL);
    for(int i = 0; i < _values(&photo); i++) assert_true(isfinite(out[i]));
    g_free(out);
    test_photo_clear(&photo);
  }
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_white),
    cmocka_unit_test(test_colours),
    cmocka_unit_test(test_edge),
    cmocka_unit_test(test_sky),
    cmocka_unit_test(test_rectangles_and_device),
    cmocka_unit_test(test_odd),
  };
  return cmocka_run_group_tests(tests, test_iop_set_up, test_iop_tear_down);
}
