/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Masks at full size from logits: the logits are worked on at the size that is needed, and the mask's rows are made
 * from them in chunks, on all cores, straight into the mask. */
#include "ai/seg_internal.h"

#include <math.h>
#include <string.h>

#define ROWS 64         /* of a chunk */
#define BEYOND 1e30f    /* what infinite logits count as */
#define DIRECT_BLUR 3.2 /* sigma up to which the blur is done at full size */
#define BLUR_REACH 3.5  /* sigmas */
#define MAX_REACH 12    /* of the direct blur */

/* How rows of a mask come to be: from values in between, or from coefficients and a photograph. */
typedef struct _rows_t
{
  int width, height;
  const dt_seg_plane_t *plane; /* one channel: values; four: coefficients */
  gboolean are_logits;
  dt_seg_axis_t x, y;
  const dt_seg_guide_t *guide;
  dt_seg_axis_t guide_x, guide_y; /* where the guide is of another size */
} _rows_t;

typedef struct _work_t
{
  const _rows_t *rows;
  float *out;
  int block; /* shrinking: pixels of a cell's side */
  int reach; /* blurring */
  float kernel[MAX_REACH + 1];
} _work_t;

/* --- a row --- */

static void _init_rows(_rows_t *r, const dt_seg_plane_t *plane, double step_x, double step_y, int width,
                       int height)
{
  r->width = width;
  r->height = height;
  r->plane = plane;
  dt_seg_axis_init(&r->x, width, step_x, plane->width);
  dt_seg_axis_init(&r->y, height, step_y, plane->height);
}

static void _set_guide(_rows_t *r, const dt_seg_guide_t *guide)
{
  r->guide = guide;
  if(guide->width == r->width && guide->height == r->height) return;
  dt_seg_axis_init(&r->guide_x, r->width, (double)guide->width / r->width, guide->width);
  dt_seg_axis_init(&r->guide_y, r->height, (double)guide->height / r->height, guide->height);
}

static void _cleanup_rows(_rows_t *r)
{
  dt_seg_axis_cleanup(&r->x);
  dt_seg_axis_cleanup(&r->y);
  dt_seg_axis_cleanup(&r->guide_x);
  dt_seg_axis_cleanup(&r->guide_y);
}

/* The guide's row at the mask's pixels, into @p row. */
static const uint8_t *_guide_row(const _rows_t *r, int y, uint8_t *row)
{
  const dt_seg_guide_t *g = r->guide;
  if(!r->guide_x.at) return g->rgb + (size_t)y * g->stride;
  const float v = r->guide_y.part[y];
  const uint8_t *a = g->rgb + (size_t)r->guide_y.at[y] * g->stride, *b = v > 0 ? a + g->stride : a;
  for(int x = 0; x < r->width; x++)
  {
    const float u = r->guide_x.part[x];
    const size_t i = 3 * (size_t)r->guide_x.at[x], k = u > 0 ? i + 3 : i;
    for(size_t c = 0; c < 3; c++)
    {
      const float above = (float)a[i + c] + u * (float)(a[k + c] - a[i + c]);
      const float below = (float)b[i + c] + u * (float)(b[k + c] - b[i + c]);
      row[3 * (size_t)x + c] = (uint8_t)(above + v * (below - above) + 0.5f);
    }
  }
  return row;
}

DT_SEG_WIDE static void _apply_fit(const _rows_t *r, const float *fit, const uint8_t *rgb, float *out)
{
  const int n = r->width;
  for(int x = 0; x < n; x++, rgb += 3)
  {
    const float *a = fit + 4 * (size_t)r->x.at[x], t = r->x.part[x];
    float c[4];
    for(int k = 0; k < 4; k++) c[k] = a[k] + t * (a[k + 4] - a[k]);
    const float v = c[0] * (float)rgb[0] + c[1] * (float)rgb[1] + c[2] * (float)rgb[2] + c[3];
    out[x] = v < 0 ? 0 : v > 1 ? 1 : v;
  }
}

/* Bytes of scratch that _make_row() needs. */
static size_t _scratch_size(const _rows_t *r)
{
  return (size_t)(r->plane->width + 1) * (size_t)r->plane->channels * sizeof(float) + 3 * (size_t)r->width;
}

