/* SPDX-License-Identifier: GPL-3.0-or-later */
/* export: raws and pictures through the export pipe into files, several at a time. */
#include "cli/batch_jobs.h"
#include "cli/cli.h"
#include "cli/module_options.h"
#include "common/conf.h"
#include "libs/export.h"
#include "libs/output_template.h"

#include <stdio.h>
#include <string.h>

#define MAX_SIDE 100000
/* while one is decoded or encoded, which takes one core, another is developed */
#define LEAST_JOBS 2

static struct
{
  char *output, *format, *compression, *profile, *assume, *intent, *history, *style, *memory, *trace,
      *progress;
  char **modules;
  int bits, quality, width, height, jobs;
  gboolean no_dither, overwrite, recursive, dry_run, json;
} _opt;

static const GOptionEntry _entries[] = {
  { "output", 'o', 0, G_OPTION_ARG_FILENAME, &_opt.output,
    "file, directory, pattern, or - (default: beside the input)", "PATH" },
  { "format", 0, 0, G_OPTION_ARG_STRING, &_opt.format,
    "jpeg (default), tiff, png, pfm or exr, where the name does not tell it", "F" },
  { "bit-depth", 0, 0, G_OPTION_ARG_INT, &_opt.bits, "8, 16 or 32 (float)", "N" },
  { "compression", 0, 0, G_OPTION_ARG_STRING, &_opt.compression,
    "TIFF: none, deflate, deflate-predictor (default)", "C" },
  { "quality", 0, 0, G_OPTION_ARG_INT, &_opt.quality, "JPEG quality 1 to 100 (default 95)", "Q" },
  { "profile", 0, 0, G_OPTION_ARG_FILENAME, &_opt.profile,
    "colour profile of the output (default: the input's; of raws sRGB)", "PROFILE" },
  { "assume-profile", 0, 0, G_OPTION_ARG_FILENAME, &_opt.assume,
    "read pictures with this profile instead of their own", "PROFILE" },
  { "intent", 0, 0, G_OPTION_ARG_STRING, &_opt.intent, "relative (default) or perceptual", "I" },
  { "no-dither", 0, 0, G_OPTION_ARG_NONE, &_opt.no_dither, "round to 8 bits without dither", NULL },
  { "width", 0, 0, G_OPTION_ARG_INT, &_opt.width, "at most so wide", "PIXELS" },
  { "height", 0, 0, G_OPTION_ARG_INT, &_opt.height, "at most so high", "PIXELS" },
  { "module", 0, 0, G_OPTION_ARG_STRING_ARRAY, &_opt.modules,
    "exposure.exposure=1, sigmoid=off: on top of the history; repeatable", "NAME.PARAM=VALUE" },
  { "style", 0, 0, G_OPTION_ARG_FILENAME, &_opt.style, "apply this style on top of the history", "FILE" },
  { "history", 0, 0, G_OPTION_ARG_STRING, &_opt.history,
    "sidecar (default): the photograph's own; none: without it", "H" },
  { "jobs", 0, 0, G_OPTION_ARG_INT, &_opt.jobs,
    "photographs at a time (default: two, or one for each OpenCL device)", "N" },
  { "memory", 0, 0, G_OPTION_ARG_STRING, &_opt.memory, "for the pixels of all photographs together, e.g. 2G",
    "SIZE" },
  { "trace", 0, 0, G_OPTION_ARG_FILENAME, &_opt.trace, "write who used which device when, as JSON lines",
    "FILE" },
  { "recursive", 0, 0, G_OPTION_ARG_NONE, &_opt.recursive, "look into directories below", NULL },
  { "overwrite", 0, 0, G_OPTION_ARG_NONE, &_opt.overwrite, "replace existing outputs", NULL },
  { "dry-run", 0, 0, G_OPTION_ARG_NONE, &_opt.dry_run, "print what would be written where, and write nothing",
    NULL },
  { "json", 0, 0, G_OPTION_ARG_NONE, &_opt.json, "print one JSON object per photograph", NULL },
  { "progress", 0, 0, G_OPTION_ARG_STRING, &_opt.progress, "auto, bar, plain, json or none", "MODE" },
  { NULL, 0, 0, 0, NULL, NULL, NULL },
};

