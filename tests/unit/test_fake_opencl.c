/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The fake OpenCL driver itself: other tests build upon what it refuses and what it forgets. */
#include "support.h"

#include "common/conf.h"
#include "common/opencl_driver.h"
#include "fake_opencl.h"

#include <gmodule.h>
#include <pthread.h>
#include <string.h>

static dt_opencl_driver_t *_cl;
static fake_opencl_script_t *_script;
static fake_opencl_calls_t *_calls;
static fake_opencl_device_calls_t *_device_calls;
static fake_opencl_live_objects_t *_live_objects;

static int _setup(void **state)
{
  (void)state;
  test_world_create();
  dt_conf_override(DT_CONF_OPENCL_LIBRARY, DT_TEST_FAKE_OPENCL);
  _cl = dt_opencl_driver_load(NULL);
  assert_non_null(_cl);
  GModule *module = g_module_open(DT_TEST_FAKE_OPENCL, G_MODULE_BIND_LAZY);
  assert_true(g_module_symbol(module, "fake_opencl_script", (void **)&_script));
  assert_true(g_module_symbol(module, "fake_opencl_calls", (void **)&_calls));
  assert_true(g_module_symbol(module, "fake_opencl_device_calls", (void **)&_device_calls));
  assert_true(g_module_symbol(module, "fake_opencl_live_objects", (void **)&_live_objects));
  return 0;
}

static int _teardown(void **state)
{
  (void)state;
  dt_opencl_driver_destroy(_cl);
  test_world_destroy();
  return 0;
}

/* The device of that number; all are on one platform. */
static cl_device_id _device(int number)
{
  cl_platform_id platform;
  cl_device_id devices[16];
  assert_int_equal(_cl->GetPlatformIDs(1, &platform, NULL), CL_SUCCESS);
  assert_int_equal(_cl->GetDeviceIDs(platform, CL_DEVICE_TYPE_ALL, 16, devices, NULL), CL_SUCCESS);
  return devices[number];
}

typedef struct _place_t
{
  cl_context context;
  cl_command_queue queue;
} _place_t;

static _place_t _open(cl_device_id device)
{
  cl_int code;
  _place_t place = { .context = _cl->CreateContext(NULL, 1, &device, NULL, NULL, &code) };
  assert_int_equal(code, CL_SUCCESS);
  place.queue = _cl->CreateCommandQueue(place.context, device, 0, &code);
  assert_int_equal(code, CL_SUCCESS);
  return place;
}

static void _close(_place_t place)
{
  assert_int_equal(_cl->ReleaseCommandQueue(place.queue), CL_SUCCESS);
  assert_int_equal(_cl->ReleaseContext(place.context), CL_SUCCESS);
}

static const char *_source = "kernel void add(global float *a) { }";

static cl_program _build(_place_t place, cl_int expected)
{
  cl_int code;
  cl_program program = _cl->CreateProgramWithSource(place.context, 1, &_source, NULL, &code);
  assert_int_equal(code, CL_SUCCESS);
  assert_int_equal(_cl->BuildProgram(program, 0, NULL, "-w", NULL, NULL), expected);
  return program;
}

