/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Questions to a decoder.
 *
 * Points go from the picture into the encoder's square, a rough mask into the size the decoder takes; the decoder runs;
 * its candidates are kept for the next question as the decoder takes them; the caller gets the logits of all. */
#include "ai/backend_internal.h"
#include "ai/seg_model.h"
#include "ai/seg_resize.h"
#include "common/log.h"
#include "common/memory.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* a rough mask as logits: sure, but not so sure that points count for nothing */
#define ROUGH_LOGIT 10.0f

/* Everything that answering needs. */
typedef struct _asking_t
{
  const dt_seg_model_t *model;
  const dt_seg_picture_t *picture;
  const dt_seg_prompts_t *prompts;
  int fitted_width, fitted_height; /* of the picture in the encoder's square */

  int n; /* points, padding included */
  float *coords, *labels, *previous, flag;

  float *masks, *low, scores[DT_SEG_MAX_CANDIDATES];
  dt_seg_shape_t masks_shape, low_shape, scores_shape;
} _asking_t;

static gboolean _refuse(GError **error, dt_ai_error_t code, const char *words)
{
  g_set_error_literal(error, DT_AI_ERROR, code, words);
  return FALSE;
}

/* --- what may be asked --- */

static gboolean _is_inside(const dt_seg_point_t *p, const dt_seg_picture_t *picture)
{
  return p->x >= -0.5f && p->y >= -0.5f && (double)p->x <= picture->width - 0.5
         && (double)p->y <= picture->height - 0.5;
}

static gboolean _check_place(const _asking_t *a, const dt_seg_point_t *p, GError **error)
{
  const int width = a->picture->width, height = a->picture->height;
  if(_is_inside(p, a->picture)) return TRUE;
  g_set_error(error, DT_AI_ERROR, DT_AI_ERROR_INPUT,
              "The point (%g, %g) is outside the picture, which has %d×%d pixels. Choose one from (0, 0) "
              "to (%d, %d).",
              (double)p->x, (double)p->y, width, height, width - 1, height - 1);
  return FALSE;
}

/* Whether the corner number @p i of a box has the other one beside it. */
static gboolean _is_paired(const dt_seg_prompts_t *q, int i)
{
  return q->points[i].label == DT_SEG_BOX_TOP_LEFT
             ? i + 1 < q->n_points && q->points[i + 1].label == DT_SEG_BOX_BOTTOM_RIGHT
             : i > 0 && q->points[i - 1].label == DT_SEG_BOX_TOP_LEFT;
}

static gboolean _check_point(const _asking_t *a, int i, GError **error)
{
  const dt_seg_point_t *p = &a->prompts->points[i];
  if(!_check_place(a, p, error)) return FALSE;
  if(p->label < DT_SEG_BACKGROUND || p->label > DT_SEG_BOX_BOTTOM_RIGHT)
    return _refuse(error, DT_AI_ERROR_USAGE, "A point is foreground, background or a corner of a box.");
  if(p->label < DT_SEG_BOX_TOP_LEFT) return TRUE;
  if(a->model->family != DT_SEG_SAM)
    return _refuse(error, DT_AI_ERROR_INPUT,
                   "This model does not understand boxes. Give points, or choose a model of the SAM family.");
  return _is_paired(a->prompts, i)
         || _refuse(error, DT_AI_ERROR_USAGE, "A box has two corners, one right behind the other.");
}

static gboolean _check_prompts(const _asking_t *a, GError **error)
{
  const dt_seg_prompts_t *q = a->prompts;
  if(!a->picture)
    return _refuse(error, DT_AI_ERROR_USAGE,
                   "There is no encoded picture to ask about. Encode one before asking.");
  if(q->n_points > DT_SEG_MAX_POINTS)
  {
    g_set_error(error, DT_AI_ERROR, DT_AI_ERROR_USAGE, "%d points are too many. Give at most %d.",
                q->n_points, DT_SEG_MAX_POINTS);
    return FALSE;
  }
  if((q->n_points < 1 || !q->points) && !q->rough)
    return _refuse(error, DT_AI_ERROR_USAGE,
                   "Say what is meant: a point on the object, a box around it, or a rough mask.");
  if(q->n_points < 0 || (q->n_points && !q->points) || (q->rough && MIN(q->rough_width, q->rough_height) < 1))
    return _refuse(error, DT_AI_ERROR_USAGE, "The points or the rough mask have no size.");
  for(int i = 0; i < q->n_points; i++)
    if(!_check_point(a, i, error)) return FALSE;
  return TRUE;
}

/* --- the question as the decoder takes it --- */

