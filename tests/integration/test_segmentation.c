/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Masks against what they must be: the plane models (tests/fixtures/models/make_models.py) have logits that are known at
 * every place, so that masks of any picture size can be written down without the code under test. And what happens when
 * something goes wrong on the way, or somebody else is there too. */
#include "support.h"

#include "ai/segmentation.h"
#include "common/memory.h"

#include <glib/gstdio.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

static dt_ai_environment_t *_env;
static const char *_world;

/* --- models of the test's own: files of the fixtures in other company --- */

static void _copy_file(const char *model, const char *file, const char *folder, const char *name)
{
  char *relative = g_strdup_printf("models/%s/%s", model, file), *from = test_fixture(relative),
       *to = g_build_filename(folder, name, NULL), *bytes = NULL;
  gsize n = 0;
  assert_true(g_file_get_contents(from, &bytes, &n, NULL));
  assert_true(g_file_set_contents(to, bytes, (gssize)n, NULL));
  g_free(bytes);
  g_free(to);
  g_free(from);
  g_free(relative);
}

typedef struct _mix_t
{
  const char *id, *arch, *more;
  const char *encoder, *encoder_file, *decoder, *decoder_file; /* model and its file, or NULL: none */
  const char *words;                                           /* of the refusal, or NULL */
} _mix_t;

static const _mix_t _mixes[] = {
  { "mix-antialias", "sam2", ", \"attributes\": {\"antialias\": true}", "mask-object-plane-sam2",
    "encoder.onnx", "mask-object-plane-sam2", "decoder.onnx", NULL },
  { "mix-generic", "generic", "", "mask-object-plane-segnext", "encoder.onnx", "mask-object-plane-segnext",
    "decoder.onnx", NULL },
  { "mix-lone", "sam2", "", "mask-object-plane-sam2", "encoder.onnx", NULL, NULL,
    "there is no decoder.onnx" },
  { "mix-headless", "sam2", "", NULL, NULL, "mask-object-plane-sam2", "decoder.onnx",
    "there is no encoder.onnx" },
  { "mix-arch", "segnext", "", "mask-object-plane-sam2", "encoder.onnx", "mask-object-plane-sam2",
    "decoder.onnx", "its manifest says arch \"segnext\", but the decoder has \"mask_input\"" },
  { "mix-arch2", "sam2", "", "mask-object-plane-segnext", "encoder.onnx", "mask-object-plane-segnext",
    "decoder.onnx", "its manifest says arch \"sam2\", but the decoder has \"prev_mask\"" },
  { "mix-coords", "sam2", "", "mask-object-plane-sam2", "encoder.onnx", "denoise-conv3", "model.onnx",
    "its decoder has no \"point_coords\"" },
  { "mix-swapped", "sam2", "", "mask-object-plane-sam2", "decoder.onnx", "mask-object-plane-sam2",
    "encoder.onnx", "its encoder has 7 inputs instead of one" },
  { "mix-free", "sam2", "", "denoise-conv3", "model.onnx", "mask-object-plane-sam2", "decoder.onnx",
    "its encoder's input has the shape [1, 3, ?, ?] instead of [1, 3, 1024, 1024]" },
  { "mix-more", "sam2", "", "mask-object-plane-sam2", "encoder.onnx", "mask-object-plane-sam", "decoder.onnx",
    "its decoder has no input for the encoder's output \"high_res_feats_1\"" },
  { "mix-fewer", "sam2", "", "mask-object-plane-segnext", "encoder.onnx", "mask-object-plane-sam2",
    "decoder.onnx", "its decoder has no input for the encoder's output \"image_feats\"" },
  { "mix-missing", "sam", "", "mask-object-plane-sam", "encoder.onnx", "mask-object-plane-samhq",
    "decoder.onnx", "its decoder has no input for the encoder's output \"interm\"" },
};

static void _write_mix(const _mix_t *mix, const char *folder)
{
  char *own = g_build_filename(folder, mix->id, NULL), *config = g_build_filename(own, "config.json", NULL);
  char *text = g_strdup_printf("{\"id\": \"%s\", \"name\": \"%s\", \"task\": \"mask\", \"arch\": \"%s\"%s}",
                               mix->id, mix->id, mix->arch, mix->more);
  assert_int_equal(g_mkdir_with_parents(own, 0700), 0);
  assert_true(g_file_set_contents(config, text, -1, NULL));
  if(mix->encoder) _copy_file(mix->encoder, mix->encoder_file, own, "encoder.onnx");
  if(mix->decoder) _copy_file(mix->decoder, mix->decoder_file, own, "decoder.onnx");
  g_free(text);
  g_free(config);
  g_free(own);
}

static int _setup(void **state)
{
  (void)state;
  _world = test_world_create();
  char *mixes = g_build_filename(_world, "mixes", NULL), *fixtures = test_fixture("models");
  for(size_t i = 0; i < G_N_ELEMENTS(_mixes); i++) _write_mix(&_mixes[i], mixes);
  char *paths = g_strjoin(";", fixtures, mixes, NULL);
  _env = dt_ai_env_init(paths);
  assert_non_null(_env);
  g_free(paths);
  g_free(fixtures);
  g_free(mixes);
  return 0;
}

static int _teardown(void **state)
{
  (void)state;
  dt_ai_env_destroy(_env);
  test_world_destroy();
  return 0;
}

static dt_seg_context_t *_load(const char *id)
{
  GError *error = NULL;
  dt_seg_context_t *ctx = dt_seg_load_ext(_env, id, NULL, &error);
  assert_no_error(error);
  return ctx;
}

/* --- what the plane models must answer (tests/fixtures/models/README.md) --- */

enum
{
  ACROSS,
  DOWN,
  SEEN,
  BACK,
};

typedef struct _plane_t
{
  const char *id;
  gboolean segnext;
  int side;        /* of the masks */
  int last, first; /* sizes of the squares whose colour shows, in the last corner and in the first */
  int n_masks, masks[4];
} _plane_t;

static const _plane_t _planes[] = {
  { "mask-object-plane-sam", FALSE, 1024, 4, 4, 3, { ACROSS, DOWN, SEEN } },
  { "mask-object-plane-samhq", FALSE, 1024, 16, 16, 1, { SEEN } },
  { "mask-object-plane-sam2", FALSE, 256, 4, 8, 3, { ACROSS, DOWN, SEEN } },
  { "mask-object-plane-sam2hq", FALSE, 1024, 4, 8, 4, { ACROSS, DOWN, SEEN, BACK } },
  { "mask-object-plane-segnext", TRUE, 1024, 16, 16, 1, { SEEN } },
};
static const struct
{
  double x, y, offset;
} _slopes[] = { { 1, 0, 0 }, { 0, 1, 0.25 }, { 0.6, 0.8, 0.5 }, { -0.8, 0.6, -0.5 } };

/* Logits x X + y Y + at, in the encoder's square. */
typedef struct _logits_t
{
  double x, y, at;
} _logits_t;

typedef struct _case_t
{
  const _plane_t *plane;
  int width, height; /* of the picture */
  int fitted[2];     /* of it in the square */
  uint8_t rgb[3];
  double places[4][2]; /* in the square, the mean of the points of each label */
  gboolean has[4];
  _logits_t past; /* (SegNext: where it is above 0) */
  gboolean goes_on;
  int candidate;
  _logits_t now; /* of the candidate, but for box and past */
} _case_t;

static const uint8_t _grey[3] = { 119, 130, 90 };

static _case_t _new_case(const _plane_t *plane, int width, int height)
{
  _case_t c = { .plane = plane, .width = width, .height = height };
  const double scale = 1024.0 / MAX(width, height);
  c.fitted[0] = MAX(1, (int)floor(width * scale + 0.5));
  c.fitted[1] = MAX(1, (int)floor(height * scale + 0.5));
  memcpy(c.rgb, _grey, 3);
  return c;
}

