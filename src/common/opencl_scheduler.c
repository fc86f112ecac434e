/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Who gets which OpenCL device: a table of requests, a queue of those that wait, and the devices.
 *
 * Between two calls nobody waits who could be told something. Therefore a new request is judged alone, and when a
 * device or a pipe's turn becomes free all are judged, in the order of the queue. The place in the queue is a number
 * that never changes, so that waiting costs nothing. */
#include "common/opencl_scheduler.h"

enum
{
  PLACE_BITS = 24, ///< of a ticket: where its request lies in the table; the bits above count up
  NOWHERE = G_MAXUINT
};

typedef struct _request_t
{
  dt_opencl_ticket_t ticket; ///< 0: vacant
  gint64 key;                ///< the smallest is served first,
  dt_opencl_ticket_t
      elder; ///< then the smallest of these: the ticket, or that of the first whose place it has
  gint64 asked;
  gint64 deadline;       ///< once it is admitted
  dt_opencl_pipe_t pipe; ///< DT_OPENCL_PIPES: a claim
  int device;            ///< that it holds or, a claim that waits, that it wants; -1: none
  guint next;            ///< vacant: the next that is
  gboolean admitted;     ///< it is its pipe's turn, it only lacks a device
  gboolean runs;         ///< it was told where
} _request_t;

typedef struct _device_t
{
  dt_opencl_health_t health;
  int holders;     ///< a run and those nested in it
  gboolean failed; ///< for one of them
  int strikes;
  gint64 until; ///< the end of being set aside, or the end of patience with its test
} _device_t;

struct dt_opencl_scheduler_t
{
  dt_opencl_rules_t rules;
  gint64 now; ///< never goes back
  gint64 due; ///< before that, time alone changes nothing
  _device_t *devices;
  dt_opencl_order_t orders[DT_OPENCL_PIPES];
  dt_opencl_ticket_t turns[DT_OPENCL_PIPES + 1]; ///< who runs, of the pipes that run one at a time
  GArray *requests;                              ///< of _request_t
  guint vacant;                                  ///< the first place that is, or NOWHERE
  guint64 count;                                 ///< of requests ever made
  GArray *queue;                                 ///< of guint: places of those that wait, by key, then elder
  GArray *decisions;
  guint told; ///< of them, those that were taken
};

/* Of those that wait: how many times the ageing they come later. The last one is a claim's. */
static const int _ranks[DT_OPENCL_PIPES + 1] = {
  [DT_OPENCL_FULL] = 0,      [DT_OPENCL_PREVIEW] = 1, [DT_OPENCL_PREVIEW2] = 2,
  [DT_OPENCL_THUMBNAIL] = 3, [DT_OPENCL_EXPORT] = 4,  [DT_OPENCL_PIPES] = 4
};

static gboolean _is_single(dt_opencl_pipe_t pipe)
{
  return pipe == DT_OPENCL_FULL || pipe == DT_OPENCL_PREVIEW || pipe == DT_OPENCL_PREVIEW2;
}

/* G_MAXINT64 is never. */
static gint64 _later(gint64 time, gint64 duration)
{
  gint64 sum;
  return __builtin_add_overflow(time, duration, &sum) ? G_MAXINT64 : sum;
}

// --- the table of requests -----------------------------------------------------------------------

static _request_t *_at(const dt_opencl_scheduler_t *s, guint place)
{
  return &g_array_index(s->requests, _request_t, place);
}

static guint _place(dt_opencl_ticket_t ticket)
{
  return (guint)(ticket & ((1U << PLACE_BITS) - 1));
}

static _request_t *_find(const dt_opencl_scheduler_t *s, dt_opencl_ticket_t ticket)
{
  const guint place = _place(ticket);
  if(ticket == 0 || place >= s->requests->len) return NULL;
  _request_t *request = _at(s, place);
  return request->ticket == ticket ? request : NULL;
}

static _request_t *_add(dt_opencl_scheduler_t *s, dt_opencl_pipe_t pipe)
{
  guint place = s->vacant;
  if(place == NOWHERE)
  {
    place = s->requests->len;
    g_array_set_size(s->requests, place + 1);
  }
  else
    s->vacant = _at(s, place)->next;
  const dt_opencl_ticket_t ticket = ++s->count << PLACE_BITS | place;
  *_at(s, place) = (_request_t){ .ticket = ticket,
                                 .key = _later(s->now, _ranks[pipe] * s->rules.ageing),
                                 .elder = ticket,
                                 .asked = s->now,
                                 .pipe = pipe,
                                 .device = -1 };
  return _at(s, place);
}

