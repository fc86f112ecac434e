/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Reads TIFF and BigTIFF: strips and tiles, interleaved and separate planes, 8 to 64 bits, grey,
 * palette and RGB with or without alpha, in whatever compression the TIFF library knows.
 *
 * Uncompressed strips are read from the file row by row. Compressed ones are decoded scanline by
 * scanline; each plane has its own handle, because a handle that jumps between planes would start
 * every strip anew. Tiles are decoded one row of tiles at a time. The file is never mapped. */
#include "imageio/exif.h"
#include "imageio/metadata.h"
#include "imageio/tiff_internal.h"

#include <errno.h>
#include <string.h>

/** Largest piece the TIFF library may allocate: a compressed strip of a single-strip file. */
#define MAX_SINGLE_ALLOC ((tmsize_t)1 << 30)
// --- The library's way to the file

static tmsize_t _read_proc(thandle_t data, void *buffer, tmsize_t size)
{
  dt_tiff_handle_t *handle = (dt_tiff_handle_t *)data;
  const size_t got = dt_input_read(handle->input, handle->position, buffer, (size_t)size);
  handle->position += got;
  return (tmsize_t)got;
}

static tmsize_t _write_proc(thandle_t data, void *buffer, tmsize_t size)
{
  (void)data, (void)buffer, (void)size;
  return 0;
}

static toff_t _seek_proc(thandle_t data, toff_t offset, int whence)
{
  dt_tiff_handle_t *handle = (dt_tiff_handle_t *)data;
  const uint64_t from = whence == SEEK_SET ? 0 : whence == SEEK_CUR ? handle->position : handle->input->size;
  handle->position = from + offset;
  return handle->position;
}

static int _close_proc(thandle_t data)
{
  (void)data;
  return 0;
}

static toff_t _size_proc(thandle_t data)
{
  return ((dt_tiff_handle_t *)data)->input->size;
}

static int _keep_error(TIFF *tiff, void *data, const char *module, const char *format, va_list args)
{
  dt_tiff_handle_t *handle = data;
  (void)tiff, (void)module;
  if(!handle->message) handle->message = g_strdup_vprintf(format, args);
  return 1; // handled: nothing is printed
}

static int _drop_warning(TIFF *tiff, void *data, const char *module, const char *format, va_list args)
{
  (void)tiff, (void)data, (void)module, (void)format, (void)args;
  return 1;
}

TIFF *dt_tiff_open(const char *name, const char *mode, void *data, const dt_tiff_procs_t *procs)
{
  TIFFOpenOptions *options = TIFFOpenOptionsAlloc();
  if(!options) return NULL;
  TIFFOpenOptionsSetMaxSingleMemAlloc(options, MAX_SINGLE_ALLOC);
  TIFFOpenOptionsSetErrorHandlerExtR(options, procs->error, data);
  TIFFOpenOptionsSetWarningHandlerExtR(options, _drop_warning, NULL);
  TIFF *tiff = TIFFClientOpenExt(name, mode, (thandle_t)data, procs->read, procs->write, procs->seek,
                                 procs->close, procs->size, NULL, NULL, options);
  TIFFOpenOptionsFree(options);
  return tiff;
}

static gboolean _open_handle(dt_tiff_reader_t *self, dt_tiff_handle_t *handle)
{
  static const dt_tiff_procs_t procs = { .read = _read_proc,
                                         .write = _write_proc,
                                         .seek = _seek_proc,
                                         .close = _close_proc,
                                         .size = _size_proc,
                                         .error = _keep_error };
  handle->input = self->input;
  handle->tiff = dt_tiff_open(self->input->name, "rm", handle, &procs); // m: do not map
  return handle->tiff != NULL;
}

// --- Errors

static gboolean _fail(const dt_tiff_reader_t *self, GError **error, const char *problem)
{
  const char *detail = NULL;
  for(int i = 0; i < DT_TIFF_MAX_PLANES && !detail; i++) detail = self->handles[i].message;
  dt_imageio_set_error(error, DT_AI_ERROR_INPUT, self->input->name, "%s%s%s%s", problem, detail ? " (" : "",
                       detail ? detail : "", detail ? ")" : "");
  return FALSE;
}

gboolean dt_tiff_fail_damaged(const dt_tiff_reader_t *self, GError **error)
{
  return _fail(self, error, "this TIFF is truncated or damaged; copy it again from its source");
}

