/* SPDX-License-Identifier: GPL-3.0-or-later */
/** @file
 * Diagnostics by topic, as `-d ai` shows them.
 *
 * The library never prints. Whoever wants to read along installs one handler and switches topics
 * on; without a handler every call is a test of one integer.
 */
#ifndef DT_COMMON_LOG_H
#define DT_COMMON_LOG_H

#include <glib.h>

G_BEGIN_DECLS

/** Topics; dt_log_topic_from_name() knows their names. */
typedef enum dt_log_topic_t
{
  DT_LOG_AI = 1 << 0,
  DT_LOG_OPENCL = 1 << 1,
  DT_LOG_PERF = 1 << 2,
  DT_LOG_PIPE = 1 << 3,
  DT_LOG_TILING = 1 << 4,
  DT_LOG_MEMORY = 1 << 5,
  DT_LOG_ALL = (1 << 6) - 1,
  DT_LOG_NOTICE = 1 << 6, ///< no diagnostics: a sentence for the user of a program; ask for it always
} dt_log_topic_t;

/** Receives one line without newline. Called from any thread, one call at a time. */
typedef void (*dt_log_handler_t)(unsigned topics, const char *line, void *user_data);

/** Installs @p handler for @p topics; NULL switches all off. Call before other threads start. */
void dt_log_set_handler(dt_log_handler_t handler, void *user_data, unsigned topics);

/** Whether one of @p topics is read by anyone: to skip costly preparation of a line. */
gboolean dt_log_enabled(unsigned topics);

/** Hands one line to the handler when one of @p topics is read. Thread-safe. */
void dt_log(unsigned topics, const char *format, ...) G_GNUC_PRINTF(2, 3);

/** The topic called @p name ("ai", "all", …), or 0. */
unsigned dt_log_topic_from_name(const char *name);

G_END_DECLS

#endif
