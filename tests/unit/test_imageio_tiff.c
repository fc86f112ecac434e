/* SPDX-License-Identifier: GPL-3.0-or-later */
/* TIFF as other programs write it: every layout, depth and compression the reader takes, made here
 * with the TIFF library, and the kinds it has to refuse. */
#include "test_imageio_util.h"

#include <tiffio.h>

enum
{
  WIDTH = 37,
  HEIGHT = 29,
};

typedef struct _spec_t
{
  const char *mode; ///< of TIFFOpen: w, wl, wb, w8
  int bits, format, samples, photometric, compression, planar;
  int rows_per_strip; ///< 0: tiles of 16×16
  int predictor;
  int extra; ///< kind of the extra sample, -1 for none
} _spec_t;

/** The value that sample @p c of pixel x, y has in every test picture, 0..1. */
static double _get_value(int x, int y, int c)
{
  return c == 3 ? (x % 5) / 4.0 : ((x * 7 + y * 3 + c * 11) % 64) / 63.0;
}

static void _put_sample(const _spec_t *spec, uint8_t *row, int index, double value)
{
  static const uint16_t halves[2] = { 0x0000, 0x3c00 };
  if(spec->format == SAMPLEFORMAT_IEEEFP && spec->bits == 64)
    ((double *)(void *)row)[index] = value;
  else if(spec->format == SAMPLEFORMAT_IEEEFP && spec->bits == 32)
    ((float *)(void *)row)[index] = (float)value;
  else if(spec->format == SAMPLEFORMAT_IEEEFP)
    ((uint16_t *)(void *)row)[index] = halves[value > 0.5];
  else if(spec->bits == 32)
    ((uint32_t *)(void *)row)[index] = (uint32_t)(value * 4294967295.0 + 0.5);
  else if(spec->bits == 16)
    ((uint16_t *)(void *)row)[index] = (uint16_t)(value * 65535.0 + 0.5);
  else
    row[index] = (uint8_t)(value * 255.0 + 0.5);
}

/** Fills a rectangle of samples; separate planes hold one sample each. */
static void _fill(const _spec_t *spec, uint8_t *out, int x0, int y0, int columns, int rows, int plane)
{
  const int samples = spec->planar == PLANARCONFIG_SEPARATE ? 1 : spec->samples;
  for(int y = 0; y < rows; y++)
    for(int x = 0; x < columns; x++)
      for(int s = 0; s < samples; s++)
      {
        const int c = plane + s;
        const gboolean alpha = c == spec->samples - 1 && spec->samples % 2 == 0;
        double value = _get_value(x0 + x, y0 + y, alpha ? 3 : c);
        if(spec->photometric == PHOTOMETRIC_MINISWHITE && !alpha) value = 1.0 - value;
        _put_sample(spec, out, (y * columns + x) * samples + s, value);
      }
}

static void _set_tags(TIFF *tiff, const _spec_t *spec)
{
  TIFFSetField(tiff, TIFFTAG_IMAGEWIDTH, WIDTH);
  TIFFSetField(tiff, TIFFTAG_IMAGELENGTH, HEIGHT);
  TIFFSetField(tiff, TIFFTAG_BITSPERSAMPLE, spec->bits);
  TIFFSetField(tiff, TIFFTAG_SAMPLEFORMAT, spec->format);
  TIFFSetField(tiff, TIFFTAG_SAMPLESPERPIXEL, spec->samples);
  TIFFSetField(tiff, TIFFTAG_PHOTOMETRIC, spec->photometric);
  TIFFSetField(tiff, TIFFTAG_COMPRESSION, spec->compression);
  TIFFSetField(tiff, TIFFTAG_PLANARCONFIG, spec->planar);
  if(spec->predictor) TIFFSetField(tiff, TIFFTAG_PREDICTOR, spec->predictor);
  const uint16_t extra = (uint16_t)spec->extra;
  if(spec->extra >= 0) TIFFSetField(tiff, TIFFTAG_EXTRASAMPLES, 1, &extra);
  if(spec->rows_per_strip)
    TIFFSetField(tiff, TIFFTAG_ROWSPERSTRIP, spec->rows_per_strip);
  else
  {
    TIFFSetField(tiff, TIFFTAG_TILEWIDTH, 16);
    TIFFSetField(tiff, TIFFTAG_TILELENGTH, 16);
  }
}

