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
 *   bench_restore [--raw] [MODEL [MEGAPIXELS [PAIRS]]]
 *
 * With --raw a Bayer sensor's picture goes to a LinearRaw DNG (24 MP), and TIFF above reads DNG. */
#include "ai/restore_internal.h"
#include "ai/restore_raw.h"
#include "common/conf.h"
#include "common/paths.h"
#include "imageio/dng.h"

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
static gboolean _raw; /* rawdenoise */

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
  const char *argv[] = {
    _program,  "--configdir", _folder,       "--cachedir", _folder, _raw ? "rawdenoise" : "denoise",
    "--model", model,         "--overwrite", "-o",         output,  input,
    extra1,    extra2,        extra3,        NULL
  };
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
  const size_t n = (size_t)plan->tile_width * (size_t)plan->tile_height, planes = (size_t)ctx->planes;
  float *in = g_new(float, planes *n), *sigma = g_new(float, n),
        *out = g_new(float, 3 * n * (size_t)(ctx->scale * ctx->scale));
  for(size_t i = 0; i < planes * n; i++) in[i] = (float)(i * 2654435761u % 1000) * 0.001f;
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
  const char *argv[] = { self, _raw ? "--bare-raw" : "--bare", model, size[0], size[1], _folder, NULL };
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

/* --- raws --- */

#define BLACK 512
#define WHITE 16000

/* A sensor of RGGB with 14 bits; @p samples may be NULL where only its size matters. */
static dt_mosaic_t _sensor(int width, int height, const guint16 *samples)
{
  dt_mosaic_t m = { .sensor = DT_SENSOR_BAYER,
                    .width = width,
                    .height = height,
                    .samples = samples,
                    .stride = (size_t)width,
                    .step = 1,
                    .period = 2,
                    .colour = { { DT_SITE_RED, DT_SITE_GREEN }, { DT_SITE_GREEN, DT_SITE_BLUE } } };
  for(int i = 0; i < 4; i++)
  {
    m.black[i / 2][i % 2] = BLACK;
    m.white[i / 2][i % 2] = WHITE;
  }
  return m;
}

/* Every row of the mosaic, its samples for all three colours, into a DNG. */
static void _write_dng(const dt_raw_t *raw, const char *path, gboolean uncompressed, dt_dng_kind_t kind)
{
  const dt_dng_opts_t opts = { .kind = kind, .uncompressed = uncompressed, .overwrite = TRUE };
  const int width = raw->mosaic.width;
  GError *error = NULL;
  dt_row_sink_t *out = dt_dng_create(path, raw, &opts, &error);
  if(!out) _die(error);
  float *row = g_new(float, width), *rgb = g_new(float, 3 * width);
  for(int y = 0; y < raw->mosaic.height; y++)
  {
    dt_mosaic_read(&raw->mosaic, 0, y, width, row);
    for(int i = 0; i < 3 * width; i++) rgb[i] = row[i / 3];
    if(!out->write(out, y, 1, rgb, &error)) _die(error);
  }
  if(!out->finish(out, &error)) _die(error);
  g_free(row);
  g_free(rgb);
}

/* A soft noisy scene as a raw file. */
static void _make_raw(const char *path, int width, int height)
{
  guint16 *samples = g_new(guint16, (gsize)width * (gsize)height);
  guint32 h = 1;
  for(int i = 0; i < width * height; i++)
  {
    h = h * 1664525u + 1013904223u;
    samples[i] = (guint16)(2000 + 1500 * (1 + sin(i % width * 0.01) * cos(i / width * 0.013)) + (h >> 24));
  }
  dt_raw_t raw = { .mosaic = _sensor(width, height, samples),
                   .name = (char *)"bench.dng",
                   .make = (char *)"Bench",
                   .model = (char *)"Bench",
                   .unique_model = (char *)"Bench",
                   .has_matrix = TRUE,
                   .matrix = { { 0.65, -0.12, -0.09 }, { -0.38, 1.16, 0.25 }, { -0.04, 0.15, 0.60 } },
                   .has_neutral = TRUE,
                   .neutral = { 0.5, 1, 0.65, 1 },
                   .crop_width = width,
                   .crop_height = height,
                   .orientation = 1 };
  _write_dng(&raw, path, TRUE, DT_DNG_CFA);
  g_free(samples);
}

/* Decoding and encoding alone. */
static _cost_t _codec_raw(const char *input, const char *output)
{
  GError *error = NULL;
  const gint64 wall = g_get_monotonic_time();
  const double cpu = _cpu_seconds(RUSAGE_SELF);
  dt_raw_t *raw = dt_raw_open(input, &error);
  if(!raw) _die(error);
  _write_dng(raw, output, FALSE, DT_DNG_LINEAR);
  dt_raw_free(raw);
  return _since(wall, cpu, RUSAGE_SELF);
}

/* --- pictures --- */

