/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Any bytes as a sidecar, as a style, and as a sidecar that is written into: refused with words, or a history that keeps
 * its promises, and comes back as it was from whatever it was written into. Few bytes are XML, so that they are also taken
 * as dice that make some of it. */
#include "develop/history_xmp.h"
#include "develop/style.h"
#include "history_modules.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void _check_error(gboolean done, GError **error)
{
  if(done == (*error != NULL)) abort();
  if(*error && !g_utf8_validate((*error)->message, -1, NULL)) abort();
  g_clear_error(error);
}

static void _check_remarks(GPtrArray *remarks)
{
  for(guint i = 0; i < remarks->len; i++)
    for(const char *c = remarks->pdata[i]; *c; c++)
      if((guchar)*c < 0x20 || *c == 0x7f) abort();
  if(remarks->len) g_ptr_array_set_size(remarks, 0);
}

static void _use(const dt_history_t *h)
{
  if(h->end > h->items->len) abort();
  test_grade_t *p = dt_history_params(h, &_test_grade);
  if(!(p->tint >= -1 && p->tint <= 1) || p->steps < 1 || p->steps > 9 || p->kind < 0 || p->kind > 2) abort();
  g_free(p);
  dt_history_hash(h, NULL);
}

/* What can be read can be written, and written again it is the same. */
static void _write(const dt_history_t *h, GBytes *old)
{
  GError *error = NULL;
  GBytes *xmp = dt_history_to_xmp(h, old, TRUE, &error);
  _check_error(xmp != NULL, &error);
  if(!xmp) abort();
  GBytes *again = dt_history_to_xmp(h, xmp, FALSE, NULL);
  if(!again || !g_bytes_equal(xmp, again)) abort();
  g_bytes_unref(again);
  g_bytes_unref(xmp);
}

static void _change(dt_history_t *h, GBytes *old, GPtrArray *remarks)
{
  dt_history_undo(h);
  dt_history_set(h, "grade.steps=2", remarks, NULL);
  dt_history_set(h, "grade.blend.opacity=0.5", remarks, NULL);
  dt_history_set(h, "exposure=off", remarks, NULL);
  _write(h, old);
}

static void _try_style(GBytes *bytes, GPtrArray *remarks)
{
  GError *error = NULL;
  dt_history_t *h = dt_history_create(test_history_modules);
  const gboolean done = dt_history_apply_style_bytes(h, bytes, remarks, &error);
  _check_error(done, &error);
  if(!done && h->items->len) abort();
  _use(h);
  dt_history_free(h);
}

static void _try(GBytes *bytes)
{
  GPtrArray *remarks = g_ptr_array_new_with_free_func(g_free);
  GError *error = NULL;
  dt_history_t *h = dt_history_from_xmp(bytes, test_history_modules, remarks, &error);
  _check_error(h != NULL, &error);
  if(h)
  {
    _use(h);
    _write(h, bytes);
    _write(h, NULL);
    _change(h, bytes, remarks);
  }
  _check_remarks(remarks);
  _try_style(bytes, remarks);
  _check_remarks(remarks);
  dt_history_free(h);
  g_ptr_array_unref(remarks);
}

/* --- well-formed, but what --- */

#define MAX_DICE 400

/** Bytes that say what comes next; each has a say in all that follows. */
typedef struct _dice_t
{
  const uint8_t *at, *end;
  uint32_t state;
} _dice_t;

static size_t _throw(_dice_t *dice, size_t sides)
{
  dice->state = (dice->state ^ (dice->at < dice->end ? *dice->at++ : 0u)) * 2654435761u;
  return (dice->state >> 16) % sides;
}

