/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Lists the devices of all platforms, judges each, and gives it an identity that stays when numbers change. */
#include "common/opencl_device.h"
#include "common/conf.h"
#include "common/log.h"
#include "common/opencl_guard.h"
#include "common/opencl_query.h"

#include <string.h>

/** Cut off there; counts that drivers state may be nonsense. */
#define MOST_PLATFORMS 64
#define MOST_DEVICES 256

#define LEAST_VERSION 102 /* 100 * major + minor */

/* A detection under way. */
typedef struct _search_t
{
  const dt_opencl_driver_t *cl;
  int parts;
  gboolean cpu; /* whether devices of type CPU are wanted */
  GPtrArray *devices;
  int used;
} _search_t;

typedef struct _platform_t
{
  cl_platform_id id;
  char *name, *failure; /* failure: why it is not told, or NULL */
} _platform_t;

/* What is asked only to judge the device. */
typedef struct _facts_t
{
  guint64 available, compiler, little_endian;
  char *profile, *extensions;
} _facts_t;

static void _free_device(gpointer data)
{
  dt_opencl_device_t *device = data;
  g_free(device->rejected);
  g_free(device->name);
  g_free(device->canonical);
  g_free(device->identity);
  g_free(device->pci);
  g_free(device->uuid);
  g_free(device->platform);
  g_free(device->vendor);
  g_free(device->driver_version);
  g_free(device->version);
  g_free(device);
}

// --- Questions

static void _read_texts(dt_opencl_query_t *query, dt_opencl_device_t *device, _facts_t *facts)
{
  device->name = dt_opencl_query_text(query, CL_DEVICE_NAME, "its name");
  device->vendor = dt_opencl_query_text(query, CL_DEVICE_VENDOR, "its vendor");
  device->driver_version = dt_opencl_query_text(query, CL_DRIVER_VERSION, "its driver's version");
  device->version = dt_opencl_query_text(query, CL_DEVICE_VERSION, "its version of OpenCL");
  facts->profile = dt_opencl_query_text(query, CL_DEVICE_PROFILE, "its profile");
  facts->extensions = dt_opencl_query_raw(query, CL_DEVICE_EXTENSIONS, "its extensions");
  device->canonical = dt_opencl_canonical_name(device->name);
}

static void _read_numbers(dt_opencl_query_t *query, dt_opencl_device_t *device, _facts_t *facts)
{
  const gsize flag = sizeof(cl_bool), bytes = sizeof(cl_ulong);
  device->type = dt_opencl_query_number(query, CL_DEVICE_TYPE, sizeof(cl_device_type), "its type");
  device->memory = dt_opencl_query_number(query, CL_DEVICE_GLOBAL_MEM_SIZE, bytes, "its memory");
  device->max_alloc =
      dt_opencl_query_number(query, CL_DEVICE_MAX_MEM_ALLOC_SIZE, bytes, "its largest buffer");
  device->compute_units = (guint)dt_opencl_query_number(query, CL_DEVICE_MAX_COMPUTE_UNITS, sizeof(cl_uint),
                                                        "how many compute units it has");
  device->work_group = (gsize)dt_opencl_query_number(query, CL_DEVICE_MAX_WORK_GROUP_SIZE, sizeof(gsize),
                                                     "its largest work group");
  device->unified =
      dt_opencl_query_number(query, CL_DEVICE_HOST_UNIFIED_MEMORY, flag, "whose memory it has") != CL_FALSE;
  facts->available = dt_opencl_query_number(query, CL_DEVICE_AVAILABLE, flag, "whether it is available");
  facts->compiler =
      dt_opencl_query_number(query, CL_DEVICE_COMPILER_AVAILABLE, flag, "whether it has a compiler");
  facts->little_endian =
      dt_opencl_query_number(query, CL_DEVICE_ENDIAN_LITTLE, flag, "the order of its bytes");
}

