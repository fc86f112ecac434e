/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Denoises sensors' pictures: the front of restore_tiles.c for raws.
 *
 * In: rows of a mosaic become planes the network is shown, balanced as its manifest asks; a Bayer sensor's sites four
 * planes of 2×2 cells, anything else demosaicked linear Rec.2020. Out: the network's three planes become camera RGB
 * again, and where not all of the network's result is wanted they are mixed with the original.
 *
 * Cells begin at a red site (or at the corner, for networks that want that). Where the picture begins in the middle of
 * a cell, the sites before its edge are its mirror image, which a period of two leaves in their colours; so every
 * pixel of the picture is inside some cell, whatever its phase and size. */
#include "ai/restore_raw.h"
#include "ai/restore_gain.h"
#include "ai/restore_tiles.h"
#include "common/demosaic.h"
#include "common/log.h"
#include "common/memory.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* from here on a site counts as saturated: what noise of the converter leaves of the level itself */
#define SATURATED 0.995f
/* of a site and the eight around it so many are saturated where there is no highlight; a highlight's corner has four */
#define FEW 3
/* and from here on noise of what is saturated may reach */
#define NEARLY_SATURATED 0.97f

typedef struct _job_t
{
  dt_tiles_t tiles;
  const dt_mosaic_t *mosaic;
  const dt_restore_opts_t *opts;
  dt_row_sink_t *sink;
  int x0, y0;             /* of the first cell's first site, 0 or -1; 0 without cells */
  int plane_colour[4];    /* of a cell's sites */
  float balance[4];       /* factors of the colours on the way in */
  float forward[12];      /* 3×4, with balance and brightening: camera -> network, without cells */
  float backward[9];      /* network -> camera RGB; of four colours to Rec.2020 */
  float gain;             /* of the network's results */
  double neutral[4];      /* for demosaicking */
  dt_row_source_t *rows;  /* demosaicked, for the network; NULL with cells */
  dt_row_source_t *fresh; /* demosaicked, what is mixed in; NULL at full strength */
  float *line, *fresh_line, *strength, *out_line;
  int lines; /* rows that wait in out_line */
} _job_t;

/* --- in: cells --- */

/* Sites of row @p y of the mosaic, mirrored beyond its edges. */
static void _read_sites(const _job_t *job, int y, float *sites)
{
  dt_mosaic_read(job->mosaic, 0, dt_tile_mirror(y, job->mosaic->height), job->mosaic->width, sites);
}

/* Row @p y of cells. */
static void _pack_row(const _job_t *job, int y, float *const *planes)
{
  const int width = job->mosaic->width;
  for(int p = 0; p < job->tiles.planes; p++)
  {
    const int first = job->x0 + (p & 1);
    const float factor = job->balance[job->plane_colour[p]];
    if((p & 1) == 0) _read_sites(job, job->y0 + 2 * y + p / 2, job->line);
    for(int i = 0; i < job->tiles.width; i++)
    {
      const int x = first + 2 * i;
      planes[p][i] = job->line[x >= 0 && x < width ? x : dt_tile_mirror(x, width)] * factor;
    }
  }
}

/* --- in: linear Rec.2020 --- */

static void _convert_row(const _job_t *job, const float *row, int channels, float *const *planes)
{
  for(int i = 0; i < job->tiles.width; i++, row += channels)
    for(int k = 0; k < job->tiles.planes; k++)
    {
      const float *m = job->forward + 4 * k;
      planes[k][i] = m[0] * row[0] + m[1] * row[1] + m[2] * row[2] + (channels == 4 ? m[3] * row[3] : 0.0f);
    }
}

static gboolean _fill_row(_job_t *job, int y, float *const *planes, GError **error)
{
  if(!job->rows)
    _pack_row(job, y, planes);
  else if(!job->rows->read(job->rows, y, 1, job->line, error))
    return FALSE;
  else
    _convert_row(job, job->line, job->rows->channels, planes);
  return TRUE;
}

