/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The threads around the scheduler: who waits sleeps on a condition of its own, every event hands out the decisions that
 * follow from it, and nobody needs a clock of its own, because whoever waits wakes when the scheduler wants to look
 * again. */
#include "common/opencl.h"

#include "common/conf.h"
#include "common/log.h"
#include "common/opencl_probe.h"
#include "common/opencl_trace.h"

#include <pthread.h>
#include <time.h>

/* microseconds, see dt_opencl_rules_t */
#define AGEING (500 * 1000)
#define SET_ASIDE (1000 * 1000)
#define SET_ASIDE_LONGEST (60 * 1000 * 1000)
#define TIMEOUT_STEP 5000

struct dt_opencl_t
{
  dt_opencl_driver_t *loaded;       /* or NULL: the caller has one */
  const dt_opencl_driver_t *driver; /* in use, or NULL */
  GPtrArray *devices;               /* all of them */
  int n;                            /* used ones */
  dt_opencl_device_t **used;        /* by number */
  dt_opencl_worker_t **workers;
  char *absence, *why;
  dt_opencl_priorities_t *priorities;
  dt_opencl_trace_t *trace;
  double hang_seconds;
  gint64 patience;
  pthread_mutex_t lock; /* of the scheduler, the runs and what is given up */
  dt_opencl_scheduler_t *scheduler;
  GHashTable *waiting; /* runs that are not decided, by ticket */
  gint64 next;         /* when they were to be woken at the last event */
  gboolean *given_up;
  guint64 runs;                /* begun so far */
  pthread_mutex_t needed_lock; /* of the two below; taken after the other lock */
  GHashTable *needed;          /* names of programs, compiled for all devices as soon as one needs them */
  gboolean closing;            /* nothing more is handed to the workers; set with both locks, read with one */
};

struct dt_opencl_run_t
{
  dt_opencl_t *cl;
  guint64 number;
  dt_opencl_ticket_t ticket;
  const char *pipe; /* its name */
  char *image;
  gboolean nested;
  pthread_cond_t decided;
  gboolean is_decided; /* and so are the next three */
  dt_opencl_verdict_t verdict;
  dt_opencl_reason_t why;
  int device;  /* where it goes on; -1: the CPU */
  int granted; /* what it was given */
  gint64 waited, begun;
  gint64 left; /* when its device failed; 0: it did not */
  int tiles;
  gboolean failed;
  char *reason; /* the clause for people, or NULL */
};

/* --- decisions, with the lock --- */

static void _tested(gboolean fine, const GError *error, void *data);

/* What a test needs to tell whose it is. */
typedef struct _test_t
{
  dt_opencl_t *cl;
  int device;
} _test_t;

/* What made the device fail may have left its context useless for good, and nobody uses it now: a new one. */
static gboolean _test(dt_opencl_queue_t *queue, void *data, GError **error)
{
  (void)data;
  return dt_opencl_reopen(queue, error) && dt_opencl_probe(queue, NULL, error);
}

static void _begin_test(dt_opencl_t *cl, int device)
{
  _test_t *test = g_new(_test_t, 1);
  *test = (_test_t){ cl, device };
  dt_log(DT_LOG_OPENCL, "[opencl] device %d '%s' is tested", device, cl->used[device]->name);
  /* the worker frees it, also when the test never begins */
  dt_opencl_worker_post(cl->workers[device], FALSE, _test, test, g_free, cl->hang_seconds, _tested, test);
}

static void _tell(dt_opencl_t *cl, const dt_opencl_decision_t *decision)
{
  dt_opencl_run_t *run = g_hash_table_lookup(cl->waiting, &decision->ticket);
  if(!run) return;
  g_hash_table_remove(cl->waiting, &decision->ticket);
  run->is_decided = TRUE;
  run->verdict = decision->verdict;
  run->why = decision->reason;
  run->device = run->granted = decision->device;
  run->waited = decision->waited;
  pthread_cond_signal(&run->decided);
}

