/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The environment: scans directories for models and answers questions about them. */
#include "ai/backend_internal.h"
#include "common/conf.h"
#include "common/log.h"
#include "common/paths.h"

#include <pthread.h>
#include <string.h>

/* A manifest with the public view of it; allocated once, alive until the environment dies. */
typedef struct _model_t
{
  dt_ai_model_info_t info; /* first: the public pointer is the private one */
  dt_manifest_t *manifest;
  gboolean bundled; /* came with the program */
} _model_t;

struct dt_ai_environment_t
{
  pthread_mutex_t lock;
  char *search_paths;
  GPtrArray *models;   /* of _model_t: the last scan, borrowed from `all` */
  GPtrArray *all;      /* of _model_t: every scan so far, so that callers' pointers stay valid */
  GPtrArray *problems; /* of char*, likewise kept */
  guint first_problem; /* of the last scan */
  dt_ai_provider_t provider;
};

/* --- the last error of each thread --- */

static void _free_error(gpointer error)
{
  g_error_free(error);
}

static GPrivate _last_error = G_PRIVATE_INIT(_free_error);

void dt_ai_take_last_error(GError *error)
{
  if(error) dt_log(DT_LOG_AI, "%s", error->message);
  g_private_replace(&_last_error, error);
}

const GError *dt_ai_last_error(void)
{
  return g_private_get(&_last_error);
}

static void _set_last_error(int code, const char *format, ...) G_GNUC_PRINTF(2, 3);
static void _set_last_error(int code, const char *format, ...)
{
  va_list args;
  va_start(args, format);
  dt_ai_take_last_error(g_error_new_valist(DT_AI_ERROR, code, format, args));
  va_end(args);
}

/* --- scanning --- */

static _model_t *_new_model(dt_manifest_t *m)
{
  _model_t *model = g_new0(_model_t, 1);
  model->manifest = m;
  model->info = (dt_ai_model_info_t){
    .id = m->id,
    .name = m->name,
    .description = m->description,
    .task_type = m->task,
    .backend = m->backend,
    .arch = m->arch,
    .version = m->version,
    .num_inputs = m->num_inputs,
    .directory = m->directory,
    .attributes = m->attributes,
    .cpu_only = m->cpu_only,
    .coreml_format = m->coreml_format,
    .model_card = m->model_card,
  };
  return model;
}

static void _free_model(gpointer data)
{
  _model_t *model = data;
  dt_manifest_free(model->manifest);
  g_free(model);
}

static _model_t *_find_by_id(dt_ai_environment_t *env, const char *id)
{
  for(guint i = 0; i < env->models->len; i++)
  {
    _model_t *model = g_ptr_array_index(env->models, i);
    if(strcmp(model->info.id, id) == 0) return model;
  }
  return NULL;
}

static void _scan_model(dt_ai_environment_t *env, const char *directory, gboolean bundled)
{
  GError *reason = NULL;
  dt_manifest_t *m = dt_manifest_read(directory, &reason);
  _model_t *twin = m ? _find_by_id(env, m->id) : NULL;
  if(!m)
  {
    dt_log(DT_LOG_AI, "skipped: %s", reason->message);
    g_ptr_array_add(env->problems, g_strdup(reason->message));
    g_error_free(reason);
  }
  else if(twin)
  {
    twin->bundled |= bundled; /* the user's newer copy of a bundled model takes its place */
    dt_log(DT_LOG_AI, "skipping duplicate model ID %s in %s", m->id, directory);
    dt_manifest_free(m);
  }
  else
  {
    dt_log(DT_LOG_AI, "discovered: %s (%s, backend=%s)", m->name, m->id, m->backend);
    _model_t *model = _new_model(m);
    model->bundled = bundled;
    g_ptr_array_add(env->all, model);
    g_ptr_array_add(env->models, model);
  }
}

