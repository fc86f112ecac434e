/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What a raw says about its photograph: EXIF with the maker note, XMP, and those tags of a DNG and of raws' own
 * directories that hold for what is made of them. Everything comes byte for byte from the file's own container. */
#include "imageio/raw_internal.h"

#include "common/log.h"

#include <string.h>

enum
{
  TAG_JPEG_FROM_RAW = 46, ///< of Panasonic: a whole JPEG, with the EXIF that the raw itself lacks
};

/** Tags of a DNG's first directory that a derived DNG may repeat: about the camera, its colours and its profile. Not:
 * what describes the samples as they were stored, digests of them, previews, offsets into the old file. */
static const uint16_t _dng_ranges[][2] = {
  { 50708, 50709 }, { 50721, 50732 }, { 50734, 50736 }, { 50739, 50741 }, { 50778, 50779 }, { 50827, 50827 },
  { 50831, 50834 }, { 50879, 50879 }, { 50931, 50932 }, { 50934, 50934 }, { 50936, 50942 }, { 50964, 50965 },
  { 50981, 50982 }, { 51043, 51044 }, { 51058, 51058 }, { 51081, 51081 }, { 51105, 51105 }, { 51107, 51110 },
  { 52529, 52535 }, { 52537, 52538 }, { 0, 0 },
};

/** Tags of a raw's own directory about what its lens and sensor do to the picture: DNG's opcode lists, noise and scale,
 * and the corrections of Sony and Fujifilm. */
static const uint16_t _raw_ranges[][2] = {
  { 0x7030, 0x7038 }, { 50718, 50718 },   { 50737, 50738 }, { 50780, 50780 }, { 50935, 50935 },
  { 51008, 51009 },   { 51022, 51022 },   { 51041, 51041 }, { 51125, 51125 }, { 52525, 52525 },
  { 0xf00b, 0xf00b }, { 0xf00f, 0xf010 }, { 0, 0 },
};

/** Appends those of @p from whose tags are in @p ranges and not there yet. */
static void _take_tags(GArray *to, const GArray *from, const uint16_t (*ranges)[2])
{
  for(guint i = 0; from && i < from->len; i++)
  {
    dt_exif_entry_t entry = g_array_index(from, dt_exif_entry_t, i);
    const uint16_t(*range)[2] = ranges;
    while((*range)[0] && (entry.tag < (*range)[0] || entry.tag > (*range)[1])) range++;
    if(!(*range)[0] || !entry.value || dt_exif_find_in(to, entry.tag)) continue;
    g_bytes_ref(entry.value);
    g_array_append_val(to, entry);
  }
}

/** An array that is not empty, or NULL. */
static GArray *_keep_tags(GArray *tags)
{
  if(tags->len) g_array_sort(tags, dt_exif_compare_entries);
  if(tags->len) return tags;
  g_array_unref(tags);
  return NULL;
}

static void _take_raw_tags(dt_raw_t *raw, const dt_raw_file_t *file)
{
  GArray *tags = dt_exif_entries_new();
  _take_tags(tags, file->picture, _raw_ranges);
  if(file->kind == DT_RAW_DNG) _take_tags(tags, file->main, _raw_ranges);
  raw->raw_tags = _keep_tags(tags);
}

/** A DNG's tags leave the EXIF they were also read with, so that each is carried once. */
static void _take_dng_tags(dt_raw_t *raw, const dt_raw_file_t *file)
{
  GArray *tags = dt_exif_entries_new();
  _take_tags(tags, file->main, _dng_ranges);
  raw->dng_tags = _keep_tags(tags);
  for(guint i = 0; raw->dng_tags && i < raw->dng_tags->len; i++)
    dt_exif_remove(raw->exif, DT_IFD_MAIN, g_array_index(raw->dng_tags, dt_exif_entry_t, i).tag);
}

// --- Embedded JPEGs

