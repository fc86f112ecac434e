/* SPDX-License-Identifier: GPL-3.0-or-later */
/** @file
 * Another size for rows that pass by: Lanczos with three lobes, in linear light, a few rows in memory.
 */
#ifndef DT_COMMON_RESAMPLE_H
#define DT_COMMON_RESAMPLE_H

#include "common/rows.h"

/** A sink that takes rows of @p width × @p height pixels and hands rows of @p to_width × @p to_height on to @p out.
 *
 * Each axis is convolved with sinc(x) sinc(x/3), |x| < 3, widened by the factor where the picture gets smaller
 * (Duchon 1979); samples lie in the middle of their pixels, edges are repeated, weights add up to one, so flat areas
 * stay flat. Values below 0 and above 1 pass. The filter overshoots at edges; nothing is clamped.
 *
 * @param out       transfer full; its finish() and abandon() are called by this sink's
 * @param channels  a dt_row_channels_t; alpha is treated as the others
 * @return the sink, or NULL with DT_AI_ERROR_MEMORY; @p out has then been abandoned */
dt_row_sink_t *dt_resample_sink(dt_row_sink_t *out, int width, int height, int channels, int to_width,
                                int to_height, GError **error);

#endif
