/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Walks over the chunks of a PNG. The PNG library is left the pixels alone: it drops damaged colour
 * profiles without a word, where this program has to say so, and metadata behind the pixels would
 * come too late.
 *
 * Colour, in the order of the PNG specification (third edition): cICP, iCCP, sRGB, gAMA with cHRM.
 * A gamma of 1/2.2 with the primaries of sRGB, or with none, is what many programs write to mean
 * sRGB and is taken as that. */
#include "imageio/png_chunks.h"

#include <libdeflate.h>
#include <math.h>
#include <string.h>

/** No chunk that is kept as a whole may be longer. */
#define MAX_CHUNK ((size_t)16 << 20)
/** What a compressed chunk may grow to. */
#define MAX_INFLATED ((size_t)DT_IMAGEIO_MAX_BLOB)

typedef struct _chunks_t
{
  const dt_input_t *input;
  dt_metadata_t *metadata;
  GBytes *iccp; ///< inflated
  gboolean bad_iccp;
  gboolean has_srgb, has_cicp;
  guint8 cicp[4];
  guint32 gamma; ///< times 100000, 0 = none
  gboolean has_chrm;
  double primaries[8]; ///< red, green, blue, white
} _chunks_t;

static guint32 _get_u32(const guint8 *p)
{
  return (guint32)p[0] << 24 | (guint32)p[1] << 16 | (guint32)p[2] << 8 | p[3];
}

// --- Compressed and hexadecimal texts

/** Inflates a zlib stream of unknown length; NULL when it is damaged or too long. */
static GBytes *_inflate(const guint8 *data, size_t size)
{
  struct libdeflate_decompressor *inflater = libdeflate_alloc_decompressor();
  GBytes *result = NULL;
  for(size_t room = MAX(size * 4, (size_t)65536); inflater && !result && room <= MAX_INFLATED; room *= 4)
  {
    guint8 *out = g_try_malloc(room);
    size_t got = 0;
    const enum libdeflate_result status =
        out ? libdeflate_zlib_decompress(inflater, data, size, out, room, &got) : LIBDEFLATE_BAD_DATA;
    if(status == LIBDEFLATE_SUCCESS)
      result = g_bytes_new_take(g_realloc(out, MAX(got, (size_t)1)), got);
    else
      g_free(out);
    if(status != LIBDEFLATE_INSUFFICIENT_SPACE) break;
  }
  libdeflate_free_decompressor(inflater);
  return result;
}

/** Decodes "\nNAME\n   LENGTH\nHEX…". */
static GBytes *_decode_raw_profile(const char *text, size_t size)
{
  size_t at = 0, newlines = 0;
  while(at < size && newlines < 2) newlines += text[at++] == '\n';
  char *copy = g_strndup(text + at, MIN(size - at, (size_t)32));
  const guint64 length = g_ascii_strtoull(copy, NULL, 10);
  g_free(copy);
  while(at < size && text[at] != '\n') at++;
  if(length == 0 || length > size) return NULL;
  GByteArray *bytes = g_byte_array_sized_new((guint)length);
  for(int high = -1; at < size && bytes->len < length; at++)
  {
    const int digit = g_ascii_xdigit_value(text[at]);
    if(digit < 0) continue;
    const guint8 byte = (guint8)(high * 16 + digit);
    if(high >= 0) g_byte_array_append(bytes, &byte, 1);
    high = high >= 0 ? -1 : digit;
  }
  GBytes *result = bytes->len == length ? g_bytes_new(bytes->data, bytes->len) : NULL;
  g_byte_array_unref(bytes);
  return result;
}

char *dt_png_encode_raw_profile(const char *name, GBytes *blob)
{
  gsize size;
  const guint8 *data = g_bytes_get_data(blob, &size);
  GString *text = g_string_sized_new(size * 2 + size / 36 + 64);
  g_string_append_printf(text, "\n%s\n%8" G_GSIZE_FORMAT, name, size);
  for(gsize i = 0; i < size; i++) g_string_append_printf(text, "%s%02x", i % 36 == 0 ? "\n" : "", data[i]);
  g_string_append_c(text, '\n');
  return g_string_free(text, FALSE);
}

