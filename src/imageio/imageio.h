/* SPDX-License-Identifier: GPL-3.0-or-later */
/** @file
 * Pictures in and out of files, row by row, with their colour and their metadata.
 *
 * A reader turns a picture of any of the formats into a dt_row_source_t of linear Rec.709 rows; a
 * writer turns such rows into a file. The colour profile travels: the input's ICC profile (sRGB when there is
 * none) is decoded on the way in and, unless another is chosen, encoded on the way out. EXIF, XMP,
 * IPTC and orientation are carried as blobs and written together with the pixels.
 */
#ifndef DT_IMAGEIO_IMAGEIO_H
#define DT_IMAGEIO_IMAGEIO_H

#include "common/rows.h"
#include "imageio/provenance.h"

/** The formats. Those behind PFM take libraries that a build may lack, those behind EXR are only read. */
typedef enum dt_imageio_format_t
{
  DT_IMAGEIO_UNKNOWN,
  DT_IMAGEIO_TIFF,
  DT_IMAGEIO_PNG,
  DT_IMAGEIO_JPEG,
  DT_IMAGEIO_PFM,
  DT_IMAGEIO_EXR,
  DT_IMAGEIO_WEBP,
  DT_IMAGEIO_JXL,
  DT_IMAGEIO_HEIF, ///< AVIF as well
} dt_imageio_format_t;

/** The name that stands for the standard input when reading and for a stream when writing. */
#define DT_IMAGEIO_STREAM "-"

/** How the samples of a TIFF are stored. */
typedef enum dt_imageio_compression_t
{
  DT_IMAGEIO_DEFLATE_PREDICTOR, ///< the default for TIFF: deflate level 1 with the right predictor
  DT_IMAGEIO_DEFLATE,
  DT_IMAGEIO_UNCOMPRESSED,
} dt_imageio_compression_t;

/** What becomes of colours that a printer's or another table profile does not have. Profiles of curves and a
 * matrix know no difference. */
typedef enum dt_imageio_intent_t
{
  DT_IMAGEIO_RELATIVE,   ///< colours that fit stay as they are, the others move to the edge
  DT_IMAGEIO_PERCEPTUAL, ///< all colours move together, as the profile's maker saw fit
} dt_imageio_intent_t;

/** Metadata as blobs, ready to be embedded; any member may be NULL. */
typedef struct dt_metadata_t
{
  GBytes *icc;              ///< ICC profile of the pixels in the file
  GBytes *exif;             ///< a TIFF structure ("II*\0…" or "MM\0*…"), without the "Exif\0\0" prefix
  GBytes *xmp;              ///< the XMP packet, UTF-8
  GBytes *iptc;             ///< the IPTC-IIM data sets
  int orientation;          ///< EXIF orientation 1..8; the pixels are NOT rotated
  double xres, yres;        ///< pixels per inch, 0 = unknown
  double chromaticities[8]; ///< of red, green, blue and white, exactly what `icc` rounds; all 0: not known
} dt_metadata_t;

/** A file opened for reading; the first member is the row source, destroy() closes the file. */
typedef struct dt_imageio_reader_t
{
  dt_row_source_t source;
  dt_imageio_format_t format;
  int bits;                  ///< bits per sample in the file: 2, 4 (PNG), 8, 10, 12 (HEIF), 16, 32 or 64
  gboolean is_float;         ///< floating-point samples
  gboolean alpha_associated; ///< alpha is premultiplied (carried unchanged either way)
  gboolean alpha_linear;     ///< and was so in linear light, as OpenEXR has it, not in the file's encoding
  char *profile_name;        ///< the colour profile in words, for -d and --dry-run
  dt_metadata_t metadata;
} dt_imageio_reader_t;

/** Opens @p path for reading; the format is recognised by content, not by name.
 *
 * The path `-` is the standard input: unless that is a file, it is read to its end into an unnamed temporary
 * file first, once in a process's life. A file of that name is `./-`.
 *
 * Colour comes from the ICC profile (of a PNG also from cICP, or gAMA with cHRM, of which a profile
 * is made); a file without any, floating point too, is sRGB-encoded. Of a TIFF with several pages
 * the first is read. Palettes come as RGB. PFM is linear Rec.709, OpenEXR linear light of its
 * chromaticities. The source's `memory` includes what some files force upon a reader: a compressed
 * strip is held whole, a progressive JPEG as coefficients, WebP, JPEG XL and HEIF as pixels, from the
 * first row that is read.
 *
 * @param assume_profile  NULL, or the profile to use instead of the embedded one: a name of
 *        dt_imageio_profile_names() or the path of an ICC file
 * @return the reader (free with dt_row_source_destroy(&reader->source)), or NULL with
 *         DT_AI_ERROR_INPUT: missing, empty, truncated, unsupported (CMYK, 1-bit, …), limits
 * Thread-safety: readers are independent of each other; each is used by one thread at a time. */
