/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Runs a model once before it is accepted. Restore models get a smooth picture and must give it back in the
 * size that is theirs; a mask model's encoder gets one, and its decoder the encoder's outputs with one
 * click. Everything runs on the CPU: whether the model is sound is no question of the graphics card. */
#include "libs/model_selftest.h"

#include "ai/backend.h"

#include <math.h>
#include <stdarg.h>
#include <string.h>

/* as many as the backend passes on */
#define MAX_DIMS 16
/* no tensor of a model for photographs is larger at these sizes: 4 GiB of floats */
#define MAX_ELEMENTS ((size_t)1 << 30)
#define MASK_SIDE 1024
/* a picture whose mean is off by more than this is no longer the same picture */
#define MAX_SHIFT 0.05
/* nor is one that resembles it less than this; a network of random weights comes out above */
#define MIN_LIKENESS 0.2
/* what FFDNet-like models are told about the picture's noise */
#define SIGMA (25.0f / 255.0f)

/* what a restore file makes of its input; the names are those that dt_model_check() demands */
static const struct
{
  const char *task, *file;
  int channels, factor;
} _images[] = {
  { "denoise", "model.onnx", 3, 1 },           { "upscale", "model_x2.onnx", 3, 2 },
  { "upscale", "model_x4.onnx", 3, 4 },        { "rawdenoise", "model_bayer.onnx", 4, 2 },
  { "rawdenoise", "model_linear.onnx", 3, 1 },
};

/* For one run. Encoders of the largest mask models take ten seconds on a slow machine; sanitizers make everything
 * slow. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SELFTEST_SECONDS 1200
#else
#define SELFTEST_SECONDS 120
#endif

/* sides tried in turn where the file leaves the size open; some networks need more than the first */
static const int _sides[] = { 64, 128, 256 };

/* What is tried, and for how long. */
typedef struct _trial_t
{
  const dt_manifest_t *manifest;
  GCancellable *cancellable; /* may be NULL */
  int seconds;               /* for each run */
} _trial_t;

/* Ends a run that takes too long, or that somebody else wants to end. */
typedef struct _watch_t
{
  GCancellable *stop; /* of the run */
  GThread *thread;
  GMutex mutex;
  GCond cond;
  gint64 deadline; /* of the monotonic clock */
  gboolean done, late;
} _watch_t;

/* One file of the model, loaded, with a tensor for each of its inputs and outputs. */
typedef struct _session_t
{
  const _trial_t *trial;
  const char *file;
  gboolean late; /* a run was ended because it took too long; a larger picture would take longer */
  dt_ai_context_t *ctx;
  dt_ai_tensor_t *in, *out;
  int n_in, n_out;
} _session_t;

/* --- errors --- */

static gboolean _refuse(const _session_t *s, GError **error, const char *format, ...) G_GNUC_PRINTF(3, 4);
static gboolean _refuse(const _session_t *s, GError **error, const char *format, ...)
{
  va_list args;
  va_start(args, format);
  char *why = g_strdup_vprintf(format, args);
  va_end(args);
  g_set_error(error, DT_AI_ERROR, DT_AI_ERROR_NO_MODEL,
              "%s/%s was tried and does not work: %s. Install the model again, or another one.",
              s->trial->manifest->directory, s->file, why);
  g_free(why);
  return FALSE;
}

/* One line, without the full stop at its end: the runtime's own words come in paragraphs. */
static char *_one_line(const char *message)
{
  char *line = g_strchomp(g_strdelimit(g_strdup(message), "\r\n\t", ' '));
  if(g_str_has_suffix(line, ".")) line[strlen(line) - 1] = '\0';
  return line;
}

