/* SPDX-License-Identifier: GPL-3.0-or-later */
/* tone and colour: brightness, contrast, saturation and vibrance.
 *
 * Tone is a power of luminance in linear light: with b = 2^-brightness, black and white stay and what is between moves;
 * then contrast c turns about the pivot v. A pixel's channels are multiplied by
 *
 *   Y'/Y = v (Y^b / v)^c / Y = v^(1-c) Y^(bc-1),
 *
 * one factor for all three: hue and saturation stay. Ten stops from the pivot and farther away the factor grows and
 * falls no more: noise around black stays noise, and light below 0 passes.
 *
 * Colour is chroma in Oklab (B. Ottosson, "A perceptual color space for image processing", 2020), which keeps the hue
 * that is seen; a straight line to grey in linear light would turn blue to purple. With the cube roots v of the cone
 * responses, lightness L = w v, and greys where all three are L, chroma times s is simply v' = L + s (v - L). Vibrance
 * adds a gain that is whole for grey and falls with saturation S = C / L as 1 / (1 + (S / S0)^2): saturated colours are
 * protected, skin half so, and a more saturated colour never becomes the less saturated one. */
#include "common/power.h"
#include "iop/working.h"

/** Of vibrance's gain half is left at this saturation; skin has 0.1 to 0.15, the primaries of sRGB 0.3 to 0.7. */
#define VIBRANCE_SATURATION 0.2f
/** Where luminance is below or above the pivot by this factor the power ends. */
#define REACH 1024.0f

typedef struct _params_t
{
  float brightness, contrast, pivot, saturation, vibrance;
} _params_t;

static const dt_iop_param_t _params[] = {
  { "brightness", DT_IOP_FLOAT, G_STRUCT_OFFSET(_params_t, brightness), -1, 1, 0, NULL, "",
    "lighter or, below 0, darker between black and white" },
  { "contrast", DT_IOP_FLOAT, G_STRUCT_OFFSET(_params_t, contrast), 0.2, 3, 1, NULL, "",
    "more light above the pivot and less below it; below 1 the reverse" },
  { "pivot", DT_IOP_FLOAT, G_STRUCT_OFFSET(_params_t, pivot), 0.01, 1, DT_WORKING_GREY, NULL, "",
    "linear light that contrast leaves as it is" },
  { "saturation", DT_IOP_FLOAT, G_STRUCT_OFFSET(_params_t, saturation), 0, 2, 1, NULL, "",
    "chroma of all colours; 0 is grey" },
  { "vibrance", DT_IOP_FLOAT, G_STRUCT_OFFSET(_params_t, vibrance), -1, 1, 0, NULL, "",
    "chroma of pale colours, less of saturated ones" },
  { NULL },
};

/* Cone responses of Oklab (its matrix from linear Rec.709) from linear Rec.2020, and back. */
static const dt_working_matrix_t _to_cones = { { { 0.616755787f, 0.360198399f, 0.023045813f },
                                                 { 0.265133064f, 0.635839364f, 0.099027572f },
                                                 { 0.100102634f, 0.203906519f, 0.695990846f } } };
static const dt_working_matrix_t _from_cones = { { { 2.139906736f, -1.246389509f, 0.106482773f },
                                                   { -0.884735862f, 2.163230982f, -0.278495119f },
                                                   { -0.048573758f, -0.454503143f, 1.503076901f } } };
/* Oklab of the cube roots of those. */
static const dt_working_matrix_t _to_oklab = { { { 0.2104542553f, 0.7936177850f, -0.0040720468f },
                                                 { 1.9779984951f, -2.4285922050f, 0.4505937099f },
                                                 { 0.0259040371f, 0.7827717662f, -0.8086757660f } } };
static const dt_power_t _third = { 0.3330078125f, 0.000325520833f, 0.480898347f };

typedef struct _data_t
{
  dt_power_t power;          ///< raises luminance to bc - 1
  float factor, least, most; ///< v^(1-c), and where the power ends
  gboolean colour;           ///< whether chroma changes at all
  float saturation, vibrance;
} _data_t;

static gboolean _commit(dt_iop_piece_t *piece, const void *params, GError **error)
{
  (void)error;
  const _params_t *p = params;
  const double slope = p->contrast * pow(2.0, -p->brightness);
  const _data_t data = { .power = dt_power_prepare(slope - 1.0),
                         .factor = (float)pow(p->pivot, 1.0 - p->contrast),
                         .least = p->pivot / REACH,
                         .most = p->pivot * REACH,
                         .colour = p->saturation != 1.0f || p->vibrance != 0.0f,
                         .saturation = p->saturation,
                         .vibrance = p->vibrance };
  piece->data = g_memdup2(&data, sizeof(data));
  if(p->contrast == 1.0f && p->brightness == 0.0f && !data.colour) piece->enabled = FALSE;
  return TRUE;
}

