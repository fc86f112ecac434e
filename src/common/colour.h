/* SPDX-License-Identifier: GPL-3.0-or-later */
/** @file
 * Transfer curves and small matrices, without a libm call per sample.
 *
 * All curves are odd functions, f(-x) = -f(x), and go on above 1: noise below black, highlights and
 * colours outside the gamut keep their values through every conversion and back.
 */
#ifndef DT_COMMON_COLOUR_H
#define DT_COMMON_COLOUR_H

#include <glib.h>

/** A parametric transfer curve from encoded value to linear light (ICC parametric type 4):
 * y = (a·x + b)^g + e for x >= d, y = c·x + f below; odd for negative x. */
typedef struct dt_curve_t
{
  double g, a, b, c, d, e, f;
} dt_curve_t;

extern const dt_curve_t dt_curve_linear;   ///< y = x
extern const dt_curve_t dt_curve_srgb;     ///< IEC 61966-2-1
extern const dt_curve_t dt_curve_adobergb; ///< gamma 563/256
extern const dt_curve_t dt_curve_prophoto; ///< ROMM RGB, 1.8 with linear toe
extern const dt_curve_t dt_curve_rec2020;  ///< ITU-R BT.2020 OETF, inverted

/** linear = curve(encoded) for @p n samples; @p out may be @p in. Relative error below 4e-7. */
void dt_curve_decode(const dt_curve_t *curve, const float *in, float *out, size_t n);
/** encoded = curve^-1(linear) for @p n samples; @p out may be @p in. Relative error below 4e-7. */
void dt_curve_encode(const dt_curve_t *curve, const float *in, float *out, size_t n);

/** The sRGB pair (IEC 61966-2-1), the hot path of restoration. */
void dt_srgb_decode(const float *in, float *out, size_t n);
void dt_srgb_encode(const float *in, float *out, size_t n);

/** Multiplies @p n interleaved RGB pixels, @p stride floats apart (3 or 4), by a 3×3 row-major
 * matrix in place. */
void dt_matrix_apply(const float m[9], float *pixels, size_t n, int stride);

#endif
