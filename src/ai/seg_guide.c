/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The guided filter of seg_edges: coefficients on a small grid.
 *
 * A plain guided filter fits the blurred mask, and so keeps a part of its blur as a halo. Here, in every window, the
 * colours are fitted to what the mask is sure of:
 *
 *   p = sigmoid(4 x)             the mask x of logits, sharpened: the photograph tells where it is soft
 *   w = (2 B - 1)^2 + 0.05       weight of a sample; B is p, blurred with half the window, so that w is small within
 *                                half a window of the outline, which may be wrong by so much
 *   a = (S + eps)^-1 c,  b = E p - a · E I     S, c: weighted covariances of the colours I, and of I and p
 *   e = a · c                    what the fit explains of V, the variance of p
 *
 * A sample takes the mean of the windows that it lies in, weighted by e: windows that saw but one side know nothing
 * about the edge. The coarse mask stays where the colours do not tell the sides apart (the sum of e is small against
 * that of V), and far from the outline (B, with the whole window, is near 0 or 1). All of it is linear in I, so the
 * coefficients carry it to the full size. */
#include "ai/seg_internal.h"

#include <math.h>
#include <string.h>

#define EPSILON 2e-4f /* noise of 0.014 is no colour */
#define ROWS 48       /* of a chunk */
#define MOMENTS 16    /* 15 in use: w, w I, w I I, w p, w p p, w p I */
#define FITS 8        /* 6 in use: e a, e b, e, V */

typedef struct _fit_t
{
  const dt_seg_guide_t *guide;
  int radius_x, radius_y;
  dt_seg_axis_t x, y; /* of the logits */
  const dt_seg_plane_t *logits;
  dt_seg_plane_t colours; /* around 0 */
  dt_seg_plane_t mask, sharp, weight, nearness, fits;
  dt_seg_plane_t *out;
  int blur_x, blur_y;
} _fit_t;

/* --- box sums of rows that are made on the way --- */

typedef void (*_make_row_t)(const _fit_t *f, int y, float *row);
typedef void (*_take_row_t)(_fit_t *f, int y, const float *sums);

typedef struct _box_t
{
  int channels, radius_x, radius_y;
  _make_row_t make;
  _take_row_t take;
} _box_t;

DT_SEG_WIDE static void _add_row(float *restrict sums, const float *restrict row, size_t n, float factor)
{
  for(size_t i = 0; i < n; i++) sums[i] += factor * row[i];
}

/* Inlined for each number of channels, so that their loops become vectors. */
static inline __attribute__((always_inline)) void _slide_by(const float *restrict in, int n, int radius,
                                                            float *restrict out, int channels)
{
  float sum[MOMENTS] = { 0 };
  for(int i = 0; i < MIN(radius, n); i++)
    for(int c = 0; c < channels; c++) sum[c] += in[i * channels + c];
  for(int i = 0; i < n; i++)
  {
    if(i + radius < n)
      for(int c = 0; c < channels; c++) sum[c] += in[(i + radius) * channels + c];
    if(i > radius)
      for(int c = 0; c < channels; c++) sum[c] -= in[(i - radius - 1) * channels + c];
    for(int c = 0; c < channels; c++) out[i * channels + c] = sum[c];
  }
}

/* Sums of windows along a row. */
DT_SEG_WIDE static void _slide(const float *in, int n, int channels, int radius, float *out)
{
  if(channels == 1)
    _slide_by(in, n, radius, out, 1);
  else if(channels == FITS)
    _slide_by(in, n, radius, out, FITS);
  else
    _slide_by(in, n, radius, out, MOMENTS);
}

static void _sum_rows(_fit_t *f, const _box_t *box, int first, int end)
{
  const int w = f->mask.width, h = f->mask.height, r = box->radius_y;
  const size_t n = (size_t)w * (size_t)box->channels;
  float *columns = g_new0(float, n * 3), *row = columns + n, *sums = row + n;
  for(int y = MAX(first - r, 0); y < MIN(first + r, h); y++)
  {
    box->make(f, y, row);
    _add_row(columns, row, n, 1);
  }
  for(int y = first; y < end; y++)
  {
    if(y + r < h)
    {
      box->make(f, y + r, row);
      _add_row(columns, row, n, 1);
    }
    if(y > first && y - r > 0)
    {
      box->make(f, y - r - 1, row);
      _add_row(columns, row, n, -1);
    }
    _slide(columns, w, box->channels, box->radius_x, sums);
    box->take(f, y, sums);
  }
  g_free(columns);
}

