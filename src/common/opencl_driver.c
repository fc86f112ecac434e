/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Loads the OpenCL library and fills the table of its functions; knows what OpenCL's errors are called. */
#include "common/opencl_driver.h"
#include "common/conf.h"
#include "common/log.h"
#include "common/paths.h"

#include <dlfcn.h>
#include <gmodule.h>
#include <string.h>

/** Of cl_khr_icd, in CL/cl_ext.h: the loader knows no driver. */
#define CL_PLATFORM_NOT_FOUND_KHR (-1001)

// --- The table

static const struct
{
  const char *name;
  size_t offset;
} _functions[] = {
#define DT_OPENCL_ROW(name) { "cl" #name, offsetof(dt_opencl_driver_t, name) },
  DT_OPENCL_FUNCTIONS(DT_OPENCL_ROW)
#undef DT_OPENCL_ROW
};

/* What is done without where a library is too old for it. */
static gboolean _is_optional(const char *name)
{
  return strcmp(name, "clCreateSubDevices") == 0;
}

/* Fills the table. @return what @p module lacks, as a clause (transfer full), or NULL */
static char *_bind(dt_opencl_driver_t *driver, GModule *module)
{
  GString *missing = g_string_new("it lacks ");
  const gsize start = missing->len;
  size_t found = 0;
  for(size_t i = 0; i < G_N_ELEMENTS(_functions); i++)
  {
    gpointer symbol = NULL;
    if(g_module_symbol(module, _functions[i].name, &symbol) && symbol)
    {
      memcpy((char *)driver + _functions[i].offset, &symbol, sizeof symbol);
      found++;
    }
    else if(!_is_optional(_functions[i].name))
      g_string_append_printf(missing, "%s%s", missing->len > start ? ", " : "", _functions[i].name);
  }
  const gboolean complete = missing->len == start;
  gpointer unused;
  /* some drivers are nothing else */
  if(!found && g_module_symbol(module, "clGetExtensionFunctionAddress", &unused))
    g_string_assign(missing, "it is a driver that only a loader such as libOpenCL.so.1 can use");
  else if(!found)
    g_string_assign(missing, "it has none of OpenCL's functions");
  return g_string_free(missing, complete);
}

/* A name that the loader looked up itself: the file it found is of more use to people. */
static char *_find_file(const dt_opencl_driver_t *driver, const char *name)
{
  Dl_info info;
  void *symbol;
  memcpy(&symbol, &driver->GetPlatformIDs, sizeof symbol);
  const gboolean found = dladdr(symbol, &info) && info.dli_fname && g_path_is_absolute(info.dli_fname);
  return g_strdup(found ? info.dli_fname : name);
}

static dt_opencl_driver_t *_open(const char *path, GError **error)
{
  /* GModule would go on with other names and complain about the last of them */
  if(strchr(path, G_DIR_SEPARATOR) && !g_file_test(path, G_FILE_TEST_EXISTS))
  {
    g_set_error(error, DT_AI_ERROR, DT_AI_ERROR_PROVIDER, "there is no file %s", path);
    return NULL;
  }
  GModule *module = g_module_open(path, G_MODULE_BIND_LAZY | G_MODULE_BIND_LOCAL);
  if(!module)
  {
    g_set_error(error, DT_AI_ERROR, DT_AI_ERROR_PROVIDER, "%s", g_module_error());
    return NULL;
  }
  dt_opencl_driver_t *driver = g_new0(dt_opencl_driver_t, 1);
  char *missing = _bind(driver, module);
  if(missing)
  {
    g_set_error(error, DT_AI_ERROR, DT_AI_ERROR_PROVIDER, "%s is no OpenCL library: %s", path, missing);
    g_clear_pointer(&driver, g_free);
    g_module_close(module); /* nothing of it was called */
  }
  else
  {
    g_module_make_resident(module);
    driver->path = _find_file(driver, path);
    dt_log(DT_LOG_OPENCL, "[opencl_init] the library is %s", driver->path);
  }
  g_free(missing);
  return driver;
}

// --- Where it is looked for

/* Up to two names for the loader. */
static const char *const *_system_names(dt_platform_t platform)
{
  static const char *const names[][3] = {
    [DT_PLATFORM_LINUX] = { "libOpenCL.so.1", "libOpenCL.so", NULL },
    [DT_PLATFORM_MACOS] = { "/System/Library/Frameworks/OpenCL.framework/OpenCL", NULL, NULL },
    [DT_PLATFORM_WINDOWS] = { "OpenCL.dll", NULL, NULL },
  };
  return names[platform];
}

static dt_opencl_driver_t *_open_system(GError **error)
{
  GString *tried = g_string_new(NULL);
  dt_opencl_driver_t *driver = NULL;
  for(const char *const *name = _system_names(dt_paths_platform()); *name && !driver; name++)
  {
    GError *why = NULL;
    driver = _open(*name, &why);
    if(why) g_string_append_printf(tried, "%s%s", tried->len ? "; " : "", why->message);
    g_clear_error(&why);
  }
  if(!driver)
    g_set_error(error, DT_AI_ERROR, DT_AI_ERROR_PROVIDER,
                "the system has no OpenCL library that can be used (%s)", tried->str);
  g_string_free(tried, TRUE);
  return driver;
}

dt_opencl_driver_t *dt_opencl_driver_load(GError **error)
{
  char *chosen = dt_conf_get_string(DT_CONF_OPENCL_LIBRARY);
  dt_opencl_driver_t *driver;
  if(chosen && *chosen)
  {
    driver = _open(chosen, error);
    if(!driver) g_prefix_error(error, "what the setting %s names cannot be used: ", DT_CONF_OPENCL_LIBRARY);
  }
  else
    driver = _open_system(error);
  g_free(chosen);
  return driver;
}