static void test_buffers(void **state)
{
  (void)state;
  cl_int code;
  char text[8] = "1234567";
  _script("name=A;memory=1M;max_alloc=600K");
  _place_t place = _open(_device(0));
  cl_mem a = _cl->CreateBuffer(place.context, CL_MEM_READ_WRITE, 600 << 10, NULL, &code);
  assert_int_equal(code, CL_SUCCESS);
  assert_null(_cl->CreateBuffer(place.context, CL_MEM_READ_WRITE, (600 << 10) + 1, NULL, &code));
  assert_int_equal(code, CL_INVALID_BUFFER_SIZE);
  assert_null(_cl->CreateBuffer(place.context, CL_MEM_READ_WRITE, 600 << 10, NULL, &code));
  assert_int_equal(code, CL_MEM_OBJECT_ALLOCATION_FAILURE);
  cl_mem b = _cl->CreateBuffer(place.context, CL_MEM_READ_WRITE | CL_MEM_COPY_HOST_PTR, 8, text, &code);
  assert_int_equal(code, CL_SUCCESS);
  assert_int_equal(_live_objects(), 4);
  assert_int_equal(_cl->EnqueueCopyBuffer(place.queue, b, a, 0, (600 << 10) - 8, 8, 0, NULL, NULL),
                   CL_SUCCESS);
  assert_int_equal(_cl->EnqueueCopyBuffer(place.queue, b, a, 0, (600 << 10) - 7, 8, 0, NULL, NULL),
                   CL_INVALID_VALUE);
  assert_int_equal(_cl->EnqueueCopyBuffer(place.queue, b, b, 0, 1, 4, 0, NULL, NULL), CL_MEM_COPY_OVERLAP);
  memset(text, 0, sizeof text);
  assert_int_equal(_cl->EnqueueReadBuffer(place.queue, a, CL_TRUE, (600 << 10) - 8, 8, text, 0, NULL, NULL),
                   CL_SUCCESS);
  assert_string_equal(text, "1234567");
  assert_int_equal(_cl->EnqueueWriteBuffer(place.queue, b, CL_TRUE, 8, 1, text, 0, NULL, NULL),
                   CL_INVALID_VALUE);
  assert_int_equal(_cl->ReleaseMemObject(a), CL_SUCCESS);
  assert_int_equal(_cl->ReleaseMemObject(a), CL_INVALID_MEM_OBJECT);
  assert_int_equal(_cl->ReleaseMemObject((cl_mem)place.queue), CL_INVALID_MEM_OBJECT);
  assert_int_equal(_cl->ReleaseMemObject(b), CL_SUCCESS);
  _close(place);
  assert_int_equal(_live_objects(), 0);
}

static cl_program _load(_place_t place, cl_device_id device, const unsigned char *binary, gsize length,
                        cl_int *code)
{
  return _cl->CreateProgramWithBinary(place.context, 1, &device, &length, &binary, NULL, code);
}

static void test_binaries(void **state)
{
  (void)state;
  cl_int code;
  gsize length = 0;
  unsigned char binary[4096], *target = binary;
  _script("name=Twin\nname=Twin\nname=Other");
  _place_t first = _open(_device(0)), twin = _open(_device(1)), other = _open(_device(2));
  cl_program program = _build(first, CL_SUCCESS);
  assert_int_equal(_cl->GetProgramInfo(program, CL_PROGRAM_BINARY_SIZES, sizeof length, &length, NULL),
                   CL_SUCCESS);
  assert_true(length > 0 && length <= sizeof binary);
  assert_int_equal(_cl->GetProgramInfo(program, CL_PROGRAM_BINARIES, sizeof target, &target, NULL),
                   CL_SUCCESS);
  cl_program again = _load(twin, _device(1), binary, length, &code);
  assert_int_equal(code, CL_SUCCESS);
  assert_null(_load(other, _device(2), binary, length, &code));
  assert_int_equal(code, CL_INVALID_BINARY);
  binary[length - 1] ^= 1;
  assert_null(_load(twin, _device(1), binary, length, &code));
  assert_int_equal(code, CL_INVALID_BINARY);
  /* as OpenCL wants it, a binary is built as well */
  assert_null(_cl->CreateKernel(again, "add", &code));
  assert_int_equal(code, CL_INVALID_PROGRAM_EXECUTABLE);
  assert_int_equal(_cl->BuildProgram(again, 0, NULL, NULL, NULL, NULL), CL_SUCCESS);
  cl_kernel kernel = _cl->CreateKernel(again, "add", &code);
  assert_int_equal(code, CL_SUCCESS);
  assert_null(_cl->CreateKernel(again, "ad", &code));
  assert_int_equal(code, CL_INVALID_KERNEL_NAME);
  _cl->ReleaseKernel(kernel);
  _cl->ReleaseProgram(program);
  _cl->ReleaseProgram(again);
  _close(first);
  _close(twin);
  _close(other);
  assert_int_equal(_live_objects(), 0);
}

