/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What xmp_scan.c has found, tied together: children, attributes and what prefixes mean, found once in one pass, so that
 * no file can make looking at it slow. */
#include "imageio/xmp_tree.h"

#include "common/checksum.h"
#include "imageio/xmp_internal.h"

#include <string.h>

#define XML "http://www.w3.org/XML/1998/namespace"

/** What belongs to an element, besides what the packet knows of it. */
typedef struct _links_t
{
  int first, last, next; ///< children, the next one of the same parent; -1: none
  int depth;
  guint attribute, attributes; ///< the first one and how many
} _links_t;

struct dt_xmp_tree_t
{
  dt_xmp_t *xmp;
  GArray *links;      ///< of _links_t, for each node
  GArray *attributes; ///< of dt_xmp_tree_attribute_t
  int depth;
};

/** A namespace in force. */
typedef struct _binding_t
{
  size_t end; ///< of its element
  GPtrArray *uris;
} _binding_t;

typedef struct _builder_t
{
  dt_xmp_tree_t *tree;
  GHashTable *prefixes; ///< prefixes to arrays of URIs, the innermost last
  GArray *bindings;     ///< of _binding_t, the innermost last
} _builder_t;

static _links_t *_links(const dt_xmp_tree_t *tree, int node)
{
  return &g_array_index(tree->links, _links_t, node);
}

/* --- building --- */

static void _link(dt_xmp_tree_t *tree, int node)
{
  const int parent = dt_xmp_node(tree->xmp, node)->parent;
  _links_t links = { .first = -1, .last = -1, .next = -1, .depth = 1, .attribute = tree->attributes->len };
  if(parent >= 0)
  {
    _links_t *above = _links(tree, parent);
    links.depth = above->depth + 1;
    if(above->last >= 0)
      _links(tree, above->last)->next = node;
    else
      above->first = node;
    above->last = node;
  }
  tree->depth = MAX(tree->depth, links.depth);
  g_array_append_val(tree->links, links);
}

static char *_intern(const dt_xmp_tree_t *tree, size_t start, size_t end)
{
  return g_string_chunk_insert_len(tree->xmp->names, tree->xmp->text + start, (gssize)(end - start));
}

static void _bind(_builder_t *self, int node, char *prefix, char *uri)
{
  GPtrArray *uris = g_hash_table_lookup(self->prefixes, prefix);
  if(!uris) g_hash_table_insert(self->prefixes, prefix, uris = g_ptr_array_new());
  g_ptr_array_add(uris, uri);
  const _binding_t binding = { dt_xmp_node(self->tree->xmp, node)->end, uris };
  g_array_append_val(self->bindings, binding);
}

/* Takes back what was declared by elements that end before @p at. */
static void _unbind(_builder_t *self, size_t at)
{
  guint n = self->bindings->len;
  for(; n > 0 && g_array_index(self->bindings, _binding_t, n - 1).end <= at; n--)
  {
    GPtrArray *uris = g_array_index(self->bindings, _binding_t, n - 1).uris;
    g_ptr_array_set_size(uris, (gint)uris->len - 1);
  }
  g_array_set_size(self->bindings, n);
}

/* What is not declared means nothing, and not the same as no prefix. */
static const char *_resolve(const _builder_t *self, const char *prefix)
{
  const GPtrArray *uris = g_hash_table_lookup(self->prefixes, prefix);
  if(strcmp(prefix, "xml") == 0) return XML;
  return uris && uris->len ? uris->pdata[uris->len - 1] : "?";
}

/* Adds an attribute; its prefix waits in place of the namespace until all of the element are known. */
static void _add_attribute(_builder_t *self, int node, const dt_xmp_attribute_t *a)
{
  dt_xmp_tree_t *tree = self->tree;
  const char *from = tree->xmp->text + a->name, *colon = memchr(from, ':', a->name_end - a->name);
  const size_t skip = colon ? (size_t)(colon - from) + 1 : 0;
  char *prefix = _intern(tree, a->name, a->name + (skip ? skip - 1 : 0));
  char *name = _intern(tree, a->name + skip, a->name_end);
  const gboolean is_default = !colon && strcmp(name, "xmlns") == 0;
  const dt_xmp_tree_attribute_t attribute = { .uri = prefix,
                                              .name = name,
                                              .declares = is_default || strcmp(prefix, "xmlns") == 0,
                                              .start = a->start,
                                              .end = a->end,
                                              .value = a->value,
                                              .value_end = a->value_end };
  if(attribute.declares && !is_default) _bind(self, node, name, _intern(tree, a->value, a->value_end));
  g_array_append_val(tree->attributes, attribute);
}

