/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Runs pip or npm in a child and watches the files it writes: their growth is the progress, and when they stop
 * growing the download has stalled. Caches and temporary files of the client are put below the same directory, so
 * that nothing of them stays. */
#include "libs/runtime_fetch.h"
#include "common/child.h"
#include "common/conf.h"
#include "common/model_package.h"

#include <errno.h>
#include <glib/gstdio.h>
#include <string.h>
#include <sys/stat.h>

#define STALL_SECONDS 30
#define MAX_STALL_SECONDS 3600
/* a client that does not even say its version */
#define VERSION_SECONDS 60
#define MAX_DEPTH 8
#define LAST_LINES 3
#define MAX_WORDS 600

/* --- the clients --- */

static void _add(GPtrArray *words, const char *format, ...) G_GNUC_PRINTF(2, 3);
static void _add(GPtrArray *words, const char *format, ...)
{
  va_list args;
  va_start(args, format);
  g_ptr_array_add(words, g_strdup_vprintf(format, args));
  va_end(args);
}

static void _add_all(GPtrArray *words, const char *const *more)
{
  for(; *more; more++) g_ptr_array_add(words, g_strdup(*more));
}

static gboolean _answers(const char *const *client, GCancellable *cancellable)
{
  const dt_child_opts_t opts = { .seconds = VERSION_SECONDS, .cancellable = cancellable };
  GPtrArray *words = g_ptr_array_new_with_free_func(g_free);
  _add_all(words, client);
  _add(words, "--version");
  g_ptr_array_add(words, NULL);
  dt_child_t child;
  const gboolean ran = dt_child_run((const char *const *)words->pdata, &opts, &child, NULL);
  if(ran) dt_child_cleanup(&child);
  g_ptr_array_unref(words);
  return ran && child.exit_code == 0;
}

/* python3 -m pip, pip3 or pip: the first that answers, as words; NULL when there is none. */
static const char *const *_find_pip(GCancellable *cancellable)
{
  static const char *const module[] = { "python3", "-m", "pip", NULL };
  static const char *const pip3[] = { "pip3", NULL };
  static const char *const pip[] = { "pip", NULL };
  static const char *const *const all[] = { module, pip3, pip };
  for(size_t i = 0; i < G_N_ELEMENTS(all); i++)
    if(_answers(all[i], cancellable)) return all[i];
  return NULL;
}

static const char *const *_find_client(const dt_runtime_build_t *build, GCancellable *cancellable,
                                       GError **error)
{
  static const char *const npm[] = { "npm", NULL };
  const gboolean is_npm = strcmp(build->client, "npm") == 0;
  char *path = is_npm ? g_find_program_in_path("npm") : NULL;
  const char *const *client = path ? npm : is_npm ? NULL : _find_pip(cancellable);
  g_free(path);
  if(!client && g_cancellable_is_cancelled(cancellable))
    g_set_error_literal(error, DT_AI_ERROR, DT_AI_ERROR_CANCELLED, "Cancelled.");
  else if(!client)
    g_set_error(
        error, DT_AI_ERROR, DT_AI_ERROR_NETWORK,
        "%s %s comes through %s, which is not here. Install %s from your distribution, then try again.",
        build->package, build->version, build->client, is_npm ? "npm" : "python3-pip");
  return client;
}

static void _add_pip(GPtrArray *words, const dt_runtime_build_t *build, const char *dir)
{
  static const char *const fixed[] = { "--disable-pip-version-check",
                                       "--no-input",
                                       "--no-cache-dir",
                                       "download",
                                       "--quiet",
                                       "--no-deps",
                                       "--only-binary=:all:",
                                       "--implementation",
                                       "cp",
                                       NULL };
  _add_all(words, fixed);
  if(*build->python) _add(words, "--python-version=%s", build->python);
  if(*build->abi) _add(words, "--abi=%s", build->abi);
  if(*build->platform) _add(words, "--platform=%s", build->platform);
  _add(words, "--dest=%s", dir);
  _add(words, "%s==%s", build->package, build->version);
}

static void _add_npm(GPtrArray *words, const dt_runtime_build_t *build, const char *dir, const char *cache)
{
  static const char *const fixed[] = { "pack", "--ignore-scripts", "--no-progress", "--no-update-notifier",
                                       NULL };
  _add_all(words, fixed);
  if(cache) _add(words, "--cache=%s", cache);
  _add(words, "--pack-destination=%s", dir);
  _add(words, "%s@%s", build->package, build->version);
}

