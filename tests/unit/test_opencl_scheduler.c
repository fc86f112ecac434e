/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Who gets which OpenCL device: every rule by example, with a clock that stands still until it is told. */
#include "support.h"

#include "common/opencl_scheduler.h"

#define MS G_GINT64_CONSTANT(1000)
#define SECOND (1000 * MS)

enum
{
  MOST_DEVICES = 4
};

static const dt_opencl_rules_t _rules = { .devices = 2,
                                          .patience = 5 * SECOND,
                                          .ageing = 1 * SECOND,
                                          .set_aside = 1 * SECOND,
                                          .set_aside_longest = 6 * SECOND,
                                          .test_limit = 2 * SECOND };

/* one of each in a test */
static dt_opencl_scheduler_t *_s;
static gint64 _now;

// --- helpers -------------------------------------------------------------------------------------

typedef struct _orders_t
{
  dt_opencl_order_t pipes[DT_OPENCL_PIPES];
  int devices[DT_OPENCL_PIPES][2 * MOST_DEVICES];
} _orders_t;

/* "+01|0||1|": digits in the order of the pipes, with a `+` where it is mandatory; 9 is none that exists. */
static void _read_orders(_orders_t *orders, const char *text)
{
  char **fields = g_strsplit(text, "|", 0);
  assert_int_equal(g_strv_length(fields), DT_OPENCL_PIPES);
  for(int pipe = 0; pipe < DT_OPENCL_PIPES; pipe++)
  {
    dt_opencl_order_t *order = &orders->pipes[pipe];
    *order = (dt_opencl_order_t){ .devices = orders->devices[pipe] };
    for(const char *c = fields[pipe]; *c; c++)
      if(*c == '+')
        order->mandatory = TRUE;
      else
        order->devices[order->n++] = *c - '0';
  }
  g_strfreev(fields);
}

static void _begin_with(const dt_opencl_rules_t *rules, const char *text)
{
  _orders_t orders;
  _read_orders(&orders, text);
  dt_opencl_scheduler_destroy(_s);
  _now = 100 * SECOND;
  _s = dt_opencl_scheduler_create(rules, orders.pipes);
}

static void _begin(const char *text)
{
  _begin_with(&_rules, text);
}

static void _set_orders(const char *text)
{
  _orders_t orders;
  _read_orders(&orders, text);
  dt_opencl_scheduler_set_orders(_s, _now, orders.pipes);
}

static int _end(void **state)
{
  (void)state;
  dt_opencl_scheduler_destroy(_s);
  _s = NULL;
  return 0;
}

static dt_opencl_ticket_t _ask(dt_opencl_pipe_t pipe)
{
  return dt_opencl_scheduler_request(_s, _now, pipe, 0);
}

static dt_opencl_ticket_t _nest(dt_opencl_pipe_t pipe, dt_opencl_ticket_t parent)
{
  return dt_opencl_scheduler_request(_s, _now, pipe, parent);
}

static dt_opencl_ticket_t _claim(int device)
{
  return dt_opencl_scheduler_claim(_s, _now, device);
}

static void _release(dt_opencl_ticket_t ticket, dt_opencl_outcome_t outcome)
{
  dt_opencl_scheduler_release(_s, _now, ticket, outcome);
}

static void _finish(dt_opencl_ticket_t ticket)
{
  _release(ticket, DT_OPENCL_OK);
}

static void _wait(gint64 time)
{
  _now += time;
  dt_opencl_scheduler_tick(_s, _now);
}

static dt_opencl_decision_t _take(int line)
{
  dt_opencl_decision_t decision = { 0 };
  _assert_true(dt_opencl_scheduler_decide(_s, &decision), "a decision", __FILE__, line);
  return decision;
}

static void _expect_at(int line, dt_opencl_ticket_t ticket, dt_opencl_verdict_t verdict, int device,
                       dt_opencl_reason_t reason)
{
  const dt_opencl_decision_t decision = _take(line);
  _assert_int_equal(decision.verdict, verdict, __FILE__, line);
  _assert_int_equal(decision.device, device, __FILE__, line);
  _assert_int_equal(decision.reason, reason, __FILE__, line);
  _assert_int_equal(decision.ticket, ticket, __FILE__, line);
}

/* The next decision. */
#define _expect_device(ticket, device)                                                                       \
  _expect_at(__LINE__, ticket, DT_OPENCL_GRANTED, device, DT_OPENCL_REASON_NONE)
#define _expect_cpu(ticket, why) _expect_at(__LINE__, ticket, DT_OPENCL_CPU, -1, DT_OPENCL_REASON_##why)
#define _expect_over(ticket, how) _expect_at(__LINE__, ticket, DT_OPENCL_##how, -1, DT_OPENCL_REASON_NONE)
#define _expect_test(device) _expect_at(__LINE__, 0, DT_OPENCL_TEST, device, DT_OPENCL_REASON_NONE)
#define _expect_nothing()                                                                                    \
  do                                                                                                         \
  {                                                                                                          \
    dt_opencl_decision_t decision_;                                                                          \
    assert_false(dt_opencl_scheduler_decide(_s, &decision_));                                                \
  } while(0)
#define _expect_health(device, how) assert_int_equal(dt_opencl_scheduler_health(_s, device), DT_OPENCL_##how)
#define _expect_next(time) assert_int_equal(dt_opencl_scheduler_next(_s), time)

/* A run of the pipe on the device, to which nothing stands in the way. */
static dt_opencl_ticket_t _occupy(int device)
{
  const dt_opencl_ticket_t ticket = _claim(device);
  _expect_device(ticket, device);
  return ticket;
}

/* A run of it fails. */
static void _fail_once(int device)
{
  _release(_occupy(device), DT_OPENCL_FAILED);
  _expect_health(device, SET_ASIDE);
}

static void _give_up(int device)
{
  _release(_occupy(device), DT_OPENCL_HUNG);
  _expect_health(device, GIVEN_UP);
}

