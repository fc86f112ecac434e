/* SPDX-License-Identifier: GPL-3.0-or-later */
/* One small kernel, from compiling to reading back. */
#include "common/opencl_probe.h"

#include "common/opencl_launch.h"

#define COUNT 256
#define BASE 0x5eedu

static gboolean _count_up(dt_opencl_queue_t *queue, cl_uint *numbers, GError **error)
{
  const cl_uint base = BASE, count = COUNT;
  const gsize bytes = COUNT * sizeof(*numbers);
  cl_kernel kernel = dt_opencl_kernel(queue, "basic", "count_up", error);
  cl_mem buffer = kernel ? dt_opencl_buffer_new(queue, bytes, NULL, error) : NULL;
  if(!buffer) return FALSE;
  const dt_opencl_arg_t args[] = { DT_OPENCL_ARG(buffer), DT_OPENCL_ARG(base), DT_OPENCL_ARG(count) };
  const gboolean fine = dt_opencl_enqueue(queue, kernel, args, G_N_ELEMENTS(args), COUNT, 1, error)
                        && dt_opencl_buffer_read(queue, buffer, bytes, numbers, error);
  dt_opencl_buffer_free(queue, buffer);
  return fine;
}

gboolean dt_opencl_probe(dt_opencl_queue_t *queue, void *data, GError **error)
{
  (void)data;
  cl_uint numbers[COUNT] = { 0 };
  if(!_count_up(queue, numbers, error)) return FALSE;
  for(cl_uint i = 0; i < COUNT; i++)
    if(numbers[i] != BASE + i)
    {
      g_set_error(error, DT_AI_ERROR, DT_AI_ERROR_PROVIDER, "\"%s\" computes wrong numbers.",
                  queue->device->name);
      return FALSE;
    }
  return TRUE;
}
