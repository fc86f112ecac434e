/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A thread with a list of jobs. Whoever waits for a job watches the clock of the job that is being done, whoever's it
 * is; when its time is up, the worker is marked lost, all others are told so, and nothing of it is freed any more. */
#include "common/opencl_worker.h"

#include "common/log.h"
#include "common/opencl_program.h"

#include <pthread.h>
#include <string.h>
#include <time.h>

typedef struct _job_t
{
  dt_opencl_work_t work;
  void *data;
  GDestroyNotify destroy;
  gint64 limit;   /* microseconds it may take */
  gboolean owned; /* by who waits, who frees it; else by the worker */
  dt_opencl_done_t done;
  void *user_data;
  gboolean over, fine;
  GError *error;
} _job_t;

struct dt_opencl_worker_t
{
  dt_opencl_queue_t queue;
  GHashTable *programs; /* cl_program by name; of the device's thread alone */
  GHashTable *refused;  /* GError by the name of the program that does not compile, likewise */
  GHashTable *kernels;  /* cl_kernel by "program/name", likewise */
  GHashTable *fresh; /* _fresh_t by the name of the program that was compiled and is not kept yet, likewise */
  dt_opencl_need_t need;
  void *user_data;
  pthread_t thread;
  pthread_mutex_t lock; /* of everything below */
  pthread_cond_t moved; /* a job came, or was done, or the end */
  GQueue jobs;          /* not begun */
  GQueue later;         /* the same, for when there is nothing else to do */
  _job_t *current;
  gint64 begun;  /* when the current job was */
  _job_t upkeep; /* the thread's own, between others' and at the end */
  gboolean stop, lost;
  gboolean over; /* the thread is at its end */
};

/* A program that was compiled. */
typedef struct _fresh_t
{
  char *key;     /* see dt_opencl_program_open() */
  gboolean used; /* a kernel of it was asked for */
} _fresh_t;

static void _free_fresh(gpointer data)
{
  _fresh_t *fresh = data;
  g_free(fresh->key);
  g_free(fresh);
}

static void _set_lost_error(const dt_opencl_worker_t *worker, GError **error)
{
  g_set_error(error, DT_AI_ERROR, DT_AI_ERROR_PROVIDER,
              "\"%s\" does not come back and was given up. It is used again after a restart of the program.",
              worker->queue.device->name);
}

/* --- kernels --- */

/* What does not compile now will not compile later: it is said once and remembered. */
static void _note_refusal(dt_opencl_worker_t *worker, const char *name, const GError *error)
{
  if(!g_error_matches(error, DT_AI_ERROR, DT_AI_ERROR_INPUT)) return;
  dt_log(DT_LOG_NOTICE, "%s", error->message);
  g_hash_table_insert(worker->refused, g_strdup(name), g_error_copy(error));
}

static cl_program _open_program(dt_opencl_queue_t *queue, const char *name, GError **error)
{
  dt_opencl_worker_t *worker = queue->worker;
  GError *reason = NULL;
  char *key;
  if(worker->need) worker->need(name, worker->user_data);
  cl_program program = dt_opencl_program_open(queue->cl, queue->context, queue->device, name, &key, &reason);
  if(program)
    g_hash_table_insert(worker->programs, g_strdup(name), program);
  else
  {
    _note_refusal(worker, name, reason);
    g_propagate_error(error, reason);
  }
  if(key)
  {
    _fresh_t *fresh = g_new(_fresh_t, 1);
    *fresh = (_fresh_t){ .key = key };
    g_hash_table_insert(worker->fresh, g_strdup(name), fresh);
  }
  return program;
}

static cl_program _program(dt_opencl_queue_t *queue, const char *name, GError **error)
{
  cl_program program = g_hash_table_lookup(queue->worker->programs, name);
  const GError *refused = program ? NULL : g_hash_table_lookup(queue->worker->refused, name);
  if(refused) g_propagate_error(error, g_error_copy(refused));
  return program || refused ? program : _open_program(queue, name, error);
}

gboolean dt_opencl_compile(dt_opencl_queue_t *queue, const char *program, GError **error)
{
  return _program(queue, program, error) != NULL;
}

static cl_kernel _create_kernel(dt_opencl_queue_t *queue, const char *program, const char *name,
                                GError **error)
{
  cl_program handle = _program(queue, program, error);
  if(!handle) return NULL;
  _fresh_t *fresh = g_hash_table_lookup(queue->worker->fresh, program);
  if(fresh) fresh->used = TRUE;
  cl_int code = CL_SUCCESS;
  cl_kernel kernel = queue->cl->CreateKernel(handle, name, &code);
  return dt_opencl_check(code, "clCreateKernel", error) ? kernel : NULL;
}

