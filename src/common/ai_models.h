/* SPDX-License-Identifier: GPL-3.0-or-later */
/** @file
 * The registry: installs, updates, removes, verifies and activates models.
 *
 * One registry per process is enough; all functions are thread-safe and none of them prints. Work that changes
 * `<configdir>/models` is serialised between processes by a lock file there; a model's directory is replaced
 * by one rename, so that at every moment, power cut included, either the old or the new one is whole.
 */
#ifndef DT_COMMON_AI_MODELS_H
#define DT_COMMON_AI_MODELS_H

#include "common/model_list.h"
#include "common/model_repository.h"

typedef enum dt_ai_model_status_t
{
  DT_AI_MODEL_NOT_DOWNLOADED, ///< offered by the repository or the catalogue only
  DT_AI_MODEL_DOWNLOADED,     ///< on this machine
  DT_AI_MODEL_UPDATE_AVAILABLE,
  DT_AI_MODEL_UPDATE_REQUIRED, ///< older than the catalogue's min_version
} dt_ai_model_status_t;

/** One model of a snapshot. Strings are never NULL. */
typedef struct dt_ai_model_t
{
  const char *id, *name, *description, *task, *version;
  const char *source;         ///< where an installed one came from: repository, file name, or ""
  const char *license;        ///< as far as it is known, else ""
  const char *remote_version; ///< "" when no repository was asked
  guint64 size;               ///< bytes of the package on offer, 0 unknown
  gboolean active, is_default;
  gboolean is_protected;      ///< bundled, darktable's own, or on a search path: never changed here; an
                              ///< update goes into `<configdir>/models` and wins there
  gboolean is_newer_on_offer; ///< the repository has a newer one, or the same version packed anew
  dt_ai_model_status_t status;
  dt_model_origin_t origin;      ///< of an installed one
  const dt_manifest_t *manifest; ///< NULL when it is not installed
} dt_ai_model_t;

typedef struct dt_ai_models_t dt_ai_models_t;

/** Progress of an operation on one model. @p step is "download", "unpack", "check", "test", "wait". */
typedef void (*dt_ai_models_progress_t)(const char *id, const char *step, guint64 done, guint64 total,
                                        gpointer user_data);

/** How an operation is watched and stopped; all members may be NULL. */
typedef struct dt_ai_models_job_t
{
  dt_ai_models_progress_t progress;
  /* a sentence worth reading: what was replaced, what was kept, what could not be saved */
  void (*say)(const char *sentence, gpointer user_data);
  gpointer user_data;
  GCancellable *cancellable;
} dt_ai_models_job_t;

/** Tries a model before it is accepted (src/libs/model_selftest.h). */
typedef gboolean (*dt_ai_models_selftest_t)(const dt_manifest_t *manifest, GCancellable *cancellable,
                                            GError **error);

/** Opens the registry and scans once.
 * @param selftest  run on every model before it is installed, and by dt_ai_models_verify(); may be NULL
 * @return (transfer full), or NULL with DT_AI_ERROR_DISABLED when AI features are switched off: then nothing
 *         was read */
dt_ai_models_t *dt_ai_models_open(dt_ai_models_selftest_t selftest, GError **error);
void dt_ai_models_close(dt_ai_models_t *models);

/** The models now: a snapshot that does not change, sorted by task, default first, id.
 * @return dt_ai_model_t * (transfer full: g_ptr_array_unref) */
GPtrArray *dt_ai_models_list(dt_ai_models_t *models);
/** What the last scan passed over, as sentences (transfer full). */
GPtrArray *dt_ai_models_problems(dt_ai_models_t *models);
/** Paths of packages that were dropped into `<configdir>/models` and wait for dt_ai_models_rescan(). */
GPtrArray *dt_ai_models_waiting(dt_ai_models_t *models);

/** Scans again, after unpacking packages dropped into `<configdir>/models` exactly as dt_ai_models_install()
 * does; an accepted one becomes its directory, a bad one is reported in @p problems and left alone.
 * @param problems  receives sentences (char *), may be NULL */
gboolean dt_ai_models_rescan(dt_ai_models_t *models, GPtrArray *problems, const dt_ai_models_job_t *job,
                             GError **error);

/** Installs the package @p path; a model of the same id in `<configdir>/models` is replaced once the new one
 * is proved good, and kept beside it if it was not installed here. It becomes the active one of its task when that has none and none was not asked for.
 * @return its id (transfer full), or NULL with DT_AI_ERROR_INPUT, _NO_MODEL, _OUTPUT, _CANCELLED, …; then
 *         nothing has changed */
char *dt_ai_models_install(dt_ai_models_t *models, const char *path, const dt_ai_models_job_t *job,
                           GError **error);

/** Asks the repository (setting plugins/ai/repository) what it offers. The only function here, with
 * dt_ai_models_download(), that uses the network. Later snapshots show it.
 * @param note  receives what a person should know about the release chosen (transfer full), or NULL */
gboolean dt_ai_models_check_updates(dt_ai_models_t *models, char **note, const dt_ai_models_job_t *job,
                                    GError **error);

/** Whether dt_ai_models_download() would fetch @p id: the repository offers it, with a digest and a sane size.
 * Asks the repository first if that was not done. */
gboolean dt_ai_models_is_offered(dt_ai_models_t *models, const char *id, GError **error);

/** Downloads the package of @p id, verifies and installs it. Asks the repository first if that was not done.
 * @return FALSE with DT_AI_ERROR_NETWORK, _NO_MODEL, _OUTPUT, _CANCELLED; then nothing has changed */
gboolean dt_ai_models_download(dt_ai_models_t *models, const char *id, const dt_ai_models_job_t *job,
                               GError **error);

/** Removes the model @p id from `<configdir>/models`. The task it was active for falls back to its default.
 * @return FALSE with DT_AI_ERROR_NO_MODEL (not there), _USAGE (protected) or _OUTPUT */
gboolean dt_ai_models_remove(dt_ai_models_t *models, const char *id, const dt_ai_models_job_t *job,
                             GError **error);

/** Makes @p id the active model of its task. */
gboolean dt_ai_models_activate(dt_ai_models_t *models, const char *id, GError **error);
/** Leaves @p task without an active model, and remembers that this was asked for. */
gboolean dt_ai_models_deactivate(dt_ai_models_t *models, const char *task, GError **error);

/** Checks an installed model again: manifest, structure, the files' digests as recorded when it was installed,
 * and the self-test.
 * @param remarks  receives sentences (char *) that do not make it fail, may be NULL */
gboolean dt_ai_models_verify(dt_ai_models_t *models, const char *id, GPtrArray *remarks,
                             const dt_ai_models_job_t *job, GError **error);

/** Checks the model in the directory @p dir and writes it as a package. Needs no registry and no runtime.
 * @param output  NULL: `<id>.dtmodel` in the working directory
 * @return the package's path (transfer full) */
char *dt_ai_models_pack(const char *dir, const char *output, gboolean overwrite, GPtrArray *remarks,
                        GCancellable *cancellable, GError **error);

#endif
