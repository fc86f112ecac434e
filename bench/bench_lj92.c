/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Lossless JPEG over the tiles of a real raw: how small the arrangements of a sensor's samples become, beside deflate
 * of the same tiles with the predictor TIFF has for it, and how fast, as ratios to memcpy() and deflate.
 *
 *   bench_lj92 [RAW]      default: ../shared/data/raw/colorchart.dng */
#include "imageio/lj92.h"

#include <glib.h>
#include <libdeflate.h>
#include <libraw/libraw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum
{
  TILE = 256,
  ROUNDS = 7
};

/* How a tile of a filter array is told: rows that are joined, and components. */
typedef struct _shape_t
{
  const char *name;
  int rows, components;
} _shape_t;

static const _shape_t _shapes[] = {
  { "1 component", 1, 1 },
  { "2 components of half the width", 1, 2 },
  { "2 rows joined, 1 component", 2, 1 },
  { "2 rows joined, 2 components", 2, 2 },
  { "2 rows joined, 4 components", 2, 4 },
};

typedef struct _tiles_t
{
  int n, bits;
  uint16_t *samples; ///< tile behind tile
  int next;          ///< to be compressed, shared by the threads
  const _shape_t *shape;
} _tiles_t;

static libraw_data_t *_open(const char *path)
{
  libraw_data_t *raw = libraw_init(0);
  if(libraw_open_file(raw, path) || libraw_unpack(raw) || !raw->rawdata.raw_image)
  {
    fprintf(stderr, "bench: %s is no raw of a filter array\n", path);
    exit(1);
  }
  return raw;
}

/* The whole tiles of the visible area, each sample times @p factor. */
static _tiles_t _cut(const libraw_data_t *raw, int factor)
{
  const int across = raw->sizes.width / TILE, down = raw->sizes.height / TILE;
  _tiles_t t = { .n = across * down, .samples = g_new(uint16_t, (size_t)across * down * TILE * TILE) };
  uint16_t *to = t.samples;
  int most = 0;
  for(int i = 0; i < t.n; i++)
    for(int y = 0; y < TILE; y++)
    {
      const size_t row = (size_t)(raw->sizes.top_margin + i / across * TILE + y);
      const uint16_t *from = raw->rawdata.raw_image + row * (raw->sizes.raw_pitch / 2)
                             + raw->sizes.left_margin + i % across * TILE;
      for(int x = 0; x < TILE; x++, to++)
      {
        *to = (uint16_t)MIN(65535, from[x] * factor);
        most = MAX(most, *to);
      }
    }
  t.bits = 32 - __builtin_clz((unsigned)most | 1);
  return t;
}

static size_t _bytes(const _tiles_t *t)
{
  return (size_t)t->n * TILE * TILE * sizeof(uint16_t);
}

static void _encode_tile(const _tiles_t *t, int i, GByteArray *out)
{
  const _shape_t *s = t->shape;
  g_byte_array_set_size(out, 0);
  dt_lj92_encode(t->samples + (size_t)i * TILE * TILE, (size_t)(TILE * s->rows),
                 TILE * s->rows / s->components, TILE / s->rows, s->components, t->bits, out);
}

static gpointer _encode_tiles(gpointer data)
{
  _tiles_t *t = data;
  GByteArray *out = g_byte_array_new();
  gsize sum = 0;
  for(int i; (i = g_atomic_int_add(&t->next, 1)) < t->n;)
  {
    _encode_tile(t, i, out);
    sum += out->len;
  }
  g_byte_array_unref(out);
  return GSIZE_TO_POINTER(sum);
}

/* What TIFF's predictor 2 makes of a row, two components apart, then deflate. */
static size_t _deflate_tiles(const _tiles_t *t, int level)
{
  struct libdeflate_compressor *c = libdeflate_alloc_compressor(level);
  const size_t raw = (size_t)TILE * TILE * sizeof(uint16_t), bound = libdeflate_zlib_compress_bound(c, raw);
  uint16_t *differences = g_malloc(raw);
  uint8_t *packed = g_malloc(bound);
  size_t sum = 0;
  for(int i = 0; i < t->n; i++)
  {
    const uint16_t *tile = t->samples + (size_t)i * TILE * TILE;
    for(int k = 0; k < TILE * TILE; k++)
      differences[k] = (uint16_t)(tile[k] - (k % TILE < 2 ? 0 : tile[k - 2]));
    sum += libdeflate_zlib_compress(c, differences, raw, packed, bound);
  }
  g_free(differences);
  g_free(packed);
  libdeflate_free_compressor(c);
  return sum;
}

