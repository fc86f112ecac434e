/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Noise of a picture by its own flat places.
 *
 * The mask (1 -2 1)ᵀ·(1 -2 1) takes plane gradients and everything that bends in one direction only out of the picture
 * and leaves 36 times the variance of white noise (J. Immerkær, Fast noise variance estimation, 1996). Its square is
 * averaged over blocks, and a histogram keeps how often which variance was met at which mean. Texture only ever adds to
 * it, so a low quantile of each mean's variances is that of the flat places; by how much a low quantile of blocks of
 * pure noise is below their mean is known, because such a block's variance is nearly χ²-distributed. A line through the
 * quantiles is the result. */
#include "common/noise.h"

#include <math.h>
#include <string.h>

/** Pixels of a block, besides the rim that the mask needs. */
#define BLOCK_WIDTH 16
#define BLOCK_HEIGHT 8
#define MASK_GAIN 36.0
/** Which blocks stand for the flat ones. */
#define QUANTILE 0.15
/** That quantile of χ² with the degrees of freedom that such a block has (neighbouring values of the mask depend on
 * each other: 128 values, divided by 1.94² for the two directions), in units of its mean. */
#define QUANTILE_RATIO 0.76
/** Means are kept in steps of their square root, which noise of photons makes even; variances in steps of octaves. */
#define MEANS 48
#define STEPS_PER_OCTAVE 8
#define LEAST_OCTAVE (-44)
#define VARIANCES (STEPS_PER_OCTAVE * -LEAST_OCTAVE + 8)
/** Above this, samples may be cut off by saturation. */
#define MOST_MEAN 0.9
/** Fewest blocks of one mean from which something can be told. */
#define FEWEST 24
/** How often the line is drawn anew, and how far above it a point may be by chance. */
#define ROUNDS 10
#define MOST_EXCESS 1.1

struct dt_noise_estimator_t
{
  int width;
  float *rows[3];        ///< the last ones, the oldest first
  int seen;              ///< rows pushed
  int filled;            ///< rows of the mask's values in the blocks
  float *sums, *squares; ///< of each block that is being filled
  double means[MEANS];   ///< sums of means
  guint32 counts[MEANS][VARIANCES];
};

static int _blocks(const dt_noise_estimator_t *self)
{
  return (self->width - 2) / BLOCK_WIDTH;
}

dt_noise_estimator_t *dt_noise_estimator_new(int width)
{
  dt_noise_estimator_t *self = g_new0(dt_noise_estimator_t, 1);
  self->width = width;
  for(int i = 0; i < 3; i++) self->rows[i] = g_new(float, width);
  self->sums = g_new0(float, MAX(_blocks(self), 1));
  self->squares = g_new0(float, MAX(_blocks(self), 1));
  return self;
}

size_t dt_noise_estimator_memory(const dt_noise_estimator_t *estimator)
{
  return sizeof(*estimator) + (size_t)estimator->width * 3 * sizeof(float);
}

/** Puts what a finished block has into the histogram. */
static void _count_block(dt_noise_estimator_t *self, double mean, double variance)
{
  if(!(mean < MOST_MEAN) || !(mean > -1.0) || !isfinite(variance)) return;
  const int at = MIN((int)(sqrt(MAX(mean, 0.0)) * MEANS), MEANS - 1);
  const double octave = variance > 0.0 ? log2(variance) - LEAST_OCTAVE : 0.0;
  const int step = (int)CLAMP(octave * STEPS_PER_OCTAVE, 0.0, VARIANCES - 1.0);
  self->means[at] += mean;
  self->counts[at][step]++;
}

static void _end_blocks(dt_noise_estimator_t *self)
{
  const double n = BLOCK_WIDTH * BLOCK_HEIGHT;
  for(int b = 0; b < _blocks(self); b++)
  {
    _count_block(self, self->sums[b] / n, self->squares[b] / (n * MASK_GAIN));
    self->sums[b] = self->squares[b] = 0.0f;
  }
  self->filled = 0;
}

/** Adds the mask's values of the middle one of three rows. */
static void _add_row(dt_noise_estimator_t *self)
{
  const float *above = self->rows[0], *row = self->rows[1], *below = self->rows[2];
  for(int b = 0; b < _blocks(self); b++)
    for(int x = b * BLOCK_WIDTH + 1; x <= (b + 1) * BLOCK_WIDTH; x++)
    {
      const float value = (above[x - 1] + above[x + 1] + below[x - 1] + below[x + 1])
                          - 2.0f * (above[x] + below[x] + row[x - 1] + row[x + 1]) + 4.0f * row[x];
      self->sums[b] += row[x];
      self->squares[b] += value * value;
    }
  if(++self->filled == BLOCK_HEIGHT) _end_blocks(self);
}

