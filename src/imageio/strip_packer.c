/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A ring of strips on their way from samples to deflated bytes. The producer fills and writes, any
 * thread compresses. A strip's slot is its number modulo the ring's length, so order needs no
 * bookkeeping: strips first..next-1 are in the ring, first is written as soon as it is done. */
#include "imageio/strip_packer.h"

#include <libdeflate.h>
#include <pthread.h>
#include <string.h>

/** Bytes of samples that may wait; at least two strips do. */
#define RING_BYTES ((size_t)8 << 20)
#define MAX_SLOTS 64
#define MAX_THREADS 16
/** Deflate level: 1 is several times faster than 6 and loses a few per cent on photographs. */
#define LEVEL 1

typedef enum _state_t
{
  STATE_FREE,    ///< being filled, or unused
  STATE_WAITING, ///< filled
  STATE_TAKEN,   ///< being compressed
  STATE_DONE,
} _state_t;

typedef struct _slot_t
{
  _state_t state;
  uint8_t *raw;
  size_t raw_size;
  GByteArray *packed;
} _slot_t;

struct dt_strip_packer_t
{
  dt_strip_shape_t shape;
  dt_strip_writer_t write;
  void *user;
  size_t bound; ///< bytes a packed strip may need
  int slots;
  _slot_t ring[MAX_SLOTS];
  uint64_t first, next; ///< the oldest strip in the ring, and the one behind the newest
  uint64_t untaken;     ///< the oldest strip nobody compresses yet
  gboolean failed;
  struct libdeflate_compressor *own; ///< the producer's
  uint8_t *own_row;                  ///< the producer's scratch

  pthread_mutex_t lock; ///< guards states, untaken and closing
  pthread_cond_t work;  ///< a strip waits, or nothing more will come
  pthread_cond_t done;  ///< a strip is done
  gboolean closing;
  pthread_t threads[MAX_THREADS];
  int running;
};

// --- Predictors, as TIFF 6.0 and its technical note 3 define them

static void _difference_8(uint8_t *row, size_t n, size_t step)
{
  for(size_t i = n; i-- > step;) row[i] = (uint8_t)(row[i] - row[i - step]);
}

static void _difference_16(uint16_t *row, size_t n, size_t step)
{
  for(size_t i = n; i-- > step;) row[i] = (uint16_t)(row[i] - row[i - step]);
}

/** Bytes of equal weight side by side, the highest first, then differences. @p word  bytes of a float */
static void _difference_float(uint8_t *row, size_t size, size_t word, size_t step, uint8_t *scratch)
{
  const size_t n = size / word;
  memcpy(scratch, row, size);
  for(size_t b = 0; b < word; b++)
  {
    const size_t at = G_BYTE_ORDER == G_LITTLE_ENDIAN ? word - 1 - b : b;
    for(size_t i = 0; i < n; i++) row[b * n + i] = scratch[i * word + at];
  }
  _difference_8(row, size, step);
}

static void _predict(const dt_strip_shape_t *shape, uint8_t *raw, size_t size, uint8_t *scratch)
{
  const size_t step = (size_t)shape->channels;
  if(shape->predictor == DT_PREDICTOR_NONE) return;
  for(uint8_t *row = raw; row < raw + size; row += shape->row_bytes)
    if(shape->sample == DT_SAMPLE_U8)
      _difference_8(row, shape->row_bytes, step);
    else if(shape->sample == DT_SAMPLE_U16)
      _difference_16((uint16_t *)(void *)row, shape->row_bytes / 2, step);
    else
      _difference_float(row, shape->row_bytes, dt_sample_size(shape->sample), step, scratch);
}

// --- Compressing

