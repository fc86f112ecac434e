/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The cache of graphs, verdicts and measurements: what is in it, clearing and bounding it, and that nothing else in the
 * cache directory is touched. */
#include "support.h"

#include "common/ai_cache.h"
#include "common/paths.h"

#include <glib/gstdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <utime.h>

#define CUDA "ai_v1_cuda_ort1.30.0_0123456789abcdef"
#define OPENVINO "ai_v1_openvino_ort1.23.2_fedcba9876543210"

/* --- a world --- */

static char *_path(const char *relative)
{
  return g_build_filename(test_world, "cache", relative, NULL);
}

static gboolean _exists(const char *relative)
{
  char *path = _path(relative);
  GStatBuf status;
  const gboolean there = g_lstat(path, &status) == 0;
  g_free(path);
  return there;
}

static void _write(const char *relative, gsize size, const char *text)
{
  char *path = _path(relative), *folder = g_path_get_dirname(path);
  char *bytes = text ? g_strdup(text) : g_strnfill(size, 'x');
  assert_int_equal(g_mkdir_with_parents(folder, 0700), 0);
  assert_true(g_file_set_contents(path, bytes, -1, NULL));
  g_free(bytes);
  g_free(folder);
  g_free(path);
}

static void _set_age(const char *relative, int seconds)
{
  char *path = _path(relative);
  const time_t when = time(NULL) - seconds;
  assert_int_equal(g_utime(path, &(struct utimbuf){ .actime = when, .modtime = when }), 0);
  g_free(path);
}

/* The folder of a model that was used so long ago, as trials leave it, with a graph of @p size bytes. */
static void _add_model(const char *folder, const char *model, gsize size, int age)
{
  char *trial = g_strconcat(folder, "/trial-o0-s0.ini", NULL), *blob = g_strconcat(folder, "/graph", NULL);
  char *text = g_strdup_printf("[trial]\nworks=true\nmodel=%s\n", model);
  _write(trial, 0, text);
  _write(blob, size, NULL);
  _set_age(folder, age);
  g_free(text);
  g_free(blob);
  g_free(trial);
}

/* Two providers, three models, one measurement on the CPU; the bytes are those of the graphs alone. */
static int _fill(void **state)
{
  (void)state;
  int count;
  dt_ai_cache_clear(NULL, &count);
  _write(CUDA "/provider.ini", 100, NULL);
  _write(CUDA "/probe/graph", 200, NULL);
  _add_model(CUDA "/aaaa", "old", 10000, 300);
  _add_model(CUDA "/bbbb", "new", 10000, 100);
  _write(OPENVINO "/provider.ini", 100, NULL);
  _add_model(OPENVINO "/aaaa", "old", 10000, 200);
  _write("ai_v1_CPU_calibration/something.ini", 50, NULL);
  return 0;
}

/* "provider runtime model" of every entry, one a line (free it). */
static char *_list(void)
{
  GPtrArray *entries = dt_ai_cache_list();
  GString *text = g_string_new(NULL);
  for(guint i = 0; i < entries->len; i++)
  {
    const dt_ai_cache_entry_t *entry = entries->pdata[i];
    g_string_append_printf(text, "%s %s %s\n", entry->provider, entry->runtime, entry->model);
  }
  g_ptr_array_unref(entries);
  return g_string_free(text, FALSE);
}

static void _assert_list(const char *expected)
{
  char *list = _list();
  assert_string_equal(list, expected);
  g_free(list);
}

static guint64 _total(void)
{
  GPtrArray *entries = dt_ai_cache_list();
  guint64 bytes = 0;
  for(guint i = 0; i < entries->len; i++) bytes += ((const dt_ai_cache_entry_t *)entries->pdata[i])->bytes;
  g_ptr_array_unref(entries);
  return bytes;
}

/* --- listing --- */

