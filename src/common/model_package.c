/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Reading a package. What it will contain is decided from its directory (zip_directory.c) and the rules for
 * names (package_rules.c) before anything is created; libarchive then delivers the bytes of the entries, each
 * of which has to be what the directory announced. Hash and contents come from one descriptor.
 *
 * libarchive's way of writing to disk is not used: there is nothing here that could create a link, a device or
 * a file outside. Its error texts are not shown either, they may quote the archive. */
#include "common/model_package.h"
#include "common/write_all.h"

#include "common/package_rules.h"
#include "common/zip_directory.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/** Bytes read at a time. */
#define BLOCK_SIZE ((size_t)128 << 10)
/** Bytes after which a file is written through: nothing can be cancelled while the disk catches up. */
#define SYNC_SIZE ((guint64)8 << 20)
/** DEFLATE makes nothing larger by more than this. */
#define MAX_ARCHIVE_SIZE (DT_PACKAGE_MAX_BYTES + DT_PACKAGE_MAX_BYTES / 64)
#define PROGRESS_INTERVAL (100 * G_TIME_SPAN_MILLISECOND)

typedef struct _progress_t
{
  dt_bytes_progress_t report;
  gpointer user_data;
  GCancellable *cancellable;
  guint64 done, total;
  gint64 next; ///< when to report again
} _progress_t;

typedef struct _unpack_t
{
  dt_zip_file_t file;
  struct stat before; ///< of the file, to see whether somebody writes to it
  GPtrArray *entries; ///< dt_zip_entry_t
  dt_package_names_t *names;
  int top; ///< the directory to unpack into
  const char *dir;
  struct archive *archive;
  guint64 position; ///< where libarchive reads
  int failure;      ///< errno of a failed read
  guchar *block;
  _progress_t progress;
} _unpack_t;

// --- Progress and errors

static gboolean _is_cancelled(const _progress_t *progress, GError **error)
{
  if(!g_cancellable_is_cancelled(progress->cancellable)) return FALSE;
  g_set_error(error, DT_AI_ERROR, DT_AI_ERROR_CANCELLED, "Cancelled.");
  return TRUE;
}

static void _advance(_progress_t *progress, guint64 bytes)
{
  progress->done += bytes;
  if(!progress->report || bytes == 0) return;
  if(progress->done < progress->total && g_get_monotonic_time() < progress->next) return;
  progress->report(progress->done, progress->total, progress->user_data);
  progress->next = g_get_monotonic_time() + PROGRESS_INTERVAL;
}

static gboolean _fail_input(const char *path, int number, GError **error)
{
  g_set_error(error, DT_AI_ERROR, DT_AI_ERROR_INPUT, "%s cannot be read: %s. Check its name and permissions.",
              path, g_strerror(number));
  return FALSE;
}

static gboolean _fail_output(const _unpack_t *u, const char *name, int number, GError **error)
{
  const char *advice = "Check the permissions of the directory";
  if(number == ENOSPC || number == EDQUOT)
    advice = "Free some space and try again";
  else if(number == EFBIG)
    advice = "A limit on the size of files is too low for it";
  char *printable = dt_zip_printable(name);
  g_set_error(error, DT_AI_ERROR, DT_AI_ERROR_OUTPUT, "\"%s\" cannot be written to %s: %s. %s.", printable,
              u->dir, g_strerror(number), advice);
  g_free(printable);
  return FALSE;
}

static gboolean _refuse(const _unpack_t *u, const char *name, const char *why, const char *advice,
                        GError **error)
{
  char *printable = dt_zip_printable(name);
  dt_zip_refuse(u->file.path, error, advice, "\"%s\" %s", printable, why);
  g_free(printable);
  return FALSE;
}

// --- The file

static gboolean _open_file(const char *path, dt_zip_file_t *file, struct stat *status, GError **error)
{
  // not blocking: a named pipe would wait for a writer
  *file = (dt_zip_file_t){ .fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY), .path = path };
  if(file->fd < 0 || fstat(file->fd, status) != 0) return _fail_input(path, errno, error);
  if(!S_ISREG(status->st_mode))
  {
    g_set_error(error, DT_AI_ERROR, DT_AI_ERROR_INPUT, "%s is %s. Give the name of a .dtmodel file.", path,
                S_ISDIR(status->st_mode) ? "a directory" : "a device or another special file");
    return FALSE;
  }
  file->size = (guint64)status->st_size;
  return TRUE;
}

