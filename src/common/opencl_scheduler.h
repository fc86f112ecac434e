/* SPDX-License-Identifier: GPL-3.0-or-later */
/** @file
 * Who gets which OpenCL device, and when: a state machine without threads, clock or OpenCL.
 *
 * Requests, releases and the time go in, decisions come out. A pipe asks for one run, is told a device or the CPU, and
 * releases what it was given when the run is over:
 *
 * - The first free device of the pipe's order is taken; when none is free, the CPU, unless the order is mandatory: then
 *   the request waits, at most @ref dt_opencl_rules_t.patience, counted from when it was its pipe's turn.
 * - Full, preview and preview2 run one at a time each: a second one waits for its turn until the first is released
 *   (whatever it runs on), and a newer one takes the place of one that waits, which is told DT_OPENCL_REPLACED; the
 *   place in the queue is kept, and so is the patience that is used up.
 * - Who waits is served by rank (full 0, preview 1, preview2 2, thumbnail 3, export and claim 4) and age: each
 *   @ref dt_opencl_rules_t.ageing of waiting is worth one rank. The smallest (time of asking + rank x ageing) is first,
 *   then the older ticket, or the one whose place it has. So nobody starves: who asks later than rank x ageing after a
 *   request is never before it.
 * - A nested request, one with a parent that runs, gets what its parent has, at once, and needs no turn; a device is
 *   free again when the parent and all that inherited from it are released.
 * - A claim wants one device for work that is no pipe (a neural network on the same graphics processor); it waits with
 *   the rank of an export and the patience of a mandatory pipe.
 * - A device that fails is set aside, twice as long each time (a run that ends well takes one doubling back), then
 *   tested (decision DT_OPENCL_TEST) before it serves again; one that hangs is given up for good. Others are not
 *   touched by that. A wait that no device can meet in time is not begun.
 * - Time is only looked at when a function is called. A device that was set aside is tested at the first call after its
 *   time; dt_opencl_scheduler_next() asks for a tick for its sake only when somebody waits for it.
 *
 * Nothing fails; tickets and devices that are not known are ignored, and time does not go back. Not thread-safe: the
 * owner locks.
 */
#ifndef DT_COMMON_OPENCL_SCHEDULER_H
#define DT_COMMON_OPENCL_SCHEDULER_H

#include "common/opencl_priority.h"

G_BEGIN_DECLS

/** What does not change while it runs. Times are microseconds from 0; G_MAXINT64 is for ever. */
typedef struct dt_opencl_rules_t
{
  int devices;              ///< 0 and more
  gint64 patience;          ///< of a mandatory pipe and of a claim
  gint64 ageing;            ///< waiting worth one rank
  gint64 set_aside;         ///< after a first failure
  gint64 set_aside_longest; ///< however often it fails
  gint64 test_limit;        ///< a test that is not over by then hangs
} dt_opencl_rules_t;

/** A request, from being asked for to being released; 0 is none. Never reused; a later one is greater. */
typedef guint64 dt_opencl_ticket_t;

typedef enum dt_opencl_verdict_t
{
  DT_OPENCL_GRANTED,   ///< runs on `device`; to be released
  DT_OPENCL_CPU,       ///< runs on the CPU; to be released. A claim: goes on unclaimed, and is over
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
  DT_OPENCL_REASON_UNWELL,    ///< no device of the order is well, or will be in time
  DT_OPENCL_REASON_PARENT,    ///< its parent runs there
} dt_opencl_reason_t;

/** Each request is told one, and only one. */
typedef struct dt_opencl_decision_t
{
  dt_opencl_ticket_t ticket;
  dt_opencl_verdict_t verdict;
  int device; ///< -1: none
  dt_opencl_reason_t reason;
  gint64 waited; ///< microseconds since it was asked for
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

/** @param orders  DT_OPENCL_PIPES of them, copied; devices that do not exist are ignored
 * @return never NULL */
dt_opencl_scheduler_t *dt_opencl_scheduler_create(const dt_opencl_rules_t *rules,
                                                  const dt_opencl_order_t *orders);
/** Whatever still runs or waits is forgotten. NULL is fine. */
void dt_opencl_scheduler_destroy(dt_opencl_scheduler_t *scheduler);

/** A pipe wants to run.
 * @param now     microseconds of a clock that does not jump; an earlier time than before is taken for that one
 * @param parent  a ticket that was told where it runs and is not released: this one runs there too. Any other ticket,
 *                and 0, is no parent */
dt_opencl_ticket_t dt_opencl_scheduler_request(dt_opencl_scheduler_t *scheduler, gint64 now,
                                               dt_opencl_pipe_t pipe, dt_opencl_ticket_t parent);
/** Other work wants @p device. */
dt_opencl_ticket_t dt_opencl_scheduler_claim(dt_opencl_scheduler_t *scheduler, gint64 now, int device);
/** Whoever waits does not any more; a request that was decided is left alone. */
void dt_opencl_scheduler_cancel(dt_opencl_scheduler_t *scheduler, gint64 now, dt_opencl_ticket_t ticket);
/** A run gives its device back before its end and goes on on the CPU, for instance because the device failed: nobody
 * waits for a device that is not used any more, and its pipe's next run still waits for its turn. It is released as
 * ever; the outcome told then means nothing any more. */
void dt_opencl_scheduler_fall_back(dt_opencl_scheduler_t *scheduler, gint64 now, dt_opencl_ticket_t ticket,
                                   dt_opencl_outcome_t outcome);
/** A run is over, on a device or on the CPU. A request that still waits is cancelled. */
void dt_opencl_scheduler_release(dt_opencl_scheduler_t *scheduler, gint64 now, dt_opencl_ticket_t ticket,
                                 dt_opencl_outcome_t outcome);
/** The answer to DT_OPENCL_TEST; ignored when it comes too late. */
void dt_opencl_scheduler_tested(dt_opencl_scheduler_t *scheduler, gint64 now, int device, gboolean works);
/** Time has passed. Every function that takes the time does the same first. */
void dt_opencl_scheduler_tick(dt_opencl_scheduler_t *scheduler, gint64 now);
/** When the next tick can change something for somebody: a request that waits, a test that runs. It may be past.
 * G_MAXINT64: only an event can. */
gint64 dt_opencl_scheduler_next(const dt_opencl_scheduler_t *scheduler);
/** Takes the next decision, in the order they were made. @return FALSE: there is none */
gboolean dt_opencl_scheduler_decide(dt_opencl_scheduler_t *scheduler, dt_opencl_decision_t *decision);
/** Other orders, from now on: who waits is judged anew, who runs goes on. */
void dt_opencl_scheduler_set_orders(dt_opencl_scheduler_t *scheduler, gint64 now,
                                    const dt_opencl_order_t *orders);

/** DT_OPENCL_GIVEN_UP for a device that does not exist. */
dt_opencl_health_t dt_opencl_scheduler_health(const dt_opencl_scheduler_t *scheduler, int device);
/** Whether somebody waits who could use @p device: its holder may want to give way. A pipe whose order is not mandatory
 * does not wait, and one that waits for its turn wants no device yet. */
gboolean dt_opencl_scheduler_is_wanted(const dt_opencl_scheduler_t *scheduler, int device);

G_END_DECLS

#endif
