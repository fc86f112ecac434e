/* SPDX-License-Identifier: GPL-3.0-or-later */
/* One table row for each kernel: how it is computed here and how it is enqueued there. Each is judged with a small
 * picture of odd sides and measured with a large one. */
#include "libs/opencl_test.h"

#include "common/memory.h"
#include "common/opencl_launch.h"
#include "libs/opencl_cpu.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define CHANNELS 4
#define RADIUS 8
#define BLACK 0.015625f
#define SCALE 1.4f
/* of the picture that only the numbers are judged with */
#define ODD_WIDTH 211
#define ODD_HEIGHT 97
#define DEFAULT_MEGAPIXELS 4.0
#define MAX_MEGAPIXELS 100.0
#define DEFAULT_ROUNDS 5
#define MAX_ROUNDS 100

static const float _matrix[9] = { 0.6f, 0.3f, 0.1f, 0.2f, 0.7f, 0.1f, 0.05f, 0.15f, 0.8f };

/* Sides of what goes in and of what comes out. */
typedef struct _sides_t
{
  int width, height, out_width, out_height;
} _sides_t;

/* A device's buffers. */
typedef struct _buffers_t
{
  cl_mem in, out, numbers;
} _buffers_t;

/* --- the kernels --- */

/* A Gaussian bell over RADIUS + 1 weights. */
static void _fill_taps(float *taps)
{
  float sum = 0.0f;
  for(int k = 0; k <= RADIUS; k++)
  {
    taps[k] = expf(-(float)(k * k) / (2.0f * 3.0f * 3.0f));
    sum += k ? 2.0f * taps[k] : taps[k];
  }
  for(int k = 0; k <= RADIUS; k++) taps[k] /= sum;
}

static void _cpu_exposure(const _sides_t *s, const float *in, float *out)
{
  dt_opencl_cpu_exposure(in, out, s->width, s->height, BLACK, SCALE);
}

static gboolean _enqueue_exposure(dt_opencl_queue_t *queue, cl_kernel kernel, const _sides_t *s,
                                  const _buffers_t *b, GError **error)
{
  const float black = BLACK, scale = SCALE;
  const dt_opencl_arg_t args[] = { DT_OPENCL_ARG(b->in),     DT_OPENCL_ARG(b->out), DT_OPENCL_ARG(s->width),
                                   DT_OPENCL_ARG(s->height), DT_OPENCL_ARG(black),  DT_OPENCL_ARG(scale) };
  return dt_opencl_enqueue(queue, kernel, args, G_N_ELEMENTS(args), (gsize)s->width, (gsize)s->height, error);
}

static void _cpu_matrix(const _sides_t *s, const float *in, float *out)
{
  dt_opencl_cpu_matrix(in, out, s->width, s->height, _matrix);
}

static gboolean _enqueue_matrix(dt_opencl_queue_t *queue, cl_kernel kernel, const _sides_t *s,
                                const _buffers_t *b, GError **error)
{
  const dt_opencl_arg_t args[] = { DT_OPENCL_ARG(b->in), DT_OPENCL_ARG(b->out), DT_OPENCL_ARG(s->width),
                                   DT_OPENCL_ARG(s->height), DT_OPENCL_ARG(b->numbers) };
  return dt_opencl_enqueue(queue, kernel, args, G_N_ELEMENTS(args), (gsize)s->width, (gsize)s->height, error);
}

static void _cpu_blur_rows(const _sides_t *s, const float *in, float *out)
{
  float taps[RADIUS + 1];
  _fill_taps(taps);
  dt_opencl_cpu_blur_rows(in, out, s->width, s->height, RADIUS, taps);
}

static void _cpu_blur_columns(const _sides_t *s, const float *in, float *out)
{
  float taps[RADIUS + 1];
  _fill_taps(taps);
  dt_opencl_cpu_blur_columns(in, out, s->width, s->height, RADIUS, taps);
}

