/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What happens to metadata on its way from one file into another. Nearly all of it goes along as it
 * is; what describes the file rather than the photograph is corrected: the size in pixels, the
 * orientation (so that all places agree), and the embedded thumbnail, which would show the picture
 * as it was before, is removed. */
#include "imageio/metadata.h"

#include <math.h>
#include <string.h>

/** Photoshop's number of the IPTC resource. */
#define RESOURCE_IPTC 0x0404

// --- Reading

static void _read_numbers(dt_metadata_t *metadata, const dt_exif_t *exif)
{
  const int orientation = (int)dt_exif_get_number(exif, DT_IFD_MAIN, DT_TAG_ORIENTATION, 1.0);
  metadata->orientation = orientation >= 1 && orientation <= 8 ? orientation : 1;
  const double unit = dt_exif_get_number(exif, DT_IFD_MAIN, DT_TAG_RESOLUTION_UNIT, 2.0);
  const double inch = unit == 2.0 ? 1.0 : unit == 3.0 ? 2.54 : 0.0;
  if(inch > 0.0 && metadata->xres <= 0.0)
  {
    metadata->xres = dt_exif_get_number(exif, DT_IFD_MAIN, DT_TAG_XRESOLUTION, 0.0) * inch;
    metadata->yres = dt_exif_get_number(exif, DT_IFD_MAIN, DT_TAG_YRESOLUTION, 0.0) * inch;
  }
}

void dt_metadata_take_exif(dt_metadata_t *metadata, GBytes *bytes)
{
  dt_exif_t *exif = bytes ? dt_exif_read_bytes(bytes) : NULL;
  if(exif)
  {
    _read_numbers(metadata, exif);
    metadata->exif = g_bytes_ref(bytes);
  }
  dt_exif_destroy(exif);
  if(bytes) g_bytes_unref(bytes);
}

/** Removes the padding and the trailing zeros that XMP and IPTC get from alignment. */
static GBytes *_trim_zeros(GBytes *bytes)
{
  if(!bytes) return NULL;
  gsize size;
  const char *data = g_bytes_get_data(bytes, &size);
  while(size > 0 && data[size - 1] == '\0') size--;
  GBytes *trimmed = size ? g_bytes_new_from_bytes(bytes, 0, size) : NULL;
  g_bytes_unref(bytes);
  return trimmed;
}

static GBytes *_steal_iptc(dt_exif_t *exif)
{
  GBytes *iptc = dt_exif_steal(exif, DT_IFD_MAIN, DT_TAG_IPTC);
  GBytes *resources = dt_exif_steal(exif, DT_IFD_MAIN, DT_TAG_PHOTOSHOP);
  if(!iptc && resources)
  {
    gsize size;
    const uint8_t *data = g_bytes_get_data(resources, &size);
    iptc = dt_metadata_find_iptc(data, size);
  }
  if(resources) g_bytes_unref(resources);
  return iptc;
}

static gboolean _is_empty(const dt_exif_t *exif)
{
  guint entries = 0;
  for(int i = 0; i < DT_IFD_COUNT; i++) entries += exif->ifds[i]->len;
  return entries == 0;
}

gboolean dt_metadata_read_tiff(dt_metadata_t *metadata, const dt_input_t *input)
{
  dt_exif_t *exif = dt_exif_read_file(input);
  if(!exif) return TRUE;
  const gboolean whole = !exif->lost_profile;
  metadata->icc = dt_exif_steal(exif, DT_IFD_MAIN, DT_TAG_ICC);
  metadata->xmp = _trim_zeros(dt_exif_steal(exif, DT_IFD_MAIN, DT_TAG_XMP));
  metadata->iptc = _trim_zeros(_steal_iptc(exif));
  _read_numbers(metadata, exif);
  // the resolution travels as numbers of its own
  dt_exif_remove(exif, DT_IFD_MAIN, DT_TAG_XRESOLUTION);
  dt_exif_remove(exif, DT_IFD_MAIN, DT_TAG_YRESOLUTION);
  dt_exif_remove(exif, DT_IFD_MAIN, DT_TAG_RESOLUTION_UNIT);
  if(!_is_empty(exif)) metadata->exif = dt_exif_to_bytes(exif);
  dt_exif_destroy(exif);
  return whole;
}

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

