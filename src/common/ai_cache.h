/* SPDX-License-Identifier: GPL-3.0-or-later */
/** @file
 * What is kept below the cache directory to spare work: compiled graphs, verdicts, measurements.
 *
 * A folder `ai_v2_<provider>_ort<version>_<fingerprint>` per runtime, driver and device, in it one per model. All of
 * it may be deleted at any time; it is made again when needed.
 */
#ifndef DT_COMMON_AI_CACHE_H
#define DT_COMMON_AI_CACHE_H

#include "common/errors.h"

/** One model on one provider, or what is known of the provider itself. */
typedef struct dt_ai_cache_entry_t
{
  char *path;     ///< a folder
  char *provider; ///< as in the folder's name: "openvino", "cpu"
  char *runtime;  ///< version of ONNX Runtime, or ""
  char *model;    ///< id; "" for what belongs to the provider
  guint64 bytes;
  gint64 used; ///< seconds since 1970
} dt_ai_cache_entry_t;

/** Everything there is, by path.
 * @return of dt_ai_cache_entry_t * (transfer full, frees its elements) */
GPtrArray *dt_ai_cache_list(void);

/** Deletes what belongs to the provider or model @p what (in any case), or everything.
 * @param what   NULL: everything
 * @param count  receives how many entries went
 * @return the bytes freed */
guint64 dt_ai_cache_clear(const char *what, int *count);

/** Deletes the models used longest ago until @p limit bytes are kept.
 * @param keep  the folder of the model in use, which stays, or NULL */
void dt_ai_cache_trim(guint64 limit, const char *keep);

/** Notes that the folder @p path is in use now. */
void dt_ai_cache_touch(const char *path);

#endif
