/* SPDX-License-Identifier: GPL-3.0-or-later */
/* providers: what the runtime offers, probed. */
#include "ai/backend.h"
#include "cli/cli.h"
#include "common/conf.h"

#include <stdio.h>

static gboolean _json;

static const GOptionEntry _entries[] = {
  { "json", 0, 0, G_OPTION_ARG_NONE, &_json, "print one JSON object per provider", NULL },
  { NULL, 0, 0, 0, NULL, NULL, NULL },
};

static void _print_row(const dt_ai_provider_desc_t *row)
{
  const gboolean works = dt_ai_probe_provider(row->value) == 1;
  const char *why = works ? "" : dt_ai_last_error()->message;
  if(!_json)
  {
    printf("%-10s %-18s %s%s\n", row->config_string, row->display_name, works ? "works" : "no: ", why);
    return;
  }
  printf("{\"schema_version\":1,\"provider\":\"%s\",\"name\":\"%s\",\"works\":%s,\"reason\":",
         row->config_string, row->display_name, works ? "true" : "false");
  dt_cli_print_json_string(why);
  fputs("}\n", stdout);
}

static int _providers(int argc, char **argv)
{
  int code = DT_EXIT_OK;
  if(!dt_cli_parse(&argc, &argv, NULL,
                   "Tries each execution provider of this platform and says which ones work.", NULL, _entries,
                   &code))
    return code;
  if(!dt_conf_get_bool(DT_CONF_AI_ENABLED) || !dt_ai_is_supported())
  {
    dt_ai_environment_t *env = dt_ai_env_init(NULL);
    dt_ai_env_destroy(env);
    return dt_cli_fail(g_error_copy(dt_ai_last_error()));
  }
  if(!dt_ai_runtime_version(NULL)) return dt_cli_fail(g_error_copy(dt_ai_last_error()));
  if(dt_ai_runtime_warning()) dt_cli_say("%s", dt_ai_runtime_warning());
  for(int i = 0; i < DT_AI_PROVIDER_COUNT; i++)
    if(dt_ai_providers[i].available) _print_row(&dt_ai_providers[i]);
  return DT_EXIT_OK;
}

const dt_cli_command_t dt_cli_cmd_providers = { "providers", "show which execution providers work here",
                                                _providers };
