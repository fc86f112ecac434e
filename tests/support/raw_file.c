/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Raws of the tests' own making. A file is its head, the directories with what does not fit into their entries, and
 * the samples as one strip at the end. */
#include "raw_file.h"
#include "support.h"

#include "common/half.h"

#include <math.h>
#include <string.h>

// --- Tags

static void _clear_tag(void *data)
{
  g_bytes_unref(((dt_exif_entry_t *)data)->value);
}

void test_raw_remove(test_raw_t *raw, test_raw_place_t place, uint16_t tag)
{
  GArray *tags = raw->tags[place];
  for(guint i = tags->len; i-- > 0;)
    if(g_array_index(tags, dt_exif_entry_t, i).tag == tag) g_array_remove_index(tags, i);
}

static void _set(test_raw_t *raw, test_raw_place_t place, uint16_t tag, uint16_t type, uint32_t count,
                 GBytes *value)
{
  const dt_exif_entry_t entry = { .tag = tag, .type = type, .count = count, .value = value };
  test_raw_remove(raw, place, tag);
  g_array_append_val(raw->tags[place], entry);
}

/** A number as eight bytes at most. */
static void _put(uint8_t *at, uint16_t type, gboolean big_endian, double value)
{
  const float narrow = (float)value;
  uint32_t bits32;
  uint64_t bits64;
  memcpy(&bits32, &narrow, 4);
  memcpy(&bits64, &value, 8);
  const gboolean whole = value == floor(value);
  switch(type)
  {
  case DT_TYPE_RATIONAL:
  case DT_TYPE_SRATIONAL:
    dt_exif_put_uint(at, 4, big_endian, (uint32_t)(int64_t)llround(whole ? value : value * 10000.0));
    dt_exif_put_uint(at + 4, 4, big_endian, whole ? 1 : 10000);
    break;
  case TEST_TYPE_FLOAT: dt_exif_put_uint(at, 4, big_endian, bits32); break;
  case TEST_TYPE_DOUBLE: dt_exif_put_uint(at, 8, big_endian, bits64); break;
  default: dt_exif_put_uint(at, (int)dt_exif_type_size(type), big_endian, (uint64_t)(int64_t)value);
  }
}

void test_raw_set(test_raw_t *raw, test_raw_place_t place, uint16_t tag, uint16_t type, uint32_t count,
                  const double *values)
{
  const size_t unit = dt_exif_type_size(type);
  uint8_t *bytes = g_malloc0(unit * count);
  // kept as big_endian says when the file is built
  for(uint32_t i = 0; i < count; i++) _put(bytes + i * unit, type, FALSE, values[i]);
  _set(raw, place, tag, type, count, g_bytes_new_take(bytes, unit * count));
}

void test_raw_set_number(test_raw_t *raw, test_raw_place_t place, uint16_t tag, uint16_t type, double value)
{
  test_raw_set(raw, place, tag, type, 1, &value);
}

void test_raw_set_text(test_raw_t *raw, test_raw_place_t place, uint16_t tag, const char *text)
{
  const size_t size = strlen(text) + 1;
  _set(raw, place, tag, DT_TYPE_ASCII, (uint32_t)size, g_bytes_new(text, size));
}

void test_raw_set_bytes(test_raw_t *raw, test_raw_place_t place, uint16_t tag, const void *bytes, size_t size)
{
  _set(raw, place, tag, TEST_TYPE_UNDEFINED, (uint32_t)size, g_bytes_new(bytes, size));
}

void test_raw_set_active(test_raw_t *raw, int top, int left, int bottom, int right)
{
  test_raw_set(raw, TEST_RAW_PICTURE, 50829, DT_TYPE_LONG, 4, (double[]){ top, left, bottom, right });
}

// --- A raw

static void _set_pattern(test_raw_t *raw, const char *pattern)
{
  const char *letters = "RGBCMYWE";
  const size_t count = strlen(pattern);
  const double period = count == 4 ? 2 : 6;
  gboolean used[8] = { FALSE };
  uint8_t colours[36], planes[8], plane_count = 0;
  for(size_t i = 0; i < count; i++) colours[i] = (uint8_t)(strchr(letters, pattern[i]) - letters);
  for(size_t i = 0; i < count; i++) used[colours[i]] = TRUE;
  for(uint8_t c = 0; c < 8; c++)
    if(used[c]) planes[plane_count++] = c;
  test_raw_set(raw, TEST_RAW_PICTURE, 33421, DT_TYPE_SHORT, 2, (double[]){ period, period });
  _set(raw, TEST_RAW_PICTURE, 33422, DT_TYPE_BYTE, (uint32_t)count, g_bytes_new(colours, count));
  _set(raw, TEST_RAW_PICTURE, 50710, DT_TYPE_BYTE, plane_count, g_bytes_new(planes, plane_count));
}