// --- Metadata

static void _set_blob(GBytes **place, GBytes *blob)
{
  if(blob && g_bytes_get_size(blob) > 0 && !*place)
    *place = blob;
  else if(blob)
    g_bytes_unref(blob);
}

/** A blob without the first @p skip bytes. */
static GBytes *_skip(GBytes *blob, size_t skip)
{
  GBytes *rest = g_bytes_new_from_bytes(blob, skip, g_bytes_get_size(blob) - skip);
  g_bytes_unref(blob);
  return rest;
}

static gboolean _begins_with(GBytes *blob, const void *head, size_t size)
{
  gsize length;
  const void *data = g_bytes_get_data(blob, &length);
  return length > size && memcmp(data, head, size) == 0;
}

static void _take_exif(_chunks_t *self, GBytes *blob)
{
  if(_begins_with(blob, "Exif\0\0", 6)) blob = _skip(blob, 6);
  if(self->metadata->exif)
    g_bytes_unref(blob);
  else
    dt_metadata_take_exif(self->metadata, blob);
}

static void _take_iptc(_chunks_t *self, GBytes *blob)
{
  gsize size;
  const guint8 *data = g_bytes_get_data(blob, &size);
  if(_begins_with(blob, "8BIM", 4))
    _set_blob(&self->metadata->iptc, dt_metadata_find_iptc(data, size));
  else if(size > 0 && data[0] == 0x1c)
    _set_blob(&self->metadata->iptc, g_bytes_ref(blob));
  g_bytes_unref(blob);
}

/** A profile that another program stored as hexadecimal text. */
static void _take_raw_profile(_chunks_t *self, const char *keyword, GBytes *text)
{
  static const char xmp_head[] = "http://ns.adobe.com/xap/1.0/";
  const char *kind = keyword + strlen("Raw profile type ");
  gsize size;
  const char *data = g_bytes_get_data(text, &size);
  GBytes *blob = _decode_raw_profile(data, size);
  if(!blob) return;
  if(strcmp(kind, "iptc") == 0 || strcmp(kind, "8bim") == 0)
    _take_iptc(self, blob);
  else if(strcmp(kind, "xmp") == 0)
    _set_blob(&self->metadata->xmp, blob);
  else if(_begins_with(blob, xmp_head, sizeof(xmp_head)))
    _set_blob(&self->metadata->xmp, _skip(blob, sizeof(xmp_head)));
  else
    _take_exif(self, blob);
}

static gboolean _is_raw_profile(const char *keyword)
{
  static const char *const known[] = { "exif", "APP1", "iptc", "8bim", "xmp" };
  if(!g_str_has_prefix(keyword, "Raw profile type ")) return FALSE;
  for(size_t i = 0; i < G_N_ELEMENTS(known); i++)
    if(strcmp(keyword + strlen("Raw profile type "), known[i]) == 0) return TRUE;
  return FALSE;
}

/** tEXt: keyword, 0, text. zTXt: keyword, 0, method, deflated text. */
static void _read_text(_chunks_t *self, const guint8 *data, size_t size, gboolean deflated)
{
  const guint8 *end = memchr(data, 0, MIN(size, (size_t)80));
  if(!end || !_is_raw_profile((const char *)data)) return;
  const size_t head = (size_t)(end - data) + (deflated ? 2 : 1);
  if(head > size) return;
  GBytes *text = deflated ? _inflate(data + head, size - head) : g_bytes_new(data + head, size - head);
  if(!text) return;
  _take_raw_profile(self, (const char *)data, text);
  g_bytes_unref(text);
}

/** iTXt: keyword, 0, compressed?, method, language, 0, translated keyword, 0, text. */
static void _read_international(_chunks_t *self, const guint8 *data, size_t size)
{
  static const char keyword[] = "XML:com.adobe.xmp";
  if(size < sizeof(keyword) + 4 || memcmp(data, keyword, sizeof(keyword)) != 0) return;
  const gboolean deflated = data[sizeof(keyword)] == 1;
  size_t at = sizeof(keyword) + 2;
  for(int i = 0; i < 2; i++)
  {
    const guint8 *end = memchr(data + at, 0, size - at);
    if(!end) return;
    at = (size_t)(end - data) + 1;
  }
  _set_blob(&self->metadata->xmp,
            deflated ? _inflate(data + at, size - at) : g_bytes_new(data + at, size - at));
}

