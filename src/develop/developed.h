/* SPDX-License-Identifier: GPL-3.0-or-later */
/** @file
 * A raw where a picture file is expected: it goes through the export pipe, with its own history, as its rows are read.
 */
#ifndef DT_DEVELOP_DEVELOPED_H
#define DT_DEVELOP_DEVELOPED_H

#include "common/opencl.h"
#include "imageio/imageio.h"

/** Opens a raw, upright, at full size, with the history of its sidecar, as a reader of 16 bits without a profile of its own
 * (sRGB): linear Rec.709 rows.
 *
 * @param cl  borrowed for the reader's life; a device is taken for each band of rows and given back, so that what reads them
 *            may work on it as well. NULL: the CPU
 * @return free with dt_row_source_destroy(&reader->source), or NULL with DT_AI_ERROR_INPUT, _USAGE (a history that does not
 *         go with it) */
dt_imageio_reader_t *dt_developed_open(const char *path, dt_opencl_t *cl, GError **error);

#endif
