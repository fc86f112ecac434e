/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "iop.h"

#include "pocl.h"

#include "common/conf.h"

#include <math.h>
#include <string.h>

#define BLACK 512
#define WHITE 16383
#define TOLERANCE 1e-4

/* --- photographs --- */

static const guint8 _xtrans[6][6] = { { 1, 0, 1, 1, 2, 1 }, { 2, 1, 2, 0, 1, 0 }, { 1, 0, 1, 1, 2, 1 },
                                      { 1, 2, 1, 1, 0, 1 }, { 0, 1, 0, 2, 1, 2 }, { 1, 2, 1, 1, 0, 1 } };
static const guint8 _bayer[2][2] = { { 0, 1 }, { 1, 2 } };

const test_sensor_t test_sensors[TEST_SENSORS] = {
  { DT_SENSOR_BAYER, 4 }, { DT_SENSOR_XTRANS, 36 }, { DT_SENSOR_FOUR, 4 }, { DT_SENSOR_LINEAR, 1 }
};

static int _colour(dt_sensor_t sensor, int phase, int x, int y)
{
  if(sensor == DT_SENSOR_XTRANS) return _xtrans[(y + phase / 6) % 6][(x + phase % 6) % 6];
  if(sensor == DT_SENSOR_FOUR) return (y + phase / 2) % 2 * 2 + (x + phase % 2) % 2;
  return _bayer[(y + phase / 2) % 2][(x + phase % 2) % 2];
}

static void _fill_mosaic(dt_mosaic_t *m, dt_sensor_t sensor, int phase)
{
  m->sensor = sensor;
  m->period = sensor == DT_SENSOR_XTRANS ? 6 : sensor == DT_SENSOR_LINEAR ? 1 : 2;
  for(int y = 0; y < DT_MOSAIC_PERIOD; y++)
    for(int x = 0; x < DT_MOSAIC_PERIOD; x++)
    {
      m->colour[y][x] = (guint8)_colour(sensor, phase, x, y);
      m->black[y][x] = BLACK;
      m->white[y][x] = WHITE;
    }
}

/* Smooth colours with edges and noise, some of it saturated. */
static float _scene(test_random_t *random, int x, int y, int c)
{
  const double wave =
      0.5 + 0.3 * sin(0.11 * x + c) * cos(0.07 * y - 0.5 * c) + ((x / 17 + y / 23) % 2 ? 0.12 : -0.08);
  const double light =
      wave + test_random_range(random, -0.03, 0.03) + (x > 60 && y > 40 && x < 75 ? 0.5 : 0.0);
  return (float)CLAMP(light, -0.02, 1.1);
}

static void _fill_raw(test_photo_t *photo, test_random_t *random)
{
  dt_mosaic_t *m = &photo->mosaic;
  const int n = m->sensor == DT_SENSOR_LINEAR ? 3 : 1;
  m->step = (size_t)n;
  m->stride = (size_t)(n * m->width);
  m->samples = photo->samples = g_new(guint16, (gsize)m->height * m->stride);
  for(int y = 0; y < m->height; y++)
    for(int x = 0; x < m->width; x++)
      for(int c = 0; c < n; c++)
      {
        const int colour = n == 3 ? c : dt_mosaic_colour(m, x, y);
        const float code = BLACK + _scene(random, x, y, colour) * (WHITE - BLACK);
        const guint16 stored = (guint16)CLAMP(code, 0, 16383);
        photo->samples[(gsize)y * m->stride + (gsize)(x * n + c)] = stored;
        photo->pixels[((gsize)y * (gsize)m->width + (gsize)x) * (gsize)photo->channels + (gsize)c] = stored;
      }
}

void test_photo_init(test_photo_t *photo, test_random_t *random, dt_sensor_t sensor, int phase,
                     gboolean picture, int width, int height)
{
  memset(photo, 0, sizeof(*photo));
  for(int c = 0; c < 4; c++) photo->saturation[c] = 1;
  photo->channels = picture || sensor == DT_SENSOR_LINEAR ? 4 : 1;
  photo->pixels = g_new0(float, (gsize)width *(gsize)height *(gsize)photo->channels);
  photo->mosaic.width = width;
  photo->mosaic.height = height;
  photo->image = (dt_iop_image_t){ .width = width,
                                   .height = height,
                                   .neutral = { 0.5, 1.0, 0.65, 1.0 },
                                   .colour = { .colours = sensor == DT_SENSOR_FOUR ? 4 : 3,
                                               .lights = 1,
                                               .light = { { .matrix = { { 0.69, -0.12, -0.09 },
                                                                        { -0.38, 1.16, 0.25 },
                                                                        { -0.04, 0.15, 0.60 },
                                                                        { -0.2, 0.7, 0.5 } } } } },
                                   .iso = 800,
                                   .crop_width = width,
                                   .crop_height = height,
                                   .orientation = 1 };
  _fill_mosaic(&photo->mosaic, sensor, phase);
  if(!picture)
  {
    photo->image.mosaic = &photo->mosaic;
    _fill_raw(photo, random);
    return;
  }
  for(int y = 0; y < height; y++)
    for(int x = 0; x < width; x++)
      for(int c = 0; c < 4; c++)
        photo->pixels[((gsize)y * (gsize)width + (gsize)x) * 4 + (gsize)c] = _scene(random, x, y, c);
}

