/* SPDX-License-Identifier: GPL-3.0-or-later */
/* denoise, upscale, rawdenoise: one or many photographs in, a restored file for each out. */
#include "cli/cli.h"
#include "cli/restore_journal.h"
#include "cli/restore_options.h"
#include "cli/restore_report.h"
#include "common/conf.h"
#include "common/gpu.h"
#include "imageio/raw.h"
#include "libs/batch.h"
#include "libs/output_template.h"
#include "libs/speed.h"

#include <stdio.h>
#include <string.h>

/* One run of the command. */
typedef struct _run_t
{
  dt_cli_restore_t *r;
  dt_ai_environment_t *env;
  const dt_ai_model_info_t *info; /* looked up when its id is needed before it is opened */
  dt_restore_context_t
      *contexts[5]; /* by factor, of sensors that are not Bayer's 0; opened when wanted first */
  dt_batch_t *batch;
  dt_journal_t *journal; /* or NULL */
  dt_opencl_t *cl;       /* once a raw is developed, or NULL */
  GHashTable *claimed;   /* outputs: two inputs of a batch may want the same name */
  dt_cli_summary_t sum;
} _run_t;

static gboolean _wants_raws(const _run_t *run)
{
  return strcmp(run->r->job.task, "rawdenoise") == 0;
}

/* What became of a file. */
typedef enum _outcome_t
{
  _DONE,
  _SKIPPED,
  _RESUMED, /* by an earlier run */
} _outcome_t;

/* --- the model --- */

/* What a person should know once the model is open. */
static void _tell(const _run_t *run, const dt_restore_context_t *ctx)
{
  static gboolean told;
  if(!told && dt_ai_runtime_warning()) dt_cli_say("%s", dt_ai_runtime_warning());
  if(!told && run->r->sigma_given && !dt_restore_has_sigma(ctx))
    dt_cli_say("note: %s finds the noise level by itself; --sigma is not used", dt_restore_get_model_id(ctx));
  told = TRUE;
}

static dt_restore_context_t *_get_context(_run_t *run, const dt_restore_load_opts_t *load, GError **error)
{
  dt_restore_context_t **place = &run->contexts[load->linear ? 0 : MAX(load->scale, 1)];
  if(*place != NULL) return *place;
  *place = dt_restore_load(run->env, run->r->job.task, run->r->model, load, error);
  if(*place) _tell(run, *place);
  return *place;
}

/* The network for a factor. */
static dt_restore_context_t *_get_enlarger(_run_t *run, int factor, GError **error)
{
  dt_restore_load_opts_t load = run->r->load;
  load.scale = factor;
  return _get_context(run, &load, error);
}

/* The network that the open picture wants. */
static dt_restore_context_t *_get_network(_run_t *run, const dt_restore_picture_t *picture, GError **error)
{
  dt_restore_load_opts_t load = run->r->load;
  if(!dt_restore_job_choose_network(&run->r->job, picture, &load, error)) return NULL;
  return _get_context(run, &load, error);
}

/* The model by its name alone; what is wrong with it is told by opening it. */
static gboolean _find_model(_run_t *run, GError **error)
{
  const dt_cli_restore_t *r = run->r;
  run->info = r->model ? dt_ai_get_model_info_by_id(run->env, r->model)
                       : dt_ai_env_get_active_model(run->env, r->job.task);
  if(run->info && strcmp(run->info->task_type, r->job.task) == 0) return TRUE;
  dt_restore_context_t *ctx = dt_restore_load(run->env, r->job.task, r->model, &run->r->load, error);
  const gboolean found = ctx && run->info;
  if(ctx && !found)
    g_set_error(error, DT_AI_ERROR, DT_AI_ERROR_NO_MODEL,
                "There is no model for this. See what is installed: darktable-ai models list");
  dt_restore_free(ctx);
  return found;
}

/* --- names --- */