static void _pack(const dt_strip_packer_t *packer, _slot_t *slot, struct libdeflate_compressor *compressor,
                  uint8_t *scratch)
{
  if(packer->shape.encode)
  {
    g_byte_array_set_size(slot->packed, 0);
    packer->shape.encode(packer->user, slot->raw, slot->raw_size, slot->packed);
    return;
  }
  _predict(&packer->shape, slot->raw, slot->raw_size, scratch);
  g_byte_array_set_size(slot->packed, (guint)packer->bound);
  const size_t size =
      libdeflate_zlib_compress(compressor, slot->raw, slot->raw_size, slot->packed->data, packer->bound);
  g_byte_array_set_size(slot->packed, (guint)size);
}

/** Takes the oldest waiting strip; the lock is held. NULL when there is none. */
static _slot_t *_take(dt_strip_packer_t *packer)
{
  if(packer->untaken == packer->next) return NULL;
  _slot_t *slot = &packer->ring[packer->untaken++ % (uint64_t)packer->slots];
  slot->state = STATE_TAKEN;
  return slot;
}

static void _give_back(dt_strip_packer_t *packer, _slot_t *slot)
{
  pthread_mutex_lock(&packer->lock);
  slot->state = STATE_DONE;
  pthread_cond_signal(&packer->done);
  pthread_mutex_unlock(&packer->lock);
}

static _slot_t *_wait_for_work(dt_strip_packer_t *packer)
{
  pthread_mutex_lock(&packer->lock);
  _slot_t *slot = _take(packer);
  while(!slot && !packer->closing)
  {
    pthread_cond_wait(&packer->work, &packer->lock);
    slot = _take(packer);
  }
  pthread_mutex_unlock(&packer->lock);
  return slot;
}

static void *_run_worker(void *data)
{
  dt_strip_packer_t *packer = data;
  struct libdeflate_compressor *compressor = libdeflate_alloc_compressor(LEVEL);
  uint8_t *scratch = g_malloc(packer->shape.row_bytes);
  for(_slot_t *slot; compressor && (slot = _wait_for_work(packer));)
  {
    _pack(packer, slot, compressor, scratch);
    _give_back(packer, slot);
  }
  g_free(scratch);
  libdeflate_free_compressor(compressor);
  return NULL;
}

/** Starts up to @p count threads; with fewer, or none, the producer does the work. */
static void _start_workers(dt_strip_packer_t *packer, int count)
{
  while(packer->running < MIN(count, MAX_THREADS)
        && pthread_create(&packer->threads[packer->running], NULL, _run_worker, packer) == 0)
    packer->running++;
}

static void _stop_workers(dt_strip_packer_t *packer)
{
  pthread_mutex_lock(&packer->lock);
  packer->closing = TRUE;
  pthread_cond_broadcast(&packer->work);
  pthread_mutex_unlock(&packer->lock);
  while(packer->running > 0) pthread_join(packer->threads[--packer->running], NULL);
}

// --- The producer's side

/** Lends a hand with one strip, or waits until somebody is done with one. */
static void _help_or_wait(dt_strip_packer_t *packer)
{
  pthread_mutex_lock(&packer->lock);
  _slot_t *slot = _take(packer);
  if(!slot)
    while(packer->ring[packer->first % (uint64_t)packer->slots].state == STATE_TAKEN)
      pthread_cond_wait(&packer->done, &packer->lock);
  pthread_mutex_unlock(&packer->lock);
  if(!slot) return;
  _pack(packer, slot, packer->own, packer->own_row);
  _give_back(packer, slot);
}

static gboolean _is_oldest_done(dt_strip_packer_t *packer)
{
  pthread_mutex_lock(&packer->lock);
  const gboolean done = packer->first < packer->next
                        && packer->ring[packer->first % (uint64_t)packer->slots].state == STATE_DONE;
  pthread_mutex_unlock(&packer->lock);
  return done;
}

/** Writes the finished strips at the ring's old end. */
static void _write_finished(dt_strip_packer_t *packer)
{
  while(!packer->failed && _is_oldest_done(packer))
  {
    _slot_t *slot = &packer->ring[packer->first % (uint64_t)packer->slots];
    packer->failed = !packer->write(packer->user, slot->packed->data, slot->packed->len);
    slot->state = STATE_FREE;
    packer->first++;
  }
}

