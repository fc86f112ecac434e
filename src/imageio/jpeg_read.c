/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Reads JPEG: grey and YCbCr or RGB with 8 bits, baseline and progressive. What the library calls a
 * warning (the data end early, a code that does not exist) is an error here, because it would fill
 * the rest of the picture with grey. A progressive picture is held as coefficients by the library;
 * that is counted in the decoder's memory.
 *
 * The library reports errors by a long jump; every call into it is made from a small function that
 * owns nothing. */
#include "imageio/metadata.h"
#include "imageio/xmp.h"

#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jerror.h>
#include <jpeglib.h>

#define BUFFER_SIZE ((size_t)64 << 10)
/** A progressive picture has a dozen scans; thousands are an attack on the decoder's time. */
#define MAX_SCANS 500

static const char _exif_head[] = "Exif\0";                      // and the zero C adds
static const char _xmp_head[] = "http://ns.adobe.com/xap/1.0/"; // with its zero
static const char _photoshop_head[] = "Photoshop 3.0";          // with its zero
static const char _extension_head[] = "http://ns.adobe.com/xmp/extension/";

typedef struct _jpeg_t
{
  dt_decoder_t decoder;
  const dt_input_t *input;
  uint64_t position;
  struct jpeg_decompress_struct info;
  struct jpeg_error_mgr errors;
  struct jpeg_source_mgr source;
  struct jpeg_progress_mgr progress;
  jmp_buf jump;
  gboolean created, started;
  int next;
  uint8_t *row;       ///< for rows that are skipped
  unsigned char *icc; ///< from the library, or NULL
  unsigned icc_size;
  char message[JMSG_LENGTH_MAX];
  uint8_t buffer[BUFFER_SIZE];
} _jpeg_t;

// --- The library's way to us

static _jpeg_t *_get_self(j_common_ptr info)
{
  return info->client_data;
}

static void _fail_in_library(j_common_ptr info)
{
  _jpeg_t *self = _get_self(info);
  info->err->format_message(info, self->message);
  longjmp(self->jump, 1);
}

/** Warnings that leave the picture whole. */
static gboolean _is_harmless(int code)
{
  return code == JWRN_EXTRANEOUS_DATA || code == JWRN_ADOBE_XFORM || code == JWRN_JFIF_MAJOR
         || code == JWRN_BOGUS_PROGRESSION || code == JWRN_TOO_MUCH_DATA;
}

static void _judge_message(j_common_ptr info, int level)
{
  if(level < 0 && !_is_harmless(info->err->msg_code)) _fail_in_library(info);
}

static void _print_nothing(j_common_ptr info)
{
  (void)info;
}

static void _start_source(j_decompress_ptr info)
{
  (void)info;
}

static boolean _fill_source(j_decompress_ptr info)
{
  _jpeg_t *self = _get_self((j_common_ptr)info);
  const size_t got = dt_input_read(self->input, self->position, self->buffer, BUFFER_SIZE);
  if(got == 0) ERREXIT(info, JERR_INPUT_EOF);
  self->position += got;
  self->source.next_input_byte = self->buffer;
  self->source.bytes_in_buffer = got;
  return TRUE;
}

static void _skip_source(j_decompress_ptr info, long count)
{
  _jpeg_t *self = _get_self((j_common_ptr)info);
  if(count <= 0) return;
  const size_t inside = MIN((size_t)count, self->source.bytes_in_buffer);
  self->source.next_input_byte += inside;
  self->source.bytes_in_buffer -= inside;
  self->position += (uint64_t)count - inside;
}

static void _end_source(j_decompress_ptr info)
{
  (void)info;
}

static void _watch_scans(j_common_ptr info)
{
  const struct jpeg_decompress_struct *decompress = (const struct jpeg_decompress_struct *)info;
  if(info->is_decompressor && decompress->input_scan_number > MAX_SCANS) ERREXIT(info, JERR_BAD_PROGRESSION);
}

static gboolean _fail(const _jpeg_t *self, GError **error, const char *problem)
{
  dt_imageio_set_error(error, DT_AI_ERROR_INPUT, self->input->name, "%s%s%s%s", problem,
                       *self->message ? " (" : "", self->message, *self->message ? ")" : "");
  return FALSE;
}

static gboolean _fail_damaged(const _jpeg_t *self, GError **error)
{
  return _fail(self, error, "this JPEG is truncated or damaged; copy it again from its source");
}

// --- Calls that may jump

