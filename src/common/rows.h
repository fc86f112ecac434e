/* SPDX-License-Identifier: GPL-3.0-or-later */
/** @file
 * Rows of pixels: the only joint between files, pixelpipe and inference.
 *
 * A picture is never held whole because a job needs a tile of it. It is pulled from a source row
 * by row and pushed into a sink row by row, top to bottom. Rows are interleaved float in linear
 * light with Rec.709 primaries (D65), black at 0 and diffuse white at 1; values below 0 and above
 * 1 are legal and carry highlights and colours outside sRGB.
 *
 * Each object is used from one thread at a time. Failure is reported through GError, after which
 * the object may only be destroyed (a sink: abandoned).
 */
#ifndef DT_COMMON_ROWS_H
#define DT_COMMON_ROWS_H

#include "errors.h"

G_BEGIN_DECLS

/** What the numbers of a row mean. */
typedef enum dt_row_space_t
{
  DT_ROW_LINEAR_REC709, ///< linear light, Rec.709 primaries; grey rows: linear luminance
  DT_ROW_CAMERA_RGB,    ///< as a sensor saw it: 0 black, 1 saturated, not white balanced
} dt_row_space_t;

/** Channels of a row, interleaved; alpha is always last and is never colour-converted. */
typedef enum dt_row_channels_t
{
  DT_ROW_GREY = 1,
  DT_ROW_GREY_ALPHA = 2,
  DT_ROW_RGB = 3,
  DT_ROW_RGBA = 4,
} dt_row_channels_t;

/** Number of colour channels (1 or 3) of a row with @p channels channels. */
#define DT_ROW_COLOURS(channels) ((channels) < DT_ROW_RGB ? 1 : 3)
/** Whether a row with @p channels channels carries alpha. */
#define DT_ROW_HAS_ALPHA(channels) (((channels)&1) == 0)

typedef struct dt_row_source_t dt_row_source_t;
/** A picture to pull from. */
struct dt_row_source_t
{
  int width;            ///< pixels, at least 1
  int height;           ///< rows, at least 1
  int channels;         ///< a dt_row_channels_t
  dt_row_space_t space; ///< what the values mean
  size_t memory;        ///< bytes the source holds while it is read (decoder, strips), for plans

  /** Reads @p n rows from row @p y on into @p rows (n × width × channels floats).
   * @p y never goes back behind the end of the previous read; rows may be skipped. */
  gboolean (*read)(dt_row_source_t *self, int y, int n, float *rows, GError **error);
  /** Frees the source; may be called at any moment. */
  void (*destroy)(dt_row_source_t *self);
};

typedef struct dt_row_sink_t dt_row_sink_t;
/** A picture to push into. Ends with exactly one of finish() and abandon(), which free it. */
struct dt_row_sink_t
{
  size_t memory; ///< bytes the sink holds while it is written, for plans

  /** Writes @p n rows from row @p y on; rows arrive in order and without gaps. */
  gboolean (*write)(dt_row_sink_t *self, int y, int n, const float *rows, GError **error);
  /** Completes the output and frees the sink. On failure nothing is left behind. */
  gboolean (*finish)(dt_row_sink_t *self, GError **error);
  /** Discards everything written and frees the sink. */
  void (*abandon)(dt_row_sink_t *self);
};

/** Frees @p source; NULL is fine. */
static inline void dt_row_source_destroy(dt_row_source_t *source)
{
  if(source) source->destroy(source);
}

G_END_DECLS

#endif
