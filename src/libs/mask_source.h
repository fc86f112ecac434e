/* SPDX-License-Identifier: GPL-3.0-or-later */
/** @file
 * A picture file as a map of strengths: grey rows, whatever the file has.
 */
#ifndef DT_LIBS_MASK_SOURCE_H
#define DT_LIBS_MASK_SOURCE_H

#include "common/rows.h"

/** A part of a picture. */
typedef struct dt_mask_place_t
{
  int x, y, width, height;
} dt_mask_place_t;

/** Opens @p path; colours become their luminance, alpha is left out. PFM and OpenEXR hold the strengths themselves, other
 * formats their code values in sRGB: 128 of 255 is one half in both ways.
 * @return the source (transfer full), or NULL with DT_AI_ERROR_INPUT */
dt_row_source_t *dt_mask_source_open(const char *path, GError **error);

/** The mask of a part, as large as the whole: outside the part it is white, all of the strength.
 * @param mask   of the size of @p place; owned by the result from now on
 * @return transfer full */
dt_row_source_t *dt_mask_source_place(dt_row_source_t *mask, const dt_mask_place_t *place, int width,
                                      int height);

#endif
