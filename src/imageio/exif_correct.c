/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Makes EXIF say what is true of a new file: its size in pixels, its orientation, the program that wrote it, and no
 * thumbnail, which would show the picture as it was before.
 *
 * A structure that stays one is corrected where it stands, so that maker notes stay where their offsets expect them:
 * texts go to its end, and so does the first directory when an entry has to be added. */
#include "imageio/exif.h"

#include <string.h>

/** Tags that only this file knows by name. */
enum
{
  TAG_IMAGE_WIDTH = 256,
  TAG_IMAGE_HEIGHT = 257,
  TAG_THUMBNAIL = 513,
  TAG_THUMBNAIL_SIZE = 514,
  TAG_RELATED_WIDTH = 4097,
  TAG_RELATED_HEIGHT = 4098,
  TAG_FOCAL_PLANE_X = 41486,
  TAG_FOCAL_PLANE_Y = 41487,
};

// --- Fractions

/** Multiplies a fraction by @p to / @p from; one that would not fit any more stays. */
static void _scale_fraction(uint8_t *fraction, gboolean big_endian, uint32_t from, uint32_t to)
{
  uint64_t over = dt_exif_get_uint(fraction, 4, big_endian) * to;
  uint64_t under = dt_exif_get_uint(fraction + 4, 4, big_endian) * from;
  uint64_t a = over, b = under;
  while(b)
  {
    const uint64_t rest = a % b;
    a = b;
    b = rest;
  }
  if(!over || !under || over / a > UINT32_MAX || under / a > UINT32_MAX) return;
  dt_exif_put_uint(fraction, 4, big_endian, over / a);
  dt_exif_put_uint(fraction + 4, 4, big_endian, under / a);
}

// --- In place

typedef struct _blob_t
{
  uint8_t *data;
  size_t size;
  gboolean big_endian;
} _blob_t;

static uint32_t _get(const _blob_t *blob, size_t at, int size)
{
  return (uint32_t)dt_exif_get_uint(blob->data + at, size, blob->big_endian);
}

static void _put(_blob_t *blob, size_t at, int size, uint32_t value)
{
  dt_exif_put_uint(blob->data + at, size, blob->big_endian, value);
}

/** Entries of the directory at @p ifd that lie in the blob; 0 when it is no directory. */
static size_t _count_entries(const _blob_t *blob, size_t ifd)
{
  if(ifd < 8 || ifd + 2 > blob->size) return 0;
  const size_t count = _get(blob, ifd, 2);
  return ifd + 2 + count * 12 + 4 <= blob->size ? count : 0;
}

/** Position of the entry @p tag in the directory at @p ifd, 0 when there is none. */
static size_t _find_entry(const _blob_t *blob, size_t ifd, uint32_t tag)
{
  const size_t count = _count_entries(blob, ifd);
  for(size_t i = 0; i < count; i++)
    if(_get(blob, ifd + 2 + i * 12, 2) == tag) return ifd + 2 + i * 12;
  return 0;
}

static uint32_t _get_value(const _blob_t *blob, size_t ifd, uint32_t tag)
{
  const size_t at = _find_entry(blob, ifd, tag);
  if(!at || _get(blob, at + 4, 4) != 1) return 0;
  const uint32_t type = _get(blob, at + 2, 2);
  return type == DT_TYPE_SHORT                ? _get(blob, at + 8, 2)
         : type == DT_TYPE_LONG || type == 13 ? _get(blob, at + 8, 4)
                                              : 0;
}

/** Makes an entry a single number. */
static void _fill_number(_blob_t *blob, size_t at, uint16_t type, uint32_t value)
{
  _put(blob, at + 2, 2, type);
  _put(blob, at + 4, 4, 1);
  _put(blob, at + 8, 4, 0);
  _put(blob, at + 8, type == DT_TYPE_SHORT ? 2 : 4, value);
}

/** Overwrites a number that is there already. */
static void _set_number(_blob_t *blob, size_t ifd, uint32_t tag, uint32_t value)
{
  const size_t at = _find_entry(blob, ifd, tag);
  if(at) _fill_number(blob, at, DT_TYPE_LONG, value);
}

