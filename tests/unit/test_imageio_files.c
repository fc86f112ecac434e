/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Bad input and bad luck: damaged, truncated and unsupported files; outputs that cannot be written;
 * a full disk; a writer that is killed. And the part file: atomic, swept, never taking what is
 * another's. */
#include "test_imageio_util.h"

#include "common/part_file.h"

#include <jpeglib.h>
#include <png.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <tiffio.h>

static float *_make_noise(int width, int height, int channels)
{
  uint32_t seed = 77;
  const size_t n = (size_t)width * (size_t)height * (size_t)channels;
  float *rows = g_new(float, n);
  for(size_t i = 0; i < n; i++) rows[i] = (float)(next_random(&seed) % 1000) / 999.0f;
  return rows;
}

static const char *_write_noise(const char *name, int width, int height, const dt_imageio_write_opts_t *opts)
{
  GError *error = NULL;
  float *rows = _make_noise(width, height, 3);
  dt_imageio_write_opts_t chosen = opts ? *opts : (dt_imageio_write_opts_t){ 0 };
  chosen.overwrite = TRUE;
  write_picture(in_directory(name), width, height, 3, rows, &chosen, &error);
  assert_no_error(error);
  g_free(rows);
  return in_directory(name);
}

// --- Input

static void test_not_a_picture(void **state)
{
  (void)state;
  const char *path = in_directory("junk");
  assert_open_fails(in_directory("missing.tif"), "check the name");
  assert_open_fails(test_directory, "not a regular file");
  assert_open_fails("/dev/null", "not a regular file");
  assert_true(g_file_set_contents(path, "", 0, NULL));
  assert_open_fails(path, "empty");
  assert_true(g_file_set_contents(path, "GIF89a and so on", -1, NULL));
  assert_open_fails(path, "not a TIFF, PNG or JPEG");
  assert_true(g_file_set_contents(path, "I", 1, NULL));
  assert_open_fails(path, "not a TIFF, PNG or JPEG");
  assert_int_equal(mkfifo(in_directory("fifo"), 0600), 0);
  assert_open_fails(in_directory("fifo"), "not a regular file");
}

/** Opens a damaged file and reads what can be read; FALSE with an error somewhere is wanted. */
static gboolean _can_be_read(const char *path, GError **error)
{
  dt_imageio_reader_t *reader = dt_imageio_open(path, NULL, error);
  if(!reader) return FALSE;
  float *rows = read_rows(&reader->source, 10, error);
  dt_row_source_destroy(&reader->source);
  g_free(rows);
  return rows != NULL;
}

static void _check_truncations(const char *path)
{
  char *data;
  gsize size;
  assert_true(g_file_get_contents(path, &data, &size, NULL));
  const char *cut = in_directory("cut");
  for(gsize part = 0; part < 16; part++)
  {
    GError *error = NULL;
    const gsize length = MAX(size * part / 16, (gsize)3);
    assert_true(g_file_set_contents(cut, data, (gssize)length, NULL));
    if(_can_be_read(cut, &error)) fail_msg("%s can be read when cut at %zu of %zu bytes", path, length, size);
    assert_true(g_error_matches(error, DT_AI_ERROR, DT_AI_ERROR_INPUT));
    g_clear_error(&error);
  }
  g_free(data);
}

static void test_truncated_files(void **state)
{
  (void)state;
  for(int c = DT_IMAGEIO_DEFLATE_PREDICTOR; c <= DT_IMAGEIO_UNCOMPRESSED; c++)
  {
    const dt_imageio_write_opts_t opts = { .compression = (dt_imageio_compression_t)c };
    _check_truncations(_write_noise("cut.tif", 300, 200, &opts));
  }
  _check_truncations(_write_noise("cut.png", 300, 200, NULL));
  _check_truncations(_write_noise("cut.jpg", 300, 200, NULL));
}

