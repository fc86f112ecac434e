/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Words about priorities. A string may be long; a remark shows its surroundings. */
#include "common/opencl_explain.h"
#include "common/ai_manifest.h"

#include <json-glib/json-glib.h>
#include <string.h>

#define MAX_SHOWN 200 /* characters of a string or a name */
#define BEFORE 40     /* bytes shown before what is marked, and behind it */
#define MAX_MARKED 60 /* bytes of it */

static char *_printable(const char *text)
{
  return dt_manifest_printable(text ? text : "", MAX_SHOWN);
}

/* --- for people --- */

static void _put_devices(GString *out, const dt_opencl_explained_t *e, const dt_opencl_order_t *order)
{
  for(int i = 0; i < order->n; i++)
  {
    char *name = _printable(e->devices[order->devices[i]].name);
    g_string_append_printf(out, "%s%d %s", i ? ", " : "", order->devices[i], name);
    g_free(name);
  }
}

/* Milliseconds as seconds, "2" or "0.5", in any locale. */
static void _put_seconds(GString *out, int ms)
{
  g_string_append_printf(out, "%d", ms / 1000);
  if(ms % 1000 == 0) return;
  g_string_append_printf(out, ".%03d", ms % 1000);
  while(out->str[out->len - 1] == '0') g_string_truncate(out, out->len - 1);
}

static void _put_pipe(GString *out, const dt_opencl_explained_t *e, dt_opencl_pipe_t pipe)
{
  const dt_opencl_order_t *order = &e->priorities->orders[pipe];
  g_string_append_printf(out, "%-10s", dt_opencl_pipe_name(pipe));
  _put_devices(out, e, order);
  if(!order->n)
    g_string_append(out, "always the CPU\n");
  else if(!order->mandatory)
    g_string_append(out, "; then the CPU at once\n");
  else
  {
    g_string_append(out, "; waits up to ");
    _put_seconds(out, e->timeout_ms);
    g_string_append(out, order->n > 1 ? " s for one of them, then the CPU\n" : " s for it, then the CPU\n");
  }
}

/* Columns that printable text takes on a terminal. */
static int _width(const char *text)
{
  int width = 0;
  for(; *text; text = g_utf8_next_char(text))
  {
    const gunichar c = g_utf8_get_char(text);
    if(!g_unichar_iszerowidth(c)) width += g_unichar_iswide(c) ? 2 : 1;
  }
  return width;
}

/* Some of the string, printable; @p width receives its columns. */
static void _put_part(GString *out, const char *text, gsize length, int *width)
{
  char *bytes = g_strndup(text, length), *shown = dt_manifest_printable(bytes, G_MAXINT);
  g_string_append(out, shown);
  *width = _width(shown);
  g_free(shown);
  g_free(bytes);
}

static gboolean _is_inside(char c)
{
  return ((guchar)c & 0xc0) == 0x80;
}

/* Up to @p most bytes from @p text, and no part of a character. */
static gsize _fit(const char *text, gsize length, gsize most)
{
  if(length <= most) return length;
  while(most > 0 && _is_inside(text[most])) most--;
  return most;
}

/* The string around what the remark is about, and a line of carets below that. */
static void _put_place(GString *out, const char *text, const dt_opencl_remark_t *remark)
{
  const char *place = text + remark->offset;
  const gsize marked = _fit(place, remark->length, MAX_MARKED);
  const gsize behind = marked < remark->length ? 0 : _fit(place + marked, strlen(place + marked), BEFORE);
  gsize from = remark->offset > BEFORE ? remark->offset - BEFORE : 0;
  while(from > 0 && from < remark->offset && _is_inside(text[from])) from++;
  int skipped, width, rest;
  g_string_append_printf(out, "\n  %s", from ? "…" : "");
  _put_part(out, text + from, remark->offset - from, &skipped);
  _put_part(out, place, marked, &width);
  _put_part(out, place + marked, behind, &rest);
  g_string_append_printf(out, "%s\n  %*s", place[marked + behind] ? "…" : "", skipped + (from ? 1 : 0), "");
  for(int i = 0; i < MAX(width, 1); i++) g_string_append_c(out, '^');
  g_string_append_c(out, '\n');
}

