/* SPDX-License-Identifier: GPL-3.0-or-later */
/** @file
 * What the parts of the DNG writer share: levels, tiles, previews and tags; dng_write.c puts them together.
 */
#ifndef DT_IMAGEIO_DNG_INTERNAL_H
#define DT_IMAGEIO_DNG_INTERNAL_H

#include "common/noise.h"
#include "imageio/dng.h"

/** Longest sides of the preview and of the thumbnail. */
#define DT_DNG_PREVIEW_SIDE 1024
#define DT_DNG_THUMBNAIL_SIDE 256
/** Side of a tile; of a picture that is smaller, its own rounded up to a multiple of 16. */
#define DT_DNG_TILE 256

/** Samples of a pixel: 1 behind a filter array, else 3. */
#define DT_DNG_SAMPLES(kind) ((kind) == DT_DNG_CFA ? 1 : 3)

// --- Levels

/** How normalised values become codes: code = black + scale · value. */
typedef struct dt_dng_levels_t
{
  gboolean half;       ///< values as they are, in half floats: black 0, scale 1
  double black, scale; ///< whole numbers
} dt_dng_levels_t;

/** Levels that give every value of the source a code of its own, and room above white; behind a filter array below
 * black, too. */
dt_dng_levels_t dt_dng_choose_levels(const dt_mosaic_t *mosaic, dt_dng_kind_t kind, gboolean half);
/** @p n values to codes: rounded, cut where codes end; what is no number becomes black. */
void dt_dng_encode(const dt_dng_levels_t *levels, const float *in, uint16_t *out, size_t n);

// --- Tiles

/** The stored picture: tiles of lossless JPEG or deflated, or one plain strip. */
typedef struct dt_dng_tiles_t dt_dng_tiles_t;

typedef struct dt_dng_tiles_spec_t
{
  int width, height; ///< pixels
  int samples;       ///< of a pixel
  int tile;          ///< its longest side, a multiple of 16
  gboolean half;     ///< codes are half floats
  gboolean compress; ///< LJ92; half floats: deflate
  int threads;
  dt_part_t *part;   ///< tiles are appended to it
  uint64_t position; ///< bytes that have been so far
} dt_dng_tiles_spec_t;

dt_dng_tiles_t *dt_dng_tiles_create(const dt_dng_tiles_spec_t *spec);
/** Where the samples of the next row go. */
uint16_t *dt_dng_tiles_row(dt_dng_tiles_t *tiles);
/** Takes the row. FALSE when tiles cannot be written: the part knows why. */
gboolean dt_dng_tiles_push(dt_dng_tiles_t *tiles);
/** Writes what is left behind the last row; returns the part's length, 0 when it cannot be written. */
uint64_t dt_dng_tiles_finish(dt_dng_tiles_t *tiles);
/** Adds the tags that say where tiles are, how large and how packed. */
void dt_dng_tiles_describe(const dt_dng_tiles_t *tiles, dt_exif_t *directory);
size_t dt_dng_tiles_memory(const dt_dng_tiles_t *tiles);
void dt_dng_tiles_destroy(dt_dng_tiles_t *tiles);

// --- Previews

/** A small picture of what passes. */
typedef struct dt_dng_preview_t dt_dng_preview_t;

typedef struct dt_dng_picture_t
{
  int width, height;
  uint8_t *pixels; ///< sRGB, interleaved
} dt_dng_picture_t;

dt_dng_preview_t *dt_dng_preview_create(const dt_raw_t *raw);
/** Takes row @p y of the visible area, three channels. */
void dt_dng_preview_push(dt_dng_preview_t *preview, int y, const float *row);
size_t dt_dng_preview_memory(const dt_dng_preview_t *preview);
/** What has passed, no side longer than @p side (transfer full: the pixels). */
dt_dng_picture_t dt_dng_preview_render(const dt_dng_preview_t *preview, int side);
void dt_dng_preview_destroy(dt_dng_preview_t *preview);

// --- Tags

/** These set the first directory's values, in its byte order. */
void dt_dng_set_shorts(dt_exif_t *directory, uint16_t tag, const int *values, int n);
void dt_dng_set_longs(dt_exif_t *directory, uint16_t tag, const uint32_t *values, int n);
void dt_dng_set_bytes(dt_exif_t *directory, uint16_t tag, uint16_t type, const void *bytes, size_t n);
/** Fractions; @p unit is the denominator. */
void dt_dng_set_fractions(dt_exif_t *directory, uint16_t tag, uint16_t type, const double *values, int n,
                          int unit);
void dt_dng_set_doubles(dt_exif_t *directory, uint16_t tag, const double *values, int n);
void dt_dng_set_text(dt_exif_t *directory, uint16_t tag, const char *text);

/** The part of the visible area that is to be shown: raw's crop where it lies inside, else everything. */
typedef struct dt_dng_crop_t
{
  int x, y, width, height;
} dt_dng_crop_t;
dt_dng_crop_t dt_dng_get_crop(const dt_raw_t *raw);
/** Response to white, greatest 1, of what rows hold. */
void dt_dng_get_neutral(const dt_raw_t *raw, double neutral[3]);

/** Matrix from these, balanced by dividing by the neutral, to linear Rec.709. */
void dt_dng_get_rec709(const dt_raw_t *raw, float matrix[9]);

/** What is only known of the result. */
typedef struct dt_dng_measured_t
{
  uint8_t id[16];      ///< from the content
  gboolean has_noise;  ///< of all three colours
  dt_noise_t noise[3]; ///< red, green, blue
} dt_dng_measured_t;

/** Everything of the first directory but the thumbnail and versions, with the directories below it that raw->exif has; sentences
 * about what does not go along are appended to @p note. @p xmp may be NULL. */
dt_exif_t *dt_dng_main_tags(const dt_raw_t *raw, const dt_dng_opts_t *opts, GBytes *xmp, GString *note);
/** Everything of the raw picture's directory but the tiles and what is measured. */
dt_exif_t *dt_dng_raw_tags(const dt_raw_t *raw, const dt_dng_opts_t *opts, const dt_dng_levels_t *levels,
                           GString *note);
/** Adds what is measured to the two directories, and the versions that the whole takes. */
void dt_dng_add_measured(dt_exif_t *main, dt_exif_t *raw, const dt_dng_measured_t *measured);

/** dt_dng_create() with tiles of another size. @param tile  a multiple of 16 */
dt_row_sink_t *dt_dng_create_tiled(const char *path, const dt_raw_t *raw, const dt_dng_opts_t *opts, int tile,
                                   GError **error);

#endif
