/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The trial run of a model: good ones of every form pass; those that answer with nonsense are refused with the
 * reason. */
#include "support.h"

#include "common/conf.h"
#include "libs/model_selftest.h"

#include <stdio.h>
#include <string.h>

static int _setup(void **state)
{
  (void)state;
  test_world_create();
  return 0;
}

static int _teardown(void **state)
{
  (void)state;
  test_world_destroy();
  return 0;
}

static dt_manifest_t *_read(const char *folder)
{
  GError *error = NULL;
  dt_manifest_t *m = dt_manifest_read(folder, &error);
  assert_no_error(error);
  return m;
}

static dt_manifest_t *_fixture(const char *name)
{
  char *relative = g_build_filename("models", name, NULL), *folder = test_fixture(relative);
  dt_manifest_t *m = _read(folder);
  g_free(folder);
  g_free(relative);
  return m;
}

static void test_good_models(void **state)
{
  (void)state;
  static const char *const names[] = {
    "denoise-conv3",
    "denoise-batch",
    "denoise-static",
    "denoise-fp16",
    "denoise-sigma",
    "denoise-fp16-sigma",
    "denoise-global",
    "denoise-published",
    "denoise-needs-128",
    "upscale-x2",
    "upscale-x4",
    "upscale-published",
    "rawdenoise-tiny",
    "rawdenoise-published",
    "mask-object-tiny",
    "mask-object-published-sam2",
    "mask-object-published-segnext",
    "mask-object-plane-sam",
    "mask-object-plane-samhq",
    "mask-object-plane-sam2",
    "mask-object-plane-sam2hq",
    "mask-object-plane-segnext",
    "mask-object-colour",
    "mask-subject-lone",
    /* only loaded */
    "test-types",
    "test-dynamic-output",
    "test-slow",
  };
  for(size_t i = 0; i < G_N_ELEMENTS(names); i++)
  {
    GError *error = NULL;
    dt_manifest_t *m = _fixture(names[i]);
    if(!dt_model_selftest(m, NULL, &error)) fail_msg("%s: %s", names[i], error->message);
    assert_null(error);
    dt_manifest_unref(m);
  }
}

static void test_bundled_model(void **state)
{
  (void)state;
  char *folder = g_build_filename(DT_TEST_SOURCE_DIR, "data", "models", "denoise-leaves", NULL);
  GError *error = NULL;
  dt_manifest_t *m = _read(folder);
  dt_model_selftest(m, NULL, &error);
  assert_no_error(error);
  dt_manifest_unref(m);
  g_free(folder);
}