/* One run of the command; the threads share it. */
typedef struct _run_t
{
  dt_export_job_t job;
  dt_cli_jobs_t jobs;
  dt_cli_progress_t progress; /* with the lock of the jobs, as what follows */
  GHashTable *claimed;
} _run_t;

/* --- options --- */

static int _find_word(const char *word, const char *const *words)
{
  int i = 0;
  while(words[i] && g_ascii_strcasecmp(words[i], word) != 0) i++;
  return words[i] ? i : -1;
}

static gboolean _fail_usage(GError **error, const char *words)
{
  g_set_error(error, DT_AI_ERROR, DT_AI_ERROR_USAGE, "%s See: darktable-ai export --help", words);
  return FALSE;
}

static gboolean _parse_words(dt_export_job_t *job, GError **error)
{
  static const char *const compressions[] = { "deflate-predictor", "deflate", "none", NULL };
  static const char *const intents[] = { "relative", "perceptual", NULL }, *const histories[] = { "sidecar",
                                                                                                  "none",
                                                                                                  NULL };
  const int compression = _opt.compression ? _find_word(_opt.compression, compressions) : 0;
  const int intent = _opt.intent ? _find_word(_opt.intent, intents) : 0;
  const int history = _opt.history ? _find_word(_opt.history, histories) : 0;
  if(compression < 0) return _fail_usage(error, "--compression is none, deflate or deflate-predictor.");
  if(intent < 0) return _fail_usage(error, "--intent is relative or perceptual.");
  if(history < 0) return _fail_usage(error, "--history is sidecar or none.");
  if(_opt.format && !(job->format = dt_imageio_format_for_option(_opt.format)))
    return _fail_usage(error, "--format is jpeg, tiff, png, pfm or exr.");
  job->compression = (dt_imageio_compression_t)compression;
  job->intent = (dt_imageio_intent_t)intent;
  job->no_sidecar = history == 1;
  return TRUE;
}

static gboolean _check_numbers(GError **error)
{
  if(_opt.bits != 0 && _opt.bits != 8 && _opt.bits != 16 && _opt.bits != 32)
    return _fail_usage(error, "--bit-depth is 8, 16 or 32.");
  if(_opt.quality < 0 || _opt.quality > 100)
    return _fail_usage(error, "--quality is a number from 1 to 100.");
  if(_opt.width < 0 || _opt.width > MAX_SIDE || _opt.height < 0 || _opt.height > MAX_SIDE)
    return _fail_usage(error, "--width and --height are numbers from 1 to 100000.");
  if(_opt.jobs < 0 || _opt.jobs > DT_CLI_MAX_JOBS)
    return _fail_usage(error, "--jobs is a number from 1 to 64.");
  if(_opt.memory && !dt_conf_parse_size(_opt.memory))
    return _fail_usage(error, "--memory is a size such as 2G.");
  return TRUE;
}

static gboolean _fill_job(dt_export_job_t *job, dt_cli_progress_t *progress, GError **error)
{
  *job = (dt_export_job_t){ .output = _opt.output,
                            .bits = _opt.bits,
                            .quality = _opt.quality,
                            .profile = _opt.profile,
                            .assume_profile = _opt.assume,
                            .no_dither = _opt.no_dither,
                            .overwrite = _opt.overwrite,
                            .width = _opt.width,
                            .height = _opt.height,
                            .style = _opt.style,
                            .settings = _opt.modules };
  if(_opt.progress && !dt_cli_progress_mode(_opt.progress, &progress->mode))
    return _fail_usage(error, "--progress is auto, bar, plain, json or none.");
  return _parse_words(job, error) && _check_numbers(error) && dt_cli_check_settings(_opt.modules, error)
         && dt_cli_check_style(_opt.style, error);
}

/* --- names --- */

