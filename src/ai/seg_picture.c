/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Shows a picture to an encoder, and keeps what that made of it.
 *
 * Rows come in once, from the top down. Each is encoded to 8 bits, as a photograph on a screen has them, made narrower,
 * and added with its weight to the rows of the result it belongs to; rows that belong to none are not even read. Pixels
 * lie in squares: output pixel i of n sees the place (i + 0.5) * N / n of the N input pixels, so nothing is shifted. */
#include "ai/backend_internal.h"
#include "ai/seg_model.h"
#include "ai/seg_resize.h"
#include "common/colour.h"
#include "common/log.h"
#include "common/memory.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* --- the picture in the encoder's square --- */

void dt_seg_fit(int width, int height, int side, int *fitted_width, int *fitted_height)
{
  const double scale = (double)side / MAX(width, height);
  *fitted_width = CLAMP((int)floor(width * scale + 0.5), 1, side);
  *fitted_height = CLAMP((int)floor(height * scale + 0.5), 1, side);
}

/* Whole numbers from 0 to 255, as on a screen. */
static void _quantise(float *samples, size_t n)
{
  for(size_t i = 0; i < n; i++)
  {
    const float v = samples[i] > 0 ? samples[i] : 0.0f; /* also what is no number */
    samples[i] = (float)(int)(255.0f * (v < 1 ? v : 1.0f) + 0.5f);
  }
}

/* A linear row becomes three colours. */
static void _encode_row(float *row, int width, int channels, float *rgb)
{
  const size_t n = (size_t)width * (size_t)channels;
  const int step = DT_ROW_COLOURS(channels) == 3;
  dt_srgb_encode(row, row, n);
  _quantise(row, n);
  for(int x = 0; x < width; x++)
    for(int c = 0; c < 3; c++) rgb[3 * x + c] = row[(size_t)x * (size_t)channels + (size_t)(c * step)];
}

static void _narrow_row(const dt_seg_filter_t *f, const float *rgb, float *narrow)
{
  for(int i = 0; i < f->n; i++)
  {
    const float *w = f->weights + (size_t)i * (size_t)f->taps, *in = rgb + 3 * (size_t)f->first[i];
    float sum[3] = { 0 };
    for(int k = 0; k < f->count[i]; k++)
      for(int c = 0; c < 3; c++) sum[c] += w[k] * in[3 * k + c];
    memcpy(narrow + 3 * i, sum, sizeof sum);
  }
}

/* Adds the row @p y, already narrow, to every output row that has a part of it. */
static void _add_row(const dt_seg_filter_t *f, int from, int y, const float *narrow, int width, float *tensor,
                     int side)
{
  for(int i = from; i < f->n && f->first[i] <= y; i++)
  {
    const float weight = dt_seg_filter_weight(f, i, y);
    if(weight == 0) continue;
    for(int c = 0; c < 3; c++)
    {
      float *out = tensor + ((size_t)c * (size_t)side + (size_t)i) * (size_t)side;
      for(int x = 0; x < width; x++) out[x] += weight * narrow[3 * x + c];
    }
  }
}

/* Whether any output row from @p from on has a part of row @p y. */
static gboolean _is_wanted(const dt_seg_filter_t *f, int from, int y)
{
  for(int i = from; i < f->n && f->first[i] <= y; i++)
    if(dt_seg_filter_weight(f, i, y) != 0) return TRUE;
  return FALSE;
}

gboolean dt_seg_check_cancelled(GCancellable *cancellable, GError **error)
{
  if(!g_cancellable_is_cancelled(cancellable)) return TRUE;
  g_set_error_literal(error, DT_AI_ERROR, DT_AI_ERROR_CANCELLED, "Cancelled.");
  return FALSE;
}

/* Where rows go on their way. */
typedef struct _reader_t
{
  dt_seg_filter_t across, down;
  float *row, *rgb, *narrow;
} _reader_t;

static gboolean _init_reader(_reader_t *r, const dt_seg_model_t *model, const dt_row_source_t *rows,
                             GError **error)
{
  int width, height;
  dt_seg_fit(rows->width, rows->height, model->side, &width, &height);
  dt_seg_filter_init(&r->across, rows->width, width, (double)rows->width / width, model->antialias);
  dt_seg_filter_init(&r->down, rows->height, height, (double)rows->height / height, model->antialias);
  r->row = g_try_new(float, (gsize)rows->width *(gsize)rows->channels);
  r->rgb = g_try_new(float, 3 * (gsize)rows->width);
  r->narrow = g_new(float, 3 * (gsize)width);
  if(r->row && r->rgb) return TRUE;
  g_set_error(error, DT_AI_ERROR, DT_AI_ERROR_MEMORY, "There is no memory for rows of %d pixels.",
              rows->width);
  return FALSE;
}

