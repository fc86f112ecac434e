/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Any bytes as a raw: its shape, levels, colours, tags and rows. Whatever they are, the outcome is a DNG whose directories
 * the TIFF library reads, with all of its samples in the file, or an error. */
#include "imageio/dng_internal.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <tiffio.h>
#include <unistd.h>

#define MOST_SIDE 90

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/** What is left of the bytes; zeros behind them. */
typedef struct _bytes_t
{
  const uint8_t *data;
  size_t left;
} _bytes_t;

static void _take(_bytes_t *bytes, void *out, size_t n)
{
  const size_t there = MIN(n, bytes->left);
  memset(out, 0, n);
  if(there) memcpy(out, bytes->data, there);
  bytes->data += there;
  bytes->left -= there;
}

static int _take_byte(_bytes_t *bytes)
{
  uint8_t byte;
  _take(bytes, &byte, 1);
  return byte;
}

/** Plain numbers, or any bits. */
static float _take_float(_bytes_t *bytes)
{
  float value;
  if(_take_byte(bytes) < 200) return (float)_take_byte(bytes) / 64.0f;
  _take(bytes, &value, sizeof(value));
  return value;
}

static void _take_mosaic(_bytes_t *bytes, dt_mosaic_t *m)
{
  m->sensor = (dt_sensor_t)(_take_byte(bytes) % 4);
  m->width = 1 + _take_byte(bytes) % MOST_SIDE;
  m->height = 1 + _take_byte(bytes) % MOST_SIDE;
  m->is_float = _take_byte(bytes) & 1;
  m->period = m->sensor == DT_SENSOR_XTRANS ? 6 : m->sensor == DT_SENSOR_LINEAR ? 1 : 2;
  m->step = m->sensor == DT_SENSOR_LINEAR ? 3 : 1;
  m->stride = (size_t)m->width * m->step;
  for(int i = 0; i < DT_MOSAIC_PERIOD * DT_MOSAIC_PERIOD; i++)
  {
    m->colour[i / 6][i % 6] = (uint8_t)(_take_byte(bytes) % 3);
    m->black[i / 6][i % 6] = 256.0f * _take_float(bytes);
    m->white[i / 6][i % 6] = m->black[i / 6][i % 6] + 8192.0f * _take_float(bytes);
  }
  const size_t samples = m->stride * (size_t)m->height * (m->is_float ? sizeof(float) : sizeof(uint16_t));
  void *copy = g_malloc(samples);
  _take(bytes, copy, MIN(samples, 64));
  memset((char *)copy + MIN(samples, 64), 0, samples - MIN(samples, 64));
  m->samples = copy;
}

static void _clear(void *data)
{
  g_bytes_unref(((dt_exif_entry_t *)data)->value);
}

/** Tags whose counts, types and values may not agree. */
static GArray *_take_tags(_bytes_t *bytes)
{
  GArray *tags = g_array_new(FALSE, FALSE, sizeof(dt_exif_entry_t));
  g_array_set_clear_func(tags, _clear);
  for(int n = _take_byte(bytes) % 8; n > 0; n--)
  {
    uint8_t head[4], value[64];
    _take(bytes, head, sizeof(head));
    const size_t length = (size_t)_take_byte(bytes) % 64;
    _take(bytes, value, length);
    const size_t unit = dt_exif_type_size(head[2] % 16);
    const dt_exif_entry_t entry = { .tag = (uint16_t)(head[0] << 8 | head[1]),
                                    .type = head[2] % 16,
                                    .count = head[3] & 128 ? head[3]
                                             : unit        ? (uint32_t)(length / unit)
                                                           : 1,
                                    .value = g_bytes_new(value, length) };
    g_array_append_val(tags, entry);
  }
  return tags;
}

static char *_take_text(_bytes_t *bytes)
{
  const size_t length = (size_t)_take_byte(bytes) % 20;
  char *text = g_malloc(length + 1);
  _take(bytes, text, length);
  text[length] = '\0';
  return text;
}

static void _take_raw(_bytes_t *bytes, dt_raw_t *raw)
{
  _take_mosaic(bytes, &raw->mosaic);
  raw->name = _take_text(bytes);
  raw->make = _take_text(bytes);
  raw->model = _take_text(bytes);
  raw->unique_model = _take_text(bytes);
  raw->has_matrix = _take_byte(bytes) & 1;
  for(int i = 0; i < 12; i++) raw->matrix[i / 3][i % 3] = (double)_take_float(bytes);
  for(int i = 0; i < 4; i++) raw->neutral[i] = (double)_take_float(bytes);
  raw->baseline_exposure = (double)_take_float(bytes);
  raw->crop_x = (int8_t)_take_byte(bytes);
  raw->crop_y = (int8_t)_take_byte(bytes);
  raw->crop_width = (int8_t)_take_byte(bytes);
  raw->crop_height = (int8_t)_take_byte(bytes);
  raw->orientation = _take_byte(bytes);
  raw->dng_tags = _take_tags(bytes);
  raw->raw_tags = _take_tags(bytes);
}

