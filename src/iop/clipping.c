/* SPDX-License-Identifier: GPL-3.0-or-later */
/* clipping: what the camera shows, upright, rotated and cropped, in one step.
 *
 * First what the camera means to be shown, then the orientation, then the angle, then the crop, whose sides are fractions
 * of the rotated picture. Right angles copy pixels as they are. Any other angle interpolates once, with Lanczos of three
 * lobes: as scale does, and with more of the finest detail left than a bicubic kernel leaves. Light beside a highlight
 * would fall below black in its overshoots; there the result stays at 0, or at the least of the four pixels around.
 * Beyond what the camera shows its outermost pixels are repeated; the empty corners of a rotation are 0, with edges
 * smooth over one pixel. */
#include "iop/affine.h"

#include "common/errors.h"
#include "common/lanczos.h"

#include <math.h>

#define LOBES DT_LANCZOS_LOBES
#define TAPS (2 * LOBES)
/* places between two pixels for which there are weights; those between are interpolated */
#define PHASE_BITS 10
#define PHASES (1 << PHASE_BITS)
#define REST_BITS (24 - PHASE_BITS)
/* a crop's sides are floats, so that "one pixel" may be a little less */
#define ONE_PIXEL 0.999

typedef struct _params_t
{
  int flip;
  float angle;
  gboolean fit;
  float left, top, right, bottom;
} _params_t;

/* each at the place of its EXIF orientation */
static const char *const _flips[] = { "auto",      "none", "horizontal", "180", "vertical",
                                      "transpose", "90",   "transverse", "270", NULL };

static const dt_iop_param_t _params[] = {
  { "flip", DT_IOP_ENUM, G_STRUCT_OFFSET(_params_t, flip), 0, 8, 0, _flips, "",
    "mirrored, or turned clockwise by right angles; auto: as the camera was held" },
  { "angle", DT_IOP_FLOAT, G_STRUCT_OFFSET(_params_t, angle), -180, 180, 0, NULL, "°",
    "then rotated clockwise" },
  { "fit", DT_IOP_BOOL, G_STRUCT_OFFSET(_params_t, fit), 0, 1, 1, NULL, "",
    "cut off the empty corners of a rotation" },
  { "left", DT_IOP_FLOAT, G_STRUCT_OFFSET(_params_t, left), 0, 1, 0, NULL, "",
    "where the crop begins, as a part of the width" },
  { "top", DT_IOP_FLOAT, G_STRUCT_OFFSET(_params_t, top), 0, 1, 0, NULL, "",
    "where the crop begins, as a part of the height" },
  { "right", DT_IOP_FLOAT, G_STRUCT_OFFSET(_params_t, right), 0, 1, 1, NULL, "",
    "where the crop ends, as a part of the width" },
  { "bottom", DT_IOP_FLOAT, G_STRUCT_OFFSET(_params_t, bottom), 0, 1, 1, NULL, "",
    "where the crop ends, as a part of the height" },
  { NULL },
};

typedef struct _data_t
{
  int width, height; /* of the output */
  dt_iop_affine_t to_input;
  dt_iop_fixed_t map; /* the same for pixels */
  int x0, y0, x1, y1; /* first and last pixel of what the camera shows */
  gboolean copies;    /* every pixel comes from one pixel */
  float weights[PHASES + 1][TAPS];
} _data_t;

/* --- geometry --- */

/* A picture on its way from the input to the output. */
typedef struct _stage_t
{
  double width, height;
  dt_iop_affine_t to_input;
} _stage_t;

static void _apply(_stage_t *stage, const dt_iop_affine_t *step, double width, double height)
{
  *stage = (_stage_t){ width, height, dt_iop_affine_then(step, &stage->to_input) };
}

