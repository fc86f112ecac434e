/* SPDX-License-Identifier: GPL-3.0-or-later */
/* demosaic: four channels for every pixel of a sensor with a filter array, by the methods of common/demosaic.h. White
 * balance has been done before, so what is neutral is the same in all colours. */
#include "common/demosaic.h"
#include "iop/demosaic_cl.h"

static const char *const _methods[] = { "best", "bilinear", NULL };

typedef struct _params_t
{
  int method; ///< a dt_demosaic_method_t
} _params_t;

static const dt_iop_param_t _params[] = {
  { "method", DT_IOP_ENUM, G_STRUCT_OFFSET(_params_t, method), 0, 1, DT_DEMOSAIC_BEST, _methods, "",
    "best: RCD for Bayer sensors, directed by homogeneity for X-Trans; bilinear: quick and soft" },
  { NULL },
};

typedef struct _data_t
{
  dt_demosaic_method_t method;
  dt_demosaic_xtrans_t *xtrans; ///< for devices
} _data_t;

/* Of four colours there is but one method. */
static gboolean _is_best(const dt_iop_piece_t *piece)
{
  const _data_t *d = piece->data;
  return d->method == DT_DEMOSAIC_BEST && piece->image->mosaic->sensor != DT_SENSOR_FOUR;
}

static gboolean _commit(dt_iop_piece_t *piece, const void *params, GError **error)
{
  (void)error;
  const _params_t *p = params;
  const dt_mosaic_t *m = piece->image->mosaic;
  _data_t *d = piece->data = g_new0(_data_t, 1);
  d->method = (dt_demosaic_method_t)p->method;
  piece->channels_out = 4;
  if(m->sensor == DT_SENSOR_LINEAR) piece->enabled = FALSE;
  if(m->sensor == DT_SENSOR_XTRANS && d->method == DT_DEMOSAIC_BEST) d->xtrans = dt_demosaic_xtrans_new(m);
  return TRUE;
}

static void _cleanup(dt_iop_piece_t *piece)
{
  _data_t *d = piece->data;
  if(d) dt_demosaic_xtrans_free(d->xtrans);
  g_free(d);
}

static void _need(const dt_iop_piece_t *piece, const dt_iop_roi_t *out, dt_iop_roi_t *in)
{
  (void)piece;
  dt_iop_roi_grow(out, DT_DEMOSAIC_REACH, in);
}

/* --- the CPU --- */

/* The rectangle's sites as a picture of their own, the filter array in its phase. */
static dt_mosaic_t _part(const dt_mosaic_t *m, const float *in, const dt_iop_roi_t *roi)
{
  dt_mosaic_t part = { .sensor = m->sensor,
                       .width = roi->width,
                       .height = roi->height,
                       .is_float = TRUE,
                       .samples = in,
                       .stride = (size_t)roi->width,
                       .step = 1,
                       .period = m->period };
  for(int y = 0; y < DT_MOSAIC_PERIOD; y++)
    for(int x = 0; x < DT_MOSAIC_PERIOD; x++)
    {
      part.colour[y][x] = (guint8)dt_mosaic_colour(m, roi->x + x, roi->y + y);
      part.white[y][x] = 1;
    }
  return part;
}

static int _bands(const dt_iop_roi_t *roi)
{
  return (roi->height + DT_DEMOSAIC_BAND - 1) / DT_DEMOSAIC_BAND;
}

/* Rows of the output that are in one band, of which @p line holds one. @return FALSE: there is no memory */
static gboolean _read_band(dt_row_source_t *source, int band, const dt_iop_roi_t *in, float *line,
                           const dt_iop_roi_t *roi, float *out)
{
  const gsize n = (gsize)source->channels;
  const int top = roi->y - in->y, first = MAX(top, band * DT_DEMOSAIC_BAND);
  const int end = MIN(top + roi->height, (band + 1) * DT_DEMOSAIC_BAND);
  for(int y = first; y < end; y++)
  {
    const float *from = line + (gsize)(roi->x - in->x) * n;
    float *to = out + (gsize)(y - top) * (gsize)roi->width * 4;
    if(!source->read(source, y, 1, line, NULL)) return FALSE;
    for(gsize x = 0; x < (gsize)roi->width; x++)
      for(gsize c = 0; c < 4; c++) to[4 * x + c] = c < n ? from[n * x + c] : 0;
  }
  return TRUE;
}

static gboolean _process(const dt_iop_piece_t *piece, const float *in, const dt_iop_roi_t *roi_in, float *out,
                         const dt_iop_roi_t *roi_out, GError **error)
{
  int failed = 0;
  const _data_t *d = piece->data;
  const dt_mosaic_t part = _part(piece->image->mosaic, in, roi_in);
#pragma omp parallel reduction(+ : failed)
  {
    dt_row_source_t *source = NULL;
    float *line = g_new(float, (gsize)roi_in->width * 4);
#pragma omp for schedule(dynamic, 1)
    for(int band = 0; band < _bands(roi_in); band++)
    {
      if(!source) source = dt_demosaic_source(&part, NULL, d->method);
      if(!_read_band(source, band, roi_in, line, roi_out, out)) failed++;
    }
    dt_row_source_destroy(source);
    g_free(line);
  }
  if(failed == 0) return TRUE;
  g_set_error_literal(error, DT_AI_ERROR, DT_AI_ERROR_MEMORY, "There is no memory to demosaic in.");
  return FALSE;
}

static gsize _memory(const dt_iop_piece_t *piece, const dt_iop_roi_t *in, const dt_iop_roi_t *out)
{
  (void)out;
  const _data_t *d = piece->data;
  const gsize rows = (gsize)MIN(in->height, DT_DEMOSAIC_BAND) + 2 * DT_DEMOSAIC_MARGIN;
  const gsize band =
      rows * ((gsize)in->width + 2 * DT_DEMOSAIC_MARGIN) * (5 + DT_DEMOSAIC_SCRATCH) * sizeof(float);
  const gsize threads = MIN(g_get_num_processors(), (guint)_bands(in));
  return threads * (band + (d->xtrans ? DT_DEMOSAIC_XTRANS_MEMORY : 0));
}

static gsize _memory_cl(const dt_iop_piece_t *piece, const dt_iop_roi_t *in, const dt_iop_roi_t *out)
{
  (void)out;
  return dt_iop_demosaic_cl_memory(piece->image->mosaic, _is_best(piece), in);
}

static gboolean _process_cl(const dt_iop_piece_t *piece, dt_opencl_queue_t *queue, cl_mem in,
                            const dt_iop_roi_t *roi_in, cl_mem out, const dt_iop_roi_t *roi_out,
                            GError **error)
{
  const _data_t *d = piece->data;
  return dt_iop_demosaic_cl(piece->image->mosaic, _is_best(piece), d->xtrans, queue, in, roi_in, out, roi_out,
                            error);
}

const dt_iop_module_t dt_iop_demosaic = {
  .name = "demosaic",
  .title = "demosaic",
  .version = 1,
  .flags = DT_IOP_RAW | DT_IOP_ON | DT_IOP_NO_BLEND | DT_IOP_ALWAYS,
  .params_size = sizeof(_params_t),
  .params = _params,
  .commit = _commit,
  .cleanup = _cleanup,
  .need = _need,
  .memory = _memory,
  .memory_cl = _memory_cl,
  .process = _process,
  .process_cl = _process_cl,
};
