/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A model tried on a provider: one picture, once there and once on the CPU, and whether the answers agree.
 *
 * Providers that compile graphs do so here, in the child, and leave them in the cache for the session to come. */
#include "ai/backend_internal.h"
#include "ai/probe.h"
#include "common/log.h"

#include <math.h>
#include <string.h>

#define MAX_RANK 8
/* Upscalers answer with more pixels than they were shown. */
#define MAX_SCALE 4
/* A provider may round to fewer bits (fp16, TF32) and fuse in another order: a few thousandths of the range. What
 * deviates by a twentieth computes something else. */
#define MAX_DEVIATION 0.05

/* The tensors of one run. */
typedef struct _tensors_t
{
  dt_ai_tensor_t *in, *out;
  int n_in, n_out;
} _tensors_t;

static float _noise(guint32 i)
{
  guint32 h = i * 0x9E3779B1u;
  h = (h ^ (h >> 15)) * 0x2C1B3C6Du;
  return (float)((h ^ (h >> 13)) >> 8) / 16777216.0f;
}

/* A gradient with noise, all values from 0 to 1: what photographs, noise maps and rough masks are made of. */
static void _fill(dt_ai_tensor_t *t, size_t n)
{
  const size_t row = (size_t)t->shape[t->ndim - 1];
  if(t->type == DT_AI_FLOAT)
    for(size_t i = 0; i < n; i++)
      ((float *)t->data)[i] = 0.1f + 0.6f * (float)(i % row) / (float)row + 0.2f * _noise((guint32)i);
}

static size_t _element_size(dt_ai_dtype_t type)
{
  return type == DT_AI_INT64 ? 8 : type == DT_AI_UINT8 || type == DT_AI_INT8 ? 1 : 4;
}

/* Symbolic dimensions: one picture, three channels, @p side pixels. @return FALSE when it cannot be made */
static gboolean _make(dt_ai_tensor_t *t, dt_ai_dtype_t type, const int64_t *shape, int ndim, int side)
{
  if(ndim < 0 || ndim > MAX_RANK) return FALSE;
  t->type = type == DT_AI_FLOAT16 ? DT_AI_FLOAT : type; /* the backend converts */
  t->ndim = ndim;
  t->shape = g_new(int64_t, MAX_RANK);
  for(int d = 0; d < ndim; d++)
    t->shape[d] = shape[d] > 0 ? shape[d] : d == 0 ? 1 : d == 1 && ndim == 4 ? 3 : side;
  const size_t n = dt_ai_tensor_element_count(t->shape, ndim);
  if(n == 0 || n > (size_t)1 << 28) return FALSE;
  t->data = g_try_malloc0_n(n, _element_size(t->type));
  if(t->data && ndim) _fill(t, n);
  return t->data != NULL;
}

static void _free_tensors(_tensors_t *t)
{
  dt_ai_tensor_t *lists[] = { t->in, t->out };
  const int counts[] = { t->n_in, t->n_out };
  for(int l = 0; l < 2; l++)
  {
    for(int i = 0; lists[l] && i < counts[l]; i++)
    {
      g_free(lists[l][i].data);
      g_free(lists[l][i].shape);
    }
    g_free(lists[l]);
  }
}

static gboolean _make_tensors(dt_ai_context_t *ctx, int side, _tensors_t *t)
{
  int64_t shape[MAX_RANK];
  *t = (_tensors_t){ .n_in = dt_ai_get_input_count(ctx), .n_out = dt_ai_get_output_count(ctx) };
  t->in = g_new0(dt_ai_tensor_t, (gsize)t->n_in + 1);
  t->out = g_new0(dt_ai_tensor_t, (gsize)t->n_out + 1);
  gboolean ok = TRUE;
  for(int i = 0; ok && i < t->n_in; i++)
  {
    const int ndim = dt_ai_get_input_shape(ctx, i, shape, MAX_RANK);
    ok = _make(&t->in[i], dt_ai_get_input_type(ctx, i), shape, ndim, side);
  }
  for(int i = 0; ok && i < t->n_out; i++)
  {
    const int ndim = dt_ai_get_output_shape(ctx, i, shape, MAX_RANK);
    ok = _make(&t->out[i], dt_ai_get_output_type(ctx, i), shape, ndim, MAX_SCALE * side);
  }
  return ok;
}

static gboolean _run(dt_ai_context_t *ctx, _tensors_t *t, GError **error)
{
  return dt_ai_run_cancellable(ctx, t->in, t->n_in, t->out, t->n_out, NULL, error);
}

/* --- the CPU's answer --- */

/* Some models want no less than 128 or 256 pixels; the first size that works on the CPU is the one. */
static int _run_on_cpu(dt_ai_context_t *cpu, int side, _tensors_t *t)
{
  const int sides[] = { 64, 128, 256 };
  if(side > 0 && _make_tensors(cpu, side, t) && _run(cpu, t, NULL)) return side;
  for(size_t i = 0; side == 0 && i < G_N_ELEMENTS(sides); i++)
  {
    if(_make_tensors(cpu, sides[i], t) && _run(cpu, t, NULL)) return sides[i];
    _free_tensors(t);
    *t = (_tensors_t){ 0 };
  }
  return 0;
}

/* --- comparing --- */

