/* SPDX-License-Identifier: GPL-3.0-or-later */
/* denoise: one or many photographs in, a denoised file for each out. */
#include "cli/cli.h"
#include "common/conf.h"
#include "common/gpu.h"
#include "common/memory.h"
#include "libs/denoise_ai.h"

#include <stdio.h>
#include <string.h>

/* a number the user did not give; what he gives is checked, 0 as well */
#define UNSET G_MININT

static struct
{
  char *output, *model, *provider, *memory, *compression, *icc, *assume, *progress;
  int bits, quality, threads;
  double sigma;
  gboolean overwrite, skip_existing, dry_run, json, pass_through;
} _opt = { .bits = UNSET, .quality = UNSET, .threads = UNSET, .sigma = UNSET };

/* outputs of this run: two inputs of a batch may want the same name */
static GHashTable *_written;

static const GOptionEntry _entries[] = {
  { "output", 'o', 0, G_OPTION_ARG_FILENAME, &_opt.output,
    "where to write; default: NAME_denoise.tif beside the input", "FILE|DIR" },
  { "model", 0, 0, G_OPTION_ARG_STRING, &_opt.model, "use this model instead of the active one", "ID" },
  { "provider", 0, 0, G_OPTION_ARG_STRING, &_opt.provider, "run on this execution provider or not at all",
    "P" },
  { "sigma", 0, 0, G_OPTION_ARG_DOUBLE, &_opt.sigma,
    "noise level 1 to 255, for models that take one (default 25)", "S" },
  { "memory", 0, 0, G_OPTION_ARG_STRING, &_opt.memory,
    "stay within this much memory, e.g. 2G (default: a quarter of what is free)", "SIZE" },
  { "bit-depth", 0, 0, G_OPTION_ARG_INT, &_opt.bits, "8, 16 or 32 (float)", "N" },
  { "compression", 0, 0, G_OPTION_ARG_STRING, &_opt.compression,
    "TIFF: none, deflate, deflate-predictor (default)", "C" },
  { "quality", 0, 0, G_OPTION_ARG_INT, &_opt.quality, "JPEG quality 1 to 100 (default 95)", "Q" },
  { "icc", 0, 0, G_OPTION_ARG_FILENAME, &_opt.icc,
    "output colour profile: a file, or srgb, adobergb, prophoto, rec2020, display-p3 (also with "
    "-linear)",
    "PROFILE" },
  { "assume-profile", 0, 0, G_OPTION_ARG_FILENAME, &_opt.assume,
    "read the input with this profile instead of its own", "PROFILE" },
  { "threads", 0, 0, G_OPTION_ARG_INT, &_opt.threads, "threads for the network", "N" },
  { "overwrite", 0, 0, G_OPTION_ARG_NONE, &_opt.overwrite, "replace existing outputs", NULL },
  { "skip-existing", 0, 0, G_OPTION_ARG_NONE, &_opt.skip_existing, "leave existing outputs alone", NULL },
  { "dry-run", 0, 0, G_OPTION_ARG_NONE, &_opt.dry_run, "print the plan and write nothing", NULL },
  { "json", 0, 0, G_OPTION_ARG_NONE, &_opt.json, "print one JSON object per file", NULL },
  { "progress", 0, 0, G_OPTION_ARG_STRING, &_opt.progress,
    "auto (a bar on a terminal), bar, plain, json or none", "MODE" },
  { "bench-pass-through", 0, G_OPTION_FLAG_HIDDEN, G_OPTION_ARG_NONE, &_opt.pass_through, NULL, NULL },
  { NULL, 0, 0, 0, NULL, NULL, NULL },
};

static const char _examples[] =
    "Examples:\n"
    "  darktable-ai denoise photo.jpg                     writes photo_denoise.tif\n"
    "  darktable-ai denoise -o out/ *.tif                 a batch into a directory\n"
    "  darktable-ai denoise --memory 1G -o clean.png noisy.png\n"
    "  darktable-ai denoise --dry-run photo.jpg           tiles, overlap, memory, provider";

