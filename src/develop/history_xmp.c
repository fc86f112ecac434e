/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The history read from XMP and written into it. Items are matched by their place: one that is as it was is not touched,
 * one of the same module is changed value by value, so that what others wrote into it stays. */
#include "develop/history_xmp.h"

#include "common/ai_manifest.h"
#include "common/errors.h"
#include "imageio/xmp_tree.h"

#include <string.h>

/** Characters of somebody's text in a message. */
#define MAX_SHOWN 100

/** A text that is open. */
typedef struct _xmp_t
{
  dt_xmp_t *packet;
  dt_xmp_tree_t *tree;
  int container; ///< the element that holds the items, -1: there is no dtai:history
} _xmp_t;

static gboolean _refuse(GError **error, const char *format, ...) G_GNUC_PRINTF(2, 3);
static gboolean _refuse(GError **error, const char *format, ...)
{
  va_list args;
  va_start(args, format);
  char *text = g_strdup_vprintf(format, args), *shown = dt_manifest_printable(text, 3 * MAX_SHOWN);
  va_end(args);
  g_set_error(error, DT_AI_ERROR, DT_AI_ERROR_INPUT, "%s.", shown);
  g_free(shown);
  g_free(text);
  return FALSE;
}

static void _remark(GPtrArray *remarks, const char *format, ...) G_GNUC_PRINTF(2, 3);
static void _remark(GPtrArray *remarks, const char *format, ...)
{
  if(!remarks) return;
  va_list args;
  va_start(args, format);
  char *text = g_strdup_vprintf(format, args);
  va_end(args);
  g_ptr_array_add(remarks, dt_manifest_printable(text, 3 * MAX_SHOWN));
  g_free(text);
}

/* --- opening --- */

/* Whether the XML declaration, if there is one, allows for UTF-8. */
static gboolean _says_utf8(const char *text)
{
  const char *end = g_str_has_prefix(text, "<?xml ") ? strstr(text, "?>") : NULL;
  if(!end) return TRUE;
  char *head = g_ascii_strdown(text, end - text);
  const char *encoding = strstr(head, "encoding");
  const gboolean fine = !encoding || strstr(encoding, "utf-8") || strstr(encoding, "us-ascii");
  g_free(head);
  return fine;
}

/* Says why there is no packet in @p text. */
static gboolean _refuse_text(const char *text, gsize size, GError **error)
{
  const GMarkupParser ignore = { 0 };
  GError *cause = NULL;
  GMarkupParseContext *context = g_markup_parse_context_new(&ignore, 0, NULL, NULL);
  if(!g_markup_parse_context_parse(context, text, (gssize)size, &cause)
     || !g_markup_parse_context_end_parse(context, &cause))
    _refuse(error, "this is damaged XML: %s", cause->message);
  else if(g_strstr_len(text, (gssize)size, "<!DOCTYPE"))
    _refuse(error, "it declares a document type, which XMP has not and is not read");
  else
    _refuse(error, "this is XML but no XMP: it has no rdf:RDF");
  g_markup_parse_context_free(context);
  g_clear_error(&cause);
  return FALSE;
}

static gboolean _open_text(_xmp_t *self, GBytes *xmp, GError **error)
{
  gsize size;
  const char *text = g_bytes_get_data(xmp, &size);
  if(size > DT_HISTORY_MAX_SIZE)
    return _refuse(error, "it has %" G_GSIZE_FORMAT " bytes, and no more than %d MiB are read", size,
                   (int)(DT_HISTORY_MAX_SIZE >> 20));
  if(size == 0) return _refuse(error, "it is empty");
  const gsize mark = size > 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0 ? 3 : 0;
  if(!g_utf8_validate_len(text, size, NULL)) return _refuse(error, "it is not text in UTF-8");
  self->packet = dt_xmp_read(xmp);
  if(!self->packet) return _refuse_text(text + mark, size - mark, error);
  char *head = g_strndup(text + mark, MIN(size - mark, 200));
  const gboolean fine = _says_utf8(head);
  g_free(head);
  return fine || _refuse(error, "it says that it is in another encoding than UTF-8");
}

