/* SPDX-License-Identifier: GPL-3.0-or-later */
/* DNGs read back: samples by LibRaw and the TIFF library, tags by gexiv2, all of it by exiftool where there is one. */
#include "test_imageio_util.h"

#include "common/half.h"
#include "imageio/dng_internal.h"

#include <gexiv2/gexiv2.h>
#include <libraw/libraw.h>
#include <signal.h>
#include <sys/resource.h>
#include <tiffio.h>

#include "support.h"

/** A side of tiles at which small pictures have many. */
#define TILE 32

#define BLACK 2048
#define WHITE 15000

/** A raw whose samples are its own. */
typedef struct _source_t
{
  dt_raw_t raw;
  uint16_t *samples;
  float *rows; ///< three channels
} _source_t;

static void _set_sites(dt_mosaic_t *m, const char *pattern)
{
  m->period = strlen(pattern) == 36 ? 6 : 2;
  m->sensor = m->period == 6 ? DT_SENSOR_XTRANS : DT_SENSOR_BAYER;
  for(int y = 0; y < m->period; y++)
    for(int x = 0; x < m->period; x++)
    {
      const char colour = pattern[y * m->period + x];
      m->colour[y][x] = colour == 'R' ? DT_SITE_RED : colour == 'G' ? DT_SITE_GREEN : DT_SITE_BLUE;
      m->black[y][x] = BLACK;
      m->white[y][x] = WHITE;
    }
}

static void _set_linear(dt_mosaic_t *m)
{
  m->sensor = DT_SENSOR_LINEAR;
  m->period = 1;
  for(int c = 0; c < 3; c++)
  {
    m->black[0][c] = BLACK;
    m->white[0][c] = WHITE;
  }
}

/** A raw of noise from 0 to 14 bits, and the rows that change nothing: where a site has no say, something else.
 * @param pattern  NULL: three samples per pixel */
static _source_t _source_new(const char *pattern, int width, int height, uint32_t seed)
{
  static const double matrix[4][3] = { { 0.6461, -0.1164, -0.0857 },
                                       { -0.3825, 1.1597, 0.2534 },
                                       { -0.0416, 0.154, 0.6039 } };
  _source_t s = { .raw = { .name = (char *)"IMG_1.CR2",
                           .make = (char *)"Canon",
                           .model = (char *)"Canon EOS 1",
                           .unique_model = (char *)"Canon EOS 1",
                           .has_matrix = TRUE,
                           .has_neutral = TRUE,
                           .neutral = { 0.5, 1.0, 0.625, 1.0 },
                           .crop_width = width,
                           .crop_height = height,
                           .orientation = 6 } };
  const int step = pattern ? 1 : 3;
  dt_mosaic_t *m = &s.raw.mosaic;
  memcpy(s.raw.matrix, matrix, sizeof(matrix));
  m->width = width;
  m->height = height;
  m->step = (size_t)step;
  m->stride = (size_t)width * (size_t)step;
  if(pattern)
    _set_sites(m, pattern);
  else
    _set_linear(m);
  s.samples = g_new(uint16_t, m->stride * (size_t)height);
  for(size_t i = 0; i < m->stride * (size_t)height; i++)
    s.samples[i] = (uint16_t)(next_random(&seed) & 16383);
  m->samples = s.samples;
  s.rows = g_new(float, 3 * (size_t)width * (size_t)height);
  for(size_t i = 0; i < 3 * (size_t)width * (size_t)height; i++)
  {
    const uint16_t code = pattern ? (uint16_t)(next_random(&seed) & 16383) : s.samples[i];
    s.rows[i] = ((float)code - BLACK) / (WHITE - BLACK);
  }
  for(int i = 0; pattern && i < width * height; i++)
    s.rows[3 * i + dt_mosaic_colour(m, i % width, i / width)] =
        ((float)s.samples[i] - BLACK) / (WHITE - BLACK);
  return s;
}

static void _source_free(_source_t *s)
{
  g_free(s->samples);
  g_free(s->rows);
}

static void _push(dt_row_sink_t *sink, const _source_t *s)
{
  GError *error = NULL;
  const int width = s->raw.mosaic.width, height = s->raw.mosaic.height;
  for(int y = 0; y < height; y += 7)
    if(!sink->write(sink, y, MIN(7, height - y), s->rows + 3 * (size_t)y * (size_t)width, &error))
      assert_no_error(error);
}

static const char *_write(const _source_t *s, const dt_dng_opts_t *opts, int tile)
{
  GError *error = NULL;
  const char *path = in_directory("out.dng");
  dt_dng_opts_t chosen = *opts;
  chosen.overwrite = TRUE;
  dt_row_sink_t *sink = dt_dng_create_tiled(path, &s->raw, &chosen, tile, &error);
  assert_no_error(error);
  assert_true(sink->memory > 0);
  _push(sink, s);
  sink->finish(sink, &error);
  assert_no_error(error);
  return path;
}

// --- Samples

/** What LibRaw finds in the visible area: one sample per pixel, or three. */
typedef struct _found_t
{
  int width, height, samples;
  unsigned black, white;
  char sites[37];
  uint16_t *codes;
} _found_t;

static unsigned _black_of(const libraw_data_t *lr)
{
  const unsigned *levels = lr->color.cblack;
  return lr->color.black + levels[1] + (levels[4] && levels[5] ? levels[6] : 0);
}

