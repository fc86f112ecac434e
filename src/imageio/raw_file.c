/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The containers of raws: which file is one, and where in it things are. Most are TIFF or nearly so; the others are
 * known by a mark at their beginning. Nothing here decodes a sample. */
#include "imageio/raw_internal.h"

#include <math.h>
#include <string.h>

enum
{
  PHOTOMETRIC_CFA = 32803,
  PHOTOMETRIC_LINEAR = 34892,
  TAG_PANASONIC_WIDTH = 2,
  TAG_PANASONIC_HEIGHT = 3,
  TAG_PANASONIC_FORMAT = 45,
  TAG_ROWS_PER_STRIP = 278,
  TAG_PANASONIC_OFFSET = 280, ///< where others have their smallest sample
  TAG_TILE_WIDTH = 322,
  TAG_TILE_HEIGHT = 323,
  TAG_CFA_REPEAT = 33421,
  TAG_CFA_PATTERN = 33422,
  TAG_CR2_SLICES = 50752, ///< only in the directory of a CR2's raw
};

// --- What is a raw

/** Names of raws, for files whose content could be something else. */
static gboolean _is_raw_name(const char *name)
{
  static const char *const extensions[] = {
    ".3fr", ".arw", ".bay", ".cap", ".cr2", ".cr3", ".crw", ".dcr", ".dcs", ".dng", ".drf", ".eip", ".erf",
    ".fff", ".iiq", ".k25", ".kdc", ".mdc", ".mef", ".mos", ".mrw", ".nef", ".nrw", ".orf", ".ori", ".pef",
    ".ptx", ".pxn", ".raf", ".raw", ".rw2", ".rwl", ".rwz", ".sr2", ".srf", ".srw", ".sti", ".x3f", NULL,
  };
  const char *dot = strrchr(name, '.');
  for(const char *const *extension = extensions; dot && *extension; extension++)
    if(g_ascii_strcasecmp(dot, *extension) == 0) return TRUE;
  return FALSE;
}

static gboolean _is_raw_page(const dt_raw_file_t *file, const GArray *page)
{
  const double photometric = dt_raw_file_number(file, page, DT_TAG_PHOTOMETRIC, 0, 0.0);
  return photometric == PHOTOMETRIC_CFA || photometric == PHOTOMETRIC_LINEAR
         || dt_exif_find_in(page, TAG_CR2_SLICES);
}

static double _area(const dt_raw_file_t *file, const GArray *page)
{
  return dt_raw_file_number(file, page, DT_TAG_WIDTH, 0, 0.0)
         * dt_raw_file_number(file, page, DT_TAG_HEIGHT, 0, 0.0);
}

/** The largest raw that is not a reduced one. */
static void _find_picture(dt_raw_file_t *file)
{
  for(guint i = 0; i < file->pages->len; i++)
  {
    const GArray *page = file->pages->pdata[i];
    const gboolean is_main = dt_raw_file_number(file, page, DT_TAG_SUBFILE_TYPE, 0, 0.0) == 0.0;
    if(is_main && _is_raw_page(file, page)
       && (!file->picture || _area(file, page) > _area(file, file->picture)))
      file->picture = page;
  }
}

static dt_raw_kind_t _recognise_tiff(dt_raw_file_t *file, const guint8 *head)
{
  static const char *const almost[] = { "IIRO", "IIRS", "MMOR", "IIU\0" };
  file->is_panasonic = memcmp(head, "IIU\0", 4) == 0;
  file->pages = dt_exif_read_pages(file->input, 0, &file->big_endian);
  if(file->pages->len) file->main = file->pages->pdata[0];
  _find_picture(file);
  if(dt_exif_find_in(file->main, DT_TAG_DNG_VERSION)) return DT_RAW_DNG;
  if(file->picture || memcmp(head + 8, "CR\2", 3) == 0) return DT_RAW_TIFF;
  for(size_t i = 0; i < G_N_ELEMENTS(almost); i++)
    if(memcmp(head, almost[i], 4) == 0) return DT_RAW_TIFF;
  return _is_raw_name(file->input->name) ? DT_RAW_TIFF : DT_RAW_NOT;
}

static dt_raw_kind_t _recognise(dt_raw_file_t *file)
{
  static const struct
  {
    size_t at;
    const char *mark;
    size_t size;
    dt_raw_kind_t kind;
  } marks[] = {
    { 0, "FUJIFILMCCD-RAW", 15, DT_RAW_RAF },
    { 4, "ftypcrx ", 8, DT_RAW_CR3 },
    { 0, "\0MRM", 4, DT_RAW_MRW },
    { 0, "FOVb", 4, DT_RAW_OTHER },
    { 6, "HEAPCCDR", 8, DT_RAW_OTHER },
    { 0, "IIII", 4, DT_RAW_OTHER }, // Phase One
    { 0, "MMMM", 4, DT_RAW_OTHER },
  };
  guint8 head[16] = { 0 };
  dt_input_read(file->input, 0, head, sizeof(head));
  for(size_t i = 0; i < G_N_ELEMENTS(marks); i++)
    if(memcmp(head + marks[i].at, marks[i].mark, marks[i].size) == 0) return marks[i].kind;
  if(head[0] == head[1] && (head[0] == 'I' || head[0] == 'M')) return _recognise_tiff(file, head);
  return dt_format_recognise(file->input) == DT_IMAGEIO_UNKNOWN && _is_raw_name(file->input->name)
             ? DT_RAW_OTHER
             : DT_RAW_NOT;
}