/* Whether the property is there at all, in whatever form. */
static gboolean _has(const _xmp_t *self, const char *name)
{
  char *text = dt_xmp_get(self->packet, DT_HISTORY_NS, name);
  g_free(text);
  return text != NULL;
}

static gboolean _find_container(_xmp_t *self, GPtrArray *remarks, GError **error)
{
  static const char *const kinds[] = { "Seq", "Bag" };
  const int property = dt_xmp_tree_property(self->tree, DT_HISTORY_NS, "history", -1);
  self->container = -1;
  for(guint i = 0; property >= 0 && self->container < 0 && i < G_N_ELEMENTS(kinds); i++)
    self->container = dt_xmp_tree_find(self->tree, property, DT_XMP_NS_RDF, kinds[i]);
  if(self->container < 0 && _has(self, "history"))
    return _refuse(error, "its dtai:history is no ordered array (rdf:Seq)");
  if(property >= 0 && dt_xmp_tree_property(self->tree, DT_HISTORY_NS, "history", property) >= 0)
    _remark(remarks, "There is more than one dtai:history. The first one is used.");
  return TRUE;
}

static void _close(_xmp_t *self)
{
  dt_xmp_tree_destroy(self->tree);
  dt_xmp_destroy(self->packet);
}

/* The caller closes @p self in any case. */
static gboolean _open(_xmp_t *self, GBytes *xmp, GPtrArray *remarks, GError **error)
{
  *self = (_xmp_t){ .container = -1 };
  if(!_open_text(self, xmp, error)) return FALSE;
  self->tree = dt_xmp_tree_create(self->packet);
  if(dt_xmp_tree_depth(self->tree) > DT_HISTORY_MAX_DEPTH)
    return _refuse(error, "its elements are nested more than %d deep", DT_HISTORY_MAX_DEPTH);
  return _find_container(self, remarks, error);
}

/* --- structures --- */

/* What is written by hand may lack the prefix. */
static gboolean _is_field(const dt_xmp_tree_attribute_t *a)
{
  return !a->declares && (*a->uri == '\0' || strcmp(a->uri, DT_HISTORY_NS) == 0);
}

static const dt_xmp_tree_attribute_t *_find_attribute(const dt_xmp_tree_t *tree, int node, const char *name)
{
  guint n;
  const dt_xmp_tree_attribute_t *a = dt_xmp_tree_attributes(tree, node, &n);
  for(guint i = 0; i < n; i++)
    if(_is_field(&a[i]) && strcmp(a[i].name, name) == 0) return &a[i];
  return NULL;
}

/* The element that has the fields of a structure: it may be written in a rdf:Description of its own. */
static int _owner(const dt_xmp_tree_t *tree, int node)
{
  const int inside = dt_xmp_tree_find(tree, node, DT_XMP_NS_RDF, "Description");
  return inside >= 0 ? inside : node;
}

/* The text of a field of the structure @p node (transfer full), NULL when it is not there. */
static char *_get_field(const dt_xmp_tree_t *tree, int node, const char *name)
{
  const int owner = _owner(tree, node);
  const dt_xmp_tree_attribute_t *a = _find_attribute(tree, owner, name);
  if(!a && owner != node) a = _find_attribute(tree, node, name);
  if(a) return dt_xmp_tree_attribute_text(tree, a);
  const int child = dt_xmp_tree_find(tree, owner, DT_HISTORY_NS, name);
  return child >= 0 ? dt_xmp_tree_text(tree, child) : NULL;
}

/* --- reading --- */

typedef struct _reader_t
{
  const dt_xmp_tree_t *tree;
  const dt_iop_module_t *const *modules;
  GPtrArray *remarks; ///< or NULL
  guint item;         ///< its number, from 1
} _reader_t;

