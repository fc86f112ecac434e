/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Asks the drivers for their devices, through the few functions of their public interfaces that this takes.
 *
 * The interfaces are declared here: what is needed of them is small and has not changed for years, and nobody has to
 * install four toolkits to compile a photographer's program. */
#include "ai/devices.h"
#include "common/gpu.h"
#include "common/libraries.h"

#include <gmodule.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

/** No machine has more, and a driver that says so is not believed. */
#define MAX_DEVICES 64
#define MAX_NAME 256
#define MAX_ADDRESS 32
#define MAX_EXTENSIONS 4096u

// --- Devices

static void _free_device(gpointer data)
{
  dt_ai_device_t *device = data;
  g_free(device->id);
  g_free(device->name);
  g_free(device->pci);
  g_free(device);
}

static GPtrArray *_new_devices(void)
{
  return g_ptr_array_new_with_free_func(_free_device);
}

/* @p id and @p name are copied. */
static dt_ai_device_t *_add_device(GPtrArray *devices, const char *id, const char *name)
{
  dt_ai_device_t *device = g_new0(dt_ai_device_t, 1);
  device->id = g_utf8_make_valid(id, -1);
  device->name = g_strstrip(g_utf8_make_valid(name && *name ? name : id, -1));
  g_ptr_array_add(devices, device);
  return device;
}

static dt_ai_device_t *_add_numbered(GPtrArray *devices, int number, const char *name)
{
  char *id = g_strdup_printf("%d", number);
  dt_ai_device_t *device = _add_device(devices, id, name);
  g_free(id);
  return device;
}

static gboolean _refuse(GError **error, const char *format, ...) G_GNUC_PRINTF(2, 3);
static gboolean _refuse(GError **error, const char *format, ...)
{
  va_list args;
  va_start(args, format);
  g_clear_error(error);
  if(error) *error = g_error_new_valist(DT_AI_ERROR, DT_AI_ERROR_PROVIDER, format, args);
  va_end(args);
  return FALSE;
}

/* The driver works and shows nothing: a variable may have told it so. */
static gboolean _refuse_empty(GError **error, const char *who, const char *variable)
{
  const char *value = variable ? g_getenv(variable) : NULL;
  if(value) return _refuse(error, "%s found no device; the variable %s is \"%s\".", who, variable, value);
  return _refuse(error, "%s found no device.", who);
}

// --- Libraries

/** A function of a library and the pointer that receives it. */
typedef struct _symbol_t
{
  const char *name;
  void *pointer;
} _symbol_t;

/* The pointer stays as it is when there is no such function. */
static gboolean _load_symbol(GModule *module, const _symbol_t *symbol)
{
  gpointer found = NULL;
  if(!g_module_symbol(module, symbol->name, &found) || !found) return FALSE;
  memcpy(symbol->pointer, &found, sizeof found);
  return TRUE;
}

static gboolean _load_symbols(GModule *module, const _symbol_t *symbols, gsize count, GError **error)
{
  for(gsize i = 0; i < count; i++)
    if(!_load_symbol(module, &symbols[i]))
      return _refuse(error, "The library %s is not what its name says: it has no function %s.",
                     g_module_name(module), symbols[i].name);
  return TRUE;
}

/* Whether the loader's words about @p name tell more than that it is not there. */
static gboolean _is_there(const char *name)
{
  char *path = dt_library_find(name, NULL);
  g_free(path);
  return path != NULL;
}

/* The first of @p names that loads. It stays loaded: drivers leave threads and exit handlers behind.
 * @return NULL with the loader's words about the first that exists, or about the first */
static GModule *_open_library(const GPtrArray *names, const char *what, GError **error)
{
  char *words = NULL;
  gboolean settled = FALSE;
  GModule *module = NULL;
  for(guint i = 0; i < names->len && !module; i++)
  {
    const char *name = g_ptr_array_index(names, i);
    module = g_module_open(name, G_MODULE_BIND_LAZY | G_MODULE_BIND_LOCAL);
    if(module || settled) continue;
    const char *reason = g_module_error();
    settled = _is_there(name);
    if(words && !settled) continue;
    g_free(words);
    words = g_strdup(reason ? reason : name);
  }
  const char *package = names->len && !settled ? dt_library_package(g_ptr_array_index(names, 0)) : NULL;
  if(!module)
    _refuse(error, "%s cannot be used: %s%s%s.", what, words ? words : "nothing to load",
            package ? "; it is part of " : "", package ? package : "");
  g_free(words);
  return module;
}

/* Opens one of @p names and takes @p symbols from it. */
static GModule *_open_interface(const GPtrArray *names, const char *what, const _symbol_t *symbols,
                                gsize count, GError **error)
{
  GModule *module = _open_library(names, what, error);
  return module && _load_symbols(module, symbols, count, error) ? module : NULL;
}

static GPtrArray *_new_names(void)
{
  return g_ptr_array_new_with_free_func(g_free);
}

static void _add_name(GPtrArray *names, const char *name)
{
  g_ptr_array_add(names, g_strdup(name));
}

