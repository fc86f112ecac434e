/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Contexts, queues, buffers, and commands. Copies are done at once, and so is the one kernel that is computed; kernels
 * keep the device busy for as long as the script says. Who waits for a queue waits until its device is ready. */
#include "fake.h"

#include <string.h>

/* --- contexts and queues --- */

FAKE_EXPORT cl_context clCreateContext(const cl_context_properties *properties, cl_uint n,
                                       const cl_device_id *devices,
                                       void(CL_CALLBACK *notify)(const char *words, const void *data,
                                                                 size_t size, void *user_data),
                                       void *user_data, cl_int *result)
{
  (void)properties;
  (void)notify;
  (void)user_data;
  cl_device_id device = n == 1 && devices ? devices[0] : NULL;
  cl_int code = fake_enter(FAKE_CreateContext, device);
  if(code == CL_SUCCESS && !device) code = CL_INVALID_VALUE;
  if(result) *result = code;
  return code == CL_SUCCESS ? fake_object_new(FAKE_CONTEXT, sizeof(struct _cl_context), device, NULL) : NULL;
}

FAKE_EXPORT cl_int clReleaseContext(cl_context context)
{
  cl_device_id device = fake_object_device(context, FAKE_CONTEXT);
  const cl_int code = fake_enter(FAKE_ReleaseContext, device);
  if(code != CL_SUCCESS) return code;
  if(!device) return CL_INVALID_CONTEXT;
  fake_object_free(context);
  return CL_SUCCESS;
}

FAKE_EXPORT cl_command_queue clCreateCommandQueue(cl_context context, cl_device_id device,
                                                  cl_command_queue_properties properties, cl_int *result)
{
  cl_device_id own = fake_object_device(context, FAKE_CONTEXT);
  cl_int code = fake_enter(FAKE_CreateCommandQueue, own);
  if(code == CL_SUCCESS && !own) code = CL_INVALID_CONTEXT;
  if(code == CL_SUCCESS && device != own) code = CL_INVALID_DEVICE;
  if(code == CL_SUCCESS && (properties & ~(cl_command_queue_properties)CL_QUEUE_PROFILING_ENABLE))
    code = CL_INVALID_QUEUE_PROPERTIES;
  if(result) *result = code;
  return code == CL_SUCCESS ? fake_object_new(FAKE_QUEUE, sizeof(struct _cl_command_queue), own, context)
                            : NULL;
}

FAKE_EXPORT cl_int clReleaseCommandQueue(cl_command_queue queue)
{
  cl_device_id device = fake_object_device(queue, FAKE_QUEUE);
  const cl_int code = fake_enter(FAKE_ReleaseCommandQueue, device);
  if(code != CL_SUCCESS) return code;
  if(!device) return CL_INVALID_COMMAND_QUEUE;
  fake_object_free(queue);
  return CL_SUCCESS;
}

static void _wait_for(cl_device_id device)
{
  fake_lock();
  const gint64 ready = device->ready;
  fake_unlock();
  fake_sleep_until(ready);
}

FAKE_EXPORT cl_int clFlush(cl_command_queue queue)
{
  cl_device_id device = fake_object_device(queue, FAKE_QUEUE);
  const cl_int code = fake_enter(FAKE_Flush, device);
  return code != CL_SUCCESS ? code : device ? CL_SUCCESS : CL_INVALID_COMMAND_QUEUE;
}

FAKE_EXPORT cl_int clFinish(cl_command_queue queue)
{
  cl_device_id device = fake_object_device(queue, FAKE_QUEUE);
  const cl_int code = fake_enter(FAKE_Finish, device);
  if(code != CL_SUCCESS) return code;
  if(!device || !fake_object_works(queue)) return CL_INVALID_COMMAND_QUEUE;
  _wait_for(device);
  return CL_SUCCESS;
}

/* --- buffers --- */

static cl_int _allocate(cl_device_id device, gsize size)
{
  if(!size || size > device->max_alloc) return CL_INVALID_BUFFER_SIZE;
  fake_lock();
  const gboolean fits = device->allocated + size <= device->memory;
  if(fits) device->allocated += size;
  fake_unlock();
  return fits ? CL_SUCCESS : CL_MEM_OBJECT_ALLOCATION_FAILURE;
}

