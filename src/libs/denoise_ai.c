/* SPDX-License-Identifier: GPL-3.0-or-later */
/* One picture file in, one restored picture file out: of its own size, or enlarged by the model and resampled to what
 * was asked for. */
#include "libs/denoise_ai.h"
#include "common/resample.h"
#include "libs/mask_source.h"

#include <math.h>
#include <string.h>

/* sides beyond this are a slip of the pen */
#define MAX_SIDE 1000000

static const char *_task(const dt_restore_job_t *job)
{
  return job->task ? job->task : "denoise";
}

static char *_default_name(const dt_restore_job_t *job, const char *input)
{
  char *base = g_path_get_basename(input), *suffix = g_strconcat("_", _task(job), NULL);
  char *dot = strrchr(base, '.');
  if(dot && dot != base) *dot = '\0';
  char *name = g_strconcat(base, g_str_has_suffix(base, suffix) ? "" : suffix, ".tif", NULL);
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

gboolean dt_restore_job_factor(const dt_restore_job_t *job, const char *input, int *factor, GError **error)
{
  int width = 1000, height = 1000; /* any will do for a factor */
  if(job->target.long_edge > 0 || job->target.width > 0)
  {
    dt_imageio_reader_t *in = input ? dt_imageio_open(input, job->assume_profile, error) : NULL;
    if(!in) return FALSE;
    width = in->source.width;
    height = in->source.height;
    dt_row_source_destroy(&in->source);
  }
  int to_width, to_height;
  return dt_restore_job_size(job, width, height, &to_width, &to_height, factor, error);
}

char *dt_restore_job_output(const dt_restore_job_t *job, const char *input)
{
  if(job->output && !g_file_test(job->output, G_FILE_TEST_IS_DIR)
     && !g_str_has_suffix(job->output, G_DIR_SEPARATOR_S))
    return g_strdup(job->output);
  char *dir = job->output ? g_strdup(job->output) : g_path_get_dirname(input);
  char *name = _default_name(job, input);
  char *path = g_build_filename(dir, name, NULL);
  g_free(name);
  g_free(dir);
  return path;
}

static dt_imageio_write_opts_t _write_opts(const dt_restore_job_t *job, const char *output,
                                           const dt_imageio_reader_t *reader)
{
  const dt_imageio_format_t format = dt_imageio_format_for_name(output);
  int bits = job->bits;
  if(bits == 0 && format == DT_IMAGEIO_TIFF) bits = reader->is_float ? 32 : 16;
  if(bits == 0 && format == DT_IMAGEIO_PNG) bits = reader->bits > 8 ? 16 : 8;
  return (dt_imageio_write_opts_t){
    .format = format,
    .bits = bits,
    .compression = job->compression,
    .quality = job->quality,
    .profile = job->profile,
    .metadata = &reader->metadata,
    .alpha_associated = reader->alpha_associated,
    .overwrite = job->overwrite,
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

gboolean dt_restore_job_plan(dt_restore_context_t *ctx, const dt_restore_job_t *job, const char *input,
                             const char *output, dt_restore_plan_t *plan, dt_imageio_reader_t **reader,
                             GError **error)
{
  if(!_spares_originals(job, input, output, error)) return FALSE;
  dt_imageio_reader_t *in = dt_imageio_open(input, job->assume_profile, error);
  if(!in) return FALSE;
  int width, height, factor;
  const gboolean ok =
      dt_restore_job_size(job, in->source.width, in->source.height, &width, &height, &factor, error)
      && dt_restore_plan(ctx, in->source.width, in->source.height, in->source.channels, &job->restore,
                         in->source.memory + _writer_memory(width), plan, error);
  if(ok && reader)
    *reader = in;
  else
    dt_row_source_destroy(&in->source);
  return ok;
}

/* The output file, with a resampler before it where the model's factor is not what was asked for. */
static dt_row_sink_t *_create(const dt_restore_job_t *job, const dt_restore_context_t *ctx,
                              const dt_imageio_reader_t *in, const char *output,
                              const dt_imageio_write_opts_t *opts, GError **error)
{
  const int scale = dt_restore_get_scale(ctx), made_w = in->source.width * scale,
            made_h = in->source.height * scale;
  int width, height, factor;
  if(!dt_restore_job_size(job, in->source.width, in->source.height, &width, &height, &factor, error))
    return NULL;
  dt_row_sink_t *out = dt_imageio_create(output, width, height, in->source.channels, opts, error);
  if(!out || (width == made_w && height == made_h)) return out;
  return dt_resample_sink(out, made_w, made_h, in->source.channels, width, height, error);
}

/* Opens the mask beside the picture; @p out is abandoned when that fails. */
static gboolean _process(dt_restore_context_t *ctx, const dt_restore_job_t *job, dt_row_source_t *in,
                         dt_row_sink_t *out, dt_restore_report_t *report, GError **error)
{
  dt_restore_opts_t opts = job->restore;
  if(job->mask && !(opts.mask = dt_mask_source_open(job->mask, error)))
  {
    out->abandon(out);
    return FALSE;
  }
  const gboolean ok = dt_restore_process(ctx, in, out, &opts, report, error);
  dt_row_source_destroy(opts.mask);
  return ok;
}

gboolean dt_restore_job_run(dt_restore_context_t *ctx, const dt_restore_job_t *job, const char *input,
                            const char *output, dt_restore_report_t *report, char **note, GError **error)
{
  if(!_spares_originals(job, input, output, error)) return FALSE;
  dt_imageio_reader_t *in = dt_imageio_open(input, job->assume_profile, error);
  if(!in) return FALSE;
  dt_imageio_write_opts_t opts = _write_opts(job, output, in);
  opts.note = note;
  dt_row_sink_t *out = _create(job, ctx, in, output, &opts, error);
  const gboolean ok = out && _process(ctx, job, &in->source, out, report, error);
  dt_row_source_destroy(&in->source);
  return ok;
}
