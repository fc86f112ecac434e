/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The fake ONNX Runtime, driven through its own table of functions: what tests of execution providers build on. What
 * crashes or hangs does so in a child. */
#include "support.h"

#include "common/half.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <math.h>
#include <onnxruntime_c_api.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define SIDE 8
#define PIXELS (SIDE * SIDE)

static const char *_world;
static void *_library;
static const OrtApi *_api;
static OrtEnv *_env;
static gboolean _is_child;
static GString *_log; /* what the environment's logger was given: "level message" */
static pthread_mutex_t _lock = PTHREAD_MUTEX_INITIALIZER;

/* --- help --- */

static char *_in_world(const char *name)
{
  return g_build_filename(_world, name, NULL);
}

static void _write_script(const char *text)
{
  char *path = _in_world("script.ini");
  assert_true(g_file_set_contents(path, text, -1, NULL));
  g_setenv("DT_FAKE_ORT", path, TRUE);
  g_free(path);
}

/* What was noted since the last call, without the numbers of processes. */
static char *_take_notes(void)
{
  char *path = _in_world("notes.txt"), *text = NULL;
  GString *notes = g_string_new(NULL);
  g_file_get_contents(path, &text, NULL, NULL);
  g_unlink(path);
  char **lines = g_strsplit(text ? text : "", "\n", -1);
  for(char **line = lines; *line; line++)
    if(strchr(*line, ' ')) g_string_append_printf(notes, "%s\n", strchr(*line, ' ') + 1);
  g_strfreev(lines);
  g_free(text);
  g_free(path);
  return g_string_free(notes, FALSE);
}

static void _assert_notes(const char *expected)
{
  char *notes = _take_notes();
  assert_string_equal(notes, expected);
  g_free(notes);
}

static void _assert_ok(OrtStatus *status)
{
  if(status && _is_child) _exit(1);
  if(status) fail_msg("unexpected status: %s", _api->GetErrorMessage(status));
}

static void _assert_fails(OrtStatus *status, const char *words)
{
  assert_non_null(status);
  if(!strstr(_api->GetErrorMessage(status), words))
    fail_msg("\"%s\" is missing in: %s", words, _api->GetErrorMessage(status));
  _api->ReleaseStatus(status);
}

static void ORT_API_CALL _collect_log(void *param, OrtLoggingLevel level, const char *category,
                                      const char *id, const char *location, const char *message)
{
  (void)param;
  (void)id;
  (void)location;
  assert_string_equal(category, "onnxruntime");
  g_string_append_printf(_log, "%d %s\n", (int)level, message);
}

static const OrtApiBase *_open_base(const char *path)
{
  _library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
  if(!_library) fail_msg("%s", dlerror());
  void *symbol = dlsym(_library, "OrtGetApiBase");
  const OrtApiBase *(*get_base)(void);
  memcpy(&get_base, &symbol, sizeof symbol);
  return get_base();
}

/* The library, loaded under @p script. */
static void _load(const char *script)
{
  _write_script(script);
  _api = _open_base(DT_TEST_FAKE_ORT)->GetApi(ORT_API_VERSION);
  assert_non_null(_api);
  _assert_ok(_api->CreateEnvWithCustomLogger(_collect_log, NULL, ORT_LOGGING_LEVEL_WARNING, "test", &_env));
  g_free(_take_notes());
}

static OrtSessionOptions *_new_options(void)
{
  OrtSessionOptions *options;
  _assert_ok(_api->CreateSessionOptions(&options));
  return options;
}

/* The provider @p name attached to new options, with one option. */
static OrtStatus *_attach_option(OrtSessionOptions **options, const char *name, const char *key,
                                 const char *value)
{
  *options = _new_options();
  return _api->SessionOptionsAppendExecutionProvider(*options, name, &key, &value, key ? 1 : 0);
}

static OrtStatus *_open_model(OrtSessionOptions *options, const char *model, OrtSession **session)
{
  char *path = test_fixture(model), *bytes;
  gsize size;
  assert_true(g_file_get_contents(path, &bytes, &size, NULL));
  OrtStatus *status = _api->CreateSessionFromArray(_env, bytes, size, options, session);
  g_free(bytes);
  g_free(path);
  return status;
}

