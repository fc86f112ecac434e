/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What raws say about their photograph comes out of their containers byte for byte: TIFF and what is nearly TIFF, and
 * those of Fujifilm, Canon and Minolta, which are made here around a TIFF structure. */
#include "raw_file.h"
#include "support.h"

#include "imageio/raw_internal.h"

#include <string.h>

/** A note as Canon makes it: a directory of one entry, whose ten bytes stand behind it. */
static const guint8 _note[28] = {
  1, 0, 1, 0, 7, 0, 10, 0, 0, 0, 18, 0, 0, 0, 0, 0, 0, 0, 'a', 'b', 'c', 'd'
};
static const char _packet[] = "<x:xmpmeta xmlns:x='adobe:ns:meta/'/>";

/** A DNG with everything that is to be carried. */
static test_raw_t *_make(void)
{
  test_raw_t *made = test_raw_new("RGGB", 40, 30, 14);
  test_raw_set_text(made, TEST_RAW_MAIN, 315, "The artist");
  test_raw_set_text(made, TEST_RAW_MAIN, 306, "2026:01:02 03:04:05");
  test_raw_set_bytes(made, TEST_RAW_MAIN, 700, _packet, strlen(_packet));
  test_raw_set(made, TEST_RAW_EXIF, 33434, DT_TYPE_RATIONAL, 1, (double[]){ 0.005 });
  test_raw_set_number(made, TEST_RAW_EXIF, 34855, DT_TYPE_SHORT, 3200);
  test_raw_set_bytes(made, TEST_RAW_EXIF, DT_TAG_MAKER_NOTE, _note, sizeof(_note));
  test_raw_set(made, TEST_RAW_GPS, 2, DT_TYPE_RATIONAL, 3, (double[]){ 51, 30, 12.5 });
  return made;
}

/** The file's metadata, as its container alone has them. */
static dt_raw_t *_read(const GByteArray *file, const char *name, dt_raw_kind_t kind)
{
  const char *path = test_raw_path(name);
  g_assert_true(g_file_set_contents(path, (const char *)file->data, file->len, NULL));
  dt_input_t *input = dt_input_open(path, NULL);
  dt_raw_file_t opened;
  dt_raw_file_open(&opened, input);
  assert_int_equal(opened.kind, kind);
  dt_raw_held_t *held = g_new0(dt_raw_held_t, 1);
  dt_raw_read_metadata(&held->raw, &opened);
  dt_raw_file_close(&opened);
  dt_input_close(input);
  return &held->raw;
}

static void _assert_value(const dt_raw_t *raw, dt_ifd_t ifd, uint16_t tag, const void *bytes, size_t size)
{
  const dt_exif_entry_t *entry = dt_exif_find(raw->exif, ifd, tag);
  if(!entry) fail_msg("tag %d is missing", tag);
  gsize there;
  const void *value = g_bytes_get_data(entry->value, &there);
  assert_int_equal(there, size);
  assert_memory_equal(value, bytes, size);
}

/** Whether everything of _make() is there. */
static void _assert_all(const dt_raw_t *raw)
{
  assert_non_null(raw->exif);
  _assert_value(raw, DT_IFD_MAIN, 315, "The artist", 11);
  assert_true(dt_exif_get_number(raw->exif, DT_IFD_EXIF, 34855, 0.0) == 3200.0);
  assert_true(dt_exif_get_number(raw->exif, DT_IFD_GPS, 2, 0.0) == 51.0);
  _assert_value(raw, DT_IFD_EXIF, DT_TAG_MAKER_NOTE, _note, sizeof(_note));
  assert_non_null(raw->xmp);
  assert_int_equal(g_bytes_get_size(raw->xmp), strlen(_packet));
  assert_memory_equal(g_bytes_get_data(raw->xmp, NULL), _packet, strlen(_packet));
}

