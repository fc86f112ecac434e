/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Reads and changes XMP packets. A change is a piece of text in place of another, so that nothing else moves:
 * programs keep in XMP what no other program understands. */
#include "imageio/xmp_internal.h"

#include <string.h>

static const char _empty_packet[] = "<?xpacket begin=\"\xef\xbb\xbf\" id=\"W5M0MpCehiHzreSzNTczkc9d\"?>\n"
                                    "<x:xmpmeta xmlns:x=\"adobe:ns:meta/\">\n"
                                    " <rdf:RDF xmlns:rdf=\"" DT_XMP_NS_RDF "\">\n"
                                    "  <rdf:Description rdf:about=\"\"/>\n"
                                    " </rdf:RDF>\n"
                                    "</x:xmpmeta>\n"
                                    "<?xpacket end=\"w\"?>";

// --- Opening

static gboolean _is_xml(const char *text, size_t size)
{
  const GMarkupParser ignore = { 0 };
  GMarkupParseContext *context = g_markup_parse_context_new(&ignore, 0, NULL, NULL);
  const size_t mark = g_str_has_prefix(text, "\xef\xbb\xbf") ? 3 : 0; // a byte order mark
  const gboolean ok = g_markup_parse_context_parse(context, text + mark, (gssize)(size - mark), NULL)
                      && g_markup_parse_context_end_parse(context, NULL);
  g_markup_parse_context_free(context);
  return ok;
}

/** The packet as UTF-8 (transfer full), NULL when it is none. */
static char *_convert(const char *data, size_t size)
{
  static const struct
  {
    const char *head; ///< "<" in this encoding
    size_t size;
    const char *name;
  } wide[] = { { "<\0\0\0", 4, "UTF-32LE" }, { "\0\0\0<", 4, "UTF-32BE" },    { "<\0", 2, "UTF-16LE" },
               { "\0<", 2, "UTF-16BE" },     { "\xff\xfe\0\0", 4, "UTF-32" }, { "\0\0\xfe\xff", 4, "UTF-32" },
               { "\xff\xfe", 2, "UTF-16" },  { "\xfe\xff", 2, "UTF-16" } };
  if(g_utf8_validate_len(data, size, NULL)) return g_strndup(data, size);
  for(size_t i = 0; i < G_N_ELEMENTS(wide); i++)
    if(size > wide[i].size && memcmp(data, wide[i].head, wide[i].size) == 0)
      return g_convert(data, (gssize)size, "UTF-8", wide[i].name, NULL, NULL, NULL);
  return NULL;
}

static void _clear_edit(void *data)
{
  g_free(((dt_xmp_edit_t *)data)->text);
}

/** Takes @p text. */
static dt_xmp_t *_create(char *text)
{
  dt_xmp_t *xmp = g_new0(dt_xmp_t, 1);
  xmp->text = text;
  xmp->size = strlen(text);
  xmp->names = g_string_chunk_new(4096);
  xmp->nodes = g_array_new(FALSE, FALSE, sizeof(dt_xmp_node_t));
  xmp->properties = g_array_new(FALSE, FALSE, sizeof(dt_xmp_property_t));
  xmp->edits = g_array_new(FALSE, FALSE, sizeof(dt_xmp_edit_t));
  g_array_set_clear_func(xmp->edits, _clear_edit);
  xmp->added = g_string_new(NULL);
  xmp->rdf = xmp->description = -1;
  return xmp;
}

dt_xmp_t *dt_xmp_read(GBytes *packet)
{
  gsize size;
  const char *data = g_bytes_get_data(packet, &size);
  char *text = data ? _convert(data, size) : NULL;
  if(!text) return NULL;
  dt_xmp_t *xmp = _create(text);
  if(_is_xml(text, xmp->size) && dt_xmp_scan(xmp)) return xmp;
  dt_xmp_destroy(xmp);
  return NULL;
}

