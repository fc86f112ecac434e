/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The source of rows: bands of fixed rows with a margin are made into planes, whoever reads which rows of them, so the
 * way of reading cannot show. Beyond its edges the picture goes on mirrored. */
#include "common/demosaic.h"
#include "common/demosaic_internal.h"
#include "common/errors.h"
#include "common/memory.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum
{
  MARGIN = DT_DEMOSAIC_MARGIN,
  BAND = DT_DEMOSAIC_BAND, ///< whole periods of every filter array
  NEAREST = 3              ///< sites further away are no neighbours
};
/* what is invented beyond an edge lies mirrored behind it, and may be of the neighbours there */
G_STATIC_ASSERT(DT_DEMOSAIC_METHOD_REACH + NEAREST == DT_DEMOSAIC_REACH);

typedef struct _demosaic_t
{
  dt_row_source_t source;
  const dt_mosaic_t *mosaic;
  dt_demosaic_method_t method;
  float neutral[4], balance[4]; ///< of the colours, and one divided by it
  int first;                    ///< row of the picture where the band begins, -1: there is none yet
  dt_demosaic_band_t band;
  size_t plane;  ///< floats of one
  int scratch;   ///< planes that the method has for itself
  float *planes; ///< all of the band's, and a line of samples; NULL until the first row is asked for
  float *line;
  dt_demosaic_xtrans_t *xtrans;
} _demosaic_t;

// --- the band's sites

static float _sample(const _demosaic_t *d, int x, int y)
{
  float value;
  dt_mosaic_read(d->mosaic, x, y, 1, &value);
  return value * d->balance[dt_mosaic_colour(d->mosaic, x, y)];
}

/* The mean of the sites of a colour next to one; what is there itself, in pictures so small that there are none. */
static float _estimate(const _demosaic_t *d, int colour, int x, int y)
{
  const dt_mosaic_t *m = d->mosaic;
  float sum = 0, weights = 0;
  for(int r = 1; r <= NEAREST && weights == 0; r++)
    for(int v = MAX(0, y - r); v <= MIN(m->height - 1, y + r); v++)
      for(int u = MAX(0, x - r); u <= MIN(m->width - 1, x + r); u++)
        if(dt_mosaic_colour(m, u, v) == colour)
        {
          const float weight = (float)((r + 1 - ABS(u - x)) * (r + 1 - ABS(v - y)));
          sum += weight * _sample(d, u, v);
          weights += weight;
        }
  return weights > 0 ? sum / weights : _sample(d, x, y);
}

/* The place in 0..@p n - 1 that is seen at @p i in mirrors standing on the first and the last site. */
static int _mirror(int i, int n)
{
  const int period = MAX(1, 2 * (n - 1)), at = ((i % period) + period) % period;
  return n == 1 ? 0 : MIN(at, period - at);
}

/* What a site beyond the edges could have seen. */
static float _invent(const _demosaic_t *d, int x, int y)
{
  const int colour = dt_mosaic_colour(d->mosaic, x + MARGIN, y + MARGIN);
  const int u = _mirror(x, d->mosaic->width), v = _mirror(y, d->mosaic->height);
  return dt_mosaic_colour(d->mosaic, u, v) == colour ? _sample(d, u, v) : _estimate(d, colour, u, v);
}

static void _fill_row(const _demosaic_t *d, int y, float *row)
{
  const dt_mosaic_t *m = d->mosaic;
  const gboolean inside = y >= 0 && y < m->height;
  for(int x = -MARGIN; x < (inside ? 0 : m->width); x++) row[x] = _invent(d, x, y);
  if(inside)
  {
    dt_mosaic_read(m, 0, y, m->width, row);
    for(int x = 0; x < m->width; x++) row[x] *= d->balance[dt_mosaic_colour(m, x, y)];
  }
  for(int x = m->width; x < d->band.width - MARGIN; x++) row[x] = _invent(d, x, y);
}

// --- the plain method

