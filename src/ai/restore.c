/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Restores RGB pictures: the front of restore_tiles.c for developed photographs.
 *
 * The source's linear rows are sRGB-encoded and shown to the network within the range it knows; what exceeds that
 * range is added back behind it. Alpha goes beside the network, grey stands for three colours. Where not all of the
 * network's result is wanted, texture returns (detail.c). Then rows are decoded to linear light for the sink. */
#include "ai/detail.h"
#include "ai/restore_tiles.h"
#include "common/colour.h"
#include "common/log.h"
#include "common/memory.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define LARGEST_HALF 65504.0f

typedef struct _job_t
{
  dt_tiles_t tiles;
  dt_row_source_t *source;
  dt_row_sink_t *sink;
  const dt_restore_opts_t *opts;
  int channels, colours;
  float *line;         /* DT_TILES_CHUNK interleaved rows, for the source */
  float *out_line;     /* the same for the sink */
  int lines;           /* rows that wait in out_line */
  dt_detail_t *detail; /* brings texture back, or NULL at full strength */
  float *extra;        /* one output row, and one of the picture: what is enlarged beside the network */
} _job_t;

/* --- in --- */

/* A NaN would spread through the network, so it becomes black. An infinity is kept beside the network, but cannot be
 * enlarged: between it and its neighbours there is no number. It becomes the largest of a half float. */
static float _tame(float v, gboolean finite)
{
  if(v != v) return 0.0f;
  return finite && fabsf(v) > G_MAXFLOAT ? copysignf(LARGEST_HALF, v) : v;
}

/* One interleaved linear row becomes planar and encoded. */
static void _encode_row(_job_t *job, const float *row, int y)
{
  for(int c = 0; c < job->channels; c++)
  {
    float *plane = dt_tiles_row(&job->tiles, y, c);
    for(int x = 0; x < job->tiles.width; x++)
      plane[x] = _tame(row[(size_t)x * (size_t)job->channels + (size_t)c], job->tiles.scale > 1);
    if(c < job->colours) dt_srgb_encode(plane, plane, (size_t)job->tiles.width);
  }
}

/* A dt_tiles_front_t.read. */
static gboolean _read_rows(void *front, dt_tiles_t *tiles, int y, int n, GError **error)
{
  (void)tiles;
  _job_t *job = front;
  if(!job->source->read(job->source, y, n, job->line, error)) return FALSE;
  for(int i = 0; i < n; i++)
    _encode_row(job, job->line + (size_t)i * (size_t)job->tiles.width * (size_t)job->channels, y + i);
  return TRUE;
}

/* --- out --- */

/* What the network is not shown of a value. */
static float _excess(const dt_restore_context_t *ctx, float v)
{
  const float raised = v > ctx->low ? v : ctx->low;
  return v - (raised < ctx->high ? raised : ctx->high);
}

/* Weight of the second of two neighbouring samples of the picture at output place @p i, and the first of them;
 * samples and outputs lie in the middle of their pixels. */
static float _neighbour(int i, int scale, int n, int *first, int *second)
{
  const float place = ((float)i + 0.5f) / (float)scale - 0.5f, below = floorf(place);
  *first = CLAMP((int)below, 0, n - 1);
  *second = CLAMP((int)below + 1, 0, n - 1);
  return place - below;
}

/* Output row @p y of channel @p c of the picture itself, enlarged linearly; with @p excess only that part of the
 * values that the network is not shown. @return FALSE when all of it is zero */
static gboolean _enlarge_row(const _job_t *job, int y, int c, gboolean excess, float *out)
{
  float *mixed = job->extra + job->tiles.out_width;
  int a, b;
  const float wy = _neighbour(y, job->tiles.scale, job->tiles.height, &a, &b);
  const float *above = dt_tiles_row(&job->tiles, a, c), *below = dt_tiles_row(&job->tiles, b, c);
  gboolean any = FALSE;
  for(int x = 0; x < job->tiles.width; x++)
  {
    const float p = excess ? _excess(job->tiles.ctx, above[x]) : above[x];
    const float q = excess ? _excess(job->tiles.ctx, below[x]) : below[x];
    mixed[x] = p + wy * (q - p);
    any |= mixed[x] != 0;
  }
  for(int x = 0; any && x < job->tiles.out_width; x++)
  {
    const float wx = _neighbour(x, job->tiles.scale, job->tiles.width, &a, &b);
    out[x] = mixed[a] + wx * (mixed[b] - mixed[a]);
  }
  return any;
}

/* What the network was not shown comes back untouched: out = f(clamp(x)) + (x - clamp(x)), enlarged with it. */
static void _add_excess(const _job_t *job, int y, int c, float *out)
{
  if(job->opts->clip_gamut) return;
  const float *original = job->tiles.scale == 1 ? dt_tiles_row(&job->tiles, y, c) : NULL;
  if(original)
    for(int x = 0; x < job->tiles.width; x++) out[x] += _excess(job->tiles.ctx, original[x]);
  else if(_enlarge_row(job, y, c, TRUE, job->extra))
    for(int x = 0; x < job->tiles.out_width; x++) out[x] += job->extra[x];
}