// --- orders --------------------------------------------------------------------------------------

/* `!GeForce GTS450,*` `/!Tahiti,*` `/Tahiti,*` `/Tahiti,*` on 0 GeForce GTS 450, 1 Tahiti: what the manual says each
 * pipe gets. */
static void test_manual(void **state)
{
  (void)state;
  static const char orders[] = "1|0|10|10|0";
  static const struct
  {
    dt_opencl_pipe_t pipe;
    int free, without_0, without_1; ///< the device it gets when that one is busy
  } rows[] = { { DT_OPENCL_FULL, 1, 1, -1 },
               { DT_OPENCL_PREVIEW, 0, -1, 0 },
               { DT_OPENCL_EXPORT, 1, 1, 0 },
               { DT_OPENCL_THUMBNAIL, 1, 1, 0 },
               { DT_OPENCL_PREVIEW2, 0, -1, 0 } };
  for(size_t i = 0; i < G_N_ELEMENTS(rows); i++)
    for(int busy = 0; busy < 4; busy++) /* a bit per device */
    {
      const int device = busy == 0   ? rows[i].free
                         : busy == 1 ? rows[i].without_0
                         : busy == 2 ? rows[i].without_1
                                     : -1;
      _begin(orders);
      for(int d = 0; d < 2; d++)
        if(busy & 1 << d) _occupy(d);
      const dt_opencl_ticket_t ticket = _ask(rows[i].pipe);
      if(device >= 0)
        _expect_device(ticket, device);
      else
        _expect_cpu(ticket, BUSY);
      _expect_nothing();
    }
}

/* The same with all pipes at once: the full view and the preview in parallel, all hands on deck for the rest. */
static void test_manual_together(void **state)
{
  (void)state;
  _begin("1|0|10|10|0");
  const dt_opencl_ticket_t full = _ask(DT_OPENCL_FULL), preview = _ask(DT_OPENCL_PREVIEW),
                           export = _ask(DT_OPENCL_EXPORT), thumbnail = _ask(DT_OPENCL_THUMBNAIL),
                           preview2 = _ask(DT_OPENCL_PREVIEW2);
  _expect_device(full, 1);
  _expect_device(preview, 0);
  _expect_cpu(export, BUSY);
  _expect_cpu(thumbnail, BUSY);
  _expect_cpu(preview2, BUSY);
  _finish(full);
  _finish(preview);
  const dt_opencl_ticket_t export2 = _ask(DT_OPENCL_EXPORT), export3 = _ask(DT_OPENCL_EXPORT);
  _expect_device(export2, 1);
  _expect_device(export3, 0);
  _expect_nothing();
}

static void test_order(void **state)
{
  (void)state;
  _begin_with(&(dt_opencl_rules_t){ .devices = 3, .patience = SECOND }, "|+|201|29200222|");
  _expect_cpu(_ask(DT_OPENCL_FULL), NO_DEVICE);
  _expect_cpu(_ask(DT_OPENCL_PREVIEW), NO_DEVICE);
  const dt_opencl_ticket_t first = _ask(DT_OPENCL_EXPORT);
  _expect_device(first, 2);
  _expect_device(_ask(DT_OPENCL_EXPORT), 0);
  _expect_device(_ask(DT_OPENCL_EXPORT), 1);
  _expect_cpu(_ask(DT_OPENCL_EXPORT), BUSY);
  _finish(first);
  /* one that does not exist, and some that are named again */
  _expect_device(_ask(DT_OPENCL_THUMBNAIL), 2);
  _expect_cpu(_ask(DT_OPENCL_THUMBNAIL), BUSY);
}

// --- who waits, and how long ---------------------------------------------------------------------

static void test_mandatory_waits(void **state)
{
  (void)state;
  _begin("||+10||");
  const dt_opencl_ticket_t zero = _occupy(0), one = _occupy(1), export = _ask(DT_OPENCL_EXPORT);
  _wait(2 * SECOND);
  _expect_nothing();
  assert_true(dt_opencl_scheduler_is_wanted(_s, 0));
  assert_true(dt_opencl_scheduler_is_wanted(_s, 1));
  assert_false(dt_opencl_scheduler_is_wanted(_s, 2));
  _finish(zero);
  const dt_opencl_decision_t decision = _take(__LINE__);
  assert_int_equal(decision.ticket, export);
  assert_int_equal(decision.device, 0);
  assert_int_equal(decision.waited, 2 * SECOND);
  assert_false(dt_opencl_scheduler_is_wanted(_s, 0));
  _finish(one);
  _expect_nothing();
  _expect_health(0, BUSY);
  _expect_health(1, FREE);
}

static void test_mandatory_times_out(void **state)
{
  (void)state;
  _begin("||+10||");
  _expect_next(G_MAXINT64);
  _occupy(0);
  _occupy(1);
  _expect_next(G_MAXINT64);
  const dt_opencl_ticket_t export = _ask(DT_OPENCL_EXPORT);
  _expect_next(_now + 5 * SECOND);
  _wait(5 * SECOND - 1);
  _expect_nothing();
  _wait(1);
  const dt_opencl_decision_t decision = _take(__LINE__);
  assert_int_equal(decision.ticket, export);
  assert_int_equal(decision.verdict, DT_OPENCL_CPU);
  assert_int_equal(decision.reason, DT_OPENCL_REASON_TIMEOUT);
  assert_int_equal(decision.waited, 5 * SECOND);
  _expect_next(G_MAXINT64);
}

