/* SPDX-License-Identifier: GPL-3.0-or-later */
/** @file
 * ZIP archives byte by byte, so that a test can make one that no packer would: each field of a header can lie.
 */
#ifndef DT_TESTS_ZIP_MAKER_H
#define DT_TESTS_ZIP_MAKER_H

#include <glib.h>
#include <libdeflate.h>
#include <stdint.h>
#include <string.h>

#define ZIP_STORED 0
#define ZIP_DEFLATED 8

/** One entry; what is left out is 0: stored, no Unix mode, no lie. */
typedef struct zip_member_t
{
  const char *name;
  const void *data;
  size_t size;
  size_t name_size; ///< when it differs from strlen(name): names with NUL
  uint16_t method, flags;
  uint32_t mode;     ///< Unix mode, type included
  const void *extra; ///< extra field of both headers
  uint16_t extra_size;
  const char *central_name;       ///< the name in the directory, when it is another
  int64_t local_lie, central_lie; ///< added to the unpacked size
  int64_t packed_lie;             ///< added to the packed size in both
  uint32_t crc_lie;               ///< added to the checksum in both
  gboolean no_local;              ///< the directory points to the entry before this one
} zip_member_t;

static inline void zip_put(GByteArray *zip, guint64 value, guint bytes)
{
  for(guint i = 0; i < bytes; i++) g_byte_array_append(zip, &(guint8){ (guint8)(value >> 8 * i) }, 1);
}

static inline size_t zip_name_size(const zip_member_t *member, const char *name)
{
  return member->name_size && name == member->name ? member->name_size : strlen(name);
}

/** What both headers have: from the flags to the length of the extra field. */
static inline void zip_put_common(GByteArray *zip, const zip_member_t *member, const char *name,
                                  size_t packed, int64_t lie)
{
  zip_put(zip, member->flags, 2);
  zip_put(zip, member->method, 2);
  zip_put(zip, 0x00210000, 4);
  zip_put(zip, libdeflate_crc32(0, member->data, member->size) + member->crc_lie, 4);
  zip_put(zip, packed + (guint64)member->packed_lie, 4);
  zip_put(zip, member->size + (guint64)lie, 4);
  zip_put(zip, zip_name_size(member, name), 2);
  zip_put(zip, member->extra_size, 2);
}

static inline GBytes *zip_pack(const zip_member_t *member)
{
  if(member->method != ZIP_DEFLATED) return g_bytes_new(member->data, member->size);
  struct libdeflate_compressor *deflate = libdeflate_alloc_compressor(9);
  const size_t bound = libdeflate_deflate_compress_bound(deflate, member->size);
  void *packed = g_malloc(bound);
  const size_t size = libdeflate_deflate_compress(deflate, member->data, member->size, packed, bound);
  libdeflate_free_compressor(deflate);
  return g_bytes_new_take(packed, size);
}

static inline size_t zip_put_local(GByteArray *zip, const zip_member_t *member)
{
  GBytes *packed = zip_pack(member);
  const size_t size = g_bytes_get_size(packed);
  zip_put(zip, 0x04034b50, 4);
  zip_put(zip, 20, 2);
  zip_put_common(zip, member, member->name, size, member->local_lie);
  g_byte_array_append(zip, (const guint8 *)member->name, (guint)zip_name_size(member, member->name));
  g_byte_array_append(zip, member->extra, member->extra_size);
  g_byte_array_append(zip, g_bytes_get_data(packed, NULL), (guint)size);
  g_bytes_unref(packed);
  return size;
}

static inline void zip_put_central(GByteArray *zip, const zip_member_t *member, size_t packed, size_t offset)
{
  const char *name = member->central_name ? member->central_name : member->name;
  zip_put(zip, 0x02014b50, 4);
  zip_put(zip, 3 << 8 | 20, 2);
  zip_put(zip, 20, 2);
  zip_put_common(zip, member, name, packed, member->central_lie);
  zip_put(zip, 0, 6); // no comment, first disk, no internal attributes
  zip_put(zip, (guint64)member->mode << 16, 4);
  zip_put(zip, offset, 4);
  g_byte_array_append(zip, (const guint8 *)name, (guint)zip_name_size(member, name));
  g_byte_array_append(zip, member->extra, member->extra_size);
}

static inline void zip_put_end(GByteArray *zip, size_t count, size_t start)
{
  const size_t size = zip->len - start;
  zip_put(zip, 0x06054b50, 4);
  zip_put(zip, 0, 4);
  zip_put(zip, count, 2);
  zip_put(zip, count, 2);
  zip_put(zip, size, 4);
  zip_put(zip, start, 4);
  zip_put(zip, 0, 2);
}

/** The archive with these members (transfer full). */
static inline GByteArray *zip_make(const zip_member_t *members, size_t count)
{
  GByteArray *zip = g_byte_array_new();
  size_t *offsets = g_new0(size_t, count + 1), *packed = g_new0(size_t, count + 1);
  for(size_t i = 0; i < count; i++)
  {
    const gboolean again = members[i].no_local && i > 0;
    offsets[i] = again ? offsets[i - 1] : zip->len;
    packed[i] = again ? packed[i - 1] : zip_put_local(zip, &members[i]);
  }
  const size_t start = zip->len;
  for(size_t i = 0; i < count; i++) zip_put_central(zip, &members[i], packed[i], offsets[i]);
  zip_put_end(zip, count, start);
  g_free(offsets);
  g_free(packed);
  return zip;
}

#endif
