/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A million random events for the scheduler of OpenCL devices, each decision judged by a model that is kept beside.
 *
 * The model decides nothing. It knows who runs where and who waits, from the events and the decisions alone, and says
 * of each decision whether it was right there and then, and after each event whether somebody waits who should not. It
 * looks at everything every time, where the scheduler keeps queues and counts.
 *
 * That nobody starves is checked as a bound: a request that waits for a device is overtaken, on devices it could use,
 * by no more than those that waited when it came and those that came within (its rank x ageing) after it; one that
 * takes the place of another counts with it. DT_TEST_SEED lives one world again.
 *
 * A twin is told the events without the ticks between them, and has to decide the same. */
#include "support.h"

#include "common/opencl_scheduler.h"

#include <inttypes.h>
#include <string.h>

enum
{
  WORLD_EVENTS = 2000,
  MOST_DEVICES = 6,
  MOST_DECISIONS = 512
};

typedef enum _state_t
{
  WAITS,
  RUNS,
  OVER
} _state_t;

typedef struct _run_t
{
  dt_opencl_ticket_t ticket;
  dt_opencl_ticket_t root;  ///< the outermost that it is nested in, or itself
  dt_opencl_ticket_t elder; ///< the first whose place it has, or itself
  _state_t state;
  int pipe;   ///< DT_OPENCL_PIPES: a claim
  int wanted; ///< by a claim
  int device; ///< while it runs
  gboolean nested, takes_turn;
  gboolean admitted;
  gint64 asked, arrival, deadline;
  int ahead, overtaken;         ///< how many may be served before it, how many were
  dt_opencl_decision_t parents; ///< nested: what it is to be told
} _run_t;

typedef struct _card_t
{
  dt_opencl_health_t health; ///< BUSY is FREE with holders
  int holders, strikes;
  gboolean failed;
  gint64 until;
} _card_t;

typedef enum _kind_t
{
  REQUEST,
  CLAIM,
  CANCEL,
  RELEASE,
  FALL_BACK,
  TESTED,
  TICK,
  ORDERS,
  KINDS
} _kind_t;

typedef struct _event_t
{
  _kind_t kind;
  gint64 time;
  dt_opencl_ticket_t ticket; ///< REQUEST: the parent
  int number;                ///< the pipe or the device
  gboolean works;
  dt_opencl_outcome_t outcome;
} _event_t;

typedef struct _world_t
{
  uint64_t seed;
  int step;
  test_random_t random;
  dt_opencl_rules_t rules;
  dt_opencl_order_t orders[DT_OPENCL_PIPES];
  int devices[DT_OPENCL_PIPES][MOST_DEVICES];
  dt_opencl_scheduler_t *scheduler, *twin;
  GArray *runs; ///< of _run_t: those that wait or run, oldest first
  _card_t cards[MOST_DEVICES];
  gint64 now;
  _event_t event;                                 ///< the present one
  int hung;                                       ///< how many of a thousand runs hang
  int crowd;                                      ///< how many requests there are about
  dt_opencl_ticket_t last;                        ///< ever made
  dt_opencl_decision_t decisions[MOST_DECISIONS]; ///< of the present step
  int n_decisions;
} _world_t;

/* What was seen in all worlds: a test that never gets there tests nothing. */
static struct
{
  long verdicts[DT_OPENCL_TEST + 1], reasons[DT_OPENCL_REASON_PARENT + 1], healths[DT_OPENCL_GIVEN_UP + 1];
  long events[KINDS], nested, overtaken;
  int longest_queue;
} _seen;

static const int _ranks[] = { 0, 1, 4, 3, 2, 4 }; /* by pipe; the last one is a claim's */

