/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A picture's way through the network: the front's rows go into a ring (prepare); from there they are copied into the
 * windows that see them; the network runs (run); the window's core, or for blended models its cross-faded
 * neighbourhood, goes into the band of output rows (finish); complete rows go back to the front. A network that
 * enlarges has output rows `scale` times as wide and as many; tiles, rows read and rows done are counted in the
 * picture's own.
 *
 * When the runtime runs out of memory, the rows that are done stay done: the rest is planned anew
 * with smaller tiles, from the rows still in the ring. */
#include "ai/restore_tiles.h"
#include "ai/pipeline.h"
#include "common/log.h"
#include "common/memory.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* sigma is given in 8-bit units, the network wants 0..1 */
#define SIGMA_SCALE (1.0f / 255.0f)
#define DEFAULT_SIGMA 25.0f
/* code and tables of the runtime that become resident with its first run */
#define RUNTIME_BYTES ((size_t)40 << 20)

/* The tensors of one window in flight. */
typedef struct dt_tiles_slot_t
{
  float *in, *out;
  double run_seconds;
} _slot_t;

typedef dt_tiles_t _job_t;

static double _seconds_since(gint64 start)
{
  return 1e-6 * (double)(g_get_monotonic_time() - start);
}

/* --- the ring of input rows --- */

float *dt_tiles_row(const dt_tiles_t *job, int y, int plane)
{
  const size_t row = (size_t)(y % job->ring_rows);
  return job->ring + (row * (size_t)job->planes + (size_t)plane) * (size_t)job->width;
}

static gboolean _read_rows(_job_t *job, int until, GError **error)
{
  while(job->rows_read < until)
  {
    const int n = MIN(DT_TILES_CHUNK, until - job->rows_read);
    if(dt_tiles_is_cancelled(job->opts, error)) return FALSE; /* demosaicking a tile's rows takes a while */
    if(!job->front->read(job->data, job, job->rows_read, n, error)) return FALSE;
    job->rows_read += n;
  }
  return TRUE;
}

/* A new plan may need a longer ring; the rows that are kept move to their new places. */
static gboolean _reserve_ring(_job_t *job, int rows, GError **error)
{
  rows = MIN(rows, job->height);
  if(rows <= job->ring_rows) return TRUE;
  _job_t grown = *job;
  grown.ring_rows = rows;
  grown.ring = dt_memory_try_large((size_t)rows * (size_t)job->planes, (size_t)job->width * sizeof(float));
  if(!grown.ring)
  {
    g_set_error(error, DT_AI_ERROR, DT_AI_ERROR_MEMORY,
                "There is no memory for %d rows of the picture. Allow less with --memory.", rows);
    return FALSE;
  }
  for(int y = MAX(0, job->rows_read - job->ring_rows); y < job->rows_read; y++)
    memcpy(dt_tiles_row(&grown, y, 0), dt_tiles_row(job, y, 0),
           (size_t)job->planes * (size_t)job->width * sizeof(float));
  free(job->ring);
  job->ring = grown.ring;
  job->ring_rows = rows;
  return TRUE;
}

/* --- prepare: from the ring into a window --- */

typedef struct _tile_t
{
  int x0, y0; /* of the core, in the picture */
} _tile_t;

static _tile_t _tile(const _job_t *job, int item)
{
  return (_tile_t){ item % job->plan.cols * job->plan.core_w,
                    job->first_row + item / job->plan.cols * job->plan.core_h };
}

/* The picture's row behind a window row. Below the picture the mirror works with the rows from the
 * halo above this band on, which are the ones still at hand; within the halo's reach that is the
 * mirror of the whole picture. */
static int _mirror_row(const _job_t *job, int y, int core_y0)
{
  if(y < job->height) return dt_tile_mirror(y, job->height);
  const int lowest = MAX(0, core_y0 - job->plan.halo);
  return lowest + dt_tile_mirror(y - lowest, job->height - lowest);
}

