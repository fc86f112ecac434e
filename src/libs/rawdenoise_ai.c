/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Raw in, DNG out; or, where the name says so, a TIFF or OpenEXR picture: white balanced, in linear Rec.2020, cut to what
 * the camera shows. */
#include "libs/rawdenoise_ai.h"
#include "ai/restore_raw.h"
#include "common/colour.h"

#include <math.h>
#include <string.h>

/* what the response to D65 is computed with: its XYZ, Y 1 */
static const double _d65[3] = { 0.95047, 1.0, 1.08883 };
/* linear Rec.709 to linear Rec.2020, both D65 (ITU-R BT.2087, table of the matrix M2) */
static const float _rec709_to_rec2020[9] = { 0.6274f, 0.3293f, 0.0433f, 0.0691f, 0.9195f,
                                             0.0114f, 0.0164f, 0.0880f, 0.8956f };
static const float _rec2020_to_rec709[9] = { 1.660491f,  -0.587641f, -0.072850f, -0.124550f, 1.132900f,
                                             -0.008349f, -0.018151f, -0.100579f, 1.118730f };

/* --- colours --- */

static int _colours(const dt_raw_t *raw)
{
  return raw->mosaic.sensor == DT_SENSOR_FOUR ? 4 : 3;
}

/* The camera's response to D65, green 1; without a matrix that of the light as shot. */
static void _daylight(const dt_raw_t *raw, double daylight[4])
{
  double response[4] = { 0 };
  for(int c = 0; c < _colours(raw); c++)
    for(int k = 0; k < 3; k++) response[c] += raw->matrix[c][k] * _d65[k];
  for(int c = 0; c < 4; c++)
  {
    const double relative = response[c] / response[DT_SITE_GREEN];
    daylight[c] = raw->has_matrix && isfinite(relative) && relative > 0 ? relative : raw->neutral[c];
  }
}

static void _describe_camera(const dt_raw_t *raw, dt_restore_camera_t *camera)
{
  float to_rec709[12];
  const int n = _colours(raw);
  dt_raw_colours_to_rec709(raw, to_rec709);
  *camera = (dt_restore_camera_t){ 0 };
  for(int c = 0; c < 4; c++) camera->neutral[c] = raw->neutral[c];
  _daylight(raw, camera->daylight);
  for(int k = 0; k < 3; k++)
    for(int c = 0; c < n; c++)
      for(int i = 0; i < 3; i++)
        camera->to_rec2020[4 * k + c] += _rec709_to_rec2020[3 * k + i] * to_rec709[n * i + c];
}

/* --- developed outputs --- */

/* Camera RGB rows become balanced linear Rec.709 rows, as every other picture's, of what the camera shows. */
typedef struct _developer_t
{
  dt_row_sink_t sink;
  dt_row_sink_t *out;
  const dt_raw_t *raw;
  float matrix[9], balance[3];
  float *row;
  int written;
} _developer_t;

/* Where one channel is saturated the colour is not known: white is cut at the level that all reach, which is 1. */
static void _develop_pixel(const _developer_t *d, const float *in, float *out)
{
  float balanced[3];
  for(int c = 0; c < 3; c++) balanced[c] = MIN(in[c] * d->balance[c], 1.0f);
  for(int k = 0; k < 3; k++)
    out[k] = d->matrix[3 * k] * balanced[0] + d->matrix[3 * k + 1] * balanced[1]
             + d->matrix[3 * k + 2] * balanced[2];
}

static gboolean _develop_rows(dt_row_sink_t *self, int y, int n, const float *rows, GError **error)
{
  _developer_t *d = (_developer_t *)self;
  const dt_raw_t *raw = d->raw;
  for(int i = 0; i < n; i++)
  {
    if(y + i < raw->crop_y || y + i >= raw->crop_y + raw->crop_height) continue;
    const float *row = rows + 3 * ((size_t)i * (size_t)raw->mosaic.width + (size_t)raw->crop_x);
    for(int x = 0; x < raw->crop_width; x++) _develop_pixel(d, row + 3 * x, d->row + 3 * x);
    if(!d->out->write(d->out, d->written++, 1, d->row, error)) return FALSE;
  }
  return TRUE;
}

