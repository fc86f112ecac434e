/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Stands in for the drivers' libraries: one of FAKE_CUDA, FAKE_HIP, FAKE_VULKAN and FAKE_OPENVINO is defined.
 *
 * FAKE_DEVICES says how many devices there are (two), FAKE_ERROR with which code the first call fails. The structures
 * are laid out by hand, not taken from the code under test. */
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int _number(const char *variable, int otherwise)
{
  const char *value = getenv(variable);
  return value ? (int)strtol(value, NULL, 10) : otherwise;
}

#if defined(FAKE_CUDA)

int cuInit(unsigned flags)
{
  return flags ? 1 : _number("FAKE_ERROR", 0);
}

int cuDriverGetVersion(int *version)
{
  *version = 12040;
  return 0;
}

int cuDeviceGetCount(int *count)
{
  *count = _number("FAKE_DEVICES", 2);
  return 0;
}

int cuDeviceGet(int *device, int ordinal)
{
  *device = 100 + ordinal;
  return 0;
}

int cuDeviceGetName(char *name, int size, int device)
{
  snprintf(name, (size_t)size, "Fake GeForce %d", device);
  return 0;
}

int cuDeviceTotalMem_v2(size_t *bytes, int device)
{
  *bytes = (size_t)device << 24;
  return 0;
}

int cuDeviceGetPCIBusId(char *address, int size, int device)
{
  snprintf(address, (size_t)size, "00000000:C1:00.0");
  return device != 100;
}

int cuGetErrorString(int code, const char **text)
{
  *text = code == 100 ? "no CUDA-capable device is detected" : NULL;
  return *text ? 0 : 1;
}

#elif defined(FAKE_HIP)

int hipGetDeviceCount(int *count)
{
  *count = _number("FAKE_DEVICES", 2);
  return _number("FAKE_ERROR", 0);
}

int hipDeviceGetName(char *name, int size, int device)
{
  snprintf(name, (size_t)size, "Fake Radeon %d", device);
  return device == 1;
}

int hipDeviceTotalMem(size_t *bytes, int device)
{
  *bytes = (size_t)(device + 1) << 30;
  return 0;
}

int hipDeviceGetPCIBusId(char *address, int size, int device)
{
  snprintf(address, (size_t)size, device == 0 ? "0000:03:00" : "none");
  return 0;
}

int hipDriverGetVersion(int *version)
{
  *version = 60342134;
  return 0;
}

int hipRuntimeGetVersion(int *version)
{
  *version = 60342134;
  return 0;
}

const char *hipGetErrorString(int code)
{
  return code == 100 ? "no ROCm-capable device is detected" : NULL;
}

#elif defined(FAKE_VULKAN)

static int _instance;
static uint32_t _api_version; /* that the instance was made for */

static uint32_t _version(void)
{
  return 1u << 22 | (uint32_t)_number("FAKE_VULKAN_MINOR", 3) << 12;
}

int vkEnumerateInstanceVersion(uint32_t *version)
{
  *version = _version();
  return 0;
}

int vkCreateInstance(const void *info, const void *allocator, void **instance)
{
  const char *application;
  (void)allocator;
  *instance = &_instance;
  memcpy(&application, (const char *)info + 24, sizeof application);
  _api_version = 1u << 22;
  if(application) memcpy(&_api_version, application + 44, sizeof _api_version);
  if(_version() == 1u << 22 && _api_version != 1u << 22) return -9;
  return *(const int *)info == 1 && (!application || *(const int *)(const void *)application == 0)
             ? _number("FAKE_ERROR", 0)
             : -3;
}

void vkDestroyInstance(void *instance, const void *allocator)
{
  (void)allocator;
  if(instance != &_instance) abort();
}

int vkEnumeratePhysicalDevices(void *instance, uint32_t *count, void **devices)
{
  const uint32_t there = (uint32_t)_number("FAKE_DEVICES", 2), room = *count;
  if(instance != &_instance) return -3;
  for(*count = 0; *count < there && *count < room; ++*count)
    devices[*count] = (void *)(uintptr_t)(*count + 1);
  return there > room ? 5 : 0;
}

