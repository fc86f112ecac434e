/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Output files that appear whole or not at all.
 *
 * Bytes go into a hidden `.NAME.XXXXXX.part` in the target's directory, locked while its writer
 * lives. Once complete it is synced, renamed onto the target, and the directory is synced. A killed
 * writer leaves its `.part` without a lock; the next one that writes into the directory removes it.
 * The six characters are four random ones and two that check the name, so that a sweep does not
 * take another program's file that happens to look alike.
 *
 * A target that is a symbolic link stays one: the file it points to is replaced.
 *
 * A stream cannot be had whole or not at all. What is written from the first byte to the last goes there as it comes;
 * everything else waits in an unnamed temporary file. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE // renameat2
#endif
#include "common/part_file.h"
#include "common/spool.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

/** Bytes that dt_part_append() collects before it writes. */
#define BUFFER_SIZE ((size_t)64 << 10)
/** Longest piece of the target's name in a part's name: a file name has 255 bytes. */
#define MAX_STEM 200
#define SUFFIX ".part"
#define RANDOM_CHARS 4
#define CHECK_CHARS 2
#define MARK_CHARS (RANDOM_CHARS + CHECK_CHARS)

struct dt_part_t
{
  int fd;            ///< of the part; -1 when everything goes to the stream
  int stream;        ///< what it is for when it has no name, else -1
  uint64_t streamed; ///< bytes that went there
  int failure;       ///< errno of the first failed write, 0 while all is well
  gboolean overwrite;
  char *name;        ///< the target as the user gave it, for messages
  char *target;      ///< the target with links resolved, NULL for a stream
  char *path;        ///< the part, NULL for a stream
  uint64_t appended; ///< bytes appended, buffered ones included
  size_t buffered;
  unsigned char buffer[BUFFER_SIZE];
};

// --- Names

static const char _alphabet[] = "abcdefghijklmnopqrstuvwxyz0123456789";

/** Fills the two check characters that belong to stem and random characters. */
static void _compute_check(const char *stem, size_t length, const char *random, char *check)
{
  uint32_t hash = 2166136261u; // FNV-1a
  for(size_t i = 0; i < length; i++) hash = (hash ^ (unsigned char)stem[i]) * 16777619u;
  for(int i = 0; i < RANDOM_CHARS; i++) hash = (hash ^ (unsigned char)random[i]) * 16777619u;
  for(int i = 0; i < CHECK_CHARS; i++, hash /= 36) check[i] = _alphabet[hash % 36];
}

static size_t _cut_stem(const char *name)
{
  size_t length = strlen(name);
  if(length <= MAX_STEM) return length;
  // not in the middle of a UTF-8 character
  for(length = MAX_STEM; length > 0 && ((unsigned char)name[length] & 0xc0) == 0x80;) length--;
  return length;
}

static char *_make_part_name(const char *name)
{
  const size_t length = _cut_stem(name);
  char mark[MARK_CHARS + 1] = { 0 };
  for(int i = 0; i < RANDOM_CHARS; i++) mark[i] = _alphabet[g_random_int_range(0, 36)];
  _compute_check(name, length, mark, mark + RANDOM_CHARS);
  return g_strdup_printf(".%.*s.%s" SUFFIX, (int)length, name, mark);
}

/** Whether @p name is one that _make_part_name() makes. */
static gboolean _is_part_name(const char *name)
{
  const size_t length = strlen(name), tail = 1 + MARK_CHARS + strlen(SUFFIX);
  if(name[0] != '.' || length < 2 + tail || strcmp(name + length - strlen(SUFFIX), SUFFIX) != 0) return FALSE;
  const char *dot = name + length - tail;
  char check[CHECK_CHARS];
  _compute_check(name + 1, (size_t)(dot - name - 1), dot + 1, check);
  return *dot == '.' && memcmp(check, dot + 1 + RANDOM_CHARS, CHECK_CHARS) == 0;
}

// --- Sweeping

/** Whether the open file and the name in the directory are the same ordinary file. */
static gboolean _is_same(int fd, int directory, const char *name)
{
  struct stat opened, named;
  return fstat(fd, &opened) == 0 && fstatat(directory, name, &named, AT_SYMLINK_NOFOLLOW) == 0
         && S_ISREG(opened.st_mode) && opened.st_dev == named.st_dev && opened.st_ino == named.st_ino;
}

