/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "pocl.h"

#include "support.h"

#include "common/conf.h"

#include <glib/gstdio.h>

static dt_opencl_driver_t *_real, _copy;

const char *test_pocl_world(void)
{
  const char *world = test_world_create();
  char *cache = g_build_filename(world, "pocl", NULL);
  g_mkdir_with_parents(cache, 0700);
  g_setenv("POCL_DEVICES", "basic pthread", TRUE);
  g_setenv("POCL_CACHE_DIR", cache, TRUE);
  g_free(cache);
  dt_conf_override(DT_CONF_OPENCL_CPU_DEVICES, "TRUE");
  /* compiling on a busy machine is no device that hangs */
  dt_conf_override(DT_CONF_OPENCL_HANG_SECONDS, "600");
  return world;
}

const dt_opencl_driver_t *test_pocl_real_driver(void)
{
  return _real;
}

dt_opencl_driver_t *test_pocl_driver(void)
{
  char *absence = NULL;
  dt_opencl_driver_t *driver = NULL;
  GPtrArray *devices = dt_opencl_devices_open(1, &driver, &absence);
  int n;
  g_free(dt_opencl_devices_names(devices, &n));
  g_ptr_array_unref(devices);
  if(n < 2)
    print_message("two OpenCL devices are needed, as PoCL has them: %s\n",
                  absence ? absence : "there is one");
  g_free(absence);
  dt_opencl_driver_destroy(_real);
  _real = driver;
  if(!driver || n < 2) return NULL;
  _copy = *driver;
  return &_copy;
}

/* --- a driver that fails now and then --- */

static gint _calls, _fail_every, _buffers, _fail_buffers;

/* Every so many calls fail; two in three as if the device were ill, the third as if its memory were used up. */
static cl_int _chance(void)
{
  const gint call = g_atomic_int_add(&_calls, 1) + 1, every = g_atomic_int_get(&_fail_every);
  if(!every || call % every) return CL_SUCCESS;
  return call / every % 3 ? CL_INVALID_COMMAND_QUEUE : CL_MEM_OBJECT_ALLOCATION_FAILURE;
}

static cl_int CL_API_CALL _failing_enqueue(cl_command_queue queue, cl_kernel kernel, cl_uint dims,
                                           const size_t *offset, const size_t *global, const size_t *local,
                                           cl_uint n, const cl_event *wait, cl_event *event)
{
  const cl_int code = _chance();
  return code ? code
              : _real->EnqueueNDRangeKernel(queue, kernel, dims, offset, global, local, n, wait, event);
}

static cl_int CL_API_CALL _failing_read(cl_command_queue queue, cl_mem buffer, cl_bool blocking,
                                        size_t offset, size_t size, void *data, cl_uint n,
                                        const cl_event *wait, cl_event *event)
{
  const cl_int code = _chance();
  return code ? code : _real->EnqueueReadBuffer(queue, buffer, blocking, offset, size, data, n, wait, event);
}

static cl_mem CL_API_CALL _failing_create(cl_context context, cl_mem_flags flags, size_t size, void *data,
                                          cl_int *code)
{
  const gint buffer = g_atomic_int_add(&_buffers, 1) + 1, every = g_atomic_int_get(&_fail_buffers);
  if(!every || buffer % every) return _real->CreateBuffer(context, flags, size, data, code);
  *code = CL_MEM_OBJECT_ALLOCATION_FAILURE;
  return NULL;
}

dt_opencl_driver_t *test_pocl_failing_driver(void)
{
  dt_opencl_driver_t *driver = test_pocl_driver();
  if(!driver) return NULL;
  driver->EnqueueNDRangeKernel = _failing_enqueue;
  driver->EnqueueReadBuffer = _failing_read;
  driver->CreateBuffer = _failing_create;
  return driver;
}

void test_pocl_fail_every(int calls, int buffers)
{
  g_atomic_int_set(&_fail_every, calls);
  g_atomic_int_set(&_fail_buffers, buffers);
}
