/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The backend with the real runtime: which models are found, how they are loaded, what a run does with
 * tensors of every kind, good and bad. */
#include "support.h"

#include "ai/restore.h"
#include "common/conf.h"
#include "common/half.h"
#include "common/log.h"
#include "common/paths.h"

#include <glib/gstdio.h>
#include <math.h>
#include <pthread.h>
#include <string.h>

/* written around every output buffer */
#define GUARD 0xA5
#define GUARD_BYTES 4096

static const char *_world;
static dt_ai_environment_t *_env; /* the fixtures */

static int _setup(void **state)
{
  (void)state;
  _world = test_world_create();
  char *fixtures = test_fixture("models");
  _env = dt_ai_env_init(fixtures);
  g_free(fixtures);
  return _env ? 0 : 1;
}

static int _teardown(void **state)
{
  (void)state;
  dt_ai_env_destroy(_env);
  test_world_destroy();
  return 0;
}

/* --- helpers --- */

static void _assert_last_error(int code, const char *words)
{
  const GError *error = dt_ai_last_error();
  assert_non_null(error);
  if(!g_error_matches(error, DT_AI_ERROR, code)) fail_msg("code %d: %s", error->code, error->message);
  if(words && !strstr(error->message, words)) fail_msg("\"%s\" is missing in: %s", words, error->message);
}

static dt_ai_context_t *_load(const char *id)
{
  dt_ai_context_t *ctx = dt_ai_load_model(_env, id, NULL, DT_AI_PROVIDER_CPU);
  if(!ctx) fail_msg("%s: %s", id, dt_ai_last_error()->message);
  return ctx;
}

/* A tensor with its own memory, guarded on both sides. */
typedef struct _buffer_t
{
  dt_ai_tensor_t tensor;
  int64_t shape[8];
  unsigned char *memory;
  size_t bytes;
} _buffer_t;

static size_t _size_of(dt_ai_dtype_t type)
{
  switch(type)
  {
  case DT_AI_UINT8:
  case DT_AI_INT8: return 1;
  case DT_AI_FLOAT16: return 2;
  case DT_AI_INT64: return 8;
  default: return 4;
  }
}

static void _buffer_init(_buffer_t *b, dt_ai_dtype_t type, int ndim, const int64_t *shape)
{
  memcpy(b->shape, shape, (size_t)ndim * sizeof *shape);
  b->bytes = dt_ai_tensor_element_count(shape, ndim) * _size_of(type);
  b->memory = g_malloc(b->bytes + 2 * GUARD_BYTES);
  memset(b->memory, GUARD, b->bytes + 2 * GUARD_BYTES);
  b->tensor = (dt_ai_tensor_t){ b->memory + GUARD_BYTES, type, b->shape, ndim };
}

static void _buffer_check(const _buffer_t *b)
{
  for(size_t i = 0; i < GUARD_BYTES; i++)
    assert_true(b->memory[i] == GUARD && b->memory[GUARD_BYTES + b->bytes + i] == GUARD);
}

static void _buffer_cleanup(_buffer_t *b)
{
  _buffer_check(b);
  g_free(b->memory);
}

#define _shape(...)                                                                                          \
  (const int64_t[])                                                                                          \
  {                                                                                                          \
    __VA_ARGS__                                                                                              \
  }

static void _fill(_buffer_t *b, uint64_t seed)
{
  test_random_t random = { seed };
  float *p = b->tensor.data;
  for(size_t i = 0; i < b->bytes / sizeof *p; i++) p[i] = (float)test_random_range(&random, 0, 1);
}

/* --- which models there are --- */

static void _write_config(const char *dir, const char *folder, const char *json)
{
  char *path = g_build_filename(dir, folder, NULL), *config = g_build_filename(path, "config.json", NULL);
  assert_int_equal(g_mkdir_with_parents(path, 0700), 0);
  assert_true(g_file_set_contents(config, json, -1, NULL));
  g_free(config);
  g_free(path);
}

static void _install(const char *dir, const char *folder, const char *id, const char *name, const char *task)
{
  char *json = g_strdup_printf("{\"id\": \"%s\", \"name\": \"%s\", \"task\": \"%s\"}", id, name, task);
  _write_config(dir, folder, json);
  g_free(json);
}

static char *_below_world(const char *relative)
{
  return g_build_filename(_world, relative, NULL);
}

/* The found models whose id begins with @p prefix as "id=name id=name …", in order. */
static char *_found(dt_ai_environment_t *env, const char *prefix)
{
  GString *list = g_string_new(NULL);
  for(int i = 0; i < dt_ai_get_model_count(env); i++)
  {
    const dt_ai_model_info_t *info = dt_ai_get_model_info_by_index(env, i);
    assert_ptr_equal(dt_ai_get_model_info_by_id(env, info->id), info);
    if(g_str_has_prefix(info->id, prefix))
      g_string_append_printf(list, "%s%s=%s", list->len ? " " : "", info->id, info->name);
  }
  return g_string_free(list, FALSE);
}

static void _assert_found(dt_ai_environment_t *env, const char *prefix, const char *expected)
{
  char *found = _found(env, prefix);
  assert_string_equal(found, expected);
  g_free(found);
}

static void test_disabled(void **state)
{
  (void)state;
  char *fixtures = test_fixture("models"), *identity = g_build_filename(fixtures, "test-identity", NULL);
  dt_conf_override(DT_CONF_AI_ENABLED, "FALSE");
  assert_null(dt_ai_env_init(fixtures));
  _assert_last_error(DT_AI_ERROR_DISABLED, "darktable-ai enable");
  assert_null(dt_ai_onnx_load_ext(identity, NULL, DT_AI_PROVIDER_CPU, DT_AI_OPT_ALL, NULL, 0));
  _assert_last_error(DT_AI_ERROR_DISABLED, "darktable-ai enable");
  /* an environment from before does not help */
  assert_null(dt_ai_load_model(_env, "test-identity", NULL, DT_AI_PROVIDER_CPU));
  _assert_last_error(DT_AI_ERROR_DISABLED, NULL);
  dt_conf_override(DT_CONF_AI_ENABLED, "TRUE");
  assert_true(dt_ai_is_supported());
  dt_ai_env_destroy(NULL);
  assert_int_equal(dt_ai_get_model_count(NULL), 0);
  assert_null(dt_ai_get_model_info_by_index(NULL, 0));
  assert_null(dt_ai_get_model_info_by_id(NULL, "x"));
  assert_null(dt_ai_get_model_info_by_id(_env, NULL));
  g_free(identity);
  g_free(fixtures);
}

/* Search paths in their order, then configuration, then user data; by name within one; first id wins. */
static void test_discovery_order(void **state)
{
  (void)state;
  char *one = _below_world("one"), *two = _below_world("two");
  char *config = _below_world("config/models"), *data = _below_world("darktable/models");
  _install(one, "b", "o-b", "one", "t");
  _install(one, "a", "o-same", "one", "t");
  _install(two, "a", "o-same", "two", "t");
  _install(two, "z", "o-z", "two", "t");
  _install(config, "a", "o-z", "config", "t");
  _install(config, "c", "o-c", "config", "t");
  _install(data, "a", "o-c", "data", "t");
  _install(data, "d", "o-d", "data", "t");
  char *paths = g_strdup_printf("/no/such/place; %s ;;%s;", one, two);
  dt_ai_environment_t *env = dt_ai_env_init(paths);
  _assert_found(env, "o-", "o-same=one o-b=one o-z=two o-c=config o-d=data");
  assert_int_equal(dt_ai_env_get_problem_count(env), 0);
  assert_null(dt_ai_get_model_info_by_index(env, -1));
  assert_null(dt_ai_get_model_info_by_index(env, dt_ai_get_model_count(env)));
  assert_null(dt_ai_get_model_info_by_id(env, "o-nothing"));
  const dt_ai_model_info_t *info = dt_ai_get_model_info_by_id(env, "o-z");
  assert_true(g_path_is_absolute(info->directory) && g_str_has_suffix(info->directory, "two/z"));
  assert_string_equal(info->backend, "onnx");
  assert_string_equal(info->arch, "generic");
  assert_int_equal(info->num_inputs, 1);
  dt_ai_env_destroy(env);
  env = dt_ai_env_init(NULL);
  _assert_found(env, "o-", "o-z=config o-c=config o-d=data");
  dt_ai_env_destroy(env);
  g_free(paths);
  g_free(data);
  g_free(config);
  g_free(two);
  g_free(one);
}