/** Single bytes changed anywhere: an error or a picture, never anything worse. */
static void test_damaged_files(void **state)
{
  (void)state;
  static const char *const names[] = { "bad.tif", "bad.png", "bad.jpg" };
  uint32_t seed = 5;
  for(size_t i = 0; i < G_N_ELEMENTS(names); i++)
  {
    char *data;
    gsize size;
    assert_true(g_file_get_contents(_write_noise(names[i], 40, 30, NULL), &data, &size, NULL));
    for(int run = 0; run < 400; run++)
    {
      GError *error = NULL;
      const gsize at = run % 2 ? next_random(&seed) % size : next_random(&seed) % MIN(size, (gsize)700);
      const char kept = data[at];
      data[at] = (char)next_random(&seed);
      assert_true(g_file_set_contents(in_directory("bad"), data, (gssize)size, NULL));
      if(!_can_be_read(in_directory("bad"), &error))
        assert_true(g_error_matches(error, DT_AI_ERROR, DT_AI_ERROR_INPUT));
      g_clear_error(&error);
      data[at] = kept;
    }
    g_free(data);
  }
}

static void _write_cmyk_jpeg(const char *path)
{
  struct jpeg_compress_struct info;
  struct jpeg_error_mgr errors;
  uint8_t row[64] = { 0 };
  JSAMPROW rows[1] = { row };
  FILE *file = fopen(path, "wb");
  info.err = jpeg_std_error(&errors);
  jpeg_create_compress(&info);
  jpeg_stdio_dest(&info, file);
  info.image_width = info.image_height = 16;
  info.input_components = 4;
  info.in_color_space = JCS_CMYK;
  jpeg_set_defaults(&info);
  jpeg_start_compress(&info, TRUE);
  while(info.next_scanline < 16) jpeg_write_scanlines(&info, rows, 1);
  jpeg_finish_compress(&info);
  jpeg_destroy_compress(&info);
  fclose(file);
}

static void test_unsupported_kinds_are_named(void **state)
{
  (void)state;
  _write_cmyk_jpeg(in_directory("cmyk.jpg"));
  assert_open_fails(in_directory("cmyk.jpg"), "CMYK, which is not supported");
}

static const dt_metadata_t *_get_bad_icc(void)
{
  static dt_metadata_t metadata = { .orientation = 1 };
  if(!metadata.icc) metadata.icc = g_bytes_new_static("this is not a profile at all", 28);
  return &metadata;
}

static void test_damaged_profile(void **state)
{
  (void)state;
  GError *error = NULL;
  // a good file whose profile is then spoilt
  const char *names[] = { "icc.tif", "icc.jpg", "icc.png" };
  for(size_t i = 0; i < G_N_ELEMENTS(names); i++)
  {
    char *data, *found = NULL;
    gsize size;
    const dt_imageio_write_opts_t opts = { .profile = "adobergb" };
    const char *path = _write_noise(names[i], 20, 20, &opts);
    assert_true(g_file_get_contents(path, &data, &size, NULL));
    for(gsize at = 0; at + 4 < size && !found; at++)
      if(memcmp(data + at, i == 2 ? "iCCP" : "acsp", 4) == 0) found = data + at;
    assert_non_null(found);
    found[i == 2 ? 30 : 0] ^= 0x55;
    assert_true(g_file_set_contents(path, data, (gssize)size, NULL));
    assert_open_fails(path, "--assume-profile srgb");
    dt_imageio_reader_t *reader = dt_imageio_open(path, "srgb", &error);
    assert_no_error(error);
    dt_row_source_destroy(&reader->source);
    g_free(data);
  }
  // and one that is to be written
  const float row[3] = { 0 };
  const dt_imageio_write_opts_t opts = { .metadata = _get_bad_icc() };
  assert_false(write_picture(in_directory("never.tif"), 1, 1, 3, row, &opts, &error));
  assert_error(error, DT_AI_ERROR_INPUT, "--icc");
  assert_int_equal(g_access(in_directory("never.tif"), F_OK), -1);
}

// --- PNG as others write it

typedef struct _png_spec_t
{
  int bits, type;
  gboolean interlaced, transparent;
  int gamma; ///< times 100000
  int cicp;  ///< transfer function, 0 = no chunk
} _png_spec_t;

