/* SPDX-License-Identifier: GPL-3.0-or-later */
/** @file
 * Where things live: configuration, cache, user data, and what was installed with the program.
 *
 * One pure function knows the rules of all platforms, so that each can be tested on any. The
 * process-wide directories start from it and can be moved by --configdir and --cachedir.
 */
#ifndef DT_COMMON_PATHS_H
#define DT_COMMON_PATHS_H

#include <glib.h>

typedef enum dt_platform_t
{
  DT_PLATFORM_LINUX,
  DT_PLATFORM_MACOS,
  DT_PLATFORM_WINDOWS,
} dt_platform_t;

typedef enum dt_dir_t
{
  DT_DIR_CONFIG, ///< settings, and `models/` below it
  DT_DIR_CACHE,  ///< safe to delete
  DT_DIR_DATA,   ///< the user's data; newer darktable keeps `models/` here
} dt_dir_t;

/** The platform this program was compiled for. */
dt_platform_t dt_paths_platform(void);

/** The directory of @p dir on @p platform under the environment @p get_env (normally g_getenv).
 *
 * Linux and macOS follow XDG ($XDG_CONFIG_HOME/darktable, default ~/.config/darktable; cache
 * ~/.cache, data ~/.local/share); Windows uses %APPDATA%\darktable and %LOCALAPPDATA%\darktable for
 * the cache.
 * @return the path (transfer full) */
char *dt_paths_default(dt_platform_t platform, dt_dir_t dir, const char *(*get_env)(const char *name));

/** Moves @p dir for this process; NULL restores the default. Call before other threads start. */
void dt_paths_set(dt_dir_t dir, const char *path);

/** The directory in force (transfer full). It need not exist. */
char *dt_paths_get(dt_dir_t dir);

/** Directory of the running program or library (transfer full), or NULL when unknown: bundled models
 * and the bundled runtime are found relative to it. */
char *dt_paths_program_dir(void);

/** What came with the program as @p name ("models", "ai_models.json"; transfer full), or NULL. */
char *dt_paths_bundled(const char *name);

/** A program that came with the program (transfer full), or NULL: an embedding program may have left it out. */
char *dt_paths_helper(const char *name);

#endif