static void _set_points(_case_t *c, const dt_seg_point_t *points, int n)
{
  int count[4] = { 0 };
  memset(c->places, 0, sizeof c->places);
  for(int i = 0; i < n; i++)
  {
    count[points[i].label]++;
    c->places[points[i].label][0] += ((double)points[i].x + 0.5) * c->fitted[0] / c->width;
    c->places[points[i].label][1] += ((double)points[i].y + 0.5) * c->fitted[1] / c->height;
  }
  for(int label = 0; label < 4; label++)
  {
    c->has[label] = count[label] > 0;
    for(int k = 0; k < 2; k++) c->places[label][k] /= MAX(count[label], 1);
  }
}

/* The place whose colour shows, along one axis. */
static double _focus(const _case_t *c, int axis)
{
  if(c->has[1]) return c->places[1][axis];
  return c->has[2] && c->has[3] ? (c->places[2][axis] + c->places[3][axis]) / 2 : 512;
}

/* How much of a square of @p size is picture; the rest is padding. */
static double _share(const _case_t *c, int size, int column, int row)
{
  const double x = CLAMP(c->fitted[0] - column * size, 0, size),
               y = CLAMP(c->fitted[1] - row * size, 0, size);
  return x * y / (size * size);
}

/* The same, looked up between squares of 16. */
static double _share_at(const _case_t *c, double x, double y)
{
  const double u = CLAMP(x / 16 - 0.5, 0, 63), v = CLAMP(y / 16 - 0.5, 0, 63);
  const int i = MIN((int)u, 62), j = MIN((int)v, 62);
  return (1 - (v - j)) * ((1 - (u - i)) * _share(c, 16, i, j) + (u - i) * _share(c, 16, i + 1, j))
         + (v - j) * ((1 - (u - i)) * _share(c, 16, i, j + 1) + (u - i) * _share(c, 16, i + 1, j + 1));
}

/* A mean of colours, weighted; the padding was zero before everything was normalised. */
static double _colour(const _case_t *c, double share, double red, double green, double blue)
{
  static const double mean[] = { 123.675, 116.28, 103.53 }, deviation[] = { 58.395, 57.12, 57.375 };
  const double weights[] = { red, green, blue };
  double sum = 0;
  for(int k = 0; k < 3; k++)
    sum += weights[k]
           * (c->plane->segnext ? share * c->rgb[k] / 255 : (share * c->rgb[k] - mean[k]) / deviation[k]);
  return sum;
}

static double _seen(const _case_t *c)
{
  const _plane_t *p = c->plane;
  return _colour(c, _share_at(c, _focus(c, 0), _focus(c, 1)), 0.25, 0.5, 1)
         + _colour(c, _share(c, p->last, 1024 / p->last - 1, 1024 / p->last - 1), 0.1, 0.2, 0.4)
         + _colour(c, _share(c, p->first, 0, 0), 0.05, 0.1, 0.2);
}

/* The logits of a candidate but for box and past. */
static _logits_t _plane_of(const _case_t *c, int candidate)
{
  const int kind = c->plane->masks[candidate];
  _logits_t l = { 0, 0, _slopes[kind].offset + (kind == SEEN ? _seen(c) : 0) };
  if(c->has[1])
  {
    l.x += _slopes[kind].x / 64;
    l.y += _slopes[kind].y / 64;
    l.at -= (_slopes[kind].x * c->places[1][0] + _slopes[kind].y * c->places[1][1]) / 64;
  }
  if(c->has[0])
  {
    l.x -= 1.0 / 256;
    l.y -= 1.0 / 256;
    l.at += (c->places[0][0] + c->places[0][1]) / 256;
  }
  return l;
}

static void _set_candidate(_case_t *c, int candidate)
{
  c->candidate = candidate;
  c->now = _plane_of(c, candidate);
}

static double _score(const _case_t *c, int candidate)
{
  const int n = c->plane->n_masks;
  return 0.95 - 0.3 * fabs(_focus(c, 0) / 1024 - (candidate + 0.5) / n);
}

static int _best(const _case_t *c)
{
  int best = 0;
  for(int i = 1; i < c->plane->n_masks; i++)
    if(_score(c, i) > _score(c, best)) best = i;
  return best;
}

static double _at(const _logits_t *l, double x, double y)
{
  return l->x * x + l->y * y + l->at;
}

static double _inside_box(const _case_t *c, double x, double y)
{
  return MIN(MIN(x - c->places[2][0], c->places[3][0] - x), MIN(y - c->places[2][1], c->places[3][1] - y));
}

/* What a decoder adds for the mask it goes on from. */
static double _past(const _case_t *c, double x, double y)
{
  if(!c->goes_on) return 0;
  if(c->plane->segnext) return _at(&c->past, x, y) > 0 ? 0.5 : 0;
  return 0.25 * _at(&c->past, CLAMP(x, 2, 1022), CLAMP(y, 2, 1022));
}

/* The logit of a cell of the grid. */
static double _cell(const _case_t *c, int column, int row)
{
  const double cell = 1024.0 / c->plane->side, x = (column + 0.5) * cell, y = (row + 0.5) * cell;
  const double box = c->has[2] && c->has[3] ? _inside_box(c, x, y) / 64 : 0;
  return _at(&c->now, x, y) + box + _past(c, x, y);
}

/* Whether rounding may decide what the past of a cell was. */
static gboolean _is_doubtful(const _case_t *c, int column, int row)
{
  return c->plane->segnext && c->goes_on && fabs(_at(&c->past, column + 0.5, row + 0.5)) < 1e-4;
}

/* The mask at a pixel: NAN where it cannot be known. */
static double _expect(const _case_t *c, int px, int py)
{
  const double cell = 1024.0 / c->plane->side;
  const int columns = (int)ceil(c->fitted[0] / cell), rows = (int)ceil(c->fitted[1] / cell);
  const double x = CLAMP((px + 0.5) / c->width * c->fitted[0] / cell - 0.5, 0, columns - 1);
  const double y = CLAMP((py + 0.5) / c->height * c->fitted[1] / cell - 0.5, 0, rows - 1);
  const int x0 = (int)x, y0 = (int)y, x1 = MIN(x0 + 1, columns - 1), y1 = MIN(y0 + 1, rows - 1);
  if(_is_doubtful(c, x0, y0) || _is_doubtful(c, x1, y0) || _is_doubtful(c, x0, y1) || _is_doubtful(c, x1, y1))
    return NAN;
  const double above = (1 - (x - x0)) * _cell(c, x0, y0) + (x - x0) * _cell(c, x1, y0),
               below = (1 - (x - x0)) * _cell(c, x0, y1) + (x - x0) * _cell(c, x1, y1);
  return 1 / (1 + exp(-((1 - (y - y0)) * above + (y - y0) * below)));
}

/* Compares a mask with what is expected, at most at about 40 000 pixels (200 000 with the full counts). */
static void _check_mask(const _case_t *c, const float *mask)
{
  const size_t n = (size_t)c->width * (size_t)c->height, most = test_is_long() ? 200000 : 40000,
               step = n > most ? n / most | 1 : 1;
  double worst = 0;
  size_t at = 0, known = 0;
  for(size_t i = 0; i < n; i += step)
  {
    const int x = (int)(i % (size_t)c->width), y = (int)(i / (size_t)c->width);
    const double difference = fabs((double)mask[i] - _expect(c, x, y));
    known += difference >= 0;
    if(difference > worst) worst = difference, at = i;
  }
  assert_true(known > 0);
  if(worst > 1e-4)
    fail_msg("%s, %d×%d, candidate %d: %g at pixel %zu", c->plane->id, c->width, c->height, c->candidate,
             worst, at);
}