static void test_what_is_skipped(void **state)
{
  (void)state;
  char *dir = _below_world("skipped"), *empty = _below_world("skipped/empty"),
       *file = _below_world("skipped/file");
  _install(dir, ".hidden", "s-hidden", "hidden", "t");
  _install(dir, "good", "s-good", "good", "t");
  _write_config(dir, "broken-a", "{");
  _write_config(dir, "broken-b", "{\"id\": \"../evil\", \"name\": \"x\"}");
  g_mkdir(empty, 0700);
  assert_true(g_file_set_contents(file, "x", -1, NULL));
  dt_ai_environment_t *env = dt_ai_env_init(dir);
  _assert_found(env, "s-", "s-good=good");
  assert_int_equal(dt_ai_env_get_problem_count(env), 2);
  assert_non_null(strstr(dt_ai_env_get_problem(env, 0), "broken-a"));
  assert_non_null(strstr(dt_ai_env_get_problem(env, 1), "broken-b"));
  assert_non_null(strstr(dt_ai_env_get_problem(env, 1), "plain file name"));
  assert_null(dt_ai_env_get_problem(env, 2));
  assert_null(dt_ai_env_get_problem(env, -1));
  dt_ai_env_destroy(env);
  g_free(file);
  g_free(empty);
  g_free(dir);
}

static void test_refresh(void **state)
{
  (void)state;
  char *dir = _below_world("refresh"), *broken = _below_world("refresh/broken/config.json");
  _install(dir, "a", "r-a", "first", "t");
  _write_config(dir, "broken", "[");
  dt_ai_environment_t *env = dt_ai_env_init(dir);
  const dt_ai_model_info_t *old = dt_ai_get_model_info_by_id(env, "r-a");
  const char *problem = dt_ai_env_get_problem(env, 0);
  char *copy = g_strdup(problem);
  _install(dir, "a", "r-a", "second", "t");
  _install(dir, "b", "r-b", "new", "t");
  g_unlink(broken);
  for(int i = 0; i < 20; i++) dt_ai_env_refresh(env);
  _assert_found(env, "r-", "r-a=second r-b=new");
  assert_int_equal(dt_ai_env_get_problem_count(env), 0);
  assert_null(dt_ai_env_get_problem(env, 0));
  /* what was handed out stays as it was */
  assert_string_equal(old->id, "r-a");
  assert_string_equal(old->name, "first");
  assert_string_equal(problem, copy);
  dt_ai_env_destroy(env);
  g_free(copy);
  g_free(broken);
  g_free(dir);
}

static void _assert_active(dt_ai_environment_t *env, const char *task, const char *id, const char *words)
{
  const dt_ai_model_info_t *info = dt_ai_env_get_active_model(env, task);
  if(id)
  {
    assert_non_null(info);
    assert_string_equal(info->id, id);
    return;
  }
  assert_null(info);
  _assert_last_error(DT_AI_ERROR_NO_MODEL, words);
}

static void test_active_model(void **state)
{
  (void)state;
  char *dir = _below_world("active");
  _install(dir, "1", "a-first", "x", "unset");
  _install(dir, "2", "a-second", "x", "unset");
  _install(dir, "3", "a-third", "x", "explicit");
  _install(dir, "4", "a-fourth", "x", "explicit");
  _install(dir, "5", "a-fifth", "x", "none");
  _install(dir, "6", "a-sixth", "x", "missing");
  dt_conf_override(DT_CONF_AI_ACTIVE_MODEL "explicit", "a-fourth");
  dt_conf_override(DT_CONF_AI_ACTIVE_MODEL "none", "");
  dt_conf_override(DT_CONF_AI_ACTIVE_MODEL "missing", "a-gone");
  dt_ai_environment_t *env = dt_ai_env_init(dir);
  _assert_active(env, "unset", "a-first", NULL);
  _assert_active(env, "explicit", "a-fourth", NULL);
  _assert_active(env, "none", NULL, "none is active");
  _assert_active(env, "missing", NULL, "a-gone");
  _assert_active(env, "no-such-task", NULL, "No model for no-such-task is installed");
  dt_ai_env_destroy(env);
  g_free(dir);
}

/* Without a choice, the model that came with the program comes before all that were found earlier. */
static void test_bundled_model_is_the_default(void **state)
{
  (void)state;
  char *bundled = dt_paths_bundled("models");
  int n = 0;
  for(int i = 0; bundled && i < dt_ai_get_model_count(_env); i++)
  {
    const dt_ai_model_info_t *info = dt_ai_get_model_info_by_index(_env, i);
    if(!g_str_has_prefix(info->directory, bundled)) continue;
    const dt_ai_model_info_t *active = dt_ai_env_get_active_model(_env, info->task_type);
    assert_true(active && g_str_has_prefix(active->directory, bundled));
    n++;
  }
  g_free(bundled);
  if(!n) skip();
}

/* --- providers --- */

static void test_provider_names(void **state)
{
  (void)state;
  static const struct
  {
    dt_ai_provider_t provider;
    const char *config, *display;
  } names[] = {
    { DT_AI_PROVIDER_AUTO, "auto", "auto" },
    { DT_AI_PROVIDER_CPU, "CPU", "CPU" },
    { DT_AI_PROVIDER_COREML, "CoreML", "Apple CoreML" },
    { DT_AI_PROVIDER_CUDA, "CUDA", "NVIDIA CUDA" },
    { DT_AI_PROVIDER_MIGRAPHX, "MIGraphX", "AMD MIGraphX" },
    { DT_AI_PROVIDER_OPENVINO, "OpenVINO", "Intel OpenVINO" },
    { DT_AI_PROVIDER_DIRECTML, "DirectML", "Windows DirectML" },
    { DT_AI_PROVIDER_WEBGPU, "WebGPU", "WebGPU" },
  };
  assert_int_equal(G_N_ELEMENTS(names), DT_AI_PROVIDER_COUNT);
  for(size_t i = 0; i < G_N_ELEMENTS(names); i++)
  {
    assert_int_equal(names[i].provider, i);
    assert_int_equal(dt_ai_providers[i].value, i);
    assert_string_equal(dt_ai_providers[i].config_string, names[i].config);
    assert_string_equal(dt_ai_provider_to_string(names[i].provider), names[i].display);
    const char *const spelled[] = { names[i].config, names[i].display };
    for(int s = 0; s < 2; s++)
    {
      char *lower = g_ascii_strdown(spelled[s], -1), *upper = g_ascii_strup(spelled[s], -1);
      assert_int_equal(dt_ai_provider_from_string(spelled[s]), i);
      assert_int_equal(dt_ai_provider_from_string(lower), i);
      assert_int_equal(dt_ai_provider_from_string(upper), i);
      g_free(upper);
      g_free(lower);
    }
  }
  assert_int_equal(dt_ai_provider_from_string("ROCm"), DT_AI_PROVIDER_MIGRAPHX);
  assert_int_equal(dt_ai_provider_from_string("rocm"), DT_AI_PROVIDER_MIGRAPHX);
  static const char *const unknown[] = { NULL, "", "GPU", "CUDA ", "NVIDIA" };
  for(size_t i = 0; i < G_N_ELEMENTS(unknown); i++)
    assert_int_equal(dt_ai_provider_from_string(unknown[i]), DT_AI_PROVIDER_AUTO);
  static const int outside[] = { -1, DT_AI_PROVIDER_COUNT, 1000, G_MININT, G_MAXINT };
  for(size_t i = 0; i < G_N_ELEMENTS(outside); i++)
    assert_string_equal(dt_ai_provider_to_string((dt_ai_provider_t)outside[i]), "auto");
}

