/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Photographs upright and in memory, for masks: bands of rows come in from a file, are developed where it is a raw,
 * encoded, and laid where they belong in the upright picture. While one band is encoded the next is read. */
#include "develop/photo.h"
#include "common/colour.h"
#include "common/demosaic.h"
#include "common/memory.h"
#include "imageio/imageio.h"
#include "imageio/raw.h"

#include <math.h>
#include <stdlib.h>

/* rows that are read at once */
#define BAND 64
/* how much the darkest tones of a raw are lifted: a sensor is exposed for the highlights */
#define TONE_GAIN 2.5f

/* Where the pixels of a file lie in the upright picture: (x, y) at base + x * right + y * down. */
typedef struct _turn_t
{
  ptrdiff_t base, right, down;
} _turn_t;

/* From camera RGB to what is shown. */
typedef struct _develop_t
{
  int colours; /* 3 or 4 */
  float balance[4], matrix[12], gain;
} _develop_t;

typedef struct _photo_t
{
  dt_photo_t photo;            /* first: a pointer to the photo is a pointer to this */
  dt_imageio_reader_t *reader; /* until it is read, else NULL */
  dt_raw_t *raw;               /* likewise */
} _photo_t;

/* --- orientation --- */

/* EXIF's eight: the file's first row and column are those sides of the picture (Exif 2.32, 4.6.5.A, Orientation). */
static _turn_t _get_turn(const dt_photo_t *p)
{
  const ptrdiff_t w = p->file_width, h = p->file_height;
  switch(p->orientation)
  {
  case 2: return (_turn_t){ w - 1, -1, w };
  case 3: return (_turn_t){ w * h - 1, -1, -w };
  case 4: return (_turn_t){ w * (h - 1), 1, -w };
  case 5: return (_turn_t){ 0, h, 1 };
  case 6: return (_turn_t){ h - 1, h, -1 };
  case 7: return (_turn_t){ w * h - 1, -h, -1 };
  case 8: return (_turn_t){ h * (w - 1), -h, 1 };
  default: return (_turn_t){ 0, 1, w };
  }
}

static void _set_size(dt_photo_t *p, int width, int height, int orientation)
{
  p->orientation = orientation >= 1 && orientation <= 8 ? orientation : 1;
  p->file_width = width;
  p->file_height = height;
  p->width = p->orientation > 4 ? height : width;
  p->height = p->orientation > 4 ? width : height;
}

void dt_photo_turn_back_row(const dt_photo_t *photo, const float *in, int y, float *out)
{
  const _turn_t t = _get_turn(photo);
  const float *from = in + t.base + t.down * y;
  for(int x = 0; x < photo->file_width; x++) out[x] = from[t.right * x];
}

void dt_photo_turn_back(const dt_photo_t *photo, const float *in, float *out)
{
  for(int y = 0; y < photo->file_height; y++)
    dt_photo_turn_back_row(photo, in, y, out + (size_t)y * (size_t)photo->file_width);
}

void dt_photo_turn_back_rgb_row(const dt_photo_t *photo, int y, float *out)
{
  const _turn_t t = _get_turn(photo);
  const uint8_t *from = photo->rgb + 3 * (t.base + t.down * y);
  for(int x = 0; x < photo->file_width; x++, from += 3 * t.right)
    for(int c = 0; c < 3; c++) *out++ = (float)from[c] / 255.0f;
}

/* --- bands --- */

/* What becomes of a band of rows of the file, on a thread of its own. */
typedef struct _band_t
{
  const dt_photo_t *photo;
  const _develop_t *develop;         /* or NULL */
  const dt_imageio_reader_t *reader; /* of a picture, else NULL */
  int channels, y, n;                /* rows y to y + n - 1 of the file */
  size_t stride;                     /* floats from row to row */
  float *rows, *line;                /* the first pixel; room for a row of three colours */
} _band_t;

static float _clip(float v)
{
  return v > 0.0f ? v < 1.0f ? v : 1.0f : 0.0f; /* what is no number is black */
}

/* Rolls highlights off: g·x·(1 + x/g) / (1 + g·x), where 1 stays 1 (Reinhard et al., Photographic Tone Reproduction for
 * Digital Images, 2002, equation 4 with the white point at g). */
