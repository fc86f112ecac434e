/* SPDX-License-Identifier: GPL-3.0-or-later */
/* denoise (profiled): noise of a sensor whose variance is known, taken out by wavelets.
 *
 * Variance grows with light: variance = scale x + offset. A variance-stabilising transform (F. J. Anscombe, 1948; with
 * the part of reading by J.-L. Starck et al., 1998) makes it the same everywhere:
 *
 *     v = 2 x / (1 + sqrt(1 + x / o)),  o = offset / scale + 3/8 scale,  variance of v = offset + 3/8 scale²
 *
 * which is the square root of x + o less what it is at 0, has slope 1 there, goes on as v = x below 0, and is v = x where
 * noise does not depend on light (o is infinite). Its inverse is x = v + v² / 4 o; a mean of v is a mean of x less the
 * removed variance / 4 o, which is given back (M. Mäkitalo and A. Foi have the exact form, 2011).
 *
 * Red, green and blue become one plane of luma and two of chroma, an orthonormal basis. Each is taken apart by undecimated
 * (à trous) wavelets with the B3 spline 1 4 6 4 1 (J.-L. Starck, F. Murtagh): scale j is what a blur with steps of 2^j
 * takes away. By how much each scale shrinks white noise is known. Where the mean energy of the details of 5 x 5 places
 * around, with the same steps, is that of noise, the detail goes; where it is more, it is shrunk as Wiener's filter does:
 * detail *= 1 - min(1, noise / energy). The mean is plain: one outlier among 25 is not taken for a detail. Both of chroma share an energy. Nothing is taken from a larger part
 * of the picture, so that any rectangle is that part of the whole.
 *
 * Of a picture at half the size each pixel is a mean of four, so it has half the noise, and its first scale is the second
 * one of the full size: there is one scale less.
 *
 * Noise that went through demosaic is no longer white: colours whose sites are rare are filled in from afar, so that it
 * is less in fine scales and more in coarse ones. By how much is measured (see _correlation).
 *
 * On the CPU rows flow through all scales at once, each as soon as the rows below it that it needs are there, so that
 * what is held is a few rows of each scale (see _ring_t), in strips that are narrow enough for the processor's cache. */
#include "iop/iop.h"

#include "common/errors.h"
#include "common/memory.h"
#include "common/wide_vectors.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define MOST_SCALES 6
/** What a strip gives, in pixels. */
#define STRIP 1024
/** Fewest rows of a band: each computes its surroundings anew. */
#define BAND 256
/** By how much more than its mean the energy of noise may be and still be noise. */
#define LUMA 1.15
#define CHROMA 1.4
/** Light at which grey is to have no chroma. */
#define GREY 0.18
/** A sensor that nothing else is known of: electrons at saturation at ISO 100, and of reading. */
#define ELECTRONS 40000.0
#define READING 3.0
#define USUAL_ISO 800.0
/** Beyond any light; squares of it are still numbers. */
#define MOST 1e9f
/** Less than the rounding of 16 bits, by far. */
#define LEAST_VARIANCE 1e-16
/** Below any energy of noise; keeps 0 / 0 away. */
#define LEAST 1e-12f

typedef struct _params_t
{
  float strength, luma, chroma;
  int scales;
} _params_t;

static const dt_iop_param_t _params[] = {
  { "strength", DT_IOP_FLOAT, G_STRUCT_OFFSET(_params_t, strength), 0, 4, 1, NULL, "",
    "how much noise is taken for granted, in units of what is known of the sensor" },
  { "luma", DT_IOP_FLOAT, G_STRUCT_OFFSET(_params_t, luma), 0, 2, 1, NULL, "",
    "the same of brightness alone; 0 keeps its grain" },
  { "chroma", DT_IOP_FLOAT, G_STRUCT_OFFSET(_params_t, chroma), 0, 2, 1, NULL, "",
    "the same of colour alone" },
  { "scales", DT_IOP_INT, G_STRUCT_OFFSET(_params_t, scales), 1, MOST_SCALES, 5, NULL, "",
    "scales of wavelets, each twice as coarse as the last; 5 reaches blotches of 32 px" },
  { NULL },
};

