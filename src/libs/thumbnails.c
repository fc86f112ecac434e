/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What a thumbnail depends on becomes its name; what is not there is exported through a thumbnail pipe. */
#include "libs/thumbnails.h"

#include "common/conf.h"
#include "common/log.h"
#include "common/paths.h"
#include "common/tree.h"
#include "develop/sidecar.h"
#include "libs/export.h"

#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define FOLDER "thumbnails_v1"
#define ENDING ".jpg"
#define DIGITS 64 /* of a SHA-256 */
#define QUALITY 90

void dt_thumbnail_clear(dt_thumbnail_t *thumbnail)
{
  g_clear_pointer(&thumbnail->path, g_free);
  if(thumbnail->remarks) g_ptr_array_unref(thumbnail->remarks);
  thumbnail->remarks = NULL;
}

char *dt_thumbnails_folder(void)
{
  char *cache = dt_paths_get(DT_DIR_CACHE), *folder = g_build_filename(cache, FOLDER, NULL);
  g_free(cache);
  return folder;
}

/* --- the name --- */

static void _add_look(GString *text, const struct stat *status)
{
  g_string_append_printf(text, "%" G_GINT64_FORMAT " %" G_GINT64_FORMAT ".%09ld\n", (gint64)status->st_size,
                         (gint64)status->st_mtim.tv_sec, (long)status->st_mtim.tv_nsec);
}

static gboolean _add_photo(GString *text, const char *photo, GError **error)
{
  struct stat status = { 0 };
  const gboolean is_stream = strcmp(photo, DT_IMAGEIO_STREAM) == 0;
  char *real = is_stream ? NULL : realpath(photo, NULL);
  const gboolean there = real && stat(real, &status) == 0;
  if(there && S_ISREG(status.st_mode))
  {
    g_string_append_printf(text, "%s\n", real);
    _add_look(text, &status);
  }
  else if(there || is_stream)
    g_set_error(error, DT_AI_ERROR, DT_AI_ERROR_INPUT,
                "%s: this is no ordinary file. Give the name of a photograph.", photo);
  else
    g_set_error(error, DT_AI_ERROR, DT_AI_ERROR_INPUT,
                "%s: it cannot be read (%s). Check the name and the permissions.", photo, g_strerror(errno));
  free(real);
  return there && S_ISREG(status.st_mode);
}

/* The history names the files of masks; what is in them counts as well. */
static void _add_masks(GString *text, const dt_history_t *history)
{
  for(const dt_iop_module_t *const *module = history->modules; *module; module++)
  {
    struct stat status;
    const GArray *blend = dt_history_blend(history, *module);
    const char *mask = blend ? dt_history_get_value(blend, "mask") : NULL;
    if(mask && stat(mask, &status) == 0) _add_look(text, &status);
  }
}

/* Where the thumbnail is to be (transfer full). */
static char *_build_path(const char *photo, const dt_history_t *history, int size, GError **error)
{
  char *path = NULL;
  GString *text = g_string_new(NULL);
  if(_add_photo(text, photo, error))
  {
    g_string_append_printf(text, "%016" G_GINT64_MODIFIER "x %d\n", dt_history_hash(history, NULL), size);
    _add_masks(text, history);
    char *hash = g_compute_checksum_for_string(G_CHECKSUM_SHA256, text->str, (gssize)text->len);
    char *folder = dt_thumbnails_folder(), *name = g_strconcat(hash, ENDING, NULL);
    path = g_build_filename(folder, name, NULL);
    g_free(name);
    g_free(folder);
    g_free(hash);
  }
  g_string_free(text, TRUE);
  return path;
}

/* --- what is there --- */

/* Whether all of it can be decoded. */
static gboolean _read_all(dt_row_source_t *in, GError **error)
{
  gboolean fine = TRUE;
  float *row = g_malloc_n((gsize)in->width * (gsize)in->channels, sizeof(float));
  for(int y = 0; fine && y < in->height; y++) fine = in->read(in, y, 1, row, error);
  g_free(row);
  return fine;
}

