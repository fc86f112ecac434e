/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Pictures through files and back: every format, depth and number of channels, all named profiles
 * code by code, odd sizes, and what readers and sinks promise about their use. */
#include "test_imageio_util.h"

#include "imageio/icc_internal.h"

// --- Helpers

typedef struct _kind_t
{
  const char *extension;
  int bits;
  dt_imageio_compression_t compression;
} _kind_t;

static const _kind_t _lossless[] = {
  { "tif", 8, DT_IMAGEIO_UNCOMPRESSED },       { "tif", 8, DT_IMAGEIO_DEFLATE },
  { "tif", 8, DT_IMAGEIO_DEFLATE_PREDICTOR },  { "tif", 16, DT_IMAGEIO_UNCOMPRESSED },
  { "tif", 16, DT_IMAGEIO_DEFLATE },           { "tif", 16, DT_IMAGEIO_DEFLATE_PREDICTOR },
  { "tif", 32, DT_IMAGEIO_UNCOMPRESSED },      { "tif", 32, DT_IMAGEIO_DEFLATE },
  { "tif", 32, DT_IMAGEIO_DEFLATE_PREDICTOR }, { "png", 8, DT_IMAGEIO_DEFLATE },
  { "png", 16, DT_IMAGEIO_DEFLATE },
};

/** Linear rows that are exactly representable: decoded from random codes. */
static float *_make_rows(int width, int height, int channels, int bits)
{
  uint32_t seed = 2463534242u;
  const size_t n = (size_t)width * (size_t)height * (size_t)channels;
  float *rows = g_new(float, n);
  const uint32_t top = bits == 8 ? 255 : 65535;
  for(size_t i = 0; i < n; i++)
  {
    const float x = (float)(next_random(&seed) % (top + 1)) / (float)top;
    const gboolean alpha = DT_ROW_HAS_ALPHA(channels) && i % (size_t)channels == (size_t)channels - 1;
    rows[i] = x;
    if(!alpha) dt_srgb_decode(&rows[i], &rows[i], 1);
    if(bits == 32 && !alpha) rows[i] = rows[i] * 3.0f - 1.0f;
  }
  return rows;
}

static void _compare_rows(const float *a, const float *b, size_t n, float tolerance)
{
  for(size_t i = 0; i < n; i++)
    if(!(fabsf(a[i] - b[i]) <= tolerance * fmaxf(fabsf(a[i]), 1e-3f)))
      fail_msg("sample %zu: %.9g became %.9g", i, (double)a[i], (double)b[i]);
}

static void _check_trip(const _kind_t *kind, int width, int height, int channels)
{
  GError *error = NULL;
  char name[64];
  g_snprintf(name, sizeof(name), "trip-%d-%d-%d-%d-%d.%s", kind->bits, kind->compression, width, height,
             channels, kind->extension);
  const char *path = in_directory(name);
  const dt_imageio_write_opts_t opts = { .bits = kind->bits,
                                         .compression = kind->compression,
                                         .overwrite = TRUE };
  float *rows = _make_rows(width, height, channels, kind->bits);
  write_picture(path, width, height, channels, rows, &opts, &error);
  assert_no_error(error);
  dt_imageio_reader_t *reader = dt_imageio_open(path, NULL, &error);
  assert_no_error(error);
  assert_int_equal(reader->source.width, width);
  assert_int_equal(reader->source.height, height);
  assert_int_equal(reader->source.channels, channels);
  assert_int_equal(reader->bits, kind->bits);
  assert_int_equal(reader->is_float, kind->bits == 32);
  assert_int_equal(reader->metadata.orientation, 1);
  float *back = read_rows(&reader->source, 7, &error);
  assert_no_error(error);
  _compare_rows(rows, back, (size_t)width * (size_t)height * (size_t)channels, 1e-6f);
  dt_row_source_destroy(&reader->source);
  g_free(rows);
  g_free(back);
  g_unlink(path);
}

// --- Round trips

static void test_every_format_comes_back(void **state)
{
  (void)state;
  for(size_t i = 0; i < G_N_ELEMENTS(_lossless); i++)
    for(int channels = 1; channels <= 4; channels++) _check_trip(&_lossless[i], 61, 43, channels);
}

