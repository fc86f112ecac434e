/* SPDX-License-Identifier: GPL-3.0-or-later */
/* scale: the size that is asked for.
 *
 * Lanczos with three lobes, widened where the picture gets smaller, as for files that pass by row by row
 * (common/resample.h): a picture scaled here looks like one scaled there, and what is finer than the new pixels is gone
 * instead of making patterns. First the rows, then the columns; the costs are those of a blur, with no difference between
 * the pipes, so that a preview shows what an export gives. */
#include "iop/iop.h"

#include "common/errors.h"
#include "common/lanczos.h"
#include "common/memory.h"

#include <stdlib.h>
#include <string.h>

#define LARGEST 65535

typedef struct _params_t
{
  int width, height;
} _params_t;

static const dt_iop_param_t _params[] = {
  { "width", DT_IOP_INT, G_STRUCT_OFFSET(_params_t, width), 0, LARGEST, 0, NULL, "px",
    "of the result; 0: as it comes" },
  { "height", DT_IOP_INT, G_STRUCT_OFFSET(_params_t, height), 0, LARGEST, 0, NULL, "px",
    "of the result; 0: as it comes" },
  { NULL },
};

typedef struct _data_t
{
  int width, height;
  dt_lanczos_axis_t across, down;
} _data_t;

/* --- the module --- */

static gboolean _commit(dt_iop_piece_t *piece, const void *params, GError **error)
{
  const _params_t *p = params;
  _data_t *data = g_new0(_data_t, 1);
  piece->data = data;
  data->width = p->width ? p->width : piece->in_width;
  data->height = p->height ? p->height : piece->in_height;
  if(data->width == piece->in_width && data->height == piece->in_height) piece->enabled = FALSE;
  if(!piece->enabled
     || (dt_lanczos_axis_init(&data->across, piece->in_width, data->width)
         && dt_lanczos_axis_init(&data->down, piece->in_height, data->height)))
    return TRUE;
  g_set_error(error, DT_AI_ERROR, DT_AI_ERROR_MEMORY, "There is no memory to scale to %d x %d pixels.",
              data->width, data->height);
  return FALSE;
}

static void _cleanup(dt_iop_piece_t *piece)
{
  _data_t *data = piece->data;
  if(!data) return;
  dt_lanczos_axis_clear(&data->across);
  dt_lanczos_axis_clear(&data->down);
  g_free(data);
}

/* The scale is that of the longer side, which is rounded the least. */
static void _size(dt_iop_piece_t *piece)
{
  const _data_t *d = piece->data;
  piece->out_width = d->width;
  piece->out_height = d->height;
  piece->out_scale = piece->in_scale
                     * (piece->in_width >= piece->in_height ? (double)d->width / piece->in_width
                                                            : (double)d->height / piece->in_height);
}

static void _need(const dt_iop_piece_t *piece, const dt_iop_roi_t *out, dt_iop_roi_t *in)
{
  const _data_t *d = piece->data;
  const int x = d->across.first[out->x], y = d->down.first[out->y];
  *in = (dt_iop_roi_t){ x, y, d->across.first[out->x + out->width - 1] + d->across.taps - x,
                        d->down.first[out->y + out->height - 1] + d->down.taps - y, piece->in_scale };
}

static void _origin(const dt_iop_piece_t *piece, dt_iop_affine_t *to_input)
{
  const _data_t *d = piece->data;
  *to_input = (dt_iop_affine_t){ (double)piece->in_width / d->width,   0, 0, 0,
                                 (double)piece->in_height / d->height, 0 };
}

/* Pixels of the input's rows at the output's width. */
static gsize _between(const dt_iop_roi_t *in, const dt_iop_roi_t *out)
{
  return (gsize)in->height * (gsize)out->width;
}

static gsize _memory(const dt_iop_piece_t *piece, const dt_iop_roi_t *in, const dt_iop_roi_t *out)
{
  (void)piece;
  return 4 * sizeof(float) * _between(in, out);
}

/* And the weights. */
static gsize _memory_cl(const dt_iop_piece_t *piece, const dt_iop_roi_t *in, const dt_iop_roi_t *out)
{
  const _data_t *d = piece->data;
  return _memory(piece, in, out) + sizeof(float) * (gsize)out->width * ((gsize)d->across.taps + 1)
         + sizeof(float) * (gsize)out->height * ((gsize)d->down.taps + 1);
}

/* --- on the CPU --- */

/* Four floats at once. */
typedef float _pixel_t __attribute__((vector_size(16), aligned(4), may_alias));

static void _scale_row(const dt_lanczos_axis_t *axis, const float *in, const dt_iop_roi_t *roi_in, float *out,
                       const dt_iop_roi_t *roi_out)
{
  for(int x = 0; x < roi_out->width; x++)
  {
    const float *weights = axis->weights + (gsize)(roi_out->x + x) * (gsize)axis->taps;
    const float *from = in + 4 * (gsize)(axis->first[roi_out->x + x] - roi_in->x);
    _pixel_t sum = { 0 };
    for(int k = 0; k < axis->taps; k++) sum += weights[k] * *(const _pixel_t *)(from + (gsize)4 * (gsize)k);
    *(_pixel_t *)(out + (gsize)4 * (gsize)x) = sum;
  }
}

