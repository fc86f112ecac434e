/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Fills an outline, each pixel with the part of it that is covered.
 *
 * Curves become lines that are nowhere off by more than a hundredth of a pixel. Each line adds to the pixels that it
 * passes what the covered part changes there against the pixel to the left, in proportion to the exact area, so that
 * the sums along a row are the areas times how often the outline goes around. Even-odd folds that number to 0..1, which
 * is exact where no two edges share a pixel, and where holes run the other way than what they are in. */
#include "develop/masks/outline_internal.h"

#include <math.h>
#include <string.h>

#define OFF 0.01       /* pixels that a line may be off its curve */
#define MAX_LINES 4096 /* of a curve */

typedef struct _fill_t
{
  float *changes;
  int width, height;
} _fill_t;

static void _change(const _fill_t *f, float *row, int x, double by)
{
  if(x < f->width) row[x] += (float)by;
}

/* A line within one row, of height @p by (negative upwards), between two places. */
static void _add_to_row(const _fill_t *f, float *row, double from, double to, double by)
{
  const double left = MIN(from, to), right = MAX(from, to);
  const int first = (int)left, end = (int)ceil(right);
  if(end <= first + 1)
  {
    const double middle = (left + right) / 2 - first;
    _change(f, row, first, by * (1 - middle));
    _change(f, row, first + 1, by * middle);
    return;
  }
  /* what is covered left of x grows as a square in the first and last pixel, evenly in between */
  const double slope = 1 / (right - left);
  double before = 0;
  for(int x = first; x < end; x++)
  {
    const double a = MAX(left, x), b = MIN(right, x + 1);
    const double here = by * slope * ((b - a) * (x + 1 - (a + b) / 2) + (a - left));
    _change(f, row, x, here - before);
    before = here;
  }
  _change(f, row, end, by - before);
}

/* A line whose places lie in the mask. */
static void _add_inside(const _fill_t *f, dt_outline_point_t a, dt_outline_point_t b)
{
  const double sign = b.y > a.y ? 1 : -1;
  if(sign < 0)
  {
    const dt_outline_point_t swap = a;
    a = b;
    b = swap;
  }
  const double slope = (b.x - a.x) / (b.y - a.y), low = MIN(a.x, b.x), high = MAX(a.x, b.x);
  double x = a.x;
  for(int y = (int)a.y; y < f->height && y < b.y; y++)
  {
    const double top = MAX(a.y, y), bottom = MIN(b.y, y + 1);
    const double next = CLAMP(a.x + (bottom - a.y) * slope, low, high);
    _add_to_row(f, f->changes + (size_t)y * (size_t)f->width, x, next, sign * (bottom - top));
    x = next;
  }
}

static dt_outline_point_t _between(dt_outline_point_t a, dt_outline_point_t b, double t)
{
  return (dt_outline_point_t){ a.x + t * (b.x - a.x), a.y + t * (b.y - a.y) };
}

/* The parameter at which a coordinate is @p at, 0 or 1 where it never is. */
static double _meet(double from, double to, double at)
{
  return from == to ? 0 : CLAMP((at - from) / (to - from), 0, 1);
}

/* A line anywhere: what is above and below counts for nothing, what is on either side as if it ran along it. */
static void _add_line(const _fill_t *f, dt_outline_point_t a, dt_outline_point_t b)
{
  if(a.y == b.y) return;
  const double top = _meet(a.y, b.y, 0), bottom = _meet(a.y, b.y, f->height);
  const dt_outline_point_t from = _between(a, b, MIN(top, bottom)), to = _between(a, b, MAX(top, bottom));
  const double left = _meet(from.x, to.x, 0), right = _meet(from.x, to.x, f->width);
  const double cuts[] = { 0, MIN(left, right), MAX(left, right), 1 };
  for(int i = 0; i < 3; i++)
  {
    dt_outline_point_t p = _between(from, to, cuts[i]), q = _between(from, to, cuts[i + 1]);
    p = (dt_outline_point_t){ CLAMP(p.x, 0, f->width), CLAMP(p.y, 0, f->height) };
    q = (dt_outline_point_t){ CLAMP(q.x, 0, f->width), CLAMP(q.y, 0, f->height) };
    if(p.y != q.y) _add_inside(f, p, q);
  }
}

static double _bend(dt_outline_point_t a, dt_outline_point_t b, dt_outline_point_t c)
{
  return hypot(a.x - 2 * b.x + c.x, a.y - 2 * b.y + c.y);
}

static void _add_curve(const _fill_t *f, dt_outline_point_t start, const dt_outline_segment_t *s)
{
  const double bend = MAX(_bend(start, s->control1, s->control2), _bend(s->control1, s->control2, s->end));
  const int n = (int)CLAMP(ceil(sqrt(0.75 * bend / OFF)), 1, MAX_LINES);
  dt_outline_point_t last = start;
  for(int i = 1; i <= n; i++)
  {
    const double t = (double)i / n, u = 1 - t, a = u * u * u, b = 3 * u * u * t, c = 3 * u * t * t,
                 d = t * t * t;
    const dt_outline_point_t next = { a * start.x + b * s->control1.x + c * s->control2.x + d * s->end.x,
                                      a * start.y + b * s->control1.y + c * s->control2.y + d * s->end.y };
    _add_line(f, last, i < n ? next : s->end);
    last = next;
  }
}

static void _sum_row(float *row, int n)
{
  double sum = 0;
  for(int x = 0; x < n; x++)
  {
    sum += (double)row[x];
    /* rounding adds up along the row */
    double around = fabs(sum);
    if(fabs(around - rint(around)) < 1e-5) around = rint(around);
    around -= 2 * floor(around / 2);
    row[x] = (float)(around > 1 ? 2 - around : around);
  }
}

void dt_outline_fill(const dt_outline_t *outline, float *mask)
{
  const _fill_t f = { mask, outline->width, outline->height };
  memset(mask, 0, (size_t)f.width * (size_t)f.height * sizeof(float));
  for(guint i = 0; i < outline->paths->len; i++)
  {
    const GArray *segments = ((const dt_outline_path_t *)outline->paths->pdata[i])->segments;
    dt_outline_point_t at = dt_outline_start(segments);
    for(guint k = 0; k < segments->len; k++)
    {
      const dt_outline_segment_t *s = &g_array_index(segments, dt_outline_segment_t, k);
      _add_curve(&f, at, s);
      at = s->end;
    }
  }
  for(int y = 0; y < f.height; y++) _sum_row(mask + (size_t)y * (size_t)f.width, f.width);
}
