/* SPDX-License-Identifier: GPL-3.0-or-later */
/** @file
 * Masks of objects: show a photograph to a model once, then ask with points, boxes or a rough mask, and get logits or a
 * mask of the object that was meant.
 *
 * Models have an encoder, which looks at the picture and is slow, and a decoder, which answers prompts and is quick.
 * All families of SAM and SegNext share one interface here; which one a model is shows in its tensors.
 *
 *     dt_seg_context_t *seg = dt_seg_load(env, NULL);
 *     dt_seg_encode_image(seg, rgb, width, height);
 *     dt_seg_point_t point = { 812, 400, DT_SEG_FOREGROUND };
 *     float *mask = dt_seg_compute_mask(seg, &point, 1, NULL, NULL);
 *
 * Places: pixels lie in squares, and pixel (x, y) has its middle at (x, y), as SAM has it. A picture of W×H pixels is
 * fitted into the encoder's square of S×S as w×h (the longer side is S, the other rounded, at least 1), with zeros at the
 * right and at the bottom; the middle of its pixel (x, y) is there at ((x + 0.5) w / W - 0.5, (y + 0.5) h / H - 0.5), and
 * that is what a decoder is given as `point_coords`: published graphs add 0.5 themselves. The way back is the same, so
 * that a mask lies where the picture does, to a fraction of a pixel.
 *
 * Threads: contexts may be shared. One thread at a time encodes, or asks, and the others wait for it; how things stand
 * (dt_seg_is_encoded(), dt_seg_get_size()) is told at once. To ask about one picture while another is encoded, use two
 * contexts of one model (dt_seg_fork()), which costs no memory but their features.
 */
#ifndef DT_AI_SEGMENTATION_H
#define DT_AI_SEGMENTATION_H

#include "../common/rows.h"
#include "backend.h"
#include "seg_edges.h"

G_BEGIN_DECLS

/** Most candidates a decoder may give. */
#define DT_SEG_MAX_CANDIDATES 8
/** Most points of one question. */
#define DT_SEG_MAX_POINTS 1024

/** What a point says. */
enum
{
  DT_SEG_BACKGROUND = 0,
  DT_SEG_FOREGROUND = 1,
  DT_SEG_BOX_TOP_LEFT = 2, ///< with its other corner right behind it
  DT_SEG_BOX_BOTTOM_RIGHT = 3,
};

/** A place in the encoded picture, in its pixels: (0, 0) is the middle of the first one. */
typedef struct dt_seg_point_t
{
  float x, y; ///< from -0.5 to the size - 0.5
  int label;  ///< one of the above
} dt_seg_point_t;

/** A question. Zero-initialise, then set what is meant; at least one of points and rough. */
typedef struct dt_seg_prompts_t
{
  const dt_seg_point_t *points;
  int n_points;
  const float *rough; ///< NULL, or a rough mask of the whole picture, 0 to 1; instead of the previous answer
  int rough_width, rough_height; ///< its size, any
  gboolean fresh;                ///< do not go on from the previous answer
} dt_seg_prompts_t;

/** The answers to one question. */
typedef struct dt_seg_answer_t
{
  int n;                            ///< candidates
  int best;                         ///< the one the model thinks best
  float iou[DT_SEG_MAX_CANDIDATES]; ///< what the model expects of each; NAN where it does not say
  float stability
      [DT_SEG_MAX_CANDIDATES]; ///< IoU of the mask at logit 1 with that at -1: how sure its edges are
  float *logits;               ///< n × rows × columns
  int columns, rows;           ///< of the grid, which the padded picture fills
  double width, height;        ///< columns and rows of it that are the picture, from the corner on
  int picture_width, picture_height;
} dt_seg_answer_t;

