/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The parent's side of probing: asks the cache, else a child, and understands every way in which one ends. */
#include "ai/probe.h"
#include "ai/backend_internal.h"
#include "common/ai_cache.h"
#include "common/child.h"
#include "common/conf.h"
#include "common/log.h"
#include "common/paths.h"

#include <glib/gstdio.h>
#include <pthread.h>
#include <string.h>

#define PROGRAM "darktable-ai-probe"
#define LIBRARY_SECONDS 20
/* work that takes longer than this is announced */
#define ANNOUNCE_SECONDS 2

/* --- asking a child --- */

static void _log_lines(const char *text)
{
  char **lines = g_strsplit(text, "\n", -1);
  for(char **line = lines; *line; line++)
    if(**line) dt_log(DT_LOG_AI, "[probe] %s", *line);
  g_strfreev(lines);
}

/* Why there is no answer, as a clause. */
static char *_describe_end(const dt_child_t *child, int seconds)
{
  if(child->timed_out) return g_strdup_printf("it hangs: no answer within %d seconds", seconds);
  if(child->signal)
    return g_strdup_printf("it crashes (signal %d, %s)", child->signal, g_strsignal(child->signal));
  return g_strdup_printf("the probing program ended with exit code %d", child->exit_code);
}

/* Runs the program with @p args and returns its answer; one is made up, with the reason in @p group, when there is
 * none. NULL with @p error when cancelled, or when the program cannot be run. */
static GKeyFile *_ask(const char *const *args, const char *group, const dt_child_opts_t *opts, GError **error)
{
  dt_child_t child;
  char *program = dt_paths_helper(PROGRAM);
  if(!program)
  {
    g_set_error(error, DT_AI_ERROR, DT_AI_ERROR_FAILED, "The program %s is not there", PROGRAM);
    return NULL;
  }
  GPtrArray *argv = g_ptr_array_new();
  g_ptr_array_add(argv, program);
  for(; *args; args++) g_ptr_array_add(argv, (gpointer)*args);
  g_ptr_array_add(argv, NULL);
  const gboolean ran = dt_child_run((const char *const *)argv->pdata, opts, &child, error);
  g_ptr_array_unref(argv);
  g_free(program);
  if(!ran) return NULL;
  GKeyFile *answer = g_key_file_new();
  if(child.exit_code != 0
     || !g_key_file_load_from_data(answer, child.result, (gsize)-1, G_KEY_FILE_NONE, NULL)
     || !g_key_file_has_group(answer, group))
  {
    char *reason = _describe_end(&child, opts->seconds);
    g_key_file_set_boolean(answer, group, "works", FALSE);
    g_key_file_set_string(answer, group, "reason", reason);
    g_free(reason);
  }
  if(*child.words) g_key_file_set_string(answer, group, "words", child.words);
  dt_child_cleanup(&child);
  return answer;
}

/* --- the cache of answers --- */

static GKeyFile *_load(const char *path, const char *group)
{
  GKeyFile *answer = g_key_file_new();
  if(g_key_file_load_from_file(answer, path, G_KEY_FILE_NONE, NULL)
     && g_key_file_has_key(answer, group, "works", NULL))
    return answer;
  g_key_file_unref(answer);
  return NULL;
}

/* A cache that cannot be written only costs the question next time. */
static void _save(const char *path, GKeyFile *answer)
{
  char *dir = g_path_get_dirname(path);
  GError *error = NULL;
  g_mkdir_with_parents(dir, 0700);
  if(!g_key_file_save_to_file(answer, path, &error)) dt_log(DT_LOG_AI, "not kept: %s", error->message);
  g_clear_error(&error);
  g_free(dir);
}

/* What both kinds of questions say of the target. */
static void _add_target(GPtrArray *args, const dt_ort_t *ort, const dt_ai_target_t *target, char *memory)
{
  g_ptr_array_add(args, ort->path);
  g_ptr_array_add(args, (gpointer)dt_ai_providers[target->provider].config_string);
  g_ptr_array_add(args, target->device);
  g_ptr_array_add(args, memory);
  g_ptr_array_add(args, target->graphs ? target->graphs : (gpointer) "");
}

/* --- providers --- */

static void _free_device(gpointer data)
{
  dt_ai_device_t *device = data;
  g_free(device->id);
  g_free(device->name);
  g_free(device->pci);
  g_free(device);
}

void dt_ai_provider_report_free(dt_ai_provider_report_t *report)
{
  if(!report) return;
  g_free(report->reason);
  g_free(report->device);
  g_free(report->pci);
  g_free(report->driver);
  g_free(report->words);
  g_ptr_array_unref(report->devices);
  g_free(report);
}

