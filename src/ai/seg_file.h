/* SPDX-License-Identifier: GPL-3.0-or-later */
/** @file
 * The form in which an encoded picture lies on disk.
 *
 * A head of fixed size, in the byte order of the machine that wrote it, then for each tensor four planes: the lowest
 * bytes of all its floats, the second lowest, the third, the highest. What a network computes has noise in the lower
 * planes, which are stored as they are, and few different bytes in the highest, which shrinks to a third or less and is
 * quickly read; a plane is deflated when that halves it.
 */
#ifndef DT_AI_SEG_FILE_H
#define DT_AI_SEG_FILE_H

#include "seg_cache.h"

#include <stddef.h>

G_BEGIN_DECLS

#define DT_SEG_FILE_MAGIC "DTSEGENC"
#define DT_SEG_FILE_VERSION 1
#define DT_SEG_FILE_ORDER 0x01020304u
/** Bytes for a tensor's name, with the zero at its end. */
#define DT_SEG_FILE_NAME 128
/** Floats in one file, all tensors together. */
#define DT_SEG_FILE_MAX_FLOATS ((uint64_t)64 << 20)
#define DT_SEG_FILE_PLANES 4
/** Hexadecimal digits of a SHA-256. */
#define DT_SEG_FILE_DIGITS 64

typedef struct dt_seg_file_tensor_t
{
  char name[DT_SEG_FILE_NAME];
  int64_t dims[DT_SEG_MAX_DIMS]; ///< zeros behind the last
  uint64_t
      stored[DT_SEG_FILE_PLANES]; ///< bytes of each plane in the file: one for each float, or fewer: deflated
  uint64_t sums[DT_SEG_FILE_PLANES]; ///< dt_checksum64() of those bytes
  int32_t ndim, unused;
} dt_seg_file_tensor_t;

typedef struct dt_seg_file_head_t
{
  char magic[8];
  uint32_t version, order;
  char key[DT_SEG_FILE_DIGITS], model[DT_SEG_FILE_DIGITS];
  int32_t width, height, n, unused;
  dt_seg_file_tensor_t tensors[DT_SEG_MAX_FEATURES];
  uint8_t digest[32]; ///< SHA-256 of everything before it
} dt_seg_file_head_t;

/** The largest file there can be. */
#define DT_SEG_FILE_MAX_BYTES (sizeof(dt_seg_file_head_t) + DT_SEG_FILE_MAX_FLOATS * sizeof(float))

/** Whether @p text is a SHA-256 as g_compute_checksum_for_data() writes it. */
gboolean dt_seg_file_is_hash(const char *text);

/** Fills in the digest of @p head. */
void dt_seg_file_seal(dt_seg_file_head_t *head);

/** The bytes of a file.
 * @param key, model  hashes
 * @param size        receives how many they are
 * @param reason      receives (transfer full) why it cannot be done
 * @return (transfer full: g_free()), or NULL */
uint8_t *dt_seg_file_pack(const char *key, const char *model, const dt_seg_features_t *features, size_t *size,
                          char **reason);

/** Reads the @p size bytes of a file, believing none of them.
 * @param key, model  what it is to be of
 * @param features    receives what it holds, nothing on failure
 * @param reason      receives (transfer full) why it cannot be used */
gboolean dt_seg_file_unpack(const uint8_t *bytes, size_t size, const char *key, const char *model,
                            dt_seg_features_t *features, char **reason);

G_END_DECLS

#endif
