/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Lays out tag directories for a new place: as the structure that JPEG and PNG carry, or as pieces
 * of a TIFF or BigTIFF file. Values go along byte for byte, turned round where the byte order
 * changes; maker notes whose offsets count from the start of the file are adapted. */
#include "imageio/exif.h"

#include <string.h>

/** The first of TIFF's types that only BigTIFF knows, and the one of its pointers. */
#define TYPE_LONG8 16
#define TYPE_IFD8 18

#define TAG_USER_COMMENT 37510

// --- Maker notes

/** Where the directory of a maker note begins if its offsets count from the start of the TIFF
 * structure; -1 for notes that bring their own base or are no directory at all. */
static int _find_note_ifd(const uint8_t *note, size_t size)
{
  static const struct
  {
    const char *head;
    int length, ifd;
  } known[] = { { "SONY DSC \0\0\0", 12, 12 },
                { "SONY CAM \0\0\0", 12, 12 },
                { "Panasonic\0\0\0", 12, 12 },
                { "OLYMP\0", 6, 8 },
                { "AOC\0", 4, 6 },
                { "Nikon\0\1", 7, 8 },
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
  const size_t unit = dt_exif_type_size((unsigned)dt_exif_get_uint(entry + 2, 2, big_endian));
  const uint64_t length = dt_exif_get_uint(entry + 4, 4, big_endian) * unit;
  const uint64_t offset = dt_exif_get_uint(entry + 8, 4, big_endian);
  if(unit == 0) return FALSE;
  if(length <= 4) return TRUE;
  if(offset < origin || offset - origin > size || length > size - (offset - origin)) return FALSE;
  if(move) dt_exif_put_uint(entry + 8, 4, big_endian, offset - origin + target);
  return TRUE;
}

/** Adapts the offsets inside a maker note that moves from @p origin to @p target. Only when every
 * one of them is understood; otherwise the note is carried as it is, as most programs do. */
static void _move_maker_note(uint8_t *note, size_t size, gboolean big_endian, uint64_t origin,
                             uint64_t target)
{
  const int ifd = _find_note_ifd(note, size);
  if(ifd < 0 || origin == target || target > UINT32_MAX - size || (size_t)ifd + 2 > size) return;
  const size_t count = (size_t)dt_exif_get_uint(note + ifd, 2, big_endian);
  if(count == 0 || (size_t)ifd + 2 + count * 12 > size) return;
  for(int move = 0; move < 2; move++)
    for(size_t i = 0; i < count; i++)
      if(!_move_note_entry(note + ifd + 2 + i * 12, big_endian, origin, size, target, move == 1)) return;
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
  dt_exif_put_uint(raw, size, target->big_endian, value);
  g_byte_array_append(target->bytes, raw, (guint)size);
}

static void _align(_target_t *target)
{
  static const uint8_t zeros[8] = { 0 };
  g_byte_array_append(target->bytes, zeros, (8 - target->bytes->len % 8) % 8);
}

/** The bytes before the numbers of a value, and how large these are. A comment in Unicode is declared as bytes, but its
 * letters, behind eight bytes with the name of the code, stand in the order of the structure. */
static size_t _find_words(const dt_exif_entry_t *entry, size_t *word)
{
  gsize size;
  const uint8_t *value = g_bytes_get_data(entry->value, &size);
  *word = dt_exif_word_size(entry->type);
  if(entry->tag != TAG_USER_COMMENT || *word != 1 || size < 8 || memcmp(value, "UNICODE", 8) != 0) return 0;
  *word = 2;
  return 8;
}

/** A copy of an entry's value for the target: byte order and maker note offsets adapted. */
static GByteArray *_copy_value(const dt_exif_t *exif, const dt_exif_entry_t *entry, const _target_t *target,
                               uint64_t position)
{
  gsize size;
  const uint8_t *value = g_bytes_get_data(entry->value, &size);
  GByteArray *copy = g_byte_array_sized_new((guint)size);
  g_byte_array_append(copy, value, (guint)size);
  size_t word;
  const size_t before = _find_words(entry, &word);
  if(exif->big_endian != target->big_endian && word > 1)
    for(size_t i = before; i + word <= size; i += word)
      dt_exif_put_uint(copy->data + i, (int)word, target->big_endian,
                       dt_exif_get_uint(value + i, (int)word, exif->big_endian));
  if(entry->tag == DT_TAG_MAKER_NOTE && exif->big_endian == target->big_endian)
    _move_maker_note(copy->data, size, exif->big_endian, entry->origin, position);
  return copy;
}

/** Whether @p entry can be said in the target. */
static gboolean _is_possible(const dt_exif_t *exif, const dt_exif_entry_t *entry, const _target_t *target)
{
  gsize size;
  const uint8_t *value = g_bytes_get_data(entry->value, &size);
  if(!target->big_tiff && entry->type >= TYPE_LONG8) return FALSE;
  if(entry->tag != DT_TAG_MAKER_NOTE || exif->big_endian == target->big_endian || _has_own_base(value, size))
    return TRUE;
  target->layout->lost_maker_note = TRUE;
  return FALSE;
}

/** The entries of a directory as the target has them: the possible ones and @p pointers. */
static GArray *_merge_entries(const dt_exif_t *exif, dt_ifd_t ifd, const uint16_t *pointers,
                              const _target_t *target)
{
  const GArray *entries = exif->ifds[ifd];
  GArray *merged = g_array_new(FALSE, FALSE, sizeof(dt_exif_entry_t));
  for(guint i = 0; i < entries->len; i++)
  {
    const dt_exif_entry_t *entry = &g_array_index(entries, dt_exif_entry_t, i);
    if(_is_possible(exif, entry, target)) g_array_append_val(merged, *entry);
  }
  for(; *pointers; pointers++)
  {
    const dt_exif_entry_t pointer = { .tag = *pointers,
                                      .type = target->big_tiff ? TYPE_IFD8 : DT_TYPE_LONG,
                                      .count = 1 };
    g_array_append_val(merged, pointer);
  }
  g_array_sort(merged, dt_exif_compare_entries);
  return merged;
}

/** The directory itself; where values or offsets belong, zeros. */
static void _append_table(const GArray *entries, _target_t *target)
{
  const int word = target->big_tiff ? 8 : 4;
  _append_number(target, target->big_tiff ? 8 : 2, entries->len);
  for(guint i = 0; i < entries->len; i++)
  {
    const dt_exif_entry_t *entry = &g_array_index(entries, dt_exif_entry_t, i);
    _append_number(target, 2, entry->tag);
    _append_number(target, 2, entry->type);
    _append_number(target, word, entry->count);
    _append_number(target, word, 0);
  }
  _append_number(target, word, 0); // no next directory
}

/** Puts one value into its @p slot of the table, or behind everything with its offset there. */
static void _append_value(const dt_exif_t *exif, const dt_exif_entry_t *entry, size_t slot, _target_t *target)
{
  const int word = target->big_tiff ? 8 : 4;
  const gboolean inside = g_bytes_get_size(entry->value) <= (gsize)word;
  if(!inside) _align(target);
  const uint64_t position = target->base + target->bytes->len;
  GByteArray *value = _copy_value(exif, entry, target, position);
  if(inside)
    memcpy(target->bytes->data + slot, value->data, value->len);
  else
  {
    g_byte_array_append(target->bytes, value->data, value->len);
    dt_exif_put_uint(target->bytes->data + slot, word, target->big_endian, position);
  }
  g_byte_array_unref(value);
}

/** Writes a directory at the end of the target, its values behind it. @p pointers are filled in by
 * the caller later; returns the directory's offset in the buffer. */
static size_t _append_ifd(const dt_exif_t *exif, dt_ifd_t ifd, const uint16_t *pointers, _target_t *target)
{
  GArray *entries = _merge_entries(exif, ifd, pointers, target);
  _align(target);
  const size_t start = target->bytes->len;
  _append_table(entries, target);
  const size_t head = target->big_tiff ? 8 : 2, word = target->big_tiff ? 8 : 4;
  for(guint i = 0; i < entries->len; i++)
  {
    const dt_exif_entry_t *entry = &g_array_index(entries, dt_exif_entry_t, i);
    if(entry->value) _append_value(exif, entry, start + head + i * (4 + 2 * word) + 4 + word, target);
  }
  g_array_unref(entries);
  return start;
}

/** Points the entry @p tag of the directory at @p start to @p offset of the structure. */
static void _set_pointer(_target_t *target, size_t start, uint16_t tag, uint64_t offset)
{
  const int word = target->big_tiff ? 8 : 4, head = target->big_tiff ? 8 : 2;
  const size_t step = target->big_tiff ? 20 : 12;
  uint8_t *data = target->bytes->data + start;
  const size_t count = (size_t)dt_exif_get_uint(data, head, target->big_endian);
  for(size_t i = 0; i < count; i++)
  {
    uint8_t *entry = data + head + i * step;
    if(dt_exif_get_uint(entry, 2, target->big_endian) == tag)
      dt_exif_put_uint(entry + 4 + word, word, target->big_endian, offset);
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

/** What a file stores as a tag and EXIF must not say a second time. */
static gboolean _is_blob(uint16_t tag)
{
  return tag == DT_TAG_XMP || tag == DT_TAG_IPTC || tag == DT_TAG_PHOTOSHOP || tag == DT_TAG_ICC;
}

/** The entries of @p table without values, their indices as origins. */
static GArray *_read_table(const uint8_t *table, size_t count, const _target_t *target)
{
  GArray *entries = g_array_new(FALSE, FALSE, sizeof(dt_exif_entry_t));
  for(size_t i = 0; i < count; i++)
  {
    const uint8_t *raw = table + i * (target->big_tiff ? 20 : 12);
    const dt_exif_entry_t entry = {
      .tag = (uint16_t)dt_exif_get_uint(raw, 2, target->big_endian),
      .type = (uint16_t)dt_exif_get_uint(raw + 2, 2, target->big_endian),
      .count = (uint32_t)dt_exif_get_uint(raw + 4, target->big_tiff ? 8 : 4, target->big_endian),
      .origin = i,
    };
    g_array_append_val(entries, entry);
  }
  return entries;
}

static gboolean _has_tag(const GArray *entries, uint16_t tag)
{
  for(guint i = 0; i < entries->len; i++)
    if(g_array_index(entries, dt_exif_entry_t, i).tag == tag) return TRUE;
  return FALSE;
}

/** Adds what of the first directory is not among @p entries; FALSE when that is nothing. */
static gboolean _add_main_entries(const dt_exif_t *exif, GArray *entries, const _target_t *target)
{
  const GArray *main = exif->ifds[DT_IFD_MAIN];
  const guint before = entries->len;
  for(guint i = 0; i < main->len; i++)
  {
    const dt_exif_entry_t *entry = &g_array_index(main, dt_exif_entry_t, i);
    if(!_is_blob(entry->tag) && !_has_tag(entries, entry->tag) && _is_possible(exif, entry, target))
      g_array_append_val(entries, *entry);
  }
  g_array_sort(entries, dt_exif_compare_entries);
  return entries->len > before;
}

GBytes *dt_exif_extend_directory(const dt_exif_t *exif, const uint8_t *table, size_t count, uint64_t base,
                                 gboolean big_tiff)
{
  dt_exif_layout_t layout = { 0 };
  _target_t target = { .bytes = g_byte_array_new(),
                       .base = base,
                       .big_endian = G_BYTE_ORDER == G_BIG_ENDIAN,
                       .big_tiff = big_tiff,
                       .layout = &layout };
  const size_t head = big_tiff ? 8 : 2, word = big_tiff ? 8 : 4, step = 4 + 2 * word;
  GArray *entries = _read_table(table, count, &target);
  const gboolean more = _add_main_entries(exif, entries, &target);
  if(more) _append_table(entries, &target);
  for(guint i = 0; more && i < entries->len; i++)
  {
    const dt_exif_entry_t *entry = &g_array_index(entries, dt_exif_entry_t, i);
    const size_t slot = head + i * step + 4 + word;
    if(entry->value)
      _append_value(exif, entry, slot, &target);
    else
      memcpy(target.bytes->data + slot, table + entry->origin * step + 4 + word, word);
  }
  g_array_unref(entries);
  GBytes *bytes = g_byte_array_free_to_bytes(target.bytes);
  if(more) return bytes;
  g_bytes_unref(bytes);
  return NULL;
}

GBytes *dt_exif_layout_directory(const dt_exif_t *exif, uint64_t base)
{
  const uint16_t none[] = { 0 };
  dt_exif_layout_t layout = { 0 };
  _target_t target = {
    .bytes = g_byte_array_new(), .base = base, .big_endian = G_BYTE_ORDER == G_BIG_ENDIAN, .layout = &layout
  };
  _append_ifd(exif, DT_IFD_MAIN, none, &target);
  return g_byte_array_free_to_bytes(target.bytes);
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
