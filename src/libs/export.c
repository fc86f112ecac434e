/* SPDX-License-Identifier: GPL-3.0-or-later */
/* One photograph: history, pipe, rows, file. */
#include "libs/export.h"

#include "develop/sidecar.h"
#include "develop/style.h"

#include <stdlib.h>
#include <string.h>

/* rows handed to the writer at once */
#define ROWS 64

void dt_export_report_clear(dt_export_report_t *report)
{
  if(report->remarks) g_ptr_array_unref(report->remarks);
  report->remarks = NULL;
}

void dt_export_plan_clear(dt_export_plan_t *plan)
{
  if(plan->modules) g_ptr_array_unref(plan->modules);
  if(plan->remarks) g_ptr_array_unref(plan->remarks);
  plan->modules = plan->remarks = NULL;
}

/* --- names and formats --- */

static dt_imageio_format_t _format(const dt_export_job_t *job, const char *output)
{
  if(job->format) return job->format;
  return strcmp(output, DT_IMAGEIO_STREAM) == 0 ? DT_IMAGEIO_PNG : dt_imageio_format_for_name(output);
}

char *dt_export_output(const dt_export_job_t *job, const char *input)
{
  const gboolean is_folder =
      job->output
      && (g_file_test(job->output, G_FILE_TEST_IS_DIR) || g_str_has_suffix(job->output, G_DIR_SEPARATOR_S));
  if(job->output && !is_folder) return g_strdup(job->output);
  char *base = g_path_get_basename(strcmp(input, "-") == 0 ? "stdin" : input), *dot = strrchr(base, '.');
  if(dot && dot != base) *dot = 0;
  char *name = g_strconcat(base, dt_imageio_extension(job->format ? job->format : DT_IMAGEIO_JPEG), NULL);
  char *folder = job->output ? g_strdup(job->output) : g_path_get_dirname(input);
  char *path = g_build_filename(folder, name, NULL);
  g_free(folder);
  g_free(name);
  g_free(base);
  return path;
}

/* What 8 bits would lose is kept where the format can. */
static int _bits(const dt_export_job_t *job, dt_imageio_format_t format, const dt_dev_input_t *input)
{
  if(job->bits) return job->bits;
  return format == DT_IMAGEIO_PNG && dt_dev_input_raw(input) ? 16 : 0;
}

/* --- the history --- */

/* The photograph's own, then the style, then what was said on top. */
static dt_history_t *_load_history(const dt_export_job_t *job, const char *input, GPtrArray *remarks,
                                   GError **error)
{
  if(job->history) return dt_history_copy(job->history);
  dt_history_t *history =
      job->no_sidecar ? dt_history_create(NULL) : dt_sidecar_load(input, NULL, remarks, error);
  gboolean fine = history && (!job->style || dt_history_apply_style(history, job->style, remarks, error));
  for(char *const *setting = job->settings; fine && setting && *setting; setting++)
    fine = dt_history_set(history, *setting, NULL, error);
  if(!fine) g_clear_pointer(&history, dt_history_free);
  return history;
}

/* --- the file --- */

/* Alpha goes along where the picture had it. */
static int _channels(const dt_export_job_t *job, const dt_dev_input_t *input)
{
  return dt_dev_input_has_alpha(input) && !job->thumbnail ? DT_ROW_RGBA : DT_ROW_RGB;
}

/* The photograph's, which is upright from now on. */
static dt_metadata_t _metadata(const dt_export_job_t *job, const dt_dev_input_t *input)
{
  dt_metadata_t metadata = { 0 };
  if(!job->thumbnail) dt_dev_input_copy_metadata(input, &metadata);
  metadata.orientation = 1;
  return metadata;
}

