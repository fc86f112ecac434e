/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Contexts of mask models: a picture is encoded once, questions about it are answered.
 *
 * One thread at a time works with a context: it takes it, and others that want to wait their turn. The lock is never held
 * while somebody works, so that asking how things stand never waits. */
#include "ai/backend_internal.h"
#include "ai/seg_model.h"
#include "common/colour.h"
#include "common/log.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* how often somebody who waits looks whether that is cancelled, in nanoseconds */
#define PATIENCE 20000000

typedef struct _errand_t _errand_t;

struct dt_seg_context_t
{
  dt_seg_model_t *model;

  pthread_mutex_t lock; /* of everything below */
  pthread_cond_t given; /* nobody works any more */
  gboolean taken;       /* somebody does, to whom picture and memory belong until then */
  dt_seg_picture_t *picture;
  dt_seg_memory_t memory;
  dt_ai_gate_t gate; /* all NULL: none */
  _errand_t *errand; /* of dt_seg_encode_begin() */
};

/* --- whose turn it is --- */

static void _wait_a_little(dt_seg_context_t *ctx)
{
  struct timespec until;
  clock_gettime(CLOCK_MONOTONIC, &until);
  until.tv_nsec += PATIENCE;
  until.tv_sec += until.tv_nsec / 1000000000;
  until.tv_nsec %= 1000000000;
  pthread_cond_timedwait(&ctx->given, &ctx->lock, &until);
}

static gboolean _take(dt_seg_context_t *ctx, GCancellable *cancellable, GError **error)
{
  pthread_mutex_lock(&ctx->lock);
  while(ctx->taken && !g_cancellable_is_cancelled(cancellable)) _wait_a_little(ctx);
  const gboolean mine = !ctx->taken;
  ctx->taken = TRUE;
  pthread_mutex_unlock(&ctx->lock);
  return mine || dt_seg_check_cancelled(cancellable, error);
}

static void _give(dt_seg_context_t *ctx)
{
  pthread_mutex_lock(&ctx->lock);
  ctx->taken = FALSE;
  pthread_cond_broadcast(&ctx->given);
  pthread_mutex_unlock(&ctx->lock);
}

/* Another picture, or none (NULL), taken over; for whom the context is taken. */
static void _set_picture(dt_seg_context_t *ctx, dt_seg_picture_t *picture)
{
  pthread_mutex_lock(&ctx->lock);
  dt_seg_picture_t *old = ctx->picture;
  ctx->picture = picture;
  dt_seg_memory_clear(&ctx->memory);
  pthread_mutex_unlock(&ctx->lock);
  dt_seg_picture_unref(old);
}

/* --- life --- */

/* Takes over a reference to @p model. */
static dt_seg_context_t *_new(dt_seg_model_t *model)
{
  dt_seg_context_t *ctx = g_new0(dt_seg_context_t, 1);
  pthread_condattr_t attributes;
  ctx->model = model;
  pthread_mutex_init(&ctx->lock, NULL);
  pthread_condattr_init(&attributes);
  pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
  pthread_cond_init(&ctx->given, &attributes);
  pthread_condattr_destroy(&attributes);
  return ctx;
}

static const dt_ai_model_info_t *_find_model(dt_ai_environment_t *env, const char *id, GError **error)
{
  const dt_ai_model_info_t *info =
      id ? dt_ai_get_model_info_by_id(env, id) : dt_ai_env_get_active_model(env, "mask");
  if(!info && id)
    g_set_error(error, DT_AI_ERROR, DT_AI_ERROR_NO_MODEL,
                "There is no model \"%s\". See what is installed: darktable-ai models list", id);
  else if(!info)
    g_propagate_error(error, g_error_copy(dt_ai_last_error()));
  else if(strcmp(info->task_type, "mask") != 0)
    g_set_error(
        error, DT_AI_ERROR, DT_AI_ERROR_NO_MODEL,
        "The model \"%s\" is for the task %s, not mask. See what is installed: darktable-ai models list",
        info->id, info->task_type);
  return info && strcmp(info->task_type, "mask") == 0 ? info : NULL;
}