/* Takes the array @p more over. */
static void _add_names(GPtrArray *names, GPtrArray *more)
{
  for(guint i = 0; i < more->len; i++) _add_name(names, g_ptr_array_index(more, i));
  g_ptr_array_unref(more);
}

// --- CUDA (the driver's interface)

typedef struct _cuda_t
{
  int (*init)(unsigned flags);
  int (*driver_version)(int *version);
  int (*device_count)(int *count);
  int (*device_get)(int *device, int ordinal);
  int (*device_name)(char *name, int size, int device);
  int (*device_memory)(size_t *bytes, int device);
  int (*device_pci)(char *address, int size, int device); ///< or NULL: not there
  int (*error_string)(int code, const char **text);
} _cuda_t;

static gboolean _check_cuda(const _cuda_t *cuda, int code, const char *doing, GError **error)
{
  const char *text = NULL;
  if(code == 0) return TRUE;
  if(cuda->error_string(code, &text) != 0 || !text) text = "it does not say why";
  return _refuse(error, "The NVIDIA driver cannot %s: %s (error %d).", doing, text, code);
}

static gboolean _open_cuda(_cuda_t *cuda, GError **error)
{
  const _symbol_t symbols[] = {
    { "cuInit", &cuda->init },
    { "cuDriverGetVersion", &cuda->driver_version },
    { "cuDeviceGetCount", &cuda->device_count },
    { "cuDeviceGet", &cuda->device_get },
    { "cuDeviceGetName", &cuda->device_name },
    { "cuDeviceTotalMem_v2", &cuda->device_memory },
    { "cuGetErrorString", &cuda->error_string },
  };
  GPtrArray *names = _new_names();
  _add_name(names, "libcuda.so.1");
  GModule *module = _open_interface(names, "The NVIDIA driver", symbols, G_N_ELEMENTS(symbols), error);
  g_ptr_array_unref(names);
  if(!module || !_check_cuda(cuda, cuda->init(0), "start", error)) return FALSE;
  _load_symbol(module, &(const _symbol_t){ "cuDeviceGetPCIBusId", &cuda->device_pci });
  return TRUE;
}

/* CUDA and HIP tell the address in the same way. @return (transfer full), or NULL */
static char *_ask_address(int (*ask)(char *address, int size, int device), int device)
{
  char address[MAX_ADDRESS] = "";
  return ask && ask(address, sizeof address - 1, device) == 0 ? dt_gpu_pci_address(address) : NULL;
}

static void _add_cuda_device(const _cuda_t *cuda, int ordinal, GPtrArray *devices)
{
  char name[MAX_NAME] = "";
  int handle = 0;
  size_t bytes = 0;
  if(cuda->device_get(&handle, ordinal) != 0) return;
  if(cuda->device_name(name, sizeof name - 1, handle) != 0) name[0] = '\0';
  if(cuda->device_memory(&bytes, handle) != 0) bytes = 0;
  dt_ai_device_t *device = _add_numbered(devices, ordinal, name);
  device->memory = bytes;
  device->pci = _ask_address(cuda->device_pci, handle);
}

/* "CUDA 12.4, kernel module 550.54.15" */
static char *_describe_cuda(const _cuda_t *cuda)
{
  int version = 0;
  char *module = dt_gpu_nvidia_driver(), *text = NULL;
  if(cuda->driver_version(&version) == 0 && version > 0)
    text = g_strdup_printf("CUDA %d.%d%s%s", version / 1000, version % 1000 / 10,
                           module ? ", kernel module " : "", module ? module : "");
  else if(module)
    text = g_strdup_printf("kernel module %s", module);
  g_free(module);
  return text;
}

static gboolean _list_cuda(const char *beside, GPtrArray *devices, char **driver, GError **error)
{
  (void)beside; /* the driver is the system's */
  _cuda_t cuda = { 0 };
  int count = 0;
  if(!_open_cuda(&cuda, error) || !_check_cuda(&cuda, cuda.device_count(&count), "count its devices", error))
    return FALSE;
  for(int i = 0; i < MIN(count, MAX_DEVICES); i++) _add_cuda_device(&cuda, i, devices);
  if(devices->len == 0) return _refuse_empty(error, "The NVIDIA driver", "CUDA_VISIBLE_DEVICES");
  *driver = _describe_cuda(&cuda);
  return TRUE;
}

// --- MIGraphX (HIP)

/** Newest first; the name without a version is a developer's, and fits what is installed. */
static const char *const _hip_names[] = { "libamdhip64.so", "libamdhip64.so.7", "libamdhip64.so.6",
                                          "libamdhip64.so.5" };

typedef struct _hip_t
{
  int (*device_count)(int *count);
  int (*device_name)(char *name, int size, int device);
  int (*device_memory)(size_t *bytes, int device);
  int (*device_pci)(char *address, int size, int device); ///< or NULL: not there
  int (*driver_version)(int *version);
  int (*runtime_version)(int *version);
  const char *(*error_string)(int code);
} _hip_t;

