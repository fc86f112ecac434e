/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Settings of modules from the command line: checked before the first photograph is opened. */
#include "cli/module_options.h"

#include "common/errors.h"
#include "develop/blend.h"
#include "develop/style.h"

#include <string.h>

#define BLEND ".blend."
#define MASK "mask" /* names a file, and is no number of the table */

/* --- what could have been said --- */

static void _list_params(GString *text, const char *prefix, const dt_iop_param_t *params)
{
  for(const dt_iop_param_t *param = params; param && param->name; param++)
    g_string_append_printf(text, " %s%s", prefix, param->name);
}

/* What could have been said in the place of @p setting: modules, or the parameters of the one it names. */
static char *_list_choices(const char *setting)
{
  char *name = g_strndup(setting, strcspn(setting, ".="));
  const dt_iop_module_t *named = dt_iop_find(name);
  GString *text = g_string_new("Choose from:");
  if(named)
  {
    const gboolean blend = strncmp(setting + strlen(name), BLEND, strlen(BLEND)) == 0;
    char *prefix = g_strconcat(name, blend ? BLEND : ".", NULL);
    if(blend) g_string_append_printf(text, " %s" MASK, prefix);
    _list_params(text, prefix, blend ? dt_blend_table.params : named->params);
    g_free(prefix);
  }
  for(const dt_iop_module_t *const *module = dt_iop_modules; !named && *module; module++)
    if(!((*module)->flags & DT_IOP_HIDDEN)) g_string_append_printf(text, " %s", (*module)->name);
  g_free(name);
  return g_string_free(text, FALSE);
}

/* --- checking --- */

/* A history keeps any text for blending; here somebody can still be told. */
static gboolean _check_blend(const char *setting, GError **error)
{
  const char *equals = strchr(setting, '='), *blend = strstr(setting, BLEND);
  if(!blend || blend > equals) return TRUE;
  char *name = g_strstrip(g_strndup(blend + strlen(BLEND), (gsize)(equals - blend) - strlen(BLEND)));
  char *text = g_strstrip(g_strdup(equals + 1));
  const dt_iop_param_t *param = dt_iop_find_param(&dt_blend_table, name);
  void *params = dt_iop_standard_params(&dt_blend_table);
  gboolean fine = strcmp(name, MASK) == 0;
  if(param)
    fine = dt_iop_set_param(&dt_blend_table, param, params, text, error);
  else if(!fine)
    g_set_error(error, DT_AI_ERROR, DT_AI_ERROR_USAGE, "There is no blending parameter \"%s\".", name);
  g_free(params);
  g_free(text);
  g_free(name);
  return fine;
}

static gboolean _check_setting(dt_history_t *history, const char *setting, GError **error)
{
  GError *reason = NULL;
  if(dt_history_set(history, setting, NULL, &reason) && _check_blend(setting, &reason)) return TRUE;
  char *choices = _list_choices(setting);
  g_set_error(error, reason->domain, reason->code, "%s %s", reason->message, choices);
  g_free(choices);
  g_error_free(reason);
  return FALSE;
}

gboolean dt_cli_check_settings(char *const *settings, GError **error)
{
  dt_history_t *history = dt_history_create(NULL);
  gboolean fine = TRUE;
  for(; fine && settings && *settings; settings++) fine = _check_setting(history, *settings, error);
  dt_history_free(history);
  return fine;
}

gboolean dt_cli_check_style(const char *style, GError **error)
{
  GError *reason = NULL;
  dt_history_t *history = dt_history_create(NULL);
  const gboolean fine = !style || dt_history_apply_style(history, style, NULL, &reason);
  dt_history_free(history);
  if(fine) return TRUE;
  g_set_error(error, reason->domain, reason->code,
              "%s\nCheck --style: it takes a sidecar, or a text with a line for each NAME.PARAM=VALUE.",
              reason->message);
  g_error_free(reason);
  return FALSE;
}

/* --- doing --- */

/* The same with the full name of the file, where it names one (transfer full). */
static char *_anchor_mask(const char *setting)
{
  const char *equals = strchr(setting, '=');
  static const char ending[] = BLEND MASK;
  char *name = g_strchomp(g_strndup(setting, (gsize)(equals - setting)));
  char *file = g_strstrip(g_strdup(equals + 1));
  char *full = g_str_has_suffix(name, ending) ? g_canonicalize_filename(file, NULL) : NULL;
  char *anchored = full ? g_strconcat(name, "=", full, NULL) : g_strdup(setting);
  g_free(full);
  g_free(file);
  g_free(name);
  return anchored;
}

gboolean dt_cli_apply_settings(dt_history_t *history, char *const *settings, GError **error)
{
  gboolean fine = TRUE;
  for(; fine && settings && *settings; settings++)
  {
    char *setting = _anchor_mask(*settings);
    fine = dt_history_set(history, setting, NULL, error);
    g_free(setting);
  }
  return fine;
}