static void _vacate(dt_opencl_scheduler_t *s, _request_t *request)
{
  const guint place = _place(request->ticket);
  request->ticket = 0;
  request->next = s->vacant;
  s->vacant = place;
}

static void _tell(dt_opencl_scheduler_t *s, const _request_t *request, dt_opencl_verdict_t verdict,
                  dt_opencl_reason_t reason)
{
  const dt_opencl_decision_t decision = { .ticket = request->ticket,
                                          .verdict = verdict,
                                          .device = verdict == DT_OPENCL_GRANTED ? request->device : -1,
                                          .reason = reason,
                                          .waited = s->now - request->asked };
  g_array_append_val(s->decisions, decision);
}

// --- the queue -----------------------------------------------------------------------------------

static _request_t *_queued(const dt_opencl_scheduler_t *s, guint i)
{
  return _at(s, g_array_index(s->queue, guint, i));
}

static gboolean _is_before(const _request_t *a, const _request_t *b)
{
  return a->key != b->key ? a->key < b->key : a->elder < b->elder;
}

static void _enqueue(dt_opencl_scheduler_t *s, const _request_t *request)
{
  const guint place = _place(request->ticket);
  guint low = 0, high = s->queue->len;
  while(low < high)
  {
    const guint middle = low + (high - low) / 2;
    if(_is_before(_queued(s, middle), request))
      low = middle + 1;
    else
      high = middle;
  }
  g_array_insert_val(s->queue, low, place);
}

/* Who waits is over before it was told a place to run. */
static void _end_waiting(dt_opencl_scheduler_t *s, guint i, dt_opencl_verdict_t verdict)
{
  _request_t *request = _queued(s, i);
  _tell(s, request, verdict, DT_OPENCL_REASON_NONE);
  _vacate(s, request);
  g_array_remove_index(s->queue, i);
}

static void _cancel(dt_opencl_scheduler_t *s, const _request_t *request)
{
  guint i = 0;
  while(_queued(s, i) != request) i++;
  _end_waiting(s, i, DT_OPENCL_CANCELLED);
}

/* The newer request stands where the older one stood, and has waited for a device as long: a user who keeps dragging a
 * slider would otherwise start anew with every picture, and never get there. */
static void _replace_older(dt_opencl_scheduler_t *s, _request_t *newer)
{
  for(guint i = 0; i < s->queue->len; i++)
  {
    const _request_t *older = _queued(s, i);
    if(older->pipe != newer->pipe) continue;
    newer->key = older->key;
    newer->elder = older->elder;
    newer->admitted = older->admitted;
    newer->deadline = older->deadline;
    _end_waiting(s, i, DT_OPENCL_REPLACED);
    return;
  }
}

// --- the devices ---------------------------------------------------------------------------------

static void _set_aside(dt_opencl_scheduler_t *s, _device_t *device)
{
  const gint64 longest = s->rules.set_aside_longest;
  const int doublings = MIN(device->strikes, 62);
  const gboolean most = s->rules.set_aside > longest >> doublings;
  device->strikes++;
  device->health = DT_OPENCL_SET_ASIDE;
  device->until = _later(s->now, most ? longest : s->rules.set_aside << doublings);
  s->due = MIN(s->due, device->until);
}

/* Only now is the device nobody's: what is nested in a run works in the same queue, with the same buffers. */
static void _settle(dt_opencl_scheduler_t *s, _device_t *device)
{
  const gboolean failed = device->failed;
  device->failed = FALSE;
  if(failed)
    _set_aside(s, device);
  else
  {
    device->strikes = MAX(0, device->strikes - 1);
    device->health = DT_OPENCL_FREE;
  }
}

static void _hold(dt_opencl_scheduler_t *s, int number)
{
  s->devices[number].health = DT_OPENCL_BUSY;
  s->devices[number].holders++;
}

static void _give_back(dt_opencl_scheduler_t *s, _request_t *request, dt_opencl_outcome_t outcome)
{
  if(request->device < 0) return;
  _device_t *device = &s->devices[request->device];
  request->device = -1;
  device->holders--;
  /* nobody can know when the driver will touch again what it was given: for good, and at once */
  if(outcome == DT_OPENCL_HUNG) device->health = DT_OPENCL_GIVEN_UP;
  device->failed |= outcome == DT_OPENCL_FAILED;
  if(device->holders == 0 && device->health == DT_OPENCL_BUSY) _settle(s, device);
}