static void _gather_row(const _job_t *job, const float *row, int x0, float *out)
{
  const int n = job->plan.window_w;
  const int from = CLAMP(-x0, 0, n), to = CLAMP(job->width - x0, from, n);
  for(int i = 0; i < from; i++) out[i] = row[dt_tile_mirror(x0 + i, job->width)];
  memcpy(out + from, row + x0 + from, (size_t)(to - from) * sizeof(float));
  for(int i = to; i < n; i++) out[i] = row[dt_tile_mirror(x0 + i, job->width)];
  const float low = job->ctx->low, high = job->ctx->high;
  for(int i = 0; i < n; i++)
  {
    const float raised = out[i] > low ? out[i] : low;
    out[i] = raised < high ? raised : high;
  }
}

static gboolean _prepare_tile(void *data, int item, int slot, GError **error)
{
  _job_t *job = data;
  const dt_tile_plan_t *plan = &job->plan;
  const gint64 start = g_get_monotonic_time();
  const _tile_t tile = _tile(job, item);
  if(!_read_rows(job, MIN(job->height, tile.y0 + plan->core_h + plan->halo), error)) return FALSE;
  const size_t w = (size_t)plan->window_w, plane = w * (size_t)plan->window_h;
  for(int i = 0; i < plan->window_h; i++)
  {
    const int y = _mirror_row(job, tile.y0 - plan->halo + i, tile.y0);
    float *in = job->slots[slot].in + (size_t)i * w;
    for(int c = 0; c < job->shown; c++)
      _gather_row(job, dt_tiles_row(job, y, c), tile.x0 - plan->halo, in + (size_t)c * plane);
    for(int c = job->shown; c < job->ctx->planes; c++) memcpy(in + (size_t)c * plane, in, w * sizeof(float));
  }
  job->report->read_seconds += _seconds_since(start);
  return TRUE;
}

/* --- run --- */

/* Every input pixel becomes a square of output pixels: nothing is learnt, and nothing is quicker. */
static void _pass_window(const _job_t *job, _slot_t *slot)
{
  const int w = job->plan.window_w, h = job->plan.window_h, s = job->scale;
  float *out = slot->out;
  for(int c = 0; c < 3; c++)
    for(int y = 0; y < s * h; y++)
    {
      const float *in = slot->in + ((size_t)c * (size_t)h + (size_t)(y / s)) * (size_t)w;
      for(int x = 0; x < s * w; x++) *out++ = in[x / s];
    }
}

static gboolean _run_tile(void *data, int item, int slot, GError **error)
{
  (void)item;
  _job_t *job = data;
  _slot_t *s = &job->slots[slot];
  const dt_tile_plan_t *plan = &job->plan;
  const dt_ai_gate_t *gate = job->opts->pass_through ? NULL : job->opts->gate;
  dt_ai_gate_enter(gate, job->ctx->session);
  const gint64 start = g_get_monotonic_time(); /* waiting for others is not the network's time */
  gboolean ok = TRUE;
  if(job->opts->pass_through)
    _pass_window(job, s);
  else
    ok = dt_restore_run_window(job->ctx, s->in, job->sigma, s->out, plan->window_w, plan->window_h,
                               job->opts->cancellable, error);
  s->run_seconds = _seconds_since(start);
  dt_ai_gate_leave(gate, job->ctx->session);
  return ok;
}

/* --- finish: from windows into rows --- */

/* In output pixels, as everything of this stage. */
static int _ramp(const _job_t *job)
{
  return job->scale * job->ctx->ramp;
}

static float *_band_row(const _job_t *job, int c, int i)
{
  const size_t rows = (size_t)(job->scale * job->plan.core_h + 2 * _ramp(job));
  return job->band + ((size_t)c * rows + (size_t)i) * (size_t)job->out_width;
}

static float *_carry_row(const _job_t *job, int c, int i)
{
  return job->carry + ((size_t)c * 2 * (size_t)_ramp(job) + (size_t)i) * (size_t)job->out_width;
}

