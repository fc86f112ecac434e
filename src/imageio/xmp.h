/* SPDX-License-Identifier: GPL-3.0-or-later */
/** @file
 * XMP packets, edited where they stand: what is not asked for stays as it is, byte for byte.
 *
 * A packet is RDF in XML: properties of one resource, below rdf:RDF in one or more rdf:Description, each as an
 * attribute or an element. Properties are named by namespace and local name; prefixes are the packet's own matter.
 */
#ifndef DT_IMAGEIO_XMP_H
#define DT_IMAGEIO_XMP_H

#include <glib.h>

#define DT_XMP_NS_RDF "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
#define DT_XMP_NS_XMP "http://ns.adobe.com/xap/1.0/"
#define DT_XMP_NS_MM "http://ns.adobe.com/xap/1.0/mm/"
#define DT_XMP_NS_EVENT "http://ns.adobe.com/xap/1.0/sType/ResourceEvent#"
#define DT_XMP_NS_TIFF "http://ns.adobe.com/tiff/1.0/"
#define DT_XMP_NS_EXIF "http://ns.adobe.com/exif/1.0/"
#define DT_XMP_NS_NOTE "http://ns.adobe.com/xmp/note/"

/** A packet and the changes that are asked for; one thread at a time. */
typedef struct dt_xmp_t dt_xmp_t;

/** Reads a packet, UTF-8, UTF-16 or UTF-32.
 * @return NULL when it is no well-formed XML or has no rdf:RDF */
dt_xmp_t *dt_xmp_read(GBytes *packet);
/** A packet without properties. */
dt_xmp_t *dt_xmp_create(void);
void dt_xmp_destroy(dt_xmp_t *xmp);
/** The packet with all changes, in UTF-8. */
GBytes *dt_xmp_write(const dt_xmp_t *xmp);

/** The text of a simple property (transfer full), NULL when there is none. */
char *dt_xmp_get(const dt_xmp_t *xmp, const char *uri, const char *name);
/** Changes the text of a property that is there. Returns FALSE when it is not. */
gboolean dt_xmp_replace(dt_xmp_t *xmp, const char *uri, const char *name, const char *value);
/** Adds a property that is not there. */
void dt_xmp_add(dt_xmp_t *xmp, const char *uri, const char *prefix, const char *name, const char *value);
/** Removes a property, of whatever kind. */
void dt_xmp_remove(dt_xmp_t *xmp, const char *uri, const char *name);

/** The items of an array, each a GHashTable from local names to texts (transfer full, never NULL). */
GPtrArray *dt_xmp_get_items(const dt_xmp_t *xmp, const char *uri, const char *name);
/** Appends a structure to an ordered array, which is made when it is not there.
 *
 * @param fields  local names and values, ending with NULL; a NULL value leaves its field out
 * @param item_uri, item_prefix  the namespace of the fields
 * @return FALSE when the property is there and is no array */
gboolean dt_xmp_append(dt_xmp_t *xmp, const char *uri, const char *prefix, const char *name,
                       const char *item_uri, const char *item_prefix, const char *const (*fields)[2]);

/** Divides a packet that is longer than a JPEG segment: the largest properties go into a second packet, which the
 * first one names.
 *
 * @param limit  the most bytes the first may have
 * @param rest   receives the second (transfer full)
 * @param guid   receives its name, 32 digits and a zero
 * @return the first packet, or NULL when the packet cannot be divided so */
GBytes *dt_xmp_split(GBytes *packet, size_t limit, GBytes **rest, char guid[33]);
/** The name of the second packet that @p packet wants (transfer full), or NULL. */
char *dt_xmp_get_extension(GBytes *packet);
/** One packet out of two; @p rest may be NULL or damaged: then it is the first, which wants no second any more. */
GBytes *dt_xmp_merge(GBytes *packet, GBytes *rest);

#endif
