/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Finds, loads and checks the ONNX Runtime library, once per process and not before it is needed. */
#include "ai/ort_runtime.h"
#include "ai/backend.h"
#include "common/conf.h"
#include "common/log.h"
#include "common/paths.h"

#include <dlfcn.h>
#include <gmodule.h>
#include <stdlib.h>
#include <string.h>

#if defined(_WIN32)
#define ORT_LIBRARY_NAME "onnxruntime.dll"
#elif defined(__APPLE__)
#define ORT_LIBRARY_NAME "libonnxruntime.dylib"
#else
#define ORT_LIBRARY_NAME "libonnxruntime.so.1"
#endif

/* The process-wide singletons: table of functions and environment. */
static GOnce g_ort = G_ONCE_INIT;
static OrtEnv *g_env;
static gint _loaded; /* one of LOAD_… */
enum
{
  LOAD_NOT_TRIED,
  LOAD_FAILED,
  LOAD_DONE
};
static const char *_only;  /* dt_ort_use_only() */
static GString *_failures; /* why nothing could be loaded, for every later caller */

/* The runtime puts a place in its own source before the words; those who look for it read the log. */
static char *_clean_words(const char *message)
{
  const char *mark = strstr(message, "[ONNXRuntimeError] : "),
             *words = mark ? strstr(mark + 21, " : ") : NULL;
  words = words ? strstr(words + 3, " : ") : NULL;
  static const char *const marks[] = { " was false. ", " [ERROR] " };
  if(words) return g_strstrip(g_strdup(words + 3));
  for(size_t i = 0; *message == '/' && i < G_N_ELEMENTS(marks); i++)
    if((mark = strstr(message, marks[i]))) message = mark + strlen(marks[i]);
  return g_strstrip(g_strdup(message));
}

static GPrivate _collected; /* each thread's dt_ort_collect() */

void dt_ort_collect(GString *words)
{
  g_private_set(&_collected, words);
}

void ORT_API_CALL dt_ort_forward_log(void *param, OrtLoggingLevel severity, const char *category,
                                     const char *logid, const char *location, const char *message)
{
  (void)param;
  (void)category;
  (void)logid;
  GString *words = g_private_get(&_collected);
  if(words && severity >= ORT_LOGGING_LEVEL_ERROR)
  {
    char *text = _clean_words(message);
    g_string_append_printf(words, "%s%s", words->len ? "; " : "", text);
    g_free(text);
  }
  dt_log(DT_LOG_AI, "[onnxruntime] %s%s (%s)", severity >= ORT_LOGGING_LEVEL_ERROR ? "error: " : "", message,
         location);
}

gboolean dt_ort_check(OrtStatus *status, int code, const char *doing, GError **error)
{
  if(!status) return TRUE;
  const OrtApi *api = ((dt_ort_t *)g_ort.retval)->api;
  char *words = _clean_words(api->GetErrorMessage(status));
  dt_log(DT_LOG_AI, "%s failed: %s", doing, api->GetErrorMessage(status));
  g_set_error(error, DT_AI_ERROR, code, "%s failed: %s", doing, words);
  g_free(words);
  api->ReleaseStatus(status);
  return FALSE;
}

/* Notes why a library cannot be used: at once for who reads along, and for the message at the end. */
static void _note_failure(const char *format, ...) G_GNUC_PRINTF(1, 2);
static void _note_failure(const char *format, ...)
{
  va_list args;
  va_start(args, format);
  char *why = g_strdup_vprintf(format, args);
  va_end(args);
  dt_log(DT_LOG_AI, "cannot use it: %s", why);
  g_string_append_printf(_failures, "\n  %s", why);
  g_free(why);
}

/* "1.30.0" is API version 30. Asking GetApi() for too much makes the library print on stderr, so the
 * answer is computed instead of probed for. */
static int _api_version(const char *version)
{
  const char *dot = strchr(version, '.');
  const int major = atoi(version), minor = dot ? atoi(dot + 1) : 0;
  return major > 1 ? ORT_API_VERSION : MIN(minor, ORT_API_VERSION);
}

