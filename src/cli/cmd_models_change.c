/* SPDX-License-Identifier: GPL-3.0-or-later */
/* models: installs, downloads, updates, removes, chooses, verifies and packs. Every verb takes several operands;
 * each succeeds or fails by itself. */
#include "cli/cmd_models.h"
#include "cli/steps.h"

#include <stdio.h>
#include <string.h>

/* --- many operands, one exit code --- */

/* One failure keeps its code; of several operands, some of which failed, the code is "some failed". */
typedef struct _tally_t
{
  int done, failed, code;
} _tally_t;

static gboolean _count(_tally_t *tally, gboolean ok, GError *error)
{
  tally->done += ok;
  tally->failed += !ok;
  if(ok) return TRUE;
  const int code = dt_cli_fail(error);
  tally->code = tally->failed == 1 || tally->code == code ? code : DT_EXIT_PARTIAL;
  return !dt_cli_signal_exit_code(); /* a cancel ends the whole run */
}

static int _exit_code(const _tally_t *tally)
{
  if(dt_cli_signal_exit_code() && tally->failed) return dt_cli_signal_exit_code();
  return tally->failed && tally->done ? DT_EXIT_PARTIAL : tally->code;
}

/* --- progress --- */

static void _show_progress(const char *id, const char *step, guint64 done, guint64 total, gpointer data)
{
  dt_cli_steps_show(data, id, step, done, total);
}

static dt_ai_models_job_t _start_steps(dt_cli_steps_t *steps, const dt_cli_models_opts_t *opts)
{
  *steps = (dt_cli_steps_t){ .bar.mode = opts->progress, .what = "models" };
  return (dt_ai_models_job_t){ _show_progress, dt_cli_steps_say, steps, dt_cli_catch_signals() };
}

/* --- results --- */

/* @p key says what @p name is the name of: an id, a task, a path. */
static void _print_result(const dt_cli_models_opts_t *opts, const char *event, const char *key,
                          const char *name, const char *words)
{
  if(!opts->json)
  {
    printf("%s %s%s\n", name, event, words);
    return;
  }
  fputs("{\"schema_version\":1,\"event\":", stdout);
  dt_cli_print_json_string(event);
  printf(",\"%s\":", key);
  dt_cli_print_json_string(name);
  puts("}");
}

/* What came in, under which licence, and whether it serves its task now. */
static void _report_installed(dt_ai_models_t *models, const dt_cli_models_opts_t *opts, const char *id)
{
  GPtrArray *list = dt_ai_models_list(models);
  const dt_ai_model_t *model = dt_cli_models_find(list, id);
  char *words = model ? g_strdup_printf(" %s, licence: %s; %s", model->version,
                                        *model->license ? model->license : "not stated",
                                        model->active ? "active"
                                                      : "not active, make it so with: darktable-ai "
                                                        "models activate")
                      : g_strdup("");
  char *full = model && !model->active ? g_strconcat(words, " ", id, NULL) : g_strdup(words);
  _print_result(opts, "installed", "id", id, full);
  g_free(full);
  g_free(words);
  g_ptr_array_unref(list);
}

/* --- verbs --- */

int dt_cli_models_install(dt_ai_models_t *models, const dt_cli_models_opts_t *opts, int n, char **operands)
{
  _tally_t tally = { 0 };
  for(int i = 0, go_on = TRUE; i < n && go_on; i++)
  {
    dt_cli_steps_t steps;
    const dt_ai_models_job_t job = _start_steps(&steps, opts);
    GError *error = NULL;
    char *id = dt_ai_models_install(models, operands[i], &job, &error);
    dt_cli_steps_end(&steps);
    if(id) _report_installed(models, opts, id);
    go_on = _count(&tally, id != NULL, error);
    g_free(id);
  }
  return _exit_code(&tally);
}

/* What a person should know before a package comes: what, how much, under which licence. */
static void _announce(const dt_ai_model_t *model)
{
  char *size = model->size ? g_format_size(model->size) : g_strdup("size not stated");
  dt_cli_say("%s %s, task %s, %s, licence: %s%s%s", model->id, model->remote_version,
             *model->task ? model->task : "not stated", size,
             *model->license ? model->license : "not stated by the repository; the model's card has it",
             *model->description ? ". " : "", model->description);
  g_free(size);
}

static gboolean _download_one(dt_ai_models_t *models, const dt_cli_models_opts_t *opts, const char *id,
                              GError **error)
{
  GPtrArray *list = dt_ai_models_list(models);
  const dt_ai_model_t *model = dt_cli_models_find(list, id);
  const gboolean offered = model && *model->remote_version;
  if(offered) _announce(model);
  g_ptr_array_unref(list);
  if(opts->dry_run && !dt_ai_models_is_offered(models, id, error)) return FALSE;
  if(opts->dry_run && opts->json) _print_result(opts, "offered", "id", id, "");
  if(opts->dry_run) return TRUE;
  dt_cli_steps_t steps;
  const dt_ai_models_job_t job = _start_steps(&steps, opts);
  const gboolean ok = dt_ai_models_download(models, id, &job, error);
  dt_cli_steps_end(&steps);
  if(ok) _report_installed(models, opts, id);
  return ok;
}

