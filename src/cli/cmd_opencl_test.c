/* SPDX-License-Identifier: GPL-3.0-or-later */
/* opencl priorities, opencl test: what the string means, and whether devices compute what they should and how fast. */
#include "cli/cmd_opencl.h"

#include "cli/cli.h"
#include "common/conf.h"
#include "common/opencl_explain.h"
#include "libs/opencl_test.h"

#include <math.h>
#include <stdio.h>

/* --- priorities --- */

static int _timeout_ms(void)
{
  return (int)(CLAMP(dt_conf_get_int(DT_CONF_OPENCL_TIMEOUT, 400), 0, G_MAXINT / 5) * 5);
}

int dt_cli_opencl_priorities(const dt_cli_opencl_opts_t *opts)
{
  dt_opencl_driver_t *driver;
  char *absence, *why = NULL;
  GPtrArray *devices = dt_opencl_devices_open(1, &driver, &absence);
  int n;
  dt_opencl_names_t *names = dt_opencl_devices_names(devices, &n);
  char *text = opts->explain ? g_strdup(opts->explain) : dt_opencl_priority_in_force(&why);
  dt_opencl_priorities_t *priorities = dt_opencl_priorities_parse(text, names, n);
  const dt_opencl_explained_t explained = { priorities, names, why, _timeout_ms() };
  char *words = opts->json ? dt_opencl_explain_json(&explained) : dt_opencl_explain_text(&explained);
  fputs(words, stdout);
  if(absence) dt_cli_say("no OpenCL device is used: %s.", absence);
  g_free(words);
  dt_opencl_priorities_free(priorities);
  g_free(text);
  g_free(why);
  g_free(names);
  g_ptr_array_unref(devices);
  g_free(absence);
  dt_opencl_driver_destroy(driver);
  return DT_EXIT_OK;
}

/* --- test --- */

static const char *_verdict(const dt_opencl_test_t *test)
{
  return test->failure ? "failed" : test->correct ? "right" : "WRONG";
}

static void _print_row(const dt_opencl_test_t *test)
{
  printf("  %-16s %-7s", test->kernel, _verdict(test));
  if(test->failure)
    printf(" %s\n", test->failure);
  else
    printf(" %10.1f %10.1f %10.1f %12.1e\n", test->cpu, test->alone, test->copied, test->difference);
}

/* JSON knows no infinity. */
static void _print_number(const char *key, double value)
{
  char digits[G_ASCII_DTOSTR_BUF_SIZE] = "null";
  if(isfinite(value)) g_ascii_formatd(digits, sizeof(digits), "%.6g", value);
  printf(",\"%s\":%s", key, digits);
}

static void _print_json(dt_opencl_t *cl, const dt_opencl_test_t *test)
{
  printf("{\"schema_version\":1,\"device\":%d,\"name\":", test->device);
  dt_cli_print_json_string(dt_opencl_device(cl, test->device)->name);
  printf(",\"program\":\"%s\",\"kernel\":\"%s\",\"correct\":%s", test->program, test->kernel,
         test->correct ? "true" : "false");
  _print_number("difference", test->difference);
  _print_number("cpu_mp_per_s", test->failure ? NAN : test->cpu);
  _print_number("device_mp_per_s", test->failure ? NAN : test->alone);
  _print_number("device_with_copies_mp_per_s", test->failure ? NAN : test->copied);
  fputs(",\"failure\":", stdout);
  dt_cli_print_json_string(test->failure);
  puts("}");
}

/* What the printing of results as they come needs. */
typedef struct _printer_t
{
  dt_opencl_t *cl;
  gboolean json;
  int device; /* whose heading stands */
} _printer_t;

static void _tell(const dt_opencl_test_t *test, void *data)
{
  _printer_t *printer = data;
  if(printer->json)
    _print_json(printer->cl, test);
  else
  {
    if(printer->device != test->device)
    {
      printf("%s%d '%s', megapixels per second:\n  %-16s %-7s %10s %10s %10s %12s\n",
             printer->device < 0 ? "" : "\n", test->device, dt_opencl_device(printer->cl, test->device)->name,
             "KERNEL", "RESULT", "CPU", "DEVICE", "AND COPIES", "DIFFERENCE");
      printer->device = test->device;
    }
    _print_row(test);
  }
  fflush(stdout);
}

static void _print_suggestion(dt_opencl_t *cl, const GPtrArray *tests, gboolean json)
{
  char *why = NULL;
  char *text = dt_opencl_test_suggest(cl, tests, &why);
  if(json)
  {
    fputs("{\"schema_version\":1,\"suggestion\":", stdout);
    dt_cli_print_json_string(text);
    fputs(",\"why\":", stdout);
    dt_cli_print_json_string(why);
    puts("}");
  }
  else
  {
    char *quoted = g_shell_quote(text);
    printf("\n%s\n\nThese priorities suit that:\n  darktable-ai prefs set opencl_device_priority %s\n", why,
           quoted);
    g_free(quoted);
  }
  g_free(why);
  g_free(text);
}

static int _judge(const GPtrArray *tests)
{
  for(guint i = 0; i < tests->len; i++)
    if(!((const dt_opencl_test_t *)tests->pdata[i])->correct) return DT_EXIT_FAILED;
  return DT_EXIT_OK;
}

static int _test(dt_opencl_t *cl, const dt_cli_opencl_opts_t *opts)
{
  _printer_t printer = { cl, opts->json, -1 };
  const dt_opencl_test_opts_t all = { .megapixels = opts->megapixels,
                                      .rounds = opts->rounds,
                                      .cancellable = dt_cli_catch_signals(),
                                      .tell = _tell,
                                      .user_data = &printer };
  GError *error = NULL;
  GPtrArray *tests = dt_opencl_test_all(cl, &all, &error);
  if(!tests) return dt_cli_fail(error);
  _print_suggestion(cl, tests, opts->json);
  const int code = _judge(tests);
  if(code != DT_EXIT_OK) dt_cli_say("not everything was computed right; a newer driver may help.");
  g_ptr_array_unref(tests);
  return code;
}

int dt_cli_opencl_test(const dt_cli_opencl_opts_t *opts)
{
  GError *error = NULL;
  /* before there are devices' threads, and their drivers', which would not know that signals are caught */
  (void)dt_cli_catch_signals();
  dt_opencl_t *cl = dt_opencl_create(&(dt_opencl_opts_t){ .trace = opts->trace }, &error);
  if(!cl) return dt_cli_fail(error);
  int code = DT_EXIT_PROVIDER;
  if(dt_opencl_absence(cl))
    dt_cli_say("there is nothing to test: %s. See: darktable-ai opencl devices", dt_opencl_absence(cl));
  else
    code = _test(cl, opts);
  dt_opencl_destroy(cl);
  return code;
}
