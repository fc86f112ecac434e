/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The wavelet behind strength. Rows are collected until a block with the filter's reach above and below is there;
 * then the block is filtered as a small picture of its own and its rows are handed on. */
#include "ai/detail.h"
#include "ai/tiling.h"
#include "common/memory.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define BANDS 5
/* bands whose smoothing gives the local mean and square */
#define SIGMA_BANDS 4
/* how far a pixel's neighbours matter: 2 × (1 + 2 + 4 + 8 + 16) */
#define REACH 62
/* rows finished at a time; with less the reach is filtered more often, with more memory grows */
#define BLOCK 128
#define ROWS (BLOCK + 2 * REACH)
_Static_assert(DT_DETAIL_DELAY == BLOCK + REACH, "a row waits for its block and the reach below it");

static const float _thresholds[BANDS] = { 0.25f, 0.15f, 0.05f, 0.02f, 0.01f };
static const float _luminance[] = { 0.2126f, 0.7152f, 0.0722f };
/* below this strength chroma noise begins to return */
#define CHROMA_STRENGTH 0.2f
/* beyond it a value is some highlight of which the network has seen no more than that it is one: what it took there
 * would be rounding, or no number for an infinity, and would spread as far as the filter reaches */
#define BRIGHTEST 128.0f

enum
{
  RESIDUAL, /* r */
  SMOOTH,   /* c(j) */
  SQUARE,   /* r², smoothed */
  TEXTURE,  /* T */
  SPARE,    /* the other half of a smoothing */
  N_FIELDS
};

struct dt_detail_t
{
  int width, height, channels, colours;
  dt_detail_strength_t strength;
  dt_detail_emit_t emit;
  void *data;
  int rows_in, rows_out;
  float *ring;             /* ROWS × (original of all channels, result) × width */
  float *fields[N_FIELDS]; /* ROWS × width each */
  float *line;             /* width strengths, width smoothed samples, colours rows of output */
};

static size_t _row_floats(int width, int channels)
{
  return (size_t)width * (size_t)(channels + DT_ROW_COLOURS(channels));
}

size_t dt_detail_bytes(int width, int channels)
{
  return ((size_t)ROWS * (_row_floats(width, channels) + N_FIELDS * (size_t)width)
          + (size_t)width * (2 + (size_t)channels))
         * sizeof(float);
}

void dt_detail_free(dt_detail_t *d)
{
  if(!d) return;
  free(d->ring);
  for(int i = 0; i < N_FIELDS; i++) free(d->fields[i]);
  free(d->line);
  g_free(d);
}

dt_detail_t *dt_detail_new(int width, int height, int channels, dt_detail_strength_t strength,
                           dt_detail_emit_t emit, void *data, GError **error)
{
  dt_detail_t *d = g_new0(dt_detail_t, 1);
  *d = (dt_detail_t){ .width = width,
                      .height = height,
                      .channels = channels,
                      .colours = DT_ROW_COLOURS(channels),
                      .strength = strength,
                      .emit = emit,
                      .data = data };
  d->ring = dt_memory_try_large(ROWS, _row_floats(width, channels) * sizeof(float));
  d->line = dt_memory_try_large(2 + (size_t)channels, (size_t)width * sizeof(float));
  gboolean ok = d->ring && d->line;
  for(int i = 0; i < N_FIELDS; i++)
    ok &= (d->fields[i] = dt_memory_try_large(ROWS, (size_t)width * sizeof(float))) != NULL;
  if(ok) return d;
  g_set_error(
      error, DT_AI_ERROR, DT_AI_ERROR_MEMORY,
      "There is no memory to bring texture back (%zu MiB). Use --strength 100, or close other programs.",
      dt_detail_bytes(width, channels) >> 20);
  dt_detail_free(d);
  return NULL;
}

/* Plane @p c of the original (@p which 0) or the result (1) of picture row @p y. */
static float *_ring_row(const dt_detail_t *d, int y, int which, int c)
{
  return d->ring + (size_t)(y % ROWS) * _row_floats(d->width, d->channels)
         + (size_t)(which * d->channels + c) * (size_t)d->width;
}

static float *_field_row(const dt_detail_t *d, int field, int i)
{
  return d->fields[field] + (size_t)i * (size_t)d->width;
}

/* --- the wavelet --- */

static float _spline(float a, float b, float c, float d, float e)
{
  return (a + e) * 0.0625f + (b + d) * 0.25f + c * 0.375f;
}

/* One row smoothed across with holes of @p step, mirrored at the edges. */
static void _smooth_across(const float *in, float *out, int n, int step)
{
  const int from = MIN(2 * step, n), to = MAX(from, n - 2 * step);
  for(int x = 0; x < n; x++)
  {
    if(x == from && to > from) x = to;
    if(x >= n) break;
    out[x] = _spline(in[dt_tile_mirror(x - 2 * step, n)], in[dt_tile_mirror(x - step, n)], in[x],
                     in[dt_tile_mirror(x + step, n)], in[dt_tile_mirror(x + 2 * step, n)]);
  }
  for(int x = from; x < to; x++)
    out[x] = _spline(in[x - 2 * step], in[x - step], in[x], in[x + step], in[x + 2 * step]);
}

/* The field smoothed with holes of 2^band. Rows too near the block's ends have no true neighbours; what they get is
 * wrong, reaches 62 rows inwards in the end and is not used. */