static char *_hash_file(const dt_zip_file_t *file, _progress_t *progress, GError **error)
{
  GChecksum *checksum = g_checksum_new(G_CHECKSUM_SHA256);
  guchar *block = g_malloc(BLOCK_SIZE);
  guint64 done = 0;
  gboolean ok = TRUE;
  while(ok && done < file->size)
  {
    const size_t size = (size_t)MIN(file->size - done, BLOCK_SIZE);
    ok = !_is_cancelled(progress, error);
    if(ok && !dt_zip_read_at(file->fd, done, block, size))
      ok = _fail_input(file->path, errno ? errno : EIO, error);
    if(!ok) break;
    g_checksum_update(checksum, block, (gssize)size);
    done += size;
    _advance(progress, size);
  }
  char *digest = ok ? g_strdup(g_checksum_get_string(checksum)) : NULL;
  g_checksum_free(checksum);
  g_free(block);
  return digest;
}

char *dt_package_sha256(const char *path, GCancellable *cancellable, GError **error)
{
  dt_zip_file_t file;
  struct stat status;
  _progress_t progress = { .cancellable = cancellable };
  char *digest = _open_file(path, &file, &status, error) ? _hash_file(&file, &progress, error) : NULL;
  if(file.fd >= 0) close(file.fd);
  return digest;
}

static gboolean _verify(_unpack_t *u, const char *sha256, GError **error)
{
  if(!sha256) return TRUE;
  u->progress.total = 2 * u->file.size; // reading again, and about as much to write
  char *digest = _hash_file(&u->file, &u->progress, error);
  const gboolean ok = digest && g_ascii_strcasecmp(digest, sha256) == 0;
  if(digest && !ok)
    g_set_error(
        error, DT_AI_ERROR, DT_AI_ERROR_NETWORK,
        "%s is not the file that was published: its SHA-256 is %s and should be %s. Download it again; "
        "if that does not help, tell whoever published it.",
        u->file.path, digest, sha256);
  g_free(digest);
  return ok;
}

/** Whoever wrote to the file meanwhile may have changed what was hashed. */
static gboolean _is_unchanged(const _unpack_t *u, GError **error)
{
  struct stat now;
  if(fstat(u->file.fd, &now) == 0 && now.st_size == u->before.st_size
     && now.st_mtim.tv_sec == u->before.st_mtim.tv_sec && now.st_mtim.tv_nsec == u->before.st_mtim.tv_nsec)
    return TRUE;
  return dt_zip_refuse(u->file.path, error, "Wait until it is complete, then try again",
                       "somebody else wrote to it meanwhile");
}

// --- What it will contain

static const char *_find_fault_of_type(const dt_zip_entry_t *entry)
{
  const gboolean is_directory = g_str_has_suffix(entry->name, "/");
  switch(entry->type)
  {
  case 0: break;
  case S_IFDIR:
    if(!is_directory) return "is a directory with the name of a file";
    break;
  case S_IFREG:
    if(is_directory) return "is a file with the name of a directory";
    break;
  case S_IFLNK: return "is a symbolic link; only regular files are accepted";
  default: return "is a device or another special file; only regular files are accepted";
  }
  return is_directory && entry->size ? "is a directory with contents" : NULL;
}

/** Checks one entry and adds its name. */
static gboolean _add_entry(_unpack_t *u, const dt_zip_entry_t *entry, GError **error)
{
  const char *why = _find_fault_of_type(entry);
  if(!why) why = dt_package_names_add(u->names, entry->name, g_str_has_suffix(entry->name, "/"));
  return !why || _refuse(u, entry->name, why, DT_ZIP_ASK_AUTHOR, error);
}

static const dt_zip_entry_t *_find_config(const _unpack_t *u)
{
  char *name = g_strconcat(dt_package_names_id(u->names), "/config.json", NULL);
  const dt_zip_entry_t *found = NULL;
  for(guint i = 0; i < u->entries->len && !found; i++)
  {
    const dt_zip_entry_t *entry = g_ptr_array_index(u->entries, i);
    if(strcmp(entry->name, name) == 0) found = entry;
  }
  g_free(name);
  return found;
}

static gboolean _refuse_size(const _unpack_t *u, GError **error)
{
  if(dt_package_limit(u->file.size) == DT_PACKAGE_MAX_BYTES)
    return dt_zip_refuse(u->file.path, error, DT_ZIP_ASK_AUTHOR, "it unpacks to more than %d GiB",
                         (int)(DT_PACKAGE_MAX_BYTES >> 30));
  return dt_zip_refuse(u->file.path, error, DT_ZIP_ASK_AUTHOR,
                       "it unpacks to more than %d times its size, as no model does", DT_PACKAGE_MAX_RATIO);
}

static gboolean _check_entries(_unpack_t *u, GError **error)
{
  guint64 total = 0;
  for(guint i = 0; i < u->entries->len; i++)
  {
    const dt_zip_entry_t *entry = g_ptr_array_index(u->entries, i);
    if(!_add_entry(u, entry, error)) return FALSE;
    if(entry->size > dt_package_limit(u->file.size) - total) return _refuse_size(u, error);
    total += entry->size;
  }
  u->progress.total = u->progress.done + total;
  const dt_zip_entry_t *config = _find_config(u);
  if(!config) return dt_zip_refuse(u->file.path, error, DT_ZIP_ASK_AUTHOR, "it has no config.json");
  return config->size <= DT_PACKAGE_MAX_CONFIG
         || _refuse(u, config->name, "is larger than 1 MiB", DT_ZIP_ASK_AUTHOR, error);
}