static const char *_write_png(const _png_spec_t *spec, int width, int height)
{
  const char *path = in_directory("made.png");
  FILE *file = fopen(path, "wb");
  png_structp png = png_create_write_struct(PNG_LIBPNG_VER_STRING, NULL, NULL, NULL);
  png_infop info = png_create_info_struct(png);
  png_init_io(png, file);
  png_set_IHDR(png, info, (png_uint_32)width, (png_uint_32)height, spec->bits, spec->type,
               spec->interlaced ? PNG_INTERLACE_ADAM7 : PNG_INTERLACE_NONE, 0, 0);
  png_color palette[256];
  for(int i = 0; i < 256; i++)
    palette[i] = (png_color){ (png_byte)i, (png_byte)(255 - i), (png_byte)(i ^ 85) };
  if(spec->type == PNG_COLOR_TYPE_PALETTE) png_set_PLTE(png, info, palette, 1 << spec->bits);
  png_color_16 key = { .gray = 1, .red = 1, .green = 1, .blue = 1 };
  png_byte alpha[4] = { 0, 128, 255, 255 };
  if(spec->transparent) png_set_tRNS(png, info, alpha, spec->bits == 2 ? 4 : 2, &key);
  if(spec->gamma) png_set_gAMA_fixed(png, info, spec->gamma);
  png_write_info(png, info);
  const png_byte cicp[4] = { spec->cicp == 16 ? 9 : 1, (png_byte)spec->cicp, 0, 1 };
  if(spec->cicp) png_write_chunk(png, (png_const_bytep) "cICP", cicp, 4);
  const size_t stride = png_get_rowbytes(png, info);
  png_bytepp rows = g_new(png_bytep, height);
  for(int y = 0; y < height; y++)
  {
    rows[y] = g_malloc(stride);
    for(size_t i = 0; i < stride; i++) rows[y][i] = (png_byte)(y * 31 + (int)i * 7);
  }
  png_write_image(png, rows);
  png_write_end(png, NULL);
  for(int y = 0; y < height; y++) g_free(rows[y]);
  g_free(rows);
  png_destroy_write_struct(&png, &info);
  fclose(file);
  return path;
}

static float *_read_png(const _png_spec_t *spec, int width, int height, int channels)
{
  GError *error = NULL;
  dt_imageio_reader_t *reader = dt_imageio_open(_write_png(spec, width, height), NULL, &error);
  assert_no_error(error);
  assert_int_equal(reader->source.channels, channels);
  assert_int_equal(reader->bits, spec->bits);
  float *rows = read_rows(&reader->source, 3, &error);
  assert_no_error(error);
  dt_row_source_destroy(&reader->source);
  return rows;
}

static void test_interlaced_png_is_the_same(void **state)
{
  (void)state;
  static const int types[] = { PNG_COLOR_TYPE_GRAY, PNG_COLOR_TYPE_GRAY_ALPHA, PNG_COLOR_TYPE_RGB,
                               PNG_COLOR_TYPE_RGB_ALPHA };
  for(int width = 1; width < 40; width += 13)
    for(int height = 1; height < 40; height += 13)
      for(size_t t = 0; t < G_N_ELEMENTS(types); t++)
        for(int bits = 8; bits <= 16; bits += 8)
        {
          _png_spec_t spec = { .bits = bits, .type = types[t] };
          const int channels = (int)t + 1;
          float *plain = _read_png(&spec, width, height, channels);
          spec.interlaced = TRUE;
          float *interlaced = _read_png(&spec, width, height, channels);
          assert_memory_equal(plain, interlaced, (size_t)(width * height * channels) * sizeof(float));
          g_free(plain);
          g_free(interlaced);
        }
}

