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

/** What is done, in this order; zero: nothing but the specification's bilinear resize and sigmoid. Lengths are in
 * pixels of the mask that is made, areas in its square pixels. NaN and values without a meaning are as zero.
 *
 * Holes, specks and grow work on the logits, enlarged to the mask's size, or to a long side of 2048 where the mask is
 * larger; inside is where the logit is above 0. Inside, pixels touch by edges and corners, outside by edges only. A
 * hole is a part of the outside that does not reach the picture's border. It is filled (a speck is removed) as far as
 * the values around it rise (fall), at most to 8 (-8), so that no ring is left and nothing else changes. Growing
 * replaces values near the outline by (grow - signed distance) × the slope that they had at the nearest point of it,
 * with the exact Euclidean distance of Felzenszwalb and Huttenlocher (Distance Transforms of Sampled Functions, 2012)
 * to the outline's crossings of the grid. */
typedef struct dt_seg_edges_t
{
  gboolean guided; ///< edges follow the photograph, soft where it is (hair); see dt_seg_guide_t
  double holes;    ///< holes up to this area are filled; negative: all
  double specks;   ///< separate pieces up to this area are removed; negative: all but the largest
  double grow;     ///< the outline moves outwards by so much, inwards when negative
  double feather;  ///< sigma of a Gaussian blur at the end; beyond the picture its edge goes on
  int radius;      ///< of the guide's window; 0: two logits, or 1/128 of the long side, or 2
  int threads;     ///< 0: one for each core; the result does not depend on it
} dt_seg_edges_t;

/** The logits of one candidate. The picture begins in the grid's corner; what lies beyond it (padding) is not read,
 * but that a logit that it covers in part counts as a whole. */
typedef struct dt_seg_logits_t
{
  const float *values;  ///< stride × rows floats; infinite ones count as ±1e30
  int stride, rows;     ///< of the grid
  double width, height; ///< the part of the grid that the picture covers, above 0; may be fractions
} dt_seg_logits_t;

/** A photograph to be guided by: sRGB-encoded, 8 bits, interleaved.
 *
 * The colour guided filter (He, Sun, Tang: Guided Image Filtering, 2013), fast (He, Sun: Fast Guided Filter, 2015):
 * mask = a · colour + b with coefficients from windows of a small copy, applied to the full-size photograph. The
 * regularisation is 2e-4 for colours from 0 to 1. Pixels count the more the surer the coarse mask is around them, and
 * windows the more the better the colours explain it; where they do not, and away from the outline, the coarse mask
 * stays. */
typedef struct dt_seg_guide_t
{
  const uint8_t *rgb;
  size_t stride; ///< bytes from row to row
  int width, height;
} dt_seg_guide_t;

/** Makes the mask, 0 to 1.
 *
 * @param edges   NULL: nothing is done
 * @param guide   NULL, or the photograph at any size (best the mask's own; another is read bilinearly); without one
 *                `guided` does nothing
 * @param mask    receives width × height floats; undefined after a failure
 * @param width, height  of the mask, any size from 1×1
 * @return FALSE with DT_AI_ERROR_CANCELLED, _MEMORY, or _FAILED (logits that are no numbers)
 * Uses several threads. Thread-safe. Besides the mask it takes up to 150 MB whatever the mask's size (350 MB with a
 * radius below the usual one, or logits that are noise), and with a feather of more than 3.2 pixels up to half of the
 * mask's memory. */
gboolean dt_seg_make_mask(const dt_seg_logits_t *logits, const dt_seg_guide_t *guide,
                          const dt_seg_edges_t *edges, float *mask, int width, int height,
                          GCancellable *cancellable, GError **error);

G_END_DECLS

#endif
