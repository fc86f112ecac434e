/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A small companion for the demo, the tests and the benchmarks: makes pictures, adds seeded noise, measures
 * PSNR, and puts before and after side by side. It holds whole pictures in memory and is not installed.
 *
 *   picture make OUT WIDTH HEIGHT [SEED]             a synthetic scene, written row by row
 *   picture noise IN OUT gaussian SIGMA SEED         sRGB-encoded, SIGMA in 8-bit units, not clipped
 *   picture noise IN OUT camera GAIN READ SEED       sensor noise before demosaic, see _camera_noise()
 *   picture psnr CLEAN OTHER                         dB over the sRGB-encoded pixels
 *   picture compare BEFORE AFTER OUT.png             whole pictures above, a 1:1 crop below
 */
#include "common/colour.h"
#include "imageio/imageio.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct _image_t
{
  int width, height, channels;
  float *pixels; /* interleaved, linear unless said otherwise */
} _image_t;

static void _die(GError *error)
{
  fprintf(stderr, "picture: %s\n", error->message);
  exit(1);
}

static size_t _samples(const _image_t *image)
{
  return (size_t)image->width * (size_t)image->height * (size_t)image->channels;
}

static _image_t _new(int width, int height, int channels)
{
  return (_image_t){ width, height, channels, g_new0(float, (gsize)width *(gsize)height *(gsize)channels) };
}

static _image_t _load(const char *path, dt_imageio_reader_t **keep)
{
  GError *error = NULL;
  dt_imageio_reader_t *in = dt_imageio_open(path, NULL, &error);
  if(!in) _die(error);
  _image_t image = _new(in->source.width, in->source.height, in->source.channels);
  if(!in->source.read(&in->source, 0, image.height, image.pixels, &error)) _die(error);
  if(keep)
    *keep = in;
  else
    dt_row_source_destroy(&in->source);
  return image;
}

static void _save(const _image_t *image, const char *path, int bits, const dt_metadata_t *metadata)
{
  GError *error = NULL;
  const dt_imageio_write_opts_t opts = { .bits = bits, .metadata = metadata, .overwrite = TRUE };
  dt_row_sink_t *out = dt_imageio_create(path, image->width, image->height, image->channels, &opts, &error);
  if(!out) _die(error);
  if(!out->write(out, 0, image->height, image->pixels, &error))
  {
    out->abandon(out);
    _die(error);
  }
  if(!out->finish(out, &error)) _die(error);
}

/* --- random numbers --- */

static guint64 _state;

static double _uniform(void)
{
  _state += 0x9E3779B97F4A7C15ULL; /* splitmix64 */
  guint64 z = _state;
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ULL;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EBULL;
  return ((double)((z ^ (z >> 31)) >> 11) + 0.5) / 9007199254740992.0;
}

static float _normal(void)
{
  return (float)(sqrt(-2.0 * log(_uniform())) * cos(2.0 * G_PI * _uniform()));
}

/* --- make --- */

static void _scene_row(int y, int width, float *row)
{
  for(int x = 0; x < width; x++)
  {
    const float u = (float)x, v = (float)y;
    const float shade = 0.35f + 0.25f * sinf(u * 0.011f) * cosf(v * 0.007f);
    const float edge = fmodf(floorf(u / 97) + floorf(v / 61), 2.0f) * 0.12f;
    const float fine = 0.05f * sinf(u * 0.9f + v * 0.7f);
    row[3 * x] = shade + edge + fine + 0.1f * (float)_uniform();
    row[3 * x + 1] = shade * 0.9f + edge - fine + 0.1f * (float)_uniform();
    row[3 * x + 2] = shade * 0.7f + 0.1f + 0.1f * (float)_uniform();
  }
}