/** Cuts the second directory off and wipes the thumbnail it points to. */
static void _remove_thumbnail(_blob_t *blob)
{
  const size_t first = _get(blob, 4, 4), count = _count_entries(blob, first);
  if(!count) return;
  const size_t link = first + 2 + count * 12, second = _get(blob, link, 4);
  const size_t start = _get_value(blob, second, TAG_THUMBNAIL),
               length = _get_value(blob, second, TAG_THUMBNAIL_SIZE);
  _put(blob, link, 4, 0);
  if(start < 8 || start > blob->size || length > blob->size - start) return;
  memset(blob->data + start, 0, length);
  if(start + length == blob->size) blob->size = start;
}

static void _scale_entry(_blob_t *blob, size_t ifd, uint32_t tag, uint32_t from, uint32_t to)
{
  const size_t at = _find_entry(blob, ifd, tag), value = at ? _get(blob, at + 8, 4) : 0;
  if(!from || !value || _get(blob, at + 2, 2) != DT_TYPE_RATIONAL || _get(blob, at + 4, 4) != 1) return;
  if(value + 8 <= blob->size) _scale_fraction(blob->data + value, blob->big_endian, from, to);
}

static void _set_size(_blob_t *blob, const dt_exif_facts_t *facts)
{
  const size_t first = _get(blob, 4, 4), exif = _get_value(blob, first, DT_TAG_EXIF_IFD),
               interop = _get_value(blob, exif, DT_TAG_INTEROP_IFD);
  _scale_entry(blob, exif, TAG_FOCAL_PLANE_X, _get_value(blob, exif, DT_TAG_PIXEL_WIDTH), facts->width);
  _scale_entry(blob, exif, TAG_FOCAL_PLANE_Y, _get_value(blob, exif, DT_TAG_PIXEL_HEIGHT), facts->height);
  _set_number(blob, first, TAG_IMAGE_WIDTH, facts->width);
  _set_number(blob, first, TAG_IMAGE_HEIGHT, facts->height);
  _set_number(blob, exif, DT_TAG_PIXEL_WIDTH, facts->width);
  _set_number(blob, exif, DT_TAG_PIXEL_HEIGHT, facts->height);
  _set_number(blob, interop, TAG_RELATED_WIDTH, facts->width);
  _set_number(blob, interop, TAG_RELATED_HEIGHT, facts->height);
}

/** Room for @p size bytes at the end; returns its place. */
static size_t _grow(_blob_t *blob, size_t size)
{
  const size_t at = (blob->size + 1) & ~(size_t)1;
  blob->data = g_realloc(blob->data, at + size);
  memset(blob->data + blob->size, 0, at + size - blob->size);
  blob->size = at + size;
  return at;
}

/** A blank entry in the first directory, which moves to the end for it; the one that is there when there is one. */
static size_t _add_entry(_blob_t *blob, uint32_t tag)
{
  const size_t first = _get(blob, 4, 4), count = _count_entries(blob, first),
               there = _find_entry(blob, first, tag);
  if(there || !count || count == UINT16_MAX) return there;
  size_t before = 0;
  while(before < count && _get(blob, first + 2 + before * 12, 2) < tag) before++;
  const size_t moved = _grow(blob, 2 + (count + 1) * 12 + 4), head = 2 + before * 12;
  memcpy(blob->data + moved, blob->data + first, head);
  memcpy(blob->data + moved + head + 12, blob->data + first + head, (count - before) * 12 + 4);
  _put(blob, moved, 2, (uint32_t)count + 1);
  _put(blob, moved + head, 2, tag);
  _put(blob, 4, 4, (uint32_t)moved);
  return moved + head;
}

static gboolean _set_orientation(_blob_t *blob, int orientation)
{
  const size_t first = _get(blob, 4, 4);
  if(orientation == 1 && !_find_entry(blob, first, DT_TAG_ORIENTATION)) return TRUE;
  const size_t at = _add_entry(blob, DT_TAG_ORIENTATION);
  if(at) _fill_number(blob, at, DT_TYPE_SHORT, (uint32_t)orientation);
  return at != 0;
}

