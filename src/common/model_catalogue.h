/* SPDX-License-Identifier: GPL-3.0-or-later */
/** @file
 * The catalogue that comes with the program: which published models are recommended, under which licence, and
 * from which version on they fit. It offers nothing by itself; what can be downloaded is the repository's word.
 */
#ifndef DT_COMMON_MODEL_CATALOGUE_H
#define DT_COMMON_MODEL_CATALOGUE_H

#include <glib.h>

typedef struct dt_catalogue_entry_t
{
  char *id, *name, *task, *license; ///< never NULL, "" when not given
  char *min_version;                ///< older installed ones need an update; "" for none
  gboolean is_default;              ///< the one recommended for its task
} dt_catalogue_entry_t;

/** Reads `ai_models.json` beside the bundled models; empty when it is absent or unreadable.
 * @return dt_catalogue_entry_t * (transfer full: g_ptr_array_unref). Thread-safe. */
GPtrArray *dt_catalogue_read(void);

/** @return the entry called @p id (transfer none), or NULL */
const dt_catalogue_entry_t *dt_catalogue_find(const GPtrArray *catalogue, const char *id);

#endif
