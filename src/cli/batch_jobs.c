/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Threads that take one photograph after the other, and what became of each. */
#include "cli/batch_jobs.h"

#include "cli/cli.h"
#include "common/cores.h"

#include <stdio.h>

void dt_cli_jobs_init(dt_cli_jobs_t *jobs, char *const *operands, int n, const dt_batch_opts_t *opts,
                      gboolean json)
{
  *jobs = (dt_cli_jobs_t){ .batch = dt_batch_collect(operands, n, opts), .json = json };
  pthread_mutex_init(&jobs->lock, NULL);
}

void dt_cli_jobs_clear(dt_cli_jobs_t *jobs)
{
  dt_batch_free(jobs->batch);
  pthread_mutex_destroy(&jobs->lock);
}

void dt_cli_jobs_report_problems(dt_cli_jobs_t *jobs)
{
  const dt_batch_t *batch = jobs->batch;
  for(guint i = 0; i < batch->notes->len; i++) dt_cli_say("%s", (const char *)batch->notes->pdata[i]);
  for(guint i = 0; i < batch->problems->len; i++)
    dt_cli_jobs_count_failure(jobs, NULL, g_error_copy(batch->problems->pdata[i]));
}

/* --- the threads --- */

int dt_cli_jobs_share(const dt_cli_jobs_t *jobs, int wanted)
{
  return CLAMP(wanted, 1, (int)CLAMP(jobs->batch->items->len, 1, DT_CLI_MAX_JOBS));
}

int dt_cli_jobs_count_devices(const dt_opencl_t *cl)
{
  int n = 0;
  while(cl && dt_opencl_device(cl, n)) n++;
  return n;
}

typedef struct _worker_t
{
  dt_cli_jobs_t *jobs;
  int threads; /* that do the same */
  dt_cli_job_func_t func;
  void *user_data;
} _worker_t;

static void *_work(void *data)
{
  const _worker_t *worker = data;
  dt_cli_jobs_t *jobs = worker->jobs;
  dt_cores_share(worker->threads);
  for(;;)
  {
    pthread_mutex_lock(&jobs->lock);
    const guint i = jobs->next++;
    pthread_mutex_unlock(&jobs->lock);
    if(i >= jobs->batch->items->len || dt_cli_signal_exit_code()) return NULL;
    worker->func(jobs->batch->items->pdata[i], worker->user_data);
  }
}

void dt_cli_jobs_work(dt_cli_jobs_t *jobs, int threads, dt_cli_job_func_t func, void *user_data)
{
  _worker_t worker = { jobs, threads, func, user_data };
  pthread_t others[DT_CLI_MAX_JOBS];
  int n = 0;
  while(n < MIN(threads, DT_CLI_MAX_JOBS) - 1 && pthread_create(&others[n], NULL, _work, &worker) == 0) n++;
  _work(&worker);
  while(n > 0) pthread_join(others[--n], NULL);
}

/* --- what became of them --- */

static void _print_failure(const dt_cli_jobs_t *jobs, const char *input, const GError *error)
{
  dt_cli_say("%s", error->message);
  if(!jobs->json) return;
  printf("{\"schema_version\":1,\"event\":\"error\",\"input\":");
  dt_cli_print_json_string(input);
  fputs(",\"message\":", stdout);
  dt_cli_print_json_string(error->message);
  printf(",\"code\":%d}\n", dt_cli_exit_code(error));
}

/* The pipe knows photographs, not their names. */
static void _name(const char *input, GError **error)
{
  const int code = dt_cli_exit_code(*error);
  if(input && (code == DT_EXIT_MEMORY || code == DT_EXIT_FAILED || code == DT_EXIT_USAGE))
    g_prefix_error(error, "%s: ", input);
}

void dt_cli_jobs_count_failure(dt_cli_jobs_t *jobs, const char *input, GError *error)
{
  if(!dt_cli_signal_exit_code())
  {
    jobs->failed++;
    jobs->code = dt_cli_exit_code(error);
    _name(input, &error);
    _print_failure(jobs, input, error);
  }
  g_error_free(error);
}

int dt_cli_jobs_exit_code(const dt_cli_jobs_t *jobs)
{
  if(dt_cli_signal_exit_code()) return dt_cli_signal_exit_code();
  return jobs->failed && jobs->done + jobs->failed > 1 ? DT_EXIT_PARTIAL : jobs->code;
}