FAKE_EXPORT cl_mem clCreateBuffer(cl_context context, cl_mem_flags flags, size_t size, void *host,
                                  cl_int *result)
{
  cl_device_id device = fake_object_device(context, FAKE_CONTEXT);
  const gboolean copies = (flags & CL_MEM_COPY_HOST_PTR) != 0;
  cl_int code = fake_enter(FAKE_CreateBuffer, device);
  if(code == CL_SUCCESS && !device) code = CL_INVALID_CONTEXT;
  if(code == CL_SUCCESS && (flags & CL_MEM_USE_HOST_PTR)) code = CL_INVALID_VALUE;
  if(code == CL_SUCCESS && copies != (host != NULL)) code = CL_INVALID_HOST_PTR;
  if(code == CL_SUCCESS) code = _allocate(device, size);
  if(result) *result = code;
  if(code != CL_SUCCESS) return NULL;
  cl_mem buffer = fake_object_new(FAKE_BUFFER, sizeof *buffer, device, context);
  buffer->size = size;
  buffer->data = g_malloc0(size);
  if(copies) memcpy(buffer->data, host, size);
  return buffer;
}

FAKE_EXPORT cl_int clReleaseMemObject(cl_mem buffer)
{
  cl_device_id device = fake_object_device(buffer, FAKE_BUFFER);
  const cl_int code = fake_enter(FAKE_ReleaseMemObject, device);
  if(code != CL_SUCCESS) return code;
  if(!device) return CL_INVALID_MEM_OBJECT;
  fake_lock();
  device->allocated -= buffer->size;
  fake_unlock();
  g_free(buffer->data);
  fake_object_free(buffer);
  return CL_SUCCESS;
}

/* --- commands --- */

/* What a command on @p queue ends with at once. There are no events. */
static cl_int _check_command(cl_command_queue queue, cl_uint n_events, const cl_event *events,
                             const cl_event *event)
{
  if(!fake_object_device(queue, FAKE_QUEUE) || !fake_object_works(queue)) return CL_INVALID_COMMAND_QUEUE;
  if(n_events || events) return CL_INVALID_EVENT_WAIT_LIST;
  return event ? CL_INVALID_OPERATION : CL_SUCCESS;
}

static cl_int _check_range(cl_device_id device, cl_mem buffer, gsize offset, gsize size)
{
  if(fake_object_device(buffer, FAKE_BUFFER) != device) return CL_INVALID_MEM_OBJECT;
  if(!fake_object_works(buffer)) return CL_INVALID_CONTEXT;
  return size && offset <= buffer->size && size <= buffer->size - offset ? CL_SUCCESS : CL_INVALID_VALUE;
}

FAKE_EXPORT cl_int clEnqueueWriteBuffer(cl_command_queue queue, cl_mem buffer, cl_bool blocking,
                                        size_t offset, size_t size, const void *host, cl_uint n_events,
                                        const cl_event *events, cl_event *event)
{
  cl_device_id device = fake_object_device(queue, FAKE_QUEUE);
  cl_int code = fake_enter(FAKE_EnqueueWriteBuffer, device);
  if(code == CL_SUCCESS) code = _check_command(queue, n_events, events, event);
  if(code == CL_SUCCESS) code = _check_range(device, buffer, offset, size);
  if(code == CL_SUCCESS && !host) code = CL_INVALID_VALUE;
  if(code != CL_SUCCESS) return code;
  memcpy(buffer->data + offset, host, size);
  if(blocking) _wait_for(device);
  return CL_SUCCESS;
}

FAKE_EXPORT cl_int clEnqueueReadBuffer(cl_command_queue queue, cl_mem buffer, cl_bool blocking, size_t offset,
                                       size_t size, void *host, cl_uint n_events, const cl_event *events,
                                       cl_event *event)
{
  cl_device_id device = fake_object_device(queue, FAKE_QUEUE);
  cl_int code = fake_enter(FAKE_EnqueueReadBuffer, device);
  if(code == CL_SUCCESS) code = _check_command(queue, n_events, events, event);
  if(code == CL_SUCCESS) code = _check_range(device, buffer, offset, size);
  if(code == CL_SUCCESS && !host) code = CL_INVALID_VALUE;
  if(code != CL_SUCCESS) return code;
  memcpy(host, buffer->data + offset, size);
  if(blocking) _wait_for(device);
  return CL_SUCCESS;
}

