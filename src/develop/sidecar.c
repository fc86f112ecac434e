/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Sidecars as files. */
#include "develop/sidecar.h"

#include "common/part_file.h"
#include "develop/history_xmp.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

char *dt_sidecar_path(const char *photo)
{
  return g_strconcat(photo, DT_SIDECAR_SUFFIX, NULL);
}

/* Puts the file's name before the message. */
static void _name_file(const char *path, GError **error)
{
  char *shown = g_filename_display_name(path);
  g_prefix_error(error, "%s: ", shown);
  g_free(shown);
}

/* --- reading --- */

static gboolean _refuse(GError **error, const char *why)
{
  g_set_error(error, DT_AI_ERROR, DT_AI_ERROR_INPUT, "%s.", why);
  return FALSE;
}

/* All of @p fd; a file that grows meanwhile is no reason to read for ever. */
static GBytes *_read_all(int fd, GError **error)
{
  const gsize room = DT_HISTORY_MAX_SIZE + 1;
  char *bytes = g_malloc(room);
  gsize size = 0;
  ssize_t got = 1;
  while(got > 0 && size < room)
  {
    got = read(fd, bytes + size, room - size);
    if(got > 0) size += (gsize)got;
    if(got < 0 && errno == EINTR) got = 1;
  }
  const int number = errno;
  if(got >= 0 && size <= DT_HISTORY_MAX_SIZE)
    return g_bytes_new_take(g_realloc(bytes, size ? size : 1), size);
  _refuse(error, got < 0 ? g_strerror(number) : "it has more than 4 MiB, which no history needs");
  g_free(bytes);
  return NULL;
}

GBytes *dt_sidecar_read_bytes(const char *path, gboolean *missing, GError **error)
{
  struct stat info;
  GBytes *bytes = NULL;
  const int fd = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC); /* a pipe would be waited for */
  const int number = errno;
  if(missing) *missing = fd < 0 && number == ENOENT;
  if(fd < 0 && missing && *missing) return NULL;
  if(fd < 0)
    _refuse(error, g_strerror(number));
  else if(fstat(fd, &info) != 0 || !S_ISREG(info.st_mode))
    _refuse(error, "this is no plain file");
  else
    bytes = _read_all(fd, error);
  if(fd >= 0) close(fd);
  if(!bytes) _name_file(path, error);
  return bytes;
}

/* Takes @p bytes; NULL is an error already. */
static dt_history_t *_parse(const char *path, GBytes *bytes, const dt_iop_module_t *const *modules,
                            GPtrArray *remarks, GError **error)
{
  if(!bytes) return NULL;
  dt_history_t *history = dt_history_from_xmp(bytes, modules, remarks, error);
  if(!history) _name_file(path, error);
  g_bytes_unref(bytes);
  return history;
}

dt_history_t *dt_sidecar_read(const char *path, const dt_iop_module_t *const *modules, GPtrArray *remarks,
                              GError **error)
{
  return _parse(path, dt_sidecar_read_bytes(path, NULL, error), modules, remarks, error);
}

/* Nobody asked for the sidecar by name: who wants the photograph is told what to do about it. Takes @p reason over. */
static void _advise(GError *reason, GError **error)
{
  g_set_error(error, reason->domain, reason->code,
              "%s\nCorrect or remove it (export does without it: --history none).", reason->message);
  g_error_free(reason);
}

dt_history_t *dt_sidecar_load(const char *photo, const dt_iop_module_t *const *modules, GPtrArray *remarks,
                              GError **error)
{
  char *path = dt_sidecar_path(photo);
  gboolean missing;
  GError *reason = NULL;
  GBytes *bytes = dt_sidecar_read_bytes(path, &missing, &reason);
  dt_history_t *history =
      missing ? dt_history_create(modules) : _parse(path, bytes, modules, remarks, &reason);
  if(reason) _advise(reason, error);
  g_free(path);
  return history;
}

/* --- writing --- */

static gboolean _write_bytes(const char *path, GBytes *bytes, GError **error)
{
  gsize size;
  const void *data = g_bytes_get_data(bytes, &size);
  dt_part_t *part = dt_part_create(path, TRUE, error);
  if(!part) return FALSE;
  dt_part_append(part, data, size); /* a failure is remembered */
  return dt_part_commit(part, error);
}

gboolean dt_sidecar_write(const char *path, const dt_history_t *history, gboolean force, GError **error)
{
  gboolean missing;
  GBytes *old = dt_sidecar_read_bytes(path, &missing, error);
  if(!old && !missing) return FALSE;
  GBytes *bytes = dt_history_to_xmp(history, old, force, error);
  if(!bytes) _name_file(path, error);
  const gboolean done = bytes && ((old && g_bytes_equal(old, bytes)) || _write_bytes(path, bytes, error));
  g_clear_pointer(&old, g_bytes_unref);
  g_clear_pointer(&bytes, g_bytes_unref);
  return done;
}
