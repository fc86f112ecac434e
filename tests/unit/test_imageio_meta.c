/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Metadata from every format to every format, judged by gexiv2, which writes the sources and reads
 * the results: this program's own reading and writing of EXIF must not be its own witness. */
#include "test_imageio_util.h"

#include "imageio/exif.h"
#include "imageio/metadata.h"

#include <gexiv2/gexiv2.h>

typedef struct _tag_t
{
  const char *name, *value;
} _tag_t;

static const _tag_t _tags[] = {
  { "Exif.Image.Make", "Leica" },
  { "Exif.Image.Model", "M 11 with a rather long name" },
  { "Exif.Image.Artist", "Vivian Maier" },
  { "Exif.Image.Copyright", "Somebody, 2024" },
  { "Exif.Image.ImageDescription", "A street" },
  { "Exif.Image.Software", "darkroom" },
  { "Exif.Image.DateTime", "2024:05:06 07:08:09" },
  { "Exif.Image.Orientation", "6" },
  { "Exif.Image.Rating", "4" },
  { "Exif.Image.XPTitle", "83 0 116 0 0 0" },
  { "Exif.Photo.DateTimeOriginal", "2024:05:06 07:08:10" },
  { "Exif.Photo.ExposureTime", "1/8000" },
  { "Exif.Photo.FNumber", "28/10" },
  { "Exif.Photo.ISOSpeedRatings", "6400" },
  { "Exif.Photo.LensModel", "Summilux 35" },
  { "Exif.Photo.FocalLength", "35/1" },
  { "Exif.Photo.UserComment", "charset=Ascii for the test" },
  { "Exif.Photo.OffsetTimeOriginal", "+02:00" },
  { "Exif.GPSInfo.GPSLatitudeRef", "N" },
  { "Exif.GPSInfo.GPSLatitude", "48/1 51/1 297654321/10000000" },
  { "Exif.GPSInfo.GPSLongitudeRef", "E" },
  { "Exif.GPSInfo.GPSLongitude", "2/1 17/1 403/10" },
  { "Xmp.xmp.Rating", "4" },
  { "Xmp.dc.subject", "street, night" },
  { "Iptc.Application2.Caption", "A caption" },
  { "Iptc.Application2.Keywords", "street" },
};

static const char *const _formats[] = { "tif", "png", "jpg" };

enum
{
  WIDTH = 24,
  HEIGHT = 16,
};

static void _set_tags(const char *path)
{
  GError *error = NULL;
  GExiv2Metadata *metadata = gexiv2_metadata_new();
  gexiv2_metadata_open_path(metadata, path, &error);
  assert_no_error(error);
  for(size_t i = 0; i < G_N_ELEMENTS(_tags); i++)
  {
    if(strcmp(_tags[i].name, "Xmp.dc.subject") == 0)
    {
      const char *subjects[] = { "street", "night", NULL };
      gexiv2_metadata_try_set_tag_multiple(metadata, _tags[i].name, subjects, &error);
    }
    else
      gexiv2_metadata_try_set_tag_string(metadata, _tags[i].name, _tags[i].value, &error);
    assert_no_error(error);
  }
  gexiv2_metadata_try_set_tag_string(metadata, "Exif.Photo.PixelXDimension", "9999", &error);
  gexiv2_metadata_try_set_tag_string(metadata, "Exif.Photo.PixelYDimension", "9999", &error);
  gexiv2_metadata_try_set_tag_string(metadata, "Xmp.tiff.ImageWidth", "9999", &error);
  gexiv2_metadata_try_set_tag_string(metadata, "Xmp.exif.PixelYDimension", "9999", &error);
  assert_no_error(error);
  gexiv2_metadata_save_file(metadata, path, &error);
  assert_no_error(error);
  g_object_unref(metadata);
}

static void _assert_tag(GExiv2Metadata *metadata, const char *path, const char *name, const char *want)
{
  char *got = gexiv2_metadata_try_get_tag_string(metadata, name, NULL);
  if(!got || strcmp(got, want) != 0) fail_msg("%s: %s is \"%s\", not \"%s\"", path, name, got, want);
  g_free(got);
}

