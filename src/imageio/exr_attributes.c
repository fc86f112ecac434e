/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The standard attributes of OpenEXR and what they are called in EXIF, and XMP in an attribute of its own, as darktable
 * writes it. OpenEXR has no place for EXIF as a whole, IPTC or the orientation. */
#include "imageio/exr_internal.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum
{
  TAG_DESCRIPTION = 270,
  TAG_COPYRIGHT = 33432,
  TAG_EXPOSURE_TIME = 33434,
  TAG_F_NUMBER = 33437,
  TAG_ISO = 34855,
  TAG_DATE = 36867,
  TAG_OFFSET = 36881,
  TAG_DISTANCE = 37382,
  TAG_LATITUDE = 2, // those of GPS have their sign in the tag before
  TAG_LONGITUDE = 4,
  TAG_ALTITUDE = 6,
};

typedef struct _attribute_t
{
  const char *name;
  dt_ifd_t ifd;
  uint16_t tag;
} _attribute_t;

static const _attribute_t _texts[] = { { "comments", DT_IFD_MAIN, TAG_DESCRIPTION },
                                       { "owner", DT_IFD_MAIN, TAG_COPYRIGHT },
                                       { "capDate", DT_IFD_EXIF, TAG_DATE } };
static const _attribute_t _numbers[] = { { "expTime", DT_IFD_EXIF, TAG_EXPOSURE_TIME },
                                         { "aperture", DT_IFD_EXIF, TAG_F_NUMBER },
                                         { "focus", DT_IFD_EXIF, TAG_DISTANCE } };
static const _attribute_t _angles[] = { { "latitude", DT_IFD_GPS, TAG_LATITUDE },
                                        { "longitude", DT_IFD_GPS, TAG_LONGITUDE } };

// --- Into EXIF

static void _add(dt_exif_t *exif, dt_ifd_t ifd, uint16_t tag, uint16_t type, uint32_t count, GBytes *value)
{
  const dt_exif_entry_t entry = { .tag = tag, .type = type, .count = count, .value = value };
  dt_exif_remove(exif, ifd, tag);
  g_array_append_val(exif->ifds[ifd], entry);
  g_array_sort(exif->ifds[ifd], dt_exif_compare_entries);
}

static void _add_text(dt_exif_t *exif, dt_ifd_t ifd, uint16_t tag, const char *text)
{
  const size_t size = strlen(text) + 1;
  _add(exif, ifd, tag, DT_TYPE_ASCII, (uint32_t)size, g_bytes_new(text, size));
}

/** Numbers from 0 on as fractions; short times as one over something, as they are spoken. */
static void _add_fractions(dt_exif_t *exif, dt_ifd_t ifd, uint16_t tag, const double *values, int n)
{
  guint8 raw[3 * 8];
  for(int i = 0; i < n; i++)
  {
    const double value = CLAMP(values[i], 0.0, 4e9),
                 inverse = value > 2.5e-10 ? floor(1.0 / value + 0.5) : 0.0;
    const gboolean one_over = value < 0.5 && inverse > 0.0 && fabs(value * inverse - 1.0) < 1e-4;
    const uint32_t below = one_over ? (uint32_t)inverse : value < 4000.0 ? 1000000 : 1;
    const uint32_t above = one_over ? 1 : (uint32_t)(value * below + 0.5);
    dt_exif_put_uint(raw + 8 * i, 4, exif->big_endian, above);
    dt_exif_put_uint(raw + 8 * i + 4, 4, exif->big_endian, below);
  }
  _add(exif, ifd, tag, DT_TYPE_RATIONAL, (uint32_t)n, g_bytes_new(raw, 8 * (size_t)n));
}

static gboolean _get_float(exr_const_context_t file, int part, const char *name, double *value)
{
  float number;
  if(exr_attr_get_float(file, part, name, &number) != EXR_ERR_SUCCESS || !isfinite(number)) return FALSE;
  *value = (double)number;
  return TRUE;
}