static dt_ai_provider_report_t *_new_report(gboolean works, const char *reason)
{
  dt_ai_provider_report_t *report = g_new0(dt_ai_provider_report_t, 1);
  report->works = works;
  report->reason = works ? NULL : g_strdup(reason);
  report->devices = g_ptr_array_new_with_free_func(_free_device);
  return report;
}

static void _read_devices(GKeyFile *answer, dt_ai_provider_report_t *report)
{
  for(int i = 0;; i++)
  {
    char group[24];
    g_snprintf(group, sizeof group, "device %d", i);
    if(!g_key_file_has_group(answer, group)) return;
    dt_ai_device_t *device = g_new0(dt_ai_device_t, 1);
    device->id = g_key_file_get_string(answer, group, "id", NULL);
    device->name = g_key_file_get_string(answer, group, "name", NULL);
    device->software = g_key_file_get_boolean(answer, group, "software", NULL);
    device->memory = g_key_file_get_uint64(answer, group, "memory", NULL);
    device->pci = g_key_file_get_string(answer, group, "pci", NULL);
    g_ptr_array_add(report->devices, device);
  }
}

const dt_ai_device_t *dt_ai_report_device(const dt_ai_provider_report_t *report, const dt_ai_target_t *target)
{
  const dt_ai_device_t *best = NULL;
  for(guint i = 0; i < report->devices->len; i++)
  {
    const dt_ai_device_t *device = report->devices->pdata[i];
    if(g_strcmp0(device->id, target->device) == 0) return device;
    /* WebGPU chooses by itself and leaves the processor for last; "GPU" is OpenVINO's first "GPU.0" */
    const gboolean candidate = target->provider == DT_AI_PROVIDER_WEBGPU
                               || (target->provider == DT_AI_PROVIDER_OPENVINO && *target->device
                                   && g_str_has_prefix(device->id, target->device));
    if(candidate && (!best || (best->software && !device->software))) best = device;
  }
  return best;
}

gboolean dt_ai_report_is_pretended(const dt_ai_provider_report_t *report, const dt_ai_target_t *target)
{
  const dt_ai_device_t *device = dt_ai_report_device(report, target);
  return target->provider == DT_AI_PROVIDER_WEBGPU && (!device || device->software);
}

/* WebGPU does not say which of several graphics processors it has chosen. */
static gboolean _is_certain(const dt_ai_provider_report_t *report, const dt_ai_target_t *target)
{
  int hardware = 0;
  for(guint i = 0; i < report->devices->len; i++)
    hardware += !((const dt_ai_device_t *)report->devices->pdata[i])->software;
  return target->provider != DT_AI_PROVIDER_WEBGPU || hardware == 1;
}

static dt_ai_provider_report_t *_read_report(GKeyFile *answer, const dt_ai_target_t *target)
{
  char *reason = g_key_file_get_string(answer, "provider", "reason", NULL);
  dt_ai_provider_report_t *report =
      _new_report(g_key_file_get_boolean(answer, "provider", "works", NULL), reason);
  report->driver = g_key_file_get_string(answer, "provider", "driver", NULL);
  report->words = g_key_file_get_string(answer, "provider", "words", NULL);
  _read_devices(answer, report);
  const dt_ai_device_t *device = dt_ai_report_device(report, target);
  report->device = device ? g_strdup(device->name) : NULL;
  report->pci = device && _is_certain(report, target) ? g_strdup(device->pci) : NULL;
  g_free(reason);
  return report;
}

static GKeyFile *_ask_provider(const dt_ort_t *ort, const dt_ai_target_t *target, GCancellable *cancellable,
                               GError **error)
{
  char memory[24];
  g_snprintf(memory, sizeof memory, "%" G_GUINT64_FORMAT, target->memory);
  GPtrArray *args = g_ptr_array_new();
  g_ptr_array_add(args, (gpointer) "provider");
  _add_target(args, ort, target, memory);
  g_ptr_array_add(args, NULL);
  const dt_child_opts_t opts = { .seconds =
                                     (int)CLAMP(dt_conf_get_int(DT_CONF_AI_PROBE_SECONDS, 60), 1, 3600),
                                 .cancellable = cancellable };
  GKeyFile *answer = _ask((const char *const *)args->pdata, "provider", &opts, error);
  g_ptr_array_unref(args);
  return answer;
}

