/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Planes of floats: where samples lie, values between them, and chunks of rows on several threads. */
#include "ai/seg_internal.h"
#include "common/memory.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define MAX_THREADS 16

gboolean dt_seg_plane_init(dt_seg_plane_t *plane, int width, int height, int channels)
{
  plane->width = width;
  plane->height = height;
  plane->channels = channels;
  plane->values = dt_memory_try_large((size_t)width * (size_t)height, (size_t)channels * sizeof(float));
  return plane->values != NULL;
}

void dt_seg_plane_cleanup(dt_seg_plane_t *plane)
{
  free(plane->values);
  plane->values = NULL;
}

void dt_seg_axis_init(dt_seg_axis_t *axis, int pixels, double step, int samples)
{
  axis->at = g_new(int, pixels);
  axis->part = g_new(float, pixels);
  for(int i = 0; i < pixels; i++)
  {
    const double at = CLAMP((i + 0.5) * step - 0.5, 0, samples - 1);
    axis->at[i] = (int)at;
    axis->part[i] = (float)(at - (int)at);
  }
}

void dt_seg_axis_cleanup(dt_seg_axis_t *axis)
{
  g_clear_pointer(&axis->at, g_free);
  g_clear_pointer(&axis->part, g_free);
}

DT_SEG_WIDE void dt_seg_mix_rows(const dt_seg_plane_t *plane, const dt_seg_axis_t *axis, int y, float *out)
{
  const size_t n = (size_t)plane->width * (size_t)plane->channels, c = (size_t)plane->channels;
  const float part = axis->part[y];
  const float *above = dt_seg_plane_row(plane, axis->at[y]);
  const float *below = part > 0 ? above + n : above;
  for(size_t i = 0; i < n; i++) out[i] = above[i] + part * (below[i] - above[i]);
  memcpy(out + n, out + n - c, c * sizeof(float));
}

DT_SEG_WIDE void dt_seg_mix_columns(const float *row, const dt_seg_axis_t *axis, int pixels, float *out)
{
  const int *at = axis->at;
  const float *part = axis->part;
  for(int i = 0; i < pixels; i++) out[i] = row[at[i]] + part[i] * (row[at[i] + 1] - row[at[i]]);
}

/* exp(-x) = 2^k 2^f with f within ±0.5 by its series, 2^k by the bits of a float. */
DT_SEG_WIDE void dt_seg_sigmoid(float *values, size_t n)
{
  for(size_t i = 0; i < n; i++)
  {
    const float x = values[i], t = (x < -87 ? -87 : x > 87 ? 87 : x) * -1.44269504f;
    const int32_t k = (int32_t)(t + (t < 0 ? -0.5f : 0.5f));
    const float f = t - (float)k;
    float e = 0.00133335581f + f * 0.000154035304f;
    e = 0.0555041087f + f * (0.00961812911f + f * e);
    e = 1 + f * (0.693147181f + f * (0.240226507f + f * e));
    union
    {
      int32_t bits;
      float value;
    } power = { .bits = (k + 127) * (1 << 23) };
    values[i] = 1 / (1 + e * power.value);
  }
}

/* --- threads --- */

typedef struct _run_t
{
  GCancellable *cancellable;
  int chunks;
  dt_seg_work_t work;
  void *data;
  int next; /* atomic */
} _run_t;

static void *_work(void *data)
{
  _run_t *run = data;
  for(;;)
  {
    const int chunk = g_atomic_int_add(&run->next, 1);
    if(chunk >= run->chunks || g_cancellable_is_cancelled(run->cancellable)) return NULL;
    run->work(run->data, chunk);
  }
}

gboolean dt_seg_run(const dt_seg_job_t *job, int chunks, dt_seg_work_t work, void *data)
{
  _run_t run = { job->cancellable, chunks, work, data, 0 };
  const int wanted = MIN(MIN(job->threads, MAX_THREADS), chunks) - 1;
  GThread *threads[MAX_THREADS];
  int n = 0;
  /* the machine may refuse one; then there are fewer */
  while(n < wanted && (threads[n] = g_thread_try_new("mask edges", _work, &run, NULL))) n++;
  _work(&run);
  while(n > 0) g_thread_join(threads[--n]);
  return !g_cancellable_is_cancelled(job->cancellable);
}