static void _make_row(const _rows_t *r, int y, void *scratch, float *out)
{
  float *between = scratch;
  dt_seg_mix_rows(r->plane, &r->y, y, between);
  if(r->guide)
  {
    uint8_t *row = (uint8_t *)(between + (size_t)(r->plane->width + 1) * 4);
    _apply_fit(r, between, _guide_row(r, y, row), out);
    return;
  }
  dt_seg_mix_columns(between, &r->x, r->width, out);
  if(r->are_logits) dt_seg_sigmoid(out, (size_t)r->width);
}

/* --- the mask, or a smaller one, or a blurred one --- */

static void _write_chunk(void *data, int chunk)
{
  const _work_t *k = data;
  void *scratch = g_malloc(_scratch_size(k->rows));
  for(int y = chunk * ROWS; y < MIN((chunk + 1) * ROWS, k->rows->height); y++)
    _make_row(k->rows, y, scratch, k->out + (size_t)y * (size_t)k->rows->width);
  g_free(scratch);
}

static gboolean _write(const dt_seg_job_t *job, const _rows_t *rows, float *mask)
{
  _work_t k = { .rows = rows, .out = mask };
  return dt_seg_run(job, (rows->height + ROWS - 1) / ROWS, _write_chunk, &k);
}

/* A row of cells from the rows it covers; the last cells may be smaller. */
static void _shrink_chunk(void *data, int cell)
{
  const _work_t *k = data;
  const int w = k->rows->width, b = k->block, cells = (w + b - 1) / b;
  const int first = cell * b, end = MIN(first + b, k->rows->height);
  float *row = g_new(float, w), *out = k->out + (size_t)cell * (size_t)cells;
  void *scratch = g_malloc(_scratch_size(k->rows));
  memset(out, 0, (size_t)cells * sizeof(float));
  for(int y = first; y < end; y++)
  {
    _make_row(k->rows, y, scratch, row);
    for(int i = 0; i < cells; i++)
    {
      float sum = 0;
      for(int x = i * b; x < MIN((i + 1) * b, w); x++) sum += row[x];
      out[i] += sum;
    }
  }
  for(int i = 0; i < cells; i++) out[i] /= (float)((end - first) * (MIN((i + 1) * b, w) - i * b));
  g_free(scratch);
  g_free(row);
}

static void _fill_kernel(_work_t *k, double sigma)
{
  double sum = 0, value[MAX_REACH + 1];
  k->reach = CLAMP((int)ceil(BLUR_REACH * sigma), 1, MAX_REACH);
  for(int i = 0; i <= k->reach; i++) sum += (value[i] = exp(-i * i / (2 * sigma * sigma))) * (i ? 2 : 1);
  for(int i = 0; i <= k->reach; i++) k->kernel[i] = (float)(value[i] / sum);
}

DT_SEG_WIDE static void _convolve(const float *const *rows, int reach, const float *kernel, size_t n,
                                  float *restrict out)
{
  for(size_t i = 0; i < n; i++) out[i] = kernel[0] * rows[reach][i];
  for(int j = 1; j <= reach; j++)
  {
    const float *before = rows[reach - j], *after = rows[reach + j], factor = kernel[j];
    for(size_t i = 0; i < n; i++) out[i] += factor * (before[i] + after[i]);
  }
}

/* Along the row: the same with the row itself, moved, its ends going on. */
static void _blur_row(const _work_t *k, float *padded, float *out)
{
  const int n = k->rows->width, r = k->reach;
  const float *rows[2 * MAX_REACH + 1] = { NULL };
  for(int i = 0; i < r; i++)
  {
    padded[i] = padded[r];
    padded[n + r + i] = padded[n + r - 1];
  }
  for(int i = 0; i <= 2 * r; i++) rows[i] = padded + i;
  _convolve(rows, r, k->kernel, (size_t)n, out);
  for(int x = 0; x < n; x++) out[x] = MIN(out[x], 1);
}

static void _blur_chunk(void *data, int chunk)
{
  const _work_t *k = data;
  const size_t w = (size_t)k->rows->width, r = (size_t)k->reach;
  const int h = k->rows->height, first = chunk * ROWS, end = MIN(first + ROWS, h),
            from = MAX(first - k->reach, 0);
  const int to = MIN(end + k->reach, h);
  float *made = g_new(float, (size_t)(to - from) * w), *padded = g_new0(float, w + 2 * r);
  void *scratch = g_malloc(_scratch_size(k->rows));
  for(int y = from; y < to; y++) _make_row(k->rows, y, scratch, made + (size_t)(y - from) * w);
  for(int y = first; y < end; y++)
  {
    const float *rows[2 * MAX_REACH + 1] = { NULL };
    for(int i = -k->reach; i <= k->reach; i++)
      rows[i + k->reach] = made + (size_t)(CLAMP(y + i, 0, h - 1) - from) * w;
    _convolve(rows, k->reach, k->kernel, w, padded + r);
    _blur_row(k, padded, k->out + (size_t)y * w);
  }
  g_free(scratch);
  g_free(padded);
  g_free(made);
}

