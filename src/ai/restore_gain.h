/* SPDX-License-Identifier: GPL-3.0-or-later */
/** @file
 * One factor for a whole picture between what a network was shown and what it made of it, for networks whose results
 * are only proportional to their input.
 */
#ifndef DT_AI_RESTORE_GAIN_H
#define DT_AI_RESTORE_GAIN_H

#include "ai/restore_internal.h"

/** Fills rows [y, y + n) into planes of n × width floats. */
typedef gboolean (*dt_gain_read_t)(void *data, int y, int n, float *const *planes, GError **error);

/** The picture as the network is shown it. */
typedef struct dt_gain_picture_t
{
  int width, height;
  const int *plane_colour; ///< with cells: which output plane each of the four is a site of
  float saturation[4];     ///< of the planes as they are shown: from here on a sample may be cut off
  dt_gain_read_t read;
  void *data;
} dt_gain_picture_t;

/** Runs the network on a few windows of the picture and compares, site by site.
 *
 * The windows are chosen by the picture alone, bright ones where nothing is saturated, and are at most a few percent of
 * it (but at least one). The factor is the weighted median over blocks: no highlight, hot pixel or black corner moves
 * it. It does not depend on tiles or memory.
 *
 * @param opts  whose gate and cancellable its runs go by
 * @param gain  receives the factor, negative where the network turns the sign; 1 where the windows are black
 * @return FALSE with DT_AI_ERROR_CANCELLED, _MEMORY, _FAILED */
gboolean dt_restore_find_gain(dt_restore_context_t *ctx, const dt_gain_picture_t *picture,
                              const dt_restore_opts_t *opts, float *gain, GError **error);

#endif
