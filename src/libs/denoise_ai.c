/* SPDX-License-Identifier: GPL-3.0-or-later */
/* One picture file in, one restored picture file out: of its own size, or enlarged by the model and resampled to what
 * was asked for. What is different with raws is in rawdenoise_ai.c. */
#include "libs/denoise_ai.h"
#include "ai/restore_raw.h"
#include "common/resample.h"
#include "develop/developed.h"
#include "libs/gpu_share.h"
#include "libs/mask_source.h"
#include "libs/rawdenoise_ai.h"

#include <math.h>
#include <string.h>

/* sides beyond this are a slip of the pen */
#define MAX_SIDE 1000000

static const char *_task(const dt_restore_job_t *job)
{
  return job->task ? job->task : "denoise";
}

static gboolean _is_raw_job(const dt_restore_job_t *job)
{
  return strcmp(_task(job), "rawdenoise") == 0;
}

static gboolean _is_stream(const char *path)
{
  return g_strcmp0(path, DT_IMAGEIO_STREAM) == 0;
}

const char *dt_restore_job_extension(const dt_restore_job_t *job)
{
  if(job->format) return dt_imageio_extension(job->format) + 1;
  return _is_raw_job(job) ? "dng" : "tif";
}

static char *_default_name(const dt_restore_job_t *job, const char *input)
{
  char *base = _is_stream(input) ? g_strdup("stdin") : g_path_get_basename(input);
  char *suffix = g_strconcat("_", _task(job), NULL);
  char *dot = strrchr(base, '.');
  if(dot && dot != base) *dot = '\0';
  char *name = g_strconcat(base, g_str_has_suffix(base, suffix) ? "" : suffix, ".",
                           dt_restore_job_extension(job), NULL);
  g_free(suffix);
  g_free(base);
  return name;
}

/* --- sizes --- */

/* How many times as large the result is, as a real number. */
static double _wanted_scale(const dt_restore_target_t *t, int width, int height)
{
  if(t->scale > 0) return t->scale;
  if(t->long_edge > 0) return (double)t->long_edge / MAX(width, height);
  if(t->width > 0) return MIN((double)t->width / width, (double)t->height / height);
  return 2;
}

gboolean dt_restore_job_size(const dt_restore_job_t *job, int width, int height, int *to_width,
                             int *to_height, int *factor, GError **error)
{
  const double scale = strcmp(_task(job), "upscale") == 0 ? _wanted_scale(&job->target, width, height) : 1;
  const double w = floor(width * scale + 0.5), h = floor(height * scale + 0.5);
  *to_width = (int)CLAMP(w, 1, MAX_SIDE);
  *to_height = (int)CLAMP(h, 1, MAX_SIDE);
  *factor = strcmp(_task(job), "upscale") != 0 ? 1 : scale > 2 ? 4 : 2;
  if(*factor == 1) return TRUE;
  if(scale <= 1)
    g_set_error(
        error, DT_AI_ERROR, DT_AI_ERROR_INPUT,
        "The picture has %d×%d pixels already, which is no less than was asked for. Choose a larger size.",
        width, height);
  else if(w > MAX_SIDE || h > MAX_SIDE)
    g_set_error(error, DT_AI_ERROR, DT_AI_ERROR_INPUT,
                "The result would have %.0f×%.0f pixels. Choose a smaller size.", w, h);
  return scale > 1 && w <= MAX_SIDE && h <= MAX_SIDE;
}

/* A raw is developed on the way: its preview would open as a picture, and nobody means that. */
static dt_imageio_reader_t *_open_reader(const dt_restore_job_t *job, const char *path, GError **error)
{
  return dt_raw_is_raw(path) ? dt_developed_open(path, job->opencl, error)
                             : dt_imageio_open(path, job->assume_profile, error);
}

/* dt_restore_job_size() of the picture @p in, with its name before what is wrong. */
static gboolean _measure(const dt_restore_job_t *job, const dt_row_source_t *in, const char *input,
                         int *width, int *height, int *factor, GError **error)
{
  if(dt_restore_job_size(job, in->width, in->height, width, height, factor, error)) return TRUE;
  g_prefix_error(error, "%s: ", input);
  return FALSE;
}