static void _check_tags(const char *path)
{
  GError *error = NULL;
  char number[16];
  GExiv2Metadata *metadata = gexiv2_metadata_new();
  gexiv2_metadata_open_path(metadata, path, &error);
  assert_no_error(error);
  for(size_t i = 0; i < G_N_ELEMENTS(_tags); i++) _assert_tag(metadata, path, _tags[i].name, _tags[i].value);
  g_snprintf(number, sizeof(number), "%d", WIDTH);
  _assert_tag(metadata, path, "Exif.Photo.PixelXDimension", number);
  _assert_tag(metadata, path, "Xmp.tiff.ImageWidth", number);
  g_snprintf(number, sizeof(number), "%d", HEIGHT);
  _assert_tag(metadata, path, "Exif.Photo.PixelYDimension", number);
  _assert_tag(metadata, path, "Xmp.exif.PixelYDimension", number);
  g_object_unref(metadata);
}

static float *_make_rows(void)
{
  float *rows = g_new(float, WIDTH *HEIGHT * 3);
  for(int i = 0; i < WIDTH * HEIGHT * 3; i++) rows[i] = (float)(i % 97) / 96.0f;
  return rows;
}

/** A picture with an ICC profile and a resolution, without other metadata. */
static void _write_plain(const char *path)
{
  GError *error = NULL;
  float *rows = _make_rows();
  const dt_metadata_t metadata = { .orientation = 1, .xres = 240.0, .yres = 240.0 };
  const dt_imageio_write_opts_t opts = {
    .bits = 8, .overwrite = TRUE, .profile = "display-p3", .metadata = &metadata
  };
  write_picture(path, WIDTH, HEIGHT, 3, rows, &opts, &error);
  assert_no_error(error);
  g_free(rows);
}

/** Passes a picture through, metadata and all. */
static void _pass(const char *from, const char *to)
{
  GError *error = NULL;
  char *note = NULL;
  dt_imageio_reader_t *reader = dt_imageio_open(from, NULL, &error);
  assert_no_error(error);
  float *rows = read_rows(&reader->source, 4, &error);
  assert_no_error(error);
  const dt_imageio_write_opts_t opts = {
    .bits = 8, .overwrite = TRUE, .metadata = &reader->metadata, .note = &note
  };
  write_picture(to, WIDTH, HEIGHT, 3, rows, &opts, &error);
  assert_no_error(error);
  assert_null(note);
  g_free(rows);
  dt_row_source_destroy(&reader->source);
}

static void _check_blobs(const char *path)
{
  GError *error = NULL;
  GBytes *icc = dt_profile_load("display-p3", 3, NULL);
  dt_imageio_reader_t *reader = dt_imageio_open(path, NULL, &error);
  assert_no_error(error);
  assert_true(g_bytes_equal(reader->metadata.icc, icc));
  assert_int_equal(reader->metadata.orientation, 6);
  assert_true(fabs(reader->metadata.xres - 240.0) < 0.1);
  assert_true(fabs(reader->metadata.yres - 240.0) < 0.1);
  dt_row_source_destroy(&reader->source);
  g_bytes_unref(icc);
}

// --- Tests

static void test_every_format_to_every_format(void **state)
{
  (void)state;
  for(size_t f = 0; f < G_N_ELEMENTS(_formats); f++)
    for(size_t t = 0; t < G_N_ELEMENTS(_formats); t++)
    {
      char from[32], to[32], again[32];
      g_snprintf(from, sizeof(from), "from.%s", _formats[f]);
      g_snprintf(to, sizeof(to), "to.%s", _formats[t]);
      g_snprintf(again, sizeof(again), "again.%s", _formats[f]);
      _write_plain(in_directory(from));
      _set_tags(in_directory(from));
      _pass(in_directory(from), in_directory(to));
      _check_tags(in_directory(to));
      _check_blobs(in_directory(to));
      _pass(in_directory(to), in_directory(again)); // our own files, back
      _check_tags(in_directory(again));
      _check_blobs(in_directory(again));
    }
}

