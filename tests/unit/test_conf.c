/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Settings: the layers and who wins, what is left alone in the files, what is refused, and that nobody's
 * setting is lost when many write at once. */
#include "support.h"

#include "common/conf.h"
#include "common/paths.h"

#include <glib/gstdio.h>
#include <pthread.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define WRITERS 8
#define KEYS_PER_WRITER 12

/* --- the two files --- */

static char *_path(const char *name)
{
  char *dir = dt_paths_get(DT_DIR_CONFIG);
  char *path = g_build_filename(dir, name, NULL);
  g_mkdir_with_parents(dir, 0700);
  g_free(dir);
  return path;
}

static void _write(const char *name, const char *text)
{
  char *path = _path(name);
  assert_true(g_file_set_contents(path, text, -1, NULL));
  g_free(path);
  dt_conf_reload();
}

static char *_read(const char *name)
{
  char *path = _path(name), *text = NULL;
  g_file_get_contents(path, &text, NULL, NULL);
  g_free(path);
  return text;
}

static void _assert_file(const char *name, const char *expected)
{
  char *text = _read(name);
  assert_non_null(text);
  assert_string_equal(text, expected);
  g_free(text);
}

static void _assert_value(const char *key, const char *expected, dt_conf_origin_t origin)
{
  char *value = dt_conf_get_string(key);
  if(expected)
    assert_string_equal(value, expected);
  else
    assert_null(value);
  assert_int_equal(dt_conf_get_origin(key), origin);
  g_free(value);
}

static void _set(const char *key, const char *value)
{
  GError *error = NULL;
  assert_true(dt_conf_set(key, value, &error));
  assert_no_error(error);
}

static void _reset(const char *key)
{
  GError *error = NULL;
  assert_true(dt_conf_reset(key, &error));
  assert_no_error(error);
}

static void _assert_refused(gboolean result, GError **error, int code)
{
  assert_false(result);
  assert_true(g_error_matches(*error, DT_AI_ERROR, code));
  assert_true(strlen((*error)->message) > 20);
  g_clear_error(error);
}

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

/* --- layers --- */

static void test_layers(void **state)
{
  (void)state;
  _assert_value(DT_CONF_AI_PROVIDER, "auto", DT_CONF_DEFAULT);
  _assert_value("plugins/ai/models/active/denoise", NULL, DT_CONF_UNSET);
  _write("darktablerc", "plugins/ai/provider=CUDA\nplugins/ai/models/active/denoise=\n");
  _assert_value(DT_CONF_AI_PROVIDER, "CUDA", DT_CONF_DARKTABLERC);
  _assert_value("plugins/ai/models/active/denoise", "", DT_CONF_DARKTABLERC);
  _write("darktable-airc", "plugins/ai/provider=CPU\n");
  _assert_value(DT_CONF_AI_PROVIDER, "CPU", DT_CONF_AIRC);
  dt_conf_override(DT_CONF_AI_PROVIDER, "OpenVINO");
  _assert_value(DT_CONF_AI_PROVIDER, "OpenVINO", DT_CONF_OVERRIDE);
  dt_conf_reload();
  _assert_value(DT_CONF_AI_PROVIDER, "OpenVINO", DT_CONF_OVERRIDE);
  _assert_file("darktable-airc", "plugins/ai/provider=CPU\n");
}

static void test_defaults(void **state)
{
  (void)state;
  static const struct
  {
    const char *key, *value;
  } defaults[] = {
    { "plugins/ai/enabled", "FALSE" },
    { "plugins/ai/provider", "auto" },
    { "plugins/ai/ort_library_path", "" },
    { "plugins/ai/repository", "darktable-org/darktable-ai" },
    { "plugins/ai/cuda_device_id", "0" },
    { "plugins/ai/migraphx_device_id", "0" },
    { "opencl", "TRUE" },
    { "opencl_device_priority", "*/!0,*/*/*" },
    { "opencl_scheduling_profile", "default" },
    { "opencl_mandatory_timeout", "400" },
    { "opencl_use_cpu_devices", "FALSE" },
    { "opencl_library", "" },
    { "opencl_hang_seconds", "30" },
  };
  for(size_t i = 0; i < G_N_ELEMENTS(defaults); i++)
    assert_string_equal(dt_conf_default(defaults[i].key), defaults[i].value);
  assert_null(dt_conf_default("no/such/key"));
  assert_int_equal(dt_conf_parse_size(dt_conf_default(DT_CONF_AI_CACHE_LIMIT)), 4ULL << 30);
}

