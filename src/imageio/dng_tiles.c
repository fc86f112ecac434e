/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The stored samples. Compressed, rows collect to a band as high as a tile; the band is cut into tiles, which are packed
 * beside the thread that brings rows and appended to the file in order. Tiles at the right and lower edges repeat the
 * last columns and row, as they compress best.
 *
 * Uncompressed, there is one strip: readers as old as dcraw know no tiles of that kind. */
#include "imageio/dng_internal.h"

#include "imageio/lj92.h"
#include "imageio/strip_packer.h"

#include <string.h>

enum
{
  TAG_BITS = 258,
  TAG_COMPRESSION = 259,
  TAG_STRIP_OFFSETS = 273,
  TAG_SAMPLES = 277,
  TAG_STRIP_ROWS = 278,
  TAG_STRIP_SIZES = 279,
  TAG_PLANAR = 284,
  TAG_PREDICTOR = 317,
  TAG_TILE_WIDTH = 322,
  TAG_TILE_HEIGHT = 323,
  TAG_TILE_OFFSETS = 324,
  TAG_TILE_SIZES = 325,
  COMPRESSION_NONE = 1,
  COMPRESSION_JPEG = 7,
  COMPRESSION_DEFLATE = 8,
  BITS = 16,
};

struct dt_dng_tiles_t
{
  dt_dng_tiles_spec_t spec;
  int tile_width, tile_height, across;
  size_t row, tile_row;      ///< samples of a row of the picture and of a tile
  uint16_t *band;            ///< rows that wait for the band to be full
  int rows, done;            ///< rows in the band, and in the bands before it
  dt_strip_packer_t *packer; ///< NULL: the only tile is the picture, its band a row that is stored as it is
  uint32_t *offsets, *sizes;
  int count, written; ///< tiles
};

static void _encode_tile(void *user, const void *data, size_t size, GByteArray *out)
{
  const dt_dng_tiles_t *self = user;
  // behind a filter array neighbours of one colour are two columns apart: two components of half the width
  const int components = self->spec.samples == 1 ? 2 : self->spec.samples;
  (void)size;
  dt_lj92_encode(data, self->tile_row, (int)self->tile_row / components, self->tile_height, components, BITS,
                 out);
}

static gboolean _write_tile(void *user, const void *data, size_t size)
{
  dt_dng_tiles_t *self = user;
  static const uint8_t zero = 0;
  if(self->spec.position + size + 1 > UINT32_MAX) return FALSE;
  self->offsets[self->written] = (uint32_t)self->spec.position;
  self->sizes[self->written++] = (uint32_t)size;
  self->spec.position += size + (size & 1); // TIFF wants even offsets
  return dt_part_append(self->spec.part, data, size)
         && ((size & 1) == 0 || dt_part_append(self->spec.part, &zero, 1));
}

/** Copies the tile that begins at column @p x of the band. */
static void _cut_tile(const dt_dng_tiles_t *self, int x, uint16_t *tile)
{
  const int samples = self->spec.samples, inside = MIN(self->tile_width, self->spec.width - x);
  for(int y = 0; y < self->tile_height; y++, tile += self->tile_row)
  {
    const uint16_t *row =
        self->band + (size_t)MIN(y, self->rows - 1) * self->row + (size_t)x * (size_t)samples;
    memcpy(tile, row, (size_t)(inside * samples) * sizeof(*tile));
    for(int i = inside * samples; i < (int)self->tile_row; i++)
      tile[i] = tile[i - (samples > 1 ? samples : MIN(i, 2))]; // of its own colour
  }
}

static gboolean _emit_band(dt_dng_tiles_t *self)
{
  for(int i = 0; i < self->across; i++)
  {
    uint16_t *tile = dt_strip_packer_begin(self->packer);
    if(!tile) return FALSE;
    _cut_tile(self, i * self->tile_width, tile);
    dt_strip_packer_submit(self->packer, (size_t)self->tile_height * self->tile_row * sizeof(*tile));
  }
  self->done += self->rows;
  self->rows = 0;
  return TRUE;
}

/** The band is a row. */
static gboolean _append_row(const dt_dng_tiles_t *self)
{
  return dt_part_append(self->spec.part, self->band, self->row * sizeof(*self->band));
}

uint16_t *dt_dng_tiles_row(dt_dng_tiles_t *tiles)
{
  return tiles->band + (size_t)tiles->rows * tiles->row;
}

gboolean dt_dng_tiles_push(dt_dng_tiles_t *tiles)
{
  if(!tiles->packer) return _append_row(tiles);
  tiles->rows++;
  if(tiles->rows < tiles->tile_height && tiles->done + tiles->rows < tiles->spec.height) return TRUE;
  return _emit_band(tiles);
}

uint64_t dt_dng_tiles_finish(dt_dng_tiles_t *tiles)
{
  if(!tiles->packer) return tiles->spec.position + tiles->sizes[0];
  return dt_strip_packer_finish(tiles->packer) ? tiles->spec.position : 0;
}

