/* SPDX-License-Identifier: GPL-3.0-or-later */
/* highlights: what was too bright for the sensor. White balance has moved the level at which it is full: green is mostly
 * full first, and a white cloud that lacks green is magenta.
 *
 * clip cuts all colours at the level of the first that is full: white, but flat, and less than there was.
 *
 * reconstruct guesses what a full site would have seen from the other colours next to it, in the pixel or 3x3 sites.
 * That lost light is mostly near to white, and so about the mean of the colours that are left, is the idea of "inpaint
 * opposed" in other programs. Here it is purely local:
 *
 * - A colour says the more, the less full its own sites are. Where none has anything to say, all become the highest
 *   level of any: plain white.
 * - Full sites have seen at least what they say: the guess is no less than the mean of all other colours. A blue sky
 *   would else become purple before it becomes white.
 * - Sites much darker than the full one say little beside brighter ones: they are beyond an edge.
 * - Nothing is made darker: where the others say less, a strong colour stays what it was.
 * - Close below its level a site counts as partly full, so that nothing jumps where noise crosses the level. */
#include "iop/sites.h"

enum
{
  MODE_CLIP,
  MODE_RECONSTRUCT,
};
static const char *const _modes[] = { "clip", "reconstruct", NULL };

/* Share of its level from which on a site is partly full. */
#define PARTLY 0.95f
/* The darkest neighbour, as a share of the full site, that still counts for what it is. */
#define DARKEST 0.03f

typedef struct _params_t
{
  int mode;
  float clip;
} _params_t;

static const dt_iop_param_t _params[] = {
  { "mode", DT_IOP_ENUM, G_STRUCT_OFFSET(_params_t, mode), 0, 1, MODE_RECONSTRUCT, _modes, "",
    "cut highlights to white, or guess what is lost from the other colours" },
  { "clip", DT_IOP_FLOAT, G_STRUCT_OFFSET(_params_t, clip), 0.1, 2, 1, NULL, "",
    "level at which the sensor counts as full, 1 being its white level" },
  { NULL },
};

/* Of the colours: where they begin to be full, and 1 / how far it is from there to the level. As the kernels read it. */
typedef struct _levels_t
{
  float from[4], over[4];
} _levels_t;

typedef struct _data_t
{
  int mode;
  float lowest, highest; ///< levels of any colour
  _levels_t levels;
  const dt_mosaic_t *mosaic;
} _data_t;

/* Colours the raw has. */
static int _colours(const dt_iop_image_t *image)
{
  return image->mosaic->sensor == DT_SENSOR_FOUR ? 4 : 3;
}

static gboolean _commit(dt_iop_piece_t *piece, const void *params, GError **error)
{
  (void)error;
  const _params_t *p = params;
  _data_t *d = piece->data = g_new0(_data_t, 1);
  d->mode = p->mode;
  d->mosaic = piece->image->mosaic;
  d->lowest = d->highest = p->clip * piece->saturation_in[0];
  for(int c = 0; c < _colours(piece->image); c++)
  {
    const float level = p->clip * piece->saturation_in[c];
    d->lowest = MIN(d->lowest, level);
    d->highest = MAX(d->highest, level);
    d->levels.from[c] = PARTLY * level;
    d->levels.over[c] = 1 / (level - d->levels.from[c]);
  }
  return TRUE;
}

static void _need(const dt_iop_piece_t *piece, const dt_iop_roi_t *out, dt_iop_roi_t *in)
{
  const _data_t *d = piece->data;
  dt_iop_roi_grow(out, d->mode == MODE_RECONSTRUCT && piece->channels_in == 1 ? 1 : 0, in);
}

/* --- what the neighbours say --- */

typedef struct _hints_t
{
  float value[4], room[4], weight[4]; ///< sums, by colour
} _hints_t;

/* From 0 to 1, where the sensor is full. */
static inline float _fullness(const _data_t *d, int colour, float value)
{
  const float t = CLAMP((value - d->levels.from[colour]) * d->levels.over[colour], 0.0f, 1.0f);
  return t * t * (3 - 2 * t);
}

