/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Where things live: the rules of all three platforms under invented environments, and what --configdir
 * and --cachedir do to them. */
#include "support.h"

#include "common/paths.h"

#include <glib/gstdio.h>
#include <string.h>

/* --- an invented environment --- */

static const char *const *_environment; /* name, value, name, value, … NULL */

static const char *_get_env(const char *name)
{
  for(const char *const *entry = _environment; *entry; entry += 2)
    if(strcmp(entry[0], name) == 0) return entry[1];
  return NULL;
}

static void _assert_default(const char *const *environment, dt_platform_t platform, dt_dir_t dir,
                            const char *expected)
{
  _environment = environment;
  char *path = dt_paths_default(platform, dir, _get_env);
  assert_string_equal(path, expected);
  g_free(path);
}

static void test_home_only(void **state)
{
  (void)state;
  static const char *const home[] = { "HOME", "/home/ada", "APPDATA", "C:\\wrong", NULL };
  static const dt_platform_t platforms[] = { DT_PLATFORM_LINUX, DT_PLATFORM_MACOS };
  for(size_t i = 0; i < G_N_ELEMENTS(platforms); i++)
  {
    _assert_default(home, platforms[i], DT_DIR_CONFIG, "/home/ada/.config/darktable");
    _assert_default(home, platforms[i], DT_DIR_CACHE, "/home/ada/.cache/darktable");
    _assert_default(home, platforms[i], DT_DIR_DATA, "/home/ada/.local/share/darktable");
  }
}

static void test_xdg(void **state)
{
  (void)state;
  static const char *const xdg[] = { "HOME",          "/home/ada",      "XDG_CONFIG_HOME",
                                     "/etc/ada",      "XDG_CACHE_HOME", "/var/ada",
                                     "XDG_DATA_HOME", "/srv/ada",       NULL };
  static const dt_platform_t platforms[] = { DT_PLATFORM_LINUX, DT_PLATFORM_MACOS };
  for(size_t i = 0; i < G_N_ELEMENTS(platforms); i++)
  {
    _assert_default(xdg, platforms[i], DT_DIR_CONFIG, "/etc/ada/darktable");
    _assert_default(xdg, platforms[i], DT_DIR_CACHE, "/var/ada/darktable");
    _assert_default(xdg, platforms[i], DT_DIR_DATA, "/srv/ada/darktable");
  }
}

static void test_relative_xdg_is_ignored(void **state)
{
  (void)state;
  static const char *const relative[] = {
    "HOME", "/home/ada", "XDG_CONFIG_HOME", "config", "XDG_CACHE_HOME", "./cache", "XDG_DATA_HOME", "", NULL
  };
  _assert_default(relative, DT_PLATFORM_LINUX, DT_DIR_CONFIG, "/home/ada/.config/darktable");
  _assert_default(relative, DT_PLATFORM_LINUX, DT_DIR_CACHE, "/home/ada/.cache/darktable");
  _assert_default(relative, DT_PLATFORM_LINUX, DT_DIR_DATA, "/home/ada/.local/share/darktable");
}

static void test_windows(void **state)
{
  (void)state;
  static const char *const windows[] = { "APPDATA",
                                         "C:\\Users\\ada\\AppData\\Roaming",
                                         "LOCALAPPDATA",
                                         "C:\\Users\\ada\\AppData\\Local",
                                         "HOME",
                                         "/wrong",
                                         "XDG_DATA_HOME",
                                         "/wrong",
                                         NULL };
  _assert_default(windows, DT_PLATFORM_WINDOWS, DT_DIR_CONFIG, "C:\\Users\\ada\\AppData\\Roaming\\darktable");
  _assert_default(windows, DT_PLATFORM_WINDOWS, DT_DIR_DATA, "C:\\Users\\ada\\AppData\\Roaming\\darktable");
  _environment = windows;
  char *cache = dt_paths_default(DT_PLATFORM_WINDOWS, DT_DIR_CACHE, _get_env);
  assert_true(g_str_has_prefix(cache, "C:\\Users\\ada\\AppData\\Local\\darktable"));
  g_free(cache);
}

/* Without any variable there is still an absolute path, never a crash. */
static void test_empty_environment(void **state)
{
  (void)state;
  static const char *const nothing[] = { NULL }, *const empty[] = { "HOME", "", "APPDATA", "", NULL };
  for(int dir = DT_DIR_CONFIG; dir <= DT_DIR_DATA; dir++)
    for(int platform = DT_PLATFORM_LINUX; platform <= DT_PLATFORM_WINDOWS; platform++)
      for(int i = 0; i < 2; i++)
      {
        _environment = i ? empty : nothing;
        char *path = dt_paths_default((dt_platform_t)platform, (dt_dir_t)dir, _get_env);
        assert_true(path[0] == '/' || g_str_has_prefix(path, "C:\\"));
        assert_non_null(strstr(path, "darktable"));
        g_free(path);
      }
}

/* --- this process --- */

static void _assert_in_force(dt_dir_t dir, const char *expected)
{
  char *path = dt_paths_get(dir);
  assert_string_equal(path, expected);
  g_free(path);
}

static void test_moved(void **state)
{
  (void)state;
  g_setenv("HOME", "/home/ada", TRUE);
  g_setenv("XDG_CONFIG_HOME", "/etc/ada", TRUE);
  g_unsetenv("XDG_CACHE_HOME");
  _assert_in_force(DT_DIR_CONFIG, "/etc/ada/darktable");
  dt_paths_set(DT_DIR_CONFIG, "/elsewhere/config");
  _assert_in_force(DT_DIR_CONFIG, "/elsewhere/config");
  _assert_in_force(DT_DIR_CACHE, "/home/ada/.cache/darktable");
  dt_paths_set(DT_DIR_CACHE, "/elsewhere/./x/../cache/");
  _assert_in_force(DT_DIR_CACHE, "/elsewhere/cache");
  _assert_in_force(DT_DIR_CONFIG, "/elsewhere/config");
  char *cwd = g_get_current_dir(), *absolute = g_build_filename(cwd, "here", NULL);
  dt_paths_set(DT_DIR_CONFIG, "here");
  _assert_in_force(DT_DIR_CONFIG, absolute);
  g_free(absolute);
  g_free(cwd);
  dt_paths_set(DT_DIR_CONFIG, NULL);
  dt_paths_set(DT_DIR_CACHE, NULL);
  _assert_in_force(DT_DIR_CONFIG, "/etc/ada/darktable");
}

static void test_program(void **state)
{
  (void)state;
  assert_int_equal(dt_paths_platform(), DT_PLATFORM_LINUX);
  char *exe = g_file_read_link("/proc/self/exe", NULL), *dir = g_path_get_dirname(exe);
  char *program = dt_paths_program_dir();
  assert_non_null(program);
  assert_string_equal(program, dir);
  char *models = dt_paths_bundled("models");
  if(models) assert_true(g_path_is_absolute(models) && g_file_test(models, G_FILE_TEST_IS_DIR));
  g_free(models);
  g_free(program);
  g_free(dir);
  g_free(exe);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_home_only),
    cmocka_unit_test(test_xdg),
    cmocka_unit_test(test_relative_xdg_is_ignored),
    cmocka_unit_test(test_windows),
    cmocka_unit_test(test_empty_environment),
    cmocka_unit_test(test_moved),
    cmocka_unit_test(test_program),
  };
  return cmocka_run_group_tests_name("paths", tests, NULL, NULL);
}
