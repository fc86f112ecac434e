/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What masks cost beyond the networks: encoding, answering and refining through contexts, by turns with bare runs of the
 * same files.
 *
 *     bench_segmentation FOLDER MODEL [ROUNDS]
 *
 * FOLDER holds models. In the size of SAM 2.1 small: tests/support/make_sam21.py FOLDER, MODEL mask-object-sam21-shape. */
#include "ai/segmentation.h"
#include "common/conf.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WIDTH 6000
#define HEIGHT 4000
#define MAX_ROUNDS 100

typedef struct _times_t
{
  int n, n_answers;
  double encode[MAX_ROUNDS], bare_encode[MAX_ROUNDS], answer[MAX_ROUNDS], bare_answer[MAX_ROUNDS],
      mask[MAX_ROUNDS];
} _times_t;

/* A session with tensors for everything. */
typedef struct _bare_t
{
  dt_ai_context_t *session;
  int n_in, n_out;
  dt_ai_tensor_t in[8], out[8];
  int64_t in_shapes[8][5], out_shapes[8][5];
} _bare_t;

static double _now(void)
{
  return 1e-3 * (double)g_get_monotonic_time();
}

static void _fail(const char *words)
{
  fprintf(stderr, "%s\n", words);
  exit(1);
}

static dt_ai_tensor_t _tensor(int64_t *shape, int ndim)
{
  for(int i = 0; i < ndim; i++)
    if(shape[i] < 1) shape[i] = i == 1 ? 8 : 256;
  if(shape[0] != 1) shape[0] = 1;
  return (dt_ai_tensor_t){ calloc(dt_ai_tensor_element_count(shape, ndim), sizeof(float)), DT_AI_FLOAT, shape,
                           ndim };
}

/* As contexts load it; open numbers of points are two, a click and padding. */
static void _open(_bare_t *b, const char *folder, const char *model, const char *file,
                  dt_ai_opt_level_t level)
{
  char *path = g_build_filename(folder, model, NULL);
  b->session = dt_ai_onnx_load_ext(path, file, DT_AI_PROVIDER_CPU, level, NULL, 0);
  g_free(path);
  if(!b->session) _fail(dt_ai_last_error()->message);
  b->n_in = dt_ai_get_input_count(b->session);
  b->n_out = dt_ai_get_output_count(b->session);
  for(int i = 0; i < b->n_in; i++)
  {
    const int ndim = dt_ai_get_input_shape(b->session, i, b->in_shapes[i], 5);
    if(b->in_shapes[i][1] < 1) b->in_shapes[i][1] = 2;
    b->in[i] = _tensor(b->in_shapes[i], ndim);
    if(strcmp(dt_ai_get_input_name(b->session, i), "point_labels") == 0) ((float *)b->in[i].data)[1] = -1;
  }
  for(int i = 0; i < b->n_out; i++)
  {
    const int ndim = dt_ai_get_output_shape(b->session, i, b->out_shapes[i], 5);
    b->out[i] = _tensor(b->out_shapes[i], ndim);
  }
}

static double _run(_bare_t *b)
{
  const double start = _now();
  if(dt_ai_run(b->session, b->in, b->n_in, b->out, b->n_out)) _fail(dt_ai_last_error()->message);
  return _now() - start;
}

/* --- a photograph of 24 megapixels --- */

static gboolean _read(dt_row_source_t *self, int y, int n, float *rows, GError **error)
{
  (void)error;
  for(int i = 0; i < 3 * self->width * n; i++) rows[i] = (float)((i * 7 + y * 13) & 1023) * (1.0f / 1023);
  return TRUE;
}

static void _keep(dt_row_source_t *self)
{
  (void)self;
}

static double _encode(dt_seg_context_t *ctx)
{
  dt_row_source_t rows = { .width = WIDTH, .height = HEIGHT, .channels = 3, .read = _read, .destroy = _keep };
  GError *error = NULL;
  const double start = _now();
  if(!dt_seg_encode(ctx, &rows, NULL, NULL, NULL, &error)) _fail(error->message);
  return _now() - start;
}

