/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Masks on the CPU, and modules limited by them. data/kernels/blend.cl does the same in the same order. */
#include "develop/blend_internal.h"

#include "common/errors.h"
#include "common/memory.h"
#include "common/power.h"

#include <stdlib.h>

/* chroma from which a colour has all of its hue */
#define HUE_CHROMA 0.02f

/* --- colours: sums, products and whole numbers only, which no device rounds otherwise --- */

static inline float _absolute(float x)
{
  return x < 0 ? -x : x;
}

/* Newton's method for x^(-1/3), from what a third of the exponent says; 0 gives 0. */
static inline float _cube_root(float x)
{
  const float a = _absolute(x);
  float y = dt_power_float(0x54A2FA8C - dt_power_bits(a) / 3);
  for(int i = 0; i < 3; i++) y = y * (1.33333333f - 0.333333333f * (a * y * y * y));
  const float root = a * y * y;
  return x < 0 ? -root : root;
}

/* The same for x^(-1/2), of x >= 0. */
static inline float _square_root(float x)
{
  float y = dt_power_float(0x5F375A86 - (dt_power_bits(x) >> 1));
  for(int i = 0; i < 3; i++) y = y * (1.5f - 0.5f * x * y * y);
  return x * y;
}

/* And for 1/x, of x > 0. */
static inline float _reciprocal(float x)
{
  float y = dt_power_float(0x7EF311C3 - dt_power_bits(x));
  for(int i = 0; i < 3; i++) y = y * (2.0f - x * y);
  return y;
}

/* The direction of (a, b) in degrees, 0 to 360: a polynomial for the arc tangent up to 45 degrees, within 2e-5, and
 * mirrors. */
static inline float _direction(float a, float b)
{
  const float x = _absolute(a), y = _absolute(b);
  const float most = x > y ? x : y, least = x > y ? y : x;
  const float r = least * _reciprocal(most > 1e-20f ? most : 1e-20f), s = r * r;
  float degrees = 0.390286187f * s - 1.92537739f;
  degrees = degrees * s + 4.56209717f;
  degrees = degrees * s - 7.58214466f;
  degrees = degrees * s + 11.3490418f;
  degrees = degrees * s - 19.0894457f;
  degrees = (degrees * s + 57.2955567f) * r;
  degrees = y > x ? 90.0f - degrees : degrees;
  degrees = a < 0 ? 180.0f - degrees : degrees;
  return b < 0 ? 360.0f - degrees : degrees;
}

/* Linear Rec.2020 to Oklab. The first matrix is Oklab's after Rec.2020's primaries to XYZ, with the sums of its rows
 * made 1, so that greys are grey. */
static inline void _to_oklab(const float *p, float *lightness, float *a, float *b)
{
  const float l = _cube_root(0.616755788f * p[0] + 0.360198402f * p[1] + 0.0230458100f * p[2]);
  const float m = _cube_root(0.265133060f * p[0] + 0.635839371f * p[1] + 0.0990275683f * p[2]);
  const float s = _cube_root(0.100102631f * p[0] + 0.203906520f * p[1] + 0.695990848f * p[2]);
  *lightness = 0.2104542553f * l + 0.7936177850f * m - 0.0040720468f * s;
  *a = 1.9779984951f * l - 2.4285922050f * m + 0.4505937099f * s;
  *b = 0.0259040371f * l + 0.7827717662f * m - 0.8086757660f * s;
}

/* --- ranges --- */

static inline float _limit(float x)
{
  return x > 0.0f ? (x < 1.0f ? x : 1.0f) : 0.0f;
}

static inline float _trapezoid(const dt_blend_range_t *r, float x)
{
  const float up = x >= r->full_from ? 1.0f : _limit((x - r->from) * r->rise);
  const float down = x <= r->full_to ? 1.0f : _limit((r->to - x) * r->fall);
  return up * down;
}