/* A neighbour of a site that is @p full. */
static inline void _listen(_hints_t *hints, const _data_t *d, int colour, float value, float full)
{
  const float share = CLAMP(value / full, DARKEST, 1.0f), weight = share * share;
  hints->value[colour] += weight * value;
  hints->room[colour] += weight * (1 - _fullness(d, colour, value));
  hints->weight[colour] += weight;
}

/* The site's value after what the colours other than its own say. */
static float _raise(const _hints_t *hints, const _data_t *d, int own, float value)
{
  float sum = 0, total = 0, none = 1, white = d->highest, means = 0, colours = 0;
  for(int c = 0; c < 4; c++)
  {
    if(c == own || hints->weight[c] == 0) continue;
    const float mean = hints->value[c] / hints->weight[c], room = hints->room[c] / hints->weight[c];
    sum += room * mean;
    total += room;
    none *= 1 - room;
    white = MAX(white, mean);
    means += mean;
    colours += 1;
  }
  const float guess = MAX((sum + none * white) / (total + none), means / colours);
  return value + _fullness(d, own, value) * MAX(0.0f, guess - value);
}

/* --- the CPU --- */

/* @p in stands on the site at (@p x, @p y) of @p roi. */
static float _reconstruct_site(const _data_t *d, const float *in, const dt_iop_roi_t *roi, int x, int y,
                               int own)
{
  _hints_t hints = { 0 };
  gboolean alone = TRUE;
  for(int v = MAX(-1, -y); v <= MIN(1, roi->height - 1 - y); v++)
    for(int u = MAX(-1, -x); u <= MIN(1, roi->width - 1 - x); u++)
    {
      const int colour = dt_mosaic_colour(d->mosaic, roi->x + x + u, roi->y + y + v);
      if(colour == own) continue;
      _listen(&hints, d, colour, in[(ptrdiff_t)v * roi->width + u], in[0]);
      alone = FALSE;
    }
  return alone ? in[0] : _raise(&hints, d, own, in[0]);
}

/* Row @p y of the output, which begins at column @p from of @p roi. */
static void _reconstruct_row(const _data_t *d, const float *in, const dt_iop_roi_t *roi, int from, int y,
                             int n, float *out)
{
  const float *row = in + (gsize)y * (gsize)roi->width;
  for(int i = 0; i < n; i++)
  {
    const int x = from + i, own = dt_mosaic_colour(d->mosaic, roi->x + x, roi->y + y);
    out[i] = row[x] <= d->levels.from[own] ? row[x] : _reconstruct_site(d, row + x, roi, x, y, own);
  }
}

static void _reconstruct_pixels(const _data_t *d, const float *in, int n, float *out)
{
  for(int i = 0; i < n; i++, in += 4, out += 4)
  {
    for(int own = 0; own < 3; own++)
    {
      _hints_t hints = { 0 };
      out[own] = in[own];
      if(in[own] <= d->levels.from[own]) continue;
      for(int c = 0; c < 3; c++)
        if(c != own) _listen(&hints, d, c, in[c], in[own]);
      out[own] = _raise(&hints, d, own, in[own]);
    }
    out[3] = in[3];
  }
}

static void _clip_row(const _data_t *d, const float *restrict in, gsize n, gboolean pixels,
                      float *restrict out)
{
  for(gsize i = 0; i < n; i++) out[i] = MIN(in[i], d->lowest);
  for(gsize i = 3; pixels && i < n; i += 4) out[i] = in[i];
}

