/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Loads a mask model and finds out what its tensors are: which family it is of, which of the encoder's outputs goes into
 * which of the decoder's inputs, and how large everything is. What does not fit is told by name. */
#include "ai/seg_model.h"
#include "ai/backend_internal.h"
#include "common/log.h"
#include "common/onnx_graph.h"

#include <string.h>

/* ImageNet, in samples of 0 to 255: what the encoders of the SAM family were trained with */
static const float _sam_mean[3] = { 123.675f, 116.28f, 103.53f };
static const float _sam_deviation[3] = { 58.395f, 57.12f, 57.375f };
/* of masks and squares; where the decoder does not tell how large its masks are */
#define LARGEST_SIDE 4096
#define OPEN_SIDE 1024
/* of ONNX's TensorProto.DataType */
#define ONNX_FLOAT 1
#define ONNX_FLOAT16 10

static gboolean _refuse(const dt_seg_model_t *m, GError **error, const char *format, ...) G_GNUC_PRINTF(3, 4);
static gboolean _refuse(const dt_seg_model_t *m, GError **error, const char *format, ...)
{
  va_list args;
  va_start(args, format);
  char *why = g_strdup_vprintf(format, args);
  va_end(args);
  g_set_error(error, DT_AI_ERROR, DT_AI_ERROR_NO_MODEL,
              "The model %s cannot be used for masks: %s. Choose another with --model (see: darktable-ai "
              "models list).",
              m->id, why);
  g_free(why);
  return FALSE;
}

/* --- tensors --- */

static dt_seg_shape_t _input_shape(dt_ai_context_t *ctx, int i)
{
  dt_seg_shape_t t = { 0 };
  t.ndim = dt_ai_get_input_shape(ctx, i, t.dims, DT_SEG_MAX_DIMS);
  return t;
}

static dt_seg_shape_t _output_shape(dt_ai_context_t *ctx, int i)
{
  dt_seg_shape_t t = { 0 };
  t.ndim = dt_ai_get_output_shape(ctx, i, t.dims, DT_SEG_MAX_DIMS);
  return t;
}

/* "[1, 3, ?, ?]" (transfer full) */
static char *_describe(const dt_seg_shape_t *t)
{
  GString *text = g_string_new("[");
  for(int i = 0; i < MIN(t->ndim, DT_SEG_MAX_DIMS); i++)
  {
    g_string_append(text, i ? ", " : "");
    if(t->dims[i] > 0)
      g_string_append_printf(text, "%" G_GINT64_FORMAT, t->dims[i]);
    else
      g_string_append_c(text, '?');
  }
  g_string_append_c(text, ']');
  return g_string_free(text, FALSE);
}

static gboolean _refuse_shape(const dt_seg_model_t *m, GError **error, const char *what,
                              const dt_seg_shape_t *t, const char *wanted)
{
  char *shape = _describe(t);
  _refuse(m, error, "%s has the shape %s instead of %s", what, shape, wanted);
  g_free(shape);
  return FALSE;
}

/* Index of the decoder's input called @p name, or -1. */
static int _find_input(dt_ai_context_t *ctx, const char *name)
{
  for(int i = 0; i < dt_ai_get_input_count(ctx); i++)
    if(strcmp(dt_ai_get_input_name(ctx, i), name) == 0) return i;
  return -1;
}

static int _find_output(dt_ai_context_t *ctx, const char *name)
{
  for(int i = 0; i < dt_ai_get_output_count(ctx); i++)
    if(strcmp(dt_ai_get_output_name(ctx, i), name) == 0) return i;
  return -1;
}

/* --- the encoder --- */

static dt_seg_shape_t _value_shape(const dt_onnx_value_t *value)
{
  dt_seg_shape_t t = { .ndim = value->rank };
  for(int i = 0; i < MIN(value->rank, DT_SEG_MAX_DIMS); i++) t.dims[i] = value->dims[i];
  return t;
}

