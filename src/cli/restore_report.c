/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What denoise, upscale and rawdenoise print: plans, results, failures; in words or as JSON, one object a line. */
#include "cli/restore_report.h"
#include "cli/cli.h"
#include "common/memory.h"
#include "imageio/imageio.h"

#include <stdio.h>
#include <string.h>

static double _megapixels(const dt_restore_plan_t *plan)
{
  return 1e-6 * plan->width * plan->height;
}

/* Pixels that go through the network, of one of the picture. */
static double _effort(const dt_restore_plan_t *plan)
{
  return (double)plan->computed / ((double)plan->width * plan->height);
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

/* --- plans --- */

static void _print_json_forecast(const dt_cli_forecast_t *f)
{
  printf(",\"output_bytes\":%" G_GUINT64_FORMAT ",\"expected_seconds\":", f->result.bytes);
  if(f->seconds < 0)
    fputs("null", stdout);
  else
    printf("%.3f", f->seconds);
  if(f->result.width) printf(",\"output_width\":%d,\"output_height\":%d", f->result.width, f->result.height);
}

/* "at most 144.0 MB, about 31 s" (transfer full) */
static char *_describe_forecast(const dt_cli_forecast_t *f)
{
  char *size = g_format_size(f->result.bytes);
  char *text = f->seconds < 0
                   ? g_strdup_printf("at most %s, time unknown until it has run once", size)
                   : g_strdup_printf("at most %s, about %.*f s", size, f->seconds < 10 ? 1 : 0, f->seconds);
  g_free(size);
  return text;
}

static void _print_json_plan(const dt_restore_context_t *ctx, const dt_restore_picture_t *picture,
                             const char *output, const dt_restore_plan_t *plan,
                             const dt_cli_forecast_t *forecast)
{
  fputs("{\"schema_version\":1,\"event\":\"plan\",\"input\":", stdout);
  dt_cli_print_json_string(picture->path);
  fputs(",\"output\":", stdout);
  dt_cli_print_json_string(output);
  _print_json_place(ctx);
  if(picture->raw)
  {
    fputs(",\"sensor\":", stdout);
    dt_cli_print_json_string(picture->raw->decoder);
    printf(",\"cell\":%d", plan->cell);
  }
  printf(",\"width\":%d,\"height\":%d,\"tile_width\":%d,\"tile_height\":%d,"
         "\"overlap\":%d,\"columns\":%d,\"rows\":%d,\"exact\":%s,\"computed\":%.3f,\"memory\":%zu,"
         "\"budget\":%zu,\"threads\":%d,\"runs\":%d,\"reason\":",
         plan->width, plan->height, plan->tile_width, plan->tile_height, plan->overlap, plan->columns,
         plan->rows, plan->exact ? "true" : "false", _effort(plan), plan->memory, plan->budget, plan->threads,
         plan->runs);
  dt_cli_print_json_string(plan->reason);
  _print_json_forecast(forecast);
  fputs("}\n", stdout);
}

void dt_cli_restore_print_plan(const dt_restore_context_t *ctx, const dt_restore_picture_t *picture,
                               const char *output, const dt_restore_plan_t *plan,
                               const dt_cli_forecast_t *forecast, gboolean json)
{
  if(json)
  {
    _print_json_plan(ctx, picture, output, plan, forecast);
    return;
  }
  printf("%s -> %s\n", picture->path, output);
  printf("  picture   %d×%d, %.1f MP%s%s\n", plan->width, plan->height, _megapixels(plan),
         picture->raw ? ", " : "", picture->raw ? picture->raw->decoder : "");
  char *place = _describe_place(ctx);
  printf("  model     %s on %s, %d threads × %d\n", dt_restore_get_model_id(ctx), place, plan->threads,
         plan->runs);
  g_free(place);
  printf("  tiles     %d×%d of %d×%d %s, overlap %d, %.2f × the picture computed\n", plan->columns,
         plan->rows, plan->tile_width, plan->tile_height, plan->cell == 2 ? "cells of 2×2 pixels" : "pixels",
         plan->overlap, _effort(plan));
  printf("  seams     %s%s\n",
         plan->exact ? "none: bit-identical to the untiled picture" : "blended: ", plan->reason);
  printf("  memory    %.0f MiB of %.0f MiB\n", (double)plan->memory / 1048576,
         (double)plan->budget / 1048576);
  char *text = _describe_forecast(forecast);
  printf("  result    %d×%d, %s\n", forecast->result.width, forecast->result.height, text);
  g_free(text);
}

void dt_cli_restore_print_result(const dt_restore_context_t *ctx, const char *input, const char *output,
                                 const dt_restore_report_t *r, gboolean json)
{
  const double speed = r->seconds > 0 ? _megapixels(&r->plan) / r->seconds : 0;
  if(!json)
  {
    char *place = _describe_place(ctx);
    if(strcmp(output, DT_IMAGEIO_STREAM) != 0) printf("%s\n", output);
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

/* A failed or skipped file, in words or as an object. */
void dt_cli_restore_print_event(const char *event, const char *input, int code, const char *message,
                                gboolean json)
{
  if(!json)
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

/* --- the end of a batch --- */

/* failures beyond these are counted, not listed */
#define MAX_LISTED 20

static void _print_json_summary(const dt_cli_summary_t *s)
{
  printf("{\"schema_version\":1,\"event\":\"summary\",\"total\":%d,\"done\":%d,\"skipped\":%d,\"failed\":%d,"
         "\"seconds\":%.3f",
         s->total, s->done, s->skipped, s->failed, s->seconds);
  if(s->dry_run) _print_json_forecast(&s->forecast);
  fputs("}\n", stdout);
}

static void _list_failures(const dt_cli_summary_t *s)
{
  const int left = s->total - s->done - s->skipped - s->failed;
  GString *text = g_string_new(NULL);
  g_string_printf(text, "%d of %d files %s%s", s->failed, s->total, s->dry_run ? "would fail" : "failed",
                  s->done > 0 && !left && !s->dry_run ? "; the others are done" : "");
  if(left > 0) g_string_append_printf(text, "; %d were not begun", left);
  g_string_append(text, ":");
  for(guint i = 0; i < MIN(s->failures->len, MAX_LISTED); i++)
    g_string_append_printf(text, "\n  %s", (const char *)s->failures->pdata[i]);
  if(s->failures->len > MAX_LISTED)
    g_string_append_printf(text, "\n  and %u more", s->failures->len - MAX_LISTED);
  dt_cli_say("%s", text->str);
  g_string_free(text, TRUE);
}

void dt_cli_restore_print_summary(const dt_cli_summary_t *s, gboolean json)
{
  if(json)
    _print_json_summary(s);
  else if(s->dry_run && s->done > 0)
  {
    char *forecast = _describe_forecast(&s->forecast);
    printf("%d files, %.*f MP: %s\n", s->done, s->megapixels < 10 ? 2 : 1, s->megapixels, forecast);
    g_free(forecast);
  }
  if(s->resumed) dt_cli_say("%d of %d files had been done by an earlier run", s->resumed, s->total);
  if(s->failed && s->total > 1) _list_failures(s);
}