// --- What the file holds

static uint16_t _get_short(TIFF *tiff, uint32_t tag, uint16_t otherwise)
{
  uint16_t value = otherwise;
  return TIFFGetFieldDefaulted(tiff, tag, &value) ? value : otherwise;
}

static gboolean _check_photometric(dt_tiff_reader_t *self, GError **error)
{
  TIFF *tiff = self->handles[0].tiff;
  const uint16_t guess = self->samples < 3 ? PHOTOMETRIC_MINISBLACK : PHOTOMETRIC_RGB;
  self->photometric = guess;
  TIFFGetField(tiff, TIFFTAG_PHOTOMETRIC, &self->photometric);
  switch(self->photometric)
  {
  case PHOTOMETRIC_MINISBLACK:
  case PHOTOMETRIC_MINISWHITE:
  case PHOTOMETRIC_RGB:
  case PHOTOMETRIC_PALETTE: return TRUE;
  case PHOTOMETRIC_YCBCR:
    if(_get_short(tiff, TIFFTAG_COMPRESSION, 1) == COMPRESSION_JPEG) return TRUE;
    return _fail(self, error,
                 "this TIFF is YCbCr without JPEG compression, which is not "
                 "supported; convert it to RGB first");
  case PHOTOMETRIC_SEPARATED:
    return _fail(self, error, "this TIFF is CMYK, which is not supported; convert it to RGB first");
  case PHOTOMETRIC_CIELAB:
  case PHOTOMETRIC_ICCLAB:
  case PHOTOMETRIC_ITULAB:
    return _fail(self, error, "this TIFF is Lab, which is not supported; convert it to RGB first");
  case PHOTOMETRIC_LOGL:
  case PHOTOMETRIC_LOGLUV:
    return _fail(self, error,
                 "this TIFF is LogLuv, which is not supported; convert it to "
                 "32-bit float RGB first");
  default:
    return _fail(self, error,
                 "this TIFF holds raw sensor data or another unsupported kind of "
                 "pixels; convert it to RGB first");
  }
}

/** Raw files look like TIFF; what they show first is a preview. */
static gboolean _check_not_raw(const dt_tiff_reader_t *self, GError **error)
{
  TIFF *tiff = self->handles[0].tiff;
  const uint8_t *version = NULL;
  uint32_t kind = 0;
  uint16_t count = 0;
  uint64_t *offsets = NULL;
  TIFFGetField(tiff, TIFFTAG_SUBFILETYPE, &kind);
  const gboolean is_dng = TIFFGetField(tiff, TIFFTAG_DNGVERSION, &version) == 1;
  const gboolean is_preview =
      (kind & FILETYPE_REDUCEDIMAGE) && TIFFGetField(tiff, TIFFTAG_SUBIFD, &count, &offsets) == 1;
  if(!is_dng && !is_preview) return TRUE;
  return _fail(self, error,
               "this is a camera raw, not a TIFF picture; use rawdenoise, or "
               "develop it first");
}

static gboolean _choose_sample(dt_tiff_reader_t *self, GError **error)
{
  static const struct
  {
    int bits, format;
    dt_sample_t sample;
  } known[] = {
    { 8, SAMPLEFORMAT_UINT, DT_SAMPLE_U8 },     { 16, SAMPLEFORMAT_UINT, DT_SAMPLE_U16 },
    { 32, SAMPLEFORMAT_UINT, DT_SAMPLE_U32 },   { 16, SAMPLEFORMAT_IEEEFP, DT_SAMPLE_F16 },
    { 32, SAMPLEFORMAT_IEEEFP, DT_SAMPLE_F32 }, { 64, SAMPLEFORMAT_IEEEFP, DT_SAMPLE_F64 },
  };
  TIFF *tiff = self->handles[0].tiff;
  const int bits = _get_short(tiff, TIFFTAG_BITSPERSAMPLE, 1);
  int format = _get_short(tiff, TIFFTAG_SAMPLEFORMAT, SAMPLEFORMAT_UINT);
  if(format == SAMPLEFORMAT_VOID) format = SAMPLEFORMAT_UINT; // untyped: what everyone takes it for
  for(size_t i = 0; i < G_N_ELEMENTS(known); i++)
    if(known[i].bits == bits && known[i].format == format)
    {
      self->decoder.sample = known[i].sample;
      self->decoder.bits = bits;
      return TRUE;
    }
  char text[160];
  const char *kind = format == SAMPLEFORMAT_IEEEFP ? "floating-point"
                     : format == SAMPLEFORMAT_UINT ? "unsigned"
                     : format == SAMPLEFORMAT_INT  ? "signed"
                                                   : "complex";
  g_snprintf(text, sizeof(text),
             "this TIFF has %d-bit %s samples, which are not supported; convert it to 8 or 16 bit "
             "or 32-bit float first",
             bits, kind);
  return _fail(self, error, text);
}

