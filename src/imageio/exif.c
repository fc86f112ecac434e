/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Reads the tag directories of TIFF and EXIF. Every offset comes from the file and may point
 * anywhere: each read is checked against the structure's size and the whole has a budget. */
#include "imageio/exif.h"

#include <string.h>

/** More entries than any camera writes in one directory. */
#define MAX_ENTRIES 4096

// --- The structure being read

typedef struct _source_t
{
  const dt_input_t *input; ///< a file, or NULL for bytes
  const uint8_t *bytes;
  uint64_t size;
  gboolean big_endian, big_tiff;
  uint64_t budget; ///< bytes of values that may still be read
} _source_t;

static gboolean _read_at(const _source_t *source, uint64_t offset, void *data, size_t size)
{
  if(offset > source->size || size > source->size - offset) return FALSE;
  if(source->input) return dt_input_read(source->input, offset, data, size) == size;
  memcpy(data, source->bytes + offset, size);
  return TRUE;
}

uint64_t dt_exif_get_uint(const uint8_t *bytes, int size, gboolean big_endian)
{
  uint64_t value = 0;
  for(int i = 0; i < size; i++) value = value << 8 | bytes[big_endian ? i : size - 1 - i];
  return value;
}

void dt_exif_put_uint(uint8_t *bytes, int size, gboolean big_endian, uint64_t value)
{
  for(int i = 0; i < size; i++, value >>= 8) bytes[big_endian ? size - 1 - i : i] = (uint8_t)value;
}

size_t dt_exif_type_size(unsigned type)
{
  static const uint8_t sizes[] = { 0, 1, 1, 2, 4, 8, 1, 1, 2, 4, 8, 4, 8, 4, 0, 0, 8, 8, 8 };
  return type < sizeof(sizes) ? sizes[type] : 0;
}

size_t dt_exif_word_size(unsigned type)
{
  return type == 5 || type == 10 ? 4 : type == 7 ? 1 : dt_exif_type_size(type);
}

// --- Reading

/** Tags of a picture's own directory that say something about the picture rather than its storage: those of TIFF and
 * of Windows, of EXIF and TIFF/EP where programs put them beside their own directory, and of DNG about the camera.
 * What is not listed may be an offset into the old file, or turn a TIFF into something else for its readers. */
static gboolean _is_descriptive(uint16_t tag)
{
  static const uint16_t ranges[][2] = {
    { 269, 272 },     { 274, 274 },     { 282, 283 },     { 285, 285 },     { 296, 296 },
    { 305, 306 },     { 315, 316 },     { 700, 700 },     { 18246, 18246 }, { 18249, 18249 },
    { 32781, 32781 }, { 33432, 33434 }, { 33437, 33437 }, { 33723, 33723 }, { 34377, 34377 },
    { 34675, 34675 }, { 34850, 34850 }, { 34852, 34852 }, { 34855, 34869 }, { 36864, 36864 },
    { 36867, 36868 }, { 36880, 36882 }, { 37121, 37122 }, { 37377, 37398 }, { 37510, 37510 },
    { 37520, 37522 }, { 37888, 37893 }, { 40091, 40095 }, { 41483, 41495 }, { 41728, 41730 },
    { 41985, 41996 }, { 42016, 42016 }, { 42032, 42037 }, { 42240, 42240 }, { 50341, 50341 },
    { 50708, 50709 }, { 50735, 50736 }, { 50827, 50827 },
  };
  for(size_t i = 0; i < G_N_ELEMENTS(ranges); i++)
    if(tag >= ranges[i][0] && tag <= ranges[i][1]) return TRUE;
  return FALSE;
}

static gboolean _is_pointer(dt_ifd_t ifd, uint16_t tag)
{
  return (ifd == DT_IFD_MAIN && (tag == DT_TAG_EXIF_IFD || tag == DT_TAG_GPS_IFD))
         || (ifd == DT_IFD_EXIF && tag == DT_TAG_INTEROP_IFD);
}

static void _clear_entry(void *data)
{
  dt_exif_entry_t *entry = data;
  g_clear_pointer(&entry->value, g_bytes_unref);
}

dt_exif_t *dt_exif_create(void)
{
  dt_exif_t *exif = g_new0(dt_exif_t, 1);
  for(int i = 0; i < DT_IFD_COUNT; i++)
  {
    exif->ifds[i] = g_array_new(FALSE, TRUE, sizeof(dt_exif_entry_t));
    g_array_set_clear_func(exif->ifds[i], _clear_entry);
  }
  return exif;
}

