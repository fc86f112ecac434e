/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The whole of a new task: find the active model, load it, check its contract, wrap memory in
 * tensors, run. Nothing here is private to the library. */
#include "toytask.h"

#include <string.h>

#define TASK "toy"

struct toy_context_t
{
  dt_ai_context_t *session;
  char *model_id;
};

/* A model is somebody else's file: what it takes and gives is checked once, before it is run. */
static gboolean _check_contract(const toy_context_t *ctx, GError **error)
{
  dt_ai_context_t *session = ctx->session;
  int64_t in[4] = { 0 }, out[4] = { 0 };
  const gboolean ok = dt_ai_get_input_count(session) == 1 && dt_ai_get_output_count(session) == 1
                      && strcmp(dt_ai_get_input_name(session, 0), "rgb") == 0
                      && strcmp(dt_ai_get_output_name(session, 0), "luminance") == 0
                      && dt_ai_get_input_type(session, 0) == DT_AI_FLOAT
                      && dt_ai_get_input_shape(session, 0, in, 4) == 4 && in[1] == 3
                      && dt_ai_get_output_shape(session, 0, out, 4) == 4 && out[1] == 1;
  if(!ok)
    g_set_error(error, DT_AI_ERROR, DT_AI_ERROR_NO_MODEL,
                "The model %s is not one for the task " TASK ": it must turn rgb [1, 3, H, W] into "
                "luminance [1, 1, H, W].",
                ctx->model_id);
  return ok;
}

/* The functions of backend.h leave their reason with the thread; here it becomes a GError. */
static void _take_reason(GError **error)
{
  g_propagate_error(error, g_error_copy(dt_ai_last_error()));
}

toy_context_t *toy_load(dt_ai_environment_t *env, GError **error)
{
  const dt_ai_model_info_t *info = dt_ai_env_get_active_model(env, TASK);
  if(!info)
  {
    _take_reason(error);
    return NULL;
  }
  /* the model leaves its batch size open under the name "batch"; this task runs one picture */
  const dt_ai_dim_override_t overrides[] = { { "batch", 1 } };
  toy_context_t *ctx = g_new0(toy_context_t, 1);
  ctx->model_id = g_strdup(info->id);
  ctx->session = dt_ai_load_model_ext(env, info->id, NULL, DT_AI_PROVIDER_AUTO, DT_AI_OPT_ALL, overrides,
                                      G_N_ELEMENTS(overrides));
  if(!ctx->session) _take_reason(error);
  if(!ctx->session || !_check_contract(ctx, error)) g_clear_pointer(&ctx, toy_free);
  return ctx;
}

void toy_free(toy_context_t *ctx)
{
  if(!ctx) return;
  dt_ai_unload_model(ctx->session);
  g_free(ctx->model_id);
  g_free(ctx);
}

const char *toy_get_model_id(const toy_context_t *ctx)
{
  return ctx->model_id;
}

gboolean toy_run(toy_context_t *ctx, float *rgb, int width, int height, float *luminance, GError **error)
{
  int64_t in[] = { 1, 3, height, width }, out[] = { 1, 1, height, width };
  dt_ai_tensor_t input = { rgb, DT_AI_FLOAT, in, 4 }, output = { luminance, DT_AI_FLOAT, out, 4 };
  if(dt_ai_run(ctx->session, &input, 1, &output, 1) == DT_AI_RUN_OK) return TRUE;
  _take_reason(error);
  return FALSE;
}