/* What says something about this machine is passed on; all else says something about the model. */
static gboolean _pass_on(const _session_t *s, const GError *cause, GError **error)
{
  static const int passed[] = { DT_AI_ERROR_PROVIDER, DT_AI_ERROR_MEMORY, DT_AI_ERROR_CANCELLED,
                                DT_AI_ERROR_DISABLED };
  for(size_t i = 0; i < G_N_ELEMENTS(passed); i++)
    if(g_error_matches(cause, DT_AI_ERROR, passed[i]))
    {
      g_propagate_error(error, g_error_copy(cause));
      return FALSE;
    }
  char *why = _one_line(cause ? cause->message : "the runtime gives no reason");
  if(g_error_matches(cause, DT_AI_ERROR, DT_AI_ERROR_NO_MODEL)) /* names the file itself */
    g_set_error(error, DT_AI_ERROR, DT_AI_ERROR_NO_MODEL, "%s. Install the model again, or another one.",
                why);
  else
    _refuse(s, error, "%s", why);
  g_free(why);
  return FALSE;
}

static gboolean _check_cancelled(const _trial_t *trial, GError **error)
{
  if(!g_cancellable_is_cancelled(trial->cancellable)) return TRUE;
  g_set_error(error, DT_AI_ERROR, DT_AI_ERROR_CANCELLED, "Cancelled.");
  return FALSE;
}

/* --- sessions and tensors --- */

static void _free_tensors(dt_ai_tensor_t *tensors, int n)
{
  for(int i = 0; i < n; i++)
  {
    g_free(tensors[i].data);
    g_free(tensors[i].shape);
  }
  g_free(tensors);
}

static void _close(_session_t *s)
{
  _free_tensors(s->in, s->n_in);
  _free_tensors(s->out, s->n_out);
  dt_ai_unload_model(s->ctx);
  s->ctx = NULL;
  s->in = s->out = NULL;
  s->n_in = s->n_out = 0;
}

static gboolean _open(_session_t *s, const _trial_t *trial, const char *file, dt_ai_opt_level_t level,
                      GError **error)
{
  *s = (_session_t){ .trial = trial, .file = file };
  s->ctx = dt_ai_onnx_load_ext(trial->manifest->directory, file, DT_AI_PROVIDER_CPU, level, NULL, 0);
  if(!s->ctx) return _pass_on(s, dt_ai_last_error(), error);
  s->n_in = dt_ai_get_input_count(s->ctx);
  s->n_out = dt_ai_get_output_count(s->ctx);
  s->in = g_new0(dt_ai_tensor_t, (gsize)s->n_in);
  s->out = g_new0(dt_ai_tensor_t, (gsize)s->n_out);
  return TRUE;
}

static gboolean _is_float(dt_ai_dtype_t type)
{
  return type == DT_AI_FLOAT || type == DT_AI_FLOAT16;
}

/* Zeros of this shape; float16 models are given floats as well, the backend converts. */
static gboolean _allocate(const _session_t *s, dt_ai_tensor_t *t, const int64_t *shape, int ndim,
                          GError **error)
{
  const size_t n = dt_ai_tensor_element_count(shape, ndim);
  if(n == 0 || n > MAX_ELEMENTS) return _refuse(s, error, "a tensor has a size that makes no sense");
  g_free(t->data);
  t->data = g_try_malloc0_n(n, sizeof(float));
  t->type = DT_AI_FLOAT;
  t->ndim = ndim;
  if(!t->shape) t->shape = g_new0(int64_t, MAX_DIMS);
  memcpy(t->shape, shape, sizeof *shape * (size_t)ndim);
  if(t->data) return TRUE;
  g_set_error(error, DT_AI_ERROR, DT_AI_ERROR_MEMORY,
              "There is no memory to try %s/%s. Close other programs and try again.",
              s->trial->manifest->directory, s->file);
  return FALSE;
}

/* Makes the tensor of input (or output) @p i; dimensions that the file leaves open are taken from
 * @p open, which has four. What an encoder hands to its decoder may have more. */