void dt_opencl_driver_destroy(dt_opencl_driver_t *driver)
{
  if(!driver) return;
  g_free(driver->path);
  g_free(driver);
}

// --- Errors

#define ROW(code)                                                                                            \
  {                                                                                                          \
    code, #code                                                                                              \
  }
static const struct
{
  cl_int code;
  const char *name;
} _errors[] = {
  ROW(CL_SUCCESS),
  ROW(CL_DEVICE_NOT_FOUND),
  ROW(CL_DEVICE_NOT_AVAILABLE),
  ROW(CL_COMPILER_NOT_AVAILABLE),
  ROW(CL_MEM_OBJECT_ALLOCATION_FAILURE),
  ROW(CL_OUT_OF_RESOURCES),
  ROW(CL_OUT_OF_HOST_MEMORY),
  ROW(CL_PROFILING_INFO_NOT_AVAILABLE),
  ROW(CL_MEM_COPY_OVERLAP),
  ROW(CL_IMAGE_FORMAT_MISMATCH),
  ROW(CL_IMAGE_FORMAT_NOT_SUPPORTED),
  ROW(CL_BUILD_PROGRAM_FAILURE),
  ROW(CL_MAP_FAILURE),
  ROW(CL_MISALIGNED_SUB_BUFFER_OFFSET),
  ROW(CL_EXEC_STATUS_ERROR_FOR_EVENTS_IN_WAIT_LIST),
  ROW(CL_COMPILE_PROGRAM_FAILURE),
  ROW(CL_LINKER_NOT_AVAILABLE),
  ROW(CL_LINK_PROGRAM_FAILURE),
  ROW(CL_DEVICE_PARTITION_FAILED),
  ROW(CL_KERNEL_ARG_INFO_NOT_AVAILABLE),
  ROW(CL_INVALID_VALUE),
  ROW(CL_INVALID_DEVICE_TYPE),
  ROW(CL_INVALID_PLATFORM),
  ROW(CL_INVALID_DEVICE),
  ROW(CL_INVALID_CONTEXT),
  ROW(CL_INVALID_QUEUE_PROPERTIES),
  ROW(CL_INVALID_COMMAND_QUEUE),
  ROW(CL_INVALID_HOST_PTR),
  ROW(CL_INVALID_MEM_OBJECT),
  ROW(CL_INVALID_IMAGE_FORMAT_DESCRIPTOR),
  ROW(CL_INVALID_IMAGE_SIZE),
  ROW(CL_INVALID_SAMPLER),
  ROW(CL_INVALID_BINARY),
  ROW(CL_INVALID_BUILD_OPTIONS),
  ROW(CL_INVALID_PROGRAM),
  ROW(CL_INVALID_PROGRAM_EXECUTABLE),
  ROW(CL_INVALID_KERNEL_NAME),
  ROW(CL_INVALID_KERNEL_DEFINITION),
  ROW(CL_INVALID_KERNEL),
  ROW(CL_INVALID_ARG_INDEX),
  ROW(CL_INVALID_ARG_VALUE),
  ROW(CL_INVALID_ARG_SIZE),
  ROW(CL_INVALID_KERNEL_ARGS),
  ROW(CL_INVALID_WORK_DIMENSION),
  ROW(CL_INVALID_WORK_GROUP_SIZE),
  ROW(CL_INVALID_WORK_ITEM_SIZE),
  ROW(CL_INVALID_GLOBAL_OFFSET),
  ROW(CL_INVALID_EVENT_WAIT_LIST),
  ROW(CL_INVALID_EVENT),
  ROW(CL_INVALID_OPERATION),
  ROW(CL_INVALID_GL_OBJECT),
  ROW(CL_INVALID_BUFFER_SIZE),
  ROW(CL_INVALID_MIP_LEVEL),
  ROW(CL_INVALID_GLOBAL_WORK_SIZE),
  ROW(CL_INVALID_PROPERTY),
  ROW(CL_INVALID_IMAGE_DESCRIPTOR),
  ROW(CL_INVALID_COMPILER_OPTIONS),
  ROW(CL_INVALID_LINKER_OPTIONS),
  ROW(CL_INVALID_DEVICE_PARTITION_COUNT),
  ROW(CL_PLATFORM_NOT_FOUND_KHR),
};
#undef ROW

const char *dt_opencl_error_name(cl_int code)
{
  for(size_t i = 0; i < G_N_ELEMENTS(_errors); i++)
    if(_errors[i].code == code) return _errors[i].name;
  char *text = g_strdup_printf("error %d", code);
  const char *name = g_intern_string(text);
  g_free(text);
  return name;
}

/* A driver that is short of something when a buffer is made is short of memory. Elsewhere CL_OUT_OF_RESOURCES is also
 * what a kernel that went astray ends with, so there it says something against the device. */
static gboolean _is_memory(cl_int code, const char *function)
{
  if(code == CL_MEM_OBJECT_ALLOCATION_FAILURE) return TRUE;
  return strcmp(function, "clCreateBuffer") == 0
         && (code == CL_OUT_OF_RESOURCES || code == CL_INVALID_BUFFER_SIZE);
}

gboolean dt_opencl_check(cl_int code, const char *function, GError **error)
{
  if(code == CL_SUCCESS) return TRUE;
  g_set_error(error, DT_AI_ERROR, _is_memory(code, function) ? DT_AI_ERROR_MEMORY : DT_AI_ERROR_PROVIDER,
              "%s failed with %s", function, dt_opencl_error_name(code));
  return FALSE;
}
