/* SPDX-License-Identifier: GPL-3.0-or-later */
/** @file
 * The photographs of a batch, several at a time: what the commands that develop share.
 */
#ifndef DT_CLI_BATCH_JOBS_H
#define DT_CLI_BATCH_JOBS_H

#include "common/opencl.h"
#include "libs/batch.h"

#include <pthread.h>

/** The most photographs at a time. */
#define DT_CLI_MAX_JOBS 64

/** One run of a command; its threads share it. */
typedef struct dt_cli_jobs_t
{
  dt_batch_t *batch;    ///< owned
  gboolean json;        ///< failures are printed as JSON objects as well
  pthread_mutex_t lock; ///< of printing and of everything below
  guint next;
  int done, failed, code; ///< code: the last failure's
} dt_cli_jobs_t;

/** Does one photograph, and counts it. Called from several threads. */
typedef void (*dt_cli_job_func_t)(const dt_batch_item_t *item, void *user_data);

/** Collects the photographs of @p operands. @p jobs is cleared with dt_cli_jobs_clear(). */
void dt_cli_jobs_init(dt_cli_jobs_t *jobs, char *const *operands, int n, const dt_batch_opts_t *opts,
                      gboolean json);
void dt_cli_jobs_clear(dt_cli_jobs_t *jobs);

/** Says what was passed over; directories that gave nothing are failures. */
void dt_cli_jobs_report_problems(dt_cli_jobs_t *jobs);

/** Photographs at a time: as many as @p wanted, but no more than there are.
 * @return 1 and more */
int dt_cli_jobs_share(const dt_cli_jobs_t *jobs, int wanted);
/** Devices that are used; @p cl may be NULL. */
int dt_cli_jobs_count_devices(const dt_opencl_t *cl);

/** Does them all, @p threads at a time, until a signal is caught; returns when all threads are over. */
void dt_cli_jobs_work(dt_cli_jobs_t *jobs, int threads, dt_cli_job_func_t func, void *user_data);

/** Counts and prints a failure, but none after a signal. With the lock, or without other threads.
 * @param input  NULL: the message says it
 * @param error  taken */
void dt_cli_jobs_count_failure(dt_cli_jobs_t *jobs, const char *input, GError *error);

/** The exit code when everything is done. */
int dt_cli_jobs_exit_code(const dt_cli_jobs_t *jobs);

#endif