static void _add_arguments(GPtrArray *words, const dt_runtime_build_t *build, const char *dir,
                           const char *cache)
{
  if(strcmp(build->client, "npm") == 0)
    _add_npm(words, build, dir, cache);
  else
    _add_pip(words, build, dir);
  g_ptr_array_add(words, NULL);
}

char *dt_runtime_fetch_command(const dt_runtime_build_t *build, const char *dir)
{
  GPtrArray *words = g_ptr_array_new_with_free_func(g_free);
  _add(words, "%s", build->client);
  _add_arguments(words, build, dir, NULL);
  char *text = g_strjoinv(" ", (char **)words->pdata);
  g_ptr_array_unref(words);
  return text;
}

/* --- watching --- */

typedef struct _watch_t
{
  const dt_runtime_job_t *job;
  const char *dir; /* all that the client writes is below */
  guint64 bytes, total;
  double grown; /* seconds since the start, when there was more the last time */
  gint64 patience;
  gboolean stalled, told_all;
  GCancellable *stop; /* ends the client */
} _watch_t;

/* Bytes of the files below @p dir. */
static guint64 _measure(const char *dir, int depth)
{
  guint64 bytes = 0;
  GDir *entries = depth < MAX_DEPTH ? g_dir_open(dir, 0, NULL) : NULL;
  for(const char *name; entries && (name = g_dir_read_name(entries));)
  {
    GStatBuf status;
    char *path = g_build_filename(dir, name, NULL);
    if(g_lstat(path, &status) != 0)
      ; /* gone meanwhile */
    else if(S_ISDIR(status.st_mode))
      bytes += _measure(path, depth + 1);
    else if(S_ISREG(status.st_mode))
      bytes += (guint64)status.st_size;
    g_free(path);
  }
  if(entries) g_dir_close(entries);
  return bytes;
}

static void _tick(double seconds, void *data)
{
  _watch_t *watch = data;
  const guint64 bytes = _measure(watch->dir, 0);
  if(bytes != watch->bytes) watch->grown = seconds;
  watch->bytes = bytes;
  watch->stalled = seconds - watch->grown > (double)watch->patience;
  if(watch->stalled || g_cancellable_is_cancelled(watch->job->cancellable)) g_cancellable_cancel(watch->stop);
  /* the client may have a part of it twice for a moment: all of it is told once */
  const gboolean all = bytes >= watch->total;
  if(watch->job->progress && !(all && watch->told_all))
    watch->job->progress("download", MIN(bytes, watch->total), watch->total, watch->job->user_data);
  watch->told_all = all;
}

/* --- what it said --- */

/* The last lines that say anything, as one, not too long (transfer full). */
static char *_last_words(const char *words)
{
  char **lines = g_strsplit(words, "\n", -1);
  GString *text = g_string_new(NULL);
  int n = 0;
  for(guint i = g_strv_length(lines); i > 0 && n < LAST_LINES && text->len < MAX_WORDS; i--)
  {
    const char *line = g_strstrip(lines[i - 1]);
    if(!*line) continue;
    if(text->len) g_string_prepend(text, " / ");
    g_string_prepend(text, line);
    n++;
  }
  g_strfreev(lines);
  char *valid = g_utf8_make_valid(text->str, (gssize)MIN(text->len, MAX_WORDS));
  g_string_free(text, TRUE);
  return g_strdelimit(valid, "\r\t", ' ');
}

static gboolean _explain(const dt_runtime_build_t *build, const dt_child_t *child, GError **error)
{
  if(child->exit_code == 0) return TRUE;
  char *words = _last_words(child->words);
  g_set_error(error, DT_AI_ERROR, DT_AI_ERROR_NETWORK,
              "%s could not get %s %s%s%s. Check the connection, then try again.", build->client,
              build->package, build->version, *words ? ", it says: " : "", words);
  g_free(words);
  return FALSE;
}