static void test_png_expansions(void **state)
{
  (void)state;
  _png_spec_t spec = { .bits = 4, .type = PNG_COLOR_TYPE_GRAY };
  float *rows = _read_png(&spec, 9, 2, 1), code;
  dt_srgb_encode(rows + 3, &code, 1); // second byte is 7: samples 0 and 7
  assert_true(fabsf(code - 7.0f / 15.0f) < 1e-3f);
  g_free(rows);
  spec = (_png_spec_t){ .bits = 2, .type = PNG_COLOR_TYPE_PALETTE };
  rows = _read_png(&spec, 9, 2, 3);
  g_free(rows);
  spec.transparent = TRUE;
  rows = _read_png(&spec, 9, 2, 4);
  assert_true(rows[3] == 0.0f); // index 0
  g_free(rows);
  spec = (_png_spec_t){ .bits = 8, .type = PNG_COLOR_TYPE_RGB, .transparent = TRUE };
  rows = _read_png(&spec, 9, 2, 4);
  assert_true(rows[3] == 1.0f);
  g_free(rows);
  spec = (_png_spec_t){ .bits = 1, .type = PNG_COLOR_TYPE_GRAY };
  assert_open_fails(_write_png(&spec, 9, 2), "1 bit per pixel");
  spec = (_png_spec_t){ .bits = 1, .type = PNG_COLOR_TYPE_PALETTE };
  assert_open_fails(_write_png(&spec, 9, 2), "1 bit per pixel");
}

static void test_png_colour_chunks(void **state)
{
  (void)state;
  GError *error = NULL;
  _png_spec_t spec = { .bits = 8, .type = PNG_COLOR_TYPE_GRAY, .gamma = 100000 };
  float *rows = _read_png(&spec, 9, 2, 1);
  assert_true(fabsf(rows[1] - 7.0f / 255.0f) < 1e-6f); // linear
  g_free(rows);
  spec.gamma = 45455; // what many write for sRGB
  rows = _read_png(&spec, 9, 2, 1);
  float code = 7.0f / 255.0f;
  dt_srgb_decode(&code, &code, 1);
  assert_true(fabsf(rows[1] - code) < 1e-7f);
  g_free(rows);
  spec.gamma = 55556; // 1.8
  rows = _read_png(&spec, 9, 2, 1);
  assert_true(fabs((double)rows[1] - pow(7.0 / 255.0, 1.8)) < 1e-6);
  g_free(rows);
  spec = (_png_spec_t){ .bits = 8, .type = PNG_COLOR_TYPE_RGB, .gamma = 55556, .cicp = 8 };
  rows = _read_png(&spec, 9, 2, 3);
  assert_true(fabsf(rows[1] - 7.0f / 255.0f) < 1e-5f); // cICP goes first: linear
  g_free(rows);
  spec.cicp = 13;
  dt_imageio_reader_t *reader = dt_imageio_open(_write_png(&spec, 9, 2), NULL, &error);
  assert_no_error(error);
  assert_null(reader->metadata.icc);
  dt_row_source_destroy(&reader->source);
  spec.cicp = 16;
  assert_open_fails(_write_png(&spec, 9, 2), "PQ");
}

// --- Progressive JPEG

static void _write_progressive(const char *path, const uint8_t *pixels, int width, int height,
                               gboolean progressive)
{
  struct jpeg_compress_struct info;
  struct jpeg_error_mgr errors;
  FILE *file = fopen(path, "wb");
  info.err = jpeg_std_error(&errors);
  jpeg_create_compress(&info);
  jpeg_stdio_dest(&info, file);
  info.image_width = (JDIMENSION)width;
  info.image_height = (JDIMENSION)height;
  info.input_components = 3;
  info.in_color_space = JCS_RGB;
  jpeg_set_defaults(&info);
  if(progressive) jpeg_simple_progression(&info);
  jpeg_start_compress(&info, TRUE);
  while(info.next_scanline < info.image_height)
  {
    JSAMPROW rows[1] = { (JSAMPROW)(uintptr_t)pixels + (size_t)info.next_scanline * (size_t)width * 3 };
    jpeg_write_scanlines(&info, rows, 1);
  }
  jpeg_finish_compress(&info);
  jpeg_destroy_compress(&info);
  fclose(file);
}

