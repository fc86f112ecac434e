/* SPDX-License-Identifier: GPL-3.0-or-later */
/** @file
 * Styles: settings of several modules in a file, to be put on any photograph. A style is a sidecar, or text with one
 * setting a line, as dt_history_set() reads them; lines that begin with # are comments.
 */
#ifndef DT_DEVELOP_STYLE_H
#define DT_DEVELOP_STYLE_H

#include "develop/history.h"

G_BEGIN_DECLS

/** Does what a style says. Of a sidecar the last item of each module is appended, in the order of the pipe, and those of
 * unknown modules behind; of a text each line is set.
 *
 * @param remarks  receives sentences (char *) about what is kept but not used, with @p path in front, or NULL
 * @return FALSE with DT_AI_ERROR_INPUT and the history as it was */
gboolean dt_history_apply_style(dt_history_t *history, const char *path, GPtrArray *remarks, GError **error);
/** The same of a style in memory, whose remarks and errors have no name in front. */
gboolean dt_history_apply_style_bytes(dt_history_t *history, GBytes *style, GPtrArray *remarks,
                                      GError **error);

G_END_DECLS

#endif