/* A dt_tiles_front_t.read. */
static gboolean _read_rows(void *front, dt_tiles_t *tiles, int y, int n, GError **error)
{
  _job_t *job = front;
  for(int i = 0; i < n; i++)
  {
    float *planes[4];
    for(int p = 0; p < tiles->planes; p++) planes[p] = dt_tiles_row(tiles, y + i, p);
    if(!_fill_row(job, y + i, planes, error)) return FALSE;
  }
  return TRUE;
}

/* --- out --- */

/* The network's row of a Bayer sensor, its pixels from the picture's first on, becomes camera RGB. */
static void _unbalance_row(const _job_t *job, float *const planes[3], float *out)
{
  for(int c = 0; c < 3; c++)
  {
    const float *in = planes[c] - job->x0, factor = job->gain / job->balance[c];
    for(int x = 0; x < job->mosaic->width; x++) out[3 * x + c] = in[x] * factor;
  }
}

/* Whether the cell's site of plane @p p belongs to a highlight: of those around it some are saturated as well. What
 * stands alone is a defect, or noise. */
static gboolean _is_highlight(const _job_t *job, int p, int x, int y)
{
  const dt_tiles_t *t = &job->tiles;
  const float least = SATURATED * job->balance[job->plane_colour[p]];
  int n = 0;
  for(int i = 0; i < 9; i++)
    n += dt_tiles_row(t, dt_tile_mirror(y + i / 3 - 1, t->height), p)[dt_tile_mirror(x + i % 3 - 1, t->width)]
         >= least;
  return n > FEW;
}

/* A developer takes a channel at its level for a highlight; that must not become a little less than its level. What
 * was saturated stays so, in the whole cell. */
static void _keep_saturation(const _job_t *job, int y, float *out)
{
  for(int p = 0; p < 4; p++)
  {
    const float *cells = dt_tiles_row(&job->tiles, y / 2, p);
    const int colour = job->plane_colour[p];
    const float unbalance = 1.0f / job->balance[colour];
    for(int x = 0; x < job->mosaic->width; x++)
    {
      const int cell = (x - job->x0) / 2;
      const float value = cells[cell] * unbalance;
      if(value >= SATURATED && out[3 * x + colour] < value && _is_highlight(job, p, cell, y / 2))
        out[3 * x + colour] = value;
    }
  }
}

static void _restore_colours(const _job_t *job, float *const planes[3], float *out)
{
  for(int x = 0; x < job->mosaic->width; x++)
    for(int k = 0; k < 3; k++)
    {
      const float *m = job->backward + 3 * k;
      out[3 * x + k] = job->gain * (m[0] * planes[0][x] + m[1] * planes[1][x] + m[2] * planes[2][x]);
    }
}

/* One row of the original, in the result's colours. */
static gboolean _read_original(_job_t *job, int y, GError **error)
{
  float *row = job->fresh_line;
  if(!job->fresh->read(job->fresh, y, 1, row, error)) return FALSE;
  if(job->fresh->channels == 3) return TRUE;
  for(int x = 0; x < job->mosaic->width; x++)
  {
    float mixed[3], rgb[3];
    for(int k = 0; k < 3; k++)
    {
      const float *m = job->forward + 4 * k, *in = row + 4 * x;
      mixed[k] = m[0] * in[0] + m[1] * in[1] + m[2] * in[2] + m[3] * in[3];
    }
    for(int k = 0; k < 3; k++)
      rgb[k] = job->backward[3 * k] * mixed[0] + job->backward[3 * k + 1] * mixed[1]
               + job->backward[3 * k + 2] * mixed[2];
    memcpy(row + 3 * x, rgb, sizeof rgb);
  }
  return TRUE;
}