static float _tone(float v)
{
  const float x = _clip(v);
  return x * (TONE_GAIN + x) / (1.0f + TONE_GAIN * x);
}

/* Balanced, cut where the first colour saturates, so that highlights are white, in Rec.709 and brightened. */
static void _develop_row(const _develop_t *d, const float *in, int n, float *out)
{
  for(int i = 0; i < n; i++, in += d->colours, out += 3)
  {
    float even[4];
    for(int c = 0; c < d->colours; c++) even[c] = MIN(in[c] * d->balance[c], 1.0f);
    for(int c = 0; c < 3; c++)
    {
      float sum = 0.0f;
      for(int k = 0; k < d->colours; k++) sum += d->matrix[c * d->colours + k] * even[k];
      out[c] = _tone(sum * d->gain);
    }
  }
}

/* Colours that were multiplied by alpha, in linear light or as they are encoded, as they were before. */
static void _straighten_row(float *row, int n, int channels, gboolean linear)
{
  const int colours = DT_ROW_COLOURS(channels);
  for(int i = 0; i < n; i++, row += channels)
  {
    const float alpha = _clip(row[colours]);
    if(alpha <= 0.0f || alpha >= 1.0f) continue;
    if(!linear) dt_srgb_encode(row, row, (size_t)colours);
    for(int c = 0; c < colours; c++) row[c] /= alpha;
    if(!linear) dt_srgb_decode(row, row, (size_t)colours);
  }
}

/* Three colours over white. */
static void _flatten_row(const float *in, int n, int channels, float *out)
{
  const int colours = DT_ROW_COLOURS(channels);
  for(int i = 0; i < n; i++, in += channels, out += 3)
  {
    const float alpha = DT_ROW_HAS_ALPHA(channels) ? _clip(in[channels - 1]) : 1.0f;
    for(int c = 0; c < 3; c++) out[c] = _clip(in[colours == 3 ? c : 0]) * alpha + (1.0f - alpha);
  }
}

/* Encodes a row of the file and lays it into the upright picture. */
static void _place_row(const _band_t *b, int row)
{
  const int width = b->photo->file_width;
  float *in = b->rows + (size_t)row * b->stride;
  if(b->reader && b->reader->alpha_associated)
    _straighten_row(in, width, b->channels, b->reader->alpha_linear);
  if(b->develop)
    _develop_row(b->develop, in, width, b->line);
  else
    _flatten_row(in, width, b->channels, b->line);
  dt_srgb_encode(b->line, b->line, 3 * (size_t)width);
  const _turn_t t = _get_turn(b->photo);
  uint8_t *to = b->photo->rgb + 3 * (t.base + t.down * (b->y + row));
  for(int x = 0; x < width; x++, to += 3 * t.right)
    for(int c = 0; c < 3; c++) to[c] = (uint8_t)(_clip(b->line[3 * x + c]) * 255.0f + 0.5f);
}

static gpointer _place(gpointer data)
{
  const _band_t *b = data;
  for(int row = 0; row < b->n; row++) _place_row(b, row);
  return NULL;
}

static gboolean _check_cancelled(GCancellable *cancellable, GError **error)
{
  if(!g_cancellable_is_cancelled(cancellable)) return TRUE;
  g_set_error_literal(error, DT_AI_ERROR, DT_AI_ERROR_CANCELLED, "Cancelled.");
  return FALSE;
}

static gboolean _fail_memory(const dt_photo_t *p, GError **error)
{
  g_set_error(error, DT_AI_ERROR, DT_AI_ERROR_MEMORY,
              "There is no memory for a picture of %d×%d pixels. Close other programs, or make it smaller.",
              p->width, p->height);
  return FALSE;
}

