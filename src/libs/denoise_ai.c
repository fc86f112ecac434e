/* SPDX-License-Identifier: GPL-3.0-or-later */
/* One picture file in, one denoised picture file out. */
#include "libs/denoise_ai.h"

#include <string.h>

#define SUFFIX "_denoise"

static char *_default_name(const char *input)
{
  char *base = g_path_get_basename(input);
  char *dot = strrchr(base, '.');
  if(dot && dot != base) *dot = '\0';
  char *name = g_str_has_suffix(base, SUFFIX) ? g_strconcat(base, ".tif", NULL)
                                              : g_strconcat(base, SUFFIX ".tif", NULL);
  g_free(base);
  return name;
}

char *dt_denoise_output_path(const dt_denoise_job_t *job, const char *input)
{
  if(job->output && !g_file_test(job->output, G_FILE_TEST_IS_DIR)
     && !g_str_has_suffix(job->output, G_DIR_SEPARATOR_S))
    return g_strdup(job->output);
  char *dir = job->output ? g_strdup(job->output) : g_path_get_dirname(input);
  char *name = _default_name(input);
  char *path = g_build_filename(dir, name, NULL);
  g_free(name);
  g_free(dir);
  return path;
}

static dt_imageio_write_opts_t _write_opts(const dt_denoise_job_t *job, const char *output,
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
static size_t _writer_memory(const dt_imageio_reader_t *reader)
{
  return (size_t)32 << 20 | (size_t)reader->source.width * 64;
}

/* Neither the input nor another original may be replaced, whatever links lead to it. */
static gboolean _spares_originals(const dt_denoise_job_t *job, const char *input, const char *output,
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

gboolean dt_denoise_plan_file(dt_restore_context_t *ctx, const dt_denoise_job_t *job, const char *input,
                              const char *output, dt_restore_plan_t *plan, dt_imageio_reader_t **reader,
                              GError **error)
{
  if(!_spares_originals(job, input, output, error)) return FALSE;
  dt_imageio_reader_t *in = dt_imageio_open(input, job->assume_profile, error);
  if(!in) return FALSE;
  const gboolean ok = dt_restore_plan(ctx, in->source.width, in->source.height, in->source.channels,
                                      in->source.memory + _writer_memory(in), plan, error);
  if(ok && reader)
    *reader = in;
  else
    dt_row_source_destroy(&in->source);
  return ok;
}

gboolean dt_denoise_file(dt_restore_context_t *ctx, const dt_denoise_job_t *job, const char *input,
                         const char *output, dt_restore_report_t *report, char **note, GError **error)
{
  if(!_spares_originals(job, input, output, error)) return FALSE;
  dt_imageio_reader_t *in = dt_imageio_open(input, job->assume_profile, error);
  if(!in) return FALSE;
  dt_imageio_write_opts_t opts = _write_opts(job, output, in);
  opts.note = note;
  dt_row_sink_t *out =
      dt_imageio_create(output, in->source.width, in->source.height, in->source.channels, &opts, error);
  const gboolean ok = out && dt_restore_process(ctx, &in->source, out, &job->restore, report, error);
  dt_row_source_destroy(&in->source);
  return ok;
}