/** How to load. Zero-initialise for the defaults. */
typedef struct dt_seg_load_opts_t
{
  dt_ai_provider_t provider; ///< of the encoder; the decoder runs on the CPU, which answers sooner
  gboolean strict; ///< that provider or none; else the CPU takes over where it does not work, or fails later
  int threads;     ///< 0: all cores
  GCancellable *cancellable;
} dt_seg_load_opts_t;

typedef struct dt_seg_context_t dt_seg_context_t;

/** Loads the model @p model_id (NULL: the active one of the task "mask"), encoder and decoder, for the environment's
 * provider.
 * @return (transfer full: dt_seg_free()), or NULL: see dt_ai_last_error() */
dt_seg_context_t *dt_seg_load(dt_ai_environment_t *env, const char *model_id);
/** The same with options. @return NULL with DT_AI_ERROR_NO_MODEL (none, half of one, tensors that do not fit, each with
 * what is wrong), _PROVIDER, _MEMORY, _CANCELLED */
dt_seg_context_t *dt_seg_load_ext(dt_ai_environment_t *env, const char *model_id,
                                  const dt_seg_load_opts_t *opts, GError **error);
/** Another context of the same model, without a picture (transfer full: dt_seg_free()). */
dt_seg_context_t *dt_seg_fork(const dt_seg_context_t *ctx);
/** Frees it. An encoding that dt_seg_encode_begin() began is cancelled and waited for. NULL is fine. */
void dt_seg_free(dt_seg_context_t *ctx);

/** The model's id, and the encoder's SHA-256 (transfer none). @{ */
const char *dt_seg_get_model_id(const dt_seg_context_t *ctx);
const char *dt_seg_get_model_hash(const dt_seg_context_t *ctx);
/** @} */
/** Where the encoder runs. It is opened when a picture is encoded (unless somebody insists on a provider), so that none is
 * for one from the cache: until then it is where the decoder runs, the CPU. */
dt_ai_provider_t dt_seg_get_provider(const dt_seg_context_t *ctx);
/** Why it does not run where it was wanted, in words, or NULL (transfer none). */
const char *dt_seg_get_fallback(const dt_seg_context_t *ctx);
/** Opens the encoder now. @return FALSE with an error of dt_seg_load_ext() */
gboolean dt_seg_prepare(dt_seg_context_t *ctx, GCancellable *cancellable, GError **error);
/** Whether boxes are understood. */
gboolean dt_seg_supports_box(const dt_seg_context_t *ctx);

/** What is called around every run of encoder and decoder from the next encoding or question on, or NULL. Copied; its
 * user_data is used until the last of those that began with it is over. Forks have none. */
void dt_seg_set_gate(dt_seg_context_t *ctx, const dt_ai_gate_t *gate);

/** Encodes a picture, sRGB-encoded, 8 bits, interleaved; nothing is done when one is encoded already (see
 * dt_seg_reset_encoding()).
 * @return FALSE: see dt_ai_last_error() */
gboolean dt_seg_encode_image(dt_seg_context_t *ctx, const uint8_t *rgb, int width, int height);

/** Called while the picture is read (0 to 0.5) and when it is encoded (1), from the thread that encodes. */
typedef void (*dt_seg_progress_t)(double fraction, void *user_data);

/** Encodes the picture that @p rows has, linear Rec.709, 1 to 4 channels, read once from the top down, a row at a time;
 * rows of which nothing is seen are left out. What was encoded before is forgotten. Memory: some rows, the encoder's
 * input and its features, whatever the picture's size.
 * @return FALSE with DT_AI_ERROR_CANCELLED, _INPUT (of @p rows), _USAGE (no pixels), _MEMORY, _FAILED (also when features
 *         are no numbers); then nothing is encoded */
gboolean dt_seg_encode(dt_seg_context_t *ctx, dt_row_source_t *rows, dt_seg_progress_t progress,
                       void *user_data, GCancellable *cancellable, GError **error);

/** The same on a thread of its own; whoever asks from now on waits for it. One that was begun before is cancelled and
 * waited for. @p rows belongs to the thread, and is destroyed at its end. */