static void _read_texts(exr_const_context_t file, int part, dt_exif_t *exif)
{
  for(size_t i = 0; i < G_N_ELEMENTS(_texts); i++)
  {
    int32_t length = 0;
    const char *text = NULL;
    if(exr_attr_get_string(file, part, _texts[i].name, &length, &text) != EXR_ERR_SUCCESS || length <= 0
       || !text)
      continue;
    char *copy = g_strndup(text, (gsize)length);
    _add_text(exif, _texts[i].ifd, _texts[i].tag, copy);
    g_free(copy);
  }
}

static void _read_place(exr_const_context_t file, int part, dt_exif_t *exif)
{
  static const char *const signs[][2] = { { "N", "S" }, { "E", "W" } };
  double value;
  for(size_t i = 0; i < G_N_ELEMENTS(_angles); i++)
  {
    if(!_get_float(file, part, _angles[i].name, &value) || fabs(value) > 360.0) continue;
    const double size = fabs(value), minutes = (size - floor(size)) * 60.0;
    _add_text(exif, DT_IFD_GPS, _angles[i].tag - 1, signs[i][value < 0.0]);
    _add_fractions(exif, DT_IFD_GPS, _angles[i].tag,
                   (const double[]){ floor(size), floor(minutes), (minutes - floor(minutes)) * 60.0 }, 3);
  }
  if(!_get_float(file, part, "altitude", &value)) return;
  const guint8 below_sea = value < 0.0;
  _add(exif, DT_IFD_GPS, TAG_ALTITUDE - 1, DT_TYPE_BYTE, 1, g_bytes_new(&below_sea, 1));
  _add_fractions(exif, DT_IFD_GPS, TAG_ALTITUDE, (const double[]){ fabs(value) }, 1);
}

/** OpenEXR has the seconds to add to the local time, EXIF the hours that it is ahead. */
static void _read_offset(exr_const_context_t file, int part, dt_exif_t *exif)
{
  double seconds;
  if(!_get_float(file, part, "utcOffset", &seconds) || fabs(seconds) > 86400.0) return;
  char text[16];
  const int minutes = (int)(fabs(seconds) / 60.0 + 0.5);
  g_snprintf(text, sizeof(text), "%c%02d:%02d", seconds > 0.0 ? '-' : '+', minutes / 60, minutes % 60);
  _add_text(exif, DT_IFD_EXIF, TAG_OFFSET, text);
}

static void _read_exif(exr_const_context_t file, int part, dt_metadata_t *metadata)
{
  dt_exif_t *exif = dt_exif_create();
  double value;
  guint entries = 0;
  _read_texts(file, part, exif);
  _read_offset(file, part, exif);
  for(size_t i = 0; i < G_N_ELEMENTS(_numbers); i++)
    if(_get_float(file, part, _numbers[i].name, &value) && value >= 0.0)
      _add_fractions(exif, _numbers[i].ifd, _numbers[i].tag, &value, 1);
  if(_get_float(file, part, "isoSpeed", &value) && value >= 1.0 && value <= 65535.0)
    dt_exif_set_number(exif, DT_IFD_EXIF, TAG_ISO, DT_TYPE_SHORT, (uint32_t)(value + 0.5));
  _read_place(file, part, exif);
  for(int i = 0; i < DT_IFD_COUNT; i++) entries += exif->ifds[i]->len;
  if(entries) dt_metadata_take_exif(metadata, dt_exif_to_bytes(exif));
  dt_exif_destroy(exif);
}

// --- Colour

static gboolean _is_plausible(const double p[8])
{
  for(int i = 0; i < 8; i++) // the blue of ACES lies below zero
    if(!(p[i] > -1.0 && p[i] < 2.0)) return FALSE;
  return p[7] > 0.05;
}