static void test_progressive_jpeg_is_counted(void **state)
{
  (void)state;
  GError *error = NULL;
  enum
  {
    WIDTH = 333,
    HEIGHT = 257
  };
  uint8_t *pixels = g_malloc(WIDTH * HEIGHT * 3);
  uint32_t seed = 3;
  for(int i = 0; i < WIDTH * HEIGHT * 3; i++) pixels[i] = (uint8_t)(i / 900 + next_random(&seed) % 9);
  const char *plain = in_directory("plain.jpg"), *progressive = in_directory("progressive.jpg");
  _write_progressive(plain, pixels, WIDTH, HEIGHT, FALSE);
  _write_progressive(progressive, pixels, WIDTH, HEIGHT, TRUE);
  dt_imageio_reader_t *a = dt_imageio_open(plain, NULL, &error);
  dt_imageio_reader_t *b = dt_imageio_open(progressive, NULL, &error);
  assert_no_error(error);
  assert_true(b->source.memory >= a->source.memory + WIDTH * HEIGHT * 3); // 4:2:0 coefficients
  float *one = read_rows(&a->source, 9, &error), *other = read_rows(&b->source, 11, &error);
  assert_no_error(error);
  assert_memory_equal(one, other, WIDTH * HEIGHT * 3 * sizeof(float));
  g_free(one);
  g_free(other);
  g_free(pixels);
  dt_row_source_destroy(&a->source);
  dt_row_source_destroy(&b->source);
  _check_truncations(progressive);
}

// --- Output

static void _assert_create_fails(const char *path, int channels, const dt_imageio_write_opts_t *opts,
                                 int code, const char *words)
{
  GError *error = NULL;
  assert_null(dt_imageio_create(path, 4, 4, channels, opts, &error));
  assert_error(error, code, words);
}

static void test_outputs_that_cannot_be(void **state)
{
  (void)state;
  const dt_imageio_write_opts_t tiff = { .format = DT_IMAGEIO_TIFF, .overwrite = TRUE };
  _assert_create_fails(in_directory("nowhere/a.tif"), 3, NULL, DT_AI_ERROR_OUTPUT,
                       "directory does not exist");
  _assert_create_fails(test_directory, 3, &tiff, DT_AI_ERROR_OUTPUT, "this is a directory");
  _assert_create_fails("/dev/full", 3, &tiff, DT_AI_ERROR_OUTPUT, "special file");
  assert_true(g_file_set_contents(in_directory("there.tif"), "x", 1, NULL));
  _assert_create_fails(in_directory("there.tif"), 3, NULL, DT_AI_ERROR_OUTPUT, "exists already");
  _assert_create_fails(in_directory("there.tif/a.tif"), 3, NULL, DT_AI_ERROR_OUTPUT, "directory");
  assert_int_equal(symlink("nothing", in_directory("dangling.tif")), 0);
  _assert_create_fails(in_directory("dangling.tif"), 3, &tiff, DT_AI_ERROR_OUTPUT, "leads nowhere");
}

static void test_combinations_that_cannot_be(void **state)
{
  (void)state;
  const dt_imageio_write_opts_t deep = { .bits = 16 }, odd = { .bits = 12 }, floats = { .bits = 32 },
                                best = { .quality = 101 }, cmyk = { .profile = "no-such" };
  _assert_create_fails(in_directory("a.gif"), 3, NULL, DT_AI_ERROR_USAGE, "use .tif, .png or .jpg");
  _assert_create_fails(in_directory("a.jpg"), 4, NULL, DT_AI_ERROR_USAGE, "transparency");
  _assert_create_fails(in_directory("a.jpg"), 3, &deep, DT_AI_ERROR_USAGE, "8 bits only");
  _assert_create_fails(in_directory("a.png"), 3, &floats, DT_AI_ERROR_USAGE, "8 or 16 bits");
  _assert_create_fails(in_directory("a.tif"), 3, &odd, DT_AI_ERROR_USAGE, "8, 16 and 32");
  _assert_create_fails(in_directory("a.tif"), 5, NULL, DT_AI_ERROR_USAGE, "channels");
  _assert_create_fails(in_directory("a.jpg"), 3, &best, DT_AI_ERROR_USAGE, "quality");
  _assert_create_fails(in_directory("a.tif"), 3, &cmyk, DT_AI_ERROR_USAGE, "display-p3");
  GError *error = NULL;
  assert_null(dt_imageio_create(in_directory("a.jpg"), 65535, 1, 3, NULL, &error));
  assert_error(error, DT_AI_ERROR_USAGE, "65500");
  error = NULL;
  assert_null(dt_imageio_create(in_directory("a.tif"), 0, 1, 3, NULL, &error));
  assert_error(error, DT_AI_ERROR_USAGE, "1000000");
}

