/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Draws masks over a small copy of their photograph. Shapes are drawn by distance: how far a pixel is from the edge says
 * how much of it is covered, so that nothing is jagged. */
#include "develop/masks/overlay.h"
#include "common/memory.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct _colour_t
{
  float rgb[3];
} _colour_t;

static const _colour_t _white = { { 1.0f, 1.0f, 1.0f } }, _black = { { 0.0f, 0.0f, 0.0f } },
                       _plus = { { 0.16f, 0.72f, 0.36f } }, _minus = { { 0.88f, 0.24f, 0.22f } };
/* of masks, in turn */
static const _colour_t _accents[] = { { { 0.22f, 0.72f, 1.00f } }, { { 1.00f, 0.62f, 0.14f } },
                                      { { 0.55f, 0.90f, 0.30f } }, { { 1.00f, 0.40f, 0.72f } },
                                      { { 1.00f, 0.88f, 0.25f } }, { { 0.70f, 0.55f, 1.00f } } };

/* Prompts of all masks, in pixels of the overlay. */
typedef struct _mark_t
{
  double x0, y0, x1, y1; /* of a point the first two */
  int label;             /* DT_SEG_BOX_TOP_LEFT: a box */
} _mark_t;

struct dt_overlay_t
{
  int width, height;
  int photo_width, photo_height;
  uint8_t *rgb;
  float *inside;    /* of any mask */
  float *plane;     /* of the one that is drawn */
  GPtrArray *masks; /* of planes of bytes: there may be many */
  GArray *marks;    /* of _mark_t */
};

/* --- a small copy --- */

/* The first of the pixels of a side of @p large that fall into pixel @p i of @p small. */
static int _first(int i, int large, int small)
{
  return (int)((int64_t)i * large / small);
}

static void _shrink_rgb(const dt_photo_t *photo, dt_overlay_t *o)
{
  uint8_t *out = o->rgb;
  for(int y = 0; y < o->height; y++)
    for(int x = 0; x < o->width; x++, out += 3)
    {
      const int x0 = _first(x, photo->width, o->width), x1 = _first(x + 1, photo->width, o->width);
      const int y0 = _first(y, photo->height, o->height), y1 = _first(y + 1, photo->height, o->height);
      uint64_t sum[3] = { 0 };
      for(int v = y0; v < y1; v++)
      {
        const uint8_t *in = photo->rgb + 3 * ((size_t)v * (size_t)photo->width + (size_t)x0);
        for(int i = 0; i < 3 * (x1 - x0); i++) sum[i % 3] += in[i];
      }
      const uint64_t n = (uint64_t)(x1 - x0) * (uint64_t)(y1 - y0);
      for(int c = 0; c < 3; c++) out[c] = (uint8_t)((sum[c] + n / 2) / n);
    }
}

static void _shrink_plane(const float *in, const dt_overlay_t *o, uint8_t *out)
{
  for(int y = 0; y < o->height; y++)
    for(int x = 0; x < o->width; x++)
    {
      const int x0 = _first(x, o->photo_width, o->width), x1 = _first(x + 1, o->photo_width, o->width);
      const int y0 = _first(y, o->photo_height, o->height), y1 = _first(y + 1, o->photo_height, o->height);
      double sum = 0;
      for(int v = y0; v < y1; v++)
        for(int u = x0; u < x1; u++) sum += (double)in[(size_t)v * (size_t)o->photo_width + (size_t)u];
      sum /= (double)(x1 - x0) * (y1 - y0);
      *out++ = (uint8_t)(255 * CLAMP(sum, 0, 1) + 0.5);
    }
}

static gboolean _fail_memory(GError **error)
{
  g_set_error(error, DT_AI_ERROR, DT_AI_ERROR_MEMORY,
              "There is no memory for an overlay. Choose a smaller one with --overlay-size.");
  return FALSE;
}