static inline float _pass_hue(const dt_blend_ranges_t *r, float a, float b, float chroma)
{
  const float way = _direction(a, b) - r->hue_start;
  return _trapezoid(&r->hue, way < 0 ? way + 360.0f : way) * _limit(chroma * (1.0f / HUE_CHROMA));
}

/* Multiplies the mask of @p n pixels by how far they are within the ranges. */
DT_WIDE_VECTORS static void _apply_ranges(const dt_blend_t *blend, const float *pixels, int n, float *mask)
{
  const dt_blend_ranges_t r = blend->ranges;
  const int flags = blend->flags;
#pragma omp simd
  for(int i = 0; i < n; i++)
  {
    float lightness, a, b, pass = 1.0f;
    _to_oklab(pixels + (gsize)4 * (gsize)i, &lightness, &a, &b);
    const float chroma = _square_root(a * a + b * b);
    if(flags & DT_BLEND_LIGHTNESS) pass *= _trapezoid(&r.lightness, lightness);
    if(flags & DT_BLEND_CHROMA) pass *= _trapezoid(&r.chroma, chroma);
    if(flags & DT_BLEND_HUE) pass *= _pass_hue(&r, a, b, chroma);
    mask[i] *= pass;
  }
}

/* --- the object --- */

static float _sample(const dt_blend_t *blend, gint64 u, gint64 v)
{
  const int right = blend->plane_width - 1, bottom = blend->plane_height - 1;
  const int x = dt_iop_fixed_floor(u), y = dt_iop_fixed_floor(v), x0 = CLAMP(x, 0, right),
            x1 = CLAMP(x + 1, 0, right);
  const float *above = blend->plane + (gsize)CLAMP(y, 0, bottom) * (gsize)blend->plane_width;
  const float *below = blend->plane + (gsize)CLAMP(y + 1, 0, bottom) * (gsize)blend->plane_width;
  const float part = 1.0f / (1 << 24), fx = (float)dt_iop_fixed_fraction(u) * part,
              fy = (float)dt_iop_fixed_fraction(v) * part;
  const float top = above[x0] + (above[x1] - above[x0]) * fx;
  const float low = below[x0] + (below[x1] - below[x0]) * fx;
  return _limit(top + (low - top) * fy);
}

static void _sample_row(const dt_blend_t *blend, int x, int y, int n, float *mask)
{
  gint64 u = dt_iop_fixed_x(&blend->map, x, y), v = dt_iop_fixed_y(&blend->map, x, y);
  for(int i = 0; i < n; i++, u += blend->map.a, v += blend->map.d) mask[i] = _sample(blend, u, v);
}

/* --- the mask --- */

/* A rectangle of pixels in memory. */
typedef struct _pixels_t
{
  const float *pixels;
  int channels;
  const dt_iop_roi_t *roi;
} _pixels_t;

static const float *_at(const _pixels_t *p, int x, int y)
{
  return p->pixels
         + (gsize)p->channels * ((gsize)(y - p->roi->y) * (gsize)p->roi->width + (gsize)(x - p->roi->x));
}

/* One row of @p plane: what lies beyond the picture's edges is as the pixel at them. */
static void _fill_row(const dt_blend_t *blend, const _pixels_t *from, const dt_blend_plane_t *plane, int row,
                      float *mask)
{
  const int y = CLAMP(plane->y + row, 0, blend->height - 1);
  const int left = MAX(plane->x, 0), right = MIN(plane->x + plane->width, blend->width), n = right - left;
  float *inside = mask + (left - plane->x);
  if(blend->flags & DT_BLEND_OBJECT)
    _sample_row(blend, left, y, n, inside);
  else
    for(int i = 0; i < n; i++) inside[i] = 1.0f;
  if(blend->flags & DT_BLEND_RANGES) _apply_ranges(blend, _at(from, left, y), n, inside);
  if(blend->flags & DT_BLEND_INVERT)
    for(int i = 0; i < n; i++) inside[i] = 1.0f - inside[i];
  for(float *p = mask; p < inside; p++) *p = *inside;
  for(float *p = inside + n; p < mask + plane->width; p++) *p = inside[n - 1];
}