static void _write_pieces(TIFF *tiff, const _spec_t *spec)
{
  const int planes = spec->planar == PLANARCONFIG_SEPARATE ? spec->samples : 1;
  const int columns = spec->rows_per_strip ? WIDTH : 16;
  const int rows = spec->rows_per_strip ? spec->rows_per_strip : 16;
  uint8_t *buffer = g_malloc0((size_t)(columns * rows * spec->samples) * 8);
  for(int p = 0; p < planes; p++)
    for(int y = 0; y < HEIGHT; y += rows)
      for(int x = 0; x < WIDTH; x += columns)
      {
        const int height = spec->rows_per_strip ? MIN(rows, HEIGHT - y) : rows;
        const tmsize_t size = (tmsize_t)columns * height * (spec->bits / 8) * (spec->samples / planes);
        _fill(spec, buffer, x, y, columns, height, p);
        if(spec->rows_per_strip)
          assert_int_equal(
              TIFFWriteEncodedStrip(tiff, TIFFComputeStrip(tiff, (uint32_t)y, (uint16_t)p), buffer, size),
              size);
        else
          assert_int_equal(
              TIFFWriteEncodedTile(tiff, TIFFComputeTile(tiff, (uint32_t)x, (uint32_t)y, 0, (uint16_t)p),
                                   buffer, size),
              size);
      }
  g_free(buffer);
}

static const char *_write_tiff(const _spec_t *spec)
{
  const char *path = in_directory("layout.tif");
  TIFF *tiff = TIFFOpen(path, spec->mode);
  assert_non_null(tiff);
  _set_tags(tiff, spec);
  _write_pieces(tiff, spec);
  TIFFClose(tiff);
  return path;
}

static void _check(const _spec_t *spec, int band)
{
  GError *error = NULL;
  dt_imageio_reader_t *reader = dt_imageio_open(_write_tiff(spec), NULL, &error);
  assert_no_error(error);
  assert_int_equal(reader->source.width, WIDTH);
  assert_int_equal(reader->source.height, HEIGHT);
  assert_int_equal(reader->source.channels, spec->samples);
  assert_int_equal(reader->bits, spec->bits);
  float *rows = read_rows(&reader->source, band, &error);
  assert_no_error(error);
  const double step = spec->format == SAMPLEFORMAT_IEEEFP ? (spec->bits == 16 ? 0.51 : 1e-6)
                                                          : 0.51 / (spec->bits == 8 ? 255.0 : 65535.0);
  for(int y = 0; y < HEIGHT; y++)
    for(int x = 0; x < WIDTH; x++)
      for(int c = 0; c < spec->samples; c++)
      {
        const gboolean alpha = c == spec->samples - 1 && spec->samples % 2 == 0;
        float got = rows[(y * WIDTH + x) * spec->samples + c];
        if(!alpha) dt_srgb_encode(&got, &got, 1);
        const double want = _get_value(x, y, alpha ? 3 : c);
        if(!(fabs((double)got - want) <= step))
          fail_msg("sample %d of %d, %d is %g, not %g", c, x, y, (double)got, want);
      }
  g_free(rows);
  dt_row_source_destroy(&reader->source);
}

static const _spec_t _plain = { .mode = "w",
                                .bits = 8,
                                .format = SAMPLEFORMAT_UINT,
                                .samples = 3,
                                .photometric = PHOTOMETRIC_RGB,
                                .compression = COMPRESSION_NONE,
                                .planar = PLANARCONFIG_CONTIG,
                                .rows_per_strip = 5,
                                .extra = -1 };

// --- What is read

