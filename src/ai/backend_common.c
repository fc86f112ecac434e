/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The environment: scans directories for models and answers questions about them. */
#include "ai/backend_internal.h"
#include "common/conf.h"
#include "common/log.h"
#include "common/model_list.h"

#include <pthread.h>
#include <string.h>

/* A manifest with the public view of it, reference-counted. */
typedef struct _model_t
{
  dt_ai_model_info_t info; /* first: the public pointer is the private one */
  dt_manifest_t *manifest;
} _model_t;

struct dt_ai_environment_t
{
  pthread_mutex_t lock;
  char *search_paths;
  dt_model_list_t *list; /* the last scan */
  GPtrArray *models;     /* of _model_t: its models, borrowed from `all` */
  GPtrArray *all;        /* of _model_t: every model ever handed out, so that callers' pointers stay valid */
  GPtrArray *problems;   /* of interned strings, for the same reason */
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
  _model_t *model = g_atomic_rc_box_new0(_model_t);
  model->manifest = dt_manifest_ref(m);
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

static void _clear_model(gpointer data)
{
  dt_manifest_unref(((_model_t *)data)->manifest);
}

static void _unref_model(gpointer data)
{
  g_atomic_rc_box_release_full(data, _clear_model);
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

/* Whether the public view of both would be the same. */
static gboolean _is_same(const dt_ai_model_info_t *info, const dt_manifest_t *m)
{
  const char *pairs[][2] = {
    { info->id, m->id },
    { info->name, m->name },
    { info->version, m->version },
    { info->description, m->description },
    { info->backend, m->backend },
    { info->directory, m->directory },
    { info->arch, m->arch },
    { info->attributes, m->attributes },
    { info->task_type, m->task },
    { info->coreml_format, m->coreml_format },
    { info->cpu_only, m->cpu_only },
    { info->model_card, m->model_card },
  };
  for(size_t i = 0; i < G_N_ELEMENTS(pairs); i++)
    if(g_strcmp0(pairs[i][0], pairs[i][1]) != 0) return FALSE;
  return info->num_inputs == m->num_inputs;
}

/* The view handed out before of a manifest that says the same, or a new one: a refresh that finds nothing
 * new costs no memory. */
static _model_t *_view(dt_ai_environment_t *env, dt_manifest_t *m)
{
  for(guint i = 0; i < env->all->len; i++)
  {
    _model_t *model = g_ptr_array_index(env->all, i);
    const dt_manifest_t *known = model->manifest;
    if(_is_same(&model->info, m) && known->tiling == m->tiling
       && g_strcmp0(known->spatial_dims[0], m->spatial_dims[0]) == 0
       && g_strcmp0(known->spatial_dims[1], m->spatial_dims[1]) == 0)
      return model;
  }
  _model_t *model = _new_model(m);
  g_ptr_array_add(env->all, model);
  return model;
}

static void _intern_problems(dt_ai_environment_t *env, const GPtrArray *problems)
{
  for(guint i = 0; i < problems->len; i++)
    g_ptr_array_add(env->problems, (gpointer)g_intern_string(g_ptr_array_index(problems, i)));
}

/* Takes over @p list. */
static void _use_list(dt_ai_environment_t *env, dt_model_list_t *list)
{
  dt_model_list_unref(env->list);
  env->list = list;
  g_ptr_array_set_size(env->models, 0);
  g_ptr_array_set_size(env->problems, 0);
  for(guint i = 0; i < list->models->len; i++)
    g_ptr_array_add(env->models, _view(env, ((dt_model_t *)g_ptr_array_index(list->models, i))->manifest));
  _intern_problems(env, list->problems);
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
  env->all = g_ptr_array_new_with_free_func(_unref_model);
  env->problems = g_ptr_array_new();
  char *provider = dt_conf_get_string(DT_CONF_AI_PROVIDER);
  env->provider = dt_ai_provider_from_string(provider);
  g_free(provider);
  _use_list(env, dt_model_list_scan(search_paths));
  return env;
}

void dt_ai_env_destroy(dt_ai_environment_t *env)
{
  if(!env) return;
  g_ptr_array_unref(env->models);
  g_ptr_array_unref(env->all);
  g_ptr_array_unref(env->problems);
  dt_model_list_unref(env->list);
  g_free(env->search_paths);
  pthread_mutex_destroy(&env->lock);
  g_free(env);
}

void dt_ai_env_refresh(dt_ai_environment_t *env)
{
  dt_conf_reload(); /* another process may have chosen meanwhile */
  /* switched off meanwhile: nothing is read or changed */
  if(!env || !dt_conf_get_bool(DT_CONF_AI_ENABLED)) return;
  GPtrArray *refused = g_ptr_array_new_with_free_func(g_free);
  dt_model_list_unpack_waiting(refused);
  dt_model_list_t *list = dt_model_list_scan(env->search_paths);
  pthread_mutex_lock(&env->lock);
  _use_list(env, list);
  _intern_problems(env, refused);
  pthread_mutex_unlock(&env->lock);
  g_ptr_array_unref(refused);
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
  const int count = (int)env->problems->len;
  pthread_mutex_unlock(&env->lock);
  return count;
}

const char *dt_ai_env_get_problem(dt_ai_environment_t *env, int index)
{
  if(!env || index < 0) return NULL;
  pthread_mutex_lock(&env->lock);
  const guint i = (guint)index;
  const char *problem = i < env->problems->len ? g_ptr_array_index(env->problems, i) : NULL;
  pthread_mutex_unlock(&env->lock);
  return problem;
}

const dt_ai_model_info_t *dt_ai_env_get_active_model(dt_ai_environment_t *env, const char *task)
{
  if(!env || !task) return NULL;
  GError *error = NULL;
  pthread_mutex_lock(&env->lock);
  const dt_model_t *active = dt_model_list_active(env->list, task, &error);
  const _model_t *model = active ? _find_by_id(env, active->manifest->id) : NULL;
  pthread_mutex_unlock(&env->lock);
  if(error) dt_ai_take_last_error(error);
  return model ? &model->info : NULL;
}

const dt_ai_model_info_t *dt_ai_model_info_ref(const dt_ai_model_info_t *info)
{
  return g_atomic_rc_box_acquire((gpointer)info);
}

void dt_ai_model_info_unref(const dt_ai_model_info_t *info)
{
  if(info) _unref_model((gpointer)info);
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
  const dt_ai_session_opts_t opts = {
    .provider = provider != DT_AI_PROVIDER_AUTO ? provider : dt_ai_env_get_provider(env),
    .opt_level = opt_level,
    .overrides = dim_overrides,
    .n_overrides = n_overrides,
    .cpu_only = info->cpu_only,
  };
  GError *error = NULL;
  dt_ai_context_t *ctx = dt_ai_onnx_load(info->directory, model_file, &opts, &error);
  if(!ctx) dt_ai_take_last_error(error);
  return ctx;
}

gboolean dt_ai_is_supported(void)
{
  return TRUE;
}
