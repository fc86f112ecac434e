/* SPDX-License-Identifier: GPL-3.0-or-later */
/** @file
 * A mask made ready, shared by its two ways of computing it.
 */
#ifndef DT_DEVELOP_BLEND_INTERNAL_H
#define DT_DEVELOP_BLEND_INTERNAL_H

#include "develop/blend.h"
#include "iop/affine.h"

/* What there is; data/kernels/blend.cl has the same numbers. */
enum
{
  DT_BLEND_LIGHTNESS = 1 << 0,
  DT_BLEND_CHROMA = 1 << 1,
  DT_BLEND_HUE = 1 << 2,
  DT_BLEND_OUTPUT = 1 << 3, ///< ranges are of the output
  DT_BLEND_INVERT = 1 << 4,
  DT_BLEND_OBJECT = 1 << 5,
  DT_BLEND_RANGES = DT_BLEND_LIGHTNESS | DT_BLEND_CHROMA | DT_BLEND_HUE,
};

/** A trapezoid with the steepness of its sides; 0: a step. Of hue everything is counted from `from`, which is 0. */
typedef struct dt_blend_range_t
{
  float from, full_from, full_to, to, rise, fall;
} dt_blend_range_t;

typedef struct dt_blend_ranges_t
{
  dt_blend_range_t lightness, chroma, hue;
  float hue_start;
} dt_blend_ranges_t;

struct dt_blend_t
{
  int flags;
  float opacity;
  dt_blend_ranges_t ranges;
  const float *plane; ///< of the object
  int plane_width, plane_height;
  dt_iop_fixed_t map; ///< from the module's pixels to the plane's
  int channels;       ///< of the module's pixels: 1 or 4
  int width, height;  ///< of the module's picture
  int radius;         ///< of the feather, in pixels of it
  float *taps;        ///< radius + 1 weights from the middle outwards
};

/** A part of the mask with a margin of the feather's radius, which may reach over the picture's edges. */
typedef struct dt_blend_plane_t
{
  int x, y, width, height;
} dt_blend_plane_t;

dt_blend_plane_t dt_blend_plane(const dt_blend_t *blend, const dt_iop_roi_t *out);
/** The rows of the object's plane that @p plane looks at. */
void dt_blend_object_rows(const dt_blend_t *blend, const dt_blend_plane_t *plane, int *first, int *last);

#endif
