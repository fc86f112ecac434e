/* SPDX-License-Identifier: GPL-3.0-or-later */
/* history: shows and changes what has been done to photographs, in the sidecars beside them. The photographs themselves
 * are not even opened. */
#include "cli/batch_jobs.h"
#include "cli/cli.h"
#include "cli/module_options.h"
#include "common/ai_manifest.h"
#include "develop/sidecar.h"
#include "develop/style.h"

#include <stdio.h>
#include <string.h>

/** Characters of a name that somebody else may have written. */
#define MAX_SHOWN 100

static struct
{
  char **modules, *style;
  int steps;
  gboolean force, recursive, dry_run, json;
} _opt = { .steps = 1 };

static const GOptionEntry _entries[] = {
  { "module", 0, 0, G_OPTION_ARG_STRING_ARRAY, &_opt.modules,
    "set: exposure.exposure=1, sigmoid=off; repeatable", "NAME.PARAM=VALUE" },
  { "style", 0, 0, G_OPTION_ARG_FILENAME, &_opt.style,
    "set: apply this style, or another photograph's sidecar", "FILE" },
  { "steps", 0, 0, G_OPTION_ARG_INT, &_opt.steps, "undo, redo: how many (default 1)", "N" },
  { "force", 0, 0, G_OPTION_ARG_NONE, &_opt.force, "also change sidecars of a newer version", NULL },
  { "recursive", 0, 0, G_OPTION_ARG_NONE, &_opt.recursive, "look into directories below", NULL },
  { "dry-run", 0, 0, G_OPTION_ARG_NONE, &_opt.dry_run, "print what the history would be and write nothing",
    NULL },
  { "json", 0, 0, G_OPTION_ARG_NONE, &_opt.json, "print one JSON object per photograph", NULL },
  { NULL, 0, 0, 0, NULL, NULL, NULL },
};

/* --- what is done to a history --- */

/* NULL does nothing. @p remarks receives sentences about what is kept but not used. */
typedef gboolean (*_change_t)(dt_history_t *history, GPtrArray *remarks, GError **error);

static gboolean _set(dt_history_t *history, GPtrArray *remarks, GError **error)
{
  return (!_opt.style || dt_history_apply_style(history, _opt.style, remarks, error))
         && dt_cli_apply_settings(history, _opt.modules, error);
}

/* Everything is undone: it can be redone until something else is done. */
static gboolean _reset(dt_history_t *history, GPtrArray *remarks, GError **error)
{
  (void)remarks;
  (void)error;
  while(dt_history_undo(history))
    ;
  return TRUE;
}

static gboolean _undo(dt_history_t *history, GPtrArray *remarks, GError **error)
{
  (void)remarks;
  (void)error;
  for(int i = 0; i < _opt.steps && dt_history_undo(history); i++)
    ;
  return TRUE;
}

static gboolean _redo(dt_history_t *history, GPtrArray *remarks, GError **error)
{
  (void)remarks;
  (void)error;
  for(int i = 0; i < _opt.steps && dt_history_redo(history); i++)
    ;
  return TRUE;
}

static const struct
{
  const char *name;
  _change_t change;
} _verbs[] = { { "show", NULL }, { "set", _set }, { "reset", _reset }, { "undo", _undo }, { "redo", _redo } };

/* One run of the command. */
typedef struct _run_t
{
  _change_t change;
  dt_cli_jobs_t jobs;
} _run_t;

/* --- words --- */

static void _print_step(const dt_history_item_t *item, guint number, gboolean in_force)
{
  GString *line = g_string_new(NULL);
  char *name = dt_manifest_printable(item->module, MAX_SHOWN);
  g_string_append_printf(line, "%4u  %-15s %-3s", number, name, item->enabled ? "on" : "off");
  dt_cli_append_values(line, item);
  if(!in_force) g_string_append(line, "  (undone)");
  puts(line->str);
  g_free(name);
  g_string_free(line, TRUE);
}

static void _print_words(const char *photo, const dt_history_t *history, gboolean changed)
{
  char *name = g_filename_display_name(photo);
  const char *what = !changed ? "" : _opt.dry_run ? ", would be written" : ", written";
  if(history->items->len == 0)
    printf("%s: no history%s\n", name, what);
  else
    printf("%s: %u of %u steps in force%s\n", name, history->end, history->items->len, what);
  for(guint i = 0; i < history->items->len; i++)
    _print_step(history->items->pdata[i], i + 1, i < history->end);
  g_free(name);
}

/* --- JSON --- */

static void _print_step_json(const dt_history_item_t *item, gboolean in_force)
{
  fputs("{\"module\":", stdout);
  dt_cli_print_json_string(item->module);
  printf(",\"version\":%d,\"enabled\":%s,\"in_force\":%s", item->version, item->enabled ? "true" : "false",
         in_force ? "true" : "false");
  dt_cli_print_values("params", item->params);
  dt_cli_print_values("blend", item->blend);
  putchar('}');
}

static void _print_json(const char *photo, const dt_history_t *history, gboolean changed)
{
  char *sidecar = dt_sidecar_path(photo);
  fputs("{\"schema_version\":1,\"event\":\"history\",\"input\":", stdout);
  dt_cli_print_json_string(photo);
  fputs(",\"sidecar\":", stdout);
  dt_cli_print_json_string(sidecar);
  printf(",\"changed\":%s,\"written\":%s,\"in_force\":%u,\"steps\":[", changed ? "true" : "false",
         changed && !_opt.dry_run ? "true" : "false", history->end);
  for(guint i = 0; i < history->items->len; i++)
  {
    if(i > 0) putchar(',');
    _print_step_json(history->items->pdata[i], i < history->end);
  }
  puts("]}");
  g_free(sidecar);
}

