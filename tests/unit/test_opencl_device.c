/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Loading OpenCL and listing its devices, with a driver that does what a script says (tests/fake_opencl/README.md). */
#include "support.h"

#include "common/conf.h"
#include "common/log.h"
#include "common/opencl_device.h"
#include "fake_opencl.h"

#include <gmodule.h>
#include <string.h>

static dt_opencl_driver_t *_driver;
static fake_opencl_script_t *_script;
static fake_opencl_calls_t *_calls;
static fake_opencl_live_objects_t *_live_objects;
static GString *_log;

static void _collect_log(unsigned topics, const char *line, void *user_data)
{
  (void)topics;
  g_string_append_printf(user_data, "%s\n", line);
}

static int _setup(void **state)
{
  (void)state;
  test_world_create();
  _log = g_string_new(NULL);
  dt_log_set_handler(_collect_log, _log, DT_LOG_OPENCL);
  dt_conf_override(DT_CONF_OPENCL_LIBRARY, DT_TEST_FAKE_OPENCL);
  _driver = dt_opencl_driver_load(NULL);
  assert_non_null(_driver);
  GModule *module = g_module_open(DT_TEST_FAKE_OPENCL, G_MODULE_BIND_LAZY);
  assert_non_null(module);
  assert_true(g_module_symbol(module, "fake_opencl_script", (void **)&_script));
  assert_true(g_module_symbol(module, "fake_opencl_calls", (void **)&_calls));
  assert_true(g_module_symbol(module, "fake_opencl_live_objects", (void **)&_live_objects));
  return 0;
}

static int _teardown(void **state)
{
  (void)state;
  dt_log_set_handler(NULL, NULL, 0);
  g_string_free(_log, TRUE);
  dt_opencl_driver_destroy(_driver);
  test_world_destroy();
  return 0;
}

static GPtrArray *_detect(const char *script, int parts)
{
  GError *error = NULL;
  g_string_truncate(_log, 0);
  _script(script);
  GPtrArray *devices = dt_opencl_devices_detect(_driver, parts, &error);
  assert_no_error(error);
  assert_int_equal(_live_objects(), 0);
  return devices;
}

static const dt_opencl_device_t *_get(const GPtrArray *devices, guint i)
{
  assert_true(i < devices->len);
  return g_ptr_array_index(devices, i);
}

static void _assert_contains(const char *text, const char *part)
{
  if(!text || !strstr(text, part)) fail_msg("\"%s\" lacks \"%s\"", text ? text : "(null)", part);
}

/* What is always true of a list. */
static void _assert_sane(const GPtrArray *devices)
{
  int used = 0;
  for(guint i = 0; i < devices->len; i++)
  {
    const dt_opencl_device_t *device = _get(devices, i);
    const char *const texts[] = { device->name,   device->canonical,      device->identity, device->platform,
                                  device->vendor, device->driver_version, device->version };
    for(size_t t = 0; t < G_N_ELEMENTS(texts); t++)
    {
      assert_non_null(texts[t]);
      assert_true(g_utf8_validate(texts[t], -1, NULL));
      assert_true(strlen(texts[t]) <= 220);
      for(const char *c = texts[t]; *c; c++) assert_false(g_ascii_iscntrl(*c));
    }
    assert_int_equal(device->number, device->rejected ? -1 : used);
    used += !device->rejected;
    for(guint k = 0; k < i && !device->rejected; k++)
      if(!_get(devices, k)->rejected) assert_string_not_equal(_get(devices, k)->identity, device->identity);
  }
}

// --- the library

static void _assert_refused(const char *library, const char *part)
{
  GError *error = NULL;
  dt_conf_override(DT_CONF_OPENCL_LIBRARY, library);
  assert_null(dt_opencl_driver_load(&error));
  assert_non_null(error);
  assert_int_equal(error->code, DT_AI_ERROR_PROVIDER);
  _assert_contains(error->message, DT_CONF_OPENCL_LIBRARY);
  _assert_contains(error->message, library);
  _assert_contains(error->message, part);
  g_error_free(error);
  dt_conf_override(DT_CONF_OPENCL_LIBRARY, DT_TEST_FAKE_OPENCL);
}