/* --- what is known of the noise --- */

/** Deviation of white noise of deviation 1 in each scale: of the spline taken to two dimensions. */
static const double _white[MOST_SCALES] = { 0.89080, 0.20066, 0.08551, 0.04122, 0.02043, 0.01019 };

/** The same of noise that went through demosaic (of Bayer and four colours; of X-Trans), beside white noise, in scales of
 * the full size: of luma, of chroma. Measured on flat grey with common/demosaic.h; the test does it again. */
static const double _demosaiced[2][2][MOST_SCALES] = {
  { { 1.29, 1.74, 1.83, 1.88, 1.89, 1.90 }, { 0.39, 1.07, 1.65, 1.87, 1.95, 1.98 } },
  { { 1.52, 1.80, 1.88, 1.94, 1.98, 1.97 }, { 0.25, 0.79, 1.51, 1.85, 1.97, 2.01 } },
};

/** Luma and chroma of red, green and blue. */
#define THIRD 0.57735027f
#define HALF 0.70710678f
#define SIXTH 0.40824829f
static const float _basis[3][3] = { { THIRD, THIRD, THIRD },
                                    { HALF, 0.0f, -HALF },
                                    { SIXTH, -2.0f * SIXTH, SIXTH } };

typedef struct _data_t
{
  int scales;
  float inverse_offset[4];     ///< 1 / o of each colour; 0: noise does not depend on light
  float align[4];              ///< brings the colours' transforms of grey together
  float bias[4], slope[4];     ///< what is given back, and 1 / (2 · deviation), over which it comes in
  float weight[4];             ///< of squared details of each plane in its energy: 1 / variance
  float noise[MOST_SCALES][2]; ///< energy of luma's and chroma's noise in each scale
} _data_t;

/** How much of the noise's variance goes, of a plane where energy below @p excess times its mean is noise. */
static double _part_removed(double excess)
{
  const double kept = 1.0 - MIN(1.0, excess);
  return 1.0 - kept * kept;
}

static void _find_noise(const dt_iop_image_t *image, double *scale, double *offset)
{
  *scale = image->noise_scale > 0.0 ? MIN(image->noise_scale, 1.0) : 0.0;
  *offset = image->noise_offset > 0.0 ? MIN(image->noise_offset, 1.0) : 0.0;
  if(*scale > 0.0 || *offset > 0.0) return;
  *scale = (image->iso > 0.0 ? image->iso : USUAL_ISO) / 100.0 / ELECTRONS;
  *offset = (READING * *scale) * (READING * *scale);
}

/** The transform of one colour, whose samples were multiplied by @p gain when white was balanced.
 * @return the deviation of its noise */
static double _set_colour(_data_t *data, int c, double scale, double offset, double gain, double shrunk)
{
  const double a = scale * gain, b = offset * gain * gain;
  const double variance = MAX(b + 0.375 * a * a, LEAST_VARIANCE);
  data->inverse_offset[c] = (float)(a / variance);
  data->bias[c] = (float)(0.25 * a * shrunk * shrunk);
  data->slope[c] = (float)(0.5 / (sqrt(variance) * shrunk));
  const double grey = 2.0 * GREY / (1.0 + sqrt(1.0 + GREY * a / variance));
  data->align[c] = (float)(GREY / grey);
  return sqrt(variance) * GREY / grey;
}

/** Deviation of luma's and chroma's noise beside white noise, in scale @p at of the full size. */
static double _correlation(const dt_iop_image_t *image, gboolean chroma, double at)
{
  if(!DT_IOP_IS_MOSAIC(image)) return 1.0;
  const double *measured = _demosaiced[image->mosaic->sensor == DT_SENSOR_XTRANS][chroma];
  const double place = CLAMP(at, 0.0, MOST_SCALES - 1.0);
  const int below = MIN((int)place, MOST_SCALES - 2);
  return measured[below] + (measured[below + 1] - measured[below]) * (place - below);
}

