/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The registry: what is installed, what is on offer, and every change to either.
 *
 * A new model's way: the package is unpacked beside the others (model_package.c), its manifest and structure
 * are checked (model_check.c), it is tried (the self-test handed down from above), its record is written, and
 * one rename puts it in its place (model_store.c). */
#include "common/ai_models.h"
#include "common/conf.h"
#include "common/log.h"
#include "common/model_catalogue.h"
#include "common/model_check.h"
#include "common/model_store.h"
#include "common/paths.h"

#include <errno.h>
#include <glib/gstdio.h>
#include <json-glib/json-glib.h>
#include <pthread.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

struct dt_ai_models_t
{
  pthread_mutex_t lock; /* of list and remote, which are replaced, never changed */
  dt_model_list_t *list;
  dt_repository_t *remote; /* or NULL: nobody asked yet */
  GPtrArray *catalogue;
  dt_ai_models_selftest_t selftest;
};

static const dt_ai_models_job_t _nobody_watches;

/* --- a job's progress --- */

typedef struct _step_t
{
  const dt_ai_models_job_t *job;
  const char *id, *name;
} _step_t;

static void _report_bytes(guint64 done, guint64 total, gpointer data)
{
  const _step_t *step = data;
  if(step->job->progress) step->job->progress(step->id, step->name, done, total, step->job->user_data);
}

static void _report_step(const dt_ai_models_job_t *job, const char *id, const char *name)
{
  _step_t step = { job, id, name };
  _report_bytes(0, 0, &step);
}

/* A sentence for the person who watches. */
static void _say_to(const dt_ai_models_job_t *job, const char *format, ...) G_GNUC_PRINTF(2, 3);
static void _say_to(const dt_ai_models_job_t *job, const char *format, ...)
{
  va_list args;
  va_start(args, format);
  char *text = g_strdup_vprintf(format, args);
  va_end(args);
  dt_log(DT_LOG_AI, "%s", text);
  if(job->say) job->say(text, job->user_data);
  g_free(text);
}

static void _report_waiting(gpointer data)
{
  _report_bytes(0, 0, data);
}

/* The master switch may have been turned while the registry is open. */
static gboolean _is_on(GError **error)
{
  if(dt_conf_get_bool(DT_CONF_AI_ENABLED)) return TRUE;
  g_set_error(error, DT_AI_ERROR, DT_AI_ERROR_DISABLED,
              "AI features are switched off. Switch them on with: darktable-ai enable");
  return FALSE;
}

static dt_model_store_t *_lock_store(const char *id, const dt_ai_models_job_t *job, GError **error)
{
  _step_t step = { job, id, "wait" };
  if(!_is_on(error)) return NULL;
  return dt_model_store_lock(_report_waiting, &step, job->cancellable, error);
}

/* --- the list --- */

static dt_model_list_t *_current(dt_ai_models_t *models)
{
  pthread_mutex_lock(&models->lock);
  dt_model_list_t *list = dt_model_list_ref(models->list);
  pthread_mutex_unlock(&models->lock);
  return list;
}

static void _scan(dt_ai_models_t *models)
{
  dt_conf_reload(); /* another process may have chosen meanwhile */
  dt_model_list_t *list = dt_model_list_scan(NULL);
  pthread_mutex_lock(&models->lock);
  dt_model_list_t *old = models->list;
  models->list = list;
  pthread_mutex_unlock(&models->lock);
  dt_model_list_unref(old);
}

static char *_active_key(const char *task)
{
  return g_strconcat(DT_CONF_AI_ACTIVE_MODEL, task, NULL);
}

/* Whether the setting leaves the choice to us: not set, or naming a model that is gone. An empty one is a wish. */
static gboolean _is_open_choice(const dt_model_list_t *list, const char *task, const char *setting)
{
  if(!setting) return TRUE;
  const dt_model_t *named = *setting ? dt_model_list_find(list, setting) : NULL;
  return *setting && (!named || strcmp(named->manifest->task, task) != 0);
}

/* Writes the choice down unless there is one by now: whatever is added later does not change it. */
static gboolean _choose(const dt_model_list_t *list, const dt_model_t *model, GError **error)
{
  const char *task = model->manifest->task;
  char *key = _active_key(task), *setting = dt_conf_get_string(key);
  const gboolean ok =
      !_is_open_choice(list, task, setting) || dt_conf_set_instead(key, setting, model->manifest->id, error);
  g_free(setting);
  g_free(key);
  return ok;
}

/* What serves @p task by default, if it came from the user, is his choice from now on. */
static gboolean _adopt_task(const dt_model_list_t *list, const char *task, GError **error)
{
  const dt_model_t *active = dt_model_list_active(list, task, NULL);
  return !active || active->origin == DT_MODEL_BUNDLED || _choose(list, active, error);
}

