/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A library to preload that makes the Nth call fail which writes, syncs or renames a file:
 *   DT_FAIL_AT=N     which one, counted from 1; 0 or unset: none
 *   DT_FAIL_ALL=1    and every later one too (a disk that stays full)
 *   DT_KILL_AT=N     instead, the process dies of SIGKILL before the Nth call; here calls that create or
 *                    remove a name count as well
 *   DT_NO_EXCHANGE=1 renameat2() is not supported, as on some file systems
 *   DT_COUNT=FILE    receives the number of such calls when the program ends
 * Standard output and error are left alone. */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

static atomic_int _calls;

/* Whether this call is the one. */
static int _fails(int error)
{
  const char *at = getenv("DT_FAIL_AT"), *kill_at = getenv("DT_KILL_AT");
  const int wanted = at ? atoi(at) : 0, call = ++_calls;
  if(kill_at && atoi(kill_at) == call) raise(SIGKILL);
  if(wanted <= 0 || call < wanted || (call > wanted && !getenv("DT_FAIL_ALL"))) return 0;
  errno = error;
  return 1;
}

/* dlsym() gives a data pointer; the standard has no cast to a function, memcpy does it. */
#define REAL(type, name)                                                                                     \
  static type (*real)(); /* NOLINT */                                                                        \
  if(!real)                                                                                                  \
  {                                                                                                          \
    void *symbol = dlsym(RTLD_NEXT, name);                                                                   \
    memcpy(&real, &symbol, sizeof symbol);                                                                   \
  }

ssize_t write(int fd, const void *data, size_t size)
{
  REAL(ssize_t, "write")
  return fd > 2 && _fails(ENOSPC) ? -1 : real(fd, data, size);
}

ssize_t pwrite64(int fd, const void *data, size_t size, off_t offset)
{
  REAL(ssize_t, "pwrite64")
  return _fails(ENOSPC) ? -1 : real(fd, data, size, offset);
}

ssize_t pwrite(int fd, const void *data, size_t size, off_t offset)
{
  REAL(ssize_t, "pwrite")
  return _fails(ENOSPC) ? -1 : real(fd, data, size, offset);
}

int fsync(int fd)
{
  REAL(int, "fsync")
  return _fails(EIO) ? -1 : real(fd);
}

int fdatasync(int fd)
{
  REAL(int, "fdatasync")
  return _fails(EIO) ? -1 : real(fd);
}

int rename(const char *from, const char *to)
{
  REAL(int, "rename")
  return _fails(EACCES) ? -1 : real(from, to);
}

int renameat2(int from_dir, const char *from, int to_dir, const char *to, unsigned flags)
{
  REAL(int, "renameat2")
  if(getenv("DT_NO_EXCHANGE"))
  {
    errno = EINVAL;
    return -1;
  }
  return _fails(EACCES) ? -1 : real(from_dir, from, to_dir, to, flags);
}

int linkat(int from_dir, const char *from, int to_dir, const char *to, int flags)
{
  REAL(int, "linkat")
  return _fails(EACCES) ? -1 : real(from_dir, from, to_dir, to, flags);
}

/* A moment at which a process may die. */
static void _may_die(void)
{
  if(getenv("DT_KILL_AT")) (void)_fails(0);
}

int unlinkat(int dir, const char *path, int flags)
{
  REAL(int, "unlinkat")
  _may_die();
  return real(dir, path, flags);
}

int unlink(const char *path)
{
  REAL(int, "unlink")
  _may_die();
  return real(path);
}

int mkdir(const char *path, mode_t mode)
{
  REAL(int, "mkdir")
  _may_die();
  return real(path, mode);
}

int mkdirat(int dir, const char *path, mode_t mode)
{
  REAL(int, "mkdirat")
  _may_die();
  return real(dir, path, mode);
}

int openat(int dir, const char *path, int flags, ...)
{
  REAL(int, "openat")
  va_list args;
  va_start(args, flags);
  const mode_t mode = (flags & (O_CREAT | O_TMPFILE)) ? va_arg(args, mode_t) : 0;
  va_end(args);
  if(flags & O_CREAT) _may_die();
  return real(dir, path, flags, mode);
}

__attribute__((destructor)) static void _report(void)
{
  const char *path = getenv("DT_COUNT");
  const int calls = _calls;
  FILE *file = path ? fopen(path, "w") : NULL;
  if(!file) return;
  fprintf(file, "%d", calls);
  fclose(file);
}
