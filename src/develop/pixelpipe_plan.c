/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Which modules a pipe has, how large the picture is between them, and what a rectangle of the result needs of each. */
#include "develop/pixelpipe_plan.h"

#include "common/checksum.h"
#include "iop/affine.h"

#include <math.h>
#include <string.h>

/* sizes to try */
#define MOST_ATTEMPTS 8

/* What a plan is made of, while it is made. */
typedef struct _maker_t
{
  dt_dev_plan_t *plan;
  const dt_dev_pixelpipe_opts_t *opts;
  const dt_dev_setting_t *settings;
  int n_settings;
  double factor;            /* from the full size to the result's; 1: no other size */
  dt_iop_affine_t to_input; /* from the pixels of the last node to those of the photograph as it comes in */
} _maker_t;

/* Hidden modules have parameters of the pipe's own, found by these names. */
static const char _scale[] = "scale", _gamma[] = "gamma";

static const dt_dev_setting_t *_find_setting(const _maker_t *maker, const dt_iop_module_t *module)
{
  for(int i = maker->n_settings - 1; i >= 0; i--)
    if(maker->settings[i].module == module) return &maker->settings[i];
  return NULL;
}

static gboolean _is_wanted(const _maker_t *maker, const dt_iop_module_t *module)
{
  const dt_dev_setting_t *setting = _find_setting(maker, module);
  if((module->flags & DT_IOP_RAW) && !dt_dev_input_image(maker->plan->input)->mosaic) return FALSE;
  if(module->flags & DT_IOP_HIDDEN)
    return strcmp(module->name, _gamma) == 0 ? maker->opts->for_screen : strcmp(module->name, _scale) != 0;
  if(module->flags & DT_IOP_ALWAYS) return TRUE;
  return setting ? setting->enabled : dt_iop_is_on(module, dt_dev_input_image(maker->plan->input));
}

/* --- one node --- */

/* What a node is told. */
typedef struct _wish_t
{
  const void *params;
  const dt_blend_params_t *blend;
  dt_dev_mask_t *mask;
} _wish_t;

static guint64 _hash(guint64 before, const dt_iop_module_t *module, const _wish_t *wish)
{
  GString *bytes = g_string_new(module->name);
  g_string_append_len(bytes, (const char *)&before, sizeof(before));
  g_string_append_len(bytes, (const char *)&module->version, sizeof(module->version));
  if(wish->params) g_string_append_len(bytes, wish->params, (gssize)module->params_size);
  if(wish->blend) g_string_append_len(bytes, (const char *)wish->blend, sizeof(*wish->blend));
  if(wish->mask) g_string_append_len(bytes, (const char *)&wish->mask->hash, sizeof(wish->mask->hash));
  const guint64 hash = dt_checksum64(bytes->str, bytes->len);
  g_string_free(bytes, TRUE);
  return hash;
}

static void _cleanup(dt_dev_node_t *node)
{
  if(node->piece.module->cleanup)
    node->piece.module->cleanup(&node->piece);
  else
    g_free(node->piece.data);
  dt_blend_free(node->blend);
  dt_dev_mask_unref(node->mask);
}

/* What the node before gives, or the photograph. */
static void _connect(const dt_dev_plan_t *plan, dt_iop_piece_t *piece)
{
  const dt_iop_piece_t *before = plan->n ? &plan->nodes[plan->n - 1].piece : NULL;
  piece->image = dt_dev_input_image(plan->input);
  piece->channels_in = before ? before->channels_out : dt_dev_input_channels(plan->input);
  piece->in_width = before ? before->out_width : piece->image->width;
  piece->in_height = before ? before->out_height : piece->image->height;
  piece->in_scale = before ? before->out_scale : 1.0;
  piece->channels_out = piece->channels_in;
  piece->out_width = piece->in_width;
  piece->out_height = piece->in_height;
  piece->out_scale = piece->in_scale;
  for(int c = 0; c < 4; c++)
    piece->saturation_in[c] = piece->saturation_out[c] = before ? before->saturation_out[c] : 1.0f;
}

/* The piece and its size. */
static gboolean _commit(dt_iop_piece_t *piece, const void *params, GError **error)
{
  const dt_iop_module_t *module = piece->module;
  if(module->commit && !module->commit(piece, params, error)) return FALSE;
  if(!piece->enabled) return TRUE;
  if(module->size) module->size(piece);
  if(piece->out_width >= 1 && piece->out_height >= 1) return TRUE;
  g_set_error(error, DT_AI_ERROR, DT_AI_ERROR_USAGE, "%s leaves nothing of the picture.", module->title);
  return FALSE;
}

