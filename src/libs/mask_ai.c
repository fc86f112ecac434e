/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Masks become files. Pictures are written row by row as the photograph's file lies, so that a mask made of a turned
 * photograph fits its file; outlines and overlays are upright, as they are looked at. */
#include "libs/mask_ai.h"
#include "common/colour.h"
#include "common/part_file.h"
#include "develop/masks/outline.h"
#include "imageio/imageio.h"
#include "libs/batch.h"
#include "libs/gpu_share.h"

#include <math.h>
#include <string.h>

/* so much of a cut-out is nothing, and as much short of all is all */
#define DOUBT 0.02f

dt_object_t *dt_mask_job_open(const dt_mask_job_t *job, const dt_seg_context_t *seg, dt_photo_t *photo,
                              const dt_object_opts_t *opts, GError **error)
{
  dt_object_opts_t how = *opts;
  dt_gpu_share_t *share = dt_gpu_share_create(job->opencl, how.cancellable);
  if(share) how.gate = dt_gpu_share_gate(share);
  dt_object_t *object = dt_object_open_photo(seg, photo, job->input, &how, error);
  dt_gpu_share_destroy(share);
  return object;
}

void dt_mask_measure(const float *mask, int width, int height, dt_mask_facts_t *facts)
{
  *facts = (dt_mask_facts_t){ 0, 0, -1, -1, -1, -1 };
  size_t area = 0;
  for(int y = 0; y < height; y++)
    for(int x = 0; x < width; x++)
    {
      if(!(mask[(size_t)y * (size_t)width + (size_t)x] >= 0.5f)) continue;
      area++;
      facts->left = facts->left < 0 ? x : MIN(facts->left, x);
      facts->right = MAX(facts->right, x);
      facts->top = facts->top < 0 ? y : facts->top;
      facts->down = y;
    }
  facts->area = (double)area;
  facts->share = facts->area / ((double)width * height);
}

/* --- formats --- */

static int _choose_bits(const dt_mask_job_t *job, dt_imageio_format_t format)
{
  if(format == DT_IMAGEIO_PFM) return 32;
  if(job->bits) return job->bits;
  return format == DT_IMAGEIO_EXR ? 32 : 0; /* 0: imageio's own, 8 for PNG and 16 for TIFF */
}

static gboolean _is_stream(const char *path)
{
  return strcmp(path, DT_IMAGEIO_STREAM) == 0;
}

gboolean dt_mask_output_is_stream(const dt_mask_output_t *output)
{
  return _is_stream(output->path);
}

/* A stream has no name to tell. */
static dt_imageio_format_t _choose_format(const dt_mask_job_t *job, const char *path)
{
  if(!_is_stream(path)) return dt_imageio_format_for_name(path);
  return job->bits == 32 ? DT_IMAGEIO_TIFF : DT_IMAGEIO_PNG;
}

static dt_imageio_write_opts_t _get_options(const dt_mask_job_t *job, const char *path)
{
  const dt_imageio_format_t format = _choose_format(job, path);
  return (dt_imageio_write_opts_t){ .format = format,
                                    .stream = job->stream,
                                    .bits = _choose_bits(job, format),
                                    .overwrite = job->overwrite,
                                    .provenance = format == DT_IMAGEIO_PFM ? NULL : job->provenance };
}

static gboolean _check_picture(const dt_mask_job_t *job, const dt_photo_t *photo,
                               const dt_mask_output_t *output, GError **error)
{
  const gboolean cutout = output->kind == DT_MASK_CUTOUT;
  const dt_imageio_write_opts_t opts = _get_options(job, output->path);
  if(opts.format == DT_IMAGEIO_JPEG || opts.format == DT_IMAGEIO_UNKNOWN)
  {
    g_set_error(error, DT_AI_ERROR, DT_AI_ERROR_USAGE,
                cutout ? "%s: a cut-out is transparent, which takes a name in .png, .tif or .exr."
                       : "%s: a mask takes a name in .png, .tif, .pfm or .exr; outlines .svg or .json.",
                output->path);
    return FALSE;
  }
  return dt_imageio_can_create(output->path, photo->file_width, photo->file_height,
                               cutout ? DT_ROW_RGBA : DT_ROW_GREY, &opts, error);
}

static gboolean _check_overlay(const dt_photo_t *photo, const dt_mask_output_t *output, GError **error)
{
  const dt_imageio_write_opts_t opts = { .bits = 8 };
  return dt_imageio_can_create(output->path, photo->width, photo->height, DT_ROW_RGB, &opts, error);
}