dt_seg_context_t *dt_seg_load_ext(dt_ai_environment_t *env, const char *model_id,
                                  const dt_seg_load_opts_t *opts, GError **error)
{
  const dt_seg_load_opts_t defaults = { 0 };
  dt_seg_load_opts_t o = opts ? *opts : defaults;
  const dt_ai_model_info_t *info = _find_model(env, model_id, error);
  if(!info) return NULL;
  if(o.provider == DT_AI_PROVIDER_AUTO) o.provider = dt_ai_env_get_provider(env);
  dt_seg_model_t *model = dt_seg_model_load(info, &o, error);
  return model ? _new(model) : NULL;
}

dt_seg_context_t *dt_seg_load(dt_ai_environment_t *env, const char *model_id)
{
  GError *error = NULL;
  dt_seg_context_t *ctx = dt_seg_load_ext(env, model_id, NULL, &error);
  if(!ctx) dt_ai_take_last_error(error);
  return ctx;
}

dt_seg_context_t *dt_seg_fork(const dt_seg_context_t *ctx)
{
  return _new(dt_seg_model_ref(ctx->model));
}

const char *dt_seg_get_model_id(const dt_seg_context_t *ctx)
{
  return ctx->model->id;
}

const char *dt_seg_get_model_hash(const dt_seg_context_t *ctx)
{
  return ctx->model->hash;
}

dt_ai_provider_t dt_seg_get_provider(const dt_seg_context_t *ctx)
{
  return dt_seg_model_get_provider(ctx->model);
}

const char *dt_seg_get_fallback(const dt_seg_context_t *ctx)
{
  return dt_seg_model_get_fallback(ctx->model);
}

gboolean dt_seg_prepare(dt_seg_context_t *ctx, GCancellable *cancellable, GError **error)
{
  return dt_seg_model_get_encoder(ctx->model, cancellable, error) != NULL;
}

gboolean dt_seg_supports_box(const dt_seg_context_t *ctx)
{
  return ctx->model->family == DT_SEG_SAM;
}

void dt_seg_set_gate(dt_seg_context_t *ctx, const dt_ai_gate_t *gate)
{
  const dt_ai_gate_t none = { 0 };
  pthread_mutex_lock(&ctx->lock);
  ctx->gate = gate ? *gate : none;
  pthread_mutex_unlock(&ctx->lock);
}

/* The one in force, for the whole of an encoding or question. */
static dt_ai_gate_t _get_gate(dt_seg_context_t *ctx)
{
  pthread_mutex_lock(&ctx->lock);
  const dt_ai_gate_t gate = ctx->gate;
  pthread_mutex_unlock(&ctx->lock);
  return gate;
}

/* --- encoding --- */

static gboolean _check_rows(const dt_row_source_t *rows, GError **error)
{
  if(rows->width >= 1 && rows->height >= 1 && rows->channels >= 1 && rows->channels <= 4) return TRUE;
  g_set_error(error, DT_AI_ERROR, DT_AI_ERROR_USAGE,
              "There is no picture of %d×%d pixels with %d channels. Give one of at least 1×1, with 1 to 4.",
              rows->width, rows->height, rows->channels);
  return FALSE;
}

/* For whom the context is taken. */
static gboolean _encode(dt_seg_context_t *ctx, dt_row_source_t *rows, dt_seg_progress_t progress,
                        void *user_data, GCancellable *cancellable, GError **error)
{
  const dt_ai_gate_t gate = _get_gate(ctx);
  dt_seg_picture_t *picture = NULL;
  if(_check_rows(rows, error))
    picture = dt_seg_picture_encode(ctx->model, rows, progress, user_data, &gate, cancellable, error);
  _set_picture(ctx, picture);
  return picture != NULL;
}

gboolean dt_seg_encode(dt_seg_context_t *ctx, dt_row_source_t *rows, dt_seg_progress_t progress,
                       void *user_data, GCancellable *cancellable, GError **error)
{
  if(!_take(ctx, cancellable, error)) return FALSE;
  _set_picture(ctx, NULL);
  const gboolean ok = _encode(ctx, rows, progress, user_data, cancellable, error);
  _give(ctx);
  return ok;
}

