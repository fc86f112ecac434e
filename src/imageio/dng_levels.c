/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Codes for a result that may go below the source's black and above its white.
 *
 * A source of whole numbers keeps its codes in steps of k: S = k · (white - black), B = k · black but at least S / 64,
 * with the largest whole k for which the source's largest value, or 1 + 1/64 of white where that is more, still
 * has a code of 16 bits. A value that was not changed is v = (code - black) / (white - black), so
 *
 *   round(B + S · v) = k · code + (B - k · black)
 *
 * and the source can be had back exactly where all sites share their levels. (Where they do not, S is that of the
 * site of the widest range.)
 *
 * A source that fills its 16 bits up to the edges, or has floating point, has no such k. It gets S = 52000 and B = 4096,
 * or less of S where it goes far beyond white, down to a sixteenth: what is then still beyond is cut.
 *
 * Three samples per pixel have B = 0, as darktable (up to 4.2 at least) takes black for 0 there whatever the file says,
 * which lifts all colours by a pedestal and leaves nothing grey. */
#include "imageio/dng_internal.h"

#include "common/half.h"

#include <math.h>
#include <string.h>

#define LAST_CODE 65535.0
/** Room on both sides, of white. */
#define ROOM (1.0 / 64.0)
/** Where no whole factor exists. */
#define FREE_SCALE 52000.0
#define FREE_BLACK 4096.0
/** How far beyond white, and below black, values of such a source may go. */
#define FREE_MOST 16.0
#define FREE_LEAST 0.25
/** The largest half float. */
#define HALF_MOST 65504.0

/** The widest range of a site, and the highest black. */
static void _find_range(const dt_mosaic_t *m, double *black, double *range)
{
  const gboolean linear = m->sensor == DT_SENSOR_LINEAR;
  const int rows = linear ? 1 : m->period, columns = linear ? 3 : m->period;
  *black = *range = 0.0;
  for(int y = 0; y < rows; y++)
    for(int x = 0; x < columns; x++)
    {
      *black = MAX(*black, (double)m->black[y][x]);
      *range = MAX(*range, (double)m->white[y][x] - (double)m->black[y][x]);
    }
}

static double _black_for(double k, double black, double range, gboolean pedestal)
{
  return pedestal ? ceil(MAX(k * black, k * range * ROOM)) : 0.0;
}

/** The largest whole factor for which @p most has a code, 0 when there is none. */
static double _find_factor(double black, double range, double most, gboolean pedestal)
{
  double k = floor(LAST_CODE / (range * most));
  while(k >= 1.0 && _black_for(k, black, range, pedestal) + k * range * most > LAST_CODE) k--;
  return k;
}

static dt_dng_levels_t _free_levels(double least, double most, gboolean pedestal)
{
  const double above = CLAMP(most, 1.0 + ROOM, FREE_MOST), below = CLAMP(-least, ROOM, FREE_LEAST);
  dt_dng_levels_t levels = { .scale = MIN(FREE_SCALE, floor(LAST_CODE / (above + below + 1e-3))) };
  if(pedestal)
    levels.black = MIN(LAST_CODE - ceil(above * levels.scale), MAX(FREE_BLACK, ceil(below * levels.scale)));
  return levels;
}

dt_dng_levels_t dt_dng_choose_levels(const dt_mosaic_t *mosaic, dt_dng_kind_t kind, gboolean half)
{
  const gboolean pedestal = kind == DT_DNG_CFA;
  float least, most;
  double black, range;
  if(half) return (dt_dng_levels_t){ .half = TRUE, .scale = 1.0 };
  dt_mosaic_extremes(mosaic, &least, &most);
  _find_range(mosaic, &black, &range);
  const double top = MAX((double)most, 1.0 + ROOM);
  const double k = mosaic->is_float || !(range >= 1.0) ? 0.0 : _find_factor(black, range, top, pedestal);
  if(k < 1.0) return _free_levels((double)least, (double)most, pedestal);
  return (dt_dng_levels_t){ .scale = round(k * range), .black = _black_for(k, black, range, pedestal) };
}

/** Half floats: infinities and what is beyond them become the last number. */
static void _encode_half(const float *in, uint16_t *out, size_t n)
{
  float piece[256];
  for(size_t i = 0; i < n; i += G_N_ELEMENTS(piece))
  {
    const size_t m = MIN(n - i, G_N_ELEMENTS(piece));
    for(size_t k = 0; k < m; k++)
      piece[k] = isnan(in[i + k]) ? 0.0f : CLAMP(in[i + k], (float)-HALF_MOST, (float)HALF_MOST);
    dt_float_to_half(piece, out + i, m);
  }
}

void dt_dng_encode(const dt_dng_levels_t *levels, const float *in, uint16_t *out, size_t n)
{
  const float scale = (float)levels->scale, black = (float)levels->black + 0.5f;
  if(levels->half)
  {
    _encode_half(in, out, n);
    return;
  }
  for(size_t i = 0; i < n; i++)
  {
    const float value = isnan(in[i]) ? black : in[i] * scale + black;
    out[i] = (uint16_t)CLAMP(value, 0.0f, (float)LAST_CODE);
  }
}