/** Byte order, depth, planes, pieces and channels in all combinations. */
static void test_every_layout(void **state)
{
  (void)state;
  static const char *const modes[] = { "wl", "wb", "w8l", "w8b" };
  static const int kinds[][2] = { { 8, SAMPLEFORMAT_UINT },    { 16, SAMPLEFORMAT_UINT },
                                  { 32, SAMPLEFORMAT_UINT },   { 16, SAMPLEFORMAT_IEEEFP },
                                  { 32, SAMPLEFORMAT_IEEEFP }, { 64, SAMPLEFORMAT_IEEEFP } };
  static const int pieces[] = { 0, 1, 5, HEIGHT };
  for(size_t m = 0; m < G_N_ELEMENTS(modes); m++)
    for(size_t k = 0; k < G_N_ELEMENTS(kinds); k++)
      for(size_t p = 0; p < G_N_ELEMENTS(pieces); p++)
        for(int samples = 1; samples <= 4; samples++)
          for(int planar = PLANARCONFIG_CONTIG; planar <= PLANARCONFIG_SEPARATE; planar++)
          {
            _spec_t spec = _plain;
            spec.mode = modes[m];
            spec.bits = kinds[k][0];
            spec.format = kinds[k][1];
            spec.rows_per_strip = pieces[p];
            spec.samples = samples;
            spec.photometric = samples < 3 ? PHOTOMETRIC_MINISBLACK : PHOTOMETRIC_RGB;
            spec.extra = samples % 2 == 0 ? EXTRASAMPLE_UNASSALPHA : -1;
            spec.planar = planar;
            spec.compression = (samples + planar) % 2 ? COMPRESSION_NONE : COMPRESSION_LZW;
            _check(&spec, 4);
          }
}

static void test_every_compression(void **state)
{
  (void)state;
  static const int compressions[] = { COMPRESSION_NONE,    COMPRESSION_LZW,      COMPRESSION_ADOBE_DEFLATE,
                                      COMPRESSION_DEFLATE, COMPRESSION_PACKBITS, COMPRESSION_ZSTD,
                                      COMPRESSION_LZMA };
  for(size_t i = 0; i < G_N_ELEMENTS(compressions); i++)
    for(int bits = 8; bits <= 16; bits += 8)
      for(int rows = 0; rows <= HEIGHT; rows += HEIGHT)
        for(int predictor = 0; predictor <= 2; predictor += 2)
        {
          _spec_t spec = _plain;
          spec.compression = compressions[i];
          spec.bits = bits;
          spec.rows_per_strip = rows;
          spec.predictor =
              compressions[i] == COMPRESSION_NONE || compressions[i] == COMPRESSION_PACKBITS ? 0 : predictor;
          if(TIFFIsCODECConfigured((uint16_t)compressions[i])) _check(&spec, 29);
        }
  _spec_t spec = _plain;
  spec.bits = 32;
  spec.format = SAMPLEFORMAT_IEEEFP;
  spec.compression = COMPRESSION_LZW;
  spec.predictor = 3;
  _check(&spec, 7);
}

static void test_white_may_be_zero(void **state)
{
  (void)state;
  for(int bits = 8; bits <= 32; bits *= 2)
    for(int samples = 1; samples <= 2; samples++)
    {
      _spec_t spec = _plain;
      spec.bits = bits;
      spec.samples = samples;
      spec.photometric = PHOTOMETRIC_MINISWHITE;
      spec.extra = samples == 2 ? EXTRASAMPLE_ASSOCALPHA : -1;
      _check(&spec, 3);
    }
  _spec_t spec = _plain;
  spec.bits = 32;
  spec.format = SAMPLEFORMAT_IEEEFP;
  spec.samples = 1;
  spec.photometric = PHOTOMETRIC_MINISWHITE;
  _check(&spec, 3);
}

