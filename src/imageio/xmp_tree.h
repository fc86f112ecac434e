/* SPDX-License-Identifier: GPL-3.0-or-later */
/** @file
 * The elements of an XMP packet one by one, for who keeps more in it than simple properties.
 *
 * Elements are numbers from 0 on, in the order of their beginnings; -1 is none. What is changed here is written by
 * dt_xmp_write(), and everything else stays as it is, byte for byte; reading goes on to see what was there before.
 */
#ifndef DT_IMAGEIO_XMP_TREE_H
#define DT_IMAGEIO_XMP_TREE_H

#include "imageio/xmp.h"

typedef struct dt_xmp_tree_t dt_xmp_tree_t;

/** An attribute of an element. */
typedef struct dt_xmp_tree_attribute_t
{
  const char *uri; ///< "" without a prefix
  const char *name;
  gboolean declares; ///< xmlns or xmlns:…: a namespace, no value
  size_t start, end, value, value_end;
} dt_xmp_tree_attribute_t;

/** @param xmp  borrowed for its life */
dt_xmp_tree_t *dt_xmp_tree_create(dt_xmp_t *xmp);
void dt_xmp_tree_destroy(dt_xmp_tree_t *tree);

/** How many elements are around the innermost one, and itself. */
int dt_xmp_tree_depth(const dt_xmp_tree_t *tree);
/** rdf:RDF. */
int dt_xmp_tree_root(const dt_xmp_tree_t *tree);
/** The elements that are the property of that name, first to last: the one after @p after, -1 to begin. */
int dt_xmp_tree_property(const dt_xmp_tree_t *tree, const char *uri, const char *name, int after);
/** The elements in @p parent, first to last: the one after @p after, -1 to begin. */
int dt_xmp_tree_child(const dt_xmp_tree_t *tree, int parent, int after);
/** The first one in @p parent of that name. */
int dt_xmp_tree_find(const dt_xmp_tree_t *tree, int parent, const char *uri, const char *name);
gboolean dt_xmp_tree_is(const dt_xmp_tree_t *tree, int node, const char *uri, const char *name);
/** Its namespace, "" for none. */
const char *dt_xmp_tree_uri(const dt_xmp_tree_t *tree, int node);
const char *dt_xmp_tree_name(const dt_xmp_tree_t *tree, int node);
/** What is written in it, without tags and blanks at both ends (transfer full). */
char *dt_xmp_tree_text(const dt_xmp_tree_t *tree, int node);
/** Its attributes, @p n of them (transfer none). */
const dt_xmp_tree_attribute_t *dt_xmp_tree_attributes(const dt_xmp_tree_t *tree, int node, guint *n);
/** The value of one of them (transfer full). */
char *dt_xmp_tree_attribute_text(const dt_xmp_tree_t *tree, const dt_xmp_tree_attribute_t *attribute);
/** The prefix that means @p uri inside of @p node (transfer none), NULL when there is none. */
const char *dt_xmp_tree_prefix(const dt_xmp_tree_t *tree, int node, const char *uri);
/** A prefix like @p wish that is used nowhere (transfer full). */
char *dt_xmp_tree_new_prefix(const dt_xmp_tree_t *tree, const char *wish);

/** @p text as it has to be written inside of tags and between them (transfer full). */
char *dt_xmp_tree_escape(const char *text);
/** Puts the markup @p text in place of an element; NULL removes it with the blanks before it. */
void dt_xmp_tree_replace(dt_xmp_tree_t *tree, int node, const char *text);
/** Puts markup behind what is inside an element, once for each. */
void dt_xmp_tree_append(dt_xmp_tree_t *tree, int node, const char *text);
/** Writes other text into an element. */
void dt_xmp_tree_set_text(dt_xmp_tree_t *tree, int node, const char *text);
/** Adds attributes, as markup with a blank in front; before the others are changed or removed. */
void dt_xmp_tree_add_attributes(dt_xmp_tree_t *tree, int node, const char *text);
/** Writes another value; NULL removes the attribute. */
void dt_xmp_tree_set_attribute(dt_xmp_tree_t *tree, const dt_xmp_tree_attribute_t *attribute,
                               const char *text);

#endif