FAKE_EXPORT cl_int clEnqueueCopyBuffer(cl_command_queue queue, cl_mem source, cl_mem target,
                                       size_t source_offset, size_t target_offset, size_t size,
                                       cl_uint n_events, const cl_event *events, cl_event *event)
{
  cl_device_id device = fake_object_device(queue, FAKE_QUEUE);
  cl_int code = fake_enter(FAKE_EnqueueCopyBuffer, device);
  if(code == CL_SUCCESS) code = _check_command(queue, n_events, events, event);
  if(code == CL_SUCCESS) code = _check_range(device, source, source_offset, size);
  if(code == CL_SUCCESS) code = _check_range(device, target, target_offset, size);
  if(code != CL_SUCCESS) return code;
  if(source == target && source_offset < target_offset + size && target_offset < source_offset + size)
    return CL_MEM_COPY_OVERLAP;
  memcpy(target->data + target_offset, source->data + source_offset, size);
  return CL_SUCCESS;
}

static cl_int _check_sizes(cl_device_id device, cl_uint dims, const gsize *global, const gsize *local)
{
  gsize group = 1;
  if(dims < 1 || dims > 3) return CL_INVALID_WORK_DIMENSION;
  if(!global) return CL_INVALID_GLOBAL_WORK_SIZE;
  for(cl_uint i = 0; i < dims; i++)
  {
    if(!global[i]) return CL_INVALID_GLOBAL_WORK_SIZE;
    if(local && (!local[i] || global[i] % local[i])) return CL_INVALID_WORK_GROUP_SIZE;
    if(local) group *= local[i];
  }
  return group <= device->group ? CL_SUCCESS : CL_INVALID_WORK_GROUP_SIZE;
}

/* out[i] = base + i for i below count, as data/kernels/basic.cl has it. Kernels have nothing in the local memory. */
static cl_int _count_up(cl_device_id device, const fake_arg_t *args, gsize items)
{
  cl_mem out;
  cl_uint base, count;
  if(args[0].size != sizeof out || args[1].size != sizeof base || args[2].size != sizeof count)
    return CL_INVALID_KERNEL_ARGS;
  memcpy(&out, args[0].bytes, sizeof out);
  memcpy(&base, args[1].bytes, sizeof base);
  memcpy(&count, args[2].bytes, sizeof count);
  const gsize n = MIN(count, items);
  const cl_int code = n ? _check_range(device, out, 0, n * sizeof(cl_uint)) : CL_SUCCESS;
  if(code != CL_SUCCESS) return code == CL_INVALID_VALUE ? CL_OUT_OF_RESOURCES : code;
  if(device->wrong) base++;
  for(cl_uint i = 0; i < n; i++)
  {
    const cl_uint number = base + i;
    memcpy(out->data + i * sizeof number, &number, sizeof number);
  }
  return CL_SUCCESS;
}

FAKE_EXPORT cl_int clEnqueueNDRangeKernel(cl_command_queue queue, cl_kernel kernel, cl_uint dims,
                                          const size_t *offset, const size_t *global, const size_t *local,
                                          cl_uint n_events, const cl_event *events, cl_event *event)
{
  (void)offset;
  cl_device_id device = fake_object_device(queue, FAKE_QUEUE);
  cl_int code = fake_enter(FAKE_EnqueueNDRangeKernel, device);
  if(code == CL_SUCCESS) code = _check_command(queue, n_events, events, event);
  if(code == CL_SUCCESS && fake_object_device(kernel, FAKE_KERNEL) != device) code = CL_INVALID_KERNEL;
  if(code == CL_SUCCESS && !fake_object_works(kernel)) code = CL_INVALID_CONTEXT;
  if(code == CL_SUCCESS) code = _check_sizes(device, dims, global, local);
  if(code == CL_SUCCESS && kernel->counts_up) code = _count_up(device, kernel->args, global[0]);
  if(code != CL_SUCCESS) return code;
  fake_lock();
  device->ready = MAX(device->ready, g_get_monotonic_time()) + (gint64)1000 * device->slow;
  fake_unlock();
  return CL_SUCCESS;
}