static void _make(const char *path, int width, int height)
{
  GError *error = NULL;
  const dt_imageio_write_opts_t opts = { .compression = DT_IMAGEIO_UNCOMPRESSED, .overwrite = TRUE };
  dt_row_sink_t *out = dt_imageio_create(path, width, height, 3, &opts, &error);
  if(!out) _die(error);
  float *row = g_new(float, 3 * (gsize)width);
  for(int y = 0; y < height; y++)
  {
    _scene_row(y, width, row);
    if(!out->write(out, y, 1, row, &error))
    {
      out->abandon(out);
      _die(error);
    }
  }
  g_free(row);
  if(!out->finish(out, &error)) _die(error);
}

/* --- noise --- */

static void _gaussian_noise(_image_t *image, float sigma)
{
  float *p = image->pixels;
  dt_srgb_encode(p, p, _samples(image));
  for(size_t i = 0; i < _samples(image); i++) p[i] += sigma / 255.0f * _normal();
  dt_srgb_decode(p, p, _samples(image));
}

/* Colour of the sensor's filter at a place: RGGB. */
static int _filter_at(int x, int y)
{
  return (x & 1) + (y & 1);
}

/* Noise as a camera makes it: at each photosite, variance GAIN·x + READ² of the linear signal x (shot and
 * read noise); the noise of each colour is then interpolated as a bilinear demosaic does, which makes it
 * coarse and correlated. The picture itself keeps its detail, so that PSNR tells noise alone. */
static void _camera_noise(_image_t *image, float gain, float read)
{
  const int w = image->width, h = image->height;
  float *site = g_new(float, (gsize)w *(gsize)h);
  for(int y = 0; y < h; y++)
    for(int x = 0; x < w; x++)
    {
      const size_t at = (size_t)y * (size_t)w + (size_t)x;
      const float signal = image->pixels[at * (size_t)image->channels + (size_t)_filter_at(x, y)];
      site[at] = sqrtf(gain * fmaxf(signal, 0) + read * read) * _normal();
    }
  for(int y = 0; y < h; y++)
    for(int x = 0; x < w; x++)
      for(int c = 0; c < 3; c++)
      {
        float sum = 0, weight = 0;
        for(int j = -1; j <= 1; j++)
          for(int i = -1; i <= 1; i++)
          {
            const int px = CLAMP(x + i, 0, w - 1), py = CLAMP(y + j, 0, h - 1);
            const float k = (float)((2 - abs(i)) * (2 - abs(j)));
            if(_filter_at(px, py) != c || (_filter_at(x, y) == c && (i || j))) continue;
            sum += k * site[(size_t)py * (size_t)w + (size_t)px];
            weight += k;
          }
        image->pixels[((size_t)y * (size_t)w + (size_t)x) * (size_t)image->channels + (size_t)c] +=
            sum / fmaxf(weight, 1);
      }
  g_free(site);
}

/* --- psnr --- */

static double _psnr(const char *clean, const char *other)
{
  _image_t a = _load(clean, NULL), b = _load(other, NULL);
  if(a.width != b.width || a.height != b.height || a.channels != b.channels)
  {
    fprintf(stderr, "picture: the two pictures differ in size or channels\n");
    exit(1);
  }
  dt_srgb_encode(a.pixels, a.pixels, _samples(&a));
  dt_srgb_encode(b.pixels, b.pixels, _samples(&b));
  double sum = 0;
  for(size_t i = 0; i < _samples(&a); i++)
  {
    const double d = (double)a.pixels[i] - (double)b.pixels[i];
    sum += d * d;
  }
  const double psnr = -10 * log10(sum / (double)_samples(&a));
  g_free(a.pixels);
  g_free(b.pixels);
  return psnr;
}

/* --- compare --- */

/* Averages the pixels under each target pixel. */
static void _shrink_into(const _image_t *from, _image_t *to, int x0, int y0, int width, int height)
{
  for(int y = 0; y < height; y++)
    for(int x = 0; x < width; x++)
      for(int c = 0; c < 3; c++)
      {
        const int sx0 = x * from->width / width, sx1 = MAX(sx0 + 1, (x + 1) * from->width / width);
        const int sy0 = y * from->height / height, sy1 = MAX(sy0 + 1, (y + 1) * from->height / height);
        float sum = 0;
        for(int j = sy0; j < sy1; j++)
          for(int i = sx0; i < sx1; i++)
            sum += from->pixels[((size_t)j * (size_t)from->width + (size_t)i) * (size_t)from->channels
                                + (size_t)(from->channels < 3 ? 0 : c)];
        to->pixels[((size_t)(y0 + y) * (size_t)to->width + (size_t)(x0 + x)) * 3 + (size_t)c] =
            sum / (float)((sx1 - sx0) * (sy1 - sy0));
      }
}

