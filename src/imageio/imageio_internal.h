/* SPDX-License-Identifier: GPL-3.0-or-later */
/** @file
 * What the files of this room share: input files, decoders and encoders of raw samples, and colour
 * conversion between raw samples and rows.
 *
 * A decoder knows one file format and nothing of colour; it hands out rows of raw samples. The
 * reader in imageio.c turns them into linear rows with a dt_icc_t. Writing is the mirror image.
 */
#ifndef DT_IMAGEIO_INTERNAL_H
#define DT_IMAGEIO_INTERNAL_H

#include "imageio/imageio.h"

#include "common/colour.h"
#include "common/part_file.h"

#include <stdint.h>

/** Longest side of a picture that is read or written; keeps row buffers below 16 MiB. */
#define DT_IMAGEIO_MAX_SIDE 1000000
/** Largest metadata blob (ICC, EXIF, XMP, IPTC) that is read from a file. */
#define DT_IMAGEIO_MAX_BLOB (64u << 20)

/** Sets a DT_AI_ERROR of @p code whose message begins with the file's name. */
void dt_imageio_set_error(GError **error, dt_ai_error_t code, const char *name, const char *format, ...)
    G_GNUC_PRINTF(4, 5);

// --- Raw samples

/** How a sample stands in memory, in native byte order. */
typedef enum dt_sample_t
{
  DT_SAMPLE_U8,
  DT_SAMPLE_U16,
  DT_SAMPLE_U32,
  DT_SAMPLE_F16,
  DT_SAMPLE_F32,
  DT_SAMPLE_F64,
} dt_sample_t;

/** Bytes of one sample. */
size_t dt_sample_size(dt_sample_t sample);

// --- Input files

/** A regular file opened for reading. */
typedef struct dt_input_t
{
  int fd;
  char *name;    ///< for messages
  uint64_t size; ///< bytes
} dt_input_t;

/** Opens @p path, which must be a regular file that is not empty, or `-`. */
dt_input_t *dt_input_open(const char *path, GError **error);
void dt_input_close(dt_input_t *input);
/** Reads up to @p size bytes at @p offset; returns the number read, less only at the file's end or
 * on a read error. */
size_t dt_input_read(const dt_input_t *input, uint64_t offset, void *data, size_t size);
/** Reads exactly @p size bytes at @p offset as a blob; NULL when they are not there. */
GBytes *dt_input_read_bytes(const dt_input_t *input, uint64_t offset, size_t size);

// --- Colour

/** A colour profile made ready to convert between raw samples and linear Rec.709 rows. */
typedef struct dt_icc_t dt_icc_t;

/** Prepares @p profile for pictures with @p colours (1 or 3) colour channels.
 *
 * @param profile ICC bytes; NULL for sRGB (grey: the sRGB curve)
 * @return NULL with DT_AI_ERROR_INPUT and a message without a file name */
dt_icc_t *dt_icc_create(GBytes *profile, int colours, GError **error);
void dt_icc_destroy(dt_icc_t *icc);
/** The profile in words. */
const char *dt_icc_name(const dt_icc_t *icc);
/** Makes dt_icc_decode() ready for @p sample; FALSE when the profile has no such direction. */
gboolean dt_icc_prepare_decode(dt_icc_t *icc, dt_sample_t sample, GError **error);
/** Makes dt_icc_encode() ready; FALSE when the profile describes a device that only reads. */
gboolean dt_icc_prepare_encode(dt_icc_t *icc, GError **error);
/** What dt_icc_prepare_encode() will do with colours that the profile does not have. */
void dt_icc_set_intent(dt_icc_t *icc, dt_imageio_intent_t intent);
/** Whether encoded and linear are the same, as far as that can be told of a profile of tables. */
gboolean dt_icc_is_linear(const dt_icc_t *icc);
/** The chromaticities (red, green, blue, white) of a profile of linear light; FALSE for any other. */
gboolean dt_icc_get_chromaticities(const dt_icc_t *icc, double chromaticities[8]);
/** From now on colours pass as they are, from 0 to 1 and beyond. */
void dt_icc_set_untouched(dt_icc_t *icc);
/** Bytes held for conversion. */
size_t dt_icc_memory(const dt_icc_t *icc);
/** Raw samples to linear rows; alpha is scaled to 0..1. */
void dt_icc_decode(const dt_icc_t *icc, dt_sample_t sample, int channels, const void *in, float *out,
                   size_t n);
/** Linear rows to raw samples (U8, U16 or F32); integers are rounded and clamped.
 * @p unassociate divides the colours by alpha, for formats that cannot hold premultiplied ones. */
void dt_icc_encode(const dt_icc_t *icc, dt_sample_t sample, int channels, gboolean unassociate,
                   const float *in, void *out, size_t n);

/** An ICC profile for 3×3 primaries and a curve, as deterministic bytes.
 *
 * @param primaries x and y of red, green, blue and white; NULL makes a grey profile (D50) */
GBytes *dt_profile_generate(const char *description, const double primaries[8], const dt_curve_t *curve);
/** The profile @p name (of dt_imageio_profile_names(), or an ICC file's path), for @p colours. */
GBytes *dt_profile_load(const char *name, int colours, GError **error);
/** The name of the profile for primaries and a transfer function by the numbers of ITU-T H.273, or NULL. */
const char *dt_profile_name_for_cicp(int primaries, int transfer);
/** What to embed in a picture of @p colours channels so that it means what @p profile (NULL: sRGB)
 * means: the same bytes, unless it is an RGB profile and the picture grey. */