static void _read_resolution(_chunks_t *self, const guint8 *data, size_t size)
{
  if(size != 9 || data[8] != 1) return; // only pixels per metre say something
  const double x = _get_u32(data) * 0.0254, y = _get_u32(data + 4) * 0.0254;
  // EXIF, when it came first, has the exact fraction
  const dt_metadata_t *known = self->metadata;
  if(known->xres > 0.0 && fabs(known->xres - x) < 1.0 && fabs(known->yres - y) < 1.0) return;
  self->metadata->xres = x;
  self->metadata->yres = y;
}

// --- Colour

static void _read_profile(_chunks_t *self, const guint8 *data, size_t size)
{
  const guint8 *end = memchr(data, 0, MIN(size, (size_t)80));
  const size_t head = end ? (size_t)(end - data) + 2 : size;
  GBytes *profile = head < size ? _inflate(data + head, size - head) : NULL;
  if(!profile) self->bad_iccp = TRUE;
  _set_blob(&self->iccp, profile);
}

static void _read_primaries(_chunks_t *self, const guint8 *data, size_t size)
{
  if(size != 32) return;
  // the chunk begins with white
  for(int i = 0; i < 8; i++) self->primaries[(i + 6) % 8] = (gint32)_get_u32(data + 4 * i) / 100000.0;
  self->has_chrm = TRUE;
}

static gboolean _is_srgb_primaries(const double p[8])
{
  static const double srgb[8] = { 0.64, 0.33, 0.30, 0.60, 0.15, 0.06, 0.3127, 0.3290 };
  for(int i = 0; i < 8; i++)
    if(!(fabs(p[i] - srgb[i]) < 2e-3)) return FALSE;
  return TRUE;
}

static gboolean _is_plausible(const double p[8])
{
  for(int i = 0; i < 8; i += 2)
    if(!(p[i] > 0.0 && p[i] < 1.0 && p[i + 1] > 1e-5 && p[i] + p[i + 1] <= 1.00001)) return FALSE;
  return TRUE;
}

/** gAMA and cHRM as a profile; none when they mean sRGB or nothing sensible. */
static GBytes *_make_gamma_profile(const _chunks_t *self)
{
  static const double srgb[8] = { 0.64, 0.33, 0.30, 0.60, 0.15, 0.06, 0.3127, 0.3290 };
  if(self->gamma < 10000 || self->gamma > 1000000) return NULL;
  const double *primaries = self->has_chrm && _is_plausible(self->primaries) ? self->primaries : srgb;
  const gboolean usual = self->gamma > 45000 && self->gamma < 46000;
  if(usual && _is_srgb_primaries(primaries)) return NULL;
  const dt_curve_t curve = { .g = usual ? 2.2 : 100000.0 / self->gamma, .a = 1.0, .c = 1.0 };
  return dt_profile_generate("PNG gAMA and cHRM", primaries,
                             self->gamma == 100000 ? &dt_curve_linear : &curve);
}

/** cICP names primaries and transfer function by the numbers of ITU-T H.273. */
static gboolean _make_cicp_profile(_chunks_t *self, GBytes **profile, GError **error)
{
  const int primaries = self->cicp[0], transfer = self->cicp[1];
  const gboolean full_rgb = self->cicp[2] == 0 && self->cicp[3] == 1;
  const char *name = full_rgb ? dt_profile_name_for_cicp(primaries, transfer) : NULL;
  if(!name)
  {
    dt_imageio_set_error(error, DT_AI_ERROR_INPUT, self->input->name,
                         "the colours of this PNG are coded in a way that is not supported (cICP "
                         "%d, %d: %s); convert it first, or name a profile with --assume-profile",
                         primaries, transfer,
                         transfer == 16   ? "PQ"
                         : transfer == 18 ? "HLG"
                                          : "see ITU-T H.273");
    return FALSE;
  }
  if(strcmp(name, "srgb") != 0) *profile = dt_profile_load(name, 3, NULL);
  return TRUE;
}