/* Reads the part of @p in that begins at (@p left, @p top) and is as large as the file's picture. */
static gboolean _read_bands(dt_photo_t *photo, dt_row_source_t *in, int left, int top,
                            const _develop_t *develop, GCancellable *cancellable, GError **error)
{
  const size_t stride = (size_t)in->width * (size_t)in->channels, width = (size_t)photo->file_width;
  const size_t size = BAND * stride + 3 * width;
  float *room = dt_memory_try_large(2 * size, sizeof(float));
  _band_t bands[2];
  GThread *busy = NULL;
  gboolean ok = room || _fail_memory(photo, error);
  for(int y = 0, i = 0; y < photo->file_height && ok; y += BAND, i ^= 1)
  {
    float *rows = room + (size_t)i * size;
    bands[i] = (_band_t){ .photo = photo,
                          .develop = develop,
                          .reader = develop ? NULL : ((const _photo_t *)photo)->reader,
                          .channels = in->channels,
                          .y = y,
                          .n = MIN(BAND, photo->file_height - y),
                          .stride = stride };
    bands[i].rows = rows + (size_t)left * (size_t)in->channels;
    bands[i].line = rows + BAND * stride;
    ok = _check_cancelled(cancellable, error) && in->read(in, top + y, bands[i].n, rows, error);
    if(busy) g_thread_join(busy);
    busy = ok ? g_thread_new("photo", _place, &bands[i]) : NULL;
  }
  if(busy) g_thread_join(busy);
  free(room);
  return ok;
}

/* --- files --- */

static void _prepare_develop(const dt_raw_t *raw, _develop_t *d)
{
  d->colours = raw->mosaic.sensor == DT_SENSOR_FOUR ? 4 : 3;
  dt_raw_colours_to_rec709(raw, d->matrix);
  d->gain = exp2f((float)CLAMP(raw->baseline_exposure, -4.0, 4.0));
  for(int c = 0; c < 4; c++) d->balance[c] = (float)(1.0 / raw->neutral[c]);
}

static gboolean _read_raw(_photo_t *self, GCancellable *cancellable, GError **error)
{
  const dt_raw_t *raw = self->raw;
  _develop_t develop;
  _prepare_develop(raw, &develop);
  dt_row_source_t *in = dt_demosaic_source(&raw->mosaic, raw->neutral, DT_DEMOSAIC_BILINEAR);
  const gboolean ok = _read_bands(&self->photo, in, raw->crop_x, raw->crop_y, &develop, cancellable, error);
  dt_row_source_destroy(in);
  return ok;
}

static gboolean _allocate(dt_photo_t *photo, GError **error)
{
  const size_t row = 3 * (size_t)photo->width;
  if((guint64)row * (guint64)photo->height > dt_memory_available()
     || !(photo->rgb = dt_memory_try_large(row, (size_t)photo->height)))
    return _fail_memory(photo, error);
  return TRUE;
}

static void _close(_photo_t *self)
{
  if(self->reader) dt_row_source_destroy(&self->reader->source);
  dt_raw_free(self->raw);
  self->reader = NULL;
  self->raw = NULL;
}

gboolean dt_photo_read(dt_photo_t *photo, GCancellable *cancellable, GError **error)
{
  _photo_t *self = (_photo_t *)photo;
  if(photo->rgb) return TRUE;
  if(!_allocate(photo, error)) return FALSE;
  const gboolean ok = self->raw ? _read_raw(self, cancellable, error)
                                : _read_bands(photo, &self->reader->source, 0, 0, NULL, cancellable, error);
  if(ok)
    _close(self);
  else
    g_clear_pointer(&photo->rgb, free);
  return ok;
}

static gboolean _open_raw(_photo_t *self, const char *path, GError **error)
{
  const dt_raw_t *raw = self->raw = dt_raw_open(path, error);
  if(!raw) return FALSE;
  self->photo.is_raw = TRUE;
  _set_size(&self->photo, raw->crop_width, raw->crop_height, raw->orientation);
  return TRUE;
}

static gboolean _open_picture(_photo_t *self, const char *path, const char *assume_profile, GError **error)
{
  const dt_imageio_reader_t *reader = self->reader = dt_imageio_open(path, assume_profile, error);
  if(!reader) return FALSE;
  _set_size(&self->photo, reader->source.width, reader->source.height, reader->metadata.orientation);
  return TRUE;
}