/* A session with WebGPU under @p script. */
static OrtSession *_open_session(const char *script, const char *model)
{
  OrtSessionOptions *options;
  OrtSession *session;
  _load(script);
  _assert_ok(_attach_option(&options, "WebGPU", NULL, NULL));
  _assert_ok(_open_model(options, model, &session));
  _api->ReleaseSessionOptions(options);
  g_free(_take_notes());
  return session;
}

static OrtValue *_wrap(void *data, size_t size, int channels, int side, ONNXTensorElementDataType type)
{
  const int64_t dims[] = { 1, channels, side, side };
  OrtMemoryInfo *memory;
  OrtValue *value;
  _assert_ok(_api->CreateCpuMemoryInfo(OrtArenaAllocator, OrtMemTypeDefault, &memory));
  _assert_ok(_api->CreateTensorWithDataAsOrtValue(memory, data, size, dims, 4, type, &value));
  _api->ReleaseMemoryInfo(memory);
  return value;
}

static OrtValue *_wrap_floats(float *data, int channels)
{
  return _wrap(data, (size_t)channels * PIXELS * sizeof *data, channels, SIDE,
               ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT);
}

static OrtStatus *_run(OrtSession *session, const OrtRunOptions *options, OrtValue *in, OrtValue **out)
{
  static const char *const inputs[] = { "input" }, *const outputs[] = { "output" };
  const OrtValue *const values[] = { in };
  return _api->Run(session, options, inputs, values, 1, outputs, 1, out);
}

static void _fill(float *data, size_t n)
{
  for(size_t i = 0; i < n; i++) data[i] = (float)i / (float)n;
}

/* --- the world --- */

static int _setup(void **state)
{
  (void)state;
  _world = test_world_create();
  _log = g_string_new(NULL);
  char *notes = _in_world("notes.txt");
  g_setenv("DT_FAKE_ORT_NOTES", notes, TRUE);
  g_free(notes);
  return 0;
}

static int _teardown(void **state)
{
  (void)state;
  if(_env) _api->ReleaseEnv(_env);
  _env = NULL;
  if(_library) dlclose(_library);
  _library = NULL;
  g_string_free(_log, TRUE);
  test_world_destroy();
  return 0;
}

/* --- children --- */

/* What a child does under @p script: attaches, opens and runs. */
static void _play(const char *script)
{
  float data[3 * PIXELS] = { 0 };
  OrtSession *session = _open_session(script, "models/denoise-conv3/model.onnx");
  OrtValue *in = _wrap_floats(data, 3), *out = NULL;
  _assert_ok(_run(session, NULL, in, &out));
}

static void _redirect(int fd, const char *name)
{
  char *path = _in_world(name);
  const int file = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
  dup2(file, fd);
  close(file);
  g_free(path);
}

static pid_t _start_child(const char *script)
{
  const pid_t child = fork();
  if(child) return child;
  _is_child = TRUE;
  signal(SIGABRT, SIG_DFL); /* cmocka would go on with the next test */
  _redirect(STDOUT_FILENO, "out.txt");
  _redirect(STDERR_FILENO, "err.txt");
  _play(script);
  _exit(0);
}

static void _assert_written(const char *name, const char *expected)
{
  char *path = _in_world(name), *text;
  assert_true(g_file_get_contents(path, &text, NULL, NULL));
  assert_string_equal(text, expected);
  g_free(text);
  g_free(path);
}

#define WEBGPU "[runtime]\nproviders=WebGpuExecutionProvider;CPUExecutionProvider\n[WebGPU]\n"

static void test_crash(void **state)
{
  (void)state;
  static const char *const scripts[] = { WEBGPU "attach=crash", WEBGPU "session=crash", WEBGPU "run=crash",
                                         "[runtime]\nload=crash" };
  for(size_t i = 0; i < G_N_ELEMENTS(scripts); i++)
  {
    int status;
    assert_int_not_equal(waitpid(_start_child(scripts[i]), &status, 0), -1);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGSEGV);
  }
}