static void _log_answer(GKeyFile *answer)
{
  if(!dt_log_enabled(DT_LOG_AI)) return;
  static const char *const keys[] = { "log", "words" };
  for(size_t i = 0; i < G_N_ELEMENTS(keys); i++)
  {
    char *text = g_key_file_get_string(answer, "provider", keys[i], NULL);
    if(text) _log_lines(text);
    g_free(text);
  }
}

/* One question at a time in this process: who asks the same meanwhile finds the answer in the cache. */
static pthread_mutex_t _asking = PTHREAD_MUTEX_INITIALIZER;

static gboolean _begin_asking(GCancellable *cancellable, GError **error)
{
  while(pthread_mutex_trylock(&_asking) != 0)
  {
    if(cancellable && g_cancellable_is_cancelled(cancellable))
    {
      g_set_error_literal(error, DT_AI_ERROR, DT_AI_ERROR_CANCELLED, "Cancelled.");
      return FALSE;
    }
    g_usleep(10000);
  }
  return TRUE;
}

/* The file is named by what was asked: the same folder serves every limit of memory. */
static GKeyFile *_get_provider(const dt_ort_t *ort, dt_ai_target_t *target, gboolean again,
                               GCancellable *cancellable, GError **error)
{
  if(!_begin_asking(cancellable, error)) return NULL;
  char *path = g_build_filename(target->cache, "provider.ini", NULL);
  GKeyFile *answer = again ? NULL : _load(path, "provider");
  if(!answer)
  {
    dt_ai_target_set_graphs(target, "probe");
    answer = _ask_provider(ort, target, cancellable, error);
    if(answer) _save(path, answer);
  }
  pthread_mutex_unlock(&_asking);
  g_free(path);
  return answer;
}

/* Without the program the provider is attached here, as it would be for a session: better than no answer. */
static dt_ai_provider_report_t *_attach_here(const dt_ort_t *ort, const dt_ai_target_t *target)
{
  OrtSessionOptions *options = NULL;
  GError *error = NULL;
  const gboolean ok = dt_ort_check(ort->api->CreateSessionOptions(&options), DT_AI_ERROR_PROVIDER,
                                   "Preparing the probe", &error)
                      && dt_ai_target_attach(ort, target, options, &error);
  if(options) ort->api->ReleaseSessionOptions(options);
  dt_ai_provider_report_t *report = _new_report(ok, ok ? NULL : error->message);
  g_clear_error(&error);
  return report;
}

/* The child's report; NULL with DT_AI_ERROR_CANCELLED. */
static dt_ai_provider_report_t *_probe_there(const dt_ort_t *ort, const dt_ai_target_t *target,
                                             gboolean again, GCancellable *cancellable, GError **error)
{
  GError *cause = NULL;
  dt_ai_provider_report_t *report = NULL;
  dt_ai_target_t copy = *target;
  copy.graphs = NULL;
  GKeyFile *answer = _get_provider(ort, &copy, again, cancellable, &cause);
  g_free(copy.graphs);
  if(answer)
  {
    _log_answer(answer);
    report = _read_report(answer, target);
    g_key_file_unref(answer);
    return report;
  }
  if(g_error_matches(cause, DT_AI_ERROR, DT_AI_ERROR_CANCELLED))
  {
    g_propagate_error(error, cause);
    return NULL;
  }
  dt_log(DT_LOG_AI, "%s; %s is tried in this process", cause->message,
         dt_ai_providers[target->provider].display_name);
  g_error_free(cause);
  return _attach_here(ort, target);
}

dt_ai_provider_report_t *dt_ai_probe(const dt_ort_t *ort, const dt_ai_target_t *target, gboolean again,
                                     GCancellable *cancellable, GError **error)
{
  const dt_ai_provider_t provider = target->provider;
  char *absence = provider == DT_AI_PROVIDER_CPU ? NULL : dt_ai_provider_absence(ort, provider);
  dt_ai_provider_report_t *report;
  if(provider == DT_AI_PROVIDER_CPU || absence)
    report = _new_report(!absence, absence);
  else
    report = _probe_there(ort, target, again, cancellable, error);
  g_free(absence);
  if(report)
    dt_log(DT_LOG_AI, "probe: %s: %s", dt_ai_providers[provider].display_name,
           report->works ? "available" : report->reason);
  return report;
}

