/* SPDX-License-Identifier: GPL-3.0-or-later */
/* models: which models there are, and what each of them is. */
#include "cli/cmd_models.h"
#include "ai/backend.h"
#include "libs/model_selftest.h"

#include <json-glib/json-glib.h>
#include <stdio.h>
#include <string.h>

static dt_cli_models_opts_t _opt;
static char *_progress;

static const GOptionEntry _entries[] = {
  { "json", 0, 0, G_OPTION_ARG_NONE, &_opt.json, "print one JSON object per model", NULL },
  { "remote", 0, 0, G_OPTION_ARG_NONE, &_opt.remote, "list, info: ask the repository what it offers", NULL },
  { "default", 0, 0, G_OPTION_ARG_NONE, &_opt.defaults, "download: the recommended model of every task",
    NULL },
  { "all", 0, 0, G_OPTION_ARG_NONE, &_opt.all, "download: everything the repository offers", NULL },
  { "dry-run", 0, 0, G_OPTION_ARG_NONE, &_opt.dry_run, "download, update: only say what would be done",
    NULL },
  { "output", 'o', 0, G_OPTION_ARG_FILENAME, &_opt.output, "pack: the package to write", "FILE" },
  { "overwrite", 0, 0, G_OPTION_ARG_NONE, &_opt.overwrite, "pack: replace an existing package", NULL },
  { "progress", 0, 0, G_OPTION_ARG_STRING, &_progress, "auto (a bar on a terminal), bar, plain, json or none",
    "MODE" },
  { NULL, 0, 0, 0, NULL, NULL, NULL },
};

static const char _description[] =
    "Verbs:\n"
    "  list                what is installed and what is recommended; the default\n"
    "  info ID             everything about one model\n"
    "  install FILE…       install packages (.dtmodel)\n"
    "  download ID…        fetch, verify and install models from the repository\n"
    "  update [ID…]        fetch newer versions of what is installed\n"
    "  remove ID…          remove installed models\n"
    "  activate ID…        let models serve their tasks\n"
    "  deactivate TASK…    let no model serve a task\n"
    "  verify [ID…]        check installed models again\n"
    "  pack DIR            make a package of a model's folder\n"
    "  rescan              look again, and install packages dropped into the models directory\n\n"
    "Examples:\n"
    "  darktable-ai models list --remote                what is installed and what is on offer\n"
    "  darktable-ai models download --default           the recommended model of every task\n"
    "  darktable-ai models install denoise-x.dtmodel    a package from a file\n"
    "  darktable-ai models activate denoise-x           use it from now on\n"
    "  darktable-ai models pack my-model/               make a package of a folder\n\n"
    "The network is used by list --remote, info --remote, download and update alone.";

/* --- words --- */

static const char *_status_name(dt_ai_model_status_t status)
{
  static const char *const names[] = {
    [DT_AI_MODEL_NOT_DOWNLOADED] = "not downloaded",
    [DT_AI_MODEL_DOWNLOADED] = "downloaded",
    [DT_AI_MODEL_UPDATE_AVAILABLE] = "update available",
    [DT_AI_MODEL_UPDATE_REQUIRED] = "update required",
  };
  return names[status];
}

static const char *_origin_name(const dt_ai_model_t *model)
{
  static const char *const names[] = {
    [DT_MODEL_CUSTOM] = "custom",
    [DT_MODEL_USER] = "user",
    [DT_MODEL_DARKTABLE] = "darktable",
    [DT_MODEL_BUNDLED] = "bundled",
  };
  return model->manifest ? names[model->origin] : "repository";
}

const dt_ai_model_t *dt_cli_models_find(const GPtrArray *list, const char *id)
{
  for(guint i = 0; i < list->len; i++)
  {
    const dt_ai_model_t *model = g_ptr_array_index(list, i);
    if(strcmp(model->id, id) == 0) return model;
  }
  return NULL;
}