/* A band begins with what its predecessor left open, and with zeros. */
static void _begin_band(_job_t *job)
{
  const int ramp = _ramp(job);
  const size_t bytes = (size_t)job->out_width * sizeof(float);
  for(int c = 0; c < 3; c++)
    for(int i = 0; i < job->scale * job->plan.core_h + 2 * ramp; i++)
      if(i < 2 * ramp)
        memcpy(_band_row(job, c, i), _carry_row(job, c, i), bytes);
      else
        memset(_band_row(job, c, i), 0, bytes);
}

/* Weight at @p i of a span of @p core pixels with ramps around both ends; edges of the picture are
 * not faded. Neighbours' weights add up to one. */
static float _weight(const _job_t *job, int i, int core, gboolean first, gboolean last)
{
  const int ramp = _ramp(job);
  if(i < 2 * ramp && !first) return job->fade[i];
  if(i >= core && !last) return 1.0f - job->fade[i - core];
  return 1.0f;
}

/* A tile in output pixels: core, halo and window enlarged. */
typedef struct _enlarged_t
{
  int x0, y0, core_w, core_h, halo, window_w, height;
  size_t plane;
} _enlarged_t;

static _enlarged_t _enlarge(const _job_t *job, _tile_t tile)
{
  const dt_tile_plan_t *p = &job->plan;
  const int s = job->scale;
  return (_enlarged_t){ s * tile.x0,     s * tile.y0,
                        s * p->core_w,   s * p->core_h,
                        s * p->halo,     s * p->window_w,
                        s * job->height, (size_t)(s * p->window_w) * (size_t)(s * p->window_h) };
}

/* Row @p y of the output as the window has it. */
static const float *_window_row(const _slot_t *slot, const _enlarged_t *t, int c, int y)
{
  return slot->out + (size_t)c * t->plane + (size_t)(y - t->y0 + t->halo) * (size_t)t->window_w + t->halo;
}

static void _blend_tile(_job_t *job, const _slot_t *slot, _tile_t tile)
{
  const _enlarged_t t = _enlarge(job, tile);
  const int ramp = _ramp(job);
  const gboolean last_x = t.x0 + t.core_w >= job->out_width, last_y = t.y0 + t.core_h >= t.height;
  const int x_from = MAX(0, t.x0 - ramp), x_to = MIN(job->out_width, t.x0 + t.core_w + ramp);
  const int y_from = MAX(0, t.y0 - ramp), y_to = MIN(t.height, t.y0 + t.core_h + ramp);
  for(int y = y_from; y < y_to; y++)
  {
    const int i = y - t.y0 + ramp;
    const float wy = _weight(job, i, t.core_h, t.y0 == 0, last_y);
    for(int c = 0; c < 3; c++)
    {
      const float *in = _window_row(slot, &t, c, y);
      float *out = _band_row(job, c, i);
      for(int x = x_from; x < x_to; x++)
        out[x] += in[x - t.x0] * wy * _weight(job, x - t.x0 + ramp, t.core_w, t.x0 == 0, last_x);
    }
  }
}

static void _copy_tile(_job_t *job, const _slot_t *slot, _tile_t tile)
{
  const _enlarged_t t = _enlarge(job, tile);
  const int w = MIN(t.core_w, job->out_width - t.x0), h = MIN(t.core_h, t.height - t.y0);
  for(int c = 0; c < 3; c++)
    for(int y = 0; y < h; y++)
      memcpy(_band_row(job, c, y) + t.x0, _window_row(slot, &t, c, t.y0 + y), (size_t)w * sizeof(float));
}

static gboolean _check_finite(const _job_t *job, const float *plane, int y, GError **error)
{
  gboolean finite = TRUE;
  for(int x = 0; x < job->out_width; x++) finite &= fabsf(plane[x]) <= G_MAXFLOAT;
  if(!finite)
    g_set_error(error, DT_AI_ERROR, DT_AI_ERROR_FAILED,
                "The model %s computed values that are not numbers, near row %d. Try another model, "
                "or another provider.",
                job->ctx->model_id, y);
  return finite;
}

