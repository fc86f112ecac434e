/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The mask models of the tests are what their README says: each pair is run as it is, and every logit compared with the
 * formula, computed here a second time. */
#include "support.h"

#include "ai/backend.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define SIDE 1024
#define SMALL 256
#define MAX_TENSORS 8
#define MAX_POINTS 6
#define HORIZON 704 /* rows of the picture; the rest is its padding */

static int _setup(void **state)
{
  (void)state;
  test_world_create();
  return 0;
}

static int _teardown(void **state)
{
  (void)state;
  test_world_destroy();
  return 0;
}

/* --- running --- */

typedef struct _run_t
{
  dt_ai_context_t *ctx;
  dt_ai_tensor_t in[MAX_TENSORS], out[MAX_TENSORS];
  int n_in, n_out;
} _run_t;

static dt_ai_tensor_t _make_tensor(const int64_t *shape, int ndim)
{
  dt_ai_tensor_t t = { .type = DT_AI_FLOAT, .ndim = ndim };
  t.shape = g_memdup2(shape, sizeof *shape * (gsize)ndim);
  t.data = g_new0(float, dt_ai_tensor_element_count(shape, ndim));
  return t;
}

static void _free_tensor(dt_ai_tensor_t *t)
{
  g_clear_pointer(&t->data, g_free);
  g_clear_pointer(&t->shape, g_free);
}

static void _open(_run_t *r, const char *model, const char *file)
{
  char *relative = g_build_filename("models", model, NULL), *folder = test_fixture(relative);
  *r = (_run_t){ .ctx = dt_ai_onnx_load_ext(folder, file, DT_AI_PROVIDER_CPU, DT_AI_OPT_BASIC, NULL, 0) };
  if(!r->ctx) fail_msg("%s", dt_ai_last_error()->message);
  r->n_in = dt_ai_get_input_count(r->ctx);
  r->n_out = dt_ai_get_output_count(r->ctx);
  assert_true(r->n_in <= MAX_TENSORS && r->n_out <= MAX_TENSORS);
  g_free(folder);
  g_free(relative);
}

static void _close(_run_t *r)
{
  for(int i = 0; i < MAX_TENSORS; i++)
  {
    _free_tensor(&r->in[i]);
    _free_tensor(&r->out[i]);
  }
  dt_ai_unload_model(r->ctx);
}

static void _go(_run_t *r)
{
  if(dt_ai_run(r->ctx, r->in, r->n_in, r->out, r->n_out) != DT_AI_RUN_OK)
    fail_msg("%s", dt_ai_last_error()->message);
}

/* Room for every output; what the file leaves open is @p open. */
static void _make_outputs(_run_t *r, int64_t open)
{
  for(int i = 0; i < r->n_out; i++)
  {
    int64_t shape[8];
    const int ndim = dt_ai_get_output_shape(r->ctx, i, shape, 8);
    for(int d = 0; d < ndim; d++)
      if(shape[d] < 0) shape[d] = open;
    r->out[i] = _make_tensor(shape, ndim);
  }
}

/* --- the question --- */

typedef struct _question_t
{
  const char *name;
  int n;
  float points[MAX_POINTS][2], labels[MAX_POINTS];
  gboolean has_before; /* a mask from before: _before() */
} _question_t;

static const _question_t _questions[] = {
  { "one click", 1, { { 300.25f, 200.5f } }, { 1 }, FALSE },
  { "clicks of both kinds",
    5,
    { { 100, 40 }, { 220.5f, 333 }, { 900, 600 }, { 700, 90 }, { 0, 0 } },
    { 1, 1, 0, 0, -1 },
    FALSE },
  { "a box", 2, { { 40.5f, 100 }, { 1000, 640 } }, { 2, 3 }, FALSE },
  { "a box and a click", 3, { { 40.5f, 100 }, { 1000, 640 }, { 700, 30.75f } }, { 2, 3, 1 }, FALSE },
  { "a click and a mask", 2, { { 512, 352 }, { 0, 0 } }, { 1, -1 }, TRUE },
};

