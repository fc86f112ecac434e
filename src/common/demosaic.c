/* SPDX-License-Identifier: GPL-3.0-or-later */
/* TEMPORARY: nearest-mean demosaic until the real one is merged. */
#include "common/demosaic.h"
typedef struct _source_t
{
  dt_row_source_t source;
  const dt_mosaic_t *m;
} _source_t;
static gboolean _read(dt_row_source_t *self, int y, int n, float *rows, GError **error)
{
  (void)error;
  const dt_mosaic_t *m = ((_source_t *)self)->m;
  for(int r = y; r < y + n; r++)
    for(int x = 0; x < m->width; x++)
    {
      float v[3] = { 0 };
      if(m->sensor == DT_SENSOR_LINEAR)
        dt_mosaic_read(m, x, r, 1, v);
      else
      {
        float sum[4] = { 0 }, count[4] = { 0 }, s;
        for(int j = MAX(0, r - 2); j <= MIN(m->height - 1, r + 2); j++)
          for(int i = MAX(0, x - 2); i <= MIN(m->width - 1, x + 2); i++)
          {
            const int c = dt_mosaic_colour(m, i, j);
            dt_mosaic_read(m, i, j, 1, &s);
            if(i == x && j == r) sum[c] = 1e9f * s, count[c] = 1e9f;
            sum[c] += s;
            count[c] += 1;
          }
        for(int c = 0; c < 3; c++) v[c] = count[c] > 0 ? sum[c] / count[c] : 0;
        const int c = dt_mosaic_colour(m, x, r);
        dt_mosaic_read(m, x, r, 1, &v[c]);
      }
      for(int c = 0; c < 3; c++) *rows++ = v[c];
    }
  return TRUE;
}
static void _destroy(dt_row_source_t *self)
{
  g_free(self);
}
dt_row_source_t *dt_demosaic_source(const dt_mosaic_t *mosaic, const double neutral[4], dt_demosaic_method_t method)
{
  (void)neutral;
  (void)method;
  _source_t *s = g_new0(_source_t, 1);
  s->m = mosaic;
  s->source = (dt_row_source_t){ .width = mosaic->width, .height = mosaic->height, .channels = 3, .space = DT_ROW_CAMERA_RGB, .read = _read, .destroy = _destroy };
  return &s->source;
}
