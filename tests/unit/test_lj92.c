/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Lossless JPEG against two readers: LibRaw, for the shapes that a DNG has, and a small decoder that goes by T.81
 * bit by bit, for all of them. */
#include "support.h"

#include "imageio/lj92.h"

#include <libraw/libraw.h>
#include <string.h>

typedef struct _picture_t
{
  int width, height, components, precision;
  size_t stride;
  uint16_t *samples;
} _picture_t;

// --- pictures

typedef enum _kind_t
{
  KIND_NOISE,
  KIND_FLAT,
  KIND_GRADIENT,
  KIND_JUMPS,   ///< from one end of the range to the other
  KIND_PHOTO,   ///< a slope with some noise
  KIND_RARE,    ///< flat, but for a few samples
  KIND_DOUBLES, ///< every size of difference twice as often as the next: the longest codes
  KINDS
} _kind_t;

static int _sample(test_random_t *random, _kind_t kind, int x, int y, int c, int most)
{
  const int noise = test_random_int(random, -3, 3);
  switch(kind)
  {
  case KIND_NOISE: return test_random_int(random, 0, most);
  case KIND_FLAT: return most / 3;
  case KIND_GRADIENT: return (x * 3 + y * 5 + c * 7) & most;
  case KIND_JUMPS: return test_random_int(random, 0, 1) ? most : 0;
  case KIND_PHOTO: return CLAMP(most / 4 + x + y + noise, 0, most);
  case KIND_RARE: return test_random_int(random, 0, 999) ? most / 2 : test_random_int(random, 0, most);
  case KIND_DOUBLES: return (x & 1 ? most : most >> (__builtin_ctz(test_random(random) | 1u << 17) + 1));
  default: return 0;
  }
}

static _picture_t _picture_new(test_random_t *random, _kind_t kind, int width, int height, int components,
                               int precision)
{
  _picture_t p = { width, height, components, precision, 0, NULL };
  p.stride = (size_t)(width * components + test_random_int(random, 0, 5));
  p.samples = g_new(uint16_t, p.stride * (size_t)height);
  memset(p.samples, 0xFF, p.stride * (size_t)height * sizeof(uint16_t));
  for(int y = 0; y < height; y++)
    for(int x = 0; x < width; x++)
      for(int c = 0; c < components; c++)
        p.samples[(size_t)y * p.stride + (size_t)(x * components + c)] =
            (uint16_t)_sample(random, kind, x, y, c, (1 << precision) - 1);
  return p;
}

static GByteArray *_encode(const _picture_t *p)
{
  GByteArray *out = g_byte_array_new();
  dt_lj92_encode(p->samples, p->stride, p->width, p->height, p->components, p->precision, out);
  return out;
}

// --- a decoder, after the flow charts of annexes F.2.2 and H.2

typedef struct _decoder_t
{
  const uint8_t *at, *end;
  int left; ///< bits of *at
  int min_code[4][17], max_code[4][17], first[4][17];
  uint8_t symbols[4][17];
  int table[4];
  int width, height, components, precision;
} _decoder_t;

static int _byte(_decoder_t *d)
{
  assert_true(d->at < d->end);
  return *d->at++;
}

static int _word(_decoder_t *d)
{
  const int high = _byte(d);
  return high << 8 | _byte(d);
}

static void _expect(_decoder_t *d, int byte)
{
  assert_int_equal(_byte(d), byte);
}

static void _read_frame(_decoder_t *d)
{
  const int length = _word(d);
  d->precision = _byte(d);
  d->height = _word(d);
  d->width = _word(d);
  d->components = _byte(d);
  assert_int_equal(length, 8 + 3 * d->components);
  for(int c = 0; c < d->components; c++)
  {
    _expect(d, c + 1);
    _expect(d, 0x11);
    _byte(d);
  }
}

