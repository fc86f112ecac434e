/* SPDX-License-Identifier: GPL-3.0-or-later */
/** @file
 * A model's manifest: the `config.json` of its directory.
 *
 * Both forms are read: the specification's (id, name, description, task, backend, num_inputs) and
 * the one published with darktable 5.6 (arch, version, tiling, attributes, cpu_only, …). Unknown
 * keys are ignored.
 */
#ifndef DT_COMMON_MANIFEST_H
#define DT_COMMON_MANIFEST_H

#include "common/errors.h"

typedef struct dt_manifest_t
{
  char *id;            ///< unique, a plain file name; required
  char *name;          ///< for people; required
  char *description;   ///< default ""
  char *task;          ///< default "general"
  char *backend;       ///< default "onnx"
  char *arch;          ///< default "generic"
  char *version;       ///< default ""
  int num_inputs;      ///< default 1
  gboolean tiling;     ///< informational, default FALSE
  char *attributes;    ///< JSON text of the object, or NULL
  char *cpu_only;      ///< JSON text, or NULL
  char *coreml_format; ///< JSON text, or NULL
  char *model_card;    ///< JSON text of the object, or NULL
  char *directory;     ///< absolute path of the model's directory
} dt_manifest_t;

/** Reads `<directory>/config.json`.
 * @return the manifest (transfer full), or NULL with DT_AI_ERROR_NO_MODEL and the reason */
dt_manifest_t *dt_manifest_read(const char *directory, GError **error);

/** Frees @p manifest; NULL is fine. */
void dt_manifest_free(dt_manifest_t *manifest);

/** Whether @p id may name a model: not empty, not "." or "..", no slash or backslash, no control
 * characters, at most 255 bytes. */
gboolean dt_manifest_id_is_safe(const char *id);

/** Attributes with typed access. @p key may be dotted: "model_x2.input_sizes" looks into the nested
 * object first and falls back to the last part at the top level. A value of another type, or JSON
 * null, counts as absent. @{ */
gboolean dt_manifest_attribute_bool(const dt_manifest_t *manifest, const char *key, gboolean fallback);
double dt_manifest_attribute_double(const dt_manifest_t *manifest, const char *key, double fallback);
/** @return (transfer full) or NULL */
char *dt_manifest_attribute_string(const dt_manifest_t *manifest, const char *key);
/** @return number of elements written to @p values, at most @p max */
int dt_manifest_attribute_ints(const dt_manifest_t *manifest, const char *key, int *values, int max);
/** @} */

#endif
