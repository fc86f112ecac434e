/* SPDX-License-Identifier: GPL-3.0-or-later */
/* runtime: which ONNX Runtime is in force, which others there are, and choosing one. Works while AI is switched
 * off: libraries are looked at by a child process, none is loaded here. */
#include "cli/cmd_runtime.h"
#include "common/conf.h"
#include "libs/runtime_search.h"

#include <stdio.h>
#include <string.h>

static dt_cli_runtime_opts_t _opt;
static char *_progress;

static const GOptionEntry _entries[] = {
  { "json", 0, 0, G_OPTION_ARG_NONE, &_opt.json, "print JSON objects", NULL },
  { "yes", 'y', 0, G_OPTION_ARG_NONE, &_opt.yes, "install: what is suggested, without asking", NULL },
  { "use", 0, 0, G_OPTION_ARG_NONE, &_opt.use, "install: use it from now on", NULL },
  { "strict", 0, 0, G_OPTION_ARG_NONE, &_opt.strict, "install: not without the system libraries it needs",
    NULL },
  { "dry-run", 0, 0, G_OPTION_ARG_NONE, &_opt.dry_run, "install: only say what would be done", NULL },
  { "progress", 0, 0, G_OPTION_ARG_STRING, &_progress, "auto (a bar on a terminal), bar, plain, json or none",
    "MODE" },
  { NULL, 0, 0, 0, NULL, NULL, NULL },
};

static const char _description[] =
    "Verbs:\n"
    "  show              which ONNX Runtime is in force, and why; the default\n"
    "  detect            which ones there are on this machine\n"
    "  use PATH          use this library, or the one in this folder, from now on\n"
    "  reset             use the one that came with the program again\n"
    "  install [BUILD]   fetch a build for an accelerator: cuda12, cuda13, migraphx, rocm, openvino, webgpu\n"
    "  remove EP         remove what was installed: cuda, migraphx, rocm, openvino, webgpu\n\n"
    "Examples:\n"
    "  darktable-ai runtime install                    which build suits this machine\n"
    "  darktable-ai runtime install openvino --use     fetch, verify and use it\n"
    "  darktable-ai runtime use /opt/onnxruntime/lib   a build of your own\n\n"
    "The network is used by install alone, through pip or npm.";

/* --- words --- */

void dt_cli_runtime_print_list(char *const *items)
{
  putchar('[');
  for(size_t i = 0; items && items[i]; i++)
  {
    if(i) putchar(',');
    dt_cli_print_json_string(items[i]);
  }
  putchar(']');
}

static char *_join(char *const *providers)
{
  return providers && *providers ? g_strjoinv(", ", (char **)providers) : g_strdup("none");
}

static void _print_string(const char *key, const char *value)
{
  printf(",\"%s\":", key);
  dt_cli_print_json_string(value);
}

/* --- show --- */

static void _show_json(const dt_runtime_choice_t *choice)
{
  const dt_ai_runtime_info_t *info = choice->info;
  printf("{\"schema_version\":1,\"usable\":%s", info ? "true" : "false");
  _print_string("version", info ? info->version : "");
  _print_string("path", info ? info->path : "");
  _print_string("origin", info ? choice->origin : "");
  fputs(",\"providers\":", stdout);
  dt_cli_runtime_print_list(info ? info->providers : NULL);
  fputs(",\"warnings\":[", stdout);
  for(guint i = 0; i < choice->refused->len; i++)
  {
    if(i) putchar(',');
    dt_cli_print_json_string(g_ptr_array_index(choice->refused, i));
  }
  puts("]}");
}

static void _show_text(const dt_runtime_choice_t *choice)
{
  char *providers = _join(choice->info->providers);
  printf("%-12s ONNX Runtime %s\n", "runtime", choice->info->version);
  printf("%-12s %s\n", "path", choice->info->path);
  printf("%-12s %s\n", "chosen by", choice->origin);
  printf("%-12s %s\n", "providers", providers);
  for(guint i = 0; i < choice->refused->len; i++)
    printf("%-12s cannot be used: %s\n", "warning", (char *)g_ptr_array_index(choice->refused, i));
  g_free(providers);
}

