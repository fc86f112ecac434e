/* SPDX-License-Identifier: GPL-3.0-or-later */
/* doctor: one page with everything a person needs to see why something does not work, to be pasted into a report.
 * Runs while AI is off, and then loads nothing. */
#include "ai/backend.h"
#include "cli/cli.h"
#include "common/ai_cache.h"
#include "common/conf.h"
#include "common/gpu.h"
#include "common/libraries.h"
#include "common/memory.h"
#include "common/paths.h"
#include "imageio/imageio.h"
#include "libs/runtime_search.h"

#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>

/* "label        text": the name of the person's home is nobody's business. */
static void _print(const char *label, const char *format, ...) G_GNUC_PRINTF(2, 3);
static void _print(const char *label, const char *format, ...)
{
  va_list args;
  va_start(args, format);
  GString *text = g_string_new(NULL);
  g_string_vprintf(text, format, args);
  va_end(args);
  const char *home = g_get_home_dir();
  if(home && strlen(home) > 1) g_string_replace(text, home, "~", 0);
  g_string_replace(text, "\n", "\n             ", 0);
  printf("%-12s %s\n", label, text->str);
  g_string_free(text, TRUE);
}

/* --- the machine --- */

static void _print_machine(void)
{
  struct utsname system;
  char *name = g_get_os_info(G_OS_INFO_KEY_PRETTY_NAME);
  char *formats = dt_imageio_describe_formats();
  _print("version", "darktable-ai %s", DT_VERSION);
  _print("formats", "%s", formats);
  g_free(formats);
  if(uname(&system) == 0)
    _print("system", "%s, %s %s, %s", name ? name : "unknown", system.sysname, system.release,
           system.machine);
  _print("machine", "%d cores, %.1f GiB of memory free", (int)g_get_num_processors(),
         (double)dt_memory_available() / 1073741824);
  g_free(name);
  GPtrArray *gpus = dt_gpu_list();
  for(guint i = 0; i < gpus->len; i++)
  {
    const dt_gpu_t *gpu = gpus->pdata[i];
    _print("GPU", "%s, kernel driver %s", gpu->name, gpu->driver ? gpu->driver : "none");
  }
  if(gpus->len == 0) _print("GPU", "none that the system lists");
  g_ptr_array_unref(gpus);
}

static void _print_dir(const char *label, dt_dir_t dir)
{
  char *path = dt_paths_get(dir);
  _print(label, "%s%s", path, g_file_test(path, G_FILE_TEST_IS_DIR) ? "" : " (not there yet)");
  g_free(path);
}

static void _print_settings(void)
{
  _print_dir("settings", DT_DIR_CONFIG);
  char **keys = dt_conf_list();
  for(char **key = keys; *key; key++)
  {
    const dt_conf_origin_t origin = dt_conf_get_origin(*key);
    char *value = dt_conf_get_string(*key);
    if(origin != DT_CONF_UNSET && origin != DT_CONF_DEFAULT) _print("", "%s=%s", *key, value ? value : "");
    g_free(value);
  }
  g_strfreev(keys);
  static const char *const variables[] = {
    "DT_ORT_LIBRARY",      "DT_CUDA_DEVICE_ID",    "DT_MIGRAPHX_DEVICE_ID", "DT_DML_DEVICE_ID",
    "DT_OPENVINO_DEVICE",  "DT_WEBGPU_ADAPTER",    "LD_LIBRARY_PATH",       "CUDA_VISIBLE_DEVICES",
    "HIP_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES", "VK_ICD_FILENAMES",      "VK_DRIVER_FILES"
  };
  for(size_t i = 0; i < G_N_ELEMENTS(variables); i++)
    if(g_getenv(variables[i])) _print("environment", "%s=%s", variables[i], g_getenv(variables[i]));
}

static void _print_cache(void)
{
  GPtrArray *entries = dt_ai_cache_list();
  guint64 bytes = 0;
  for(guint i = 0; i < entries->len; i++) bytes += ((dt_ai_cache_entry_t *)entries->pdata[i])->bytes;
  char *limit = dt_conf_get_string(DT_CONF_AI_CACHE_LIMIT);
  _print_dir("cache", DT_DIR_CACHE);
  _print("", "%u entries, %.1f MiB of at most %s", entries->len, (double)bytes / 1048576, limit);
  g_free(limit);
  g_ptr_array_unref(entries);
}

