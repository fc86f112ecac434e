/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Reads JPEG XL: grey and RGB with or without alpha, whole numbers and floating point, in the profile that the file has.
 * The file is gone through twice: for what it says about itself, and later for the pixels. */
#include "imageio/late_library.h"
#include "imageio/whole_image.h"

#include <string.h>

#include <jxl/decode.h>
#include <jxl/version.h>

#define FUNCTIONS                                                                                            \
  F(CloseInput)                                                                                              \
  F(Create)                                                                                                  \
  F(Destroy)                                                                                                 \
  F(GetBasicInfo)                                                                                            \
  F(GetBoxType)                                                                                              \
  F(GetColorAsICCProfile)                                                                                    \
  F(GetExtraChannelInfo)                                                                                     \
  F(GetICCProfileSize)                                                                                       \
  F(ImageOutBufferSize)                                                                                      \
  F(ProcessInput)                                                                                            \
  F(ReleaseBoxBuffer)                                                                                        \
  F(ReleaseInput)                                                                                            \
  F(SetBoxBuffer)                                                                                            \
  F(SetDecompressBoxes)                                                                                      \
  F(SetImageOutBuffer)                                                                                       \
  F(SetInput)                                                                                                \
  F(SetKeepOrientation)                                                                                      \
  F(SetUnpremultiplyAlpha)                                                                                   \
  F(SubscribeEvents)

/* NOLINTNEXTLINE(bugprone-macro-parentheses): it declares */
#define F(name) __typeof__(JxlDecoder##name) *name;
static struct
{
  FUNCTIONS
} _jxl;
#undef F
#define F(name) "JxlDecoder" #name,
static const char *const _names[] = { FUNCTIONS NULL };
#undef F
static dt_late_library_t _library = { .file = DT_JXL_LIBRARY, .names = _names, .functions = &_jxl };

// before 0.9 two functions were told a format that they do not use
#if JPEGXL_NUMERIC_VERSION < JPEGXL_COMPUTE_NUMERIC_VERSION(0, 9, 0)
#define FORMAT(format) (format),
#else
#define FORMAT(format)
#endif

/** What the library holds while it decodes, a pixel: three floats, and as many in between. */
#define BYTES_PER_PIXEL 20
/** Room for a box of metadata at first; it grows. */
#define BOX_ROOM ((size_t)64 << 10)

typedef struct _scan_t
{
  dt_whole_t *whole;
  dt_metadata_t *metadata;
  JxlDecoder *decoder;
  JxlBasicInfo info;
  gboolean container, has_info, has_black, closed;
  GBytes **place;  ///< where the box goes that is being read, or NULL
  GByteArray *box; ///< the room for it
  GBytes *exif;
} _scan_t;

static JxlPixelFormat _get_format(const dt_decoder_t *decoder)
{
  return (JxlPixelFormat){ .num_channels = (uint32_t)decoder->channels,
                           .data_type = decoder->sample == DT_SAMPLE_U8    ? JXL_TYPE_UINT8
                                        : decoder->sample == DT_SAMPLE_U16 ? JXL_TYPE_UINT16
                                                                           : JXL_TYPE_FLOAT,
                           .endianness = JXL_NATIVE_ENDIAN };
}

static JxlDecoder *_start(const dt_whole_t *whole, int events)
{
  gsize size;
  const uint8_t *data = g_bytes_get_data(whole->file, &size);
  JxlDecoder *decoder = _jxl.Create(NULL);
  // pixels lie as in the file; the orientation goes along as that of the other formats does
  if(decoder && _jxl.SubscribeEvents(decoder, events) == JXL_DEC_SUCCESS
     && _jxl.SetKeepOrientation(decoder, JXL_TRUE) == JXL_DEC_SUCCESS
     && _jxl.SetUnpremultiplyAlpha(decoder, JXL_TRUE) == JXL_DEC_SUCCESS
     && _jxl.SetInput(decoder, data, size) == JXL_DEC_SUCCESS)
    return decoder; // the input is not closed: an early end would be printed
  if(decoder) _jxl.Destroy(decoder);
  return NULL;
}

/** Whether the boxes of a container all end within the file; a bare codestream has none. The library would complain
 * about it on its own account. */
static gboolean _has_whole_boxes(const dt_whole_t *whole, gboolean *container)
{
  gsize size;
  const uint8_t *data = g_bytes_get_data(whole->file, &size);
  *container = size >= 12 && data[0] == 0;
  for(gsize at = 0; *container && at < size;)
  {
    if(size - at < 8) return FALSE;
    guint64 length = dt_exif_get_uint(data + at, 4, TRUE);
    if(length == 1 && size - at >= 16) length = dt_exif_get_uint(data + at + 8, 8, TRUE);
    if(length == 0) return TRUE; // until the end
    if(length < 8 || length > size - at) return FALSE;
    at += (gsize)length;
  }
  return TRUE;
}

