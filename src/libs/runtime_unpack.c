/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The archive's digest is known by then, so this is a second line of defence: libarchive delivers bytes, and the
 * only files that are made are made here, by their last name, in one directory. libarchive's way of writing to
 * disk is not used, and its error texts are not shown, they may quote the archive. */
#include "libs/runtime_unpack.h"
#include "common/write_all.h"
#include "common/zip_directory.h"

#include <archive.h>
#include <archive_entry.h>
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define BLOCK_SIZE ((size_t)128 << 10)
#define PROGRESS_INTERVAL (100 * G_TIME_SPAN_MILLISECOND)

typedef struct _unpack_t
{
  const char *path, *dir;
  char *const *members;
  gboolean *seen; /* of members: one has matched */
  int top;        /* the directory to unpack into */
  struct archive *archive;
  guint64 done, limit;
  gint64 next; /* when to report again */
  dt_bytes_progress_t progress;
  gpointer user_data;
  GCancellable *cancellable;
} _unpack_t;

static gboolean _refuse(const _unpack_t *u, const char *name, const char *why, GError **error)
{
  char *printable = dt_zip_printable(name);
  g_set_error(error, DT_AI_ERROR, DT_AI_ERROR_NETWORK,
              "%s is not what it should be: \"%s\" %s. Ask whoever made it for a correct one.", u->path,
              printable, why);
  g_free(printable);
  return FALSE;
}

static gboolean _fail_damaged(const _unpack_t *u, GError **error)
{
  g_set_error(error, DT_AI_ERROR, DT_AI_ERROR_NETWORK, "%s is damaged. Download it again.", u->path);
  return FALSE;
}

static gboolean _fail_output(const _unpack_t *u, const char *name, GError **error)
{
  const int number = errno;
  char *printable = dt_zip_printable(name);
  g_set_error(error, DT_AI_ERROR, DT_AI_ERROR_OUTPUT, "\"%s\" cannot be written to %s: %s. %s.", printable,
              u->dir, g_strerror(number),
              number == ENOSPC || number == EDQUOT ? "Free some space and try again"
                                                   : "Check the permissions of the directory");
  g_free(printable);
  return FALSE;
}

static gboolean _is_cancelled(const _unpack_t *u, GError **error)
{
  if(!g_cancellable_is_cancelled(u->cancellable)) return FALSE;
  g_set_error_literal(error, DT_AI_ERROR, DT_AI_ERROR_CANCELLED, "Cancelled.");
  return TRUE;
}

static void _advance(_unpack_t *u, size_t bytes)
{
  u->done += bytes;
  if(!u->progress || (u->done < u->limit && g_get_monotonic_time() < u->next)) return;
  u->progress(u->done, u->limit, u->user_data);
  u->next = g_get_monotonic_time() + PROGRESS_INTERVAL;
}

/* --- the rules --- */

/* Why the name cannot be in an honest archive, or NULL. */
static const char *_find_fault(const char *name)
{
  if(name[0] == '/' || strchr(name, '\\')) return "leads out of the archive";
  char **parts = g_strsplit(name, "/", -1);
  const gboolean leads_out = g_strv_contains((const char *const *)parts, "..");
  g_strfreev(parts);
  return leads_out ? "leads out of the archive" : NULL;
}

static gboolean _is_wanted(_unpack_t *u, const char *name)
{
  for(size_t i = 0; u->members[i]; i++)
    if(fnmatch(u->members[i], name, FNM_PATHNAME | FNM_PERIOD) == 0)
    {
      u->seen[i] = TRUE;
      return TRUE;
    }
  return FALSE;
}

static gboolean _all_are_there(const _unpack_t *u, GError **error)
{
  for(size_t i = 0; u->members[i]; i++)
    if(!u->seen[i]) return _refuse(u, u->members[i], "is not in it", error);
  return TRUE;
}

/* --- writing --- */

/* Files without holes: what comes is written one behind the other. */
static gboolean _copy_entry(_unpack_t *u, const char *name, int fd, GError **error)
{
  for(la_int64_t expected = 0;;)
  {
    const void *bytes;
    size_t size;
    la_int64_t offset;
    if(_is_cancelled(u, error)) return FALSE;
    const int result = archive_read_data_block(u->archive, &bytes, &size, &offset);
    if(result == ARCHIVE_EOF) return TRUE;
    if(result != ARCHIVE_OK || offset != expected) return _fail_damaged(u, error);
    if(size > u->limit - u->done) return _refuse(u, name, "is larger than it should be", error);
    if(!dt_write_all(fd, bytes, size)) return _fail_output(u, name, error);
    expected += (la_int64_t)size;
    _advance(u, size);
  }
}

