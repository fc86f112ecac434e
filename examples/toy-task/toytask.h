/* SPDX-License-Identifier: GPL-3.0-or-later */
/** @file
 * A task of one's own: the luminance of an RGB picture, computed by a model of the task "toy".
 *
 * It stands for any task that this library does not know. doc/adding-a-task.md walks through it.
 */
#ifndef TOYTASK_H
#define TOYTASK_H

#include <darktable_ai/ai/darktable_ai.h>

typedef struct toy_context_t toy_context_t;

/** Loads the active model of the task "toy".
 * @return the context (transfer full), or NULL with @p error set: DT_AI_ERROR_NO_MODEL when there is
 *         none or its inputs and outputs are not the task's, _PROVIDER, _DISABLED, _MEMORY */
toy_context_t *toy_load(dt_ai_environment_t *env, GError **error);

/** Frees the context. NULL is fine. */
void toy_free(toy_context_t *ctx);

/** The loaded model's id; belongs to the context. */
const char *toy_get_model_id(const toy_context_t *ctx);

/** Computes the luminance of a picture.
 *
 * @param rgb        planar: width × height reds, then greens, then blues
 * @param luminance  receives width × height values
 * @return FALSE with @p error set
 * Thread-safety: one context may be used from several threads at once. */
gboolean toy_run(toy_context_t *ctx, float *rgb, int width, int height, float *luminance, GError **error);

#endif