static void test_bad_models(void **state)
{
  (void)state;
  static const char *const cases[][3] = {
    { "broken-run-nan", "model.onnx", "\"output\" holds values that are not finite" },
    { "broken-run-mean", "model.onnx", "with the mean 0.50 came back with the mean 1.00" },
    { "broken-run-shift", "model.onnx", "with the mean 0.50 came back with the mean 0.57" },
    { "broken-run-raw-mean", "model_linear.onnx", "with the mean 0.50 came back with the mean 1.00" },
    { "broken-run-negative", "model_linear.onnx",
      "does not resemble the picture: their correlation is -1.00" },
    { "denoise-unet", "model.onnx", "with the mean 0.50 came back with the mean 0.58" }, /* random weights */
    { "broken-run-flat", "model_linear.onnx", "the same value everywhere" },
    { "broken-run-shape", "model.onnx", "\"output\" has shape [1, 3, 32, 32] instead of [1, 3, 64, 64]" },
    { "denoise-resize", "model.onnx", "has shape [1, 3, 32, 32] instead of" },
    { "broken-run-fails", "model.onnx", "idx=100000" },
    { "broken-run-two-masks", "decoder.onnx", "has shape [1, 2, 256, 256]; one, three or four square masks" },
    { "broken-mask-shapes", "decoder.onnx", "invalid dimensions for input: high_res_feats_0" },
    { "broken-run-mask-nan", "decoder.onnx", "\"masks\" holds values that are not finite" },
    { "broken-onnx", "model.onnx", "not a valid ONNX model" },
    { "broken-external", "model.onnx", "another file" },
    { "broken-rank", "model.onnx", "four dimensions" },
    { "broken-type", "model.onnx", "not of a floating-point type" },
    { "broken-channels", "model.onnx", "instead of [1, 3, 64, 64]" },
    { "broken-check-domain", "model.onnx", "com.example" },
    { "broken-check-factor", "model_x2.onnx", "was tried and does not work" },
    { "broken-check-orig-im-size", "decoder.onnx",
      "encoder.onnx gives nothing for its input \"orig_im_size\"" },
    { "broken-check-mismatch", "decoder.onnx", "was tried and does not work" },
    { "test-double", "model.onnx", "an element type (11)" },
  };
  for(size_t i = 0; i < G_N_ELEMENTS(cases); i++)
  {
    GError *error = NULL;
    dt_manifest_t *m = _fixture(cases[i][0]);
    if(dt_model_selftest(m, NULL, &error)) fail_msg("%s: accepted", cases[i][0]);
    if(g_getenv("DT_TEST_VERBOSE")) print_message("%s\n", error->message);
    assert_true(g_error_matches(error, DT_AI_ERROR, DT_AI_ERROR_NO_MODEL));
    assert_true(g_str_has_prefix(error->message, m->directory));
    for(int k = 1; k < 3; k++)
      if(!strstr(error->message, cases[i][k])) fail_msg("\"%s\" lacks \"%s\"", error->message, cases[i][k]);
    assert_non_null(strstr(error->message, "Install the model again"));
    g_error_free(error);
    assert_false(dt_model_selftest(m, NULL, NULL));
    dt_manifest_unref(m);
  }
}

static void test_no_files(void **state)
{
  (void)state;
  char *folder = g_dir_make_tmp("darktable-ai-test-XXXXXX", NULL);
  char *config = g_build_filename(folder, "config.json", NULL);
  g_file_set_contents(config, "{\"id\": \"x\", \"name\": \"X\"}", -1, NULL);
  GError *error = NULL;
  dt_manifest_t *m = _read(folder);
  assert_false(dt_model_selftest(m, NULL, &error));
  assert_true(g_error_matches(error, DT_AI_ERROR, DT_AI_ERROR_NO_MODEL));
  assert_non_null(strstr(error->message, "there is no .onnx file"));
  g_error_free(error);
  dt_manifest_unref(m);
  remove(config);
  remove(folder);
  g_free(config);
  g_free(folder);
}

/* --- stopping --- */

static void test_cancelled_before(void **state)
{
  (void)state;
  static const char *const names[] = { "denoise-conv3", "mask-object-tiny", "test-types" };
  GCancellable *cancellable = g_cancellable_new();
  g_cancellable_cancel(cancellable);
  for(size_t i = 0; i < G_N_ELEMENTS(names); i++)
  {
    GError *error = NULL;
    dt_manifest_t *m = _fixture(names[i]);
    assert_false(dt_model_selftest(m, cancellable, &error));
    assert_true(g_error_matches(error, DT_AI_ERROR, DT_AI_ERROR_CANCELLED));
    g_error_free(error);
    dt_manifest_unref(m);
  }
  g_object_unref(cancellable);
}

typedef struct _alarm_t
{
  GCancellable *cancellable;
  gulong delay; /* microseconds */
} _alarm_t;

static gpointer _cancel_later(gpointer data)
{
  _alarm_t *alarm = data;
  g_usleep(alarm->delay);
  g_cancellable_cancel(alarm->cancellable);
  return NULL;
}

/* The network of test-slow as a denoiser. Whatever the machine's speed, at some of these moments it is caught
 * while it runs; caught while it is loaded, or not at all, it must be right as well. */
