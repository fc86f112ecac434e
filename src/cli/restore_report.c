/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What denoise and upscale print: plans, results, failures; in words or as JSON, one object a line. */
#include "cli/restore_report.h"
#include "cli/cli.h"
#include "common/memory.h"

#include <stdio.h>

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

void dt_cli_restore_print_plan(const dt_restore_context_t *ctx, const char *input, const char *output,
                               const dt_restore_plan_t *plan, gboolean json)
{
  const char *model = dt_restore_get_model_id(ctx);
  const double effort = (double)plan->computed / ((double)plan->width * plan->height);
  if(json)
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

void dt_cli_restore_print_result(const dt_restore_context_t *ctx, const char *input, const char *output,
                                 const dt_restore_report_t *r, gboolean json)
{
  const double speed = r->seconds > 0 ? _megapixels(&r->plan) / r->seconds : 0;
  if(!json)
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
