/* SPDX-License-Identifier: GPL-3.0-or-later */
/** @file
 * Passes a picture through a restore model, tile by tile: what restore.c (RGB) and restore_raw.c (sensors) share.
 *
 * The front, one of these two, fills rows of planes in the form the network is shown, and takes the network's rows
 * when they are complete. In between lie a ring of rows, windows, the pipeline and the blending; and where the
 * runtime runs out of memory, a new plan with smaller tiles for the rows that are not done yet.
 */
#ifndef DT_AI_RESTORE_TILES_H
#define DT_AI_RESTORE_TILES_H

#include "ai/restore_internal.h"

/** Rows a front is asked for at a time: enough to amortise a call, little enough to stay in cache. */
#define DT_TILES_CHUNK 16

typedef struct dt_tiles_t dt_tiles_t;

/** The two ends of the way. */
typedef struct dt_tiles_front_t
{
  /** Called once when the plan is made, before the first row; NULL: nothing is to be done then. */
  gboolean (*begin)(void *front, GError **error);
  /** Fills rows [y, y + n) of dt_tiles_row(), all planes; rows come in order, n is at most DT_TILES_CHUNK. On a thread
   * of its own. */
  gboolean (*read)(void *front, dt_tiles_t *tiles, int y, int n, GError **error);
  /** Output row @p y is complete, all finite; @p planes are three and may be changed. Rows come in order. The rows of
   * the picture around y / scale can still be had from dt_tiles_row(). */
  gboolean (*finish)(void *front, dt_tiles_t *tiles, int y, float *const planes[3], GError **error);
} dt_tiles_front_t;

/** One picture on its way. */
struct dt_tiles_t
{
  dt_restore_context_t *ctx;
  const dt_restore_opts_t *opts;
  dt_restore_report_t *report;
  const dt_tiles_front_t *front;
  void *data;           ///< for the front
  int width, height;    ///< in the network's input pixels
  double megapixels;    ///< of the picture as people count them, for progress
  int planes;           ///< held of each row
  int shown;            ///< of these, from the first on, to the network; one stands for all
  int scale, out_width; ///< of the output rows
  size_t extra_bytes;   ///< what front, source and sink hold, for plans

  /* private */
  dt_tile_plan_t plan; ///< of the rows from first_row on
  int first_row;       ///< where the plan in force begins
  int rows_done;       ///< core rows that are blended and handed on
  int rows_written;    ///< output rows that are decided: those done less the part of the ramp still open
  float *ring;         ///< ring_rows × planes × width
  int ring_rows, rows_read;
  struct dt_tiles_slot_t *slots;
  int n_slots;
  float *sigma; ///< one plane of a window, or NULL
  float *band;  ///< 3 × scale (core_h + 2 ramp) × out_width: output rows being put together
  float *carry; ///< 3 × scale 2 ramp × out_width: blended rows that the next band completes
  float *fade;  ///< scale 2 ramp weights, rising
};

/** Plane @p plane of the picture's row @p y, width floats. */
float *dt_tiles_row(const dt_tiles_t *tiles, int y, int plane);

/** Passes all rows; the public part of @p tiles is filled, the rest zero.
 * @return FALSE with DT_AI_ERROR_CANCELLED, _MEMORY, _FAILED, or the front's error */
gboolean dt_tiles_run(dt_tiles_t *tiles, GError **error);

/** The plan for a picture of @p width × @p height input pixels with @p planes planes held. */
gboolean dt_tiles_plan(const dt_restore_context_t *ctx, int width, int height, int planes, size_t extra_bytes,
                       dt_restore_plan_t *plan, GError **error);

/** Whether the caller wants to stop, with its error. */
gboolean dt_tiles_is_cancelled(const dt_restore_opts_t *opts, GError **error);

#endif
