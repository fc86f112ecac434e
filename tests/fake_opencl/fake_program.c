/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Programs and kernels: nothing is compiled, but a kernel must be named in the source, and a binary must be of a device of
 * the same name. */
#include "fake.h"

#include <string.h>

#define FAIL(pointer, code)                                                                                  \
  do                                                                                                         \
  {                                                                                                          \
    if(pointer) *(pointer) = (code);                                                                         \
    return NULL;                                                                                             \
  } while(0)

#define MAGIC "FAKE OPENCL 1\n"

/* --- programs --- */

static cl_program _new_program(cl_context context, cl_device_id device, char *source, gboolean compiled)
{
  cl_program program = fake_object_new(FAKE_PROGRAM, sizeof *program, device, context);
  program->source = source;
  program->compiled = compiled;
  program->status = CL_BUILD_NONE;
  program->log = g_strdup("");
  program->options = g_strdup("");
  return program;
}

FAKE_EXPORT cl_program clCreateProgramWithSource(cl_context context, cl_uint n, const char **texts,
                                                 const size_t *lengths, cl_int *result)
{
  cl_device_id device = fake_object_device(context, FAKE_CONTEXT);
  const cl_int code = fake_enter(FAKE_CreateProgramWithSource, device);
  if(code != CL_SUCCESS) FAIL(result, code);
  if(!device) FAIL(result, CL_INVALID_CONTEXT);
  if(!n || !texts) FAIL(result, CL_INVALID_VALUE);
  GString *source = g_string_new(NULL);
  for(cl_uint i = 0; i < n; i++)
    g_string_append_len(source, texts[i], lengths && lengths[i] ? (gssize)lengths[i] : -1);
  if(result) *result = CL_SUCCESS;
  return _new_program(context, device, g_string_free(source, FALSE), FALSE);
}

static char *_make_binary(cl_device_id device, const char *source)
{
  char *sum = g_compute_checksum_for_string(G_CHECKSUM_SHA256, source, -1);
  char *binary = g_strconcat(MAGIC, device->name, "\n", sum, "\n", source, NULL);
  g_free(sum);
  return binary;
}

/* The source in a binary that is whole and of this device, or NULL. */
static char *_read_binary(cl_device_id device, const unsigned char *binary, gsize length)
{
  char *text = g_strndup((const char *)binary, length), *head = g_strconcat(MAGIC, device->name, "\n", NULL);
  char *source = NULL;
  if(strlen(text) == length && g_str_has_prefix(text, head))
  {
    const char *end = strchr(text + strlen(head), '\n');
    char *again = end ? _make_binary(device, end + 1) : NULL;
    if(end && strcmp(again, text) == 0) source = g_strdup(end + 1);
    g_free(again);
  }
  g_free(head);
  g_free(text);
  return source;
}

FAKE_EXPORT cl_program clCreateProgramWithBinary(cl_context context, cl_uint n, const cl_device_id *devices,
                                                 const size_t *lengths, const unsigned char **binaries,
                                                 cl_int *status, cl_int *result)
{
  cl_device_id device = fake_object_device(context, FAKE_CONTEXT);
  const cl_int code = fake_enter(FAKE_CreateProgramWithBinary, device);
  if(code != CL_SUCCESS) FAIL(result, code);
  if(!device) FAIL(result, CL_INVALID_CONTEXT);
  if(n != 1 || !devices || !lengths || !binaries || !lengths[0] || !binaries[0])
    FAIL(result, CL_INVALID_VALUE);
  if(devices[0] != device) FAIL(result, CL_INVALID_DEVICE);
  char *source = _read_binary(device, binaries[0], lengths[0]);
  if(status) *status = source ? CL_SUCCESS : CL_INVALID_BINARY;
  if(!source) FAIL(result, CL_INVALID_BINARY);
  if(result) *result = CL_SUCCESS;
  return _new_program(context, device, source, TRUE);
}