static void test_list(void **state)
{
  (void)state;
  _write("darktablerc", "plugins/ai/zebra=1\nui/other=2\nopencl_extra=3\nplugins/ai/provider=CPU\n");
  _write("darktable-airc", "plugins/ai/provider=CUDA\nplugins/ai/apple=4\n");
  char **keys = dt_conf_list();
  gboolean found = FALSE;
  for(char **key = keys; *key; key++)
  {
    assert_true(g_str_has_prefix(*key, "plugins/ai/") || g_str_has_prefix(*key, "opencl"));
    assert_true(key == keys || strcmp(key[-1], key[0]) < 0);
    found |= strcmp(*key, DT_CONF_AI_MEMORY) == 0;
  }
  assert_true(found);
  assert_true(g_strv_contains((const char *const *)keys, "plugins/ai/zebra"));
  assert_true(g_strv_contains((const char *const *)keys, "plugins/ai/apple"));
  assert_true(g_strv_contains((const char *const *)keys, "opencl_extra"));
  g_strfreev(keys);
}

/* --- what is written --- */

static void test_darktablerc_is_never_written(void **state)
{
  (void)state;
  static const char text[] = "# darktable's own\nplugins/ai/provider=CUDA\nui_last/size=3\r\nlast line";
  _write("darktablerc", text);
  char *path = _path("darktablerc");
  struct stat before, after;
  assert_int_equal(stat(path, &before), 0);
  _set(DT_CONF_AI_PROVIDER, "CPU");
  _set("ui_last/size", "4");
  _set("brand/new", "5");
  _reset(DT_CONF_AI_PROVIDER);
  assert_int_equal(stat(path, &after), 0);
  assert_int_equal(before.st_ino, after.st_ino);
  assert_memory_equal(&before.st_mtim, &after.st_mtim, sizeof before.st_mtim);
  _assert_file("darktablerc", text);
  _assert_value("ui_last/size", "4", DT_CONF_AIRC);
  g_free(path);
}

static void test_what_a_person_wrote_is_kept(void **state)
{
  (void)state;
  _write("darktable-airc", "# my settings\n\nzz/unknown = spaced\nplugins/ai/provider=CUDA\nno equals\n"
                           "=no key\naa/unknown=1\n#plugins/ai/provider=CPU");
  _set(DT_CONF_AI_PROVIDER, "CPU");
  _set("plugins/ai/memory", "2G");
  _assert_file("darktable-airc", "# my settings\n\nzz/unknown = spaced\nplugins/ai/provider=CPU\nno equals\n"
                                 "=no key\naa/unknown=1\n#plugins/ai/provider=CPU\nplugins/ai/memory=2G\n");
  _reset(DT_CONF_AI_PROVIDER);
  _reset("never/set");
  _assert_file("darktable-airc", "# my settings\n\nzz/unknown = spaced\nno equals\n"
                                 "=no key\naa/unknown=1\n#plugins/ai/provider=CPU\nplugins/ai/memory=2G\n");
}

static void test_repeated_keys_become_one(void **state)
{
  (void)state;
  _write("darktable-airc", "plugins/ai/memory=1G\na=1\nplugins/ai/memory=2G\n");
  _assert_value("plugins/ai/memory", "2G", DT_CONF_AIRC);
  _set("plugins/ai/memory", "3G");
  _assert_file("darktable-airc", "plugins/ai/memory=3G\na=1\n");
}

static void test_defaults_are_not_written_out(void **state)
{
  (void)state;
  _set(DT_CONF_AI_PROVIDER, "CPU");
  _assert_file("darktable-airc", "plugins/ai/provider=CPU\n");
  _set(DT_CONF_AI_PROVIDER, "auto");
  _assert_file("darktable-airc", "");
  _assert_value(DT_CONF_AI_PROVIDER, "auto", DT_CONF_DEFAULT);
  /* unless darktable's file says otherwise: then the default has to be said aloud */
  _write("darktablerc", "plugins/ai/provider=CUDA\n");
  _set(DT_CONF_AI_PROVIDER, "auto");
  _assert_file("darktable-airc", "plugins/ai/provider=auto\n");
  _assert_value(DT_CONF_AI_PROVIDER, "auto", DT_CONF_AIRC);
  _set(DT_CONF_AI_PROVIDER, "CUDA");
  _assert_file("darktable-airc", "");
  _assert_value(DT_CONF_AI_PROVIDER, "CUDA", DT_CONF_DARKTABLERC);
}

