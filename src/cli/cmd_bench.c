/* SPDX-License-Identifier: GPL-3.0-or-later */
/* bench: how fast a model restores a picture here, without files: a synthetic picture in, nothing out. */
#include "ai/restore_raw.h"
#include "cli/cli.h"
#include "common/conf.h"
#include "common/memory.h"
#include "libs/denoise_ai.h"

#include <json-glib/json-glib.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_MEGAPIXELS 1000

static struct
{
  char *task, *model, *provider, *memory, *compare;
  double megapixels;
  int scale, threads, runs;
  gboolean json;
} _opt = { .megapixels = 6, .runs = 3 };

static const GOptionEntry _entries[] = {
  { "task", 0, 0, G_OPTION_ARG_STRING, &_opt.task, "denoise (default), upscale or rawdenoise", "TASK" },
  { "model", 0, 0, G_OPTION_ARG_STRING, &_opt.model, "use this model instead of the active one", "ID" },
  { "provider", 0, 0, G_OPTION_ARG_STRING, &_opt.provider, "run on this execution provider or not at all",
    "P" },
  { "scale", 0, 0, G_OPTION_ARG_INT, &_opt.scale, "upscale: 2 (default) or 4", "F" },
  { "megapixels", 0, 0, G_OPTION_ARG_DOUBLE, &_opt.megapixels, "size of the picture (default 6)", "MP" },
  { "runs", 0, 0, G_OPTION_ARG_INT, &_opt.runs, "how often; the median counts (default 3)", "N" },
  { "memory", 0, 0, G_OPTION_ARG_STRING, &_opt.memory, "stay within this much memory, e.g. 2G", "SIZE" },
  { "threads", 0, 0, G_OPTION_ARG_INT, &_opt.threads, "threads for the network", "N" },
  { "json", 0, 0, G_OPTION_ARG_NONE, &_opt.json, "print one JSON object, to be kept for --compare", NULL },
  { "compare", 0, 0, G_OPTION_ARG_FILENAME, &_opt.compare, "say how this differs from a kept run", "FILE" },
  { NULL, 0, 0, 0, NULL, NULL, NULL },
};

/* --- a picture of no file --- */

static gboolean _read(dt_row_source_t *self, int y, int n, float *rows, GError **error)
{
  (void)error;
  const size_t stride = (size_t)self->width * (size_t)self->channels;
  for(int i = 0; i < n; i++)
    for(size_t k = 0; k < stride; k++)
    {
      const guint32 h = ((guint32)k * 0x9E3779B1u) ^ ((guint32)(y + i) * 0x85EBCA77u);
      rows[(size_t)i * stride + k] =
          0.2f + 0.3f * (float)k / (float)stride + 0.1f * (float)(h >> 8) / 16777216.0f;
    }
  return TRUE;
}

static gboolean _write(dt_row_sink_t *self, int y, int n, const float *rows, GError **error)
{
  (void)self;
  (void)y;
  (void)n;
  (void)rows;
  (void)error;
  return TRUE;
}

static gboolean _finish(dt_row_sink_t *self, GError **error)
{
  (void)self;
  (void)error;
  return TRUE;
}

static void _abandon(dt_row_sink_t *self)
{
  (void)self;
}

/* --- measuring --- */

/* A Bayer sensor's picture of noise. */
static gboolean _run_raw(dt_restore_context_t *ctx, int width, int height, dt_row_sink_t *sink,
                         const dt_restore_opts_t *opts, dt_restore_report_t *report, GError **error)
{
  static const dt_restore_camera_t camera = { .neutral = { 1, 1, 1, 1 }, .daylight = { 1, 1, 1, 1 } };
  guint16 *samples = g_new(guint16, (gsize)width * (gsize)height);
  dt_mosaic_t sensor = { .sensor = DT_SENSOR_BAYER,
                         .width = width,
                         .height = height,
                         .samples = samples,
                         .stride = (size_t)width,
                         .step = 1,
                         .period = 2,
                         .colour = { { DT_SITE_RED, DT_SITE_GREEN }, { DT_SITE_GREEN, DT_SITE_BLUE } } };
  for(int i = 0; i < 4; i++) sensor.white[i / 2][i % 2] = 16383;
  for(gsize i = 0; i < (gsize)width * (gsize)height; i++)
    samples[i] = (guint16)(4000 + (i * 2654435761u >> 20 & 2047));
  const gboolean ok = dt_restore_raw_process(ctx, &sensor, &camera, sink, opts, report, error);
  g_free(samples);
  return ok;
}

static gboolean _run_once(dt_restore_context_t *ctx, dt_restore_report_t *report, GError **error)
{
  /* 3:2, as cameras have it */
  const int height = MAX(2, (int)sqrt(_opt.megapixels * 1e6 / 1.5)), width = height * 3 / 2 + 1;
  dt_row_source_t source = { .width = width, .height = height, .channels = DT_ROW_RGB, .read = _read };
  dt_row_sink_t sink = { .write = _write, .finish = _finish, .abandon = _abandon };
  const dt_restore_opts_t opts = { .cancellable = dt_cli_catch_signals() };
  if(dt_restore_get_input(ctx) == DT_RESTORE_BAYER)
    return _run_raw(ctx, width, height, &sink, &opts, report, error);
  return dt_restore_process(ctx, &source, &sink, &opts, report, error);
}

