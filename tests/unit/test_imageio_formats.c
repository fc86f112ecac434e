/* SPDX-License-Identifier: GPL-3.0-or-later */
/* PFM, OpenEXR, and the formats that are only read: values, alpha, colours and metadata through files, and what is
 * damaged in every way. Samples of the formats that are not written here lie in the corpus of the fuzzer; they show
 * x·10, y·16, x·5 + y·7 in 24 × 16 pixels. */
#include "test_imageio_util.h"

#include "imageio/exif.h"

#include <glib/gstdio.h>

#define CORPUS DT_TEST_SOURCE_DIR "/tests/fuzz/corpus/imageio/"

static const int _sizes[][2] = { { 1, 1 }, { 3, 7 }, { 61, 43 }, { 2000, 2 }, { 2, 333 } };

// --- Helpers

/** Linear values below black and above white as well. */
static float *_make_rows(int width, int height, int channels)
{
  uint32_t seed = 2463534242u;
  const size_t n = (size_t)width * (size_t)height * (size_t)channels;
  float *rows = g_new(float, n);
  for(size_t i = 0; i < n; i++)
  {
    const gboolean alpha = DT_ROW_HAS_ALPHA(channels) && i % (size_t)channels == (size_t)channels - 1;
    rows[i] = (float)(next_random(&seed) % 4096) / 4096.0f;
    if(!alpha) rows[i] = rows[i] * 3.0f - 0.5f;
  }
  return rows;
}

static dt_imageio_reader_t *_open(const char *path)
{
  GError *error = NULL;
  dt_imageio_reader_t *reader = dt_imageio_open(path, NULL, &error);
  assert_no_error(error);
  return reader;
}

static float *_read_all(dt_imageio_reader_t *reader)
{
  GError *error = NULL;
  float *rows = read_rows(&reader->source, 5, &error);
  assert_no_error(error);
  return rows;
}

static void _write_rows(const char *path, int width, int height, int channels, const float *rows,
                        const dt_imageio_write_opts_t *opts)
{
  GError *error = NULL;
  write_picture(path, width, height, channels, rows, opts, &error);
  assert_no_error(error);
}

static void _assert_near(const float *a, const float *b, size_t n, float tolerance)
{
  for(size_t i = 0; i < n; i++)
    if(!(fabsf(a[i] - b[i]) <= tolerance * fmaxf(fabsf(a[i]), 1e-2f)))
      fail_msg("sample %zu of %zu: %.9g became %.9g", i, n, (double)a[i], (double)b[i]);
}

static gboolean _is_built_in(const char *format)
{
  char *text = dt_imageio_describe_formats();
  const char *missing = strstr(text, "not built in"), *found = strstr(text, format);
  const gboolean here = found && (!missing || found < missing);
  g_free(text);
  return here;
}

static void _check_trip(const char *extension, int bits, int width, int height, int channels, float tolerance)
{
  char name[64];
  g_snprintf(name, sizeof(name), "trip.%s", extension);
  const char *path = in_directory(name);
  const dt_imageio_write_opts_t opts = {
    .bits = bits, .alpha_associated = TRUE, .alpha_linear = TRUE, .overwrite = TRUE
  };
  float *rows = _make_rows(width, height, channels);
  _write_rows(path, width, height, channels, rows, &opts);
  dt_imageio_reader_t *reader = _open(path);
  assert_int_equal(reader->source.width, width);
  assert_int_equal(reader->source.height, height);
  assert_int_equal(reader->source.channels, channels);
  assert_int_equal(reader->bits, bits);
  assert_true(reader->is_float);
  float *back = _read_all(reader);
  _assert_near(rows, back, (size_t)width * (size_t)height * (size_t)channels, tolerance);
  dt_row_source_destroy(&reader->source);
  g_free(rows);
  g_free(back);
}

// --- PFM

static void test_pfm_comes_back(void **state)
{
  (void)state;
  for(size_t i = 0; i < G_N_ELEMENTS(_sizes); i++)
    for(int channels = 1; channels <= 3; channels += 2)
      _check_trip("pfm", 32, _sizes[i][0], _sizes[i][1], channels, 0.0f);
}