static void test_library(void **state)
{
  (void)state;
  char *text = g_build_filename(g_get_home_dir(), "lib.so", NULL);
  assert_true(g_file_set_contents(text, "no library", -1, NULL));
  assert_string_equal(_driver->path, DT_TEST_FAKE_OPENCL);
  _assert_refused("/nowhere/libOpenCL.so.1", "there is no file");
  _assert_refused("libNoSuchOpenCL.so.7", "No such file");
  _assert_refused(text, "file too short");
  _assert_refused(DT_TEST_FAKE_OPENCL_BARE, "lacks clGetDeviceIDs, clGetDeviceInfo, clCreateContext");
  _assert_refused(DT_TEST_FAKE_OPENCL_BARE, "clFinish");
  _assert_refused("libm.so.6", "it has none of OpenCL's functions");
  g_free(text);
}

static void test_errors(void **state)
{
  (void)state;
  GError *error = NULL;
  assert_string_equal(dt_opencl_error_name(CL_SUCCESS), "CL_SUCCESS");
  assert_string_equal(dt_opencl_error_name(-5), "CL_OUT_OF_RESOURCES");
  assert_string_equal(dt_opencl_error_name(-68), "CL_INVALID_DEVICE_PARTITION_COUNT");
  assert_string_equal(dt_opencl_error_name(-1001), "CL_PLATFORM_NOT_FOUND_KHR");
  assert_string_equal(dt_opencl_error_name(-9999), "error -9999");
  for(cl_int code = -1; code >= -68; code--)
    if(code >= -19 || code <= -30)
      assert_true(g_str_has_prefix(dt_opencl_error_name(code), "CL_"));
    else
      assert_true(g_str_has_prefix(dt_opencl_error_name(code), "error -2"));
  assert_true(dt_opencl_check(CL_SUCCESS, "clFinish", &error));
  assert_no_error(error);
  static const struct
  {
    cl_int code;
    const char *function;
    int expected;
  } cases[] = { { -5, "clFinish", DT_AI_ERROR_PROVIDER },      { -4, "clFinish", DT_AI_ERROR_MEMORY },
                { -5, "clCreateBuffer", DT_AI_ERROR_MEMORY },  { -61, "clCreateBuffer", DT_AI_ERROR_MEMORY },
                { -61, "clFinish", DT_AI_ERROR_PROVIDER },     { -6, "clFinish", DT_AI_ERROR_PROVIDER },
                { -2, "clCreateBuffer", DT_AI_ERROR_PROVIDER } };
  for(size_t i = 0; i < G_N_ELEMENTS(cases); i++)
  {
    assert_false(dt_opencl_check(cases[i].code, cases[i].function, &error));
    assert_int_equal(error->code, cases[i].expected);
    _assert_contains(error->message, cases[i].function);
    _assert_contains(error->message, dt_opencl_error_name(cases[i].code));
    g_clear_error(&error);
  }
}

// --- names and identities

#define GTS450                                                                                               \
  "name=GeForce GTS 450;platform=NVIDIA CUDA;vendor=NVIDIA Corporation;driver=390.157;pci_by=nv;"            \
  "pci=0000:01:00.0;memory=1G;max_alloc=256M;units=4;group=1024;version=OpenCL 1.2 CUDA\n"
#define TAHITI                                                                                               \
  "name=Tahiti;platform=AMD Accelerated Parallel Processing;pci=0000:02:00.0;pci_by=amd;memory=3G\n"

