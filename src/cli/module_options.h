/* SPDX-License-Identifier: GPL-3.0-or-later */
/** @file
 * `--module NAME.PARAM=VALUE` and `--style FILE`, as the commands that develop take them, and steps of a history as they print them.
 */
#ifndef DT_CLI_MODULE_OPTIONS_H
#define DT_CLI_MODULE_OPTIONS_H

#include "develop/history.h"

/** Whether @p settings (NULL-terminated, or NULL) name modules and parameters that there are, with values that are
 * allowed; of blending as well.
 * @return FALSE with DT_AI_ERROR_USAGE, which says what could have been said instead */
gboolean dt_cli_check_settings(char *const *settings, GError **error);

/** Whether the file @p style (or NULL) is a style. @return FALSE with DT_AI_ERROR_INPUT */
gboolean dt_cli_check_style(const char *style, GError **error);

/** Does what @p settings say, which have been checked. Files of masks get their full names: a sidecar is read from other
 * directories as well. @return FALSE with DT_AI_ERROR_USAGE */
gboolean dt_cli_apply_settings(dt_history_t *history, char *const *settings, GError **error);

/** Prints `,"KEY":{"NAME":"VALUE",…}` of dt_history_value_t. */
void dt_cli_print_values(const char *key, const GArray *values);
/** Appends "  exposure=1  blend.opacity=0.5": of @p item what differs from the standard, with nothing in it that a
 * terminal obeys. */
void dt_cli_append_values(GString *line, const dt_history_item_t *item);

#endif
