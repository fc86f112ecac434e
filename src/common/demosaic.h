/* SPDX-License-Identifier: GPL-3.0-or-later */
/** @file
 * Full colour for every pixel of a sensor with a filter array, band by band.
 */
#ifndef DT_COMMON_DEMOSAIC_H
#define DT_COMMON_DEMOSAIC_H

#include "common/mosaic.h"

typedef enum dt_demosaic_method_t
{
  DT_DEMOSAIC_BEST, ///< green of Bayer ratio-corrected (RCD), of X-Trans directed by homogeneity, and the other colours
                    ///< after it; of four colours as below
  DT_DEMOSAIC_BILINEAR, ///< the plain mean of the nearest sites
} dt_demosaic_method_t;

/** Sites further away than this, in columns or rows, do not change a pixel: a part of a picture with so much around it is
 * that part of the whole picture's result, bit for bit. */
#define DT_DEMOSAIC_REACH 11
/** Rows that a source makes at a time: several sources that share a picture do best with whole bands each. */
#define DT_DEMOSAIC_BAND 120

/** A source of rows of normalised camera RGB (DT_ROW_CAMERA_RGB, 0 black, 1 saturated, not white balanced); of four
 * colours four channels, of any size from 1×1. DT_SENSOR_LINEAR passes as it is.
 *
 * Values below 0 and above 1 pass; the sample of a site is its pixel's value of that colour, bit for bit. Any band of
 * rows is the same as that part of the whole picture's result. Unlike others this source lets rows be read again, and
 * in any order. Reading fails with DT_AI_ERROR_MEMORY alone; until the first row is read little memory is taken.
 *
 * @param mosaic   borrowed for the source's life
 * @param neutral  response to white of the site's colours (4), by which they are balanced while directions are sought
 *                 and which is taken back; NULL: none
 * @return transfer full: dt_row_source_destroy() */
dt_row_source_t *dt_demosaic_source(const dt_mosaic_t *mosaic, const double neutral[4],
                                    dt_demosaic_method_t method);

#endif
