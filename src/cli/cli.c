/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the commands share. Results go to stdout, words and progress to stderr. */
#include "cli/cli.h"
#include "ai/backend.h"
#include "common/conf.h"
#include "common/log.h"
#include "common/opencl_device.h"
#include "common/opencl_explain.h"
#include "common/paths.h"
#include "imageio/imageio.h"

#include <fcntl.h>
#include <json-glib/json-glib.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* --- words and exit codes --- */

/* A file's name may hold anything, even what a terminal would obey. */
static char *_defuse(char *text)
{
  for(char *c = text; *c; c++)
    if(g_ascii_iscntrl(*c) && *c != '\n') *c = '?';
  return text;
}

char *dt_cli_display_basename(const char *path)
{
  char *name = _defuse(g_path_get_basename(path));
  return g_strdelimit(name, "\n", '?');
}

void dt_cli_say(const char *format, ...)
{
  va_list args;
  va_start(args, format);
  char *text = g_strdup_vprintf(format, args);
  va_end(args);
  fprintf(stderr, "darktable-ai: %s\n", _defuse(text));
  g_free(text);
}

int dt_cli_exit_code(const GError *error)
{
  static const int codes[] = {
    [DT_AI_ERROR_FAILED] = DT_EXIT_FAILED,     [DT_AI_ERROR_USAGE] = DT_EXIT_USAGE,
    [DT_AI_ERROR_INPUT] = DT_EXIT_INPUT,       [DT_AI_ERROR_OUTPUT] = DT_EXIT_OUTPUT,
    [DT_AI_ERROR_NO_MODEL] = DT_EXIT_NO_MODEL, [DT_AI_ERROR_PROVIDER] = DT_EXIT_PROVIDER,
    [DT_AI_ERROR_MEMORY] = DT_EXIT_MEMORY,     [DT_AI_ERROR_NETWORK] = DT_EXIT_NETWORK,
    [DT_AI_ERROR_DISABLED] = DT_EXIT_DISABLED, [DT_AI_ERROR_CANCELLED] = DT_EXIT_FAILED,
  };
  if(error->domain != DT_AI_ERROR || error->code < 0 || error->code >= (int)G_N_ELEMENTS(codes))
    return DT_EXIT_FAILED;
  if(error->code == DT_AI_ERROR_CANCELLED && dt_cli_signal_exit_code()) return dt_cli_signal_exit_code();
  return codes[error->code];
}

int dt_cli_fail(GError *error)
{
  const int code = dt_cli_exit_code(error);
  dt_cli_say("%s", error->message);
  g_error_free(error);
  return code;
}

void dt_cli_keep_stdout(void)
{
#if defined(__GLIBC__)
  const int fd = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
  FILE *own = fd >= 0 ? fdopen(fd, "w") : NULL;
  if(own && dup2(STDERR_FILENO, STDOUT_FILENO) >= 0)
    stdout = own;
  else if(own)
    fclose(own);
#endif
}

void dt_cli_print_json_string(const char *text)
{
  JsonNode *node = json_node_init_string(json_node_alloc(), text ? text : "");
  char *json = json_to_string(node, FALSE);
  fputs(json, stdout);
  g_free(json);
  json_node_unref(node);
}

/* --- options --- */

static struct
{
  char **topics, **settings;
  char *configdir, *cachedir;
  gboolean version;
} _global;

static const GOptionEntry _global_entries[] = {
  { "debug", 'd', 0, G_OPTION_ARG_STRING_ARRAY, &_global.topics,
    "print diagnostics: ai, opencl, perf, pipe, tiling, memory, all (repeatable)", "TOPIC" },
  { "configdir", 0, 0, G_OPTION_ARG_FILENAME, &_global.configdir, "settings and models live here", "DIR" },
  { "cachedir", 0, 0, G_OPTION_ARG_FILENAME, &_global.cachedir, "measurements and caches live here", "DIR" },
  { "conf", 0, 0, G_OPTION_ARG_STRING_ARRAY, &_global.settings,
    "use a setting for this run only (repeatable)", "KEY=VALUE" },
  { "version", 0, 0, G_OPTION_ARG_NONE, &_global.version, "print the version and what is built in", NULL },
  { NULL, 0, 0, 0, NULL, NULL, NULL },
};