/* --- list --- */

static void _print_json(const dt_ai_model_t *model)
{
  const dt_manifest_t *m = model->manifest;
  const struct
  {
    const char *key, *text;
  } fields[] = {
    { "id", model->id },
    { "name", model->name },
    { "task", model->task },
    { "version", model->version },
    { "description", model->description },
    { "status", _status_name(model->status) },
    { "origin", _origin_name(model) },
    { "source", model->source },
    { "license", model->license },
    { "remote_version", model->remote_version },
    { "arch", m ? m->arch : "" },
    { "directory", m ? m->directory : "" },
  };
  fputs("{\"schema_version\":1", stdout);
  for(size_t i = 0; i < G_N_ELEMENTS(fields); i++)
  {
    printf(",\"%s\":", fields[i].key);
    dt_cli_print_json_string(fields[i].text);
  }
  printf(",\"installed\":%s,\"active\":%s,\"default\":%s,\"protected\":%s,\"size\":%" G_GUINT64_FORMAT
         ",\"num_inputs\":%d,\"attributes\":%s,\"model_card\":%s}\n",
         m ? "true" : "false", model->active ? "true" : "false", model->is_default ? "true" : "false",
         model->is_protected ? "true" : "false", model->size, m ? m->num_inputs : 0,
         m && m->attributes ? m->attributes : "null", m && m->model_card ? m->model_card : "null");
}

static void _print_line(const dt_ai_model_t *model)
{
  printf("%-28s %-10s %-8s %-8s %-17s %-11s %s%s\n", model->id, model->task,
         *model->version ? model->version : model->remote_version, model->active ? "yes" : "",
         _status_name(model->status), _origin_name(model), model->name,
         model->is_default ? " (default)" : "");
}

static void _say_problem(const dt_cli_models_opts_t *opts, const char *event, const char *text,
                         const char *advice)
{
  dt_cli_say("%s%s", text, advice);
  if(!opts->json) return;
  printf("{\"schema_version\":1,\"event\":\"%s\",\"message\":", event);
  dt_cli_print_json_string(text);
  puts("}");
}

static int _say_problems(dt_ai_models_t *models, const dt_cli_models_opts_t *opts)
{
  GPtrArray *problems = dt_ai_models_problems(models), *waiting = dt_ai_models_waiting(models);
  for(guint i = 0; i < problems->len; i++) _say_problem(opts, "problem", g_ptr_array_index(problems, i), "");
  for(guint i = 0; i < waiting->len; i++)
    _say_problem(opts, "waiting", g_ptr_array_index(waiting, i),
                 " is not installed yet; do it with: darktable-ai models rescan");
  g_ptr_array_unref(problems);
  g_ptr_array_unref(waiting);
  return DT_EXIT_OK;
}

gboolean dt_cli_models_ask(dt_ai_models_t *models, GError **error)
{
  const dt_ai_models_job_t job = { .cancellable = dt_cli_catch_signals() };
  char *note = NULL;
  const gboolean ok = dt_ai_models_check_updates(models, &note, &job, error);
  if(note) dt_cli_say("%s", note);
  g_free(note);
  return ok;
}

static int _list(dt_ai_models_t *models, const dt_cli_models_opts_t *opts, int n, char **operands)
{
  (void)n;
  (void)operands;
  GError *error = NULL;
  if(opts->remote && !dt_cli_models_ask(models, &error)) return dt_cli_fail(error);
  GPtrArray *list = dt_ai_models_list(models);
  if(!opts->json && list->len)
    printf("%-28s %-10s %-8s %-8s %-17s %-11s %s\n", "ID", "TASK", "VERSION", "ENABLED", "STATUS", "ORIGIN",
           "NAME");
  for(guint i = 0; i < list->len; i++)
    if(opts->json)
      _print_json(g_ptr_array_index(list, i));
    else
      _print_line(g_ptr_array_index(list, i));
  g_ptr_array_unref(list);
  return _say_problems(models, opts);
}

