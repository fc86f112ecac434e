/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Which ONNX Runtime is loaded, and what is said when one cannot be. It is chosen once per process, so every
 * case runs in a child: this program again, with the argument "load". */
#include "support.h"

#include "ai/backend.h"
#include "common/conf.h"
#include "common/log.h"

#include <glib/gstdio.h>
#include <gmodule.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* --- the child --- */

static void _print_line(unsigned topic, const char *line, void *data)
{
  (void)topic;
  (void)data;
  printf("log: %s\n", line);
}

/* What the fake was asked for; found in the copy that is loaded already. */
static void _print_requests(const char *path)
{
  GModule *module = g_module_open(path, G_MODULE_BIND_LOCAL);
  gpointer requests, header;
  if(!module || !g_module_symbol(module, "fake_ort_requests", &requests)
     || !g_module_symbol(module, "fake_ort_header_version", &header))
    return;
  for(const int *version = requests; *version; version++) printf("asked: %d\n", *version);
  printf("header: %d\n", *(const int *)header);
}

static void *_ask(void *data)
{
  (void)data;
  return (void *)dt_ai_runtime_version(NULL);
}

/* Whether four threads that ask at once get one answer. */
static gboolean _ask_at_once(void)
{
  pthread_t threads[4];
  void *answers[4];
  gboolean same = TRUE;
  for(int i = 0; i < 4; i++) pthread_create(&threads[i], NULL, _ask, NULL);
  for(int i = 0; i < 4; i++)
  {
    pthread_join(threads[i], &answers[i]);
    same &= answers[i] == answers[0];
  }
  return same;
}

static int _load(void)
{
  const char *path = NULL;
  test_world_create();
  if(g_getenv("DT_TEST_ORT_SETTING"))
    dt_conf_override(DT_CONF_AI_ORT_LIBRARY, g_getenv("DT_TEST_ORT_SETTING"));
  dt_log_set_handler(_print_line, NULL, DT_LOG_AI);
  const gboolean same = !dt_ai_runtime_warning() && _ask_at_once();
  const char *version = dt_ai_runtime_version(&path);
  if(version)
  {
    printf("version: %s\npath: %s\n", version, path);
    if(dt_ai_runtime_warning()) printf("warning: %s\n", dt_ai_runtime_warning());
    _print_requests(path);
  }
  else
    printf("error %d: %s\n", dt_ai_last_error()->code, dt_ai_last_error()->message);
  /* asking again neither tries again nor changes the answer */
  printf("again: %s\n", same && version == dt_ai_runtime_version(NULL) ? "same" : "different");
  test_world_destroy();
  return 0;
}

/* --- the parent --- */

typedef struct _child_t
{
  char *out, *err;
} _child_t;

/* @p settings: NAME=VALUE, … NULL for the child's environment. */
static _child_t _run_program(const char *program, const char *const *settings)
{
  char *argv[] = { (char *)program, (char *)"load", NULL };
  char **environment = g_get_environ();
  environment = g_environ_unsetenv(environment, "DT_ORT_LIBRARY");
  environment = g_environ_unsetenv(environment, "LD_LIBRARY_PATH");
  for(; settings && *settings; settings++)
  {
    char **pair = g_strsplit(*settings, "=", 2);
    environment = g_environ_setenv(environment, pair[0], pair[1], TRUE);
    g_strfreev(pair);
  }
  _child_t child;
  GError *error = NULL;
  int status;
  g_spawn_sync(NULL, argv, environment, G_SPAWN_DEFAULT, NULL, NULL, &child.out, &child.err, &status, &error);
  assert_no_error(error);
  if(status != 0) fail_msg("the child ended with %d:\n%s%s", status, child.out, child.err);
  g_strfreev(environment);
  return child;
}

static _child_t _run(const char *const *settings)
{
  char *self = g_file_read_link("/proc/self/exe", NULL);
  _child_t child = _run_program(self, settings);
  g_free(self);
  return child;
}

static void _child_free(_child_t *child)
{
  g_free(child->out);
  g_free(child->err);
}

