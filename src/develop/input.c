/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Opens photographs for pixelpipes and hands out rectangles of them. */
#include "develop/input.h"

#include "common/memory.h"
#include "common/noise.h"
#include "common/wide_vectors.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

/* rows read from a picture at once */
#define BAND 64

struct dt_dev_input_t
{
  gint references;
  dt_iop_image_t image;
  dt_raw_t *raw;               /* or NULL */
  dt_imageio_reader_t *reader; /* of a picture from a file, for its metadata, or NULL */
  float *pixels;               /* of a picture, or NULL */
  pthread_mutex_t lock;        /* of the next, and of the noise in the image */
  gboolean has_noise;
};

static dt_dev_input_t *_new(void)
{
  dt_dev_input_t *input = g_new0(dt_dev_input_t, 1);
  input->references = 1;
  pthread_mutex_init(&input->lock, NULL);
  return input;
}

/* --- raws --- */

dt_dev_input_t *dt_dev_input_new_raw(dt_raw_t *raw)
{
  dt_dev_input_t *input = _new();
  input->raw = raw;
  dt_iop_image_t *image = &input->image;
  image->width = raw->mosaic.width;
  image->height = raw->mosaic.height;
  image->mosaic = &raw->mosaic;
  for(int c = 0; c < 4; c++) image->neutral[c] = raw->neutral[c];
  dt_raw_get_colour(raw, &image->colour);
  image->iso = raw->iso;
  image->baseline_exposure = raw->baseline_exposure;
  image->crop_x = raw->crop_x;
  image->crop_y = raw->crop_y;
  image->crop_width = raw->crop_width;
  image->crop_height = raw->crop_height;
  image->orientation = raw->orientation;
  return input;
}

static dt_dev_input_t *_open_raw(const char *path, GError **error)
{
  dt_raw_t *raw = dt_raw_open(path, error);
  return raw ? dt_dev_input_new_raw(raw) : NULL;
}

/* --- pictures --- */

dt_dev_input_t *dt_dev_input_new_picture(float *pixels, int width, int height, int orientation)
{
  dt_dev_input_t *input = _new();
  input->pixels = pixels;
  input->image = (dt_iop_image_t){ .width = width,
                                   .height = height,
                                   .neutral = { 1, 1, 1, 1 },
                                   .crop_width = width,
                                   .crop_height = height,
                                   .orientation = orientation };
  return input;
}

/* A row of any channels as four: grey is spread, without alpha the fourth is 1. */
static void _spread(const float *in, int channels, int width, float *out)
{
  const int colours = DT_ROW_COLOURS(channels);
  for(int x = 0; x < width; x++)
  {
    const float *from = in + (size_t)x * (size_t)channels;
    for(int c = 0; c < 3; c++) out[4 * x + c] = from[colours == 3 ? c : 0];
    out[4 * x + 3] = DT_ROW_HAS_ALPHA(channels) ? from[colours] : 1.0f;
  }
}

static gboolean _read_picture(dt_row_source_t *in, float *pixels, float *band, GCancellable *cancellable,
                              GError **error)
{
  const size_t stride = (size_t)in->width * (size_t)in->channels;
  for(int y = 0; y < in->height; y += BAND)
  {
    const int n = MIN(BAND, in->height - y);
    if(g_cancellable_is_cancelled(cancellable))
    {
      g_set_error(error, DT_AI_ERROR, DT_AI_ERROR_CANCELLED, "Cancelled.");
      return FALSE;
    }
    if(!in->read(in, y, n, band, error)) return FALSE;
    for(int i = 0; i < n; i++)
      _spread(band + (size_t)i * stride, in->channels, in->width,
              pixels + (size_t)(y + i) * (size_t)in->width * 4);
  }
  return TRUE;
}

static float *_load_picture(dt_row_source_t *in, GCancellable *cancellable, GError **error)
{
  float *pixels = dt_memory_try_large((size_t)in->width * (size_t)in->height * 4, sizeof(float));
  float *band = dt_memory_try_large((size_t)in->width * (size_t)in->channels * BAND, sizeof(float));
  gboolean fine = pixels && band;
  if(fine)
    fine = _read_picture(in, pixels, band, cancellable, error);
  else
    g_set_error(error, DT_AI_ERROR, DT_AI_ERROR_MEMORY, "There is no memory for a picture of %d × %d.",
                in->width, in->height);
  free(band);
  if(!fine) g_clear_pointer(&pixels, free);
  return pixels;
}

static dt_dev_input_t *_open_picture(const char *path, const char *assume_profile, GCancellable *cancellable,
                                     GError **error)
{
  dt_imageio_reader_t *reader = dt_imageio_open(path, assume_profile, error);
  if(!reader) return NULL;
  float *pixels = _load_picture(&reader->source, cancellable, error);
  if(!pixels)
  {
    dt_row_source_destroy(&reader->source);
    return NULL;
  }
  dt_dev_input_t *input = dt_dev_input_new_picture(pixels, reader->source.width, reader->source.height,
                                                   reader->metadata.orientation);
  input->reader = reader;
  return input;
}

dt_dev_input_t *dt_dev_input_open(const char *path, const char *assume_profile, GCancellable *cancellable,
                                  GError **error)
{
  return dt_raw_is_raw(path) ? _open_raw(path, error)
                             : _open_picture(path, assume_profile, cancellable, error);
}

/* --- noise --- */

/* Of the sites of one colour that stand at even distances, the first green one's: other sites have the same noise, and
 * green has the most light. A sensor without a filter array has green in every pixel. */