/* Annex C and F.15: the smallest and largest code of each length. None may be all ones. */
static void _read_table(_decoder_t *d)
{
  const int length = _word(d), table = _byte(d);
  int counts[17] = { 0 }, n = 0, code = 0;
  assert_in_range(table, 0, 3);
  for(int i = 1; i <= 16; i++) counts[i] = _byte(d);
  for(int i = 1; i <= 16; i++, code <<= 1)
  {
    d->first[table][i] = n;
    d->min_code[table][i] = code;
    d->max_code[table][i] = code + counts[i] - 1;
    n += counts[i];
    code += counts[i];
    assert_true(code < 1 << i);
  }
  assert_int_equal(length, 19 + n);
  assert_in_range(n, 1, 17);
  for(int i = 0; i < n; i++) d->symbols[table][i] = (uint8_t)_byte(d);
}

static void _read_scan(_decoder_t *d)
{
  const int length = _word(d);
  _expect(d, d->components);
  assert_int_equal(length, 6 + 2 * d->components);
  for(int c = 0; c < d->components; c++)
  {
    _expect(d, c + 1);
    d->table[c] = _byte(d) >> 4;
  }
  _expect(d, 1);
  _expect(d, 0);
  _expect(d, 0);
  d->left = 8;
}

static void _read_head(_decoder_t *d)
{
  _expect(d, 0xFF);
  _expect(d, 0xD8);
  for(;;)
  {
    _expect(d, 0xFF);
    const int marker = _byte(d);
    if(marker == 0xC3)
      _read_frame(d);
    else if(marker == 0xC4)
      _read_table(d);
    else
    {
      assert_int_equal(marker, 0xDA);
      _read_scan(d);
      return;
    }
  }
}

static int _bit(_decoder_t *d)
{
  assert_true(d->at < d->end);
  const int bit = *d->at >> --d->left & 1;
  if(d->left == 0)
  {
    if(_byte(d) == 0xFF) _expect(d, 0);
    d->left = 8;
  }
  return bit;
}

static int _difference(_decoder_t *d, int table)
{
  int code = _bit(d), length = 1, value = 0;
  for(; length <= 16 && code > d->max_code[table][length]; length++) code = code << 1 | _bit(d);
  assert_in_range(length, 1, 16);
  const int bits = d->symbols[table][d->first[table][length] + code - d->min_code[table][length]];
  if(bits == 0) return 0;
  if(bits == 16) return 32768;
  for(int i = 0; i < bits; i++) value = value << 1 | _bit(d);
  return value < 1 << (bits - 1) ? value - (1 << bits) + 1 : value;
}

static void _check_end(_decoder_t *d)
{
  if(d->left < 8)
  {
    // what fills the last byte
    assert_int_equal(*d->at & ((1 << d->left) - 1), (1 << d->left) - 1);
    if(_byte(d) == 0xFF) _expect(d, 0);
  }
  _expect(d, 0xFF);
  _expect(d, 0xD9);
  assert_ptr_equal(d->at, d->end);
}

static void _check_decodes(const _picture_t *p, const GByteArray *jpeg)
{
  _decoder_t d = { .at = jpeg->data, .end = jpeg->data + jpeg->len };
  _read_head(&d);
  assert_int_equal(d.width, p->width);
  assert_int_equal(d.height, p->height);
  assert_int_equal(d.components, p->components);
  assert_int_equal(d.precision, p->precision);
  const int n = p->components, row = n * p->width;
  uint16_t *got = g_new(uint16_t, row * p->height);
  for(int y = 0; y < p->height; y++)
    for(int i = 0; i < row; i++)
    {
      uint16_t *to = got + (size_t)y * (size_t)row + i;
      const int before = i >= n ? to[-n] : y ? to[-row] : 1 << (p->precision - 1);
      *to = (uint16_t)(before + _difference(&d, d.table[i % n]));
    }
  _check_end(&d);
  for(int y = 0; y < p->height; y++)
    assert_memory_equal(got + (size_t)y * (size_t)row, p->samples + (size_t)y * p->stride,
                        (size_t)row * sizeof(uint16_t));
  g_free(got);
}