static gboolean _open_hip(_hip_t *hip, const char *beside, GError **error)
{
  const _symbol_t symbols[] = {
    { "hipGetDeviceCount", &hip->device_count },       { "hipDeviceGetName", &hip->device_name },
    { "hipDeviceTotalMem", &hip->device_memory },      { "hipDriverGetVersion", &hip->driver_version },
    { "hipRuntimeGetVersion", &hip->runtime_version }, { "hipGetErrorString", &hip->error_string },
  };
  GPtrArray *names = _new_names();
  for(gsize i = 0; i < G_N_ELEMENTS(_hip_names); i++) _add_name(names, _hip_names[i]);
  /* ROCm may lie where the loader does not look */
  for(gsize i = 0; i < G_N_ELEMENTS(_hip_names); i++)
  {
    char *path = dt_library_find(_hip_names[i], beside);
    if(path) g_ptr_array_add(names, path);
  }
  GModule *module = _open_interface(names, "AMD's HIP", symbols, G_N_ELEMENTS(symbols), error);
  g_ptr_array_unref(names);
  if(module) _load_symbol(module, &(const _symbol_t){ "hipDeviceGetPCIBusId", &hip->device_pci });
  return module != NULL;
}

static void _add_hip_device(const _hip_t *hip, int ordinal, GPtrArray *devices)
{
  char name[MAX_NAME] = "";
  size_t bytes = 0;
  if(hip->device_name(name, sizeof name - 1, ordinal) != 0) name[0] = '\0';
  if(hip->device_memory(&bytes, ordinal) != 0) bytes = 0;
  dt_ai_device_t *device = _add_numbered(devices, ordinal, name);
  device->memory = bytes;
  device->pci = _ask_address(hip->device_pci, ordinal);
}

/* HIP packs major, minor and patch as 10000000, 100000 and 1. */
static void _append_hip_version(GString *text, const char *label, int version)
{
  if(version <= 0) return;
  g_string_append_printf(text, "%s%s%d.%d.%d", text->len ? ", " : "", label, version / 10000000,
                         version / 100000 % 100, version % 100000);
}

/* "HIP 6.3.42134, kernel module 6.10.5"; the driver's own version is the same unless somebody mixes them. */
static char *_describe_hip(const _hip_t *hip)
{
  int runtime = 0, lower = 0;
  GString *text = g_string_new(NULL);
  if(hip->runtime_version(&runtime) == 0) _append_hip_version(text, "HIP ", runtime);
  if(hip->driver_version(&lower) == 0 && lower != runtime) _append_hip_version(text, "driver ", lower);
  char *module = dt_gpu_read_system("module/amdgpu/version");
  if(module) g_string_append_printf(text, "%skernel module %s", text->len ? ", " : "", module);
  g_free(module);
  return g_string_free(text, text->len == 0);
}

static gboolean _list_hip(const char *beside, GPtrArray *devices, char **driver, GError **error)
{
  _hip_t hip = { 0 };
  int count = 0;
  if(!_open_hip(&hip, beside, error)) return FALSE;
  const int code = hip.device_count(&count);
  if(code != 0)
  {
    const char *text = hip.error_string(code);
    return _refuse(error, "AMD's HIP cannot count its devices: %s (error %d).", text ? text : "no reason",
                   code);
  }
  for(int i = 0; i < MIN(count, MAX_DEVICES); i++) _add_hip_device(&hip, i, devices);
  if(devices->len == 0) return _refuse_empty(error, "AMD's HIP", "HIP_VISIBLE_DEVICES");
  *driver = _describe_hip(&hip);
  return TRUE;
}

// --- WebGPU (Vulkan 1.0; 1.1 tells addresses, too)

#define VULKAN_1_1 (1u << 22 | 1u << 12)
#define VULKAN_APPLICATION_INFO 0
#define VULKAN_INSTANCE_CREATE_INFO 1
#define VULKAN_PROPERTIES_2 1000059001
#define VULKAN_PCI_BUS_INFO 1000212000
#define VULKAN_INCOMPLETE 5
#define VULKAN_TYPE_CPU 4
#define VULKAN_DEVICE_LOCAL 1u
#define VULKAN_NVIDIA 0x10deu

typedef struct _vulkan_application_t
{
  int type;
  const void *next;
  const char *name;
  guint32 version;
  const char *engine;
  guint32 engine_version, api_version;
} _vulkan_application_t;

typedef struct _vulkan_create_t
{
  int type;
  const void *next;
  guint32 flags;
  const _vulkan_application_t *application; ///< NULL stands for Vulkan 1.0
  guint32 layer_count;
  const char *const *layers;
  guint32 extension_count;
  const char *const *extensions;
} _vulkan_create_t;

/** VkPhysicalDeviceProperties: what follows the name is limits. */
typedef struct _vulkan_properties_t
{
  guint32 api_version, driver_version, vendor, device;
  gint32 type;
  char name[MAX_NAME];
  guint8 cache_uuid[16];
  guint64 rest[128]; ///< 528 bytes and room to spare
} _vulkan_properties_t;

