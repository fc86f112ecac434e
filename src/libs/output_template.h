/* SPDX-License-Identifier: GPL-3.0-or-later */
/** @file
 * Names of outputs made from a pattern such as `{dir}/{name}_{task}.{ext}`.
 *
 * `{{` stands for a brace. A pattern that ends in a slash is a directory: `{name}_{task}.{ext}` follows.
 */
#ifndef DT_LIBS_OUTPUT_TEMPLATE_H
#define DT_LIBS_OUTPUT_TEMPLATE_H

#include "common/errors.h"

/** What stands for the placeholders; the strings are borrowed, NULL counts as empty. */
typedef struct dt_output_values_t
{
  const char *input;    ///< path: gives {dir}, {parent} and {name}
  const char *relative; ///< the input below the directory that was named: its directory is {relative}
  const char *task, *model, *scale, *ext;
  int counter; ///< 1 and on, with four digits
} dt_output_values_t;

/** Whether @p output is a pattern and not just a name: it has an opening brace. NULL is none. */
gboolean dt_output_template_is(const char *output);

/** Whether the placeholder @p name stands in @p pattern. */
gboolean dt_output_template_has(const char *pattern, const char *name);

/** Whether the placeholders are known and, for @p several files, whether the names can differ.
 * @return FALSE with DT_AI_ERROR_USAGE */
gboolean dt_output_template_check(const char *pattern, gboolean several, GError **error);

/** The part of @p pattern before the first placeholder, up to its last slash: all outputs lie below it.
 * @return transfer full; NULL when the pattern begins with a placeholder, so that they may lie anywhere */
char *dt_output_template_base(const char *pattern);

/** The name for one input (transfer full). @p pattern has passed dt_output_template_check(). */
char *dt_output_template_expand(const char *pattern, const dt_output_values_t *values);

#endif