/* A full result is the network's to the bit, and none of it the original. */
static gboolean _mix_original(_job_t *job, int y, float *out, GError **error)
{
  if(!job->fresh) return TRUE;
  if(!_read_original(job, y, error)
     || !dt_restore_read_strength(job->opts, job->mosaic->width, y, job->strength, error))
    return FALSE;
  for(int i = 0; i < 3 * job->mosaic->width; i++)
  {
    const float s = job->strength[i / 3];
    out[i] = s >= 1.0f   ? out[i]
             : s <= 0.0f ? job->fresh_line[i]
                         : s * out[i] + (1.0f - s) * job->fresh_line[i];
  }
  return TRUE;
}

/* A dt_tiles_front_t.finish. */
static gboolean _finish_row(void *front, dt_tiles_t *tiles, int y, float *const planes[3], GError **error)
{
  _job_t *job = front;
  const int row = y + job->y0, height = job->mosaic->height;
  if(row < 0 || row >= height) return TRUE; /* the rest of a cell */
  float *out = job->out_line + (size_t)job->lines * 3 * (size_t)job->mosaic->width;
  if(job->rows)
    _restore_colours(job, planes, out);
  else
    _unbalance_row(job, planes, out);
  if(!job->rows) _keep_saturation(job, y, out);
  (void)tiles;
  if(!_mix_original(job, row, out, error)) return FALSE;
  if(++job->lines < DT_TILES_CHUNK && row + 1 < height) return TRUE;
  const int n = job->lines;
  job->lines = 0;
  return job->sink->write(job->sink, row + 1 - n, n, job->out_line, error);
}

/* --- colours --- */

/* The response to white by which the network's input is balanced; NULL: not balanced. */
static const double *_choose_white(const dt_restore_context_t *ctx, const dt_restore_camera_t *camera)
{
  if(ctx->contract.balance == DT_BALANCE_AS_SHOT) return camera->neutral;
  /* linear Rec.2020 without balance is that of the light the matrix was made for */
  if(ctx->contract.balance == DT_BALANCE_DAYLIGHT || ctx->input == DT_RESTORE_LINEAR) return camera->daylight;
  return NULL;
}

static gboolean _invert(const float m[9], float inverse[9])
{
  double cofactors[9];
  for(int i = 0; i < 3; i++)
    for(int k = 0; k < 3; k++)
    {
      const int a = (i + 1) % 3, b = (i + 2) % 3, c = (k + 1) % 3, d = (k + 2) % 3;
      cofactors[3 * i + k] = (double)m[3 * a + c] * m[3 * b + d] - (double)m[3 * a + d] * m[3 * b + c];
    }
  const double det = m[0] * cofactors[0] + m[1] * cofactors[1] + m[2] * cofactors[2];
  for(int i = 0; i < 9; i++) inverse[i] = (float)(cofactors[i % 3 * 3 + i / 3] / det);
  return isfinite(1.0 / det) && fabs(det) > 1e-12;
}

/* The picture's mean in the network's colours, to which a mean of all sites contributes as its colours are mixed. */
static double _mean_level(const _job_t *job)
{
  const dt_mosaic_t *m = job->mosaic;
  double sums[4] = { 0 }, counts[4] = { 0 }, mean = 0;
  const int samples = m->sensor == DT_SENSOR_LINEAR ? 3 : 1;
  for(int y = 0; y < m->height; y++)
  {
    dt_mosaic_read(m, 0, y, m->width, job->line);
    for(int i = 0; i < samples * m->width; i++)
    {
      const int colour = samples == 3 ? i % 3 : dt_mosaic_colour(m, i, y);
      sums[colour] += (double)job->line[i];
      counts[colour]++;
    }
  }
  for(int k = 0; k < 3; k++)
    for(int c = 0; c < 4; c++)
      if(counts[c] > 0) mean += (double)job->forward[4 * k + c] * sums[c] / counts[c] / 3;
  return mean;
}

