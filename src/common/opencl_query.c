/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Asks a driver about a device. Sizes that a driver states are never taken for buffers: each answer has a buffer of a
 * fixed size, zeroed before. */
#include "common/opencl_query.h"
#include "common/log.h"

#include <string.h>

/** Longest text that is read; the longest lists of extensions have a few KiB. */
#define MOST_TEXT 65536
/** Longest text that is shown, in bytes. */
#define MOST_SHOWN 200
/** Longest structure that is asked for, in bytes. */
#define MOST_STRUCT 64

/* Of the extensions named beside them, so that old headers do. */
#define QUERY_PCI_KHR 0x410F       /* cl_khr_pci_bus_info */
#define QUERY_UUID_KHR 0x106A      /* cl_khr_device_uuid */
#define QUERY_PCI_BUS_NV 0x4008    /* cl_nv_device_attribute_query */
#define QUERY_PCI_SLOT_NV 0x4009   /* the same: device and function */
#define QUERY_PCI_DOMAIN_NV 0x400A /* the same, newer drivers */
#define QUERY_TOPOLOGY_AMD 0x4037  /* cl_amd_device_attribute_query */
#define TOPOLOGY_PCIE_AMD 1

// --- Texts

static gboolean _is_blank(gunichar c)
{
  const GUnicodeType type = g_unichar_type(c);
  return g_unichar_isspace(c) || type == G_UNICODE_CONTROL || type == G_UNICODE_FORMAT
         || type == G_UNICODE_LINE_SEPARATOR || type == G_UNICODE_PARAGRAPH_SEPARATOR;
}

char *dt_opencl_clean_text(const char *text)
{
  char *valid = g_utf8_make_valid(text, -1);
  GString *clean = g_string_new(NULL);
  gboolean pending = FALSE;
  for(const char *c = valid; *c; c = g_utf8_next_char(c))
  {
    const gunichar character = g_utf8_get_char(c);
    if(_is_blank(character))
    {
      pending = clean->len > 0;
      continue;
    }
    if(clean->len + (gsize)pending + (gsize)g_unichar_to_utf8(character, NULL) > MOST_SHOWN) break;
    if(pending) g_string_append_c(clean, ' ');
    pending = FALSE;
    g_string_append_unichar(clean, character);
  }
  g_free(valid);
  return g_string_free(clean, FALSE);
}

// --- Questions

static void _fail(dt_opencl_query_t *query, const char *called, const char *format, ...) G_GNUC_PRINTF(3, 4);
static void _fail(dt_opencl_query_t *query, const char *called, const char *format, ...)
{
  va_list args;
  va_start(args, format);
  char *why = g_strdup_vprintf(format, args);
  va_end(args);
  if(!query->failure) query->failure = g_strdup_printf("the driver does not tell %s: %s", called, why);
  g_free(why);
}

static gboolean _ask(dt_opencl_query_t *query, cl_device_info what, void *answer, gsize size, gsize *given,
                     const char *called)
{
  const cl_int code = query->cl->GetDeviceInfo(query->device, what, size, answer, given);
  if(code != CL_SUCCESS) _fail(query, called, "clGetDeviceInfo failed with %s", dt_opencl_error_name(code));
  return code == CL_SUCCESS;
}

char *dt_opencl_query_raw(dt_opencl_query_t *query, cl_device_info what, const char *called)
{
  char *text = g_malloc0(MOST_TEXT);
  gsize given = 0;
  /* one byte stays, in case the driver's has no end */
  if(!_ask(query, what, text, MOST_TEXT - 1, &given, called)) text[0] = '\0';
  text[MOST_TEXT - 1] = '\0';
  char *copy = g_strdup(text);
  g_free(text);
  return copy;
}

char *dt_opencl_query_text(dt_opencl_query_t *query, cl_device_info what, const char *called)
{
  char *raw = dt_opencl_query_raw(query, what, called), *text = dt_opencl_clean_text(raw);
  g_free(raw);
  return text;
}

gboolean dt_opencl_query_struct(dt_opencl_query_t *query, cl_device_info what, void *answer, gsize size,
                                const char *called)
{
  guint8 buffer[MOST_STRUCT] = { 0 };
  gsize given = 0;
  memset(answer, 0, size);
  if(!_ask(query, what, buffer, size, &given, called)) return FALSE;
  if(given != size)
  {
    _fail(query, called, "an answer of %" G_GSIZE_FORMAT " bytes instead of %" G_GSIZE_FORMAT, given, size);
    return FALSE;
  }
  memcpy(answer, buffer, size);
  return TRUE;
}

guint64 dt_opencl_query_number(dt_opencl_query_t *query, cl_device_info what, gsize size, const char *called)
{
  guint32 small = 0;
  guint64 large = 0;
  if(size == sizeof small)
    dt_opencl_query_struct(query, what, &small, sizeof small, called);
  else
    dt_opencl_query_struct(query, what, &large, sizeof large, called);
  return size == sizeof small ? small : large;
}