static void test_probes(void **state)
{
  (void)state;
  assert_int_equal(dt_ai_probe_provider(DT_AI_PROVIDER_AUTO), 1);
  assert_int_equal(dt_ai_probe_provider(DT_AI_PROVIDER_CPU), 1);
  static const int absent[] = { DT_AI_PROVIDER_DIRECTML, DT_AI_PROVIDER_COREML, DT_AI_PROVIDER_COUNT, -1,
                                99 };
  for(size_t i = 0; i < G_N_ELEMENTS(absent); i++)
  {
    assert_int_equal(dt_ai_probe_provider((dt_ai_provider_t)absent[i]), 0);
    _assert_last_error(DT_AI_ERROR_PROVIDER, NULL);
  }
  const char *path = NULL;
  assert_non_null(dt_ai_runtime_version(&path));
  assert_true(g_path_is_absolute(path));
}

static void _hear(unsigned topics, const char *line, void *data)
{
  if(topics & DT_LOG_NOTICE) g_string_append_printf(data, "%s\n", line);
}

/* A provider that cannot be used is replaced by the CPU, and that is said. */
static void test_providers_fall_back(void **state)
{
  (void)state;
  GString *heard = g_string_new(NULL);
  dt_log_set_handler(_hear, heard, DT_LOG_NOTICE);
  for(int i = DT_AI_PROVIDER_COREML; i < DT_AI_PROVIDER_COUNT; i++)
  {
    if(dt_ai_probe_provider((dt_ai_provider_t)i)) continue;
    g_string_truncate(heard, 0);
    dt_ai_context_t *ctx = dt_ai_load_model(_env, "test-identity", NULL, (dt_ai_provider_t)i);
    assert_non_null(ctx);
    assert_int_equal(dt_ai_get_provider(ctx), DT_AI_PROVIDER_CPU);
    const char *name = dt_ai_provider_to_string((dt_ai_provider_t)i);
    assert_non_null(strstr(dt_ai_get_fallback(ctx), name));
    assert_non_null(strstr(heard->str, name));
    assert_true(g_str_has_prefix(dt_ai_get_placement(ctx), "CPU "));
    assert_null(dt_ai_get_device(ctx));
    dt_ai_unload_model(ctx);
  }
  dt_log_set_handler(NULL, NULL, 0);
  g_string_free(heard, TRUE);
  assert_null(dt_ai_load_model(_env, "test-identity", NULL, (dt_ai_provider_t)99));
  _assert_last_error(DT_AI_ERROR_PROVIDER, NULL);
  /* the environment's choice stands in for auto */
  assert_int_equal(dt_ai_env_get_provider(_env), DT_AI_PROVIDER_AUTO);
  dt_ai_env_set_provider(_env, DT_AI_PROVIDER_DIRECTML);
  dt_ai_context_t *ctx = dt_ai_load_model(_env, "test-identity", NULL, DT_AI_PROVIDER_AUTO);
  dt_ai_env_set_provider(_env, DT_AI_PROVIDER_AUTO);
  assert_non_null(ctx);
  assert_non_null(strstr(dt_ai_get_fallback(ctx), "DirectML"));
  dt_ai_unload_model(ctx);
}

static void test_provider_setting(void **state)
{
  (void)state;
  dt_conf_override(DT_CONF_AI_PROVIDER, "apple coreml");
  dt_ai_environment_t *env = dt_ai_env_init(NULL);
  assert_int_equal(dt_ai_env_get_provider(env), DT_AI_PROVIDER_COREML);
  dt_ai_env_destroy(env);
  dt_conf_override(DT_CONF_AI_PROVIDER, "auto");
}

/* --- loading --- */

static void _load_all_of(const dt_ai_model_info_t *info)
{
  GDir *dir = g_dir_open(info->directory, 0, NULL);
  for(const char *name; (name = g_dir_read_name(dir));)
  {
    if(!g_str_has_suffix(name, ".onnx")) continue;
    dt_ai_context_t *ctx = dt_ai_load_model(_env, info->id, name, DT_AI_PROVIDER_CPU);
    if(!ctx) fail_msg("%s/%s: %s", info->id, name, dt_ai_last_error()->message);
    assert_true(dt_ai_get_input_count(ctx) >= 1);
    assert_true(dt_ai_get_output_count(ctx) >= 1);
    assert_int_equal(dt_ai_get_provider(ctx), DT_AI_PROVIDER_CPU);
    dt_ai_unload_model(ctx);
  }
  g_dir_close(dir);
}

static void test_every_fixture_loads(void **state)
{
  (void)state;
  int n = 0;
  for(int i = 0; i < dt_ai_get_model_count(_env); i++)
  {
    const dt_ai_model_info_t *info = dt_ai_get_model_info_by_index(_env, i);
    if(strncmp(info->id, "broken-", 7) == 0 || strcmp(info->id, "test-double") == 0) continue;
    if(!strstr(info->directory, "fixtures")) continue;
    _load_all_of(info);
    n++;
  }
  assert_true(n >= 19);
}

/* Unusable files are refused on loading, unusable networks by the task; always with a sentence. */
static void test_broken_models(void **state)
{
  (void)state;
  static const struct
  {
    const char *id;
    gboolean loads;
    const char *words;
  } models[] = {
    { "broken-onnx", FALSE, "not a valid ONNX model" },
    { "broken-external", FALSE, "another file" },
    { "broken-wrong-names", TRUE, "\"image\" instead of \"input\"" },
    { "broken-rank", TRUE, "3 dimensions" },
    { "broken-type", TRUE, "floating-point" },
    { "broken-channels", TRUE, "[1, 1, H, W]" },
    { "test-double", FALSE, "element type" },
  };
  for(size_t i = 0; i < G_N_ELEMENTS(models); i++)
  {
    dt_ai_context_t *ctx = dt_ai_load_model(_env, models[i].id, NULL, DT_AI_PROVIDER_CPU);
    assert_int_equal(ctx != NULL, models[i].loads);
    if(!ctx) _assert_last_error(DT_AI_ERROR_NO_MODEL, models[i].words);
    dt_ai_unload_model(ctx);
    const char *task = dt_ai_get_model_info_by_id(_env, models[i].id)->task_type;
    GError *error = NULL;
    assert_null(dt_restore_load(_env, task, models[i].id, NULL, &error));
    assert_true(g_error_matches(error, DT_AI_ERROR, DT_AI_ERROR_NO_MODEL));
    if(!strstr(error->message, models[i].words)) fail_msg("%s: %s", models[i].id, error->message);
    g_error_free(error);
  }
}

static void test_what_cannot_be_loaded(void **state)
{
  (void)state;
  static const char *const files[] = { "../denoise-conv3/model.onnx",
                                       "..",
                                       ".",
                                       "",
                                       "/etc/passwd",
                                       "sub/model.onnx",
                                       "a\\b",
                                       "no-such.onnx",
                                       "config.json" };
  for(size_t i = 0; i < G_N_ELEMENTS(files); i++)
  {
    assert_null(dt_ai_load_model(_env, "test-identity", files[i], DT_AI_PROVIDER_CPU));
    _assert_last_error(DT_AI_ERROR_NO_MODEL, NULL);
  }
  static const char *const ids[] = { "no-such-model", "../x", "", NULL };
  for(size_t i = 0; i < G_N_ELEMENTS(ids); i++)
  {
    assert_null(dt_ai_load_model(_env, ids[i], NULL, DT_AI_PROVIDER_CPU));
    _assert_last_error(DT_AI_ERROR_NO_MODEL, "models list");
  }
  assert_null(dt_ai_onnx_load_ext("/no/such/place", NULL, DT_AI_PROVIDER_CPU, DT_AI_OPT_ALL, NULL, 0));
  _assert_last_error(DT_AI_ERROR_NO_MODEL, "/no/such/place");
  dt_ai_unload_model(NULL);
}