/* Adds a value; takes @p text. */
static void _add_value(const _reader_t *r, GArray *values, const char *name, char *text)
{
  if(dt_history_get_value(values, name))
    _remark(r->remarks, "history item %u: \"%s\" is given more than once. The first one is used.", r->item,
            name);
  else
    dt_history_set_value(values, name, text);
  g_free(text);
}

static void _add_attributes(const _reader_t *r, int node, GArray *values)
{
  guint n;
  const dt_xmp_tree_attribute_t *a = dt_xmp_tree_attributes(r->tree, node, &n);
  for(guint i = 0; i < n && values->len <= DT_HISTORY_MAX_VALUES; i++)
    if(_is_field(&a[i])) _add_value(r, values, a[i].name, dt_xmp_tree_attribute_text(r->tree, &a[i]));
}

static gboolean _read_values(const _reader_t *r, int node, const char *name, GArray *values, GError **error)
{
  const int owner_of_item = _owner(r->tree, node);
  const int structure = dt_xmp_tree_find(r->tree, owner_of_item, DT_HISTORY_NS, name);
  if(structure < 0)
  {
    if(_find_attribute(r->tree, owner_of_item, name))
      _remark(r->remarks, "history item %u: its %s are no structure. They are kept but not used.", r->item,
              name);
    return TRUE;
  }
  const int owner = _owner(r->tree, structure);
  _add_attributes(r, structure, values);
  if(owner != structure) _add_attributes(r, owner, values);
  for(int child = -1; (child = dt_xmp_tree_child(r->tree, owner, child)) >= 0;)
    if(strcmp(dt_xmp_tree_uri(r->tree, child), DT_HISTORY_NS) == 0 && values->len <= DT_HISTORY_MAX_VALUES)
      _add_value(r, values, dt_xmp_tree_name(r->tree, child), dt_xmp_tree_text(r->tree, child));
  return values->len <= DT_HISTORY_MAX_VALUES
         || _refuse(error, "history item %u has more than %d values", r->item, DT_HISTORY_MAX_VALUES);
}

static const dt_iop_module_t *_find_module(const _reader_t *r, const char *name)
{
  const dt_iop_module_t *const *module = r->modules;
  while(*module && strcmp((*module)->name, name) != 0) module++;
  return *module;
}

/* Without a version it is the one that is known. */
static int _read_version(const _reader_t *r, int node, const dt_iop_module_t *module)
{
  char *text = _get_field(r->tree, node, "version");
  guint64 version = module ? (guint64)module->version : 1;
  if(text && !g_ascii_string_to_unsigned(text, 10, 1, G_MAXINT, &version, NULL))
  {
    _remark(r->remarks, "history item %u: its version is no number.", r->item);
    version = 0;
  }
  g_free(text);
  return (int)version;
}

static gboolean _read_switch(const _reader_t *r, int node, const dt_iop_module_t *module)
{
  char *text = _get_field(r->tree, node, "enabled");
  gboolean on = module ? (module->flags & DT_IOP_ON) != 0 : TRUE;
  if(text && !dt_history_parse_switch(text, &on))
    _remark(r->remarks, "history item %u: enabled is true or false. What is there is kept but not used.",
            r->item);
  g_free(text);
  return on;
}

static void _check_field(const _reader_t *r, const char *uri, const char *name)
{
  static const char *const known[] = { "module", "version", "enabled", "params", "blend", NULL };
  if(strcmp(uri, DT_HISTORY_NS) == 0 && !g_strv_contains(known, name))
    _remark(r->remarks,
            "history item %u: \"%s\" is nothing that an item has itself; parameters belong into its params. "
            "It is "
            "kept but not used.",
            r->item, name);
}