cl_kernel dt_opencl_kernel(dt_opencl_queue_t *queue, const char *program, const char *name, GError **error)
{
  char *key = g_strconcat(program, "/", name, NULL);
  cl_kernel kernel = g_hash_table_lookup(queue->worker->kernels, key);
  if(!kernel)
  {
    kernel = _create_kernel(queue, program, name, error);
    if(kernel) g_hash_table_insert(queue->worker->kernels, g_strdup(key), kernel);
  }
  g_free(key);
  return kernel;
}

/* Those that were used, since what drivers make of them by then is worth keeping as well; at the end all. */
static void _keep_programs(dt_opencl_worker_t *worker, gboolean all)
{
  GHashTableIter iter;
  gpointer name, value;
  g_hash_table_iter_init(&iter, worker->fresh);
  while(g_hash_table_iter_next(&iter, &name, &value))
  {
    const _fresh_t *fresh = value;
    if(!all && !fresh->used) continue;
    dt_opencl_program_keep(worker->queue.cl, worker->queue.device, name, fresh->key,
                           g_hash_table_lookup(worker->programs, name));
    g_hash_table_iter_remove(&iter);
  }
}

static void _release_kernels(dt_opencl_worker_t *worker)
{
  GHashTableIter iter;
  gpointer value;
  g_hash_table_iter_init(&iter, worker->kernels);
  while(g_hash_table_iter_next(&iter, NULL, &value)) worker->queue.cl->ReleaseKernel(value);
  g_hash_table_iter_init(&iter, worker->programs);
  while(g_hash_table_iter_next(&iter, NULL, &value)) worker->queue.cl->ReleaseProgram(value);
  g_hash_table_remove_all(worker->kernels);
  g_hash_table_remove_all(worker->programs);
  g_hash_table_remove_all(worker->fresh);
}

/* --- the device's thread --- */

/* A device that could not be opened is tried again by the next job. */
static gboolean _open(dt_opencl_queue_t *queue, GError **error)
{
  cl_int code = CL_SUCCESS;
  if(!queue->context)
    queue->context = queue->cl->CreateContext(NULL, 1, &queue->device->id, NULL, NULL, &code);
  if(!dt_opencl_check(code, "clCreateContext", error)) return FALSE;
  if(!queue->queue) queue->queue = queue->cl->CreateCommandQueue(queue->context, queue->device->id, 0, &code);
  return dt_opencl_check(code, "clCreateCommandQueue", error);
}

static void _close(dt_opencl_worker_t *worker)
{
  dt_opencl_queue_t *queue = &worker->queue;
  _release_kernels(worker);
  if(queue->queue) queue->cl->ReleaseCommandQueue(queue->queue);
  if(queue->context) queue->cl->ReleaseContext(queue->context);
  queue->queue = NULL;
  queue->context = NULL;
}

gboolean dt_opencl_reopen(dt_opencl_queue_t *queue, GError **error)
{
  _close(queue->worker);
  return _open(queue, error);
}

static void _free_job(_job_t *job)
{
  if(job->destroy) job->destroy(job->data);
  g_clear_error(&job->error);
  g_free(job);
}

/* The next job, or NULL at the end. */
static _job_t *_take(dt_opencl_worker_t *worker)
{
  pthread_mutex_lock(&worker->lock);
  while(!worker->stop && !worker->lost && g_queue_is_empty(&worker->jobs) && g_queue_is_empty(&worker->later))
    pthread_cond_wait(&worker->moved, &worker->lock);
  GQueue *next = g_queue_is_empty(&worker->jobs) ? &worker->later : &worker->jobs;
  worker->current = worker->stop || worker->lost ? NULL : g_queue_pop_head(next);
  worker->begun = g_get_monotonic_time();
  _job_t *job = worker->current;
  pthread_mutex_unlock(&worker->lock);
  return job;
}

/* Takes note of how @p job ended, and of @p error. Whoever owns it may free it from then on. @return FALSE: the device
 * was given up meanwhile, and nothing of the job may be touched */