static void test_odd_sizes(void **state)
{
  (void)state;
  static const int sizes[][2] = { { 1, 1 }, { 7, 5000 }, { 65535, 2 }, { 100000, 1 }, { 1, 3000 } };
  for(size_t i = 0; i < G_N_ELEMENTS(_lossless); i++)
    for(size_t s = 0; s < G_N_ELEMENTS(sizes); s++) _check_trip(&_lossless[i], sizes[s][0], sizes[s][1], 3);
}

static void test_many_strips(void **state)
{
  (void)state;
  // more strips than the compressor's ring has slots, the last one short
  const _kind_t kind = { "tif", 32, DT_IMAGEIO_DEFLATE_PREDICTOR };
  _check_trip(&kind, 1001, 2003, 3);
}

static void test_jpeg_is_near(void **state)
{
  (void)state;
  for(int channels = 1; channels <= 3; channels += 2)
  {
    GError *error = NULL;
    const int width = 333, height = 77;
    const char *path = in_directory("near.jpg");
    float *rows = g_new(float, (size_t)(width * height * channels));
    for(int i = 0; i < width * height * channels; i++)
      rows[i] = 0.2f + 0.15f * sinf((float)(i / channels % width) * 0.05f);
    const dt_imageio_write_opts_t opts = { .overwrite = TRUE, .quality = 98 };
    write_picture(path, width, height, channels, rows, &opts, &error);
    assert_no_error(error);
    dt_imageio_reader_t *reader = dt_imageio_open(path, NULL, &error);
    assert_no_error(error);
    assert_int_equal(reader->format, DT_IMAGEIO_JPEG);
    assert_int_equal(reader->source.channels, channels);
    assert_string_equal(reader->profile_name, "sRGB"); // embedded, not assumed
    float *back = read_rows(&reader->source, 5, &error);
    assert_no_error(error);
    for(int i = 0; i < width * height * channels; i++) assert_true(fabsf(rows[i] - back[i]) < 0.01f);
    dt_row_source_destroy(&reader->source);
    g_free(rows);
    g_free(back);
  }
}

static void test_integers_round_and_clamp(void **state)
{
  (void)state;
  GError *error = NULL;
  const float rows[6] = { -1.0f, NAN, 5.0f, INFINITY, -INFINITY, 0.5f };
  const float want[6] = { 0.0f, 0.0f, 1.0f, 1.0f, 0.0f, 0.5f };
  const dt_imageio_write_opts_t opts = { .bits = 16, .overwrite = TRUE };
  const char *path = in_directory("clamp.png");
  write_picture(path, 2, 1, 3, rows, &opts, &error);
  assert_no_error(error);
  dt_imageio_reader_t *reader = dt_imageio_open(path, NULL, &error);
  assert_no_error(error);
  float *back = read_rows(&reader->source, 1, &error);
  for(int i = 0; i < 6; i++) assert_true(fabsf(back[i] - want[i]) < 1e-4f);
  dt_row_source_destroy(&reader->source);
  g_free(back);
}

// --- Every code of every profile

/** Decodes and encodes all of @p n pixels and compares the codes. */
static void _check_codes(const char *profile, int channels, dt_sample_t sample, const void *codes, size_t n)
{
  GError *error = NULL;
  GBytes *bytes = dt_profile_load(profile, DT_ROW_COLOURS(channels), &error);
  assert_no_error(error);
  dt_icc_t *icc = dt_icc_create(bytes, DT_ROW_COLOURS(channels), &error);
  assert_no_error(error);
  assert_false(icc->is_general);
  assert_true(dt_icc_prepare_decode(icc, sample, &error));
  assert_true(dt_icc_prepare_encode(icc, &error));
  const size_t size = n * (size_t)channels * dt_sample_size(sample);
  float *rows = g_new(float, n *(size_t)channels);
  void *back = g_malloc(size);
  dt_icc_decode(icc, sample, channels, codes, rows, n);
  dt_icc_encode(icc, sample, channels, FALSE, rows, back, n);
  for(size_t i = 0; i < size; i++)
    if(((const uint8_t *)codes)[i] != ((uint8_t *)back)[i])
      fail_msg("%s: byte %zu of %d-channel codes was %d and became %d", profile, i, channels,
               ((const uint8_t *)codes)[i], ((uint8_t *)back)[i]);
  g_free(back);
  g_free(rows);
  dt_icc_destroy(icc);
  g_bytes_unref(bytes);
}

static uint16_t _random_code(uint32_t *seed, uint32_t lowest)
{
  const uint32_t code = next_random(seed) % 65536;
  return (uint16_t)MAX(code, lowest);
}