static void test_fields(void **state)
{
  (void)state;
  GPtrArray *devices = _detect(GTS450 TAHITI, 1);
  _assert_sane(devices);
  assert_int_equal(devices->len, 2);
  const dt_opencl_device_t *device = _get(devices, 0);
  assert_string_equal(device->name, "GeForce GTS 450");
  assert_string_equal(device->canonical, "geforcegts450");
  assert_string_equal(device->identity, "pci:0000:01:00.0");
  assert_string_equal(device->pci, "0000:01:00.0");
  assert_null(device->uuid);
  assert_string_equal(device->platform, "NVIDIA CUDA");
  assert_string_equal(device->vendor, "NVIDIA Corporation");
  assert_string_equal(device->driver_version, "390.157");
  assert_string_equal(device->version, "OpenCL 1.2 CUDA");
  assert_string_equal(dt_opencl_type_name(device->type), "gpu");
  assert_true(device->memory == (guint64)1 << 30 && device->max_alloc == (guint64)1 << 28);
  assert_int_equal(device->compute_units, 4);
  assert_int_equal(device->work_group, 1024);
  assert_false(device->unified);
  assert_false(device->rounds);
  int n;
  dt_opencl_names_t *names = dt_opencl_devices_names(devices, &n);
  assert_int_equal(n, 2);
  assert_string_equal(names[1].name, "Tahiti");
  assert_string_equal(names[1].platform, "AMD Accelerated Parallel Processing");
  assert_string_equal(names[1].identity, "pci:0000:02:00.0");
  g_free(names);
  g_ptr_array_unref(devices);
}

/* A driver that does not say how it rounds is used all the same. */
static void test_rounding(void **state)
{
  (void)state;
  static const struct
  {
    const char *script;
    gboolean rounds;
  } cases[] = { { "name=Card;rounds=1", TRUE },
                { "name=Card", FALSE },
                /* the question behind those that all devices are asked */
                { "name=Card;rounds=1;fail=GetDeviceInfo@16", FALSE } };
  for(size_t i = 0; i < G_N_ELEMENTS(cases); i++)
  {
    GPtrArray *devices = _detect(cases[i].script, 1);
    _assert_sane(devices);
    assert_int_equal(_get(devices, 0)->number, 0);
    assert_int_equal(_get(devices, 0)->rounds, cases[i].rounds);
    assert_int_equal(_calls("GetDeviceInfo"), 16);
    g_ptr_array_unref(devices);
  }
}

static void _assert_report(const GPtrArray *devices, const char *absence, const char *expected)
{
  char **lines = dt_opencl_devices_report(devices, absence), *text = g_strjoinv("\n", lines);
  assert_string_equal(text, expected);
  g_free(text);
  g_strfreev(lines);
}

/* The specification's example, to the letter. */
static void test_report(void **state)
{
  (void)state;
  GPtrArray *devices = _detect(GTS450 TAHITI, 1), *none = g_ptr_array_new();
  _assert_report(devices, NULL,
                 "[opencl_init] successfully initialized.\n"
                 "[opencl_init] here are the internal numbers and names of OpenCL devices available to "
                 "darktable:\n"
                 "[opencl_init]\t\t0\t'GeForce GTS 450'\n"
                 "[opencl_init]\t\t1\t'Tahiti'\n"
                 "[opencl_init] FINALLY: opencl is AVAILABLE on this system.");
  _assert_report(none, "nothing is there",
                 "[opencl_init] nothing is there\n"
                 "[opencl_init] FINALLY: opencl is NOT AVAILABLE on this system.");
  g_ptr_array_unref(devices);
  devices = _detect("name=Slow;available=0\n" TAHITI, 1);
  _assert_report(devices, NULL,
                 "[opencl_init] successfully initialized.\n"
                 "[opencl_init] here are the internal numbers and names of OpenCL devices available to "
                 "darktable:\n"
                 "[opencl_init]\t\t0\t'Tahiti'\n"
                 "[opencl_init] not used: 'Slow' of the platform 'Fake': it is not available\n"
                 "[opencl_init] FINALLY: opencl is AVAILABLE on this system.");
  g_ptr_array_unref(none);
  g_ptr_array_unref(devices);
}

