/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The rectangle's sites with a margin on all sides, as on the CPU, then plane after plane. */
#include "iop/demosaic_cl.h"

enum
{
  MARGIN = DT_DEMOSAIC_MARGIN,
  DIRECTIONS = 4,    ///< of X-Trans
  PLANES_BEST = 4,   ///< sites, red, green, blue
  PLANES_XTRANS = 12 ///< and of each direction its green and its energy
};

typedef struct _job_t
{
  dt_opencl_queue_t *queue;
  int width, height;            ///< of the planes
  int period, shift_x, shift_y; ///< phase of the filter array
  cl_mem colours;
  cl_mem weights; ///< of X-Trans
  int n_planes;
  cl_mem planes[PLANES_XTRANS];
} _job_t;

enum
{
  SITES,
  RED,
  GREEN,
  BLUE,
  GREENS,
  ENERGIES = GREENS + DIRECTIONS
};

static int _planes(const dt_mosaic_t *m, gboolean best)
{
  return !best ? 1 : m->sensor == DT_SENSOR_XTRANS ? PLANES_XTRANS : PLANES_BEST;
}

static gsize _plane_bytes(const dt_iop_roi_t *in)
{
  return ((gsize)in->width + 2 * MARGIN) * ((gsize)in->height + 2 * MARGIN) * sizeof(float);
}

gsize dt_iop_demosaic_cl_memory(const dt_mosaic_t *mosaic, gboolean best, const dt_iop_roi_t *in)
{
  return (gsize)_planes(mosaic, best) * _plane_bytes(in);
}

/* --- buffers --- */

static void _free_buffers(_job_t *j)
{
  for(int i = 0; i < j->n_planes; i++) dt_opencl_buffer_free(j->queue, j->planes[i]);
  dt_opencl_buffer_free(j->queue, j->weights);
  dt_opencl_buffer_free(j->queue, j->colours);
}

static gboolean _make_buffers(_job_t *j, const dt_mosaic_t *m, const dt_demosaic_xtrans_t *xtrans,
                              gsize plane_bytes, GError **error)
{
  j->colours = dt_opencl_buffer_new(j->queue, sizeof(m->colour), m->colour, error);
  if(!j->colours) return FALSE;
  if(xtrans)
  {
    gsize bytes;
    const float *weights = dt_demosaic_xtrans_weights(xtrans, &bytes);
    j->weights = dt_opencl_buffer_new(j->queue, bytes, weights, error);
    if(!j->weights) return FALSE;
  }
  for(int i = 0; i < j->n_planes; i++)
    if(!(j->planes[i] = dt_opencl_buffer_new(j->queue, plane_bytes, NULL, error))) return FALSE;
  return TRUE;
}

/* --- steps --- */

/* The last arguments of all kernels over planes. */
#define GEOMETRY(j)                                                                                          \
  DT_OPENCL_ARG((j)->width), DT_OPENCL_ARG((j)->height), DT_OPENCL_ARG((j)->period),                         \
      DT_OPENCL_ARG((j)->shift_x), DT_OPENCL_ARG((j)->shift_y), DT_OPENCL_ARG((j)->colours)

static gboolean _launch_on_planes(const _job_t *j, const char *program, const char *name,
                                  const dt_opencl_arg_t *args, int n_args, GError **error)
{
  return dt_opencl_launch(j->queue, program, name, args, n_args, j->width, j->height, error);
}

static gboolean _fill(const _job_t *j, cl_mem in, GError **error)
{
  const dt_opencl_arg_t args[] = { DT_OPENCL_ARG(in), DT_OPENCL_ARG(j->planes[SITES]), GEOMETRY(j) };
  return _launch_on_planes(j, "demosaic", "fill_sites", args, G_N_ELEMENTS(args), error);
}

/* Directions lie where red, and brightness where blue will be. */
static gboolean _bayer_green(const _job_t *j, GError **error)
{
  const dt_opencl_arg_t directions[] = { DT_OPENCL_ARG(j->planes[SITES]), DT_OPENCL_ARG(j->planes[RED]),
                                         DT_OPENCL_ARG(j->planes[BLUE]), DT_OPENCL_ARG(j->width),
                                         DT_OPENCL_ARG(j->height) };
  const dt_opencl_arg_t green[] = { DT_OPENCL_ARG(j->planes[SITES]), DT_OPENCL_ARG(j->planes[RED]),
                                    DT_OPENCL_ARG(j->planes[BLUE]), DT_OPENCL_ARG(j->planes[GREEN]),
                                    GEOMETRY(j) };
  return _launch_on_planes(j, "demosaic_bayer", "find_directions", directions, G_N_ELEMENTS(directions),
                           error)
         && _launch_on_planes(j, "demosaic_bayer", "fill_green", green, G_N_ELEMENTS(green), error);
}

