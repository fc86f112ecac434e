/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A run: a rectangle of the result, in parts that fit into memory, each from the first module whose input is not known
 * to the last, on a device where there is one and on the CPU where there is none or it cannot. */
#include "develop/pixelpipe_internal.h"

#include "common/log.h"
#include "common/memory.h"

#include <string.h>

/* parts are not cut smaller than that */
#define LEAST_SIDE 16
/* of a device's memory: others use it too */
#define SHARE_OF_DEVICE 0.7
/* a device that has too little memory is asked so often in a row, for less and less */
#define MOST_REFUSALS 4

gboolean dt_dev_check_wanted(const dt_dev_changes_t *changes, gint mine, GCancellable *cancellable,
                             GError **error)
{
  if(g_atomic_int_get(&changes->n) != mine)
    g_set_error(error, DT_AI_ERROR, DT_AI_ERROR_CANCELLED, "The parameters have changed.");
  else if(g_cancellable_is_cancelled(cancellable))
    g_set_error(error, DT_AI_ERROR, DT_AI_ERROR_CANCELLED, "Cancelled.");
  else
    return TRUE;
  return FALSE;
}

/* --- beginning and end --- */

static gboolean _take_plan(dt_dev_run_t *run, dt_dev_pixelpipe_t *pipe)
{
  pthread_mutex_lock(&pipe->lock);
  run->plan = pipe->plan ? dt_dev_plan_ref(pipe->plan) : NULL;
  run->changes = dt_dev_changes_ref(pipe->changes);
  run->mine = g_atomic_int_get(&pipe->changes->n);
  pthread_mutex_unlock(&pipe->lock);
  return run->plan != NULL;
}

static void _prefer(const dt_dev_run_t *run)
{
  guint64 hashes[DT_DEV_CACHE_PREFERRED] = { 0 };
  int n = 0;
  for(int i = 1; i < run->plan->n && n < DT_DEV_CACHE_PREFERRED; i++)
    if(dt_dev_plan_is_worth_keeping(run->plan, i)) hashes[n++] = run->plan->nodes[i - 1].hash;
  dt_dev_cache_prefer(run->pipe->cache, hashes);
}

gboolean dt_dev_run_begin(dt_dev_run_t *run, dt_dev_pixelpipe_t *pipe, GCancellable *cancellable,
                          GError **error)
{
  *run = (dt_dev_run_t){ .pipe = pipe, .cancellable = cancellable, .report.device = -1 };
  run->memory = pipe->opts.memory ? pipe->opts.memory : dt_memory_available() / 4;
  if(!_take_plan(run, pipe))
  {
    g_set_error(error, DT_AI_ERROR, DT_AI_ERROR_USAGE, "The pipe has no modules yet.");
    return FALSE;
  }
  _prefer(run);
  if(!pipe->opts.cl) return TRUE;
  run->cl = dt_opencl_run_begin(
      pipe->opts.cl,
      &(dt_opencl_run_opts_t){ .pipe = pipe->opts.type, .image = pipe->name, .cancellable = cancellable },
      error);
  return run->cl != NULL;
}

void dt_dev_run_end(dt_dev_run_t *run)
{
  if(run->cl) dt_opencl_run_set_tiles(run->cl, MAX(1, run->report.tiles));
  dt_opencl_run_end(run->cl);
  dt_dev_buffer_unref(run->spare);
  dt_dev_plan_unref(run->plan);
  dt_dev_changes_unref(run->changes);
  run->cl = NULL;
  run->spare = NULL;
  run->plan = NULL;
  run->changes = NULL;
}

static gboolean _has_device(const dt_dev_run_t *run)
{
  return run->cl && run->refused < MOST_REFUSALS && dt_opencl_run_device(run->cl) >= 0;
}

/* --- one part --- */

