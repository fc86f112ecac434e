/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Pictures into streams, dither on the way to eight bits, and the rendering intent of profiles with tables. */
#include "test_imageio_util.h"

#include <lcms2.h>
#include <pthread.h>
#include <signal.h>

// --- Dither

static void test_mean_of_a_gradient(void **state)
{
  (void)state;
  enum
  {
    WIDTH = 4096,
    HEIGHT = 64,
    BLOCK = 64,
    STEPS = 6 // codes that the gradient passes
  };
  float *row = g_new(float, WIDTH);
  guint8 *out = g_malloc((gsize)WIDTH * HEIGHT);
  for(int x = 0; x < WIDTH; x++) row[x] = (100.0f + STEPS * (float)x / WIDTH) / 255.0f;
  for(int y = 0; y < HEIGHT; y++) dt_dither_row(row, out + (gsize)y * WIDTH, WIDTH, 1, y);
  double worst = 0.0, error = 0.0;
  for(int b = 0; b < WIDTH / BLOCK; b++)
  {
    double want = 0.0, got = 0.0;
    for(int x = b * BLOCK; x < (b + 1) * BLOCK; x++)
      for(int y = 0; y < HEIGHT; y++)
      {
        want += (double)row[x] * 255.0;
        got += out[(gsize)y * WIDTH + (gsize)x];
      }
    const double difference = (got - want) / (BLOCK * HEIGHT);
    worst = MAX(worst, fabs(difference));
    error += difference;
  }
  // what 4096 throws of a coin may differ by at most, and what all of them together may not
  if(worst > 0.035) fail_msg("a block's mean is %.4f off", worst);
  if(fabs(error) / (WIDTH / BLOCK) > 0.005) fail_msg("the mean is %.4f off", error / (WIDTH / BLOCK));
  g_free(out);
  g_free(row);
}

/** Of each level between two codes a whole megapixel. */
static void test_mean_of_levels(void **state)
{
  (void)state;
  enum
  {
    SIDE = 1024
  };
  float *row = g_new(float, SIDE);
  guint8 *out = g_malloc(SIDE);
  for(int level = 0; level <= 20; level++)
  {
    double sum = 0.0;
    const float value = (37.0f + (float)level / 20.0f) / 255.0f;
    for(int x = 0; x < SIDE; x++) row[x] = value;
    for(int y = 0; y < SIDE; y++)
    {
      dt_dither_row(row, out, SIDE, 1, y);
      for(int x = 0; x < SIDE; x++) sum += out[x];
    }
    const double difference = sum / (SIDE * SIDE) - (double)value * 255.0;
    if(fabs(difference) > 0.02) fail_msg("level %d: the mean is %.4f off", level, difference);
  }
  g_free(out);
  g_free(row);
}

static void test_exact_codes_stay(void **state)
{
  (void)state;
  float row[256];
  guint8 out[256];
  for(int y = 0; y < 500; y++)
  {
    for(int i = 0; i < 256; i++) row[i] = (float)i / 255.0f * (1.0f + 1e-6f * (float)(y % 7 - 3));
    dt_dither_row(row, out, 256, 1, y);
    for(int i = 0; i < 256; i++) assert_int_equal(out[i], i);
  }
}

static void test_ends_are_flat(void **state)
{
  (void)state;
  static const float ends[] = { 1.0f, 1.5f, INFINITY, 0.0f, -0.3f, -INFINITY, NAN };
  float row[300];
  guint8 out[300];
  for(size_t k = 0; k < G_N_ELEMENTS(ends); k++)
    for(int y = 0; y < 300; y++)
    {
      for(int i = 0; i < 300; i++) row[i] = ends[k];
      dt_dither_row(row, out, 100, 3, y);
      for(int i = 0; i < 300; i++) assert_int_equal(out[i], ends[k] >= 1.0f ? 255 : 0);
    }
}

