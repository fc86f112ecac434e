/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Rows of sites, each with the numbers of its place. */
#include "iop/sites.h"

#include <math.h>

/* Whole periods of any table: a loop of this length needs no look at the place. */
#define BLOCK 12
G_STATIC_ASSERT(BLOCK % DT_MOSAIC_PERIOD == 0 && BLOCK % 4 == 0);

dt_iop_sites_t *dt_iop_sites_new(const dt_iop_image_t *image)
{
  dt_iop_sites_t *sites = g_new0(dt_iop_sites_t, 1);
  sites->rows = DT_IOP_IS_MOSAIC(image) ? image->mosaic->period : 1;
  sites->columns = DT_IOP_IS_MOSAIC(image) ? image->mosaic->period : 4;
  for(int y = 0; y < DT_MOSAIC_PERIOD; y++)
    for(int x = 0; x < DT_MOSAIC_PERIOD; x++) sites->factor[y][x] = 1;
  return sites;
}

int dt_iop_sites_colour(const dt_iop_image_t *image, int x, int y)
{
  if(DT_IOP_IS_MOSAIC(image)) return dt_mosaic_colour(image->mosaic, x, y);
  return x < 3 ? x : -1;
}

/* The numbers of the first values of a row from place @p x on. */
static void _unroll(const dt_iop_sites_t *sites, int x, int y, float *black, float *factor)
{
  for(int i = 0; i < BLOCK; i++)
  {
    black[i] = sites->black[y % sites->rows][(x + i) % sites->columns];
    factor[i] = sites->factor[y % sites->rows][(x + i) % sites->columns];
  }
}

static void _apply(const float *restrict in, gsize n, const float *restrict black,
                   const float *restrict factor, float *restrict out)
{
  for(; n >= BLOCK; n -= BLOCK, in += BLOCK, out += BLOCK)
    for(int k = 0; k < BLOCK; k++) out[k] = (in[k] - black[k]) * factor[k];
  for(gsize k = 0; k < n; k++) out[k] = (in[k] - black[k]) * factor[k];
}

static void _limit(float *values, gsize n, float largest)
{
  for(gsize i = 0; i < n; i++)
  {
    const float v = values[i];
    values[i] = v != v ? 0.0f : fabsf(v) > largest ? copysignf(largest, v) : v;
  }
}

gboolean dt_iop_sites_process(const dt_iop_piece_t *piece, const float *in, const dt_iop_roi_t *roi_in,
                              float *out, const dt_iop_roi_t *roi_out, GError **error)
{
  (void)roi_in;
  (void)error;
  const dt_iop_sites_t *sites = piece->data;
  const gsize n = (gsize)roi_out->width * (gsize)piece->channels_in;
#pragma omp parallel for
  for(int y = 0; y < roi_out->height; y++)
  {
    float black[BLOCK], factor[BLOCK];
    _unroll(sites, roi_out->x * piece->channels_in, roi_out->y + y, black, factor);
    _apply(in + (gsize)y * n, n, black, factor, out + (gsize)y * n);
    if(sites->largest > 0) _limit(out + (gsize)y * n, n, sites->largest);
  }
  return TRUE;
}

gboolean dt_iop_sites_process_cl(const dt_iop_piece_t *piece, dt_opencl_queue_t *queue, cl_mem in,
                                 const dt_iop_roi_t *roi_in, cl_mem out, const dt_iop_roi_t *roi_out,
                                 GError **error)
{
  (void)roi_in;
  const dt_iop_sites_t *sites = piece->data;
  const int width = roi_out->width * piece->channels_in, x = roi_out->x * piece->channels_in;
  cl_mem black = dt_opencl_buffer_new(queue, sizeof(sites->black), sites->black, error);
  cl_mem factor = black ? dt_opencl_buffer_new(queue, sizeof(sites->factor), sites->factor, error) : NULL;
  const dt_opencl_arg_t args[] = { DT_OPENCL_ARG(in),
                                   DT_OPENCL_ARG(out),
                                   DT_OPENCL_ARG(width),
                                   DT_OPENCL_ARG(roi_out->height),
                                   DT_OPENCL_ARG(x),
                                   DT_OPENCL_ARG(roi_out->y),
                                   DT_OPENCL_ARG(sites->rows),
                                   DT_OPENCL_ARG(sites->columns),
                                   DT_OPENCL_ARG(black),
                                   DT_OPENCL_ARG(factor),
                                   DT_OPENCL_ARG(sites->largest) };
  const gboolean fine =
      factor
      && dt_opencl_launch(queue, "raw", "sites", args, G_N_ELEMENTS(args), width, roi_out->height, error);
  dt_opencl_buffer_free(queue, factor);
  dt_opencl_buffer_free(queue, black);
  return fine;
}
