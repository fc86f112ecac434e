/* SPDX-License-Identifier: GPL-3.0-or-later */
/** @file
 * A photograph in memory as pixelpipes take it in: a raw's samples, or a picture in linear light. Shared by all pipes
 * that work on it.
 */
#ifndef DT_DEVELOP_INPUT_H
#define DT_DEVELOP_INPUT_H

#include "imageio/raw.h"
#include "iop/iop.h"

#include <gio/gio.h>

typedef struct dt_dev_input_t dt_dev_input_t;

/** Opens a raw or a picture of any format of imageio.
 * @return (transfer full: dt_dev_input_unref()), or NULL with DT_AI_ERROR_INPUT, _MEMORY, _CANCELLED */
dt_dev_input_t *dt_dev_input_open(const char *path, const char *assume_profile, GCancellable *cancellable,
                                  GError **error);
/** A raw that is decoded already (transfer full). */
dt_dev_input_t *dt_dev_input_new_raw(dt_raw_t *raw);
/** A picture: four floats for each pixel, linear Rec.709 (transfer full: free()). */
dt_dev_input_t *dt_dev_input_new_picture(float *pixels, int width, int height, int orientation);

dt_dev_input_t *dt_dev_input_ref(dt_dev_input_t *input);
/** NULL is fine. Thread-safe, like everything here. */
void dt_dev_input_unref(dt_dev_input_t *input);

/** What modules may know of it (stays the input's). */
const dt_iop_image_t *dt_dev_input_image(const dt_dev_input_t *input);
/** Finds out how noisy a raw is, unless that is known: dt_iop_image_t.noise_scale and noise_offset. Before pieces that want
 * to know are committed. */
void dt_dev_input_measure_noise(dt_dev_input_t *input);
/** Channels of what comes in: 1 of a raw with a filter array, else 4. */
int dt_dev_input_channels(const dt_dev_input_t *input);
/** The raw, or NULL. */
const dt_raw_t *dt_dev_input_raw(const dt_dev_input_t *input);
/** Whether the picture came with alpha. */
gboolean dt_dev_input_has_alpha(const dt_dev_input_t *input);
/** The photograph's metadata, colour profile included where it has one (dt_metadata_clear()). */
void dt_dev_input_copy_metadata(const dt_dev_input_t *input, dt_metadata_t *metadata);
/** Copies the rectangle: of a raw codes as they are stored, else linear light. @p out holds width x height x channels. */
void dt_dev_input_read(const dt_dev_input_t *input, const dt_iop_roi_t *roi, float *out);

#endif
