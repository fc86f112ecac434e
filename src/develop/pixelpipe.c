/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A pipe's life, its plan, and its result whole or as rows. */
#include "develop/pixelpipe.h"

#include "common/checksum.h"
#include "common/memory.h"
#include "develop/photo.h"
#include "develop/pixelpipe_internal.h"

#include <stdlib.h>
#include <string.h>

#define SCREEN_CACHE ((guint64)256 << 20)

/* --- masks --- */

dt_dev_mask_t *dt_dev_mask_new(float *plane, int width, int height)
{
  dt_dev_mask_t *mask = g_new(dt_dev_mask_t, 1);
  *mask = (dt_dev_mask_t){ 1, plane, width, height,
                           dt_checksum64(plane, (size_t)width * (size_t)height * sizeof(float)) };
  return mask;
}

dt_dev_mask_t *dt_dev_mask_ref(dt_dev_mask_t *mask)
{
  g_atomic_int_inc(&mask->references);
  return mask;
}

void dt_dev_mask_unref(dt_dev_mask_t *mask)
{
  if(!mask || !g_atomic_int_dec_and_test(&mask->references)) return;
  g_free(mask->plane);
  g_free(mask);
}

/* --- how often the parameters have changed --- */

dt_dev_changes_t *dt_dev_changes_ref(dt_dev_changes_t *changes)
{
  g_atomic_int_inc(&changes->references);
  return changes;
}

void dt_dev_changes_unref(dt_dev_changes_t *changes)
{
  if(changes && g_atomic_int_dec_and_test(&changes->references)) g_free(changes);
}

/* --- life --- */

static guint64 _standard_cache(dt_opencl_pipe_t type)
{
  return type == DT_OPENCL_FULL || type == DT_OPENCL_PREVIEW || type == DT_OPENCL_PREVIEW2 ? SCREEN_CACHE : 0;
}

dt_dev_pixelpipe_t *dt_dev_pixelpipe_create(dt_dev_input_t *input, const dt_dev_pixelpipe_opts_t *opts)
{
  dt_dev_pixelpipe_t *pipe = g_new0(dt_dev_pixelpipe_t, 1);
  pipe->opts = *opts;
  pipe->name = g_strdup(opts->name);
  pipe->opts.name = NULL;
  pipe->input = dt_dev_input_ref(input);
  const guint64 cache = opts->cache ? opts->cache : _standard_cache(opts->type);
  pipe->keeps = cache > 0;
  pipe->cache = dt_dev_cache_create(cache);
  pipe->changes = g_new0(dt_dev_changes_t, 1);
  pipe->changes->references = 1;
  pthread_mutex_init(&pipe->lock, NULL);
  return pipe;
}

void dt_dev_pixelpipe_destroy(dt_dev_pixelpipe_t *pipe)
{
  if(!pipe) return;
  dt_dev_plan_unref(pipe->plan);
  dt_dev_cache_destroy(pipe->cache);
  dt_dev_input_unref(pipe->input);
  dt_dev_changes_unref(pipe->changes);
  pthread_mutex_destroy(&pipe->lock);
  g_free(pipe->name);
  g_free(pipe);
}

gboolean dt_dev_pixelpipe_set(dt_dev_pixelpipe_t *pipe, const dt_dev_setting_t *settings, int n,
                              GError **error)
{
  dt_dev_plan_t *plan = dt_dev_plan_new(pipe->input, &pipe->opts, settings, n, error);
  if(!plan) return FALSE;
  pthread_mutex_lock(&pipe->lock);
  dt_dev_plan_t *before = pipe->plan;
  if(pipe->keeps) dt_dev_plan_set_focus(plan, before);
  pipe->plan = plan;
  g_atomic_int_inc(&pipe->changes->n);
  pthread_mutex_unlock(&pipe->lock);
  dt_dev_plan_unref(before);
  return TRUE;
}

/* What a history says about one module, made ready; owns what a setting borrows. */
typedef struct _ready_t
{
  dt_dev_setting_t setting;
  void *params;
  dt_blend_params_t *blend;
} _ready_t;

static void _clear_ready(gpointer data)
{
  _ready_t *ready = data;
  g_free(ready->params);
  g_free(ready->blend);
  dt_dev_mask_unref(ready->setting.mask);
}

/* "mask" names a picture file; everything else is a parameter, and not used when it is none, or none of its values: the
 * history says so. */
static gboolean _read_blend_value(_ready_t *ready, const dt_history_value_t *value, GError **error)
{
  if(strcmp(value->name, "mask") == 0)
  {
    int width, height;
    float *plane = dt_photo_load_plane(value->text, &width, &height, NULL, error);
    dt_dev_mask_unref(ready->setting.mask);
    ready->setting.mask = plane ? dt_dev_mask_new(plane, width, height) : NULL;
    return plane != NULL;
  }
  const dt_iop_param_t *param = dt_blend_find_param(ready->setting.module, value->name, NULL);
  if(param) dt_iop_set_param(&dt_blend_table, param, ready->blend, value->text, NULL);
  return TRUE;
}

