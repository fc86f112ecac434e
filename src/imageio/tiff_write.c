/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Writes TIFF, and BigTIFF when 4 GiB might not do: interleaved samples in strips of half a megabyte,
 * plain or deflated. The TIFF library writes the structure; the strips are compressed by
 * strip_packer.c and stored as they are, so that several cores can work on them. What EXIF says is
 * laid out by exif_layout.c: passing through the library, fractions would become floats and unknown
 * tags would be lost. */
#include "imageio/metadata.h"
#include "imageio/strip_packer.h"
#include "imageio/tiff_internal.h"

#include <string.h>

/** Bytes of samples in a strip, as long as a row is not longer. */
#define STRIP_BYTES ((size_t)512 << 10)

typedef struct _tiff_t
{
  dt_encoder_t encoder;
  char *name;
  dt_part_t *part;
  uint64_t position; ///< the library's place in the file
  char *message;     ///< its first complaint
  TIFF *tiff;
  gboolean big;
  int rows_left;
  size_t row_bytes, strip_bytes;
  dt_strip_packer_t *packer; ///< NULL when uncompressed
  uint8_t *strip;            ///< the strip being filled: the packer's, or own
  size_t filled;
  uint32_t strips; ///< written so far
  dt_exif_t *exif;
} _tiff_t;

// --- The library's way to the file

static tmsize_t _read_proc(thandle_t data, void *buffer, tmsize_t size)
{
  _tiff_t *self = (_tiff_t *)data;
  const size_t got = dt_part_read(self->part, self->position, buffer, (size_t)size);
  self->position += got;
  return (tmsize_t)got;
}

static tmsize_t _write_proc(thandle_t data, void *buffer, tmsize_t size)
{
  _tiff_t *self = (_tiff_t *)data;
  if(!dt_part_write(self->part, self->position, buffer, (size_t)size)) return -1;
  self->position += (uint64_t)size;
  return size;
}

static toff_t _seek_proc(thandle_t data, toff_t offset, int whence)
{
  _tiff_t *self = (_tiff_t *)data;
  self->position = offset
                   + (whence == SEEK_SET   ? 0
                      : whence == SEEK_CUR ? self->position
                                           : dt_part_size(self->part));
  return self->position;
}

static int _close_proc(thandle_t data)
{
  (void)data;
  return 0;
}

static toff_t _size_proc(thandle_t data)
{
  return dt_part_size(((_tiff_t *)data)->part);
}

static int _keep_error(TIFF *tiff, void *data, const char *module, const char *format, va_list args)
{
  _tiff_t *self = data;
  (void)tiff, (void)module;
  if(!self->message) self->message = g_strdup_vprintf(format, args);
  return 1;
}

static gboolean _fail(const _tiff_t *self, GError **error)
{
  dt_part_set_error(self->part, self->message ? self->message : "the TIFF library gave no reason", error);
  return FALSE;
}

gboolean dt_tiff_needs_big(uint64_t pixels, uint64_t strips, uint64_t extra)
{
  // deflate adds five bytes to each 64 KiB it cannot shrink, a strip a little and two table entries
  const uint64_t margin = pixels / 8192 + strips * 64 + extra + ((uint64_t)1 << 20);
  return pixels + margin > UINT32_MAX;
}

// --- Tags

static void _set_extra_samples(const _tiff_t *self, const dt_encode_spec_t *spec)
{
  if(!DT_ROW_HAS_ALPHA(spec->channels)) return;
  const uint16_t kind = spec->alpha_associated ? EXTRASAMPLE_ASSOCALPHA : EXTRASAMPLE_UNASSALPHA;
  TIFFSetField(self->tiff, TIFFTAG_EXTRASAMPLES, 1, &kind);
}

