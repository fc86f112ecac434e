/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Reads the kernel's list of PCI devices: a few small files and a link for each. */
#include "common/gpu.h"

#include <string.h>

/** PCI classes, without subclass. */
#define CLASS_DISPLAY 0x03
#define CLASS_ACCELERATOR 0x12

#define PCI_AMD 0x1002
#define PCI_AMD_PROCESSORS 0x1022
#define PCI_INTEL 0x8086
#define PCI_NVIDIA 0x10de

/** CUDA 13 needs this driver, and a Turing or newer: device numbers grow with the generations. */
#define CUDA_13_DRIVER 580
#define CUDA_13_DEVICE 0x1e00
/** Older drivers know no CUDA 12. */
#define CUDA_12_DRIVER 525

/** What nobody computes on: screens of virtual machines and of server management chips. */
static const guint64 _virtual_vendors[] = {
  0x1013, /* Cirrus */
  0x102b, /* Matrox */
  0x1234, /* QEMU, Bochs */
  0x1414, /* Hyper-V */
  0x15ad, /* VMware */
  0x1a03, /* ASPEED */
  0x1af4, /* virtio */
  0x1b36, /* QXL */
  0x80ee, /* VirtualBox */
};

// --- Where the system tells

/* A path below /sys, or below what stands for it in tests. */
static char *_sys_path(const char *relative)
{
  const char *root = g_getenv("DT_SYSFS_ROOT");
  return g_build_filename(root && *root ? root : "/sys", relative, NULL);
}

static char *_read_text(const char *path)
{
  char *text = NULL;
  return g_file_get_contents(path, &text, NULL, NULL) ? g_strstrip(text) : NULL;
}

char *dt_gpu_read_system(const char *relative)
{
  char *path = _sys_path(relative), *text = _read_text(path);
  g_free(path);
  return text;
}

/* /proc has no variable of its own: it lies beside the invented /sys. */
static char *_read_nvidia_text(void)
{
  const char *root = g_getenv("DT_SYSFS_ROOT");
  char *path = g_build_filename(root && *root ? root : "/", root && *root ? ".." : "",
                                "proc/driver/nvidia/version", NULL);
  char *text = _read_text(path);
  g_free(path);
  return text;
}

/* "NVRM version: NVIDIA UNIX x86_64 Kernel Module  550.54.15  Tue Mar  5 …": the first word that is digits and
 * dots. */
char *dt_gpu_nvidia_driver(void)
{
  char *text = _read_nvidia_text(), *version = NULL;
  if(!text) return NULL;
  char **words = g_strsplit_set(text, " \t\n", -1);
  for(char **word = words; *word && !version; word++)
    if(strchr(*word, '.') && strspn(*word, "0123456789.") == strlen(*word)) version = g_strdup(*word);
  g_strfreev(words);
  g_free(text);
  return version;
}

// --- Addresses

#define MAX_BUS 0xffu
#define MAX_DEVICE 0x1fu
#define MAX_FUNCTION 7u

char *dt_gpu_pci_address_from(guint domain, guint bus, guint device, guint function)
{
  if(bus > MAX_BUS || device > MAX_DEVICE || function > MAX_FUNCTION) return NULL;
  return g_strdup_printf("%04x:%02x:%02x.%x", domain, bus, device, function);
}

/* Digits and nothing else. */
static gboolean _read_hex(const char *text, guint *number)
{
  const size_t n = strlen(text);
  *number = (guint)g_ascii_strtoull(text, NULL, 16);
  return n >= 1 && n <= 8 && strspn(text, "0123456789abcdefABCDEF") == n;
}

char *dt_gpu_pci_address(const char *text)
{
  char **halves = g_strsplit(text ? text : "", ".", -1),
       **parts = g_strsplit(halves[0] ? halves[0] : "", ":", -1);
  const guint n_halves = g_strv_length(halves), n = g_strv_length(parts);
  guint domain = 0, bus, device, function = 0;
  char *address = NULL;
  if(n_halves <= 2 && (n == 2 || (n == 3 && _read_hex(parts[0], &domain))) && _read_hex(parts[n - 2], &bus)
     && _read_hex(parts[n - 1], &device) && (n_halves < 2 || _read_hex(halves[1], &function)))
    address = dt_gpu_pci_address_from(domain, bus, device, function);
  g_strfreev(parts);
  g_strfreev(halves);
  return address;
}

// --- The list

static void _free_gpu(gpointer data)
{
  dt_gpu_t *gpu = data;
  g_free(gpu->name);
  g_free(gpu->driver);
  g_free(gpu);
}

/* A file that holds one number, "0x10de"; G_MAXUINT64 when it cannot be read. */
static guint64 _read_number(const char *folder, const char *name)
{
  char *path = g_build_filename(folder, name, NULL), *text = _read_text(path);
  const guint64 value = text && g_str_has_prefix(text, "0x") ? g_ascii_strtoull(text, NULL, 16) : G_MAXUINT64;
  g_free(text);
  g_free(path);
  return value;
}

static char *_read_driver(const char *folder)
{
  char *path = g_build_filename(folder, "driver", NULL), *target = g_file_read_link(path, NULL);
  char *driver = target ? g_path_get_basename(target) : NULL;
  g_free(target);
  g_free(path);
  return driver;
}

static gboolean _is_virtual(guint64 vendor)
{
  for(gsize i = 0; i < G_N_ELEMENTS(_virtual_vendors); i++)
    if(_virtual_vendors[i] == vendor) return TRUE;
  return FALSE;
}