static gboolean _is_told(const dt_onnx_value_t *value)
{
  const gboolean floats = value->elem_type == ONNX_FLOAT || value->elem_type == ONNX_FLOAT16;
  return floats && value->rank >= 0 && value->rank <= DT_SEG_MAX_DIMS;
}

/* What the file itself says of the encoder, without a session, which takes seconds to open. FALSE where the runtime may
 * know more. */
static gboolean _read_ports(dt_seg_model_t *m)
{
  char *path = g_build_filename(m->directory, "encoder.onnx", NULL);
  GMappedFile *file = g_mapped_file_new(path, FALSE, NULL);
  dt_onnx_graph_t *graph =
      file ? dt_onnx_graph_parse(g_mapped_file_get_contents(file), g_mapped_file_get_length(file), NULL)
           : NULL;
  dt_seg_ports_t *p = &m->ports;
  const dt_onnx_value_t *in = graph ? dt_onnx_graph_inputs(graph, &p->n_in) : NULL,
                        *out = graph ? dt_onnx_graph_outputs(graph, &p->n_out) : NULL;
  gboolean told = graph && p->n_in >= 1 && _is_told(in) && !dt_onnx_graph_has_external_data(graph);
  if(told) p->in = _value_shape(in);
  for(int k = 0; told && k < MIN(p->n_out, DT_SEG_MAX_FEATURES); k++)
  {
    told = _is_told(&out[k]);
    p->out[k] = _value_shape(&out[k]);
    g_free(p->names[k]);
    p->names[k] = g_strdup(out[k].name);
  }
  dt_onnx_graph_destroy(graph);
  if(file) g_mapped_file_unref(file);
  g_free(path);
  return told;
}

/* The same as the session has it. */
static void _ask_ports(dt_seg_model_t *m)
{
  dt_seg_ports_t *p = &m->ports;
  p->n_in = dt_ai_get_input_count(m->encoder);
  p->n_out = dt_ai_get_output_count(m->encoder);
  p->in = _input_shape(m->encoder, 0);
  for(int k = 0; k < MIN(p->n_out, DT_SEG_MAX_FEATURES); k++)
  {
    p->out[k] = _output_shape(m->encoder, k);
    g_free(p->names[k]);
    p->names[k] = g_strdup(dt_ai_get_output_name(m->encoder, k));
  }
}

static gboolean _check_encoder(dt_seg_model_t *m, GError **error)
{
  const dt_seg_shape_t in = m->ports.in;
  if(m->ports.n_in != 1) return _refuse(m, error, "its encoder has %d inputs instead of one", m->ports.n_in);
  const gboolean square = in.ndim == 4 && (in.dims[0] == 1 || in.dims[0] == -1) && in.dims[1] == 3
                          && in.dims[2] == in.dims[3] && in.dims[2] >= 16 && in.dims[2] <= LARGEST_SIDE;
  if(!square) return _refuse_shape(m, error, "its encoder's input", &in, "[1, 3, 1024, 1024]");
  m->side = (int)in.dims[2];
  m->n_features = m->ports.n_out;
  if(m->n_features >= 1 && m->n_features <= DT_SEG_MAX_FEATURES) return TRUE;
  return _refuse(m, error, "its encoder has %d outputs; one to %d are understood", m->n_features,
                 DT_SEG_MAX_FEATURES);
}

/* --- which feature goes where --- */

static gboolean _may_be(const dt_seg_shape_t *given, const dt_seg_shape_t *taken)
{
  gboolean same = given->ndim == taken->ndim;
  for(int i = 0; same && i < given->ndim; i++)
    same = given->dims[i] == taken->dims[i] || given->dims[i] < 1 || taken->dims[i] < 1;
  return same;
}

static gboolean _is_prompt(const dt_seg_model_t *m, int input)
{
  return input == m->coords || input == m->labels || input == m->previous || input == m->flag;
}

static gboolean _is_taken(const dt_seg_model_t *m, int input)
{
  for(int k = 0; k < m->n_features; k++)
    if(m->taken_by[k] == input) return TRUE;
  return FALSE;
}