/* A value that was written beside the params, say. */
static void _check_fields(const _reader_t *r, int node)
{
  guint n;
  const dt_xmp_tree_attribute_t *a = dt_xmp_tree_attributes(r->tree, node, &n);
  for(guint i = 0; i < n; i++)
    if(!a[i].declares) _check_field(r, a[i].uri, a[i].name);
  for(int child = -1; (child = dt_xmp_tree_child(r->tree, node, child)) >= 0;)
    _check_field(r, dt_xmp_tree_uri(r->tree, child), dt_xmp_tree_name(r->tree, child));
}

static dt_history_item_t *_read_item(const _reader_t *r, int node, GError **error)
{
  char *name = _get_field(r->tree, node, "module");
  const dt_iop_module_t *module = name ? _find_module(r, name) : NULL;
  dt_history_item_t *item =
      dt_history_item_new(name ? name : "", _read_version(r, node, module), _read_switch(r, node, module));
  _check_fields(r, node);
  if(_owner(r->tree, node) != node) _check_fields(r, _owner(r->tree, node));
  if(!_read_values(r, node, "params", item->params, error)
     || !_read_values(r, node, "blend", item->blend, error))
    g_clear_pointer(&item, dt_history_item_free);
  g_free(name);
  return item;
}

static gboolean _read_items(_reader_t *r, int container, dt_history_t *history, GError **error)
{
  for(int node = -1; (node = dt_xmp_tree_child(r->tree, container, node)) >= 0;)
  {
    if(!dt_xmp_tree_is(r->tree, node, DT_XMP_NS_RDF, "li")) continue;
    if(r->item++ == DT_HISTORY_MAX_ITEMS)
      return _refuse(error, "its history has more than %d items", DT_HISTORY_MAX_ITEMS);
    dt_history_item_t *item = _read_item(r, node, error);
    if(!item) return FALSE;
    dt_history_push(history, item);
  }
  return TRUE;
}

/* A number that is a property; @p fallback when it is not there, -1 when it is no number up to @p most. */
static int _get_number(const _xmp_t *self, const char *name, guint most, int fallback)
{
  char *text = dt_xmp_get(self->packet, DT_HISTORY_NS, name);
  guint64 number = 0;
  const gboolean fine = text && g_ascii_string_to_unsigned(text, 10, 0, most, &number, NULL);
  const int result = fine ? (int)number : text ? -1 : fallback;
  g_free(text);
  return result;
}

static void _read_end(const _xmp_t *self, dt_history_t *history, GPtrArray *remarks)
{
  const int end = _get_number(self, "historyEnd", history->items->len, (int)history->items->len);
  if(end >= 0)
    history->end = (guint)end;
  else
    _remark(remarks, "dtai:historyEnd is no number from 0 to %u. All of the history is used.",
            history->items->len);
}

static void _check_schema(const _xmp_t *self, GPtrArray *remarks)
{
  const int schema = _get_number(self, "schema", G_MAXINT, DT_HISTORY_SCHEMA);
  if(schema > DT_HISTORY_SCHEMA)
    _remark(
        remarks,
        "The history was written by a newer version of this program (schema %d, this one knows %d). What is "
        "understood is used.",
        schema, DT_HISTORY_SCHEMA);
  else if(schema < 1)
    _remark(remarks, "dtai:schema is no version of a history. What is understood is used.");
}

static dt_history_t *_read(const _xmp_t *self, const dt_iop_module_t *const *modules, GPtrArray *remarks,
                           GError **error)
{
  dt_history_t *history = dt_history_create(modules);
  _reader_t reader = { self->tree, history->modules, remarks, 0 };
  _check_schema(self, remarks);
  if(self->container >= 0 && !_read_items(&reader, self->container, history, error))
  {
    dt_history_free(history);
    return NULL;
  }
  _read_end(self, history, remarks);
  return history;
}

dt_history_t *dt_history_from_xmp(GBytes *xmp, const dt_iop_module_t *const *modules, GPtrArray *remarks,
                                  GError **error)
{
  _xmp_t self;
  dt_history_t *history = _open(&self, xmp, remarks, error) ? _read(&self, modules, remarks, error) : NULL;
  _close(&self);
  if(!history || !remarks) return history;
  GPtrArray *more = dt_history_check(history);
  g_ptr_array_extend_and_steal(remarks, more);
  return history;
}

