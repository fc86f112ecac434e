/* SPDX-License-Identifier: GPL-3.0-or-later */
/** @file
 * What the raw modules share: numbers that are different for each site of a filter array, or for each colour of raws
 * with several samples per pixel; and a linear operation with them.
 */
#ifndef DT_IOP_SITES_H
#define DT_IOP_SITES_H

#include "iop/iop.h"

G_BEGIN_DECLS

/** out = (in - black) * factor, by where a value is in its row and which row that is. Filled by commit(). */
typedef struct dt_iop_sites_t
{
  int rows, columns; ///< of the tables, in values: the period of the filter array; of four channels 1 and 4
  float black[DT_MOSAIC_PERIOD][DT_MOSAIC_PERIOD], factor[DT_MOSAIC_PERIOD][DT_MOSAIC_PERIOD];
  float largest; ///< above 0: what is beyond ± this becomes this, and what is no number 0
} dt_iop_sites_t;

/** Tables of the size that the raw @p image has, that change nothing. To be g_free()d. */
dt_iop_sites_t *dt_iop_sites_new(const dt_iop_image_t *image);
/** The DT_SITE_… at a place of the tables; -1: the fourth channel of pixels that have three samples. */
int dt_iop_sites_colour(const dt_iop_image_t *image, int x, int y);

/** process() of a module whose data is a dt_iop_sites_t. */
gboolean dt_iop_sites_process(const dt_iop_piece_t *piece, const float *in, const dt_iop_roi_t *roi_in,
                              float *out, const dt_iop_roi_t *roi_out, GError **error);
/** Its process_cl(). */
gboolean dt_iop_sites_process_cl(const dt_iop_piece_t *piece, dt_opencl_queue_t *queue, cl_mem in,
                                 const dt_iop_roi_t *roi_in, cl_mem out, const dt_iop_roi_t *roi_out,
                                 GError **error);

G_END_DECLS

#endif