static gboolean _usage(GError **error, const char *format, ...) G_GNUC_PRINTF(2, 3);
static gboolean _usage(GError **error, const char *format, ...)
{
  va_list args;
  va_start(args, format);
  *error = g_error_new_valist(DT_AI_ERROR, DT_AI_ERROR_USAGE, format, args);
  va_end(args);
  return FALSE;
}

static gboolean _parse_compression(dt_imageio_compression_t *compression)
{
  static const char *const names[] = {
    [DT_IMAGEIO_DEFLATE_PREDICTOR] = "deflate-predictor",
    [DT_IMAGEIO_DEFLATE] = "deflate",
    [DT_IMAGEIO_UNCOMPRESSED] = "none",
  };
  if(!_opt.compression) return TRUE;
  for(size_t i = 0; i < G_N_ELEMENTS(names); i++)
    if(strcmp(_opt.compression, names[i]) == 0)
    {
      *compression = (dt_imageio_compression_t)i;
      return TRUE;
    }
  return FALSE;
}

/* What is asked for here is wanted or nothing; the setting may fall back. */
static gboolean _parse_provider(dt_restore_load_opts_t *load, GError **error)
{
  if(!_opt.provider) return TRUE;
  load->provider = dt_ai_provider_from_string(_opt.provider);
  load->strict = TRUE;
  if(dt_ai_provider_is_known(_opt.provider)) return TRUE;
  return _usage(error, "There is no execution provider \"%s\". See: darktable-ai providers", _opt.provider);
}

static gboolean _check_options(int files, dt_denoise_job_t *job, dt_restore_load_opts_t *load,
                               dt_cli_progress_t *progress, GError **error)
{
  if(files == 0) return _usage(error, "Say which files to denoise, e.g.: darktable-ai denoise photo.jpg");
  if(_opt.sigma != UNSET && !(_opt.sigma >= 1 && _opt.sigma <= 255))
    return _usage(error, "--sigma takes a noise level from 1 to 255.");
  if(_opt.bits != UNSET && _opt.bits != 8 && _opt.bits != 16 && _opt.bits != 32)
    return _usage(error, "--bit-depth takes 8, 16 or 32.");
  if(_opt.quality != UNSET && (_opt.quality < 1 || _opt.quality > 100))
    return _usage(error, "--quality takes 1 to 100.");
  if(_opt.threads != UNSET && _opt.threads < 1) return _usage(error, "--threads takes a positive number.");
  if(_opt.skip_existing && _opt.overwrite)
    return _usage(error, "--skip-existing and --overwrite contradict each other; choose one.");
  if(!_parse_compression(&job->compression))
    return _usage(error, "--compression takes none, deflate or deflate-predictor.");
  if(_opt.progress && !dt_cli_progress_mode(_opt.progress, &progress->mode))
    return _usage(error, "--progress takes auto, bar, plain, json or none.");
  if(_opt.memory && !(load->memory = (size_t)dt_conf_parse_size(_opt.memory)))
    return _usage(error, "--memory takes a size such as 500M or 2G.");
  if(files > 1 && _opt.output && !g_file_test(_opt.output, G_FILE_TEST_IS_DIR))
    return _usage(error, "With several files -o takes an existing directory, and %s is none.", _opt.output);
  return _parse_provider(load, error);
}

/* --- reporting --- */

static double _megapixels(const dt_restore_plan_t *plan)
{
  return 1e-6 * plan->width * plan->height;
}

/* "NVIDIA CUDA (NVIDIA H200; nodes CUDA 118, CPU 2)": what really runs, and where. */
static char *_describe_place(const dt_restore_context_t *ctx)
{
  const dt_ai_provider_t provider = dt_restore_get_provider(ctx);
  const char *name = dt_ai_provider_to_string(provider), *device = dt_restore_get_device(ctx);
  if(provider == DT_AI_PROVIDER_CPU) return g_strdup(name);
  return g_strdup_printf("%s (%s%snodes %s)", name, device ? device : "", device ? "; " : "",
                         dt_restore_get_placement(ctx));
}

