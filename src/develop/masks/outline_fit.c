/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Bézier curves through the points of a polygon, after Schneider (An Algorithm for Automatically Fitting Digitized
 * Curves, Graphics Gems, 1990): least squares for the lengths of the tangents, the parameters improved by Newton's
 * method. Where Schneider cuts in two what does not fit, here each curve goes as far as it can: twice as far while it
 * fits, then by halves to the last point; that makes fewer of them. */
#include "develop/masks/outline_internal.h"

#include <math.h>
#include <string.h>

#define CORNER_REACH 4  /* points on each side that show a corner */
#define CORNER_ANGLE 50 /* degrees, with smooth = 1 */
#define NO_CORNERS 1.3
#define TANGENT_REACH 5 /* points */
#define PASSES 3        /* of smoothing */
#define DRIFT 0.06      /* pixels by which interpolation is put right at most */
#define STAIR_PASSES 8
#define STAIR 0.45     /* pixels that a point of a staircase may move, the tolerance included */
#define MAX_SAMPLES 48 /* of a long piece, for the first try */
#define IMPROVEMENTS 4

typedef dt_outline_point_t _point_t;

typedef struct _curve_t
{
  _point_t p[4];
} _curve_t;

typedef struct _piece_t
{
  const dt_outline_fit_t *fit;
  const _point_t *points; /* of a closed polygon once around, the first again at the end */
  const double *length;   /* along it */
  const uint8_t *corner;
  int n;
} _piece_t;

static _point_t _minus(_point_t a, _point_t b)
{
  return (_point_t){ a.x - b.x, a.y - b.y };
}

/* a + t b */
static _point_t _plus(_point_t a, double t, _point_t b)
{
  return (_point_t){ a.x + t * b.x, a.y + t * b.y };
}

static double _dot(_point_t a, _point_t b)
{
  return a.x * b.x + a.y * b.y;
}

static double _cross(_point_t a, _point_t b)
{
  return a.x * b.y - a.y * b.x;
}

static _point_t _unit(_point_t a)
{
  const double n = hypot(a.x, a.y);
  return n > 0 ? (_point_t){ a.x / n, a.y / n } : a;
}

/* --- the polygon: staircases and corners --- */

static gboolean _is_on_border(const dt_outline_fit_t *f, _point_t p)
{
  return p.x <= 0 || p.y <= 0 || p.x >= f->width || p.y >= f->height;
}

/* Moves points towards the middle of their neighbours by half the way, within bounds. */
static void _relax(const dt_outline_fit_t *f, const _point_t *first, double most, _point_t *points, int n)
{
  const _point_t start = points[0];
  _point_t before = points[n - 1];
  for(int i = 0; i < n; i++)
  {
    const _point_t here = points[i], after = i + 1 < n ? points[i + 1] : start;
    const double x = here.x + 0.5 * ((before.x + after.x) / 2 - here.x);
    const double y = here.y + 0.5 * ((before.y + after.y) / 2 - here.y);
    before = here;
    if(_is_on_border(f, first[i])) continue;
    points[i].x = CLAMP(x, first[i].x - most, first[i].x + most);
    points[i].y = CLAMP(y, first[i].y - most, first[i].y + most);
  }
}

/* Stairs are averaged until they are none, but so that no point comes near a pixel's centre, which would change sides.
 * Elsewhere it is the waves that interpolation makes of edges that end abruptly in black and white. */
static void _smooth(const dt_outline_fit_t *f, _point_t *points, int n)
{
  const double most = f->is_hard ? MAX(STAIR - f->tolerance, 0.1) : MIN(f->tolerance / 2, DRIFT);
  _point_t *first = g_memdup2(points, (size_t)n * sizeof(_point_t));
  for(int pass = 0; pass < (f->is_hard ? STAIR_PASSES : PASSES); pass++) _relax(f, first, most, points, n);
  g_free(first);
}

/* Degrees by which the way turns at a point. */
static double _turn(const _point_t *points, int n, int i, int reach)
{
  const _point_t in = _minus(points[i], points[(i + n - reach) % n]),
                 out = _minus(points[(i + reach) % n], points[i]);
  return fabs(atan2(_cross(in, out), _dot(in, out))) * 180 / G_PI;
}

/* Where an outline comes to the border of the mask, or goes round its corner. */
static gboolean _is_border_corner(const dt_outline_fit_t *f, const _point_t *points, int n, int i)
{
  const _point_t p = points[i], a = points[(i + n - 1) % n], b = points[(i + 1) % n];
  if(!_is_on_border(f, p)) return FALSE;
  const gboolean upright = p.x <= 0 || p.x >= f->width, level = p.y <= 0 || p.y >= f->height;
  return !((upright && a.x == p.x && b.x == p.x) || (level && a.y == p.y && b.y == p.y));
}

enum
{
  SHARP = 1,
  AT_BORDER
};