/* By name, else the first of the decoder's inputs left that has room for it. */
static void _match_features(dt_seg_model_t *m)
{
  for(int k = 0; k < m->n_features; k++) m->taken_by[k] = _find_input(m->decoder, m->ports.names[k]);
  for(int k = 0; k < m->n_features; k++)
    for(int i = 0; m->taken_by[k] < 0 && i < dt_ai_get_input_count(m->decoder); i++)
    {
      const dt_seg_shape_t given = m->ports.out[k], taken = _input_shape(m->decoder, i);
      if(!_is_prompt(m, i) && !_is_taken(m, i) && _may_be(&given, &taken)) m->taken_by[k] = i;
    }
}

/* What one file leaves open the other may tell. */
static gboolean _settle_feature(dt_seg_model_t *m, int k, GError **error)
{
  const char *name = m->ports.names[k];
  const dt_seg_shape_t given = m->ports.out[k], taken = _input_shape(m->decoder, m->taken_by[k]);
  dt_seg_shape_t *t = &m->features[k];
  char *what = g_strdup_printf("its encoder's output \"%s\"", name), *wanted = _describe(&taken);
  gboolean ok = _may_be(&given, &taken);
  if(!ok) _refuse_shape(m, error, what, &given, wanted);
  *t = given;
  for(int i = 0; ok && i < t->ndim; i++)
    if(t->dims[i] < 1) t->dims[i] = i == 0 ? 1 : taken.dims[i];
  if(ok && (t->ndim < 2 || dt_ai_tensor_element_count(t->dims, t->ndim) == 0))
    ok = _refuse_shape(m, error, what, t, "one that encoder or decoder tells");
  g_free(what);
  g_free(wanted);
  return ok;
}

static gboolean _settle_features(dt_seg_model_t *m, GError **error)
{
  _match_features(m);
  for(int k = 0; k < m->n_features; k++)
  {
    if(m->taken_by[k] < 0)
      return _refuse(m, error, "its decoder has no input for the encoder's output \"%s\"", m->ports.names[k]);
    if(!_settle_feature(m, k, error)) return FALSE;
  }
  for(int i = 0; i < dt_ai_get_input_count(m->decoder); i++)
    if(!_is_prompt(m, i) && !_is_taken(m, i))
      return _refuse(m, error, "its decoder's input \"%s\" is neither a prompt nor an output of the encoder",
                     dt_ai_get_input_name(m->decoder, i));
  return TRUE;
}

/* --- the decoder --- */

/* The family shows in how the previous mask goes in; the manifest may say it as well, but not something else. */
static gboolean _find_family(dt_seg_model_t *m, const char *arch, GError **error)
{
  const int sam = _find_input(m->decoder, "mask_input"), segnext = _find_input(m->decoder, "prev_mask");
  m->coords = _find_input(m->decoder, "point_coords");
  m->labels = _find_input(m->decoder, "point_labels");
  m->flag = _find_input(m->decoder, "has_mask_input");
  m->previous = sam >= 0 ? sam : segnext;
  m->family = sam >= 0 ? DT_SEG_SAM : DT_SEG_SEGNEXT;
  if(m->coords < 0 || m->labels < 0)
    return _refuse(m, error, "its decoder has no \"%s\"", m->coords < 0 ? "point_coords" : "point_labels");
  if(m->previous < 0)
    return _refuse(m, error, "its decoder has neither \"mask_input\" (SAM) nor \"prev_mask\" (SegNext)");
  if(m->family == DT_SEG_SAM && m->flag < 0)
    return _refuse(m, error, "its decoder has \"mask_input\" but no \"has_mask_input\"");
  const gboolean says_segnext = strcmp(arch, "segnext") == 0, says_sam = g_str_has_prefix(arch, "sam");
  if((says_segnext && m->family == DT_SEG_SAM) || (says_sam && m->family == DT_SEG_SEGNEXT))
    return _refuse(m, error, "its manifest says arch \"%s\", but the decoder has \"%s\"", arch,
                   dt_ai_get_input_name(m->decoder, m->previous));
  return TRUE;
}