/* The newcomer serves its task when nothing else does and none was not asked for. */
static gboolean _activate_newcomer(const dt_model_list_t *list, const char *id, GError **error)
{
  const dt_model_t *model = dt_model_list_find(list, id);
  if(!model) return TRUE;
  const dt_model_t *active = dt_model_list_active(list, model->manifest->task, NULL);
  if(active && active != model) return TRUE;
  return model->origin == DT_MODEL_BUNDLED || _choose(list, model, error);
}

/* --- snapshots --- */

typedef struct _entry_t
{
  dt_ai_model_t model; /* first: the public pointer is the private one */
  dt_manifest_t *manifest;
  GStringChunk *strings;
} _entry_t;

static void _free_entry(gpointer data)
{
  _entry_t *e = data;
  dt_manifest_unref(e->manifest);
  g_string_chunk_free(e->strings);
  g_free(e);
}

static _entry_t *_new_entry(const char *id)
{
  _entry_t *e = g_new0(_entry_t, 1);
  e->strings = g_string_chunk_new(256);
  e->model.id = g_string_chunk_insert_const(e->strings, id);
  const char **strings[] = { &e->model.name,          &e->model.description, &e->model.task,
                             &e->model.version,       &e->model.source,      &e->model.license,
                             &e->model.remote_version };
  for(size_t i = 0; i < G_N_ELEMENTS(strings); i++) *strings[i] = "";
  return e;
}

/* The first that says something counts. */
static void _say(_entry_t *e, const char **field, const char *text)
{
  if(!**field && text && *text) *field = g_string_chunk_insert(e->strings, text);
}

static gboolean _is_newer(const dt_remote_model_t *remote, const char *version,
                          const dt_model_record_t *record)
{
  const int order = dt_model_compare_versions(remote->version, version);
  /* the same version packed anew has another digest */
  const gboolean rebuilt =
      record && *record->sha256 && *remote->sha256 && strcmp(record->sha256, remote->sha256) != 0;
  return order > 0 || (order == 0 && rebuilt);
}

static char *_card_license(const dt_manifest_t *m)
{
  JsonNode *card = m->model_card ? json_from_string(m->model_card, NULL) : NULL;
  JsonNode *license = card ? json_object_get_member(json_node_get_object(card), "license") : NULL;
  const gboolean is_string = license && json_node_get_value_type(license) == G_TYPE_STRING;
  char *text = is_string ? g_strdup(json_node_get_string(license)) : NULL;
  g_clear_pointer(&card, json_node_unref);
  return text;
}

static void _describe_installed(_entry_t *e, const dt_model_t *model, const dt_model_list_t *list)
{
  const dt_manifest_t *m = model->manifest;
  e->manifest = dt_manifest_ref(m);
  e->model.manifest = e->manifest;
  _say(e, &e->model.name, m->name);
  _say(e, &e->model.description, m->description);
  _say(e, &e->model.task, m->task);
  _say(e, &e->model.version, m->version);
  char *license = _card_license(m);
  _say(e, &e->model.license, license);
  g_free(license);
  e->model.active = dt_model_list_active(list, m->task, NULL) == model;
  e->model.is_default = model->is_default;
  e->model.is_protected = model->origin != DT_MODEL_USER;
  e->model.origin = model->origin;
  e->model.status = DT_AI_MODEL_DOWNLOADED;
}

static void _describe_offer(_entry_t *e, const dt_remote_model_t *remote)
{
  _say(e, &e->model.name, remote->name);
  _say(e, &e->model.description, remote->description);
  _say(e, &e->model.task, remote->task);
  _say(e, &e->model.license, remote->license);
  _say(e, &e->model.remote_version, remote->version);
  e->model.size = remote->size;
}

static void _describe_recommended(_entry_t *e, const dt_catalogue_entry_t *entry)
{
  _say(e, &e->model.name, entry->name);
  _say(e, &e->model.task, entry->task);
  _say(e, &e->model.license, entry->license);
  e->model.is_default |= entry->is_default;
  if(e->manifest && *entry->min_version
     && dt_model_compare_versions(e->model.version, entry->min_version) < 0)
    e->model.status = DT_AI_MODEL_UPDATE_REQUIRED;
}

static void _describe_update(_entry_t *e, const dt_remote_model_t *remote)
{
  dt_model_record_t *record = dt_model_record_read(e->manifest->directory, NULL);
  if(record) _say(e, &e->model.source, record->source);
  if(record) _say(e, &e->model.license, record->license);
  e->model.is_newer_on_offer = remote && _is_newer(remote, e->model.version, record);
  if(e->model.is_newer_on_offer && e->model.status == DT_AI_MODEL_DOWNLOADED)
    e->model.status = DT_AI_MODEL_UPDATE_AVAILABLE;
  dt_model_record_free(record);
}

static gboolean _find_entry(const GPtrArray *entries, const char *id)
{
  for(guint i = 0; i < entries->len; i++)
    if(strcmp(((dt_ai_model_t *)g_ptr_array_index(entries, i))->id, id) == 0) return TRUE;
  return FALSE;
}