/* What is to be shown, cut at the picture's edges; at least one pixel. */
static void _crop_camera(const dt_iop_piece_t *piece, _data_t *data, _stage_t *stage)
{
  const dt_iop_image_t *image = piece->image;
  const double scale = piece->in_scale;
  data->x0 = CLAMP((int)lround(image->crop_x * scale), 0, piece->in_width - 1);
  data->y0 = CLAMP((int)lround(image->crop_y * scale), 0, piece->in_height - 1);
  data->x1 =
      CLAMP((int)lround((image->crop_x + image->crop_width) * scale) - 1, data->x0, piece->in_width - 1);
  data->y1 =
      CLAMP((int)lround((image->crop_y + image->crop_height) * scale) - 1, data->y0, piece->in_height - 1);
  *stage = (_stage_t){ data->x1 - data->x0 + 1, data->y1 - data->y0 + 1, { 1, 0, data->x0, 0, 1, data->y0 } };
}

static void _turn(_stage_t *stage, int orientation)
{
  const dt_iop_affine_t step = dt_iop_affine_upright(orientation, stage->width, stage->height);
  if(step.a == 0)
    _apply(stage, &step, stage->height, stage->width);
  else
    _apply(stage, &step, stage->width, stage->height);
}

/* Clockwise by at most 45 degrees: into the box around it, or (@p fit) the largest one of the same shape within; of a
 * picture of a few pixels at least one. */
static void _rotate(_stage_t *stage, double degrees, gboolean fit)
{
  const double c = cos(degrees * G_PI / 180), s = sin(degrees * G_PI / 180);
  const double w = stage->width, h = stage->height;
  const double around_w = w * c + h * fabs(s), around_h = w * fabs(s) + h * c;
  const double part = MIN(w / around_w, h / around_h);
  const double width = MAX(fit ? part * w : around_w, 1.0), height = MAX(fit ? part * h : around_h, 1.0);
  /* both centres are the same place */
  const dt_iop_affine_t step = { c,  s, 0.5 * (w - c * width - s * height),
                                 -s, c, 0.5 * (h + s * width - c * height) };
  _apply(stage, &step, width, height);
}

/* One side of the crop: whole pixels, and where the first one begins. */
static int _crop_side(double size, double from, double to, gboolean copies, double *start)
{
  if(copies)
  {
    const long first = CLAMP(lround(from * size), 0, (long)size - 1);
    *start = (double)first;
    return (int)(CLAMP(lround(to * size), first + 1, (long)size) - first);
  }
  const double wanted = (to - from) * size, length = MAX(floor(wanted + 1e-6), 1.0);
  *start = from * size + 0.5 * (wanted - length);
  return (int)length;
}

/* Whether the crop leaves something of the photograph at its full size. */
static gboolean _check_crop(const _params_t *p, const _stage_t *stage, double scale, GError **error)
{
  const double width = ((double)p->right - (double)p->left) * stage->width / scale;
  const double height = ((double)p->bottom - (double)p->top) * stage->height / scale;
  if(width >= ONE_PIXEL && height >= ONE_PIXEL) return TRUE;
  g_set_error(
      error, DT_AI_ERROR, DT_AI_ERROR_USAGE,
      "The crop of clipping leaves less than one pixel: from %g to %g across and from %g to %g down of "
      "%.0f x %.0f pixels. right must lie beyond left, and bottom beyond top.",
      (double)p->left, (double)p->right, (double)p->top, (double)p->bottom, stage->width / scale,
      stage->height / scale);
  return FALSE;
}

static gboolean _make_geometry(const dt_iop_piece_t *piece, const _params_t *p, _data_t *data, GError **error)
{
  static const int quarters[] = { 1, 6, 3, 8 };
  const double turns = round((double)p->angle / 90), rest = (double)p->angle - 90 * turns;
  _stage_t stage;
  _crop_camera(piece, data, &stage);
  _turn(&stage, p->flip ? p->flip : piece->image->orientation);
  _turn(&stage, quarters[(int)turns & 3]);
  data->copies = rest == 0;
  if(!data->copies) _rotate(&stage, rest, p->fit);
  if(!_check_crop(p, &stage, piece->in_scale, error)) return FALSE;
  dt_iop_affine_t crop = dt_iop_affine_identity;
  data->width = _crop_side(stage.width, (double)p->left, (double)p->right, data->copies, &crop.c);
  data->height = _crop_side(stage.height, (double)p->top, (double)p->bottom, data->copies, &crop.f);
  data->to_input = dt_iop_affine_then(&crop, &stage.to_input);
  data->map = dt_iop_fixed_from(&data->to_input);
  return TRUE;
}