static void _copy_codes(const libraw_data_t *lr, _found_t *found)
{
  const int pitch = lr->sizes.raw_width, left = lr->sizes.left_margin, top = lr->sizes.top_margin;
  found->codes = g_new(uint16_t, (size_t)(found->width * found->height * found->samples));
  for(int y = 0; y < found->height; y++)
    for(int x = 0; x < found->width; x++)
      for(int c = 0; c < found->samples; c++)
      {
        const size_t at = (size_t)(y + top) * (size_t)pitch + (size_t)(x + left);
        const size_t to = (size_t)((y * found->width + x) * found->samples + c);
        found->codes[to] = found->samples == 1        ? lr->rawdata.raw_image[at]
                           : lr->rawdata.color3_image ? lr->rawdata.color3_image[at][c]
                                                      : lr->rawdata.color4_image[at][c];
      }
}

static _found_t _read_with_libraw(const char *path)
{
  libraw_data_t *lr = libraw_init(0);
  int failed = libraw_open_file(lr, path);
  if(!failed) failed = libraw_unpack(lr);
  if(failed) fail_msg("LibRaw: %s", libraw_strerror(failed));
  _found_t found = { .width = lr->sizes.width,
                     .height = lr->sizes.height,
                     .samples = lr->rawdata.raw_image ? 1 : 3,
                     .black = _black_of(lr),
                     .white = lr->color.maximum };
  const int period = lr->idata.filters == 9 ? 6 : 2;
  for(int i = 0; found.samples == 1 && i < period * period; i++)
  {
    const int colour = libraw_COLOR(lr, i / period, i % period);
    found.sites[i] = "RGBG"[colour];
  }
  _copy_codes(lr, &found);
  libraw_close(lr);
  return found;
}

/** Codes are those of the source, k times and moved: by whichever k and distance the levels tell. */
static void _check_codes(const _source_t *s, const _found_t *found)
{
  const dt_mosaic_t *m = &s->raw.mosaic;
  assert_int_equal(found->width, m->width);
  assert_int_equal(found->height, m->height);
  assert_int_equal((found->white - found->black) % (WHITE - BLACK), 0);
  const int k = (int)(found->white - found->black) / (WHITE - BLACK);
  assert_true(k >= 2);
  const int samples = m->width * m->height * found->samples;
  for(int i = 0; i < samples; i++)
  {
    const int x = i / found->samples % m->width, y = i / found->samples / m->width;
    const int code = found->samples == 1 ? s->samples[y * m->width + x] : (int)s->samples[i];
    const int expected = MAX(k * (code - BLACK) + (int)found->black, 0);
    if(found->codes[i] != expected)
      fail_msg("%d×%d, %s: at %d, %d: %d, not %d", m->width, m->height, found->sites, x, y, found->codes[i],
               expected);
  }
}

static void _check_libraw(const char *pattern, int width, int height, gboolean uncompressed)
{
  _source_t s = _source_new(pattern, width, height, (uint32_t)(width * 1000 + height));
  const dt_dng_opts_t opts = { .kind = pattern ? DT_DNG_CFA : DT_DNG_LINEAR, .uncompressed = uncompressed };
  _found_t found = _read_with_libraw(_write(&s, &opts, TILE));
  assert_int_equal(found.samples, pattern ? 1 : 3);
  if(pattern) assert_string_equal(found.sites, pattern);
  _check_codes(&s, &found);
  g_free(found.codes);
  _source_free(&s);
}

#define XTRANS "GGRGGBGGBGGRBRGRBGGGBGGRGGRGGBRBGBRG"

static void test_dng_codes(void **state)
{
  (void)state;
  const char *patterns[] = { "RGGB", "BGGR", "GRBG", "GBRG", XTRANS, NULL };
  for(size_t i = 0; i < G_N_ELEMENTS(patterns); i++)
    for(int uncompressed = 0; uncompressed < 2; uncompressed++)
    {
      _check_libraw(patterns[i], 101, 67, uncompressed);
      _check_libraw(patterns[i], 2 * TILE, 96, uncompressed);
    }
}

/** Every remainder of a tile at both edges. */
static void test_dng_tile_edges(void **state)
{
  (void)state;
  const int step = test_is_long() ? 1 : 3;
  for(int rest = 1; rest < TILE; rest += step)
  {
    _check_libraw("GBRG", 2 * TILE + rest, 3 * TILE - rest, FALSE);
    _check_libraw(NULL, 3 * TILE - rest, 2 * TILE + rest, FALSE);
  }
}

/** The first directory's SubIFD of the raw, opened. */
static TIFF *_open_raw_ifd(const char *path)
{
  uint16_t count = 0;
  uint64_t *offsets = NULL;
  TIFFSetWarningHandler(NULL);
  TIFF *tiff = TIFFOpen(path, "r");
  assert_non_null(tiff);
  assert_int_equal(TIFFGetField(tiff, TIFFTAG_SUBIFD, &count, &offsets), 1);
  assert_int_equal(count, 2);
  assert_int_equal(TIFFSetSubDirectory(tiff, offsets[0]), 1);
  return tiff;
}

