/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Weights of samples between samples. */
#include "common/lanczos.h"

#include <math.h>

#define LOBES DT_LANCZOS_LOBES

double dt_lanczos(double x)
{
  if(x == 0) return 1;
  if(fabs(x) >= LOBES) return 0;
  const double px = G_PI * x;
  return LOBES * sin(px) * sin(px / LOBES) / (px * px);
}

/* Of the taps around the middle of output sample @p i. */
static void _weigh(dt_lanczos_axis_t *axis, int i)
{
  const double ratio = (double)axis->from / axis->to, wide = MAX(ratio, 1.0);
  const double middle = (i + 0.5) * ratio - 0.5;
  const int low = (int)floor(middle - LOBES * wide) + 1, high = (int)ceil(middle + LOBES * wide) - 1;
  const int base = CLAMP(low, 0, axis->from - axis->taps);
  float *weights = axis->weights + (gsize)i * (gsize)axis->taps;
  double sum = 0;
  for(int k = low; k <= high; k++) sum += dt_lanczos((k - middle) / wide);
  for(int k = low; k <= high; k++)
    weights[CLAMP(k, 0, axis->from - 1) - base] += (float)(dt_lanczos((k - middle) / wide) / sum);
  axis->first[i] = base;
}

gboolean dt_lanczos_axis_init(dt_lanczos_axis_t *axis, int from, int to)
{
  const double wide = MAX((double)from / to, 1.0);
  axis->from = from;
  axis->to = to;
  axis->taps = MIN(from, 2 * (int)ceil(LOBES * wide) + 1);
  axis->first = g_try_new0(int, (gsize)to);
  axis->weights = g_try_malloc0_n((gsize)to, (gsize)axis->taps * sizeof(float));
  if(!axis->first || !axis->weights) return FALSE;
  for(int i = 0; i < to; i++) _weigh(axis, i);
  return TRUE;
}

void dt_lanczos_axis_clear(dt_lanczos_axis_t *axis)
{
  g_free(axis->first);
  g_free(axis->weights);
}