static gboolean _put_down(dt_opencl_worker_t *worker, _job_t *job, gboolean fine, GError *error)
{
  pthread_mutex_lock(&worker->lock);
  worker->current = NULL;
  const gboolean lost = worker->lost;
  if(lost)
    g_clear_error(&error);
  else
  {
    job->fine = fine;
    job->error = error;
    job->over = TRUE;
  }
  pthread_cond_broadcast(&worker->moved);
  pthread_mutex_unlock(&worker->lock);
  return !lost;
}

/* What the thread does for itself is the driver's as well, and may hang like any work. @return FALSE: the device was given
 * up, nothing may be done */
static gboolean _begin_upkeep(dt_opencl_worker_t *worker)
{
  pthread_mutex_lock(&worker->lock);
  const gboolean lost = worker->lost;
  worker->current = lost ? NULL : &worker->upkeep;
  worker->begun = g_get_monotonic_time();
  pthread_mutex_unlock(&worker->lock);
  return !lost;
}

static void _end_upkeep(dt_opencl_worker_t *worker, gboolean over)
{
  pthread_mutex_lock(&worker->lock);
  worker->current = NULL;
  worker->over = over;
  pthread_cond_broadcast(&worker->moved);
  pthread_mutex_unlock(&worker->lock);
}

/* @return FALSE: the device was given up meanwhile */
static gboolean _do(dt_opencl_worker_t *worker, _job_t *job)
{
  const gboolean owned = job->owned;
  GError *error = NULL;
  const gboolean fine = _open(&worker->queue, &error) && job->work(&worker->queue, job->data, &error);
  if(!_put_down(worker, job, fine, error)) return FALSE;
  if(!owned)
  {
    if(job->done) job->done(job->fine, job->error, job->user_data);
    _free_job(job);
  }
  if(!fine || g_hash_table_size(worker->fresh) == 0) return TRUE;
  if(!_begin_upkeep(worker)) return FALSE;
  _keep_programs(worker, FALSE);
  _end_upkeep(worker, FALSE);
  return TRUE;
}

static void *_work(void *data)
{
  dt_opencl_worker_t *worker = data;
  for(_job_t *job; (job = _take(worker));)
    if(!_do(worker, job)) return NULL;
  if(!_begin_upkeep(worker)) return NULL;
  _keep_programs(worker, TRUE);
  _close(worker);
  _end_upkeep(worker, TRUE);
  return NULL;
}

static void _init_lock(dt_opencl_worker_t *worker)
{
  pthread_mutex_init(&worker->lock, NULL);
  pthread_condattr_t attributes;
  pthread_condattr_init(&attributes);
  pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
  pthread_cond_init(&worker->moved, &attributes);
  pthread_condattr_destroy(&attributes);
}

static void _free_worker(dt_opencl_worker_t *worker)
{
  for(_job_t *job; (job = g_queue_pop_head(&worker->jobs));) _free_job(job);
  for(_job_t *job; (job = g_queue_pop_head(&worker->later));) _free_job(job);
  pthread_cond_destroy(&worker->moved);
  pthread_mutex_destroy(&worker->lock);
  g_hash_table_destroy(worker->programs);
  g_hash_table_destroy(worker->refused);
  g_hash_table_destroy(worker->kernels);
  g_hash_table_destroy(worker->fresh);
  g_free(worker);
}

dt_opencl_worker_t *dt_opencl_worker_create(const dt_opencl_driver_t *driver,
                                            const dt_opencl_device_t *device, double seconds,
                                            dt_opencl_need_t need, void *user_data, GError **error)
{
  dt_opencl_worker_t *worker = g_new0(dt_opencl_worker_t, 1);
  worker->queue = (dt_opencl_queue_t){ .cl = driver, .device = device, .worker = worker };
  worker->programs = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
  worker->refused = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, (GDestroyNotify)g_error_free);
  worker->kernels = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
  worker->fresh = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, _free_fresh);
  worker->need = need;
  worker->user_data = user_data;
  worker->upkeep.limit = (gint64)(seconds * G_USEC_PER_SEC);
  g_queue_init(&worker->jobs);
  g_queue_init(&worker->later);
  _init_lock(worker);
  const int code = pthread_create(&worker->thread, NULL, _work, worker);
  if(code == 0) return worker;
  g_set_error(error, DT_AI_ERROR, DT_AI_ERROR_FAILED, "A thread for \"%s\" cannot be started: %s.",
              device->name, g_strerror(code));
  _free_worker(worker);
  return NULL;
}

/* --- waiting, with the lock --- */