static void _free_developer(_developer_t *d)
{
  g_free(d->row);
  g_free(d);
}

static gboolean _finish_developer(dt_row_sink_t *self, GError **error)
{
  _developer_t *d = (_developer_t *)self;
  const gboolean ok = d->out->finish(d->out, error);
  _free_developer(d);
  return ok;
}

static void _abandon_developer(dt_row_sink_t *self)
{
  _developer_t *d = (_developer_t *)self;
  d->out->abandon(d->out);
  _free_developer(d);
}

/* Factors by which white becomes the same of all colours, and 1 where the first of them is saturated. */
static void _get_balance(const dt_raw_t *raw, float balance[3])
{
  double most = 0;
  for(int c = 0; c < 3; c++) most = MAX(most, raw->neutral[c]);
  for(int c = 0; c < 3; c++) balance[c] = _colours(raw) == 4 ? 1.0f : (float)(most / raw->neutral[c]);
}

static dt_row_sink_t *_developer_new(const dt_raw_t *raw, dt_row_sink_t *out)
{
  _developer_t *d = g_new0(_developer_t, 1);
  const gboolean four = _colours(raw) == 4; /* these are Rec.2020 already */
  d->out = out;
  d->raw = raw;
  d->row = g_new(float, 3 * (gsize)raw->crop_width);
  memcpy(d->matrix, _rec2020_to_rec709, sizeof d->matrix);
  if(!four) dt_raw_camera_to_rec709(raw, d->matrix);
  _get_balance(raw, d->balance);
  d->sink = (dt_row_sink_t){ .memory = out->memory + 12 * (size_t)raw->crop_width,
                             .write = _develop_rows,
                             .finish = _finish_developer,
                             .abandon = _abandon_developer };
  return &d->sink;
}

/* --- outputs --- */

/* UNKNOWN is DNG. */
static gboolean _choose_format(const dt_restore_job_t *job, const char *output, dt_imageio_format_t *format,
                               GError **error)
{
  const char *dot = strrchr(output, '.');
  const gboolean stream = strcmp(output, DT_IMAGEIO_STREAM) == 0;
  *format = job->format || stream ? job->format : dt_imageio_format_for_name(output);
  if(*format == DT_IMAGEIO_TIFF || *format == DT_IMAGEIO_EXR
     || (!*format && (job->format || stream || (dot && g_ascii_strcasecmp(dot, ".dng") == 0))))
    return TRUE;
  g_set_error(
      error, DT_AI_ERROR, DT_AI_ERROR_USAGE,
      "%s: the result of rawdenoise is a DNG, TIFF or OpenEXR. Give it a name with .dng, .tif or .exr.",
      output);
  return FALSE;
}

static dt_dng_opts_t _dng_opts(const dt_restore_job_t *job)
{
  return (dt_dng_opts_t){ .kind = job->kind,
                          .uncompressed = job->compression == DT_IMAGEIO_UNCOMPRESSED,
                          .half = job->half,
                          .overwrite = job->overwrite,
                          .stream = job->stream };
}

/* Linear light wants many levels: floating point, unless something else was asked for. */
static dt_imageio_write_opts_t _picture_opts(const dt_restore_job_t *job, dt_imageio_format_t format,
                                             const dt_metadata_t *metadata)
{
  return (dt_imageio_write_opts_t){ .format = format,
                                    .bits = job->bits                  ? job->bits
                                            : format == DT_IMAGEIO_EXR ? 16
                                                                       : 32,
                                    .compression = job->compression,
                                    .profile = job->profile ? job->profile : "rec2020-linear",
                                    .metadata = metadata,
                                    .intent = job->intent,
                                    .overwrite = job->overwrite,
                                    .stream = job->stream };
}