typedef struct _taps_t
{
  int n;
  ptrdiff_t at[(2 * NEAREST + 1) * (2 * NEAREST + 1)];
  float weight[(2 * NEAREST + 1) * (2 * NEAREST + 1)];
} _taps_t;

/* A colour's sites around one at (@p x, @p y) of the period. */
static void _find_taps(const dt_demosaic_band_t *b, int colour, int x, int y, _taps_t *taps)
{
  float sum = 0;
  taps->n = 0;
  for(int r = 0; r <= NEAREST && taps->n == 0; r++)
    for(int v = -r; v <= r; v++)
      for(int u = -r; u <= r; u++)
        if(dt_demosaic_colour(b, x + u + MARGIN, y + v + MARGIN) == colour)
        {
          taps->at[taps->n] = (ptrdiff_t)v * b->width + u;
          taps->weight[taps->n] = (float)((r + 1 - ABS(u)) * (r + 1 - ABS(v)));
          sum += taps->weight[taps->n++];
        }
  for(int i = 0; i < taps->n; i++) taps->weight[i] /= sum;
}

static void _average_row(const dt_demosaic_band_t *b, int colour, int y)
{
  const int period = b->mosaic->period;
  for(int phase = 0; phase < period; phase++)
  {
    _taps_t taps;
    _find_taps(b, colour, phase, y % period, &taps);
    for(int x = MARGIN + phase; x < b->width - MARGIN; x += period)
    {
      const ptrdiff_t i = (ptrdiff_t)y * b->width + x;
      float sum = 0;
      for(int k = 0; k < taps.n; k++) sum += taps.weight[k] * b->sites[i + taps.at[k]];
      b->colours[colour][i] = sum;
    }
  }
}

static void _interpolate(const dt_demosaic_band_t *b)
{
  const int colours = b->mosaic->sensor == DT_SENSOR_FOUR ? 4 : 3;
  for(int y = MARGIN; y < b->rows - MARGIN; y++)
    for(int c = 0; c < colours; c++) _average_row(b, c, y);
}

// --- the source

/* The planes of the highest band. */
static gboolean _allocate(_demosaic_t *d, GError **error)
{
  const size_t colours = (size_t)d->source.channels, planes = 1 + colours + (size_t)d->scratch;
  const size_t floats = d->plane * planes + (size_t)d->mosaic->width;
  d->planes = dt_memory_try_large(floats, sizeof(float));
  if(!d->planes)
  {
    g_set_error(error, DT_AI_ERROR, DT_AI_ERROR_MEMORY,
                "There is no memory to demosaic %d columns of a picture.", d->mosaic->width);
    return FALSE;
  }
  memset(d->planes, 0, floats * sizeof(float)); /* margins that no method fills */
  d->band.sites = d->planes;
  for(size_t i = 0; i < planes - 1; i++)
    *(i < colours ? &d->band.colours[i] : &d->band.scratch[i - colours]) = d->planes + d->plane * (1 + i);
  d->line = d->planes + d->plane * planes;
  return TRUE;
}

static gboolean _make_band(_demosaic_t *d, int first, GError **error)
{
  const int rows = MIN(BAND, d->mosaic->height - first);
  if(!d->planes && !_allocate(d, error)) return FALSE;
  d->first = -1;
  d->band.rows = rows + 2 * MARGIN;
  for(int y = 0; y < d->band.rows; y++)
    _fill_row(d, first + y - MARGIN, d->planes + (size_t)y * (size_t)d->band.width + MARGIN);
  if(d->method == DT_DEMOSAIC_BILINEAR || d->mosaic->sensor == DT_SENSOR_FOUR)
    _interpolate(&d->band);
  else
  {
    if(!d->xtrans)
      dt_demosaic_bayer_green(&d->band);
    else if(!dt_demosaic_xtrans_green(d->xtrans, &d->band, error))
      return FALSE;
    dt_demosaic_follow(&d->band);
  }
  d->first = first;
  return TRUE;
}

