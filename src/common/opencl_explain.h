/* SPDX-License-Identifier: GPL-3.0-or-later */
/** @file
 * Priorities of OpenCL devices put into words: for people, for programs, and for the diagnostics at start.
 *
 * Pure and thread-safe. All text is UTF-8 and has nothing in it that a terminal obeys, whatever is in the string and in
 * the devices' names.
 */
#ifndef DT_COMMON_OPENCL_EXPLAIN_H
#define DT_COMMON_OPENCL_EXPLAIN_H

#include "common/opencl_priority.h"

G_BEGIN_DECLS

/** What is explained. Everything is borrowed. */
typedef struct dt_opencl_explained_t
{
  const dt_opencl_priorities_t *priorities;
  const dt_opencl_names_t *devices; ///< those the string was read for, by number
  const char *why;                  ///< where the string comes from, as a clause; NULL: it is not in force
  int timeout_ms;                   ///< a mandatory pipe waits for so long
} dt_opencl_explained_t;

/** The string and why it is in force, what each pipe gets and does when all of that is busy, and the remarks, each below
 * its place in the string. Lines, each with its end; transfer full. */
char *dt_opencl_explain_text(const dt_opencl_explained_t *explained);

/** The same as JSON, one object in each line; transfer full. All have `schema_version` 1. The first has `priority` and
 * `why` (null: not in force). Those with `pipe` and `devices` (`number`, `name`, `identity` or null) have `mandatory`, `timeout_ms` and
 * `when_busy`, "wait" or "cpu". Those with `remark`, its kind, have `pipe` (null: the whole string), `offset` and
 * `length` in bytes of the string as it was given, `harmless` and `text`. */
char *dt_opencl_explain_json(const dt_opencl_explained_t *explained);

/** The table of `-d opencl`: devices' numbers, a row for each rank and a column for each pipe, -1 for none; then which
 * pipes wait. Lines without ends, NULL-terminated; transfer full (g_strfreev()). */
char **dt_opencl_explain_table(const dt_opencl_priorities_t *priorities);

G_END_DECLS

#endif
