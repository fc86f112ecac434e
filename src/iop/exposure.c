/* SPDX-License-Identifier: GPL-3.0-or-later */
/* exposure: brighter or darker in linear light, like a longer or shorter exposure; and the level that becomes black. */
#include "common/wide_vectors.h"
#include "iop/working.h"

#include <math.h>

typedef struct _params_t
{
  float exposure, black;
} _params_t;

static const dt_iop_param_t _params[] = {
  { "exposure", DT_IOP_FLOAT, G_STRUCT_OFFSET(_params_t, exposure), -18, 18, 0, NULL, "EV",
    "stops brighter; below 0 darker" },
  { "black", DT_IOP_FLOAT, G_STRUCT_OFFSET(_params_t, black), -1, 1, 0, NULL, "",
    "level that becomes black" },
  { NULL },
};

typedef struct _data_t
{
  float black, scale;
} _data_t;

static gboolean _commit(dt_iop_piece_t *piece, const void *params, GError **error)
{
  (void)error;
  const _params_t *p = params;
  _data_t *data = g_new(_data_t, 1);
  *data = (_data_t){ p->black, exp2f(p->exposure + (float)piece->image->baseline_exposure) };
  piece->data = data;
  if(data->black == 0.0f && data->scale == 1.0f) piece->enabled = FALSE;
  return TRUE;
}

DT_WIDE_VECTORS static void _row(const void *data, const float *restrict in, float *restrict out, gsize width)
{
  const _data_t d = *(const _data_t *)data;
  for(gsize i = 0; i < width; i++)
  {
    for(gsize c = 0; c < 3; c++)
      out[4 * i + c] =
          dt_working_clamp((in[4 * i + c] - d.black) * d.scale, -DT_WORKING_MOST, DT_WORKING_MOST);
    out[4 * i + 3] = in[4 * i + 3];
  }
}

static gboolean _process(const dt_iop_piece_t *piece, const float *in, const dt_iop_roi_t *roi_in, float *out,
                         const dt_iop_roi_t *roi_out, GError **error)
{
  (void)roi_in;
  (void)error;
  dt_iop_for_rows(_row, piece, in, out, roi_out);
  return TRUE;
}

static gboolean _process_cl(const dt_iop_piece_t *piece, dt_opencl_queue_t *queue, cl_mem in,
                            const dt_iop_roi_t *roi_in, cl_mem out, const dt_iop_roi_t *roi_out,
                            GError **error)
{
  (void)roi_in;
  const _data_t *d = piece->data;
  const dt_opencl_arg_t args[] = { DT_OPENCL_ARG(d->black), DT_OPENCL_ARG(d->scale) };
  return dt_iop_enqueue_pixels(queue, "basic", "exposure", in, out, roi_out, args, G_N_ELEMENTS(args), error);
}

const dt_iop_module_t dt_iop_exposure = {
  .name = "exposure",
  .title = "exposure",
  .version = 1,
  .flags = DT_IOP_ON,
  .params_size = sizeof(_params_t),
  .params = _params,
  .commit = _commit,
  .process = _process,
  .process_cl = _process_cl,
};
