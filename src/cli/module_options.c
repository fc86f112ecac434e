/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Settings of modules from the command line, checked before the first photograph is opened, and in words. */
#include "cli/module_options.h"

#include "cli/cli.h"
#include "common/ai_manifest.h"
#include "common/errors.h"
#include "develop/blend.h"
#include "develop/style.h"

#include <stdio.h>
#include <string.h>

/** Characters of a name or a value that somebody else may have written. */
#define MAX_SHOWN 300
#define BLEND ".blend."
#define MASK "mask" /* names a file, and is no number of the table */

/* --- what could have been said --- */

static void _add_choice(GPtrArray *choices, const char *module, const char *between, const char *name)
{
  g_ptr_array_add(choices, g_strconcat(module, between, name, NULL));
}

static void _list_modules(GPtrArray *choices)
{
  for(const dt_iop_module_t *const *module = dt_iop_modules; *module; module++)
    if(!((*module)->flags & DT_IOP_HIDDEN)) _add_choice(choices, (*module)->name, "", "");
}

static void _list_params(GPtrArray *choices, const dt_iop_module_t *module)
{
  for(const dt_iop_param_t *param = module->params; param && param->name; param++)
    _add_choice(choices, module->name, ".", param->name);
}

/* Those that it takes. */
static void _list_blend(GPtrArray *choices, const dt_iop_module_t *module)
{
  if(!(module->flags & DT_IOP_NO_BLEND)) _add_choice(choices, module->name, BLEND, MASK);
  for(const dt_iop_param_t *param = dt_blend_table.params; param->name; param++)
    if(dt_blend_find_param(module, param->name, NULL)) _add_choice(choices, module->name, BLEND, param->name);
}

/* Lists what could have been said in the place of @p name: modules, or the parameters of the one it names.
 * @return whether @p name needs no such advice: what is wrong is the value, or to switch that module */
static gboolean _list_choices(GPtrArray *choices, const char *name, gboolean has_value)
{
  char *word = g_strndup(name, strcspn(name, "."));
  const dt_iop_module_t *module = dt_iop_find(word);
  const char *rest = name + strlen(word);
  if(!module || module->flags & DT_IOP_HIDDEN)
    _list_modules(choices);
  else if(g_str_has_prefix(rest, BLEND))
    _list_blend(choices, module);
  else
    _list_params(choices, module);
  g_free(word);
  return g_ptr_array_find_with_equal_func(choices, name, g_str_equal, NULL)
         || (module && has_value && *rest == '\0' && !(module->flags & DT_IOP_HIDDEN));
}

/* What to do next, with a blank in front (transfer full): the list, where it helps. */
static char *_advise(const char *setting)
{
  const gsize length = strcspn(setting, "=");
  char *name = g_strstrip(g_strndup(setting, length));
  GPtrArray *choices = g_ptr_array_new_with_free_func(g_free);
  const gboolean known = _list_choices(choices, name, setting[length] != '\0');
  GString *text = g_string_new(known || choices->len == 0 ? " Check --module." : " Choose from:");
  for(guint i = 0; i < choices->len && !known; i++)
    g_string_append_printf(text, " %s", (const char *)choices->pdata[i]);
  g_ptr_array_unref(choices);
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
  char *advice = _advise(setting);
  g_set_error(error, reason->domain, reason->code, "%s%s", reason->message, advice);
  g_free(advice);
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

/* --- in words --- */

static const dt_history_value_t *_value(const GArray *values, guint i)
{
  return &g_array_index(values, dt_history_value_t, i);
}

/* Whether a parameter has its standard value. What is not understood has none. */
static gboolean _is_standard(const dt_iop_module_t *module, const dt_history_value_t *value)
{
  const dt_iop_param_t *param = module ? dt_iop_find_param(module, value->name) : NULL;
  if(!param) return FALSE;
  void *standard = dt_iop_standard_params(module), *own = dt_iop_standard_params(module);
  const gboolean same = dt_iop_set_param(module, param, own, value->text, NULL)
                        && memcmp(standard, own, module->params_size) == 0;
  g_free(standard);
  g_free(own);
  return same;
}

/* Somebody else may have written the sidecar, and a terminal obeys control characters. */
static void _append_value(GString *line, const char *prefix, const dt_history_value_t *value)
{
  char *name = dt_manifest_printable(value->name, MAX_SHOWN),
       *text = dt_manifest_printable(value->text, MAX_SHOWN);
  g_string_append_printf(line, "  %s%s=%s", prefix, name, text);
  g_free(text);
  g_free(name);
}

void dt_cli_append_values(GString *line, const dt_history_item_t *item)
{
  const dt_iop_module_t *module = dt_iop_find(item->module);
  for(guint i = 0; i < item->params->len; i++)
    if(!_is_standard(module, _value(item->params, i))) _append_value(line, "", _value(item->params, i));
  for(guint i = 0; i < item->blend->len; i++) _append_value(line, "blend.", _value(item->blend, i));
}

void dt_cli_print_values(const char *key, const GArray *values)
{
  printf(",\"%s\":{", key);
  for(guint i = 0; i < values->len; i++)
  {
    if(i > 0) putchar(',');
    dt_cli_print_json_string(_value(values, i)->name);
    putchar(':');
    dt_cli_print_json_string(_value(values, i)->text);
  }
  putchar('}');
}
