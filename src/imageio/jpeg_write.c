/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Writes JPEG: baseline, row by row. From quality 90 on colours are not subsampled. Huffman tables
 * are the standard ones, because better ones would need the whole picture in memory. EXIF and IPTC go
 * into one segment each; what does not fit into its 64 KiB is left out and said so. XMP goes on in more
 * segments, as its specification has it. */
#include "imageio/metadata.h"
#include "imageio/xmp.h"

#include <setjmp.h>
#include <stdio.h>
#include <string.h>

#include <jerror.h>
#include <jpeglib.h>

#define BUFFER_SIZE ((size_t)64 << 10)
/** Bytes a segment holds behind its length. */
#define SEGMENT_SIZE ((size_t)65533)
/** Bytes of extended XMP in a segment, as other programs divide it. */
#define EXTENSION_SIZE ((size_t)65400)
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
  GPtrArray *segments; ///< GBytes: the marker's number, then what it holds
  uint8_t buffer[BUFFER_SIZE];
} _jpeg_t;

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
  for(guint i = 0; i < self->segments->len; i++)
  {
    const uint8_t *segment = g_bytes_get_data(self->segments->pdata[i], &size);
    jpeg_write_marker(&self->info, segment[0], segment + 1, (unsigned)size - 1);
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
  g_ptr_array_unref(self->segments);
  g_free(self);
}

/** Adds a segment of @p head and @p size bytes of @p data; FALSE when it would be too long. */
static gboolean _add_segment(_jpeg_t *self, int marker, const void *head, size_t head_size, const void *data,
                             size_t size)
{
  if(head_size + size > SEGMENT_SIZE) return FALSE;
  const guint8 number = (guint8)marker;
  GByteArray *segment = g_byte_array_sized_new((guint)(1 + head_size + size));
  g_byte_array_append(segment, &number, 1);
  g_byte_array_append(segment, head, (guint)head_size);
  g_byte_array_append(segment, data, (guint)size);
  self->encoder.memory += segment->len;
  g_ptr_array_add(self->segments, g_byte_array_free_to_bytes(segment));
  return TRUE;
}

/** The same with a blob, which is taken and may be NULL. */
static gboolean _add_blob(_jpeg_t *self, int marker, const void *head, size_t head_size, GBytes *blob)
{
  if(!blob) return TRUE;
  gsize size;
  const void *data = g_bytes_get_data(blob, &size);
  const gboolean added = _add_segment(self, marker, head, head_size, data, size);
  g_bytes_unref(blob);
  return added;
}

/** The second packet in pieces: name, whole length, place of the piece. */
static void _add_extension(_jpeg_t *self, GBytes *rest, const char *guid)
{
  static const char name[] = "http://ns.adobe.com/xmp/extension/"; // with its zero
  uint8_t head[sizeof(name) + 40];
  gsize size;
  const uint8_t *data = g_bytes_get_data(rest, &size);
  memcpy(head, name, sizeof(name));
  memcpy(head + sizeof(name), guid, 32);
  dt_exif_put_uint(head + sizeof(name) + 32, 4, TRUE, size);
  for(gsize at = 0; at < size; at += EXTENSION_SIZE)
  {
    dt_exif_put_uint(head + sizeof(name) + 36, 4, TRUE, at);
    _add_segment(self, JPEG_APP0 + 1, head, sizeof(head), data + at, MIN(size - at, EXTENSION_SIZE));
  }
}

static void _add_xmp(_jpeg_t *self, const dt_encode_spec_t *spec)
{
  static const char head[] = "http://ns.adobe.com/xap/1.0/";
  const size_t limit = SEGMENT_SIZE - sizeof(head);
  GBytes *whole = dt_metadata_make_xmp(spec, G_MAXUINT32), *first = NULL, *rest = NULL;
  char guid[33];
  if(!whole) return;
  if(g_bytes_get_size(whole) <= limit)
    first = g_bytes_ref(whole);
  else
    first = dt_xmp_split(whole, limit, &rest, guid);
  g_bytes_unref(whole);
  if(!first || !_add_blob(self, JPEG_APP0 + 1, head, sizeof(head), first))
    dt_metadata_note(spec, "The XMP data are too long for this format and were left out.");
  else if(rest)
    _add_extension(self, rest, guid);
  if(rest) g_bytes_unref(rest);
}

static void _prepare_segments(_jpeg_t *self, const dt_encode_spec_t *spec)
{
  static const char exif[] = "Exif\0", photoshop[] = "Photoshop 3.0";
  self->segments = g_ptr_array_new_with_free_func((GDestroyNotify)g_bytes_unref);
  _add_blob(self, JPEG_APP0 + 1, exif, sizeof(exif),
            dt_metadata_make_exif(spec, SEGMENT_SIZE - sizeof(exif)));
  _add_xmp(self, spec);
  GBytes *iptc = dt_metadata_make_iptc(spec), *block = iptc ? dt_metadata_wrap_iptc(iptc) : NULL;
  if(!_add_blob(self, JPEG_APP0 + 13, photoshop, sizeof(photoshop), block))
    dt_metadata_note(spec, "The IPTC data are too long for this format and were left out.");
  if(iptc) g_bytes_unref(iptc);
}

dt_encoder_t *dt_jpeg_encoder_create(const dt_encode_spec_t *spec, GError **error)
{
  _jpeg_t *self = g_new0(_jpeg_t, 1);
  self->encoder.write_row = _write_row;
  self->encoder.finish = _finish;
  self->encoder.destroy = _destroy;
  // two groups of rows per component, tables; segments are added as they are made
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