static void test_pfm_of_others(void **state)
{
  (void)state;
  static const float rows[4] = { 0.25f, -1.0f, 1e-3f, 70000.0f }; // the lower row first
  static const char *const heads[] = { "Pf\n2 2\n1.0\n", "Pf 2 2 1\n", "Pf\n2\n2\r\n3e2 ", "Pf\n2 2\n-1\n",
                                       "Pf\n2 2\n-1.000000\r" };
  for(size_t i = 0; i < G_N_ELEMENTS(heads); i++)
  {
    GByteArray *file = g_byte_array_new();
    g_byte_array_append(file, (const guint8 *)heads[i], (guint)strlen(heads[i]));
    for(int k = 0; k < 4; k++)
    {
      guint32 word;
      memcpy(&word, &rows[k], 4);
      word = strchr(heads[i], '-') ? GUINT32_TO_LE(word) : GUINT32_TO_BE(word);
      g_byte_array_append(file, (const guint8 *)&word, 4);
    }
    const char *path = in_directory("others.pfm");
    assert_true(g_file_set_contents(path, (const char *)file->data, file->len, NULL));
    g_byte_array_unref(file);
    dt_imageio_reader_t *reader = _open(path);
    assert_int_equal(reader->format, DT_IMAGEIO_PFM);
    float *back = _read_all(reader);
    assert_true(back[0] == rows[2] && back[1] == rows[3] && back[2] == rows[0] && back[3] == rows[1]);
    dt_row_source_destroy(&reader->source);
    g_free(back);
  }
}

static void test_pfm_rows_may_be_skipped(void **state)
{
  (void)state;
  const char *path = in_directory("skip.pfm");
  float *rows = _make_rows(9, 20, 3), got[27];
  _write_rows(path, 9, 20, 3, rows, &(dt_imageio_write_opts_t){ .overwrite = TRUE });
  dt_imageio_reader_t *reader = _open(path);
  assert_true(reader->source.read(&reader->source, 7, 1, got, NULL));
  _assert_near(rows + 7 * 27, got, 27, 0.0f);
  assert_true(reader->source.read(&reader->source, 19, 1, got, NULL));
  _assert_near(rows + 19 * 27, got, 27, 0.0f);
  dt_row_source_destroy(&reader->source);
  g_free(rows);
}

static void test_bad_pfm_headers(void **state)
{
  (void)state;
  static const char *const bad[] = { "PF\n",
                                     "PF\n0 1\n-1\n",
                                     "PF\n-1 1\n-1\n",
                                     "PF\n1 1\n0\nabcdefghijkl",
                                     "PF\n1 1\nnan\nabcdefghijkl",
                                     "PF\n1 1\nx\nabcdefghijkl",
                                     "PF\n99999999999 1\n-1\n",
                                     "PF\n2000000 2000000\n-1\nabcd",
                                     "PF\n1 1\n-1\nabcdefghijk" };
  for(size_t i = 0; i < G_N_ELEMENTS(bad); i++)
  {
    const char *path = in_directory("bad.pfm");
    assert_true(g_file_set_contents(path, bad[i], -1, NULL));
    assert_open_fails(path, "bad.pfm");
  }
}

static void test_pfm_limits(void **state)
{
  (void)state;
  GError *error = NULL;
  const char *path = in_directory("limit.pfm");
  assert_null(dt_imageio_create(path, 2, 2, 4, NULL, &error));
  assert_error(error, DT_AI_ERROR_USAGE, "transparency");
  error = NULL;
  assert_null(dt_imageio_create(path, 2, 2, 3, &(dt_imageio_write_opts_t){ .bits = 16 }, &error));
  assert_error(error, DT_AI_ERROR_USAGE, "32-bit");
  assert_false(g_file_test(path, G_FILE_TEST_EXISTS));
}