static gboolean _make_tensor(_session_t *s, gboolean input, int i, const int64_t *open, GError **error)
{
  int64_t shape[MAX_DIMS];
  const char *name = input ? dt_ai_get_input_name(s->ctx, i) : dt_ai_get_output_name(s->ctx, i);
  const int ndim = input ? dt_ai_get_input_shape(s->ctx, i, shape, MAX_DIMS)
                         : dt_ai_get_output_shape(s->ctx, i, shape, MAX_DIMS);
  if(ndim < 0 || ndim > MAX_DIMS) return _refuse(s, error, "its tensor \"%s\" has %d dimensions", name, ndim);
  if(!_is_float(input ? dt_ai_get_input_type(s->ctx, i) : dt_ai_get_output_type(s->ctx, i)))
    return _refuse(s, error, "its tensor \"%s\" is not of a floating-point type", name);
  for(int d = 0; d < ndim; d++)
  {
    if(shape[d] <= 0 && d >= 4)
      return _refuse(s, error, "its tensor \"%s\" leaves open dimension %d", name, d + 1);
    if(shape[d] <= 0) shape[d] = open[d];
  }
  return _allocate(s, input ? &s->in[i] : &s->out[i], shape, ndim, error);
}

/* --- running --- */

static gpointer _wait_for_end(gpointer data)
{
  _watch_t *w = data;
  g_mutex_lock(&w->mutex);
  while(!w->done && !w->late) w->late = !g_cond_wait_until(&w->cond, &w->mutex, w->deadline) && !w->done;
  const gboolean late = w->late;
  g_mutex_unlock(&w->mutex);
  if(late) g_cancellable_cancel(w->stop);
  return NULL;
}

static void _start_watch(_watch_t *w, int seconds)
{
  *w = (_watch_t){ .stop = g_cancellable_new(),
                   .deadline = g_get_monotonic_time() + seconds * G_TIME_SPAN_SECOND };
  g_mutex_init(&w->mutex);
  g_cond_init(&w->cond);
  w->thread = g_thread_new("model self-test", _wait_for_end, w);
}

/* @return whether the run was ended because it took too long */
static gboolean _end_watch(_watch_t *w)
{
  g_mutex_lock(&w->mutex);
  w->done = TRUE;
  g_cond_signal(&w->cond);
  g_mutex_unlock(&w->mutex);
  g_thread_join(w->thread);
  g_mutex_clear(&w->mutex);
  g_cond_clear(&w->cond);
  g_object_unref(w->stop);
  return w->late;
}

static void _pass_cancel(GCancellable *cancellable, gpointer stop)
{
  (void)cancellable;
  g_cancellable_cancel(stop);
}

/* A network may count to 2^62: no run is without an end. */
static gboolean _run(_session_t *s, GError **error)
{
  GCancellable *caller = s->trial->cancellable;
  GError *cause = NULL;
  _watch_t watch;
  _start_watch(&watch, s->trial->seconds);
  const gulong link = caller ? g_cancellable_connect(caller, G_CALLBACK(_pass_cancel), watch.stop, NULL) : 0;
  const gboolean ok = dt_ai_run_cancellable(s->ctx, s->in, s->n_in, s->out, s->n_out, watch.stop, &cause);
  g_cancellable_disconnect(caller, link);
  s->late = _end_watch(&watch) && g_error_matches(cause, DT_AI_ERROR, DT_AI_ERROR_CANCELLED)
            && !g_cancellable_is_cancelled(caller);
  if(s->late)
    _refuse(s, error, "it did not answer within %d seconds", s->trial->seconds);
  else if(!ok)
    _pass_on(s, cause, error);
  g_clear_error(&cause);
  return ok;
}

static char *_describe_shape(const int64_t *shape, int ndim)
{
  GString *text = g_string_new("[");
  for(int i = 0; i < ndim; i++) g_string_append_printf(text, "%s%" G_GINT64_FORMAT, i ? ", " : "", shape[i]);
  g_string_append_c(text, ']');
  return g_string_free(text, FALSE);
}

static size_t _count(const dt_ai_tensor_t *t)
{
  return dt_ai_tensor_element_count(t->shape, t->ndim);
}