/* Even a file that is there is not followed out of the model's folder. */
static void test_external_data_is_refused(void **state)
{
  (void)state;
  char *fixture = test_fixture("models/broken-external/model.onnx"), *bytes = NULL;
  char *folder = _below_world("external/model"), *secret = _below_world("external/secret");
  char *copy = g_build_filename(folder, "model.onnx", NULL);
  char weights[12] = { 0 };
  gsize size;
  assert_int_equal(g_mkdir_with_parents(folder, 0700), 0);
  assert_true(g_file_get_contents(fixture, &bytes, &size, NULL));
  assert_true(g_file_set_contents(copy, bytes, (gssize)size, NULL));
  assert_true(g_file_set_contents(secret, weights, sizeof weights, NULL));
  assert_null(dt_ai_onnx_load_ext(folder, NULL, DT_AI_PROVIDER_CPU, DT_AI_OPT_ALL, NULL, 0));
  _assert_last_error(DT_AI_ERROR_NO_MODEL, "not followed");
  g_free(bytes);
  g_free(copy);
  g_free(secret);
  g_free(folder);
  g_free(fixture);
}

static void _assert_slot(dt_ai_context_t *ctx, gboolean input, int index, const char *name,
                         dt_ai_dtype_t type, int ndim, const int64_t *expected)
{
  int64_t shape[8] = { 0 };
  assert_string_equal((input ? dt_ai_get_input_name : dt_ai_get_output_name)(ctx, index), name);
  assert_int_equal((input ? dt_ai_get_input_type : dt_ai_get_output_type)(ctx, index), type);
  assert_int_equal((input ? dt_ai_get_input_shape : dt_ai_get_output_shape)(ctx, index, shape, 8), ndim);
  for(int i = 0; i < ndim; i++) assert_int_equal(shape[i], expected[i]);
}

static void test_introspection(void **state)
{
  (void)state;
  dt_ai_context_t *ctx = _load("denoise-sigma");
  assert_int_equal(dt_ai_get_input_count(ctx), 2);
  assert_int_equal(dt_ai_get_output_count(ctx), 1);
  _assert_slot(ctx, TRUE, 0, "input", DT_AI_FLOAT, 4, _shape(1, 3, -1, -1));
  _assert_slot(ctx, TRUE, 1, "sigma", DT_AI_FLOAT, 4, _shape(1, 1, -1, -1));
  _assert_slot(ctx, FALSE, 0, "output", DT_AI_FLOAT, 4, _shape(1, 3, -1, -1));
  int64_t two[3] = { 7, 7, 7 };
  assert_int_equal(dt_ai_get_input_shape(ctx, 0, two, 2), 4);
  assert_true(two[0] == 1 && two[1] == 3 && two[2] == 7);
  assert_int_equal(dt_ai_get_input_shape(ctx, 0, NULL, 0), 4);
  assert_int_equal(dt_ai_get_input_shape(ctx, 0, NULL, -1), 4);
  dt_ai_unload_model(ctx);
  ctx = _load("denoise-static");
  _assert_slot(ctx, TRUE, 0, "input", DT_AI_FLOAT, 4, _shape(1, 3, 64, 64));
  dt_ai_unload_model(ctx);
  ctx = _load("denoise-fp16");
  _assert_slot(ctx, TRUE, 0, "input", DT_AI_FLOAT16, 4, _shape(1, 3, -1, -1));
  _assert_slot(ctx, FALSE, 0, "output", DT_AI_FLOAT16, 4, _shape(1, 3, -1, -1));
  dt_ai_unload_model(ctx);
}

static void test_introspection_out_of_range(void **state)
{
  (void)state;
  dt_ai_context_t *ctx = _load("denoise-conv3");
  int64_t shape[4];
  static const int indices[] = { -1, 1, 99, G_MAXINT, G_MININT };
  for(size_t i = 0; i < G_N_ELEMENTS(indices); i++)
    for(int null = 0; null < 2; null++)
    {
      dt_ai_context_t *c = null ? NULL : ctx;
      assert_null(dt_ai_get_input_name(c, indices[i]));
      assert_null(dt_ai_get_output_name(c, indices[i]));
      assert_int_equal(dt_ai_get_input_type(c, indices[i]), DT_AI_FLOAT);
      assert_int_equal(dt_ai_get_output_type(c, indices[i]), DT_AI_FLOAT);
      assert_int_equal(dt_ai_get_input_shape(c, indices[i], shape, 4), -1);
      assert_int_equal(dt_ai_get_output_shape(c, indices[i], shape, 4), -1);
    }
  assert_int_equal(dt_ai_get_input_count(NULL), 0);
  assert_int_equal(dt_ai_get_output_count(NULL), 0);
  dt_ai_unload_model(ctx);
}

static void test_element_count(void **state)
{
  (void)state;
  assert_int_equal(dt_ai_tensor_element_count(_shape(1, 3, 4, 5), 4), 60);
  assert_int_equal(dt_ai_tensor_element_count(NULL, 0), 1);
  assert_int_equal(dt_ai_tensor_element_count(_shape(3, 0), 2), 0);
  assert_int_equal(dt_ai_tensor_element_count(_shape(3, -1), 2), 0);
  assert_int_equal(dt_ai_tensor_element_count(_shape(-1, -1), 2), 0);
  assert_int_equal(dt_ai_tensor_element_count(_shape(INT64_C(1) << 32, INT64_C(1) << 32), 2), 0);
  assert_int_equal(dt_ai_tensor_element_count(_shape(INT64_MIN), 1), 0);
  assert_true(dt_ai_tensor_element_count(_shape(INT64_MAX), 1) == (size_t)INT64_MAX);
}

/* --- running --- */

static void test_identity(void **state)
{
  (void)state;
  dt_ai_context_t *ctx = _load("test-identity");
  static const int sizes[][2] = { { 1, 1 }, { 7, 3 }, { 64, 48 } };
  for(size_t i = 0; i < G_N_ELEMENTS(sizes); i++)
  {
    _buffer_t in, out;
    _buffer_init(&in, DT_AI_FLOAT, 4, _shape(1, 3, sizes[i][0], sizes[i][1]));
    _buffer_init(&out, DT_AI_FLOAT, 4, in.shape);
    _fill(&in, 3 + i);
    assert_int_equal(dt_ai_run(ctx, &in.tensor, 1, &out.tensor, 1), DT_AI_RUN_OK);
    assert_memory_equal(out.tensor.data, in.tensor.data, in.bytes);
    _buffer_cleanup(&in);
    _buffer_cleanup(&out);
  }
  dt_ai_unload_model(ctx);
}

static void test_special_values(void **state)
{
  (void)state;
  static const float values[12] = { NAN,    INFINITY, -INFINITY, 1e-40f, -1e-45f, 3.4028235e38f,
                                    -1e30f, 0.0f,     1.0f,      1e-38f, 65520.f, -7.5f };
  dt_ai_context_t *ctx = _load("test-identity");
  _buffer_t in, out;
  _buffer_init(&in, DT_AI_FLOAT, 4, _shape(1, 3, 2, 2));
  _buffer_init(&out, DT_AI_FLOAT, 4, in.shape);
  memcpy(in.tensor.data, values, sizeof values);
  assert_int_equal(dt_ai_run(ctx, &in.tensor, 1, &out.tensor, 1), DT_AI_RUN_OK);
  const float *result = out.tensor.data;
  assert_true(isnan(result[0]));
  assert_memory_equal(result + 1, values + 1, sizeof values - sizeof *values);
  _buffer_cleanup(&in);
  _buffer_cleanup(&out);
  dt_ai_unload_model(ctx);
}