/** Whatever the profile of the picture was, a PFM is linear Rec.709, and says so when it is read. */
static void test_pfm_is_linear(void **state)
{
  (void)state;
  GError *error = NULL;
  char *note = NULL;
  const float rows[3] = { 0.2f, 0.4f, 0.6f };
  dt_metadata_t metadata = { .orientation = 6, .icc = dt_profile_load("adobergb", 3, NULL) };
  const char *path = in_directory("linear.pfm");
  _write_rows(path, 1, 1, 3, rows,
              &(dt_imageio_write_opts_t){ .metadata = &metadata, .overwrite = TRUE, .note = &note });
  assert_non_null(note);
  assert_non_null(strstr(note, "orientation"));
  g_free(note);
  dt_imageio_reader_t *reader = _open(path);
  assert_string_equal(reader->profile_name, "Linear sRGB");
  float *back = _read_all(reader);
  _assert_near(rows, back, 3, 1e-6f);
  g_free(back);
  dt_row_source_destroy(&reader->source);
  reader = dt_imageio_open(path, "srgb", &error);
  assert_no_error(error);
  back = _read_all(reader);
  assert_true(back[0] < 0.1f); // taken as encoded
  g_free(back);
  dt_row_source_destroy(&reader->source);
  dt_metadata_clear(&metadata);
}

// --- OpenEXR

static void test_exr_comes_back(void **state)
{
  (void)state;
  if(!_is_built_in("OpenEXR")) skip();
  for(size_t i = 0; i < G_N_ELEMENTS(_sizes); i++)
    for(int channels = 1; channels <= 4; channels++)
    {
      _check_trip("exr", 32, _sizes[i][0], _sizes[i][1], channels, 0.0f);
      _check_trip("exr", 16, _sizes[i][0], _sizes[i][1], channels, 0x1p-11f);
    }
}

static void test_exr_halves_stay_finite(void **state)
{
  (void)state;
  if(!_is_built_in("OpenEXR")) skip();
  const float rows[3] = { 1e9f, -1e9f, 65504.0f };
  const char *path = in_directory("bright.exr");
  _write_rows(path, 1, 1, 3, rows, &(dt_imageio_write_opts_t){ .bits = 16, .overwrite = TRUE });
  dt_imageio_reader_t *reader = _open(path);
  float *back = _read_all(reader);
  assert_true(back[0] == 65504.0f && back[1] == -65504.0f && back[2] == 65504.0f);
  g_free(back);
  dt_row_source_destroy(&reader->source);
}

/** Straight alpha is multiplied in, and divided out again on the way to a format that has it straight. */
static void test_exr_alpha_is_associated(void **state)
{
  (void)state;
  if(!_is_built_in("OpenEXR")) skip();
  const float rows[8] = { 0.8f, 0.4f, 0.2f, 0.5f, 0.3f, 0.3f, 0.3f, 0.0f };
  const float multiplied[8] = { 0.4f, 0.2f, 0.1f, 0.5f, 0.0f, 0.0f, 0.0f, 0.0f };
  const char *path = in_directory("alpha.exr"), *png = in_directory("alpha.png");
  _write_rows(path, 2, 1, 4, rows, &(dt_imageio_write_opts_t){ .bits = 32, .overwrite = TRUE });
  dt_imageio_reader_t *reader = _open(path);
  assert_true(reader->alpha_associated && reader->alpha_linear);
  float *back = _read_all(reader);
  _assert_near(multiplied, back, 8, 1e-6f);
  _write_rows(png, 2, 1, 4, back,
              &(dt_imageio_write_opts_t){
                  .bits = 16, .alpha_associated = TRUE, .alpha_linear = TRUE, .overwrite = TRUE });
  dt_row_source_destroy(&reader->source);
  g_free(back);
  reader = _open(png);
  back = _read_all(reader);
  _assert_near(rows, back, 4, 1e-3f);
  dt_row_source_destroy(&reader->source);
  g_free(back);
}

static void _check_chromaticities(const char *from, const char *to, const double want[8], double tolerance)
{
  dt_imageio_reader_t *reader = _open(from);
  float *rows = _read_all(reader);
  _write_rows(to, reader->source.width, reader->source.height, 3, rows,
              &(dt_imageio_write_opts_t){ .bits = 32, .metadata = &reader->metadata, .overwrite = TRUE });
  dt_imageio_reader_t *again = _open(to);
  for(int i = 0; i < 8; i++)
    if(fabs(again->metadata.chromaticities[i] - want[i]) > tolerance)
      fail_msg("chromaticity %d: %f is not %f", i, again->metadata.chromaticities[i], want[i]);
  float *back = _read_all(again);
  _assert_near(rows, back, (size_t)again->source.width * (size_t)again->source.height * 3, 2e-6f);
  g_free(back);
  g_free(rows);
  dt_row_source_destroy(&again->source);
  dt_row_source_destroy(&reader->source);
}