static void _clear_raw(dt_raw_t *raw)
{
  char *texts[] = { raw->name, raw->make, raw->model, raw->unique_model };
  for(size_t i = 0; i < G_N_ELEMENTS(texts); i++) g_free(texts[i]);
  g_free((void *)(uintptr_t)raw->mosaic.samples);
  g_array_unref(raw->dng_tags);
  g_array_unref(raw->raw_tags);
  dt_exif_destroy(raw->exif);
  if(raw->xmp) g_bytes_unref(raw->xmp);
}

/** All pieces of the picture that is open lie in the file. */
static void _check_pieces(TIFF *tiff, uint64_t file_size)
{
  const uint32_t pieces = TIFFIsTiled(tiff) ? TIFFNumberOfTiles(tiff) : TIFFNumberOfStrips(tiff);
  if(pieces == 0) abort();
  for(uint32_t i = 0; i < pieces; i++)
  {
    const uint64_t start = TIFFGetStrileOffset(tiff, i), length = TIFFGetStrileByteCount(tiff, i);
    if(start < 8 || length == 0 || start + length > file_size) abort();
  }
}

static void _check_file(int fd, const dt_mosaic_t *m)
{
  char path[64];
  uint16_t count = 0;
  uint64_t *listed = NULL;
  uint32_t width = 0, height = 0;
  g_snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
  TIFF *tiff = TIFFOpen(path, "r");
  const uint64_t size = (uint64_t)lseek(fd, 0, SEEK_END);
  if(!tiff || !TIFFGetField(tiff, TIFFTAG_SUBIFD, &count, &listed) || count != 2) abort();
  const uint64_t offsets[2] = { listed[0], listed[1] };
  _check_pieces(tiff, size);
  for(int i = 0; i < 2; i++)
  {
    if(!TIFFSetSubDirectory(tiff, offsets[i])) abort();
    _check_pieces(tiff, size);
    TIFFGetField(tiff, TIFFTAG_IMAGEWIDTH, &width);
    TIFFGetField(tiff, TIFFTAG_IMAGELENGTH, &height);
    if(i == 0 && (width != (uint32_t)m->width || height != (uint32_t)m->height)) abort();
  }
  TIFFClose(tiff);
}

static void _write(_bytes_t *bytes, const dt_raw_t *raw, const dt_dng_opts_t *opts)
{
  const dt_provenance_t stamp = {
    .task = "rawdenoise", .model = "m", .strength = 100, .scale = 1, .version = "1"
  };
  const size_t n = 3 * (size_t)raw->mosaic.width;
  dt_dng_opts_t chosen = *opts;
  char *note = NULL;
  chosen.note = &note;
  chosen.provenance = raw->orientation & 64 ? &stamp : NULL;
  dt_row_sink_t *sink = dt_dng_create_tiled("-", raw, &chosen, raw->orientation & 32 ? 32 : 256, NULL);
  gboolean fine = sink != NULL;
  float *row = g_new0(float, n);
  for(int y = 0; fine && y < raw->mosaic.height; y++)
  {
    for(int i = 0; i < 8; i++) row[(size_t)(y * 31 + i * 7) % n] = _take_float(bytes);
    fine = sink->write(sink, y, 1, row, NULL);
  }
  g_free(row);
  if(!sink) return;
  if(!fine || !sink->finish(sink, NULL)) abort();
  _check_file(opts->stream, &raw->mosaic);
  g_free(note);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  _bytes_t bytes = { .data = data, .left = size };
  dt_raw_t raw = { 0 };
  TIFFSetWarningHandler(NULL);
  TIFFSetErrorHandler(NULL);
  const int fd = memfd_create("dng", MFD_CLOEXEC), flags = _take_byte(&bytes);
  if(fd < 0) abort();
  const dt_dng_opts_t opts = { .kind = flags & 1 ? DT_DNG_CFA : DT_DNG_LINEAR,
                               .uncompressed = flags >> 1 & 1,
                               .half = flags >> 2 & 1,
                               .stream = fd,
                               .threads = 1 + (flags >> 3 & 1),
                               .software = flags & 16 ? "fuzz 1" : NULL };
  _take_raw(&bytes, &raw);
  // what is left may be EXIF and XMP as well as rows
  GBytes *rest = g_bytes_new(bytes.data, bytes.left);
  raw.exif = dt_exif_read_bytes(rest);
  if(flags & 32) raw.xmp = g_bytes_ref(rest);
  _write(&bytes, &raw, &opts);
  g_bytes_unref(rest);
  _clear_raw(&raw);
  close(fd);
  return 0;
}