void test_photo_clear(test_photo_t *photo)
{
  g_free(photo->samples);
  g_free(photo->pixels);
}

/* --- pieces --- */

static void _set(const dt_iop_module_t *module, void *params, const char *setting)
{
  char **words = g_strsplit(setting, "=", 2);
  const dt_iop_param_t *param = dt_iop_find_param(module, words[0]);
  if(!param) fail_msg("%s has no parameter %s", module->name, words[0]);
  GError *error = NULL;
  dt_iop_set_param(module, param, params, words[1], &error);
  assert_no_error(error);
  g_strfreev(words);
}

dt_iop_piece_t test_piece_new(const test_photo_t *photo, const char *name, const char *const *settings,
                              int channels, int width, int height, double scale)
{
  const dt_iop_module_t *module = dt_iop_find(name);
  if(!module) fail_msg("there is no module %s", name);
  void *params = dt_iop_standard_params(module);
  for(; settings && *settings; settings++) _set(module, params, *settings);
  dt_iop_piece_t piece = { .module = module,
                           .image = &photo->image,
                           .enabled = TRUE,
                           .channels_in = channels,
                           .channels_out = channels,
                           .in_width = width,
                           .in_height = height,
                           .in_scale = scale,
                           .out_width = width,
                           .out_height = height,
                           .out_scale = scale };
  memcpy(piece.saturation_in, photo->saturation, sizeof(photo->saturation));
  memcpy(piece.saturation_out, photo->saturation, sizeof(photo->saturation));
  GError *error = NULL;
  if(module->commit) module->commit(&piece, params, &error);
  assert_no_error(error);
  if(module->size) module->size(&piece);
  g_free(params);
  return piece;
}

void test_piece_clear(dt_iop_piece_t *piece)
{
  if(piece->module->cleanup)
    piece->module->cleanup(piece);
  else
    g_free(piece->data);
  piece->data = NULL;
}

/* --- rectangles --- */

static dt_iop_roi_t _whole_in(const dt_iop_piece_t *piece)
{
  return (dt_iop_roi_t){ 0, 0, piece->in_width, piece->in_height, piece->in_scale };
}

static dt_iop_roi_t _whole_out(const dt_iop_piece_t *piece)
{
  return (dt_iop_roi_t){ 0, 0, piece->out_width, piece->out_height, piece->out_scale };
}

static gsize _floats(const dt_iop_roi_t *roi, int channels)
{
  return (gsize)roi->width * (gsize)roi->height * (gsize)channels;
}

/* What the module asks for, cut at the edges. */
static dt_iop_roi_t _need(const dt_iop_piece_t *piece, const dt_iop_roi_t *out)
{
  dt_iop_roi_t in = *out;
  if(piece->module->need) piece->module->need(piece, out, &in);
  const int right = MIN(in.x + in.width, piece->in_width), bottom = MIN(in.y + in.height, piece->in_height);
  in.x = MAX(in.x, 0);
  in.y = MAX(in.y, 0);
  in.width = right - in.x;
  in.height = bottom - in.y;
  in.scale = piece->in_scale;
  assert_true(in.width > 0 && in.height > 0);
  return in;
}

/* The part @p roi of the picture @p whole, @p width pixels wide (g_free()). */
static float *_cut(const float *whole, int width, int channels, const dt_iop_roi_t *roi)
{
  float *part = g_new(float, _floats(roi, channels));
  for(int y = 0; y < roi->height; y++)
    memcpy(part + (gsize)y * (gsize)(roi->width * channels),
           whole + ((gsize)(roi->y + y) * (gsize)width + (gsize)roi->x) * (gsize)channels,
           (gsize)(roi->width * channels) * sizeof(float));
  return part;
}