static gboolean _try_read_header(_jpeg_t *self)
{
  if(setjmp(self->jump)) return FALSE;
  jpeg_create_decompress(&self->info);
  self->created = TRUE;
  self->info.src = &self->source;
  self->info.progress = &self->progress;
  jpeg_save_markers(&self->info, JPEG_APP0 + 1, 0xffff);  // EXIF and XMP
  jpeg_save_markers(&self->info, JPEG_APP0 + 2, 0xffff);  // ICC
  jpeg_save_markers(&self->info, JPEG_APP0 + 13, 0xffff); // IPTC
  return jpeg_read_header(&self->info, TRUE) == JPEG_HEADER_OK;
}

/** Of a progressive picture, this reads everything. */
static gboolean _try_start(_jpeg_t *self)
{
  if(setjmp(self->jump)) return FALSE;
  self->info.out_color_space = self->info.num_components == 1 ? JCS_GRAYSCALE : JCS_RGB;
  return jpeg_start_decompress(&self->info);
}

static gboolean _try_read_row(_jpeg_t *self, void *row)
{
  JSAMPROW rows[1] = { row };
  if(setjmp(self->jump)) return FALSE;
  return jpeg_read_scanlines(&self->info, rows, 1) == 1;
}

/** FALSE without a profile, and with a message when there are pieces that do not make one. */
static gboolean _try_read_icc(_jpeg_t *self)
{
  if(setjmp(self->jump)) return FALSE;
  return jpeg_read_icc_profile(&self->info, &self->icc, &self->icc_size);
}

// --- Metadata

static gboolean _begins_with(jpeg_saved_marker_ptr marker, const char *head, size_t size)
{
  return marker->data_length > size && memcmp(marker->data, head, size) == 0;
}

static GBytes *_copy_marker(jpeg_saved_marker_ptr marker, size_t skip)
{
  return g_bytes_new(marker->data + skip, marker->data_length - skip);
}

static void _read_marker(jpeg_saved_marker_ptr marker, dt_metadata_t *metadata)
{
  const gboolean app1 = marker->marker == JPEG_APP0 + 1;
  if(app1 && !metadata->exif && _begins_with(marker, _exif_head, sizeof(_exif_head)))
    dt_metadata_take_exif(metadata, _copy_marker(marker, sizeof(_exif_head)));
  else if(app1 && !metadata->xmp && _begins_with(marker, _xmp_head, sizeof(_xmp_head)))
    metadata->xmp = _copy_marker(marker, sizeof(_xmp_head));
  else if(marker->marker == JPEG_APP0 + 13 && !metadata->iptc
          && _begins_with(marker, _photoshop_head, sizeof(_photoshop_head)))
    metadata->iptc = dt_metadata_find_iptc(marker->data + sizeof(_photoshop_head),
                                           marker->data_length - sizeof(_photoshop_head));
}

/** Puts one piece of the second packet into its place. Returns the bytes it fills. */
static size_t _read_piece(jpeg_saved_marker_ptr marker, const char *guid, GByteArray *rest)
{
  const size_t head = sizeof(_extension_head) + 40;
  if(marker->marker != JPEG_APP0 + 1 || !_begins_with(marker, _extension_head, sizeof(_extension_head))
     || marker->data_length <= head || memcmp(marker->data + sizeof(_extension_head), guid, 32) != 0)
    return 0;
  const size_t length = (size_t)dt_exif_get_uint(marker->data + head - 8, 4, TRUE),
               at = (size_t)dt_exif_get_uint(marker->data + head - 4, 4, TRUE),
               size = marker->data_length - head;
  if(length > DT_IMAGEIO_MAX_BLOB || at > length || size > length - at) return 0;
  const size_t before = rest->len;
  if(before < length) memset(g_byte_array_set_size(rest, (guint)length)->data + before, 0, length - before);
  memcpy(rest->data + at, marker->data + head, size);
  return size;
}

/** XMP that is longer than a segment continues in others. */
static void _join_xmp(const _jpeg_t *self, dt_metadata_t *metadata)
{
  char *guid = metadata->xmp ? dt_xmp_get_extension(metadata->xmp) : NULL;
  if(!guid) return;
  GByteArray *bytes = g_byte_array_new();
  size_t filled = 0;
  for(jpeg_saved_marker_ptr m = self->info.marker_list; m && strlen(guid) == 32; m = m->next)
    filled += _read_piece(m, guid, bytes);
  const gboolean whole = bytes->len > 0 && filled == bytes->len;
  GBytes *rest = g_byte_array_free_to_bytes(bytes), *packet = metadata->xmp;
  metadata->xmp = dt_xmp_merge(packet, whole ? rest : NULL);
  g_bytes_unref(packet);
  g_bytes_unref(rest);
  g_free(guid);
}

