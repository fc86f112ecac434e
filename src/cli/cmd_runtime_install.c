/* SPDX-License-Identifier: GPL-3.0-or-later */
/* runtime: installs builds for accelerators and removes them; says first what suits the machine and what it lacks. */
#include "cli/cmd_runtime.h"
#include "cli/steps.h"
#include "common/gpu.h"
#include "libs/runtime_fetch.h"
#include "libs/runtime_install.h"

#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* --- progress --- */

typedef struct _watch_t
{
  dt_cli_steps_t steps; /* first: dt_cli_steps_say() gets a pointer to the whole */
  const char *name;
} _watch_t;

static void _show_progress(const char *step, guint64 done, guint64 total, gpointer data)
{
  _watch_t *watch = data;
  dt_cli_steps_show(&watch->steps, watch->name, step, done, total);
}

/* --- what suits --- */

static gboolean _gpu_fits(const dt_gpu_t *gpu, const char *wanted)
{
  static const char *const names[] = {
    [DT_GPU_OTHER] = "other", [DT_GPU_NVIDIA] = "nvidia", [DT_GPU_AMD] = "amd", [DT_GPU_INTEL] = "intel"
  };
  return strcmp(wanted, "any") == 0 || strcmp(names[gpu->vendor], wanted) == 0;
}

/* A build that nothing here can use is worth a word, and no more: machines change, and disks move. */
static void _say_whether_it_fits(const dt_runtime_build_t *build, const GPtrArray *gpus)
{
  gboolean fits = FALSE;
  for(guint i = 0; i < gpus->len; i++) fits |= _gpu_fits(g_ptr_array_index(gpus, i), build->gpu);
  if(fits) return;
  if(strcmp(build->gpu, "intel") == 0)
    dt_cli_say("no Intel graphics processor was found; %s runs on the processor then", build->provider);
  else
    dt_cli_say("no graphics processor was found that %s is for; the program will go on with the CPU",
               build->name);
}

/* @return FALSE when something is missing and that is not accepted */
static gboolean _say_lacks(const dt_runtime_build_t *build, gboolean strict)
{
  GPtrArray *lacks = dt_runtime_lacks(build);
  const gboolean ok = !strict || !lacks->len;
  for(guint i = 0; i < lacks->len && ok; i++) dt_cli_say("%s", (char *)g_ptr_array_index(lacks, i));
  if(lacks->len && ok)
    dt_cli_say("%s will not work before what is missing is there; it is the system's, not part of this build",
               build->provider);
  GString *all = g_string_new(NULL);
  for(guint i = 0; i < lacks->len; i++)
    g_string_append_printf(all, "\n  %s", (char *)g_ptr_array_index(lacks, i));
  if(!ok)
    dt_cli_say("%s is not installed, because the system lacks what it needs:%s\nInstall that first, or leave "
               "--strict out.",
               build->name, all->str);
  g_string_free(all, TRUE);
  g_ptr_array_unref(lacks);
  return ok;
}

static void _print_gpus(const GPtrArray *gpus)
{
  for(guint i = 0; i < gpus->len; i++)
  {
    const dt_gpu_t *gpu = g_ptr_array_index(gpus, i);
    printf("%-12s %s, %s%s\n", "found", gpu->name, gpu->driver ? "driver " : "no driver is bound to it",
           gpu->driver ? gpu->driver : "");
  }
  if(!gpus->len) printf("%-12s no graphics processor\n", "found");
}

static void _print_suggestion_json(const GPtrArray *gpus, const dt_runtime_build_t *build)
{
  fputs("{\"schema_version\":1,\"event\":\"suggested\",\"build\":", stdout);
  dt_cli_print_json_string(build ? build->name : "");
  fputs(",\"gpus\":[", stdout);
  for(guint i = 0; i < gpus->len; i++)
  {
    const dt_gpu_t *gpu = g_ptr_array_index(gpus, i);
    if(i) putchar(',');
    dt_cli_print_json_string(gpu->name);
  }
  puts("]}");
}

