/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The devices that drivers tell of, and what identifies drivers. Drivers are loaded once per process, so every case
 * runs in a child: this program again, with the arguments "list" and a provider. The drivers are fakes; two real
 * ones, a Vulkan in software and OpenVINO, are asked where the environment names them. */
#include "support.h"

#include "ai/devices.h"
#include "common/libraries.h"

#include <glib/gstdio.h>
#include <stdio.h>
#include <string.h>
#include <utime.h>

/* --- the child --- */

static int _list(const char *provider)
{
  GError *error = NULL;
  char *driver = NULL;
  GPtrArray *devices =
      dt_ai_devices_list(dt_ai_provider_from_string(provider), g_getenv("DT_TEST_BESIDE"), &driver, &error);
  for(guint i = 0; devices && i < devices->len; i++)
  {
    const dt_ai_device_t *device = g_ptr_array_index(devices, i);
    printf("%s|%s|%s|%" G_GUINT64_FORMAT "|%s\n", device->id, device->name,
           device->software ? "software" : "hardware", device->memory, device->pci ? device->pci : "-");
  }
  if(devices) printf("%u devices\n", devices->len);
  if(driver) printf("driver: %s\n", driver);
  if(error) printf("error %d: %s\n", error->code, error->message);
  if(devices) g_ptr_array_unref(devices);
  g_clear_error(&error);
  g_free(driver);
  return 0;
}

/* --- the parent --- */

static const char *_world;

static int _setup(void **state)
{
  (void)state;
  _world = test_world_create();
  char *sys = g_build_filename(_world, "sys", NULL);
  g_setenv("DT_SYSFS_ROOT", sys, TRUE);
  g_mkdir_with_parents(sys, 0700);
  g_free(sys);
  return 0;
}

static char *_last[DT_AI_PROVIDER_COUNT]; /* fingerprints */

static int _teardown(void **state)
{
  (void)state;
  for(size_t i = 0; i < G_N_ELEMENTS(_last); i++) g_clear_pointer(&_last[i], g_free);
  test_world_destroy();
  return 0;
}

static void _write(const char *relative, const char *text)
{
  char *path = g_build_filename(_world, relative, NULL), *folder = g_path_get_dirname(path);
  assert_int_equal(g_mkdir_with_parents(folder, 0700), 0);
  assert_true(g_file_set_contents(path, text, -1, NULL));
  g_free(folder);
  g_free(path);
}

/* @p settings: NAME=VALUE, … NULL for the child's environment.
 * @return what the child printed (free it) */
static char *_run(const char *provider, const char *const *settings)
{
  char *self = g_file_read_link("/proc/self/exe", NULL), *out = NULL;
  char *argv[] = { self, (char *)"list", (char *)provider, NULL };
  char **environment = g_environ_unsetenv(g_get_environ(), "LD_LIBRARY_PATH");
  for(; settings && *settings; settings++)
  {
    char **pair = g_strsplit(*settings, "=", 2);
    environment = g_environ_setenv(environment, pair[0], pair[1], TRUE);
    g_strfreev(pair);
  }
  GError *error = NULL;
  int status;
  g_spawn_sync(NULL, argv, environment, G_SPAWN_DEFAULT, NULL, NULL, &out, NULL, &status, &error);
  assert_no_error(error);
  if(status != 0) fail_msg("the child ended with %d:\n%s", status, out);
  g_strfreev(environment);
  g_free(self);
  return out;
}

#define FAKES "LD_LIBRARY_PATH=" DT_TEST_DRIVERS

static void _assert_lists(const char *provider, const char *setting, const char *expected)
{
  const char *const settings[] = { FAKES, setting, NULL };
  char *out = _run(provider, settings);
  assert_string_equal(out, expected);
  g_free(out);
}

/* The error has @p words, and the code of unusable providers. */
static void _assert_fails(const char *provider, const char *const *settings, const char *words)
{
  char *out = _run(provider, settings), *start = g_strdup_printf("error %d: ", DT_AI_ERROR_PROVIDER);
  if(!g_str_has_prefix(out, start) || !strstr(out, words) || !g_str_has_suffix(out, ".\n"))
    fail_msg("\"%s%s\" was expected, not:\n%s", start, words, out);
  g_free(start);
  g_free(out);
}

static void _assert_fails_with(const char *provider, const char *setting, const char *words)
{
  const char *const settings[] = { FAKES, setting, NULL };
  _assert_fails(provider, settings, words);
}

