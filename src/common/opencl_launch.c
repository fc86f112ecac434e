/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Thin helpers around the driver's table. */
#include "common/opencl_launch.h"

/* Work groups of one size everywhere: some drivers compile a kernel anew for each size. */
#define GROUP 16

cl_mem dt_opencl_buffer_new(dt_opencl_queue_t *queue, gsize bytes, const void *data, GError **error)
{
  cl_int code = CL_SUCCESS;
  cl_mem buffer = queue->cl->CreateBuffer(queue->context, CL_MEM_READ_WRITE, bytes, NULL, &code);
  if(!dt_opencl_check(code, "clCreateBuffer", error)) return NULL;
  if(!data || dt_opencl_buffer_write(queue, buffer, bytes, data, error)) return buffer;
  dt_opencl_buffer_free(queue, buffer);
  return NULL;
}

void dt_opencl_buffer_free(dt_opencl_queue_t *queue, cl_mem buffer)
{
  if(buffer) queue->cl->ReleaseMemObject(buffer);
}

gboolean dt_opencl_buffer_write(dt_opencl_queue_t *queue, cl_mem buffer, gsize bytes, const void *data,
                                GError **error)
{
  return dt_opencl_check(
      queue->cl->EnqueueWriteBuffer(queue->queue, buffer, CL_TRUE, 0, bytes, data, 0, NULL, NULL),
      "clEnqueueWriteBuffer", error);
}

gboolean dt_opencl_buffer_read(dt_opencl_queue_t *queue, cl_mem buffer, gsize bytes, void *data,
                               GError **error)
{
  return dt_opencl_check(
      queue->cl->EnqueueReadBuffer(queue->queue, buffer, CL_TRUE, 0, bytes, data, 0, NULL, NULL),
      "clEnqueueReadBuffer", error);
}

/* Sides of a work group: a power of two that the device can do. */
static gsize _group(const dt_opencl_device_t *device)
{
  gsize side = GROUP;
  while(side > 1 && side * side > device->work_group) side /= 2;
  return side;
}

gboolean dt_opencl_enqueue(dt_opencl_queue_t *queue, cl_kernel kernel, const dt_opencl_arg_t *args,
                           int n_args, gsize width, gsize height, GError **error)
{
  for(int i = 0; i < n_args; i++)
    if(!dt_opencl_check(queue->cl->SetKernelArg(kernel, (cl_uint)i, args[i].size, args[i].value),
                        "clSetKernelArg", error))
      return FALSE;
  const gsize side = _group(queue->device);
  const gsize local[2] = { side, side };
  const gsize global[2] = { (width + side - 1) / side * side, (height + side - 1) / side * side };
  return dt_opencl_check(
      queue->cl->EnqueueNDRangeKernel(queue->queue, kernel, 2, NULL, global, local, 0, NULL, NULL),
      "clEnqueueNDRangeKernel", error);
}

gboolean dt_opencl_launch(dt_opencl_queue_t *queue, const char *program, const char *name,
                          const dt_opencl_arg_t *args, int n_args, int width, int height, GError **error)
{
  cl_kernel kernel = dt_opencl_kernel(queue, program, name, error);
  return kernel && dt_opencl_enqueue(queue, kernel, args, n_args, (gsize)width, (gsize)height, error);
}

gboolean dt_opencl_finish(dt_opencl_queue_t *queue, GError **error)
{
  return dt_opencl_check(queue->cl->Finish(queue->queue), "clFinish", error);
}