/* --- weights --- */

/* For a place between two pixels, the weights of the three on either side; their sum is 1. */
static void _fill_weights(_data_t *data)
{
  for(int i = 0; i <= PHASES; i++)
  {
    double weights[TAPS], sum = 0;
    for(int k = 0; k < TAPS; k++) sum += weights[k] = dt_lanczos(k - (LOBES - 1) - (double)i / PHASES);
    for(int k = 0; k < TAPS; k++) data->weights[i][k] = (float)(weights[k] / sum);
  }
}

/* --- the module --- */

static gboolean _is_identity(const dt_iop_piece_t *piece, const _data_t *d)
{
  const dt_iop_affine_t *m = &d->to_input;
  return m->a == 1 && m->b == 0 && m->c == 0 && m->d == 0 && m->e == 1 && m->f == 0
         && d->width == piece->in_width && d->height == piece->in_height;
}

static gboolean _commit(dt_iop_piece_t *piece, const void *params, GError **error)
{
  _data_t *data = g_new0(_data_t, 1);
  piece->data = data;
  if(!_make_geometry(piece, params, data, error)) return FALSE;
  if(!data->copies) _fill_weights(data);
  if(_is_identity(piece, data)) piece->enabled = FALSE;
  return TRUE;
}

static void _size(dt_iop_piece_t *piece)
{
  const _data_t *d = piece->data;
  piece->out_width = d->width;
  piece->out_height = d->height;
  piece->out_scale = piece->in_scale;
}

/* Adds the columns or rows that a pixel at @p place is made of, within what the camera shows. */
static void _widen(const _data_t *d, gint64 place, int low, int high, int *first, int *last)
{
  const int at = dt_iop_fixed_floor(place);
  const int from = d->copies ? at : at - (LOBES - 1), to = d->copies ? at : at + LOBES;
  *first = MIN(*first, CLAMP(from, low, high));
  *last = MAX(*last, CLAMP(to, low, high));
}

/* The map is linear: the outermost places are those of the corners. */
static void _need(const dt_iop_piece_t *piece, const dt_iop_roi_t *out, dt_iop_roi_t *in)
{
  const _data_t *d = piece->data;
  int left = G_MAXINT, top = G_MAXINT, right = 0, bottom = 0;
  for(int i = 0; i < 4; i++)
  {
    const int x = out->x + (i & 1 ? out->width - 1 : 0), y = out->y + (i & 2 ? out->height - 1 : 0);
    _widen(d, dt_iop_fixed_x(&d->map, x, y), d->x0, d->x1, &left, &right);
    _widen(d, dt_iop_fixed_y(&d->map, x, y), d->y0, d->y1, &top, &bottom);
  }
  *in = (dt_iop_roi_t){ left, top, right - left + 1, bottom - top + 1, piece->in_scale };
}

static void _origin(const dt_iop_piece_t *piece, dt_iop_affine_t *to_input)
{
  *to_input = ((const _data_t *)piece->data)->to_input;
}

/* --- right angles --- */

/* Where in the input's rectangle the first pixel of the output's comes from, and the way to the next one in a row and in
 * a column. */
static void _follow(const _data_t *d, const dt_iop_roi_t *in, const dt_iop_roi_t *out, int *first,
                    int *across, int *down)
{
  const int x = dt_iop_fixed_floor(dt_iop_fixed_x(&d->map, out->x, out->y)) - in->x;
  const int y = dt_iop_fixed_floor(dt_iop_fixed_y(&d->map, out->x, out->y)) - in->y;
  *first = y * in->width + x;
  *across = (int)d->to_input.d * in->width + (int)d->to_input.a;
  *down = (int)d->to_input.e * in->width + (int)d->to_input.b;
}

