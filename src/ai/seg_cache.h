/* SPDX-License-Identifier: GPL-3.0-or-later */
/** @file
 * Encoded pictures on disk, so that a second look at a photograph need not encode it again.
 *
 * Below the cache directory stands `segmentation/`: one file for each pair of picture and model, and a tiny one for each
 * picture's path, with the content's key and the size and times the picture had when it was computed, so that a picture
 * whose content is known is not read again to be recognised. Files appear whole or not at all, and nothing is locked:
 * several programs may read, write and evict at once. Everything in there is checked before it is believed: a file that
 * is cut off, changed, of another version, of another machine's byte order, or not what its name says is ignored, with
 * the reason in the log, and replaced.
 *
 * All functions are thread-safe.
 */
#ifndef DT_AI_SEG_CACHE_H
#define DT_AI_SEG_CACHE_H

#include "../common/errors.h"

#include <stdint.h>

G_BEGIN_DECLS

#define DT_SEG_MAX_FEATURES 4
#define DT_SEG_MAX_DIMS 5

/** What an encoder gave: a named tensor of floats. */
typedef struct dt_seg_feature_t
{
  char *name; ///< as the encoder calls it: 1 to 127 bytes
  int ndim;   ///< 1 to DT_SEG_MAX_DIMS
  int64_t dims[DT_SEG_MAX_DIMS];
  float *data; ///< g_malloc'ed
} dt_seg_feature_t;

/** All of it: 1 to DT_SEG_MAX_FEATURES tensors, at most 64 Mi floats together. */
typedef struct dt_seg_features_t
{
  int n;
  dt_seg_feature_t features[DT_SEG_MAX_FEATURES];
  int width, height; ///< of the picture that was encoded, 1 and more
} dt_seg_features_t;

/** Frees what it holds, not the struct, which is zero afterwards. */
void dt_seg_features_clear(dt_seg_features_t *features);

/** The key of the content of the file @p path: 64 hexadecimal digits of its SHA-256 (transfer full). Looked up by path,
 * size, inode, and times of modification and of change (to the nanosecond) first, computed and remembered otherwise.
 * Files modified within the last two seconds are hashed always: their time does not tell yet, since some file systems
 * count in steps of two.
 *
 * Who stores asks again after having read the picture, and stores only when the key is still the same.
 * @return NULL with DT_AI_ERROR_INPUT: it cannot be read, or is no ordinary file */
char *dt_seg_cache_key(const char *path, GError **error);

/** Loads what was stored for @p key (of the picture) and @p model (the encoder's SHA-256, 64 lower case hexadecimal
 * digits as well), and marks it used.
 * @param features  receives it (dt_seg_features_clear()); nothing on failure
 * @param reason    NULL, or receives (transfer full) why a file that is there is not used, else NULL
 * @return FALSE when there is nothing, or nothing that can be believed */
gboolean dt_seg_cache_load(const char *key, const char *model, dt_seg_features_t *features, char **reason);

/** Stores, compressed, checksummed, atomically (a crash leaves the old or none), then removes the least recently used
 * until all together is at most plugins/ai/mask_cache_limit (a size; default 1 GiB). What has just been stored stays.
 * @return TRUE also when nothing is stored because the limit is 0 or less than this alone; FALSE with
 *         DT_AI_ERROR_OUTPUT, for which nobody needs to fail */
gboolean dt_seg_cache_store(const char *key, const char *model, const dt_seg_features_t *features,
                            GError **error);

/** The directory (transfer full); it need not exist. */
char *dt_seg_cache_folder(void);

/** What there is. */
typedef struct dt_seg_cache_facts_t
{
  guint64 bytes; ///< of everything
  int pictures;  ///< that were encoded
  gint64 used;   ///< when one of them was used last, in seconds since 1970; 0: there are none
} dt_seg_cache_facts_t;
void dt_seg_cache_measure(dt_seg_cache_facts_t *facts);

/** Removes all of it. FALSE with DT_AI_ERROR_OUTPUT when some of it cannot be removed. */
gboolean dt_seg_cache_clear(GError **error);

G_END_DECLS

#endif