dt_ai_provider_report_t *dt_ai_examine_provider(dt_ai_provider_t provider, gboolean again)
{
  GError *error = NULL;
  dt_ai_provider_report_t *report = NULL;
  if((int)provider < 0 || provider >= DT_AI_PROVIDER_COUNT)
  {
    dt_ai_take_last_error(g_error_new(DT_AI_ERROR, DT_AI_ERROR_PROVIDER,
                                      "There is no execution provider number %d.", (int)provider));
    return NULL;
  }
  if(provider == DT_AI_PROVIDER_AUTO) provider = DT_AI_PROVIDER_CPU; /* which is what auto has in any case */
  const dt_ort_t *ort = dt_ort_get(&error);
  if(ort)
  {
    dt_ai_target_t target;
    dt_ai_target_init(&target, ort, provider);
    report = dt_ai_probe(ort, &target, again, NULL, &error);
    dt_ai_target_cleanup(&target);
  }
  if(!report) dt_ai_take_last_error(error);
  return report;
}

dt_ai_provider_t dt_ai_auto_provider(void)
{
  const dt_ort_t *ort = dt_ort_get(NULL);
  for(const dt_ai_provider_t *p = dt_ai_provider_auto_order(); ort && *p != DT_AI_PROVIDER_AUTO; p++)
  {
    dt_ai_target_t target;
    dt_ai_target_init(&target, ort, *p);
    dt_ai_provider_report_t *report = dt_ai_probe(ort, &target, FALSE, NULL, NULL);
    const gboolean fits = report && report->works && !dt_ai_report_is_pretended(report, &target);
    dt_ai_provider_report_free(report);
    dt_ai_target_cleanup(&target);
    if(fits) return *p;
  }
  return DT_AI_PROVIDER_CPU;
}

int dt_ai_probe_provider(dt_ai_provider_t provider)
{
  dt_ai_provider_report_t *report = dt_ai_examine_provider(provider, FALSE);
  const gboolean works = report && report->works;
  if(report && !works)
    dt_ai_take_last_error(g_error_new(DT_AI_ERROR, DT_AI_ERROR_PROVIDER,
                                      "The execution provider %s is not available: %s. Use auto or CPU.",
                                      dt_ai_provider_to_string(provider), report->reason));
  dt_ai_provider_report_free(report);
  return works ? 1 : 0;
}

/* --- models --- */

/* What the person who waits is told, and when next. */
typedef struct _waiting_t
{
  const char *path;
  const char *provider;
  double next;
} _waiting_t;

static void _announce(double seconds, void *data)
{
  _waiting_t *w = data;
  if(seconds < w->next) return;
  if(w->next <= ANNOUNCE_SECONDS)
  {
    char *folder = g_path_get_dirname(w->path), *model = g_path_get_basename(folder);
    dt_log(DT_LOG_NOTICE,
           "Preparing %s for %s: the first time with this driver this can take minutes. It can be cancelled.",
           model, w->provider);
    g_free(model);
    g_free(folder);
  }
  else
    dt_log(DT_LOG_NOTICE, "Still preparing (%.0f s)", seconds);
  w->next = MIN(2 * MAX(w->next, 5), w->next + 60);
}

static GKeyFile *_ask_trial(const dt_ort_t *ort, const dt_ai_target_t *target, const dt_ai_trial_t *trial,
                            GError **error)
{
  char memory[24], level[12], side[12];
  g_snprintf(memory, sizeof memory, "%" G_GUINT64_FORMAT, target->memory);
  g_snprintf(level, sizeof level, "%d", (int)trial->opt_level);
  g_snprintf(side, sizeof side, "%d", trial->side);
  _waiting_t waiting = { trial->path, dt_ai_provider_to_string(target->provider), ANNOUNCE_SECONDS };
  GPtrArray *args = g_ptr_array_new();
  g_ptr_array_add(args, (gpointer) "trial");
  _add_target(args, ort, target, memory);
  const char *more[] = { trial->path, trial->hash, level, side, NULL };
  for(size_t i = 0; i < G_N_ELEMENTS(more); i++) g_ptr_array_add(args, (gpointer)more[i]);
  /* graphs are compiled for as long as it takes; who waits can end it */
  const dt_child_opts_t opts = { .cancellable = trial->cancellable,
                                 .tick = _announce,
                                 .tick_data = &waiting };
  GKeyFile *answer = _ask((const char *const *)args->pdata, "trial", &opts, error);
  g_ptr_array_unref(args);
  if(answer && waiting.next > ANNOUNCE_SECONDS) dt_log(DT_LOG_NOTICE, "Prepared.");
  return answer;
}

static gboolean _judge(GKeyFile *answer, GError **error)
{
  if(g_key_file_get_boolean(answer, "trial", "works", NULL)) return TRUE;
  char *reason = g_key_file_get_string(answer, "trial", "reason", NULL);
  g_set_error(error, DT_AI_ERROR, DT_AI_ERROR_PROVIDER,
              "%s (remembered; to try again: darktable-ai cache clear)", reason ? reason : "it fails");
  g_free(reason);
  return FALSE;
}