static void test_hang(void **state)
{
  (void)state;
  static const char *const scripts[] = { WEBGPU "attach=hang", WEBGPU "session=hang" };
  for(size_t i = 0; i < G_N_ELEMENTS(scripts); i++)
  {
    int status;
    const pid_t child = _start_child(scripts[i]);
    g_usleep(300000);
    assert_int_equal(waitpid(child, &status, WNOHANG), 0);
    kill(child, SIGKILL);
    waitpid(child, &status, 0);
  }
}

static void test_noise(void **state)
{
  (void)state;
  int status;
  waitpid(_start_child(WEBGPU "attach=noise"), &status, 0);
  assert_int_equal(status, 0);
  _assert_written("out.txt", "fake driver: hello\n");
  _assert_written("err.txt", "fake driver: warning, this is an old one\nfake driver: it will do\n");
}

/* A script with a mistake tests nothing, and says so. */
static void test_bad_script(void **state)
{
  (void)state;
  static const char *const scripts[] = { "[WebGpu]\n", WEBGPU "atach=ok", "[runtime]\nload=maybe" };
  static const char *const words[] = { "fake_ort: there is no group [WebGpu]\n",
                                       "fake_ort: [WebGPU] has no key atach\n",
                                       "fake_ort: load=maybe is none of its words\n" };
  for(size_t i = 0; i < G_N_ELEMENTS(scripts); i++)
  {
    int status;
    waitpid(_start_child(scripts[i]), &status, 0);
    assert_int_not_equal(status, 0);
    _assert_written("err.txt", words[i]);
  }
}

/* --- loading --- */

static void test_version(void **state)
{
  (void)state;
  _write_script("[runtime]\nversion=1.25.1\nload=fail");
  const OrtApiBase *base = _open_base(DT_TEST_FAKE_ORT);
  assert_string_equal(base->GetVersionString(), "1.25.1");
  assert_null(base->GetApi(20));
  _assert_notes("load 1.25.1 api 20\n");
}

static void test_list(void **state)
{
  (void)state;
  char **names;
  int n;
  _load("[runtime]\nproviders=CUDAExecutionProvider;CPUExecutionProvider");
  _assert_ok(_api->GetAvailableProviders(&names, &n));
  assert_int_equal(n, 2);
  assert_string_equal(names[0], "CUDAExecutionProvider");
  assert_string_equal(names[1], "CPUExecutionProvider");
  _assert_ok(_api->ReleaseAvailableProviders(names, n));
  _assert_fails(_api->CreateThreadingOptions(NULL), "the fake has no such function");
}

static void test_env(void **state)
{
  (void)state;
  OrtEnv *env = NULL;
  _load("");
  _write_script("[runtime]\nenv=fail\nenv_message=no threads");
  _assert_fails(_api->CreateEnv(ORT_LOGGING_LEVEL_WARNING, "test", &env), "no threads");
}

/* --- attaching --- */

#define ALL                                                                                                  \
  "[runtime]\nproviders=CUDAExecutionProvider;MIGraphXExecutionProvider;OpenVINOExecutionProvider;"          \
  "CoreMLExecutionProvider;CPUExecutionProvider\n"

static OrtStatus *_attach_cuda(OrtSessionOptions *options, const char *key, const char *value)
{
  OrtCUDAProviderOptionsV2 *cuda = NULL;
  OrtStatus *status = _api->CreateCUDAProviderOptions(&cuda);
  if(!status) status = _api->UpdateCUDAProviderOptions(cuda, &key, &value, 1);
  if(!status) status = _api->SessionOptionsAppendExecutionProvider_CUDA_V2(options, cuda);
  _api->ReleaseCUDAProviderOptions(cuda);
  return status;
}