/** Energies and weights of luma's and chroma's noise. @p excess of both; @p shrunk: scale of the picture. */
static void _set_planes(_data_t *data, const dt_iop_image_t *image, const double deviations[3],
                        const double excess[2], double shrunk)
{
  for(int p = 0; p < 3; p++)
  {
    double variance = 0.0;
    for(int c = 0; c < 3; c++)
      variance += (double)_basis[p][c] * (double)_basis[p][c] * deviations[c] * deviations[c];
    data->weight[p] = (float)((p == 0 ? 1.0 : 0.5) / variance);
  }
  for(int j = 0; j < data->scales; j++)
    for(int chroma = 0; chroma < 2; chroma++)
    {
      const double deviation = _white[j] * shrunk * _correlation(image, chroma, j - log2(shrunk));
      data->noise[j][chroma] = (float)(excess[chroma] * deviation * deviation);
    }
}

static gboolean _commit(dt_iop_piece_t *piece, const void *params, GError **error)
{
  (void)error;
  const _params_t *p = params;
  const dt_iop_image_t *image = piece->image;
  const double shrunk = MIN(piece->in_scale, 1.0);
  const double luma = LUMA * (double)(p->strength * p->luma);
  const double chroma = CHROMA * (double)(p->strength * p->chroma);
  const double excess[2] = { luma * luma, chroma * chroma };
  double scale, offset, deviations[3];
  _data_t *data = g_new0(_data_t, 1);
  piece->data = data;
  data->scales = CLAMP(p->scales + (int)lround(log2(shrunk)), 0, p->scales);
  if(data->scales == 0 || (luma <= 0.0 && chroma <= 0.0)) piece->enabled = FALSE;
  _find_noise(image, &scale, &offset);
  for(int c = 0; c < 3; c++)
  {
    const double neutral = image->mosaic ? image->neutral[c] : 1.0;
    deviations[c] = _set_colour(data, c, scale, offset, neutral > 0.0 ? 1.0 / neutral : 1.0, shrunk);
    data->bias[c] *= (float)((_part_removed(excess[0]) + 2.0 * _part_removed(excess[1])) / 3.0);
  }
  _set_planes(data, image, deviations, excess, shrunk);
  return TRUE;
}

/* --- rectangles --- */

/** How far around what is given scale @p j (0: the picture; scales: what is left) is needed: as far as the energies of the
 * last scale reach, and the blurs from there on. */
static int _reach(const _data_t *d, int j)
{
  return (3 << d->scales) - (2 << j);
}

static void _need(const dt_iop_piece_t *piece, const dt_iop_roi_t *out, dt_iop_roi_t *in)
{
  dt_iop_roi_grow(out, _reach(piece->data, 0), in);
}

/** The place inside that @p at outside a row of @p n is the mirror image of. */
static inline int _mirror(int at, int n)
{
  if(at >= 0 && at < n) return at;
  const int period = MAX(2 * (n - 1), 1);
  const int place = abs(at) % period;
  return place < n ? place : period - place;
}

/* --- the CPU: loops over a row --- */

/** u = align · x / (1/2 + sqrt(1 + x / o) / 2), three colours at a time. */
DT_WIDE_VECTORS static void _stabilise(const _data_t *d, const float *restrict in, float *restrict luma,
                                       float *restrict chroma, float *restrict chroma2, int n)
{
  const _data_t k = *d;
  for(int i = 0; i < n; i++)
  {
    float u[3];
    for(int c = 0; c < 3; c++)
    {
      float x = in[4 * i + c];
      x = x > -MOST ? x : -MOST;
      x = x < MOST ? x : MOST;
      const float light = x > 0.0f ? x : 0.0f;
      u[c] = k.align[c] * x / (0.5f + 0.5f * sqrtf(1.0f + light * k.inverse_offset[c]));
    }
    luma[i] = THIRD * (u[0] + u[1] + u[2]);
    chroma[i] = HALF * (u[0] - u[2]);
    chroma2[i] = SIXTH * (u[0] - 2.0f * u[1] + u[2]);
  }
}