static double _seconds(gint64 since)
{
  return 1e-6 * (double)(g_get_monotonic_time() - since);
}

/* Bytes per second, the best of some rounds. */
static double _rate_encode(_tiles_t *t, int threads)
{
  double best = 0;
  for(int round = 0; round < ROUNDS; round++)
  {
    GThread *others[16];
    t->next = 0;
    const gint64 start = g_get_monotonic_time();
    for(int i = 1; i < threads; i++) others[i] = g_thread_new("encoder", _encode_tiles, t);
    _encode_tiles(t);
    for(int i = 1; i < threads; i++) g_thread_join(others[i]);
    best = MAX(best, (double)_bytes(t) / _seconds(start));
  }
  return best;
}

static double _rate_copy(const _tiles_t *t)
{
  uint8_t *to = g_malloc0(_bytes(t));
  double best = 0;
  for(int round = 0; round < ROUNDS; round++)
  {
    const gint64 start = g_get_monotonic_time();
    memcpy(to, t->samples, _bytes(t));
    best = MAX(best, (double)_bytes(t) / _seconds(start));
  }
  g_free(to);
  return best;
}

static double _rate_deflate(const _tiles_t *t)
{
  double best = 0;
  for(int round = 0; round < 3; round++)
  {
    const gint64 start = g_get_monotonic_time();
    _deflate_tiles(t, 1);
    best = MAX(best, (double)_bytes(t) / _seconds(start));
  }
  return best;
}

static size_t _print_sizes(_tiles_t *t, int factor)
{
  size_t first = 0;
  const double percent = 100 / (double)_bytes(t);
  printf("\nsamples × %d (%d bits), %% of 16 bits uncompressed:\n", factor, t->bits);
  for(size_t i = 0; i < G_N_ELEMENTS(_shapes); i++)
  {
    t->shape = &_shapes[i];
    t->next = 0;
    const size_t size = GPOINTER_TO_SIZE(_encode_tiles(t));
    if(i == 1) first = size;
    printf("  %-34s %5.1f\n", _shapes[i].name, percent * (double)size);
  }
  printf("  %-34s %5.1f\n", "deflate 1", percent * (double)_deflate_tiles(t, 1));
  printf("  %-34s %5.1f\n", "deflate 6", percent * (double)_deflate_tiles(t, 6));
  return first;
}

static void _print_rates(_tiles_t *t)
{
  t->shape = &_shapes[1];
  const double copy = _rate_copy(t), deflate = _rate_deflate(t);
  printf("\n");
  for(int threads = 1; threads <= 2; threads++)
  {
    const double rate = _rate_encode(t, threads);
    printf("%d thread%s: %.0f MB/s, %.3f of memcpy, %.2f times deflate 1 on one thread\n", threads,
           threads > 1 ? "s" : "", rate * 1e-6, rate / copy, rate / deflate);
  }
}

int main(int argc, char **argv)
{
  const char *path = argc > 1 ? argv[1] : DT_BENCH_SOURCE_DIR "/../shared/data/raw/colorchart.dng";
  libraw_data_t *raw = _open(path);
  _tiles_t t = _cut(raw, 1), scaled = _cut(raw, 4);
  const size_t size = _print_sizes(&t, 1);
  _print_sizes(&scaled, 4);
  _print_rates(&t);
  const gboolean small = (double)size <= 0.6 * (double)_bytes(&t);
  printf("\n%s\n", small ? "at most 60 %: yes" : "at most 60 %: NO");
  g_free(t.samples);
  g_free(scaled.samples);
  libraw_close(raw);
  return small ? 0 : 1;
}
