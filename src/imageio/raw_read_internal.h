/* SPDX-License-Identifier: GPL-3.0-or-later */
/** @file
 * What the files share that talk to LibRaw. Its header is large, so that this one is not for others.
 */
#ifndef DT_IMAGEIO_RAW_READ_INTERNAL_H
#define DT_IMAGEIO_RAW_READ_INTERNAL_H

#include "imageio/raw_internal.h"

#include <libraw/libraw.h>

/** A raw on its way from LibRaw to us. */
typedef struct dt_raw_reading_t
{
  const dt_raw_file_t *file;
  const libraw_data_t *data;
  const GArray *picture; ///< of a DNG: its directory, if it is that of what LibRaw decoded; or NULL
  int left, top;         ///< of the visible area in what is decoded
  gboolean is_half;      ///< integers are half floats that LibRaw did not recognise
  int index[DT_MOSAIC_PERIOD][DT_MOSAIC_PERIOD]; ///< LibRaw's number of a site's colour: two greens have two
} dt_raw_reading_t;

/** Fills black and white of the mosaic, whose other members are there. Levels that make no sense: an error. */
gboolean dt_raw_read_levels(const dt_raw_reading_t *reading, dt_mosaic_t *mosaic, GError **error);

#endif