static void test_dng(void **state)
{
  (void)state;
  for(int form = 0; form < 4; form++)
  {
    test_raw_t *made = _make();
    made->big_endian = form & 1;
    made->sub_ifd = form & 2;
    test_raw_set_text(made, TEST_RAW_MAIN, 50735, "123"); // serial number
    test_raw_set(made, TEST_RAW_MAIN, 50730, DT_TYPE_SRATIONAL, 1, (double[]){ -0.35 });
    test_raw_set_text(made, TEST_RAW_MAIN, 50936, "A profile");
    test_raw_set_bytes(made, TEST_RAW_MAIN, 34675, "icc", 4);
    test_raw_set_bytes(made, TEST_RAW_PICTURE, 51022, "warp the picture", 16);
    test_raw_set(made, TEST_RAW_PICTURE, 51041, TEST_TYPE_DOUBLE, 2, (double[]){ 1e-5, 2e-7 });
    GByteArray *file = test_raw_build(made);
    dt_raw_free(_read(file, "x.dng", DT_RAW_DNG));
    g_byte_array_unref(file);
    test_raw_free(made);
    GError *error = NULL;
    dt_raw_t *raw = dt_raw_open(test_raw_path("x.dng"), &error);
    assert_no_error(error);
    _assert_all(raw);
    assert_string_equal(raw->make, "Testmaker");
    assert_true(raw->baseline_exposure == -0.35);
    static const uint16_t carried[] = { 50708, 50721, 50728, 50730, 50735, 50778, 50936 };
    for(size_t i = 0; i < G_N_ELEMENTS(carried); i++)
    {
      assert_non_null(dt_exif_find_in(raw->dng_tags, carried[i]));
      assert_null(dt_exif_find(raw->exif, DT_IFD_MAIN, carried[i]));
    }
    assert_int_equal(raw->dng_tags->len, G_N_ELEMENTS(carried));
    assert_null(dt_exif_find(raw->exif, DT_IFD_MAIN, 34675)); // was of a preview
    assert_int_equal(raw->raw_tags->len, 2);
    assert_true(raw->exif->big_endian == (form & 1));
    dt_raw_free(raw);
  }
}

static void test_maker_note_keeps_its_place(void **state)
{
  (void)state;
  test_raw_t *made = _make();
  GByteArray *file = test_raw_build(made);
  dt_raw_t *raw = _read(file, "x.dng", DT_RAW_DNG);
  const dt_exif_entry_t *note = dt_exif_find(raw->exif, DT_IFD_EXIF, DT_TAG_MAKER_NOTE);
  assert_memory_equal(file->data + note->origin, _note, sizeof(_note));
  dt_raw_free(raw);
  g_byte_array_unref(file);
  test_raw_free(made);
}

/** A TIFF of some camera: no DNG. */
static GByteArray *_build_tiff(test_raw_t *made, const char *mark)
{
  for(int tag = 50706; tag <= 50778; tag++) test_raw_remove(made, TEST_RAW_MAIN, (uint16_t)tag);
  GByteArray *file = test_raw_build(made);
  memcpy(file->data, mark, 4);
  test_raw_free(made);
  return file;
}

static void test_nearly_tiff(void **state)
{
  (void)state;
  static const char *const marks[] = { "II*\0", "IIRO", "IIRS", "IIU\0", "MMOR", "MM\0*" };
  for(size_t i = 0; i < G_N_ELEMENTS(marks); i++)
  {
    test_raw_t *made = _make();
    made->big_endian = *marks[i] == 'M';
    made->sub_ifd = TRUE;
    test_raw_set_number(made, TEST_RAW_PICTURE, 0x7037, DT_TYPE_SHORT, 16); // Sony's distortion
    GByteArray *file = _build_tiff(made, marks[i]);
    dt_raw_t *raw = _read(file, "x.tif", DT_RAW_TIFF);
    _assert_all(raw);
    assert_null(raw->dng_tags);
    assert_int_equal(raw->raw_tags->len, 1);
    dt_raw_free(raw);
    g_byte_array_unref(file);
  }
}

// --- Other containers