gboolean dt_mask_job_foresee(const dt_mask_job_t *job, const dt_photo_t *photo,
                             const dt_mask_output_t *output, GError **error)
{
  const gboolean pixels = output->kind == DT_MASK_PICTURE || output->kind == DT_MASK_CUTOUT;
  if(pixels && !_check_picture(job, photo, output, error)) return FALSE;
  if(output->kind == DT_MASK_OVERLAY && !_check_overlay(photo, output, error)) return FALSE;
  if(dt_mask_output_is_stream(output)) return TRUE;
  if(dt_imageio_same_file(job->input, output->path))
  {
    g_set_error(error, DT_AI_ERROR, DT_AI_ERROR_OUTPUT,
                "%s: the output would replace the photograph, which is never touched. Choose another name.",
                output->path);
    return FALSE;
  }
  if(!job->overwrite && g_file_test(output->path, G_FILE_TEST_EXISTS)
     && !g_file_test(output->path, G_FILE_TEST_IS_DIR))
  {
    g_set_error(error, DT_AI_ERROR, DT_AI_ERROR_OUTPUT,
                "%s: the file exists; choose another name, or allow overwriting (--overwrite).",
                output->path);
    return FALSE;
  }
  return dt_batch_foresee(output->path, TRUE, FALSE, error);
}

/* --- rows --- */

static gboolean _check_cancelled(const dt_mask_job_t *job, GError **error)
{
  if(!g_cancellable_is_cancelled(job->cancellable)) return TRUE;
  g_set_error_literal(error, DT_AI_ERROR, DT_AI_ERROR_CANCELLED, "Cancelled.");
  return FALSE;
}

/* Makes row @p y of a file. */
typedef gboolean (*_make_row_t)(gpointer data, int y, float *row, GError **error);

/* Pushes @p height rows of @p samples numbers into @p sink, which is used up. */
static gboolean _push(const dt_mask_job_t *job, dt_row_sink_t *sink, int height, size_t samples,
                      _make_row_t make, gpointer data, GError **error)
{
  float *row = g_new(float, samples);
  gboolean ok = TRUE;
  for(int y = 0; y < height && ok; y++)
    ok = _check_cancelled(job, error) && make(data, y, row, error) && sink->write(sink, y, 1, row, error);
  g_free(row);
  if(ok) return sink->finish(sink, error);
  sink->abandon(sink);
  return FALSE;
}

/* What rows are made of. */
typedef struct _rows_t
{
  const dt_photo_t *photo;
  const float *mask;
  dt_row_source_t *colours; /* of the file, or NULL: the photo's own */
  float *line, *alpha;      /* a row of the file's colours and of the mask */
  float least;              /* less alpha is none, as the output counts */
  gboolean associated;
} _rows_t;

static gboolean _make_mask_row(gpointer data, int y, float *row, GError **error)
{
  (void)error;
  const _rows_t *r = data;
  dt_photo_turn_back_row(r->photo, r->mask, y, row);
  return TRUE;
}

static gboolean _write_mask(const dt_mask_job_t *job, const dt_photo_t *photo, const float *mask,
                            const char *path, char **note, GError **error)
{
  const dt_metadata_t metadata = { .orientation = photo->orientation };
  _rows_t rows = { .photo = photo, .mask = mask };
  dt_imageio_write_opts_t opts = _get_options(job, path);
  opts.untouched = TRUE; /* numbers, not light */
  opts.metadata = &metadata;
  opts.note = note;
  dt_row_sink_t *sink =
      dt_imageio_create(path, photo->file_width, photo->file_height, DT_ROW_GREY, &opts, error);
  return sink
         && _push(job, sink, photo->file_height, (size_t)photo->file_width, _make_mask_row, &rows, error);
}

/* --- cut-outs --- */

/* A network is never wholly sure; a veil of the background, or holes nobody sees, would be left in a cut-out. */
static void _make_sure(float *alpha, int n)
{
  for(int i = 0; i < n; i++) alpha[i] = CLAMP((alpha[i] - DOUBT) / (1.0f - 2.0f * DOUBT), 0.0f, 1.0f);
}

/* Half of the smallest number of 8 or 16 bits is rounded up. */
static float _least_alpha(int bits)
{
  return bits == 8 ? 0.5f / 255.0f : 0.5f / 65535.0f;
}