dt_xmp_t *dt_xmp_create(void)
{
  dt_xmp_t *xmp = _create(g_strdup(_empty_packet));
  dt_xmp_scan(xmp);
  return xmp;
}

void dt_xmp_destroy(dt_xmp_t *xmp)
{
  if(!xmp) return;
  g_array_unref(xmp->edits);
  g_array_unref(xmp->properties);
  g_array_unref(xmp->nodes);
  g_string_chunk_free(xmp->names);
  g_string_free(xmp->added, TRUE);
  g_free(xmp->text);
  g_free(xmp);
}

// --- Changing

void dt_xmp_edit(dt_xmp_t *xmp, size_t at, size_t cut, char *text)
{
  const dt_xmp_edit_t edit = { .at = at, .cut = cut, .text = text };
  g_array_append_val(xmp->edits, edit);
}

void dt_xmp_insert_inside(dt_xmp_t *xmp, int index, const char *text)
{
  const dt_xmp_node_t *node = dt_xmp_node(xmp, index);
  if(node->close < node->end)
  {
    dt_xmp_edit(xmp, node->close, 0, g_strdup(text));
    return;
  }
  const size_t name_end = dt_xmp_name_end(xmp, node->start);
  dt_xmp_edit(
      xmp, node->end - 2, 2,
      g_strdup_printf(">%s</%.*s>", text, (int)(name_end - node->start - 1), xmp->text + node->start + 1));
}

/** Properties without a rdf:Description to go into get one. */
static void _insert_added(dt_xmp_t *xmp)
{
  if(xmp->added->len == 0) return;
  if(xmp->description >= 0)
  {
    dt_xmp_insert_inside(xmp, xmp->description, xmp->added->str);
    return;
  }
  char *description = g_strdup_printf("<rdf:Description xmlns:rdf=\"" DT_XMP_NS_RDF
                                      "\" rdf:about=\"\">%s</rdf:Description>\n",
                                      xmp->added->str);
  dt_xmp_insert_inside(xmp, xmp->rdf, description);
  g_free(description);
}

static int _compare_edits(gconstpointer a, gconstpointer b)
{
  const dt_xmp_edit_t *one = a, *other = b;
  return one->at < other->at ? -1 : one->at > other->at;
}

GBytes *dt_xmp_write(const dt_xmp_t *xmp)
{
  GString *text = g_string_sized_new(xmp->size + 4096);
  dt_xmp_t copy = *xmp; // what was added becomes one more edit, here only
  copy.edits = g_array_new(FALSE, FALSE, sizeof(dt_xmp_edit_t));
  g_array_append_vals(copy.edits, xmp->edits->data, xmp->edits->len);
  _insert_added(&copy);
  char *last = copy.edits->len > xmp->edits->len
                   ? g_array_index(copy.edits, dt_xmp_edit_t, xmp->edits->len).text
                   : NULL;
  g_array_sort(copy.edits, _compare_edits); // stable for arrays: GLib merges
  size_t at = 0;
  for(guint i = 0; i < copy.edits->len; i++)
  {
    const dt_xmp_edit_t *edit = &g_array_index(copy.edits, dt_xmp_edit_t, i);
    if(edit->at < at) continue; // inside of what was cut already
    g_string_append_len(text, xmp->text + at, (gssize)(edit->at - at));
    g_string_append(text, edit->text);
    at = edit->at + edit->cut;
  }
  g_string_append_len(text, xmp->text + at, (gssize)(xmp->size - at));
  g_free(last);
  g_array_unref(copy.edits);
  return g_string_free_to_bytes(text);
}

// --- Texts

static void _append_text(GMarkupParseContext *context, const char *text, gsize size, gpointer data,
                         GError **error)
{
  (void)context, (void)error;
  g_string_append_len(data, text, (gssize)size);
}