static void test_build_fails(void **state)
{
  (void)state;
  char log[64];
  _script("name=A\nname=B\nbuild_fails=B:add.cl:1: error");
  _place_t a = _open(_device(0)), b = _open(_device(1));
  cl_program fine = _build(a, CL_SUCCESS), bad = _build(b, CL_BUILD_PROGRAM_FAILURE);
  assert_int_equal(_cl->GetProgramBuildInfo(bad, _device(1), CL_PROGRAM_BUILD_LOG, sizeof log, log, NULL),
                   CL_SUCCESS);
  assert_string_equal(log, "add.cl:1: error");
  _cl->ReleaseProgram(fine);
  _cl->ReleaseProgram(bad);
  _close(a);
  _close(b);
}

/* Commands that were enqueued take their time when they are waited for. */
static void test_time(void **state)
{
  (void)state;
  cl_int code;
  const gsize global = 64, local = 32, odd = 7, large = 512;
  _script("name=A;slow=20;group=256");
  _place_t place = _open(_device(0));
  cl_program program = _build(place, CL_SUCCESS);
  cl_kernel kernel = _cl->CreateKernel(program, "add", &code);
  const gint64 start = g_get_monotonic_time();
  for(int i = 0; i < 3; i++)
    assert_int_equal(_cl->EnqueueNDRangeKernel(place.queue, kernel, 1, NULL, &global, &local, 0, NULL, NULL),
                     CL_SUCCESS);
  assert_int_equal(_cl->EnqueueNDRangeKernel(place.queue, kernel, 1, NULL, &global, &odd, 0, NULL, NULL),
                   CL_INVALID_WORK_GROUP_SIZE);
  assert_int_equal(_cl->EnqueueNDRangeKernel(place.queue, kernel, 1, NULL, &large, &large, 0, NULL, NULL),
                   CL_INVALID_WORK_GROUP_SIZE);
  assert_int_equal(_cl->Finish(place.queue), CL_SUCCESS);
  assert_true(g_get_monotonic_time() - start >= 60000);
  assert_int_equal(_calls("clEnqueueNDRangeKernel"), 5);
  assert_int_equal(_calls("Finish"), 1);
  assert_int_equal(_calls("clNothing"), -1);
  assert_int_equal(_device_calls(0, "Finish"), 1);
  assert_int_equal(_device_calls(1, "Finish"), -1);
  _cl->ReleaseKernel(kernel);
  _cl->ReleaseProgram(program);
  _close(place);
}

static void test_failures(void **state)
{
  (void)state;
  _script("name=A\nname=B;fail=Flush@2-3:-36\nfail=Finish%3:-5");
  _place_t a = _open(_device(0)), b = _open(_device(1));
  static const cl_int expected[] = { 0, -36, -36, 0 };
  for(int i = 0; i < 4; i++)
  {
    assert_int_equal(_cl->Flush(a.queue), CL_SUCCESS);
    assert_int_equal(_cl->Flush(b.queue), expected[i]);
  }
  for(int i = 1; i <= 9; i++)
    assert_int_equal(_cl->Finish(a.queue), i % 3 ? CL_SUCCESS : CL_OUT_OF_RESOURCES);
  _close(a);
  _close(b);
}

static void test_lost(void **state)
{
  (void)state;
  char byte = 1;
  cl_int code;
  _script("name=A\nname=B\nlost=A@2");
  _place_t a = _open(_device(0)), b = _open(_device(1));
  cl_mem buffer = _cl->CreateBuffer(a.context, CL_MEM_READ_WRITE, 1, NULL, &code);
  assert_int_equal(_cl->EnqueueWriteBuffer(a.queue, buffer, CL_TRUE, 0, 1, &byte, 0, NULL, NULL), CL_SUCCESS);
  assert_int_equal(_cl->Finish(a.queue), CL_SUCCESS);
  assert_int_equal(_cl->EnqueueReadBuffer(a.queue, buffer, CL_TRUE, 0, 1, &byte, 0, NULL, NULL),
                   CL_DEVICE_NOT_AVAILABLE);
  assert_int_equal(_cl->Finish(a.queue), CL_DEVICE_NOT_AVAILABLE);
  assert_null(_cl->CreateBuffer(a.context, CL_MEM_READ_WRITE, 1, NULL, &code));
  assert_int_equal(code, CL_DEVICE_NOT_AVAILABLE);
  assert_int_equal(_cl->Finish(b.queue), CL_SUCCESS);
  assert_int_equal(_cl->ReleaseMemObject(buffer), CL_SUCCESS);
  _close(a);
  _close(b);
  assert_int_equal(_live_objects(), 0);
}

