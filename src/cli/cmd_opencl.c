/* SPDX-License-Identifier: GPL-3.0-or-later */
/* opencl: the OpenCL devices of this machine. Works while AI is off. */
#include "cli/cmd_opencl.h"

#include "cli/cli.h"
#include "common/opencl_device.h"

#include <stdio.h>
#include <string.h>

static dt_cli_opencl_opts_t _opt = { .megapixels = 4, .rounds = 5 };

static const GOptionEntry _entries[] = {
  { "json", 0, 0, G_OPTION_ARG_NONE, &_opt.json, "print JSON, one object a line", NULL },
  { "explain", 0, 0, G_OPTION_ARG_STRING, &_opt.explain, "priorities: what this string would mean",
    "STRING" },
  { "megapixels", 0, 0, G_OPTION_ARG_DOUBLE, &_opt.megapixels, "test: size of the picture (default 4)",
    "MP" },
  { "rounds", 0, 0, G_OPTION_ARG_INT, &_opt.rounds, "test: how often; the median counts (default 5)", "N" },
  { "trace", 0, 0, G_OPTION_ARG_FILENAME, &_opt.trace,
    "test: write who used which device when, as JSON lines", "FILE" },
  { NULL, 0, 0, 0, NULL, NULL, NULL },
};

static const char _description[] =
    "Verbs:\n"
    "  devices      which devices there are, which are used and why the others are not; the default\n"
    "  priorities   which pixelpipe gets which device, in which order, and what happens when all are busy\n"
    "  test         every kernel on every device against the CPU, and the priorities that suit the "
    "figures\n\n"
    "Examples:\n"
    "  darktable-ai opencl devices\n"
    "  darktable-ai opencl priorities --explain '!GeForce GTS450,*/!Tahiti,*/Tahiti,*/Tahiti,*'\n"
    "  darktable-ai opencl test\n"
    "  darktable-ai --conf opencl_use_cpu_devices=TRUE opencl devices   devices of type CPU as well\n"
    "  darktable-ai -d opencl                                           the same list as darktable prints it";

// --- devices

static void _print_string(const char *key, const char *value)
{
  printf(",\"%s\":", key);
  dt_cli_print_json_string(value);
}

static void _print_device_json(const dt_opencl_device_t *device)
{
  fputs("{\"schema_version\":1,\"number\":", stdout);
  if(device->number >= 0)
    printf("%d", device->number);
  else
    fputs("null", stdout);
  _print_string("name", device->name);
  _print_string("identity", device->identity);
  _print_string("pci", device->pci);
  _print_string("platform", device->platform);
  _print_string("vendor", device->vendor);
  _print_string("driver_version", device->driver_version);
  _print_string("version", device->version);
  _print_string("type", dt_opencl_type_name(device->type));
  printf(",\"memory\":%" G_GUINT64_FORMAT ",\"max_alloc\":%" G_GUINT64_FORMAT ",\"compute_units\":%u",
         device->memory, device->max_alloc, device->compute_units);
  printf(",\"unified\":%s,\"used\":%s", device->unified ? "true" : "false",
         device->rejected ? "false" : "true");
  _print_string("reason", device->rejected);
  puts("}");
}

/* A cell and blanks up to @p width characters, which printf() counts in bytes. */
static void _print_cell(const char *text, glong width)
{
  printf("%s%*s ", text, (int)MAX(width - g_utf8_strlen(text, -1), 0), "");
}

static void _print_device(const dt_opencl_device_t *device, glong name_width, glong identity_width)
{
  char number[16] = "-";
  if(device->number >= 0) g_snprintf(number, sizeof number, "%d", device->number);
  _print_cell(number, 3);
  _print_cell(device->name, name_width);
  printf("%-11s %5.1f GiB  ", dt_opencl_type_name(device->type), (double)device->memory / 1073741824);
  _print_cell(device->identity, identity_width);
  puts(device->platform);
  if(device->rejected) printf("    not used: %s\n", device->rejected);
}

static void _print_table(const GPtrArray *devices)
{
  glong name_width = 8, identity_width = 8;
  for(guint i = 0; i < devices->len; i++)
  {
    const dt_opencl_device_t *device = g_ptr_array_index(devices, i);
    name_width = MAX(name_width, g_utf8_strlen(device->name, -1));
    identity_width = MAX(identity_width, g_utf8_strlen(device->identity, -1));
  }
  if(devices->len)
    printf("%-3s %-*s %-11s %9s  %-*s %s\n", "NO", (int)name_width, "DEVICE", "TYPE", "MEMORY",
           (int)identity_width, "IDENTITY", "PLATFORM");
  for(guint i = 0; i < devices->len; i++)
    _print_device(g_ptr_array_index(devices, i), name_width, identity_width);
}

/* No device is a normal state. */
static int _devices(const dt_cli_opencl_opts_t *opts)
{
  dt_opencl_driver_t *driver;
  char *absence;
  GPtrArray *devices = dt_opencl_devices_open(1, &driver, &absence);
  for(guint i = 0; opts->json && i < devices->len; i++) _print_device_json(g_ptr_array_index(devices, i));
  if(!opts->json) _print_table(devices);
  if(absence) dt_cli_say("no OpenCL device is used: %s.", absence);
  g_ptr_array_unref(devices);
  g_free(absence);
  dt_opencl_driver_destroy(driver);
  return DT_EXIT_OK;
}

// --- the command

static const struct
{
  const char *name;
  int (*run)(const dt_cli_opencl_opts_t *opts);
} _verbs[] = {
  { "devices", _devices },
  { "priorities", dt_cli_opencl_priorities },
  { "test", dt_cli_opencl_test },
};

static gboolean _check(int argc, char **argv)
{
  if(argc > 2)
    dt_cli_say("opencl takes: %s, and nothing behind it such as \"%s\". See: darktable-ai opencl --help",
               argv[1], argv[2]);
  /* not a number is in no range */
  else if(!(_opt.megapixels >= 0.01 && _opt.megapixels <= 100))
    dt_cli_say("--megapixels takes a number from 0.01 to 100");
  else if(_opt.rounds < 1 || _opt.rounds > 100)
    dt_cli_say("--rounds takes a number from 1 to 100");
  else
    return TRUE;
  return FALSE;
}

static int _opencl(int argc, char **argv)
{
  int code = DT_EXIT_OK;
  if(!dt_cli_parse(&argc, &argv, "[VERB]", "Shows and tests the OpenCL devices of this machine.",
                   _description, _entries, &code))
    return code;
  if(!_check(argc, argv)) return DT_EXIT_USAGE;
  const char *verb = argc > 1 ? argv[1] : "devices";
  for(size_t i = 0; i < G_N_ELEMENTS(_verbs); i++)
    if(strcmp(verb, _verbs[i].name) == 0) return _verbs[i].run(&_opt);
  dt_cli_say("opencl takes devices, priorities or test, not \"%s\". See: darktable-ai opencl --help", verb);
  return DT_EXIT_USAGE;
}

const dt_cli_command_t dt_cli_cmd_opencl = { "opencl", "show and test the OpenCL devices", _opencl };