/* Says what suits. */
static const dt_runtime_build_t *_suggest(const dt_cli_runtime_opts_t *opts, const GPtrArray *builds,
                                          const GPtrArray *gpus)
{
  const char *name = dt_gpu_suggest_runtime(gpus);
  const dt_runtime_build_t *build = name ? dt_runtime_builds_find(builds, name) : NULL;
  if(opts->json)
    _print_suggestion_json(gpus, build);
  else
  {
    _print_gpus(gpus);
    printf("%-12s %s\n", "suggested", build ? build->name : "the runtime that came with the program");
  }
  char *names = dt_runtime_builds_names(builds);
  if(!opts->yes && build)
    dt_cli_say("install it with: darktable-ai runtime install %s", build->name);
  else if(!build)
    dt_cli_say(
        "no build suits what was found%s Choose one yourself: %s (openvino serves processors as well).",
        opts->yes ? ", so none is installed." : ".", names);
  g_free(names);
  return build;
}

/* --- install --- */

static void _print_plan_text(const dt_runtime_build_t *build, const char *home)
{
  char *size = g_format_size(build->size), *unpacked = g_format_size(build->unpacked);
  char *command = dt_runtime_fetch_command(build, "DIR");
  printf("%-12s %s %s, licence: %s\n", "package", build->package, build->version, build->license);
  printf("%-12s %s, %s unpacked\n", "download", size, unpacked);
  printf("%-12s %s\n", "with", command);
  printf("%-12s %s\n", "sha256", build->sha256);
  printf("%-12s %s%s\n", "into", home,
         g_file_test(home, G_FILE_TEST_EXISTS) ? ", in place of what is there" : "");
  g_free(command);
  g_free(unpacked);
  g_free(size);
}

static void _print_build_json(const char *event, const dt_runtime_build_t *build, const char *path)
{
  const struct
  {
    const char *key, *text;
  } fields[] = { { "event", event },
                 { "build", build->name },
                 { "package", build->package },
                 { "version", build->version },
                 { "license", build->license },
                 { "sha256", build->sha256 },
                 { "provider", build->provider },
                 { "path", path } };
  fputs("{\"schema_version\":1", stdout);
  for(size_t i = 0; i < G_N_ELEMENTS(fields); i++)
  {
    printf(",\"%s\":", fields[i].key);
    dt_cli_print_json_string(fields[i].text);
  }
  printf(",\"size\":%" G_GUINT64_FORMAT ",\"unpacked\":%" G_GUINT64_FORMAT "}\n", build->size,
         build->unpacked);
}

static int _print_plan(const dt_cli_runtime_opts_t *opts, const dt_runtime_build_t *build)
{
  char *home = dt_runtime_home(build->ep);
  if(opts->json)
    _print_build_json("planned", build, home);
  else
    _print_plan_text(build, home);
  g_free(home);
  return DT_EXIT_OK;
}

/* Whether the user says yes; signals are heard meanwhile. */
static gboolean _ask(const char *question)
{
  if(!isatty(STDIN_FILENO) || !isatty(STDERR_FILENO)) return FALSE;
  GPollFD signals = { .fd = -1 };
  g_cancellable_make_pollfd(dt_cli_catch_signals(), &signals);
  struct pollfd fds[] = { { .fd = STDIN_FILENO, .events = POLLIN }, { .fd = signals.fd, .events = POLLIN } };
  char answer[16] = "";
  fprintf(stderr, "%s [y/N] ", question);
  while(poll(fds, G_N_ELEMENTS(fds), -1) < 0) continue;
  if(!fds[1].revents && !fgets(answer, sizeof answer, stdin)) answer[0] = '\0';
  g_cancellable_release_fd(dt_cli_catch_signals());
  return answer[0] == 'y' || answer[0] == 'Y';
}

