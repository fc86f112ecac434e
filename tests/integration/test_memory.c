/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Peak memory of the command: it follows the plan, stays within the budget, and does not grow with the height
 * of the picture. */
#include "raw_file.h"
#include "support.h"

#include <glib/gstdio.h>
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

/* Peak bytes of a task on @p input, by the command's own account; the result is left in out.tif, of raws in out.dng. */
static double _peak_of(const char *const *task, const char *input, const char *memory)
{
  char *out = g_build_filename(_world, "out.tif", NULL);
  const char *argv[24] = { DT_TEST_PROGRAM, "--configdir", _world, "--cachedir", _world };
  int n = 5;
  while(*task) argv[n++] = *task++;
  if(strcmp(argv[5], "rawdenoise") == 0) memcpy(strrchr(out, '.'), ".dng", 4);
  const char *const more[] = { "--json", "--overwrite", "--memory", memory, "-o", out, input };
  for(size_t i = 0; i < G_N_ELEMENTS(more); i++) argv[n++] = more[i];
  char *json = _spawn(argv);
  const double peak = _field(json, "peak_memory");
  print_message("%s %s with --memory %s: %.0f MiB, %.1f s\n", argv[5], input, memory, peak / 1048576,
                _field(json, "seconds"));
  g_free(json);
  g_free(out);
  return peak;
}

static void _remove_result(void)
{
  char *out = g_build_filename(_world, "out.tif", NULL);
  unlink(out);
  g_free(out);
}

static double _peak(const char *input, const char *memory)
{
  static const char *const task[] = { "denoise", "--model", "denoise-conv3", NULL };
  const double peak = _peak_of(task, input, memory);
  _remove_result();
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

static char *_hash_result(const char *name)
{
  char *out = g_build_filename(_world, name, NULL);
  GMappedFile *file = g_mapped_file_new(out, FALSE, NULL);
  assert_non_null(file);
  char *hash = g_compute_checksum_for_data(
      G_CHECKSUM_SHA256, (const guchar *)g_mapped_file_get_contents(file), g_mapped_file_get_length(file));
  g_mapped_file_unref(file);
  g_free(out);
  return hash;
}

/* Four times the size within a budget, and the same pixels whatever it is; 96 MP in the long run. */
static void test_enlarging_keeps_the_budget(void **state)
{
  (void)state;
  if(test_is_sanitized()) skip();
  static const char *const task[] = { "upscale", "--scale", "4", "--model", "upscale-x4", NULL };
  static const struct
  {
    const char *text;
    double bytes;
  } budgets[] = { { "300M", 300 << 20 }, { "512M", 512 << 20 }, { "1G", 1 << 30 }, { "4G", 4294967296.0 } };
  char *path = test_is_long() ? _make_picture("6.tif", 3000, 2000) : _make_picture("1.tif", 1000, 700);
  char *first = NULL;
  for(size_t i = test_is_long() ? 1 : 0; i < (test_is_long() ? 4 : 3); i++)
  {
    assert_true(_peak_of(task, path, budgets[i].text) <= budgets[i].bytes * 1.05);
    char *hash = _hash_result("out.tif");
    if(first) assert_string_equal(hash, first);
    g_free(first);
    first = hash;
  }
  _remove_result();
  unlink(path);
  g_free(first);
  g_free(path);
}

/* The smallest budget that --dry-run lets pass for a raw, MiB. */
static int _find_smallest(const char *const *task, const char *input)
{
  const char *argv[24] = { DT_TEST_PROGRAM, "--configdir", _world, "--cachedir", _world };
  const char *const more[] = { "--dry-run", "--memory", "1M", input };
  char *words = NULL;
  int n = 5;
  while(*task) argv[n++] = *task++;
  for(size_t i = 0; i < G_N_ELEMENTS(more); i++) argv[n++] = more[i];
  assert_true(g_spawn_sync(NULL, (char **)argv, NULL, 0, NULL, NULL, NULL, &words, NULL, NULL));
  const char *at = strstr(words, "smallest tiles need ");
  if(!at) fail_msg("%s", words);
  const int smallest = (int)strtol(at + strlen("smallest tiles need "), NULL, 10);
  g_free(words);
  return smallest;
}

/* A raw's samples are held once, and all behind them in bands: the budget is kept, samples included, and the same bytes
 * come out whatever it is; 24 MP in the long run. */
static void test_raws_keep_the_budget(void **state)
{
  (void)state;
#ifndef DT_TEST_RAWS
  skip();
#endif
  if(test_is_sanitized()) skip();
  static const char *const task[] = { "rawdenoise", "--model", "rawdenoise-tiny", NULL };
  static const struct
  {
    const char *text;
    double bytes;
  } budgets[] = { { "256M", 256 << 20 }, { "400M", 400 << 20 }, { "1G", 1 << 30 } };
  test_raw_t *raw =
      test_is_long() ? test_raw_new("GRBG", 6000, 4000, 14) : test_raw_new("GRBG", 3000, 2000, 14);
  char *path = g_build_filename(_world, "in.dng", NULL), *first = NULL;
  test_raw_fill(raw, 1);
  test_raw_write(raw, path);
  test_raw_free(raw);
  for(size_t i = 0; i < G_N_ELEMENTS(budgets); i++)
  {
    assert_true(_peak_of(task, path, budgets[i].text) <= budgets[i].bytes * 1.05);
    char *hash = _hash_result("out.dng");
    if(first) assert_string_equal(hash, first);
    g_free(first);
    first = hash;
  }
  /* what a plan promises is kept, by the network's gain, too, which is found beforehand */
  char *smallest = g_strdup_printf("%dM", _find_smallest(task, path) + 2);
  _peak_of(task, path, smallest);
  unlink(path);
  g_free(smallest);
  g_free(first);
  g_free(path);
}

/* More than 4 GiB in one file: written, and read back to the last row. */
static void test_big_tiff(void **state)
{
  (void)state;
  if(test_is_sanitized() || !test_is_long()) skip();
  static const char *const task[] = { "upscale",    "--scale",     "4",  "--model",
                                      "upscale-x4", "--bit-depth", "32", "--compression",
                                      "none",       NULL };
  char *path = _make_picture("23.tif", 4800, 4800), *out = g_build_filename(_world, "out.tif", NULL);
  char *back = g_build_filename(_world, "back.jpg", NULL);
  _peak_of(task, path, "1G");
  GStatBuf status;
  assert_int_equal(g_stat(out, &status), 0);
  assert_true((double)status.st_size > 4294967296.0);
  const char *const read[] = {
    DT_TEST_PROGRAM, "--configdir", _world, "--cachedir", _world, "denoise", "--model",
    "denoise-conv3", "--strength",  "0",    "-o",         back,   out,       NULL
  };
  g_free(_spawn(read));
  assert_int_equal(g_stat(back, &status), 0);
  unlink(back);
  unlink(path);
  _remove_result();
  g_free(back);
  g_free(out);
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
                                      cmocka_unit_test(test_budget_is_kept),
                                      cmocka_unit_test(test_enlarging_keeps_the_budget),
                                      cmocka_unit_test(test_raws_keep_the_budget),
                                      cmocka_unit_test(test_big_tiff) };
  return cmocka_run_group_tests_name("memory", tests, _setup, _teardown);
}
