/* SPDX-License-Identifier: GPL-3.0-or-later */
/** @file
 * Strength: how much of what a network removed comes back, without the chroma noise.
 *
 * Let R = original - result, in sRGB-encoded values, and r its luminance (0.2126, 0.7152, 0.0722; Rec.709). r is cut
 * into five bands by the à-trous wavelet with the B3 spline (1 4 6 4 1)/16 (Starck, Murtagh: undecimated transform):
 * c0 = r, c(j+1) = c(j) smoothed with holes of 2^j, d(j) = c(j) - c(j+1). Texture is what stands out of the noise:
 *
 *     T = c5 + sum over j of soft(d(j), t(j) s),  t = 0.25 0.15 0.05 0.02 0.01,  soft(d, t) = sign(d) max(|d| - t, 0)
 *
 * where s is the standard deviation of r around the pixel (mean and square smoothed by the first four bands). The
 * bands' factors are those that darktable uses; s is local instead of the picture's, so that rows can stream. With the
 * strength p from 0 to 1
 *
 *     out = result + (1 - p) T + g(p) (R - T),  g(p) = max(0, 1 - p/0.2)^2
 *
 * so that 1 is the network's result, texture returns in proportion, and chroma noise returns only where the strength
 * goes to nothing; at 0 out is the original. Both factors fall with p, so nothing turns back in between.
 */
#ifndef DT_AI_DETAIL_H
#define DT_AI_DETAIL_H

#include "common/rows.h"

/** Rows by which results come later than they go in, at most. */
#define DT_DETAIL_DELAY 190

typedef struct dt_detail_t dt_detail_t;

/** Receives a finished row: its colours as encoded values, and alpha where there is one; they may be changed. */
typedef gboolean (*dt_detail_emit_t)(void *data, int y, float *const *planes, GError **error);

/** Strength of row @p y from 0 to 1 for each pixel. */
typedef gboolean (*dt_detail_strength_t)(void *data, int y, float *strength, GError **error);

/** @param channels  a dt_row_channels_t; alpha goes along untouched
 * @return NULL with DT_AI_ERROR_MEMORY */
dt_detail_t *dt_detail_new(int width, int height, int channels, dt_detail_strength_t strength,
                           dt_detail_emit_t emit, void *data, GError **error);
void dt_detail_free(dt_detail_t *detail);

/** Bytes that a dt_detail_t holds. */
size_t dt_detail_bytes(int width, int channels);

/** Takes row @p y, all rows in order, and emits those that are complete; the last row brings all the rest. The result
 * does not depend on how the picture is cut. One thread at a time.
 * @param original  planes of all channels
 * @param result    planes of the colours */
gboolean dt_detail_push(dt_detail_t *detail, int y, const float *const *original, const float *const *result,
                        GError **error);

#endif