dt_imageio_reader_t *dt_imageio_open(const char *path, const char *assume_profile, GError **error);

/** From now on the reader's rows are the file's own values, not converted: only for what is written back with
 * dt_imageio_write_opts_t.untouched. Before the first row. */
void dt_imageio_set_untouched(dt_imageio_reader_t *reader);

/** How to write. Zero-initialise for the defaults. */
typedef struct dt_imageio_write_opts_t
{
  dt_imageio_format_t format; ///< UNKNOWN: from the file name's extension
  int bits; ///< 8, 16 or 32 (float; half float is OpenEXR with 16); 0: 16 for TIFF and OpenEXR, 32 for PFM, else 8
  dt_imageio_compression_t compression; ///< TIFF only
  int quality;                          ///< JPEG 1..100; 0: 95
  const char *profile;                  ///< NULL: metadata->icc, or sRGB without one; else as assume_profile
  gboolean untouched;            ///< rows are values of the output profile already: nothing is converted
  const dt_metadata_t *metadata; ///< borrowed during the call; NULL: none
  gboolean alpha_associated;     ///< alpha is premultiplied: TIFF says so, PNG is written straight
  gboolean alpha_linear;         ///< and was so in linear light: TIFF is written straight then, too
  gboolean dither;               ///< spread what 8 bits cannot hold over neighbouring pixels
  dt_imageio_intent_t intent;
  gboolean overwrite;                ///< FALSE: an existing target is an error
  int stream;                        ///< where the path `-` goes; 0: the standard output
  const dt_provenance_t *provenance; ///< what was done to the picture, to be written down; NULL: nothing
  char **note; ///< NULL, or receives (transfer full) sentences about metadata the format could not
               ///< hold; set to NULL when everything goes along
} dt_imageio_write_opts_t;

/** The bits per sample that a format is written with where nothing is said. */
int dt_imageio_standard_bits(dt_imageio_format_t format);
/** Whether the format can hold such a picture and this build can write it: what dt_imageio_create() checks before it
 * touches a disk. @return FALSE with DT_AI_ERROR_USAGE */
gboolean dt_imageio_can_create(const char *path, int width, int height, int channels,
                               const dt_imageio_write_opts_t *opts, GError **error);

/** Creates @p path for writing and returns the sink to push rows into.
 *
 * Rows go into a hidden `.NAME.XXXXXX.part` beside the target; finish() syncs it and renames it onto
 * the target, so the target is either complete or untouched. A target that is a symbolic link stays
 * one; the file it points to is replaced. The path `-` is a stream: PNG and JPEG go there as they are
 * made, the others at finish(), from an unnamed temporary file. A TIFF that might pass 4 GiB becomes a BigTIFF. Integers
 * are rounded and clamped, floats are written as they are. PFM is linear Rec.709 whatever the
 * metadata say; OpenEXR is so too, unless the profile is a linear one, whose primaries it keeps. In the metadata, size, orientation and
 * thumbnail are corrected.
 *
 * @param channels a dt_row_channels_t
 * @return the sink, or NULL with DT_AI_ERROR_OUTPUT (directory missing, not writable, exists) or
 *         DT_AI_ERROR_USAGE (a combination the format cannot hold, an unknown profile) or
 *         DT_AI_ERROR_INPUT (a profile in the metadata that cannot be written with).
 *         finish() and write() fail with DT_AI_ERROR_OUTPUT (disk full, a rival file appeared).
 * Thread-safety: sinks are independent of each other; each is used by one thread at a time. */
dt_row_sink_t *dt_imageio_create(const char *path, int width, int height, int channels,
                                 const dt_imageio_write_opts_t *opts, GError **error);

/** Whether @p a and @p b name one existing file, through whatever links; `-` is what the standard input
 * comes from. FALSE when either is missing. For callers that must not write over what they read. */
gboolean dt_imageio_same_file(const char *a, const char *b);

/** Format for a file name's extension, or UNKNOWN. */
dt_imageio_format_t dt_imageio_format_for_name(const char *path);
/** The format that can be written by the name of tiff, png, jpeg, pfm or exr, or UNKNOWN. */
dt_imageio_format_t dt_imageio_format_for_option(const char *option);
/** The usual extension, with its dot; "" for UNKNOWN. */
const char *dt_imageio_extension(dt_imageio_format_t format);
/** What this build reads and writes, in words (transfer full). */
char *dt_imageio_describe_formats(void);

/** NULL-terminated names accepted wherever a profile is: srgb, srgb-linear, adobergb, … */
const char *const *dt_imageio_profile_names(void);

/** Releases the blobs of @p metadata (not the struct). */
void dt_metadata_clear(dt_metadata_t *metadata);

#endif
