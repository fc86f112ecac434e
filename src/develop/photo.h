/* SPDX-License-Identifier: GPL-3.0-or-later */
/** @file
 * A photograph as it is shown: upright, sRGB, 8 bits, in memory. What masks are made on, and looked at.
 *
 * Opening costs little but for raws: size and orientation are known before any pixel is decoded.
 */
#ifndef DT_DEVELOP_PHOTO_H
#define DT_DEVELOP_PHOTO_H

#include "common/rows.h"

#include <gio/gio.h>
#include <stdint.h>

typedef struct dt_photo_t
{
  int width, height;           ///< upright
  uint8_t *rgb;                ///< interleaved, width × 3 bytes a row; NULL until it is read
  int orientation;             ///< EXIF orientation 1..8 of the file, which is undone here
  int file_width, file_height; ///< as the file has it: swapped for 5..8; of a raw what the camera shows
  gboolean is_raw;
} dt_photo_t;

/** Opens a picture of any format of imageio, or a raw.
 *
 * Pictures: colours outside sRGB and above white are cut off; what is transparent lies over white. Raws: demosaicked
 * quickly, white balanced, with the baseline exposure and a plain tone curve, cut to what the camera shows; they are
 * decoded here already.
 *
 * @param assume_profile  as dt_imageio_open(); not for raws
 * @return (transfer full: dt_photo_free()), or NULL with DT_AI_ERROR_INPUT */
dt_photo_t *dt_photo_open(const char *path, const char *assume_profile, GError **error);
/** Reads its pixels, if that is not done yet.
 * @return FALSE with DT_AI_ERROR_INPUT (damaged), _MEMORY (more than is available), _CANCELLED */
gboolean dt_photo_read(dt_photo_t *photo, GCancellable *cancellable, GError **error);
/** Both. */
dt_photo_t *dt_photo_load(const char *path, const char *assume_profile, GCancellable *cancellable,
                          GError **error);
/** NULL is fine. */
void dt_photo_free(dt_photo_t *photo);

/** Its rows, linear Rec.709, for an encoder (transfer full); the photo is borrowed and has been read. */
dt_row_source_t *dt_photo_rows(const dt_photo_t *photo);

/** Turns a plane of the upright picture into that of the file: @p in width × height floats, @p out file_width ×
 * file_height. */
void dt_photo_turn_back(const dt_photo_t *photo, const float *in, float *out);
/** The same of one row of the file: @p out file_width floats. */
void dt_photo_turn_back_row(const dt_photo_t *photo, const float *in, int y, float *out);
/** A row of the file of the photo itself, encoded: @p out 3 × file_width floats from 0 to 1. */
void dt_photo_turn_back_rgb_row(const dt_photo_t *photo, int y, float *out);

/** Reads a picture as a plane of numbers from 0 (black, or transparent) to 1 (white), upright: a rough mask, a scribble.
 * They are the file's own, 128 of 255 is one half; colours become luminance.
 * @return width × height floats (transfer full: g_free()), or NULL with DT_AI_ERROR_INPUT, _MEMORY, _CANCELLED */
float *dt_photo_load_plane(const char *path, int *width, int *height, GCancellable *cancellable,
                           GError **error);

#endif
