/* SPDX-License-Identifier: GPL-3.0-or-later */
/* sharpen: an unsharp mask. What a Gaussian blur takes from lightness is added once more.
 *
 * Lightness is the square root of the luminance of linear Rec.2020. That is near to how eyes see light, so that an edge
 * becomes as much brighter on one side as it becomes darker on the other; in linear light the bright side would win. And
 * noise of photons, whose variance grows with light, is as large in the square root of every light, so that one
 * threshold keeps it out of shadows and highlights alike. The square takes it back without loss.
 *
 * All colours of a pixel are multiplied by the same number: their ratios stay, there are no coloured fringes. That number
 * is limited, by what a halo may be beside the pixel's own lightness L:
 *
 *     detail = L - blur(L),  s = amount · max(|detail| - threshold, 0),  gain = (1 ± H s / (H L + s))²
 *
 * which is what a plain mask does where s is small beside H L, and nears (1 ± H)² at the hardest edges. What has no
 * luminance, or one below 0, stays. */
#include "iop/iop.h"

#include "common/errors.h"
#include "common/memory.h"
#include "common/wide_vectors.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>

/** Most of what lightness gains or loses, of itself. */
#define HALO 0.3f
/** Keeps 0 / 0 away. */
#define LEAST 1e-20f
/** Beyond any light; its square is still a number. */
#define MOST 1e30f
#define LARGEST_RADIUS 20.0
/** A blur of less than that many pixels changes nothing that would be seen. */
#define LEAST_DEVIATION 0.25
/** As far as the blur looks, in its deviations. */
#define REACH 3.0
#define MOST_TAPS 61
/** Rows that are worked on with one pair of lines. */
#define BAND 32

typedef struct _params_t
{
  float radius, amount, threshold;
} _params_t;

static const dt_iop_param_t _params[] = {
  { "radius", DT_IOP_FLOAT, G_STRUCT_OFFSET(_params_t, radius), 0, LARGEST_RADIUS, 1, NULL, "px",
    "deviation of the blur: how fine the details are" },
  { "amount", DT_IOP_FLOAT, G_STRUCT_OFFSET(_params_t, amount), 0, 5, 0.7, NULL, "",
    "how much of the details is added" },
  { "threshold", DT_IOP_FLOAT, G_STRUCT_OFFSET(_params_t, threshold), 0, 100, 0.5, NULL, "%",
    "details to leave alone, of the lightness of white" },
  { NULL },
};

typedef struct _data_t
{
  float amount, threshold;
  int reach;             ///< of the blur, in pixels
  float taps[MOST_TAPS]; ///< weight at each distance
} _data_t;

static void _set_taps(_data_t *data, double deviation)
{
  double sum = 0.0, weights[MOST_TAPS];
  data->reach = CLAMP((int)ceil(REACH * deviation), 1, MOST_TAPS - 1);
  for(int k = 0; k <= data->reach; k++)
  {
    weights[k] = exp(-0.5 * k * k / (deviation * deviation));
    sum += k == 0 ? weights[k] : 2.0 * weights[k];
  }
  for(int k = 0; k <= data->reach; k++) data->taps[k] = (float)(weights[k] / sum);
}

static gboolean _commit(dt_iop_piece_t *piece, const void *params, GError **error)
{
  (void)error;
  const _params_t *p = params;
  const double deviation = (double)p->radius * MIN(piece->in_scale, 1.0);
  _data_t *data = g_new0(_data_t, 1);
  data->amount = p->amount;
  data->threshold = p->threshold / 100.0f;
  if(deviation < LEAST_DEVIATION || p->amount <= 0.0f) piece->enabled = FALSE;
  _set_taps(data, MAX(deviation, LEAST_DEVIATION));
  piece->data = data;
  return TRUE;
}

static void _need(const dt_iop_piece_t *piece, const dt_iop_roi_t *out, dt_iop_roi_t *in)
{
  dt_iop_roi_grow(out, ((const _data_t *)piece->data)->reach, in);
}

/** A plane of lightness. */
static gsize _memory(const dt_iop_piece_t *piece, const dt_iop_roi_t *in, const dt_iop_roi_t *out)
{
  (void)piece;
  (void)out;
  return (gsize)in->width * (gsize)in->height * sizeof(float);
}

/** And one that is blurred downwards. */
static gsize _memory_cl(const dt_iop_piece_t *piece, const dt_iop_roi_t *in, const dt_iop_roi_t *out)
{
  return 2 * _memory(piece, in, out);
}

/* --- the CPU --- */