/* Counts @p count up from 7 into @p numbers, of which there are four. @return the first code that is none of success */
static cl_int _count(_place_t place, cl_kernel kernel, cl_mem buffer, cl_uint count, cl_uint *numbers)
{
  const cl_uint base = 7;
  const gsize items = 8;
  cl_int code = _cl->SetKernelArg(kernel, 0, sizeof buffer, &buffer);
  if(code == CL_SUCCESS) code = _cl->SetKernelArg(kernel, 1, sizeof base, &base);
  if(code == CL_SUCCESS) code = _cl->SetKernelArg(kernel, 2, sizeof count, &count);
  if(code == CL_SUCCESS)
    code = _cl->EnqueueNDRangeKernel(place.queue, kernel, 1, NULL, &items, NULL, 0, NULL, NULL);
  return code != CL_SUCCESS ? code
                            : _cl->EnqueueReadBuffer(place.queue, buffer, CL_TRUE, 0, 4 * sizeof *numbers,
                                                     numbers, 0, NULL, NULL);
}

typedef struct _counter_t
{
  _place_t place;
  cl_program program;
  cl_kernel kernel;
  cl_mem buffer;
} _counter_t;

static _counter_t _open_counter(cl_device_id device)
{
  static const char *source = "kernel void count_up() { }";
  cl_int code;
  _counter_t c = { .place = _open(device) };
  c.program = _cl->CreateProgramWithSource(c.place.context, 1, &source, NULL, &code);
  assert_int_equal(_cl->BuildProgram(c.program, 0, NULL, "", NULL, NULL), CL_SUCCESS);
  c.kernel = _cl->CreateKernel(c.program, "count_up", &code);
  assert_int_equal(code, CL_SUCCESS);
  c.buffer = _cl->CreateBuffer(c.place.context, CL_MEM_READ_WRITE, 4 * sizeof(cl_uint), NULL, &code);
  assert_int_equal(code, CL_SUCCESS);
  return c;
}

static void _close_counter(_counter_t c)
{
  assert_int_equal(_cl->ReleaseMemObject(c.buffer), CL_SUCCESS);
  assert_int_equal(_cl->ReleaseKernel(c.kernel), CL_SUCCESS);
  assert_int_equal(_cl->ReleaseProgram(c.program), CL_SUCCESS);
  _close(c.place);
}

/* The kernel that is computed: its arguments, its bounds, a device that gets it wrong. */
static void test_count_up(void **state)
{
  (void)state;
  cl_uint numbers[4] = { 0 };
  const gsize items = 8;
  _script("name=A\nname=B;wrong=1");
  _counter_t a = _open_counter(_device(0)), b = _open_counter(_device(1));
  assert_int_equal(_cl->EnqueueNDRangeKernel(a.place.queue, a.kernel, 1, NULL, &items, NULL, 0, NULL, NULL),
                   CL_INVALID_KERNEL_ARGS);
  assert_int_equal(_count(a.place, a.kernel, a.buffer, 3, numbers), CL_SUCCESS);
  assert_memory_equal(numbers, ((cl_uint[]){ 7, 8, 9, 0 }), sizeof numbers);
  assert_int_equal(_count(a.place, a.kernel, a.buffer, 5, numbers), CL_OUT_OF_RESOURCES);
  assert_int_equal(_count(a.place, a.kernel, b.buffer, 3, numbers), CL_INVALID_MEM_OBJECT);
  assert_int_equal(_count(b.place, b.kernel, b.buffer, 4, numbers), CL_SUCCESS);
  assert_memory_equal(numbers, ((cl_uint[]){ 8, 9, 10, 11 }), sizeof numbers);
  _close_counter(a);
  _close_counter(b);
  assert_int_equal(_live_objects(), 0);
}