/** All codes in every channel, alone beside a bright and a random one, and as greys. @p lowest keeps
 * the darkest codes out of coloured pixels. */
static void _check_profile_16(const char *profile, uint32_t lowest)
{
  enum
  {
    N = 65536
  };
  uint16_t *codes = g_new(uint16_t, 4 * N);
  uint32_t seed = 88172645u;
  for(size_t i = 0; i < N; i++) codes[i] = (uint16_t)i;
  _check_codes(profile, 1, DT_SAMPLE_U16, codes, N);
  for(size_t i = 0; i < N; i++) codes[2 * i] = codes[2 * i + 1] = (uint16_t)i;
  _check_codes(profile, 2, DT_SAMPLE_U16, codes, N);
  for(size_t i = 0; i < 3 * N; i++) codes[i] = (uint16_t)(i / 3);
  _check_codes(profile, 3, DT_SAMPLE_U16, codes, N);
  for(size_t c = 0; c < 3; c++)
  {
    for(size_t i = 0; i < N; i++)
    {
      codes[3 * i + c] = (uint16_t)MAX(i, lowest);
      codes[3 * i + (c + 1) % 3] = _random_code(&seed, lowest);
      codes[3 * i + (c + 2) % 3] = 65535;
    }
    _check_codes(profile, 3, DT_SAMPLE_U16, codes, N);
  }
  for(size_t i = 0; i < 4 * N; i++) codes[i] = _random_code(&seed, lowest);
  _check_codes(profile, 4, DT_SAMPLE_U16, codes, N);
  g_free(codes);
}

static void _check_profile_8(const char *profile)
{
  enum
  {
    N = 65536
  };
  uint8_t *codes = g_new(uint8_t, 4 * N);
  uint32_t seed = 88172645u;
  for(size_t i = 0; i < 256; i++) codes[i] = (uint8_t)i;
  _check_codes(profile, 1, DT_SAMPLE_U8, codes, 256);
  for(size_t c = 0; c < 3; c++) // every pair of codes, the third random
  {
    for(size_t i = 0; i < N; i++)
    {
      codes[3 * i + c] = (uint8_t)(i & 255);
      codes[3 * i + (c + 1) % 3] = (uint8_t)(i >> 8);
      codes[3 * i + (c + 2) % 3] = (uint8_t)(next_random(&seed) >> 24);
    }
    _check_codes(profile, 3, DT_SAMPLE_U8, codes, N);
  }
  for(size_t i = 0; i < 4 * N; i++) codes[i] = (uint8_t)(next_random(&seed) >> 24);
  _check_codes(profile, 4, DT_SAMPLE_U8, codes, N);
  g_free(codes);
}

static void test_codes_survive_every_profile(void **state)
{
  (void)state;
  for(const char *const *name = dt_imageio_profile_names(); *name; name++)
  {
    // a plain gamma is infinitely steep at black: beside a bright channel, single precision rows do
    // not tell the darkest of its 16-bit codes apart, 0.6 % of the scale
    _check_profile_16(*name, strcmp(*name, "adobergb") == 0 ? 400 : 0);
    _check_profile_8(*name);
  }
}

/** The one exception above, bounded: never more than 0.04 % of the scale. */
static void test_dark_adobergb_codes_stay_near(void **state)
{
  (void)state;
  GBytes *bytes = dt_profile_load("adobergb", 3, NULL);
  dt_icc_t *icc = dt_icc_create(bytes, 3, NULL);
  dt_icc_prepare_decode(icc, DT_SAMPLE_U16, NULL);
  for(unsigned c = 0; c < 3; c++)
    for(unsigned code = 0; code < 400; code++)
    {
      uint16_t in[3] = { 65535, 65535, 65535 }, out[3];
      float row[3];
      in[c] = (uint16_t)code;
      in[(c + 1) % 3] = (uint16_t)(code * 163);
      dt_icc_decode(icc, DT_SAMPLE_U16, 3, in, row, 1);
      dt_icc_encode(icc, DT_SAMPLE_U16, 3, FALSE, row, out, 1);
      assert_true(abs((int)in[c] - (int)out[c]) <= 26);
    }
  dt_icc_destroy(icc);
  g_bytes_unref(bytes);
}