// --- Correcting an EXIF structure in place

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

/** Overwrites a number that is there already. Returns FALSE when it is not. */
static gboolean _set_value(_blob_t *blob, size_t ifd, uint32_t tag, uint16_t type, uint32_t value)
{
  const size_t at = _find_entry(blob, ifd, tag);
  if(!at) return FALSE;
  _put(blob, at + 2, 2, type);
  _put(blob, at + 4, 4, 1);
  _put(blob, at + 8, 4, 0);
  _put(blob, at + 8, type == DT_TYPE_SHORT ? 2 : 4, value);
  return TRUE;
}

/** Cuts the second directory off and wipes the thumbnail it points to. */
static void _remove_thumbnail(_blob_t *blob)
{
  const size_t first = _get(blob, 4, 4), count = _count_entries(blob, first);
  if(!count) return;
  const size_t link = first + 2 + count * 12, second = _get(blob, link, 4);
  const size_t start = _get_value(blob, second, 513), length = _get_value(blob, second, 514);
  _put(blob, link, 4, 0);
  if(start < 8 || start > blob->size || length > blob->size - start) return;
  memset(blob->data + start, 0, length);
  if(start + length == blob->size) blob->size = start;
}

static void _set_size(_blob_t *blob, const dt_encode_spec_t *spec)
{
  const size_t first = _get(blob, 4, 4), exif = _get_value(blob, first, DT_TAG_EXIF_IFD);
  _set_value(blob, first, 256, DT_TYPE_LONG, (uint32_t)spec->width);
  _set_value(blob, first, 257, DT_TYPE_LONG, (uint32_t)spec->height);
  _set_value(blob, exif, DT_TAG_PIXEL_WIDTH, DT_TYPE_LONG, (uint32_t)spec->width);
  _set_value(blob, exif, DT_TAG_PIXEL_HEIGHT, DT_TYPE_LONG, (uint32_t)spec->height);
}

/** The blob with everything corrected, or NULL when an entry would have to be added. */
static GBytes *_correct_in_place(const dt_encode_spec_t *spec, GBytes *source)
{
  _blob_t blob = { 0 };
  blob.data = g_bytes_unref_to_data(g_bytes_ref(source), &blob.size);
  blob.big_endian = blob.data[0] == 'M';
  const size_t first = _get(&blob, 4, 4);
  _remove_thumbnail(&blob);
  _set_size(&blob, spec);
  if(_set_value(&blob, first, DT_TAG_ORIENTATION, DT_TYPE_SHORT, (uint32_t)spec->metadata->orientation)
     || spec->metadata->orientation == 1)
    return g_bytes_new_take(blob.data, blob.size);
  g_free(blob.data);
  return NULL;
}

// --- Making metadata for a new file

void dt_metadata_note(const dt_encode_spec_t *spec, const char *sentence)
{
  if(spec->note) g_string_append_printf(spec->note, "%s%s", spec->note->len ? " " : "", sentence);
}

dt_exif_t *dt_metadata_make_exif_tree(const dt_encode_spec_t *spec)
{
  const dt_metadata_t *metadata = spec->metadata;
  dt_exif_t *exif = metadata->exif ? dt_exif_read_bytes(metadata->exif) : NULL;
  if(!exif && metadata->orientation == 1) return NULL;
  if(!exif) exif = dt_exif_create();
  dt_exif_set_number(exif, DT_IFD_MAIN, DT_TAG_ORIENTATION, DT_TYPE_SHORT, (uint32_t)metadata->orientation);
  if(dt_exif_find(exif, DT_IFD_EXIF, DT_TAG_PIXEL_WIDTH))
  {
    dt_exif_set_number(exif, DT_IFD_EXIF, DT_TAG_PIXEL_WIDTH, DT_TYPE_LONG, (uint32_t)spec->width);
    dt_exif_set_number(exif, DT_IFD_EXIF, DT_TAG_PIXEL_HEIGHT, DT_TYPE_LONG, (uint32_t)spec->height);
  }
  return exif;
}

