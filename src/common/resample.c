/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Resampling on the way to a sink: each arriving row is resampled across at once and kept in a ring; an output row
 * is summed from the ring as soon as the last row it needs is there. */
#include "common/resample.h"

#include "common/lanczos.h"

#include <string.h>

typedef struct _resample_t
{
  dt_row_sink_t sink;
  dt_row_sink_t *out;
  int channels;
  dt_lanczos_axis_t across, down;
  float *ring; /* down.taps rows of across.to pixels */
  float *line; /* one output row */
  int rows_in, rows_out;
} _resample_t;

static void _resample_across(const _resample_t *r, const float *row, float *out)
{
  const int n = r->channels;
  for(int x = 0; x < r->across.to; x++)
  {
    const float *in = row + (size_t)r->across.first[x] * (size_t)n;
    const float *weights = r->across.weights + (size_t)x * (size_t)r->across.taps;
    for(int c = 0; c < n; c++)
    {
      float sum = 0;
      for(int k = 0; k < r->across.taps; k++) sum += weights[k] * in[(size_t)k * (size_t)n + (size_t)c];
      out[(size_t)x * (size_t)n + (size_t)c] = sum;
    }
  }
}

static float *_ring_row(const _resample_t *r, int y)
{
  return r->ring + (size_t)(y % r->down.taps) * (size_t)r->across.to * (size_t)r->channels;
}

static void _sum_row(const _resample_t *r, int y)
{
  const size_t n = (size_t)r->across.to * (size_t)r->channels;
  const float *weights = r->down.weights + (size_t)y * (size_t)r->down.taps;
  memset(r->line, 0, n * sizeof(float));
  for(int k = 0; k < r->down.taps; k++)
  {
    const float *in = _ring_row(r, r->down.first[y] + k);
    const float w = weights[k];
    for(size_t i = 0; i < n; i++) r->line[i] += w * in[i];
  }
}

/* --- the sink --- */

static gboolean _write(dt_row_sink_t *self, int y, int n, const float *rows, GError **error)
{
  _resample_t *r = (_resample_t *)self;
  for(int i = 0; i < n; i++)
  {
    _resample_across(r, rows + (size_t)i * (size_t)r->across.from * (size_t)r->channels, _ring_row(r, y + i));
    r->rows_in = y + i + 1;
    while(r->rows_out < r->down.to && r->down.first[r->rows_out] + r->down.taps <= r->rows_in)
    {
      _sum_row(r, r->rows_out);
      if(!r->out->write(r->out, r->rows_out, 1, r->line, error)) return FALSE;
      r->rows_out++;
    }
  }
  return TRUE;
}

static void _free(_resample_t *r)
{
  dt_lanczos_axis_clear(&r->across);
  dt_lanczos_axis_clear(&r->down);
  g_free(r->ring);
  g_free(r->line);
  g_free(r);
}

static gboolean _finish(dt_row_sink_t *self, GError **error)
{
  _resample_t *r = (_resample_t *)self;
  dt_row_sink_t *out = r->out;
  _free(r);
  return out->finish(out, error);
}

static void _abandon(dt_row_sink_t *self)
{
  _resample_t *r = (_resample_t *)self;
  r->out->abandon(r->out);
  _free(r);
}

dt_row_sink_t *dt_resample_sink(dt_row_sink_t *out, int width, int height, int channels, int to_width,
                                int to_height, GError **error)
{
  _resample_t *r = g_new0(_resample_t, 1);
  r->sink.write = _write;
  r->sink.finish = _finish;
  r->sink.abandon = _abandon;
  r->out = out;
  r->channels = channels;
  gboolean ok =
      dt_lanczos_axis_init(&r->across, width, to_width) && dt_lanczos_axis_init(&r->down, height, to_height);
  const gsize row = (gsize)to_width * (gsize)channels * sizeof(float);
  r->ring = ok ? g_try_malloc_n((gsize)r->down.taps, row) : NULL;
  r->line = ok ? g_try_malloc(row) : NULL;
  if(r->ring && r->line)
  {
    r->sink.memory = out->memory + row * (gsize)(r->down.taps + 1)
                     + (gsize)to_width * ((gsize)r->across.taps + 1) * sizeof(float);
    return &r->sink;
  }
  g_set_error(error, DT_AI_ERROR, DT_AI_ERROR_MEMORY, "There is no memory to resample to %d×%d pixels.",
              to_width, to_height);
  _abandon(&r->sink);
  return NULL;
}
