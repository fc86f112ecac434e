/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Reads HEIF (HEIC, AVIF): the primary picture, 8 to 16 bits, RGB with or without alpha. The library turns and mirrors
 * pictures as the file says and leaves nothing to be turned, so the orientation is 1 whatever EXIF says. */
#include "imageio/late_library.h"
#include "imageio/whole_image.h"

#include <string.h>

#include <libheif/heif.h>

#define FUNCTIONS                                                                                            \
  F(context_alloc)                                                                                           \
  F(context_free)                                                                                            \
  F(context_get_primary_image_handle)                                                                        \
  F(context_read_from_memory_without_copy)                                                                   \
  F(decode_image)                                                                                            \
  F(decoding_options_alloc)                                                                                  \
  F(decoding_options_free)                                                                                   \
  F(image_get_bits_per_pixel_range)                                                                          \
  F(image_get_height)                                                                                        \
  F(image_get_plane_readonly)                                                                                \
  F(image_get_width)                                                                                         \
  F(image_handle_get_color_profile_type)                                                                     \
  F(image_handle_get_height)                                                                                 \
  F(image_handle_get_list_of_metadata_block_IDs)                                                             \
  F(image_handle_get_luma_bits_per_pixel)                                                                    \
  F(image_handle_get_metadata)                                                                               \
  F(image_handle_get_metadata_content_type)                                                                  \
  F(image_handle_get_metadata_size)                                                                          \
  F(image_handle_get_metadata_type)                                                                          \
  F(image_handle_get_nclx_color_profile)                                                                     \
  F(image_handle_get_raw_color_profile)                                                                      \
  F(image_handle_get_raw_color_profile_size)                                                                 \
  F(image_handle_get_width)                                                                                  \
  F(image_handle_has_alpha_channel)                                                                          \
  F(image_handle_is_premultiplied_alpha)                                                                     \
  F(image_handle_release)                                                                                    \
  F(image_release)                                                                                           \
  F(nclx_color_profile_free)

/* NOLINTNEXTLINE(bugprone-macro-parentheses): it declares */
#define F(name) __typeof__(heif_##name) *name;
static struct
{
  FUNCTIONS
} _heif;
#undef F
#define F(name) "heif_" #name,
static const char *const _names[] = { FUNCTIONS NULL };
#undef F
static dt_late_library_t _library = { .file = DT_HEIF_LIBRARY, .names = _names, .functions = &_heif };

/** What the library holds while it decodes, a pixel: its planes, and the same as RGB. */
#define BYTES_PER_PIXEL 12

/** A file, opened. */
typedef struct _heif_t
{
  struct heif_context *context;
  struct heif_image_handle *handle;
} _heif_t;

static gboolean _open(_heif_t *self, const dt_whole_t *whole, char *reason)
{
  gsize size;
  const void *data = g_bytes_get_data(whole->file, &size);
  self->context = _heif.context_alloc();
  if(!self->context) return FALSE;
  struct heif_error result = _heif.context_read_from_memory_without_copy(self->context, data, size, NULL);
  if(result.code == heif_error_Ok)
    result = _heif.context_get_primary_image_handle(self->context, &self->handle);
  if(result.code != heif_error_Ok && result.message) g_strlcpy(reason, result.message, 160);
  return result.code == heif_error_Ok;
}

static void _close(_heif_t *self)
{
  if(self->handle) _heif.image_handle_release(self->handle);
  if(self->context) _heif.context_free(self->context);
}

// --- Pixels

static enum heif_chroma _get_chroma(const dt_decoder_t *decoder)
{
  const gboolean alpha = decoder->channels == DT_ROW_RGBA;
  if(decoder->sample == DT_SAMPLE_U8)
    return alpha ? heif_chroma_interleaved_RGBA : heif_chroma_interleaved_RGB;
  if(G_BYTE_ORDER == G_LITTLE_ENDIAN)
    return alpha ? heif_chroma_interleaved_RRGGBBAA_LE : heif_chroma_interleaved_RRGGBB_LE;
  return alpha ? heif_chroma_interleaved_RRGGBBAA_BE : heif_chroma_interleaved_RRGGBB_BE;
}

/** Stretches samples of fewer bits over all sixteen. */
static void _stretch(uint16_t *samples, size_t n, int bits)
{
  const uint32_t top = (1u << bits) - 1;
  for(size_t i = 0; i < n; i++) samples[i] = (uint16_t)((MIN(samples[i], top) * 65535u + top / 2) / top);
}

