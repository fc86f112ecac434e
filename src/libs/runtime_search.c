/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Walks a few folders for libonnxruntime.so*; which files are the same is told by device and inode. */
#include "libs/runtime_search.h"
#include "common/conf.h"
#include "common/libraries.h"

#include <glib/gstdio.h>
#include <string.h>
#include <sys/stat.h>

#define LIBRARY "libonnxruntime.so"
#define HOME_PREFIX "onnxruntime-"
/* /usr/lib/python3/dist-packages/onnxruntime/capi is four below /usr/lib */
#define MAX_DEPTH 4
#define MAX_FOUND 64

/* --- the one in force --- */

static void _refuse(dt_runtime_choice_t *choice, const char *path, const char *origin, const char *why)
{
  g_ptr_array_add(choice->refused,
                  g_strdup_printf("%s (%s): %s", path, origin, why ? why : "it cannot be used"));
}

/* Takes @p path when it can be used and nothing has been taken yet. */
static void _try(dt_runtime_choice_t *choice, const char *path, const char *origin)
{
  if(choice->info || !path || !*path) return;
  /* a name without a folder is looked for as the loader does */
  char *found = strchr(path, '/') ? NULL : dt_library_find(path, NULL);
  dt_ai_runtime_info_t *info = dt_ai_runtime_check(found ? found : path, NULL);
  if(info->version)
  {
    choice->info = info;
    choice->origin = origin;
  }
  else
  {
    _refuse(choice, path, origin, info->reason);
    dt_ai_runtime_info_free(info);
  }
  g_free(found);
}

static void _try_system(dt_runtime_choice_t *choice)
{
  /* Debian's soname carries the minor version */
  static const char *const names[] = { "libonnxruntime.so.1", "libonnxruntime.so.1.21", "libonnxruntime.so" };
  for(size_t i = 0; !choice->info && i < G_N_ELEMENTS(names); i++)
  {
    char *path = dt_library_find(names[i], NULL);
    if(path) _try(choice, path, "the system's");
    g_free(path);
  }
}

dt_runtime_choice_t *dt_runtime_choice(void)
{
  dt_runtime_choice_t *choice = g_new0(dt_runtime_choice_t, 1);
  choice->refused = g_ptr_array_new_with_free_func(g_free);
  char *setting = dt_conf_get_string(DT_CONF_AI_ORT_LIBRARY), *bundled = dt_ai_runtime_bundled();
  _try(choice, setting, "the setting plugins/ai/ort_library_path");
  _try(choice, g_getenv("DT_ORT_LIBRARY"), "the variable DT_ORT_LIBRARY");
  _try(choice, bundled, "bundled");
  _try_system(choice);
  g_free(bundled);
  g_free(setting);
  return choice;
}

void dt_runtime_choice_free(dt_runtime_choice_t *choice)
{
  if(!choice) return;
  if(choice->info) dt_ai_runtime_info_free(choice->info);
  g_ptr_array_unref(choice->refused);
  g_free(choice);
}

/* --- the walk --- */

typedef struct _walk_t
{
  GHashTable *seen; /* of files and folders: "device:inode" */
  GPtrArray *paths; /* of char * */
  GCancellable *cancellable;
} _walk_t;

static void _init_walk(_walk_t *walk, GCancellable *cancellable)
{
  walk->seen = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
  walk->paths = g_ptr_array_new_with_free_func(g_free);
  walk->cancellable = cancellable;
}

static void _cleanup_walk(_walk_t *walk)
{
  g_hash_table_unref(walk->seen);
  g_ptr_array_unref(walk->paths);
}

/* Whether what is at the end of @p path is met for the first time; it has to be of the kind @p kind. */
static gboolean _is_new(_walk_t *walk, const char *path, mode_t kind)
{
  GStatBuf status;
  if(g_stat(path, &status) != 0 || (status.st_mode & S_IFMT) != kind) return FALSE;
  return g_hash_table_add(walk->seen, g_strdup_printf("%" G_GUINT64_FORMAT ":%" G_GUINT64_FORMAT,
                                                      (guint64)status.st_dev, (guint64)status.st_ino));
}

static void _add_file(_walk_t *walk, const char *path)
{
  if(walk->paths->len < MAX_FOUND && _is_new(walk, path, S_IFREG))
    g_ptr_array_add(walk->paths, g_strdup(path));
}

