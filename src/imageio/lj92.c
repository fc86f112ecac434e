/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Lossless JPEG, ITU-T T.81 annex H with predictor 1: every sample is told as its difference from the one on its left.
 *
 * Twice over the samples: the first pass counts how many bits the differences have, the second writes them with codes
 * made for those counts. What the first pass counted is also how long the result will be. */
#include "imageio/lj92.h"

#include <string.h>

enum
{
  MAX_COMPONENTS = 4,
  CATEGORIES = 17, ///< a difference has 0 to 16 bits
  RESERVED = CATEGORIES,
  SYMBOLS = CATEGORIES + 1, ///< with the code of all ones, which T.81 keeps free
  LONGEST = 16,             ///< bits of a code
};

/* The codes of one component. */
typedef struct _table_t
{
  uint64_t counts[SYMBOLS];
  int lengths[SYMBOLS];       ///< 0: never occurs
  uint32_t codes[CATEGORIES]; ///< shifted left by the bits that follow
  int bits[CATEGORIES];       ///< of the code and what follows
} _table_t;

typedef struct _encoder_t
{
  const uint16_t *samples;
  size_t stride;
  int width, height, components, precision;
  int16_t *differences; ///< of one row
  _table_t tables[MAX_COMPONENTS];
  GByteArray *out;
} _encoder_t;

/* Bits on their way out, the newest at the low end. */
typedef struct _bits_t
{
  uint64_t waiting;
  int count;
  uint8_t *to;
} _bits_t;

/* The differences of row @p y modulo 2^16, in which all of them fit. The first row begins with half the range, the
 * others with what is above. */
static void _subtract(const _encoder_t *e, int y)
{
  const size_t components = (size_t)e->components, n = (size_t)e->width * components;
  const uint16_t *row = e->samples + (size_t)y * e->stride;
  for(size_t c = 0; c < components; c++)
  {
    const int before = y ? row[(ptrdiff_t)c - (ptrdiff_t)e->stride] : 1 << (e->precision - 1);
    e->differences[c] = (int16_t)(uint16_t)(row[c] - before);
  }
  for(size_t i = components; i < n; i++)
    e->differences[i] = (int16_t)(uint16_t)(row[i] - row[i - components]);
}

/* Bits of a difference's absolute value. */
static inline int _category(int difference)
{
  const unsigned size = (unsigned)ABS(difference);
  return 31 - __builtin_clz(size << 1 | 1);
}

static void _count(_encoder_t *e)
{
  const size_t components = (size_t)e->components, n = (size_t)e->width * components;
  for(int y = 0; y < e->height; y++)
  {
    _subtract(e, y);
    for(size_t i = 0; i < n; i += components)
      for(size_t c = 0; c < components; c++) e->tables[c].counts[_category(e->differences[i + c])]++;
  }
}

// --- codes

/* The rarest of the trees that are left. Of equals the last: the reserved code has to be among the longest. */
static int _rarest(const uint64_t *weights, const int *parents, int n, int besides)
{
  int found = -1;
  for(int i = 0; i < n; i++)
    if(parents[i] == 0 && i != besides && (found < 0 || weights[i] <= weights[found])) found = i;
  return found;
}

/* Huffman's tree over the symbols that occur and the reserved one; returns the longest code's length. */
static int _measure_codes(const uint64_t *counts, int *lengths)
{
  uint64_t weights[2 * SYMBOLS] = { 0 };
  int parents[2 * SYMBOLS] = { 0 }, depths[2 * SYMBOLS] = { 0 }, trees = 0, n = SYMBOLS, longest = 0;
  for(int i = 0; i < SYMBOLS; i++)
  {
    weights[i] = counts[i];
    parents[i] = i == RESERVED || counts[i] > 0 ? 0 : -1;
    trees += parents[i] == 0;
  }
  for(; trees > 1; trees--, n++)
  {
    const int a = _rarest(weights, parents, n, -1), b = _rarest(weights, parents, n, a);
    weights[n] = weights[a] + weights[b];
    parents[a] = parents[b] = n;
  }
  for(int i = n - 2; i >= 0; i--) depths[i] = parents[i] > 0 ? depths[parents[i]] + 1 : 0;
  for(int i = 0; i < SYMBOLS; i++)
  {
    lengths[i] = depths[i];
    longest = MAX(longest, depths[i]);
  }
  return longest;
}

/* Codes in order of length, as T.81 annex C deals them out; the reserved one, the last of the longest, is all ones. */
static void _make_codes(_table_t *t)
{
  uint64_t counts[SYMBOLS];
  memcpy(counts, t->counts, sizeof(counts));
  // 18 symbols can need 17 bits, if barely; flatter counts need fewer
  while(_measure_codes(counts, t->lengths) > LONGEST)
    for(int i = 0; i < CATEGORIES; i++) counts[i] = (counts[i] + 1) / 2;
  uint32_t code = 0;
  for(int length = 1; length <= LONGEST; length++, code <<= 1)
    for(int i = 0; i < CATEGORIES; i++)
      if(t->lengths[i] == length)
      {
        const int follow = i < 16 ? i : 0;
        t->codes[i] = code++ << follow;
        t->bits[i] = length + follow;
      }
}

// --- what is written

static void _put(GByteArray *out, const uint8_t *bytes, size_t n)
{
  g_byte_array_append(out, bytes, (guint)n);
}

