/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The sensor's samples become normalised rows. */
#include "common/mosaic.h"

#include <math.h>

/* Samples from one pixel's to the next are a colour apart with DT_SENSOR_LINEAR, a site otherwise: how many columns of
 * the tables a row goes through. */
static int _columns(const dt_mosaic_t *m)
{
  return m->sensor == DT_SENSOR_LINEAR ? 3 : m->period;
}

/* Black and 1 / (white - black) along a row, from column @p x on. */
static void _levels(const dt_mosaic_t *m, int x, int y, float *black, float *factor)
{
  const gboolean linear = m->sensor == DT_SENSOR_LINEAR;
  for(int i = 0; i < _columns(m); i++)
  {
    const int row = linear ? 0 : y % m->period, column = linear ? i : (x + i) % m->period;
    black[i] = m->black[row][column];
    factor[i] = 1.0f / (m->white[row][column] - m->black[row][column]);
  }
}

static float _sample(const dt_mosaic_t *m, size_t at)
{
  return m->is_float ? ((const float *)m->samples)[at] : (float)((const guint16 *)m->samples)[at];
}

/* What is no number would spread through everything that looks at its neighbours. */
static float _tame(float v)
{
  if(v != v) return 0.0f;
  return fabsf(v) > DT_MOSAIC_LARGEST ? copysignf(DT_MOSAIC_LARGEST, v) : v;
}

void dt_mosaic_read(const dt_mosaic_t *m, int x, int y, int n, float *out)
{
  float black[DT_MOSAIC_PERIOD] = { 0 }, factor[DT_MOSAIC_PERIOD] = { 0 };
  const int columns = _columns(m), samples = m->sensor == DT_SENSOR_LINEAR ? 3 : 1;
  size_t at = (size_t)y * m->stride + (size_t)x * m->step;
  _levels(m, x, y, black, factor);
  for(int i = 0, k = 0; i < n; i++, at += m->step)
    for(int c = 0; c < samples; c++, k = k + 1 == columns ? 0 : k + 1)
    {
      const float value = (_sample(m, at + (size_t)c) - black[k]) * factor[k];
      *out++ = m->is_float ? _tame(value) : value;
    }
}

void dt_mosaic_red_origin(const dt_mosaic_t *m, int *x, int *y)
{
  *x = *y = 0;
  for(int i = 0; i < 4; i++)
    if(m->colour[i / 2][i % 2] == DT_SITE_RED)
    {
      *x = i % 2;
      *y = i / 2;
    }
}

void dt_mosaic_extremes(const dt_mosaic_t *m, float *least, float *most)
{
  const int samples = m->width * (m->sensor == DT_SENSOR_LINEAR ? 3 : 1);
  float *row = g_new0(float, samples);
  *least = G_MAXFLOAT;
  *most = -G_MAXFLOAT;
  for(int y = 0; y < m->height; y++)
  {
    dt_mosaic_read(m, 0, y, m->width, row);
    for(int i = 0; i < samples; i++)
    {
      *least = row[i] < *least ? row[i] : *least;
      *most = row[i] > *most ? row[i] : *most;
    }
  }
  g_free(row);
}