static gboolean _enqueue_blur(dt_opencl_queue_t *queue, cl_kernel kernel, const _sides_t *s,
                              const _buffers_t *b, GError **error)
{
  const cl_int radius = RADIUS;
  const dt_opencl_arg_t args[] = {
    DT_OPENCL_ARG(b->in),     DT_OPENCL_ARG(b->out), DT_OPENCL_ARG(s->width),
    DT_OPENCL_ARG(s->height), DT_OPENCL_ARG(radius), DT_OPENCL_ARG(b->numbers)
  };
  return dt_opencl_enqueue(queue, kernel, args, G_N_ELEMENTS(args), (gsize)s->width, (gsize)s->height, error);
}

static void _cpu_scale(const _sides_t *s, const float *in, float *out)
{
  dt_opencl_cpu_scale(in, s->width, s->height, out, s->out_width, s->out_height);
}

static gboolean _enqueue_scale(dt_opencl_queue_t *queue, cl_kernel kernel, const _sides_t *s,
                               const _buffers_t *b, GError **error)
{
  const dt_opencl_arg_t args[] = { DT_OPENCL_ARG(b->in),        DT_OPENCL_ARG(s->width),
                                   DT_OPENCL_ARG(s->height),    DT_OPENCL_ARG(b->out),
                                   DT_OPENCL_ARG(s->out_width), DT_OPENCL_ARG(s->out_height) };
  return dt_opencl_enqueue(queue, kernel, args, G_N_ELEMENTS(args), (gsize)s->out_width, (gsize)s->out_height,
                           error);
}

/* What a kernel reads besides the picture. */
typedef enum _numbers_t
{
  NO_NUMBERS,
  MATRIX,
  TAPS,
} _numbers_t;

typedef struct _case_t
{
  const char *program, *kernel;
  _numbers_t numbers;
  gboolean resizes;
  void (*cpu)(const _sides_t *sides, const float *in, float *out);
  gboolean (*enqueue)(dt_opencl_queue_t *queue, cl_kernel kernel, const _sides_t *sides,
                      const _buffers_t *buffers, GError **error);
} _case_t;

static const _case_t _cases[] = {
  { "basic", "exposure", NO_NUMBERS, FALSE, _cpu_exposure, _enqueue_exposure },
  { "basic", "colour_matrix", MATRIX, FALSE, _cpu_matrix, _enqueue_matrix },
  { "gaussian", "blur_rows", TAPS, FALSE, _cpu_blur_rows, _enqueue_blur },
  { "gaussian", "blur_columns", TAPS, FALSE, _cpu_blur_columns, _enqueue_blur },
  { "scale", "scale_bilinear", NO_NUMBERS, TRUE, _cpu_scale, _enqueue_scale },
};

/* --- a job for a device: counted by references, since a device that hangs keeps its own --- */

typedef struct _job_t
{
  const _case_t *test;
  _sides_t sides;
  int rounds;
  GCancellable *cancellable; /* or NULL */
  float *in, *out;
  double *alone; /* seconds of each round */
  double copied; /* seconds of copying there and back */
} _job_t;

static gsize _bytes(int width, int height)
{
  return (gsize)width * (gsize)height * CHANNELS * sizeof(float);
}

static void _clear_job(gpointer data)
{
  _job_t *job = data;
  free(job->in);
  free(job->out);
  g_free(job->alone);
  g_clear_object(&job->cancellable);
}

static void _unref_job(gpointer job)
{
  g_atomic_rc_box_release_full(job, _clear_job);
}

/* Smooth and rough parts, everything between 0 and 1. */
static void _fill(float *in, int width, int height)
{
  for(int y = 0; y < height; y++)
    for(int x = 0; x < width; x++)
      for(int c = 0; c < CHANNELS; c++)
      {
        const guint32 h =
            ((guint32)x * 0x9E3779B1u) ^ ((guint32)y * 0x85EBCA77u) ^ ((guint32)c * 0xC2B2AE3Du);
        in[((size_t)y * (size_t)width + (size_t)x) * CHANNELS + (size_t)c] =
            0.5f * (float)x / (float)width + 0.5f * (float)((h * 0x27D4EB2Fu) >> 8) / 16777216.0f;
      }
}