static void _set_structure(const _tiff_t *self, const dt_encode_spec_t *spec, int rows_per_strip)
{
  TIFF *tiff = self->tiff;
  TIFFSetField(tiff, TIFFTAG_IMAGEWIDTH, (uint32_t)spec->width);
  TIFFSetField(tiff, TIFFTAG_IMAGELENGTH, (uint32_t)spec->height);
  TIFFSetField(tiff, TIFFTAG_SAMPLESPERPIXEL, spec->channels);
  TIFFSetField(tiff, TIFFTAG_BITSPERSAMPLE, (int)dt_sample_size(spec->sample) * 8);
  TIFFSetField(tiff, TIFFTAG_SAMPLEFORMAT,
               spec->sample == DT_SAMPLE_F32 ? SAMPLEFORMAT_IEEEFP : SAMPLEFORMAT_UINT);
  TIFFSetField(tiff, TIFFTAG_PHOTOMETRIC,
               DT_ROW_COLOURS(spec->channels) == 3 ? PHOTOMETRIC_RGB : PHOTOMETRIC_MINISBLACK);
  TIFFSetField(tiff, TIFFTAG_PLANARCONFIG, PLANARCONFIG_CONTIG);
  TIFFSetField(tiff, TIFFTAG_ROWSPERSTRIP, (uint32_t)rows_per_strip);
  TIFFSetField(tiff, TIFFTAG_ORIENTATION, spec->metadata->orientation);
  _set_extra_samples(self, spec);
}

static dt_predictor_t _choose_predictor(const dt_encode_spec_t *spec)
{
  if(spec->compression != DT_IMAGEIO_DEFLATE_PREDICTOR) return DT_PREDICTOR_NONE;
  return spec->sample == DT_SAMPLE_F32 ? DT_PREDICTOR_FLOAT : DT_PREDICTOR_HORIZONTAL;
}

static void _set_compression(const _tiff_t *self, const dt_encode_spec_t *spec)
{
  const gboolean plain = spec->compression == DT_IMAGEIO_UNCOMPRESSED;
  TIFFSetField(self->tiff, TIFFTAG_COMPRESSION, plain ? COMPRESSION_NONE : COMPRESSION_ADOBE_DEFLATE);
  const dt_predictor_t predictor = _choose_predictor(spec);
  if(!plain && predictor != DT_PREDICTOR_NONE) TIFFSetField(self->tiff, TIFFTAG_PREDICTOR, (int)predictor);
}

/** Where EXIF has the fractions, they go along as they are. */
static void _set_resolution(const _tiff_t *self, const dt_metadata_t *metadata)
{
  if(!(metadata->xres > 0.0 && metadata->yres > 0.0) || dt_metadata_is_exact(metadata, self->exif)) return;
  TIFFSetField(self->tiff, TIFFTAG_RESOLUTIONUNIT, RESUNIT_INCH);
  TIFFSetField(self->tiff, TIFFTAG_XRESOLUTION, metadata->xres);
  TIFFSetField(self->tiff, TIFFTAG_YRESOLUTION, metadata->yres);
}

/** Older libraries store IPTC as 32-bit numbers, as Photoshop once did; the bytes are the same. */
static void _set_iptc(const _tiff_t *self, GBytes *iptc)
{
  gsize size;
  const void *data = g_bytes_get_data(iptc, &size);
  const TIFFField *field = TIFFFindField(self->tiff, TIFFTAG_RICHTIFFIPTC, TIFF_ANY);
  if(!field || TIFFFieldDataType(field) != TIFF_LONG)
  {
    TIFFSetField(self->tiff, TIFFTAG_RICHTIFFIPTC, (uint32_t)size, data);
    return;
  }
  const gsize words = (size + 3) / 4;
  uint32_t *padded = g_new0(uint32_t, words);
  memcpy(padded, data, size);
  TIFFSetField(self->tiff, TIFFTAG_RICHTIFFIPTC, (uint32_t)words, padded);
  g_free(padded);
}

static void _set_blobs(const _tiff_t *self, const dt_encode_spec_t *spec)
{
  GBytes *icc = spec->metadata->icc, *iptc = dt_metadata_make_iptc(spec);
  GBytes *xmp = dt_metadata_make_xmp(spec, G_MAXUINT32);
  if(icc)
    TIFFSetField(self->tiff, TIFFTAG_ICCPROFILE, (uint32_t)g_bytes_get_size(icc),
                 g_bytes_get_data(icc, NULL));
  if(xmp)
    TIFFSetField(self->tiff, TIFFTAG_XMLPACKET, (uint32_t)g_bytes_get_size(xmp), g_bytes_get_data(xmp, NULL));
  if(iptc && g_bytes_get_size(iptc) > 0) _set_iptc(self, iptc);
  if(xmp) g_bytes_unref(xmp);
  if(iptc) g_bytes_unref(iptc);
}