/* Sums of @p n numbers and of those @p step floats before and behind them, and so on. */
static void _blur(const dt_blend_t *blend, const float *in, gsize step, int n, float *out)
{
  for(int i = 0; i < n; i++) out[i] = blend->taps[0] * in[i];
  for(int k = 1; k <= blend->radius; k++)
  {
    const float *before = in - (gsize)k * step, *behind = in + (gsize)k * step, weight = blend->taps[k];
    for(int i = 0; i < n; i++) out[i] += weight * (before[i] + behind[i]);
  }
}

/* From the mask with its margin to one without, in the same memory, by way of @p between. */
static void _feather(const dt_blend_t *blend, const dt_blend_plane_t *plane, float *mask, float *between)
{
  const int r = blend->radius, width = plane->width - 2 * r, height = plane->height - 2 * r;
#pragma omp parallel for
  for(int y = 0; y < plane->height; y++)
    _blur(blend, mask + (gsize)y * (gsize)plane->width + r, 1, width, between + (gsize)y * (gsize)width);
#pragma omp parallel for
  for(int y = 0; y < height; y++)
    _blur(blend, between + (gsize)(y + r) * (gsize)width, (gsize)width, width,
          mask + (gsize)y * (gsize)width);
}

static inline float _mix(float before, float after, float m)
{
  return m < 1.0f ? before + (after - before) * m : after;
}

/* Of @p n pixels; @p out may be @p processed. */
static void _mix_row(const float *in, const float *processed, const float *mask, const dt_blend_t *blend,
                     int n, float *out)
{
  const float opacity = blend->opacity;
  if(blend->channels == 1)
    for(int i = 0; i < n; i++) out[i] = _mix(in[i], processed[i], mask[i] * opacity);
  else
    for(int i = 0; i < n; i++)
      for(int c = 0; c < 4; c++)
        out[4 * i + c] = _mix(in[4 * i + c], processed[4 * i + c], mask[i] * opacity);
}

gboolean dt_blend_process(const dt_blend_t *blend, const float *in, const dt_iop_roi_t *roi_in,
                          const float *processed, const dt_iop_roi_t *roi_processed, float *out,
                          const dt_iop_roi_t *roi_out, GError **error)
{
  const dt_blend_plane_t plane = dt_blend_plane(blend, roi_out);
  const _pixels_t before = { in, blend->channels, roi_in },
                  after = { processed, blend->channels, roi_processed };
  const gsize size = (gsize)plane.width * (gsize)plane.height;
  float *mask = dt_memory_try_large(size + (blend->radius ? (gsize)roi_out->width * (gsize)plane.height : 0),
                                    sizeof(float));
  if(!mask)
  {
    g_set_error(error, DT_AI_ERROR, DT_AI_ERROR_MEMORY, "There is no memory for a mask of %d x %d pixels.",
                plane.width, plane.height);
    return FALSE;
  }
#pragma omp parallel for schedule(dynamic, 8)
  for(int y = 0; y < plane.height; y++)
    _fill_row(blend, blend->flags & DT_BLEND_OUTPUT ? &after : &before, &plane, y,
              mask + (gsize)y * (gsize)plane.width);
  if(blend->radius) _feather(blend, &plane, mask, mask + size);
#pragma omp parallel for
  for(int y = 0; y < roi_out->height; y++)
    _mix_row(_at(&before, roi_out->x, roi_out->y + y), _at(&after, roi_out->x, roi_out->y + y),
             mask + (gsize)y * (gsize)roi_out->width, blend, roi_out->width,
             out + (gsize)blend->channels * (gsize)y * (gsize)roi_out->width);
  free(mask);
  return TRUE;
}
