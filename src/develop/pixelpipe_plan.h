/* SPDX-License-Identifier: GPL-3.0-or-later */
/** @file
 * The modules of a pipe made ready for one photograph, one history and one size. Plans never change: runs, and devices
 * that hang in the middle of one, keep a reference.
 */
#ifndef DT_DEVELOP_PIXELPIPE_PLAN_H
#define DT_DEVELOP_PIXELPIPE_PLAN_H

#include "develop/pixelpipe.h"

#define DT_DEV_MAX_NODES 32

typedef struct dt_dev_node_t
{
  dt_iop_piece_t piece;
  dt_blend_t *blend;   ///< where and how much it works, or NULL: everywhere, in full
  dt_dev_mask_t *mask; ///< of blend, or NULL
  guint64 hash;        ///< of everything up to here: photograph, modules, parameters, sizes
} dt_dev_node_t;

typedef struct dt_dev_plan_t
{
  gint references;
  dt_dev_input_t *input;
  int n;
  dt_dev_node_t nodes[DT_DEV_MAX_NODES];
  int width, height; ///< of the result
  int focus;         ///< the first node that differs from the plan before; -1: none does
  int small; ///< of a screen: the first node behind those that work at the photograph's full size; else -1
} dt_dev_plan_t;

/** @return transfer full: dt_dev_plan_unref(), or NULL with DT_AI_ERROR_USAGE */
dt_dev_plan_t *dt_dev_plan_new(dt_dev_input_t *input, const dt_dev_pixelpipe_opts_t *opts,
                               const dt_dev_setting_t *settings, int n, GError **error);
/** Finds out where @p plan differs from the one before, which may be NULL. Before it is shared. */
void dt_dev_plan_set_focus(dt_dev_plan_t *plan, const dt_dev_plan_t *before);
/** Whether what node @p i takes in is worth keeping: the next change of a parameter is likely to begin there. */
gboolean dt_dev_plan_is_worth_keeping(const dt_dev_plan_t *plan, int i);
dt_dev_plan_t *dt_dev_plan_ref(dt_dev_plan_t *plan);
void dt_dev_plan_unref(dt_dev_plan_t *plan);

/** The rectangles between the nodes for the result's @p roi: rois[i] is what node i takes in, rois[n] is @p roi. */
void dt_dev_plan_rois(const dt_dev_plan_t *plan, const dt_iop_roi_t *roi,
                      dt_iop_roi_t rois[DT_DEV_MAX_NODES + 1]);
/** What the module of node @p i has to compute for @p out: more, where its mask is blurred. */
dt_iop_roi_t dt_dev_plan_processed(const dt_dev_plan_t *plan, int i, const dt_iop_roi_t *out);
/** Bytes that a run takes at most at a time, of the machine when all is done on the CPU.
 * @param rois  of the whole plan */
guint64 dt_dev_plan_memory(const dt_dev_plan_t *plan, const dt_iop_roi_t *rois);
/** The same of a device that does all of it, and the largest buffer of pixels. */
guint64 dt_dev_plan_memory_cl(const dt_dev_plan_t *plan, const dt_iop_roi_t *rois, guint64 *largest);
/** Channels of what node @p i takes in, and of the result (i = n). */
int dt_dev_plan_channels(const dt_dev_plan_t *plan, int i);

#endif