/** The content behind @p mark of the first APP1 marker that begins with it; NULL when there is none. */
static GBytes *_find_in_jpeg(GBytes *jpeg, const char *mark, size_t mark_size)
{
  gsize size;
  const uint8_t *data = g_bytes_get_data(jpeg, &size);
  if(size < 2 || data[0] != 0xff || data[1] != 0xd8) return NULL;
  for(size_t at = 2; at + 4 <= size && data[at] == 0xff && data[at + 1] != 0xda;)
  {
    const size_t length = dt_exif_get_uint(data + at + 2, 2, TRUE), start = at + 4 + mark_size;
    if(length < 2 || length > size - at - 2) break;
    if(data[at + 1] == 0xe1 && length > mark_size + 2 && memcmp(data + at + 4, mark, mark_size) == 0)
      return g_bytes_new_from_bytes(jpeg, start, length - 2 - mark_size);
    at += 2 + length;
  }
  return NULL;
}

static dt_exif_t *_read_exif(GBytes *bytes)
{
  dt_exif_t *exif = bytes ? dt_exif_read_bytes(bytes) : NULL;
  if(bytes) g_bytes_unref(bytes);
  return exif;
}

/** Takes EXIF and XMP out of a JPEG; what the raw itself says in XMP comes first. */
static void _read_jpeg(dt_raw_t *raw, GBytes *jpeg)
{
  static const char xmp_mark[] = "http://ns.adobe.com/xap/1.0/"; // with its zero
  if(!jpeg) return;
  dt_exif_t *exif = _read_exif(_find_in_jpeg(jpeg, "Exif\0", 6));
  if(exif)
  {
    dt_exif_destroy(raw->exif);
    raw->exif = exif;
  }
  if(!raw->xmp) raw->xmp = _find_in_jpeg(jpeg, xmp_mark, sizeof(xmp_mark));
  g_bytes_unref(jpeg);
}

// --- Containers

static void _read_tiff(dt_raw_t *raw, const dt_raw_file_t *file)
{
  raw->exif = dt_exif_read_file(file->input);
  if(!raw->exif) return;
  raw->xmp = dt_exif_steal(raw->exif, DT_IFD_MAIN, DT_TAG_XMP);
  const dt_exif_entry_t *jpeg = dt_exif_find_in(file->main, TAG_JPEG_FROM_RAW);
  if(jpeg && file->kind == DT_RAW_TIFF && !dt_exif_find(raw->exif, DT_IFD_EXIF, DT_TAG_MAKER_NOTE))
    _read_jpeg(raw, g_bytes_ref(jpeg->value));
  if(raw->exif->big_endian == file->big_endian) _take_raw_tags(raw, file);
  if(file->kind == DT_RAW_DNG) _take_dng_tags(raw, file);
}

static void _read_raf(dt_raw_t *raw, const dt_raw_file_t *file)
{
  const dt_raw_block_t jpeg = dt_raw_file_find_raf_jpeg(file), tiff = dt_raw_file_find_raf_tiff(file);
  _read_jpeg(raw, dt_input_read_bytes(file->input, jpeg.start, jpeg.size));
  gboolean big_endian = FALSE;
  GPtrArray *pages = dt_exif_read_pages(file->input, tiff.start, &big_endian);
  GArray *tags = dt_exif_entries_new();
  for(guint i = 0; i < pages->len; i++) _take_tags(tags, pages->pdata[i], _raw_ranges);
  raw->raw_tags = _keep_tags(tags);
  if(raw->raw_tags && (!raw->exif || raw->exif->big_endian != big_endian))
    g_clear_pointer(&raw->raw_tags, g_array_unref); // their numbers would be read the wrong way round
  g_ptr_array_unref(pages);
}

/** Leaves out of a directory what could not be read, and what is a place in the structure it came from. */
static void _clean(dt_exif_t *exif, dt_ifd_t ifd)
{
  GArray *entries = exif->ifds[ifd];
  for(guint i = entries->len; i-- > 0;)
    if(!g_array_index(entries, dt_exif_entry_t, i).value) g_array_remove_index(entries, i);
  dt_exif_remove(exif, ifd, DT_TAG_INTEROP_IFD);
}