static dt_metadata_t _metadata(const dt_raw_t *raw)
{
  return (dt_metadata_t){ .exif = raw->exif ? dt_exif_to_bytes(raw->exif) : NULL,
                          .xmp = raw->xmp ? g_bytes_ref(raw->xmp) : NULL,
                          .orientation = raw->orientation };
}

static dt_row_sink_t *_create_picture(const dt_restore_job_t *job, const dt_raw_t *raw, const char *output,
                                      dt_imageio_format_t format, const dt_provenance_t *stamp, char **note,
                                      GError **error)
{
  dt_metadata_t metadata = _metadata(raw);
  dt_imageio_write_opts_t opts = _picture_opts(job, format, &metadata);
  opts.provenance = stamp;
  opts.note = note;
  dt_row_sink_t *out = dt_imageio_create(output, raw->crop_width, raw->crop_height, DT_ROW_RGB, &opts, error);
  dt_metadata_clear(&metadata);
  return out ? _developer_new(raw, out) : NULL;
}

static dt_row_sink_t *_create(const dt_restore_job_t *job, const dt_raw_t *raw, const char *output,
                              const dt_provenance_t *stamp, char **note, GError **error)
{
  dt_imageio_format_t format;
  if(!_choose_format(job, output, &format, error)) return NULL;
  if(format) return _create_picture(job, raw, output, format, stamp, note, error);
  char *software = dt_provenance_software(stamp);
  dt_dng_opts_t opts = _dng_opts(job);
  opts.software = software;
  opts.provenance = stamp;
  opts.note = note;
  dt_row_sink_t *out = dt_dng_create(output, raw, &opts, error);
  g_free(software);
  return out;
}

static gboolean _foresee_result(const dt_restore_job_t *job, const dt_raw_t *raw, const char *output,
                                dt_restore_result_t *result, GError **error)
{
  dt_imageio_format_t format;
  const dt_dng_opts_t dng = _dng_opts(job);
  const int w = raw->mosaic.width, h = raw->mosaic.height, samples = job->kind == DT_DNG_CFA ? 1 : 3;
  if(!_choose_format(job, output, &format, error)) return FALSE;
  *result = (dt_restore_result_t){ w, h, (guint64)w * (guint64)h * (guint64)samples * 2 };
  if(!format) return dt_dng_can_create(output, raw, &dng, error);
  const dt_imageio_write_opts_t opts = _picture_opts(job, format, NULL);
  result->width = raw->crop_width;
  result->height = raw->crop_height;
  result->bytes = (guint64)result->width * (guint64)result->height * 3 * (guint64)opts.bits / 8;
  return dt_imageio_can_create(output, result->width, result->height, DT_ROW_RGB, &opts, error);
}

/* --- jobs --- */

/* What the sink will hold is known once it is open; a plan needs it before: a band of tiles twice, and a preview. */
static size_t _writer_memory(const dt_raw_t *raw)
{
  return ((size_t)16 << 20) + (size_t)raw->mosaic.width * 256 * 3 * (sizeof(float) + 4);
}

gboolean dt_rawdenoise_plan(dt_restore_context_t *ctx, const dt_restore_job_t *job, const dt_raw_t *raw,
                            const char *output, const dt_restore_opts_t *how, dt_restore_plan_t *plan,
                            dt_restore_result_t *result, GError **error)
{
  return _foresee_result(job, raw, output, result, error)
         && dt_restore_raw_plan(ctx, &raw->mosaic, how, _writer_memory(raw), plan, error);
}

gboolean dt_rawdenoise_run(dt_restore_context_t *ctx, const dt_restore_job_t *job, const dt_raw_t *raw,
                           const char *output, const dt_restore_opts_t *how, const dt_provenance_t *stamp,
                           dt_restore_report_t *report, char **note, GError **error)
{
  dt_restore_camera_t camera;
  _describe_camera(raw, &camera);
  dt_row_sink_t *out = _create(job, raw, output, stamp, note, error);
  return out && dt_restore_raw_process(ctx, &raw->mosaic, &camera, out, how, report, error);
}
