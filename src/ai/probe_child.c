/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The child's side of probing: loads the library, starts the provider, writes down what happened.
 *
 *   library PATH                                                what an ONNX Runtime offers
 *   provider PATH NAME DEVICE MEMORY GRAPHS                     whether a provider starts
 *   trial PATH NAME DEVICE MEMORY GRAPHS MODEL HASH LEVEL SIDE  whether a model works on it */
#include "ai/probe_child.h"
#include "ai/backend_internal.h"
#include "ai/devices.h"
#include "ai/probe.h"
#include "common/libraries.h"
#include "common/log.h"

#include <gmodule.h>
#include <math.h>
#include <string.h>

/* y = max(x, 0) of two numbers, opset 17: the smallest session that makes a provider start its device. */
static const guint8 _relu[] = {
  0x08, 0x08, 0x3a, 0x4b, 0x0a, 0x0c, 0x0a, 0x01, 0x78, 0x12, 0x01, 0x79, 0x22, 0x04, 0x52, 0x65, 0x6c,
  0x75, 0x12, 0x01, 0x67, 0x5a, 0x1b, 0x0a, 0x01, 0x78, 0x12, 0x16, 0x0a, 0x14, 0x08, 0x01, 0x12, 0x10,
  0x0a, 0x02, 0x08, 0x01, 0x0a, 0x02, 0x08, 0x01, 0x0a, 0x02, 0x08, 0x01, 0x0a, 0x02, 0x08, 0x02, 0x62,
  0x1b, 0x0a, 0x01, 0x79, 0x12, 0x16, 0x0a, 0x14, 0x08, 0x01, 0x12, 0x10, 0x0a, 0x02, 0x08, 0x01, 0x0a,
  0x02, 0x08, 0x01, 0x0a, 0x02, 0x08, 0x01, 0x0a, 0x02, 0x08, 0x02, 0x42, 0x04, 0x0a, 0x00, 0x10, 0x11,
};

static void _set_failure(GKeyFile *answer, const char *group, const char *reason)
{
  g_key_file_set_boolean(answer, group, "works", FALSE);
  g_key_file_set_string(answer, group, "reason", reason);
}

/* The library @p path and no other: a fallback would answer for something else. */
static const dt_ort_t *_load(const char *path, GKeyFile *answer, const char *group)
{
  dt_ort_use_only(path);
  const dt_ort_t *ort = dt_ort_get(NULL);
  char *failure = dt_ort_failure();
  if(!ort) _set_failure(answer, group, failure);
  g_free(failure);
  return ort;
}

/* --- a library --- */

static void _examine_library(char **args, GKeyFile *answer)
{
  const dt_ort_t *ort = _load(args[0], answer, "library");
  char **names;
  int count;
  if(!ort) return;
  g_key_file_set_string(answer, "library", "version", ort->version);
  if(!dt_ort_check(ort->api->GetAvailableProviders(&names, &count), DT_AI_ERROR_PROVIDER, "", NULL)) return;
  GPtrArray *list = g_ptr_array_new_with_free_func(g_free);
  for(int i = 0; i < count; i++)
  {
    char *name = g_strdup(names[i]), *ending = strstr(name, "ExecutionProvider");
    if(ending) *ending = '\0';
    g_ptr_array_add(list, name);
  }
  g_key_file_set_string_list(answer, "library", "providers", (const char *const *)list->pdata, list->len);
  g_key_file_set_boolean(answer, "library", "works", TRUE);
  g_ptr_array_unref(list);
  OrtStatus *status = ort->api->ReleaseAvailableProviders(names, count);
  if(status) ort->api->ReleaseStatus(status);
}

/* --- a provider --- */

static void _write_device(GKeyFile *answer, guint i, const dt_ai_device_t *device)
{
  char group[24];
  g_snprintf(group, sizeof group, "device %u", i);
  g_key_file_set_string(answer, group, "id", device->id);
  g_key_file_set_string(answer, group, "name", device->name);
  g_key_file_set_boolean(answer, group, "software", device->software);
  g_key_file_set_uint64(answer, group, "memory", device->memory);
  if(device->pci) g_key_file_set_string(answer, group, "pci", device->pci);
}