static gboolean _check_finite(const _session_t *s, GError **error)
{
  for(int i = 0; i < s->n_out; i++)
  {
    const float *values = s->out[i].data;
    for(size_t k = 0; k < _count(&s->out[i]); k++)
      if(!isfinite(values[k]))
        return _refuse(s, error, "its output \"%s\" holds values that are not finite",
                       dt_ai_get_output_name(s->ctx, i));
  }
  return TRUE;
}

static gboolean _check_shape(const _session_t *s, int i, const int64_t *shape, int ndim, GError **error)
{
  const dt_ai_tensor_t *t = &s->out[i];
  if(t->ndim == ndim && memcmp(t->shape, shape, sizeof *shape * (size_t)ndim) == 0) return TRUE;
  char *found = _describe_shape(t->shape, t->ndim), *needed = _describe_shape(shape, ndim);
  _refuse(s, error, "its output \"%s\" has shape %s instead of %s", dt_ai_get_output_name(s->ctx, i), found,
          needed);
  g_free(needed);
  g_free(found);
  return FALSE;
}

/* --- pictures --- */

/* A slope across each plane, mid-grey on average, the planes a little apart. */
static void _draw(dt_ai_tensor_t *t)
{
  const int64_t planes = t->shape[1], h = t->shape[2], w = t->shape[3];
  float *at = t->data;
  for(int64_t c = 0; c < planes; c++)
    for(int64_t y = 0; y < h; y++)
      for(int64_t x = 0; x < w; x++)
        *at++ = 0.3f + 0.2f * (float)x / (float)w + 0.2f * (float)y / (float)h
                + 0.02f * ((float)c - 0.5f * (float)(planes - 1));
}

static void _fill(dt_ai_tensor_t *t, float value)
{
  float *values = t->data;
  for(size_t i = 0; i < _count(t); i++) values[i] = value;
}

static double _mean(const dt_ai_tensor_t *t)
{
  const float *values = t->data;
  const size_t n = _count(t);
  double sum = 0;
  for(size_t i = 0; i < n; i++) sum += (double)values[i];
  return sum / (double)n;
}

static gboolean _is_constant(const dt_ai_tensor_t *t)
{
  const float *values = t->data;
  for(size_t i = 1; i < _count(t); i++)
    if(values[i] != values[0]) return FALSE;
  return TRUE;
}

/* --- image to image --- */

static gboolean _make_picture(_session_t *s, int channels, int side, GError **error)
{
  const int64_t open[] = { 1, channels, side, side }, plane[] = { 1, 1, side, side };
  if(!_make_tensor(s, TRUE, 0, open, error)) return FALSE;
  if(s->in[0].ndim != 4) return _refuse(s, error, "its input has no four dimensions");
  _draw(&s->in[0]);
  if(s->n_in == 1) return TRUE;
  if(!_make_tensor(s, TRUE, 1, plane, error)) return FALSE;
  _fill(&s->in[1], SIGMA);
  return TRUE;
}

/* Whether the network promises the scale of its input: only raw ones may say otherwise, and do by default. */
static gboolean _keeps_scale(const _session_t *s)
{
  if(strcmp(s->trial->manifest->task, "rawdenoise") != 0) return TRUE;
  char *key = g_strdup_printf("%.*s.output_scale", (int)(strlen(s->file) - strlen(".onnx")), s->file);
  char *scale = dt_manifest_attribute_string(s->trial->manifest, key);
  const gboolean keeps = scale && strcmp(scale, "match_gain") != 0;
  g_free(scale);
  g_free(key);
  return keeps;
}

/* The average of all planes of @p t (four dimensions, one picture) on a grid of h × w blocks. */
static double *_make_grey(const dt_ai_tensor_t *t, int64_t h, int64_t w)
{
  const int64_t planes = t->shape[1], high = t->shape[2], wide = t->shape[3];
  const float *at = t->data;
  double *grey = g_new0(double, (gsize)(h * w));
  for(int64_t c = 0; c < planes; c++)
    for(int64_t y = 0; y < high; y++)
      for(int64_t x = 0; x < wide; x++) grey[y * h / high * w + x * w / wide] += (double)*at++;
  return grey;
}