static int _compare_seconds(gconstpointer a, gconstpointer b)
{
  const double x = ((const dt_restore_report_t *)a)->seconds, y = ((const dt_restore_report_t *)b)->seconds;
  return x < y ? -1 : x > y;
}

/* The run of the median time. */
static gboolean _measure(dt_restore_context_t *ctx, dt_restore_report_t *median, GError **error)
{
  dt_restore_report_t *reports = g_new0(dt_restore_report_t, (gsize)_opt.runs);
  gboolean ok = TRUE;
  for(int i = 0; ok && i < _opt.runs; i++) ok = _run_once(ctx, &reports[i], error);
  if(ok) qsort(reports, (size_t)_opt.runs, sizeof *reports, _compare_seconds);
  *median = reports[_opt.runs / 2];
  g_free(reports);
  return ok;
}

/* --- figures --- */

/* What is printed, kept and compared. */
static const char *const _figures[] = { "mp_per_s",  "tiles_per_s", "seconds",    "read_share",
                                        "run_share", "write_share", "peak_memory" };

static void _collect(const dt_restore_report_t *r, double figures[G_N_ELEMENTS(_figures)])
{
  const double megapixels = 1e-6 * r->plan.width * r->plan.height,
               tiles = (double)r->plan.columns * r->plan.rows;
  const double all = MAX(r->read_seconds + r->run_seconds + r->write_seconds, 1e-9);
  const double values[] = { megapixels / r->seconds, tiles / r->seconds,   r->seconds,
                            r->read_seconds / all,   r->run_seconds / all, r->write_seconds / all,
                            (double)dt_memory_peak() };
  memcpy(figures, values, sizeof values);
}

static void _print_json(const dt_restore_context_t *ctx, const dt_restore_report_t *r, const double *figures)
{
  const char *device = dt_restore_get_device(ctx);
  fputs("{\"schema_version\":1,\"event\":\"bench\",\"model\":", stdout);
  dt_cli_print_json_string(dt_restore_get_model_id(ctx));
  printf(",\"provider\":\"%s\",\"device\":", dt_ai_providers[dt_restore_get_provider(ctx)].config_string);
  dt_cli_print_json_string(device);
  printf(",\"runtime\":\"%s\",\"scale\":%d,\"width\":%d,\"height\":%d,\"tile_width\":%d,\"tile_height\":%d,"
         "\"threads\":%d,\"runs\":%d",
         dt_ai_runtime_version(NULL), r->plan.scale, r->plan.width, r->plan.height, r->plan.tile_width,
         r->plan.tile_height, r->plan.threads, r->plan.runs);
  for(size_t i = 0; i < G_N_ELEMENTS(_figures); i++) printf(",\"%s\":%.10g", _figures[i], figures[i]);
  puts("}");
}

static void _print_words(const dt_restore_context_t *ctx, const dt_restore_report_t *r, const double *figures)
{
  printf("model     %s on %s, %d threads × %d\n", dt_restore_get_model_id(ctx),
         dt_ai_provider_to_string(dt_restore_get_provider(ctx)), r->plan.threads, r->plan.runs);
  printf("picture   %d×%d, %d×%d tiles of %d×%d\n", r->plan.width, r->plan.height, r->plan.columns,
         r->plan.rows, r->plan.tile_width, r->plan.tile_height);
  printf("speed     %.3f MP/s, %.2f tiles/s, %.2f s\n", figures[0], figures[1], figures[2]);
  printf("shares    reading %.1f %%, network %.1f %%, writing %.1f %%\n", 100 * figures[3], 100 * figures[4],
         100 * figures[5]);
  printf("memory    %.0f MiB at most\n", figures[6] / 1048576);
}

/* --- comparing --- */

/* The kept run, before anything is measured (transfer full), or NULL. */
static JsonParser *_load_kept(GError **error)
{
  JsonParser *parser = json_parser_new();
  GError *cause = NULL;
  JsonNode *root =
      json_parser_load_from_file(parser, _opt.compare, &cause) ? json_parser_get_root(parser) : NULL;
  if(root && JSON_NODE_HOLDS_OBJECT(root) && json_object_has_member(json_node_get_object(root), _figures[0]))
    return parser;
  g_set_error(error, DT_AI_ERROR, DT_AI_ERROR_INPUT,
              "%s is no kept run: %s. Make one: darktable-ai bench --json > FILE", _opt.compare,
              cause ? cause->message : "there are no figures in it");
  g_clear_error(&cause);
  g_object_unref(parser);
  return NULL;
}