static int _say_none(const dt_runtime_choice_t *choice)
{
  GString *why = g_string_new(NULL);
  for(guint i = 0; i < choice->refused->len; i++)
    g_string_append_printf(why, "\n  %s", (char *)g_ptr_array_index(choice->refused, i));
  dt_cli_say(
      "there is no ONNX Runtime that can be used%s%s\nInstall one with: darktable-ai runtime install, or "
      "install darktable-ai again.",
      why->len ? ":" : ".", why->str);
  g_string_free(why, TRUE);
  return DT_EXIT_PROVIDER;
}

static int _show(const dt_cli_runtime_opts_t *opts, int n, char **operands)
{
  (void)n;
  (void)operands;
  dt_runtime_choice_t *choice = dt_runtime_choice();
  int code = DT_EXIT_OK;
  if(opts->json)
    _show_json(choice);
  else if(choice->info)
    _show_text(choice);
  if(!choice->info) code = _say_none(choice);
  dt_runtime_choice_free(choice);
  return code;
}

/* --- detect --- */

static void _print_found_json(const dt_runtime_found_t *found)
{
  const dt_ai_runtime_info_t *info = found->info;
  printf("{\"schema_version\":1,\"in_force\":%s,\"usable\":%s", found->in_force ? "true" : "false",
         info->version ? "true" : "false");
  _print_string("version", info->version);
  _print_string("path", info->path);
  fputs(",\"providers\":", stdout);
  dt_cli_runtime_print_list(info->providers);
  _print_string("reason", info->version ? "" : info->reason);
  puts("}");
}

static void _print_found(const dt_runtime_found_t *found)
{
  const dt_ai_runtime_info_t *info = found->info;
  char *providers = info->version ? _join(info->providers) : g_strdup("cannot be used");
  printf("%c %-9s %-28s %s%s%s\n", found->in_force ? '*' : ' ', info->version ? info->version : "-",
         providers, info->path, info->version ? "" : ": ",
         info->version  ? ""
         : info->reason ? info->reason
                        : "no reason");
  g_free(providers);
}

static void _print_all_found(const GPtrArray *list, gboolean json)
{
  if(!json && list->len) printf("  %-9s %-28s %s\n", "VERSION", "PROVIDERS", "PATH (* in force)");
  for(guint i = 0; i < list->len; i++)
    if(json)
      _print_found_json(g_ptr_array_index(list, i));
    else
      _print_found(g_ptr_array_index(list, i));
}

static int _detect(const dt_cli_runtime_opts_t *opts, int n, char **operands)
{
  (void)n;
  (void)operands;
  GCancellable *cancellable = dt_cli_catch_signals();
  dt_runtime_choice_t *choice = dt_runtime_choice();
  GPtrArray *list = dt_runtime_search(choice, cancellable);
  _print_all_found(list, opts->json);
  if(!list->len && !dt_cli_signal_exit_code())
    dt_cli_say("no ONNX Runtime was found. Install one with: darktable-ai runtime install");
  g_ptr_array_unref(list);
  dt_runtime_choice_free(choice);
  return dt_cli_signal_exit_code();
}

/* --- use, reset --- */

static void _print_choice(const dt_cli_runtime_opts_t *opts, const dt_ai_runtime_info_t *info)
{
  char *providers = _join(info->providers);
  if(opts->json)
  {
    fputs("{\"schema_version\":1,\"event\":\"used\"", stdout);
    _print_string("path", info->path);
    _print_string("version", info->version);
    fputs(",\"providers\":", stdout);
    dt_cli_runtime_print_list(info->providers);
    puts("}");
  }
  else
    printf("ONNX Runtime %s is used from now on, with %s: %s\n", info->version, providers, info->path);
  g_free(providers);
}

int dt_cli_runtime_choose(const dt_cli_runtime_opts_t *opts, const char *path)
{
  dt_ai_runtime_info_t *info = dt_ai_runtime_check(path, NULL);
  GError *error = NULL;
  if(!info->version)
    g_set_error(
        &error, DT_AI_ERROR, DT_AI_ERROR_PROVIDER,
        "%s cannot be used: %s. The setting stays as it was. See what there is: darktable-ai runtime detect",
        path, info->reason ? info->reason : "it is no ONNX Runtime");
  else if(dt_conf_set(DT_CONF_AI_ORT_LIBRARY, path, &error))
    _print_choice(opts, info);
  dt_ai_runtime_info_free(info);
  return error ? dt_cli_fail(error) : DT_EXIT_OK;
}