dt_exif_t *dt_exif_copy(const dt_exif_t *exif)
{
  dt_exif_t *copy = dt_exif_create();
  if(!exif) return copy;
  copy->big_endian = exif->big_endian;
  for(int i = 0; i < DT_IFD_COUNT; i++)
  {
    g_array_append_vals(copy->ifds[i], exif->ifds[i]->data, exif->ifds[i]->len);
    for(guint k = 0; k < exif->ifds[i]->len; k++)
      g_bytes_ref(g_array_index(exif->ifds[i], dt_exif_entry_t, k).value);
  }
  return copy;
}

void dt_exif_destroy(dt_exif_t *exif)
{
  if(!exif) return;
  for(int i = 0; i < DT_IFD_COUNT; i++) g_array_unref(exif->ifds[i]);
  g_free(exif);
}

static void _read_ifd(_source_t *source, dt_exif_t *exif, dt_ifd_t ifd, uint64_t offset);

/** Follows a pointer to another directory; each kind is read once, so loops end. */
static void _follow(_source_t *source, dt_exif_t *exif, dt_ifd_t ifd, uint16_t tag, uint64_t offset)
{
  const dt_ifd_t target = ifd == DT_IFD_EXIF       ? DT_IFD_INTEROP
                          : tag == DT_TAG_EXIF_IFD ? DT_IFD_EXIF
                                                   : DT_IFD_GPS;
  if(exif->ifds[target]->len == 0) _read_ifd(source, exif, target, offset);
}

/** Adds one entry; damaged and unknown ones are left out. */
static void _read_value(_source_t *source, dt_exif_t *exif, dt_ifd_t ifd, dt_exif_entry_t entry,
                        uint64_t count)
{
  const size_t unit = dt_exif_type_size(entry.type);
  const gboolean is_profile = ifd == DT_IFD_MAIN && entry.tag == DT_TAG_ICC && unit && count;
  exif->lost_profile |= is_profile; // until its bytes are read
  if(unit == 0 || count == 0 || count > source->budget / unit || count > UINT32_MAX) return;
  const size_t size = (size_t)count * unit;
  uint8_t *value = g_try_malloc(size);
  if(!value) return;
  if(!_read_at(source, entry.origin, value, size))
  {
    g_free(value);
    return;
  }
  source->budget -= size;
  if(is_profile) exif->lost_profile = FALSE;
  entry.count = (uint32_t)count;
  entry.value = g_bytes_new_take(value, size);
  g_array_append_val(exif->ifds[ifd], entry);
}

static void _read_entry(_source_t *source, dt_exif_t *exif, dt_ifd_t ifd, uint64_t at)
{
  const int word = source->big_tiff ? 8 : 4; // of count and offset
  uint8_t raw[20];
  if(!_read_at(source, at, raw, source->big_tiff ? 20 : 12)) return;
  dt_exif_entry_t entry = { .tag = (uint16_t)dt_exif_get_uint(raw, 2, source->big_endian),
                            .type = (uint16_t)dt_exif_get_uint(raw + 2, 2, source->big_endian) };
  const uint64_t count = dt_exif_get_uint(raw + 4, word, source->big_endian);
  const uint64_t offset = dt_exif_get_uint(raw + 4 + word, word, source->big_endian);
  const size_t unit = dt_exif_type_size(entry.type);
  if(_is_pointer(ifd, entry.tag))
  {
    _follow(source, exif, ifd, entry.tag, offset);
    return;
  }
  if(ifd == DT_IFD_MAIN && !_is_descriptive(entry.tag)) return;
  const gboolean inside = unit && count <= (uint64_t)word / unit;
  entry.origin = inside ? at + 4 + (uint64_t)word : offset;
  _read_value(source, exif, ifd, entry, count);
}

int dt_exif_compare_entries(gconstpointer a, gconstpointer b)
{
  return (int)((const dt_exif_entry_t *)a)->tag - (int)((const dt_exif_entry_t *)b)->tag;
}

static void _read_ifd(_source_t *source, dt_exif_t *exif, dt_ifd_t ifd, uint64_t offset)
{
  const int head = source->big_tiff ? 8 : 2, step = source->big_tiff ? 20 : 12;
  uint8_t raw[8];
  if(offset == 0 || !_read_at(source, offset, raw, (size_t)head)) return;
  const uint64_t count = MIN(dt_exif_get_uint(raw, head, source->big_endian), (uint64_t)MAX_ENTRIES);
  for(uint64_t i = 0; i < count; i++)
    _read_entry(source, exif, ifd, offset + (uint64_t)head + i * (uint64_t)step);
  g_array_sort(exif->ifds[ifd], dt_exif_compare_entries);
}

