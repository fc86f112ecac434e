/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What happens to metadata on its way from one file into another (doc/metadata.md is the contract). Nearly all of it
 * goes along as it is; what describes the file rather than the photograph is corrected: the size in pixels, the
 * orientation (so that all places agree), the software. Embedded thumbnails, which would show the picture as it was
 * before, are removed. */
#include "imageio/metadata.h"
#include "imageio/xmp.h"

#include <math.h>
#include <string.h>

// --- Reading

/** EXIF has the exact fraction of what JFIF and PNG round. */
static gboolean _is_rounded(double rounded, double exact)
{
  return exact > 0.0 && fabs(rounded - exact) < 1.0;
}

static void _read_numbers(dt_metadata_t *metadata, const dt_exif_t *exif)
{
  const int orientation = (int)dt_exif_get_number(exif, DT_IFD_MAIN, DT_TAG_ORIENTATION, 1.0);
  metadata->orientation = orientation >= 1 && orientation <= 8 ? orientation : 1;
  const double unit = dt_exif_get_number(exif, DT_IFD_MAIN, DT_TAG_RESOLUTION_UNIT, 2.0);
  const double inch = unit == 2.0 ? 1.0 : unit == 3.0 ? 2.54 : 0.0;
  const double x = dt_exif_get_number(exif, DT_IFD_MAIN, DT_TAG_XRESOLUTION, 0.0) * inch;
  const double y = dt_exif_get_number(exif, DT_IFD_MAIN, DT_TAG_YRESOLUTION, 0.0) * inch;
  if(metadata->xres > 0.0 && !(_is_rounded(metadata->xres, x) && _is_rounded(metadata->yres, y))) return;
  metadata->xres = x;
  metadata->yres = y;
}

gboolean dt_metadata_is_exact(const dt_metadata_t *metadata, const dt_exif_t *exif)
{
  dt_metadata_t exact = { 0 };
  if(!exif) return FALSE;
  _read_numbers(&exact, exif);
  return _is_rounded(metadata->xres, exact.xres) && _is_rounded(metadata->yres, exact.yres);
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

/** Removes the trailing zeros that a packet gets from alignment. */
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
  metadata->iptc = dt_metadata_trim_iptc(_steal_iptc(exif));
  _read_numbers(metadata, exif);
  if(!_is_empty(exif)) metadata->exif = dt_exif_to_bytes(exif);
  dt_exif_destroy(exif);
  return whole;
}

// --- Making metadata for a new file

void dt_metadata_note(const dt_encode_spec_t *spec, const char *sentence)
{
  if(spec->note) g_string_append_printf(spec->note, "%s%s", spec->note->len ? " " : "", sentence);
}

static dt_exif_facts_t _get_facts(const dt_encode_spec_t *spec)
{
  return (dt_exif_facts_t){ .width = (uint32_t)spec->width,
                            .height = (uint32_t)spec->height,
                            .orientation = spec->metadata->orientation,
                            .software = spec->provenance ? dt_provenance_software(spec->provenance) : NULL };
}

static void _free_facts(dt_exif_facts_t *facts)
{
  g_free((char *)(uintptr_t)facts->software);
}

dt_exif_t *dt_metadata_make_exif_tree(const dt_encode_spec_t *spec)
{
  const dt_metadata_t *metadata = spec->metadata;
  dt_exif_t *exif = metadata->exif ? dt_exif_read_bytes(metadata->exif) : NULL;
  if(!exif && metadata->orientation == 1 && !spec->provenance) return NULL;
  if(!exif) exif = dt_exif_create();
  dt_exif_facts_t facts = _get_facts(spec);
  dt_exif_correct(exif, &facts);
  _free_facts(&facts);
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
  dt_exif_facts_t facts = _get_facts(spec);
  GBytes *source = spec->metadata->exif;
  GBytes *bytes = source ? dt_exif_correct_bytes(source, &facts) : NULL;
  _free_facts(&facts);
  if(bytes && g_bytes_get_size(bytes) <= limit) return bytes;
  if(bytes) g_bytes_unref(bytes);
  return _rebuild_exif(spec, limit);
}

// --- XMP

static void _set_xmp_size(dt_xmp_t *xmp, const dt_encode_spec_t *spec)
{
  char width[16], height[16];
  g_snprintf(width, sizeof(width), "%d", spec->width);
  g_snprintf(height, sizeof(height), "%d", spec->height);
  dt_xmp_replace(xmp, DT_XMP_NS_TIFF, "ImageWidth", width);
  dt_xmp_replace(xmp, DT_XMP_NS_TIFF, "ImageLength", height);
  dt_xmp_replace(xmp, DT_XMP_NS_EXIF, "PixelXDimension", width);
  dt_xmp_replace(xmp, DT_XMP_NS_EXIF, "PixelYDimension", height);
}

/** The packet with the new size and without previews; one that is damaged as it is. */
static GBytes *_correct_xmp(const dt_encode_spec_t *spec)
{
  dt_xmp_t *xmp = dt_xmp_read(spec->metadata->xmp);
  if(!xmp) return g_bytes_ref(spec->metadata->xmp);
  _set_xmp_size(xmp, spec);
  dt_xmp_remove(xmp, DT_XMP_NS_XMP, "Thumbnails");
  dt_xmp_remove(xmp, DT_XMP_NS_NOTE, "HasExtendedXMP"); // its second part is in here, or is lost
  GBytes *corrected = dt_xmp_write(xmp);
  dt_xmp_destroy(xmp);
  return corrected;
}

/** What EXIF names as the program that wrote the input (transfer full), or NULL. */
static char *_get_software(const dt_metadata_t *metadata)
{
  dt_exif_t *exif = metadata->exif ? dt_exif_read_bytes(metadata->exif) : NULL;
  const dt_exif_entry_t *entry = dt_exif_find(exif, DT_IFD_MAIN, DT_TAG_SOFTWARE);
  gsize size = 0;
  const char *text = entry && entry->type == DT_TYPE_ASCII ? g_bytes_get_data(entry->value, &size) : NULL;
  char *software = text ? g_strchomp(g_strndup(text, size)) : NULL;
  dt_exif_destroy(exif);
  return software;
}

/** The packet with the stamp; takes @p xmp, which may be NULL. */
static GBytes *_stamp_xmp(const dt_encode_spec_t *spec, GBytes *xmp)
{
  if(!spec->provenance) return xmp;
  char *software = _get_software(spec->metadata);
  GBytes *stamped = dt_provenance_stamp(xmp, spec->provenance, software);
  g_free(software);
  if(!stamped)
  {
    dt_metadata_note(spec,
                     "The XMP data are damaged: they were carried as they are, without a record of what "
                     "was done.");
    return xmp;
  }
  if(xmp) g_bytes_unref(xmp);
  return stamped;
}

GBytes *dt_metadata_make_xmp(const dt_encode_spec_t *spec, size_t limit)
{
  GBytes *xmp = _stamp_xmp(spec, spec->metadata->xmp ? _correct_xmp(spec) : NULL);
  if(!xmp || g_bytes_get_size(xmp) <= limit) return xmp;
  dt_metadata_note(spec, "The XMP data are too long for this format and were left out.");
  g_bytes_unref(xmp);
  return NULL;
}