/* Without what is borrowed for the writing alone. */
static dt_imageio_write_opts_t _write_opts(const dt_export_job_t *job, const dt_dev_input_t *input,
                                           const char *output)
{
  const dt_imageio_format_t format = _format(job, output);
  return (dt_imageio_write_opts_t){ .format = format,
                                    .bits = _bits(job, format, input),
                                    .compression = job->compression,
                                    .quality = job->quality,
                                    .profile = job->profile,
                                    .dither = !job->no_dither,
                                    .intent = job->intent,
                                    .overwrite = job->overwrite,
                                    .stream = job->stream };
}

static dt_row_sink_t *_create(const dt_export_job_t *job, const dt_dev_input_t *input, const char *output,
                              int width, int height, char **note, GError **error)
{
  dt_metadata_t metadata = _metadata(job, input);
  dt_imageio_write_opts_t opts = _write_opts(job, input, output);
  opts.metadata = &metadata;
  opts.note = note;
  dt_row_sink_t *out = dt_imageio_create(output, width, height, _channels(job, input), &opts, error);
  dt_metadata_clear(&metadata);
  return out;
}

/* Puts the pixels on white. */
static void _flatten(float *rows, gsize pixels)
{
  for(gsize i = 0; i < 4 * pixels; i += 4)
    for(gsize c = 0; c < 3; c++) rows[i + c] = rows[i + 3] * rows[i + c] + (1.0f - rows[i + 3]);
}

/* Drops the fourth channel in place. */
static void _drop_alpha(float *rows, gsize pixels)
{
  for(gsize i = 1; i < pixels; i++)
    for(gsize c = 0; c < 3; c++) rows[3 * i + c] = rows[4 * i + c];
}

static gboolean _copy_rows(const dt_export_job_t *job, dt_row_source_t *in, dt_row_sink_t *out,
                           const dt_dev_input_t *input, GError **error)
{
  float *rows = g_try_malloc_n((gsize)in->width * ROWS * 4, sizeof(float));
  gboolean fine = rows != NULL;
  if(!fine) g_set_error(error, DT_AI_ERROR, DT_AI_ERROR_MEMORY, "There is no memory for %d rows.", ROWS);
  for(int y = 0; y < in->height && fine; y += ROWS)
  {
    const int n = MIN(ROWS, in->height - y);
    fine = in->read(in, y, n, rows, error);
    if(fine && job->thumbnail && dt_dev_input_has_alpha(input)) _flatten(rows, (gsize)n * (gsize)in->width);
    if(fine && _channels(job, input) == DT_ROW_RGB) _drop_alpha(rows, (gsize)n * (gsize)in->width);
    fine = fine && out->write(out, y, n, rows, error);
    if(fine && job->progress)
      job->progress((double)(y + n) / in->height, 1e-6 * in->width * in->height, job->user_data);
  }
  g_free(rows);
  return fine;
}

static gboolean _write(const dt_export_job_t *job, const dt_dev_input_t *input, dt_dev_pixelpipe_t *pipe,
                       const char *output, dt_export_report_t *report, GError **error)
{
  char *note = NULL;
  dt_dev_pixelpipe_size(pipe, &report->width, &report->height);
  dt_row_sink_t *out = _create(job, input, output, report->width, report->height, &note, error);
  if(!out) return FALSE;
  dt_row_source_t *in = dt_dev_pixelpipe_rows(pipe, job->cancellable);
  gboolean fine = _copy_rows(job, in, out, input, error);
  dt_dev_run_report_t run;
  dt_dev_pixelpipe_rows_report(in, &run);
  report->device = run.device;
  report->tiles = run.tiles;
  dt_row_source_destroy(in);
  if(fine)
    fine = out->finish(out, error);
  else
    out->abandon(out);
  if(note) g_ptr_array_add(report->remarks, note);
  return fine;
}

/* --- the job --- */

/* A job's photograph, opened, and the pipe that develops it. */
typedef struct _work_t
{
  dt_dev_input_t *photo;
  dt_history_t *history;
  dt_dev_pixelpipe_t *pipe;
} _work_t;