static gboolean _check_points(const dt_seg_model_t *m, GError **error)
{
  const dt_seg_shape_t coords = _input_shape(m->decoder, m->coords),
                       labels = _input_shape(m->decoder, m->labels);
  if(coords.ndim != 3 || coords.dims[2] != 2 || coords.dims[1] > 0)
    return _refuse_shape(m, error, "its decoder's \"point_coords\"", &coords,
                         "[1, ?, 2] with a free number of points");
  if(labels.ndim != 2 || labels.dims[1] > 0)
    return _refuse_shape(m, error, "its decoder's \"point_labels\"", &labels,
                         "[1, ?] with a free number of points");
  return TRUE;
}

static gboolean _check_previous(dt_seg_model_t *m, GError **error)
{
  const dt_seg_shape_t t = _input_shape(m->decoder, m->previous);
  if(t.ndim != 4 || t.dims[1] != 1 || t.dims[2] != t.dims[3] || t.dims[2] < 1 || t.dims[2] > LARGEST_SIDE)
    return _refuse_shape(m, error, "its decoder's previous mask", &t, "[1, 1, 256, 256]");
  m->previous_side = (int)t.dims[2];
  return TRUE;
}

/* Settles the shape of an output at its largest: what is open is as many candidates, and as large, as there may be. */
static gboolean _check_output(dt_seg_model_t *m, int output, int ndim, const char *wanted,
                              dt_seg_shape_t *shape, GError **error)
{
  dt_seg_shape_t t = _output_shape(m->decoder, output);
  gboolean ok = t.ndim == ndim && t.dims[0] <= 1 && t.dims[1] <= DT_SEG_MAX_CANDIDATES;
  for(int i = 2; i < t.ndim; i++) ok = ok && t.dims[i] <= LARGEST_SIDE;
  *shape = t;
  char *what = g_strdup_printf("its decoder's output \"%s\"", dt_ai_get_output_name(m->decoder, output));
  if(!ok) _refuse_shape(m, error, what, &t, wanted);
  g_free(what);
  shape->dims[0] = 1;
  if(t.dims[1] < 1) shape->dims[1] = DT_SEG_MAX_CANDIDATES;
  for(int i = 2; ok && i < t.ndim; i++)
    if(t.dims[i] < 1) shape->dims[i] = OPEN_SIDE;
  return ok;
}

/* What can be fed back: masks of just that size, or the masks themselves, resized where that is needed. */
static gboolean _check_low(dt_seg_model_t *m, GError **error)
{
  if(!_check_output(m, m->low, 4, "[1, M, 256, 256]", &m->low_shape, error)) return FALSE;
  const int64_t *dims = m->low_shape.dims;
  if(dims[2] == m->previous_side && dims[3] == m->previous_side) return TRUE;
  return _refuse_shape(m, error, "its decoder's output \"low_res_masks\"", &m->low_shape,
                       "that of the previous mask");
}

static gboolean _find_outputs(dt_seg_model_t *m, GError **error)
{
  m->masks = _find_output(m->decoder, "masks");
  if(m->masks < 0) m->masks = _find_output(m->decoder, "mask");
  m->scores = _find_output(m->decoder, "iou_predictions");
  m->low = _find_output(m->decoder, "low_res_masks");
  if(m->masks < 0) return _refuse(m, error, "its decoder has no output \"masks\" or \"mask\"");
  const int known = 1 + (m->scores >= 0) + (m->low >= 0);
  if(dt_ai_get_output_count(m->decoder) != known)
    return _refuse(m, error,
                   "its decoder has %d outputs; \"masks\", \"iou_predictions\" and \"low_res_masks\" are "
                   "understood",
                   dt_ai_get_output_count(m->decoder));
  return _check_output(m, m->masks, 4, "[1, M, S, S]", &m->masks_shape, error)
         && (m->scores < 0 || _check_output(m, m->scores, 2, "[1, M]", &m->scores_shape, error))
         && (m->low < 0 || _check_low(m, error));
}

static gboolean _is_float(dt_ai_dtype_t type)
{
  return type == DT_AI_FLOAT || type == DT_AI_FLOAT16;
}