static void _put_frame(const _encoder_t *e)
{
  const int n = e->components, w = e->width, h = e->height;
  _put(e->out, (const uint8_t[]){ 0xFF, 0xD8, 0xFF, 0xC3, 0, (uint8_t)(8 + 3 * n) }, 6);
  _put(e->out, (const uint8_t[]){ (uint8_t)e->precision, (uint8_t)(h >> 8), (uint8_t)h }, 3);
  _put(e->out, (const uint8_t[]){ (uint8_t)(w >> 8), (uint8_t)w, (uint8_t)n }, 3);
  for(int c = 0; c < n; c++) _put(e->out, (const uint8_t[]){ (uint8_t)(c + 1), 0x11, 0 }, 3);
}

static void _put_table(const _encoder_t *e, int c)
{
  const _table_t *t = &e->tables[c];
  uint8_t counts[LONGEST] = { 0 }, symbols[CATEGORIES];
  int n = 0;
  for(int length = 1; length <= LONGEST; length++)
    for(int i = 0; i < CATEGORIES; i++)
      if(t->lengths[i] == length)
      {
        counts[length - 1]++;
        symbols[n++] = (uint8_t)i;
      }
  _put(e->out, (const uint8_t[]){ 0xFF, 0xC4, 0, (uint8_t)(3 + LONGEST + n), (uint8_t)c }, 5);
  _put(e->out, counts, LONGEST);
  _put(e->out, symbols, (size_t)n);
}

static void _put_scan(const _encoder_t *e)
{
  const int n = e->components, predictor = 1;
  _put(e->out, (const uint8_t[]){ 0xFF, 0xDA, 0, (uint8_t)(6 + 2 * n), (uint8_t)n }, 5);
  for(int c = 0; c < n; c++) _put(e->out, (const uint8_t[]){ (uint8_t)(c + 1), (uint8_t)(c << 4) }, 2);
  _put(e->out, (const uint8_t[]){ predictor, 0, 0 }, 3);
}

/* Bytes the differences can take at most: as many as counted, each of them followed by a zero. */
static size_t _bound(const _encoder_t *e)
{
  uint64_t bits = 0;
  for(int c = 0; c < e->components; c++)
    for(int i = 0; i < CATEGORIES; i++) bits += e->tables[c].counts[i] * (uint64_t)e->tables[c].bits[i];
  return 2 * ((size_t)(bits / 8) + 1);
}

/* A byte of all ones would begin a marker; a zero behind it says that it does not. */
static void _put_byte(_bits_t *b, uint8_t byte)
{
  *b->to++ = byte;
  if(byte == 0xFF) *b->to++ = 0;
}

/* The four oldest bytes. */
static inline void _put_word(_bits_t *b)
{
  b->count -= 32;
  const uint32_t word = (uint32_t)(b->waiting >> b->count), big = GUINT32_TO_BE(word);
  if(G_UNLIKELY((~word - 0x01010101u) & word & 0x80808080u))
    for(int shift = 24; shift >= 0; shift -= 8) _put_byte(b, (uint8_t)(word >> shift));
  else
  {
    memcpy(b->to, &big, sizeof(big));
    b->to += sizeof(big);
  }
}

/* A code, and behind it the difference: of a negative one, the bits of one less. */
static inline void _put_difference(_bits_t *b, const _table_t *t, int difference)
{
  const int category = _category(difference), n = t->bits[category];
  const uint32_t below = (uint32_t)(difference - (difference < 0)) & ((1u << (category & 15)) - 1);
  b->waiting = b->waiting << n | t->codes[category] | below;
  b->count += n;
  if(b->count >= 32) _put_word(b);
}

static void _put_rows(_encoder_t *e)
{
  const size_t components = (size_t)e->components, n = (size_t)e->width * components;
  const guint before = e->out->len;
  g_byte_array_set_size(e->out, before + (guint)_bound(e));
  _bits_t b = { .to = e->out->data + before };
  for(int y = 0; y < e->height; y++)
  {
    _subtract(e, y);
    for(size_t i = 0; i < n; i += components)
      for(size_t c = 0; c < components; c++) _put_difference(&b, &e->tables[c], e->differences[i + c]);
  }
  // ones fill the last byte
  const int rest = (8 - b.count % 8) % 8;
  b.waiting = b.waiting << rest | ((1u << rest) - 1);
  for(b.count += rest; b.count > 0; b.count -= 8) _put_byte(&b, (uint8_t)(b.waiting >> (b.count - 8)));
  g_byte_array_set_size(e->out, (guint)(b.to - e->out->data));
}

void dt_lj92_encode(const uint16_t *samples, size_t stride, int width, int height, int components,
                    int precision, GByteArray *out)
{
  _encoder_t e = { .samples = samples,
                   .stride = stride,
                   .width = width,
                   .height = height,
                   .components = components,
                   .precision = precision,
                   .differences = g_new(int16_t, (size_t)width * (size_t)components),
                   .out = out };
  _count(&e);
  _put_frame(&e);
  for(int c = 0; c < components; c++)
  {
    _make_codes(&e.tables[c]);
    _put_table(&e, c);
  }
  _put_scan(&e);
  _put_rows(&e);
  _put(out, (const uint8_t[]){ 0xFF, 0xD9 }, 2);
  g_free(e.differences);
}