/* A device set aside comes back by way of a test; a test that does not come back is a hang. */
static void _age(dt_opencl_scheduler_t *s, int number)
{
  _device_t *device = &s->devices[number];
  if(device->health == DT_OPENCL_SET_ASIDE && s->now >= device->until)
  {
    const dt_opencl_decision_t test = { .verdict = DT_OPENCL_TEST, .device = number };
    g_array_append_val(s->decisions, test);
    device->health = DT_OPENCL_TESTING;
    device->until = _later(s->now, s->rules.test_limit);
  }
  else if(device->health == DT_OPENCL_TESTING && s->now >= device->until)
    device->health = DT_OPENCL_GIVEN_UP;
  if(device->health == DT_OPENCL_SET_ASIDE || device->health == DT_OPENCL_TESTING)
    s->due = MIN(s->due, device->until);
}

// --- judging -------------------------------------------------------------------------------------

static dt_opencl_order_t _order(const dt_opencl_scheduler_t *s, _request_t *request)
{
  if(request->pipe < DT_OPENCL_PIPES) return s->orders[request->pipe];
  const gboolean exists = request->device >= 0 && request->device < s->rules.devices;
  return (dt_opencl_order_t){ .devices = &request->device, .n = exists, .mandatory = TRUE };
}

static int _first_with(const dt_opencl_scheduler_t *s, dt_opencl_order_t order, dt_opencl_health_t health)
{
  for(int i = 0; i < order.n; i++)
    if(s->devices[order.devices[i]].health == health) return order.devices[i];
  return -1;
}

/* Whether one of the devices may become free before @p deadline. A wait that cannot end well is not begun, since the
 * user would wait for nothing, and an export of a hundred pictures a hundred times. */
static gboolean _is_hopeful(const dt_opencl_scheduler_t *s, dt_opencl_order_t order, gint64 deadline)
{
  for(int i = 0; i < order.n; i++)
  {
    const _device_t *device = &s->devices[order.devices[i]];
    const gboolean aside = device->health == DT_OPENCL_SET_ASIDE && device->until >= deadline;
    if(device->health != DT_OPENCL_GIVEN_UP && !aside) return TRUE;
  }
  return FALSE;
}

/* Why a request none of whose devices is free goes to the CPU; DT_OPENCL_REASON_NONE: it waits. */
static dt_opencl_reason_t _refusal(const dt_opencl_scheduler_t *s, dt_opencl_order_t order, gint64 deadline)
{
  if(order.n == 0) return DT_OPENCL_REASON_NO_DEVICE;
  /* the processor at once is the promise of an order without `+`: it never waits for a device */
  if(!order.mandatory)
    return _first_with(s, order, DT_OPENCL_BUSY) >= 0 ? DT_OPENCL_REASON_BUSY : DT_OPENCL_REASON_UNWELL;
  if(!_is_hopeful(s, order, deadline)) return DT_OPENCL_REASON_UNWELL;
  return s->now >= deadline ? DT_OPENCL_REASON_TIMEOUT : DT_OPENCL_REASON_NONE;
}

/* On @p device, or on the CPU when that is -1. */
static void _start(dt_opencl_scheduler_t *s, _request_t *request, int device, dt_opencl_reason_t reason)
{
  request->runs = TRUE;
  request->device = device;
  if(device >= 0) _hold(s, device);
  _tell(s, request, device >= 0 ? DT_OPENCL_GRANTED : DT_OPENCL_CPU, reason);
}

/* Tells the request where it runs, if that can be told now. */
static gboolean _serve(dt_opencl_scheduler_t *s, _request_t *request)
{
  if(s->turns[request->pipe]) return FALSE;
  const dt_opencl_order_t order = _order(s, request);
  /* patience is for the devices; how long the run before it takes is no fault of theirs */
  if(!request->admitted) request->deadline = _later(s->now, s->rules.patience);
  request->admitted = TRUE;
  const int device = _first_with(s, order, DT_OPENCL_FREE);
  const dt_opencl_reason_t reason =
      device >= 0 ? DT_OPENCL_REASON_NONE : _refusal(s, order, request->deadline);
  if(device < 0 && reason == DT_OPENCL_REASON_NONE)
  {
    s->due = MIN(s->due, request->deadline);
    return FALSE;
  }
  _start(s, request, device, reason);
  if(_is_single(request->pipe)) s->turns[request->pipe] = request->ticket;
  if(request->pipe == DT_OPENCL_PIPES && device < 0) _vacate(s, request);
  return TRUE;
}

