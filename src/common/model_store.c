/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Changes the directory of installed models, so that a power cut at any moment leaves every model whole.
 *
 * `.lock` is locked with flock(); `.incoming-XXXXXX` holds what is being put together, or what is being taken
 * away; `.outgoing-<id>` exists only for an instant, on file systems that cannot exchange two names; `.kept-…`
 * holds a folder that somebody else made and that had to give way: nobody sweeps it. */
#include "common/model_store.h"
#include "common/log.h"
#include "common/model_list.h"
#include "common/model_package.h"
#include "common/tree.h"

#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define INCOMING ".incoming-"
#define OUTGOING ".outgoing-"
#define KEPT ".kept-"
#define RECORD ".installed"
#define SOURCE "# source: "
#define LICENSE "# licence: "
#define PACKAGE "# package: sha256:"
#define DIGEST 64 /* hex digits */
#define POLL_USEC 50000
#define MAX_RECORD (1 << 20)
#define MAX_FIELD 1000

struct dt_model_store_t
{
  char *dir;
  char *stage; /* or NULL */
  int lock;
};

static gboolean _fail(GError **error, const char *what, const char *path)
{
  const int code = errno;
  g_set_error(error, DT_AI_ERROR, DT_AI_ERROR_OUTPUT, "%s %s: %s. Check its permissions and the free space.",
              what, path, g_strerror(code));
  return FALSE;
}

/* --- a model's files --- */