/** The way back, and alpha as it was. */
DT_WIDE_VECTORS static void _restore(const _data_t *d, const float *restrict luma,
                                     const float *restrict chroma, const float *restrict chroma2,
                                     const float *restrict in, float *restrict out, int n)
{
  const _data_t k = *d;
  const float inverse[3] = { 1.0f / k.align[0], 1.0f / k.align[1], 1.0f / k.align[2] };
  for(int i = 0; i < n; i++)
  {
    const float grey = THIRD * luma[i], tint = SIXTH * chroma2[i];
    const float u[3] = { grey + HALF * chroma[i] + tint, grey - 2.0f * tint, grey - HALF * chroma[i] + tint };
    for(int c = 0; c < 3; c++)
    {
      const float v = u[c] * inverse[c], light = v > 0.0f ? v : 0.0f;
      float lost = 0.5f + v * k.slope[c];
      lost = lost > 0.0f ? lost : 0.0f;
      lost = lost < 1.0f ? lost : 1.0f;
      out[4 * i + c] = v + light * v * (0.25f * k.inverse_offset[c]) + k.bias[c] * lost;
    }
    out[4 * i + 3] = in[4 * i + 3];
  }
}

/** Weights of a place two steps away, one step away, and of its own. */
static const float _spline[3] = { 0.0625f, 0.25f, 0.375f }, _mean[3] = { 0.2f, 0.2f, 0.2f };

/** Weighs five rows. */
DT_WIDE_VECTORS static void _blur_down(const float *const rows[5], const float taps[3], float *restrict out,
                                       int n)
{
  const float *a = rows[0], *b = rows[1], *c = rows[2], *d = rows[3], *e = rows[4];
  const float far = taps[0], near = taps[1], own = taps[2];
  for(int i = 0; i < n; i++) out[i] = far * (a[i] + e[i]) + near * (b[i] + d[i]) + own * c[i];
}

/** Weighs along a row, which begins two steps before what is given. */
DT_WIDE_VECTORS static void _blur_along(const float *restrict in, int step, const float taps[3],
                                        float *restrict out, int n)
{
  const float *b = in + step, *c = b + step, *d = c + step, *e = d + step;
  const float far = taps[0], near = taps[1], own = taps[2];
  for(int i = 0; i < n; i++) out[i] = far * (in[i] + e[i]) + near * (b[i] + d[i]) + own * c[i];
}

/** The energy of details: their squares in units of the noise's, added to those that are there unless @p first. */
DT_WIDE_VECTORS static void _square(const float *restrict fine, const float *restrict coarse, float weight,
                                    gboolean first, float *restrict energy, int n)
{
  if(first)
    for(int i = 0; i < n; i++) energy[i] = weight * ((fine[i] - coarse[i]) * (fine[i] - coarse[i]));
  else
    for(int i = 0; i < n; i++) energy[i] += weight * ((fine[i] - coarse[i]) * (fine[i] - coarse[i]));
}

/** Takes from the sum what is noise in the details. */
DT_WIDE_VECTORS static void _take(const float *restrict fine, const float *restrict coarse,
                                  const float *restrict energy, float noise, float *restrict sum, int n)
{
  for(int i = 0; i < n; i++)
  {
    float part = noise / (energy[i] + LEAST);
    part = part < 1.0f ? part : 1.0f;
    sum[i] -= (fine[i] - coarse[i]) * part;
  }
}

/* --- the CPU: rows flow through the scales --- */

/** The last rows of a picture, each of some planes. */
typedef struct _ring_t
{
  float *rows;
  int capacity, planes;
} _ring_t;

/** A part of the output on its way. Places are those of the input's rectangle. */
typedef struct _strip_t
{
  const _data_t *d;
  const float *in;
  float *out;
  int width, height;               ///< of the input's rectangle
  int out_x, out_y, out_width;     ///< of the output's
  int x0, x1, y0, y1;              ///< what is to be given
  int base;                        ///< the place that rows begin at
  gsize stride;                    ///< floats of a row's plane
  _ring_t smooth[MOST_SCALES + 1]; ///< the picture and what each scale leaves of it
  _ring_t energy[MOST_SCALES];     ///< of the details of luma and of chroma
  _ring_t sum;                     ///< the picture less what was taken from it
  int next_smooth[MOST_SCALES + 1], next_energy[MOST_SCALES]; ///< the row to come
  float *line;    ///< a row between the two directions, with what it mirrors
  float *blurred; ///< a row of blurred energy
  float *memory;
} _strip_t;

