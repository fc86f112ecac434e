/* SPDX-License-Identifier: GPL-3.0-or-later */
/** @file
 * Files from elsewhere, over https (libcurl): bounded, resumable, cancellable, verified.
 *
 * Plain http is accepted for loopback addresses only; redirects (at most 5) may not leave https (or loopback).
 * `file://` addresses work for offline mirrors. Nothing is retried without being asked; proxies come from the
 * environment as usual, and so does another bundle of certificates (SSL_CERT_FILE).
 *
 * All functions work in the calling thread and may be called from several at once. Messages never show the
 * user, password or query of an address.
 */
#ifndef DT_COMMON_DOWNLOAD_H
#define DT_COMMON_DOWNLOAD_H

#include "common/model_package.h"

typedef struct dt_download_opts_t
{
  guint64 max_bytes;            ///< a longer answer is refused; 0: DT_PACKAGE_MAX_BYTES
  int stall_seconds;            ///< less than 1 KiB/s for this long ends it; 0: 30
  dt_bytes_progress_t progress; ///< or NULL; called at most every 100 ms, and at the end
  gpointer user_data;
  GCancellable *cancellable; ///< or NULL; obeyed within a fifth of a second
} dt_download_opts_t;

/** Whether @p url is one that the functions here would ask for: https, http to this machine, or file.
 * @return FALSE with DT_AI_ERROR_USAGE and what is wrong with it */
gboolean dt_download_check_url(const char *url, GError **error);

/** @p url as it may be shown: without user, password, query and fragment (transfer full). */
char *dt_download_shown_url(const char *url);

/** The whole answer in memory, for small files (indexes): never more than 64 MiB, whatever @p opts allows.
 * A web page is refused: it is what a network that wants a login answers to everything.
 * @return the bytes (transfer full, NUL-terminated behind their end), or NULL with DT_AI_ERROR_NETWORK (the
 *         message names address, what came, and what to do) or DT_AI_ERROR_CANCELLED */
GBytes *dt_download_bytes(const char *url, const dt_download_opts_t *opts, GError **error);

/** The same; @p absent tells a file that does not exist (status 404 or 410, no such file) from other failures. */
GBytes *dt_download_bytes_if_there(const char *url, const dt_download_opts_t *opts, gboolean *absent,
                                   GError **error);

/** Fetches @p url into the file @p path whose final content is known by @p sha256 (64 hex digits).
 *
 * A file that is there already is taken for the beginning of it and continued (HTTP Range; from the start when
 * the server cannot). When the digest of a continued file is wrong, it is fetched once more from the start.
 * What was received stays in @p path after a broken connection, a stall or a cancel, so that the next call
 * continues; after a wrong digest it is removed. Refuses to begin when the server announces more than
 * opts->max_bytes or more than the file system has room for. The file is locked meanwhile: a second download
 * into it, by this process or another, is refused. Links and special files are refused.
 * @return FALSE with DT_AI_ERROR_NETWORK, _OUTPUT (disk, or locked by another download) or _CANCELLED */
gboolean dt_download_file(const char *url, const char *path, const char *sha256,
                          const dt_download_opts_t *opts, GError **error);

#endif
