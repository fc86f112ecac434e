/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The rows of a TIFF: fetched from strips, scanlines or tiles, put together from planes, palettes and
 * inverted greys resolved. */
#include "imageio/tiff_internal.h"

#include <string.h>

// --- Rows

/** Spreads one plane's row into every samples-th place of an interleaved row. */
static void _interleave(const void *plane, void *row, int c, int samples, size_t n, size_t size)
{
  const uint8_t *u8 = plane;
  const uint16_t *u16 = plane;
  const uint32_t *u32 = plane;
  const uint64_t *u64 = plane;
  const size_t step = (size_t)samples, first = (size_t)c;
  for(size_t i = 0; i < n; i++) switch(size)
    {
    case 1: ((uint8_t *)row)[i * step + first] = u8[i]; break;
    case 2: ((uint16_t *)row)[i * step + first] = u16[i]; break;
    case 4: ((uint32_t *)row)[i * step + first] = u32[i]; break;
    default: ((uint64_t *)row)[i * step + first] = u64[i]; break;
    }
}

static void _swap_bytes(void *row, size_t n, size_t size)
{
  if(size == 2)
    TIFFSwabArrayOfShort(row, (tmsize_t)n);
  else if(size == 4)
    TIFFSwabArrayOfLong(row, (tmsize_t)n);
  else if(size == 8)
    TIFFSwabArrayOfLong8(row, (tmsize_t)n);
}

static gboolean _read_direct(dt_tiff_reader_t *self, int y, int plane, uint8_t *out)
{
  const uint32_t per_plane =
      ((uint32_t)self->decoder.height + self->rows_per_strip - 1) / self->rows_per_strip;
  const uint32_t strip = (uint32_t)y / self->rows_per_strip + (uint32_t)plane * per_plane;
  const size_t row = dt_tiff_plane_row(self);
  const uint64_t offset = TIFFGetStrileOffset(self->handles[0].tiff, strip)
                          + (uint64_t)((uint32_t)y % self->rows_per_strip) * row;
  if(dt_input_read(self->input, offset, out, row) != row) return FALSE;
  const size_t size = dt_tiff_pixel_size(self) / (size_t)self->samples;
  if(self->swapped) _swap_bytes(out, row / size, size);
  return TRUE;
}

/** Decodes up to row y; within a strip only forwards, so rows that are skipped are decoded too. */
static gboolean _read_scanline(dt_tiff_reader_t *self, int y, int plane, uint8_t *out)
{
  const int strip = y - y % (int)self->rows_per_strip;
  TIFF *tiff = self->handles[plane].tiff;
  for(int i = MAX(self->next, strip); i <= y; i++)
    if(TIFFReadScanline(tiff, out, (uint32_t)i, (uint16_t)plane) != 1) return FALSE;
  return TRUE;
}

static gboolean _read_planes(dt_tiff_reader_t *self, int y, uint8_t *row)
{
  const size_t size = dt_tiff_pixel_size(self) / (size_t)self->samples;
  gboolean (*const read)(dt_tiff_reader_t *, int, int, uint8_t *) =
      self->layout == DT_TIFF_DIRECT ? _read_direct : _read_scanline;
  if(self->planes == 1) return read(self, y, 0, row);
  for(int c = 0; c < self->planes; c++)
  {
    if(!read(self, y, c, self->scratch)) return FALSE;
    _interleave(self->scratch, row, c, self->samples, (size_t)self->decoder.width, size);
  }
  return TRUE;
}

// --- Tiles

/** Copies the part of the decoded tile that lies in the picture into the band. */
static void _place_tile(dt_tiff_reader_t *self, uint32_t x, int plane, uint32_t rows)
{
  const size_t pixel = dt_tiff_pixel_size(self), width = (size_t)self->decoder.width;
  const size_t from = pixel / (size_t)self->planes;
  const size_t columns = MIN(self->tile_width, width - x);
  for(uint32_t y = 0; y < rows; y++)
  {
    const uint8_t *source = self->tile + (size_t)y * self->tile_width * from;
    uint8_t *target = self->tiles + ((size_t)y * width + x) * pixel;
    if(self->planes == 1)
      memcpy(target, source, columns * pixel);
    else
      _interleave(source, target, plane, self->samples, columns, from);
  }
}