#define _check(w, condition)                                                                                 \
  do                                                                                                         \
  {                                                                                                          \
    if(!(condition))                                                                                         \
      fail_msg("seed %" PRIu64 ", event %d, line %d: %s", (w)->seed, (w)->step, __LINE__, #condition);       \
  } while(0)

// --- what the model knows ------------------------------------------------------------------------

static gint64 _sum(gint64 time, gint64 duration)
{
  return duration > G_MAXINT64 - time ? G_MAXINT64 : time + duration;
}

static gboolean _is_single(int pipe)
{
  return pipe == DT_OPENCL_FULL || pipe == DT_OPENCL_PREVIEW || pipe == DT_OPENCL_PREVIEW2;
}

static _run_t *_run(const _world_t *w, guint i)
{
  return &g_array_index(w->runs, _run_t, i);
}

static _run_t *_find(const _world_t *w, dt_opencl_ticket_t ticket)
{
  for(guint i = 0; i < w->runs->len; i++)
    if(_run(w, i)->ticket == ticket) return _run(w, i);
  return NULL;
}

static dt_opencl_order_t _order(const _world_t *w, _run_t *run)
{
  if(run->pipe < DT_OPENCL_PIPES) return w->orders[run->pipe];
  const gboolean exists = run->wanted >= 0 && run->wanted < w->rules.devices;
  return (dt_opencl_order_t){ .devices = &run->wanted, .n = exists, .mandatory = TRUE };
}

static gboolean _wants(const _world_t *w, _run_t *run, int device)
{
  const dt_opencl_order_t order = _order(w, run);
  for(int i = 0; i < order.n; i++)
    if(order.devices[i] == device) return TRUE;
  return FALSE;
}

static gboolean _is_free(const _world_t *w, int device)
{
  return w->cards[device].health == DT_OPENCL_FREE && w->cards[device].holders == 0;
}

static int _first_free(const _world_t *w, _run_t *run)
{
  const dt_opencl_order_t order = _order(w, run);
  for(int i = 0; i < order.n; i++)
    if(_is_free(w, order.devices[i])) return order.devices[i];
  return -1;
}

static gboolean _is_its_turn(const _world_t *w, const _run_t *run)
{
  if(!_is_single(run->pipe)) return TRUE;
  for(guint i = 0; i < w->runs->len; i++)
    if(_run(w, i)->takes_turn && _run(w, i)->pipe == run->pipe) return FALSE;
  return TRUE;
}

static gint64 _key(const _world_t *w, const _run_t *run)
{
  return run->arrival + _ranks[run->pipe] * w->rules.ageing;
}

static gboolean _is_before(const _world_t *w, const _run_t *a, const _run_t *b)
{
  return _key(w, a) < _key(w, b) || (_key(w, a) == _key(w, b) && a->elder < b->elder);
}

static gboolean _is_hopeful(const _world_t *w, _run_t *run)
{
  const dt_opencl_order_t order = _order(w, run);
  for(int i = 0; i < order.n; i++)
  {
    const _card_t *card = &w->cards[order.devices[i]];
    if(card->health == DT_OPENCL_FREE || card->health == DT_OPENCL_TESTING) return TRUE;
    if(card->health == DT_OPENCL_SET_ASIDE && card->until < run->deadline) return TRUE;
  }
  return FALSE;
}

/* Patience begins as soon as it is the request's turn. */
static void _admit(const _world_t *w)
{
  for(guint i = 0; i < w->runs->len; i++)
  {
    _run_t *run = _run(w, i);
    if(run->state != WAITS || run->admitted || run->nested || !_is_its_turn(w, run)) continue;
    run->admitted = TRUE;
    run->deadline = _sum(w->now, w->rules.patience);
  }
}

// --- judging a decision --------------------------------------------------------------------------

static void _judge_nested(const _world_t *w, _run_t *run, const dt_opencl_decision_t *d)
{
  _check(w, d->verdict == run->parents.verdict);
  _check(w, d->device == run->parents.device);
  _check(w, d->reason == run->parents.reason);
  _check(w, d->waited == 0);
  _seen.nested++;
}

static void _judge_grant(const _world_t *w, _run_t *run, const dt_opencl_decision_t *d)
{
  _check(w, d->reason == DT_OPENCL_REASON_NONE);
  _check(w, d->device >= 0 && d->device < w->rules.devices);
  _check(w, _is_free(w, d->device));
  _check(w, d->device == _first_free(w, run));
  for(guint i = 0; i < w->runs->len; i++)
  {
    _run_t *other = _run(w, i);
    if(other == run || other->state != WAITS || !_is_its_turn(w, other)) continue;
    _check(w, _first_free(w, other) < 0 || !_is_before(w, other, run));
    if(!_wants(w, other, d->device)) continue;
    other->overtaken++;
    _check(w, other->overtaken <= other->ahead);
    _seen.overtaken++;
  }
}

static void _judge_cpu(const _world_t *w, _run_t *run, const dt_opencl_decision_t *d)
{
  const dt_opencl_order_t order = _order(w, run);
  gboolean busy = FALSE;
  for(int i = 0; i < order.n; i++)
    busy |= w->cards[order.devices[i]].holders > 0 && w->cards[order.devices[i]].health == DT_OPENCL_FREE;
  _check(w, d->device == -1);
  _check(w, _first_free(w, run) < 0);
  if(order.n == 0)
    _check(w, d->reason == DT_OPENCL_REASON_NO_DEVICE);
  else if(!order.mandatory)
    _check(w, d->reason == (busy ? DT_OPENCL_REASON_BUSY : DT_OPENCL_REASON_UNWELL));
  else if(!_is_hopeful(w, run))
    _check(w, d->reason == DT_OPENCL_REASON_UNWELL);
  else
  {
    _check(w, d->reason == DT_OPENCL_REASON_TIMEOUT);
    _check(w, w->now >= run->deadline);
  }
}

static void _judge_test(_world_t *w, const dt_opencl_decision_t *d)
{
  _check(w, d->device >= 0 && d->device < w->rules.devices && d->ticket == 0);
  _card_t *card = &w->cards[d->device];
  _check(w, card->health == DT_OPENCL_SET_ASIDE && card->until <= w->now);
  card->health = DT_OPENCL_TESTING;
  card->until = _sum(w->now, w->rules.test_limit);
}

/* Only by the request that has just come, which takes its place. */
static void _judge_replaced(const _world_t *w, _run_t *run)
{
  _run_t *newer = _run(w, w->runs->len - 1);
  _check(w, w->event.kind == REQUEST && newer != run && newer->ticket == w->last);
  _check(w, newer->state == WAITS && newer->pipe == run->pipe && _is_single(run->pipe) && !newer->nested);
  newer->arrival = run->arrival;
  newer->elder = run->elder;
  newer->admitted = run->admitted;
  newer->deadline = run->deadline;
  newer->ahead = run->ahead;
  newer->overtaken = run->overtaken;
}

/* It is told where it runs. */
static void _begin(_world_t *w, _run_t *run, int device)
{
  run->state = device < 0 && run->pipe == DT_OPENCL_PIPES ? OVER : RUNS;
  run->device = device;
  run->takes_turn = _is_single(run->pipe) && !run->nested;
  if(device >= 0) w->cards[device].holders++;
}

static void _judge(_world_t *w, const dt_opencl_decision_t *d)
{
  _seen.verdicts[d->verdict]++;
  if(d->verdict == DT_OPENCL_CPU) _seen.reasons[d->reason]++;
  if(d->verdict == DT_OPENCL_TEST)
  {
    _judge_test(w, d);
    return;
  }
  _run_t *run = _find(w, d->ticket);
  _check(w, run && run->state == WAITS); /* known, and told nothing yet */
  _check(w, d->waited == w->now - run->asked);
  if(d->verdict == DT_OPENCL_REPLACED)
  {
    _judge_replaced(w, run);
    run->state = OVER;
    return;
  }
  if(d->verdict == DT_OPENCL_CANCELLED)
  {
    _check(w, (w->event.kind == CANCEL || w->event.kind == RELEASE) && w->event.ticket == run->ticket);
    run->state = OVER;
    return;
  }
  _check(w, run->nested || _is_its_turn(w, run));
  _admit(w);
  if(run->nested)
    _judge_nested(w, run, d);
  else if(d->verdict == DT_OPENCL_GRANTED)
    _judge_grant(w, run, d);
  else
    _judge_cpu(w, run, d);
  _begin(w, run, d->device);
}

// --- judging what is left ------------------------------------------------------------------------

static gboolean _is_wanted(const _world_t *w, int device)
{
  for(guint i = 0; i < w->runs->len; i++)
    if(_run(w, i)->state == WAITS && _run(w, i)->admitted && _wants(w, _run(w, i), device)) return TRUE;
  return FALSE;
}

static void _check_run(const _world_t *w, _run_t *run)
{
  for(guint i = 0; i < w->runs->len; i++)
  {
    const _run_t *other = _run(w, i);
    if(other == run) continue;
    if(run->state == RUNS && other->state == RUNS && run->device >= 0 && run->device == other->device)
      _check(w, run->root == other->root); /* one device, one run with what is nested in it */
    if(_is_single(run->pipe) && run->pipe == other->pipe)
    {
      _check(w, !run->takes_turn || !other->takes_turn);
      _check(w, run->state != WAITS || other->state != WAITS);
    }
  }
  if(run->state != WAITS) return;
  _check(w, !run->nested);
  if(!_is_its_turn(w, run)) return;
  _check(w, _first_free(w, run) < 0);
  _check(w, _order(w, run).mandatory && _order(w, run).n > 0);
  _check(w, w->now < run->deadline);
  _check(w, _is_hopeful(w, run));
}

static void _check_card(const _world_t *w, int device)
{
  const _card_t *card = &w->cards[device];
  const dt_opencl_health_t is = dt_opencl_scheduler_health(w->scheduler, device);
  int holders = 0;
  for(guint i = 0; i < w->runs->len; i++)
    holders += _run(w, i)->state == RUNS && _run(w, i)->device == device;
  _check(w, card->holders == holders);
  _check(w, is == (card->health == DT_OPENCL_FREE && holders ? DT_OPENCL_BUSY : card->health));
  _check(w, card->health != DT_OPENCL_SET_ASIDE || card->until > w->now);
  _check(w, !dt_opencl_scheduler_is_wanted(w->scheduler, device) == !_is_wanted(w, device));
  _seen.healths[is]++;
}

static void _check_next(const _world_t *w)
{
  gint64 next = G_MAXINT64;
  int waiting = 0;
  for(guint i = 0; i < w->runs->len; i++)
  {
    if(_run(w, i)->state != WAITS) continue;
    if(_run(w, i)->admitted) next = MIN(next, _run(w, i)->deadline);
    waiting++;
  }
  for(int i = 0; i < w->rules.devices; i++)
    if(w->cards[i].health == DT_OPENCL_TESTING
       || (w->cards[i].health == DT_OPENCL_SET_ASIDE && _is_wanted(w, i)))
      next = MIN(next, w->cards[i].until);
  _check(w, dt_opencl_scheduler_next(w->scheduler) == next);
  _seen.longest_queue = MAX(_seen.longest_queue, waiting);
}

/* Takes all decisions, and looks at what they leave. */
static void _settle(_world_t *w)
{
  _admit(w);
  for(dt_opencl_decision_t d; dt_opencl_scheduler_decide(w->scheduler, &d);)
  {
    _judge(w, &d);
    _check(w, w->n_decisions < MOST_DECISIONS);
    w->decisions[w->n_decisions++] = d;
  }
  for(guint i = w->runs->len; i-- > 0;)
    if(_run(w, i)->state == OVER) g_array_remove_index(w->runs, i);
  _admit(w);
  for(guint i = 0; i < w->runs->len; i++) _check_run(w, _run(w, i));
  for(int i = 0; i < w->rules.devices; i++) _check_card(w, i);
  _check_next(w);
}

// --- events, as the model sees them --------------------------------------------------------------

static void _fail_card(const _world_t *w, _card_t *card)
{
  gint64 pause = w->rules.set_aside;
  for(int i = 0; i < card->strikes && pause < w->rules.set_aside_longest; i++) pause *= 2;
  card->strikes++;
  card->health = DT_OPENCL_SET_ASIDE;
  card->until = w->now + MIN(pause, w->rules.set_aside_longest);
}

static void _give_back(_world_t *w, _run_t *run, dt_opencl_outcome_t outcome)
{
  if(run->device < 0) return;
  _card_t *card = &w->cards[run->device];
  run->device = -1;
  card->holders--;
  if(outcome == DT_OPENCL_HUNG) card->health = DT_OPENCL_GIVEN_UP;
  if(outcome == DT_OPENCL_FAILED) card->failed = TRUE;
  if(card->holders > 0 || card->health != DT_OPENCL_FREE) return;
  if(card->failed)
    _fail_card(w, card);
  else
    card->strikes = MAX(0, card->strikes - 1);
  card->failed = FALSE;
}

/* Who waits may be overtaken by it, if it comes early enough and takes nobody's place. */
static void _count_newcomer(const _world_t *w, _run_t *newer)
{
  gboolean replaces = FALSE;
  for(guint i = 0; i < w->runs->len; i++)
  {
    const _run_t *run = _run(w, i);
    if(run->state != WAITS) continue;
    newer->ahead++;
    replaces |= _is_single(newer->pipe) && run->pipe == newer->pipe;
  }
  for(guint i = 0; i < w->runs->len && !replaces; i++)
  {
    _run_t *run = _run(w, i);
    if(w->now < run->arrival + _ranks[run->pipe] * w->rules.ageing) run->ahead++;
  }
}

static void _inherit(const _world_t *w, _run_t *run, const _run_t *parent)
{
  const int device = parent->device;
  const gboolean lost = device >= 0 && w->cards[device].health == DT_OPENCL_GIVEN_UP;
  run->nested = TRUE;
  run->root = parent->root;
  run->parents = (dt_opencl_decision_t){
    .verdict = device < 0 || lost ? DT_OPENCL_CPU : DT_OPENCL_GRANTED,
    .device = lost ? -1 : device,
    .reason = lost         ? DT_OPENCL_REASON_UNWELL
              : device < 0 ? DT_OPENCL_REASON_PARENT
                           : DT_OPENCL_REASON_NONE,
  };
}

static void _come(_world_t *w, dt_opencl_ticket_t ticket)
{
  _run_t run = { .ticket = ticket,
                 .root = ticket,
                 .elder = ticket,
                 .pipe = w->event.kind == CLAIM ? DT_OPENCL_PIPES : w->event.number,
                 .wanted = w->event.number,
                 .device = -1,
                 .asked = w->now,
                 .arrival = w->now };
  _check(w, ticket > w->last);
  w->last = ticket;
  const _run_t *parent = w->event.kind == REQUEST ? _find(w, w->event.ticket) : NULL;
  if(parent && parent->state == RUNS)
    _inherit(w, &run, parent);
  else
    _count_newcomer(w, &run);
  g_array_append_val(w->runs, run);
}

static dt_opencl_ticket_t _tell(const _world_t *w, dt_opencl_scheduler_t *s)
{
  const _event_t *e = &w->event;
  switch(e->kind)
  {
  case REQUEST: return dt_opencl_scheduler_request(s, e->time, (dt_opencl_pipe_t)e->number, e->ticket);
  case CLAIM: return dt_opencl_scheduler_claim(s, e->time, e->number);
  case CANCEL: dt_opencl_scheduler_cancel(s, e->time, e->ticket); break;
  case RELEASE: dt_opencl_scheduler_release(s, e->time, e->ticket, e->outcome); break;
  case FALL_BACK: dt_opencl_scheduler_fall_back(s, e->time, e->ticket, e->outcome); break;
  case TESTED: dt_opencl_scheduler_tested(s, e->time, e->number, e->works); break;
  case ORDERS: dt_opencl_scheduler_set_orders(s, e->time, w->orders); break;
  case TICK:
  case KINDS: dt_opencl_scheduler_tick(s, e->time); break;
  }
  return 0;
}

static void _apply(_world_t *w, dt_opencl_ticket_t ticket)
{
  const _event_t *e = &w->event;
  _run_t *run = e->kind == RELEASE || e->kind == FALL_BACK ? _find(w, e->ticket) : NULL;
  if(e->kind == REQUEST || e->kind == CLAIM) _come(w, ticket);
  if(run && run->state == RUNS)
  {
    _give_back(w, run, e->outcome);
    if(e->kind == RELEASE) g_array_remove_index(w->runs, (guint)(run - _run(w, 0)));
  }
  if(e->kind == TESTED && e->number >= 0 && e->number < w->rules.devices)
  {
    _card_t *card = &w->cards[e->number];
    if(card->health != DT_OPENCL_TESTING) return;
    if(e->works)
      card->health = DT_OPENCL_FREE;
    else
      _fail_card(w, card);
  }
}

static void _pass_time(_world_t *w)
{
  w->now = MAX(w->now, w->event.time);
  for(int i = 0; i < w->rules.devices; i++)
    if(w->cards[i].health == DT_OPENCL_TESTING && w->cards[i].until <= w->now)
      w->cards[i].health = DT_OPENCL_GIVEN_UP;
}

static void _compare_twin(_world_t *w)
{
  dt_opencl_decision_t d;
  for(int i = 0; i < w->n_decisions; i++)
  {
    const dt_opencl_decision_t *mine = &w->decisions[i];
    _check(w, dt_opencl_scheduler_decide(w->twin, &d));
    _check(w, d.ticket == mine->ticket && d.verdict == mine->verdict && d.device == mine->device
                  && d.reason == mine->reason && d.waited == mine->waited);
  }
  _check(w, !dt_opencl_scheduler_decide(w->twin, &d));
  w->n_decisions = 0;
}

/* One event: the time first, then what happens. */
static void _happen(_world_t *w, _event_t event, void (*change)(_world_t *w))
{
  w->event = (_event_t){ .kind = TICK, .time = event.time };
  _pass_time(w);
  dt_opencl_scheduler_tick(w->scheduler, event.time);
  _settle(w);
  w->event = event;
  if(change) change(w);
  const dt_opencl_ticket_t ticket = _tell(w, w->scheduler);
  _check(w, _tell(w, w->twin) == ticket);
  _apply(w, ticket);
  _settle(w);
  const _run_t *left = event.kind == CANCEL || event.kind == RELEASE ? _find(w, event.ticket) : NULL;
  _check(w, !left || (event.kind == CANCEL && left->state == RUNS));
  _compare_twin(w);
  _seen.events[event.kind]++;
  w->step++;
}

// --- random worlds -------------------------------------------------------------------------------

static gboolean _chance(_world_t *w, int percent)
{
  return test_random_int(&w->random, 0, 99) < percent;
}

static gint64 _choose(_world_t *w, const gint64 *values, int n)
{
  return values[test_random_int(&w->random, 0, n - 1)];
}

/* Each pipe: some of the devices, shuffled. */
static void _shuffle_orders(_world_t *w)
{
  for(int pipe = 0; pipe < DT_OPENCL_PIPES; pipe++)
  {
    dt_opencl_order_t *order = &w->orders[pipe];
    *order = (dt_opencl_order_t){ .devices = w->devices[pipe], .mandatory = _chance(w, 60) };
    for(int i = 0; i < w->rules.devices; i++)
      if(_chance(w, 70))
      {
        const int at = test_random_int(&w->random, 0, order->n);
        memmove(order->devices + at + 1, order->devices + at, (size_t)(order->n - at) * sizeof(int));
        order->devices[at] = i;
        order->n++;
      }
  }
}

static _world_t *_create(uint64_t seed)
{
  static const gint64 patience[] = { 0, 20, 100, 500, G_MAXINT64 }, ageing[] = { 0, 1, 10, 100, 1000 },
                      set_aside[] = { 1, 10, 100 }, longest[] = { 1, 50, 500 },
                      limit[] = { 100, 1000, 10000 }, hung[] = { 0, 1, 1, 20 };
  _world_t *w = g_new0(_world_t, 1);
  w->seed = seed;
  w->random.state = seed * 2654435761U + 1;
  w->rules = (dt_opencl_rules_t){ .devices = MAX(0, test_random_int(&w->random, -1, 2 * MOST_DEVICES) / 2),
                                  .patience = _choose(w, patience, G_N_ELEMENTS(patience)),
                                  .ageing = _choose(w, ageing, G_N_ELEMENTS(ageing)),
                                  .set_aside = _choose(w, set_aside, G_N_ELEMENTS(set_aside)),
                                  .set_aside_longest = _choose(w, longest, G_N_ELEMENTS(longest)),
                                  .test_limit = _choose(w, limit, G_N_ELEMENTS(limit)) };
  w->hung = (int)_choose(w, hung, G_N_ELEMENTS(hung));
  w->crowd = test_random_int(&w->random, 1, 40);
  _shuffle_orders(w);
  w->runs = g_array_new(FALSE, FALSE, sizeof(_run_t));
  w->scheduler = dt_opencl_scheduler_create(&w->rules, w->orders);
  w->twin = dt_opencl_scheduler_create(&w->rules, w->orders);
  return w;
}

static void _destroy(_world_t *w)
{
  dt_opencl_scheduler_destroy(w->scheduler);
  dt_opencl_scheduler_destroy(w->twin);
  g_array_unref(w->runs);
  g_free(w);
}

/* Often none passes, often just as much as matters, rarely it goes back. */
static gint64 _random_time(_world_t *w)
{
  const gint64 next = dt_opencl_scheduler_next(w->scheduler);
  const int percent = test_random_int(&w->random, 0, 99);
  if(percent < 25) return w->now;
  if(percent < 30) return w->now - test_random_int(&w->random, 0, 1000);
  if(percent < 32 && next < w->now + 10000) return next - test_random_int(&w->random, 0, 1);
  if(percent < 34) return w->now + test_random_int(&w->random, 0, 1000);
  return w->now + test_random_int(&w->random, 0, 10);
}

/* Mostly one of those that there are, and preferably of those that @p state. */
static dt_opencl_ticket_t _random_ticket(_world_t *w, _state_t state)
{
  if(w->runs->len == 0 || _chance(w, 3)) return w->last ? w->last - (w->last >> 24 > 1 ? 1U << 24 : 0) : 99;
  const _run_t *run = NULL;
  for(int i = 0; i < 5 && (!run || run->state != state); i++)
    run = _run(w, (guint)test_random_int(&w->random, 0, (int)w->runs->len - 1));
  return run->ticket;
}

static int _random_tested(_world_t *w)
{
  const int first = test_random_int(&w->random, -1, w->rules.devices);
  for(int i = 0; i < w->rules.devices && _chance(w, 95); i++)
  {
    const int device = (first + 1 + i) % w->rules.devices;
    if(w->cards[device].health == DT_OPENCL_TESTING) return device;
  }
  return first;
}

static dt_opencl_outcome_t _random_outcome(_world_t *w)
{
  const int permille = test_random_int(&w->random, 0, 999);
  return permille < w->hung ? DT_OPENCL_HUNG : permille < 30 ? DT_OPENCL_FAILED : DT_OPENCL_OK;
}

static _event_t _random_event(_world_t *w)
{
  /* of a thousand, by kind: requests and releases are steered by how many there are */
  static const int shares[KINDS] = {
    [CANCEL] = 40, [FALL_BACK] = 30, [TESTED] = 200, [TICK] = 60, [ORDERS] = 4, [CLAIM] = 60
  };
  const int target = test_random_int(&w->random, 0, 2 * w->crowd);
  _event_t e = { .kind = (int)w->runs->len < target ? REQUEST : RELEASE,
                 .time = _random_time(w),
                 .outcome = _random_outcome(w),
                 .works = _chance(w, 75) };
  int share = test_random_int(&w->random, 0, 999);
  for(int kind = 0; kind < KINDS; kind++)
  {
    if(share >= 0 && share < shares[kind] && (kind != CLAIM || e.kind == REQUEST)) e.kind = (_kind_t)kind;
    share -= shares[kind];
  }
  e.ticket = e.kind == REQUEST && _chance(w, 80) ? 0 : _random_ticket(w, e.kind == CANCEL ? WAITS : RUNS);
  if(e.kind == REQUEST) e.number = test_random_int(&w->random, 0, DT_OPENCL_PIPES - 1);
  if(e.kind == CLAIM) e.number = test_random_int(&w->random, -1, w->rules.devices);
  if(e.kind == TESTED) e.number = _random_tested(w);
  return e;
}

/* All that runs is released, all tests are answered, until there is nobody any more. */
static void _wind_up(_world_t *w)
{
  for(int round = 0; w->runs->len > 0; round++)
  {
    gint64 time = w->now;
    dt_opencl_ticket_t ticket = 0;
    int testing = -1;
    for(guint i = 0; i < w->runs->len; i++)
      if(_run(w, i)->state == RUNS) ticket = _run(w, i)->ticket;
    for(int i = 0; i < w->rules.devices; i++)
      if(w->cards[i].health == DT_OPENCL_TESTING) testing = i;
    if(!ticket && testing < 0) time = dt_opencl_scheduler_next(w->scheduler);
    _check(w, round < 10000 && time < G_MAXINT64);
    if(testing >= 0)
      _happen(w, (_event_t){ .kind = TESTED, .time = time, .number = testing, .works = TRUE }, NULL);
    else
      _happen(w, (_event_t){ .kind = RELEASE, .time = time, .ticket = ticket }, NULL);
  }
  for(int i = 0; i < w->rules.devices; i++)
  {
    const dt_opencl_health_t health = dt_opencl_scheduler_health(w->scheduler, i);
    _check(w, health != DT_OPENCL_BUSY);
    _check(w, !dt_opencl_scheduler_is_wanted(w->scheduler, i));
  }
}

static void _live(uint64_t seed, int events)
{
  _world_t *w = _create(seed);
  while(w->step < events)
  {
    const _event_t event = _random_event(w);
    _happen(w, event, event.kind == ORDERS ? _shuffle_orders : NULL);
  }
  _wind_up(w);
  _destroy(w);
}

static void _check_seen(long least)
{
  for(int i = 0; i < KINDS; i++) assert_true(_seen.events[i] > least);
  for(int i = 0; i <= DT_OPENCL_TEST; i++) assert_true(_seen.verdicts[i] > least);
  for(int i = DT_OPENCL_REASON_NO_DEVICE; i <= DT_OPENCL_REASON_PARENT; i++)
    assert_true(_seen.reasons[i] > least);
  for(int i = 0; i <= DT_OPENCL_GIVEN_UP; i++) assert_true(_seen.healths[i] > least);
  assert_true(_seen.nested > least && _seen.overtaken > least);
  assert_true(_seen.longest_queue > 10);
}

static void test_random_events(void **state)
{
  (void)state;
  const char *only = g_getenv("DT_TEST_SEED");
  const int worlds = test_is_long() ? 5000 : test_is_sanitized() ? 50 : 500;
  if(only)
  {
    _live(g_ascii_strtoull(only, NULL, 10), WORLD_EVENTS);
    return;
  }
  for(int i = 1; i <= worlds; i++) _live((uint64_t)i, WORLD_EVENTS);
  print_message("%ld granted, %ld to the CPU, %ld replaced, %ld tests, %ld nested; longest queue %d\n",
                _seen.verdicts[DT_OPENCL_GRANTED], _seen.verdicts[DT_OPENCL_CPU],
                _seen.verdicts[DT_OPENCL_REPLACED], _seen.verdicts[DT_OPENCL_TEST], _seen.nested,
                _seen.longest_queue);
  _check_seen(worlds);
}

int main(void)
{
  const struct CMUnitTest tests[] = { cmocka_unit_test(test_random_events) };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
