/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Input files: opened once, read by position. Reading by position lets several decoders of one file
 * (a TIFF with separate planes) share a descriptor, and no byte is ever mapped. */
#include "imageio/imageio_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <sys/stat.h>
#include <unistd.h>

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
    dt_imageio_set_error(error, DT_AI_ERROR_INPUT, path, "the file is empty; copy it again from its source");
  else
  {
    *size = (uint64_t)status.st_size;
    return TRUE;
  }
  return FALSE;
}

dt_input_t *dt_input_open(const char *path, GError **error)
{
  // O_NONBLOCK: opening a FIFO must not wait for a writer that never comes
  const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
  if(fd < 0)
  {
    _set_open_error(error, path, errno);
    return NULL;
  }
  uint64_t size;
  if(!_check_kind(fd, path, &size, error))
  {
    close(fd);
    return NULL;
  }
  dt_input_t *input = g_new0(dt_input_t, 1);
  *input = (dt_input_t){ .fd = fd, .name = g_strdup(path), .size = size };
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
