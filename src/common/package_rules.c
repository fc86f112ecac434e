/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Names in a model package: looked at part by part, remembered in a form in which names are equal that a file
 * system could take for the same (macOS and Windows fold case and normalise), and opened part by part. */
#include "common/package_rules.h"

#include "common/ai_manifest.h"
#include "common/model_package.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAX_DEPTH 8
#define MAX_PART 255
/** Unpacked bytes that are never too many for the archive's size. */
#define RATIO_FREE ((guint64)10 << 20)

/** A file or directory that has been seen. */
typedef struct _name_t
{
  char *path;
  gboolean is_directory;
  gboolean is_implied; ///< a directory known only from what is in it
} _name_t;

struct dt_package_names_t
{
  GHashTable *seen; ///< folded path to _name_t
  char *id;
};

guint64 dt_package_limit(guint64 archive_size)
{
  if(archive_size > DT_PACKAGE_MAX_BYTES / DT_PACKAGE_MAX_RATIO) return DT_PACKAGE_MAX_BYTES;
  return MIN(DT_PACKAGE_MAX_BYTES, RATIO_FREE + DT_PACKAGE_MAX_RATIO * archive_size);
}

static void _free_name(gpointer data)
{
  _name_t *name = data;
  g_free(name->path);
  g_free(name);
}

dt_package_names_t *dt_package_names_new(void)
{
  dt_package_names_t *names = g_new0(dt_package_names_t, 1);
  names->seen = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, _free_name);
  return names;
}

void dt_package_names_free(dt_package_names_t *names)
{
  if(!names) return;
  g_hash_table_unref(names->seen);
  g_free(names->id);
  g_free(names);
}

const char *dt_package_names_id(const dt_package_names_t *names)
{
  return names->id;
}

GList *dt_package_names_directories(const dt_package_names_t *names)
{
  GList *directories = NULL;
  GHashTableIter iter;
  gpointer value;
  g_hash_table_iter_init(&iter, names->seen);
  while(g_hash_table_iter_next(&iter, NULL, &value))
    if(((_name_t *)value)->is_directory) directories = g_list_prepend(directories, ((_name_t *)value)->path);
  return directories;
}

// --- The rules

static const char *_check_part(const char *part)
{
  const size_t length = strlen(part);
  if(length == 0 || strcmp(part, ".") == 0 || strcmp(part, "..") == 0) return "leads out of the package";
  if(length > MAX_PART) return "has a name that is too long";
  for(const char *c = part; *c; c = g_utf8_next_char(c))
    if(strchr("\\:", *c) || !g_unichar_isprint(g_utf8_get_char(c)))
      return "has a name with characters that are not allowed";
  return part[0] == '.' ? "is hidden" : NULL;
}

static const char *_check_parts(char **parts)
{
  if(g_strv_length(parts) > MAX_DEPTH) return "lies too deep";
  for(char **part = parts; *part; part++)
  {
    const char *why = _check_part(*part);
    if(why) return why;
  }
  return dt_manifest_id_is_safe(parts[0]) ? NULL : "has no usable model id in front";
}

static char *_fold(const char *path)
{
  char *lower = g_utf8_casefold(path, -1);
  char *folded = g_utf8_normalize(lower, -1, G_NORMALIZE_ALL_COMPOSE);
  g_free(lower);
  return folded;
}

/** Adds one path whose directories are there already. */
static const char *_add_path(dt_package_names_t *names, const char *path, gboolean is_directory,
                             gboolean is_implied)
{
  char *folded = _fold(path);
  _name_t *known = g_hash_table_lookup(names->seen, folded);
  if(!known)
  {
    _name_t *name = g_new0(_name_t, 1);
    *name = (_name_t){ g_strdup(path), is_directory, is_implied };
    g_hash_table_insert(names->seen, folded, name);
    return NULL;
  }
  g_free(folded);
  if(strcmp(known->path, path) != 0) return "differs from another only in upper and lower case";
  if(known->is_directory != is_directory) return "is a file and a directory at once";
  if(!is_implied && !known->is_implied) return "is there twice";
  known->is_implied &= is_implied;
  return NULL;
}

/** Adds what the name passes through, then the name. */
static const char *_add_parts(dt_package_names_t *names, char **parts, gboolean is_directory)
{
  const char *why = NULL;
  GString *path = g_string_new(NULL);
  for(char **part = parts; *part && !why; part++)
  {
    g_string_append_printf(path, "%s%s", path->len ? "/" : "", *part);
    why = _add_path(names, path->str, part[1] || is_directory, part[1] != NULL);
  }
  g_string_free(path, TRUE);
  return why;
}

const char *dt_package_names_add(dt_package_names_t *names, const char *name, gboolean is_directory)
{
  const size_t length = strlen(name);
  if(!g_utf8_validate(name, (gssize)length, NULL)) return "has a name that is not UTF-8";
  char *plain = g_strndup(name, is_directory && g_str_has_suffix(name, "/") ? length - 1 : length);
  char **parts = g_strsplit(plain, "/", -1);
  const char *why = parts[0] ? _check_parts(parts) : "has no name";
  if(!why && !names->id) names->id = g_strdup(parts[0]);
  if(!why && strcmp(parts[0], names->id) != 0)
    why = "is not in the package's one directory";
  else if(!why && !parts[1] && !is_directory)
    why = "is not in a directory that is named like the model";
  if(!why) why = _add_parts(names, parts, is_directory);
  g_strfreev(parts);
  g_free(plain);
  return why;
}

// --- Files

/** One step down; the descriptor it starts from is closed. */
static int _step_down(int from, const char *part, gboolean create)
{
  int fd = -1;
  if(!create || mkdirat(from, part, 0755) == 0 || errno == EEXIST)
    fd = openat(from, part, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  const int number = errno;
  close(from);
  errno = number;
  return fd;
}

int dt_package_open_directory(int top, const char *path, gboolean create)
{
  char **parts = g_strsplit(path, "/", -1);
  int fd = openat(top, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  for(char **part = parts; *part && fd >= 0; part++)
    if(**part) fd = _step_down(fd, *part, create);
  const int number = errno;
  g_strfreev(parts);
  errno = number;
  return fd;
}

int dt_package_open_parent(int top, const char *path, gboolean create, const char **last)
{
  const char *slash = strrchr(path, '/');
  *last = slash ? slash + 1 : path;
  char *directory = g_strndup(path, slash ? (size_t)(slash - path) : 0);
  const int fd = dt_package_open_directory(top, directory, create);
  const int number = errno;
  g_free(directory);
  errno = number;
  return fd;
}