gboolean dt_restore_job_factor(const dt_restore_job_t *job, const char *input, int *factor, GError **error)
{
  int to_width, to_height;
  if(job->target.long_edge <= 0 && job->target.width <= 0)
    return dt_restore_job_size(job, 1000, 1000, &to_width, &to_height, factor, error); /* any will do */
  dt_imageio_reader_t *in = input ? _open_reader(job, input, error) : NULL;
  if(!in) return FALSE;
  const gboolean ok = _measure(job, &in->source, input, &to_width, &to_height, factor, error);
  dt_row_source_destroy(&in->source);
  return ok;
}

char *dt_restore_job_output(const dt_restore_job_t *job, const char *input)
{
  if(_is_stream(job->output)
     || (job->output && !g_file_test(job->output, G_FILE_TEST_IS_DIR)
         && !g_str_has_suffix(job->output, G_DIR_SEPARATOR_S)))
    return g_strdup(job->output);
  char *dir = job->output ? g_strdup(job->output) : g_path_get_dirname(input);
  char *name = _default_name(job, input);
  char *path = g_build_filename(dir, name, NULL);
  g_free(name);
  g_free(dir);
  return path;
}

/* A stream has no name to tell: PNG is what most programs read, and TIFF what holds everything. */
static dt_imageio_format_t _choose_format(const dt_restore_job_t *job, const char *output,
                                          const dt_imageio_reader_t *reader)
{
  if(job->format) return job->format;
  if(!_is_stream(output)) return dt_imageio_format_for_name(output);
  return job->bits == 32 || (job->bits == 0 && reader->is_float) ? DT_IMAGEIO_TIFF : DT_IMAGEIO_PNG;
}

static int _choose_bits(const dt_restore_job_t *job, dt_imageio_format_t format,
                        const dt_imageio_reader_t *reader)
{
  if(job->bits) return job->bits;
  switch(format)
  {
  case DT_IMAGEIO_TIFF: return reader->is_float ? 32 : 16;
  case DT_IMAGEIO_PNG: return reader->bits > 8 ? 16 : 8;
  case DT_IMAGEIO_EXR: return reader->is_float && reader->bits > 16 ? 32 : 16;
  case DT_IMAGEIO_PFM: return 32;
  default: return 8;
  }
}

/* Linear light in whole numbers would have hardly any for the shadows: what comes from a format that is always linear
 * becomes sRGB there. */
static const char *_choose_profile(const dt_restore_job_t *job, dt_imageio_format_t format, int bits,
                                   const dt_imageio_reader_t *reader)
{
  const gboolean linear = reader->format == DT_IMAGEIO_PFM || reader->format == DT_IMAGEIO_EXR;
  const gboolean whole = format != DT_IMAGEIO_EXR && bits != 32;
  return !job->profile && !job->assume_profile && linear && whole ? "srgb" : job->profile;
}

static dt_imageio_write_opts_t _write_opts(const dt_restore_job_t *job, const char *output,
                                           const dt_imageio_reader_t *reader)
{
  const dt_imageio_format_t format = _choose_format(job, output, reader);
  const int bits = _choose_bits(job, format, reader);
  return (dt_imageio_write_opts_t){
    .format = format,
    .bits = bits,
    .compression = job->compression,
    .quality = job->quality,
    .profile = _choose_profile(job, format, bits, reader),
    .metadata = &reader->metadata,
    .alpha_associated = reader->alpha_associated,
    .alpha_linear = reader->alpha_linear,
    .dither = !job->no_dither,
    .intent = job->intent,
    .overwrite = job->overwrite,
    .stream = job->stream,
  };
}

/* What a writer may hold: imageio says so itself once it is open; a plan needs it before. */
static size_t _writer_memory(int width)
{
  return (size_t)32 << 20 | (size_t)width * 64;
}