static void _check_candidates(_case_t *c, const dt_seg_answer_t *answer)
{
  float *mask = g_new(float, (size_t)c->width *(size_t)c->height);
  assert_int_equal(answer->n, c->plane->n_masks);
  assert_int_equal(answer->best, _best(c));
  for(int i = 0; i < answer->n; i++)
  {
    _set_candidate(c, i);
    assert_true(dt_seg_answer_to_mask(answer, i, mask, c->width, c->height, NULL));
    _check_mask(c, mask);
  }
  g_free(mask);
}

/* --- pictures --- */

/* Of one colour, or none at all: rows that go wrong. */
typedef struct _flat_t
{
  dt_row_source_t source;
  float linear[3];
  int reads, fail_at;
  gboolean stripes; /* every third column is white, from the second on; the others are black */
  GCancellable *cancel;
  int cancel_at;
  gint *gate; /* waits until it is not 0 */
  gint *destroyed;
} _flat_t;

static void _fill_row(const _flat_t *f, float *row)
{
  for(int x = 0; x < f->source.width; x++)
    for(int c = 0; c < 3; c++) row[3 * x + c] = f->stripes ? (float)(x % 3 == 1) : f->linear[c];
}

static gboolean _read_flat(dt_row_source_t *self, int y, int n, float *rows, GError **error)
{
  _flat_t *f = (_flat_t *)self;
  while(f->gate && !g_atomic_int_get(f->gate)) g_usleep(1000);
  if(f->cancel && y >= f->cancel_at) g_cancellable_cancel(f->cancel);
  f->reads++;
  assert_int_equal(n, 1);
  if(y >= f->fail_at)
  {
    g_set_error_literal(error, DT_AI_ERROR, DT_AI_ERROR_INPUT, "the file ends here");
    return FALSE;
  }
  _fill_row(f, rows);
  return TRUE;
}

static void _destroy_flat(dt_row_source_t *self)
{
  _flat_t *f = (_flat_t *)self;
  if(f->destroyed) g_atomic_int_inc(f->destroyed);
  g_clear_object(&f->cancel);
  g_free(f);
}

static _flat_t *_flat(int width, int height, const uint8_t rgb[3])
{
  _flat_t *f = g_new0(_flat_t, 1);
  f->source = (dt_row_source_t){
    .width = width, .height = height, .channels = 3, .read = _read_flat, .destroy = _destroy_flat
  };
  for(int c = 0; rgb && c < 3; c++)
    f->linear[c] =
        (float)(rgb[c] <= 10 ? rgb[c] / 255.0 / 12.92 : pow((rgb[c] / 255.0 + 0.055) / 1.055, 2.4));
  f->fail_at = G_MAXINT;
  return f;
}

static void _encode_flat(dt_seg_context_t *ctx, int width, int height, const uint8_t rgb[3])
{
  GError *error = NULL;
  _flat_t *f = _flat(width, height, rgb);
  assert_true(dt_seg_encode(ctx, &f->source, NULL, NULL, NULL, &error));
  assert_no_error(error);
  dt_row_source_destroy(&f->source);
}

static dt_seg_answer_t *_ask(dt_seg_context_t *ctx, const dt_seg_prompts_t *prompts)
{
  GError *error = NULL;
  dt_seg_answer_t *answer = dt_seg_answer(ctx, prompts, NULL, &error);
  assert_no_error(error);
  assert_non_null(answer);
  return answer;
}

static void _refuse(dt_seg_context_t *ctx, const dt_seg_prompts_t *prompts, int code, const char *words)
{
  GError *error = NULL;
  assert_null(dt_seg_answer(ctx, prompts, NULL, &error));
  assert_non_null(error);
  if(error->code != code || !strstr(error->message, words))
    fail_msg("\"%s\" (%d) instead of \"%s\" (%d)", error->message, error->code, words, code);
  g_error_free(error);
}

static const dt_seg_point_t _middle = { 300, 200, DT_SEG_FOREGROUND };
static const dt_seg_prompts_t _one = { .points = &_middle, .n_points = 1 };

/* --- masks --- */

static const int _sizes[][2] = {
  { 1, 1 },      { 1, 20000 }, { 20000, 1 },   { 2, 1 },    { 1023, 1025 }, { 1024, 1024 }, { 1024, 683 },
  { 683, 1024 }, { 256, 256 }, { 6000, 4000 }, { 3, 2500 }, { 1025, 1 },    { 2048, 2048 }, { 1000, 7 },
};

static void _check_size(dt_seg_context_t *ctx, const _plane_t *plane, int width, int height,
                        test_random_t *random)
{
  const uint8_t rgb[] = { (uint8_t)test_random_int(random, 0, 255), (uint8_t)test_random_int(random, 0, 255),
                          (uint8_t)test_random_int(random, 0, 255) };
  dt_seg_point_t points[4];
  const int n = test_random_int(random, 1, 4);
  for(int i = 0; i < n; i++)
    points[i] = (dt_seg_point_t){ (float)test_random_range(random, -0.5, width - 0.5),
                                  (float)test_random_range(random, -0.5, height - 0.5), i % 3 != 1 };
  _case_t c = _new_case(plane, width, height);
  memcpy(c.rgb, rgb, 3);
  _set_points(&c, points, n);
  _set_candidate(&c, _best(&c));
  int w, h;
  _encode_flat(ctx, width, height, rgb);
  float *mask = dt_seg_compute_mask(ctx, points, n, &w, &h);
  assert_non_null(mask);
  assert_int_equal(w, width);
  assert_int_equal(h, height);
  _check_mask(&c, mask);
  g_free(mask);
}

static void test_masks_of_all_sizes(void **state)
{
  (void)state;
  const int n = test_is_long() ? 200 : 50, fixed = (int)G_N_ELEMENTS(_sizes);
  for(size_t k = 0; k < G_N_ELEMENTS(_planes); k++)
  {
    test_random_t random = { 11 + k };
    dt_seg_context_t *ctx = _load(_planes[k].id);
    for(int i = 0; i < n; i++)
    {
      const int longest = i % 5 ? 500 : 1500;
      const int width = i < fixed ? _sizes[i][0] : test_random_int(&random, 1, longest);
      const int height = i < fixed ? _sizes[i][1] : test_random_int(&random, 1, longest);
      _check_size(ctx, &_planes[k], width, height, &random);
    }
    dt_seg_free(ctx);
  }
}

static void test_candidates(void **state)
{
  (void)state;
  for(size_t k = 0; k < G_N_ELEMENTS(_planes); k++)
  {
    dt_seg_context_t *ctx = _load(_planes[k].id);
    _case_t c = _new_case(&_planes[k], 800, 450);
    _set_points(&c, &_middle, 1);
    _encode_flat(ctx, 800, 450, _grey);
    dt_seg_answer_t *answer = _ask(ctx, &_one);
    _check_candidates(&c, answer);
    for(int i = 0; i < answer->n; i++)
      if(_planes[k].segnext)
        assert_true(isnan(answer->iou[i]));
      else
        assert_float_equal(answer->iou[i], _score(&c, i), 1e-6);
    GError *error = NULL;
    assert_false(dt_seg_answer_to_mask(answer, answer->n, NULL, 1, 1, &error));
    assert_int_equal(error->code, DT_AI_ERROR_USAGE);
    g_error_free(error);
    dt_seg_answer_free(answer);
    dt_seg_free(ctx);
  }
}

/* Counted one by one, of the picture alone. */
static void test_stability(void **state)
{
  (void)state;
  dt_seg_context_t *ctx = _load("mask-object-plane-sam2");
  _encode_flat(ctx, 800, 450, _grey);
  dt_seg_answer_t *answer = _ask(ctx, &_one);
  for(int i = 0; i < answer->n; i++)
  {
    double strict = 0, generous = 0;
    for(int y = 0; y < 144; y++)
      for(int x = 0; x < 256; x++)
      {
        const float v = answer->logits[(i * 256 + y) * 256 + x];
        strict += v > 1;
        generous += v > -1;
      }
    assert_true(strict > 0);
    assert_float_equal(answer->stability[i], strict / generous, 1e-6);
  }
  dt_seg_answer_free(answer);
  dt_seg_free(ctx);
}

