/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Changes the folders of installed runtimes, so that an interruption at any moment leaves every one whole.
 *
 * `.onnxruntime-<ep>-XXXXXX` in ~/.local/lib holds what is being put together: `download/` for the client, `new/`
 * for the libraries; `old/` exists only for an instant, on file systems that cannot exchange two names. What an
 * interrupted change left behind is swept by the next holder of the lock. */
#include "libs/runtime_install.h"
#include "ai/backend.h"
#include "common/conf.h"
#include "common/libraries.h"
#include "common/log.h"
#include "common/tree.h"
#include "libs/runtime_fetch.h"
#include "libs/runtime_unpack.h"

#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define LIBRARY "libonnxruntime.so"
/* the same for every version, so that the setting outlives an update */
#define STABLE_NAME LIBRARY ".1"
#define STAGE ".onnxruntime-"
#define RECORD ".installed"
#define RECORD_GROUP "darktable-ai runtime"
#define POLL_USEC 50000

/* One change. */
typedef struct _change_t
{
  char *lib;  /* ~/.local/lib */
  char *home; /* what is changed in it */
  char *stage;
  int lock;
  const dt_runtime_job_t *job;
} _change_t;

static gboolean _fail(const char *path, const char *what, GError **error)
{
  const int number = errno;
  g_set_error(error, DT_AI_ERROR, DT_AI_ERROR_OUTPUT, "%s %s: %s. Check its permissions and the free space.",
              path, what, g_strerror(number));
  return FALSE;
}

static void _report(const dt_runtime_job_t *job, const char *step)
{
  if(job->progress) job->progress(step, 0, 0, job->user_data);
}

static char *_lib_dir(void)
{
  return g_build_filename(g_get_home_dir(), ".local", "lib", NULL);
}

char *dt_runtime_home(const char *ep)
{
  char *lib = _lib_dir(), *name = g_strconcat("onnxruntime-", ep, NULL);
  char *home = g_build_filename(lib, name, NULL);
  g_free(name);
  g_free(lib);
  return home;
}

/* --- what the system lacks --- */

static char *_describe_lack(const char *soname, const char *found, const char *package)
{
  GString *text = g_string_new(NULL);
  g_string_append_printf(text, "%s is missing", soname);
  if(package) g_string_append_printf(text, "; it comes with %s", package);
  if(found) g_string_append_printf(text, ". Found instead: %s, which is another version", found);
  return g_string_free(text, FALSE);
}

GPtrArray *dt_runtime_lacks(const dt_runtime_build_t *build)
{
  GPtrArray *lacks = g_ptr_array_new_with_free_func(g_free);
  for(char **soname = build->needs; *soname; soname++)
  {
    char *path = dt_library_find(*soname, NULL);
    GPtrArray *similar = path ? NULL : dt_library_find_similar(*soname, NULL);
    if(!path)
      g_ptr_array_add(lacks, _describe_lack(*soname, similar->len ? g_ptr_array_index(similar, 0) : NULL,
                                            dt_library_package(*soname)));
    if(similar) g_ptr_array_unref(similar);
    g_free(path);
  }
  return lacks;
}

/* What only the unpacked library tells. */
static void _say_surprises(const dt_runtime_build_t *build, const char *dir, const dt_runtime_job_t *job)
{
  char *path = g_build_filename(dir, build->provider_library, NULL);
  GPtrArray *missing = job->say ? dt_library_missing(path, NULL) : NULL;
  for(guint i = 0; missing && i < missing->len; i++)
  {
    const dt_library_missing_t *m = g_ptr_array_index(missing, i);
    if(g_strv_contains((const char *const *)build->needs, m->soname)) continue;
    char *lack = _describe_lack(m->soname, m->found, m->package);
    char *sentence = g_strdup_printf("%s. %s needs it.", lack, m->needed_by);
    job->say(sentence, job->user_data);
    g_free(sentence);
    g_free(lack);
  }
  if(missing) g_ptr_array_unref(missing);
  g_free(path);
}

/* --- a change begins and ends --- */

static gboolean _is_ours(const char *dir)
{
  char *path = g_build_filename(dir, RECORD, NULL);
  GKeyFile *record = g_key_file_new();
  const gboolean ours = g_key_file_load_from_file(record, path, G_KEY_FILE_NONE, NULL)
                        && g_key_file_has_group(record, RECORD_GROUP);
  g_key_file_unref(record);
  g_free(path);
  return ours;
}

