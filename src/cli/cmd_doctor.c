/* SPDX-License-Identifier: GPL-3.0-or-later */
/* doctor: one page with everything a person needs to see why something does not work, to be pasted into a report.
 * Runs while AI is off, and then loads nothing. */
#include "ai/backend.h"
#include "ai/seg_cache.h"
#include "cli/cli.h"
#include "cli/doctor.h"
#include "common/ai_cache.h"
#include "common/conf.h"
#include "common/gpu.h"
#include "common/memory.h"
#include "common/paths.h"
#include "imageio/imageio.h"

#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>

void dt_cli_doctor_print(const char *label, const char *format, ...)
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
  dt_cli_doctor_print("version", "darktable-ai %s", DT_VERSION);
  dt_cli_doctor_print("formats", "%s", formats);
  g_free(formats);
  if(uname(&system) == 0)
    dt_cli_doctor_print("system", "%s, %s %s, %s", name ? name : "unknown", system.sysname, system.release,
                        system.machine);
  dt_cli_doctor_print("machine", "%d cores, %.1f GiB of memory free", (int)g_get_num_processors(),
                      (double)dt_memory_available() / 1073741824);
  g_free(name);
  GPtrArray *gpus = dt_gpu_list();
  for(guint i = 0; i < gpus->len; i++)
  {
    const dt_gpu_t *gpu = gpus->pdata[i];
    dt_cli_doctor_print("GPU", "%s, kernel driver %s", gpu->name, gpu->driver ? gpu->driver : "none");
  }
  if(gpus->len == 0) dt_cli_doctor_print("GPU", "none that the system lists");
  g_ptr_array_unref(gpus);
}

static void _print_dir(const char *label, dt_dir_t dir)
{
  char *path = dt_paths_get(dir);
  dt_cli_doctor_print(label, "%s%s", path, g_file_test(path, G_FILE_TEST_IS_DIR) ? "" : " (not there yet)");
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
    if(origin != DT_CONF_UNSET && origin != DT_CONF_DEFAULT)
      dt_cli_doctor_print("", "%s=%s", *key, value ? value : "");
    g_free(value);
  }
  g_strfreev(keys);
  static const char *const variables[] = {
    "DT_ORT_LIBRARY",      "DT_CUDA_DEVICE_ID",    "DT_MIGRAPHX_DEVICE_ID", "DT_DML_DEVICE_ID",
    "DT_OPENVINO_DEVICE",  "DT_WEBGPU_ADAPTER",    "LD_LIBRARY_PATH",       "CUDA_VISIBLE_DEVICES",
    "HIP_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES", "VK_ICD_FILENAMES",      "VK_DRIVER_FILES"
  };
  for(size_t i = 0; i < G_N_ELEMENTS(variables); i++)
    if(g_getenv(variables[i]))
      dt_cli_doctor_print("environment", "%s=%s", variables[i], g_getenv(variables[i]));
}

static void _print_cache(void)
{
  GPtrArray *entries = dt_ai_cache_list();
  guint64 bytes = 0;
  for(guint i = 0; i < entries->len; i++) bytes += ((dt_ai_cache_entry_t *)entries->pdata[i])->bytes;
  dt_seg_cache_facts_t masks;
  dt_seg_cache_measure(&masks);
  char *limit = dt_conf_get_string(DT_CONF_AI_CACHE_LIMIT),
       *masks_limit = dt_conf_get_string(DT_CONF_AI_MASK_CACHE_LIMIT);
  _print_dir("cache", DT_DIR_CACHE);
  dt_cli_doctor_print("", "%u entries, %.1f MiB of at most %s", entries->len, (double)bytes / 1048576, limit);
  dt_cli_doctor_print("", "%d pictures encoded for masks, %.1f MiB of at most %s", masks.pictures,
                      (double)masks.bytes / 1048576, masks_limit);
  g_free(masks_limit);
  g_free(limit);
  g_ptr_array_unref(entries);
}

/* --- the command --- */

static int _doctor(int argc, char **argv)
{
  int code = DT_EXIT_OK;
  if(!dt_cli_parse(
         &argc, &argv, NULL,
         "Shows one page to paste into a report: versions, settings, models, providers and what they lack.",
         NULL, NULL, &code))
    return code;
  _print_machine();
  _print_settings();
  _print_cache();
  return dt_cli_doctor_print_ai();
}

const dt_cli_command_t dt_cli_cmd_doctor = { "doctor", "show versions, directories and what is wrong",
                                             _doctor };
