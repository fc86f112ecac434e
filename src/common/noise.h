/* SPDX-License-Identifier: GPL-3.0-or-later */
/** @file
 * How noisy a sensor's picture is, estimated from the picture alone: variance = scale · x + offset for normalised x
 * (0 black, 1 saturated), as DNG's NoiseProfile has it.
 */
#ifndef DT_COMMON_NOISE_H
#define DT_COMMON_NOISE_H

#include <glib.h>

G_BEGIN_DECLS

typedef struct dt_noise_t
{
  double scale;  ///< of the signal's part (photons), at least 0
  double offset; ///< of the part that is always there (reading), at least 0
} dt_noise_t;

typedef struct dt_noise_estimator_t dt_noise_estimator_t;

/** An estimator for one plane of @p width pixels (the sites of one colour, or one channel). Small: a few rows. */
dt_noise_estimator_t *dt_noise_estimator_new(int width);
/** Bytes it holds. */
size_t dt_noise_estimator_memory(const dt_noise_estimator_t *estimator);
/** Takes the plane's next row. */
void dt_noise_estimator_push(dt_noise_estimator_t *estimator, const float *row);
/** The estimate over all rows so far; FALSE when there was too little to see. */
gboolean dt_noise_estimator_get(const dt_noise_estimator_t *estimator, dt_noise_t *noise);
void dt_noise_estimator_free(dt_noise_estimator_t *estimator);

G_END_DECLS

#endif