static void _append(GByteArray *to, const void *bytes, size_t size)
{
  g_byte_array_append(to, bytes, (guint)size);
}

static void _append_number(GByteArray *to, int size, uint64_t value)
{
  uint8_t bytes[8];
  dt_exif_put_uint(bytes, size, TRUE, value);
  _append(to, bytes, (size_t)size);
}

static void _append_marker(GByteArray *jpeg, const char *head, size_t head_size, const void *content,
                           size_t size)
{
  _append(jpeg, "\xff\xe1", 2);
  _append_number(jpeg, 2, 2 + head_size + size);
  _append(jpeg, head, head_size);
  _append(jpeg, content, size);
}

/** A JPEG without a picture that carries the metadata of _make(). */
static GByteArray *_build_jpeg(void)
{
  test_raw_t *made = _make();
  test_raw_remove(made, TEST_RAW_MAIN, 700);
  GByteArray *tiff = _build_tiff(made, "II*\0"), *jpeg = g_byte_array_new();
  _append(jpeg, "\xff\xd8", 2);
  _append_marker(jpeg, "Exif\0", 6, tiff->data, tiff->len);
  _append_marker(jpeg, "http://ns.adobe.com/xap/1.0/", 29, _packet, strlen(_packet));
  _append(jpeg, "\xff\xda\0\2\xff\xd9", 6);
  g_byte_array_unref(tiff);
  return jpeg;
}

static void test_jpeg_of_panasonic(void **state)
{
  (void)state;
  GByteArray *jpeg = _build_jpeg();
  test_raw_t *made = test_raw_new("RGGB", 40, 30, 14);
  test_raw_set_bytes(made, TEST_RAW_MAIN, 46, jpeg->data, jpeg->len);
  GByteArray *file = _build_tiff(made, "IIU\0");
  dt_raw_t *raw = _read(file, "x.rw2", DT_RAW_TIFF);
  _assert_all(raw);
  dt_raw_free(raw);
  g_byte_array_unref(file);
  g_byte_array_unref(jpeg);
}

static GByteArray *_build_raf(void)
{
  GByteArray *jpeg = _build_jpeg(), *file = g_byte_array_new();
  test_raw_t *made = test_raw_new("RGGB", 40, 30, 14);
  made->sub_ifd = TRUE;
  test_raw_set_number(made, TEST_RAW_PICTURE, 0xf00b, DT_TYPE_SHORT, 3); // distortion
  GByteArray *tiff = _build_tiff(made, "II*\0");
  _append(file, "FUJIFILMCCD-RAW ", 16);
  g_byte_array_set_size(file, 84);
  memset(file->data + 16, 0, 68);
  _append_number(file, 4, 108);
  _append_number(file, 4, jpeg->len);
  _append_number(file, 8, 0);
  _append_number(file, 4, 108 + jpeg->len);
  _append_number(file, 4, tiff->len);
  _append(file, jpeg->data, jpeg->len);
  _append(file, tiff->data, tiff->len);
  g_byte_array_unref(jpeg);
  g_byte_array_unref(tiff);
  return file;
}

static void test_raf(void **state)
{
  (void)state;
  GByteArray *file = _build_raf();
  dt_raw_t *raw = _read(file, "x.raf", DT_RAW_RAF);
  _assert_all(raw);
  assert_non_null(dt_exif_find_in(raw->raw_tags, 0xf00b));
  dt_raw_free(raw);
  g_byte_array_unref(file);
}

static void _append_box(GByteArray *to, const char *type, const void *uuid, const GByteArray *content)
{
  _append_number(to, 4, 8 + (uuid ? 16 : 0) + content->len);
  _append(to, type, 4);
  if(uuid) _append(to, uuid, 16);
  _append(to, content->data, content->len);
}