static void _smooth(const dt_detail_t *d, int field, int rows, int band)
{
  const int step = 1 << band;
  for(int i = 0; i < rows; i++)
    _smooth_across(_field_row(d, field, i), _field_row(d, SPARE, i), d->width, step);
  for(int i = 0; i < rows; i++)
  {
    const float *in[5];
    for(int k = 0; k < 5; k++) in[k] = _field_row(d, SPARE, CLAMP(i + (k - 2) * step, 0, rows - 1));
    float *out = _field_row(d, field, i);
    for(int x = 0; x < d->width; x++) out[x] = _spline(in[0][x], in[1][x], in[2][x], in[3][x], in[4][x]);
  }
}

static size_t _count(const dt_detail_t *d, int rows)
{
  return (size_t)rows * (size_t)d->width;
}

/* SQUARE becomes the local standard deviation of the residual. */
static void _find_sigma(const dt_detail_t *d, int rows)
{
  float *mean = d->fields[SMOOTH], *square = d->fields[SQUARE];
  const float *residual = d->fields[RESIDUAL];
  const size_t n = _count(d, rows);
  for(size_t i = 0; i < n; i++)
  {
    mean[i] = residual[i];
    square[i] = residual[i] * residual[i];
  }
  for(int band = 0; band < SIGMA_BANDS; band++)
  {
    _smooth(d, SMOOTH, rows, band);
    _smooth(d, SQUARE, rows, band);
  }
  for(size_t i = 0; i < n; i++) square[i] = sqrtf(MAX(square[i] - mean[i] * mean[i], 0.0f));
}

static float _soft(float v, float threshold)
{
  const float rest = fabsf(v) - threshold;
  return rest > 0 ? copysignf(rest, v) : 0.0f;
}

/* RESIDUAL -> TEXTURE */
static void _find_texture(const dt_detail_t *d, int rows)
{
  const size_t n = _count(d, rows);
  float *smooth = d->fields[SMOOTH], *texture = d->fields[TEXTURE], *finer = d->fields[RESIDUAL];
  const float *sigma = d->fields[SQUARE];
  _find_sigma(d, rows);
  memcpy(smooth, finer, n * sizeof(float));
  memset(texture, 0, n * sizeof(float));
  for(int band = 0; band < BANDS; band++)
  {
    _smooth(d, SMOOTH, rows, band);
    for(size_t i = 0; i < n; i++)
    {
      texture[i] += _soft(finer[i] - smooth[i], _thresholds[band] * sigma[i]);
      finer[i] = smooth[i];
    }
  }
  for(size_t i = 0; i < n; i++) texture[i] += smooth[i];
}

/* --- blocks --- */

/* What the network took from a sample. */
static float _taken(float original, float result)
{
  return fabsf(original) <= BRIGHTEST ? original - result : 0.0f;
}

/* The luminance of what the network took from picture row @p y. */
static void _subtract_row(const dt_detail_t *d, int y, float *out)
{
  memset(out, 0, (size_t)d->width * sizeof(float));
  for(int c = 0; c < d->colours; c++)
  {
    const float *original = _ring_row(d, y, 0, c), *result = _ring_row(d, y, 1, c);
    const float weight = d->colours == 1 ? 1.0f : _luminance[c];
    for(int x = 0; x < d->width; x++) out[x] += weight * _taken(original[x], result[x]);
  }
}

static gboolean _emit_row(dt_detail_t *d, int y, const float *texture, GError **error)
{
  float *strength = d->line, *planes[4];
  if(!d->strength(d->data, y, strength, error)) return FALSE;
  for(int c = 0; c < d->colours; c++)
  {
    const float *original = _ring_row(d, y, 0, c), *result = _ring_row(d, y, 1, c);
    planes[c] = d->line + (size_t)(2 + c) * (size_t)d->width;
    for(int x = 0; x < d->width; x++)
    {
      const float chroma = MAX(0.0f, 1.0f - strength[x] / CHROMA_STRENGTH);
      const float returned =
          (1.0f - strength[x]) * texture[x] + chroma * chroma * (_taken(original[x], result[x]) - texture[x]);
      /* without a detour where nothing is to be changed */
      planes[c][x] = strength[x] >= 1.0f   ? result[x]
                     : strength[x] <= 0.0f ? original[x]
                                           : result[x] + returned;
    }
  }
  if(d->channels > d->colours) planes[d->colours] = _ring_row(d, y, 0, d->colours);
  return d->emit(d->data, y, planes, error);
}

/* Finishes rows [rows_out, until). */
static gboolean _finish_block(dt_detail_t *d, int until, GError **error)
{
  const int first = d->rows_out - REACH, rows = until - d->rows_out + 2 * REACH;
  for(int i = 0; i < rows; i++)
  {
    const int y = CLAMP(dt_tile_mirror(first + i, d->height), MAX(0, d->rows_in - ROWS), d->rows_in - 1);
    _subtract_row(d, y, _field_row(d, RESIDUAL, i));
  }
  _find_texture(d, rows);
  for(; d->rows_out < until; d->rows_out++)
    if(!_emit_row(d, d->rows_out, _field_row(d, TEXTURE, d->rows_out - first), error)) return FALSE;
  return TRUE;
}

gboolean dt_detail_push(dt_detail_t *d, int y, const float *const *original, const float *const *result,
                        GError **error)
{
  for(int c = 0; c < d->channels; c++)
    memcpy(_ring_row(d, y, 0, c), original[c], (size_t)d->width * sizeof(float));
  for(int c = 0; c < d->colours; c++)
    memcpy(_ring_row(d, y, 1, c), result[c], (size_t)d->width * sizeof(float));
  d->rows_in = y + 1;
  if(d->rows_in < d->height)
    return d->rows_in - d->rows_out < BLOCK + REACH || _finish_block(d, d->rows_out + BLOCK, error);
  while(d->rows_out < d->height)
    if(!_finish_block(d, MIN(d->rows_out + BLOCK, d->height), error)) return FALSE;
  return TRUE;
}
