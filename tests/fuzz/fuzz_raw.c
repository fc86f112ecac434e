/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Any bytes as a camera raw: opened, its samples read row by row, its metadata laid out for a DNG. Whatever the bytes
 * are, the outcome is a raw or an error. LibRaw, which decodes, is not ours; its memory is limited. */
#include "imageio/raw.h"

#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#define MAX_PIXELS (1 << 22)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void _read_samples(const dt_raw_t *raw)
{
  float least, most;
  if((int64_t)raw->mosaic.width * raw->mosaic.height <= MAX_PIXELS)
    dt_mosaic_extremes(&raw->mosaic, &least, &most);
}

static void _use(const dt_raw_t *raw)
{
  float matrix[12];
  dt_exif_layout_t layout;
  _read_samples(raw);
  dt_raw_colours_to_rec709(raw, matrix);
  GBytes *tiff = raw->exif ? dt_exif_layout_for_tiff(raw->exif, 16, FALSE, &layout) : NULL;
  if(tiff) g_bytes_unref(tiff);
  if(raw->crop_x < 0 || raw->crop_y < 0 || raw->crop_width < 1 || raw->crop_height < 1
     || raw->crop_x + raw->crop_width > raw->mosaic.width
     || raw->crop_y + raw->crop_height > raw->mosaic.height)
    abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  const int fd = memfd_create("picture.dng", MFD_CLOEXEC);
  if(fd < 0 || write(fd, data, size) != (ssize_t)size) abort();
  char path[64];
  g_snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
  GError *error = NULL;
  dt_raw_t *raw = dt_raw_open(path, &error);
  if(!raw == !error) abort();
  if(raw) _use(raw);
  dt_raw_free(raw);
  g_clear_error(&error);
  close(fd);
  return 0;
}