static void test_a_change_of_the_file_is_seen(void **state)
{
  (void)state;
  _write("darktable-airc", "a=1\n");
  _assert_value("a", "1", DT_CONF_AIRC);
  char *path = _path("darktable-airc");
  assert_true(g_file_set_contents(path, "a=2\nb=3\n", -1, NULL));
  g_free(path);
  _assert_value("a", "1", DT_CONF_AIRC); /* not before a reload */
  _set("c", "4");
  _assert_file("darktable-airc", "a=2\nb=3\nc=4\n");
  _assert_value("a", "2", DT_CONF_AIRC);
}

static void test_values_survive_the_round_trip(void **state)
{
  (void)state;
  static const char *const values[] = { "a=b=c", "#no comment", "  leading", "ünïcödé → ✓",
                                        "",      "\t",          "%s%n",      "*/!0,*/*/*" };
  for(size_t i = 0; i < G_N_ELEMENTS(values); i++)
  {
    _set("plugins/ai/text", values[i]);
    dt_conf_reload();
    char *value = dt_conf_get_string("plugins/ai/text");
    /* white space at the end of a line is nobody's */
    char *expected = g_strchomp(g_strdup(values[i]));
    assert_string_equal(value, expected);
    g_free(expected);
    g_free(value);
  }
}

/* --- what is refused --- */

static void test_malformed_lines(void **state)
{
  (void)state;
  _write("darktable-airc", "\n=x\n#a=1\nb\n c = 2 \r\nd=\nq=a=b\n\xff\xfe=\xff\n= \n==\nlast=9");
  _assert_value("a", NULL, DT_CONF_UNSET);
  _assert_value("#a", NULL, DT_CONF_UNSET);
  _assert_value("b", NULL, DT_CONF_UNSET);
  _assert_value("c", " 2", DT_CONF_AIRC);
  _assert_value("d", "", DT_CONF_AIRC);
  _assert_value("q", "a=b", DT_CONF_AIRC);
  _assert_value("", NULL, DT_CONF_UNSET);
  _assert_value("last", "9", DT_CONF_AIRC);
}

static void test_malformed_keys(void **state)
{
  (void)state;
  static const char *const keys[] = { "", "#a", "a=b", " a", "a ", "\ta", "a\t", "a\nb", "a\rb", "\n", "=" };
  static const char *const values[] = { "a\nb", "\n", "a\rb", "x\n" };
  _write("darktable-airc", "keep=1\n");
  for(size_t i = 0; i < G_N_ELEMENTS(keys); i++)
  {
    GError *set = NULL, *reset = NULL;
    _assert_refused(dt_conf_set(keys[i], "1", &set), &set, DT_AI_ERROR_USAGE);
    _assert_refused(dt_conf_reset(keys[i], &reset), &reset, DT_AI_ERROR_USAGE);
  }
  for(size_t i = 0; i < G_N_ELEMENTS(values); i++)
  {
    GError *error = NULL;
    _assert_refused(dt_conf_set("a", values[i], &error), &error, DT_AI_ERROR_USAGE);
  }
  assert_false(dt_conf_set("", "1", NULL));
  _assert_file("darktable-airc", "keep=1\n");
}

static void test_unwritable(void **state)
{
  (void)state;
  char *file = _path("in-the-way");
  assert_true(g_file_set_contents(file, "a file\n", -1, NULL));
  char *below = g_build_filename(file, "config", NULL), *config = dt_paths_get(DT_DIR_CONFIG);
  const char *const dirs[] = { file, below, "/proc/self/no-such-place" };
  for(size_t i = 0; i < G_N_ELEMENTS(dirs); i++)
  {
    GError *error = NULL;
    dt_paths_set(DT_DIR_CONFIG, dirs[i]);
    _assert_refused(dt_conf_set("a", "1", &error), &error, DT_AI_ERROR_OUTPUT);
    dt_conf_reload();
    _assert_value("a", NULL, DT_CONF_UNSET);
  }
  char *text = NULL;
  assert_true(g_file_get_contents(file, &text, NULL, NULL));
  assert_string_equal(text, "a file\n");
  dt_paths_set(DT_DIR_CONFIG, config);
  dt_conf_reload();
  g_free(text);
  g_free(config);
  g_free(below);
  g_free(file);
}