/* Samples of a window around @p i. */
static int _count(int i, int radius, int n)
{
  return MIN(i + radius, n - 1) - MAX(i - radius, 0) + 1;
}

/* --- the photograph and the mask on the grid --- */

static void _average_cell(const dt_seg_guide_t *g, int x0, int x1, int y0, int y1, float *out)
{
  uint64_t sum[3] = { 0 };
  for(int y = y0; y < y1; y++)
  {
    const uint8_t *p = g->rgb + (size_t)y * g->stride + 3 * (size_t)x0, *end = p + 3 * (size_t)(x1 - x0);
    uint32_t red = 0, green = 0, blue = 0;
    for(; p < end; p += 3)
    {
      red += p[0];
      green += p[1];
      blue += p[2];
    }
    sum[0] += red;
    sum[1] += green;
    sum[2] += blue;
  }
  const double part = 1 / (255.0 * (x1 - x0) * (y1 - y0));
  for(int c = 0; c < 3; c++) out[c] = (float)((double)sum[c] * part - 0.5);
}

/* The pixels of @p n that cell @p i of @p cells covers; at least one. */
static void _cover(int i, int cells, int n, int *from, int *to)
{
  *from = (int)((gint64)i * n / cells);
  *to = MAX(*from + 1, (int)((gint64)(i + 1) * n / cells));
}

static void _sample(void *data, int chunk)
{
  _fit_t *f = data;
  const int w = f->mask.width, end = MIN((chunk + 1) * ROWS, f->mask.height);
  float *between = g_new(float, f->logits->width + 1);
  for(int y = chunk * ROWS; y < end; y++)
  {
    int x0, x1, y0, y1;
    _cover(y, f->mask.height, f->guide->height, &y0, &y1);
    float *colours = dt_seg_plane_row(&f->colours, y), *mask = dt_seg_plane_row(&f->mask, y);
    float *sharp = dt_seg_plane_row(&f->sharp, y);
    for(int x = 0; x < w; x++, colours += 3)
    {
      _cover(x, w, f->guide->width, &x0, &x1);
      _average_cell(f->guide, x0, x1, y0, y1, colours);
    }
    dt_seg_mix_rows(f->logits, &f->y, y, between);
    dt_seg_mix_columns(between, &f->x, w, mask);
    for(int x = 0; x < w; x++) sharp[x] = 4 * mask[x];
    dt_seg_sigmoid(mask, (size_t)w);
    dt_seg_sigmoid(sharp, (size_t)w);
  }
  g_free(between);
}

static void _make_sharp(const _fit_t *f, int y, float *row)
{
  memcpy(row, dt_seg_plane_row(&f->sharp, y), (size_t)f->mask.width * sizeof(float));
}

static void _take_weight(_fit_t *f, int y, const float *sums)
{
  const int w = f->mask.width, rows = _count(y, f->blur_y, f->mask.height);
  float *out = dt_seg_plane_row(&f->weight, y);
  for(int x = 0; x < w; x++)
  {
    const float b = sums[x] / (float)(rows * _count(x, f->blur_x, w));
    out[x] = (2 * b - 1) * (2 * b - 1) + 0.05f;
  }
}

/* 1 near the outline, 0 from a window's radius on. */
static void _take_nearness(_fit_t *f, int y, const float *sums)
{
  const int w = f->mask.width, rows = _count(y, f->radius_y, f->mask.height);
  float *out = dt_seg_plane_row(&f->nearness, y);
  for(int x = 0; x < w; x++)
  {
    const float b = sums[x] / (float)(rows * _count(x, f->radius_x, w));
    out[x] = CLAMP(16 * b * (1 - b), 0, 1);
  }
}

