/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Providers chosen, changed and examined within one process that lives on. The runtime is the scripted fake, in a folder
 * of its own with the libraries of its providers; what it was asked for is read from its notes. Without the probing
 * program everything happens in the process: then this program is copied to where there is none, and runs again with the
 * argument "alone". */
#include "support.h"

#include "ai/backend.h"
#include "common/conf.h"
#include "common/paths.h"

#include <glib/gstdio.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PROVIDERS                                                                                            \
  "providers=CUDAExecutionProvider;MIGraphXExecutionProvider;OpenVINOExecutionProvider;"                     \
  "WebGpuExecutionProvider;CPUExecutionProvider\n"
#define SIDE 64
/* that a cached load takes less than is compiled for must hold on a busy machine, too */
#define COMPILE_MS 600

/* --- the fake and its folder --- */

static const char *_world;

static char *_path(const char *name)
{
  return g_build_filename(_world, name, NULL);
}

static void _write(const char *name, const char *text)
{
  char *path = _path(name);
  assert_true(g_file_set_contents(path, text, -1, NULL));
  g_free(path);
}

/* What the runtime does from now on. */
static void _script(const char *text)
{
  char *all = g_strconcat("[runtime]\n" PROVIDERS, text, NULL);
  _write("script.ini", all);
  g_free(all);
}

static void _set_variable(const char *variable, const char *name)
{
  char *path = _path(name);
  g_setenv(variable, path, TRUE);
  g_free(path);
}

static void _install(const char *fake, const char *name)
{
  char *path = _path(name);
  assert_int_equal(symlink(fake, path), 0);
  g_free(path);
}

static int _setup(void **state)
{
  (void)state;
  _world = test_world_create();
  _install(DT_TEST_FAKE_ORT, "libonnxruntime.so.1");
  static const char *const names[] = { "cuda", "migraphx", "openvino", "shared" };
  for(size_t i = 0; i < G_N_ELEMENTS(names); i++)
  {
    char *name = g_strdup_printf("libonnxruntime_providers_%s.so", names[i]);
    _install(DT_TEST_FAKE_ORT_BARE, name);
    g_free(name);
  }
  _set_variable("DT_ORT_LIBRARY", "libonnxruntime.so.1");
  _set_variable("DT_FAKE_ORT", "script.ini");
  _set_variable("DT_FAKE_ORT_NOTES", "notes");
  _set_variable("DT_SYSFS_ROOT", "sys");
  g_setenv("LD_LIBRARY_PATH", DT_TEST_DRIVERS, TRUE);
  g_unsetenv("FAKE_DEVICES");
  return 0;
}

static int _teardown(void **state)
{
  (void)state;
  test_world_destroy();
  return 0;
}

/* A cache nobody has written to, and an empty page of notes. */
static int _begin(void **state)
{
  (void)state;
  static int number;
  char name[32];
  g_snprintf(name, sizeof name, "cache%d", ++number);
  char *cache = _path(name), *notes = _path("notes");
  dt_paths_set(DT_DIR_CACHE, cache);
  g_unlink(notes);
  g_free(notes);
  g_free(cache);
  _script("");
  return 0;
}

/* How many notes since _begin() begin with @p words, after the number of the process. */
static int _count_notes(const char *words)
{
  char *path = _path("notes"), *text = NULL;
  int n = 0;
  if(g_file_get_contents(path, &text, NULL, NULL))
  {
    char **lines = g_strsplit(text, "\n", -1);
    for(char **line = lines; *line; line++)
    {
      const char *space = strchr(*line, ' ');
      n += space && g_str_has_prefix(space + 1, words);
    }
    g_strfreev(lines);
  }
  g_free(text);
  g_free(path);
  return n;
}

/* --- models --- */

static dt_ai_context_t *_load(dt_ai_provider_t provider)
{
  char *folder = test_fixture("models/denoise-conv3");
  dt_ai_context_t *ctx = dt_ai_onnx_load_ext(folder, NULL, provider, DT_AI_OPT_ALL, NULL, 0);
  g_free(folder);
  return ctx;
}

