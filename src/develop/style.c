/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Styles, put on a copy of the history that takes its place when all went well. */
#include "develop/style.h"

#include "common/errors.h"
#include "develop/history_xmp.h"
#include "develop/sidecar.h"

#include <string.h>

/* --- sidecars --- */

/* The modules of @p style that have items: those of the pipe in its order, and then the others (transfer container). */
static GPtrArray *_list_modules(const dt_history_t *style)
{
  GPtrArray *names = g_ptr_array_new();
  GHashTable *seen = g_hash_table_new(g_str_hash, g_str_equal);
  for(const dt_iop_module_t *const *module = style->modules; *module; module++)
    if(dt_history_find(style, (*module)->name) && g_hash_table_add(seen, (char *)(*module)->name))
      g_ptr_array_add(names, (char *)(*module)->name);
  for(guint i = 0; i < style->end; i++)
  {
    const dt_history_item_t *item = style->items->pdata[i];
    if(g_hash_table_add(seen, item->module)) g_ptr_array_add(names, item->module);
  }
  g_hash_table_unref(seen);
  return names;
}

static gboolean _apply_xmp(dt_history_t *history, GBytes *bytes, GPtrArray *remarks, GError **error)
{
  dt_history_t *style = dt_history_from_xmp(bytes, history->modules, remarks, error);
  if(!style) return FALSE;
  GPtrArray *names = _list_modules(style);
  for(guint i = 0; i < names->len; i++)
    dt_history_push(history, dt_history_item_copy(dt_history_find(style, names->pdata[i])));
  g_ptr_array_unref(names);
  dt_history_free(style);
  return TRUE;
}

/* --- text --- */

static gboolean _apply_line(dt_history_t *history, const char *line, guint number, GPtrArray *remarks,
                            GError **error)
{
  GError *cause = NULL;
  if(*line == '\0' || *line == '#' || dt_history_set(history, line, remarks, &cause)) return TRUE;
  g_set_error(error, DT_AI_ERROR, DT_AI_ERROR_INPUT, "line %u: %s", number, cause->message);
  g_error_free(cause);
  return FALSE;
}

static gboolean _apply_text(dt_history_t *history, const char *text, GPtrArray *remarks, GError **error)
{
  GPtrArray *unheard = remarks ? g_ptr_array_ref(remarks) : g_ptr_array_new_with_free_func(g_free);
  char **lines = g_strsplit(text, "\n", -1);
  gboolean fine = g_strv_length(lines) <= DT_HISTORY_MAX_ITEMS;
  if(!fine)
    g_set_error(error, DT_AI_ERROR, DT_AI_ERROR_INPUT, "it has more than %d lines.", DT_HISTORY_MAX_ITEMS);
  for(guint i = 0; fine && lines[i]; i++)
    fine = _apply_line(history, g_strstrip(lines[i]), i + 1, unheard, error);
  g_strfreev(lines);
  g_ptr_array_unref(unheard);
  return fine;
}

/* --- either --- */

static gboolean _apply(dt_history_t *history, GBytes *style, GPtrArray *remarks, GError **error)
{
  gsize size;
  const char *bytes = g_bytes_get_data(style, &size);
  char *text = g_strndup(bytes ? bytes : "", size);
  const char *start = text + (g_str_has_prefix(text, "\xef\xbb\xbf") ? 3 : 0);
  const gboolean is_xml = start[strspn(start, " \t\r\n")] == '<';
  gboolean done = FALSE;
  if(is_xml)
    done = _apply_xmp(history, style, remarks, error);
  else if(strlen(text) != size || !g_utf8_validate(text, -1, NULL))
    g_set_error_literal(error, DT_AI_ERROR, DT_AI_ERROR_INPUT, "this is neither XMP nor text in UTF-8.");
  else
    done = _apply_text(history, start, remarks, error);
  g_free(text);
  return done;
}

gboolean dt_history_apply_style_bytes(dt_history_t *history, GBytes *style, GPtrArray *remarks,
                                      GError **error)
{
  dt_history_t *copy = dt_history_copy(history);
  const gboolean done = _apply(copy, style, remarks, error);
  if(done)
  {
    const dt_history_t before = *history;
    *history = *copy;
    *copy = before;
  }
  dt_history_free(copy);
  return done;
}

/* A sidecar's remarks number its items as well. */
static void _name_remarks(GPtrArray *remarks, guint first, const char *name)
{
  for(guint i = first; remarks && i < remarks->len; i++)
  {
    char *remark = remarks->pdata[i];
    remarks->pdata[i] = g_strdup_printf("%s: %s", name, remark);
    g_free(remark);
  }
}

gboolean dt_history_apply_style(dt_history_t *history, const char *path, GPtrArray *remarks, GError **error)
{
  GBytes *style = dt_sidecar_read_bytes(path, NULL, error);
  if(!style) return FALSE;
  const guint before = remarks ? remarks->len : 0;
  const gboolean done = dt_history_apply_style_bytes(history, style, remarks, error);
  char *shown = g_filename_display_name(path);
  _name_remarks(remarks, before, shown);
  if(!done) g_prefix_error(error, "%s: ", shown);
  g_free(shown);
  g_bytes_unref(style);
  return done;
}
