/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The directory of encoded pictures: `KEY-MODEL.seg` holds one, `PATH.key` (named by the SHA-256 of the path)
 * what is known of a picture's file. Both are written beside and renamed. When they were used last is their
 * own time of modification, so that no index can disagree with what is there. */
#include "seg_cache.h"
#include "common/checksum.h"
#include "common/conf.h"
#include "common/log.h"
#include "common/paths.h"
#include "common/tree.h"
#include "seg_file.h"

#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define FOLDER "segmentation"
#define PICTURE ".seg"
#define PATH ".key"
/* Paths that are remembered; each is a small file. */
#define MAX_PATHS 1000
/* Two seconds, the step of FAT, and the kernel's own clock, which may lag behind by one of its ticks. */
#define TICK_NS (2100 * G_GINT64_CONSTANT(1000000))
/* What a killed writer leaves is swept after this time; also how far ahead another program's clock may be. */
#define HOUR_NS (3600 * G_GINT64_CONSTANT(1000000000))
#define PIECE ((size_t)1 << 20)

char *dt_seg_cache_folder(void)
{
  char *cache = dt_paths_get(DT_DIR_CACHE), *folder = g_build_filename(cache, FOLDER, NULL);
  g_free(cache);
  return folder;
}

static char *_build_path(const char *stem, const char *ending)
{
  char *folder = dt_seg_cache_folder(), *name = g_strconcat(stem, ending, NULL);
  char *path = g_build_filename(folder, name, NULL);
  g_free(name);
  g_free(folder);
  return path;
}

static char *_build_picture_path(const char *key, const char *model)
{
  char *stem = g_strconcat(key, "-", model, NULL), *path = _build_path(stem, PICTURE);
  g_free(stem);
  return path;
}

static guint64 _get_limit(void)
{
  char *setting = dt_conf_get_string(DT_CONF_AI_MASK_CACHE_LIMIT);
  const guint64 limit = setting ? dt_conf_parse_size(setting) : 0;
  g_free(setting);
  return limit;
}

static gint64 _to_ns(struct timespec time)
{
  return (gint64)time.tv_sec * 1000000000 + time.tv_nsec;
}

static gint64 _now_ns(void)
{
  return g_get_real_time() * 1000;
}

/* Replaces @p path in one step. */
static gboolean _write_file(const char *path, const void *bytes, size_t size, GError **error)
{
  char *folder = dt_seg_cache_folder();
  gboolean ok = g_mkdir_with_parents(folder, 0700) == 0;
  if(!ok)
    g_set_error(error, G_FILE_ERROR, g_file_error_from_errno(errno), "%s: %s", folder, g_strerror(errno));
  else
    ok = g_file_set_contents_full(path, bytes, (gssize)size, G_FILE_SET_CONTENTS_CONSISTENT, 0600, error);
  g_free(folder);
  return ok;
}

/* --- what is known of a path --- */

/* Reads up to @p size bytes. @return how many there were; -1 with errno */
static ssize_t _read(int fd, void *bytes, size_t size)
{
  size_t done = 0;
  while(done < size)
  {
    const ssize_t got = read(fd, (char *)bytes + done, size - done);
    if(got < 0 && errno != EINTR) return -1;
    if(got == 0) break;
    if(got > 0) done += (size_t)got;
  }
  return (ssize_t)done;
}

/* The SHA-256 of all of @p fd; NULL with errno. */
static char *_hash(int fd)
{
  GChecksum *sum = g_checksum_new(G_CHECKSUM_SHA256);
  uint8_t *bytes = g_malloc(PIECE);
  ssize_t got;
  while((got = _read(fd, bytes, PIECE)) > 0) g_checksum_update(sum, bytes, got);
  const int number = errno;
  char *hash = got == 0 ? g_strdup(g_checksum_get_string(sum)) : NULL;
  g_free(bytes);
  g_checksum_free(sum);
  errno = number;
  return hash;
}

/* Whether what changes from now on will show in the times of @p status. */
static gboolean _is_settled(const struct stat *status)
{
  const gint64 now = _now_ns();
  return ABS(now - _to_ns(status->st_mtim)) > TICK_NS && ABS(now - _to_ns(status->st_ctim)) > TICK_NS;
}