static void test_exr_keeps_its_primaries(void **state)
{
  (void)state;
  if(!_is_built_in("OpenEXR")) skip();
  static const double rec2020[8] = { 0.708, 0.292, 0.170, 0.797, 0.131, 0.046, 0.3127, 0.3290 };
  static const double aces[8] = { 0.7347, 0.2653, 0.0, 1.0, 0.0001, -0.077, 0.32168, 0.33767 };
  const char *one = in_directory("primaries.exr"), *other = in_directory("primaries2.exr");
  float *rows = _make_rows(5, 4, 3);
  _write_rows(one, 5, 4, 3, rows,
              &(dt_imageio_write_opts_t){ .bits = 32, .profile = "rec2020-linear", .overwrite = TRUE });
  _check_chromaticities(one, other, rec2020, 1e-7);
  dt_metadata_t metadata = { .orientation = 1, .icc = dt_profile_generate("ACES", aces, &dt_curve_linear) };
  _write_rows(one, 5, 4, 3, rows,
              &(dt_imageio_write_opts_t){ .bits = 32, .metadata = &metadata, .overwrite = TRUE });
  _check_chromaticities(one, other, aces, 1e-4);
  dt_metadata_clear(&metadata);
  g_free(rows);
}

static void test_exr_is_linear(void **state)
{
  (void)state;
  if(!_is_built_in("OpenEXR")) skip();
  GError *error = NULL;
  static const double rec709[8] = { 0.64, 0.33, 0.30, 0.60, 0.15, 0.06, 0.3127, 0.3290 };
  const char *path = in_directory("gamma.exr"), *other = in_directory("gamma2.exr");
  float *rows = _make_rows(5, 4, 3);
  dt_metadata_t metadata = { .orientation = 1, .icc = dt_profile_load("adobergb", 3, NULL) };
  _write_rows(path, 5, 4, 3, rows,
              &(dt_imageio_write_opts_t){ .bits = 32, .metadata = &metadata, .overwrite = TRUE });
  _check_chromaticities(path, other, rec709, 1e-7);
  dt_metadata_clear(&metadata);
  g_free(rows);
  assert_null(dt_imageio_create(
      path, 1, 1, 3, &(dt_imageio_write_opts_t){ .profile = "rec2020", .overwrite = TRUE }, &error));
  assert_error(error, DT_AI_ERROR_USAGE, "rec2020-linear");
  error = NULL;
  assert_null(
      dt_imageio_create(path, 1, 1, 3, &(dt_imageio_write_opts_t){ .bits = 8, .overwrite = TRUE }, &error));
  assert_error(error, DT_AI_ERROR_USAGE, "half");
}

static void _add_text(dt_exif_t *exif, dt_ifd_t ifd, uint16_t tag, const char *text)
{
  const dt_exif_entry_t entry = { .tag = tag,
                                  .type = DT_TYPE_ASCII,
                                  .count = (uint32_t)strlen(text) + 1,
                                  .value = g_bytes_new(text, strlen(text) + 1) };
  g_array_append_val(exif->ifds[ifd], entry);
  g_array_sort(exif->ifds[ifd], dt_exif_compare_entries);
}

static void _add_fractions(dt_exif_t *exif, dt_ifd_t ifd, uint16_t tag, const uint32_t *numbers,
                           uint32_t count)
{
  guint8 raw[24];
  for(uint32_t i = 0; i < 2 * count; i++) dt_exif_put_uint(raw + 4 * i, 4, exif->big_endian, numbers[i]);
  const dt_exif_entry_t entry = {
    .tag = tag, .type = DT_TYPE_RATIONAL, .count = count, .value = g_bytes_new(raw, 8 * count)
  };
  g_array_append_val(exif->ifds[ifd], entry);
  g_array_sort(exif->ifds[ifd], dt_exif_compare_entries);
}

