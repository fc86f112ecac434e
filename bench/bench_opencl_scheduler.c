/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What deciding costs: the time of a request, its decision and its release, with few and many devices, and with none
 * and a hundred that wait for another device meanwhile.
 *
 *     bench_opencl_scheduler [ROUNDS]      default: 2000000 */
#include "common/opencl_scheduler.h"

#include <stdio.h>
#include <stdlib.h>

#define SECOND G_USEC_PER_SEC

enum
{
  MOST_DEVICES = 16,
  REPEATS = 5
};

/* A scheduler whose last device is taken, with @p waiting thumbnails that want it; exports find the others free. */
static dt_opencl_scheduler_t *_create(int devices, int waiting)
{
  const dt_opencl_rules_t rules = { .devices = devices + 1,
                                    .patience = G_MAXINT64,
                                    .ageing = SECOND,
                                    .set_aside = SECOND,
                                    .set_aside_longest = 60 * SECOND,
                                    .test_limit = 10 * SECOND };
  int free[MOST_DEVICES], last = devices;
  for(int i = 0; i < devices; i++) free[i] = i;
  const dt_opencl_order_t orders[DT_OPENCL_PIPES] = { [DT_OPENCL_EXPORT] = { free, devices, TRUE },
                                                      [DT_OPENCL_FULL] = { free, devices, FALSE },
                                                      [DT_OPENCL_THUMBNAIL] = { &last, 1, TRUE } };
  dt_opencl_scheduler_t *scheduler = dt_opencl_scheduler_create(&rules, orders);
  for(int i = 0; i <= waiting; i++) dt_opencl_scheduler_request(scheduler, 0, DT_OPENCL_THUMBNAIL, 0);
  for(dt_opencl_decision_t decision; dt_opencl_scheduler_decide(scheduler, &decision);)
  {
  }
  return scheduler;
}

/* Nanoseconds a run, the best of some repeats. */
static double _measure(dt_opencl_pipe_t pipe, int devices, int waiting, int rounds)
{
  dt_opencl_scheduler_t *scheduler = _create(devices, waiting);
  gint64 best = G_MAXINT64, now = 0;
  for(int repeat = 0; repeat < REPEATS; repeat++)
  {
    const gint64 start = g_get_monotonic_time();
    for(int i = 0; i < rounds; i++)
    {
      dt_opencl_decision_t decision;
      const dt_opencl_ticket_t ticket = dt_opencl_scheduler_request(scheduler, ++now, pipe, 0);
      if(!dt_opencl_scheduler_decide(scheduler, &decision) || decision.ticket != ticket
         || decision.verdict != DT_OPENCL_GRANTED)
      {
        fprintf(stderr, "bench: a device was free, and not granted\n");
        exit(1);
      }
      dt_opencl_scheduler_release(scheduler, ++now, ticket, DT_OPENCL_OK);
    }
    best = MIN(best, g_get_monotonic_time() - start);
  }
  dt_opencl_scheduler_destroy(scheduler);
  return 1e3 * (double)best / rounds;
}

int main(int argc, char **argv)
{
  static const int devices[] = { 1, 4, MOST_DEVICES }, waiting[] = { 0, 100 };
  const int rounds = argc > 1 ? MAX(1, atoi(argv[1])) : 2000000;
  double worst = 0;
  printf("request, decision and release, ns (%d runs, best of %d)\n", rounds, REPEATS);
  printf("%8s %8s %8s %8s\n", "devices", "waiting", "export", "full");
  for(size_t w = 0; w < G_N_ELEMENTS(waiting); w++)
    for(size_t d = 0; d < G_N_ELEMENTS(devices); d++)
    {
      const double export = _measure(DT_OPENCL_EXPORT, devices[d], waiting[w], rounds),
                   full = _measure(DT_OPENCL_FULL, devices[d], waiting[w], rounds);
      printf("%8d %8d %8.0f %8.0f\n", devices[d], waiting[w], export, full);
      if(waiting[w] == 0) worst = MAX(worst, MAX(export, full));
    }
  printf("at most 1000 ns when nobody waits: %s\n", worst <= 1000 ? "yes" : "NO");
  return worst <= 1000 ? 0 : 1;
}