static void test_pci(void **state)
{
  (void)state;
  static const char *const cases[][3] = {
    /* script, identity, pci */
    { "pci=0000:01:00.0;pci_by=khr", "pci:0000:01:00.0", "0000:01:00.0" },
    { "pci=10000:c1:1f.7;pci_by=khr", "pci:10000:c1:1f.7", "10000:c1:1f.7" },
    { "pci=0001:0a:02.1;pci_by=nv", "pci:0001:0a:02.1", "0001:0a:02.1" },
    { "pci=0000:c1:1f.7;pci_by=amd", "pci:0000:c1:1f.7", "0000:c1:1f.7" },
    { "pci=0000:00:00.0;pci_by=khr", "Card#1", NULL },
    { "pci=0000:101:00.0;pci_by=khr", "Card#1", NULL },
    { "pci=0000:01:20.0;pci_by=khr", "Card#1", NULL },
    { "pci=0000:01:00.8;pci_by=khr", "Card#1", NULL },
    { "extensions=cl_khr_pci_bus_info_not cl_nv_device_attribute_query2;vendor=x", "Card#1", NULL },
    /* the sixteenth question is the first about it */
    { "pci=0000:01:00.0;pci_by=khr;fail=GetDeviceInfo@16", "Card#1", NULL },
    { "pci=0000:01:00.0;pci_by=khr;pci_by=nv;fail=GetDeviceInfo@16", "pci:0000:01:00.0", "0000:01:00.0" },
    { "uuid=0123456789abcdef0123456789abcdef", "uuid:01234567-89ab-cdef-0123-456789abcdef", NULL },
    { "uuid=00000000000000000000000000000000", "Card#1", NULL },
  };
  for(size_t i = 0; i < G_N_ELEMENTS(cases); i++)
  {
    char *script = g_strdup_printf("name=Card;%s", cases[i][0]);
    GPtrArray *devices = _detect(script, 1);
    _assert_sane(devices);
    assert_int_equal(_get(devices, 0)->number, 0);
    assert_string_equal(_get(devices, 0)->identity, cases[i][1]);
    assert_string_equal(_get(devices, 0)->pci ? _get(devices, 0)->pci : "", cases[i][2] ? cases[i][2] : "");
    g_ptr_array_unref(devices);
    g_free(script);
  }
}

/* One card through two drivers: the first that can be used has it. */
static void test_duplicates(void **state)
{
  (void)state;
  static const struct
  {
    const char *script;
    int first, second; /* numbers */
  } cases[] = {
    { "name=A;platform=one;pci=0000:01:00.0\nname=A2;platform=two;pci=0000:01:00.0;pci_by=amd", 0, -1 },
    { "name=A;platform=one;pci=0000:01:00.0\nname=A2;platform=two;pci=0000:02:00.0", 0, 1 },
    { "name=A;platform=one;uuid=000102030405060708090a0b0c0d0e0f\n"
      "name=B;platform=two;uuid=000102030405060708090a0b0c0d0e0f",
      0, -1 },
    /* another address says more than the same UUID */
    { "name=A;platform=one;pci=0000:01:00.0;uuid=000102030405060708090a0b0c0d0e0f\n"
      "name=A;platform=two;pci=0000:02:00.0;uuid=000102030405060708090a0b0c0d0e0f",
      0, 1 },
    { "name=A;platform=one;pci=0000:01:00.0;version=OpenCL 1.1 old\nname=A;platform=two;pci=0000:01:00.0", -1,
      0 },
    /* parts of one card */
    { "name=A;platform=one;pci=0000:01:00.0\nname=A;platform=one;pci=0000:01:00.0", 0, 1 },
    { "name=A;platform=one\nname=A;platform=two", 0, 1 },
  };
  for(size_t i = 0; i < G_N_ELEMENTS(cases); i++)
  {
    GPtrArray *devices = _detect(cases[i].script, 1);
    _assert_sane(devices);
    assert_int_equal(devices->len, 2);
    assert_int_equal(_get(devices, 0)->number, cases[i].first);
    assert_int_equal(_get(devices, 1)->number, cases[i].second);
    if(i == 0)
    {
      assert_string_equal(_get(devices, 1)->rejected,
                          "it is device 0, 'A', which is used through the platform 'one'");
      assert_string_equal(_get(devices, 1)->identity, "pci:0000:01:00.0");
    }
    g_ptr_array_unref(devices);
  }
}