/* A float16 model with buffers of both types in both places: the same numbers, near those of its float32
 * twin. */
static void test_half_models(void **state)
{
  (void)state;
  enum
  {
    N = 3 * 16 * 24
  };
  dt_ai_context_t *half = _load("denoise-fp16"), *full = _load("denoise-shuffle");
  _buffer_t in, out, in16, out16, twin;
  const int64_t *shape = _shape(1, 3, 16, 24);
  _buffer_init(&in, DT_AI_FLOAT, 4, shape);
  _buffer_init(&out, DT_AI_FLOAT, 4, shape);
  _buffer_init(&twin, DT_AI_FLOAT, 4, shape);
  _buffer_init(&in16, DT_AI_FLOAT16, 4, shape);
  _buffer_init(&out16, DT_AI_FLOAT16, 4, shape);
  _fill(&in, 17);
  dt_float_to_half(in.tensor.data, in16.tensor.data, N);
  assert_int_equal(dt_ai_run(half, &in.tensor, 1, &out.tensor, 1), DT_AI_RUN_OK);
  assert_int_equal(dt_ai_run(half, &in16.tensor, 1, &out16.tensor, 1), DT_AI_RUN_OK);
  float widened[N];
  dt_half_to_float(out16.tensor.data, widened, N);
  assert_memory_equal(widened, out.tensor.data, sizeof widened);
  assert_int_equal(dt_ai_run(half, &in16.tensor, 1, &out.tensor, 1), DT_AI_RUN_OK);
  assert_memory_equal(widened, out.tensor.data, sizeof widened);
  assert_int_equal(dt_ai_run(half, &in.tensor, 1, &out16.tensor, 1), DT_AI_RUN_OK);
  dt_half_to_float(out16.tensor.data, widened, N);
  assert_memory_equal(widened, out.tensor.data, sizeof widened);
  assert_int_equal(dt_ai_run(full, &in.tensor, 1, &twin.tensor, 1), DT_AI_RUN_OK);
  for(int i = 0; i < N; i++) assert_true(fabsf(widened[i] - ((float *)twin.tensor.data)[i]) < 0.02f);
  _buffer_t *all[] = { &in, &out, &in16, &out16, &twin };
  for(size_t i = 0; i < G_N_ELEMENTS(all); i++) _buffer_cleanup(all[i]);
  dt_ai_unload_model(full);
  dt_ai_unload_model(half);
}

static void test_counts(void **state)
{
  (void)state;
  dt_ai_context_t *ctx = _load("test-identity");
  _buffer_t in, out;
  _buffer_init(&in, DT_AI_FLOAT, 4, _shape(1, 3, 2, 2));
  _buffer_init(&out, DT_AI_FLOAT, 4, in.shape);
  memset(in.tensor.data, 0, in.bytes);
  static const int counts[][2] = { { 0, 1 },  { 1, 0 }, { 2, 1 },       { 1, 2 },
                                   { -1, 1 }, { 0, 0 }, { G_MAXINT, 1 } };
  for(size_t i = 0; i < G_N_ELEMENTS(counts); i++)
  {
    assert_int_equal(dt_ai_run(ctx, &in.tensor, counts[i][0], &out.tensor, counts[i][1]),
                     DT_AI_RUN_COUNT_MISMATCH);
    _assert_last_error(DT_AI_ERROR_USAGE, "1 inputs and 1 outputs");
  }
  assert_int_equal(dt_ai_run(ctx, NULL, 1, &out.tensor, 1), DT_AI_RUN_COUNT_MISMATCH);
  assert_int_equal(dt_ai_run(ctx, &in.tensor, 1, NULL, 1), DT_AI_RUN_COUNT_MISMATCH);
  assert_int_equal(dt_ai_run(NULL, &in.tensor, 1, &out.tensor, 1), DT_AI_RUN_NO_CONTEXT);
  _assert_last_error(DT_AI_ERROR_USAGE, NULL);
  assert_int_equal(dt_ai_run(ctx, &in.tensor, 1, &out.tensor, 1), DT_AI_RUN_OK);
  _buffer_cleanup(&in);
  _buffer_cleanup(&out);
  dt_ai_unload_model(ctx);
}

static void test_bad_tensors(void **state)
{
  (void)state;
  dt_ai_context_t *ctx = _load("test-identity");
  _buffer_t in, out;
  _buffer_init(&in, DT_AI_FLOAT, 4, _shape(1, 3, 2, 2));
  _buffer_init(&out, DT_AI_FLOAT, 4, in.shape);
  memset(in.tensor.data, 0, in.bytes);
  int64_t zero[] = { 1, 3, 0, 2 }, negative[] = { 1, 3, -1, 2 },
          vast[] = { INT64_C(1) << 40, INT64_C(1) << 40 };
  int64_t many[99];
  for(int i = 0; i < 99; i++) many[i] = 1;
  void *data = in.tensor.data;
  const dt_ai_tensor_t bad[] = {
    { NULL, DT_AI_FLOAT, in.shape, 4 },      { data, DT_AI_FLOAT, NULL, 4 },
    { data, (dt_ai_dtype_t)0, in.shape, 4 }, { data, (dt_ai_dtype_t)99, in.shape, 4 },
    { data, DT_AI_INT32, in.shape, 4 },      { data, DT_AI_UINT8, in.shape, 4 },
    { data, DT_AI_FLOAT, zero, 4 },          { data, DT_AI_FLOAT, negative, 4 },
    { data, DT_AI_FLOAT, many, 99 },         { data, DT_AI_FLOAT, many, 17 },
    { data, DT_AI_FLOAT, in.shape, -1 },     { data, DT_AI_FLOAT, vast, 2 },
  };
  for(size_t i = 0; i < G_N_ELEMENTS(bad); i++)
  {
    dt_ai_tensor_t tensor = bad[i];
    assert_int_equal(dt_ai_run(ctx, &tensor, 1, &out.tensor, 1), DT_AI_RUN_BAD_TENSOR);
    _assert_last_error(DT_AI_ERROR_USAGE, "Input tensor 0");
    assert_int_equal(dt_ai_run(ctx, &in.tensor, 1, &tensor, 1), DT_AI_RUN_BAD_TENSOR);
    _assert_last_error(DT_AI_ERROR_USAGE, "Output tensor 0");
  }
  assert_int_equal(dt_ai_run(ctx, &in.tensor, 1, &out.tensor, 1), DT_AI_RUN_OK);
  _buffer_cleanup(&in);
  _buffer_cleanup(&out);
  dt_ai_unload_model(ctx);
}

