/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The history stack. Items hold texts, as somebody wrote them; numbers are made of them when a pipe asks, so that what is
 * not understood here gets back to whoever does. */
#include "develop/history.h"

#include "common/ai_manifest.h"
#include "common/checksum.h"
#include "common/errors.h"
#include "develop/blend.h"

#include <string.h>

/** Before the names of blending in a setting. */
#define BLEND "blend."
/** Bytes of a sentence about somebody's text. */
#define MAX_SHOWN 300

/* --- values --- */

static void _clear_value(void *data)
{
  dt_history_value_t *value = data;
  g_free(value->name);
  g_free(value->text);
}

static GArray *_values_new(void)
{
  GArray *values = g_array_new(FALSE, FALSE, sizeof(dt_history_value_t));
  g_array_set_clear_func(values, _clear_value);
  return values;
}

static dt_history_value_t *_value(const GArray *values, guint i)
{
  return &g_array_index(values, dt_history_value_t, i);
}

static dt_history_value_t *_find_value(const GArray *values, const char *name)
{
  for(guint i = 0; i < values->len; i++)
    if(strcmp(_value(values, i)->name, name) == 0) return _value(values, i);
  return NULL;
}

const char *dt_history_get_value(const GArray *values, const char *name)
{
  const dt_history_value_t *value = _find_value(values, name);
  return value ? value->text : NULL;
}

void dt_history_set_value(GArray *values, const char *name, const char *text)
{
  dt_history_value_t *old = _find_value(values, name);
  const dt_history_value_t value = { g_strdup(name), g_strdup(text) };
  if(!old)
  {
    g_array_append_val(values, value);
    return;
  }
  _clear_value(old);
  *old = value;
}

static GArray *_copy_values(const GArray *values)
{
  GArray *copy = _values_new();
  for(guint i = 0; i < values->len; i++)
  {
    const dt_history_value_t value = { g_strdup(_value(values, i)->name), g_strdup(_value(values, i)->text) };
    g_array_append_val(copy, value);
  }
  return copy;
}

/* In whatever order; mostly it is the same. */
static gboolean _values_equal(const GArray *one, const GArray *other)
{
  if(one->len != other->len) return FALSE;
  for(guint i = 0; i < one->len; i++)
  {
    const dt_history_value_t *a = _value(one, i), *b = _value(other, i);
    if(strcmp(a->name, b->name) != 0) b = _find_value(other, a->name);
    if(!b || strcmp(a->text, b->text) != 0) return FALSE;
  }
  return TRUE;
}

/* --- items --- */

dt_history_item_t *dt_history_item_new(const char *module, int version, gboolean enabled)
{
  dt_history_item_t *item = g_new(dt_history_item_t, 1);
  *item = (dt_history_item_t){ g_strdup(module), version, enabled, _values_new(), _values_new() };
  return item;
}

dt_history_item_t *dt_history_item_copy(const dt_history_item_t *item)
{
  dt_history_item_t *copy = g_new(dt_history_item_t, 1);
  *copy = (dt_history_item_t){ g_strdup(item->module), item->version, item->enabled,
                               _copy_values(item->params), _copy_values(item->blend) };
  return copy;
}

void dt_history_item_free(dt_history_item_t *item)
{
  if(!item) return;
  g_free(item->module);
  g_array_unref(item->params);
  g_array_unref(item->blend);
  g_free(item);
}

gboolean dt_history_item_equal(const dt_history_item_t *one, const dt_history_item_t *other)
{
  return strcmp(one->module, other->module) == 0 && one->version == other->version
         && !one->enabled == !other->enabled && _values_equal(one->params, other->params)
         && _values_equal(one->blend, other->blend);
}

static void _free_item(void *data)
{
  dt_history_item_free(data);
}

static dt_history_item_t *_item(const dt_history_t *history, guint i)
{
  return history->items->pdata[i];
}

/* --- the stack --- */

dt_history_t *dt_history_create(const dt_iop_module_t *const *modules)
{
  dt_history_t *history = g_new0(dt_history_t, 1);
  history->modules = modules ? modules : dt_iop_modules;
  history->items = g_ptr_array_new_with_free_func(_free_item);
  return history;
}