/* For what node @p i gives, or for what its module does when that is not all of it. */
static dt_dev_buffer_t *_new_buffer(dt_dev_run_t *run, int i, gboolean is_all, const dt_iop_roi_t *roi,
                                    GError **error)
{
  const int channels = run->plan->nodes[i].piece.channels_out;
  if(run->result && is_all && i == run->plan->n - 1) return dt_dev_buffer_ref(run->result);
  dt_dev_buffer_t *used = dt_dev_buffer_reuse(g_steal_pointer(&run->spare), roi, channels);
  return used ? used : dt_dev_buffer_new(roi, channels, error);
}

/* It is not needed any more, except by the cache. */
static void _drop(dt_dev_run_t *run, dt_dev_buffer_t *buffer)
{
  dt_dev_buffer_unref(run->spare);
  run->spare = buffer;
}

/* The module's own, for all that its mask needs. */
static dt_dev_buffer_t *_process_module(dt_dev_run_t *run, int i, const dt_dev_buffer_t *in,
                                        const dt_iop_roi_t *roi, GError **error)
{
  const dt_dev_node_t *node = &run->plan->nodes[i];
  dt_dev_buffer_t *out = _new_buffer(run, i, !node->blend, roi, error);
  if(out && !node->piece.module->process(&node->piece, in->data, &in->roi, out->data, roi, error))
    g_clear_pointer(&out, dt_dev_buffer_unref);
  return out;
}

/* Takes @p processed over. */
static dt_dev_buffer_t *_blend(dt_dev_run_t *run, int i, const dt_dev_buffer_t *in,
                               dt_dev_buffer_t *processed, const dt_iop_roi_t *roi, GError **error)
{
  const dt_dev_node_t *node = &run->plan->nodes[i];
  if(!processed || !node->blend) return processed;
  dt_dev_buffer_t *out = _new_buffer(run, i, TRUE, roi, error);
  if(out
     && !dt_blend_process(node->blend, in->data, &in->roi, processed->data, &processed->roi, out->data, roi,
                          error))
    g_clear_pointer(&out, dt_dev_buffer_unref);
  _drop(run, processed);
  return out;
}

/* One module on the CPU. */
static dt_dev_buffer_t *_process(dt_dev_run_t *run, int i, const dt_iop_roi_t *rois,
                                 const dt_dev_buffer_t *in, GError **error)
{
  if(!dt_dev_check_wanted(run->changes, run->mine, run->cancellable, error)) return NULL;
  const gint64 begun = g_get_monotonic_time();
  const dt_iop_roi_t processed = dt_dev_plan_processed(run->plan, i, &rois[i + 1]);
  dt_dev_buffer_t *out =
      _blend(run, i, in, _process_module(run, i, in, &processed, error), &rois[i + 1], error);
  const double seconds = (double)(g_get_monotonic_time() - begun) / G_USEC_PER_SEC;
  run->report.module_seconds += seconds;
  dt_log(DT_LOG_PIPE | DT_LOG_PERF, "[pipe] %s on the CPU: %d × %d in %.3f s",
         run->plan->nodes[i].piece.module->name, rois[i + 1].width, rois[i + 1].height, seconds);
  return out;
}

/* The end of those modules from @p first on that a device can do one after the other. Where the next change of a parameter
 * is likely to begin the pixels come back in between. */
static int _end_on_device(const dt_dev_run_t *run, int first)
{
  int last = first;
  do last++;
  while(last < run->plan->n && !dt_dev_plan_is_worth_keeping(run->plan, last)
        && run->plan->nodes[last].piece.module->process_cl);
  return run->plan->nodes[first].piece.module->process_cl ? last : first;
}

