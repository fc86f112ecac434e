/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The kernels' arithmetic in the same order of operations, rows shared among the cores. */
#include "libs/opencl_cpu.h"

#define CHANNELS 4

void dt_opencl_cpu_exposure(const float *in, float *out, int width, int height, float black, float scale)
{
#pragma omp parallel for
  for(int y = 0; y < height; y++)
    for(size_t i = (size_t)y * (size_t)width * CHANNELS; i < (size_t)(y + 1) * (size_t)width * CHANNELS;
        i += CHANNELS)
    {
      for(size_t c = 0; c < 3; c++) out[i + c] = (in[i + c] - black) * scale;
      out[i + 3] = in[i + 3];
    }
}

void dt_opencl_cpu_matrix(const float *in, float *out, int width, int height, const float *matrix)
{
#pragma omp parallel for
  for(int y = 0; y < height; y++)
    for(size_t i = (size_t)y * (size_t)width * CHANNELS; i < (size_t)(y + 1) * (size_t)width * CHANNELS;
        i += CHANNELS)
    {
      const float r = in[i], g = in[i + 1], b = in[i + 2];
      for(size_t c = 0; c < 3; c++)
        out[i + c] = matrix[3 * c] * r + matrix[3 * c + 1] * g + matrix[3 * c + 2] * b;
      out[i + 3] = in[i + 3];
    }
}

/* One pixel of a blur, @p step floats between neighbours, at @p place of @p size. */
static void _weigh(const float *in, float *out, size_t step, int place, int size, int radius,
                   const float *taps)
{
  float sum[CHANNELS];
  for(int c = 0; c < CHANNELS; c++) sum[c] = taps[0] * in[c];
  for(int k = 1; k <= radius; k++)
  {
    const float *before = in - (size_t)MIN(k, place) * step;
    const float *behind = in + (size_t)MIN(k, size - 1 - place) * step;
    for(int c = 0; c < CHANNELS; c++) sum[c] += taps[k] * (before[c] + behind[c]);
  }
  for(int c = 0; c < CHANNELS; c++) out[c] = sum[c];
}

void dt_opencl_cpu_blur_rows(const float *in, float *out, int width, int height, int radius,
                             const float *taps)
{
#pragma omp parallel for
  for(int y = 0; y < height; y++)
    for(int x = 0; x < width; x++)
    {
      const size_t at = ((size_t)y * (size_t)width + (size_t)x) * CHANNELS;
      _weigh(in + at, out + at, CHANNELS, x, width, radius, taps);
    }
}

void dt_opencl_cpu_blur_columns(const float *in, float *out, int width, int height, int radius,
                                const float *taps)
{
#pragma omp parallel for
  for(int y = 0; y < height; y++)
    for(int x = 0; x < width; x++)
    {
      const size_t at = ((size_t)y * (size_t)width + (size_t)x) * CHANNELS;
      _weigh(in + at, out + at, (size_t)width * CHANNELS, y, height, radius, taps);
    }
}

/* Where a sample lies between two of the source. */
typedef struct _between_t
{
  size_t first, second;
  float fraction; /* of the second */
} _between_t;

static _between_t _between(int place, int size, int in_size)
{
  const float at =
      CLAMP(((float)place + 0.5f) * (float)in_size / (float)size - 0.5f, 0.0f, (float)in_size - 1.0f);
  const int first = (int)at;
  return (_between_t){ (size_t)first, (size_t)MIN(first + 1, in_size - 1), at - (float)first };
}

void dt_opencl_cpu_scale(const float *in, int in_width, int in_height, float *out, int width, int height)
{
  const size_t stride = (size_t)in_width * CHANNELS;
#pragma omp parallel for
  for(int y = 0; y < height; y++)
  {
    const _between_t v = _between(y, height, in_height);
    for(int x = 0; x < width; x++)
    {
      const _between_t h = _between(x, width, in_width);
      float *to = out + ((size_t)y * (size_t)width + (size_t)x) * CHANNELS;
      for(size_t c = 0; c < CHANNELS; c++)
      {
        const float *column = in + c;
        const float above = column[v.first * stride + h.first * CHANNELS] * (1.0f - h.fraction)
                            + column[v.first * stride + h.second * CHANNELS] * h.fraction;
        const float below = column[v.second * stride + h.first * CHANNELS] * (1.0f - h.fraction)
                            + column[v.second * stride + h.second * CHANNELS] * h.fraction;
        to[c] = above * (1.0f - v.fraction) + below * v.fraction;
      }
    }
  }
}
