/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Reads WebP, lossy and lossless: 8 bits, RGB with or without alpha, the profile, EXIF and XMP. */
#include "imageio/whole_image.h"

#include <string.h>

#include <webp/decode.h>
#include <webp/demux.h>

/** What the library keeps beside its output: rows for the loop filter, or the pixels of a lossless picture. */
#define BYTES_PER_PIXEL 4

static gboolean _decode(dt_whole_t *whole, char *reason)
{
  gsize size;
  const uint8_t *data = g_bytes_get_data(whole->file, &size);
  const dt_decoder_t *decoder = &whole->decoder;
  WebPDecoderConfig config;
  if(!WebPInitDecoderConfig(&config)) return FALSE;
  config.output.colorspace = decoder->channels == DT_ROW_RGBA ? MODE_RGBA : MODE_RGB;
  config.output.is_external_memory = 1;
  config.output.u.RGBA = (WebPRGBABuffer){ .rgba = whole->pixels,
                                           .stride = (int)whole->row_bytes,
                                           .size = whole->row_bytes * (size_t)decoder->height };
  const VP8StatusCode status = WebPDecode(data, size, &config);
  if(status == VP8_STATUS_OUT_OF_MEMORY) g_strlcpy(reason, "not enough memory", 160);
  WebPFreeDecBuffer(&config.output);
  return status == VP8_STATUS_OK;
}

static GBytes *_get_chunk(const WebPDemuxer *demuxer, const char *name)
{
  WebPChunkIterator chunk;
  GBytes *bytes = NULL;
  if(!WebPDemuxGetChunk(demuxer, name, 1, &chunk)) return NULL;
  if(chunk.chunk.size > 0 && chunk.chunk.size <= DT_IMAGEIO_MAX_BLOB)
    bytes = g_bytes_new(chunk.chunk.bytes, chunk.chunk.size);
  WebPDemuxReleaseChunkIterator(&chunk);
  return bytes;
}

/** Some programs keep the prefix that EXIF has in a JPEG. */
static GBytes *_strip_prefix(GBytes *exif)
{
  gsize size = 0;
  const char *data = exif ? g_bytes_get_data(exif, &size) : NULL;
  if(size <= 6 || memcmp(data, "Exif\0\0", 6) != 0) return exif;
  GBytes *rest = g_bytes_new_from_bytes(exif, 6, size - 6);
  g_bytes_unref(exif);
  return rest;
}

static void _read_metadata(const dt_whole_t *whole, dt_metadata_t *metadata)
{
  gsize size;
  const uint8_t *data = g_bytes_get_data(whole->file, &size);
  WebPDemuxer *demuxer = WebPDemux(&(const WebPData){ .bytes = data, .size = size });
  if(!demuxer) return; // the pixels will tell what is wrong
  metadata->icc = _get_chunk(demuxer, "ICCP");
  metadata->xmp = _get_chunk(demuxer, "XMP ");
  dt_metadata_take_exif(metadata, _strip_prefix(_get_chunk(demuxer, "EXIF")));
  WebPDemuxDelete(demuxer);
}

static gboolean _read_header(dt_whole_t *whole, GError **error)
{
  gsize size;
  WebPBitstreamFeatures features;
  const uint8_t *data = g_bytes_get_data(whole->file, &size);
  if(WebPGetFeatures(data, size, &features) != VP8_STATUS_OK) return dt_whole_fail_damaged(whole, error, "");
  if(features.has_animation)
    return dt_whole_fail(whole, error, "this WebP is an animation; export one of its pictures first");
  whole->decoder.width = features.width;
  whole->decoder.height = features.height;
  whole->decoder.channels = features.has_alpha ? DT_ROW_RGBA : DT_ROW_RGB;
  whole->decoder.sample = DT_SAMPLE_U8;
  whole->decoder.bits = 8;
  return dt_whole_measure(whole, BYTES_PER_PIXEL, error);
}

dt_decoder_t *dt_webp_decoder_create(const dt_input_t *input, dt_metadata_t *metadata, GError **error)
{
  dt_whole_t *whole = dt_whole_create(input, "WebP", NULL, _decode, error);
  if(!whole) return NULL;
  if(!_read_header(whole, error))
  {
    whole->decoder.destroy(&whole->decoder);
    return NULL;
  }
  _read_metadata(whole, metadata);
  return &whole->decoder;
}