/** Linear light of the file's chromaticities; without any those of Rec.709. */
static GBytes *_make_profile(exr_const_context_t file, int part, int colours, double chromaticities[8])
{
  exr_attr_chromaticities_t c;
  if(colours == 3 && exr_attr_get_chromaticities(file, part, "chromaticities", &c) == EXR_ERR_SUCCESS)
  {
    const double primaries[8] = { (double)c.red_x,  (double)c.red_y,  (double)c.green_x, (double)c.green_y,
                                  (double)c.blue_x, (double)c.blue_y, (double)c.white_x, (double)c.white_y };
    memcpy(chromaticities, primaries, sizeof(primaries));
    GBytes *icc = _is_plausible(primaries)
                      ? dt_profile_generate("OpenEXR chromaticities", primaries, &dt_curve_linear)
                      : NULL;
    if(icc) return icc;
    memset(chromaticities, 0, sizeof(primaries));
  }
  return dt_profile_load("srgb-linear", colours, NULL);
}

static void _read_xmp(exr_const_context_t file, int part, dt_metadata_t *metadata)
{
  int32_t length = 0;
  const char *text = NULL;
  if(exr_attr_get_string(file, part, "xmp", &length, &text) == EXR_ERR_SUCCESS && text && length > 0)
    metadata->xmp = g_bytes_new(text, (gsize)length);
}

void dt_exr_read_attributes(exr_const_context_t file, int part, int colours, dt_metadata_t *metadata)
{
  double density;
  float aspect = 1.0f;
  metadata->icc = _make_profile(file, part, colours, metadata->chromaticities);
  if(_get_float(file, part, "xDensity", &density) && density > 0.0 && density < 1e6)
  {
    exr_get_pixel_aspect_ratio(file, part, &aspect);
    metadata->xres = density;
    metadata->yres = aspect > 0.01f && aspect < 100.0f ? density * (double)aspect : density;
  }
  _read_exif(file, part, metadata);
  _read_xmp(file, part, metadata);
}

// --- From EXIF

static void _write_texts(exr_context_t file, int part, const dt_exif_t *exif)
{
  for(size_t i = 0; i < G_N_ELEMENTS(_texts); i++)
  {
    const dt_exif_entry_t *entry = dt_exif_find(exif, _texts[i].ifd, _texts[i].tag);
    if(!entry || entry->type != DT_TYPE_ASCII) continue;
    gsize size;
    const char *data = g_bytes_get_data(entry->value, &size);
    char *text = g_strndup(data, size);
    if(*text) exr_attr_set_string(file, part, _texts[i].name, text);
    g_free(text);
  }
}

static uint32_t _get_u32(const dt_exif_t *exif, const guint8 *data)
{
  return (uint32_t)dt_exif_get_uint(data, 4, exif->big_endian);
}

/** Degrees, minutes and seconds as degrees. */
static gboolean _get_degrees(const dt_exif_t *exif, uint16_t tag, double *degrees)
{
  const dt_exif_entry_t *entry = dt_exif_find(exif, DT_IFD_GPS, tag);
  if(!entry || entry->type != DT_TYPE_RATIONAL || entry->count != 3) return FALSE;
  const guint8 *data = g_bytes_get_data(entry->value, NULL);
  *degrees = 0.0;
  for(int i = 0; i < 3; i++)
  {
    const uint32_t above = _get_u32(exif, data + 8 * i), below = _get_u32(exif, data + 8 * i + 4);
    if(below) *degrees += (double)above / below / (i == 0 ? 1.0 : i == 1 ? 60.0 : 3600.0);
  }
  return TRUE;
}

/** The first character of a text or the first byte of another value, 0 for none. */
static char _get_first(const dt_exif_t *exif, dt_ifd_t ifd, uint16_t tag)
{
  const dt_exif_entry_t *entry = dt_exif_find(exif, ifd, tag);
  gsize size = 0;
  const char *data = entry ? g_bytes_get_data(entry->value, &size) : NULL;
  return size > 0 ? data[0] : 0;
}

