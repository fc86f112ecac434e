/* SPDX-License-Identifier: GPL-3.0-or-later */
/** @file
 * Rectangles of pixels between modules, counted by references, and those that a pipe keeps between runs.
 */
#ifndef DT_DEVELOP_PIXELPIPE_CACHE_H
#define DT_DEVELOP_PIXELPIPE_CACHE_H

#include "common/errors.h"
#include "iop/iop.h"

typedef struct dt_dev_buffer_t
{
  gint references;
  dt_iop_roi_t roi;
  int channels;
  float *data;
  gsize bytes;       ///< that data has; of a buffer that was used before they may be more than it needs
  gboolean borrowed; ///< data is the caller's
} dt_dev_buffer_t;

/** Pixels that are not set. NULL with DT_AI_ERROR_MEMORY. */
dt_dev_buffer_t *dt_dev_buffer_new(const dt_iop_roi_t *roi, int channels, GError **error);
/** One over memory of the caller's, who sees that it outlives it. */
dt_dev_buffer_t *dt_dev_buffer_new_over(const dt_iop_roi_t *roi, int channels, float *data);
/** A buffer that nobody else holds becomes another one, when its memory is about right for it. Else it is dropped. NULL is
 * fine.
 * @return transfer full, or NULL */
dt_dev_buffer_t *dt_dev_buffer_reuse(dt_dev_buffer_t *buffer, const dt_iop_roi_t *roi, int channels);
dt_dev_buffer_t *dt_dev_buffer_ref(dt_dev_buffer_t *buffer);
/** NULL is fine. References may be dropped by any thread. */
void dt_dev_buffer_unref(dt_dev_buffer_t *buffer);

typedef struct dt_dev_cache_t dt_dev_cache_t;

/** What is worth more than the rest at a time. */
#define DT_DEV_CACHE_PREFERRED 2

/** Keeps at most @p limit bytes; 0: nothing. For one thread at a time. */
dt_dev_cache_t *dt_dev_cache_create(guint64 limit);
void dt_dev_cache_destroy(dt_dev_cache_t *cache);
/** What has one of these hashes is not given up for what has another; 0: none. Instead of those preferred before. */
void dt_dev_cache_prefer(dt_dev_cache_t *cache, const guint64 hashes[DT_DEV_CACHE_PREFERRED]);
/** Bytes that are kept. */
guint64 dt_dev_cache_bytes(const dt_dev_cache_t *cache);
/** What was kept for this hash and rectangle, also as a part of a larger one (transfer full), or NULL. */
dt_dev_buffer_t *dt_dev_cache_find(dt_dev_cache_t *cache, guint64 hash, const dt_iop_roi_t *roi);
/** Keeps it where there is room, and gives up for it what was used longest ago. */
void dt_dev_cache_keep(dt_dev_cache_t *cache, guint64 hash, dt_dev_buffer_t *buffer);

#endif