static void test_twins(void **state)
{
  (void)state;
  GPtrArray *devices = _detect("name=Twin\nname=Other\nname=TWIN;available=0\nname=Twin;platform=two\n"
                               "name=Twin;pci=0000:01:00.0\nname=Twin;pci=0000:01:00.0",
                               1);
  static const char *const identities[] = { "Twin#1",           "Other#1", "TWIN#2",
                                            "pci:0000:01:00.0", "Twin#4",  "Twin#5" };
  _assert_sane(devices);
  /* those of one platform are together */
  for(guint i = 0; i < G_N_ELEMENTS(identities); i++)
    assert_string_equal(_get(devices, i)->identity, identities[i]);
  g_ptr_array_unref(devices);
}

// --- who is not used

static void test_rejects(void **state)
{
  (void)state;
  static const char *const cases[][2] = {
    { "available=0", "not available" },
    { "type=custom", "custom" },
    { "version=OpenCL 1.1 x", "\"OpenCL 1.1 x\", OpenCL 1.2 is needed" },
    { "version=OpenCL 0.9", "OpenCL 1.2 is needed" },
    { "version=1.2", "OpenCL 1.2 is needed" },
    { "version=OpenCL x.2", "OpenCL 1.2 is needed" },
    { "version=OpenCL 99999999999999999999.2", "OpenCL 1.2 is needed" },
    { "version=", "OpenCL 1.2 is needed" },
    { "profile=EMBEDDED_PROFILE", "\"EMBEDDED_PROFILE\", FULL_PROFILE" },
    { "compiler=0", "no compiler" },
    { "endian=big", "big-endian" },
    { "memory=255M", "255 MiB of memory, 256 are needed" },
    { "memory=0", "0 MiB of memory" },
    { "max_alloc=0", "no room for a buffer" },
    { "units=0", "no compute units" },
    { "group=0", "no work items" },
    { "type=cpu", "opencl_use_cpu_devices" },
    { "vendor=x;name=", "no name" },
    { "vendor=x;name=\\001 \\t", "no name" },
    { "sizes=huge", "does not tell its type: an answer of" },
    { "sizes=zero", "does not tell its type: an answer of 0 bytes instead of 8" },
    { "sizes=endless", "OpenCL 1.2 is needed" },
    { "fail=GetDeviceInfo@1", "does not tell its name: clGetDeviceInfo failed with CL_OUT_OF_RESOURCES" },
  };
  for(size_t i = 0; i < G_N_ELEMENTS(cases); i++)
  {
    char *script = g_strdup_printf("name=Bad;%s\nname=Good", cases[i][0]);
    GPtrArray *devices = _detect(script, 1);
    _assert_sane(devices);
    assert_int_equal(devices->len, 2);
    _assert_contains(_get(devices, 0)->rejected, cases[i][1]);
    assert_int_equal(_get(devices, 1)->number, 0);
    g_ptr_array_unref(devices);
    g_free(script);
  }
}

static void test_accepted(void **state)
{
  (void)state;
  static const char *const cases[] = { "version=OpenCL 1.2 ", "version=OpenCL 2.0", "version=OpenCL 3.0 CUDA",
                                       "version=OpenCL 10.1", "memory=256M",        "type=accelerator" };
  for(size_t i = 0; i < G_N_ELEMENTS(cases); i++)
  {
    char *script = g_strdup_printf("name=Good;%s", cases[i]);
    GPtrArray *devices = _detect(script, 1);
    _assert_sane(devices);
    assert_null(_get(devices, 0)->rejected);
    g_ptr_array_unref(devices);
    g_free(script);
  }
}

static void _assert_name(const char *written, const char *expected)
{
  char *script = g_strdup_printf("name=%s", written);
  GPtrArray *devices = _detect(script, 1);
  _assert_sane(devices);
  assert_string_equal(_get(devices, 0)->name, expected);
  g_ptr_array_unref(devices);
  g_free(script);
}