typedef struct _vulkan_extension_t
{
  char name[MAX_NAME];
  guint32 version;
} _vulkan_extension_t;

/** VkPhysicalDeviceProperties2 */
typedef struct _vulkan_more_t
{
  int type;
  void *next;
  _vulkan_properties_t properties;
} _vulkan_more_t;

/** VkPhysicalDevicePCIBusInfoPropertiesEXT */
typedef struct _vulkan_pci_t
{
  int type;
  void *next;
  guint32 domain, bus, device, function;
} _vulkan_pci_t;

typedef struct _vulkan_memory_t
{
  guint32 type_count;
  struct
  {
    guint32 flags, heap;
  } types[32];
  guint32 heap_count;
  struct
  {
    guint64 size;
    guint32 flags;
  } heaps[16];
} _vulkan_memory_t;

typedef struct _vulkan_t
{
  gint32 (*create)(const _vulkan_create_t *info, const void *allocator, void **instance);
  void (*destroy)(void *instance, const void *allocator);
  gint32 (*enumerate)(void *instance, guint32 *count, void **devices);
  void (*properties)(void *device, _vulkan_properties_t *properties);
  void (*memory)(void *device, _vulkan_memory_t *memory);
  gint32 (*extensions)(void *device, const char *layer, guint32 *count, _vulkan_extension_t *extensions);
  gint32 (*version)(guint32 *version);                    ///< these two are NULL before Vulkan 1.1
  void (*more)(void *device, _vulkan_more_t *properties); ///< for devices of 1.1 in an instance of 1.1
} _vulkan_t;

/* Vulkan's results are numbers only; their names are what people search for. */
static const char *_vulkan_words(int code)
{
  switch(code)
  {
  case -1: return "out of memory (VK_ERROR_OUT_OF_HOST_MEMORY)";
  case -2: return "out of the GPU's memory (VK_ERROR_OUT_OF_DEVICE_MEMORY)";
  case -3: return "a driver could not start (VK_ERROR_INITIALIZATION_FAILED)";
  case -4: return "the device was lost (VK_ERROR_DEVICE_LOST)";
  case -6: return "a layer is missing that the environment asks for (VK_ERROR_LAYER_NOT_PRESENT)";
  case -9: return "no driver is installed for Vulkan, or none works here (VK_ERROR_INCOMPATIBLE_DRIVER)";
  default: return "it does not say why";
  }
}

static gboolean _check_vulkan(int code, const char *doing, GError **error)
{
  if(code == 0 || code == VULKAN_INCOMPLETE) return TRUE;
  return _refuse(error, "Vulkan cannot %s: %s (error %d).", doing, _vulkan_words(code), code);
}

static gboolean _open_vulkan(_vulkan_t *vulkan, GError **error)
{
  const _symbol_t symbols[] = {
    { "vkCreateInstance", &vulkan->create },
    { "vkDestroyInstance", &vulkan->destroy },
    { "vkEnumeratePhysicalDevices", &vulkan->enumerate },
    { "vkGetPhysicalDeviceProperties", &vulkan->properties },
    { "vkGetPhysicalDeviceMemoryProperties", &vulkan->memory },
    { "vkEnumerateDeviceExtensionProperties", &vulkan->extensions },
  };
  GPtrArray *names = _new_names();
  _add_name(names, "libvulkan.so.1");
  GModule *module = _open_interface(names, "Vulkan", symbols, G_N_ELEMENTS(symbols), error);
  g_ptr_array_unref(names);
  if(!module) return FALSE;
  _load_symbol(module, &(const _symbol_t){ "vkEnumerateInstanceVersion", &vulkan->version });
  _load_symbol(module, &(const _symbol_t){ "vkGetPhysicalDeviceProperties2", &vulkan->more });
  return TRUE;
}

/* An instance of Vulkan 1.1 where there is that, which libraries of 1.0 would refuse. */
static gboolean _create_instance(_vulkan_t *vulkan, void **instance, GError **error)
{
  const _vulkan_application_t application = { .type = VULKAN_APPLICATION_INFO, .api_version = VULKAN_1_1 };
  _vulkan_create_t info = { .type = VULKAN_INSTANCE_CREATE_INFO };
  guint32 version = 0;
  if(vulkan->version && vulkan->version(&version) == 0 && version >= VULKAN_1_1)
    info.application = &application;
  else
    vulkan->more = NULL;
  return _check_vulkan(vulkan->create(&info, NULL, instance), "start", error);
}

static gboolean _has_extension(const _vulkan_t *vulkan, void *handle, const char *name)
{
  guint32 n = 0;
  gboolean found = FALSE;
  if(vulkan->extensions(handle, NULL, &n, NULL) != 0) return FALSE;
  n = MIN(n, MAX_EXTENSIONS);
  _vulkan_extension_t *all = g_new0(_vulkan_extension_t, n + 1);
  const gint32 code = vulkan->extensions(handle, NULL, &n, all);
  for(guint32 i = 0; i < n && (code == 0 || code == VULKAN_INCOMPLETE); i++)
    found |= strncmp(all[i].name, name, MAX_NAME) == 0;
  g_free(all);
  return found;
}