static gboolean _works(dt_ai_context_t *ctx)
{
  const size_t n = (size_t)3 * SIDE * SIDE;
  float *in = g_new(float, n), *out = g_new0(float, n);
  int64_t shape[] = { 1, 3, SIDE, SIDE }, result[] = { 1, 3, SIDE, SIDE };
  dt_ai_tensor_t input = { in, DT_AI_FLOAT, shape, 4 }, output = { out, DT_AI_FLOAT, result, 4 };
  for(size_t i = 0; i < n; i++) in[i] = (float)(i % 251) / 251.0f;
  const gboolean ok =
      dt_ai_run(ctx, &input, 1, &output, 1) == DT_AI_RUN_OK && memcmp(in, out, n * sizeof *in) == 0;
  g_free(out);
  g_free(in);
  return ok;
}

/* Loads, runs and unloads.
 * @return seconds the loading took */
static double _use(dt_ai_provider_t provider)
{
  const gint64 start = g_get_monotonic_time();
  dt_ai_context_t *ctx = _load(provider);
  const double seconds = 1e-6 * (double)(g_get_monotonic_time() - start);
  if(!ctx) fail_msg("%s: %s", dt_ai_provider_to_string(provider), dt_ai_last_error()->message);
  assert_int_equal(dt_ai_get_provider(ctx), provider);
  assert_null(dt_ai_get_fallback(ctx));
  assert_true(_works(ctx));
  dt_ai_unload_model(ctx);
  return seconds;
}

/* --- changing the provider --- */

static void _assert_kept(dt_ai_provider_t provider, const char *compile)
{
  const int before = _count_notes(compile);
  const double seconds = _use(provider);
  assert_int_equal(_count_notes(compile), before);
  if(!test_is_sanitized() && seconds > 1e-3 * COMPILE_MS)
    fail_msg("%s took %.2f s although it was prepared", dt_ai_provider_to_string(provider), seconds);
}

/* Each provider's graph is compiled once, whatever ran meanwhile; CUDA has none to keep, and is tried once. */
static void test_switching(void **state)
{
  (void)state;
  static const char migraphx[] = "session MIGraphX compile 600", openvino[] = "session OpenVINO compile 600",
                    tried[] = "session CPU";
  _script("[MIGraphX]\ncompile_ms=600\n[MIGraphX relu]\ncompile_ms=0\n"
          "[OpenVINO]\ncompile_ms=600\n[OpenVINO relu]\ncompile_ms=0\n");
  _use(DT_AI_PROVIDER_CPU);
  assert_true(_use(DT_AI_PROVIDER_CUDA) < 60);
  assert_int_equal(_count_notes(tried), 2);
  assert_true(_use(DT_AI_PROVIDER_MIGRAPHX) >= 1e-3 * COMPILE_MS);
  assert_int_equal(_count_notes(migraphx), 1);
  _use(DT_AI_PROVIDER_CPU);
  _assert_kept(DT_AI_PROVIDER_MIGRAPHX, migraphx);
  assert_true(_use(DT_AI_PROVIDER_OPENVINO) >= 1e-3 * COMPILE_MS);
  assert_int_equal(_count_notes(openvino), 1);
  _assert_kept(DT_AI_PROVIDER_CUDA, tried);
  _assert_kept(DT_AI_PROVIDER_MIGRAPHX, migraphx);
  _assert_kept(DT_AI_PROVIDER_OPENVINO, openvino);
  assert_int_equal(_count_notes("session MIGraphX cached"), 3);
  assert_int_equal(_count_notes("session OpenVINO cached"), 2);
}