static void test_list(void **state)
{
  (void)state;
  _assert_list(
      "cpu  \ncuda 1.30.0 \ncuda 1.30.0 old\ncuda 1.30.0 new\nopenvino 1.23.2 \nopenvino 1.23.2 old\n");
  GPtrArray *entries = dt_ai_cache_list();
  const dt_ai_cache_entry_t *rest = entries->pdata[1], *model = entries->pdata[2];
  char *path = _path(CUDA "/aaaa");
  assert_string_equal(model->path, path);
  assert_int_equal(rest->bytes, 300); /* the verdict and the probe's graph, without the models */
  assert_in_range(model->bytes, 10000, 10100);
  assert_in_range(time(NULL) - model->used, 300, 310);
  g_free(path);
  g_ptr_array_unref(entries);
}

static void test_empty(void **state)
{
  (void)state;
  int count;
  dt_ai_cache_clear(NULL, &count);
  _assert_list("");
  assert_int_equal(dt_ai_cache_clear(NULL, &count), 0);
  assert_int_equal(count, 0);
  char *nowhere = _path("no such folder");
  dt_paths_set(DT_DIR_CACHE, nowhere);
  _assert_list("");
  dt_ai_cache_trim(1, NULL);
  dt_ai_cache_touch(nowhere);
  char *cache = _path("");
  dt_paths_set(DT_DIR_CACHE, cache);
  g_free(cache);
  g_free(nowhere);
}

/* Names as nobody makes them, and files where folders are expected, do no harm. */
static void test_strange_names(void **state)
{
  (void)state;
  int count;
  dt_ai_cache_clear(NULL, &count);
  static const char *const names[] = { "ai_v",    "ai_v1",           "ai_v1_",
                                       "ai_v1__", "ai_v9_x_y_z_a_b", "ai_v1_cuda_ort" };
  for(size_t i = 0; i < G_N_ELEMENTS(names); i++)
  {
    char *file = g_strconcat(names[i], "/trial-o0-s0.ini", NULL);
    _write(file, 10, NULL);
    g_free(file);
  }
  _write("ai_v1_webgpu_ort1.30.0_0", 10, NULL); /* a file */
  _write("ai_v1_webgpu_ort1.30.0_1/cccc/trial-o0-s0.ini", 0, "[trial\nnot a key file");
  char *list = _list();
  assert_non_null(strstr(list, "webgpu 1.30.0 \n"));
  g_free(list);
  dt_ai_cache_clear(NULL, &count);
  _assert_list("");
}

/* --- clearing --- */

static void _assert_clears(const char *what, int entries, const char *left)
{
  int count = -1;
  const guint64 before = _total(), freed = dt_ai_cache_clear(what, &count);
  assert_int_equal(count, entries);
  assert_int_equal(before - freed, _total());
  _assert_list(left);
}

static void test_clear(void **state)
{
  (void)state;
  _assert_clears(
      "nothing of the sort", 0,
      "cpu  \ncuda 1.30.0 \ncuda 1.30.0 old\ncuda 1.30.0 new\nopenvino 1.23.2 \nopenvino 1.23.2 old\n");
  _assert_clears("Old", 2, "cpu  \ncuda 1.30.0 \ncuda 1.30.0 new\nopenvino 1.23.2 \n");
  _assert_clears("CUDA", 2, "cpu  \nopenvino 1.23.2 \n");
  assert_false(_exists(CUDA));
  _assert_clears("CPU", 1, "openvino 1.23.2 \n");
  _fill(NULL);
  _assert_clears(NULL, 6, "");
}

/* An empty word is no wish to delete what has no model. */
static void test_clear_empty_word(void **state)
{
  (void)state;
  _assert_clears(
      "", 0,
      "cpu  \ncuda 1.30.0 \ncuda 1.30.0 old\ncuda 1.30.0 new\nopenvino 1.23.2 \nopenvino 1.23.2 old\n");
}