/** Sizes below anything that raw developers take, as plain strips. */
static void test_dng_tiny(void **state)
{
  (void)state;
  for(int width = 1; width < 20; width++)
    for(int height = 1; height < 4; height++)
      for(int kind = 0; kind < 2; kind++)
      {
        _source_t s = _source_new("GRBG", width, height, 9);
        const dt_dng_opts_t packed = { .kind = kind }, plain = { .kind = kind, .uncompressed = TRUE };
        _write(&s, &packed, TILE);
        TIFF *tiff = _open_raw_ifd(_write(&s, &plain, TILE));
        uint16_t codes[60];
        const tmsize_t size = width * height * DT_DNG_SAMPLES(kind) * 2;
        uint16_t *all = g_malloc((gsize)size);
        assert_true(TIFFReadRawStrip(tiff, 0, all, size) == size);
        const dt_dng_levels_t levels = dt_dng_choose_levels(&s.raw.mosaic, kind, FALSE);
        dt_dng_encode(&levels, s.rows, codes, (size_t)width * 3);
        if(kind == DT_DNG_LINEAR) assert_memory_equal(all, codes, (size_t)width * 6);
        g_free(all);
        TIFFClose(tiff);
        _source_free(&s);
      }
}

static uint16_t *_read_half(const char *path, int width, int height)
{
  TIFF *tiff = _open_raw_ifd(path);
  uint16_t *codes = g_new0(uint16_t, 3 * (size_t)width * (size_t)height);
  uint16_t format = 0;
  TIFFGetField(tiff, TIFFTAG_SAMPLEFORMAT, &format);
  assert_int_equal(format, SAMPLEFORMAT_IEEEFP);
  uint16_t *tile = g_malloc((gsize)TIFFTileSize(tiff));
  for(int y = 0; y < height; y += TILE)
    for(int x = 0; x < width; x += TILE)
    {
      assert_true(TIFFReadTile(tiff, tile, (uint32_t)x, (uint32_t)y, 0, 0) > 0);
      for(int row = 0; row < TILE && y + row < height; row++)
        memcpy(codes + 3 * ((size_t)(y + row) * (size_t)width + (size_t)x), tile + 3 * row * TILE,
               (size_t)MIN(TILE, width - x) * 6);
    }
  g_free(tile);
  TIFFClose(tiff);
  return codes;
}

static void test_dng_half(void **state)
{
  (void)state;
  const int width = 75, height = 50;
  _source_t s = _source_new("RGGB", width, height, 3);
  const size_t n = 3 * (size_t)width * (size_t)height;
  s.rows[0] = NAN;
  s.rows[1] = INFINITY;
  s.rows[2] = -INFINITY;
  uint16_t *expected = g_new(uint16_t, n);
  dt_float_to_half(s.rows, expected, n);
  expected[0] = 0;
  expected[1] = 0x7bff;
  expected[2] = 0xfbff;
  const dt_dng_opts_t opts = { .half = TRUE };
  uint16_t *codes = _read_half(_write(&s, &opts, TILE), width, height);
  assert_memory_equal(codes, expected, n * sizeof(*codes));
  g_free(codes);
  g_free(expected);
  _source_free(&s);
}

/** The bytes do not depend on who packed them. */
static void test_dng_threads(void **state)
{
  (void)state;
  _source_t s = _source_new("RGGB", 700, 300, 5);
  char *first = NULL;
  gsize size = 0;
  for(int threads = 0; threads < 5; threads++)
  {
    const dt_dng_opts_t opts = { .threads = threads };
    char *bytes = NULL;
    gsize length = 0;
    assert_true(g_file_get_contents(_write(&s, &opts, TILE), &bytes, &length, NULL));
    if(!first)
    {
      first = bytes;
      size = length;
      continue;
    }
    assert_int_equal(length, size);
    assert_memory_equal(bytes, first, size);
    g_free(bytes);
  }
  g_free(first);
  _source_free(&s);
}

// --- Levels

/** A mosaic of one sample of each level's ends. */
static void _check_levels(double black, double white, double most_code)
{
  uint16_t samples[4] = { 0, (uint16_t)most_code, (uint16_t)black, (uint16_t)white };
  dt_mosaic_t m = { .width = 2, .height = 2, .stride = 2, .step = 1, .samples = samples };
  _set_sites(&m, "RGGB");
  for(int i = 0; i < 4; i++)
  {
    m.black[i / 2][i % 2] = (float)black;
    m.white[i / 2][i % 2] = (float)white;
  }
  const dt_dng_levels_t levels = dt_dng_choose_levels(&m, DT_DNG_CFA, FALSE);
  const double k = levels.scale / (white - black);
  if(k != floor(k)) // there was no room
  {
    const double range = white - black, top = MAX(most_code - black, range * 65.0 / 64.0);
    assert_true(top + ceil(MAX(black, range / 64.0)) > 65534.0);
    return;
  }
  assert_true(levels.black >= k * black && levels.black >= levels.scale / 64.0);
  assert_true(levels.black + levels.scale <= 65535.0);
  for(int code = 0; code <= most_code; code += 1 + (int)most_code / 999)
  {
    const float value = (float)((code - black) / (white - black));
    uint16_t found;
    dt_dng_encode(&levels, &value, &found, 1);
    assert_int_equal(found, (int)round(k * (code - black) + levels.black));
  }
}

static void test_dng_levels(void **state)
{
  (void)state;
  test_random_t random = { .state = 11 };
  _check_levels(2048, 15000, 16383);
  _check_levels(0, 255, 255);
  _check_levels(512, 4095, 4095);
  _check_levels(0, 65535, 65535);
  _check_levels(1024, 62000, 65535);
  for(int i = 0; i < (test_is_long() ? 20000 : 1000); i++)
  {
    const int black = test_random_int(&random, 0, 5000), white = test_random_int(&random, black + 1, 65535);
    _check_levels(black, white, test_random_int(&random, white, 65535));
  }
}

