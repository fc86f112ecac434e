/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The green of X-Trans, directed by homogeneity (after K. Hirakawa and T. Parks, 2005): the picture is interpolated for
 * each of four directions, and every pixel takes most of those in which its surroundings are smoothest.
 *
 * A direction's interpolation is linear. The weights of the sites around one follow from how far neighbours in a
 * photograph are alike, as kriging has it (G. Matheron, 1963): in brightness, which all three colours share and which
 * changes more slowly along the direction than across; and in what each colour has besides. Of all weights that keep
 * flat colours and slopes of brightness as they are, these have the least error to be expected. So there is nothing
 * in here about which colour sits where: that is the mosaic's. */
#include "common/demosaic_internal.h"
#include "common/errors.h"
#include "common/memory.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum
{
  PERIOD = 6,
  COLOURS = 3,
  DIRECTIONS = 4,
  RADIUS = 2, ///< of the sites that a direction's interpolation looks at
  SIDE = 2 * RADIUS + 1,
  SITES = SIDE * SIDE,
  CONSTRAINTS = COLOURS + 2,
  UNKNOWNS = SITES + CONSTRAINTS,
  BLUR = 2,                           ///< radius of a pixel's surroundings
  REACH_DIRECTED = RADIUS + 1 + BLUR, ///< a bend is three pixels long
  MARGIN = DT_DEMOSAIC_MARGIN,        ///< around a tile as around a band
  SPARE = DT_DEMOSAIC_FOLLOW_REACH,
  TILE = 42 * PERIOD,                     ///< columns at a time, so that the processor's cache holds them
  PERIODS = (TILE + 2 * MARGIN) / PERIOD, ///< of a tile with its margins
  WIDTH = PERIODS * PERIOD,
};
G_STATIC_ASSERT(REACH_DIRECTED + SPARE <= DT_DEMOSAIC_METHOD_REACH && DT_DEMOSAIC_METHOD_REACH <= MARGIN);
G_STATIC_ASSERT(RADIUS <= PERIOD && PERIOD + 1 + BLUR + SPARE <= MARGIN);

/* Pixels over which likeness falls to 1/e, for brightness and for colour; the variance of colour and that of noise, of
 * brightness being 1. Found by trying: half or double of one costs a tenth of a decibel or two. */
static const double ALONG = 16, ACROSS = 1.5, COLOUR_LENGTH = 3, COLOUR = 0.3, NOISE = 1e-3;
/* Against divisions by 0. */
static const float TINY = 1e-9f;

/* Unit vectors, and the way to the next pixel. */
static const struct
{
  double x, y;
  int dx, dy;
} _directions[DIRECTIONS] = {
  { 1, 0, 1, 0 }, { 0, 1, 0, 1 }, { G_SQRT2 / 2, G_SQRT2 / 2, 1, 1 }, { G_SQRT2 / 2, -G_SQRT2 / 2, 1, -1 }
};

struct dt_demosaic_xtrans_t
{
  float weights[DIRECTIONS][PERIOD][PERIOD][COLOURS][SITES]; ///< at [y][x] of the period, for a colour
};

// --- weights

typedef struct _system_t
{
  double rows[UNKNOWNS][UNKNOWNS + COLOURS];
} _system_t;

static double _brightness_alike(int direction, int dx, int dy)
{
  const double x = _directions[direction].x, y = _directions[direction].y;
  return exp(-hypot((dx * x + dy * y) / ALONG, (dx * y - dy * x) / ACROSS));
}

static double _colour_alike(int dx, int dy)
{
  return COLOUR * exp(-hypot(dx, dy) / COLOUR_LENGTH);
}

static int _colour_near(const dt_mosaic_t *m, int x, int y, int dx, int dy)
{
  return dt_mosaic_colour(m, x + dx + PERIOD, y + dy + PERIOD);
}

