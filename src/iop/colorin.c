/* SPDX-License-Identifier: GPL-3.0-or-later */
/* colorin: into the working space, linear Rec.2020 (D65): of raws with the camera's matrix for the light that was balanced
 * for, of pictures from linear Rec.709. What a matrix makes of colours outside the working space, values below 0, is
 * passed on. */
#include "common/power.h"
#include "iop/working.h"

typedef struct _data_t
{
  dt_working_matrix_t matrix;
  gboolean four; ///< four colours come in; there is nothing to carry along
} _data_t;

/* Camera colours in the balance they come in. Of a camera that is not known they are taken for those of Rec.709. */
static void _set_camera(dt_working_matrix_t *matrix, const dt_iop_piece_t *piece)
{
  const dt_camera_colour_t *camera = &piece->image->colour;
  const int columns = camera->colours;
  double neutral[4];
  float to_rec709[12];
  for(int c = 0; c < 4; c++) neutral[c] = 1.0 / (double)piece->saturation_in[c];
  dt_camera_to_rec709(camera, neutral, to_rec709);
  for(int row = 0; row < 3; row++)
    for(int c = 0; c < columns; c++)
    {
      matrix->row[row][c] = 0.0f;
      for(int k = 0; k < 3; k++)
        matrix->row[row][c] += dt_working_from_rec709.row[row][k] * to_rec709[k * columns + c];
    }
}

static gboolean _commit(dt_iop_piece_t *piece, const void *params, GError **error)
{
  (void)params;
  (void)error;
  const dt_iop_image_t *image = piece->image;
  _data_t data = { .matrix = dt_working_from_rec709,
                   .four = image->mosaic && image->mosaic->sensor == DT_SENSOR_FOUR };
  if(image->mosaic) _set_camera(&data.matrix, piece);
  piece->data = g_memdup2(&data, sizeof(data));
  return TRUE;
}

DT_WIDE_VECTORS static void _row(const void *data, const float *restrict in, float *restrict out, gsize width)
{
  const dt_working_matrix_t m = ((const _data_t *)data)->matrix;
  for(gsize i = 0; i < width; i++)
  {
    dt_working_store(dt_working_multiply(&m, dt_working_load(in + 4 * i)), out + 4 * i);
    out[4 * i + 3] = in[4 * i + 3];
  }
}

DT_WIDE_VECTORS static void _row_of_four(const void *data, const float *restrict in, float *restrict out,
                                         gsize width)
{
  const dt_working_matrix_t m = ((const _data_t *)data)->matrix;
  for(gsize i = 0; i < width; i++)
  {
    const dt_rgb_t p = dt_working_multiply(&m, dt_working_load(in + 4 * i));
    const float fourth = dt_working_clamp(in[4 * i + 3], -DT_WORKING_MOST, DT_WORKING_MOST);
    out[4 * i] = p.r + m.row[0][3] * fourth;
    out[4 * i + 1] = p.g + m.row[1][3] * fourth;
    out[4 * i + 2] = p.b + m.row[2][3] * fourth;
    out[4 * i + 3] = 0.0f;
  }
}

static gboolean _process(const dt_iop_piece_t *piece, const float *in, const dt_iop_roi_t *roi_in, float *out,
                         const dt_iop_roi_t *roi_out, GError **error)
{
  (void)roi_in;
  (void)error;
  const _data_t *d = piece->data;
  dt_iop_for_rows(d->four ? _row_of_four : _row, piece, in, out, roi_out);
  return TRUE;
}

static gboolean _process_cl(const dt_iop_piece_t *piece, dt_opencl_queue_t *queue, cl_mem in,
                            const dt_iop_roi_t *roi_in, cl_mem out, const dt_iop_roi_t *roi_out,
                            GError **error)
{
  (void)roi_in;
  const _data_t *d = piece->data;
  const dt_opencl_arg_t args[] = { DT_OPENCL_ARG(d->matrix.row[0]), DT_OPENCL_ARG(d->matrix.row[1]),
                                   DT_OPENCL_ARG(d->matrix.row[2]), DT_OPENCL_ARG(d->four) };
  return dt_iop_enqueue_pixels(queue, "colour", "colorin", in, out, roi_out, args, G_N_ELEMENTS(args), error);
}

const dt_iop_module_t dt_iop_colorin = {
  .name = "colorin",
  .title = "input colours",
  .version = 1,
  .flags = DT_IOP_ON | DT_IOP_HIDDEN | DT_IOP_NO_BLEND,
  .commit = _commit,
  .process = _process,
  .process_cl = _process_cl,
};