static gboolean _blur(const dt_seg_job_t *job, const _rows_t *rows, double sigma, float *out)
{
  _work_t k = { .rows = rows, .out = out };
  _fill_kernel(&k, sigma);
  return dt_seg_run(job, (rows->height + ROWS - 1) / ROWS, _blur_chunk, &k);
}

/* With a large sigma the mask is averaged in cells first, and values in between are taken after: that adds b² / 12 and,
 * on average, b² / 6 to the variance, which the blur leaves out. */
static gboolean _blur_wide(const dt_seg_job_t *job, const _rows_t *rows, double sigma, float *out)
{
  const int b = (int)(sigma / (DIRECT_BLUR / 2)), w = (rows->width + b - 1) / b,
            h = (rows->height + b - 1) / b;
  dt_seg_plane_t small = { 0 }, blurred = { 0 };
  _work_t k = { .rows = rows, .block = b };
  gboolean ok = dt_seg_plane_init(&small, w, h, 1) && dt_seg_plane_init(&blurred, w, h, 1);
  k.out = small.values;
  if(ok && dt_seg_run(job, h, _shrink_chunk, &k))
  {
    _rows_t cells = { 0 }, pixels = { 0 };
    _init_rows(&cells, &small, 1, 1, w, h);
    _init_rows(&pixels, &blurred, 1.0 / b, 1.0 / b, rows->width, rows->height);
    ok = _blur(job, &cells, sqrt(sigma * sigma / b / b - 0.25), blurred.values) && _write(job, &pixels, out);
    _cleanup_rows(&cells);
    _cleanup_rows(&pixels);
  }
  else
    ok = FALSE;
  dt_seg_plane_cleanup(&small);
  dt_seg_plane_cleanup(&blurred);
  return ok;
}

static gboolean _make(const dt_seg_job_t *job, const _rows_t *rows, double sigma, float *mask)
{
  if(!(sigma > 0.05)) return _write(job, rows, mask);
  sigma = MIN(sigma, MAX(rows->width, rows->height));
  return sigma <= DIRECT_BLUR ? _blur(job, rows, sigma, mask) : _blur_wide(job, rows, sigma, mask);
}

/* --- logits --- */

/* The part that the picture covers. @return FALSE for numbers that are none */
static gboolean _crop(const dt_seg_logits_t *l, const dt_seg_plane_t *out)
{
  float sum = 0;
  for(int y = 0; y < out->height; y++)
  {
    const float *in = l->values + (size_t)y * (size_t)l->stride;
    float *row = dt_seg_plane_row(out, y);
    for(int x = 0; x < out->width; x++)
    {
      sum += 0 * CLAMP(in[x], -1, 1);
      row[x] = CLAMP(in[x], -BEYOND, BEYOND);
    }
  }
  return sum == 0;
}

/* Samples of a part of the grid; a rounding error is no sample. */
static int _covered(double part, int samples)
{
  return CLAMP((int)ceil(part - 1e-6), 1, samples);
}

static gboolean _enlarge(const dt_seg_job_t *job, const dt_seg_plane_t *grid, double width, double height,
                         dt_seg_plane_t *out, int w, int h)
{
  _rows_t rows = { 0 };
  if(!dt_seg_plane_init(out, w, h, 1)) return FALSE;
  _init_rows(&rows, grid, width / w, height / h, w, h);
  const gboolean ok = _write(job, &rows, out->values);
  _cleanup_rows(&rows);
  return ok;
}

/* Holes, specks and grow, on logits of a size of their own. */
static gboolean _work_on(const dt_seg_job_t *job, const dt_seg_edges_t *e, dt_seg_plane_t *logits, int width,
                         int height)
{
  const double step_x = (double)width / logits->width, step_y = (double)height / logits->height;
  const double area = step_x * step_y * (1 - 1e-9);
  if((e->holes > 0 || e->holes < 0) && !dt_seg_fill_holes(job, logits, e->holes / area)) return FALSE;
  if((e->specks > 0 || e->specks < 0) && !dt_seg_remove_specks(job, logits, e->specks / area)) return FALSE;
  return !(e->grow > 0 || e->grow < 0) || dt_seg_grow(job, logits, e->grow, step_x, step_y);
}