static inline float _cube_root(float x)
{
  const uint32_t bits = dt_power_bits(x), sign = bits & 0x80000000u;
  const float root = dt_power_raise(dt_power_float(bits ^ sign), &_third);
  return dt_power_float(dt_power_bits(root) ^ sign);
}

static inline float _cube(float x)
{
  return x * x * x;
}

/* Chroma times this. */
static inline float _chroma(const _data_t *d, dt_rgb_t roots, float lightness)
{
  const float a = dt_working_dot(_to_oklab.row[1], roots), b = dt_working_dot(_to_oklab.row[2], roots);
  const float size = lightness * VIBRANCE_SATURATION;
  const float square = size * size + DT_WORKING_LEAST;
  return d->saturation * (1.0f + d->vibrance * (square / (square + (a * a + b * b))));
}

static inline dt_rgb_t _colour(const _data_t *d, dt_rgb_t p)
{
  const dt_rgb_t cones = dt_working_multiply(&_to_cones, p);
  const dt_rgb_t v = { _cube_root(cones.r), _cube_root(cones.g), _cube_root(cones.b) };
  const float l = dt_working_dot(_to_oklab.row[0], v), s = _chroma(d, v, l);
  return dt_working_multiply(&_from_cones, (dt_rgb_t){ _cube(l + s * (v.r - l)), _cube(l + s * (v.g - l)),
                                                       _cube(l + s * (v.b - l)) });
}

/* Tone: all channels times this. Oklab's hue and chroma are homogeneous: it does not matter which comes first. */
static inline float _factor(const _data_t *d, dt_rgb_t p)
{
  const float y = dt_working_dot(dt_working_luminance, p);
  return d->factor * dt_power_raise(dt_working_clamp(y, d->least, d->most), &d->power);
}

static inline void _store(dt_rgb_t p, float factor, float *pixel)
{
  const float product[3] = { p.r * factor, p.g * factor, p.b * factor };
  dt_working_store(dt_working_load(product), pixel);
}

DT_WIDE_VECTORS static void _row_of_tone(const void *data, const float *restrict in, float *restrict out,
                                         gsize width)
{
  const _data_t d = *(const _data_t *)data;
  for(gsize i = 0; i < width; i++)
  {
    const dt_rgb_t p = dt_working_load(in + 4 * i);
    _store(p, _factor(&d, p), out + 4 * i);
    out[4 * i + 3] = in[4 * i + 3];
  }
}

DT_WIDE_VECTORS static void _row_of_colour(const void *data, const float *restrict in, float *restrict out,
                                           gsize width)
{
  const _data_t d = *(const _data_t *)data;
  for(gsize i = 0; i < width; i++)
  {
    const dt_rgb_t p = dt_working_load(in + 4 * i);
    _store(_colour(&d, p), _factor(&d, p), out + 4 * i);
    out[4 * i + 3] = in[4 * i + 3];
  }
}

static gboolean _process(const dt_iop_piece_t *piece, const float *in, const dt_iop_roi_t *roi_in, float *out,
                         const dt_iop_roi_t *roi_out, GError **error)
{
  (void)roi_in;
  (void)error;
  const _data_t *d = piece->data;
  dt_iop_for_rows(d->colour ? _row_of_colour : _row_of_tone, piece, in, out, roi_out);
  return TRUE;
}

static gboolean _process_cl(const dt_iop_piece_t *piece, dt_opencl_queue_t *queue, cl_mem in,
                            const dt_iop_roi_t *roi_in, cl_mem out, const dt_iop_roi_t *roi_out,
                            GError **error)
{
  (void)roi_in;
  const _data_t *d = piece->data;
  const float power[4] = { d->power.head, d->power.tail, d->power.log2e };
  const float tone[4] = { d->factor, d->least, d->most };
  const float colour[4] = { d->saturation, d->vibrance, VIBRANCE_SATURATION };
  const dt_opencl_arg_t args[] = { DT_OPENCL_ARG(dt_working_luminance), DT_OPENCL_ARG(power),
                                   DT_OPENCL_ARG(tone), DT_OPENCL_ARG(d->colour), DT_OPENCL_ARG(colour) };
  return dt_iop_enqueue_pixels(queue, "colour", "colorbalance", in, out, roi_out, args, G_N_ELEMENTS(args),
                               error);
}

const dt_iop_module_t dt_iop_colorbalance = {
  .name = "colorbalance",
  .title = "tone and colour",
  .version = 1,
  .params_size = sizeof(_params_t),
  .params = _params,
  .commit = _commit,
  .process = _process,
  .process_cl = _process_cl,
};