/* Who sleeps does so until the scheduler wants to look again; when that is sooner now, it has to know. */
static void _wake_earlier(dt_opencl_t *cl)
{
  if(g_hash_table_size(cl->waiting) == 0) return;
  const gint64 next = dt_opencl_scheduler_next(cl->scheduler), before = cl->next;
  cl->next = next;
  if(next >= before) return;
  GHashTableIter iter;
  gpointer run;
  g_hash_table_iter_init(&iter, cl->waiting);
  while(g_hash_table_iter_next(&iter, NULL, &run)) pthread_cond_signal(&((dt_opencl_run_t *)run)->decided);
}

/* Hands out what the scheduler has decided, after every event. */
static void _deliver(dt_opencl_t *cl)
{
  dt_opencl_decision_t decision;
  while(dt_opencl_scheduler_decide(cl->scheduler, &decision))
    if(decision.verdict == DT_OPENCL_TEST)
      _begin_test(cl, decision.device);
    else
      _tell(cl, &decision);
  for(int i = 0; i < cl->n; i++)
    if(!cl->given_up[i] && dt_opencl_scheduler_health(cl->scheduler, i) == DT_OPENCL_GIVEN_UP)
    {
      cl->given_up[i] = TRUE;
      dt_opencl_worker_give_up(cl->workers[i]);
    }
  _wake_earlier(cl);
}

/* On the device's thread. */
static void _tested(gboolean fine, const GError *error, void *data)
{
  _test_t *test = data;
  dt_opencl_t *cl = test->cl;
  dt_log(DT_LOG_OPENCL, "[opencl] device %d '%s' %s%s", test->device, cl->used[test->device]->name,
         fine ? "works again" : "still fails: ", fine ? "" : error->message);
  pthread_mutex_lock(&cl->lock);
  dt_opencl_scheduler_tested(cl->scheduler, g_get_monotonic_time(), test->device, fine);
  /* at the end other workers may be gone, and another device's test may be due */
  if(!cl->closing) _deliver(cl);
  pthread_mutex_unlock(&cl->lock);
}

/* --- programs for all devices --- */

static gboolean _compile(dt_opencl_queue_t *queue, void *data, GError **error)
{
  return dt_opencl_compile(queue, data, error);
}

static void _compiled(gboolean fine, const GError *error, void *data)
{
  (void)data;
  if(!fine) dt_log(DT_LOG_OPENCL, "[opencl] %s", error->message);
}

/* What one device needs, the others will. */
static void _need(const char *program, void *data)
{
  dt_opencl_t *cl = data;
  pthread_mutex_lock(&cl->needed_lock);
  if(!cl->closing && g_hash_table_add(cl->needed, g_strdup(program)))
    for(int i = 0; i < cl->n; i++)
      dt_opencl_worker_post(cl->workers[i], TRUE, _compile, g_strdup(program), g_free, cl->hang_seconds,
                            _compiled, NULL);
  pthread_mutex_unlock(&cl->needed_lock);
}

void dt_opencl_prepare(dt_opencl_t *cl, const char *program)
{
  _need(program, cl);
}

/* --- setting up --- */

static void _use_devices(dt_opencl_t *cl)
{
  cl->used = g_new0(dt_opencl_device_t *, cl->devices->len + 1);
  cl->workers = g_new0(dt_opencl_worker_t *, cl->devices->len + 1);
  for(guint i = 0; i < cl->devices->len; i++)
  {
    dt_opencl_device_t *device = cl->devices->pdata[i];
    if(device->number < 0) continue;
    cl->used[device->number] = device;
    cl->n = MAX(cl->n, device->number + 1);
  }
  cl->given_up = g_new0(gboolean, (gsize)cl->n + 1);
}

static gboolean _start_workers(dt_opencl_t *cl, GError **error)
{
  for(int i = 0; i < cl->n; i++)
  {
    cl->workers[i] = dt_opencl_worker_create(cl->driver, cl->used[i], cl->hang_seconds, _need, cl, error);
    if(!cl->workers[i]) return FALSE;
  }
  return TRUE;
}

