/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Finds the factor between a network's input and output.
 *
 * Candidates stand on a grid over the picture; the brightest in which little is saturated are run. In each, blocks of
 * 16×16 give a ratio of sums over matching sites (a site of red with the red plane's pixel there, and so on), and the
 * weighted median of all blocks is the factor. */
#include "ai/restore_gain.h"
#include "common/log.h"
#include "common/memory.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define BLOCK 16
/* side of a window where the model does not say: large against what the networks look at */
#define SIDE 256
/* of the picture's pixels in windows, and never more of these than that */
#define SHARE 0.03
#define MAX_WINDOWS 9
/* candidates along each side */
#define GRID 6
typedef struct _window_t
{
  int x, y;
  double score; /* mean level where nothing is saturated */
} _window_t;

/* A block's ratio, and its light. */
typedef struct _ratio_t
{
  double ratio, weight;
  gboolean saturated;
} _ratio_t;

typedef struct _finder_t
{
  dt_restore_context_t *ctx;
  const dt_gain_picture_t *picture;
  const dt_restore_opts_t *opts;
  int w, h;    /* of a window */
  float *band; /* planes × h × picture width */
  float *in, *out, *sigma;
  GArray *ratios;
} _finder_t;

/* --- candidates --- */

static float *_band_plane(const _finder_t *f, int rows, int p)
{
  return f->band + (size_t)p * (size_t)rows * (size_t)f->picture->width;
}

/* Rows [y, y + n) of all planes. */
static gboolean _read_band(_finder_t *f, int y, int n, GError **error)
{
  float *planes[4];
  for(int p = 0; p < f->ctx->planes; p++) planes[p] = _band_plane(f, n, p);
  return f->picture->read(f->picture->data, y, n, planes, error);
}

/* How much light there is in one row of the band from column @p x on; saturated samples count against it. */
static double _score_row(const _finder_t *f, int x)
{
  const int n = MIN(f->w, f->picture->width - x);
  double sum = 0;
  for(int p = 0; p < f->ctx->planes; p++)
  {
    const float *row = _band_plane(f, 1, p) + x;
    const float most = f->picture->saturation[p];
    for(int i = 0; i < n; i++) sum += row[i] < most ? (double)(MAX(row[i], 0.0f) / most) : -1.0;
  }
  return sum / (n * f->ctx->planes);
}

static int _compare_windows(gconstpointer a, gconstpointer b)
{
  const _window_t *v = a, *w = b;
  if(v->score != w->score) return v->score < w->score ? 1 : -1;
  return v->y != w->y ? v->y - w->y : v->x - w->x;
}

/* Place @p i of @p n on a side of @p length that windows of @p window have to stay within. */
static int _place(int i, int n, int length, int window)
{
  return n < 2 ? 0 : (int)((gint64)MAX(0, length - window) * i / (n - 1));
}

/* All candidates, best first. Of each row of them a few picture rows are looked at. */
static GArray *_list_windows(_finder_t *f, GError **error)
{
  const dt_gain_picture_t *p = f->picture;
  const int across = p->width > f->w ? GRID : 1, down = p->height > f->h ? GRID : 1;
  GArray *windows = g_array_new(FALSE, FALSE, sizeof(_window_t));
  for(int k = 0; k < down; k++)
  {
    double scores[GRID] = { 0 };
    const int y = _place(k, down, p->height, f->h), h = MIN(f->h, p->height);
    for(int i = 0; i < 8; i++)
    {
      if(!_read_band(f, y + (h - 1) * i / 7, 1, error))
      {
        g_array_unref(windows);
        return NULL;
      }
      for(int n = 0; n < across; n++) scores[n] += _score_row(f, _place(n, across, p->width, f->w));
    }
    for(int n = 0; n < across; n++)
    {
      const _window_t window = { _place(n, across, p->width, f->w), y, scores[n] };
      g_array_append_val(windows, window);
    }
  }
  g_array_sort(windows, _compare_windows);
  return windows;
}

/* --- one window --- */

static gboolean _run_window(_finder_t *f, const _window_t *window, GError **error)
{
  const dt_gain_picture_t *p = f->picture;
  const int rows = MIN(f->h, p->height);
  if(!_read_band(f, window->y, rows, error)) return FALSE;
  float *in = f->in;
  for(int c = 0; c < f->ctx->planes; c++)
    for(int y = 0; y < f->h; y++)
    {
      const float *row = _band_plane(f, rows, c) + (size_t)dt_tile_mirror(y, rows) * (size_t)p->width;
      for(int x = 0; x < f->w; x++) *in++ = row[dt_tile_mirror(window->x + x, p->width)];
    }
  dt_ai_gate_enter(f->opts->gate, f->ctx->session);
  const gboolean ok =
      dt_restore_run_window(f->ctx, f->in, f->sigma, f->out, f->w, f->h, f->opts->cancellable, error);
  dt_ai_gate_leave(f->opts->gate, f->ctx->session);
  return ok;
}

/* What the network made of site @p plane of the pixel (@p x, @p y). */
static float _result_at(const _finder_t *f, int plane, int x, int y)
{
  const size_t s = (size_t)f->ctx->scale, width = s * (size_t)f->w, height = s * (size_t)f->h;
  const gboolean cells = f->ctx->planes == 4;
  const size_t colour = (size_t)(cells ? f->picture->plane_colour[plane] : plane);
  const size_t row = s * (size_t)y + (cells ? (size_t)plane / 2 : 0),
               column = s * (size_t)x + (cells ? (size_t)plane % 2 : 0);
  return f->out[(colour * height + row) * width + column];
}

static void _add_block(_finder_t *f, int x0, int y0)
{
  double in = 0, out = 0;
  gboolean saturated = FALSE;
  for(int p = 0; p < f->ctx->planes; p++)
    for(int y = y0; y < y0 + BLOCK; y++)
      for(int x = x0; x < x0 + BLOCK; x++)
      {
        const float v = f->in[((size_t)p * (size_t)f->h + (size_t)y) * (size_t)f->w + (size_t)x];
        saturated |= v >= f->picture->saturation[p];
        in += (double)v;
        out += (double)_result_at(f, p, x, y);
      }
  const _ratio_t ratio = { in / out, in, saturated };
  if(in > 0 && isfinite(ratio.ratio)) g_array_append_val(f->ratios, ratio);
}

static gboolean _add_window(_finder_t *f, const _window_t *window, GError **error)
{
  if(!_run_window(f, window, error)) return FALSE;
  const int margin = MIN(f->ctx->halo, MIN(f->w, f->h) / 8);
  for(int y = margin; y + BLOCK <= MAX(f->h - margin, margin + BLOCK) && y + BLOCK <= f->h; y += BLOCK)
    for(int x = margin; x + BLOCK <= MAX(f->w - margin, margin + BLOCK) && x + BLOCK <= f->w; x += BLOCK)
      _add_block(f, x, y);
  return TRUE;
}

/* --- the factor --- */

static int _compare_ratios(gconstpointer a, gconstpointer b)
{
  const _ratio_t *r = a, *s = b;
  return (r->ratio > s->ratio) - (r->ratio < s->ratio);
}

/* Of a picture that is saturated everywhere there is nothing better than that. */
static void _drop_saturated(GArray *ratios)
{
  guint good = 0;
  for(guint i = 0; i < ratios->len; i++) good += !g_array_index(ratios, _ratio_t, i).saturated;
  for(guint i = ratios->len; good > 0 && i-- > 0;)
    if(g_array_index(ratios, _ratio_t, i).saturated) g_array_remove_index_fast(ratios, i);
}

static float _weighted_median(GArray *ratios)
{
  double total = 0, sum = 0;
  _drop_saturated(ratios);
  g_array_sort(ratios, _compare_ratios);
  for(guint i = 0; i < ratios->len; i++) total += g_array_index(ratios, _ratio_t, i).weight;
  for(guint i = 0; i < ratios->len; i++)
  {
    const _ratio_t *r = &g_array_index(ratios, _ratio_t, i);
    sum += r->weight;
    if(2 * sum >= total) return (float)r->ratio;
  }
  return 1.0f;
}

static int _side(int fixed, int length, int stride)
{
  const int side = MIN(SIDE, MAX(length, 2 * BLOCK));
  return fixed ? fixed : (side + stride - 1) / stride * stride;
}

static gboolean _allocate(_finder_t *f, GError **error)
{
  const size_t window = (size_t)f->w * (size_t)f->h, planes = (size_t)f->ctx->planes,
               scale = (size_t)f->ctx->scale;
  f->band = dt_memory_try_large(planes * (size_t)MIN(f->h, f->picture->height),
                                (size_t)f->picture->width * sizeof(float));
  f->in = dt_memory_try_large(planes * window, sizeof(float));
  f->out = dt_memory_try_large(3 * scale * scale * window, sizeof(float));
  f->sigma = dt_memory_try_large(window, sizeof(float));
  f->ratios = g_array_new(FALSE, FALSE, sizeof(_ratio_t));
  if(f->sigma) memset(f->sigma, 0, window * sizeof(float));
  if(f->band && f->in && f->out && f->sigma) return TRUE;
  g_set_error(error, DT_AI_ERROR, DT_AI_ERROR_MEMORY, "There is no memory for a window of %d×%d pixels.",
              f->w, f->h);
  return FALSE;
}

static gboolean _run_windows(_finder_t *f, GError **error)
{
  GArray *windows = _list_windows(f, error);
  if(!windows) return FALSE;
  const double area = (double)f->picture->width * f->picture->height;
  const guint n = (guint)CLAMP(SHARE * area / ((double)f->w * f->h), 1, MAX_WINDOWS);
  gboolean ok = TRUE;
  for(guint i = 0; i < MIN(n, windows->len) && ok; i++)
    ok = _add_window(f, &g_array_index(windows, _window_t, i), error);
  g_array_unref(windows);
  return ok;
}

gboolean dt_restore_find_gain(dt_restore_context_t *ctx, const dt_gain_picture_t *picture,
                              const dt_restore_opts_t *opts, float *gain, GError **error)
{
  _finder_t f = { .ctx = ctx,
                  .picture = picture,
                  .opts = opts,
                  .w = _side(ctx->fixed_w, picture->width, ctx->stride),
                  .h = _side(ctx->fixed_h, picture->height, ctx->stride) };
  const gboolean ok = _allocate(&f, error) && _run_windows(&f, error);
  *gain = ok ? _weighted_median(f.ratios) : 1.0f;
  if(ok) dt_log(DT_LOG_AI, "the network's results times %.6g, by %u blocks", (double)*gain, f.ratios->len);
  g_array_unref(f.ratios);
  free(f.band);
  free(f.in);
  free(f.out);
  free(f.sigma);
  return ok;
}
