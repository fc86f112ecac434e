/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Any bytes as a picture: opened, read row by row up to one megapixel, and its metadata prepared for
 * each format. Whatever the bytes are, the outcome is a picture or an error. */
#include "imageio/metadata.h"
#include "imageio/xmp.h"

#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#define MAX_PIXELS (1 << 20)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/** XMP as a JPEG wants it when it is long, and back. */
static void _divide(GBytes *xmp)
{
  char guid[33];
  GBytes *rest = NULL, *first = dt_xmp_split(xmp, 1000, &rest, guid);
  if(first) g_bytes_unref(dt_xmp_merge(first, rest));
  if(first) g_bytes_unref(first);
  if(rest) g_bytes_unref(rest);
}

/** What goes into a TIFF's own directory, of which there are two entries already. */
static void _extend(const dt_exif_t *exif, gboolean big)
{
  static const uint8_t table[40] = { 0, 1, 4, 0, 1, 0, 0, 0, 9, 0, 0, 0 };
  GBytes *bytes = dt_exif_extend_directory(exif, table, 2, 1024, big);
  if(bytes) g_bytes_unref(bytes);
}

static void _prepare_metadata(const dt_imageio_reader_t *reader)
{
  const dt_provenance_t stamp = {
    .task = "denoise", .model = "m", .strength = 100, .scale = 1, .version = "1"
  };
  const dt_encode_spec_t spec = { .width = 10,
                                  .height = 20,
                                  .metadata = &reader->metadata,
                                  .provenance = reader->source.width % 2 ? &stamp : NULL };
  GBytes *exif = dt_metadata_make_exif(&spec, 65527), *xmp = dt_metadata_make_xmp(&spec, 65500);
  dt_exif_t *tree = dt_metadata_make_exif_tree(&spec);
  dt_exif_layout_t layout;
  GBytes *tiff = tree ? dt_exif_layout_for_tiff(tree, 16, reader->bits == 16, &layout) : NULL;
  GBytes *icc = dt_profile_for_colours(reader->metadata.icc, DT_ROW_COLOURS(reader->source.channels));
  GBytes *iptc = dt_metadata_make_iptc(&spec);
  g_ptr_array_unref(dt_provenance_read(xmp));
  if(xmp) _divide(xmp);
  if(tree) _extend(tree, reader->bits == 16);
  if(iptc) g_bytes_unref(iptc);
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