static int _download_each(dt_ai_models_t *models, const dt_cli_models_opts_t *opts, GPtrArray *ids)
{
  _tally_t tally = { 0 };
  gboolean go_on = TRUE;
  for(guint i = 0; i < ids->len && go_on; i++)
  {
    GError *error = NULL;
    const gboolean ok = _download_one(models, opts, g_ptr_array_index(ids, i), &error);
    go_on = _count(&tally, ok, error);
  }
  return _exit_code(&tally);
}

/* Whether @p id was named; naming none means all. */
static gboolean _is_named(const char *id, int n, char **operands)
{
  for(int i = 0; i < n; i++)
    if(strcmp(operands[i], id) == 0) return TRUE;
  return n == 0;
}

int dt_cli_models_download(dt_ai_models_t *models, const dt_cli_models_opts_t *opts, int n, char **operands)
{
  if((n > 0) + opts->defaults + opts->all != 1)
  {
    dt_cli_say("say which models: their ids, --default or --all. See what is on offer: darktable-ai models "
               "list --remote");
    return DT_EXIT_USAGE;
  }
  GError *error = NULL;
  if(!dt_cli_models_ask(models, &error)) return dt_cli_fail(error);
  GPtrArray *list = dt_ai_models_list(models), *ids = g_ptr_array_new();
  gboolean offers = FALSE;
  for(int i = 0; i < n; i++) g_ptr_array_add(ids, operands[i]);
  for(guint i = 0; n == 0 && i < list->len; i++)
  {
    const dt_ai_model_t *model = g_ptr_array_index(list, i);
    if(!*model->remote_version || !(opts->all || model->is_default)) continue;
    offers = TRUE;
    if(model->status == DT_AI_MODEL_DOWNLOADED)
      dt_cli_say("%s %s is up to date", model->id, model->version);
    else
      g_ptr_array_add(ids, (gpointer)model->id);
  }
  if(n == 0 && !offers)
    dt_cli_say("the repository offers none of these; see: darktable-ai models list --remote");
  const int code = n == 0 && !offers ? DT_EXIT_NO_MODEL : _download_each(models, opts, ids);
  g_ptr_array_unref(ids);
  g_ptr_array_unref(list);
  return code;
}

int dt_cli_models_update(dt_ai_models_t *models, const dt_cli_models_opts_t *opts, int n, char **operands)
{
  GError *error = NULL;
  GPtrArray *before = dt_ai_models_list(models);
  for(int i = 0; i < n; i++)
  {
    const dt_ai_model_t *model = dt_cli_models_find(before, operands[i]);
    if(model && model->manifest) continue;
    dt_cli_say("The model %s is not installed. Get it with: darktable-ai models download %s", operands[i],
               operands[i]);
    g_ptr_array_unref(before);
    return DT_EXIT_NO_MODEL;
  }
  g_ptr_array_unref(before);
  if(!dt_cli_models_ask(models, &error)) return dt_cli_fail(error);
  GPtrArray *list = dt_ai_models_list(models), *ids = g_ptr_array_new();
  for(guint i = 0; i < list->len; i++)
  {
    const dt_ai_model_t *model = g_ptr_array_index(list, i);
    if(!model->manifest || !_is_named(model->id, n, operands)) continue;
    if(model->is_newer_on_offer)
      g_ptr_array_add(ids, (gpointer)model->id);
    else if(model->status == DT_AI_MODEL_UPDATE_REQUIRED)
      dt_cli_say("%s %s is too old for this program, and the repository has no newer one. Check "
                 "plugins/ai/repository, or choose another model.",
                 model->id, model->version);
    else if(n)
      dt_cli_say("%s %s is up to date", model->id, model->version);
  }
  if(ids->len == 0 && n == 0) dt_cli_say("nothing to update");
  const int code = _download_each(models, opts, ids);
  g_ptr_array_unref(ids);
  g_ptr_array_unref(list);
  return code;
}

int dt_cli_models_remove(dt_ai_models_t *models, const dt_cli_models_opts_t *opts, int n, char **operands)
{
  _tally_t tally = { 0 };
  for(int i = 0; i < n; i++)
  {
    GError *error = NULL;
    dt_cli_steps_t steps;
    const dt_ai_models_job_t job = _start_steps(&steps, opts);
    const gboolean ok = dt_ai_models_remove(models, operands[i], &job, &error);
    dt_cli_steps_end(&steps);
    if(ok) _print_result(opts, "removed", "id", operands[i], "");
    _count(&tally, ok, error);
  }
  return _exit_code(&tally);
}

int dt_cli_models_activate(dt_ai_models_t *models, const dt_cli_models_opts_t *opts, int n, char **operands)
{
  _tally_t tally = { 0 };
  for(int i = 0; i < n; i++)
  {
    GError *error = NULL;
    const gboolean ok = dt_ai_models_activate(models, operands[i], &error);
    if(ok) _print_result(opts, "active", "id", operands[i], "");
    _count(&tally, ok, error);
  }
  return _exit_code(&tally);
}