/* Every event looks at the clock first: what is too late is too late, whatever the event brings. */
static void test_time_passes_before_events(void **state)
{
  (void)state;
  for(int event = 0; event < 6; event++)
  {
    _begin("||+0||");
    const dt_opencl_ticket_t zero = _occupy(0), export = _ask(DT_OPENCL_EXPORT);
    _orders_t orders;
    _read_orders(&orders, "||+0||");
    _now += 5 * SECOND;
    if(event == 0) _finish(zero);
    if(event == 1) _ask(DT_OPENCL_EXPORT);
    if(event == 2) _claim(1);
    if(event == 3) dt_opencl_scheduler_cancel(_s, _now, export);
    if(event == 4) dt_opencl_scheduler_tested(_s, _now, 0, TRUE);
    if(event == 5) dt_opencl_scheduler_set_orders(_s, _now, orders.pipes);
    _expect_cpu(export, TIMEOUT);
  }
}

static void test_patience_none_and_for_ever(void **state)
{
  (void)state;
  _begin_with(&(dt_opencl_rules_t){ .devices = 1 }, "||+0||");
  const dt_opencl_ticket_t first = _ask(DT_OPENCL_EXPORT);
  _expect_device(first, 0);
  _expect_cpu(_ask(DT_OPENCL_EXPORT), TIMEOUT);

  _begin_with(&(dt_opencl_rules_t){ .devices = 1, .patience = G_MAXINT64, .ageing = G_MAXINT64 }, "||+0|+0|");
  const dt_opencl_ticket_t zero = _occupy(0), export = _ask(DT_OPENCL_EXPORT);
  _wait(1000000 * SECOND);
  const dt_opencl_ticket_t thumbnail = _ask(DT_OPENCL_THUMBNAIL);
  _expect_next(G_MAXINT64);
  _expect_nothing();
  _finish(zero);
  _expect_device(thumbnail, 0); /* who never ages is served by rank alone */
  _finish(thumbnail);
  _expect_device(export, 0);
}

static void test_unwell_is_not_waited_for(void **state)
{
  (void)state;
  _begin("01||+01||");
  _give_up(0);
  const dt_opencl_ticket_t one = _occupy(1), export = _ask(DT_OPENCL_EXPORT);
  _expect_nothing(); /* 1 may come back */
  dt_opencl_ticket_t full = _ask(DT_OPENCL_FULL);
  _expect_cpu(full, BUSY);
  _finish(full);
  _release(one, DT_OPENCL_HUNG);
  _expect_cpu(export, UNWELL);
  _expect_cpu(_ask(DT_OPENCL_EXPORT), UNWELL);
  _expect_cpu(_ask(DT_OPENCL_FULL), UNWELL);
}

static void test_set_aside_is_waited_for(void **state)
{
  (void)state;
  _begin("0||+0||");
  _fail_once(0);
  const dt_opencl_ticket_t export = _ask(DT_OPENCL_EXPORT), full = _ask(DT_OPENCL_FULL);
  _expect_cpu(full, UNWELL);
  _finish(full);
  _expect_next(_now + SECOND);
  _wait(SECOND - 1);
  _expect_nothing();
  _wait(1);
  _expect_test(0);
  _expect_health(0, TESTING);
  _expect_cpu(_ask(DT_OPENCL_FULL), UNWELL);
  dt_opencl_scheduler_tested(_s, _now, 0, TRUE);
  _expect_device(export, 0);
}

static void test_set_aside_until_the_deadline(void **state)
{
  (void)state;
  dt_opencl_rules_t rules = _rules;
  rules.set_aside = rules.set_aside_longest = rules.patience;
  _begin_with(&rules, "||+0||");
  _fail_once(0);
  _expect_cpu(_ask(DT_OPENCL_EXPORT), UNWELL);
  _wait(1);
  const dt_opencl_ticket_t export = _ask(DT_OPENCL_EXPORT);
  _expect_nothing();
  _wait(rules.patience - 1);
  _expect_test(0);
  _wait(1);
  _expect_cpu(export, TIMEOUT);
}

// --- one at a time -------------------------------------------------------------------------------

static void test_one_at_a_time(void **state)
{
  (void)state;
  static const dt_opencl_pipe_t single[] = { DT_OPENCL_FULL, DT_OPENCL_PREVIEW, DT_OPENCL_PREVIEW2 };
  for(int i = 0; i < 3; i++)
  {
    _begin("01|01|01|01|01");
    const dt_opencl_ticket_t first = _ask(single[i]), second = _ask(single[i]);
    _expect_device(first, 0);
    _expect_nothing();
    const dt_opencl_ticket_t other = _ask(single[(i + 1) % 3]);
    _expect_device(other, 1);
    _finish(first);
    _expect_device(second, 0);
    _expect_nothing();
  }
  _begin("01|01|01|01|01");
  const dt_opencl_ticket_t export = _ask(DT_OPENCL_EXPORT), thumbnail = _ask(DT_OPENCL_THUMBNAIL);
  _expect_device(export, 0);
  _expect_device(thumbnail, 1);
  _expect_cpu(_ask(DT_OPENCL_EXPORT), BUSY);
  _expect_cpu(_ask(DT_OPENCL_THUMBNAIL), BUSY);
}

static void test_one_at_a_time_on_the_cpu(void **state)
{
  (void)state;
  _begin("0||||");
  const dt_opencl_ticket_t zero = _occupy(0), first = _ask(DT_OPENCL_FULL);
  _expect_cpu(first, BUSY);
  _finish(zero);
  const dt_opencl_ticket_t second = _ask(DT_OPENCL_FULL);
  _wait(100 * SECOND);
  _expect_nothing(); /* it waits for no device, thus for ever */
  _expect_next(G_MAXINT64);
  assert_false(dt_opencl_scheduler_is_wanted(_s, 0));
  const dt_opencl_ticket_t again = _occupy(0);
  _finish(first);
  _expect_cpu(second, BUSY);
  _finish(again);
  _expect_nothing();
}