/* Newer C libraries do not load what asks for an executable stack; builds of assembler without a note ask for it
 * by mistake. What is no 64-bit ELF file of this byte order is left alone. */
static gboolean _clear_executable_stack(int fd)
{
  Elf64_Ehdr head;
  if(pread(fd, &head, sizeof head, 0) != (ssize_t)sizeof head || memcmp(head.e_ident, ELFMAG, SELFMAG) != 0
     || head.e_ident[EI_CLASS] != ELFCLASS64 || head.e_phentsize != sizeof(Elf64_Phdr))
    return TRUE;
  for(unsigned i = 0; i < head.e_phnum; i++)
  {
    Elf64_Phdr segment;
    const off_t at = (off_t)(head.e_phoff + i * sizeof segment);
    if(at < 0 || pread(fd, &segment, sizeof segment, at) != (ssize_t)sizeof segment) return TRUE;
    if(segment.p_type != PT_GNU_STACK || !(segment.p_flags & PF_X)) continue;
    segment.p_flags &= ~(Elf64_Word)PF_X;
    return pwrite(fd, &segment, sizeof segment, at) == (ssize_t)sizeof segment;
  }
  return TRUE;
}

static gboolean _unpack_file(_unpack_t *u, const char *name, GError **error)
{
  const char *slash = strrchr(name, '/'), *last = slash ? slash + 1 : name;
  const int fd = openat(u->top, last, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644);
  if(fd < 0)
    return errno == EEXIST ? _refuse(u, name, "is there twice", error) : _fail_output(u, last, error);
  (void)!fchmod(fd, 0644); /* whatever the umask */
  gboolean ok = _copy_entry(u, name, fd, error);
  if(ok && (!_clear_executable_stack(fd) || (fsync(fd) != 0 && errno != EINVAL)))
    ok = _fail_output(u, last, error);
  if(close(fd) != 0 && ok) ok = _fail_output(u, last, error);
  return ok;
}

/* --- all of it --- */

static gboolean _take_entry(_unpack_t *u, struct archive_entry *entry, GError **error)
{
  const char *name = archive_entry_pathname(entry);
  if(!name) return _refuse(u, "?", "has a name that cannot be read", error);
  const char *why = _find_fault(name);
  if(why) return _refuse(u, name, why, error);
  if(!_is_wanted(u, name)) return TRUE;
  if(archive_entry_filetype(entry) != AE_IFREG || archive_entry_hardlink(entry))
    return _refuse(u, name, "is no regular file", error);
  return _unpack_file(u, name, error);
}

static gboolean _take_entries(_unpack_t *u, GError **error)
{
  struct archive_entry *entry;
  for(int result; (result = archive_read_next_header(u->archive, &entry)) != ARCHIVE_EOF;)
  {
    if(_is_cancelled(u, error)) return FALSE;
    if(result != ARCHIVE_OK && result != ARCHIVE_WARN) return _fail_damaged(u, error);
    if(!_take_entry(u, entry, error)) return FALSE;
  }
  return _all_are_there(u, error);
}

static gboolean _open_archive(_unpack_t *u, GError **error)
{
  u->archive = archive_read_new();
  return (archive_read_support_format_zip_seekable(u->archive) == ARCHIVE_OK
          && archive_read_support_format_tar(u->archive) == ARCHIVE_OK
          && archive_read_support_filter_gzip(u->archive) == ARCHIVE_OK
          && archive_read_open_filename(u->archive, u->path, BLOCK_SIZE) == ARCHIVE_OK)
         || _fail_damaged(u, error);
}

gboolean dt_runtime_unpack(const char *archive, char *const *members, guint64 limit, const char *dir,
                           dt_bytes_progress_t progress, gpointer user_data, GCancellable *cancellable,
                           GError **error)
{
  _unpack_t u = { .path = archive,
                  .dir = dir,
                  .members = members,
                  .seen = g_new0(gboolean, g_strv_length((char **)members) + 1),
                  .top = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC),
                  .limit = limit,
                  .progress = progress,
                  .user_data = user_data,
                  .cancellable = cancellable };
  gboolean ok = u.top >= 0 || _fail_output(&u, ".", error);
  ok = ok && _open_archive(&u, error) && _take_entries(&u, error);
  if(ok && fsync(u.top) != 0 && errno != EINVAL) ok = _fail_output(&u, ".", error);
  if(u.archive) archive_read_free(u.archive);
  if(u.top >= 0) close(u.top);
  g_free(u.seen);
  return ok;
}