static void test_grey_stays_grey(void **state)
{
  (void)state;
  float row[400];
  guint8 out[400];
  for(int i = 0; i < 400; i++) row[i] = i % 4 == 3 ? 0.502f : (float)(i / 4) / 100.0f;
  dt_dither_row(row, out, 100, 4, 17);
  for(int i = 0; i < 100; i++)
  {
    assert_int_equal(out[4 * i], out[4 * i + 1]);
    assert_int_equal(out[4 * i], out[4 * i + 2]);
    assert_int_equal(out[4 * i + 3], 128); // alpha is rounded
  }
}

/** However the rows come, the file is the same; and it is not what rounding makes. */
static void test_bands_do_not_matter(void **state)
{
  (void)state;
  enum
  {
    WIDTH = 97,
    HEIGHT = 41
  };
  float *rows = g_new(float, WIDTH *HEIGHT * 3);
  for(int i = 0; i < WIDTH * HEIGHT * 3; i++) rows[i] = 0.2f + 0.0001f * (float)(i % 1000);
  char *files[3];
  gsize sizes[3];
  for(int k = 0; k < 3; k++)
  {
    const char *path = in_directory("bands.png");
    const dt_imageio_write_opts_t opts = { .bits = 8, .dither = k < 2, .overwrite = TRUE };
    GError *error = NULL;
    dt_row_sink_t *sink = dt_imageio_create(path, WIDTH, HEIGHT, 3, &opts, &error);
    assert_no_error(error);
    const int band = k ? 7 : HEIGHT;
    for(int y = 0; y < HEIGHT; y += band)
      assert_true(sink->write(sink, y, MIN(band, HEIGHT - y), rows + y * WIDTH * 3, &error));
    assert_true(sink->finish(sink, &error));
    assert_true(g_file_get_contents(path, &files[k], &sizes[k], NULL));
  }
  assert_true(sizes[0] == sizes[1] && memcmp(files[0], files[1], sizes[0]) == 0);
  assert_true(sizes[2] != sizes[1] || memcmp(files[2], files[1], sizes[1]) != 0);
  for(int k = 0; k < 3; k++) g_free(files[k]);
  g_free(rows);
}

// --- Streams

typedef struct _drain_t
{
  int fd;
  GByteArray *bytes;
} _drain_t;

static void *_drain(void *data)
{
  _drain_t *self = data;
  guint8 buffer[4096];
  for(ssize_t got; (got = read(self->fd, buffer, sizeof(buffer))) > 0;)
    g_byte_array_append(self->bytes, buffer, (guint)got);
  return NULL;
}

static float *_make_rows(int n)
{
  uint32_t seed = 88172645u;
  float *rows = g_new(float, n);
  for(int i = 0; i < n; i++) rows[i] = (float)(next_random(&seed) % 1000) / 1000.0f;
  return rows;
}

static void _check_stream(dt_imageio_format_t format, const float *rows, int width, int height)
{
  GError *error = NULL;
  char *bytes;
  gsize size;
  int ends[2];
  pthread_t thread;
  const char *path = in_directory("stream");
  dt_imageio_write_opts_t opts = { .format = format, .overwrite = TRUE };
  assert_true(write_picture(path, width, height, 3, rows, &opts, &error));
  assert_true(g_file_get_contents(path, &bytes, &size, NULL));
  assert_int_equal(pipe(ends), 0);
  _drain_t drain = { .fd = ends[0], .bytes = g_byte_array_new() };
  assert_int_equal(pthread_create(&thread, NULL, _drain, &drain), 0);
  opts.stream = ends[1];
  write_picture("-", width, height, 3, rows, &opts, &error);
  assert_no_error(error);
  close(ends[1]);
  pthread_join(thread, NULL);
  close(ends[0]);
  if(drain.bytes->len != size || memcmp(drain.bytes->data, bytes, size) != 0)
    fail_msg("format %d: %u bytes through the pipe, %zu in the file, or others", format, drain.bytes->len,
             size);
  g_byte_array_unref(drain.bytes);
  g_free(bytes);
}