/* Where the result goes (transfer full). */
static char *_get_output(const _run_t *run, const dt_batch_item_t *item)
{
  if(!dt_output_template_is(run->job.output)) return dt_export_output(&run->job, item->path);
  const char *extension = dt_imageio_extension(run->job.format ? run->job.format : DT_IMAGEIO_JPEG);
  const dt_output_values_t values = { .input = item->path,
                                      .relative = item->relative,
                                      .task = "export",
                                      .ext = extension + 1,
                                      .counter = item->counter };
  return dt_output_template_expand(run->job.output, &values);
}

static gboolean _claim(_run_t *run, const char *output, GError **error)
{
  pthread_mutex_lock(&run->jobs.lock);
  const gboolean fresh = g_hash_table_add(run->claimed, g_canonicalize_filename(output, NULL));
  pthread_mutex_unlock(&run->jobs.lock);
  if(!fresh)
    g_set_error(
        error, DT_AI_ERROR, DT_AI_ERROR_OUTPUT,
        "%s: another file of this batch goes there as well. Give each a name of its own: -o with a pattern "
        "such as '{dir}/{name}_{counter}.{ext}'.",
        output);
  return fresh;
}

/* No input is replaced. */
static gboolean _spare_inputs(const _run_t *run, const char *output, GError **error)
{
  if(strcmp(output, DT_IMAGEIO_STREAM) == 0 || !dt_batch_is_input(run->jobs.batch, output, NULL)) return TRUE;
  g_set_error(
      error, DT_AI_ERROR, DT_AI_ERROR_OUTPUT,
      "%s: the output would replace an input, and these are never touched. Choose another name with -o.",
      output);
  return FALSE;
}

/* --- results --- */

static void _print_result(const _run_t *run, const char *input, const char *output,
                          const dt_export_report_t *report)
{
  const dt_opencl_device_t *device = run->job.cl ? dt_opencl_device(run->job.cl, report->device) : NULL;
  if(!_opt.json)
  {
    printf("%s -> %s: %d×%d in %.2f s on %s\n", input, output, report->width, report->height, report->seconds,
           device ? device->name : "the CPU");
    return;
  }
  printf("{\"schema_version\":1,\"event\":\"exported\",\"input\":");
  dt_cli_print_json_string(input);
  fputs(",\"output\":", stdout);
  dt_cli_print_json_string(output);
  printf(",\"width\":%d,\"height\":%d,\"seconds\":%.3f,\"tiles\":%d,\"device\":", report->width,
         report->height, report->seconds, report->tiles);
  if(device)
    dt_cli_print_json_string(device->name);
  else
    fputs("null", stdout);
  puts("}");
}

/* --- plans --- */

/* Which devices, in words: "Tahiti, GeForce; else the CPU" (transfer full). */
static char *_describe_devices(const dt_opencl_t *cl)
{
  const char *why = "";
  const dt_opencl_priorities_t *priorities = dt_opencl_priorities(cl, &why);
  const dt_opencl_order_t *order = &priorities->orders[DT_OPENCL_EXPORT];
  if(dt_opencl_absence(cl)) return g_strdup_printf("the CPU: %s", dt_opencl_absence(cl));
  GString *text = g_string_new(NULL);
  for(int i = 0; i < order->n; i++)
    g_string_append_printf(text, "%s, ", dt_opencl_device(cl, order->devices[i])->name);
  if(order->n > 0) g_string_append(text, order->mandatory ? "which is waited for; else " : "else ");
  g_string_append_printf(text, "the CPU; priorities \"%s\", %s", priorities->text, why);
  return g_string_free(text, FALSE);
}

static void _print_plan_words(const _run_t *run, const char *input, const char *output,
                              const dt_export_plan_t *plan)
{
  char *size = g_format_size(plan->bytes), *devices = _describe_devices(run->job.cl);
  printf("%s -> %s\n  result    %d×%d, %d bits, at most %s\n  device    %s\n", input, output, plan->width,
         plan->height, plan->bits, size, devices);
  for(guint i = 0; plan->modules && i < plan->modules->len; i++)
  {
    const dt_history_item_t *item = plan->modules->pdata[i];
    GString *line = g_string_new(NULL);
    dt_cli_append_values(line, item);
    printf("  %s%s%s\n", i == 0 ? "modules   " : "          ", item->module, line->str);
    g_string_free(line, TRUE);
  }
  g_free(devices);
  g_free(size);
}