static void _cleanup_reader(_reader_t *r)
{
  dt_seg_filter_cleanup(&r->across);
  dt_seg_filter_cleanup(&r->down);
  g_free(r->row);
  g_free(r->rgb);
  g_free(r->narrow);
}

/* Reads what is wanted of the picture into @p tensor, as samples of 0 to 255. */
static gboolean _read_rows(_reader_t *r, dt_row_source_t *rows, float *tensor, int side,
                           dt_seg_progress_t progress, void *user_data, GCancellable *cancellable,
                           GError **error)
{
  const dt_seg_filter_t *down = &r->down;
  for(int y = 0, from = 0; y < rows->height; y++) /* output rows before `from` are complete */
  {
    while(from < down->n && down->first[from] + down->count[from] <= y) from++;
    if(!_is_wanted(down, from, y)) continue;
    if(!dt_seg_check_cancelled(cancellable, error) || !rows->read(rows, y, 1, r->row, error)) return FALSE;
    _encode_row(r->row, rows->width, rows->channels, r->rgb);
    _narrow_row(&r->across, r->rgb, r->narrow);
    _add_row(down, from, y, r->narrow, r->across.n, tensor, side);
    if(progress && y % 64 == 0) progress(0.5 * y / rows->height, user_data);
  }
  return TRUE;
}

/* The padding is normalised like everything else: black, not grey. */
static void _normalise(const dt_seg_model_t *model, float *tensor)
{
  const size_t plane = (size_t)model->side * (size_t)model->side;
  for(size_t c = 0; c < 3; c++)
    for(size_t i = 0; i < plane; i++)
      tensor[c * plane + i] = (tensor[c * plane + i] - model->mean[c]) * model->scale[c];
}

gboolean dt_seg_picture_read(const dt_seg_model_t *model, dt_row_source_t *rows, float *tensor,
                             dt_seg_progress_t progress, void *user_data, GCancellable *cancellable,
                             GError **error)
{
  _reader_t reader = { 0 };
  memset(tensor, 0, 3 * (size_t)model->side * (size_t)model->side * sizeof(float));
  const gboolean ok =
      _init_reader(&reader, model, rows, error)
      && _read_rows(&reader, rows, tensor, model->side, progress, user_data, cancellable, error);
  _cleanup_reader(&reader);
  if(ok) _normalise(model, tensor);
  return ok;
}

/* --- what the encoder makes of it --- */

dt_seg_picture_t *dt_seg_picture_ref(dt_seg_picture_t *picture)
{
  g_atomic_int_inc(&picture->references);
  return picture;
}

void dt_seg_picture_unref(dt_seg_picture_t *picture)
{
  if(!picture || !g_atomic_int_dec_and_test(&picture->references)) return;
  for(int k = 0; k < DT_SEG_MAX_FEATURES; k++) free(picture->features[k]);
  g_free(picture);
}

gboolean dt_seg_check_finite(const dt_seg_model_t *m, const char *what, const float *values, size_t n,
                             GError **error)
{
  gboolean finite = TRUE;
  g_return_val_if_fail(values != NULL, FALSE);
  for(size_t i = 0; i < n; i++) finite &= fabsf(values[i]) <= G_MAXFLOAT;
  if(!finite)
    g_set_error(error, DT_AI_ERROR, DT_AI_ERROR_FAILED,
                "The model %s computed %s that are not numbers. Try another model, or another provider.",
                m->id, what);
  return finite;
}

/* Features whose size the encoder leaves open are what the decoder takes, or nothing. */
static gboolean _check_features(const dt_seg_model_t *m, const dt_seg_picture_t *picture,
                                const dt_seg_shape_t *shapes, GError **error)
{
  for(int k = 0; k < m->n_features; k++)
  {
    const dt_seg_shape_t *wanted = &m->features[k];
    if(shapes[k].ndim != wanted->ndim
       || memcmp(shapes[k].dims, wanted->dims, sizeof(int64_t) * (size_t)wanted->ndim) != 0)
    {
      g_set_error(error, DT_AI_ERROR, DT_AI_ERROR_FAILED,
                  "The encoder of the model %s gave \"%s\" in another size than the decoder takes. Choose "
                  "another model.",
                  m->id, m->ports.names[k]);
      return FALSE;
    }
    if(!dt_seg_check_finite(m, "features", picture->features[k], dt_seg_count(wanted), error)) return FALSE;
  }
  return TRUE;
}