/** BigTIFF, which gexiv2 cannot open: what our reader makes of our directories. */
static void test_big_tiff_directories(void **state)
{
  (void)state;
  _write_plain(in_directory("big-from.jpg"));
  _set_tags(in_directory("big-from.jpg"));
  GError *error = NULL;
  dt_imageio_reader_t *reader = dt_imageio_open(in_directory("big-from.jpg"), NULL, &error);
  assert_no_error(error);
  dt_exif_t *exif = dt_exif_read_bytes(reader->metadata.exif);
  dt_exif_layout_t layout;
  GBytes *bytes = dt_exif_layout_for_tiff(exif, 16, TRUE, &layout);
  assert_true(layout.exif >= 16 && layout.gps > layout.exif);
  // a BigTIFF structure around it: header and a directory of two pointers behind
  gsize size;
  const guint8 *data = g_bytes_get_data(bytes, &size);
  GByteArray *file = g_byte_array_new();
  const guint64 ifd = 16 + size;
  const guint16 head[4] = { 0x4949, 43, 8, 0 };
  g_byte_array_append(file, (const guint8 *)head, 8);
  g_byte_array_append(file, (const guint8 *)&ifd, 8);
  g_byte_array_append(file, data, (guint)size);
  const guint64 count = 2, one = 1, end = 0;
  const guint16 tags[2][2] = { { DT_TAG_EXIF_IFD, 18 }, { DT_TAG_GPS_IFD, 18 } };
  g_byte_array_append(file, (const guint8 *)&count, 8);
  for(int i = 0; i < 2; i++)
  {
    g_byte_array_append(file, (const guint8 *)tags[i], 4);
    g_byte_array_append(file, (const guint8 *)&one, 8);
    g_byte_array_append(file, (const guint8 *)(i ? &layout.gps : &layout.exif), 8);
  }
  g_byte_array_append(file, (const guint8 *)&end, 8);
  GBytes *whole = g_byte_array_free_to_bytes(file);
  dt_exif_t *back = dt_exif_read_bytes(whole);
  for(int i = DT_IFD_EXIF; i < DT_IFD_COUNT; i++)
  {
    assert_int_equal(back->ifds[i]->len, exif->ifds[i]->len);
    for(guint k = 0; k < exif->ifds[i]->len; k++)
    {
      const dt_exif_entry_t *a = &g_array_index(exif->ifds[i], dt_exif_entry_t, k);
      const dt_exif_entry_t *b = &g_array_index(back->ifds[i], dt_exif_entry_t, k);
      assert_int_equal(a->tag, b->tag);
      assert_int_equal(a->type, b->type);
      assert_true(g_bytes_equal(a->value, b->value));
    }
  }
  dt_exif_destroy(exif);
  dt_exif_destroy(back);
  g_bytes_unref(bytes);
  g_bytes_unref(whole);
  dt_row_source_destroy(&reader->source);
}