/* Everything is of floats. */
static gboolean _check_types(const dt_seg_model_t *m, dt_ai_context_t *ctx, const char *which, GError **error)
{
  for(int i = 0; i < dt_ai_get_input_count(ctx); i++)
    if(!_is_float(dt_ai_get_input_type(ctx, i)))
      return _refuse(m, error, "its %s's input \"%s\" is not of floats", which, dt_ai_get_input_name(ctx, i));
  for(int i = 0; i < dt_ai_get_output_count(ctx); i++)
    if(!_is_float(dt_ai_get_output_type(ctx, i)))
      return _refuse(m, error, "its %s's output \"%s\" is not of floats", which,
                     dt_ai_get_output_name(ctx, i));
  return TRUE;
}

static gboolean _check_decoder(dt_seg_model_t *m, const char *arch, GError **error)
{
  return (!m->encoder || _check_types(m, m->encoder, "encoder", error))
         && _check_types(m, m->decoder, "decoder", error) && _find_family(m, arch, error)
         && _check_points(m, error) && _check_previous(m, error) && _find_outputs(m, error)
         && _settle_features(m, error);
}

/* --- loading --- */

static gboolean _is_strict(const dt_seg_model_t *m)
{
  return m->opts.strict && m->opts.provider != DT_AI_PROVIDER_AUTO;
}

static dt_ai_context_t *_open(const dt_seg_model_t *m, const char *file, gboolean on_cpu,
                              dt_ai_opt_level_t level, GCancellable *cancellable, GError **error)
{
  /* decoders in the published form leave the number of masks open */
  static const dt_ai_dim_override_t overrides[] = { { "num_labels", 1 } };
  dt_ai_session_opts_t o = { .provider = on_cpu ? DT_AI_PROVIDER_CPU : m->opts.provider,
                             .strict = !on_cpu && _is_strict(m),
                             .cpu_only = m->cpu_only,
                             .opt_level = level,
                             .threads = m->opts.threads,
                             .side = on_cpu ? 0 : 1024,
                             .cancellable = cancellable };
  if(level == DT_AI_OPT_BASIC)
  {
    o.overrides = overrides;
    o.n_overrides = G_N_ELEMENTS(overrides);
  }
  if(!dt_seg_check_cancelled(cancellable, error)) return NULL;
  GBytes *bytes = dt_ai_read_model_file(m->directory, file, error);
  if(!bytes) return NULL;
  char *path = g_build_filename(m->directory, file, NULL);
  dt_ai_context_t *ctx =
      dt_ai_session_create(path, g_bytes_get_data(bytes, NULL), g_bytes_get_size(bytes), &o, error);
  g_free(path);
  g_bytes_unref(bytes);
  return ctx;
}

/* An encoder that is opened late may turn out to be another decoder's: the runtime knows sizes that the file leaves
 * open. */
static gboolean _check_opened(const dt_seg_model_t *m, GError **error)
{
  gboolean ok = TRUE;
  for(int k = 0; ok && k < m->n_features; k++)
  {
    const dt_seg_shape_t given = _output_shape(m->encoder, k);
    ok = _may_be(&given, &m->features[k]);
    if(ok) continue;
    char *what = g_strdup_printf("its encoder's output \"%s\"", m->ports.names[k]),
         *wanted = _describe(&m->features[k]);
    _refuse_shape(m, error, what, &given, wanted);
    g_free(what);
    g_free(wanted);
  }
  return ok && (m->n_features == 0 || _check_types(m, m->encoder, "encoder", error));
}

dt_ai_context_t *dt_seg_model_get_encoder(dt_seg_model_t *m, GCancellable *cancellable, GError **error)
{
  pthread_mutex_lock(&m->encoder_lock);
  if(!m->encoder && (m->encoder = _open(m, "encoder.onnx", FALSE, DT_AI_OPT_ALL, cancellable, error))
     && !_check_opened(m, error))
    g_clear_pointer(&m->encoder, dt_ai_unload_model);
  dt_ai_context_t *encoder = m->encoder;
  pthread_mutex_unlock(&m->encoder_lock);
  return encoder;
}

