/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The script: which devices there are and what goes wrong. A script with a mistake ends the process: a test that silently
 * tests nothing is worse. */
#include "fake.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void _complain(const char *format, ...) G_GNUC_PRINTF(1, 2) G_GNUC_NORETURN;
static void _complain(const char *format, ...)
{
  va_list args;
  va_start(args, format);
  fputs("fake_opencl: ", stderr);
  vfprintf(stderr, format, args);
  fputs("\n", stderr);
  va_end(args);
  abort();
}

/* --- values --- */

static gint64 _read_number(const char *key, const char *text)
{
  gint64 number = 0;
  if(!g_ascii_string_to_signed(text, 10, G_MININT64, G_MAXINT64, &number, NULL))
    _complain("%s=%s is no number", key, text);
  return number;
}

/* "64M", "2G", bytes */
static guint64 _read_size(const char *key, const char *text)
{
  char *end;
  guint64 size = g_ascii_strtoull(text, &end, 10);
  const char *units = "KMG", *unit = *end ? strchr(units, *end) : NULL;
  if(end == text || (*end && (!unit || end[1]))) _complain("%s=%s is no size", key, text);
  return unit ? size << (10 * (unit - units + 1)) : size;
}

static int _read_word(const char *key, const char *text, const char *const *words)
{
  for(int i = 0; words[i]; i++)
    if(strcmp(text, words[i]) == 0) return i;
  _complain("%s=%s is none of its words", key, text);
}

/* "0000:01:00.0" */
static void _read_pci(const char *text, cl_uint pci[4])
{
  for(int i = 0; i < 4; i++)
  {
    char *end;
    pci[i] = (cl_uint)g_ascii_strtoull(text, &end, 16);
    if(end == text || *end != "::."[i]) _complain("pci=%s is no address", text);
    text = end + 1;
  }
}

static void _read_uuid(const char *text, guint8 uuid[16])
{
  if(strlen(text) != 32 || strspn(text, "0123456789abcdef") != 32)
    _complain("uuid=%s has not 32 digits", text);
  for(int i = 0; i < 16; i++)
    uuid[i] = (guint8)(16 * g_ascii_xdigit_value(text[2 * i]) + g_ascii_xdigit_value(text[2 * i + 1]));
}

/* --- rules --- */

/* What happens by the rule @p key. @return FALSE: it is none */
static gboolean _find_rule(const char *key, cl_int *code)
{
  static const struct
  {
    const char *key;
    cl_int code;
  } rules[] = { { "fail", CL_OUT_OF_RESOURCES }, { "hang", FAKE_HANGS }, { "crash", FAKE_CRASHES } };
  for(size_t i = 0; i < G_N_ELEMENTS(rules); i++)
    if(strcmp(key, rules[i].key) == 0)
    {
      *code = rules[i].code;
      return TRUE;
    }
  return FALSE;
}

/* FUNCTION[@k|@k-l|%n][:CODE]; FUNCTION may be * */
static void _add_rule(fake_world_t *world, cl_device_id device, const char *text, cl_int code)
{
  fake_rule_t rule = { FAKE_FUNCTIONS, device, 1, G_MAXINT, 0, code };
  const gboolean fails = code == CL_OUT_OF_RESOURCES;
  const gsize length = strcspn(text, "@%:");
  char *name = g_strndup(text, length), *end = (char *)text + length;
  rule.function = fake_function_find(name);
  if(rule.function == FAKE_FUNCTIONS && strcmp(name, "*") != 0) _complain("there is no function %s", name);
  if(*end == '@')
  {
    rule.from = rule.to = (int)g_ascii_strtoll(end + 1, &end, 10);
    if(*end == '-') rule.to = (int)g_ascii_strtoll(end + 1, &end, 10);
  }
  else if(*end == '%')
    rule.every = (int)g_ascii_strtoll(end + 1, &end, 10);
  if(*end == ':' && fails) rule.code = (cl_int)g_ascii_strtoll(end + 1, &end, 10);
  if(*end || rule.from < 1 || rule.every < 0) _complain("%s is no rule", text);
  g_free(name);
  g_array_append_val(world->rules, rule);
}

/* --- devices --- */