/* Of the picture (a plain colour) and of what is below it, as the encoder gets them. */
static const float _sky[] = { 0.3f, -0.4f, 0.9f }, _ground[] = { -2.1f, -2.0f, -1.8f };

static void _draw(dt_ai_tensor_t *t)
{
  float *data = t->data;
  for(size_t c = 0; c < 3; c++)
    for(size_t i = 0; i < SIDE * SIDE; i++)
      data[c * SIDE * SIDE + i] = i / SIDE < HORIZON ? _sky[c] : _ground[c];
}

/* The mask from before, at a place in 1024. */
static double _before(double x, double y)
{
  return 0.01 * x - 0.007 * y;
}

static double _middle(int i, int side)
{
  return (i + 0.5) * SIDE / side;
}

static void _fill_before(dt_ai_tensor_t *t)
{
  const int side = (int)t->shape[3];
  float *data = t->data;
  for(int y = 0; y < side; y++)
    for(int x = 0; x < side; x++) *data++ = (float)_before(_middle(x, side), _middle(y, side));
}

static void _fill_prompt(dt_ai_tensor_t *t, const char *name, const _question_t *q)
{
  float *data = t->data;
  if(strcmp(name, "point_coords") == 0) memcpy(data, q->points, sizeof *q->points * (size_t)q->n);
  if(strcmp(name, "point_labels") == 0) memcpy(data, q->labels, sizeof *q->labels * (size_t)q->n);
  if(strcmp(name, "has_mask_input") == 0) *data = q->has_before;
  if((strcmp(name, "mask_input") == 0 || strcmp(name, "prev_mask") == 0) && q->has_before) _fill_before(t);
}

/* By name, else the first of the same shape. */
static const dt_ai_tensor_t *_find_feature(const _run_t *encoder, const char *name, const int64_t *shape,
                                           int ndim)
{
  for(int i = 0; i < encoder->n_out; i++)
    if(strcmp(dt_ai_get_output_name(encoder->ctx, i), name) == 0) return &encoder->out[i];
  for(int i = 0; i < encoder->n_out; i++)
    if(encoder->out[i].ndim == ndim
       && memcmp(encoder->out[i].shape, shape, sizeof *shape * (size_t)ndim) == 0)
      return &encoder->out[i];
  return NULL;
}

static void _ask(_run_t *decoder, const _run_t *encoder, const _question_t *q)
{
  for(int i = 0; i < decoder->n_in; i++)
  {
    int64_t shape[8];
    const char *name = dt_ai_get_input_name(decoder->ctx, i);
    const int ndim = dt_ai_get_input_shape(decoder->ctx, i, shape, 8);
    const dt_ai_tensor_t *feature = _find_feature(encoder, name, shape, ndim);
    if(shape[1] < 0) shape[1] = q->n;
    decoder->in[i] = _make_tensor(shape, ndim);
    if(feature)
      memcpy(decoder->in[i].data, feature->data, dt_ai_tensor_element_count(shape, ndim) * sizeof(float));
    else
      _fill_prompt(&decoder->in[i], name, q);
  }
  _make_outputs(decoder, 3);
  _go(decoder);
}

/* --- the formula --- */

typedef struct _family_t
{
  const char *model;
  int candidates[4], n; /* which planes */
  gboolean boxes;
  double memory; /* part of the mask from before */
} _family_t;

static const _family_t _families[] = {
  { "mask-object-plane-sam", { 0, 1, 2 }, 3, TRUE, 0.25 },
  { "mask-object-plane-samhq", { 2 }, 1, TRUE, 0.25 },
  { "mask-object-plane-sam2", { 0, 1, 2 }, 3, TRUE, 0.25 },
  { "mask-object-plane-sam2hq", { 0, 1, 2, 3 }, 4, TRUE, 0.25 },
  { "mask-object-plane-segnext", { 2 }, 1, FALSE, 0.5 },
};