void dt_noise_estimator_push(dt_noise_estimator_t *estimator, const float *row)
{
  float *oldest = estimator->rows[0];
  estimator->rows[0] = estimator->rows[1];
  estimator->rows[1] = estimator->rows[2];
  estimator->rows[2] = oldest;
  memcpy(oldest, row, (size_t)estimator->width * sizeof(*row));
  if(++estimator->seen >= 3) _add_row(estimator);
}

// --- The line

/** What is known of one mean. */
typedef struct _point_t
{
  double x, variance, weight;
} _point_t;

/** The variance below which the part QUANTILE of a mean's blocks is; 0 when these have none at all. */
static double _find_quantile(const guint32 *counts, double blocks)
{
  double left = QUANTILE * blocks;
  int step = 0;
  while(step < VARIANCES - 1 && left >= counts[step]) left -= counts[step++];
  if(step == 0) return 0.0;
  return exp2((step + left / MAX(counts[step], 1u)) / STEPS_PER_OCTAVE + LEAST_OCTAVE);
}

static int _collect(const dt_noise_estimator_t *self, _point_t *points)
{
  int n = 0;
  for(int i = 0; i < MEANS; i++)
  {
    double blocks = 0.0;
    for(int k = 0; k < VARIANCES; k++) blocks += self->counts[i][k];
    if(blocks < FEWEST) continue;
    points[n++] = (_point_t){ .x = MAX(self->means[i] / blocks, 0.0),
                              .variance = _find_quantile(self->counts[i], blocks) / QUANTILE_RATIO,
                              .weight = blocks };
  }
  return n;
}

/** The line nearest to the points; both of its parts at least 0. */
static dt_noise_t _fit(const _point_t *points, int n)
{
  double w = 0.0, x = 0.0, v = 0.0, xx = 0.0, xv = 0.0;
  for(int i = 0; i < n; i++)
  {
    w += points[i].weight;
    x += points[i].weight * points[i].x;
    v += points[i].weight * points[i].variance;
    xx += points[i].weight * points[i].x * points[i].x;
    xv += points[i].weight * points[i].x * points[i].variance;
  }
  const double spread = w * xx - x * x;
  dt_noise_t line = { 0.0, v / w };
  if(spread > 1e-9 * w * w) line.scale = (w * xv - x * v) / spread;
  line.offset = (v - line.scale * x) / w;
  if(line.scale < 0.0) line = (dt_noise_t){ 0.0, v / w };
  if(line.offset < 0.0) line = (dt_noise_t){ xv / xx, 0.0 };
  return line;
}

/** What a point counts beside the last line; NULL: there is none yet. A variance is known to a part of itself, so what
 * counts is how far it is off in that measure; and what is far above the others is a mean of nothing but texture. */
static double _weigh(const _point_t *point, const dt_noise_t *line)
{
  const double expected = line ? line->offset + line->scale * point->x : point->variance;
  const double excess = point->variance / MAX(expected * MOST_EXCESS, 1e-30);
  return 1.0 / (MAX(expected * expected, 1e-30) * pow(MAX(excess, 1.0), 6.0));
}

gboolean dt_noise_estimator_get(const dt_noise_estimator_t *estimator, dt_noise_t *noise)
{
  _point_t points[MEANS];
  double blocks[MEANS];
  const int n = _collect(estimator, points);
  for(int i = 0; i < n; i++) blocks[i] = points[i].weight;
  *noise = (dt_noise_t){ 0 };
  if(n == 0) return FALSE;
  for(int round = 0; round < ROUNDS; round++)
  {
    for(int i = 0; i < n; i++) points[i].weight = blocks[i] * _weigh(&points[i], round == 0 ? NULL : noise);
    *noise = _fit(points, n);
  }
  return TRUE;
}

void dt_noise_estimator_free(dt_noise_estimator_t *estimator)
{
  if(!estimator) return;
  for(int i = 0; i < 3; i++) g_free(estimator->rows[i]);
  g_free(estimator->sums);
  g_free(estimator->squares);
  g_free(estimator);
}
