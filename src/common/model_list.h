/* SPDX-License-Identifier: GPL-3.0-or-later */
/** @file
 * Which models lie on this machine, and which one serves a task.
 *
 * One scan gives one immutable, reference-counted list; a later scan gives another. Nothing handed out
 * changes or disappears while somebody holds a reference.
 */
#ifndef DT_COMMON_MODEL_LIST_H
#define DT_COMMON_MODEL_LIST_H

#include "common/ai_manifest.h"

/** Where a model was found; the scan goes in this order and the first model with an id wins; in one
 * directory the folder that is named like the id. */
typedef enum dt_model_origin_t
{
  DT_MODEL_CUSTOM,    ///< a search path of the caller
  DT_MODEL_USER,      ///< `<configdir>/models`: installed here, may be updated and removed
  DT_MODEL_DARKTABLE, ///< `<user data>/darktable/models`: darktable's own, read only
  DT_MODEL_BUNDLED,   ///< came with the program, read only
} dt_model_origin_t;

typedef struct dt_model_t
{
  dt_manifest_t *manifest;
  dt_model_origin_t origin;
  gboolean is_default; ///< came with the program (or replaces such a one), or the catalogue's default
} dt_model_t;

typedef struct dt_model_list_t
{
  GPtrArray *models;   ///< const dt_model_t *, in the order of the scan
  GPtrArray *problems; ///< char *: why a manifest was passed over
  GPtrArray *waiting;  ///< char *: paths of `.dtmodel` files dropped into `<configdir>/models`
} dt_model_list_t;

/** Scans @p search_paths (separated by semicolons, or NULL) and the three directories above. Directories that
 * do not exist are passed over; none is created. @return the list (transfer full). Thread-safe. */
dt_model_list_t *dt_model_list_scan(const char *search_paths);
/** @return @p list (transfer full) */
dt_model_list_t *dt_model_list_ref(dt_model_list_t *list);
/** Gives one reference back; NULL is fine. */
void dt_model_list_unref(dt_model_list_t *list);

/** @return the model called @p id (transfer none, lives as long as the list), or NULL */
const dt_model_t *dt_model_list_find(const dt_model_list_t *list, const char *id);

/** The model that serves @p task: the setting plugins/ai/models/active/<task>; when that is not set, the one
 * that came with the program, else the catalogue's default, else the first found. An empty setting means none.
 * @return (transfer none, lives as long as the list) or NULL with DT_AI_ERROR_NO_MODEL: the message tells
 *         "none installed" from "installed but none active", with the command for either */
const dt_model_t *dt_model_list_active(const dt_model_list_t *list, const char *task, GError **error);

/** Compares dotted numbers ("1.10" is newer than "1.9"); what is not a number counts as 0.
 * @return negative, 0 or positive */
int dt_model_compare_versions(const char *a, const char *b);

/** `<configdir>/models` (transfer full). It need not exist. */
char *dt_model_list_user_dir(void);

/** Registers what turns dropped `.dtmodel` files into model directories; dt_ai_env_refresh() has it called
 * before it scans. The last one registered counts. Thread-safe.
 * @param unpack  adds to @p problems a sentence for every package it leaves alone */
void dt_model_list_set_unpacker(void (*unpack)(GPtrArray *problems, gpointer user_data), gpointer user_data);
/** Takes it back if it was registered with @p user_data, which is not used any more afterwards: waits for a call
 * that is under way. */
void dt_model_list_unset_unpacker(gpointer user_data);
/** Calls what was registered. @param problems  receives sentences (char *) */
void dt_model_list_unpack_waiting(GPtrArray *problems);

#endif