void dt_raw_file_open(dt_raw_file_t *file, const dt_input_t *input)
{
  *file = (dt_raw_file_t){ .input = input };
  file->kind = _recognise(file);
}

void dt_raw_file_close(dt_raw_file_t *file)
{
  g_clear_pointer(&file->pages, g_ptr_array_unref);
}

double dt_raw_file_number(const dt_raw_file_t *file, const GArray *entries, uint16_t tag, uint32_t i,
                          double otherwise)
{
  return dt_exif_entry_number(dt_exif_find_in(entries, tag), i, file->big_endian, otherwise);
}

gboolean dt_raw_is_raw(const char *path)
{
  dt_input_t *input = dt_input_open(path, NULL);
  if(!input) return FALSE;
  dt_raw_file_t file;
  dt_raw_file_open(&file, input);
  dt_raw_file_close(&file);
  dt_input_close(input);
  return file.kind != DT_RAW_NOT;
}

/** Whether a tag about the filter array is one that LibRaw has room for: versions of it write behind their memory when
 * a long pattern is not 6×6. */
static gboolean _is_safe_entry(const dt_raw_file_t *file, const GArray *page, const dt_exif_entry_t *entry)
{
  if(entry->tag == TAG_CFA_REPEAT) return entry->value && entry->count == 2;
  if(entry->tag != TAG_CFA_PATTERN || entry->count <= 16) return TRUE;
  return entry->value && entry->count == 36 && dt_raw_file_number(file, page, TAG_CFA_REPEAT, 0, 0.0) == 6.0
         && dt_raw_file_number(file, page, TAG_CFA_REPEAT, 1, 0.0) == 6.0;
}

gboolean dt_raw_file_is_safe(const dt_raw_file_t *file)
{
  for(guint i = 0; file->pages && i < file->pages->len; i++)
  {
    const GArray *page = file->pages->pdata[i];
    for(guint k = 0; k < page->len; k++)
      if(!_is_safe_entry(file, page, &g_array_index(page, dt_exif_entry_t, k))) return FALSE;
  }
  return TRUE;
}

// --- Blocks

static gboolean _is_inside(const dt_raw_file_t *file, uint64_t start, uint64_t size)
{
  return start <= file->input->size && size <= file->input->size - start;
}

/** A number of @p size bytes, most significant first; 0 behind the end. */
static uint64_t _read_number(const dt_raw_file_t *file, uint64_t at, int size)
{
  guint8 bytes[8] = { 0 };
  if(dt_input_read(file->input, at, bytes, (size_t)size) != (size_t)size) return 0;
  return dt_exif_get_uint(bytes, size, TRUE);
}

/** The box at @p at with its head; size 0 when there is none before @p end. @p head receives the bytes of that. */
static dt_raw_block_t _read_box(const dt_raw_file_t *file, uint64_t at, uint64_t end, char type[4], int *head)
{
  if(at + 8 > end || dt_input_read(file->input, at + 4, type, 4) != 4) return (dt_raw_block_t){ 0 };
  uint64_t size = _read_number(file, at, 4);
  *head = size == 1 ? 16 : 8;
  if(size == 1) size = _read_number(file, at + 8, 8);
  if(size == 0) size = end - at;
  return (dt_raw_block_t){ .start = at, .size = size >= (uint64_t)*head ? size : 0 };
}

/** Whether the box's content is to be found in the one that is looked for. */
static gboolean _is_uuid(const dt_raw_file_t *file, uint64_t at, const uint8_t *uuid)
{
  guint8 bytes[16];
  return dt_input_read(file->input, at, bytes, 16) == 16 && memcmp(bytes, uuid, 16) == 0;
}

dt_raw_block_t dt_raw_file_find_box(const dt_raw_file_t *file, dt_raw_block_t within, const char type[4],
                                    const uint8_t *uuid)
{
  const uint64_t end = within.start + within.size;
  char found[4];
  int head = 0;
  dt_raw_block_t box = _read_box(file, within.start, end, found, &head);
  for(; box.size; box = _read_box(file, box.start + box.size, end, found, &head))
  {
    if(box.size > end - box.start) break;
    const uint64_t skip = (uint64_t)head + (uuid ? 16 : 0);
    if(memcmp(found, type, 4) == 0 && box.size > skip
       && (!uuid || _is_uuid(file, box.start + (uint64_t)head, uuid)))
      return (dt_raw_block_t){ .start = box.start + skip, .size = box.size - skip };
  }
  return (dt_raw_block_t){ 0 };
}