/* "2", "1.5": as it was asked for, else the model's factor. */
static char *_get_scale(const _run_t *run, const char *input, GError **error)
{
  char text[G_ASCII_DTOSTR_BUF_SIZE];
  int factor;
  if(run->r->job.target.scale > 0)
    return g_strdup(g_ascii_formatd(text, sizeof text, "%.6g", run->r->job.target.scale));
  return dt_restore_job_factor(&run->r->job, input, &factor, error) ? g_strdup_printf("%d", factor) : NULL;
}

static gboolean _is_stream(const char *path)
{
  return strcmp(path, DT_IMAGEIO_STREAM) == 0;
}

/* Where the result goes (transfer full), or NULL with an error. */
static char *_get_output(const _run_t *run, const dt_batch_item_t *item, GError **error)
{
  const dt_restore_job_t *job = &run->r->job;
  if(!dt_output_template_is(job->output)) return dt_restore_job_output(job, item->path);
  const gboolean scaled = dt_output_template_has(job->output, "scale");
  char *scale = scaled ? _get_scale(run, item->path, error) : NULL;
  if(scaled && !scale) return NULL;
  const dt_output_values_t values = { .input = _is_stream(item->path) ? "stdin" : item->path,
                                      .relative = item->relative,
                                      .task = job->task,
                                      .model = run->info ? run->info->id : NULL,
                                      .scale = scale,
                                      .ext = dt_restore_job_extension(job),
                                      .counter = item->counter };
  char *output = dt_output_template_expand(job->output, &values);
  g_free(scale);
  return output;
}

/* The later of two inputs that lead to one name must not replace the result of the earlier. */
static gboolean _claim_output(_run_t *run, const char *output, GError **error)
{
  if(g_hash_table_add(run->claimed, g_canonicalize_filename(output, NULL))) return TRUE;
  g_set_error(error, DT_AI_ERROR, DT_AI_ERROR_OUTPUT,
              "%s: another file of this batch goes there as well. Give each a name of its own: -o with a "
              "pattern such as '{dir}/{name}_{counter}.{ext}', or with {relative}.",
              output);
  return FALSE;
}

/* Who says --force wants no stamp looked at. */
static gboolean _is_result(const _run_t *run, const char *path)
{
  return !run->r->job.force && dt_restore_job_is_result(&run->r->job, path);
}

/* No input is replaced; what a directory holds of an earlier run is none. */
static gboolean _spare_inputs(const _run_t *run, const char *output, GError **error)
{
  gboolean named;
  if(_is_stream(output) || !dt_batch_is_input(run->batch, output, &named)) return TRUE;
  if(!named && _is_result(run, output)) return TRUE;
  g_set_error(error, DT_AI_ERROR, DT_AI_ERROR_OUTPUT,
              "%s: the output would replace an input, and these are never touched. Choose another "
              "name with -o.",
              output);
  return FALSE;
}

/* Which of the model's networks a raw wants, only its sensor tells; its result was made by one of them. */
static gboolean _is_same_raw_result(_run_t *run, const char *input, const char *output)
{
  gboolean opened = FALSE, same = FALSE;
  for(int linear = FALSE; linear <= TRUE && !same; linear++)
  {
    dt_restore_load_opts_t load = run->r->load;
    load.linear = linear;
    const dt_restore_context_t *ctx = _get_context(run, &load, NULL);
    opened |= ctx != NULL;
    same = ctx && dt_restore_job_is_same(ctx, &run->r->job, input, output);
  }
  return same || !opened;
}

/* Whether what is there came of the same settings. Where that cannot be found out the name has to do. */
static gboolean _is_same_result(_run_t *run, const char *input, const char *output)
{
  if(_wants_raws(run)) return _is_same_raw_result(run, input, output);
  int factor;
  const dt_restore_job_t *job = &run->r->job;
  const dt_restore_context_t *ctx =
      dt_restore_job_factor(job, input, &factor, NULL) ? _get_enlarger(run, factor, NULL) : NULL;
  return !ctx || dt_restore_job_is_same(ctx, job, input, output);
}

/* --- one file --- */