static void _copy(const _data_t *d, const float *in, const dt_iop_roi_t *roi_in, float *out,
                  const dt_iop_roi_t *roi_out)
{
  int first, across, down;
  _follow(d, roi_in, roi_out, &first, &across, &down);
#pragma omp parallel for
  for(int y = 0; y < roi_out->height; y++)
  {
    float *to = out + (gsize)y * (gsize)roi_out->width * 4;
    const float *from = in + ((gssize)first + (gssize)y * down) * 4;
    for(int x = 0; x < roi_out->width; x++, from += (gssize)across * 4, to += 4)
      for(int c = 0; c < 4; c++) to[c] = from[c];
  }
}

/* --- other angles --- */

/* How much of a pixel lies on the picture, of one axis, between @p low and @p high: in 1/2^24. */
static int _cover(gint64 place, int low, int high)
{
  const gint64 inside = MIN(place - (low - 1) * DT_IOP_FIXED_ONE, (high + 1) * DT_IOP_FIXED_ONE - place);
  return (int)((CLAMP(inside, 0, DT_IOP_FIXED_ONE) + (1 << (DT_IOP_FIXED_BITS - 25)))
               >> (DT_IOP_FIXED_BITS - 24));
}

static void _weigh(const _data_t *d, gint64 place, float weights[TAPS])
{
  const int fraction = dt_iop_fixed_fraction(place), phase = fraction >> REST_BITS;
  const float rest = (float)(fraction & ((1 << REST_BITS) - 1)) * (1.0f / (1 << REST_BITS));
  const float *before = d->weights[phase], *behind = d->weights[phase + 1];
  for(int k = 0; k < TAPS; k++) weights[k] = before[k] + (behind[k] - before[k]) * rest;
}

/* Four floats at once. */
typedef float _pixel_t __attribute__((vector_size(16), aligned(4), may_alias));

/* What a pixel must not fall below: 0, or the least of the four around its place. */
static float _least(const float *const rows[TAPS], const gsize columns[TAPS], gsize c)
{
  const float *above = rows[LOBES - 1] + c, *below = rows[LOBES] + c;
  const gsize left = columns[LOBES - 1], right = columns[LOBES];
  return MIN(0.0f, MIN(MIN(above[left], above[right]), MIN(below[left], below[right])));
}

/* The pixel at (@p u, @p v), of which @p cover is on the picture. */
static void _interpolate(const _data_t *d, const float *in, const dt_iop_roi_t *roi, gint64 u, gint64 v,
                         float cover, float *out)
{
  const int x = dt_iop_fixed_floor(u) - (LOBES - 1), y = dt_iop_fixed_floor(v) - (LOBES - 1);
  float across[TAPS], down[TAPS];
  _pixel_t sum = { 0 };
  const float *rows[TAPS];
  gsize columns[TAPS];
  _weigh(d, u, across);
  _weigh(d, v, down);
  for(int k = 0; k < TAPS; k++)
  {
    columns[k] = 4 * (gsize)(CLAMP(x + k, d->x0, d->x1) - roi->x);
    rows[k] = in + 4 * (gsize)(CLAMP(y + k, d->y0, d->y1) - roi->y) * (gsize)roi->width;
  }
  for(int j = 0; j < TAPS; j++)
  {
    _pixel_t line = { 0 };
    for(int k = 0; k < TAPS; k++) line += across[k] * *(const _pixel_t *)(rows[j] + columns[k]);
    sum += down[j] * line;
  }
  for(gsize c = 0; c < 4; c++) out[c] = MAX(sum[c], _least(rows, columns, c)) * cover;
}

static void _resample_row(const _data_t *d, const float *in, const dt_iop_roi_t *roi_in, float *out,
                          const dt_iop_roi_t *roi_out, int y)
{
  gint64 u = dt_iop_fixed_x(&d->map, roi_out->x, y), v = dt_iop_fixed_y(&d->map, roi_out->x, y);
  for(int x = 0; x < roi_out->width; x++, out += 4, u += d->map.a, v += d->map.d)
  {
    const float part = 1.0f / (1 << 24);
    const float cover = (float)_cover(u, d->x0, d->x1) * part * ((float)_cover(v, d->y0, d->y1) * part);
    if(cover > 0)
      _interpolate(d, in, roi_in, u, v, cover, out);
    else
      for(int c = 0; c < 4; c++) out[c] = 0;
  }
}