/* What is wrong with @p got, or NULL. */
static char *_compare_values(const char *name, const float *wanted, const float *got, size_t n, double *worst)
{
  float low = INFINITY, high = -INFINITY, got_low = INFINITY, got_high = -INFINITY;
  double difference = 0;
  for(size_t i = 0; i < n; i++)
  {
    /* the network itself may answer so: then there is nothing to compare */
    if(!isfinite(wanted[i])) continue;
    if(!isfinite(got[i]))
      return g_strdup_printf("its output \"%s\" has values that are no numbers, which the CPU's has not",
                             name);
    low = MIN(low, wanted[i]);
    high = MAX(high, wanted[i]);
    got_low = MIN(got_low, got[i]);
    got_high = MAX(got_high, got[i]);
    difference = MAX(difference, fabs((double)wanted[i] - (double)got[i]));
  }
  const double range = high > low ? (double)high - (double)low : 0;
  *worst = MAX(*worst, range > 0 ? difference / range : 0);
  if(range > 0 && (double)got_high - (double)got_low < 1e-3 * range)
    return g_strdup_printf("its output \"%s\" is the same everywhere, which the CPU's is not", name);
  if(difference > MAX_DEVIATION * MAX(range, 1e-3))
    return g_strdup_printf("its output \"%s\" is wrong: up to %.3g away from the CPU's, whose range is %.3g",
                           name, difference, range);
  return NULL;
}

static char *_compare(dt_ai_context_t *ctx, const _tensors_t *wanted, const _tensors_t *got, double *worst)
{
  for(int i = 0; i < got->n_out; i++)
  {
    const dt_ai_tensor_t *a = &wanted->out[i], *b = &got->out[i];
    const size_t n = dt_ai_tensor_element_count(a->shape, a->ndim);
    const char *name = dt_ai_get_output_name(ctx, i);
    if(a->type != DT_AI_FLOAT) continue;
    if(n != dt_ai_tensor_element_count(b->shape, b->ndim))
      return g_strdup_printf("its output \"%s\" has another size than the CPU's", name);
    char *wrong = _compare_values(name, a->data, b->data, n, worst);
    if(wrong) return wrong;
  }
  return NULL;
}

/* --- the trial --- */

static void _set_verdict(GKeyFile *answer, const char *reason)
{
  g_key_file_set_boolean(answer, "trial", "works", reason == NULL);
  if(reason) g_key_file_set_string(answer, "trial", "reason", reason);
}

/* Runs on the provider what ran on the CPU; @p side 0: nothing did, so that only the graph was compiled. */
static void _try(dt_ai_context_t *ctx, int side, const _tensors_t *wanted, GKeyFile *answer)
{
  _tensors_t got = { 0 };
  GError *error = NULL;
  char *wrong = NULL;
  double worst = 0;
  if(side && _make_tensors(ctx, side, &got))
    wrong = _run(ctx, &got, &error) ? _compare(ctx, wanted, &got, &worst)
                                    : g_strdup_printf("it cannot run the model: %s", error->message);
  _set_verdict(answer, wrong);
  g_key_file_set_boolean(answer, "trial", "compared", side != 0);
  g_key_file_set_double(answer, "trial", "deviation", worst);
  g_clear_error(&error);
  g_free(wrong);
  _free_tensors(&got);
}

static dt_ai_context_t *_open(const dt_ort_t *ort, const dt_ai_target_t *target, const dt_ai_trial_t *trial,
                              GBytes *bytes, GError **error)
{
  const dt_ai_session_opts_t opts = { .opt_level = trial->opt_level };
  return dt_ai_session_open(ort, target, trial->path, g_bytes_get_data(bytes, NULL), g_bytes_get_size(bytes),
                            &opts, error);
}

static void _try_model(const dt_ort_t *ort, const dt_ai_target_t *target, const dt_ai_trial_t *trial,
                       GBytes *bytes, GKeyFile *answer)
{
  const dt_ai_target_t cpu_target = { .provider = DT_AI_PROVIDER_CPU };
  GError *error = NULL;
  /* what the CPU cannot open either is no fault of the provider, and is told by who opens it next */
  dt_ai_context_t *cpu = _open(ort, &cpu_target, trial, bytes, NULL);
  dt_ai_context_t *ctx = cpu ? _open(ort, target, trial, bytes, &error) : NULL;
  if(ctx)
  {
    _tensors_t wanted = { 0 };
    const int side = _run_on_cpu(cpu, trial->side, &wanted);
    _try(ctx, side, &wanted, answer);
    _free_tensors(&wanted);
  }
  else if(cpu)
    g_prefix_error(&error, "it cannot open the model (update its driver, or choose another provider): ");
  if(!ctx) _set_verdict(answer, error ? error->message : NULL);
  g_clear_error(&error);
  dt_ai_unload_model(ctx);
  dt_ai_unload_model(cpu);
}

void dt_ai_trial_run(const dt_ort_t *ort, const dt_ai_target_t *target, const dt_ai_trial_t *trial,
                     GKeyFile *answer)
{
  const gint64 start = g_get_monotonic_time();
  GError *error = NULL;
  char *folder = g_path_get_dirname(trial->path), *name = g_path_get_basename(trial->path);
  GBytes *bytes = dt_ai_read_model_file(folder, name, &error);
  char *hash = bytes ? g_compute_checksum_for_bytes(G_CHECKSUM_SHA256, bytes) : NULL;
  if(!bytes)
    _set_verdict(answer, error->message);
  else if(strcmp(hash, trial->hash) != 0)
  {
    _set_verdict(answer, "the model's file has changed meanwhile");
    g_key_file_set_boolean(answer, "trial", "passing",
                           TRUE); /* says nothing about the model that is there now */
  }
  else
    _try_model(ort, target, trial, bytes, answer);
  g_key_file_set_double(answer, "trial", "seconds", 1e-6 * (double)(g_get_monotonic_time() - start));
  g_clear_error(&error);
  g_free(hash);
  if(bytes) g_bytes_unref(bytes);
  g_free(name);
  g_free(folder);
}