static gboolean _process(const dt_iop_piece_t *piece, const float *in, const dt_iop_roi_t *roi_in, float *out,
                         const dt_iop_roi_t *roi_out, GError **error)
{
  (void)error;
  const _data_t *d = piece->data;
  const gboolean pixels = piece->channels_in == 4;
  const gsize channels = (gsize)piece->channels_in;
  const int left = roi_out->x - roi_in->x, top = roi_out->y - roi_in->y;
#pragma omp parallel for schedule(dynamic, 16)
  for(int y = 0; y < roi_out->height; y++)
  {
    const float *from = in + ((gsize)(y + top) * (gsize)roi_in->width + (gsize)left) * channels;
    float *to = out + (gsize)y * (gsize)roi_out->width * channels;
    if(d->mode == MODE_CLIP)
      _clip_row(d, from, (gsize)roi_out->width * channels, pixels, to);
    else if(pixels)
      _reconstruct_pixels(d, from, roi_out->width, to);
    else
      _reconstruct_row(d, in, roi_in, left, y + top, roi_out->width, to);
  }
  return TRUE;
}

/* --- devices --- */

static gboolean _enqueue_reconstruct(const _data_t *d, gboolean pixels, dt_opencl_queue_t *queue, cl_mem in,
                                     const dt_iop_roi_t *roi_in, cl_mem out, const dt_iop_roi_t *roi_out,
                                     cl_mem levels, cl_mem colours, GError **error)
{
  const dt_opencl_arg_t args[] = {
    DT_OPENCL_ARG(levels),         DT_OPENCL_ARG(d->highest), DT_OPENCL_ARG(roi_in->width),
    DT_OPENCL_ARG(roi_in->height), DT_OPENCL_ARG(roi_in->x),  DT_OPENCL_ARG(roi_in->y),
    DT_OPENCL_ARG(roi_out->x),     DT_OPENCL_ARG(roi_out->y), DT_OPENCL_ARG(d->mosaic->period),
    DT_OPENCL_ARG(colours)
  };
  return dt_iop_enqueue_pixels(queue, "raw", pixels ? "highlights_pixels" : "highlights_sites", in, out,
                               roi_out, args, pixels ? 2 : G_N_ELEMENTS(args), error);
}

static gboolean _enqueue_clip(const _data_t *d, int channels, dt_opencl_queue_t *queue, cl_mem in, cl_mem out,
                              const dt_iop_roi_t *roi_out, GError **error)
{
  const int width = roi_out->width * channels;
  const dt_opencl_arg_t args[] = { DT_OPENCL_ARG(in),       DT_OPENCL_ARG(out),
                                   DT_OPENCL_ARG(width),    DT_OPENCL_ARG(roi_out->height),
                                   DT_OPENCL_ARG(channels), DT_OPENCL_ARG(d->lowest) };
  return dt_opencl_launch(queue, "raw", "highlights_clip", args, G_N_ELEMENTS(args), width, roi_out->height,
                          error);
}

static gboolean _process_cl(const dt_iop_piece_t *piece, dt_opencl_queue_t *queue, cl_mem in,
                            const dt_iop_roi_t *roi_in, cl_mem out, const dt_iop_roi_t *roi_out,
                            GError **error)
{
  const _data_t *d = piece->data;
  if(d->mode == MODE_CLIP) return _enqueue_clip(d, piece->channels_in, queue, in, out, roi_out, error);
  const dt_mosaic_t *m = d->mosaic;
  cl_mem levels = dt_opencl_buffer_new(queue, sizeof(d->levels), &d->levels, error);
  cl_mem colours = levels ? dt_opencl_buffer_new(queue, sizeof(m->colour), m->colour, error) : NULL;
  const gboolean fine = colours
                        && _enqueue_reconstruct(d, piece->channels_in == 4, queue, in, roi_in, out, roi_out,
                                                levels, colours, error);
  dt_opencl_buffer_free(queue, colours);
  dt_opencl_buffer_free(queue, levels);
  return fine;
}

const dt_iop_module_t dt_iop_highlights = {
  .name = "highlights",
  .title = "highlight reconstruction",
  .version = 1,
  .flags = DT_IOP_RAW | DT_IOP_ON,
  .params_size = sizeof(_params_t),
  .params = _params,
  .commit = _commit,
  .need = _need,
  .process = _process,
  .process_cl = _process_cl,
};