/* Computes @p out here; what is not written stays no number. */
static float *_compute(const dt_iop_piece_t *piece, const float *in, const dt_iop_roi_t *roi_in,
                       const dt_iop_roi_t *roi_out)
{
  const gsize n = _floats(roi_out, piece->channels_out);
  float *out = g_new(float, n);
  for(gsize i = 0; i < n; i++) out[i] = NAN;
  GError *error = NULL;
  piece->module->process(piece, in, roi_in, out, roi_out, &error);
  assert_no_error(error);
  return out;
}

/* --- on a device --- */

typedef struct _job_t
{
  const dt_iop_piece_t *piece;
  const float *in;
  dt_iop_roi_t roi_in, roi_out;
  float *out;
} _job_t;

static gboolean _work(dt_opencl_queue_t *queue, void *data, GError **error)
{
  _job_t *job = data;
  const gsize in_bytes = _floats(&job->roi_in, job->piece->channels_in) * sizeof(float);
  const gsize out_bytes = _floats(&job->roi_out, job->piece->channels_out) * sizeof(float);
  cl_mem in = dt_opencl_buffer_new(queue, in_bytes, job->in, error);
  cl_mem out = in ? dt_opencl_buffer_new(queue, out_bytes, job->out, error) : NULL;
  float *after = g_malloc(in_bytes);
  const gboolean fine =
      out && job->piece->module->process_cl(job->piece, queue, in, &job->roi_in, out, &job->roi_out, error)
      && dt_opencl_buffer_read(queue, out, out_bytes, job->out, error)
      && dt_opencl_buffer_read(queue, in, in_bytes, after, error);
  if(fine && memcmp(after, job->in, in_bytes) != 0)
    g_set_error(error, DT_AI_ERROR, DT_AI_ERROR_FAILED, "%s changes its input", job->piece->module->name);
  g_free(after);
  dt_opencl_buffer_free(queue, in);
  dt_opencl_buffer_free(queue, out);
  return fine && !(error && *error);
}

static float *_compute_cl(const dt_iop_piece_t *piece, const float *in, const dt_iop_roi_t *roi_in,
                          const dt_iop_roi_t *roi_out, dt_opencl_t *cl)
{
  const gsize n = _floats(roi_out, piece->channels_out);
  _job_t job = { piece, in, *roi_in, *roi_out, g_new(float, n) };
  for(gsize i = 0; i < n; i++) job.out[i] = NAN;
  GError *error = NULL;
  dt_opencl_run_t *run = dt_opencl_run_begin(cl, &(dt_opencl_run_opts_t){ .pipe = DT_OPENCL_EXPORT }, &error);
  assert_no_error(error);
  assert_true(dt_opencl_run_device(run) >= 0);
  dt_opencl_run_perform(run, _work, &job, NULL, &error);
  assert_no_error(error);
  dt_opencl_run_end(run);
  return job.out;
}

/* --- what is checked --- */

float *test_piece_run(const dt_iop_piece_t *piece, const float *in)
{
  const dt_iop_roi_t roi_in = _whole_in(piece), roi_out = _whole_out(piece);
  return _compute(piece, in, &roi_in, &roi_out);
}

float *test_piece_run_cl(const dt_iop_piece_t *piece, const float *in, dt_opencl_t *cl)
{
  const dt_iop_roi_t roi_in = _whole_in(piece), roi_out = _whole_out(piece);
  return _compute_cl(piece, in, &roi_in, &roi_out, cl);
}

static void _compare(const dt_iop_piece_t *piece, const float *got, const float *wanted,
                     const dt_iop_roi_t *roi, double tolerance, const char *what)
{
  const int channels = piece->channels_out;
  for(gsize i = 0; i < _floats(roi, channels); i++)
  {
    const double d = fabs((double)got[i] - (double)wanted[i]);
    if(d <= tolerance && !isnan(got[i])) continue;
    const int x = (int)(i / (gsize)channels) % roi->width, y = (int)(i / (gsize)channels) / roi->width;
    fail_msg("%s, %s: %d x %d at %d, %d of %d x %d: pixel %d, %d channel %d is %.9g, not %.9g",
             piece->module->name, what, roi->width, roi->height, roi->x, roi->y, piece->out_width,
             piece->out_height, x, y, (int)(i % (gsize)channels), (double)got[i], (double)wanted[i]);
  }
}