static gboolean _read_item(const dt_history_t *history, const dt_iop_module_t *module, _ready_t *ready,
                           GError **error)
{
  const GArray *blend = dt_history_blend(history, module);
  ready->params = dt_history_params(history, module);
  ready->setting = (dt_dev_setting_t){ .module = module,
                                       .enabled = dt_history_is_enabled(history, module),
                                       .params = ready->params };
  if(!blend || blend->len == 0 || !ready->setting.enabled) return TRUE;
  ready->setting.blend = ready->blend = dt_iop_standard_params(&dt_blend_table);
  for(guint i = 0; i < blend->len; i++)
    if(!_read_blend_value(ready, &g_array_index(blend, dt_history_value_t, i), error)) return FALSE;
  return TRUE;
}

static gboolean _set_all(dt_dev_pixelpipe_t *pipe, const GArray *items, GError **error)
{
  dt_dev_setting_t *settings = g_new0(dt_dev_setting_t, items->len + 1);
  for(guint i = 0; i < items->len; i++) settings[i] = g_array_index(items, _ready_t, i).setting;
  const gboolean fine = dt_dev_pixelpipe_set(pipe, settings, (int)items->len, error);
  g_free(settings);
  return fine;
}

gboolean dt_dev_pixelpipe_set_history(dt_dev_pixelpipe_t *pipe, const dt_history_t *history, GError **error)
{
  gboolean fine = TRUE;
  GArray *items = g_array_new(FALSE, FALSE, sizeof(_ready_t));
  g_array_set_clear_func(items, _clear_ready);
  for(const dt_iop_module_t *const *module = dt_iop_modules; *module && fine; module++)
  {
    if(((*module)->flags & DT_IOP_HIDDEN) || !dt_history_has(history, *module)) continue;
    _ready_t ready = { 0 };
    fine = _read_item(history, *module, &ready, error);
    g_array_append_val(items, ready);
  }
  fine = fine && _set_all(pipe, items, error);
  g_array_unref(items);
  return fine;
}

gboolean dt_dev_pixelpipe_size(dt_dev_pixelpipe_t *pipe, int *width, int *height)
{
  pthread_mutex_lock(&pipe->lock);
  const gboolean known = pipe->plan != NULL;
  if(known)
  {
    *width = pipe->plan->width;
    *height = pipe->plan->height;
  }
  pthread_mutex_unlock(&pipe->lock);
  return known;
}

GPtrArray *dt_dev_pixelpipe_modules(dt_dev_pixelpipe_t *pipe)
{
  GPtrArray *modules = g_ptr_array_new();
  pthread_mutex_lock(&pipe->lock);
  for(int i = 0; pipe->plan && i < pipe->plan->n; i++)
    g_ptr_array_add(modules, (gpointer)pipe->plan->nodes[i].piece.module);
  pthread_mutex_unlock(&pipe->lock);
  return modules;
}

/* --- a rectangle --- */

static gboolean _check_roi(const dt_dev_plan_t *plan, const dt_iop_roi_t *roi, GError **error)
{
  if(roi->x >= 0 && roi->y >= 0 && roi->width > 0 && roi->height > 0 && roi->width <= plan->width - roi->x
     && roi->height <= plan->height - roi->y)
    return TRUE;
  g_set_error(error, DT_AI_ERROR, DT_AI_ERROR_USAGE,
              "The rectangle of %d × %d at %d, %d is not inside the result of %d × %d.", roi->width,
              roi->height, roi->x, roi->y, plan->width, plan->height);
  return FALSE;
}

static gboolean _run(dt_dev_run_t *run, const dt_iop_roi_t *wanted, float *pixels, GError **error)
{
  const dt_iop_roi_t all = { 0, 0, run->plan->width, run->plan->height, 1.0 }, *roi = wanted ? wanted : &all;
  return _check_roi(run->plan, roi, error) && dt_dev_run_part(run, roi, pixels, (gsize)roi->width * 4, error);
}

gboolean dt_dev_pixelpipe_run(dt_dev_pixelpipe_t *pipe, const dt_iop_roi_t *roi, float *pixels,
                              GCancellable *cancellable, dt_dev_run_report_t *report, GError **error)
{
  dt_dev_run_t run;
  const gint64 begun = g_get_monotonic_time();
  const gboolean fine = dt_dev_run_begin(&run, pipe, cancellable, error) && _run(&run, roi, pixels, error);
  dt_dev_run_end(&run);
  run.report.seconds = (double)(g_get_monotonic_time() - begun) / G_USEC_PER_SEC;
  if(report) *report = run.report;
  return fine;
}