DT_WIDE_VECTORS static void _find_lightness(const float *restrict in, float *restrict lightness, int n)
{
  for(int i = 0; i < n; i++)
  {
    float light = 0.2627f * in[4 * i] + 0.678f * in[4 * i + 1] + 0.0593f * in[4 * i + 2];
    light = light > 0.0f ? light : 0.0f;
    light = light < MOST ? light : MOST;
    lightness[i] = sqrtf(light);
  }
}

DT_WIDE_VECTORS static void _begin_sum(const float *restrict in, float tap, float *restrict sum, int n)
{
  for(int i = 0; i < n; i++) sum[i] = tap * in[i];
}

DT_WIDE_VECTORS static void _add_pair(const float *a, const float *b, float tap, float *restrict sum, int n)
{
  for(int i = 0; i < n; i++) sum[i] += tap * (a[i] + b[i]);
}

DT_WIDE_VECTORS static void _apply(const float *restrict in, const float *restrict lightness,
                                   const float *restrict blurred, const _data_t *d, float *restrict out,
                                   int n)
{
  const float amount = d->amount, threshold = d->threshold;
  for(int i = 0; i < n; i++)
  {
    const float detail = lightness[i] - blurred[i], size = fabsf(detail) - threshold;
    const float s = amount * (size > 0.0f ? size : 0.0f);
    const float part = HALO * s / (HALO * lightness[i] + s + LEAST);
    const float root = detail > 0.0f ? 1.0f + part : 1.0f - part;
    const float gain = lightness[i] > 0.0f ? root * root : 1.0f;
    for(int c = 0; c < 3; c++)
    {
      float x = in[4 * i + c] * gain;
      x = x < FLT_MAX ? x : FLT_MAX;
      out[4 * i + c] = x > -FLT_MAX ? x : -FLT_MAX;
    }
    out[4 * i + 3] = in[4 * i + 3];
  }
}

typedef struct _work_t
{
  const _data_t *d;
  const float *in, *lightness;
  int width, height; ///< of the input's rectangle
  float *out;
  int left, top, out_width; ///< where the output's rectangle is in it
} _work_t;

/** Row @p y of the input, blurred where the output is. @p line: with the blur's surroundings. */
static void _blur_row(const _work_t *w, int y, float *line, float *blurred)
{
  const int reach = w->d->reach, n = w->out_width;
  const int from = MAX(w->left - reach, 0), to = MIN(w->left + n + reach, w->width);
  float *places = line + reach - w->left; /* [x] is place x */
  const float *column = w->lightness + from;
  const gsize stride = (gsize)w->width;
  _begin_sum(column + (gsize)y * stride, w->d->taps[0], places + from, to - from);
  for(int k = 1; k <= reach; k++)
    _add_pair(column + (gsize)MAX(y - k, 0) * stride, column + (gsize)MIN(y + k, w->height - 1) * stride,
              w->d->taps[k], places + from, to - from);
  for(int x = w->left - reach; x < from; x++) places[x] = places[from];
  for(int x = to; x < w->left + n + reach; x++) places[x] = places[to - 1];
  _begin_sum(line + reach, w->d->taps[0], blurred, n);
  for(int k = 1; k <= reach; k++) _add_pair(line + reach - k, line + reach + k, w->d->taps[k], blurred, n);
}

static void _run_rows(const _work_t *w, int first, int last)
{
  float *line = g_new0(float, w->out_width + 2 * w->d->reach), *blurred = g_new0(float, w->out_width);
  for(int row = first; row < last; row++)
  {
    const gsize at = (gsize)(row + w->top) * (gsize)w->width + (gsize)w->left;
    _blur_row(w, row + w->top, line, blurred);
    _apply(w->in + 4 * at, w->lightness + at, blurred, w->d, w->out + 4 * (gsize)row * (gsize)w->out_width,
           w->out_width);
  }
  g_free(line);
  g_free(blurred);
}

static gboolean _process(const dt_iop_piece_t *piece, const float *in, const dt_iop_roi_t *roi_in, float *out,
                         const dt_iop_roi_t *roi_out, GError **error)
{
  const gsize width = (gsize)roi_in->width;
  float *lightness = dt_memory_try_large(width * (gsize)roi_in->height, sizeof(float));
  if(!lightness)
  {
    g_set_error_literal(error, DT_AI_ERROR, DT_AI_ERROR_MEMORY, "There is no memory to sharpen in.");
    return FALSE;
  }
  const _work_t work = { .d = piece->data,
                         .in = in,
                         .lightness = lightness,
                         .width = roi_in->width,
                         .height = roi_in->height,
                         .out = out,
                         .left = roi_out->x - roi_in->x,
                         .top = roi_out->y - roi_in->y,
                         .out_width = roi_out->width };
#pragma omp parallel for
  for(int y = 0; y < roi_in->height; y++)
    _find_lightness(in + 4 * (gsize)y * width, lightness + (gsize)y * width, roi_in->width);
#pragma omp parallel for schedule(dynamic)
  for(int y = 0; y < roi_out->height; y += BAND) _run_rows(&work, y, MIN(y + BAND, roi_out->height));
  free(lightness);
  return TRUE;
}

