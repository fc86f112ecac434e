/* SPDX-License-Identifier: GPL-3.0-or-later */
/** @file
 * How TIFF reading and writing open the TIFF library: on their own files, without a word printed.
 */
#ifndef DT_IMAGEIO_TIFF_INTERNAL_H
#define DT_IMAGEIO_TIFF_INTERNAL_H

#include "imageio/imageio_internal.h"

#include <tiffio.h>

typedef struct dt_tiff_procs_t
{
  TIFFReadWriteProc read, write;
  TIFFSeekProc seek;
  TIFFCloseProc close;
  TIFFSizeProc size;
  TIFFErrorHandlerExtR error;
} dt_tiff_procs_t;

/** Opens a handle of the library; @p data is handed to all @p procs. Warnings are dropped. */
TIFF *dt_tiff_open(const char *name, const char *mode, void *data, const dt_tiff_procs_t *procs);

#endif