/* Drivers that do not know the question complain of it. */
static char *_vulkan_address(const _vulkan_t *vulkan, void *handle, guint32 api_version)
{
  _vulkan_pci_t pci = { .type = VULKAN_PCI_BUS_INFO, .bus = G_MAXUINT32 };
  _vulkan_more_t more = { .type = VULKAN_PROPERTIES_2, .next = &pci };
  if(!vulkan->more || api_version < VULKAN_1_1 || !_has_extension(vulkan, handle, "VK_EXT_pci_bus_info"))
    return NULL;
  vulkan->more(handle, &more);
  return dt_gpu_pci_address_from(pci.domain, pci.bus, pci.device, pci.function);
}

static guint64 _vulkan_own_memory(const _vulkan_t *vulkan, void *handle)
{
  _vulkan_memory_t memory = { 0 };
  guint64 bytes = 0;
  vulkan->memory(handle, &memory);
  for(guint32 i = 0; i < MIN(memory.heap_count, G_N_ELEMENTS(memory.heaps)); i++)
    if(memory.heaps[i].flags & VULKAN_DEVICE_LOCAL) bytes += memory.heaps[i].size;
  return bytes;
}

/* Drivers pack their version as Vulkan does its own, NVIDIA's otherwise. */
static char *_describe_vulkan(const _vulkan_properties_t *properties)
{
  const guint32 api = properties->api_version, own = properties->driver_version;
  const gboolean nvidia = properties->vendor == VULKAN_NVIDIA;
  char *driver = nvidia ? g_strdup_printf("%u.%02u.%02u", own >> 22, own >> 14 & 0xff, own >> 6 & 0xff)
                        : g_strdup_printf("%u.%u.%u", own >> 22, own >> 12 & 0x3ff, own & 0xfff);
  char *text =
      g_strdup_printf("Vulkan %u.%u.%u, driver %s", api >> 22 & 0x7f, api >> 12 & 0x3ff, api & 0xfff, driver);
  g_free(driver);
  return text;
}

/* @p driver receives the version of the first device's driver. */
static void _add_vulkan_device(const _vulkan_t *vulkan, int number, void *handle, GPtrArray *devices,
                               char **driver)
{
  _vulkan_properties_t properties = { 0 };
  vulkan->properties(handle, &properties);
  properties.name[MAX_NAME - 1] = '\0';
  dt_ai_device_t *device = _add_numbered(devices, number, properties.name);
  device->software = properties.type == VULKAN_TYPE_CPU;
  device->memory = _vulkan_own_memory(vulkan, handle);
  device->pci = _vulkan_address(vulkan, handle, properties.api_version);
  if(!*driver) *driver = _describe_vulkan(&properties);
}

static gboolean _list_instance(const _vulkan_t *vulkan, void *instance, GPtrArray *devices, char **driver,
                               GError **error)
{
  void *handles[MAX_DEVICES] = { NULL };
  guint32 count = MAX_DEVICES;
  if(!_check_vulkan(vulkan->enumerate(instance, &count, handles), "list its devices", error)) return FALSE;
  for(int i = 0; i < (int)MIN(count, MAX_DEVICES); i++)
    _add_vulkan_device(vulkan, i, handles[i], devices, driver);
  return devices->len > 0 || _refuse_empty(error, "Vulkan", "VK_ICD_FILENAMES");
}

static gboolean _list_vulkan(const char *beside, GPtrArray *devices, char **driver, GError **error)
{
  (void)beside; /* the loader of drivers is the system's */
  _vulkan_t vulkan = { 0 };
  void *instance = NULL;
  if(!_open_vulkan(&vulkan, error) || !_create_instance(&vulkan, &instance, error)) return FALSE;
  const gboolean good = _list_instance(&vulkan, instance, devices, driver, error);
  vulkan.destroy(instance, NULL);
  return good;
}

// --- OpenVINO (its C interface)

typedef struct _openvino_names_t
{
  char **devices;
  size_t size;
} _openvino_names_t;

typedef struct _openvino_version_t
{
  const char *build, *description;
} _openvino_version_t;

typedef struct _openvino_t
{
  int (*create)(void **core);
  void (*destroy)(void *core);
  int (*devices)(const void *core, _openvino_names_t *names);
  void (*devices_free)(_openvino_names_t *names);
  int (*property)(const void *core, const char *device, const char *key, char **value);
  void (*text_free)(const char *text);
  int (*version)(_openvino_version_t *version);
  void (*version_free)(_openvino_version_t *version);
  const char *(*error_text)(int code);
} _openvino_t;

