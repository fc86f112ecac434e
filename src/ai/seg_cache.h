/* SPDX-License-Identifier: GPL-3.0-or-later */
/** @file
 * Encoded pictures on disk, so that a second look at a photograph need not encode it again.
 *
 * Below the cache directory stands `segmentation/`: one file for each pair of picture and model, and an index by path,
 * size and time of the picture, so that a picture whose content is known is not read again to be recognised. Everything
 * in there is checked before it is believed: a file that is cut off, changed, of another version, of another machine's
 * byte order, or not what its name says is ignored, with the reason in the log, and replaced.
 */
#ifndef DT_AI_SEG_CACHE_H
#define DT_AI_SEG_CACHE_H

#include "../common/errors.h"

#include <stdint.h>

G_BEGIN_DECLS

#define DT_SEG_MAX_FEATURES 4
#define DT_SEG_MAX_DIMS 5

/** What an encoder gave: named tensors of floats. */
typedef struct dt_seg_feature_t
{
  char *name; ///< as the encoder calls it
  int ndim;
  int64_t dims[DT_SEG_MAX_DIMS];
  float *data; ///< g_malloc'ed
} dt_seg_feature_t;

typedef struct dt_seg_features_t
{
  int n;
  dt_seg_feature_t features[DT_SEG_MAX_FEATURES];
  int width, height; ///< of the picture that was encoded
} dt_seg_features_t;

/** Frees what it holds, not the struct. */
void dt_seg_features_clear(dt_seg_features_t *features);

/** The content's key of the file @p path: 64 hexadecimal digits of a SHA-256 (transfer full); looked up by path, size and
 * modification time (to the nanosecond) first, computed and remembered otherwise. NULL with DT_AI_ERROR_INPUT. Files
 * modified within the last two seconds are hashed always: their time does not tell yet. */
char *dt_seg_cache_key(const char *path, GError **error);

/** Loads what was stored for @p key (of the picture) and @p model (the encoder's SHA-256), and marks it used.
 * @param reason  NULL, or receives (transfer full) why a file that is there is not used, else NULL
 * @return FALSE when there is nothing, or nothing that can be believed */
gboolean dt_seg_cache_load(const char *key, const char *model, dt_seg_features_t *features, char **reason);

/** Stores, compressed, checksummed, atomically (a crash leaves the old or none), then removes the least recently used
 * until all together is at most plugins/ai/mask_cache_limit (a size; default 1 GiB; 0: nothing is stored).
 * @return FALSE with DT_AI_ERROR_OUTPUT; nobody needs to fail for that */
gboolean dt_seg_cache_store(const char *key, const char *model, const dt_seg_features_t *features,
                            GError **error);

/** Bytes and number of pictures; and away with all of it. */
void dt_seg_cache_measure(guint64 *bytes, int *pictures);
gboolean dt_seg_cache_clear(GError **error);

G_END_DECLS

#endif