static void _print_json_place(const dt_restore_context_t *ctx)
{
  const char *texts[][2] = { { "model", dt_restore_get_model_id(ctx) },
                             { "device", dt_restore_get_device(ctx) },
                             { "nodes", dt_restore_get_placement(ctx) },
                             { "fallback", dt_restore_get_fallback(ctx) } };
  printf(",\"provider\":\"%s\"", dt_ai_providers[dt_restore_get_provider(ctx)].config_string);
  for(size_t i = 0; i < G_N_ELEMENTS(texts); i++)
  {
    printf(",\"%s\":", texts[i][0]);
    dt_cli_print_json_string(texts[i][1]);
  }
}

static void _print_plan(const dt_restore_context_t *ctx, const char *input, const char *output,
                        const dt_restore_plan_t *plan)
{
  const char *model = dt_restore_get_model_id(ctx);
  const double effort = (double)plan->computed / ((double)plan->width * plan->height);
  if(_opt.json)
  {
    fputs("{\"schema_version\":1,\"event\":\"plan\",\"input\":", stdout);
    dt_cli_print_json_string(input);
    fputs(",\"output\":", stdout);
    dt_cli_print_json_string(output);
    _print_json_place(ctx);
    printf(",\"width\":%d,\"height\":%d,\"tile_width\":%d,\"tile_height\":%d,"
           "\"overlap\":%d,\"columns\":%d,\"rows\":%d,\"exact\":%s,\"computed\":%.3f,\"memory\":%zu,"
           "\"budget\":%zu,\"threads\":%d,\"runs\":%d,\"reason\":",
           plan->width, plan->height, plan->tile_width, plan->tile_height, plan->overlap, plan->columns,
           plan->rows, plan->exact ? "true" : "false", effort, plan->memory, plan->budget, plan->threads,
           plan->runs);
    dt_cli_print_json_string(plan->reason);
    fputs("}\n", stdout);
    return;
  }
  printf("%s -> %s\n", input, output);
  printf("  picture   %d×%d, %.1f MP\n", plan->width, plan->height, _megapixels(plan));
  char *place = _describe_place(ctx);
  printf("  model     %s on %s, %d threads × %d\n", model, place, plan->threads, plan->runs);
  g_free(place);
  printf("  tiles     %d×%d of %d×%d pixels, overlap %d, %.2f × the picture computed\n", plan->columns,
         plan->rows, plan->tile_width, plan->tile_height, plan->overlap, effort);
  printf("  seams     %s%s\n",
         plan->exact ? "none: bit-identical to the untiled picture" : "blended: ", plan->reason);
  printf("  memory    %.0f MiB of %.0f MiB\n", (double)plan->memory / 1048576,
         (double)plan->budget / 1048576);
}