/* In place of the one that failed, which is not closed: another thread may be running it. */
static void _replace_encoder(dt_seg_model_t *m, dt_ai_context_t *encoder, const GError *why)
{
  char *reason =
      g_strdup_printf("%s: %s", dt_ai_provider_to_string(dt_ai_get_provider(m->encoder)), why->message);
  m->failed = m->encoder;
  m->encoder = encoder;
  dt_ai_context_set_fallback(encoder, reason);
  dt_log(DT_LOG_NOTICE, "Running on CPU instead. %s", reason);
  g_free(reason);
}

dt_ai_context_t *dt_seg_model_fall_back(dt_seg_model_t *m, dt_ai_context_t *failed, const GError *why,
                                        GCancellable *cancellable, GError **error)
{
  if(_is_strict(m) || dt_ai_get_provider(failed) == DT_AI_PROVIDER_CPU
     || g_error_matches(why, DT_AI_ERROR, DT_AI_ERROR_CANCELLED))
    return NULL;
  pthread_mutex_lock(&m->encoder_lock);
  gboolean ok = m->encoder != failed; /* another thread was quicker */
  if(!ok)
  {
    dt_ai_context_t *encoder = _open(m, "encoder.onnx", TRUE, DT_AI_OPT_ALL, cancellable, error);
    ok = encoder != NULL;
    if(ok) _replace_encoder(m, encoder, why);
  }
  dt_ai_context_t *encoder = ok ? m->encoder : NULL;
  pthread_mutex_unlock(&m->encoder_lock);
  return encoder;
}

dt_ai_provider_t dt_seg_model_get_provider(dt_seg_model_t *m)
{
  pthread_mutex_lock(&m->encoder_lock);
  const dt_ai_provider_t provider = dt_ai_get_provider(m->encoder ? m->encoder : m->decoder);
  pthread_mutex_unlock(&m->encoder_lock);
  return provider;
}

const char *dt_seg_model_get_fallback(dt_seg_model_t *m)
{
  pthread_mutex_lock(&m->encoder_lock);
  const char *reasons = dt_ai_get_fallback(m->encoder);
  pthread_mutex_unlock(&m->encoder_lock);
  return reasons;
}

/* Who insists on a provider is told at once when it cannot be had; a file that does not tell has to be opened. */
static gboolean _prepare_encoder(dt_seg_model_t *m, GCancellable *cancellable, GError **error)
{
  const gboolean told = _read_ports(m);
  if(told && !_is_strict(m)) return TRUE;
  if(!dt_seg_model_get_encoder(m, cancellable, error)) return FALSE;
  _ask_ports(m);
  return TRUE;
}

/* Of a file that was hashed before, what is remembered of it. */
static gboolean _hash_encoder(dt_seg_model_t *m, GError **error)
{
  char *path = g_build_filename(m->directory, "encoder.onnx", NULL);
  m->hash = dt_seg_cache_key(path, error);
  g_free(path);
  return m->hash != NULL;
}

/* Whether the sizes of its outputs show only when it runs: then aggressive optimisation breaks some graphs. */
static gboolean _is_open(dt_ai_context_t *ctx)
{
  for(int i = 0; i < dt_ai_get_output_count(ctx); i++)
  {
    const dt_seg_shape_t t = _output_shape(ctx, i);
    for(int k = 0; k < t.ndim; k++)
      if(t.dims[k] < 1) return TRUE;
  }
  return FALSE;
}

/* Whether the file says so itself: then it need not be opened to find out. */
static gboolean _is_declared_open(const dt_seg_model_t *m)
{
  char *path = g_build_filename(m->directory, "decoder.onnx", NULL);
  GMappedFile *file = g_mapped_file_new(path, FALSE, NULL);
  dt_onnx_graph_t *graph =
      file ? dt_onnx_graph_parse(g_mapped_file_get_contents(file), g_mapped_file_get_length(file), NULL)
           : NULL;
  int n = 0;
  gboolean open = FALSE;
  const dt_onnx_value_t *out = graph ? dt_onnx_graph_outputs(graph, &n) : NULL;
  for(int i = 0; i < n; i++)
    for(int k = 0; k < out[i].rank; k++) open |= out[i].dims[k] < 1;
  dt_onnx_graph_destroy(graph);
  if(file) g_mapped_file_unref(file);
  g_free(path);
  return open;
}

