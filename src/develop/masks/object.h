/* SPDX-License-Identifier: GPL-3.0-or-later */
/** @file
 * The object mask tool: a photograph, prompts that can be taken back one by one, candidates, and a mask with its edges.
 *
 * An object is used from one thread at a time; several, also of one model, are independent of each other.
 */
#ifndef DT_DEVELOP_MASKS_OBJECT_H
#define DT_DEVELOP_MASKS_OBJECT_H

#include "ai/segmentation.h"
#include "develop/photo.h"

typedef struct dt_object_t dt_object_t;

/** How to open. Zero-initialise for the defaults. */
typedef struct dt_object_opts_t
{
  const char
      *assume_profile; ///< as dt_photo_open(); with one the cache is not used: it knows files, not profiles
  gboolean no_cache;   ///< neither look for the encoded picture on disk nor keep it there
  dt_seg_progress_t progress; ///< of encoding
  void *progress_data;
  const dt_ai_gate_t *gate; ///< around the encoder's run, or NULL; borrowed while it is opened
  GCancellable *cancellable;
} dt_object_opts_t;

/** Opens a photograph for masking: encodes it unless the cache has it; then its pixels are not even read.
 * @param seg  a model; a context of its own is made of it
 * @return (transfer full: dt_object_free()), or NULL with an error of reading or encoding */
dt_object_t *dt_object_open(const dt_seg_context_t *seg, const char *path, const dt_object_opts_t *opts,
                            GError **error);
/** The same with a photograph that is open already (transfer full, on failure too). */
dt_object_t *dt_object_open_photo(const dt_seg_context_t *seg, dt_photo_t *photo, const char *path,
                                  const dt_object_opts_t *opts, GError **error);
/** NULL is fine. */
void dt_object_free(dt_object_t *object);

/** The photograph (transfer none). Its pixels may not be there yet: dt_object_read_photo(). */
const dt_photo_t *dt_object_photo(const dt_object_t *object);
/** Reads its pixels, if that is not done yet. @return FALSE as dt_photo_read() */
gboolean dt_object_read_photo(dt_object_t *object, GCancellable *cancellable, GError **error);
/** Whether its encoding came from the cache, and seconds that reading the pixels and encoding took so far; each may be
 * NULL. @{ */
gboolean dt_object_was_cached(const dt_object_t *object);
void dt_object_get_seconds(const dt_object_t *object, double *reading, double *encoding);
/** @} */

/** Whether a place is in the picture: from the left edge of its first pixel, -0.5, to the right edge of its last.
 * @return FALSE with DT_AI_ERROR_INPUT, which says the picture's size */
gboolean dt_object_check_place(const dt_photo_t *photo, double x, double y, GError **error);

/** Adds prompts, in pixels of the upright picture (the middle of the first is (0, 0)). Each is one step for undo.
 * @return FALSE with DT_AI_ERROR_INPUT (outside the picture, a box the model does not know), _USAGE (too many) @{ */
gboolean dt_object_add_point(dt_object_t *object, double x, double y, gboolean foreground, GError **error);
/** Two opposite corners, in any order. */
gboolean dt_object_add_box(dt_object_t *object, double x0, double y0, double x1, double y1, GError **error);
/** A rough mask or scribble of the whole upright picture, 0 to 1, any size; copied. It replaces the one before, and what
 * the model answered before. */
gboolean dt_object_set_rough(dt_object_t *object, const float *rough, int width, int height, GError **error);
/** @} */
/** Takes the last prompt back, with what the model made of it. FALSE when there is none. */
gboolean dt_object_undo(dt_object_t *object);
/** Takes all of them back. */
void dt_object_clear(dt_object_t *object);
/** Prompts that there are. */
int dt_object_count(const dt_object_t *object);
/** The points of all prompts, boxes as two corners, to be drawn (transfer none, valid until the next change). */
const dt_seg_point_t *dt_object_get_points(const dt_object_t *object, int *n);
/** The rough mask that counts, or NULL (transfer none, likewise). */
const float *dt_object_get_rough(const dt_object_t *object, int *width, int *height);

/** The model's answer to all prompts so far (transfer none, valid until the next change). Prompts go on from the answer
 * that was asked for before they were added, if any was; those added together are one question.
 * @return NULL with the error of dt_seg_answer() */
const dt_seg_answer_t *dt_object_answer(dt_object_t *object, GCancellable *cancellable, GError **error);
/** Which candidate counts from now on, also for the next prompt, until it is taken back; -1: the model's best. FALSE
 * when there is no answer, or no such in it. */
gboolean dt_object_choose(dt_object_t *object, int candidate);
/** The one that counts: what was chosen, or the model's best; -1 without an answer. */
int dt_object_get_candidate(const dt_object_t *object);

/** The mask of the chosen candidate, 0 to 1, of the upright picture at @p width × @p height (0: the photo's own size).
 * @param edges  NULL: the specification's plain mask
 * @return (transfer full: free()), NULL with an error of answering, or DT_AI_ERROR_MEMORY, _CANCELLED */
float *dt_object_mask(dt_object_t *object, const dt_seg_edges_t *edges, int width, int height,
                      GCancellable *cancellable, GError **error);

#endif
