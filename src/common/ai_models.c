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

static void _report_waiting(gpointer data)
{
  _report_bytes(0, 0, data);
}

static dt_model_store_t *_lock_store(const char *id, const dt_ai_models_job_t *job, GError **error)
{
  _step_t step = { job, id, "wait" };
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

/* The first model of a task serves it from now on, whatever is added later; "none" stays none. */
static gboolean _activate_if_unset(const dt_model_list_t *list, const char *id, GError **error)
{
  const dt_model_t *model = dt_model_list_find(list, id);
  if(!model) return TRUE;
  const dt_model_t *active = dt_model_list_active(list, model->manifest->task, NULL);
  char *key = _active_key(model->manifest->task);
  char *setting = dt_conf_get_string(key);
  const gboolean unset = !setting && active == model && model->origin != DT_MODEL_BUNDLED;
  const gboolean ok = !unset || dt_conf_set(key, id, error);
  g_free(setting);
  g_free(key);
  return ok;
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

/* Compares dotted numbers; what is not a number counts as 0. */
static int _compare_versions(const char *a, const char *b)
{
  while(*a || *b)
  {
    char *a_end, *b_end;
    const guint64 na = g_ascii_strtoull(a, &a_end, 10), nb = g_ascii_strtoull(b, &b_end, 10);
    if(na != nb) return na < nb ? -1 : 1;
    a = strchr(a_end, '.');
    b = strchr(b_end, '.');
    a = a ? a + 1 : "";
    b = b ? b + 1 : "";
  }
  return 0;
}

static gboolean _is_newer(const dt_remote_model_t *remote, const char *version,
                          const dt_model_record_t *record)
{
  const int order = _compare_versions(remote->version, version);
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
  if(e->manifest && *entry->min_version && _compare_versions(e->model.version, entry->min_version) < 0)
    e->model.status = DT_AI_MODEL_UPDATE_REQUIRED;
}

static void _describe_update(_entry_t *e, const dt_remote_model_t *remote)
{
  dt_model_record_t *record = dt_model_record_read(e->manifest->directory);
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
  char *digest = ok && !arrival->sha256 ? dt_package_sha256(arrival->path, job->cancellable, error)
                                        : g_strdup(arrival->sha256);
  ok = ok && digest
       && dt_model_record_write(dir, arrival->source, arrival->license, digest, job->cancellable, error);
  g_free(digest);
  dt_manifest_unref(m);
  g_free(dir);
  return ok;
}

/* A folder of another name that holds a model of this id would go on hiding the new one. */
static gboolean _clear_namesakes(dt_model_store_t *store, const char *id, GError **error)
{
  gboolean ok = TRUE;
  dt_model_list_t *list = dt_model_list_scan(NULL);
  const dt_model_t *model = dt_model_list_find(list, id);
  char *folder = model ? g_path_get_basename(model->manifest->directory) : NULL;
  if(model && model->origin == DT_MODEL_USER && strcmp(folder, id) != 0)
    ok = dt_model_store_remove(store, folder, error);
  g_free(folder);
  dt_model_list_unref(list);
  return ok;
}

/* With the lock held: from a package to a model in its place. */
static char *_bring_in(const dt_ai_models_t *models, dt_model_store_t *store, const _arrival_t *arrival,
                       const dt_ai_models_job_t *job, GError **error)
{
  char *name = g_path_get_basename(arrival->path);
  _step_t step = { job, arrival->id ? arrival->id : name, "unpack" };
  const char *stage = dt_model_store_stage(store, error);
  char *id = stage ? dt_package_unpack(arrival->path, stage, arrival->sha256, _report_bytes, &step,
                                       job->cancellable, error)
                   : NULL;
  if(id
     && !(_accept(models, stage, id, arrival, job, error) && dt_model_store_commit(store, id, error)
          && _clear_namesakes(store, id, error)))
    g_clear_pointer(&id, g_free);
  g_free(name);
  return id;
}

/* Models that were put there by hand become active as installed ones do. */
static gboolean _adopt(dt_ai_models_t *models, GError **error)
{
  dt_model_list_t *list = _current(models);
  gboolean ok = TRUE;
  for(guint i = 0; i < list->models->len && ok; i++)
  {
    const dt_model_t *model = g_ptr_array_index(list->models, i);
    ok = _activate_if_unset(list, model->manifest->id, error);
  }
  dt_model_list_unref(list);
  return ok;
}

static char *_install(dt_ai_models_t *models, const _arrival_t *arrival, const dt_ai_models_job_t *job,
                      GError **error)
{
  dt_model_store_t *store = _lock_store(arrival->path, job, error);
  char *id = store ? _bring_in(models, store, arrival, job, error) : NULL;
  dt_model_store_unlock(store);
  if(!id) return NULL;
  /* first what was active so far, or a recommended newcomer would displace what was put there by hand */
  GError *cause = NULL;
  const gboolean ok = _adopt(models, &cause);
  _scan(models);
  if(ok) (void)_adopt(models, &cause);
  if(cause) dt_log(DT_LOG_AI, "%s is installed; the choice of models was not saved: %s", id, cause->message);
  g_clear_error(&cause);
  return id;
}

char *dt_ai_models_install(dt_ai_models_t *models, const char *path, const dt_ai_models_job_t *job,
                           GError **error)
{
  char *name = g_path_get_basename(path);
  const _arrival_t arrival = { .path = path, .source = name };
  char *id = _install(models, &arrival, job ? job : &_nobody_watches, error);
  g_free(name);
  return id;
}

/* --- packages that were dropped --- */

static void _unpack_dropped(dt_ai_models_t *models, GPtrArray *problems, const dt_ai_models_job_t *job)
{
  dt_model_list_t *list = _current(models);
  for(guint i = 0; i < list->waiting->len && !g_cancellable_is_cancelled(job->cancellable); i++)
  {
    const char *path = g_ptr_array_index(list->waiting, i);
    GError *reason = NULL;
    char *id = dt_ai_models_install(models, path, job, &reason);
    if(id)
      g_unlink(path); /* it is its directory now */
    else if(problems)
      g_ptr_array_add(problems, g_strdup_printf("%s: %s", path, reason->message));
    g_clear_error(&reason);
    g_free(id);
  }
  dt_model_list_unref(list);
}

static void _unpack_for_environments(GPtrArray *problems, gpointer data)
{
  _scan(data);
  _unpack_dropped(data, problems, &_nobody_watches);
}

gboolean dt_ai_models_rescan(dt_ai_models_t *models, GPtrArray *problems, const dt_ai_models_job_t *job,
                             GError **error)
{
  if(!job) job = &_nobody_watches;
  char *dir = dt_model_list_user_dir();
  const gboolean exists = g_file_test(dir, G_FILE_TEST_IS_DIR);
  g_free(dir);
  dt_model_store_t *store = exists ? _lock_store("", job, error) : NULL; /* sweeps */
  if(exists && !store) return FALSE;
  dt_model_store_unlock(store);
  _scan(models);
  _unpack_dropped(models, problems, job);
  if(g_cancellable_is_cancelled(job->cancellable))
  {
    g_set_error(error, DT_AI_ERROR, DT_AI_ERROR_CANCELLED, "The scan was cancelled.");
    return FALSE;
  }
  _scan(models);
  return _adopt(models, error);
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
  if(!remote || *offer->sha256) return remote != NULL;
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
  char *path = g_strdup_printf("%s/%s-%.16s.part", dir, id, sha256);
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

static gboolean _fetch(dt_ai_models_t *models, const char *id, const _offer_t *offer,
                       const dt_ai_models_job_t *job, GError **error)
{
  const _step_t step = { job, id, "download" };
  dt_download_opts_t opts = _download_opts(&step);
  opts.max_bytes = offer->size;
  char *path = _download_path(id, offer->sha256, error);
  gboolean ok = path && dt_download_file(offer->url, path, offer->sha256, &opts, error);
  if(ok)
  {
    const _arrival_t arrival = {
      .path = path, .source = offer->source, .license = offer->license, .id = id, .sha256 = offer->sha256
    };
    char *installed = _install(models, &arrival, job, error);
    ok = installed != NULL;
    if(ok) _sweep_downloads(path);
    g_free(installed);
  }
  g_free(path);
  return ok;
}

gboolean dt_ai_models_download(dt_ai_models_t *models, const char *id, const dt_ai_models_job_t *job,
                               GError **error)
{
  if(!job) job = &_nobody_watches;
  pthread_mutex_lock(&models->lock);
  const gboolean asked = models->remote != NULL;
  pthread_mutex_unlock(&models->lock);
  _offer_t offer;
  if((!asked && !dt_ai_models_check_updates(models, NULL, job, error))
     || !_look_up_offer(models, id, &offer, error))
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
  if(g_strcmp0(setting, id) == 0 && !dt_model_list_find(list, id))
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

static gboolean _take_away(const dt_model_t *model, const dt_ai_models_job_t *job, GError **error)
{
  dt_model_store_t *store = _lock_store(model->manifest->id, job, error);
  char *folder = g_path_get_basename(model->manifest->directory);
  const gboolean ok = store && dt_model_store_remove(store, folder, error);
  g_free(folder);
  dt_model_store_unlock(store);
  return ok;
}

gboolean dt_ai_models_remove(dt_ai_models_t *models, const char *id, GError **error)
{
  dt_model_list_t *before = _current(models);
  const dt_model_t *model = dt_model_list_find(before, id);
  gboolean ok = _may_remove(model, id, error) && _take_away(model, &_nobody_watches, error);
  if(ok)
  {
    _scan(models);
    dt_model_list_t *after = _current(models);
    GError *cause = NULL;
    ok = _forget_choice(after, model->manifest->task, id, &cause);
    if(!ok)
      g_propagate_prefixed_error(error, cause, "%s is removed, but still named as the active model. ", id);
    dt_model_list_unref(after);
  }
  dt_model_list_unref(before);
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
  dt_model_record_t *record = dt_model_record_read(m->directory);
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
  if(!dt_conf_get_bool(DT_CONF_AI_ENABLED))
  {
    g_set_error(error, DT_AI_ERROR, DT_AI_ERROR_DISABLED,
                "AI features are switched off. Switch them on with: darktable-ai enable");
    return NULL;
  }
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
  dt_model_list_set_unpacker(NULL, NULL);
  dt_model_list_unref(models->list);
  dt_repository_free(models->remote);
  g_ptr_array_unref(models->catalogue);
  pthread_mutex_destroy(&models->lock);
  g_free(models);
}