/* Neither the input nor another original may be replaced, whatever links lead to it. */
static gboolean _spares_originals(const dt_restore_job_t *job, const char *input, const char *output,
                                  GError **error)
{
  if(_is_stream(output)) return TRUE;
  gboolean spared = !dt_imageio_same_file(output, input);
  for(int i = 0; i < job->n_originals && spared; i++)
    spared = !dt_imageio_same_file(output, job->originals[i]);
  if(!spared)
    g_set_error(error, DT_AI_ERROR, DT_AI_ERROR_OUTPUT,
                "%s: the output would replace an input, and these are never touched. Choose another "
                "name with -o.",
                output);
  return spared;
}

/* --- what has been done, and is --- */

/* The last step of this task (transfer full: the array), or NULL. */
static const dt_provenance_t *_find_step(const dt_restore_job_t *job, GBytes *xmp, GPtrArray **steps)
{
  const dt_provenance_t *found = NULL;
  *steps = dt_provenance_read(xmp);
  for(guint i = 0; i < (*steps)->len; i++)
  {
    const dt_provenance_t *step = (*steps)->pdata[i];
    if(g_strcmp0(step->task, _task(job)) == 0) found = step;
  }
  return found;
}

/* What is embedded in a picture or a DNG (transfer full), or NULL. @param mute  receives whether there is no room for it */
static GBytes *_read_xmp(const char *path, gboolean *mute)
{
  *mute = FALSE;
  if(dt_raw_is_raw(path)) return dt_raw_read_xmp(path);
  dt_imageio_reader_t *reader = dt_imageio_open(path, NULL, NULL);
  if(!reader) return NULL;
  GBytes *xmp = reader->metadata.xmp ? g_bytes_ref(reader->metadata.xmp) : NULL;
  *mute = reader->format == DT_IMAGEIO_PFM;
  dt_row_source_destroy(&reader->source);
  return xmp;
}

gboolean dt_restore_job_is_result(const dt_restore_job_t *job, const char *path)
{
  gboolean mute;
  GPtrArray *steps;
  GBytes *xmp = _read_xmp(path, &mute);
  const gboolean result = _find_step(job, xmp, &steps) != NULL;
  g_ptr_array_unref(steps);
  if(xmp) g_bytes_unref(xmp);
  return result;
}

/* Twice denoised is smeared, and twice enlarged is mostly a slip of the shell's wildcard. */
static gboolean _allows_repeat(const dt_restore_job_t *job, GBytes *xmp, const char *input, GError **error)
{
  GPtrArray *steps;
  const dt_provenance_t *step = job->force ? NULL : _find_step(job, xmp, &steps);
  if(job->force) return TRUE;
  const char *model = step && step->model ? step->model : "an unknown model";
  if(step && strcmp(_task(job), "upscale") == 0)
    g_set_error(error, DT_AI_ERROR, DT_AI_ERROR_USAGE,
                "%s has been enlarged already (%s, %g times). Use --force to enlarge it again.", input, model,
                step->scale);
  else if(step)
    g_set_error(error, DT_AI_ERROR, DT_AI_ERROR_USAGE,
                "%s has been denoised already (%s, strength %g). Use --force to denoise it again.", input,
                model, step->strength);
  g_ptr_array_unref(steps);
  return !step;
}

/* SHA-256 of the file, interned: a batch has one; "unreadable" fails a moment later with words. NULL: no mask. */
static const char *_hash_mask(const char *path)
{
  GMappedFile *file = path ? g_mapped_file_new(path, FALSE, NULL) : NULL;
  if(!file) return path ? "unreadable" : NULL;
  char *hash = g_compute_checksum_for_data(
      G_CHECKSUM_SHA256, (const guchar *)g_mapped_file_get_contents(file), g_mapped_file_get_length(file));
  const char *interned = g_intern_string(hash);
  g_free(hash);
  g_mapped_file_unref(file);
  return interned;
}