static void test_untrusted_names(void **state)
{
  (void)state;
  _assert_name("  Card   of \\n\\r\\t\\001\\033[31m red  ", "Card of [31m red");
  _assert_name("Karte \303\244\303\266\303\274 \342\200\256dlrow", "Karte \303\244\303\266\303\274 dlrow");
  _assert_name("bad\\377\\376bytes", "bad\357\277\275\357\277\275bytes");
  _assert_name("\302\205line\342\200\250separator", "line separator");
  char *most = g_strnfill(200, 'x'), *more = g_strnfill(60000, 'x'), *umlauts = g_strnfill(199, 'x');
  _assert_name(most, most);
  _assert_name(more, most);
  char *cut = g_strconcat(umlauts, "\303\244", NULL);
  _assert_name(cut, umlauts); /* no half of a character */
  g_free(cut);
  g_free(more);
  /* longer than anybody reads */
  more = g_strnfill(70000, 'x');
  char *script = g_strdup_printf("name=%s", more);
  GPtrArray *devices = _detect(script, 1);
  _assert_contains(_get(devices, 0)->rejected, "does not tell its name");
  g_ptr_array_unref(devices);
  g_free(script);
  g_free(umlauts);
  g_free(more);
  g_free(most);
}

// --- processors

#define CPU "name=Processor;type=cpu;units=8;uuid=0123456789abcdef0123456789abcdef\n"

static void test_cpu(void **state)
{
  (void)state;
  dt_conf_override(DT_CONF_OPENCL_CPU_DEVICES, "TRUE");
  GPtrArray *devices = _detect(CPU TAHITI, 1);
  _assert_sane(devices);
  assert_int_equal(devices->len, 2);
  assert_int_equal(_get(devices, 0)->number, 0);
  assert_string_equal(dt_opencl_type_name(_get(devices, 0)->type), "cpu");
  assert_int_equal(_calls("clCreateSubDevices"), 0);
  g_ptr_array_unref(devices);
  dt_conf_override(DT_CONF_OPENCL_CPU_DEVICES, "FALSE");
}

static void test_parts(void **state)
{
  (void)state;
  static const struct
  {
    const char *script;
    int parts;
    guint devices, units;
  } cases[] = {
    { CPU, 2, 2, 4 },  { CPU, 3, 3, 2 }, /* a fourth is left over */
    { CPU, 8, 8, 1 },  { CPU, 9, 1, 8 },           { CPU, G_MAXINT, 1, 8 },
    { CPU, -1, 1, 8 }, { "name=Tahiti", 2, 1, 8 }, { CPU "fail=CreateSubDevices:-18", 2, 1, 8 },
  };
  dt_conf_override(DT_CONF_OPENCL_CPU_DEVICES, "TRUE");
  for(size_t i = 0; i < G_N_ELEMENTS(cases); i++)
  {
    GPtrArray *devices = _detect(cases[i].script, cases[i].parts);
    _assert_sane(devices);
    assert_int_equal(devices->len, cases[i].devices);
    for(guint k = 0; k < devices->len; k++)
    {
      assert_int_equal(_get(devices, k)->number, (int)k);
      assert_int_equal(_get(devices, k)->compute_units, cases[i].units);
    }
    g_ptr_array_unref(devices);
  }
  _assert_contains(_log->str,
                   "'Processor' stays whole: clCreateSubDevices failed with CL_DEVICE_PARTITION_FAILED");
  GPtrArray *devices = _detect(CPU, 3);
  assert_string_equal(_get(devices, 0)->identity, "uuid:01234567-89ab-cdef-0123-456789abcdef");
  assert_string_equal(_get(devices, 2)->identity, "Processor#3");
  g_ptr_array_unref(devices);
  dt_conf_override(DT_CONF_OPENCL_CPU_DEVICES, "FALSE");
}

// --- platforms