/** A block that stands with its place and size at @p at of a RAF's head. */
static dt_raw_block_t _read_raf_block(const dt_raw_file_t *file, uint64_t at)
{
  return (dt_raw_block_t){ .start = _read_number(file, at, 4), .size = _read_number(file, at + 4, 4) };
}

dt_raw_block_t dt_raw_file_find_raf_jpeg(const dt_raw_file_t *file)
{
  return _read_raf_block(file, 84);
}

dt_raw_block_t dt_raw_file_find_raf_tiff(const dt_raw_file_t *file)
{
  return _read_raf_block(file, 100);
}

dt_raw_block_t dt_raw_file_find_mrw_tiff(const dt_raw_file_t *file)
{
  const uint64_t end = 8 + _read_number(file, 4, 4);
  for(uint64_t at = 8; at + 8 <= end && _is_inside(file, at, 8);)
  {
    const dt_raw_block_t block = { .start = at + 8, .size = _read_number(file, at + 4, 4) };
    if(_read_number(file, at, 4) == 0x00545457) return block; // "\0TTW"
    at = block.start + block.size;
  }
  return (dt_raw_block_t){ 0 };
}

// --- Whether it is whole

/** Whether the strips or tiles of a directory lie in the file, and there are at least @p needed of them. */
static gboolean _has_pieces(const dt_raw_file_t *file, const GArray *page, uint16_t offsets, uint16_t sizes,
                            double needed)
{
  const dt_exif_entry_t *places = dt_exif_find_in(page, offsets), *lengths = dt_exif_find_in(page, sizes);
  if(!places || !lengths) return TRUE;
  for(uint32_t i = 0; i < MIN(places->count, lengths->count); i++)
    if(!_is_inside(file, (uint64_t)dt_exif_entry_number(places, i, file->big_endian, 0.0),
                   (uint64_t)dt_exif_entry_number(lengths, i, file->big_endian, 0.0)))
      return FALSE;
  return file->kind != DT_RAW_DNG || places->count >= needed; // cameras say what they like
}

/** Pieces of @p piece that cover @p whole; none of nothing. */
static double _divide(double whole, double piece)
{
  return piece >= 1.0 ? ceil(whole / piece) : 0.0;
}

static gboolean _has_picture(const dt_raw_file_t *file)
{
  // without a directory of the raw's own the first one is it, as Olympus has it
  const GArray *page = file->picture ? file->picture : file->main;
  const double width = dt_raw_file_number(file, file->picture, DT_TAG_WIDTH, 0, 0.0);
  const double height = dt_raw_file_number(file, file->picture, DT_TAG_HEIGHT, 0, 0.0);
  const double strips = _divide(height, dt_raw_file_number(file, page, TAG_ROWS_PER_STRIP, 0, height));
  const double tiles = _divide(width, dt_raw_file_number(file, page, TAG_TILE_WIDTH, 0, 0.0))
                       * _divide(height, dt_raw_file_number(file, page, TAG_TILE_HEIGHT, 0, 0.0));
  return _has_pieces(file, page, DT_TAG_STRIP_OFFSETS, DT_TAG_STRIP_SIZES, strips)
         && _has_pieces(file, page, DT_TAG_TILE_OFFSETS, DT_TAG_TILE_SIZES, tiles);
}

/** Panasonic says only where its samples begin: up to format 7, 14 of them take at least 16 bytes. */
static gboolean _has_panasonic(const dt_raw_file_t *file)
{
  const double width = dt_raw_file_number(file, file->main, TAG_PANASONIC_WIDTH, 0, 0.0);
  const double height = dt_raw_file_number(file, file->main, TAG_PANASONIC_HEIGHT, 0, 0.0);
  const double begin = dt_raw_file_number(file, file->main, TAG_PANASONIC_OFFSET, 0, 0.0);
  return dt_raw_file_number(file, file->main, TAG_PANASONIC_FORMAT, 0, 0.0) > 7.0
         || begin + width * height * 8.0 / 7.0 <= (double)file->input->size;
}

/** Whether the outermost boxes end with the file, or before, and the one with the samples is among them. */
static gboolean _has_boxes(const dt_raw_file_t *file)
{
  char type[4];
  int head;
  gboolean has_samples = FALSE;
  for(uint64_t at = 0; at < file->input->size;)
  {
    const dt_raw_block_t box = _read_box(file, at, file->input->size, type, &head);
    if(box.size == 0 || !_is_inside(file, at, box.size)) return FALSE;
    has_samples |= memcmp(type, "mdat", 4) == 0;
    at += box.size;
  }
  return has_samples;
}

gboolean dt_raw_file_is_whole(const dt_raw_file_t *file)
{
  if(file->kind == DT_RAW_CR3) return _has_boxes(file);
  if(file->kind == DT_RAW_RAF)
  {
    const dt_raw_block_t samples = dt_raw_file_find_raf_tiff(file);
    return _is_inside(file, samples.start, samples.size);
  }
  return file->is_panasonic ? _has_panasonic(file) : _has_picture(file);
}