static void test_own_decoder(void **state)
{
  (void)state;
  test_random_t random = { 92 };
  const int n = test_is_long() ? 5000 : 400;
  for(int i = 0; i < n; i++)
  {
    const int components = test_random_int(&random, 1, 4);
    const int width = test_random_int(&random, 1, i % 3 ? 9 : 200);
    const int height = test_random_int(&random, 1, i % 5 ? 30 : 200);
    _picture_t p = _picture_new(&random, (_kind_t)(i % KINDS), width, height, components,
                                test_random_int(&random, 2, 16));
    GByteArray *jpeg = _encode(&p);
    _check_decodes(&p, jpeg);
    g_byte_array_unref(jpeg);
    g_free(p.samples);
  }
}

/* Counts of differences that grow like Fibonacci's numbers are what makes codes longest. */
static void test_longest_codes(void **state)
{
  (void)state;
  GArray *samples = g_array_new(FALSE, FALSE, sizeof(uint16_t));
  int now = 1 << 15, count = 1, next = 1;
  for(int bits = 16; bits >= 0; bits--)
  {
    for(int i = 0; i < count; i++)
    {
      now = (now + (bits ? 1 << (bits - 1) : 0)) & 0xFFFF;
      const uint16_t sample = (uint16_t)now;
      g_array_append_val(samples, sample);
    }
    const int sum = count + next;
    count = next;
    next = sum;
  }
  _picture_t p = { (int)samples->len, 1, 1, 16, samples->len, (uint16_t *)(void *)samples->data };
  GByteArray *jpeg = _encode(&p);
  _check_decodes(&p, jpeg);
  g_byte_array_unref(jpeg);
  g_array_unref(samples);
}

/* Behind what is there already. */
static void test_appends(void **state)
{
  (void)state;
  test_random_t random = { 5 };
  _picture_t p = _picture_new(&random, KIND_PHOTO, 20, 10, 2, 14);
  GByteArray *alone = _encode(&p), *both = g_byte_array_new();
  g_byte_array_append(both, (const guint8 *)"before", 6);
  dt_lj92_encode(p.samples, p.stride, p.width, p.height, p.components, p.precision, both);
  assert_int_equal(both->len, alone->len + 6);
  assert_memory_equal(both->data, "before", 6);
  assert_memory_equal(both->data + 6, alone->data, alone->len);
  g_byte_array_unref(alone);
  g_byte_array_unref(both);
  g_free(p.samples);
}

static void test_flat_is_small(void **state)
{
  (void)state;
  test_random_t random = { 6 };
  _picture_t p = _picture_new(&random, KIND_FLAT, 200, 200, 1, 16);
  GByteArray *jpeg = _encode(&p);
  assert_true(jpeg->len <= 200 * 200 / 8 + 80);
  g_byte_array_unref(jpeg);
  g_free(p.samples);
}

// --- LibRaw, by way of the smallest DNG

static void _put_entry(GByteArray *out, int tag, int type, guint32 count, guint32 value)
{
  const guint16 head[2] = { (guint16)tag, (guint16)type };
  const guint32 tail[2] = { count, value };
  g_byte_array_append(out, (const guint8 *)head, sizeof(head));
  g_byte_array_append(out, (const guint8 *)tail, sizeof(tail));
}

/* @p p as one strip of a picture of @p width pixels with @p samples each. The host's byte order is taken to be
 * little. */