static _entry_t *_make_entry(const dt_ai_models_t *models, const dt_model_list_t *list, const char *id)
{
  _entry_t *e = _new_entry(id);
  const dt_model_t *model = dt_model_list_find(list, id);
  const dt_remote_model_t *remote = models->remote ? dt_repository_find(models->remote, id) : NULL;
  const dt_catalogue_entry_t *known = dt_catalogue_find(models->catalogue, id);
  if(model) _describe_installed(e, model, list);
  if(model) _describe_update(e, remote);
  if(remote) _describe_offer(e, remote);
  if(known) _describe_recommended(e, known);
  return e;
}

static int _compare_entries(gconstpointer a, gconstpointer b)
{
  const dt_ai_model_t *ma = *(const dt_ai_model_t *const *)a, *mb = *(const dt_ai_model_t *const *)b;
  const int by_task = strcmp(ma->task, mb->task);
  if(by_task != 0) return by_task;
  if(ma->is_default != mb->is_default) return ma->is_default ? -1 : 1;
  return strcmp(ma->id, mb->id);
}

GPtrArray *dt_ai_models_list(dt_ai_models_t *models)
{
  GPtrArray *entries = g_ptr_array_new_with_free_func(_free_entry);
  pthread_mutex_lock(&models->lock);
  const dt_model_list_t *list = models->list;
  for(guint i = 0; i < list->models->len; i++)
  {
    const dt_model_t *model = g_ptr_array_index(list->models, i);
    g_ptr_array_add(entries, _make_entry(models, list, model->manifest->id));
  }
  for(guint i = 0; models->remote && i < models->remote->models->len; i++)
  {
    const dt_remote_model_t *remote = g_ptr_array_index(models->remote->models, i);
    if(!_find_entry(entries, remote->id)) g_ptr_array_add(entries, _make_entry(models, list, remote->id));
  }
  /* once the repository was asked, its word is what there is */
  for(guint i = 0; !models->remote && i < models->catalogue->len; i++)
  {
    const dt_catalogue_entry_t *known = g_ptr_array_index(models->catalogue, i);
    if(!_find_entry(entries, known->id)) g_ptr_array_add(entries, _make_entry(models, list, known->id));
  }
  pthread_mutex_unlock(&models->lock);
  g_ptr_array_sort(entries, _compare_entries);
  return entries;
}

static gpointer _copy_string(gconstpointer text, gpointer data)
{
  (void)data;
  return g_strdup(text);
}

static GPtrArray *_copy_strings(GPtrArray *strings)
{
  GPtrArray *copy = g_ptr_array_copy(strings, _copy_string, NULL);
  g_ptr_array_set_free_func(copy, g_free);
  return copy;
}

GPtrArray *dt_ai_models_problems(dt_ai_models_t *models)
{
  dt_model_list_t *list = _current(models);
  GPtrArray *problems = _copy_strings(list->problems);
  dt_model_list_unref(list);
  return problems;
}

GPtrArray *dt_ai_models_waiting(dt_ai_models_t *models)
{
  dt_model_list_t *list = _current(models);
  GPtrArray *waiting = _copy_strings(list->waiting);
  dt_model_list_unref(list);
  return waiting;
}

/* --- installing --- */

/* A package on its way in. */
typedef struct _arrival_t
{
  const char *path;    /* of the package */
  const char *source;  /* for the record */
  const char *license; /* as the repository states it, or NULL */
  const char *id;      /* it must have, or NULL */
  const char *sha256;  /* it must have, or NULL */
} _arrival_t;

static gboolean _refuse(GError **error, const char *id, const char *why)
{
  g_set_error(error, DT_AI_ERROR, DT_AI_ERROR_NO_MODEL,
              "The package of %s was not installed: %s. Ask whoever made it for a correct one.", id, why);
  return FALSE;
}

static gboolean _examine(const dt_ai_models_t *models, const dt_manifest_t *m, const dt_ai_models_job_t *job,
                         GError **error)
{
  _report_step(job, m->id, "check");
  if(!dt_model_check(m, NULL, error)) return FALSE;
  _report_step(job, m->id, "test");
  return !models->selftest || models->selftest(m, job->cancellable, error);
}

/* What was unpacked must be what it says it is. */
static gboolean _accept(const dt_ai_models_t *models, const char *stage, const char *id,
                        const _arrival_t *arrival, const dt_ai_models_job_t *job, GError **error)
{
  if(arrival->id && strcmp(arrival->id, id) != 0)
    return _refuse(error, arrival->id, "it holds another model than was asked for");
  char *dir = g_build_filename(stage, id, NULL);
  dt_manifest_t *m = dt_manifest_read(dir, error);
  gboolean ok = m != NULL;
  if(ok && strcmp(m->id, id) != 0)
    ok = _refuse(error, id, "its folder and the \"id\" in its config.json differ");
  ok = ok && _examine(models, m, job, error);
  ok = ok
       && dt_model_record_write(dir, arrival->source, arrival->license, arrival->sha256, job->cancellable,
                                error);
  dt_manifest_unref(m);
  g_free(dir);
  return ok;
}