static void test_rows_skip_within_strips(void **state)
{
  (void)state;
  for(int planar = PLANARCONFIG_CONTIG; planar <= PLANARCONFIG_SEPARATE; planar++)
    for(int rows = 0; rows <= 20; rows += 10)
    {
      _spec_t spec = _plain;
      spec.compression = COMPRESSION_ADOBE_DEFLATE;
      spec.planar = planar;
      spec.rows_per_strip = rows;
      GError *error = NULL;
      dt_imageio_reader_t *reader = dt_imageio_open(_write_tiff(&spec), NULL, &error);
      assert_no_error(error);
      for(int y = 2; y < HEIGHT; y += 9)
      {
        float row[WIDTH * 3];
        assert_true(reader->source.read(&reader->source, y, 1, row, &error));
        dt_srgb_encode(row, row, WIDTH * 3);
        for(int i = 0; i < WIDTH * 3; i++)
          assert_true(fabs((double)row[i] - _get_value(i / 3, y, i % 3)) < 0.003);
      }
      dt_row_source_destroy(&reader->source);
    }
}

static void test_palette(void **state)
{
  (void)state;
  GError *error = NULL;
  for(int scale = 1; scale <= 257; scale += 256)
  {
    uint16_t red[256], green[256], blue[256];
    for(int i = 0; i < 256; i++)
    {
      red[i] = (uint16_t)(i * scale);
      green[i] = (uint16_t)((255 - i) * scale);
      blue[i] = (uint16_t)(i / 2 * scale);
    }
    _spec_t spec = _plain;
    spec.samples = 1;
    spec.photometric = PHOTOMETRIC_PALETTE;
    const char *path = in_directory("palette.tif");
    TIFF *tiff = TIFFOpen(path, "w");
    _set_tags(tiff, &spec);
    TIFFSetField(tiff, TIFFTAG_COLORMAP, red, green, blue);
    _write_pieces(tiff, &spec);
    TIFFClose(tiff);
    dt_imageio_reader_t *reader = dt_imageio_open(path, NULL, &error);
    assert_no_error(error);
    assert_int_equal(reader->source.channels, 3);
    assert_int_equal(reader->bits, 8);
    float row[WIDTH * 3];
    assert_true(reader->source.read(&reader->source, 0, 1, row, &error));
    dt_srgb_encode(row, row, WIDTH * 3);
    for(int x = 0; x < WIDTH; x++)
    {
      const int index = (int)(_get_value(x, 0, 0) * 255.0 + 0.5);
      assert_int_equal((int)(row[3 * x] * 255.0f + 0.5f), index);
      assert_int_equal((int)(row[3 * x + 1] * 255.0f + 0.5f), 255 - index);
      assert_int_equal((int)(row[3 * x + 2] * 255.0f + 0.5f), index / 2);
    }
    dt_row_source_destroy(&reader->source);
  }
}

/** YCbCr with subsampling inside a TIFF: the library has to be asked for RGB. */
static void test_jpeg_in_tiff(void **state)
{
  (void)state;
  GError *error = NULL;
  for(int tiled = 0; tiled < 2; tiled++)
  {
    const char *path = in_directory("jpeg.tif");
    TIFF *tiff = TIFFOpen(path, "w");
    _spec_t spec = _plain;
    spec.compression = COMPRESSION_JPEG;
    spec.photometric = PHOTOMETRIC_YCBCR;
    spec.rows_per_strip = tiled ? 0 : 16;
    _set_tags(tiff, &spec);
    TIFFSetField(tiff, TIFFTAG_YCBCRSUBSAMPLING, 2, 2);
    TIFFSetField(tiff, TIFFTAG_JPEGCOLORMODE, JPEGCOLORMODE_RGB);
    TIFFSetField(tiff, TIFFTAG_JPEGQUALITY, 95);
    uint8_t piece[WIDTH * 16 * 3];
    for(size_t i = 0; i < sizeof(piece); i++) piece[i] = (uint8_t)(100 + 40 * (i % 3));
    for(int i = 0; i < (tiled ? 6 : 2); i++)
    {
      const tmsize_t size = tiled ? 16 * 16 * 3 : WIDTH * 3 * (i == 0 ? 16 : HEIGHT - 16);
      assert_int_equal(tiled ? TIFFWriteEncodedTile(tiff, (uint32_t)i, piece, size)
                             : TIFFWriteEncodedStrip(tiff, (uint32_t)i, piece, size),
                       size);
    }
    TIFFClose(tiff);
    dt_imageio_reader_t *reader = dt_imageio_open(path, NULL, &error);
    assert_no_error(error);
    float *rows = read_rows(&reader->source, 4, &error);
    assert_no_error(error);
    dt_srgb_encode(rows, rows, WIDTH * HEIGHT * 3);
    for(int i = 0; i < WIDTH * HEIGHT * 3; i++)
      assert_true(fabs((double)rows[i] * 255.0 - (100 + 40 * (i % 3))) < 4.0);
    g_free(rows);
    dt_row_source_destroy(&reader->source);
  }
}

