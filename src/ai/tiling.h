/* SPDX-License-Identifier: GPL-3.0-or-later */
/** @file
 * Tile plans: how a picture is cut into windows for a network. Pure arithmetic, no pixels.
 *
 * The picture is cut into a grid of equal cores. Each core is computed from a window that is larger
 * by the halo on every side; beyond the picture's edges the window sees the picture mirrored. Core
 * sizes and halo are multiples of the network's stride, so every window samples the same grid.
 */
#ifndef DT_AI_TILING_H
#define DT_AI_TILING_H

#include "common/errors.h"

#include <stdint.h>

/** What a plan is made for. */
typedef struct dt_tile_request_t
{
  int width, height;       ///< of the part of the picture that is still to be done
  int stride;              ///< cores and halo are multiples of this
  int halo;                ///< on each side, a multiple of stride
  int max_side;            ///< longest window side allowed
  int fixed_w, fixed_h;    ///< window size a static model demands, 0: free
  size_t budget;           ///< bytes for everything below
  size_t fixed_bytes;      ///< decoder, encoder, weights: independent of the plan
  double pixel_bytes;      ///< per window pixel and run: the network's activations
  size_t slot_pixel_bytes; ///< per window pixel and slot: input and output tensors
  size_t row_sample_bytes; ///< per pixel of a band row held on the way in
  size_t out_sample_bytes; ///< per pixel of a band row held on the way out
  int runs;                ///< windows computed at the same time
  int slots;               ///< windows held at the same time
} dt_tile_request_t;

typedef struct dt_tile_plan_t
{
  int core_w, core_h;     ///< a core; the last in a row or column may stick out of the picture
  int window_w, window_h; ///< core plus twice the halo
  int halo;
  int cols, rows;
  int band_rows;    ///< picture rows the input ring holds
  int64_t computed; ///< pixels that go through the network, halos included
  size_t memory;    ///< bytes, everything
} dt_tile_plan_t;

/** The specification's ladder of window sides, largest first, 0-terminated. */
extern const int dt_tile_ladder[];

/** Finds the plan that needs the least memory among those that compute, within budget and max_side, at
 * most 3 % more pixels than the best.
 * @return FALSE with DT_AI_ERROR_MEMORY, naming the bytes the smallest plan would need */
gboolean dt_tile_plan(const dt_tile_request_t *request, dt_tile_plan_t *plan, GError **error);

/** The next step down the ladder below the plan's longer window side, or 0 at its end. */
int dt_tile_next_smaller(const dt_tile_plan_t *plan);

/** Index of the picture's pixel seen at @p i of an axis of @p n pixels continued by mirroring
 * (…2 1 0 1 2… n-2 n-1 n-2…, period 2(n-1)); any @p i, n at least 1. */
int dt_tile_mirror(int i, int n);

#endif