/* --- writing --- */

/** How our names are written at one place of the text. */
typedef struct _names_t
{
  char *ours, *rdf; ///< prefixes
  char *declare;    ///< what has to be declared for them, with a blank in front, or ""
} _names_t;

static _names_t _names_at(const dt_xmp_tree_t *tree, int node)
{
  const char *ours = dt_xmp_tree_prefix(tree, node, DT_HISTORY_NS);
  const char *rdf = dt_xmp_tree_prefix(tree, node, DT_XMP_NS_RDF);
  _names_t names = { ours ? g_strdup(ours) : dt_xmp_tree_new_prefix(tree, "dtai"),
                     rdf ? g_strdup(rdf) : dt_xmp_tree_new_prefix(tree, "rdf"), NULL };
  GString *declare = g_string_new(NULL);
  if(!ours) g_string_append_printf(declare, " xmlns:%s=\"%s\"", names.ours, DT_HISTORY_NS);
  if(!rdf) g_string_append_printf(declare, " xmlns:%s=\"%s\"", names.rdf, DT_XMP_NS_RDF);
  names.declare = g_string_free(declare, FALSE);
  return names;
}

static void _clear_names(_names_t *names)
{
  g_free(names->ours);
  g_free(names->rdf);
  g_free(names->declare);
}

static void _append_attribute(GString *out, const _names_t *names, const char *name, const char *text,
                              const char *blank)
{
  char *escaped = dt_xmp_tree_escape(text);
  g_string_append_printf(out, "%s%s:%s=\"%s\"", blank, names->ours, name, escaped);
  g_free(escaped);
}

static const dt_history_value_t *_value(const GArray *values, guint i)
{
  return &g_array_index(values, dt_history_value_t, i);
}

static void _append_values(GString *out, const _names_t *names, const char *name, const GArray *values)
{
  if(values->len == 0) return;
  g_string_append_printf(out, "\n      <%s:%s", names->ours, name);
  for(guint i = 0; i < values->len; i++)
    _append_attribute(out, names, _value(values, i)->name, _value(values, i)->text, "\n       ");
  g_string_append(out, "/>");
}

/* What an item's own fields say: text of the version (transfer full). */
static char *_version_text(const dt_history_item_t *item)
{
  return item->version >= 1 ? g_strdup_printf("%d", item->version) : g_strdup("unknown");
}

static void _append_item(GString *out, const _names_t *names, const dt_history_item_t *item)
{
  char *version = _version_text(item);
  g_string_append_printf(out, "<%s:li%s>\n     <%s:Description", names->rdf, names->declare, names->rdf);
  _append_attribute(out, names, "module", item->module, " ");
  _append_attribute(out, names, "version", version, " ");
  _append_attribute(out, names, "enabled", item->enabled ? "true" : "false", " ");
  g_string_append(out, ">");
  _append_values(out, names, "params", item->params);
  _append_values(out, names, "blend", item->blend);
  g_string_append_printf(out, "\n     </%s:Description>\n    </%s:li>", names->rdf, names->rdf);
  g_free(version);
}

/* --- changing an item --- */

static void _set_field(dt_xmp_tree_t *tree, const _names_t *names, int node, const char *name,
                       const char *text)
{
  const int owner = _owner(tree, node), child = dt_xmp_tree_find(tree, owner, DT_HISTORY_NS, name);
  const dt_xmp_tree_attribute_t *a = _find_attribute(tree, owner, name);
  if(!a && owner != node) a = _find_attribute(tree, node, name);
  GString *added = g_string_new(NULL);
  if(a)
    dt_xmp_tree_set_attribute(tree, a, text);
  else if(child >= 0)
    dt_xmp_tree_set_text(tree, child, text);
  else
    _append_attribute(added, names, name, text, " ");
  dt_xmp_tree_add_attributes(tree, owner, added->str);
  g_string_free(added, TRUE);
}