/* What is wholly transparent has no colour either: nobody finds there what was cut away. */
static gboolean _make_cutout_row(gpointer data, int y, float *row, GError **error)
{
  const _rows_t *r = data;
  const int n = r->colours->channels, colours = DT_ROW_COLOURS(n);
  if(!r->colours->read(r->colours, y, 1, r->line, error)) return FALSE;
  dt_photo_turn_back_row(r->photo, r->mask, y, r->alpha);
  _make_sure(r->alpha, r->photo->file_width);
  const float *in = r->line;
  for(int x = 0; x < r->photo->file_width; x++, in += n, row += colours + 1)
  {
    const float part = r->alpha[x], alpha = DT_ROW_HAS_ALPHA(n) ? part * in[n - 1] : part;
    const float factor = alpha < r->least ? 0.0f : r->associated ? part : 1.0f;
    for(int c = 0; c < colours; c++) row[c] = in[c] * factor;
    row[colours] = alpha;
  }
  return TRUE;
}

static gboolean _push_cutout(const dt_mask_job_t *job, dt_row_sink_t *sink, _rows_t *rows, GError **error)
{
  const size_t width = (size_t)rows->colours->width, channels = (size_t)rows->colours->channels;
  rows->line = g_new(float, width *channels);
  rows->alpha = g_new(float, width);
  const gboolean ok = _push(job, sink, rows->photo->file_height,
                            width * ((size_t)DT_ROW_COLOURS(channels) + 1), _make_cutout_row, rows, error);
  g_free(rows->line);
  g_free(rows->alpha);
  return ok;
}

/* The photograph's own depth, unless another was asked for or the format has but one. */
static void _keep_depth(const dt_imageio_reader_t *reader, dt_imageio_write_opts_t *opts)
{
  if(opts->bits || opts->format == DT_IMAGEIO_EXR) return;
  opts->bits = reader->bits > 8 ? 16 : 8;
  if(reader->is_float && opts->format == DT_IMAGEIO_TIFF) opts->bits = 32;
}

static gboolean _cut_picture(const dt_mask_job_t *job, _rows_t *rows, const char *path,
                             dt_imageio_write_opts_t *opts, GError **error)
{
  dt_imageio_reader_t *reader = dt_imageio_open(job->input, job->assume_profile, error);
  if(!reader) return FALSE;
  const dt_photo_t *p = rows->photo;
  dt_row_sink_t *sink = NULL;
  _keep_depth(reader, opts);
  /* linear light in whole numbers would have hardly any for the shadows */
  const gboolean linear = reader->format == DT_IMAGEIO_PFM || reader->format == DT_IMAGEIO_EXR;
  if(linear && opts->format != DT_IMAGEIO_EXR && opts->bits != 32) opts->profile = "srgb";
  opts->metadata = &reader->metadata;
  opts->alpha_associated = rows->associated = reader->alpha_associated;
  opts->alpha_linear = reader->alpha_linear;
  rows->colours = &reader->source;
  rows->least = _least_alpha(opts->bits);
  if(reader->source.width != p->file_width || reader->source.height != p->file_height)
    g_set_error(error, DT_AI_ERROR, DT_AI_ERROR_INPUT, "%s: the file has changed meanwhile. Try again.",
                job->input);
  else
    sink = dt_imageio_create(path, p->file_width, p->file_height, DT_ROW_COLOURS(reader->source.channels) + 1,
                             opts, error);
  const gboolean ok = sink && _push_cutout(job, sink, rows, error);
  dt_row_source_destroy(&reader->source);
  return ok;
}

/* A raw's picture is what was developed of it, turned back. */
static gboolean _make_raw_row(gpointer data, int y, float *row, GError **error)
{
  (void)error;
  const _rows_t *r = data;
  const size_t width = (size_t)r->photo->file_width;
  dt_photo_turn_back_row(r->photo, r->mask, y, r->alpha);
  _make_sure(r->alpha, r->photo->file_width);
  dt_photo_turn_back_rgb_row(r->photo, y, r->line);
  dt_srgb_decode(r->line, r->line, 3 * width);
  for(size_t x = 0; x < width; x++, row += 4)
  {
    for(size_t c = 0; c < 3; c++) row[c] = r->alpha[x] < r->least ? 0.0f : r->line[3 * x + c];
    row[3] = r->alpha[x];
  }
  return TRUE;
}

