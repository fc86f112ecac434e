/* SPDX-License-Identifier: GPL-3.0-or-later */
/** @file
 * A picture to look at masks with: what is outside is dark and pale, what is inside keeps its colours with a touch of the
 * mask's own, outlines and prompts are drawn. Several masks go into one picture, each in another colour.
 */
#ifndef DT_DEVELOP_MASKS_OVERLAY_H
#define DT_DEVELOP_MASKS_OVERLAY_H

#include "ai/segmentation.h"
#include "develop/photo.h"

typedef struct dt_overlay_t dt_overlay_t;

/** A mask and what it was made from; everything is in pixels of the photo. */
typedef struct dt_overlay_mask_t
{
  const float *mask; ///< of the photo's size, 0 to 1
  const dt_seg_point_t *points;
  int n_points;
  const float *rough; ///< NULL, or a rough mask of the whole photo, 0 to 1
  int rough_width, rough_height;
} dt_overlay_mask_t;

/** Begins an overlay of a photo that has been read.
 * @param long_side  of the result in pixels; it is never larger than the photo. 0: as the photo
 * @return (transfer full: dt_overlay_free()), or NULL with DT_AI_ERROR_MEMORY */
dt_overlay_t *dt_overlay_new(const dt_photo_t *photo, int long_side, GError **error);
/** NULL is fine. */
void dt_overlay_free(dt_overlay_t *overlay);
/** Adds a mask; what is kept of it is a byte for each pixel of the overlay.
 * @return FALSE with DT_AI_ERROR_MEMORY */
gboolean dt_overlay_add(dt_overlay_t *overlay, const dt_overlay_mask_t *mask, GError **error);
/** Draws it, once.
 * @return the picture, sRGB, 8 bits, interleaved (transfer none, of the overlay's life) */
const uint8_t *dt_overlay_draw(dt_overlay_t *overlay, int *width, int *height);

#endif
