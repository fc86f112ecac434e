/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What sharing OpenCL devices costs, and what keeping compiled programs saves:
 *
 *     bench_opencl [ROUNDS] [STARTS]       default: 200000 runs, 7 starts
 *
 * - a run that gets a device at once, from its begin to its end, without work and with work that does nothing;
 * - a process of its own, from its start to the end of its first kernel: with an empty program cache, then with what that
 *   one left there. The driver's own cache is off.
 *
 * Without OpenCL devices, among which those of type CPU count here, there is nothing to measure. */
#include "common/conf.h"
#include "common/opencl.h"
#include "common/opencl_probe.h"
#include "common/paths.h"

#include <ftw.h>
#include <glib/gstdio.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MOST_STARTS 101
/* what is promised */
#define MOST_NANOSECONDS 5000.0
#define LEAST_RATIO 10.0

static void _set_up(const char *world)
{
  char *config = g_build_filename(world, "config", NULL), *cache = g_build_filename(world, "cache", NULL);
  dt_paths_set(DT_DIR_CONFIG, config);
  dt_paths_set(DT_DIR_CACHE, cache);
  dt_conf_override(DT_CONF_OPENCL_CPU_DEVICES, "TRUE");
  dt_conf_override(DT_CONF_OPENCL_PRIORITY, "*/*/*/*");
  g_free(config);
  g_free(cache);
}

/* --- acquiring and releasing --- */

static gboolean _nothing(dt_opencl_queue_t *queue, void *data, GError **error)
{
  (void)queue;
  (void)data;
  (void)error;
  return TRUE;
}

static dt_opencl_run_t *_begin(dt_opencl_t *cl)
{
  dt_opencl_run_t *run = dt_opencl_run_begin(cl, &(dt_opencl_run_opts_t){ .pipe = DT_OPENCL_EXPORT }, NULL);
  if(run && dt_opencl_run_device(run) >= 0) return run;
  fprintf(stderr, "bench: a device was free, and not granted\n");
  exit(1);
}

/* Nanoseconds a run, the best of some repeats. */
static double _measure_runs(dt_opencl_t *cl, gboolean with_work, int rounds)
{
  gint64 best = G_MAXINT64;
  for(int repeat = 0; repeat < 5; repeat++)
  {
    const gint64 start = g_get_monotonic_time();
    for(int i = 0; i < rounds; i++)
    {
      dt_opencl_run_t *run = _begin(cl);
      if(with_work && !dt_opencl_run_perform(run, _nothing, NULL, NULL, NULL)) exit(1);
      dt_opencl_run_end(run);
    }
    best = MIN(best, g_get_monotonic_time() - start);
  }
  return 1e3 * (double)best / rounds;
}

static gboolean _bench_runs(dt_opencl_t *cl, int rounds)
{
  const double alone = _measure_runs(cl, FALSE, rounds);
  const double worked = _measure_runs(cl, TRUE, MAX(1, rounds / 10));
  printf("begin and end of a run that nobody contends with  %8.0f ns\n", alone);
  printf("the same with work that does nothing, there and back  %8.0f ns\n", worked);
  printf("at most %.0f ns to acquire and release: %s\n\n", MOST_NANOSECONDS,
         alone <= MOST_NANOSECONDS ? "yes" : "NO");
  return alone <= MOST_NANOSECONDS;
}

/* --- the first kernel of a process --- */

/* In a process of its own: prints the microseconds since @p begun. */
static int _start(const char *world, gint64 begun)
{
  GError *error = NULL;
  _set_up(world);
  dt_opencl_t *cl = dt_opencl_create(NULL, &error);
  if(!cl) return 1;
  dt_opencl_run_t *run = _begin(cl);
  if(!dt_opencl_run_perform(run, dt_opencl_probe, NULL, NULL, &error)) return 1;
  printf("%" G_GINT64_FORMAT "\n", g_get_monotonic_time() - begun);
  dt_opencl_run_end(run);
  dt_opencl_destroy(cl);
  return 0;
}

/* Milliseconds of a new process. */
static double _spawn(const char *program, const char *world)
{
  char *begun = g_strdup_printf("%" G_GINT64_FORMAT, g_get_monotonic_time()), *out = NULL;
  char *args[] = { (char *)program, (char *)"--start", (char *)world, begun, NULL };
  gint status = 1;
  GError *error = NULL;
  if(!g_spawn_sync(NULL, args, NULL, G_SPAWN_DEFAULT, NULL, NULL, &out, NULL, &status, &error)
     || !g_spawn_check_wait_status(status, &error))
  {
    fprintf(stderr, "bench: %s\n", error->message);
    exit(1);
  }
  const double ms = (double)g_ascii_strtoll(out, NULL, 10) / 1e3;
  g_free(out);
  g_free(begun);
  return ms;
}

static int _remove_entry(const char *path, const struct stat *status, int type, struct FTW *place)
{
  (void)status;
  (void)type;
  (void)place;
  return remove(path);
}

static int _compare(const void *a, const void *b)
{
  const double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

static double _median(double *values, int n)
{
  qsort(values, (size_t)n, sizeof(*values), _compare);
  return values[n / 2];
}

static gboolean _bench_starts(const char *program, const char *world, int starts)
{
  double first[MOST_STARTS] = { 0 }, second[MOST_STARTS] = { 0 };
  char *cache = g_build_filename(world, "cache", NULL);
  for(int i = 0; i < starts; i++)
  {
    nftw(cache, _remove_entry, 16, FTW_DEPTH | FTW_PHYS);
    first[i] = _spawn(program, world);
    second[i] = _spawn(program, world);
  }
  g_free(cache);
  const double slow = _median(first, starts), fast = _median(second, starts), ratio = slow / fast;
  printf("start to end of the first kernel, median of %d processes\n", starts);
  printf("empty program cache %8.1f ms\nthe next start      %8.1f ms, %.1f times as fast\n", slow, fast,
         ratio);
  printf("at least %.0f times as fast: %s\n", LEAST_RATIO, ratio >= LEAST_RATIO ? "yes" : "NO");
  return ratio >= LEAST_RATIO;
}

int main(int argc, char **argv)
{
  if(argc == 4 && strcmp(argv[1], "--start") == 0) return _start(argv[2], g_ascii_strtoll(argv[3], NULL, 10));
  const int rounds = argc > 1 ? MAX(1, atoi(argv[1])) : 200000;
  const int starts = argc > 2 ? CLAMP(atoi(argv[2]), 1, MOST_STARTS) : 7;
  char *world = g_dir_make_tmp("darktable-ai-bench-XXXXXX", NULL),
       *program = g_file_read_link("/proc/self/exe", NULL);
  if(!world) return 1;
  g_setenv("POCL_KERNEL_CACHE", "0", TRUE);
  g_setenv("POCL_CACHE_DIR", world, TRUE);
  _set_up(world);
  dt_opencl_t *cl = dt_opencl_create(NULL, NULL);
  gboolean fine = cl != NULL;
  if(cl && dt_opencl_absence(cl))
    printf("nothing to measure: %s\n", dt_opencl_absence(cl));
  else if(cl)
  {
    printf("%s\n\n", dt_opencl_device(cl, 0)->name);
    fine = _bench_runs(cl, rounds);
    fine &= _bench_starts(program ? program : argv[0], world, starts);
  }
  dt_opencl_destroy(cl);
  nftw(world, _remove_entry, 16, FTW_DEPTH | FTW_PHYS);
  g_free(program);
  g_free(world);
  return fine ? 0 : 1;
}