dt_history_t *dt_history_copy(const dt_history_t *history)
{
  dt_history_t *copy = dt_history_create(history->modules);
  for(guint i = 0; i < history->items->len; i++)
    g_ptr_array_add(copy->items, dt_history_item_copy(_item(history, i)));
  copy->end = history->end;
  return copy;
}

void dt_history_free(dt_history_t *history)
{
  if(!history) return;
  g_ptr_array_unref(history->items);
  g_free(history);
}

void dt_history_push(dt_history_t *history, dt_history_item_t *item)
{
  g_ptr_array_set_size(history->items, (gint)history->end);
  g_ptr_array_add(history->items, item);
  history->end = history->items->len;
}

gboolean dt_history_undo(dt_history_t *history)
{
  if(history->end == 0) return FALSE;
  history->end--;
  return TRUE;
}

gboolean dt_history_redo(dt_history_t *history)
{
  if(history->end == history->items->len) return FALSE;
  history->end++;
  return TRUE;
}

gboolean dt_history_equal(const dt_history_t *one, const dt_history_t *other)
{
  if(one->end != other->end || one->items->len != other->items->len) return FALSE;
  for(guint i = 0; i < one->items->len; i++)
    if(!dt_history_item_equal(_item(one, i), _item(other, i))) return FALSE;
  return TRUE;
}

/* --- what counts --- */

/* The module of that name, hidden ones too, or NULL. */
static const dt_iop_module_t *_find_module(const dt_history_t *history, const char *name)
{
  for(const dt_iop_module_t *const *module = history->modules; *module; module++)
    if(strcmp((*module)->name, name) == 0) return *module;
  return NULL;
}

static gboolean _is_usable(const dt_iop_module_t *module, const dt_history_item_t *item)
{
  return module && !(module->flags & DT_IOP_HIDDEN) && item->version >= 1 && item->version <= module->version;
}

const dt_history_item_t *dt_history_find(const dt_history_t *history, const char *name)
{
  const dt_iop_module_t *module = _find_module(history, name);
  const dt_history_item_t *last = NULL;
  for(guint i = history->end; i > 0; i--)
  {
    const dt_history_item_t *item = _item(history, i - 1);
    if(strcmp(item->module, name) != 0) continue;
    if(_is_usable(module, item)) return item;
    if(!last) last = item;
  }
  return last;
}

static const dt_history_item_t *_find_usable(const dt_history_t *history, const dt_iop_module_t *module)
{
  const dt_history_item_t *item = dt_history_find(history, module->name);
  return item && _is_usable(module, item) ? item : NULL;
}

void *dt_history_params(const dt_history_t *history, const dt_iop_module_t *module)
{
  void *params = dt_iop_standard_params(module);
  const dt_history_item_t *item = _find_usable(history, module);
  for(const dt_iop_param_t *param = module->params; params && item && param->name; param++)
  {
    const char *text = dt_history_get_value(item->params, param->name);
    if(text) dt_iop_set_param(module, param, params, text, NULL); /* leaves alone what it cannot set */
  }
  return params;
}

const GArray *dt_history_blend(const dt_history_t *history, const dt_iop_module_t *module)
{
  const dt_history_item_t *item = module->flags & DT_IOP_NO_BLEND ? NULL : _find_usable(history, module);
  return item && item->blend->len ? item->blend : NULL;
}

gboolean dt_history_has(const dt_history_t *history, const dt_iop_module_t *module)
{
  return _find_usable(history, module) != NULL;
}

gboolean dt_history_is_enabled(const dt_history_t *history, const dt_iop_module_t *module)
{
  const dt_history_item_t *item = _find_usable(history, module);
  if(module->flags & DT_IOP_ALWAYS) return TRUE;
  return item ? item->enabled : (module->flags & DT_IOP_ON) != 0;
}

dt_history_item_t *dt_history_difference(const dt_history_t *history, const dt_iop_module_t *module)
{
  dt_history_item_t *item =
      dt_history_item_new(module->name, module->version, dt_history_is_enabled(history, module));
  const GArray *blend = dt_history_blend(history, module);
  void *params = dt_history_params(history, module), *standard = dt_iop_standard_params(module);
  for(const dt_iop_param_t *param = module->params; params && param->name; param++)
  {
    char *text = dt_iop_get_param(param, params), *usual = dt_iop_get_param(param, standard);
    if(strcmp(text, usual) != 0) dt_history_set_value(item->params, param->name, text);
    g_free(usual);
    g_free(text);
  }
  for(guint i = 0; blend && i < blend->len; i++)
    dt_history_set_value(item->blend, _value(blend, i)->name, _value(blend, i)->text);
  g_free(standard);
  g_free(params);
  return item;
}

