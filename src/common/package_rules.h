/* SPDX-License-Identifier: GPL-3.0-or-later */
/** @file
 * What a model package may hold, the same for reading and for writing: how much, which names; and how names
 * become files without following a link.
 */
#ifndef DT_COMMON_PACKAGE_RULES_H
#define DT_COMMON_PACKAGE_RULES_H

#include <glib.h>

/** A config.json of more bytes is none. */
#define DT_PACKAGE_MAX_CONFIG ((guint64)1 << 20)

/** Bytes that an archive of @p archive_size bytes may hold. */
guint64 dt_package_limit(guint64 archive_size);

/** The names of one package: all below one directory, none twice, none that differ only in case. */
typedef struct dt_package_names_t dt_package_names_t;

dt_package_names_t *dt_package_names_new(void);
void dt_package_names_free(dt_package_names_t *names);

/** Adds the file or directory @p name, which may end in '/' when it is a directory.
 * @return NULL, or why it cannot be in the package: the end of a sentence that begins with the name */
const char *dt_package_names_add(dt_package_names_t *names, const char *name, gboolean is_directory);

/** The one directory at the top, which is the model's id (borrowed); NULL before the first name. */
const char *dt_package_names_id(const dt_package_names_t *names);

/** All directories, the id's own among them, in no order (transfer container). */
GList *dt_package_names_directories(const dt_package_names_t *names);

/** Opens the directory @p path below the directory @p top, following no link; @p create makes what is missing.
 * @return a descriptor, or -1 with errno */
int dt_package_open_directory(int top, const char *path, gboolean create);

/** Opens the directory that holds @p path; @p last points to the part of @p path that is in it. */
int dt_package_open_parent(int top, const char *path, gboolean create, const char **last);

#endif
