/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Peak memory of the command: it follows the plan, stays within the budget, and does not grow with the height
 * of the picture. */
#include "support.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *_world;

static char *_spawn(const char *const *argv)
{
  GError *error = NULL;
  int status = 0;
  char *out = NULL;
  g_spawn_sync(NULL, (char **)argv, NULL, 0, NULL, NULL, &out, NULL, &status, &error);
  assert_no_error(error);
  g_spawn_check_wait_status(status, &error);
  if(error) fail_msg("%s: %s", error->message, out);
  return out;
}

static double _field(const char *json, const char *name)
{
  char *key = g_strdup_printf("\"%s\":", name);
  const char *at = strstr(json, key);
  assert_non_null(at);
  const double value = g_ascii_strtod(at + strlen(key), NULL);
  g_free(key);
  return value;
}

static char *_make_picture(const char *name, int width, int height)
{
  char *path = g_build_filename(_world, name, NULL), w[16], h[16];
  g_snprintf(w, sizeof w, "%d", width);
  g_snprintf(h, sizeof h, "%d", height);
  const char *const make[] = { DT_TEST_PICTURE, "make", path, w, h, NULL };
  g_free(_spawn(make));
  return path;
}

/* Peak bytes of denoising @p input, by the command's own account. */
static double _peak(const char *input, const char *memory)
{
  char *out = g_build_filename(_world, "out.tif", NULL);
  const char *const argv[] = {
    DT_TEST_PROGRAM, "--configdir",   _world,     "--cachedir", _world, "denoise", "--json", "--overwrite",
    "--model",       "denoise-conv3", "--memory", memory,       "-o",   out,       input,    NULL
  };
  char *json = _spawn(argv);
  const double peak = _field(json, "peak_memory");
  print_message("%s with --memory %s: %.0f MiB, %.1f s\n", input, memory, peak / 1048576,
                _field(json, "seconds"));
  unlink(out);
  g_free(json);
  g_free(out);
  return peak;
}

static void test_height_does_not_matter(void **state)
{
  (void)state;
  if(test_is_sanitized()) skip();
  const int tall = test_is_long() ? 25000 : 9000;
  char *small = _make_picture("12.tif", 4000, 3000);
  const double a = _peak(small, "4G");
  unlink(small);
  char *large = _make_picture("100.tif", 4000, tall);
  const double b = _peak(large, "4G");
  unlink(large);
  assert_true(fabs(a - b) < 32.0 * 1048576);
  g_free(small);
  g_free(large);
}

static void test_budget_is_kept(void **state)
{
  (void)state;
  if(test_is_sanitized()) skip();
  static const struct
  {
    const char *text;
    double bytes;
  } budgets[] = { { "200M", 200 << 20 }, { "300M", 300 << 20 }, { "450M", 450 << 20 } };
  char *path = _make_picture("4.tif", 2400, 1800);
  for(size_t i = 0; i < G_N_ELEMENTS(budgets); i++)
    assert_true(_peak(path, budgets[i].text) <= budgets[i].bytes * 1.05);
  unlink(path);
  g_free(path);
}

static int _setup(void **state)
{
  (void)state;
  _world = test_world_create();
  char *models = g_build_filename(_world, "models", NULL), *fixtures = test_fixture("models");
  char *rc = g_build_filename(_world, "darktable-airc", NULL);
  assert_int_equal(symlink(fixtures, models), 0);
  assert_true(g_file_set_contents(rc, "plugins/ai/enabled=TRUE\n", -1, NULL));
  char *path = _make_picture("1.tif", 64, 64);
  _peak(path, "1G"); /* measures the model, which is not what is tested */
  g_free(path);
  g_free(rc);
  g_free(fixtures);
  g_free(models);
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
  const struct CMUnitTest tests[] = { cmocka_unit_test(test_height_does_not_matter),
                                      cmocka_unit_test(test_budget_is_kept) };
  return cmocka_run_group_tests_name("memory", tests, _setup, _teardown);
}