static _platform_t _read_platform(const _search_t *search, cl_platform_id id)
{
  char name[1024] = { 0 };
  _platform_t platform = { .id = id };
  const cl_int code = search->cl->GetPlatformInfo(id, CL_PLATFORM_NAME, sizeof name - 1, name, NULL);
  if(code != CL_SUCCESS)
  {
    platform.failure = g_strdup_printf(
        "its platform does not tell its name: clGetPlatformInfo failed with %s", dt_opencl_error_name(code));
    name[0] = '\0';
  }
  name[sizeof name - 1] = '\0';
  platform.name = dt_opencl_clean_text(name);
  return platform;
}

// --- Judgement

/* 102 for "OpenCL 1.2 CUDA"; 0: not in this form, which the standard prescribes. */
static guint _read_version(const char *text)
{
  static const char start[] = "OpenCL ";
  char *end;
  if(!g_str_has_prefix(text, start) || !g_ascii_isdigit(text[sizeof start - 1])) return 0;
  const guint64 major = g_ascii_strtoull(text + sizeof start - 1, &end, 10);
  if(*end != '.' || !g_ascii_isdigit(end[1])) return 0;
  const guint64 minor = g_ascii_strtoull(end + 1, NULL, 10);
  return major < 100 && minor < 100 ? (guint)(100 * major + minor) : 0;
}

static char *_judge_numbers(const dt_opencl_device_t *device)
{
  if(device->memory < DT_OPENCL_LEAST_MEMORY)
    return g_strdup_printf("it has %" G_GUINT64_FORMAT " MiB of memory, %" G_GUINT64_FORMAT " are needed",
                           device->memory >> 20, DT_OPENCL_LEAST_MEMORY >> 20);
  if(!device->max_alloc || !device->compute_units || !device->work_group)
    return g_strdup_printf("it says that it has %s", !device->max_alloc       ? "no room for a buffer"
                                                     : !device->compute_units ? "no compute units"
                                                                              : "no work items");
  return NULL;
}

/* Why the device is not used (transfer full), or NULL. */
static char *_judge(const _search_t *search, const dt_opencl_device_t *device, const _facts_t *facts)
{
  const cl_device_type known = CL_DEVICE_TYPE_CPU | CL_DEVICE_TYPE_GPU | CL_DEVICE_TYPE_ACCELERATOR;
  if(!*device->name) return g_strdup("it has no name");
  if(!facts->available) return g_strdup("it is not available");
  if(device->type & CL_DEVICE_TYPE_CUSTOM) return g_strdup("its type is custom: it runs no programs");
  if(!(device->type & known)) return g_strdup("its type is unknown");
  if(_read_version(device->version) < LEAST_VERSION)
    return g_strdup_printf("it knows \"%s\", OpenCL 1.2 is needed", device->version);
  if(strcmp(facts->profile, "FULL_PROFILE") != 0)
    return g_strdup_printf("its profile is \"%s\", FULL_PROFILE is needed", facts->profile);
  if(!facts->compiler) return g_strdup("it has no compiler");
  if(!facts->little_endian) return g_strdup("its bytes are in another order (big-endian)");
  if((device->type & CL_DEVICE_TYPE_CPU) && !search->cpu)
    return g_strdup("its type is CPU; " DT_CONF_OPENCL_CPU_DEVICES "=TRUE would allow it");
  return _judge_numbers(device);
}

/* One platform may well have several devices at one address, parts of a card; two platforms have the card twice. */
static gboolean _is_same(const dt_opencl_device_t *a, const dt_opencl_device_t *b)
{
  if(a->platform_id == b->platform_id) return FALSE;
  if(a->pci && b->pci) return strcmp(a->pci, b->pci) == 0;
  return a->uuid && b->uuid && strcmp(a->uuid, b->uuid) == 0;
}

