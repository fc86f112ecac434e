/* SPDX-License-Identifier: GPL-3.0-or-later */
/** @file
 * The builds of ONNX Runtime for accelerators that can be installed: `data/ort_gpu.json`, one exact version each,
 * with its digest.
 */
#ifndef DT_LIBS_RUNTIME_BUILDS_H
#define DT_LIBS_RUNTIME_BUILDS_H

#include "common/errors.h"

/** One build, for one machine, from one client. */
typedef struct dt_runtime_build_t
{
  char *name;             ///< as a user says it: "cuda12", "openvino"
  char *ep;               ///< which folder it goes to: "cuda"
  char *provider;         ///< what it adds, by the runtime's own name without its ending: "CUDA"
  char *provider_library; ///< the file that needs the system's libraries
  char *gpu;              ///< "nvidia", "amd", "intel" or "any"
  char *machine;          ///< "x86_64", "aarch64"
  char *client;           ///< "pip" or "npm"
  char *package, *version;
  char *platform, *python, *abi; ///< for pip; else ""
  char *sha256;                  ///< of the archive, 64 lowercase hex digits
  char *license;
  guint64 size, unpacked; ///< bytes of the archive, and of what is wanted in it
  char **members;         ///< patterns (fnmatch, '*' stays within a folder) of what is wanted in the archive
  char **needs;           ///< sonames that the system has to have
} dt_runtime_build_t;

/** The builds for this machine, in the table's order. The environment variable DT_ORT_GPU_TABLE names another
 * table, for tests and distributions.
 * @return of dt_runtime_build_t * (transfer full), or NULL with DT_AI_ERROR_FAILED when the table cannot be used */
GPtrArray *dt_runtime_builds(GError **error);

/** The first one called @p name (transfer none), or NULL. */
const dt_runtime_build_t *dt_runtime_builds_find(const GPtrArray *builds, const char *name);

/** The names of all, as a list for people: "cuda12, cuda13, …" (transfer full). */
char *dt_runtime_builds_names(const GPtrArray *builds);

#endif
