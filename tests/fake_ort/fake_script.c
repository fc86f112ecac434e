/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The script: what the fake is told to do, and the notes about what it was asked for. The file is read anew each
 * time, so that a test can change its mind and nothing has to be kept or locked. A script with a mistake ends the
 * process: a test that silently tests nothing is worse. */
#include "fake.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

static const fake_provider_t _providers[] = {
  { "CPU", "CPUExecutionProvider", 1, NULL },
  { "CUDA", "CUDAExecutionProvider", 0,
    "device_id gpu_mem_limit arena_extend_strategy cudnn_conv_algo_search do_copy_in_default_stream "
    "cudnn_conv_use_max_workspace enable_cuda_graph cudnn_conv1d_pad_to_nc1d tunable_op_enable "
    "tunable_op_tuning_enable tunable_op_max_tuning_duration_ms enable_skip_layer_norm_strict_mode "
    "prefer_nhwc "
    "use_ep_level_unified_stream use_tf32 fuse_conv_bias sdpa_kernel has_user_compute_stream "
    "user_compute_stream "
    "gpu_external_alloc gpu_external_free gpu_external_empty_cache" },
  { "MIGraphX", "MIGraphXExecutionProvider", 23, NULL },
  { "ROCM", "ROCMExecutionProvider", 0, NULL },
  { "OpenVINO", "OpenVINOExecutionProvider", 1,
    "device_type device_id device_luid cache_dir precision load_config context num_of_threads model_priority "
    "num_streams enable_opencl_throttling enable_qdq_optimizer enable_causallm disable_dynamic_shapes "
    "reshape_input layout" },
  { "CoreML", "CoreMLExecutionProvider", 1,
    "ModelFormat MLComputeUnits RequireStaticInputShapes EnableOnSubgraphs SpecializationStrategy "
    "ProfileComputePlan AllowLowPrecisionAccumulationOnGPU ModelCacheDirectory" },
  { "DML", "DmlExecutionProvider", 1, NULL },
  { "WebGPU", "WebGpuExecutionProvider", 1, NULL },
};

const fake_provider_t *fake_provider_find(const char *name)
{
  for(size_t i = 0; i < G_N_ELEMENTS(_providers); i++)
    if(strcmp(name, _providers[i].name) == 0 || strcmp(name, _providers[i].ort_name) == 0)
      return &_providers[i];
  return NULL;
}

static void _complain(const char *format, ...) G_GNUC_PRINTF(1, 2) G_GNUC_NORETURN;
static void _complain(const char *format, ...)
{
  va_list args;
  va_start(args, format);
  fputs("fake_ort: ", stderr);
  vfprintf(stderr, format, args);
  fputs("\n", stderr);
  va_end(args);
  abort();
}

/* --- keys --- */

/* One key of a group and where its value goes: a text, a number, or one of the words. */
typedef struct _key_t
{
  const char *name;
  const char *const *words;
  gboolean is_text;
  size_t offset;
} _key_t;

static const char *const _acts[] = { "ok", "fail", "crash", "hang", "noise", NULL };
static const char *const _outputs[] = { "ok", "nan", "flat", "wrong", "noise", NULL };

#define IN_BEHAVIOUR(field) offsetof(fake_behaviour_t, field)
#define IN_RUNTIME(field) offsetof(fake_runtime_t, field)

static const _key_t _provider_keys[] = {
  { "attach", _acts, FALSE, IN_BEHAVIOUR(attach) },
  { "session", _acts, FALSE, IN_BEHAVIOUR(session) },
  { "run", _acts, FALSE, IN_BEHAVIOUR(run) },
  { "output", _outputs, FALSE, IN_BEHAVIOUR(output) },
  { "message", NULL, TRUE, IN_BEHAVIOUR(message) },
  { "session_message", NULL, TRUE, IN_BEHAVIOUR(session_message) },
  { "run_message", NULL, TRUE, IN_BEHAVIOUR(run_message) },
  { "log", NULL, TRUE, IN_BEHAVIOUR(log) },
  { "compile_ms", NULL, FALSE, IN_BEHAVIOUR(compile_ms) },
  { "blob_bytes", NULL, FALSE, IN_BEHAVIOUR(blob_bytes) },
  { "nodes_cpu", NULL, FALSE, IN_BEHAVIOUR(nodes_cpu) },
  { "run_ms", NULL, FALSE, IN_BEHAVIOUR(run_ms) },
  { "run_oom_at", NULL, FALSE, IN_BEHAVIOUR(run_oom_at) },
  { "run_oom_above", NULL, FALSE, IN_BEHAVIOUR(run_oom_above) },
};
static const _key_t _runtime_keys[] = {
  { "load", _acts, FALSE, IN_RUNTIME(load) },
  { "env", _acts, FALSE, IN_RUNTIME(env) },
  { "version", NULL, TRUE, IN_RUNTIME(version) },
  { "providers", NULL, TRUE, IN_RUNTIME(providers) },
  { "env_message", NULL, TRUE, IN_RUNTIME(env_message) },
};

static const _key_t *_find_key(const _key_t *keys, size_t n, const char *group, const char *name)
{
  for(size_t i = 0; i < n; i++)
    if(strcmp(keys[i].name, name) == 0) return &keys[i];
  _complain("[%s] has no key %s", group, name);
}

static int _read_word(const _key_t *key, const char *word)
{
  for(int i = 0; key->words[i]; i++)
    if(strcmp(key->words[i], word) == 0) return i;
  _complain("%s=%s is none of its words", key->name, word);
}

static int _read_number(const _key_t *key, const char *text)
{
  gint64 number;
  GError *error = NULL;
  if(!g_ascii_string_to_signed(text, 10, 0, G_MAXINT, &number, &error))
    _complain("%s=%s: %s", key->name, text, error->message);
  return (int)number;
}