/* What is known about site @p i: how alike it is to the others, and to each colour in the middle. */
static void _set_up_site(const dt_mosaic_t *m, int direction, int x, int y, int i, _system_t *s)
{
  const int dx = i % SIDE - RADIUS, dy = i / SIDE - RADIUS, colour = _colour_near(m, x, y, dx, dy);
  double *row = s->rows[i];
  for(int k = 0; k < SITES; k++)
  {
    const int kx = k % SIDE - RADIUS, ky = k / SIDE - RADIUS;
    row[k] = _brightness_alike(direction, kx - dx, ky - dy);
    if(_colour_near(m, x, y, kx, ky) == colour) row[k] += _colour_alike(kx - dx, ky - dy);
  }
  row[i] += NOISE;
  for(int c = 0; c < COLOURS; c++) row[UNKNOWNS + c] = _brightness_alike(direction, dx, dy);
  row[UNKNOWNS + colour] += _colour_alike(dx, dy);
  row[SITES + colour] = s->rows[SITES + colour][i] = 1;
  row[SITES + COLOURS] = s->rows[SITES + COLOURS][i] = dx;
  row[SITES + COLOURS + 1] = s->rows[SITES + COLOURS + 1][i] = dy;
}

static void _swap_rows(double *a, double *b)
{
  for(int i = 0; i < UNKNOWNS + COLOURS; i++)
  {
    const double swap = a[i];
    a[i] = b[i];
    b[i] = swap;
  }
}

/* Elimination after Gauß and Jordan; what is left is diagonal. */
static void _solve(_system_t *s)
{
  for(int k = 0; k < UNKNOWNS; k++)
  {
    int best = k;
    for(int i = k + 1; i < UNKNOWNS; i++) best = fabs(s->rows[i][k]) > fabs(s->rows[best][k]) ? i : best;
    if(best != k) _swap_rows(s->rows[k], s->rows[best]);
    for(int i = 0; i < UNKNOWNS; i++)
    {
      if(i == k) continue;
      const double factor = s->rows[i][k] / s->rows[k][k];
      for(int j = k; j < UNKNOWNS + COLOURS; j++) s->rows[i][j] -= factor * s->rows[k][j];
    }
  }
}

static void _find_weights(dt_demosaic_xtrans_t *t, const dt_mosaic_t *m, int direction, int x, int y)
{
  _system_t s = { 0 };
  for(int i = 0; i < SITES; i++) _set_up_site(m, direction, x, y, i, &s);
  // the weights of a colour add up to 1 for itself, to 0 for the others
  for(int c = 0; c < COLOURS; c++) s.rows[SITES + c][UNKNOWNS + c] = 1;
  _solve(&s);
  for(int c = 0; c < COLOURS; c++)
    for(int i = 0; i < SITES; i++)
      t->weights[direction][y][x][c][i] = (float)(s.rows[i][UNKNOWNS + c] / s.rows[i][i]);
}

dt_demosaic_xtrans_t *dt_demosaic_xtrans_new(const dt_mosaic_t *mosaic)
{
  dt_demosaic_xtrans_t *t = g_new0(dt_demosaic_xtrans_t, 1);
  for(int i = 0; i < PERIOD * PERIOD; i++)
    for(int d = 0; d < DIRECTIONS; d++) _find_weights(t, mosaic, d, i % PERIOD, i / PERIOD);
  return t;
}

void dt_demosaic_xtrans_free(dt_demosaic_xtrans_t *xtrans)
{
  g_free(xtrans);
}

const float *dt_demosaic_xtrans_weights(const dt_demosaic_xtrans_t *xtrans, size_t *bytes)
{
  *bytes = sizeof(xtrans->weights);
  return &xtrans->weights[0][0][0][0][0];
}

// --- the first pass, for some columns of a band

typedef struct _tile_t
{
  const dt_demosaic_xtrans_t *xtrans;
  const dt_demosaic_band_t *band;
  int from;     ///< column of the band where the tile's margin begins
  float *sites; ///< of every row the first ones of all periods, then the second ones …
  float *pictures[DIRECTIONS][COLOURS]; ///< interpolated in a direction
  float *energies[DIRECTIONS];          ///< of how they bend
} _tile_t;

