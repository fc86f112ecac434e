/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Real photographs, a real network, the real command: the PSNR that FFDNet is known for comes out, and it is
 * the PSNR of the network run directly on the same files. Skipped when the shared test data is absent. */
#include "support.h"

#include "ai/backend.h"
#include "common/colour.h"
#include "imageio/imageio.h"

#include <math.h>
#include <string.h>
#include <unistd.h>

static const char *const _names[] = { "kodim01", "kodim03", "kodim05", "kodim08",
                                      "kodim13", "kodim19", "kodim20", "kodim23" };
enum
{
  PICTURES = G_N_ELEMENTS(_names),
  HALO = 64
};

static const char *_world;
static dt_ai_context_t *_model;

static void _spawn(const char *const *argv)
{
  GError *error = NULL;
  int status = 0;
  g_spawn_sync(NULL, (char **)argv, NULL, G_SPAWN_STDOUT_TO_DEV_NULL, NULL, NULL, NULL, NULL, &status,
               &error);
  assert_no_error(error);
  g_spawn_check_wait_status(status, &error);
  assert_no_error(error);
}

/* The whole picture, sRGB-encoded. */
static test_image_t _load(const char *path)
{
  GError *error = NULL;
  dt_imageio_reader_t *in = dt_imageio_open(path, NULL, &error);
  assert_no_error(error);
  test_image_t image = test_image_new(in->source.width, in->source.height, in->source.channels);
  in->source.read(&in->source, 0, image.height, image.pixels, &error);
  assert_no_error(error);
  dt_row_source_destroy(&in->source);
  const size_t n = (size_t)image.width * (size_t)image.height * (size_t)image.channels;
  dt_srgb_encode(image.pixels, image.pixels, n);
  return image;
}

static double _psnr(const test_image_t *a, const test_image_t *b)
{
  const size_t n = (size_t)a->width * (size_t)a->height * 3;
  double sum = 0;
  for(size_t i = 0; i < n; i++)
    sum += ((double)a->pixels[i] - b->pixels[i]) * ((double)a->pixels[i] - b->pixels[i]);
  return -10 * log10(sum / (double)n);
}

static int _mirror(int i, int n)
{
  if(i < 0) i = -i;
  return i < n ? i : 2 * (n - 1) - i;
}

/* The network run once on the mirror-extended picture, without any of the program's tiling. */
static test_image_t _run_directly(const test_image_t *noisy, float sigma)
{
  const int w = noisy->width + 2 * HALO, h = noisy->height + 2 * HALO;
  const size_t plane = (size_t)w * (size_t)h;
  float *in = g_new(float, 3 * plane), *map = g_new(float, plane), *out = g_new(float, 3 * plane);
  for(int c = 0; c < 3; c++)
    for(int y = 0; y < h; y++)
      for(int x = 0; x < w; x++)
        in[(size_t)c * plane + (size_t)y * (size_t)w + (size_t)x] =
            noisy->pixels
                [3 * (_mirror(y - HALO, noisy->height) * noisy->width + _mirror(x - HALO, noisy->width)) + c];
  for(size_t i = 0; i < plane; i++) map[i] = sigma / 255.0f;
  int64_t image[] = { 1, 3, h, w }, one[] = { 1, 1, h, w }, result[] = { 1, 3, h, w };
  dt_ai_tensor_t inputs[] = { { in, DT_AI_FLOAT, image, 4 }, { map, DT_AI_FLOAT, one, 4 } };
  dt_ai_tensor_t output = { out, DT_AI_FLOAT, result, 4 };
  assert_int_equal(dt_ai_run(_model, inputs, 2, &output, 1), 0);
  test_image_t restored = test_image_new(noisy->width, noisy->height, 3);
  for(int y = 0; y < noisy->height; y++)
    for(int x = 0; x < noisy->width; x++)
      for(int c = 0; c < 3; c++)
        restored.pixels[3 * (y * noisy->width + x) + c] =
            out[(size_t)c * plane + (size_t)(y + HALO) * (size_t)w + (size_t)(x + HALO)];
  g_free(in);
  g_free(map);
  g_free(out);
  return restored;
}

