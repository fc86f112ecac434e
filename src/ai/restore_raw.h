/* SPDX-License-Identifier: GPL-3.0-or-later */
/** @file
 * Raw denoise: a sensor's noisy samples in, clean camera RGB for every pixel out.
 *
 * A Bayer sensor's picture goes to the network as it is, four planes of sites, and comes back denoised and
 * demosaicked. Other sensors' pictures are demosaicked first and denoised as linear Rec.2020. Either way what comes
 * out is the camera's own RGB again, in the sensor's scale, so that a raw developer can do with it what it does with
 * the camera's files.
 */
#ifndef DT_AI_RESTORE_RAW_H
#define DT_AI_RESTORE_RAW_H

#include "../common/mosaic.h"
#include "restore.h"

G_BEGIN_DECLS

/** What is known of the camera. Colours in the order of DT_SITE_…; only DT_SENSOR_FOUR has the fourth. */
typedef struct dt_restore_camera_t
{
  double neutral[4];  ///< response to the white of the light as shot, green 1
  double daylight[4]; ///< response to D65, green 1
  float to_rec2020
      [12]; ///< 3×4, row-major: camera RGB divided by the response to white -> linear Rec.2020, (1, 1, 1) to
            ///< (1, 1, 1)
} dt_restore_camera_t;

/** Whether the mosaic is for the network that is loaded with dt_restore_load_opts_t.linear. */
gboolean dt_restore_raw_wants_linear(const dt_mosaic_t *mosaic);

/** Plans a sensor's picture without touching it: as dt_restore_plan(). Tiles are counted in cells of 2×2 pixels where
 * the network takes them so (plan->cell).
 * @param extra_bytes  what the sink will hold; the samples count already, with all that the process holds */
gboolean dt_restore_raw_plan(dt_restore_context_t *ctx, const dt_mosaic_t *mosaic,
                             const dt_restore_opts_t *opts, size_t extra_bytes, dt_restore_plan_t *plan,
                             GError **error);

/** Denoises a sensor's picture tile by tile, exactly as dt_restore_process() does: peak memory is the samples and the
 * plan.
 *
 * Where the manifest says that the network's results are only proportional to its input (output_scale match_gain, the
 * published models'), one factor for the whole picture is found beforehand from a few windows that do not depend on
 * the plan. Where sites of a Bayer sensor were saturated together the result stays so, for the highlights' sake; one
 * alone is a defect, or noise. opts->original and opts->mask mix linearly with the demosaicked original, whose own
 * site's sample is the sensor's to the bit.
 *
 * @param ctx     loaded for "rawdenoise", linear as dt_restore_raw_wants_linear() has it
 * @param mosaic  at least 2×2 pixels; borrowed
 * @param out     receives rows of mosaic->width × 3: normalised camera RGB (DT_ROW_CAMERA_RGB); of DT_SENSOR_FOUR linear
 *                Rec.2020. finish() or abandon() has been called when this returns
 * @return FALSE as dt_restore_process(), with DT_AI_ERROR_INPUT for a sensor the network is not for */
gboolean dt_restore_raw_process(dt_restore_context_t *ctx, const dt_mosaic_t *mosaic,
                                const dt_restore_camera_t *camera, dt_row_sink_t *out,
                                const dt_restore_opts_t *opts, dt_restore_report_t *report, GError **error);

G_END_DECLS

#endif
