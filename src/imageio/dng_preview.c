/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The small pictures of a DNG, from the rows that go into it: averaged in camera RGB, then balanced, in Rec.709 and
 * through a plain tone curve, as a raw developer would show it at first. */
#include "imageio/dng_internal.h"

#include <math.h>

/** How much the darkest tones are lifted: a sensor is exposed for the highlights. */
#define TONE_GAIN 2.5f

struct dt_dng_preview_t
{
  dt_dng_crop_t crop;
  int width, height;
  float *sums;  ///< camera RGB: sums of the pixels that passed
  int *columns; ///< of each column of the crop: where it goes
  float neutral[3], matrix[9];
  float gain;
};

/** Sides with the proportions of @p width × @p height, none longer than @p side. */
static void _fit(int width, int height, int side, int *fit_width, int *fit_height)
{
  const double factor = MIN(1.0, (double)side / MAX(width, height));
  *fit_width = MAX(1, (int)lround(width * factor));
  *fit_height = MAX(1, (int)lround(height * factor));
}

/** The pixel of a row of @p small that the pixel @p i of @p large falls into. */
static int _scale_index(int i, int large, int small)
{
  return (int)((int64_t)i * small / large);
}

/** How many pixels of @p large fall into the pixel @p i of @p small. */
static int _count(int i, int large, int small)
{
  const int64_t first = ((int64_t)i * large + small - 1) / small,
                next = ((int64_t)(i + 1) * large + small - 1) / small;
  return (int)(next - first);
}

dt_dng_preview_t *dt_dng_preview_create(const dt_raw_t *raw)
{
  dt_dng_preview_t *self = g_new0(dt_dng_preview_t, 1);
  double neutral[3];
  self->crop = dt_dng_get_crop(raw);
  _fit(self->crop.width, self->crop.height, DT_DNG_PREVIEW_SIDE, &self->width, &self->height);
  self->sums = g_new0(float, (size_t)self->width *(size_t)self->height * 3);
  self->columns = g_new(int, self->crop.width);
  for(int x = 0; x < self->crop.width; x++) self->columns[x] = _scale_index(x, self->crop.width, self->width);
  dt_dng_get_neutral(raw, neutral);
  dt_dng_get_rec709(raw, self->matrix);
  for(int c = 0; c < 3; c++) self->neutral[c] = (float)neutral[c];
  self->gain = exp2f((float)CLAMP(raw->baseline_exposure, -4.0, 4.0));
  return self;
}

void dt_dng_preview_push(dt_dng_preview_t *preview, int y, const float *row)
{
  const int inside = y - preview->crop.y;
  if(inside < 0 || inside >= preview->crop.height) return;
  const int to = _scale_index(inside, preview->crop.height, preview->height);
  float *sums = preview->sums + (size_t)to * (size_t)preview->width * 3;
  row += 3 * (size_t)preview->crop.x;
  for(int x = 0; x < preview->crop.width; x++, row += 3)
    for(int c = 0; c < 3; c++)
      if(isfinite(row[c])) sums[3 * preview->columns[x] + c] += row[c];
}

size_t dt_dng_preview_memory(const dt_dng_preview_t *preview)
{
  const size_t pixels = (size_t)preview->width * (size_t)preview->height;
  // and the bytes that are made of them at the end
  return pixels * 3 * (sizeof(float) + 1) + (size_t)preview->crop.width * sizeof(int);
}

/** Balanced, cut where the first channel saturates, so that highlights are white, and in linear Rec.709. */
static void _develop(const dt_dng_preview_t *self, float *pixels, size_t n)
{
  for(size_t i = 0; i < 3 * n; i++) pixels[i] = MIN(pixels[i] / self->neutral[i % 3], 1.0f);
  dt_matrix_apply(self->matrix, pixels, n, 3);
}

/** Rolls highlights off: g·x·(1 + x/g) / (1 + g·x), where 1 stays 1 (Reinhard et al., Photographic Tone Reproduction
 * for Digital Images, 2002, equation 4 with the white point at g). */
static void _apply_tone(const dt_dng_preview_t *self, float *values, size_t n)
{
  for(size_t i = 0; i < n; i++)
  {
    const float lifted = values[i] * self->gain;
    const float x = lifted > 0.0f ? MIN(lifted, 1.0f) : 0.0f; // what is no number, too
    values[i] = x * (TONE_GAIN + x) / (1.0f + TONE_GAIN * x);
  }
}

/** Adds row @p y to a row of @p small pixels, each as the mean of what has passed there. */
static void _add_row(const dt_dng_preview_t *self, int y, int small, float *out)
{
  const float *sums = self->sums + 3 * (size_t)y * (size_t)self->width;
  const int rows = _count(y, self->crop.height, self->height);
  for(int x = 0; x < self->width; x++, sums += 3)
  {
    const float pixels = (float)rows * (float)_count(x, self->crop.width, self->width);
    float *to = out + 3 * _scale_index(x, self->width, small);
    for(int c = 0; c < 3; c++) to[c] += sums[c] / pixels;
  }
}

/** Averages what falls into row @p y of a picture of @p small × @p rows pixels. */
static void _average_row(const dt_dng_preview_t *self, int y, int small, int rows, float *out)
{
  const int first = (int)(((int64_t)y * self->height + rows - 1) / rows), n = _count(y, self->height, rows);
  for(int i = 0; i < 3 * small; i++) out[i] = 0.0f;
  for(int k = 0; k < n; k++) _add_row(self, first + k, small, out);
  for(int i = 0; i < 3 * small; i++) out[i] /= (float)(n * _count(i / 3, self->width, small));
}

dt_dng_picture_t dt_dng_preview_render(const dt_dng_preview_t *preview, int side)
{
  dt_dng_picture_t picture = { 0 };
  _fit(preview->width, preview->height, side, &picture.width, &picture.height);
  const size_t width = (size_t)picture.width;
  float *row = g_new0(float, width * 3);
  picture.pixels = g_malloc(width * 3 * (size_t)picture.height);
  for(int y = 0; y < picture.height; y++)
  {
    _average_row(preview, y, picture.width, picture.height, row);
    _develop(preview, row, width);
    _apply_tone(preview, row, width * 3);
    dt_srgb_encode(row, row, width * 3);
    for(size_t i = 0; i < width * 3; i++)
      picture.pixels[(size_t)y * width * 3 + i] = (uint8_t)(CLAMP(row[i], 0.0f, 1.0f) * 255.0f + 0.5f);
  }
  g_free(row);
  return picture;
}

void dt_dng_preview_destroy(dt_dng_preview_t *preview)
{
  if(!preview) return;
  g_free(preview->sums);
  g_free(preview->columns);
  g_free(preview);
}