static void test_attach(void **state)
{
  (void)state;
  static const char *const keys[] = { "device_type", "precision" }, *const values[] = { "GPU", "FP32" };
  const OrtMIGraphXProviderOptions migraphx = { .device_id = 3 };
  _load(ALL);
  OrtSessionOptions *options = _new_options();
  _assert_ok(_attach_cuda(options, "device_id", "1"));
  _assert_ok(_api->SessionOptionsAppendExecutionProvider_MIGraphX(options, &migraphx));
  _assert_ok(_api->SessionOptionsAppendExecutionProvider_OpenVINO_V2(options, keys, values, 2));
  _assert_ok(_api->SessionOptionsAppendExecutionProvider(options, "CoreML", NULL, NULL, 0));
  _assert_notes("attach CUDA device_id=1\nattach MIGraphX device_id=3\n"
                "attach OpenVINO device_type=GPU precision=FP32\nattach CoreML\n");
  _api->ReleaseSessionOptions(options);
}

static void test_attach_refused(void **state)
{
  (void)state;
  _load(ALL "[CUDA]\nattach=fail\nmessage=no device\nlog=libcuda.so.1 is missing\n");
  OrtSessionOptions *options = _new_options();
  _assert_fails(_attach_cuda(options, "device_id", "0"), "no device");
  assert_string_equal(_log->str, "3 libcuda.so.1 is missing\n");
  _assert_fails(_attach_cuda(options, "deviceid", "0"), "Unknown provider option: \"deviceid\"");
  _assert_fails(_api->SessionOptionsAppendExecutionProvider(options, "WebGPU", NULL, NULL, 0),
                "WebGPU execution provider is not supported in this build. ");
  _assert_fails(_api->SessionOptionsAppendExecutionProvider(options, "CUDA", NULL, NULL, 0),
                "Unknown provider name 'CUDA'.");
  _write_script(ALL);
  _assert_ok(_api->SessionOptionsAppendExecutionProvider(options, "MIGraphX", NULL, NULL, 0));
  _write_script(""); /* it is read anew */
  _assert_fails(_attach_cuda(options, "device_id", "0"),
                "CUDA execution provider is not enabled in this build.");
  _api->ReleaseSessionOptions(options);
}

static void test_symbols(void **state)
{
  (void)state;
  _load(ALL "version=1.22.0\n[MIGraphX]\nattach=fail");
  OrtStatus *(*append)(OrtSessionOptions *, int);
  void *symbol = dlsym(_library, "OrtSessionOptionsAppendExecutionProvider_MIGraphX");
  memcpy(&append, &symbol, sizeof symbol);
  OrtSessionOptions *options = _new_options();
  _assert_fails(_api->SessionOptionsAppendExecutionProvider(options, "MIGraphX", NULL, NULL, 0),
                "Unknown provider name 'MIGraphX'."); /* not in that version */
  _assert_fails(append(options, 2), "Failed to load shared library");
  _assert_notes("attach MIGraphX device_id=2\n");
  _api->ReleaseSessionOptions(options);
  _api->ReleaseEnv(_env);
  _env = NULL;
  dlclose(_library);
  assert_string_equal(_open_base(DT_TEST_FAKE_ORT_BARE)->GetVersionString(), "1.22.0");
  assert_null(dlsym(_library, "OrtSessionOptionsAppendExecutionProvider_MIGraphX"));
}

/* --- sessions --- */

static void _assert_slot(OrtSession *session, size_t index, const char *name, const int64_t dims[4])
{
  OrtAllocator *allocator;
  OrtTypeInfo *type;
  const OrtTensorTypeAndShapeInfo *info;
  char *found;
  int64_t shape[4];
  _assert_ok(_api->GetAllocatorWithDefaultOptions(&allocator));
  _assert_ok(_api->SessionGetInputName(session, index, allocator, &found));
  assert_string_equal(found, name);
  _assert_ok(_api->AllocatorFree(allocator, found));
  _assert_ok(_api->SessionGetInputTypeInfo(session, index, &type));
  _assert_ok(_api->CastTypeInfoToTensorInfo(type, &info));
  _assert_ok(_api->GetDimensions(info, shape, 4));
  assert_memory_equal(shape, dims, sizeof shape);
  _api->ReleaseTypeInfo(type);
}

