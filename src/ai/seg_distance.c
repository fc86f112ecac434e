/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Moves the outline of a plane of logits by its exact Euclidean distance.
 *
 * The outline is known where it crosses the grid's lines: between two neighbours of different sign, by linear
 * interpolation. The distance to the crossings on all rows is found in two passes after Felzenszwalb and Huttenlocher:
 * along each row to the nearest crossing of that row, then across by the lower envelope of parabolas. The same with
 * columns for rows finds those that rows miss, and the lesser of both counts. The slope of the logits at the crossing
 * travels with its distance. */
#include "ai/seg_internal.h"

#include <math.h>
#include <string.h>

#define LINES 16 /* at a time: a cache line of floats, so that columns are read no slower than rows */
#define FAR 1e20f

typedef struct _pass_t
{
  dt_seg_plane_t *logits;
  dt_seg_plane_t near, slope;         /* along the lines: squared distance, and the slope there */
  dt_seg_plane_t distance, steepness; /* the least so far */
  gboolean columns;                   /* the lines are columns */
  double along, across;               /* distance of samples */
  float by;
  int found; /* atomic: whether there is an outline at all */
} _pass_t;

/* --- lines in and out of a plane --- */

static void _load(const dt_seg_plane_t *p, gboolean columns, int first, int n, float *lines)
{
  const size_t w = (size_t)p->width, h = (size_t)p->height;
  if(!columns)
    memcpy(lines, p->values + (size_t)first * w, (size_t)n * w * sizeof(float));
  else
    for(size_t y = 0; y < h; y++)
      for(size_t k = 0; k < (size_t)n; k++) lines[k * h + y] = p->values[y * w + (size_t)first + k];
}

static void _store(dt_seg_plane_t *p, gboolean columns, int first, int n, const float *lines)
{
  const size_t w = (size_t)p->width, h = (size_t)p->height;
  if(!columns)
    memcpy(p->values + (size_t)first * w, lines, (size_t)n * w * sizeof(float));
  else
    for(size_t y = 0; y < h; y++)
      for(size_t k = 0; k < (size_t)n; k++) p->values[y * w + (size_t)first + k] = lines[k * h + y];
}

/* --- along --- */

/* Of the logits across the lines, at a sample. */
static float _cross_slope(const _pass_t *p, int line, int i)
{
  const dt_seg_plane_t *l = p->logits;
  const int lines = p->columns ? l->width : l->height;
  const int before = MAX(line - 1, 0), after = MIN(line + 1, lines - 1);
  if(before == after) return 0;
  const float *a = p->columns ? dt_seg_plane_row(l, i) + before : dt_seg_plane_row(l, before) + i;
  const float *b = p->columns ? dt_seg_plane_row(l, i) + after : dt_seg_plane_row(l, after) + i;
  return (*b - *a) / ((float)(after - before) * (float)p->across);
}

/* At the crossing after sample @p i. */
static float _slope(const _pass_t *p, int line, int i, const float *v)
{
  const float along = (v[i + 1] - v[i]) / (float)p->along;
  const float across = (_cross_slope(p, line, i) + _cross_slope(p, line, i + 1)) / 2;
  return sqrtf(along * along + across * across);
}

/* Samples up to half way to the next crossing belong to this one. */
static gboolean _measure_line(const _pass_t *p, int line, int n, const float *v, float *near, float *slope)
{
  double last = -1;
  float last_slope = 0;
  int done = 0;
  for(int i = 0; i + 1 < n; i++)
    if((v[i] > 0) != (v[i + 1] > 0))
    {
      const double at = i + (double)(v[i] / (v[i] - v[i + 1])), half = last < 0 ? -1 : (last + at) / 2;
      for(; done < n && done <= half; done++)
      {
        near[done] = (float)((done - last) * (done - last) * p->along * p->along);
        slope[done] = last_slope;
      }
      last_slope = _slope(p, line, i, v);
      for(; done <= i; done++)
      {
        near[done] = (float)((done - at) * (done - at) * p->along * p->along);
        slope[done] = last_slope;
      }
      last = at;
    }
  for(; done < n; done++)
  {
    near[done] = last < 0 ? FAR : (float)((done - last) * (done - last) * p->along * p->along);
    slope[done] = last_slope;
  }
  return last >= 0;
}

static void _measure(void *data, int chunk)
{
  _pass_t *p = data;
  const int n = p->columns ? p->logits->height : p->logits->width;
  const int lines = p->columns ? p->logits->width : p->logits->height;
  const int first = chunk * LINES, count = MIN(LINES, lines - first);
  const size_t size = (size_t)n * LINES;
  float *v = g_new(float, size * 3), *near = v + size, *slope = near + size;
  _load(p->logits, p->columns, first, count, v);
  for(size_t k = 0; k < (size_t)count; k++)
    if(_measure_line(p, first + (int)k, n, v + k * (size_t)n, near + k * (size_t)n, slope + k * (size_t)n))
      g_atomic_int_set(&p->found, TRUE);
  _store(&p->near, p->columns, first, count, near);
  _store(&p->slope, p->columns, first, count, slope);
  g_free(v);
}

/* --- across --- */

typedef struct _envelope_t
{
  int *places;   /* of the parabolas that are lowest somewhere */
  double *until; /* where the next one takes over */
} _envelope_t;