/* Row @p y of the output, which the band has at @p band_index, is decided. */
static gboolean _finish_row(_job_t *job, int y, int band_index, GError **error)
{
  float *planes[3];
  for(int c = 0; c < 3; c++)
  {
    planes[c] = _band_row(job, c, band_index);
    if(!_check_finite(job, planes[c], y, error)) return FALSE;
  }
  return job->front->finish(job->data, job, y, planes, error);
}

/* Finishes output rows [rows_written, until); the band's first row is output row @p band_y. */
static gboolean _write_rows(_job_t *job, int until, int band_y, GError **error)
{
  for(; job->rows_written < until; job->rows_written++)
    if(!_finish_row(job, job->rows_written, job->rows_written - band_y, error)) return FALSE;
  return TRUE;
}

static gboolean _end_band(_job_t *job, int core_y0, GError **error)
{
  const int ramp = _ramp(job), core_end = core_y0 + job->plan.core_h, s = job->scale;
  const gboolean last = core_end >= job->height;
  if(!_write_rows(job, last ? s * job->height : s * core_end - ramp, s * core_y0 - ramp, error)) return FALSE;
  for(int c = 0; c < 3; c++)
    for(int i = 0; i < 2 * ramp; i++)
      memcpy(_carry_row(job, c, i), _band_row(job, c, s * job->plan.core_h + i),
             (size_t)job->out_width * sizeof(float));
  job->rows_done = MIN(core_end, job->height);
  return TRUE;
}

static gboolean _finish_tile(void *data, int item, int slot, GError **error)
{
  _job_t *job = data;
  const dt_tile_plan_t *plan = &job->plan;
  const gint64 start = g_get_monotonic_time();
  const _tile_t tile = _tile(job, item);
  const int column = item % plan->cols;
  if(_ramp(job) && column == 0) _begin_band(job);
  if(_ramp(job))
    _blend_tile(job, &job->slots[slot], tile);
  else
    _copy_tile(job, &job->slots[slot], tile);
  gboolean ok = TRUE;
  if(column == plan->cols - 1) ok = _end_band(job, tile.y0, error);
  job->report->run_seconds += job->slots[slot].run_seconds;
  job->report->write_seconds += _seconds_since(start);
  if(ok && job->opts->progress)
  {
    const double rows = tile.y0 + MIN(plan->core_h, job->height - tile.y0) * (column + 1.0) / plan->cols;
    job->opts->progress(rows / job->height, job->megapixels, job->opts->progress_data);
  }
  return ok;
}

/* --- plans --- */

/* Windows in memory at once. On the CPU a run takes ten times as long as everything around it, and one window
 * beside those that run is enough; on a fast device all three stages want one of their own. */
static int _count_slots(const dt_restore_context_t *ctx)
{
  return ctx->runs + (ctx->provider == DT_AI_PROVIDER_CPU ? 1 : 2);
}

dt_tile_request_t dt_restore_request(const dt_restore_context_t *ctx, int width, int height, int planes,
                                     size_t extra_bytes)
{
  const size_t enlarged = (size_t)ctx->scale * (size_t)ctx->scale;
  return (dt_tile_request_t){
    .width = width,
    .height = height,
    .stride = ctx->stride,
    .halo = ctx->halo,
    .max_side = ctx->max_tile,
    .fixed_w = ctx->fixed_w,
    .fixed_h = ctx->fixed_h,
    .budget = ctx->budget,
    /* the lines on the way in and out, and whatever the process holds already */
    .fixed_bytes =
        extra_bytes + (size_t)dt_memory_resident() + RUNTIME_BYTES
        + (1 + (size_t)ctx->scale) * DT_TILES_CHUNK * (size_t)width * (size_t)planes * sizeof(float),
    .pixel_bytes = ctx->calibration.pixel_bytes,
    .slot_pixel_bytes = ((size_t)ctx->planes + 3 * enlarged) * sizeof(float),
    .row_sample_bytes = (size_t)planes * sizeof(float),
    .out_sample_bytes = 3 * enlarged * sizeof(float),
    .runs = ctx->runs,
    .slots = _count_slots(ctx),
  };
}