/** The raw's own levels, by which a history says codes, are known of what was made of it, and of what was made of that. */
static void test_dng_original_levels(void **state)
{
  (void)state;
  const dt_provenance_t provenance = { .task = "rawdenoise", .model = "m", .strength = 100, .scale = 1 };
  for(int kind = DT_DNG_LINEAR; kind <= DT_DNG_CFA; kind++)
  {
    GError *error = NULL;
    _source_t s = _source_new("RGGB", 40, 32, 5);
    const char *path =
        _write(&s, &(dt_dng_opts_t){ .kind = (dt_dng_kind_t)kind, .provenance = &provenance }, TILE);
    dt_raw_t *raw = dt_raw_open(path, &error);
    assert_no_error(error);
    assert_true(raw->mosaic.white[0][0] - raw->mosaic.black[0][0] > 2 * (WHITE - BLACK));
    assert_true(raw->mosaic.original_black == BLACK && raw->mosaic.original_white == WHITE);
    s.raw.mosaic.original_black = 7;
    s.raw.mosaic.original_white = 777;
    dt_raw_free(raw);
    raw = dt_raw_open(_write(&s, &(dt_dng_opts_t){ .provenance = &provenance }, TILE), &error);
    assert_no_error(error);
    assert_true(raw->mosaic.original_black == 7 && raw->mosaic.original_white == 777);
    dt_raw_free(raw);
    _source_free(&s);
  }
}

static void test_dng_levels_of_floats(void **state)
{
  (void)state;
  const float mosts[] = { 0.5f, 1.0f, 1.5f, 8.0f, 1000.0f, INFINITY };
  for(size_t i = 0; i < G_N_ELEMENTS(mosts); i++)
    for(int kind = 0; kind < 2; kind++)
    {
      const float samples[3] = { -0.1f, mosts[i], 0.5f };
      dt_mosaic_t m = {
        .width = 1, .height = 1, .stride = 3, .step = 3, .samples = samples, .is_float = TRUE
      };
      _set_linear(&m);
      for(int c = 0; c < 3; c++)
      {
        m.black[0][c] = 0.0f;
        m.white[0][c] = 1.0f;
      }
      const dt_dng_levels_t levels = dt_dng_choose_levels(&m, kind, FALSE);
      const double top = (65535.0 - levels.black) / levels.scale;
      assert_true(levels.scale >= 4000.0 && top >= 1.0 && top >= MIN((double)mosts[i], 15.9));
      if(kind == DT_DNG_CFA) assert_true(levels.black >= 0.1 * levels.scale - 1.0 || levels.black >= 4096.0);
    }
}

// --- Tags

static dt_exif_entry_t _entry(uint16_t tag, uint16_t type, uint32_t count, const void *bytes, size_t size)
{
  return (dt_exif_entry_t){ .tag = tag, .type = type, .count = count, .value = g_bytes_new(bytes, size) };
}

static void _clear(void *data)
{
  g_bytes_unref(((dt_exif_entry_t *)data)->value);
}

static GArray *_entries_new(void)
{
  GArray *entries = g_array_new(FALSE, FALSE, sizeof(dt_exif_entry_t));
  g_array_set_clear_func(entries, _clear);
  return entries;
}

/** A note of Canon's kind: a directory of one entry, whose value stands in the note by an offset from the file's start. */
#define NOTE_ORIGIN 1000
static void _set_exif(dt_raw_t *raw)
{
  const uint8_t note[] = { 1, 0, 6, 0, 2, 0, 6, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 'H', 'e', 'l', 'l', 'o', 0 };
  const uint8_t time[8] = { 1, 0, 0, 0, 125, 0, 0, 0 };
  raw->exif = dt_exif_create();
  dt_exif_set_bytes(raw->exif, DT_IFD_MAIN, 306, DT_TYPE_ASCII, 20, g_bytes_new("2024:05:06 07:08:09", 20));
  dt_exif_set_bytes(raw->exif, DT_IFD_MAIN, DT_TAG_SOFTWARE, DT_TYPE_ASCII, 13,
                    g_bytes_new("Firmware 1.0", 13));
  dt_exif_set_bytes(raw->exif, DT_IFD_EXIF, 33434, DT_TYPE_RATIONAL, 1, g_bytes_new(time, 8));
  dt_exif_set_number(raw->exif, DT_IFD_EXIF, DT_TAG_PIXEL_WIDTH, DT_TYPE_LONG, 9999);
  dt_exif_set_bytes(raw->exif, DT_IFD_GPS, 1, DT_TYPE_ASCII, 2, g_bytes_new("N", 2));
  GBytes *bytes = g_bytes_new(note, sizeof(note));
  dt_exif_set_bytes(raw->exif, DT_IFD_EXIF, DT_TAG_MAKER_NOTE, DT_TYPE_UNDEFINED, sizeof(note), bytes);
  dt_exif_entry_t *entry =
      (dt_exif_entry_t *)(uintptr_t)dt_exif_find(raw->exif, DT_IFD_EXIF, DT_TAG_MAKER_NOTE);
  entry->origin = NOTE_ORIGIN;
  uint8_t *stored = (uint8_t *)(uintptr_t)g_bytes_get_data(bytes, NULL);
  dt_exif_put_uint(stored + 10, 4, FALSE, NOTE_ORIGIN + 18);
}

