/* SPDX-License-Identifier: GPL-3.0-or-later */
/* XMP in two packets, as JPEG wants it when one is longer than a segment: the first holds what fits and the name of
 * the second, which comes in pieces. In memory there is always one packet only. */
#include "imageio/xmp_internal.h"

#include <stdint.h>
#include <string.h>

// --- Namespaces

/** The declarations of one tag, without those whose prefix is in @p known, which gets them. */
static void _append_declarations(const dt_xmp_t *xmp, int node, GHashTable *known, GString *text)
{
  dt_xmp_attribute_t a;
  for(size_t at = dt_xmp_name_end(xmp, dt_xmp_node(xmp, node)->start); dt_xmp_next_attribute(xmp, &at, &a);)
  {
    if(strncmp(xmp->text + a.name, "xmlns", 5) != 0) continue;
    char *name = g_strndup(xmp->text + a.name, a.name_end - a.name);
    if(g_hash_table_add(known, name)) // frees a name that is known
      g_string_append_printf(text, " %.*s", (int)(a.end - a.name), xmp->text + a.name);
  }
}

/** Every namespace in force inside @p node; those of its own tag only when @p own says
 * so, and then not the prefix rdf, which the new place declares itself. */
static char *_get_declarations(const dt_xmp_t *xmp, int node, gboolean own)
{
  GHashTable *known = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
  GString *text = g_string_new(NULL), *dropped = g_string_new(NULL);
  if(own) g_hash_table_add(known, g_strdup("xmlns:rdf"));
  _append_declarations(xmp, node, known, own ? text : dropped);
  for(int i = dt_xmp_node(xmp, node)->parent; i >= 0; i = dt_xmp_node(xmp, i)->parent)
    _append_declarations(xmp, i, known, text);
  g_string_free(dropped, TRUE);
  g_hash_table_unref(known);
  return g_string_free(text, FALSE);
}

// --- Dividing

static size_t _get_size(const dt_xmp_property_t *property)
{
  return property->end - property->start;
}

static int _compare_sizes(gconstpointer a, gconstpointer b)
{
  const size_t one = _get_size(*(const dt_xmp_property_t *const *)a);
  const size_t other = _get_size(*(const dt_xmp_property_t *const *)b);
  return one < other ? 1 : one > other ? -1 : 0;
}

static int _compare_places(gconstpointer a, gconstpointer b)
{
  const size_t one = (*(const dt_xmp_property_t *const *)a)->start;
  const size_t other = (*(const dt_xmp_property_t *const *)b)->start;
  return one > other ? 1 : one < other ? -1 : 0;
}

/** The largest properties that together have at least @p excess bytes, in the packet's order; NULL when there is not
 * that much. */
static GPtrArray *_choose(const dt_xmp_t *xmp, size_t excess)
{
  GPtrArray *chosen = g_ptr_array_new();
  for(guint i = 0; i < xmp->properties->len; i++)
    g_ptr_array_add(chosen, (gpointer)(uintptr_t)dt_xmp_property(xmp, i));
  g_ptr_array_sort(chosen, _compare_sizes);
  guint n = 0;
  size_t found = 0;
  for(; n < chosen->len && found < excess; n++) found += _get_size(chosen->pdata[n]);
  g_ptr_array_set_size(chosen, (gint)n);
  g_ptr_array_sort(chosen, _compare_places);
  if(found < excess) g_clear_pointer(&chosen, g_ptr_array_unref);
  return chosen;
}

/** One rdf:Description with the chosen properties from the @p first on that stand in one; returns the next. */
static guint _append_description(const dt_xmp_t *xmp, const GPtrArray *chosen, guint first, GString *text)
{
  const int description = ((const dt_xmp_property_t *)chosen->pdata[first])->description;
  char *declarations = _get_declarations(xmp, description, TRUE);
  g_string_append_printf(text, "<rdf:Description rdf:about=\"\"%s", declarations);
  g_free(declarations);
  gboolean open = TRUE; // attributes stand before elements, in what is read and so here
  guint i = first;
  for(; i < chosen->len; i++)
  {
    const dt_xmp_property_t *property = chosen->pdata[i];
    if(property->description != description) break;
    if(open && property->node >= 0) g_string_append_c(text, '>');
    open = open && property->node < 0;
    g_string_append_len(text, xmp->text + property->start, (gssize)_get_size(property));
  }
  g_string_append(text, open ? "/>\n" : "</rdf:Description>\n");
  return i;
}