/* Beside the runtime first: versions of OpenVINO do not mix, and wheels bring their own. */
static GPtrArray *_openvino_libraries(const char *beside)
{
  GPtrArray *names = _new_names();
  char *own = beside ? g_build_filename(beside, "libopenvino_c.so", NULL) : NULL;
  if(own && g_file_test(own, G_FILE_TEST_EXISTS)) _add_name(names, own);
  GPtrArray *versioned = dt_library_find_similar("libopenvino_c.so", beside);
  for(guint i = 0; own && i < versioned->len; i++)
    if(g_str_has_prefix(g_ptr_array_index(versioned, i), own))
      _add_name(names, g_ptr_array_index(versioned, i));
  _add_name(names, "libopenvino_c.so");
  _add_names(names, versioned);
  g_free(own);
  return names;
}

static gboolean _open_openvino(_openvino_t *openvino, const char *beside, GError **error)
{
  const _symbol_t symbols[] = {
    { "ov_core_create", &openvino->create },
    { "ov_core_free", &openvino->destroy },
    { "ov_core_get_available_devices", &openvino->devices },
    { "ov_available_devices_free", &openvino->devices_free },
    { "ov_core_get_property", &openvino->property },
    { "ov_free", &openvino->text_free },
    { "ov_get_openvino_version", &openvino->version },
    { "ov_version_free", &openvino->version_free },
    { "ov_get_error_info", &openvino->error_text },
  };
  GPtrArray *names = _openvino_libraries(beside);
  const GModule *module = _open_interface(names, "OpenVINO", symbols, G_N_ELEMENTS(symbols), error);
  g_ptr_array_unref(names);
  return module != NULL;
}

static gboolean _check_openvino(const _openvino_t *openvino, int code, const char *doing, GError **error)
{
  if(code == 0) return TRUE;
  const char *text = openvino->error_text(code);
  return _refuse(error, "OpenVINO cannot %s: %s (error %d).", doing, text ? text : "it does not say why",
                 code);
}

static char *_describe_openvino(const _openvino_t *openvino)
{
  _openvino_version_t version = { NULL, NULL };
  if(openvino->version(&version) != 0) return NULL;
  char *text = version.build ? g_strdup_printf("OpenVINO %s", version.build) : NULL;
  openvino->version_free(&version);
  return text;
}

/* @return (transfer full), or NULL: the device does not offer it */
static char *_openvino_property(const _openvino_t *openvino, const void *core, const char *id,
                                const char *key)
{
  char *theirs = NULL;
  if(openvino->property(core, id, key, &theirs) != 0 || !theirs) return NULL;
  char *text = g_strdup(theirs);
  openvino->text_free(theirs);
  return text;
}

/* The number behind @p label, in C's notation. */
static guint _read_labelled(const char *text, const char *label, guint missing)
{
  const char *found = strstr(text, label);
  return found ? (guint)g_ascii_strtoull(found + strlen(label), NULL, 0) : missing;
}

/* "{domain: 0 bus: 3 device: 0x0 function: 0}", of graphics processors and NPUs */
static char *_openvino_address(const _openvino_t *openvino, const void *core, const char *id)
{
  char *text = _openvino_property(openvino, core, id, "DEVICE_PCI_INFO");
  if(!text) return NULL;
  char *address = dt_gpu_pci_address_from(
      _read_labelled(text, "domain: ", 0), _read_labelled(text, "bus: ", G_MAXUINT),
      _read_labelled(text, "device: ", G_MAXUINT), _read_labelled(text, "function: ", 0));
  g_free(text);
  return address;
}

static void _add_openvino_device(const _openvino_t *openvino, const void *core, const char *id,
                                 GPtrArray *devices)
{
  char *name = _openvino_property(openvino, core, id, "FULL_DEVICE_NAME");
  _add_device(devices, id, name)->pci = _openvino_address(openvino, core, id);
  g_free(name);
}

static gboolean _list_core(const _openvino_t *openvino, const void *core, GPtrArray *devices, GError **error)
{
  _openvino_names_t names = { NULL, 0 };
  if(!_check_openvino(openvino, openvino->devices(core, &names), "list its devices", error)) return FALSE;
  for(size_t i = 0; i < MIN(names.size, MAX_DEVICES); i++)
    _add_openvino_device(openvino, core, names.devices[i], devices);
  openvino->devices_free(&names);
  return devices->len > 0 || _refuse_empty(error, "OpenVINO", NULL);
}

static gboolean _list_openvino(const char *beside, GPtrArray *devices, char **driver, GError **error)
{
  _openvino_t openvino = { 0 };
  void *core = NULL;
  if(!_open_openvino(&openvino, beside, error)
     || !_check_openvino(&openvino, openvino.create(&core), "start", error))
    return FALSE;
  const gboolean good = _list_core(&openvino, core, devices, error);
  openvino.destroy(core);
  if(good) *driver = _describe_openvino(&openvino);
  return good;
}

// --- What identifies drivers

static void _stamp_text(GString *stamp, const char *label, const char *text)
{
  g_string_append_printf(stamp, "%s=%s\n", label, text ? text : "-");
}

static void _stamp_file(GString *stamp, const char *path)
{
  struct stat about;
  char *real = realpath(path, NULL);
  if(real && stat(real, &about) == 0)
    g_string_append_printf(stamp, "%s=%s %" G_GINT64_FORMAT " %" G_GINT64_FORMAT ".%09ld\n", path, real,
                           (gint64)about.st_size, (gint64)about.st_mtim.tv_sec, about.st_mtim.tv_nsec);
  else
    _stamp_text(stamp, path, NULL);
  free(real);
}