/* Dark pictures are brightened to where the network has learnt, as the manifest asks: by one to a hundred times. */
static float _brightening(const _job_t *job)
{
  const double target = job->tiles.ctx->contract.target_mean, mean = target > 0 ? _mean_level(job) : 0;
  return target > 0 && mean > 1e-4 ? (float)CLAMP(target / mean, 1.0, 100.0) : 1.0f;
}

/* Camera -> Rec.2020 -> camera; a matrix that has no inverse is left out. */
static void _init_colours(_job_t *job, const dt_restore_camera_t *camera)
{
  const double *white = _choose_white(job->tiles.ctx, camera);
  const gboolean four = job->mosaic->sensor == DT_SENSOR_FOUR;
  float square[9];
  for(int c = 0; c < 4; c++)
  {
    job->neutral[c] = camera->neutral[c];
    job->balance[c] = white && white[c] > 0 ? (float)(1.0 / white[c]) : 1.0f;
  }
  for(int i = 0; i < 12; i++) job->forward[i] = camera->to_rec2020[i] * job->balance[i % 4];
  const float boost = _brightening(job);
  for(int i = 0; i < 12; i++) job->forward[i] *= boost;
  for(int i = 0; i < 9; i++) square[i] = four ? (i % 4 == 0 ? boost : 0.0f) : job->forward[i / 3 * 4 + i % 3];
  if(_invert(square, job->backward)) return;
  for(int i = 0; i < 12; i++) job->forward[i] = i % 5 == 0 ? 1.0f : 0.0f;
  for(int i = 0; i < 9; i++) job->backward[i] = i % 4 == 0 ? 1.0f : 0.0f;
}

/* --- cells --- */

static void _init_cells(_job_t *job, gboolean native)
{
  const dt_mosaic_t *m = job->mosaic;
  int x = 0, y = 0;
  if(!native) dt_mosaic_red_origin(m, &x, &y);
  job->x0 = -x;
  job->y0 = -y;
  for(int p = 0; p < 4; p++) job->plane_colour[p] = dt_mosaic_colour(m, x + (p & 1), y + p / 2);
}

/* Cells of a side of @p n pixels, the first of which begins @p before pixels earlier. */
static int _count_cells(int n, int before)
{
  return (n + before + 1) / 2;
}

/* Width and height of what the network is shown. */
static void _measure(const dt_restore_context_t *ctx, const dt_mosaic_t *m, int *width, int *height)
{
  int x = 0, y = 0;
  *width = m->width;
  *height = m->height;
  if(ctx->input != DT_RESTORE_BAYER) return;
  if(!ctx->contract.native_phase) dt_mosaic_red_origin(m, &x, &y);
  *width = _count_cells(m->width, x);
  *height = _count_cells(m->height, y);
}

/* --- gain --- */

/* A dt_gain_read_t: rows of what the network is shown, for the windows by which the gain is found. */
static gboolean _sample_rows(void *data, int y, int n, float *const *planes, GError **error)
{
  _job_t *job = data;
  if(dt_tiles_is_cancelled(job->opts, error)) return FALSE;
  for(int i = 0; i < n; i++)
  {
    float *row[4];
    for(int p = 0; p < job->tiles.planes; p++) row[p] = planes[p] + (size_t)i * (size_t)job->tiles.width;
    if(!_fill_row(job, y + i, row, error)) return FALSE;
  }
  return TRUE;
}

/* What a site near saturation becomes in plane @p p. Of linear Rec.2020 what white does: balanced white is where the
 * first colour is saturated. */
static float _shown_saturation(const _job_t *job, int p)
{
  if(!job->rows) return NEARLY_SATURATED * job->balance[job->plane_colour[p]];
  const float *m = job->forward + 4 * p;
  float white = 0, most = 1;
  for(int c = 0; c < 4; c++)
  {
    white += m[c] / job->balance[c];
    most = MAX(most, 1 / job->balance[c]);
  }
  return NEARLY_SATURATED * white / most;
}