static double _correlate(const double *a, const double *b, size_t n)
{
  double mean_a = 0, mean_b = 0, aa = 0, bb = 0, ab = 0;
  for(size_t i = 0; i < n; i++) mean_a += a[i] / (double)n, mean_b += b[i] / (double)n;
  for(size_t i = 0; i < n; i++)
  {
    aa += (a[i] - mean_a) * (a[i] - mean_a);
    bb += (b[i] - mean_b) * (b[i] - mean_b);
    ab += (a[i] - mean_a) * (b[i] - mean_b);
  }
  return aa > 0 && bb > 0 ? ab / sqrt(aa * bb) : 0;
}

/* How much the answer is the picture times some gain, which may be negative: the gain that gives it the picture's
 * mean is what it will be multiplied with. */
static double _measure_likeness(const _session_t *s)
{
  const int64_t h = s->in[0].shape[2], w = s->in[0].shape[3];
  double *before = _make_grey(&s->in[0], h, w), *after = _make_grey(&s->out[0], h, w);
  const double likeness = _correlate(before, after, (size_t)(h * w));
  g_free(after);
  g_free(before);
  return _mean(&s->in[0]) * _mean(&s->out[0]) < 0 ? -likeness : likeness;
}

static gboolean _check_values(const _session_t *s, GError **error)
{
  if(!_check_finite(s, error)) return FALSE;
  const double before = _mean(&s->in[0]), after = _mean(&s->out[0]);
  if(_is_constant(&s->out[0])) return _refuse(s, error, "it answers with the same value everywhere");
  if(_keeps_scale(s))
    return fabs(after - before) <= MAX_SHIFT
           || _refuse(s, error, "a picture with the mean %.2f came back with the mean %.2f", before, after);
  const double likeness = _measure_likeness(s);
  return likeness >= MIN_LIKENESS
         || _refuse(s, error, "what comes back does not resemble the picture: their correlation is %.2f",
                    likeness);
}

/* Where the file leaves the size open, and only there, another side may be worth a try. */
static gboolean _is_open(const _session_t *s)
{
  int64_t shape[MAX_DIMS];
  const int ndim = dt_ai_get_input_shape(s->ctx, 0, shape, MAX_DIMS);
  return ndim == 4 && (shape[2] <= 0 || shape[3] <= 0);
}

static gboolean _try_side(_session_t *s, size_t rule, int side, GError **error)
{
  if(!_make_picture(s, _images[rule].channels, side, error)) return FALSE;
  const int64_t shape[] = { 1, 3, s->in[0].shape[2] * _images[rule].factor,
                            s->in[0].shape[3] * _images[rule].factor };
  return _allocate(s, &s->out[0], shape, 4, error) && _run(s, error) && _check_shape(s, 0, shape, 4, error)
         && _check_values(s, error);
}

static gboolean _try_image(_session_t *s, size_t rule, GError **error)
{
  if(s->n_in < 1 || s->n_in > 2 || s->n_out != 1)
    return _refuse(s, error, "it has %d inputs and %d outputs", s->n_in, s->n_out);
  GError *first = NULL;
  const size_t sides = _is_open(s) ? G_N_ELEMENTS(_sides) : 1;
  for(size_t i = 0; i < sides; i++)
  {
    GError *cause = NULL;
    if(_try_side(s, rule, _sides[i], &cause))
    {
      g_clear_error(&first);
      return TRUE;
    }
    const gboolean more = !s->late && g_error_matches(cause, DT_AI_ERROR, DT_AI_ERROR_NO_MODEL);
    if(more && first)
      g_error_free(cause);
    else
    {
      g_clear_error(&first); /* no memory, no time, cancelled: that is the news */
      first = cause;
    }
    if(!more) break;
  }
  if(first) g_propagate_error(error, first);
  return FALSE;
}

