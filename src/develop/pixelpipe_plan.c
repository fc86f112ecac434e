/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Which modules a pipe has, how large the picture is between them, and what a rectangle of the result needs of each. */
#include "develop/pixelpipe_plan.h"

#include "common/checksum.h"

#include <math.h>
#include <string.h>

#define MAX_MODULES 64

/* What a plan is made of, while it is made. */
typedef struct _maker_t
{
  dt_dev_plan_t *plan;
  const dt_dev_pixelpipe_opts_t *opts;
  const dt_dev_setting_t *settings;
  int n_settings;
  double factor; /* from the full size to the result's; 1: no other size */
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
  return setting ? setting->enabled : dt_iop_is_on(module, dt_dev_input_image(maker->plan->input));
}

/* --- one node --- */

static guint64 _hash(guint64 before, const dt_iop_piece_t *piece, const void *params)
{
  const dt_iop_module_t *module = piece->module;
  GString *bytes = g_string_new(module->name);
  g_string_append_len(bytes, (const char *)&before, sizeof(before));
  g_string_append_len(bytes, (const char *)&module->version, sizeof(module->version));
  if(params) g_string_append_len(bytes, params, (gssize)module->params_size);
  const guint64 hash = dt_checksum64(bytes->str, bytes->len);
  g_string_free(bytes, TRUE);
  return hash;
}

static void _cleanup(dt_iop_piece_t *piece)
{
  if(piece->module->cleanup)
    piece->module->cleanup(piece);
  else
    g_free(piece->data);
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

static gboolean _add(_maker_t *maker, const dt_iop_module_t *module, const void *params, GError **error)
{
  dt_dev_plan_t *plan = maker->plan;
  g_return_val_if_fail(plan->n < DT_DEV_MAX_NODES, FALSE);
  dt_dev_node_t node = { .piece = { .module = module, .enabled = TRUE } };
  _connect(plan, &node.piece);
  node.hash = _hash(plan->n ? plan->nodes[plan->n - 1].hash : 0, &node.piece, params);
  gboolean fine = !module->commit || module->commit(&node.piece, params, error);
  if(fine && node.piece.enabled && module->size) module->size(&node.piece);
  if(fine && (node.piece.out_width < 1 || node.piece.out_height < 1))
  {
    g_set_error(error, DT_AI_ERROR, DT_AI_ERROR_USAGE, "%s leaves nothing of the picture.", module->title);
    fine = FALSE;
  }
  if(fine && node.piece.enabled)
    plan->nodes[plan->n++] = node;
  else
    _cleanup(&node.piece);
  return fine;
}

static gboolean _add_user(_maker_t *maker, const dt_iop_module_t *module, GError **error)
{
  const dt_dev_setting_t *setting = _find_setting(maker, module);
  void *standard = setting && setting->params ? NULL : dt_iop_standard_params(module);
  const gboolean fine = _add(maker, module, standard ? standard : setting ? setting->params : NULL, error);
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
  const gboolean fine = _add(maker, module, params, error);
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

static gboolean _add_all(_maker_t *maker, GError **error)
{
  for(const dt_iop_module_t *const *module = dt_iop_modules; *module; module++)
  {
    if(_is_wanted(maker, *module) && !_add_user(maker, *module, error)) return FALSE;
    if(_is_place_of_scale(maker, *module) && !_add_scale(maker, error)) return FALSE;
  }
  return TRUE;
}

static void _drop_nodes(dt_dev_plan_t *plan)
{
  while(plan->n > 0) _cleanup(&plan->nodes[--plan->n].piece);
}

static void _measure(dt_dev_plan_t *plan)
{
  dt_iop_piece_t end = { 0 };
  _connect(plan, &end);
  plan->width = end.in_width;
  plan->height = end.in_height;
}

/* Once at full size, to see how large the result is, and once more in the size that is wanted. */
static gboolean _make(_maker_t *maker, GError **error)
{
  maker->factor = 1.0;
  if(!_add_all(maker, error)) return FALSE;
  _measure(maker->plan);
  const dt_dev_pixelpipe_opts_t *opts = maker->opts;
  const double across = opts->width ? (double)opts->width / maker->plan->width : 1.0;
  const double down = opts->height ? (double)opts->height / maker->plan->height : 1.0;
  maker->factor = MIN(1.0, MIN(across, down));
  if(maker->factor == 1.0) return TRUE;
  _drop_nodes(maker->plan);
  if(!_add_all(maker, error)) return FALSE;
  _measure(maker->plan);
  return TRUE;
}

dt_dev_plan_t *dt_dev_plan_new(dt_dev_input_t *input, const dt_dev_pixelpipe_opts_t *opts,
                               const dt_dev_setting_t *settings, int n, GError **error)
{
  dt_dev_plan_t *plan = g_atomic_rc_box_new0(dt_dev_plan_t);
  plan->input = dt_dev_input_ref(input);
  _maker_t maker = { plan, opts, settings, n, 1.0 };
  if(_make(&maker, error)) return plan;
  dt_dev_plan_unref(plan);
  return NULL;
}

void dt_dev_plan_set_focus(dt_dev_plan_t *plan, const dt_dev_plan_t *before)
{
  int i = 0;
  while(before && i < plan->n && i < before->n && plan->nodes[i].hash == before->nodes[i].hash) i++;
  plan->focus = before && i < plan->n ? i : -1;
}

dt_dev_plan_t *dt_dev_plan_ref(dt_dev_plan_t *plan)
{
  return g_atomic_rc_box_acquire(plan);
}

static void _clear(gpointer data)
{
  dt_dev_plan_t *plan = data;
  _drop_nodes(plan);
  dt_dev_input_unref(plan->input);
}

void dt_dev_plan_unref(dt_dev_plan_t *plan)
{
  if(plan) g_atomic_rc_box_release_full(plan, _clear);
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

void dt_dev_plan_rois(const dt_dev_plan_t *plan, const dt_iop_roi_t *roi,
                      dt_iop_roi_t rois[DT_DEV_MAX_NODES + 1])
{
  rois[plan->n] = *roi;
  rois[plan->n].scale = plan->n ? plan->nodes[plan->n - 1].piece.out_scale : 1.0;
  for(int i = plan->n - 1; i >= 0; i--)
  {
    const dt_iop_piece_t *piece = &plan->nodes[i].piece;
    rois[i] = rois[i + 1];
    if(piece->module->need) piece->module->need(piece, &rois[i + 1], &rois[i]);
    _cut(piece, &rois[i]);
  }
}

int dt_dev_plan_channels(const dt_dev_plan_t *plan, int i)
{
  return i == 0 ? dt_dev_input_channels(plan->input) : plan->nodes[i - 1].piece.channels_out;
}

guint64 dt_dev_plan_memory(const dt_dev_plan_t *plan, const dt_iop_roi_t *rois, int first, guint64 *largest)
{
  guint64 most = 0, before = 0;
  *largest = 0;
  for(int i = first; i <= plan->n; i++)
  {
    const guint64 bytes = (guint64)rois[i].width * (guint64)rois[i].height
                          * (guint64)dt_dev_plan_channels(plan, i) * sizeof(float);
    const dt_iop_piece_t *piece = i > first ? &plan->nodes[i - 1].piece : NULL;
    const guint64 more =
        piece && piece->module->memory ? piece->module->memory(piece, &rois[i - 1], &rois[i]) : 0;
    most = MAX(most, before + bytes + more);
    *largest = MAX(*largest, bytes);
    before = bytes;
  }
  return most;
}