static void test_half_floats(void **state)
{
  (void)state;
  GError *error = NULL;
  static const uint16_t halves[WIDTH] = { 0x0000, 0x3c00, 0xbc00, 0x3800, 0x0001, 0x03ff,
                                          0x0400, 0x7bff, 0x7c00, 0xfc00, 0x8001 };
  static const double want[] = { 0.0,     1.0,     -1.0,     0.5,       0x1p-24, 0x1.ff8p-15,
                                 0x1p-14, 65504.0, INFINITY, -INFINITY, -0x1p-24 };
  const char *path = in_directory("half.tif");
  TIFF *tiff = TIFFOpen(path, "w");
  _spec_t spec = _plain;
  spec.bits = 16;
  spec.format = SAMPLEFORMAT_IEEEFP;
  spec.samples = 1;
  spec.photometric = PHOTOMETRIC_MINISBLACK;
  spec.rows_per_strip = 1;
  _set_tags(tiff, &spec);
  for(uint32_t y = 0; y < HEIGHT; y++)
    TIFFWriteEncodedStrip(tiff, y, (void *)(uintptr_t)halves, sizeof(halves));
  TIFFClose(tiff);
  dt_imageio_reader_t *reader = dt_imageio_open(path, "srgb-linear", &error);
  assert_no_error(error);
  assert_true(reader->is_float);
  float row[WIDTH];
  assert_true(reader->source.read(&reader->source, 0, 1, row, &error));
  for(size_t i = 0; i < G_N_ELEMENTS(want); i++) assert_true((double)row[i] == want[i]);
  dt_row_source_destroy(&reader->source);
}

static void test_first_page_is_read(void **state)
{
  (void)state;
  GError *error = NULL;
  const char *path = in_directory("pages.tif");
  TIFF *tiff = TIFFOpen(path, "w");
  _spec_t spec = _plain;
  _set_tags(tiff, &spec);
  _write_pieces(tiff, &spec);
  TIFFWriteDirectory(tiff);
  spec.bits = 16;
  _set_tags(tiff, &spec);
  _write_pieces(tiff, &spec);
  TIFFClose(tiff);
  dt_imageio_reader_t *reader = dt_imageio_open(path, NULL, &error);
  assert_no_error(error);
  assert_int_equal(reader->bits, 8);
  dt_row_source_destroy(&reader->source);
}

// --- What is refused

static void _assert_refused(_spec_t spec, const char *words)
{
  assert_open_fails(_write_tiff(&spec), words);
}

static void test_unsupported_kinds_are_named(void **state)
{
  (void)state;
  _spec_t spec = _plain;
  spec.samples = 4;
  spec.photometric = PHOTOMETRIC_SEPARATED;
  _assert_refused(spec, "this TIFF is CMYK, which is not supported; convert it to RGB first");
  spec = _plain;
  spec.photometric = PHOTOMETRIC_CIELAB;
  _assert_refused(spec, "Lab");
  spec = _plain;
  spec.photometric = PHOTOMETRIC_YCBCR;
  _assert_refused(spec, "YCbCr");
  spec = _plain;
  spec.format = SAMPLEFORMAT_INT;
  spec.bits = 16;
  _assert_refused(spec, "signed");
  spec = _plain;
  spec.samples = 5;
  _assert_refused(spec, "more channels");
  spec = _plain;
  spec.samples = 2;
  _assert_refused(spec, "fewer than three");
  spec = _plain;
  spec.samples = 1;
  spec.photometric = 32803; // colour filter array
  _assert_refused(spec, "raw sensor data");
}