static void test_unwritable_directory(void **state)
{
  (void)state;
  if(geteuid() == 0) skip(); // everything is writable
  g_mkdir(in_directory("closed"), 0500);
  _assert_create_fails(in_directory("closed/a.tif"), 3, NULL, DT_AI_ERROR_OUTPUT, "permissions");
}

/** Writes a large picture under a file size limit in a child; what it says comes back. */
static void _check_disk_full(const char *name, const dt_imageio_write_opts_t *opts)
{
  const char *path = in_directory(name);
  const pid_t child = fork();
  if(child == 0)
  {
    const struct rlimit limit = { 100000, 100000 };
    signal(SIGXFSZ, SIG_IGN);
    setrlimit(RLIMIT_FSIZE, &limit);
    GError *error = NULL;
    float *rows = _make_noise(600, 400, 3);
    const gboolean written = write_picture(path, 600, 400, 3, rows, opts, &error);
    const gboolean right = !written && g_error_matches(error, DT_AI_ERROR, DT_AI_ERROR_OUTPUT)
                           && strstr(error->message, "choose another directory");
    g_free(rows);
    g_clear_error(&error);
    _exit(right ? 0 : 1);
  }
  int status;
  assert_int_equal(waitpid(child, &status, 0), child);
  assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
  assert_int_equal(g_access(path, F_OK), -1);
  assert_int_equal(count_parts(test_directory), 0);
}

static void test_full_disk_leaves_nothing(void **state)
{
  (void)state;
  for(int c = DT_IMAGEIO_DEFLATE_PREDICTOR; c <= DT_IMAGEIO_UNCOMPRESSED; c++)
  {
    const dt_imageio_write_opts_t opts = { .compression = (dt_imageio_compression_t)c };
    _check_disk_full("full.tif", &opts);
  }
  _check_disk_full("full.png", NULL);
  _check_disk_full("full.jpg", NULL);
}

/** The words for a disk that is really full: /dev/full stands in for the part. */
static void test_no_space_is_said(void **state)
{
  (void)state;
  GError *error = NULL;
  dt_part_t *part = dt_part_create(in_directory("space.tif"), FALSE, &error);
  assert_no_error(error);
  int full = open("/dev/full", O_WRONLY);
  // the part's descriptor is the newest but one
  char link[64], target[4096] = "";
  for(int fd = 3; fd < full; fd++)
  {
    g_snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
    const ssize_t n = readlink(link, target, sizeof(target) - 1);
    if(n > 0 && (target[n] = '\0', g_str_has_suffix(target, ".part"))) dup2(full, fd);
  }
  close(full);
  char bytes[100] = { 0 };
  assert_false(dt_part_write(part, 0, bytes, sizeof(bytes)));
  assert_false(dt_part_append(part, bytes, sizeof(bytes)));
  dt_part_set_error(part, "", &error);
  assert_error(error, DT_AI_ERROR_OUTPUT, "the disk is full: free some space");
  dt_part_abandon(part);
}

// --- Atomic results

static void test_target_is_untouched_until_the_end(void **state)
{
  (void)state;
  GError *error = NULL;
  const char *path = in_directory("old.tif");
  assert_true(g_file_set_contents(path, "old", 3, NULL));
  assert_int_equal(g_chmod(path, 0640), 0);
  const dt_imageio_write_opts_t opts = { .overwrite = TRUE };
  float rows[12] = { 0 };
  for(int finish = 0; finish < 2; finish++)
  {
    dt_row_sink_t *sink = dt_imageio_create(path, 2, 2, 3, &opts, &error);
    assert_no_error(error);
    assert_true(sink->write(sink, 0, 2, rows, &error));
    char *data;
    assert_true(g_file_get_contents(path, &data, NULL, NULL));
    assert_string_equal(data, "old");
    g_free(data);
    assert_int_equal(count_parts(test_directory), 1);
    if(finish)
      assert_true(sink->finish(sink, &error));
    else
      sink->abandon(sink);
    assert_int_equal(count_parts(test_directory), 0);
  }
  assert_true(_can_be_read(path, &error));
  struct stat status;
  assert_int_equal(stat(path, &status), 0);
  assert_int_equal(status.st_mode & 0777, 0640); // as before
}