static void _take_sites(const _tile_t *t)
{
  const dt_demosaic_band_t *b = t->band;
  const int n = MIN(WIDTH, b->width - t->from);
  for(int y = 0; y < b->rows; y++)
  {
    const float *row = b->sites + (size_t)y * (size_t)b->width + t->from;
    float *to = t->sites + (size_t)y * WIDTH;
    for(int x = 0; x < WIDTH; x++) to[x % PERIOD * PERIODS + x / PERIOD] = x < n ? row[x] : 0;
  }
}

/* A function of its own: otherwise the compiler swaps this loop with the one around it, and vectorises neither. */
G_GNUC_NO_INLINE static void _add(const float *restrict in, float weight, float *restrict sums)
{
  for(int k = 0; k < PERIODS - 2; k++) sums[k] += weight * in[k];
}

/* All pixels of a row at one place of the period, but for the first and the last period. */
static void _interpolate_place(const _tile_t *t, const float *weights, int x, int y, float *out)
{
  float sums[PERIODS - 2] = { 0 };
  for(int i = 0; i < SITES; i++)
  {
    const int at = x + i % SIDE - RADIUS + PERIOD, row = y + i / SIDE - RADIUS;
    _add(t->sites + row * WIDTH + at % PERIOD * PERIODS + at / PERIOD, weights[i], sums);
  }
  for(int k = 0; k < PERIODS - 2; k++) out[(k + 1) * PERIOD + x] = sums[k];
}

static void _copy_place(const _tile_t *t, int x, int y, float *out)
{
  const float *in = t->sites + y * WIDTH + x * PERIODS;
  for(int k = 1; k < PERIODS - 1; k++) out[k * PERIOD + x] = in[k];
}

static void _interpolate(const _tile_t *t, int direction)
{
  for(int c = 0; c < COLOURS; c++)
    for(int y = RADIUS; y < t->band->rows - RADIUS; y++)
      for(int x = 0; x < PERIOD; x++)
      {
        float *out = t->pictures[direction][c] + (size_t)y * WIDTH;
        if(dt_demosaic_colour(t->band, x, y) == c)
          _copy_place(t, x, y, out);
        else
          _interpolate_place(t, t->xtrans->weights[direction][y % PERIOD][x][c], x, y, out);
      }
}

static inline float _bend(const float *p, ptrdiff_t step)
{
  return 2 * p[0] - p[-step] - p[step];
}

/* How much the picture of a direction bends along it, in brightness and in both differences of colour. */
static void _measure_energy(const _tile_t *t, int direction)
{
  const ptrdiff_t step = (ptrdiff_t)_directions[direction].dy * WIDTH + _directions[direction].dx;
  float *const *p = t->pictures[direction];
  for(int y = RADIUS + 1; y < t->band->rows - RADIUS - 1; y++)
    for(size_t i = (size_t)y * WIDTH + PERIOD + 1; i < (size_t)(y + 1) * WIDTH - PERIOD - 1; i++)
    {
      const float red = _bend(p[DT_SITE_RED] + i, step), green = _bend(p[DT_SITE_GREEN] + i, step);
      const float blue = _bend(p[DT_SITE_BLUE] + i, step), bright = 0.5f * green + 0.25f * (red + blue);
      t->energies[direction][i] =
          bright * bright + (red - green) * (red - green) + (blue - green) * (blue - green);
    }
}

/* What a direction counts along row @p y: the less, the more its picture bends all around. */
static void _weigh(const _tile_t *t, int direction, int y, float *weights)
{
  float columns[WIDTH] = { 0 };
  for(int v = -BLUR; v <= BLUR; v++)
    for(int x = PERIOD + 1; x < WIDTH - PERIOD - 1; x++)
      columns[x] += t->energies[direction][(y + v) * WIDTH + x];
  for(int x = MARGIN - SPARE; x < WIDTH - MARGIN + SPARE; x++)
  {
    float sum = TINY;
    for(int u = -BLUR; u <= BLUR; u++) sum += columns[x + u];
    weights[x] = 1 / sum;
  }
}