static gboolean _explain_stop(const dt_runtime_build_t *build, const _watch_t *watch, GError **error)
{
  if(g_cancellable_is_cancelled(watch->job->cancellable))
    g_set_error_literal(error, DT_AI_ERROR, DT_AI_ERROR_CANCELLED, "Cancelled.");
  else
    g_set_error(error, DT_AI_ERROR, DT_AI_ERROR_NETWORK,
                "%s got nothing more of %s %s for %d seconds. Check the connection, then try again, or raise "
                "plugins/ai/stall_seconds.",
                build->client, build->package, build->version, (int)watch->patience);
  return FALSE;
}

/* --- running --- */

static gboolean _run_client(const dt_runtime_build_t *build, const char *const *argv, _watch_t *watch,
                            GError **error)
{
  const dt_child_opts_t opts = { .cancellable = watch->stop, .tick = _tick, .tick_data = watch };
  GError *cause = NULL;
  dt_child_t child;
  if(!dt_child_run(argv, &opts, &child, &cause))
  {
    const gboolean stopped = cause->code == DT_AI_ERROR_CANCELLED;
    if(stopped)
      g_clear_error(&cause);
    else
      g_propagate_error(error, cause);
    return stopped ? _explain_stop(build, watch, error) : FALSE;
  }
  const gboolean ok = _explain(build, &child, error);
  dt_child_cleanup(&child);
  return ok;
}

static gboolean _download(const dt_runtime_build_t *build, const char *dir, const char *target,
                          const dt_runtime_job_t *job, GError **error)
{
  const char *const *client = _find_client(build, job->cancellable, error);
  if(!client) return FALSE;
  GPtrArray *words = g_ptr_array_new_with_free_func(g_free);
  char *cache = g_build_filename(dir, "cache", NULL);
  _add(words, "env"); /* temporary files go where they are counted, and removed */
  _add(words, "TMPDIR=%s", dir);
  _add_all(words, client);
  _add_arguments(words, build, target, cache);
  _watch_t watch = { .job = job, .dir = dir, .total = build->size, .stop = g_cancellable_new() };
  watch.patience = CLAMP(dt_conf_get_int(DT_CONF_AI_STALL_SECONDS, STALL_SECONDS), 1, MAX_STALL_SECONDS);
  const gboolean ok = _run_client(build, (const char *const *)words->pdata, &watch, error);
  g_object_unref(watch.stop);
  g_free(cache);
  g_ptr_array_unref(words);
  return ok;
}

/* The one file in @p dir, or NULL. */
static char *_find_archive(const char *dir)
{
  GDir *entries = g_dir_open(dir, 0, NULL);
  const char *name = entries ? g_dir_read_name(entries) : NULL;
  char *path = name ? g_build_filename(dir, name, NULL) : NULL;
  if(name && g_dir_read_name(entries)) g_clear_pointer(&path, g_free);
  if(entries) g_dir_close(entries);
  return path;
}

static gboolean _verify(const dt_runtime_build_t *build, const char *path, const dt_runtime_job_t *job,
                        GError **error)
{
  if(job->progress) job->progress("verify", 0, 0, job->user_data);
  char *digest = dt_package_sha256(path, job->cancellable, error);
  const gboolean ok = digest && strcmp(digest, build->sha256) == 0;
  if(digest && !ok)
    g_set_error(error, DT_AI_ERROR, DT_AI_ERROR_NETWORK,
                "%s %s is not the file that was pinned: its SHA-256 is %s and should be %s. It is not used. "
                "Try again; if that does not help, check the settings of %s (a mirror?).",
                build->package, build->version, digest, build->sha256, build->client);
  g_free(digest);
  return ok;
}

char *dt_runtime_fetch(const dt_runtime_build_t *build, const char *dir, const dt_runtime_job_t *job,
                       GError **error)
{
  char *target = g_build_filename(dir, "archive", NULL), *path = NULL;
  if(g_mkdir(target, 0700) != 0)
    g_set_error(error, DT_AI_ERROR, DT_AI_ERROR_OUTPUT, "%s cannot be made: %s. Check its permissions.",
                target, g_strerror(errno));
  else if(_download(build, dir, target, job, error))
  {
    path = _find_archive(target);
    if(!path)
      g_set_error(error, DT_AI_ERROR, DT_AI_ERROR_NETWORK,
                  "%s said that it got %s %s and left no file. Check its settings, then try again.",
                  build->client, build->package, build->version);
    else if(!_verify(build, path, job, error))
      g_clear_pointer(&path, g_free);
  }
  g_free(target);
  return path;
}