static void _add_missing(dt_xmp_tree_t *tree, const _names_t *names, int node, const GArray *old,
                         const GArray *values)
{
  GString *added = g_string_new(NULL);
  for(guint i = 0; i < values->len; i++)
    if(!dt_history_get_value(old, _value(values, i)->name))
      _append_attribute(added, names, _value(values, i)->name, _value(values, i)->text, "\n       ");
  dt_xmp_tree_add_attributes(tree, _owner(tree, node), added->str);
  g_string_free(added, TRUE);
}

static void _update_attributes(dt_xmp_tree_t *tree, int node, const GArray *old, const GArray *values)
{
  guint n;
  const dt_xmp_tree_attribute_t *a = dt_xmp_tree_attributes(tree, node, &n);
  for(guint i = 0; i < n; i++)
  {
    const char *text = _is_field(&a[i]) ? dt_history_get_value(values, a[i].name) : NULL;
    if(_is_field(&a[i]) && g_strcmp0(text, dt_history_get_value(old, a[i].name)) != 0)
      dt_xmp_tree_set_attribute(tree, &a[i], text);
  }
}

static void _update_elements(dt_xmp_tree_t *tree, int owner, const GArray *old, const GArray *values)
{
  for(int child = -1; (child = dt_xmp_tree_child(tree, owner, child)) >= 0;)
  {
    if(strcmp(dt_xmp_tree_uri(tree, child), DT_HISTORY_NS) != 0) continue;
    const char *text = dt_history_get_value(values, dt_xmp_tree_name(tree, child));
    if(!text)
      dt_xmp_tree_replace(tree, child, NULL);
    else if(g_strcmp0(text, dt_history_get_value(old, dt_xmp_tree_name(tree, child))) != 0)
      dt_xmp_tree_set_text(tree, child, text);
  }
}

/* Changes a structure of an item to @p values; one that is not there goes to @p missing. */
static void _update_values(dt_xmp_tree_t *tree, const _names_t *names, int node, const char *name,
                           const GArray *old, const GArray *values, GString *missing)
{
  const int structure = dt_xmp_tree_find(tree, _owner(tree, node), DT_HISTORY_NS, name);
  if(structure < 0)
  {
    _append_values(missing, names, name, values);
    return;
  }
  const int owner = _owner(tree, structure);
  _add_missing(tree, names, structure, old, values);
  _update_attributes(tree, structure, old, values);
  if(owner != structure) _update_attributes(tree, owner, old, values);
  _update_elements(tree, owner, old, values);
}

/* Whether our names mean there what they mean around it. */
static gboolean _keeps_names(const dt_xmp_tree_t *tree, const _names_t *names, int node)
{
  return g_strcmp0(dt_xmp_tree_prefix(tree, node, DT_HISTORY_NS), names->ours) == 0;
}

static gboolean _keeps_names_in(const dt_xmp_tree_t *tree, const _names_t *names, int owner, const char *name)
{
  const int structure = dt_xmp_tree_find(tree, owner, DT_HISTORY_NS, name);
  return structure < 0 || _keeps_names(tree, names, _owner(tree, structure));
}

/* Whether an item can be changed where it stands. Elements have no place beside fields that are attributes of rdf:li. */
static gboolean _can_change(const dt_xmp_tree_t *tree, const _names_t *names, int node)
{
  const int owner = _owner(tree, node);
  return (owner != node || !_find_attribute(tree, node, "module")) && _keeps_names(tree, names, owner)
         && _keeps_names_in(tree, names, owner, "params") && _keeps_names_in(tree, names, owner, "blend");
}

