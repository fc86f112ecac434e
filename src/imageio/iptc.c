/* SPDX-License-Identifier: GPL-3.0-or-later */
/* IPTC data sets: inside Photoshop's image resources, where JPEG and PNG keep them, and without the preview some
 * agencies put among them, which would show the picture as it was before. Of Photoshop's other resources (previews,
 * paths, a digest of the IPTC data) none is taken over. */
#include "imageio/metadata.h"

#include <string.h>

/** Photoshop's number of the IPTC resource. */
#define RESOURCE_IPTC 0x0404
/** The data sets 2:200 to 2:202, format, version and bytes of a preview. */
#define FIRST_PREVIEW 200
#define LAST_PREVIEW 202

GBytes *dt_metadata_find_iptc(const uint8_t *data, size_t size)
{
  // "8BIM", number, Pascal string padded to even, length, bytes padded to even
  for(size_t at = 0; at + 12 <= size && memcmp(data + at, "8BIM", 4) == 0;)
  {
    const unsigned number = (unsigned)data[at + 4] << 8 | data[at + 5];
    const size_t name = ((size_t)data[at + 6] + 2) & ~(size_t)1;
    const size_t head = at + 6 + name + 4;
    if(head > size) return NULL;
    const uint8_t *l = data + head - 4;
    const size_t length = (size_t)l[0] << 24 | (size_t)l[1] << 16 | (size_t)l[2] << 8 | l[3];
    if(length > size - head) return NULL;
    if(number == RESOURCE_IPTC && length > 0) return g_bytes_new(data + head, length);
    at = head + length + (length & 1);
  }
  return NULL;
}

GBytes *dt_metadata_wrap_iptc(GBytes *iptc)
{
  gsize size;
  const guint8 *data = g_bytes_get_data(iptc, &size);
  const guint8 head[12] = { '8',
                            'B',
                            'I',
                            'M',
                            RESOURCE_IPTC >> 8,
                            RESOURCE_IPTC & 0xff,
                            0,
                            0, // no name
                            (guint8)(size >> 24),
                            (guint8)(size >> 16),
                            (guint8)(size >> 8),
                            (guint8)size };
  GByteArray *block = g_byte_array_new();
  g_byte_array_append(block, head, sizeof(head));
  g_byte_array_append(block, data, (guint)size);
  if(size & 1) g_byte_array_append(block, (const guint8 *)"", 1);
  return g_byte_array_free_to_bytes(block);
}

/** Bytes of the data set at @p data, 0 when it is none or is cut off. */
static size_t _measure_set(const uint8_t *data, size_t size)
{
  if(size < 5 || data[0] != 0x1c) return 0;
  size_t length = (size_t)data[3] << 8 | data[4], head = 5;
  if(length & 0x8000) // so many bytes of length follow
  {
    const size_t bytes = length & 0x7fff;
    if(bytes > 4 || head + bytes > size) return 0;
    length = 0;
    for(size_t i = 0; i < bytes; i++) length = length << 8 | data[head + i];
    head += bytes;
  }
  return length <= size - head ? head + length : 0;
}

GBytes *dt_metadata_trim_iptc(GBytes *iptc)
{
  if(!iptc) return NULL;
  gsize size, at = 0;
  const uint8_t *data = g_bytes_get_data(iptc, &size);
  for(size_t length; at < size && (length = _measure_set(data + at, size - at)) > 0;) at += length;
  size_t end = size;
  while(end > at && data[end - 1] == 0) end--;
  GBytes *trimmed = end ? g_bytes_new_from_bytes(iptc, 0, end) : NULL;
  g_bytes_unref(iptc);
  return trimmed;
}

GBytes *dt_metadata_make_iptc(const dt_encode_spec_t *spec)
{
  if(!spec->metadata->iptc) return NULL;
  gsize size, at = 0;
  const uint8_t *data = g_bytes_get_data(spec->metadata->iptc, &size);
  GByteArray *kept = g_byte_array_new();
  for(size_t length; at < size && (length = _measure_set(data + at, size - at)) > 0; at += length)
    if(data[at + 1] != 2 || data[at + 2] < FIRST_PREVIEW || data[at + 2] > LAST_PREVIEW)
      g_byte_array_append(kept, data + at, (guint)length);
  g_byte_array_append(kept, data + at, (guint)(size - at)); // what makes no sense goes along
  return g_byte_array_free_to_bytes(kept);
}
