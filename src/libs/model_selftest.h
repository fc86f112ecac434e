/* SPDX-License-Identifier: GPL-3.0-or-later */
/** @file
 * Tries a model before it is accepted: loads every .onnx file on the CPU and runs it once on a small synthetic
 * input.
 */
#ifndef DT_LIBS_MODEL_SELFTEST_H
#define DT_LIBS_MODEL_SELFTEST_H

#include "common/ai_manifest.h"

#include <gio/gio.h>

/** Runs the model in @p manifest's directory.
 *
 * The output must be finite, of the right shape and not the same everywhere; denoise, upscale and those rawdenoise
 * files whose `output_scale` is not `match_gain` (which it is where the manifest says nothing) must keep the mean of
 * a smooth grey-ish picture within 0.05, the other rawdenoise files must answer with something that correlates with
 * the picture by 0.2 or more. Where a file leaves the size
 * open the picture has 64×64 pixels, and 128×128 or 256×256 when that fails. Masks: the encoder's outputs go to
 * the decoder, by name, else by shape and order, with one click in the middle; there must be one, three or four
 * square masks. Files that the task does not know, and models of other tasks, are only loaded.
 *
 * @return FALSE with DT_AI_ERROR_NO_MODEL (what is wrong with the model), _PROVIDER, _MEMORY, _CANCELLED, or
 *         _DISABLED when AI is switched off or not part of this build: then nothing was tried.
 * Thread-safe; takes as long as the model takes for its picture, but a run of more than 120 seconds (1200 under a
 * sanitizer) is ended and an error. A run ends soon after @p cancellable says so, loading a file is not
 * interrupted. */
gboolean dt_model_selftest(const dt_manifest_t *manifest, GCancellable *cancellable, GError **error);

/** The same with @p seconds for each run; for tests. */
gboolean dt_model_selftest_within(const dt_manifest_t *manifest, int seconds, GCancellable *cancellable,
                                  GError **error);

#endif