static int _compare_paths(gconstpointer a, gconstpointer b)
{
  return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* The files below @p dir, relative to it; hidden ones are not the model's. */
static void _collect(const char *dir, const char *below, GPtrArray *paths)
{
  char *path = *below ? g_build_filename(dir, below, NULL) : g_strdup(dir);
  GDir *entries = g_dir_open(path, 0, NULL);
  for(const char *name; entries && (name = g_dir_read_name(entries));)
  {
    if(name[0] == '.') continue;
    char *relative = *below ? g_build_filename(below, name, NULL) : g_strdup(name);
    char *full = g_build_filename(path, name, NULL);
    if(g_file_test(full, G_FILE_TEST_IS_DIR) && !g_file_test(full, G_FILE_TEST_IS_SYMLINK))
      _collect(dir, relative, paths);
    else
      g_ptr_array_add(paths, g_strdup(relative));
    g_free(full);
    g_free(relative);
  }
  if(entries) g_dir_close(entries);
  g_free(path);
}

static GPtrArray *_files(const char *dir)
{
  GPtrArray *paths = g_ptr_array_new_with_free_func(g_free);
  _collect(dir, "", paths);
  g_ptr_array_sort(paths, _compare_paths);
  return paths;
}

/* --- the lock --- */

static gboolean _is_model(const char *path)
{
  char *config = g_build_filename(path, "config.json", NULL);
  const gboolean found = g_file_test(config, G_FILE_TEST_IS_REGULAR);
  g_free(config);
  return found;
}

/* A model that was on its way out comes back when nothing took its place; it goes only when something did. */
static void _sweep_outgoing(const char *dir, const char *name)
{
  char *path = g_build_filename(dir, name, NULL),
       *home = g_build_filename(dir, name + strlen(OUTGOING), NULL);
  if(renameat2(AT_FDCWD, path, AT_FDCWD, home, RENAME_NOREPLACE) == 0
     || ((errno == EINVAL || errno == ENOSYS) && access(home, F_OK) != 0 && rename(path, home) == 0))
    dt_log(DT_LOG_AI, "%s is back in its place", home);
  else if(_is_model(home))
    dt_tree_remove(path);
  else
    dt_log(DT_LOG_AI, "%s is left alone: %s", path, g_strerror(errno));
  g_free(home);
  g_free(path);
}

/* What an interrupted change left behind. */
static void _sweep_entry(const char *dir, const char *name)
{
  if(g_str_has_prefix(name, OUTGOING)) _sweep_outgoing(dir, name);
  if(!g_str_has_prefix(name, INCOMING)) return;
  char *path = g_build_filename(dir, name, NULL);
  dt_log(DT_LOG_AI, "swept %s", path);
  dt_tree_remove(path);
  g_free(path);
}

static void _sweep(const char *dir)
{
  GDir *entries = g_dir_open(dir, 0, NULL);
  if(!entries) return;
  for(const char *name; (name = g_dir_read_name(entries));) _sweep_entry(dir, name);
  g_dir_close(entries);
}

/* FALSE with errno, or 0 there when it was cancelled. */
static gboolean _wait_for_lock(int fd, void (*waiting)(gpointer), gpointer user_data,
                               GCancellable *cancellable, gboolean *waited)
{
  for(*waited = FALSE; flock(fd, LOCK_EX | LOCK_NB) != 0; *waited = TRUE)
  {
    if(errno != EWOULDBLOCK && errno != EINTR) return FALSE;
    if(waiting && !*waited) waiting(user_data);
    g_usleep(POLL_USEC);
    errno = 0;
    if(g_cancellable_is_cancelled(cancellable)) return FALSE;
  }
  return TRUE;
}

int dt_model_store_lock_file(const char *path, void (*waiting)(gpointer user_data), gpointer user_data,
                             GCancellable *cancellable, gboolean *waited, GError **error)
{
  const int fd = open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
  if(fd >= 0 && _wait_for_lock(fd, waiting, user_data, cancellable, waited)) return fd;
  if(fd >= 0 && errno == 0)
    g_set_error(error, DT_AI_ERROR, DT_AI_ERROR_CANCELLED,
                "Cancelled while another darktable-ai was at work.");
  else
    _fail(error, "There is no locking", path);
  if(fd >= 0) close(fd);
  return -1;
}

static gboolean _take_lock(dt_model_store_t *store, void (*waiting)(gpointer), gpointer user_data,
                           GCancellable *cancellable, GError **error)
{
  if(g_mkdir_with_parents(store->dir, 0700) != 0)
    return _fail(error, "There is no directory for models at", store->dir);
  gboolean waited;
  char *path = g_build_filename(store->dir, ".lock", NULL);
  store->lock = dt_model_store_lock_file(path, waiting, user_data, cancellable, &waited, error);
  g_free(path);
  return store->lock >= 0;
}

dt_model_store_t *dt_model_store_lock(void (*waiting)(gpointer user_data), gpointer user_data,
                                      GCancellable *cancellable, GError **error)
{
  dt_model_store_t *store = g_new0(dt_model_store_t, 1);
  store->dir = dt_model_list_user_dir();
  store->lock = -1;
  if(!_take_lock(store, waiting, user_data, cancellable, error))
  {
    dt_model_store_unlock(store);
    return NULL;
  }
  _sweep(store->dir);
  return store;
}

void dt_model_store_unlock(dt_model_store_t *store)
{
  if(!store) return;
  if(store->stage) dt_tree_remove(store->stage);
  if(store->lock >= 0) close(store->lock);
  g_free(store->stage);
  g_free(store->dir);
  g_free(store);
}

/* --- changes --- */

const char *dt_model_store_stage(dt_model_store_t *store, GError **error)
{
  if(store->stage) return store->stage;
  store->stage = g_build_filename(store->dir, INCOMING "XXXXXX", NULL);
  if(g_mkdtemp_full(store->stage, 0700)) return store->stage;
  _fail(error, "There is no room for a new model in", store->dir);
  g_clear_pointer(&store->stage, g_free);
  return NULL;
}

static gboolean _sync_dir(const char *path)
{
  const int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  /* some file systems cannot sync a directory, and need not */
  const gboolean ok = fd >= 0 && (fsync(fd) == 0 || errno == EINVAL || errno == ENOTSUP);
  if(fd >= 0) close(fd);
  return ok;
}

/* For file systems that cannot exchange names: two renames, and _sweep_entry() for a death between them. */
static gboolean _replace_in_two_steps(const char *dir, const char *id, const char *staged, const char *home)
{
  char *name = g_strconcat(OUTGOING, id, NULL), *aside = g_build_filename(dir, name, NULL);
  gboolean ok = rename(home, aside) == 0;
  if(ok && rename(staged, home) != 0)
  {
    const int code = errno;
    (void)rename(aside, home);
    errno = code;
    ok = FALSE;
  }
  /* into the staging directory, as after an exchange */
  if(ok && rename(aside, staged) != 0) dt_log(DT_LOG_AI, "%s stays: %s", aside, g_strerror(errno));
  g_free(aside);
  g_free(name);
  return ok;
}

/* Afterwards the old model, if there was one, lies in the staging directory. */
static gboolean _replace(const dt_model_store_t *store, const char *id, const char *staged, const char *home)
{
  if(renameat2(AT_FDCWD, staged, AT_FDCWD, home, RENAME_NOREPLACE) == 0) return TRUE;
  if(errno == EEXIST && renameat2(AT_FDCWD, staged, AT_FDCWD, home, RENAME_EXCHANGE) == 0) return TRUE;
  if(errno != EINVAL && errno != ENOSYS) return FALSE;
  if(!g_file_test(home, G_FILE_TEST_EXISTS)) return rename(staged, home) == 0;
  return _replace_in_two_steps(store->dir, id, staged, home);
}

/* Whether everything in @p home is what we put there: nothing in it is anybody else's. */
static gboolean _is_ours(const char *home)
{
  dt_model_record_t *record = dt_model_record_read(home, NULL);
  GPtrArray *present = _files(home);
  gboolean ours = record != NULL;
  for(guint i = 0; i < present->len && ours; i++)
    ours = g_hash_table_contains(record->files, g_ptr_array_index(present, i));
  g_ptr_array_unref(present);
  dt_model_record_free(record);
  return ours;
}

/* From here on the staging directory is one that nobody sweeps: what the exchange brings into it stays. */
static gboolean _keep_stage(dt_model_store_t *store, const char *id, char **kept)
{
  char *name = g_strconcat(KEPT, id, "-", strrchr(store->stage, '-') + 1, NULL);
  char *path = g_build_filename(store->dir, name, NULL);
  const gboolean ok = rename(store->stage, path) == 0;
  if(ok)
  {
    g_free(store->stage);
    store->stage = path;
    *kept = g_build_filename(path, id, NULL);
  }
  else
    g_free(path);
  g_free(name);
  return ok;
}

/* What stands where the model is to be: nothing, our own, somebody's model (to be kept), or no model at all. */
static gboolean _make_way(dt_model_store_t *store, const char *id, const char *home, char **kept,
                          GError **error)
{
  struct stat status;
  if(lstat(home, &status) != 0 || S_ISLNK(status.st_mode)) return TRUE;
  if(!_is_model(home))
  {
    g_set_error(error, DT_AI_ERROR, DT_AI_ERROR_OUTPUT,
                "%s is in the way and is no model, so it is left alone. Move it away, then try again.", home);
    return FALSE;
  }
  return _is_ours(home) || _keep_stage(store, id, kept)
         || _fail(error, "The folder that is there cannot be kept:", home);
}

gboolean dt_model_store_commit(dt_model_store_t *store, const char *id, char **kept, GError **error)
{
  char *home = g_build_filename(store->dir, id, NULL);
  *kept = NULL;
  if(!_make_way(store, id, home, kept, error))
  {
    g_free(home);
    return FALSE;
  }
  char *staged = g_build_filename(store->stage, id, NULL);
  const gboolean ok = _sync_dir(store->stage) && _replace(store, id, staged, home);
  if(ok && !_sync_dir(store->dir))
    dt_log(DT_LOG_AI, "%s could not be synced: %s", store->dir, g_strerror(errno));
  if(!ok) _fail(error, "The model cannot be put in its place at", home);
  if(ok && *kept)
    g_clear_pointer(&store->stage, g_free); /* unlock() must not remove it */
  else
    g_clear_pointer(kept, g_free);
  g_free(home);
  g_free(staged);
  return ok;
}

gboolean dt_model_store_remove(dt_model_store_t *store, const char *name, GError **error)
{
  if(!dt_model_store_stage(store, error)) return FALSE;
  char *away = g_build_filename(store->stage, name, NULL), *home = g_build_filename(store->dir, name, NULL);
  const gboolean ok = rename(home, away) == 0;
  if(ok)
    (void)_sync_dir(store->dir);
  else if(errno == ENOENT)
    g_set_error(error, DT_AI_ERROR, DT_AI_ERROR_NO_MODEL,
                "There is no model at %s any more. See what is installed: darktable-ai models list", home);
  else
    _fail(error, "The model cannot be removed from", home);
  g_free(home);
  g_free(away);
  return ok;
}

/* --- records --- */

/* One line per file, as sha256sum(1) writes and checks them. */
static gboolean _append_digests(const char *dir, GString *text, GCancellable *cancellable, GError **error)
{
  GPtrArray *paths = _files(dir);
  gboolean ok = TRUE;
  for(guint i = 0; i < paths->len && ok; i++)
  {
    const char *relative = g_ptr_array_index(paths, i);
    char *path = g_build_filename(dir, relative, NULL);
    char *digest = dt_package_sha256(path, cancellable, error);
    ok = digest != NULL;
    if(ok) g_string_append_printf(text, "%s  %s\n", digest, relative);
    g_free(digest);
    g_free(path);
  }
  g_ptr_array_unref(paths);
  return ok;
}

static void _append_field(GString *text, const char *title, const char *value)
{
  char *line = dt_manifest_printable(value, MAX_FIELD);
  g_string_append_printf(text, "%s%s\n", title, line);
  g_free(line);
}

gboolean dt_model_record_write(const char *dir, const char *source, const char *license, const char *sha256,
                               GCancellable *cancellable, GError **error)
{
  GString *text =
      g_string_new("# darktable-ai installed this model; check it with: sha256sum -c " RECORD "\n");
  _append_field(text, SOURCE, source);
  if(license && *license) _append_field(text, LICENSE, license);
  _append_field(text, PACKAGE, sha256);
  char *path = g_build_filename(dir, RECORD, NULL);
  GError *cause = NULL;
  gboolean ok = _append_digests(dir, text, cancellable, error);
  if(ok
     && !g_file_set_contents_full(path, text->str, (gssize)text->len,
                                  G_FILE_SET_CONTENTS_CONSISTENT | G_FILE_SET_CONTENTS_DURABLE, 0644, &cause))
  {
    g_set_error(error, DT_AI_ERROR, DT_AI_ERROR_OUTPUT, "%s: %s. Check the free space.", path,
                cause->message);
    g_error_free(cause);
    ok = FALSE;
  }
  if(ok && !_sync_dir(dir)) ok = _fail(error, "The disk does not take", dir);
  g_free(path);
  g_string_free(text, TRUE);
  return ok;
}

static void _read_line(dt_model_record_t *record, const char *line)
{
  const struct
  {
    const char *title;
    char **field;
  } fields[] = { { SOURCE, &record->source }, { LICENSE, &record->license }, { PACKAGE, &record->sha256 } };
  for(size_t i = 0; i < G_N_ELEMENTS(fields); i++)
  {
    if(!g_str_has_prefix(line, fields[i].title)) continue;
    g_free(*fields[i].field);
    *fields[i].field = g_strdup(line + strlen(fields[i].title));
  }
  if(line[0] != '#' && strlen(line) > DIGEST + 2)
    g_hash_table_replace(record->files, g_strdup(line + DIGEST + 2), g_strndup(line, DIGEST));
}

/* The record's text: NULL without an error when there is none. A pipe by that name is not waited for. */
static char *_read_record(const char *path, GError **error)
{
  const int fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
  if(fd < 0 && errno == ENOENT) return NULL;
  struct stat status;
  const gboolean usable =
      fd >= 0 && fstat(fd, &status) == 0 && S_ISREG(status.st_mode) && status.st_size <= MAX_RECORD;
  char *text = usable ? g_malloc0((gsize)status.st_size + 1) : NULL;
  const gboolean ok = text && read(fd, text, (size_t)status.st_size) == status.st_size;
  if(fd >= 0) close(fd);
  if(ok) return text;
  g_free(text);
  g_set_error(error, DT_AI_ERROR, DT_AI_ERROR_NO_MODEL,
              "%s cannot be read, so the model's files cannot be compared with it. Install the model again.",
              path);
  return NULL;
}

dt_model_record_t *dt_model_record_read(const char *dir, GError **error)
{
  char *path = g_build_filename(dir, RECORD, NULL), *text = _read_record(path, error);
  dt_model_record_t *record = NULL;
  if(text)
  {
    record = g_new0(dt_model_record_t, 1);
    record->source = g_strdup("");
    record->license = g_strdup("");
    record->sha256 = g_strdup("");
    record->files = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    char **lines = g_strsplit(text, "\n", -1);
    for(char **line = lines; *line; line++) _read_line(record, *line);
    g_strfreev(lines);
  }
  g_free(text);
  g_free(path);
  return record;
}

void dt_model_record_free(dt_model_record_t *record)
{
  if(!record) return;
  g_free(record->source);
  g_free(record->license);
  g_free(record->sha256);
  g_hash_table_unref(record->files);
  g_free(record);
}

static gboolean _check_file(const dt_model_record_t *record, const char *dir, const char *relative,
                            GCancellable *cancellable, GError **error)
{
  char *path = g_build_filename(dir, relative, NULL);
  const char *wanted = g_hash_table_lookup(record->files, relative);
  GError *cause = NULL;
  char *found = dt_package_sha256(path, cancellable, &cause);
  const gboolean ok = found && g_strcmp0(wanted, found) == 0;
  if(g_error_matches(cause, DT_AI_ERROR, DT_AI_ERROR_CANCELLED))
    g_propagate_error(error, g_steal_pointer(&cause));
  else if(!ok)
    g_set_error(error, DT_AI_ERROR, DT_AI_ERROR_NO_MODEL, "%s %s. Install the model again.", path,
                !found    ? "is missing or cannot be read"
                : !wanted ? "was not there when the model was installed"
                          : "has changed since the model was installed");
  g_clear_error(&cause);
  g_free(found);
  g_free(path);
  return ok;
}

gboolean dt_model_record_check(const dt_model_record_t *record, const char *dir, GCancellable *cancellable,
                               GError **error)
{
  GPtrArray *present = _files(dir);
  gboolean ok = TRUE;
  for(guint i = 0; i < present->len && ok; i++)
    ok = _check_file(record, dir, g_ptr_array_index(present, i), cancellable, error);
  GHashTableIter recorded;
  gpointer relative;
  g_hash_table_iter_init(&recorded, record->files);
  while(ok && g_hash_table_iter_next(&recorded, &relative, NULL))
    if(!g_ptr_array_find_with_equal_func(present, relative, g_str_equal, NULL))
      ok = _check_file(record, dir, relative, cancellable, error);
  g_ptr_array_unref(present);
  return ok;
}