static void _look_for_devices(dt_opencl_t *cl, const dt_opencl_opts_t *opts)
{
  GError *error = NULL;
  if(opts->driver)
    cl->devices = dt_opencl_devices_detect(opts->driver, opts->parts, &error);
  else
    cl->devices = dt_opencl_devices_open(opts->parts, &cl->loaded, &cl->absence);
  cl->driver = opts->driver ? opts->driver : cl->loaded;
  if(error) cl->absence = g_strdup(error->message);
  g_clear_error(&error);
  if(!cl->devices) cl->devices = g_ptr_array_new();
  _use_devices(cl);
}

static void _read_priorities(dt_opencl_t *cl)
{
  int n;
  dt_opencl_names_t *names = dt_opencl_devices_names(cl->devices, &n);
  char *text = dt_opencl_priority_in_force(&cl->why);
  cl->priorities = dt_opencl_priorities_parse(text, names, n);
  g_free(text);
  g_free(names);
}

static void _start_scheduler(dt_opencl_t *cl, const dt_opencl_opts_t *opts)
{
  cl->hang_seconds = (double)CLAMP(dt_conf_get_int(DT_CONF_OPENCL_HANG_SECONDS, 30), 1, 3600);
  cl->patience = CLAMP(dt_conf_get_int(DT_CONF_OPENCL_TIMEOUT, 400), 0, G_MAXINT) * TIMEOUT_STEP;
  const dt_opencl_rules_t rules = {
    .devices = cl->n,
    .patience = cl->patience,
    .ageing = AGEING,
    .set_aside = opts->set_aside ? opts->set_aside : SET_ASIDE,
    .set_aside_longest = SET_ASIDE_LONGEST,
    /* what the device does when the test is due may take as long as the test */
    .test_limit = (gint64)(2 * cl->hang_seconds * G_USEC_PER_SEC)
  };
  cl->scheduler = dt_opencl_scheduler_create(&rules, cl->priorities->orders);
}

dt_opencl_t *dt_opencl_create(const dt_opencl_opts_t *opts, GError **error)
{
  const dt_opencl_opts_t defaults = { 0 };
  if(!opts) opts = &defaults;
  dt_opencl_t *cl = g_new0(dt_opencl_t, 1);
  pthread_mutex_init(&cl->lock, NULL);
  pthread_mutex_init(&cl->needed_lock, NULL);
  cl->waiting = g_hash_table_new(g_int64_hash, g_int64_equal);
  cl->needed = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
  _look_for_devices(cl, opts);
  _read_priorities(cl);
  _start_scheduler(cl, opts);
  cl->trace = dt_opencl_trace_open(opts->trace, cl->n, error);
  if(cl->trace && _start_workers(cl, error)) return cl;
  dt_opencl_destroy(cl);
  return NULL;
}

static void _close_trace(dt_opencl_t *cl)
{
  const char **names = g_new0(const char *, (gsize)cl->n + 1);
  for(int i = 0; i < cl->n; i++) names[i] = cl->used[i]->name;
  dt_opencl_trace_close(cl->trace, names);
  g_free(names);
}

/* @return FALSE: a driver that hangs may come back to everything */
static gboolean _end_workers(dt_opencl_t *cl)
{
  pthread_mutex_lock(&cl->lock);
  pthread_mutex_lock(&cl->needed_lock);
  cl->closing = TRUE;
  pthread_mutex_unlock(&cl->needed_lock);
  pthread_mutex_unlock(&cl->lock);
  gboolean ended = TRUE;
  for(int i = 0; i < cl->n; i++) dt_opencl_worker_stop(cl->workers[i]);
  for(int i = 0; i < cl->n; i++) ended &= dt_opencl_worker_destroy(cl->workers[i]);
  return ended;
}

void dt_opencl_destroy(dt_opencl_t *cl)
{
  if(!cl) return;
  const gboolean ended = _end_workers(cl);
  _close_trace(cl);
  if(!ended) return;
  dt_opencl_scheduler_destroy(cl->scheduler);
  dt_opencl_priorities_free(cl->priorities);
  g_hash_table_destroy(cl->waiting);
  g_hash_table_destroy(cl->needed);
  pthread_mutex_destroy(&cl->needed_lock);
  pthread_mutex_destroy(&cl->lock);
  g_ptr_array_unref(cl->devices);
  dt_opencl_driver_destroy(cl->loaded);
  g_free(cl->given_up);
  g_free(cl->workers);
  g_free(cl->used);
  g_free(cl->absence);
  g_free(cl->why);
  g_free(cl);
}