/* The staging directory means nothing to anybody: a message speaks of the package. */
static void _speak_of_package(const char *stage, const char *path, GError **error)
{
  if(!error || !*error) return;
  GString *text = g_string_new((*error)->message);
  char *prefix = g_strconcat(stage, "/", NULL);
  g_string_replace(text, prefix, "", 0);
  if(!strstr(text->str, path)) g_string_prepend(g_string_prepend(text, " was not installed: "), path);
  g_free((*error)->message);
  (*error)->message = g_string_free(text, FALSE);
  g_free(prefix);
}

/* With the lock held: from a package to a model in its place. */
static char *_bring_in(const dt_ai_models_t *models, dt_model_store_t *store, const _arrival_t *arrival,
                       const dt_ai_models_job_t *job, GError **error)
{
  char *name = g_path_get_basename(arrival->path), *kept = NULL;
  _step_t step = { job, arrival->id ? arrival->id : name, "unpack" };
  const char *stage = dt_model_store_stage(store, error);
  char *id = stage ? dt_package_unpack(arrival->path, stage, arrival->sha256, _report_bytes, &step,
                                       job->cancellable, error)
                   : NULL;
  if(id && !_accept(models, stage, id, arrival, job, error))
  {
    _speak_of_package(stage, arrival->path, error);
    g_clear_pointer(&id, g_free);
  }
  if(id && !dt_model_store_commit(store, id, &kept, error)) g_clear_pointer(&id, g_free);
  if(kept) _say_to(job, "What lay in the folder %s before is kept as %s.", id, kept);
  g_free(kept);
  g_free(name);
  return id;
}

/* Models that were put there by hand become active as installed ones do. */
static gboolean _adopt_all(dt_ai_models_t *models, GError **error)
{
  dt_model_list_t *list = _current(models);
  gboolean ok = TRUE;
  for(guint i = 0; i < list->models->len && ok; i++)
    ok = _adopt_task(list, ((const dt_model_t *)g_ptr_array_index(list->models, i))->manifest->task, error);
  dt_model_list_unref(list);
  return ok;
}

static gboolean _forget_choice(const dt_model_list_t *list, const char *task, const char *id, GError **error);

/* Who serves the task of the model that came in. What served it so far is written down first, or a recommended
 * newcomer would displace what was put there by hand; a task that the model has left falls back. */
static gboolean _settle(const dt_model_list_t *before, const dt_model_list_t *after, const char *id,
                        GError **error)
{
  const dt_model_t *old = dt_model_list_find(before, id), *new = dt_model_list_find(after, id);
  const char *task = new ? new->manifest->task : NULL;
  const gboolean moved = old && task && strcmp(old->manifest->task, task) != 0;
  return (!task || _adopt_task(before, task, error)) && _activate_newcomer(after, id, error)
         && (!moved || _forget_choice(after, old->manifest->task, id, error));
}

static void _report_change(const dt_ai_models_job_t *job, const dt_model_list_t *before,
                           const dt_model_list_t *after, const char *id)
{
  const dt_model_t *old = dt_model_list_find(before, id), *new = dt_model_list_find(after, id);
  if(!old || !new) return;
  if(strcmp(old->manifest->version, new->manifest->version) != 0)
    _say_to(job, "%s %s takes the place of %s.", id, new->manifest->version, old->manifest->version);
  if(strcmp(old->manifest->task, new->manifest->task) != 0)
    _say_to(job, "%s is for the task %s now; it was for %s.", id, new->manifest->task, old->manifest->task);
}

static char *_install(dt_ai_models_t *models, const _arrival_t *arrival, const dt_ai_models_job_t *job,
                      GError **error)
{
  dt_model_store_t *store = _lock_store(arrival->path, job, error);
  if(store) _scan(models);
  dt_model_list_t *before = _current(models);
  char *id = store ? _bring_in(models, store, arrival, job, error) : NULL;
  dt_model_store_unlock(store);
  if(id)
  {
    GError *cause = NULL;
    _scan(models);
    dt_model_list_t *after = _current(models);
    _report_change(job, before, after, id);
    if(!_settle(before, after, id, &cause))
      _say_to(job, "%s is installed, but which model is active could not be saved. %s", id, cause->message);
    g_clear_error(&cause);
    dt_model_list_unref(after);
  }
  dt_model_list_unref(before);
  return id;
}

char *dt_ai_models_install(dt_ai_models_t *models, const char *path, const dt_ai_models_job_t *job,
                           GError **error)
{
  if(!job) job = &_nobody_watches;
  if(!_is_on(error)) return NULL;
  char *digest = dt_package_sha256(path, job->cancellable, error);
  if(!digest) return NULL;
  char *name = g_path_get_basename(path);
  const _arrival_t arrival = { .path = path, .source = name, .sha256 = digest };
  char *id = _install(models, &arrival, job, error);
  g_free(name);
  g_free(digest);
  return id;
}

