/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The thumbnail cache as a whole: counted, listed, removed, and nothing else with it. */
#include "support.h"

#include "common/conf.h"
#include "common/errors.h"
#include "libs/thumbnails.h"

#include <fcntl.h>
#include <glib/gstdio.h>
#include <string.h>
#include <sys/stat.h>

/* A black picture (free it: the path). */
static char *_make_picture(const char *name, int width, int height)
{
  char *path = g_build_filename(test_world, name, NULL),
       *head = g_strdup_printf("PF\n%d %d\n-1.0\n", width, height);
  const gsize size = strlen(head) + (gsize)width * (gsize)height * 3 * sizeof(float);
  char *bytes = g_malloc0(size);
  memcpy(bytes, head, strlen(head));
  assert_true(g_file_set_contents(path, bytes, (gssize)size, NULL));
  g_free(bytes);
  g_free(head);
  return path;
}

/* The bytes of the thumbnail that was made. */
static guint64 _make_thumbnail(const char *name, int width, int height, int size)
{
  GError *error = NULL;
  GStatBuf status;
  dt_thumbnail_t thumbnail;
  char *picture = _make_picture(name, width, height);
  const gboolean made =
      dt_thumbnails_get(&(dt_thumbnails_opts_t){ .size = size }, picture, &thumbnail, &error);
  assert_no_error(error);
  assert_true(made && !thumbnail.reused);
  assert_int_equal(MAX(thumbnail.width, thumbnail.height), MIN(MAX(width, height), size ? size : 360));
  assert_int_equal(g_stat(thumbnail.path, &status), 0);
  dt_thumbnail_clear(&thumbnail);
  g_free(picture);
  return (guint64)status.st_size;
}

static void test_the_whole_cache(void **state)
{
  (void)state;
  int count = -1;
  GError *error = NULL;
  assert_int_equal(dt_thumbnails_measure(&count), 0);
  assert_int_equal(count, 0);
  const guint64 bytes = _make_thumbnail("wide.pfm", 800, 20, 0) + _make_thumbnail("high.pfm", 5, 90, 32);
  char *folder = dt_thumbnails_folder(), *stray = g_build_filename(folder, ".x.jpg.abc.part", NULL);
  assert_true(g_file_set_contents(stray, "unfinished", -1, NULL));
  assert_int_equal(dt_thumbnails_measure(&count), bytes);
  assert_int_equal(count, 2);
  GPtrArray *files = dt_thumbnails_list();
  assert_int_equal(files->len, 2);
  for(guint i = 0; i < files->len; i++)
  {
    const dt_thumbnail_file_t *file = files->pdata[i];
    assert_true(g_str_has_prefix(file->path, folder) && g_str_has_suffix(file->path, ".jpg"));
    assert_true(ABS(file->used / 1000 - g_get_real_time()) < 600 * G_USEC_PER_SEC);
  }
  g_ptr_array_unref(files);
  assert_true(dt_thumbnails_remove_all(&error));
  assert_no_error(error);
  assert_false(g_file_test(folder, G_FILE_TEST_EXISTS));
  assert_int_equal(dt_thumbnails_measure(NULL), 0);
  assert_true(dt_thumbnails_remove_all(NULL));
  g_free(stray);
  g_free(folder);
}

static void test_bad_sizes(void **state)
{
  (void)state;
  static const int sizes[] = { -1, 1, DT_THUMBNAIL_MIN_SIZE - 1, DT_THUMBNAIL_MAX_SIZE + 1, G_MAXINT };
  char *picture = _make_picture("small.pfm", 2, 2);
  for(size_t i = 0; i < G_N_ELEMENTS(sizes); i++)
  {
    GError *error = NULL;
    dt_thumbnail_t thumbnail;
    assert_false(dt_thumbnails_get(&(dt_thumbnails_opts_t){ .size = sizes[i] }, picture, &thumbnail, &error));
    assert_true(g_error_matches(error, DT_AI_ERROR, DT_AI_ERROR_USAGE));
    assert_null(thumbnail.path);
    dt_thumbnail_clear(&thumbnail);
    g_error_free(error);
  }
  g_free(picture);
}