FAKE_EXPORT cl_int clBuildProgram(cl_program program, cl_uint n, const cl_device_id *devices,
                                  const char *options,
                                  void(CL_CALLBACK *notify)(cl_program program, void *user_data),
                                  void *user_data)
{
  (void)user_data;
  cl_device_id device = fake_object_device(program, FAKE_PROGRAM);
  const cl_int code = fake_enter(FAKE_BuildProgram, device);
  if(code != CL_SUCCESS) return code;
  if(!device) return CL_INVALID_PROGRAM;
  if(notify || n > 1 || (n == 1 && devices[0] != device)) return CL_INVALID_VALUE;
  if(options && strstr(options, "correctly-rounded") && !device->rounds) return CL_INVALID_BUILD_OPTIONS;
  if(!program->compiled) fake_sleep_until(g_get_monotonic_time() + (gint64)1000 * device->build);
  const gboolean fails = device->build_log && !program->compiled;
  g_free(program->log);
  g_free(program->options);
  program->log = g_strdup(fails ? device->build_log : "");
  program->options = g_strdup(options ? options : "");
  program->status = fails ? CL_BUILD_ERROR : CL_BUILD_SUCCESS;
  program->compiled = !fails;
  return fails ? CL_BUILD_PROGRAM_FAILURE : CL_SUCCESS;
}

/* "Binaries" are copied to where an array of pointers says. */
static cl_int _give_binaries(cl_program program, cl_device_id device, cl_program_info what, gsize size,
                             void *value, gsize *given)
{
  char *binary = program->compiled ? _make_binary(device, program->source) : g_strdup("");
  const gsize length = strlen(binary);
  cl_int code = CL_SUCCESS;
  if(what == CL_PROGRAM_BINARY_SIZES)
    code = fake_answer(&length, sizeof length, size, value, given);
  else if(value && size < sizeof(unsigned char *))
    code = CL_INVALID_VALUE;
  else
  {
    unsigned char *target = value ? *(unsigned char **)value : NULL;
    if(target) memcpy(target, binary, length);
    if(given) *given = sizeof(unsigned char *);
  }
  g_free(binary);
  return code;
}

FAKE_EXPORT cl_int clGetProgramInfo(cl_program program, cl_program_info what, size_t size, void *value,
                                    size_t *given)
{
  cl_device_id device = fake_object_device(program, FAKE_PROGRAM);
  const cl_int code = fake_enter(FAKE_GetProgramInfo, device);
  const cl_uint one = 1;
  if(code != CL_SUCCESS) return code;
  if(!device) return CL_INVALID_PROGRAM;
  switch(what)
  {
  case CL_PROGRAM_NUM_DEVICES: return fake_answer(&one, sizeof one, size, value, given);
  case CL_PROGRAM_DEVICES: return fake_answer(&device, sizeof(cl_device_id), size, value, given);
  case CL_PROGRAM_SOURCE:
    return fake_answer(program->source, strlen(program->source) + 1, size, value, given);
  case CL_PROGRAM_BINARY_SIZES:
  case CL_PROGRAM_BINARIES: return _give_binaries(program, device, what, size, value, given);
  default: return CL_INVALID_VALUE;
  }
}

FAKE_EXPORT cl_int clGetProgramBuildInfo(cl_program program, cl_device_id device, cl_program_build_info what,
                                         size_t size, void *value, size_t *given)
{
  cl_device_id own = fake_object_device(program, FAKE_PROGRAM);
  const cl_int code = fake_enter(FAKE_GetProgramBuildInfo, own);
  if(code != CL_SUCCESS) return code;
  if(!own) return CL_INVALID_PROGRAM;
  if(device != own) return CL_INVALID_DEVICE;
  switch(what)
  {
  case CL_PROGRAM_BUILD_STATUS:
    return fake_answer(&program->status, sizeof program->status, size, value, given);
  case CL_PROGRAM_BUILD_LOG: return fake_answer(program->log, strlen(program->log) + 1, size, value, given);
  case CL_PROGRAM_BUILD_OPTIONS:
    return fake_answer(program->options, strlen(program->options) + 1, size, value, given);
  default: return CL_INVALID_VALUE;
  }
}