static void test_umask_decides_new_files(void **state)
{
  (void)state;
  struct stat status;
  const mode_t before = umask(027);
  _write_noise("mode.png", 2, 2, NULL);
  assert_int_equal(umask(before), 027); // not touched
  assert_int_equal(stat(in_directory("mode.png"), &status), 0);
  assert_int_equal(status.st_mode & 0777, 0640);
}

static void test_link_stays_a_link(void **state)
{
  (void)state;
  GError *error = NULL;
  g_mkdir(in_directory("elsewhere"), 0700);
  assert_true(g_file_set_contents(in_directory("elsewhere/real.tif"), "old", 3, NULL));
  assert_int_equal(symlink("elsewhere/real.tif", in_directory("link.tif")), 0);
  _write_noise("link.tif", 2, 2, NULL);
  assert_true(g_file_test(in_directory("link.tif"), G_FILE_TEST_IS_SYMLINK));
  assert_true(_can_be_read(in_directory("elsewhere/real.tif"), &error));
  assert_int_equal(count_parts(in_directory("elsewhere")), 0);
  g_unlink(in_directory("elsewhere/real.tif"));
}

static void test_rival_is_not_overwritten(void **state)
{
  (void)state;
  GError *error = NULL;
  const float rows[3] = { 0 };
  const char *path = in_directory("rival.tif");
  dt_row_sink_t *sink = dt_imageio_create(path, 1, 1, 3, NULL, &error);
  assert_no_error(error);
  assert_true(sink->write(sink, 0, 1, rows, &error));
  assert_true(g_file_set_contents(path, "rival", 5, NULL));
  assert_false(sink->finish(sink, &error));
  assert_error(error, DT_AI_ERROR_OUTPUT, "another program created");
  assert_int_equal(count_parts(test_directory), 0);
  char *data;
  assert_true(g_file_get_contents(path, &data, NULL, NULL));
  assert_string_equal(data, "rival");
  g_free(data);
}

/** A writer killed in the middle leaves one hidden file, which the next one removes. */
static void test_killed_writer_is_swept(void **state)
{
  (void)state;
  GError *error = NULL;
  int pipes[2];
  assert_int_equal(pipe(pipes), 0);
  const pid_t child = fork();
  if(child == 0)
  {
    float *rows = _make_noise(600, 300, 3);
    dt_row_sink_t *sink = dt_imageio_create(in_directory("killed.tif"), 600, 400, 3, NULL, &error);
    if(sink) sink->write(sink, 0, 300, rows, &error);
    (void)!write(pipes[1], "x", 1);
    pause();
    _exit(1);
  }
  char byte;
  assert_int_equal(read(pipes[0], &byte, 1), 1);
  close(pipes[0]);
  close(pipes[1]);
  // while it lives, nobody takes its file
  dt_part_sweep(test_directory);
  assert_int_equal(count_parts(test_directory), 1);
  kill(child, SIGKILL);
  assert_int_equal(waitpid(child, NULL, 0), child);
  assert_int_equal(count_parts(test_directory), 1);
  assert_int_equal(g_access(in_directory("killed.tif"), F_OK), -1);
  _write_noise("other.tif", 2, 2, NULL);
  assert_int_equal(count_parts(test_directory), 0);
}

static void test_others_files_are_not_swept(void **state)
{
  (void)state;
  static const char *const names[] = { ".part", ".a.part", ".download.zip.abcdef.part", "a.abcdef.part",
                                       ".a.ABCDEF.part" };
  for(size_t i = 0; i < G_N_ELEMENTS(names); i++)
    assert_true(g_file_set_contents(in_directory(names[i]), "", 0, NULL));
  dt_part_sweep(test_directory);
  for(size_t i = 0; i < G_N_ELEMENTS(names); i++)
  {
    assert_int_equal(g_access(in_directory(names[i]), F_OK), 0);
    g_unlink(in_directory(names[i]));
  }
  dt_part_sweep(in_directory("nowhere")); // no directory, no complaint
}