static void _assert_text(const dt_exif_t *exif, dt_ifd_t ifd, uint16_t tag, const char *text)
{
  const dt_exif_entry_t *entry = dt_exif_find(exif, ifd, tag);
  assert_non_null(entry);
  assert_string_equal(g_bytes_get_data(entry->value, NULL), text);
}

static GBytes *_make_exif(void)
{
  dt_exif_t *exif = dt_exif_create();
  _add_text(exif, DT_IFD_MAIN, 270, "A gull");
  _add_text(exif, DT_IFD_MAIN, 33432, "N. N.");
  _add_text(exif, DT_IFD_EXIF, 36867, "2024:05:06 07:08:09");
  _add_text(exif, DT_IFD_EXIF, 36881, "-03:30");
  _add_fractions(exif, DT_IFD_EXIF, 33434, (const uint32_t[]){ 1, 250 }, 1);
  _add_fractions(exif, DT_IFD_EXIF, 33437, (const uint32_t[]){ 28, 10 }, 1);
  dt_exif_set_number(exif, DT_IFD_EXIF, 34855, DT_TYPE_SHORT, 6400);
  _add_text(exif, DT_IFD_GPS, 1, "S");
  _add_fractions(exif, DT_IFD_GPS, 2, (const uint32_t[]){ 33, 1, 30, 1, 0, 1 }, 3);
  GBytes *bytes = dt_exif_to_bytes(exif);
  dt_exif_destroy(exif);
  return bytes;
}

static void test_exr_attributes(void **state)
{
  (void)state;
  if(!_is_built_in("OpenEXR")) skip();
  char *note = NULL;
  const float rows[3] = { 0.1f, 0.2f, 0.3f };
  static const char xmp[] = "<x:xmpmeta xmlns:x=\"adobe:ns:meta/\"/>";
  dt_metadata_t metadata = { .orientation = 6,
                             .exif = _make_exif(),
                             .xmp = g_bytes_new_static(xmp, sizeof(xmp) - 1),
                             .xres = 300.0,
                             .yres = 300.0 };
  const char *path = in_directory("attributes.exr");
  _write_rows(path, 1, 1, 3, rows,
              &(dt_imageio_write_opts_t){ .metadata = &metadata, .overwrite = TRUE, .note = &note });
  assert_non_null(note);
  assert_non_null(strstr(note, "orientation"));
  g_free(note);
  dt_imageio_reader_t *reader = _open(path);
  assert_true(reader->metadata.xres == 300.0);
  assert_non_null(reader->metadata.xmp);
  assert_true(g_bytes_equal(reader->metadata.xmp, metadata.xmp));
  assert_non_null(reader->metadata.exif);
  dt_exif_t *exif = dt_exif_read_bytes(reader->metadata.exif);
  _assert_text(exif, DT_IFD_MAIN, 270, "A gull");
  _assert_text(exif, DT_IFD_MAIN, 33432, "N. N.");
  _assert_text(exif, DT_IFD_EXIF, 36867, "2024:05:06 07:08:09");
  _assert_text(exif, DT_IFD_EXIF, 36881, "-03:30");
  _assert_text(exif, DT_IFD_GPS, 1, "S");
  assert_true(fabs(dt_exif_get_number(exif, DT_IFD_EXIF, 33434, 0.0) - 1.0 / 250.0) < 1e-6);
  assert_true(fabs(dt_exif_get_number(exif, DT_IFD_EXIF, 33437, 0.0) - 2.8) < 1e-5);
  assert_true(dt_exif_get_number(exif, DT_IFD_EXIF, 34855, 0.0) == 6400.0);
  assert_true(dt_exif_get_number(exif, DT_IFD_GPS, 2, 0.0) == 33.0);
  dt_exif_destroy(exif);
  dt_row_source_destroy(&reader->source);
  dt_metadata_clear(&metadata);
}