static gboolean _measure(const dt_mosaic_t *m, dt_noise_t *noise)
{
  const int per_pixel = m->sensor == DT_SENSOR_LINEAR ? 3 : 1;
  int left = 0, top = 0;
  while(per_pixel == 1 && dt_mosaic_colour(m, left, top) != DT_SITE_GREEN)
    if(++left == m->period) left = 0, top++;
  const int n = (m->width - left + m->period - 1) / m->period;
  if(n < 1) return FALSE;
  float *row = g_new(float, (gsize)m->width *(gsize)per_pixel), *sites = g_new(float, n);
  dt_noise_estimator_t *estimator = dt_noise_estimator_new(n);
  for(int y = top; y < m->height; y += m->period)
  {
    dt_mosaic_read(m, 0, y, m->width, row);
    for(int i = 0; i < n; i++)
      sites[i] = row[(left + i * m->period) * per_pixel + (per_pixel == 3 ? DT_SITE_GREEN : 0)];
    dt_noise_estimator_push(estimator, sites);
  }
  const gboolean seen = dt_noise_estimator_get(estimator, noise);
  dt_noise_estimator_free(estimator);
  g_free(sites);
  g_free(row);
  return seen;
}

void dt_dev_input_measure_noise(dt_dev_input_t *input)
{
  dt_noise_t noise;
  pthread_mutex_lock(&input->lock);
  if(!input->has_noise && input->image.mosaic && _measure(input->image.mosaic, &noise))
  {
    input->image.noise_scale = noise.scale;
    input->image.noise_offset = noise.offset;
  }
  input->has_noise = TRUE;
  pthread_mutex_unlock(&input->lock);
}

/* --- life and questions --- */

dt_dev_input_t *dt_dev_input_ref(dt_dev_input_t *input)
{
  g_atomic_int_inc(&input->references);
  return input;
}

void dt_dev_input_unref(dt_dev_input_t *input)
{
  if(!input || !g_atomic_int_dec_and_test(&input->references)) return;
  if(input->reader) dt_row_source_destroy(&input->reader->source);
  dt_raw_free(input->raw);
  free(input->pixels);
  pthread_mutex_destroy(&input->lock);
  g_free(input);
}

const dt_iop_image_t *dt_dev_input_image(const dt_dev_input_t *input)
{
  return &input->image;
}

int dt_dev_input_channels(const dt_dev_input_t *input)
{
  return DT_IOP_IS_MOSAIC(&input->image) ? 1 : 4;
}

const dt_raw_t *dt_dev_input_raw(const dt_dev_input_t *input)
{
  return input->raw;
}

gboolean dt_dev_input_has_alpha(const dt_dev_input_t *input)
{
  return input->reader && DT_ROW_HAS_ALPHA(input->reader->source.channels);
}

static GBytes *_share(GBytes *bytes)
{
  return bytes ? g_bytes_ref(bytes) : NULL;
}

void dt_dev_input_copy_metadata(const dt_dev_input_t *input, dt_metadata_t *metadata)
{
  const dt_raw_t *raw = input->raw;
  *metadata = (dt_metadata_t){ .orientation = input->image.orientation };
  if(raw)
  {
    metadata->exif = raw->exif ? dt_exif_to_bytes(raw->exif) : NULL;
    metadata->xmp = _share(raw->xmp);
  }
  else if(input->reader)
  {
    *metadata = input->reader->metadata;
    _share(metadata->icc);
    _share(metadata->exif);
    _share(metadata->xmp);
    _share(metadata->iptc);
  }
}

/* --- rectangles --- */

DT_WIDE_VECTORS static void _widen(const guint16 *restrict in, int n, float *restrict out)
{
  for(int i = 0; i < n; i++) out[i] = in[i];
}

/* @p n samples from column @p x of row @p y on, as they are stored, one behind the other. */
static void _read_codes(const dt_mosaic_t *m, int x, int y, int n, float *out)
{
  const size_t start = (size_t)y * m->stride + (size_t)x;
  if(m->is_float)
    memcpy(out, (const float *)m->samples + start, (size_t)n * sizeof(float));
  else
    _widen((const guint16 *)m->samples + start, n, out);
}

/* Three samples of each pixel, and a fourth that is 0. */
static void _read_samples(const dt_mosaic_t *m, int x, int y, int n, float *out)
{
  for(int i = 0; i < n; i++)
  {
    const size_t at = (size_t)y * m->stride + (size_t)(x + i) * m->step;
    for(size_t c = 0; c < 3; c++)
      out[4 * i + (int)c] =
          m->is_float ? ((const float *)m->samples)[at + c] : ((const guint16 *)m->samples)[at + c];
    out[4 * i + 3] = 0.0f;
  }
}

void dt_dev_input_read(const dt_dev_input_t *input, const dt_iop_roi_t *roi, float *out)
{
  const dt_mosaic_t *m = input->image.mosaic;
  const size_t stride = (size_t)roi->width * (size_t)dt_dev_input_channels(input);
#pragma omp parallel for
  for(int y = 0; y < roi->height; y++)
  {
    float *row = out + (size_t)y * stride;
    if(!m)
      memcpy(row, input->pixels + ((size_t)(roi->y + y) * (size_t)input->image.width + (size_t)roi->x) * 4,
             stride * sizeof(float));
    else if(DT_IOP_IS_MOSAIC(&input->image))
      _read_codes(m, roi->x, roi->y + y, roi->width, row);
    else
      _read_samples(m, roi->x, roi->y + y, roi->width, row);
  }
}
