/* SPDX-License-Identifier: GPL-3.0-or-later */
/* doctor: everything a person needs to see why something does not work. Runs while AI is off. */
#include "ai/backend.h"
#include "cli/cli.h"
#include "common/conf.h"
#include "common/memory.h"
#include "common/paths.h"

#include <stdio.h>

static void _print_dir(const char *label, dt_dir_t dir)
{
  char *path = dt_paths_get(dir);
  printf("%-12s %s%s\n", label, path, g_file_test(path, G_FILE_TEST_IS_DIR) ? "" : " (not there yet)");
  g_free(path);
}

static void _print_active(dt_ai_environment_t *env)
{
  static const char *const tasks[] = { "denoise", "rawdenoise", "upscale", "mask" };
  for(size_t i = 0; i < G_N_ELEMENTS(tasks); i++)
  {
    const dt_ai_model_info_t *info = dt_ai_env_get_active_model(env, tasks[i]);
    printf("%-12s %s\n", tasks[i], info ? info->id : "no model");
  }
}

static int _check_runtime(void)
{
  const char *path = NULL, *version = dt_ai_runtime_version(&path);
  if(!version)
  {
    printf("%-12s not usable\n", "runtime");
    return dt_cli_fail(g_error_copy(dt_ai_last_error()));
  }
  printf("%-12s ONNX Runtime %s, %s\n", "runtime", version, path);
  if(dt_ai_runtime_warning()) printf("%-12s %s\n", "warning", dt_ai_runtime_warning());
  for(int i = 1; i < DT_AI_PROVIDER_COUNT; i++)
    if(dt_ai_providers[i].available)
    {
      const gboolean works = dt_ai_probe_provider(dt_ai_providers[i].value) == 1;
      printf("%-12s %s: %s\n", "provider", dt_ai_providers[i].display_name,
             works ? "works" : dt_ai_last_error()->message);
    }
  return DT_EXIT_OK;
}

static int _doctor(int argc, char **argv)
{
  int code = DT_EXIT_OK;
  if(!dt_cli_parse(&argc, &argv, NULL, "Shows versions, directories, models, providers, and what is wrong.",
                   NULL, NULL, &code))
    return code;
  const gboolean on = dt_conf_get_bool(DT_CONF_AI_ENABLED);
  printf("%-12s %s\n", "version", DT_VERSION);
  _print_dir("settings", DT_DIR_CONFIG);
  _print_dir("cache", DT_DIR_CACHE);
  char *bundled = dt_paths_bundled("models");
  printf("%-12s %s\n", "models", bundled ? bundled : "none came with the program");
  g_free(bundled);
  printf("%-12s %d cores, %.1f GiB of memory free\n", "machine", (int)g_get_num_processors(),
         (double)dt_memory_available() / 1073741824);
  if(!dt_ai_is_supported())
  {
    printf("%-12s this build has no AI support; ask your distribution's package maintainer to enable it, or "
           "use an official build\n",
           "AI");
    return DT_EXIT_OK;
  }
  printf("%-12s %s\n", "AI", on ? "switched on" : "switched off; switch it on with: darktable-ai enable");
  if(!on) return DT_EXIT_OK;
  dt_ai_environment_t *env = dt_ai_env_init(NULL);
  _print_active(env);
  for(int i = 0; i < dt_ai_env_get_problem_count(env); i++)
    printf("%-12s %s\n", "skipped", dt_ai_env_get_problem(env, i));
  dt_ai_env_destroy(env);
  return _check_runtime();
}

const dt_cli_command_t dt_cli_cmd_doctor = { "doctor", "show versions, directories and what is wrong",
                                             _doctor };