/** A file that only passes through is the same to the last bit. */
static void test_files_pass_unchanged(void **state)
{
  (void)state;
  static const char *const profiles[] = { "srgb", "adobergb", "prophoto", "rec2020", "display-p3" };
  GError *error = NULL;
  enum
  {
    WIDTH = 64,
    HEIGHT = 33
  };
  for(size_t p = 0; p < G_N_ELEMENTS(profiles); p++)
    for(int channels = 1; channels <= 3; channels += 2)
      for(int bits = 8; bits <= 16; bits += 8)
      {
        const char *first = in_directory("first.png"), *second = in_directory("second.png");
        float *rows = _make_rows(WIDTH, HEIGHT, channels, bits);
        for(int i = 0; i < WIDTH * HEIGHT * channels; i++) rows[i] = 0.1f + 0.9f * rows[i];
        dt_imageio_write_opts_t opts = { .bits = bits, .overwrite = TRUE, .profile = profiles[p] };
        write_picture(first, WIDTH, HEIGHT, channels, rows, &opts, &error);
        assert_no_error(error);
        dt_imageio_reader_t *reader = dt_imageio_open(first, NULL, &error);
        assert_no_error(error);
        float *back = read_rows(&reader->source, 8, &error);
        opts.profile = NULL;
        opts.metadata = &reader->metadata;
        write_picture(second, WIDTH, HEIGHT, channels, back, &opts, &error);
        assert_no_error(error);
        char *a, *b;
        gsize a_size, b_size;
        assert_true(g_file_get_contents(first, &a, &a_size, NULL));
        assert_true(g_file_get_contents(second, &b, &b_size, NULL));
        assert_int_equal(a_size, b_size);
        assert_memory_equal(a, b, a_size);
        dt_row_source_destroy(&reader->source);
        g_free(a);
        g_free(b);
        g_free(rows);
        g_free(back);
      }
}

// --- Profiles

static void test_profiles_are_deterministic_and_named(void **state)
{
  (void)state;
  for(const char *const *name = dt_imageio_profile_names(); *name; name++)
    for(int colours = 1; colours <= 3; colours += 2)
    {
      GError *error = NULL;
      GBytes *a = dt_profile_load(*name, colours, &error), *b = dt_profile_load(*name, colours, &error);
      assert_no_error(error);
      assert_true(g_bytes_equal(a, b));
      dt_icc_t *icc = dt_icc_create(a, colours, &error);
      assert_no_error(error);
      assert_true(strlen(dt_icc_name(icc)) > 3);
      dt_icc_destroy(icc);
      g_bytes_unref(a);
      g_bytes_unref(b);
    }
}

/** The generated sRGB has to be recognised as what rows are made of: no matrix at all. */
static void test_srgb_needs_no_matrix(void **state)
{
  (void)state;
  GBytes *bytes = dt_profile_load("srgb", 3, NULL);
  dt_icc_t *icc = dt_icc_create(bytes, 3, NULL);
  assert_true(icc->is_rec709);
  assert_true(icc->one_curve);
  assert_memory_equal(&icc->trc[0].curve, &dt_curve_srgb, sizeof(dt_curve_srgb));
  dt_icc_destroy(icc);
  g_bytes_unref(bytes);
}

/** sRGB as Little CMS writes it, and as the old profiles of version 2 do: a table of 1024 points. */
static void test_srgb_of_others_is_recognised(void **state)
{
  (void)state;
  cmsUInt16Number table[1024];
  for(int i = 0; i < 1024; i++)
  {
    float x = (float)i / 1023.0f;
    dt_srgb_decode(&x, &x, 1);
    table[i] = (cmsUInt16Number)(x * 65535.0f + 0.5f);
  }
  const cmsCIExyY white = { 0.3127, 0.3290, 1.0 };
  const cmsCIExyYTRIPLE primaries = { { 0.64, 0.33, 1.0 }, { 0.30, 0.60, 1.0 }, { 0.15, 0.06, 1.0 } };
  cmsToneCurve *curve = cmsBuildTabulatedToneCurve16(NULL, 1024, table);
  cmsToneCurve *curves[3] = { curve, curve, curve };
  cmsHPROFILE profiles[2] = { cmsCreate_sRGBProfile(), cmsCreateRGBProfile(&white, &primaries, curves) };
  cmsSetProfileVersion(profiles[1], 2.1);
  for(int p = 0; p < 2; p++)
  {
    cmsUInt32Number size = 0;
    cmsSaveProfileToMem(profiles[p], NULL, &size);
    void *data = g_malloc(size);
    cmsSaveProfileToMem(profiles[p], data, &size);
    GBytes *bytes = g_bytes_new_take(data, size);
    dt_icc_t *icc = dt_icc_create(bytes, 3, NULL);
    assert_true(icc->is_rec709);
    assert_memory_equal(&icc->trc[0].curve, &dt_curve_srgb, sizeof(dt_curve_srgb));
    dt_icc_destroy(icc);
    g_bytes_unref(bytes);
    cmsCloseProfile(profiles[p]);
  }
  cmsFreeToneCurve(curve);
}