/* A shape that is a shape, but not the model's. */
static void test_shapes_the_model_refuses(void **state)
{
  (void)state;
  dt_ai_context_t *ctx = _load("denoise-static");
  static const int64_t shapes[][4] = {
    { 1, 3, 64, 63 }, { 1, 1, 64, 64 }, { 2, 3, 64, 64 }, { 1, 3, 128, 128 }
  };
  _buffer_t good, out;
  _buffer_init(&good, DT_AI_FLOAT, 4, _shape(1, 3, 64, 64));
  _buffer_init(&out, DT_AI_FLOAT, 4, good.shape);
  _fill(&good, 5);
  for(size_t i = 0; i < G_N_ELEMENTS(shapes); i++)
  {
    _buffer_t other;
    _buffer_init(&other, DT_AI_FLOAT, 4, shapes[i]);
    _fill(&other, 5);
    assert_int_equal(dt_ai_run(ctx, &other.tensor, 1, &out.tensor, 1), DT_AI_RUN_FAILED);
    _assert_last_error(DT_AI_ERROR_FAILED, NULL);
    assert_int_equal(dt_ai_run(ctx, &good.tensor, 1, &other.tensor, 1), DT_AI_RUN_FAILED);
    _assert_last_error(DT_AI_ERROR_FAILED, NULL);
    _buffer_cleanup(&other);
  }
  dt_ai_tensor_t scalar = { good.tensor.data, DT_AI_FLOAT, good.shape, 0 };
  assert_int_equal(dt_ai_run(ctx, &scalar, 1, &out.tensor, 1), DT_AI_RUN_FAILED);
  assert_int_equal(dt_ai_run(ctx, &good.tensor, 1, &out.tensor, 1), DT_AI_RUN_OK);
  _buffer_cleanup(&good);
  _buffer_cleanup(&out);
  dt_ai_unload_model(ctx);
}

/* --- outputs whose size only the run tells --- */

/* An image of 12 values of which the first @p n are not zero: output [4, n]. */
static int _run_dynamic(dt_ai_context_t *ctx, int n, _buffer_t *out)
{
  _buffer_t in;
  _buffer_init(&in, DT_AI_FLOAT, 4, _shape(1, 3, 2, 2));
  for(int i = 0; i < 12; i++) ((float *)in.tensor.data)[i] = i < n ? 1.0f : 0.0f;
  const int result = dt_ai_run(ctx, &in.tensor, 1, &out->tensor, 1);
  _buffer_cleanup(&in);
  return result;
}

static void test_dynamic_outputs(void **state)
{
  (void)state;
  dt_ai_context_t *ctx = _load("test-dynamic-output");
  for(int n = 0; n <= 12; n++)
  {
    _buffer_t out;
    _buffer_init(&out, DT_AI_FLOAT, 4, _shape(1, 1, 4, 12));
    assert_int_equal(_run_dynamic(ctx, n, &out), DT_AI_RUN_OK);
    assert_int_equal(out.tensor.ndim, 2);
    assert_int_equal(out.shape[0], 4);
    assert_int_equal(out.shape[1], n);
    /* the channel index of each value found: 0 0 0 0 1 1 1 1 … */
    for(int i = 0; i < n; i++) assert_true(((float *)out.tensor.data)[n + i] == (float)(i / 4));
    for(size_t i = (size_t)n * 16; i < out.bytes; i++)
      assert_int_equal(((unsigned char *)out.tensor.data)[i], GUARD);
    _buffer_cleanup(&out);
  }
  dt_ai_unload_model(ctx);
}

/* The trap: after a run the shape is the result's. What the buffer holds is what the shape said before. */
static void test_dynamic_outputs_that_do_not_fit(void **state)
{
  (void)state;
  dt_ai_context_t *ctx = _load("test-dynamic-output");
  for(int room = 1; room < 12; room++)
  {
    _buffer_t out;
    _buffer_init(&out, DT_AI_FLOAT, 2, _shape(4, room));
    for(int n = room + 1; n <= 12; n++)
    {
      assert_int_equal(_run_dynamic(ctx, n, &out), DT_AI_RUN_FAILED);
      _assert_last_error(DT_AI_ERROR_FAILED, "the buffer given for it holds");
      assert_int_equal(out.shape[1], room);
      for(size_t i = 0; i < out.bytes; i++) assert_int_equal(((unsigned char *)out.tensor.data)[i], GUARD);
      _buffer_check(&out);
    }
    assert_int_equal(_run_dynamic(ctx, room, &out), DT_AI_RUN_OK);
    _buffer_cleanup(&out);
  }
  /* enough elements, but too few dimensions to say the shape in */
  _buffer_t flat;
  _buffer_init(&flat, DT_AI_FLOAT, 1, _shape(48));
  assert_int_equal(_run_dynamic(ctx, 12, &flat), DT_AI_RUN_FAILED);
  _buffer_cleanup(&flat);
  /* the same tensor twice: the second time the shape of the first result is what it holds */
  _buffer_t twice;
  _buffer_init(&twice, DT_AI_FLOAT, 2, _shape(4, 12));
  assert_int_equal(_run_dynamic(ctx, 3, &twice), DT_AI_RUN_OK);
  assert_int_equal(_run_dynamic(ctx, 12, &twice), DT_AI_RUN_FAILED);
  _buffer_cleanup(&twice);
  dt_ai_unload_model(ctx);
}

static void test_outputs_larger_than_declared(void **state)
{
  (void)state;
  dt_ai_context_t *ctx = _load("test-big-output");
  _buffer_t in, small, large, half;
  _buffer_init(&in, DT_AI_FLOAT, 4, _shape(1, 3, 8, 8));
  _buffer_init(&small, DT_AI_FLOAT, 4, _shape(1, 3, 8, 8));
  _buffer_init(&large, DT_AI_FLOAT, 4, _shape(1, 9, 8, 8));
  _buffer_init(&half, DT_AI_FLOAT16, 4, _shape(1, 8, 8, 8));
  _fill(&in, 9);
  assert_int_equal(dt_ai_run(ctx, &in.tensor, 1, &small.tensor, 1), DT_AI_RUN_FAILED);
  assert_int_equal(dt_ai_run(ctx, &in.tensor, 1, &half.tensor, 1), DT_AI_RUN_FAILED);
  assert_int_equal(dt_ai_run(ctx, &in.tensor, 1, &large.tensor, 1), DT_AI_RUN_OK);
  for(int i = 0; i < 3; i++)
    assert_memory_equal((char *)large.tensor.data + (size_t)i * in.bytes, in.tensor.data, in.bytes);
  _buffer_t *all[] = { &in, &small, &large, &half };
  for(size_t i = 0; i < G_N_ELEMENTS(all); i++) _buffer_cleanup(all[i]);
  dt_ai_unload_model(ctx);
}

static void test_two_outputs(void **state)
{
  (void)state;
  dt_ai_context_t *ctx = _load("test-two-outputs");
  _assert_slot(ctx, FALSE, 0, "output", DT_AI_FLOAT, 4, _shape(1, 3, -1, -1));
  _assert_slot(ctx, FALSE, 1, "index", DT_AI_INT64, 4, _shape(1, 1, -1, -1));
  _buffer_t in, image, index;
  _buffer_init(&in, DT_AI_FLOAT, 4, _shape(1, 3, 5, 4));
  _buffer_init(&image, DT_AI_FLOAT, 4, in.shape);
  _buffer_init(&index, DT_AI_INT64, 4, _shape(1, 1, 5, 4));
  _fill(&in, 21);
  dt_ai_tensor_t outputs[] = { image.tensor, index.tensor };
  assert_int_equal(dt_ai_run(ctx, &in.tensor, 1, outputs, 2), DT_AI_RUN_OK);
  assert_memory_equal(image.tensor.data, in.tensor.data, in.bytes); /* positive already */
  const float *x = in.tensor.data;
  for(int i = 0; i < 20; i++)
  {
    const int64_t best = x[i] >= x[20 + i] ? (x[i] >= x[40 + i] ? 0 : 2) : (x[20 + i] >= x[40 + i] ? 1 : 2);
    assert_int_equal(((int64_t *)index.tensor.data)[i], best);
  }
  outputs[1].type = DT_AI_INT32;
  assert_int_equal(dt_ai_run(ctx, &in.tensor, 1, outputs, 2), DT_AI_RUN_BAD_TENSOR);
  _assert_last_error(DT_AI_ERROR_USAGE, "Output tensor 1");
  _buffer_t *all[] = { &in, &image, &index };
  for(size_t i = 0; i < G_N_ELEMENTS(all); i++) _buffer_cleanup(all[i]);
  dt_ai_unload_model(ctx);
}

