/* SPDX-License-Identifier: GPL-3.0-or-later */
/** @file
 * The history stack: what has been done to a photograph, module by module, in the order in which it was done.
 *
 * Each item says all of one module: whether it is on, its parameters, and how it is blended. The last item of a module
 * before the end is the one that counts; a module without one has its standard parameters and is on when DT_IOP_ON says
 * so. Undoing moves the end; what is done then takes the place of what was undone.
 *
 * Values are kept as text. What this program does not understand (unknown modules and parameters, values out of range,
 * items of a newer version) stays in the history and goes into the sidecar again, but is not used: such a parameter has
 * its standard value, such an item is passed over for the one of its module before it. Nor is the switch of a module that
 * is always on. dt_history_check() says so in words.
 *
 * A history is used from one thread at a time; copies are independent.
 */
#ifndef DT_DEVELOP_HISTORY_H
#define DT_DEVELOP_HISTORY_H

#include "iop/iop.h"

G_BEGIN_DECLS

/** A value by its name. */
typedef struct dt_history_value_t
{
  char *name, *text;
} dt_history_value_t;

typedef struct dt_history_item_t
{
  char *module; ///< its name; "" when the sidecar names none
  int version;  ///< of the module's parameters, from 1; 0: not known, the item is not used
  gboolean enabled;
  GArray *params; ///< of dt_history_value_t, no name twice; what is not there has its standard value
  GArray *blend;  ///< the same for masks and opacity: "opacity", not "blend.opacity"
} dt_history_item_t;

/** Read only; what follows changes it. */
typedef struct dt_history_t
{
  const dt_iop_module_t *const *modules; ///< in the order of the pipe, ended by NULL
  GPtrArray *items;                      ///< of dt_history_item_t
  guint end;                             ///< items that count; those behind it are undone
} dt_history_t;

/** An empty history.
 * @param modules  borrowed for its life; NULL: dt_iop_modules */
dt_history_t *dt_history_create(const dt_iop_module_t *const *modules);
dt_history_t *dt_history_copy(const dt_history_t *history);
/** NULL is fine. */
void dt_history_free(dt_history_t *history);

/* --- doing --- */

/** Appends an item with these parameters; blending and what else is known of the module stay as they are.
 * @param params  as dt_iop_standard_params() makes them, values within their limits; NULL for a module without any */
void dt_history_append(dt_history_t *history, const dt_iop_module_t *module, gboolean enabled,
                       const void *params);
/** Does what @p setting says: "exposure.exposure=1" sets a parameter and switches the module on,
 * "exposure.blend.opacity=0.5" the same for blending, "exposure=off" and "exposure=on" only switch. A change of the module
 * of the last item changes that item.
 *
 * @param remarks  NULL: unknown modules and parameters and values that are not allowed are errors; otherwise they are
 *                 kept as text, and each adds a sentence (char *) here
 * @return FALSE with DT_AI_ERROR_USAGE and the history as it was */
gboolean dt_history_set(dt_history_t *history, const char *setting, GPtrArray *remarks, GError **error);
/** Moves the end by one item. @return FALSE when there is nothing to undo or redo */
gboolean dt_history_undo(dt_history_t *history);
gboolean dt_history_redo(dt_history_t *history);

/* --- what counts --- */

/** The parameters in force (transfer full: g_free()), all within their limits; NULL for a module without any. */
void *dt_history_params(const dt_history_t *history, const dt_iop_module_t *module);
/** The blending in force, of dt_history_value_t (transfer none); NULL: none. */
const GArray *dt_history_blend(const dt_history_t *history, const dt_iop_module_t *module);
/** Whether anything in force says something of it; else it has its standard, in all that follows. */
gboolean dt_history_has(const dt_history_t *history, const dt_iop_module_t *module);
/** Without an item: whether it has DT_IOP_ON. */
gboolean dt_history_is_enabled(const dt_history_t *history, const dt_iop_module_t *module);
/** What is in force of a module, with those parameters alone that differ from its standard (transfer full:
 * dt_history_item_free()). */
dt_history_item_t *dt_history_difference(const dt_history_t *history, const dt_iop_module_t *module);
/** A number for what counts, from the first module of the pipe up to and with @p last (NULL: all of them): the same for
 * the same effect, however it was reached. Parameters of modules that are off have no effect. */
guint64 dt_history_hash(const dt_history_t *history, const dt_iop_module_t *last);
/** Whether both have the same items with the same texts, and the same end. */
gboolean dt_history_equal(const dt_history_t *one, const dt_history_t *other);
/** What is in the history but not used: sentences for a person (char *, transfer full, never NULL). */
GPtrArray *dt_history_check(const dt_history_t *history);

/* --- items, for those who store them --- */

/** An item without values. */
dt_history_item_t *dt_history_item_new(const char *module, int version, gboolean enabled);
dt_history_item_t *dt_history_item_copy(const dt_history_item_t *item);
/** NULL is fine. */
void dt_history_item_free(dt_history_item_t *item);
gboolean dt_history_item_equal(const dt_history_item_t *one, const dt_history_item_t *other);
/** The item of that module that counts, or the last one there is when this program can use none of them; NULL: none. */
const dt_history_item_t *dt_history_find(const dt_history_t *history, const char *module);
/** Puts @p item (taken) at the end; what was undone is gone. */
void dt_history_push(dt_history_t *history, dt_history_item_t *item);
/** The text of that name, or NULL. */
const char *dt_history_get_value(const GArray *values, const char *name);
void dt_history_set_value(GArray *values, const char *name, const char *text);
/** "on" and "off", and the other words for them. @return FALSE: it is none */
gboolean dt_history_parse_switch(const char *text, gboolean *on);

G_END_DECLS

#endif