/** A structure in the other byte order goes along as it is, and is turned round for TIFF. */
static void test_big_endian_exif(void **state)
{
  (void)state;
  dt_exif_t *exif = dt_exif_create();
  exif->big_endian = TRUE;
  dt_exif_set_number(exif, DT_IFD_MAIN, DT_TAG_ORIENTATION, DT_TYPE_SHORT, 6);
  dt_exif_set_number(exif, DT_IFD_EXIF, 34855, DT_TYPE_SHORT, 6400);
  const guint8 fraction[8] = { 0, 0, 0, 1, 0, 0, 0x1f, 0x40 };
  const dt_exif_entry_t time = {
    .tag = 33434, .type = DT_TYPE_RATIONAL, .count = 1, .value = g_bytes_new(fraction, 8)
  };
  g_array_append_val(exif->ifds[DT_IFD_EXIF], time);
  dt_exif_set_bytes(exif, DT_IFD_EXIF, 37510, 7, 12, g_bytes_new("UNICODE\0\0h\0\xfc", 12));
  dt_metadata_t metadata = { .exif = dt_exif_to_bytes(exif), .orientation = 6 };
  GError *error = NULL;
  float *rows = _make_rows();
  for(size_t t = 0; t < G_N_ELEMENTS(_formats); t++)
  {
    char name[32];
    g_snprintf(name, sizeof(name), "endian.%s", _formats[t]);
    const dt_imageio_write_opts_t opts = { .bits = 8, .overwrite = TRUE, .metadata = &metadata };
    write_picture(in_directory(name), WIDTH, HEIGHT, 3, rows, &opts, &error);
    assert_no_error(error);
    GExiv2Metadata *judge = gexiv2_metadata_new();
    gexiv2_metadata_open_path(judge, in_directory(name), &error);
    assert_no_error(error);
    _assert_tag(judge, name, "Exif.Image.Orientation", "6");
    _assert_tag(judge, name, "Exif.Photo.ISOSpeedRatings", "6400");
    _assert_tag(judge, name, "Exif.Photo.ExposureTime", "1/8000");
    _assert_tag(judge, name, "Exif.Photo.UserComment", "charset=Unicode hü");
    g_object_unref(judge);
  }
  g_free(rows);
  dt_exif_destroy(exif);
  dt_metadata_clear(&metadata);
}

/** Orientation without EXIF has to be written somewhere, and wins over what EXIF says. */
static void test_orientation_is_set(void **state)
{
  (void)state;
  GError *error = NULL;
  float *rows = _make_rows();
  for(size_t t = 0; t < G_N_ELEMENTS(_formats); t++)
    for(int orientation = 1; orientation <= 8; orientation++)
    {
      char name[32];
      g_snprintf(name, sizeof(name), "turned.%s", _formats[t]);
      const dt_metadata_t metadata = { .orientation = orientation };
      const dt_imageio_write_opts_t opts = { .bits = 8, .overwrite = TRUE, .metadata = &metadata };
      write_picture(in_directory(name), WIDTH, HEIGHT, 3, rows, &opts, &error);
      assert_no_error(error);
      dt_imageio_reader_t *reader = dt_imageio_open(in_directory(name), NULL, &error);
      assert_int_equal(reader->metadata.orientation, orientation);
      // and once more, against an EXIF structure that says otherwise
      dt_metadata_t turned = reader->metadata;
      turned.orientation = 9 - orientation;
      const dt_imageio_write_opts_t again = { .bits = 8, .overwrite = TRUE, .metadata = &turned };
      write_picture(in_directory("turned-again.jpg"), WIDTH, HEIGHT, 3, rows, &again, &error);
      assert_no_error(error);
      dt_row_source_destroy(&reader->source);
      reader = dt_imageio_open(in_directory("turned-again.jpg"), NULL, &error);
      assert_int_equal(reader->metadata.orientation, 9 - orientation);
      dt_row_source_destroy(&reader->source);
    }
  g_free(rows);
}

/** The embedded thumbnail shows the picture as it was: it must not travel. */
static void test_thumbnail_is_removed(void **state)
{
  (void)state;
  GError *error = NULL;
  const char *from = in_directory("thumb.jpg"), *to = in_directory("thumb-out.jpg");
  _write_plain(from);
  _set_tags(from);
  GExiv2Metadata *metadata = gexiv2_metadata_new();
  gexiv2_metadata_open_path(metadata, from, &error);
  char *thumbnail;
  gsize size;
  assert_true(g_file_get_contents(from, &thumbnail, &size, NULL));
  gexiv2_metadata_try_set_exif_thumbnail_from_buffer(metadata, (guint8 *)thumbnail, (gint)MIN(size, 3000),
                                                     &error);
  assert_no_error(error);
  gexiv2_metadata_save_file(metadata, from, &error);
  assert_no_error(error);
  g_free(thumbnail);
  g_object_unref(metadata);
  _pass(from, to);
  _check_tags(to);
  metadata = gexiv2_metadata_new();
  gexiv2_metadata_open_path(metadata, to, &error);
  guint8 *left = NULL;
  gint left_size = 0;
  assert_false(gexiv2_metadata_get_exif_thumbnail(metadata, &left, &left_size));
  assert_false(gexiv2_metadata_try_has_tag(metadata, "Exif.Thumbnail.JPEGInterchangeFormat", NULL));
  g_object_unref(metadata);
}