static void test_streams_are_files(void **state)
{
  (void)state;
  static const dt_imageio_format_t formats[] = { DT_IMAGEIO_PNG, DT_IMAGEIO_TIFF, DT_IMAGEIO_JPEG,
                                                 DT_IMAGEIO_PFM };
  float *rows = _make_rows(300 * 211 * 3);
  for(size_t i = 0; i < G_N_ELEMENTS(formats); i++)
  {
    _check_stream(formats[i], rows, 1, 1);
    _check_stream(formats[i], rows, 300, 211);
  }
  g_free(rows);
}

static void test_a_closed_pipe_is_an_error(void **state)
{
  (void)state;
  static const dt_imageio_format_t formats[] = { DT_IMAGEIO_PNG, DT_IMAGEIO_TIFF, DT_IMAGEIO_PFM };
  float *rows = _make_rows(300 * 211 * 3);
  signal(SIGPIPE, SIG_IGN);
  for(size_t i = 0; i < G_N_ELEMENTS(formats); i++)
  {
    int ends[2];
    GError *error = NULL;
    assert_int_equal(pipe(ends), 0);
    close(ends[0]);
    const dt_imageio_write_opts_t opts = { .format = formats[i], .stream = ends[1] };
    assert_false(write_picture("-", 300, 211, 3, rows, &opts, &error));
    assert_error(error, DT_AI_ERROR_OUTPUT, "pipe");
    close(ends[1]);
  }
  g_free(rows);
}

static void test_a_stream_is_abandoned_quietly(void **state)
{
  (void)state;
  int ends[2];
  GError *error = NULL;
  guint8 byte;
  assert_int_equal(pipe(ends), 0);
  const dt_imageio_write_opts_t opts = { .format = DT_IMAGEIO_TIFF, .stream = ends[1] };
  dt_row_sink_t *sink = dt_imageio_create("-", 3, 3, 3, &opts, &error);
  assert_no_error(error);
  sink->abandon(sink);
  close(ends[1]);
  assert_int_equal(read(ends[0], &byte, 1), 0);
  close(ends[0]);
}

// --- The standard input

static void test_standard_input(void **state)
{
  (void)state;
  GError *error = NULL;
  int ends[2];
  const int before = dup(STDIN_FILENO);
  const float rows[12] = { 0.1f, 0.2f, 0.3f, 0.4f, 0.5f, 0.6f, 0.7f, 0.8f, 0.9f, 1.0f, 0.0f, 0.5f };
  assert_int_equal(pipe(ends), 0);
  const dt_imageio_write_opts_t opts = { .format = DT_IMAGEIO_PFM, .stream = ends[1] };
  assert_true(write_picture("-", 2, 2, 3, rows, &opts, &error));
  close(ends[1]);
  dup2(ends[0], STDIN_FILENO);
  close(ends[0]);
  for(int i = 0; i < 2; i++) // to plan and to do
  {
    dt_imageio_reader_t *reader = dt_imageio_open("-", NULL, &error);
    assert_no_error(error);
    float *back = read_rows(&reader->source, 2, &error);
    assert_no_error(error);
    for(int k = 0; k < 12; k++) assert_true(fabsf(back[k] - rows[k]) < 1e-6f);
    g_free(back);
    dt_row_source_destroy(&reader->source);
  }
  dup2(before, STDIN_FILENO);
  close(before);
}

// --- Intents

/** A table that multiplies Lab's lightness and gives it as grey, so that the intents can be told apart. */
static cmsPipeline *_make_table(cmsContext context, double factor)
{
  cmsUInt16Number table[2 * 2 * 2 * 3];
  for(int i = 0; i < 8; i++)
    for(int c = 0; c < 3; c++) table[3 * i + c] = i & 4 ? (cmsUInt16Number)(65535.0 * factor) : 0;
  cmsPipeline *pipeline = cmsPipelineAlloc(context, 3, 3);
  cmsPipelineInsertStage(pipeline, cmsAT_BEGIN, cmsStageAllocCLut16bit(context, 2, 3, 3, table));
  return pipeline;
}