static void test_describe(void **state)
{
  (void)state;
  size_t n;
  OrtSession *session = _open_session(WEBGPU, "models/denoise-sigma/model.onnx");
  _assert_ok(_api->SessionGetInputCount(session, &n));
  assert_int_equal(n, 2);
  _assert_slot(session, 0, "input", (const int64_t[]){ 1, 3, -1, -1 });
  _assert_slot(session, 1, "sigma", (const int64_t[]){ 1, 1, -1, -1 });
  _assert_ok(_api->SessionGetOutputCount(session, &n));
  assert_int_equal(n, 1);
  _api->ReleaseSession(session);
}

static void test_override(void **state)
{
  (void)state;
  OrtSession *session;
  _load("");
  OrtSessionOptions *options = _new_options();
  _assert_ok(_api->AddFreeDimensionOverrideByName(options, "height", 64));
  _assert_ok(_open_model(options, "models/denoise-conv3/model.onnx", &session));
  _assert_slot(session, 0, "input", (const int64_t[]){ 1, 3, 64, -1 });
  _assert_fails(_open_model(options, "models/broken-onnx/model.onnx", &session), "protobuf parsing failed");
  _assert_notes("session CPU compile 0 ms\n");
  _api->ReleaseSession(session);
  _api->ReleaseSessionOptions(options);
}

/* Every cut of a model is refused or read, without a step outside of it. */
static void test_cut_models(void **state)
{
  (void)state;
  char *path = test_fixture("models/symbolic-dims/model.onnx"), *bytes;
  gsize size;
  _load("");
  assert_true(g_file_get_contents(path, &bytes, &size, NULL));
  OrtSessionOptions *options = _new_options();
  for(gsize cut = 0; cut < size; cut++)
  {
    char *copy = g_memdup2(bytes, cut);
    OrtSession *session = NULL;
    OrtStatus *status = _api->CreateSessionFromArray(_env, copy, cut, options, &session);
    _api->ReleaseStatus(status);
    if(!status) _api->ReleaseSession(session);
    g_free(copy);
  }
  _api->ReleaseSessionOptions(options);
  g_free(bytes);
  g_free(path);
}

static void test_session_fails(void **state)
{
  (void)state;
  OrtSessionOptions *options;
  OrtSession *session;
  _load(WEBGPU "session=fail\nsession_message=no such shader");
  _assert_ok(_attach_option(&options, "WebGPU", "deviceId", "1"));
  _assert_fails(_open_model(options, "models/denoise-conv3/model.onnx", &session), "no such shader");
  _assert_notes("attach WebGPU deviceId=1\nsession WebGPU fail\n");
  _api->ReleaseSessionOptions(options);
}

static void _open_verbosely(const char *script)
{
  OrtSessionOptions *options;
  OrtSession *session;
  g_string_truncate(_log, 0);
  _write_script(script);
  _assert_ok(_attach_option(&options, "WebGPU", NULL, NULL));
  _assert_ok(_api->SetSessionLogSeverityLevel(options, 0));
  _assert_ok(_open_model(options, "models/denoise-conv3/model.onnx", &session));
  _api->ReleaseSession(session);
  _api->ReleaseSessionOptions(options);
}

static void test_placement(void **state)
{
  (void)state;
  _load(WEBGPU);
  _open_verbosely(WEBGPU);
  assert_string_equal(_log->str, "0 Node placements\n"
                                 "0  All nodes placed on [WebGpuExecutionProvider]. Number of nodes: 6\n");
  _open_verbosely(WEBGPU "nodes_cpu=1");
  assert_non_null(
      strstr(_log->str, "0  Node(s) placed on [CPUExecutionProvider]. Number of nodes: 1\n0   Add ("));
  assert_non_null(
      strstr(_log->str, "0  Node(s) placed on [WebGpuExecutionProvider]. Number of nodes: 5\n0   Conv ("));
  assert_non_null(strstr(_log->str, "2 Some nodes were not assigned to the preferred execution providers"));
  _open_verbosely(WEBGPU "nodes_cpu=99");
  assert_non_null(strstr(_log->str, " All nodes placed on [CPUExecutionProvider]"));
}