static char *_folder(const dt_ort_t *ort)
{
  return g_path_get_dirname(ort->path);
}

/* Appends to @p trouble what the driver says when it lists nothing. */
static void _write_devices(const dt_ort_t *ort, const dt_ai_target_t *target, GKeyFile *answer,
                           GString *trouble)
{
  char *folder = _folder(ort), *driver = NULL;
  GError *error = NULL;
  GPtrArray *devices = dt_ai_devices_list(target->provider, folder, &driver, &error);
  for(guint i = 0; devices && i < devices->len; i++) _write_device(answer, i, devices->pdata[i]);
  if(driver) g_key_file_set_string(answer, "provider", "driver", driver);
  if(error)
    g_string_append_printf(trouble, "; %.*s",
                           (int)strlen(error->message) - g_str_has_suffix(error->message, "."),
                           error->message);
  g_clear_error(&error);
  if(devices) g_ptr_array_unref(devices);
  g_free(driver);
  g_free(folder);
}

/* Says of each library the provider's own one needs and the loader would not find, who has it. */
static void _append_missing(const char *path, GString *words)
{
  GPtrArray *missing = dt_library_missing(path, NULL);
  for(guint i = 0; missing && i < missing->len; i++)
  {
    const dt_library_missing_t *m = missing->pdata[i];
    g_string_append_printf(words, "; %s wants %s", m->needed_by, m->soname);
    if(m->found) g_string_append_printf(words, ", found %s", m->found);
    if(m->package) g_string_append_printf(words, ": part of %s", m->package);
  }
  if(missing) g_ptr_array_unref(missing);
}

/* The loader's own words about the provider's library, and what that lacks. */
static char *_explain(const dt_ort_t *ort, dt_ai_provider_t provider, const char *reason)
{
  const char *name = dt_ai_provider_library(ort, provider);
  GString *words = g_string_new(reason);
  char *folder = _folder(ort), *path = name ? g_build_filename(folder, name, NULL) : NULL;
  if(path && !g_file_test(path, G_FILE_TEST_EXISTS))
    g_string_append_printf(words, "; %s is not there", path);
  else if(path)
  {
    char *shared = g_build_filename(folder, "libonnxruntime_providers_shared.so", NULL);
    g_module_open(shared, G_MODULE_BIND_LAZY);
    GModule *module = g_module_open(path, G_MODULE_BIND_LAZY | G_MODULE_BIND_LOCAL);
    if(!module && !strstr(words->str, g_module_error()))
      g_string_append_printf(words, "; %s", g_module_error());
    _append_missing(path, words);
    g_free(shared);
  }
  g_free(path);
  g_free(folder);
  return g_string_free(words, FALSE);
}

/* A device that was asked for and is not there is named, with those that are. */
static gboolean _has_device(GKeyFile *answer, const dt_ai_target_t *target, GString *there)
{
  const gboolean numbered =
      target->provider == DT_AI_PROVIDER_CUDA || target->provider == DT_AI_PROVIDER_MIGRAPHX;
  char group[24] = "device 0";
  gboolean found = !numbered || !g_key_file_has_group(answer, group);
  for(int i = 0; !found && g_key_file_has_group(answer, group);
      g_snprintf(group, sizeof group, "device %d", ++i))
  {
    char *id = g_key_file_get_string(answer, group, "id", NULL);
    char *name = g_key_file_get_string(answer, group, "name", NULL);
    found = g_strcmp0(id, target->device) == 0;
    g_string_append_printf(there, "%s%s (%s)", there->len ? ", " : "", id, name);
    g_free(name);
    g_free(id);
  }
  return found;
}