static void _stamp_library(GString *stamp, const char *soname, const char *beside)
{
  char *path = dt_library_find(soname, beside);
  if(path)
    _stamp_file(stamp, path);
  else
    _stamp_text(stamp, soname, NULL);
  g_free(path);
}

static void _stamp_similar(GString *stamp, const char *soname, const char *beside)
{
  GPtrArray *paths = dt_library_find_similar(soname, beside);
  for(guint i = 0; i < paths->len; i++) _stamp_file(stamp, g_ptr_array_index(paths, i));
  g_ptr_array_unref(paths);
}

static int _compare_texts(gconstpointer a, gconstpointer b)
{
  return strcmp(*(char *const *)a, *(char *const *)b);
}

/* The files in @p folder that end in @p ending, by name. */
static GPtrArray *_list_folder(const char *folder, const char *ending)
{
  GPtrArray *paths = _new_names();
  GDir *dir = g_dir_open(folder, 0, NULL);
  const char *name;
  while(dir && (name = g_dir_read_name(dir)))
    if(g_str_has_suffix(name, ending)) g_ptr_array_add(paths, g_build_filename(folder, name, NULL));
  if(dir) g_dir_close(dir);
  g_ptr_array_sort(paths, _compare_texts);
  return paths;
}

static void _stamp_folder(GString *stamp, const char *folder, const char *ending)
{
  GPtrArray *paths = _list_folder(folder, ending);
  for(guint i = 0; i < paths->len; i++) _stamp_file(stamp, g_ptr_array_index(paths, i));
  g_ptr_array_unref(paths);
}

/* A manifest, or a folder of them. */
static void _stamp_manifests(GString *stamp, const char *path)
{
  if(g_file_test(path, G_FILE_TEST_IS_DIR))
    _stamp_folder(stamp, path, ".json");
  else if(*path)
    _stamp_file(stamp, path);
}

static void _stamp_user_manifests(GString *stamp, const char *folder)
{
  char *path = g_build_filename(folder, "vulkan", "icd.d", NULL);
  _stamp_folder(stamp, path, ".json");
  g_free(path);
}

/* Which drivers Vulkan tries: those that a variable names, else those that are installed. */
static void _stamp_vulkan_drivers(GString *stamp)
{
  static const char installed[] = "/etc/vulkan/icd.d:/usr/local/share/vulkan/icd.d:/usr/share/vulkan/icd.d";
  const char *named = g_getenv("VK_DRIVER_FILES");
  if(!named) named = g_getenv("VK_ICD_FILENAMES");
  char **paths = g_strsplit(named ? named : installed, ":", -1);
  for(char **path = paths; *path; path++) _stamp_manifests(stamp, *path);
  g_strfreev(paths);
  if(named) return;
  _stamp_user_manifests(stamp, g_get_user_config_dir());
  _stamp_user_manifests(stamp, g_get_user_data_dir());
}

/* A file of OpenCL's names a driver: a path, or a library's name. */
static void _stamp_opencl_drivers(GString *stamp)
{
  const char *vendors = g_getenv("OCL_ICD_VENDORS");
  GPtrArray *paths = _list_folder(vendors ? vendors : "/etc/OpenCL/vendors", ".icd");
  for(guint i = 0; i < paths->len; i++)
  {
    char *text = NULL;
    _stamp_file(stamp, g_ptr_array_index(paths, i));
    if(g_file_get_contents(g_ptr_array_index(paths, i), &text, NULL, NULL))
      _stamp_library(stamp, g_strstrip(text), NULL);
    g_free(text);
  }
  g_ptr_array_unref(paths);
}

static void _stamp_variables(GString *stamp, const char *const *names)
{
  for(; *names; names++) _stamp_text(stamp, *names, g_getenv(*names));
}

/* The kernel modules come with the kernel, unless AMD's own packages bring one. */
static void _stamp_kernel(GString *stamp)
{
  struct utsname kernel;
  char *nvidia = dt_gpu_nvidia_driver(), *amd = dt_gpu_read_system("module/amdgpu/version");
  _stamp_text(stamp, "nvidia", nvidia);
  _stamp_text(stamp, "amdgpu", amd);
  if(!amd) _stamp_text(stamp, "kernel", uname(&kernel) == 0 ? kernel.release : NULL);
  g_free(amd);
  g_free(nvidia);
}

/* A card plugged in, another kernel driver bound to it. */
static void _stamp_gpus(GString *stamp)
{
  GPtrArray *gpus = dt_gpu_list();
  for(guint i = 0; i < gpus->len; i++)
  {
    const dt_gpu_t *gpu = g_ptr_array_index(gpus, i);
    _stamp_text(stamp, gpu->name, gpu->driver);
  }
  g_ptr_array_unref(gpus);
}