/* Alpha goes beside the network. */
static const float *_alpha_row(const _job_t *job, int y)
{
  if(job->tiles.scale == 1) return dt_tiles_row(&job->tiles, y, job->colours);
  if(!_enlarge_row(job, y, job->colours, FALSE, job->extra))
    memset(job->extra, 0, (size_t)job->tiles.out_width * sizeof(float));
  return job->extra;
}

/* Hands the waiting rows, the last of which is output row @p y, to the sink. */
static gboolean _flush(_job_t *job, int y, GError **error)
{
  const int n = job->lines;
  job->lines = 0;
  return n == 0 || job->sink->write(job->sink, y + 1 - n, n, job->out_line, error);
}

/* One finished row: planar, encoded -> interleaved, linear. A dt_detail_emit_t. */
static gboolean _emit_row(void *data, int y, float *const *planes, GError **error)
{
  _job_t *job = data;
  const size_t stride = (size_t)job->channels;
  float *row = job->out_line + (size_t)job->lines * (size_t)job->tiles.out_width * stride;
  for(int c = 0; c < job->channels; c++)
  {
    for(int x = 0; c < job->colours && job->opts->clip_gamut && x < job->tiles.out_width; x++)
      planes[c][x] = CLAMP(planes[c][x], 0.0f, 1.0f);
    if(c < job->colours) dt_srgb_decode(planes[c], planes[c], (size_t)job->tiles.out_width);
    for(int x = 0; x < job->tiles.out_width; x++) row[(size_t)x * stride + (size_t)c] = planes[c][x];
  }
  job->lines++;
  return (job->lines < DT_TILES_CHUNK && y + 1 < job->tiles.scale * job->tiles.height)
         || _flush(job, y, error);
}

/* A dt_tiles_front_t.finish. */
static gboolean _finish_row(void *front, dt_tiles_t *tiles, int y, float *const rgb[3], GError **error)
{
  _job_t *job = front;
  float *planes[4] = { rgb[0], rgb[1], rgb[2], NULL };
  const float *originals[4] = { NULL };
  if(job->colours == 1)
    for(int x = 0; x < tiles->out_width; x++) rgb[0][x] = (rgb[0][x] + rgb[1][x] + rgb[2][x]) * (1.0f / 3.0f);
  for(int c = 0; c < job->colours; c++) _add_excess(job, y, c, planes[c]);
  if(job->channels > job->colours) planes[job->colours] = (float *)_alpha_row(job, y);
  if(!job->detail) return _emit_row(job, y, planes, error);
  for(int c = 0; c < job->channels; c++) originals[c] = dt_tiles_row(tiles, y, c);
  return dt_detail_push(job->detail, y, originals, (const float *const *)planes, error);
}

/* --- plans --- */

/* Whether anything of the original comes back: then rows wait for their neighbours. */
static gboolean _needs_detail(const dt_restore_context_t *ctx, const dt_restore_opts_t *opts)
{
  return opts && ctx->scale == 1 && (opts->original > 0 || opts->mask);
}

static size_t _detail_bytes(const dt_restore_context_t *ctx, const dt_restore_opts_t *opts, int width,
                            int channels)
{
  return (_needs_detail(ctx, opts) ? dt_detail_bytes(width, channels) : 0)
         + (opts && opts->mask ? opts->mask->memory : 0);
}

gboolean dt_restore_plan(dt_restore_context_t *ctx, int width, int height, int channels,
                         const dt_restore_opts_t *opts, size_t extra_bytes, dt_restore_plan_t *plan,
                         GError **error)
{
  return dt_tiles_plan(ctx, width, height, channels, extra_bytes + _detail_bytes(ctx, opts, width, channels),
                       plan, error);
}

/* --- the job --- */

static float *_try_floats(size_t a, size_t b, gboolean *ok)
{
  float *p = *ok ? dt_memory_try_large(a, b * sizeof(float)) : NULL;
  *ok &= p != NULL;
  return p;
}

static gboolean _init_job(_job_t *job, GError **error)
{
  const size_t width = (size_t)job->tiles.width, out_width = (size_t)job->tiles.out_width;
  gboolean ok = TRUE;
  job->line = _try_floats(DT_TILES_CHUNK * (size_t)job->channels, width, &ok);
  job->out_line = _try_floats(DT_TILES_CHUNK * (size_t)job->channels, out_width, &ok);
  job->extra = _try_floats(1, out_width + width, &ok);
  if(!ok)
    g_set_error(error, DT_AI_ERROR, DT_AI_ERROR_MEMORY, "There is no memory for a row of %d pixels.",
                job->tiles.width);
  return ok;
}

static void _cleanup_job(_job_t *job)
{
  dt_detail_free(job->detail);
  free(job->line);
  free(job->out_line);
  free(job->extra);
}

/* --- strength --- */