/** The structure laid out anew, without the maker note when that is what makes it too long. */
static GBytes *_rebuild_exif(const dt_encode_spec_t *spec, size_t limit)
{
  dt_exif_t *exif = dt_metadata_make_exif_tree(spec);
  if(!exif) return NULL;
  GBytes *bytes = dt_exif_to_bytes(exif);
  if(g_bytes_get_size(bytes) > limit)
  {
    dt_exif_remove(exif, DT_IFD_EXIF, DT_TAG_MAKER_NOTE);
    g_bytes_unref(bytes);
    bytes = dt_exif_to_bytes(exif);
    dt_metadata_note(spec, "The camera's maker note is too long for this format and was left out.");
  }
  dt_exif_destroy(exif);
  if(g_bytes_get_size(bytes) <= limit) return bytes;
  dt_metadata_note(spec, "The EXIF data are too long for this format and were left out.");
  g_bytes_unref(bytes);
  return NULL;
}

GBytes *dt_metadata_make_exif(const dt_encode_spec_t *spec, size_t limit)
{
  GBytes *source = spec->metadata->exif;
  gsize size = 0;
  const uint8_t *data = source ? g_bytes_get_data(source, &size) : NULL;
  const gboolean valid = size >= 14 && (memcmp(data, "II*\0", 4) == 0 || memcmp(data, "MM\0*", 4) == 0);
  GBytes *bytes = valid ? _correct_in_place(spec, source) : NULL;
  if(bytes && g_bytes_get_size(bytes) <= limit) return bytes;
  if(bytes) g_bytes_unref(bytes);
  return _rebuild_exif(spec, limit);
}

/** Replaces the numbers of all properties called @p names by @p value. */
static char *_replace_numbers(char *text, const char *names, int value)
{
  char *pattern = g_strdup_printf("(\\b(?:%s)(?:\\s*=\\s*[\"']|>))\\d+", names);
  char *replacement = g_strdup_printf("\\g<1>%d", value);
  GRegex *regex = g_regex_new(pattern, 0, 0, NULL);
  char *result = regex ? g_regex_replace(regex, text, -1, 0, replacement, 0, NULL) : NULL;
  if(regex) g_regex_unref(regex);
  g_free(replacement);
  g_free(pattern);
  if(!result) return text;
  g_free(text);
  return result;
}

static GBytes *_correct_xmp(const dt_encode_spec_t *spec, const char *data, size_t size)
{
  char *text = g_strndup(data, size);
  text = _replace_numbers(text, "tiff:ImageWidth|exif:PixelXDimension", spec->width);
  text = _replace_numbers(text, "tiff:ImageLength|exif:PixelYDimension", spec->height);
  return g_bytes_new_take(text, strlen(text));
}

GBytes *dt_metadata_make_xmp(const dt_encode_spec_t *spec, size_t limit)
{
  if(!spec->metadata->xmp) return NULL;
  gsize size;
  const char *data = g_bytes_get_data(spec->metadata->xmp, &size);
  // a packet in UTF-16 is legal but unheard of in pictures; it goes along as it is
  GBytes *xmp = g_utf8_validate_len(data, size, NULL) ? _correct_xmp(spec, data, size)
                                                      : g_bytes_ref(spec->metadata->xmp);
  if(g_bytes_get_size(xmp) <= limit) return xmp;
  dt_metadata_note(spec, "The XMP data are too long for this format and were left out.");
  g_bytes_unref(xmp);
  return NULL;
}
