/* SPDX-License-Identifier: GPL-3.0-or-later */
/* models: which models are installed, and what each of them is. */
#include "ai/backend.h"
#include "cli/cli.h"

#include <json-glib/json-glib.h>
#include <stdio.h>
#include <string.h>

static gboolean _json;

static const GOptionEntry _entries[] = {
  { "json", 0, 0, G_OPTION_ARG_NONE, &_json, "print one JSON object per model", NULL },
  { NULL, 0, 0, 0, NULL, NULL, NULL },
};

static gboolean _is_active(dt_ai_environment_t *env, const dt_ai_model_info_t *info)
{
  const dt_ai_model_info_t *active = dt_ai_env_get_active_model(env, info->task_type);
  return active && strcmp(active->id, info->id) == 0;
}

static void _print_json(const dt_ai_model_info_t *info, gboolean active)
{
  const struct
  {
    const char *key, *text;
  } fields[] = { { "id", info->id },
                 { "name", info->name },
                 { "task", info->task_type },
                 { "version", info->version },
                 { "arch", info->arch },
                 { "description", info->description },
                 { "directory", info->directory } };
  fputs("{\"schema_version\":1", stdout);
  for(size_t i = 0; i < G_N_ELEMENTS(fields); i++)
  {
    printf(",\"%s\":", fields[i].key);
    dt_cli_print_json_string(fields[i].text);
  }
  printf(",\"num_inputs\":%d,\"active\":%s,\"attributes\":%s,\"model_card\":%s}\n", info->num_inputs,
         active ? "true" : "false", info->attributes ? info->attributes : "null",
         info->model_card ? info->model_card : "null");
}

static int _list(dt_ai_environment_t *env)
{
  const int n = dt_ai_get_model_count(env);
  if(!_json && n) printf("%-28s %-10s %-8s %-7s %s\n", "ID", "TASK", "VERSION", "ACTIVE", "NAME");
  for(int i = 0; i < n; i++)
  {
    const dt_ai_model_info_t *info = dt_ai_get_model_info_by_index(env, i);
    const gboolean active = _is_active(env, info);
    if(_json)
      _print_json(info, active);
    else
      printf("%-28s %-10s %-8s %-7s %s\n", info->id, info->task_type, info->version, active ? "yes" : "",
             info->name);
  }
  if(!n) dt_cli_say("no models are installed");
  for(int i = 0; i < dt_ai_env_get_problem_count(env); i++)
    dt_cli_say("skipped: %s", dt_ai_env_get_problem(env, i));
  return DT_EXIT_OK;
}

static void _print_object(const char *title, const char *json)
{
  JsonNode *node = json ? json_from_string(json, NULL) : NULL;
  if(node)
  {
    char *text = json_to_string(node, TRUE);
    printf("%-13s%s\n", title, text);
    g_free(text);
    json_node_unref(node);
  }
}

static void _print_field(const char *title, const char *text)
{
  if(*text) printf("%-13s%s\n", title, text);
}

static int _info(dt_ai_environment_t *env, const char *id)
{
  const dt_ai_model_info_t *info = dt_ai_get_model_info_by_id(env, id);
  if(!info)
  {
    dt_cli_say("There is no model \"%s\". See what is installed: darktable-ai models list", id);
    return DT_EXIT_NO_MODEL;
  }
  if(_json)
  {
    _print_json(info, _is_active(env, info));
    return DT_EXIT_OK;
  }
  printf("%-13s%s%s\n", "task", info->task_type, _is_active(env, info) ? " (active)" : "");
  _print_field("id", info->id);
  _print_field("name", info->name);
  _print_field("description", info->description);
  _print_field("version", info->version);
  _print_field("architecture", info->arch);
  _print_field("directory", info->directory);
  printf("%-13s%d\n", "inputs", info->num_inputs);
  _print_object("attributes", info->attributes);
  _print_object("model card", info->model_card);
  return DT_EXIT_OK;
}

static int _models(int argc, char **argv)
{
  int code = DT_EXIT_OK;
  if(!dt_cli_parse(&argc, &argv, "list | info ID", "Shows the installed models.",
                   "Examples:\n  darktable-ai models list\n  darktable-ai models info denoise-leaves",
                   _entries, &code))
    return code;
  const char *verb = argc > 1 ? argv[1] : "list";
  const gboolean list = strcmp(verb, "list") == 0 && argc <= 2;
  const gboolean info = strcmp(verb, "info") == 0 && argc == 3;
  if(!list && !info)
  {
    dt_cli_say("models takes: list, or info ID");
    return DT_EXIT_USAGE;
  }
  dt_ai_environment_t *env = dt_ai_env_init(NULL);
  if(!env) return dt_cli_fail(g_error_copy(dt_ai_last_error()));
  code = list ? _list(env) : _info(env, argv[2]);
  dt_ai_env_destroy(env);
  return code;
}

const dt_cli_command_t dt_cli_cmd_models = { "models", "list the installed models", _models };
