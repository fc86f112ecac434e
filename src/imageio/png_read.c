/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Reads PNG: grey, palette and RGB with or without alpha, 2 to 16 bits. The PNG library decodes the
 * pixels; all other chunks are read by png_chunks.c. Interlaced pictures need every row seven times:
 * they are decoded into a temporary file without a name, so that memory stays that of a row.
 *
 * The library reports errors by a long jump. Every call into it is made from a small function that
 * owns nothing, and everything it works with lives in the decoder. */
#include "imageio/png_chunks.h"

#include "common/spool.h"

#include <png.h>
#include <setjmp.h>
#include <string.h>
#include <unistd.h>

#define BUFFER_SIZE ((size_t)64 << 10)

typedef struct _png_t
{
  dt_decoder_t decoder;
  const dt_input_t *input;
  uint64_t position; ///< behind what is in the buffer
  size_t begin, end; ///< what of the buffer is left
  png_structp png;
  png_infop info;
  int next;
  gboolean interlaced;
  int spool; ///< descriptor of the decoded rows, -1 for none
  size_t row_bytes;
  uint8_t *row; ///< scratch for skipped rows and the spool
  char message[128];
  uint8_t buffer[BUFFER_SIZE];
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

static gboolean _fill_buffer(_png_t *self)
{
  self->begin = 0;
  self->end = dt_input_read(self->input, self->position, self->buffer, BUFFER_SIZE);
  self->position += self->end;
  return self->end > 0;
}

static void _read_data(png_structp png, png_bytep data, size_t size)
{
  _png_t *self = png_get_io_ptr(png);
  while(size > 0)
  {
    if(self->begin == self->end && !_fill_buffer(self)) png_error(png, "the file ends early");
    const size_t piece = MIN(size, self->end - self->begin);
    memcpy(data, self->buffer + self->begin, piece);
    self->begin += piece;
    data += piece;
    size -= piece;
  }
}

static gboolean _fail(const _png_t *self, GError **error, const char *problem)
{
  dt_imageio_set_error(error, DT_AI_ERROR_INPUT, self->input->name, "%s%s%s%s", problem,
                       *self->message ? " (" : "", self->message, *self->message ? ")" : "");
  return FALSE;
}

static gboolean _fail_damaged(const _png_t *self, GError **error)
{
  return _fail(self, error, "this PNG is truncated or damaged; copy it again from its source");
}

// --- Calls that may jump

static gboolean _try_read_header(_png_t *self)
{
  // metadata and colour are not the library's business here
  static const png_byte ignored[] = "iCCP\0iTXt\0tEXt\0zTXt\0eXIf\0cICP\0sPLT\0hIST";
  if(setjmp(png_jmpbuf(self->png))) return FALSE;
  png_set_read_fn(self->png, self, _read_data);
  png_set_user_limits(self->png, DT_IMAGEIO_MAX_SIDE, DT_IMAGEIO_MAX_SIDE);
  png_set_keep_unknown_chunks(self->png, PNG_HANDLE_CHUNK_NEVER, ignored, (int)(sizeof(ignored) / 5));
  png_read_info(self->png, self->info);
  return TRUE;
}

static gboolean _try_start(_png_t *self)
{
  if(setjmp(png_jmpbuf(self->png))) return FALSE;
  png_set_expand(self->png); // palettes, few bits, a transparent colour
  if(G_BYTE_ORDER == G_LITTLE_ENDIAN) png_set_swap(self->png);
  if(self->interlaced) png_set_interlace_handling(self->png);
  png_read_update_info(self->png, self->info);
  self->decoder.channels = png_get_channels(self->png, self->info);
  self->row_bytes = png_get_rowbytes(self->png, self->info);
  return TRUE;
}

static gboolean _try_read_row(_png_t *self, png_bytep row)
{
  if(setjmp(png_jmpbuf(self->png))) return FALSE;
  png_read_row(self->png, row, NULL);
  return TRUE;
}

static gboolean _try_end(_png_t *self)
{
  if(setjmp(png_jmpbuf(self->png))) return FALSE;
  png_read_end(self->png, NULL);
  return TRUE;
}

// --- Interlaced pictures

static gboolean _spool_in(const _png_t *self, int y)
{
  return pread(self->spool, self->row, self->row_bytes, (off_t)y * (off_t)self->row_bytes)
         == (ssize_t)self->row_bytes;
}

static gboolean _spool_out(const _png_t *self, int y)
{
  return pwrite(self->spool, self->row, self->row_bytes, (off_t)y * (off_t)self->row_bytes)
         == (ssize_t)self->row_bytes;
}

static gboolean _fail_spool(const _png_t *self, GError **error)
{
  dt_imageio_set_error(error, DT_AI_ERROR_INPUT, self->input->name,
                       "this PNG is interlaced and needs %" G_GUINT64_FORMAT
                       " MiB of temporary space in %s, which is not there; set TMPDIR to a "
                       "directory with more, or save the picture without interlacing",
                       ((guint64)self->row_bytes * (guint64)self->decoder.height >> 20) + 1, g_get_tmp_dir());
  return FALSE;
}

/** One of the seven passes: brings in the rows it touches, adds its pixels, puts them back. */
static gboolean _spool_pass(_png_t *self, int pass, GError **error)
{
  for(int y = 0; y < self->decoder.height; y++)
  {
    const gboolean touched = PNG_ROW_IN_INTERLACE_PASS(y, pass);
    if(touched && pass > 0 && !_spool_in(self, y)) return _fail_spool(self, error);
    if(!_try_read_row(self, self->row)) return _fail_damaged(self, error);
    if(touched && !_spool_out(self, y)) return _fail_spool(self, error);
  }
  return TRUE;
}

static gboolean _spool(_png_t *self, GError **error)
{
  self->spool = dt_spool_open();
  if(self->spool < 0 || ftruncate(self->spool, (off_t)self->decoder.height * (off_t)self->row_bytes) != 0)
    return _fail_spool(self, error);
  for(int pass = 0; pass < 7; pass++)
    if(!_spool_pass(self, pass, error)) return FALSE;
  return _try_end(self) || _fail_damaged(self, error);
}

// --- Rows

static gboolean _read_plain(_png_t *self, int y, void *row, GError **error)
{
  for(; self->next < y; self->next++)
    if(!_try_read_row(self, self->row)) return _fail_damaged(self, error);
  if(!_try_read_row(self, row)) return _fail_damaged(self, error);
  self->next = y + 1;
  if(self->next == self->decoder.height && !_try_end(self)) return _fail_damaged(self, error);
  return TRUE;
}

static gboolean _read_row(dt_decoder_t *decoder, int y, void *row, GError **error)
{
  _png_t *self = (_png_t *)decoder;
  if(!self->interlaced) return _read_plain(self, y, row, error);
  if(self->spool < 0 && !_spool(self, error)) return FALSE;
  if(!_spool_in(self, y)) return _fail_spool(self, error);
  memcpy(row, self->row, self->row_bytes);
  return TRUE;
}

static void _destroy(dt_decoder_t *decoder)
{
  _png_t *self = (_png_t *)decoder;
  if(self->png) png_destroy_read_struct(&self->png, &self->info, NULL);
  if(self->spool >= 0) close(self->spool);
  g_free(self->row);
  g_free(self);
}

// --- Opening

static gboolean _check_kind(_png_t *self, GError **error)
{
  self->decoder.width = (int)png_get_image_width(self->png, self->info);
  self->decoder.height = (int)png_get_image_height(self->png, self->info);
  self->decoder.bits = png_get_bit_depth(self->png, self->info);
  self->decoder.sample = self->decoder.bits == 16 ? DT_SAMPLE_U16 : DT_SAMPLE_U8;
  self->interlaced = png_get_interlace_type(self->png, self->info) != PNG_INTERLACE_NONE;
  if(self->decoder.bits > 1) return TRUE;
  return _fail(self, error,
               "this PNG has 1 bit per pixel, which is not supported; convert it to "
               "8-bit grey or RGB first");
}

static gboolean _open(_png_t *self, GError **error)
{
  self->png = png_create_read_struct(PNG_LIBPNG_VER_STRING, self, _fail_in_library, _drop_warning);
  self->info = self->png ? png_create_info_struct(self->png) : NULL;
  if(!self->info || !_try_read_header(self)) return _fail_damaged(self, error);
  if(!_check_kind(self, error)) return FALSE;
  if(!_try_start(self)) return _fail_damaged(self, error);
  if(self->row_bytes
     != (size_t)self->decoder.width * (size_t)self->decoder.channels * dt_sample_size(self->decoder.sample))
    return _fail_damaged(self, error);
  self->row = g_malloc0(self->row_bytes);
  // the library keeps two rows and the inflater's window
  self->decoder.memory = sizeof(*self) + 3 * self->row_bytes + ((size_t)64 << 10);
  return TRUE;
}

dt_decoder_t *dt_png_decoder_create(const dt_input_t *input, dt_metadata_t *metadata, GError **error)
{
  _png_t *self = g_new0(_png_t, 1);
  self->decoder.read_row = _read_row;
  self->decoder.destroy = _destroy;
  self->input = input;
  self->spool = -1;
  if(_open(self, error) && dt_png_read_chunks(input, metadata, error)) return &self->decoder;
  _destroy(&self->decoder);
  return NULL;
}
