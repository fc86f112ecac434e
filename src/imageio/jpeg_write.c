/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Writes JPEG: baseline, row by row. From quality 90 on colours are not subsampled. Huffman tables
 * are the standard ones, because better ones would need the whole picture in memory. Metadata goes
 * into one segment each; what does not fit into its 64 KiB is left out and said so. */
#include "imageio/metadata.h"

#include <setjmp.h>
#include <stdio.h>
#include <string.h>

#include <jerror.h>
#include <jpeglib.h>

#define BUFFER_SIZE ((size_t)64 << 10)
/** Bytes a segment holds behind its length. */
#define SEGMENT_SIZE ((size_t)65533)
/** From this quality on colours keep their full resolution. */
#define FULL_COLOUR_QUALITY 90

typedef struct _jpeg_t
{
  dt_encoder_t encoder;
  dt_part_t *part;
  struct jpeg_compress_struct info;
  struct jpeg_error_mgr errors;
  struct jpeg_destination_mgr target;
  jmp_buf jump;
  gboolean created;
  char message[JMSG_LENGTH_MAX];
  GBytes *segments[3]; ///< EXIF, XMP, IPTC with their heads, or NULL
  uint8_t buffer[BUFFER_SIZE];
} _jpeg_t;

static const int _segment_markers[3] = { JPEG_APP0 + 1, JPEG_APP0 + 1, JPEG_APP0 + 13 };

// --- The library's way to us

static void _fail_in_library(j_common_ptr info)
{
  _jpeg_t *self = info->client_data;
  info->err->format_message(info, self->message);
  longjmp(self->jump, 1);
}

static void _print_nothing(j_common_ptr info)
{
  (void)info;
}

static void _start_target(j_compress_ptr info)
{
  _jpeg_t *self = info->client_data;
  self->target.next_output_byte = self->buffer;
  self->target.free_in_buffer = BUFFER_SIZE;
}

static boolean _empty_buffer(j_compress_ptr info)
{
  _jpeg_t *self = info->client_data;
  if(!dt_part_append(self->part, self->buffer, BUFFER_SIZE)) ERREXIT(info, JERR_FILE_WRITE);
  _start_target(info);
  return TRUE;
}

static void _end_target(j_compress_ptr info)
{
  _jpeg_t *self = info->client_data;
  const size_t size = BUFFER_SIZE - self->target.free_in_buffer;
  if(!dt_part_append(self->part, self->buffer, size)) ERREXIT(info, JERR_FILE_WRITE);
}

static gboolean _fail(const _jpeg_t *self, GError **error)
{
  dt_part_set_error(self->part, *self->message ? self->message : "the JPEG library gave no reason", error);
  return FALSE;
}

// --- Calls that may jump

static void _set_resolution(_jpeg_t *self, const dt_metadata_t *metadata)
{
  if(!(metadata->xres >= 1.0 && metadata->yres >= 1.0 && metadata->xres < 65535.0
       && metadata->yres < 65535.0))
    return;
  self->info.density_unit = 1; // per inch
  self->info.X_density = (UINT16)(metadata->xres + 0.5);
  self->info.Y_density = (UINT16)(metadata->yres + 0.5);
}

static void _set_parameters(_jpeg_t *self, const dt_encode_spec_t *spec)
{
  self->info.image_width = (JDIMENSION)spec->width;
  self->info.image_height = (JDIMENSION)spec->height;
  self->info.input_components = spec->channels;
  self->info.in_color_space = spec->channels == 1 ? JCS_GRAYSCALE : JCS_RGB;
  jpeg_set_defaults(&self->info);
  jpeg_set_quality(&self->info, spec->quality, TRUE);
  if(spec->quality >= FULL_COLOUR_QUALITY)
    self->info.comp_info[0].h_samp_factor = self->info.comp_info[0].v_samp_factor = 1;
  _set_resolution(self, spec->metadata);
}

static void _write_segments(_jpeg_t *self, GBytes *icc)
{
  gsize size;
  for(size_t i = 0; i < G_N_ELEMENTS(self->segments); i++)
    if(self->segments[i])
    {
      const void *data = g_bytes_get_data(self->segments[i], &size);
      jpeg_write_marker(&self->info, _segment_markers[i], data, (unsigned)size);
    }
  if(!icc) return;
  const void *data = g_bytes_get_data(icc, &size);
  jpeg_write_icc_profile(&self->info, data, (unsigned)size);
}