/* Looks at the thumbnail that is there. @return FALSE when there is none, or none that can be used */
static gboolean _find(dt_thumbnail_t *thumbnail, int size)
{
  if(!g_file_test(thumbnail->path, G_FILE_TEST_IS_REGULAR)) return FALSE;
  GError *error = NULL;
  dt_imageio_reader_t *reader = dt_imageio_open(thumbnail->path, NULL, &error);
  const gboolean fits =
      reader && reader->format == DT_IMAGEIO_JPEG && MAX(reader->source.width, reader->source.height) <= size;
  const gboolean fine = fits && _read_all(&reader->source, &error);
  if(fine)
  {
    thumbnail->width = reader->source.width;
    thumbnail->height = reader->source.height;
    (void)utimensat(AT_FDCWD, thumbnail->path, NULL, 0);
  }
  else
    dt_log(DT_LOG_PIPE, "the thumbnail %s is made anew: %s", thumbnail->path,
           error ? error->message : "it is none of this size");
  g_clear_error(&error);
  if(reader) dt_row_source_destroy(&reader->source);
  return fine;
}

/* --- the whole cache --- */

static void _free_file(gpointer data)
{
  g_free(((dt_thumbnail_file_t *)data)->path);
  g_free(data);
}

static gboolean _is_ours(const char *name)
{
  return strspn(name, "0123456789abcdef") == DIGITS && strcmp(name + DIGITS, ENDING) == 0;
}

static void _add_file(GPtrArray *files, const char *folder, const char *name)
{
  struct stat status;
  char *path = g_build_filename(folder, name, NULL);
  if(!_is_ours(name) || lstat(path, &status) != 0 || !S_ISREG(status.st_mode))
  {
    g_free(path);
    return;
  }
  dt_thumbnail_file_t *file = g_new0(dt_thumbnail_file_t, 1);
  *file = (dt_thumbnail_file_t){ path, (guint64)status.st_size,
                                 (gint64)status.st_mtim.tv_sec * 1000000000 + status.st_mtim.tv_nsec };
  g_ptr_array_add(files, file);
}

GPtrArray *dt_thumbnails_list(void)
{
  GPtrArray *files = g_ptr_array_new_with_free_func(_free_file);
  char *folder = dt_thumbnails_folder();
  GDir *dir = g_dir_open(folder, 0, NULL);
  for(const char *name; dir && (name = g_dir_read_name(dir));) _add_file(files, folder, name);
  if(dir) g_dir_close(dir);
  g_free(folder);
  return files;
}

guint64 dt_thumbnails_measure(int *count)
{
  guint64 bytes = 0;
  GPtrArray *files = dt_thumbnails_list();
  for(guint i = 0; i < files->len; i++) bytes += ((const dt_thumbnail_file_t *)files->pdata[i])->bytes;
  if(count) *count = (int)files->len;
  g_ptr_array_unref(files);
  return bytes;
}

gboolean dt_thumbnails_remove_all(GError **error)
{
  char *folder = dt_thumbnails_folder();
  dt_tree_remove(folder);
  struct stat status;
  const gboolean fine = lstat(folder, &status) != 0;
  if(!fine)
    g_set_error(error, DT_AI_ERROR, DT_AI_ERROR_OUTPUT,
                "%s cannot be removed. Check the permissions of its directory.", folder);
  g_free(folder);
  return fine;
}

/* --- the limit --- */

static guint64 _get_limit(void)
{
  char *setting = dt_conf_get_string(DT_CONF_THUMBNAIL_CACHE_LIMIT);
  const guint64 limit = dt_conf_parse_size(setting);
  g_free(setting);
  return limit;
}

static int _compare_use(gconstpointer a, gconstpointer b)
{
  const gint64 x = (*(const dt_thumbnail_file_t *const *)a)->used,
               y = (*(const dt_thumbnail_file_t *const *)b)->used;
  return x < y ? -1 : x > y;
}

/* When all together are more than @p limit: removes those used longest ago, until a tenth of it is free.
 * @return the bytes that are left */
static guint64 _trim(guint64 limit, const char *keep)
{
  guint64 bytes = 0;
  GPtrArray *files = dt_thumbnails_list();
  for(guint i = 0; i < files->len; i++) bytes += ((const dt_thumbnail_file_t *)files->pdata[i])->bytes;
  g_ptr_array_sort(files, _compare_use);
  const guint64 wanted = bytes > limit ? limit / 10 * 9 : limit;
  for(guint i = 0; i < files->len && bytes > wanted; i++)
  {
    const dt_thumbnail_file_t *file = files->pdata[i];
    if(strcmp(file->path, keep) != 0 && g_unlink(file->path) == 0) bytes -= file->bytes;
  }
  g_ptr_array_unref(files);
  return bytes;
}

/* Counts what has been made, and keeps all of it within the limit. The directory is read once for many: what other programs
 * make meanwhile, they count. */