static void test_patience_begins_with_the_turn(void **state)
{
  (void)state;
  _begin("+0||||");
  const dt_opencl_ticket_t first = _ask(DT_OPENCL_FULL), second = _ask(DT_OPENCL_FULL);
  _expect_device(first, 0);
  _wait(100 * SECOND);
  _expect_next(G_MAXINT64);
  const dt_opencl_ticket_t other = _claim(0);
  _wait(4 * SECOND);
  _finish(first);
  _expect_device(second, 0); /* a hundred seconds are more than four ranks */
  _finish(second);
  _expect_device(other, 0);

  const dt_opencl_ticket_t third = _ask(DT_OPENCL_FULL);
  _wait(5 * SECOND);
  _expect_cpu(third, TIMEOUT);
  const dt_opencl_ticket_t fourth = _ask(DT_OPENCL_FULL);
  _wait(3 * SECOND);
  _finish(third);
  _expect_next(_now + 5 * SECOND);
  _wait(5 * SECOND - 1);
  _expect_nothing();
  _wait(1);
  _expect_cpu(fourth, TIMEOUT);
}

static void test_replaced(void **state)
{
  (void)state;
  _begin("+0|+0||+0|");
  const dt_opencl_ticket_t zero = _occupy(0), older = _ask(DT_OPENCL_FULL);
  _wait(SECOND / 2);
  const dt_opencl_ticket_t thumbnail = _ask(DT_OPENCL_THUMBNAIL);
  _wait(7 * SECOND / 2);
  const dt_opencl_ticket_t newer = _ask(DT_OPENCL_FULL);
  _expect_over(older, REPLACED);
  _expect_nothing();
  _finish(zero);
  _expect_device(newer, 0); /* as if it had asked four seconds ago */
  _finish(newer);
  _expect_device(thumbnail, 0);
  _finish(thumbnail);
  _finish(older); /* over */
  _expect_nothing();
}

/* Of two that came at once, with ranks that mean nothing: the place is kept to the ticket. */
static void test_replaced_in_a_tie(void **state)
{
  (void)state;
  dt_opencl_rules_t rules = _rules;
  rules.ageing = 0;
  _begin_with(&rules, "+0||+0||");
  const dt_opencl_ticket_t zero = _occupy(0), older = _ask(DT_OPENCL_FULL), export = _ask(DT_OPENCL_EXPORT),
                           newer = _ask(DT_OPENCL_FULL);
  _expect_over(older, REPLACED);
  _finish(zero);
  _expect_device(newer, 0);
  _finish(newer);
  _expect_device(export, 0);
}

static void test_replaced_keeps_the_deadline(void **state)
{
  (void)state;
  _begin("+0||||");
  _occupy(0);
  const dt_opencl_ticket_t older = _ask(DT_OPENCL_FULL);
  _wait(3 * SECOND);
  const dt_opencl_ticket_t newer = _ask(DT_OPENCL_FULL);
  _expect_over(older, REPLACED);
  _expect_next(_now + 2 * SECOND);
  _wait(2 * SECOND);
  const dt_opencl_decision_t decision = _take(__LINE__);
  assert_int_equal(decision.ticket, newer);
  assert_int_equal(decision.reason, DT_OPENCL_REASON_TIMEOUT);
  assert_int_equal(decision.waited, 2 * SECOND); /* its own */
}

static void test_replaced_while_it_waits_for_its_turn(void **state)
{
  (void)state;
  _begin("+0||||");
  const dt_opencl_ticket_t first = _ask(DT_OPENCL_FULL), second = _ask(DT_OPENCL_FULL);
  _expect_device(first, 0);
  _wait(3 * SECOND);
  const dt_opencl_ticket_t third = _ask(DT_OPENCL_FULL);
  _expect_over(second, REPLACED);
  _wait(3 * SECOND);
  const dt_opencl_ticket_t export = _claim(0); /* arrives six seconds after the second: behind */
  dt_opencl_scheduler_fall_back(_s, _now, first, DT_OPENCL_OK);
  _expect_device(export, 0);
  _finish(first);
  _expect_next(_now + 5 * SECOND); /* no patience was used up */
  _finish(export);
  _expect_device(third, 0);
}

// --- rank and age --------------------------------------------------------------------------------

static const dt_opencl_pipe_t _by_rank[] = { DT_OPENCL_FULL, DT_OPENCL_PREVIEW, DT_OPENCL_PREVIEW2,
                                             DT_OPENCL_THUMBNAIL, DT_OPENCL_EXPORT };

static void test_rank(void **state)
{
  (void)state;
  _begin("+0|+0|+0|+0|+0");
  const dt_opencl_ticket_t zero = _occupy(0);
  dt_opencl_ticket_t waiting[G_N_ELEMENTS(_by_rank)];
  for(int i = G_N_ELEMENTS(_by_rank) - 1; i >= 0; i--)
  {
    waiting[i] = _ask(_by_rank[i]);
    _wait(SECOND - 1);
  }
  _expect_nothing();
  _finish(zero);
  for(size_t i = 0; i < G_N_ELEMENTS(_by_rank); i++)
  {
    _expect_device(waiting[i], 0);
    _expect_nothing();
    _finish(waiting[i]);
  }
}

/* The later one is first by its rank, or not any more by the other's age; as old as its rank is not older. */
static void test_ageing(void **state)
{
  (void)state;
  for(int low = 1; low < (int)G_N_ELEMENTS(_by_rank); low++)
    for(int high = 0; high < low; high++)
      for(int extra = -1; extra <= 1; extra++)
      {
        _begin("+0|+0|+0|+0|+0");
        const dt_opencl_ticket_t zero = _occupy(0), older = _ask(_by_rank[low]);
        _wait((low - high) * SECOND + extra);
        const dt_opencl_ticket_t newer = _ask(_by_rank[high]);
        _finish(zero);
        _expect_device(extra < 0 ? newer : older, 0);
      }
}

static void test_first_come_first_served(void **state)
{
  (void)state;
  _begin("||+0||");
  const dt_opencl_ticket_t zero = _occupy(0);
  dt_opencl_ticket_t waiting[8];
  for(int i = 0; i < 8; i++) waiting[i] = i % 2 ? _claim(0) : _ask(DT_OPENCL_EXPORT); /* of one rank */
  dt_opencl_scheduler_cancel(_s, _now, waiting[3]);
  _expect_over(waiting[3], CANCELLED);
  _finish(zero);
  for(int i = 0; i < 8; i++)
    if(i != 3)
    {
      _expect_device(waiting[i], 0);
      _finish(waiting[i]);
    }
  _expect_nothing();
}