static void _open_cached(const char *cache)
{
  OrtSessionOptions *options;
  OrtSession *session;
  _assert_ok(_attach_option(&options, "OpenVINO", "cache_dir", cache));
  g_free(_take_notes());
  _assert_ok(_open_model(options, "models/denoise-conv3/model.onnx", &session));
  _api->ReleaseSession(session);
  _api->ReleaseSessionOptions(options);
}

static void test_cache(void **state)
{
  (void)state;
  char *cache = _in_world("blobs/openvino");
  _load(ALL "[OpenVINO]\ncompile_ms=100\nblob_bytes=77");
  const gint64 start = g_get_monotonic_time();
  _open_cached(cache);
  assert_true(g_get_monotonic_time() - start >= 100000);
  _assert_notes("session OpenVINO compile 100 ms\n");
  _open_cached(cache);
  _assert_notes("session OpenVINO cached\n");
  GDir *dir = g_dir_open(cache, 0, NULL);
  char *blob = g_build_filename(cache, g_dir_read_name(dir), NULL);
  GStatBuf found;
  assert_int_equal(g_stat(blob, &found), 0);
  assert_int_equal(found.st_size, 77);
  assert_true(g_str_has_suffix(blob, ".blob"));
  g_dir_close(dir);
  g_free(blob);
  g_free(cache);
}

/* --- runs --- */

static void test_identity(void **state)
{
  (void)state;
  float data[3 * PIXELS], result[3 * PIXELS], *allocated;
  OrtSession *session = _open_session(WEBGPU, "models/denoise-conv3/model.onnx");
  _fill(data, 3 * PIXELS);
  OrtValue *in = _wrap_floats(data, 3), *out = _wrap_floats(result, 3), *new = NULL;
  _assert_ok(_run(session, NULL, in, &out));
  assert_memory_equal(result, data, sizeof data);
  _assert_ok(_run(session, NULL, in, &new));
  _assert_ok(_api->GetTensorMutableData(new, (void **)&allocated));
  assert_memory_equal(allocated, data, sizeof data);
  _assert_notes("run WebGPU 1x3x8x8\nrun WebGPU 1x3x8x8\n");
  _api->ReleaseValue(new);
  _api->ReleaseValue(out);
  _api->ReleaseValue(in);
  _api->ReleaseSession(session);
}

static void test_half(void **state)
{
  (void)state;
  float data[3 * PIXELS];
  uint16_t halves[3 * PIXELS], result[3 * PIXELS] = { 0 };
  OrtSession *session = _open_session(WEBGPU, "models/denoise-fp16/model.onnx");
  _fill(data, 3 * PIXELS);
  dt_float_to_half(data, halves, 3 * PIXELS);
  OrtValue *in = _wrap(halves, sizeof halves, 3, SIDE, ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT16);
  OrtValue *out = _wrap(result, sizeof result, 3, SIDE, ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT16);
  _assert_ok(_run(session, NULL, in, &out));
  assert_memory_equal(result, halves, sizeof halves);
  _api->ReleaseValue(out);
  _api->ReleaseValue(in);
  _api->ReleaseSession(session);
}

/* More channels out than in: they are repeated. */
static void test_channels(void **state)
{
  (void)state;
  float data[3 * PIXELS], *result;
  size_t n;
  OrtTensorTypeAndShapeInfo *info;
  OrtSession *session = _open_session(WEBGPU, "models/test-big-output/model.onnx");
  _fill(data, 3 * PIXELS);
  OrtValue *in = _wrap_floats(data, 3), *out = NULL;
  _assert_ok(_run(session, NULL, in, &out));
  _assert_ok(_api->GetTensorTypeAndShape(out, &info));
  _assert_ok(_api->GetTensorShapeElementCount(info, &n));
  assert_int_equal(n, 9 * PIXELS);
  _assert_ok(_api->GetTensorMutableData(out, (void **)&result));
  assert_memory_equal(result + 6 * PIXELS, data, sizeof data);
  _api->ReleaseTensorTypeAndShapeInfo(info);
  _api->ReleaseValue(out);
  _api->ReleaseValue(in);
  _api->ReleaseSession(session);
}

