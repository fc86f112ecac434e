/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The sensor's picture in memory: levels of every site, windows anywhere, phases. */
#include "support.h"

#include "common/mosaic.h"

#include <math.h>

#define WIDTH 17
#define HEIGHT 13

static guint16 _samples[HEIGHT * 2 * WIDTH * 4];

/** A mosaic over noise, whose levels all differ. */
static dt_mosaic_t _make(test_random_t *random, dt_sensor_t sensor, int period, size_t step)
{
  dt_mosaic_t m = { .sensor = sensor,
                    .width = WIDTH,
                    .height = HEIGHT,
                    .samples = _samples,
                    .stride = (WIDTH + 3) * step,
                    .step = step,
                    .period = period };
  for(size_t i = 0; i < G_N_ELEMENTS(_samples); i++) _samples[i] = (guint16)test_random_int(random, 0, 65535);
  for(int y = 0; y < DT_MOSAIC_PERIOD; y++)
    for(int x = 0; x < DT_MOSAIC_PERIOD; x++)
    {
      m.black[y][x] = (float)(100 + 10 * y + x);
      m.white[y][x] = (float)(4000 + 100 * y + 7 * x);
    }
  return m;
}

static void test_every_site_has_its_own_levels(void **state)
{
  (void)state;
  test_random_t random = { .state = 1 };
  for(int period = 2; period <= 6; period += 4)
  {
    const dt_mosaic_t m = _make(&random, period == 2 ? DT_SENSOR_BAYER : DT_SENSOR_XTRANS, period, 1);
    float row[WIDTH];
    for(int y = 0; y < HEIGHT; y++)
      for(int x = 0; x < WIDTH; x++)
      {
        dt_mosaic_read(&m, x, y, WIDTH - x, row);
        for(int i = x; i < WIDTH; i++)
        {
          const float black = m.black[y % period][i % period], white = m.white[y % period][i % period];
          const float expected =
              ((float)_samples[(size_t)y * m.stride + (size_t)i] - black) / (white - black);
          assert_true(fabsf(row[i - x] - expected) <= 1e-6f * fmaxf(1.0f, fabsf(expected)));
        }
      }
  }
}

static void test_three_or_four_samples_a_pixel_are_three(void **state)
{
  (void)state;
  test_random_t random = { .state = 2 };
  for(size_t step = 3; step <= 4; step++)
  {
    const dt_mosaic_t m = _make(&random, DT_SENSOR_LINEAR, 1, step);
    float row[3 * WIDTH];
    dt_mosaic_read(&m, 2, 5, WIDTH - 2, row);
    for(int i = 0; i < 3 * (WIDTH - 2); i++)
    {
      const guint16 sample = _samples[5 * m.stride + (size_t)(2 + i / 3) * step + (size_t)(i % 3)];
      const float black = m.black[0][i % 3], white = m.white[0][i % 3];
      assert_true(fabsf(row[i] - ((float)sample - black) / (white - black)) <= 2e-5f);
    }
  }
}

static void test_floats_pass_as_they_are(void **state)
{
  (void)state;
  const float samples[4] = { -0.25f, 0.0f, 1.0f, 1.75f };
  dt_mosaic_t m = { .sensor = DT_SENSOR_BAYER,
                    .width = 4,
                    .height = 1,
                    .is_float = TRUE,
                    .samples = samples,
                    .stride = 4,
                    .step = 1,
                    .period = 2 };
  for(int i = 0; i < 4; i++) m.white[i / 2][i % 2] = 1.0f;
  float row[4], least, most;
  dt_mosaic_read(&m, 0, 0, 4, row);
  assert_memory_equal(row, samples, sizeof(samples));
  dt_mosaic_extremes(&m, &least, &most);
  assert_true(least == -0.25f && most == 1.75f);
}

static void test_what_is_no_number_becomes_one(void **state)
{
  (void)state;
  const float samples[4] = { NAN, INFINITY, -INFINITY, 0.5f },
              expected[4] = { 0.0f, 65504.0f, -65504.0f, 0.5f };
  dt_mosaic_t m = { .sensor = DT_SENSOR_BAYER,
                    .width = 4,
                    .height = 1,
                    .is_float = TRUE,
                    .samples = samples,
                    .stride = 4,
                    .step = 1,
                    .period = 2 };
  for(int i = 0; i < 4; i++) m.white[i / 2][i % 2] = 1.0f;
  float row[4];
  dt_mosaic_read(&m, 0, 0, 4, row);
  assert_memory_equal(row, expected, sizeof(expected));
}

static void test_red_is_found_in_all_four_phases(void **state)
{
  (void)state;
  for(int phase = 0; phase < 4; phase++)
  {
    dt_mosaic_t m = { .sensor = DT_SENSOR_BAYER, .period = 2 };
    const int red_x = phase % 2, red_y = phase / 2;
    for(int y = 0; y < 2; y++)
      for(int x = 0; x < 2; x++)
        m.colour[y][x] = (guint8)((x ^ red_x) + (y ^ red_y)); // red 0, green 1, blue 2
    int x, y;
    dt_mosaic_red_origin(&m, &x, &y);
    assert_int_equal(x, red_x);
    assert_int_equal(y, red_y);
    assert_int_equal(dt_mosaic_colour(&m, red_x + 4, red_y + 6), DT_SITE_RED);
    assert_int_equal(dt_mosaic_colour(&m, red_x + 5, red_y + 6), DT_SITE_GREEN);
    assert_int_equal(dt_mosaic_colour(&m, red_x + 5, red_y + 7), DT_SITE_BLUE);
  }
}

static void test_extremes_are_of_the_visible_area_only(void **state)
{
  (void)state;
  test_random_t random = { .state = 3 };
  dt_mosaic_t m = _make(&random, DT_SENSOR_BAYER, 2, 1);
  for(int i = 0; i < 4; i++)
  {
    m.black[i / 2][i % 2] = 0.0f;
    m.white[i / 2][i % 2] = 1000.0f;
  }
  for(size_t i = 0; i < G_N_ELEMENTS(_samples); i++) _samples[i] = i % m.stride < WIDTH ? 500 : 65535;
  _samples[3 * m.stride + WIDTH - 1] = 900;
  _samples[12 * m.stride] = 10;
  float least, most;
  dt_mosaic_extremes(&m, &least, &most);
  assert_true(fabsf(least - 0.01f) < 1e-6f && fabsf(most - 0.9f) < 1e-6f);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_every_site_has_its_own_levels),
    cmocka_unit_test(test_three_or_four_samples_a_pixel_are_three),
    cmocka_unit_test(test_floats_pass_as_they_are),
    cmocka_unit_test(test_what_is_no_number_becomes_one),
    cmocka_unit_test(test_red_is_found_in_all_four_phases),
    cmocka_unit_test(test_extremes_are_of_the_visible_area_only),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