static gboolean _choose_profile(_chunks_t *self, GError **error)
{
  GBytes **place = &self->metadata->icc;
  if(self->has_cicp) return _make_cicp_profile(self, place, error);
  if(self->iccp)
    *place = g_steal_pointer(&self->iccp);
  else if(self->bad_iccp) // read as it stands: the profile is what is damaged, and may be overruled
    *place = g_bytes_new_static("damaged", 7);
  else if(!self->has_srgb)
    *place = _make_gamma_profile(self);
  return TRUE;
}

// --- The walk

static void _read_chunk(_chunks_t *self, const char *type, const guint8 *data, size_t size)
{
  if(strcmp(type, "iCCP") == 0)
    _read_profile(self, data, size);
  else if(strcmp(type, "sRGB") == 0)
    self->has_srgb = TRUE;
  else if(strcmp(type, "gAMA") == 0 && size == 4)
    self->gamma = _get_u32(data);
  else if(strcmp(type, "cHRM") == 0)
    _read_primaries(self, data, size);
  else if(strcmp(type, "cICP") == 0 && size == 4)
  {
    memcpy(self->cicp, data, 4);
    self->has_cicp = TRUE;
  }
  else if(strcmp(type, "pHYs") == 0)
    _read_resolution(self, data, size);
  else if(strcmp(type, "eXIf") == 0)
    _take_exif(self, g_bytes_new(data, size));
  else if(strcmp(type, "iTXt") == 0)
    _read_international(self, data, size);
  else if(strcmp(type, "tEXt") == 0 || strcmp(type, "zTXt") == 0)
    _read_text(self, data, size, type[0] == 'z');
}

static gboolean _is_wanted(const char *type)
{
  static const char *const wanted[] = { "iCCP", "sRGB", "gAMA", "cHRM", "cICP",
                                        "pHYs", "eXIf", "iTXt", "tEXt", "zTXt" };
  for(size_t i = 0; i < G_N_ELEMENTS(wanted); i++)
    if(strcmp(type, wanted[i]) == 0) return TRUE;
  return FALSE;
}

/** Reads one chunk of interest; those with a wrong checksum are passed over. */
static void _visit(_chunks_t *self, const char *type, guint64 offset, size_t size)
{
  if(size == 0 || size > MAX_CHUNK || !_is_wanted(type)) return;
  GBytes *bytes = dt_input_read_bytes(self->input, offset - 4, size + 8);
  if(!bytes) return;
  const guint8 *data = g_bytes_get_data(bytes, NULL);
  if(libdeflate_crc32(0, data, size + 4) == _get_u32(data + 4 + size))
    _read_chunk(self, type, data + 4, size);
  else if(strcmp(type, "iCCP") == 0)
    self->bad_iccp = TRUE;
  g_bytes_unref(bytes);
}

static gboolean _walk(_chunks_t *self, GError **error)
{
  for(guint64 at = 8;;)
  {
    guint8 head[8];
    char type[5] = { 0 };
    if(dt_input_read(self->input, at, head, 8) != 8) break;
    const size_t size = _get_u32(head);
    memcpy(type, head + 4, 4);
    if(size > G_MAXINT32 || at + 12 + size > self->input->size) break;
    if(strcmp(type, "IEND") == 0) return TRUE;
    _visit(self, type, at + 8, size);
    at += 12 + size;
  }
  dt_imageio_set_error(error, DT_AI_ERROR_INPUT, self->input->name,
                       "this PNG is truncated or damaged; copy it again from its source");
  return FALSE;
}

gboolean dt_png_read_chunks(const dt_input_t *input, dt_metadata_t *metadata, GError **error)
{
  _chunks_t self = { .input = input, .metadata = metadata };
  const gboolean done = _walk(&self, error) && _choose_profile(&self, error);
  if(self.iccp) g_bytes_unref(self.iccp);
  return done;
}