/* --- packages that were dropped --- */

/* Once it is a directory its file goes, unless somebody put another there meanwhile. */
static gboolean _take_dropped(dt_ai_models_t *models, const char *path, const dt_ai_models_job_t *job,
                              GError **error)
{
  struct stat before, now;
  const gboolean known = lstat(path, &before) == 0;
  char *id = dt_ai_models_install(models, path, job, error);
  if(id && known && lstat(path, &now) == 0 && now.st_dev == before.st_dev && now.st_ino == before.st_ino
     && now.st_size == before.st_size && now.st_mtime == before.st_mtime)
    g_unlink(path);
  g_free(id);
  return id != NULL;
}

static void _unpack_dropped(dt_ai_models_t *models, GPtrArray *problems, const dt_ai_models_job_t *job)
{
  dt_model_list_t *list = _current(models);
  for(guint i = 0; i < list->waiting->len && !g_cancellable_is_cancelled(job->cancellable); i++)
  {
    const char *path = g_ptr_array_index(list->waiting, i);
    GError *reason = NULL;
    if(!_take_dropped(models, path, job, &reason) && problems)
      g_ptr_array_add(problems, g_strdup_printf("%s: %s", path, reason->message));
    g_clear_error(&reason);
  }
  dt_model_list_unref(list);
}

static void _unpack_for_environments(GPtrArray *problems, gpointer data)
{
  _scan(data);
  _unpack_dropped(data, problems, &_nobody_watches);
}

/* Taking the lock sweeps. Where nothing may be written there is nothing to sweep either. */
static gboolean _sweep_store(const dt_ai_models_job_t *job, GError **error)
{
  char *dir = dt_model_list_user_dir();
  const gboolean writable = access(dir, W_OK) == 0;
  g_free(dir);
  dt_model_store_t *store = writable ? _lock_store("", job, error) : NULL;
  dt_model_store_unlock(store);
  return store || !writable;
}

gboolean dt_ai_models_rescan(dt_ai_models_t *models, GPtrArray *problems, const dt_ai_models_job_t *job,
                             GError **error)
{
  if(!job) job = &_nobody_watches;
  if(!_is_on(error) || !_sweep_store(job, error)) return FALSE;
  _scan(models);
  _unpack_dropped(models, problems, job);
  if(g_cancellable_is_cancelled(job->cancellable))
  {
    g_set_error(error, DT_AI_ERROR, DT_AI_ERROR_CANCELLED, "The scan was cancelled.");
    return FALSE;
  }
  _scan(models);
  return _adopt_all(models, error);
}

/* --- the repository --- */

static dt_download_opts_t _download_opts(const _step_t *step)
{
  return (dt_download_opts_t){
    .stall_seconds = (int)CLAMP(dt_conf_get_int(DT_CONF_AI_STALL_SECONDS, 30), 1, 3600),
    .progress = _report_bytes,
    .user_data = (gpointer)step,
    .cancellable = step->job->cancellable,
  };
}

gboolean dt_ai_models_check_updates(dt_ai_models_t *models, char **note, const dt_ai_models_job_t *job,
                                    GError **error)
{
  const _step_t step = { job ? job : &_nobody_watches, "", "index" };
  const dt_download_opts_t opts = _download_opts(&step);
  char *name = dt_conf_get_string(DT_CONF_AI_REPOSITORY);
  dt_repository_t *remote = dt_repository_open(name, DT_REPOSITORY_DARKTABLE_VERSION, &opts, error);
  g_free(name);
  if(!remote) return FALSE;
  if(note) *note = g_strdup(remote->note);
  pthread_mutex_lock(&models->lock);
  dt_repository_t *old = models->remote;
  models->remote = remote;
  pthread_mutex_unlock(&models->lock);
  dt_repository_free(old);
  return TRUE;
}

/* What a download needs of the repository, as a copy: the repository may be asked again meanwhile. */
typedef struct _offer_t
{
  char *url, *sha256, *source, *license;
  guint64 size;
} _offer_t;

static void _clear_offer(_offer_t *offer)
{
  g_free(offer->url);
  g_free(offer->sha256);
  g_free(offer->source);
  g_free(offer->license);
}

static gboolean _look_up_offer(dt_ai_models_t *models, const char *id, _offer_t *offer, GError **error)
{
  pthread_mutex_lock(&models->lock);
  const dt_remote_model_t *remote = dt_repository_find(models->remote, id);
  if(remote)
    *offer = (_offer_t){ g_strdup(remote->url), g_strdup(remote->sha256), g_strdup(models->remote->name),
                         g_strdup(remote->license), remote->size };
  else
    g_set_error(
        error, DT_AI_ERROR, DT_AI_ERROR_NO_MODEL,
        "The repository %s does not offer a model \"%s\". See what it offers: darktable-ai models list "
        "--remote",
        models->remote->name, id);
  pthread_mutex_unlock(&models->lock);
  if(!remote) return FALSE;
  if(offer->size > DT_PACKAGE_MAX_BYTES)
    g_set_error(error, DT_AI_ERROR, DT_AI_ERROR_NETWORK,
                "The repository %s says that the package of %s is larger than 8 GiB, which no model is. Use "
                "another repository: darktable-ai prefs set plugins/ai/repository …",
                offer->source, id);
  else if(*offer->sha256)
    return TRUE;
  else
    g_set_error(error, DT_AI_ERROR, DT_AI_ERROR_NETWORK,
                "The repository %s gives no SHA-256 for %s, so its package cannot be verified and is not "
                "downloaded. Use another repository (darktable-ai prefs set plugins/ai/repository …), or "
                "install a package file that you trust.",
                offer->source, id);
  _clear_offer(offer);
  return FALSE;
}

