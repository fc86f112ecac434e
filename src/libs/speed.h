/* SPDX-License-Identifier: GPL-3.0-or-later */
/** @file
 * How fast a model has been on this machine, so that a plan can tell how long it will take.
 *
 * Kept in the cache directory beside the calibration, per model, provider, factor and threads, as pixels that pass
 * through the network per second; each run moves the figure a little.
 */
#ifndef DT_LIBS_SPEED_H
#define DT_LIBS_SPEED_H

#include "ai/restore.h"

/** Seconds that the plan will take with @p ctx, or a negative number when nothing is known yet. */
double dt_speed_expect(const dt_restore_context_t *ctx, const dt_restore_plan_t *plan);

/** Learns from a picture that is done. A cache that cannot be written costs the knowledge alone. */
void dt_speed_learn(const dt_restore_context_t *ctx, const dt_restore_report_t *report);

#endif