static cl_platform_id _get_platform(fake_world_t *world, const char *name)
{
  for(guint i = 0; i < world->platforms->len; i++)
    if(strcmp(((cl_platform_id)world->platforms->pdata[i])->name, name) == 0)
      return world->platforms->pdata[i];
  cl_platform_id platform = g_new0(struct _cl_platform_id, 1);
  platform->name = g_strdup(name);
  platform->devices = g_ptr_array_new();
  g_ptr_array_add(world->platforms, platform);
  return platform;
}

static void _add_extension(cl_device_id device, const char *name)
{
  char *both = g_strconcat(device->extensions, *device->extensions ? " " : "", name, NULL);
  g_free(device->extensions);
  device->extensions = both;
}

/* @return FALSE: the key is none of the texts */
static gboolean _set_text(cl_device_id device, const char *key, const char *value)
{
  const struct
  {
    const char *key;
    char **text;
  } texts[] = { { "name", &device->name },
                { "vendor", &device->vendor },
                { "driver", &device->driver },
                { "version", &device->version },
                { "profile", &device->profile },
                { "extensions", &device->extensions },
                { "build_fails", &device->build_log } };
  for(size_t i = 0; i < G_N_ELEMENTS(texts); i++)
    if(strcmp(key, texts[i].key) == 0)
    {
      g_free(*texts[i].text);
      *texts[i].text = g_strdup(value);
      return TRUE;
    }
  return FALSE;
}

/* @return FALSE: the key is none of the numbers */
static gboolean _set_number(cl_device_id device, const char *key, const char *value)
{
  const struct
  {
    const char *key;
    int *number;
  } numbers[] = { { "available", &device->available }, { "compiler", &device->compiler },
                  { "unified", &device->unified },     { "rounds", &device->rounds },
                  { "slow", &device->slow },           { "build", &device->build },
                  { "lost", &device->lost_at },        { "dies", &device->dies_at },
                  { "wrong", &device->wrong } };
  for(size_t i = 0; i < G_N_ELEMENTS(numbers); i++)
    if(strcmp(key, numbers[i].key) == 0)
    {
      *numbers[i].number = (int)_read_number(key, value);
      return TRUE;
    }
  return FALSE;
}

static void _set_other(fake_world_t *world, cl_device_id device, const char *key, const char *value)
{
  static const char *const types[] = { "gpu", "cpu", "accelerator", "custom", NULL };
  static const cl_device_type type_bits[] = { CL_DEVICE_TYPE_GPU, CL_DEVICE_TYPE_CPU,
                                              CL_DEVICE_TYPE_ACCELERATOR, CL_DEVICE_TYPE_CUSTOM };
  static const char *const orders[] = { "big", "little", NULL };
  static const char *const sizes[] = { "true", "huge", "zero", "endless", NULL };
  static const char *const ways[] = { "khr", "nv", "amd", NULL };
  static const char *const extensions[] = { "cl_khr_pci_bus_info", "cl_nv_device_attribute_query",
                                            "cl_amd_device_attribute_query" };
  cl_int code;
  if(strcmp(key, "platform") == 0)
    device->platform = _get_platform(world, value);
  else if(strcmp(key, "type") == 0)
    device->type = type_bits[_read_word(key, value, types)];
  else if(strcmp(key, "endian") == 0)
    device->little_endian = _read_word(key, value, orders);
  else if(strcmp(key, "sizes") == 0)
    device->sizes = _read_word(key, value, sizes);
  else if(strcmp(key, "memory") == 0)
    device->memory = _read_size(key, value);
  else if(strcmp(key, "max_alloc") == 0)
    device->max_alloc = _read_size(key, value);
  else if(strcmp(key, "units") == 0)
    device->units = (cl_uint)_read_number(key, value);
  else if(strcmp(key, "group") == 0)
    device->group = (gsize)_read_number(key, value);
  else if(strcmp(key, "pci") == 0)
    _read_pci(value, device->pci);
  else if(strcmp(key, "pci_by") == 0)
    _add_extension(device, extensions[_read_word(key, value, ways)]);
  else if(strcmp(key, "uuid") == 0)
  {
    _read_uuid(value, device->uuid);
    _add_extension(device, "cl_khr_device_uuid");
  }
  else if(_find_rule(key, &code))
    _add_rule(world, device, value, code);
  else
    _complain("a device has no key %s", key);
}