static void _print_plan_json(const _run_t *run, const char *input, const char *output,
                             const dt_export_plan_t *plan)
{
  const dt_opencl_order_t *order = &dt_opencl_priorities(run->job.cl, NULL)->orders[DT_OPENCL_EXPORT];
  fputs("{\"schema_version\":1,\"event\":\"plan\",\"input\":", stdout);
  dt_cli_print_json_string(input);
  fputs(",\"output\":", stdout);
  dt_cli_print_json_string(output);
  printf(",\"output_width\":%d,\"output_height\":%d,\"bits\":%d,\"output_bytes\":%" G_GUINT64_FORMAT
         ",\"priority\":",
         plan->width, plan->height, plan->bits, plan->bytes);
  dt_cli_print_json_string(dt_opencl_priorities(run->job.cl, NULL)->text);
  fputs(",\"devices\":[", stdout);
  for(int i = 0; i < order->n; i++)
  {
    if(i > 0) putchar(',');
    dt_cli_print_json_string(dt_opencl_device(run->job.cl, order->devices[i])->name);
  }
  fputs("],\"modules\":[", stdout);
  for(guint i = 0; plan->modules && i < plan->modules->len; i++)
  {
    const dt_history_item_t *item = plan->modules->pdata[i];
    fputs(i > 0 ? ",{\"module\":" : "{\"module\":", stdout);
    dt_cli_print_json_string(item->module);
    dt_cli_print_values("params", item->params);
    dt_cli_print_values("blend", item->blend);
    putchar('}');
  }
  puts("]}");
}

/* Takes @p error over. */
static void _count_plan(_run_t *run, const char *input, const char *output, const dt_export_plan_t *plan,
                        GError *error)
{
  pthread_mutex_lock(&run->jobs.lock);
  for(guint i = 0; plan->remarks && i < plan->remarks->len; i++)
    dt_cli_say("%s: %s", input, (const char *)plan->remarks->pdata[i]);
  if(error)
  {
    g_prefix_error(&error, "would fail: ");
    dt_cli_jobs_count_failure(&run->jobs, input, error);
  }
  else
  {
    run->jobs.done++;
    (_opt.json ? _print_plan_json : _print_plan_words)(run, input, output, plan);
  }
  pthread_mutex_unlock(&run->jobs.lock);
}

/* --- results, counted --- */

/* Takes @p error over. */
static void _count(_run_t *run, const char *input, const char *output, const dt_export_report_t *report,
                   GError *error)
{
  pthread_mutex_lock(&run->jobs.lock);
  dt_cli_progress_end(&run->progress);
  for(guint i = 0; report->remarks && i < report->remarks->len; i++)
    dt_cli_say("%s: %s", input, (const char *)report->remarks->pdata[i]);
  if(error)
    dt_cli_jobs_count_failure(&run->jobs, input, error);
  else
  {
    run->jobs.done++;
    _print_result(run, input, output, report);
  }
  fflush(stdout);
  pthread_mutex_unlock(&run->jobs.lock);
}

/* --- the work --- */

static void _foresee_one(const dt_batch_item_t *item, void *user_data)
{
  _run_t *run = user_data;
  GError *error = NULL;
  dt_export_plan_t plan = { 0 };
  char *output = _get_output(run, item);
  if(_spare_inputs(run, output, &error) && _claim(run, output, &error)
     && dt_batch_foresee(output, run->job.overwrite, dt_output_template_is(run->job.output), &error))
    dt_export_foresee(&run->job, item->path, output, &plan, &error);
  _count_plan(run, item->path, output, &plan, error);
  dt_export_plan_clear(&plan);
  g_free(output);
}

