/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The registry as a program uses it: snapshots that do not change, references that outlive what they point to,
 * packages that appear through an environment, several threads at once. */
#include "support.h"

#include "ai/backend.h"
#include "common/ai_models.h"
#include "common/conf.h"
#include "libs/model_selftest.h"

#include <glib/gstdio.h>
#include <pthread.h>
#include <string.h>

static char *_package;

static int _setup(void **state)
{
  (void)state;
  const char *world = test_world_create();
  dt_conf_override("plugins/ai/models/active/upscale",
                   "upscale-x2"); /* when it is there; another is bundled */
  char *fixture = test_fixture("models/upscale-x2");
  GError *error = NULL;
  char *path = g_build_filename(world, "upscale-x2.dtmodel", NULL);
  _package = dt_ai_models_pack(fixture, path, FALSE, NULL, NULL, &error);
  assert_no_error(error);
  g_free(path);
  g_free(fixture);
  return 0;
}

static int _teardown(void **state)
{
  (void)state;
  g_clear_pointer(&_package, g_free);
  test_world_destroy();
  return 0;
}

static dt_ai_models_t *_open(void)
{
  GError *error = NULL;
  dt_ai_models_t *models = dt_ai_models_open(dt_model_selftest, &error);
  assert_no_error(error);
  assert_non_null(models);
  return models;
}

static void _install(dt_ai_models_t *models)
{
  GError *error = NULL;
  char *id = dt_ai_models_install(models, _package, NULL, &error);
  assert_no_error(error);
  assert_string_equal(id, "upscale-x2");
  g_free(id);
}

static const dt_ai_model_t *_find(const GPtrArray *list, const char *id)
{
  for(guint i = 0; i < list->len; i++)
  {
    const dt_ai_model_t *model = g_ptr_array_index(list, i);
    if(strcmp(model->id, id) == 0) return model;
  }
  return NULL;
}

static void _remove(dt_ai_models_t *models)
{
  GError *error = NULL;
  assert_true(dt_ai_models_remove(models, "upscale-x2", NULL, &error));
  assert_no_error(error);
}

static void test_snapshots_do_not_change(void **state)
{
  (void)state;
  dt_ai_models_t *models = _open();
  GPtrArray *before = dt_ai_models_list(models);
  assert_null(_find(before, "upscale-x2"));
  _install(models);
  GPtrArray *with = dt_ai_models_list(models);
  assert_null(_find(before, "upscale-x2"));
  const dt_ai_model_t *model = _find(with, "upscale-x2");
  assert_true(model && model->active && model->manifest && !model->is_protected);
  assert_string_equal(model->source, "upscale-x2.dtmodel");
  _remove(models);
  assert_string_equal(model->manifest->id, "upscale-x2");
  GPtrArray *after = dt_ai_models_list(models);
  assert_null(_find(after, "upscale-x2"));
  dt_ai_models_close(models);
  assert_string_equal(model->id, "upscale-x2");
  g_ptr_array_unref(before);
  g_ptr_array_unref(with);
  g_ptr_array_unref(after);
}

/* A dropped package appears when an environment is refreshed; what was handed out outlives everything. */
static void test_environment_unpacks(void **state)
{
  (void)state;
  dt_ai_models_t *models = _open();
  dt_ai_environment_t *env = dt_ai_env_init(NULL);
  assert_null(dt_ai_get_model_info_by_id(env, "upscale-x2"));
  char *dir = dt_model_list_user_dir();
  char *dropped = g_build_filename(dir, "dropped.dtmodel", NULL),
       *bad = g_build_filename(dir, "bad.dtmodel", NULL);
  char *bytes;
  gsize size;
  assert_int_equal(g_mkdir_with_parents(dir, 0700), 0);
  assert_true(g_file_get_contents(_package, &bytes, &size, NULL));
  assert_true(g_file_set_contents(dropped, bytes, (gssize)size, NULL));
  assert_true(g_file_set_contents(bad, bytes, (gssize)size / 2, NULL));
  dt_ai_env_refresh(env);
  const dt_ai_model_info_t *info = dt_ai_get_model_info_by_id(env, "upscale-x2");
  assert_non_null(info);
  assert_ptr_equal(dt_ai_env_get_active_model(env, "upscale"), info);
  assert_false(g_file_test(dropped, G_FILE_TEST_EXISTS));
  assert_true(g_file_test(bad, G_FILE_TEST_EXISTS));
  assert_int_equal(dt_ai_env_get_problem_count(env), 1);
  assert_non_null(strstr(dt_ai_env_get_problem(env, 0), "bad.dtmodel"));
  /* a refresh that finds nothing new hands out the same */
  g_unlink(bad);
  dt_ai_env_refresh(env);
  assert_ptr_equal(dt_ai_get_model_info_by_id(env, "upscale-x2"), info);
  const dt_ai_model_info_t *kept = dt_ai_model_info_ref(info);
  _remove(models);
  dt_ai_env_refresh(env);
  assert_null(dt_ai_get_model_info_by_id(env, "upscale-x2"));
  dt_ai_env_destroy(env);
  assert_string_equal(kept->id, "upscale-x2");
  dt_ai_model_info_unref(kept);
  dt_ai_models_close(models);
  g_free(bytes);
  g_free(bad);
  g_free(dropped);
  g_free(dir);
}