static void _put_remark(GString *out, const char *text, const dt_opencl_remark_t *remark)
{
  _put_place(out, text, remark);
  g_string_append(out, "  ");
  if(remark->pipe != DT_OPENCL_PIPES) g_string_append_printf(out, "%s: ", dt_opencl_pipe_name(remark->pipe));
  g_string_append_printf(out, "%s\n", remark->text);
}

static void _put_heading(GString *out, const dt_opencl_explained_t *e)
{
  char *text = _printable(e->priorities->text);
  char *why = dt_manifest_printable(e->why ? e->why : "", G_MAXINT);
  if(e->why)
    g_string_append_printf(out, "In force: \"%s\", %s.\n\n", text, why);
  else
    g_string_append_printf(out, "Not in force, only explained: \"%s\".\n\n", text);
  g_free(why);
  g_free(text);
}

char *dt_opencl_explain_text(const dt_opencl_explained_t *explained)
{
  const dt_opencl_priorities_t *p = explained->priorities;
  GString *out = g_string_new(NULL);
  _put_heading(out, explained);
  for(int pipe = 0; pipe < DT_OPENCL_PIPES; pipe++) _put_pipe(out, explained, (dt_opencl_pipe_t)pipe);
  for(guint i = 0; i < p->remarks->len; i++) _put_remark(out, p->text, p->remarks->pdata[i]);
  return g_string_free(out, FALSE);
}

/* --- for programs --- */

static const char *const _kinds[] = {
  [DT_OPENCL_REMARK_UNKNOWN] = "unknown",
  [DT_OPENCL_REMARK_REPEATED] = "repeated",
  [DT_OPENCL_REMARK_AFTER_WILDCARD] = "after_wildcard",
  [DT_OPENCL_REMARK_NOTHING] = "nothing",
  [DT_OPENCL_REMARK_TRAILING] = "trailing",
  [DT_OPENCL_REMARK_PLUS] = "plus",
  [DT_OPENCL_REMARK_TWINS] = "twins",
  [DT_OPENCL_REMARK_FIELDS] = "fields",
  [DT_OPENCL_REMARK_DELETED] = "deleted",
  [DT_OPENCL_REMARK_LENGTH] = "length",
  [DT_OPENCL_REMARK_CPU] = "cpu",
};

static void _add_text(JsonBuilder *b, const char *key, const char *text)
{
  char *shown = text ? dt_manifest_printable(text, G_MAXINT) : NULL;
  json_builder_set_member_name(b, key);
  json_builder_add_string_value(b, shown); /* NULL: null */
  g_free(shown);
}

static void _add_int(JsonBuilder *b, const char *key, gint64 value)
{
  json_builder_set_member_name(b, key);
  json_builder_add_int_value(b, value);
}

static void _add_bool(JsonBuilder *b, const char *key, gboolean value)
{
  json_builder_set_member_name(b, key);
  json_builder_add_boolean_value(b, value);
}

static JsonBuilder *_begin(void)
{
  JsonBuilder *b = json_builder_new();
  json_builder_begin_object(b);
  _add_int(b, "schema_version", 1);
  return b;
}

/* Ends the object and writes its line. */
static void _end(JsonBuilder *b, GString *out)
{
  json_builder_end_object(b);
  JsonNode *root = json_builder_get_root(b);
  char *line = json_to_string(root, FALSE);
  g_string_append_printf(out, "%s\n", line);
  g_free(line);
  json_node_unref(root);
  g_object_unref(b);
}

static void _add_device(JsonBuilder *b, const dt_opencl_names_t *device, int number)
{
  json_builder_begin_object(b);
  _add_int(b, "number", number);
  _add_text(b, "name", device->name ? device->name : "");
  _add_text(b, "identity", device->identity);
  json_builder_end_object(b);
}