/* Who was not allowed to use a device may be now: membership in a group is what drivers fail for most. */
static void _stamp_access(GString *stamp)
{
  static const char *const nodes[] = { "/dev/nvidiactl",      "/dev/nvidia0",        "/dev/kfd",
                                       "/dev/dri/renderD128", "/dev/dri/renderD129", "/dev/accel/accel0" };
  for(gsize i = 0; i < G_N_ELEMENTS(nodes); i++)
    if(access(nodes[i], F_OK) == 0)
      _stamp_text(stamp, nodes[i], access(nodes[i], R_OK | W_OK) == 0 ? "1" : "0");
}

static void _stamp_cuda(GString *stamp, const char *beside)
{
  static const char *const sonames[] = { "libcuda.so.1", "libcudnn.so.9", "libcublas.so.12",
                                         "libcublas.so.13" };
  static const char *const variables[] = { "CUDA_VISIBLE_DEVICES", "CUDA_DEVICE_ORDER", NULL };
  for(gsize i = 0; i < G_N_ELEMENTS(sonames); i++) _stamp_library(stamp, sonames[i], beside);
  _stamp_variables(stamp, variables);
}

static void _stamp_hip(GString *stamp, const char *beside)
{
  /* HIP obeys CUDA's variable as well; the last one makes it accept cards it does not know */
  static const char *const variables[] = { "HIP_VISIBLE_DEVICES",      "ROCR_VISIBLE_DEVICES",
                                           "GPU_DEVICE_ORDINAL",       "CUDA_VISIBLE_DEVICES",
                                           "HSA_OVERRIDE_GFX_VERSION", NULL };
  for(gsize i = 0; i < G_N_ELEMENTS(_hip_names); i++) _stamp_library(stamp, _hip_names[i], beside);
  _stamp_library(stamp, "libmigraphx_c.so.3", beside);
  _stamp_similar(stamp, "libmigraphx_c.so.3", beside);
  _stamp_variables(stamp, variables);
}

static void _stamp_vulkan(GString *stamp)
{
  static const char *const variables[] = { "VK_ICD_FILENAMES",         "VK_DRIVER_FILES",
                                           "VK_LOADER_DRIVERS_SELECT", "VK_LOADER_DRIVERS_DISABLE",
                                           "MESA_VK_DEVICE_SELECT",    NULL };
  _stamp_library(stamp, "libvulkan.so.1", NULL);
  _stamp_vulkan_drivers(stamp);
  _stamp_variables(stamp, variables);
}

static void _stamp_openvino(GString *stamp, const char *beside)
{
  static const char *const sonames[] = { "libopenvino.so",       "libopenvino_c.so", "libze_loader.so.1",
                                         "libze_intel_gpu.so.1", "libOpenCL.so.1",   "libigdrcl.so" };
  static const char *const variables[] = { "OCL_ICD_VENDORS", "ZE_AFFINITY_MASK", NULL };
  for(gsize i = 0; i < G_N_ELEMENTS(sonames); i++) _stamp_library(stamp, sonames[i], beside);
  _stamp_similar(stamp, "libopenvino.so", beside);
  _stamp_opencl_drivers(stamp);
  _stamp_variables(stamp, variables);
}

char *dt_ai_devices_fingerprint(dt_ai_provider_t provider, const char *beside)
{
  GString *stamp = g_string_new(NULL);
  switch(provider)
  {
  case DT_AI_PROVIDER_CUDA: _stamp_cuda(stamp, beside); break;
  case DT_AI_PROVIDER_MIGRAPHX: _stamp_hip(stamp, beside); break;
  case DT_AI_PROVIDER_WEBGPU: _stamp_vulkan(stamp); break;
  case DT_AI_PROVIDER_OPENVINO: _stamp_openvino(stamp, beside); break;
  default: return g_string_free(stamp, FALSE); /* no driver of its own */
  }
  _stamp_kernel(stamp);
  _stamp_gpus(stamp);
  _stamp_access(stamp);
  return g_string_free(stamp, FALSE);
}

// --- The way in

typedef gboolean (*_list_t)(const char *beside, GPtrArray *devices, char **driver, GError **error);

static _list_t _list_of(dt_ai_provider_t provider)
{
  switch(provider)
  {
  case DT_AI_PROVIDER_CUDA: return _list_cuda;
  case DT_AI_PROVIDER_MIGRAPHX: return _list_hip;
  case DT_AI_PROVIDER_WEBGPU: return _list_vulkan;
  case DT_AI_PROVIDER_OPENVINO: return _list_openvino;
  default: return NULL;
  }
}

GPtrArray *dt_ai_devices_list(dt_ai_provider_t provider, const char *beside, char **driver, GError **error)
{
  const _list_t list = _list_of(provider);
  GPtrArray *devices = _new_devices();
  char *version = NULL;
  if(list && !list(beside, devices, &version, error))
  {
    g_clear_pointer(&devices, g_ptr_array_unref);
    g_clear_pointer(&version, g_free);
  }
  if(driver)
    *driver = version;
  else
    g_free(version);
  return devices;
}
