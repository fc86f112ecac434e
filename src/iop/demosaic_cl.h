/* SPDX-License-Identifier: GPL-3.0-or-later */
/** @file
 * Demosaicing on a device: what common/demosaic.h does, in the same order of operations.
 */
#ifndef DT_IOP_DEMOSAIC_CL_H
#define DT_IOP_DEMOSAIC_CL_H

#include "common/demosaic_internal.h"
#include "iop/iop.h"

G_BEGIN_DECLS

/** Bytes of buffers that dt_iop_demosaic_cl() makes.
 * @param best  not bilinear */
gsize dt_iop_demosaic_cl_memory(const dt_mosaic_t *mosaic, gboolean best, const dt_iop_roi_t *in);

/** Enqueues it.
 * @param mosaic  of the whole picture
 * @param best    not bilinear; of three colours
 * @param xtrans  of DT_SENSOR_XTRANS with @p best, for @p mosaic; else NULL
 * @return FALSE with @p error as dt_opencl_check() sets it */
gboolean dt_iop_demosaic_cl(const dt_mosaic_t *mosaic, gboolean best, const dt_demosaic_xtrans_t *xtrans,
                            dt_opencl_queue_t *queue, cl_mem in, const dt_iop_roi_t *roi_in, cl_mem out,
                            const dt_iop_roi_t *roi_out, GError **error);

G_END_DECLS

#endif
