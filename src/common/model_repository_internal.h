/* SPDX-License-Identifier: GPL-3.0-or-later */
/** @file
 * For tests and fuzzing: the readers of the two JSON files, and where GitHub is. */
#ifndef DT_COMMON_MODEL_REPOSITORY_INTERNAL_H
#define DT_COMMON_MODEL_REPOSITORY_INTERNAL_H

#include "common/model_repository.h"

/** Takes other servers for GitHub's: @p raw for https://raw.githubusercontent.com, @p site for
 * https://github.com. Borrowed; NULL for the real ones. Call before other threads start. */
void dt_repository_set_github(const char *raw, const char *site);

/** Chooses the release for @p program_version from the text of a releases-index.json.
 * @param shown  the index's address, for messages
 * @param tag    receives the release (transfer full)
 * @param note   receives what should be known about the choice (transfer full), or NULL
 * @return FALSE with DT_AI_ERROR_NETWORK, or _USAGE when @p program_version is no version */
gboolean dt_repository_parse_index(GBytes *json, const char *shown, const char *program_version, char **tag,
                                   char **note, GError **error);

/** Reads the packages from the text of a versions.json.
 * @param base  address of the directory that the packages are in, without a slash at its end
 * @param note  receives what should be known (transfer full), or NULL
 * @return dt_remote_model_t * (transfer full, elements too), sorted by id; or NULL with DT_AI_ERROR_NETWORK */
GPtrArray *dt_repository_parse_versions(GBytes *json, const char *shown, const char *base, char **note,
                                        GError **error);

#endif