/* Row @p y of the output, of rows of @p n floats that begin with row @p top of the input. */
static void _sum_rows(const dt_lanczos_axis_t *axis, const float *rows, int top, gsize n, float *out, int y)
{
  const float *weights = axis->weights + (gsize)y * (gsize)axis->taps;
  const float *from = rows + (gsize)(axis->first[y] - top) * n;
  memset(out, 0, n * sizeof(float));
  for(int k = 0; k < axis->taps; k++, from += n)
  {
    const float weight = weights[k];
    for(gsize i = 0; i < n; i++) out[i] += weight * from[i];
  }
}

static gboolean _process(const dt_iop_piece_t *piece, const float *in, const dt_iop_roi_t *roi_in, float *out,
                         const dt_iop_roi_t *roi_out, GError **error)
{
  const _data_t *d = piece->data;
  const gsize n = 4 * (gsize)roi_out->width;
  float *rows = dt_memory_try_large(_between(roi_in, roi_out), 4 * sizeof(float));
  if(!rows)
  {
    g_set_error(error, DT_AI_ERROR, DT_AI_ERROR_MEMORY, "There is no memory to scale to %d x %d pixels.",
                roi_out->width, roi_out->height);
    return FALSE;
  }
#pragma omp parallel for
  for(int y = 0; y < roi_in->height; y++)
    _scale_row(&d->across, in + 4 * (gsize)y * (gsize)roi_in->width, roi_in, rows + (gsize)y * n, roi_out);
#pragma omp parallel for
  for(int y = 0; y < roi_out->height; y++)
    _sum_rows(&d->down, rows, roi_in->y, n, out + (gsize)y * n, roi_out->y + y);
  free(rows);
  return TRUE;
}

/* --- on a device --- */

/* Axis @p axis for @p n pixels from @p start on. */
typedef struct _axis_cl_t
{
  cl_mem first, weights;
} _axis_cl_t;

static gboolean _upload(dt_opencl_queue_t *queue, const dt_lanczos_axis_t *axis, int start, int n,
                        _axis_cl_t *there, GError **error)
{
  const gsize taps = (gsize)axis->taps;
  there->first = dt_opencl_buffer_new(queue, (gsize)n * sizeof(int), axis->first + start, error);
  there->weights = there->first ? dt_opencl_buffer_new(queue, (gsize)n * taps * sizeof(float),
                                                       axis->weights + (gsize)start * taps, error)
                                : NULL;
  return there->weights != NULL;
}

static void _release(dt_opencl_queue_t *queue, _axis_cl_t *there)
{
  dt_opencl_buffer_free(queue, there->first);
  dt_opencl_buffer_free(queue, there->weights);
}

/* One of the two kernels: @p origin is the column or row with which @p in begins, @p in_width how wide it is. */
static gboolean _enqueue(dt_opencl_queue_t *queue, const char *name, cl_mem in, int in_width, cl_mem out,
                         int width, int height, int origin, const _axis_cl_t *axis, int taps, GError **error)
{
  const dt_opencl_arg_t args[] = { DT_OPENCL_ARG(in),           DT_OPENCL_ARG(in_width),
                                   DT_OPENCL_ARG(out),          DT_OPENCL_ARG(width),
                                   DT_OPENCL_ARG(height),       DT_OPENCL_ARG(origin),
                                   DT_OPENCL_ARG(axis->first),  DT_OPENCL_ARG(taps),
                                   DT_OPENCL_ARG(axis->weights) };
  return dt_opencl_launch(queue, "geometry", name, args, G_N_ELEMENTS(args), width, height, error);
}

static gboolean _process_cl(const dt_iop_piece_t *piece, dt_opencl_queue_t *queue, cl_mem in,
                            const dt_iop_roi_t *roi_in, cl_mem out, const dt_iop_roi_t *roi_out,
                            GError **error)
{
  const _data_t *d = piece->data;
  _axis_cl_t across = { 0 }, down = { 0 };
  cl_mem rows = dt_opencl_buffer_new(queue, _between(roi_in, roi_out) * 4 * sizeof(float), NULL, error);
  const gboolean fine = rows && _upload(queue, &d->across, roi_out->x, roi_out->width, &across, error)
                        && _upload(queue, &d->down, roi_out->y, roi_out->height, &down, error)
                        && _enqueue(queue, "scale_rows", in, roi_in->width, rows, roi_out->width,
                                    roi_in->height, roi_in->x, &across, d->across.taps, error)
                        && _enqueue(queue, "scale_columns", rows, roi_out->width, out, roi_out->width,
                                    roi_out->height, roi_in->y, &down, d->down.taps, error);
  _release(queue, &across);
  _release(queue, &down);
  dt_opencl_buffer_free(queue, rows);
  return fine;
}

const dt_iop_module_t dt_iop_scale = {
  .name = "scale",
  .title = "scale",
  .version = 1,
  .flags = DT_IOP_ON | DT_IOP_HIDDEN | DT_IOP_NO_BLEND,
  .params_size = sizeof(_params_t),
  .params = _params,
  .commit = _commit,
  .cleanup = _cleanup,
  .size = _size,
  .need = _need,
  .origin = _origin,
  .memory = _memory,
  .memory_cl = _memory_cl,
  .process = _process,
  .process_cl = _process_cl,
};