static gboolean _check_channels(dt_tiff_reader_t *self, GError **error)
{
  const gboolean coloured = self->photometric == PHOTOMETRIC_RGB || self->photometric == PHOTOMETRIC_YCBCR;
  const gboolean palette = self->photometric == PHOTOMETRIC_PALETTE;
  const int colours = coloured ? 3 : 1, extra = self->samples - colours;
  uint16_t count = 0, *kinds = NULL;
  TIFFGetField(self->handles[0].tiff, TIFFTAG_EXTRASAMPLES, &count, &kinds);
  if(extra < 0)
    return _fail(self, error,
                 "this TIFF calls itself RGB but has fewer than three channels; "
                 "export it again");
  if(self->photometric == PHOTOMETRIC_MINISWHITE && self->decoder.sample == DT_SAMPLE_F16)
    return _fail(self, error,
                 "this TIFF has half-float samples with white as zero, which are not "
                 "supported; export it with black as zero");
  if(extra > 1 || (palette && extra > 0))
    return _fail(self, error,
                 "this TIFF has more channels than colours and one alpha; remove the "
                 "extra channels first");
  self->decoder.alpha_associated = extra == 1 && count > 0 && kinds[0] == EXTRASAMPLE_ASSOCALPHA;
  self->decoder.channels = palette ? 3 : self->samples;
  return TRUE;
}

/** A palette's colours are 16-bit numbers; most stand for 8-bit ones. */
static gboolean _prepare_palette(dt_tiff_reader_t *self, GError **error)
{
  if(self->photometric != PHOTOMETRIC_PALETTE) return TRUE;
  if(self->decoder.sample != DT_SAMPLE_U8
     || !TIFFGetField(self->handles[0].tiff, TIFFTAG_COLORMAP, &self->colour_map[0], &self->colour_map[1],
                      &self->colour_map[2]))
    return _fail(self, error,
                 "this TIFF has a palette that is missing or not of 256 colours; "
                 "convert it to RGB first");
  self->decoder.sample = DT_SAMPLE_U16;
  gboolean small = TRUE;
  for(int c = 0; c < 3; c++)
    for(int i = 0; i < 256; i++) small &= self->colour_map[c][i] < 256;
  if(small) // an old mistake: 8-bit colours where 16-bit ones belong
    for(int c = 0; c < 3; c++)
      for(int i = 0; i < 256; i++) self->colour_map[c][i] *= 257;
  return TRUE;
}

static gboolean _check_size(dt_tiff_reader_t *self, GError **error)
{
  uint32_t width = 0, height = 0;
  TIFFGetField(self->handles[0].tiff, TIFFTAG_IMAGEWIDTH, &width);
  TIFFGetField(self->handles[0].tiff, TIFFTAG_IMAGELENGTH, &height);
  if(width == 0 || height == 0) return dt_tiff_fail_damaged(self, error);
  if(width > DT_IMAGEIO_MAX_SIDE || height > DT_IMAGEIO_MAX_SIDE)
    return _fail(self, error,
                 "this TIFF is more than 1000000 pixels wide or high; cut it into "
                 "pieces first");
  self->decoder.width = (int)width;
  self->decoder.height = (int)height;
  return TRUE;
}

static gboolean _check_compression(dt_tiff_reader_t *self, uint16_t compression, GError **error)
{
  if(compression == COMPRESSION_OJPEG)
    return _fail(self, error,
                 "this TIFF uses the old JPEG compression, which is not supported; "
                 "save it again with another one");
  if(!TIFFIsCODECConfigured(compression))
    return _fail(self, error,
                 "this TIFF uses a compression that the TIFF library does not know; "
                 "save it again with deflate or without compression");
  return TRUE;
}

// --- Memory and layout