static double _answer(dt_seg_context_t *ctx, float *mask, double *mask_time)
{
  const dt_seg_point_t point = { 3000, 2000, DT_SEG_FOREGROUND };
  const dt_seg_prompts_t prompts = { .points = &point, .n_points = 1 };
  GError *error = NULL;
  const double start = _now();
  dt_seg_answer_t *answer = dt_seg_answer(ctx, &prompts, NULL, &error);
  if(!answer) _fail(error->message);
  const double middle = _now();
  if(!dt_seg_answer_to_mask(answer, answer->best, mask, WIDTH, HEIGHT, &error)) _fail(error->message);
  *mask_time = _now() - middle;
  dt_seg_answer_free(answer);
  return middle - start;
}

/* By turns, so that what else the machine does hits both. The first round warms up. */
static void _measure(dt_seg_context_t *ctx, _bare_t *encoder, _bare_t *decoder, int rounds, _times_t *t)
{
  float *mask = malloc(sizeof(float) * WIDTH * HEIGHT);
  for(int i = -1; i < rounds; i++)
  {
    const int at = MAX(i, 0);
    t->encode[at] = _encode(ctx);
    t->bare_encode[at] = _run(encoder);
  }
  t->n_answers = MIN(10 * rounds, MAX_ROUNDS);
  for(int i = -1; i < t->n_answers; i++)
  {
    const int at = MAX(i, 0);
    t->answer[at] = _answer(ctx, mask, &t->mask[at]); /* from the second on it refines */
    t->bare_answer[at] = _run(decoder);
  }
  t->n = rounds;
  free(mask);
}

static int _compare(const void *a, const void *b)
{
  const double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

static double _median(double *values, int n)
{
  qsort(values, (size_t)n, sizeof *values, _compare);
  return n % 2 ? values[n / 2] : 0.5 * (values[n / 2 - 1] + values[n / 2]);
}

static void _tell(const char *what, double *through, double *bare, int n)
{
  const double a = _median(through, n), b = _median(bare, n);
  printf("%-8s %9.1f ms, bare %9.1f ms: %+.1f %% (least %.1f and %.1f)\n", what, a, b, 100 * (a / b - 1),
         through[0], bare[0]);
}

int main(int argc, char **argv)
{
  if(argc < 3) _fail("usage: bench_segmentation FOLDER MODEL [ROUNDS]");
  const int rounds = CLAMP(argc > 3 ? (int)g_ascii_strtoll(argv[3], NULL, 10) : 5, 1, MAX_ROUNDS);
  dt_conf_override(DT_CONF_AI_ENABLED, "TRUE");
  dt_ai_environment_t *env = dt_ai_env_init(argv[1]);
  const dt_seg_load_opts_t opts = { .provider = DT_AI_PROVIDER_CPU };
  GError *error = NULL;
  double start = _now();
  dt_seg_context_t *ctx = dt_seg_load_ext(env, argv[2], &opts, &error);
  if(!ctx) _fail(error->message);
  printf("load     %9.1f ms", _now() - start);
  start = _now();
  static _bare_t encoder, decoder;
  _open(&encoder, argv[1], argv[2], "encoder.onnx", DT_AI_OPT_ALL);
  _open(&decoder, argv[1], argv[2], "decoder.onnx", DT_AI_OPT_BASIC);
  printf(", bare %9.1f ms\n", _now() - start);
  static _times_t t;
  _measure(ctx, &encoder, &decoder, rounds, &t);
  _tell("encode", t.encode, t.bare_encode, t.n);
  _tell("answer", t.answer, t.bare_answer, t.n_answers);
  printf("mask     %9.1f ms for %d×%d\n", _median(t.mask, t.n_answers), WIDTH, HEIGHT);
  dt_seg_free(ctx);
  dt_ai_env_destroy(env);
  return 0;
}