static GBytes *_make_rest(const dt_xmp_t *xmp, const GPtrArray *chosen)
{
  GString *text =
      g_string_new("<x:xmpmeta xmlns:x=\"adobe:ns:meta/\"><rdf:RDF xmlns:rdf=\"" DT_XMP_NS_RDF "\">\n");
  for(guint i = 0; i < chosen->len;) i = _append_description(xmp, chosen, i, text);
  g_string_append(text, "</rdf:RDF></x:xmpmeta>");
  return g_string_free_to_bytes(text);
}

GBytes *dt_xmp_split(GBytes *packet, size_t limit, GBytes **rest, char guid[33])
{
  // room for the name of the rest, and for what is put in place of what is moved
  const size_t room = limit > 512 ? limit - 512 : 0, size = g_bytes_get_size(packet);
  dt_xmp_t *xmp = dt_xmp_read(packet);
  GPtrArray *chosen = xmp && size > room ? _choose(xmp, size - room) : NULL;
  GBytes *first = NULL;
  if(chosen)
  {
    *rest = _make_rest(xmp, chosen);
    char *digest = g_compute_checksum_for_bytes(G_CHECKSUM_MD5, *rest);
    char *name = g_ascii_strup(digest, 32);
    for(guint i = 0; i < chosen->len; i++)
    {
      const dt_xmp_property_t *property = chosen->pdata[i];
      dt_xmp_edit(xmp, property->start, property->end - property->start, g_strdup(""));
    }
    dt_xmp_add(xmp, DT_XMP_NS_NOTE, "xmpNote", "HasExtendedXMP", name);
    g_strlcpy(guid, name, 33);
    first = dt_xmp_write(xmp);
    g_ptr_array_unref(chosen);
    g_free(digest);
    g_free(name);
  }
  dt_xmp_destroy(xmp);
  return first;
}

// --- Joining

char *dt_xmp_get_extension(GBytes *packet)
{
  dt_xmp_t *xmp = dt_xmp_read(packet);
  char *guid = xmp ? dt_xmp_get(xmp, DT_XMP_NS_NOTE, "HasExtendedXMP") : NULL;
  dt_xmp_destroy(xmp);
  return guid;
}

/** Every rdf:Description of @p rest, with the namespaces it is used to. */
static void _append_descriptions(const dt_xmp_t *rest, GString *text)
{
  const size_t end = dt_xmp_node(rest, rest->rdf)->end;
  for(int i = rest->rdf + 1; i < (int)rest->nodes->len && dt_xmp_node(rest, i)->start < end; i++)
  {
    const dt_xmp_node_t *node = dt_xmp_node(rest, i);
    if(node->parent != rest->rdf) continue;
    const size_t name_end = dt_xmp_name_end(rest, node->start);
    char *declarations = _get_declarations(rest, i, FALSE);
    g_string_append_len(text, rest->text + node->start, (gssize)(name_end - node->start));
    g_string_append(text, declarations);
    g_string_append_len(text, rest->text + name_end, (gssize)(node->end - name_end));
    g_string_append_c(text, '\n');
    g_free(declarations);
  }
}

GBytes *dt_xmp_merge(GBytes *packet, GBytes *rest)
{
  dt_xmp_t *xmp = dt_xmp_read(packet);
  if(!xmp) return g_bytes_ref(packet);
  dt_xmp_t *second = rest ? dt_xmp_read(rest) : NULL;
  dt_xmp_remove(xmp, DT_XMP_NS_NOTE, "HasExtendedXMP");
  if(second)
  {
    GString *text = g_string_new(NULL);
    _append_descriptions(second, text);
    dt_xmp_insert_inside(xmp, xmp->rdf, text->str);
    g_string_free(text, TRUE);
  }
  GBytes *whole = dt_xmp_write(xmp);
  dt_xmp_destroy(second);
  dt_xmp_destroy(xmp);
  return whole;
}