static _job_t *_new_job(const _case_t *test, int width, int height, int rounds, GCancellable *cancellable,
                        GError **error)
{
  _job_t *job = g_atomic_rc_box_new0(_job_t);
  job->test = test;
  job->sides = (_sides_t){ width, height, width, height };
  if(test->resizes) job->sides = (_sides_t){ width, height, (width * 2 + 2) / 3, (height * 2 + 2) / 3 };
  job->rounds = rounds;
  if(cancellable) job->cancellable = g_object_ref(cancellable);
  job->alone = g_new0(double, (gsize)rounds);
  job->in = dt_memory_try_large((gsize)width * (gsize)height * CHANNELS, sizeof(float));
  job->out = dt_memory_try_large((gsize)width * (gsize)height * CHANNELS, sizeof(float));
  if(job->in && job->out)
  {
    _fill(job->in, width, height);
    return job;
  }
  g_set_error(error, DT_AI_ERROR, DT_AI_ERROR_MEMORY, "There is no memory for a picture of %d x %d.", width,
              height);
  _unref_job(job);
  return NULL;
}

static double _seconds_since(gint64 begun)
{
  return (double)(g_get_monotonic_time() - begun) / G_USEC_PER_SEC;
}

static gboolean _open_buffers(dt_opencl_queue_t *queue, const _job_t *job, _buffers_t *buffers,
                              GError **error)
{
  const _sides_t *s = &job->sides;
  float taps[RADIUS + 1];
  _fill_taps(taps);
  buffers->in = dt_opencl_buffer_new(queue, _bytes(s->width, s->height), job->in, error);
  if(buffers->in)
    buffers->out = dt_opencl_buffer_new(queue, _bytes(s->out_width, s->out_height), NULL, error);
  if(!buffers->out || job->test->numbers == NO_NUMBERS) return buffers->out != NULL;
  buffers->numbers = job->test->numbers == MATRIX
                         ? dt_opencl_buffer_new(queue, sizeof(_matrix), _matrix, error)
                         : dt_opencl_buffer_new(queue, sizeof(taps), taps, error);
  return buffers->numbers != NULL;
}

static gboolean _is_cancelled(const _job_t *job, GError **error)
{
  if(!g_cancellable_is_cancelled(job->cancellable)) return FALSE;
  g_set_error(error, DT_AI_ERROR, DT_AI_ERROR_CANCELLED, "Cancelled.");
  return TRUE;
}

/* The first round is for the driver to get ready. */
static gboolean _run_rounds(dt_opencl_queue_t *queue, _job_t *job, cl_kernel kernel,
                            const _buffers_t *buffers, GError **error)
{
  for(int round = -1; round < job->rounds; round++)
  {
    if(_is_cancelled(job, error)) return FALSE;
    const gint64 begun = g_get_monotonic_time();
    if(!job->test->enqueue(queue, kernel, &job->sides, buffers, error) || !dt_opencl_finish(queue, error))
      return FALSE;
    if(round >= 0) job->alone[round] = _seconds_since(begun);
  }
  return TRUE;
}

/* To the device and back, with buffers that were touched before. */
static gboolean _measure_copies(dt_opencl_queue_t *queue, _job_t *job, const _buffers_t *buffers,
                                GError **error)
{
  const _sides_t *s = &job->sides;
  const gint64 begun = g_get_monotonic_time();
  const gboolean fine =
      dt_opencl_buffer_write(queue, buffers->in, _bytes(s->width, s->height), job->in, error)
      && dt_opencl_buffer_read(queue, buffers->out, _bytes(s->out_width, s->out_height), job->out, error);
  job->copied = _seconds_since(begun);
  return fine;
}