/* Who stands behind is served before who cannot use what is free. */
static void test_served_by_what_is_free(void **state)
{
  (void)state;
  _begin("+0||+10|+1|");
  const dt_opencl_ticket_t zero = _occupy(0), one = _occupy(1), full = _ask(DT_OPENCL_FULL),
                           thumbnail = _ask(DT_OPENCL_THUMBNAIL), export = _ask(DT_OPENCL_EXPORT);
  _finish(one);
  _expect_device(thumbnail, 1);
  _finish(zero);
  _expect_device(full, 0);
  _finish(thumbnail);
  _expect_device(export, 1);
}

/* Ten workers make thumbnails without end, each asks again as soon as it is done; runs take 100 ms. Those that stand
 * before the export are those that have asked before, and those that ask within one ageing: it waits no longer than
 * that, and one run for each worker. */
static void test_nobody_starves(void **state)
{
  (void)state;
  enum
  {
    WORKERS = 10
  };
  const gint64 run = 100 * MS, bound = _rules.ageing + (WORKERS + 1) * run;
  _begin("||+0|+0|");
  dt_opencl_ticket_t export = 0;
  gint64 waited = -1;
  for(int i = 0; i < WORKERS; i++) _ask(DT_OPENCL_THUMBNAIL);
  for(int i = 0; i < 100 && waited < 0; i++)
  {
    const dt_opencl_decision_t decision = _take(__LINE__);
    if(decision.ticket == export) waited = decision.waited;
    if(i == 20) export = _ask(DT_OPENCL_EXPORT);
    _wait(run);
    _finish(decision.ticket);
    _ask(DT_OPENCL_THUMBNAIL);
  }
  assert_in_range(waited, _rules.ageing, bound);
}

// --- nested runs ---------------------------------------------------------------------------------

static void test_nested(void **state)
{
  (void)state;
  _begin("+01||+01||");
  const dt_opencl_ticket_t full = _ask(DT_OPENCL_FULL), inner = _nest(DT_OPENCL_FULL, full),
                           innermost = _nest(DT_OPENCL_EXPORT, inner);
  _expect_device(full, 0);
  _expect_device(inner, 0);
  _expect_device(innermost, 0);
  const dt_opencl_ticket_t one = _occupy(1), export = _ask(DT_OPENCL_EXPORT);
  _finish(inner);
  _expect_health(0, BUSY);
  _finish(full);
  _expect_health(0, BUSY);
  _expect_nothing();
  const dt_opencl_ticket_t next = _ask(DT_OPENCL_FULL); /* its turn, though the device is held */
  assert_true(dt_opencl_scheduler_is_wanted(_s, 0));
  _expect_next(_now + 5 * SECOND);
  _finish(innermost);
  _expect_device(next, 0);
  _finish(one);
  _expect_device(export, 1);
}

/* A nested run takes no turn: its pipe's own next run begins beside it. */
static void test_nested_takes_no_turn(void **state)
{
  (void)state;
  _begin("01||01||");
  const dt_opencl_ticket_t export = _ask(DT_OPENCL_EXPORT), inner = _nest(DT_OPENCL_FULL, export),
                           full = _ask(DT_OPENCL_FULL);
  _expect_device(export, 0);
  _expect_device(inner, 0);
  _expect_device(full, 1);
  const dt_opencl_ticket_t second = _ask(DT_OPENCL_FULL);
  _finish(inner); /* not the one whose turn it is */
  _expect_nothing();
  _finish(full);
  _expect_device(second, 1);
}

static void test_nested_on_the_cpu(void **state)
{
  (void)state;
  _begin("||0||");
  const dt_opencl_ticket_t full = _ask(DT_OPENCL_FULL);
  _expect_cpu(full, NO_DEVICE);
  const dt_opencl_ticket_t inner = _nest(DT_OPENCL_EXPORT, full);
  _expect_cpu(inner, PARENT);
  _expect_cpu(_nest(DT_OPENCL_EXPORT, inner), PARENT);
  _finish(full);
  _expect_device(_nest(DT_OPENCL_EXPORT, full), 0); /* over: no parent */
}

static void test_no_parent(void **state)
{
  (void)state;
  _begin("||+0||");
  const dt_opencl_ticket_t zero = _occupy(0), waiting = _ask(DT_OPENCL_EXPORT),
                           child = _nest(DT_OPENCL_EXPORT, waiting),
                           stranger = _nest(DT_OPENCL_EXPORT, 12345);
  _expect_nothing(); /* they wait as anybody */
  _finish(zero);
  _expect_device(waiting, 0);
  _finish(waiting);
  _expect_device(child, 0);
  _finish(child);
  _expect_device(stranger, 0);
}

static void test_nested_outcome_counts(void **state)
{
  (void)state;
  for(int failing = 0; failing < 2; failing++)
  {
    _begin("0||||");
    const dt_opencl_ticket_t full = _ask(DT_OPENCL_FULL), inner = _nest(DT_OPENCL_EXPORT, full);
    _expect_device(full, 0);
    _expect_device(inner, 0);
    _release(inner, failing ? DT_OPENCL_FAILED : DT_OPENCL_OK);
    _expect_health(0, BUSY);
    _release(full, failing ? DT_OPENCL_OK : DT_OPENCL_FAILED);
    _expect_health(0, SET_ASIDE);
    /* one failure, not two */
    const gint64 until = _now + SECOND;
    _now = until - 1;
    dt_opencl_scheduler_tick(_s, _now);
    _expect_nothing();
    _wait(1);
    _expect_test(0);
  }
}