static void _write_pipe(GString *out, const dt_opencl_explained_t *e, dt_opencl_pipe_t pipe)
{
  const dt_opencl_order_t *order = &e->priorities->orders[pipe];
  JsonBuilder *b = _begin();
  _add_text(b, "pipe", dt_opencl_pipe_name(pipe));
  json_builder_set_member_name(b, "devices");
  json_builder_begin_array(b);
  for(int i = 0; i < order->n; i++) _add_device(b, &e->devices[order->devices[i]], order->devices[i]);
  json_builder_end_array(b);
  _add_bool(b, "mandatory", order->mandatory);
  _add_int(b, "timeout_ms", order->mandatory ? e->timeout_ms : 0);
  _add_text(b, "when_busy", order->mandatory ? "wait" : "cpu");
  _end(b, out);
}

static void _write_remark(GString *out, const dt_opencl_remark_t *remark)
{
  JsonBuilder *b = _begin();
  _add_text(b, "remark", _kinds[remark->kind]);
  _add_text(b, "pipe", remark->pipe == DT_OPENCL_PIPES ? NULL : dt_opencl_pipe_name(remark->pipe));
  _add_int(b, "offset", (gint64)remark->offset);
  _add_int(b, "length", (gint64)remark->length);
  _add_bool(b, "harmless", remark->harmless);
  _add_text(b, "text", remark->text);
  _end(b, out);
}

char *dt_opencl_explain_json(const dt_opencl_explained_t *explained)
{
  const dt_opencl_priorities_t *p = explained->priorities;
  GString *out = g_string_new(NULL);
  JsonBuilder *b = _begin();
  _add_text(b, "priority", p->text);
  _add_text(b, "why", explained->why);
  _end(b, out);
  for(int pipe = 0; pipe < DT_OPENCL_PIPES; pipe++) _write_pipe(out, explained, (dt_opencl_pipe_t)pipe);
  for(guint i = 0; i < p->remarks->len; i++) _write_remark(out, p->remarks->pdata[i]);
  return g_string_free(out, FALSE);
}

/* --- for the diagnostics --- */

#define PREFIX "[opencl_priorities]"

/* What stands in a row's cell of one pipe. */
typedef char *(*_cell_t)(const dt_opencl_order_t *order, int rank);

static char *_number_cell(const dt_opencl_order_t *order, int rank)
{
  return g_strdup_printf("%d", rank < order->n ? order->devices[rank] : -1);
}

static char *_mandatory_cell(const dt_opencl_order_t *order, int rank)
{
  (void)rank;
  return g_strdup(order->mandatory ? "YES" : "NO");
}

static char *_row(const dt_opencl_priorities_t *p, const char *label, _cell_t cell, int rank)
{
  GString *row = g_string_new(NULL);
  g_string_append_printf(row, PREFIX " %-9s", label);
  for(int pipe = 0; pipe < DT_OPENCL_PIPES; pipe++)
  {
    char *text = cell(&p->orders[pipe], rank);
    g_string_append_printf(row, " %9s", text);
    g_free(text);
  }
  return g_string_free(row, FALSE);
}

char **dt_opencl_explain_table(const dt_opencl_priorities_t *priorities)
{
  GPtrArray *lines = g_ptr_array_new();
  int ranks = 1;
  for(int pipe = 0; pipe < DT_OPENCL_PIPES; pipe++) ranks = MAX(ranks, priorities->orders[pipe].n);
  g_ptr_array_add(lines, g_strdup(PREFIX " these are your device priorities:"));
  g_ptr_array_add(lines, g_strdup_printf(PREFIX " %-9s %9s %9s %9s %9s %9s", "", "image", "preview", "export",
                                         "thumbs", "preview2"));
  for(int rank = 0; rank < ranks; rank++) g_ptr_array_add(lines, _row(priorities, "", _number_cell, rank));
  g_ptr_array_add(lines, _row(priorities, "mandatory", _mandatory_cell, 0));
  g_ptr_array_add(lines, NULL);
  return (char **)g_ptr_array_free(lines, FALSE);
}
