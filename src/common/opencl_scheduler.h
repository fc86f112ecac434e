/* SPDX-License-Identifier: GPL-3.0-or-later */
/** @file
 * Who gets which OpenCL device, and when: a state machine without threads, clock or OpenCL.
 *
 * Requests, releases and the time go in, decisions come out. A pipe asks for one run, is told a device or the CPU, and
 * releases what it was given when the run is over:
 *
 * - The first free device of the pipe's order is taken; when none is free, the CPU, unless the order is mandatory: then
 *   the request waits, at most @ref dt_opencl_rules_t.patience, counted from when it could first have run.
 * - Full, preview and preview2 run one at a time each: a second one waits until the first is released (whatever it runs
 *   on), and a newer one takes the place of one that waits, which is told DT_OPENCL_REPLACED; the place in the queue is
 *   kept.
 * - Who waits is served by rank (full, preview, preview2, thumbnail, export) and age: each
 *   @ref dt_opencl_rules_t.ageing of waiting is worth one rank, so that nobody starves.
 * - A nested request, one with a parent that runs, gets what its parent has, at once; a device is free again when the
 *   parent and all that inherited from it are released.
 * - A claim wants one device for work that is no pipe (a neural network on the same graphics processor); it waits with
 *   the rank of an export.
 * - A device that fails is set aside, twice as long each time in a row, then tested (decision DT_OPENCL_TEST) before it
 *   serves again; one that hangs is given up for good. Others are not touched by that. A wait that no device can meet in
 *   time is not begun.
 *
 * Nothing fails; numbers that are not known (a ticket that is over) are ignored. Not thread-safe: the owner locks.
 */
#ifndef DT_COMMON_OPENCL_SCHEDULER_H
#define DT_COMMON_OPENCL_SCHEDULER_H

#include "common/opencl_priority.h"

G_BEGIN_DECLS

/** What does not change while it runs. Times are microseconds. */
typedef struct dt_opencl_rules_t
{
  int devices;              ///< 0 and more
  gint64 patience;          ///< of a mandatory pipe and of a claim
  gint64 ageing;            ///< waiting worth one rank
  gint64 set_aside;         ///< after a first failure
  gint64 set_aside_longest; ///< however often it fails
  gint64 test_limit;        ///< a test that takes longer hangs
} dt_opencl_rules_t;

/** A request, from being asked for to being released; 0 is none. Never reused. */
typedef guint64 dt_opencl_ticket_t;

typedef enum dt_opencl_verdict_t
{
  DT_OPENCL_GRANTED,   ///< runs on `device`; to be released
  DT_OPENCL_CPU,       ///< runs on the CPU; to be released. A claim: goes on unclaimed
  DT_OPENCL_REPLACED,  ///< over: a newer request took its place
  DT_OPENCL_CANCELLED, ///< over
  DT_OPENCL_TEST,      ///< no ticket: test `device` and say dt_opencl_scheduler_tested()
} dt_opencl_verdict_t;

/** Why the CPU. */
typedef enum dt_opencl_reason_t
{
  DT_OPENCL_REASON_NONE,      ///< it was granted a device
  DT_OPENCL_REASON_NO_DEVICE, ///< the order is empty
  DT_OPENCL_REASON_BUSY,      ///< none was free, and the pipe does not wait
  DT_OPENCL_REASON_TIMEOUT,   ///< it has waited for as long as it may
  DT_OPENCL_REASON_UNWELL,    ///< every device of the order is set aside or given up
  DT_OPENCL_REASON_PARENT,    ///< its parent runs there
} dt_opencl_reason_t;

typedef struct dt_opencl_decision_t
{
  dt_opencl_ticket_t ticket;
  dt_opencl_verdict_t verdict;
  int device; ///< -1: none
  dt_opencl_reason_t reason;
  gint64 waited;
} dt_opencl_decision_t;

/** How a run ended, as far as its device is concerned. */
typedef enum dt_opencl_outcome_t
{
  DT_OPENCL_OK,     ///< also: cancelled, out of the device's memory
  DT_OPENCL_FAILED, ///< the device or its driver failed
  DT_OPENCL_HUNG,   ///< it does not come back
} dt_opencl_outcome_t;

/** How a device is. */
typedef enum dt_opencl_health_t
{
  DT_OPENCL_FREE,
  DT_OPENCL_BUSY,
  DT_OPENCL_SET_ASIDE,
  DT_OPENCL_TESTING,
  DT_OPENCL_GIVEN_UP,
} dt_opencl_health_t;

typedef struct dt_opencl_scheduler_t dt_opencl_scheduler_t;

/** @param orders  DT_OPENCL_PIPES of them, copied; numbers at or above rules->devices are ignored */
dt_opencl_scheduler_t *dt_opencl_scheduler_create(const dt_opencl_rules_t *rules,
                                                  const dt_opencl_order_t *orders);
void dt_opencl_scheduler_destroy(dt_opencl_scheduler_t *scheduler);

/** A pipe wants to run. @param parent  a granted ticket whose device is inherited, or 0 */
dt_opencl_ticket_t dt_opencl_scheduler_request(dt_opencl_scheduler_t *scheduler, gint64 now,
                                               dt_opencl_pipe_t pipe, dt_opencl_ticket_t parent);
/** Other work wants @p device. */
dt_opencl_ticket_t dt_opencl_scheduler_claim(dt_opencl_scheduler_t *scheduler, gint64 now, int device);
/** Whoever waits does not any more; a request that was decided is left alone. */
void dt_opencl_scheduler_cancel(dt_opencl_scheduler_t *scheduler, gint64 now, dt_opencl_ticket_t ticket);
/** The device of a run failed or hangs, and the run goes on on the CPU: it keeps its turn, and is released later. */
void dt_opencl_scheduler_fail(dt_opencl_scheduler_t *scheduler, gint64 now, dt_opencl_ticket_t ticket,
                              dt_opencl_outcome_t outcome);
/** A run is over, on a device or on the CPU. */
void dt_opencl_scheduler_release(dt_opencl_scheduler_t *scheduler, gint64 now, dt_opencl_ticket_t ticket,
                                 dt_opencl_outcome_t outcome);
/** The answer to DT_OPENCL_TEST. */
void dt_opencl_scheduler_tested(dt_opencl_scheduler_t *scheduler, gint64 now, int device, gboolean works);
/** Time has passed. Every other function does the same first. */
void dt_opencl_scheduler_tick(dt_opencl_scheduler_t *scheduler, gint64 now);
/** When the next tick can change something; G_MAXINT64: only an event can. */
gint64 dt_opencl_scheduler_next(const dt_opencl_scheduler_t *scheduler);
/** Takes the next decision, in the order they were made. @return FALSE: there is none */
gboolean dt_opencl_scheduler_decide(dt_opencl_scheduler_t *scheduler, dt_opencl_decision_t *decision);
/** Other orders, from now on: who waits is judged anew, who runs goes on. */
void dt_opencl_scheduler_set_orders(dt_opencl_scheduler_t *scheduler, gint64 now,
                                    const dt_opencl_order_t *orders);

dt_opencl_health_t dt_opencl_scheduler_health(const dt_opencl_scheduler_t *scheduler, int device);
/** Whether somebody waits who could use @p device: its holder may want to give way. */
gboolean dt_opencl_scheduler_is_wanted(const dt_opencl_scheduler_t *scheduler, int device);

G_END_DECLS

#endif