/* --- what there is --- */

const char *dt_opencl_absence(const dt_opencl_t *cl)
{
  return cl->absence;
}

const char *dt_opencl_library(const dt_opencl_t *cl)
{
  return cl->driver ? cl->driver->path : NULL;
}

const GPtrArray *dt_opencl_devices(const dt_opencl_t *cl)
{
  return cl->devices;
}

const dt_opencl_device_t *dt_opencl_device(const dt_opencl_t *cl, int number)
{
  return number >= 0 && number < cl->n ? cl->used[number] : NULL;
}

const dt_opencl_priorities_t *dt_opencl_priorities(const dt_opencl_t *cl, const char **why)
{
  if(why) *why = cl->why;
  return cl->priorities;
}

dt_opencl_health_t dt_opencl_health(dt_opencl_t *cl, int number)
{
  pthread_mutex_lock(&cl->lock);
  const dt_opencl_health_t health = dt_opencl_scheduler_health(cl->scheduler, number);
  pthread_mutex_unlock(&cl->lock);
  return health;
}

/* --- waiting --- */

static dt_opencl_run_t *_new_run(dt_opencl_t *cl, const char *pipe)
{
  dt_opencl_run_t *run = g_new0(dt_opencl_run_t, 1);
  run->cl = cl;
  run->pipe = pipe;
  run->device = run->granted = -1;
  run->tiles = 1;
  pthread_condattr_t attributes;
  pthread_condattr_init(&attributes);
  pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
  pthread_cond_init(&run->decided, &attributes);
  pthread_condattr_destroy(&attributes);
  return run;
}

static void _free_run(dt_opencl_run_t *run)
{
  pthread_cond_destroy(&run->decided);
  g_free(run->image);
  g_free(run->reason);
  g_free(run);
}

static void _cancelled(GCancellable *cancellable, dt_opencl_run_t *run)
{
  (void)cancellable;
  dt_opencl_t *cl = run->cl;
  pthread_mutex_lock(&cl->lock);
  dt_opencl_scheduler_cancel(cl->scheduler, g_get_monotonic_time(), run->ticket);
  _deliver(cl);
  pthread_mutex_unlock(&cl->lock);
}

/* With the lock: until there is a decision. Wakes when time alone may bring one. */
static void _sleep(dt_opencl_run_t *run)
{
  dt_opencl_t *cl = run->cl;
  while(!run->is_decided)
  {
    const gint64 next = dt_opencl_scheduler_next(cl->scheduler);
    const struct timespec when = { .tv_sec = next / G_USEC_PER_SEC, .tv_nsec = next % G_USEC_PER_SEC * 1000 };
    if(next == G_MAXINT64)
      pthread_cond_wait(&run->decided, &cl->lock);
    else
      pthread_cond_timedwait(&run->decided, &cl->lock, &when);
    dt_opencl_scheduler_tick(cl->scheduler, g_get_monotonic_time());
    _deliver(cl);
  }
}

/* A run that cannot begin at once. Cancelling must not find the lock taken: it may happen while we connect to it. */
static void _wait(dt_opencl_run_t *run, GCancellable *cancellable)
{
  const gulong handler =
      cancellable ? g_cancellable_connect(cancellable, G_CALLBACK(_cancelled), run, NULL) : 0;
  pthread_mutex_lock(&run->cl->lock);
  _sleep(run);
  pthread_mutex_unlock(&run->cl->lock);
  if(handler) g_cancellable_disconnect(cancellable, handler);
}

/* With the lock: @p ticket is the run's. @return whether it is decided already */
static gboolean _enter(dt_opencl_run_t *run, dt_opencl_ticket_t ticket)
{
  if(!run->number) run->number = ++run->cl->runs;
  run->ticket = ticket;
  run->is_decided = FALSE;
  g_hash_table_insert(run->cl->waiting, &run->ticket, run);
  _deliver(run->cl);
  return run->is_decided;
}