/* Scores that are no numbers are never the best. */
static void test_unsure(void **state)
{
  (void)state;
  dt_seg_context_t *ctx = _load("mask-object-plane-unsure");
  _encode_flat(ctx, 800, 450, _grey);
  dt_seg_answer_t *answer = _ask(ctx, &_one);
  assert_true(isnan(answer->iou[0]) && isnan(answer->iou[2]));
  assert_int_equal(answer->best, 1);
  dt_seg_answer_free(answer);
  dt_seg_free(ctx);
}

/* --- going on from an answer --- */

static void _check_next(dt_seg_context_t *ctx, _case_t *c, const dt_seg_point_t *points, int n,
                        gboolean fresh, gboolean goes_on)
{
  const dt_seg_prompts_t prompts = { .points = points, .n_points = n, .fresh = fresh };
  dt_seg_answer_t *answer = _ask(ctx, &prompts);
  _set_points(c, points, n);
  c->goes_on = goes_on;
  _check_candidates(c, answer);
  dt_seg_answer_free(answer);
}

static void _check_refinement(const _plane_t *plane)
{
  static const dt_seg_point_t points[] = { { 300, 200, DT_SEG_FOREGROUND },
                                           { 20, 440, DT_SEG_BACKGROUND },
                                           { 700, 10, DT_SEG_FOREGROUND } };
  dt_seg_context_t *ctx = _load(plane->id);
  _case_t c = _new_case(plane, 800, 450);
  _encode_flat(ctx, 800, 450, _grey);
  assert_null(dt_seg_save_prev_mask(ctx));
  assert_false(dt_seg_choose(ctx, 0));
  _check_next(ctx, &c, points, 1, FALSE, FALSE);
  const _case_t first = c;
  c.past = _plane_of(&first, _best(&first));
  GBytes *saved = dt_seg_save_prev_mask(ctx);
  assert_non_null(saved);
  _check_next(ctx, &c, points, 3, FALSE, TRUE);

  dt_seg_reset_prev_mask(ctx); /* but the picture stays */
  assert_true(dt_seg_is_encoded(ctx));
  _check_next(ctx, &c, points, 3, FALSE, FALSE);
  _check_next(ctx, &c, points, 1, TRUE, FALSE); /* as if nothing had been before */
  _check_next(ctx, &c, points, 3, FALSE, TRUE);

  dt_seg_restore_prev_mask(ctx, saved); /* one step back */
  _check_next(ctx, &c, points, 3, FALSE, TRUE);
  g_bytes_unref(saved);

  _check_next(ctx, &c, points, 1, TRUE, FALSE);
  for(int i = plane->n_masks - 1; i >= 0; i--)
    assert_true(dt_seg_choose(ctx, i)); /* the first, not the best */
  assert_false(dt_seg_choose(ctx, plane->n_masks));
  assert_false(dt_seg_choose(ctx, -1));
  c.past = _plane_of(&first, 0);
  _check_next(ctx, &c, points, 2, FALSE, TRUE);
  dt_seg_free(ctx);
}

static void test_refinement(void **state)
{
  (void)state;
  for(size_t k = 0; k < G_N_ELEMENTS(_planes); k++) _check_refinement(&_planes[k]);
}

/* An answer that fails leaves what was before it. */
static void test_failure_keeps_memory(void **state)
{
  (void)state;
  const _plane_t *plane = &_planes[2];
  const dt_seg_point_t outside = { -1, 0, DT_SEG_FOREGROUND };
  const dt_seg_prompts_t wrong = { .points = &outside, .n_points = 1 };
  dt_seg_context_t *ctx = _load(plane->id);
  _case_t c = _new_case(plane, 800, 450);
  _encode_flat(ctx, 800, 450, _grey);
  _check_next(ctx, &c, &_middle, 1, FALSE, FALSE);
  c.past = _plane_of(&c, _best(&c));
  _refuse(ctx, &wrong, DT_AI_ERROR_INPUT, "outside the picture, which has 800×450 pixels");
  _check_next(ctx, &c, &_middle, 1, FALSE, TRUE);
  /* nor does a memory that is not this model's do harm */
  GBytes *odd = g_bytes_new("odd", 3);
  dt_seg_restore_prev_mask(ctx, odd);
  g_bytes_unref(odd);
  _check_next(ctx, &c, &_middle, 1, FALSE, FALSE);
  dt_seg_free(ctx);
}

/* --- boxes and rough masks --- */

static void test_boxes(void **state)
{
  (void)state;
  const dt_seg_point_t box[] = { { 100, 50, DT_SEG_BOX_TOP_LEFT },
                                 { 700, 300, DT_SEG_BOX_BOTTOM_RIGHT },
                                 { 350, 90, DT_SEG_FOREGROUND } };
  const dt_seg_point_t turned[] = { box[1], box[0] };
  const dt_seg_prompts_t whole = { .points = box, .n_points = 3 }, half = { .points = box, .n_points = 1 },
                         other = { .points = box + 1, .n_points = 2 },
                         wrong = { .points = turned, .n_points = 2 };
  const dt_seg_point_t strange = { 1, 1, 4 };
  const dt_seg_prompts_t unknown = { .points = &strange, .n_points = 1 };
  dt_seg_context_t *ctx = _load(_planes[2].id);
  _case_t c = _new_case(&_planes[2], 800, 450);
  _encode_flat(ctx, 800, 450, _grey);
  assert_true(dt_seg_supports_box(ctx));
  _check_next(ctx, &c, box, 3, TRUE, FALSE);
  _refuse(ctx, &half, DT_AI_ERROR_USAGE, "two corners");
  _refuse(ctx, &other, DT_AI_ERROR_USAGE, "two corners");
  _refuse(ctx, &wrong, DT_AI_ERROR_USAGE, "two corners");
  _refuse(ctx, &unknown, DT_AI_ERROR_USAGE, "foreground, background or a corner");
  dt_seg_free(ctx);

  ctx = _load("mask-object-plane-segnext");
  _encode_flat(ctx, 800, 450, _grey);
  assert_false(dt_seg_supports_box(ctx));
  _refuse(ctx, &whole, DT_AI_ERROR_INPUT, "does not understand boxes");
  dt_seg_free(ctx);
}

/* A rough mask that rises evenly goes in as logits from -10 to 10. */
static void _check_rough(const _plane_t *plane, int width, int height, gboolean with_point)
{
  float *rough = g_new(float, width *height);
  for(int i = 0; i < width * height; i++) rough[i] = (float)((i % width + 0.5) / width);
  dt_seg_context_t *ctx = _load(plane->id);
  _case_t c = _new_case(plane, 1024, 1024);
  const dt_seg_prompts_t prompts = {
    .points = &_middle, .n_points = with_point, .rough = rough, .rough_width = width, .rough_height = height
  };
  _encode_flat(ctx, 1024, 1024, _grey);
  dt_seg_answer_t *answer = _ask(ctx, &prompts);
  _set_points(&c, &_middle, with_point);
  c.goes_on = TRUE;
  c.past = plane->segnext ? (_logits_t){ 1.0 / 1024, 0, -0.5 } : (_logits_t){ 20.0 / 1024, 0, -10 };
  float *mask = g_new(float, 1024 * 1024);
  assert_true(dt_seg_answer_to_mask(answer, answer->best, mask, 1024, 1024, NULL));
  _set_candidate(&c, answer->best);
  for(int y = 0; y < 1024;
      y += 37) /* beyond the outermost pixels' middles it is flat, and near them antialiased */
    for(int x = 1024 / width + 8; x < 1024 - 1024 / width - 8; x++)
    {
      const double wanted = _expect(&c, x, y);
      if(!isnan(wanted)) assert_float_equal(mask[y * 1024 + x], wanted, width < 256 ? 1e-4 : 2e-3);
    }
  g_free(mask);
  dt_seg_answer_free(answer);
  dt_seg_free(ctx);
  g_free(rough);
}