/* The task called so, or that of the model called so; NULL when there is neither. */
static char *_find_task(dt_ai_models_t *models, const char *name)
{
  static const char *const known[] = { "mask", "denoise", "rawdenoise", "upscale" };
  GPtrArray *list = dt_ai_models_list(models);
  char *task = NULL;
  for(size_t i = 0; i < G_N_ELEMENTS(known); i++)
    if(strcmp(known[i], name) == 0) task = g_strdup(name);
  for(guint i = 0; i < list->len && !task; i++)
  {
    const dt_ai_model_t *model = g_ptr_array_index(list, i);
    if(strcmp(model->task, name) == 0 || (model->active && strcmp(model->id, name) == 0))
      task = g_strdup(model->task);
  }
  g_ptr_array_unref(list);
  return task;
}

int dt_cli_models_deactivate(dt_ai_models_t *models, const dt_cli_models_opts_t *opts, int n, char **operands)
{
  _tally_t tally = { 0 };
  for(int i = 0; i < n; i++)
  {
    GError *error = NULL;
    char *task = _find_task(models, operands[i]);
    if(!task)
      g_set_error(&error, DT_AI_ERROR, DT_AI_ERROR_NO_MODEL,
                  "\"%s\" is neither a task nor an active model. See: darktable-ai models list", operands[i]);
    const gboolean ok = task && dt_ai_models_deactivate(models, task, &error);
    if(ok) _print_result(opts, "deactivated", "task", task, ": no model serves it now");
    _count(&tally, ok, error);
    g_free(task);
  }
  return _exit_code(&tally);
}

static void _say_remarks(const char *id, GPtrArray *remarks)
{
  for(guint i = 0; i < remarks->len; i++) dt_cli_say("%s: %s", id, (char *)g_ptr_array_index(remarks, i));
  g_ptr_array_unref(remarks);
}

int dt_cli_models_verify(dt_ai_models_t *models, const dt_cli_models_opts_t *opts, int n, char **operands)
{
  GPtrArray *list = dt_ai_models_list(models), *ids = g_ptr_array_new();
  for(int i = 0; i < n; i++) g_ptr_array_add(ids, operands[i]);
  for(guint i = 0; n == 0 && i < list->len; i++)
  {
    const dt_ai_model_t *model = g_ptr_array_index(list, i);
    if(model->manifest) g_ptr_array_add(ids, (gpointer)model->id);
  }
  _tally_t tally = { 0 };
  gboolean go_on = TRUE;
  for(guint i = 0; i < ids->len && go_on; i++)
  {
    const char *id = g_ptr_array_index(ids, i);
    GPtrArray *remarks = g_ptr_array_new_with_free_func(g_free);
    GError *error = NULL;
    dt_cli_steps_t steps;
    const dt_ai_models_job_t job = _start_steps(&steps, opts);
    const gboolean ok = dt_ai_models_verify(models, id, remarks, &job, &error);
    dt_cli_steps_end(&steps);
    if(ok) _print_result(opts, "verified", "id", id, "");
    _say_remarks(id, remarks);
    go_on = _count(&tally, ok, error);
  }
  g_ptr_array_unref(ids);
  g_ptr_array_unref(list);
  return _exit_code(&tally);
}

int dt_cli_models_rescan(dt_ai_models_t *models, const dt_cli_models_opts_t *opts, int n, char **operands)
{
  (void)n;
  (void)operands;
  GPtrArray *problems = g_ptr_array_new_with_free_func(g_free);
  GError *error = NULL;
  dt_cli_steps_t steps;
  const dt_ai_models_job_t job = _start_steps(&steps, opts);
  const gboolean ok = dt_ai_models_rescan(models, problems, &job, &error);
  dt_cli_steps_end(&steps);
  const gboolean refused = problems->len > 0;
  for(guint i = 0; i < problems->len; i++) dt_cli_say("%s", (char *)g_ptr_array_index(problems, i));
  g_ptr_array_unref(problems);
  if(!ok) return dt_cli_fail(error);
  GPtrArray *list = dt_ai_models_list(models);
  for(guint i = 0; i < list->len; i++)
  {
    const dt_ai_model_t *model = g_ptr_array_index(list, i);
    if(model->manifest) _print_result(opts, "found", "id", model->id, model->active ? ", active" : "");
  }
  g_ptr_array_unref(list);
  return refused ? DT_EXIT_PARTIAL : DT_EXIT_OK;
}

int dt_cli_models_pack(dt_ai_models_t *models, const dt_cli_models_opts_t *opts, int n, char **operands)
{
  (void)models;
  (void)n;
  GPtrArray *remarks = g_ptr_array_new_with_free_func(g_free);
  GError *error = NULL;
  char *path =
      dt_ai_models_pack(operands[0], opts->output, opts->overwrite, remarks, dt_cli_catch_signals(), &error);
  _say_remarks(operands[0], remarks);
  if(!path) return dt_cli_fail(error);
  _print_result(opts, "packed", "path", path, "");
  g_free(path);
  return DT_EXIT_OK;
}