static uint8_t *_find_corners(const dt_outline_fit_t *f, const _point_t *points, int n)
{
  uint8_t *corner = g_new0(uint8_t, n + 1);
  double *turn = g_new(double, n);
  const int reach = CLAMP(n / 4, 1, CORNER_REACH);
  const double least = f->smooth >= NO_CORNERS || f->smooth < 0 ? 360 : CORNER_ANGLE * f->smooth;
  for(int i = 0; i < n; i++) turn[i] = _turn(points, n, i, reach);
  if(f->smooth >= 0)
    for(int i = 0; i < n; i++) corner[i] = _is_border_corner(f, points, n, i) ? AT_BORDER : 0;
  for(int i = 0; i < n; i++)
  {
    gboolean sharpest = turn[i] > least && !corner[i];
    for(int k = 1; sharpest && k <= reach; k++)
    {
      const int before = (i + n - k) % n, after = (i + k) % n;
      sharpest = turn[i] > turn[before] && turn[i] >= turn[after] && corner[before] != AT_BORDER
                 && corner[after] != AT_BORDER;
    }
    if(sharpest) corner[i] = SHARP;
  }
  g_free(turn);
  return corner;
}

/* --- one curve --- */

static _point_t _evaluate(const _curve_t *c, double t)
{
  const double s = 1 - t, a = s * s * s, b = 3 * s * s * t, d = 3 * s * t * t, e = t * t * t;
  return (_point_t){ a * c->p[0].x + b * c->p[1].x + d * c->p[2].x + e * c->p[3].x,
                     a * c->p[0].y + b * c->p[1].y + d * c->p[2].y + e * c->p[3].y };
}

/* One step of Newton's method towards the parameter of the curve's point next to @p p. */
static double _improve(const _curve_t *c, _point_t p, double t)
{
  const double s = 1 - t;
  const _point_t a = _minus(c->p[1], c->p[0]), b = _minus(c->p[2], c->p[1]), d = _minus(c->p[3], c->p[2]);
  const _point_t speed = { 3 * (s * s * a.x + 2 * s * t * b.x + t * t * d.x),
                           3 * (s * s * a.y + 2 * s * t * b.y + t * t * d.y) };
  const _point_t bend = { 6 * (s * (b.x - a.x) + t * (d.x - b.x)), 6 * (s * (b.y - a.y) + t * (d.y - b.y)) };
  const _point_t off = _minus(_evaluate(c, t), p);
  const double slope = _dot(speed, speed) + _dot(off, bend);
  return slope > 0 ? CLAMP(t - _dot(off, speed) / slope, 0, 1) : t;
}

/* Least squares for how far the controls lie along the tangents. */
static void _solve(_curve_t *c, _point_t out, _point_t in, const _point_t *points, const double *t, int n)
{
  double c00 = 0, c01 = 0, c11 = 0, x0 = 0, x1 = 0;
  for(int i = 0; i < n; i++)
  {
    const double u = t[i], s = 1 - u, b0 = s * s * (1 + 2 * u), b1 = 3 * s * s * u, b2 = 3 * s * u * u;
    const double b3 = u * u * (3 - 2 * u);
    const _point_t a0 = { b1 * out.x, b1 * out.y }, a1 = { b2 * in.x, b2 * in.y };
    const _point_t rest = _plus(_plus(points[i], -b0, c->p[0]), -b3, c->p[3]);
    c00 += _dot(a0, a0);
    c01 += _dot(a0, a1);
    c11 += _dot(a1, a1);
    x0 += _dot(a0, rest);
    x1 += _dot(a1, rest);
  }
  const double chord = hypot(c->p[3].x - c->p[0].x, c->p[3].y - c->p[0].y), det = c00 * c11 - c01 * c01;
  double from = (x0 * c11 - x1 * c01) / det, to = (c00 * x1 - c01 * x0) / det;
  /* nothing sensible: a third of the way (Wu and Barsky) */
  if(!(fabs(det) > 1e-12) || !(from > 0.01 * chord) || !(to > 0.01 * chord) || from > 4 * chord
     || to > 4 * chord)
    from = to = chord / 3;
  c->p[1] = _plus(c->p[0], from, out);
  c->p[2] = _plus(c->p[3], to, in);
}

/* The point up to @p reach further, no further than a corner. */
static int _look(const _piece_t *k, int i, int way, int reach)
{
  int at = i;
  for(int step = 0; step < reach && (step == 0 || !k->corner[at]); step++) at = (at + way + k->n) % k->n;
  return at;
}

/* The direction in which a curve leaves point @p i: along the polygon (@p way = 1) or back. At a corner it looks at
 * one side only. */
static _point_t _tangent(const _piece_t *k, int i, int way, int most)
{
  const int reach = MIN(TANGENT_REACH, most);
  const int to = _look(k, i, way, reach), from = k->corner[i] ? i : _look(k, i, -way, reach);
  return _unit(_minus(k->points[to], k->points[from]));
}

/* The largest squared distance of all points from the curve; ends as soon as it is more than @p most. */
static double _measure(const _piece_t *k, const _curve_t *c, int a, int b, double most)
{
  double worst = 0;
  for(int i = a + 1; i < b && worst <= most; i++)
  {
    double t = (k->length[i] - k->length[a]) / (k->length[b] - k->length[a]);
    for(int pass = 0; pass < 3; pass++) t = _improve(c, k->points[i], t);
    const _point_t off = _minus(_evaluate(c, t), k->points[i]);
    worst = MAX(worst, _dot(off, off));
  }
  return worst;
}

