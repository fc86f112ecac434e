/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The green of ratio-corrected demosaicing (RCD, L. Sanz Rodríguez): interpolated in the direction along which the
 * picture changes least, each neighbour corrected by how brightness goes from there to here.
 *
 * Every step reaches further than the one before, and is done of so much less of the margin. */
#include "common/demosaic_internal.h"

#include <math.h>

/* Against divisions by 0: far below what a sensor tells apart, and its square. */
#define SMALL 1e-5f
#define TINY 1e-10f

enum
{
  REACH_ENERGY = 3,
  REACH_LOW_PASS = 1,
  REACH_DIRECTION = 4,
  REACH_GREEN = 5,
};
G_STATIC_ASSERT(REACH_GREEN + DT_DEMOSAIC_FOLLOW_REACH <= DT_DEMOSAIC_METHOD_REACH);

/* First column, from @p from on, of row @p y whose site is not green. */
static int _first(const dt_demosaic_band_t *b, int from, int y)
{
  return from + (dt_demosaic_colour(b, from, y) == DT_SITE_GREEN);
}

static inline float _square(float x)
{
  return x * x;
}

/* What changes fast along a line of sites @p step apart, squared. */
static void _measure_energy(const dt_demosaic_band_t *b, ptrdiff_t step, float *out)
{
  for(int y = REACH_ENERGY; y < b->rows - REACH_ENERGY; y++)
  {
    const ptrdiff_t row = (ptrdiff_t)y * b->width;
    for(ptrdiff_t i = row + REACH_ENERGY; i < row + b->width - REACH_ENERGY; i++)
    {
      const float *p = b->sites + i;
      out[i] = _square(p[-3 * step] + p[3 * step] - p[-step] - p[step] - 3 * (p[-2 * step] + p[2 * step])
                       + 6 * p[0]);
    }
  }
}

/* From 0, where there is least energy down the picture, to 1, where there is least across. */
static void _measure_direction(const dt_demosaic_band_t *b, float *out)
{
  float *down = b->scratch[0], *across = b->scratch[1];
  const ptrdiff_t w = b->width;
  _measure_energy(b, w, down);
  _measure_energy(b, 1, across);
  for(int y = REACH_DIRECTION; y < b->rows - REACH_DIRECTION; y++)
    for(ptrdiff_t i = y * w + REACH_DIRECTION; i < (y + 1) * w - REACH_DIRECTION; i++)
    {
      const float one = down[i - w] + down[i] + down[i + w], two = across[i - 1] + across[i] + across[i + 1];
      out[i] = (one + TINY) / (one + two + 2 * TINY);
    }
}

/* The direction at a site, or that of its diagonal neighbours where they are surer. */
static inline float _direction(const float *d, ptrdiff_t width)
{
  const float around = 0.25f * (d[-width - 1] + d[-width + 1] + d[width - 1] + d[width + 1]);
  return fabsf(0.5f - d[0]) < fabsf(0.5f - around) ? around : d[0];
}

/* Between two estimates, nearer to the one with the smaller gradient. */
static inline float _lean(float a, float b, float gradient_a, float gradient_b)
{
  return a + (b - a) * (gradient_a / (gradient_a + gradient_b));
}

/* Brightness: over 3×3 sites every colour has the same weight, wherever they are. */
static void _filter_low(const dt_demosaic_band_t *b, float *out)
{
  const ptrdiff_t w = b->width;
  for(int y = REACH_LOW_PASS; y < b->rows - REACH_LOW_PASS; y++)
    for(ptrdiff_t i = y * w + REACH_LOW_PASS; i < (y + 1) * w - REACH_LOW_PASS; i++)
    {
      const float *p = b->sites + i;
      out[i] =
          p[0] + 0.5f * (p[-w] + p[w] + p[-1] + p[1]) + 0.25f * (p[-w - 1] + p[-w + 1] + p[w - 1] + p[w + 1]);
    }
}

/* Green next to a site, towards @p step, times the ratio of brightness here to there; not more than double, even where
 * noise is around black. */
static inline float _correct(const float *p, const float *low, ptrdiff_t step)
{
  const float here = low[0], there = low[2 * step];
  return p[step] * (1 + (here - there) / (SMALL + fabsf(here) + fabsf(there)));
}

static inline float _gradient(const float *p, ptrdiff_t step)
{
  return SMALL + fabsf(p[step] - p[-step]) + fabsf(p[0] - p[2 * step]) + fabsf(p[step] - p[3 * step])
         + fabsf(p[2 * step] - p[4 * step]);
}

static inline float _interpolate_green(const float *p, const float *low, ptrdiff_t step)
{
  return _lean(_correct(p, low, -step), _correct(p, low, step), _gradient(p, -step), _gradient(p, step));
}

static void _fill_green(const dt_demosaic_band_t *b, const float *direction, const float *low)
{
  float *green = b->colours[DT_SITE_GREEN];
  const ptrdiff_t w = b->width;
  for(int y = REACH_GREEN; y < b->rows - REACH_GREEN; y++)
    for(int x = _first(b, REACH_GREEN, y); x < w - REACH_GREEN; x += 2)
    {
      const ptrdiff_t i = y * w + x;
      const float vertical = _interpolate_green(b->sites + i, low + i, w);
      const float horizontal = _interpolate_green(b->sites + i, low + i, 1);
      green[i] = vertical + (horizontal - vertical) * _direction(direction + i, w);
    }
}

void dt_demosaic_bayer_green(const dt_demosaic_band_t *b)
{
  float *direction = b->scratch[2], *low = b->scratch[3];
  _measure_direction(b, direction);
  _filter_low(b, low);
  _fill_green(b, direction, low);
}
