/* SPDX-License-Identifier: GPL-3.0-or-later */
/** @file
 * What the parts of the pixelpipe share: its state, a run, and the step to a device.
 */
#ifndef DT_DEVELOP_PIXELPIPE_INTERNAL_H
#define DT_DEVELOP_PIXELPIPE_INTERNAL_H

#include "develop/pixelpipe_cache.h"
#include "develop/pixelpipe_plan.h"

#include <pthread.h>

/** How often a pipe's parameters have changed: shared with what may be left behind on a device. Counted by references. */
typedef struct dt_dev_changes_t
{
  gint references, n;
} dt_dev_changes_t;

dt_dev_changes_t *dt_dev_changes_ref(dt_dev_changes_t *changes);
/** NULL is fine. */
void dt_dev_changes_unref(dt_dev_changes_t *changes);

struct dt_dev_pixelpipe_t
{
  dt_dev_pixelpipe_opts_t opts;
  char *name;
  dt_dev_input_t *input;
  dt_dev_cache_t *cache; ///< of the thread that runs
  gboolean keeps;        ///< anything in it
  pthread_mutex_t lock;  ///< of the two below
  dt_dev_plan_t *plan;
  dt_dev_changes_t *changes;
};

/** A run under way. */
typedef struct dt_dev_run_t
{
  dt_dev_pixelpipe_t *pipe;
  dt_dev_plan_t *plan;
  dt_dev_changes_t *changes;
  gint mine; ///< how many there were when it began
  GCancellable *cancellable;
  dt_opencl_run_t *cl; ///< or NULL
  guint64 memory;
  int refused;            ///< how often in a row the device had too little memory
  dt_dev_buffer_t *spare; ///< what a module has done with, for the next one: fresh memory costs time; or NULL
  dt_dev_buffer_t *result; ///< the caller's memory when a part can be computed right there, or NULL
  dt_dev_run_report_t report;
} dt_dev_run_t;

/** FALSE with DT_AI_ERROR_CANCELLED when the run is not wanted any more. */
gboolean dt_dev_check_wanted(const dt_dev_changes_t *changes, gint mine, GCancellable *cancellable,
                             GError **error);

/** Begins a run of the plan that is in force; waits for its turn. FALSE with DT_AI_ERROR_CANCELLED, _USAGE: no plan. */
gboolean dt_dev_run_begin(dt_dev_run_t *run, dt_dev_pixelpipe_t *pipe, GCancellable *cancellable,
                          GError **error);
void dt_dev_run_end(dt_dev_run_t *run);
/** Computes @p roi of the result into @p pixels, rows of @p stride floats, in as many parts as memory demands. */
gboolean dt_dev_run_part(dt_dev_run_t *run, const dt_iop_roi_t *roi, float *pixels, gsize stride,
                         GError **error);

/** The nodes from @p first up to @p last (not included) on the run's device.
 * @param rois  of the whole plan
 * @return what node last - 1 gives (transfer full); NULL with DT_AI_ERROR_MEMORY: smaller parts may fit; _CANCELLED;
 *         anything else: the CPU has to do it */
dt_dev_buffer_t *dt_dev_run_on_device(dt_dev_run_t *run, int first, int last, const dt_iop_roi_t *rois,
                                      dt_dev_buffer_t *in, GError **error);

#endif
