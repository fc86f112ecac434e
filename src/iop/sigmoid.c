/* SPDX-License-Identifier: GPL-3.0-or-later */
/* sigmoid: from the light of a scene, without an upper end, to the light of a display: each channel by one S-shaped
 * curve over the logarithm of light.
 *
 *   y = black + (white - black) (t / (1 + t))^k,   t = (x / s)^c
 *
 * With k = 1 it is the log-logistic curve, by which Naka and Rushton (J. Physiol. 185, 1966) describe how receptors
 * answer to light, and photographic film and paper come near; the exponent k, which makes one of its ends longer than
 * the other, is that of Burr's third distribution (Ann. Math. Stat. 13, 1942), k = 4^skew. Two conditions fix s and c:
 * middle grey g stays, and the slope d log y / d log x there is the contrast. With u = (g - black) / (white - black):
 *
 *   c = contrast g / ((g - black) k (1 - u^(1/k))),   s = g (u^(-1/k) - 1)^(1/c)
 *
 * A curve for each channel makes bright colours paler, as film does, and turns their hue: the middle one of the three
 * comes too near to the others. Preserving hue puts it back between them where it was. Least and greatest keep what the
 * curve gives them, so that nothing leaves the display's range.
 *
 * Colours outside the working space have channels below 0, where the curve has no value: these are mixed with grey of
 * their luminance until the least is 0. */
#include "common/power.h"
#include "iop/working.h"

typedef struct _params_t
{
  float contrast, skew, white, black, hue;
} _params_t;

static const dt_iop_param_t _params[] = {
  { "contrast", DT_IOP_FLOAT, G_STRUCT_OFFSET(_params_t, contrast), 0.2, 5, 1.5, NULL, "",
    "slope at middle grey" },
  { "skew", DT_IOP_FLOAT, G_STRUCT_OFFSET(_params_t, skew), -1, 1, 0, NULL, "",
    "above 0 gentler highlights and deeper shadows, below 0 the reverse" },
  { "white", DT_IOP_FLOAT, G_STRUCT_OFFSET(_params_t, white), 0.2, 16, 1, NULL, "",
    "light of the display that endless light comes near; 1 is its white" },
  { "black", DT_IOP_FLOAT, G_STRUCT_OFFSET(_params_t, black), 0, 0.15, 0, NULL, "",
    "light of the display that no light becomes" },
  { "hue", DT_IOP_FLOAT, G_STRUCT_OFFSET(_params_t, hue), 0, 1, 1, NULL, "",
    "share of the hue that is preserved where the curve would turn it" },
  { NULL },
};

typedef struct _data_t
{
  dt_power_t slope, skew; ///< raise to c and k
  gboolean skewed;        ///< k is not 1: a second power is needed
  float inverse_scale;    ///< 1 / s
  float black, white, hue;
} _data_t;

static gboolean _commit(dt_iop_piece_t *piece, const void *params, GError **error)
{
  (void)error;
  const _params_t *p = params;
  const double g = DT_WORKING_GREY, black = p->black, k = pow(4.0, p->skew);
  const double root = pow((g - black) / (p->white - black), 1.0 / k);
  const double c = p->contrast * g / ((g - black) * k * (1.0 - root));
  const double s = g * pow(1.0 / root - 1.0, 1.0 / c);
  const _data_t data = { .slope = dt_power_prepare(c),
                         .skew = dt_power_prepare(k),
                         .skewed = p->skew != 0.0f,
                         .inverse_scale = (float)(1.0 / s),
                         .black = p->black,
                         .white = p->white,
                         .hue = p->hue };
  piece->data = g_memdup2(&data, sizeof(data));
  return TRUE;
}

/* What has a negative channel, mixed with grey of its luminance until that channel is exactly 0; without luminance
 * black. */
static inline dt_rgb_t _lift(dt_rgb_t p)
{
  const float y = dt_working_dot(dt_working_luminance, p);
  const float below = dt_working_min(dt_working_least(p), 0.0f);
  const float gain = y > DT_WORKING_LEAST ? y / (y - below) : 0.0f;
  return (dt_rgb_t){ (p.r - below) * gain, (p.g - below) * gain, (p.b - below) * gain };
}