/* Once is enough: a grant makes no device free and takes nobody's hope, since who was granted it gives it back. */
static void _serve_all(dt_opencl_scheduler_t *s)
{
  guint kept = 0;
  for(guint i = 0; i < s->queue->len; i++)
    if(!_serve(s, _queued(s, i))) g_array_index(s->queue, guint, kept++) = g_array_index(s->queue, guint, i);
  if(kept < s->queue->len) g_array_set_size(s->queue, kept);
}

/* A nested run waits for nothing: what it would wait for is what its parent holds. */
static void _inherit(dt_opencl_scheduler_t *s, _request_t *request, int device)
{
  if(device < 0)
    _start(s, request, -1, DT_OPENCL_REASON_PARENT);
  else if(s->devices[device].health == DT_OPENCL_GIVEN_UP)
    _start(s, request, -1, DT_OPENCL_REASON_UNWELL);
  else
    _start(s, request, device, DT_OPENCL_REASON_NONE);
}

static dt_opencl_ticket_t _enter(dt_opencl_scheduler_t *s, _request_t *request)
{
  const dt_opencl_ticket_t ticket = request->ticket;
  if(!_serve(s, request)) _enqueue(s, request);
  return ticket;
}

static void _pass_time(dt_opencl_scheduler_t *s, gint64 now)
{
  s->now = MAX(s->now, now);
  if(s->now < s->due) return;
  s->due = G_MAXINT64;
  for(int i = 0; i < s->rules.devices; i++) _age(s, i);
  _serve_all(s);
}

// --- set up --------------------------------------------------------------------------------------

static gboolean _has(const dt_opencl_order_t *order, int device)
{
  int i = 0;
  while(i < order->n && order->devices[i] != device) i++;
  return i < order->n;
}

static void _copy_orders(dt_opencl_scheduler_t *s, const dt_opencl_order_t *orders)
{
  for(int pipe = 0; pipe < DT_OPENCL_PIPES; pipe++)
  {
    dt_opencl_order_t *to = &s->orders[pipe];
    to->n = 0;
    to->mandatory = orders[pipe].mandatory;
    for(int i = 0; i < orders[pipe].n; i++)
    {
      const int device = orders[pipe].devices[i];
      if(device >= 0 && device < s->rules.devices && !_has(to, device)) to->devices[to->n++] = device;
    }
  }
}

dt_opencl_scheduler_t *dt_opencl_scheduler_create(const dt_opencl_rules_t *rules,
                                                  const dt_opencl_order_t *orders)
{
  dt_opencl_scheduler_t *s = g_new0(dt_opencl_scheduler_t, 1);
  /* so that no key overflows; it is tens of thousands of years */
  s->rules = (dt_opencl_rules_t){ .devices = MAX(0, rules->devices),
                                  .patience = MAX(0, rules->patience),
                                  .ageing = CLAMP(rules->ageing, 0, G_MAXINT64 / 8),
                                  .set_aside = MAX(0, rules->set_aside),
                                  .set_aside_longest = MAX(0, rules->set_aside_longest),
                                  .test_limit = MAX(0, rules->test_limit) };
  s->due = G_MAXINT64;
  s->vacant = NOWHERE;
  s->devices = g_new0(_device_t, s->rules.devices);
  for(int pipe = 0; pipe < DT_OPENCL_PIPES; pipe++) s->orders[pipe].devices = g_new(int, s->rules.devices);
  s->requests = g_array_new(FALSE, FALSE, sizeof(_request_t));
  s->queue = g_array_new(FALSE, FALSE, sizeof(guint));
  s->decisions = g_array_new(FALSE, FALSE, sizeof(dt_opencl_decision_t));
  _copy_orders(s, orders);
  return s;
}

void dt_opencl_scheduler_destroy(dt_opencl_scheduler_t *s)
{
  if(!s) return;
  g_array_unref(s->requests);
  g_array_unref(s->queue);
  g_array_unref(s->decisions);
  for(int pipe = 0; pipe < DT_OPENCL_PIPES; pipe++) g_free(s->orders[pipe].devices);
  g_free(s->devices);
  g_free(s);
}

void dt_opencl_scheduler_set_orders(dt_opencl_scheduler_t *s, gint64 now, const dt_opencl_order_t *orders)
{
  _pass_time(s, now);
  _copy_orders(s, orders);
  _serve_all(s);
}

// --- events --------------------------------------------------------------------------------------