/** A maker note whose offsets count from the start of the structure (as Canon's do). */
static GBytes *_make_canon_note(uint32_t origin)
{
  uint8_t note[2 + 2 * 12 + 4 + 16] = { 2, 0 };
  const uint32_t inside[3] = { 0x0001 | 3u << 16, 1, 7 };             // SHORT 7, in place
  const uint32_t outside[3] = { 0x0006 | 2u << 16, 16, origin + 30 }; // ASCII, 16 bytes at 30
  memcpy(note + 2, inside, 12);
  memcpy(note + 14, outside, 12);
  memcpy(note + 30, "Canon EOS test\0", 16);
  return g_bytes_new(note, sizeof(note));
}

static dt_metadata_t _make_noted_metadata(void)
{
  dt_exif_t *exif = dt_exif_create();
  const char make[] = "Canon";
  const dt_exif_entry_t maker = {
    .tag = 271, .type = DT_TYPE_ASCII, .count = 6, .value = g_bytes_new(make, 6)
  };
  g_array_append_val(exif->ifds[DT_IFD_MAIN], maker);
  // laid out twice: the first time tells where the note will stand
  GBytes *bytes = NULL;
  uint64_t origin = 0;
  for(int i = 0; i < 2; i++)
  {
    if(bytes) g_bytes_unref(bytes);
    dt_exif_remove(exif, DT_IFD_EXIF, DT_TAG_MAKER_NOTE);
    const dt_exif_entry_t note = { .tag = DT_TAG_MAKER_NOTE,
                                   .type = 7,
                                   .count = 46,
                                   .origin = origin,
                                   .value = _make_canon_note((uint32_t)origin) };
    g_array_append_val(exif->ifds[DT_IFD_EXIF], note);
    bytes = dt_exif_to_bytes(exif);
    dt_exif_t *back = dt_exif_read_bytes(bytes);
    origin = dt_exif_find(back, DT_IFD_EXIF, DT_TAG_MAKER_NOTE)->origin;
    dt_exif_destroy(back);
  }
  dt_exif_destroy(exif);
  return (dt_metadata_t){ .exif = bytes, .orientation = 1 };
}

static void test_maker_note_moves_with_its_offsets(void **state)
{
  (void)state;
  GError *error = NULL;
  float *rows = _make_rows();
  dt_metadata_t metadata = _make_noted_metadata();
  for(size_t t = 0; t < G_N_ELEMENTS(_formats); t++)
  {
    char name[32];
    g_snprintf(name, sizeof(name), "note.%s", _formats[t]);
    const dt_imageio_write_opts_t opts = { .bits = 8, .overwrite = TRUE, .metadata = &metadata };
    write_picture(in_directory(name), WIDTH, HEIGHT, 3, rows, &opts, &error);
    assert_no_error(error);
    GExiv2Metadata *judge = gexiv2_metadata_new();
    gexiv2_metadata_open_path(judge, in_directory(name), &error);
    assert_no_error(error);
    _assert_tag(judge, name, "Exif.Canon.ImageType", "Canon EOS test");
    g_object_unref(judge);
    // and out of the file again
    dt_imageio_reader_t *reader = dt_imageio_open(in_directory(name), NULL, &error);
    const dt_imageio_write_opts_t again = { .bits = 8, .overwrite = TRUE, .metadata = &reader->metadata };
    write_picture(in_directory("note-again.jpg"), WIDTH, HEIGHT, 3, rows, &again, &error);
    assert_no_error(error);
    dt_row_source_destroy(&reader->source);
    judge = gexiv2_metadata_new();
    gexiv2_metadata_open_path(judge, in_directory("note-again.jpg"), &error);
    _assert_tag(judge, name, "Exif.Canon.ImageType", "Canon EOS test");
    g_object_unref(judge);
  }
  dt_metadata_clear(&metadata);
  g_free(rows);
}