/* The stamp for the output of a picture of @p width × @p height. */
static dt_provenance_t _make_stamp(const dt_restore_job_t *job, const dt_restore_context_t *ctx, int width,
                                   int height)
{
  const gboolean upscale = strcmp(_task(job), "upscale") == 0;
  return (dt_provenance_t){
    .task = _task(job),
    .model = dt_restore_get_model_id(ctx),
    .model_hash = dt_restore_get_model_hash(ctx),
    .strength = 100.0 * (1.0 - (double)job->restore.original),
    .mask = _hash_mask(job->mask),
    .sigma = !dt_restore_has_sigma(ctx) ? 0.0
             : job->restore.sigma > 0   ? (double)job->restore.sigma
                                        : 25.0,
    .scale = upscale ? _wanted_scale(&job->target, width, height) : 1.0,
    .version = job->version,
  };
}

/* Numbers were written with few digits. */
static gboolean _is_near(double a, double b)
{
  return fabs(a - b) <= 0.005 * MAX(1.0, fabs(a));
}

static gboolean _is_same_step(const dt_provenance_t *a, const dt_provenance_t *b)
{
  return g_strcmp0(a->task, b->task) == 0 && g_strcmp0(a->model, b->model) == 0
         && (!a->model_hash || !b->model_hash || strcmp(a->model_hash, b->model_hash) == 0)
         && g_strcmp0(a->mask, b->mask) == 0 && _is_near(a->strength, b->strength)
         && _is_near(a->sigma, b->sigma) && _is_near(a->scale, b->scale);
}

gboolean dt_restore_job_is_same(const dt_restore_context_t *ctx, const dt_restore_job_t *job,
                                const char *input, const char *output)
{
  const gboolean sized = job->target.long_edge > 0 || job->target.width > 0;
  dt_imageio_reader_t *in = sized ? dt_imageio_open(input, job->assume_profile, NULL) : NULL;
  gboolean mute; /* what has room for a stamp and bears none was made by something else, or is damaged */
  GBytes *xmp = _read_xmp(output, &mute);
  GPtrArray *steps = dt_provenance_read(xmp);
  const dt_provenance_t stamp =
      _make_stamp(job, ctx, in ? in->source.width : 1000, in ? in->source.height : 1000);
  const gboolean same =
      mute || (steps->len && ((sized && !in) || _is_same_step(&stamp, steps->pdata[steps->len - 1])));
  g_ptr_array_unref(steps);
  if(in) dt_row_source_destroy(&in->source);
  if(xmp) g_bytes_unref(xmp);
  return same;
}

/* The size of the sensor's visible area, which a mask may have, or what the camera shows of it, which a mask painted on
 * a developed picture has. */
static gboolean _fit_raw_mask(const dt_raw_t *raw, dt_row_source_t **mask)
{
  const dt_mask_place_t shown = { raw->crop_x, raw->crop_y, raw->crop_width, raw->crop_height };
  if((*mask)->width != shown.width || (*mask)->height != shown.height) return FALSE;
  *mask = dt_mask_source_place(*mask, &shown, raw->mosaic.width, raw->mosaic.height);
  return TRUE;
}

/* Opens the mask where there is one; it must be as large as the picture. */
static gboolean _open_mask(const dt_restore_job_t *job, const dt_restore_picture_t *picture,
                           dt_row_source_t **mask, GError **error)
{
  const int width = picture->raw ? picture->raw->mosaic.width : picture->reader->source.width;
  const int height = picture->raw ? picture->raw->mosaic.height : picture->reader->source.height;
  *mask = job->mask ? dt_mask_source_open(job->mask, error) : NULL;
  if(!*mask) return !job->mask;
  if(((*mask)->width == width && (*mask)->height == height)
     || (picture->raw && _fit_raw_mask(picture->raw, mask)))
    return TRUE;
  if(picture->raw)
    g_set_error(
        error, DT_AI_ERROR, DT_AI_ERROR_INPUT,
        "%s: the mask %s has %d×%d pixels, and the sensor's picture has %d×%d, of which the camera shows "
        "%d×%d, not rotated. Give a mask of one of these sizes.",
        picture->path, job->mask, (*mask)->width, (*mask)->height, width, height, picture->raw->crop_width,
        picture->raw->crop_height);
  else
    g_set_error(error, DT_AI_ERROR, DT_AI_ERROR_INPUT,
                "%s: the mask %s has %d×%d pixels, and the picture has %d×%d. Give a mask of the same size.",
                picture->path, job->mask, (*mask)->width, (*mask)->height, width, height);
  dt_row_source_destroy(g_steal_pointer(mask));
  return FALSE;
}