/* The directory is shared with whoever else caches there, and links lead elsewhere. */
static void test_others_stay(void **state)
{
  (void)state;
  int count;
  char *elsewhere = g_build_filename(test_world, "elsewhere", "photo", NULL),
       *folder = g_path_get_dirname(elsewhere);
  char *link = _path("ai_v1_link_ort1.30.0_0"), *inner = _path(CUDA "/aaaa/link");
  assert_int_equal(g_mkdir_with_parents(folder, 0700), 0);
  assert_true(g_file_set_contents(elsewhere, "precious", -1, NULL));
  assert_int_equal(symlink(folder, link), 0);
  assert_int_equal(symlink(folder, inner), 0);
  _write("mipmaps/1", 10, NULL);
  _write("ai_models.json", 10, NULL);
  dt_ai_cache_trim(1, NULL);
  dt_ai_cache_clear(NULL, &count);
  assert_true(_exists("mipmaps/1") && _exists("ai_models.json"));
  assert_false(_exists("ai_v1_link_ort1.30.0_0"));
  assert_true(g_file_test(elsewhere, G_FILE_TEST_EXISTS));
  g_free(inner);
  g_free(link);
  g_free(folder);
  g_free(elsewhere);
}

/* --- bounding --- */

/* Least recently used first, whatever the provider, and no more than needed. */
static void test_trim(void **state)
{
  (void)state;
  const guint64 total = _total();
  dt_ai_cache_trim(total, NULL);
  assert_int_equal(_total(), total);
  dt_ai_cache_trim(total - 1, NULL);
  _assert_list("cpu  \ncuda 1.30.0 \ncuda 1.30.0 new\nopenvino 1.23.2 \nopenvino 1.23.2 old\n");
  dt_ai_cache_trim(15000, NULL);
  _assert_list("cpu  \ncuda 1.30.0 \ncuda 1.30.0 new\nopenvino 1.23.2 \n");
  assert_true(_total() <= 15000);
}

/* What is used counts by when it was used, not by when it was made. */
static void test_touch(void **state)
{
  (void)state;
  char *path = _path(CUDA "/aaaa");
  dt_ai_cache_touch(path);
  dt_ai_cache_trim(25000, NULL);
  _assert_list("cpu  \ncuda 1.30.0 \ncuda 1.30.0 old\ncuda 1.30.0 new\nopenvino 1.23.2 \n");
  g_free(path);
}

/* The model at work stays even if it alone is too large, and if it is the oldest: clocks are set back. */
static void test_keep(void **state)
{
  (void)state;
  char *path = _path(CUDA "/aaaa"), *written_otherwise = _path(CUDA "//./aaaa/");
  const char *const ways[] = { path, written_otherwise };
  for(size_t i = 0; i < G_N_ELEMENTS(ways); i++)
  {
    _fill(NULL);
    dt_ai_cache_trim(1, ways[i]);
    _assert_list("cpu  \ncuda 1.30.0 \ncuda 1.30.0 old\nopenvino 1.23.2 \n");
  }
  /* all within one second, as a batch over small models uses them */
  _fill(NULL);
  static const char *const folders[] = { CUDA "/aaaa", CUDA "/bbbb", OPENVINO "/aaaa", CUDA, OPENVINO };
  for(size_t i = 0; i < G_N_ELEMENTS(folders); i++) _set_age(folders[i], 0);
  dt_ai_cache_trim(15000, path);
  _assert_list("cpu  \ncuda 1.30.0 \ncuda 1.30.0 old\nopenvino 1.23.2 \n");
  g_free(written_otherwise);
  g_free(path);
}

/* Verdicts are small, and cost a look at the driver to get again. */
static void test_verdicts_stay(void **state)
{
  (void)state;
  dt_ai_cache_trim(1, NULL);
  _assert_list("cpu  \ncuda 1.30.0 \nopenvino 1.23.2 \n");
  assert_true(_exists(CUDA "/provider.ini"));
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test_setup(test_list, _fill),
    cmocka_unit_test_setup(test_empty, _fill),
    cmocka_unit_test_setup(test_strange_names, _fill),
    cmocka_unit_test_setup(test_clear, _fill),
    cmocka_unit_test_setup(test_clear_empty_word, _fill),
    cmocka_unit_test_setup(test_others_stay, _fill),
    cmocka_unit_test_setup(test_trim, _fill),
    cmocka_unit_test_setup(test_touch, _fill),
    cmocka_unit_test_setup(test_keep, _fill),
    cmocka_unit_test_setup(test_verdicts_stay, _fill),
  };
  return cmocka_run_group_tests_name("ai_cache", tests, test_world_set_up, test_world_tear_down);
}