/* Says where the kept run was another one: then the figures tell of that, not of what was changed. */
static void _mention_difference(JsonObject *kept, const char *member, const char *is)
{
  JsonNode *node = json_object_get_member(kept, member);
  char *was = node && JSON_NODE_HOLDS_VALUE(node) ? json_to_string(node, FALSE) : NULL;
  const size_t quote = was && was[0] == '"', length = was ? strlen(was) : 0;
  if(was && (length - 2 * quote != strlen(is) || strncmp(was + quote, is, strlen(is)) != 0))
    dt_cli_say("note: not the same: %s is %s and was %.*s in %s", member, is, (int)(length - 2 * quote),
               was + quote, _opt.compare);
  g_free(was);
}

static void _mention_number(JsonObject *kept, const char *member, int is)
{
  char text[16];
  g_snprintf(text, sizeof text, "%d", is);
  _mention_difference(kept, member, text);
}

static void _print_comparison(const dt_restore_context_t *ctx, const dt_restore_report_t *r, JsonObject *kept,
                              const double *figures)
{
  _mention_difference(kept, "model", dt_restore_get_model_id(ctx));
  _mention_difference(kept, "provider", dt_ai_providers[dt_restore_get_provider(ctx)].config_string);
  _mention_number(kept, "scale", r->plan.scale);
  _mention_number(kept, "width", r->plan.width);
  _mention_number(kept, "threads", r->plan.threads);
  for(size_t i = 0; i < G_N_ELEMENTS(_figures); i++)
  {
    const double was = json_object_get_double_member_with_default(kept, _figures[i], 0);
    dt_cli_say("%-12s %12.6g, was %12.6g: × %.3f", _figures[i], figures[i], was,
               was != 0 ? figures[i] / was : 0);
  }
}

/* --- the command --- */

static gboolean _usage(GError **error, const char *words)
{
  g_set_error_literal(error, DT_AI_ERROR, DT_AI_ERROR_USAGE, words);
  return FALSE;
}

static gboolean _check(dt_restore_load_opts_t *load, GError **error)
{
  static const char *const tasks[] = { "denoise", "upscale", "rawdenoise", NULL };
  if(_opt.task && !g_strv_contains(tasks, _opt.task))
    return _usage(error, "--task takes denoise, upscale or rawdenoise.");
  if(!(_opt.megapixels > 0 && _opt.megapixels <= MAX_MEGAPIXELS))
    return _usage(error, "--megapixels takes a size above 0, to 1000.");
  if(_opt.runs < 1 || _opt.runs > 1000) return _usage(error, "--runs takes 1 to 1000.");
  if(_opt.scale && _opt.scale != 2 && _opt.scale != 4) return _usage(error, "--scale takes 2 or 4.");
  if(_opt.memory && !(load->memory = (size_t)dt_conf_parse_size(_opt.memory)))
    return _usage(error, "--memory takes a size such as 500M or 2G.");
  if(_opt.provider && !dt_ai_provider_is_known(_opt.provider))
    return _usage(error, "There is no such execution provider. See: darktable-ai providers");
  load->provider = dt_ai_provider_from_string(_opt.provider);
  load->strict = _opt.provider != NULL;
  load->scale = _opt.scale;
  load->threads = MAX(_opt.threads, 0);
  load->cancellable = dt_cli_catch_signals();
  return TRUE;
}

static gboolean _bench(dt_ai_environment_t *env, const dt_restore_load_opts_t *load, GError **error)
{
  JsonParser *kept = _opt.compare ? _load_kept(error) : NULL;
  if(_opt.compare && !kept) return FALSE;
  dt_restore_context_t *ctx =
      dt_restore_load(env, _opt.task ? _opt.task : "denoise", _opt.model, load, error);
  dt_restore_report_t report;
  double figures[G_N_ELEMENTS(_figures)];
  const gboolean ok = ctx && _measure(ctx, &report, error);
  if(ok)
  {
    _collect(&report, figures);
    (_opt.json ? _print_json : _print_words)(ctx, &report, figures);
    if(kept) _print_comparison(ctx, &report, json_node_get_object(json_parser_get_root(kept)), figures);
  }
  dt_restore_free(ctx);
  g_clear_object(&kept);
  return ok;
}

static int _run_bench(int argc, char **argv)
{
  int code = DT_EXIT_OK;
  GError *error = NULL;
  dt_restore_load_opts_t load = { 0 };
  if(!dt_cli_parse(&argc, &argv, NULL, "Measures how fast a model restores a picture here, without files.",
                   "Examples:\n  darktable-ai bench\n  darktable-ai bench --json > before.json\n"
                   "  darktable-ai bench --compare before.json",
                   _entries, &code))
    return code;
  if(!_check(&load, &error)) return dt_cli_fail(error);
  dt_ai_environment_t *env = dt_ai_env_init(NULL);
  if(!env) return dt_cli_fail(g_error_copy(dt_ai_last_error()));
  if(_opt.provider) dt_ai_env_set_provider(env, load.provider);
  if(!_bench(env, &load, &error)) code = dt_cli_fail(error);
  dt_ai_env_destroy(env);
  return code;
}

const dt_cli_command_t dt_cli_cmd_bench = { "bench", "measure how fast a model is here", _run_bench };