/* `<cachedir>/ai_downloads/<id>-<digest>.part`: what is there of a package; another version has another name. */
static char *_download_path(const char *id, const char *sha256, GError **error)
{
  char *cache = dt_paths_get(DT_DIR_CACHE), *dir = g_build_filename(cache, "ai_downloads", NULL);
  char *path = g_strdup_printf("%s/%.200s-%.16s.part", dir, id, sha256);
  if(g_mkdir_with_parents(dir, 0700) != 0)
  {
    g_set_error(error, DT_AI_ERROR, DT_AI_ERROR_OUTPUT,
                "There is no directory for downloads at %s: %s. Check its permissions, or use --cachedir.",
                dir, g_strerror(errno));
    g_clear_pointer(&path, g_free);
  }
  g_free(dir);
  g_free(cache);
  return path;
}

/* What is there of other versions of this package is of no use any more. */
static void _sweep_downloads(const char *path)
{
  char *dir_path = g_path_get_dirname(path), *own = g_path_get_basename(path);
  GDir *dir = g_dir_open(dir_path, 0, NULL);
  const size_t prefix = strlen(own) - strlen("0123456789abcdef.part");
  for(const char *name; dir && (name = g_dir_read_name(dir));)
  {
    if(strlen(name) != strlen(own) || strncmp(name, own, prefix) != 0 || !g_str_has_suffix(name, ".part"))
      continue;
    char *stale = g_build_filename(dir_path, name, NULL);
    g_unlink(stale);
    g_free(stale);
  }
  if(dir) g_dir_close(dir);
  g_free(own);
  g_free(dir_path);
}

/* Room for the package where it arrives and once more, unpacked at least as large, where it is installed. */
static gboolean _has_room(const char *path, guint64 size, GError **error)
{
  char *cache = g_path_get_dirname(path), *models = dt_paths_get(DT_DIR_CONFIG);
  const char *places[] = { cache, models };
  gboolean ok = TRUE;
  for(size_t i = 0; i < G_N_ELEMENTS(places) && ok; i++)
  {
    struct statvfs fs;
    if(statvfs(places[i], &fs) != 0) continue;
    const guint64 available = (guint64)fs.f_bavail * fs.f_frsize;
    ok = available >= size;
    if(!ok)
      g_set_error(
          error, DT_AI_ERROR, DT_AI_ERROR_OUTPUT,
          "There is no room for a package of %.0f MB: %.0f MB are free at %s. Free some space, or use "
          "--cachedir or --configdir.",
          1e-6 * (double)size, 1e-6 * (double)available, places[i]);
  }
  g_free(models);
  g_free(cache);
  return ok;
}

static gboolean _fetch_locked(dt_ai_models_t *models, const char *id, const _offer_t *offer, const char *path,
                              const dt_ai_models_job_t *job, GError **error)
{
  const _step_t step = { job, id, "download" };
  dt_download_opts_t opts = _download_opts(&step);
  opts.max_bytes = offer->size;
  if(!_has_room(path, offer->size, error) || !dt_download_file(offer->url, path, offer->sha256, &opts, error))
    return FALSE;
  const _arrival_t arrival = {
    .path = path, .source = offer->source, .license = offer->license, .id = id, .sha256 = offer->sha256
  };
  GError *cause = NULL;
  char *installed = _install(models, &arrival, job, &cause);
  /* a package that is no good is of no use later either */
  if(installed || g_error_matches(cause, DT_AI_ERROR, DT_AI_ERROR_NO_MODEL)) _sweep_downloads(path);
  if(cause) g_propagate_error(error, cause);
  g_free(installed);
  return installed != NULL;
}

/* Whether exactly this package is what is installed. */
static gboolean _is_installed(dt_ai_models_t *models, const char *id, const char *sha256)
{
  _scan(models);
  dt_model_list_t *list = _current(models);
  const dt_model_t *model = dt_model_list_find(list, id);
  dt_model_record_t *record = model ? dt_model_record_read(model->manifest->directory, NULL) : NULL;
  const gboolean same = record && strcmp(record->sha256, sha256) == 0;
  dt_model_record_free(record);
  dt_model_list_unref(list);
  return same;
}