static void _write_place(exr_context_t file, int part, const dt_exif_t *exif)
{
  double value;
  for(size_t i = 0; i < G_N_ELEMENTS(_angles); i++)
  {
    const char sign = _get_first(exif, DT_IFD_GPS, _angles[i].tag - 1);
    if(_get_degrees(exif, _angles[i].tag, &value))
      exr_attr_set_float(file, part, _angles[i].name, (float)(sign == 'S' || sign == 'W' ? -value : value));
  }
  value = dt_exif_get_number(exif, DT_IFD_GPS, TAG_ALTITUDE, -1.0);
  if(value < 0.0) return;
  const gboolean below_sea = _get_first(exif, DT_IFD_GPS, TAG_ALTITUDE - 1) == 1;
  exr_attr_set_float(file, part, "altitude", (float)(below_sea ? -value : value));
}

static void _write_offset(exr_context_t file, int part, const dt_exif_t *exif)
{
  const dt_exif_entry_t *entry = dt_exif_find(exif, DT_IFD_EXIF, TAG_OFFSET);
  gsize size = 0;
  const char *t = entry ? g_bytes_get_data(entry->value, &size) : NULL;
  if(size < 6 || (t[0] != '+' && t[0] != '-') || t[3] != ':') return;
  const int digits[4] = { g_ascii_digit_value(t[1]), g_ascii_digit_value(t[2]), g_ascii_digit_value(t[4]),
                          g_ascii_digit_value(t[5]) };
  for(int i = 0; i < 4; i++)
    if(digits[i] < 0) return;
  const int seconds = ((digits[0] * 10 + digits[1]) * 60 + digits[2] * 10 + digits[3]) * 60;
  exr_attr_set_float(file, part, "utcOffset", (float)(t[0] == '+' ? -seconds : seconds));
}

static void _write_exif(exr_context_t file, int part, const dt_exif_t *exif)
{
  _write_texts(file, part, exif);
  _write_offset(file, part, exif);
  for(size_t i = 0; i < G_N_ELEMENTS(_numbers); i++)
  {
    const double value = dt_exif_get_number(exif, _numbers[i].ifd, _numbers[i].tag, -1.0);
    if(value >= 0.0 && isfinite(value)) exr_attr_set_float(file, part, _numbers[i].name, (float)value);
  }
  const double iso = dt_exif_get_number(exif, DT_IFD_EXIF, TAG_ISO, 0.0);
  if(iso > 0.0) exr_attr_set_float(file, part, "isoSpeed", (float)iso);
  _write_place(file, part, exif);
}

static void _write_xmp(exr_context_t file, int part, const dt_encode_spec_t *spec)
{
  GBytes *xmp = dt_metadata_make_xmp(spec, DT_IMAGEIO_MAX_BLOB);
  if(!xmp) return;
  gsize size;
  const char *data = g_bytes_get_data(xmp, &size);
  char *text = g_strndup(data, size);
  exr_attr_set_string(file, part, "xmp", text);
  g_free(text);
  g_bytes_unref(xmp);
}

void dt_exr_write_attributes(exr_context_t file, int part, const dt_encode_spec_t *spec)
{
  const dt_metadata_t *metadata = spec->metadata;
  const double *c = spec->chromaticities;
  if(c)
  {
    const exr_attr_chromaticities_t value = { (float)c[0], (float)c[1], (float)c[2], (float)c[3],
                                              (float)c[4], (float)c[5], (float)c[6], (float)c[7] };
    exr_attr_set_chromaticities(file, part, "chromaticities", &value);
  }
  if(metadata->xres > 0.0) exr_attr_set_float(file, part, "xDensity", (float)metadata->xres);
  dt_exif_t *exif = metadata->exif ? dt_exif_read_bytes(metadata->exif) : NULL;
  if(exif) _write_exif(file, part, exif);
  dt_exif_destroy(exif);
  _write_xmp(file, part, spec);
  if(metadata->exif || metadata->iptc)
    dt_metadata_note(
        spec, "OpenEXR has no place for EXIF as a whole and IPTC; of EXIF what it has attributes for went "
              "along (description, copyright, date, exposure, place).");
  if(metadata->orientation != 1)
    dt_metadata_note(spec, "OpenEXR knows no orientation: the picture lies as the camera stored it.");
}