static dt_metadata_t _make_long_metadata(gsize note, gsize comment)
{
  dt_exif_t *exif = dt_exif_create();
  dt_exif_set_number(exif, DT_IFD_EXIF, 34855, DT_TYPE_SHORT, 800);
  const gsize sizes[2] = { note, comment };
  const uint16_t tags[2] = { DT_TAG_MAKER_NOTE, 37510 };
  for(int i = 0; i < 2; i++)
  {
    if(sizes[i] == 0) continue;
    const dt_exif_entry_t entry = { .tag = tags[i],
                                    .type = 7,
                                    .count = (uint32_t)sizes[i],
                                    .value = g_bytes_new_take(g_malloc0(sizes[i]), sizes[i]) };
    g_array_append_val(exif->ifds[DT_IFD_EXIF], entry);
  }
  dt_metadata_t metadata = { .exif = dt_exif_to_bytes(exif), .orientation = 1 };
  dt_exif_destroy(exif);
  return metadata;
}

static char *_write_and_get_note(const char *name, const dt_metadata_t *metadata)
{
  GError *error = NULL;
  char *note = NULL;
  float *rows = _make_rows();
  const dt_imageio_write_opts_t opts = { .bits = 8, .overwrite = TRUE, .metadata = metadata, .note = &note };
  write_picture(in_directory(name), WIDTH, HEIGHT, 3, rows, &opts, &error);
  assert_no_error(error);
  g_free(rows);
  return note;
}

/** What a segment of 64 KiB cannot hold is left out, with a word. */
static void test_too_long_for_jpeg(void **state)
{
  (void)state;
  GError *error = NULL;
  dt_metadata_t metadata = _make_long_metadata(70000, 100);
  char *note = _write_and_get_note("long.jpg", &metadata);
  assert_non_null(strstr(note, "maker note"));
  g_free(note);
  dt_imageio_reader_t *reader = dt_imageio_open(in_directory("long.jpg"), NULL, &error);
  dt_exif_t *exif = dt_exif_read_bytes(reader->metadata.exif);
  assert_true(dt_exif_get_number(exif, DT_IFD_EXIF, 34855, 0.0) == 800.0);
  assert_null(dt_exif_find(exif, DT_IFD_EXIF, DT_TAG_MAKER_NOTE));
  dt_exif_destroy(exif);
  dt_row_source_destroy(&reader->source);
  assert_null(_write_and_get_note("long.tif", &metadata)); // TIFF and PNG hold it all
  assert_null(_write_and_get_note("long.png", &metadata));
  dt_metadata_clear(&metadata);

  metadata = _make_long_metadata(0, 70000);
  metadata.xmp = g_bytes_new_take(g_strnfill(70000, ' '), 70000);
  metadata.iptc = g_bytes_new_take(g_malloc0(70000), 70000);
  note = _write_and_get_note("longer.jpg", &metadata);
  assert_non_null(strstr(note, "EXIF data are too long"));
  assert_non_null(strstr(note, "XMP data are too long"));
  assert_non_null(strstr(note, "IPTC data are too long"));
  g_free(note);
  dt_metadata_clear(&metadata);
}

