/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Planes in other sizes, one direction after the other: rows are made narrower as they come and added, with their weight,
 * to the outputs they belong to. */
#include "ai/seg_resize.h"

#include <math.h>
#include <string.h>

static double _triangle(double x)
{
  return fabs(x) < 1 ? 1 - fabs(x) : 0;
}

/* The taps of output @p i around @p place, the middle of it in inputs. */
static void _filter_one(dt_seg_filter_t *f, int i, int in, double place, double width)
{
  double sum = 0;
  float *w = f->weights + (size_t)i * (size_t)f->taps;
  f->first[i] = CLAMP((int)floor(place - width) + 1, 0, in - 1);
  const int last = CLAMP((int)ceil(place + width) - 1, 0, in - 1);
  for(int k = f->first[i]; k <= last && f->count[i] < f->taps; k++)
    sum += (double)(w[f->count[i]++] = (float)_triangle((k - place) / width));
  if(!(sum > 0)) w[0] = (float)(sum = 1); /* beyond the edge: the nearest */
  for(int k = 0; k < f->count[i]; k++) w[k] = (float)((double)w[k] / sum);
}

void dt_seg_filter_init(dt_seg_filter_t *f, int in, int out, double step, gboolean antialias)
{
  const double width = antialias ? MAX(step, 1.0) : 1.0;
  *f = (dt_seg_filter_t){ .n = out, .taps = (int)ceil(2 * width) + 1 };
  f->first = g_new(int, out);
  f->count = g_new0(int, out);
  f->weights = g_new0(float, (gsize)out *(gsize)f->taps);
  for(int i = 0; i < out; i++) _filter_one(f, i, in, (i + 0.5) * step - 0.5, width);
}

void dt_seg_filter_cleanup(dt_seg_filter_t *f)
{
  g_free(f->first);
  g_free(f->count);
  g_free(f->weights);
}

float dt_seg_filter_weight(const dt_seg_filter_t *f, int i, int y)
{
  const int k = y - f->first[i];
  return k >= 0 && k < f->count[i] ? f->weights[(size_t)i * (size_t)f->taps + (size_t)k] : 0.0f;
}

static void _narrow(const dt_seg_filter_t *f, const float *in, float *out)
{
  for(int i = 0; i < f->n; i++)
  {
    const float *w = f->weights + (size_t)i * (size_t)f->taps;
    out[i] = 0;
    for(int k = 0; k < f->count[i]; k++) out[i] += w[k] * in[f->first[i] + k];
  }
}

void dt_seg_resize(const float *in, int width, int height, double step_x, double step_y, float *out,
                   int out_width, int out_height, size_t stride)
{
  dt_seg_filter_t across, down;
  dt_seg_filter_init(&across, width, out_width, step_x, TRUE);
  dt_seg_filter_init(&down, height, out_height, step_y, TRUE);
  float *row = g_new0(float, out_width);
  for(int y = 0, from = 0; y < height; y++)
  {
    _narrow(&across, in + (size_t)y * (size_t)width, row);
    while(from < out_height && down.first[from] + down.count[from] <= y) from++;
    for(int i = from; i < out_height && down.first[i] <= y; i++)
    {
      const float weight = dt_seg_filter_weight(&down, i, y);
      for(int x = 0; x < out_width; x++) out[(size_t)i * stride + (size_t)x] += weight * row[x];
    }
  }
  g_free(row);
  dt_seg_filter_cleanup(&across);
  dt_seg_filter_cleanup(&down);
}