static void _export_one(const dt_batch_item_t *item, void *user_data)
{
  _run_t *run = user_data;
  GError *error = NULL;
  dt_export_report_t report = { 0 };
  char *output = _get_output(run, item);
  if(_spare_inputs(run, output, &error) && _claim(run, output, &error)
     && (!dt_output_template_is(run->job.output) || dt_batch_make_directory(output, &error)))
    dt_export_run(&run->job, item->path, output, &report, &error);
  _count(run, item->path, output, &report, error);
  dt_export_report_clear(&report);
  g_free(output);
}

/* A photograph for each device, two at least, and no more than there are; memory is shared out.
 * @return how many at a time */
static int _share_out(_run_t *run)
{
  const int devices = MAX(LEAST_JOBS, dt_cli_jobs_count_devices(run->job.cl));
  const int n = dt_cli_jobs_share(&run->jobs, _opt.jobs ? _opt.jobs : devices);
  if(n == 1)
  {
    run->job.progress = dt_cli_progress_update;
    run->job.user_data = &run->progress;
    dt_cli_progress_begin(&run->progress, "export");
  }
  if(_opt.memory)
    run->job.memory = MAX(1, dt_conf_parse_size(_opt.memory) / (guint64)n); /* 0 would be no limit */
  return n;
}

static gboolean _check_output(const _run_t *run, GError **error)
{
  const gboolean several = run->jobs.batch->total > 1,
                 folder = run->job.output && g_file_test(run->job.output, G_FILE_TEST_IS_DIR);
  if(dt_output_template_is(run->job.output)) return dt_output_template_check(run->job.output, several, error);
  if(!several || !run->job.output || folder || g_str_has_suffix(run->job.output, G_DIR_SEPARATOR_S))
    return TRUE;
  return _fail_usage(error, "Several photographs need a directory or a pattern for -o.");
}

static int _run(_run_t *run)
{
  GError *error = NULL;
  if(!_check_output(run, &error)) return dt_cli_fail(error);
  dt_cli_jobs_report_problems(&run->jobs);
  run->job.cl = dt_opencl_create(&(dt_opencl_opts_t){ .trace = _opt.dry_run ? NULL : _opt.trace }, &error);
  if(!run->job.cl) return dt_cli_fail(error);
  if(_opt.dry_run)
    dt_cli_jobs_work(&run->jobs, 1, _foresee_one, run);
  else
    dt_cli_jobs_work(&run->jobs, _share_out(run), _export_one, run);
  dt_opencl_destroy(run->job.cl);
  return dt_cli_jobs_exit_code(&run->jobs);
}

static int _export(int argc, char **argv)
{
  int code = DT_EXIT_OK;
  GError *error = NULL;
  _run_t run = { 0 };
  if(!dt_cli_parse(&argc, &argv, "FILES…", "Develops raws and pictures into files.",
                   "Examples:\n"
                   "  darktable-ai export photo.nef\n"
                   "  darktable-ai export *.nef -o out/ --width 2048 --height 2048\n"
                   "  darktable-ai export photo.nef -o photo.tif --module exposure.exposure=0.7",
                   _entries, &code))
    return code;
  if(!_fill_job(&run.job, &run.progress, &error)) return dt_cli_fail(error);
  if(argc < 2)
  {
    dt_cli_say("say which photographs. See: darktable-ai export --help");
    return DT_EXIT_USAGE;
  }
  if(_opt.output && strcmp(_opt.output, DT_IMAGEIO_STREAM) == 0 && !_opt.dry_run)
    run.job.stream = dt_cli_take_stdout();
  run.job.cancellable = dt_cli_catch_signals();
  run.claimed = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
  const dt_batch_opts_t opts = { .raws = TRUE, .recursive = _opt.recursive, .output = _opt.output };
  dt_cli_jobs_init(&run.jobs, argv + 1, argc - 1, &opts, _opt.json);
  code = _run(&run);
  dt_cli_jobs_clear(&run.jobs);
  g_hash_table_unref(run.claimed);
  return code;
}

const dt_cli_command_t dt_cli_cmd_export = { "export", "develop raws and pictures into files", _export };
