/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A stand-in for ONNX Runtime that does what a script says, so that every execution provider can be tested without
 * its hardware. Here are its
 * entrance, statuses, environment and memory; README.md is the manual. */
#include "fake.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

FAKE_EXPORT extern int fake_ort_requests[8], fake_ort_header_version;
FAKE_EXPORT const OrtApiBase *ORT_API_CALL OrtGetApiBase(void);

int fake_ort_requests[8]; /* what GetApi() was asked for, in order */
int fake_ort_header_version = ORT_API_VERSION;
static gint _n_requests;
static char _version[64];

/* --- statuses --- */

struct OrtStatus
{
  OrtErrorCode code;
  char *message;
};

OrtStatus *fake_status(OrtErrorCode code, const char *format, ...)
{
  OrtStatus *status = g_new(OrtStatus, 1);
  va_list args;
  va_start(args, format);
  status->code = code;
  status->message = g_strdup_vprintf(format, args);
  va_end(args);
  return status;
}

static OrtStatus *ORT_API_CALL _create_status(OrtErrorCode code, const char *message)
{
  return fake_status(code, "%s", message);
}

static OrtErrorCode ORT_API_CALL _get_code(const OrtStatus *status)
{
  return status->code;
}

static const char *ORT_API_CALL _get_message(const OrtStatus *status)
{
  return status->message;
}

static void ORT_API_CALL _release_status(OrtStatus *status)
{
  if(!status) return;
  g_free(status->message);
  g_free(status);
}

/* --- the environment --- */

/* One per process, counted, as the real one; whoever comes first decides where the log goes. */
struct OrtEnv
{
  int references;
  gboolean has_allocator;
  fake_logger_t logger;
};
static OrtEnv _env;
static pthread_mutex_t _lock = PTHREAD_MUTEX_INITIALIZER;

fake_logger_t fake_env_logger(void)
{
  pthread_mutex_lock(&_lock);
  const fake_logger_t logger = _env.logger;
  pthread_mutex_unlock(&_lock);
  return logger;
}

void fake_log(const fake_logger_t *logger, OrtLoggingLevel level, const char *location, const char *format,
              ...)
{
  if(!logger->write || level < logger->least) return;
  va_list args;
  va_start(args, format);
  char *message = g_strdup_vprintf(format, args);
  va_end(args);
  logger->write(logger->param, level, "onnxruntime", logger->id, location, message);
  g_free(message);
}

static OrtStatus *ORT_API_CALL _create_env_with_logger(OrtLoggingFunction write, void *param,
                                                       OrtLoggingLevel least, const char *id, OrtEnv **out)
{
  fake_runtime_t runtime;
  fake_runtime_init(&runtime);
  OrtStatus *status = fake_do(runtime.env, runtime.env_message);
  fake_runtime_cleanup(&runtime);
  if(status) return status;
  pthread_mutex_lock(&_lock);
  if(_env.references++ == 0)
  {
    _env.logger = (fake_logger_t){ .write = write, .param = param, .least = least };
    g_strlcpy(_env.logger.id, id, sizeof _env.logger.id);
  }
  pthread_mutex_unlock(&_lock);
  *out = &_env;
  return NULL;
}

static OrtStatus *ORT_API_CALL _create_env(OrtLoggingLevel least, const char *id, OrtEnv **out)
{
  return _create_env_with_logger(NULL, NULL, least, id, out);
}

static void ORT_API_CALL _release_env(OrtEnv *env)
{
  if(!env) return;
  pthread_mutex_lock(&_lock);
  if(--env->references == 0) *env = (OrtEnv){ 0 };
  pthread_mutex_unlock(&_lock);
}

static OrtStatus *ORT_API_CALL _disable_telemetry(const OrtEnv *env)
{
  (void)env;
  return NULL;
}

/* --- the list of providers --- */

static OrtStatus *ORT_API_CALL _list_providers(char ***names, int *n)
{
  fake_runtime_t runtime;
  fake_runtime_init(&runtime);
  *names = g_strsplit(runtime.providers, ";", -1);
  *n = (int)g_strv_length(*names);
  fake_runtime_cleanup(&runtime);
  return NULL;
}

static OrtStatus *ORT_API_CALL _release_providers(char **names, int n)
{
  (void)n;
  g_strfreev(names);
  return NULL;
}

/* --- memory --- */

struct OrtMemoryInfo
{
  char *name;
};

static OrtStatus *ORT_API_CALL _create_memory_info(const char *name, OrtAllocatorType type, int id,
                                                   OrtMemType memory, OrtMemoryInfo **out)
{
  (void)type;
  (void)id;
  (void)memory;
  *out = g_new(OrtMemoryInfo, 1);
  (*out)->name = g_strdup(name);
  return NULL;
}

static OrtStatus *ORT_API_CALL _create_cpu_memory_info(OrtAllocatorType type, OrtMemType memory,
                                                       OrtMemoryInfo **out)
{
  return _create_memory_info("Cpu", type, 0, memory, out);
}

static void ORT_API_CALL _release_memory_info(OrtMemoryInfo *info)
{
  if(!info) return;
  g_free(info->name);
  g_free(info);
}

static void *ORT_API_CALL _alloc(OrtAllocator *allocator, size_t size)
{
  (void)allocator;
  return malloc(size);
}

static void ORT_API_CALL _free(OrtAllocator *allocator, void *memory)
{
  (void)allocator;
  free(memory);
}

static const OrtMemoryInfo *ORT_API_CALL _get_info(const OrtAllocator *allocator)
{
  (void)allocator;
  static char name[] = "Cpu";
  static const OrtMemoryInfo info = { name };
  return &info;
}