/* From the middle of the picture's pixels to that of the square's. */
static void _place_points(_asking_t *a)
{
  const dt_seg_prompts_t *q = a->prompts;
  const double x = (double)a->fitted_width / a->picture->width,
               y = (double)a->fitted_height / a->picture->height;
  for(int i = 0; i < q->n_points; i++)
  {
    a->coords[2 * i] = (float)(((double)q->points[i].x + 0.5) * x - 0.5);
    a->coords[2 * i + 1] = (float)(((double)q->points[i].y + 0.5) * y - 0.5);
    a->labels[i] = (float)q->points[i].label;
  }
  for(int i = q->n_points; i < a->n; i++) a->labels[i] = -1.0f; /* padding, at (0, 0) */
}

/* A rough mask in the decoder's size and manner; the padding is not the object. */
static void _place_rough(_asking_t *a)
{
  const dt_seg_model_t *m = a->model;
  const int side = m->previous_side;
  const double width = (double)a->fitted_width * side / m->side,
               height = (double)a->fitted_height * side / m->side;
  memset(a->previous, 0, dt_seg_memory_size(m));
  dt_seg_resize(a->prompts->rough, a->prompts->rough_width, a->prompts->rough_height,
                a->prompts->rough_width / width, a->prompts->rough_height / height, a->previous,
                (int)ceil(width), (int)ceil(height), (size_t)side);
  for(size_t i = 0; i < (size_t)side * (size_t)side; i++)
  {
    const float r = a->previous[i] > 0 ? MIN(a->previous[i], 1.0f) : 0.0f; /* also what is no number */
    a->previous[i] = m->family == DT_SEG_SAM ? (2.0f * r - 1.0f) * ROUGH_LOGIT : r > 0.5f ? 1.0f : 0.0f;
  }
}

/* What the decoder goes on from. */
static void _place_previous(_asking_t *a, const dt_seg_memory_t *memory)
{
  const size_t size = dt_seg_memory_size(a->model);
  const gboolean goes_on = memory->masks && !a->prompts->fresh;
  a->flag = a->prompts->rough || goes_on ? 1.0f : 0.0f;
  if(a->prompts->rough)
    _place_rough(a);
  else if(goes_on)
    memcpy(a->previous, (const char *)memory->masks + (size_t)memory->chosen * size, size);
  else
    memset(a->previous, 0, size);
}

static gboolean _prepare(_asking_t *a, const dt_seg_memory_t *memory, GError **error)
{
  const gboolean padded = a->model->family == DT_SEG_SAM || a->prompts->n_points == 0;
  dt_seg_fit(a->picture->width, a->picture->height, a->model->side, &a->fitted_width, &a->fitted_height);
  a->n = a->prompts->n_points + (padded ? 1 : 0);
  a->coords = g_new0(float, 2 * (gsize)a->n);
  a->labels = g_new0(float, (gsize)a->n);
  a->previous = malloc(dt_seg_memory_size(a->model));
  if(!a->previous) return _refuse(error, DT_AI_ERROR_MEMORY, "There is no memory for a mask.");
  _place_points(a);
  _place_previous(a, memory);
  return TRUE;
}

/* --- the decoder --- */

typedef struct _inputs_t
{
  dt_ai_tensor_t tensors[DT_SEG_MAX_FEATURES + 4];
  dt_seg_shape_t shapes[DT_SEG_MAX_FEATURES + 4];
} _inputs_t;

static void _set_input(_inputs_t *in, int i, float *data, const dt_seg_shape_t *shape)
{
  in->shapes[i] = *shape;
  in->tensors[i] = (dt_ai_tensor_t){ data, DT_AI_FLOAT, in->shapes[i].dims, shape->ndim };
}

static void _describe_inputs(_asking_t *a, _inputs_t *in)
{
  const dt_seg_model_t *m = a->model;
  const dt_seg_shape_t coords = { 3, { 1, a->n, 2 } }, labels = { 2, { 1, a->n } }, flag = { 1, { 1 } },
                       previous = { 4, { 1, 1, m->previous_side, m->previous_side } };
  for(int k = 0; k < m->n_features; k++)
    _set_input(in, m->taken_by[k], a->picture->features[k], &m->features[k]);
  _set_input(in, m->coords, a->coords, &coords);
  _set_input(in, m->labels, a->labels, &labels);
  _set_input(in, m->previous, a->previous, &previous);
  if(m->flag >= 0) _set_input(in, m->flag, &a->flag, &flag);
}

