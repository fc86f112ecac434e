/* SPDX-License-Identifier: GPL-3.0-or-later */
/** @file
 * What a batch has done, written down so that it can be gone on with after a crash, a kill or a power cut.
 *
 * A file of JSON lines, only ever appended to. The first says with which settings the batch was begun. Before a
 * picture is begun and after it has ended a line is written and synced. While a run lasts the file is locked.
 * Used from one thread.
 */
#ifndef DT_LIBS_JOURNAL_H
#define DT_LIBS_JOURNAL_H

#include "common/errors.h"

#include <json-glib/json-glib.h>

typedef struct dt_journal_t dt_journal_t;

typedef enum dt_journal_mode_t
{
  DT_JOURNAL_NEW,    ///< there must be none yet
  DT_JOURNAL_RESUME, ///< one that is there is gone on with
} dt_journal_mode_t;

/** What is known of a picture. */
typedef enum dt_journal_state_t
{
  DT_JOURNAL_UNKNOWN, ///< nothing, or it failed, or it is another picture by now
  DT_JOURNAL_BEGUN, ///< the run ended while its output was being written: what is there is ours, and may be replaced
  DT_JOURNAL_DONE, ///< its output is there
} dt_journal_state_t;

/** Opens the journal @p path, makes it when there is none.
 *
 * @param look      only look: nothing is written or locked
 * @param settings  what decides the results, members of type string; a journal that was begun with others is refused
 * @param note      receives (transfer full) what a person should know, damaged lines, or NULL
 * @return transfer full, or NULL with DT_AI_ERROR_USAGE (no journal, or one of another command) or
 *         DT_AI_ERROR_OUTPUT (cannot be written; another run holds it, and which; NEW: it exists) */
dt_journal_t *dt_journal_open(const char *path, dt_journal_mode_t mode, gboolean look, JsonObject *settings,
                              char **note, GError **error);
/** NULL is fine. */
void dt_journal_close(dt_journal_t *journal);

/** What is known of @p input and its @p output. Of one that is done both files still have their sizes, and the input
 * its time. */
dt_journal_state_t dt_journal_get_state(const dt_journal_t *journal, const char *input, const char *output);

/** Canonical paths of all outputs that the journal knows (transfer none). */
GHashTable *dt_journal_get_outputs(const dt_journal_t *journal);

/** Writes down that @p output is about to be written. @return FALSE with DT_AI_ERROR_OUTPUT: it must not be then */
gboolean dt_journal_begin(dt_journal_t *journal, const char *input, const char *output, GError **error);

/** Writes down that it is done. When that fails the picture is only made again. @{ */
gboolean dt_journal_done(dt_journal_t *journal, const char *input, const char *output, double seconds,
                         GError **error);
/** … or that it failed, with the exit code and the reason. @} */
gboolean dt_journal_failed(dt_journal_t *journal, const char *input, const char *output, int exit_code,
                           const char *message, GError **error);

#endif