static const double _slopes[][2] = { { 1, 0 }, { 0, 1 }, { 0.6, 0.8 }, { -0.8, 0.6 } };
static const double _offsets[] = { 0, 0.25, 0.5, -0.5 };

/* The mean place of the points of one label. @return how many they are */
static int _mean(const _question_t *q, int label, double place[2])
{
  int n = 0;
  place[0] = place[1] = 0;
  for(int i = 0; i < q->n; i++)
    if((int)q->labels[i] == label)
    {
      for(int k = 0; k < 2; k++) place[k] += q->points[i][k] + 0.5;
      n++;
    }
  for(int k = 0; n && k < 2; k++) place[k] /= n;
  return n;
}

/* Which place the scores and the look at the picture go by. */
static void _find_focus(const _family_t *f, const _question_t *q, double focus[2])
{
  double start[2], end[2];
  const gboolean box = _mean(q, 2, start) && _mean(q, 3, end) && f->boxes;
  if(_mean(q, 1, focus)) return;
  for(int k = 0; k < 2; k++) focus[k] = box ? (start[k] + end[k]) / 2 : 512;
}

/* What the encoder saw: at the focus, in the last corner, in the first. */
static double _compute_seen(void)
{
  static const double at_prompt[] = { 0.25, 0.5, 1 }, at_end[] = { 0.1, 0.2, 0.4 },
                      at_start[] = { 0.05, 0.1, 0.2 };
  double sum = 0;
  for(int c = 0; c < 3; c++) sum += (at_prompt[c] + at_start[c]) * _sky[c] + at_end[c] * _ground[c];
  return sum;
}

static double _compute_logit(const _family_t *f, const _question_t *q, int candidate, double x, double y)
{
  double p[2], n[2], a[2], b[2];
  const int plane = f->candidates[candidate];
  double sum = _offsets[plane] + (plane == 2 ? _compute_seen() : 0);
  if(_mean(q, 1, p)) sum += (_slopes[plane][0] * (x - p[0]) + _slopes[plane][1] * (y - p[1])) / 64;
  if(_mean(q, 0, n)) sum -= (x - n[0] + y - n[1]) / 256;
  if(f->boxes && _mean(q, 2, a) && _mean(q, 3, b))
    sum += fmin(fmin(x - a[0], b[0] - x), fmin(y - a[1], b[1] - y)) / 64;
  return sum;
}

/* What is added of the mask from before, which has @p from pixels a side, at a pixel of an answer. */
static double _compute_memory(const _family_t *f, const _question_t *q, int from, double x, double y)
{
  const double edge = 0.5 * SIDE / from;
  if(!q->has_before) return 0;
  return f->memory * _before(CLAMP(x, edge, SIDE - edge), CLAMP(y, edge, SIDE - edge));
}

/* --- comparing --- */

static void _compare_masks(const _family_t *f, const _question_t *q, const dt_ai_tensor_t *t, int from)
{
  const int side = (int)t->shape[3];
  const float *data = t->data;
  assert_int_equal(t->shape[1], f->n);
  for(int c = 0; c < f->n; c++)
    for(int i = 0; i < side * side; i++, data++)
    {
      const double x = _middle(i % side, side), y = _middle(i / side, side);
      const double wanted = _compute_logit(f, q, c, x, y) + _compute_memory(f, q, from, x, y);
      if(!(fabs(*data - wanted) < 1e-4))
        fail_msg("%s, %s, candidate %d at %g, %g of %d: %g instead of %g", f->model, q->name, c, x, y, side,
                 *data, wanted);
    }
}

static void _compare_scores(const _family_t *f, const _question_t *q, const dt_ai_tensor_t *t)
{
  double focus[2];
  const float *scores = t->data;
  int best = 0;
  _find_focus(f, q, focus);
  for(int c = 0; c < f->n; c++)
  {
    assert_float_equal(scores[c], 0.95 - 0.3 * fabs(focus[0] / SIDE - (c + 0.5) / f->n), 1e-6);
    if(scores[c] > scores[best]) best = c;
  }
  assert_int_equal(best, (int)(focus[0] * f->n / SIDE));
}