static dt_iop_roi_t _random_roi(const dt_iop_piece_t *piece, test_random_t *random)
{
  dt_iop_roi_t roi = { .scale = piece->out_scale };
  roi.width = test_random_int(random, 1, piece->out_width);
  roi.height = test_random_int(random, 1, piece->out_height);
  roi.x = test_random_int(random, 0, piece->out_width - roi.width);
  roi.y = test_random_int(random, 0, piece->out_height - roi.height);
  return roi;
}

static void _check_rectangle(const dt_iop_piece_t *piece, const float *in, const float *whole,
                             dt_opencl_t *cl, test_random_t *random)
{
  const dt_iop_roi_t out = _random_roi(piece, random), need = _need(piece, &out);
  float *part_in = _cut(in, piece->in_width, piece->channels_in, &need);
  float *wanted = _cut(whole, piece->out_width, piece->channels_out, &out);
  float *got = cl ? _compute_cl(piece, part_in, &need, &out, cl) : _compute(piece, part_in, &need, &out);
  _compare(piece, got, wanted, &out, cl ? TOLERANCE : 0.0, cl ? "rectangle on a device" : "rectangle");
  g_free(got);
  g_free(wanted);
  g_free(part_in);
}

void test_piece_check_rectangles(const dt_iop_piece_t *piece, const float *in, const float *whole,
                                 test_random_t *random, int rounds)
{
  for(int i = 0; i < rounds; i++) _check_rectangle(piece, in, whole, NULL, random);
}

void test_piece_check(const dt_iop_piece_t *piece, const float *in, dt_opencl_t *cl, test_random_t *random)
{
  const dt_iop_roi_t all = _whole_out(piece);
  const gsize bytes =
      (gsize)piece->in_width * (gsize)piece->in_height * (gsize)piece->channels_in * sizeof(float);
  float *before = g_memdup2(in, bytes), *whole = test_piece_run(piece, in);
  test_piece_check_rectangles(piece, in, whole, random, 6);
  assert_memory_equal(in, before, bytes);
  if(cl)
  {
    float *there = test_piece_run_cl(piece, in, cl);
    _compare(piece, there, whole, &all, TOLERANCE, "device");
    g_free(there);
    for(int i = 0; i < 2; i++) _check_rectangle(piece, in, whole, cl, random);
  }
  g_free(whole);
  g_free(before);
}

void test_module_sizes(const char *module, const char *const *const *settings, uint64_t seed)
{
  static const double scales[] = { 1.0, 0.5, 0.23 };
  test_random_t random = { seed };
  int n = 0;
  while(settings[n]) n++;
  for(int i = 0; i < 30; i++)
  {
    const int width = i ? test_random_int(&random, 1, 90) : 1,
              height = i ? test_random_int(&random, 1, 70) : 1;
    test_photo_t photo;
    test_photo_init(&photo, &random, DT_SENSOR_LINEAR, 0, TRUE, width, height);
    dt_iop_piece_t piece =
        test_piece_new(&photo, module, settings[i % n], 4, width, height, scales[(i / n) % 3]);
    test_piece_check(&piece, photo.pixels, test_iop_cl, &random);
    test_piece_clear(&piece);
    test_photo_clear(&photo);
  }
}

void test_piece_speed(const dt_iop_piece_t *piece, const float *in, const char *what)
{
  const dt_iop_roi_t roi = { 0, 0, TEST_LARGE_WIDTH, TEST_LARGE_HEIGHT, 1.0 };
  float *out = g_new0(float, _floats(&roi, 4));
  for(int i = 0; i < 3; i++)
  {
    GError *error = NULL;
    const gint64 start = g_get_monotonic_time();
    piece->module->process(piece, in, &roi, out, &roi, &error);
    assert_no_error(error);
    print_message("24 megapixels%s: %.2f s on %u cores\n", what,
                  (double)(g_get_monotonic_time() - start) / 1e6, g_get_num_processors());
  }
  g_free(out);
}

dt_opencl_t *test_iop_opencl(void)
{
  GError *error = NULL;
  if(!test_pocl_driver()) return NULL;
  dt_opencl_t *cl = dt_opencl_create(NULL, &error);
  assert_no_error(error);
  return cl;
}

dt_opencl_t *test_iop_cl;

int test_iop_set_up(void **state)
{
  (void)state;
  test_pocl_world();
  dt_conf_override(DT_CONF_OPENCL_PRIORITY, "*/*/*/*");
  test_iop_cl = test_iop_opencl();
  return 0;
}

int test_iop_tear_down(void **state)
{
  (void)state;
  dt_opencl_destroy(test_iop_cl);
  test_world_destroy();
  return 0;
}
