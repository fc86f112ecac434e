/* SPDX-License-Identifier: GPL-3.0-or-later */
/** @file
 * What reading and writing of OpenEXR share: the standard attributes.
 */
#ifndef DT_IMAGEIO_EXR_INTERNAL_H
#define DT_IMAGEIO_EXR_INTERNAL_H

#include "imageio/metadata.h"

#include <openexr.h>

/** Takes over the colours (into an ICC profile) and what EXIF has a place for. */
void dt_exr_read_attributes(exr_const_context_t file, int part, int colours, dt_metadata_t *metadata);
/** The way back; says in spec->note what has no attribute. */
void dt_exr_write_attributes(exr_context_t file, int part, const dt_encode_spec_t *spec);

#endif