size_t dt_tiff_plane_row(const dt_tiff_reader_t *self)
{
  const size_t sample = self->photometric == PHOTOMETRIC_PALETTE ? 1 : dt_sample_size(self->decoder.sample);
  return (size_t)self->decoder.width * sample * (size_t)(self->samples / self->planes);
}

size_t dt_tiff_pixel_size(const dt_tiff_reader_t *self)
{
  return dt_tiff_plane_row(self) * (size_t)self->planes / (size_t)self->decoder.width;
}

/** Whether the pieces that hold the pixels lie in the file; finds the largest. */
static gboolean _check_pieces(dt_tiff_reader_t *self, uint64_t *largest, GError **error)
{
  TIFF *tiff = self->handles[0].tiff;
  const uint32_t count = self->layout == DT_TIFF_TILES ? TIFFNumberOfTiles(tiff) : TIFFNumberOfStrips(tiff);
  *largest = 0;
  for(uint32_t i = 0; i < count; i++)
  {
    int failed = 0;
    const uint64_t offset = TIFFGetStrileOffsetWithErr(tiff, i, &failed);
    const uint64_t size = failed ? 0 : TIFFGetStrileByteCountWithErr(tiff, i, &failed);
    if(failed || offset == 0 || offset >= self->input->size
       || (self->layout != DT_TIFF_DIRECT && (size == 0 || size > self->input->size - offset)))
      return dt_tiff_fail_damaged(self, error);
    *largest = MAX(*largest, size);
  }
  return TRUE;
}

/** For rows that are read by position: whether the last row of every strip is there. */
static gboolean _check_direct(dt_tiff_reader_t *self, GError **error)
{
  TIFF *tiff = self->handles[0].tiff;
  const uint32_t height = (uint32_t)self->decoder.height;
  const uint32_t per_plane = (height + self->rows_per_strip - 1) / self->rows_per_strip;
  const uint64_t row = dt_tiff_plane_row(self);
  for(uint32_t i = 0; i < per_plane * (uint32_t)self->planes; i++)
  {
    const uint32_t first = i % per_plane * self->rows_per_strip;
    const uint64_t size = row * MIN(self->rows_per_strip, height - first);
    const uint64_t offset = TIFFGetStrileOffset(tiff, i);
    if(offset > self->input->size || size > self->input->size - offset)
      return dt_tiff_fail_damaged(self, error);
  }
  return TRUE;
}

static gboolean _prepare_strips(dt_tiff_reader_t *self, GError **error)
{
  uint64_t largest;
  uint32_t rows = 0;
  TIFFGetFieldDefaulted(self->handles[0].tiff, TIFFTAG_ROWSPERSTRIP, &rows);
  self->rows_per_strip = rows ? MIN(rows, (uint32_t)self->decoder.height) : 1;
  if(!_check_pieces(self, &largest, error)) return FALSE;
  if(self->layout == DT_TIFF_DIRECT)
  {
    if(!_check_direct(self, error)) return FALSE;
  }
  else
  {
    if(TIFFScanlineSize64(self->handles[0].tiff) != dt_tiff_plane_row(self))
      return dt_tiff_fail_damaged(self, error);
    // the library holds a compressed strip whole, and its decoder's state
    self->decoder.memory += (size_t)self->planes * ((size_t)largest + ((size_t)256 << 10));
  }
  const size_t row = dt_tiff_plane_row(self) * (size_t)self->planes;
  self->scratch = g_malloc(row);
  self->decoder.memory += row;
  for(int i = 1; self->layout == DT_TIFF_SCANLINE && i < self->planes; i++)
    if(!_open_handle(self, &self->handles[i])) return dt_tiff_fail_damaged(self, error);
  return TRUE;
}