/** What @p plane of the ring's row @p y has at the strip's base. */
static float *_row(const _strip_t *s, const _ring_t *ring, int y, int plane)
{
  return ring->rows + (gsize)(y % ring->capacity * ring->planes + plane) * s->stride;
}

/** Blurs a row of a ring with steps of @p step: what is given, and @p reach to both sides. */
static void _blur(const _strip_t *s, const _ring_t *ring, int plane, int y, int step, int reach,
                  const float taps[3], float *out)
{
  const float *rows[5];
  const int left = MAX(s->x0 - reach, 0), right = MIN(s->x1 + reach, s->width);
  const int from = MAX(left - 2 * step, 0), to = MIN(right + 2 * step, s->width);
  float *line = s->line + 2 * step - left; /* [x] is place x */
  for(int k = 0; k < 5; k++)
    rows[k] = _row(s, ring, _mirror(y + (k - 2) * step, s->height), plane) + (from - s->base);
  _blur_down(rows, taps, line + from, to - from);
  for(int x = left - 2 * step; x < from; x++) line[x] = line[_mirror(x, s->width)];
  for(int x = to; x < right + 2 * step; x++) line[x] = line[_mirror(x, s->width)];
  _blur_along(s->line, step, taps, out + (left - s->base), right - left);
}

static void _give_row(const _strip_t *s, int y)
{
  const int at = s->x0 - s->base;
  const gsize in = ((gsize)y * (gsize)s->width + (gsize)s->x0) * 4;
  _restore(s->d, _row(s, &s->sum, y, 0) + at, _row(s, &s->sum, y, 1) + at, _row(s, &s->sum, y, 2) + at,
           s->in + in, s->out + ((gsize)(y - s->out_y) * (gsize)s->out_width + (gsize)(s->x0 - s->out_x)) * 4,
           s->x1 - s->x0);
}

/** Row @p y of scale @p j is shrunk: all that it takes is there. */
static void _shrink_row(const _strip_t *s, int j, int y)
{
  const int at = s->x0 - s->base, n = s->x1 - s->x0;
  for(int p = 0; p < 3; p++)
  {
    const float *fine = _row(s, &s->smooth[j], y, p) + at, *coarse = _row(s, &s->smooth[j + 1], y, p) + at;
    float *sum = _row(s, &s->sum, y, p) + at;
    if(p < 2) _blur(s, &s->energy[j], p, y, 1 << j, 0, _mean, s->blurred);
    if(j == 0) memcpy(sum, fine, (gsize)n * sizeof(float));
    _take(fine, coarse, s->blurred + at, s->d->noise[j][p > 0], sum, n);
  }
  if(j == s->d->scales - 1) _give_row(s, y);
}

/** Row @p y of the details of scale @p j is there: so is what waited for it. */
static void _push_detail(_strip_t *s, int j, int y)
{
  const int step = 1 << j, bottom = MIN(s->y1 + 2 * step, s->height);
  if(y < s->y0 - 2 * step || y >= bottom) return;
  const int left = MAX(s->x0 - 2 * step, 0), n = MIN(s->x1 + 2 * step, s->width) - left, at = left - s->base;
  for(int p = 0; p < 3; p++)
    _square(_row(s, &s->smooth[j], y, p) + at, _row(s, &s->smooth[j + 1], y, p) + at, s->d->weight[p], p < 2,
            _row(s, &s->energy[j], y, p > 0) + at, n);
  while(s->next_energy[j] < s->y1 && MIN(s->next_energy[j] + 2 * step, bottom - 1) <= y)
    _shrink_row(s, j, s->next_energy[j]++);
}

/** Row @p y of what scale @p j begins with is there: so is what waited for it. Going down to the last scale with each row
 * keeps the rings short. */