/* @return how many parabolas there are */
static int _build(const _envelope_t *e, const float *f, int n, double step)
{
  const double s2 = step * step;
  int top = -1;
  for(int q = 0; q < n; q++)
  {
    if(f[q] >= FAR) continue;
    double meet = -HUGE_VAL;
    for(; top >= 0; top--)
    {
      const int p = e->places[top];
      meet = ((double)f[q] - (double)f[p] + s2 * ((double)q * q - (double)p * p)) / (2 * s2 * (q - p));
      if(top == 0 || meet > e->until[top - 1]) break;
    }
    if(top >= 0) e->until[top] = meet;
    e->places[++top] = q;
  }
  if(top >= 0) e->until[top] = HUGE_VAL;
  return top + 1;
}

static void _evaluate(const _envelope_t *e, float *f, float *slope, int n, double step, float *out)
{
  for(int i = 0, k = 0; i < n; i++)
  {
    while(e->until[k] < i) k++;
    const double d = (i - e->places[k]) * step;
    out[i] = (float)(d * d) + f[e->places[k]];
    out[i + n] = slope[e->places[k]];
  }
}

/* The lesser distance of what was there and the columns (or rows) of this pass. */
static void _merge(_pass_t *p, gboolean across_columns, int first, int count, int n, const float *lines)
{
  const size_t w = (size_t)p->distance.width;
  for(size_t i = 0; i < (size_t)n; i++)
    for(size_t k = 0; k < (size_t)count; k++)
    {
      const size_t at = across_columns ? i * w + (size_t)first + k : ((size_t)first + k) * w + i;
      const float *line = lines + k * 2 * (size_t)n;
      if(line[i] >= p->distance.values[at]) continue;
      p->distance.values[at] = line[i];
      p->steepness.values[at] = line[i + (size_t)n];
    }
}

static void _spread(void *data, int chunk)
{
  _pass_t *p = data;
  const gboolean columns = !p->columns;
  const int n = columns ? p->logits->height : p->logits->width;
  const int lines = columns ? p->logits->width : p->logits->height;
  const int first = chunk * LINES, count = MIN(LINES, lines - first);
  const size_t size = (size_t)n * LINES;
  float *f = g_new(float, size * 4), *slope = f + size, *out = slope + size;
  const _envelope_t e = { g_new(int, n), g_new(double, n) };
  _load(&p->near, columns, first, count, f);
  _load(&p->slope, columns, first, count, slope);
  for(size_t k = 0, at = 0; k < (size_t)count; k++, at += (size_t)n)
    if(_build(&e, f + at, n, p->across))
      _evaluate(&e, f + at, slope + at, n, p->across, out + 2 * at);
    else
      for(size_t i = 0; i < (size_t)n; i++) out[2 * at + i] = FAR;
  _merge(p, columns, first, count, n, out);
  g_free(e.places);
  g_free(e.until);
  g_free(f);
}

/* --- the outline moves --- */

static void _move(void *data, int chunk)
{
  const _pass_t *p = data;
  const size_t w = (size_t)p->logits->width;
  const size_t end = (size_t)MIN((chunk + 1) * LINES, p->logits->height) * w;
  for(size_t i = (size_t)chunk * LINES * w; i < end; i++)
  {
    float *v = p->logits->values + i;
    const float d = sqrtf(p->distance.values[i]), inside = *v > 0 ? d : -d;
    const float wanted = CLAMP((p->by + inside) * p->steepness.values[i], -DT_SEG_SURE, DT_SEG_SURE);
    *v = p->by > 0 ? MAX(*v, wanted) : MIN(*v, wanted);
  }
}

static gboolean _run_pass(const dt_seg_job_t *job, _pass_t *p, gboolean columns, double along, double across)
{
  const int w = p->logits->width, h = p->logits->height;
  p->columns = columns;
  p->along = along;
  p->across = across;
  return dt_seg_run(job, ((columns ? w : h) + LINES - 1) / LINES, _measure, p)
         && dt_seg_run(job, ((columns ? h : w) + LINES - 1) / LINES, _spread, p);
}

gboolean dt_seg_grow(const dt_seg_job_t *job, dt_seg_plane_t *logits, double by, double step_x, double step_y)
{
  const int w = logits->width, h = logits->height;
  _pass_t p = { .logits = logits, .by = (float)by };
  dt_seg_plane_t *planes[] = { &p.near, &p.slope, &p.distance, &p.steepness };
  gboolean ok = TRUE;
  for(int i = 0; i < 4; i++) ok = ok && dt_seg_plane_init(planes[i], w, h, 1);
  if(ok)
  {
    const size_t n = (size_t)w * (size_t)h;
    for(size_t i = 0; i < n; i++) p.distance.values[i] = FAR;
    memset(p.steepness.values, 0, n * sizeof(float));
    ok = _run_pass(job, &p, FALSE, step_x, step_y) && _run_pass(job, &p, TRUE, step_y, step_x);
  }
  if(ok && p.found) ok = dt_seg_run(job, (h + LINES - 1) / LINES, _move, &p);
  for(int i = 0; i < 4; i++) dt_seg_plane_cleanup(planes[i]);
  return ok;
}
