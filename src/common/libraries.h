/* SPDX-License-Identifier: GPL-3.0-or-later */
/** @file
 * Shared libraries as files: where the dynamic loader would find one, what one needs, what is missing.
 *
 * Nothing is loaded, so nothing of a broken driver runs. The environment variable DT_LD_SO_CONF replaces
 * /etc/ld.so.conf, for tests. Thread-safe.
 */
#ifndef DT_COMMON_LIBRARIES_H
#define DT_COMMON_LIBRARIES_H

#include "common/errors.h"

/** The file that the loader would take for @p soname ("libcudnn.so.9"): from $LD_LIBRARY_PATH, the folder
 * @p beside (NULL: none), the folders of /etc/ld.so.conf and its parts, the system's, and where CUDA and ROCm are
 * usually put (/usr/local/cuda/lib64, /opt/rocm/lib).
 * @return its path (transfer full), or NULL */
char *dt_library_find(const char *soname, const char *beside);

/** Files in the same places whose name has the same stem and another version: "libmigraphx_c.so.3000" for
 * "libmigraphx_c.so.3". Distributions that rebuild ROCm name its libraries so.
 * @return of char *: paths (transfer full), empty when there is none */
GPtrArray *dt_library_find_similar(const char *soname, const char *beside);

/** The sonames an ELF file names as needed (DT_NEEDED), NULL-terminated (transfer full).
 * @return NULL with DT_AI_ERROR_INPUT when @p path is no ELF file of this machine, or damaged */
char **dt_library_needed(const char *path, GError **error);

/** A library that is needed and not there. */
typedef struct dt_library_missing_t
{
  char *soname;        ///< wanted
  char *needed_by;     ///< name of the file that wants it
  char *found;         ///< path of one with another version, or NULL
  const char *package; ///< what has it, for people ("cuDNN 9 (NVIDIA)"), or NULL; static
} dt_library_missing_t;

/** Everything @p path needs, directly or through libraries that lie beside it, and that is not found.
 * @return of dt_library_missing_t * (transfer full), empty when all is there; NULL with DT_AI_ERROR_INPUT */
GPtrArray *dt_library_missing(const char *path, GError **error);

/** What people install to have @p soname, or NULL. Static string. */
const char *dt_library_package(const char *soname);

#endif