static void test_rough_masks(void **state)
{
  (void)state;
  for(size_t k = 0; k < G_N_ELEMENTS(_planes); k++)
  {
    _check_rough(&_planes[k], 64, 48, FALSE);
    _check_rough(&_planes[k], 1024, 3, TRUE);
  }
  _check_rough(&_planes[2], 3000, 2000, FALSE);
}

/* The padding is not the object, whatever the rough mask says at its edge; and numbers that are none say nothing. */
static void test_odd_rough_masks(void **state)
{
  (void)state;
  dt_seg_context_t *ctx = _load("mask-object-plane-sam2");
  _encode_flat(ctx, 800, 450, _grey);
  const float odd[] = { NAN, 7, -INFINITY, 1 };
  dt_seg_answer_t *answers[2];
  for(int i = 0; i < 2; i++)
  {
    const dt_seg_prompts_t prompts = { .rough = odd + 2 * i + (i == 0), .rough_width = 1, .rough_height = 1 };
    answers[i] = _ask(ctx, &prompts); /* 7, then -infinity */
  }
  assert_float_equal(answers[0]->logits[0] - answers[1]->logits[0], 0.25 * 20, 1e-4);
  assert_float_equal(answers[0]->logits[255 * 256], answers[1]->logits[255 * 256], 1e-5);
  const dt_seg_prompts_t none = { .rough = odd, .rough_width = 1, .rough_height = 1 },
                         empty = { .rough = odd, .rough_width = 0, .rough_height = 1 };
  dt_seg_answer_t *answer = _ask(ctx, &none);
  assert_float_equal(answer->logits[0], answers[1]->logits[0], 1e-5);
  _refuse(ctx, &empty, DT_AI_ERROR_USAGE, "no size");
  dt_seg_answer_free(answer);
  for(int i = 0; i < 2; i++) dt_seg_answer_free(answers[i]);
  dt_seg_free(ctx);
}

/* --- many prompts, none, and wrong ones --- */

static void test_many_prompts(void **state)
{
  (void)state;
  test_random_t random = { 200 };
  dt_seg_point_t *points = g_new0(dt_seg_point_t, DT_SEG_MAX_POINTS + 1);
  for(int i = 0; i <= DT_SEG_MAX_POINTS; i++)
    points[i] = (dt_seg_point_t){ (float)test_random_range(&random, -0.5, 799.5),
                                  (float)test_random_range(&random, -0.5, 449.5), i % 2 };
  for(size_t k = 0; k < G_N_ELEMENTS(_planes); k++)
  {
    dt_seg_context_t *ctx = _load(_planes[k].id);
    _case_t c = _new_case(&_planes[k], 800, 450);
    _encode_flat(ctx, 800, 450, _grey);
    _check_next(ctx, &c, points, 200, TRUE, FALSE);
    const dt_seg_prompts_t all = { .points = points, .n_points = DT_SEG_MAX_POINTS };
    dt_seg_answer_free(_ask(ctx, &all));
    const dt_seg_prompts_t more = { .points = points, .n_points = DT_SEG_MAX_POINTS + 1 };
    _refuse(ctx, &more, DT_AI_ERROR_USAGE, "1025 points are too many");
    dt_seg_free(ctx);
  }
  g_free(points);
}

static void test_wrong_prompts(void **state)
{
  (void)state;
  static const float places[][2] = { { -0.51f, 3 }, { 3, -1 },       { 800, 3 },       { 3, 450 },
                                     { NAN, 3 },    { 3, INFINITY }, { -1e30f, 1e30f } };
  const dt_seg_prompts_t nothing = { 0 }, negative = { .points = &_middle, .n_points = -1 },
                         lost = { .n_points = 1 };
  dt_seg_context_t *ctx = _load("mask-object-plane-sam2");
  _refuse(ctx, &_one, DT_AI_ERROR_USAGE, "no encoded picture");
  _encode_flat(ctx, 800, 450, _grey);
  for(size_t i = 0; i < G_N_ELEMENTS(places); i++)
  {
    const dt_seg_point_t point = { places[i][0], places[i][1], DT_SEG_FOREGROUND };
    const dt_seg_prompts_t outside = { .points = &point, .n_points = 1 };
    _refuse(ctx, &outside, DT_AI_ERROR_INPUT, "outside the picture, which has 800×450 pixels");
  }
  _refuse(ctx, &nothing, DT_AI_ERROR_USAGE, "Say what is meant");
  _refuse(ctx, &negative, DT_AI_ERROR_USAGE, "Say what is meant");
  _refuse(ctx, &lost, DT_AI_ERROR_USAGE, "Say what is meant");
  assert_null(dt_seg_compute_mask(ctx, NULL, 0, NULL, NULL));
  assert_int_equal(dt_ai_last_error()->code, DT_AI_ERROR_USAGE);
  dt_seg_free(ctx);
}

/* --- models --- */

static void test_published(void **state)
{
  (void)state;
  static const struct
  {
    const char *id;
    int n, side;
  } models[] = { { "mask-object-published-sam2", 3, 256 },
                 { "mask-object-published-segnext", 1, 1024 },
                 { "mask-object-tiny", 3, 1024 },
                 { "mix-generic", 1, 1024 } };
  for(size_t i = 0; i < G_N_ELEMENTS(models); i++)
  {
    dt_seg_context_t *ctx = _load(models[i].id);
    assert_string_equal(dt_seg_get_model_id(ctx), models[i].id);
    assert_int_equal(strlen(dt_seg_get_model_hash(ctx)), 64);
    assert_int_equal(dt_seg_get_provider(ctx), DT_AI_PROVIDER_CPU);
    assert_null(dt_seg_get_fallback(ctx));
    _encode_flat(ctx, 640, 480, _grey);
    for(int round = 0; round < 3; round++)
    {
      dt_seg_answer_t *answer = _ask(ctx, &_one);
      assert_int_equal(answer->n, models[i].n);
      assert_int_equal(answer->columns, models[i].side);
      assert_int_equal(answer->rows, models[i].side);
      assert_float_equal(answer->height, answer->rows * 0.75, 0);
      dt_seg_answer_free(answer);
    }
    dt_seg_free(ctx);
  }
}

/* A model of the published names, sizes and layers, made here: load, encode, answer, refine. */
static void test_sam21_shape(void **state)
{
  (void)state;
  if(!test_is_long()) skip();
  char *script = g_build_filename(DT_TEST_SOURCE_DIR, "tests", "support", "make_sam21.py", NULL),
       *folder = g_build_filename(_world, "sam21", NULL);
  const char *const asks[] = { "/usr/bin/python3", "-c", "import numpy, onnx", NULL },
                    *makes[] = { "/usr/bin/python3", script, folder, NULL };
  int status = -1;
  const GSpawnFlags quiet = G_SPAWN_STDERR_TO_DEV_NULL;
  if(!g_spawn_sync(NULL, (char **)asks, NULL, quiet, NULL, NULL, NULL, NULL, &status, NULL) || status) skip();
  assert_true(g_spawn_sync(NULL, (char **)makes, NULL, 0, NULL, NULL, NULL, NULL, &status, NULL));
  assert_int_equal(status, 0);
  dt_ai_environment_t *env = dt_ai_env_init(folder);
  GError *error = NULL;
  dt_seg_context_t *ctx = dt_seg_load_ext(env, "mask-object-sam21-shape", NULL, &error);
  assert_no_error(error);
  _encode_flat(ctx, 640, 480, _grey);
  for(int round = 0; round < 3; round++)
  {
    dt_seg_answer_t *answer = _ask(ctx, &_one);
    assert_int_equal(answer->n, 3);
    assert_int_equal(answer->columns, 256);
    for(int i = 0; i < 3; i++) assert_true(answer->iou[i] > 0 && answer->iou[i] < 1);
    dt_seg_answer_free(answer);
  }
  dt_seg_free(ctx);
  dt_ai_env_destroy(env);
  g_free(folder);
  g_free(script);
}

