/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Which graphics processors are found below an invented /sys, and what is suggested for them. */
#include "support.h"

#include "common/gpu.h"

#include <glib/gstdio.h>
#include <string.h>
#include <unistd.h>

static char *_sys, *_proc;

static int _setup(void **state)
{
  (void)state;
  const char *world = test_world_create();
  _sys = g_build_filename(world, "sys", NULL);
  _proc = g_build_filename(world, "proc/driver/nvidia", NULL);
  g_setenv("DT_SYSFS_ROOT", _sys, TRUE);
  return 0;
}

static int _teardown(void **state)
{
  (void)state;
  g_free(_sys);
  g_free(_proc);
  test_world_destroy();
  return 0;
}

static void _write(const char *folder, const char *name, const char *text)
{
  char *path = g_build_filename(folder, name, NULL);
  assert_int_equal(g_mkdir_with_parents(folder, 0700), 0);
  assert_true(g_file_set_contents(path, text, -1, NULL));
  g_free(path);
}

static void _add(const char *address, const char *class, const char *vendor, const char *device,
                 const char *driver)
{
  char *folder = g_build_filename(_sys, "bus/pci/devices", address, NULL);
  char *link = g_build_filename(folder, "driver", NULL),
       *target = g_strconcat("../../bus/pci/drivers/", driver, NULL);
  _write(folder, "class", class);
  _write(folder, "vendor", vendor);
  _write(folder, "device", device);
  if(driver) assert_int_equal(symlink(target, link), 0);
  g_free(target);
  g_free(link);
  g_free(folder);
}

/* NULL: no driver runs. */
static void _set_nvidia(const char *line)
{
  char *path = g_build_filename(_proc, "version", NULL);
  if(line)
    _write(_proc, "version", line);
  else
    g_remove(path);
  g_free(path);
}

static void _remove_all(void)
{
  char *devices = g_build_filename(_sys, "bus/pci/devices", NULL),
       *moved = g_strconcat(_sys, "-old-XXXXXX", NULL);
  assert_non_null(g_mkdtemp(moved));
  if(g_file_test(devices, G_FILE_TEST_EXISTS)) assert_int_equal(g_rename(devices, moved), 0);
  _set_nvidia(NULL);
  g_free(moved);
  g_free(devices);
}

static void _assert_gpu(const GPtrArray *gpus, guint i, dt_gpu_vendor_t vendor, const char *name,
                        const char *driver)
{
  assert_true(i < gpus->len);
  const dt_gpu_t *gpu = g_ptr_array_index(gpus, i);
  assert_int_equal(gpu->vendor, vendor);
  assert_string_equal(gpu->name, name);
  if(driver)
    assert_string_equal(gpu->driver, driver);
  else
    assert_null(gpu->driver);
}

static void _assert_suggests(const char *expected)
{
  GPtrArray *gpus = dt_gpu_list();
  const char *build = dt_gpu_suggest_runtime(gpus);
  if(expected)
    assert_string_equal(build, expected);
  else
    assert_null(build);
  g_ptr_array_unref(gpus);
}

static void test_nothing(void **state)
{
  (void)state;
  _remove_all();
  GPtrArray *gpus = dt_gpu_list();
  assert_int_equal(gpus->len, 0);
  g_ptr_array_unref(gpus);
  _assert_suggests(NULL);
  assert_null(dt_gpu_nvidia_driver());
  assert_null(dt_gpu_read_system("module/amdgpu/version"));
}