// --- Where it is

static gboolean _has_extension(const char *extensions, const char *name)
{
  const gsize length = strlen(name);
  for(const char *at = extensions; (at = strstr(at, name)); at += length)
    if((at == extensions || g_ascii_isspace(at[-1])) && (!at[length] || g_ascii_isspace(at[length])))
      return TRUE;
  return FALSE;
}

/* What an extension promises and the driver does not keep is worth a line, but the device works without. */
static gboolean _ask_extra(const dt_opencl_query_t *query, cl_device_info what, void *answer, gsize size,
                           const char *called)
{
  dt_opencl_query_t extra = { query->cl, query->device, NULL };
  const gboolean told = dt_opencl_query_struct(&extra, what, answer, size, called);
  if(!told) dt_log(DT_LOG_OPENCL, "[opencl_init] %s", extra.failure);
  g_free(extra.failure);
  return told;
}

typedef struct _address_t
{
  cl_uint domain, bus, device, function; /* laid out as cl_khr_pci_bus_info answers */
} _address_t;

static gboolean _ask_pci_khr(const dt_opencl_query_t *query, _address_t *address)
{
  return _ask_extra(query, QUERY_PCI_KHR, address, sizeof *address, "its PCI address");
}

static gboolean _ask_pci_nv(const dt_opencl_query_t *query, _address_t *address)
{
  cl_uint bus, slot, domain;
  if(!_ask_extra(query, QUERY_PCI_BUS_NV, &bus, sizeof bus, "its PCI bus")
     || !_ask_extra(query, QUERY_PCI_SLOT_NV, &slot, sizeof slot, "its PCI slot"))
    return FALSE;
  /* unknown to older drivers, and 0 but on the largest machines */
  (void)_ask_extra(query, QUERY_PCI_DOMAIN_NV, &domain, sizeof domain, "its PCI domain");
  *address = (_address_t){ domain, bus, slot >> 3, slot & 7 };
  return TRUE;
}

static gboolean _ask_pci_amd(const dt_opencl_query_t *query, _address_t *address)
{
  struct
  {
    cl_uint type;
    guint8 unused[17], bus, device, function;
  } topology;
  G_STATIC_ASSERT(sizeof topology == 24);
  if(!_ask_extra(query, QUERY_TOPOLOGY_AMD, &topology, sizeof topology, "its topology")
     || topology.type != TOPOLOGY_PCIE_AMD)
    return FALSE;
  *address = (_address_t){ 0, topology.bus, topology.device, topology.function };
  return TRUE;
}

/* The very first address is the bridge to the processor: who answers that does not know. */
static gboolean _is_plausible(const _address_t *a)
{
  return a->bus <= 0xff && a->device <= 0x1f && a->function <= 7
         && (a->domain | a->bus | a->device | a->function);
}

char *dt_opencl_query_pci(dt_opencl_query_t *query, const char *extensions)
{
  static const struct
  {
    const char *extension;
    gboolean (*ask)(const dt_opencl_query_t *query, _address_t *address);
  } ways[] = { { "cl_khr_pci_bus_info", _ask_pci_khr },
               { "cl_nv_device_attribute_query", _ask_pci_nv },
               { "cl_amd_device_attribute_query", _ask_pci_amd } };
  _address_t a;
  for(size_t i = 0; i < G_N_ELEMENTS(ways); i++)
    if(_has_extension(extensions, ways[i].extension) && ways[i].ask(query, &a) && _is_plausible(&a))
      return g_strdup_printf("%04x:%02x:%02x.%x", a.domain, a.bus, a.device, a.function);
  return NULL;
}

char *dt_opencl_query_uuid(dt_opencl_query_t *query, const char *extensions)
{
  static const guint8 none[16];
  guint8 uuid[16];
  if(!_has_extension(extensions, "cl_khr_device_uuid")
     || !_ask_extra(query, QUERY_UUID_KHR, uuid, sizeof uuid, "its UUID")
     || memcmp(uuid, none, sizeof uuid) == 0)
    return NULL;
  GString *text = g_string_new(NULL);
  for(size_t i = 0; i < sizeof uuid; i++)
    g_string_append_printf(text, "%s%02x", i == 4 || i == 6 || i == 8 || i == 10 ? "-" : "", uuid[i]);
  return g_string_free(text, FALSE);
}

// --- What it computes

gboolean dt_opencl_query_rounding(const dt_opencl_query_t *query)
{
  cl_device_fp_config config;
  return _ask_extra(query, CL_DEVICE_SINGLE_FP_CONFIG, &config, sizeof config, "how it rounds")
         && (config & CL_FP_CORRECTLY_ROUNDED_DIVIDE_SQRT);
}