static void test_switched_off(void **state)
{
  (void)state;
  dt_conf_override(DT_CONF_AI_ENABLED, "FALSE");
  GError *error = NULL;
  assert_null(dt_ai_models_open(dt_model_selftest, &error));
  assert_true(g_error_matches(error, DT_AI_ERROR, DT_AI_ERROR_DISABLED));
  g_clear_error(&error);
  dt_conf_override(DT_CONF_AI_ENABLED, "TRUE");
}

/* A registry that is open already obeys the switch, too. */
static void test_switched_off_meanwhile(void **state)
{
  (void)state;
  dt_ai_models_t *models = _open();
  dt_ai_environment_t *env = dt_ai_env_init(NULL);
  char *dir = dt_model_list_user_dir(), *dropped = g_build_filename(dir, "dropped.dtmodel", NULL), *bytes;
  gsize size;
  assert_int_equal(g_mkdir_with_parents(dir, 0700), 0);
  assert_true(g_file_get_contents(_package, &bytes, &size, NULL));
  assert_true(g_file_set_contents(dropped, bytes, (gssize)size, NULL));
  dt_conf_override(DT_CONF_AI_ENABLED, "FALSE");
  GError *error = NULL;
  dt_ai_env_refresh(env);
  assert_true(g_file_test(dropped, G_FILE_TEST_EXISTS));
  assert_null(dt_ai_models_install(models, _package, NULL, &error));
  assert_true(g_error_matches(error, DT_AI_ERROR, DT_AI_ERROR_DISABLED));
  g_clear_error(&error);
  assert_false(dt_ai_models_rescan(models, NULL, NULL, &error));
  assert_true(g_error_matches(error, DT_AI_ERROR, DT_AI_ERROR_DISABLED));
  g_clear_error(&error);
  dt_conf_override(DT_CONF_AI_ENABLED, "TRUE");
  g_unlink(dropped);
  dt_ai_env_destroy(env);
  dt_ai_models_close(models);
  g_free(bytes);
  g_free(dropped);
  g_free(dir);
}

/* --- several threads --- */

typedef struct _worker_t
{
  dt_ai_models_t *models;
  gint *stop;
} _worker_t;

static void *_read_on(void *data)
{
  const _worker_t *worker = data;
  while(!g_atomic_int_get(worker->stop))
  {
    GPtrArray *list = dt_ai_models_list(worker->models);
    const dt_ai_model_t *model = _find(list, "upscale-x2");
    /* it is whole or it is not there */
    if(model && model->manifest && strcmp(model->manifest->task, "upscale") != 0)
      g_atomic_int_set(worker->stop, 2);
    g_ptr_array_unref(list);
  }
  return NULL;
}

static void test_threads(void **state)
{
  (void)state;
  gint stop = 0;
  dt_ai_models_t *models = _open();
  _worker_t worker = { models, &stop };
  pthread_t readers[3];
  for(size_t i = 0; i < G_N_ELEMENTS(readers); i++)
    assert_int_equal(pthread_create(&readers[i], NULL, _read_on, &worker), 0);
  for(int i = 0; i < (test_is_long() ? 50 : 8); i++)
  {
    _install(models);
    _remove(models);
  }
  const gint result = g_atomic_int_get(&stop);
  g_atomic_int_set(&stop, 1);
  for(size_t i = 0; i < G_N_ELEMENTS(readers); i++) pthread_join(readers[i], NULL);
  assert_int_equal(result, 0);
  dt_ai_models_close(models);
}

/* --- stopping --- */

static void _cancel_at(const char *id, const char *step, guint64 done, guint64 total, gpointer data)
{
  (void)id;
  (void)done;
  (void)total;
  char **wanted = data;
  if(strcmp(step, wanted[0]) == 0) g_cancellable_cancel((GCancellable *)wanted[1]);
}

static void test_cancelled_at_each_step(void **state)
{
  (void)state;
  static const char *const steps[] = { "unpack", "check", "test" };
  dt_ai_models_t *models = _open();
  for(size_t i = 0; i < G_N_ELEMENTS(steps); i++)
  {
    GCancellable *cancellable = g_cancellable_new();
    const void *wanted[] = { steps[i], cancellable };
    const dt_ai_models_job_t job = { .progress = _cancel_at,
                                     .user_data = wanted,
                                     .cancellable = cancellable };
    GError *error = NULL;
    assert_null(dt_ai_models_install(models, _package, &job, &error));
    assert_true(g_error_matches(error, DT_AI_ERROR, DT_AI_ERROR_CANCELLED));
    g_clear_error(&error);
    GPtrArray *list = dt_ai_models_list(models);
    assert_null(_find(list, "upscale-x2"));
    g_ptr_array_unref(list);
    g_object_unref(cancellable);
  }
  dt_ai_models_close(models);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_snapshots_do_not_change),
    cmocka_unit_test(test_environment_unpacks),
    cmocka_unit_test(test_switched_off),
    cmocka_unit_test(test_switched_off_meanwhile),
    cmocka_unit_test(test_threads),
    cmocka_unit_test(test_cancelled_at_each_step),
  };
  return cmocka_run_group_tests(tests, _setup, _teardown);
}