static void test_primaries_are_right(void **state)
{
  (void)state;
  // ITU-R BT.2087: BT.2020 to BT.709
  static const double rec2020[9] = { 1.6605,  -0.5876, -0.0728, -0.1246, 1.1329,
                                     -0.0083, -0.0182, -0.1006, 1.1187 };
  // Display P3 to sRGB, as in CSS Color 4
  static const double p3[9] = { 1.2249, -0.2247, 0.0, -0.0420, 1.0419, 0.0, -0.0196, -0.0786, 1.0979 };
  const struct
  {
    const char *name;
    const double *matrix;
  } cases[] = { { "rec2020", rec2020 }, { "display-p3", p3 } };
  for(size_t i = 0; i < G_N_ELEMENTS(cases); i++)
  {
    GBytes *bytes = dt_profile_load(cases[i].name, 3, NULL);
    dt_icc_t *icc = dt_icc_create(bytes, 3, NULL);
    for(int k = 0; k < 9; k++) assert_true(fabs(icc->to_rec709[k] - cases[i].matrix[k]) < 4e-4);
    dt_icc_destroy(icc);
    g_bytes_unref(bytes);
  }
}

/** A profile with curves as tables, all different, against Little CMS itself. */
static void test_table_curves(void **state)
{
  (void)state;
  cmsToneCurve *curves[3];
  for(int c = 0; c < 3; c++)
  {
    cmsUInt16Number table[1024];
    for(int i = 0; i < 1024; i++)
      table[i] = (cmsUInt16Number)(65535.0 * (0.3 * i / 1023.0 + 0.7 * pow(i / 1023.0, 2.0 + c)) + 0.5);
    curves[c] = cmsBuildTabulatedToneCurve16(NULL, 1024, table);
  }
  const cmsCIExyY white = { 0.3127, 0.3290, 1.0 };
  const cmsCIExyYTRIPLE primaries = { { 0.7, 0.3, 1.0 }, { 0.2, 0.7, 1.0 }, { 0.14, 0.05, 1.0 } };
  cmsHPROFILE profile = cmsCreateRGBProfile(&white, &primaries, curves);
  cmsUInt32Number size = 0;
  cmsSaveProfileToMem(profile, NULL, &size);
  void *data = g_malloc(size);
  cmsSaveProfileToMem(profile, data, &size);
  GBytes *bytes = g_bytes_new_take(data, size);
  dt_icc_t *icc = dt_icc_create(bytes, 3, NULL);
  assert_false(icc->is_general);
  assert_false(icc->one_curve);
  assert_true(dt_icc_prepare_decode(icc, DT_SAMPLE_F32, NULL));

  GBytes *linear = dt_profile_load("srgb-linear", 3, NULL);
  cmsHPROFILE rows_profile =
      cmsOpenProfileFromMem(g_bytes_get_data(linear, NULL), (cmsUInt32Number)g_bytes_get_size(linear));
  cmsHTRANSFORM transform =
      cmsCreateTransform(profile, TYPE_RGB_FLT, rows_profile, TYPE_RGB_FLT, INTENT_RELATIVE_COLORIMETRIC, 0);
  enum
  {
    N = 999
  };
  float in[3 * N], ours[3 * N], theirs[3 * N], back[3 * N];
  uint32_t seed = 1;
  for(int i = 0; i < 3 * N; i++) in[i] = (float)(next_random(&seed) % 10001) / 10000.0f;
  dt_icc_decode(icc, DT_SAMPLE_F32, 3, in, ours, N);
  cmsDoTransform(transform, in, theirs, N);
  for(int i = 0; i < 3 * N; i++) assert_true(fabsf(ours[i] - theirs[i]) < 3e-4f);
  dt_icc_encode(icc, DT_SAMPLE_F32, 3, FALSE, ours, back, N);
  for(int i = 0; i < 3 * N; i++) assert_true(fabsf(in[i] - back[i]) < 2e-5f);

  // beyond the table: odd below 0, on with the last slope above 1
  const float beyond[3] = { -0.25f, 1.5f, 1.0f };
  dt_trc_t *trc = &icc->trc[0];
  float curved[3], straight[3];
  dt_trc_decode(trc, beyond, curved, 3);
  dt_trc_encode(trc, curved, straight, 3);
  assert_true(curved[0] < 0.0f && curved[1] > 1.0f);
  for(int i = 0; i < 3; i++) assert_true(fabsf(straight[i] - beyond[i]) < 1e-5f);

  cmsDeleteTransform(transform);
  cmsCloseProfile(rows_profile);
  cmsCloseProfile(profile);
  for(int c = 0; c < 3; c++) cmsFreeToneCurve(curves[c]);
  dt_icc_destroy(icc);
  g_bytes_unref(linear);
  g_bytes_unref(bytes);
}

