/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Writes PNG with 8 or 16 bits: pixels, the colour profile (or the sRGB chunk), EXIF, XMP, IPTC and
 * resolution. As in png_read.c, calls into the library sit in functions that own nothing, because
 * its errors come as long jumps. */
#include "imageio/png_chunks.h"

#include <png.h>
#include <setjmp.h>
#include <string.h>

/** Photographs hardly shrink beyond this level, whatever the time spent. */
#define DEFLATE_LEVEL 3

typedef struct _png_t
{
  dt_encoder_t encoder;
  dt_part_t *part;
  png_structp png;
  png_infop info;
  char message[128];
  GBytes *icc, *exif, *xmp; ///< as they are written
  char *iptc;               ///< as text
} _png_t;

// --- The library's way to us

static void _fail_in_library(png_structp png, png_const_charp text)
{
  _png_t *self = png_get_error_ptr(png);
  g_strlcpy(self->message, text, sizeof(self->message));
  png_longjmp(png, 1);
}

static void _drop_warning(png_structp png, png_const_charp text)
{
  (void)png, (void)text;
}

static void _write_data(png_structp png, png_bytep data, size_t size)
{
  _png_t *self = png_get_io_ptr(png);
  if(!dt_part_append(self->part, data, size)) png_error(png, "write error");
}

static void _flush_data(png_structp png)
{
  (void)png;
}

static gboolean _fail(const _png_t *self, GError **error)
{
  dt_part_set_error(self->part, *self->message ? self->message : "the PNG library gave no reason", error);
  return FALSE;
}

// --- Calls that may jump

static void _set_colour(_png_t *self)
{
  if(self->icc)
    png_set_iCCP(self->png, self->info, "ICC profile", PNG_COMPRESSION_TYPE_BASE,
                 g_bytes_get_data(self->icc, NULL), (png_uint_32)g_bytes_get_size(self->icc));
  else
    png_set_sRGB_gAMA_and_cHRM(self->png, self->info, PNG_sRGB_INTENT_RELATIVE);
}

/** XMP as the specification of XMP has it, IPTC as everyone does. */
static void _set_texts(_png_t *self)
{
  png_text texts[2] = { 0 };
  int count = 0;
  if(self->xmp)
    texts[count++] = (png_text){ .compression = PNG_ITXT_COMPRESSION_NONE,
                                 .key = (png_charp) "XML:com.adobe.xmp",
                                 .text = (png_charp)(uintptr_t)g_bytes_get_data(self->xmp, NULL),
                                 .lang = (png_charp) "",
                                 .lang_key = (png_charp) "" };
  if(self->iptc)
    texts[count++] = (png_text){ .compression = PNG_TEXT_COMPRESSION_zTXt,
                                 .key = (png_charp) "Raw profile type iptc",
                                 .text = self->iptc };
  png_set_text(self->png, self->info, texts, count);
}

static void _set_header(_png_t *self, const dt_encode_spec_t *spec)
{
  static const int types[] = { [DT_ROW_GREY] = PNG_COLOR_TYPE_GRAY,
                               [DT_ROW_GREY_ALPHA] = PNG_COLOR_TYPE_GRAY_ALPHA,
                               [DT_ROW_RGB] = PNG_COLOR_TYPE_RGB,
                               [DT_ROW_RGBA] = PNG_COLOR_TYPE_RGB_ALPHA };
  const dt_metadata_t *metadata = spec->metadata;
  png_set_user_limits(self->png, DT_IMAGEIO_MAX_SIDE, DT_IMAGEIO_MAX_SIDE);
  png_set_compression_level(self->png, DEFLATE_LEVEL);
  png_set_IHDR(self->png, self->info, (png_uint_32)spec->width, (png_uint_32)spec->height,
               spec->sample == DT_SAMPLE_U16 ? 16 : 8, types[spec->channels], PNG_INTERLACE_NONE,
               PNG_COMPRESSION_TYPE_BASE, PNG_FILTER_TYPE_BASE);
  if(metadata->xres > 0.0 && metadata->yres > 0.0 && metadata->xres < 1e6 && metadata->yres < 1e6)
    png_set_pHYs(self->png, self->info, (png_uint_32)(metadata->xres / 0.0254 + 0.5),
                 (png_uint_32)(metadata->yres / 0.0254 + 0.5), PNG_RESOLUTION_METER);
}