static void _get_results(const char *script, float *data, float *result)
{
  OrtSession *session = _open_session(script, "models/denoise-conv3/model.onnx");
  _fill(data, 3 * PIXELS);
  OrtValue *in = _wrap_floats(data, 3), *out = _wrap_floats(result, 3);
  _assert_ok(_run(session, NULL, in, &out));
  _api->ReleaseValue(out);
  _api->ReleaseValue(in);
  _api->ReleaseSession(session);
  _api->ReleaseEnv(_env);
}

static void test_spoilt(void **state)
{
  (void)state;
  float data[3 * PIXELS], result[3 * PIXELS];
  _get_results(WEBGPU "output=nan", data, result);
  assert_true(isnan(result[7]));
  _get_results(WEBGPU "output=flat", data, result);
  assert_true(result[0] == 0.5f && result[100] == 0.5f);
  _get_results(WEBGPU "output=wrong", data, result);
  assert_true(fabsf(result[9] - data[9]) > 0.5f);
  _get_results(WEBGPU "output=noise", data, result);
  assert_true(fabsf(fabsf(result[9] - data[9]) - 1e-4f) < 1e-6f);
  _env = NULL;
}

/* One node, y = max(x, 0), with which programs try devices; made by hand. */
static const uint8_t _relu[] = {
  8,    8,    0x3a, 0x3c,                                                          /* version 8, a graph */
  0x0a, 0x0c, 0x0a, 1,    'x',  0x12, 1,    'y',  0x22, 4,   'R', 'e',  'l',  'u', /* its node */
  0x5a, 0x15, 0x0a, 1,    'x',  0x12, 0x10, 0x0a, 0x0e, 8,   1,   0x12, 0x0a,      /* input, float */
  0x0a, 2,    8,    1,    0x0a, 4,    0x12, 2,    'n',  'n',                       /* [1, nn] */
  0x62, 0x15, 0x0a, 1,    'y',  0x12, 0x10, 0x0a, 0x0e, 8,   1,   0x12, 0x0a,      /* output, the same */
  0x0a, 2,    8,    1,    0x0a, 4,    0x12, 2,    'n',  'n',
};

static void _try_relu(float expected[2])
{
  static const char *const inputs[] = { "x" }, *const outputs[] = { "y" };
  static const int64_t dims[] = { 1, 2 };
  float data[] = { -1, 2 }, *result;
  OrtSessionOptions *options;
  OrtSession *session;
  OrtValue *in, *out = NULL;
  _assert_ok(_attach_option(&options, "WebGPU", NULL, NULL));
  _assert_ok(_api->CreateSessionFromArray(_env, _relu, sizeof _relu, options, &session));
  _assert_ok(_api->CreateTensorWithDataAsOrtValue(NULL, data, sizeof data, dims, 2,
                                                  ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT, &in));
  _assert_ok(_api->Run(session, NULL, inputs, (const OrtValue *const *)&in, 1, outputs, 1, &out));
  _assert_ok(_api->GetTensorMutableData(out, (void **)&result));
  assert_memory_equal(result, expected, 2 * sizeof *result);
  _api->ReleaseValue(out);
  _api->ReleaseValue(in);
  _api->ReleaseSession(session);
  _api->ReleaseSessionOptions(options);
}

/* The script may let it pass where a real model fails, and the other way round. */
static void test_relu(void **state)
{
  (void)state;
  _load(WEBGPU);
  _try_relu((float[]){ 0, 2 });
  _write_script(WEBGPU "output=wrong\n[WebGPU relu]\noutput=ok");
  _try_relu((float[]){ 0, 2 });
  _write_script(WEBGPU "[WebGPU relu]\noutput=wrong");
  _try_relu((float[]){ 1, -1 });
}

