/* SPDX-License-Identifier: GPL-3.0-or-later */
/** @file
 * What the kernels of `kernels/` compute, on the CPU: to judge a device's numbers and its speed by.
 *
 * Pictures are interleaved floats, four for each pixel.
 */
#ifndef DT_LIBS_OPENCL_CPU_H
#define DT_LIBS_OPENCL_CPU_H

#include <glib.h>

/** See `exposure` in basic.cl. */
void dt_opencl_cpu_exposure(const float *in, float *out, int width, int height, float black, float scale);
/** See `colour_matrix` in basic.cl; nine numbers, row by row. */
void dt_opencl_cpu_matrix(const float *in, float *out, int width, int height, const float *matrix);
/** See `blur_rows` and `blur_columns` in gaussian.cl; radius + 1 weights. */
void dt_opencl_cpu_blur_rows(const float *in, float *out, int width, int height, int radius,
                             const float *taps);
void dt_opencl_cpu_blur_columns(const float *in, float *out, int width, int height, int radius,
                                const float *taps);
/** See `scale_bilinear` in scale.cl. */
void dt_opencl_cpu_scale(const float *in, int in_width, int in_height, float *out, int width, int height);

#endif