static void _assert_says(const _child_t *child, const char *words)
{
  if(!strstr(child->out, words)) fail_msg("\"%s\" is missing in:\n%s", words, child->out);
}

static void _assert_silent(const _child_t *child)
{
  _assert_says(child, "again: same");
  assert_string_equal(child->err, ""); /* the library never prints, and gives the runtime no reason to */
}

/* A library that was asked for and passed over is reported, with the reasons, in words for people. */
static void _assert_warns(const _child_t *child, const char *const reasons[2])
{
  const char *warning = strstr(child->out, "warning: ");
  if(!warning) fail_msg("no warning in:\n%s", child->out);
  for(int i = 0; i < 2; i++)
    if(!strstr(warning, reasons[i])) fail_msg("\"%s\" is missing in:\n%s", reasons[i], warning);
}

static void _assert_no_warning(const _child_t *child)
{
  if(strstr(child->out, "warning: ")) fail_msg("there is nothing to warn of:\n%s", child->out);
}

/* A world for the parent's own files. */
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

static char *_text_file(void)
{
  char *path = g_build_filename(_world, "no-library.so", NULL);
  assert_true(g_file_set_contents(path, "this is a text file\n", -1, NULL));
  return path;
}

static void test_bundled(void **state)
{
  (void)state;
  _child_t child = _run(NULL);
  _assert_silent(&child);
  _assert_says(&child, "/lib/darktable-ai/libonnxruntime.so.1\n");
  _assert_says(&child, "(bundled)");
  _assert_no_warning(&child);
  _assert_says(&child, "version: 1.");
  _child_free(&child);
}

/* Falls back to the bundled one; why is said for each place that was tried. */
static void test_fall_back(void **state)
{
  (void)state;
  char *text = _text_file();
  char *setting = g_strconcat("DT_TEST_ORT_SETTING=", text, NULL);
  char *as_variable = g_strconcat("DT_ORT_LIBRARY=", text, NULL);
  const char *const cases[][3] = {
    { as_variable, NULL },
    { "DT_ORT_LIBRARY=/no/such/libonnxruntime.so.1", NULL },
    { setting, "DT_ORT_LIBRARY=/no/such/libonnxruntime.so.1", NULL },
    { "DT_ORT_LIBRARY=", "DT_TEST_ORT_SETTING=", NULL },
  };
  const char *const reasons[][2] = { { "no-library.so", "no-library.so: " },
                                     { "/no/such/libonnxruntime.so.1", "No such file" },
                                     { "no-library.so: ", "/no/such/libonnxruntime.so.1" },
                                     { "version", "bundled" } };
  for(size_t i = 0; i < G_N_ELEMENTS(cases); i++)
  {
    _child_t child = _run(cases[i]);
    _assert_silent(&child);
    _assert_says(&child, "/lib/darktable-ai/libonnxruntime.so.1\n");
    _assert_says(&child, reasons[i][0]);
    _assert_says(&child, reasons[i][1]);
    if(i < 3)
      _assert_warns(&child, reasons[i]);
    else
      _assert_no_warning(&child);
    _child_free(&child);
  }
  g_free(as_variable);
  g_free(setting);
  g_free(text);
}

static void test_not_a_runtime(void **state)
{
  (void)state;
  const char *const libm[] = { "DT_ORT_LIBRARY=libm.so.6", NULL };
  _child_t child = _run(libm);
  _assert_silent(&child);
  _assert_says(&child, "OrtGetApiBase");
  _assert_says(&child, "/lib/darktable-ai/libonnxruntime.so.1\n");
  _child_free(&child);
}