static int _sample(const _piece_t *k, int a, int b, _point_t *points, double *t)
{
  const int between = b - a - 1, n = MIN(between, MAX_SAMPLES);
  for(int i = 0; i < n; i++)
  {
    const int at = a + 1 + (int)((gint64)i * between / n);
    points[i] = k->points[at];
    t[i] = (k->length[at] - k->length[a]) / (k->length[b] - k->length[a]);
  }
  return n;
}

static _curve_t _line(const _piece_t *k, int a, int b)
{
  const _point_t from = k->points[a], to = k->points[b], way = _minus(to, from);
  return (_curve_t){ { from, _plus(from, 1.0 / 3, way), _plus(from, 2.0 / 3, way), to } };
}

/* Whether a curve goes from point @p a to @p b within the tolerance. */
static gboolean _try(const _piece_t *k, int a, int b, _curve_t *c)
{
  const double most = k->fit->tolerance * k->fit->tolerance;
  *c = _line(k, a, b);
  if(b - a == 1) return TRUE;
  if(k->fit->smooth < 0) return _measure(k, c, a, b, most) <= most;
  _point_t points[MAX_SAMPLES];
  double t[MAX_SAMPLES];
  const int n = _sample(k, a, b, points, t);
  const _point_t out = _tangent(k, a, 1, b - a), in = _tangent(k, b, -1, b - a);
  for(int pass = 0; pass < IMPROVEMENTS; pass++)
  {
    double worst = 0;
    _solve(c, out, in, points, t, n);
    for(int i = 0; i < n; i++)
    {
      t[i] = _improve(c, points[i], t[i]);
      const _point_t off = _minus(_evaluate(c, t[i]), points[i]);
      worst = MAX(worst, _dot(off, off));
    }
    if(worst > 16 * most) return FALSE;
    if(worst <= most && _measure(k, c, a, b, most) <= most) return TRUE;
  }
  return FALSE;
}

/* As far from @p a as one curve goes, at most to @p end. @return how far */
static int _reach(const _piece_t *k, int a, int end, _curve_t *c)
{
  int good = a + 1, bad = end + 1;
  *c = _line(k, a, good);
  for(int way = 8; good < end; way *= 2)
  {
    _curve_t try;
    const int b = MIN(a + way, end);
    if(!_try(k, a, b, &try))
    {
      bad = b;
      break;
    }
    *c = try;
    good = b;
  }
  while(bad - good > 1 && good < end)
  {
    _curve_t try;
    const int b = (good + bad) / 2;
    const gboolean ok = _try(k, a, b, &try);
    if(ok) *c = try;
    *(ok ? &good : &bad) = b;
  }
  return good;
}

/* --- the whole polygon --- */

static void _add_curves(const _piece_t *k, int from, int to, GArray *segments)
{
  for(int a = from; a < to;)
  {
    _curve_t c;
    a = _reach(k, a, to, &c);
    const dt_outline_segment_t s = { c.p[1], c.p[2], c.p[3] };
    g_array_append_val(segments, s);
  }
}

/* Turns the polygon so that it begins in a corner, if there is one. */
static void _turn_to_corner(_point_t *points, uint8_t *corner, int n)
{
  int first = 0;
  while(first < n && !corner[first]) first++;
  if(first == 0 || first == n) return;
  _point_t *p = g_memdup2(points, (size_t)n * sizeof(_point_t));
  uint8_t *c = g_memdup2(corner, (size_t)n);
  for(int i = 0; i < n; i++)
  {
    points[i] = p[(i + first) % n];
    corner[i] = c[(i + first) % n];
  }
  g_free(c);
  g_free(p);
}

static double *_measure_lengths(const _point_t *points, int n)
{
  double *length = g_new(double, n + 1);
  length[0] = 0;
  for(int i = 1; i <= n; i++)
    length[i] = length[i - 1] + hypot(points[i].x - points[i - 1].x, points[i].y - points[i - 1].y) + 1e-9;
  return length;
}

GArray *dt_outline_fit(const dt_outline_fit_t *fit, dt_outline_point_t *points, int n)
{
  GArray *segments = g_array_new(FALSE, FALSE, sizeof(dt_outline_segment_t));
  if(fit->smooth >= 0) _smooth(fit, points, n);
  uint8_t *corner = _find_corners(fit, points, n);
  _turn_to_corner(points, corner, n);
  corner[n] = corner[0];
  _point_t *ring = g_new(_point_t, n + 1);
  memcpy(ring, points, (size_t)n * sizeof(_point_t));
  ring[n] = ring[0];
  double *length = _measure_lengths(ring, n);
  const _piece_t k = { fit, ring, length, corner, n };
  for(int from = 0, to; from < n; from = to)
  {
    for(to = from + 1; to < n && !corner[to];) to++;
    _add_curves(&k, from, to, segments);
  }
  g_free(length);
  g_free(ring);
  g_free(corner);
  return segments;
}