static void _check_tag(GExiv2Metadata *metadata, const char *tag, const char *expected)
{
  char *value = gexiv2_metadata_try_get_tag_string(metadata, tag, NULL);
  if(g_strcmp0(value, expected) != 0)
    fail_msg("%s: %s, not %s", tag, value ? value : "(none)", expected ? expected : "(none)");
  g_free(value);
}

static GExiv2Metadata *_open_metadata(const char *path)
{
  GError *error = NULL;
  gexiv2_log_set_level(GEXIV2_LOG_LEVEL_MUTE);
  GExiv2Metadata *metadata = gexiv2_metadata_new();
  gexiv2_metadata_open_path(metadata, path, &error);
  assert_no_error(error);
  return metadata;
}

static const dt_provenance_t _stamp = {
  .task = "rawdenoise", .model = "some-model", .strength = 80, .scale = 1, .version = "1.2.3"
};

static void test_dng_metadata(void **state)
{
  (void)state;
  _source_t s = _source_new("RGGB", 301, 203, 1);
  _set_exif(&s.raw);
  s.raw.crop_x = 3;
  s.raw.crop_y = 5;
  s.raw.crop_width = 291;
  s.raw.crop_height = 193;
  s.raw.baseline_exposure = 0.35;
  char *note = NULL;
  const dt_dng_opts_t opts = {
    .kind = DT_DNG_CFA, .software = "darktable-ai 1.2.3", .provenance = &_stamp, .note = &note
  };
  GExiv2Metadata *metadata = _open_metadata(_write(&s, &opts, TILE));
  assert_null(note);
  const char *tags[][2] = {
    { "Exif.Image.Make", "Canon" },
    { "Exif.Image.Model", "Canon EOS 1" },
    { "Exif.Image.UniqueCameraModel", "Canon EOS 1" },
    { "Exif.Image.OriginalRawFileName", "73 77 71 95 49 46 67 82 50 0" },
    { "Exif.Image.Orientation", "6" },
    { "Exif.Image.Software", "darktable-ai 1.2.3" },
    { "Exif.Image.DateTime", "2024:05:06 07:08:09" },
    { "Exif.Image.DNGVersion", "1 4 0 0" },
    { "Exif.Image.DNGBackwardVersion", "1 1 0 0" },
    { "Exif.Image.CalibrationIlluminant1", "21" },
    { "Exif.Image.AsShotNeutral", "500000/1000000 1000000/1000000 625000/1000000" },
    { "Exif.Image.BaselineExposure", "35/100" },
    { "Exif.Photo.ExposureTime", "1/125" },
    { "Exif.Photo.PixelXDimension", "291" },
    { "Exif.GPSInfo.GPSLatitudeRef", "N" },
    { "Exif.Canon.ImageType", "Hello" },
    { "Exif.SubImage1.DefaultCropOrigin", "3 5" },
    { "Exif.SubImage1.DefaultCropSize", "291 193" },
    { "Exif.SubImage1.ActiveArea", "0 0 203 301" },
    { "Exif.SubImage1.NoiseReductionApplied", "80/100" },
    { "Xmp.tiff.Orientation", NULL },
  };
  for(size_t i = 0; i < G_N_ELEMENTS(tags); i++)
    if(strcmp(tags[i][0], "Exif.Image.OriginalRawFileName") != 0)
      _check_tag(metadata, tags[i][0], tags[i][1]);
  char *matrix = gexiv2_metadata_try_get_tag_string(metadata, "Exif.Image.ColorMatrix1", NULL);
  assert_true(matrix && g_str_has_prefix(matrix, "6461/10000 -1164/10000"));
  g_free(matrix);
  char *xmp = gexiv2_metadata_try_get_xmp_packet(metadata, NULL);
  assert_true(xmp && strstr(xmp, "some-model") && strstr(xmp, "Firmware 1.0"));
  g_free(xmp);
  g_object_unref(metadata);
  dt_exif_destroy(s.raw.exif);
  _source_free(&s);
}