/* A raw and its JPEG would have one name for their results: what is no raw where one is wanted is told so, and claims
 * none. */
static gboolean _check_kind(const _run_t *run, const char *input, GError **error)
{
  if(_is_stream(input) || dt_raw_is_raw(input) || !_wants_raws(run)) return TRUE;
  dt_restore_picture_t *picture = dt_restore_job_open(&run->r->job, input, error);
  const gboolean ok = picture != NULL;
  dt_restore_picture_close(picture);
  return ok;
}

static dt_journal_state_t _get_state(const _run_t *run, const char *input, const char *output)
{
  return run->journal ? dt_journal_get_state(run->journal, input, output) : DT_JOURNAL_UNKNOWN;
}

static void _add_forecast(dt_cli_summary_t *sum, const dt_cli_forecast_t *f, const dt_restore_plan_t *plan)
{
  sum->megapixels += 1e-6 * plan->width * plan->height;
  sum->forecast.result.bytes += f->result.bytes;
  sum->forecast.seconds =
      f->seconds < 0 || sum->forecast.seconds < 0 ? -1 : sum->forecast.seconds + f->seconds;
}

/* What will be done, or why it cannot. */
static gboolean _plan_one(_run_t *run, dt_restore_context_t *ctx, const dt_restore_job_t *job,
                          dt_restore_picture_t *picture, const char *output, GError **error)
{
  dt_restore_plan_t plan;
  dt_cli_forecast_t f = { 0 };
  if((!_is_stream(output)
      && !dt_batch_foresee(output, job->overwrite, dt_output_template_is(job->output), error))
     || !dt_restore_job_plan(ctx, job, picture, output, &plan, &f.result, error))
    return FALSE;
  f.seconds = dt_speed_expect(ctx, &plan);
  _add_forecast(&run->sum, &f, &plan);
  dt_cli_restore_print_plan(ctx, picture, output, &plan, &f, run->r->json);
  return TRUE;
}

/* A line that cannot be written costs making the picture again: it is told once, and no reason to stop. */
static void _note_done(const _run_t *run, const char *input, const char *output, double seconds)
{
  static gboolean told;
  GError *error = NULL;
  if(!run->journal || dt_journal_done(run->journal, input, output, seconds, &error)) return;
  if(!told) dt_cli_say("%s", error->message);
  told = TRUE;
  g_error_free(error);
}

static gboolean _write_one(_run_t *run, dt_restore_context_t *ctx, const dt_restore_job_t *job,
                           dt_restore_picture_t *picture, const char *output, GError **error)
{
  dt_restore_report_t report;
  const char *input = picture->path;
  char *note = NULL;
  const gboolean ok = (!dt_output_template_is(job->output) || dt_batch_make_directory(output, error))
                      && (!run->journal || dt_journal_begin(run->journal, input, output, error))
                      && dt_restore_job_run(ctx, job, picture, output, &report, &note, error);
  dt_cli_progress_end(&run->r->progress);
  if(ok)
  {
    _note_done(run, input, output, report.seconds);
    dt_speed_learn(ctx, &report);
    dt_cli_restore_print_result(ctx, input, output, &report, run->r->json);
  }
  if(ok && note) dt_cli_say("%s: %s", output, note);
  g_free(note);
  return ok;
}

/* An output that is there: left alone when it is what would be made, and never taken for it when it is not. */
static gboolean _skip(_run_t *run, const char *input, const char *output, GError **error)
{
  if(!_is_same_result(run, input, output))
  {
    g_set_error(error, DT_AI_ERROR, DT_AI_ERROR_OUTPUT,
                "%s: exists with other settings, or is damaged or not made by darktable-ai. Choose another "
                "name with -o, or allow overwriting (--overwrite).",
                output);
    return FALSE;
  }
  char *message = g_strdup_printf("%s: %s exists, skipped", input, output);
  dt_cli_restore_print_event("skipped", input, DT_EXIT_OK, message, run->r->json);
  g_free(message);
  return TRUE;
}