static int _compression(const dt_dng_tiles_t *self)
{
  if(!self->packer) return COMPRESSION_NONE;
  return self->spec.half ? COMPRESSION_DEFLATE : COMPRESSION_JPEG;
}

void dt_dng_tiles_describe(const dt_dng_tiles_t *tiles, dt_exif_t *directory)
{
  const int samples = tiles->spec.samples, bits[] = { BITS, BITS, BITS };
  const uint32_t size[] = { (uint32_t)tiles->tile_width, (uint32_t)tiles->tile_height };
  const gboolean tiled = tiles->packer != NULL;
  dt_dng_set_shorts(directory, TAG_BITS, bits, samples);
  dt_dng_set_shorts(directory, TAG_COMPRESSION, &(int){ _compression(tiles) }, 1);
  if(_compression(tiles) == COMPRESSION_DEFLATE)
    dt_dng_set_shorts(directory, TAG_PREDICTOR, &(int){ DT_PREDICTOR_FLOAT }, 1);
  dt_dng_set_shorts(directory, TAG_SAMPLES, &samples, 1);
  dt_dng_set_shorts(directory, TAG_PLANAR, &(int){ 1 }, 1);
  if(tiled) dt_dng_set_longs(directory, TAG_TILE_WIDTH, &size[0], 1);
  dt_dng_set_longs(directory, tiled ? TAG_TILE_HEIGHT : TAG_STRIP_ROWS, &size[1], 1);
  dt_dng_set_longs(directory, tiled ? TAG_TILE_OFFSETS : TAG_STRIP_OFFSETS, tiles->offsets, tiles->count);
  dt_dng_set_longs(directory, tiled ? TAG_TILE_SIZES : TAG_STRIP_SIZES, tiles->sizes, tiles->count);
}

size_t dt_dng_tiles_memory(const dt_dng_tiles_t *tiles)
{
  const size_t rows = tiles->packer ? (size_t)tiles->tile_height : 1;
  return rows * tiles->row * sizeof(uint16_t) + (size_t)tiles->count * 2 * sizeof(uint32_t)
         + (tiles->packer ? dt_strip_packer_memory(tiles->packer) : 0);
}

static dt_strip_packer_t *_create_packer(dt_dng_tiles_t *self)
{
  const size_t row_bytes = self->tile_row * sizeof(uint16_t);
  const int threads = self->spec.threads ? self->spec.threads : (int)g_get_num_processors();
  const dt_strip_shape_t shape = { .row_bytes = row_bytes,
                                   .strip_bytes = row_bytes * (size_t)self->tile_height,
                                   .channels = self->spec.samples,
                                   .sample = self->spec.half ? DT_SAMPLE_F16 : DT_SAMPLE_U16,
                                   .predictor = DT_PREDICTOR_FLOAT, // where there is no encoder
                                   .encode = self->spec.half ? NULL : _encode_tile,
                                   .threads = threads };
  return dt_strip_packer_create(&shape, _write_tile, self);
}

static int _side_of_tile(int side, int limit)
{
  return MIN((side + 15) / 16 * 16, limit);
}

static void _plan_tiles(dt_dng_tiles_t *self)
{
  const dt_dng_tiles_spec_t *spec = &self->spec;
  self->tile_width = _side_of_tile(spec->width, spec->tile);
  // LibRaw 0.20 takes a mosaic that is just two tiles wide for one whose tiles hold two rows in each
  if(spec->samples == 1 && spec->width == 2 * self->tile_width) self->tile_width = spec->width;
  self->tile_height = _side_of_tile(spec->height, spec->tile);
  self->tile_row = (size_t)self->tile_width * (size_t)spec->samples;
  self->across = (spec->width + self->tile_width - 1) / self->tile_width;
  self->count = self->across * ((spec->height + self->tile_height - 1) / self->tile_height);
  self->packer = _create_packer(self);
}

dt_dng_tiles_t *dt_dng_tiles_create(const dt_dng_tiles_spec_t *spec)
{
  dt_dng_tiles_t *self = g_new0(dt_dng_tiles_t, 1);
  self->spec = *spec;
  self->row = (size_t)spec->width * (size_t)spec->samples;
  if(spec->compress) _plan_tiles(self);
  if(!self->packer)
  {
    self->tile_width = spec->width;
    self->tile_height = spec->height;
    self->count = 1;
  }
  self->offsets = g_new0(uint32_t, self->count);
  self->sizes = g_new0(uint32_t, self->count);
  self->band = g_new(uint16_t, self->row * (size_t)(self->packer ? self->tile_height : 1));
  if(!self->packer)
  {
    self->offsets[0] = (uint32_t)spec->position;
    self->sizes[0] = (uint32_t)(self->row * (size_t)spec->height * sizeof(uint16_t));
  }
  return self;
}

void dt_dng_tiles_destroy(dt_dng_tiles_t *tiles)
{
  if(!tiles) return;
  dt_strip_packer_destroy(tiles->packer);
  g_free(tiles->offsets);
  g_free(tiles->sizes);
  g_free(tiles->band);
  g_free(tiles);
}