/** What a source DNG says of its colours holds; opcode list 2 is for the kind that has a filter array. */
static void test_dng_carries_tags(void **state)
{
  (void)state;
  for(int kind = 0; kind < 2; kind++)
  {
    _source_t s = _source_new("RGGB", 64, 64, 1);
    const uint16_t illuminant[2] = { 17, 0 };
    int32_t matrix[18];
    for(int i = 0; i < 18; i++) matrix[i] = i % 2 ? 1000 : 100 + i;
    s.raw.dng_tags = _entries_new();
    s.raw.raw_tags = _entries_new();
    const dt_exif_entry_t dng[] = { _entry(50721, DT_TYPE_SRATIONAL, 9, matrix, sizeof(matrix)),
                                    _entry(50778, DT_TYPE_SHORT, 1, illuminant, 2),
                                    _entry(50740, DT_TYPE_BYTE, 7, "private", 7),
                                    _entry(256, DT_TYPE_SHORT, 1, illuminant, 2) };
    const dt_exif_entry_t own[] = { _entry(51008, DT_TYPE_UNDEFINED, 4, "one.", 4),
                                    _entry(51009, DT_TYPE_UNDEFINED, 4, "two.", 4),
                                    _entry(51022, DT_TYPE_UNDEFINED, 6, "three.", 6),
                                    _entry(0x7032, DT_TYPE_SHORT, 1, illuminant, 2),
                                    _entry(259, DT_TYPE_SHORT, 1, illuminant, 2) };
    g_array_append_vals(s.raw.dng_tags, dng, G_N_ELEMENTS(dng));
    g_array_append_vals(s.raw.raw_tags, own, G_N_ELEMENTS(own));
    char *note = NULL;
    const dt_dng_opts_t opts = { .kind = kind, .note = &note };
    GExiv2Metadata *metadata = _open_metadata(_write(&s, &opts, TILE));
    _check_tag(metadata, "Exif.Image.CalibrationIlluminant1", "17");
    _check_tag(metadata, "Exif.Image.DNGPrivateData", "112 114 105 118 97 116 101");
    _check_tag(metadata, "Exif.SubImage1.OpcodeList1", NULL);
    _check_tag(metadata, "Exif.SubImage1.OpcodeList2", kind == DT_DNG_CFA ? "116 119 111 46" : NULL);
    _check_tag(metadata, "Exif.SubImage1.OpcodeList3", "116 104 114 101 101 46");
    _check_tag(metadata, "Exif.SubImage1.0x7032", "17");
    _check_tag(metadata, "Exif.SubImage1.Compression", "7");
    char *found = gexiv2_metadata_try_get_tag_string(metadata, "Exif.Image.ColorMatrix1", NULL);
    assert_true(found && g_str_has_prefix(found, "100/1000 102/1000"));
    g_free(found);
    assert_true(note && strstr(note, kind == DT_DNG_CFA ? "opcode list 1" : "opcode lists 1 and 2"));
    g_free(note);
    g_object_unref(metadata);
    g_array_unref(s.raw.dng_tags);
    g_array_unref(s.raw.raw_tags);
    _source_free(&s);
  }
}

/** A source whose matrix is damaged: what belongs to it does not go along either. */
static void test_dng_unknown_colours(void **state)
{
  (void)state;
  _source_t s = _source_new("RGGB", 64, 64, 1);
  const int32_t values[18] = { 3, 10, 3, 10, 3, 10, 3, 10, 3, 10, 3, 10, 3, 10, 3, 10, 3, 10 };
  s.raw.has_matrix = FALSE;
  s.raw.dng_tags = _entries_new();
  const dt_exif_entry_t dng[] = { _entry(50721, DT_TYPE_SRATIONAL, 9, values, sizeof(values)),
                                  _entry(50722, DT_TYPE_SRATIONAL, 9, values, sizeof(values)),
                                  _entry(50723, DT_TYPE_SRATIONAL, 9, values, sizeof(values)),
                                  _entry(50727, DT_TYPE_RATIONAL, 3, values, 24),
                                  _entry(50964, DT_TYPE_SRATIONAL, 9, values, sizeof(values)) };
  g_array_append_vals(s.raw.dng_tags, dng, G_N_ELEMENTS(dng));
  char *note = NULL;
  const dt_dng_opts_t opts = { .note = &note };
  GExiv2Metadata *metadata = _open_metadata(_write(&s, &opts, TILE));
  assert_non_null(strstr(note, "sRGB"));
  _check_tag(metadata, "Exif.Image.CalibrationIlluminant1", "21");
  _check_tag(metadata, "Exif.Image.ColorMatrix2", NULL);
  _check_tag(metadata, "Exif.Image.CameraCalibration1", NULL);
  _check_tag(metadata, "Exif.Image.AnalogBalance", "1/1 1/1 1/1");
  _check_tag(metadata, "Exif.Image.ForwardMatrix1", NULL);
  g_free(note);
  g_object_unref(metadata);
  g_array_unref(s.raw.dng_tags);
  _source_free(&s);
}

/** Of four colours rows are Rec.2020, and the file is. */
static void test_dng_four_colours(void **state)
{
  (void)state;
  GError *error = NULL;
  _source_t s = _source_new("RGGB", 40, 40, 1);
  s.raw.mosaic.sensor = DT_SENSOR_FOUR;
  s.raw.crop_width = 41; // not inside
  const dt_dng_opts_t linear = { .kind = DT_DNG_LINEAR }, cfa = { .kind = DT_DNG_CFA };
  GExiv2Metadata *metadata = _open_metadata(_write(&s, &linear, TILE));
  _check_tag(metadata, "Exif.Image.AsShotNeutral", "1000000/1000000 1000000/1000000 1000000/1000000");
  _check_tag(metadata, "Exif.SubImage1.DefaultCropSize", "40 40");
  char *matrix = gexiv2_metadata_try_get_tag_string(metadata, "Exif.Image.ColorMatrix1", NULL);
  assert_true(matrix && g_str_has_prefix(matrix, "17167/10000 -3557/10000"));
  g_free(matrix);
  g_object_unref(metadata);
  assert_null(dt_dng_create(in_directory("no.dng"), &s.raw, &cfa, &error));
  assert_error(error, DT_AI_ERROR_USAGE, "--output-kind linear");
  _source_free(&s);
}

// --- Previews

/** Rows all of one colour. */
static void _fill(_source_t *s, float red, float green, float blue)
{
  for(int i = 0; i < s->raw.mosaic.width * s->raw.mosaic.height; i++)
  {
    s->rows[3 * i] = red;
    s->rows[3 * i + 1] = green;
    s->rows[3 * i + 2] = blue;
  }
}