/* --- 8-bit pictures --- */

typedef struct _bytes_t
{
  dt_row_source_t source;
  const uint8_t *rgb;
} _bytes_t;

static gboolean _read_bytes(dt_row_source_t *self, int y, int n, float *rows, GError **error)
{
  (void)error;
  const size_t width = 3 * (size_t)self->width;
  const uint8_t *in = ((const _bytes_t *)self)->rgb + (size_t)y * width;
  for(size_t i = 0; i < width * (size_t)n; i++) rows[i] = (float)in[i] * (1.0f / 255.0f);
  dt_srgb_decode(rows, rows, width * (size_t)n);
  return TRUE;
}

gboolean dt_seg_encode_image(dt_seg_context_t *ctx, const uint8_t *rgb, int width, int height)
{
  _bytes_t bytes = { { .width = rgb ? width : 0, .height = height, .channels = 3, .read = _read_bytes },
                     rgb };
  GError *error = NULL;
  _take(ctx, NULL, NULL);
  const gboolean ok = ctx->picture || _encode(ctx, &bytes.source, NULL, NULL, NULL, &error);
  _give(ctx);
  if(error) dt_ai_take_last_error(error);
  return ok;
}

/* --- in the background --- */

struct _errand_t
{
  dt_seg_context_t *ctx;
  GThread *thread;
  dt_row_source_t *rows;
  dt_seg_progress_t progress;
  void *user_data;
  GCancellable *cancellable; /* its own, so that nobody else's is cancelled with it */
  GCancellable *callers;     /* or NULL */
  gulong handler;
  GError *error;
};

static void _pass_on(GCancellable *callers, gpointer own)
{
  (void)callers;
  g_cancellable_cancel(own);
}

static gpointer _run_errand(gpointer data)
{
  _errand_t *e = data;
  if(!e->error)
  {
    _encode(e->ctx, e->rows, e->progress, e->user_data, e->cancellable, &e->error);
    _give(e->ctx);
  }
  dt_row_source_destroy(e->rows);
  return NULL;
}

static _errand_t *_steal_errand(dt_seg_context_t *ctx)
{
  pthread_mutex_lock(&ctx->lock);
  _errand_t *e = g_steal_pointer(&ctx->errand);
  pthread_mutex_unlock(&ctx->lock);
  return e;
}

/* Waits for its end. */
static gboolean _end_errand(_errand_t *e, GError **error)
{
  g_thread_join(e->thread);
  if(e->callers) g_cancellable_disconnect(e->callers, e->handler);
  g_clear_object(&e->callers);
  g_object_unref(e->cancellable);
  const gboolean ok = !e->error;
  if(!ok) g_propagate_error(error, e->error);
  g_free(e);
  return ok;
}

static void _cancel_errand(dt_seg_context_t *ctx)
{
  _errand_t *e = _steal_errand(ctx);
  if(!e) return;
  g_cancellable_cancel(e->cancellable);
  _end_errand(e, NULL);
}

void dt_seg_encode_begin(dt_seg_context_t *ctx, dt_row_source_t *rows, dt_seg_progress_t progress,
                         void *user_data, GCancellable *cancellable)
{
  _cancel_errand(ctx);
  _errand_t *e = g_new0(_errand_t, 1);
  *e = (_errand_t){ .ctx = ctx, .rows = rows, .progress = progress, .user_data = user_data };
  e->cancellable = g_cancellable_new();
  if(cancellable)
  {
    e->callers = g_object_ref(cancellable);
    e->handler = g_cancellable_connect(cancellable, G_CALLBACK(_pass_on), e->cancellable, NULL);
  }
  /* now already, so that whoever asks after this waits for it */
  if(_take(ctx, e->cancellable, &e->error)) _set_picture(ctx, NULL);
  e->thread = g_thread_new("segmentation", _run_errand, e);
  pthread_mutex_lock(&ctx->lock);
  ctx->errand = e;
  pthread_mutex_unlock(&ctx->lock);
}