static GByteArray *_dng_new(const _picture_t *p, int width, int samples)
{
  enum
  {
    ENTRIES = 15,
    EXTRA = 8 + 2 + 12 * ENTRIES + 4,
    MATRIX = EXTRA + 8,
    NAME = MATRIX + 72,
    DATA = NAME + 8
  };
  const guint32 matrix[18] = { 1, 1, 0, 1, 0, 1, 0, 1, 1, 1, 0, 1, 0, 1, 0, 1, 1, 1 };
  const guint16 bits[4] = { 16, 16, 16, 0 };
  const gboolean cfa = samples == 1;
  GByteArray *jpeg = _encode(p), *out = g_byte_array_new();
  g_byte_array_append(out, (const guint8 *)"II*\0\10\0\0\0\17\0", 10);
  _put_entry(out, 254, 4, 1, 0);
  _put_entry(out, 256, 4, 1, (guint32)width);
  _put_entry(out, 257, 4, 1, (guint32)p->height);
  _put_entry(out, 258, 3, cfa ? 1 : 3, cfa ? 16 : EXTRA);
  _put_entry(out, 259, 3, 1, 7);
  _put_entry(out, 262, 3, 1, cfa ? 32803 : 34892);
  _put_entry(out, 273, 4, 1, DATA);
  _put_entry(out, 277, 3, 1, (guint32)samples);
  _put_entry(out, 278, 4, 1, (guint32)p->height);
  _put_entry(out, 279, 4, 1, jpeg->len);
  _put_entry(out, 33421, 3, 2, 2 | 2 << 16);
  _put_entry(out, 33422, 1, 4, 0 | 1 << 8 | 1 << 16 | 2 << 24);
  _put_entry(out, 50706, 1, 4, 1 | 4 << 8);
  _put_entry(out, 50708, 2, 8, NAME);
  _put_entry(out, 50721, 10, 9, MATRIX);
  g_byte_array_append(out, (const guint8 *)"\0\0\0\0", 4);
  g_byte_array_append(out, (const guint8 *)bits, sizeof(bits));
  g_byte_array_append(out, (const guint8 *)matrix, sizeof(matrix));
  g_byte_array_append(out, (const guint8 *)"A camera", 8);
  out->data[out->len - 1] = 0;
  assert_int_equal(out->len, DATA);
  g_byte_array_append(out, jpeg->data, jpeg->len);
  g_byte_array_unref(jpeg);
  return out;
}

static void _count_errors(void *data, const char *file, const int offset)
{
  (void)file;
  (void)offset;
  ++*(int *)data;
}

static void _check_libraw(const _picture_t *p, int width, int samples)
{
  GByteArray *dng = _dng_new(p, width, samples);
  int errors = 0;
  libraw_data_t *raw = libraw_init(0);
  // newer versions tell the offset in 64 bits
  libraw_set_dataerror_handler(raw, (data_callback)(void (*)(void))_count_errors, &errors);
  assert_int_equal(libraw_open_buffer(raw, dng->data, dng->len), LIBRAW_SUCCESS);
  assert_int_equal(libraw_unpack(raw), LIBRAW_SUCCESS);
  assert_int_equal(errors, 0);
  assert_int_equal(raw->sizes.raw_width, width);
  assert_int_equal(raw->sizes.raw_height, p->height);
  for(int y = 0; y < p->height; y++)
  {
    const uint16_t *row = p->samples + (size_t)y * p->stride;
    for(int x = 0; x < width; x++)
      for(int c = 0; c < samples; c++)
      {
        const size_t at = (size_t)y * (size_t)width + (size_t)x;
        const int got = samples == 1                ? raw->rawdata.raw_image[at]
                        : raw->rawdata.color3_image ? raw->rawdata.color3_image[at][c]
                                                    : raw->rawdata.color4_image[at][c];
        if(got != row[x * samples + c])
          fail_msg("%d instead of %d at %d,%d", got, row[x * samples + c], x, y);
      }
  }
  libraw_close(raw);
  g_byte_array_unref(dng);
}

static void test_libraw(void **state)
{
  (void)state;
  static const struct
  {
    int samples, components; ///< of the DNG's pixel; of the JPEG's
  } shapes[] = { { 1, 1 }, { 1, 2 }, { 3, 3 } };
  test_random_t random = { 20 };
  const int n = test_is_long() ? 2000 : 210;
  for(int i = 0; i < n; i++)
  {
    const int samples = shapes[i % 3].samples, components = shapes[i % 3].components;
    const int width = test_random_int(&random, 32, 130);
    _picture_t p = _picture_new(&random, (_kind_t)(i / 3 % KINDS), width, test_random_int(&random, 32, 200),
                                components, test_random_int(&random, 8, 16));
    _check_libraw(&p, width * components / samples, samples);
    g_free(p.samples);
  }
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_own_decoder), cmocka_unit_test(test_longest_codes),
    cmocka_unit_test(test_appends),     cmocka_unit_test(test_flat_is_small),
    cmocka_unit_test(test_libraw),
  };
  return cmocka_run_group_tests_name("lj92", tests, NULL, NULL);
}
