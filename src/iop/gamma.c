/* SPDX-License-Identifier: GPL-3.0-or-later */
/* gamma: for a screen: linear Rec.709 becomes sRGB (IEC 61966-2-1) of 8 bits, as numbers k / 255. The fourth channel is
 * carried along as it is.
 *
 * common/dither.h says how it is rounded. The threshold belongs to the place in the whole picture, so that rectangles
 * fit together. The device does the same operations in the same order: it comes to the same codes. */
#include "common/colour.h"
#include "common/dither.h"
#include "common/power.h"
#include "iop/iop.h"

typedef struct _params_t
{
  gboolean dither;
} _params_t;

static const dt_iop_param_t _params[] = {
  { "dither", DT_IOP_BOOL, G_STRUCT_OFFSET(_params_t, dither), 0, 1, 1, NULL, "",
    "rounds so that smooth gradients show no bands" },
  { NULL },
};

static gboolean _commit(dt_iop_piece_t *piece, const void *params, GError **error)
{
  (void)error;
  piece->data = g_memdup2(params, sizeof(_params_t));
  return TRUE;
}

/* Rounds the encoded pixels @p out of the row @p y from column @p x on; @p in has their fourth channels. */
DT_WIDE_VECTORS static void _round_row(const float *restrict in, float *restrict out, gsize width, uint32_t x,
                                       uint32_t y, gboolean dither)
{
  const float base = dither ? 0.0f : DT_DITHER_NEAREST, reach = dither ? 1.0f : 0.0f;
  for(gsize i = 0; i < width; i++)
  {
    const float threshold = dt_dither_threshold(x + (uint32_t)i, y) * reach + base;
    out[4 * i] = (float)dt_dither_round(out[4 * i], threshold) / 255.0f;
    out[4 * i + 1] = (float)dt_dither_round(out[4 * i + 1], threshold) / 255.0f;
    out[4 * i + 2] = (float)dt_dither_round(out[4 * i + 2], threshold) / 255.0f;
    out[4 * i + 3] = in[4 * i + 3];
  }
}

static gboolean _process(const dt_iop_piece_t *piece, const float *in, const dt_iop_roi_t *roi_in, float *out,
                         const dt_iop_roi_t *roi_out, GError **error)
{
  (void)roi_in;
  (void)error;
  const _params_t *p = piece->data;
  const gsize width = (gsize)roi_out->width;
#pragma omp parallel for
  for(int y = 0; y < roi_out->height; y++)
  {
    const gsize at = 4 * (gsize)y * width;
    dt_srgb_encode(in + at, out + at, 4 * width);
    _round_row(in + at, out + at, width, (uint32_t)roi_out->x, (uint32_t)(roi_out->y + y), p->dither);
  }
  return TRUE;
}

static gboolean _process_cl(const dt_iop_piece_t *piece, dt_opencl_queue_t *queue, cl_mem in,
                            const dt_iop_roi_t *roi_in, cl_mem out, const dt_iop_roi_t *roi_out,
                            GError **error)
{
  (void)roi_in;
  const _params_t *p = piece->data;
  const dt_opencl_arg_t args[] = { DT_OPENCL_ARG(roi_out->x), DT_OPENCL_ARG(roi_out->y),
                                   DT_OPENCL_ARG(p->dither) };
  return dt_iop_enqueue_pixels(queue, "colour", "srgb_codes", in, out, roi_out, args, G_N_ELEMENTS(args),
                               error);
}

const dt_iop_module_t dt_iop_gamma = {
  .name = "gamma",
  .title = "screen",
  .version = 1,
  .flags = DT_IOP_HIDDEN | DT_IOP_NO_BLEND,
  .params_size = sizeof(_params_t),
  .params = _params,
  .commit = _commit,
  .process = _process,
  .process_cl = _process_cl,
};