gboolean dt_seg_encode_finish(dt_seg_context_t *ctx, GError **error)
{
  _errand_t *e = _steal_errand(ctx);
  if(e) return _end_errand(e, error);
  if(dt_seg_is_encoded(ctx)) return TRUE;
  g_set_error_literal(error, DT_AI_ERROR, DT_AI_ERROR_USAGE, "No encoding was begun.");
  return FALSE;
}

void dt_seg_free(dt_seg_context_t *ctx)
{
  if(!ctx) return;
  _cancel_errand(ctx);
  dt_seg_picture_unref(ctx->picture);
  dt_seg_memory_clear(&ctx->memory);
  pthread_mutex_destroy(&ctx->lock);
  pthread_cond_destroy(&ctx->given);
  dt_seg_model_unref(ctx->model);
  g_free(ctx);
}

/* --- state --- */

gboolean dt_seg_get_size(dt_seg_context_t *ctx, int *width, int *height)
{
  pthread_mutex_lock(&ctx->lock);
  const dt_seg_picture_t *picture = ctx->picture;
  if(width) *width = picture ? picture->width : 0;
  if(height) *height = picture ? picture->height : 0;
  pthread_mutex_unlock(&ctx->lock);
  return picture != NULL;
}

gboolean dt_seg_is_encoded(dt_seg_context_t *ctx)
{
  return dt_seg_get_size(ctx, NULL, NULL);
}

void dt_seg_reset_encoding(dt_seg_context_t *ctx)
{
  _take(ctx, NULL, NULL);
  _set_picture(ctx, NULL);
  _give(ctx);
}

void dt_seg_reset_prev_mask(dt_seg_context_t *ctx)
{
  dt_seg_restore_prev_mask(ctx, NULL);
}

GBytes *dt_seg_save_prev_mask(dt_seg_context_t *ctx)
{
  _take(ctx, NULL, NULL);
  const dt_seg_memory_t *m = &ctx->memory;
  const size_t size = dt_seg_memory_size(ctx->model);
  GBytes *bytes = m->masks ? g_bytes_new((const char *)m->masks + (size_t)m->chosen * size, size) : NULL;
  _give(ctx);
  return bytes;
}

void dt_seg_restore_prev_mask(dt_seg_context_t *ctx, GBytes *memory)
{
  gsize size = 0;
  const void *data = memory ? g_bytes_get_data(memory, &size) : NULL;
  _take(ctx, NULL, NULL);
  dt_seg_memory_clear(&ctx->memory);
  if(data && size == dt_seg_memory_size(ctx->model) && (ctx->memory.masks = malloc(size)))
  {
    memcpy(ctx->memory.masks, data, size);
    ctx->memory.n = 1;
  }
  _give(ctx);
}

gboolean dt_seg_choose(dt_seg_context_t *ctx, int candidate)
{
  _take(ctx, NULL, NULL);
  const gboolean there = candidate >= 0 && candidate < ctx->memory.n;
  if(there) ctx->memory.chosen = candidate;
  _give(ctx);
  return there;
}

/* --- questions --- */

dt_seg_answer_t *dt_seg_answer(dt_seg_context_t *ctx, const dt_seg_prompts_t *prompts,
                               GCancellable *cancellable, GError **error)
{
  if(!_take(ctx, cancellable, error)) return NULL;
  const dt_ai_gate_t gate = _get_gate(ctx);
  dt_seg_answer_t *answer =
      dt_seg_ask(ctx->model, ctx->picture, &ctx->memory, prompts, &gate, cancellable, error);
  _give(ctx);
  return answer;
}