/* Nothing, or our own. */
static gboolean _may_replace(const char *home, GError **error)
{
  GStatBuf status;
  if(g_lstat(home, &status) != 0) return TRUE;
  if(S_ISDIR(status.st_mode) && _is_ours(home)) return TRUE;
  g_set_error(
      error, DT_AI_ERROR, DT_AI_ERROR_OUTPUT,
      "%s was not installed by this program, so it is left alone. Move it away, then try again, or use what "
      "is in it: darktable-ai runtime use %s",
      home, home);
  return FALSE;
}

/* An old one that was on its way out comes back when nothing took its place. */
static void _sweep(const _change_t *change)
{
  char *prefix = g_path_get_basename(change->home);
  GDir *entries = g_dir_open(change->lib, 0, NULL);
  for(const char *name; entries && (name = g_dir_read_name(entries));)
  {
    if(name[0] != '.' || !g_str_has_prefix(name + 1, prefix) || name[1 + strlen(prefix)] != '-') continue;
    char *stage = g_build_filename(change->lib, name, NULL), *old = g_build_filename(stage, "old", NULL);
    if(g_access(change->home, F_OK) != 0 && g_rename(old, change->home) == 0)
      dt_log(DT_LOG_AI, "%s is back in its place", change->home);
    dt_tree_remove(stage);
    g_free(old);
    g_free(stage);
  }
  if(entries) g_dir_close(entries);
  g_free(prefix);
}

