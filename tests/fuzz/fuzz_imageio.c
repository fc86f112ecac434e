/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Any bytes as a picture: opened, read row by row up to one megapixel, and its metadata prepared for
 * each format. Whatever the bytes are, the outcome is a picture or an error. */
#include "imageio/metadata.h"

#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#define MAX_PIXELS (1 << 20)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void _prepare_metadata(const dt_imageio_reader_t *reader)
{
  const dt_encode_spec_t spec = { .width = 10, .height = 20, .metadata = &reader->metadata };
  GBytes *exif = dt_metadata_make_exif(&spec, 65527), *xmp = dt_metadata_make_xmp(&spec, 65500);
  dt_exif_t *tree = dt_metadata_make_exif_tree(&spec);
  dt_exif_layout_t layout;
  GBytes *tiff = tree ? dt_exif_layout_for_tiff(tree, 16, reader->bits == 16, &layout) : NULL;
  GBytes *icc = dt_profile_for_colours(reader->metadata.icc, DT_ROW_COLOURS(reader->source.channels));
  if(exif) g_bytes_unref(exif);
  if(xmp) g_bytes_unref(xmp);
  if(tiff) g_bytes_unref(tiff);
  if(icc) g_bytes_unref(icc);
  dt_exif_destroy(tree);
}

static void _read_rows(dt_row_source_t *source)
{
  if((int64_t)source->width * source->height > MAX_PIXELS) return;
  float *row = g_new(float, (size_t)source->width *(size_t)source->channels);
  for(int y = 0; y < source->height; y++)
    if(!source->read(source, y, 1, row, NULL)) break;
  g_free(row);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  const int fd = memfd_create("picture", MFD_CLOEXEC);
  if(fd < 0 || write(fd, data, size) != (ssize_t)size) abort();
  char path[64];
  g_snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
  dt_imageio_reader_t *reader = dt_imageio_open(path, NULL, NULL);
  if(reader)
  {
    _prepare_metadata(reader);
    _read_rows(&reader->source);
    dt_row_source_destroy(&reader->source);
  }
  close(fd);
  return 0;
}
