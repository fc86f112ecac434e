/* SPDX-License-Identifier: GPL-3.0-or-later */
/** @file
 * A packet as xmp_scan.c reads it, xmp.c edits it and xmp_extended.c divides it.
 */
#ifndef DT_IMAGEIO_XMP_INTERNAL_H
#define DT_IMAGEIO_XMP_INTERNAL_H

#include "imageio/xmp.h"

/** An element; offsets into the text. */
typedef struct dt_xmp_node_t
{
  int parent;          ///< -1: none
  size_t start, end;   ///< of the whole
  size_t inner, close; ///< of what is inside; both equal to end when there is no closing tag
  const char *uri, *name;
} dt_xmp_node_t;

/** A property of the resource: an attribute of a rdf:Description, or an element in it. */
typedef struct dt_xmp_property_t
{
  const char *uri, *name;
  int description;   ///< the node it is in
  int node;          ///< -1: an attribute
  size_t start, end; ///< of the whole, the blanks before it included
  size_t value, value_end;
} dt_xmp_property_t;

/** One attribute of a tag. */
typedef struct dt_xmp_attribute_t
{
  size_t start, end; ///< with the blanks before it and the quotes behind it
  size_t name, name_end, value, value_end;
} dt_xmp_attribute_t;

typedef struct dt_xmp_edit_t
{
  size_t at, cut;
  char *text;
} dt_xmp_edit_t;

struct dt_xmp_t
{
  char *text;
  size_t size;
  GStringChunk *names;
  GArray *nodes;      ///< of dt_xmp_node_t, in order of their beginnings
  GArray *properties; ///< of dt_xmp_property_t
  GArray *edits;      ///< of dt_xmp_edit_t
  GString *added;     ///< elements for the first rdf:Description
  int rdf;            ///< the node of rdf:RDF, -1: none
  int description;    ///< the first rdf:Description, -1: none
};

static inline const dt_xmp_node_t *dt_xmp_node(const dt_xmp_t *xmp, int index)
{
  return &g_array_index(xmp->nodes, dt_xmp_node_t, index);
}

static inline const dt_xmp_property_t *dt_xmp_property(const dt_xmp_t *xmp, guint index)
{
  return &g_array_index(xmp->properties, dt_xmp_property_t, index);
}

/** Fills nodes and properties from the text. FALSE when it is not what GMarkup took it for. */
gboolean dt_xmp_scan(dt_xmp_t *xmp);
/** Reads the attribute at @p *at and moves on; FALSE at the end of the tag. */
gboolean dt_xmp_next_attribute(const dt_xmp_t *xmp, size_t *at, dt_xmp_attribute_t *attribute);
/** Behind the name of the tag at @p start. */
size_t dt_xmp_name_end(const dt_xmp_t *xmp, size_t start);
/** The text between two places, entities resolved, tags and the blanks at both ends left out (transfer full). */
char *dt_xmp_text(const dt_xmp_t *xmp, size_t start, size_t end);
/** Replaces @p cut bytes at @p at; takes @p text. */
void dt_xmp_edit(dt_xmp_t *xmp, size_t at, size_t cut, char *text);
/** Puts @p text behind what is inside a node. */
void dt_xmp_insert_inside(dt_xmp_t *xmp, int node, const char *text);

#endif