GBytes *dt_profile_for_colours(GBytes *profile, int colours);

// --- Formats

typedef struct dt_decoder_t dt_decoder_t;
/** A file of one format, opened: raw samples row by row. */
struct dt_decoder_t
{
  int width, height, channels;
  int bits; ///< per sample in the file, before palettes were expanded
  dt_sample_t sample;
  gboolean alpha_associated, alpha_linear;
  size_t memory; ///< bytes held while reading

  /** Reads row @p y, always behind the previous one; rows may be skipped. */
  gboolean (*read_row)(dt_decoder_t *self, int y, void *row, GError **error);
  void (*destroy)(dt_decoder_t *self);
};

/** These open one format; @p input is borrowed for the decoder's life, @p metadata is filled. */
dt_decoder_t *dt_tiff_decoder_create(const dt_input_t *input, dt_metadata_t *metadata, GError **error);
dt_decoder_t *dt_png_decoder_create(const dt_input_t *input, dt_metadata_t *metadata, GError **error);
dt_decoder_t *dt_jpeg_decoder_create(const dt_input_t *input, dt_metadata_t *metadata, GError **error);
dt_decoder_t *dt_pfm_decoder_create(const dt_input_t *input, dt_metadata_t *metadata, GError **error);
dt_decoder_t *dt_exr_decoder_create(const dt_input_t *input, dt_metadata_t *metadata, GError **error);
dt_decoder_t *dt_webp_decoder_create(const dt_input_t *input, dt_metadata_t *metadata, GError **error);
dt_decoder_t *dt_jxl_decoder_create(const dt_input_t *input, dt_metadata_t *metadata, GError **error);
dt_decoder_t *dt_heif_decoder_create(const dt_input_t *input, dt_metadata_t *metadata, GError **error);

/** Everything an encoder is told; borrowed during its creation, but part for its life. */
typedef struct dt_encode_spec_t
{
  const char *name; ///< the target, for messages
  dt_part_t *part;
  int width, height, channels;
  dt_sample_t sample; ///< U8, U16, F32, or F16: then rows come as F32 and the encoder narrows them
  gboolean alpha_associated;
  const double *chromaticities; ///< of the linear light in an OpenEXR; NULL: grey
  dt_imageio_compression_t compression;
  int quality;
  const dt_metadata_t *metadata;     ///< never NULL; as it is to be written, icc included
  const dt_provenance_t *provenance; ///< to be written down; NULL: nothing
  GString *note;                     ///< receives sentences about what could not be carried
} dt_encode_spec_t;

typedef struct dt_encoder_t dt_encoder_t;
/** A file of one format being written. */
struct dt_encoder_t
{
  size_t memory; ///< bytes held while writing

  /** Writes the next row of raw samples; may use @p row as scratch. */
  gboolean (*write_row)(dt_encoder_t *self, void *row, GError **error);
  /** Completes the bytes of the file. */
  gboolean (*finish)(dt_encoder_t *self, GError **error);
  void (*destroy)(dt_encoder_t *self);
};

dt_encoder_t *dt_tiff_encoder_create(const dt_encode_spec_t *spec, GError **error);
dt_encoder_t *dt_png_encoder_create(const dt_encode_spec_t *spec, GError **error);
dt_encoder_t *dt_jpeg_encoder_create(const dt_encode_spec_t *spec, GError **error);
dt_encoder_t *dt_pfm_encoder_create(const dt_encode_spec_t *spec, GError **error);
dt_encoder_t *dt_exr_encoder_create(const dt_encode_spec_t *spec, GError **error);

/** What is known of a format. */
typedef struct dt_format_t
{
  dt_imageio_format_t format;
  const char *name, *option;
  const char *extensions[5]; ///< the usual one first; ends with NULL
  const char *library;       ///< that it takes, NULL for those that every build has
  gboolean writable;         ///< where it is built in
  gboolean in_order;         ///< is written from the first byte to the last, so that a pipe can be written to
  dt_decoder_t *(*open)(const dt_input_t *input, dt_metadata_t *metadata,
                        GError **error); ///< NULL: not built in
  dt_encoder_t *(*create)(const dt_encode_spec_t *spec, GError **error);
} dt_format_t;

/** NULL for UNKNOWN. */
const dt_format_t *dt_format_get(dt_imageio_format_t format);
/** The format of a file by its first bytes. */
dt_imageio_format_t dt_format_recognise(const dt_input_t *input);

/** Rounds one row to 8 bits, alpha as it is and the colours up or down by chance, so that their mean stays.
 * The chance depends on the place alone. @param in  encoded samples, 0..1 */
void dt_dither_row(const float *in, uint8_t *out, int width, int channels, int y);

/** Whether a TIFF with @p pixels bytes of samples in @p strips strips and @p extra bytes of
 * metadata could pass the 4 GiB that classic TIFF can address. */
gboolean dt_tiff_needs_big(uint64_t pixels, uint64_t strips, uint64_t extra);

#endif
