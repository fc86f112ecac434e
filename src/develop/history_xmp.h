/* SPDX-License-Identifier: GPL-3.0-or-later */
/** @file
 * The history as XMP, in memory: the text of a sidecar.
 *
 * An ordered array dtai:history in our own namespace, an item of it for each item of the history, with its parameters by
 * their names; beside it dtai:schema, the version of this form, and dtai:historyEnd, the number of items that count:
 *
 *     <rdf:Description rdf:about="" xmlns:dtai="urn:x-darktable-ai:history:1.0#" dtai:schema="1" dtai:historyEnd="1">
 *      <dtai:history>
 *       <rdf:Seq>
 *        <rdf:li>
 *         <rdf:Description dtai:module="exposure" dtai:version="1" dtai:enabled="true">
 *          <dtai:params dtai:exposure="1.5" dtai:black="0"/>
 *          <dtai:blend dtai:opacity="0.5"/>
 *
 * Other ways of RDF to say the same are read as well. Writing changes what is to be changed in the text that is there;
 * what is not ours, and what of ours did not change, stays as it is to the last byte.
 */
#ifndef DT_DEVELOP_HISTORY_XMP_H
#define DT_DEVELOP_HISTORY_XMP_H

#include "develop/history.h"

G_BEGIN_DECLS

#define DT_HISTORY_NS "urn:x-darktable-ai:history:1.0#"
/** The version of the form. A later one keeps the meaning of what is above. */
#define DT_HISTORY_SCHEMA 1
/** The largest text that is read or written, the deepest nesting, the most items and values of an item. */
#define DT_HISTORY_MAX_SIZE ((gsize)4 << 20)
#define DT_HISTORY_MAX_DEPTH 64
#define DT_HISTORY_MAX_ITEMS 10000
#define DT_HISTORY_MAX_VALUES 512

/** Reads a history; one without dtai:history is empty.
 *
 * @param modules  as dt_history_create()
 * @param remarks  receives sentences (char *) about what is kept but not used, those of dt_history_check() included; or
 *                 NULL
 * @return (transfer full), or NULL with DT_AI_ERROR_INPUT: no UTF-8, damaged, too large, with a document type or entities
 *         of its own, or with a dtai:history of another kind */
dt_history_t *dt_history_from_xmp(GBytes *xmp, const dt_iop_module_t *const *modules, GPtrArray *remarks,
                                  GError **error);
/** Writes a history into @p old, or with NULL into a text of its own.
 *
 * @param force  also when @p old has a newer schema, which makes it one of ours
 * @return (transfer full), which reads back as the same history; or NULL with DT_AI_ERROR_INPUT as above,
 *         DT_AI_ERROR_OUTPUT for a newer schema, or a history that is too large */
GBytes *dt_history_to_xmp(const dt_history_t *history, GBytes *old, gboolean force, GError **error);

G_END_DECLS

#endif