/** Puts EXIF and GPS at the end of the file, where the library will continue behind them. */
static void _write_directories(_tiff_t *self)
{
  static const uint8_t zeros[8] = { 0 };
  const uint64_t end = dt_part_size(self->part), base = (end + 7) & ~(uint64_t)7;
  dt_exif_layout_t layout;
  GBytes *bytes = self->exif ? dt_exif_layout_for_tiff(self->exif, base, self->big, &layout) : NULL;
  if(!bytes) return;
  gsize size;
  const void *data = g_bytes_get_data(bytes, &size);
  if(dt_part_write(self->part, end, zeros, (size_t)(base - end))
     && dt_part_write(self->part, base, data, size))
  {
    if(layout.exif) TIFFSetField(self->tiff, TIFFTAG_EXIFIFD, layout.exif);
    if(layout.gps) TIFFSetField(self->tiff, TIFFTAG_GPSIFD, layout.gps);
  }
  g_bytes_unref(bytes);
}

/** Adds the entries of EXIF's first directory to the one the library has written, which is written anew for it: passing
 * through the library, fractions would become floats and texts end at their first zero. */
static gboolean _extend_directory(const _tiff_t *self)
{
  const int word = self->big ? 8 : 4, head = self->big ? 8 : 2;
  const size_t step = self->big ? 20 : 12;
  const gboolean big_endian = G_BYTE_ORDER == G_BIG_ENDIAN;
  static const uint8_t zeros[8] = { 0 };
  uint8_t raw[8] = { 0 };
  dt_part_read(self->part, (uint64_t)word, raw, (size_t)word);
  const uint64_t offset = dt_exif_get_uint(raw, word, big_endian);
  dt_part_read(self->part, offset, raw, (size_t)head);
  const size_t count = (size_t)MIN(dt_exif_get_uint(raw, head, big_endian), (uint64_t)UINT16_MAX);
  uint8_t *table = g_malloc0(count * step + 1);
  dt_part_read(self->part, offset + (uint64_t)head, table, count * step);
  const uint64_t end = dt_part_size(self->part), base = (end + 7) & ~(uint64_t)7;
  GBytes *bytes = dt_exif_extend_directory(self->exif, table, count, base, self->big);
  g_free(table);
  if(!bytes) return TRUE;
  gsize size;
  const void *data = g_bytes_get_data(bytes, &size);
  dt_exif_put_uint(raw, word, big_endian, base);
  const gboolean done = dt_part_write(self->part, end, zeros, (size_t)(base - end))
                        && dt_part_write(self->part, base, data, size)
                        && dt_part_write(self->part, (uint64_t)word, raw, (size_t)word);
  g_bytes_unref(bytes);
  return done;
}

// --- Strips

static gboolean _write_strip(void *user, const void *data, size_t size)
{
  _tiff_t *self = user;
  // the library takes a pointer to what it might change; with raw strips it does not
  return TIFFWriteRawStrip(self->tiff, self->strips++, (void *)(uintptr_t)data, (tmsize_t)size)
         == (tmsize_t)size;
}

static gboolean _end_strip(_tiff_t *self, GError **error)
{
  const size_t size = self->filled;
  self->filled = 0;
  if(!self->packer) return _write_strip(self, self->strip, size) || _fail(self, error);
  dt_strip_packer_submit(self->packer, size);
  self->strip = NULL;
  return TRUE;
}

static gboolean _write_row(dt_encoder_t *encoder, void *row, GError **error)
{
  _tiff_t *self = (_tiff_t *)encoder;
  if(!self->strip) self->strip = dt_strip_packer_begin(self->packer);
  if(!self->strip) return _fail(self, error);
  memcpy(self->strip + self->filled, row, self->row_bytes);
  self->filled += self->row_bytes;
  self->rows_left--;
  if(self->filled < self->strip_bytes && self->rows_left > 0) return TRUE;
  return _end_strip(self, error);
}

static gboolean _finish(dt_encoder_t *encoder, GError **error)
{
  _tiff_t *self = (_tiff_t *)encoder;
  if(self->packer && !dt_strip_packer_finish(self->packer)) return _fail(self, error);
  _write_directories(self);
  if(TIFFWriteDirectory(self->tiff) != 1 || TIFFFlush(self->tiff) != 1) return _fail(self, error);
  return !self->exif || _extend_directory(self) || _fail(self, error);
}

