/* SPDX-License-Identifier: GPL-3.0-or-later */
/** @file
 * A picture file as a map of strengths: grey rows, whatever the file has.
 */
#ifndef DT_LIBS_MASK_SOURCE_H
#define DT_LIBS_MASK_SOURCE_H

#include "common/rows.h"

/** Opens @p path; colours become their luminance, alpha is left out.
 * @return the source (transfer full), or NULL with DT_AI_ERROR_INPUT */
dt_row_source_t *dt_mask_source_open(const char *path, GError **error);

#endif