static dt_ort_t *_use_library(const char *path, const OrtApiBase *base, const char *origin)
{
  const char *version = base->GetVersionString();
  const int api_version = _api_version(version);
  if(api_version < DT_ORT_MIN_API)
  {
    _note_failure("%s: ONNX Runtime %s is too old, 1.%d is needed", path, version, DT_ORT_MIN_API);
    return NULL;
  }
  const OrtApi *api = base->GetApi((uint32_t)api_version);
  if(!api)
  {
    _note_failure("%s: no API version %d", path, api_version);
    return NULL;
  }
  dt_ort_t *ort = g_new0(dt_ort_t, 1);
  ort->api = api;
  ort->api_version = api_version;
  ort->version = g_strdup(version);
  ort->path = g_strdup(path);
  ort->origin = g_strdup(origin);
  return ort;
}

static gboolean _create_env(dt_ort_t *ort)
{
  OrtStatus *status = ort->api->CreateEnvWithCustomLogger(dt_ort_forward_log, NULL, ORT_LOGGING_LEVEL_WARNING,
                                                          "darktable-ai", &g_env);
  if(status)
  {
    _note_failure("%s: %s", ort->path, ort->api->GetErrorMessage(status));
    ort->api->ReleaseStatus(status);
    return FALSE;
  }
  ort->env = g_env;
  /* a promise: no telemetry, whatever the runtime was built with */
  status = ort->api->DisableTelemetryEvents(g_env);
  if(status) ort->api->ReleaseStatus(status);
  return TRUE;
}

static void _free_ort(dt_ort_t *ort)
{
  if(!ort) return;
  g_free(ort->version);
  g_free(ort->path);
  g_free(ort->origin);
  g_free(ort->warning);
  g_free(ort);
}

/* A name that the loader looked up itself: providers' libraries lie beside the file it found. */
static void _note_real_path(dt_ort_t *ort, const void *symbol)
{
  Dl_info info;
  if(!dladdr(symbol, &info) || !info.dli_fname || !g_path_is_absolute(info.dli_fname)) return;
  g_free(ort->path);
  ort->path = g_strdup(info.dli_fname);
}

/* Tries one file. The module is never closed: a runtime with live threads cannot be unloaded. */
static dt_ort_t *_try_library(const char *path, const char *origin)
{
  dt_log(DT_LOG_AI, "trying ONNX Runtime %s (%s)", path, origin);
  GModule *module = g_module_open(path, G_MODULE_BIND_LAZY | G_MODULE_BIND_LOCAL);
  gpointer symbol = NULL;
  if(!module || !g_module_symbol(module, "OrtGetApiBase", &symbol))
  {
    _note_failure("%s", g_module_error());
    if(module) g_module_close(module);
    return NULL;
  }
  const OrtApiBase *(ORT_API_CALL * get_base)(void);
  memcpy(&get_base, &symbol, sizeof symbol);
  dt_ort_t *ort = _use_library(path, get_base(), origin);
  if(ort) ort->module = module;
  if(ort && !g_path_is_absolute(path)) _note_real_path(ort, symbol);
  if(ort && !_create_env(ort)) g_clear_pointer(&ort, _free_ort);
  return ort;
}

static dt_ort_t *_try_chosen(void)
{
  char *setting = dt_conf_get_string(DT_CONF_AI_ORT_LIBRARY);
  const char *variable = g_getenv("DT_ORT_LIBRARY");
  dt_ort_t *ort = NULL;
  if(setting && *setting) ort = _try_library(setting, "the setting plugins/ai/ort_library_path");
  if(!ort && variable && *variable) ort = _try_library(variable, "the variable DT_ORT_LIBRARY");
  g_free(setting);
  return ort;
}

/* installed program: bin/../lib/darktable-ai; installed library: lib/darktable-ai; build tree: both */
static const char *const _bundled_places[] = { "../lib/darktable-ai/" ORT_LIBRARY_NAME,
                                               "darktable-ai/" ORT_LIBRARY_NAME };