char *dt_xmp_text(const dt_xmp_t *xmp, size_t start, size_t end)
{
  const GMarkupParser parser = { .text = _append_text };
  GString *text = g_string_new(NULL);
  GMarkupParseContext *context =
      g_markup_parse_context_new(&parser, G_MARKUP_TREAT_CDATA_AS_TEXT, text, NULL);
  if(g_markup_parse_context_parse(context, "<a>", 3, NULL)
     && g_markup_parse_context_parse(context, xmp->text + start, (gssize)(end - start), NULL))
    g_markup_parse_context_parse(context, "</a>", 4, NULL);
  g_markup_parse_context_free(context);
  return g_strstrip(g_string_free(text, FALSE));
}

/** Text for an attribute or an element; characters that XML cannot hold become blanks. */
static char *_escape(const char *value)
{
  char *valid = g_utf8_make_valid(value, -1);
  for(char *c = valid; *c; c++)
    if(((guchar)*c < 0x20 && *c != '\t' && *c != '\n') || *c == 0x7f) *c = ' ';
  char *escaped = g_markup_escape_text(valid, -1);
  g_free(valid);
  return escaped;
}

// --- Properties

static const dt_xmp_property_t *_find(const dt_xmp_t *xmp, const char *uri, const char *name, guint *from)
{
  for(; *from < xmp->properties->len; (*from)++)
  {
    const dt_xmp_property_t *property = dt_xmp_property(xmp, *from);
    if(strcmp(property->name, name) == 0 && strcmp(property->uri, uri) == 0)
    {
      (*from)++;
      return property;
    }
  }
  return NULL;
}

char *dt_xmp_get(const dt_xmp_t *xmp, const char *uri, const char *name)
{
  guint at = 0;
  const dt_xmp_property_t *property = _find(xmp, uri, name, &at);
  return property ? dt_xmp_text(xmp, property->value, property->value_end) : NULL;
}

gboolean dt_xmp_replace(dt_xmp_t *xmp, const char *uri, const char *name, const char *value)
{
  guint at = 0;
  gboolean found = FALSE;
  for(const dt_xmp_property_t *p; (p = _find(xmp, uri, name, &at)); found = TRUE)
    if(p->value_end > p->value) dt_xmp_edit(xmp, p->value, p->value_end - p->value, _escape(value));
  return found;
}

void dt_xmp_add(dt_xmp_t *xmp, const char *uri, const char *prefix, const char *name, const char *value)
{
  char *text = _escape(value);
  g_string_append_printf(xmp->added, "<%s:%s xmlns:%s=\"%s\">%s</%s:%s>\n", prefix, name, prefix, uri, text,
                         prefix, name);
  g_free(text);
}

void dt_xmp_remove(dt_xmp_t *xmp, const char *uri, const char *name)
{
  guint at = 0;
  for(const dt_xmp_property_t *p; (p = _find(xmp, uri, name, &at));)
    dt_xmp_edit(xmp, p->start, p->end - p->start, g_strdup(""));
}

// --- Arrays

/** The first child of @p parent behind @p after that is a rdf:@p name; -1 when there is none. */
static int _find_child(const dt_xmp_t *xmp, int parent, int after, const char *name)
{
  const size_t end = dt_xmp_node(xmp, parent)->end;
  for(int i = after + 1; i < (int)xmp->nodes->len && dt_xmp_node(xmp, i)->start < end; i++)
  {
    const dt_xmp_node_t *node = dt_xmp_node(xmp, i);
    if(node->parent == parent && strcmp(node->uri, DT_XMP_NS_RDF) == 0 && strcmp(node->name, name) == 0)
      return i;
  }
  return -1;
}

/** The node that holds the items of a property, -1 when it is no array. */
static int _find_container(const dt_xmp_t *xmp, const dt_xmp_property_t *property)
{
  static const char *const kinds[] = { "Seq", "Bag", "Alt" };
  int found = -1;
  for(size_t i = 0; i < G_N_ELEMENTS(kinds) && property->node >= 0 && found < 0; i++)
    found = _find_child(xmp, property->node, property->node, kinds[i]);
  return found;
}