dt_overlay_t *dt_overlay_new(const dt_photo_t *photo, int long_side, GError **error)
{
  dt_overlay_t *o = g_new0(dt_overlay_t, 1);
  const int side = MAX(photo->width, photo->height);
  const double scale = long_side > 0 && long_side < side ? (double)long_side / side : 1.0;
  o->photo_width = photo->width;
  o->photo_height = photo->height;
  o->width = MAX(1, (int)lround(photo->width * scale));
  o->height = MAX(1, (int)lround(photo->height * scale));
  o->masks = g_ptr_array_new_with_free_func(g_free);
  o->marks = g_array_new(FALSE, FALSE, sizeof(_mark_t));
  const size_t n = (size_t)o->width * (size_t)o->height;
  o->rgb = g_try_malloc(3 * n);
  o->inside = g_try_malloc0_n(n, sizeof(float));
  o->plane = g_try_malloc_n(n, sizeof(float));
  if(o->rgb && o->inside && o->plane)
  {
    _shrink_rgb(photo, o);
    return o;
  }
  dt_overlay_free(o);
  _fail_memory(error);
  return NULL;
}

void dt_overlay_free(dt_overlay_t *o)
{
  if(!o) return;
  g_ptr_array_unref(o->masks);
  g_array_unref(o->marks);
  g_free(o->rgb);
  g_free(o->inside);
  g_free(o->plane);
  g_free(o);
}

/* --- what is drawn --- */

static void _add_mark(dt_overlay_t *o, const dt_seg_point_t *p)
{
  const double sx = (double)o->width / o->photo_width, sy = (double)o->height / o->photo_height;
  _mark_t mark = { .x0 = ((double)p->x + 0.5) * sx, .y0 = ((double)p->y + 0.5) * sy, .label = p->label };
  if(p->label == DT_SEG_BOX_TOP_LEFT)
  {
    mark.x1 = ((double)p[1].x + 0.5) * sx;
    mark.y1 = ((double)p[1].y + 0.5) * sy;
  }
  if(p->label != DT_SEG_BOX_BOTTOM_RIGHT) g_array_append_val(o->marks, mark);
}

/* A scribble leaves a light trace in the copy. */
static void _tint_rough(dt_overlay_t *o, const dt_overlay_mask_t *m)
{
  const _colour_t ink = { { 1.0f, 0.9f, 0.2f } };
  for(int y = 0; y < o->height; y++)
    for(int x = 0; x < o->width; x++)
    {
      const size_t at = (size_t)_first(y, m->rough_height, o->height) * (size_t)m->rough_width
                        + (size_t)_first(x, m->rough_width, o->width);
      const float part = 0.45f * CLAMP(m->rough[at], 0.0f, 1.0f);
      uint8_t *p = o->rgb + 3 * ((size_t)y * (size_t)o->width + (size_t)x);
      for(int c = 0; c < 3; c++)
        p[c] = (uint8_t)((float)p[c] * (1.0f - part) + 255.0f * part * ink.rgb[c] + 0.5f);
    }
}

gboolean dt_overlay_add(dt_overlay_t *o, const dt_overlay_mask_t *mask, GError **error)
{
  const size_t n = (size_t)o->width * (size_t)o->height;
  uint8_t *small = g_try_malloc0(n);
  if(!small) return _fail_memory(error);
  _shrink_plane(mask->mask, o, small);
  for(size_t i = 0; i < n; i++) o->inside[i] = MAX(o->inside[i], (float)small[i] / 255.0f);
  g_ptr_array_add(o->masks, small);
  for(int i = 0; i < mask->n_points; i++) _add_mark(o, &mask->points[i]);
  if(mask->rough) _tint_rough(o, mask);
  return TRUE;
}

/* --- drawing --- */

static void _mix(uint8_t *p, _colour_t colour, float part)
{
  if(!(part > 0.0f)) return;
  for(int c = 0; c < 3; c++)
    p[c] = (uint8_t)((float)p[c] + MIN(part, 1.0f) * (255.0f * colour.rgb[c] - (float)p[c]) + 0.5f);
}