/* --- rows --- */

typedef struct _rows_t
{
  dt_row_source_t source;
  dt_dev_pixelpipe_t *pipe;
  GCancellable *cancellable;
  dt_dev_run_t run;
  gboolean begun;
  gint mine; /* of the pipe's changes: of which plan these rows are */
  int y, n;  /* the rows that are here */
  int band;  /* rows computed at once */
  float *pixels;
} _rows_t;

/* As many rows as fit with the rows themselves: every band computes the margins of its modules anew. */
static int _choose_band(const dt_dev_run_t *run)
{
  int band = run->plan->height;
  for(;; band = (band + 1) / 2)
  {
    dt_iop_roi_t rois[DT_DEV_MAX_NODES + 1];
    /* in the middle, where margins are whole */
    const dt_iop_roi_t roi = { 0, (run->plan->height - band) / 2, run->plan->width, band, 1.0 };
    dt_dev_plan_rois(run->plan, &roi, rois);
    const guint64 rows = (guint64)band * (guint64)run->plan->width * 4 * sizeof(float);
    if(band == 1 || rows + dt_dev_plan_memory(run->plan, rois) <= run->memory) return band;
  }
}

static gboolean _begin_rows(_rows_t *self, GError **error)
{
  if(self->begun && self->pixels) return TRUE;
  const dt_dev_run_report_t before = self->run.report;
  if(!self->begun)
    self->begun = dt_dev_run_begin(&self->run, self->pipe, self->cancellable, error)
                  && dt_dev_check_wanted(self->run.changes, self->mine, self->cancellable, error);
  if(!self->begun)
  {
    dt_dev_run_end(&self->run);
    return FALSE;
  }
  if(self->pixels)
  {
    self->run.report = before; /* this band is not the first */
    return TRUE;
  }
  self->band = _choose_band(&self->run);
  self->pixels = dt_memory_try_large((gsize)self->band * (gsize)self->source.width, 4 * sizeof(float));
  if(self->pixels) return TRUE;
  g_set_error(error, DT_AI_ERROR, DT_AI_ERROR_MEMORY, "There is no memory for %d rows.", self->band);
  return FALSE;
}

static void _end_rows(_rows_t *self)
{
  if(self->begun) dt_dev_run_end(&self->run);
  self->begun = FALSE;
}

static gboolean _compute_band(_rows_t *self, int y, GError **error)
{
  if(!_begin_rows(self, error)) return FALSE;
  const dt_iop_roi_t roi = { 0, y, self->source.width, MIN(self->band, self->source.height - y), 1.0 };
  self->y = y;
  self->n = 0;
  if(!dt_dev_run_part(&self->run, &roi, self->pixels, (gsize)roi.width * 4, error)) return FALSE;
  self->n = roi.height;
  if(self->pipe->opts.yields) _end_rows(self);
  return TRUE;
}

static gboolean _read_rows(dt_row_source_t *source, int y, int n, float *rows, GError **error)
{
  _rows_t *self = (_rows_t *)source;
  const gsize stride = (gsize)source->width * 4;
  for(int i = 0; i < n; i++)
  {
    const int row = y + i;
    if((row < self->y || row >= self->y + self->n) && !_compute_band(self, row, error)) return FALSE;
    memcpy(rows + (gsize)i * stride, self->pixels + (gsize)(row - self->y) * stride, stride * sizeof(float));
  }
  return TRUE;
}

static void _destroy_rows(dt_row_source_t *source)
{
  _rows_t *self = (_rows_t *)source;
  _end_rows(self);
  g_clear_object(&self->cancellable);
  free(self->pixels);
  g_free(self);
}

dt_row_source_t *dt_dev_pixelpipe_rows(dt_dev_pixelpipe_t *pipe, GCancellable *cancellable)
{
  _rows_t *self = g_new0(_rows_t, 1);
  self->source = (dt_row_source_t){ .channels = DT_ROW_RGBA,
                                    .space = DT_ROW_LINEAR_REC709,
                                    .memory = pipe->opts.memory,
                                    .read = _read_rows,
                                    .destroy = _destroy_rows };
  self->mine = g_atomic_int_get(&pipe->changes->n); /* before the size: later changes are noticed */
  dt_dev_pixelpipe_size(pipe, &self->source.width, &self->source.height);
  self->pipe = pipe;
  if(cancellable) self->cancellable = g_object_ref(cancellable);
  return &self->source;
}

void dt_dev_pixelpipe_rows_report(const dt_row_source_t *rows, dt_dev_run_report_t *report)
{
  *report = ((const _rows_t *)rows)->run.report;
}