/** A TIFF structure whose first directory has the tags of one place of _make(). */
static GByteArray *_build_structure(test_raw_place_t place)
{
  test_raw_t *made = _make();
  GByteArray *tiff = test_raw_build(made);
  if(place != TEST_RAW_MAIN)
  {
    GArray *tags = made->tags[place];
    g_array_set_size(made->tags[TEST_RAW_MAIN], 0);
    g_array_set_size(made->tags[TEST_RAW_PICTURE], 0);
    if(place == TEST_RAW_EXIF) test_raw_remove(made, place, DT_TAG_MAKER_NOTE);
    made->tags[place] = made->tags[TEST_RAW_MAIN];
    made->tags[TEST_RAW_MAIN] = tags;
    g_array_set_size(made->tags[place == TEST_RAW_EXIF ? TEST_RAW_GPS : TEST_RAW_EXIF], 0);
    g_byte_array_unref(tiff);
    tiff = test_raw_build(made);
  }
  test_raw_free(made);
  return tiff;
}

static GByteArray *_build_cr3(void)
{
  static const guint8 canon[] = "\x85\xc0\xb6\x87\x82\x0f\x11\xe0\x81\x11\xf4\xce\x46\x2b\x6a\x48";
  static const guint8 xmp[] = "\xbe\x7a\xcf\xcb\x97\xa9\x42\xe8\x9c\x71\x99\x94\x91\xe3\xaf\xac";
  static const test_raw_place_t places[] = { TEST_RAW_MAIN, TEST_RAW_EXIF, TEST_RAW_MAIN, TEST_RAW_GPS };
  GByteArray *file = g_byte_array_new(), *metadata = g_byte_array_new(), *box = g_byte_array_new();
  for(int i = 0; i < 4; i++)
  {
    const char type[5] = { 'C', 'M', 'T', (char)('1' + i) };
    GByteArray *structure = i == 2 ? g_byte_array_new() : _build_structure(places[i]);
    if(i == 2) _append(structure, "II*\0\x08\0\0\0", 8);
    if(i == 2) _append(structure, _note, sizeof(_note));
    _append_box(metadata, type, NULL, structure);
    g_byte_array_unref(structure);
  }
  _append(box, "crx \0\0\0\1crx isom", 16);
  _append_box(file, "ftyp", NULL, box);
  g_byte_array_set_size(box, 0);
  _append_box(box, "uuid", canon, metadata);
  _append_box(file, "moov", NULL, box);
  g_byte_array_set_size(box, 0);
  _append(box, _packet, strlen(_packet));
  _append_box(file, "uuid", xmp, box);
  _append_number(file, 4, 1); // a long box
  _append(file, "mdat", 4);
  _append_number(file, 8, 16 + 5);
  _append(file, "12345", 5);
  g_byte_array_unref(metadata);
  g_byte_array_unref(box);
  return file;
}

static void test_cr3(void **state)
{
  (void)state;
  GByteArray *file = _build_cr3();
  dt_raw_t *raw = _read(file, "x.cr3", DT_RAW_CR3);
  _assert_all(raw);
  assert_int_equal(dt_exif_find(raw->exif, DT_IFD_EXIF, DT_TAG_MAKER_NOTE)->origin, 8);
  dt_raw_free(raw);
  g_byte_array_unref(file);
}

static void test_mrw(void **state)
{
  (void)state;
  test_raw_t *made = _make();
  GByteArray *tiff = _build_tiff(made, "II*\0"), *file = g_byte_array_new();
  _append(file, "\0MRM", 4);
  _append_number(file, 4, 8 + 3 + 8 + tiff->len);
  _append(file, "\0PRD\0\0\0\3abc\0TTW", 15);
  _append_number(file, 4, tiff->len);
  _append(file, tiff->data, tiff->len);
  dt_raw_t *raw = _read(file, "x.mrw", DT_RAW_MRW);
  _assert_value(raw, DT_IFD_EXIF, DT_TAG_MAKER_NOTE, _note, sizeof(_note));
  dt_raw_free(raw);
  g_byte_array_unref(tiff);
  g_byte_array_unref(file);
}