static OrtStatus *ORT_API_CALL _get_allocator(OrtAllocator **out)
{
  static OrtAllocator allocator = { ORT_API_VERSION, _alloc, _free, _get_info, _alloc };
  *out = &allocator;
  return NULL;
}

static OrtStatus *ORT_API_CALL _free_by_allocator(OrtAllocator *allocator, void *memory)
{
  allocator->Free(allocator, memory);
  return NULL;
}

/* --- the arena: whether it is there is all that is kept of it --- */

struct OrtArenaCfg
{
  size_t n;
};

static OrtStatus *ORT_API_CALL _create_arena_config(const char *const *keys, const size_t *values, size_t n,
                                                    OrtArenaCfg **out)
{
  (void)keys;
  (void)values;
  *out = g_new(OrtArenaCfg, 1);
  (*out)->n = n;
  return NULL;
}

static void ORT_API_CALL _release_arena_config(OrtArenaCfg *config)
{
  g_free(config);
}

static OrtStatus *ORT_API_CALL _register_allocator(OrtEnv *env, const OrtMemoryInfo *info,
                                                   const OrtArenaCfg *config)
{
  (void)info;
  (void)config;
  pthread_mutex_lock(&_lock);
  env->has_allocator = TRUE;
  pthread_mutex_unlock(&_lock);
  return NULL;
}

static OrtStatus *ORT_API_CALL _unregister_allocator(OrtEnv *env, const OrtMemoryInfo *info)
{
  (void)info;
  pthread_mutex_lock(&_lock);
  const gboolean had = env->has_allocator;
  env->has_allocator = FALSE;
  pthread_mutex_unlock(&_lock);
  return had ? NULL
             : fake_status(ORT_INVALID_ARGUMENT,
                           "No allocator for this device has been registered for sharing.");
}

/* --- the table --- */

/* Room for the members newer headers have as well. */
#define MOST_MEMBERS 512
typedef void (*_member_t)(void);
static union
{
  OrtApi api;
  _member_t members[MOST_MEMBERS];
} _table;
_Static_assert(sizeof(OrtApi) <= MOST_MEMBERS * sizeof(_member_t), "the table holds this header's members");

/* Stands for every function the fake has not got. */
static OrtStatus *ORT_API_CALL _refuse(void)
{
  return fake_status(ORT_NOT_IMPLEMENTED, "the fake has no such function");
}

static void _fill_table(void)
{
  OrtApi *api = &_table.api;
  for(size_t i = 0; i < MOST_MEMBERS; i++) _table.members[i] = (_member_t)_refuse;
  api->CreateStatus = _create_status;
  api->GetErrorCode = _get_code;
  api->GetErrorMessage = _get_message;
  api->ReleaseStatus = _release_status;
  api->CreateEnv = _create_env;
  api->CreateEnvWithCustomLogger = _create_env_with_logger;
  api->ReleaseEnv = _release_env;
  api->DisableTelemetryEvents = _disable_telemetry;
  api->EnableTelemetryEvents = _disable_telemetry;
  api->GetAvailableProviders = _list_providers;
  api->ReleaseAvailableProviders = _release_providers;
  api->CreateMemoryInfo = _create_memory_info;
  api->CreateCpuMemoryInfo = _create_cpu_memory_info;
  api->ReleaseMemoryInfo = _release_memory_info;
  api->GetAllocatorWithDefaultOptions = _get_allocator;
  api->AllocatorFree = _free_by_allocator;
  api->CreateArenaCfgV2 = _create_arena_config;
  api->ReleaseArenaCfg = _release_arena_config;
  api->CreateAndRegisterAllocator = _register_allocator;
  api->UnregisterAllocator = _unregister_allocator;
  fake_attach_fill(api);
  fake_session_fill(api);
  fake_run_fill(api);
}

/* as documented for the real library: "1.18.0" offers API version 18 */
unsigned fake_api_version(void)
{
  const char *dot = strchr(_version, '.');
  return dot ? (unsigned)strtoul(dot + 1, NULL, 10) : 0;
}

static OrtStatus *_load_as_told(void)
{
  fake_runtime_t runtime;
  fake_runtime_init(&runtime);
  OrtStatus *status = fake_do(runtime.load, "");
  fake_runtime_cleanup(&runtime);
  return status;
}

static const OrtApi *ORT_API_CALL _get_api(uint32_t version)
{
  static pthread_once_t once = PTHREAD_ONCE_INIT;
  const gint n = g_atomic_int_add(&_n_requests, 1);
  if(n < (gint)G_N_ELEMENTS(fake_ort_requests)) fake_ort_requests[n] = (int)version;
  if(version > fake_api_version())
  {
    fprintf(
        stderr,
        "The requested API version [%u] is not available, only API versions [1, %u] are supported in this "
        "build. Current ORT Version is: %s\n",
        version, fake_api_version(), _version);
    return NULL;
  }
  fake_note("load %s api %u", _version, version);
  pthread_once(&once, _fill_table);
  OrtStatus *status = _load_as_told();
  const gboolean ok = !status;
  _release_status(status);
  return ok ? &_table.api : NULL;
}

static const char *ORT_API_CALL _get_version(void)
{
  return _version;
}

const OrtApiBase *ORT_API_CALL OrtGetApiBase(void)
{
  static const OrtApiBase base = { _get_api, _get_version };
  fake_runtime_t runtime;
  fake_runtime_init(&runtime);
  g_strlcpy(_version, runtime.version, sizeof _version);
  fake_runtime_cleanup(&runtime);
  return &base;
}