static inline float _curve(const _data_t *d, float x, gboolean skewed)
{
  const float t = dt_power_raise(x * d->inverse_scale, &d->slope), share = t / (1.0f + t);
  return d->black + (d->white - d->black) * (skewed ? dt_power_raise(share, &d->skew) : share);
}

static inline dt_rgb_t _map(const _data_t *d, dt_rgb_t p, gboolean skewed)
{
  const dt_rgb_t q = { _curve(d, p.r, skewed), _curve(d, p.g, skewed), _curve(d, p.b, skewed) };
  const float least = dt_working_least(p), spread = dt_working_most(p) - least;
  const float base = dt_working_least(q), reach = dt_working_most(q) - base;
  const float inverse = spread > DT_WORKING_LEAST ? 1.0f / spread : 0.0f;
  const dt_rgb_t kept = { base + (p.r - least) * inverse * reach, base + (p.g - least) * inverse * reach,
                          base + (p.b - least) * inverse * reach };
  return (dt_rgb_t){ dt_working_clamp(q.r + d->hue * (kept.r - q.r), d->black, d->white),
                     dt_working_clamp(q.g + d->hue * (kept.g - q.g), d->black, d->white),
                     dt_working_clamp(q.b + d->hue * (kept.b - q.b), d->black, d->white) };
}

DT_WIDE_VECTORS static void _row(const void *data, const float *restrict in, float *restrict out, gsize width)
{
  const _data_t d = *(const _data_t *)data;
  for(gsize i = 0; i < width; i++)
  {
    dt_working_store(_map(&d, _lift(dt_working_load(in + 4 * i)), FALSE), out + 4 * i);
    out[4 * i + 3] = in[4 * i + 3];
  }
}

DT_WIDE_VECTORS static void _row_skewed(const void *data, const float *restrict in, float *restrict out,
                                        gsize width)
{
  const _data_t d = *(const _data_t *)data;
  for(gsize i = 0; i < width; i++)
  {
    dt_working_store(_map(&d, _lift(dt_working_load(in + 4 * i)), TRUE), out + 4 * i);
    out[4 * i + 3] = in[4 * i + 3];
  }
}

static gboolean _process(const dt_iop_piece_t *piece, const float *in, const dt_iop_roi_t *roi_in, float *out,
                         const dt_iop_roi_t *roi_out, GError **error)
{
  (void)roi_in;
  (void)error;
  const _data_t *d = piece->data;
  dt_iop_for_rows(d->skewed ? _row_skewed : _row, piece, in, out, roi_out);
  return TRUE;
}

static gboolean _process_cl(const dt_iop_piece_t *piece, dt_opencl_queue_t *queue, cl_mem in,
                            const dt_iop_roi_t *roi_in, cl_mem out, const dt_iop_roi_t *roi_out,
                            GError **error)
{
  (void)roi_in;
  const _data_t *d = piece->data;
  const float slope[4] = { d->slope.head, d->slope.tail, d->slope.log2e };
  const float skew[4] = { d->skew.head, d->skew.tail, d->skew.log2e };
  const float curve[4] = { d->inverse_scale, d->black, d->white, d->hue };
  const dt_opencl_arg_t args[] = { DT_OPENCL_ARG(dt_working_luminance), DT_OPENCL_ARG(slope),
                                   DT_OPENCL_ARG(skew), DT_OPENCL_ARG(d->skewed), DT_OPENCL_ARG(curve) };
  return dt_iop_enqueue_pixels(queue, "colour", "sigmoid", in, out, roi_out, args, G_N_ELEMENTS(args), error);
}

const dt_iop_module_t dt_iop_sigmoid = {
  .name = "sigmoid",
  .title = "sigmoid",
  .version = 1,
  .flags = DT_IOP_ON_RAW,
  .params_size = sizeof(_params_t),
  .params = _params,
  .commit = _commit,
  .process = _process,
  .process_cl = _process_cl,
};