/** Grey pictures with an RGB profile keep the meaning, also where the format wants a grey one. */
static void test_grey_with_rgb_profile(void **state)
{
  (void)state;
  GError *error = NULL;
  float rows[16];
  for(int i = 0; i < 16; i++) rows[i] = (float)i / 15.0f;
  dt_metadata_t metadata = { .icc = dt_profile_load("adobergb", 3, NULL), .orientation = 1 };
  for(size_t t = 0; t < G_N_ELEMENTS(_formats); t++)
  {
    char name[32];
    g_snprintf(name, sizeof(name), "grey.%s", _formats[t]);
    const dt_imageio_write_opts_t opts = { .bits = 8, .overwrite = TRUE, .metadata = &metadata };
    write_picture(in_directory(name), 4, 4, 1, rows, &opts, &error);
    assert_no_error(error);
    dt_imageio_reader_t *reader = dt_imageio_open(in_directory(name), NULL, &error);
    assert_no_error(error);
    assert_non_null(strstr(reader->profile_name, "Adobe"));
    dt_row_source_destroy(&reader->source);
  }
  dt_metadata_clear(&metadata);
}

/** Directories that point at themselves, beyond the end or at each other. */
static void test_hostile_exif(void **state)
{
  (void)state;
  uint32_t seed = 9;
  dt_metadata_t metadata = _make_noted_metadata();
  gsize size;
  const uint8_t *good = g_bytes_get_data(metadata.exif, &size);
  float *rows = _make_rows();
  for(int run = 0; run < 3000; run++)
  {
    uint8_t *data = g_memdup2(good, size);
    for(uint32_t k = next_random(&seed) % 4; k < 5; k++)
      data[next_random(&seed) % size] = (uint8_t)next_random(&seed);
    const gsize length = next_random(&seed) % 3 ? size : next_random(&seed) % size;
    dt_metadata_t bad = { .exif = g_bytes_new(data, length), .orientation = (int)(1 + run % 8) };
    const dt_encode_spec_t spec = { .width = 4, .height = 5, .metadata = &bad };
    GBytes *blob = dt_metadata_make_exif(&spec, 65527);
    dt_exif_t *tree = dt_metadata_make_exif_tree(&spec);
    dt_exif_layout_t layout;
    GBytes *bytes = tree ? dt_exif_layout_for_tiff(tree, 8, run % 2, &layout) : NULL;
    if(blob) g_bytes_unref(blob);
    if(bytes) g_bytes_unref(bytes);
    dt_exif_destroy(tree);
    dt_metadata_clear(&bad);
    g_free(data);
  }
  g_free(rows);
  dt_metadata_clear(&metadata);
}

static void test_iptc_blocks(void **state)
{
  (void)state;
  for(gsize size = 1; size < 6; size++)
  {
    GBytes *iptc = g_bytes_new("\x1c\x02\x78\0\1", size), *block = dt_metadata_wrap_iptc(iptc);
    gsize length;
    const guint8 *data = g_bytes_get_data(block, &length);
    assert_int_equal(length % 2, 0);
    GBytes *back = dt_metadata_find_iptc(data, length);
    assert_true(g_bytes_equal(iptc, back));
    for(gsize cut = 0; cut < length; cut++)
    {
      GBytes *part = dt_metadata_find_iptc(data, cut);
      if(part) g_bytes_unref(part);
    }
    g_bytes_unref(back);
    g_bytes_unref(block);
    g_bytes_unref(iptc);
  }
}

int main(void)
{
  gexiv2_initialize();
  gexiv2_log_set_level(GEXIV2_LOG_LEVEL_MUTE);
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_every_format_to_every_format),
    cmocka_unit_test(test_big_tiff_directories),
    cmocka_unit_test(test_big_endian_exif),
    cmocka_unit_test(test_orientation_is_set),
    cmocka_unit_test(test_thumbnail_is_removed),
    cmocka_unit_test(test_maker_note_moves_with_its_offsets),
    cmocka_unit_test(test_too_long_for_jpeg),
    cmocka_unit_test(test_grey_with_rgb_profile),
    cmocka_unit_test(test_hostile_exif),
    cmocka_unit_test(test_iptc_blocks),
  };
  return cmocka_run_group_tests_name("imageio_meta", tests, make_directory, remove_directory);
}