static void _measure(int sigma, double *command, double *direct)
{
  char *noisy[PICTURES + 1] = { NULL }, *kodak = test_data("kodak"),
                         *sigma_text = g_strdup_printf("%d", sigma);
  char *out = g_strdup_printf("%s/out%d", _world, sigma);
  g_mkdir_with_parents(out, 0700);
  GPtrArray *argv = g_ptr_array_new();
  const char *const start[] = { DT_TEST_PROGRAM, "--configdir",    _world,    "--cachedir", _world, "denoise",
                                "--model",       "denoise-ffdnet", "--sigma", sigma_text,   "-o",   out };
  for(size_t i = 0; i < G_N_ELEMENTS(start); i++) g_ptr_array_add(argv, (char *)start[i]);
  for(int i = 0; i < PICTURES; i++)
  {
    char *clean = g_strdup_printf("%s/%s.png", kodak, _names[i]),
         *seed = g_strdup_printf("%d", 100 * sigma + i);
    noisy[i] = g_strdup_printf("%s/%s-%d.tif", _world, _names[i], sigma);
    const char *const make[] = {
      DT_TEST_PICTURE, "noise", clean, noisy[i], "gaussian", sigma_text, seed, NULL
    };
    _spawn(make);
    g_ptr_array_add(argv, noisy[i]);
    g_free(seed);
    g_free(clean);
  }
  g_ptr_array_add(argv, NULL);
  _spawn((const char *const *)argv->pdata);
  *command = *direct = 0;
  for(int i = 0; i < PICTURES; i++)
  {
    char *clean_path = g_strdup_printf("%s/%s.png", kodak, _names[i]);
    char *result_path = g_strdup_printf("%s/%s-%d_denoise.tif", out, _names[i], sigma);
    test_image_t clean = _load(clean_path), before = _load(noisy[i]), after = _load(result_path);
    test_image_t reference = _run_directly(&before, (float)sigma);
    const double a = _psnr(&clean, &after), b = _psnr(&clean, &reference);
    if(fabs(a - b) > 0.01)
      fail_msg("%s at sigma %d: %.4f dB by the command, %.4f dB directly", _names[i], sigma, a, b);
    *command += a / PICTURES;
    *direct += b / PICTURES;
    test_image_free(&clean);
    test_image_free(&before);
    test_image_free(&after);
    test_image_free(&reference);
    g_free(clean_path);
    g_free(result_path);
    g_free(noisy[i]);
  }
  g_ptr_array_unref(argv);
  g_free(out);
  g_free(sigma_text);
  g_free(kodak);
}

static void test_ffdnet_psnr(void **state)
{
  (void)state;
  static const struct
  {
    int sigma;
    double expected;
  } levels[] = { { 15, 34.3 }, { 25, 31.7 }, { 50, 28.4 } };
  char *kodak = test_data("kodak"), *models = test_data("models");
  if(!kodak || !models)
  {
    print_message("skipped: the shared test data is not here\n");
    skip();
  }
  char *link = g_build_filename(_world, "models", NULL),
       *rc = g_build_filename(_world, "darktable-airc", NULL);
  assert_int_equal(symlink(models, link), 0);
  assert_true(g_file_set_contents(rc, "plugins/ai/enabled=TRUE\n", -1, NULL));
  dt_ai_environment_t *env = dt_ai_env_init(models);
  _model = dt_ai_load_model(env, "denoise-ffdnet", NULL, DT_AI_PROVIDER_CPU);
  assert_non_null(_model);
  for(size_t i = 0; i < G_N_ELEMENTS(levels); i++)
  {
    double command, direct;
    _measure(levels[i].sigma, &command, &direct);
    print_message("sigma %d: %.3f dB by the command, %.3f dB directly\n", levels[i].sigma, command, direct);
    assert_true(fabs(command - levels[i].expected) < 0.15);
  }
  dt_ai_unload_model(_model);
  dt_ai_env_destroy(env);
  g_free(rc);
  g_free(link);
  g_free(models);
  g_free(kodak);
}

static int _setup(void **state)
{
  (void)state;
  _world = test_world_create();
  return 0;
}

static int _teardown(void **state)
{
  (void)state;
  test_world_destroy();
  return 0;
}

int main(void)
{
  const struct CMUnitTest tests[] = { cmocka_unit_test(test_ffdnet_psnr) };
  return cmocka_run_group_tests_name("kodak", tests, _setup, _teardown);
}