/** Whether a container says that it is cut off wherever it ends before its last byte that @p head does not cover. */
static void _assert_cut_is_seen(const GByteArray *file, guint head)
{
  for(guint size = head; size <= file->len; size++)
  {
    g_assert_true(g_file_set_contents(test_raw_path("cut.x"), (const char *)file->data, size, NULL));
    dt_input_t *input = dt_input_open(test_raw_path("cut.x"), NULL);
    dt_raw_file_t opened;
    dt_raw_file_open(&opened, input);
    assert_int_equal(dt_raw_file_is_whole(&opened), size == file->len);
    dt_raw_held_t *held = g_new0(dt_raw_held_t, 1);
    dt_raw_read_metadata(&held->raw, &opened); // of whatever is there
    dt_raw_free(&held->raw);
    dt_raw_file_close(&opened);
    dt_input_close(input);
  }
}

static void test_cut_containers(void **state)
{
  (void)state;
  GByteArray *raf = _build_raf(), *cr3 = _build_cr3();
  _assert_cut_is_seen(raf, raf->len - 300);
  _assert_cut_is_seen(cr3, cr3->len - 50);
  g_byte_array_unref(raf);
  g_byte_array_unref(cr3);
}

/** A Panasonic says no more than where its samples begin. */
static void test_cut_panasonic(void **state)
{
  (void)state;
  test_raw_t *made = test_raw_new("RGGB", 140, 30, 14);
  test_raw_set_number(made, TEST_RAW_MAIN, 2, DT_TYPE_SHORT, 140);
  test_raw_set_number(made, TEST_RAW_MAIN, 3, DT_TYPE_SHORT, 30);
  test_raw_set_number(made, TEST_RAW_MAIN, 45, DT_TYPE_SHORT, 4);
  test_raw_set_number(made, TEST_RAW_MAIN, 280, DT_TYPE_LONG, 2000);
  GByteArray *file = _build_tiff(made, "IIU\0");
  g_byte_array_set_size(file, 2000 + 140 * 30 * 8 / 7);
  _assert_cut_is_seen(file, file->len - 100);
  g_byte_array_unref(file);
}

static void test_names(void **state)
{
  (void)state;
  static const struct
  {
    const char *make, *model, *unique;
  } cases[] = { { "NIKON CORPORATION", "NIKON D850", "NIKON D850" },
                { "SONY", "ILCE-7M3", "SONY ILCE-7M3" },
                { "Canon ", "Canon EOS R5 ", "Canon EOS R5" } };
  for(size_t i = 0; i < G_N_ELEMENTS(cases); i++)
  {
    test_raw_t *made = test_raw_new("RGGB", 40, 30, 14);
    test_raw_set_text(made, TEST_RAW_MAIN, 271, cases[i].make);
    test_raw_set_text(made, TEST_RAW_MAIN, 272, cases[i].model);
    test_raw_remove(made, TEST_RAW_MAIN, 50708);
    test_raw_write(made, test_raw_path("names.dng"));
    test_raw_free(made);
    GError *error = NULL;
    dt_raw_t *raw = dt_raw_open(test_raw_path("names.dng"), &error);
    assert_no_error(error);
    assert_true(g_str_has_prefix(cases[i].make, raw->make) && g_str_has_prefix(cases[i].model, raw->model));
    assert_string_equal(raw->unique_model, cases[i].unique);
    dt_raw_free(raw);
  }
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_dng),           cmocka_unit_test(test_maker_note_keeps_its_place),
    cmocka_unit_test(test_nearly_tiff),   cmocka_unit_test(test_jpeg_of_panasonic),
    cmocka_unit_test(test_raf),           cmocka_unit_test(test_cr3),
    cmocka_unit_test(test_mrw),           cmocka_unit_test(test_cut_containers),
    cmocka_unit_test(test_cut_panasonic), cmocka_unit_test(test_names),
  };
  return cmocka_run_group_tests(tests, test_raw_set_up, test_raw_tear_down);
}