static void _print_result(const dt_restore_context_t *ctx, const char *input, const char *output,
                          const dt_restore_report_t *r)
{
  const double speed = r->seconds > 0 ? _megapixels(&r->plan) / r->seconds : 0;
  if(!_opt.json)
  {
    char *place = _describe_place(ctx);
    printf("%s\n", output);
    dt_cli_say("%s: %s on %s, %.*f MP in %.*f s (%.2f MP/s), %s%s%s, peak memory %.0f MiB", input,
               dt_restore_get_model_id(ctx), place, _megapixels(&r->plan) < 10 ? 2 : 1, _megapixels(&r->plan),
               r->seconds < 10 ? 2 : 1, r->seconds, speed, r->plan.exact ? "exact" : "blended (",
               r->plan.reason, r->plan.exact ? "" : ")", (double)dt_memory_peak() / 1048576);
    g_free(place);
    if(r->retries)
      dt_cli_say("%s: memory ran out %d times; went on with tiles of %d×%d pixels. --memory sets the "
                 "budget.",
                 input, r->retries, r->plan.tile_width, r->plan.tile_height);
    return;
  }
  fputs("{\"schema_version\":1,\"event\":\"done\",\"input\":", stdout);
  dt_cli_print_json_string(input);
  fputs(",\"output\":", stdout);
  dt_cli_print_json_string(output);
  _print_json_place(ctx);
  printf(",\"seconds\":%.3f,\"mp_per_s\":%.3f,\"exact\":%s,\"retries\":%d,"
         "\"tile_width\":%d,\"tile_height\":%d,\"columns\":%d,\"rows\":%d,\"peak_memory\":%" G_GUINT64_FORMAT
         ",\"read_seconds\":%.3f,\"run_seconds\":%.3f,\"write_seconds\":%.3f}\n",
         r->seconds, speed, r->plan.exact ? "true" : "false", r->retries, r->plan.tile_width,
         r->plan.tile_height, r->plan.columns, r->plan.rows, dt_memory_peak(), r->read_seconds,
         r->run_seconds, r->write_seconds);
}

/* --- work --- */

static gboolean _plan_one(dt_restore_context_t *ctx, const dt_denoise_job_t *job, const char *input,
                          const char *output, GError **error)
{
  dt_restore_plan_t plan;
  if(!dt_denoise_plan_file(ctx, job, input, output, &plan, NULL, error)) return FALSE;
  _print_plan(ctx, input, output, &plan);
  return TRUE;
}

/* A failed or skipped file, in words or as an object. */
static void _print_event(const char *event, const char *input, int code, const char *message)
{
  if(!_opt.json)
  {
    dt_cli_say("%s", message);
    return;
  }
  printf("{\"schema_version\":1,\"event\":\"%s\",\"input\":", event);
  dt_cli_print_json_string(input);
  printf(",\"exit_code\":%d,\"message\":", code);
  dt_cli_print_json_string(message);
  fputs("}\n", stdout);
}

/* The later of two inputs that lead to one name must not replace the result of the earlier. */
static gboolean _claim_output(const char *output, GError **error)
{
  if(g_hash_table_add(_written, g_canonicalize_filename(output, NULL))) return TRUE;
  g_set_error(error, DT_AI_ERROR, DT_AI_ERROR_OUTPUT,
              "%s: another file of this batch was written there already. Denoise the two separately, with "
              "different names for -o.",
              output);
  return FALSE;
}

static gboolean _write_one(dt_restore_context_t *ctx, dt_denoise_job_t *job, dt_cli_progress_t *progress,
                           const char *input, const char *output, GError **error)
{
  dt_restore_report_t report;
  char *note = NULL;
  const gboolean ok =
      _claim_output(output, error) && dt_denoise_file(ctx, job, input, output, &report, &note, error);
  dt_cli_progress_end(progress);
  if(ok) _print_result(ctx, input, output, &report);
  if(ok && note) dt_cli_say("%s: %s", output, note);
  g_free(note);
  return ok;
}

static int _denoise_one(dt_restore_context_t *ctx, dt_denoise_job_t *job, dt_cli_progress_t *progress,
                        const char *input)
{
  char *output = dt_denoise_output_path(job, input);
  GError *error = NULL;
  int code = DT_EXIT_OK;
  gboolean ok = TRUE;
  if(_opt.dry_run)
    ok = _plan_one(ctx, job, input, output, &error);
  else if(_opt.skip_existing && g_file_test(output, G_FILE_TEST_EXISTS))
  {
    char *message = g_strdup_printf("%s: %s exists, skipped", input, output);
    _print_event("skipped", input, DT_EXIT_OK, message);
    g_free(message);
  }
  else
    ok = _write_one(ctx, job, progress, input, output, &error);
  if(!ok)
  {
    code = dt_cli_exit_code(error);
    /* the library knows pictures, not their names */
    if(code == DT_EXIT_MEMORY || code == DT_EXIT_FAILED) g_prefix_error(&error, "%s: ", input);
    _print_event("error", input, code, error->message);
    g_error_free(error);
  }
  fflush(stdout);
  g_free(output);
  return code;
}

