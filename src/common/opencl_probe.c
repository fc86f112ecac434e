/* SPDX-License-Identifier: GPL-3.0-or-later */
/* One small kernel, from compiling to reading back. */
#include "common/opencl_probe.h"

#define COUNT 256
#define BASE 0x5eedu

static gboolean _run(dt_opencl_queue_t *queue, cl_kernel kernel, cl_mem buffer, cl_uint *numbers,
                     GError **error)
{
  const dt_opencl_driver_t *cl = queue->cl;
  const cl_uint base = BASE;
  const size_t count = COUNT;
  return dt_opencl_check(cl->SetKernelArg(kernel, 0, sizeof(buffer), &buffer), "clSetKernelArg", error)
         && dt_opencl_check(cl->SetKernelArg(kernel, 1, sizeof(base), &base), "clSetKernelArg", error)
         && dt_opencl_check(
             cl->EnqueueNDRangeKernel(queue->queue, kernel, 1, NULL, &count, NULL, 0, NULL, NULL),
             "clEnqueueNDRangeKernel", error)
         && dt_opencl_check(cl->EnqueueReadBuffer(queue->queue, buffer, CL_TRUE, 0, COUNT * sizeof(*numbers),
                                                  numbers, 0, NULL, NULL),
                            "clEnqueueReadBuffer", error);
}

gboolean dt_opencl_probe(dt_opencl_queue_t *queue, void *data, GError **error)
{
  (void)data;
  cl_kernel kernel = dt_opencl_kernel(queue, "basic", "count_up", error);
  if(!kernel) return FALSE;
  cl_uint numbers[COUNT] = { 0 };
  cl_int code = CL_SUCCESS;
  cl_mem buffer = queue->cl->CreateBuffer(queue->context, CL_MEM_READ_WRITE, sizeof(numbers), NULL, &code);
  if(!dt_opencl_check(code, "clCreateBuffer", error)) return FALSE;
  const gboolean ran = _run(queue, kernel, buffer, numbers, error);
  queue->cl->ReleaseMemObject(buffer);
  if(!ran) return FALSE;
  for(cl_uint i = 0; i < COUNT; i++)
    if(numbers[i] != BASE + i)
    {
      g_set_error(error, DT_AI_ERROR, DT_AI_ERROR_PROVIDER, "\"%s\" computes wrong numbers.",
                  queue->device->name);
      return FALSE;
    }
  return TRUE;
}