static void test_types(void **state)
{
  (void)state;
  static const dt_ai_dtype_t types[] = { DT_AI_UINT8, DT_AI_INT8,    DT_AI_INT32,
                                         DT_AI_INT64, DT_AI_FLOAT16, DT_AI_FLOAT };
  static const char *const names[] = { "uint8", "int8", "int32", "int64", "float16", "float" };
  enum
  {
    N = G_N_ELEMENTS(types)
  };
  dt_ai_context_t *ctx = _load("test-types");
  _buffer_t in[N], out[N];
  dt_ai_tensor_t inputs[N], outputs[N];
  test_random_t random = { 77 };
  for(int i = 0; i < N; i++)
  {
    char *in_name = g_strconcat("in_", names[i], NULL), *out_name = g_strconcat("out_", names[i], NULL);
    _assert_slot(ctx, TRUE, i, in_name, types[i], 1, _shape(-1));
    _assert_slot(ctx, FALSE, i, out_name, types[i], 1, _shape(-1));
    _buffer_init(&in[i], types[i], 1, _shape(1000));
    _buffer_init(&out[i], types[i], 1, _shape(1000));
    for(size_t b = 0; b < in[i].bytes; b++)
      ((unsigned char *)in[i].tensor.data)[b] = (unsigned char)test_random(&random);
    inputs[i] = in[i].tensor;
    outputs[i] = out[i].tensor;
    g_free(out_name);
    g_free(in_name);
  }
  assert_int_equal(dt_ai_run(ctx, inputs, N, outputs, N), DT_AI_RUN_OK);
  for(int i = 0; i < N; i++) assert_memory_equal(out[i].tensor.data, in[i].tensor.data, in[i].bytes);
  for(int i = 0; i < N; i++)
  {
    _buffer_cleanup(&in[i]);
    _buffer_cleanup(&out[i]);
  }
  dt_ai_unload_model(ctx);
}

/* --- how to load --- */

static void test_dim_overrides(void **state)
{
  (void)state;
  static const dt_ai_dim_override_t overrides[] = { { "num_labels", 2 }, { "no_such_dimension", 5 } };
  dt_ai_context_t *ctx = dt_ai_load_model_ext(_env, "symbolic-dims", NULL, DT_AI_PROVIDER_CPU,
                                              DT_AI_OPT_BASIC, overrides, G_N_ELEMENTS(overrides));
  assert_non_null(ctx);
  _buffer_t in, labels, out;
  _buffer_init(&in, DT_AI_FLOAT, 4, _shape(1, 3, 4, 4));
  _buffer_init(&labels, DT_AI_FLOAT, 1, _shape(2));
  _buffer_init(&out, DT_AI_FLOAT, 4, _shape(2, 3, 4, 4));
  _fill(&in, 8);
  ((float *)labels.tensor.data)[0] = 1.0f;
  ((float *)labels.tensor.data)[1] = -2.0f;
  dt_ai_tensor_t inputs[] = { in.tensor, labels.tensor };
  assert_int_equal(dt_ai_run(ctx, inputs, 2, &out.tensor, 1), DT_AI_RUN_OK);
  for(int i = 0; i < 48; i++)
  {
    const float x = ((float *)in.tensor.data)[i];
    assert_true(((float *)out.tensor.data)[i] == x && ((float *)out.tensor.data)[48 + i] == -2.0f * x);
  }
  /* bound to two, three are refused */
  _buffer_t three;
  _buffer_init(&three, DT_AI_FLOAT, 1, _shape(3));
  _fill(&three, 8);
  inputs[1] = three.tensor;
  assert_int_equal(dt_ai_run(ctx, inputs, 2, &out.tensor, 1), DT_AI_RUN_FAILED);
  _buffer_t *all[] = { &in, &labels, &out, &three };
  for(size_t i = 0; i < G_N_ELEMENTS(all); i++) _buffer_cleanup(all[i]);
  dt_ai_unload_model(ctx);
}

static void test_optimisation_levels(void **state)
{
  (void)state;
  static const dt_ai_opt_level_t levels[] = { DT_AI_OPT_DISABLED, DT_AI_OPT_BASIC, DT_AI_OPT_ALL };
  _buffer_t in, first, out;
  _buffer_init(&in, DT_AI_FLOAT, 4, _shape(1, 3, 32, 32));
  _buffer_init(&first, DT_AI_FLOAT, 4, in.shape);
  _buffer_init(&out, DT_AI_FLOAT, 4, in.shape);
  _fill(&in, 4);
  for(size_t i = 0; i < G_N_ELEMENTS(levels); i++)
  {
    dt_ai_context_t *ctx =
        dt_ai_load_model_ext(_env, "denoise-unet", NULL, DT_AI_PROVIDER_CPU, levels[i], NULL, 0);
    assert_non_null(ctx);
    _buffer_t *to = i ? &out : &first;
    assert_int_equal(dt_ai_run(ctx, &in.tensor, 1, &to->tensor, 1), DT_AI_RUN_OK);
    for(size_t k = 0; k < in.bytes / sizeof(float); k++)
      assert_true(fabsf(((float *)to->tensor.data)[k] - ((float *)first.tensor.data)[k]) < 1e-4f);
    dt_ai_unload_model(ctx);
  }
  _buffer_cleanup(&in);
  _buffer_cleanup(&first);
  _buffer_cleanup(&out);
}

static void test_contexts_outlive_the_environment(void **state)
{
  (void)state;
  char *fixtures = test_fixture("models");
  dt_ai_environment_t *env = dt_ai_env_init(fixtures);
  dt_ai_context_t *ctx = dt_ai_load_model(env, "test-identity", NULL, DT_AI_PROVIDER_CPU);
  dt_ai_env_destroy(env);
  _buffer_t in, out;
  _buffer_init(&in, DT_AI_FLOAT, 4, _shape(1, 3, 2, 2));
  _buffer_init(&out, DT_AI_FLOAT, 4, in.shape);
  _fill(&in, 2);
  assert_int_equal(dt_ai_run(ctx, &in.tensor, 1, &out.tensor, 1), DT_AI_RUN_OK);
  assert_string_equal(dt_ai_get_input_name(ctx, 0), "input");
  _buffer_cleanup(&in);
  _buffer_cleanup(&out);
  dt_ai_unload_model(ctx);
  g_free(fixtures);
}

/* --- several threads --- */

typedef struct _thread_job_t
{
  dt_ai_context_t *ctx;
  const float *input, *expected;
  const char *failure;
} _thread_job_t;

#define THREAD_SIDE 48

static void *_run_repeatedly(void *data)
{
  _thread_job_t *job = data;
  enum
  {
    N = 3 * THREAD_SIDE * THREAD_SIDE
  };
  float *out = g_new(float, N);
  for(int i = 0; i < (test_is_long() ? 500 : 25) && !job->failure; i++)
  {
    int64_t in_shape[] = { 1, 3, THREAD_SIDE, THREAD_SIDE }, out_shape[] = { 1, 3, THREAD_SIDE, THREAD_SIDE };
    dt_ai_tensor_t input = { (void *)job->input, DT_AI_FLOAT, in_shape, 4 };
    dt_ai_tensor_t output = { out, DT_AI_FLOAT, out_shape, 4 };
    if(dt_ai_run(job->ctx, &input, 1, &output, 1))
      job->failure = "the run failed";
    else if(memcmp(out, job->expected, N * sizeof *out) != 0)
      job->failure = "another result";
  }
  g_free(out);
  return NULL;
}

