/* SPDX-License-Identifier: GPL-3.0-or-later */
/** @file
 * Arithmetic of the working space, linear Rec.2020 (D65), that modules between colorin and colorout share.
 *
 * Matrices follow from the primaries and the white of ITU-R BT.709 and BT.2020 (x, y of D65: 0.3127, 0.3290) as in
 * SMPTE RP 177: the columns are the primaries' XYZ, scaled so that their sum is the white's.
 *
 * Functions are written so that loops over pixels become vector code, and so that kernels can do the same in the same
 * order.
 */
#ifndef DT_IOP_WORKING_H
#define DT_IOP_WORKING_H

#include "iop/iop.h"

G_BEGIN_DECLS

/** The linear light that middle grey is: a card of 18.45 % (L* 50). */
#define DT_WORKING_GREY 0.1845

/** Light beyond this size is taken for this size: what is computed of it stays a number. */
#define DT_WORKING_MOST 1e30f
/** What is smaller is no divisor: devices may take it for 0. */
#define DT_WORKING_LEAST 1e-30f

/** A matrix as kernels take it, row by row; the fourth column is for a fourth colour, or 0. */
typedef struct dt_working_matrix_t
{
  float row[3][4];
} dt_working_matrix_t;

static const dt_working_matrix_t dt_working_from_rec709 = { { { 0.627403896f, 0.329283038f, 0.043313066f },
                                                              { 0.069097289f, 0.919540395f, 0.011362316f },
                                                              { 0.016391439f, 0.088013308f,
                                                                0.895595253f } } };
static const dt_working_matrix_t dt_working_to_rec709 = { { { 1.660491002f, -0.587641139f, -0.072849863f },
                                                            { -0.124550475f, 1.132899897f, -0.008349423f },
                                                            { -0.018150763f, -0.100578898f,
                                                              1.118729661f } } };
/** Luminance of Rec.2020: the middle row of its matrix to XYZ. */
static const float dt_working_luminance[4] = { 0.262700212f, 0.677998072f, 0.059301716f };

typedef struct dt_rgb_t
{
  float r, g, b;
} dt_rgb_t;

static inline float dt_working_min(float a, float b)
{
  return a < b ? a : b;
}

static inline float dt_working_max(float a, float b)
{
  return a > b ? a : b;
}

static inline float dt_working_clamp(float x, float least, float most)
{
  return dt_working_min(dt_working_max(x, least), most);
}

static inline float dt_working_least(dt_rgb_t p)
{
  return dt_working_min(dt_working_min(p.r, p.g), p.b);
}

static inline float dt_working_most(dt_rgb_t p)
{
  return dt_working_max(dt_working_max(p.r, p.g), p.b);
}

/** The colour of a pixel, within ±DT_WORKING_MOST. */
static inline dt_rgb_t dt_working_load(const float *pixel)
{
  return (dt_rgb_t){ dt_working_clamp(pixel[0], -DT_WORKING_MOST, DT_WORKING_MOST),
                     dt_working_clamp(pixel[1], -DT_WORKING_MOST, DT_WORKING_MOST),
                     dt_working_clamp(pixel[2], -DT_WORKING_MOST, DT_WORKING_MOST) };
}

static inline void dt_working_store(dt_rgb_t p, float *pixel)
{
  pixel[0] = p.r;
  pixel[1] = p.g;
  pixel[2] = p.b;
}

static inline float dt_working_dot(const float row[4], dt_rgb_t p)
{
  return row[0] * p.r + row[1] * p.g + row[2] * p.b;
}

static inline dt_rgb_t dt_working_multiply(const dt_working_matrix_t *m, dt_rgb_t p)
{
  return (dt_rgb_t){ dt_working_dot(m->row[0], p), dt_working_dot(m->row[1], p),
                     dt_working_dot(m->row[2], p) };
}

G_END_DECLS

#endif