void *dt_strip_packer_begin(dt_strip_packer_t *packer)
{
  _write_finished(packer);
  while(!packer->failed && packer->next - packer->first == (uint64_t)packer->slots)
  {
    _help_or_wait(packer);
    _write_finished(packer);
  }
  return packer->failed ? NULL : packer->ring[packer->next % (uint64_t)packer->slots].raw;
}

void dt_strip_packer_submit(dt_strip_packer_t *packer, size_t size)
{
  _slot_t *slot = &packer->ring[packer->next % (uint64_t)packer->slots];
  slot->raw_size = size;
  pthread_mutex_lock(&packer->lock);
  slot->state = STATE_WAITING;
  packer->next++;
  pthread_cond_signal(&packer->work);
  pthread_mutex_unlock(&packer->lock);
}

gboolean dt_strip_packer_finish(dt_strip_packer_t *packer)
{
  const int left = (int)(packer->next - packer->first);
  const int most = packer->shape.threads ? packer->shape.threads : (int)g_get_num_processors();
  _start_workers(packer, MIN(most, left) - 1);
  while(!packer->failed && packer->first < packer->next)
  {
    _write_finished(packer);
    if(packer->first < packer->next) _help_or_wait(packer);
  }
  return !packer->failed;
}

size_t dt_strip_packer_memory(const dt_strip_packer_t *packer)
{
  // a compressor of level 1 holds well below 128 KiB, a thread's used stack as much
  const size_t worker = packer->shape.row_bytes + ((size_t)256 << 10);
  return sizeof(*packer) + (size_t)packer->slots * (packer->shape.strip_bytes + packer->bound)
         + worker * (size_t)MIN((int)g_get_num_processors() + 1, MAX_THREADS);
}

dt_strip_packer_t *dt_strip_packer_create(const dt_strip_shape_t *shape, dt_strip_writer_t write, void *user)
{
  struct libdeflate_compressor *own = libdeflate_alloc_compressor(LEVEL);
  if(!own) return NULL;
  dt_strip_packer_t *packer = g_new0(dt_strip_packer_t, 1);
  packer->shape = *shape;
  packer->write = write;
  packer->user = user;
  packer->own = own;
  packer->own_row = g_malloc(shape->row_bytes);
  packer->bound = libdeflate_zlib_compress_bound(own, shape->strip_bytes);
  packer->slots = (int)CLAMP(RING_BYTES / shape->strip_bytes, (size_t)2, (size_t)MAX_SLOTS);
  for(int i = 0; i < packer->slots; i++)
  {
    packer->ring[i].raw = g_malloc(shape->strip_bytes);
    packer->ring[i].packed = g_byte_array_sized_new((guint)packer->bound);
  }
  pthread_mutex_init(&packer->lock, NULL);
  pthread_cond_init(&packer->work, NULL);
  pthread_cond_init(&packer->done, NULL);
  _start_workers(packer, MAX(shape->threads - 1, 1));
  return packer;
}

void dt_strip_packer_destroy(dt_strip_packer_t *packer)
{
  if(!packer) return;
  pthread_mutex_lock(&packer->lock);
  packer->untaken = packer->next; // nothing is worth compressing any more
  pthread_mutex_unlock(&packer->lock);
  _stop_workers(packer);
  for(int i = 0; i < packer->slots; i++)
  {
    g_free(packer->ring[i].raw);
    g_byte_array_unref(packer->ring[i].packed);
  }
  libdeflate_free_compressor(packer->own);
  g_free(packer->own_row);
  pthread_mutex_destroy(&packer->lock);
  pthread_cond_destroy(&packer->work);
  pthread_cond_destroy(&packer->done);
  g_free(packer);
}