/* OpenCL is looked for when there is a raw to develop: nothing else here would use it. */
static dt_opencl_t *_get_opencl(_run_t *run, const char *input)
{
  if(_wants_raws(run) || run->r->dry_run || !dt_raw_is_raw(input)) return NULL;
  if(!run->cl) run->cl = dt_opencl_create(NULL, NULL);
  return run->cl;
}

static gboolean _process(_run_t *run, const char *input, const char *output, gboolean overwrite,
                         GError **error)
{
  dt_restore_job_t job = run->r->job;
  job.overwrite |= overwrite;
  job.opencl = _get_opencl(run, input);
  dt_restore_picture_t *picture = dt_restore_job_open(&job, input, error);
  dt_restore_context_t *ctx =
      picture && _spare_inputs(run, output, error) ? _get_network(run, picture, error) : NULL;
  const gboolean ok =
      ctx && (run->r->dry_run ? _plan_one : _write_one)(run, ctx, &job, picture, output, error);
  dt_restore_picture_close(picture);
  return ok;
}

/* What was found in a directory and has been through this already is no original. */
static gboolean _pass_over(_run_t *run, const dt_batch_item_t *item, GError **error)
{
  if(!item->found || !_is_result(run, item->path)) return FALSE;
  g_clear_error(error);
  char *message = g_strdup_printf("%s: a result of an earlier run, left out", item->path);
  dt_cli_restore_print_event("skipped", item->path, DT_EXIT_OK, message, run->r->json);
  g_free(message);
  return TRUE;
}

static gboolean _restore_file(_run_t *run, const dt_batch_item_t *item, const char *output,
                              _outcome_t *outcome, GError **error)
{
  const dt_journal_state_t state = _get_state(run, item->path, output);
  *outcome = _SKIPPED;
  if(!_check_kind(run, item->path, error)) return FALSE;
  if(!_claim_output(run, output, error)) return _pass_over(run, item, error);
  if(state == DT_JOURNAL_DONE)
  {
    if(run->r->json)
      dt_cli_restore_print_event("skipped", item->path, DT_EXIT_OK, "done by an earlier run", TRUE);
    *outcome = _RESUMED;
    return TRUE;
  }
  if(run->r->skip_existing && state != DT_JOURNAL_BEGUN && !_is_stream(output)
     && g_file_test(output, G_FILE_TEST_EXISTS))
    return _skip(run, item->path, output, error);
  if(!_process(run, item->path, output, state == DT_JOURNAL_BEGUN, error))
    return _pass_over(run, item, error);
  *outcome = _DONE;
  return TRUE;
}

/* --- all files --- */

/* Counts and tells a failure, writes it down, and frees @p error. */
static int _fail_one(_run_t *run, const char *input, const char *output, GError *error)
{
  g_return_val_if_fail(error != NULL, DT_EXIT_FAILED);
  const int code = dt_cli_exit_code(error);
  /* the library knows pictures, not their names */
  if(input && (code == DT_EXIT_MEMORY || code == DT_EXIT_FAILED)) g_prefix_error(&error, "%s: ", input);
  const gboolean cancelled = dt_cli_signal_exit_code() != 0;
  if(!cancelled)
  {
    run->sum.failed++;
    g_ptr_array_add(run->sum.failures, g_strdup(error->message));
  }
  if(run->r->dry_run) g_prefix_error(&error, "would fail: ");
  if(run->journal && input && output && !cancelled)
    dt_journal_failed(run->journal, input, output, code, error->message, NULL);
  dt_cli_restore_print_event("error", input, code, error->message, run->r->json);
  g_error_free(error);
  return code;
}

static int _restore_one(_run_t *run, const dt_batch_item_t *item)
{
  GError *error = NULL;
  _outcome_t outcome = _DONE;
  char *output = _get_output(run, item, &error);
  const gboolean ok = output && _restore_file(run, item, output, &outcome, &error);
  const int code = ok ? DT_EXIT_OK : _fail_one(run, item->path, output, error);
  run->sum.done += ok && outcome == _DONE;
  run->sum.skipped += ok && outcome != _DONE;
  run->sum.resumed += ok && outcome == _RESUMED;
  fflush(stdout);
  g_free(output);
  return code;
}

