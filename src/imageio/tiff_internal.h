/* SPDX-License-Identifier: GPL-3.0-or-later */
/** @file
 * What the files about TIFF share: opening the TIFF library on our own files, without a word
 * printed, and the state of a file being read.
 */
#ifndef DT_IMAGEIO_TIFF_INTERNAL_H
#define DT_IMAGEIO_TIFF_INTERNAL_H

#include "imageio/imageio_internal.h"

#include <tiffio.h>

typedef struct dt_tiff_procs_t
{
  TIFFReadWriteProc read, write;
  TIFFSeekProc seek;
  TIFFCloseProc close;
  TIFFSizeProc size;
  TIFFErrorHandlerExtR error;
} dt_tiff_procs_t;

/** Opens a handle of the library; @p data is handed to all @p procs. Warnings are dropped. */
TIFF *dt_tiff_open(const char *name, const char *mode, void *data, const dt_tiff_procs_t *procs);

// --- Reading: tiff_read.c opens and judges a file, tiff_rows.c fetches its rows

/** Channels a file may keep apart. */
#define DT_TIFF_MAX_PLANES 4

typedef enum dt_tiff_layout_t
{
  DT_TIFF_DIRECT,   ///< uncompressed strips, read by position
  DT_TIFF_SCANLINE, ///< compressed strips
  DT_TIFF_TILES,
} dt_tiff_layout_t;

typedef struct dt_tiff_handle_t
{
  const dt_input_t *input;
  uint64_t position;
  char *message; ///< the library's first complaint
  TIFF *tiff;
} dt_tiff_handle_t;

typedef struct dt_tiff_reader_t
{
  dt_decoder_t decoder;
  const dt_input_t *input;
  dt_tiff_layout_t layout;
  dt_tiff_handle_t handles[DT_TIFF_MAX_PLANES]; ///< one, or one for each separate plane
  int planes;                                   ///< how many planes the file keeps apart, 1 when interleaved
  int samples;                                  ///< per pixel in the file
  uint16_t photometric;
  uint16_t *colour_map[3]; ///< of a palette, owned by the library
  gboolean swapped;        ///< the other byte order
  int next;                ///< the first scanline not decoded yet
  uint32_t rows_per_strip;
  uint32_t tile_width, tile_height;
  int band;         ///< the row of tiles in tiles, -1 for none
  uint8_t *scratch; ///< one row of one plane, or of the file's samples
  uint8_t *tile;
  uint8_t *tiles; ///< a row of tiles as interleaved rows
} dt_tiff_reader_t;

/** Says that the file is truncated or damaged; returns FALSE. */
gboolean dt_tiff_fail_damaged(const dt_tiff_reader_t *self, GError **error);
/** Bytes of one row of what a plane of the file holds. */
size_t dt_tiff_plane_row(const dt_tiff_reader_t *self);
/** Bytes per pixel of the file, all planes together. */
size_t dt_tiff_pixel_size(const dt_tiff_reader_t *self);
/** The decoder's read_row(). */
gboolean dt_tiff_read_row(dt_decoder_t *decoder, int y, void *row, GError **error);

#endif