static int _compare_names(gconstpointer a, gconstpointer b)
{
  return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Every sub-directory that has a config.json; hidden ones are somebody's work in progress. */
static void _scan_directory(dt_ai_environment_t *env, const char *path, gboolean bundled)
{
  GDir *dir = path && *path ? g_dir_open(path, 0, NULL) : NULL;
  if(!dir) return;
  GPtrArray *names = g_ptr_array_new_with_free_func(g_free);
  for(const char *name; (name = g_dir_read_name(dir));)
    if(name[0] != '.') g_ptr_array_add(names, g_strdup(name));
  g_dir_close(dir);
  g_ptr_array_sort(names, _compare_names);
  for(guint i = 0; i < names->len; i++)
  {
    char *model = g_build_filename(path, g_ptr_array_index(names, i), NULL);
    char *config = g_build_filename(model, "config.json", NULL);
    if(g_file_test(config, G_FILE_TEST_EXISTS)) _scan_model(env, model, bundled);
    g_free(config);
    g_free(model);
  }
  g_ptr_array_unref(names);
}

static void _scan_below(dt_ai_environment_t *env, dt_dir_t dir)
{
  char *base = dt_paths_get(dir);
  char *models = g_build_filename(base, "models", NULL);
  _scan_directory(env, models, FALSE);
  g_free(models);
  g_free(base);
}

static void _scan_all(dt_ai_environment_t *env)
{
  g_ptr_array_set_size(env->models, 0);
  env->first_problem = env->problems->len;
  char **paths = g_strsplit(env->search_paths ? env->search_paths : "", ";", -1);
  for(char **path = paths; *path; path++) _scan_directory(env, g_strstrip(*path), FALSE);
  g_strfreev(paths);
  _scan_below(env, DT_DIR_CONFIG);
  _scan_below(env, DT_DIR_DATA);
  char *bundled = dt_paths_bundled_models();
  _scan_directory(env, bundled, TRUE);
  g_free(bundled);
  dt_log(DT_LOG_AI, "found %u models", env->models->len);
}

/* --- the public side --- */

dt_ai_environment_t *dt_ai_env_init(const char *search_paths)
{
  if(!dt_conf_get_bool(DT_CONF_AI_ENABLED))
  {
    _set_last_error(DT_AI_ERROR_DISABLED,
                    "AI features are switched off. Switch them on with: darktable-ai enable");
    return NULL;
  }
  dt_ai_environment_t *env = g_new0(dt_ai_environment_t, 1);
  pthread_mutex_init(&env->lock, NULL);
  env->search_paths = g_strdup(search_paths);
  env->models = g_ptr_array_new();
  env->all = g_ptr_array_new_with_free_func(_free_model);
  env->problems = g_ptr_array_new_with_free_func(g_free);
  char *provider = dt_conf_get_string(DT_CONF_AI_PROVIDER);
  env->provider = dt_ai_provider_from_string(provider);
  g_free(provider);
  _scan_all(env);
  return env;
}

void dt_ai_env_destroy(dt_ai_environment_t *env)
{
  if(!env) return;
  g_ptr_array_unref(env->models);
  g_ptr_array_unref(env->all);
  g_ptr_array_unref(env->problems);
  g_free(env->search_paths);
  pthread_mutex_destroy(&env->lock);
  g_free(env);
}

void dt_ai_env_refresh(dt_ai_environment_t *env)
{
  pthread_mutex_lock(&env->lock);
  _scan_all(env);
  pthread_mutex_unlock(&env->lock);
}

int dt_ai_get_model_count(dt_ai_environment_t *env)
{
  if(!env) return 0;
  pthread_mutex_lock(&env->lock);
  const int count = (int)env->models->len;
  pthread_mutex_unlock(&env->lock);
  return count;
}

const dt_ai_model_info_t *dt_ai_get_model_info_by_index(dt_ai_environment_t *env, int index)
{
  if(!env) return NULL;
  pthread_mutex_lock(&env->lock);
  const gboolean valid = index >= 0 && index < (int)env->models->len;
  const _model_t *model = valid ? g_ptr_array_index(env->models, (guint)index) : NULL;
  pthread_mutex_unlock(&env->lock);
  return model ? &model->info : NULL;
}

const dt_ai_model_info_t *dt_ai_get_model_info_by_id(dt_ai_environment_t *env, const char *id)
{
  if(!env || !id) return NULL;
  pthread_mutex_lock(&env->lock);
  const _model_t *model = _find_by_id(env, id);
  pthread_mutex_unlock(&env->lock);
  return model ? &model->info : NULL;
}

int dt_ai_env_get_problem_count(dt_ai_environment_t *env)
{
  if(!env) return 0;
  pthread_mutex_lock(&env->lock);
  const int count = (int)(env->problems->len - env->first_problem);
  pthread_mutex_unlock(&env->lock);
  return count;
}

const char *dt_ai_env_get_problem(dt_ai_environment_t *env, int index)
{
  if(!env || index < 0) return NULL;
  pthread_mutex_lock(&env->lock);
  const guint i = env->first_problem + (guint)index;
  const char *problem = i < env->problems->len ? g_ptr_array_index(env->problems, i) : NULL;
  pthread_mutex_unlock(&env->lock);
  return problem;
}

/* The model of @p task that came with the program, else the first found. */
static const _model_t *_default_for_task(dt_ai_environment_t *env, const char *task)
{
  const _model_t *first = NULL;
  for(guint i = 0; i < env->models->len; i++)
  {
    const _model_t *model = g_ptr_array_index(env->models, i);
    if(strcmp(model->info.task_type, task) != 0) continue;
    if(model->bundled) return model;
    if(!first) first = model;
  }
  return first;
}

const dt_ai_model_info_t *dt_ai_env_get_active_model(dt_ai_environment_t *env, const char *task)
{
  if(!env) return NULL;
  char *key = g_strconcat(DT_CONF_AI_ACTIVE_MODEL, task, NULL);
  char *id = dt_conf_get_string(key);
  pthread_mutex_lock(&env->lock);
  const _model_t *model = id ? _find_by_id(env, id) : _default_for_task(env, task);
  pthread_mutex_unlock(&env->lock);
  if(!model && id && *id)
    _set_last_error(DT_AI_ERROR_NO_MODEL,
                    "The active model for %s, \"%s\", is not installed. Install it, or choose "
                    "another: darktable-ai models list",
                    task, id);
  else if(!model)
    _set_last_error(DT_AI_ERROR_NO_MODEL,
                    "There is no active model for %s. See what is installed: darktable-ai models "
                    "list",
                    task);
  g_free(id);
  g_free(key);
  return model ? &model->info : NULL;
}

void dt_ai_env_set_provider(dt_ai_environment_t *env, dt_ai_provider_t provider)
{
  pthread_mutex_lock(&env->lock);
  env->provider = provider;
  pthread_mutex_unlock(&env->lock);
}

dt_ai_provider_t dt_ai_env_get_provider(dt_ai_environment_t *env)
{
  pthread_mutex_lock(&env->lock);
  const dt_ai_provider_t provider = env->provider;
  pthread_mutex_unlock(&env->lock);
  return provider;
}

const dt_manifest_t *dt_ai_model_manifest(const dt_ai_model_info_t *info)
{
  return ((const _model_t *)info)->manifest;
}

dt_ai_context_t *dt_ai_load_model(dt_ai_environment_t *env, const char *model_id, const char *model_file,
                                  dt_ai_provider_t provider)
{
  return dt_ai_load_model_ext(env, model_id, model_file, provider, DT_AI_OPT_ALL, NULL, 0);
}

dt_ai_context_t *dt_ai_load_model_ext(dt_ai_environment_t *env, const char *model_id, const char *model_file,
                                      dt_ai_provider_t provider, dt_ai_opt_level_t opt_level,
                                      const dt_ai_dim_override_t *dim_overrides, int n_overrides)
{
  const dt_ai_model_info_t *info = dt_ai_get_model_info_by_id(env, model_id);
  if(!info)
  {
    _set_last_error(DT_AI_ERROR_NO_MODEL,
                    "There is no model \"%s\". See what is installed: darktable-ai models list",
                    model_id ? model_id : "(null)");
    return NULL;
  }
  if(provider == DT_AI_PROVIDER_AUTO) provider = dt_ai_env_get_provider(env);
  return dt_ai_onnx_load_ext(info->directory, model_file, provider, opt_level, dim_overrides, n_overrides);
}

gboolean dt_ai_is_supported(void)
{
  return TRUE;
}