static cl_device_id _new_device(const fake_world_t *world)
{
  cl_device_id device = g_new0(struct _cl_device_id, 1);
  device->number = (int)world->devices->len;
  device->vendor = g_strdup("Fake Vendor");
  device->driver = g_strdup("1.0");
  device->version = g_strdup("OpenCL 1.2 Fake");
  device->profile = g_strdup("FULL_PROFILE");
  device->extensions = g_strdup("");
  device->type = CL_DEVICE_TYPE_GPU;
  device->memory = (guint64)1 << 30;
  device->max_alloc = G_MAXUINT64;
  device->units = 8;
  device->group = 256;
  device->available = device->compiler = device->little_endian = TRUE;
  return device;
}

/* Splits "key=value" in place and makes \001 and \n what they stand for; returns the value (free it). */
static char *_split(char *word)
{
  char *equals = strchr(word, '=');
  if(!equals) _complain("%s is not KEY=VALUE", word);
  *equals = '\0';
  return g_strcompress(equals + 1);
}

static void _add_device(fake_world_t *world, const char *line)
{
  cl_device_id device = _new_device(world);
  char **words = g_strsplit(line, ";", -1);
  for(char **word = words; *word; word++)
  {
    char *value = _split(*word);
    if(!_set_text(device, *word, value) && !_set_number(device, *word, value))
      _set_other(world, device, *word, value);
    g_free(value);
  }
  g_strfreev(words);
  const cl_uint *pci = device->pci;
  if((pci[0] | pci[1] | pci[2] | pci[3]) && !strstr(device->extensions, "cl_khr_pci_bus_info")
     && !strstr(device->extensions, "_attribute_query"))
    _add_extension(device, "cl_khr_pci_bus_info");
  if(!device->platform) device->platform = _get_platform(world, "Fake");
  if(device->max_alloc == G_MAXUINT64) device->max_alloc = device->memory / 4;
  g_ptr_array_add(device->platform->devices, device);
  g_ptr_array_add(world->devices, device);
}

/* --- lines --- */

/* Calls @p set for each device of that name, or for the one of that number. */
static void _for_devices(const fake_world_t *world, const char *which,
                         void (*set)(cl_device_id device, const char *value), const char *value)
{
  gboolean found = FALSE;
  for(guint i = 0; i < world->devices->len; i++)
  {
    cl_device_id device = world->devices->pdata[i];
    char *number = g_strdup_printf("%u", i);
    const gboolean meant = strcmp(device->name, which) == 0 || strcmp(number, which) == 0;
    if(meant) set(device, value);
    found |= meant;
    g_free(number);
  }
  if(!found) _complain("there is no device %s", which);
}

static void _set_lost(cl_device_id device, const char *value)
{
  device->lost_at = (int)_read_number("lost", value);
}

static void _set_build_fails(cl_device_id device, const char *value)
{
  g_free(device->build_log);
  device->build_log = g_strdup(value);
}

/* "DEVICE@k", "DEVICE:log": cuts it at @p mark and returns what follows, or @p otherwise. */
static const char *_cut(char *text, char mark, const char *otherwise)
{
  char *at = strchr(text, mark);
  if(!at) return otherwise;
  *at = '\0';
  return at + 1;
}

static void _read_line(fake_world_t *world, const char *line)
{
  char *key = g_strdup(line), *value = _split(key);
  cl_int code;
  if(_find_rule(key, &code))
    _add_rule(world, NULL, value, code);
  else if(strcmp(key, "platform") == 0)
    (void)_get_platform(world, value);
  else if(strcmp(key, "lost") == 0)
  {
    const char *from = _cut(value, '@', "1");
    _for_devices(world, value, _set_lost, from);
  }
  else if(strcmp(key, "build_fails") == 0)
  {
    const char *log = _cut(value, ':', "error: the script says so");
    _for_devices(world, value, _set_build_fails, log);
  }
  else
    _complain("there is no line %s", line);
  g_free(value);
  g_free(key);
}

fake_world_t *fake_world_read(const char *script)
{
  fake_world_t *world = g_new0(fake_world_t, 1);
  world->platforms = g_ptr_array_new();
  world->devices = g_ptr_array_new();
  world->rules = g_array_new(FALSE, FALSE, sizeof(fake_rule_t));
  char **lines = g_strsplit(script, "\n", -1);
  /* lines may speak of devices that come later */
  for(char **line = lines; *line; line++)
    if(g_str_has_prefix(*line, "name=")) _add_device(world, *line);
  for(char **line = lines; *line; line++)
    if(**line && **line != '#' && !g_str_has_prefix(*line, "name=")) _read_line(world, *line);
  g_strfreev(lines);
  return world;
}