void vkGetPhysicalDeviceProperties(void *device, void *properties)
{
  const uint32_t number = (uint32_t)(uintptr_t)device;
  const uint32_t head[] = { 1u << 22 | 3u << 12 | 260, 550u << 22 | 54u << 14 | 15u << 6, 0x10de, 0x2236,
                            number == 2 ? 4 : 2 };
  memset(properties, 0xff, 824);
  memcpy(properties, head, sizeof head);
  snprintf((char *)properties + sizeof head, 256, "Fake GPU %u", number);
}

/* The second device does not know its address. */
int vkEnumerateDeviceExtensionProperties(void *device, const char *layer, uint32_t *count, void *extensions)
{
  static const char *const known[] = { "VK_KHR_swapchain", "VK_EXT_pci_bus_info" };
  const uint32_t there = (uintptr_t)device == 2 ? 1 : 2;
  if(layer) return -6;
  const uint32_t room = extensions ? *count : 0;
  for(*count = extensions ? 0 : there; *count < room && *count < there; ++*count)
  {
    memset((char *)extensions + (size_t)*count * 260, 0xff, 260);
    snprintf((char *)extensions + (size_t)*count * 260, 256, "%s", known[*count]);
  }
  return extensions && *count < there ? 5 : 0;
}

void vkGetPhysicalDeviceProperties2(void *device, void *properties)
{
  char *pci;
  const uint32_t kinds[] = { 1000059001, 1000212000 }, address[] = { 0, 0x41, 0, 1 };
  memcpy(&pci, (char *)properties + 8, sizeof pci);
  if(_api_version < (1u << 22 | 1u << 12) || (uintptr_t)device == 2 || memcmp(properties, &kinds[0], 4) != 0
     || memcmp(pci, &kinds[1], 4) != 0)
    abort();
  vkGetPhysicalDeviceProperties(device, (char *)properties + 16);
  memcpy(pci + 16, address, sizeof address);
}

void vkGetPhysicalDeviceMemoryProperties(void *device, void *memory)
{
  const uint32_t heaps = 3;
  const uint64_t sizes[] = { 4ULL << 30, 32ULL << 30, 1ULL << 28 };
  const uint32_t local[] = { 1, 0, 1 };
  (void)device;
  memset(memory, 0xff, 520);
  memcpy((char *)memory + 260, &heaps, sizeof heaps);
  for(int i = 0; i < 3; i++)
  {
    memcpy((char *)memory + 264 + i * 16, &sizes[i], sizeof sizes[i]);
    memcpy((char *)memory + 264 + i * 16 + 8, &local[i], sizeof local[i]);
  }
}

#elif defined(FAKE_OPENVINO)

typedef struct names_t
{
  char **devices;
  size_t size;
} names_t;

int ov_core_create(void **core)
{
  *core = malloc(1);
  const int code = _number("FAKE_ERROR", 0);
  if(code) free(*core);
  return code;
}

void ov_core_free(void *core)
{
  free(core);
}

int ov_core_get_available_devices(const void *core, names_t *names)
{
  (void)core;
  static const char *const known[] = { "CPU", "GPU.0" };
  names->size = (size_t)_number("FAKE_DEVICES", 2);
  names->devices = calloc(names->size + 1, sizeof *names->devices);
  for(size_t i = 0; i < names->size; i++) names->devices[i] = strdup(known[i % 2]);
  return 0;
}

void ov_available_devices_free(names_t *names)
{
  for(size_t i = 0; i < names->size; i++) free(names->devices[i]);
  free(names->devices);
}

int ov_core_get_property(const void *core, const char *device, const char *key, char **value)
{
  (void)core;
  const int cpu = strcmp(device, "CPU") == 0;
  if(strcmp(key, cpu ? "FULL_DEVICE_NAME" : "DEVICE_PCI_INFO") != 0) return -1;
  *value = strdup(cpu ? "Fake Core i9" : "{domain: 0 bus: 10 device: 0x1f function: 2}");
  return 0;
}

void ov_free(const char *text)
{
  free((void *)(uintptr_t)text);
}

int ov_get_openvino_version(const char **version)
{
  version[0] = strdup("2025.4.1-fake");
  version[1] = strdup("OpenVINO Runtime");
  return 0;
}

void ov_version_free(const char **version)
{
  ov_free(version[0]);
  ov_free(version[1]);
}

const char *ov_get_error_info(int code)
{
  return code == -1 ? "general error" : "unknown";
}

#endif