static void _refuse_model(const char *id, const char *words)
{
  GError *error = NULL;
  assert_null(dt_seg_load_ext(_env, id, NULL, &error));
  assert_non_null(error);
  if(error->code != DT_AI_ERROR_NO_MODEL || !strstr(error->message, words)
     || !strstr(error->message, "models list"))
    fail_msg("%s: \"%s\" instead of \"%s\"", id, error->message, words);
  g_error_free(error);
}

static void test_models_that_do_not_fit(void **state)
{
  (void)state;
  for(size_t i = 0; i < G_N_ELEMENTS(_mixes); i++)
    if(_mixes[i].words) _refuse_model(_mixes[i].id, _mixes[i].words);
  _refuse_model("nobody", "There is no model \"nobody\"");
  _refuse_model("denoise-conv3", "is for the task denoise, not mask");
  _refuse_model("broken-mask-arch", "its decoder has no \"point_coords\"");
  _refuse_model("mask-subject-lone", "there is no encoder.onnx");
  _refuse_model("broken-check-no-decoder", "there is no decoder.onnx");
  _refuse_model("broken-check-orig-im-size", "its decoder's input \"orig_im_size\" is neither a prompt");
  _refuse_model("broken-check-mismatch",
                "its encoder's output \"image_embed\" has the shape [1, 256, 64, 64] "
                "instead of [1, 256, 32, 32]");
  assert_null(dt_seg_load(_env, "nobody"));
  assert_non_null(strstr(dt_ai_last_error()->message, "nobody"));
}

/* The file leaves the size open, and only the runtime knows: that is told when the first picture is encoded. */
static void test_encoder_of_another_decoder(void **state)
{
  (void)state;
  dt_seg_context_t *ctx = _load("broken-mask-shapes");
  uint8_t *black = g_new0(uint8_t, 3 * 40 * 30);
  for(int i = 0; i < 2; i++)
  {
    assert_false(dt_seg_encode_image(ctx, black, 40, 30));
    assert_non_null(strstr(dt_ai_last_error()->message,
                           "its encoder's output \"high_res_feats_0\" has the shape [1, 32, 128, 128]"));
  }
  g_free(black);
  dt_seg_free(ctx);
}

static void test_no_numbers(void **state)
{
  (void)state;
  GError *error = NULL;
  dt_seg_context_t *ctx = _load("broken-mask-features-nan");
  _flat_t *f = _flat(100, 100, _grey);
  assert_false(dt_seg_encode(ctx, &f->source, NULL, NULL, NULL, &error));
  assert_int_equal(error->code, DT_AI_ERROR_FAILED);
  assert_non_null(strstr(error->message, "features that are not numbers"));
  assert_false(dt_seg_is_encoded(ctx));
  g_clear_error(&error);
  dt_row_source_destroy(&f->source);
  dt_seg_free(ctx);

  ctx = _load("broken-run-mask-nan");
  _encode_flat(ctx, 640, 480, _grey);
  _refuse(ctx, &_one, DT_AI_ERROR_FAILED, "masks that are not numbers");
  assert_null(dt_seg_save_prev_mask(ctx));
  dt_seg_free(ctx);
}

/* What shows only when it runs, and does not fit then. */
static void test_shapes_that_show_late(void **state)
{
  (void)state;
  dt_seg_context_t *ctx = _load("broken-run-two-masks"); /* with three scores */
  _encode_flat(ctx, 640, 480, _grey);
  _refuse(ctx, &_one, DT_AI_ERROR_FAILED, "do not belong together");
  dt_seg_free(ctx);
}

/* --- encoding --- */

static void test_encoding_image(void **state)
{
  (void)state;
  uint8_t *black = g_new0(uint8_t, 3 * 40 * 30), *white = g_malloc(3 * 30 * 40);
  memset(white, 255, 3 * 30 * 40);
  dt_seg_context_t *ctx = _load("mask-object-plane-sam2");
  int width = -1, height = -1;
  assert_false(dt_seg_get_size(ctx, &width, &height));
  assert_int_equal(width, 0);
  assert_true(dt_seg_encode_image(ctx, black, 40, 30));
  assert_true(dt_seg_encode_image(ctx, white, 30, 40)); /* one is there already */
  assert_true(dt_seg_get_size(ctx, &width, &height));
  assert_int_equal(width, 40);
  assert_int_equal(height, 30);
  dt_seg_reset_encoding(ctx);
  assert_false(dt_seg_is_encoded(ctx));
  assert_false(dt_seg_encode_image(ctx, NULL, 40, 30));
  assert_false(dt_seg_encode_image(ctx, white, 0, 30));
  assert_int_equal(dt_ai_last_error()->code, DT_AI_ERROR_USAGE);
  assert_true(dt_seg_encode_image(ctx, white, 30, 40));
  const dt_seg_point_t point = { 3, 4, DT_SEG_FOREGROUND };
  float *mask = dt_seg_compute_mask(ctx, &point, 1, NULL, NULL);
  _case_t c = _new_case(&_planes[2], 30, 40);
  memcpy(c.rgb, white, 3);
  _set_points(&c, &point, 1);
  _set_candidate(&c, _best(&c));
  _check_mask(&c, mask);
  g_free(mask);
  g_free(black);
  g_free(white);
  dt_seg_free(ctx);
}

/* Every third column by itself, or all of them. */
static void test_antialias(void **state)
{
  (void)state;
  for(int i = 0; i < 2; i++)
  {
    dt_seg_context_t *ctx = _load(i ? "mix-antialias" : "mask-object-plane-sam2");
    _case_t c = _new_case(&_planes[2], 3072, 3072);
    _flat_t *f = _flat(3072, 3072, NULL);
    f->stripes = TRUE;
    assert_true(dt_seg_encode(ctx, &f->source, NULL, NULL, NULL, NULL));
    assert_int_equal(f->reads, i ? 3072 : 1024);
    dt_row_source_destroy(&f->source);
    dt_seg_answer_t *answer = _ask(ctx, &_one);
    memset(c.rgb, i ? 85 : 255, 3);
    _set_points(&c, &_middle, 1);
    _set_candidate(&c, 2); /* which shows what is seen */
    assert_float_equal(answer->logits[2 * 256 * 256], _cell(&c, 0, 0), 0.1);
    dt_seg_answer_free(answer);
    dt_seg_free(ctx);
  }
}

static void _note_progress(double fraction, void *data)
{
  double *last = data;
  assert_true(fraction >= *last && fraction <= 1);
  *last = fraction;
}

/* A hundred megapixels pass through in little memory. */
static void test_large_picture(void **state)
{
  (void)state;
  for(int i = 0; i < (test_is_long() ? 2 : 1); i++)
  {
    dt_seg_context_t *ctx = _load(i ? "mix-antialias" : "mask-object-plane-sam2");
    _encode_flat(ctx, 64, 64, _grey);
    _flat_t *f = _flat(12000, 9000, _grey);
    double last = 0;
    dt_memory_trim();
    const guint64 before = dt_memory_resident();
    assert_true(dt_seg_encode(ctx, &f->source, _note_progress, &last, NULL, NULL));
    const guint64 after = dt_memory_resident();
    assert_true(last == 1.0);
    assert_int_equal(f->reads, i ? 9000 : 1536);
    if(!test_is_sanitized()) assert_true(after < before + (64 << 20));
    dt_row_source_destroy(&f->source);
    dt_seg_free(ctx);
  }
}

static void _set_address_space(rlim_t bytes)
{
  struct rlimit limit;
  assert_int_equal(getrlimit(RLIMIT_AS, &limit), 0);
  limit.rlim_cur = bytes;
  assert_int_equal(setrlimit(RLIMIT_AS, &limit), 0);
}