/* Red and blue of the direction's picture lie where those of the result will be. */
static gboolean _xtrans_direction(const _job_t *j, int direction, GError **error)
{
  const cl_mem *green = &j->planes[GREENS + direction];
  const dt_opencl_arg_t picture[] = { DT_OPENCL_ARG(j->planes[SITES]),
                                      DT_OPENCL_ARG(j->weights),
                                      DT_OPENCL_ARG(direction),
                                      DT_OPENCL_ARG(j->planes[RED]),
                                      DT_OPENCL_ARG(*green),
                                      DT_OPENCL_ARG(j->planes[BLUE]),
                                      GEOMETRY(j) };
  const dt_opencl_arg_t energy[] = { DT_OPENCL_ARG(j->planes[RED]),
                                     DT_OPENCL_ARG(*green),
                                     DT_OPENCL_ARG(j->planes[BLUE]),
                                     DT_OPENCL_ARG(direction),
                                     DT_OPENCL_ARG(j->planes[ENERGIES + direction]),
                                     DT_OPENCL_ARG(j->width),
                                     DT_OPENCL_ARG(j->height) };
  return _launch_on_planes(j, "demosaic_xtrans", "interpolate", picture, G_N_ELEMENTS(picture), error)
         && _launch_on_planes(j, "demosaic_xtrans", "measure_energy", energy, G_N_ELEMENTS(energy), error);
}

static gboolean _xtrans_green(const _job_t *j, GError **error)
{
  for(int d = 0; d < DIRECTIONS; d++)
    if(!_xtrans_direction(j, d, error)) return FALSE;
  const dt_opencl_arg_t args[] = { DT_OPENCL_ARG(j->planes[SITES]),
                                   DT_OPENCL_ARG(j->planes[GREENS]),
                                   DT_OPENCL_ARG(j->planes[GREENS + 1]),
                                   DT_OPENCL_ARG(j->planes[GREENS + 2]),
                                   DT_OPENCL_ARG(j->planes[GREENS + 3]),
                                   DT_OPENCL_ARG(j->planes[ENERGIES]),
                                   DT_OPENCL_ARG(j->planes[ENERGIES + 1]),
                                   DT_OPENCL_ARG(j->planes[ENERGIES + 2]),
                                   DT_OPENCL_ARG(j->planes[ENERGIES + 3]),
                                   DT_OPENCL_ARG(j->planes[GREEN]),
                                   GEOMETRY(j) };
  return _launch_on_planes(j, "demosaic_xtrans", "mix_directions", args, G_N_ELEMENTS(args), error);
}

static gboolean _follow_green(const _job_t *j, GError **error)
{
  const dt_opencl_arg_t args[] = { DT_OPENCL_ARG(j->planes[SITES]), DT_OPENCL_ARG(j->planes[GREEN]),
                                   DT_OPENCL_ARG(j->planes[RED]), DT_OPENCL_ARG(j->planes[BLUE]),
                                   GEOMETRY(j) };
  return _launch_on_planes(j, "demosaic", "follow_green", args, G_N_ELEMENTS(args), error);
}

/* The last step: pixels of the output, whose first is at (@p x, @p y) of the planes. */
static gboolean _lead_green(const _job_t *j, cl_mem out, int x, int y, const dt_iop_roi_t *roi,
                            GError **error)
{
  const dt_opencl_arg_t args[] = { DT_OPENCL_ARG(j->planes[SITES]),
                                   DT_OPENCL_ARG(j->planes[RED]),
                                   DT_OPENCL_ARG(j->planes[GREEN]),
                                   DT_OPENCL_ARG(j->planes[BLUE]),
                                   DT_OPENCL_ARG(out),
                                   DT_OPENCL_ARG(roi->width),
                                   DT_OPENCL_ARG(roi->height),
                                   DT_OPENCL_ARG(x),
                                   DT_OPENCL_ARG(y),
                                   GEOMETRY(j) };
  return dt_opencl_launch(j->queue, "demosaic", "lead_green", args, G_N_ELEMENTS(args), roi->width,
                          roi->height, error);
}

static gboolean _interpolate(const _job_t *j, cl_mem out, int x, int y, const dt_iop_roi_t *roi, int colours,
                             GError **error)
{
  const dt_opencl_arg_t args[] = {
    DT_OPENCL_ARG(j->planes[SITES]), DT_OPENCL_ARG(colours), DT_OPENCL_ARG(out), DT_OPENCL_ARG(roi->width),
    DT_OPENCL_ARG(roi->height),      DT_OPENCL_ARG(x),       DT_OPENCL_ARG(y),   GEOMETRY(j)
  };
  return dt_opencl_launch(j->queue, "demosaic", "interpolate_plainly", args, G_N_ELEMENTS(args), roi->width,
                          roi->height, error);
}

gboolean dt_iop_demosaic_cl(const dt_mosaic_t *mosaic, gboolean best, const dt_demosaic_xtrans_t *xtrans,
                            dt_opencl_queue_t *queue, cl_mem in, const dt_iop_roi_t *roi_in, cl_mem out,
                            const dt_iop_roi_t *roi_out, GError **error)
{
  _job_t j = { .queue = queue,
               .width = roi_in->width + 2 * MARGIN,
               .height = roi_in->height + 2 * MARGIN,
               .period = mosaic->period,
               .shift_x = roi_in->x % mosaic->period,
               .shift_y = roi_in->y % mosaic->period,
               .n_planes = _planes(mosaic, best) };
  const int x = roi_out->x - roi_in->x + MARGIN, y = roi_out->y - roi_in->y + MARGIN;
  gboolean fine = _make_buffers(&j, mosaic, xtrans, _plane_bytes(roi_in), error) && _fill(&j, in, error);
  if(fine && best)
    fine = (xtrans ? _xtrans_green(&j, error) : _bayer_green(&j, error)) && _follow_green(&j, error)
           && _lead_green(&j, out, x, y, roi_out, error);
  else if(fine)
    fine = _interpolate(&j, out, x, y, roi_out, mosaic->sensor == DT_SENSOR_FOUR ? 4 : 3, error);
  _free_buffers(&j);
  return fine;
}
