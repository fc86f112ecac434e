/* SPDX-License-Identifier: GPL-3.0-or-later */
/** @file
 * DNG out: what a raw developer opens as if it were the camera's own file.
 */
#ifndef DT_IMAGEIO_DNG_H
#define DT_IMAGEIO_DNG_H

#include "imageio/raw.h"

typedef enum dt_dng_kind_t
{
  DT_DNG_LINEAR, ///< LinearRaw: three samples per pixel, demosaicked
  DT_DNG_CFA,    ///< behind the source's filter array again
} dt_dng_kind_t;

/** How to write. Zero-initialise for the defaults. */
typedef struct dt_dng_opts_t
{
  dt_dng_kind_t kind;
  gboolean
      uncompressed; ///< default: lossless JPEG (LJ92), half floats deflated, which more programs read than plain
  gboolean half; ///< 16-bit floating point instead of integers: for darktable; RawTherapee 5.9 reads it with
                 ///< DT_DNG_CFA, LibRaw where it was built with zlib, dcraw not at all
  gboolean overwrite;
  int stream;                        ///< where the path `-` goes; 0: the standard output
  int threads;                       ///< that compress; 0: one per core
  const char *software;              ///< of this program; NULL: not told
  const dt_provenance_t *provenance; ///< what was done, for the XMP; NULL: nothing
  char **note;                       ///< as in dt_imageio_write_opts_t
} dt_dng_opts_t;

/** Creates @p path for writing and returns the sink to push rows into.
 *
 * Rows are normalised camera RGB (0 black, 1 saturated, not white balanced) of the raw's visible area, three channels,
 * whatever the kind: for DT_DNG_CFA the site's own colour is taken of each pixel. (Of four colours: linear Rec.2020,
 * which the file then says.) Atomic as dt_imageio_create().
 *
 * @param raw  borrowed for the sink's life
 * @return the sink, or NULL with DT_AI_ERROR_OUTPUT, or DT_AI_ERROR_USAGE (no CFA for a sensor without one) */
dt_row_sink_t *dt_dng_create(const char *path, const dt_raw_t *raw, const dt_dng_opts_t *opts,
                             GError **error);

/** What dt_dng_create() checks before it touches a disk. */
gboolean dt_dng_can_create(const char *path, const dt_raw_t *raw, const dt_dng_opts_t *opts, GError **error);

#endif