dt_opencl_ticket_t dt_opencl_scheduler_claim(dt_opencl_scheduler_t *s, gint64 now, int device)
{
  _pass_time(s, now);
  _request_t *request = _add(s, DT_OPENCL_PIPES);
  request->device = device;
  return _enter(s, request);
}

dt_opencl_ticket_t dt_opencl_scheduler_request(dt_opencl_scheduler_t *s, gint64 now, dt_opencl_pipe_t pipe,
                                               dt_opencl_ticket_t parent)
{
  if((guint)pipe >= DT_OPENCL_PIPES) return dt_opencl_scheduler_claim(s, now, -1);
  _pass_time(s, now);
  _request_t *request = _add(s, pipe);
  const _request_t *outer = _find(s, parent);
  if(outer && outer->runs)
  {
    _inherit(s, request, outer->device);
    return request->ticket;
  }
  if(_is_single(pipe)) _replace_older(s, request);
  return _enter(s, request);
}

void dt_opencl_scheduler_cancel(dt_opencl_scheduler_t *s, gint64 now, dt_opencl_ticket_t ticket)
{
  _pass_time(s, now);
  const _request_t *request = _find(s, ticket);
  if(request && !request->runs) _cancel(s, request);
}

void dt_opencl_scheduler_fall_back(dt_opencl_scheduler_t *s, gint64 now, dt_opencl_ticket_t ticket,
                                   dt_opencl_outcome_t outcome)
{
  _pass_time(s, now);
  _request_t *request = _find(s, ticket);
  if(!request || !request->runs) return;
  _give_back(s, request, outcome);
  _serve_all(s);
}

void dt_opencl_scheduler_release(dt_opencl_scheduler_t *s, gint64 now, dt_opencl_ticket_t ticket,
                                 dt_opencl_outcome_t outcome)
{
  _pass_time(s, now);
  _request_t *request = _find(s, ticket);
  if(!request) return;
  if(!request->runs)
  {
    _cancel(s, request);
    return;
  }
  _give_back(s, request, outcome);
  /* one that is nested never had its pipe's turn */
  if(s->turns[request->pipe] == ticket) s->turns[request->pipe] = 0;
  _vacate(s, request);
  _serve_all(s);
}

void dt_opencl_scheduler_tested(dt_opencl_scheduler_t *s, gint64 now, int number, gboolean works)
{
  _pass_time(s, now);
  if(dt_opencl_scheduler_health(s, number) != DT_OPENCL_TESTING) return;
  if(works)
    s->devices[number].health = DT_OPENCL_FREE;
  else
    _set_aside(s, &s->devices[number]);
  _serve_all(s);
}

void dt_opencl_scheduler_tick(dt_opencl_scheduler_t *s, gint64 now)
{
  _pass_time(s, now);
}

// --- questions -----------------------------------------------------------------------------------

gboolean dt_opencl_scheduler_decide(dt_opencl_scheduler_t *s, dt_opencl_decision_t *decision)
{
  if(s->told == s->decisions->len) return FALSE;
  *decision = g_array_index(s->decisions, dt_opencl_decision_t, s->told++);
  if(s->told == s->decisions->len)
  {
    g_array_set_size(s->decisions, 0);
    s->told = 0;
  }
  return TRUE;
}

dt_opencl_health_t dt_opencl_scheduler_health(const dt_opencl_scheduler_t *s, int device)
{
  return device >= 0 && device < s->rules.devices ? s->devices[device].health : DT_OPENCL_GIVEN_UP;
}

gboolean dt_opencl_scheduler_is_wanted(const dt_opencl_scheduler_t *s, int device)
{
  for(guint i = 0; i < s->queue->len; i++)
  {
    _request_t *request = _queued(s, i);
    const dt_opencl_order_t order = _order(s, request);
    if(request->admitted && _has(&order, device)) return TRUE;
  }
  return FALSE;
}

gint64 dt_opencl_scheduler_next(const dt_opencl_scheduler_t *s)
{
  gint64 next = G_MAXINT64;
  for(guint i = 0; i < s->queue->len; i++)
    if(_queued(s, i)->admitted) next = MIN(next, _queued(s, i)->deadline);
  for(int i = 0; i < s->rules.devices; i++)
  {
    const dt_opencl_health_t health = s->devices[i].health;
    /* nobody is woken for the sake of a device that nobody wants */
    if(health == DT_OPENCL_TESTING || (health == DT_OPENCL_SET_ASIDE && dt_opencl_scheduler_is_wanted(s, i)))
      next = MIN(next, s->devices[i].until);
  }
  return next;
}