static void _bound(const char *made)
{
  static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
  static char *folder; /* whose bytes these are */
  static guint64 bytes;
  GStatBuf status;
  const guint64 limit = _get_limit();
  char *now = dt_thumbnails_folder();
  pthread_mutex_lock(&lock);
  if(g_strcmp0(folder, now) != 0)
  {
    g_free(folder);
    folder = g_strdup(now);
    bytes = dt_thumbnails_measure(NULL);
  }
  else if(g_stat(made, &status) == 0)
    bytes += (guint64)status.st_size;
  if(limit > 0 && bytes > limit) bytes = _trim(limit, made);
  pthread_mutex_unlock(&lock);
  g_free(now);
}

/* --- making --- */

static gboolean _make_folder(GError **error)
{
  char *folder = dt_thumbnails_folder();
  const gboolean fine = g_mkdir_with_parents(folder, 0700) == 0;
  if(!fine)
    g_set_error(error, DT_AI_ERROR, DT_AI_ERROR_OUTPUT,
                "%s cannot be made (%s). Check the permissions, or choose another directory with --cachedir.",
                folder, g_strerror(errno));
  g_free(folder);
  return fine;
}

/* A thumbnail under the name of what the photograph was before would stay wrong. */
static gboolean _check_unchanged(const char *photo, const dt_history_t *history, int size, const char *path,
                                 GError **error)
{
  char *now = _build_path(photo, history, size, error);
  const gboolean fine = now && strcmp(now, path) == 0;
  if(now && !fine)
    g_set_error(error, DT_AI_ERROR, DT_AI_ERROR_INPUT, "%s: it changed while it was read. Try again.", photo);
  if(!fine) g_unlink(path);
  g_free(now);
  return fine;
}

static gboolean _make(const dt_thumbnails_opts_t *opts, const char *photo, const dt_history_t *history,
                      int size, dt_thumbnail_t *thumbnail, GError **error)
{
  const dt_export_job_t job = { .format = DT_IMAGEIO_JPEG,
                                .bits = 8,
                                .quality = QUALITY,
                                .profile = "srgb",
                                .no_dither = TRUE,
                                .overwrite = TRUE,
                                .width = size,
                                .height = size,
                                .memory = opts->memory,
                                .cl = opts->cl,
                                .history = history,
                                .thumbnail = TRUE,
                                .cancellable = opts->cancellable };
  dt_export_report_t report = { 0 };
  const gboolean fine = _make_folder(error) && dt_export_run(&job, photo, thumbnail->path, &report, error)
                        && _check_unchanged(photo, history, size, thumbnail->path, error);
  thumbnail->width = report.width;
  thumbnail->height = report.height;
  thumbnail->device = report.device;
  if(fine) _bound(thumbnail->path);
  dt_export_report_clear(&report);
  return fine;
}

/* --- getting --- */

static gboolean _get(const dt_thumbnails_opts_t *opts, const char *photo, int size, dt_thumbnail_t *thumbnail,
                     GError **error)
{
  dt_history_t *history = dt_sidecar_load(photo, NULL, thumbnail->remarks, error);
  thumbnail->path = history ? _build_path(photo, history, size, error) : NULL;
  thumbnail->reused = thumbnail->path && !opts->anew && _find(thumbnail, size);
  const gboolean fine =
      thumbnail->reused || (thumbnail->path && _make(opts, photo, history, size, thumbnail, error));
  dt_history_free(history);
  return fine;
}

gboolean dt_thumbnails_get(const dt_thumbnails_opts_t *opts, const char *photo, dt_thumbnail_t *thumbnail,
                           GError **error)
{
  const gint64 begun = g_get_monotonic_time();
  const int size = opts->size ? opts->size : DT_THUMBNAIL_SIZE;
  *thumbnail = (dt_thumbnail_t){ .device = -1, .remarks = g_ptr_array_new_with_free_func(g_free) };
  if(size < DT_THUMBNAIL_MIN_SIZE || size > DT_THUMBNAIL_MAX_SIZE)
  {
    g_set_error(error, DT_AI_ERROR, DT_AI_ERROR_USAGE, "The size of a thumbnail is a number from %d to %d.",
                DT_THUMBNAIL_MIN_SIZE, DT_THUMBNAIL_MAX_SIZE);
    return FALSE;
  }
  const gboolean fine = _get(opts, photo, size, thumbnail, error);
  thumbnail->seconds = (double)(g_get_monotonic_time() - begun) / G_USEC_PER_SEC;
  return fine;
}