static void _close(_work_t *work)
{
  dt_dev_pixelpipe_destroy(work->pipe);
  dt_dev_input_unref(work->photo);
  dt_history_free(work->history);
}

static gboolean _spare_input(const char *input, const char *output, GError **error)
{
  if(strcmp(output, DT_IMAGEIO_STREAM) == 0 || !dt_imageio_same_file(input, output)) return TRUE;
  g_set_error(
      error, DT_AI_ERROR, DT_AI_ERROR_OUTPUT,
      "%s: the output would replace the input, and these are never touched. Choose another name with -o.",
      output);
  return FALSE;
}

/* The caller closes @p work in any case. */
static gboolean _open(const dt_export_job_t *job, const char *input, const char *output, _work_t *work,
                      GPtrArray *remarks, GError **error)
{
  const dt_dev_pixelpipe_opts_t opts = { .type = job->thumbnail ? DT_OPENCL_THUMBNAIL : DT_OPENCL_EXPORT,
                                         .cl = job->cl,
                                         .name = input,
                                         .width = job->width,
                                         .height = job->height,
                                         .memory = job->memory };
  *work = (_work_t){ 0 };
  if(!_spare_input(input, output, error)) return FALSE;
  work->history = _load_history(job, input, remarks, error);
  if(!work->history) return FALSE;
  work->photo = dt_dev_input_open(input, job->assume_profile, job->cancellable, error);
  if(!work->photo) return FALSE;
  work->pipe = dt_dev_pixelpipe_create(work->photo, &opts);
  return dt_dev_pixelpipe_set_history(work->pipe, work->history, error);
}

gboolean dt_export_run(const dt_export_job_t *job, const char *input, const char *output,
                       dt_export_report_t *report, GError **error)
{
  _work_t work;
  const gint64 begun = g_get_monotonic_time();
  *report = (dt_export_report_t){ .device = -1, .remarks = g_ptr_array_new_with_free_func(g_free) };
  const gboolean fine = _open(job, input, output, &work, report->remarks, error)
                        && _write(job, work.photo, work.pipe, output, report, error);
  _close(&work);
  report->seconds = (double)(g_get_monotonic_time() - begun) / G_USEC_PER_SEC;
  return fine;
}

/* --- the plan --- */

static void _free_item(gpointer data)
{
  dt_history_item_free(data);
}

static gboolean _fill_plan(const dt_export_job_t *job, const _work_t *work, const char *output,
                           dt_export_plan_t *plan, GError **error)
{
  const int channels = _channels(job, work->photo);
  const dt_imageio_write_opts_t opts = _write_opts(job, work->photo, output);
  dt_dev_pixelpipe_size(work->pipe, &plan->width, &plan->height);
  if(!dt_imageio_can_create(output, plan->width, plan->height, channels, &opts, error)) return FALSE;
  plan->format = opts.format;
  plan->bits = opts.bits ? opts.bits : dt_imageio_standard_bits(opts.format);
  plan->bytes = (guint64)plan->width * (guint64)plan->height * (guint64)(plan->bits / 8 * channels);
  GPtrArray *modules = dt_dev_pixelpipe_modules(work->pipe);
  for(guint i = 0; i < modules->len; i++)
    g_ptr_array_add(plan->modules, dt_history_difference(work->history, modules->pdata[i]));
  g_ptr_array_unref(modules);
  return TRUE;
}

gboolean dt_export_foresee(const dt_export_job_t *job, const char *input, const char *output,
                           dt_export_plan_t *plan, GError **error)
{
  _work_t work;
  *plan = (dt_export_plan_t){ .modules = g_ptr_array_new_with_free_func(_free_item),
                              .remarks = g_ptr_array_new_with_free_func(g_free) };
  const gboolean fine =
      _open(job, input, output, &work, plan->remarks, error) && _fill_plan(job, &work, output, plan, error);
  _close(&work);
  return fine;
}