static void _crop_into(const _image_t *from, _image_t *to, int x0, int y0, int width, int height)
{
  /* a little off the centre, where photographs tend to have something to look at */
  const int sx = MAX(0, from->width * 2 / 5 - width / 2), sy = MAX(0, from->height / 2 - height / 2);
  for(int y = 0; y < MIN(height, from->height); y++)
    for(int x = 0; x < MIN(width, from->width); x++)
      for(int c = 0; c < 3; c++)
        to->pixels[((size_t)(y0 + y) * (size_t)to->width + (size_t)(x0 + x)) * 3 + (size_t)c] =
            from->pixels[((size_t)(sy + y) * (size_t)from->width + (size_t)(sx + x)) * (size_t)from->channels
                         + (size_t)(from->channels < 3 ? 0 : c)];
}

static void _compare(const char *before, const char *after, const char *out)
{
  enum
  {
    HALF = 600,
    GAP = 4,
    CROP = 400
  };
  _image_t a = _load(before, NULL), b = _load(after, NULL);
  const int small = MAX(1, (int)((long)a.height * HALF / a.width));
  _image_t sheet = _new(2 * HALF + GAP, small + GAP + CROP, 3);
  for(size_t i = 0; i < _samples(&sheet); i++) sheet.pixels[i] = 1;
  _shrink_into(&a, &sheet, 0, 0, HALF, small);
  _shrink_into(&b, &sheet, HALF + GAP, 0, HALF, small);
  _crop_into(&a, &sheet, 0, small + GAP, HALF, CROP);
  _crop_into(&b, &sheet, HALF + GAP, small + GAP, HALF, CROP);
  _save(&sheet, out, 8, NULL);
  g_free(a.pixels);
  g_free(b.pixels);
  g_free(sheet.pixels);
}

static int _usage(void)
{
  fprintf(stderr, "usage: picture make|noise|psnr|compare … (see the head of tools/picture.c)\n");
  return 2;
}

static int _noise(int argc, char **argv)
{
  const gboolean gaussian = argc == 7 && strcmp(argv[4], "gaussian") == 0;
  const gboolean camera = argc == 8 && strcmp(argv[4], "camera") == 0;
  if(!gaussian && !camera) return _usage();
  dt_imageio_reader_t *reader = NULL;
  _image_t image = _load(argv[2], &reader);
  _state = g_ascii_strtoull(argv[argc - 1], NULL, 10);
  if(gaussian)
    _gaussian_noise(&image, (float)g_ascii_strtod(argv[5], NULL));
  else
    _camera_noise(&image, (float)g_ascii_strtod(argv[5], NULL), (float)g_ascii_strtod(argv[6], NULL));
  _save(&image, argv[3], 32, &reader->metadata);
  dt_row_source_destroy(&reader->source);
  g_free(image.pixels);
  return 0;
}

int main(int argc, char **argv)
{
  const char *verb = argc > 1 ? argv[1] : "";
  if(strcmp(verb, "noise") == 0) return _noise(argc, argv);
  if(strcmp(verb, "psnr") == 0 && argc == 4)
    printf("%.3f\n", _psnr(argv[2], argv[3]));
  else if(strcmp(verb, "compare") == 0 && argc == 5)
    _compare(argv[2], argv[3], argv[4]);
  else if(strcmp(verb, "make") == 0 && (argc == 5 || argc == 6))
  {
    _state = argc == 6 ? g_ascii_strtoull(argv[5], NULL, 10) : 1;
    _make(argv[2], atoi(argv[3]), atoi(argv[4]));
  }
  else
    return _usage();
  return 0;
}