static char *_explain(const dt_opencl_run_t *run)
{
  switch(run->why)
  {
  case DT_OPENCL_REASON_NO_DEVICE:
    return g_strdup(run->cl->absence ? run->cl->absence : "the priorities give it no device");
  case DT_OPENCL_REASON_BUSY: return g_strdup("its devices are busy");
  case DT_OPENCL_REASON_TIMEOUT:
    return g_strdup_printf("none of its devices was free within %.1f s", (double)run->cl->patience / 1e6);
  case DT_OPENCL_REASON_UNWELL: return g_strdup("its devices have failed and are set aside");
  case DT_OPENCL_REASON_PARENT: return g_strdup("the run it belongs to is on the CPU");
  case DT_OPENCL_REASON_NONE: break;
  }
  return NULL;
}

static gboolean _is_over(const dt_opencl_run_t *run, GError **error)
{
  if(run->verdict == DT_OPENCL_REPLACED)
    g_set_error(error, DT_AI_ERROR, DT_AI_ERROR_CANCELLED, "A newer run of the %s pipe took its place.",
                run->pipe);
  else if(run->verdict == DT_OPENCL_CANCELLED)
    g_set_error(error, DT_AI_ERROR, DT_AI_ERROR_CANCELLED, "Cancelled.");
  else
    return FALSE;
  return TRUE;
}

/* --- runs --- */

dt_opencl_run_t *dt_opencl_run_begin(dt_opencl_t *cl, const dt_opencl_run_opts_t *opts, GError **error)
{
  dt_opencl_run_t *run = _new_run(cl, dt_opencl_pipe_name(opts->pipe));
  run->image = g_strdup(opts->image);
  run->nested = opts->parent != NULL;
  pthread_mutex_lock(&cl->lock);
  const gboolean decided =
      _enter(run, dt_opencl_scheduler_request(cl->scheduler, g_get_monotonic_time(), opts->pipe,
                                              opts->parent ? opts->parent->ticket : 0));
  pthread_mutex_unlock(&cl->lock);
  if(!decided) _wait(run, opts->cancellable);
  if(_is_over(run, error))
  {
    _free_run(run);
    return NULL;
  }
  run->begun = dt_opencl_trace_now(cl->trace);
  run->reason = _explain(run);
  return run;
}

int dt_opencl_run_device(const dt_opencl_run_t *run)
{
  return run->device;
}

const char *dt_opencl_run_reason(const dt_opencl_run_t *run)
{
  return run->reason;
}

void dt_opencl_run_set_tiles(dt_opencl_run_t *run, int tiles)
{
  run->tiles = tiles;
}

void dt_opencl_run_fall_back(dt_opencl_run_t *run, const char *reason)
{
  g_free(run->reason);
  run->reason = g_strdup(reason);
}

/* Its device failed: it is taken from the run, which goes on. */
static void _fail(dt_opencl_run_t *run, const GError *why)
{
  dt_opencl_t *cl = run->cl;
  const gboolean hung = dt_opencl_worker_is_lost(cl->workers[run->device]);
  /* before the scheduler can give the device to the next one */
  run->left = dt_opencl_trace_now(cl->trace);
  pthread_mutex_lock(&cl->lock);
  dt_opencl_scheduler_fall_back(cl->scheduler, g_get_monotonic_time(), run->ticket,
                                hung ? DT_OPENCL_HUNG : DT_OPENCL_FAILED);
  _deliver(cl);
  pthread_mutex_unlock(&cl->lock);
  if(!hung)
    dt_log(DT_LOG_NOTICE,
           "OpenCL device \"%s\" failed and is set aside for a while; the %s goes on on the CPU. %s",
           cl->used[run->device]->name, run->pipe, why->message);
  run->device = -1;
  run->failed = TRUE;
  dt_opencl_run_fall_back(run, why->message);
}

