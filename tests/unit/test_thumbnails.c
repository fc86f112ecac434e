/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The thumbnail cache as a whole: counted, listed, removed, and nothing else with it. */
#include "support.h"

#include "common/errors.h"
#include "libs/thumbnails.h"

#include <glib/gstdio.h>
#include <string.h>

static const char *_world;

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

/* A black picture (free it: the path). */
static char *_make_picture(const char *name, int width, int height)
{
  char *path = g_build_filename(_world, name, NULL),
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
    assert_true(ABS(file->made - g_get_real_time() / G_USEC_PER_SEC) < 600);
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

int main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test_setup_teardown(test_the_whole_cache, _setup, _teardown),
    cmocka_unit_test_setup_teardown(test_bad_sizes, _setup, _teardown),
    cmocka_unit_test_setup_teardown(test_cancelled, _setup, _teardown),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