static gboolean _take_lock(_change_t *change, GError **error)
{
  change->lock = open(change->lib, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if(change->lock < 0) return _fail(change->lib, "cannot be opened", error);
  for(gboolean told = FALSE; flock(change->lock, LOCK_EX | LOCK_NB) != 0; told = TRUE)
  {
    /* some network file systems know no locks */
    if(errno != EWOULDBLOCK && errno != EINTR) return TRUE;
    if(!told) _report(change->job, "wait");
    g_usleep(POLL_USEC);
    if(!g_cancellable_is_cancelled(change->job->cancellable)) continue;
    g_set_error_literal(error, DT_AI_ERROR, DT_AI_ERROR_CANCELLED,
                        "Cancelled while another darktable-ai was at work.");
    return FALSE;
  }
  return TRUE;
}

static gboolean _begin(_change_t *change, const char *ep, const dt_runtime_job_t *job, GError **error)
{
  *change = (_change_t){ .lib = _lib_dir(), .home = dt_runtime_home(ep), .lock = -1, .job = job };
  if(g_mkdir_with_parents(change->lib, 0755) != 0) return _fail(change->lib, "cannot be made", error);
  if(!_may_replace(change->home, error) || !_take_lock(change, error)) return FALSE;
  _sweep(change);
  char *name = g_strconcat(STAGE, ep, "-XXXXXX", NULL);
  change->stage = g_build_filename(change->lib, name, NULL);
  g_free(name);
  if(g_mkdtemp_full(change->stage, 0700)) return TRUE;
  g_clear_pointer(&change->stage, g_free);
  return _fail(change->lib, "takes no new folder", error);
}

static void _end(_change_t *change)
{
  if(change->stage) dt_tree_remove(change->stage);
  if(change->lock >= 0) close(change->lock);
  g_free(change->stage);
  g_free(change->home);
  g_free(change->lib);
}

static void _sync_dir(const char *path)
{
  const int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if(fd < 0 || fsync(fd) != 0) dt_log(DT_LOG_AI, "%s could not be synced: %s", path, g_strerror(errno));
  if(fd >= 0) close(fd);
}

/* For file systems that cannot exchange names: two renames, and _sweep() for a death between them. */
static gboolean _replace_in_two_steps(const _change_t *change, const char *staged)
{
  char *old = g_build_filename(change->stage, "old", NULL);
  gboolean ok = g_rename(change->home, old) == 0;
  if(ok && g_rename(staged, change->home) != 0)
  {
    const int number = errno;
    (void)g_rename(old, change->home);
    errno = number;
    ok = FALSE;
  }
  g_free(old);
  return ok;
}

/* Afterwards the old one, if there was one, lies in the staging folder. */
static gboolean _exchange(const _change_t *change, const char *staged)
{
  if(renameat2(AT_FDCWD, staged, AT_FDCWD, change->home, RENAME_NOREPLACE) == 0) return TRUE;
  if(errno == EEXIST && renameat2(AT_FDCWD, staged, AT_FDCWD, change->home, RENAME_EXCHANGE) == 0)
    return TRUE;
  if(errno != EINVAL && errno != ENOSYS) return FALSE;
  if(g_access(change->home, F_OK) != 0) return g_rename(staged, change->home) == 0;
  return _replace_in_two_steps(change, staged);
}

static gboolean _replace(const _change_t *change, const char *staged, GError **error)
{
  if(!_exchange(change, staged)) return _fail(change->home, "cannot be replaced", error);
  _sync_dir(change->lib);
  return TRUE;
}

/* --- installing --- */

static gboolean _has_room(const _change_t *change, const dt_runtime_build_t *build, GError **error)
{
  struct statvfs fs;
  /* the client may have the archive twice for a moment */
  const guint64 wanted = 2 * build->size + build->unpacked;
  if(statvfs(change->stage, &fs) != 0 || (guint64)fs.f_bavail * fs.f_frsize >= wanted) return TRUE;
  char *size = g_format_size(wanted);
  g_set_error(error, DT_AI_ERROR, DT_AI_ERROR_OUTPUT,
              "%s takes %s in %s while it is installed, and there is less. Free some space and try again.",
              build->name, size, change->lib);
  g_free(size);
  return FALSE;
}

static void _relay(guint64 done, guint64 total, gpointer data)
{
  const dt_runtime_job_t *job = data;
  if(job->progress) job->progress("unpack", done, total, job->user_data);
}

static gboolean _make_dir(const char *path, GError **error)
{
  return g_mkdir(path, 0755) == 0 || _fail(path, "cannot be made", error);
}

/* The archive's libraries in @p dir. */
static gboolean _fetch_and_unpack(const _change_t *change, const dt_runtime_build_t *build, const char *dir,
                                  GError **error)
{
  char *download = g_build_filename(change->stage, "download", NULL);
  gboolean ok = _make_dir(download, error) && _make_dir(dir, error);
  char *archive = ok ? dt_runtime_fetch(build, download, change->job, error) : NULL;
  ok = archive
       && dt_runtime_unpack(archive, build->members, build->unpacked, dir, _relay, (gpointer)change->job,
                            change->job->cancellable, error);
  dt_tree_remove(download);
  g_free(archive);
  g_free(download);
  return ok;
}

/* Gives the library, whose name has its version in it, the name that stays. */
static gboolean _link_library(const char *dir, GError **error)
{
  char *stable = g_build_filename(dir, STABLE_NAME, NULL);
  GDir *entries = g_dir_open(dir, 0, NULL);
  gboolean ok = g_file_test(stable, G_FILE_TEST_EXISTS);
  for(const char *name; !ok && entries && (name = g_dir_read_name(entries));)
    if(g_str_has_prefix(name, LIBRARY)) ok = symlink(name, stable) == 0;
  if(!ok) _fail(stable, "cannot be made", error);
  if(entries) g_dir_close(entries);
  g_free(stable);
  return ok;
}

static gboolean _check(const dt_runtime_build_t *build, const char *dir, GError **error)
{
  char *path = g_build_filename(dir, STABLE_NAME, NULL);
  dt_ai_runtime_info_t *info = dt_ai_runtime_check(path, NULL);
  const gboolean loads = info->version != NULL;
  const gboolean ok =
      loads && info->providers && g_strv_contains((const char *const *)info->providers, build->provider);
  if(!loads)
    g_set_error(
        error, DT_AI_ERROR, DT_AI_ERROR_PROVIDER,
        "%s %s cannot be used here: %s. It is not installed. See what else there is: darktable-ai runtime "
        "install --help",
        build->package, build->version, info->reason ? info->reason : "it does not load");
  else if(!ok)
    g_set_error(
        error, DT_AI_ERROR, DT_AI_ERROR_PROVIDER,
        "%s %s loads but does not offer %s. It is not installed. Ask whoever made it for a correct one.",
        build->package, build->version, build->provider);
  dt_ai_runtime_info_free(info);
  g_free(path);
  return ok;
}

static gboolean _write_record(const dt_runtime_build_t *build, const char *dir, GError **error)
{
  const struct
  {
    const char *key, *value;
  } fields[] = { { "build", build->name },    { "package", build->package }, { "version", build->version },
                 { "client", build->client }, { "sha256", build->sha256 },   { "license", build->license } };
  char *path = g_build_filename(dir, RECORD, NULL);
  GKeyFile *record = g_key_file_new();
  GError *cause = NULL;
  for(size_t i = 0; i < G_N_ELEMENTS(fields); i++)
    g_key_file_set_string(record, RECORD_GROUP, fields[i].key, fields[i].value);
  const gboolean ok = g_key_file_save_to_file(record, path, &cause);
  if(!ok)
  {
    g_set_error(error, DT_AI_ERROR, DT_AI_ERROR_OUTPUT, "%s: %s. Check the free space.", path,
                cause->message);
    g_error_free(cause);
  }
  g_key_file_unref(record);
  g_free(path);
  return ok;
}

static gboolean _install(const _change_t *change, const dt_runtime_build_t *build, GError **error)
{
  char *dir = g_build_filename(change->stage, "new", NULL);
  gboolean ok = _has_room(change, build, error) && _fetch_and_unpack(change, build, dir, error)
                && _link_library(dir, error);
  if(ok) _report(change->job, "test");
  ok = ok && _check(build, dir, error) && _write_record(build, dir, error);
  if(ok && g_cancellable_set_error_if_cancelled(change->job->cancellable, NULL))
  {
    g_set_error_literal(error, DT_AI_ERROR, DT_AI_ERROR_CANCELLED, "Cancelled.");
    ok = FALSE;
  }
  if(ok) _say_surprises(build, dir, change->job);
  if(ok) _sync_dir(dir);
  ok = ok && _replace(change, dir, error);
  g_free(dir);
  return ok;
}

char *dt_runtime_install(const dt_runtime_build_t *build, const dt_runtime_job_t *job, GError **error)
{
  _change_t change;
  const gboolean ok = _begin(&change, build->ep, job, error) && _install(&change, build, error);
  char *path = ok ? g_build_filename(change.home, STABLE_NAME, NULL) : NULL;
  _end(&change);
  return path;
}

/* --- removing --- */

static gboolean _setting_points_into(const char *home)
{
  char *setting = dt_conf_get_string(DT_CONF_AI_ORT_LIBRARY), *inside = g_strconcat(home, "/", NULL);
  const gboolean points = setting && (g_str_has_prefix(setting, inside) || strcmp(setting, home) == 0);
  g_free(inside);
  g_free(setting);
  return points;
}

static gboolean _take_away(const _change_t *change, GError **error)
{
  char *old = g_build_filename(change->stage, "gone", NULL);
  const gboolean ok = g_rename(change->home, old) == 0;
  if(!ok) _fail(change->home, "cannot be removed", error);
  if(ok) _sync_dir(change->lib);
  g_free(old);
  return ok;
}

gboolean dt_runtime_remove(const char *ep, const dt_runtime_job_t *job, gboolean *was_chosen, GError **error)
{
  _change_t change = { .home = dt_runtime_home(ep), .lock = -1 };
  *was_chosen = FALSE;
  const gboolean there = g_file_test(change.home, G_FILE_TEST_IS_DIR);
  g_free(change.home);
  if(!there)
  {
    g_set_error(error, DT_AI_ERROR, DT_AI_ERROR_PROVIDER,
                "No runtime for %s is installed. See what there is: darktable-ai runtime detect", ep);
    return FALSE;
  }
  gboolean ok = _begin(&change, ep, job, error) && _take_away(&change, error);
  *was_chosen = ok && _setting_points_into(change.home);
  if(*was_chosen) ok = dt_conf_reset(DT_CONF_AI_ORT_LIBRARY, error);
  if(*was_chosen && ok && job->say && _setting_points_into(change.home))
    job->say("plugins/ai/ort_library_path still points into it, by darktablerc or --conf. Choose another one "
             "with: "
             "darktable-ai runtime use PATH",
             job->user_data);
  _end(&change);
  return ok;
}