static void _push(_strip_t *s, int j, int y)
{
  if(j == MOST_SCALES || j == s->d->scales) return;
  const int step = 1 << j, reach = _reach(s->d, j + 1), bottom = MIN(s->y1 + reach, s->height);
  int *next = &s->next_smooth[j + 1];
  while(*next < bottom && MIN(*next + 2 * step, s->height - 1) <= y)
  {
    const int row = (*next)++;
    for(int p = 0; p < 3; p++)
      _blur(s, &s->smooth[j], p, row, step, reach, _spline, _row(s, &s->smooth[j + 1], row, p));
    _push_detail(s, j, row);
    _push(s, j + 1, row);
  }
}

static void _run_strip(_strip_t *s)
{
  const int reach = _reach(s->d, 0);
  for(int j = 0; j <= s->d->scales; j++) s->next_smooth[j] = MAX(s->y0 - _reach(s->d, j), 0);
  for(int j = 0; j < s->d->scales; j++) s->next_energy[j] = s->y0;
  const int n = MIN(s->x1 + reach, s->width) - s->base, bottom = MIN(s->y1 + reach, s->height);
  for(int y = s->next_smooth[0]; y < bottom; y++)
  {
    _stabilise(s->d, s->in + ((gsize)y * (gsize)s->width + (gsize)s->base) * 4, _row(s, &s->smooth[0], y, 0),
               _row(s, &s->smooth[0], y, 1), _row(s, &s->smooth[0], y, 2), n);
    _push(s, 0, y);
  }
}

/** Rows of every ring: as many as a blur or an energy looks back, and the sum those on their way. */
static gsize _count_planes(_strip_t *s)
{
  const int scales = MAX(s->d->scales, 1);
  gsize planes = 0;
  for(int j = 0; j <= scales; j++)
  {
    s->smooth[j] = (_ring_t){ NULL, j < scales ? (4 << j) + 1 : (1 << j) + 1, 3 };
    planes += (gsize)s->smooth[j].capacity * 3;
    if(j == scales) break;
    s->energy[j] = (_ring_t){ NULL, (4 << j) + 1, 2 };
    planes += (gsize)s->energy[j].capacity * 2;
  }
  s->sum = (_ring_t){ NULL, _reach(s->d, 0) + 1, 3 };
  return planes + (gsize)s->sum.capacity * 3;
}

static void _place_ring(const _strip_t *s, _ring_t *ring, float **memory)
{
  ring->rows = *memory;
  *memory += (gsize)(ring->capacity * ring->planes) * s->stride;
}

/** Longest rows of a strip @p width wide, with a blur's surroundings, in whole lines of the processor's cache. */
static gsize _stride(const _data_t *d, int width)
{
  return (gsize)(width + 2 * _reach(d, 0) + 15) / 16 * 16;
}

/** Bytes of a strip's rings and two lines, the first of which has a blur's surroundings of its own. */
static gsize _strip_bytes(_strip_t *s, int width)
{
  s->stride = _stride(s->d, width);
  return ((_count_planes(s) + 2) * s->stride + (4 << s->d->scales)) * sizeof(float);
}

static gboolean _strip_init(_strip_t *s)
{
  float *memory = dt_memory_try_large(_strip_bytes(s, s->x1 - s->x0), 1);
  s->memory = memory;
  if(!memory) return FALSE;
  for(int j = 0; j <= s->d->scales; j++) _place_ring(s, &s->smooth[j], &memory);
  for(int j = 0; j < s->d->scales; j++) _place_ring(s, &s->energy[j], &memory);
  _place_ring(s, &s->sum, &memory);
  s->blurred = memory;
  s->line = memory + s->stride;
  s->base = MAX(s->x0 - _reach(s->d, 0), 0);
  return TRUE;
}

/** Into how many columns and bands a picture is cut, so that every core has something to do. */
static void _divide(const dt_iop_roi_t *roi, int *columns, int *bands)
{
  const int cores = (int)g_get_num_processors();
  *columns = (roi->width + STRIP - 1) / STRIP;
  *bands = CLAMP((3 * cores + *columns - 1) / *columns, 1, MAX(roi->height / BAND, 1));
}

