/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What platforms and devices say of themselves. */
#include "fake.h"

#include <string.h>

/* Of extensions; README.md names them. */
#define QUERY_PCI_KHR 0x410F
#define QUERY_UUID_KHR 0x106A
#define QUERY_PCI_BUS_NV 0x4008
#define QUERY_PCI_SLOT_NV 0x4009
#define QUERY_PCI_DOMAIN_NV 0x400A
#define QUERY_TOPOLOGY_AMD 0x4037

/* --- platforms --- */

FAKE_EXPORT cl_int clGetPlatformIDs(cl_uint room, cl_platform_id *platforms, cl_uint *n)
{
  const cl_int code = fake_enter(FAKE_GetPlatformIDs, NULL);
  const GPtrArray *all = fake_world()->platforms;
  if(code != CL_SUCCESS) return code;
  if(all->len == 0) return -1001; /* what a loader without drivers says */
  if((platforms && !room) || (!platforms && !n)) return CL_INVALID_VALUE;
  for(guint i = 0; platforms && i < MIN(room, all->len); i++) platforms[i] = all->pdata[i];
  if(n) *n = all->len;
  return CL_SUCCESS;
}

static gboolean _is_platform(cl_platform_id platform)
{
  return platform && g_ptr_array_find(fake_world()->platforms, platform, NULL);
}

FAKE_EXPORT cl_int clGetPlatformInfo(cl_platform_id platform, cl_platform_info what, size_t size, void *value,
                                     size_t *given)
{
  const cl_int code = fake_enter(FAKE_GetPlatformInfo, NULL);
  if(code != CL_SUCCESS) return code;
  if(!_is_platform(platform)) return CL_INVALID_PLATFORM;
  const char *text = what == CL_PLATFORM_NAME      ? platform->name
                     : what == CL_PLATFORM_VENDOR  ? "Fake Vendor"
                     : what == CL_PLATFORM_VERSION ? "OpenCL 1.2 Fake"
                     : what == CL_PLATFORM_PROFILE ? "FULL_PROFILE"
                                                   : NULL;
  return text ? fake_answer(text, strlen(text) + 1, size, value, given) : CL_INVALID_VALUE;
}

FAKE_EXPORT cl_int clGetDeviceIDs(cl_platform_id platform, cl_device_type type, cl_uint room,
                                  cl_device_id *devices, cl_uint *n)
{
  const cl_int code = fake_enter(FAKE_GetDeviceIDs, NULL);
  cl_uint found = 0;
  if(code != CL_SUCCESS) return code;
  if(!_is_platform(platform)) return CL_INVALID_PLATFORM;
  if((devices && !room) || (!devices && !n)) return CL_INVALID_VALUE;
  for(guint i = 0; i < platform->devices->len; i++)
  {
    cl_device_id device = platform->devices->pdata[i];
    if(!(device->type & type)) continue;
    if(devices && found < room) devices[found] = device;
    found++;
  }
  if(n) *n = found;
  return found ? CL_SUCCESS : CL_DEVICE_NOT_FOUND;
}

/* --- devices --- */

static const char *_find_text(cl_device_id device, cl_device_info what)
{
  return what == CL_DEVICE_NAME         ? device->name
         : what == CL_DEVICE_VENDOR     ? device->vendor
         : what == CL_DRIVER_VERSION    ? device->driver
         : what == CL_DEVICE_VERSION    ? device->version
         : what == CL_DEVICE_PROFILE    ? device->profile
         : what == CL_DEVICE_EXTENSIONS ? device->extensions
                                        : NULL;
}

/* @return how many bytes the number has; 0: this is none of the numbers */
static gsize _find_number(cl_device_id device, cl_device_info what, guint64 *number)
{
  const struct
  {
    cl_device_info what;
    gsize size;
    guint64 number;
  } numbers[] = {
    { CL_DEVICE_TYPE, sizeof(cl_device_type), device->type },
    { CL_DEVICE_GLOBAL_MEM_SIZE, sizeof(cl_ulong), device->memory },
    { CL_DEVICE_MAX_MEM_ALLOC_SIZE, sizeof(cl_ulong), device->max_alloc },
    { CL_DEVICE_MAX_COMPUTE_UNITS, sizeof(cl_uint), device->units },
    { CL_DEVICE_MAX_WORK_GROUP_SIZE, sizeof(size_t), device->group },
    { CL_DEVICE_HOST_UNIFIED_MEMORY, sizeof(cl_bool), (guint64)device->unified },
    { CL_DEVICE_AVAILABLE, sizeof(cl_bool), (guint64)(device->available && !device->lost) },
    { CL_DEVICE_COMPILER_AVAILABLE, sizeof(cl_bool), (guint64)device->compiler },
    { CL_DEVICE_SINGLE_FP_CONFIG, sizeof(cl_device_fp_config),
      CL_FP_ROUND_TO_NEAREST | CL_FP_INF_NAN | (device->rounds ? CL_FP_CORRECTLY_ROUNDED_DIVIDE_SQRT : 0) },
    { CL_DEVICE_ENDIAN_LITTLE, sizeof(cl_bool), (guint64)device->little_endian },
  };
  for(size_t i = 0; i < G_N_ELEMENTS(numbers); i++)
    if(numbers[i].what == what)
    {
      *number = numbers[i].number;
      return numbers[i].size;
    }
  return 0;
}