static gboolean _allocate_outputs(_asking_t *a, GError **error)
{
  const dt_seg_model_t *m = a->model;
  a->masks_shape = m->masks_shape;
  a->scores_shape = m->scores_shape;
  a->low_shape = m->low_shape;
  a->masks = dt_memory_try_large(dt_seg_count(&a->masks_shape), sizeof(float));
  if(m->low >= 0) a->low = dt_memory_try_large(dt_seg_count(&a->low_shape), sizeof(float));
  return (a->masks && (m->low < 0 || a->low))
         || _refuse(error, DT_AI_ERROR_MEMORY, "There is no memory for masks.");
}

static int _describe_outputs(_asking_t *a, dt_ai_tensor_t *out)
{
  const dt_seg_model_t *m = a->model;
  out[m->masks] = (dt_ai_tensor_t){ a->masks, DT_AI_FLOAT, a->masks_shape.dims, 4 };
  if(m->scores >= 0) out[m->scores] = (dt_ai_tensor_t){ a->scores, DT_AI_FLOAT, a->scores_shape.dims, 2 };
  if(m->low >= 0) out[m->low] = (dt_ai_tensor_t){ a->low, DT_AI_FLOAT, a->low_shape.dims, 4 };
  return dt_ai_get_output_count(m->decoder);
}

/* What the model left open may be anything that had room. */
static gboolean _check_outputs(const _asking_t *a, const dt_ai_tensor_t *out, GError **error)
{
  const dt_seg_model_t *m = a->model;
  const int64_t n = a->masks_shape.dims[1];
  gboolean ok = out[m->masks].ndim == 4 && a->masks_shape.dims[0] == 1 && n >= 1 && n <= DT_SEG_MAX_CANDIDATES
                && a->masks_shape.dims[2] >= 1 && a->masks_shape.dims[3] >= 1;
  if(m->scores >= 0) ok = ok && out[m->scores].ndim == 2 && a->scores_shape.dims[1] == n;
  if(m->low >= 0)
    ok = ok && out[m->low].ndim == 4 && a->low_shape.dims[1] == n && a->low_shape.dims[2] == m->previous_side
         && a->low_shape.dims[3] == m->previous_side;
  if(!ok)
    g_set_error(error, DT_AI_ERROR, DT_AI_ERROR_FAILED,
                "The decoder of the model %s gave masks, iou_predictions and low_res_masks that do not "
                "belong together. Choose another model.",
                m->id);
  return ok;
}

static gboolean _run_decoder(_asking_t *a, const dt_ai_gate_t *gate, GCancellable *cancellable,
                             GError **error)
{
  const dt_seg_model_t *m = a->model;
  _inputs_t in;
  dt_ai_tensor_t out[3];
  _describe_inputs(a, &in);
  if(!_allocate_outputs(a, error)) return FALSE;
  const int n_out = _describe_outputs(a, out);
  dt_ai_gate_enter(gate, m->decoder);
  const gboolean ok = dt_ai_run_cancellable(m->decoder, in.tensors, dt_ai_get_input_count(m->decoder), out,
                                            n_out, cancellable, error);
  dt_ai_gate_leave(gate, m->decoder);
  return ok && _check_outputs(a, out, error)
         && dt_seg_check_finite(m, "masks", a->masks, dt_seg_count(&a->masks_shape), error)
         && (m->low < 0 || dt_seg_check_finite(m, "masks", a->low, dt_seg_count(&a->low_shape), error));
}

/* --- the answer --- */

/* Of a mask at two thresholds: how much of the generous one the strict one has. */
static float _measure_stability(const dt_seg_answer_t *answer, int candidate)
{
  const dt_seg_logits_t l = dt_seg_answer_logits(answer, candidate);
  const int width = (int)ceil(l.width), height = (int)ceil(l.height);
  size_t strict = 0, generous = 0;
  for(int y = 0; y < height; y++)
    for(int x = 0; x < width; x++)
    {
      const float v = l.values[(size_t)y * (size_t)l.stride + (size_t)x];
      strict += v > 1.0f;
      generous += v > -1.0f;
    }
  return generous ? (float)strict / (float)generous : 1.0f;
}

/* The highest of the scores that are numbers. */
static int _find_best(const dt_seg_answer_t *answer)
{
  int best = 0;
  for(int i = 1; i < answer->n; i++)
    if(answer->iou[i] > answer->iou[best] || (isnan(answer->iou[best]) && !isnan(answer->iou[i]))) best = i;
  return best;
}