/* --- devices --- */

static gboolean _enqueue(dt_opencl_queue_t *queue, const char *name, const dt_opencl_arg_t *args, int n,
                         const dt_iop_roi_t *roi, GError **error)
{
  return dt_opencl_launch(queue, "sharpen", name, args, n, roi->width, roi->height, error);
}

static gboolean _apply_cl(const _data_t *d, dt_opencl_queue_t *queue, const cl_mem buffers[5],
                          const dt_iop_roi_t *roi_in, const dt_iop_roi_t *roi_out, GError **error)
{
  const cl_int left = roi_out->x - roi_in->x, top = roi_out->y - roi_in->y;
  const dt_opencl_arg_t args[] = {
    DT_OPENCL_ARG(buffers[0]),  DT_OPENCL_ARG(buffers[1]),     DT_OPENCL_ARG(buffers[2]),
    DT_OPENCL_ARG(buffers[4]),  DT_OPENCL_ARG(roi_in->width),  DT_OPENCL_ARG(left),
    DT_OPENCL_ARG(top),         DT_OPENCL_ARG(roi_out->width), DT_OPENCL_ARG(roi_out->height),
    DT_OPENCL_ARG(d->reach),    DT_OPENCL_ARG(buffers[3]),     DT_OPENCL_ARG(d->amount),
    DT_OPENCL_ARG(d->threshold)
  };
  return _enqueue(queue, "apply", args, G_N_ELEMENTS(args), roi_out, error);
}

/** @p buffers: the input, lightness, lightness blurred downwards, the taps, the output. */
static gboolean _run_cl(const _data_t *d, dt_opencl_queue_t *queue, const cl_mem buffers[5],
                        const dt_iop_roi_t *roi_in, const dt_iop_roi_t *roi_out, GError **error)
{
  const dt_opencl_arg_t light[] = { DT_OPENCL_ARG(buffers[0]), DT_OPENCL_ARG(buffers[1]),
                                    DT_OPENCL_ARG(roi_in->width), DT_OPENCL_ARG(roi_in->height) };
  const dt_opencl_arg_t blur[] = { DT_OPENCL_ARG(buffers[1]),    DT_OPENCL_ARG(buffers[2]),
                                   DT_OPENCL_ARG(roi_in->width), DT_OPENCL_ARG(roi_in->height),
                                   DT_OPENCL_ARG(d->reach),      DT_OPENCL_ARG(buffers[3]) };
  return _enqueue(queue, "find_lightness", light, G_N_ELEMENTS(light), roi_in, error)
         && _enqueue(queue, "blur_down", blur, G_N_ELEMENTS(blur), roi_in, error)
         && _apply_cl(d, queue, buffers, roi_in, roi_out, error);
}

static gboolean _process_cl(const dt_iop_piece_t *piece, dt_opencl_queue_t *queue, cl_mem in,
                            const dt_iop_roi_t *roi_in, cl_mem out, const dt_iop_roi_t *roi_out,
                            GError **error)
{
  const _data_t *d = piece->data;
  const gsize bytes = (gsize)roi_in->width * (gsize)roi_in->height * sizeof(float);
  cl_mem buffers[5] = { in, NULL, NULL, NULL, out };
  buffers[1] = dt_opencl_buffer_new(queue, bytes, NULL, error);
  if(buffers[1]) buffers[2] = dt_opencl_buffer_new(queue, bytes, NULL, error);
  if(buffers[2]) buffers[3] = dt_opencl_buffer_new(queue, sizeof(d->taps), d->taps, error);
  const gboolean fine = buffers[3] && _run_cl(d, queue, buffers, roi_in, roi_out, error);
  for(int i = 1; i < 4; i++) dt_opencl_buffer_free(queue, buffers[i]);
  return fine;
}

const dt_iop_module_t dt_iop_sharpen = {
  .name = "sharpen",
  .title = "sharpen",
  .version = 1,
  .params_size = sizeof(_params_t),
  .params = _params,
  .commit = _commit,
  .need = _need,
  .memory = _memory,
  .memory_cl = _memory_cl,
  .process = _process,
  .process_cl = _process_cl,
};