/* --- the work --- */

/* A slip of the pen is to leave no sidecar beside nothing. */
static gboolean _check_photo(const char *photo, GError **error)
{
  const char *wrong = NULL;
  if(g_str_has_suffix(photo, DT_SIDECAR_SUFFIX))
    wrong = "this is a sidecar. Give the name of its photograph.";
  else if(!g_file_test(photo, G_FILE_TEST_EXISTS))
    wrong = "there is no such photograph. Check the name.";
  else if(!g_file_test(photo, G_FILE_TEST_IS_REGULAR))
    wrong = "this is no ordinary file. Give the name of a photograph.";
  if(wrong) g_set_error(error, DT_AI_ERROR, DT_AI_ERROR_INPUT, "%s: %s", photo, wrong);
  return !wrong;
}

static gboolean _write(const char *photo, const dt_history_t *history, GError **error)
{
  char *sidecar = dt_sidecar_path(photo);
  const gboolean fine = dt_sidecar_write(sidecar, history, _opt.force, error);
  g_free(sidecar);
  return fine;
}

/* Changes the history of one photograph and writes it, unless it stays as it is.
 * @return the history (transfer full), or NULL with @p error */
static dt_history_t *_work(const _run_t *run, const char *photo, GPtrArray *remarks, gboolean *changed,
                           GError **error)
{
  dt_history_t *history = _check_photo(photo, error) ? dt_sidecar_load(photo, NULL, remarks, error) : NULL;
  if(!history || !run->change) return history;
  dt_history_t *before = dt_history_copy(history);
  gboolean fine = run->change(history, remarks, error);
  *changed = fine && !dt_history_equal(before, history);
  if(*changed && !_opt.dry_run) fine = _write(photo, history, error);
  dt_history_free(before);
  if(!fine) g_clear_pointer(&history, dt_history_free);
  return history;
}

static void _do_one(const dt_batch_item_t *item, void *user_data)
{
  _run_t *run = user_data;
  GError *error = NULL;
  gboolean changed = FALSE;
  GPtrArray *remarks = g_ptr_array_new_with_free_func(g_free);
  dt_history_t *history = _work(run, item->path, remarks, &changed, &error);
  for(guint i = 0; i < remarks->len; i++) dt_cli_say("%s: %s", item->path, (const char *)remarks->pdata[i]);
  if(error)
    dt_cli_jobs_count_failure(&run->jobs, item->path, error);
  else
  {
    run->jobs.done++;
    (_opt.json ? _print_json : _print_words)(item->path, history, changed);
  }
  dt_history_free(history);
  g_ptr_array_unref(remarks);
}

/* --- the command --- */

/* What is wrong with the arguments; NULL: nothing. */
static const char *_check(_change_t change, int photos)
{
  const gboolean says_what = _opt.modules || _opt.style;
  if(change == _set && !says_what) return "set takes --module or --style.";
  if(change != _set && says_what) return "only set takes --module and --style.";
  if(_opt.steps < 1) return "--steps is a number from 1.";
  if(_opt.steps > 1 && change != _undo && change != _redo) return "only undo and redo take --steps.";
  return photos < 1 ? "say which photographs." : NULL;
}

static gboolean _find_verb(const char *name, _change_t *change)
{
  for(gsize i = 0; i < G_N_ELEMENTS(_verbs); i++)
    if(strcmp(_verbs[i].name, name) == 0)
    {
      *change = _verbs[i].change;
      return TRUE;
    }
  return FALSE;
}

static int _run(_change_t change, char *const *photos, int n)
{
  _run_t run = { .change = change };
  const dt_batch_opts_t opts = { .raws = TRUE, .recursive = _opt.recursive };
  dt_cli_catch_signals();
  dt_cli_jobs_init(&run.jobs, photos, n, &opts, _opt.json);
  dt_cli_jobs_report_problems(&run.jobs);
  dt_cli_jobs_work(&run.jobs, 1, _do_one, &run);
  const int code = dt_cli_jobs_exit_code(&run.jobs);
  dt_cli_jobs_clear(&run.jobs);
  return code;
}

static int _history(int argc, char **argv)
{
  int code = DT_EXIT_OK;
  GError *error = NULL;
  _change_t change;
  if(!dt_cli_parse(&argc, &argv, "show | set | reset | undo | redo FILES…",
                   "Shows and changes what has been done to photographs, in the sidecars beside them.",
                   "Examples:\n"
                   "  darktable-ai history show photo.nef\n"
                   "  darktable-ai history set *.nef --module exposure.exposure=0.7\n"
                   "  darktable-ai history set b.nef --style a.nef.dtai.xmp",
                   _entries, &code))
    return code;
  if(argc < 2 || !_find_verb(argv[1], &change))
  {
    dt_cli_say(
        "history takes: show, set, reset, undo or redo, and photographs. See: darktable-ai history --help");
    return DT_EXIT_USAGE;
  }
  const char *wrong = _check(change, argc - 2);
  if(wrong)
  {
    dt_cli_say("%s See: darktable-ai history --help", wrong);
    return DT_EXIT_USAGE;
  }
  if(!dt_cli_check_settings(_opt.modules, &error) || !dt_cli_check_style(_opt.style, &error))
    return dt_cli_fail(error);
  return _run(change, argv + 2, argc - 2);
}

const dt_cli_command_t dt_cli_cmd_history = { "history", "show and change what was done to photographs",
                                              _history };
