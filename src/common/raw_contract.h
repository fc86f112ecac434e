/* SPDX-License-Identifier: GPL-3.0-or-later */
/** @file
 * What the manifest of a raw model says about its networks: the attributes of the contracts bayer_v1 (model_bayer.onnx)
 * and linear_v1 (model_linear.onnx) of the published packages.
 */
#ifndef DT_COMMON_RAW_CONTRACT_H
#define DT_COMMON_RAW_CONTRACT_H

#include "common/ai_manifest.h"

/** White balance of what a network is shown. */
typedef enum dt_raw_balance_t
{
  DT_BALANCE_NONE,
  DT_BALANCE_DAYLIGHT, ///< D65
  DT_BALANCE_AS_SHOT,
} dt_raw_balance_t;

typedef struct dt_raw_contract_t
{
  gboolean native_phase; ///< cells begin at the picture's corner, whatever colour that is, not at red
  gboolean match_gain;   ///< the network's results are proportional to its input, by a factor to be found
  dt_raw_balance_t balance;
  double target_mean; ///< the picture is brightened to this mean before; 0: not
} dt_raw_contract_t;

/** Reads the attributes for the network @p stem ("model_bayer", "model_linear"), its own before the model's. What is
 * absent is as darktable takes it; a word that is not known, or an input_kind of the other network, is refused.
 * @return FALSE with DT_AI_ERROR_NO_MODEL and half a sentence: "its manifest asks for …" */
gboolean dt_raw_contract_read(const dt_manifest_t *manifest, const char *stem, dt_raw_contract_t *contract,
                              GError **error);

#endif