static void _publish_plan(const dt_restore_context_t *ctx, const dt_tile_plan_t *tiles, int width, int height,
                          dt_restore_plan_t *plan)
{
  *plan = (dt_restore_plan_t){
    .width = width,
    .height = height,
    .scale = ctx->scale,
    .tile_width = tiles->window_w,
    .tile_height = tiles->window_h,
    .overlap = tiles->halo,
    .columns = tiles->cols,
    .rows = tiles->rows,
    .threads = ctx->threads,
    .runs = ctx->runs,
    .exact = ctx->ramp == 0,
    .computed = tiles->computed,
    .memory = tiles->memory,
    .budget = ctx->budget,
  };
  g_strlcpy(plan->reason, ctx->reason, sizeof plan->reason);
}

gboolean dt_tiles_plan(const dt_restore_context_t *ctx, int width, int height, int planes, size_t extra_bytes,
                       dt_restore_plan_t *plan, GError **error)
{
  const dt_tile_request_t request = dt_restore_request(ctx, width, height, planes, extra_bytes);
  dt_tile_plan_t tiles;
  if(!dt_tile_plan(&request, &tiles, error)) return FALSE;
  _publish_plan(ctx, &tiles, width, height, plan);
  return TRUE;
}

static void _log_plan(const _job_t *job)
{
  const dt_tile_plan_t *p = &job->plan;
  dt_log(DT_LOG_AI | DT_LOG_TILING,
         "plan from row %d: %d×%d tiles of %d×%d, overlap %d, %.2f × the picture computed, %.0f of "
         "%.0f MiB",
         job->first_row, p->cols, p->rows, p->window_w, p->window_h, p->halo,
         (double)p->computed / ((double)job->width * (job->height - job->first_row)),
         (double)p->memory / 1048576.0, (double)job->ctx->budget / 1048576.0);
}

/* --- the job --- */

static void _free_buffers(_job_t *job)
{
  for(int i = 0; job->slots && i < job->n_slots; i++)
  {
    free(job->slots[i].in);
    free(job->slots[i].out);
  }
  g_clear_pointer(&job->slots, g_free);
  g_clear_pointer(&job->sigma, free);
  g_clear_pointer(&job->band, free);
}

static float *_try_floats(size_t a, size_t b, gboolean *ok)
{
  float *p = *ok ? dt_memory_try_large(a, b * sizeof(float)) : NULL;
  *ok &= p != NULL;
  return p;
}

/* Everything whose size depends on the plan. */
static gboolean _allocate_buffers(_job_t *job, GError **error)
{
  const dt_tile_plan_t *p = &job->plan;
  const size_t window = (size_t)p->window_w * (size_t)p->window_h, s = (size_t)job->scale;
  gboolean ok = TRUE;
  job->n_slots = _count_slots(job->ctx);
  job->slots = g_new0(_slot_t, (gsize)job->n_slots);
  for(int i = 0; i < job->n_slots; i++)
  {
    job->slots[i].in = _try_floats((size_t)job->ctx->planes, window, &ok);
    job->slots[i].out = _try_floats(3 * s * s, window, &ok);
  }
  if(job->ctx->has_sigma) job->sigma = _try_floats(1, window, &ok);
  job->band = _try_floats(3 * (s * (size_t)p->core_h + 2 * (size_t)_ramp(job)), (size_t)job->out_width, &ok);
  if(!ok)
  {
    g_set_error(error, DT_AI_ERROR, DT_AI_ERROR_MEMORY, "There is no memory for tiles of %d×%d pixels.",
                p->window_w, p->window_h);
    return FALSE;
  }
  const float sigma = (job->opts->sigma > 0 ? job->opts->sigma : DEFAULT_SIGMA) * SIGMA_SCALE;
  for(size_t i = 0; job->sigma && i < window; i++) job->sigma[i] = sigma;
  return TRUE;
}

