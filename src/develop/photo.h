/* SPDX-License-Identifier: GPL-3.0-or-later */
/** @file
 * A photograph as it is shown: upright, sRGB, 8 bits, in memory. What masks are made on, and looked at.
 */
#ifndef DT_DEVELOP_PHOTO_H
#define DT_DEVELOP_PHOTO_H

#include "common/rows.h"

#include <gio/gio.h>
#include <stdint.h>

typedef struct dt_photo_t
{
  int width, height;           ///< upright
  uint8_t *rgb;                ///< interleaved, width × 3 bytes a row
  int orientation;             ///< EXIF orientation 1..8 of the file, which has been undone here
  int file_width, file_height; ///< as the file has it: swapped for 5..8
} dt_photo_t;

/** Reads a picture of any format of imageio, or a raw: demosaicked quickly, white balanced, with a plain tone curve, cut
 * to what the camera shows.
 * @param assume_profile  as dt_imageio_open()
 * @return (transfer full: dt_photo_free()), or NULL with DT_AI_ERROR_INPUT, _MEMORY, _CANCELLED */
dt_photo_t *dt_photo_load(const char *path, const char *assume_profile, GCancellable *cancellable,
                          GError **error);
void dt_photo_free(dt_photo_t *photo);

/** Its rows, for an encoder (transfer full); the photo is borrowed. */
dt_row_source_t *dt_photo_rows(const dt_photo_t *photo);

/** Turns a plane of the upright picture into that of the file: @p in width × height floats, @p out file_width ×
 * file_height. */
void dt_photo_turn_back(const dt_photo_t *photo, const float *in, float *out);

#endif
