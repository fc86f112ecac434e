/* SPDX-License-Identifier: GPL-3.0-or-later */
/** @file
 * What the files that read raws share: the container that a camera wraps its samples in, and who fills which part of a
 * dt_raw_t.
 */
#ifndef DT_IMAGEIO_RAW_INTERNAL_H
#define DT_IMAGEIO_RAW_INTERNAL_H

#include "imageio/raw.h"

/** Tags that the raw's own directory is known by, and those of DNG that say something to us. */
enum
{
  DT_TAG_SUBFILE_TYPE = 254,
  DT_TAG_WIDTH = 256,
  DT_TAG_HEIGHT = 257,
  DT_TAG_BITS = 258,
  DT_TAG_COMPRESSION = 259,
  DT_TAG_PHOTOMETRIC = 262,
  DT_TAG_MAKE = 271,
  DT_TAG_MODEL = 272,
  DT_TAG_STRIP_OFFSETS = 273,
  DT_TAG_STRIP_SIZES = 279,
  DT_TAG_TILE_OFFSETS = 324,
  DT_TAG_TILE_SIZES = 325,
  DT_TAG_SAMPLE_FORMAT = 339,
  DT_TAG_DNG_VERSION = 50706,
  DT_TAG_UNIQUE_MODEL = 50708,
  DT_TAG_BLACK_LEVEL = 50714,
  DT_TAG_WHITE_LEVEL = 50717,
  DT_TAG_CROP_ORIGIN = 50719,
  DT_TAG_CROP_SIZE = 50720,
  DT_TAG_COLOR_MATRIX_1 = 50721,
  DT_TAG_COLOR_MATRIX_2 = 50722,
  DT_TAG_CALIBRATION_1 = 50723,
  DT_TAG_CALIBRATION_2 = 50724,
  DT_TAG_ANALOG_BALANCE = 50727,
  DT_TAG_AS_SHOT_NEUTRAL = 50728,
  DT_TAG_AS_SHOT_WHITE = 50729,
  DT_TAG_BASELINE_EXPOSURE = 50730,
  DT_TAG_ILLUMINANT_1 = 50778,
  DT_TAG_ILLUMINANT_2 = 50779,
  DT_TAG_ACTIVE_AREA = 50829,
  DT_TAG_FORWARD_MATRIX_1 = 50964,
  DT_TAG_FORWARD_MATRIX_2 = 50965,
  DT_TAG_ILLUMINANT_3 = 52529,
  DT_TAG_CALIBRATION_3 = 52530,
  DT_TAG_COLOR_MATRIX_3 = 52531,
  DT_TAG_FORWARD_MATRIX_3 = 52532,
};

// --- Containers

typedef enum dt_raw_kind_t
{
  DT_RAW_NOT,  ///< no raw
  DT_RAW_DNG,  ///< TIFF with DNG's version
  DT_RAW_TIFF, ///< TIFF of some camera, the almost-TIFFs of Olympus and Panasonic too
  DT_RAW_RAF,
  DT_RAW_CR3,
  DT_RAW_MRW,
  DT_RAW_OTHER, ///< by another mark, or by nothing but its name
} dt_raw_kind_t;

/** A raw file and its directories. */
typedef struct dt_raw_file_t
{
  const dt_input_t *input; ///< borrowed
  dt_raw_kind_t kind;
  gboolean big_endian;
  gboolean is_panasonic; ///< TIFF by another name, that tells its size by other tags
  GPtrArray *pages;      ///< of GArray of dt_exif_entry_t: the TIFF directories, maybe none
  const GArray *main;    ///< the first of them, or NULL
  const GArray *picture; ///< the one of the raw's samples, or NULL
} dt_raw_file_t;

/** Recognises @p input and reads its directories. */
void dt_raw_file_open(dt_raw_file_t *file, const dt_input_t *input);
void dt_raw_file_close(dt_raw_file_t *file);
/** Value @p i of a tag of @p entries, one of the file's directories; @p otherwise without one. */
double dt_raw_file_number(const dt_raw_file_t *file, const GArray *entries, uint16_t tag, uint32_t i,
                          double otherwise);
/** Whether everything that the container speaks of lies in the file, as far as it says so. */
gboolean dt_raw_file_is_whole(const dt_raw_file_t *file);
/** Whether nothing is known in it that LibRaw would come to grief over. */
gboolean dt_raw_file_is_safe(const dt_raw_file_t *file);

/** A box of an ISO media file, or a block of another: its content. */
typedef struct dt_raw_block_t
{
  uint64_t start, size; ///< size 0: there is none
} dt_raw_block_t;
/** The first box of @p type between @p within's ends; one of type `uuid` must begin with the 16 bytes @p uuid, which
 * its content begins behind. */
dt_raw_block_t dt_raw_file_find_box(const dt_raw_file_t *file, dt_raw_block_t within, const char type[4],
                                    const uint8_t *uuid);
/** The embedded JPEG of a RAF and the TIFF structure with its maker's tags. */
dt_raw_block_t dt_raw_file_find_raf_jpeg(const dt_raw_file_t *file);
dt_raw_block_t dt_raw_file_find_raf_tiff(const dt_raw_file_t *file);
/** The TIFF structure of an MRW. */
dt_raw_block_t dt_raw_file_find_mrw_tiff(const dt_raw_file_t *file);

// --- Parts of a dt_raw_t

/** Fills exif, xmp, dng_tags and raw_tags. */
void dt_raw_read_metadata(dt_raw_t *raw, const dt_raw_file_t *file);
/** What a DNG's own tags say: matrix, neutral, baseline exposure. Its tags have to be there already. */
void dt_raw_read_dng_colour(dt_raw_t *raw);
/** Fills a neutral that is missing with the response to D65. */
void dt_raw_complete_neutral(dt_raw_t *raw);
/** Number of the sensor's colours, 3 or 4. */
int dt_raw_colours(const dt_raw_t *raw);

/** What dt_raw_open() hands out: the decoder's memory with it. */
typedef struct dt_raw_held_t
{
  dt_raw_t raw;
  void *decoder;
  void (*release)(void *decoder);
} dt_raw_held_t;

/** Decodes @p file with LibRaw: everything but metadata and what a DNG says better itself. Only in builds with
 * LibRaw. */
gboolean dt_raw_decode(dt_raw_held_t *held, const dt_raw_file_t *file, GError **error);

#endif
