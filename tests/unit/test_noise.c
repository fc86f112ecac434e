/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The noise of pictures whose noise is known: of photons and of reading, over scenes with texture. */
#include "support.h"

#include "common/noise.h"

#include <math.h>

#define SIDE 640
/** How far off an estimate may be. */
#define TOLERANCE 0.2

typedef double (*_scene_t)(int x, int y);

static double _normal(test_random_t *random)
{
  const double radius = sqrt(-2.0 * log(test_random_range(random, 1e-12, 1.0)));
  return radius * cos(test_random_range(random, 0.0, 2.0 * G_PI));
}

/** Light from dark to bright, and nothing else. */
static double _gradient(int x, int y)
{
  return 0.01 + 0.7 * (x + y) / (2.0 * SIDE);
}

/** Flat patches of eight levels with hard edges. */
static double _patches(int x, int y)
{
  return 0.02 + 0.1 * (double)((x / 80 + 3 * (y / 80)) % 8);
}

/** Half of it is fine cloth. */
static double _texture(int x, int y)
{
  const double flat = _gradient(x, y);
  if((x / 96 + y / 96) % 2) return flat;
  return flat * (1.0 + 0.3 * sin(x * 1.9) * sin(y * 1.3 + x * 0.4));
}

static gboolean _estimate(_scene_t scene, double scale, double offset, uint64_t seed, dt_noise_t *noise)
{
  test_random_t random = { .state = seed };
  dt_noise_estimator_t *estimator = dt_noise_estimator_new(SIDE);
  float row[SIDE];
  for(int y = 0; y < SIDE; y++)
  {
    for(int x = 0; x < SIDE; x++)
    {
      const double light = scene(x, y);
      row[x] = (float)(light + sqrt(scale * light + offset) * _normal(&random));
    }
    dt_noise_estimator_push(estimator, row);
  }
  const gboolean known = dt_noise_estimator_get(estimator, noise);
  dt_noise_estimator_free(estimator);
  return known;
}

/** Compares where pictures are: what a line does far from its points is of no use to anybody. */
static void _check(_scene_t scene, double scale, double offset, uint64_t seed)
{
  dt_noise_t noise;
  assert_true(_estimate(scene, scale, offset, seed, &noise));
  for(int i = 0; i < 3; i++)
  {
    const double x = (const double[]){ 0.1, 0.3, 0.6 }[i];
    const double expected = scale * x + offset, found = noise.scale * x + noise.offset;
    if(fabs(found / expected - 1.0) > TOLERANCE)
      fail_msg("variance at %g: %g, not %g (%g x + %g)", x, found, expected, noise.scale, noise.offset);
  }
}

static void test_noise_of_known_scenes(void **state)
{
  (void)state;
  const double noises[][2] = { { 1e-4, 1e-7 }, { 5e-4, 1e-5 }, { 4e-3, 1e-4 }, { 0.0, 2e-5 }, { 1e-3, 0.0 } };
  const _scene_t scenes[] = { _gradient, _patches, _texture };
  const int rounds = test_is_long() ? 10 : 1;
  for(int round = 0; round < rounds; round++)
    for(size_t i = 0; i < G_N_ELEMENTS(noises); i++)
      for(size_t k = 0; k < G_N_ELEMENTS(scenes); k++)
        _check(scenes[k], noises[i][0], noises[i][1], 1 + i + 10 * k + 100 * (uint64_t)round);
}

static void test_noise_parts_are_told_apart(void **state)
{
  (void)state;
  dt_noise_t noise;
  assert_true(_estimate(_patches, 1e-3, 1e-4, 7, &noise));
  assert_true(fabs(noise.scale / 1e-3 - 1.0) < TOLERANCE);
  assert_true(fabs(noise.offset / 1e-4 - 1.0) < TOLERANCE);
}

static double _flat(int x, int y)
{
  (void)x, (void)y;
  return 0.25;
}

static double _saturated(int x, int y)
{
  return x < SIDE / 2 ? 0.25 : 1.0 + 0.0 * y;
}

static void test_noise_odd_pictures(void **state)
{
  (void)state;
  dt_noise_t noise;
  assert_true(_estimate(_flat, 0.0, 1e-4, 3, &noise));
  assert_true(fabs((noise.scale * 0.25 + noise.offset) / 1e-4 - 1.0) < TOLERANCE);
  // what is saturated shows no noise, and says nothing
  assert_true(_estimate(_saturated, 4e-4, 0.0, 3, &noise));
  assert_true(fabs((noise.scale * 0.25 + noise.offset) / 1e-4 - 1.0) < TOLERANCE);
  // none at all
  assert_true(_estimate(_flat, 0.0, 0.0, 3, &noise));
  assert_true(noise.scale >= 0.0 && noise.offset >= 0.0 && noise.offset < 1e-10);
}

static void test_noise_too_little_to_see(void **state)
{
  (void)state;
  for(int width = 1; width < 40; width++)
  {
    dt_noise_t noise = { 1.0, 1.0 };
    dt_noise_estimator_t *estimator = dt_noise_estimator_new(width);
    const float row[40] = { 0.5f, NAN, INFINITY, 0.25f };
    for(int y = 0; y < 40; y++) dt_noise_estimator_push(estimator, row);
    assert_false(dt_noise_estimator_get(estimator, &noise));
    assert_true(noise.scale == 0.0 && noise.offset == 0.0);
    dt_noise_estimator_free(estimator);
  }
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_noise_of_known_scenes),
    cmocka_unit_test(test_noise_parts_are_told_apart),
    cmocka_unit_test(test_noise_odd_pictures),
    cmocka_unit_test(test_noise_too_little_to_see),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