/* A file that is there but cannot be read must not be replaced by an empty one. */
static void test_unreadable_is_not_overwritten(void **state)
{
  (void)state;
  char *path = _path("darktable-airc");
  g_unlink(path);
  assert_int_equal(symlink("darktable-airc", path), 0); /* ELOOP, for root as well */
  dt_conf_reload();
  GError *error = NULL;
  _assert_refused(dt_conf_set("a", "1", &error), &error, DT_AI_ERROR_OUTPUT);
  assert_true(g_file_test(path, G_FILE_TEST_IS_SYMLINK));
  g_unlink(path);
  assert_int_equal(g_mkdir(path, 0700), 0); /* EISDIR */
  _assert_refused(dt_conf_set("a", "1", &error), &error, DT_AI_ERROR_OUTPUT);
  assert_int_equal(g_rmdir(path), 0);
  g_free(path);
}

/* --- many at once --- */

static void *_set_many(void *data)
{
  const int writer = GPOINTER_TO_INT(data);
  for(int i = 0; i < KEYS_PER_WRITER; i++)
  {
    char *key = g_strdup_printf("plugins/ai/writer%d/key%d", writer, i);
    char *value = g_strdup_printf("%d", 100 * writer + i);
    const gboolean ok = dt_conf_set(key, value, NULL);
    g_free(value);
    g_free(key);
    if(!ok) return (void *)"a setting was refused";
    dt_conf_get_bool(DT_CONF_AI_ENABLED);
  }
  return NULL;
}

static void _run_writers(int first)
{
  pthread_t threads[WRITERS];
  for(int i = 0; i < WRITERS; i++)
    assert_int_equal(pthread_create(&threads[i], NULL, _set_many, GINT_TO_POINTER(first + i)), 0);
  for(int i = 0; i < WRITERS; i++)
  {
    void *failure;
    pthread_join(threads[i], &failure);
    assert_null(failure);
  }
}

/* The second process runs one writer only: after fork() a child may not start threads under every
 * sanitizer. */
static void test_nothing_is_lost(void **state)
{
  (void)state;
  _write("darktable-airc", "# mine\nother=1\n");
  const pid_t child = fork();
  assert_true(child >= 0);
  if(child == 0) _exit(_set_many(GINT_TO_POINTER(WRITERS)) ? 1 : 0);
  _run_writers(0);
  int status;
  assert_int_equal(waitpid(child, &status, 0), child);
  assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
  dt_conf_reload();
  for(int writer = 0; writer <= WRITERS; writer++)
    for(int i = 0; i < KEYS_PER_WRITER; i++)
    {
      char *key = g_strdup_printf("plugins/ai/writer%d/key%d", writer, i);
      assert_int_equal(dt_conf_get_int(key, -1), 100 * writer + i);
      g_free(key);
    }
  char *text = _read("darktable-airc");
  assert_true(g_str_has_prefix(text, "# mine\nother=1\n"));
  g_free(text);
}

/* No half-written file is ever seen: a reader that looks all the time finds the first line in each. */
static void test_writes_are_atomic(void **state)
{
  (void)state;
  _write("darktable-airc", "first=complete\n");
  pthread_t writer;
  assert_int_equal(pthread_create(&writer, NULL, _set_many, GINT_TO_POINTER(0)), 0);
  for(int i = 0; i < 2000; i++)
  {
    char *text = _read("darktable-airc");
    assert_non_null(text);
    assert_true(g_str_has_prefix(text, "first=complete\n") && g_str_has_suffix(text, "\n"));
    g_free(text);
  }
  pthread_join(writer, NULL);
  /* and nothing is left beside it but the lock */
  char *dir = dt_paths_get(DT_DIR_CONFIG);
  GDir *d = g_dir_open(dir, 0, NULL);
  for(const char *name; (name = g_dir_read_name(d));)
    assert_true(strcmp(name, "darktable-airc") == 0 || strcmp(name, ".darktable-airc.lock") == 0);
  g_dir_close(d);
  g_free(dir);
}