/* On the device, or NULL without @p error when the CPU has to. */
static dt_dev_buffer_t *_try_device(dt_dev_run_t *run, int first, int last, const dt_iop_roi_t *rois,
                                    dt_dev_buffer_t *in, GError **error)
{
  GError *why = NULL;
  const int device = dt_opencl_run_device(run->cl);
  g_clear_pointer(&run->spare, dt_dev_buffer_unref);
  dt_dev_buffer_t *out = dt_dev_run_on_device(run, first, last, rois, in, &why);
  if(out)
  {
    run->report.device = device;
    run->refused = 0;
  }
  else if(g_error_matches(why, DT_AI_ERROR, DT_AI_ERROR_CANCELLED)
          || g_error_matches(why, DT_AI_ERROR, DT_AI_ERROR_MEMORY))
    g_propagate_error(error, g_steal_pointer(&why));
  else
    dt_opencl_run_fall_back(run->cl, why->message);
  g_clear_error(&why);
  return out;
}

/* The next modules: @p i moves behind what was done. */
static dt_dev_buffer_t *_advance(dt_dev_run_t *run, int *i, const dt_iop_roi_t *rois, dt_dev_buffer_t *in,
                                 gboolean use_device, GError **error)
{
  const int last = use_device && _has_device(run) ? _end_on_device(run, *i) : *i;
  GError *why = NULL;
  dt_dev_buffer_t *out = last > *i ? _try_device(run, *i, last, rois, in, &why) : NULL;
  if(out)
  {
    run->report.modules += last - *i;
    *i = last;
    return out;
  }
  if(why)
  {
    g_propagate_error(error, why);
    return NULL;
  }
  out = _process(run, *i, rois, in, error);
  run->report.modules++;
  (*i)++;
  return out;
}

/* What is known behind the last module possible: @p first is the next one to be done. */
static dt_dev_buffer_t *_find_start(dt_dev_run_t *run, const dt_iop_roi_t *rois, int *first, GError **error)
{
  const dt_dev_plan_t *plan = run->plan;
  for(*first = plan->n; *first > 0; --*first)
  {
    dt_dev_buffer_t *found = dt_dev_cache_find(run->pipe->cache, plan->nodes[*first - 1].hash, &rois[*first]);
    if(found) return found;
  }
  dt_dev_buffer_t *start = dt_dev_buffer_new(&rois[0], dt_dev_input_channels(plan->input), error);
  if(start) dt_dev_input_read(plan->input, &rois[0], start->data);
  return start;
}

/* All modules, for one part. */
static dt_dev_buffer_t *_compute(dt_dev_run_t *run, const dt_iop_roi_t *rois, gboolean use_device,
                                 GError **error)
{
  int i;
  dt_dev_buffer_t *pixels = _find_start(run, rois, &i, error);
  while(pixels && i < run->plan->n)
  {
    dt_dev_buffer_t *next = _advance(run, &i, rois, pixels, use_device, error);
    _drop(run, pixels);
    pixels = next;
    if(pixels) dt_dev_cache_keep(run->pipe->cache, run->plan->nodes[i - 1].hash, pixels);
  }
  return pixels;
}

/* --- parts --- */

static gboolean _fits(const dt_dev_run_t *run, const dt_iop_roi_t *rois)
{
  return dt_dev_plan_memory(run->plan, rois) <= run->memory;
}

static gboolean _fits_device(const dt_dev_run_t *run, const dt_iop_roi_t *rois)
{
  guint64 largest;
  const dt_opencl_device_t *device = dt_opencl_device(run->pipe->opts.cl, dt_opencl_run_device(run->cl));
  const guint64 all = dt_dev_plan_memory_cl(run->plan, rois, &largest);
  return (double)all <= (double)device->memory * SHARE_OF_DEVICE && largest <= device->max_alloc;
}

/* Bands as long as they are not thin, since neighbouring rows lie together; then columns. FALSE: it is too small. */
static gboolean _halve(const dt_iop_roi_t *roi, dt_iop_roi_t halves[2])
{
  halves[0] = halves[1] = *roi;
  if(roi->height >= 2 * LEAST_SIDE && (roi->height * 8 >= roi->width || roi->width < 2 * LEAST_SIDE))
  {
    halves[0].height = roi->height / 2;
    halves[1].y += halves[0].height;
    halves[1].height -= halves[0].height;
  }
  else if(roi->width >= 2 * LEAST_SIDE)
  {
    halves[0].width = roi->width / 2;
    halves[1].x += halves[0].width;
    halves[1].width -= halves[0].width;
  }
  else
    return FALSE;
  return TRUE;
}