static void test_list(void **state)
{
  (void)state;
  _remove_all();
  _add("0000:03:00.0", "0x030000\n", "0x1002\n", "0x744c\n", "amdgpu");
  _add("0000:00:02.0", "0x030000\n", "0x8086\n", "0x46a6\n", "i915");
  _add("0000:01:00.0", "0x030200\n", "0x10de\n", "0x2236\n", "vfio-pci");
  _add("0000:00:0b.0", "0x120000\n", "0x8086\n", "0x7d1d\n", "intel_vpu");
  _add("0000:c5:00.1", "0x120000\n", "0x1022\n", "0x17f0\n", NULL);
  _add("0000:07:00.0", "0x030000\n", "0x1d17\n", "0x3a04\n", NULL);
  _add("0000:01:00.1", "0x040300\n", "0x10de\n", "0x228b\n", "snd_hda_intel");
  GPtrArray *gpus = dt_gpu_list();
  assert_int_equal(gpus->len, 6);
  _assert_gpu(gpus, 0, DT_GPU_INTEL, "Intel graphics processor 46a6 at 0000:00:02.0", "i915");
  _assert_gpu(gpus, 1, DT_GPU_INTEL, "Intel accelerator 7d1d at 0000:00:0b.0", "intel_vpu");
  _assert_gpu(gpus, 2, DT_GPU_NVIDIA, "NVIDIA graphics processor 2236 at 0000:01:00.0", "vfio-pci");
  _assert_gpu(gpus, 3, DT_GPU_AMD, "AMD graphics processor 744c at 0000:03:00.0", "amdgpu");
  _assert_gpu(gpus, 4, DT_GPU_OTHER, "graphics processor 3a04 of vendor 1d17 at 0000:07:00.0", NULL);
  _assert_gpu(gpus, 5, DT_GPU_AMD, "AMD accelerator 17f0 at 0000:c5:00.1", NULL);
  g_ptr_array_unref(gpus);
}

/* Screens that nobody computes on, and entries that say nothing. */
static void test_left_out(void **state)
{
  (void)state;
  static const char *const vendors[] = { "0x1234", "0x1af4", "0x15ad", "0x80ee", "0x1013",
                                         "0x1b36", "0x1414", "0x1a03", "0x102b" };
  _remove_all();
  for(size_t i = 0; i < G_N_ELEMENTS(vendors); i++)
  {
    char *address = g_strdup_printf("0000:00:%02x.0", (unsigned)i);
    _add(address, "0x030000", vendors[i], "0x1111", NULL);
    g_free(address);
  }
  _add("0000:10:00.0", "0x030000", "", "0x2236", NULL);
  _add("0000:11:00.0", "nonsense", "0x10de", "0x2236", NULL);
  _add("0000:12:00.0", "0x030000", "0x10de", "0xffffffffffffffffffff", NULL);
  char *folder = g_build_filename(_sys, "bus/pci/devices/0000:13:00.0", NULL);
  assert_int_equal(g_mkdir_with_parents(folder, 0700), 0);
  g_free(folder);
  GPtrArray *gpus = dt_gpu_list();
  assert_int_equal(gpus->len, 0);
  g_ptr_array_unref(gpus);
  _assert_suggests(NULL);
}

static void _assert_version(const char *line, const char *version)
{
  _set_nvidia(line);
  char *found = dt_gpu_nvidia_driver();
  if(version)
    assert_string_equal(found, version);
  else
    assert_null(found);
  g_free(found);
}

#define CLOSED_550 "NVRM version: NVIDIA UNIX x86_64 Kernel Module  550.54.15  Tue Mar  5 22:23:56 UTC 2024\n"
#define OPEN_580                                                                                             \
  "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  580.65.06  Release Build  (root@b)\n"
#define OLD_470 "NVRM version: NVIDIA UNIX x86_64 Kernel Module  470.256.02  Thu May  2 14:37:44 UTC 2024\n"

static void test_nvidia_version(void **state)
{
  (void)state;
  _assert_version(CLOSED_550 "GCC version:  gcc version 13.2.0 (Debian 13.2.0-1)\n", "550.54.15");
  _assert_version(OPEN_580, "580.65.06");
  _assert_version("", NULL);
  _assert_version("nothing here\n", NULL);
  _assert_version(NULL, NULL);
}

