/* SPDX-License-Identifier: GPL-3.0-or-later */
/* denoise, upscale: one or many photographs in, a restored file for each out. */
#include "cli/cli.h"
#include "cli/restore_options.h"
#include "cli/restore_report.h"
#include "common/conf.h"
#include "common/gpu.h"

#include <stdio.h>

/* One run of the command. */
typedef struct _run_t
{
  dt_cli_restore_t *r;
  dt_ai_environment_t *env;
  dt_restore_context_t *contexts[5]; /* by factor, opened when the first picture wants it */
  GHashTable *written;               /* outputs: two inputs of a batch may want the same name */
} _run_t;

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

static dt_restore_context_t *_get_context(_run_t *run, int factor, GError **error)
{
  if(run->contexts[factor]) return run->contexts[factor];
  run->r->load.scale = factor;
  dt_restore_context_t *ctx =
      dt_restore_load(run->env, run->r->job.task, run->r->model, &run->r->load, error);
  if(ctx) _tell(run, ctx);
  return run->contexts[factor] = ctx;
}

/* --- one file --- */

static gboolean _plan_one(_run_t *run, dt_restore_context_t *ctx, const char *input, const char *output,
                          GError **error)
{
  dt_restore_plan_t plan;
  if(!dt_restore_job_plan(ctx, &run->r->job, input, output, &plan, NULL, error)) return FALSE;
  dt_cli_restore_print_plan(ctx, input, output, &plan, run->r->json);
  return TRUE;
}

/* The later of two inputs that lead to one name must not replace the result of the earlier. */
static gboolean _claim_output(_run_t *run, const char *output, GError **error)
{
  if(g_hash_table_add(run->written, g_canonicalize_filename(output, NULL))) return TRUE;
  g_set_error(
      error, DT_AI_ERROR, DT_AI_ERROR_OUTPUT,
      "%s: another file of this batch was written there already. Give the two different names with -o, one "
      "after the other.",
      output);
  return FALSE;
}

static gboolean _write_one(_run_t *run, dt_restore_context_t *ctx, const char *input, const char *output,
                           GError **error)
{
  dt_restore_report_t report;
  char *note = NULL;
  const gboolean ok = _claim_output(run, output, error)
                      && dt_restore_job_run(ctx, &run->r->job, input, output, &report, &note, error);
  dt_cli_progress_end(&run->r->progress);
  if(ok) dt_cli_restore_print_result(ctx, input, output, &report, run->r->json);
  if(ok && note) dt_cli_say("%s: %s", output, note);
  g_free(note);
  return ok;
}

static gboolean _restore_file(_run_t *run, const char *input, const char *output, GError **error)
{
  int factor;
  if(run->r->skip_existing && !run->r->dry_run && g_file_test(output, G_FILE_TEST_EXISTS))
  {
    char *message = g_strdup_printf("%s: %s exists, skipped", input, output);
    dt_cli_restore_print_event("skipped", input, DT_EXIT_OK, message, run->r->json);
    g_free(message);
    return TRUE;
  }
  if(!dt_restore_job_factor(&run->r->job, input, &factor, error)) return FALSE;
  dt_restore_context_t *ctx = _get_context(run, factor, error);
  return ctx && (run->r->dry_run ? _plan_one : _write_one)(run, ctx, input, output, error);
}

static int _restore_one(_run_t *run, const char *input)
{
  char *output = dt_restore_job_output(&run->r->job, input);
  GError *error = NULL;
  int code = DT_EXIT_OK;
  if(!_restore_file(run, input, output, &error))
  {
    code = dt_cli_exit_code(error);
    /* the library knows pictures, not their names */
    if(code == DT_EXIT_MEMORY || code == DT_EXIT_FAILED) g_prefix_error(&error, "%s: ", input);
    dt_cli_restore_print_event("error", input, code, error->message, run->r->json);
    g_error_free(error);
  }
  fflush(stdout);
  g_free(output);
  return code;
}

/* --- all files --- */

/* One failing file does not end a batch; a cancelled one does. */
static int _restore_all(_run_t *run)
{
  const int n = run->r->n_files;
  int failed = 0, code = DT_EXIT_OK;
  for(int i = 0; i < n && !dt_cli_signal_exit_code(); i++)
  {
    char *label = dt_cli_display_basename(run->r->files[i]);
    dt_cli_progress_begin(&run->r->progress, label);
    const int this_code = _restore_one(run, run->r->files[i]);
    g_free(label);
    failed += this_code != DT_EXIT_OK;
    if(this_code) code = this_code;
  }
  if(dt_cli_signal_exit_code()) return dt_cli_signal_exit_code();
  if(failed && n > 1)
  {
    dt_cli_say("%d of %d files failed%s", failed, n, failed < n ? "; the others are done" : "");
    return DT_EXIT_PARTIAL;
  }
  return code;
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

/* A model that cannot be opened fails every picture for the same reason: it is told once, before the first. */
static gboolean _open_first(_run_t *run, GError **error)
{
  int factor;
  if(!dt_restore_job_factor(&run->r->job, NULL, &factor, NULL)) return TRUE; /* it depends on the picture */
  return _get_context(run, factor, error) != NULL;
}

static int _restore(int argc, char **argv)
{
  int code = DT_EXIT_OK;
  dt_cli_restore_t r;
  if(!dt_cli_restore_parse(argc, argv, &r, &code)) return code;
  _run_t run = { .r = &r, .env = dt_ai_env_init(NULL) };
  if(!run.env) return dt_cli_fail(g_error_copy(dt_ai_last_error()));
  /* --provider auto wins over a setting that names one */
  if(r.provider_given) dt_ai_env_set_provider(run.env, r.load.provider);
  run.written = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
  GError *error = NULL;
  const gint64 start = g_get_monotonic_time();
  code = _open_first(&run, &error) ? _restore_all(&run) : dt_cli_fail(error);
  _mention_gpu(&run, 1e-6 * (double)(g_get_monotonic_time() - start));
  for(size_t i = 0; i < G_N_ELEMENTS(run.contexts); i++) dt_restore_free(run.contexts[i]);
  g_hash_table_unref(run.written);
  dt_ai_env_destroy(run.env);
  return code;
}

const dt_cli_command_t dt_cli_cmd_denoise = { "denoise", "remove noise from photographs", _restore };
const dt_cli_command_t dt_cli_cmd_upscale = { "upscale", "enlarge photographs", _restore };