/* --- pictures --- */

static gboolean _open_raw(const dt_restore_job_t *job, dt_restore_picture_t *picture, GError **error)
{
  picture->raw = dt_raw_open(picture->path, error);
  return picture->raw && _allows_repeat(job, picture->raw->xmp, picture->path, error);
}

static gboolean _open_developed(const dt_restore_job_t *job, dt_restore_picture_t *picture, GError **error)
{
  picture->reader = _open_reader(job, picture->path, error);
  return picture->reader && _allows_repeat(job, picture->reader->metadata.xmp, picture->path, error);
}

dt_restore_picture_t *dt_restore_job_open(const dt_restore_job_t *job, const char *input, GError **error)
{
  dt_restore_picture_t *picture = g_new0(dt_restore_picture_t, 1);
  picture->path = g_strdup(input);
  if(!(_is_raw_job(job) ? _open_raw : _open_developed)(job, picture, error))
    g_clear_pointer(&picture, dt_restore_picture_close);
  return picture;
}

void dt_restore_picture_close(dt_restore_picture_t *picture)
{
  if(!picture) return;
  if(picture->reader) dt_row_source_destroy(&picture->reader->source);
  dt_raw_free(picture->raw);
  g_free(picture->path);
  g_free(picture);
}

gboolean dt_restore_job_choose_network(const dt_restore_job_t *job, const dt_restore_picture_t *picture,
                                       dt_restore_load_opts_t *load, GError **error)
{
  int width, height;
  if(picture->raw) load->linear = dt_restore_raw_wants_linear(&picture->raw->mosaic);
  return picture->raw
         || _measure(job, &picture->reader->source, picture->path, &width, &height, &load->scale, error);
}

/* --- plans --- */

static gboolean _foresee_result(const dt_restore_job_t *job, const dt_imageio_reader_t *reader,
                                const char *output, dt_restore_result_t *result, GError **error)
{
  int factor;
  const dt_row_source_t *in = &reader->source;
  const dt_imageio_write_opts_t opts = _write_opts(job, output, reader);
  if(!dt_restore_job_size(job, in->width, in->height, &result->width, &result->height, &factor, error)
     || !dt_imageio_can_create(output, result->width, result->height, in->channels, &opts, error))
    return FALSE;
  const guint64 samples = (guint64)result->width * (guint64)result->height * (guint64)in->channels;
  result->bytes = samples * (guint64)(opts.bits ? opts.bits : 8) / 8;
  return TRUE;
}

static gboolean _plan_developed(dt_restore_context_t *ctx, const dt_restore_job_t *job,
                                const dt_imageio_reader_t *in, const char *output,
                                const dt_restore_opts_t *opts, dt_restore_plan_t *plan,
                                dt_restore_result_t *result, GError **error)
{
  return _foresee_result(job, in, output, result, error)
         && dt_restore_plan(ctx, in->source.width, in->source.height, in->source.channels, opts,
                            in->source.memory + _writer_memory(result->width), plan, error);
}

gboolean dt_restore_job_plan(dt_restore_context_t *ctx, const dt_restore_job_t *job,
                             const dt_restore_picture_t *picture, const char *output, dt_restore_plan_t *plan,
                             dt_restore_result_t *result, GError **error)
{
  dt_restore_opts_t opts = job->restore;
  if(!_spares_originals(job, picture->path, output, error) || !_open_mask(job, picture, &opts.mask, error))
    return FALSE;
  const gboolean ok = picture->raw
                          ? dt_rawdenoise_plan(ctx, job, picture->raw, output, &opts, plan, result, error)
                          : _plan_developed(ctx, job, picture->reader, output, &opts, plan, result, error);
  if(opts.mask) dt_row_source_destroy(opts.mask);
  return ok;
}