static gboolean _load_band(dt_tiff_reader_t *self, int band)
{
  TIFF *tiff = self->handles[0].tiff;
  const uint32_t y = (uint32_t)band * self->tile_height;
  const uint32_t rows = MIN(self->tile_height, (uint32_t)self->decoder.height - y);
  const tmsize_t size = TIFFTileSize(tiff);
  for(int plane = 0; plane < self->planes; plane++)
    for(uint32_t x = 0; x < (uint32_t)self->decoder.width; x += self->tile_width)
    {
      const uint32_t index = TIFFComputeTile(tiff, x, y, 0, (uint16_t)plane);
      if(TIFFReadEncodedTile(tiff, index, self->tile, size) != size) return FALSE;
      _place_tile(self, x, plane, rows);
    }
  self->band = band;
  return TRUE;
}

static gboolean _read_tiles(dt_tiff_reader_t *self, int y, uint8_t *row)
{
  const int band = y / (int)MIN(self->tile_height, (uint32_t)G_MAXINT);
  const size_t size = dt_tiff_pixel_size(self) * (size_t)self->decoder.width;
  if(band != self->band && !_load_band(self, band)) return FALSE;
  memcpy(row, self->tiles + (size_t)((uint32_t)y % self->tile_height) * size, size);
  return TRUE;
}

// --- What remains to be done with a row

static void _expand_palette(const dt_tiff_reader_t *self, const uint8_t *indices, uint16_t *row)
{
  for(size_t i = 0, n = (size_t)self->decoder.width; i < n; i++)
    for(int c = 0; c < 3; c++) row[3 * i + (size_t)c] = self->colour_map[c][indices[i]];
}

static void _invert_floats(const dt_tiff_reader_t *self, void *row, size_t i)
{
  float *f32 = row;
  double *f64 = row;
  if(self->decoder.sample == DT_SAMPLE_F32)
    f32[i] = 1.0f - f32[i];
  else
    f64[i] = 1.0 - f64[i];
}

/** White is zero: turns the grey channel round, alpha stays. */
static void _invert_grey(const dt_tiff_reader_t *self, void *row)
{
  const size_t n = (size_t)self->decoder.width * (size_t)self->samples;
  for(size_t i = 0; i < n; i += (size_t)self->samples) switch(self->decoder.sample)
    {
    case DT_SAMPLE_U8: ((uint8_t *)row)[i] = (uint8_t) ~((uint8_t *)row)[i]; break;
    case DT_SAMPLE_U16: ((uint16_t *)row)[i] = (uint16_t) ~((uint16_t *)row)[i]; break;
    case DT_SAMPLE_U32: ((uint32_t *)row)[i] = ~((uint32_t *)row)[i]; break;
    default: _invert_floats(self, row, i); break;
    }
}

gboolean dt_tiff_read_row(dt_decoder_t *decoder, int y, void *row, GError **error)
{
  dt_tiff_reader_t *self = (dt_tiff_reader_t *)decoder;
  const gboolean palette = self->photometric == PHOTOMETRIC_PALETTE;
  uint8_t *into = palette ? self->scratch : row;
  if(!(self->layout == DT_TIFF_TILES ? _read_tiles(self, y, into) : _read_planes(self, y, into)))
    return dt_tiff_fail_damaged(self, error);
  self->next = y + 1;
  if(palette)
    _expand_palette(self, self->scratch, row);
  else if(self->photometric == PHOTOMETRIC_MINISWHITE)
    _invert_grey(self, row);
  return TRUE;
}