static void test_platforms(void **state)
{
  (void)state;
  GString *script = g_string_new("platform=Empty\n");
  for(int i = 0; i < 9; i++) g_string_append_printf(script, "name=Card %d;platform=P%d\n", i, i);
  GPtrArray *devices = _detect(script->str, 1);
  assert_int_equal(devices->len, 9);
  assert_string_equal(_get(devices, 8)->name, "Card 8");
  g_ptr_array_unref(devices);
  devices = _detect("platform=Empty", 1);
  assert_int_equal(devices->len, 0);
  g_ptr_array_unref(devices);
  /* more than anybody has: cut off, nothing worse */
  for(int i = 0; i < 400; i++) g_string_append_printf(script, "name=More;platform=P%d\n", i / 4);
  devices = _detect(script->str, 1);
  _assert_sane(devices);
  g_ptr_array_unref(devices);
  g_string_truncate(script, 0);
  for(int i = 0; i < 400; i++) g_string_append(script, "name=More\n");
  devices = _detect(script->str, 1);
  assert_int_equal(devices->len, 256);
  g_ptr_array_unref(devices);
  g_string_free(script, TRUE);
}

static void test_no_platform(void **state)
{
  (void)state;
  GError *error = NULL;
  _script("");
  assert_null(dt_opencl_devices_detect(_driver, 1, &error));
  assert_int_equal(error->code, DT_AI_ERROR_PROVIDER);
  _assert_contains(error->message, "no driver for OpenCL is installed");
  g_clear_error(&error);
  _script("name=Card\nfail=GetPlatformIDs:-6");
  assert_null(dt_opencl_devices_detect(_driver, 1, &error));
  _assert_contains(error->message, "clGetPlatformIDs failed with CL_OUT_OF_HOST_MEMORY");
  g_clear_error(&error);
}

/* A platform that fails leaves the others alone. */
static void test_platform_fails(void **state)
{
  (void)state;
  GPtrArray *devices = _detect("name=A;platform=one\nname=B;platform=two\nfail=GetDeviceIDs@1:-6", 1);
  _assert_sane(devices);
  assert_int_equal(devices->len, 2);
  assert_null(_get(devices, 0)->id);
  assert_string_equal(_get(devices, 0)->platform, "one");
  _assert_contains(_get(devices, 0)->rejected, "clGetDeviceIDs failed with CL_OUT_OF_HOST_MEMORY");
  assert_string_equal(_get(devices, 1)->name, "B");
  assert_int_equal(_get(devices, 1)->number, 0);
  g_ptr_array_unref(devices);
  devices = _detect("name=A;platform=one\nname=B;platform=two\nfail=GetPlatformInfo@1:-6", 1);
  _assert_contains(_get(devices, 0)->rejected, "clGetPlatformInfo failed with CL_OUT_OF_HOST_MEMORY");
  assert_int_equal(_get(devices, 1)->number, 0);
  g_ptr_array_unref(devices);
}

// --- every call fails once

#define EVERYTHING                                                                                           \
  "name=A;platform=one;pci=0000:01:00.0;pci_by=khr;uuid=0123456789abcdef0123456789abcdef\n"                  \
  "name=B;platform=two;pci=0000:02:00.0;pci_by=nv\n"                                                         \
  "name=C;platform=two;pci=0000:03:00.0;pci_by=amd\n"                                                        \
  "name=P;platform=three;type=cpu\n"

/* The failure is told, of one device at most, and the others are used. */
static void _assert_told(const char *function, int k)
{
  char *script = g_strdup_printf(EVERYTHING "fail=%s@%d:-6", function, k);
  GError *error = NULL;
  g_string_truncate(_log, 0);
  _script(script);
  GPtrArray *devices = dt_opencl_devices_detect(_driver, 2, &error);
  GString *words = g_string_new(_log->str);
  int rejected = 0;
  assert_true((devices == NULL) == (error != NULL));
  if(error) g_string_append(words, error->message);
  for(guint i = 0; devices && i < devices->len; i++)
    if(_get(devices, i)->rejected)
    {
      rejected += 1;
      g_string_append(words, _get(devices, i)->rejected);
    }
  _assert_contains(words->str, "CL_OUT_OF_HOST_MEMORY");
  if(devices) _assert_sane(devices);
  assert_true(rejected <= (g_str_has_prefix(function, "GetPlatformInfo") ? 2 : 1));
  assert_int_equal(_live_objects(), 0);
  g_string_free(words, TRUE);
  g_clear_error(&error);
  g_clear_pointer(&devices, g_ptr_array_unref);
  g_free(script);
}