static gsize _memory(const dt_iop_piece_t *piece, const dt_iop_roi_t *in, const dt_iop_roi_t *out)
{
  (void)in;
  int columns, bands;
  _strip_t strip = { .d = piece->data };
  _divide(out, &columns, &bands);
  const gsize at_once = MIN((gsize)(columns * bands), g_get_num_processors());
  return at_once * _strip_bytes(&strip, MIN(out->width, STRIP));
}

/** Three pictures. */
static gsize _memory_cl(const dt_iop_piece_t *piece, const dt_iop_roi_t *in, const dt_iop_roi_t *out)
{
  (void)piece;
  (void)out;
  return (gsize)in->width * (gsize)in->height * 3 * 4 * sizeof(float);
}

static gboolean _process(const dt_iop_piece_t *piece, const float *in, const dt_iop_roi_t *roi_in, float *out,
                         const dt_iop_roi_t *roi_out, GError **error)
{
  int columns, bands, failed = 0;
  const int left = roi_out->x - roi_in->x, top = roi_out->y - roi_in->y;
  const gint64 width = roi_out->width, height = roi_out->height;
  _divide(roi_out, &columns, &bands);
#pragma omp parallel for schedule(dynamic) reduction(+ : failed)
  for(int i = 0; i < columns * bands; i++)
  {
    const int column = i % columns, band = i / columns;
    _strip_t strip = { .d = piece->data, .in = in, .out = out };
    strip.width = roi_in->width;
    strip.height = roi_in->height;
    strip.out_x = left;
    strip.out_y = top;
    strip.out_width = roi_out->width;
    strip.x0 = left + (int)(width * column / columns);
    strip.x1 = left + (int)(width * (column + 1) / columns);
    strip.y0 = top + (int)(height * band / bands);
    strip.y1 = top + (int)(height * (band + 1) / bands);
    if(_strip_init(&strip))
      _run_strip(&strip);
    else
      failed++;
    free(strip.memory);
  }
  if(failed == 0) return TRUE;
  g_set_error_literal(error, DT_AI_ERROR, DT_AI_ERROR_MEMORY, "There is no memory to denoise in.");
  return FALSE;
}

/* --- devices --- */

typedef struct _device_t
{
  dt_opencl_queue_t *queue;
  GError **error;
  const _data_t *d;
  const dt_iop_roi_t *roi_in, *roi_out;
  cl_mem in, out, fine, between, coarse;
} _device_t;

static gboolean _enqueue(const _device_t *v, const char *name, const dt_opencl_arg_t *args, int n,
                         const dt_iop_roi_t *roi)
{
  return dt_opencl_launch(v->queue, "wavelets", name, args, n, roi->width, roi->height, v->error);
}

static gboolean _stabilise_cl(const _device_t *v)
{
  const float *align = v->d->align, *offset = v->d->inverse_offset;
  const dt_opencl_arg_t args[] = { DT_OPENCL_ARG(v->in),
                                   DT_OPENCL_ARG(v->fine),
                                   DT_OPENCL_ARG(v->roi_in->width),
                                   DT_OPENCL_ARG(v->roi_in->height),
                                   { sizeof(v->d->align), align },
                                   { sizeof(v->d->inverse_offset), offset } };
  return _enqueue(v, "stabilise", args, G_N_ELEMENTS(args), v->roi_in);
}

/** One direction of the blur, or of the energy. */
static gboolean _blur_cl(const _device_t *v, const char *name, const cl_mem buffers[3], int j)
{
  const cl_int step = 1 << j;
  dt_opencl_arg_t args[7];
  int n = 0;
  for(int i = 0; i < 3 && buffers[i]; i++) args[n++] = (dt_opencl_arg_t)DT_OPENCL_ARG(buffers[i]);
  args[n++] = (dt_opencl_arg_t)DT_OPENCL_ARG(v->roi_in->width);
  args[n++] = (dt_opencl_arg_t)DT_OPENCL_ARG(v->roi_in->height);
  args[n++] = (dt_opencl_arg_t)DT_OPENCL_ARG(step);
  if(buffers[2]) args[n++] = (dt_opencl_arg_t){ sizeof(v->d->weight), v->d->weight };
  return _enqueue(v, name, args, n, v->roi_in);
}

