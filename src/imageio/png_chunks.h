/* SPDX-License-Identifier: GPL-3.0-or-later */
/** @file
 * The chunks of a PNG beside its pixels: colour, metadata and whether the file is whole.
 */
#ifndef DT_IMAGEIO_PNG_CHUNKS_H
#define DT_IMAGEIO_PNG_CHUNKS_H

#include "imageio/metadata.h"

/** Walks over all chunks and fills @p metadata: the ICC profile (made up for cICP, gAMA and cHRM),
 * EXIF, XMP, IPTC, resolution.
 *
 * @return FALSE with DT_AI_ERROR_INPUT for files that end early and colour that cannot be honoured
 */
gboolean dt_png_read_chunks(const dt_input_t *input, dt_metadata_t *metadata, GError **error);

/** The text of a "Raw profile type NAME" chunk, the way ImageMagick and others store a blob. */
char *dt_png_encode_raw_profile(const char *name, GBytes *blob);

#endif