/** Makes the first directory of one of a CR3's TIFF structures the directory @p ifd. */
static void _take_structure(dt_raw_t *raw, const dt_raw_file_t *file, dt_raw_block_t block, dt_ifd_t ifd)
{
  gboolean big_endian = FALSE;
  GPtrArray *pages = block.size ? dt_exif_read_pages(file->input, block.start, &big_endian) : NULL;
  if(pages && pages->len && big_endian == raw->exif->big_endian)
  {
    g_array_unref(raw->exif->ifds[ifd]);
    raw->exif->ifds[ifd] = g_array_ref(pages->pdata[0]);
    _clean(raw->exif, ifd);
  }
  if(pages) g_ptr_array_unref(pages);
}

/** A CR3's maker note is a TIFF structure: what stands behind its head is the note as it is in other files. */
static void _take_note(dt_raw_t *raw, const dt_raw_file_t *file, dt_raw_block_t block)
{
  const size_t head = 8;
  if(block.size <= head) return;
  GBytes *note = dt_input_read_bytes(file->input, block.start + head, (size_t)block.size - head);
  if(!note) return;
  const dt_exif_entry_t entry = { .tag = DT_TAG_MAKER_NOTE,
                                  .type = 7,
                                  .count = (uint32_t)g_bytes_get_size(note),
                                  .origin = head,
                                  .value = note };
  dt_exif_remove(raw->exif, DT_IFD_EXIF, DT_TAG_MAKER_NOTE);
  g_array_append_val(raw->exif->ifds[DT_IFD_EXIF], entry);
  g_array_sort(raw->exif->ifds[DT_IFD_EXIF], dt_exif_compare_entries);
}

static GBytes *_read_block(const dt_raw_file_t *file, dt_raw_block_t block)
{
  return dt_input_read_bytes(file->input, block.start, (size_t)block.size);
}

static void _read_cr3(dt_raw_t *raw, const dt_raw_file_t *file)
{
  static const uint8_t canon[16] = { 0x85, 0xc0, 0xb6, 0x87, 0x82, 0x0f, 0x11, 0xe0,
                                     0x81, 0x11, 0xf4, 0xce, 0x46, 0x2b, 0x6a, 0x48 };
  static const uint8_t xmp[16] = { 0xbe, 0x7a, 0xcf, 0xcb, 0x97, 0xa9, 0x42, 0xe8,
                                   0x9c, 0x71, 0x99, 0x94, 0x91, 0xe3, 0xaf, 0xac };
  const dt_raw_block_t whole = { .size = file->input->size };
  const dt_raw_block_t moov = dt_raw_file_find_box(file, whole, "moov", NULL);
  const dt_raw_block_t box = dt_raw_file_find_box(file, moov, "uuid", canon);
  raw->exif = _read_exif(_read_block(file, dt_raw_file_find_box(file, box, "CMT1", NULL)));
  if(raw->exif)
  {
    _take_structure(raw, file, dt_raw_file_find_box(file, box, "CMT2", NULL), DT_IFD_EXIF);
    _take_note(raw, file, dt_raw_file_find_box(file, box, "CMT3", NULL));
    _take_structure(raw, file, dt_raw_file_find_box(file, box, "CMT4", NULL), DT_IFD_GPS);
  }
  raw->xmp = _read_block(file, dt_raw_file_find_box(file, whole, "uuid", xmp));
}

void dt_raw_read_metadata(dt_raw_t *raw, const dt_raw_file_t *file)
{
  if(file->kind == DT_RAW_DNG || file->kind == DT_RAW_TIFF)
    _read_tiff(raw, file);
  else if(file->kind == DT_RAW_RAF)
    _read_raf(raw, file);
  else if(file->kind == DT_RAW_CR3)
    _read_cr3(raw, file);
  else if(file->kind == DT_RAW_MRW)
    raw->exif = _read_exif(_read_block(file, dt_raw_file_find_mrw_tiff(file)));
  if(!raw->exif)
  {
    dt_log(DT_LOG_PIPE, "%s: its metadata are not in a form that is read here", raw->name);
    return;
  }
  dt_exif_remove(raw->exif, DT_IFD_MAIN, DT_TAG_ICC); // of the preview
}