/* A session of one operator: attaching alone only notes the options, with some providers. */
static gboolean _start(const dt_ort_t *ort, const dt_ai_target_t *target, GError **error)
{
  float x[2] = { -1, 2 }, y[2] = { 9, 9 };
  int64_t in_shape[] = { 1, 1, 1, 2 }, out_shape[] = { 1, 1, 1, 2 };
  dt_ai_tensor_t in = { x, DT_AI_FLOAT, in_shape, 4 }, out = { y, DT_AI_FLOAT, out_shape, 4 };
  const dt_ai_session_opts_t opts = { .threads = 1 };
  dt_ai_context_t *ctx = dt_ai_session_open(ort, target, "", _relu, sizeof _relu, &opts, error);
  gboolean ok = ctx && dt_ai_run_cancellable(ctx, &in, 1, &out, 1, NULL, error);
  if(ok && !(fabsf(y[0]) < 1e-2f && fabsf(y[1] - 2) < 1e-2f)) /* wrong, or no number */
  {
    g_set_error(error, DT_AI_ERROR, DT_AI_ERROR_PROVIDER, "it computes max(-1, 0) = %g and max(2, 0) = %g",
                y[0], y[1]);
    ok = FALSE;
  }
  dt_ai_unload_model(ctx);
  return ok;
}

static void _examine_provider(const dt_ort_t *ort, const dt_ai_target_t *target, GKeyFile *answer)
{
  GError *error = NULL;
  GString *there = g_string_new(NULL), *trouble = g_string_new(NULL);
  _write_devices(ort, target, answer, trouble);
  if(!_has_device(answer, target, there))
  {
    g_set_error(&error, DT_AI_ERROR, DT_AI_ERROR_PROVIDER, "there is no device %s, only %s; choose with %s",
                target->device, there->str, dt_ai_provider_device_key(target->provider));
    _set_failure(answer, "provider", error->message);
  }
  else if(_start(ort, target, &error))
    g_key_file_set_boolean(answer, "provider", "works", TRUE);
  else
  {
    g_string_prepend(trouble, error->message);
    char *reason = _explain(ort, target->provider, trouble->str);
    _set_failure(answer, "provider", reason);
    g_free(reason);
  }
  g_string_free(there, TRUE);
  g_string_free(trouble, TRUE);
  g_clear_error(&error);
}

/* --- the questions --- */

static void _collect_line(unsigned topics, const char *line, void *data)
{
  (void)topics;
  g_string_append_printf(data, "%s\n", line);
}

/* NAME DEVICE MEMORY GRAPHS */
static dt_ai_target_t _read_target(char **args)
{
  return (dt_ai_target_t){ .provider = dt_ai_provider_from_string(args[0]),
                           .device = args[1],
                           .memory = g_ascii_strtoull(args[2], NULL, 10),
                           .graphs = *args[3] ? args[3] : NULL };
}

static void _answer_provider(char **args, GKeyFile *answer)
{
  const dt_ort_t *ort = _load(args[0], answer, "provider");
  const dt_ai_target_t target = _read_target(args + 1);
  if(ort) _examine_provider(ort, &target, answer);
}

static void _answer_trial(char **args, GKeyFile *answer)
{
  const dt_ort_t *ort = _load(args[0], answer, "trial");
  const dt_ai_target_t target = _read_target(args + 1);
  const dt_ai_trial_t trial = { .path = args[5],
                                .hash = args[6],
                                .opt_level = (dt_ai_opt_level_t)g_ascii_strtoll(args[7], NULL, 10),
                                .side = (int)g_ascii_strtoll(args[8], NULL, 10) };
  if(ort) dt_ai_trial_run(ort, &target, &trial, answer);
}

char *dt_ai_probe_child(int argc, char **argv)
{
  static const struct
  {
    const char *name;
    int n_args;
    void (*answer)(char **args, GKeyFile *answer);
  } questions[] = { { "library", 1, _examine_library },
                    { "provider", 5, _answer_provider },
                    { "trial", 9, _answer_trial } };
  GString *log = g_string_new(NULL);
  GKeyFile *answer = g_key_file_new();
  dt_log_set_handler(_collect_line, log, DT_LOG_AI);
  for(size_t i = 0; i < G_N_ELEMENTS(questions); i++)
    if(argc == questions[i].n_args + 1 && strcmp(argv[0], questions[i].name) == 0)
    {
      questions[i].answer(argv + 1, answer);
      g_key_file_set_string(answer, questions[i].name, "log", log->str);
    }
  dt_log_set_handler(NULL, NULL, 0);
  char *text = g_key_file_to_data(answer, NULL, NULL);
  g_key_file_unref(answer);
  g_string_free(log, TRUE);
  return text;
}