/* --- runs --- */

/* The output file, with a resampler before it where the model's factor is not what was asked for. */
static dt_row_sink_t *_create(const dt_restore_job_t *job, const dt_restore_context_t *ctx,
                              const dt_imageio_reader_t *in, const char *input, const char *output,
                              const dt_imageio_write_opts_t *opts, GError **error)
{
  const int scale = dt_restore_get_scale(ctx), made_w = in->source.width * scale,
            made_h = in->source.height * scale;
  int width, height, factor;
  if(!_measure(job, &in->source, input, &width, &height, &factor, error)) return NULL;
  dt_row_sink_t *out = dt_imageio_create(output, width, height, in->source.channels, opts, error);
  if(!out || (width == made_w && height == made_h)) return out;
  return dt_resample_sink(out, made_w, made_h, in->source.channels, width, height, error);
}

/* Whether the pixels leave as they came, down to the last bit: nothing is asked of the network, and both files mean the
 * same by their values. */
static gboolean _leaves_values(const dt_restore_job_t *job, const dt_restore_context_t *ctx,
                               const dt_imageio_reader_t *in, dt_imageio_format_t to)
{
  const gboolean asked =
      job->restore.original < 1 || job->restore.clip_gamut || dt_restore_get_scale(ctx) != 1;
  const gboolean converted = job->profile || job->assume_profile || in->alpha_associated;
  const dt_imageio_format_t formats[] = { in->format, to };
  for(size_t i = 0; i < G_N_ELEMENTS(formats); i++)
    if(formats[i] != DT_IMAGEIO_TIFF && formats[i] != DT_IMAGEIO_PNG && formats[i] != DT_IMAGEIO_JPEG)
      return FALSE;
  return !asked && !converted;
}

static gboolean _run_developed(dt_restore_context_t *ctx, const dt_restore_job_t *job,
                               dt_restore_picture_t *picture, const char *output,
                               const dt_restore_opts_t *how, dt_restore_report_t *report, char **note,
                               GError **error)
{
  dt_imageio_reader_t *in = picture->reader;
  dt_imageio_write_opts_t opts = _write_opts(job, output, in);
  const dt_provenance_t stamp = _make_stamp(job, ctx, in->source.width, in->source.height);
  opts.note = note;
  opts.untouched = _leaves_values(job, ctx, in, opts.format);
  if(opts.untouched) dt_imageio_set_untouched(in);
  opts.provenance = job->restore.pass_through ? NULL : &stamp; /* measurements change nothing */
  dt_row_sink_t *out = _create(job, ctx, in, picture->path, output, &opts, error);
  return out && dt_restore_process(ctx, &in->source, out, how, report, error);
}

gboolean dt_restore_job_run(dt_restore_context_t *ctx, const dt_restore_job_t *job,
                            dt_restore_picture_t *picture, const char *output, dt_restore_report_t *report,
                            char **note, GError **error)
{
  dt_restore_opts_t how = job->restore;
  if(!_spares_originals(job, picture->path, output, error) || !_open_mask(job, picture, &how.mask, error))
    return FALSE;
  const dt_provenance_t stamp = _make_stamp(job, ctx, 1000, 1000);
  dt_gpu_share_t *share = dt_gpu_share_create(job->opencl, how.cancellable);
  if(share) how.gate = dt_gpu_share_gate(share);
  const gboolean ok =
      picture->raw ? dt_rawdenoise_run(ctx, job, picture->raw, output, &how, &stamp, report, note, error)
                   : _run_developed(ctx, job, picture, output, &how, report, note, error);
  dt_gpu_share_destroy(share);
  if(how.mask) dt_row_source_destroy(how.mask);
  return ok;
}
