/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What surrounds the network, as ratios against the network alone, measured side by side.
 *
 *   (a) uncompressed TIFF in and out:  wall / wall of bare Run() over the same tiles             <= 1.05
 *   (b) default compression:           wall / (T_run + C_rest / cores)                            <= 1.05
 *   (c) converting, cutting, blending: (C_rest - decoding - encoding) / CPU seconds of bare Run() <= 3 %
 *
 * T_run and the CPU seconds of Run come from running the same windows in a process of their own; C_rest is the CPU time
 * of the same command with Run() replaced by a copy. Pairs are interleaved, medians are printed.
 *
 *   bench_restore [MODEL [MEGAPIXELS [PAIRS]]] */
#include "ai/restore_internal.h"
#include "common/conf.h"
#include "common/paths.h"
#include "imageio/imageio.h"

#include <glib/gstdio.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

enum
{
  MAX_PAIRS = 50
};

typedef struct _cost_t
{
  double wall, cpu;
} _cost_t;

static char *_folder, *_program;

static void _die(GError *error)
{
  fprintf(stderr, "bench: %s\n", error->message);
  exit(1);
}

static double _cpu_seconds(int who)
{
  struct rusage u;
  getrusage(who, &u);
  return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec)
         + 1e-6 * (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec);
}

static _cost_t _since(gint64 wall, double cpu, int who)
{
  return (_cost_t){ 1e-6 * (double)(g_get_monotonic_time() - wall), _cpu_seconds(who) - cpu };
}

/* The command from outside, as a user runs it. */
static _cost_t _command(const char *model, const char *input, const char *output, const char *extra1,
                        const char *extra2, const char *extra3)
{
  const char *argv[] = { _program,  "--configdir", _folder,       "--cachedir", _folder, "denoise",
                         "--model", model,         "--overwrite", "-o",         output,  input,
                         extra1,    extra2,        extra3,        NULL };
  GError *error = NULL;
  int status = 0;
  const gint64 wall = g_get_monotonic_time();
  const double cpu = _cpu_seconds(RUSAGE_CHILDREN);
  if(!g_spawn_sync(NULL, (char **)argv, NULL, G_SPAWN_STDOUT_TO_DEV_NULL | G_SPAWN_STDERR_TO_DEV_NULL, NULL,
                   NULL, NULL, NULL, &status, &error)
     || !g_spawn_check_wait_status(status, &error))
    _die(error);
  return _since(wall, cpu, RUSAGE_CHILDREN);
}

/* The network alone over the windows of the plan; opening the session is not counted. */
static _cost_t _bare(dt_restore_context_t *ctx, const dt_restore_plan_t *plan)
{
  const size_t n = (size_t)plan->tile_width * (size_t)plan->tile_height;
  float *in = g_new(float, 3 * n), *sigma = g_new(float, n), *out = g_new(float, 3 * n);
  for(size_t i = 0; i < 3 * n; i++) in[i] = (float)(i * 2654435761u % 1000) * 0.001f;
  for(size_t i = 0; i < n; i++) sigma[i] = 25.0f / 255.0f;
  GError *error = NULL;
  const gint64 wall = g_get_monotonic_time();
  const double cpu = _cpu_seconds(RUSAGE_SELF);
  for(int i = 0; i < plan->columns * plan->rows; i++)
    if(!dt_restore_run_window(ctx, in, sigma, out, plan->tile_width, plan->tile_height, NULL, &error))
      _die(error);
  const _cost_t cost = _since(wall, cpu, RUSAGE_SELF);
  g_free(in);
  g_free(sigma);
  g_free(out);
  return cost;
}

/* The same in a process of its own: like the command it begins with memory that is cold. */
static _cost_t _bare_process(const char *self, const char *model, int width, int height)
{
  char *size[2] = { g_strdup_printf("%d", width), g_strdup_printf("%d", height) }, *text = NULL;
  const char *argv[] = { self, "--bare", model, size[0], size[1], _folder, NULL };
  GError *error = NULL;
  int status = 0;
  if(!g_spawn_sync(NULL, (char **)argv, NULL, G_SPAWN_DEFAULT, NULL, NULL, &text, NULL, &status, &error)
     || !g_spawn_check_wait_status(status, &error))
    _die(error);
  _cost_t cost = { 0 };
  if(sscanf(text, "%lf %lf", &cost.wall, &cost.cpu) != 2) exit(1);
  g_free(text);
  g_free(size[0]);
  g_free(size[1]);
  return cost;
}