static gboolean _process(const dt_iop_piece_t *piece, const float *in, const dt_iop_roi_t *roi_in, float *out,
                         const dt_iop_roi_t *roi_out, GError **error)
{
  (void)error;
  const _data_t *d = piece->data;
  if(d->copies)
    _copy(d, in, roi_in, out, roi_out);
  else
  {
#pragma omp parallel for schedule(dynamic, 8)
    for(int y = 0; y < roi_out->height; y++)
      _resample_row(d, in, roi_in, out + 4 * (gsize)y * (gsize)roi_out->width, roi_out, roi_out->y + y);
  }
  return TRUE;
}

/* --- on a device --- */

static gboolean _copy_cl(const _data_t *d, dt_opencl_queue_t *queue, cl_mem in, const dt_iop_roi_t *roi_in,
                         cl_mem out, const dt_iop_roi_t *roi_out, GError **error)
{
  int first, across, down;
  _follow(d, roi_in, roi_out, &first, &across, &down);
  const dt_opencl_arg_t args[] = { DT_OPENCL_ARG(first), DT_OPENCL_ARG(across), DT_OPENCL_ARG(down) };
  return dt_iop_enqueue_pixels(queue, "geometry", "clipping_copy", in, out, roi_out, args, G_N_ELEMENTS(args),
                               error);
}

static gboolean _resample_cl(const _data_t *d, dt_opencl_queue_t *queue, cl_mem in,
                             const dt_iop_roi_t *roi_in, cl_mem out, const dt_iop_roi_t *roi_out,
                             cl_mem weights, GError **error)
{
  const gint64 u = dt_iop_fixed_x(&d->map, roi_out->x, roi_out->y);
  const gint64 v = dt_iop_fixed_y(&d->map, roi_out->x, roi_out->y);
  const dt_opencl_arg_t args[] = { DT_OPENCL_ARG(in),
                                   DT_OPENCL_ARG(roi_in->x),
                                   DT_OPENCL_ARG(roi_in->y),
                                   DT_OPENCL_ARG(roi_in->width),
                                   DT_OPENCL_ARG(out),
                                   DT_OPENCL_ARG(roi_out->width),
                                   DT_OPENCL_ARG(roi_out->height),
                                   DT_OPENCL_ARG(u),
                                   DT_OPENCL_ARG(d->map.a),
                                   DT_OPENCL_ARG(d->map.b),
                                   DT_OPENCL_ARG(v),
                                   DT_OPENCL_ARG(d->map.d),
                                   DT_OPENCL_ARG(d->map.e),
                                   DT_OPENCL_ARG(d->x0),
                                   DT_OPENCL_ARG(d->y0),
                                   DT_OPENCL_ARG(d->x1),
                                   DT_OPENCL_ARG(d->y1),
                                   DT_OPENCL_ARG(weights) };
  return dt_opencl_launch(queue, "geometry", "clipping_resample", args, G_N_ELEMENTS(args), roi_out->width,
                          roi_out->height, error);
}

static gboolean _process_cl(const dt_iop_piece_t *piece, dt_opencl_queue_t *queue, cl_mem in,
                            const dt_iop_roi_t *roi_in, cl_mem out, const dt_iop_roi_t *roi_out,
                            GError **error)
{
  const _data_t *d = piece->data;
  if(d->copies) return _copy_cl(d, queue, in, roi_in, out, roi_out, error);
  cl_mem weights = dt_opencl_buffer_new(queue, sizeof(d->weights), d->weights, error);
  const gboolean fine = weights && _resample_cl(d, queue, in, roi_in, out, roi_out, weights, error);
  dt_opencl_buffer_free(queue, weights);
  return fine;
}

const dt_iop_module_t dt_iop_clipping = {
  .name = "clipping",
  .title = "crop and rotate",
  .version = 1,
  .flags = DT_IOP_ON | DT_IOP_NO_BLEND,
  .params_size = sizeof(_params_t),
  .params = _params,
  .commit = _commit,
  .size = _size,
  .need = _need,
  .origin = _origin,
  .process = _process,
  .process_cl = _process_cl,
};