static void test_run_fails(void **state)
{
  (void)state;
  float data[3 * PIXELS] = { 0 };
  OrtSession *session =
      _open_session(WEBGPU "run_oom_at=2\nrun_oom_above=64", "models/denoise-conv3/model.onnx");
  OrtValue *in = _wrap_floats(data, 3), *out = NULL, *small;
  small = _wrap(data, sizeof data, 3, SIDE / 2, ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT);
  _assert_ok(_run(session, NULL, small, &out));
  _assert_fails(_run(session, NULL, in, &out), "CUDA failure 2: out of memory");
  _assert_fails(_run(session, NULL, in, &out), "has another shape");
  _api->ReleaseValue(in);
  in = _wrap_floats(data, 1);
  _assert_fails(_run(session, NULL, in, &out), "index: 1 Got: 1 Expected: 3");
  _api->ReleaseValue(in);
  static float large[3 * 4 * PIXELS];
  in = _wrap(large, sizeof large, 3, 2 * SIDE, ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT);
  _assert_fails(_run(session, NULL, in, &out), "out of memory");
  _api->ReleaseValue(in);
  _api->ReleaseValue(small);
  _api->ReleaseValue(out);
  _api->ReleaseSession(session);
}

/* --- threads --- */

static void *_terminate_soon(void *options)
{
  g_usleep(100000);
  return _api->RunOptionsSetTerminate(options);
}

static void test_terminate(void **state)
{
  (void)state;
  float data[3 * PIXELS] = { 0 };
  pthread_t thread;
  OrtRunOptions *options;
  OrtSession *session = _open_session(WEBGPU "run_ms=60000", "models/denoise-conv3/model.onnx");
  OrtValue *in = _wrap_floats(data, 3), *out = NULL;
  _assert_ok(_api->CreateRunOptions(&options));
  pthread_create(&thread, NULL, _terminate_soon, options);
  _assert_fails(_run(session, options, in, &out), "Exiting due to terminate flag being set to true.");
  assert_null(out);
  pthread_join(thread, NULL);
  _api->ReleaseRunOptions(options);
  _api->ReleaseValue(in);
  _api->ReleaseSession(session);
}

static int _oom; /* runs that failed, under _lock */

static void *_run_often(void *session)
{
  float data[3 * PIXELS] = { 0 };
  OrtValue *in = _wrap_floats(data, 3);
  for(int i = 0; i < 50; i++)
  {
    OrtValue *out = NULL;
    OrtStatus *status = _run(session, NULL, in, &out);
    pthread_mutex_lock(&_lock);
    _oom += status != NULL;
    pthread_mutex_unlock(&_lock);
    _api->ReleaseStatus(status);
    _api->ReleaseValue(out);
  }
  _api->ReleaseValue(in);
  return NULL;
}

/* Runs are counted over all threads, and each is noted on a line of its own. */
static void test_threads(void **state)
{
  (void)state;
  pthread_t threads[4];
  OrtSession *session = _open_session(WEBGPU "run_oom_at=100", "models/denoise-conv3/model.onnx");
  _oom = 0;
  for(int i = 0; i < 4; i++) pthread_create(&threads[i], NULL, _run_often, session);
  for(int i = 0; i < 4; i++) pthread_join(threads[i], NULL);
  assert_int_equal(_oom, 1);
  char *notes = _take_notes();
  assert_int_equal(strlen(notes), 200 * strlen("run WebGPU 1x3x8x8\n"));
  g_free(notes);
  _api->ReleaseSession(session);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, _setup, _teardown)

int main(void)
{
  const struct CMUnitTest tests[] = {
    TEST(test_crash),          TEST(test_hang),          TEST(test_noise),     TEST(test_bad_script),
    TEST(test_version),        TEST(test_list),          TEST(test_env),       TEST(test_attach),
    TEST(test_attach_refused), TEST(test_symbols),       TEST(test_describe),  TEST(test_override),
    TEST(test_cut_models),     TEST(test_session_fails), TEST(test_placement), TEST(test_cache),
    TEST(test_identity),       TEST(test_half),          TEST(test_channels),  TEST(test_spoilt),
    TEST(test_relu),           TEST(test_run_fails),     TEST(test_terminate), TEST(test_threads),
  };
  return cmocka_run_group_tests_name("fake_ort", tests, NULL, NULL);
}
