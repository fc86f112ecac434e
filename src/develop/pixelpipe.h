/* SPDX-License-Identifier: GPL-3.0-or-later */
/** @file
 * Pixelpipes: a photograph through its modules to the screen, to a thumbnail, to a file.
 *
 * A pipe holds a plan: the modules that change something, each with its piece, for one photograph, one history and one
 * size. A run asks for a rectangle of the result; from the last module to the first each says which rectangle of its
 * input it needs for that, and then pixels pass from the first to the last. When memory is short, on the CPU or on a
 * device, the rectangle is cut in two, and again, and each part is computed for itself: the same to the last bit, because
 * modules promise that.
 *
 * Pipes on a screen keep what modules gave, so that a change of parameters computes only what comes behind it. Setting
 * other parameters ends a run that is under way.
 */
#ifndef DT_DEVELOP_PIXELPIPE_H
#define DT_DEVELOP_PIXELPIPE_H

#include "common/opencl.h"
#include "common/rows.h"
#include "develop/blend.h"
#include "develop/history.h"
#include "develop/input.h"

typedef struct dt_dev_pixelpipe_t dt_dev_pixelpipe_t;

/** An object mask: strengths from 0 to 1 of the upright photograph, at any size. Counted by references. */
typedef struct dt_dev_mask_t
{
  gint references;
  float *plane;
  int width, height;
  guint64 hash; ///< of the plane
} dt_dev_mask_t;

/** @param plane  transfer full: g_free() */
dt_dev_mask_t *dt_dev_mask_new(float *plane, int width, int height);
dt_dev_mask_t *dt_dev_mask_ref(dt_dev_mask_t *mask);
/** NULL is fine. */
void dt_dev_mask_unref(dt_dev_mask_t *mask);

/** What the user says about a module; modules that are not mentioned have their standard. Everything is copied or
 * referenced. */
typedef struct dt_dev_setting_t
{
  const dt_iop_module_t *module;
  gboolean enabled;
  const void *params;             ///< NULL: standard parameters
  const dt_blend_params_t *blend; ///< NULL: it works everywhere, in full
  dt_dev_mask_t *mask;            ///< of the blending, or NULL
} dt_dev_setting_t;

/** How to make a pipe. Zero-initialise for the defaults. */
typedef struct dt_dev_pixelpipe_opts_t
{
  dt_opencl_pipe_t type; ///< full, preview, export, thumbnail, preview2
  dt_opencl_t *cl;       ///< borrowed; NULL: the CPU
  const char *name;      ///< of the photograph, for the trace
  int width, height;     ///< the result fits into this; 0: it is as large as it is
  gboolean for_screen;   ///< sRGB of 8 bits (as k / 255) at the end, instead of linear Rec.709
  guint64 memory;        ///< bytes for pixels in a run; 0: a quarter of what is available
  gboolean yields;       ///< rows give the device back after each band, and ask for one anew
  guint64 cache;         ///< bytes that are kept between runs; 0: of full and preview 256 MiB, of others none
} dt_dev_pixelpipe_opts_t;

/** @param input  referenced
 * @return transfer full; without modules until dt_dev_pixelpipe_set() */
dt_dev_pixelpipe_t *dt_dev_pixelpipe_create(dt_dev_input_t *input, const dt_dev_pixelpipe_opts_t *opts);
/** No run is under way. NULL is fine. */
void dt_dev_pixelpipe_destroy(dt_dev_pixelpipe_t *pipe);

/** Makes the plan for these settings. A run under way ends with DT_AI_ERROR_CANCELLED as soon as its module is done.
 * Thread-safe.
 * @return FALSE with DT_AI_ERROR_USAGE: parameters and photograph do not go together (a crop of no pixel); the plan
 *         before is still in force */
gboolean dt_dev_pixelpipe_set(dt_dev_pixelpipe_t *pipe, const dt_dev_setting_t *settings, int n,
                              GError **error);
/** The same with what of a history counts; `blend.mask` names a picture file.
 * @return FALSE also with DT_AI_ERROR_INPUT: a mask cannot be read */
gboolean dt_dev_pixelpipe_set_history(dt_dev_pixelpipe_t *pipe, const dt_history_t *history, GError **error);
/** The size of the whole result. FALSE before the first plan. Thread-safe. */
gboolean dt_dev_pixelpipe_size(dt_dev_pixelpipe_t *pipe, int *width, int *height);

/** The modules of the plan, in the order in which pixels pass them: those that change something (transfer container, of
 * const dt_iop_module_t *); empty before the first plan. Thread-safe. */
GPtrArray *dt_dev_pixelpipe_modules(dt_dev_pixelpipe_t *pipe);

/** What a run did. */
typedef struct dt_dev_run_report_t
{
  int device;            ///< that did the most of it; -1: the CPU
  int tiles;             ///< parts
  int modules;           ///< computed, each part and module counted
  double seconds;        ///< all of it
  double module_seconds; ///< of that, in modules on the CPU
} dt_dev_run_report_t;

/** Computes a rectangle of the result.
 * @param roi     inside the result; its scale is ignored. NULL: all of it, when nobody sets the pipe meanwhile: the
 *                result may then have another size
 * @param pixels  receives width x height x 4 floats
 * @param report  NULL, or receives what was done
 * @return FALSE with DT_AI_ERROR_CANCELLED (by @p cancellable, by dt_dev_pixelpipe_set(), or a newer run of its kind),
 *         _MEMORY (not even a small part fits), _USAGE (a rectangle outside, no plan)
 * One run at a time for each pipe. */
gboolean dt_dev_pixelpipe_run(dt_dev_pixelpipe_t *pipe, const dt_iop_roi_t *roi, float *pixels,
                              GCancellable *cancellable, dt_dev_run_report_t *report, GError **error);

/** The result as rows, linear Rec.709 with alpha: computed band by band as they are read, within the pipe's memory.
 * Reading fails with DT_AI_ERROR_CANCELLED once the pipe has been set anew: rows of two plans are no picture.
 * @return transfer full; the pipe is borrowed and does nothing else meanwhile */
dt_row_source_t *dt_dev_pixelpipe_rows(dt_dev_pixelpipe_t *pipe, GCancellable *cancellable);
/** What those rows took so far, all bands together. */
void dt_dev_pixelpipe_rows_report(const dt_row_source_t *rows, dt_dev_run_report_t *report);

#endif