static void _update_item(dt_xmp_tree_t *tree, const _names_t *names, int node, const dt_history_item_t *old,
                         const dt_history_item_t *item)
{
  char *version = _version_text(item);
  GString *missing = g_string_new(NULL);
  if(!old->enabled != !item->enabled)
    _set_field(tree, names, node, "enabled", item->enabled ? "true" : "false");
  if(old->version != item->version) _set_field(tree, names, node, "version", version);
  _update_values(tree, names, node, "params", old->params, item->params, missing);
  _update_values(tree, names, node, "blend", old->blend, item->blend, missing);
  if(missing->len) dt_xmp_tree_append(tree, _owner(tree, node), missing->str);
  g_string_free(missing, TRUE);
  g_free(version);
}

static void _write_item(dt_xmp_tree_t *tree, const _names_t *names, int node, const dt_history_item_t *old,
                        const dt_history_item_t *item)
{
  if(dt_history_item_equal(old, item)) return;
  if(strcmp(old->module, item->module) == 0 && _can_change(tree, names, node))
  {
    _update_item(tree, names, node, old, item);
    return;
  }
  GString *text = g_string_new(NULL);
  _append_item(text, names, item);
  dt_xmp_tree_replace(tree, node, text->str);
  g_string_free(text, TRUE);
}

/* --- the whole --- */

static void _write_items(const _xmp_t *self, const dt_history_t *old, const dt_history_t *history)
{
  GString *added = g_string_new(NULL);
  _names_t names = _names_at(self->tree, self->container);
  guint i = 0;
  for(int node = -1; (node = dt_xmp_tree_child(self->tree, self->container, node)) >= 0;)
  {
    if(!dt_xmp_tree_is(self->tree, node, DT_XMP_NS_RDF, "li")) continue;
    if(i < history->items->len)
      _write_item(self->tree, &names, node, old->items->pdata[i], history->items->pdata[i]);
    else
      dt_xmp_tree_replace(self->tree, node, NULL);
    i++;
  }
  for(; i < history->items->len; i++)
  {
    g_string_append(added, " "); /* what closes the array is one column to the left */
    _append_item(added, &names, history->items->pdata[i]);
    g_string_append(added, "\n   ");
  }
  if(added->len) dt_xmp_tree_append(self->tree, self->container, added->str);
  g_string_free(added, TRUE);
  _clear_names(&names);
}

static void _set_number(const _xmp_t *self, const char *name, guint number)
{
  char text[16];
  g_snprintf(text, sizeof(text), "%u", number);
  char *old = dt_xmp_get(self->packet, DT_HISTORY_NS, name);
  if(old && !*old) dt_xmp_remove(self->packet, DT_HISTORY_NS, name); /* it has no place for a value */
  if(!old || !*old)
    dt_xmp_add(self->packet, DT_HISTORY_NS, "dtai", name, text);
  else if(strcmp(old, text) != 0)
    dt_xmp_replace(self->packet, DT_HISTORY_NS, name, text);
  g_free(old);
}

/* The resource that the others are about, as markup (transfer full). */
static char *_get_about(const dt_xmp_tree_t *tree)
{
  const int description = dt_xmp_tree_find(tree, dt_xmp_tree_root(tree), DT_XMP_NS_RDF, "Description");
  guint n = 0;
  const dt_xmp_tree_attribute_t *a = description >= 0 ? dt_xmp_tree_attributes(tree, description, &n) : NULL;
  for(guint i = 0; i < n; i++)
    if(strcmp(a[i].uri, DT_XMP_NS_RDF) == 0 && strcmp(a[i].name, "about") == 0)
    {
      char *text = dt_xmp_tree_attribute_text(tree, &a[i]), *escaped = dt_xmp_tree_escape(text);
      g_free(text);
      return escaped;
    }
  return g_strdup("");
}