static void _print_log(unsigned topics, const char *line, void *data)
{
  (void)data;
  static gint64 start;
  if(!start) start = g_get_monotonic_time();
  if(topics & DT_LOG_NOTICE)
  {
    dt_cli_say("%s", line);
    return;
  }
  /* as darktable's manual shows it, and as scripts look for it */
  if((topics & DT_LOG_OPENCL) && g_str_has_prefix(line, "[opencl_"))
  {
    fprintf(stderr, "%s\n", line);
    return;
  }
  fprintf(stderr, "%8.3f [darktable_ai] %s\n", 1e-6 * (double)(g_get_monotonic_time() - start), line);
}

static gboolean _apply_topics(GError **error)
{
  unsigned topics = 0;
  for(char **name = _global.topics; name && *name; name++)
  {
    const unsigned topic = dt_log_topic_from_name(*name);
    if(!topic)
    {
      g_set_error(error, DT_AI_ERROR, DT_AI_ERROR_USAGE,
                  "there is no diagnostic topic \"%s\"; choose from ai, opencl, perf, pipe, tiling, "
                  "memory, all",
                  *name);
      return FALSE;
    }
    topics |= topic;
  }
  dt_log_set_handler(_print_log, NULL, topics | DT_LOG_NOTICE);
  return TRUE;
}

static gboolean _apply_settings(GError **error)
{
  for(char **setting = _global.settings; setting && *setting; setting++)
  {
    char *equals = strchr(*setting, '=');
    if(!equals || equals == *setting)
    {
      g_set_error(error, DT_AI_ERROR, DT_AI_ERROR_USAGE, "--conf takes KEY=VALUE, not \"%s\"", *setting);
      return FALSE;
    }
    char *key = g_strndup(*setting, (gsize)(equals - *setting));
    dt_conf_override(key, equals + 1);
    g_free(key);
  }
  return TRUE;
}

static gboolean _apply_global(GError **error)
{
  if(_global.configdir) dt_paths_set(DT_DIR_CONFIG, _global.configdir);
  if(_global.cachedir) dt_paths_set(DT_DIR_CACHE, _global.cachedir);
  if(_global.configdir) dt_conf_reload();
  return _apply_topics(error) && _apply_settings(error);
}

static void _print_version(void)
{
  g_print("darktable-ai %s\n", DT_VERSION);
  g_print("AI support: %s\n", dt_ai_is_supported()
                                  ? "yes (ONNX Runtime is loaded when needed; see: darktable-ai doctor)"
                                  : "no, this build has no AI support");
  char *formats = dt_imageio_describe_formats();
  g_print("Formats: %s\n", formats);
  g_free(formats);
}

static GOptionContext *_new_context(const char *usage, const char *summary, const char *end)
{
  GOptionContext *context = g_option_context_new(usage);
  g_option_context_set_summary(context, summary);
  g_option_context_set_description(context, end);
  g_option_context_set_translate_func(context, NULL, NULL, NULL);
  return context;
}

/* GLib leaves the "--" in front of operands that begin with '-'. */
static void _drop_separator(int *argc, char **argv)
{
  for(int i = 1; i < *argc; i++)
    if(strcmp(argv[i], "--") == 0)
    {
      memmove(argv + i, argv + i + 1, (size_t)(*argc - i) * sizeof *argv);
      --*argc;
      return;
    }
}

/* Parses, applies the global options, and answers --version. Frees @p context. */
static gboolean _parse(GOptionContext *context, int *argc, char ***argv, int *exit_code)
{
  GError *error = NULL;
  gboolean ok = g_option_context_parse(context, argc, argv, &error);
  ok = ok && _apply_global(&error);
  g_option_context_free(context);
  if(!ok)
  {
    dt_cli_say("%s. See: %s --help", error->message, g_get_prgname());
    g_error_free(error);
    *exit_code = DT_EXIT_USAGE;
    return FALSE;
  }
  if(!_global.version) return TRUE;
  _print_version();
  *exit_code = DT_EXIT_OK;
  return FALSE;
}