/* @p when says whether the verdict is a new one. */
static void _log_trial(GKeyFile *answer, const dt_ai_target_t *target, const char *when)
{
  char *model = g_key_file_get_string(answer, "trial", "model", NULL);
  char *reason = g_key_file_get_string(answer, "trial", "reason", NULL);
  dt_log(DT_LOG_AI, "trial: %s on %s, %s: %s, at most %.2g of the range away from the CPU, %.1f s",
         model ? model : "?", dt_ai_provider_to_string(target->provider), when, reason ? reason : "works",
         g_key_file_get_double(answer, "trial", "deviation", NULL),
         g_key_file_get_double(answer, "trial", "seconds", NULL));
  g_free(reason);
  g_free(model);
}

/* @p keep: the folder in use. */
static void _bound_cache(const char *keep)
{
  char *setting = dt_conf_get_string(DT_CONF_AI_CACHE_LIMIT);
  const guint64 limit = setting ? dt_conf_parse_size(setting) : 0;
  if(limit) dt_ai_cache_trim(limit, keep);
  g_free(setting);
}

static char *_trial_path(const dt_ai_target_t *target, const dt_ai_trial_t *trial)
{
  return g_strdup_printf("%s/%.16s/trial-o%d-s%d.ini", target->cache, trial->hash, (int)trial->opt_level,
                         trial->side);
}

/* The verdict, from the cache or found out now. NULL: cancelled, or there is nobody to ask. */
static GKeyFile *_get_trial(const dt_ort_t *ort, const dt_ai_target_t *target, const dt_ai_trial_t *trial,
                            GError **error)
{
  char *path = _trial_path(target, trial);
  GKeyFile *answer = _load(path, "trial");
  if(answer) _log_trial(answer, target, "remembered");
  if(!answer && (answer = _ask_trial(ort, target, trial, error)))
  {
    char *folder = g_path_get_dirname(trial->path), *model = g_path_get_basename(folder);
    g_key_file_set_string(answer, "trial", "model", model);
    _log_trial(answer, target, "just now");
    if(!g_key_file_get_boolean(answer, "trial", "passing", NULL)) _save(path, answer);
    _bound_cache(target->graphs);
    g_free(model);
    g_free(folder);
  }
  g_free(path);
  return answer;
}

gboolean dt_ai_trial(const dt_ort_t *ort, const dt_ai_target_t *target, const dt_ai_trial_t *trial,
                     GError **error)
{
  GError *cause = NULL;
  if(!_begin_asking(trial->cancellable, error)) return FALSE;
  GKeyFile *answer = _get_trial(ort, target, trial, &cause);
  dt_ai_cache_touch(target->graphs);
  pthread_mutex_unlock(&_asking);
  gboolean ok = TRUE;
  if(answer)
    ok = _judge(answer, error);
  else if((ok = !g_error_matches(cause, DT_AI_ERROR, DT_AI_ERROR_CANCELLED)))
    dt_log(DT_LOG_AI, "%s: the model is not tried before it is used", cause->message);
  else
    g_propagate_error(error, g_steal_pointer(&cause));
  g_clear_error(&cause);
  if(answer) g_key_file_unref(answer);
  return ok;
}

/* --- libraries --- */

dt_ai_runtime_info_t *dt_ai_runtime_check(const char *path, GCancellable *cancellable)
{
  const char *const args[] = { "library", path, NULL };
  const dt_child_opts_t opts = { .seconds = LIBRARY_SECONDS, .cancellable = cancellable };
  dt_ai_runtime_info_t *info = g_new0(dt_ai_runtime_info_t, 1);
  GError *error = NULL;
  info->path = g_strdup(path);
  GKeyFile *answer = _ask(args, "library", &opts, &error);
  if(!answer)
  {
    info->reason = g_strdup(error->message);
    g_error_free(error);
    return info;
  }
  info->version = g_key_file_get_string(answer, "library", "version", NULL);
  info->providers = g_key_file_get_string_list(answer, "library", "providers", NULL, NULL);
  info->reason = g_key_file_get_string(answer, "library", "reason", NULL);
  g_key_file_unref(answer);
  return info;
}

void dt_ai_runtime_info_free(dt_ai_runtime_info_t *info)
{
  if(!info) return;
  g_free(info->path);
  g_free(info->version);
  g_strfreev(info->providers);
  g_free(info->reason);
  g_free(info);
}