static int _use(const dt_cli_runtime_opts_t *opts, int n, char **operands)
{
  (void)n;
  GError *error = NULL;
  char *path = dt_runtime_search_in(operands[0], &error);
  const int code = path ? dt_cli_runtime_choose(opts, path) : dt_cli_fail(error);
  g_free(path);
  return code;
}

static int _reset(const dt_cli_runtime_opts_t *opts, int n, char **operands)
{
  GError *error = NULL;
  if(!dt_conf_reset(DT_CONF_AI_ORT_LIBRARY, &error)) return dt_cli_fail(error);
  return _show(opts, n, operands);
}

/* --- the command --- */

enum
{
  OPT_YES = 1 << 0,
  OPT_USE = 1 << 1,
  OPT_STRICT = 1 << 2,
  OPT_DRY_RUN = 1 << 3,
  OPT_PROGRESS = 1 << 4,
};

static const struct
{
  const char *name;
  dt_cli_runtime_verb_t run;
  int least, most;
  const char *operands; /* for people, when their number is wrong */
  unsigned options;     /* of OPT_…, beside --json */
} _verbs[] = {
  { "show", _show, 0, 0, "show", 0 },
  { "detect", _detect, 0, 0, "detect", 0 },
  { "use", _use, 1, 1, "use PATH", 0 },
  { "reset", _reset, 0, 0, "reset", 0 },
  { "install", dt_cli_runtime_install, 0, 1, "install or install BUILD",
    OPT_YES | OPT_USE | OPT_STRICT | OPT_DRY_RUN | OPT_PROGRESS },
  { "remove", dt_cli_runtime_remove, 1, 1, "remove EP", 0 },
};

/* The first option that was given and that the verb does not know, or NULL: no wish is ignored. */
static const char *_foreign_option(unsigned known)
{
  const struct
  {
    gboolean given;
    unsigned option;
    const char *name;
  } options[] = { { _opt.yes, OPT_YES, "--yes" },
                  { _opt.use, OPT_USE, "--use" },
                  { _opt.strict, OPT_STRICT, "--strict" },
                  { _opt.dry_run, OPT_DRY_RUN, "--dry-run" },
                  { _progress != NULL, OPT_PROGRESS, "--progress" } };
  for(size_t i = 0; i < G_N_ELEMENTS(options); i++)
    if(options[i].given && !(known & options[i].option)) return options[i].name;
  return NULL;
}

static int _run_verb(size_t i, int n, char **operands)
{
  const char *foreign = _foreign_option(_verbs[i].options);
  if(!foreign && n >= _verbs[i].least && n <= _verbs[i].most) return _verbs[i].run(&_opt, n, operands);
  if(foreign)
    dt_cli_say("runtime %s does not know %s. See: darktable-ai runtime --help", _verbs[i].name, foreign);
  else
    dt_cli_say("runtime takes: %s. See: darktable-ai runtime --help", _verbs[i].operands);
  return DT_EXIT_USAGE;
}

static int _runtime(int argc, char **argv)
{
  int code = DT_EXIT_OK;
  if(!dt_cli_parse(&argc, &argv, "[VERB] [OPERAND]", "Shows, finds, chooses and installs ONNX Runtime.",
                   _description, _entries, &code))
    return code;
  if(_progress && !dt_cli_progress_mode(_progress, &_opt.progress))
  {
    dt_cli_say("--progress takes auto, bar, plain, json or none.");
    return DT_EXIT_USAGE;
  }
  const char *verb = argc > 1 ? argv[1] : "show";
  for(size_t i = 0; i < G_N_ELEMENTS(_verbs); i++)
    if(strcmp(verb, _verbs[i].name) == 0) return _run_verb(i, MAX(argc - 2, 0), argv + 2);
  dt_cli_say(
      "runtime takes show, detect, use, reset, install or remove, not \"%s\". See: darktable-ai runtime "
      "--help",
      verb);
  return DT_EXIT_USAGE;
}

const dt_cli_command_t dt_cli_cmd_runtime = { "runtime", "show, find, choose and install ONNX Runtime",
                                              _runtime };