/* Takes @p text over. */
static void _set(const _key_t *key, char *text, void *target)
{
  void *field = (char *)target + key->offset;
  if(key->is_text)
  {
    g_free(*(char **)field);
    *(char **)field = text;
    return;
  }
  *(int *)field = key->words ? _read_word(key, text) : _read_number(key, text);
  g_free(text);
}

/* "runtime", "CUDA" or "CUDA relu" */
static gboolean _is_group(const char *group)
{
  char *name =
      g_str_has_suffix(group, " relu") ? g_strndup(group, strlen(group) - strlen(" relu")) : g_strdup(group);
  gboolean known = strcmp(group, "runtime") == 0;
  for(size_t i = 0; i < G_N_ELEMENTS(_providers); i++) known |= strcmp(name, _providers[i].name) == 0;
  g_free(name);
  return known;
}

static void _check_groups(GKeyFile *script)
{
  char **groups = g_key_file_get_groups(script, NULL);
  for(char **group = groups; *group; group++)
    if(!_is_group(*group)) _complain("there is no group [%s]", *group);
  g_strfreev(groups);
}

static void _read_group(const char *group, const _key_t *keys, size_t n, void *target)
{
  const char *path = g_getenv("DT_FAKE_ORT");
  if(!path || !*path) return;
  GKeyFile *script = g_key_file_new();
  GError *error = NULL;
  if(!g_key_file_load_from_file(script, path, G_KEY_FILE_NONE, &error))
    _complain("%s: %s", path, error->message);
  _check_groups(script);
  char **names = g_key_file_get_keys(script, group, NULL, NULL);
  for(char **name = names; name && *name; name++)
    _set(_find_key(keys, n, group, *name), g_key_file_get_string(script, group, *name, NULL), target);
  g_strfreev(names);
  g_key_file_unref(script);
}

void fake_behaviour_init(fake_behaviour_t *behaviour, const fake_provider_t *provider, gboolean relu)
{
  *behaviour = (fake_behaviour_t){
    .provider = provider,
    .message = g_strdup_printf("SessionOptionsAppendExecutionProvider_%s: Failed to load shared library",
                               provider->name),
    .session_message = g_strdup_printf("%s cannot compile the model", provider->name),
    .run_message = g_strdup_printf("%s cannot run the model", provider->name),
    .blob_bytes = 1000,
  };
  _read_group(provider->name, _provider_keys, G_N_ELEMENTS(_provider_keys), behaviour);
  if(!relu) return;
  char *group = g_strconcat(provider->name, " relu", NULL);
  _read_group(group, _provider_keys, G_N_ELEMENTS(_provider_keys), behaviour);
  g_free(group);
}

void fake_behaviour_cleanup(fake_behaviour_t *behaviour)
{
  g_free(behaviour->message);
  g_free(behaviour->session_message);
  g_free(behaviour->run_message);
  g_free(behaviour->log);
}

void fake_runtime_init(fake_runtime_t *runtime)
{
  *runtime = (fake_runtime_t){ .version = g_strdup("1.30.0"),
                               .providers = g_strdup("CPUExecutionProvider"),
                               .env_message = g_strdup("the environment cannot be created") };
  _read_group("runtime", _runtime_keys, G_N_ELEMENTS(_runtime_keys), runtime);
  const char *version = g_getenv("DT_FAKE_ORT_VERSION"); /* for tests that want nothing but a version */
  if(!version) return;
  g_free(runtime->version);
  runtime->version = g_strdup(version);
}

void fake_runtime_cleanup(fake_runtime_t *runtime)
{
  g_free(runtime->version);
  g_free(runtime->providers);
  g_free(runtime->env_message);
}

/* --- acting --- */

static void _write(int fd, const char *text)
{
  if(write(fd, text, strlen(text)) < 0) _complain("file %d cannot be written", fd);
}

/* Dies of the signal also under a sanitizer, which would make an exit of it, and leaves no core behind. */
static void _crash(void)
{
  const struct rlimit none = { 0, 0 };
  setrlimit(RLIMIT_CORE, &none);
  signal(SIGSEGV, SIG_DFL);
  raise(SIGSEGV);
}

OrtStatus *fake_do(int act, const char *message)
{
  if(act == FAKE_CRASH) _crash();
  while(act == FAKE_HANG) pause();
  if(act == FAKE_NOISE)
  {
    _write(STDERR_FILENO, "fake driver: warning, this is an old one\nfake driver: it will do\n");
    _write(STDOUT_FILENO, "fake driver: hello\n");
  }
  return act == FAKE_FAIL ? fake_status(ORT_FAIL, "%s", message) : NULL;
}

const char *fake_act_name(int act)
{
  return _acts[act];
}

gboolean fake_sleep(int ms, const gint *terminate)
{
  const gint64 end = g_get_monotonic_time() + (gint64)ms * 1000;
  for(;;)
  {
    if(terminate && g_atomic_int_get(terminate)) return FALSE;
    const gint64 left = end - g_get_monotonic_time();
    if(left <= 0) return TRUE;
    g_usleep((gulong)MIN(left, 5000));
  }
}

/* One write per line, so that lines of several processes do not mix. */
void fake_note(const char *format, ...)
{
  const char *path = g_getenv("DT_FAKE_ORT_NOTES");
  if(!path || !*path) return;
  va_list args;
  va_start(args, format);
  char *words = g_strdup_vprintf(format, args);
  va_end(args);
  char *line = g_strdup_printf("%d %s\n", (int)getpid(), words);
  const int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  if(fd < 0) _complain("%s cannot be written", path);
  _write(fd, line);
  close(fd);
  g_free(line);
  g_free(words);
}