static void test_long_names(void **state)
{
  (void)state;
  GString *name = g_string_new(NULL);
  while(name->len < 240) g_string_append(name, "\xc3\xa4"); // two bytes a letter
  g_string_append(name, ".png");
  _write_noise(name->str, 2, 2, NULL);
  assert_int_equal(count_parts(test_directory), 0);
  g_string_free(name, TRUE);
}

// --- Memory

static long _get_peak_kib(void)
{
  struct rusage usage;
  getrusage(RUSAGE_SELF, &usage);
  return usage.ru_maxrss;
}

/** 100 MP in strips, read and written: the process must not notice. Runs in a child, whose peak is
 * its own. */
static int _copy_tall_picture(void)
{
  enum
  {
    WIDTH = 2000,
    HEIGHT = 50000
  };
  const char *path = in_directory("tall.tif"), *copy = in_directory("copy.tif");
  GError *error = NULL;
  const dt_imageio_write_opts_t opts = { .bits = 8, .overwrite = TRUE };
  float *row = g_new(float, WIDTH * 3);
  for(int i = 0; i < WIDTH * 3; i++) row[i] = (float)(i % 50) / 50.0f;
  dt_row_sink_t *sink = dt_imageio_create(path, WIDTH, HEIGHT, 3, &opts, &error);
  for(int y = 0; y < HEIGHT; y++) sink->write(sink, y, 1, row, &error);
  if(!sink->finish(sink, &error)) return 1;
  dt_imageio_reader_t *reader = dt_imageio_open(path, NULL, &error);
  sink = dt_imageio_create(copy, WIDTH, HEIGHT, 3, &opts, &error);
  const size_t planned = reader->source.memory + sink->memory;
  const long before = _get_peak_kib();
  for(int y = 0; y < HEIGHT; y++)
    if(!reader->source.read(&reader->source, y, 1, row, &error) || !sink->write(sink, y, 1, row, &error))
      return 2;
  if(!sink->finish(sink, &error)) return 3;
  const long grown = _get_peak_kib() - before;
  dt_row_source_destroy(&reader->source);
  g_free(row);
  return grown < 32 * 1024 && planned < 48u << 20 ? 0 : 4;
}

static void test_memory_does_not_grow_with_height(void **state)
{
  (void)state;
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  skip(); // sanitizers have memory of their own, and no haste
#endif
  const pid_t child = fork();
  if(child == 0) _exit(_copy_tall_picture());
  int status;
  assert_int_equal(waitpid(child, &status, 0), child);
  assert_true(WIFEXITED(status));
  assert_int_equal(WEXITSTATUS(status), 0);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_not_a_picture),
    cmocka_unit_test(test_truncated_files),
    cmocka_unit_test(test_damaged_files),
    cmocka_unit_test(test_unsupported_kinds_are_named),
    cmocka_unit_test(test_damaged_profile),
    cmocka_unit_test(test_interlaced_png_is_the_same),
    cmocka_unit_test(test_png_expansions),
    cmocka_unit_test(test_png_colour_chunks),
    cmocka_unit_test(test_progressive_jpeg_is_counted),
    cmocka_unit_test(test_outputs_that_cannot_be),
    cmocka_unit_test(test_combinations_that_cannot_be),
    cmocka_unit_test(test_unwritable_directory),
    cmocka_unit_test(test_full_disk_leaves_nothing),
    cmocka_unit_test(test_no_space_is_said),
    cmocka_unit_test(test_target_is_untouched_until_the_end),
    cmocka_unit_test(test_umask_decides_new_files),
    cmocka_unit_test(test_link_stays_a_link),
    cmocka_unit_test(test_rival_is_not_overwritten),
    cmocka_unit_test(test_killed_writer_is_swept),
    cmocka_unit_test(test_others_files_are_not_swept),
    cmocka_unit_test(test_long_names),
    cmocka_unit_test(test_memory_does_not_grow_with_height),
  };
  return cmocka_run_group_tests_name("imageio_files", tests, make_directory, remove_directory);
}
