/* SPDX-License-Identifier: GPL-3.0-or-later */
/** @file
 * Three stages that overlap: prepare, run, finish; with a ring of slots between them.
 *
 * Items 0, 1, 2 … pass through all three. Preparing and finishing happen in order, each on a thread
 * of its own; running happens on one or more workers. An item occupies the slot (item mod slots) from
 * before it is prepared until after it is finished, so item i is prepared only once item i - slots
 * is finished. The first failure stops everything.
 */
#ifndef DT_AI_PIPELINE_H
#define DT_AI_PIPELINE_H

#include "common/errors.h"

#include <gio/gio.h>

/** The stages. Each returns FALSE with an error to stop the pipeline. */
typedef struct dt_pipeline_ops_t
{
  gboolean (*prepare)(void *data, int item, int slot, GError **error);
  gboolean (*run)(void *data, int item, int slot, GError **error);
  gboolean (*finish)(void *data, int item, int slot, GError **error);
} dt_pipeline_ops_t;

/** Passes @p items items through the stages.
 *
 * finish() runs on the calling thread, prepare() and the @p workers run()s on threads that have ended
 * when this returns. What one stage wrote for an item the next one sees.
 *
 * @param cancellable  may be NULL; checked between items
 * @return FALSE with the first error, or DT_AI_ERROR_CANCELLED */
gboolean dt_pipeline_run(const dt_pipeline_ops_t *ops, void *data, int items, int slots, int workers,
                         GCancellable *cancellable, GError **error);

#endif