/* --- masks --- */

typedef struct _prompt_t
{
  const char *name;
  int64_t open[4]; /* for dimensions that the file leaves open: one click */
  float first, rest;
} _prompt_t;

/* A click in the middle, on the object; what is left of a fixed number of points is padding. */
static const _prompt_t _prompts[] = {
  { "point_coords", { 1, 1, 2, 1 }, 0.5f * MASK_SIDE, 0 },
  { "point_labels", { 1, 1, 1, 1 }, 1, -1 },
  { "mask_input", { 1, 1, 256, 256 }, 0, 0 },
  { "has_mask_input", { 1, 1, 1, 1 }, 0, 0 },
  { "prev_mask", { 1, 1, MASK_SIDE, MASK_SIDE }, 0, 0 },
};

static const _prompt_t *_find_prompt(const char *name)
{
  for(size_t i = 0; i < G_N_ELEMENTS(_prompts); i++)
    if(strcmp(_prompts[i].name, name) == 0) return &_prompts[i];
  return NULL;
}

static gboolean _make_prompt(_session_t *s, int i, const _prompt_t *prompt, GError **error)
{
  if(!_make_tensor(s, TRUE, i, prompt->open, error)) return FALSE;
  _fill(&s->in[i], prompt->rest);
  float *values = s->in[i].data;
  values[0] = prompt->first;
  if(strcmp(prompt->name, "point_coords") == 0 && _count(&s->in[i]) > 1) values[1] = prompt->first;
  return TRUE;
}

/* Sizes that an encoder leaves open stand in its decoder; zeros in @p shape are unknown. */
static gboolean _is_compatible(const int64_t *given, int given_ndim, const int64_t *taken, int ndim)
{
  if(given_ndim != ndim) return FALSE;
  for(int i = 0; i < ndim; i++)
    if(given[i] > 0 && taken[i] > 0 && given[i] != taken[i]) return FALSE;
  return TRUE;
}

/* The encoder's output for the decoder's input @p i: by name, else the first of its shape that no other
 * input takes by name or took before. -1 when there is none. */
static int _find_feature(const _session_t *encoder, const _session_t *decoder, int i, const int *taken_by)
{
  const char *name = dt_ai_get_input_name(decoder->ctx, i);
  int64_t given[MAX_DIMS], taken[MAX_DIMS];
  const int ndim = dt_ai_get_input_shape(decoder->ctx, i, taken, MAX_DIMS);
  for(int k = 0; k < encoder->n_out; k++)
    if(strcmp(dt_ai_get_output_name(encoder->ctx, k), name) == 0) return k;
  for(int k = 0; k < encoder->n_out; k++)
    if(taken_by[k] < 0
       && _is_compatible(given, dt_ai_get_output_shape(encoder->ctx, k, given, MAX_DIMS), taken, ndim))
      return k;
  return -1;
}

/* Writes which decoder input takes each output of the encoder, -1 for none. */
static gboolean _match(const _session_t *encoder, const _session_t *decoder, int *taken_by, GError **error)
{
  for(int k = 0; k < encoder->n_out; k++)
  {
    taken_by[k] = -1;
    for(int i = 0; i < decoder->n_in; i++)
      if(strcmp(dt_ai_get_output_name(encoder->ctx, k), dt_ai_get_input_name(decoder->ctx, i)) == 0)
        taken_by[k] = i;
  }
  for(int i = 0; i < decoder->n_in; i++)
  {
    if(_find_prompt(dt_ai_get_input_name(decoder->ctx, i))) continue;
    const int k = _find_feature(encoder, decoder, i, taken_by);
    if(k < 0)
      return _refuse(decoder, error, "encoder.onnx gives nothing for its input \"%s\"",
                     dt_ai_get_input_name(decoder->ctx, i));
    taken_by[k] = i;
  }
  return TRUE;
}