static void _read_attribute_fields(const dt_xmp_t *xmp, int node, GHashTable *fields)
{
  dt_xmp_attribute_t a;
  for(size_t at = dt_xmp_name_end(xmp, dt_xmp_node(xmp, node)->start); dt_xmp_next_attribute(xmp, &at, &a);)
  {
    const char *name = xmp->text + a.name, *colon = memchr(name, ':', a.name_end - a.name);
    if(!colon || g_str_has_prefix(name, "xml")) continue;
    const size_t skip = (size_t)(colon - name) + 1;
    g_hash_table_insert(fields, g_strndup(name + skip, a.name_end - a.name - skip),
                        dt_xmp_text(xmp, a.value, a.value_end));
  }
}

/** A structure is written as attributes, as elements, or as either in a rdf:Description of its own. */
static GHashTable *_read_item(const dt_xmp_t *xmp, int item)
{
  GHashTable *fields = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
  const int inside = _find_child(xmp, item, item, "Description"), owner = inside >= 0 ? inside : item;
  const size_t end = dt_xmp_node(xmp, owner)->end;
  _read_attribute_fields(xmp, item, fields);
  if(inside >= 0) _read_attribute_fields(xmp, inside, fields);
  for(int i = owner + 1; i < (int)xmp->nodes->len && dt_xmp_node(xmp, i)->start < end; i++)
  {
    const dt_xmp_node_t *node = dt_xmp_node(xmp, i);
    if(node->parent == owner)
      g_hash_table_insert(fields, g_strdup(node->name), dt_xmp_text(xmp, node->inner, node->close));
  }
  return fields;
}

GPtrArray *dt_xmp_get_items(const dt_xmp_t *xmp, const char *uri, const char *name)
{
  GPtrArray *items = g_ptr_array_new_with_free_func((GDestroyNotify)g_hash_table_unref);
  guint at = 0;
  const dt_xmp_property_t *property = _find(xmp, uri, name, &at);
  const int container = property ? _find_container(xmp, property) : -1;
  if(container < 0) return items;
  for(int i = container; (i = _find_child(xmp, container, i, "li")) >= 0;)
    g_ptr_array_add(items, _read_item(xmp, i));
  return items;
}

/** "<rdf:li …/>", with the namespaces it needs. */
static char *_make_item(const char *uri, const char *prefix, const char *const (*fields)[2])
{
  GString *text = g_string_new("<rdf:li xmlns:rdf=\"" DT_XMP_NS_RDF "\"");
  g_string_append_printf(text, " xmlns:%s=\"%s\"", prefix, uri);
  for(; (*fields)[0]; fields++)
  {
    if(!(*fields)[1]) continue;
    char *value = _escape((*fields)[1]);
    g_string_append_printf(text, "\n %s:%s=\"%s\"", prefix, (*fields)[0], value);
    g_free(value);
  }
  return g_string_free(g_string_append(text, "/>\n"), FALSE);
}

gboolean dt_xmp_append(dt_xmp_t *xmp, const char *uri, const char *prefix, const char *name,
                       const char *item_uri, const char *item_prefix, const char *const (*fields)[2])
{
  guint at = 0;
  const dt_xmp_property_t *property = _find(xmp, uri, name, &at);
  const int container = property ? _find_container(xmp, property) : -1;
  if(property && container < 0) return FALSE;
  char *item = _make_item(item_uri, item_prefix, fields);
  if(property)
    dt_xmp_insert_inside(xmp, container, item);
  else
    g_string_append_printf(xmp->added,
                           "<%s:%s xmlns:%s=\"%s\" xmlns:rdf=\"" DT_XMP_NS_RDF
                           "\"><rdf:Seq>\n%s</rdf:Seq></%s:%s>\n",
                           prefix, name, prefix, uri, item, prefix, name);
  g_free(item);
  return TRUE;
}