static gboolean _run_halves(dt_dev_run_t *run, const dt_iop_roi_t *roi, const dt_iop_roi_t halves[2],
                            float *pixels, gsize stride, GError **error)
{
  for(int i = 0; i < 2; i++)
  {
    float *to = pixels + (gsize)(halves[i].y - roi->y) * stride + (gsize)(halves[i].x - roi->x) * 4;
    if(!dt_dev_run_part(run, &halves[i], to, stride, error)) return FALSE;
  }
  return TRUE;
}

static void _copy(const dt_dev_buffer_t *from, float *pixels, gsize stride)
{
  const gsize n = (gsize)from->roi.width * 4;
  for(int y = 0; y < from->roi.height && from->data != pixels; y++)
    memcpy(pixels + (gsize)y * stride, from->data + (gsize)y * n, n * sizeof(float));
}

/* A part that fits here. @return FALSE with DT_AI_ERROR_MEMORY: it turns out that it does not */
static gboolean _run_whole(dt_dev_run_t *run, const dt_iop_roi_t *rois, gboolean use_device, float *pixels,
                           gsize stride, GError **error)
{
  const dt_iop_roi_t *roi = &rois[run->plan->n];
  if(!run->pipe->keeps && stride == (gsize)roi->width * 4)
    run->result = dt_dev_buffer_new_over(roi, 4, pixels);
  dt_dev_buffer_t *result = _compute(run, rois, use_device, error);
  if(result)
  {
    run->report.tiles++;
    _copy(result, pixels, stride);
    _drop(run, result);
  }
  g_clear_pointer(&run->result, dt_dev_buffer_unref);
  return result != NULL;
}

/* Memory was short after all. A device that has too little of it even for small parts is left alone by this run. */
static void _note_shortage(dt_dev_run_t *run, const dt_iop_roi_t *roi, gboolean device, gboolean can_halve,
                           const char *why)
{
  dt_log(DT_LOG_OPENCL | DT_LOG_TILING, "[pipe] %d × %d pixels: %s", roi->width, roi->height, why);
  if(!device) return;
  run->refused = can_halve ? run->refused + 1 : MOST_REFUSALS;
  if(run->refused == MOST_REFUSALS) dt_opencl_run_fall_back(run->cl, why);
}

gboolean dt_dev_run_part(dt_dev_run_t *run, const dt_iop_roi_t *roi, float *pixels, gsize stride,
                         GError **error)
{
  dt_iop_roi_t rois[DT_DEV_MAX_NODES + 1], halves[2];
  dt_dev_plan_rois(run->plan, roi, rois);
  const gboolean can_halve = _halve(roi, halves), fits = _fits(run, rois);
  const gboolean device = _has_device(run), fits_device = device && _fits_device(run, rois);
  if(can_halve && (!fits || (device && !fits_device)))
    return _run_halves(run, roi, halves, pixels, stride, error);
  if(!fits)
  {
    g_set_error(error, DT_AI_ERROR, DT_AI_ERROR_MEMORY,
                "Even %d × %d pixels do not fit into the memory of %.1f MiB. Allow more.", roi->width,
                roi->height, (double)run->memory / 1048576.0);
    return FALSE;
  }
  GError *why = NULL;
  if(_run_whole(run, rois, fits_device, pixels, stride, &why)) return TRUE;
  if(!g_error_matches(why, DT_AI_ERROR, DT_AI_ERROR_MEMORY) || !(fits_device || can_halve))
  {
    g_propagate_error(error, why);
    return FALSE;
  }
  _note_shortage(run, roi, fits_device, can_halve, why->message);
  g_error_free(why);
  return fits_device && !_has_device(run) ? dt_dev_run_part(run, roi, pixels, stride, error)
                                          : _run_halves(run, roi, halves, pixels, stride, error);
}