static void test_suggest_nvidia(void **state)
{
  (void)state;
  static const char *const cases[][4] = {
    /* driver's words, device, kernel driver, suggestion */
    { CLOSED_550, "0x2236", "nvidia", "cuda12" }, { OPEN_580, "0x2236", "nvidia", "cuda13" },
    { OPEN_580, "0x1e04", "nvidia", "cuda13" }, /* Turing */
    { OPEN_580, "0x1b80", "nvidia", "cuda12" }, /* Pascal: CUDA 13 has no code for it */
    { OLD_470, "0x1180", "nvidia", "webgpu" },    { NULL, "0x2236", NULL, "cuda12" },
    { NULL, "0x2236", "vfio-pci", "cuda12" },     { NULL, "0x2236", "nouveau", "webgpu" },
  };
  for(size_t i = 0; i < G_N_ELEMENTS(cases); i++)
  {
    _remove_all();
    _add("0000:01:00.0", "0x030000\n", "0x10de\n", cases[i][1], cases[i][2]);
    _set_nvidia(cases[i][0]);
    _assert_suggests(cases[i][3]);
  }
}

static void test_suggest(void **state)
{
  (void)state;
  _remove_all();
  _add("0000:07:00.0", "0x030000", "0x1d17", "0x3a04", NULL);
  _assert_suggests("webgpu");
  _add("0000:00:02.0", "0x030000", "0x8086", "0x46a6", "i915");
  _assert_suggests("openvino");
  _add("0000:03:00.0", "0x030000", "0x1002", "0x6779", "radeon");
  _assert_suggests("openvino");
  _add("0000:04:00.0", "0x030000", "0x1002", "0x744c", "amdgpu");
  _assert_suggests("migraphx");
  /* comes after the processor's own one, and is faster */
  _add("0000:05:00.0", "0x030000", "0x10de", "0x2236", "nvidia");
  _set_nvidia(OPEN_580);
  _assert_suggests("cuda13");
}

static void test_addresses(void **state)
{
  (void)state;
  static const char *const cases[][2] = {
    { "0000:01:00.0", "0000:01:00.0" },
    { "00000000:C1:1F.7", "0000:c1:1f.7" },
    { "0000:0A:00", "0000:0a:00.0" },
    { "01:00.0", "0000:01:00.0" },
    { "1:2.3", "0000:01:02.3" },
    { "00010000:01:00.0", "10000:01:00.0" },
    { "ffffffff:ff:1f.7", "ffffffff:ff:1f.7" },
    { NULL, NULL },
    { "", NULL },
    { "N/A", NULL },
    { "0000:01:00.8", NULL },
    { "0000:01:20.0", NULL },
    { "0000:100:00.0", NULL },
    { "100000000:01:00.0", NULL },
    { "0000:01:00.0 ", NULL },
    { " 0000:01:00.0", NULL },
    { "0000:01:00.", NULL },
    { "0000:01:00.0.0", NULL },
    { "0000:0000:01:00.0", NULL },
    { "0000::00.0", NULL },
    { ":01:00.0", NULL },
    { "01", NULL },
    { "0x0:01:00.0", NULL },
    { "-1:01:00.0", NULL },
    { ".0", NULL },
    { ":", NULL },
  };
  for(size_t i = 0; i < G_N_ELEMENTS(cases); i++)
  {
    char *address = dt_gpu_pci_address(cases[i][0]);
    if(g_strcmp0(address, cases[i][1]) != 0)
      fail_msg("\"%s\": \"%s\" instead of \"%s\"", cases[i][0], address, cases[i][1]);
    g_free(address);
  }
}

static void test_address_from_numbers(void **state)
{
  (void)state;
  char *address = dt_gpu_pci_address_from(0x10000, 255, 31, 7);
  assert_string_equal(address, "10000:ff:1f.7");
  g_free(address);
  assert_null(dt_gpu_pci_address_from(0, 256, 0, 0));
  assert_null(dt_gpu_pci_address_from(0, 0, 32, 0));
  assert_null(dt_gpu_pci_address_from(0, 0, 0, 8));
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_addresses),      cmocka_unit_test(test_address_from_numbers),
    cmocka_unit_test(test_nothing),        cmocka_unit_test(test_list),
    cmocka_unit_test(test_left_out),       cmocka_unit_test(test_nvidia_version),
    cmocka_unit_test(test_suggest_nvidia), cmocka_unit_test(test_suggest),
  };
  return cmocka_run_group_tests_name("gpu", tests, _setup, _teardown);
}