static dt_exif_t *_read_structure(_source_t *source)
{
  uint8_t head[16] = { 0 };
  if(!_read_at(source, 0, head, 8)) return NULL;
  source->big_endian = head[0] == 'M';
  if(head[0] != head[1] || (head[0] != 'I' && head[0] != 'M')) return NULL;
  const uint64_t version = dt_exif_get_uint(head + 2, 2, source->big_endian);
  source->big_tiff = version == 43;
  if(!(version == 42 || (version == 43 && _read_at(source, 0, head, 16)))) return NULL;
  const uint64_t first = source->big_tiff ? dt_exif_get_uint(head + 8, 8, source->big_endian)
                                          : dt_exif_get_uint(head + 4, 4, source->big_endian);
  source->budget = MIN(source->size * 2, (uint64_t)DT_IMAGEIO_MAX_BLOB);
  dt_exif_t *exif = dt_exif_create();
  exif->big_endian = source->big_endian;
  _read_ifd(source, exif, DT_IFD_MAIN, first);
  return exif;
}

dt_exif_t *dt_exif_read_file(const dt_input_t *input)
{
  _source_t source = { .input = input, .size = input->size };
  return _read_structure(&source);
}

dt_exif_t *dt_exif_read_bytes(GBytes *bytes)
{
  gsize size;
  const uint8_t *data = g_bytes_get_data(bytes, &size);
  _source_t source = { .bytes = data, .size = size };
  return _read_structure(&source);
}

// --- Single entries

static int _find_index(const dt_exif_t *exif, dt_ifd_t ifd, uint16_t tag)
{
  for(guint i = 0; i < exif->ifds[ifd]->len; i++)
    if(g_array_index(exif->ifds[ifd], dt_exif_entry_t, i).tag == tag) return (int)i;
  return -1;
}

const dt_exif_entry_t *dt_exif_find(const dt_exif_t *exif, dt_ifd_t ifd, uint16_t tag)
{
  const int i = exif ? _find_index(exif, ifd, tag) : -1;
  return i < 0 ? NULL : &g_array_index(exif->ifds[ifd], dt_exif_entry_t, i);
}

double dt_exif_get_number(const dt_exif_t *exif, dt_ifd_t ifd, uint16_t tag, double otherwise)
{
  const dt_exif_entry_t *entry = dt_exif_find(exif, ifd, tag);
  if(!entry) return otherwise;
  const uint8_t *bytes = g_bytes_get_data(entry->value, NULL);
  const double first = (double)dt_exif_get_uint(bytes, (int)dt_exif_word_size(entry->type), exif->big_endian);
  if(entry->type == DT_TYPE_SHORT || entry->type == DT_TYPE_LONG) return first;
  if(entry->type != DT_TYPE_RATIONAL) return otherwise;
  const double second = (double)dt_exif_get_uint(bytes + 4, 4, exif->big_endian);
  return second > 0.0 ? first / second : otherwise;
}

void dt_exif_remove(dt_exif_t *exif, dt_ifd_t ifd, uint16_t tag)
{
  for(int i = _find_index(exif, ifd, tag); i >= 0; i = _find_index(exif, ifd, tag))
    g_array_remove_index(exif->ifds[ifd], (guint)i);
}

GBytes *dt_exif_steal(dt_exif_t *exif, dt_ifd_t ifd, uint16_t tag)
{
  const dt_exif_entry_t *entry = dt_exif_find(exif, ifd, tag);
  GBytes *value = entry ? g_bytes_ref(entry->value) : NULL;
  dt_exif_remove(exif, ifd, tag);
  return value;
}

void dt_exif_set_bytes(dt_exif_t *exif, dt_ifd_t ifd, uint16_t tag, uint16_t type, uint32_t count,
                       GBytes *value)
{
  dt_exif_remove(exif, ifd, tag);
  const dt_exif_entry_t entry = { .tag = tag, .type = type, .count = count, .value = value };
  g_array_append_val(exif->ifds[ifd], entry);
  g_array_sort(exif->ifds[ifd], dt_exif_compare_entries);
}

void dt_exif_set_number(dt_exif_t *exif, dt_ifd_t ifd, uint16_t tag, uint16_t type, uint32_t value)
{
  uint8_t raw[4];
  const size_t size = type == DT_TYPE_SHORT ? 2 : 4;
  dt_exif_put_uint(raw, (int)size, exif->big_endian, value);
  dt_exif_set_bytes(exif, ifd, tag, type, 1, g_bytes_new(raw, size));
}