/* Two models at once on different providers do not mix. */
static void test_side_by_side(void **state)
{
  (void)state;
  dt_ai_context_t *a = _load(DT_AI_PROVIDER_CUDA), *b = _load(DT_AI_PROVIDER_OPENVINO),
                  *c = _load(DT_AI_PROVIDER_CPU);
  assert_int_equal(dt_ai_get_provider(a), DT_AI_PROVIDER_CUDA);
  assert_int_equal(dt_ai_get_provider(b), DT_AI_PROVIDER_OPENVINO);
  assert_int_equal(dt_ai_get_provider(c), DT_AI_PROVIDER_CPU);
  assert_string_equal(dt_ai_get_device(a), "Fake GeForce 100");
  assert_string_equal(dt_ai_get_device(b), "Fake Core i9");
  assert_null(dt_ai_get_device(c));
  assert_string_equal(dt_ai_get_pci(a), "0000:c1:00.0");
  assert_null(dt_ai_get_pci(b)); /* OpenVINO's "CPU" */
  assert_null(dt_ai_get_pci(c));
  assert_string_equal(dt_ai_get_placement(a), "CUDA 6");
  assert_string_equal(dt_ai_get_placement(b), "OpenVINO 6");
  assert_string_equal(dt_ai_get_placement(c), "CPU 6");
  assert_true(_works(c) && _works(a) && _works(b) && _works(a));
  dt_ai_unload_model(b);
  assert_true(_works(a) && _works(c));
  dt_ai_unload_model(a);
  dt_ai_unload_model(c);
}

/* The address is the chosen device's, also when the driver is not asked again; and none when it may be another's. */
static void test_address(void **state)
{
  static const struct
  {
    const char *devices;
    dt_ai_provider_t provider;
    const char *pci;
  } cases[] = {
    { "2", DT_AI_PROVIDER_MIGRAPHX, "0000:03:00.0" },
    { "1", DT_AI_PROVIDER_WEBGPU, "0000:41:00.1" },
    { "2", DT_AI_PROVIDER_WEBGPU, "0000:41:00.1" }, /* the second is software */
    { "3", DT_AI_PROVIDER_WEBGPU, NULL },
  };
  for(size_t i = 0; i < G_N_ELEMENTS(cases); i++)
  {
    g_setenv("FAKE_DEVICES", cases[i].devices, TRUE);
    _begin(state);
    for(int again = 0; again < 2; again++)
    {
      dt_ai_context_t *ctx = _load(cases[i].provider);
      assert_int_equal(dt_ai_get_provider(ctx), cases[i].provider);
      if(g_strcmp0(dt_ai_get_pci(ctx), cases[i].pci) != 0)
        fail_msg("%s devices: %s instead of %s", cases[i].devices, dt_ai_get_pci(ctx), cases[i].pci);
      dt_ai_unload_model(ctx);
    }
  }
  g_unsetenv("FAKE_DEVICES");
}

/* This way of loading never fails for a provider: the CPU steps in, and the context tells why. */
static void test_fallback(void **state)
{
  (void)state;
  _script("[CUDA]\nattach=fail\nmessage=no driver 535\n");
  dt_ai_context_t *ctx = _load(DT_AI_PROVIDER_CUDA);
  assert_non_null(ctx);
  assert_int_equal(dt_ai_get_provider(ctx), DT_AI_PROVIDER_CPU);
  assert_non_null(strstr(dt_ai_get_fallback(ctx), "NVIDIA CUDA: it is not available: "));
  assert_non_null(strstr(dt_ai_get_fallback(ctx), "no driver 535"));
  assert_true(_works(ctx));
  dt_ai_unload_model(ctx);
  ctx = _load(DT_AI_PROVIDER_AUTO);
  assert_int_equal(dt_ai_get_provider(ctx), DT_AI_PROVIDER_MIGRAPHX);
  assert_int_equal(dt_ai_auto_provider(), DT_AI_PROVIDER_MIGRAPHX);
  assert_non_null(strstr(dt_ai_get_fallback(ctx), "no driver 535"));
  dt_ai_unload_model(ctx);
}

/* --- several threads --- */

static void *_load_in_thread(void *data)
{
  dt_ai_context_t *ctx = _load((dt_ai_provider_t)GPOINTER_TO_INT(data));
  return ctx && _works(ctx) ? ctx : NULL;
}

static void _load_at_once(const dt_ai_provider_t *providers)
{
  pthread_t threads[4];
  for(int i = 0; i < 4; i++)
    assert_int_equal(pthread_create(&threads[i], NULL, _load_in_thread, GINT_TO_POINTER((int)providers[i])),
                     0);
  for(int i = 0; i < 4; i++)
  {
    void *ctx = NULL;
    pthread_join(threads[i], &ctx);
    assert_non_null(ctx);
    assert_int_equal(dt_ai_get_provider(ctx), providers[i]);
    dt_ai_unload_model(ctx);
  }
}