/** A profile of lookup tables goes through Little CMS in both directions. */
static void test_general_profile(void **state)
{
  (void)state;
  GError *error = NULL;
  cmsHPROFILE lab = cmsCreateLab4Profile(NULL), srgb = cmsCreate_sRGBProfile();
  cmsHTRANSFORM to_lab =
      cmsCreateTransform(srgb, TYPE_RGB_16, lab, TYPE_Lab_16, INTENT_RELATIVE_COLORIMETRIC, 0);
  cmsHPROFILE link = cmsTransform2DeviceLink(to_lab, 4.2, cmsFLAGS_GUESSDEVICECLASS);
  cmsUInt32Number size = 0;
  cmsSaveProfileToMem(link, NULL, &size);
  void *data = g_malloc(size);
  cmsSaveProfileToMem(link, data, &size);
  GBytes *bytes = g_bytes_new_take(data, size);
  dt_icc_t *icc = dt_icc_create(bytes, 3, &error);
  assert_no_error(error);
  assert_true(icc->is_general);
  assert_true(dt_icc_prepare_decode(icc, DT_SAMPLE_U8, &error));
  const uint8_t codes[8] = { 128, 128, 128, 7, 200, 30, 40, 255 };
  float rows[8], want[8];
  dt_icc_decode(icc, DT_SAMPLE_U8, 4, codes, rows, 2);
  for(int i = 0; i < 8; i++) want[i] = (float)codes[i] / 255.0f;
  dt_srgb_decode(want, want, 8);
  for(int i = 0; i < 8; i++)
    if(i % 4 != 3) assert_true(fabsf(rows[i] - want[i]) < 0.01f);
  assert_true(fabsf(rows[3] - 7.0f / 255.0f) < 1e-6f && rows[7] == 1.0f);
  // made for one direction only: cannot be written with, and says so
  assert_false(dt_icc_prepare_encode(icc, &error));
  assert_error(error, DT_AI_ERROR_INPUT, "not written with");
  dt_icc_destroy(icc);
  g_bytes_unref(bytes);
  cmsCloseProfile(link);
  cmsDeleteTransform(to_lab);
  cmsCloseProfile(srgb);
  cmsCloseProfile(lab);
}

static void test_chosen_and_assumed_profiles(void **state)
{
  (void)state;
  GError *error = NULL;
  const char *path = in_directory("chosen.tif");
  const float rows[3] = { 0.4f, 0.5f, 0.6f };
  const dt_imageio_write_opts_t opts = { .bits = 32, .overwrite = TRUE, .profile = "prophoto" };
  write_picture(path, 1, 1, 3, rows, &opts, &error);
  assert_no_error(error);
  dt_imageio_reader_t *reader = dt_imageio_open(path, NULL, &error);
  assert_no_error(error);
  assert_non_null(strstr(reader->profile_name, "ProPhoto"));
  float back[3];
  assert_true(reader->source.read(&reader->source, 0, 1, back, &error));
  for(int i = 0; i < 3; i++) assert_true(fabsf(back[i] - rows[i]) < 1e-6f);
  dt_row_source_destroy(&reader->source);

  reader = dt_imageio_open(path, "srgb-linear", &error);
  assert_no_error(error);
  assert_true(reader->source.read(&reader->source, 0, 1, back, &error));
  assert_true(back[1] > 0.55f); // the curve was not undone
  dt_row_source_destroy(&reader->source);

  assert_null(dt_imageio_open(path, "no-such-profile", &error));
  assert_error(error, DT_AI_ERROR_INPUT, "display-p3");
}

// --- Promises of readers and sinks

