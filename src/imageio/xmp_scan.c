/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Finds elements and properties of an XMP packet with their places in the text. GMarkup has found the text
 * well-formed before; it does not tell places, nor does it know namespaces. */
#include "imageio/xmp_internal.h"

#include <stdint.h>
#include <string.h>

/** More than any packet of a picture has; keeps what a hostile one costs within bounds. */
#define MAX_NODES 500000
/** What stands before the contents of rdf:RDF: namespaces, which may have to be repeated for every part. */
#define MAX_HEAD 16384

/** A namespace declaration in force. */
typedef struct _declaration_t
{
  int node;
  GPtrArray *uris; ///< of its prefix, the innermost last
} _declaration_t;

typedef struct _scanner_t
{
  dt_xmp_t *xmp;
  int open;             ///< the innermost open node, -1: none
  GHashTable *bindings; ///< prefixes to arrays of URIs
  GArray *declarations; ///< to be taken back at the end of their nodes
} _scanner_t;

// --- Tags and attributes

static gboolean _is_blank(char c)
{
  return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

size_t dt_xmp_name_end(const dt_xmp_t *xmp, size_t start)
{
  const char *text = xmp->text;
  size_t at = start + 1;
  while(text[at] && !_is_blank(text[at]) && text[at] != '/' && text[at] != '>') at++;
  return at;
}

gboolean dt_xmp_next_attribute(const dt_xmp_t *xmp, size_t *at, dt_xmp_attribute_t *attribute)
{
  const char *text = xmp->text;
  size_t i = *at;
  attribute->start = i;
  while(_is_blank(text[i])) i++;
  if(!text[i] || text[i] == '/' || text[i] == '>') return FALSE;
  attribute->name = i;
  while(text[i] && text[i] != '=' && !_is_blank(text[i])) i++;
  attribute->name_end = i;
  while(_is_blank(text[i]) || text[i] == '=') i++;
  const char quote = text[i];
  const char *end = quote == '"' || quote == '\'' ? strchr(text + i + 1, quote) : NULL;
  if(!end) return FALSE;
  attribute->value = i + 1;
  attribute->value_end = (size_t)(end - text);
  *at = attribute->end = attribute->value_end + 1;
  return TRUE;
}

/** Behind the '>' of the tag at @p at, 0 when there is none. */
static size_t _find_tag_end(const char *text, size_t at)
{
  char quote = 0;
  for(size_t i = at + 1; text[i]; i++)
  {
    if(quote)
      quote = text[i] == quote ? 0 : quote;
    else if(text[i] == '"' || text[i] == '\'')
      quote = text[i];
    else if(text[i] == '>')
      return i + 1;
  }
  return 0;
}

/** Behind a comment, a CDATA section or an instruction at @p at; 0 for declarations, which XMP does not have. */
static size_t _find_other_end(const char *text, size_t at)
{
  static const char *const kinds[][2] = { { "<!--", "-->" }, { "<![CDATA[", "]]>" }, { "<?", "?>" } };
  for(size_t i = 0; i < G_N_ELEMENTS(kinds); i++)
  {
    const size_t head = strlen(kinds[i][0]);
    if(strncmp(text + at, kinds[i][0], head) != 0) continue;
    const char *end = strstr(text + at + head, kinds[i][1]);
    return end ? (size_t)(end - text) + strlen(kinds[i][1]) : 0;
  }
  return 0;
}

// --- Names

/** Divides a name at its colon. */
static void _split_name(const dt_xmp_t *xmp, size_t start, size_t end, const char **prefix, const char **name)
{
  const char *from = xmp->text + start;
  const char *colon = memchr(from, ':', end - start);
  *prefix = g_string_chunk_insert_len(xmp->names, from, colon ? colon - from : 0);
  const size_t skip = colon ? (size_t)(colon - from) + 1 : 0;
  *name = g_string_chunk_insert_len(xmp->names, from + skip, (gssize)(end - start - skip));
}

static const char *_resolve(const _scanner_t *self, const char *prefix)
{
  const GPtrArray *uris = g_hash_table_lookup(self->bindings, prefix);
  return uris && uris->len ? uris->pdata[uris->len - 1] : "";
}

static void _declare(_scanner_t *self, int node, const char *prefix, const char *uri)
{
  GPtrArray *uris = g_hash_table_lookup(self->bindings, prefix);
  if(!uris) g_hash_table_insert(self->bindings, (char *)(uintptr_t)prefix, uris = g_ptr_array_new());
  g_ptr_array_add(uris, (char *)(uintptr_t)uri);
  const _declaration_t declaration = { .node = node, .uris = uris };
  g_array_append_val(self->declarations, declaration);
}

/** Takes note of the namespaces that the tag of @p node declares. */
static void _read_declarations(_scanner_t *self, int node)
{
  dt_xmp_t *xmp = self->xmp;
  dt_xmp_attribute_t a;
  for(size_t at = dt_xmp_name_end(xmp, dt_xmp_node(xmp, node)->start); dt_xmp_next_attribute(xmp, &at, &a);)
  {
    const char *prefix, *name;
    _split_name(xmp, a.name, a.name_end, &prefix, &name);
    const gboolean is_default = *prefix == '\0' && strcmp(name, "xmlns") == 0;
    if(!is_default && strcmp(prefix, "xmlns") != 0) continue;
    const char *uri =
        g_string_chunk_insert_len(xmp->names, xmp->text + a.value, (gssize)(a.value_end - a.value));
    _declare(self, node, is_default ? "" : name, uri);
  }
}

static void _undo_declarations(_scanner_t *self, int node)
{
  while(self->declarations->len > 0)
  {
    const _declaration_t *last =
        &g_array_index(self->declarations, _declaration_t, self->declarations->len - 1);
    if(last->node != node) return;
    g_ptr_array_set_size(last->uris, (gint)last->uris->len - 1);
    g_array_set_size(self->declarations, self->declarations->len - 1);
  }
}

// --- Elements

static gboolean _is_rdf(const dt_xmp_node_t *node, const char *name)
{
  return strcmp(node->uri, DT_XMP_NS_RDF) == 0 && strcmp(node->name, name) == 0;
}

/** The attributes of a rdf:Description are properties, but those of XML and RDF. */
static void _read_attribute_properties(_scanner_t *self, int node)
{
  dt_xmp_t *xmp = self->xmp;
  dt_xmp_attribute_t a;
  for(size_t at = dt_xmp_name_end(xmp, dt_xmp_node(xmp, node)->start); dt_xmp_next_attribute(xmp, &at, &a);)
  {
    const char *prefix, *name;
    _split_name(xmp, a.name, a.name_end, &prefix, &name);
    if(*prefix == '\0' || g_str_has_prefix(prefix, "xml")) continue;
    const dt_xmp_property_t property = { .uri = _resolve(self, prefix),
                                         .name = name,
                                         .description = node,
                                         .node = -1,
                                         .start = a.start,
                                         .end = a.end,
                                         .value = a.value,
                                         .value_end = a.value_end };
    if(strcmp(property.uri, DT_XMP_NS_RDF) != 0) g_array_append_val(xmp->properties, property);
  }
}

/** What @p node is to the packet. */
static void _classify(_scanner_t *self, int index)
{
  dt_xmp_t *xmp = self->xmp;
  const dt_xmp_node_t *node = dt_xmp_node(xmp, index);
  if(xmp->rdf < 0 && _is_rdf(node, "RDF"))
    xmp->rdf = index;
  else if(xmp->rdf >= 0 && node->parent == xmp->rdf && _is_rdf(node, "Description"))
  {
    if(xmp->description < 0) xmp->description = index;
    _read_attribute_properties(self, index);
  }
}

static void _close_node(_scanner_t *self, size_t close, size_t end)
{
  dt_xmp_t *xmp = self->xmp;
  const int index = self->open;
  dt_xmp_node_t *node = &g_array_index(xmp->nodes, dt_xmp_node_t, index);
  node->close = close;
  node->end = end;
  self->open = node->parent;
  _undo_declarations(self, index);
  if(node->parent < 0 || xmp->rdf < 0) return;
  const dt_xmp_node_t *parent = dt_xmp_node(xmp, node->parent);
  if(parent->parent != xmp->rdf || !_is_rdf(parent, "Description")) return;
  const dt_xmp_property_t property = { .uri = node->uri,
                                       .name = node->name,
                                       .description = node->parent,
                                       .node = index,
                                       .start = node->start,
                                       .end = end,
                                       .value = node->inner,
                                       .value_end = close };
  g_array_append_val(xmp->properties, property);
}

static gboolean _open_node(_scanner_t *self, size_t start, size_t end)
{
  dt_xmp_t *xmp = self->xmp;
  if(xmp->nodes->len >= MAX_NODES) return FALSE;
  const dt_xmp_node_t node = { .parent = self->open, .start = start, .inner = end, .uri = "", .name = "" };
  g_array_append_val(xmp->nodes, node);
  self->open = (int)xmp->nodes->len - 1;
  _read_declarations(self, self->open);
  const char *prefix, *name;
  _split_name(xmp, start + 1, dt_xmp_name_end(xmp, start), &prefix, &name);
  dt_xmp_node_t *added = &g_array_index(xmp->nodes, dt_xmp_node_t, self->open);
  added->uri = _resolve(self, prefix);
  added->name = name;
  _classify(self, self->open);
  if(xmp->text[end - 2] == '/') _close_node(self, end, end);
  return TRUE;
}

/** Takes the markup at @p at; returns what is behind it, 0 when it makes no sense. */
static size_t _take_markup(_scanner_t *self, size_t at)
{
  const char *text = self->xmp->text;
  if(text[at + 1] == '!' || text[at + 1] == '?') return _find_other_end(text, at);
  const size_t end = _find_tag_end(text, at);
  if(!end || text[at + 1] != '/') return end && _open_node(self, at, end) ? end : 0;
  if(self->open < 0) return 0;
  _close_node(self, at, end);
  return end;
}

gboolean dt_xmp_scan(dt_xmp_t *xmp)
{
  _scanner_t self = { .xmp = xmp,
                      .open = -1,
                      .bindings = g_hash_table_new_full(g_str_hash, g_str_equal, NULL,
                                                        (GDestroyNotify)g_ptr_array_unref),
                      .declarations = g_array_new(FALSE, FALSE, sizeof(_declaration_t)) };
  gboolean ok = TRUE;
  for(const char *next = strchr(xmp->text, '<'); ok && next;)
  {
    const size_t end = _take_markup(&self, (size_t)(next - xmp->text));
    ok = end > 0;
    if(ok) next = strchr(xmp->text + end, '<');
  }
  ok = ok && self.open < 0 && xmp->rdf >= 0 && dt_xmp_node(xmp, xmp->rdf)->inner <= MAX_HEAD;
  g_hash_table_unref(self.bindings);
  g_array_unref(self.declarations);
  return ok;
}