static char *_judge_duplicate(const _search_t *search, const dt_opencl_device_t *device)
{
  for(guint i = 0; i < search->devices->len; i++)
  {
    const dt_opencl_device_t *other = g_ptr_array_index(search->devices, i);
    if(other->number >= 0 && _is_same(other, device))
      return g_strdup_printf("it is device %d, '%s', which is used through the platform '%s'", other->number,
                             other->name, other->platform);
  }
  return NULL;
}

// --- Identity

static gboolean _is_taken(const _search_t *search, const char *identity)
{
  for(guint i = 0; i < search->devices->len; i++)
  {
    const dt_opencl_device_t *other = g_ptr_array_index(search->devices, i);
    if(other->number >= 0 && strcmp(other->identity, identity) == 0) return TRUE;
  }
  return FALSE;
}

static char *_make_identity(const _search_t *search, const dt_opencl_device_t *device)
{
  const char *const kinds[] = { "pci", "uuid" }, *const values[] = { device->pci, device->uuid };
  for(size_t i = 0; i < G_N_ELEMENTS(kinds); i++)
  {
    char *identity = values[i] ? g_strconcat(kinds[i], ":", values[i], NULL) : NULL;
    /* a device that is not used takes nothing away from those that are */
    if(identity && (device->rejected || !_is_taken(search, identity))) return identity;
    g_free(identity);
  }
  guint ordinal = 1;
  for(guint i = 0; i < search->devices->len; i++)
    ordinal += strcmp(((dt_opencl_device_t *)search->devices->pdata[i])->canonical, device->canonical) == 0;
  return g_strdup_printf("%s#%u", device->name, ordinal);
}

// --- The list

/* Asks about the device and judges it. */
static dt_opencl_device_t *_examine(const _search_t *search, const _platform_t *platform, cl_device_id id)
{
  dt_opencl_device_t *device = g_new0(dt_opencl_device_t, 1);
  dt_opencl_query_t query = { search->cl, id, NULL };
  _facts_t facts = { 0 };
  device->id = id;
  device->platform_id = platform->id;
  device->platform = g_strdup(platform->name);
  _read_texts(&query, device, &facts);
  _read_numbers(&query, device, &facts);
  device->pci = dt_opencl_query_pci(&query, facts.extensions);
  device->uuid = dt_opencl_query_uuid(&query, facts.extensions);
  device->rounds = dt_opencl_query_rounding(&query);
  if(query.failure || platform->failure)
    device->rejected = g_strdup(query.failure ? query.failure : platform->failure);
  else
    device->rejected = _judge(search, device, &facts);
  if(!device->rejected) device->rejected = _judge_duplicate(search, device);
  g_free(query.failure);
  g_free(facts.profile);
  g_free(facts.extensions);
  return device;
}

static void _append(_search_t *search, dt_opencl_device_t *device)
{
  device->identity = _make_identity(search, device);
  device->number = device->rejected ? -1 : search->used++;
  g_ptr_array_add(search->devices, device);
}

/* Cuts the device into equal parts. Returns how many there are; 0: it stays whole. */
static cl_uint _cut(const _search_t *search, const dt_opencl_device_t *device, cl_device_id *parts)
{
  const cl_uint wanted = (cl_uint)CLAMP(search->parts, 1, MOST_DEVICES);
  if(device->rejected || !(device->type & CL_DEVICE_TYPE_CPU) || wanted == 1 || device->compute_units < wanted
     || !search->cl->CreateSubDevices)
    return 0;
  const cl_device_partition_property equally[] = { CL_DEVICE_PARTITION_EQUALLY,
                                                   device->compute_units / wanted, 0 };
  cl_uint n = 0;
  const cl_int code = search->cl->CreateSubDevices(device->id, equally, MOST_DEVICES, parts, &n);
  if(code != CL_SUCCESS)
    dt_log(DT_LOG_OPENCL, "[opencl_init] '%s' stays whole: clCreateSubDevices failed with %s", device->name,
           dt_opencl_error_name(code));
  /* where the units do not divide evenly there may be one more */
  return code == CL_SUCCESS ? MIN(n, wanted) : 0;
}