/* One process at a time fetches a package; who waited finds it installed. */
static gboolean _fetch(dt_ai_models_t *models, const char *id, const _offer_t *offer,
                       const dt_ai_models_job_t *job, GError **error)
{
  _step_t waiting = { job, id, "wait" };
  char *path = _download_path(id, offer->sha256, error);
  if(!path) return FALSE;
  char *lock = g_strconcat(path, ".lock", NULL);
  gboolean waited = FALSE;
  const int fd = dt_model_store_lock_file(lock, _report_waiting, &waiting, job->cancellable, &waited, error);
  const gboolean ok = fd >= 0
                      && ((waited && _is_installed(models, id, offer->sha256))
                          || _fetch_locked(models, id, offer, path, job, error));
  if(ok) g_unlink(lock); /* whoever waits for it finds the model installed */
  if(fd >= 0) close(fd);
  g_free(lock);
  g_free(path);
  return ok;
}

static gboolean _ask_once(dt_ai_models_t *models, const dt_ai_models_job_t *job, GError **error)
{
  pthread_mutex_lock(&models->lock);
  const gboolean asked = models->remote != NULL;
  pthread_mutex_unlock(&models->lock);
  return asked || dt_ai_models_check_updates(models, NULL, job, error);
}

gboolean dt_ai_models_is_offered(dt_ai_models_t *models, const char *id, GError **error)
{
  _offer_t offer;
  if(!_ask_once(models, &_nobody_watches, error) || !_look_up_offer(models, id, &offer, error)) return FALSE;
  _clear_offer(&offer);
  return TRUE;
}

gboolean dt_ai_models_download(dt_ai_models_t *models, const char *id, const dt_ai_models_job_t *job,
                               GError **error)
{
  if(!job) job = &_nobody_watches;
  _offer_t offer;
  if(!_is_on(error) || !_ask_once(models, job, error) || !_look_up_offer(models, id, &offer, error))
    return FALSE;
  const gboolean ok = _fetch(models, id, &offer, job, error);
  _clear_offer(&offer);
  return ok;
}

/* --- removing, choosing --- */

static gboolean _unknown(GError **error, const char *id)
{
  g_set_error(error, DT_AI_ERROR, DT_AI_ERROR_NO_MODEL,
              "There is no model \"%s\". See what is installed: darktable-ai models list", id);
  return FALSE;
}

static gboolean _may_remove(const dt_model_t *model, const char *id, GError **error)
{
  static const char *const places[] = { [DT_MODEL_CUSTOM] = "lies in a directory of its owner",
                                        [DT_MODEL_DARKTABLE] = "belongs to darktable",
                                        [DT_MODEL_BUNDLED] = "came with the program" };
  if(!model) return _unknown(error, id);
  if(model->origin == DT_MODEL_USER) return TRUE;
  g_set_error(
      error, DT_AI_ERROR, DT_AI_ERROR_USAGE,
      "The model %s %s (%s) and is not removed. If it is not to be used: darktable-ai models deactivate "
      "%s",
      id, places[model->origin], model->manifest->directory, model->manifest->task);
  return FALSE;
}

/* The task falls back to its default; a setting of darktable's own that names the model is overruled. */
static gboolean _forget_choice(const dt_model_list_t *list, const char *task, const char *id, GError **error)
{
  char *key = _active_key(task), *setting = dt_conf_get_string(key);
  gboolean ok = TRUE;
  const dt_model_t *named = dt_model_list_find(list, id);
  if(g_strcmp0(setting, id) == 0 && (!named || strcmp(named->manifest->task, task) != 0))
  {
    ok = dt_conf_reset(key, error);
    char *beneath = dt_conf_get_string(key);
    const dt_model_t *fallback = NULL;
    for(guint i = 0; ok && g_strcmp0(beneath, id) == 0 && !fallback && i < list->models->len; i++)
    {
      const dt_model_t *model = g_ptr_array_index(list->models, i);
      if(strcmp(model->manifest->task, task) == 0) fallback = model;
    }
    if(fallback) ok = dt_conf_set(key, fallback->manifest->id, error);
    g_free(beneath);
  }
  g_free(setting);
  g_free(key);
  return ok;
}

/* With the lock held, so that the list is true. */
static gboolean _take_away(dt_ai_models_t *models, dt_model_store_t *store, const char *id, char **task,
                           GError **error)
{
  _scan(models);
  dt_model_list_t *list = _current(models);
  const dt_model_t *model = dt_model_list_find(list, id);
  gboolean ok = _may_remove(model, id, error);
  if(ok)
  {
    char *folder = g_path_get_basename(model->manifest->directory);
    ok = dt_model_store_remove(store, folder, error);
    *task = g_strdup(model->manifest->task);
    g_free(folder);
  }
  dt_model_list_unref(list);
  return ok;
}