gboolean dt_restore_read_strength(const dt_restore_opts_t *opts, int width, int y, float *strength,
                                  GError **error)
{
  const float most = 1.0f - CLAMP(opts->original, 0.0f, 1.0f);
  for(int x = 0; x < width; x++) strength[x] = 1.0f;
  if(opts->mask && !opts->mask->read(opts->mask, y, 1, strength, error)) return FALSE;
  if(opts->mask) dt_srgb_encode(strength, strength, (size_t)width);
  /* white is white, whatever the curve's last digit */
  for(int x = 0; x < width; x++)
    strength[x] = strength[x] > 1.0f - 1e-6f ? most : most * MAX(strength[x], 0.0f);
  return TRUE;
}

/* A dt_detail_strength_t. */
static gboolean _read_strength(void *data, int y, float *strength, GError **error)
{
  const _job_t *job = data;
  return dt_restore_read_strength(job->opts, job->tiles.width, y, strength, error);
}

gboolean dt_restore_check_mask(const dt_restore_opts_t *opts, int width, int height, GError **error)
{
  const dt_row_source_t *mask = opts->mask;
  if(!mask || (mask->width == width && mask->height == height && mask->channels == DT_ROW_GREY)) return TRUE;
  g_set_error(
      error, DT_AI_ERROR, DT_AI_ERROR_INPUT,
      "The mask has %d×%d pixels and %d channels; the picture has %d×%d, and a mask is grey without alpha. "
      "Give one of the same size.",
      mask->width, mask->height, mask->channels, width, height);
  return FALSE;
}

static gboolean _open_detail(_job_t *job, GError **error)
{
  if(!_needs_detail(job->tiles.ctx, job->opts)) return TRUE;
  if(!dt_restore_check_mask(job->opts, job->tiles.width, job->tiles.height, error)) return FALSE;
  job->detail = dt_detail_new(job->tiles.width, job->tiles.height, job->channels, _read_strength, _emit_row,
                              job, error);
  return job->detail != NULL;
}

/* --- the whole --- */

gboolean dt_restore_pass_rows(dt_row_source_t *in, dt_row_sink_t *out, const dt_restore_opts_t *opts,
                              float *line, GError **error)
{
  for(int y = 0; y < in->height; y += DT_TILES_CHUNK)
  {
    const int n = MIN(DT_TILES_CHUNK, in->height - y);
    if(dt_tiles_is_cancelled(opts, error) || !in->read(in, y, n, line, error)
       || !out->write(out, y, n, line, error))
      return FALSE;
  }
  return TRUE;
}

static gboolean _run_job(_job_t *job, GError **error)
{
  const dt_tiles_t *t = &job->tiles;
  if(!_init_job(job, error)) return FALSE;
  if(t->scale != 1 || job->opts->original < 1 || job->opts->clip_gamut)
    return _open_detail(job, error) && dt_tiles_run(&job->tiles, error);
  /* nothing is asked of the network */
  t->report->plan = (dt_restore_plan_t){ .width = t->width, .height = t->height, .scale = 1, .exact = TRUE };
  return dt_restore_pass_rows(job->source, job->sink, job->opts, job->line, error);
}

gboolean dt_restore_conclude(dt_row_sink_t *out, gboolean ok, gint64 start, dt_restore_report_t *report,
                             GError **error)
{
  if(ok)
    ok = out->finish(out, error);
  else
    out->abandon(out);
  report->seconds = 1e-6 * (double)(g_get_monotonic_time() - start);
  dt_log(DT_LOG_AI | DT_LOG_PERF, "restored in %.3f s: reading %.3f, network %.3f, writing %.3f, %d retries",
         report->seconds, report->read_seconds, report->run_seconds, report->write_seconds, report->retries);
  return ok;
}

gboolean dt_restore_process(dt_restore_context_t *ctx, dt_row_source_t *in, dt_row_sink_t *out,
                            const dt_restore_opts_t *opts, dt_restore_report_t *report, GError **error)
{
  static const dt_tiles_front_t front = { .read = _read_rows, .finish = _finish_row };
  const dt_restore_opts_t defaults = { 0 };
  dt_restore_report_t unused;
  _job_t job = { .source = in,
                 .sink = out,
                 .opts = opts ? opts : &defaults,
                 .channels = in->channels,
                 .colours = DT_ROW_COLOURS(in->channels) };
  job.tiles = (dt_tiles_t){ .ctx = ctx,
                            .opts = job.opts,
                            .report = report ? report : &unused,
                            .front = &front,
                            .data = &job,
                            .width = in->width,
                            .height = in->height,
                            .megapixels = 1e-6 * in->width * in->height,
                            .planes = in->channels,
                            .shown = job.colours,
                            .scale = ctx->scale,
                            .out_width = ctx->scale * in->width,
                            .extra_bytes = in->memory + out->memory
                                           + _detail_bytes(ctx, job.opts, in->width, in->channels) };
  *job.tiles.report = (dt_restore_report_t){ .provider = ctx->provider };
  const gint64 start = g_get_monotonic_time();
  const gboolean ok = _run_job(&job, error);
  _cleanup_job(&job);
  return dt_restore_conclude(out, ok, start, job.tiles.report, error);
}