static void _add_device(_search_t *search, const _platform_t *platform, cl_device_id id)
{
  cl_device_id parts[MOST_DEVICES] = { 0 };
  dt_opencl_device_t *whole = _examine(search, platform, id);
  const cl_uint n = _cut(search, whole, parts);
  for(cl_uint i = 0; i < n; i++)
    if(parts[i]) _append(search, _examine(search, platform, parts[i]));
  if(n)
    _free_device(whole);
  else
    _append(search, whole);
}

/* A device without a name stands for those that the platform does not list. */
static void _add_failure(_search_t *search, const _platform_t *platform, cl_int code)
{
  dt_opencl_device_t *device = g_new0(dt_opencl_device_t, 1);
  char **texts[] = { &device->name,   &device->canonical,      &device->identity,
                     &device->vendor, &device->driver_version, &device->version };
  for(size_t i = 0; i < G_N_ELEMENTS(texts); i++) *texts[i] = g_strdup("");
  device->platform_id = platform->id;
  device->platform = g_strdup(platform->name);
  device->number = -1;
  device->rejected = g_strdup_printf("the platform does not list its devices: clGetDeviceIDs failed with %s",
                                     dt_opencl_error_name(code));
  g_ptr_array_add(search->devices, device);
}

static void _add_platform(_search_t *search, cl_platform_id id)
{
  cl_device_id ids[MOST_DEVICES] = { 0 };
  cl_uint n = 0;
  _platform_t platform = _read_platform(search, id);
  const cl_int code = search->cl->GetDeviceIDs(id, CL_DEVICE_TYPE_ALL, MOST_DEVICES, ids, &n);
  if(code != CL_SUCCESS && code != CL_DEVICE_NOT_FOUND) _add_failure(search, &platform, code);
  for(cl_uint i = 0; code == CL_SUCCESS && i < MIN(n, MOST_DEVICES); i++)
    if(ids[i]) _add_device(search, &platform, ids[i]);
  g_free(platform.name);
  g_free(platform.failure);
}

GPtrArray *dt_opencl_devices_detect(const dt_opencl_driver_t *driver, int parts, GError **error)
{
  cl_platform_id ids[MOST_PLATFORMS] = { 0 };
  cl_uint n = 0;
  const cl_int code = driver->GetPlatformIDs(MOST_PLATFORMS, ids, &n);
  const cl_int none = -1001; /* CL_PLATFORM_NOT_FOUND_KHR: what a loader without drivers says */
  if(code == none || (code == CL_SUCCESS && n == 0))
  {
    g_set_error(
        error, DT_AI_ERROR, DT_AI_ERROR_PROVIDER,
        "no driver for OpenCL is installed, %s knows no platform; your graphics processor's maker has one",
        driver->path);
    return NULL;
  }
  if(!dt_opencl_check(code, "clGetPlatformIDs", error)) return NULL;
  _search_t search = { .cl = driver, .parts = parts, .cpu = dt_conf_get_bool(DT_CONF_OPENCL_CPU_DEVICES) };
  search.devices = g_ptr_array_new_with_free_func(_free_device);
  for(cl_uint i = 0; i < MIN(n, MOST_PLATFORMS); i++)
    if(ids[i]) _add_platform(&search, ids[i]);
  return search.devices;
}

// --- What others want to know of it

static const dt_opencl_device_t *_get(const GPtrArray *devices, guint i)
{
  return g_ptr_array_index(devices, i);
}

static int _count_used(const GPtrArray *devices)
{
  int used = 0;
  for(guint i = 0; i < devices->len; i++) used += _get(devices, i)->number >= 0;
  return used;
}