static void test_cancelled(void **state)
{
  (void)state;
  GError *error = NULL;
  dt_thumbnail_t thumbnail;
  char *picture = _make_picture("cancelled.pfm", 40, 40);
  GCancellable *cancellable = g_cancellable_new();
  g_cancellable_cancel(cancellable);
  const dt_thumbnails_opts_t opts = { .cancellable = cancellable };
  assert_false(dt_thumbnails_get(&opts, picture, &thumbnail, &error));
  assert_true(g_error_matches(error, DT_AI_ERROR, DT_AI_ERROR_CANCELLED));
  assert_int_equal(dt_thumbnails_measure(NULL), 0);
  dt_thumbnail_clear(&thumbnail);
  g_error_free(error);
  g_object_unref(cancellable);
  g_free(picture);
}

/* Finds or makes the thumbnail of a picture that is there (free it: its path). */
static char *_get(const char *picture, gboolean *reused)
{
  GError *error = NULL;
  dt_thumbnail_t thumbnail;
  char *photo = g_build_filename(test_world, picture, NULL);
  assert_true(dt_thumbnails_get(&(dt_thumbnails_opts_t){ 0 }, photo, &thumbnail, &error));
  assert_no_error(error);
  *reused = thumbnail.reused;
  char *path = g_steal_pointer(&thumbnail.path);
  dt_thumbnail_clear(&thumbnail);
  g_free(photo);
  return path;
}

static void _set_limit(guint64 bytes)
{
  char *text = g_strdup_printf("%" G_GUINT64_FORMAT, bytes);
  dt_conf_override(DT_CONF_THUMBNAIL_CACHE_LIMIT, text);
  g_free(text);
}

/* Marks it used so many seconds ago. */
static void _set_age(const char *path, int seconds)
{
  const struct timespec then = { .tv_sec = g_get_real_time() / G_USEC_PER_SEC - seconds };
  assert_int_equal(utimensat(AT_FDCWD, path, (const struct timespec[2]){ then, then }, 0), 0);
}

/* Those used longest ago go first; to be taken is to be used; what was just made stays. */
static void test_the_limit(void **state)
{
  (void)state;
  static const char *const names[] = { "a.pfm", "b.pfm", "c.pfm", "d.pfm" };
  gboolean reused;
  char *paths[4];
  for(int i = 0; i < 4; i++) g_free(_make_picture(names[i], 60, 40));
  _set_limit(0);
  for(int i = 0; i < 3; i++) paths[i] = _get(names[i], &reused);
  const guint64 each = dt_thumbnails_measure(NULL) / 3;
  for(int i = 0; i < 3; i++) _set_age(paths[i], 300 - i);
  g_free(_get(names[0], &reused));
  assert_true(reused);
  _set_limit(7 * each / 2);
  paths[3] = _get(names[3], &reused);
  assert_false(reused);
  static const gboolean there[] = { TRUE, FALSE, TRUE, TRUE };
  for(int i = 0; i < 4; i++) assert_int_equal(g_file_test(paths[i], G_FILE_TEST_EXISTS), there[i]);
  _set_limit(1);
  g_free(_get(names[1], &reused));
  assert_false(reused);
  assert_int_equal(dt_thumbnails_measure(NULL), each);
  assert_true(g_file_test(paths[1], G_FILE_TEST_EXISTS));
  for(int i = 0; i < 4; i++) g_free(paths[i]);
  dt_conf_override(DT_CONF_THUMBNAIL_CACHE_LIMIT, NULL);
}

/* What is within the limit stays, however often one of them is made anew. */
static void test_nothing_goes_without_need(void **state)
{
  (void)state;
  gboolean reused;
  g_free(_make_picture("a.pfm", 60, 40));
  g_free(_make_picture("b.pfm", 60, 40));
  char *first = _get("a.pfm", &reused), *second = _get("b.pfm", &reused);
  _set_limit(dt_thumbnails_measure(NULL));
  for(int i = 0; i < 5; i++)
  {
    assert_true(g_file_set_contents(second, "damaged", -1, NULL));
    g_free(_get("b.pfm", &reused));
    assert_false(reused);
  }
  assert_true(g_file_test(first, G_FILE_TEST_EXISTS));
  g_free(first);
  g_free(second);
  dt_conf_override(DT_CONF_THUMBNAIL_CACHE_LIMIT, NULL);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test_setup_teardown(test_the_whole_cache, test_world_set_up, test_world_tear_down),
    cmocka_unit_test_setup_teardown(test_bad_sizes, test_world_set_up, test_world_tear_down),
    cmocka_unit_test_setup_teardown(test_the_limit, test_world_set_up, test_world_tear_down),
    cmocka_unit_test_setup_teardown(test_nothing_goes_without_need, test_world_set_up, test_world_tear_down),
    cmocka_unit_test_setup_teardown(test_cancelled, test_world_set_up, test_world_tear_down),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