static gboolean _try_start(_jpeg_t *self, const dt_encode_spec_t *spec)
{
  if(setjmp(self->jump)) return FALSE;
  jpeg_create_compress(&self->info);
  self->created = TRUE;
  self->info.dest = &self->target;
  _set_parameters(self, spec);
  jpeg_start_compress(&self->info, TRUE);
  _write_segments(self, spec->metadata->icc);
  return TRUE;
}

static gboolean _try_write_row(_jpeg_t *self, void *row)
{
  JSAMPROW rows[1] = { row };
  if(setjmp(self->jump)) return FALSE;
  return jpeg_write_scanlines(&self->info, rows, 1) == 1;
}

static gboolean _try_end(_jpeg_t *self)
{
  if(setjmp(self->jump)) return FALSE;
  jpeg_finish_compress(&self->info);
  return TRUE;
}

// --- The encoder

static gboolean _write_row(dt_encoder_t *encoder, void *row, GError **error)
{
  _jpeg_t *self = (_jpeg_t *)encoder;
  return _try_write_row(self, row) || _fail(self, error);
}

static gboolean _finish(dt_encoder_t *encoder, GError **error)
{
  _jpeg_t *self = (_jpeg_t *)encoder;
  return (_try_end(self) && dt_part_flush(self->part)) || _fail(self, error);
}

static void _destroy(dt_encoder_t *encoder)
{
  _jpeg_t *self = (_jpeg_t *)encoder;
  if(self->created) jpeg_destroy_compress(&self->info);
  for(size_t i = 0; i < G_N_ELEMENTS(self->segments); i++) g_clear_pointer(&self->segments[i], g_bytes_unref);
  g_free(self);
}

/** @p head and @p blob as a segment; takes the blob, which may be NULL. */
static GBytes *_make_segment(const void *head, size_t size, GBytes *blob)
{
  if(!blob) return NULL;
  gsize length;
  const void *data = g_bytes_get_data(blob, &length);
  GByteArray *segment = g_byte_array_sized_new((guint)(size + length));
  g_byte_array_append(segment, head, (guint)size);
  g_byte_array_append(segment, data, (guint)length);
  g_bytes_unref(blob);
  if(segment->len <= SEGMENT_SIZE) return g_byte_array_free_to_bytes(segment);
  g_byte_array_unref(segment);
  return NULL;
}

static void _prepare_segments(_jpeg_t *self, const dt_encode_spec_t *spec)
{
  static const char exif[] = "Exif\0", xmp[] = "http://ns.adobe.com/xap/1.0/", photoshop[] = "Photoshop 3.0";
  GBytes *iptc = spec->metadata->iptc ? dt_metadata_wrap_iptc(spec->metadata->iptc) : NULL;
  self->segments[0] =
      _make_segment(exif, sizeof(exif), dt_metadata_make_exif(spec, SEGMENT_SIZE - sizeof(exif)));
  self->segments[1] = _make_segment(xmp, sizeof(xmp), dt_metadata_make_xmp(spec, SEGMENT_SIZE - sizeof(xmp)));
  self->segments[2] = _make_segment(photoshop, sizeof(photoshop), iptc);
  if(iptc && !self->segments[2])
    dt_metadata_note(spec, "The IPTC data are too long for this format and were left out.");
}

dt_encoder_t *dt_jpeg_encoder_create(const dt_encode_spec_t *spec, GError **error)
{
  _jpeg_t *self = g_new0(_jpeg_t, 1);
  self->encoder.write_row = _write_row;
  self->encoder.finish = _finish;
  self->encoder.destroy = _destroy;
  // two groups of rows per component, tables, segments
  self->encoder.memory = sizeof(*self) + (size_t)spec->width * 3 * 48 + ((size_t)512 << 10);
  self->part = spec->part;
  self->info.err = jpeg_std_error(&self->errors);
  self->info.client_data = self;
  self->errors.error_exit = _fail_in_library;
  self->errors.output_message = _print_nothing;
  self->target.init_destination = _start_target;
  self->target.empty_output_buffer = _empty_buffer;
  self->target.term_destination = _end_target;
  _prepare_segments(self, spec);
  if(_try_start(self, spec)) return &self->encoder;
  _fail(self, error);
  _destroy(&self->encoder);
  return NULL;
}
