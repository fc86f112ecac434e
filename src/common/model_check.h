/* SPDX-License-Identifier: GPL-3.0-or-later */
/** @file
 * Whether what lies in a model's directory is what its manifest and its task promise. Nothing is run: the
 * .onnx files are read structurally (common/onnx_graph.h).
 */
#ifndef DT_COMMON_MODEL_CHECK_H
#define DT_COMMON_MODEL_CHECK_H

#include "common/ai_manifest.h"

/** Checks every .onnx file of the model.
 *
 * All tasks: at least one .onnx file, at most 64; well-formed; no tensor data outside the file; no operator
 * domain but the standard one and "com.microsoft"; sane sizes (opset >= 7, each file at most 2 GiB). Directories
 * are looked through as well, links to directories are not, and ".ONNX" is the same as ".onnx": such a file is
 * checked like all others and then refused, because nothing would load it from there or under this name. One file
 * at a time is read into memory.
 *
 * denoise: `model.onnx`, `input` [1,3,H,W] (and `sigma` [1,1,H,W]) -> `output` of the same size, with as many
 * inputs as `num_inputs` says (1 where it says nothing; other tasks do not use this key).
 * upscale: `model_x2.onnx` and/or `model_x4.onnx`, factor as named wherever the file tells.
 * rawdenoise: `model_bayer.onnx` ([1,4,H,W] -> [1,3,2H,2W]) and/or `model_linear.onnx` ([1,3,H,W] -> same).
 * Sizes may be symbolic in these three.
 *
 * mask: `encoder.onnx` and `decoder.onnx`, or one `model.onnx` for architectures without prompts. The encoder
 * takes one image [1,3,1024,1024]; its outputs match what the decoder takes by name, else by shape and order,
 * and may have sizes that the file does not tell (as published ones have). The decoder takes `point_coords`
 * [1,N,2] and `point_labels` [1,N], of which N (`num_points`) is the only symbolic dimension, and either
 * `mask_input` [1,1,H,W] with `has_mask_input` [1], or `prev_mask` [1,1,H,W], or neither; no `orig_im_size`. It
 * gives `masks` (or `mask`) [1,M,S,S], S dividing 1024 and M one, three, four or symbolic, for more than one
 * `iou_predictions` [1,M], and perhaps `low_res_masks` [1,M,s,s]; what goes in as a mask comes out in the same
 * size.
 *
 * Other tasks: the general checks only. Everywhere float and float16 are accepted.
 *
 * @param remarks  receives sentences (char *, to be freed) worth knowing that do not make the model unusable,
 *                 such as symbolic feature sizes in an encoder, or a file that the task does not use; may be
 *                 NULL
 * @return FALSE with DT_AI_ERROR_NO_MODEL naming file, tensor, what was found and what is needed; or
 *         DT_AI_ERROR_MEMORY. A file that somebody changes meanwhile is an error, too.
 * Thread-safe. */
gboolean dt_model_check(const dt_manifest_t *manifest, GPtrArray *remarks, GError **error);

#endif