/* --- info --- */

static void _print_field(const char *title, const char *text)
{
  if(text && *text) printf("%-20s%s\n", title, text);
}

static void _print_object(const char *title, const char *json)
{
  JsonNode *node = json ? json_from_string(json, NULL) : NULL;
  if(!node) return;
  char *text = json_to_string(node, TRUE);
  _print_field(title, text);
  g_free(text);
  json_node_unref(node);
}

/* The card's members as lines of words; what is no text is shown as JSON. */
static void _print_card_member(JsonObject *card, const char *key, JsonNode *value, gpointer data)
{
  (void)card;
  (void)data;
  char *title = g_strdelimit(g_strdup(key), "_", ' ');
  char *json = json_to_string(value, FALSE);
  _print_field(title, json_node_get_value_type(value) == G_TYPE_STRING ? json_node_get_string(value) : json);
  g_free(json);
  g_free(title);
}

static void _print_card(const char *text)
{
  JsonNode *card = text ? json_from_string(text, NULL) : NULL;
  if(card) json_object_foreach_member(json_node_get_object(card), _print_card_member, NULL);
  g_clear_pointer(&card, json_node_unref);
}

static void _print_info(const dt_ai_model_t *model)
{
  const dt_manifest_t *m = model->manifest;
  printf("%-20s%s%s\n", "task", model->task, model->active ? " (active)" : "");
  _print_field("id", model->id);
  _print_field("name", model->name);
  _print_field("description", model->description);
  _print_field("version", model->version);
  _print_field("version on offer", model->remote_version);
  _print_field("status", _status_name(model->status));
  _print_field("origin", _origin_name(model));
  _print_field("source", model->source);
  char *size = model->size ? g_format_size(model->size) : NULL;
  _print_field("download", size);
  g_free(size);
  if(m)
  {
    _print_field("architecture", m->arch);
    _print_field("directory", m->directory);
    printf("%-20s%d\n", "inputs", m->num_inputs);
    _print_object("attributes", m->attributes);
    _print_card(m->model_card);
  }
  if(!m || !m->model_card || !strstr(m->model_card, "\"license\"")) _print_field("license", model->license);
}

static int _info(dt_ai_models_t *models, const dt_cli_models_opts_t *opts, int n, char **operands)
{
  (void)n;
  GError *error = NULL;
  if(opts->remote && !dt_cli_models_ask(models, &error)) return dt_cli_fail(error);
  GPtrArray *list = dt_ai_models_list(models);
  const dt_ai_model_t *model = dt_cli_models_find(list, operands[0]);
  if(!model)
    dt_cli_say("There is no model \"%s\". See what is installed: darktable-ai models list", operands[0]);
  else if(opts->json)
    _print_json(model);
  else
    _print_info(model);
  g_ptr_array_unref(list);
  return model ? DT_EXIT_OK : DT_EXIT_NO_MODEL;
}

/* --- the command --- */

enum
{
  OPT_REMOTE = 1 << 0,
  OPT_DEFAULT = 1 << 1,
  OPT_ALL = 1 << 2,
  OPT_DRY_RUN = 1 << 3,
  OPT_OUTPUT = 1 << 4,
  OPT_OVERWRITE = 1 << 5,
};