/* Only what the extensions in its list promise. @return as above, 0 also for what they do not */
static gsize _find_extra(cl_device_id device, cl_device_info what, guint8 answer[32])
{
  const cl_uint *pci = device->pci, slot = pci[2] << 3 | pci[3];
  const cl_uint *number = what == QUERY_PCI_BUS_NV      ? &pci[1]
                          : what == QUERY_PCI_SLOT_NV   ? &slot
                          : what == QUERY_PCI_DOMAIN_NV ? &pci[0]
                                                        : NULL;
  if(number && strstr(device->extensions, "cl_nv_device_attribute_query"))
  {
    memcpy(answer, number, sizeof *number);
    return sizeof *number;
  }
  if(what == QUERY_PCI_KHR && strstr(device->extensions, "cl_khr_pci_bus_info"))
  {
    memcpy(answer, pci, sizeof device->pci);
    return sizeof device->pci;
  }
  if(what == QUERY_TOPOLOGY_AMD && strstr(device->extensions, "cl_amd_device_attribute_query"))
  {
    answer[0] =
        1; /* PCI Express, a little-endian cl_uint; bus, device and function are the last three of 24 bytes */
    for(int i = 1; i < 4; i++) answer[20 + i] = (guint8)pci[i];
    return 24;
  }
  if(what != QUERY_UUID_KHR || !strstr(device->extensions, "cl_khr_device_uuid")) return 0;
  memcpy(answer, device->uuid, sizeof device->uuid);
  return sizeof device->uuid;
}

static void _lie(cl_device_id device, gboolean is_text, gsize size, void *value, gsize *given)
{
  if(device->sizes == FAKE_SIZES_ENDLESS && is_text && value) memset(value, 'x', size);
  if(device->sizes == FAKE_SIZES_HUGE && given) *given = G_MAXSIZE / 2;
  if(device->sizes == FAKE_SIZES_ZERO && given) *given = 0;
}

FAKE_EXPORT cl_int clGetDeviceInfo(cl_device_id device, cl_device_info what, size_t size, void *value,
                                   size_t *given)
{
  guint64 number = 0;
  cl_uint small;
  guint8 extra[32] = { 0 };
  cl_int code = fake_enter(FAKE_GetDeviceInfo, device);
  if(code != CL_SUCCESS) return code;
  if(!device) return CL_INVALID_DEVICE;
  const char *text = _find_text(device, what);
  gsize length = _find_number(device, what, &number);
  small = (cl_uint)number;
  if(text)
    code = fake_answer(text, strlen(text) + 1, size, value, given);
  else if(length)
    code = fake_answer(length == sizeof small ? (void *)&small : (void *)&number, length, size, value, given);
  else if((length = _find_extra(device, what, extra)))
    code = fake_answer(extra, length, size, value, given);
  else
    code = CL_INVALID_VALUE;
  if(code == CL_SUCCESS) _lie(device, text != NULL, size, value, given);
  return code;
}

/* A part is a device of its own; those of a whole are made once for each call and stay. */
static cl_device_id _new_part(cl_device_id whole, cl_uint units)
{
  cl_device_id part = g_memdup2(whole, sizeof *whole);
  part->units = units;
  part->total = part->enqueued = 0;
  part->allocated = 0;
  part->ready = 0;
  memset(part->calls, 0, sizeof part->calls);
  return part;
}

FAKE_EXPORT cl_int clCreateSubDevices(cl_device_id device, const cl_device_partition_property *how,
                                      cl_uint room, cl_device_id *parts, cl_uint *n)
{
  static GPtrArray *all; /* of parts, so that they are not lost */
  const cl_int code = fake_enter(FAKE_CreateSubDevices, device);
  if(code != CL_SUCCESS) return code;
  if(!device) return CL_INVALID_DEVICE;
  if(device->type != CL_DEVICE_TYPE_CPU || !how || how[0] != CL_DEVICE_PARTITION_EQUALLY || how[1] < 1)
    return CL_INVALID_VALUE;
  const cl_uint units = (cl_uint)how[1], count = device->units / units;
  if(!count) return CL_DEVICE_PARTITION_FAILED;
  if(parts && room < count) return CL_INVALID_VALUE;
  fake_lock();
  if(!all) all = g_ptr_array_new();
  for(cl_uint i = 0; parts && i < count; i++)
  {
    parts[i] = _new_part(device, units);
    g_ptr_array_add(all, parts[i]);
  }
  fake_unlock();
  if(n) *n = count;
  return CL_SUCCESS;
}