static gboolean _take_pixels(dt_whole_t *whole, const struct heif_image *image)
{
  const dt_decoder_t *decoder = &whole->decoder;
  int stride = 0;
  const uint8_t *plane = _heif.image_get_plane_readonly(image, heif_channel_interleaved, &stride);
  const int bits = _heif.image_get_bits_per_pixel_range(image, heif_channel_interleaved);
  if(!plane || stride < 0 || (size_t)stride < whole->row_bytes || bits < 8 || bits > 16
     || _heif.image_get_width(image, heif_channel_interleaved) != decoder->width
     || _heif.image_get_height(image, heif_channel_interleaved) != decoder->height)
    return FALSE;
  for(int y = 0; y < decoder->height; y++)
  {
    uint8_t *row = whole->pixels + (size_t)y * whole->row_bytes;
    memcpy(row, plane + (size_t)y * (size_t)stride, whole->row_bytes);
    if(decoder->sample == DT_SAMPLE_U16)
      _stretch((uint16_t *)(void *)row, (size_t)decoder->width * (size_t)decoder->channels, bits);
  }
  return TRUE;
}

static gboolean _decode(dt_whole_t *whole, char *reason)
{
  _heif_t heif = { 0 };
  struct heif_image *image = NULL;
  struct heif_decoding_options *options = _heif.decoding_options_alloc();
  if(options && options->version >= 3) options->strict_decoding = 1; // half a picture is none
  gboolean done = options && _open(&heif, whole, reason);
  if(done)
  {
    const struct heif_error result =
        _heif.decode_image(heif.handle, &image, heif_colorspace_RGB, _get_chroma(&whole->decoder), options);
    done = result.code == heif_error_Ok && _take_pixels(whole, image);
    if(result.code != heif_error_Ok && result.message) g_strlcpy(reason, result.message, 160);
  }
  if(image) _heif.image_release(image);
  if(options) _heif.decoding_options_free(options);
  _close(&heif);
  return done;
}

// --- Colour

static const dt_curve_t *_find_curve(int transfer)
{
  switch(transfer)
  {
  case 2: // unspecified
  case 13: return &dt_curve_srgb;
  case 8: return &dt_curve_linear;
  case 1:
  case 6:
  case 14:
  case 15: return &dt_curve_rec2020; // all of them the curve of BT.709
  default: return NULL;
  }
}

static gboolean _make_profile(const dt_whole_t *whole, const struct heif_color_profile_nclx *nclx,
                              GBytes **icc, GError **error)
{
  const int primaries = nclx->color_primaries == 2 ? 1 : nclx->color_primaries;
  const int transfer = nclx->transfer_characteristics == 2 ? 13 : nclx->transfer_characteristics;
  const char *name = dt_profile_name_for_cicp(primaries, transfer);
  const dt_curve_t *curve = _find_curve(transfer);
  const double xy[8] = { (double)nclx->color_primary_red_x,   (double)nclx->color_primary_red_y,
                         (double)nclx->color_primary_green_x, (double)nclx->color_primary_green_y,
                         (double)nclx->color_primary_blue_x,  (double)nclx->color_primary_blue_y,
                         (double)nclx->color_primary_white_x, (double)nclx->color_primary_white_y };
  static const double rec709[8] = { 0.64, 0.33, 0.30, 0.60, 0.15, 0.06, 0.3127, 0.3290 };
  if(name)
    *icc = dt_profile_load(name, 3, NULL);
  else if(curve && (primaries == 1 || xy[7] > 0.0))
    *icc = dt_profile_generate("HEIF nclx", primaries == 1 ? rec709 : xy, curve);
  if(*icc) return TRUE;
  dt_imageio_set_error(
      error, DT_AI_ERROR_INPUT, whole->input->name,
      "the colours of this HEIF are coded in a way that is not supported (nclx %d, %d: %s); convert "
      "it first, or export it for standard dynamic range",
      primaries, transfer,
      transfer == 16   ? "PQ"
      : transfer == 18 ? "HLG"
                       : "see ITU-T H.273");
  return FALSE;
}

static gboolean _read_nclx(const dt_whole_t *whole, const _heif_t *heif, GBytes **icc, GError **error)
{
  struct heif_color_profile_nclx *nclx = NULL;
  const struct heif_error result = _heif.image_handle_get_nclx_color_profile(heif->handle, &nclx);
  const gboolean done = result.code != heif_error_Ok || !nclx || _make_profile(whole, nclx, icc, error);
  if(nclx) _heif.nclx_color_profile_free(nclx);
  return done;
}

