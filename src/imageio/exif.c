/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Reads the tag directories of TIFF and EXIF. Every offset comes from the file and may point
 * anywhere: each read is checked against the structure's size and the whole has a budget. */
#include "imageio/exif.h"

#include <string.h>

/** More entries than any camera writes in one directory. */
#define MAX_ENTRIES 4096
/** More directories than any raw has. */
#define MAX_PAGES 32

/** Tags that only this file knows by name: two that point to more directories, and a whole raw inside a DNG. */
enum
{
  TAG_SUB_IFDS = 330,
  TAG_FUJI_IFD = 0xf000,
  TAG_ORIGINAL_DATA = 50828,
};

// --- The structure being read

typedef struct _source_t
{
  const dt_input_t *input; ///< a file, or NULL for bytes
  const uint8_t *bytes;
  uint64_t base; ///< where the structure begins in a file
  uint64_t size;
  gboolean big_endian, big_tiff;
  uint64_t budget; ///< bytes of values that may still be read
} _source_t;

static gboolean _read_at(const _source_t *source, uint64_t offset, void *data, size_t size)
{
  if(offset > source->size || size > source->size - offset) return FALSE;
  if(source->input) return dt_input_read(source->input, source->base + offset, data, size) == size;
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

GArray *dt_exif_entries_new(void)
{
  GArray *entries = g_array_new(FALSE, TRUE, sizeof(dt_exif_entry_t));
  g_array_set_clear_func(entries, _clear_entry);
  return entries;
}

dt_exif_t *dt_exif_create(void)
{
  dt_exif_t *exif = g_new0(dt_exif_t, 1);
  for(int i = 0; i < DT_IFD_COUNT; i++) exif->ifds[i] = dt_exif_entries_new();
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

/** Reads the entry at @p at but for its value; where that stands is left for the caller to judge. */
static gboolean _parse_entry(const _source_t *source, uint64_t at, dt_exif_entry_t *entry, uint64_t *count,
                             uint64_t *offset)
{
  const int word = source->big_tiff ? 8 : 4; // of count and offset
  uint8_t raw[20];
  if(!_read_at(source, at, raw, source->big_tiff ? 20 : 12)) return FALSE;
  *entry = (dt_exif_entry_t){ .tag = (uint16_t)dt_exif_get_uint(raw, 2, source->big_endian),
                              .type = (uint16_t)dt_exif_get_uint(raw + 2, 2, source->big_endian) };
  *count = dt_exif_get_uint(raw + 4, word, source->big_endian);
  *offset = dt_exif_get_uint(raw + 4 + word, word, source->big_endian);
  const size_t unit = dt_exif_type_size(entry->type);
  entry->origin = unit && *count <= (uint64_t)word / unit ? at + 4 + (uint64_t)word : *offset;
  return TRUE;
}

/** Adds one entry; FALSE for damaged and unknown ones, which are left out. */
static gboolean _read_value(_source_t *source, GArray *entries, dt_exif_entry_t entry, uint64_t count)
{
  const size_t unit = dt_exif_type_size(entry.type);
  if(unit == 0 || count == 0 || count > source->budget / unit || count > UINT32_MAX) return FALSE;
  const size_t size = (size_t)count * unit;
  uint8_t *value = g_try_malloc(size);
  if(!value || !_read_at(source, entry.origin, value, size))
  {
    g_free(value);
    return FALSE;
  }
  source->budget -= size;
  entry.count = (uint32_t)count;
  entry.value = g_bytes_new_take(value, size);
  g_array_append_val(entries, entry);
  return TRUE;
}

static void _read_entry(_source_t *source, dt_exif_t *exif, dt_ifd_t ifd, uint64_t at)
{
  dt_exif_entry_t entry;
  uint64_t count, offset;
  if(!_parse_entry(source, at, &entry, &count, &offset)) return;
  if(_is_pointer(ifd, entry.tag))
  {
    _follow(source, exif, ifd, entry.tag, offset);
    return;
  }
  if(ifd == DT_IFD_MAIN && !_is_descriptive(entry.tag)) return;
  const gboolean is_profile = ifd == DT_IFD_MAIN && entry.tag == DT_TAG_ICC && count;
  if(!_read_value(source, exif->ifds[ifd], entry, count) && is_profile)
    exif->lost_profile = dt_exif_type_size(entry.type) != 0;
}

int dt_exif_compare_entries(gconstpointer a, gconstpointer b)
{
  return (int)((const dt_exif_entry_t *)a)->tag - (int)((const dt_exif_entry_t *)b)->tag;
}

/** Entries of the directory at @p offset, 0 when there is none; where the first of them stands, and how far apart. */
static uint64_t _count_entries(const _source_t *source, uint64_t offset, uint64_t *first, uint64_t *step)
{
  const int head = source->big_tiff ? 8 : 2;
  uint8_t raw[8];
  if(offset == 0 || !_read_at(source, offset, raw, (size_t)head)) return 0;
  *first = offset + (uint64_t)head;
  *step = source->big_tiff ? 20 : 12;
  return MIN(dt_exif_get_uint(raw, head, source->big_endian), (uint64_t)MAX_ENTRIES);
}

static void _read_ifd(_source_t *source, dt_exif_t *exif, dt_ifd_t ifd, uint64_t offset)
{
  uint64_t first, step;
  const uint64_t count = _count_entries(source, offset, &first, &step);
  for(uint64_t i = 0; i < count; i++) _read_entry(source, exif, ifd, first + i * step);
  g_array_sort(exif->ifds[ifd], dt_exif_compare_entries);
}

/** Whether a structure of this version number is read: TIFF, BigTIFF, and TIFF by other names, as cameras of Olympus
 * ("RO", "RS", as a number in the structure's byte order) and Panasonic write it. */
static gboolean _is_version(uint64_t version)
{
  return version == 42 || version == 43 || version == 0x4f52 || version == 0x5352 || version == 0x55;
}

/** Reads the structure's head; FALSE when it is none. @p first receives the place of its first directory. */
static gboolean _open_structure(_source_t *source, uint64_t *first)
{
  uint8_t head[16] = { 0 };
  if(!_read_at(source, 0, head, 8)) return FALSE;
  source->big_endian = head[0] == 'M';
  if(head[0] != head[1] || (head[0] != 'I' && head[0] != 'M')) return FALSE;
  const uint64_t version = dt_exif_get_uint(head + 2, 2, source->big_endian);
  source->big_tiff = version == 43;
  if(!_is_version(version) || (source->big_tiff && !_read_at(source, 0, head, 16))) return FALSE;
  *first = source->big_tiff ? dt_exif_get_uint(head + 8, 8, source->big_endian)
                            : dt_exif_get_uint(head + 4, 4, source->big_endian);
  source->budget = MIN(source->size * 2, (uint64_t)DT_IMAGEIO_MAX_BLOB);
  return TRUE;
}

static dt_exif_t *_read_structure(_source_t *source)
{
  uint64_t first;
  if(!_open_structure(source, &first)) return NULL;
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

// --- Pages

/** Places of directories that are to be read, each once. */
static void _add_place(GArray *places, uint64_t place)
{
  for(guint i = 0; i < places->len; i++)
    if(g_array_index(places, uint64_t, i) == place) return;
  if(place != 0 && places->len < MAX_PAGES) g_array_append_val(places, place);
}

/** Notes where the directories are that an entry points to. */
static void _add_places(const _source_t *source, GArray *places, const dt_exif_entry_t *entry)
{
  const int word = (int)dt_exif_type_size(entry->type);
  if((entry->tag != TAG_SUB_IFDS && entry->tag != TAG_FUJI_IFD) || word < 4) return;
  const uint8_t *value = g_bytes_get_data(entry->value, NULL);
  for(uint32_t i = 0; i < MIN(entry->count, (uint32_t)MAX_PAGES); i++)
    _add_place(places, dt_exif_get_uint(value + (size_t)i * (size_t)word, word, source->big_endian));
}

/** Reads an entry of a page. One whose value is not there, or only takes memory, stays without. */
static void _read_page_entry(_source_t *source, GArray *entries, GArray *places, uint64_t at)
{
  dt_exif_entry_t entry;
  uint64_t count, target;
  if(!_parse_entry(source, at, &entry, &count, &target)) return;
  if(entry.tag != TAG_ORIGINAL_DATA && _read_value(source, entries, entry, count))
  {
    _add_places(source, places, &g_array_index(entries, dt_exif_entry_t, entries->len - 1));
    return;
  }
  entry.count = (uint32_t)MIN(count, (uint64_t)UINT32_MAX);
  g_array_append_val(entries, entry);
}

/** One directory with nothing left out; notes which others it points to. */
static GArray *_read_page(_source_t *source, GArray *places, uint64_t offset)
{
  GArray *entries = dt_exif_entries_new();
  const int word = source->big_tiff ? 8 : 4;
  uint64_t first, step;
  const uint64_t count = _count_entries(source, offset, &first, &step);
  for(uint64_t i = 0; i < count; i++) _read_page_entry(source, entries, places, first + i * step);
  uint8_t next[8];
  if(count && _read_at(source, first + count * step, next, (size_t)word))
    _add_place(places, dt_exif_get_uint(next, word, source->big_endian));
  g_array_sort(entries, dt_exif_compare_entries);
  return entries;
}

GPtrArray *dt_exif_read_pages(const dt_input_t *input, uint64_t base, gboolean *big_endian)
{
  _source_t source = { .input = input, .base = base, .size = base < input->size ? input->size - base : 0 };
  GPtrArray *pages = g_ptr_array_new_with_free_func((GDestroyNotify)g_array_unref);
  uint64_t first;
  if(!_open_structure(&source, &first)) return pages;
  GArray *places = g_array_new(FALSE, FALSE, sizeof(uint64_t));
  _add_place(places, first);
  for(guint i = 0; i < places->len; i++) // grows on the way
    g_ptr_array_add(pages, _read_page(&source, places, g_array_index(places, uint64_t, i)));
  g_array_unref(places);
  *big_endian = source.big_endian;
  return pages;
}

// --- Single entries

const dt_exif_entry_t *dt_exif_find_in(const GArray *entries, uint16_t tag)
{
  for(guint i = 0; entries && i < entries->len; i++)
  {
    const dt_exif_entry_t *entry = &g_array_index(entries, dt_exif_entry_t, i);
    if(entry->tag == tag && entry->value) return entry;
  }
  return NULL;
}

const dt_exif_entry_t *dt_exif_find(const dt_exif_t *exif, dt_ifd_t ifd, uint16_t tag)
{
  return exif ? dt_exif_find_in(exif->ifds[ifd], tag) : NULL;
}

double dt_exif_entry_number(const dt_exif_entry_t *entry, uint32_t i, gboolean big_endian, double otherwise)
{
  if(!entry || i >= entry->count) return otherwise;
  const int word = (int)dt_exif_word_size(entry->type);
  const uint8_t *bytes =
      (const uint8_t *)g_bytes_get_data(entry->value, NULL) + i * dt_exif_type_size(entry->type);
  const uint64_t first = dt_exif_get_uint(bytes, word, big_endian);
  switch(entry->type)
  {
  case DT_TYPE_BYTE:
  case DT_TYPE_SHORT:
  case DT_TYPE_LONG: return (double)first;
  case DT_TYPE_RATIONAL:
  {
    const double under = (double)dt_exif_get_uint(bytes + 4, 4, big_endian);
    return under > 0.0 ? (double)first / under : otherwise;
  }
  case DT_TYPE_SRATIONAL:
  {
    const double under = (double)(int32_t)dt_exif_get_uint(bytes + 4, 4, big_endian);
    return under != 0.0 ? (double)(int32_t)first / under : otherwise;
  }
  default: return otherwise;
  }
}

double dt_exif_get_number(const dt_exif_t *exif, dt_ifd_t ifd, uint16_t tag, double otherwise)
{
  return dt_exif_entry_number(dt_exif_find(exif, ifd, tag), 0, exif && exif->big_endian, otherwise);
}

void dt_exif_remove(dt_exif_t *exif, dt_ifd_t ifd, uint16_t tag)
{
  for(guint i = exif->ifds[ifd]->len; i-- > 0;)
    if(g_array_index(exif->ifds[ifd], dt_exif_entry_t, i).tag == tag)
      g_array_remove_index(exif->ifds[ifd], i);
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