static int _compare_names(gconstpointer a, gconstpointer b)
{
  return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* The names in a folder, sorted: of several links to one library the shortest name comes first. */
static GPtrArray *_names(const char *dir)
{
  GPtrArray *names = g_ptr_array_new_with_free_func(g_free);
  GDir *entries = g_dir_open(dir, 0, NULL);
  for(const char *name; entries && (name = g_dir_read_name(entries));) g_ptr_array_add(names, g_strdup(name));
  if(entries) g_dir_close(entries);
  g_ptr_array_sort(names, _compare_names);
  return names;
}

static void _walk(_walk_t *walk, const char *dir, int depth);

static void _walk_into(_walk_t *walk, const char *path, int depth)
{
  /* libraries that wheels bring for themselves are no runtimes; links could lead anywhere */
  const gboolean passed_over = g_str_has_suffix(path, ".libs") || g_file_test(path, G_FILE_TEST_IS_SYMLINK);
  if(!passed_over && g_file_test(path, G_FILE_TEST_IS_DIR)) _walk(walk, path, depth + 1);
}

static void _walk(_walk_t *walk, const char *dir, int depth)
{
  if(depth > MAX_DEPTH || g_cancellable_is_cancelled(walk->cancellable) || !_is_new(walk, dir, S_IFDIR))
    return;
  GPtrArray *names = _names(dir);
  for(guint i = 0; i < names->len; i++)
  {
    const char *name = g_ptr_array_index(names, i);
    char *path = g_build_filename(dir, name, NULL);
    if(g_str_has_prefix(name, LIBRARY))
      _add_file(walk, path);
    else
      _walk_into(walk, path, depth);
    g_free(path);
  }
  g_ptr_array_unref(names);
}

/* ~/.local/lib/onnxruntime-… */
static void _walk_home(_walk_t *walk)
{
  char *lib = g_build_filename(g_get_home_dir(), ".local", "lib", NULL);
  GPtrArray *names = _names(lib);
  for(guint i = 0; i < names->len; i++)
  {
    const char *name = g_ptr_array_index(names, i);
    char *path = g_build_filename(lib, name, NULL);
    if(g_str_has_prefix(name, HOME_PREFIX)) _walk(walk, path, 0);
    g_free(path);
  }
  g_ptr_array_unref(names);
  g_free(lib);
}

static void _walk_all(_walk_t *walk)
{
  static const char *const places[] = {
    "/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu", "/usr/lib", "/usr/lib64", "/usr/local/lib",
    "/usr/local/lib64",
  };
  _walk_home(walk);
  for(size_t i = 0; i < G_N_ELEMENTS(places); i++) _walk(walk, places[i], 0);
}

/* --- what is found --- */

static void _free_found(gpointer data)
{
  dt_runtime_found_t *found = data;
  dt_ai_runtime_info_free(found->info);
  g_free(found);
}

static void _add_found(GPtrArray *list, dt_ai_runtime_info_t *info, gboolean in_force)
{
  dt_runtime_found_t *found = g_new0(dt_runtime_found_t, 1);
  *found = (dt_runtime_found_t){ info, in_force };
  g_ptr_array_add(list, found);
}

/* What work would use or would like to use comes first, even from another place. */
static void _add_known(_walk_t *walk, const dt_runtime_choice_t *choice)
{
  char *setting = dt_conf_get_string(DT_CONF_AI_ORT_LIBRARY), *bundled = dt_ai_runtime_bundled();
  const char *variable = g_getenv("DT_ORT_LIBRARY");
  if(choice->info) _add_file(walk, choice->info->path);
  if(setting && strchr(setting, '/')) _add_file(walk, setting);
  if(variable && strchr(variable, '/')) _add_file(walk, variable);
  if(bundled) _add_file(walk, bundled);
  g_free(bundled);
  g_free(setting);
}

GPtrArray *dt_runtime_search(const dt_runtime_choice_t *choice, GCancellable *cancellable)
{
  GPtrArray *list = g_ptr_array_new_with_free_func(_free_found);
  _walk_t walk;
  _init_walk(&walk, cancellable);
  _add_known(&walk, choice);
  _walk_all(&walk);
  for(guint i = 0; i < walk.paths->len && !g_cancellable_is_cancelled(cancellable); i++)
  {
    const char *path = g_ptr_array_index(walk.paths, i);
    const gboolean in_force = choice->info && strcmp(choice->info->path, path) == 0;
    _add_found(list, dt_ai_runtime_check(path, cancellable), in_force);
  }
  _cleanup_walk(&walk);
  return list;
}

char *dt_runtime_search_in(const char *path, GError **error)
{
  char *full = g_canonicalize_filename(path, NULL), *found = NULL;
  if(!g_file_test(full, G_FILE_TEST_EXISTS))
    g_set_error(error, DT_AI_ERROR, DT_AI_ERROR_INPUT,
                "%s is not there. See what there is: darktable-ai runtime "
                "detect",
                full);
  else if(!g_file_test(full, G_FILE_TEST_IS_DIR))
    return full;
  else
  {
    _walk_t walk;
    _init_walk(&walk, NULL);
    _walk(&walk, full, 0);
    found = walk.paths->len ? g_strdup(g_ptr_array_index(walk.paths, 0)) : NULL;
    _cleanup_walk(&walk);
    if(!found)
      g_set_error(error, DT_AI_ERROR, DT_AI_ERROR_INPUT,
                  "%s has no " LIBRARY ". Give the path of the library, or see what there is: darktable-ai "
                  "runtime detect",
                  full);
  }
  g_free(full);
  return found;
}
