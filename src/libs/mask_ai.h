/* SPDX-License-Identifier: GPL-3.0-or-later */
/** @file
 * Object masks as files: grey pictures that fit `denoise --mask`, cut-outs, outlines, overlays.
 */
#ifndef DT_LIBS_MASK_AI_H
#define DT_LIBS_MASK_AI_H

#include "common/opencl.h"
#include "develop/masks/object.h"
#include "develop/masks/overlay.h"
#include "imageio/provenance.h"
#include "libs/mask_prompts.h"

/** How to write. Zero-initialise, then set the input. */
typedef struct dt_mask_job_t
{
  const char *input;          ///< the photograph
  const char *assume_profile; ///< as dt_photo_open()
  int bits; ///< of PNG, TIFF and OpenEXR; 0: PNG 8, TIFF 16, OpenEXR 32, of cut-outs the photo's
  gboolean overwrite;
  int stream;                        ///< where the output `-` goes; 0: the standard output
  const dt_provenance_t *provenance; ///< what is written down in pictures that hold XMP; NULL: nothing
  dt_opencl_t *opencl; ///< whose graphics processors are shared (libs/gpu_share.h); NULL: nobody's
  GCancellable *cancellable;
} dt_mask_job_t;

/** dt_object_open_photo() of job->input; where the encoder runs is shared with job->opencl.
 * @param photo  transfer full, on failure too */
dt_object_t *dt_mask_job_open(const dt_mask_job_t *job, const dt_seg_context_t *seg, dt_photo_t *photo,
                              const dt_object_opts_t *opts, GError **error);

/** Where a mask lies: pixels of at least one half. */
typedef struct dt_mask_facts_t
{
  double area, share;         ///< in pixels, and of the picture
  int left, top, right, down; ///< the first and the last column and row; all -1 when there are none
} dt_mask_facts_t;

void dt_mask_measure(const float *mask, int width, int height, dt_mask_facts_t *facts);

/** Whether @p output is the standard output, where masks and cut-outs go as PNG, as TIFF when they have 32 bits. */
gboolean dt_mask_output_is_stream(const dt_mask_output_t *output);

/** Whether @p output can be written as things stand.
 * @return FALSE with DT_AI_ERROR_USAGE (the format cannot hold it), _OUTPUT (exists, no directory, is the input) */
gboolean dt_mask_job_foresee(const dt_mask_job_t *job, const dt_photo_t *photo,
                             const dt_mask_output_t *output, GError **error);

/** Writes a mask of the upright photo, 0 to 1, as anything but an overlay; whole or not at all.
 *
 * Pictures have the mask's numbers as they are: 0.5 is 128 of 255, or 0.5, which is how `--mask` reads them. They and cut-outs
 * lie as the photograph's file does, with its orientation. Cut-outs have the colours of the file (a raw's: as developed
 * for the model), none where they are wholly transparent; less than 2 % of a mask is nothing there, more than 98 % all.
 *
 * @param iou   NULL, or receives of outlines how well they fit the mask
 * @param note  NULL, or receives (transfer full) what of the metadata the format could not hold, or NULL
 * @return FALSE with DT_AI_ERROR_OUTPUT, _INPUT (the photograph cannot be read again), _CANCELLED */
gboolean dt_mask_job_write(const dt_mask_job_t *job, const dt_photo_t *photo, const float *mask,
                           const dt_mask_output_t *output, double *iou, char **note, GError **error);

/** Draws @p overlay and writes it. */
gboolean dt_mask_job_write_overlay(const dt_mask_job_t *job, dt_overlay_t *overlay, const char *path,
                                   GError **error);

#endif
