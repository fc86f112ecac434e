/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A short list, the last used first. On a large screen only a few pictures fit: those from which the next change can begin
 * stay, while the others pass by. */
#include "develop/pixelpipe_cache.h"

#include "common/memory.h"

#include <stdlib.h>
#include <string.h>

typedef struct _line_t
{
  guint64 hash;
  dt_dev_buffer_t *buffer;
} _line_t;

struct dt_dev_cache_t
{
  guint64 limit, bytes;
  guint64 preferred[DT_DEV_CACHE_PREFERRED]; /* hashes, or 0 */
  GQueue lines;                              /* of _line_t * */
};

static gsize _bytes(const dt_iop_roi_t *roi, int channels)
{
  return (gsize)roi->width * (gsize)roi->height * (gsize)channels * sizeof(float);
}

static dt_dev_buffer_t *_new(const dt_iop_roi_t *roi, int channels, float *data, gboolean borrowed)
{
  dt_dev_buffer_t *buffer = g_new(dt_dev_buffer_t, 1);
  *buffer = (dt_dev_buffer_t){ 1, *roi, channels, data, _bytes(roi, channels), borrowed };
  return buffer;
}

dt_dev_buffer_t *dt_dev_buffer_new(const dt_iop_roi_t *roi, int channels, GError **error)
{
  float *data = dt_memory_try_large(_bytes(roi, channels), 1);
  if(data) return _new(roi, channels, data, FALSE);
  g_set_error(error, DT_AI_ERROR, DT_AI_ERROR_MEMORY, "There is no memory for %d × %d pixels.", roi->width,
              roi->height);
  return NULL;
}

dt_dev_buffer_t *dt_dev_buffer_new_over(const dt_iop_roi_t *roi, int channels, float *data)
{
  return _new(roi, channels, data, TRUE);
}

dt_dev_buffer_t *dt_dev_buffer_reuse(dt_dev_buffer_t *buffer, const dt_iop_roi_t *roi, int channels)
{
  const gsize bytes = _bytes(roi, channels);
  if(buffer && !buffer->borrowed && g_atomic_int_get(&buffer->references) == 1 && bytes <= buffer->bytes
     && buffer->bytes <= bytes + bytes / 8)
  {
    buffer->roi = *roi;
    buffer->channels = channels;
    return buffer;
  }
  dt_dev_buffer_unref(buffer);
  return NULL;
}

dt_dev_buffer_t *dt_dev_buffer_ref(dt_dev_buffer_t *buffer)
{
  g_atomic_int_inc(&buffer->references);
  return buffer;
}

void dt_dev_buffer_unref(dt_dev_buffer_t *buffer)
{
  if(!buffer || !g_atomic_int_dec_and_test(&buffer->references)) return;
  if(!buffer->borrowed) free(buffer->data);
  g_free(buffer);
}

dt_dev_cache_t *dt_dev_cache_create(guint64 limit)
{
  dt_dev_cache_t *cache = g_new0(dt_dev_cache_t, 1);
  cache->limit = limit;
  g_queue_init(&cache->lines);
  return cache;
}

static gboolean _is_preferred(const dt_dev_cache_t *cache, guint64 hash)
{
  for(int i = 0; i < DT_DEV_CACHE_PREFERRED; i++)
    if(cache->preferred[i] && cache->preferred[i] == hash) return TRUE;
  return FALSE;
}

static void _give_up(dt_dev_cache_t *cache, GList *link)
{
  _line_t *line = link->data;
  g_queue_delete_link(&cache->lines, link);
  cache->bytes -= line->buffer->bytes;
  dt_dev_buffer_unref(line->buffer);
  g_free(line);
}

/* Gives the last lines up until @p bytes are kept, the preferred ones only when @p all may go. */
static void _shrink(dt_dev_cache_t *cache, guint64 bytes, gboolean all)
{
  for(GList *link = cache->lines.tail, *before; link && cache->bytes > bytes; link = before)
  {
    before = link->prev;
    if(all || !_is_preferred(cache, ((const _line_t *)link->data)->hash)) _give_up(cache, link);
  }
}

void dt_dev_cache_destroy(dt_dev_cache_t *cache)
{
  if(!cache) return;
  _shrink(cache, 0, TRUE);
  g_free(cache);
}

void dt_dev_cache_prefer(dt_dev_cache_t *cache, const guint64 hashes[DT_DEV_CACHE_PREFERRED])
{
  memcpy(cache->preferred, hashes, sizeof(cache->preferred));
}

guint64 dt_dev_cache_bytes(const dt_dev_cache_t *cache)
{
  return cache->bytes;
}

static gboolean _covers(const dt_iop_roi_t *a, const dt_iop_roi_t *b)
{
  return a->scale == b->scale && a->x <= b->x && a->y <= b->y && a->x + a->width >= b->x + b->width
         && a->y + a->height >= b->y + b->height;
}

/* The part @p roi of @p whole, or NULL when there is no memory for it. */
static dt_dev_buffer_t *_cut(dt_dev_buffer_t *whole, const dt_iop_roi_t *roi)
{
  const dt_iop_roi_t *all = &whole->roi;
  const gsize channels = (gsize)whole->channels, n = (gsize)roi->width * channels;
  if(roi->width == all->width && roi->height == all->height) return dt_dev_buffer_ref(whole);
  dt_dev_buffer_t *part = dt_dev_buffer_new(roi, whole->channels, NULL);
  for(int y = 0; y < roi->height && part; y++)
  {
    const gsize row = (gsize)(roi->y - all->y + y) * (gsize)all->width + (gsize)(roi->x - all->x);
    memcpy(part->data + (gsize)y * n, whole->data + row * channels, n * sizeof(float));
  }
  return part;
}

dt_dev_buffer_t *dt_dev_cache_find(dt_dev_cache_t *cache, guint64 hash, const dt_iop_roi_t *roi)
{
  for(GList *link = cache->lines.head; link; link = link->next)
  {
    const _line_t *line = link->data;
    if(line->hash != hash || !_covers(&line->buffer->roi, roi)) continue;
    g_queue_unlink(&cache->lines, link);
    g_queue_push_head_link(&cache->lines, link);
    return _cut(line->buffer, roi);
  }
  return NULL;
}

void dt_dev_cache_keep(dt_dev_cache_t *cache, guint64 hash, dt_dev_buffer_t *buffer)
{
  const guint64 bytes = buffer->bytes;
  if(bytes > cache->limit) return;
  _shrink(cache, cache->limit - bytes, FALSE);
  if(_is_preferred(cache, hash)) _shrink(cache, cache->limit - bytes, TRUE);
  if(cache->bytes > cache->limit - bytes) return;
  _line_t *line = g_new(_line_t, 1);
  *line = (_line_t){ hash, dt_dev_buffer_ref(buffer) };
  g_queue_push_head(&cache->lines, line);
  cache->bytes += bytes;
}