static void test_nested_of_a_lost_device(void **state)
{
  (void)state;
  _begin("+0||+0||");
  const dt_opencl_ticket_t full = _ask(DT_OPENCL_FULL), inner = _nest(DT_OPENCL_EXPORT, full),
                           export = _ask(DT_OPENCL_EXPORT);
  _expect_device(full, 0);
  _expect_device(inner, 0);
  _release(inner, DT_OPENCL_HUNG);
  _expect_health(0, GIVEN_UP); /* at once: nobody waits for the other holder */
  _expect_cpu(export, UNWELL);
  _expect_cpu(_nest(DT_OPENCL_EXPORT, full), UNWELL);
  _finish(full);
  _expect_health(0, GIVEN_UP);
  _expect_cpu(_ask(DT_OPENCL_FULL), UNWELL);
  _wait(1000000 * SECOND);
  _expect_nothing();
}

// --- claims --------------------------------------------------------------------------------------

static void test_claim(void **state)
{
  (void)state;
  _begin("+10|0|+10||");
  const dt_opencl_ticket_t claim = _claim(1), second = _claim(1);
  _expect_device(claim, 1);
  const dt_opencl_ticket_t full = _ask(DT_OPENCL_FULL), export = _ask(DT_OPENCL_EXPORT);
  _expect_device(full, 0);
  assert_true(dt_opencl_scheduler_is_wanted(_s, 1));
  _finish(claim);
  _expect_device(second, 1); /* it has asked before the export, with its rank */
  _finish(second);
  _expect_device(export, 1);
  const dt_opencl_ticket_t late = _claim(1);
  _wait(5 * SECOND);
  _expect_cpu(late, TIMEOUT);
  /* it is over: nothing may be nested in it */
  const dt_opencl_ticket_t preview = _nest(DT_OPENCL_PREVIEW, late);
  _expect_cpu(preview, BUSY);
  _finish(late);
  _expect_nothing();
}

static void test_claim_that_cannot_be(void **state)
{
  (void)state;
  _begin("||||");
  _expect_cpu(_claim(-1), NO_DEVICE);
  _expect_cpu(_claim(2), NO_DEVICE);
  _expect_cpu(_claim(G_MAXINT), NO_DEVICE);
  _give_up(1);
  _expect_cpu(_claim(1), UNWELL);
  _fail_once(0);
  const dt_opencl_ticket_t claim = _claim(0);
  _wait(SECOND);
  _expect_test(0);
  dt_opencl_scheduler_tested(_s, _now, 0, TRUE);
  _expect_device(claim, 0);
  /* pipes may be nested in it */
  _expect_device(_nest(DT_OPENCL_PREVIEW, claim), 0);
}

// --- health --------------------------------------------------------------------------------------

/* How long the device was set aside, if it is tested right after. */
static void _assert_set_aside(int device, gint64 time)
{
  _expect_health(device, SET_ASIDE);
  _wait(time - 1);
  _expect_nothing();
  _wait(1);
  _expect_test(device);
}

static void test_set_aside_doubles(void **state)
{
  (void)state;
  _begin("||||");
  static const int seconds[] = { 1, 2, 4, 6, 6, 6 };
  for(size_t i = 0; i < G_N_ELEMENTS(seconds); i++)
  {
    _release(_occupy(0), DT_OPENCL_FAILED);
    _assert_set_aside(0, seconds[i] * SECOND);
    dt_opencl_scheduler_tested(_s, _now, 0, TRUE);
    _expect_health(0, FREE);
  }
  /* each good run takes one back */
  for(int i = 0; i < 4; i++) _finish(_occupy(0));
  _release(_occupy(0), DT_OPENCL_FAILED);
  _assert_set_aside(0, 4 * SECOND);
  dt_opencl_scheduler_tested(_s, _now, 0, TRUE);
  for(int i = 0; i < 10; i++) _finish(_occupy(0));
  _release(_occupy(0), DT_OPENCL_FAILED);
  _assert_set_aside(0, SECOND);
}

static void test_set_aside_many_times(void **state)
{
  (void)state;
  const dt_opencl_rules_t rules = {
    .devices = 1, .set_aside = 1, .set_aside_longest = G_MAXINT64 / 4, .test_limit = 1
  };
  _begin_with(&rules, "||||");
  _fail_once(0);
  for(int i = 0; i < 55; i++)
  {
    _assert_set_aside(0, G_GINT64_CONSTANT(1) << i);
    dt_opencl_scheduler_tested(_s, _now, 0, FALSE);
  }
  _begin_with(&(dt_opencl_rules_t){ .devices = 1, .test_limit = 1 }, "||||");
  _fail_once(0);
  for(int i = 0; i < 200; i++) /* no time at all, however often */
  {
    _wait(0);
    _expect_test(0);
    dt_opencl_scheduler_tested(_s, _now, 0, FALSE);
  }
}

static void test_failed_test(void **state)
{
  (void)state;
  _begin("||+0||");
  _fail_once(0);
  _assert_set_aside(0, SECOND);
  const dt_opencl_ticket_t export = _ask(DT_OPENCL_EXPORT);
  _expect_next(_now + 2 * SECOND);
  dt_opencl_scheduler_tested(_s, _now, 0, FALSE);
  _assert_set_aside(0, 2 * SECOND);
  _expect_nothing();
  dt_opencl_scheduler_tested(_s, _now, 0, FALSE);
  _expect_cpu(export, UNWELL); /* four seconds are beyond the three that are left */
  _assert_set_aside(0, 4 * SECOND);
}

static void test_test_hangs(void **state)
{
  (void)state;
  _begin("||+0||");
  _fail_once(0);
  _assert_set_aside(0, SECOND);
  const dt_opencl_ticket_t export = _ask(DT_OPENCL_EXPORT);
  _wait(2 * SECOND - 1);
  _expect_health(0, TESTING);
  _wait(1);
  _expect_health(0, GIVEN_UP);
  _expect_cpu(export, UNWELL);
  dt_opencl_scheduler_tested(_s, _now, 0, TRUE); /* too late */
  _expect_health(0, GIVEN_UP);
  _expect_next(G_MAXINT64);
}

