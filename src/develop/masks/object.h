/* SPDX-License-Identifier: GPL-3.0-or-later */
/** @file
 * The object mask tool: a photograph, prompts that can be taken back one by one, candidates, and a mask with its edges.
 */
#ifndef DT_DEVELOP_MASKS_OBJECT_H
#define DT_DEVELOP_MASKS_OBJECT_H

#include "ai/segmentation.h"
#include "develop/photo.h"

typedef struct dt_object_t dt_object_t;

/** How to open. Zero-initialise for the defaults. */
typedef struct dt_object_opts_t
{
  const char *assume_profile;
  gboolean no_cache;          ///< neither look for the encoded picture on disk nor keep it there
  dt_seg_progress_t progress; ///< of encoding
  void *progress_data;
  GCancellable *cancellable;
} dt_object_opts_t;

/** Opens a photograph for masking: reads it, and encodes it unless the cache has it.
 * @param seg  a model; a context of its own is made of it
 * @return (transfer full: dt_object_free()), or NULL with an error of reading or encoding */
dt_object_t *dt_object_open(const dt_seg_context_t *seg, const char *path, const dt_object_opts_t *opts,
                            GError **error);
void dt_object_free(dt_object_t *object);

/** The photograph (transfer none), and whether its encoding came from the cache. */
const dt_photo_t *dt_object_photo(const dt_object_t *object);
gboolean dt_object_was_cached(const dt_object_t *object);

/** Adds prompts, in pixels of the upright picture (the middle of the first is (0, 0)). Each is one step for undo.
 * @return FALSE with DT_AI_ERROR_INPUT (outside the picture, a box the model does not know) @{ */
gboolean dt_object_add_point(dt_object_t *object, double x, double y, gboolean foreground, GError **error);
gboolean dt_object_add_box(dt_object_t *object, double x0, double y0, double x1, double y1, GError **error);
/** A rough mask or scribble of the whole upright picture, 0 to 1, any size; copied. It replaces the one before. */
gboolean dt_object_set_rough(dt_object_t *object, const float *rough, int width, int height, GError **error);
/** @} */
/** Takes the last prompt back, with what the model made of it. FALSE when there is none. */
gboolean dt_object_undo(dt_object_t *object);
void dt_object_clear(dt_object_t *object);

/** The model's answer to all prompts so far (transfer none, valid until the next change). Every new prompt goes on from
 * the answer before it.
 * @return NULL with the error of dt_seg_answer() */
const dt_seg_answer_t *dt_object_answer(dt_object_t *object, GCancellable *cancellable, GError **error);
/** Which candidate counts from now on, also for the next prompt; -1: the model's best. FALSE when there is no such. */
gboolean dt_object_choose(dt_object_t *object, int candidate);
int dt_object_get_candidate(const dt_object_t *object);

/** The mask of the chosen candidate, 0 to 1, of the upright picture at @p width × @p height (0: the photo's own size).
 * @param edges  NULL: the specification's plain mask
 * @return (transfer full: g_free()), NULL with an error */
float *dt_object_mask(dt_object_t *object, const dt_seg_edges_t *edges, int width, int height,
                      GCancellable *cancellable, GError **error);

#endif