static dt_gpu_vendor_t _vendor_of(guint64 vendor, guint64 class)
{
  if(vendor == PCI_NVIDIA) return DT_GPU_NVIDIA;
  if(vendor == PCI_INTEL) return DT_GPU_INTEL;
  if(vendor == PCI_AMD || (vendor == PCI_AMD_PROCESSORS && class == CLASS_ACCELERATOR)) return DT_GPU_AMD;
  return DT_GPU_OTHER;
}

static char *_make_name(dt_gpu_vendor_t vendor, guint64 id, guint64 class, guint64 device,
                        const char *address)
{
  static const char *const names[] = { NULL, "NVIDIA", "AMD", "Intel" };
  const char *kind = class == CLASS_ACCELERATOR ? "accelerator" : "graphics processor";
  if(names[vendor])
    return g_strdup_printf("%s %s %04" G_GINT64_MODIFIER "x at %s", names[vendor], kind, device, address);
  return g_strdup_printf("%s %04" G_GINT64_MODIFIER "x of vendor %04" G_GINT64_MODIFIER "x at %s", kind,
                         device, id, address);
}

/* @return NULL when the device in @p folder is none of those sought */
static dt_gpu_t *_read_gpu(const char *folder, const char *address)
{
  const guint64 class = _read_number(folder, "class") >> 16;
  const guint64 id = _read_number(folder, "vendor"), device = _read_number(folder, "device");
  if((class != CLASS_DISPLAY && class != CLASS_ACCELERATOR) || id > 0xffff || device > 0xffff
     || _is_virtual(id))
    return NULL;
  dt_gpu_t *gpu = g_new0(dt_gpu_t, 1);
  gpu->vendor = _vendor_of(id, class);
  gpu->name = _make_name(gpu->vendor, id, class, device, address);
  gpu->driver = _read_driver(folder);
  return gpu;
}

static int _compare_texts(gconstpointer a, gconstpointer b)
{
  return strcmp(*(char *const *)a, *(char *const *)b);
}

/* The addresses of all devices, sorted. */
static GPtrArray *_list_addresses(const char *folder)
{
  GPtrArray *addresses = g_ptr_array_new_with_free_func(g_free);
  GDir *dir = g_dir_open(folder, 0, NULL);
  const char *name;
  while(dir && (name = g_dir_read_name(dir))) g_ptr_array_add(addresses, g_strdup(name));
  if(dir) g_dir_close(dir);
  g_ptr_array_sort(addresses, _compare_texts);
  return addresses;
}

GPtrArray *dt_gpu_list(void)
{
  GPtrArray *gpus = g_ptr_array_new_with_free_func(_free_gpu);
  char *devices = _sys_path("bus/pci/devices");
  GPtrArray *addresses = _list_addresses(devices);
  for(guint i = 0; i < addresses->len; i++)
  {
    char *folder = g_build_filename(devices, g_ptr_array_index(addresses, i), NULL);
    dt_gpu_t *gpu = _read_gpu(folder, g_ptr_array_index(addresses, i));
    if(gpu) g_ptr_array_add(gpus, gpu);
    g_free(folder);
  }
  g_ptr_array_unref(addresses);
  g_free(devices);
  return gpus;
}

// --- Which runtime

/* The device number in the name that _make_name() made; when there is none, nothing speaks against the device. */
static guint64 _device_of(const dt_gpu_t *gpu)
{
  static const char before[] = "graphics processor ";
  const char *number = gpu->name ? strstr(gpu->name, before) : NULL;
  return number ? g_ascii_strtoull(number + strlen(before), NULL, 16) : G_MAXUINT64;
}

/* Without a version the driver is still to be installed, or hidden by a container: most of them know CUDA 12. */
static const char *_suggest_nvidia(const dt_gpu_t *gpu)
{
  if(g_strcmp0(gpu->driver, "nouveau") == 0) return NULL;
  char *version = dt_gpu_nvidia_driver();
  const guint64 major = version ? g_ascii_strtoull(version, NULL, 10) : CUDA_12_DRIVER;
  g_free(version);
  if(major < CUDA_12_DRIVER) return NULL;
  return major >= CUDA_13_DRIVER && _device_of(gpu) >= CUDA_13_DEVICE ? "cuda13" : "cuda12";
}

/* Graphics processors that still use the kernel driver before amdgpu are older than ROCm. */
static const char *_suggest_amd(const dt_gpu_t *gpu)
{
  return g_strcmp0(gpu->driver, "radeon") == 0 ? NULL : "migraphx";
}

static const char *_suggest_for(const dt_gpu_t *gpu)
{
  switch(gpu->vendor)
  {
  case DT_GPU_NVIDIA: return _suggest_nvidia(gpu);
  case DT_GPU_AMD: return _suggest_amd(gpu);
  case DT_GPU_INTEL: return "openvino";
  case DT_GPU_OTHER: break;
  }
  return NULL;
}

/* By vendor, then by address: in most laptops the processor's own GPU comes before the fast one. */
const char *dt_gpu_suggest_runtime(const GPtrArray *gpus)
{
  static const dt_gpu_vendor_t order[] = { DT_GPU_NVIDIA, DT_GPU_AMD, DT_GPU_INTEL };
  for(gsize i = 0; i < G_N_ELEMENTS(order); i++)
    for(guint k = 0; k < gpus->len; k++)
    {
      const dt_gpu_t *gpu = g_ptr_array_index(gpus, k);
      const char *build = gpu->vendor == order[i] ? _suggest_for(gpu) : NULL;
      if(build) return build;
    }
  return gpus->len ? "webgpu" : NULL;
}