static void test_exr_of_others(void **state)
{
  (void)state;
  if(!_is_built_in("OpenEXR")) skip();
  dt_imageio_reader_t *reader = _open(CORPUS "tiled-piz.exr");
  assert_int_equal(reader->source.width, 24);
  assert_int_equal(reader->source.height, 16);
  float *back = _read_all(reader);
  for(int i = 0; i < 24 * 16 * 3; i++) assert_true(isfinite(back[i]) && back[i] > -1.0f && back[i] < 2.0f);
  g_free(back);
  dt_row_source_destroy(&reader->source);
}

// --- Formats that are only read

typedef struct _sample_t
{
  const char *file, *format, *profile;
  int channels, bits;
  float tolerance; ///< of 8-bit codes
  gboolean turned;
} _sample_t;

static const _sample_t _samples[] = {
  { "rgb-meta.webp", "WebP", "Display P3", 3, 8, 0.0f, FALSE },
  { "rgba.webp", "WebP", "sRGB (assumed: the file names none)", 4, 8, 0.0f, FALSE },
  { "lossy-alpha.webp", "WebP", "sRGB (assumed: the file names none)", 4, 8, 24.0f, FALSE },
  { "rgb-meta.jxl", "JPEG XL", NULL, 3, 8, 0.0f, FALSE },
  { "lossy.jxl", "JPEG XL", NULL, 3, 8, 40.0f, FALSE },
  { "p3.avif", "HEIF", "Display P3", 3, 8, 8.0f, FALSE },
  { "deep12.avif", "HEIF", "sRGB", 3, 12, 24.0f, FALSE },
  { "rotated.avif", "HEIF", "sRGB", 3, 8, 8.0f, TRUE },
};

/** Codes as the file has them, whatever its profile: encoded with it again. */
static float *_read_codes(dt_imageio_reader_t *reader)
{
  const size_t n = (size_t)reader->source.width * (size_t)reader->source.height;
  float *rows = _read_all(reader);
  dt_icc_t *icc = dt_icc_create(reader->metadata.icc, 3, NULL);
  assert_non_null(icc);
  assert_true(dt_icc_prepare_encode(icc, NULL));
  dt_icc_encode(icc, DT_SAMPLE_F32, reader->source.channels, FALSE, rows, rows, n);
  dt_icc_destroy(icc);
  return rows;
}

static void _check_sample(const _sample_t *sample)
{
  char *path = g_build_filename(CORPUS, sample->file, NULL);
  dt_imageio_reader_t *reader = _open(path);
  const int width = sample->turned ? 16 : 24, height = sample->turned ? 24 : 16;
  assert_int_equal(reader->source.width, width);
  assert_int_equal(reader->source.height, height);
  assert_int_equal(reader->source.channels, sample->channels);
  assert_int_equal(reader->bits, sample->bits);
  if(sample->profile && !g_str_has_prefix(reader->profile_name, sample->profile))
    fail_msg("%s: profile \"%s\", not \"%s\"", sample->file, reader->profile_name, sample->profile);
  assert_true(reader->source.memory >= (size_t)(24 * 16 * sample->channels)); // it is held whole
  float *codes = _read_codes(reader);
  for(int y = 0; y < height; y++)
    for(int x = 0; x < width; x++)
    {
      // turned clockwise: the first column is the last row
      const int u = sample->turned ? y : x, v = sample->turned ? 15 - x : y;
      const float want[3] = { (float)(u * 10), (float)(v * 16), (float)((u * 5 + v * 7) % 256) };
      const float *got = codes + (size_t)(y * width + x) * (size_t)sample->channels;
      const gboolean shown = sample->channels == 3 || got[3] > 0.99f;
      for(int c = 0; c < 3 && shown; c++)
        if(!(fabsf(got[c] * 255.0f - want[c]) <= sample->tolerance + 0.02f))
          fail_msg("%s: pixel %d,%d channel %d is %g, not %g", path, x, y, c, (double)got[c] * 255,
                   (double)want[c]);
    }
  g_free(codes);
  dt_row_source_destroy(&reader->source);
  g_free(path);
}

static void test_samples(void **state)
{
  (void)state;
  for(size_t i = 0; i < G_N_ELEMENTS(_samples); i++)
    if(_is_built_in(_samples[i].format)) _check_sample(&_samples[i]);
}