static void test_one_bit_is_refused(void **state)
{
  (void)state;
  for(int bits = 1; bits <= 4; bits *= 2)
  {
    const char *path = in_directory("bits.tif");
    TIFF *tiff = TIFFOpen(path, "w");
    _spec_t spec = _plain;
    spec.bits = bits;
    spec.samples = 1;
    spec.photometric = PHOTOMETRIC_MINISBLACK;
    spec.rows_per_strip = HEIGHT;
    _set_tags(tiff, &spec);
    uint8_t row[WIDTH] = { 0 };
    for(uint32_t y = 0; y < HEIGHT; y++) TIFFWriteScanline(tiff, row, y, 0);
    TIFFClose(tiff);
    char words[32];
    g_snprintf(words, sizeof(words), "%d-bit", bits);
    assert_open_fails(path, words);
  }
}

static void test_raw_files_are_recognised(void **state)
{
  (void)state;
  const char *path = in_directory("raw.dng");
  TIFF *tiff = TIFFOpen(path, "w");
  _spec_t spec = _plain;
  _set_tags(tiff, &spec);
  static const uint8_t version[4] = { 1, 4, 0, 0 };
  TIFFSetField(tiff, TIFFTAG_DNGVERSION, version);
  _write_pieces(tiff, &spec);
  TIFFClose(tiff);
  assert_open_fails(path, "camera raw");
}

/** Headers that promise the sky in two hundred bytes fail at once, without allocating it. */
static void test_absurd_headers(void **state)
{
  (void)state;
  static const uint32_t sizes[] = { 0x7fffffff, 0xffffffff, 1000001, 1000000, 0 };
  const char *path = in_directory("absurd.tif");
  for(size_t i = 0; i < G_N_ELEMENTS(sizes); i++)
    for(int tiled = 0; tiled < 2; tiled++)
    {
      uint8_t bytes[8 + 2 + 10 * 12 + 4 + 16] = { 'I', 'I', 42, 0, 8, 0, 0, 0, 10, 0 };
      const uint32_t tags[10][3] = { { 256, 4, sizes[i] },
                                     { 257, 4, sizes[i] },
                                     { 258, 3, 8 },
                                     { 259, 3, 1 },
                                     { 262, 3, 1 },
                                     { tiled ? 277 : 273, tiled ? 3 : 4, tiled ? 1 : 134 },
                                     { tiled ? 322 : 277, tiled ? 4 : 3, tiled ? 0x10000000 : 1 },
                                     { tiled ? 323 : 278, 4, tiled ? 0x10000000 : sizes[i] },
                                     { tiled ? 324 : 279, 4, 134 },
                                     { tiled ? 325 : 284, tiled ? 4 : 3, tiled ? 16 : 1 } };
      for(int t = 0; t < 10; t++)
      {
        const uint32_t words[3] = { tags[t][0] | tags[t][1] << 16, 1, tags[t][2] };
        memcpy(bytes + 10 + 12 * t, words, 12);
      }
      assert_true(g_file_set_contents(path, (char *)bytes, sizeof(bytes), NULL));
      assert_open_fails(path, "TIFF");
    }
}

int main(void)
{
  TIFFSetErrorHandler(NULL);
  TIFFSetWarningHandler(NULL);
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_every_layout),
    cmocka_unit_test(test_every_compression),
    cmocka_unit_test(test_white_may_be_zero),
    cmocka_unit_test(test_rows_skip_within_strips),
    cmocka_unit_test(test_palette),
    cmocka_unit_test(test_jpeg_in_tiff),
    cmocka_unit_test(test_half_floats),
    cmocka_unit_test(test_first_page_is_read),
    cmocka_unit_test(test_unsupported_kinds_are_named),
    cmocka_unit_test(test_one_bit_is_refused),
    cmocka_unit_test(test_raw_files_are_recognised),
    cmocka_unit_test(test_absurd_headers),
  };
  return cmocka_run_group_tests_name("imageio_tiff", tests, make_directory, remove_directory);
}