/* A rdf:Description of ours, where there is no history yet. */
static void _write_all(const _xmp_t *self, const dt_history_t *history)
{
  const int root = dt_xmp_tree_root(self->tree);
  _names_t names = _names_at(self->tree, root);
  char *about = _get_about(self->tree);
  GString *text = g_string_new(NULL);
  dt_xmp_remove(self->packet, DT_HISTORY_NS, "schema");
  dt_xmp_remove(self->packet, DT_HISTORY_NS, "historyEnd");
  g_string_append_printf(text, " <%s:Description%s %s:about=\"%s\"", names.rdf, names.declare, names.rdf,
                         about);
  g_string_append_printf(text, "\n   %s:schema=\"%d\" %s:historyEnd=\"%u\">", names.ours, DT_HISTORY_SCHEMA,
                         names.ours, history->end);
  g_string_append_printf(text, "\n  <%s:history>\n   <%s:Seq>\n", names.ours, names.rdf);
  g_clear_pointer(&names.declare, g_free);
  names.declare = g_strdup("");
  for(guint i = 0; i < history->items->len; i++)
  {
    g_string_append(text, "    ");
    _append_item(text, &names, history->items->pdata[i]);
    g_string_append(text, "\n");
  }
  g_string_append_printf(text, "   </%s:Seq>\n  </%s:history>\n  </%s:Description>\n ", names.rdf, names.ours,
                         names.rdf);
  dt_xmp_tree_append(self->tree, root, text->str);
  g_string_free(text, TRUE);
  g_free(about);
  _clear_names(&names);
}

static gboolean _may_write(const _xmp_t *self, gboolean force, GError **error)
{
  const int schema = _get_number(self, "schema", G_MAXINT, DT_HISTORY_SCHEMA);
  if(force || schema == DT_HISTORY_SCHEMA) return TRUE;
  g_set_error(
      error, DT_AI_ERROR, DT_AI_ERROR_OUTPUT,
      "the history in it is of another version of this program, and parts of it could be lost. Use that "
      "version, or allow overwriting it (--force).");
  return FALSE;
}

/* What was written has to say what was meant. */
static gboolean _verify(GBytes *xmp, const dt_history_t *history, GError **error)
{
  GError *cause = NULL;
  dt_history_t *again = dt_history_from_xmp(xmp, history->modules, NULL, &cause);
  const gboolean same = again && dt_history_equal(again, history);
  if(!same)
    g_set_error(error, DT_AI_ERROR, DT_AI_ERROR_OUTPUT, "the history cannot be written into it: %s",
                cause ? cause->message : "it would read otherwise. Take the file away and try again.");
  g_clear_error(&cause);
  dt_history_free(again);
  return same;
}

static GBytes *_write(_xmp_t *self, const dt_history_t *history, gboolean force, GError **error)
{
  dt_history_t *old = _may_write(self, force, error) ? _read(self, history->modules, NULL, error) : NULL;
  if(!old) return NULL;
  if(self->container < 0)
    _write_all(self, history);
  else
  {
    _write_items(self, old, history);
    _set_number(self, "schema", DT_HISTORY_SCHEMA);
    _set_number(self, "historyEnd", history->end);
  }
  GBytes *xmp = dt_xmp_write(self->packet);
  if(!_verify(xmp, history, error)) g_clear_pointer(&xmp, g_bytes_unref);
  dt_history_free(old);
  return xmp;
}

static const char _empty[] = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
                             "<x:xmpmeta xmlns:x=\"adobe:ns:meta/\">\n"
                             " <rdf:RDF xmlns:rdf=\"" DT_XMP_NS_RDF "\">\n"
                             " </rdf:RDF>\n"
                             "</x:xmpmeta>\n";

GBytes *dt_history_to_xmp(const dt_history_t *history, GBytes *old, gboolean force, GError **error)
{
  _xmp_t self;
  GBytes *text = old ? g_bytes_ref(old) : g_bytes_new_static(_empty, sizeof(_empty) - 1);
  GBytes *xmp = _open(&self, text, NULL, error) ? _write(&self, history, force, error) : NULL;
  _close(&self);
  g_bytes_unref(text);
  return xmp;
}