gboolean dt_cli_parse_global(int *argc, char ***argv, const char *overview, int *exit_code)
{
  GOptionContext *context = _new_context("COMMAND …",
                                         "AI restoration of photographs on your own "
                                         "machine.",
                                         overview);
  g_option_context_add_main_entries(context, _global_entries, NULL);
  g_option_context_set_strict_posix(context, TRUE);
  g_set_prgname("darktable-ai");
  return _parse(context, argc, argv, exit_code);
}

gboolean dt_cli_parse(int *argc, char ***argv, const char *usage, const char *summary, const char *examples,
                      const GOptionEntry *entries, int *exit_code)
{
  char *prgname = g_strconcat("darktable-ai ", (*argv)[0], NULL);
  g_set_prgname(prgname);
  g_free(prgname);
  GOptionContext *context = _new_context(usage, summary, examples);
  if(entries) g_option_context_add_main_entries(context, entries, NULL);
  GOptionGroup *group =
      g_option_group_new("global", "Options of all commands", "Show the options of all commands", NULL, NULL);
  g_option_group_add_entries(group, _global_entries);
  g_option_context_add_group(context, group);
  if(!_parse(context, argc, argv, exit_code)) return FALSE;
  _drop_separator(argc, *argv);
  if(usage || *argc == 1)
  {
    (void)dt_cli_report_opencl();
    return TRUE;
  }
  dt_cli_say("%s takes no operands such as \"%s\". See: %s --help", (*argv)[0], (*argv)[1], g_get_prgname());
  *exit_code = DT_EXIT_USAGE;
  return FALSE;
}

/* --- diagnostics at start --- */

/* Takes them over. */
static void _log_lines(char **lines)
{
  for(char **line = lines; *line; line++) dt_log(DT_LOG_OPENCL, "%s", *line);
  g_strfreev(lines);
}

static char **_priorities_table(const GPtrArray *devices)
{
  int n;
  char *why;
  dt_opencl_names_t *names = dt_opencl_devices_names(devices, &n);
  char *text = dt_opencl_priority_in_force(&why);
  dt_opencl_priorities_t *priorities = dt_opencl_priorities_parse(text, names, n);
  dt_log(DT_LOG_OPENCL, "[opencl_init] priorities: '%s' (%s)", text, why);
  char **lines = dt_opencl_explain_table(priorities);
  dt_opencl_priorities_free(priorities);
  g_free(text);
  g_free(why);
  g_free(names);
  return lines;
}

gboolean dt_cli_report_opencl(void)
{
  static gboolean done;
  if(!dt_log_enabled(DT_LOG_OPENCL)) return FALSE;
  if(done) return TRUE;
  done = TRUE;
  dt_opencl_driver_t *driver;
  char *absence;
  GPtrArray *devices = dt_opencl_devices_open(1, &driver, &absence);
  _log_lines(dt_opencl_devices_report(devices, absence));
  if(!absence) _log_lines(_priorities_table(devices));
  g_ptr_array_unref(devices);
  g_free(absence);
  dt_opencl_driver_destroy(driver);
  return TRUE;
}

/* --- signals --- */

/* a second signal sooner than this is the echo of the first */
#define REPEAT_USEC 300000

static GCancellable *_cancellable;
static gint _caught; /* the signal, written by the thread that waits for it */

/* Handlers may do almost nothing; a thread that waits for signals may do anything. */
static void *_wait_for_signals(void *data)
{
  const sigset_t *set = data;
  gint64 first = 0;
  for(int signal_number;;)
  {
    if(sigwait(set, &signal_number) != 0) continue;
    /* some senders signal the process and its group: one wish, two signals */
    const gint64 now = g_get_monotonic_time();
    if(first && now - first > REPEAT_USEC) _exit(128 + signal_number);
    if(first) continue;
    first = now;
    g_atomic_int_set(&_caught, signal_number);
    g_cancellable_cancel(_cancellable);
  }
  return NULL;
}

