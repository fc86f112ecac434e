/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The part of doctor's page that is about AI: models, the runtime, providers and what they lack. */
#include "ai/backend.h"
#include "cli/cli.h"
#include "cli/doctor.h"
#include "common/conf.h"
#include "common/libraries.h"
#include "common/paths.h"
#include "libs/runtime_search.h"

#include <stdio.h>

/* --- models --- */

static void _print_models(dt_ai_environment_t *env)
{
  static const char *const tasks[] = { "denoise", "rawdenoise", "upscale", "mask" };
  char *bundled = dt_paths_bundled("models");
  dt_cli_doctor_print("models", "%s, besides those in the settings' folder",
                      bundled ? bundled : "none came with the program");
  g_free(bundled);
  for(int i = 0; i < dt_ai_get_model_count(env); i++)
  {
    const dt_ai_model_info_t *info = dt_ai_get_model_info_by_index(env, i);
    dt_cli_doctor_print("", "%s %s (%s) in %s", info->id, info->version ? info->version : "", info->task_type,
                        info->directory);
  }
  for(size_t i = 0; i < G_N_ELEMENTS(tasks); i++)
  {
    const dt_ai_model_info_t *info = dt_ai_env_get_active_model(env, tasks[i]);
    dt_cli_doctor_print(tasks[i], "%s", info ? info->id : "no model");
  }
  for(int i = 0; i < dt_ai_env_get_problem_count(env); i++)
    dt_cli_doctor_print("skipped", "%s", dt_ai_env_get_problem(env, i));
}

/* --- runtime and providers --- */

/* What the libraries beside the runtime need and the loader would not find. */
static void _print_missing(const char *runtime)
{
  char *folder = g_path_get_dirname(runtime);
  GDir *dir = g_dir_open(folder, 0, NULL);
  for(const char *name; dir && (name = g_dir_read_name(dir));)
  {
    char *path = g_build_filename(folder, name, NULL);
    const gboolean provider = g_str_has_prefix(name, "libonnxruntime_providers_");
    GPtrArray *missing = provider ? dt_library_missing(path, NULL) : NULL;
    for(guint i = 0; missing && i < missing->len; i++)
    {
      const dt_library_missing_t *m = missing->pdata[i];
      dt_cli_doctor_print("missing", "%s, needed by %s%s%s%s%s", m->soname, m->needed_by,
                          m->found ? "; found " : "", m->found ? m->found : "",
                          m->package ? "; part of " : "", m->package ? m->package : "");
    }
    if(missing) g_ptr_array_unref(missing);
    g_free(path);
  }
  if(dir) g_dir_close(dir);
  g_free(folder);
}

/* @return whether there is one that can be used */
static gboolean _print_runtime(void)
{
  dt_runtime_choice_t *choice = dt_runtime_choice();
  const gboolean found = choice->info != NULL;
  for(guint i = 0; i < choice->refused->len; i++)
    dt_cli_doctor_print("refused", "%s", (char *)choice->refused->pdata[i]);
  if(found)
  {
    char *providers = choice->info->providers ? g_strjoinv(", ", choice->info->providers) : g_strdup("");
    dt_cli_doctor_print("runtime", "ONNX Runtime %s, %s (%s)", choice->info->version, choice->info->path,
                        choice->origin);
    dt_cli_doctor_print("", "lists %s", providers);
    _print_missing(choice->info->path);
    g_free(providers);
  }
  else
    dt_cli_doctor_print("runtime", "not usable");
  dt_runtime_choice_free(choice);
  return found;
}

static void _print_provider(const dt_ai_provider_desc_t *row)
{
  dt_ai_provider_report_t *report = dt_ai_examine_provider(row->value, TRUE);
  if(!report) return;
  dt_cli_doctor_print("provider", "%s: %s%s%s", row->display_name, report->works ? "works" : report->reason,
                      report->driver ? "; driver: " : "", report->driver ? report->driver : "");
  for(guint i = 0; i < report->devices->len; i++)
  {
    const dt_ai_device_t *device = report->devices->pdata[i];
    dt_cli_doctor_print("", "device %s: %s%s", device->id, device->name,
                        device->software ? " (software)" : "");
  }
  if(report->words && *report->words) dt_cli_doctor_print("", "it wrote: %s", g_strchomp(report->words));
  dt_ai_provider_report_free(report);
}

static void _print_providers(void)
{
  for(int i = DT_AI_PROVIDER_CPU; i < DT_AI_PROVIDER_COUNT; i++)
    if(dt_ai_providers[i].available) _print_provider(&dt_ai_providers[i]);
  dt_cli_doctor_print("auto", "takes %s", dt_ai_provider_to_string(dt_ai_auto_provider()));
}

int dt_cli_doctor_print_ai(void)
{
  if(!dt_conf_get_bool(DT_CONF_AI_ENABLED))
  {
    dt_cli_doctor_print("AI", "switched off; switch it on with: darktable-ai enable");
    (void)_print_runtime();
    return DT_EXIT_OK;
  }
  dt_cli_doctor_print("AI", "switched on");
  dt_ai_environment_t *env = dt_ai_env_init(NULL);
  _print_models(env);
  dt_ai_env_destroy(env);
  const gboolean found = _print_runtime();
  fflush(stdout);
  if(!dt_ai_runtime_version(NULL)) return dt_cli_fail(g_error_copy(dt_ai_last_error()));
  if(found) _print_providers();
  return DT_EXIT_OK;
}
