/* SPDX-License-Identifier: GPL-3.0-or-later */
/** @file
 * The directory of installed models, `<configdir>/models`, and the only code that changes it.
 *
 * Whoever changes it holds its lock. A new model is put together in a hidden directory beside the others and
 * takes its place by one rename; what an interrupted change left behind is swept by the next holder of the
 * lock. Beside a model's own files lies `.installed`, the record of where it came from and of its digests.
 */
#ifndef DT_COMMON_MODEL_STORE_H
#define DT_COMMON_MODEL_STORE_H

#include "common/errors.h"

#include <gio/gio.h>

typedef struct dt_model_store_t dt_model_store_t;

/** Creates the directory when it is not there, waits for the lock, and sweeps.
 * @param waiting  called once when another process has the lock; may be NULL
 * @return (transfer full: dt_model_store_unlock()), or NULL with DT_AI_ERROR_OUTPUT or _CANCELLED */
dt_model_store_t *dt_model_store_lock(void (*waiting)(gpointer user_data), gpointer user_data,
                                      GCancellable *cancellable, GError **error);
/** Gives the lock back, and removes the staging directory if there is one. NULL is fine. */
void dt_model_store_unlock(dt_model_store_t *store);

/** Opens the file @p path, creating it when needed, and waits until it is locked for this process.
 * @param waited  receives whether it had to wait
 * @return the descriptor, whose closing gives the lock back; or -1 with DT_AI_ERROR_OUTPUT or _CANCELLED */
int dt_model_store_lock_file(const char *path, void (*waiting)(gpointer user_data), gpointer user_data,
                             GCancellable *cancellable, gboolean *waited, GError **error);

/** An empty hidden directory on the same file system, one per lock (transfer none), or NULL with
 * DT_AI_ERROR_OUTPUT. */
const char *dt_model_store_stage(dt_model_store_t *store, GError **error);

/** Puts `<stage>/<id>` in the place of the model @p id, the old one out of the way, and waits until the disk
 * knows. An old one that was installed here is deleted; a folder that holds anything else is kept beside, hidden.
 * @param kept  receives where (transfer full), or NULL when nothing had to be kept
 * @return FALSE with DT_AI_ERROR_OUTPUT, also when what is in the way is no model; nothing has changed then */
gboolean dt_model_store_commit(dt_model_store_t *store, const char *id, char **kept, GError **error);

/** Takes the folder @p name away. DT_AI_ERROR_OUTPUT, or _NO_MODEL when it is not there: nothing has changed. */
gboolean dt_model_store_remove(dt_model_store_t *store, const char *name, GError **error);

/** Where an installed model came from; `sha256sum -c .installed` checks it without this program. */
typedef struct dt_model_record_t
{
  char *source;      ///< a repository, or the name of a package file; "" unknown
  char *license;     ///< as its repository stated it; "" unknown
  char *sha256;      ///< of the package, 64 hex digits; "" unknown
  GHashTable *files; ///< relative path -> 64 hex digits
} dt_model_record_t;

/** Writes the record of the model in @p dir: source, licence (may be NULL), digest of its package, digests of
 * all its files. */
gboolean dt_model_record_write(const char *dir, const char *source, const char *license, const char *sha256,
                               GCancellable *cancellable, GError **error);
/** @return the record (transfer full), or NULL: without an error when there is none, with DT_AI_ERROR_NO_MODEL
 *         when it cannot be read */
dt_model_record_t *dt_model_record_read(const char *dir, GError **error);
void dt_model_record_free(dt_model_record_t *record);
/** Compares the files in @p dir with their digests; DT_AI_ERROR_NO_MODEL names the first that differs. */
gboolean dt_model_record_check(const dt_model_record_t *record, const char *dir, GCancellable *cancellable,
                               GError **error);

#endif