static GBytes *_make_table_profile(void)
{
  cmsContext context = cmsCreateContext(NULL, NULL);
  cmsHPROFILE profile = cmsCreateProfilePlaceholder(context);
  cmsSetProfileVersion(profile, 2.1); // its tables need no curves around them
  cmsSetDeviceClass(profile, cmsSigOutputClass);
  cmsSetColorSpace(profile, cmsSigRgbData);
  cmsSetPCS(profile, cmsSigLabData);
  static const struct
  {
    cmsTagSignature tag;
    double factor;
  } tables[] = {
    { cmsSigBToA0Tag, 0.5 }, { cmsSigBToA1Tag, 1.0 }, { cmsSigAToB0Tag, 1.0 }, { cmsSigAToB1Tag, 1.0 }
  };
  for(size_t i = 0; i < G_N_ELEMENTS(tables); i++)
  {
    cmsPipeline *pipeline = _make_table(context, tables[i].factor);
    assert_true(cmsWriteTag(profile, tables[i].tag, pipeline));
    cmsPipelineFree(pipeline);
  }
  cmsUInt32Number size = 0;
  assert_true(cmsSaveProfileToMem(profile, NULL, &size));
  guint8 *bytes = g_malloc(size);
  assert_true(cmsSaveProfileToMem(profile, bytes, &size));
  cmsCloseProfile(profile);
  cmsDeleteContext(context);
  return g_bytes_new_take(bytes, size);
}

static float _encode_white(GBytes *profile, dt_imageio_intent_t intent)
{
  const float white[3] = { 1.0f, 1.0f, 1.0f };
  float out[3];
  dt_icc_t *icc = dt_icc_create(profile, 3, NULL);
  assert_non_null(icc);
  dt_icc_set_intent(icc, intent);
  assert_true(dt_icc_prepare_encode(icc, NULL));
  dt_icc_encode(icc, DT_SAMPLE_F32, 3, FALSE, white, out, 1);
  dt_icc_destroy(icc);
  return out[0];
}

static void test_intents_of_tables(void **state)
{
  (void)state;
  GBytes *profile = _make_table_profile();
  assert_true(fabsf(_encode_white(profile, DT_IMAGEIO_RELATIVE) - 1.0f) < 0.02f);
  assert_true(fabsf(_encode_white(profile, DT_IMAGEIO_PERCEPTUAL) - 0.5f) < 0.02f);
  g_bytes_unref(profile);
}

static void test_intents_of_curves(void **state)
{
  (void)state;
  GBytes *profile = dt_profile_load("adobergb", 3, NULL);
  assert_true(_encode_white(profile, DT_IMAGEIO_RELATIVE) == _encode_white(profile, DT_IMAGEIO_PERCEPTUAL));
  g_bytes_unref(profile);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_mean_of_a_gradient),
    cmocka_unit_test(test_mean_of_levels),
    cmocka_unit_test(test_exact_codes_stay),
    cmocka_unit_test(test_ends_are_flat),
    cmocka_unit_test(test_grey_stays_grey),
    cmocka_unit_test(test_bands_do_not_matter),
    cmocka_unit_test(test_streams_are_files),
    cmocka_unit_test(test_a_closed_pipe_is_an_error),
    cmocka_unit_test(test_a_stream_is_abandoned_quietly),
    cmocka_unit_test(test_standard_input),
    cmocka_unit_test(test_intents_of_tables),
    cmocka_unit_test(test_intents_of_curves),
  };
  return cmocka_run_group_tests(tests, make_directory, remove_directory);
}