/* Takes over the masks. */
static dt_seg_answer_t *_make_answer(_asking_t *a)
{
  const dt_seg_model_t *m = a->model;
  dt_seg_answer_t *answer = g_new0(dt_seg_answer_t, 1);
  answer->n = (int)a->masks_shape.dims[1];
  answer->rows = (int)a->masks_shape.dims[2];
  answer->columns = (int)a->masks_shape.dims[3];
  answer->width = (double)a->fitted_width * answer->columns / m->side;
  answer->height = (double)a->fitted_height * answer->rows / m->side;
  answer->picture_width = a->picture->width;
  answer->picture_height = a->picture->height;
  answer->logits = g_steal_pointer(&a->masks);
  for(int i = 0; i < answer->n; i++)
  {
    answer->iou[i] = m->scores >= 0 ? a->scores[i] : NAN;
    answer->stability[i] = _measure_stability(answer, i);
  }
  answer->best = _find_best(answer);
  return answer;
}

void dt_seg_memory_clear(dt_seg_memory_t *memory)
{
  free(memory->masks);
  *memory = (dt_seg_memory_t){ 0 };
}

size_t dt_seg_memory_size(const dt_seg_model_t *m)
{
  return (size_t)m->previous_side * (size_t)m->previous_side * sizeof(float);
}

/* One candidate in the size and manner in which the decoder takes the previous mask. */
static void _keep_candidate(const _asking_t *a, const dt_seg_answer_t *answer, int candidate, float *out)
{
  const int side = a->model->previous_side;
  const size_t n = (size_t)side * (size_t)side, area = (size_t)answer->rows * (size_t)answer->columns;
  if(a->low)
    memcpy(out, a->low + (size_t)candidate * n, n * sizeof(float));
  else if(answer->rows == side && answer->columns == side)
    memcpy(out, answer->logits + (size_t)candidate * n, n * sizeof(float));
  else
    dt_seg_resize(answer->logits + (size_t)candidate * area, answer->columns, answer->rows,
                  (double)answer->columns / side, (double)answer->rows / side, out, side, side, (size_t)side);
  for(size_t i = 0; a->model->family == DT_SEG_SEGNEXT && i < n; i++) out[i] = out[i] > 0 ? 1.0f : 0.0f;
}

static void _keep(const _asking_t *a, const dt_seg_answer_t *answer, dt_seg_memory_t *memory)
{
  const size_t size = dt_seg_memory_size(a->model);
  dt_seg_memory_clear(memory);
  memory->masks = calloc((size_t)answer->n, size);
  if(!memory->masks) return; /* the next question starts anew */
  memory->n = answer->n;
  memory->chosen = answer->best;
  for(int i = 0; i < answer->n; i++)
    _keep_candidate(a, answer, i, memory->masks + (size_t)i * (size / sizeof(float)));
}

dt_seg_answer_t *dt_seg_ask(const dt_seg_model_t *model, const dt_seg_picture_t *picture,
                            dt_seg_memory_t *memory, const dt_seg_prompts_t *prompts,
                            const dt_ai_gate_t *gate, GCancellable *cancellable, GError **error)
{
  const gint64 start = g_get_monotonic_time();
  _asking_t a = { .model = model, .picture = picture, .prompts = prompts };
  dt_seg_answer_t *answer = NULL;
  if(_check_prompts(&a, error) && _prepare(&a, memory, error) && _run_decoder(&a, gate, cancellable, error))
  {
    answer = _make_answer(&a);
    _keep(&a, answer, memory);
    dt_log(DT_LOG_AI | DT_LOG_PERF, "answered %d points in %.1f ms: %d candidates, the best is number %d",
           prompts->n_points, 1e-3 * (double)(g_get_monotonic_time() - start), answer->n, answer->best + 1);
  }
  g_free(a.coords);
  g_free(a.labels);
  free(a.previous);
  free(a.masks);
  free(a.low);
  return answer;
}

void dt_seg_answer_free(dt_seg_answer_t *answer)
{
  if(!answer) return;
  free(answer->logits);
  g_free(answer);
}

dt_seg_logits_t dt_seg_answer_logits(const dt_seg_answer_t *answer, int candidate)
{
  const size_t area = (size_t)answer->rows * (size_t)answer->columns;
  return (dt_seg_logits_t){ .values = answer->logits + (size_t)candidate * area,
                            .stride = answer->columns,
                            .rows = answer->rows,
                            .width = answer->width,
                            .height = answer->height };
}

gboolean dt_seg_answer_to_mask(const dt_seg_answer_t *answer, int candidate, float *mask, int width,
                               int height, GError **error)
{
  const dt_seg_edges_t nothing = { 0 };
  if(candidate < 0 || candidate >= answer->n)
    return _refuse(error, DT_AI_ERROR_USAGE, "The answer has no such candidate.");
  const dt_seg_logits_t logits = dt_seg_answer_logits(answer, candidate);
  return dt_seg_make_mask(&logits, NULL, &nothing, mask, width, height, NULL, error);
}