// --- Pixels

static gboolean _give_room(JxlDecoder *decoder, const dt_whole_t *whole)
{
  const JxlPixelFormat format = _get_format(&whole->decoder);
  const size_t room = whole->row_bytes * (size_t)whole->decoder.height;
  size_t size = 0;
  return _jxl.ImageOutBufferSize(decoder, &format, &size) == JXL_DEC_SUCCESS && size == room
         && _jxl.SetImageOutBuffer(decoder, &format, whole->pixels, room) == JXL_DEC_SUCCESS;
}

static gboolean _decode(dt_whole_t *whole, char *reason)
{
  JxlDecoder *decoder = _start(whole, JXL_DEC_FULL_IMAGE);
  JxlDecoderStatus status = decoder ? JXL_DEC_SUCCESS : JXL_DEC_ERROR;
  for(gboolean more = decoder != NULL; more;)
  {
    status = _jxl.ProcessInput(decoder);
    more = status == JXL_DEC_NEED_IMAGE_OUT_BUFFER && _give_room(decoder, whole);
  }
  if(decoder) _jxl.Destroy(decoder);
  if(status == JXL_DEC_NEED_MORE_INPUT) g_strlcpy(reason, "it ends early", 160);
  return status == JXL_DEC_FULL_IMAGE;
}

// --- Metadata

/** Takes over the box that has been read. */
static void _end_box(_scan_t *self)
{
  if(!self->place) return;
  const size_t unused = _jxl.ReleaseBoxBuffer(self->decoder);
  const size_t size = self->box->len - MIN(unused, (size_t)self->box->len);
  if(size > 0 && !*self->place) *self->place = g_bytes_new(self->box->data, size);
  self->place = NULL;
}

static void _begin_box(_scan_t *self)
{
  JxlBoxType type;
  _end_box(self);
  if(_jxl.GetBoxType(self->decoder, type, JXL_TRUE) != JXL_DEC_SUCCESS) return;
  if(memcmp(type, "Exif", 4) == 0) self->place = &self->exif;
  if(memcmp(type, "xml ", 4) == 0) self->place = &self->metadata->xmp;
  if(!self->place) return;
  g_byte_array_set_size(self->box, BOX_ROOM);
  if(_jxl.SetBoxBuffer(self->decoder, self->box->data, self->box->len) != JXL_DEC_SUCCESS) self->place = NULL;
}

static gboolean _grow_box(_scan_t *self)
{
  const size_t unused = _jxl.ReleaseBoxBuffer(self->decoder), used = self->box->len - unused;
  if(self->box->len > DT_IMAGEIO_MAX_BLOB / 2) return FALSE;
  g_byte_array_set_size(self->box, self->box->len * 2);
  return _jxl.SetBoxBuffer(self->decoder, self->box->data + used, self->box->len - used) == JXL_DEC_SUCCESS;
}

/** The box begins with the distance to the TIFF structure; the orientation that counts is the codestream's. */
static void _take_exif(_scan_t *self)
{
  gsize size = 0;
  const guint8 *data = self->exif ? g_bytes_get_data(self->exif, &size) : NULL;
  if(size > 4)
  {
    const size_t skip = 4 + ((size_t)data[0] << 24 | (size_t)data[1] << 16 | (size_t)data[2] << 8 | data[3]);
    if(skip < size)
      dt_metadata_take_exif(self->metadata, g_bytes_new_from_bytes(self->exif, skip, size - skip));
  }
  self->metadata->orientation = CLAMP((int)self->info.orientation, 1, 8);
}

// --- What the file says about itself

static void _choose_sample(dt_decoder_t *decoder, const JxlBasicInfo *info)
{
  const gboolean whole_numbers = info->exponent_bits_per_sample == 0 && info->bits_per_sample <= 16;
  // what was compressed with losses has more than eight bits to say
  const gboolean exact = info->uses_original_profile && info->bits_per_sample <= 8;
  decoder->bits = (int)info->bits_per_sample;
  decoder->sample = !whole_numbers ? DT_SAMPLE_F32 : exact ? DT_SAMPLE_U8 : DT_SAMPLE_U16;
}