static gboolean _make_plan(_job_t *job, int max_side, GError **error)
{
  dt_tile_request_t request =
      dt_restore_request(job->ctx, job->width, job->height - job->rows_done, job->planes, job->extra_bytes);
  request.max_side = max_side;
  /* once under way, what the job holds is in the resident memory already; refusing now would lose
   * what is done, so a smaller tile is always allowed */
  if(job->report->retries) request.budget = G_MAXSIZE;
  if(!dt_tile_plan(&request, &job->plan, error)) return FALSE;
  job->first_row = job->rows_done;
  job->report->plan.tile_width = job->plan.window_w;
  _publish_plan(job->ctx, &job->plan, job->width, job->height, &job->report->plan);
  _log_plan(job);
  return TRUE;
}

static gboolean _run_plan(_job_t *job, GError **error)
{
  static const dt_pipeline_ops_t ops = { _prepare_tile, _run_tile, _finish_tile };
  const gboolean ok = _reserve_ring(job, job->plan.band_rows, error) && _allocate_buffers(job, error)
                      && dt_pipeline_run(&ops, job, job->plan.cols * job->plan.rows, job->n_slots,
                                         job->ctx->runs, job->opts->cancellable, error);
  _free_buffers(job);
  return ok;
}

/* After running out of memory: the next smaller tile, with a fresh arena. */
static gboolean _step_down(_job_t *job, const GError *reason, GError **error)
{
  const int side = job->ctx->fixed_w ? 0 : dt_tile_next_smaller(&job->plan);
  if(!side) return FALSE;
  dt_log(DT_LOG_AI, "retrying from row %d with tiles of at most %d pixels: %s", job->rows_done, side,
         reason->message);
  job->report->retries++;
  return dt_restore_open_session(job->ctx, error) && _make_plan(job, side, error);
}

static gboolean _run_all(_job_t *job, GError **error)
{
  if(!_make_plan(job, job->ctx->max_tile, error)
     || (job->front->begin && !job->front->begin(job->data, error)))
    return FALSE;
  for(;;)
  {
    GError *reason = NULL;
    if(_run_plan(job, &reason)) return TRUE;
    const gboolean again =
        g_error_matches(reason, DT_AI_ERROR, DT_AI_ERROR_MEMORY) && _step_down(job, reason, NULL);
    if(!again)
    {
      g_propagate_error(error, reason);
      return FALSE;
    }
    g_error_free(reason);
  }
}

static gboolean _init_blending(_job_t *job, GError **error)
{
  const int ramp = _ramp(job);
  job->carry = g_try_malloc0_n(3 * 2 * (size_t)ramp + 1, (size_t)job->out_width * sizeof(float));
  job->fade = g_new(float, 2 * (gsize)ramp + 1);
  for(int i = 0; i < 2 * ramp; i++)
  {
    const float t = ((float)i + 0.5f) / (float)(2 * ramp);
    job->fade[i] = t * t * (3.0f - 2.0f * t);
  }
  if(!job->carry)
    g_set_error(error, DT_AI_ERROR, DT_AI_ERROR_MEMORY, "There is no memory for a row of %d pixels.",
                job->width);
  return job->carry != NULL;
}

gboolean dt_tiles_run(dt_tiles_t *job, GError **error)
{
  const gboolean ok = _init_blending(job, error) && _run_all(job, error);
  g_clear_pointer(&job->ring, free);
  g_clear_pointer(&job->carry, g_free);
  g_clear_pointer(&job->fade, g_free);
  return ok;
}

gboolean dt_tiles_is_cancelled(const dt_restore_opts_t *opts, GError **error)
{
  if(!g_cancellable_set_error_if_cancelled(opts->cancellable, NULL)) return FALSE;
  g_set_error_literal(error, DT_AI_ERROR, DT_AI_ERROR_CANCELLED, "Cancelled.");
  return TRUE;
}