dt_photo_t *dt_photo_open(const char *path, const char *assume_profile, GError **error)
{
  _photo_t *self = g_new0(_photo_t, 1);
  const gboolean ok =
      dt_raw_is_raw(path) ? _open_raw(self, path, error) : _open_picture(self, path, assume_profile, error);
  if(ok) return &self->photo;
  dt_photo_free(&self->photo);
  return NULL;
}

dt_photo_t *dt_photo_load(const char *path, const char *assume_profile, GCancellable *cancellable,
                          GError **error)
{
  dt_photo_t *photo = dt_photo_open(path, assume_profile, error);
  if(photo && !dt_photo_read(photo, cancellable, error)) g_clear_pointer(&photo, dt_photo_free);
  return photo;
}

void dt_photo_free(dt_photo_t *photo)
{
  if(!photo) return;
  _close((_photo_t *)photo);
  free(photo->rgb);
  g_free(photo);
}

/* --- its rows --- */

typedef struct _rows_t
{
  dt_row_source_t source;
  const dt_photo_t *photo;
  float linear[256];
} _rows_t;

static gboolean _read_rows(dt_row_source_t *self, int y, int n, float *rows, GError **error)
{
  (void)error;
  const _rows_t *r = (const _rows_t *)self;
  const size_t width = 3 * (size_t)self->width;
  const uint8_t *in = r->photo->rgb + (size_t)y * width;
  for(size_t i = 0; i < width * (size_t)n; i++) rows[i] = r->linear[in[i]];
  return TRUE;
}

static void _destroy_rows(dt_row_source_t *self)
{
  g_free(self);
}

dt_row_source_t *dt_photo_rows(const dt_photo_t *photo)
{
  _rows_t *r = g_new0(_rows_t, 1);
  r->source = (dt_row_source_t){ .width = photo->width,
                                 .height = photo->height,
                                 .channels = DT_ROW_RGB,
                                 .space = DT_ROW_LINEAR_REC709,
                                 .read = _read_rows,
                                 .destroy = _destroy_rows };
  r->photo = photo;
  for(int i = 0; i < 256; i++) r->linear[i] = (float)i / 255.0f;
  dt_srgb_decode(r->linear, r->linear, 256);
  return &r->source;
}

/* --- planes --- */

/* Reads the file's rows as numbers into the places that are theirs. */
static gboolean _read_plane(dt_imageio_reader_t *reader, const dt_photo_t *size, float *plane,
                            GCancellable *cancellable, GError **error)
{
  dt_row_source_t *in = &reader->source;
  const _turn_t t = _get_turn(size);
  const gboolean has_alpha = DT_ROW_HAS_ALPHA(in->channels) && !reader->alpha_associated; /* not twice */
  float *row = g_new(float, (gsize)in->width *(gsize)in->channels);
  gboolean ok = TRUE;
  for(int y = 0; y < in->height && ok; y++)
  {
    ok = _check_cancelled(cancellable, error) && in->read(in, y, 1, row, error);
    const float *v = row;
    for(int x = 0; x < in->width && ok; x++, v += in->channels)
    {
      const float alpha = has_alpha ? _clip(v[in->channels - 1]) : 1.0f;
      const float light =
          DT_ROW_COLOURS(in->channels) == 3 ? 0.2126f * v[0] + 0.7152f * v[1] + 0.0722f * v[2] : v[0];
      plane[t.base + t.right * x + t.down * y] = _clip(light) * alpha;
    }
  }
  g_free(row);
  return ok;
}

float *dt_photo_load_plane(const char *path, int *width, int *height, GCancellable *cancellable,
                           GError **error)
{
  dt_photo_t size = { 0 };
  dt_imageio_reader_t *reader = dt_imageio_open(path, NULL, error);
  if(!reader) return NULL;
  dt_imageio_set_untouched(reader); /* numbers, not light */
  _set_size(&size, reader->source.width, reader->source.height, reader->metadata.orientation);
  float *plane = g_try_malloc_n((gsize)size.width * (gsize)size.height, sizeof(float));
  if(!plane) _fail_memory(&size, error);
  if(plane && !_read_plane(reader, &size, plane, cancellable, error)) g_clear_pointer(&plane, g_free);
  dt_row_source_destroy(&reader->source);
  *width = size.width;
  *height = size.height;
  return plane;
}