static gboolean _prepare_tiles(dt_tiff_reader_t *self, GError **error)
{
  TIFF *tiff = self->handles[0].tiff;
  uint64_t largest;
  TIFFGetField(tiff, TIFFTAG_TILEWIDTH, &self->tile_width);
  TIFFGetField(tiff, TIFFTAG_TILELENGTH, &self->tile_height);
  const uint64_t tile = TIFFTileSize64(tiff);
  const uint64_t pixel = dt_tiff_pixel_size(self);
  const uint64_t rows = MIN(self->tile_height, (uint32_t)self->decoder.height);
  const uint64_t band = rows * (uint64_t)self->decoder.width * pixel;
  if(tile == 0 || tile != (uint64_t)self->tile_width * self->tile_height * (pixel / (uint64_t)self->planes))
    return dt_tiff_fail_damaged(self, error);
  if(tile > (uint64_t)MAX_SINGLE_ALLOC || band > (uint64_t)MAX_SINGLE_ALLOC)
    return _fail(self, error,
                 "the tiles of this TIFF are too large; save it again with smaller ones or strips");
  if(!_check_pieces(self, &largest, error)) return FALSE;
  self->tile = g_try_malloc(tile);
  self->tiles = g_try_malloc(band);
  if(!self->tile || !self->tiles)
    return _fail(self, error,
                 "the tiles of this TIFF do not fit into memory; save it again with "
                 "smaller ones or strips");
  self->scratch = g_malloc((size_t)self->decoder.width * pixel);
  self->decoder.memory +=
      (size_t)(tile + band + largest) + ((size_t)256 << 10) + (size_t)self->decoder.width * (size_t)pixel;
  return TRUE;
}

/** Whether libjpeg turns YCbCr into RGB for us, which makes rows the expected size. */
static void _ask_for_rgb(const dt_tiff_reader_t *self, TIFF *tiff)
{
  if(self->photometric == PHOTOMETRIC_YCBCR) TIFFSetField(tiff, TIFFTAG_JPEGCOLORMODE, JPEGCOLORMODE_RGB);
}

static gboolean _prepare(dt_tiff_reader_t *self, GError **error)
{
  if(!_open_handle(self, &self->handles[0])) return dt_tiff_fail_damaged(self, error);
  TIFF *tiff = self->handles[0].tiff;
  const uint16_t compression = _get_short(tiff, TIFFTAG_COMPRESSION, COMPRESSION_NONE);
  self->samples = _get_short(tiff, TIFFTAG_SAMPLESPERPIXEL, 1);
  if(!_check_size(self, error) || !_check_not_raw(self, error)
     || !_check_compression(self, compression, error) || !_check_photometric(self, error)
     || !_choose_sample(self, error) || !_check_channels(self, error) || !_prepare_palette(self, error))
    return FALSE;
  const gboolean apart = _get_short(tiff, TIFFTAG_PLANARCONFIG, PLANARCONFIG_CONTIG) == PLANARCONFIG_SEPARATE;
  self->planes = apart ? self->samples : 1;
  self->swapped = TIFFIsByteSwapped(tiff) != 0;
  self->band = -1;
  const gboolean usual_bits = _get_short(tiff, TIFFTAG_FILLORDER, FILLORDER_MSB2LSB) == FILLORDER_MSB2LSB;
  self->layout = TIFFIsTiled(tiff)                               ? DT_TIFF_TILES
                 : compression == COMPRESSION_NONE && usual_bits ? DT_TIFF_DIRECT
                                                                 : DT_TIFF_SCANLINE;
  _ask_for_rgb(self, tiff);
  if(!(self->layout == DT_TIFF_TILES ? _prepare_tiles(self, error) : _prepare_strips(self, error)))
    return FALSE;
  for(int i = 1; i < self->planes && self->handles[i].tiff; i++) _ask_for_rgb(self, self->handles[i].tiff);
  return TRUE;
}

// --- The decoder

static void _destroy(dt_decoder_t *decoder)
{
  dt_tiff_reader_t *self = (dt_tiff_reader_t *)decoder;
  for(int i = 0; i < DT_TIFF_MAX_PLANES; i++)
  {
    if(self->handles[i].tiff) TIFFClose(self->handles[i].tiff);
    g_free(self->handles[i].message);
  }
  g_free(self->scratch);
  g_free(self->tile);
  g_free(self->tiles);
  g_free(self);
}

dt_decoder_t *dt_tiff_decoder_create(const dt_input_t *input, dt_metadata_t *metadata, GError **error)
{
  dt_tiff_reader_t *self = g_new0(dt_tiff_reader_t, 1);
  self->decoder.read_row = dt_tiff_read_row;
  self->decoder.destroy = _destroy;
  self->decoder.memory = sizeof(*self);
  self->input = input;
  // without its colour profile the picture would come out in other colours, silently
  if(_prepare(self, error) && (dt_metadata_read_tiff(metadata, input) || dt_tiff_fail_damaged(self, error)))
    return &self->decoder;
  _destroy(&self->decoder);
  return NULL;
}