static void _read_attributes(_builder_t *self, int node)
{
  dt_xmp_tree_t *tree = self->tree;
  const size_t start = dt_xmp_node(tree->xmp, node)->start;
  dt_xmp_attribute_t a;
  _links_t *links = _links(tree, node);
  _unbind(self, start);
  for(size_t at = dt_xmp_name_end(tree->xmp, start); dt_xmp_next_attribute(tree->xmp, &at, &a);)
    _add_attribute(self, node, &a);
  links->attributes = tree->attributes->len - links->attribute;
  for(guint i = links->attribute; i < tree->attributes->len; i++)
  {
    dt_xmp_tree_attribute_t *attribute = &g_array_index(tree->attributes, dt_xmp_tree_attribute_t, i);
    if(*attribute->uri) attribute->uri = _resolve(self, attribute->uri);
  }
}

dt_xmp_tree_t *dt_xmp_tree_create(dt_xmp_t *xmp)
{
  dt_xmp_tree_t *tree = g_new0(dt_xmp_tree_t, 1);
  tree->xmp = xmp;
  tree->links = g_array_new(FALSE, FALSE, sizeof(_links_t));
  tree->attributes = g_array_new(FALSE, FALSE, sizeof(dt_xmp_tree_attribute_t));
  _builder_t builder = {
    tree, g_hash_table_new_full(g_str_hash, g_str_equal, NULL, (GDestroyNotify)g_ptr_array_unref),
    g_array_new(FALSE, FALSE, sizeof(_binding_t))
  };
  for(int node = 0; node < (int)xmp->nodes->len; node++)
  {
    _link(tree, node);
    _read_attributes(&builder, node);
  }
  g_hash_table_unref(builder.prefixes);
  g_array_unref(builder.bindings);
  return tree;
}

void dt_xmp_tree_destroy(dt_xmp_tree_t *tree)
{
  if(!tree) return;
  g_array_unref(tree->links);
  g_array_unref(tree->attributes);
  g_free(tree);
}

/* --- looking --- */

int dt_xmp_tree_depth(const dt_xmp_tree_t *tree)
{
  return tree->depth;
}

int dt_xmp_tree_root(const dt_xmp_tree_t *tree)
{
  return tree->xmp->rdf;
}

int dt_xmp_tree_property(const dt_xmp_tree_t *tree, const char *uri, const char *name, int after)
{
  for(guint i = 0; i < tree->xmp->properties->len; i++)
  {
    const dt_xmp_property_t *property = dt_xmp_property(tree->xmp, i);
    if(property->node > after && strcmp(property->name, name) == 0 && strcmp(property->uri, uri) == 0)
      return property->node;
  }
  return -1;
}

int dt_xmp_tree_child(const dt_xmp_tree_t *tree, int parent, int after)
{
  return after < 0 ? _links(tree, parent)->first : _links(tree, after)->next;
}

int dt_xmp_tree_find(const dt_xmp_tree_t *tree, int parent, const char *uri, const char *name)
{
  int node = dt_xmp_tree_child(tree, parent, -1);
  while(node >= 0 && !dt_xmp_tree_is(tree, node, uri, name)) node = dt_xmp_tree_child(tree, parent, node);
  return node;
}

const char *dt_xmp_tree_uri(const dt_xmp_tree_t *tree, int node)
{
  return dt_xmp_node(tree->xmp, node)->uri;
}

const char *dt_xmp_tree_name(const dt_xmp_tree_t *tree, int node)
{
  return dt_xmp_node(tree->xmp, node)->name;
}

gboolean dt_xmp_tree_is(const dt_xmp_tree_t *tree, int node, const char *uri, const char *name)
{
  return strcmp(dt_xmp_tree_name(tree, node), name) == 0 && strcmp(dt_xmp_tree_uri(tree, node), uri) == 0;
}

char *dt_xmp_tree_text(const dt_xmp_tree_t *tree, int node)
{
  const dt_xmp_node_t *n = dt_xmp_node(tree->xmp, node);
  return dt_xmp_text(tree->xmp, n->inner, n->close);
}

const dt_xmp_tree_attribute_t *dt_xmp_tree_attributes(const dt_xmp_tree_t *tree, int node, guint *n)
{
  const _links_t *links = _links(tree, node);
  *n = links->attributes;
  return *n ? &g_array_index(tree->attributes, dt_xmp_tree_attribute_t, links->attribute) : NULL;
}