static void _destroy(dt_encoder_t *encoder)
{
  _tiff_t *self = (_tiff_t *)encoder;
  dt_strip_packer_destroy(self->packer);
  if(!self->packer) g_free(self->strip);
  if(self->tiff) TIFFClose(self->tiff);
  dt_exif_destroy(self->exif);
  g_free(self->message);
  g_free(self->name);
  g_free(self);
}

// --- Creating

static void _measure(_tiff_t *self, const dt_encode_spec_t *spec)
{
  self->row_bytes = (size_t)spec->width * (size_t)spec->channels * dt_sample_size(spec->sample);
  const size_t rows = CLAMP(STRIP_BYTES / self->row_bytes, (size_t)1, (size_t)spec->height);
  const uint64_t strips = ((uint64_t)spec->height + rows - 1) / rows;
  uint64_t extra = 0;
  GBytes *const blobs[] = { spec->metadata->icc, spec->metadata->exif, spec->metadata->xmp,
                            spec->metadata->iptc };
  for(size_t i = 0; i < G_N_ELEMENTS(blobs); i++)
    if(blobs[i]) extra += 2 * g_bytes_get_size(blobs[i]);
  self->strip_bytes = rows * self->row_bytes;
  self->rows_left = spec->height;
  self->big = dt_tiff_needs_big((uint64_t)self->row_bytes * (uint64_t)spec->height, strips, extra);
  // the library keeps offset and size of every strip
  self->encoder.memory = sizeof(*self) + (size_t)strips * 32 + (size_t)extra;
}

static gboolean _open(_tiff_t *self)
{
  static const dt_tiff_procs_t procs = { .read = _read_proc,
                                         .write = _write_proc,
                                         .seek = _seek_proc,
                                         .close = _close_proc,
                                         .size = _size_proc,
                                         .error = _keep_error };
  self->tiff = dt_tiff_open(self->name, self->big ? "w8" : "w4", self, &procs);
  return self->tiff != NULL;
}

static gboolean _create_buffers(_tiff_t *self, const dt_encode_spec_t *spec)
{
  const dt_strip_shape_t shape = { .row_bytes = self->row_bytes,
                                   .strip_bytes = self->strip_bytes,
                                   .channels = spec->channels,
                                   .sample = spec->sample,
                                   .predictor = _choose_predictor(spec) };
  if(spec->compression == DT_IMAGEIO_UNCOMPRESSED)
  {
    self->strip = g_malloc(self->strip_bytes);
    self->encoder.memory += self->strip_bytes;
    return TRUE;
  }
  self->packer = dt_strip_packer_create(&shape, _write_strip, self);
  if(self->packer) self->encoder.memory += dt_strip_packer_memory(self->packer);
  return self->packer != NULL;
}

/** Laying out once in vain tells what will not fit, while there is still somebody to tell. */
static void _prepare_exif(_tiff_t *self, const dt_encode_spec_t *spec)
{
  dt_exif_layout_t layout = { 0 };
  self->exif = dt_metadata_make_exif_tree(spec);
  GBytes *bytes = self->exif ? dt_exif_layout_for_tiff(self->exif, 8, self->big, &layout) : NULL;
  if(bytes) g_bytes_unref(bytes);
  if(layout.lost_maker_note)
    dt_metadata_note(spec, "The camera's maker note depends on the byte order of its file and was "
                           "left out.");
}

dt_encoder_t *dt_tiff_encoder_create(const dt_encode_spec_t *spec, GError **error)
{
  _tiff_t *self = g_new0(_tiff_t, 1);
  self->encoder.write_row = _write_row;
  self->encoder.finish = _finish;
  self->encoder.destroy = _destroy;
  self->name = g_strdup(spec->name);
  self->part = spec->part;
  _measure(self, spec);
  if(!_create_buffers(self, spec) || !_open(self))
  {
    _fail(self, error);
    _destroy(&self->encoder);
    return NULL;
  }
  _set_structure(self, spec, (int)(self->strip_bytes / self->row_bytes));
  _set_compression(self, spec);
  _prepare_exif(self, spec);
  _set_resolution(self, spec->metadata);
  _set_blobs(self, spec);
  return &self->encoder;
}