/* The best candidate as a mask of the picture's size (transfer full). */
static float *_compute_mask(dt_seg_context_t *ctx, const dt_seg_prompts_t *prompts, int *width, int *height,
                            GError **error)
{
  dt_seg_answer_t *a = dt_seg_answer(ctx, prompts, NULL, error);
  if(!a) return NULL;
  float *mask = g_try_malloc_n((gsize)a->picture_width * (gsize)a->picture_height, sizeof(float));
  if(!mask)
    g_set_error(error, DT_AI_ERROR, DT_AI_ERROR_MEMORY,
                "There is no memory for a mask of %d×%d pixels. Ask for a smaller one.", a->picture_width,
                a->picture_height);
  if(mask && !dt_seg_answer_to_mask(a, a->best, mask, a->picture_width, a->picture_height, error))
    g_clear_pointer(&mask, g_free);
  if(width) *width = a->picture_width;
  if(height) *height = a->picture_height;
  dt_seg_answer_free(a);
  return mask;
}

float *dt_seg_compute_mask(dt_seg_context_t *ctx, const dt_seg_point_t *points, int n_points, int *width,
                           int *height)
{
  const dt_seg_prompts_t prompts = { .points = points, .n_points = n_points };
  GError *error = NULL;
  float *mask = _compute_mask(ctx, &prompts, width, height, &error);
  if(error) dt_ai_take_last_error(error);
  return mask;
}

/* --- the cache --- */

/* Whether features are this model's. */
static gboolean _fits(const dt_seg_model_t *m, const dt_seg_features_t *found)
{
  gboolean ok = found->n == m->n_features && found->width >= 1 && found->height >= 1;
  for(int k = 0; ok && k < found->n; k++)
  {
    const dt_seg_feature_t *f = &found->features[k];
    ok = f->ndim == m->features[k].ndim
         && memcmp(f->dims, m->features[k].dims, sizeof(int64_t) * (size_t)f->ndim) == 0
         && g_strcmp0(f->name, m->ports.names[k]) == 0;
  }
  return ok;
}

/* Takes the data out of @p found. */
static dt_seg_picture_t *_new_picture(dt_seg_features_t *found)
{
  dt_seg_picture_t *picture = g_new0(dt_seg_picture_t, 1);
  *picture = (dt_seg_picture_t){ .references = 1, .width = found->width, .height = found->height };
  for(int k = 0; k < found->n; k++) picture->features[k] = g_steal_pointer(&found->features[k].data);
  return picture;
}

gboolean dt_seg_recall(dt_seg_context_t *ctx, const char *key)
{
  const gint64 start = g_get_monotonic_time();
  char *reason = NULL;
  dt_seg_features_t found = { 0 };
  gboolean ok = dt_seg_cache_load(key, ctx->model->encoding, &found, &reason);
  if(ok && !_fits(ctx->model, &found))
  {
    reason = g_strdup("it is not what the encoder gives");
    ok = FALSE;
  }
  if(ok)
  {
    _take(ctx, NULL, NULL);
    _set_picture(ctx, _new_picture(&found));
    _give(ctx);
    dt_log(DT_LOG_AI | DT_LOG_PERF, "the encoded picture was in the cache, %.0f ms",
           1e-3 * (double)(g_get_monotonic_time() - start));
  }
  else if(reason)
    dt_log(DT_LOG_AI, "the encoded picture in the cache is not used: %s", reason);
  g_free(reason);
  dt_seg_features_clear(&found);
  return ok;
}

static gboolean _store(const dt_seg_model_t *m, const dt_seg_picture_t *picture, const char *key,
                       GError **error)
{
  dt_seg_features_t all = { .n = m->n_features, .width = picture->width, .height = picture->height };
  for(int k = 0; k < all.n; k++)
  {
    dt_seg_feature_t *f = &all.features[k];
    f->name = m->ports.names[k];
    f->ndim = m->features[k].ndim;
    f->data = picture->features[k];
    memcpy(f->dims, m->features[k].dims, sizeof f->dims);
  }
  return dt_seg_cache_store(key, m->encoding, &all, error);
}

gboolean dt_seg_remember(dt_seg_context_t *ctx, const char *key, GError **error)
{
  _take(ctx, NULL, NULL);
  dt_seg_picture_t *picture = ctx->picture ? dt_seg_picture_ref(ctx->picture) : NULL;
  _give(ctx); /* questions need not wait for the disk */
  const gboolean ok = !picture || _store(ctx->model, picture, key, error);
  dt_seg_picture_unref(picture);
  return ok;
}
