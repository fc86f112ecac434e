/* SPDX-License-Identifier: GPL-3.0-or-later */
/** @file
 * A model's manifest: the `config.json` of its directory.
 *
 * Both forms are read: the specification's (id, name, description, task, backend, num_inputs) and
 * the one published with darktable 5.6 (arch, version, tiling, attributes, cpu_only, …). Unknown
 * keys are ignored, and listed by dt_manifest_remarks().
 */
#ifndef DT_COMMON_AI_MANIFEST_H
#define DT_COMMON_AI_MANIFEST_H

#include "common/errors.h"

/** Immutable and reference-counted: whoever holds a reference may read it from any thread.
 *
 * All texts are fit to be shown: in the file they may hold anything, here line ends and tabs are spaces, and "?"
 * stands for what steers a terminal instead of being shown (the control characters of both sets, U+2028, U+2029
 * and those that change the direction of writing). In the JSON texts this holds for every key and string. */
typedef struct dt_manifest_t
{
  char *id;              ///< unique, as dt_manifest_id_is_safe() wants it; required
  char *name;            ///< for people; required
  char *description;     ///< default ""
  char *task;            ///< like the id, but slashes are fine; default "general"
  char *backend;         ///< default "onnx"
  char *arch;            ///< default "generic"
  char *version;         ///< default ""
  int num_inputs;        ///< default 1
  gboolean tiling;       ///< informational, default FALSE
  char *spatial_dims[2]; ///< names of the symbolic height and width, default "height" and "width"
  char *attributes;      ///< JSON text of the object, or NULL
  char *cpu_only;        ///< JSON text, or NULL
  char *coreml_format;   ///< JSON text, or NULL
  char *model_card;      ///< JSON text of the object, or NULL
  char *directory;       ///< absolute path of the model's directory
  GPtrArray *remarks;    ///< behind dt_manifest_remarks()
} dt_manifest_t;

/** Reads `<directory>/config.json`.
 *
 * At most 1 MiB (a larger file is not even read) and 32 levels of nesting, checked before the JSON parser
 * sees a byte. A key of the wrong JSON type is an error that names the JSON path; null is as good as absent.
 * `input_sizes`, at the top of the attributes and in the object of one file, must be a list of whole numbers
 * from 1 to 16384; other attributes are only remarked upon, and count as absent where their type is wrong.
 * @return the manifest (transfer full), or NULL with DT_AI_ERROR_NO_MODEL and the reason: line and column
 *         for syntax, JSON path (`$.attributes.input_sizes[0]`) for meaning */
dt_manifest_t *dt_manifest_read(const char *directory, GError **error);

/** One more reference to @p manifest (transfer full). */
dt_manifest_t *dt_manifest_ref(const dt_manifest_t *manifest);
/** Gives one reference back; NULL is fine. */
void dt_manifest_unref(dt_manifest_t *manifest);

/** What does not keep a manifest from loading but should be known: keys nobody reads (with their JSON path),
 * an id that does not follow `<task>-<model>[-<size>]` (lowercase letters, digits, hyphens; first part the
 * task; for masks the second part the subtask), an empty version.
 * @return sentences for people (transfer full, elements too); empty when there is nothing to say */
GPtrArray *dt_manifest_remarks(const dt_manifest_t *manifest);

/** Whether @p text nests JSON deeper than @p limit levels; json-glib recurses and would overflow its stack.
 *
 * json-glib also reads what JSON does not have (comments, single quotes, half escapes), in which brackets can
 * hide. In a text with anything of that kind all brackets count as levels. */
gboolean dt_manifest_nests_deeper(const char *text, int limit);

/** Whether @p id may name a model: not empty, not "." or "..", no slash or backslash, at most 255 bytes; nothing
 * that steers a terminal (see dt_manifest_t); and as ids stand in settings, no "=", no "#" in front and no blank
 * at either end. */
gboolean dt_manifest_id_is_safe(const char *id);

/** @p text from somebody else's file, fit for a message: at most @p max characters, "…" where it was cut, and
 * "?" for what does not print (control characters could command a terminal).
 * @return (transfer full) */
char *dt_manifest_printable(const char *text, int max);

/** Attributes with typed access. @p key may be dotted: "model_x2.input_sizes" looks into the nested
 * object first and falls back to the last part at the top level. A value of another type, or JSON
 * null, counts as absent. @{ */
/** Whether there is such an attribute at all, be it null. */
gboolean dt_manifest_has_attribute(const dt_manifest_t *manifest, const char *key);
gboolean dt_manifest_attribute_bool(const dt_manifest_t *manifest, const char *key, gboolean fallback);
double dt_manifest_attribute_double(const dt_manifest_t *manifest, const char *key, double fallback);
/** @return (transfer full) or NULL */
char *dt_manifest_attribute_string(const dt_manifest_t *manifest, const char *key);
/** @return number of elements written to @p values, at most @p max */
int dt_manifest_attribute_ints(const dt_manifest_t *manifest, const char *key, int *values, int max);
/** @} */

#endif
