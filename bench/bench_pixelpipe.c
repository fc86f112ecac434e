/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the pipe itself costs beside its modules, and what a change of parameters costs beside the whole: a raw of 1920 x 1080
 * through all modules of a screen on the CPU, in processor time of the process. Modules are timed at their own functions.
 *
 *     bench_pixelpipe [RUNS]      default: 15
 *
 * On one core: what threads do on others is added to the process's time only when they sleep, perhaps after their module. */
#include "common/cores.h"
#include "common/memory.h"
#include "develop/pixelpipe_internal.h"
#include "imageio/raw_internal.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum
{
  WIDTH = 1920,
  HEIGHT = 1080,
  BLACK = 512,
  WHITE = 16383
};

static double _seconds(clockid_t clock)
{
  struct timespec t;
  clock_gettime(clock, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* --- modules that are timed --- */

static dt_iop_module_t _timed[DT_DEV_MAX_NODES];
static const dt_iop_module_t *_real[DT_DEV_MAX_NODES];
static double _cpu[DT_DEV_MAX_NODES]; /* since _measure() */

static gboolean _process(const dt_iop_piece_t *piece, const float *in, const dt_iop_roi_t *roi_in, float *out,
                         const dt_iop_roi_t *roi_out, GError **error)
{
  const int i = (int)(piece->module - _timed);
  const double begun = _seconds(CLOCK_PROCESS_CPUTIME_ID);
  const gboolean fine = _real[i]->process(piece, in, roi_in, out, roi_out, error);
  _cpu[i] += _seconds(CLOCK_PROCESS_CPUTIME_ID) - begun;
  return fine;
}

/* In the places of the plan's modules their doubles stand from now on. */
static void _time_modules(dt_dev_plan_t *plan)
{
  for(int i = 0; i < plan->n; i++)
  {
    _real[i] = plan->nodes[i].piece.module;
    _timed[i] = *_real[i];
    _timed[i].process = _process;
    plan->nodes[i].piece.module = &_timed[i];
  }
}

/* --- a raw and its pipe --- */

static dt_dev_input_t *_new_raw(void)
{
  static const guint8 colours[2][2] = { { 0, 1 }, { 1, 2 } };
  guint16 *samples = g_new(guint16, WIDTH * HEIGHT);
  guint32 noise = 1;
  for(int i = 0; i < WIDTH * HEIGHT; i++)
  {
    const int x = i % WIDTH, y = i / WIDTH;
    noise = noise * 1664525 + 1013904223;
    const double light = 0.4 + 0.3 * sin(0.011 * x) * cos(0.017 * y) + 0.03 * ((noise >> 16) / 65536.0 - 0.5);
    samples[i] = (guint16)(BLACK + light * (WHITE - BLACK));
  }
  dt_raw_held_t *held = g_new0(dt_raw_held_t, 1);
  dt_raw_t *raw = &held->raw;
  held->release = g_free;
  held->decoder = samples;
  raw->mosaic = (dt_mosaic_t){ .sensor = DT_SENSOR_BAYER,
                               .width = WIDTH,
                               .height = HEIGHT,
                               .samples = samples,
                               .stride = WIDTH,
                               .step = 1,
                               .period = 2 };
  for(int i = 0; i < DT_MOSAIC_PERIOD * DT_MOSAIC_PERIOD; i++)
  {
    const int x = i % DT_MOSAIC_PERIOD, y = i / DT_MOSAIC_PERIOD;
    raw->mosaic.colour[y][x] = colours[y % 2][x % 2];
    raw->mosaic.black[y][x] = BLACK;
    raw->mosaic.white[y][x] = WHITE;
  }
  const double neutral[4] = { 0.5, 1.0, 0.65, 1.0 };
  memcpy(raw->neutral, neutral, sizeof(neutral));
  raw->iso = 800;
  raw->crop_width = WIDTH;
  raw->crop_height = HEIGHT;
  raw->orientation = 1;
  return dt_dev_input_new_raw(raw);
}

/* The standard modules, and those of @p settings ("name.param=value", NULL-terminated). */
static void _set(dt_dev_pixelpipe_t *pipe, const char *const *settings)
{
  GError *error = NULL;
  dt_history_t *history = dt_history_create(NULL);
  gboolean fine = TRUE;
  for(; *settings && fine; settings++) fine = dt_history_set(history, *settings, NULL, &error);
  if(!fine || !dt_dev_pixelpipe_set_history(pipe, history, &error)) g_error("%s", error->message);
  dt_history_free(history);
  _time_modules(pipe->plan);
}

/* --- figures --- */

typedef struct _figure_t
{
  double cpu, outside; /* seconds of the processor, and those of them that were not in modules */
  int modules;
} _figure_t;

static _figure_t _measure(dt_dev_pixelpipe_t *pipe, float *pixels)
{
  GError *error = NULL;
  dt_dev_run_report_t report;
  memset(_cpu, 0, sizeof(_cpu));
  const double begun = _seconds(CLOCK_PROCESS_CPUTIME_ID);
  if(!dt_dev_pixelpipe_run(pipe, NULL, pixels, NULL, &report, &error)) g_error("%s", error->message);
  _figure_t figure = { .cpu = _seconds(CLOCK_PROCESS_CPUTIME_ID) - begun, .modules = report.modules };
  figure.outside = figure.cpu;
  for(int i = 0; i < pipe->plan->n; i++) figure.outside -= _cpu[i];
  return figure;
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

/* The share of the time that is not in modules. */
static double _measure_outside(dt_dev_input_t *input, dt_opencl_pipe_t type, const char *const *settings,
                               float *pixels, int runs, const char *what)
{
  double *shares = g_new(double, runs), cpu = 0;
  int modules = 0;
  for(int i = -1; i < runs; i++) /* the first one makes the memory warm */
  {
    dt_dev_pixelpipe_t *pipe =
        dt_dev_pixelpipe_create(input, &(dt_dev_pixelpipe_opts_t){ .type = type, .for_screen = TRUE });
    _set(pipe, settings);
    const _figure_t figure = _measure(pipe, pixels);
    dt_dev_pixelpipe_destroy(pipe);
    if(i < 0) continue;
    shares[i] = figure.outside / figure.cpu;
    cpu += figure.cpu / runs;
    modules = figure.modules;
  }
  const double share = _median(shares, runs);
  printf("%-10s %2d modules, %6.1f ms of the processor, outside of modules %.2f %%\n", what, modules,
         1e3 * cpu, 100 * share);
  g_free(shares);
  return share;
}

/* How long a change of @p changed takes beside the whole stack. */
static void _measure_change(dt_dev_input_t *input, const char *const *settings, const char *changed,
                            float *pixels, int runs)
{
  const int n = (int)g_strv_length((char **)settings);
  const char *all[16] = { NULL };
  char text[64];
  double *ratios = g_new(double, runs);
  _figure_t whole = { 0 }, change = { 0 };
  for(int i = -1; i < runs; i++)
  {
    dt_dev_pixelpipe_t *pipe = dt_dev_pixelpipe_create(
        input, &(dt_dev_pixelpipe_opts_t){ .type = DT_OPENCL_FULL, .for_screen = TRUE });
    memcpy(all, settings, (size_t)n * sizeof(*all));
    for(int k = 0; k < 3; k++)
    {
      g_snprintf(text, sizeof(text), "%s=1.%d", changed, k + 2);
      all[n] = text;
      _set(pipe, all);
      const _figure_t figure = _measure(pipe, pixels);
      if(k == 0) whole = figure;
      change = figure;
    }
    dt_dev_pixelpipe_destroy(pipe);
    if(i >= 0) ratios[i] = change.cpu / whole.cpu;
  }
  printf("%-22s %2d of %2d modules again, %5.1f %% of the whole\n", changed, change.modules, whole.modules,
         100 * _median(ratios, runs));
  g_free(ratios);
}

int main(int argc, char **argv)
{
  static const char *const standard[] = { NULL };
  static const char *const all[] = { "denoiseprofile.scales=5", "clipping.angle=2",
                                     "colorbalance.saturation=0.2", "sharpen.amount=0.8", NULL };
  const int runs = argc > 1 ? MAX(1, atoi(argv[1])) : 15;
  dt_cores_share(G_MAXINT);
  dt_dev_input_t *input = _new_raw();
  float *pixels = dt_memory_try_large((size_t)WIDTH * HEIGHT * 4 * 2, sizeof(float));
  if(!pixels) return 1;
  memset(pixels, 0, (size_t)WIDTH * HEIGHT * 4 * 2 * sizeof(float));
  const double shares[] = {
    _measure_outside(input, DT_OPENCL_FULL, standard, pixels, runs, "screen"),
    _measure_outside(input, DT_OPENCL_EXPORT, standard, pixels, runs, "file"),
    _measure_outside(input, DT_OPENCL_FULL, all, pixels, runs, "everything"),
  };
  _measure_change(input, all, "exposure.exposure", pixels, runs);
  _measure_change(input, all, "sigmoid.contrast", pixels, runs);
  _measure_change(input, all, "sharpen.amount", pixels, runs);
  double worst = 0;
  for(size_t i = 0; i < G_N_ELEMENTS(shares); i++) worst = MAX(worst, shares[i]);
  printf("at most 2 %% outside of modules: %s\n", worst <= 0.02 ? "yes" : "NO");
  free(pixels);
  dt_dev_input_unref(input);
  return worst <= 0.02 ? 0 : 1;
}