static void test_cuda(void **state)
{
  (void)state;
  _assert_lists("CUDA", NULL,
                "0|Fake GeForce 100|hardware|1677721600|0000:c1:00.0\n1|Fake GeForce "
                "101|hardware|1694498816|-\n2 devices\n"
                "driver: CUDA 12.4\n");
  _write("proc/driver/nvidia/version",
         "NVRM version: NVIDIA UNIX x86_64 Kernel Module  550.54.15  Tue Mar  5\n");
  _assert_lists("CUDA", "FAKE_DEVICES=1",
                "0|Fake GeForce 100|hardware|1677721600|0000:c1:00.0\n1 devices\n"
                "driver: CUDA 12.4, kernel module 550.54.15\n");
}

static void test_cuda_fails(void **state)
{
  (void)state;
  _assert_fails_with("CUDA", "FAKE_DEVICES=0", "found no device");
  _assert_fails_with("CUDA", "FAKE_ERROR=100", "no CUDA-capable device is detected (error 100)");
  _assert_fails_with("CUDA", "FAKE_ERROR=804", "does not say why (error 804)");
  const char *const hidden[] = { FAKES, "FAKE_DEVICES=0", "CUDA_VISIBLE_DEVICES=-1", NULL };
  _assert_fails("CUDA", hidden, "CUDA_VISIBLE_DEVICES is \"-1\"");
}

static void test_hip(void **state)
{
  (void)state;
  /* the second does not tell its name */
  _assert_lists("MIGraphX", NULL,
                "0|Fake Radeon 0|hardware|1073741824|0000:03:00.0\n1|1|hardware|2147483648|-\n2 devices\n"
                "driver: HIP 6.3.42134\n");
  _write("sys/module/amdgpu/version", "6.10.5\n");
  _assert_lists("MIGraphX", "FAKE_DEVICES=1",
                "0|Fake Radeon 0|hardware|1073741824|0000:03:00.0\n1 devices\ndriver: HIP 6.3.42134, kernel "
                "module 6.10.5\n");
}

static void test_hip_fails(void **state)
{
  (void)state;
  _assert_fails_with("MIGraphX", "FAKE_DEVICES=0", "found no device");
  _assert_fails_with("MIGraphX", "FAKE_ERROR=100", "no ROCm-capable device is detected (error 100)");
  _assert_fails_with("MIGraphX", "FAKE_ERROR=3", "(error 3)");
}

static void test_vulkan(void **state)
{
  (void)state;
  _assert_lists(
      "WebGPU", NULL,
      "0|Fake GPU 1|hardware|4563402752|0000:41:00.1\n1|Fake GPU 2|software|4563402752|-\n2 devices\n"
      "driver: Vulkan 1.3.260, driver 550.54.15\n");
  /* a library of Vulkan 1.0 cannot tell an address */
  _assert_lists("WebGPU", "FAKE_VULKAN_MINOR=0",
                "0|Fake GPU 1|hardware|4563402752|-\n1|Fake GPU 2|software|4563402752|-\n2 devices\n"
                "driver: Vulkan 1.3.260, driver 550.54.15\n");
  _assert_fails_with("WebGPU", "FAKE_DEVICES=0", "found no device");
  _assert_fails_with("WebGPU", "FAKE_ERROR=-9", "VK_ERROR_INCOMPATIBLE_DRIVER");
  /* more than anybody has: the first are taken */
  const char *const settings[] = { FAKES, "FAKE_DEVICES=1000", NULL };
  char *out = _run("WebGPU", settings);
  assert_non_null(strstr(out, "64 devices\n"));
  g_free(out);
}

static void test_openvino(void **state)
{
  (void)state;
  static const char expected[] =
      "CPU|Fake Core i9|hardware|0|-\nGPU.0|GPU.0|hardware|0|0000:0a:1f.2\n2 devices\n"
      "driver: OpenVINO 2025.4.1-fake\n";
  _assert_lists("OpenVINO", NULL, expected);
  const char *const beside[] = { "DT_TEST_BESIDE=" DT_TEST_DRIVERS, NULL };
  char *out = _run("OpenVINO", beside);
  assert_string_equal(out, expected);
  g_free(out);
  _assert_fails_with("OpenVINO", "FAKE_DEVICES=0", "found no device");
  _assert_fails_with("OpenVINO", "FAKE_ERROR=-1", "general error (error -1)");
}