static void _sweep_one(int directory, const char *name)
{
  const int fd = openat(directory, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
  if(fd < 0) return;
  struct stat status;
  if(fstat(fd, &status) == 0 && status.st_uid == geteuid() && flock(fd, LOCK_EX | LOCK_NB) == 0
     && _is_same(fd, directory, name))
    unlinkat(directory, name, 0);
  close(fd);
}

void dt_part_sweep(const char *directory)
{
  DIR *entries = opendir(directory);
  if(!entries) return;
  for(struct dirent *entry = readdir(entries); entry; entry = readdir(entries))
    if(_is_part_name(entry->d_name)) _sweep_one(dirfd(entries), entry->d_name);
  closedir(entries);
}

// --- Creating

static void _fail(GError **error, const char *name, const char *format, ...) G_GNUC_PRINTF(3, 4);
static void _fail(GError **error, const char *name, const char *format, ...)
{
  va_list args;
  va_start(args, format);
  char *text = g_strdup_vprintf(format, args), *display = g_filename_display_name(name);
  va_end(args);
  g_set_error(error, DT_AI_ERROR, DT_AI_ERROR_OUTPUT, "%s: %s.", display, text);
  g_free(display);
  g_free(text);
}

static void _set_output_error(GError **error, const char *name, int number, const char *what)
{
  const char *advice = "check the directory and its permissions";
  if(number == ENOSPC || number == EDQUOT)
    advice = "the disk is full: free some space or choose another directory";
  else if(number == EFBIG)
    advice = "the file is larger than the file system or a limit allows: choose another directory";
  else if(number == ENOENT || number == ENOTDIR)
    advice = "the directory does not exist: create it first";
  else if(number == EPIPE)
    advice = "whatever read from the pipe has ended: check the command behind it";
  else if(number == EROFS)
    advice = "the file system is read-only: choose another directory";
  _fail(error, name, "%s (%s); %s", what, g_strerror(number), advice);
}

/** The path that is really written: a symbolic link's end. */
static char *_resolve_target(const char *path, GError **error)
{
  if(!g_file_test(path, G_FILE_TEST_IS_SYMLINK)) return g_strdup(path);
  char *resolved = realpath(path, NULL);
  if(!resolved)
  {
    _fail(error, path,
          "this is a symbolic link that leads nowhere (%s); remove it or choose "
          "another name",
          g_strerror(errno));
    return NULL;
  }
  char *copy = g_strdup(resolved);
  free(resolved);
  return copy;
}

/** Checks what stands at the target; @p mode receives the permissions to keep, 0 for none. */
static gboolean _check_target(const char *name, const char *target, gboolean overwrite, mode_t *mode,
                              GError **error)
{
  struct stat status;
  *mode = 0;
  if(stat(target, &status) != 0)
  {
    if(errno == ENOENT) return TRUE;
    _set_output_error(error, name, errno, "the output cannot be written");
  }
  else if(S_ISDIR(status.st_mode))
    _fail(error, name, "this is a directory; give the name of a file in it");
  else if(!S_ISREG(status.st_mode))
    _fail(error, name, "this is a device or another special file; choose a regular file");
  else if(!overwrite)
    _fail(error, name, "the file exists already; choose another name or allow overwriting (--overwrite)");
  else
  {
    *mode = status.st_mode & 0777;
    return TRUE;
  }
  return FALSE;
}

/** Opens a fresh part in @p directory, locked; -1 with errno. */
static int _open_part(const char *directory, const char *base, char **path)
{
  for(int attempt = 0; attempt < 64; attempt++)
  {
    char *name = _make_part_name(base);
    *path = g_build_filename(directory, name, NULL);
    g_free(name);
    const int fd = open(*path, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0666); // less the umask
    // between open and lock another program's sweep may have taken the file for a stale one
    if(fd >= 0 && (flock(fd, LOCK_EX | LOCK_NB) == 0 || errno != EWOULDBLOCK)
       && _is_same(fd, AT_FDCWD, *path))
      return fd;
    const int number = errno;
    if(fd >= 0) close(fd);
    g_clear_pointer(path, g_free);
    errno = number;
    if(fd < 0 && number != EEXIST) return -1;
  }
  errno = EEXIST;
  return -1;
}

static dt_part_t *_create_at(const char *name, const char *target, mode_t mode, GError **error)
{
  char *directory = g_path_get_dirname(target);
  char *base = g_path_get_basename(target);
  char *path = NULL;
  dt_part_sweep(directory);
  const int fd = _open_part(directory, base, &path);
  const int number = errno;
  g_free(base);
  g_free(directory);
  if(fd < 0)
  {
    _set_output_error(error, name, number, "the output cannot be created");
    return NULL;
  }
  if(mode) (void)!fchmod(fd, mode); // file systems without permissions are fine
  dt_part_t *part = g_new0(dt_part_t, 1);
  part->fd = fd;
  part->stream = -1;
  part->name = g_strdup(name);
  part->target = g_strdup(target);
  part->path = path;
  return part;
}

dt_part_t *dt_part_create(const char *path, gboolean overwrite, GError **error)
{
  char *target = _resolve_target(path, error);
  mode_t mode;
  dt_part_t *part = NULL;
  if(target && _check_target(path, target, overwrite, &mode, error))
    part = _create_at(path, target, mode, error);
  if(part) part->overwrite = overwrite;
  g_free(target);
  return part;
}

dt_part_t *dt_part_create_stream(int fd, const char *name, gboolean in_order, GError **error)
{
  if(isatty(fd))
  {
    _fail(error, name,
          "this is a terminal; give the name of a file with -o, or pipe the picture into a command");
    return NULL;
  }
  const int spool = in_order ? -1 : dt_spool_open();
  if(!in_order && spool < 0)
  {
    _fail(error, name, "a temporary file cannot be created in %s (%s); set TMPDIR to another directory",
          g_get_tmp_dir(), g_strerror(errno));
    return NULL;
  }
  dt_part_t *part = g_new0(dt_part_t, 1);
  part->fd = spool;
  part->stream = fd;
  part->name = g_strdup(name);
  return part;
}

const char *dt_part_target(const dt_part_t *part)
{
  return part->target;
}

// --- Writing

/** Writes to the stream; one that does not block makes us wait. */
static gboolean _stream(dt_part_t *part, const char *data, size_t size)
{
  while(size > 0 && !part->failure)
  {
    const ssize_t put = write(part->stream, data, size);
    if(put < 0 && errno == EAGAIN)
      poll(&(struct pollfd){ .fd = part->stream, .events = POLLOUT }, 1, -1);
    else if(put < 0 && errno != EINTR)
      part->failure = errno;
    if(put <= 0) continue;
    data += put;
    size -= (size_t)put;
    part->streamed += (size_t)put;
  }
  return !part->failure;
}

gboolean dt_part_write(dt_part_t *part, uint64_t offset, const void *data, size_t size)
{
  if(part->fd < 0)
  {
    if(offset != part->streamed && !part->failure) part->failure = ESPIPE;
    return _stream(part, data, size);
  }
  for(size_t done = 0; done < size && !part->failure;)
  {
    const ssize_t put = pwrite(part->fd, (const char *)data + done, size - done, (off_t)(offset + done));
    if(put < 0 && errno == EINTR) continue;
    if(put <= 0)
      part->failure = put < 0 ? errno : ENOSPC;
    else
      done += (size_t)put;
  }
  return !part->failure;
}

gboolean dt_part_flush(dt_part_t *part)
{
  const size_t size = part->buffered;
  part->buffered = 0;
  return dt_part_write(part, part->appended - size, part->buffer, size);
}

gboolean dt_part_append(dt_part_t *part, const void *data, size_t size)
{
  const char *bytes = data;
  while(size > 0)
  {
    const size_t piece = MIN(size, BUFFER_SIZE - part->buffered);
    memcpy(part->buffer + part->buffered, bytes, piece);
    part->buffered += piece;
    part->appended += piece;
    bytes += piece;
    size -= piece;
    if(part->buffered == BUFFER_SIZE && !dt_part_flush(part)) return FALSE;
  }
  return !part->failure;
}

size_t dt_part_read(dt_part_t *part, uint64_t offset, void *data, size_t size)
{
  size_t done = 0;
  while(done < size)
  {
    const ssize_t got = pread(part->fd, (char *)data + done, size - done, (off_t)(offset + done));
    if(got < 0 && errno == EINTR) continue;
    if(got <= 0) break;
    done += (size_t)got;
  }
  return done;
}

uint64_t dt_part_size(dt_part_t *part)
{
  struct stat status;
  if(part->fd < 0) return part->streamed;
  return fstat(part->fd, &status) == 0 ? (uint64_t)status.st_size : 0;
}

gboolean dt_part_is_fine(const dt_part_t *part)
{
  return part->failure == 0;
}

void dt_part_set_error(const dt_part_t *part, const char *otherwise, GError **error)
{
  if(part->failure)
    _set_output_error(error, part->name, part->failure, "the output cannot be written");
  else
    _fail(error, part->name, "the output cannot be written: %s", otherwise);
}

// --- Ending

static void _free_part(dt_part_t *part)
{
  if(part->fd >= 0) close(part->fd); // gives up the lock
  g_free(part->name);
  g_free(part->target);
  g_free(part->path);
  g_free(part);
}

void dt_part_abandon(dt_part_t *part)
{
  if(!part) return;
  if(part->path) unlink(part->path);
  _free_part(part);
}

/** Gives the part the target's name unless something has it. File systems that know neither way of
 * doing so in one step (FAT) are asked first. */
static int _rename_new(const char *from, const char *to)
{
  if(renameat2(AT_FDCWD, from, AT_FDCWD, to, RENAME_NOREPLACE) == 0) return 0;
  if(errno != EINVAL && errno != ENOSYS) return -1;
  if(link(from, to) == 0)
  {
    unlink(from);
    return 0;
  }
  if(errno == EEXIST) return -1;
  if(access(to, F_OK) == 0)
  {
    errno = EEXIST;
    return -1;
  }
  return rename(from, to);
}

static void _sync_directory(const char *target)
{
  char *directory = g_path_get_dirname(target);
  const int fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if(fd >= 0)
  {
    fsync(fd); // best effort: some file systems refuse, and the file itself is synced
    close(fd);
  }
  g_free(directory);
}

/** Sends what waits in the temporary file. */
static gboolean _copy_to_stream(dt_part_t *part)
{
  char *buffer = g_malloc(BUFFER_SIZE);
  size_t got = part->fd < 0 ? 0 : BUFFER_SIZE;
  for(uint64_t at = 0; got == BUFFER_SIZE && !part->failure; at += got)
  {
    got = dt_part_read(part, at, buffer, BUFFER_SIZE);
    _stream(part, buffer, got);
  }
  g_free(buffer);
  return !part->failure;
}

static gboolean _commit_stream(dt_part_t *part, GError **error)
{
  gboolean done = dt_part_flush(part) && _copy_to_stream(part);
  if(done && part->streamed != dt_part_size(part))
  {
    part->failure = EIO; // the temporary file could not be read back
    done = FALSE;
  }
  if(!done) dt_part_set_error(part, "", error);
  _free_part(part);
  return done;
}

gboolean dt_part_commit(dt_part_t *part, GError **error)
{
  if(part->stream >= 0) return _commit_stream(part, error);
  gboolean done = dt_part_flush(part);
  if(done && fsync(part->fd) != 0 && errno != EINVAL && errno != ENOTSUP)
  {
    part->failure = errno;
    done = FALSE;
  }
  if(done
     && (part->overwrite ? rename(part->path, part->target) : _rename_new(part->path, part->target)) != 0)
  {
    part->failure = errno;
    done = FALSE;
  }
  if(!done)
  {
    if(part->failure == EEXIST)
      _fail(error, part->name,
            "another program created the file meanwhile; choose another name or "
            "allow overwriting (--overwrite)");
    else
      dt_part_set_error(part, "", error);
    dt_part_abandon(part);
    return FALSE;
  }
  _sync_directory(part->target);
  _free_part(part);
  return TRUE;
}