/* --- models --- */

static void _print_models(dt_ai_environment_t *env)
{
  static const char *const tasks[] = { "denoise", "rawdenoise", "upscale", "mask" };
  char *bundled = dt_paths_bundled("models");
  _print("models", "%s, besides those in the settings' folder",
         bundled ? bundled : "none came with the program");
  g_free(bundled);
  for(int i = 0; i < dt_ai_get_model_count(env); i++)
  {
    const dt_ai_model_info_t *info = dt_ai_get_model_info_by_index(env, i);
    _print("", "%s %s (%s) in %s", info->id, info->version ? info->version : "", info->task_type,
           info->directory);
  }
  for(size_t i = 0; i < G_N_ELEMENTS(tasks); i++)
  {
    const dt_ai_model_info_t *info = dt_ai_env_get_active_model(env, tasks[i]);
    _print(tasks[i], "%s", info ? info->id : "no model");
  }
  for(int i = 0; i < dt_ai_env_get_problem_count(env); i++)
    _print("skipped", "%s", dt_ai_env_get_problem(env, i));
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
      _print("missing", "%s, needed by %s%s%s%s%s", m->soname, m->needed_by, m->found ? "; found " : "",
             m->found ? m->found : "", m->package ? "; part of " : "", m->package ? m->package : "");
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
  for(guint i = 0; i < choice->refused->len; i++) _print("refused", "%s", (char *)choice->refused->pdata[i]);
  if(found)
  {
    char *providers = choice->info->providers ? g_strjoinv(", ", choice->info->providers) : g_strdup("");
    _print("runtime", "ONNX Runtime %s, %s (%s)", choice->info->version, choice->info->path, choice->origin);
    _print("", "lists %s", providers);
    _print_missing(choice->info->path);
    g_free(providers);
  }
  else
    _print("runtime", "not usable");
  dt_runtime_choice_free(choice);
  return found;
}

static void _print_provider(const dt_ai_provider_desc_t *row)
{
  dt_ai_provider_report_t *report = dt_ai_examine_provider(row->value, TRUE);
  if(!report) return;
  _print("provider", "%s: %s%s%s", row->display_name, report->works ? "works" : report->reason,
         report->driver ? "; driver: " : "", report->driver ? report->driver : "");
  for(guint i = 0; i < report->devices->len; i++)
  {
    const dt_ai_device_t *device = report->devices->pdata[i];
    _print("", "device %s: %s%s", device->id, device->name, device->software ? " (software)" : "");
  }
  if(report->words && *report->words) _print("", "it wrote: %s", g_strchomp(report->words));
  dt_ai_provider_report_free(report);
}

static void _print_providers(void)
{
  for(int i = DT_AI_PROVIDER_CPU; i < DT_AI_PROVIDER_COUNT; i++)
    if(dt_ai_providers[i].available) _print_provider(&dt_ai_providers[i]);
  _print("auto", "takes %s", dt_ai_provider_to_string(dt_ai_auto_provider()));
}

/* --- the command --- */

static int _print_ai(void)
{
  if(!dt_conf_get_bool(DT_CONF_AI_ENABLED))
  {
    _print("AI", "switched off; switch it on with: darktable-ai enable");
    (void)_print_runtime();
    return DT_EXIT_OK;
  }
  _print("AI", "switched on");
  dt_ai_environment_t *env = dt_ai_env_init(NULL);
  _print_models(env);
  dt_ai_env_destroy(env);
  const gboolean found = _print_runtime();
  fflush(stdout);
  if(!dt_ai_runtime_version(NULL)) return dt_cli_fail(g_error_copy(dt_ai_last_error()));
  if(found) _print_providers();
  return DT_EXIT_OK;
}

static int _doctor(int argc, char **argv)
{
  int code = DT_EXIT_OK;
  if(!dt_cli_parse(&argc, &argv, NULL,
                   "Shows one page to paste into a report: versions, settings, models, providers and what they lack.",
                   NULL, NULL, &code))
    return code;
  _print_machine();
  _print_settings();
  _print_cache();
  if(dt_ai_is_supported()) return _print_ai();
  _print("AI",
         "this build has no AI support; ask your distribution's package maintainer to enable it, or use an "
         "official build");
  return DT_EXIT_OK;
}

const dt_cli_command_t dt_cli_cmd_doctor = { "doctor", "show versions, directories and what is wrong",
                                             _doctor };