static void test_threads(void **state)
{
  (void)state;
  static const dt_ai_provider_t same[] = { DT_AI_PROVIDER_OPENVINO, DT_AI_PROVIDER_OPENVINO,
                                           DT_AI_PROVIDER_OPENVINO, DT_AI_PROVIDER_OPENVINO };
  static const dt_ai_provider_t mixed[] = { DT_AI_PROVIDER_OPENVINO, DT_AI_PROVIDER_CUDA, DT_AI_PROVIDER_CPU,
                                            DT_AI_PROVIDER_MIGRAPHX };
  _script("[OpenVINO]\ncompile_ms=50\n");
  _load_at_once(same);
  const int loads = _count_notes("load"), compiled = _count_notes("session OpenVINO compile");
  assert_int_equal(compiled,
                   2); /* one operator, to see whether it starts, and the model: whoever came first */
  _load_at_once(same);
  assert_int_equal(_count_notes("load"), loads);
  assert_int_equal(_count_notes("session OpenVINO compile"), compiled);
  for(int i = 0; i < 3; i++) _load_at_once(mixed);
}

/* --- examining a provider --- */

static dt_ai_provider_report_t *_examine(dt_ai_provider_t provider, gboolean again)
{
  dt_ai_provider_report_t *report = dt_ai_examine_provider(provider, again);
  assert_non_null(report);
  assert_non_null(report->devices);
  assert_true(report->works == (report->reason == NULL));
  return report;
}

static gboolean _is_working(dt_ai_provider_t provider, gboolean again)
{
  dt_ai_provider_report_t *report = _examine(provider, again);
  const gboolean works = report->works;
  dt_ai_provider_report_free(report);
  return works;
}

static void test_report(void **state)
{
  (void)state;
  _script("[CUDA]\nattach=noise\n");
  for(int again = 0; again < 2; again++) /* from the child, then from the cache */
  {
    dt_ai_provider_report_t *report = _examine(DT_AI_PROVIDER_CUDA, FALSE);
    assert_true(report->works);
    assert_string_equal(report->device, "Fake GeForce 100");
    assert_string_equal(report->driver, "CUDA 12.4");
    assert_int_equal(report->devices->len, 2);
    const dt_ai_device_t *second = report->devices->pdata[1];
    assert_string_equal(second->id, "1");
    assert_string_equal(second->name, "Fake GeForce 101");
    assert_false(second->software);
    assert_true(second->memory == (guint64)101 << 24);
    assert_non_null(strstr(report->words, "fake driver: hello"));
    assert_non_null(strstr(report->words, "fake driver: it will do"));
    dt_ai_provider_report_free(report);
  }
  assert_int_equal(_count_notes("attach CUDA"), 1);
}

/* The cache is believed until told otherwise; a new verdict replaces the old one. */
static void test_again(void **state)
{
  (void)state;
  _script("[CUDA]\nattach=fail\n");
  assert_false(_is_working(DT_AI_PROVIDER_CUDA, FALSE));
  assert_int_equal(dt_ai_probe_provider(DT_AI_PROVIDER_CUDA), 0);
  assert_int_equal(dt_ai_last_error()->code, DT_AI_ERROR_PROVIDER);
  _script("");
  assert_false(_is_working(DT_AI_PROVIDER_CUDA, FALSE));
  assert_int_equal(_count_notes("attach CUDA"), 1);
  assert_true(_is_working(DT_AI_PROVIDER_CUDA, TRUE));
  assert_true(_is_working(DT_AI_PROVIDER_CUDA, FALSE));
  assert_int_equal(dt_ai_probe_provider(DT_AI_PROVIDER_CUDA), 1);
  assert_int_equal(_count_notes("attach CUDA"), 2);
  _script("[CUDA]\nattach=crash\n");
  assert_true(_is_working(DT_AI_PROVIDER_CUDA, FALSE));
  assert_false(_is_working(DT_AI_PROVIDER_CUDA, TRUE));
  assert_false(_is_working(DT_AI_PROVIDER_CUDA, FALSE));
  assert_int_equal(_count_notes("attach CUDA"), 3);
}