/* Room for the encoder's outputs, as large as the decoder wants them where the encoder does not tell. */
static gboolean _make_features(_session_t *encoder, const _session_t *decoder, const int *taken_by,
                               GError **error)
{
  for(int k = 0; k < encoder->n_out; k++)
  {
    int64_t shape[MAX_DIMS] = { 1, 256, 256, 256 };
    if(taken_by[k] >= 0) dt_ai_get_input_shape(decoder->ctx, taken_by[k], shape, MAX_DIMS);
    if(!_make_tensor(encoder, FALSE, k, shape, error)) return FALSE;
  }
  return TRUE;
}

static gboolean _encode(_session_t *encoder, GError **error)
{
  const int64_t open[] = { 1, 3, MASK_SIDE, MASK_SIDE };
  if(encoder->n_in != 1) return _refuse(encoder, error, "it has %d inputs instead of one", encoder->n_in);
  if(!_make_tensor(encoder, TRUE, 0, open, error)) return FALSE;
  if(encoder->in[0].ndim != 4) return _refuse(encoder, error, "its input has no four dimensions");
  _draw(&encoder->in[0]);
  return _run(encoder, error) && _check_finite(encoder, error);
}

/* The encoder's outputs change hands: the tensor that @p encoder loses is @p decoder's. */
static gboolean _make_decoder_inputs(_session_t *encoder, _session_t *decoder, const int *taken_by,
                                     GError **error)
{
  for(int k = 0; k < encoder->n_out; k++)
  {
    if(taken_by[k] < 0) continue;
    decoder->in[taken_by[k]] = encoder->out[k];
    encoder->out[k] = (dt_ai_tensor_t){ 0 };
  }
  for(int i = 0; i < decoder->n_in; i++)
  {
    const _prompt_t *prompt = _find_prompt(dt_ai_get_input_name(decoder->ctx, i));
    if(prompt && !_make_prompt(decoder, i, prompt, error)) return FALSE;
  }
  return TRUE;
}

static gboolean _check_masks(const _session_t *s, GError **error)
{
  for(int i = 0; i < s->n_out; i++)
  {
    const char *name = dt_ai_get_output_name(s->ctx, i);
    const dt_ai_tensor_t *t = &s->out[i];
    if(strcmp(name, "masks") != 0 && strcmp(name, "mask") != 0) continue;
    const gboolean ok = t->ndim == 4 && t->shape[0] == 1
                        && (t->shape[1] == 1 || t->shape[1] == 3 || t->shape[1] == 4)
                        && t->shape[2] == t->shape[3];
    char *found = _describe_shape(t->shape, t->ndim);
    if(!ok)
      _refuse(s, error, "its output \"%s\" has shape %s; one, three or four square masks are needed", name,
              found);
    g_free(found);
    return ok;
  }
  return _refuse(s, error, "it has no output \"masks\"");
}

static gboolean _decode(_session_t *s, GError **error)
{
  /* four masks are the most there are */
  const int64_t masks[] = { 1, 4, MASK_SIDE, MASK_SIDE };
  for(int i = 0; i < s->n_out; i++)
    if(!_make_tensor(s, FALSE, i, masks, error)) return FALSE;
  return _run(s, error) && _check_finite(s, error) && _check_masks(s, error);
}

static gboolean _try_pair(_session_t *encoder, _session_t *decoder, GError **error)
{
  int *taken_by = g_new0(int, (gsize)encoder->n_out);
  const gboolean ok = _match(encoder, decoder, taken_by, error)
                      && _make_features(encoder, decoder, taken_by, error) && _encode(encoder, error)
                      && _make_decoder_inputs(encoder, decoder, taken_by, error) && _decode(decoder, error);
  g_free(taken_by);
  return ok;
}

static gboolean _has_file(const dt_manifest_t *m, const char *name)
{
  char *path = g_build_filename(m->directory, name, NULL);
  const gboolean found = g_file_test(path, G_FILE_TEST_EXISTS);
  g_free(path);
  return found;
}

