/* SPDX-License-Identifier: GPL-3.0-or-later */
/* providers: what the runtime offers, each provider started anew, with its devices. */
#include "ai/backend.h"
#include "cli/cli.h"
#include "common/conf.h"

#include <stdio.h>

static gboolean _json;

static const GOptionEntry _entries[] = {
  { "json", 0, 0, G_OPTION_ARG_NONE, &_json, "print one JSON object per provider", NULL },
  { NULL, 0, 0, 0, NULL, NULL, NULL },
};

/* --- for people --- */

static void _print_devices(const dt_ai_provider_report_t *report)
{
  for(guint i = 0; i < report->devices->len; i++)
  {
    const dt_ai_device_t *device = report->devices->pdata[i];
    printf("%29s %-6s %s", "", device->id, device->name);
    if(device->memory) printf(", %.1f GiB", (double)device->memory / 1073741824);
    puts(device->software ? " (software)" : "");
  }
}

static void _print_row(const dt_ai_provider_desc_t *row, const dt_ai_provider_report_t *report)
{
  printf("%-10s %-18s ", row->config_string, row->display_name);
  if(!report->works)
    printf("no: %s\n", report->reason);
  else
    printf("works%s%s%s%s%s\n", report->device ? " on " : "", report->device ? report->device : "",
           report->driver ? " (" : "", report->driver ? report->driver : "", report->driver ? ")" : "");
  if(report->devices->len > 1) _print_devices(report);
}

/* --- for programs --- */

static void _print_json_text(const char *key, const char *text)
{
  printf(",\"%s\":", key);
  dt_cli_print_json_string(text);
}

static void _print_json_address(const char *pci)
{
  if(pci)
    _print_json_text("pci", pci);
  else
    fputs(",\"pci\":null", stdout);
}

static void _print_json(const dt_ai_provider_desc_t *row, const dt_ai_provider_report_t *report)
{
  printf("{\"schema_version\":1,\"provider\":\"%s\",\"works\":%s", row->config_string,
         report->works ? "true" : "false");
  _print_json_text("name", row->display_name);
  _print_json_text("reason", report->reason);
  _print_json_text("device", report->device);
  _print_json_address(report->pci);
  _print_json_text("driver", report->driver);
  fputs(",\"devices\":[", stdout);
  for(guint i = 0; i < report->devices->len; i++)
  {
    const dt_ai_device_t *device = report->devices->pdata[i];
    printf("%s{\"software\":%s,\"memory\":%" G_GUINT64_FORMAT, i ? "," : "",
           device->software ? "true" : "false", device->memory);
    _print_json_text("id", device->id);
    _print_json_text("name", device->name);
    _print_json_address(device->pci);
    fputs("}", stdout);
  }
  puts("]}");
}

/* --- the command --- */

/* Every provider of this platform is started anew: who asks does not want an old answer. */
static void _print_provider(const dt_ai_provider_desc_t *row)
{
  dt_ai_provider_report_t *report = dt_ai_examine_provider(row->value, TRUE);
  if(!report) return;
  if(_json)
    _print_json(row, report);
  else
    _print_row(row, report);
  fflush(stdout); /* the next one may take its time */
  dt_ai_provider_report_free(report);
}

static void _print_auto(void)
{
  const dt_ai_provider_desc_t *row = &dt_ai_providers[DT_AI_PROVIDER_AUTO];
  const dt_ai_provider_desc_t *taken = &dt_ai_providers[dt_ai_auto_provider()];
  if(_json)
    printf("{\"schema_version\":1,\"provider\":\"%s\",\"works\":true,\"name\":\"%s\",\"reason\":\"\","
           "\"takes\":\"%s\"}\n",
           row->config_string, row->display_name, taken->config_string);
  else
    printf("%-10s %-18s takes %s\n", row->config_string, row->display_name, taken->display_name);
}

static int _providers(int argc, char **argv)
{
  int code = DT_EXIT_OK;
  if(!dt_cli_parse(
         &argc, &argv, NULL,
         "Starts each execution provider of this platform and says which ones work, on which devices.", NULL,
         _entries, &code))
    return code;
  if(!dt_conf_get_bool(DT_CONF_AI_ENABLED) || !dt_ai_is_supported())
  {
    dt_ai_environment_t *env = dt_ai_env_init(NULL);
    dt_ai_env_destroy(env);
    return dt_cli_fail(g_error_copy(dt_ai_last_error()));
  }
  if(!dt_ai_runtime_version(NULL)) return dt_cli_fail(g_error_copy(dt_ai_last_error()));
  if(dt_ai_runtime_warning()) dt_cli_say("%s", dt_ai_runtime_warning());
  for(int i = DT_AI_PROVIDER_CPU; i < DT_AI_PROVIDER_COUNT; i++)
    if(dt_ai_providers[i].available) _print_provider(&dt_ai_providers[i]);
  _print_auto();
  return DT_EXIT_OK;
}

const dt_cli_command_t dt_cli_cmd_providers = { "providers", "show which execution providers work here",
                                                _providers };
