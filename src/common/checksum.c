/* SPDX-License-Identifier: GPL-3.0-or-later */
/* XXH64: four lanes take eight bytes each in turn, are merged, and what is left over follows in ever smaller
 * steps. */
#include "common/checksum.h"

#include <glib.h>
#include <string.h>

#define PRIME_1 0x9E3779B185EBCA87u
#define PRIME_2 0xC2B2AE3D27D4EB4Fu
#define PRIME_3 0x165667B19E3779F9u
#define PRIME_4 0x85EBCA77C2B2AE63u
#define PRIME_5 0x27D4EB2F165667C5u

#define LANES 4
#define STRIPE (LANES * sizeof(uint64_t))

static inline uint64_t _rotate(uint64_t x, int bits)
{
  return x << bits | x >> (64 - bits);
}

static inline uint64_t _read64(const uint8_t *p)
{
  uint64_t x;
  memcpy(&x, p, sizeof x);
  return GUINT64_FROM_LE(x);
}

static inline uint64_t _read32(const uint8_t *p)
{
  uint32_t x;
  memcpy(&x, p, sizeof x);
  return GUINT32_FROM_LE(x);
}

static inline uint64_t _round(uint64_t lane, uint64_t input)
{
  return _rotate(lane + input * PRIME_2, 31) * PRIME_1;
}

/* All whole stripes. */
static uint64_t _add_stripes(const uint8_t *p, size_t stripes)
{
  uint64_t lanes[LANES] = { PRIME_1 + PRIME_2, PRIME_2, 0, 0 - PRIME_1 };
  for(; stripes > 0; stripes--, p += STRIPE)
    for(int i = 0; i < LANES; i++) lanes[i] = _round(lanes[i], _read64(p + 8 * i));
  uint64_t hash = _rotate(lanes[0], 1) + _rotate(lanes[1], 7) + _rotate(lanes[2], 12) + _rotate(lanes[3], 18);
  for(int i = 0; i < LANES; i++) hash = (hash ^ _round(0, lanes[i])) * PRIME_1 + PRIME_4;
  return hash;
}

/* Less than a stripe. */
static uint64_t _add_rest(uint64_t hash, const uint8_t *p, size_t size)
{
  for(; size >= 8; size -= 8, p += 8) hash = _rotate(hash ^ _round(0, _read64(p)), 27) * PRIME_1 + PRIME_4;
  for(; size >= 4; size -= 4, p += 4) hash = _rotate(hash ^ _read32(p) * PRIME_1, 23) * PRIME_2 + PRIME_3;
  for(; size > 0; size--, p++) hash = _rotate(hash ^ *p * PRIME_5, 11) * PRIME_1;
  return hash;
}

uint64_t dt_checksum64(const void *data, size_t size)
{
  const size_t stripes = size / STRIPE;
  uint64_t hash = stripes ? _add_stripes(data, stripes) : PRIME_5;
  hash = _add_rest(hash + size, (const uint8_t *)data + stripes * STRIPE, size % STRIPE);
  hash = (hash ^ hash >> 33) * PRIME_2;
  hash = (hash ^ hash >> 29) * PRIME_3;
  return hash ^ hash >> 32;
}
