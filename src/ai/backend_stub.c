/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A build without AI: the same signatures, and one answer. */
#include "ai/backend.h"
#include "ai/probe_child.h"
#include "ai/restore_raw.h"

#define NO_AI                                                                                                \
  "this build has no AI support; ask your distribution's package maintainer to enable it, or use an "        \
  "official build"

static gpointer _make_error(gpointer unused)
{
  (void)unused;
  return g_error_new_literal(DT_AI_ERROR, DT_AI_ERROR_DISABLED, NO_AI);
}

const GError *dt_ai_last_error(void)
{
  static GOnce once = G_ONCE_INIT;
  return g_once(&once, _make_error, NULL);
}

static gboolean _refuse(GError **error)
{
  g_propagate_error(error, g_error_copy(dt_ai_last_error()));
  return FALSE;
}

gboolean dt_ai_is_supported(void)
{
  return FALSE;
}

int dt_ai_probe_provider(dt_ai_provider_t provider)
{
  (void)provider;
  return 0;
}

dt_ai_provider_report_t *dt_ai_examine_provider(dt_ai_provider_t provider, gboolean again)
{
  (void)provider;
  (void)again;
  return NULL;
}

dt_ai_provider_t dt_ai_auto_provider(void)
{
  return DT_AI_PROVIDER_CPU;
}

void dt_ai_provider_report_free(dt_ai_provider_report_t *report)
{
  (void)report;
}

const char *dt_ai_provider_device_key(dt_ai_provider_t provider)
{
  (void)provider;
  return NULL;
}

dt_ai_runtime_info_t *dt_ai_runtime_check(const char *path, GCancellable *cancellable)
{
  (void)cancellable;
  dt_ai_runtime_info_t *info = g_new0(dt_ai_runtime_info_t, 1);
  info->path = g_strdup(path);
  info->reason = g_strdup(NO_AI);
  return info;
}

void dt_ai_runtime_info_free(dt_ai_runtime_info_t *info)
{
  if(!info) return;
  g_free(info->path);
  g_free(info->reason);
  g_free(info);
}

char *dt_ai_runtime_bundled(void)
{
  return NULL;
}

const char *dt_ai_get_device(dt_ai_context_t *ctx)
{
  (void)ctx;
  return NULL;
}

const char *dt_ai_get_pci(dt_ai_context_t *ctx)
{
  (void)ctx;
  return NULL;
}

const char *dt_ai_get_placement(dt_ai_context_t *ctx)
{
  (void)ctx;
  return "";
}

const char *dt_ai_get_fallback(dt_ai_context_t *ctx)
{
  (void)ctx;
  return NULL;
}

int dt_restore_get_scale(const dt_restore_context_t *ctx)
{
  (void)ctx;
  return 1;
}

const char *dt_restore_get_device(const dt_restore_context_t *ctx)
{
  (void)ctx;
  return NULL;
}

const char *dt_restore_get_placement(const dt_restore_context_t *ctx)
{
  (void)ctx;
  return "";
}

const char *dt_restore_get_fallback(const dt_restore_context_t *ctx)
{
  (void)ctx;
  return NULL;
}

const char *dt_ai_runtime_version(const char **path)
{
  (void)path;
  return NULL;
}

const char *dt_ai_runtime_warning(void)
{
  return NULL;
}

dt_ai_environment_t *dt_ai_env_init(const char *search_paths)
{
  (void)search_paths;
  return NULL;
}

void dt_ai_env_destroy(dt_ai_environment_t *env)
{
  (void)env;
}

void dt_ai_env_refresh(dt_ai_environment_t *env)
{
  (void)env;
}

int dt_ai_get_model_count(dt_ai_environment_t *env)
{
  (void)env;
  return 0;
}

const dt_ai_model_info_t *dt_ai_get_model_info_by_index(dt_ai_environment_t *env, int index)
{
  (void)env;
  (void)index;
  return NULL;
}

const dt_ai_model_info_t *dt_ai_get_model_info_by_id(dt_ai_environment_t *env, const char *id)
{
  (void)env;
  (void)id;
  return NULL;
}

const dt_ai_model_info_t *dt_ai_model_info_ref(const dt_ai_model_info_t *info)
{
  return info;
}

void dt_ai_model_info_unref(const dt_ai_model_info_t *info)
{
  (void)info;
}

int dt_ai_env_get_problem_count(dt_ai_environment_t *env)
{
  (void)env;
  return 0;
}

const char *dt_ai_env_get_problem(dt_ai_environment_t *env, int index)
{
  (void)env;
  (void)index;
  return NULL;
}

const dt_ai_model_info_t *dt_ai_env_get_active_model(dt_ai_environment_t *env, const char *task)
{
  (void)env;
  (void)task;
  return NULL;
}

void dt_ai_env_set_provider(dt_ai_environment_t *env, dt_ai_provider_t provider)
{
  (void)env;
  (void)provider;
}

dt_ai_provider_t dt_ai_env_get_provider(dt_ai_environment_t *env)
{
  (void)env;
  return DT_AI_PROVIDER_CPU;
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
  (void)env;
  return dt_ai_onnx_load_ext(model_id, model_file, provider, opt_level, dim_overrides, n_overrides);
}

dt_ai_context_t *dt_ai_onnx_load_ext(const char *model_dir, const char *model_file, dt_ai_provider_t provider,
                                     dt_ai_opt_level_t opt_level, const dt_ai_dim_override_t *dim_overrides,
                                     int n_overrides)
{
  (void)model_dir;
  (void)model_file;
  (void)provider;
  (void)opt_level;
  (void)dim_overrides;
  (void)n_overrides;
  return NULL;
}