static void test_four_threads(void **state)
{
  (void)state;
  enum
  {
    THREADS = 4
  };
  dt_ai_context_t *ctx = _load("denoise-unet");
  _buffer_t in[THREADS], out[THREADS];
  _thread_job_t jobs[THREADS];
  pthread_t threads[THREADS];
  for(int i = 0; i < THREADS; i++)
  {
    _buffer_init(&in[i], DT_AI_FLOAT, 4, _shape(1, 3, THREAD_SIDE, THREAD_SIDE));
    _buffer_init(&out[i], DT_AI_FLOAT, 4, in[i].shape);
    _fill(&in[i], 100 + (uint64_t)i);
    assert_int_equal(dt_ai_run(ctx, &in[i].tensor, 1, &out[i].tensor, 1), DT_AI_RUN_OK);
    jobs[i] = (_thread_job_t){ ctx, in[i].tensor.data, out[i].tensor.data, NULL };
  }
  for(int i = 0; i < THREADS; i++) pthread_create(&threads[i], NULL, _run_repeatedly, &jobs[i]);
  for(int i = 0; i < THREADS; i++)
  {
    pthread_join(threads[i], NULL);
    if(jobs[i].failure) fail_msg("thread %d: %s", i, jobs[i].failure);
    _buffer_cleanup(&in[i]);
    _buffer_cleanup(&out[i]);
  }
  dt_ai_unload_model(ctx);
}

static void *_fail_elsewhere(void *data)
{
  const char **failure = data;
  if(dt_ai_last_error()) *failure = "a new thread has an error already";
  dt_ai_run(NULL, NULL, 0, NULL, 0);
  const GError *error = dt_ai_last_error();
  if(!error || error->code != DT_AI_ERROR_USAGE) *failure = "its own error is missing";
  return NULL;
}

static void test_last_error_is_per_thread(void **state)
{
  (void)state;
  assert_null(dt_ai_load_model(_env, "no-such-model", NULL, DT_AI_PROVIDER_CPU));
  const char *failure = NULL;
  pthread_t thread;
  pthread_create(&thread, NULL, _fail_elsewhere, &failure);
  pthread_join(thread, NULL);
  if(failure) fail_msg("%s", failure);
  _assert_last_error(DT_AI_ERROR_NO_MODEL, "no-such-model");
}

/* --- stopping a run --- */

typedef struct _canceller_t
{
  GCancellable *cancellable;
  gint64 cancelled_at;
} _canceller_t;

static void *_cancel_soon(void *data)
{
  _canceller_t *c = data;
  g_usleep(300000);
  c->cancelled_at = g_get_monotonic_time();
  g_cancellable_cancel(c->cancellable);
  return NULL;
}

static void _assert_cancelled(dt_ai_context_t *ctx, _buffer_t *in, _buffer_t *out, GCancellable *cancellable)
{
  GError *error = NULL;
  assert_false(dt_ai_run_cancellable(ctx, &in->tensor, 1, &out->tensor, 1, cancellable, &error));
  if(!g_error_matches(error, DT_AI_ERROR, DT_AI_ERROR_CANCELLED)) fail_msg("%s", error->message);
  g_error_free(error);
}

static void test_cancel(void **state)
{
  (void)state;
  dt_ai_context_t *ctx = _load("test-slow");
  _canceller_t canceller = { .cancellable = g_cancellable_new() };
  _buffer_t in, out, small, small_out;
  _buffer_init(&in, DT_AI_FLOAT, 4, _shape(1, 3, 256, 256));
  _buffer_init(&out, DT_AI_FLOAT, 4, in.shape);
  _buffer_init(&small, DT_AI_FLOAT, 4, _shape(1, 3, 8, 8));
  _buffer_init(&small_out, DT_AI_FLOAT, 4, small.shape);
  _fill(&in, 1);
  _fill(&small, 1);
  /* before */
  g_cancellable_cancel(canceller.cancellable);
  gint64 start = g_get_monotonic_time();
  _assert_cancelled(ctx, &in, &out, canceller.cancellable);
  assert_true(g_get_monotonic_time() - start < G_USEC_PER_SEC);
  /* during */
  g_cancellable_reset(canceller.cancellable);
  pthread_t thread;
  pthread_create(&thread, NULL, _cancel_soon, &canceller);
  _assert_cancelled(ctx, &in, &out, canceller.cancellable);
  const gint64 end = g_get_monotonic_time();
  pthread_join(thread, NULL);
  assert_true(end - canceller.cancelled_at < G_USEC_PER_SEC);
  /* after: the context works on, also with a cancellable that nobody cancels */
  g_cancellable_reset(canceller.cancellable);
  GError *error = NULL;
  assert_true(
      dt_ai_run_cancellable(ctx, &small.tensor, 1, &small_out.tensor, 1, canceller.cancellable, &error));
  assert_no_error(error);
  assert_true(dt_ai_run_cancellable(ctx, &small.tensor, 1, &small_out.tensor, 1, NULL, &error));
  _buffer_t *all[] = { &in, &out, &small, &small_out };
  for(size_t i = 0; i < G_N_ELEMENTS(all); i++) _buffer_cleanup(all[i]);
  g_object_unref(canceller.cancellable);
  dt_ai_unload_model(ctx);
}

static void test_cancellable_errors(void **state)
{
  (void)state;
  dt_ai_context_t *ctx = _load("test-identity");
  GError *error = NULL;
  assert_false(dt_ai_run_cancellable(NULL, NULL, 0, NULL, 0, NULL, &error));
  assert_true(g_error_matches(error, DT_AI_ERROR, DT_AI_ERROR_USAGE));
  g_clear_error(&error);
  assert_false(dt_ai_run_cancellable(ctx, NULL, 0, NULL, 0, NULL, &error));
  assert_true(g_error_matches(error, DT_AI_ERROR, DT_AI_ERROR_USAGE));
  g_clear_error(&error);
  assert_false(dt_ai_run_cancellable(ctx, NULL, 0, NULL, 0, NULL, NULL));
  dt_ai_unload_model(ctx);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_disabled),
    cmocka_unit_test(test_discovery_order),
    cmocka_unit_test(test_what_is_skipped),
    cmocka_unit_test(test_refresh),
    cmocka_unit_test(test_active_model),
    cmocka_unit_test(test_bundled_model_is_the_default),
    cmocka_unit_test(test_provider_names),
    cmocka_unit_test(test_probes),
    cmocka_unit_test(test_providers_fall_back),
    cmocka_unit_test(test_provider_setting),
    cmocka_unit_test(test_every_fixture_loads),
    cmocka_unit_test(test_broken_models),
    cmocka_unit_test(test_what_cannot_be_loaded),
    cmocka_unit_test(test_external_data_is_refused),
    cmocka_unit_test(test_introspection),
    cmocka_unit_test(test_introspection_out_of_range),
    cmocka_unit_test(test_element_count),
    cmocka_unit_test(test_identity),
    cmocka_unit_test(test_special_values),
    cmocka_unit_test(test_half_models),
    cmocka_unit_test(test_counts),
    cmocka_unit_test(test_bad_tensors),
    cmocka_unit_test(test_shapes_the_model_refuses),
    cmocka_unit_test(test_dynamic_outputs),
    cmocka_unit_test(test_dynamic_outputs_that_do_not_fit),
    cmocka_unit_test(test_outputs_larger_than_declared),
    cmocka_unit_test(test_two_outputs),
    cmocka_unit_test(test_types),
    cmocka_unit_test(test_dim_overrides),
    cmocka_unit_test(test_optimisation_levels),
    cmocka_unit_test(test_contexts_outlive_the_environment),
    cmocka_unit_test(test_four_threads),
    cmocka_unit_test(test_last_error_is_per_thread),
    cmocka_unit_test(test_cancel),
    cmocka_unit_test(test_cancellable_errors),
  };
  return cmocka_run_group_tests_name("backend", tests, _setup, _teardown);
}