/** Whether the entry at @p at is the text @p text, @p size bytes with its zero. */
static gboolean _is_text(const _blob_t *blob, size_t at, const char *text, size_t size)
{
  const size_t place = size > 4 ? _get(blob, at + 8, 4) : at + 8;
  return _get(blob, at + 2, 2) == DT_TYPE_ASCII && _get(blob, at + 4, 4) == size && place <= blob->size
         && size <= blob->size - place && memcmp(blob->data + place, text, size) == 0;
}

static gboolean _set_software(_blob_t *blob, const char *software)
{
  if(!software) return TRUE;
  const size_t size = strlen(software) + 1, at = _add_entry(blob, DT_TAG_SOFTWARE);
  if(!at || _is_text(blob, at, software, size)) return at != 0;
  const size_t place = size > 4 ? _grow(blob, size) : at + 8;
  memcpy(blob->data + place, software, size);
  _put(blob, at + 2, 2, DT_TYPE_ASCII);
  _put(blob, at + 4, 4, (uint32_t)size);
  if(size > 4) _put(blob, at + 8, 4, (uint32_t)place);
  return TRUE;
}

GBytes *dt_exif_correct_bytes(GBytes *bytes, const dt_exif_facts_t *facts)
{
  gsize size;
  const uint8_t *data = g_bytes_get_data(bytes, &size);
  if(size < 14 || (memcmp(data, "II*\0", 4) != 0 && memcmp(data, "MM\0*", 4) != 0)) return NULL;
  _blob_t blob = { .data = g_memdup2(data, size), .size = size, .big_endian = data[0] == 'M' };
  _remove_thumbnail(&blob);
  _set_size(&blob, facts);
  if(_set_orientation(&blob, facts->orientation) && _set_software(&blob, facts->software))
    return g_bytes_new_take(blob.data, blob.size);
  g_free(blob.data);
  return NULL;
}

// --- As a tree

static void _replace_number(dt_exif_t *exif, dt_ifd_t ifd, uint16_t tag, uint32_t value)
{
  if(dt_exif_find(exif, ifd, tag)) dt_exif_set_number(exif, ifd, tag, DT_TYPE_LONG, value);
}

static void _scale_value(dt_exif_t *exif, uint16_t tag, double from, uint32_t to)
{
  const dt_exif_entry_t *entry = dt_exif_find(exif, DT_IFD_EXIF, tag);
  if(!entry || entry->type != DT_TYPE_RATIONAL || entry->count != 1 || from < 1.0) return;
  uint8_t *fraction = g_memdup2(g_bytes_get_data(entry->value, NULL), 8);
  _scale_fraction(fraction, exif->big_endian, (uint32_t)from, to);
  dt_exif_set_bytes(exif, DT_IFD_EXIF, tag, DT_TYPE_RATIONAL, 1, g_bytes_new_take(fraction, 8));
}

void dt_exif_correct(dt_exif_t *exif, const dt_exif_facts_t *facts)
{
  _scale_value(exif, TAG_FOCAL_PLANE_X, dt_exif_get_number(exif, DT_IFD_EXIF, DT_TAG_PIXEL_WIDTH, 0.0),
               facts->width);
  _scale_value(exif, TAG_FOCAL_PLANE_Y, dt_exif_get_number(exif, DT_IFD_EXIF, DT_TAG_PIXEL_HEIGHT, 0.0),
               facts->height);
  _replace_number(exif, DT_IFD_EXIF, DT_TAG_PIXEL_WIDTH, facts->width);
  _replace_number(exif, DT_IFD_EXIF, DT_TAG_PIXEL_HEIGHT, facts->height);
  _replace_number(exif, DT_IFD_INTEROP, TAG_RELATED_WIDTH, facts->width);
  _replace_number(exif, DT_IFD_INTEROP, TAG_RELATED_HEIGHT, facts->height);
  if(facts->orientation != 1 || dt_exif_find(exif, DT_IFD_MAIN, DT_TAG_ORIENTATION))
    dt_exif_set_number(exif, DT_IFD_MAIN, DT_TAG_ORIENTATION, DT_TYPE_SHORT, (uint32_t)facts->orientation);
  if(facts->software)
    dt_exif_set_bytes(exif, DT_IFD_MAIN, DT_TAG_SOFTWARE, DT_TYPE_ASCII,
                      (uint32_t)strlen(facts->software) + 1,
                      g_bytes_new(facts->software, strlen(facts->software) + 1));
}