static const struct
{
  const char *name;
  dt_cli_models_verb_t run;
  int least, most;
  const char *operands; /* for people, when their number is wrong */
  unsigned options;     /* of OPT_…, beside --json and --progress */
} _verbs[] = {
  { "list", _list, 0, 0, "list", OPT_REMOTE },
  { "info", _info, 1, 1, "info ID", OPT_REMOTE },
  { "install", dt_cli_models_install, 1, G_MAXINT, "install FILE…", 0 },
  { "download", dt_cli_models_download, 0, G_MAXINT, "download ID…, download --default or download --all",
    OPT_DEFAULT | OPT_ALL | OPT_DRY_RUN },
  { "update", dt_cli_models_update, 0, G_MAXINT, "update or update ID…", OPT_DRY_RUN },
  { "remove", dt_cli_models_remove, 1, G_MAXINT, "remove ID…", 0 },
  { "activate", dt_cli_models_activate, 1, G_MAXINT, "activate ID…", 0 },
  { "deactivate", dt_cli_models_deactivate, 1, G_MAXINT, "deactivate TASK…", 0 },
  { "verify", dt_cli_models_verify, 0, G_MAXINT, "verify or verify ID…", 0 },
  { "rescan", dt_cli_models_rescan, 0, 0, "rescan", 0 },
  { "pack", dt_cli_models_pack, 1, 1, "pack DIR", OPT_OUTPUT | OPT_OVERWRITE },
};

/* The first option that was given and that the verb does not know, or NULL: no wish is ignored. */
static const char *_foreign_option(unsigned known)
{
  const struct
  {
    gboolean given;
    unsigned option;
    const char *name;
  } options[] = { { _opt.remote, OPT_REMOTE, "--remote" },
                  { _opt.defaults, OPT_DEFAULT, "--default" },
                  { _opt.all, OPT_ALL, "--all" },
                  { _opt.dry_run, OPT_DRY_RUN, "--dry-run" },
                  { !!_opt.output, OPT_OUTPUT, "--output" },
                  { _opt.overwrite, OPT_OVERWRITE, "--overwrite" } };
  for(size_t i = 0; i < G_N_ELEMENTS(options); i++)
    if(options[i].given && !(known & options[i].option)) return options[i].name;
  return NULL;
}

/* With the registry open, but for packing, which works while AI is switched off. */
static int _run_verb(dt_cli_models_verb_t run, int n, char **operands)
{
  if(run == dt_cli_models_pack) return run(NULL, &_opt, n, operands);
  GError *error = NULL;
  if(!dt_ai_is_supported())
  {
    (void)dt_ai_env_init(NULL); /* which says why not */
    return dt_cli_fail(g_error_copy(dt_ai_last_error()));
  }
  dt_ai_models_t *models = dt_ai_models_open(dt_model_selftest, &error);
  if(!models) return dt_cli_fail(error);
  const int code = run(models, &_opt, n, operands);
  dt_ai_models_close(models);
  return code;
}

static int _models(int argc, char **argv)
{
  int code = DT_EXIT_OK;
  if(!dt_cli_parse(&argc, &argv, "VERB [OPERAND…]", "Shows, installs and chooses models.", _description,
                   _entries, &code))
    return code;
  if(_progress && !dt_cli_progress_mode(_progress, &_opt.progress))
  {
    dt_cli_say("--progress takes auto, bar, plain, json or none.");
    return DT_EXIT_USAGE;
  }
  const char *verb = argc > 1 ? argv[1] : "list";
  const int n = MAX(argc - 2, 0);
  for(size_t i = 0; i < G_N_ELEMENTS(_verbs); i++)
  {
    if(strcmp(verb, _verbs[i].name) != 0) continue;
    const char *foreign = _foreign_option(_verbs[i].options);
    if(foreign)
    {
      dt_cli_say("models %s does not know %s. See: darktable-ai models --help", verb, foreign);
      return DT_EXIT_USAGE;
    }
    if(n >= _verbs[i].least && n <= _verbs[i].most) return _run_verb(_verbs[i].run, n, argv + 2);
    dt_cli_say("models takes: %s. See: darktable-ai models --help", _verbs[i].operands);
    return DT_EXIT_USAGE;
  }
  dt_cli_say(
      "models takes a verb such as list, install or download, not \"%s\". See: darktable-ai models --help",
      verb);
  return DT_EXIT_USAGE;
}

const dt_cli_command_t dt_cli_cmd_models = { "models", "list, install, download and choose models", _models };