/* --- the hash --- */

static int _compare_names(const void *a, const void *b)
{
  return strcmp(((const dt_history_value_t *)a)->name, ((const dt_history_value_t *)b)->name);
}

/* With the zero at its end, which divides it from what follows. */
static void _add_text(GString *state, const char *text)
{
  g_string_append_len(state, text, (gssize)strlen(text) + 1);
}

static void _add_params(GString *state, const dt_history_t *history, const dt_iop_module_t *module)
{
  void *params = dt_history_params(history, module);
  for(const dt_iop_param_t *param = module->params; params && param->name; param++)
    g_string_append_len(state, (const char *)params + param->offset, 4); /* float or int */
  g_free(params);
}

static void _add_blend(GString *state, const GArray *blend)
{
  if(!blend) return;
  GArray *sorted = _copy_values(blend);
  g_array_sort(sorted, _compare_names);
  for(guint i = 0; i < sorted->len; i++)
  {
    _add_text(state, _value(sorted, i)->name);
    _add_text(state, _value(sorted, i)->text);
  }
  g_array_unref(sorted);
}

guint64 dt_history_hash(const dt_history_t *history, const dt_iop_module_t *last)
{
  GString *state = g_string_new(NULL);
  for(const dt_iop_module_t *const *module = history->modules; *module; module++)
  {
    const gboolean on = dt_history_is_enabled(history, *module), has = dt_history_has(history, *module);
    _add_text(state, (*module)->name);
    /* without an item it depends on the photograph */
    _add_text(state, !has && ((*module)->flags & DT_IOP_ON_RAW) ? "standard" : on ? "on" : "off");
    if(on)
    {
      _add_params(state, history, *module);
      _add_blend(state, dt_history_blend(history, *module));
      _add_text(state, "");
    }
    if(*module == last) break;
  }
  const guint64 hash = dt_checksum64(state->str, state->len);
  g_string_free(state, TRUE);
  return hash;
}

/* --- what is not understood --- */

/* Whether @p text is a value of a parameter of that table. */
static gboolean _check_text(const dt_iop_module_t *table, const dt_iop_param_t *param, const char *text,
                            GError **error)
{
  void *params = dt_iop_standard_params(table);
  const gboolean fine = dt_iop_set_param(table, param, params, text, error);
  g_free(params);
  return fine;
}

static gboolean _check_value(const dt_iop_module_t *module, const char *name, const char *text,
                             GError **error)
{
  const dt_iop_param_t *param = dt_iop_find_param(module, name);
  if(param) return _check_text(module, param, text, error);
  g_set_error(error, DT_AI_ERROR, DT_AI_ERROR_USAGE, "%s has no parameter \"%s\".", module->name, name);
  return FALSE;
}

/* "mask" names a file, which is looked at when a pipe needs it. */
static gboolean _check_blend(const dt_iop_module_t *module, const char *name, const char *text,
                             GError **error)
{
  const gboolean is_file = strcmp(name, "mask") == 0;
  const dt_iop_param_t *param = dt_blend_find_param(module, is_file ? "opacity" : name, error);
  return param && (is_file || _check_text(&dt_blend_table, param, text, error));
}

static gboolean _check_switch(const dt_iop_module_t *module, gboolean on, GError **error)
{
  if(on || !(module->flags & DT_IOP_ALWAYS)) return TRUE;
  g_set_error(error, DT_AI_ERROR, DT_AI_ERROR_USAGE, "%s cannot be switched off.", module->name);
  return FALSE;
}

static gboolean _check_module(const dt_history_t *history, const char *name, const dt_iop_module_t **module,
                              GError **error)
{
  *module = _find_module(history, name);
  if(*module && !((*module)->flags & DT_IOP_HIDDEN)) return TRUE;
  g_set_error(error, DT_AI_ERROR, DT_AI_ERROR_USAGE,
              *module ? "The module \"%s\" belongs to the pipe and has no settings."
                      : "There is no module \"%s\".",
              name);
  return FALSE;
}

