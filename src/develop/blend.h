/* SPDX-License-Identifier: GPL-3.0-or-later */
/** @file
 * Where, and how much, a module of the pixelpipe works: out = in + (out - in) * opacity * mask.
 *
 * The mask is the product of an object mask (a grey picture of the photograph) and of ranges of lightness, chroma and
 * hue of the module's own pixels; the whole may be inverted and feathered. Every module may have one whose output is a
 * changed input: as many channels, the same size, no DT_IOP_NO_BLEND.
 *
 * Modules for raws (DT_IOP_RAW) may see one sample at each site, which has neither chroma nor hue, and whose lightness is
 * that of one colour: their masks take no ranges, whatever the sensor. All else is the same, site by site.
 *
 * Ranges are those of Oklab: lightness is 0 for black and 1 for white, chroma 0 for greys and about 0.3 for the strongest
 * colours of a screen, hue goes from 0 to 360 degrees: red lies near 29, yellow 110, green 142, blue 264. Pixels count as
 * linear Rec.2020; before colorin they are the camera's colours and are treated as if they were, so that numbers found
 * there are good for that camera. A range is a trapezoid: nothing up to `from`, everything between `full_from` and
 * `full_to`, nothing beyond `to`, and straight lines between. Ends at the parameters' limits are open: lightness up to 2
 * takes in whatever is brighter. A range of hue goes round the circle upwards and may pass 360; colours of a chroma below
 * 0.02 have less and less of a hue.
 *
 * Places and colours are computed with whole numbers, sums and products alone, which are the same on every device: steep
 * ranges fall the same way everywhere.
 */
#ifndef DT_DEVELOP_BLEND_H
#define DT_DEVELOP_BLEND_H

#include "iop/iop.h"

G_BEGIN_DECLS

/* --- parameters --- */

enum
{
  DT_BLEND_OF_INPUT,  ///< ranges are of what comes into the module
  DT_BLEND_OF_OUTPUT, ///< of what it makes of it
};

/** Numbers of one range in their order: from, full_from, full_to, to. */
typedef struct dt_blend_params_t
{
  float opacity; ///< 0 to 1
  gboolean invert;
  float feather; ///< radius of the blur in pixels of the full size: a Gaussian of half of it
  int range_of;
  float lightness[4], chroma[4], hue[4];
} dt_blend_params_t;

/** No module of a pipe: its name ("blend"), version and parameters, for dt_iop_find_param(), dt_iop_standard_params(),
 * dt_iop_set_param(). */
extern const dt_iop_module_t dt_blend_table;

/** The parameter of that name that masks of @p module take.
 * @return NULL with DT_AI_ERROR_USAGE: there is none, it is a range and the module for raws, or it takes no masks */
const dt_iop_param_t *dt_blend_find_param(const dt_iop_module_t *module, const char *name, GError **error);

/** An object mask. */
typedef struct dt_blend_object_t
{
  const float *plane; ///< width x height strengths from 0 to 1 of the upright photograph; others are cut off
  int width, height;
  dt_iop_affine_t to_photo; ///< from the module's pixels to parts of the photograph: dt_blend_to_photo()
} dt_blend_object_t;

/** From a module's pixels to parts of the upright photograph: (0, 0) is the top left corner of what is to be shown of it,
 * (1, 1) the opposite one.
 * @param to_input  from the module's pixels to those of the pipe's input at full size: the origins of all modules before,
 *                  one after the other */
dt_iop_affine_t dt_blend_to_photo(const dt_iop_image_t *image, const dt_iop_affine_t *to_input);

/** Whether it would leave the module's output as it is. */
gboolean dt_blend_is_neutral(const dt_blend_params_t *params, const dt_blend_object_t *object);

/* --- at work --- */

/** A mask made ready for one piece. It does not change, and is used from any thread. */
typedef struct dt_blend_t dt_blend_t;

/** @param piece   of the module; not needed afterwards
 * @param object  NULL: none; its plane is borrowed for the life of what is returned
 * @return (transfer full: dt_blend_free()), or NULL with DT_AI_ERROR_USAGE: the numbers of a range are in no order, or
 *         the module cannot have a mask or no ranges */
dt_blend_t *dt_blend_new(const dt_iop_piece_t *piece, const dt_blend_params_t *params,
                         const dt_blend_object_t *object, GError **error);
/** NULL is fine. */
void dt_blend_free(dt_blend_t *blend);
/** Whether it is the same everywhere: then @p strength receives how much of the module's work is seen, 0 to 1. */
gboolean dt_blend_is_even(const dt_blend_t *blend, float *strength);

/** The rectangle of the module's output that is needed for @p out, cut at the picture's edges; the input must cover it
 * as well. Larger than @p out where there is a feather. */
void dt_blend_need(const dt_blend_t *blend, const dt_iop_roi_t *out, dt_iop_roi_t *need);
/** Bytes that dt_blend_process() and dt_blend_process_cl() take besides the pixels. */
gsize dt_blend_memory(const dt_blend_t *blend, const dt_iop_roi_t *out);

/** The module's input @p in and output @p processed, each in a rectangle that covers dt_blend_need(), become @p out.
 * @param out  may be @p processed when both have the same rectangle
 * @return FALSE with DT_AI_ERROR_MEMORY */
gboolean dt_blend_process(const dt_blend_t *blend, const float *in, const dt_iop_roi_t *roi_in,
                          const float *processed, const dt_iop_roi_t *roi_processed, float *out,
                          const dt_iop_roi_t *roi_out, GError **error);
/** The same on a device, enqueued, within 1e-4.
 * @return FALSE with @p error as dt_opencl_check() sets it */
gboolean dt_blend_process_cl(const dt_blend_t *blend, dt_opencl_queue_t *queue, cl_mem in,
                             const dt_iop_roi_t *roi_in, cl_mem processed, const dt_iop_roi_t *roi_processed,
                             cl_mem out, const dt_iop_roi_t *roi_out, GError **error);

G_END_DECLS

#endif
