/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Contexts of mask models: a picture is encoded once, questions about it are answered.
 *
 * A question's way: points go from the picture into the encoder's square, a rough mask into the size the decoder takes;
 * the decoder runs; its best candidate is kept for the next question; the caller gets the logits of all. */
#include "ai/seg_internal.h"
#include "common/colour.h"
#include "common/log.h"
#include "common/memory.h"

#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

/* a rough mask as logits: sure, but not so sure that points count for nothing */
#define ROUGH_LOGIT 10.0f

/* An encoded picture. */
typedef struct _picture_t
{
  int width, height;
  float *features[DT_SEG_MAX_FEATURES];
} _picture_t;

/* What the last answer left for the next question. */
typedef struct _memory_t
{
  float *masks; /* candidates × previous_side², logits, or NULL */
  int n, chosen;
} _memory_t;

struct dt_seg_context_t
{
  dt_seg_model_t *model;
  pthread_mutex_t lock; /* of everything below */
  _picture_t *picture;  /* or NULL */
  _memory_t memory;

  pthread_mutex_t thread_lock;
  GThread *thread; /* of dt_seg_encode_begin() */
  struct _errand_t *errand;
};

/* --- life --- */

static void _free_picture(_picture_t *picture)
{
  for(int k = 0; picture && k < DT_SEG_MAX_FEATURES; k++) free(picture->features[k]);
  g_free(picture);
}

static void _forget(_memory_t *memory)
{
  free(memory->masks);
  *memory = (_memory_t){ 0 };
}