void dt_ai_unload_model(dt_ai_context_t *ctx)
{
  (void)ctx;
}

int dt_ai_get_input_count(dt_ai_context_t *ctx)
{
  (void)ctx;
  return 0;
}

int dt_ai_get_output_count(dt_ai_context_t *ctx)
{
  (void)ctx;
  return 0;
}

const char *dt_ai_get_input_name(dt_ai_context_t *ctx, int index)
{
  (void)ctx;
  (void)index;
  return NULL;
}

const char *dt_ai_get_output_name(dt_ai_context_t *ctx, int index)
{
  (void)ctx;
  (void)index;
  return NULL;
}

dt_ai_dtype_t dt_ai_get_input_type(dt_ai_context_t *ctx, int index)
{
  (void)ctx;
  (void)index;
  return DT_AI_FLOAT;
}

dt_ai_dtype_t dt_ai_get_output_type(dt_ai_context_t *ctx, int index)
{
  (void)ctx;
  (void)index;
  return DT_AI_FLOAT;
}

int dt_ai_get_input_shape(dt_ai_context_t *ctx, int index, int64_t *shape, int max_dims)
{
  (void)ctx;
  (void)index;
  (void)shape;
  (void)max_dims;
  return -1;
}

int dt_ai_get_output_shape(dt_ai_context_t *ctx, int index, int64_t *shape, int max_dims)
{
  return dt_ai_get_input_shape(ctx, index, shape, max_dims);
}

dt_ai_provider_t dt_ai_get_provider(dt_ai_context_t *ctx)
{
  (void)ctx;
  return DT_AI_PROVIDER_CPU;
}

int dt_ai_run(dt_ai_context_t *ctx, dt_ai_tensor_t *inputs, int num_inputs, dt_ai_tensor_t *outputs,
              int num_outputs)
{
  (void)ctx;
  (void)inputs;
  (void)num_inputs;
  (void)outputs;
  (void)num_outputs;
  return DT_AI_RUN_NO_CONTEXT;
}

gboolean dt_ai_run_cancellable(dt_ai_context_t *ctx, dt_ai_tensor_t *inputs, int num_inputs,
                               dt_ai_tensor_t *outputs, int num_outputs, GCancellable *cancellable,
                               GError **error)
{
  (void)ctx;
  (void)inputs;
  (void)num_inputs;
  (void)outputs;
  (void)num_outputs;
  (void)cancellable;
  return _refuse(error);
}

dt_restore_context_t *dt_restore_load(dt_ai_environment_t *env, const char *task, const char *model_id,
                                      const dt_restore_load_opts_t *opts, GError **error)
{
  (void)env;
  (void)task;
  (void)model_id;
  (void)opts;
  _refuse(error);
  return NULL;
}

void dt_restore_free(dt_restore_context_t *ctx)
{
  (void)ctx;
}

const char *dt_restore_get_model_id(const dt_restore_context_t *ctx)
{
  (void)ctx;
  return NULL;
}

const char *dt_restore_get_model_hash(const dt_restore_context_t *ctx)
{
  (void)ctx;
  return NULL;
}

dt_ai_provider_t dt_restore_get_provider(const dt_restore_context_t *ctx)
{
  (void)ctx;
  return DT_AI_PROVIDER_CPU;
}

gboolean dt_restore_has_sigma(const dt_restore_context_t *ctx)
{
  (void)ctx;
  return FALSE;
}

gboolean dt_restore_plan(dt_restore_context_t *ctx, int width, int height, int channels,
                         const dt_restore_opts_t *opts, size_t extra_bytes, dt_restore_plan_t *plan,
                         GError **error)
{
  (void)opts;
  (void)ctx;
  (void)width;
  (void)height;
  (void)channels;
  (void)extra_bytes;
  (void)plan;
  return _refuse(error);
}

gboolean dt_restore_process(dt_restore_context_t *ctx, dt_row_source_t *in, dt_row_sink_t *out,
                            const dt_restore_opts_t *opts, dt_restore_report_t *report, GError **error)
{
  (void)ctx;
  (void)in;
  (void)opts;
  (void)report;
  out->abandon(out);
  return _refuse(error);
}

dt_restore_input_t dt_restore_get_input(const dt_restore_context_t *ctx)
{
  (void)ctx;
  return DT_RESTORE_RGB;
}

gboolean dt_restore_raw_wants_linear(const dt_mosaic_t *mosaic)
{
  return mosaic->sensor != DT_SENSOR_BAYER;
}

gboolean dt_restore_raw_plan(dt_restore_context_t *ctx, const dt_mosaic_t *mosaic,
                             const dt_restore_opts_t *opts, size_t extra_bytes, dt_restore_plan_t *plan,
                             GError **error)
{
  (void)ctx;
  (void)mosaic;
  (void)opts;
  (void)extra_bytes;
  (void)plan;
  return _refuse(error);
}

gboolean dt_restore_raw_process(dt_restore_context_t *ctx, const dt_mosaic_t *mosaic,
                                const dt_restore_camera_t *camera, dt_row_sink_t *out,
                                const dt_restore_opts_t *opts, dt_restore_report_t *report, GError **error)
{
  (void)ctx;
  (void)mosaic;
  (void)camera;
  (void)opts;
  (void)report;
  out->abandon(out);
  return _refuse(error);
}

/* --- the probing program --- */

char *dt_ai_probe_child(int argc, char **argv)
{
  (void)argc;
  (void)argv;
  return g_strdup("");
}
