/* SPDX-License-Identifier: GPL-3.0-or-later */
/* prefs, enable, disable: the settings. They work while AI is switched off. */
#include "ai/backend.h"
#include "cli/cli.h"
#include "common/conf.h"
#include "common/model_repository.h"

#include <stdio.h>
#include <string.h>

static const char *_origin_name(dt_conf_origin_t origin)
{
  static const char *const names[] = {
    [DT_CONF_UNSET] = "unset",         [DT_CONF_DEFAULT] = "default", [DT_CONF_DARKTABLERC] = "darktablerc",
    [DT_CONF_AIRC] = "darktable-airc", [DT_CONF_OVERRIDE] = "--conf",
  };
  return names[origin];
}

static gboolean _json;

static const GOptionEntry _entries[] = {
  { "json", 0, 0, G_OPTION_ARG_NONE, &_json, "print one JSON object per setting", NULL },
  { NULL, 0, 0, 0, NULL, NULL, NULL },
};

static void _print_json(const char *key, const char *value)
{
  fputs("{\"schema_version\":1,\"key\":", stdout);
  dt_cli_print_json_string(key);
  fputs(",\"value\":", stdout);
  dt_cli_print_json_string(value);
  printf(",\"origin\":\"%s\"}\n", _origin_name(dt_conf_get_origin(key)));
}

static int _list(void)
{
  char **keys = dt_conf_list();
  for(char **key = keys; *key; key++)
  {
    char *value = dt_conf_get_string(*key);
    if(_json)
      _print_json(*key, value);
    else
      printf("%s=%s  (%s)\n", *key, value ? value : "", _origin_name(dt_conf_get_origin(*key)));
    g_free(value);
  }
  g_strfreev(keys);
  return DT_EXIT_OK;
}

static int _get(const char *key)
{
  char *value = dt_conf_get_string(key);
  if(!value)
  {
    dt_cli_say("%s is not set and has no default. See: darktable-ai prefs list", key);
    return DT_EXIT_FAILED;
  }
  if(_json)
    _print_json(key, value);
  else
    printf("%s\n", value);
  g_free(value);
  return DT_EXIT_OK;
}

static gboolean _check_provider(const char *value, GError **error)
{
  if(dt_ai_provider_is_known(value)) return TRUE;
  g_set_error(error, DT_AI_ERROR, DT_AI_ERROR_USAGE,
              "There is no execution provider \"%s\". See what there is: darktable-ai providers", value);
  return FALSE;
}

/* The setting is kept all the same: the driver may come tomorrow. */
static void _warn_of_provider(const char *value)
{
  const dt_ai_provider_t provider = dt_ai_provider_from_string(value);
  if(provider == DT_AI_PROVIDER_AUTO || !dt_ai_is_supported() || !dt_conf_get_bool(DT_CONF_AI_ENABLED))
    return;
  dt_ai_provider_report_t *report = dt_ai_examine_provider(provider, TRUE);
  if(report && !report->works)
    dt_cli_say("%s does not work here and will fall back to the CPU: %s", dt_ai_provider_to_string(provider),
               report->reason);
  dt_ai_provider_report_free(report);
}

static int _change(const char *key, const char *value)
{
  GError *error = NULL;
  const gboolean provider = value && strcmp(key, DT_CONF_AI_PROVIDER) == 0;
  if(provider && !_check_provider(value, &error)) return dt_cli_fail(error);
  const gboolean repository = value && *value && strcmp(key, DT_CONF_AI_REPOSITORY) == 0;
  if(repository && !dt_repository_check_name(value, &error)) return dt_cli_fail(error);
  const gboolean ok = value ? dt_conf_set(key, value, &error) : dt_conf_reset(key, &error);
  if(ok && provider) _warn_of_provider(value);
  return ok ? DT_EXIT_OK : dt_cli_fail(error);
}

static int _prefs(int argc, char **argv)
{
  int code = DT_EXIT_OK;
  if(!dt_cli_parse(&argc, &argv, "list | get KEY | set KEY VALUE | reset KEY",
                   "Shows and changes settings. They are kept in darktable-airc; darktablerc is only "
                   "read.",
                   "Examples:\n  darktable-ai prefs list\n"
                   "  darktable-ai prefs set plugins/ai/memory 2G\n"
                   "  darktable-ai prefs reset plugins/ai/memory",
                   _entries, &code))
    return code;
  const char *verb = argc > 1 ? argv[1] : "list";
  if(strcmp(verb, "list") == 0 && argc <= 2) return _list();
  if(strcmp(verb, "get") == 0 && argc == 3) return _get(argv[2]);
  if(strcmp(verb, "set") == 0 && argc == 4) return _change(argv[2], argv[3]);
  if(strcmp(verb, "reset") == 0 && argc == 3) return _change(argv[2], NULL);
  dt_cli_say("prefs takes: list, get KEY, set KEY VALUE, or reset KEY");
  return DT_EXIT_USAGE;
}

static int _switch(int argc, char **argv, gboolean on)
{
  int code = DT_EXIT_OK;
  if(!dt_cli_parse(&argc, &argv, NULL,
                   on ? "Switches AI features on. Nothing runs unless asked, nothing leaves this machine."
                      : "Switches AI features off.",
                   NULL, _entries, &code))
    return code;
  if(on && !dt_ai_is_supported())
  {
    dt_cli_say("this build has no AI support; ask your distribution's package maintainer to enable it, "
               "or use an official build");
    return DT_EXIT_DISABLED;
  }
  code = _change(DT_CONF_AI_ENABLED, on ? "TRUE" : "FALSE");
  if(!code) dt_cli_say("AI features are switched %s", on ? "on" : "off");
  if(!code && _json) _print_json(DT_CONF_AI_ENABLED, on ? "TRUE" : "FALSE");
  return code;
}

static int _enable(int argc, char **argv)
{
  return _switch(argc, argv, TRUE);
}

static int _disable(int argc, char **argv)
{
  return _switch(argc, argv, FALSE);
}

const dt_cli_command_t dt_cli_cmd_prefs = { "prefs", "show and change settings", _prefs };
const dt_cli_command_t dt_cli_cmd_enable = { "enable", "switch AI features on", _enable };
const dt_cli_command_t dt_cli_cmd_disable = { "disable", "switch AI features off", _disable };
