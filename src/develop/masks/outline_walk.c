/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Marching squares: from a mask to closed polygons, exact to a part of a pixel.
 *
 * A cell lies between four pixels' centres. Where two neighbours are on both sides of the threshold the outline crosses
 * the line between them, by linear interpolation; each cell joins its crossings. Around the mask there is nothing, and
 * outlines keep to its border. Rows of bytes say what is inside, so that eight cells without a crossing are passed at
 * once. */
#include "develop/masks/outline_internal.h"

#include <string.h>

#define MAX_POINTS (1 << 24) /* 200 MB; of a mask that is none but noise */

enum
{
  BOTTOM_LEFT = 1,
  BOTTOM_RIGHT = 2,
  TOP_RIGHT = 4,
  TOP_LEFT = 8
};

typedef enum _edge_t
{
  TOP,
  RIGHT,
  BOTTOM,
  LEFT
} _edge_t;

typedef struct _corner_t
{
  float x, y;
} _corner_t;

typedef struct _walk_t
{
  const float *mask;
  int width, height;
  double threshold;
  gboolean is_hard;
  uint8_t
      *inside[2]; /* of the pixels above and below the cells; one more on either side, and room for eight */
  int *above, *below; /* the crossing left of each pixel of those rows */
  int at_left;        /* the crossing on the cell's left edge */
  GArray *points;     /* of _corner_t */
  GArray *next;       /* int: the point after each, -1 when it has been used */
} _walk_t;

static int _add_point(const _walk_t *k, double x, double y)
{
  const _corner_t point = { (float)x, (float)y };
  const int none = -1;
  g_array_append_val(k->points, point);
  g_array_append_val(k->next, none);
  return (int)k->points->len - 1;
}

static void _link(const _walk_t *k, int from, int to)
{
  g_array_index(k->next, int, from) = to;
}

static double _value(const _walk_t *k, int x, int y)
{
  return (double)k->mask[(size_t)y * (size_t)k->width + (size_t)x];
}

/* The part of the way from one pixel to the next; in black and white it is the half, whatever the threshold. */
static double _part(const _walk_t *k, double a, double b)
{
  const double part = (k->threshold - a) / (b - a);
  return k->is_hard || !(part >= 0 && part <= 1) ? 0.5 : part;
}

/* The crossing left of pixel (@p x, @p y), on the border where there is no pixel on one side. */
static int _cross_left(const _walk_t *k, int x, int y)
{
  const double part = x == 0 || x == k->width ? 0.5 : _part(k, _value(k, x - 1, y), _value(k, x, y));
  return _add_point(k, x - 0.5 + part, y + 0.5);
}

static int _cross_above(const _walk_t *k, int x, int y)
{
  const double part = y == 0 || y == k->height ? 0.5 : _part(k, _value(k, x, y - 1), _value(k, x, y));
  return _add_point(k, x + 0.5, y - 0.5 + part);
}

/* Joins two crossings of a cell. On the border a single pixel has its corner. */
static void _join(const _walk_t *k, const int at[4], _edge_t from, _edge_t to, gboolean has_corner)
{
  if(!has_corner)
  {
    _link(k, at[from], at[to]);
    return;
  }
  const gboolean level = from == TOP || from == BOTTOM;
  const _corner_t across = g_array_index(k->points, _corner_t, at[level ? from : to]);
  const _corner_t down = g_array_index(k->points, _corner_t, at[level ? to : from]);
  const int corner = _add_point(k, (double)across.x, (double)down.y);
  _link(k, at[from], corner);
  _link(k, corner, at[to]);
}

/* Where two opposite pixels are inside, their mean decides whether they hang together. */
static gboolean _is_joined(const _walk_t *k, int x, int y)
{
  return _value(k, x - 1, y - 1) + _value(k, x, y - 1) + _value(k, x - 1, y) + _value(k, x, y)
         > 4 * k->threshold;
}

static void _join_cell(const _walk_t *k, int x, int y, int which, const int at[4])
{
  static const struct
  {
    _edge_t from, to;
  } ways[16] = {
    [BOTTOM_LEFT] = { LEFT, BOTTOM },
    [BOTTOM_RIGHT] = { BOTTOM, RIGHT },
    [TOP_RIGHT] = { RIGHT, TOP },
    [TOP_LEFT] = { TOP, LEFT },
    [BOTTOM_LEFT | BOTTOM_RIGHT] = { LEFT, RIGHT },
    [TOP_RIGHT | BOTTOM_RIGHT] = { BOTTOM, TOP },
    [TOP_LEFT | TOP_RIGHT] = { RIGHT, LEFT },
    [TOP_LEFT | BOTTOM_LEFT] = { TOP, BOTTOM },
    [TOP_RIGHT | BOTTOM_RIGHT | BOTTOM_LEFT] = { LEFT, TOP },
    [TOP_LEFT | BOTTOM_RIGHT | BOTTOM_LEFT] = { TOP, RIGHT },
    [TOP_LEFT | TOP_RIGHT | BOTTOM_LEFT] = { RIGHT, BOTTOM },
    [TOP_LEFT | TOP_RIGHT | BOTTOM_RIGHT] = { BOTTOM, LEFT },
  };
  const gboolean at_border = x == 0 || y == 0 || x == k->width || y == k->height;
  int first = which, second = 0;
  if(which == (TOP_RIGHT | BOTTOM_LEFT))
  {
    first = _is_joined(k, x, y) ? 15 - TOP_LEFT : BOTTOM_LEFT;
    second = first == BOTTOM_LEFT ? TOP_RIGHT : 15 - BOTTOM_RIGHT;
  }
  else if(which == (TOP_LEFT | BOTTOM_RIGHT))
  {
    first = _is_joined(k, x, y) ? 15 - TOP_RIGHT : TOP_LEFT;
    second = first == TOP_LEFT ? BOTTOM_RIGHT : 15 - BOTTOM_LEFT;
  }
  _join(k, at, ways[first].from, ways[first].to, at_border && (first & (first - 1)) == 0);
  if(second) _join(k, at, ways[second].from, ways[second].to, FALSE);
}