static void test_rows_may_be_skipped_not_repeated(void **state)
{
  (void)state;
  GError *error = NULL;
  static const char *const names[] = { "skip.tif", "skip.png", "skip.jpg" };
  float *rows = _make_rows(50, 400, 3, 8), *want;
  for(size_t i = 0; i < G_N_ELEMENTS(names); i++)
  {
    const dt_imageio_write_opts_t opts = { .bits = 8, .overwrite = TRUE };
    write_picture(in_directory(names[i]), 50, 400, 3, rows, &opts, &error);
    assert_no_error(error);
    dt_imageio_reader_t *reader = dt_imageio_open(in_directory(names[i]), NULL, &error);
    want = read_rows(&reader->source, 400, &error);
    dt_row_source_destroy(&reader->source);
    reader = dt_imageio_open(in_directory(names[i]), NULL, &error);
    float some[150];
    for(int y = 3; y < 400; y += 57)
    {
      assert_true(reader->source.read(&reader->source, y, 1, some, &error));
      assert_memory_equal(some, want + (size_t)y * 150, sizeof(some));
    }
    assert_false(reader->source.read(&reader->source, 3, 1, some, &error));
    assert_error(error, DT_AI_ERROR_USAGE, "in order");
    error = NULL;
    assert_false(reader->source.read(&reader->source, 399, 2, some, &error));
    assert_error(error, DT_AI_ERROR_USAGE, "in order");
    error = NULL;
    dt_row_source_destroy(&reader->source);
    g_free(want);
  }
  g_free(rows);
}

static void test_sink_wants_all_rows(void **state)
{
  (void)state;
  GError *error = NULL;
  const float rows[30] = { 0 };
  const char *path = in_directory("short.tif");
  dt_row_sink_t *sink = dt_imageio_create(path, 10, 3, 1, NULL, &error);
  assert_no_error(error);
  assert_false(sink->write(sink, 1, 1, rows, &error));
  assert_error(error, DT_AI_ERROR_USAGE, "row 0 is next");
  error = NULL;
  assert_true(sink->write(sink, 0, 2, rows, &error));
  assert_false(sink->finish(sink, &error));
  assert_error(error, DT_AI_ERROR_FAILED, "only 2 of 3");
  assert_int_equal(g_access(path, F_OK), -1);
  assert_int_equal(count_parts(test_directory), 0);
}

static void test_bytes_do_not_depend_on_threads(void **state)
{
  (void)state;
  GError *error = NULL;
  float *rows = _make_rows(700, 900, 3, 16);
  char *first = NULL;
  gsize first_size = 0;
  for(int run = 0; run < 4; run++)
  {
    const dt_imageio_write_opts_t opts = { .overwrite = TRUE };
    write_picture(in_directory("same.tif"), 700, 900, 3, rows, &opts, &error);
    assert_no_error(error);
    char *data;
    gsize size;
    assert_true(g_file_get_contents(in_directory("same.tif"), &data, &size, NULL));
    if(first)
    {
      assert_int_equal(size, first_size);
      assert_memory_equal(data, first, size);
      g_free(data);
    }
    else
    {
      first = data;
      first_size = size;
    }
  }
  g_free(first);
  g_free(rows);
}

static void test_big_tiff_by_itself(void **state)
{
  (void)state;
  assert_false(dt_tiff_needs_big(100u << 20, 200, 0));
  assert_false(dt_tiff_needs_big((uint64_t)4000 << 20, 8000, 1 << 20));
  assert_true(dt_tiff_needs_big((uint64_t)4096 << 20, 8192, 0));
  assert_true(dt_tiff_needs_big(((uint64_t)4096 << 20) - 100, 1, 0));
  assert_true(dt_tiff_needs_big((uint64_t)4090 << 20, 8192, 8 << 20));
  // a picture of 4.3 GB has the header of one, and is never finished here
  GError *error = NULL;
  const dt_imageio_write_opts_t opts = { .bits = 32, .compression = DT_IMAGEIO_UNCOMPRESSED };
  dt_row_sink_t *sink = dt_imageio_create(in_directory("big.tif"), 20000, 18000, 3, &opts, &error);
  assert_no_error(error);
  assert_int_equal(count_parts(test_directory), 1);
  GDir *entries = g_dir_open(test_directory, 0, NULL);
  for(const char *name; (name = g_dir_read_name(entries));)
    if(name[0] == '.')
    {
      char head[4] = { 0 };
      FILE *file = fopen(in_directory(name), "rb");
      assert_int_equal(fread(head, 1, 4, file), 4);
      fclose(file);
      assert_true(head[2] == 43 || head[3] == 43);
    }
  g_dir_close(entries);
  assert_true(sink->memory < 8u << 20);
  sink->abandon(sink);
  assert_int_equal(count_parts(test_directory), 0);
}

