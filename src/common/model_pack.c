/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Writing a package: the files of a directory in sorted order, through libarchive's ZIP writer.
 *
 * Equal directories give equal bytes: no times, owners or permissions go in, and names are plain ASCII, which
 * no locale changes. What the reader would refuse is refused here. */
#include "common/model_package.h"

#include "common/package_rules.h"
#include "common/part_file.h"
#include "common/zip_directory.h"

#include <archive.h>
#include <archive_entry.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define BLOCK_SIZE ((size_t)128 << 10)

/** A file to pack. */
typedef struct _source_t
{
  char *name; ///< `<id>/<relative path>`
  guint64 size;
} _source_t;

typedef struct _pack_t
{
  const char *dir, *id, *output;
  int top;            ///< the model's directory
  GPtrArray *sources; ///< _source_t
  dt_package_names_t *names;
  gboolean has_config;
  guint64 total;       ///< bytes of all files
  struct stat out_dir; ///< the directory of the output
  dt_part_t *part;
  gboolean given_up; ///< what is written is thrown away
  guint64 written;
  struct archive *archive;
  GCancellable *cancellable;
} _pack_t;

// --- Errors

static gboolean _is_cancelled(const _pack_t *p, GError **error)
{
  if(!g_cancellable_is_cancelled(p->cancellable)) return FALSE;
  g_set_error(error, DT_AI_ERROR, DT_AI_ERROR_CANCELLED, "Cancelled.");
  return TRUE;
}

/** A name below the model's directory cannot be packed. */
static gboolean _fail_input(const _pack_t *p, const char *name, const char *why, const char *advice,
                            GError **error)
{
  char *printable = dt_zip_printable(name);
  g_set_error(error, DT_AI_ERROR, DT_AI_ERROR_INPUT, "%s cannot be packed: \"%s\" %s. %s.", p->dir, printable,
              why, advice);
  g_free(printable);
  return FALSE;
}

static gboolean _fail_reading(const _pack_t *p, const char *name, int number, GError **error)
{
  char *why = g_strdup_printf("cannot be read: %s", g_strerror(number));
  _fail_input(p, name, why, "Check its permissions", error);
  g_free(why);
  return FALSE;
}

static gboolean _fail_limit(const _pack_t *p, const char *why, GError **error)
{
  g_set_error(error, DT_AI_ERROR, DT_AI_ERROR_INPUT,
              "%s cannot be packed: %s. Remove what does not belong to the model.", p->dir, why);
  return FALSE;
}

// --- The files

static void _free_source(gpointer data)
{
  _source_t *source = data;
  g_free(source->name);
  g_free(source);
}

static gint _compare_sources(gconstpointer a, gconstpointer b)
{
  return strcmp((*(_source_t *const *)a)->name, (*(_source_t *const *)b)->name);
}

static gboolean _add_file(_pack_t *p, const char *name, guint64 size, GError **error)
{
  char *config = g_strconcat(p->id, "/config.json", NULL);
  const gboolean is_config = strcmp(name, config) == 0;
  g_free(config);
  p->has_config |= is_config;
  if(is_config && size > DT_PACKAGE_MAX_CONFIG)
    return _fail_input(p, name, "is larger than 1 MiB", "A model's description is shorter", error);
  if(p->sources->len == DT_PACKAGE_MAX_ENTRIES) return _fail_limit(p, "it has more than 64 files", error);
  if(size > DT_PACKAGE_MAX_BYTES - p->total) return _fail_limit(p, "it is larger than 8 GiB", error);
  p->total += size;
  _source_t *source = g_new0(_source_t, 1);
  *source = (_source_t){ g_strdup(name), size };
  g_ptr_array_add(p->sources, source);
  return TRUE;
}

static gboolean _walk(_pack_t *p, const char *name, GError **error);

/** One name of a directory: @p name as it will be in the package. */
static gboolean _add_name(_pack_t *p, int directory, const char *name, GError **error)
{
  struct stat status;
  if(fstatat(directory, strrchr(name, '/') + 1, &status, AT_SYMLINK_NOFOLLOW) != 0)
    return _fail_reading(p, name, errno, error);
  if(S_ISLNK(status.st_mode))
    return _fail_input(p, name, "is a symbolic link", "Put the file itself there", error);
  if(!S_ISREG(status.st_mode) && !S_ISDIR(status.st_mode))
    return _fail_input(p, name, "is a device or another special file", "Remove it", error);
  // its own output would be in the next one
  if(S_ISDIR(status.st_mode) && status.st_dev == p->out_dir.st_dev && status.st_ino == p->out_dir.st_ino)
    return _fail_input(p, name, "is where the package would be written", "Choose another directory for it",
                       error);
  const char *why = g_str_is_ascii(name) ? dt_package_names_add(p->names, name, S_ISDIR(status.st_mode))
                                         : "has a name that is not plain ASCII";
  if(why) return _fail_input(p, name, why, "Rename it", error);
  return S_ISDIR(status.st_mode) ? _walk(p, name, error) : _add_file(p, name, (guint64)status.st_size, error);
}