static void _check_metadata(const char *file, int orientation)
{
  char *path = g_build_filename(CORPUS, file, NULL);
  gsize size;
  dt_imageio_reader_t *reader = _open(path);
  assert_non_null(reader->metadata.icc);
  assert_non_null(reader->metadata.xmp);
  const char *xmp = g_bytes_get_data(reader->metadata.xmp, &size);
  assert_true(g_strstr_len(xmp, (gssize)size, "dc:format=\"mine\"") != NULL);
  dt_exif_t *exif = dt_exif_read_bytes(reader->metadata.exif);
  assert_non_null(exif);
  assert_true(dt_exif_get_number(exif, DT_IFD_EXIF, 34855, 0.0) == 3200.0);
  assert_int_equal(reader->metadata.orientation, orientation);
  dt_exif_destroy(exif);
  dt_row_source_destroy(&reader->source);
  g_free(path);
}

static void test_metadata_of_samples(void **state)
{
  (void)state;
  if(_is_built_in("WebP")) _check_metadata("rgb-meta.webp", 6);
  // the codestream's orientation counts, not that in EXIF
  if(_is_built_in("JPEG XL")) _check_metadata("rgb-meta.jxl", 1);
  if(_is_built_in("HEIF")) _check_metadata("meta.heic", 1);
}

static void test_grey_jxl(void **state)
{
  (void)state;
  if(!_is_built_in("JPEG XL")) skip();
  dt_imageio_reader_t *reader = _open(CORPUS "grey16.jxl");
  assert_int_equal(reader->source.channels, 1);
  assert_int_equal(reader->bits, 16);
  float *rows = _read_all(reader);
  dt_srgb_encode(rows, rows, 24 * 16);
  for(int i = 0; i < 24 * 16; i++) assert_true(fabsf(rows[i] * 65535.0f - (float)(i % 24 * 2570 + i)) < 2.0f);
  g_free(rows);
  dt_row_source_destroy(&reader->source);
}

static void test_readers_do_not_write(void **state)
{
  (void)state;
  static const char *const names[] = { "a.webp", "a.jxl", "a.heic", "a.avif" };
  for(size_t i = 0; i < G_N_ELEMENTS(names); i++)
  {
    GError *error = NULL;
    assert_null(dt_imageio_create(in_directory(names[i]), 2, 2, 3, NULL, &error));
    assert_error(error, DT_AI_ERROR_USAGE, "not written");
  }
}

static void test_missing_libraries_are_named(void **state)
{
  (void)state;
  static const struct
  {
    const char *file, *format, *library;
  } known[] = { { "rgba.webp", "WebP", "libwebp" },
                { "lossy.jxl", "JPEG XL", "libjxl" },
                { "meta.heic", "HEIF", "libheif" },
                { "grey.exr", "OpenEXR", "OpenEXR" } };
  for(size_t i = 0; i < G_N_ELEMENTS(known); i++)
  {
    char *path = g_build_filename(CORPUS, known[i].file, NULL);
    if(!_is_built_in(known[i].format)) assert_open_fails(path, known[i].library);
    g_free(path);
  }
}

// --- What is damaged

/** A picture or an error, and no more than a moment. */
static void _try_bytes(const char *path, const void *bytes, size_t size)
{
  FILE *file = fopen(path, "wb"); // g_file_set_contents() would sync each of thousands
  assert_true(file && fwrite(bytes, 1, size, file) == size && fclose(file) == 0);
  GError *error = NULL;
  dt_imageio_reader_t *reader = dt_imageio_open(path, NULL, &error);
  if(reader && (gint64)reader->source.width * reader->source.height <= 1 << 20)
    g_free(read_rows(&reader->source, 3, &error));
  if(!reader) assert_non_null(error);
  if(error) assert_true(error->domain == DT_AI_ERROR && strlen(error->message) > 10);
  g_clear_error(&error);
  if(reader) dt_row_source_destroy(&reader->source);
}

