/* SPDX-License-Identifier: GPL-3.0-or-later */
/** @file
 * The picture as a sensor saw it: one sample per pixel behind a filter array, or several per pixel, in memory, still
 * with its black and white levels.
 *
 * Rows come out normalised: 0 is black and 1 the level at which the sensor is saturated, both of the sample's own
 * site. Nothing is cut off: noise goes below 0, and some sensors go on above 1. Only of floating point what is no number
 * becomes 0, and what is beyond ±DT_MOSAIC_LARGEST that.
 */
#ifndef DT_COMMON_MOSAIC_H
#define DT_COMMON_MOSAIC_H

#include "rows.h"

G_BEGIN_DECLS

/** Longest period of a filter array, that of X-Trans. */
#define DT_MOSAIC_PERIOD 6
/** Largest sample of floating point, that of the half floats in which such samples are mostly stored. */
#define DT_MOSAIC_LARGEST 65504.0f

typedef enum dt_sensor_t
{
  DT_SENSOR_BAYER,  ///< 2×2 sites of red, green, green, blue in any of the four phases
  DT_SENSOR_XTRANS, ///< 6×6 sites of three colours
  DT_SENSOR_FOUR,   ///< 2×2 sites of four colours (RGBE, CYGM)
  DT_SENSOR_LINEAR, ///< three samples per pixel: Foveon, reduced raws, LinearRaw
} dt_sensor_t;

/** The colours of sites, and the samples of a pixel in this order. */
enum
{
  DT_SITE_RED,
  DT_SITE_GREEN,
  DT_SITE_BLUE,
  DT_SITE_FOURTH, ///< only with DT_SENSOR_FOUR
};

/** A sensor's picture: its visible area. Members are filled by whoever makes it; the samples are borrowed. */
typedef struct dt_mosaic_t
{
  dt_sensor_t sensor;
  int width, height;   ///< visible pixels, any size from 1×1
  gboolean is_float;   ///< samples are float, else guint16
  const void *samples; ///< the first visible one; 1 per pixel, 3 interleaved with DT_SENSOR_LINEAR
  size_t stride;       ///< samples from row to row
  size_t step;         ///< samples from pixel to pixel: 1, or 3 or 4 with DT_SENSOR_LINEAR
  int period;          ///< of colours and levels: 2, or 6 with DT_SENSOR_XTRANS; LINEAR: 1
  guint8 colour[DT_MOSAIC_PERIOD]
               [DT_MOSAIC_PERIOD]; ///< [y mod period][x mod period]: a DT_SITE_…; not for LINEAR
  float black[DT_MOSAIC_PERIOD][DT_MOSAIC_PERIOD]; ///< of the sites; LINEAR: [0][colour]
  float white[DT_MOSAIC_PERIOD][DT_MOSAIC_PERIOD]; ///< above black
  /** The levels of the raw that this was made of, by which its settings say codes; both 0: this one's own count. */
  float original_black, original_white;
} dt_mosaic_t;

/** Colour of the site at (@p x, @p y) of the visible area; not for DT_SENSOR_LINEAR. */
static inline int dt_mosaic_colour(const dt_mosaic_t *m, int x, int y)
{
  return m->colour[y % m->period][x % m->period];
}

/** Normalised samples of row @p y: @p n of them from column @p x on (with DT_SENSOR_LINEAR 3·n, interleaved). */
void dt_mosaic_read(const dt_mosaic_t *m, int x, int y, int n, float *out);

/** Finds the column and row (0 or 1 each) of the first red site of a Bayer sensor. */
void dt_mosaic_red_origin(const dt_mosaic_t *m, int *x, int *y);

/** Smallest and largest normalised sample of the picture. */
void dt_mosaic_extremes(const dt_mosaic_t *m, float *least, float *most);

G_END_DECLS

#endif