/* The cell left of pixel @p x, between row @p y and the one above. */
static void _walk_cell(_walk_t *k, int x, int y)
{
  const uint8_t *a = k->inside[0] + x, *b = k->inside[1] + x;
  const int which = a[0] * TOP_LEFT + a[1] * TOP_RIGHT + b[0] * BOTTOM_LEFT + b[1] * BOTTOM_RIGHT;
  if(which == 0 || which == 15) return;
  const int left = k->at_left;
  if(b[0] != b[1]) k->below[x] = _cross_left(k, x, y);
  if(a[1] != b[1]) k->at_left = _cross_above(k, x, y);
  const int at[] = { [TOP] = k->above[x], [RIGHT] = k->at_left, [BOTTOM] = k->below[x], [LEFT] = left };
  _join_cell(k, x, y, which, at);
}

/* Eight cells that see nothing but one side. */
static gboolean _is_plain(const uint8_t *a, const uint8_t *b)
{
  uint64_t v[4];
  memcpy(&v[0], a, 8);
  memcpy(&v[1], b, 8);
  memcpy(&v[2], a + 1, 8);
  memcpy(&v[3], b + 1, 8);
  const uint64_t any = v[0] | v[1] | v[2] | v[3], all = v[0] & v[1] & v[2] & v[3];
  return any == 0 || all == 0x0101010101010101u;
}

static void _walk_row(_walk_t *k, int y)
{
  uint8_t *in = k->inside[1] + 1;
  if(y == k->height)
    memset(in, 0, (size_t)k->width);
  else
  {
    const float *row = k->mask + (size_t)y * (size_t)k->width, threshold = (float)k->threshold;
    for(int x = 0; x < k->width; x++) in[x] = row[x] > threshold;
  }
  for(int x = 0; x <= k->width; x++)
  {
    if(x % 8 == 0)
      while(x + 8 <= k->width && _is_plain(k->inside[0] + x, k->inside[1] + x)) x += 8;
    _walk_cell(k, x, y);
  }
  uint8_t *inside = k->inside[0];
  k->inside[0] = k->inside[1];
  k->inside[1] = inside;
  int *crossings = k->above;
  k->above = k->below;
  k->below = crossings;
}

static void _hand_out(const _walk_t *k, dt_outline_polygon_t polygon, void *data)
{
  GArray *ring = g_array_new(FALSE, FALSE, sizeof(dt_outline_point_t));
  for(int i = 0; i < (int)k->points->len; i++)
  {
    g_array_set_size(ring, 0);
    for(int at = i, next; (next = g_array_index(k->next, int, at)) >= 0; at = next)
    {
      const _corner_t *c = &g_array_index(k->points, _corner_t, at);
      const dt_outline_point_t point = { (double)c->x, (double)c->y };
      g_array_append_val(ring, point);
      _link(k, at, -1);
    }
    if(ring->len) polygon(data, (dt_outline_point_t *)(void *)ring->data, (int)ring->len);
  }
  g_array_unref(ring);
}

gboolean dt_outline_walk(const float *mask, int width, int height, double threshold, gboolean is_hard,
                         dt_outline_polygon_t polygon, void *data, GError **error)
{
  const size_t n = (size_t)width + 16;
  uint8_t *inside = g_new0(uint8_t, 2 * n);
  int *crossings = g_new0(int, 2 * n);
  _walk_t k = { .mask = mask, .width = width, .height = height, .threshold = threshold, .is_hard = is_hard };
  k.inside[0] = inside;
  k.inside[1] = inside + n;
  k.above = crossings;
  k.below = crossings + n;
  k.points = g_array_new(FALSE, FALSE, sizeof(_corner_t));
  k.next = g_array_new(FALSE, FALSE, sizeof(int));
  for(int y = 0; y <= height && k.points->len < MAX_POINTS; y++) _walk_row(&k, y);
  const gboolean ok = k.points->len < MAX_POINTS;
  if(ok)
    _hand_out(&k, polygon, data);
  else
    g_set_error_literal(
        error, DT_AI_ERROR, DT_AI_ERROR_INPUT,
        "The mask has more edges than an outline can have. Smooth it or remove its specks first.");
  g_array_unref(k.points);
  g_array_unref(k.next);
  g_free(crossings);
  g_free(inside);
  return ok;
}