static dt_ort_t *_try_bundled(void)
{
  char *path = dt_ai_runtime_bundled();
  dt_ort_t *ort = path ? _try_library(path, "bundled") : NULL;
  g_free(path);
  return ort;
}

static dt_ort_t *_try_system(void)
{
  dt_ort_t *ort = _try_library(ORT_LIBRARY_NAME, "the system's");
  /* Debian's soname carries the minor version */
  static const char *const names[] = { "libonnxruntime.so.1.21", "libonnxruntime.so" };
  for(size_t i = 0; !ort && i < G_N_ELEMENTS(names); i++) ort = _try_library(names[i], "the system's");
  return ort;
}

/* A library that was asked for and cannot be used is not passed over in silence. */
static char *_describe_failures(void)
{
  if(_failures->len == 0) return NULL;
  return g_strconcat(
      "The ONNX Runtime that was asked for cannot be used, so another one runs:", _failures->str, NULL);
}

static gpointer _load_once(gpointer unused)
{
  (void)unused;
  const gint64 start = g_get_monotonic_time();
  /* From 1.29 on the Linux builds of ONNX Runtime start a telemetry client of their own, with the environment:
   * DisableTelemetryEvents() comes too late for it. This variable is read first; without it a file with an
   * identity and network connections would follow. */
  g_setenv("ORT_DISABLE_TELEMETRY", "1", TRUE);
  _failures = g_string_new(NULL);
  dt_ort_t *ort = _only ? _try_library(_only, "to be examined") : _try_chosen();
  char *warning = _describe_failures();
  if(!ort && !_only) ort = _try_bundled();
  if(!ort && !_only) ort = _try_system();
  if(!ort)
  {
    g_free(warning);
    g_atomic_int_set(&_loaded, LOAD_FAILED);
    return NULL;
  }
  ort->warning = warning;
  dt_log(DT_LOG_AI, "loaded ONNX Runtime %s from '%s' (%s), using API version %d (compiled for %d), %.0f ms",
         ort->version, ort->path, ort->origin, ort->api_version, ORT_API_VERSION,
         1e-3 * (double)(g_get_monotonic_time() - start));
  g_atomic_int_set(&_loaded, LOAD_DONE);
  return ort;
}

const dt_ort_t *dt_ort_get(GError **error)
{
  const dt_ort_t *ort = g_once(&g_ort, _load_once, NULL);
  /* what _load_once() wrote is visible here; said once more in a way that ThreadSanitizer can see */
  (void)g_atomic_int_get(&_loaded);
  if(!ort)
    g_set_error(error, DT_AI_ERROR, DT_AI_ERROR_PROVIDER,
                "ONNX Runtime could not be loaded; AI needs it. Tried:%s\nSet "
                "plugins/ai/ort_library_path to a libonnxruntime of version 1.%d or newer, or "
                "install darktable-ai again.",
                _failures->str, DT_ORT_MIN_API);
  return ort;
}

char *dt_ai_runtime_bundled(void)
{
  char *program = dt_paths_program_dir(), *path = NULL;
  for(size_t i = 0; program && i < G_N_ELEMENTS(_bundled_places) && !path; i++)
  {
    path = g_canonicalize_filename(_bundled_places[i], program);
    if(!g_file_test(path, G_FILE_TEST_EXISTS)) g_clear_pointer(&path, g_free);
  }
  g_free(program);
  return path;
}

void dt_ort_use_only(const char *path)
{
  _only = path;
}

char *dt_ort_failure(void)
{
  return g_strstrip(g_strdup(_failures ? _failures->str : ""));
}

gpointer dt_ort_symbol(const dt_ort_t *ort, const char *name)
{
  gpointer symbol = NULL;
  return g_module_symbol(ort->module, name, &symbol) ? symbol : NULL;
}

gboolean dt_ort_is_loaded(void)
{
  return g_atomic_int_get(&_loaded) == LOAD_DONE;
}