static gboolean _open_decoder(dt_seg_model_t *m, GCancellable *cancellable, GError **error)
{
  if(!_is_declared_open(m)) m->decoder = _open(m, "decoder.onnx", TRUE, DT_AI_OPT_ALL, cancellable, NULL);
  if(m->decoder && !_is_open(m->decoder)) return TRUE;
  dt_ai_unload_model(m->decoder);
  m->decoder = _open(m, "decoder.onnx", TRUE, DT_AI_OPT_BASIC, cancellable, error);
  return m->decoder != NULL;
}

static void _read_attributes(dt_seg_model_t *m, const dt_manifest_t *manifest)
{
  const gboolean sam = m->family == DT_SEG_SAM;
  m->antialias = dt_manifest_attribute_bool(manifest, "antialias", FALSE);
  for(int c = 0; c < 3; c++)
  {
    m->mean[c] = sam ? _sam_mean[c] : 0.0f;
    m->scale[c] = sam ? 1.0f / _sam_deviation[c] : 1.0f / 255.0f;
  }
  char *all = g_strdup_printf("%s %d %d", m->hash, m->family, m->antialias);
  m->encoding = g_compute_checksum_for_string(G_CHECKSUM_SHA256, all, -1);
  g_free(all);
}

static const char *_missing_file(const dt_ai_model_info_t *info)
{
  static const char *const files[] = { "encoder.onnx", "decoder.onnx" };
  for(size_t i = 0; i < G_N_ELEMENTS(files); i++)
  {
    char *path = g_build_filename(info->directory, files[i], NULL);
    const gboolean there = g_file_test(path, G_FILE_TEST_EXISTS);
    g_free(path);
    if(!there) return files[i];
  }
  return NULL;
}

dt_seg_model_t *dt_seg_model_load(const dt_ai_model_info_t *info, const dt_seg_load_opts_t *opts,
                                  GError **error)
{
  dt_seg_model_t *m = g_new0(dt_seg_model_t, 1);
  m->references = 1;
  m->id = g_strdup(info->id);
  m->directory = g_strdup(info->directory);
  m->cpu_only = g_strdup(info->cpu_only);
  m->opts = *opts;
  m->opts.cancellable = NULL; /* of this call alone */
  pthread_mutex_init(&m->encoder_lock, NULL);
  const char *missing = _missing_file(info);
  gboolean ok = !missing || _refuse(m, error, "there is no %s", missing);
  ok = ok && _prepare_encoder(m, opts->cancellable, error) && _hash_encoder(m, error)
       && _open_decoder(m, opts->cancellable, error) && _check_encoder(m, error)
       && _check_decoder(m, info->arch, error);
  if(ok)
    _read_attributes(m, dt_ai_model_manifest(info));
  else
    g_clear_pointer(&m, dt_seg_model_unref);
  return m;
}

dt_seg_model_t *dt_seg_model_ref(dt_seg_model_t *m)
{
  g_atomic_int_inc(&m->references);
  return m;
}

void dt_seg_model_unref(dt_seg_model_t *m)
{
  if(!m || !g_atomic_int_dec_and_test(&m->references)) return;
  dt_ai_unload_model(m->encoder);
  dt_ai_unload_model(m->failed);
  dt_ai_unload_model(m->decoder);
  for(int k = 0; k < DT_SEG_MAX_FEATURES; k++) g_free(m->ports.names[k]);
  pthread_mutex_destroy(&m->encoder_lock);
  g_free(m->directory);
  g_free(m->cpu_only);
  g_free(m->encoding);
  g_free(m->hash);
  g_free(m->id);
  g_free(m);
}
