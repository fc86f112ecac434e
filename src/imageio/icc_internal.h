/* SPDX-License-Identifier: GPL-3.0-or-later */
/** @file
 * A colour profile taken apart: shared by icc.c, which reads it, and convert.c, which applies it.
 */
#ifndef DT_IMAGEIO_ICC_INTERNAL_H
#define DT_IMAGEIO_ICC_INTERNAL_H

#include "imageio/imageio_internal.h"

#include <lcms2.h>

/** A tone curve from encoded to linear: a formula, or a table of @p size points over 0..1. */
typedef struct dt_trc_t
{
  dt_curve_t curve;
  float *table; ///< rising, NULL for a formula
  int size;
} dt_trc_t;

struct dt_icc_t
{
  int colours;
  char *name;
  char *message;       ///< the first complaint of Little CMS, or NULL
  gboolean is_general; ///< not curves and a matrix: goes through the transforms
  gboolean is_rec709;  ///< no matrix needed
  gboolean untouched;  ///< nothing is converted: rows are the file's own values
  gboolean one_curve;  ///< all colours share trc[0]
  dt_trc_t trc[3];
  double to_rec709[9]; ///< row-major
  double from_rec709[9];
  float *luts;     ///< decoding tables for 8 or 16 bit, one per curve, or NULL
  size_t lut_size; ///< entries of one table
  cmsContext context;
  cmsHPROFILE profile;
  cmsHTRANSFORM decode, encode; ///< float transforms of the general way
  dt_imageio_intent_t intent;   ///< of the latter
};

/** Curve of a profile on @p n samples; odd, and linear above the table's end. */
void dt_trc_decode(const dt_trc_t *trc, const float *in, float *out, size_t n);
void dt_trc_encode(const dt_trc_t *trc, const float *in, float *out, size_t n);
/** Solves m × x = y; FALSE when @p m has no inverse. */
gboolean dt_icc_solve(const double m[9], const double y[3], double x[3]);
/** Fills the decoding tables for 8 and 16-bit samples; does nothing for others. */
void dt_icc_fill_luts(dt_icc_t *icc, dt_sample_t sample);

#endif