static void _weigh(void *data, int chunk)
{
  _fit_t *f = data;
  const int end = MIN((chunk + 1) * ROWS, f->mask.height);
  const _box_t blur = { 1, f->blur_x, f->blur_y, _make_sharp, _take_weight };
  const _box_t window = { 1, f->radius_x, f->radius_y, _make_sharp, _take_nearness };
  _sum_rows(f, &blur, chunk * ROWS, end);
  _sum_rows(f, &window, chunk * ROWS, end);
}

/* --- windows --- */

DT_SEG_WIDE static void _make_moments(const _fit_t *f, int y, float *row)
{
  const int n = f->mask.width;
  const float *p = dt_seg_plane_row(&f->sharp, y), *weight = dt_seg_plane_row(&f->weight, y);
  const float *c = dt_seg_plane_row(&f->colours, y);
  for(int x = 0; x < n; x++, c += 3, row += MOMENTS)
  {
    const float w = weight[x], r = w * c[0], g = w * c[1], b = w * c[2], m = p[x];
    const float all[MOMENTS] = { w,        r,        g,     b,         r * c[0], r * c[1], r * c[2], g * c[1],
                                 g * c[2], b * c[2], w * m, w * m * m, r * m,    g * m,    b * m,    0 };
    memcpy(row, all, sizeof all);
  }
}

/* (S + eps) a = c by Cholesky's L D L'; S's triangle is rr rg rb gg gb bb. */
static void _solve(const float s[6], const float c[3], float a[3])
{
  const float d0 = s[0] + EPSILON, l1 = s[1] / d0, l2 = s[2] / d0;
  const float d1 = s[3] + EPSILON - l1 * s[1], t = s[4] - l1 * s[2], l3 = t / d1;
  const float d2 = s[5] + EPSILON - l2 * s[2] - l3 * t;
  const float y1 = c[1] - l1 * c[0], y2 = c[2] - l2 * c[0] - l3 * y1;
  a[2] = y2 / d2;
  a[1] = y1 / d1 - l3 * a[2];
  a[0] = c[0] / d0 - l1 * a[1] - l2 * a[2];
}

static void _fit_window(const float *m, float *fit)
{
  const float part = 1 / m[0], r = m[1] * part, g = m[2] * part, b = m[3] * part, p = m[10] * part;
  const float variance = m[11] * part - p * p;
  memset(fit, 0, FITS * sizeof(float));
  if(variance < 1e-5f) return;
  const float s[] = { m[4] * part - r * r, m[5] * part - r * g, m[6] * part - r * b,
                      m[7] * part - g * g, m[8] * part - g * b, m[9] * part - b * b };
  const float c[] = { m[12] * part - r * p, m[13] * part - g * p, m[14] * part - b * p };
  float a[3];
  _solve(s, c, a);
  const float e = CLAMP(a[0] * c[0] + a[1] * c[1] + a[2] * c[2], 0, variance);
  for(int i = 0; i < 3; i++) fit[i] = e * a[i];
  fit[3] = e * (p - a[0] * r - a[1] * g - a[2] * b);
  fit[4] = e;
  fit[5] = variance;
}

static void _take_moments(_fit_t *f, int y, const float *sums)
{
  const int w = f->mask.width;
  float *fit = dt_seg_plane_row(&f->fits, y);
  for(int x = 0; x < w; x++) _fit_window(sums + (size_t)x * MOMENTS, fit + (size_t)x * FITS);
}

static void _fit_windows(void *data, int chunk)
{
  _fit_t *f = data;
  const _box_t box = { MOMENTS, f->radius_x, f->radius_y, _make_moments, _take_moments };
  _sum_rows(f, &box, chunk * ROWS, MIN((chunk + 1) * ROWS, f->mask.height));
}

static void _make_fits(const _fit_t *f, int y, float *row)
{
  memcpy(row, dt_seg_plane_row(&f->fits, y), (size_t)f->mask.width * FITS * sizeof(float));
}

