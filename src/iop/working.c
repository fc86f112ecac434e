/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Rows of pixels shared among the cores. */
#include "iop/working.h"

void dt_working_rows(dt_working_row_t row, const void *data, const float *in, float *out,
                     const dt_iop_roi_t *roi)
{
  const gsize width = (gsize)roi->width, floats = 4 * width;
#pragma omp parallel for
  for(int y = 0; y < roi->height; y++) row(data, in + (gsize)y * floats, out + (gsize)y * floats, width);
}
