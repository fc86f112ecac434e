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

dt_dev_buffer_t *dt_dev_buffer_new(const dt_iop_roi_t *roi, int channels, GError **error)
{
  float *data = dt_memory_try_large((gsize)roi->width * (gsize)roi->height, (gsize)channels * sizeof(float));
  if(!data)
  {
    g_set_error(error, DT_AI_ERROR, DT_AI_ERROR_MEMORY, "There is no memory for %d × %d pixels.", roi->width,
                roi->height);
    return NULL;
  }
  dt_dev_buffer_t *buffer = g_atomic_rc_box_new(dt_dev_buffer_t);
  *buffer = (dt_dev_buffer_t){ *roi, channels, data };
  return buffer;
}

dt_dev_buffer_t *dt_dev_buffer_ref(dt_dev_buffer_t *buffer)
{
  return g_atomic_rc_box_acquire(buffer);
}

static void _clear_buffer(gpointer data)
{
  free(((dt_dev_buffer_t *)data)->data);
}

void dt_dev_buffer_unref(dt_dev_buffer_t *buffer)
{
  if(buffer) g_atomic_rc_box_release_full(buffer, _clear_buffer);
}

guint64 dt_dev_buffer_bytes(const dt_dev_buffer_t *buffer)
{
  return (guint64)buffer->roi.width * (guint64)buffer->roi.height * (guint64)buffer->channels * sizeof(float);
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
  cache->bytes -= dt_dev_buffer_bytes(line->buffer);
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

static gboolean _is_same(const dt_iop_roi_t *a, const dt_iop_roi_t *b)
{
  return a->x == b->x && a->y == b->y && a->width == b->width && a->height == b->height
         && a->scale == b->scale;
}

dt_dev_buffer_t *dt_dev_cache_find(dt_dev_cache_t *cache, guint64 hash, const dt_iop_roi_t *roi)
{
  for(GList *link = cache->lines.head; link; link = link->next)
  {
    const _line_t *line = link->data;
    if(line->hash != hash || !_is_same(&line->buffer->roi, roi)) continue;
    g_queue_unlink(&cache->lines, link);
    g_queue_push_head_link(&cache->lines, link);
    return dt_dev_buffer_ref(line->buffer);
  }
  return NULL;
}

void dt_dev_cache_keep(dt_dev_cache_t *cache, guint64 hash, dt_dev_buffer_t *buffer)
{
  const guint64 bytes = dt_dev_buffer_bytes(buffer);
  if(bytes > cache->limit) return;
  _shrink(cache, cache->limit - bytes, FALSE);
  if(_is_preferred(cache, hash)) _shrink(cache, cache->limit - bytes, TRUE);
  if(cache->bytes > cache->limit - bytes) return;
  _line_t *line = g_new(_line_t, 1);
  *line = (_line_t){ hash, dt_dev_buffer_ref(buffer) };
  g_queue_push_head(&cache->lines, line);
  cache->bytes += bytes;
}