/* Takes over a reference to @p model. */
static dt_seg_context_t *_new(dt_seg_model_t *model)
{
  dt_seg_context_t *ctx = g_new0(dt_seg_context_t, 1);
  ctx->model = model;
  pthread_mutex_init(&ctx->lock, NULL);
  pthread_mutex_init(&ctx->thread_lock, NULL);
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

const char *dt_seg_get_provider(const dt_seg_context_t *ctx)
{
  return dt_ai_provider_to_string(dt_ai_get_provider(ctx->model->encoder));
}

gboolean dt_seg_supports_box(const dt_seg_context_t *ctx)
{
  return ctx->model->family == DT_SEG_SAM;
}

/* --- encoding --- */

static size_t _count(const dt_seg_tensor_t *t)
{
  return dt_ai_tensor_element_count(t->dims, t->ndim);
}

static gboolean _check_finite(const dt_seg_model_t *m, const char *what, const float *values, size_t n,
                              GError **error)
{
  gboolean finite = TRUE;
  for(size_t i = 0; i < n; i++) finite &= fabsf(values[i]) <= G_MAXFLOAT;
  if(!finite)
    g_set_error(error, DT_AI_ERROR, DT_AI_ERROR_FAILED,
                "The model %s computed %s that are not numbers. Try another model, or another provider.",
                m->id, what);
  return finite;
}

static gboolean _run_encoder(const dt_seg_model_t *m, float *input, _picture_t *picture,
                             GCancellable *cancellable, GError **error)
{
  int64_t square[] = { 1, 3, m->side, m->side };
  dt_ai_tensor_t in = { input, DT_AI_FLOAT, square, 4 }, out[DT_SEG_MAX_FEATURES];
  dt_seg_tensor_t shapes[DT_SEG_MAX_FEATURES];
  for(int k = 0; k < m->n_features; k++)
  {
    shapes[k] = m->features[k];
    out[k] = (dt_ai_tensor_t){ picture->features[k], DT_AI_FLOAT, shapes[k].dims, shapes[k].ndim };
  }
  if(!dt_ai_run_cancellable(m->encoder, &in, 1, out, m->n_features, cancellable, error)) return FALSE;
  for(int k = 0; k < m->n_features; k++)
  {
    if(memcmp(shapes[k].dims, m->features[k].dims, sizeof(int64_t) * (size_t)shapes[k].ndim) != 0)
    {
      g_set_error(error, DT_AI_ERROR, DT_AI_ERROR_FAILED,
                  "The encoder of the model %s gave an output \"%s\" of another size than the decoder takes.",
                  m->id, dt_ai_get_output_name(m->encoder, k));
      return FALSE;
    }
    if(!_check_finite(m, "features", picture->features[k], _count(&shapes[k]), error)) return FALSE;
  }
  return TRUE;
}

static gboolean _allocate_picture(const dt_seg_model_t *m, _picture_t *picture, float **input, GError **error)
{
  gboolean ok = (*input = dt_memory_try_large(3 * (size_t)m->side, (size_t)m->side * sizeof(float))) != NULL;
  for(int k = 0; k < m->n_features; k++)
    ok &= (picture->features[k] = dt_memory_try_large(_count(&m->features[k]), sizeof(float))) != NULL;
  if(!ok)
    g_set_error(error, DT_AI_ERROR, DT_AI_ERROR_MEMORY, "There is no memory for the features of a picture.");
  return ok;
}

/* @return the encoded picture (transfer full) */
static _picture_t *_encode(const dt_seg_model_t *m, dt_row_source_t *rows, dt_seg_progress_t progress,
                           void *user_data, GCancellable *cancellable, GError **error)
{
  const gint64 start = g_get_monotonic_time();
  _picture_t *picture = g_new0(_picture_t, 1);
  float *input = NULL;
  picture->width = rows->width;
  picture->height = rows->height;
  if(!_allocate_picture(m, picture, &input, error)
     || !dt_seg_read_picture(m, rows, input, progress, user_data, cancellable, error)
     || !_run_encoder(m, input, picture, cancellable, error))
    g_clear_pointer(&picture, _free_picture);
  free(input);
  if(picture && progress) progress(1.0, user_data);
  if(picture)
    dt_log(DT_LOG_AI | DT_LOG_PERF, "encoded %d×%d in %.0f ms", picture->width, picture->height,
           1e-3 * (double)(g_get_monotonic_time() - start));
  return picture;
}

gboolean dt_seg_encode(dt_seg_context_t *ctx, dt_row_source_t *rows, dt_seg_progress_t progress,
                       void *user_data, GCancellable *cancellable, GError **error)
{
  pthread_mutex_lock(&ctx->lock);
  g_clear_pointer(&ctx->picture, _free_picture);
  _forget(&ctx->memory);
  ctx->picture = _encode(ctx->model, rows, progress, user_data, cancellable, error);
  const gboolean ok = ctx->picture != NULL;
  pthread_mutex_unlock(&ctx->lock);
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
  _bytes_t bytes = { { .width = width, .height = height, .channels = 3, .read = _read_bytes }, rgb };
  GError *error = NULL;
  if(dt_seg_is_encoded(ctx)) return TRUE;
  if(!rgb || width < 1 || height < 1)
    g_set_error(&error, DT_AI_ERROR, DT_AI_ERROR_USAGE, "There is no picture of %d×%d pixels.", width,
                height);
  else
    dt_seg_encode(ctx, &bytes.source, NULL, NULL, NULL, &error);
  if(error) dt_ai_take_last_error(error);
  return dt_seg_is_encoded(ctx);
}

/* --- in the background --- */

typedef struct _errand_t
{
  dt_seg_context_t *ctx;
  dt_row_source_t *rows;
  dt_seg_progress_t progress;
  void *user_data;
  GCancellable *cancellable;
  GError *error;
} _errand_t;

static gpointer _run_errand(gpointer data)
{
  _errand_t *e = data;
  dt_seg_encode(e->ctx, e->rows, e->progress, e->user_data, e->cancellable, &e->error);
  dt_row_source_destroy(e->rows);
  return NULL;
}

void dt_seg_encode_begin(dt_seg_context_t *ctx, dt_row_source_t *rows, dt_seg_progress_t progress,
                         void *user_data, GCancellable *cancellable)
{
  dt_seg_encode_finish(ctx, NULL);
  _errand_t *e = g_new0(_errand_t, 1);
  *e = (_errand_t){
    ctx, rows, progress, user_data, cancellable ? g_object_ref(cancellable) : g_cancellable_new(), NULL
  };
  pthread_mutex_lock(&ctx->thread_lock);
  ctx->errand = e;
  ctx->thread = g_thread_new("segmentation", _run_errand, e);
  pthread_mutex_unlock(&ctx->thread_lock);
}

gboolean dt_seg_encode_finish(dt_seg_context_t *ctx, GError **error)
{
  pthread_mutex_lock(&ctx->thread_lock);
  GThread *thread = g_steal_pointer(&ctx->thread);
  _errand_t *e = g_steal_pointer(&ctx->errand);
  pthread_mutex_unlock(&ctx->thread_lock);
  if(!thread) return dt_seg_is_encoded(ctx);
  g_thread_join(thread);
  const gboolean ok = !e->error;
  if(e->error) g_propagate_error(error, e->error);
  g_object_unref(e->cancellable);
  g_free(e);
  return ok;
}

void dt_seg_free(dt_seg_context_t *ctx)
{
  if(!ctx) return;
  pthread_mutex_lock(&ctx->thread_lock);
  if(ctx->errand) g_cancellable_cancel(ctx->errand->cancellable);
  pthread_mutex_unlock(&ctx->thread_lock);
  dt_seg_encode_finish(ctx, NULL);
  _free_picture(ctx->picture);
  _forget(&ctx->memory);
  pthread_mutex_destroy(&ctx->lock);
  pthread_mutex_destroy(&ctx->thread_lock);
  dt_seg_model_unref(ctx->model);
  g_free(ctx);
}

/* --- state --- */

gboolean dt_seg_get_size(dt_seg_context_t *ctx, int *width, int *height)
{
  pthread_mutex_lock(&ctx->lock);
  const _picture_t *picture = ctx->picture;
  if(width) *width = picture ? picture->width : 0;
  if(height) *height = picture ? picture->height : 0;
  const gboolean there = picture != NULL;
  pthread_mutex_unlock(&ctx->lock);
  return there;
}

gboolean dt_seg_is_encoded(dt_seg_context_t *ctx)
{
  return dt_seg_get_size(ctx, NULL, NULL);
}

void dt_seg_reset_encoding(dt_seg_context_t *ctx)
{
  pthread_mutex_lock(&ctx->lock);
  g_clear_pointer(&ctx->picture, _free_picture);
  _forget(&ctx->memory);
  pthread_mutex_unlock(&ctx->lock);
}

void dt_seg_reset_prev_mask(dt_seg_context_t *ctx)
{
  dt_seg_restore_prev_mask(ctx, NULL);
}

static size_t _memory_bytes(const dt_seg_context_t *ctx)
{
  return (size_t)ctx->model->previous_side * (size_t)ctx->model->previous_side * sizeof(float);
}

GBytes *dt_seg_save_prev_mask(dt_seg_context_t *ctx)
{
  pthread_mutex_lock(&ctx->lock);
  const _memory_t *m = &ctx->memory;
  const size_t n = _memory_bytes(ctx);
  GBytes *bytes = m->masks ? g_bytes_new((const char *)m->masks + (size_t)m->chosen * n, n) : NULL;
  pthread_mutex_unlock(&ctx->lock);
  return bytes;
}

void dt_seg_restore_prev_mask(dt_seg_context_t *ctx, GBytes *memory)
{
  gsize size = 0;
  const void *data = memory ? g_bytes_get_data(memory, &size) : NULL;
  pthread_mutex_lock(&ctx->lock);
  _forget(&ctx->memory);
  if(data && size == _memory_bytes(ctx) && (ctx->memory.masks = malloc(size)))
  {
    memcpy(ctx->memory.masks, data, size);
    ctx->memory.n = 1;
  }
  pthread_mutex_unlock(&ctx->lock);
}

gboolean dt_seg_choose(dt_seg_context_t *ctx, int candidate)
{
  pthread_mutex_lock(&ctx->lock);
  const gboolean there = ctx->memory.masks && candidate >= 0 && candidate < ctx->memory.n;
  if(there) ctx->memory.chosen = candidate;
  pthread_mutex_unlock(&ctx->lock);
  return there;
}

/* --- questions --- */

/* What goes into the decoder beside the features. */
typedef struct _question_t
{
  int n; /* points, padding included */
  float *coords, *labels, *previous, flag;
} _question_t;

/* What comes out. */
typedef struct _reply_t
{
  float *masks, *low, scores[DT_SEG_MAX_CANDIDATES];
  dt_seg_tensor_t masks_shape, low_shape, scores_shape;
} _reply_t;

static gboolean _refuse_question(GError **error, dt_ai_error_t code, const char *words)
{
  g_set_error_literal(error, DT_AI_ERROR, code, words);
  return FALSE;
}

static gboolean _is_inside(const dt_seg_point_t *p, const _picture_t *picture)
{
  return p->x >= -0.5f && p->y >= -0.5f && p->x <= (float)picture->width - 0.5f
         && p->y <= (float)picture->height - 0.5f;
}

static gboolean _check_point(const dt_seg_context_t *ctx, const dt_seg_prompts_t *q, int i, GError **error)
{
  const dt_seg_point_t *p = &q->points[i];
  if(!_is_inside(p, ctx->picture))
  {
    g_set_error(error, DT_AI_ERROR, DT_AI_ERROR_INPUT,
                "The point (%g, %g) is outside the picture, which has %d×%d pixels. Choose one from (0, 0) "
                "to (%d, %d).",
                (double)p->x, (double)p->y, ctx->picture->width, ctx->picture->height,
                ctx->picture->width - 1, ctx->picture->height - 1);
    return FALSE;
  }
  if(p->label < DT_SEG_BACKGROUND || p->label > DT_SEG_BOX_BOTTOM_RIGHT)
    return _refuse_question(error, DT_AI_ERROR_USAGE,
                            "A point is foreground, background or a corner of a box.");
  if(p->label < DT_SEG_BOX_TOP_LEFT) return TRUE;
  if(ctx->model->family != DT_SEG_SAM)
    return _refuse_question(
        error, DT_AI_ERROR_INPUT,
        "This model does not understand boxes. Give points, or choose a model of the SAM family.");
  const gboolean paired = p->label == DT_SEG_BOX_TOP_LEFT
                              ? i + 1 < q->n_points && p[1].label == DT_SEG_BOX_BOTTOM_RIGHT
                              : i > 0 && p[-1].label == DT_SEG_BOX_TOP_LEFT;
  return paired
         || _refuse_question(error, DT_AI_ERROR_USAGE, "A box has two corners, one right behind the other.");
}

static gboolean _check_prompts(const dt_seg_context_t *ctx, const dt_seg_prompts_t *q, GError **error)
{
  if(!ctx->picture)
    return _refuse_question(error, DT_AI_ERROR_USAGE, "There is no encoded picture to ask about.");
  if(q->n_points < 1 && !q->rough)
    return _refuse_question(error, DT_AI_ERROR_USAGE,
                            "Say what is meant: a point on the object, a box around it, or a rough mask.");
  if(q->n_points > DT_SEG_MAX_POINTS)
  {
    g_set_error(error, DT_AI_ERROR, DT_AI_ERROR_USAGE, "%d points are too many; give at most %d.",
                q->n_points, DT_SEG_MAX_POINTS);
    return FALSE;
  }
  for(int i = 0; i < q->n_points; i++)
    if(!_check_point(ctx, q, i, error)) return FALSE;
  return TRUE;
}

/* From the middle of the picture's pixels to that of the square's. */
static void _place_points(const dt_seg_context_t *ctx, const dt_seg_prompts_t *q, _question_t *out)
{
  const dt_seg_model_t *m = ctx->model;
  int width, height;
  dt_seg_fit(ctx->picture->width, ctx->picture->height, m->side, &width, &height);
  for(int i = 0; i < q->n_points; i++)
  {
    out->coords[2 * i] = (q->points[i].x + 0.5f) * (float)width / (float)ctx->picture->width - 0.5f;
    out->coords[2 * i + 1] = (q->points[i].y + 0.5f) * (float)height / (float)ctx->picture->height - 0.5f;
    out->labels[i] = (float)q->points[i].label;
  }
  for(int i = q->n_points; i < out->n; i++) out->labels[i] = -1.0f; /* padding, at (0, 0) */
}

static float _sample(const dt_seg_prompts_t *q, double x, double y)
{
  const int x0 = CLAMP((int)floor(x), 0, q->rough_width - 1),
            y0 = CLAMP((int)floor(y), 0, q->rough_height - 1);
  const int x1 = MIN(x0 + 1, q->rough_width - 1), y1 = MIN(y0 + 1, q->rough_height - 1);
  const double fx = CLAMP(x - x0, 0, 1), fy = CLAMP(y - y0, 0, 1);
  const float *above = q->rough + (size_t)y0 * (size_t)q->rough_width,
              *below = q->rough + (size_t)y1 * (size_t)q->rough_width;
  return (float)((1 - fy) * ((1 - fx) * (double)above[x0] + fx * (double)above[x1])
                 + fy * ((1 - fx) * (double)below[x0] + fx * (double)below[x1]));
}

/* A rough mask in the decoder's size and manner; the padding is not the object. */
static void _place_rough(const dt_seg_context_t *ctx, const dt_seg_prompts_t *q, float *out)
{
  const dt_seg_model_t *m = ctx->model;
  const gboolean logits = m->family == DT_SEG_SAM;
  int width, height;
  dt_seg_fit(ctx->picture->width, ctx->picture->height, m->side, &width, &height);
  const double step = (double)m->side / m->previous_side;
  for(int j = 0; j < m->previous_side; j++)
    for(int i = 0; i < m->previous_side; i++)
    {
      const double u = (i + 0.5) * step / width, v = (j + 0.5) * step / height;
      const float r = u < 1 && v < 1 ? _sample(q, u * q->rough_width - 0.5, v * q->rough_height - 0.5) : 0.0f;
      *out++ = logits ? (2.0f * r - 1.0f) * ROUGH_LOGIT : r > 0.5f ? 1.0f : 0.0f;
    }
}

/* What the decoder goes on from. */
static void _place_previous(const dt_seg_context_t *ctx, const dt_seg_prompts_t *q, _question_t *out)
{
  const size_t bytes = _memory_bytes(ctx);
  const _memory_t *memory = &ctx->memory;
  out->flag = q->rough || (memory->masks && !q->fresh) ? 1.0f : 0.0f;
  if(q->rough)
    _place_rough(ctx, q, out->previous);
  else if(memory->masks && !q->fresh)
    memcpy(out->previous, (const char *)memory->masks + (size_t)memory->chosen * bytes, bytes);
  else
    memset(out->previous, 0, bytes);
}

static void _free_question(_question_t *q)
{
  g_free(q->coords);
  g_free(q->labels);
  free(q->previous);
}

static gboolean _make_question(const dt_seg_context_t *ctx, const dt_seg_prompts_t *q, _question_t *out,
                               GError **error)
{
  const gboolean padded = ctx->model->family == DT_SEG_SAM || q->n_points == 0;
  out->n = q->n_points + (padded ? 1 : 0);
  out->coords = g_new0(float, 2 * (gsize)out->n);
  out->labels = g_new0(float, (gsize)out->n);
  out->previous = malloc(_memory_bytes(ctx));
  if(!out->previous) return _refuse_question(error, DT_AI_ERROR_MEMORY, "There is no memory for a mask.");
  _place_points(ctx, q, out);
  _place_previous(ctx, q, out);
  return TRUE;
}

/* --- the decoder --- */

static int _describe_inputs(const dt_seg_context_t *ctx, _question_t *q, dt_ai_tensor_t *in,
                            int64_t shapes[4][4], dt_seg_tensor_t *features)
{
  const dt_seg_model_t *m = ctx->model;
  const int64_t coords[] = { 1, q->n, 2, 0 }, labels[] = { 1, q->n, 0, 0 }, flag[] = { 1, 0, 0, 0 },
                previous[] = { 1, 1, m->previous_side, m->previous_side };
  memcpy(shapes[0], coords, sizeof coords);
  memcpy(shapes[1], labels, sizeof labels);
  memcpy(shapes[2], previous, sizeof previous);
  memcpy(shapes[3], flag, sizeof flag);
  for(int k = 0; k < m->n_features; k++)
  {
    features[k] = m->features[k];
    in[m->taken_by[k]] =
        (dt_ai_tensor_t){ ctx->picture->features[k], DT_AI_FLOAT, features[k].dims, features[k].ndim };
  }
  in[m->coords] = (dt_ai_tensor_t){ q->coords, DT_AI_FLOAT, shapes[0], 3 };
  in[m->labels] = (dt_ai_tensor_t){ q->labels, DT_AI_FLOAT, shapes[1], 2 };
  in[m->previous] = (dt_ai_tensor_t){ q->previous, DT_AI_FLOAT, shapes[2], 4 };
  if(m->flag >= 0) in[m->flag] = (dt_ai_tensor_t){ &q->flag, DT_AI_FLOAT, shapes[3], 1 };
  return dt_ai_get_input_count(m->decoder);
}

static gboolean _allocate_reply(const dt_seg_model_t *m, _reply_t *r, GError **error)
{
  r->masks_shape = m->masks_shape;
  r->scores_shape = (dt_seg_tensor_t){ 2, { 1, m->masks_shape.dims[1] } };
  r->low_shape = (dt_seg_tensor_t){ 4, { 1, m->masks_shape.dims[1], m->low_side, m->low_side } };
  r->masks = dt_memory_try_large(_count(&r->masks_shape), sizeof(float));
  if(m->low >= 0) r->low = dt_memory_try_large(_count(&r->low_shape), sizeof(float));
  return (r->masks && (m->low < 0 || r->low))
         || _refuse_question(error, DT_AI_ERROR_MEMORY, "There is no memory for masks.");
}

static int _describe_outputs(const dt_seg_model_t *m, _reply_t *r, dt_ai_tensor_t *out)
{
  out[m->masks] = (dt_ai_tensor_t){ r->masks, DT_AI_FLOAT, r->masks_shape.dims, 4 };
  if(m->scores >= 0) out[m->scores] = (dt_ai_tensor_t){ r->scores, DT_AI_FLOAT, r->scores_shape.dims, 2 };
  if(m->low >= 0) out[m->low] = (dt_ai_tensor_t){ r->low, DT_AI_FLOAT, r->low_shape.dims, 4 };
  return dt_ai_get_output_count(m->decoder);
}

static gboolean _run_decoder(const dt_seg_context_t *ctx, _question_t *q, _reply_t *r,
                             GCancellable *cancellable, GError **error)
{
  dt_ai_tensor_t in[DT_SEG_MAX_FEATURES + 4], out[3];
  dt_seg_tensor_t features[DT_SEG_MAX_FEATURES];
  int64_t shapes[4][4];
  const dt_seg_model_t *m = ctx->model;
  const int n_in = _describe_inputs(ctx, q, in, shapes, features);
  if(!_allocate_reply(m, r, error)) return FALSE;
  const int n_out = _describe_outputs(m, r, out);
  return dt_ai_run_cancellable(m->decoder, in, n_in, out, n_out, cancellable, error)
         && _check_finite(m, "masks", r->masks, _count(&r->masks_shape), error);
}

/* --- answers --- */

/* Of a mask at two thresholds: how much of the generous one the strict one has. */
static float _stability(const dt_seg_answer_t *a, int candidate)
{
  const float *logits = a->logits + (size_t)candidate * (size_t)a->columns * (size_t)a->rows;
  size_t strict = 0, generous = 0;
  for(int y = 0; y < a->rows && y < a->height; y++)
    for(int x = 0; x < a->columns && x < a->width; x++)
    {
      const float v = logits[(size_t)y * (size_t)a->columns + (size_t)x];
      strict += v > 1.0f;
      generous += v > -1.0f;
    }
  return generous ? (float)strict / (float)generous : 1.0f;
}

static void _choose_best(dt_seg_answer_t *a)
{
  for(int i = 1; i < a->n; i++)
    if(a->iou[i] > a->iou[a->best] || !(a->iou[a->best] == a->iou[a->best])) a->best = i;
}

/* Takes over the masks of @p r. */
static dt_seg_answer_t *_make_answer(const dt_seg_context_t *ctx, _reply_t *r)
{
  const dt_seg_model_t *m = ctx->model;
  int width, height;
  dt_seg_answer_t *a = g_new0(dt_seg_answer_t, 1);
  dt_seg_fit(ctx->picture->width, ctx->picture->height, m->side, &width, &height);
  a->n = (int)r->masks_shape.dims[1];
  a->rows = (int)r->masks_shape.dims[2];
  a->columns = (int)r->masks_shape.dims[3];
  a->width = (double)width * a->columns / m->side;
  a->height = (double)height * a->rows / m->side;
  a->picture_width = ctx->picture->width;
  a->picture_height = ctx->picture->height;
  a->logits = g_steal_pointer(&r->masks);
  for(int i = 0; i < a->n; i++)
  {
    a->iou[i] = m->scores >= 0 && i < r->scores_shape.dims[1] ? r->scores[i] : NAN;
    a->stability[i] = _stability(a, i);
  }
  _choose_best(a);
  return a;
}

/* Masks in the size and manner in which the decoder takes the previous one. */
static void _remember(dt_seg_context_t *ctx, const dt_seg_answer_t *a, const _reply_t *r)
{
  const dt_seg_model_t *m = ctx->model;
  const int side = m->previous_side;
  const size_t n = (size_t)side * (size_t)side;
  _forget(&ctx->memory);
  const float *from = r->low ? r->low : a->logits;
  const int rows = r->low ? side : a->rows, columns = r->low ? side : a->columns;
  if(!(ctx->memory.masks = malloc((size_t)a->n * n * sizeof(float)))) return;
  ctx->memory.n = a->n;
  ctx->memory.chosen = a->best;
  float *out = ctx->memory.masks;
  for(int k = 0; k < a->n; k++)
    for(int y = 0; y < side; y++)
      for(int x = 0; x < side; x++)
      {
        const size_t at = (size_t)(y * rows / side) * (size_t)columns + (size_t)(x * columns / side);
        const float v = from[(size_t)k * (size_t)rows * (size_t)columns + at];
        *out++ = m->family == DT_SEG_SAM ? v : v > 0 ? 1.0f : 0.0f;
      }
}

static dt_seg_answer_t *_answer(dt_seg_context_t *ctx, const dt_seg_prompts_t *prompts,
                                GCancellable *cancellable, GError **error)
{
  const gint64 start = g_get_monotonic_time();
  _question_t q = { 0 };
  _reply_t r = { 0 };
  dt_seg_answer_t *a = NULL;
  if(_check_prompts(ctx, prompts, error) && _make_question(ctx, prompts, &q, error)
     && _run_decoder(ctx, &q, &r, cancellable, error))
  {
    a = _make_answer(ctx, &r);
    _remember(ctx, a, &r);
    dt_log(DT_LOG_AI | DT_LOG_PERF, "answered %d points in %.1f ms: %d candidates, the best %d",
           prompts->n_points, 1e-3 * (double)(g_get_monotonic_time() - start), a->n, a->best);
  }
  _free_question(&q);
  free(r.masks);
  free(r.low);
  return a;
}

dt_seg_answer_t *dt_seg_answer(dt_seg_context_t *ctx, const dt_seg_prompts_t *prompts,
                               GCancellable *cancellable, GError **error)
{
  pthread_mutex_lock(&ctx->lock);
  dt_seg_answer_t *answer = _answer(ctx, prompts, cancellable, error);
  pthread_mutex_unlock(&ctx->lock);
  return answer;
}

void dt_seg_answer_free(dt_seg_answer_t *answer)
{
  if(!answer) return;
  free(answer->logits);
  g_free(answer);
}

dt_seg_logits_t dt_seg_answer_logits(const dt_seg_answer_t *a, int candidate)
{
  return (dt_seg_logits_t){ .values = a->logits + (size_t)candidate * (size_t)a->rows * (size_t)a->columns,
                            .stride = a->columns,
                            .rows = a->rows,
                            .width = a->width,
                            .height = a->height };
}

gboolean dt_seg_answer_to_mask(const dt_seg_answer_t *answer, int candidate, float *mask, int width,
                               int height, GError **error)
{
  const dt_seg_logits_t logits = dt_seg_answer_logits(answer, candidate);
  const dt_seg_edges_t nothing = { 0 };
  return dt_seg_make_mask(&logits, NULL, &nothing, mask, width, height, NULL, error);
}

/* The best candidate as a mask of the picture's size (transfer full). */
static float *_compute_mask(dt_seg_context_t *ctx, const dt_seg_prompts_t *prompts, int *width, int *height,
                            GError **error)
{
  dt_seg_answer_t *a = dt_seg_answer(ctx, prompts, NULL, error);
  if(!a) return NULL;
  float *mask = g_try_malloc_n((gsize)a->picture_width * (gsize)a->picture_height, sizeof(float));
  if(!mask)
    _refuse_question(error, DT_AI_ERROR_MEMORY, "There is no memory for a mask of the picture's size.");
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

gboolean dt_seg_recall(dt_seg_context_t *ctx, const char *key)
{
  char *reason = NULL;
  dt_seg_features_t found = { 0 };
  const gint64 start = g_get_monotonic_time();
  gboolean ok = dt_seg_cache_load(key, ctx->model->hash, &found, &reason);
  if(reason) dt_log(DT_LOG_AI, "the encoded picture in the cache is not used: %s", reason);
  g_free(reason);
  ok = ok && found.n == ctx->model->n_features;
  for(int k = 0; ok && k < found.n; k++)
    ok = found.features[k].ndim == ctx->model->features[k].ndim
         && memcmp(found.features[k].dims, ctx->model->features[k].dims,
                   sizeof(int64_t) * (size_t)found.features[k].ndim)
                == 0;
  if(ok)
  {
    _picture_t *picture = g_new0(_picture_t, 1);
    picture->width = found.width;
    picture->height = found.height;
    for(int k = 0; k < found.n; k++) picture->features[k] = g_steal_pointer(&found.features[k].data);
    dt_seg_reset_encoding(ctx);
    pthread_mutex_lock(&ctx->lock);
    ctx->picture = picture;
    pthread_mutex_unlock(&ctx->lock);
    dt_log(DT_LOG_AI | DT_LOG_PERF, "the encoded picture was in the cache, %.0f ms",
           1e-3 * (double)(g_get_monotonic_time() - start));
  }
  dt_seg_features_clear(&found);
  return ok;
}

gboolean dt_seg_remember(dt_seg_context_t *ctx, const char *key, GError **error)
{
  dt_seg_features_t all = { 0 };
  gboolean ok = TRUE;
  pthread_mutex_lock(&ctx->lock);
  if(ctx->picture)
  {
    all.n = ctx->model->n_features;
    all.width = ctx->picture->width;
    all.height = ctx->picture->height;
    for(int k = 0; k < all.n; k++)
    {
      dt_seg_feature_t *f = &all.features[k];
      *f = (dt_seg_feature_t){ .name = (char *)dt_ai_get_output_name(ctx->model->encoder, k),
                               .ndim = ctx->model->features[k].ndim,
                               .data = ctx->picture->features[k] };
      memcpy(f->dims, ctx->model->features[k].dims, sizeof f->dims);
    }
    ok = dt_seg_cache_store(key, ctx->model->hash, &all, error);
  }
  pthread_mutex_unlock(&ctx->lock);
  return ok;
}