static gboolean _read_colour(const dt_whole_t *whole, const _heif_t *heif, GBytes **icc, GError **error)
{
  const enum heif_color_profile_type type = _heif.image_handle_get_color_profile_type(heif->handle);
  if(type == heif_color_profile_type_nclx) return _read_nclx(whole, heif, icc, error);
  const size_t size = _heif.image_handle_get_raw_color_profile_size(heif->handle);
  if(type == heif_color_profile_type_not_present || size == 0 || size > DT_IMAGEIO_MAX_BLOB) return TRUE;
  guint8 *data = g_malloc(size);
  if(_heif.image_handle_get_raw_color_profile(heif->handle, data).code == heif_error_Ok)
    *icc = g_bytes_new_take(data, size);
  else
    g_free(data);
  return TRUE;
}

// --- Metadata

static GBytes *_get_block(const _heif_t *heif, heif_item_id id)
{
  const size_t size = _heif.image_handle_get_metadata_size(heif->handle, id);
  guint8 *data = size > 0 && size <= DT_IMAGEIO_MAX_BLOB ? g_malloc(size) : NULL;
  if(data && _heif.image_handle_get_metadata(heif->handle, id, data).code == heif_error_Ok)
    return g_bytes_new_take(data, size);
  g_free(data);
  return NULL;
}

/** The block begins with the distance to the TIFF structure. */
static void _take_exif(dt_metadata_t *metadata, GBytes *block)
{
  gsize size = 0;
  const guint8 *data = block ? g_bytes_get_data(block, &size) : NULL;
  const size_t skip =
      size > 4 ? 4 + ((size_t)data[0] << 24 | (size_t)data[1] << 16 | (size_t)data[2] << 8 | data[3]) : size;
  if(skip < size) dt_metadata_take_exif(metadata, g_bytes_new_from_bytes(block, skip, size - skip));
  if(block) g_bytes_unref(block);
}

static void _read_metadata(const _heif_t *heif, dt_metadata_t *metadata)
{
  heif_item_id ids[64];
  const int count =
      _heif.image_handle_get_list_of_metadata_block_IDs(heif->handle, NULL, ids, G_N_ELEMENTS(ids));
  for(int i = 0; i < count; i++)
  {
    const char *type = _heif.image_handle_get_metadata_type(heif->handle, ids[i]);
    const char *content = _heif.image_handle_get_metadata_content_type(heif->handle, ids[i]);
    if(g_strcmp0(type, "Exif") == 0 && !metadata->exif)
      _take_exif(metadata, _get_block(heif, ids[i]));
    else if(g_strcmp0(type, "mime") == 0 && g_strcmp0(content, "application/rdf+xml") == 0 && !metadata->xmp)
      metadata->xmp = _get_block(heif, ids[i]);
  }
  metadata->orientation = 1;
}

// --- Opening

static gboolean _measure(dt_whole_t *whole, const _heif_t *heif, GError **error)
{
  const int bits = _heif.image_handle_get_luma_bits_per_pixel(heif->handle);
  dt_decoder_t *decoder = &whole->decoder;
  if(bits < 1 || bits > 16) return dt_whole_fail_damaged(whole, error, "");
  decoder->width = _heif.image_handle_get_width(heif->handle);
  decoder->height = _heif.image_handle_get_height(heif->handle);
  decoder->channels = _heif.image_handle_has_alpha_channel(heif->handle) ? DT_ROW_RGBA : DT_ROW_RGB;
  decoder->bits = MAX(bits, 8);
  decoder->sample = bits > 8 ? DT_SAMPLE_U16 : DT_SAMPLE_U8;
  decoder->alpha_associated =
      decoder->channels == DT_ROW_RGBA && _heif.image_handle_is_premultiplied_alpha(heif->handle);
  return dt_whole_measure(whole, BYTES_PER_PIXEL, error);
}

static gboolean _read_header(dt_whole_t *whole, dt_metadata_t *metadata, GError **error)
{
  _heif_t heif = { 0 };
  char reason[160] = "";
  gboolean done = _open(&heif, whole, reason) || dt_whole_fail_damaged(whole, error, reason);
  done = done && _measure(whole, &heif, error) && _read_colour(whole, &heif, &metadata->icc, error);
  if(done) _read_metadata(&heif, metadata);
  _close(&heif);
  return done;
}

dt_decoder_t *dt_heif_decoder_create(const dt_input_t *input, dt_metadata_t *metadata, GError **error)
{
  dt_whole_t *whole = dt_whole_create(input, "HEIF", &_library, _decode, error);
  if(!whole) return NULL;
  if(_read_header(whole, metadata, error)) return &whole->decoder;
  whole->decoder.destroy(&whole->decoder);
  return NULL;
}