static void _damage(const char *file, size_t step, int flips)
{
  char *path = g_build_filename(CORPUS, file, NULL), *bytes;
  const char *target = in_directory("damaged");
  gsize size;
  uint32_t seed = 12345;
  assert_true(g_file_get_contents(path, &bytes, &size, NULL));
  for(gsize n = 0; n < size; n += step) _try_bytes(target, bytes, n);
  char *copy = g_malloc(size);
  for(int i = 0; i < flips; i++)
  {
    memcpy(copy, bytes, size);
    for(uint32_t k = next_random(&seed) % 4; k < 4; k++)
      copy[next_random(&seed) % size] ^= (char)(1u << next_random(&seed) % 8);
    _try_bytes(target, copy, size);
  }
  g_free(copy);
  g_free(bytes);
  g_free(path);
}

static void test_damaged_files(void **state)
{
  (void)state;
  static const char *const files[] = {
    "rgb.pfm",          "grey-big-endian.pfm", "zip-half.exr", "grey.exr",  "tiled-piz.exr", "rgb-meta.webp",
    "lossy-alpha.webp", "rgb-meta.jxl",        "grey16.jxl",   "meta.heic", "p3.avif"
  };
  const int flips = g_getenv("DT_TEST_LONG") ? 2000 : 200;
  // libraries have their own words for what they find
  const int words = dup(STDERR_FILENO), nowhere = open("/dev/null", O_WRONLY);
  if(!g_getenv("DT_TEST_SANITIZED")) dup2(nowhere, STDERR_FILENO);
  for(size_t i = 0; i < G_N_ELEMENTS(files); i++) _damage(files[i], i == 4 ? 7 : 1, flips);
  dup2(words, STDERR_FILENO);
  close(words);
  close(nowhere);
}

/** A file that is cut off anywhere is an error, not half a picture. */
static void test_cut_files(void **state)
{
  (void)state;
  static const char *const files[][2] = { { "rgb.pfm", "PFM" },        { "zip-half.exr", "OpenEXR" },
                                          { "grey.exr", "OpenEXR" },   { "rgba.webp", "WebP" },
                                          { "grey16.jxl", "JPEG XL" }, { "p3.avif", "HEIF" },
                                          { "rotated.avif", "HEIF" },  { "meta.heic", "HEIF" } };
  for(size_t i = 0; i < G_N_ELEMENTS(files); i++)
  {
    char *path = g_build_filename(CORPUS, files[i][0], NULL), *bytes;
    gsize size;
    GError *error = NULL;
    if(!_is_built_in(files[i][1])) continue;
    assert_true(g_file_get_contents(path, &bytes, &size, NULL));
    assert_true(g_file_set_contents(in_directory("cut"), bytes, (gssize)(size * 3 / 4), NULL));
    dt_imageio_reader_t *reader = dt_imageio_open(in_directory("cut"), NULL, &error);
    float *rows = reader ? read_rows(&reader->source, 4, &error) : NULL;
    if(rows) fail_msg("%s was cut and read all the same", files[i][0]);
    assert_error(error, DT_AI_ERROR_INPUT, "damaged");
    if(reader) dt_row_source_destroy(&reader->source);
    g_free(bytes);
    g_free(path);
  }
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_pfm_comes_back),
    cmocka_unit_test(test_pfm_of_others),
    cmocka_unit_test(test_pfm_rows_may_be_skipped),
    cmocka_unit_test(test_bad_pfm_headers),
    cmocka_unit_test(test_pfm_limits),
    cmocka_unit_test(test_pfm_is_linear),
    cmocka_unit_test(test_exr_comes_back),
    cmocka_unit_test(test_exr_halves_stay_finite),
    cmocka_unit_test(test_exr_alpha_is_associated),
    cmocka_unit_test(test_exr_keeps_its_primaries),
    cmocka_unit_test(test_exr_is_linear),
    cmocka_unit_test(test_exr_attributes),
    cmocka_unit_test(test_exr_of_others),
    cmocka_unit_test(test_samples),
    cmocka_unit_test(test_metadata_of_samples),
    cmocka_unit_test(test_grey_jxl),
    cmocka_unit_test(test_readers_do_not_write),
    cmocka_unit_test(test_missing_libraries_are_named),
    cmocka_unit_test(test_damaged_files),
    cmocka_unit_test(test_cut_files),
  };
  return cmocka_run_group_tests(tests, make_directory, remove_directory);
}