void dt_seg_encode_begin(dt_seg_context_t *ctx, dt_row_source_t *rows, dt_seg_progress_t progress,
                         void *user_data, GCancellable *cancellable);
/** Waits for it. @return FALSE with its error; when none was begun, whether a picture is encoded (_USAGE) */
gboolean dt_seg_encode_finish(dt_seg_context_t *ctx, GError **error);

/** Whether a picture is encoded, and its size. @{ */
gboolean dt_seg_is_encoded(dt_seg_context_t *ctx);
gboolean dt_seg_get_size(dt_seg_context_t *ctx, int *width, int *height);
/** @} */
/** Forgets the picture, and with it the previous answer. */
void dt_seg_reset_encoding(dt_seg_context_t *ctx);

/** Answers a question about the encoded picture. Without `fresh` the model goes on from the previous answer (its best
 * candidate, or what dt_seg_choose() said).
 * @return (transfer full: dt_seg_answer_free()), or NULL with DT_AI_ERROR_USAGE (no picture, no prompts, too many, half a
 *         box), _INPUT (a point outside the picture; a box that this model does not understand), _MEMORY, _FAILED (also
 *         when masks are no numbers), _CANCELLED; then the previous answer stays */
dt_seg_answer_t *dt_seg_answer(dt_seg_context_t *ctx, const dt_seg_prompts_t *prompts,
                               GCancellable *cancellable, GError **error);
/** NULL is fine. */
void dt_seg_answer_free(dt_seg_answer_t *answer);

/** The next question goes on from this candidate of the last answer. FALSE when there is no such. */
gboolean dt_seg_choose(dt_seg_context_t *ctx, int candidate);
/** Forgets the previous answer, but not the picture. */
void dt_seg_reset_prev_mask(dt_seg_context_t *ctx);
/** What the next question would go on from, to come back to: for undo (transfer full, may be NULL); and back.
 * @param memory  of a context of the same model; NULL as dt_seg_reset_prev_mask() @{ */
GBytes *dt_seg_save_prev_mask(dt_seg_context_t *ctx);
void dt_seg_restore_prev_mask(dt_seg_context_t *ctx, GBytes *memory);
/** @} */

/** A candidate for dt_seg_make_mask(), of the answer's life. */
dt_seg_logits_t dt_seg_answer_logits(const dt_seg_answer_t *answer, int candidate);
/** A candidate as a mask of @p width × @p height (normally the picture's size), after the specification: without the
 * padding, resized bilinearly, sigmoid. 0 to 1.
 * @return FALSE with DT_AI_ERROR_USAGE (no such candidate), _MEMORY */
gboolean dt_seg_answer_to_mask(const dt_seg_answer_t *answer, int candidate, float *mask, int width,
                               int height, GError **error);

/** The specification's whole way: answers, takes the best candidate, and returns it as a mask of the picture's size.
 * @param width, height  receive it, may be NULL
 * @return (transfer full: g_free()), or NULL: see dt_ai_last_error() */
float *dt_seg_compute_mask(dt_seg_context_t *ctx, const dt_seg_point_t *points, int n_points, int *width,
                           int *height);

/** Takes the picture of @p key as it was encoded before with this encoder, from the disk (seg_cache.h).
 * @param key  64 lower case hexadecimal digits of a SHA-256 that stands for the picture as it is encoded
 * @return FALSE when it is not there, or not to be believed; then nothing has changed */
gboolean dt_seg_recall(dt_seg_context_t *ctx, const char *key);
/** Keeps the encoded picture, if there is one, for dt_seg_recall(). Questions need not wait for it.
 * @return FALSE with DT_AI_ERROR_OUTPUT, for which nobody needs to fail */
gboolean dt_seg_remember(dt_seg_context_t *ctx, const char *key, GError **error);

G_END_DECLS

#endif