/** The path below the model's directory of what is called @p name in the package. */
static const char *_below(const _pack_t *p, const char *name)
{
  const char *rest = name + strlen(p->id);
  return *rest ? rest + 1 : rest;
}

/** Adds the directory that is called @p name in the package, hidden files left out. */
static gboolean _walk(_pack_t *p, const char *name, GError **error)
{
  const int fd = dt_package_open_directory(p->top, _below(p, name), FALSE);
  DIR *directory = fd >= 0 ? fdopendir(fd) : NULL;
  if(!directory)
  {
    const int number = errno;
    if(fd >= 0) close(fd);
    return _fail_reading(p, name, number, error);
  }
  gboolean ok = TRUE;
  for(const struct dirent *entry; ok && (entry = readdir(directory));)
  {
    if(entry->d_name[0] == '.') continue;
    char *path = g_strconcat(name, "/", entry->d_name, NULL);
    ok = !_is_cancelled(p, error) && _add_name(p, fd, path, error);
    g_free(path);
  }
  closedir(directory);
  return ok;
}

static gboolean _collect(_pack_t *p, GError **error)
{
  p->top = open(p->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  struct stat status;
  if(p->top < 0 || fstat(p->top, &status) != 0)
  {
    g_set_error(error, DT_AI_ERROR, DT_AI_ERROR_INPUT, "%s cannot be read: %s. Give a model's directory.",
                p->dir, g_strerror(errno));
    return FALSE;
  }
  if(status.st_dev == p->out_dir.st_dev && status.st_ino == p->out_dir.st_ino)
    return _fail_input(p, p->output, "would lie in the directory itself", "Choose another directory for it",
                       error);
  const char *why = !g_str_is_ascii(p->id) || strchr(p->id, '/')
                        ? "is not a plain name"
                        : dt_package_names_add(p->names, p->id, TRUE);
  if(why) return _fail_input(p, p->id, why, "Choose a plain name as the model's id", error);
  if(!_walk(p, p->id, error)) return FALSE;
  g_ptr_array_sort(p->sources, _compare_sources);
  return p->has_config || _fail_input(p, "config.json", "is not there", "Give a model's directory", error);
}

// --- The output

/** Opens the package's file, and looks at where it will really lie. */
static gboolean _create_part(_pack_t *p, gboolean overwrite, GError **error)
{
  p->part = dt_part_create(p->output, overwrite, error);
  if(!p->part) return FALSE;
  char *directory = g_path_get_dirname(dt_part_target(p->part));
  const gboolean found = stat(directory, &p->out_dir) == 0;
  if(!found)
    g_set_error(error, DT_AI_ERROR, DT_AI_ERROR_OUTPUT, "%s: %s. Choose another directory.", directory,
                g_strerror(errno));
  g_free(directory);
  return found;
}

static gboolean _commit(_pack_t *p, GError **error)
{
  return !_is_cancelled(p, error) && dt_part_commit(g_steal_pointer(&p->part), error);
}

// --- The archive

/** Never fails for libarchive, whose ZIP writer would then leak its compressor: what comes after the first
 * failure, or once the package is given up, is thrown away. */
static la_ssize_t _on_write(struct archive *archive, void *data, const void *bytes, size_t size)
{
  (void)archive;
  _pack_t *p = data;
  if(!p->given_up) (void)dt_part_append(p->part, bytes, size);
  p->written += size;
  return (la_ssize_t)size;
}

/** Whether a step of libarchive's went well, and all that was written so far. */
static gboolean _is_fine(const _pack_t *p, gboolean ok, GError **error)
{
  if(ok && dt_part_is_fine(p->part)) return TRUE;
  dt_part_set_error(p->part, "the ZIP writer failed; try again", error);
  return FALSE;
}

static gboolean _open_archive(_pack_t *p, GError **error)
{
  p->archive = archive_write_new();
  const gboolean ok =
      archive_write_set_format_zip(p->archive) == ARCHIVE_OK
      && archive_write_set_format_option(p->archive, "zip", "compression", "deflate") == ARCHIVE_OK
      && archive_write_set_format_option(p->archive, "zip", "compression-level", "6") == ARCHIVE_OK
      && archive_write_set_bytes_per_block(p->archive, (int)BLOCK_SIZE) == ARCHIVE_OK
      && archive_write_set_bytes_in_last_block(p->archive, 1) == ARCHIVE_OK
      && archive_write_open(p->archive, p, NULL, _on_write, NULL) == ARCHIVE_OK;
  return _is_fine(p, ok, error);
}

/** No time: the oldest there is in a ZIP archive, 1980-01-01, whatever the time zone. */
static gboolean _write_header(const _pack_t *p, const _source_t *source, GError **error)
{
  struct archive_entry *entry = archive_entry_new();
  archive_entry_set_pathname(entry, source->name);
  archive_entry_set_size(entry, (la_int64_t)source->size);
  archive_entry_set_filetype(entry, AE_IFREG);
  archive_entry_set_perm(entry, 0644);
  const gboolean ok = archive_write_header(p->archive, entry) == ARCHIVE_OK;
  archive_entry_free(entry);
  return _is_fine(p, ok, error);
}

static gboolean _copy_file(const _pack_t *p, const _source_t *source, int fd, char *block, GError **error)
{
  for(guint64 done = 0; done < source->size;)
  {
    const size_t size = (size_t)MIN(source->size - done, BLOCK_SIZE);
    if(_is_cancelled(p, error)) return FALSE;
    if(!dt_zip_read_at(fd, done, block, size))
      return errno ? _fail_reading(p, source->name, errno, error)
                   : _fail_input(p, source->name, "became shorter meanwhile", "Try again", error);
    if(!_is_fine(p, archive_write_data(p->archive, block, size) == (la_ssize_t)size, error)) return FALSE;
    done += size;
  }
  return TRUE;
}

static gboolean _write_file(const _pack_t *p, const _source_t *source, char *block, GError **error)
{
  const char *last;
  const int parent = dt_package_open_parent(p->top, _below(p, source->name), FALSE, &last);
  const int fd = parent >= 0 ? openat(parent, last, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC) : -1;
  const int number = errno;
  if(parent >= 0) close(parent);
  if(fd < 0) return _fail_reading(p, source->name, number, error);
  struct stat status;
  const gboolean same =
      fstat(fd, &status) == 0 && S_ISREG(status.st_mode) && (guint64)status.st_size == source->size;
  const gboolean ok = same ? _write_header(p, source, error) && _copy_file(p, source, fd, block, error)
                           : _fail_input(p, source->name, "changed meanwhile", "Try again", error);
  close(fd);
  return ok;
}

static gboolean _write_archive(_pack_t *p, GError **error)
{
  if(!_open_archive(p, error)) return FALSE;
  char *block = g_malloc(BLOCK_SIZE);
  gboolean ok = TRUE;
  for(guint i = 0; ok && i < p->sources->len; i++)
    ok = _write_file(p, g_ptr_array_index(p->sources, i), block, error);
  g_free(block);
  if(!ok) return FALSE;
  if(!_is_fine(p, archive_write_close(p->archive) == ARCHIVE_OK, error)) return FALSE;
  if(p->total > dt_package_limit(p->written))
    return _fail_limit(
        p, "it becomes a hundred times smaller, and would be taken for an attack when installed", error);
  return TRUE;
}

static void _cleanup(_pack_t *p)
{
  p->given_up = TRUE; // freeing an unfinished archive finishes it: into nothing
  if(p->archive) archive_write_free(p->archive);
  dt_part_abandon(p->part);
  if(p->top >= 0) close(p->top);
  g_ptr_array_unref(p->sources);
  dt_package_names_free(p->names);
}

gboolean dt_package_pack(const char *dir, const char *id, const char *output, gboolean overwrite,
                         GCancellable *cancellable, GError **error)
{
  _pack_t p = { .dir = dir,
                .id = id,
                .output = output,
                .top = -1,
                .sources = g_ptr_array_new_with_free_func(_free_source),
                .names = dt_package_names_new(),
                .cancellable = cancellable };
  const gboolean ok = _create_part(&p, overwrite, error) && _collect(&p, error) && _write_archive(&p, error)
                      && _commit(&p, error);
  _cleanup(&p);
  return ok;
}
