/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Reads and lays out the tag directories of TIFF and EXIF. Every offset comes from the file and may
 * point anywhere: each read is checked against the structure's size and the whole has a budget. */
#include "imageio/exif.h"

#include <string.h>

/** More entries than any camera writes in one directory. */
#define MAX_ENTRIES 4096
#define INTEROP_ENTRIES 64

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

static uint64_t _get_number(const uint8_t *bytes, int size, gboolean big_endian)
{
  uint64_t value = 0;
  for(int i = 0; i < size; i++) value = value << 8 | bytes[big_endian ? i : size - 1 - i];
  return value;
}

static void _put_number(uint8_t *bytes, int size, gboolean big_endian, uint64_t value)
{
  for(int i = 0; i < size; i++, value >>= 8) bytes[big_endian ? size - 1 - i : i] = (uint8_t)value;
}

/** Bytes of one value of a TIFF type, 0 for an unknown type. */
static size_t _get_type_size(unsigned type)
{
  static const uint8_t sizes[] = { 0, 1, 1, 2, 4, 8, 1, 1, 2, 4, 8, 4, 8, 4, 0, 0, 8, 8, 8 };
  return type < sizeof(sizes) ? sizes[type] : 0;
}

/** Bytes of the numbers a value consists of: what has to be turned round between byte orders. */
static size_t _get_word_size(unsigned type)
{
  return type == 5 || type == 10 ? 4 : type == 7 ? 1 : _get_type_size(type);
}

// --- Reading

/** Tags of a picture's own directory that say something about the picture rather than its storage. */
static gboolean _is_descriptive(uint16_t tag)
{
  static const uint16_t tags[]
      = { 269,   270,   271,   272,   274,   282,   283,   285,   296,   305,   306,   315,   316,
          700,   18246, 18249, 33432, 33723, 34377, 34675, 40091, 40092, 40093, 40094, 40095 };
  for(size_t i = 0; i < G_N_ELEMENTS(tags); i++)
    if(tags[i] == tag) return TRUE;
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
  const dt_ifd_t target = ifd == DT_IFD_EXIF        ? DT_IFD_INTEROP
                          : tag == DT_TAG_EXIF_IFD ? DT_IFD_EXIF
                                                   : DT_IFD_GPS;
  if(exif->ifds[target]->len == 0) _read_ifd(source, exif, target, offset);
}

/** Adds one entry; damaged and unknown ones are left out. */
static void _read_value(_source_t *source, dt_exif_t *exif, dt_ifd_t ifd, dt_exif_entry_t entry,
                        uint64_t count)
{
  const size_t unit = _get_type_size(entry.type);
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
  entry.count = (uint32_t)count;
  entry.value = g_bytes_new_take(value, size);
  g_array_append_val(exif->ifds[ifd], entry);
}