static void _compare(const _family_t *f, const _question_t *q, const _run_t *decoder)
{
  const gboolean segnext = f->memory == 0.5;
  for(int i = 0; i < decoder->n_out; i++)
    if(strcmp(dt_ai_get_output_name(decoder->ctx, i), "iou_predictions") == 0)
      _compare_scores(f, q, &decoder->out[i]);
    else
      _compare_masks(f, q, &decoder->out[i], segnext ? SIDE : SMALL);
}

static void _encode(_run_t *encoder, const char *model)
{
  _open(encoder, model, "encoder.onnx");
  encoder->in[0] = _make_tensor((const int64_t[]){ 1, 3, SIDE, SIDE }, 4);
  _draw(&encoder->in[0]);
  _make_outputs(encoder, SMALL);
  _go(encoder);
}

static void test_planes(void **state)
{
  (void)state;
  for(size_t k = 0; k < G_N_ELEMENTS(_families); k++)
  {
    _run_t encoder, decoder;
    _encode(&encoder, _families[k].model);
    for(size_t i = 0; i < G_N_ELEMENTS(_questions); i++)
    {
      _open(&decoder, _families[k].model, "decoder.onnx");
      _ask(&decoder, &encoder, &_questions[i]);
      _compare(&_families[k], &_questions[i], &decoder);
      _close(&decoder);
    }
    _close(&encoder);
  }
}

/* --- the model of colours --- */

/* The logit of the candidate at the pixel that has the place. */
static float _logit_at(const _run_t *decoder, int candidate, int x, int y)
{
  const float *masks = decoder->out[0].data;
  return masks[(size_t)candidate * SMALL * SMALL + (size_t)(y / 4 * SMALL + x / 4)];
}

/* A click on the ground takes the ground near it, one more on the sky's side takes that away again. */
static void test_colour(void **state)
{
  (void)state;
  static const _question_t questions[] = {
    { "the ground", 1, { { 512, 800 } }, { 1 }, FALSE },
    { "the sky", 2, { { 512, 300 }, { 512, 800 } }, { 1, 0 }, FALSE },
    { "a box", 2, { { 100, 100 }, { 500, 500 } }, { 2, 3 }, FALSE },
  };
  static const int places[][2] = { { 512, 800 }, { 560, 760 }, { 512, 690 }, { 512, 300 },
                                   { 450, 350 }, { 300, 300 }, { 90, 300 } };
  static const gboolean inside[][7] = { { 1, 1, 0, 0, 0, 0, 0 },
                                        { 0, 0, 0, 1, 1, 1, 0 },
                                        { 0, 0, 0, 0, 1, 1, 0 } };
  _run_t encoder, decoder;
  _encode(&encoder, "mask-object-colour");
  for(size_t i = 0; i < G_N_ELEMENTS(questions); i++)
  {
    _open(&decoder, "mask-object-colour", "decoder.onnx");
    _ask(&decoder, &encoder, &questions[i]);
    for(size_t k = 0; k < G_N_ELEMENTS(places); k++)
      if((_logit_at(&decoder, 0, places[k][0], places[k][1]) > 0) != inside[i][k])
        fail_msg("%s: %g at %d, %d", questions[i].name, _logit_at(&decoder, 0, places[k][0], places[k][1]),
                 places[k][0], places[k][1]);
    const float *scores = decoder.out[1].data;
    for(int c = 0; c < 3; c++) assert_true(scores[c] > 0.3f && scores[c] < 1);
    _close(&decoder);
  }
  _close(&encoder);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_planes),
    cmocka_unit_test(test_colour),
  };
  return cmocka_run_group_tests_name("mask_models", tests, _setup, _teardown);
}