gboolean dt_opencl_run_perform(dt_opencl_run_t *run, dt_opencl_work_t work, void *data,
                               GDestroyNotify destroy, GError **error)
{
  GError *why = NULL;
  if(run->device < 0)
  {
    if(destroy) destroy(data);
    g_set_error(error, DT_AI_ERROR, DT_AI_ERROR_PROVIDER, "The run has no OpenCL device: %s.", run->reason);
    return FALSE;
  }
  if(dt_opencl_worker_perform(run->cl->workers[run->device], work, data, destroy, run->cl->hang_seconds,
                              &why))
    return TRUE;
  if(g_error_matches(why, DT_AI_ERROR, DT_AI_ERROR_PROVIDER)) _fail(run, why);
  g_propagate_error(error, why);
  return FALSE;
}

static void _release(dt_opencl_run_t *run)
{
  dt_opencl_t *cl = run->cl;
  pthread_mutex_lock(&cl->lock);
  dt_opencl_scheduler_release(cl->scheduler, g_get_monotonic_time(), run->ticket, DT_OPENCL_OK);
  _deliver(cl);
  pthread_mutex_unlock(&cl->lock);
}

/* Written before the device is free, so that lines of one device never overlap. */
static void _trace(const dt_opencl_run_t *run)
{
  const dt_opencl_t *cl = run->cl;
  const gint64 now = dt_opencl_trace_now(cl->trace), left = run->left ? run->left : now;
  const dt_opencl_event_t event = { .run = run->number,
                                    .pipe = run->pipe,
                                    .image = run->image,
                                    .device = run->granted,
                                    .device_name = run->granted >= 0 ? cl->used[run->granted]->name : NULL,
                                    .nested = run->nested,
                                    .begun = run->begun,
                                    .waited = run->waited,
                                    .ran = now - run->begun,
                                    .held = run->granted >= 0 ? left - run->begun : 0,
                                    .tiles = run->tiles,
                                    .failed = run->failed,
                                    .reason = run->reason };
  dt_opencl_trace_add(cl->trace, &event);
}

void dt_opencl_run_end(dt_opencl_run_t *run)
{
  if(!run) return;
  _trace(run);
  _release(run);
  _free_run(run);
}

/* --- work that is not OpenCL's --- */

static const dt_opencl_device_t *_find_pci(const dt_opencl_t *cl, const char *pci)
{
  for(int i = 0; i < cl->n; i++)
    if(pci && g_strcmp0(cl->used[i]->pci, pci) == 0) return cl->used[i];
  return NULL;
}

static void _claim(dt_opencl_run_t *run, int device, GCancellable *cancellable)
{
  dt_opencl_t *cl = run->cl;
  pthread_mutex_lock(&cl->lock);
  const gboolean decided =
      _enter(run, dt_opencl_scheduler_claim(cl->scheduler, g_get_monotonic_time(), device));
  pthread_mutex_unlock(&cl->lock);
  if(!decided) _wait(run, cancellable);
  run->begun = dt_opencl_trace_now(cl->trace);
  g_free(run->reason);
  run->reason = _explain(run);
}

dt_opencl_run_t *dt_opencl_claim(dt_opencl_t *cl, const char *pci, GCancellable *cancellable)
{
  const dt_opencl_device_t *device = cl ? _find_pci(cl, pci) : NULL;
  return device ? dt_opencl_claim_device(cl, device->number, cancellable) : NULL;
}

dt_opencl_run_t *dt_opencl_claim_device(dt_opencl_t *cl, int device, GCancellable *cancellable)
{
  dt_opencl_run_t *run = _new_run(cl, "claim");
  _claim(run, device, cancellable);
  if(run->verdict == DT_OPENCL_GRANTED) return run;
  if(run->verdict == DT_OPENCL_CPU) _release(run);
  _free_run(run);
  return NULL;
}

void dt_opencl_claim_yield(dt_opencl_run_t *claim)
{
  if(!claim || claim->device < 0) return;
  dt_opencl_t *cl = claim->cl;
  const int device = claim->device;
  pthread_mutex_lock(&cl->lock);
  const gboolean wanted = dt_opencl_scheduler_is_wanted(cl->scheduler, device);
  pthread_mutex_unlock(&cl->lock);
  if(!wanted) return;
  _trace(claim);
  _release(claim);
  _claim(claim, device, NULL);
}