static gboolean _read_info(_scan_t *self)
{
  dt_decoder_t *decoder = &self->whole->decoder;
  const JxlBasicInfo *info = &self->info;
  if(_jxl.GetBasicInfo(self->decoder, &self->info) != JXL_DEC_SUCCESS) return FALSE;
  for(uint32_t i = 0; i < info->num_extra_channels; i++)
  {
    JxlExtraChannelInfo extra;
    if(_jxl.GetExtraChannelInfo(self->decoder, i, &extra) != JXL_DEC_SUCCESS) return FALSE;
    self->has_black |= extra.type == JXL_CHANNEL_BLACK;
  }
  self->has_info = TRUE;
  decoder->width = (int)MIN(info->xsize, (uint32_t)G_MAXINT);
  decoder->height = (int)MIN(info->ysize, (uint32_t)G_MAXINT);
  decoder->channels = (info->num_color_channels == 1 ? 1 : 3) + (info->alpha_bits > 0 ? 1 : 0);
  _choose_sample(decoder, info);
  return TRUE;
}

static gboolean _read_profile(_scan_t *self)
{
  const JxlColorProfileTarget target = JXL_COLOR_PROFILE_TARGET_DATA;
  size_t size = 0;
  if(_jxl.GetICCProfileSize(self->decoder, FORMAT(NULL) target, &size) != JXL_DEC_SUCCESS || size == 0)
    return TRUE;
  if(size > DT_IMAGEIO_MAX_BLOB) return FALSE;
  guint8 *icc = g_malloc(size);
  if(_jxl.GetColorAsICCProfile(self->decoder, FORMAT(NULL) target, icc, size) == JXL_DEC_SUCCESS)
    self->metadata->icc = g_bytes_new_take(icc, size);
  else
    g_free(icc);
  return TRUE;
}

/** Where the input of a container ends, all has been seen, or a box that lasts until there. */
static gboolean _close(_scan_t *self)
{
  if(self->closed || _jxl.ReleaseInput(self->decoder) > 0) return FALSE;
  _jxl.CloseInput(self->decoder);
  self->closed = TRUE;
  return TRUE;
}

/** One step of the library; FALSE at the end, with *@p fine set when it was reached well. */
static gboolean _step(_scan_t *self, gboolean *fine)
{
  switch(_jxl.ProcessInput(self->decoder))
  {
  case JXL_DEC_BASIC_INFO: return _read_info(self);
  case JXL_DEC_COLOR_ENCODING:
    if(!_read_profile(self)) return FALSE;
    *fine = !self->container; // nothing more to be told there
    return self->container;
  case JXL_DEC_BOX: _begin_box(self); return TRUE;
  case JXL_DEC_BOX_NEED_MORE_OUTPUT: return _grow_box(self);
  case JXL_DEC_NEED_MORE_INPUT: return _close(self);
  case JXL_DEC_SUCCESS: *fine = self->has_info; return FALSE;
  default: return FALSE;
  }
}

static gboolean _check_kind(const _scan_t *self, GError **error)
{
  if(self->info.have_animation)
    return dt_whole_fail(self->whole, error,
                         "this JPEG XL is an animation; export one of its pictures first");
  if(self->has_black)
    return dt_whole_fail(self->whole, error,
                         "this JPEG XL is CMYK, which is not supported; convert it to RGB first");
  return dt_whole_measure(self->whole, BYTES_PER_PIXEL, error);
}

static gboolean _scan(dt_whole_t *whole, dt_metadata_t *metadata, GError **error)
{
  gboolean fine = FALSE;
  _scan_t self = { .whole = whole, .metadata = metadata, .box = g_byte_array_new() };
  const int events = JXL_DEC_BASIC_INFO | JXL_DEC_COLOR_ENCODING;
  if(_has_whole_boxes(whole, &self.container))
    self.decoder = _start(whole, events | (self.container ? JXL_DEC_BOX : 0));
  if(self.decoder) _jxl.SetDecompressBoxes(self.decoder, JXL_TRUE);
  while(self.decoder && _step(&self, &fine)) continue;
  if(fine) _end_box(&self);
  if(fine) _take_exif(&self);
  if(self.decoder) _jxl.Destroy(self.decoder);
  g_clear_pointer(&self.exif, g_bytes_unref);
  g_byte_array_unref(self.box);
  return fine ? _check_kind(&self, error) : dt_whole_fail_damaged(whole, error, "");
}

dt_decoder_t *dt_jxl_decoder_create(const dt_input_t *input, dt_metadata_t *metadata, GError **error)
{
  dt_whole_t *whole = dt_whole_create(input, "JPEG XL", &_library, _decode, error);
  if(!whole) return NULL;
  if(_scan(whole, metadata, error)) return &whole->decoder;
  whole->decoder.destroy(&whole->decoder);
  return NULL;
}