static void _read_entry(_source_t *source, dt_exif_t *exif, dt_ifd_t ifd, uint64_t at)
{
  const int word = source->big_tiff ? 8 : 4; // of count and offset
  uint8_t raw[20];
  if(!_read_at(source, at, raw, source->big_tiff ? 20 : 12)) return;
  dt_exif_entry_t entry = { .tag = (uint16_t)_get_number(raw, 2, source->big_endian),
                            .type = (uint16_t)_get_number(raw + 2, 2, source->big_endian) };
  const uint64_t count = _get_number(raw + 4, word, source->big_endian);
  const uint64_t offset = _get_number(raw + 4 + word, word, source->big_endian);
  const size_t unit = _get_type_size(entry.type);
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

static int _compare_entries(gconstpointer a, gconstpointer b)
{
  return (int)((const dt_exif_entry_t *)a)->tag - (int)((const dt_exif_entry_t *)b)->tag;
}

static void _read_ifd(_source_t *source, dt_exif_t *exif, dt_ifd_t ifd, uint64_t offset)
{
  const int head = source->big_tiff ? 8 : 2, step = source->big_tiff ? 20 : 12;
  uint8_t raw[8];
  if(offset == 0 || !_read_at(source, offset, raw, (size_t)head)) return;
  const uint64_t count = MIN(_get_number(raw, head, source->big_endian), (uint64_t)MAX_ENTRIES);
  for(uint64_t i = 0; i < count; i++)
    _read_entry(source, exif, ifd, offset + (uint64_t)head + i * (uint64_t)step);
  g_array_sort(exif->ifds[ifd], _compare_entries);
}

static dt_exif_t *_read_structure(_source_t *source)
{
  uint8_t head[16] = { 0 };
  if(!_read_at(source, 0, head, 8)) return NULL;
  source->big_endian = head[0] == 'M';
  if(head[0] != head[1] || (head[0] != 'I' && head[0] != 'M')) return NULL;
  const uint64_t version = _get_number(head + 2, 2, source->big_endian);
  source->big_tiff = version == 43;
  if(!(version == 42 || (version == 43 && _read_at(source, 0, head, 16)))) return NULL;
  const uint64_t first = source->big_tiff ? _get_number(head + 8, 8, source->big_endian)
                                          : _get_number(head + 4, 4, source->big_endian);
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
  const double first
      = (double)_get_number(bytes, (int)_get_word_size(entry->type), exif->big_endian);
  if(entry->type == DT_TYPE_SHORT || entry->type == DT_TYPE_LONG) return first;
  if(entry->type != DT_TYPE_RATIONAL) return otherwise;
  const double second = (double)_get_number(bytes + 4, 4, exif->big_endian);
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

void dt_exif_set_number(dt_exif_t *exif, dt_ifd_t ifd, uint16_t tag, uint16_t type, uint32_t value)
{
  uint8_t raw[4];
  const size_t size = type == DT_TYPE_SHORT ? 2 : 4;
  _put_number(raw, (int)size, exif->big_endian, value);
  dt_exif_remove(exif, ifd, tag);
  const dt_exif_entry_t entry
      = { .tag = tag, .type = type, .count = 1, .value = g_bytes_new(raw, size) };
  g_array_append_val(exif->ifds[ifd], entry);
  g_array_sort(exif->ifds[ifd], _compare_entries);
}

// --- Maker notes

/** Where the directory of a maker note begins if its offsets count from the start of the TIFF
 * structure; -1 for notes that bring their own base or are no directory at all. */
static int _find_note_ifd(const uint8_t *note, size_t size)
{
  static const struct
  {
    const char *head;
    int length, ifd;
  } known[] = { { "SONY DSC \0\0\0", 12, 12 }, { "SONY CAM \0\0\0", 12, 12 },
                { "Panasonic\0\0\0", 12, 12 }, { "OLYMP\0", 6, 8 },
                { "AOC\0", 4, 6 },             { "Nikon\0\1", 7, 8 },
                { "LEICA\0\0\0", 8, 8 } };
  for(size_t i = 0; i < G_N_ELEMENTS(known); i++)
    if(size > (size_t)known[i].length && memcmp(note, known[i].head, (size_t)known[i].length) == 0)
      return known[i].ifd;
  // Canon and others begin with the directory itself: a small count, not a letter
  return size > 2 && note[0] < 128 && note[1] < 128 && (note[0] == 0 || note[1] == 0) ? 0 : -1;
}

static gboolean _has_own_base(const uint8_t *note, size_t size)
{
  return _find_note_ifd(note, size) < 0;
}

/** One entry of a note's directory: checks that its value lies in the note, and moves it when asked.
 * Returns FALSE when the entry is not of the expected kind. */
static gboolean _move_note_entry(uint8_t *entry, gboolean big_endian, uint64_t origin, size_t size,
                                 uint64_t target, gboolean move)
{
  const size_t unit = _get_type_size((unsigned)_get_number(entry + 2, 2, big_endian));
  const uint64_t length = _get_number(entry + 4, 4, big_endian) * unit;
  const uint64_t offset = _get_number(entry + 8, 4, big_endian);
  if(unit == 0) return FALSE;
  if(length <= 4) return TRUE;
  if(offset < origin || offset - origin > size || length > size - (offset - origin)) return FALSE;
  if(move) _put_number(entry + 8, 4, big_endian, offset - origin + target);
  return TRUE;
}

/** Adapts the offsets inside a maker note that moves from @p origin to @p target. Only when every
 * one of them is understood; otherwise the note is carried as it is, as most programs do. */
static void _move_maker_note(uint8_t *note, size_t size, gboolean big_endian, uint64_t origin,
                             uint64_t target)
{
  const int ifd = _find_note_ifd(note, size);
  if(ifd < 0 || origin == target || target > UINT32_MAX - size || (size_t)ifd + 2 > size) return;
  const size_t count = (size_t)_get_number(note + ifd, 2, big_endian);
  if(count == 0 || (size_t)ifd + 2 + count * 12 > size) return;
  for(int move = 0; move < 2; move++)
    for(size_t i = 0; i < count; i++)
      if(!_move_note_entry(note + ifd + 2 + i * 12, big_endian, origin, size, target, move == 1))
        return;
}

// --- Laying out

/** A buffer being filled that stands at @c base of the target structure. */
typedef struct _target_t
{
  GByteArray *bytes;
  uint64_t base;
  gboolean big_endian, big_tiff;
  dt_exif_layout_t *layout;
} _target_t;

static void _append_number(_target_t *target, int size, uint64_t value)
{
  uint8_t raw[8];
  _put_number(raw, size, target->big_endian, value);
  g_byte_array_append(target->bytes, raw, (guint)size);
}

static void _align(_target_t *target)
{
  static const uint8_t zeros[8] = { 0 };
  g_byte_array_append(target->bytes, zeros, (8 - target->bytes->len % 8) % 8);
}

/** A copy of an entry's value for the target: byte order and maker note offsets adapted. */
static GByteArray *_copy_value(const dt_exif_t *exif, const dt_exif_entry_t *entry,
                               const _target_t *target, uint64_t position)
{
  gsize size;
  const uint8_t *value = g_bytes_get_data(entry->value, &size);
  GByteArray *copy = g_byte_array_sized_new((guint)size);
  g_byte_array_append(copy, value, (guint)size);
  const size_t word = _get_word_size(entry->type);
  if(exif->big_endian != target->big_endian && word > 1)
    for(size_t i = 0; i + word <= size; i += word)
      _put_number(copy->data + i, (int)word, target->big_endian,
                  _get_number(value + i, (int)word, exif->big_endian));
  if(entry->tag == DT_TAG_MAKER_NOTE && exif->big_endian == target->big_endian)
    _move_maker_note(copy->data, size, exif->big_endian, entry->origin, position);
  return copy;
}

/** Whether @p entry can be said in the target. */
static gboolean _is_possible(const dt_exif_t *exif, const dt_exif_entry_t *entry,
                             const _target_t *target)
{
  gsize size;
  const uint8_t *value = g_bytes_get_data(entry->value, &size);
  if(!target->big_tiff && entry->type >= 16) return FALSE; // 64-bit types
  if(entry->tag != DT_TAG_MAKER_NOTE || exif->big_endian == target->big_endian
     || _has_own_base(value, size))
    return TRUE;
  target->layout->lost_maker_note = TRUE;
  return FALSE;
}

/** Writes a directory at the end of the target, its values behind it. @p pointers are filled in by
 * the caller later; returns the directory's offset in the buffer. */
static size_t _append_ifd(const dt_exif_t *exif, dt_ifd_t ifd, const uint16_t *pointers,
                          _target_t *target)
{
  const GArray *entries = exif->ifds[ifd];
  const int word = target->big_tiff ? 8 : 4;
  GArray *merged = g_array_new(FALSE, FALSE, sizeof(dt_exif_entry_t));
  for(guint i = 0; i < entries->len; i++)
  {
    const dt_exif_entry_t *entry = &g_array_index(entries, dt_exif_entry_t, i);
    if(_is_possible(exif, entry, target)) g_array_append_val(merged, *entry);
  }
  for(; *pointers; pointers++)
  {
    const dt_exif_entry_t pointer
        = { .tag = *pointers, .type = target->big_tiff ? 18 : DT_TYPE_LONG, .count = 1 };
    g_array_append_val(merged, pointer);
  }
  g_array_sort(merged, _compare_entries);

  _align(target);
  const size_t start = target->bytes->len;
  const size_t table = start + (target->big_tiff ? 8 : 2);
  const size_t step = (size_t)(4 + 2 * word);
  _append_number(target, target->big_tiff ? 8 : 2, merged->len);
  for(guint i = 0; i < merged->len; i++)
  {
    const dt_exif_entry_t *entry = &g_array_index(merged, dt_exif_entry_t, i);
    _append_number(target, 2, entry->tag);
    _append_number(target, 2, entry->type);
    _append_number(target, word, entry->count);
    _append_number(target, word, 0);
  }
  _append_number(target, word, 0); // no next directory

  for(guint i = 0; i < merged->len; i++)
  {
    const dt_exif_entry_t *entry = &g_array_index(merged, dt_exif_entry_t, i);
    if(!entry->value) continue;
    const gboolean inside = g_bytes_get_size(entry->value) <= (gsize)word;
    if(!inside) _align(target);
    const uint64_t position = target->base + target->bytes->len;
    GByteArray *value = _copy_value(exif, entry, target, position);
    const size_t slot = table + i * step + 4 + (size_t)word;
    if(inside)
      memcpy(target->bytes->data + slot, value->data, value->len);
    else
    {
      g_byte_array_append(target->bytes, value->data, value->len);
      _put_number(target->bytes->data + slot, word, target->big_endian, position);
    }
    g_byte_array_unref(value);
  }
  g_array_unref(merged);
  return start;
}

/** Points the entry @p tag of the directory at @p start to @p offset of the structure. */
static void _set_pointer(_target_t *target, size_t start, uint16_t tag, uint64_t offset)
{
  const int word = target->big_tiff ? 8 : 4, head = target->big_tiff ? 8 : 2;
  const size_t step = (size_t)(4 + 2 * word);
  uint8_t *data = target->bytes->data + start;
  const size_t count = (size_t)_get_number(data, head, target->big_endian);
  for(size_t i = 0; i < count; i++)
  {
    uint8_t *entry = data + head + i * step;
    if(_get_number(entry, 2, target->big_endian) == tag)
      _put_number(entry + 4 + word, word, target->big_endian, offset);
  }
}

/** Appends EXIF with interoperability below it, and GPS. */
static void _append_subdirectories(const dt_exif_t *exif, _target_t *target)
{
  const gboolean interop = exif->ifds[DT_IFD_INTEROP]->len > 0;
  const uint16_t none[] = { 0 }, below[] = { interop ? DT_TAG_INTEROP_IFD : 0, 0 };
  if(exif->ifds[DT_IFD_EXIF]->len > 0 || interop)
  {
    const size_t start = _append_ifd(exif, DT_IFD_EXIF, below, target);
    target->layout->exif = target->base + start;
    if(interop)
    {
      const size_t at = _append_ifd(exif, DT_IFD_INTEROP, none, target);
      _set_pointer(target, start, DT_TAG_INTEROP_IFD, target->base + at);
    }
  }
  if(exif->ifds[DT_IFD_GPS]->len > 0)
    target->layout->gps = target->base + _append_ifd(exif, DT_IFD_GPS, none, target);
}

GBytes *dt_exif_layout_for_tiff(const dt_exif_t *exif, uint64_t base, gboolean big_tiff,
                                dt_exif_layout_t *layout)
{
  *layout = (dt_exif_layout_t){ 0 };
  _target_t target = { .bytes = g_byte_array_new(),
                       .base = base,
                       .big_endian = G_BYTE_ORDER == G_BIG_ENDIAN,
                       .big_tiff = big_tiff,
                       .layout = layout };
  _append_subdirectories(exif, &target);
  GBytes *bytes = g_byte_array_free_to_bytes(target.bytes);
  if(layout->exif || layout->gps) return bytes;
  g_bytes_unref(bytes);
  return NULL;
}

GBytes *dt_exif_to_bytes(const dt_exif_t *exif)
{
  dt_exif_layout_t layout = { 0 };
  _target_t target = { .bytes = g_byte_array_new(), .big_endian = exif->big_endian, .layout = &layout };
  const gboolean has_exif = exif->ifds[DT_IFD_EXIF]->len + exif->ifds[DT_IFD_INTEROP]->len > 0;
  const gboolean has_gps = exif->ifds[DT_IFD_GPS]->len > 0;
  const uint16_t pointers[] = { has_exif  ? DT_TAG_EXIF_IFD
                                : has_gps ? DT_TAG_GPS_IFD
                                          : 0,
                                has_exif && has_gps ? DT_TAG_GPS_IFD : 0, 0 };
  g_byte_array_append(target.bytes, (const guint8 *)(exif->big_endian ? "MM" : "II"), 2);
  _append_number(&target, 2, 42);
  _append_number(&target, 4, 8);
  const size_t start = _append_ifd(exif, DT_IFD_MAIN, pointers, &target);
  _append_subdirectories(exif, &target);
  if(layout.exif) _set_pointer(&target, start, DT_TAG_EXIF_IFD, layout.exif);
  if(layout.gps) _set_pointer(&target, start, DT_TAG_GPS_IFD, layout.gps);
  return g_byte_array_free_to_bytes(target.bytes);
}