/* Adds a sentence more to the error's, and frees it; nothing for none. */
static void _remark(GPtrArray *remarks, const char *where, GError **cause)
{
  if(!*cause) return;
  char *text = g_strdup_printf("%s: %s It is kept but not used.", where, (*cause)->message);
  g_ptr_array_add(remarks, dt_manifest_printable(text, MAX_SHOWN));
  g_free(text);
  g_clear_error(cause);
}

static gboolean _check_version(const dt_iop_module_t *module, const dt_history_item_t *item, GError **error)
{
  if(_is_usable(module, item)) return TRUE;
  if(item->version > module->version)
    g_set_error(error, DT_AI_ERROR, DT_AI_ERROR_INPUT, "it is of version %d, and this program knows %d.",
                item->version, module->version);
  else
    g_set_error(error, DT_AI_ERROR, DT_AI_ERROR_INPUT, "its version is not known.");
  return FALSE;
}

static void _check_values(const dt_iop_module_t *module, const GArray *values,
                          gboolean (*check)(const dt_iop_module_t *module, const char *name, const char *text,
                                            GError **error),
                          const char *where, GPtrArray *remarks)
{
  for(guint i = 0; i < values->len; i++)
  {
    GError *error = NULL;
    check(module, _value(values, i)->name, _value(values, i)->text, &error);
    _remark(remarks, where, &error);
  }
}

static void _check_item(const dt_history_t *history, guint i, GPtrArray *remarks)
{
  const dt_history_item_t *item = _item(history, i);
  const dt_iop_module_t *module;
  GError *error = NULL;
  char *where = g_strdup_printf("history item %u (%s)", i + 1, item->module);
  if(_check_module(history, item->module, &module, &error) && _check_version(module, item, &error))
  {
    _check_values(module, item->params, _check_value, where, remarks);
    _check_values(module, item->blend, _check_blend, where, remarks);
    _check_switch(module, item->enabled, &error);
  }
  _remark(remarks, where, &error);
  g_free(where);
}

GPtrArray *dt_history_check(const dt_history_t *history)
{
  GPtrArray *remarks = g_ptr_array_new_with_free_func(g_free);
  for(guint i = 0; i < history->items->len; i++) _check_item(history, i, remarks);
  return remarks;
}

/* --- doing --- */

/* The state of a module so far, for the next item of it (transfer full). */
static dt_history_item_t *_continue_item(const dt_history_t *history, const char *name)
{
  const dt_iop_module_t *module = _find_module(history, name);
  const dt_history_item_t *last = dt_history_find(history, name);
  if(!module) return last ? dt_history_item_copy(last) : dt_history_item_new(name, 1, TRUE);
  if(!last || !_is_usable(module, last))
    return dt_history_item_new(name, module->version, (module->flags & DT_IOP_ON) != 0);
  dt_history_item_t *item = dt_history_item_copy(last);
  item->version = module->version;
  return item;
}

/* All parameters are written down: what is standard may change with versions. */
static void _store_params(dt_history_item_t *item, const dt_iop_module_t *module, const void *params)
{
  for(const dt_iop_param_t *param = module->params; params && param && param->name; param++)
  {
    char *text = dt_iop_get_param(param, params);
    dt_history_set_value(item->params, param->name, text);
    g_free(text);
  }
}

void dt_history_append(dt_history_t *history, const dt_iop_module_t *module, gboolean enabled,
                       const void *params)
{
  dt_history_item_t *item = _continue_item(history, module->name);
  item->enabled = enabled;
  _store_params(item, module, params);
  dt_history_push(history, item);
}

/** A setting in its parts. */
typedef struct _setting_t
{
  char *module, *name, *text; ///< no name: the switch
  gboolean blend, on;
} _setting_t;

static void _clear_setting(_setting_t *s)
{
  g_free(s->module);
  g_free(s->name);
  g_free(s->text);
}

static gboolean _is_name(const char *text, const char *more)
{
  if(!g_ascii_isalpha(*text) && *text != '_') return FALSE;
  for(; *text; text++)
    if(!g_ascii_isalnum(*text) && *text != '_' && !strchr(more, *text)) return FALSE;
  return TRUE;
}