/* Whether this machine has another version, which would be taken. */
static gboolean _has_similar(const char *soname)
{
  GPtrArray *similar = dt_library_find_similar(soname, NULL);
  const gboolean has = similar->len > 0;
  g_ptr_array_unref(similar);
  return has;
}

/* The loader's own words, of the file that is there when one is. */
static void test_no_library(void **state)
{
  (void)state;
  static const char *const cases[][2] = {
    { "CUDA", "libcuda.so.1" },
    { "MIGraphX", "libamdhip64.so" },
    { "WebGPU", "libvulkan.so.1" },
    { "OpenVINO", "libopenvino_c.so" },
  };
  for(size_t i = 0; i < G_N_ELEMENTS(cases); i++)
  {
    if(_has_similar(cases[i][1])) continue;
    char *relative = g_build_filename("torn", cases[i][0], cases[i][1], NULL);
    char *folder = g_build_filename(_world, "torn", cases[i][0], NULL);
    char *setting = g_strconcat("LD_LIBRARY_PATH=", folder, NULL);
    const char *const settings[] = { setting, NULL };
    _write(relative, "torn\n");
    _assert_fails(cases[i][0], settings, "file too short");
    _assert_fails(cases[i][0], settings, cases[i][1]);
    g_free(setting);
    g_free(folder);
    g_free(relative);
  }
}

static void test_absent(void **state)
{
  (void)state;
  char *out = _run("CUDA", NULL);
  if(strstr(out, "devices\n") || !strstr(out, "No such file")) /* this machine has the driver */
  {
    g_free(out);
    skip();
  }
  assert_non_null(strstr(out, "The NVIDIA driver cannot be used: libcuda.so.1: "));
  g_free(out);
}

/* A library by that name that is something else. */
static void test_not_a_driver(void **state)
{
  (void)state;
  char *bytes = NULL, *path = g_build_filename(DT_TEST_DRIVERS, "libamdhip64.so", NULL);
  char *folder = g_build_filename(_world, "wrong", NULL),
       *copy = g_build_filename(folder, "libcuda.so.1", NULL);
  char *setting = g_strconcat("LD_LIBRARY_PATH=", folder, NULL);
  const char *const settings[] = { setting, NULL };
  gsize size;
  assert_true(g_file_get_contents(path, &bytes, &size, NULL));
  assert_int_equal(g_mkdir_with_parents(folder, 0700), 0);
  assert_true(g_file_set_contents(copy, bytes, (gssize)size, NULL));
  _assert_fails("CUDA", settings, "no function cuInit");
  g_free(setting);
  g_free(copy);
  g_free(folder);
  g_free(path);
  g_free(bytes);
}

static void test_no_list(void **state)
{
  (void)state;
  static const char *const providers[] = { "CPU", "CoreML", "DirectML" };
  for(size_t i = 0; i < G_N_ELEMENTS(providers); i++) _assert_lists(providers[i], NULL, "0 devices\n");
}

/* --- real drivers --- */

/* A folder with libvulkan.so.1 and vk_swiftshader_icd.json. */
static void test_real_vulkan(void **state)
{
  (void)state;
  const char *folder = g_getenv("DT_TEST_VULKAN_FOLDER");
  if(!folder) skip();
  char *library = g_strconcat("LD_LIBRARY_PATH=", folder, NULL);
  char *driver = g_strconcat("VK_ICD_FILENAMES=", folder, "/vk_swiftshader_icd.json", NULL);
  const char *const settings[] = { library, driver, NULL };
  const char *const no_driver[] = { library, "VK_ICD_FILENAMES=/nowhere/icd.json", NULL };
  char *out = _run("WebGPU", settings);
  if(!g_str_has_prefix(out, "0|SwiftShader") || !strstr(out, "|software|")
     || !strstr(out, "driver: Vulkan 1."))
    fail_msg("not what SwiftShader says:\n%s", out);
  _assert_fails("WebGPU", no_driver, "VK_ERROR_INCOMPATIBLE_DRIVER");
  g_free(out);
  g_free(driver);
  g_free(library);
}

