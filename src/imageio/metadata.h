/* SPDX-License-Identifier: GPL-3.0-or-later */
/** @file
 * Metadata between the formats: where each keeps it, and what has to be true of it in a new file.
 */
#ifndef DT_IMAGEIO_METADATA_H
#define DT_IMAGEIO_METADATA_H

#include "imageio/exif.h"

/** Fills @p metadata from the tags of a TIFF file.
 * @return FALSE when the file names a colour profile whose bytes are not in it */
gboolean dt_metadata_read_tiff(dt_metadata_t *metadata, const dt_input_t *input);
/** Takes over an EXIF structure (transfer full, may be NULL) and reads orientation and resolution
 * from it; one that cannot be understood is dropped. */
void dt_metadata_take_exif(dt_metadata_t *metadata, GBytes *exif);
/** Whether @p exif (may be NULL) has the fractions of metadata's resolution. */
gboolean dt_metadata_is_exact(const dt_metadata_t *metadata, const dt_exif_t *exif);
/** Takes IPTC data sets (may be NULL) and returns them without the zeros that alignment put behind them. */
GBytes *dt_metadata_trim_iptc(GBytes *iptc);
/** The IPTC data sets inside a Photoshop image resource block, or NULL. */
GBytes *dt_metadata_find_iptc(const uint8_t *resources, size_t size);
/** A Photoshop image resource block that holds @p iptc. */
GBytes *dt_metadata_wrap_iptc(GBytes *iptc);

/** Adds a sentence about what could not be carried to spec->note. */
void dt_metadata_note(const dt_encode_spec_t *spec, const char *sentence);
/** The EXIF structure for a JPEG or PNG: size, orientation, software and thumbnail corrected in place, so that
 * maker notes stay where their offsets expect them.
 *
 * @param limit  the most bytes it may have; what is too much is left out, with a word in spec->note
 * @return transfer full, NULL when there is nothing to write */
GBytes *dt_metadata_make_exif(const dt_encode_spec_t *spec, size_t limit);
/** The same as a tree, for a TIFF; NULL when there is nothing to write. */
dt_exif_t *dt_metadata_make_exif_tree(const dt_encode_spec_t *spec);
/** The XMP packet with the picture's size corrected, without previews, and stamped with spec->provenance.
 * A damaged one goes along as it is, with a word in spec->note.
 * @return transfer full, NULL when there is none or it is longer than @p limit */
GBytes *dt_metadata_make_xmp(const dt_encode_spec_t *spec, size_t limit);
/** The IPTC data sets without a preview (transfer full), or NULL. */
GBytes *dt_metadata_make_iptc(const dt_encode_spec_t *spec);

#endif