/* Neither child nor driver is needed to know these. */
static void test_no_child(void **state)
{
  (void)state;
  assert_true(_is_working(DT_AI_PROVIDER_CPU, TRUE));
  assert_true(_is_working(DT_AI_PROVIDER_AUTO, TRUE));
  assert_false(_is_working(DT_AI_PROVIDER_COREML, TRUE));
  assert_false(_is_working(DT_AI_PROVIDER_DIRECTML, TRUE));
  _write("script.ini", "[runtime]\nproviders=CPUExecutionProvider\n");
  assert_false(_is_working(DT_AI_PROVIDER_CUDA, TRUE));
  assert_int_equal(dt_ai_auto_provider(), DT_AI_PROVIDER_CPU);
  assert_int_equal(_count_notes(""), 0);
  assert_null(dt_ai_examine_provider(DT_AI_PROVIDER_COUNT, TRUE));
  assert_int_equal(dt_ai_last_error()->code, DT_AI_ERROR_PROVIDER);
  assert_null(dt_ai_examine_provider((dt_ai_provider_t)-1, FALSE));
}

/* --- examining a library --- */

static dt_ai_runtime_info_t *_check(const char *name, GCancellable *cancellable)
{
  char *path = g_path_is_absolute(name) ? g_strdup(name) : _path(name);
  dt_ai_runtime_info_t *info = dt_ai_runtime_check(path, cancellable);
  assert_string_equal(info->path, path);
  assert_true((info->version == NULL) == (info->reason != NULL));
  g_free(path);
  return info;
}

static void _assert_unusable(const char *name, const char *words)
{
  dt_ai_runtime_info_t *info = _check(name, NULL);
  assert_non_null(info->reason);
  if(!strstr(info->reason, words)) fail_msg("\"%s\" is missing in: %s", words, info->reason);
  assert_null(info->providers);
  dt_ai_runtime_info_free(info);
}

static void test_good_library(void **state)
{
  (void)state;
  dt_ai_runtime_info_t *info = _check(DT_TEST_FAKE_ORT_BARE, NULL);
  assert_string_equal(info->version, "1.30.0");
  assert_true(g_strv_contains((const char *const *)info->providers, "CUDA"));
  assert_true(g_strv_contains((const char *const *)info->providers, "WebGpu"));
  assert_int_equal(g_strv_length(info->providers), 5);
  dt_ai_runtime_info_free(info);
  assert_int_equal(_count_notes("load"), 1); /* by the child */
}

static void test_bad_libraries(void **state)
{
  (void)state;
  _write("text.so", "this is a text file\n");
  _assert_unusable("text.so", "text.so");
  _assert_unusable("no such file.so", "No such file");
  _assert_unusable(_world, _world);
  _assert_unusable("libm.so.6", "No such file"); /* a path, not a name that the loader looks up */
  _write("script.ini", "[runtime]\nversion=1.17.3\n");
  _assert_unusable(DT_TEST_FAKE_ORT_BARE, "1.17.3 is too old");
  _write("script.ini", "[runtime]\nload=fail\n");
  _assert_unusable(DT_TEST_FAKE_ORT_BARE, "no API version");
  _write("script.ini", "[runtime]\nenv=fail\nenv_message=no threads left\n");
  _assert_unusable(DT_TEST_FAKE_ORT_BARE, "no threads left");
  _write("script.ini", "[runtime]\nload=crash\n");
  _assert_unusable(DT_TEST_FAKE_ORT_BARE, "it crashes (signal 11, ");
  _write("script.ini", "[runtime]\nenv=crash\n");
  _assert_unusable(DT_TEST_FAKE_ORT_BARE, "it crashes (signal 11, ");
  _script("");
  _use(DT_AI_PROVIDER_CPU); /* and this process goes on */
}

static void *_cancel_soon(void *data)
{
  g_usleep(200000);
  g_cancellable_cancel(data);
  return NULL;
}

/* It need not be waited for. */
static void test_hanging_library_cancelled(void **state)
{
  (void)state;
  GCancellable *cancellable = g_cancellable_new();
  pthread_t thread;
  _write("script.ini", "[runtime]\nload=hang\n");
  const gint64 start = g_get_monotonic_time();
  pthread_create(&thread, NULL, _cancel_soon, cancellable);
  dt_ai_runtime_info_t *info = _check(DT_TEST_FAKE_ORT_BARE, cancellable);
  assert_true(g_get_monotonic_time() - start < 5 * G_USEC_PER_SEC);
  pthread_join(thread, NULL);
  dt_ai_runtime_info_free(info);
  g_object_unref(cancellable);
}

