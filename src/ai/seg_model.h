/* SPDX-License-Identifier: GPL-3.0-or-later */
/** @file
 * A loaded mask model, as seg_model.c prepares it; the picture as an encoder is shown it (seg_picture.c); questions to the
 * decoder (seg_answer.c). segmentation.c makes contexts of them.
 */
#ifndef DT_AI_SEG_MODEL_H
#define DT_AI_SEG_MODEL_H

#include "ai/seg_cache.h"
#include "ai/segmentation.h"

#include <pthread.h>

/** What tells the families apart: how the previous mask goes in, and whether boxes are understood. */
typedef enum dt_seg_family_t
{
  DT_SEG_SAM,     ///< SAM, SAM-HQ, SAM 2: mask_input as logits with a flag, a point of padding, boxes
  DT_SEG_SEGNEXT, ///< prev_mask as zeros and ones, points alone
} dt_seg_family_t;

/** The shape of a tensor; -1: open. */
typedef struct dt_seg_shape_t
{
  int ndim;
  int64_t dims[DT_SEG_MAX_DIMS];
} dt_seg_shape_t;

/** What an encoder takes and gives. */
typedef struct dt_seg_ports_t
{
  int n_in, n_out;
  dt_seg_shape_t in; ///< the first input
  dt_seg_shape_t out[DT_SEG_MAX_FEATURES];
  char *names[DT_SEG_MAX_FEATURES]; ///< of the outputs
} dt_seg_ports_t;

/** Encoder and decoder, shared by contexts; but for the encoder, which is opened when a picture wants it, it never
 * changes once it is loaded. */
typedef struct dt_seg_model_t
{
  gint references;
  char *id, *hash;
  char
      *encoding; ///< SHA-256 of what an encoded picture depends on: the encoder, and how it is shown pictures
  dt_ai_context_t *decoder;
  dt_ai_context_t *encoder;     ///< NULL: not opened yet; see dt_seg_model_get_encoder()
  dt_ai_context_t *failed;      ///< the encoder before it, which others may still be using, or NULL
  pthread_mutex_t encoder_lock; ///< of the two before
  char *directory, *cpu_only;   ///< to open it
  dt_seg_load_opts_t opts;
  dt_seg_ports_t ports; ///< of the encoder
  dt_seg_family_t family;
  int side;                ///< of the square the encoder is shown
  float mean[3], scale[3]; ///< of samples 0..255: (sample - mean) * scale
  gboolean antialias;      ///< pictures are made smaller by averaging, not by picking

  int n_features;
  dt_seg_shape_t features[DT_SEG_MAX_FEATURES]; ///< in the encoder's order
  int taken_by[DT_SEG_MAX_FEATURES];            ///< the decoder's input for each

  int coords, labels, previous, flag;                  ///< the decoder's inputs; flag -1: none
  int previous_side;                                   ///< of the mask that goes in
  int masks, scores, low;                              ///< the decoder's outputs; -1: none
  dt_seg_shape_t masks_shape, scores_shape, low_shape; ///< at most
} dt_seg_model_t;

/** Loads both files and finds out what is what. @return transfer full */
dt_seg_model_t *dt_seg_model_load(const dt_ai_model_info_t *info, const dt_seg_load_opts_t *opts,
                                  GError **error);
dt_seg_model_t *dt_seg_model_ref(dt_seg_model_t *model);
/** NULL is fine. */
void dt_seg_model_unref(dt_seg_model_t *model);

/** The encoder, opened when it is not (transfer none). Thread-safe. */
dt_ai_context_t *dt_seg_model_get_encoder(dt_seg_model_t *model, GCancellable *cancellable, GError **error);
/** The encoder on the CPU, after @p failed, which ran elsewhere, has failed for the reason @p why; said aloud once. A
 * graphics card may have no memory left today, or compute nonsense, that passed its trial another day.
 * @return (transfer none), or NULL: @p why is that it was cancelled, it was the CPU already, or who asked insists
 *         on the provider (then @p error is not set), or it cannot be opened. Thread-safe. */
dt_ai_context_t *dt_seg_model_fall_back(dt_seg_model_t *model, dt_ai_context_t *failed, const GError *why,
                                        GCancellable *cancellable, GError **error);
/** Where it runs; before it is opened, where the decoder does. */
dt_ai_provider_t dt_seg_model_get_provider(dt_seg_model_t *model);
/** Why it does not run elsewhere, or NULL (transfer none). */
const char *dt_seg_model_get_fallback(dt_seg_model_t *model);

/** A picture that a model has seen. */
typedef struct dt_seg_picture_t
{
  gint references;
  int width, height;
  float *features[DT_SEG_MAX_FEATURES]; ///< in the encoder's order
} dt_seg_picture_t;

/** Shows a picture to the encoder. @param gate  around its run, or NULL. @return transfer full */
dt_seg_picture_t *dt_seg_picture_encode(dt_seg_model_t *model, dt_row_source_t *rows,
                                        dt_seg_progress_t progress, void *user_data, const dt_ai_gate_t *gate,
                                        GCancellable *cancellable, GError **error);
dt_seg_picture_t *dt_seg_picture_ref(dt_seg_picture_t *picture);
/** NULL is fine. */
void dt_seg_picture_unref(dt_seg_picture_t *picture);

/** Size of a picture in the encoder's square of @p side: the longest side fills it, and none vanishes. */
void dt_seg_fit(int width, int height, int side, int *fitted_width, int *fitted_height);

/** Reads a picture into the encoder's input: sRGB-encoded to 8 bits, fitted, padded with zeros at the right and at the
 * bottom, normalised.
 * @param tensor  receives 3 × side × side floats */
gboolean dt_seg_picture_read(const dt_seg_model_t *model, dt_row_source_t *rows, float *tensor,
                             dt_seg_progress_t progress, void *user_data, GCancellable *cancellable,
                             GError **error);

/** What an answer leaves for the next question: every candidate as the decoder takes the previous mask. */
typedef struct dt_seg_memory_t
{
  float *masks; ///< n × previous_side², or NULL
  int n, chosen;
} dt_seg_memory_t;

void dt_seg_memory_clear(dt_seg_memory_t *memory);
/** Bytes of one of its masks. */
size_t dt_seg_memory_size(const dt_seg_model_t *model);

/** Asks the decoder. @param memory  is gone on from, and replaced; unchanged when that fails.
 * @param gate  around its run, or NULL. @return transfer full */
dt_seg_answer_t *dt_seg_ask(const dt_seg_model_t *model, const dt_seg_picture_t *picture,
                            dt_seg_memory_t *memory, const dt_seg_prompts_t *prompts,
                            const dt_ai_gate_t *gate, GCancellable *cancellable, GError **error);

/** Sets @p error and returns FALSE when there are numbers among @p values that are none. */
gboolean dt_seg_check_finite(const dt_seg_model_t *model, const char *what, const float *values, size_t n,
                             GError **error);

/** Sets @p error and returns FALSE when it is cancelled. */
gboolean dt_seg_check_cancelled(GCancellable *cancellable, GError **error);

static inline size_t dt_seg_count(const dt_seg_shape_t *shape)
{
  return dt_ai_tensor_element_count(shape->dims, shape->ndim);
}

#endif