/* A row of the band, the samples as they were. */
static void _take_row(_demosaic_t *d, int y, float *out)
{
  const dt_mosaic_t *m = d->mosaic;
  const size_t n = (size_t)d->source.channels,
               at = (size_t)(y - d->first + MARGIN) * (size_t)d->band.width + MARGIN;
  dt_mosaic_read(m, 0, y, m->width, d->line);
  for(size_t c = 0; c < n; c++)
    for(size_t x = 0; x < (size_t)m->width; x++) out[x * n + c] = d->band.colours[c][at + x] * d->neutral[c];
  for(int x = 0; x < m->width; x++) out[(size_t)x * n + (size_t)dt_mosaic_colour(m, x, y)] = d->line[x];
}

static gboolean _read(dt_row_source_t *self, int y, int n, float *rows, GError **error)
{
  _demosaic_t *d = (_demosaic_t *)self;
  const size_t row = (size_t)self->width * (size_t)self->channels;
  for(int i = 0; i < n; i++, rows += row)
  {
    const int first = (y + i) / BAND * BAND;
    if(first != d->first && !_make_band(d, first, error)) return FALSE;
    _take_row(d, y + i, rows);
  }
  return TRUE;
}

static gboolean _pass(dt_row_source_t *self, int y, int n, float *rows, GError **error)
{
  (void)error;
  const _demosaic_t *d = (const _demosaic_t *)self;
  for(int i = 0; i < n; i++)
    dt_mosaic_read(d->mosaic, 0, y + i, self->width, rows + (size_t)i * 3 * (size_t)self->width);
  return TRUE;
}

static void _destroy(dt_row_source_t *self)
{
  _demosaic_t *d = (_demosaic_t *)self;
  dt_demosaic_xtrans_free(d->xtrans);
  free(d->planes);
  g_free(d);
}

/* How large the planes will be. */
static void _measure_band(_demosaic_t *d)
{
  const dt_mosaic_t *m = d->mosaic;
  const gboolean bayer = m->sensor == DT_SENSOR_BAYER && d->method == DT_DEMOSAIC_BEST;
  d->band.mosaic = m;
  d->band.width = m->width + 2 * MARGIN;
  d->plane = (size_t)d->band.width * (size_t)(MIN(BAND, m->height) + 2 * MARGIN);
  d->scratch = bayer ? DT_DEMOSAIC_SCRATCH : 0;
  const size_t planes = (size_t)(1 + d->source.channels + d->scratch);
  d->source.memory = (d->plane * planes + (size_t)m->width) * sizeof(float);
}

dt_row_source_t *dt_demosaic_source(const dt_mosaic_t *mosaic, const double neutral[4],
                                    dt_demosaic_method_t method)
{
  _demosaic_t *d = g_new0(_demosaic_t, 1);
  const gboolean linear = mosaic->sensor == DT_SENSOR_LINEAR;
  d->source = (dt_row_source_t){ .width = mosaic->width,
                                 .height = mosaic->height,
                                 .channels = mosaic->sensor == DT_SENSOR_FOUR ? 4 : 3,
                                 .space = DT_ROW_CAMERA_RGB,
                                 .read = linear ? _pass : _read,
                                 .destroy = _destroy };
  d->mosaic = mosaic;
  d->method = method;
  d->first = -1;
  for(int i = 0; i < 4; i++)
  {
    d->neutral[i] = neutral && neutral[i] > 0 ? (float)neutral[i] : 1;
    d->balance[i] = 1 / d->neutral[i];
  }
  if(!linear) _measure_band(d);
  if(method == DT_DEMOSAIC_BEST && mosaic->sensor == DT_SENSOR_XTRANS)
  {
    d->xtrans = dt_demosaic_xtrans_new(mosaic);
    d->source.memory += DT_DEMOSAIC_XTRANS_MEMORY;
  }
  return &d->source;
}