char *dt_xmp_tree_attribute_text(const dt_xmp_tree_t *tree, const dt_xmp_tree_attribute_t *attribute)
{
  return dt_xmp_text(tree->xmp, attribute->value, attribute->value_end);
}

/* --- prefixes --- */

static gboolean _declares(const dt_xmp_tree_t *tree, const dt_xmp_tree_attribute_t *a, const char *uri)
{
  return a->declares && strcmp(a->name, "xmlns") != 0 && strlen(uri) == a->value_end - a->value
         && strncmp(tree->xmp->text + a->value, uri, strlen(uri)) == 0;
}

/* Whether an element inside of @p outer, at @p node or above it, says that the prefix means something else. */
static gboolean _is_shadowed(const dt_xmp_tree_t *tree, int node, int outer, const char *prefix)
{
  for(; node != outer; node = dt_xmp_node(tree->xmp, node)->parent)
  {
    guint n;
    const dt_xmp_tree_attribute_t *a = dt_xmp_tree_attributes(tree, node, &n);
    for(guint i = 0; i < n; i++)
      if(a[i].declares && strcmp(a[i].name, prefix) == 0) return TRUE;
  }
  return FALSE;
}

const char *dt_xmp_tree_prefix(const dt_xmp_tree_t *tree, int node, const char *uri)
{
  for(int at = node; at >= 0; at = dt_xmp_node(tree->xmp, at)->parent)
  {
    guint n;
    const dt_xmp_tree_attribute_t *a = dt_xmp_tree_attributes(tree, at, &n);
    for(guint i = 0; i < n; i++)
      if(_declares(tree, &a[i], uri) && !_is_shadowed(tree, node, at, a[i].name)) return a[i].name;
  }
  return NULL;
}

char *dt_xmp_tree_new_prefix(const dt_xmp_tree_t *tree, const char *wish)
{
  const dt_xmp_t *xmp = tree->xmp;
  if(!strstr(xmp->text, wish)) return g_strdup(wish);
  return g_strdup_printf("%s%016" G_GINT64_MODIFIER "x", wish, (guint64)dt_checksum64(xmp->text, xmp->size));
}

/* --- changing --- */

char *dt_xmp_tree_escape(const char *text)
{
  char *escaped = g_markup_escape_text(text, -1);
  GString *result = g_string_new(NULL);
  for(const char *c = escaped; *c; c++)
    if(*c == '\t' || *c == '\n' || *c == '\r')
      g_string_append_printf(result, "&#%d;", *c); /* a blank in the value of an attribute otherwise */
    else
      g_string_append_c(result, *c);
  g_free(escaped);
  return g_string_free(result, FALSE);
}

void dt_xmp_tree_replace(dt_xmp_tree_t *tree, int node, const char *text)
{
  const dt_xmp_node_t *n = dt_xmp_node(tree->xmp, node);
  size_t start = n->start;
  while(!text && start > 0 && g_ascii_isspace(tree->xmp->text[start - 1])) start--;
  dt_xmp_edit(tree->xmp, start, n->end - start, g_strdup(text ? text : ""));
}

void dt_xmp_tree_append(dt_xmp_tree_t *tree, int node, const char *text)
{
  dt_xmp_insert_inside(tree->xmp, node, text);
}

void dt_xmp_tree_set_text(dt_xmp_tree_t *tree, int node, const char *text)
{
  const dt_xmp_node_t *n = dt_xmp_node(tree->xmp, node);
  char *escaped = dt_xmp_tree_escape(text);
  if(n->close < n->end)
    dt_xmp_edit(tree->xmp, n->inner, n->close - n->inner, g_strdup(escaped));
  else
    dt_xmp_insert_inside(tree->xmp, node, escaped);
  g_free(escaped);
}

void dt_xmp_tree_add_attributes(dt_xmp_tree_t *tree, int node, const char *text)
{
  const size_t at = dt_xmp_name_end(tree->xmp, dt_xmp_node(tree->xmp, node)->start);
  if(*text) dt_xmp_edit(tree->xmp, at, 0, g_strdup(text));
}

void dt_xmp_tree_set_attribute(dt_xmp_tree_t *tree, const dt_xmp_tree_attribute_t *attribute,
                               const char *text)
{
  if(text)
    dt_xmp_edit(tree->xmp, attribute->value, attribute->value_end - attribute->value,
                dt_xmp_tree_escape(text));
  else
    dt_xmp_edit(tree->xmp, attribute->start, attribute->end - attribute->start, g_strdup(""));
}