/* What may well be inside of what: the first name is that of the element around. */
static const char *_choose_name(_dice_t *dice, const char *around)
{
  static const char *const inside[][8] = {
    { "rdf:Seq", "rdf:li", "rdf:li", "rdf:li", "rdf:li", "rdf:li", "rdf:li", "my:note" },
    { "rdf:li", "rdf:Description", "rdf:Description", "dtai:params", "dtai:blend", "dtai:module", "my:note",
      "rdf:li" },
    { "rdf:Description", "dtai:params", "dtai:params", "dtai:blend", "dtai:module", "dtai:enabled",
      "dtai:version", "dtai:history" },
    { "dtai:params", "dtai:steps", "dtai:tint", "dtai:kind", "dtai:later", "rdf:Description", "my:note",
      "dtai:steps" },
    { "dtai:blend", "dtai:opacity", "dtai:invert", "rdf:Description", "dtai:opacity", "my:note", "opacity",
      "rdf:li" },
    { "", "rdf:Seq", "dtai:history", "rdf:Description", "dtai:schema", "dtai:historyEnd", "history",
      "params" },
  };
  guint row = 0;
  while(*inside[row][0] && strcmp(inside[row][0], around) != 0) row++;
  return inside[row][1 + _throw(dice, 7)];
}

static const char *_add_tag(GString *text, _dice_t *dice, const char *around)
{
  static const char *const fields[] = { "dtai:module", "dtai:module",   "dtai:version", "dtai:enabled",
                                        "dtai:steps",  "dtai:tint",     "dtai:kind",    "dtai:opacity",
                                        "my:steps",    "steps",         "xml:lang",     "xmlns",
                                        "xmlns:dtai",  "rdf:parseType", "dtai:params",  "dtai:historyEnd" };
  static const char *const values[] = { "grade",       "exposure", "1",    "3",      "true",   "0.5",
                                        "no",          "",         " 7 ",  "&#10;x", "nosuch", "&lt;&amp;",
                                        DT_HISTORY_NS, "Resource", "rich", "99" };
  const char *name = _choose_name(dice, around);
  const gboolean is_item = strcmp(name, "rdf:Description") == 0 && _throw(dice, 4);
  g_string_append_printf(text, "<%s%s", name, is_item ? " dtai:module='grade'" : "");
  for(size_t n = _throw(dice, 4); n > 0; n--)
    g_string_append_printf(text, "\n %s='%s'", fields[_throw(dice, G_N_ELEMENTS(fields))],
                           values[_throw(dice, G_N_ELEMENTS(values))]);
  return name;
}

static void _add_piece(GString *text, _dice_t *dice, GPtrArray *open)
{
  static const char *const pieces[] = { "grade",           "3",   "off",  "0.25", "<!-- <x> -->",
                                        "<![CDATA[ 5 ]]>", " \n", "&amp;" };
  const char *around = open->pdata[open->len - 1];
  const size_t what = _throw(dice, 8);
  if(what == 7)
    g_string_append(text, pieces[_throw(dice, G_N_ELEMENTS(pieces))]);
  else if(what >= 4 && open->len > (_throw(dice, 16) ? 4 : 1))
  {
    g_string_append_printf(text, "</%s>", around);
    g_ptr_array_set_size(open, (gint)open->len - 1);
  }
  else
  {
    const char *name = _add_tag(text, dice, around);
    g_string_append(text, what == 0 ? "/>" : ">");
    if(what) g_ptr_array_add(open, (gpointer)name);
  }
}

static GBytes *_build(const uint8_t *data, size_t size)
{
  static const char *const around[] = { "rdf:RDF", "rdf:Description", "dtai:history", "rdf:Seq" };
  _dice_t dice = { data, data + MIN(size, MAX_DICE), 1 };
  GPtrArray *open = g_ptr_array_new();
  GString *text = g_string_new(
      "<rdf:RDF xmlns:rdf='http://www.w3.org/1999/02/22-rdf-syntax-ns#' xmlns:dtai='" DT_HISTORY_NS
      "' xmlns:my='urn:my'><rdf:Description><dtai:history><rdf:Seq>");
  for(size_t i = 0; i < G_N_ELEMENTS(around); i++) g_ptr_array_add(open, (gpointer)around[i]);
  while(dice.at < dice.end) _add_piece(text, &dice, open);
  for(guint i = open->len; i > 0; i--)
    g_string_append_printf(text, "</%s>", (const char *)open->pdata[i - 1]);
  g_ptr_array_unref(open);
  return g_string_free_to_bytes(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  GBytes *bytes = g_bytes_new_static(data, size), *built = _build(data, size);
  _try(bytes);
  _try(built);
  g_bytes_unref(built);
  g_bytes_unref(bytes);
  return 0;
}