/* The mean of the directions' greens along row @p y, by the squares of what they count. */
static void _mix_row(const _tile_t *t, int y, float *green)
{
  float weights[DIRECTIONS][WIDTH];
  for(int d = 0; d < DIRECTIONS; d++) _weigh(t, d, y, weights[d]);
  for(int x = MARGIN - SPARE; x < WIDTH - MARGIN + SPARE; x++)
  {
    const float most = MAX(MAX(weights[0][x], weights[1][x]), MAX(weights[2][x], weights[3][x]));
    float total = 0, sum = 0;
    for(int d = 0; d < DIRECTIONS; d++)
    {
      const float share = weights[d][x] / most, weight = share * share;
      total += weight;
      sum += weight * t->pictures[d][DT_SITE_GREEN][y * WIDTH + x];
    }
    green[x] = sum / total;
  }
}

static void _finish_tile(const _tile_t *t)
{
  const dt_demosaic_band_t *b = t->band;
  const int from = MARGIN - SPARE, to = MIN(WIDTH, b->width - t->from) - MARGIN + SPARE;
  float green[WIDTH];
  for(int y = MARGIN - SPARE; y < b->rows - MARGIN + SPARE; y++)
  {
    _mix_row(t, y, green);
    memcpy(b->colours[DT_SITE_GREEN] + (size_t)y * (size_t)b->width + t->from + from, green + from,
           (size_t)(to - from) * sizeof(float));
  }
}

static gboolean _direct(const dt_demosaic_xtrans_t *xtrans, const dt_demosaic_band_t *band, GError **error)
{
  const size_t plane = (size_t)band->rows * WIDTH, planes = 1 + DIRECTIONS * (COLOURS + 1);
  float *all = dt_memory_try_large(plane * planes, sizeof(float));
  if(!all)
  {
    g_set_error_literal(error, DT_AI_ERROR, DT_AI_ERROR_MEMORY,
                        "There is no memory to demosaic a sensor of X-Trans.");
    return FALSE;
  }
  memset(all, 0, plane * planes * sizeof(float));
  float *next = all + plane;
  _tile_t t = { .xtrans = xtrans, .band = band, .sites = all };
  for(int d = 0; d < DIRECTIONS; d++, next += plane * (COLOURS + 1))
  {
    t.energies[d] = next;
    for(int c = 0; c < COLOURS; c++) t.pictures[d][c] = next + plane * (size_t)(1 + c);
  }
  for(; t.from < band->width - 2 * MARGIN; t.from += TILE)
  {
    _take_sites(&t);
    for(int d = 0; d < DIRECTIONS; d++)
    {
      _interpolate(&t, d);
      _measure_energy(&t, d);
    }
    _finish_tile(&t);
  }
  free(all);
  return TRUE;
}

/* Between green sites green is not much outside their range: where another colour goes up and down by far more than
 * green, the directions' pictures take it for brightness. */
static void _limit_row(const dt_demosaic_band_t *b, int y)
{
  float *green = b->colours[DT_SITE_GREEN];
  for(int x = MARGIN - SPARE; x < b->width - MARGIN + SPARE; x++)
  {
    const ptrdiff_t i = (ptrdiff_t)y * b->width + x;
    float least = G_MAXFLOAT, most = -G_MAXFLOAT;
    if(dt_demosaic_colour(b, x, y) == DT_SITE_GREEN) continue;
    for(int v = -1; v <= 1; v++)
      for(int u = -1; u <= 1; u++)
        if(dt_demosaic_colour(b, x + u, y + v) == DT_SITE_GREEN)
        {
          const float site = b->sites[i + v * b->width + u];
          least = MIN(least, site);
          most = MAX(most, site);
        }
    const float more = 0.5f * (most - least);
    if(most >= least) green[i] = CLAMP(green[i], least - more, most + more);
  }
}

gboolean dt_demosaic_xtrans_green(const dt_demosaic_xtrans_t *xtrans, const dt_demosaic_band_t *band,
                                  GError **error)
{
  if(!_direct(xtrans, band, error)) return FALSE;
  for(int y = MARGIN - SPARE; y < band->rows - MARGIN + SPARE; y++) _limit_row(band, y);
  return TRUE;
}