/* A libonnxruntime with OpenVINO beside it. */
static void test_real_openvino(void **state)
{
  (void)state;
  const char *library = g_getenv("DT_TEST_OPENVINO_LIBRARY");
  if(!library || test_is_sanitized())
    skip(); /* it loads with RTLD_DEEPBIND, which AddressSanitizer forbids */
  char *folder = g_path_get_dirname(library), *setting = g_strconcat("DT_TEST_BESIDE=", folder, NULL);
  const char *const settings[] = { setting, NULL };
  char *out = _run("OpenVINO", settings);
  if(!strstr(out, "CPU|") || !strstr(out, "driver: OpenVINO 20"))
    fail_msg("not what OpenVINO says:\n%s", out);
  g_free(out);
  g_free(setting);
  g_free(folder);
}

/* --- fingerprints --- */

/* Whether the fingerprint is another than at the last call. */
static gboolean _has_changed(dt_ai_provider_t provider)
{
  char *beside = g_build_filename(_world, "beside", NULL);
  char *now = dt_ai_devices_fingerprint(provider, beside);
  const gboolean changed = g_strcmp0(_last[provider], now) != 0;
  g_free(_last[provider]);
  _last[provider] = now;
  g_free(beside);
  return changed;
}

static void _assert_changes(dt_ai_provider_t provider, gboolean expected, const char *what)
{
  if(_has_changed(provider) != expected) fail_msg("%s: changed: %d expected", what, expected);
  if(_has_changed(provider)) fail_msg("%s: does not stay the same", what);
}

typedef struct _fingerprint_case_t
{
  dt_ai_provider_t provider;
  const char *file; /* of a driver, below LD_LIBRARY_PATH or beside */
  const char *variable;
} _fingerprint_case_t;

static const _fingerprint_case_t _cases[] = {
  { DT_AI_PROVIDER_CUDA, "drivers/libcuda.so.1", "CUDA_VISIBLE_DEVICES" },
  { DT_AI_PROVIDER_CUDA, "drivers/libcudnn.so.9", "CUDA_DEVICE_ORDER" },
  { DT_AI_PROVIDER_CUDA, "beside/libcublas.so.12", "CUDA_VISIBLE_DEVICES" },
  { DT_AI_PROVIDER_MIGRAPHX, "drivers/libamdhip64.so.6", "HIP_VISIBLE_DEVICES" },
  { DT_AI_PROVIDER_MIGRAPHX, "drivers/libmigraphx_c.so.3", "ROCR_VISIBLE_DEVICES" },
  { DT_AI_PROVIDER_MIGRAPHX, "drivers/libmigraphx_c.so.3000", "HSA_OVERRIDE_GFX_VERSION" },
  { DT_AI_PROVIDER_WEBGPU, "drivers/libvulkan.so.1", "MESA_VK_DEVICE_SELECT" },
  { DT_AI_PROVIDER_WEBGPU, "icd.d/driver.json", "VK_LOADER_DRIVERS_SELECT" },
  { DT_AI_PROVIDER_OPENVINO, "beside/libopenvino.so", "ZE_AFFINITY_MASK" },
  { DT_AI_PROVIDER_OPENVINO, "beside/libopenvino.so.2541", "ZE_AFFINITY_MASK" },
  { DT_AI_PROVIDER_OPENVINO, "drivers/libze_loader.so.1", "ZE_AFFINITY_MASK" },
  { DT_AI_PROVIDER_OPENVINO, "drivers/libOpenCL.so.1", "ZE_AFFINITY_MASK" },
};

static void _set_time(const char *relative)
{
  struct utimbuf long_ago = { 1000000000, 1000000000 };
  char *path = g_build_filename(_world, relative, NULL);
  assert_int_equal(g_utime(path, &long_ago), 0);
  g_free(path);
}

static void test_fingerprint(void **state)
{
  (void)state;
  char *drivers = g_build_filename(_world, "drivers", NULL),
       *manifests = g_build_filename(_world, "icd.d", NULL);
  g_setenv("LD_LIBRARY_PATH", drivers, TRUE);
  g_setenv("VK_DRIVER_FILES", manifests, TRUE);
  for(size_t i = 0; i < G_N_ELEMENTS(_cases); i++)
  {
    const dt_ai_provider_t provider = _cases[i].provider;
    _has_changed(provider);
    _write(_cases[i].file, "one");
    _assert_changes(provider, TRUE, _cases[i].file);
    _write(_cases[i].file, "three");
    _assert_changes(provider, TRUE, _cases[i].file);
    _set_time(_cases[i].file);
    _assert_changes(provider, TRUE, _cases[i].file);
    _write("drivers/libsomething.so.1", _cases[i].file);
    _assert_changes(provider, FALSE, "another file");
    g_setenv(_cases[i].variable, "7", TRUE);
    _assert_changes(provider, TRUE, _cases[i].variable);
    g_unsetenv(_cases[i].variable);
    _assert_changes(provider, TRUE, _cases[i].variable);
  }
  g_unsetenv("VK_DRIVER_FILES");
  g_unsetenv("LD_LIBRARY_PATH");
  g_free(manifests);
  g_free(drivers);
}

