/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Three stages and a ring of slots. One mutex, one condition variable, three counters: items move
 * through "prepared", "run" and "finished", and every wait is for one of the counters to move. */
#include "ai/pipeline.h"

#include <pthread.h>

typedef struct _pipeline_t
{
  const dt_pipeline_ops_t *ops;
  void *data;
  int items, slots;
  GCancellable *cancellable;
  pthread_mutex_t lock;
  pthread_cond_t moved;
  int prepared;     /* items whose prepare() is done, in order */
  int taken;        /* items a worker has begun, in order */
  gboolean *is_run; /* per slot: its item has been run and waits for finish() */
  int finished;     /* items whose finish() is done, in order */
  gboolean stop;
  GError *error; /* the first */
} _pipeline_t;

static void _stop(_pipeline_t *p, GError *error)
{
  pthread_mutex_lock(&p->lock);
  p->stop = TRUE;
  if(!p->error)
    p->error = error;
  else
    g_clear_error(&error);
  pthread_cond_broadcast(&p->moved);
  pthread_mutex_unlock(&p->lock);
}

/* One step of a stage outside the lock; FALSE stops the pipeline. */
static gboolean _step(_pipeline_t *p, gboolean (*stage)(void *, int, int, GError **), int item)
{
  GError *error = NULL;
  if(p->cancellable && g_cancellable_is_cancelled(p->cancellable))
    g_set_error(&error, DT_AI_ERROR, DT_AI_ERROR_CANCELLED, "Cancelled.");
  else if(stage(p->data, item, item % p->slots, &error))
    return TRUE;
  _stop(p, error);
  return FALSE;
}

static void *_prepare_all(void *data)
{
  _pipeline_t *p = data;
  for(int item = 0; item < p->items; item++)
  {
    pthread_mutex_lock(&p->lock);
    while(!p->stop && item - p->finished >= p->slots) pthread_cond_wait(&p->moved, &p->lock);
    const gboolean stop = p->stop;
    pthread_mutex_unlock(&p->lock);
    if(stop || !_step(p, p->ops->prepare, item)) break;
    pthread_mutex_lock(&p->lock);
    p->prepared = item + 1;
    pthread_cond_broadcast(&p->moved);
    pthread_mutex_unlock(&p->lock);
  }
  return NULL;
}

/* The next item for a worker, or -1 when there is none left. */
static int _take(_pipeline_t *p)
{
  pthread_mutex_lock(&p->lock);
  while(!p->stop && p->taken < p->items && p->taken >= p->prepared) pthread_cond_wait(&p->moved, &p->lock);
  const int item = p->stop || p->taken >= p->items ? -1 : p->taken++;
  pthread_mutex_unlock(&p->lock);
  return item;
}

static void *_run_some(void *data)
{
  _pipeline_t *p = data;
  for(int item; (item = _take(p)) >= 0;)
  {
    if(!_step(p, p->ops->run, item)) break;
    pthread_mutex_lock(&p->lock);
    p->is_run[item % p->slots] = TRUE;
    pthread_cond_broadcast(&p->moved);
    pthread_mutex_unlock(&p->lock);
  }
  return NULL;
}

static void _finish_all(_pipeline_t *p)
{
  for(int item = 0; item < p->items; item++)
  {
    const int slot = item % p->slots;
    pthread_mutex_lock(&p->lock);
    while(!p->stop && !p->is_run[slot]) pthread_cond_wait(&p->moved, &p->lock);
    const gboolean stop = p->stop;
    pthread_mutex_unlock(&p->lock);
    if(stop || !_step(p, p->ops->finish, item)) break;
    pthread_mutex_lock(&p->lock);
    p->is_run[slot] = FALSE;
    p->finished = item + 1;
    pthread_cond_broadcast(&p->moved);
    pthread_mutex_unlock(&p->lock);
  }
}

/* Starts a thread; when the system has none left the pipeline stops with that reason. */
static gboolean _start(_pipeline_t *p, pthread_t *thread, void *(*entry)(void *))
{
  const int code = pthread_create(thread, NULL, entry, p);
  if(code)
    _stop(p, g_error_new(DT_AI_ERROR, DT_AI_ERROR_FAILED,
                         "A thread could not be started: %s. Close other programs and try again.",
                         g_strerror(code)));
  return code == 0;
}

gboolean dt_pipeline_run(const dt_pipeline_ops_t *ops, void *data, int items, int slots, int workers,
                         GCancellable *cancellable, GError **error)
{
  _pipeline_t p = { .ops = ops, .data = data, .items = items, .slots = slots, .cancellable = cancellable };
  pthread_mutex_init(&p.lock, NULL);
  pthread_cond_init(&p.moved, NULL);
  p.is_run = g_new0(gboolean, (gsize)slots);
  pthread_t *threads = g_new0(pthread_t, (gsize)workers + 1);
  int started = 0;
  while(started <= workers && _start(&p, &threads[started], started ? _run_some : _prepare_all)) started++;
  _finish_all(&p);
  for(int i = 0; i < started; i++) pthread_join(threads[i], NULL);
  g_free(threads);
  g_free(p.is_run);
  pthread_cond_destroy(&p.moved);
  pthread_mutex_destroy(&p.lock);
  if(p.error) g_propagate_error(error, p.error);
  return p.finished == items;
}