static void test_cancelled_while_running(void **state)
{
  (void)state;
  char *folder = g_dir_make_tmp("darktable-ai-test-XXXXXX", NULL);
  char *config = g_build_filename(folder, "config.json", NULL),
       *file = g_build_filename(folder, "model.onnx", NULL);
  char *slow = test_fixture("models/test-slow/model.onnx"), *bytes = NULL;
  gsize size = 0;
  assert_true(g_file_get_contents(slow, &bytes, &size, NULL));
  assert_true(g_file_set_contents(file, bytes, (gssize)size, NULL));
  g_file_set_contents(config, "{\"id\": \"x\", \"name\": \"X\", \"task\": \"denoise\"}", -1, NULL);
  GError *error = NULL;
  dt_manifest_t *m = _read(folder);
  for(gulong delay = 1000; delay < 1000000; delay = 2 * delay)
  {
    _alarm_t alarm = { g_cancellable_new(), delay };
    GThread *thread = g_thread_new("cancel", _cancel_later, &alarm);
    const gboolean ok = dt_model_selftest(m, alarm.cancellable, &error);
    if(g_getenv("DT_TEST_VERBOSE")) print_message("%lu: %s\n", delay, ok ? "done" : error->message);
    if(!ok) assert_true(g_error_matches(error, DT_AI_ERROR, DT_AI_ERROR_CANCELLED));
    g_thread_join(thread);
    g_clear_error(&error);
    g_object_unref(alarm.cancellable);
    if(ok) break;
  }
  dt_manifest_unref(m);
  remove(config);
  remove(file);
  remove(folder);
  g_free(bytes);
  g_free(slow);
  g_free(file);
  g_free(config);
  g_free(folder);
}

/* A network that never answers; whether the limit ends it or the caller does. */
static void test_endless(void **state)
{
  (void)state;
  GError *error = NULL;
  dt_manifest_t *m = _fixture("broken-run-endless");
  const gint64 start = g_get_monotonic_time();
  assert_false(dt_model_selftest_within(m, 1, NULL, &error));
  assert_true(g_error_matches(error, DT_AI_ERROR, DT_AI_ERROR_NO_MODEL));
  assert_non_null(
      strstr(error->message, "/model.onnx was tried and does not work: it did not answer within 1 sec"));
  assert_non_null(strstr(error->message, "Install the model again"));
  g_clear_error(&error);
  /* once, not once per size */
  if(!test_is_sanitized()) assert_true(g_get_monotonic_time() - start < 2 * G_TIME_SPAN_SECOND);
  _alarm_t alarm = { g_cancellable_new(), 300000 };
  GThread *thread = g_thread_new("cancel", _cancel_later, &alarm);
  assert_false(dt_model_selftest_within(m, 60, alarm.cancellable, &error));
  assert_true(g_error_matches(error, DT_AI_ERROR, DT_AI_ERROR_CANCELLED));
  g_thread_join(thread);
  g_object_unref(alarm.cancellable);
  g_error_free(error);
  dt_manifest_unref(m);
}

/* With the switch off nothing runs, and no model is blamed for it. */
static void test_switched_off(void **state)
{
  (void)state;
  GError *error = NULL;
  dt_manifest_t *m = _fixture("denoise-conv3");
  dt_conf_override(DT_CONF_AI_ENABLED, "FALSE");
  assert_false(dt_model_selftest(m, NULL, &error));
  assert_true(g_error_matches(error, DT_AI_ERROR, DT_AI_ERROR_DISABLED));
  dt_conf_override(DT_CONF_AI_ENABLED, "TRUE");
  g_error_free(error);
  dt_manifest_unref(m);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_good_models),      cmocka_unit_test(test_bundled_model),
    cmocka_unit_test(test_bad_models),       cmocka_unit_test(test_no_files),
    cmocka_unit_test(test_cancelled_before), cmocka_unit_test(test_cancelled_while_running),
    cmocka_unit_test(test_endless),          cmocka_unit_test(test_switched_off),
  };
  return cmocka_run_group_tests_name("model_selftest", tests, _setup, _teardown);
}
