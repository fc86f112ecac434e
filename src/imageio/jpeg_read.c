/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Reads JPEG: grey and YCbCr or RGB with 8 bits, baseline and progressive. What the library calls a
 * warning (the data end early, a code that does not exist) is an error here, because it would fill
 * the rest of the picture with grey. A progressive picture is held as coefficients by the library;
 * that is counted in the decoder's memory.
 *
 * The library reports errors by a long jump; every call into it is made from a small function that
 * owns nothing. */
#include "imageio/metadata.h"

#include <setjmp.h>
#include <stdio.h>
#include <string.h>

#include <jerror.h>
#include <jpeglib.h>

#define BUFFER_SIZE ((size_t)64 << 10)
/** A progressive picture has a dozen scans; thousands are an attack on the decoder's time. */
#define MAX_SCANS 500

static const char _exif_head[] = "Exif\0";                        // and the zero C adds
static const char _xmp_head[] = "http://ns.adobe.com/xap/1.0/";   // with its zero
static const char _photoshop_head[] = "Photoshop 3.0";            // with its zero

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
  gboolean created;
  int next;
  uint8_t *row;              ///< for rows that are skipped
  unsigned char *icc;        ///< from the library, or NULL
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
  if(info->is_decompressor && decompress->input_scan_number > MAX_SCANS)
    ERREXIT(info, JERR_BAD_PROGRESSION);
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
  if(self->info.output_scanline == 0 && self->info.global_state < 205 && !_try_start(self))
    return FALSE;
  return jpeg_read_scanlines(&self->info, rows, 1) == 1;
}

static gboolean _try_end(_jpeg_t *self)
{
  if(setjmp(self->jump)) return FALSE;
  return jpeg_finish_decompress(&self->info);
}

/** FALSE when chunks are there that do not make a profile. */
static gboolean _try_read_icc(_jpeg_t *self)
{
  if(setjmp(self->jump)) return FALSE;
  return jpeg_read_icc_profile(&self->info, &self->icc, &self->icc_size);
}
