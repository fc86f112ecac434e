/* SPDX-License-Identifier: GPL-3.0-or-later */
/** @file
 * What the files of outline share.
 */
#ifndef DT_DEVELOP_MASKS_OUTLINE_INTERNAL_H
#define DT_DEVELOP_MASKS_OUTLINE_INTERNAL_H

#include "develop/masks/outline.h"

#include <stdint.h>

/** Receives a closed polygon, the inside to its right (clockwise for the outline of something, as y points down):
 * @p n points, of which the last joins the first. They may be changed. */
typedef void (*dt_outline_polygon_t)(void *data, dt_outline_point_t *points, int n);

/** Walks along where the mask crosses the threshold, between pixels half way if it @p is_hard. @return FALSE with DT_AI_ERROR_INPUT where it does so everywhere,
 * or _MEMORY */
gboolean dt_outline_walk(const float *mask, int width, int height, double threshold, gboolean is_hard,
                         dt_outline_polygon_t polygon, void *data, GError **error);

/** How to fit a path to a polygon, nothing left at its default. */
typedef struct dt_outline_fit_t
{
  double tolerance, smooth;
  gboolean is_hard;  ///< of black and white: the polygon has stairs
  int width, height; ///< of the mask: what lies on its border stays there
} dt_outline_fit_t;
/** @return GArray of dt_outline_segment_t; @p points may be changed */
GArray *dt_outline_fit(const dt_outline_fit_t *fit, dt_outline_point_t *points, int n);

/** Twice the area, positive for clockwise. */
double dt_outline_area2(const dt_outline_point_t *points, int n);

dt_outline_t *dt_outline_new(int width, int height);
/** Takes @p segments. */
void dt_outline_add(dt_outline_t *outline, GArray *segments, gboolean is_hole);

/** Where a closed path begins: where it ends. */
static inline dt_outline_point_t dt_outline_start(const GArray *segments)
{
  return g_array_index(segments, dt_outline_segment_t, segments->len - 1).end;
}

#endif