/* Half of a white balance leaves the sensor full at half the way. Where a mask is not the same everywhere there is no such
 * level; that of the whole module is as good as any. */
static void _mix_saturation(dt_dev_node_t *node)
{
  dt_iop_piece_t *piece = &node->piece;
  float strength;
  if(!dt_blend_is_even(node->blend, &strength)) return;
  for(int c = 0; c < 4; c++)
    piece->saturation_out[c] =
        piece->saturation_in[c] + (piece->saturation_out[c] - piece->saturation_in[c]) * strength;
}

/* The mask, when it would change anything. */
static gboolean _commit_blend(const _maker_t *maker, dt_dev_node_t *node, const _wish_t *wish, GError **error)
{
  dt_blend_object_t object = { 0 };
  if(wish->mask)
    object = (dt_blend_object_t){ wish->mask->plane, wish->mask->width, wish->mask->height,
                                  dt_blend_to_photo(node->piece.image, &maker->to_input) };
  const dt_blend_object_t *masked = wish->mask ? &object : NULL;
  if(!wish->blend || !node->piece.enabled || dt_blend_is_neutral(wish->blend, masked)) return TRUE;
  node->blend = dt_blend_new(&node->piece, wish->blend, masked, error);
  if(node->blend && wish->mask) node->mask = dt_dev_mask_ref(wish->mask);
  if(node->blend) _mix_saturation(node);
  return node->blend != NULL;
}

/* Where the pixels behind it come from. */
static void _follow(_maker_t *maker, const dt_iop_piece_t *piece)
{
  dt_iop_affine_t to_input;
  if(!piece->module->origin) return;
  piece->module->origin(piece, &to_input);
  maker->to_input = dt_iop_affine_then(&to_input, &maker->to_input);
}

static gboolean _add(_maker_t *maker, const dt_iop_module_t *module, const _wish_t *wish, GError **error)
{
  dt_dev_plan_t *plan = maker->plan;
  g_return_val_if_fail(plan->n < DT_DEV_MAX_NODES, FALSE);
  dt_dev_node_t node = { .piece = { .module = module, .enabled = TRUE } };
  _connect(plan, &node.piece);
  if(module->flags & DT_IOP_NEEDS_NOISE) dt_dev_input_measure_noise(plan->input);
  node.hash = _hash(plan->n ? plan->nodes[plan->n - 1].hash : 0, module, wish);
  const gboolean fine = _commit(&node.piece, wish->params, error) && _commit_blend(maker, &node, wish, error);
  if(fine && node.piece.enabled)
  {
    _follow(maker, &node.piece);
    plan->nodes[plan->n++] = node;
  }
  else
    _cleanup(&node);
  return fine;
}

static gboolean _add_user(_maker_t *maker, const dt_iop_module_t *module, GError **error)
{
  const dt_dev_setting_t *setting = _find_setting(maker, module);
  void *standard = setting && setting->params ? NULL : dt_iop_standard_params(module);
  const _wish_t wish = { standard  ? standard
                         : setting ? setting->params
                                   : NULL,
                         setting ? setting->blend : NULL, setting ? setting->mask : NULL };
  const gboolean fine = _add(maker, module, &wish, error);
  g_free(standard);
  return fine;
}

/* The picture as it is there in another size. */
static gboolean _add_scale(_maker_t *maker, GError **error)
{
  const dt_iop_module_t *module = dt_iop_find(_scale);
  dt_iop_piece_t here = { .module = module };
  if(!module || maker->factor == 1.0) return TRUE;
  _connect(maker->plan, &here);
  void *params = dt_iop_standard_params(module);
  const int size[2] = { MAX(1, (int)lround(here.in_width * maker->factor)),
                        MAX(1, (int)lround(here.in_height * maker->factor)) };
  for(int i = 0; i < 2; i++)
  {
    char text[16];
    g_snprintf(text, sizeof(text), "%d", size[i]);
    const dt_iop_param_t *param = dt_iop_find_param(module, i ? "height" : "width");
    dt_iop_set_param(module, param, params, text, NULL);
  }
  const gboolean fine = _add(maker, module, &(_wish_t){ .params = params }, error);
  g_free(params);
  return fine;
}