static gboolean _run(dt_ai_context_t *encoder, const dt_seg_model_t *m, float *input,
                     dt_seg_picture_t *picture, const dt_ai_gate_t *gate, GCancellable *cancellable,
                     GError **error)
{
  int64_t square[] = { 1, 3, m->side, m->side };
  dt_ai_tensor_t in = { input, DT_AI_FLOAT, square, 4 }, out[DT_SEG_MAX_FEATURES];
  dt_seg_shape_t shapes[DT_SEG_MAX_FEATURES];
  for(int k = 0; k < m->n_features; k++)
  {
    shapes[k] = m->features[k];
    out[k] = (dt_ai_tensor_t){ picture->features[k], DT_AI_FLOAT, shapes[k].dims, shapes[k].ndim };
  }
  if(!dt_seg_check_cancelled(cancellable, error)) return FALSE;
  dt_ai_gate_enter(gate, encoder);
  const gboolean ok = dt_ai_run_cancellable(encoder, &in, 1, out, m->n_features, cancellable, error);
  dt_ai_gate_leave(gate, encoder);
  if(!ok) return FALSE;
  for(int k = 0; k < m->n_features; k++) shapes[k].ndim = out[k].ndim;
  return _check_features(m, picture, shapes, error);
}

/* What fails elsewhere is done on the CPU, unless that would be against somebody's will. */
static gboolean _run_encoder(dt_seg_model_t *m, float *input, dt_seg_picture_t *picture,
                             const dt_ai_gate_t *gate, GCancellable *cancellable, GError **error)
{
  GError *why = NULL, *cause = NULL;
  dt_ai_context_t *encoder = dt_seg_model_get_encoder(m, cancellable, error);
  if(!encoder) return FALSE;
  if(_run(encoder, m, input, picture, gate, cancellable, &why)) return TRUE;
  encoder = dt_seg_model_fall_back(m, encoder, why, cancellable, &cause);
  const gboolean ok = encoder && _run(encoder, m, input, picture, gate, cancellable, &cause);
  if(!ok) g_propagate_error(error, cause ? g_steal_pointer(&cause) : g_steal_pointer(&why));
  g_clear_error(&why);
  return ok;
}

static gboolean _allocate(const dt_seg_model_t *m, dt_seg_picture_t *picture, float **input, GError **error)
{
  gboolean ok = (*input = dt_memory_try_large(3 * (size_t)m->side, (size_t)m->side * sizeof(float))) != NULL;
  for(int k = 0; k < m->n_features; k++)
    ok &= (picture->features[k] = dt_memory_try_large(dt_seg_count(&m->features[k]), sizeof(float))) != NULL;
  if(!ok)
    g_set_error(error, DT_AI_ERROR, DT_AI_ERROR_MEMORY, "There is no memory for the features of a picture.");
  return ok;
}

dt_seg_picture_t *dt_seg_picture_encode(dt_seg_model_t *m, dt_row_source_t *rows, dt_seg_progress_t progress,
                                        void *user_data, const dt_ai_gate_t *gate, GCancellable *cancellable,
                                        GError **error)
{
  const gint64 start = g_get_monotonic_time();
  dt_seg_picture_t *picture = g_new0(dt_seg_picture_t, 1);
  *picture = (dt_seg_picture_t){ .references = 1, .width = rows->width, .height = rows->height };
  float *input = NULL;
  const gboolean ok = _allocate(m, picture, &input, error)
                      && dt_seg_picture_read(m, rows, input, progress, user_data, cancellable, error)
                      && _run_encoder(m, input, picture, gate, cancellable, error);
  free(input);
  if(ok && progress) progress(1.0, user_data);
  if(ok)
    dt_log(DT_LOG_AI | DT_LOG_PERF, "encoded %d×%d in %.0f ms", picture->width, picture->height,
           1e-3 * (double)(g_get_monotonic_time() - start));
  else
    g_clear_pointer(&picture, dt_seg_picture_unref);
  return picture;
}