// --- Bytes for libarchive

static la_ssize_t _on_read(struct archive *archive, void *data, const void **buffer)
{
  _unpack_t *u = data;
  const size_t size = (size_t)MIN(u->file.size - u->position, BLOCK_SIZE);
  *buffer = u->block;
  if(g_cancellable_is_cancelled(u->progress.cancellable)
     || !dt_zip_read_at(u->file.fd, u->position, u->block, size))
  {
    u->failure = errno ? errno : EIO;
    archive_set_error(archive, u->failure, "read");
    return -1;
  }
  u->position += size;
  return (la_ssize_t)size;
}

static la_int64_t _on_seek(struct archive *archive, void *data, la_int64_t offset, int whence)
{
  _unpack_t *u = data;
  const la_int64_t size = (la_int64_t)u->file.size;
  const la_int64_t base = whence == SEEK_END ? size : whence == SEEK_CUR ? (la_int64_t)u->position : 0;
  if(offset < -base || offset > size - base)
  {
    archive_set_error(archive, EINVAL, "seek");
    return ARCHIVE_FATAL;
  }
  u->position = (guint64)(base + offset);
  return base + offset;
}

static la_int64_t _on_skip(struct archive *archive, void *data, la_int64_t request)
{
  (void)archive;
  _unpack_t *u = data;
  const guint64 skipped = MIN((guint64)MAX(request, 0), u->file.size - u->position);
  u->position += skipped;
  return (la_int64_t)skipped;
}

/** What a failure of libarchive means, at the entry @p name or NULL. */
static gboolean _explain_archive(const _unpack_t *u, const char *name, GError **error)
{
  if(_is_cancelled(&u->progress, error)) return FALSE;
  if(u->failure) return _fail_input(u->file.path, u->failure, error);
  if(!name) return dt_zip_refuse(u->file.path, error, DT_ZIP_DOWNLOAD_AGAIN, "the archive is damaged");
  return _refuse(u, name, "is damaged, its contents do not match their size or checksum",
                 DT_ZIP_DOWNLOAD_AGAIN, error);
}

static gboolean _open_archive(_unpack_t *u, GError **error)
{
  u->archive = archive_read_new();
  u->block = g_malloc(BLOCK_SIZE);
  // the seekable reader only: the other one believes what it meets on the way; macOS's attributes are files
  return (archive_read_support_format_zip_seekable(u->archive) == ARCHIVE_OK
          && archive_read_set_option(u->archive, "zip", "mac-ext", NULL) == ARCHIVE_OK
          && archive_read_set_seek_callback(u->archive, _on_seek) == ARCHIVE_OK
          && archive_read_open2(u->archive, u, NULL, _on_read, _on_skip, NULL) == ARCHIVE_OK)
         || _explain_archive(u, NULL, error);
}

// --- Writing

/** Some file systems know no sync; that is not the file's fault. */
static gboolean _is_synced(int result)
{
  return result == 0 || errno == EINVAL || errno == ENOTSUP || errno == ENOSYS;
}

/** Copies what libarchive unpacks into @p fd, not a byte more than announced: what all entries announce
 * together keeps to the limits. */
static gboolean _copy_entry(_unpack_t *u, const dt_zip_entry_t *entry, int fd, GError **error)
{
  guint64 done = 0, synced = 0;
  for(;;)
  {
    const void *bytes;
    size_t size;
    la_int64_t offset;
    if(_is_cancelled(&u->progress, error)) return FALSE;
    const int result = archive_read_data_block(u->archive, &bytes, &size, &offset);
    if(result == ARCHIVE_EOF) break;
    if(result != ARCHIVE_OK || (guint64)offset != done || size > entry->size - done)
      return _explain_archive(u, entry->name, error);
    if(!dt_write_all(fd, bytes, size)) return _fail_output(u, entry->name, errno, error);
    done += size;
    _advance(&u->progress, size);
    if(done - synced < SYNC_SIZE) continue;
    if(!_is_synced(fdatasync(fd))) return _fail_output(u, entry->name, errno, error);
    synced = done;
  }
  return done == entry->size || _explain_archive(u, entry->name, error);
}