/* How much of a pixel is covered whose middle is @p distance outside an edge. */
static float _cover(double distance)
{
  return (float)CLAMP(0.5 - distance, 0.0, 1.0);
}

/* What is outside becomes dark and pale. */
static void _dim(dt_overlay_t *o)
{
  for(size_t i = 0; i < (size_t)o->width * (size_t)o->height; i++)
  {
    uint8_t *p = o->rgb + 3 * i;
    const float grey = 0.2126f * (float)p[0] + 0.7152f * (float)p[1] + 0.0722f * (float)p[2];
    const float in = CLAMP(o->inside[i], 0.0f, 1.0f);
    for(int c = 0; c < 3; c++)
    {
      const float out = 0.46f * (0.65f * grey + 0.35f * (float)p[c]);
      p[c] = (uint8_t)(out + in * ((float)p[c] - out) + 0.5f);
    }
  }
}

/* The mean of 2 @p r + 1 neighbours along a line of @p n samples, the ends repeated. */
static void _average_line(float *line, int n, ptrdiff_t step, int r, float *copy)
{
  for(int i = 0; i < n; i++) copy[i] = line[i * step];
  double sum = 0;
  for(int k = -r; k <= r; k++) sum += (double)copy[CLAMP(k, 0, n - 1)];
  for(int i = 0; i < n; i++)
  {
    line[i * step] = (float)(sum / (2 * r + 1));
    sum += (double)(copy[MIN(i + r + 1, n - 1)] - copy[MAX(i - r, 0)]);
  }
}

static void _blur(float *plane, int width, int height, int r)
{
  float *copy = g_new0(float, MAX(width, height));
  for(int pass = 0; pass < 3; pass++)
  {
    for(int y = 0; y < height; y++) _average_line(plane + (size_t)y * (size_t)width, width, 1, r, copy);
    for(int x = 0; x < width; x++) _average_line(plane + x, height, width, r, copy);
  }
  g_free(copy);
}

/* Distance to where a blurred mask is one half: what is missing, by how fast it changes. */
static double _line_distance(const float *mask, int width, int height, int x, int y)
{
  const float *at = mask + (size_t)y * (size_t)width + (size_t)x;
  const double dx = 0.5 * (double)(at[x + 1 < width] - at[-(x > 0)]),
               dy = 0.5 * (double)(at[y + 1 < height ? width : 0] - at[y > 0 ? -width : 0]);
  return fabs((double)*at - 0.5) / MAX(sqrt(dx * dx + dy * dy), 0.01);
}

/* A touch of colour inside and a line around. */
static void _draw_mask(dt_overlay_t *o, const uint8_t *small, _colour_t accent, float tint)
{
  float *mask = o->plane;
  const double half = MAX(1.0, MAX(o->width, o->height) / 1250.0);
  for(size_t i = 0; i < (size_t)o->width * (size_t)o->height; i++)
  {
    const float inside = (float)small[i] / 255.0f;
    _mix(o->rgb + 3 * i, accent, tint * inside);
    mask[i] = CLAMP(2.0f * inside - 0.5f, 0.0f, 1.0f); /* hair is not outlined hair by hair */
  }
  _blur(mask, o->width, o->height, (int)ceil(half + 1.0));
  for(int y = 0; y < o->height; y++)
    for(int x = 0; x < o->width; x++)
    {
      uint8_t *p = o->rgb + 3 * ((size_t)y * (size_t)o->width + (size_t)x);
      const double distance = _line_distance(mask, o->width, o->height, x, y);
      _mix(p, _black, 0.5f * _cover(distance - half - 1.0));
      _mix(p, accent, _cover(distance - half));
    }
}

static double _unit(const dt_overlay_t *o)
{
  return CLAMP(MAX(o->width, o->height) / 160.0, 4.0, 40.0);
}

