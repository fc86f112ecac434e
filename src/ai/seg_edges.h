/* SPDX-License-Identifier: GPL-3.0-or-later */
/** @file
 * From a network's coarse logits to a mask as large as the photograph, with its edges: holes filled, specks removed,
 * grown or shrunk, guided by the photograph, feathered. Every step is off unless asked for.
 *
 * Pixels lie in squares: pixel i of n covers [i, i + 1) / n of the picture, so that no resize shifts anything.
 */
#ifndef DT_AI_SEG_EDGES_H
#define DT_AI_SEG_EDGES_H

#include "../common/errors.h"

#include <gio/gio.h>
#include <stdint.h>

G_BEGIN_DECLS

/** What is done. Zero: nothing but the specification's bilinear resize and sigmoid. Lengths are in pixels of the mask
 * that is made, areas in its square pixels. */
typedef struct dt_seg_edges_t
{
  gboolean guided;  ///< edges follow the photograph, soft where it is (hair)
  double holes;     ///< holes up to this area are filled; negative: all
  double specks;    ///< separate pieces up to this area are removed; negative: all but the largest
  double grow;      ///< the outline moves outwards by so much, inwards when negative
  double feather;   ///< sigma of a blur at the end
  int radius;       ///< of the guide's window; 0: chosen from the sizes
} dt_seg_edges_t;

/** The logits of one candidate: of the picture alone, padding cropped away (x0, y0 may be fractions of a logit). */
typedef struct dt_seg_logits_t
{
  const float *values; ///< stride × rows floats
  int stride, rows;    ///< of the grid
  double width, height; ///< the part of the grid, from its corner on, that the picture covers
} dt_seg_logits_t;

/** A photograph to be guided by: sRGB-encoded, 8 bits, interleaved. */
typedef struct dt_seg_guide_t
{
  const uint8_t *rgb;
  size_t stride; ///< bytes from row to row
  int width, height;
} dt_seg_guide_t;

/** Makes the mask, 0 to 1.
 *
 * @param guide   NULL, or the photograph at any size (best the mask's own); without one `guided` does nothing
 * @param mask    receives width × height floats
 * @param width, height  of the mask, any size from 1×1
 * @return FALSE with DT_AI_ERROR_CANCELLED, _MEMORY, or _FAILED (logits that are no numbers)
 * Uses several threads. Thread-safe. */
gboolean dt_seg_make_mask(const dt_seg_logits_t *logits, const dt_seg_guide_t *guide, const dt_seg_edges_t *edges,
                          float *mask, int width, int height, GCancellable *cancellable, GError **error);

G_END_DECLS

#endif