static gboolean _unpack_file(_unpack_t *u, const dt_zip_entry_t *entry, GError **error)
{
  const char *last;
  const int parent = dt_package_open_parent(u->top, entry->name, TRUE, &last);
  if(parent < 0) return _fail_output(u, entry->name, errno, error);
  const int fd = openat(parent, last, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644);
  const int number = errno;
  close(parent);
  if(fd < 0) return _fail_output(u, entry->name, number, error);
  (void)!fchmod(fd, 0644); // whatever the umask; file systems without permissions are fine
  gboolean ok = _copy_entry(u, entry, fd, error);
  if(ok && !_is_synced(fsync(fd))) ok = _fail_output(u, entry->name, errno, error);
  if(close(fd) != 0 && ok) ok = _fail_output(u, entry->name, errno, error);
  return ok;
}

static gboolean _unpack_directory(_unpack_t *u, const dt_zip_entry_t *entry, GError **error)
{
  const int fd = dt_package_open_directory(u->top, entry->name, TRUE);
  if(fd < 0) return _fail_output(u, entry->name, errno, error);
  close(fd);
  return TRUE;
}

/** Whether libarchive is at the entry that the directory announced. A name that is not ASCII it converts to
 * the locale, with a warning when that cannot be. */
static gboolean _is_at(const dt_zip_entry_t *entry, struct archive_entry *found, int result)
{
  const mode_t type = archive_entry_filetype(found);
  const gboolean is_directory = g_str_has_suffix(entry->name, "/");
  if(type != 0 && type != (is_directory ? AE_IFDIR : AE_IFREG)) return FALSE;
  if(archive_entry_symlink(found) || archive_entry_hardlink(found)) return FALSE;
  if(!g_str_is_ascii(entry->name)) return result == ARCHIVE_OK || result == ARCHIVE_WARN;
  const char *name = archive_entry_pathname(found);
  return result == ARCHIVE_OK && name && strcmp(name, entry->name) == 0;
}

static gboolean _unpack_entries(_unpack_t *u, GError **error)
{
  struct archive_entry *found;
  for(guint i = 0; i < u->entries->len; i++)
  {
    const dt_zip_entry_t *entry = g_ptr_array_index(u->entries, i);
    const int result = archive_read_next_header(u->archive, &found);
    if(result == ARCHIVE_FATAL || result == ARCHIVE_EOF || !_is_at(entry, found, result))
      return _explain_archive(u, entry->name, error);
    if(g_str_has_suffix(entry->name, "/") ? !_unpack_directory(u, entry, error)
                                          : !_unpack_file(u, entry, error))
      return FALSE;
  }
  return archive_read_next_header(u->archive, &found) == ARCHIVE_EOF || _explain_archive(u, NULL, error);
}

/** Makes the names of what was unpacked as lasting as its contents. */
static gboolean _sync_directories(const _unpack_t *u, GError **error)
{
  gboolean ok = TRUE;
  GList *directories = g_list_prepend(dt_package_names_directories(u->names), (gpointer) "");
  for(GList *item = directories; item && ok; item = item->next)
  {
    const char *name = item->data;
    const int fd = dt_package_open_directory(u->top, name, FALSE);
    if(fd >= 0 && *name) (void)!fchmod(fd, 0755);
    ok = (fd >= 0 && _is_synced(fsync(fd))) || _fail_output(u, *name ? name : ".", errno, error);
    if(fd >= 0) close(fd);
  }
  g_list_free(directories);
  return ok;
}

// --- All of it

static gboolean _unpack(_unpack_t *u, const char *sha256, GError **error)
{
  if(u->file.size > MAX_ARCHIVE_SIZE)
    return dt_zip_refuse(u->file.path, error, DT_ZIP_ASK_AUTHOR, "it is too large");
  if(!_verify(u, sha256, error)) return FALSE;
  u->entries = dt_zip_directory_read(&u->file, DT_PACKAGE_MAX_ENTRIES, error);
  if(!u->entries || !_check_entries(u, error)) return FALSE;
  u->top = open(u->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if(u->top < 0) return _fail_output(u, dt_package_names_id(u->names), errno, error);
  return _open_archive(u, error) && _unpack_entries(u, error) && _sync_directories(u, error)
         && _is_unchanged(u, error);
}

char *dt_package_unpack(const char *path, const char *dir, const char *sha256, dt_bytes_progress_t progress,
                        gpointer user_data, GCancellable *cancellable, GError **error)
{
  _unpack_t u = { .dir = dir,
                  .top = -1,
                  .names = dt_package_names_new(),
                  .progress = { .report = progress, .user_data = user_data, .cancellable = cancellable } };
  char *id = NULL;
  if(_open_file(path, &u.file, &u.before, error) && _unpack(&u, sha256, error))
    id = g_strdup(dt_package_names_id(u.names));
  if(u.archive) archive_read_free(u.archive);
  if(u.entries) g_ptr_array_unref(u.entries);
  if(u.top >= 0) close(u.top);
  if(u.file.fd >= 0) close(u.file.fd);
  dt_package_names_free(u.names);
  g_free(u.block);
  return id;
}