static void _set_main(test_raw_t *raw)
{
  const double matrix[9] = { 3.2405, -1.5371, -0.4985, -0.9693, 1.8760, 0.0416, 0.0556, -0.2040, 1.0572 };
  const uint8_t version[4] = { 1, 4, 0, 0 }, backward[4] = { 1, 1, 0, 0 };
  _set(raw, TEST_RAW_MAIN, 50706, DT_TYPE_BYTE, 4, g_bytes_new(version, 4));
  _set(raw, TEST_RAW_MAIN, 50707, DT_TYPE_BYTE, 4, g_bytes_new(backward, 4));
  test_raw_set_text(raw, TEST_RAW_MAIN, 271, "Testmaker");
  test_raw_set_text(raw, TEST_RAW_MAIN, 272, "Model 1");
  test_raw_set_text(raw, TEST_RAW_MAIN, 50708, "Testmaker Model 1");
  test_raw_set_number(raw, TEST_RAW_MAIN, 274, DT_TYPE_SHORT, 1);
  test_raw_set_number(raw, TEST_RAW_MAIN, 50778, DT_TYPE_SHORT, 21);
  test_raw_set(raw, TEST_RAW_MAIN, 50721, DT_TYPE_SRATIONAL, 9, matrix);
  test_raw_set(raw, TEST_RAW_MAIN, 50728, DT_TYPE_RATIONAL, 3, (double[]){ 0.5, 1.0, 0.7 });
}

static void _set_picture(test_raw_t *raw, const char *pattern)
{
  const gboolean half = raw->bits == TEST_RAW_HALF;
  const double bits = abs(raw->bits), all_bits[3] = { bits, bits, bits };
  const uint32_t n = (uint32_t)raw->per_pixel;
  const double kinds[3] = { 3, 3, 3 };
  test_raw_set_number(raw, TEST_RAW_PICTURE, 254, DT_TYPE_LONG, 0);
  test_raw_set_number(raw, TEST_RAW_PICTURE, 256, DT_TYPE_LONG, raw->width);
  test_raw_set_number(raw, TEST_RAW_PICTURE, 257, DT_TYPE_LONG, raw->height);
  test_raw_set(raw, TEST_RAW_PICTURE, 258, DT_TYPE_SHORT, n, all_bits);
  test_raw_set_number(raw, TEST_RAW_PICTURE, 259, DT_TYPE_SHORT, 1);
  test_raw_set_number(raw, TEST_RAW_PICTURE, 262, DT_TYPE_SHORT,
                      strlen(pattern) % 4 == 0 && strcmp(pattern, "MONO") ? 32803 : 34892);
  test_raw_set_number(raw, TEST_RAW_PICTURE, 277, DT_TYPE_SHORT, n);
  test_raw_set_number(raw, TEST_RAW_PICTURE, 278, DT_TYPE_LONG, raw->height);
  test_raw_set_number(raw, TEST_RAW_PICTURE, 284, DT_TYPE_SHORT, 1);
  if(half) test_raw_set(raw, TEST_RAW_PICTURE, 339, DT_TYPE_SHORT, n, kinds);
  test_raw_set_number(raw, TEST_RAW_PICTURE, 50714, DT_TYPE_LONG, half ? 0 : 64);
  test_raw_set_number(raw, TEST_RAW_PICTURE, 50717, DT_TYPE_LONG, half ? 1 : exp2(bits) - 1.0);
}

test_raw_t *test_raw_new(const char *pattern, int width, int height, int bits)
{
  test_raw_t *raw = g_new0(test_raw_t, 1);
  *raw = (test_raw_t){ .width = width, .height = height, .bits = bits };
  raw->per_pixel = strcmp(pattern, "LINEAR") == 0 ? 3 : 1;
  raw->samples = g_new0(float, (size_t)width *(size_t)height *(size_t)raw->per_pixel);
  for(int i = 0; i < TEST_RAW_PLACES; i++)
  {
    raw->tags[i] = g_array_new(FALSE, TRUE, sizeof(dt_exif_entry_t));
    g_array_set_clear_func(raw->tags[i], _clear_tag);
  }
  _set_main(raw);
  _set_picture(raw, pattern);
  if(strcmp(pattern, "LINEAR") && strcmp(pattern, "MONO")) _set_pattern(raw, pattern);
  return raw;
}