/* Distance to the sign in a mark: one bar, or two that cross. */
static double _sign_distance(double dx, double dy, double r, gboolean plus)
{
  const double across = MAX(fabs(dx) - 0.5 * r, fabs(dy) - 0.12 * r),
               down = MAX(fabs(dy) - 0.5 * r, fabs(dx) - 0.12 * r);
  return plus ? MIN(across, down) : across;
}

static void _draw_point(dt_overlay_t *o, const _mark_t *m)
{
  const double r = _unit(o), ring = MAX(1.2, 0.22 * r), shade = MAX(1.0, 0.2 * r);
  const gboolean plus = m->label == DT_SEG_FOREGROUND;
  const int reach = (int)ceil(r + ring + shade) + 1;
  for(int y = MAX(0, (int)m->y0 - reach); y < MIN(o->height, (int)m->y0 + reach); y++)
    for(int x = MAX(0, (int)m->x0 - reach); x < MIN(o->width, (int)m->x0 + reach); x++)
    {
      uint8_t *p = o->rgb + 3 * ((size_t)y * (size_t)o->width + (size_t)x);
      const double dx = x + 0.5 - m->x0, dy = y + 0.5 - m->y0, d = sqrt(dx * dx + dy * dy) - r;
      _mix(p, _black, 0.35f * _cover(d - ring - shade));
      _mix(p, _white, _cover(d - ring));
      _mix(p, plus ? _plus : _minus, _cover(d));
      _mix(p, _white, _cover(_sign_distance(dx, dy, r, plus)));
    }
}

/* A dashed frame, white and black in turn, to be seen on anything. */
static void _draw_box(dt_overlay_t *o, const _mark_t *m)
{
  const double half = MAX(0.9, MAX(o->width, o->height) / 1800.0), dash = 1.4 * _unit(o);
  const int reach = (int)ceil(half) + 2;
  const double middle_x = 0.5 * (m->x0 + m->x1), middle_y = 0.5 * (m->y0 + m->y1);
  for(int y = MAX(0, (int)m->y0 - reach); y < MIN(o->height, (int)m->y1 + reach); y++)
    for(int x = MAX(0, (int)m->x0 - reach); x < MIN(o->width, (int)m->x1 + reach); x++)
    {
      const double dx = fabs(x + 0.5 - middle_x) - 0.5 * (m->x1 - m->x0),
                   dy = fabs(y + 0.5 - middle_y) - 0.5 * (m->y1 - m->y0);
      const double along = dx > dy ? y - m->y0 : x - m->x0, d = fabs(MAX(dx, dy));
      const gboolean light = fmod(along + 8.0 * dash, 2.0 * dash) < dash;
      uint8_t *p = o->rgb + 3 * ((size_t)y * (size_t)o->width + (size_t)x);
      _mix(p, _black, 0.45f * _cover(d - half - 0.8));
      _mix(p, light ? _white : _black, _cover(d - half));
    }
}

const uint8_t *dt_overlay_draw(dt_overlay_t *o, int *width, int *height)
{
  _dim(o);
  for(guint i = 0; i < o->masks->len; i++)
    _draw_mask(o, o->masks->pdata[i], _accents[i % G_N_ELEMENTS(_accents)],
               o->masks->len > 1 ? 0.18f : 0.08f);
  g_ptr_array_set_size(o->masks, 0);
  for(guint i = 0; i < o->marks->len; i++)
    if(g_array_index(o->marks, _mark_t, i).label == DT_SEG_BOX_TOP_LEFT)
      _draw_box(o, &g_array_index(o->marks, _mark_t, i));
  for(guint i = 0; i < o->marks->len; i++)
    if(g_array_index(o->marks, _mark_t, i).label < DT_SEG_BOX_TOP_LEFT)
      _draw_point(o, &g_array_index(o->marks, _mark_t, i));
  *width = o->width;
  *height = o->height;
  return o->rgb;
}