static gboolean _shrink_cl(const _device_t *v, int j)
{
  const cl_int step = 1 << j, x = v->roi_out->x - v->roi_in->x, y = v->roi_out->y - v->roi_in->y;
  const dt_opencl_arg_t args[] = {
    DT_OPENCL_ARG(v->fine), DT_OPENCL_ARG(v->coarse),         DT_OPENCL_ARG(v->between),
    DT_OPENCL_ARG(v->out),  DT_OPENCL_ARG(v->roi_in->width),  DT_OPENCL_ARG(x),
    DT_OPENCL_ARG(y),       DT_OPENCL_ARG(v->roi_out->width), DT_OPENCL_ARG(v->roi_out->height),
    DT_OPENCL_ARG(step),    DT_OPENCL_ARG(v->d->noise[j][0]), DT_OPENCL_ARG(v->d->noise[j][1])
  };
  return _enqueue(v, "shrink", args, G_N_ELEMENTS(args), v->roi_out);
}

static gboolean _restore_cl(const _device_t *v)
{
  const cl_int x = v->roi_out->x - v->roi_in->x, y = v->roi_out->y - v->roi_in->y;
  const dt_opencl_arg_t args[] = { DT_OPENCL_ARG(v->in),
                                   DT_OPENCL_ARG(v->out),
                                   DT_OPENCL_ARG(v->roi_in->width),
                                   DT_OPENCL_ARG(x),
                                   DT_OPENCL_ARG(y),
                                   DT_OPENCL_ARG(v->roi_out->width),
                                   DT_OPENCL_ARG(v->roi_out->height),
                                   { sizeof(v->d->align), v->d->align },
                                   { sizeof(v->d->inverse_offset), v->d->inverse_offset },
                                   { sizeof(v->d->bias), v->d->bias },
                                   { sizeof(v->d->slope), v->d->slope } };
  return _enqueue(v, "restore", args, G_N_ELEMENTS(args), v->roi_out);
}

static gboolean _run_cl(_device_t *v)
{
  gboolean fine = _stabilise_cl(v);
  for(int j = 0; fine && j < v->d->scales; j++)
  {
    fine = _blur_cl(v, "blur_down", (const cl_mem[]){ v->fine, v->between, NULL }, j)
           && _blur_cl(v, "blur_along", (const cl_mem[]){ v->between, v->coarse, NULL }, j)
           && _blur_cl(v, "energy_down", (const cl_mem[]){ v->fine, v->coarse, v->between }, j)
           && _shrink_cl(v, j);
    const cl_mem coarse = v->coarse;
    v->coarse = v->fine;
    v->fine = coarse;
  }
  return fine && _restore_cl(v);
}

static gboolean _process_cl(const dt_iop_piece_t *piece, dt_opencl_queue_t *queue, cl_mem in,
                            const dt_iop_roi_t *roi_in, cl_mem out, const dt_iop_roi_t *roi_out,
                            GError **error)
{
  const gsize bytes = (gsize)roi_in->width * (gsize)roi_in->height * 4 * sizeof(float);
  _device_t v = { queue, error, piece->data, roi_in, roi_out, in, out, NULL, NULL, NULL };
  v.fine = dt_opencl_buffer_new(queue, bytes, NULL, error);
  v.between = v.fine ? dt_opencl_buffer_new(queue, bytes, NULL, error) : NULL;
  v.coarse = v.between ? dt_opencl_buffer_new(queue, bytes, NULL, error) : NULL;
  const gboolean fine = v.coarse && _run_cl(&v);
  dt_opencl_buffer_free(queue, v.fine);
  dt_opencl_buffer_free(queue, v.between);
  dt_opencl_buffer_free(queue, v.coarse);
  return fine;
}

const dt_iop_module_t dt_iop_denoiseprofile = {
  .name = "denoiseprofile",
  .title = "denoise (profiled)",
  .version = 1,
  .flags = DT_IOP_NEEDS_NOISE,
  .params_size = sizeof(_params_t),
  .params = _params,
  .commit = _commit,
  .need = _need,
  .memory = _memory,
  .memory_cl = _memory_cl,
  .process = _process,
  .process_cl = _process_cl,
};