static void _read_profile(_jpeg_t *self, dt_metadata_t *metadata)
{
  if(_try_read_icc(self))
    metadata->icc = g_bytes_new(self->icc, self->icc_size);
  else if(*self->message) // for the colour code to complain about, unless it is overruled
    metadata->icc = g_bytes_new_static("damaged", 7);
  *self->message = '\0';
}

static void _read_metadata(_jpeg_t *self, dt_metadata_t *metadata)
{
  const double inch = self->info.density_unit == 1 ? 1.0 : self->info.density_unit == 2 ? 2.54 : 0.0;
  if(self->info.saw_JFIF_marker)
  {
    metadata->xres = self->info.X_density * inch;
    metadata->yres = self->info.Y_density * inch;
  }
  for(jpeg_saved_marker_ptr m = self->info.marker_list; m; m = m->next) _read_marker(m, metadata);
  _join_xmp(self, metadata);
  _read_profile(self, metadata);
}

// --- Rows

static gboolean _read_row(dt_decoder_t *decoder, int y, void *row, GError **error)
{
  _jpeg_t *self = (_jpeg_t *)decoder;
  if(!self->started && !(self->started = _try_start(self))) return _fail_damaged(self, error);
  for(; self->next <= y; self->next++)
    if(!_try_read_row(self, self->next < y ? self->row : row)) return _fail_damaged(self, error);
  return TRUE;
}

static void _destroy(dt_decoder_t *decoder)
{
  _jpeg_t *self = (_jpeg_t *)decoder;
  if(self->created) jpeg_destroy_decompress(&self->info);
  free(self->icc); // the library's malloc
  g_free(self->row);
  g_free(self);
}

// --- Opening

static gboolean _check_kind(_jpeg_t *self, GError **error)
{
  const J_COLOR_SPACE space = self->info.jpeg_color_space;
  if(space == JCS_CMYK || space == JCS_YCCK)
    return _fail(self, error, "this JPEG is CMYK, which is not supported; convert it to RGB first");
  if(self->info.num_components != 1 && self->info.num_components != 3)
    return _fail(self, error, "this JPEG is neither grey nor RGB; convert it to RGB first");
  return TRUE;
}

static size_t _measure_memory(_jpeg_t *self)
{
  const size_t row = (size_t)self->decoder.width * (size_t)self->decoder.channels;
  size_t bytes = sizeof(*self) + 64 * row + ((size_t)256 << 10);
  if(!jpeg_has_multiple_scans(&self->info)) return bytes;
  for(int c = 0; c < self->info.num_components; c++)
  {
    const jpeg_component_info *component = &self->info.comp_info[c];
    const size_t across = component->width_in_blocks + (size_t)component->h_samp_factor;
    const size_t down = component->height_in_blocks + (size_t)component->v_samp_factor;
    bytes += across * down * sizeof(JBLOCK);
  }
  return bytes;
}

static gboolean _open(_jpeg_t *self, dt_metadata_t *metadata, GError **error)
{
  self->info.err = jpeg_std_error(&self->errors);
  self->info.client_data = self;
  self->errors.error_exit = _fail_in_library;
  self->errors.emit_message = _judge_message;
  self->errors.output_message = _print_nothing;
  self->progress.progress_monitor = _watch_scans;
  self->source.init_source = _start_source;
  self->source.fill_input_buffer = _fill_source;
  self->source.skip_input_data = _skip_source;
  self->source.resync_to_restart = jpeg_resync_to_restart;
  self->source.term_source = _end_source;
  if(!_try_read_header(self)) return _fail_damaged(self, error);
  if(!_check_kind(self, error)) return FALSE;
  self->decoder.width = (int)self->info.image_width;
  self->decoder.height = (int)self->info.image_height;
  self->decoder.channels = self->info.num_components;
  self->decoder.bits = 8;
  self->decoder.sample = DT_SAMPLE_U8;
  self->decoder.memory = _measure_memory(self);
  self->row = g_malloc((size_t)self->decoder.width * (size_t)self->decoder.channels);
  _read_metadata(self, metadata);
  return TRUE;
}

dt_decoder_t *dt_jpeg_decoder_create(const dt_input_t *input, dt_metadata_t *metadata, GError **error)
{
  _jpeg_t *self = g_new0(_jpeg_t, 1);
  self->decoder.read_row = _read_row;
  self->decoder.destroy = _destroy;
  self->input = input;
  if(_open(self, metadata, error)) return &self->decoder;
  _destroy(&self->decoder);
  return NULL;
}