/** The mean of the JPEG preview, and its size. */
static void _read_preview(const char *path, double mean[3], int size[2])
{
  GExiv2Metadata *metadata = _open_metadata(path);
  GExiv2PreviewProperties **all = gexiv2_metadata_get_preview_properties(metadata);
  int count = 0;
  while(all[count]) count++;
  assert_true(count >= 1);
  GExiv2PreviewImage *image = gexiv2_metadata_try_get_preview_image(metadata, all[count - 1], NULL);
  uint32_t length = 0;
  const guint8 *data = gexiv2_preview_image_get_data(image, &length);
  const char *jpeg = in_directory("preview.jpg");
  assert_true(g_file_set_contents(jpeg, (const char *)data, (gssize)length, NULL));
  GError *error = NULL;
  dt_imageio_reader_t *reader = dt_imageio_open(jpeg, NULL, &error);
  assert_no_error(error);
  size[0] = reader->source.width;
  size[1] = reader->source.height;
  float *rows = read_rows(&reader->source, 16, &error);
  memset(mean, 0, 3 * sizeof(*mean));
  for(int i = 0; i < 3 * size[0] * size[1]; i++) mean[i % 3] += (double)rows[i] / (size[0] * size[1]);
  g_free(rows);
  dt_row_source_destroy(&reader->source);
  g_object_unref(image);
  g_object_unref(metadata);
}

static void _check_grey(_source_t *s, float light, double least, double most)
{
  double mean[3];
  int size[2];
  const dt_dng_opts_t opts = { 0 };
  _fill(s, light * 0.5f, light, light * 0.625f);
  _read_preview(_write(s, &opts, DT_DNG_TILE), mean, size);
  assert_int_equal(size[0], 1024);
  assert_int_equal(size[1], 512);
  for(int c = 0; c < 3; c++)
  {
    assert_true(mean[c] >= least && mean[c] <= most);
    assert_true(fabs(mean[c] - mean[1]) < 0.02);
  }
}

static void test_dng_preview(void **state)
{
  (void)state;
  _source_t s = _source_new("RGGB", 1400, 700, 1);
  _check_grey(&s, 0.0f, 0.0, 0.01);
  _check_grey(&s, 0.18f, 0.25, 0.45);
  _check_grey(&s, 1.0f, 0.98, 1.0);
  // where all channels are saturated it is white, too
  double mean[3];
  int size[2];
  const dt_dng_opts_t opts = { 0 };
  _fill(&s, 1.0f, 1.0f, 1.0f);
  _read_preview(_write(&s, &opts, DT_DNG_TILE), mean, size);
  for(int c = 0; c < 3; c++) assert_true(mean[c] > 0.98);
  // and red is red
  _fill(&s, 0.4f, 0.05f, 0.05f);
  _read_preview(_write(&s, &opts, DT_DNG_TILE), mean, size);
  assert_true(mean[0] > 4.0 * mean[1] && mean[0] > 4.0 * mean[2]);
  _source_free(&s);
}

/** A preview keeps the crop's place and proportions. */
static void test_dng_preview_of_a_crop(void **state)
{
  (void)state;
  _source_t s = _source_new("RGGB", 333, 222, 1);
  s.raw.crop_x = 33;
  s.raw.crop_y = 22;
  s.raw.crop_width = 201;
  s.raw.crop_height = 101;
  _fill(&s, 1.0f, 1.0f, 1.0f);
  for(int y = 22; y < 22 + 101; y++) memset(s.rows + 3 * (y * 333 + 33), 0, 201 * 3 * sizeof(float));
  double mean[3];
  int size[2];
  const dt_dng_opts_t opts = { 0 };
  _read_preview(_write(&s, &opts, TILE), mean, size);
  assert_int_equal(size[0], 201);
  assert_int_equal(size[1], 101);
  for(int c = 0; c < 3; c++) assert_true(mean[c] < 1e-3);
  _source_free(&s);
}

// --- Failures

static void test_dng_abandon(void **state)
{
  (void)state;
  GError *error = NULL;
  _source_t s = _source_new("RGGB", 300, 200, 1);
  const char *path = in_directory("abandoned.dng");
  const dt_dng_opts_t opts = { 0 };
  for(int rows = 0; rows <= 200; rows += 20)
  {
    dt_row_sink_t *sink = dt_dng_create_tiled(path, &s.raw, &opts, TILE, &error);
    assert_no_error(error);
    if(rows) assert_true(sink->write(sink, 0, rows, s.rows, NULL));
    if(rows == 100)
    {
      assert_false(sink->finish(sink, &error));
      assert_error(g_steal_pointer(&error), DT_AI_ERROR_FAILED, "100 of 200 rows");
    }
    else
      sink->abandon(sink);
    assert_int_equal(count_parts(test_directory), 0);
    assert_false(g_file_test(path, G_FILE_TEST_EXISTS));
  }
  assert_true(g_file_set_contents(path, "here", 4, NULL));
  assert_null(dt_dng_create(path, &s.raw, &opts, &error));
  assert_error(error, DT_AI_ERROR_OUTPUT, "exists");
  g_remove(path);
  _source_free(&s);
}

