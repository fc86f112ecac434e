/* SPDX-License-Identifier: GPL-3.0-or-later */
/** @file
 * Masks as outlines: closed Bézier paths with holes, fitted to a raster with a tolerance, and back.
 */
#ifndef DT_DEVELOP_MASKS_OUTLINE_H
#define DT_DEVELOP_MASKS_OUTLINE_H

#include "common/errors.h"

/** A point of the plane in pixels of the mask; (0, 0) is the corner of the first. */
typedef struct dt_outline_point_t
{
  double x, y;
} dt_outline_point_t;

/** A cubic segment from the end of the one before (of the first: of the last) to `end`. */
typedef struct dt_outline_segment_t
{
  dt_outline_point_t control1, control2, end;
} dt_outline_segment_t;

/** One closed path. */
typedef struct dt_outline_path_t
{
  GArray *segments; ///< of dt_outline_segment_t, at least one
  gboolean is_hole; ///< lies in an outer path; filled even-odd
} dt_outline_path_t;

/** All paths of a mask, outer ones before their holes. */
typedef struct dt_outline_t
{
  int width, height;
  GPtrArray *paths; ///< of dt_outline_path_t
} dt_outline_t;

/** How to fit. Zero-initialise for the defaults. */
typedef struct dt_outline_opts_t
{
  double threshold; ///< of the mask; 0: 0.5
  double tolerance; ///< pixels the curve may be off; 0: 0.2
  double smooth;    ///< corners turn by over 50° × smooth; 0: 1; from 1.3 on: none; negative: polygons
  double
      specks; ///< paths of less area are left out; 0: 2 pixels, or none where nothing else is; negative: none
} dt_outline_opts_t;

/** Fits outlines to a mask of floats: exact to a part of a pixel where the mask is soft; in a mask of black and white
 * the stairs of half a pixel are not followed. NaN is outside. What is cut off by the border runs along it.
 *
 * Outer paths run clockwise (as y points down), holes the other way. Takes about 20 bytes per
 * pixel of outline.
 * @return transfer full, without any path for an empty mask; or NULL with DT_AI_ERROR_INPUT for a mask of noise, with
 * more than 16 million points on its outlines */
dt_outline_t *dt_outline_trace(const float *mask, int width, int height, const dt_outline_opts_t *opts,
                               GError **error);
void dt_outline_free(dt_outline_t *outline);

/** Fills the outline even-odd into @p mask (width × height), each pixel with the part of it that is covered. Exact but
 * where two edges of unlike paths share a pixel. */
void dt_outline_fill(const dt_outline_t *outline, float *mask);
/** Intersection over union of the fill, from 0.5 on, with the mask, above the threshold; 1 when both are empty, NaN
 * without memory. */
double dt_outline_iou(const dt_outline_t *outline, const float *mask, double threshold);

/** The outline as an SVG picture: one path, fill-rule evenodd, viewBox of the mask's size, hundredths of a pixel
 * (transfer full). */
char *dt_outline_to_svg(const dt_outline_t *outline);
/** The outline as JSON, for programs: {"schema_version":1,"width":…,"height":…,"paths":[{"hole":false,
 * "points":[[c1x,c1y,c2x,c2y,x,y],…]}]}; a path begins where it ends (transfer full). */
char *dt_outline_to_json(const dt_outline_t *outline);
/** Reads dt_outline_to_json()'s: sides up to 2^20, 2^31 pixels, 2^22 segments, places within 1e7; what is not known is
 * passed over. @return transfer full, or NULL with DT_AI_ERROR_INPUT */
dt_outline_t *dt_outline_from_json(const char *json, GError **error);

#endif