/* Decoding and encoding alone: every row from the reader into the writer. */
static _cost_t _codec(const char *input, const char *output)
{
  if(_raw) return _codec_raw(input, output);
  const dt_imageio_compression_t compression = DT_IMAGEIO_DEFLATE_PREDICTOR;
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
  char *output = g_build_filename(_folder, _raw ? "out.dng" : "out.tif", NULL);
  const double cores = (double)g_get_num_processors();
  double a[MAX_PAIRS], b[MAX_PAIRS], c[MAX_PAIRS], run[MAX_PAIRS];
  for(int i = 0; i < pairs; i++)
  {
    const _cost_t bare = _bare_process(self, model, plan->width, plan->height);
    const _cost_t plain = _command(model, input, output, "--compression", "none", NULL);
    const _cost_t normal = _command(model, input, output, NULL, NULL, NULL);
    const _cost_t rest = _command(model, input, output, "--bench-pass-through", NULL, NULL);
    const _cost_t codec = _codec(input, output);
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
  gboolean ok = _verdict("(a) uncompressed output, wall / bare Run()", _median(a, pairs), 1.05, "");
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
  dt_restore_context_t *ctx = dt_restore_load(env, _raw ? "rawdenoise" : "denoise", model, NULL, &error);
  if(!ctx) _die(error);
  *id = g_strdup(dt_restore_get_model_id(ctx));
  dt_ai_env_destroy(env);
  g_free(link);
  g_free(data);
  return ctx;
}

static void _plan(dt_restore_context_t *ctx, int width, int height, dt_restore_plan_t *plan)
{
  GError *error = NULL;
  const dt_mosaic_t sensor = _sensor(width, height, NULL);
  if(!(_raw ? dt_restore_raw_plan(ctx, &sensor, NULL, 0, plan, &error)
            : dt_restore_plan(ctx, width, height, 3, NULL, 0, plan, &error)))
    _die(error);
}

/* The child: bench_restore --bare MODEL WIDTH HEIGHT FOLDER */
static int _run_bare(char **argv)
{
  char *id = NULL;
  dt_restore_plan_t plan;
  _folder = argv[5];
  dt_restore_context_t *ctx = _load(argv[2], &id);
  _plan(ctx, atoi(argv[3]), atoi(argv[4]), &plan);
  const _cost_t cost = _bare(ctx, &plan);
  printf("%.6f %.6f\n", cost.wall, cost.cpu);
  dt_restore_free(ctx);
  return 0;
}

/* The picture to be measured, and settings for the command. */
static char *_make_input(const char *programs, int width, int height)
{
  char *input = g_build_filename(_folder, _raw ? "in.dng" : "in.tif", NULL);
  char *picture = g_build_filename(programs, "..", "bin", "picture", NULL);
  char *make =
      g_strdup_printf("%s'%s' make '%s' %d %d && printf 'plugins/ai/enabled=TRUE\\n' >'%s/darktable-airc'",
                      _raw ? ": " : "", picture, input, width, height, _folder);
  if(system(make) != 0) exit(1);
  if(_raw) _make_raw(input, width, height);
  g_free(make);
  g_free(picture);
  return input;
}

/* A network of ordinary weight where the test data is, else the light one that is bundled. */
static const char *_default_model(void)
{
  const gboolean data =
      g_file_test(DT_BENCH_SOURCE_DIR "/../shared/data/models/denoise-ffdnet", G_FILE_TEST_IS_DIR);
  return data && !_raw ? "denoise-ffdnet" : NULL;
}

int main(int argc, char **argv)
{
  const char *self = argv[0];
  _raw = argc > 1 && (strcmp(argv[1], "--raw") == 0 || strcmp(argv[1], "--bare-raw") == 0);
  if(argc == 6 && g_str_has_prefix(argv[1], "--bare")) return _run_bare(argv);
  if(_raw) argc--, argv++;
  const char *model = argc > 1 && *argv[1] ? argv[1] : _default_model();
  const double megapixels = argc > 2 ? g_ascii_strtod(argv[2], NULL) : _raw ? 24 : 12;
  const int pairs = argc > 3 ? CLAMP(atoi(argv[3]), 1, MAX_PAIRS) : 5;
  const int height = (int)sqrt(megapixels * 1e6 * 3 / 4), width = height * 4 / 3;
  char *here = dt_paths_program_dir(), *id = NULL;
  _folder = g_dir_make_tmp("darktable-ai-bench-XXXXXX", NULL);
  _program = g_build_filename(here, "..", "bin", "darktable-ai", NULL);
  char *input = _make_input(here, width, height);
  dt_restore_context_t *ctx = _load(model, &id);
  dt_restore_plan_t plan;
  _plan(ctx, width, height, &plan);
  printf("%s, %d×%d, %d×%d tiles of %d×%d, %d threads × %d, %s\n", id, width, height, plan.columns, plan.rows,
         plan.tile_width, plan.tile_height, plan.threads, plan.runs, plan.exact ? "exact" : "blended");
  dt_restore_free(ctx);
  const gboolean ok = _measure(self, &plan, id, input, pairs);
  char *clean = g_strdup_printf("rm -rf '%s'", _folder);
  if(system(clean) != 0) return 1;
  return ok ? 0 : 1;
}