FAKE_EXPORT cl_int clReleaseProgram(cl_program program)
{
  cl_device_id device = fake_object_device(program, FAKE_PROGRAM);
  const cl_int code = fake_enter(FAKE_ReleaseProgram, device);
  if(code != CL_SUCCESS) return code;
  if(!device) return CL_INVALID_PROGRAM;
  g_free(program->source);
  g_free(program->log);
  g_free(program->options);
  fake_object_free(program);
  return CL_SUCCESS;
}

/* --- kernels --- */

/* Whether the source has @p name as a word. */
static gboolean _has_kernel(const char *source, const char *name)
{
  const gsize length = strlen(name);
  for(const char *at = source; length && (at = strstr(at, name)); at++)
  {
    const char before = at == source ? ' ' : at[-1], after = at[length];
    if(!g_ascii_isalnum(before) && before != '_' && !g_ascii_isalnum(after) && after != '_') return TRUE;
  }
  return FALSE;
}

FAKE_EXPORT cl_kernel clCreateKernel(cl_program program, const char *name, cl_int *result)
{
  cl_device_id device = fake_object_device(program, FAKE_PROGRAM);
  const cl_int code = fake_enter(FAKE_CreateKernel, device);
  if(code != CL_SUCCESS) FAIL(result, code);
  if(!device) FAIL(result, CL_INVALID_PROGRAM);
  if(program->status != CL_BUILD_SUCCESS) FAIL(result, CL_INVALID_PROGRAM_EXECUTABLE);
  if(!_has_kernel(program->source, name)) FAIL(result, CL_INVALID_KERNEL_NAME);
  if(result) *result = CL_SUCCESS;
  cl_kernel kernel = fake_object_new(FAKE_KERNEL, sizeof *kernel, device, program);
  kernel->counts_up = strcmp(name, "count_up") == 0;
  return kernel;
}

FAKE_EXPORT cl_int clSetKernelArg(cl_kernel kernel, cl_uint index, size_t size, const void *value)
{
  cl_device_id device = fake_object_device(kernel, FAKE_KERNEL);
  const cl_int code = fake_enter(FAKE_SetKernelArg, device);
  if(code != CL_SUCCESS) return code;
  if(!device) return CL_INVALID_KERNEL;
  if(index >= 64) return CL_INVALID_ARG_INDEX;
  if(!size) return CL_INVALID_ARG_SIZE;
  if(index >= FAKE_ARGS) return CL_SUCCESS;
  fake_arg_t *arg = &kernel->args[index];
  arg->size = size;
  if(value && size <= sizeof arg->bytes) memcpy(arg->bytes, value, size);
  return CL_SUCCESS;
}

FAKE_EXPORT cl_int clGetKernelWorkGroupInfo(cl_kernel kernel, cl_device_id device,
                                            cl_kernel_work_group_info what, size_t size, void *value,
                                            size_t *given)
{
  cl_device_id own = fake_object_device(kernel, FAKE_KERNEL);
  const cl_int code = fake_enter(FAKE_GetKernelWorkGroupInfo, own);
  const gsize multiple = 32;
  if(code != CL_SUCCESS) return code;
  if(!own) return CL_INVALID_KERNEL;
  if(device && device != own) return CL_INVALID_DEVICE;
  if(what == CL_KERNEL_WORK_GROUP_SIZE)
    return fake_answer(&own->group, sizeof own->group, size, value, given);
  if(what != CL_KERNEL_PREFERRED_WORK_GROUP_SIZE_MULTIPLE) return CL_INVALID_VALUE;
  return fake_answer(&multiple, sizeof multiple, size, value, given);
}

FAKE_EXPORT cl_int clReleaseKernel(cl_kernel kernel)
{
  cl_device_id device = fake_object_device(kernel, FAKE_KERNEL);
  const cl_int code = fake_enter(FAKE_ReleaseKernel, device);
  if(code != CL_SUCCESS) return code;
  if(!device) return CL_INVALID_KERNEL;
  fake_object_free(kernel);
  return CL_SUCCESS;
}
