/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Input files: opened once, read by position. Reading by position lets several decoders of one file
 * (a TIFF with separate planes) share a descriptor, and no byte is ever mapped.
 *
 * What comes through a pipe cannot be read so, nor twice: it goes into a temporary file first. */
#include "imageio/imageio_internal.h"

#include "common/spool.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/** What the standard input is called in messages. */
#define STDIN_NAME "standard input"

void dt_imageio_set_error(GError **error, dt_ai_error_t code, const char *name, const char *format, ...)
{
  va_list args;
  va_start(args, format);
  char *text = g_strdup_vprintf(format, args);
  va_end(args);
  char *display = g_filename_display_name(name);
  g_set_error(error, DT_AI_ERROR, code, "%s: %s", display, text);
  g_free(display);
  g_free(text);
}

static void _set_open_error(GError **error, const char *path, int number)
{
  const char *advice = number == ENOENT   ? "check the name"
                       : number == EACCES ? "check its permissions"
                                          : "check the file and its disk";
  dt_imageio_set_error(error, DT_AI_ERROR_INPUT, path, "the file cannot be opened (%s); %s",
                       g_strerror(number), advice);
}

static gboolean _check_kind(int fd, const char *path, uint64_t *size, GError **error)
{
  struct stat status;
  if(fstat(fd, &status) != 0)
    _set_open_error(error, path, errno);
  else if(!S_ISREG(status.st_mode))
    dt_imageio_set_error(error, DT_AI_ERROR_INPUT, path,
                         "this is not a regular file; give the name of a picture");
  else if(status.st_size == 0)
    dt_imageio_set_error(error, DT_AI_ERROR_INPUT, path, "%s",
                         strcmp(path, STDIN_NAME) == 0 ? "nothing came in; check the command before the pipe"
                                                       : "the file is empty; copy it again from its source");
  else
  {
    *size = (uint64_t)status.st_size;
    return TRUE;
  }
  return FALSE;
}

// --- The standard input

/** Its bytes as a file, once for all readers of the process; -1 before. */
static int _stdin_file = -1;

static gboolean _fail_stdin(GError **error, const char *format, ...) G_GNUC_PRINTF(2, 3);
static gboolean _fail_stdin(GError **error, const char *format, ...)
{
  va_list args;
  va_start(args, format);
  char *text = g_strdup_vprintf(format, args);
  va_end(args);
  dt_imageio_set_error(error, DT_AI_ERROR_INPUT, STDIN_NAME, "%s", text);
  g_free(text);
  return FALSE;
}

/** A file that is read from its beginning can be used as it is. */
static gboolean _is_whole_file(int fd)
{
  struct stat status;
  return fstat(fd, &status) == 0 && S_ISREG(status.st_mode) && lseek(fd, 0, SEEK_CUR) == 0;
}

static int _spool_stdin(GError **error)
{
  gboolean failed_reading = FALSE;
  const int fd = dt_spool_open();
  if(fd >= 0 && dt_spool_fill(fd, STDIN_FILENO, &failed_reading)) return fd;
  const int number = errno;
  if(fd >= 0) close(fd);
  if(failed_reading)
    _fail_stdin(error, "it cannot be read (%s); check the command before the pipe", g_strerror(number));
  else
    _fail_stdin(
        error,
        "it has to be kept in a temporary file, and there is no room for that in %s (%s); set TMPDIR to "
        "a directory with more, or give the name of a file",
        g_get_tmp_dir(), g_strerror(number));
  return -1;
}

static int _open_stdin(GError **error)
{
  static GMutex lock;
  g_mutex_lock(&lock);
  if(_stdin_file < 0 && isatty(STDIN_FILENO))
    _fail_stdin(error, "this is a terminal; give the name of a picture, or pipe one in");
  else if(_stdin_file < 0)
    _stdin_file =
        _is_whole_file(STDIN_FILENO) ? fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3) : _spool_stdin(error);
  const int fd = _stdin_file < 0 ? -1 : fcntl(_stdin_file, F_DUPFD_CLOEXEC, 3);
  if(_stdin_file >= 0 && fd < 0) _set_open_error(error, STDIN_NAME, errno);
  g_mutex_unlock(&lock);
  return fd;
}

// --- Opening

static int _open_file(const char *path, GError **error)
{
  // O_NONBLOCK: opening a FIFO must not wait for a writer that never comes
  const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
  if(fd < 0) _set_open_error(error, path, errno);
  return fd;
}

dt_input_t *dt_input_open(const char *path, GError **error)
{
  const gboolean stream = strcmp(path, DT_IMAGEIO_STREAM) == 0;
  const char *name = stream ? STDIN_NAME : path;
  const int fd = stream ? _open_stdin(error) : _open_file(path, error);
  uint64_t size;
  if(fd < 0) return NULL;
  if(!_check_kind(fd, name, &size, error))
  {
    close(fd);
    return NULL;
  }
  dt_input_t *input = g_new0(dt_input_t, 1);
  *input = (dt_input_t){ .fd = fd, .name = g_strdup(name), .size = size };
  return input;
}

void dt_input_close(dt_input_t *input)
{
  if(!input) return;
  close(input->fd);
  g_free(input->name);
  g_free(input);
}

size_t dt_input_read(const dt_input_t *input, uint64_t offset, void *data, size_t size)
{
  size_t done = 0;
  while(done < size && offset + done <= INT64_MAX)
  {
    const ssize_t got = pread(input->fd, (char *)data + done, size - done, (off_t)(offset + done));
    if(got < 0 && errno == EINTR) continue;
    if(got <= 0) break;
    done += (size_t)got;
  }
  return done;
}

GBytes *dt_input_read_bytes(const dt_input_t *input, uint64_t offset, size_t size)
{
  if(size == 0 || size > DT_IMAGEIO_MAX_BLOB || offset > input->size || size > input->size - offset)
    return NULL;
  void *data = g_try_malloc(size);
  if(data && dt_input_read(input, offset, data, size) == size) return g_bytes_new_take(data, size);
  g_free(data);
  return NULL;
}