/* --- reading values --- */

static void test_bools(void **state)
{
  (void)state;
  static const char *const yes[] = { "TRUE", "true", "True", "1", "yes", "YES", "on", "ON" };
  static const char *const no[] = {
    "FALSE", "false", "0", "no", "off", "", "2", "truee", " TRUE", "enabled"
  };
  for(size_t i = 0; i < G_N_ELEMENTS(yes); i++)
  {
    dt_conf_override("bool", yes[i]);
    assert_true(dt_conf_get_bool("bool"));
  }
  for(size_t i = 0; i < G_N_ELEMENTS(no); i++)
  {
    dt_conf_override("bool", no[i]);
    assert_false(dt_conf_get_bool("bool"));
  }
  assert_false(dt_conf_get_bool("no/such/key"));
}

static void test_integers(void **state)
{
  (void)state;
  static const struct
  {
    const char *text;
    gint64 value;
  } cases[] = {
    { "0", 0 },
    { "-5", -5 },
    { "9223372036854775807", G_MAXINT64 },
    { "9223372036854775808", 7 },
    { "12x", 7 },
    { "", 7 },
    { "0x10", 7 },
    { "-9223372036854775808", G_MININT64 },
    { "1.5", 7 },
    { " 3", 7 },
  };
  for(size_t i = 0; i < G_N_ELEMENTS(cases); i++)
  {
    dt_conf_override("int", cases[i].text);
    assert_int_equal(dt_conf_get_int("int", 7), cases[i].value);
  }
  assert_int_equal(dt_conf_get_int("no/such/key", 7), 7);
}

static void test_sizes(void **state)
{
  (void)state;
  static const struct
  {
    const char *text;
    guint64 bytes;
  } cases[] = {
    { "100000", 100000 },
    { "512M", 512ULL << 20 },
    { "1.5G", 3ULL << 29 },
    { "2GiB", 2ULL << 30 },
    { "2gib", 2ULL << 30 },
    { "2GB", 2ULL << 30 },
    { "64k", 64 << 10 },
    { "3T", 3ULL << 40 },
    { "1", 1 },
    { "0", 0 },
    { "", 0 },
    { "-1", 0 },
    { "-5G", 0 },
    { "G", 0 },
    { "12X", 0 },
    { "12G3", 0 },
    { "12 G", 0 },
    { "2Gi", 0 },
    { "2GiBs", 0 },
    { "nan", 0 },
    { "inf", 0 },
    { "1e300", 0 },
    { "999999999T", 0 },
    { "1,5G", 0 },
    { "all", 0 },
    { "0.25K", 256 },
    { "1000000000000", 1000000000000ULL },
  };
  for(size_t i = 0; i < G_N_ELEMENTS(cases); i++)
    if(dt_conf_parse_size(cases[i].text) != cases[i].bytes)
      fail_msg("\"%s\" is %" G_GUINT64_FORMAT, cases[i].text, dt_conf_parse_size(cases[i].text));
}

#define conf_test(f) cmocka_unit_test_setup_teardown(f, _setup, _teardown)

int main(void)
{
  /* overrides outlive a world, so the test that sets a shared key stands last */
  const struct CMUnitTest tests[] = {
    conf_test(test_defaults),
    conf_test(test_list),
    conf_test(test_darktablerc_is_never_written),
    conf_test(test_what_a_person_wrote_is_kept),
    conf_test(test_repeated_keys_become_one),
    conf_test(test_defaults_are_not_written_out),
    conf_test(test_a_change_of_the_file_is_seen),
    conf_test(test_values_survive_the_round_trip),
    conf_test(test_malformed_lines),
    conf_test(test_malformed_keys),
    conf_test(test_unwritable),
    conf_test(test_unreadable_is_not_overwritten),
    conf_test(test_nothing_is_lost),
    conf_test(test_writes_are_atomic),
    conf_test(test_bools),
    conf_test(test_integers),
    conf_test(test_sizes),
    conf_test(test_layers),
  };
  return cmocka_run_group_tests_name("conf", tests, NULL, NULL);
}