static rlim_t _address_space(void)
{
  char *text = NULL;
  assert_true(g_file_get_contents("/proc/self/statm", &text, NULL, NULL));
  const rlim_t pages = g_ascii_strtoull(text, NULL, 10);
  g_free(text);
  return pages * 4096;
}

/* Takes all there is, but for small pieces. */
static GSList *_hoard(void)
{
  GSList *all = NULL;
  for(void *p = NULL; (p = malloc(4 << 20)); all = g_slist_prepend(all, p))
  {
  }
  return all;
}

static void test_without_memory(void **state)
{
  (void)state;
  if(test_is_sanitized()) skip();
  struct rlimit limit;
  getrlimit(RLIMIT_AS, &limit);
  dt_seg_context_t *ctx = _load("mask-object-plane-sam2");
  _encode_flat(ctx, 30000, 30000, _grey);
  dt_seg_answer_free(_ask(ctx, &_one));
  _set_address_space(_address_space() + (1 << 30));
  assert_null(dt_seg_compute_mask(ctx, &_middle, 1, NULL, NULL)); /* of 3.6 GB */
  assert_int_equal(dt_ai_last_error()->code, DT_AI_ERROR_MEMORY);
  assert_non_null(strstr(dt_ai_last_error()->message, "30000×30000"));
  _flat_t *f = _flat(100, 100, _grey);
  GError *error = NULL;
  dt_seg_reset_encoding(ctx);
  GSList *hoard = _hoard();
  const gboolean ok = dt_seg_encode(ctx, &f->source, NULL, NULL, NULL, &error);
  _set_address_space(limit.rlim_cur);
  g_slist_free_full(hoard, free);
  assert_false(ok);
  assert_int_equal(error->code, DT_AI_ERROR_MEMORY);
  g_clear_error(&error);
  assert_true(dt_seg_encode(ctx, &f->source, NULL, NULL, NULL, &error)); /* as if nothing had been */
  dt_row_source_destroy(&f->source);
  dt_seg_free(ctx);
}

static void test_source_fails(void **state)
{
  (void)state;
  GError *error = NULL;
  dt_seg_context_t *ctx = _load("mask-object-plane-sam2");
  _encode_flat(ctx, 800, 450, _grey);
  _flat_t *f = _flat(800, 450, _grey);
  f->fail_at = 400;
  assert_false(dt_seg_encode(ctx, &f->source, NULL, NULL, NULL, &error));
  assert_string_equal(error->message, "the file ends here");
  assert_false(dt_seg_is_encoded(ctx));
  g_clear_error(&error);
  f->source.width = 0;
  assert_false(dt_seg_encode(ctx, &f->source, NULL, NULL, NULL, &error));
  assert_int_equal(error->code, DT_AI_ERROR_USAGE);
  g_clear_error(&error);
  dt_row_source_destroy(&f->source);
  dt_seg_free(ctx);
}

/* --- cancelling --- */

static void _check_cancelled(gboolean ok, GError *error)
{
  assert_false(ok);
  assert_non_null(error);
  assert_int_equal(error->code, DT_AI_ERROR_CANCELLED);
  g_error_free(error);
}

/* Before, at a row, and behind the last one. */
static void test_cancel_reading(void **state)
{
  (void)state;
  dt_seg_context_t *ctx = _load("mask-object-plane-sam2");
  for(int at = 0; at < 450; at += 64)
  {
    GError *error = NULL;
    GCancellable *cancellable = g_cancellable_new();
    _flat_t *f = _flat(800, 450, _grey);
    f->cancel = g_object_ref(cancellable);
    f->cancel_at = at == 0 ? G_MAXINT : at == 448 ? 449 : at;
    if(at == 0) g_cancellable_cancel(cancellable);
    const gboolean ok = dt_seg_encode(ctx, &f->source, NULL, NULL, cancellable, &error);
    _check_cancelled(ok, error);
    assert_int_equal(f->reads, at == 0 ? 0 : f->cancel_at + 1);
    assert_false(dt_seg_is_encoded(ctx));
    dt_row_source_destroy(&f->source);
    g_object_unref(cancellable);
  }
  GCancellable *cancellable = g_cancellable_new();
  dt_seg_load_opts_t opts = { .cancellable = cancellable };
  GError *error = NULL;
  g_cancellable_cancel(cancellable);
  const gboolean loaded = dt_seg_load_ext(_env, "mask-object-plane-sam2", &opts, &error) != NULL;
  _check_cancelled(loaded, error);
  g_object_unref(cancellable);
  dt_seg_free(ctx);
}

typedef struct _later_t
{
  GCancellable *cancellable;
  gulong delay;
} _later_t;

static gpointer _cancel_later(gpointer data)
{
  const _later_t *later = data;
  g_usleep(later->delay);
  g_cancellable_cancel(later->cancellable);
  return NULL;
}

/* At any moment of encoding and of answering; what is not cancelled is right, and what is leaves no trace. */
static void test_cancel_any_time(void **state)
{
  (void)state;
  test_random_t random = { 5 };
  dt_seg_context_t *ctx = _load("mask-object-published-sam2");
  int cancelled[2] = { 0 };
  const int n = test_is_long() ? 400 : 60;
  for(int i = 0; i < n; i++)
  {
    const gboolean encodes = i % 2;
    if(!encodes && !dt_seg_is_encoded(ctx)) _encode_flat(ctx, 640, 480, _grey);
    _later_t later = { g_cancellable_new(), (gulong)test_random_int(&random, 0, encodes ? 80000 : 20000) };
    GThread *thread = g_thread_new("later", _cancel_later, &later);
    GError *error = NULL;
    _flat_t *f = _flat(640, 480, _grey);
    dt_seg_answer_t *answer = NULL;
    const gboolean ok = encodes ? dt_seg_encode(ctx, &f->source, NULL, NULL, later.cancellable, &error)
                                : (answer = dt_seg_answer(ctx, &_one, later.cancellable, &error)) != NULL;
    g_thread_join(thread);
    if(encodes) assert_int_equal(dt_seg_is_encoded(ctx), ok);
    if(!ok) _check_cancelled(ok, error);
    cancelled[encodes] += !ok;
    dt_seg_answer_free(answer);
    dt_row_source_destroy(&f->source);
    g_object_unref(later.cancellable);
  }
  print_message("cancelled of %d: %d encodings, %d answers\n", n / 2, cancelled[1], cancelled[0]);
  assert_true(cancelled[1] > 0);
  dt_seg_free(ctx);
}

/* --- threads --- */

static void test_encode_begin(void **state)
{
  (void)state;
  GError *error = NULL;
  gint destroyed = 0;
  dt_seg_context_t *ctx = _load("mask-object-plane-sam2");
  assert_false(dt_seg_encode_finish(ctx, &error));
  assert_int_equal(error->code, DT_AI_ERROR_USAGE);
  g_clear_error(&error);
  _flat_t *f = _flat(800, 450, _grey);
  f->destroyed = &destroyed;
  double last = 0;
  dt_seg_encode_begin(ctx, &f->source, _note_progress, &last, NULL);
  _case_t c = _new_case(&_planes[2], 800, 450);
  _check_next(ctx, &c, &_middle, 1, FALSE, FALSE); /* waits for it */
  assert_true(dt_seg_encode_finish(ctx, &error));
  assert_true(dt_seg_encode_finish(ctx, &error));
  assert_true(last == 1.0);
  assert_int_equal(destroyed, 1);

  f = _flat(800, 450, _grey);
  f->fail_at = 100;
  f->destroyed = &destroyed;
  dt_seg_encode_begin(ctx, &f->source, NULL, NULL, NULL);
  assert_false(dt_seg_encode_finish(ctx, &error));
  assert_string_equal(error->message, "the file ends here");
  g_clear_error(&error);
  assert_int_equal(destroyed, 2);
  dt_seg_free(ctx);
}