/* One set aside is nobody else's harm. */
static void test_others_are_not_touched(void **state)
{
  (void)state;
  _begin("01||+01||");
  _give_up(0);
  _expect_health(1, FREE);
  for(int i = 0; i < 3; i++)
  {
    const dt_opencl_ticket_t full = _ask(DT_OPENCL_FULL), export = _ask(DT_OPENCL_EXPORT);
    _expect_device(full, 1);
    _finish(full);
    _expect_device(export, 1);
    _finish(export);
  }
}

/* Nobody is woken to test what nobody wants; the next event does it. */
static void test_lazy_test(void **state)
{
  (void)state;
  _begin("1||+1|0|");
  _fail_once(0);
  _expect_next(G_MAXINT64);
  const dt_opencl_ticket_t one = _occupy(1), export = _ask(DT_OPENCL_EXPORT);
  _expect_next(_now + 5 * SECOND); /* who waits does not want that one */
  _finish(one);
  _expect_device(export, 1);
  _finish(export);
  _now += 10 * SECOND;
  _expect_health(0, SET_ASIDE);
  const dt_opencl_ticket_t thumbnail = _ask(DT_OPENCL_THUMBNAIL);
  _expect_test(0);
  _expect_cpu(thumbnail, UNWELL);
  _expect_next(_now + 2 * SECOND);
}

static void test_tested_unasked(void **state)
{
  (void)state;
  _begin("||||");
  const dt_opencl_ticket_t zero = _occupy(0);
  dt_opencl_scheduler_tested(_s, _now, 0, FALSE);
  _expect_health(0, BUSY);
  _finish(zero);
  dt_opencl_scheduler_tested(_s, _now, 0, FALSE);
  _expect_health(0, FREE);
  _fail_once(1);
  dt_opencl_scheduler_tested(_s, _now, 1, TRUE);
  _expect_health(1, SET_ASIDE);
  dt_opencl_scheduler_tested(_s, _now, -1, TRUE);
  dt_opencl_scheduler_tested(_s, _now, 2, TRUE);
  _expect_health(-1, GIVEN_UP);
  _expect_health(2, GIVEN_UP);
}

// --- falling back --------------------------------------------------------------------------------

static void test_fall_back(void **state)
{
  (void)state;
  _begin("+0||+0||");
  const dt_opencl_ticket_t first = _ask(DT_OPENCL_FULL), second = _ask(DT_OPENCL_FULL),
                           export = _ask(DT_OPENCL_EXPORT);
  _expect_device(first, 0);
  dt_opencl_scheduler_fall_back(_s, _now, second, DT_OPENCL_HUNG); /* it has none */
  dt_opencl_scheduler_fall_back(_s, _now, first, DT_OPENCL_OK);
  _expect_device(export, 0); /* the second waits for its turn: the first goes on on the CPU */
  const dt_opencl_ticket_t inner = _nest(DT_OPENCL_FULL, first);
  _expect_cpu(inner, PARENT);
  dt_opencl_scheduler_fall_back(_s, _now, first, DT_OPENCL_HUNG);
  _expect_health(0, BUSY);
  _release(first, DT_OPENCL_HUNG); /* it was told what it has to say */
  _expect_health(0, BUSY);
  _finish(export);
  _expect_device(second, 0);
}

static void test_fall_back_after_a_failure(void **state)
{
  (void)state;
  _begin("+0||+0||");
  const dt_opencl_ticket_t full = _ask(DT_OPENCL_FULL), inner = _nest(DT_OPENCL_FULL, full);
  _expect_device(full, 0);
  _expect_device(inner, 0);
  dt_opencl_scheduler_fall_back(_s, _now, full, DT_OPENCL_FAILED);
  _expect_health(0, BUSY);
  _finish(inner);
  _expect_health(0, SET_ASIDE);
  _finish(full);

  _begin("+0||+0||");
  const dt_opencl_ticket_t lost = _ask(DT_OPENCL_FULL), export = _ask(DT_OPENCL_EXPORT);
  _expect_device(lost, 0);
  dt_opencl_scheduler_fall_back(_s, _now, lost, DT_OPENCL_HUNG);
  _expect_cpu(export, UNWELL);
  _expect_health(0, GIVEN_UP);
}

// --- other orders --------------------------------------------------------------------------------

static void test_other_orders(void **state)
{
  (void)state;
  _begin("+0|+0|+0|+0|+0");
  _occupy(0);
  const dt_opencl_ticket_t full = _ask(DT_OPENCL_FULL), preview = _ask(DT_OPENCL_PREVIEW),
                           export = _ask(DT_OPENCL_EXPORT), thumbnail = _ask(DT_OPENCL_THUMBNAIL),
                           preview2 = _ask(DT_OPENCL_PREVIEW2), claim = _claim(0);
  _give_up(1);
  _expect_nothing();
  _set_orders("0|+|+0|+01|+1");
  _expect_cpu(full, BUSY);
  _expect_cpu(preview, NO_DEVICE);
  _expect_cpu(preview2, UNWELL);
  _expect_nothing();
  _set_orders("0||||");
  _expect_cpu(thumbnail, NO_DEVICE);
  _expect_cpu(export, NO_DEVICE);
  _wait(5 * SECOND);
  _expect_cpu(claim, TIMEOUT);
}

static void test_other_orders_bring_a_device(void **state)
{
  (void)state;
  _begin("|0|+0||");
  const dt_opencl_ticket_t zero = _occupy(0), export = _ask(DT_OPENCL_EXPORT);
  _set_orders("|0|01||");
  _expect_device(export, 1);
  _finish(zero);
  const dt_opencl_ticket_t preview = _ask(DT_OPENCL_PREVIEW);
  _expect_device(preview, 0);
  _set_orders("|||+0|"); /* who runs goes on */
  _expect_health(0, BUSY);
  _expect_nothing();
  const dt_opencl_ticket_t thumbnail = _ask(DT_OPENCL_THUMBNAIL);
  _finish(preview);
  _expect_device(thumbnail, 0);
}