static int _offer(const dt_cli_runtime_opts_t *opts, const char *path)
{
  if(opts->use || _ask("Use it now?")) return dt_cli_runtime_choose(opts, path);
  dt_cli_say("use it with: darktable-ai runtime use %s", path);
  return dt_cli_signal_exit_code();
}

static int _install_build(const dt_cli_runtime_opts_t *opts, const dt_runtime_build_t *build)
{
  _watch_t watch = { .steps = { .bar.mode = opts->progress, .what = "runtimes" }, .name = build->name };
  const dt_runtime_job_t job = { _show_progress, dt_cli_steps_say, &watch, dt_cli_catch_signals() };
  GError *error = NULL;
  dt_cli_say("installing %s %s, licence: %s", build->package, build->version, build->license);
  char *path = dt_runtime_install(build, &job, &error);
  dt_cli_steps_end(&watch.steps);
  if(!path) return dt_cli_fail(error);
  if(opts->json)
    _print_build_json("installed", build, path);
  else
    printf("%s installed: %s\n", build->name, path);
  const int code = _offer(opts, path);
  g_free(path);
  return code;
}

static int _say_unknown(const GPtrArray *builds, const char *name)
{
  char *names = dt_runtime_builds_names(builds);
  dt_cli_say("there is no build \"%s\" for this machine. Choose from: %s.", name, *names ? names : "none");
  g_free(names);
  return DT_EXIT_USAGE;
}

static int _install_one(const dt_cli_runtime_opts_t *opts, const GPtrArray *builds, const char *name)
{
  GPtrArray *gpus = dt_gpu_list();
  const dt_runtime_build_t *build =
      name ? dt_runtime_builds_find(builds, name) : _suggest(opts, builds, gpus);
  int code = DT_EXIT_OK;
  if(name && !build)
    code = _say_unknown(builds, name);
  else if(!name && (!build || !opts->yes))
    code = opts->yes ? DT_EXIT_PROVIDER : DT_EXIT_OK;
  else
  {
    _say_whether_it_fits(build, gpus);
    if(!_say_lacks(build, opts->strict))
      code = DT_EXIT_PROVIDER;
    else
      code = opts->dry_run ? _print_plan(opts, build) : _install_build(opts, build);
  }
  g_ptr_array_unref(gpus);
  return code;
}

int dt_cli_runtime_install(const dt_cli_runtime_opts_t *opts, int n, char **operands)
{
  GError *error = NULL;
  GPtrArray *builds = dt_runtime_builds(&error);
  if(!builds) return dt_cli_fail(error);
  const int code = _install_one(opts, builds, n ? operands[0] : NULL);
  g_ptr_array_unref(builds);
  return code;
}

/* --- remove --- */

int dt_cli_runtime_remove(const dt_cli_runtime_opts_t *opts, int n, char **operands)
{
  (void)n;
  static const char *const eps[] = { "cuda", "migraphx", "rocm", "openvino", "webgpu", NULL };
  const char *ep = operands[0];
  if(!g_strv_contains(eps, ep))
  {
    dt_cli_say("runtime remove takes cuda, migraphx, rocm, openvino or webgpu, not \"%s\"", ep);
    return DT_EXIT_USAGE;
  }
  _watch_t watch = { .steps = { .bar.mode = DT_CLI_PROGRESS_NONE, .what = "runtimes" }, .name = ep };
  const dt_runtime_job_t job = { _show_progress, dt_cli_steps_say, &watch, dt_cli_catch_signals() };
  GError *error = NULL;
  gboolean was_chosen = FALSE;
  const gboolean ok = dt_runtime_remove(ep, &job, &was_chosen, &error);
  dt_cli_steps_end(&watch.steps);
  if(!ok) return dt_cli_fail(error);
  if(opts->json)
    printf("{\"schema_version\":1,\"event\":\"removed\",\"ep\":\"%s\",\"was_chosen\":%s}\n", ep,
           was_chosen ? "true" : "false");
  else
    printf("%s removed%s\n", ep, was_chosen ? "; it was in use, and the setting is removed as well" : "");
  return DT_EXIT_OK;
}