static int _restore_numbered(_run_t *run, guint i)
{
  const guint n = run->batch->items->len;
  const dt_batch_item_t *item = run->batch->items->pdata[i];
  char *name = dt_cli_display_basename(item->path);
  char *label = n > 1 ? g_strdup_printf("%u/%u %s", i + 1, n, name) : g_strdup(name);
  dt_cli_progress_begin(&run->r->progress, label);
  const int code = _restore_one(run, item);
  g_free(label);
  g_free(name);
  return code;
}

/* One failing file does not end a batch unless that was asked for; a cancelled one does. */
static int _restore_all(_run_t *run)
{
  const gint64 start = g_get_monotonic_time();
  const gboolean fail_fast = run->r->fail_fast;
  int code = DT_EXIT_OK;
  for(guint i = 0; i < run->batch->problems->len && !(fail_fast && code); i++)
    code = _fail_one(run, NULL, NULL, g_error_copy(run->batch->problems->pdata[i]));
  for(guint i = 0; i < run->batch->items->len && !dt_cli_signal_exit_code() && !(fail_fast && code); i++)
  {
    const int this_code = _restore_numbered(run, i);
    if(this_code) code = this_code;
  }
  run->sum.seconds = 1e-6 * (double)(g_get_monotonic_time() - start);
  return dt_cli_signal_exit_code() ? dt_cli_signal_exit_code() : code;
}

/* The exit code of the run from that of the last failure. */
static int _summarise(_run_t *run, int code)
{
  const gboolean several = run->sum.total > 1, cancelled = dt_cli_signal_exit_code() != 0;
  if(several || run->batch->from_directory) dt_cli_restore_print_summary(&run->sum, run->r->json);
  return run->sum.failed && several && !cancelled ? DT_EXIT_PARTIAL : code;
}

/* Who waited long for the CPU beside an idle GPU is told once how that could change. */
static void _mention_gpu(const _run_t *run, double seconds)
{
  const gint64 limit = dt_conf_get_int(DT_CONF_AI_LONG_JOB_SECONDS, 20);
  gboolean on_cpu = FALSE;
  for(size_t i = 0; i < G_N_ELEMENTS(run->contexts); i++)
    on_cpu |= run->contexts[i] && dt_restore_get_provider(run->contexts[i]) == DT_AI_PROVIDER_CPU;
  if(run->r->provider_given || !on_cpu || limit <= 0 || seconds < (double)limit) return;
  GPtrArray *gpus = dt_gpu_list();
  const char *build = dt_gpu_suggest_runtime(gpus);
  GString *names = g_string_new(NULL);
  for(guint i = 0; i < gpus->len; i++)
    g_string_append_printf(names, "%s%s", i ? ", " : "", ((const dt_gpu_t *)gpus->pdata[i])->name);
  if(build)
    dt_cli_say("this took %.0f s on the CPU, and there is a GPU here (%s). To use it: darktable-ai runtime "
               "install %s",
               seconds, names->str, build);
  g_string_free(names, TRUE);
  g_ptr_array_unref(gpus);
}

/* --- the commands --- */

/* Whether there is a file that an earlier run has not done. */
static gboolean _has_work(const _run_t *run)
{
  gboolean found = !run->journal && run->batch->items->len > 0;
  for(guint i = 0; i < run->batch->items->len && !found; i++)
  {
    const dt_batch_item_t *item = run->batch->items->pdata[i];
    char *output = _get_output(run, item, NULL);
    found = !output || _get_state(run, item->path, output) != DT_JOURNAL_DONE;
    g_free(output);
  }
  return found;
}