/* --- all of them --- */

/* A screen wants its pixels soon: the picture becomes small as soon as it is one. A file gets the full quality: everything
 * is done at full size, and the result is made smaller. */
static gboolean _is_place_of_scale(const _maker_t *maker, const dt_iop_module_t *module)
{
  const gboolean early = maker->opts->type != DT_OPENCL_EXPORT;
  return strcmp(module->name, early ? "demosaic" : _scale) == 0;
}

static gboolean _is_for_screen(dt_opencl_pipe_t type)
{
  return type != DT_OPENCL_EXPORT && type != DT_OPENCL_THUMBNAIL;
}

static gboolean _add_all(_maker_t *maker, GError **error)
{
  maker->to_input = dt_iop_affine_identity;
  for(const dt_iop_module_t *const *module = dt_iop_modules; *module; module++)
  {
    if(_is_wanted(maker, *module) && !_add_user(maker, *module, error)) return FALSE;
    if(!_is_place_of_scale(maker, *module)) continue;
    if(!_add_scale(maker, error)) return FALSE;
    if(_is_for_screen(maker->opts->type)) maker->plan->small = maker->plan->n;
  }
  return TRUE;
}

static void _drop_nodes(dt_dev_plan_t *plan)
{
  while(plan->n > 0) _cleanup(&plan->nodes[--plan->n]);
}

static void _measure(dt_dev_plan_t *plan)
{
  dt_iop_piece_t end = { 0 };
  _connect(plan, &end);
  plan->width = end.in_width;
  plan->height = end.in_height;
}

/* By which the result is to be multiplied so that it fits; 1: it does. */
static double _room(const _maker_t *maker)
{
  const dt_dev_pixelpipe_opts_t *opts = maker->opts;
  const double across = opts->width ? (double)opts->width / maker->plan->width : 1.0;
  const double down = opts->height ? (double)opts->height / maker->plan->height : 1.0;
  return MIN(1.0, MIN(across, down));
}

/* Once at full size, to see how large the result is, and once more in the size that is wanted; again where a crop behind
 * the scaling comes to a pixel more than it should. */
static gboolean _make(_maker_t *maker, GError **error)
{
  maker->factor = 1.0;
  for(int attempt = 0;; attempt++)
  {
    if(!_add_all(maker, error)) return FALSE;
    _measure(maker->plan);
    const double room = _room(maker);
    if(room == 1.0 || attempt == MOST_ATTEMPTS) return TRUE;
    maker->factor *= room;
    _drop_nodes(maker->plan);
  }
}

dt_dev_plan_t *dt_dev_plan_new(dt_dev_input_t *input, const dt_dev_pixelpipe_opts_t *opts,
                               const dt_dev_setting_t *settings, int n, GError **error)
{
  dt_dev_plan_t *plan = g_new0(dt_dev_plan_t, 1);
  plan->references = 1;
  plan->input = dt_dev_input_ref(input);
  plan->focus = plan->small = -1;
  _maker_t maker = { plan, opts, settings, n, 1.0, dt_iop_affine_identity };
  if(_make(&maker, error)) return plan;
  dt_dev_plan_unref(plan);
  return NULL;
}

void dt_dev_plan_set_focus(dt_dev_plan_t *plan, const dt_dev_plan_t *before)
{
  int i = 0;
  while(before && i < plan->n && i < before->n && plan->nodes[i].hash == before->nodes[i].hash) i++;
  if(before && i == plan->n && i == before->n)
    plan->focus = before->focus;
  else
    plan->focus = before && i < plan->n ? i : -1;
}

gboolean dt_dev_plan_is_worth_keeping(const dt_dev_plan_t *plan, int i)
{
  return i > 0 && (i == plan->focus || i == plan->small);
}

dt_dev_plan_t *dt_dev_plan_ref(dt_dev_plan_t *plan)
{
  g_atomic_int_inc(&plan->references);
  return plan;
}

void dt_dev_plan_unref(dt_dev_plan_t *plan)
{
  if(!plan || !g_atomic_int_dec_and_test(&plan->references)) return;
  _drop_nodes(plan);
  dt_dev_input_unref(plan->input);
  g_free(plan);
}

/* --- rectangles --- */