/* How far the fit is believed that explains @p part of the mask. */
static float _trust(float part)
{
  const float t = CLAMP((part - 0.15f) / 0.4f, 0, 1);
  return t * t * (3 - 2 * t);
}

static void _take_fits(_fit_t *f, int y, const float *sums)
{
  const int w = f->mask.width;
  const float *mask = dt_seg_plane_row(&f->mask, y), *nearness = dt_seg_plane_row(&f->nearness, y);
  float *out = dt_seg_plane_row(f->out, y);
  for(int x = 0; x < w; x++, sums += FITS, out += 4)
  {
    const float e = sums[4], t = e > 1e-6f ? nearness[x] * _trust(e / sums[5]) : 0;
    const float scale = t > 0 ? t / e : 0;
    for(int c = 0; c < 3; c++) out[c] = scale * sums[c] / 255;
    /* colours lie around 0 here, and from 0 on there */
    out[3] = scale * (sums[3] - 0.5f * (sums[0] + sums[1] + sums[2])) + (1 - t) * mask[x];
  }
}

static void _average_windows(void *data, int chunk)
{
  _fit_t *f = data;
  const _box_t box = { FITS, f->radius_x, f->radius_y, _make_fits, _take_fits };
  _sum_rows(f, &box, chunk * ROWS, MIN((chunk + 1) * ROWS, f->mask.height));
}

/* --- all of it --- */

static gboolean _init(_fit_t *f, int w, int h)
{
  return dt_seg_plane_init(&f->colours, w, h, 3) && dt_seg_plane_init(&f->mask, w, h, 1)
         && dt_seg_plane_init(&f->sharp, w, h, 1) && dt_seg_plane_init(&f->weight, w, h, 1)
         && dt_seg_plane_init(&f->nearness, w, h, 1) && dt_seg_plane_init(&f->fits, w, h, FITS)
         && dt_seg_plane_init(f->out, w, h, 4);
}

static void _cleanup(_fit_t *f)
{
  dt_seg_plane_t *planes[] = { &f->colours, &f->mask, &f->sharp, &f->weight, &f->nearness, &f->fits };
  for(size_t i = 0; i < G_N_ELEMENTS(planes); i++) dt_seg_plane_cleanup(planes[i]);
  dt_seg_axis_cleanup(&f->x);
  dt_seg_axis_cleanup(&f->y);
}

gboolean dt_seg_guide_fit(const dt_seg_job_t *job, const dt_seg_plane_t *logits, double step_x, double step_y,
                          const dt_seg_guide_t *guide, int radius, int width, int height, dt_seg_plane_t *fit)
{
  const int side = MAX(width, height);
  /* two logits, of which the networks at hand make 256 × 256, enlarged or not */
  const int usual = MAX(MAX(2, side / 128), (int)(2 / MAX(step_x, step_y)));
  const int full = MIN(radius > 0 ? radius : usual, side);
  /* a window of 17 samples is fine enough for coefficients */
  const double scale = MAX(MAX(1, full / 8.0), (double)side / DT_SEG_WORK_SIDE);
  const int w = MAX(1, (int)(width / scale + 0.5)), h = MAX(1, (int)(height / scale + 0.5));
  _fit_t f = { .guide = guide, .logits = logits, .out = fit };
  f.radius_x = MAX(1, (int)((double)full * w / width + 0.5));
  f.radius_y = MAX(1, (int)((double)full * h / height + 0.5));
  f.blur_x = MAX(1, f.radius_x / 2);
  f.blur_y = MAX(1, f.radius_y / 2);
  const int chunks = (h + ROWS - 1) / ROWS;
  dt_seg_axis_init(&f.x, w, step_x * width / w, logits->width);
  dt_seg_axis_init(&f.y, h, step_y * height / h, logits->height);
  const gboolean ok = _init(&f, w, h) && dt_seg_run(job, chunks, _sample, &f)
                      && dt_seg_run(job, chunks, _weigh, &f) && dt_seg_run(job, chunks, _fit_windows, &f)
                      && dt_seg_run(job, chunks, _average_windows, &f);
  _cleanup(&f);
  if(!ok) dt_seg_plane_cleanup(fit);
  return ok;
}