/* What has begun is left to the driver, what has not is over. */
static void _lose(dt_opencl_worker_t *worker)
{
  if(worker->lost) return;
  worker->lost = TRUE;
  dt_log(DT_LOG_NOTICE, "OpenCL device \"%s\" does not come back and is given up.",
         worker->queue.device->name);
  pthread_cond_broadcast(&worker->moved);
}

/* For a while, or until something moves. A job that is late makes all that wait behind it late. */
static void _wait_a_while(dt_opencl_worker_t *worker)
{
  const gint64 late = worker->current ? worker->begun + worker->current->limit : G_MAXINT64;
  const gint64 until = MIN(late, g_get_monotonic_time() + G_USEC_PER_SEC);
  const struct timespec when = { .tv_sec = until / G_USEC_PER_SEC, .tv_nsec = until % G_USEC_PER_SEC * 1000 };
  pthread_cond_timedwait(&worker->moved, &worker->lock, &when);
  if(worker->current && g_get_monotonic_time() >= worker->begun + worker->current->limit) _lose(worker);
}

void dt_opencl_worker_stop(dt_opencl_worker_t *worker)
{
  if(!worker) return;
  pthread_mutex_lock(&worker->lock);
  worker->stop = TRUE;
  pthread_cond_broadcast(&worker->moved);
  pthread_mutex_unlock(&worker->lock);
}

gboolean dt_opencl_worker_destroy(dt_opencl_worker_t *worker)
{
  if(!worker) return TRUE;
  dt_opencl_worker_stop(worker);
  pthread_mutex_lock(&worker->lock);
  while(!worker->over && !worker->lost) _wait_a_while(worker);
  const gboolean over = worker->over;
  pthread_mutex_unlock(&worker->lock);
  if(over)
  {
    pthread_join(worker->thread, NULL);
    _free_worker(worker);
  }
  else
    pthread_detach(worker->thread);
  return over;
}

/* --- those who have work --- */

static _job_t *_new_job(dt_opencl_work_t work, void *data, GDestroyNotify destroy, double seconds)
{
  _job_t *job = g_new0(_job_t, 1);
  job->work = work;
  job->data = data;
  job->destroy = destroy;
  job->limit = (gint64)(seconds * G_USEC_PER_SEC);
  return job;
}

gboolean dt_opencl_worker_perform(dt_opencl_worker_t *worker, dt_opencl_work_t work, void *data,
                                  GDestroyNotify destroy, double seconds, GError **error)
{
  _job_t *job = _new_job(work, data, destroy, seconds);
  job->owned = TRUE;
  pthread_mutex_lock(&worker->lock);
  g_queue_push_tail(&worker->jobs, job);
  pthread_cond_broadcast(&worker->moved);
  while(!job->over && !worker->lost) _wait_a_while(worker);
  /* a job that the driver has is the driver's for ever */
  const gboolean left_behind = !job->over && worker->current == job;
  if(!job->over) g_queue_remove(&worker->jobs, job);
  const gboolean over = job->over;
  pthread_mutex_unlock(&worker->lock);
  const gboolean fine = over && job->fine;
  if(over && job->error)
    g_propagate_error(error, g_steal_pointer(&job->error));
  else if(!over)
    _set_lost_error(worker, error);
  if(!left_behind) _free_job(job);
  return fine;
}

void dt_opencl_worker_post(dt_opencl_worker_t *worker, gboolean later, dt_opencl_work_t work, void *data,
                           GDestroyNotify destroy, double seconds, dt_opencl_done_t done, void *user_data)
{
  _job_t *job = _new_job(work, data, destroy, seconds);
  job->done = done;
  job->user_data = user_data;
  pthread_mutex_lock(&worker->lock);
  const gboolean lost = worker->lost;
  if(!lost) g_queue_push_tail(later ? &worker->later : &worker->jobs, job);
  pthread_cond_broadcast(&worker->moved);
  pthread_mutex_unlock(&worker->lock);
  if(lost) _free_job(job);
}

gboolean dt_opencl_worker_is_lost(dt_opencl_worker_t *worker)
{
  pthread_mutex_lock(&worker->lock);
  const gboolean lost = worker->lost;
  pthread_mutex_unlock(&worker->lock);
  return lost;
}

void dt_opencl_worker_give_up(dt_opencl_worker_t *worker)
{
  pthread_mutex_lock(&worker->lock);
  _lose(worker);
  pthread_mutex_unlock(&worker->lock);
}