/* While it is encoded: how things stand is told at once, and who waits can be cancelled. */
static void test_while_encoding(void **state)
{
  (void)state;
  gint gate = 0, destroyed = 0;
  dt_seg_context_t *ctx = _load("mask-object-plane-sam2");
  _encode_flat(ctx, 10, 10, _grey);
  _flat_t *f = _flat(800, 450, _grey);
  f->gate = &gate;
  f->destroyed = &destroyed;
  dt_seg_encode_begin(ctx, &f->source, NULL, NULL, NULL);
  assert_false(dt_seg_is_encoded(ctx));
  _later_t later = { g_cancellable_new(), 10000 };
  GThread *thread = g_thread_new("later", _cancel_later, &later);
  GError *error = NULL;
  dt_seg_answer_t *answer = dt_seg_answer(ctx, &_one, later.cancellable, &error);
  _check_cancelled(answer != NULL, error);
  g_thread_join(thread);
  g_object_unref(later.cancellable);

  dt_seg_context_t *other = dt_seg_fork(ctx); /* answers meanwhile */
  _encode_flat(other, 800, 450, _grey);
  _case_t c = _new_case(&_planes[2], 800, 450);
  _check_next(other, &c, &_middle, 1, FALSE, FALSE);
  dt_seg_free(other);
  assert_int_equal(destroyed, 0);
  g_atomic_int_set(&gate, 1);
  _check_next(ctx, &c, &_middle, 1, FALSE, FALSE);
  dt_seg_free(ctx);
  assert_int_equal(destroyed, 1);
}

/* Freeing, and beginning anew, cancels what is under way, and nobody else's cancellable. */
static void test_free_while_encoding(void **state)
{
  (void)state;
  gint gate = 0, destroyed = 0;
  GCancellable *callers = g_cancellable_new();
  dt_seg_context_t *ctx = _load("mask-object-published-sam2");
  for(int i = 0; i < 3; i++)
  {
    _flat_t *f = _flat(100000, 20000, _grey);
    f->gate = &gate;
    f->destroyed = &destroyed;
    dt_seg_encode_begin(ctx, &f->source, NULL, NULL, callers);
    g_atomic_int_set(&gate, 1);
  }
  assert_int_equal(destroyed, 2);
  dt_seg_free(ctx);
  assert_int_equal(destroyed, 3);
  assert_false(g_cancellable_is_cancelled(callers));

  ctx = _load("mask-object-published-sam2");
  g_cancellable_cancel(callers);
  _flat_t *f = _flat(800, 450, _grey);
  f->destroyed = &destroyed;
  GError *error = NULL;
  dt_seg_encode_begin(ctx, &f->source, NULL, NULL, callers);
  const gboolean ok = dt_seg_encode_finish(ctx, &error);
  _check_cancelled(ok, error);
  assert_int_equal(destroyed, 4);
  g_object_unref(callers);
  dt_seg_free(ctx);
}

typedef struct _worker_t
{
  dt_seg_context_t *own, *shared;
  uint64_t seed;
} _worker_t;

static gpointer _work(gpointer data)
{
  const _worker_t *w = data;
  test_random_t random = { w->seed };
  for(int i = 0; i < 4; i++)
  {
    const int width = test_random_int(&random, 301, 400), height = test_random_int(&random, 201, 400);
    _case_t c = _new_case(&_planes[2], width, height);
    _encode_flat(w->own, width, height, _grey);
    _check_next(w->own, &c, &_middle, 1, FALSE, FALSE);
    _case_t s = _new_case(&_planes[2], 640, 480);
    _check_next(w->shared, &s, &_middle, 1, TRUE, FALSE);
    dt_seg_is_encoded(w->shared);
    GBytes *memory = dt_seg_save_prev_mask(w->shared);
    dt_seg_restore_prev_mask(w->shared, memory);
    g_bytes_unref(memory);
  }
  return NULL;
}

static void test_threads(void **state)
{
  (void)state;
  dt_seg_context_t *shared = _load(_planes[2].id);
  GThread *threads[4];
  _worker_t workers[4];
  _encode_flat(shared, 640, 480, _grey);
  for(int i = 0; i < 4; i++)
  {
    workers[i] = (_worker_t){ dt_seg_fork(shared), shared, 100 + (uint64_t)i };
    threads[i] = g_thread_new("worker", _work, &workers[i]);
  }
  for(int i = 0; i < 4; i++) g_thread_join(threads[i]);
  dt_seg_free(shared); /* the forks keep the model */
  for(int i = 0; i < 4; i++)
  {
    dt_seg_answer_free(_ask(workers[i].own, &_one));
    dt_seg_free(workers[i].own);
  }
  dt_seg_free(NULL);
}

/* --- the cache --- */

static void test_remember(void **state)
{
  (void)state;
  char *key = g_compute_checksum_for_string(G_CHECKSUM_SHA256, "a picture", -1);
  dt_seg_context_t *ctx = _load("mask-object-plane-sam2"), *same = dt_seg_fork(ctx),
                   *other = _load("mix-antialias"), *another = _load("mask-object-plane-sam");
  GError *error = NULL;
  assert_true(dt_seg_remember(ctx, key, &error)); /* nothing there yet */
  assert_false(dt_seg_recall(same, key));
  _encode_flat(ctx, 800, 450, _grey);
  assert_true(dt_seg_remember(ctx, key, &error));
  assert_no_error(error);
  assert_true(dt_seg_recall(same, key));
  assert_false(dt_seg_recall(other, key)); /* which is shown pictures otherwise */
  assert_false(dt_seg_recall(another, key));
  assert_false(dt_seg_is_encoded(other));
  int width, height;
  assert_true(dt_seg_get_size(same, &width, &height));
  assert_int_equal(width, 800);
  assert_int_equal(height, 450);
  dt_seg_answer_t *a = _ask(ctx, &_one), *b = _ask(same, &_one);
  assert_memory_equal(a->logits, b->logits, (size_t)(a->n * a->rows * a->columns) * sizeof(float));
  dt_seg_answer_free(a);
  dt_seg_answer_free(b);
  dt_seg_free(ctx);
  dt_seg_free(same);
  dt_seg_free(other);
  dt_seg_free(another);
  g_free(key);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_masks_of_all_sizes),
    cmocka_unit_test(test_candidates),
    cmocka_unit_test(test_stability),
    cmocka_unit_test(test_unsure),
    cmocka_unit_test(test_refinement),
    cmocka_unit_test(test_failure_keeps_memory),
    cmocka_unit_test(test_boxes),
    cmocka_unit_test(test_rough_masks),
    cmocka_unit_test(test_odd_rough_masks),
    cmocka_unit_test(test_many_prompts),
    cmocka_unit_test(test_wrong_prompts),
    cmocka_unit_test(test_published),
    cmocka_unit_test(test_sam21_shape),
    cmocka_unit_test(test_models_that_do_not_fit),
    cmocka_unit_test(test_encoder_of_another_decoder),
    cmocka_unit_test(test_no_numbers),
    cmocka_unit_test(test_shapes_that_show_late),
    cmocka_unit_test(test_encoding_image),
    cmocka_unit_test(test_antialias),
    cmocka_unit_test(test_large_picture),
    cmocka_unit_test(test_without_memory),
    cmocka_unit_test(test_source_fails),
    cmocka_unit_test(test_cancel_reading),
    cmocka_unit_test(test_cancel_any_time),
    cmocka_unit_test(test_encode_begin),
    cmocka_unit_test(test_while_encoding),
    cmocka_unit_test(test_free_while_encoding),
    cmocka_unit_test(test_threads),
    cmocka_unit_test(test_remember),
  };
  return cmocka_run_group_tests_name("segmentation", tests, _setup, _teardown);
}