static gboolean _try_start(_png_t *self, const dt_encode_spec_t *spec)
{
  if(setjmp(png_jmpbuf(self->png))) return FALSE;
  png_set_write_fn(self->png, self, _write_data, _flush_data);
  _set_header(self, spec);
  _set_colour(self);
  if(self->exif)
    png_set_eXIf_1(self->png, self->info, (png_uint_32)g_bytes_get_size(self->exif),
                   (png_bytep)(uintptr_t)g_bytes_get_data(self->exif, NULL));
  _set_texts(self);
  png_write_info(self->png, self->info);
  if(G_BYTE_ORDER == G_LITTLE_ENDIAN) png_set_swap(self->png);
  return TRUE;
}

static gboolean _try_write_row(_png_t *self, png_const_bytep row)
{
  if(setjmp(png_jmpbuf(self->png))) return FALSE;
  png_write_row(self->png, row);
  return TRUE;
}

static gboolean _try_end(_png_t *self)
{
  if(setjmp(png_jmpbuf(self->png))) return FALSE;
  png_write_end(self->png, NULL);
  return TRUE;
}

// --- The encoder

static gboolean _write_row(dt_encoder_t *encoder, void *row, GError **error)
{
  _png_t *self = (_png_t *)encoder;
  return _try_write_row(self, row) || _fail(self, error);
}

static gboolean _finish(dt_encoder_t *encoder, GError **error)
{
  _png_t *self = (_png_t *)encoder;
  return (_try_end(self) && dt_part_flush(self->part)) || _fail(self, error);
}

static void _destroy(dt_encoder_t *encoder)
{
  _png_t *self = (_png_t *)encoder;
  if(self->png) png_destroy_write_struct(&self->png, &self->info);
  g_clear_pointer(&self->icc, g_bytes_unref);
  g_clear_pointer(&self->exif, g_bytes_unref);
  g_clear_pointer(&self->xmp, g_bytes_unref);
  g_free(self->iptc);
  g_free(self);
}

/** A blob with a zero behind it, as the library wants texts. */
static GBytes *_terminate(GBytes *text)
{
  if(!text) return NULL;
  gsize size;
  const char *data = g_bytes_get_data(text, &size);
  GBytes *result = g_bytes_new_take(g_strndup(data, size), size + 1);
  g_bytes_unref(text);
  return result;
}

static void _prepare_metadata(_png_t *self, const dt_encode_spec_t *spec)
{
  const size_t limit = (size_t)G_MAXINT32 / 4;
  const dt_metadata_t *metadata = spec->metadata;
  self->icc = metadata->icc ? g_bytes_ref(metadata->icc) : NULL;
  self->exif = dt_metadata_make_exif(spec, limit);
  self->xmp = _terminate(dt_metadata_make_xmp(spec, limit));
  GBytes *iptc = dt_metadata_make_iptc(spec), *block = iptc ? dt_metadata_wrap_iptc(iptc) : NULL;
  if(block) self->iptc = dt_png_encode_raw_profile("iptc", block);
  if(iptc) g_bytes_unref(iptc);
  if(block) g_bytes_unref(block);
}

dt_encoder_t *dt_png_encoder_create(const dt_encode_spec_t *spec, GError **error)
{
  _png_t *self = g_new0(_png_t, 1);
  const size_t row = (size_t)spec->width * (size_t)spec->channels * dt_sample_size(spec->sample);
  self->encoder.write_row = _write_row;
  self->encoder.finish = _finish;
  self->encoder.destroy = _destroy;
  self->part = spec->part;
  // five rows for the choice of filters, zlib's 256 KiB, buffers
  self->encoder.memory = sizeof(*self) + 5 * row + ((size_t)512 << 10);
  self->png = png_create_write_struct(PNG_LIBPNG_VER_STRING, self, _fail_in_library, _drop_warning);
  self->info = self->png ? png_create_info_struct(self->png) : NULL;
  if(self->info)
  {
    _prepare_metadata(self, spec);
    if(_try_start(self, spec)) return &self->encoder;
  }
  _fail(self, error);
  _destroy(&self->encoder);
  return NULL;
}