static gboolean _cut_raw(const dt_mask_job_t *job, _rows_t *rows, const char *path,
                         const dt_imageio_write_opts_t *wanted, GError **error)
{
  const dt_photo_t *p = rows->photo;
  const dt_metadata_t metadata = { .orientation = p->orientation };
  dt_imageio_write_opts_t opts = *wanted;
  opts.metadata = &metadata;
  if(!opts.bits && opts.format != DT_IMAGEIO_EXR) opts.bits = 8;
  rows->least = _least_alpha(opts.bits);
  dt_row_sink_t *sink = dt_imageio_create(path, p->file_width, p->file_height, DT_ROW_RGBA, &opts, error);
  if(!sink) return FALSE;
  rows->line = g_new(float, 3 * (gsize)p->file_width);
  rows->alpha = g_new(float, (gsize)p->file_width);
  const gboolean ok = _push(job, sink, p->file_height, 4 * (size_t)p->file_width, _make_raw_row, rows, error);
  g_free(rows->line);
  g_free(rows->alpha);
  return ok;
}

static gboolean _write_cutout(const dt_mask_job_t *job, const dt_photo_t *photo, const float *mask,
                              const char *path, char **note, GError **error)
{
  _rows_t rows = { .photo = photo, .mask = mask };
  dt_imageio_write_opts_t opts = _get_options(job, path);
  opts.note = note;
  return photo->is_raw ? _cut_raw(job, &rows, path, &opts, error)
                       : _cut_picture(job, &rows, path, &opts, error);
}

/* --- outlines --- */

static gboolean _write_text(const dt_mask_job_t *job, const char *path, const char *text, GError **error)
{
  dt_part_t *part = dt_part_create(path, job->overwrite, error);
  if(!part) return FALSE;
  if(dt_part_append(part, text, strlen(text))) return dt_part_commit(part, error);
  dt_part_set_error(part, "it could not be written", error);
  dt_part_abandon(part);
  return FALSE;
}

static gboolean _write_outline(const dt_mask_job_t *job, const dt_photo_t *photo, const float *mask,
                               const dt_mask_output_t *output, double *iou, GError **error)
{
  dt_outline_t *outline = dt_outline_trace(mask, photo->width, photo->height, NULL, error);
  if(!outline) return FALSE;
  if(iou) *iou = dt_outline_iou(outline, mask, 0.5);
  char *text = output->kind == DT_MASK_SVG ? dt_outline_to_svg(outline) : dt_outline_to_json(outline);
  const gboolean ok = _check_cancelled(job, error) && _write_text(job, output->path, text, error);
  g_free(text);
  dt_outline_free(outline);
  return ok;
}

gboolean dt_mask_job_write(const dt_mask_job_t *job, const dt_photo_t *photo, const float *mask,
                           const dt_mask_output_t *output, double *iou, char **note, GError **error)
{
  if(note) *note = NULL;
  switch(output->kind)
  {
  case DT_MASK_PICTURE: return _write_mask(job, photo, mask, output->path, note, error);
  case DT_MASK_CUTOUT: return _write_cutout(job, photo, mask, output->path, note, error);
  default: return _write_outline(job, photo, mask, output, iou, error);
  }
}

/* --- overlays --- */

typedef struct _drawn_t
{
  const uint8_t *rgb;
  int width;
} _drawn_t;

static gboolean _make_drawn_row(gpointer data, int y, float *row, GError **error)
{
  (void)error;
  const _drawn_t *d = data;
  const size_t samples = 3 * (size_t)d->width;
  for(size_t i = 0; i < samples; i++) row[i] = (float)d->rgb[(size_t)y * samples + i] / 255.0f;
  return TRUE;
}

gboolean dt_mask_job_write_overlay(const dt_mask_job_t *job, dt_overlay_t *overlay, const char *path,
                                   GError **error)
{
  const dt_imageio_write_opts_t opts = { .bits = 8, .untouched = TRUE, .overwrite = job->overwrite };
  int height;
  _drawn_t drawn;
  drawn.rgb = dt_overlay_draw(overlay, &drawn.width, &height);
  dt_row_sink_t *sink = dt_imageio_create(path, drawn.width, height, DT_ROW_RGB, &opts, error);
  return sink && _push(job, sink, height, 3 * (size_t)drawn.width, _make_drawn_row, &drawn, error);
}
