/* SPDX-License-Identifier: GPL-3.0-or-later */
/** @file
 * A loaded restore model, as restore_model.c prepares it and restore.c uses it.
 */
#ifndef DT_AI_RESTORE_INTERNAL_H
#define DT_AI_RESTORE_INTERNAL_H

#include "ai/backend_internal.h"
#include "ai/restore.h"
#include "ai/tiling.h"
#include "common/onnx_graph.h"
#include "common/raw_contract.h"

/** What was measured with this model, runtime and thread count. */
typedef struct dt_calibration_t
{
  double pixel_bytes; ///< activations per window pixel, margin included
  int arena_strategy; ///< the runtime's arena_extend_strategy that needs less
  gboolean exact;     ///< a tile equalled the same pixels of a larger window
} dt_calibration_t;

struct dt_restore_context_t
{
  char *model_id;
  char *path;    ///< of the model file
  GBytes *bytes; ///< the model file
  char *hash;    ///< its SHA-256, 64 hexadecimal digits
  dt_ai_context_t *session;
  dt_ai_provider_t provider;           ///< as asked for, then as resolved
  gboolean strict;                     ///< no other provider will do
  char *cpu_only;                      ///< the manifest's wish, or NULL
  char *device, *placement, *fallback; ///< of the first session
  GCancellable *loading;               ///< stops the measurements; NULL once loaded
  size_t budget;
  int threads, runs, max_tile;
  gboolean runs_chosen; ///< by the caller
  int device_side;      ///< of windows, for providers that compile for one shape

  dt_restore_input_t input;
  int planes; ///< of the network's input: 3, or 4 of a Bayer sensor's cells
  int scale;  ///< output pixels per input pixel and side: 1, 2 or 4
  gboolean has_sigma;
  int fixed_w, fixed_h;       ///< window of a static model, 0: free
  dt_raw_contract_t contract; ///< of a raw model
  float low, high;            ///< values the network may be shown; what exceeds them is added back
  dt_onnx_locality_t locality;
  dt_calibration_t calibration;
  int halo, stride;
  int ramp;         ///< pixels on each side of a core's edge that are blended, 0: exact
  char reason[160]; ///< why not exact
};

/** (Re)creates ctx->session; the runtime's arena gets what is left of the budget. */
gboolean dt_restore_open_session(dt_restore_context_t *ctx, GError **error);

/** Runs one window. @p in: planar, ctx->planes planes; @p out: planar RGB, scale times as wide and high; @p sigma: one
 * plane or NULL. */
gboolean dt_restore_run_window(dt_restore_context_t *ctx, float *in, float *sigma, float *out, int width,
                               int height, GCancellable *cancellable, GError **error);

/** Fills the request of a tile plan for @p height rows from somewhere in the picture, @p planes held of each. */
dt_tile_request_t dt_restore_request(const dt_restore_context_t *ctx, int width, int height, int planes,
                                     size_t extra_bytes);

/** How strongly the network acts along row @p y: what opts->original leaves, times the mask's code value. */
gboolean dt_restore_read_strength(const dt_restore_opts_t *opts, int width, int y, float *strength,
                                  GError **error);
/** Whether the mask, where there is one, has the picture's size. */
gboolean dt_restore_check_mask(const dt_restore_opts_t *opts, int width, int height, GError **error);
/** Hands all rows on as they are. @param line  for DT_TILES_CHUNK rows */
gboolean dt_restore_pass_rows(dt_row_source_t *in, dt_row_sink_t *out, const dt_restore_opts_t *opts,
                              float *line, GError **error);
/** Finishes @p out, or abandons it when not @p ok, and closes the report. */
gboolean dt_restore_conclude(dt_row_sink_t *out, gboolean ok, gint64 start, dt_restore_report_t *report,
                             GError **error);

#endif
