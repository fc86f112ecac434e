/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Masks in a build without AI: the same signatures, and one answer. */
#include "ai/segmentation.h"

static gboolean _refuse(GError **error)
{
  g_propagate_error(error, g_error_copy(dt_ai_last_error()));
  return FALSE;
}

dt_seg_context_t *dt_seg_load(dt_ai_environment_t *env, const char *model_id)
{
  (void)env;
  (void)model_id;
  return NULL;
}

dt_seg_context_t *dt_seg_load_ext(dt_ai_environment_t *env, const char *model_id,
                                  const dt_seg_load_opts_t *opts, GError **error)
{
  (void)env;
  (void)model_id;
  (void)opts;
  _refuse(error);
  return NULL;
}

dt_seg_context_t *dt_seg_fork(const dt_seg_context_t *ctx)
{
  (void)ctx;
  return NULL;
}

void dt_seg_free(dt_seg_context_t *ctx)
{
  (void)ctx;
}

const char *dt_seg_get_model_id(const dt_seg_context_t *ctx)
{
  (void)ctx;
  return NULL;
}

const char *dt_seg_get_model_hash(const dt_seg_context_t *ctx)
{
  (void)ctx;
  return NULL;
}

dt_ai_provider_t dt_seg_get_provider(const dt_seg_context_t *ctx)
{
  (void)ctx;
  return DT_AI_PROVIDER_CPU;
}

const char *dt_seg_get_fallback(const dt_seg_context_t *ctx)
{
  (void)ctx;
  return NULL;
}

gboolean dt_seg_prepare(dt_seg_context_t *ctx, GCancellable *cancellable, GError **error)
{
  (void)ctx;
  (void)cancellable;
  return _refuse(error);
}

gboolean dt_seg_supports_box(const dt_seg_context_t *ctx)
{
  (void)ctx;
  return FALSE;
}

void dt_seg_set_gate(dt_seg_context_t *ctx, const dt_ai_gate_t *gate)
{
  (void)ctx;
  (void)gate;
}

gboolean dt_seg_encode_image(dt_seg_context_t *ctx, const uint8_t *rgb, int width, int height)
{
  (void)ctx;
  (void)rgb;
  (void)width;
  (void)height;
  return FALSE;
}

gboolean dt_seg_encode(dt_seg_context_t *ctx, dt_row_source_t *rows, dt_seg_progress_t progress,
                       void *user_data, GCancellable *cancellable, GError **error)
{
  (void)ctx;
  (void)rows;
  (void)progress;
  (void)user_data;
  (void)cancellable;
  return _refuse(error);
}

void dt_seg_encode_begin(dt_seg_context_t *ctx, dt_row_source_t *rows, dt_seg_progress_t progress,
                         void *user_data, GCancellable *cancellable)
{
  (void)ctx;
  (void)progress;
  (void)user_data;
  (void)cancellable;
  dt_row_source_destroy(rows);
}

gboolean dt_seg_encode_finish(dt_seg_context_t *ctx, GError **error)
{
  (void)ctx;
  return _refuse(error);
}

gboolean dt_seg_is_encoded(dt_seg_context_t *ctx)
{
  (void)ctx;
  return FALSE;
}

gboolean dt_seg_get_size(dt_seg_context_t *ctx, int *width, int *height)
{
  (void)ctx;
  if(width) *width = 0;
  if(height) *height = 0;
  return FALSE;
}

void dt_seg_reset_encoding(dt_seg_context_t *ctx)
{
  (void)ctx;
}

dt_seg_answer_t *dt_seg_answer(dt_seg_context_t *ctx, const dt_seg_prompts_t *prompts,
                               GCancellable *cancellable, GError **error)
{
  (void)ctx;
  (void)prompts;
  (void)cancellable;
  _refuse(error);
  return NULL;
}

void dt_seg_answer_free(dt_seg_answer_t *answer)
{
  (void)answer;
}

gboolean dt_seg_choose(dt_seg_context_t *ctx, int candidate)
{
  (void)ctx;
  (void)candidate;
  return FALSE;
}

void dt_seg_reset_prev_mask(dt_seg_context_t *ctx)
{
  (void)ctx;
}

GBytes *dt_seg_save_prev_mask(dt_seg_context_t *ctx)
{
  (void)ctx;
  return NULL;
}

void dt_seg_restore_prev_mask(dt_seg_context_t *ctx, GBytes *memory)
{
  (void)ctx;
  (void)memory;
}

dt_seg_logits_t dt_seg_answer_logits(const dt_seg_answer_t *answer, int candidate)
{
  (void)answer;
  (void)candidate;
  return (dt_seg_logits_t){ 0 };
}

gboolean dt_seg_answer_to_mask(const dt_seg_answer_t *answer, int candidate, float *mask, int width,
                               int height, GError **error)
{
  (void)answer;
  (void)candidate;
  (void)mask;
  (void)width;
  (void)height;
  return _refuse(error);
}

float *dt_seg_compute_mask(dt_seg_context_t *ctx, const dt_seg_point_t *points, int n_points, int *width,
                           int *height)
{
  (void)ctx;
  (void)points;
  (void)n_points;
  (void)width;
  (void)height;
  return NULL;
}

gboolean dt_seg_recall(dt_seg_context_t *ctx, const char *key)
{
  (void)ctx;
  (void)key;
  return FALSE;
}

gboolean dt_seg_remember(dt_seg_context_t *ctx, const char *key, GError **error)
{
  (void)ctx;
  (void)key;
  return _refuse(error);
}