static gboolean _work(dt_opencl_queue_t *queue, void *data, GError **error)
{
  _job_t *job = data;
  const gsize bytes = _bytes(job->sides.out_width, job->sides.out_height);
  _buffers_t buffers = { 0 };
  cl_kernel kernel = dt_opencl_kernel(queue, job->test->program, job->test->kernel, error);
  const gboolean fine = kernel && _open_buffers(queue, job, &buffers, error)
                        && _run_rounds(queue, job, kernel, &buffers, error)
                        && dt_opencl_buffer_read(queue, buffers.out, bytes, job->out, error)
                        && _measure_copies(queue, job, &buffers, error);
  dt_opencl_buffer_free(queue, buffers.in);
  dt_opencl_buffer_free(queue, buffers.out);
  dt_opencl_buffer_free(queue, buffers.numbers);
  return fine;
}

/* --- judging --- */

static int _compare(const void *a, const void *b)
{
  const double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

static double _median(double *values, int n)
{
  qsort(values, (size_t)n, sizeof(*values), _compare);
  return values[n / 2];
}

/* The largest difference; infinite when a number is none. */
static double _difference(const float *a, const float *b, gsize n)
{
  double largest = 0.0;
  for(gsize i = 0; i < n; i++)
  {
    const double d = fabs((double)a[i] - (double)b[i]);
    if(!(d <= largest)) largest = isnan(d) ? INFINITY : d;
  }
  return largest;
}

/* What the CPU says, and how long it takes. */
static double _compute_here(const _job_t *job, float *expected)
{
  double *seconds = g_new0(double, (gsize)job->rounds);
  for(int round = -1; round < job->rounds && !_is_cancelled(job, NULL); round++)
  {
    const gint64 begun = g_get_monotonic_time();
    job->test->cpu(&job->sides, job->in, expected);
    if(round >= 0) seconds[round] = _seconds_since(begun);
  }
  const double median = _median(seconds, job->rounds);
  g_free(seconds);
  return median;
}

static void _note_speed(dt_opencl_test_t *result, _job_t *job, double cpu)
{
  const double megapixels = (double)job->sides.width * (double)job->sides.height / 1e6;
  const double alone = _median(job->alone, job->rounds);
  result->cpu = megapixels / MAX(cpu, 1e-9);
  result->alone = megapixels / MAX(alone, 1e-9);
  result->copied = megapixels / MAX(alone + job->copied, 1e-9);
}

/* On the run's device, compared with what is @p expected. */
static void _compute_there(dt_opencl_run_t *run, _job_t *job, const float *expected, double cpu,
                           dt_opencl_test_t *result)
{
  GError *error = NULL;
  if(!dt_opencl_run_perform(run, _work, g_atomic_rc_box_acquire(job), _unref_job, &error))
  {
    result->failure = g_strdup(error->message);
    g_error_free(error);
    return;
  }
  const gsize n = (gsize)job->sides.out_width * (gsize)job->sides.out_height * CHANNELS;
  const double difference = _difference(expected, job->out, n);
  result->difference = isnan(result->difference) ? difference : MAX(result->difference, difference);
  _note_speed(result, job, cpu);
}

/* One picture here and there. FALSE: this machine has no room for it. */
static gboolean _test_picture(dt_opencl_run_t *run, const _case_t *test, int width, int height, int rounds,
                              GCancellable *cancellable, dt_opencl_test_t *result, GError **error)
{
  _job_t *job = _new_job(test, width, height, rounds, cancellable, error);
  if(!job) return FALSE;
  float *expected = dt_memory_try_large((gsize)width * (gsize)height * CHANNELS, sizeof(float));
  if(expected)
    _compute_there(run, job, expected, _compute_here(job, expected), result);
  else
    g_set_error(error, DT_AI_ERROR, DT_AI_ERROR_MEMORY, "There is no memory for a picture of %d x %d.", width,
                height);
  const gboolean fine = expected != NULL;
  free(expected);
  _unref_job(job);
  return fine;
}

/* --- all of them --- */

static void _free_test(gpointer data)
{
  dt_opencl_test_t *test = data;
  g_free(test->failure);
  g_free(test);
}

/* A kernel: the odd picture first, the large one last, so that its speed stays. */
static dt_opencl_test_t *_test_kernel(dt_opencl_run_t *run, const _case_t *test,
                                      const dt_opencl_test_opts_t *opts, GError **error)
{
  const int height = MAX(1, (int)sqrt(opts->megapixels * 1e6 * 2.0 / 3.0)), width = MAX(1, height * 3 / 2);
  dt_opencl_test_t *result = g_new0(dt_opencl_test_t, 1);
  *result = (dt_opencl_test_t){
    .device = dt_opencl_run_device(run), .program = test->program, .kernel = test->kernel, .difference = NAN
  };
  gboolean fine = _test_picture(run, test, ODD_WIDTH, ODD_HEIGHT, 1, opts->cancellable, result, error);
  if(fine && !result->failure)
    fine = _test_picture(run, test, width, height, opts->rounds, opts->cancellable, result, error);
  result->correct = !result->failure && result->difference <= DT_OPENCL_TEST_TOLERANCE;
  if(fine) return result;
  _free_test(result);
  return NULL;
}

/* A kernel that does not compile is no reason to leave the others out: each claims the device anew. */
static dt_opencl_test_t *_test_on(dt_opencl_t *cl, int device, const _case_t *test,
                                  const dt_opencl_test_opts_t *opts, GError **error)
{
  dt_opencl_run_t *run = dt_opencl_claim_device(cl, device, opts->cancellable);
  if(run)
  {
    dt_opencl_test_t *result = _test_kernel(run, test, opts, error);
    dt_opencl_run_end(run);
    if(result) result->device = device;
    return result;
  }
  dt_opencl_test_t *result = g_new0(dt_opencl_test_t, 1);
  *result =
      (dt_opencl_test_t){ .device = device,
                          .program = test->program,
                          .kernel = test->kernel,
                          .difference = NAN,
                          .failure = g_strdup("the device cannot be had: it has failed, or others use it") };
  return result;
}

static dt_opencl_test_opts_t _defaults(const dt_opencl_test_opts_t *opts)
{
  dt_opencl_test_opts_t all = { 0 };
  if(opts) all = *opts;
  all.megapixels = all.megapixels > 0 ? MIN(all.megapixels, MAX_MEGAPIXELS) : DEFAULT_MEGAPIXELS;
  all.rounds = all.rounds > 0 ? MIN(all.rounds, MAX_ROUNDS) : DEFAULT_ROUNDS;
  return all;
}

/* The next of the tests. FALSE: there is no memory, or what was done is cancelled and means nothing. */
static gboolean _add_test(GPtrArray *tests, dt_opencl_t *cl, int device, const _case_t *which,
                          const dt_opencl_test_opts_t *opts, GError **error)
{
  dt_opencl_test_t *test = _test_on(cl, device, which, opts, error);
  if(!test) return FALSE;
  g_ptr_array_add(tests, test);
  if(g_cancellable_is_cancelled(opts->cancellable))
  {
    g_set_error(error, DT_AI_ERROR, DT_AI_ERROR_CANCELLED, "Cancelled.");
    return FALSE;
  }
  if(opts->tell) opts->tell(test, opts->user_data);
  return TRUE;
}

GPtrArray *dt_opencl_test_all(dt_opencl_t *cl, const dt_opencl_test_opts_t *opts, GError **error)
{
  const dt_opencl_test_opts_t all = _defaults(opts);
  GPtrArray *tests = g_ptr_array_new_with_free_func(_free_test);
  for(int device = 0; dt_opencl_device(cl, device); device++)
    for(size_t i = 0; i < G_N_ELEMENTS(_cases); i++)
      if(!_add_test(tests, cl, device, &_cases[i], &all, error))
      {
        g_ptr_array_unref(tests);
        return NULL;
      }
  return tests;
}