/* One failing file does not end a batch; a cancelled one does. */
static int _denoise_all(dt_restore_context_t *ctx, dt_denoise_job_t *job, dt_cli_progress_t *progress, int n,
                        char **files)
{
  int failed = 0, code = DT_EXIT_OK;
  for(int i = 0; i < n && !dt_cli_signal_exit_code(); i++)
  {
    char *label = dt_cli_display_basename(files[i]);
    dt_cli_progress_begin(progress, label);
    const int this_code = _denoise_one(ctx, job, progress, files[i]);
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
static void _mention_gpu(const dt_restore_context_t *ctx, double seconds)
{
  const gint64 limit = dt_conf_get_int(DT_CONF_AI_LONG_JOB_SECONDS, 20);
  if(_opt.provider || dt_restore_get_provider(ctx) != DT_AI_PROVIDER_CPU || limit <= 0
     || seconds < (double)limit)
    return;
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

static int _run_with(dt_ai_environment_t *env, const dt_restore_load_opts_t *load, dt_denoise_job_t *job,
                     dt_cli_progress_t *progress, int n, char **files)
{
  GError *error = NULL;
  job->restore.cancellable = load->cancellable;
  dt_restore_context_t *ctx = dt_restore_load(env, "denoise", _opt.model, load, &error);
  if(!ctx) return dt_cli_fail(error);
  if(dt_ai_runtime_warning()) dt_cli_say("%s", dt_ai_runtime_warning());
  if(_opt.sigma != UNSET && !dt_restore_has_sigma(ctx))
    dt_cli_say("note: %s finds the noise level by itself; --sigma is not used", dt_restore_get_model_id(ctx));
  const gint64 start = g_get_monotonic_time();
  const int code = _denoise_all(ctx, job, progress, n, files);
  _mention_gpu(ctx, 1e-6 * (double)(g_get_monotonic_time() - start));
  dt_restore_free(ctx);
  return code;
}

static int _denoise(int argc, char **argv)
{
  int code = DT_EXIT_OK;
  if(!dt_cli_parse(&argc, &argv, "FILE…",
                   "Removes noise from photographs (TIFF, PNG, JPEG). The originals are not touched.",
                   _examples, _entries, &code))
    return code;
  dt_restore_load_opts_t load = { .threads = MAX(_opt.threads, 0), .cancellable = dt_cli_catch_signals() };
  dt_denoise_job_t job = { .output = _opt.output,
                           .assume_profile = _opt.assume,
                           .profile = _opt.icc,
                           .bits = MAX(_opt.bits, 0),
                           .quality = MAX(_opt.quality, 0),
                           .overwrite = _opt.overwrite,
                           .originals = argv + 1,
                           .n_originals = argc - 1 };
  dt_cli_progress_t progress = { 0 };
  GError *error = NULL;
  if(!_check_options(argc - 1, &job, &load, &progress, &error)) return dt_cli_fail(error);
  job.restore = (dt_restore_opts_t){ .sigma = (float)MAX(_opt.sigma, 0),
                                     .pass_through = _opt.pass_through,
                                     .progress = dt_cli_progress_update,
                                     .progress_data = &progress };
  dt_ai_environment_t *env = dt_ai_env_init(NULL);
  if(!env) return dt_cli_fail(g_error_copy(dt_ai_last_error()));
  /* --provider auto wins over a setting that names one */
  if(_opt.provider) dt_ai_env_set_provider(env, load.provider);
  _written = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
  code = _run_with(env, &load, &job, &progress, argc - 1, argv + 1);
  g_hash_table_unref(_written);
  dt_ai_env_destroy(env);
  return code;
}

const dt_cli_command_t dt_cli_cmd_denoise = { "denoise", "remove noise from photographs", _denoise };