/* A dt_tiles_front_t.begin: what the runtime holds afterwards is in the plan already. */
static gboolean _find_gain(void *front, GError **error)
{
  _job_t *job = front;
  job->gain = 1.0f;
  if(!job->tiles.ctx->contract.match_gain || job->opts->pass_through) return TRUE;
  dt_gain_picture_t picture = { .width = job->tiles.width,
                                .height = job->tiles.height,
                                .plane_colour = job->plane_colour,
                                .read = _sample_rows,
                                .data = job };
  for(int p = 0; p < job->tiles.planes; p++) picture.saturation[p] = _shown_saturation(job, p);
  return dt_restore_find_gain(job->tiles.ctx, &picture, job->opts, &job->gain, error);
}

/* --- the whole --- */

gboolean dt_restore_raw_wants_linear(const dt_mosaic_t *mosaic)
{
  return mosaic->sensor != DT_SENSOR_BAYER;
}

static gboolean _check(const dt_restore_context_t *ctx, const dt_mosaic_t *m, GError **error)
{
  const dt_restore_input_t wanted = dt_restore_raw_wants_linear(m) ? DT_RESTORE_LINEAR : DT_RESTORE_BAYER;
  if(ctx->input == wanted && m->width >= 2 && m->height >= 2) return TRUE;
  if(ctx->input == wanted)
    g_set_error(error, DT_AI_ERROR, DT_AI_ERROR_INPUT,
                "The sensor's picture has %d×%d pixels; at least 2×2 are needed to see colours.", m->width,
                m->height);
  else
    g_set_error(error, DT_AI_ERROR, DT_AI_ERROR_INPUT,
                "The network of the model %s that is loaded is not for this sensor.", ctx->model_id);
  return FALSE;
}

static gboolean _wants_original(const dt_restore_opts_t *opts)
{
  return opts && (opts->original > 0 || opts->mask);
}

/* Rows that are held beside the tiles, and what demosaicking holds. */
static size_t _own_bytes(const dt_restore_context_t *ctx, const dt_mosaic_t *m, const dt_restore_opts_t *opts)
{
  const double even[4] = { 1, 1, 1, 1 };
  const int sources = (ctx->input == DT_RESTORE_LINEAR) + _wants_original(opts);
  dt_row_source_t *source = dt_demosaic_source(m, even, DT_DEMOSAIC_BEST);
  const size_t bytes =
      (size_t)sources * source->memory + (DT_TILES_CHUNK * 3 + 4 + 4 + 1) * sizeof(float) * (size_t)m->width;
  dt_row_source_destroy(source);
  return bytes + (opts && opts->mask ? opts->mask->memory : 0);
}

/* What people see counts pixels of the sensor. */
static void _count_pixels(const dt_mosaic_t *m, const dt_restore_context_t *ctx, dt_restore_plan_t *plan)
{
  plan->width = m->width;
  plan->height = m->height;
  plan->scale = 1;
  plan->cell = ctx->input == DT_RESTORE_BAYER ? 2 : 1;
  plan->computed *= plan->cell * plan->cell;
}

gboolean dt_restore_raw_plan(dt_restore_context_t *ctx, const dt_mosaic_t *mosaic,
                             const dt_restore_opts_t *opts, size_t extra_bytes, dt_restore_plan_t *plan,
                             GError **error)
{
  int width, height;
  if(!_check(ctx, mosaic, error)) return FALSE;
  _measure(ctx, mosaic, &width, &height);
  if(!dt_tiles_plan(ctx, width, height, ctx->planes, extra_bytes + _own_bytes(ctx, mosaic, opts), plan,
                    error))
    return FALSE;
  _count_pixels(mosaic, ctx, plan);
  return TRUE;
}