/** TRUE when the file was written under the limit. */
static gboolean _try_with_limit(const _source_t *s, const char *path, gboolean uncompressed, rlim_t limit)
{
  GError *error = NULL;
  struct rlimit before, now;
  const dt_dng_opts_t opts = { .uncompressed = uncompressed, .overwrite = TRUE };
  getrlimit(RLIMIT_FSIZE, &before);
  now = before;
  now.rlim_cur = limit;
  setrlimit(RLIMIT_FSIZE, &now);
  dt_row_sink_t *sink = dt_dng_create_tiled(path, &s->raw, &opts, TILE, &error);
  gboolean fine = sink != NULL;
  for(int y = 0; fine && y < 200; y += 20) fine = sink->write(sink, y, 20, s->rows + 900 * (size_t)y, &error);
  if(sink && !fine) sink->abandon(sink);
  if(fine) fine = sink->finish(sink, &error);
  setrlimit(RLIMIT_FSIZE, &before);
  if(!fine) assert_error(error, DT_AI_ERROR_OUTPUT, "out.dng");
  return fine;
}

/** A disk that is full at any moment. */
static void test_dng_disk_full(void **state)
{
  (void)state;
  signal(SIGXFSZ, SIG_IGN);
  _source_t s = _source_new("RGGB", 300, 200, 1);
  const char *path = in_directory("out.dng");
  for(int uncompressed = 0; uncompressed < 2; uncompressed++)
  {
    rlim_t limit = 0;
    g_remove(path);
    while(!_try_with_limit(&s, path, uncompressed, limit))
    {
      assert_int_equal(count_parts(test_directory), 0);
      assert_false(g_file_test(path, G_FILE_TEST_EXISTS));
      limit += test_is_long() ? 4000 : 40000;
    }
    assert_true(limit > 200000);
  }
  _source_free(&s);
}

static void test_dng_refusals(void **state)
{
  (void)state;
  GError *error = NULL;
  dt_raw_t raw = { .mosaic = { .sensor = DT_SENSOR_LINEAR, .width = 40000, .height = 30000, .period = 1 } };
  dt_dng_opts_t opts = { .kind = DT_DNG_CFA };
  assert_false(dt_dng_can_create("x.dng", &raw, &opts, &error));
  assert_error(g_steal_pointer(&error), DT_AI_ERROR_USAGE, "no filter array");
  opts.kind = DT_DNG_LINEAR;
  assert_false(dt_dng_can_create("x.dng", &raw, &opts, &error));
  assert_error(g_steal_pointer(&error), DT_AI_ERROR_USAGE, "4 GiB");
  raw.mosaic.width = 0;
  assert_false(dt_dng_can_create("x.dng", &raw, &opts, &error));
  assert_error(g_steal_pointer(&error), DT_AI_ERROR_USAGE, "pixels");
}

// --- exiftool

static void _validate(const char *path)
{
  const char *command[] = { "exiftool", "-validate", "-warning", "-error", "-a", path, NULL };
  char *words = NULL;
  int status = -1;
  assert_true(g_spawn_sync(NULL, (char **)(uintptr_t)command, NULL, G_SPAWN_SEARCH_PATH, NULL, NULL, &words,
                           NULL, &status, NULL));
  if(!strstr(words, "OK")) fail_msg("exiftool: %s", words);
  g_free(words);
}

static void test_dng_exiftool(void **state)
{
  (void)state;
  char *program = g_find_program_in_path("exiftool");
  if(!program) skip();
  g_free(program);
  const char *patterns[] = { "GRBG", XTRANS, NULL };
  for(size_t i = 0; i < G_N_ELEMENTS(patterns); i++)
    for(int mode = 0; mode < 3; mode++)
    {
      _source_t s = _source_new(patterns[i], 301, 203, 1);
      _set_exif(&s.raw);
      // its note is no real one
      dt_exif_remove(s.raw.exif, DT_IFD_EXIF, DT_TAG_MAKER_NOTE);
      dt_exif_set_bytes(s.raw.exif, DT_IFD_EXIF, 36864, DT_TYPE_UNDEFINED, 4, g_bytes_new("0230", 4));
      dt_exif_set_bytes(s.raw.exif, DT_IFD_GPS, 0, DT_TYPE_BYTE, 4, g_bytes_new("\2\3\0\0", 4));
      const dt_dng_opts_t opts = { .kind = patterns[i] ? DT_DNG_CFA : DT_DNG_LINEAR,
                                   .uncompressed = mode == 1,
                                   .half = mode == 2,
                                   .software = "darktable-ai 1.2.3",
                                   .provenance = &_stamp };
      _validate(_write(&s, &opts, TILE));
      dt_exif_destroy(s.raw.exif);
      _source_free(&s);
    }
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_dng_codes),
    cmocka_unit_test(test_dng_tile_edges),
    cmocka_unit_test(test_dng_tiny),
    cmocka_unit_test(test_dng_half),
    cmocka_unit_test(test_dng_threads),
    cmocka_unit_test(test_dng_levels),
    cmocka_unit_test(test_dng_original_levels),
    cmocka_unit_test(test_dng_levels_of_floats),
    cmocka_unit_test(test_dng_metadata),
    cmocka_unit_test(test_dng_carries_tags),
    cmocka_unit_test(test_dng_unknown_colours),
    cmocka_unit_test(test_dng_four_colours),
    cmocka_unit_test(test_dng_preview),
    cmocka_unit_test(test_dng_preview_of_a_crop),
    cmocka_unit_test(test_dng_abandon),
    cmocka_unit_test(test_dng_disk_full),
    cmocka_unit_test(test_dng_refusals),
    cmocka_unit_test(test_dng_exiftool),
  };
  return cmocka_run_group_tests(tests, make_directory, remove_directory);
}
