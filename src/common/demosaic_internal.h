/* SPDX-License-Identifier: GPL-3.0-or-later */
/** @file
 * Between the source of rows and the methods: one band of the picture with a margin on all sides, as planes.
 */
#ifndef DT_COMMON_DEMOSAIC_INTERNAL_H
#define DT_COMMON_DEMOSAIC_INTERNAL_H

#include "common/mosaic.h"

G_BEGIN_DECLS

/** Rows and columns around a band: more than any method looks at, and whole periods of every filter array, so that a
 * plane's first site has the colour of the picture's. */
#define DT_DEMOSAIC_MARGIN 12
/** How far any method looks. */
#define DT_DEMOSAIC_METHOD_REACH 8
/** Planes a method may use as it likes; only of Bayer. */
#define DT_DEMOSAIC_SCRATCH 4

/** All planes are of the same size. What a method writes into the margin does not matter. */
typedef struct dt_demosaic_band_t
{
  const dt_mosaic_t *mosaic;
  int width, rows;    ///< of the planes, margins included
  const float *sites; ///< balanced samples of the band; beyond the picture's edges what could have been there
  float *colours[4];  ///< to be filled, in the order of DT_SITE_…
  float *scratch[DT_DEMOSAIC_SCRATCH];
} dt_demosaic_band_t;

/** Colour of the site at (@p x, @p y) of the planes. */
static inline int dt_demosaic_colour(const dt_demosaic_band_t *band, int x, int y)
{
  return dt_mosaic_colour(band->mosaic, x, y);
}

/** Pixels around the picture for which dt_demosaic_follow() needs green. */
#define DT_DEMOSAIC_FOLLOW_REACH 3
/** Fills red and blue where green is known, and makes green better by them. Of three colours. */
void dt_demosaic_follow(const dt_demosaic_band_t *band);

/** Fills green where there is none, for dt_demosaic_follow(). Of DT_SENSOR_BAYER: ratio-corrected. */
void dt_demosaic_bayer_green(const dt_demosaic_band_t *band);

/** Bytes that X-Trans takes besides, at most. */
#define DT_DEMOSAIC_XTRANS_MEMORY ((size_t)3 << 20)
/** The weights with which directions are interpolated. */
typedef struct dt_demosaic_xtrans_t dt_demosaic_xtrans_t;
dt_demosaic_xtrans_t *dt_demosaic_xtrans_new(const dt_mosaic_t *mosaic);
void dt_demosaic_xtrans_free(dt_demosaic_xtrans_t *xtrans);
/** The weights for those who interpolate elsewhere: [4 directions][6 rows][6 columns of the period][3 colours][25 sites
 * around, row by row]. Stay @p xtrans'. */
const float *dt_demosaic_xtrans_weights(const dt_demosaic_xtrans_t *xtrans, size_t *bytes);
/** Of DT_SENSOR_XTRANS: what the most homogeneous of four directions say.
 * @return FALSE with DT_AI_ERROR_MEMORY */
gboolean dt_demosaic_xtrans_green(const dt_demosaic_xtrans_t *xtrans, const dt_demosaic_band_t *band,
                                  GError **error);

G_END_DECLS

#endif