static gboolean _allocate(_job_t *job, GError **error)
{
  const size_t width = (size_t)job->mosaic->width;
  job->line = dt_memory_try_large(4 * width, sizeof(float));
  job->fresh_line = dt_memory_try_large(4 * width, sizeof(float));
  job->strength = dt_memory_try_large(width, sizeof(float));
  job->out_line = dt_memory_try_large(DT_TILES_CHUNK * 3 * width, sizeof(float));
  if(job->line && job->fresh_line && job->strength && job->out_line) return TRUE;
  g_set_error(error, DT_AI_ERROR, DT_AI_ERROR_MEMORY, "There is no memory for a row of %d pixels.",
              job->mosaic->width);
  return FALSE;
}

static void _cleanup(_job_t *job)
{
  dt_row_source_destroy(job->rows);
  dt_row_source_destroy(job->fresh);
  free(job->line);
  free(job->fresh_line);
  free(job->strength);
  free(job->out_line);
}

/* Everything is ready for the first row. */
static gboolean _prepare(_job_t *job, const dt_restore_camera_t *camera, GError **error)
{
  const dt_restore_context_t *ctx = job->tiles.ctx;
  if(!_allocate(job, error)
     || !dt_restore_check_mask(job->opts, job->mosaic->width, job->mosaic->height, error))
    return FALSE;
  _init_colours(job, camera);
  if(ctx->input == DT_RESTORE_BAYER)
    _init_cells(job, ctx->contract.native_phase);
  else
    job->rows = dt_demosaic_source(job->mosaic, job->neutral, DT_DEMOSAIC_BEST);
  if(_wants_original(job->opts)) job->fresh = dt_demosaic_source(job->mosaic, job->neutral, DT_DEMOSAIC_BEST);
  return TRUE;
}

/* Nothing is asked of the network: the demosaicked original. */
static gboolean _pass_rows(_job_t *job, GError **error)
{
  for(int y = 0; y < job->mosaic->height; y++)
    if(dt_tiles_is_cancelled(job->opts, error) || !_read_original(job, y, error)
       || !job->sink->write(job->sink, y, 1, job->fresh_line, error))
      return FALSE;
  return TRUE;
}

static gboolean _run_job(_job_t *job, const dt_restore_camera_t *camera, GError **error)
{
  if(!_check(job->tiles.ctx, job->mosaic, error) || !_prepare(job, camera, error)) return FALSE;
  const gboolean untouched = job->opts->original >= 1;
  const gboolean ok = untouched ? _pass_rows(job, error) : dt_tiles_run(&job->tiles, error);
  if(untouched) job->tiles.report->plan.exact = TRUE;
  _count_pixels(job->mosaic, job->tiles.ctx, &job->tiles.report->plan);
  return ok;
}

gboolean dt_restore_raw_process(dt_restore_context_t *ctx, const dt_mosaic_t *mosaic,
                                const dt_restore_camera_t *camera, dt_row_sink_t *out,
                                const dt_restore_opts_t *opts, dt_restore_report_t *report, GError **error)
{
  static const dt_tiles_front_t front = { .begin = _find_gain, .read = _read_rows, .finish = _finish_row };
  const dt_restore_opts_t defaults = { 0 };
  dt_restore_report_t unused;
  _job_t job = { .mosaic = mosaic, .opts = opts ? opts : &defaults, .sink = out };
  int width, height;
  _measure(ctx, mosaic, &width, &height);
  job.tiles = (dt_tiles_t){ .ctx = ctx,
                            .opts = job.opts,
                            .report = report ? report : &unused,
                            .front = &front,
                            .data = &job,
                            .width = width,
                            .height = height,
                            .megapixels = 1e-6 * mosaic->width * mosaic->height,
                            .planes = ctx->planes,
                            .shown = ctx->planes,
                            .scale = ctx->scale,
                            .out_width = ctx->scale * width,
                            .extra_bytes = out->memory + _own_bytes(ctx, mosaic, job.opts) };
  *job.tiles.report = (dt_restore_report_t){ .provider = ctx->provider };
  const gint64 start = g_get_monotonic_time();
  const gboolean ok = _run_job(&job, camera, error);
  _cleanup(&job);
  return dt_restore_conclude(out, ok, start, job.tiles.report, error);
}
