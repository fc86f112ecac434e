/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Where things live on each platform. Everything is derived, nothing is created here. */
#include "common/paths.h"

#include <dlfcn.h>
#include <string.h>

/* Set while the program is single-threaded, read afterwards. */
static char *_moved[DT_DIR_DATA + 1];

dt_platform_t dt_paths_platform(void)
{
#if defined(_WIN32)
  return DT_PLATFORM_WINDOWS;
#elif defined(__APPLE__)
  return DT_PLATFORM_MACOS;
#else
  return DT_PLATFORM_LINUX;
#endif
}

static char *_windows_default(dt_dir_t dir, const char *(*get_env)(const char *name))
{
  const char *base = get_env(dir == DT_DIR_CACHE ? "LOCALAPPDATA" : "APPDATA");
  return g_strconcat(base && *base ? base : "C:", "\\darktable", dir == DT_DIR_CACHE ? "\\cache" : "", NULL);
}

char *dt_paths_default(dt_platform_t platform, dt_dir_t dir, const char *(*get_env)(const char *name))
{
  static const struct
  {
    const char *variable, *fallback;
  } xdg[] = {
    [DT_DIR_CONFIG] = { "XDG_CONFIG_HOME", ".config" },
    [DT_DIR_CACHE] = { "XDG_CACHE_HOME", ".cache" },
    [DT_DIR_DATA] = { "XDG_DATA_HOME", ".local/share" },
  };
  if(platform == DT_PLATFORM_WINDOWS) return _windows_default(dir, get_env);
  const char *base = get_env(xdg[dir].variable);
  /* XDG: a relative path in the variable is invalid and to be ignored */
  if(base && base[0] == '/') return g_strconcat(base, "/darktable", NULL);
  const char *home = get_env("HOME");
  return g_strconcat(home && *home ? home : "", "/", xdg[dir].fallback, "/darktable", NULL);
}

void dt_paths_set(dt_dir_t dir, const char *path)
{
  g_free(_moved[dir]);
  _moved[dir] = path ? g_canonicalize_filename(path, NULL) : NULL;
}

static const char *_get_env(const char *name)
{
  const char *value = g_getenv(name);
  if(!value && strcmp(name, "HOME") == 0) value = g_get_home_dir();
  return value;
}

char *dt_paths_get(dt_dir_t dir)
{
  if(_moved[dir]) return g_strdup(_moved[dir]);
  return dt_paths_default(dt_paths_platform(), dir, _get_env);
}

char *dt_paths_program_dir(void)
{
  Dl_info info;
  if(!dladdr((void *)&dt_paths_program_dir, &info) || !info.dli_fname) return NULL;
  /* for the main program dli_fname is argv[0], which may be a bare name found through PATH */
  char *real = strchr(info.dli_fname, '/') ? g_canonicalize_filename(info.dli_fname, NULL)
                                           : g_file_read_link("/proc/self/exe", NULL);
  char *resolved = real ? g_file_read_link(real, NULL) : NULL;
  if(resolved && !g_path_is_absolute(resolved))
  {
    char *dir = g_path_get_dirname(real);
    char *joined = g_canonicalize_filename(resolved, dir);
    g_free(resolved);
    g_free(dir);
    resolved = joined;
  }
  char *dir = real ? g_path_get_dirname(resolved ? resolved : real) : NULL;
  g_free(real);
  g_free(resolved);
  return dir;
}

char *dt_paths_bundled(const char *name)
{
  char *program = dt_paths_program_dir();
  if(!program) return NULL;
  /* installed: bin or lib beside share; in the build tree: bin or lib beside data */
  static const char *const places[] = { "../share/darktable-ai", "../../share/darktable-ai", "../data" };
  char *found = NULL;
  for(size_t i = 0; i < G_N_ELEMENTS(places) && !found; i++)
  {
    char *relative = g_build_filename(places[i], name, NULL);
    found = g_canonicalize_filename(relative, program);
    if(!g_file_test(found, G_FILE_TEST_EXISTS)) g_clear_pointer(&found, g_free);
    g_free(relative);
  }
  g_free(program);
  return found;
}

char *dt_paths_helper(const char *name)
{
  static const char *const places[] = { "../lib/darktable-ai", "darktable-ai" };
  char *dir = dt_paths_program_dir(), *path = NULL;
  for(size_t i = 0; dir && i < G_N_ELEMENTS(places) && !path; i++)
  {
    char *relative = g_build_filename(places[i], name, NULL);
    path = g_canonicalize_filename(relative, dir);
    if(!g_file_test(path, G_FILE_TEST_IS_EXECUTABLE)) g_clear_pointer(&path, g_free);
    g_free(relative);
  }
  g_free(dir);
  return path;
}
