/* SPDX-License-Identifier: GPL-3.0-or-later */
/** @file
 * Formats that can only be decoded as a whole: the pixels are decoded when the first row is asked for, so that opening
 * a file to plan costs next to nothing, and held until the end. What is held is counted in the decoder's memory.
 */
#ifndef DT_IMAGEIO_WHOLE_IMAGE_H
#define DT_IMAGEIO_WHOLE_IMAGE_H

#include "imageio/late_library.h"
#include "imageio/metadata.h"

typedef struct dt_whole_t dt_whole_t;
/** A decoder, and what is common to these formats. */
struct dt_whole_t
{
  dt_decoder_t decoder; // first: a pointer to the decoder is a pointer to this
  const dt_input_t *input;
  GBytes *file;     ///< the compressed bytes, until they are decoded
  const char *name; ///< of the format, for messages
  uint8_t *pixels;  ///< NULL until they are decoded
  size_t row_bytes;

  /** Fills whole->pixels, whose room is there. Says why not in @p reason, of 160 bytes, or leaves it empty. */
  gboolean (*decode)(dt_whole_t *whole, char *reason);
};

/** Creates one that holds the bytes of @p input; NULL with an error when they cannot be held.
 * @param library  NULL, or to be loaded first */
dt_whole_t *dt_whole_create(const dt_input_t *input, const char *name, dt_late_library_t *library,
                            gboolean (*decode)(dt_whole_t *whole, char *reason), GError **error);
/** Once width, height, channels and sample are known: checks them and counts the memory.
 * @param per_pixel  bytes that the library needs for each pixel while it decodes
 * @return FALSE with an error when the picture is too large */
gboolean dt_whole_measure(dt_whole_t *whole, size_t per_pixel, GError **error);
/** Errors; each returns FALSE. */
gboolean dt_whole_fail(const dt_whole_t *whole, GError **error, const char *problem);
gboolean dt_whole_fail_damaged(const dt_whole_t *whole, GError **error, const char *reason);

#endif