gboolean dt_ai_models_remove(dt_ai_models_t *models, const char *id, const dt_ai_models_job_t *job,
                             GError **error)
{
  char *task = NULL;
  dt_model_store_t *store = _lock_store(id, job ? job : &_nobody_watches, error);
  gboolean ok = store && _take_away(models, store, id, &task, error);
  dt_model_store_unlock(store);
  if(ok)
  {
    GError *cause = NULL;
    _scan(models);
    dt_model_list_t *after = _current(models);
    ok = _forget_choice(after, task, id, &cause);
    if(!ok)
      g_propagate_prefixed_error(error, cause, "%s is removed, but still named as the active model. ", id);
    dt_model_list_unref(after);
  }
  g_free(task);
  return ok;
}

gboolean dt_ai_models_activate(dt_ai_models_t *models, const char *id, GError **error)
{
  dt_model_list_t *list = _current(models);
  const dt_model_t *model = dt_model_list_find(list, id);
  char *key = model ? _active_key(model->manifest->task) : NULL;
  const gboolean ok = model ? dt_conf_set(key, id, error) : _unknown(error, id);
  g_free(key);
  dt_model_list_unref(list);
  return ok;
}

gboolean dt_ai_models_deactivate(dt_ai_models_t *models, const char *task, GError **error)
{
  (void)models;
  char *key = _active_key(task);
  const gboolean ok = dt_conf_set(key, "", error);
  g_free(key);
  return ok;
}

/* --- verifying, packing --- */

static gboolean _check_record(const dt_manifest_t *m, GPtrArray *remarks, const dt_ai_models_job_t *job,
                              GError **error)
{
  GError *cause = NULL;
  dt_model_record_t *record = dt_model_record_read(m->directory, &cause);
  if(cause)
  {
    g_propagate_error(error, cause);
    return FALSE;
  }
  if(!record && remarks)
    g_ptr_array_add(remarks,
                    g_strdup("It was not installed by this program, so there are no digests to compare."));
  const gboolean ok = !record || dt_model_record_check(record, m->directory, job->cancellable, error);
  dt_model_record_free(record);
  return ok;
}

static void _remark_folder(const dt_manifest_t *m, GPtrArray *remarks)
{
  char *folder = g_path_get_basename(m->directory);
  if(remarks && strcmp(folder, m->id) != 0)
    g_ptr_array_add(remarks,
                    g_strdup_printf("Its folder is called \"%s\"; a package of the model would bring its "
                                    "own, called \"%s\".",
                                    folder, m->id));
  g_free(folder);
}

static void _add_remarks(const dt_manifest_t *m, GPtrArray *remarks)
{
  GPtrArray *own = remarks ? dt_manifest_remarks(m) : NULL;
  if(own) g_ptr_array_extend_and_steal(remarks, own);
}

gboolean dt_ai_models_verify(dt_ai_models_t *models, const char *id, GPtrArray *remarks,
                             const dt_ai_models_job_t *job, GError **error)
{
  if(!job) job = &_nobody_watches;
  if(!_is_on(error)) return FALSE;
  dt_model_list_t *list = _current(models);
  const dt_model_t *model = dt_model_list_find(list, id);
  gboolean ok = model != NULL || _unknown(error, id);
  if(ok)
  {
    const dt_manifest_t *m = model->manifest;
    _add_remarks(m, remarks);
    _remark_folder(m, remarks);
    _report_step(job, id, "check");
    ok = (model->origin != DT_MODEL_USER || _check_record(m, remarks, job, error))
         && dt_model_check(m, remarks, error);
    _report_step(job, id, "test");
    ok = ok && (!models->selftest || models->selftest(m, job->cancellable, error));
  }
  dt_model_list_unref(list);
  return ok;
}

char *dt_ai_models_pack(const char *dir, const char *output, gboolean overwrite, GPtrArray *remarks,
                        GCancellable *cancellable, GError **error)
{
  dt_manifest_t *m = dt_manifest_read(dir, error);
  if(!m) return NULL;
  char *path = output ? g_strdup(output) : g_strconcat(m->id, ".dtmodel", NULL);
  _add_remarks(m, remarks);
  if(!dt_model_check(m, remarks, error) || !dt_package_pack(dir, m->id, path, overwrite, cancellable, error))
    g_clear_pointer(&path, g_free);
  dt_manifest_unref(m);
  return path;
}

/* --- life --- */

dt_ai_models_t *dt_ai_models_open(dt_ai_models_selftest_t selftest, GError **error)
{
  if(!_is_on(error)) return NULL;
  dt_ai_models_t *models = g_new0(dt_ai_models_t, 1);
  pthread_mutex_init(&models->lock, NULL);
  models->catalogue = dt_catalogue_read();
  models->selftest = selftest;
  models->list = dt_model_list_scan(NULL);
  dt_model_list_set_unpacker(_unpack_for_environments, models);
  return models;
}

void dt_ai_models_close(dt_ai_models_t *models)
{
  if(!models) return;
  dt_model_list_unset_unpacker(models);
  dt_model_list_unref(models->list);
  dt_repository_free(models->remote);
  g_ptr_array_unref(models->catalogue);
  pthread_mutex_destroy(&models->lock);
  g_free(models);
}
