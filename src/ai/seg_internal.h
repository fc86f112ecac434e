/* SPDX-License-Identifier: GPL-3.0-or-later */
/** @file
 * What the files of seg_edges share: planes, where their samples lie, and work in chunks on several threads.
 */
#ifndef DT_AI_SEG_INTERNAL_H
#define DT_AI_SEG_INTERNAL_H

#include "ai/seg_edges.h"

#define DT_SEG_SURE 8.0f      /* a logit that leaves no doubt: 0.99966 */
#define DT_SEG_WORK_SIDE 2048 /* longest side of what is worked on between logits and mask */

/** Wide vectors where the processor has them; without contraction the results are the same. */
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__) && !defined(__SANITIZE_ADDRESS__)        \
    && !defined(__SANITIZE_THREAD__)
#define DT_SEG_WIDE __attribute__((target_clones("avx2", "default")))
#else
#define DT_SEG_WIDE
#endif

/** Samples of @p channels floats each. */
typedef struct dt_seg_plane_t
{
  float *values;
  int width, height, channels;
} dt_seg_plane_t;

/** @return FALSE without memory; the plane is not cleared */
gboolean dt_seg_plane_init(dt_seg_plane_t *plane, int width, int height, int channels);
void dt_seg_plane_cleanup(dt_seg_plane_t *plane);
static inline float *dt_seg_plane_row(const dt_seg_plane_t *plane, int y)
{
  return plane->values + (size_t)y * (size_t)plane->width * (size_t)plane->channels;
}

/** For each pixel of a row the sample before it and the part of the way to the next: pixel i's centre lies at
 * (i + 0.5) step - 0.5, within the @p samples there are. */
typedef struct dt_seg_axis_t
{
  int *at;
  float *part;
} dt_seg_axis_t;
void dt_seg_axis_init(dt_seg_axis_t *axis, int pixels, double step, int samples);
void dt_seg_axis_cleanup(dt_seg_axis_t *axis);

/** Row @p y of the samples, between two of them, into @p out, which has room for one sample more: the last again. */
void dt_seg_mix_rows(const dt_seg_plane_t *plane, const dt_seg_axis_t *axis, int y, float *out);
/** One channel of such a row at @p pixels pixels. */
void dt_seg_mix_columns(const float *row, const dt_seg_axis_t *axis, int pixels, float *out);

/** 1 / (1 + exp(-x)), error below 2e-7; in place. */
void dt_seg_sigmoid(float *values, size_t n);

typedef struct dt_seg_job_t
{
  int threads;
  GCancellable *cancellable;
} dt_seg_job_t;
typedef void (*dt_seg_work_t)(void *data, int chunk);
/** Does chunks 0 to @p chunks - 1, in any order, and waits for them. @return FALSE when cancelled in between */
gboolean dt_seg_run(const dt_seg_job_t *job, int chunks, dt_seg_work_t work, void *data);

/** Fills holes of up to @p area samples (negative: all), removes specks of up to that (negative: all but the largest).
 * @return FALSE when cancelled or without memory */
gboolean dt_seg_fill_holes(const dt_seg_job_t *job, dt_seg_plane_t *logits, double area);
gboolean dt_seg_remove_specks(const dt_seg_job_t *job, dt_seg_plane_t *logits, double area);

/** Moves the outline by @p by, where samples lie @p step_x and @p step_y apart. As above. */
gboolean dt_seg_grow(const dt_seg_job_t *job, dt_seg_plane_t *logits, double by, double step_x,
                     double step_y);

/** Coefficients a red + b green + c blue + d (colours from 0 to 255) on a grid of its own, for a mask of @p width ×
 * @p height.
 * @param step_x, step_y  samples of @p logits per pixel of the mask
 * @param fit             receives four channels; clean it up
 * @return FALSE when cancelled or without memory */
gboolean dt_seg_guide_fit(const dt_seg_job_t *job, const dt_seg_plane_t *logits, double step_x, double step_y,
                          const dt_seg_guide_t *guide, int radius, int width, int height,
                          dt_seg_plane_t *fit);

#endif