/* Decoding and encoding alone: every row from the reader into the writer. */
static _cost_t _codec(const char *input, const char *output, dt_imageio_compression_t compression)
{
  GError *error = NULL;
  const gint64 wall = g_get_monotonic_time();
  const double cpu = _cpu_seconds(RUSAGE_SELF);
  dt_imageio_reader_t *in = dt_imageio_open(input, NULL, &error);
  if(!in) _die(error);
  const dt_imageio_write_opts_t opts = { .compression = compression,
                                         .metadata = &in->metadata,
                                         .overwrite = TRUE };
  dt_row_sink_t *out =
      dt_imageio_create(output, in->source.width, in->source.height, in->source.channels, &opts, &error);
  if(!out) _die(error);
  float *rows = g_new(float, (gsize)(16 * in->source.width * in->source.channels));
  for(int y = 0; y < in->source.height; y += 16)
  {
    const int n = MIN(16, in->source.height - y);
    if(!in->source.read(&in->source, y, n, rows, &error) || !out->write(out, y, n, rows, &error)) _die(error);
  }
  if(!out->finish(out, &error)) _die(error);
  dt_row_source_destroy(&in->source);
  g_free(rows);
  return _since(wall, cpu, RUSAGE_SELF);
}

static int _compare(const void *a, const void *b)
{
  const double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

static double _median(double *values, int n)
{
  qsort(values, (size_t)n, sizeof *values, _compare);
  return n % 2 ? values[n / 2] : 0.5 * (values[n / 2 - 1] + values[n / 2]);
}

static gboolean _verdict(const char *label, double value, double limit, const char *unit)
{
  printf("%-58s %7.3f%s  (at most %.2f%s) %s\n", label, value, unit, limit, unit,
         value <= limit ? "ok" : "TOO MUCH");
  return value <= limit;
}

static gboolean _measure(const char *self, const dt_restore_plan_t *plan, const char *model,
                         const char *input, int pairs)
{
  char *output = g_build_filename(_folder, "out.tif", NULL);
  const double cores = (double)g_get_num_processors();
  double a[MAX_PAIRS], b[MAX_PAIRS], c[MAX_PAIRS], run[MAX_PAIRS];
  for(int i = 0; i < pairs; i++)
  {
    const _cost_t bare = _bare_process(self, model, plan->width, plan->height);
    const _cost_t plain = _command(model, input, output, "--compression", "none", NULL);
    const _cost_t normal = _command(model, input, output, NULL, NULL, NULL);
    const _cost_t rest = _command(model, input, output, "--bench-pass-through", NULL, NULL);
    const _cost_t codec = _codec(input, output, DT_IMAGEIO_DEFLATE_PREDICTOR);
    a[i] = plain.wall / bare.wall;
    b[i] = normal.wall / (bare.wall + rest.cpu / cores);
    c[i] = 100 * (rest.cpu - codec.cpu) / bare.cpu;
    run[i] = bare.wall;
    printf("pair %d: bare %.2f s (%.2f CPU), plain %.2f, default %.2f, rest %.2f CPU, codec %.2f CPU\n",
           i + 1, bare.wall, bare.cpu, plain.wall, normal.wall, rest.cpu, codec.cpu);
    fflush(stdout);
  }
  printf("bare Run(): %.2f s, %.3f MP/s\n", _median(run, pairs),
         1e-6 * plan->width * plan->height / _median(run, pairs));
  gboolean ok = _verdict("(a) uncompressed TIFF, wall / bare Run()", _median(a, pairs), 1.05, "");
  ok &= _verdict("(b) default codec, wall / (T_run + C_rest / cores)", _median(b, pairs), 1.05, "");
  ok &= _verdict("(c) everything but codec and Run(), of Run's CPU", _median(c, pairs), 3, " %");
  g_free(output);
  return ok;
}

static dt_restore_context_t *_load(const char *model, char **id)
{
  GError *error = NULL;
  char *data = g_build_filename(DT_BENCH_SOURCE_DIR, "..", "shared", "data", "models", NULL);
  dt_conf_override(DT_CONF_AI_ENABLED, "TRUE");
  dt_paths_set(DT_DIR_CONFIG, _folder);
  dt_paths_set(DT_DIR_CACHE, _folder);
  /* the command has to find a model of the test data too */
  char *link = g_build_filename(_folder, "models", NULL);
  if(!g_file_test(link, G_FILE_TEST_IS_SYMLINK) && symlink(data, link) != 0)
    g_printerr("bench: no link to the test data\n");
  dt_ai_environment_t *env = dt_ai_env_init(NULL);
  dt_restore_context_t *ctx = dt_restore_load(env, "denoise", model, NULL, &error);
  if(!ctx) _die(error);
  *id = g_strdup(dt_restore_get_model_id(ctx));
  dt_ai_env_destroy(env);
  g_free(link);
  g_free(data);
  return ctx;
}

/* The child: bench_restore --bare MODEL WIDTH HEIGHT FOLDER */
static int _run_bare(char **argv)
{
  char *id = NULL;
  dt_restore_plan_t plan;
  GError *error = NULL;
  _folder = argv[5];
  dt_restore_context_t *ctx = _load(argv[2], &id);
  if(!dt_restore_plan(ctx, atoi(argv[3]), atoi(argv[4]), 3, NULL, 0, &plan, &error)) _die(error);
  const _cost_t cost = _bare(ctx, &plan);
  printf("%.6f %.6f\n", cost.wall, cost.cpu);
  dt_restore_free(ctx);
  return 0;
}

int main(int argc, char **argv)
{
  if(argc == 6 && strcmp(argv[1], "--bare") == 0) return _run_bare(argv);
  /* a network of ordinary weight where the test data is, else the light one that is bundled */
  const gboolean data =
      g_file_test(DT_BENCH_SOURCE_DIR "/../shared/data/models/denoise-ffdnet", G_FILE_TEST_IS_DIR);
  const char *model = argc > 1 && *argv[1] ? argv[1] : data ? "denoise-ffdnet" : NULL;
  const double megapixels = argc > 2 ? g_ascii_strtod(argv[2], NULL) : 12;
  const int pairs = argc > 3 ? CLAMP(atoi(argv[3]), 1, MAX_PAIRS) : 5;
  const int height = (int)sqrt(megapixels * 1e6 * 3 / 4), width = height * 4 / 3;
  char *here = dt_paths_program_dir();
  _folder = g_dir_make_tmp("darktable-ai-bench-XXXXXX", NULL);
  _program = g_build_filename(here, "..", "bin", "darktable-ai", NULL);
  char *picture = g_build_filename(here, "..", "bin", "picture", NULL);
  char *input = g_build_filename(_folder, "in.tif", NULL), *id = NULL;
  char *make =
      g_strdup_printf("'%s' make '%s' %d %d && printf 'plugins/ai/enabled=TRUE\\n' >'%s/darktable-airc'",
                      picture, input, width, height, _folder);
  if(system(make) != 0) return 1;
  dt_restore_context_t *ctx = _load(model, &id);
  dt_restore_plan_t plan;
  GError *error = NULL;
  if(!dt_restore_plan(ctx, width, height, 3, NULL, 0, &plan, &error)) _die(error);
  printf("%s, %d×%d, %d×%d tiles of %d×%d, %d threads × %d, %s\n", id, width, height, plan.columns, plan.rows,
         plan.tile_width, plan.tile_height, plan.threads, plan.runs, plan.exact ? "exact" : "blended");
  dt_restore_free(ctx);
  const gboolean ok = _measure(argv[0], &plan, id, input, pairs);
  char *clean = g_strdup_printf("rm -rf '%s'", _folder);
  if(system(clean) != 0) return 1;
  return ok ? 0 : 1;
}
