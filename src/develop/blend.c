/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Parameters of a mask, and a mask made ready for a piece. */
#include "develop/blend_internal.h"

#include "common/errors.h"

#include <float.h>
#include <math.h>

/* --- parameters --- */

#define LIGHTEST 2.0
#define STRONGEST 1.0
#define CIRCLE 360.0

static const char *const _sources[] = { "input", "output", NULL };

#define AT(field) G_STRUCT_OFFSET(dt_blend_params_t, field)
#define NUMBER(field, i) (AT(field) + (i) * sizeof(float))
#define RANGE(name, most, unit)                                                                              \
  { #name "_from", DT_IOP_FLOAT, NUMBER(name, 0), 0, most, 0, NULL, unit, "nothing of less " #name },        \
      { #name "_full_from", DT_IOP_FLOAT, NUMBER(name, 1), 0, most, 0, NULL, unit, "everything from here" }, \
      { #name "_full_to", DT_IOP_FLOAT, NUMBER(name, 2), 0, most, most, NULL, unit, "up to here" },          \
  {                                                                                                          \
#name "_to", DT_IOP_FLOAT, NUMBER(name, 3), 0, most, most, NULL, unit, "nothing of more " #name          \
  }

static const dt_iop_param_t _params[] = {
  { "opacity", DT_IOP_FLOAT, AT(opacity), 0, 1, 1, NULL, "", "how much of the module's work is seen" },
  { "invert", DT_IOP_BOOL, AT(invert), 0, 1, 0, NULL, "", "where the mask is not, instead of where it is" },
  { "feather", DT_IOP_FLOAT, AT(feather), 0, 200, 0, NULL, "px", "how far the mask's edges are blurred" },
  { "range_of", DT_IOP_ENUM, AT(range_of), 0, 1, 0, _sources, "", "whose colours the ranges look at" },
  RANGE(lightness, LIGHTEST, ""),
  RANGE(chroma, STRONGEST, ""),
  RANGE(hue, CIRCLE, "°"),
  { NULL },
};

const dt_iop_module_t dt_blend_table = {
  .name = "blend",
  .title = "blend mask",
  .version = 1,
  .flags = DT_IOP_HIDDEN | DT_IOP_NO_BLEND,
  .params_size = sizeof(dt_blend_params_t),
  .params = _params,
};

static gboolean _refuse_module(const dt_iop_module_t *module, GError **error)
{
  g_set_error(error, DT_AI_ERROR, DT_AI_ERROR_USAGE, "%s cannot be blended or masked.", module->name);
  return FALSE;
}

static gboolean _refuse_ranges(const dt_iop_module_t *module, GError **error)
{
  g_set_error(
      error, DT_AI_ERROR, DT_AI_ERROR_USAGE,
      "%s works on the single samples of a raw, which have no colour: its mask takes no ranges of lightness, "
      "chroma or hue.",
      module->name);
  return FALSE;
}

const dt_iop_param_t *dt_blend_find_param(const dt_iop_module_t *module, const char *name, GError **error)
{
  const dt_iop_param_t *param = dt_iop_find_param(&dt_blend_table, name);
  if(module->flags & DT_IOP_NO_BLEND)
    _refuse_module(module, error);
  else if(!param)
    g_set_error(error, DT_AI_ERROR, DT_AI_ERROR_USAGE, "There is no blending parameter \"%s\" (of %s).", name,
                module->name);
  else if((module->flags & DT_IOP_RAW) && param->offset >= AT(lightness))
    _refuse_ranges(module, error);
  else
    return param;
  return NULL;
}

static gboolean _is_open(const float numbers[4], double most)
{
  return numbers[1] <= 0 && (double)numbers[2] >= most;
}

static int _find_ranges(const dt_blend_params_t *p)
{
  return (_is_open(p->lightness, LIGHTEST) ? 0 : DT_BLEND_LIGHTNESS)
         | (_is_open(p->chroma, STRONGEST) ? 0 : DT_BLEND_CHROMA)
         | (_is_open(p->hue, CIRCLE) ? 0 : DT_BLEND_HUE);
}

gboolean dt_blend_is_neutral(const dt_blend_params_t *params, const dt_blend_object_t *object)
{
  return params->opacity >= 1 && !params->invert && !object && !_find_ranges(params);
}

/* --- ranges --- */

static float _steepness(float from, float to)
{
  return to > from ? 1.0f / (to - from) : 0.0f;
}

static dt_blend_range_t _range(float from, float full_from, float full_to, float to)
{
  return (
      dt_blend_range_t){ from, full_from, full_to, to, _steepness(from, full_from), _steepness(full_to, to) };
}

static gboolean _refuse(const char *name, const float n[4], GError **error)
{
  g_set_error(
      error, DT_AI_ERROR, DT_AI_ERROR_USAGE,
      "The range of %s of a mask goes from %g, full from %g to %g, to %g: each number must not lie %s.", name,
      (double)n[0], (double)n[1], (double)n[2], (double)n[3],
      g_str_equal(name, "hue") ? "before the one in front of it, round the circle once at most"
                               : "below the one in front of it");
  return FALSE;
}

/* Numbers in their order; ends at the limits are open. */
static gboolean _make_range(const char *name, const float n[4], double most, dt_blend_range_t *range,
                            GError **error)
{
  if(n[0] > n[1] || n[1] > n[2] || n[2] > n[3]) return _refuse(name, n, error);
  *range = _range(n[0], n[1], n[2], n[3]);
  if(n[1] <= 0) range->from = range->full_from = -FLT_MAX;
  if((double)n[2] >= most) range->full_to = range->to = FLT_MAX;
  return TRUE;
}

/* The way upwards from one hue to the next. */
static float _way(float from, float to)
{
  return to >= from ? to - from : to - from + 360;
}

static gboolean _make_hue(const float n[4], dt_blend_ranges_t *ranges, GError **error)
{
  const float rise = _way(n[0], n[1]), full = _way(n[1], n[2]), fall = _way(n[2], n[3]);
  if(rise + full + fall > 360.001f) return _refuse("hue", n, error);
  ranges->hue_start = n[0];
  ranges->hue = _range(0, rise, rise + full, rise + full + fall);
  return TRUE;
}

/* --- the object --- */

dt_iop_affine_t dt_blend_to_photo(const dt_iop_image_t *image, const dt_iop_affine_t *to_input)
{
  const double w = image->crop_width, h = image->crop_height;
  const dt_iop_affine_t turn = dt_iop_affine_upright(image->orientation, w, h);
  const dt_iop_affine_t crop = { 1, 0, -image->crop_x, 0, 1, -image->crop_y };
  const dt_iop_affine_t upright = dt_iop_affine_invert(&turn);
  const double width = turn.a == 0 ? h : w, height = turn.a == 0 ? w : h;
  const dt_iop_affine_t part = { 1 / width, 0, 0, 0, 1 / height, 0 };
  const dt_iop_affine_t shown = dt_iop_affine_then(to_input, &crop);
  const dt_iop_affine_t there = dt_iop_affine_then(&shown, &upright);
  return dt_iop_affine_then(&there, &part);
}

static void _place_object(dt_blend_t *blend, const dt_blend_object_t *object)
{
  const dt_iop_affine_t size = { object->width, 0, 0, 0, object->height, 0 };
  const dt_iop_affine_t to_plane = dt_iop_affine_then(&object->to_photo, &size);
  blend->map = dt_iop_fixed_from(&to_plane);
  blend->plane = object->plane;
  blend->plane_width = object->width;
  blend->plane_height = object->height;
}

/* --- made ready --- */

static void _make_feather(dt_blend_t *blend, double radius)
{
  const double sigma = radius / 2;
  double sum = 0;
  blend->radius = (int)ceil(3 * sigma);
  blend->taps = g_new(float, (gsize)blend->radius + 1);
  for(int k = -blend->radius; k <= blend->radius; k++) sum += exp(-0.5 * k * k / (sigma * sigma));
  for(int k = 0; k <= blend->radius; k++) blend->taps[k] = (float)(exp(-0.5 * k * k / (sigma * sigma)) / sum);
}

static gboolean _check_piece(const dt_iop_piece_t *piece, const dt_blend_params_t *params, GError **error)
{
  if((piece->module->flags & DT_IOP_NO_BLEND) || piece->channels_in != piece->channels_out
     || piece->in_width != piece->out_width || piece->in_height != piece->out_height)
    return _refuse_module(piece->module, error);
  const gboolean has_sites = (piece->module->flags & DT_IOP_RAW) || piece->channels_in != 4;
  return !has_sites || !_find_ranges(params) || _refuse_ranges(piece->module, error);
}

static gboolean _make_ranges(const dt_blend_params_t *p, dt_blend_ranges_t *ranges, GError **error)
{
  return _make_range("lightness", p->lightness, LIGHTEST, &ranges->lightness, error)
         && _make_range("chroma", p->chroma, STRONGEST, &ranges->chroma, error)
         && _make_hue(p->hue, ranges, error);
}

dt_blend_t *dt_blend_new(const dt_iop_piece_t *piece, const dt_blend_params_t *params,
                         const dt_blend_object_t *object, GError **error)
{
  dt_blend_ranges_t ranges;
  if(!_check_piece(piece, params, error) || !_make_ranges(params, &ranges, error)) return NULL;
  dt_blend_t *blend = g_new0(dt_blend_t, 1);
  *blend = (dt_blend_t){ .flags = _find_ranges(params)
                                  | (params->range_of == DT_BLEND_OF_OUTPUT ? DT_BLEND_OUTPUT : 0)
                                  | (params->invert ? DT_BLEND_INVERT : 0) | (object ? DT_BLEND_OBJECT : 0),
                         .opacity = params->opacity,
                         .ranges = ranges,
                         .channels = piece->channels_out,
                         .width = piece->out_width,
                         .height = piece->out_height };
  if(object) _place_object(blend, object);
  /* a mask that is the same everywhere has no edges */
  if(params->feather > 0 && !dt_blend_is_even(blend, NULL))
    _make_feather(blend, (double)params->feather * piece->out_scale);
  return blend;
}

void dt_blend_free(dt_blend_t *blend)
{
  if(!blend) return;
  g_free(blend->taps);
  g_free(blend);
}

gboolean dt_blend_is_even(const dt_blend_t *blend, float *strength)
{
  if(strength) *strength = blend->flags & DT_BLEND_INVERT ? 0.0f : blend->opacity;
  return !(blend->flags & (DT_BLEND_OBJECT | DT_BLEND_RANGES));
}

/* --- rectangles --- */

dt_blend_plane_t dt_blend_plane(const dt_blend_t *blend, const dt_iop_roi_t *out)
{
  dt_iop_roi_t grown;
  dt_iop_roi_grow(out, blend->radius, &grown);
  return (dt_blend_plane_t){ grown.x, grown.y, grown.width, grown.height };
}

void dt_blend_need(const dt_blend_t *blend, const dt_iop_roi_t *out, dt_iop_roi_t *need)
{
  const dt_blend_plane_t p = dt_blend_plane(blend, out);
  need->x = MAX(p.x, 0);
  need->y = MAX(p.y, 0);
  need->width = MIN(p.x + p.width, blend->width) - need->x;
  need->height = MIN(p.y + p.height, blend->height) - need->y;
  need->scale = out->scale;
}

void dt_blend_object_rows(const dt_blend_t *blend, const dt_blend_plane_t *plane, int *first, int *last)
{
  const int bottom = blend->plane_height - 1;
  *first = bottom;
  *last = 0;
  for(int i = 0; i < 4; i++)
  {
    const int x = CLAMP(plane->x + (i & 1 ? plane->width - 1 : 0), 0, blend->width - 1);
    const int y = CLAMP(plane->y + (i & 2 ? plane->height - 1 : 0), 0, blend->height - 1);
    const int row = dt_iop_fixed_floor(dt_iop_fixed_y(&blend->map, x, y));
    *first = MIN(*first, CLAMP(row, 0, bottom));
    *last = MAX(*last, CLAMP(row + 1, 0, bottom));
  }
}

gsize dt_blend_memory(const dt_blend_t *blend, const dt_iop_roi_t *out)
{
  const dt_blend_plane_t p = dt_blend_plane(blend, out);
  gsize floats = (gsize)p.width * (gsize)p.height;
  if(blend->radius) floats += (gsize)out->width * (gsize)p.height;
  if(blend->flags & DT_BLEND_OBJECT)
  {
    int first, last;
    dt_blend_object_rows(blend, &p, &first, &last);
    floats += (gsize)(last - first + 1) * (gsize)blend->plane_width;
  }
  return floats * sizeof(float);
}
