/* SPDX-License-Identifier: GPL-3.0-or-later */
/** @file
 * Planes and rows in other sizes, for what goes into a mask model.
 *
 * Pixels lie in squares: output pixel i sees the place (i + 0.5) * step of the input, so nothing is shifted.
 */
#ifndef DT_AI_SEG_RESIZE_H
#define DT_AI_SEG_RESIZE_H

#include <glib.h>

/** Which inputs an output is made of, and how much of each. */
typedef struct dt_seg_filter_t
{
  int n;          ///< outputs
  int taps;       ///< of each, at most
  int *first;     ///< input of the first tap
  int *count;     ///< taps it has
  float *weights; ///< n × taps, sums are 1
} dt_seg_filter_t;

/** Linear interpolation of @p in samples, continued by the outermost.
 * @param step       inputs per output
 * @param antialias  outputs that are wider than an input take the mean of all they cover, with a triangle as wide */
void dt_seg_filter_init(dt_seg_filter_t *filter, int in, int out, double step, gboolean antialias);
void dt_seg_filter_cleanup(dt_seg_filter_t *filter);

/** The weight of row @p y in output @p i, 0 where it has no part in it. */
float dt_seg_filter_weight(const dt_seg_filter_t *filter, int i, int y);

/** @p in (width × height) to @p out (out_width × out_height, rows @p stride floats apart), antialiased; @p out is added to.
 * @param step_x, step_y  inputs per output */
void dt_seg_resize(const float *in, int width, int height, double step_x, double step_y, float *out,
                   int out_width, int out_height, size_t stride);

#endif