// --- what callers do -----------------------------------------------------------------------------

static void test_cancel(void **state)
{
  (void)state;
  _begin("+0||+0||");
  const dt_opencl_ticket_t first = _ask(DT_OPENCL_FULL), second = _ask(DT_OPENCL_FULL),
                           export = _ask(DT_OPENCL_EXPORT), other = _ask(DT_OPENCL_EXPORT);
  _expect_device(first, 0);
  dt_opencl_scheduler_cancel(_s, _now, first); /* decided */
  _expect_nothing();
  dt_opencl_scheduler_cancel(_s, _now, second);
  _expect_over(second, CANCELLED);
  dt_opencl_scheduler_cancel(_s, _now, second);
  _release(export, DT_OPENCL_HUNG); /* it waits: cancelled, and no device is to blame */
  _expect_over(export, CANCELLED);
  _expect_nothing();
  _finish(first);
  _expect_device(other, 0);
  _expect_health(0, BUSY);
}

static void test_unknown_tickets(void **state)
{
  (void)state;
  _begin("0||0||");
  const dt_opencl_ticket_t full = _ask(DT_OPENCL_FULL);
  _expect_device(full, 0);
  static const dt_opencl_ticket_t strange[] = { 0, 1, 77, G_MAXUINT64, 1U << 24, 2U << 24 };
  for(size_t i = 0; i < G_N_ELEMENTS(strange); i++)
    if(strange[i] != full)
    {
      _release(strange[i], DT_OPENCL_HUNG);
      dt_opencl_scheduler_cancel(_s, _now, strange[i]);
      dt_opencl_scheduler_fall_back(_s, _now, strange[i], DT_OPENCL_HUNG);
    }
  _expect_health(0, BUSY);
  _finish(full);
  const dt_opencl_ticket_t export = _ask(DT_OPENCL_EXPORT);
  _expect_device(export, 0);
  assert_true(export > full);
  _release(full, DT_OPENCL_HUNG); /* a second time */
  _expect_health(0, BUSY);
  _expect_nothing();
}

static void test_clock_goes_back(void **state)
{
  (void)state;
  _begin("||+0||");
  const dt_opencl_ticket_t zero = _occupy(0);
  const gint64 deadline = _now + 5 * SECOND;
  _now -= 50 * SECOND;
  const dt_opencl_ticket_t export = _ask(DT_OPENCL_EXPORT);
  _expect_next(deadline);
  _finish(zero);
  const dt_opencl_decision_t decision = _take(__LINE__);
  assert_int_equal(decision.ticket, export);
  assert_int_equal(decision.waited, 0);

  _begin("||+0||");
  _now = G_MININT64; /* before all time */
  _occupy(0);
  _ask(DT_OPENCL_EXPORT);
  _expect_next(5 * SECOND);
}

static void test_no_devices(void **state)
{
  (void)state;
  for(int devices = -1; devices <= 0; devices++)
  {
    _begin_with(&(dt_opencl_rules_t){ .devices = devices, .patience = SECOND }, "0|+01|9|+|");
    for(int pipe = 0; pipe < DT_OPENCL_PIPES; pipe++) _expect_cpu(_ask((dt_opencl_pipe_t)pipe), NO_DEVICE);
    _expect_cpu(_claim(0), NO_DEVICE);
    _expect_health(0, GIVEN_UP);
    dt_opencl_scheduler_tested(_s, _now, 0, TRUE);
    assert_false(dt_opencl_scheduler_is_wanted(_s, 0));
    _expect_next(G_MAXINT64);
  }
  dt_opencl_scheduler_destroy(NULL);
}

static void test_no_such_pipe(void **state)
{
  (void)state;
  _begin("01|01|01|01|01");
  const dt_opencl_ticket_t ticket = _ask(DT_OPENCL_PIPES);
  _expect_cpu(ticket, NO_DEVICE);
  _finish(ticket);
  _expect_cpu(_ask((dt_opencl_pipe_t)1000), NO_DEVICE);
  _expect_nothing();
}

#define _test(name) cmocka_unit_test_teardown(test_##name, _end)

int main(void)
{
  const struct CMUnitTest tests[] = {
    _test(manual),
    _test(manual_together),
    _test(order),
    _test(mandatory_waits),
    _test(mandatory_times_out),
    _test(time_passes_before_events),
    _test(patience_none_and_for_ever),
    _test(unwell_is_not_waited_for),
    _test(set_aside_is_waited_for),
    _test(set_aside_until_the_deadline),
    _test(one_at_a_time),
    _test(one_at_a_time_on_the_cpu),
    _test(patience_begins_with_the_turn),
    _test(replaced),
    _test(replaced_in_a_tie),
    _test(replaced_keeps_the_deadline),
    _test(replaced_while_it_waits_for_its_turn),
    _test(rank),
    _test(ageing),
    _test(first_come_first_served),
    _test(served_by_what_is_free),
    _test(nobody_starves),
    _test(nested),
    _test(nested_takes_no_turn),
    _test(nested_on_the_cpu),
    _test(no_parent),
    _test(nested_outcome_counts),
    _test(nested_of_a_lost_device),
    _test(claim),
    _test(claim_that_cannot_be),
    _test(set_aside_doubles),
    _test(set_aside_many_times),
    _test(failed_test),
    _test(test_hangs),
    _test(others_are_not_touched),
    _test(lazy_test),
    _test(tested_unasked),
    _test(fall_back),
    _test(fall_back_after_a_failure),
    _test(other_orders),
    _test(other_orders_bring_a_device),
    _test(cancel),
    _test(unknown_tickets),
    _test(clock_goes_back),
    _test(no_devices),
    _test(no_such_pipe),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