dt_opencl_names_t *dt_opencl_devices_names(const GPtrArray *devices, int *n)
{
  dt_opencl_names_t *names = g_new0(dt_opencl_names_t, MAX(devices->len, 1));
  for(guint i = 0; i < devices->len; i++)
  {
    const dt_opencl_device_t *device = _get(devices, i);
    if(device->number >= 0)
      names[device->number] = (dt_opencl_names_t){ device->name, device->platform, device->identity };
  }
  *n = _count_used(devices);
  return names;
}

const char *dt_opencl_type_name(cl_device_type type)
{
  return type & CL_DEVICE_TYPE_CUSTOM        ? "custom"
         : type & CL_DEVICE_TYPE_GPU         ? "gpu"
         : type & CL_DEVICE_TYPE_ACCELERATOR ? "accelerator"
         : type & CL_DEVICE_TYPE_CPU         ? "cpu"
                                             : "unknown";
}

/* Why none of them is used. */
static char *_describe_absence(const GPtrArray *devices)
{
  if(devices->len == 0) return g_strdup("no platform has a device");
  if(devices->len > 1) return g_strdup_printf("none of the %u devices can be used", devices->len);
  const dt_opencl_device_t *device = _get(devices, 0);
  return g_strdup_printf("the device '%s' is not used: %s", device->name, device->rejected);
}

GPtrArray *dt_opencl_devices_open(int parts, dt_opencl_driver_t **driver, char **absence)
{
  GError *error = NULL;
  GPtrArray *devices = NULL;
  *absence = NULL;
  *driver = NULL;
  if(!dt_conf_get_bool(DT_CONF_OPENCL))
    *absence =
        g_strdup("OpenCL is switched off; to switch it on: darktable-ai prefs set " DT_CONF_OPENCL " TRUE");
  else
    *driver = dt_opencl_driver_load(&error);
  if(*driver && dt_opencl_guard_check(*driver, &error))
    devices = dt_opencl_devices_detect(*driver, parts, &error);
  if(!devices) devices = g_ptr_array_new_with_free_func(_free_device);
  if(error)
    *absence = g_strdup(error->message);
  else if(!*absence && _count_used(devices) == 0)
    *absence = _describe_absence(devices);
  g_clear_error(&error);
  return devices;
}

static void _report_used(GPtrArray *lines, const GPtrArray *devices)
{
  g_ptr_array_add(lines, g_strdup("[opencl_init] successfully initialized."));
  g_ptr_array_add(lines, g_strdup("[opencl_init] here are the internal numbers and names of OpenCL devices "
                                  "available to darktable:"));
  for(guint i = 0; i < devices->len; i++)
    if(_get(devices, i)->number >= 0)
      g_ptr_array_add(lines, g_strdup_printf("[opencl_init]\t\t%d\t'%s'", _get(devices, i)->number,
                                             _get(devices, i)->name));
}

static void _report_rejected(GPtrArray *lines, const GPtrArray *devices)
{
  for(guint i = 0; i < devices->len; i++)
  {
    const dt_opencl_device_t *device = _get(devices, i);
    if(device->rejected)
      g_ptr_array_add(lines, g_strdup_printf("[opencl_init] not used: '%s' of the platform '%s': %s",
                                             *device->name ? device->name : "(no name)", device->platform,
                                             device->rejected));
  }
}

char **dt_opencl_devices_report(const GPtrArray *devices, const char *absence)
{
  GPtrArray *lines = g_ptr_array_new();
  if(!absence) _report_used(lines, devices);
  _report_rejected(lines, devices);
  /* else it has been said, of each */
  if(absence && devices->len == 0) g_ptr_array_add(lines, g_strdup_printf("[opencl_init] %s", absence));
  g_ptr_array_add(lines, g_strdup_printf("[opencl_init] FINALLY: opencl is %s on this system.",
                                         absence ? "NOT AVAILABLE" : "AVAILABLE"));
  g_ptr_array_add(lines, NULL);
  return (char **)g_ptr_array_free(lines, FALSE);
}