/* How a file looks from outside. */
static char *_describe(const struct stat *status)
{
  return g_strdup_printf("darktable-ai path 1 %" G_GINT64_FORMAT " %" G_GUINT64_FORMAT " %" G_GINT64_FORMAT
                         " %" G_GINT64_FORMAT " ",
                         (gint64)status->st_size, (guint64)status->st_ino, _to_ns(status->st_mtim),
                         _to_ns(status->st_ctim));
}

/* The line that is remembered: how it looks, what it holds, and a checksum. */
static char *_write_line(const struct stat *status, const char *key)
{
  char *look = _describe(status), *text = g_strconcat(look, key, NULL);
  char *line =
      g_strdup_printf("%s %016" G_GINT64_MODIFIER "x\n", text, (guint64)dt_checksum64(text, strlen(text)));
  g_free(text);
  g_free(look);
  return line;
}

static char *_build_memo_path(const char *path)
{
  char *real = realpath(path, NULL);
  const char *name = real ? real : path;
  char *hash = g_compute_checksum_for_string(G_CHECKSUM_SHA256, name, -1), *memo = _build_path(hash, PATH);
  g_free(hash);
  free(real);
  return memo;
}

/* The key that was remembered for a file that looks like this, or NULL. */
static char *_recall(const char *memo, const struct stat *status)
{
  char bytes[512], *look = _describe(status), *key = NULL;
  const int fd = open(memo, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
  const ssize_t got = fd >= 0 ? _read(fd, bytes, sizeof bytes - 1) : -1;
  bytes[MAX(got, 0)] = 0;
  if(strlen(bytes) > strlen(look) + DT_SEG_FILE_DIGITS)
  {
    key = g_strndup(bytes + strlen(look), DT_SEG_FILE_DIGITS);
    char *line = _write_line(status, key);
    if(!dt_seg_file_is_hash(key) || strcmp(line, bytes) != 0) g_clear_pointer(&key, g_free);
    g_free(line);
  }
  if(key) (void)futimens(fd, NULL);
  if(fd >= 0) close(fd);
  g_free(look);
  return key;
}

static void _remember(const char *memo, const struct stat *status, const char *key)
{
  GError *error = NULL;
  char *line = _write_line(status, key);
  if(_get_limit() > 0 && !_write_file(memo, line, strlen(line), &error))
  {
    dt_log(DT_LOG_AI, "the key of a picture cannot be remembered: %s", error->message);
    g_error_free(error);
  }
  g_free(line);
}

static gboolean _is_same(const struct stat *a, const struct stat *b)
{
  char *x = _describe(a), *y = _describe(b);
  const gboolean same = strcmp(x, y) == 0;
  g_free(x);
  g_free(y);
  return same;
}

/* The key of an open file; NULL with errno. */
static char *_get_key(int fd, const char *path, const struct stat *before)
{
  struct stat after;
  const gboolean settled = _is_settled(before);
  char *memo = _build_memo_path(path), *key = settled ? _recall(memo, before) : NULL;
  if(!key)
  {
    key = _hash(fd);
    if(key && settled && fstat(fd, &after) == 0 && _is_same(before, &after)) _remember(memo, before, key);
  }
  g_free(memo);
  return key;
}

char *dt_seg_cache_key(const char *path, GError **error)
{
  struct stat status;
  /* a pipe would be waited for */
  const int fd = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
  const gboolean opened = fd >= 0 && fstat(fd, &status) == 0;
  const gboolean plain = opened && S_ISREG(status.st_mode);
  char *key = plain ? _get_key(fd, path, &status) : NULL, *name = g_filename_display_name(path);
  if(opened && !plain)
    g_set_error(error, DT_AI_ERROR, DT_AI_ERROR_INPUT,
                "%s: this is no ordinary file. Give the name of a picture's file.", name);
  else if(!key)
    g_set_error(error, DT_AI_ERROR, DT_AI_ERROR_INPUT,
                "%s: it cannot be read (%s). Check the name and the permissions.", name, g_strerror(errno));
  if(fd >= 0) close(fd);
  g_free(name);
  return key;
}

/* --- loading --- */

/* All of @p fd. NULL with a reason. */
static uint8_t *_read_all(int fd, size_t *size, char **reason)
{
  struct stat status;
  uint8_t *bytes = NULL;
  ssize_t got = -1;
  if(fstat(fd, &status) != 0 || !S_ISREG(status.st_mode))
    *reason = g_strdup("it is no ordinary file");
  else if((guint64)status.st_size > DT_SEG_FILE_MAX_BYTES)
    *reason = g_strdup("it is larger than any encoded picture");
  else if(!(bytes = g_try_malloc((size_t)status.st_size + 1)))
    *reason = g_strdup("there is no memory for it");
  else if((got = _read(fd, bytes, (size_t)status.st_size)) < 0)
    *reason = g_strdup_printf("it cannot be read: %s", g_strerror(errno));
  if(*reason) g_clear_pointer(&bytes, g_free);
  *size = (size_t)MAX(got, 0);
  return bytes;
}

/* What is in the file @p path; no reason is given when there is none. */
static gboolean _load(const char *path, const char *key, const char *model, dt_seg_features_t *features,
                      char **reason)
{
  const int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
  if(fd < 0)
  {
    if(errno != ENOENT) *reason = g_strdup_printf("it cannot be opened: %s", g_strerror(errno));
    return FALSE;
  }
  size_t size;
  uint8_t *bytes = _read_all(fd, &size, reason);
  const gboolean ok = bytes && dt_seg_file_unpack(bytes, size, key, model, features, reason);
  if(ok) (void)futimens(fd, NULL);
  g_free(bytes);
  close(fd);
  return ok;
}

gboolean dt_seg_cache_load(const char *key, const char *model, dt_seg_features_t *features, char **reason)
{
  char *why = NULL;
  gboolean ok = FALSE;
  memset(features, 0, sizeof *features);
  if(dt_seg_file_is_hash(key) && dt_seg_file_is_hash(model))
  {
    char *path = _build_picture_path(key, model);
    ok = _load(path, key, model, features, &why);
    if(why) dt_log(DT_LOG_AI, "the encoded picture %s is not used: %s", path, why);
    g_free(path);
  }
  if(reason)
    *reason = why;
  else
    g_free(why);
  return ok;
}

/* --- what there is --- */

typedef struct _file_t
{
  char *path;
  guint64 bytes;
  gint64 used; ///< nanoseconds since 1970
  gboolean is_picture, is_path;
} _file_t;

static void _free_file(gpointer data)
{
  _file_t *file = data;
  g_free(file->path);
  g_free(file);
}

/* Whether @p name is digits, as long as they have to be, and @p ending. */
static gboolean _has_form(const char *name, const char *ending, size_t stem)
{
  return strlen(name) == stem + strlen(ending) && g_str_has_suffix(name, ending)
         && strspn(name, "0123456789abcdef-") >= stem;
}

static _file_t *_new_file(const char *folder, const char *name)
{
  struct stat status;
  char *path = g_build_filename(folder, name, NULL);
  if(lstat(path, &status) != 0)
  {
    g_free(path); /* another program was quicker */
    return NULL;
  }
  _file_t *file = g_new0(_file_t, 1);
  file->path = path;
  file->bytes = (guint64)status.st_size;
  file->used = _to_ns(status.st_mtim);
  file->is_picture = _has_form(name, PICTURE, 2 * DT_SEG_FILE_DIGITS + 1);
  file->is_path = _has_form(name, PATH, DT_SEG_FILE_DIGITS);
  return file;
}

/* Everything in the directory (transfer full, of _file_t). */
static GPtrArray *_list(void)
{
  GPtrArray *files = g_ptr_array_new_with_free_func(_free_file);
  char *folder = dt_seg_cache_folder();
  GDir *dir = g_dir_open(folder, 0, NULL);
  for(const char *name; dir && (name = g_dir_read_name(dir));)
  {
    _file_t *file = _new_file(folder, name);
    if(file) g_ptr_array_add(files, file);
  }
  if(dir) g_dir_close(dir);
  g_free(folder);
  return files;
}

void dt_seg_cache_measure(dt_seg_cache_facts_t *facts)
{
  GPtrArray *files = _list();
  *facts = (dt_seg_cache_facts_t){ 0 };
  for(guint i = 0; i < files->len; i++)
  {
    const _file_t *file = files->pdata[i];
    facts->bytes += file->bytes;
    facts->pictures += file->is_picture;
    if(file->is_picture) facts->used = MAX(facts->used, file->used / 1000000000);
  }
  g_ptr_array_unref(files);
}

gboolean dt_seg_cache_clear(GError **error)
{
  GPtrArray *files = _list();
  gboolean ok = TRUE;
  for(guint i = 0; i < files->len; i++)
  {
    const _file_t *file = files->pdata[i];
    struct stat status;
    dt_tree_remove(file->path);
    if(ok && lstat(file->path, &status) == 0)
    {
      g_set_error(error, DT_AI_ERROR, DT_AI_ERROR_OUTPUT,
                  "%s cannot be removed. Check the permissions of its directory.", file->path);
      ok = FALSE;
    }
  }
  g_ptr_array_unref(files);
  return ok;
}

/* --- bounding --- */

static int _compare_use(gconstpointer a, gconstpointer b)
{
  const _file_t *x = *(const _file_t *const *)a, *y = *(const _file_t *const *)b;
  if(x->used != y->used) return x->used < y->used ? -1 : 1;
  return strcmp(x->path, y->path);
}

/* What is none of ours lies here since a writer was killed, or is being written. */
static gboolean _is_stale(const _file_t *file, gint64 now)
{
  return !file->is_picture && !file->is_path && ABS(now - file->used) > HOUR_NS;
}

/* Removes what was left behind. Times in the future are those of a clock that was set back since; they count
 * as the oldest, lest they stay for ever. */
static void _sweep(GPtrArray *files)
{
  const gint64 now = _now_ns();
  for(guint i = files->len; i-- > 0;)
  {
    _file_t *file = files->pdata[i];
    if(_is_stale(file, now))
    {
      dt_tree_remove(file->path);
      g_ptr_array_remove_index_fast(files, i);
    }
    else if(file->used > now + HOUR_NS)
      file->used = 0;
  }
}

static void _trim(guint64 limit, const char *keep)
{
  GPtrArray *files = _list();
  guint64 total = 0;
  int paths = 0;
  _sweep(files);
  g_ptr_array_sort(files, _compare_use);
  for(guint i = 0; i < files->len; i++)
  {
    total += ((_file_t *)files->pdata[i])->bytes;
    paths += ((_file_t *)files->pdata[i])->is_path;
  }
  for(guint i = 0; i < files->len && (total > limit || paths > MAX_PATHS); i++)
  {
    const _file_t *file = files->pdata[i];
    const gboolean goes = (total > limit && file->is_picture) || file->is_path;
    if(!goes || strcmp(file->path, keep) == 0) continue;
    unlink(file->path);
    total -= MIN(total, file->bytes);
    paths -= file->is_path;
  }
  g_ptr_array_unref(files);
}

/* --- storing --- */

static gboolean _store(const char *path, const uint8_t *bytes, size_t size, GError **error)
{
  const guint64 limit = _get_limit();
  GError *cause = NULL;
  if(size > limit)
  {
    dt_log(DT_LOG_AI, "the encoded picture is not kept: it has %.1f MiB, and all may have %.1f",
           (double)size / 1048576, (double)limit / 1048576);
    return TRUE;
  }
  if(!_write_file(path, bytes, size, &cause))
  {
    g_set_error(
        error, DT_AI_ERROR, DT_AI_ERROR_OUTPUT,
        "The encoded picture cannot be kept: %s. Make room or the cache directory writable, or choose "
        "another with --cachedir.",
        cause->message);
    g_error_free(cause);
    return FALSE;
  }
  _trim(limit, path);
  return TRUE;
}

gboolean dt_seg_cache_store(const char *key, const char *model, const dt_seg_features_t *features,
                            GError **error)
{
  if(_get_limit() == 0) return TRUE;
  size_t size = 0;
  char *reason = NULL;
  uint8_t *bytes = dt_seg_file_pack(key, model, features, &size, &reason);
  if(!bytes)
  {
    g_set_error(error, DT_AI_ERROR, DT_AI_ERROR_OUTPUT,
                "The encoded picture cannot be kept: %s. It is encoded again the next time.", reason);
    g_free(reason);
    return FALSE;
  }
  char *path = _build_picture_path(key, model);
  const gboolean ok = _store(path, bytes, size, error);
  g_free(path);
  g_free(bytes);
  return ok;
}
