/* SPDX-License-Identifier: GPL-3.0-or-later */
/** @file
 * Which ONNX Runtime libraries there are on this machine, and which one is in force. Nothing is loaded into this
 * process: each is looked at by a child (dt_ai_runtime_check()), whether AI is switched on or off.
 */
#ifndef DT_LIBS_RUNTIME_SEARCH_H
#define DT_LIBS_RUNTIME_SEARCH_H

#include "ai/backend.h"

/** The library that work would use, and why. */
typedef struct dt_runtime_choice_t
{
  dt_ai_runtime_info_t *info; ///< NULL when none can be used
  const char *origin;         ///< "the setting plugins/ai/ort_library_path", "bundled", …; static
  GPtrArray *refused; ///< of char *: "PATH (ORIGIN): why" for those that come first and cannot be used
} dt_runtime_choice_t;

/** Goes through the setting, DT_ORT_LIBRARY, what came with the program, and the system's, as loading would.
 * @return (transfer full: dt_runtime_choice_free()), never NULL */
dt_runtime_choice_t *dt_runtime_choice(void);
void dt_runtime_choice_free(dt_runtime_choice_t *choice);

/** One library that was found. */
typedef struct dt_runtime_found_t
{
  dt_ai_runtime_info_t *info;
  gboolean in_force;
} dt_runtime_found_t;

/** Looks through /usr/lib, /usr/lib64, their parts for this kind of machine, /usr/local/lib, /usr/local/lib64 and
 * ~/.local/lib/onnxruntime-…, a few levels deep, and takes what @p choice names as well. Files that several links
 * lead to count once.
 * @return of dt_runtime_found_t * (transfer full), the one in force first; may be empty, never NULL. Ends early,
 *         with what there is by then, when it is cancelled. */
GPtrArray *dt_runtime_search(const dt_runtime_choice_t *choice, GCancellable *cancellable);

/** The library that @p path means: a file itself, or the first one in or below a folder; absolute (transfer full).
 * @return NULL with DT_AI_ERROR_INPUT when there is none */
char *dt_runtime_search_in(const char *path, GError **error);

#endif