/* What a file can hold: no control characters, no places of Unicode that are no characters. */
static gboolean _is_text(const char *text)
{
  if(!g_utf8_validate(text, -1, NULL)) return FALSE;
  for(; *text; text = g_utf8_next_char(text))
  {
    const gunichar c = g_utf8_get_char(text);
    if(g_unichar_iscntrl(c) || (c & 0xfffe) == 0xfffe) return FALSE;
  }
  return TRUE;
}

gboolean dt_history_parse_switch(const char *text, gboolean *on)
{
  static const char *const words[] = { "off", "on", "false", "true", "no", "yes", "0", "1" };
  for(guint i = 0; i < G_N_ELEMENTS(words); i++)
    if(g_ascii_strcasecmp(text, words[i]) == 0)
    {
      *on = i % 2 == 1;
      return TRUE;
    }
  return FALSE;
}

/* Fills @p s, which is cleared by the caller. */
static gboolean _divide(const char *setting, _setting_t *s)
{
  const char *equals = strchr(setting, '=');
  if(!equals || !_is_text(setting)) return FALSE;
  s->module = g_strstrip(g_strndup(setting, (gsize)(equals - setting)));
  s->text = g_strstrip(g_strdup(equals + 1));
  char *dot = strchr(s->module, '.');
  if(dot)
  {
    s->blend = g_str_has_prefix(dot + 1, BLEND);
    s->name = g_strdup(dot + 1 + (s->blend ? strlen(BLEND) : 0));
    *dot = '\0';
  }
  return _is_name(s->module, "-")
         && (s->name ? _is_name(s->name, "-.") : dt_history_parse_switch(s->text, &s->on));
}

static gboolean _parse_setting(const char *setting, _setting_t *s, GError **error)
{
  *s = (_setting_t){ .on = TRUE };
  if(_divide(setting, s)) return TRUE;
  char *shown = dt_manifest_printable(setting, MAX_SHOWN);
  g_set_error(error, DT_AI_ERROR, DT_AI_ERROR_USAGE,
              "\"%s\" is no setting of a module. Write MODULE.PARAMETER=VALUE, MODULE=on or MODULE=off.",
              shown);
  g_free(shown);
  _clear_setting(s);
  return FALSE;
}

static gboolean _check_setting(const dt_history_t *history, const _setting_t *s, GError **error)
{
  const dt_iop_module_t *module;
  if(!_check_module(history, s->module, &module, error)) return FALSE;
  if(!s->name) return _check_switch(module, s->on, error);
  return (s->blend ? _check_blend : _check_value)(module, s->name, s->text, error);
}

static void _fill_standard(const dt_history_t *history, dt_history_item_t *item)
{
  const dt_iop_module_t *module = _find_module(history, item->module);
  void *params = module && item->params->len == 0 ? dt_iop_standard_params(module) : NULL;
  if(params) _store_params(item, module, params);
  g_free(params);
}

/* Whether the next item of that module takes the place of the last one. */
static gboolean _merges(const dt_history_t *history, const char *name)
{
  if(history->end == 0 || strcmp(_item(history, history->end - 1)->module, name) != 0) return FALSE;
  const dt_iop_module_t *module = _find_module(history, name);
  return !module || _is_usable(module, _item(history, history->end - 1));
}

gboolean dt_history_set(dt_history_t *history, const char *setting, GPtrArray *remarks, GError **error)
{
  _setting_t s;
  GError *cause = NULL;
  if(!_parse_setting(setting, &s, error)) return FALSE;
  const gboolean fine = _check_setting(history, &s, &cause);
  if(!fine && !remarks)
  {
    g_propagate_error(error, cause);
    _clear_setting(&s);
    return FALSE;
  }
  if(!fine) _remark(remarks, s.module, &cause);
  dt_history_item_t *item = _continue_item(history, s.module);
  _fill_standard(history, item);
  item->enabled = s.on;
  if(s.name) dt_history_set_value(s.blend ? item->blend : item->params, s.name, s.text);
  if(_merges(history, s.module)) history->end--;
  dt_history_push(history, item);
  _clear_setting(&s);
  return TRUE;
}