/* A context that died stays dead, a new one lives. */
static void test_dies(void **state)
{
  (void)state;
  cl_uint numbers[4];
  _script("name=A;dies=3");
  _counter_t dead = _open_counter(_device(0));
  assert_int_equal(_count(dead.place, dead.kernel, dead.buffer, 4, numbers), CL_SUCCESS);
  for(int i = 0; i < 2; i++)
    assert_int_equal(_count(dead.place, dead.kernel, dead.buffer, 4, numbers), CL_INVALID_COMMAND_QUEUE);
  assert_int_equal(_cl->Finish(dead.place.queue), CL_INVALID_COMMAND_QUEUE);
  _counter_t living = _open_counter(_device(0));
  assert_int_equal(_count(living.place, living.kernel, living.buffer, 4, numbers), CL_SUCCESS);
  assert_int_equal(_count(living.place, dead.kernel, living.buffer, 4, numbers), CL_INVALID_CONTEXT);
  assert_int_equal(_count(living.place, living.kernel, dead.buffer, 4, numbers), CL_INVALID_CONTEXT);
  _close_counter(dead);
  _close_counter(living);
  assert_int_equal(_live_objects(), 0);
}

static gint _came_back;

static void *_finish(void *queue)
{
  _cl->Finish(queue);
  g_atomic_int_set(&_came_back, 1);
  return NULL;
}

static void test_hang(void **state)
{
  (void)state;
  pthread_t thread;
  _script("name=A\nname=B\nhang=Finish@1");
  _place_t a = _open(_device(0)), b = _open(_device(1));
  assert_int_equal(pthread_create(&thread, NULL, _finish, a.queue), 0);
  pthread_detach(thread);
  while(_calls("Finish") < 1) g_usleep(1000);
  g_usleep(20000);
  assert_int_equal(_cl->Finish(b.queue), CL_SUCCESS);
  assert_int_equal(g_atomic_int_get(&_came_back), 0);
  _close(b);
  assert_int_equal(_live_objects(), 2); /* what the thread that hangs still has */
  _close(a);
}

static void *_work(void *device)
{
  cl_int code;
  char byte = 0;
  for(int i = 0; i < 200; i++)
  {
    _place_t place = _open(device);
    cl_program program = _build(place, CL_SUCCESS);
    cl_mem buffer = _cl->CreateBuffer(place.context, CL_MEM_READ_WRITE, 64, NULL, &code);
    assert_int_equal(_cl->EnqueueWriteBuffer(place.queue, buffer, CL_TRUE, 0, 1, &byte, 0, NULL, NULL),
                     CL_SUCCESS);
    assert_int_equal(_cl->Finish(place.queue), CL_SUCCESS);
    _cl->ReleaseMemObject(buffer);
    _cl->ReleaseProgram(program);
    _close(place);
  }
  return NULL;
}

static void test_threads(void **state)
{
  (void)state;
  pthread_t threads[4];
  _script("name=A\nname=B");
  for(int i = 0; i < 4; i++) assert_int_equal(pthread_create(&threads[i], NULL, _work, _device(i / 2)), 0);
  for(int i = 0; i < 4; i++) pthread_join(threads[i], NULL);
  assert_int_equal(_live_objects(), 0);
  assert_int_equal(_calls("Finish"), 800);
  assert_int_equal(_device_calls(1, "Finish"), 400);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_buffers), cmocka_unit_test(test_binaries), cmocka_unit_test(test_build_fails),
    cmocka_unit_test(test_time),    cmocka_unit_test(test_failures), cmocka_unit_test(test_lost),
    cmocka_unit_test(test_hang),    cmocka_unit_test(test_threads),  cmocka_unit_test(test_count_up),
    cmocka_unit_test(test_dies),
  };
  return cmocka_run_group_tests_name("fake_opencl", tests, _setup, _teardown);
}