static gboolean _is_shaped(const dt_seg_edges_t *e)
{
  return e->holes > 0 || e->holes < 0 || e->specks > 0 || e->specks < 0 || e->grow > 0 || e->grow < 0;
}

/* --- all of it --- */

typedef struct _mask_t
{
  const dt_seg_edges_t *edges;
  const dt_seg_guide_t *guide;
  float *values;
  int width, height;
} _mask_t;

/* From logits of which @p step_x, @p step_y fall to a pixel. */
static gboolean _finish(const dt_seg_job_t *job, const _mask_t *m, const dt_seg_plane_t *logits,
                        double step_x, double step_y)
{
  const gboolean guided = m->edges->guided && m->guide;
  dt_seg_plane_t fit = { 0 };
  _rows_t rows = { .are_logits = TRUE };
  if(guided
     && !dt_seg_guide_fit(job, logits, step_x, step_y, m->guide, m->edges->radius, m->width, m->height, &fit))
    return FALSE;
  if(guided)
  {
    _init_rows(&rows, &fit, (double)fit.width / m->width, (double)fit.height / m->height, m->width,
               m->height);
    _set_guide(&rows, m->guide);
  }
  else
    _init_rows(&rows, logits, step_x, step_y, m->width, m->height);
  const gboolean ok = _make(job, &rows, m->edges->feather, m->values);
  _cleanup_rows(&rows);
  dt_seg_plane_cleanup(&fit);
  return ok;
}

static gboolean _make_mask(const dt_seg_job_t *job, const _mask_t *m, const dt_seg_plane_t *grid,
                           double width, double height)
{
  if(!_is_shaped(m->edges)) return _finish(job, m, grid, width / m->width, height / m->height);
  const double scale = MAX(1, MAX(m->width, m->height) / (double)DT_SEG_WORK_SIDE);
  const int w = MAX(1, (int)(m->width / scale + 0.5)), h = MAX(1, (int)(m->height / scale + 0.5));
  dt_seg_plane_t logits = { 0 };
  const gboolean ok = _enlarge(job, grid, width, height, &logits, w, h)
                      && _work_on(job, m->edges, &logits, m->width, m->height)
                      && _finish(job, m, &logits, (double)w / m->width, (double)h / m->height);
  dt_seg_plane_cleanup(&logits);
  return ok;
}

static gboolean _fail(dt_ai_error_t code, const char *message, GError **error)
{
  g_set_error_literal(error, DT_AI_ERROR, (int)code, message);
  return FALSE;
}

gboolean dt_seg_make_mask(const dt_seg_logits_t *logits, const dt_seg_guide_t *guide,
                          const dt_seg_edges_t *edges, float *mask, int width, int height,
                          GCancellable *cancellable, GError **error)
{
  static const dt_seg_edges_t nothing = { 0 };
  const _mask_t m = { edges ? edges : &nothing, guide, mask, width, height };
  const dt_seg_job_t job = { m.edges->threads > 0 ? m.edges->threads : (int)g_get_num_processors(),
                             cancellable };
  const double w = MIN(logits->width, logits->stride), h = MIN(logits->height, logits->rows);
  dt_seg_plane_t grid = { 0 };
  if(!(w > 0) || !(h > 0) || width < 1 || height < 1)
    return _fail(DT_AI_ERROR_FAILED,
                 "The mask has no pixels, or the model's output has none for it. Use another model.", error);
  gboolean ok = dt_seg_plane_init(&grid, _covered(w, logits->stride), _covered(h, logits->rows), 1);
  if(ok && !_crop(logits, &grid))
  {
    dt_seg_plane_cleanup(&grid);
    return _fail(DT_AI_ERROR_FAILED,
                 "The model gave values that are no numbers, so there is no mask. Use other points, or "
                 "another model or execution provider.",
                 error);
  }
  ok = ok && _make_mask(&job, &m, &grid, w, h);
  dt_seg_plane_cleanup(&grid);
  if(ok) return TRUE;
  if(g_cancellable_is_cancelled(cancellable)) return _fail(DT_AI_ERROR_CANCELLED, "Cancelled.", error);
  return _fail(DT_AI_ERROR_MEMORY,
               "There is not enough memory for the mask. Close other programs, or use a smaller "
               "picture.",
               error);
}