static gboolean _test_pair(const _trial_t *trial, GError **error)
{
  _session_t encoder = { 0 }, decoder = { 0 };
  /* beyond the basic level the runtime gets the shapes of SAM 2's decoder wrong */
  const gboolean ok = _open(&encoder, trial, "encoder.onnx", DT_AI_OPT_ALL, error)
                      && _check_cancelled(trial, error)
                      && _open(&decoder, trial, "decoder.onnx", DT_AI_OPT_BASIC, error)
                      && _check_cancelled(trial, error) && _try_pair(&encoder, &decoder, error);
  _close(&decoder);
  _close(&encoder);
  return ok;
}

/* A mask without clicks: one image in, one mask out. */
static gboolean _try_lone(_session_t *s, GError **error)
{
  const int64_t mask[] = { 1, 1, MASK_SIDE, MASK_SIDE };
  for(int i = 0; i < s->n_out; i++)
    if(!_make_tensor(s, FALSE, i, mask, error)) return FALSE;
  return _encode(s, error);
}

/* --- all files --- */

static int _find_rule(const char *task, const char *file)
{
  for(size_t i = 0; i < G_N_ELEMENTS(_images); i++)
    if(strcmp(_images[i].task, task) == 0 && strcmp(_images[i].file, file) == 0) return (int)i;
  return -1;
}

/* Files that the task does not know are only loaded. */
static gboolean _test_file(const _trial_t *trial, const char *file, GError **error)
{
  _session_t s;
  const char *task = trial->manifest->task;
  const int rule = _find_rule(task, file);
  const gboolean lone = strcmp(task, "mask") == 0 && strcmp(file, "model.onnx") == 0;
  gboolean ok = _open(&s, trial, file, DT_AI_OPT_ALL, error) && _check_cancelled(trial, error);
  if(ok && rule >= 0) ok = _try_image(&s, (size_t)rule, error);
  if(ok && lone) ok = _try_lone(&s, error);
  _close(&s);
  return ok;
}

static int _compare_names(gconstpointer a, gconstpointer b)
{
  return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static GPtrArray *_list_files(const dt_manifest_t *m)
{
  GPtrArray *names = g_ptr_array_new_with_free_func(g_free);
  GDir *dir = g_dir_open(m->directory, 0, NULL);
  for(const char *name; dir && (name = g_dir_read_name(dir));)
    if(g_str_has_suffix(name, ".onnx")) g_ptr_array_add(names, g_strdup(name));
  if(dir) g_dir_close(dir);
  g_ptr_array_sort(names, _compare_names);
  return names;
}

static gboolean _is_half_of_pair(const char *name)
{
  return strcmp(name, "encoder.onnx") == 0 || strcmp(name, "decoder.onnx") == 0;
}

gboolean dt_model_selftest_within(const dt_manifest_t *manifest, int seconds, GCancellable *cancellable,
                                  GError **error)
{
  const _trial_t trial = { .manifest = manifest, .cancellable = cancellable, .seconds = seconds };
  const gboolean pair = strcmp(manifest->task, "mask") == 0 && _has_file(manifest, "encoder.onnx")
                        && _has_file(manifest, "decoder.onnx");
  GPtrArray *names = _list_files(manifest);
  gboolean ok = _check_cancelled(&trial, error);
  if(ok && names->len == 0)
    ok = _refuse(&(_session_t){ .trial = &trial, .file = "" }, error, "there is no .onnx file");
  if(ok && pair) ok = _test_pair(&trial, error);
  for(guint i = 0; ok && i < names->len; i++)
    if(!pair || !_is_half_of_pair(names->pdata[i]))
      ok = _test_file(&trial, names->pdata[i], error) && _check_cancelled(&trial, error);
  g_ptr_array_unref(names);
  return ok;
}

gboolean dt_model_selftest(const dt_manifest_t *manifest, GCancellable *cancellable, GError **error)
{
  return dt_model_selftest_within(manifest, SELFTEST_SECONDS, cancellable, error);
}
