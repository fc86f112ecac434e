/* SPDX-License-Identifier: GPL-3.0-or-later */
/* thumbnail: fills the thumbnail cache, several photographs at a time, and says where each thumbnail lies. */
#include "cli/batch_jobs.h"
#include "cli/cli.h"
#include "libs/thumbnails.h"

#include <stdio.h>

/* by default, with one core for each: a raw is held whole while it is read */
#define MAX_DEFAULT_JOBS 4

static int _size = DT_THUMBNAIL_SIZE, _jobs;
static gboolean _json, _overwrite;

static const GOptionEntry _entries[] = {
  { "size", 0, 0, G_OPTION_ARG_INT, &_size, "longer side, 16 to 2560 (default 360)", "PIXELS" },
  { "jobs", 0, 0, G_OPTION_ARG_INT, &_jobs, "photographs at a time (default: one for each core, up to 4)",
    "N" },
  { "overwrite", 0, 0, G_OPTION_ARG_NONE, &_overwrite, "make those anew that are there", NULL },
  { "json", 0, 0, G_OPTION_ARG_NONE, &_json, "print one JSON object per photograph", NULL },
  { NULL, 0, 0, 0, NULL, NULL, NULL },
};

/* One run of the command; the threads share it. */
typedef struct _run_t
{
  dt_thumbnails_opts_t opts;
  dt_cli_jobs_t jobs;
} _run_t;

static void _print_json(const char *input, const dt_thumbnail_t *thumbnail, const char *device)
{
  printf("{\"schema_version\":1,\"event\":\"thumbnail\",\"input\":");
  dt_cli_print_json_string(input);
  fputs(",\"output\":", stdout);
  dt_cli_print_json_string(thumbnail->path);
  printf(",\"width\":%d,\"height\":%d,\"reused\":%s,\"seconds\":%.3f,\"device\":", thumbnail->width,
         thumbnail->height, thumbnail->reused ? "true" : "false", thumbnail->seconds);
  if(device)
    dt_cli_print_json_string(device);
  else
    fputs("null", stdout);
  puts("}");
}

static void _print_result(const _run_t *run, const char *input, const dt_thumbnail_t *thumbnail)
{
  const dt_opencl_device_t *device =
      thumbnail->device >= 0 ? dt_opencl_device(run->opts.cl, thumbnail->device) : NULL;
  if(_json)
    _print_json(input, thumbnail, device ? device->name : NULL);
  else
    printf("%s -> %s\n", input, thumbnail->path);
}

/* Takes @p error over. */
static void _count(_run_t *run, const char *input, const dt_thumbnail_t *thumbnail, GError *error)
{
  pthread_mutex_lock(&run->jobs.lock);
  for(guint i = 0; i < thumbnail->remarks->len; i++)
    dt_cli_say("%s: %s", input, (const char *)thumbnail->remarks->pdata[i]);
  if(error)
    dt_cli_jobs_count_failure(&run->jobs, input, error);
  else
  {
    run->jobs.done++;
    _print_result(run, input, thumbnail);
  }
  fflush(stdout);
  pthread_mutex_unlock(&run->jobs.lock);
}

static void _make_one(const dt_batch_item_t *item, void *user_data)
{
  _run_t *run = user_data;
  GError *error = NULL;
  dt_thumbnail_t thumbnail;
  dt_thumbnails_get(&run->opts, item->path, &thumbnail, &error);
  _count(run, item->path, &thumbnail, error);
  dt_thumbnail_clear(&thumbnail);
}

static int _count_jobs(const _run_t *run)
{
  const int cores = MIN((int)g_get_num_processors(), MAX_DEFAULT_JOBS);
  const int wanted = _jobs ? _jobs : MAX(cores, dt_cli_jobs_count_devices(run->opts.cl));
  return dt_cli_jobs_share(&run->jobs, wanted);
}

static int _run(_run_t *run)
{
  GError *error = NULL;
  dt_cli_jobs_report_problems(&run->jobs);
  run->opts.cl = dt_opencl_create(&(dt_opencl_opts_t){ 0 }, &error);
  if(!run->opts.cl) return dt_cli_fail(error);
  dt_cli_jobs_work(&run->jobs, _count_jobs(run), _make_one, run);
  dt_opencl_destroy(run->opts.cl);
  return dt_cli_jobs_exit_code(&run->jobs);
}

/* What is wrong with the arguments; NULL: nothing. */
static const char *_check(int operands)
{
  if(_size < DT_THUMBNAIL_MIN_SIZE || _size > DT_THUMBNAIL_MAX_SIZE)
    return "--size is a number from 16 to 2560.";
  if(_jobs < 0 || _jobs > DT_CLI_MAX_JOBS) return "--jobs is a number from 1 to 64.";
  return operands < 1 ? "say which photographs." : NULL;
}

static int _thumbnail(int argc, char **argv)
{
  int code = DT_EXIT_OK;
  if(!dt_cli_parse(&argc, &argv, "FILES…",
                   "Makes thumbnails of raws and pictures in the cache, and prints where they are.",
                   "Examples:\n"
                   "  darktable-ai thumbnail *.nef\n"
                   "  darktable-ai thumbnail photo.nef --size 1024 --json",
                   _entries, &code))
    return code;
  const char *wrong = _check(argc - 1);
  if(wrong)
  {
    dt_cli_say("%s See: darktable-ai thumbnail --help", wrong);
    return DT_EXIT_USAGE;
  }
  _run_t run = {
    .opts = { .size = _size, .anew = _overwrite, .cancellable = dt_cli_catch_signals() },
  };
  const dt_batch_opts_t opts = { .raws = TRUE };
  dt_cli_jobs_init(&run.jobs, argv + 1, argc - 1, &opts, _json);
  code = _run(&run);
  dt_cli_jobs_clear(&run.jobs);
  return code;
}

const dt_cli_command_t dt_cli_cmd_thumbnail = { "thumbnail", "make thumbnails in the cache", _thumbnail };