/* A model that cannot be opened fails every picture for the same reason: it is told once, before the first. */
static gboolean _open_first(_run_t *run, GError **error)
{
  int factor;
  if(!_has_work(run)) return TRUE;
  if(_wants_raws(run)) return _find_model(run, error); /* which network, the raw tells */
  if(!dt_restore_job_factor(&run->r->job, NULL, &factor, NULL)) return TRUE; /* it depends on the picture */
  return _get_enlarger(run, factor, error) != NULL;
}

/* The pictures, and where they can go; what was passed over is said. */
static gboolean _collect(_run_t *run, GError **error)
{
  dt_cli_restore_t *r = run->r;
  const dt_batch_opts_t opts = { .recursive = r->recursive,
                                 .raws = _wants_raws(run),
                                 .output = r->job.output,
                                 .written = run->journal ? dt_journal_get_outputs(run->journal) : NULL,
                                 .shard = r->shard,
                                 .shards = r->shards };
  run->batch = dt_batch_collect(r->files, r->n_files, &opts);
  r->job.n_originals = 0; /* the batch knows them better */
  run->sum.total = (int)(run->batch->items->len + run->batch->problems->len);
  if(!dt_cli_restore_check_output(r, run->batch->total > 1, error)) return FALSE;
  for(guint i = 0; i < run->batch->notes->len; i++)
    dt_cli_say("%s", (const char *)run->batch->notes->pdata[i]);
  if(r->shards > 0 && run->batch->items->len == 0 && run->batch->problems->len == 0)
    dt_cli_say("none of the %d files is in shard %d of %d", run->batch->total, r->shard, r->shards);
  return TRUE;
}

static gboolean _prepare(_run_t *run, GError **error)
{
  const dt_cli_restore_t *r = run->r;
  char *note = NULL;
  const gboolean journal = r->resume || r->journal;
  const gboolean named =
      dt_output_template_is(r->job.output) && dt_output_template_has(r->job.output, "model");
  if((journal || named) && !_find_model(run, error)) return FALSE;
  if(journal && !(run->journal = dt_cli_restore_open_journal(r, run->info, &note, error))) return FALSE;
  if(note) dt_cli_say("%s", note);
  g_free(note);
  return _collect(run, error) && _open_first(run, error);
}

static void _cleanup(_run_t *run)
{
  for(size_t i = 0; i < G_N_ELEMENTS(run->contexts); i++) dt_restore_free(run->contexts[i]);
  dt_opencl_destroy(run->cl);
  dt_journal_close(run->journal);
  dt_batch_free(run->batch);
  g_hash_table_unref(run->claimed);
  g_ptr_array_unref(run->sum.failures);
  dt_ai_env_destroy(run->env);
}

static int _restore(int argc, char **argv)
{
  int code = DT_EXIT_OK;
  dt_cli_restore_t r;
  if(!dt_cli_restore_parse(argc, argv, &r, &code)) return code;
  _run_t run = { .r = &r, .env = dt_ai_env_init(NULL), .sum.dry_run = r.dry_run };
  if(!run.env) return dt_cli_fail(g_error_copy(dt_ai_last_error()));
  /* --provider auto wins over a setting that names one */
  if(r.provider_given) dt_ai_env_set_provider(run.env, r.load.provider);
  run.claimed = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
  run.sum.failures = g_ptr_array_new_with_free_func(g_free);
  GError *error = NULL;
  const gint64 start = g_get_monotonic_time();
  code = _prepare(&run, &error) ? _summarise(&run, _restore_all(&run)) : dt_cli_fail(error);
  _mention_gpu(&run, 1e-6 * (double)(g_get_monotonic_time() - start));
  _cleanup(&run);
  return code;
}

const dt_cli_command_t dt_cli_cmd_denoise = { "denoise", "remove noise from photographs", _restore };
const dt_cli_command_t dt_cli_cmd_rawdenoise = { "rawdenoise",
                                                 "remove noise from camera raws: a DNG for each", _restore };
const dt_cli_command_t dt_cli_cmd_upscale = { "upscale", "enlarge photographs", _restore };