GCancellable *dt_cli_catch_signals(void)
{
  static sigset_t set;
  if(_cancellable) return _cancellable;
  _cancellable = g_cancellable_new();
  /* a file-size limit is reported like a full disk, not by ending the program */
  signal(SIGXFSZ, SIG_IGN);
  sigemptyset(&set);
  sigaddset(&set, SIGINT);
  sigaddset(&set, SIGTERM);
  pthread_sigmask(SIG_BLOCK, &set, NULL);
  pthread_t thread;
  if(pthread_create(&thread, NULL, _wait_for_signals, &set) == 0)
    pthread_detach(thread);
  else
    pthread_sigmask(SIG_UNBLOCK, &set, NULL);
  return _cancellable;
}

int dt_cli_signal_exit_code(void)
{
  const gint caught = g_atomic_int_get(&_caught);
  return caught ? 128 + caught : 0;
}

/* --- progress --- */

gboolean dt_cli_progress_mode(const char *name, dt_cli_progress_mode_t *mode)
{
  static const struct
  {
    const char *name;
    dt_cli_progress_mode_t mode;
  } modes[] = { { "auto", DT_CLI_PROGRESS_AUTO },
                { "bar", DT_CLI_PROGRESS_BAR },
                { "plain", DT_CLI_PROGRESS_PLAIN },
                { "json", DT_CLI_PROGRESS_JSON },
                { "none", DT_CLI_PROGRESS_NONE } };
  for(size_t i = 0; i < G_N_ELEMENTS(modes); i++)
    if(strcmp(name, modes[i].name) == 0)
    {
      *mode = modes[i].mode;
      return TRUE;
    }
  return FALSE;
}

void dt_cli_progress_begin(dt_cli_progress_t *p, const char *label)
{
  if(p->mode == DT_CLI_PROGRESS_AUTO)
    p->mode = isatty(STDERR_FILENO) ? DT_CLI_PROGRESS_BAR : DT_CLI_PROGRESS_NONE;
  p->label = label;
  p->start = g_get_monotonic_time();
  p->last = 0;
}

static void _draw_bar(const char *label, double fraction, double speed, const char *unit, double left)
{
  enum
  {
    WIDTH = 30
  };
  const int full = (int)(fraction * WIDTH);
  char bar[WIDTH + 1];
  memset(bar, '#', (size_t)full);
  memset(bar + full, '.', (size_t)(WIDTH - full));
  bar[WIDTH] = '\0';
  fprintf(stderr, "\r%s [%s] %3.0f %%  %.2f %s/s  %.0f s left \033[K", label, bar, 100 * fraction, speed,
          unit, left);
}

void dt_cli_progress_update(double fraction, double amount, void *data)
{
  dt_cli_progress_t *p = data;
  const gint64 now = g_get_monotonic_time();
  const double seconds = 1e-6 * (double)(now - p->start);
  const double speed = seconds > 0 ? fraction * amount / seconds : 0;
  const double left = fraction > 0 ? seconds * (1 - fraction) / fraction : 0;
  if(p->mode == DT_CLI_PROGRESS_NONE || (now - p->last < 100000 && fraction < 1)) return;
  p->last = now;
  const char *unit = p->unit ? p->unit : "MP";
  if(p->mode == DT_CLI_PROGRESS_BAR)
    _draw_bar(p->label, fraction, speed, unit, left);
  else if(p->mode == DT_CLI_PROGRESS_PLAIN)
    fprintf(stderr, "%s: %.0f %%, %.2f %s/s, %.0f s left\n", p->label, 100 * fraction, speed, unit, left);
  else
    fprintf(stderr,
            "{\"schema_version\":1,\"event\":\"progress\",\"fraction\":%.4f,\"%s_per_s\":%.3f,"
            "\"seconds_left\":%.1f}\n",
            fraction, p->unit ? "mb" : "mp", speed, left);
  fflush(stderr);
}

void dt_cli_progress_end(dt_cli_progress_t *p)
{
  if(p->mode == DT_CLI_PROGRESS_BAR) fputs("\r\033[K", stderr);
}