/* A copy of this program in an empty folder has nothing beside it. */
static void test_nothing_to_load(void **state)
{
  (void)state;
  GModule *system = g_module_open("libonnxruntime.so.1", G_MODULE_BIND_LAZY | G_MODULE_BIND_LOCAL);
  if(system)
  {
    g_module_close(system);
    skip();
  }
  char *self = g_file_read_link("/proc/self/exe", NULL), *bytes = NULL;
  char *copy = g_build_filename(_world, "program", NULL), *text = _text_file();
  char *variable = g_strconcat("DT_ORT_LIBRARY=", text, NULL);
  gsize size;
  assert_true(g_file_get_contents(self, &bytes, &size, NULL));
  assert_true(g_file_set_contents(copy, bytes, (gssize)size, NULL));
  assert_int_equal(g_chmod(copy, 0700), 0);
  const char *const settings[] = { variable, "DT_TEST_ORT_SETTING=/no/such/libonnxruntime.so.1", NULL };
  _child_t child = _run_program(copy, settings);
  _assert_silent(&child);
  char *error = g_strdup_printf("error %d: ", DT_AI_ERROR_PROVIDER);
  const char *message = strstr(child.out, error);
  assert_non_null(message);
  static const char *const places[] = { "no-library.so: ", "/no/such/libonnxruntime.so.1",
                                        "\n  libonnxruntime.so.1",
                                        "\n  libonnxruntime.so:", "plugins/ai/ort_library_path" };
  for(size_t i = 0; i < G_N_ELEMENTS(places); i++)
    if(!strstr(message, places[i])) fail_msg("\"%s\" is missing in:\n%s", places[i], message);
  g_free(error);
  _child_free(&child);
  g_free(variable);
  g_free(text);
  g_free(copy);
  g_free(bytes);
  g_free(self);
}

/* --- runtimes of other versions --- */

static _child_t _run_fake(const char *version)
{
  char *setting = g_strconcat("DT_FAKE_ORT_VERSION=", version, NULL);
  const char *const settings[] = { setting, "DT_ORT_LIBRARY=" DT_TEST_FAKE_ORT, NULL };
  _child_t child = _run(settings);
  g_free(setting);
  return child;
}

static void test_too_old(void **state)
{
  (void)state;
  static const char *const versions[] = { "1.17.0", "1.17.3", "1.4.0", "0.5.0", "1", "nonsense", "" };
  for(size_t i = 0; i < G_N_ELEMENTS(versions); i++)
  {
    _child_t child = _run_fake(versions[i]);
    _assert_silent(&child);
    _assert_says(&child, "too old");
    _assert_says(&child, "/lib/darktable-ai/libonnxruntime.so.1\n");
    _child_free(&child);
  }
}

/* Exactly one request, for what the library has, so that it never complains. */
static void test_oldest(void **state)
{
  (void)state;
  _child_t child = _run_fake("1.18.0");
  _assert_silent(&child);
  _assert_says(&child, "version: 1.18.0\n");
  _assert_says(&child, "path: " DT_TEST_FAKE_ORT "\n");
  _assert_says(&child, "asked: 18\nheader: ");
  _assert_no_warning(&child);
  _child_free(&child);
}

/* From a newer library no more is asked for than the header this was compiled with knows. */
static void test_newest(void **state)
{
  (void)state;
  static const char *const versions[] = { "1.99.0", "1.99.0-dev+cuda" };
  for(size_t i = 0; i < G_N_ELEMENTS(versions); i++)
  {
    _child_t child = _run_fake(versions[i]);
    _assert_silent(&child);
    const char *header = strstr(child.out, "header: ");
    assert_non_null(header);
    char *expected = g_strdup_printf("asked: %d\nheader: ", atoi(header + strlen("header: ")));
    _assert_says(&child, expected);
    g_free(expected);
    _child_free(&child);
  }
}

int main(int argc, char **argv)
{
  if(argc > 1 && strcmp(argv[1], "load") == 0) return _load();
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_bundled),       cmocka_unit_test(test_fall_back),
    cmocka_unit_test(test_not_a_runtime), cmocka_unit_test(test_nothing_to_load),
    cmocka_unit_test(test_too_old),       cmocka_unit_test(test_oldest),
    cmocka_unit_test(test_newest),
  };
  return cmocka_run_group_tests_name("runtime", tests, _setup, _teardown);
}