static void test_alpha_for_png_is_straight(void **state)
{
  (void)state;
  GError *error = NULL;
  float rows[8] = { 0.25f, 0.25f, 0.25f, 0.5f, 0.0f, 0.0f, 0.0f, 0.0f };
  dt_srgb_decode(rows, rows, 3); // encoded values 0.25 times alpha
  const dt_imageio_write_opts_t opts = { .bits = 16, .overwrite = TRUE, .alpha_associated = TRUE };
  write_picture(in_directory("alpha.png"), 2, 1, 4, rows, &opts, &error);
  assert_no_error(error);
  dt_imageio_reader_t *reader = dt_imageio_open(in_directory("alpha.png"), NULL, &error);
  float *back = read_rows(&reader->source, 1, &error), encoded;
  dt_srgb_encode(back, &encoded, 1);
  assert_true(fabsf(encoded - 0.5f) < 1e-4f);
  assert_true(fabsf(back[3] - 0.5f) < 1e-4f);
  assert_true(back[4] == 0.0f && back[7] == 0.0f);
  assert_false(reader->alpha_associated);
  dt_row_source_destroy(&reader->source);
  g_free(back);
  // TIFF says what it holds
  write_picture(in_directory("alpha.tif"), 2, 1, 4, rows, &opts, &error);
  reader = dt_imageio_open(in_directory("alpha.tif"), NULL, &error);
  assert_true(reader->alpha_associated);
  dt_row_source_destroy(&reader->source);
}

static void test_names_and_same_file(void **state)
{
  (void)state;
  assert_int_equal(dt_imageio_format_for_name("a/b.c/photo.TIFF"), DT_IMAGEIO_TIFF);
  assert_int_equal(dt_imageio_format_for_name("photo.tif"), DT_IMAGEIO_TIFF);
  assert_int_equal(dt_imageio_format_for_name("photo.Png"), DT_IMAGEIO_PNG);
  assert_int_equal(dt_imageio_format_for_name("photo.jpeg"), DT_IMAGEIO_JPEG);
  assert_int_equal(dt_imageio_format_for_name("tif"), DT_IMAGEIO_UNKNOWN);
  assert_int_equal(dt_imageio_format_for_name("photo.tif/raw"), DT_IMAGEIO_UNKNOWN);
  const char *a = in_directory("same-a"), *b = in_directory("same-b");
  assert_true(g_file_set_contents(a, "x", 1, NULL));
  assert_false(dt_imageio_same_file(a, b));
  assert_int_equal(symlink(a, b), 0);
  assert_true(dt_imageio_same_file(a, b));
  assert_true(dt_imageio_same_file(a, a));
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_every_format_comes_back),
    cmocka_unit_test(test_odd_sizes),
    cmocka_unit_test(test_many_strips),
    cmocka_unit_test(test_jpeg_is_near),
    cmocka_unit_test(test_integers_round_and_clamp),
    cmocka_unit_test(test_codes_survive_every_profile),
    cmocka_unit_test(test_dark_adobergb_codes_stay_near),
    cmocka_unit_test(test_files_pass_unchanged),
    cmocka_unit_test(test_profiles_are_deterministic_and_named),
    cmocka_unit_test(test_srgb_needs_no_matrix),
    cmocka_unit_test(test_srgb_of_others_is_recognised),
    cmocka_unit_test(test_primaries_are_right),
    cmocka_unit_test(test_table_curves),
    cmocka_unit_test(test_general_profile),
    cmocka_unit_test(test_chosen_and_assumed_profiles),
    cmocka_unit_test(test_rows_may_be_skipped_not_repeated),
    cmocka_unit_test(test_sink_wants_all_rows),
    cmocka_unit_test(test_bytes_do_not_depend_on_threads),
    cmocka_unit_test(test_big_tiff_by_itself),
    cmocka_unit_test(test_alpha_for_png_is_straight),
    cmocka_unit_test(test_names_and_same_file),
  };
  return cmocka_run_group_tests_name("imageio", tests, make_directory, remove_directory);
}