void test_raw_free(test_raw_t *raw)
{
  for(int i = 0; i < TEST_RAW_PLACES; i++) g_array_unref(raw->tags[i]);
  g_free(raw->samples);
  g_free(raw);
}

void test_raw_fill(test_raw_t *raw, uint32_t seed)
{
  const size_t n = (size_t)raw->width * (size_t)raw->height * (size_t)raw->per_pixel;
  const gboolean half = raw->bits == TEST_RAW_HALF;
  const double white = half ? 1.0 : exp2(raw->bits) - 1.0, black = half ? 0.0 : 64.0;
  for(size_t i = 0; i < n; i++)
  {
    seed = seed * 1664525u + 1013904223u;
    const double value = black + (white - black) * (seed >> 8) / 16777216.0;
    raw->samples[i] = (float)(half ? value : floor(value));
  }
}

// --- The file

/** Appends the samples, rows beginning with a whole byte: packed from the most significant bit, or 16 bits each. */
static void _append_samples(GByteArray *file, const test_raw_t *raw)
{
  const size_t row = (size_t)raw->width * (size_t)raw->per_pixel;
  for(size_t i = 0; i < row * (size_t)raw->height;)
  {
    uint64_t held = 0;
    int bits = 0;
    for(size_t x = 0; x < row; x++, i++)
    {
      uint16_t word = 0;
      if(raw->bits == TEST_RAW_HALF)
        dt_float_to_half(&raw->samples[i], &word, 1);
      else
        word = (uint16_t)lrintf(raw->samples[i]);
      const int width = abs(raw->bits);
      uint8_t out[2];
      if(width == 16) dt_exif_put_uint(out, 2, raw->big_endian, word);
      if(width == 16) g_byte_array_append(file, out, 2);
      if(width == 16) continue;
      held = held << width | word;
      for(bits += width; bits >= 8; bits -= 8)
      {
        out[0] = (uint8_t)(held >> (bits - 8));
        g_byte_array_append(file, out, 1);
      }
    }
    const uint8_t rest = (uint8_t)(held << (8 - bits));
    if(bits) g_byte_array_append(file, &rest, 1);
  }
}

/** A value in the file's byte order. */
static GBytes *_order_value(const dt_exif_entry_t *entry, gboolean big_endian)
{
  gsize size;
  const uint8_t *value = g_bytes_get_data(entry->value, &size);
  const size_t word = dt_exif_word_size(entry->type);
  uint8_t *turned = g_memdup2(value, size);
  for(size_t i = 0; big_endian && i < size; i += word)
    dt_exif_put_uint(turned + i, (int)word, TRUE, dt_exif_get_uint(value + i, (int)word, FALSE));
  return g_bytes_new_take(turned, size);
}

/** Appends a directory with its values; returns where it stands. */
static uint32_t _append_directory(GByteArray *file, GArray *tags, gboolean big_endian)
{
  if(file->len % 2) g_byte_array_append(file, (const guint8 *)"", 1);
  const uint32_t place = file->len;
  g_array_sort(tags, dt_exif_compare_entries);
  g_byte_array_set_size(file, place + 2 + tags->len * 12 + 4);
  memset(file->data + place, 0, file->len - place);
  dt_exif_put_uint(file->data + place, 2, big_endian, tags->len);
  for(guint i = 0; i < tags->len; i++)
  {
    const dt_exif_entry_t *entry = &g_array_index(tags, dt_exif_entry_t, i);
    GBytes *value = _order_value(entry, big_endian);
    gsize size;
    const uint8_t *bytes = g_bytes_get_data(value, &size);
    const uint32_t at = place + 2 + i * 12;
    dt_exif_put_uint(file->data + at, 2, big_endian, entry->tag);
    dt_exif_put_uint(file->data + at + 2, 2, big_endian, entry->type);
    dt_exif_put_uint(file->data + at + 4, 4, big_endian, entry->count);
    if(size <= 4)
      memcpy(file->data + at + 8, bytes, size);
    else
    {
      if(file->len % 2) g_byte_array_append(file, (const guint8 *)"", 1);
      dt_exif_put_uint(file->data + at + 8, 4, big_endian, file->len);
      g_byte_array_append(file, bytes, (guint)size);
    }
    g_bytes_unref(value);
  }
  return place;
}

