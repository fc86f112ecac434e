/* SPDX-License-Identifier: GPL-3.0-or-later */
/* colorout: out of the working space into what rows are, linear Rec.709, in which colours outside that space have
 * values below 0 or above 1.
 *
 * What cuts such values off one by one changes brightness and hue. Compression goes there in another way: towards the
 * grey of the same luminance, just far enough. In linear light that is the straight line to the white point: luminance
 * and dominant wavelength stay. Colours inside stay what they are, to the last bit. */
#include "common/power.h"
#include "iop/working.h"

enum
{
  GAMUT_KEEP,
  GAMUT_COMPRESS,
};

typedef struct _params_t
{
  int gamut;
} _params_t;

static const char *const _gamuts[] = { "keep", "compress", NULL };

static const dt_iop_param_t _params[] = {
  { "gamut", DT_IOP_ENUM, G_STRUCT_OFFSET(_params_t, gamut), GAMUT_KEEP, GAMUT_COMPRESS, GAMUT_KEEP, _gamuts,
    "", "colours outside sRGB: as they are, or moved towards grey until they fit" },
  { NULL },
};

/* Luminance of Rec.709, derived like the matrices. */
static const float _luminance[4] = { 0.212639006f, 0.715168679f, 0.072192315f };

static gboolean _commit(dt_iop_piece_t *piece, const void *params, GError **error)
{
  (void)error;
  piece->data = g_memdup2(params, sizeof(_params_t));
  return TRUE;
}

/* How much of the way from grey a colour may keep: 1 inside, 0 where grey itself is outside. */
static inline float _share(dt_rgb_t p, float y)
{
  const float least = dt_working_least(p), most = dt_working_most(p);
  const float above = y > 0.0f ? y / (y - least) : 0.0f, below = y < 1.0f ? (1.0f - y) / (most - y) : 0.0f;
  return dt_working_min(least < -DT_WORKING_LEAST ? above : 1.0f, most > 1.0f ? below : 1.0f);
}

static inline dt_rgb_t _compress(dt_rgb_t p)
{
  const float y = dt_working_dot(_luminance, p), share = _share(p, y), grey = y * (1.0f - share);
  return (dt_rgb_t){ p.r * share + grey, p.g * share + grey, p.b * share + grey };
}

DT_WIDE_VECTORS static void _row_kept(const void *data, const float *restrict in, float *restrict out,
                                      gsize width)
{
  (void)data;
  for(gsize i = 0; i < width; i++)
  {
    dt_working_store(dt_working_multiply(&dt_working_to_rec709, dt_working_load(in + 4 * i)), out + 4 * i);
    out[4 * i + 3] = in[4 * i + 3];
  }
}

DT_WIDE_VECTORS static void _row_compressed(const void *data, const float *restrict in, float *restrict out,
                                            gsize width)
{
  (void)data;
  for(gsize i = 0; i < width; i++)
  {
    const dt_rgb_t p = dt_working_multiply(&dt_working_to_rec709, dt_working_load(in + 4 * i));
    dt_working_store(_compress(p), out + 4 * i);
    out[4 * i + 3] = in[4 * i + 3];
  }
}

static gboolean _process(const dt_iop_piece_t *piece, const float *in, const dt_iop_roi_t *roi_in, float *out,
                         const dt_iop_roi_t *roi_out, GError **error)
{
  (void)roi_in;
  (void)error;
  const _params_t *p = piece->data;
  dt_iop_for_rows(p->gamut == GAMUT_COMPRESS ? _row_compressed : _row_kept, piece, in, out, roi_out);
  return TRUE;
}

static gboolean _process_cl(const dt_iop_piece_t *piece, dt_opencl_queue_t *queue, cl_mem in,
                            const dt_iop_roi_t *roi_in, cl_mem out, const dt_iop_roi_t *roi_out,
                            GError **error)
{
  (void)roi_in;
  const _params_t *p = piece->data;
  const dt_working_matrix_t *m = &dt_working_to_rec709;
  const dt_opencl_arg_t args[] = { DT_OPENCL_ARG(m->row[0]), DT_OPENCL_ARG(m->row[1]),
                                   DT_OPENCL_ARG(m->row[2]), DT_OPENCL_ARG(_luminance),
                                   DT_OPENCL_ARG(p->gamut) };
  return dt_iop_enqueue_pixels(queue, "colour", "colorout", in, out, roi_out, args, G_N_ELEMENTS(args),
                               error);
}

const dt_iop_module_t dt_iop_colorout = {
  .name = "colorout",
  .title = "output colours",
  .version = 1,
  .flags = DT_IOP_ON | DT_IOP_NO_BLEND | DT_IOP_ALWAYS,
  .params_size = sizeof(_params_t),
  .params = _params,
  .commit = _commit,
  .process = _process,
  .process_cl = _process_cl,
};