static void test_every_call_fails(void **state)
{
  (void)state;
  static const char *const functions[] = { "GetPlatformIDs", "GetPlatformInfo", "GetDeviceIDs",
                                           "GetDeviceInfo", "CreateSubDevices" };
  dt_conf_override(DT_CONF_OPENCL_CPU_DEVICES, "TRUE");
  for(size_t f = 0; f < G_N_ELEMENTS(functions); f++)
  {
    GPtrArray *devices = _detect(EVERYTHING, 2);
    assert_int_equal(devices->len, 5);
    g_ptr_array_unref(devices);
    const int n = _calls(functions[f]);
    assert_true(n >= 1);
    for(int k = 1; k <= n; k++) _assert_told(functions[f], k);
  }
  dt_conf_override(DT_CONF_OPENCL_CPU_DEVICES, "FALSE");
}

// --- by the settings

static void _assert_absent(const char *script, const char *part)
{
  dt_opencl_driver_t *driver;
  char *absence;
  _script(script);
  GPtrArray *devices = dt_opencl_devices_open(1, &driver, &absence);
  assert_non_null(devices);
  _assert_contains(absence, part);
  g_free(absence);
  g_ptr_array_unref(devices);
  dt_opencl_driver_destroy(driver);
}

static void test_open(void **state)
{
  (void)state;
  dt_opencl_driver_t *driver;
  char *absence;
  _script(GTS450);
  GPtrArray *devices = dt_opencl_devices_open(1, &driver, &absence);
  assert_non_null(driver);
  assert_null(absence);
  assert_int_equal(devices->len, 1);
  g_ptr_array_unref(devices);
  dt_opencl_driver_destroy(driver);
  _assert_absent("", "no driver for OpenCL is installed");
  _assert_absent("platform=Empty", "no platform has a device");
  _assert_absent("name=A;available=0", "the device 'A' is not used: it is not available");
  _assert_absent("name=A;available=0\nname=B;available=0", "none of the 2 devices can be used");
  dt_conf_override(DT_CONF_OPENCL, "FALSE");
  _assert_absent(GTS450, "OpenCL is switched off");
  assert_int_equal(_calls("clGetPlatformIDs"), 0);
  dt_conf_override(DT_CONF_OPENCL, "TRUE");
  dt_conf_override(DT_CONF_OPENCL_LIBRARY, "/nowhere/libOpenCL.so.1");
  _assert_absent(GTS450, "there is no file /nowhere/libOpenCL.so.1");
  dt_conf_override(DT_CONF_OPENCL_LIBRARY, DT_TEST_FAKE_OPENCL);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_library),
    cmocka_unit_test(test_errors),
    cmocka_unit_test(test_fields),
    cmocka_unit_test(test_rounding),
    cmocka_unit_test(test_report),
    cmocka_unit_test(test_pci),
    cmocka_unit_test(test_duplicates),
    cmocka_unit_test(test_twins),
    cmocka_unit_test(test_rejects),
    cmocka_unit_test(test_accepted),
    cmocka_unit_test(test_untrusted_names),
    cmocka_unit_test(test_cpu),
    cmocka_unit_test(test_parts),
    cmocka_unit_test(test_platforms),
    cmocka_unit_test(test_no_platform),
    cmocka_unit_test(test_platform_fails),
    cmocka_unit_test(test_every_call_fails),
    cmocka_unit_test(test_open),
  };
  return cmocka_run_group_tests_name("opencl_device", tests, _setup, _teardown);
}
