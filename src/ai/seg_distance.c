/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Moves the outline of a plane of logits by its exact Euclidean distance.
 *
 * The outline is known where it crosses the grid's lines: between two neighbours of different sign, by linear
 * interpolation. The distance to the crossings on all rows is found in two passes after Felzenszwalb and Huttenlocher:
 * along each row to the nearest crossing of that row, then across by the lower envelope of parabolas. The same with
 * columns for rows finds those that rows miss, and the lesser of both counts. The gradient of the logits at the crossing
 * travels with its place: between two crossings the outline is taken as straight, and it tells how steep to go on. */
#include "ai/seg_internal.h"

#include <math.h>
#include <string.h>

#define LINES 16 /* at a time: a cache line of floats, so that columns are read no slower than rows */
#define FAR 1e20f

/* Of the nearest crossing. */
enum
{
  ALONG,    /* the way to it along the line, signed */
  UP_ALONG, /* the gradient there */
  UP_ACROSS,
  FIELDS
};

typedef struct _pass_t
{
  dt_seg_plane_t *logits;
  dt_seg_plane_t found[FIELDS];   /* along the lines */
  dt_seg_plane_t distance, slope; /* the least so far */
  gboolean columns;               /* the lines are columns */
  double along, across;           /* distance of samples */
  float by;
  int is_any; /* atomic: whether there is an outline at all */
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

typedef struct _crossing_t
{
  double at; /* below 0: there is none */
  float up_along, up_across;
} _crossing_t;

/* The one after sample @p i. */
static _crossing_t _cross(const _pass_t *p, int line, int i, const float *v)
{
  const double part = (double)(v[i] / (v[i] - v[i + 1]));
  const float across =
      (float)(1 - part) * _cross_slope(p, line, i) + (float)part * _cross_slope(p, line, i + 1);
  return (_crossing_t){ i + part, (v[i + 1] - v[i]) / (float)p->along, across };
}

/* Notes a crossing for samples from @p first up to @p end. */
static int _note(const _pass_t *p, const _crossing_t *c, int first, double end, int n,
                 float *const fields[FIELDS])
{
  int i = first;
  for(; i < n && i <= end; i++)
  {
    fields[ALONG][i] = c->at < 0 ? FAR : (float)((i - c->at) * p->along);
    fields[UP_ALONG][i] = c->up_along;
    fields[UP_ACROSS][i] = c->up_across;
  }
  return i;
}

/* Samples up to half way to the next crossing belong to this one. */
static gboolean _measure_line(const _pass_t *p, int line, int n, const float *v, float *const fields[FIELDS])
{
  _crossing_t last = { .at = -1 };
  int done = 0;
  for(int i = 0; i + 1 < n; i++)
    if((v[i] > 0) != (v[i + 1] > 0))
    {
      const _crossing_t next = _cross(p, line, i, v);
      if(last.at >= 0) done = _note(p, &last, done, (last.at + next.at) / 2, n, fields);
      done = _note(p, &next, done, i, n, fields);
      last = next;
    }
  _note(p, &last, done, n, n, fields);
  return last.at >= 0;
}

static void _measure(void *data, int chunk)
{
  _pass_t *p = data;
  const int n = p->columns ? p->logits->height : p->logits->width;
  const int lines = p->columns ? p->logits->width : p->logits->height;
  const int first = chunk * LINES, count = MIN(LINES, lines - first);
  const size_t size = (size_t)n * LINES;
  float *v = g_new(float, size *(1 + FIELDS));
  _load(p->logits, p->columns, first, count, v);
  for(size_t k = 0, at = 0; k < (size_t)count; k++, at += (size_t)n)
  {
    float *const fields[] = { v + size + at, v + 2 * size + at, v + 3 * size + at };
    if(_measure_line(p, first + (int)k, n, v + at, fields)) g_atomic_int_set(&p->is_any, TRUE);
  }
  for(size_t i = 0; i < FIELDS; i++) _store(&p->found[i], p->columns, first, count, v + (i + 1) * size);
  g_free(v);
}

/* --- across --- */

typedef struct _envelope_t
{
  int *places;   /* of the parabolas that are lowest somewhere */
  double *until; /* where the next one takes over */
} _envelope_t;

/* @return how many parabolas there are */
static int _build(const _envelope_t *e, const float *along, int n, double step)
{
  const double s2 = step * step;
  int top = -1;
  for(int q = 0; q < n; q++)
  {
    if(along[q] >= FAR) continue;
    const double f = (double)along[q] * (double)along[q] + s2 * q * q;
    double meet = -HUGE_VAL;
    for(; top >= 0; top--)
    {
      const int p = e->places[top];
      meet = (f - (double)along[p] * (double)along[p] - s2 * p * p) / (2 * s2 * (q - p));
      if(top == 0 || meet > e->until[top - 1]) break;
    }
    if(top >= 0) e->until[top] = meet;
    e->places[++top] = q;
  }
  if(top >= 0) e->until[top] = HUGE_VAL;
  return top + 1;
}

/* The squared distance to a straight piece of outline around a crossing, half as long as samples lie apart. */
static float _refine(const _pass_t *p, float along, float across, float up_along, float up_across)
{
  const float up2 = up_along * up_along + up_across * up_across, dot = along * up_along + across * up_across;
  const float normal2 = dot * dot / up2, d2 = along * along + across * across;
  const float beyond = sqrtf(MAX(d2 - normal2, 0)) - 0.5f * (float)MIN(p->along, p->across);
  return beyond > 0 ? normal2 + beyond * beyond : normal2;
}

/* Distances and slopes of one line across, where they are less than what is there: samples @p step floats apart. */
static void _merge(const _pass_t *p, const _envelope_t *e, const float *fields, size_t size, int n, size_t at,
                   size_t stride)
{
  for(int i = 0, k = 0; i < n; i++, at += stride)
  {
    while(e->until[k] < i) k++;
    const float *found = fields + e->places[k];
    const float across = (float)((i - e->places[k]) * p->across), u = found[size], v = found[2 * size];
    const float d2 = _refine(p, found[0], across, u, v);
    if(d2 >= p->distance.values[at]) continue;
    p->distance.values[at] = d2;
    p->slope.values[at] = sqrtf(u * u + v * v);
  }
}

static void _spread(void *data, int chunk)
{
  const _pass_t *p = data;
  const gboolean columns = !p->columns;
  const int w = p->logits->width, n = columns ? p->logits->height : w,
            lines = columns ? w : p->logits->height;
  const int first = chunk * LINES, count = MIN(LINES, lines - first);
  const size_t size = (size_t)n * LINES;
  float *fields = g_new(float, size *FIELDS);
  const _envelope_t e = { g_new0(int, n), g_new0(double, n) };
  for(size_t i = 0; i < FIELDS; i++) _load(&p->found[i], columns, first, count, fields + i * size);
  for(int k = 0; k < count; k++)
  {
    const float *line = fields + (size_t)k * (size_t)n;
    const size_t line_at = (size_t)first + (size_t)k;
    if(_build(&e, line, n, p->across))
      _merge(p, &e, line, size, n, columns ? line_at : line_at * (size_t)w, columns ? (size_t)w : 1);
  }
  g_free(e.places);
  g_free(e.until);
  g_free(fields);
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
    const float wanted = (p->by + inside) * p->slope.values[i];
    *v = p->by > 0 ? MAX(*v, MIN(wanted, DT_SEG_SURE)) : MIN(*v, MAX(wanted, -DT_SEG_SURE));
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
  dt_seg_plane_t *planes[] = { &p.found[ALONG], &p.found[UP_ALONG], &p.found[UP_ACROSS], &p.distance,
                               &p.slope };
  gboolean ok = TRUE;
  for(size_t i = 0; i < G_N_ELEMENTS(planes); i++) ok = ok && dt_seg_plane_init(planes[i], w, h, 1);
  if(ok)
  {
    for(size_t i = 0; i < (size_t)w * (size_t)h; i++) p.distance.values[i] = FAR;
    ok = _run_pass(job, &p, FALSE, step_x, step_y) && _run_pass(job, &p, TRUE, step_y, step_x);
  }
  if(ok && p.is_any) ok = dt_seg_run(job, (h + LINES - 1) / LINES, _move, &p);
  for(size_t i = 0; i < G_N_ELEMENTS(planes); i++) dt_seg_plane_cleanup(planes[i]);
  return ok;
}