static void _add_number(GArray *tags, uint16_t tag, uint32_t value)
{
  uint8_t bytes[4];
  dt_exif_put_uint(bytes, 4, FALSE, value);
  const dt_exif_entry_t entry = {
    .tag = tag, .type = DT_TYPE_LONG, .count = 1, .value = g_bytes_new(bytes, 4)
  };
  for(guint i = 0; i < tags->len; i++)
    if(g_array_index(tags, dt_exif_entry_t, i).tag == tag)
    {
      g_bytes_unref(entry.value); // what the test said counts
      return;
    }
  g_array_append_val(tags, entry);
}

/** The tags of one place, and maybe of another with it. */
static GArray *_copy_tags(const test_raw_t *raw, test_raw_place_t place, gboolean with_picture)
{
  GArray *copy = g_array_new(FALSE, TRUE, sizeof(dt_exif_entry_t));
  g_array_set_clear_func(copy, _clear_tag);
  for(int p = 0; p < TEST_RAW_PLACES; p++)
    for(guint i = 0; i < raw->tags[p]->len; i++)
    {
      const dt_exif_entry_t entry = g_array_index(raw->tags[p], dt_exif_entry_t, i);
      if(p != (int)place && !(with_picture && p == TEST_RAW_PICTURE)) continue;
      g_bytes_ref(entry.value);
      g_array_append_val(copy, entry);
    }
  return copy;
}

static uint32_t _append_place(GByteArray *file, const test_raw_t *raw, test_raw_place_t place)
{
  GArray *tags = _copy_tags(raw, place, FALSE);
  const uint32_t at = tags->len ? _append_directory(file, tags, raw->big_endian) : 0;
  g_array_unref(tags);
  return at;
}

static uint32_t _append_picture(GByteArray *file, const test_raw_t *raw, uint32_t samples, uint32_t size)
{
  GArray *tags = _copy_tags(raw, TEST_RAW_PICTURE, FALSE);
  _add_number(tags, 273, samples);
  _add_number(tags, 279, size);
  const uint32_t at = _append_directory(file, tags, raw->big_endian);
  g_array_unref(tags);
  return at;
}

/** Everything in front of the samples, which are to stand at @p samples. */
static GByteArray *_build_front(const test_raw_t *raw, uint32_t samples, uint32_t size)
{
  GByteArray *file = g_byte_array_new();
  g_byte_array_append(file, (const guint8 *)(raw->big_endian ? "MM\0*\0\0\0\0" : "II*\0\0\0\0\0"), 8);
  const uint32_t exif = _append_place(file, raw, TEST_RAW_EXIF), gps = _append_place(file, raw, TEST_RAW_GPS);
  const uint32_t picture = raw->sub_ifd ? _append_picture(file, raw, samples, size) : 0;
  GArray *tags = _copy_tags(raw, TEST_RAW_MAIN, !raw->sub_ifd);
  if(exif) _add_number(tags, DT_TAG_EXIF_IFD, exif);
  if(gps) _add_number(tags, DT_TAG_GPS_IFD, gps);
  if(picture) _add_number(tags, 330, picture);
  if(!picture) _add_number(tags, 273, samples);
  if(!picture) _add_number(tags, 279, size);
  dt_exif_put_uint(file->data + 4, 4, raw->big_endian, 0);
  const uint32_t main = _append_directory(file, tags, raw->big_endian);
  dt_exif_put_uint(file->data + 4, 4, raw->big_endian, main);
  g_array_unref(tags);
  if(file->len % 2) g_byte_array_append(file, (const guint8 *)"", 1);
  return file;
}

GByteArray *test_raw_build(const test_raw_t *raw)
{
  GByteArray *samples = g_byte_array_new();
  _append_samples(samples, raw);
  GByteArray *draft = _build_front(raw, 0, samples->len);
  GByteArray *file = _build_front(raw, draft->len, samples->len);
  g_byte_array_append(file, samples->data, samples->len);
  g_byte_array_unref(draft);
  g_byte_array_unref(samples);
  return file;
}

void test_raw_write(const test_raw_t *raw, const char *path)
{
  GByteArray *file = test_raw_build(raw);
  if(!g_file_set_contents(path, (const char *)file->data, file->len, NULL)) g_error("cannot write %s", path);
  g_byte_array_unref(file);
}

// --- Files of a test program

static const char *_folder;

int test_raw_set_up(void **state)
{
  (void)state;
  _folder = test_world_create();
  return 0;
}

int test_raw_tear_down(void **state)
{
  (void)state;
  test_world_destroy();
  return 0;
}

const char *test_raw_path(const char *name)
{
  char *path = g_build_filename(_folder, name, NULL);
  const char *kept = g_intern_string(path);
  g_free(path);
  return kept;
}
