/* SPDX-License-Identifier: GPL-3.0-or-later */
/* From green everywhere to all colours everywhere: red and blue follow green, then green, where it was not seen, follows
 * the colour that was.
 *
 * Nearby, one colour goes up and down as another does: by as much where both are about as bright (their difference
 * stays), by less where it is darker (their ratio stays). Places that look like this one tell more than others. */
#include "common/demosaic_internal.h"

#include <math.h>

enum
{
  MARGIN = DT_DEMOSAIC_MARGIN,
  REACH_GREEN = 1,   ///< green sites are never further away
  REACH_COLOURS = 2, ///< nor red and blue ones
  SITES = (2 * REACH_COLOURS + 1) * (2 * REACH_COLOURS + 1),
};
G_STATIC_ASSERT(REACH_GREEN + REACH_COLOURS == DT_DEMOSAIC_FOLLOW_REACH);

/* Differences below this are none: noise, mostly. */
#define SMALL 1e-3f
/* Well below this, colours keep their difference: ratios of what is mostly noise would shift the mean. */
#define DARK 0.02f
/* A colour that is brighter than the one it follows does not go up and down by more than this. */
#define STEEPEST 1.5f

/* The sites of one colour around a place of the period, the nearer the heavier. */
typedef struct _taps_t
{
  int n;
  ptrdiff_t at[SITES];
  float weights[SITES];
} _taps_t;

/* For a row of sites, and colours; a period of 2 comes three times. */
typedef _taps_t _row_taps_t[DT_MOSAIC_PERIOD][3];

static void _find_taps(const dt_demosaic_band_t *b, int colour, int x, int y, _taps_t *taps)
{
  const int r = colour == DT_SITE_GREEN ? REACH_GREEN : REACH_COLOURS;
  taps->n = 0;
  for(int dy = -r; dy <= r; dy++)
    for(int dx = -r; dx <= r; dx++)
      if(dt_demosaic_colour(b, x + dx + MARGIN, y + dy + MARGIN) == colour)
      {
        taps->at[taps->n] = (ptrdiff_t)dy * b->width + dx;
        taps->weights[taps->n++] = (float)((r + 1 - ABS(dx)) * (r + 1 - ABS(dy)));
      }
}

static void _find_row_taps(const dt_demosaic_band_t *b, int y, _row_taps_t taps)
{
  for(int x = 0; x < DT_MOSAIC_PERIOD; x++)
    for(int c = 0; c < 3; c++) _find_taps(b, c, x, y, &taps[x][c]);
}

/* @p colour at a place where @p guide is known, from sites where both are. Alike is what is alike in guide and, if it is
 * something already, in the colour. Sums are of differences from the first site: flat stays exactly flat. */
static inline float _follow(const _taps_t *taps, const float *guide, const float *colour, gboolean known)
{
  if(taps->n == 0) return guide[0];
  const float first_guide = guide[taps->at[0]], first_colour = colour[taps->at[0]];
  float guides = 0, colours = 0, total = 0;
  for(int i = 0; i < taps->n; i++)
  {
    const float g = guide[taps->at[i]], c = colour[taps->at[i]];
    const float unlike = fabsf(g - guide[0]) + (known ? fabsf(c - colour[0]) : 0);
    const float weight = taps->weights[i] / (SMALL + unlike);
    guides += weight * (g - first_guide);
    colours += weight * (c - first_colour);
    total += weight;
  }
  const float around = first_guide + guides / total, mean = first_colour + colours / total;
  const float slope = (DARK + fabsf(mean)) / (DARK + fabsf(around));
  return mean + MIN(slope, STEEPEST) * (guide[0] - around);
}

static void _follow_green(const dt_demosaic_band_t *b, int y, const _row_taps_t taps)
{
  const float *green = b->colours[DT_SITE_GREEN];
  for(int x = MARGIN - REACH_GREEN; x < b->width - MARGIN + REACH_GREEN; x++)
  {
    const size_t i = (size_t)y * (size_t)b->width + (size_t)x;
    const int own = dt_demosaic_colour(b, x, y);
    for(int c = DT_SITE_RED; c <= DT_SITE_BLUE; c += DT_SITE_BLUE - DT_SITE_RED)
      if(c != own)
        b->colours[c][i] = _follow(&taps[x % DT_MOSAIC_PERIOD][c], green + i, b->colours[c] + i, FALSE);
  }
}

static void _lead_green(const dt_demosaic_band_t *b, int y, const _row_taps_t taps)
{
  float *green = b->colours[DT_SITE_GREEN];
  for(int x = MARGIN; x < b->width - MARGIN; x++)
  {
    const size_t i = (size_t)y * (size_t)b->width + (size_t)x;
    const int own = dt_demosaic_colour(b, x, y);
    if(own != DT_SITE_GREEN)
      green[i] = _follow(&taps[x % DT_MOSAIC_PERIOD][DT_SITE_GREEN], b->colours[own] + i, green + i, TRUE);
  }
}

/* Samples of the other colours, where they were seen. */
static void _place(const dt_demosaic_band_t *b)
{
  for(int y = 0; y < b->rows; y++)
    for(int x = 0; x < b->width; x++)
    {
      const size_t i = (size_t)y * (size_t)b->width + (size_t)x;
      b->colours[dt_demosaic_colour(b, x, y)][i] = b->sites[i];
    }
}

void dt_demosaic_follow(const dt_demosaic_band_t *b)
{
  _row_taps_t *taps = g_new(_row_taps_t, DT_MOSAIC_PERIOD);
  for(int y = 0; y < DT_MOSAIC_PERIOD; y++) _find_row_taps(b, y, taps[y]);
  _place(b);
  for(int y = MARGIN - REACH_GREEN; y < b->rows - MARGIN + REACH_GREEN; y++)
    _follow_green(b, y, taps[y % DT_MOSAIC_PERIOD]);
  for(int y = MARGIN; y < b->rows - MARGIN; y++) _lead_green(b, y, taps[y % DT_MOSAIC_PERIOD]);
  g_free(taps);
}