/* OpenCL's drivers are named in files of their own. */
static void test_fingerprint_opencl(void **state)
{
  (void)state;
  char *vendors = g_build_filename(_world, "vendors", NULL),
       *driver = g_build_filename(_world, "gpu.so", NULL);
  char *line = g_strconcat(driver, "\n", NULL);
  g_setenv("OCL_ICD_VENDORS", vendors, TRUE);
  _has_changed(DT_AI_PROVIDER_OPENVINO);
  _write("vendors/intel.icd", line);
  _assert_changes(DT_AI_PROVIDER_OPENVINO, TRUE, "a driver's name");
  _write("gpu.so", "driver");
  _assert_changes(DT_AI_PROVIDER_OPENVINO, TRUE, "a driver");
  g_unsetenv("OCL_ICD_VENDORS");
  g_free(line);
  g_free(driver);
  g_free(vendors);
}

static void test_fingerprint_kernel(void **state)
{
  (void)state;
  static const dt_ai_provider_t all[] = { DT_AI_PROVIDER_CUDA, DT_AI_PROVIDER_MIGRAPHX, DT_AI_PROVIDER_WEBGPU,
                                          DT_AI_PROVIDER_OPENVINO };
  for(size_t i = 0; i < G_N_ELEMENTS(all); i++) _has_changed(all[i]);
  _write("sys/module/amdgpu/version", "6.12.0\n");
  for(size_t i = 0; i < G_N_ELEMENTS(all); i++) _assert_changes(all[i], TRUE, "amdgpu");
  _write("proc/driver/nvidia/version", "NVRM version: NVIDIA UNIX x86_64 Kernel Module  580.65.06  Tue\n");
  for(size_t i = 0; i < G_N_ELEMENTS(all); i++) _assert_changes(all[i], TRUE, "nvidia");
  _write("sys/bus/pci/devices/0000:01:00.0/class", "0x030000");
  _write("sys/bus/pci/devices/0000:01:00.0/vendor", "0x10de");
  _write("sys/bus/pci/devices/0000:01:00.0/device", "0x2236");
  for(size_t i = 0; i < G_N_ELEMENTS(all); i++) _assert_changes(all[i], TRUE, "a card");
}

static void test_fingerprint_of_nothing(void **state)
{
  (void)state;
  static const dt_ai_provider_t none[] = { DT_AI_PROVIDER_AUTO, DT_AI_PROVIDER_CPU, DT_AI_PROVIDER_COREML,
                                           DT_AI_PROVIDER_DIRECTML };
  for(size_t i = 0; i < G_N_ELEMENTS(none); i++)
  {
    char *text = dt_ai_devices_fingerprint(none[i], NULL);
    assert_string_equal(text, "");
    g_free(text);
  }
  char *text = dt_ai_devices_fingerprint(DT_AI_PROVIDER_CUDA, NULL);
  assert_non_null(strstr(text, "libcuda.so.1"));
  g_free(text);
}

int main(int argc, char **argv)
{
  if(argc > 2 && strcmp(argv[1], "list") == 0) return _list(argv[2]);
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_cuda),
    cmocka_unit_test(test_cuda_fails),
    cmocka_unit_test(test_hip),
    cmocka_unit_test(test_hip_fails),
    cmocka_unit_test(test_vulkan),
    cmocka_unit_test(test_openvino),
    cmocka_unit_test(test_no_library),
    cmocka_unit_test(test_absent),
    cmocka_unit_test(test_not_a_driver),
    cmocka_unit_test(test_no_list),
    cmocka_unit_test(test_real_vulkan),
    cmocka_unit_test(test_real_openvino),
    cmocka_unit_test(test_fingerprint),
    cmocka_unit_test(test_fingerprint_opencl),
    cmocka_unit_test(test_fingerprint_kernel),
    cmocka_unit_test(test_fingerprint_of_nothing),
  };
  return cmocka_run_group_tests_name("devices", tests, _setup, _teardown);
}
