/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What is known of a driver is a file named by everything that could change it: its first line is empty when the child
 * came back, else it says how it ended. */
#include "common/opencl_guard.h"

#include "common/child.h"
#include "common/conf.h"
#include "common/log.h"
#include "common/opencl_device.h"
#include "common/opencl_program.h"
#include "common/paths.h"

#include <glib/gstdio.h>
#include <string.h>

#define PROGRAM "darktable-ai-probe"
#define VENDORS "/etc/OpenCL/vendors"
#define ANSWER "fine\n"

/* --- what a verdict depends on --- */

static void _add_file(GString *key, const char *path)
{
  GStatBuf status;
  g_string_append_printf(key, "%s", path);
  if(g_stat(path, &status) == 0)
    g_string_append_printf(key, " %" G_GINT64_FORMAT " %" G_GINT64_FORMAT, (gint64)status.st_size,
                           (gint64)status.st_mtime);
  g_string_append_c(key, '\n');
}

/* A file below VENDORS names a driver's library: mostly without its directory, and then it lies beside the loader. */
static void _add_vendor(GString *key, const char *name, const char *beside)
{
  char *path = g_build_filename(VENDORS, name, NULL), *text = NULL;
  _add_file(key, path);
  if(g_file_get_contents(path, &text, NULL, NULL))
  {
    char *library = g_canonicalize_filename(g_strstrip(text), beside);
    _add_file(key, library);
    g_free(library);
  }
  g_free(text);
  g_free(path);
}

static int _compare_names(gconstpointer a, gconstpointer b)
{
  return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static void _add_vendors(GString *key, const char *library)
{
  GDir *dir = g_dir_open(VENDORS, 0, NULL);
  if(!dir) return;
  char *beside = g_path_get_dirname(library);
  GPtrArray *names = g_ptr_array_new_with_free_func(g_free);
  for(const char *name; (name = g_dir_read_name(dir));) g_ptr_array_add(names, g_strdup(name));
  g_ptr_array_sort(names, _compare_names);
  for(guint i = 0; i < names->len; i++) _add_vendor(key, names->pdata[i], beside);
  g_ptr_array_unref(names);
  g_free(beside);
  g_dir_close(dir);
}

/* Where the verdict on @p library is kept (transfer full). */
static char *_find_verdict(const char *library)
{
  static const char *const variables[] = { "OCL_ICD_VENDORS", "OCL_ICD_FILENAMES", "OPENCL_VENDOR_PATH",
                                           "LD_LIBRARY_PATH" };
  GString *key = g_string_new("1\n");
  _add_file(key, library);
  _add_vendors(key, library);
  for(size_t i = 0; i < G_N_ELEMENTS(variables); i++)
    g_string_append_printf(key, "%s\n", g_getenv(variables[i]) ? g_getenv(variables[i]) : "");
  char *hash = g_compute_checksum_for_string(G_CHECKSUM_SHA256, key->str, (gssize)key->len);
  char *folder = dt_opencl_program_cache(), *name = g_strconcat(hash, ".verdict", NULL);
  char *path = g_build_filename(folder, name, NULL);
  g_free(name);
  g_free(folder);
  g_free(hash);
  g_string_free(key, TRUE);
  return path;
}

/* A cache that cannot be written only costs the question next time. */
static void _keep(const char *path, const char *verdict)
{
  GError *error = NULL;
  char *folder = g_path_get_dirname(path), *line = g_strconcat(verdict, "\n", NULL);
  g_mkdir_with_parents(folder, 0700);
  if(!g_file_set_contents(path, line, -1, &error))
    dt_log(DT_LOG_OPENCL, "[opencl_init] not kept: %s", error->message);
  g_clear_error(&error);
  g_free(line);
  g_free(folder);
}

/* --- asking --- */

/* How it ended, as a clause (transfer full); empty: it came back. */
static char *_describe_end(const dt_child_t *child, int seconds)
{
  if(child->timed_out)
    return g_strdup_printf("hangs when it is asked for its devices: no answer within %d seconds", seconds);
  if(child->signal)
    return g_strdup_printf("crashes when it is asked for its devices (signal %d, %s)", child->signal,
                           g_strsignal(child->signal));
  if(strcmp(child->result, ANSWER) == 0) return g_strdup("");
  return g_strdup_printf("ends the program that asks it for its devices (exit code %d)", child->exit_code);
}

/* @return the verdict (transfer full), or NULL: nobody could ask */
static char *_ask(const char *library)
{
  dt_child_t child;
  GError *error = NULL;
  char *program = dt_paths_helper(PROGRAM);
  const dt_child_opts_t opts = { .seconds =
                                     CLAMP(dt_conf_get_int(DT_CONF_OPENCL_HANG_SECONDS, 30), 1, 3600) };
  const char *const argv[] = { program, "opencl", library, NULL };
  const gboolean ran = program && dt_child_run(argv, &opts, &child, &error);
  if(!ran)
    dt_log(DT_LOG_OPENCL, "[opencl_init] nobody tried whether the driver crashes: %s",
           error ? error->message : PROGRAM " is not there");
  char *verdict = ran ? _describe_end(&child, opts.seconds) : NULL;
  if(ran) dt_child_cleanup(&child);
  g_clear_error(&error);
  g_free(program);
  return verdict;
}

gboolean dt_opencl_guard_check(const dt_opencl_driver_t *driver, GError **error)
{
  char *path = _find_verdict(driver->path), *verdict = NULL;
  const gboolean known = g_file_get_contents(path, &verdict, NULL, NULL);
  if(known)
    g_strchomp(verdict);
  else if((verdict = _ask(driver->path)))
    _keep(path, verdict);
  const gboolean fine = !verdict || !*verdict;
  if(!fine)
    g_set_error(error, DT_AI_ERROR, DT_AI_ERROR_PROVIDER,
                "the OpenCL driver of %s %s; once it has changed it is tried again, or after: darktable-ai "
                "cache clear opencl",
                driver->path, verdict);
  if(!fine && !known)
    dt_log(DT_LOG_NOTICE, "the OpenCL driver of %s %s. OpenCL is not used.", driver->path, verdict);
  g_free(verdict);
  g_free(path);
  return fine;
}

/* --- the child --- */

const char *dt_opencl_guard_child(const char *path)
{
  dt_conf_override(DT_CONF_OPENCL_LIBRARY, path);
  dt_opencl_driver_t *driver = dt_opencl_driver_load(NULL);
  GPtrArray *devices = driver ? dt_opencl_devices_detect(driver, 1, NULL) : NULL;
  if(devices) g_ptr_array_unref(devices);
  dt_opencl_driver_destroy(driver);
  return ANSWER; /* whatever it said: it came back */
}
