/* SPDX-License-Identifier: GPL-3.0-or-later */
/** @file
 * What a model repository offers: releases-index.json names the release for this program's version, the
 * release's versions.json names its packages, each with a mandatory SHA-256.
 *
 * Three kinds of repository: `owner/name` on GitHub; a mirror's base address (https://…, file://…) and a plain
 * directory, both laid out as `releases-index.json`, `<tag>/versions.json`, `<tag>/<id>.dtmodel` (or, without
 * an index, `versions.json` and the packages side by side).
 */
#ifndef DT_COMMON_MODEL_REPOSITORY_H
#define DT_COMMON_MODEL_REPOSITORY_H

#include "common/download.h"

/** The darktable whose model packages this program is compatible with, as releases-index.json counts. */
#define DT_REPOSITORY_DARKTABLE_VERSION "5.6.0"

/** A package on offer. Strings are never NULL; "" when the repository does not say. */
typedef struct dt_remote_model_t
{
  char *id, *version, *name, *description, *task, *license;
  char *sha256; ///< 64 lowercase hex digits, or "" when the repository gives none (not downloadable)
  guint64 size; ///< bytes of the package, 0 unknown
  char *url;    ///< of the package
} dt_remote_model_t;

typedef struct dt_repository_t
{
  char *name;        ///< as the setting says it, without user and password
  char *release;     ///< the chosen release's tag; "" for a directory without an index
  char *note;        ///< what a person should know about that choice, or NULL: the index does not list this
                     ///< version and the newest compatible release was taken, unknown schema
  GPtrArray *models; ///< dt_remote_model_t *, sorted by id
} dt_repository_t;

/** Whether @p setting is one of the three kinds; DT_AI_ERROR_USAGE with the three forms when not. */
gboolean dt_repository_check_name(const char *setting, GError **error);

/** Reads index and versions of the repository @p setting.
 *
 * The release is the one listed for @p program_version (normally DT_REPOSITORY_DARKTABLE_VERSION); when that
 * is not listed, the one of the newest version before it, with a note. JSON: at most 1 MiB, 32 levels, every
 * type checked; entries with unusable ids are passed over. versions.json may give a model as "1.0", as
 * {"version","sha256"}, or with schema 1's name, description, task, license, size.
 * @return the repository (transfer full), or NULL with DT_AI_ERROR_NETWORK, _USAGE or _CANCELLED */
dt_repository_t *dt_repository_open(const char *setting, const char *program_version,
                                    const dt_download_opts_t *opts, GError **error);
void dt_repository_free(dt_repository_t *repository);

/** @return the package called @p id (transfer none), or NULL */
const dt_remote_model_t *dt_repository_find(const dt_repository_t *repository, const char *id);

#endif