static void test_hanging_library(void **state)
{
  (void)state;
  if(!test_is_long()) skip();
  _write("script.ini", "[runtime]\nload=hang\n");
  _assert_unusable(DT_TEST_FAKE_ORT_BARE, "it hangs: no answer within 20 seconds");
}

/* --- without the probing program --- */

static int _load_alone(int n, char **providers)
{
  test_world_create();
  for(int i = 0; i < n; i++)
  {
    dt_ai_context_t *ctx = _load(dt_ai_provider_from_string(providers[i]));
    printf("%s: %s %s\n", providers[i],
           ctx && _works(ctx) ? dt_ai_provider_to_string(dt_ai_get_provider(ctx)) : "fails",
           ctx && dt_ai_get_fallback(ctx) ? dt_ai_get_fallback(ctx) : "");
    dt_ai_unload_model(ctx);
  }
  test_world_destroy();
  return 0;
}

static char *_copy_of_this_program(void)
{
  char *self = g_file_read_link("/proc/self/exe", NULL), *bytes = NULL, *copy = _path("program");
  gsize size;
  assert_true(g_file_get_contents(self, &bytes, &size, NULL));
  assert_true(g_file_set_contents(copy, bytes, (gssize)size, NULL));
  assert_int_equal(g_chmod(copy, 0700), 0);
  g_free(bytes);
  g_free(self);
  return copy;
}

static void test_without_the_program(void **state)
{
  (void)state;
  char *copy = _copy_of_this_program(), *out = NULL;
  char *argv[] = { copy, (char *)"alone", (char *)"CUDA", (char *)"OpenVINO", (char *)"auto", NULL };
  _script("[CUDA]\nattach=fail\nmessage=no driver 535\n[OpenVINO]\noutput=ok\n");
  GError *error = NULL;
  int status;
  g_spawn_sync(NULL, argv, NULL, G_SPAWN_DEFAULT, NULL, NULL, &out, NULL, &status, &error);
  assert_no_error(error);
  assert_int_equal(status, 0);
  char **lines = g_strsplit(out, "\n", -1);
  assert_int_equal(g_strv_length(lines), 4);
  assert_true(g_str_has_prefix(lines[0], "CUDA: CPU NVIDIA CUDA: it is not available: "));
  assert_non_null(strstr(lines[0], "no driver 535"));
  assert_string_equal(lines[1], "OpenVINO: Intel OpenVINO ");
  assert_true(g_str_has_prefix(lines[2], "auto: AMD MIGraphX NVIDIA CUDA: "));
  assert_int_equal(_count_notes("load"), 1); /* one process did it all */
  assert_int_equal(_count_notes("session CPU"), 1);
  g_strfreev(lines);
  g_free(out);
  g_free(copy);
}

int main(int argc, char **argv)
{
  if(argc > 2 && strcmp(argv[1], "alone") == 0) return _load_alone(argc - 2, argv + 2);
  const struct CMUnitTest tests[] = {
    cmocka_unit_test_setup(test_switching, _begin),
    cmocka_unit_test_setup(test_side_by_side, _begin),
    cmocka_unit_test_setup(test_address, _begin),
    cmocka_unit_test_setup(test_fallback, _begin),
    cmocka_unit_test_setup(test_threads, _begin),
    cmocka_unit_test_setup(test_report, _begin),
    cmocka_unit_test_setup(test_again, _begin),
    cmocka_unit_test_setup(test_no_child, _begin),
    cmocka_unit_test_setup(test_good_library, _begin),
    cmocka_unit_test_setup(test_bad_libraries, _begin),
    cmocka_unit_test_setup(test_hanging_library_cancelled, _begin),
    cmocka_unit_test_setup(test_hanging_library, _begin),
    cmocka_unit_test_setup(test_without_the_program, _begin),
  };
  return cmocka_run_group_tests_name("provider choice", tests, _setup, _teardown);
}
