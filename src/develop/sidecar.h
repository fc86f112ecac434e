/* SPDX-License-Identifier: GPL-3.0-or-later */
/** @file
 * The sidecar: the history of a photograph in a file beside it, photo.nef.dtai.xmp. The photograph is never touched, nor
 * is darktable's own photo.nef.xmp. history_xmp.h says what is in it.
 *
 * Any thread may call this. Of several writers the last one wins; a file is always one's whole.
 */
#ifndef DT_DEVELOP_SIDECAR_H
#define DT_DEVELOP_SIDECAR_H

#include "develop/history.h"

G_BEGIN_DECLS

#define DT_SIDECAR_SUFFIX ".dtai.xmp"

/** The name of a photograph's sidecar (transfer full). */
char *dt_sidecar_path(const char *photo);
/** The bytes of a plain file no larger than DT_HISTORY_MAX_SIZE (transfer full).
 * @param missing  receives whether there is no file, which then is no error; NULL: it is one
 * @return NULL with DT_AI_ERROR_INPUT, or when it is missing */
GBytes *dt_sidecar_read_bytes(const char *path, gboolean *missing, GError **error);
/** Reads a sidecar; parameters as dt_history_from_xmp().
 * @return (transfer full), or NULL with DT_AI_ERROR_INPUT */
dt_history_t *dt_sidecar_read(const char *path, const dt_iop_module_t *const *modules, GPtrArray *remarks,
                              GError **error);
/** Reads the sidecar of a photograph; without one the history is empty. */
dt_history_t *dt_sidecar_load(const char *photo, const dt_iop_module_t *const *modules, GPtrArray *remarks,
                              GError **error);
/** Writes a history into the sidecar @p path, which need not be there. What others wrote into it stays; a file that would
 * be the same is not written.
 *
 * @param force  also over a newer schema
 * @return FALSE with DT_AI_ERROR_INPUT (what is there is no sidecar) or _OUTPUT, and the file as it was */
gboolean dt_sidecar_write(const char *path, const dt_history_t *history, gboolean force, GError **error);

G_END_DECLS

#endif
