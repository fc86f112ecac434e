/* SPDX-License-Identifier: GPL-3.0-or-later */
/** @file
 * ONNX Runtime, found and loaded when first needed.
 *
 * One library per process, chosen once: the setting `plugins/ai/ort_library_path`, then the
 * environment variable DT_ORT_LIBRARY, then the bundled library beside the program, then the
 * system's. The table of functions is read no further than both the header this program was
 * compiled with and the library agree on, so one binary runs with runtimes from 1.18 on.
 */
#ifndef DT_AI_ORT_RUNTIME_H
#define DT_AI_ORT_RUNTIME_H

#include "common/errors.h"

#include <onnxruntime_c_api.h>

/** Oldest ONNX Runtime this program works with: 1.18. */
#define DT_ORT_MIN_API 18

typedef struct dt_ort_t
{
  const OrtApi *api;
  OrtEnv *env;
  int api_version; ///< members of *api newer than this must not be touched
  char *version;   ///< of the library, e.g. "1.30.0"
  char *path;      ///< the file that was loaded
  gpointer module; ///< its GModule
  char *origin;    ///< which rule chose it, for people
  char *warning;   ///< the library that was asked for, and why it is not this one; or NULL
} dt_ort_t;

/** The runtime, loaded on the first call (g_once); lives until the process ends.
 *
 * @return the runtime (transfer none), or NULL with DT_AI_ERROR_PROVIDER and every place that was
 *         tried with the loader's own words
 * Thread-safe. */
const dt_ort_t *dt_ort_get(GError **error);

/** From now on @p path (borrowed for good) is the only library that is tried. Before the first dt_ort_get(). */
void dt_ort_use_only(const char *path);

/** Why libraries could not be used, after dt_ort_get(): one per line (transfer full). */
char *dt_ort_failure(void);

/** Whether the runtime has been loaded in this process. */
gboolean dt_ort_is_loaded(void);

/** The function called @p name in the library, or NULL when it has none: providers that are no part of the table
 * of functions are attached by such. */
gpointer dt_ort_symbol(const dt_ort_t *ort, const char *name);

/** Turns a status into an error and releases it.
 * @return TRUE when @p status is NULL (success) */
gboolean dt_ort_check(OrtStatus *status, int code, const char *doing, GError **error);

/** The environment's logging function, for sessions that listen themselves. */
void ORT_API_CALL dt_ort_forward_log(void *param, OrtLoggingLevel severity, const char *category,
                                     const char *logid, const char *location, const char *message);

/** From here on this thread's messages of the runtime about errors are appended to @p words as well, separated by
 * "; "; NULL ends it. A provider's library that cannot be loaded is explained there and nowhere else. */
void dt_ort_collect(GString *words);

#endif
