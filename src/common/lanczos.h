/* SPDX-License-Identifier: GPL-3.0-or-later */
/** @file
 * Lanczos' kernel with three lobes, and what one axis of a picture in another size is made of.
 */
#ifndef DT_COMMON_LANCZOS_H
#define DT_COMMON_LANCZOS_H

#include <glib.h>

#define DT_LANCZOS_LOBES 3

/** sinc(x) sinc(x/3) for |x| < 3, else 0. */
double dt_lanczos(double x);

/** Of each sample of one axis in another size: @c taps weights, the first for input sample first[i]. Where the picture
 * gets smaller the kernel is widened by the factor. */
typedef struct dt_lanczos_axis_t
{
  int from, to; ///< samples in and out, at least 1
  int taps;     ///< at most from
  int *first;
  float *weights; ///< to x taps; those of a sample have the sum 1
} dt_lanczos_axis_t;

/** Samples lie in the middle of their pixels; the share of those beyond an edge falls to the sample at it.
 * @return FALSE: there is no memory. dt_lanczos_axis_clear() in any case */
gboolean dt_lanczos_axis_init(dt_lanczos_axis_t *axis, int from, int to);
/** Of one that is all 0, too. */
void dt_lanczos_axis_clear(dt_lanczos_axis_t *axis);

#endif
