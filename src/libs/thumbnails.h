/* SPDX-License-Identifier: GPL-3.0-or-later */
/** @file
 * The thumbnail cache: small pictures of photographs as they are developed, made once.
 *
 * Below the cache directory stands `thumbnails_v1/`: a JPEG (sRGB, 8 bits, no metadata) for each photograph and size. Its
 * name is the SHA-256 of what it depends on: the photograph's canonical path, size and time of modification to the
 * nanosecond, what of its history counts (and the files its masks are read from), and the size that is wanted. A
 * photograph that has changed, or has been developed otherwise, thus has a thumbnail of another name, and one that is
 * there is taken without opening the photograph, and marked used. Files appear whole or not at all and nothing is locked:
 * several programs may read, make and remove at once. One that is damaged is made anew.
 *
 * Once all together are more than plugins/ai/thumbnail_cache_limit (a size; default 1 GiB; 0: no limit), those used longest ago go,
 * until a tenth of it is free. The one that has just been made stays.
 *
 * All functions are thread-safe.
 */
#ifndef DT_LIBS_THUMBNAILS_H
#define DT_LIBS_THUMBNAILS_H

#include "common/opencl.h"

#include <gio/gio.h>

/** Pixels of the longer side. */
#define DT_THUMBNAIL_MIN_SIZE 16
#define DT_THUMBNAIL_MAX_SIZE 2560
#define DT_THUMBNAIL_SIZE 360

/** What is wanted. Zero-initialise for the defaults. */
typedef struct dt_thumbnails_opts_t
{
  int size;                  ///< of the longer side, DT_THUMBNAIL_MIN_SIZE to _MAX_SIZE; 0: DT_THUMBNAIL_SIZE
  gboolean anew;             ///< make it even if it is there
  guint64 memory;            ///< bytes for pixels; 0: a quarter of what is available
  dt_opencl_t *cl;           ///< or NULL: the CPU
  GCancellable *cancellable; ///< or NULL
} dt_thumbnails_opts_t;

/** A thumbnail. */
typedef struct dt_thumbnail_t
{
  char *path;
  int width, height; ///< no larger than the photograph
  gboolean reused;   ///< it was there
  int device;        ///< that made it; -1: the CPU, or none
  double seconds;
  GPtrArray *remarks; ///< of char *: what of the history cannot be used
} dt_thumbnail_t;
void dt_thumbnail_clear(dt_thumbnail_t *thumbnail);

/** Finds or makes the thumbnail of a photograph, with the history from its sidecar.
 * @param thumbnail  cleared with dt_thumbnail_clear(), on failure as well
 * @return FALSE with DT_AI_ERROR_USAGE (the size), _INPUT (the photograph, its sidecar, a mask; or it changed meanwhile),
 *         _OUTPUT (the cache cannot be written to), _MEMORY, _CANCELLED */
gboolean dt_thumbnails_get(const dt_thumbnails_opts_t *opts, const char *photo, dt_thumbnail_t *thumbnail,
                           GError **error);

/** A file of the cache. */
typedef struct dt_thumbnail_file_t
{
  char *path;
  guint64 bytes;
  gint64 used; ///< made, or taken, for the last time: nanoseconds since 1970
} dt_thumbnail_file_t;

/** The directory (transfer full); it need not exist. */
char *dt_thumbnails_folder(void);
/** All thumbnails (transfer full, of dt_thumbnail_file_t, in no order). What is being written is not among them. */
GPtrArray *dt_thumbnails_list(void);
/** @param count  NULL, or receives how many there are
 * @return the bytes of all of them */
guint64 dt_thumbnails_measure(int *count);
/** Removes all of it. FALSE with DT_AI_ERROR_OUTPUT when it cannot be removed. */
gboolean dt_thumbnails_remove_all(GError **error);

#endif
