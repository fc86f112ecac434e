/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Outlines of masks: polygons at the threshold, curves through them, and how well they agree with the mask. */
#include "common/memory.h"
#include "develop/masks/outline_internal.h"

#include <math.h>
#include <stdlib.h>

/* pixels; less is no shape that was meant */
#define SPECKS 2.0

typedef struct _trace_t
{
  dt_outline_t *outline;
  GArray *areas; /* double: of the paths so far */
  dt_outline_fit_t fit;
  double specks;
  gboolean any; /* polygons, left out or not */
} _trace_t;

static void _free_path(gpointer data)
{
  dt_outline_path_t *path = data;
  g_array_unref(path->segments);
  g_free(path);
}

dt_outline_t *dt_outline_new(int width, int height)
{
  dt_outline_t *outline = g_new(dt_outline_t, 1);
  *outline = (dt_outline_t){ width, height, g_ptr_array_new_with_free_func(_free_path) };
  return outline;
}

void dt_outline_add(dt_outline_t *outline, GArray *segments, gboolean is_hole)
{
  dt_outline_path_t *path = g_new(dt_outline_path_t, 1);
  *path = (dt_outline_path_t){ segments, is_hole };
  g_ptr_array_add(outline->paths, path);
}

void dt_outline_free(dt_outline_t *outline)
{
  if(!outline) return;
  g_ptr_array_unref(outline->paths);
  g_free(outline);
}

double dt_outline_area2(const dt_outline_point_t *points, int n)
{
  double sum = 0;
  for(int i = 0, last = n - 1; i < n; last = i++)
    sum += points[last].x * points[i].y - points[i].x * points[last].y;
  return sum;
}

static void _add_polygon(void *data, dt_outline_point_t *points, int n)
{
  _trace_t *t = data;
  const double area = dt_outline_area2(points, n) / 2, size = fabs(area);
  t->any = TRUE;
  if(size < t->specks) return;
  dt_outline_add(t->outline, dt_outline_fit(&t->fit, points, n), area < 0);
  g_array_append_val(t->areas, size);
}

typedef struct _order_t
{
  double area;
  guint place;
  void *path;
} _order_t;

/* What lies in something is smaller. */
static int _compare(const void *a, const void *b)
{
  const _order_t *x = a, *y = b;
  return x->area != y->area ? (x->area < y->area ? 1 : -1) : x->place < y->place ? -1 : 1;
}

static void _sort(const _trace_t *t)
{
  const guint n = t->areas->len;
  _order_t *order = g_new(_order_t, n);
  for(guint i = 0; i < n; i++)
    order[i] = (_order_t){ g_array_index(t->areas, double, i), i, t->outline->paths->pdata[i] };
  if(n) qsort(order, n, sizeof *order, _compare);
  for(guint i = 0; i < n; i++) t->outline->paths->pdata[i] = order[i].path;
  g_free(order);
}

/* 0 and what is no number stand for the default. */
static double _or(double value, double usual)
{
  return value < 0 || value > 0 ? value : usual;
}

static gboolean _is_black_and_white(const float *mask, size_t n)
{
  for(size_t i = 0; i < n; i++)
    if(mask[i] > 0.004f && mask[i] < 0.996f) return FALSE;
  return TRUE;
}

dt_outline_t *dt_outline_trace(const float *mask, int width, int height, const dt_outline_opts_t *opts,
                               GError **error)
{
  static const dt_outline_opts_t none = { 0 };
  const gboolean is_hard = _is_black_and_white(mask, (size_t)width * (size_t)height);
  if(!opts) opts = &none;
  _trace_t t = { .outline = dt_outline_new(width, height), .specks = _or(opts->specks, SPECKS) };
  t.areas = g_array_new(FALSE, FALSE, sizeof(double));
  /* stairs take up a part of it */
  const double tolerance = fabs(_or(opts->tolerance, 0.2)) * (is_hard ? 0.75 : 1);
  t.fit = (dt_outline_fit_t){ tolerance, _or(opts->smooth, 1), is_hard, width, height };
  const double threshold = _or(opts->threshold, 0.5);
  gboolean ok = dt_outline_walk(mask, width, height, threshold, is_hard, _add_polygon, &t, error);
  if(ok && t.any && t.outline->paths->len == 0 && t.specks == SPECKS)
  {
    t.specks = -1; /* nothing but specks is what is meant */
    ok = dt_outline_walk(mask, width, height, threshold, is_hard, _add_polygon, &t, error);
  }
  if(ok)
    _sort(&t);
  else
    g_clear_pointer(&t.outline, dt_outline_free);
  g_array_unref(t.areas);
  return t.outline;
}

double dt_outline_iou(const dt_outline_t *outline, const float *mask, double threshold)
{
  const size_t n = (size_t)outline->width * (size_t)outline->height;
  const float limit = (float)threshold;
  float *fill = dt_memory_try_large(n, sizeof(float));
  size_t both = 0, any = 0;
  if(!fill) return NAN;
  dt_outline_fill(outline, fill);
  for(size_t i = 0; i < n; i++)
  {
    const int filled = fill[i] >= 0.5f, inside = mask[i] > limit;
    both += (size_t)(filled & inside);
    any += (size_t)(filled | inside);
  }
  free(fill);
  return any ? (double)both / (double)any : 1;
}
