/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Shows a picture to an encoder.
 *
 * Rows come in once, from the top down. Each is encoded to 8 bits, as a photograph on a screen has them, made narrower,
 * and added with its weight to the rows of the result it belongs to; rows that belong to none are not even read. Pixels
 * lie in squares: output pixel i of n sees the place (i + 0.5) * N / n of the N input pixels, so nothing is shifted. */
#include "ai/seg_internal.h"
#include "common/colour.h"

#include <math.h>
#include <string.h>

/* Which inputs an output is made of, and how much of each. */
typedef struct _filter_t
{
  int n;      /* outputs */
  int taps;   /* of each, at most */
  int *first; /* input of the first tap */
  int *count;
  float *weights; /* n × taps, sums are 1 */
} _filter_t;

static double _triangle(double x)
{
  return fabs(x) < 1 ? 1 - fabs(x) : 0;
}

/* Interpolation between the two neighbours; with @p antialias and a smaller output the triangle is as wide as an
 * output's pixel, so that every input counts. */
static void _filter_init(_filter_t *f, int in, int out, gboolean antialias)
{
  const double step = (double)in / out, width = antialias ? MAX(step, 1.0) : 1.0;
  *f = (_filter_t){ .n = out, .taps = (int)ceil(2 * width) + 1 };
  f->first = g_new(int, out);
  f->count = g_new0(int, out);
  f->weights = g_new0(float, (gsize)out *(gsize)f->taps);
  for(int i = 0; i < out; i++)
  {
    const double place = (i + 0.5) * step - 0.5;
    double sum = 0;
    float *w = f->weights + (size_t)i * (size_t)f->taps;
    f->first[i] = CLAMP((int)floor(place - width) + 1, 0, in - 1);
    const int last = CLAMP((int)ceil(place + width) - 1, 0, in - 1);
    for(int k = f->first[i]; k <= last && f->count[i] < f->taps; k++)
      sum += (double)(w[f->count[i]++] = (float)_triangle((k - place) / width));
    if(!(sum > 0)) w[0] = (float)(sum = 1); /* beyond the edge: the nearest */
    for(int k = 0; k < f->count[i]; k++) w[k] = (float)((double)w[k] / sum);
  }
}

static void _filter_cleanup(_filter_t *f)
{
  g_free(f->first);
  g_free(f->count);
  g_free(f->weights);
}

void dt_seg_fit(int width, int height, int side, int *fitted_width, int *fitted_height)
{
  const double scale = (double)side / MAX(width, height);
  *fitted_width = CLAMP((int)floor(width * scale + 0.5), 1, side);
  *fitted_height = CLAMP((int)floor(height * scale + 0.5), 1, side);
}

/* A linear row becomes three colours of 0 to 255, whole numbers as on a screen. */
static void _encode_row(float *row, int width, int channels, float *rgb)
{
  const int colours = DT_ROW_COLOURS(channels);
  dt_srgb_encode(row, row, (size_t)width * (size_t)channels);
  for(int x = 0; x < width; x++)
    for(int c = 0; c < 3; c++)
    {
      const float v = row[(size_t)x * (size_t)channels + (size_t)(colours == 3 ? c : 0)];
      rgb[3 * x + c] = floorf(255.0f * (v > 0 ? v < 1 ? v : 1.0f : 0.0f) + 0.5f);
    }
}

static void _narrow_row(const _filter_t *f, const float *rgb, float *narrow)
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

/* Whether output row @p i has a part of row @p y. */
static gboolean _belongs(const _filter_t *f, int i, int y)
{
  return y >= f->first[i] && y < f->first[i] + f->count[i] && f->weights[i * f->taps + y - f->first[i]] != 0;
}

/* Adds the row @p y, already narrow, to every output row that has a part of it. */
static void _add_row(const _filter_t *f, int from, int y, const float *narrow, int width, float *tensor,
                     int side)
{
  for(int i = from; i < f->n && f->first[i] <= y; i++)
  {
    if(!_belongs(f, i, y)) continue;
    const float weight = f->weights[i * f->taps + y - f->first[i]];
    for(int c = 0; c < 3; c++)
    {
      float *out = tensor + ((size_t)c * (size_t)side + (size_t)i) * (size_t)side;
      for(int x = 0; x < width; x++) out[x] += weight * narrow[3 * x + c];
    }
  }
}

/* Whether any output row from @p from on has a part of row @p y. */
static gboolean _is_wanted(const _filter_t *f, int from, int y)
{
  for(int i = from; i < f->n && f->first[i] <= y; i++)
    if(_belongs(f, i, y)) return TRUE;
  return FALSE;
}

static gboolean _check_cancelled(GCancellable *cancellable, GError **error)
{
  if(!g_cancellable_set_error_if_cancelled(cancellable, NULL)) return TRUE;
  g_set_error_literal(error, DT_AI_ERROR, DT_AI_ERROR_CANCELLED, "Cancelled.");
  return FALSE;
}

/* Reads what is wanted of the picture into @p tensor, as samples of 0 to 255. */
static gboolean _read_rows(dt_row_source_t *rows, const _filter_t *across, const _filter_t *down,
                           float *tensor, int side, dt_seg_progress_t progress, void *user_data,
                           GCancellable *cancellable, GError **error)
{
  const size_t width = (size_t)rows->width;
  float *row = g_new(float, width *(size_t)rows->channels), *rgb = g_new(float, 3 * width),
        *narrow = g_new(float, 3 * (size_t)across->n);
  gboolean ok = TRUE;
  int from = 0; /* output rows before are complete */
  for(int y = 0; y < rows->height && ok; y++)
  {
    while(from < down->n && down->first[from] + down->count[from] <= y) from++;
    if(!_is_wanted(down, from, y)) continue;
    ok = _check_cancelled(cancellable, error) && rows->read(rows, y, 1, row, error);
    if(!ok) break;
    _encode_row(row, rows->width, rows->channels, rgb);
    _narrow_row(across, rgb, narrow);
    _add_row(down, from, y, narrow, across->n, tensor, side);
    if(progress && y % 64 == 0) progress(0.5 * y / rows->height, user_data);
  }
  g_free(row);
  g_free(rgb);
  g_free(narrow);
  return ok;
}

/* The padding is normalised like everything else: black, not grey. */
static void _normalise(const dt_seg_model_t *model, float *tensor)
{
  const size_t plane = (size_t)model->side * (size_t)model->side;
  for(size_t c = 0; c < 3; c++)
    for(size_t i = 0; i < plane; i++)
      tensor[c * plane + i] = (tensor[c * plane + i] - model->mean[c]) * model->scale[c];
}

gboolean dt_seg_read_picture(const dt_seg_model_t *model, dt_row_source_t *rows, float *tensor,
                             dt_seg_progress_t progress, void *user_data, GCancellable *cancellable,
                             GError **error)
{
  _filter_t across, down;
  int width, height;
  dt_seg_fit(rows->width, rows->height, model->side, &width, &height);
  _filter_init(&across, rows->width, width, model->antialias);
  _filter_init(&down, rows->height, height, model->antialias);
  memset(tensor, 0, 3 * (size_t)model->side * (size_t)model->side * sizeof(float));
  const gboolean ok =
      _read_rows(rows, &across, &down, tensor, model->side, progress, user_data, cancellable, error);
  _filter_cleanup(&across);
  _filter_cleanup(&down);
  if(ok) _normalise(model, tensor);
  return ok;
}