static void _cut(const dt_iop_piece_t *piece, dt_iop_roi_t *in)
{
  const int right = MIN(in->x + in->width, piece->in_width),
            bottom = MIN(in->y + in->height, piece->in_height);
  in->x = CLAMP(in->x, 0, piece->in_width - 1);
  in->y = CLAMP(in->y, 0, piece->in_height - 1);
  in->width = MAX(1, right - in->x);
  in->height = MAX(1, bottom - in->y);
  in->scale = piece->in_scale;
}

/* A mask wants the input of all that is processed. */
static void _join(dt_iop_roi_t *roi, const dt_iop_roi_t *other)
{
  const int right = MAX(roi->x + roi->width, other->x + other->width);
  const int bottom = MAX(roi->y + roi->height, other->y + other->height);
  roi->x = MIN(roi->x, other->x);
  roi->y = MIN(roi->y, other->y);
  roi->width = right - roi->x;
  roi->height = bottom - roi->y;
}

dt_iop_roi_t dt_dev_plan_processed(const dt_dev_plan_t *plan, int i, const dt_iop_roi_t *out)
{
  dt_iop_roi_t processed = *out;
  if(plan->nodes[i].blend) dt_blend_need(plan->nodes[i].blend, out, &processed);
  return processed;
}

void dt_dev_plan_rois(const dt_dev_plan_t *plan, const dt_iop_roi_t *roi,
                      dt_iop_roi_t rois[DT_DEV_MAX_NODES + 1])
{
  rois[plan->n] = *roi;
  rois[plan->n].scale = plan->n ? plan->nodes[plan->n - 1].piece.out_scale : 1.0;
  for(int i = plan->n - 1; i >= 0; i--)
  {
    const dt_iop_piece_t *piece = &plan->nodes[i].piece;
    const dt_iop_roi_t processed = dt_dev_plan_processed(plan, i, &rois[i + 1]);
    rois[i] = processed;
    if(piece->module->need) piece->module->need(piece, &processed, &rois[i]);
    if(plan->nodes[i].blend) _join(&rois[i], &processed);
    _cut(piece, &rois[i]);
  }
}

int dt_dev_plan_channels(const dt_dev_plan_t *plan, int i)
{
  return i == 0 ? dt_dev_input_channels(plan->input) : plan->nodes[i - 1].piece.channels_out;
}

static guint64 _pixels_of(const dt_dev_plan_t *plan, int i, const dt_iop_roi_t *rois)
{
  return (guint64)rois[i].width * (guint64)rois[i].height * (guint64)dt_dev_plan_channels(plan, i)
         * sizeof(float);
}

/* What node @p i takes besides its input and its output. */
static guint64 _memory_of(const dt_dev_plan_t *plan, int i, const dt_iop_roi_t *rois, gboolean on_device)
{
  const dt_dev_node_t *node = &plan->nodes[i];
  const dt_iop_roi_t processed = dt_dev_plan_processed(plan, i, &rois[i + 1]);
  const dt_iop_module_t *module = node->piece.module;
  gsize (*memory)(const dt_iop_piece_t *, const dt_iop_roi_t *, const dt_iop_roi_t *) =
      on_device ? module->memory_cl : module->memory;
  guint64 bytes = memory ? memory(&node->piece, &rois[i], &processed) : 0;
  if(node->blend)
    bytes += dt_blend_memory(node->blend, &rois[i + 1])
             + (guint64)processed.width * (guint64)processed.height * (guint64)node->piece.channels_out
                   * sizeof(float);
  return bytes;
}

static guint64 _memory(const dt_dev_plan_t *plan, const dt_iop_roi_t *rois, gboolean on_device)
{
  guint64 most = _pixels_of(plan, 0, rois);
  for(int i = 0; i < plan->n; i++)
    most = MAX(most, _pixels_of(plan, i, rois) + _pixels_of(plan, i + 1, rois)
                         + _memory_of(plan, i, rois, on_device));
  return most;
}

guint64 dt_dev_plan_memory(const dt_dev_plan_t *plan, const dt_iop_roi_t *rois)
{
  return _memory(plan, rois, FALSE);
}

guint64 dt_dev_plan_memory_cl(const dt_dev_plan_t *plan, const dt_iop_roi_t *rois, guint64 *largest)
{
  *largest = 0;
  for(int i = 0; i <= plan->n; i++) *largest = MAX(*largest, _pixels_of(plan, i, rois));
  return _memory(plan, rois, TRUE);
}
