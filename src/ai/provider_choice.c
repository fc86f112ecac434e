/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Which provider a session runs on: the candidates in order, each probed, tried with the model and opened; and the
 * words about those that were passed over. Nothing falls back in silence. */
#include "ai/backend_internal.h"
#include "ai/probe.h"
#include "ai/target.h"
#include "common/log.h"
#include "common/onnx_graph.h"

#include <json-glib/json-glib.h>
#include <pthread.h>
#include <string.h>

/* One choice in progress. */
typedef struct _choice_t
{
  const dt_ort_t *ort;
  const char *path;
  const void *bytes;
  size_t size;
  const dt_ai_session_opts_t *opts;
  char *hash;       /* of the bytes, once needed */
  GString *reasons; /* why others were passed over, for people */
} _choice_t;

static gboolean _fail(GError **error, int code, const char *format, ...) G_GNUC_PRINTF(3, 4);
static gboolean _fail(GError **error, int code, const char *format, ...)
{
  va_list args;
  va_start(args, format);
  if(error) *error = g_error_new_valist(DT_AI_ERROR, code, format, args);
  va_end(args);
  return FALSE;
}

/* What the runtime would follow or choke on is refused here, in words. */
static gboolean _check_graph(const _choice_t *c, GError **error)
{
  GError *cause = NULL;
  dt_onnx_graph_t *graph = dt_onnx_graph_parse(c->bytes, c->size, &cause);
  if(!graph)
    _fail(error, DT_AI_ERROR_NO_MODEL, "%s is not a valid ONNX model: %s", c->path, cause->message);
  else if(dt_onnx_graph_has_external_data(graph))
    _fail(error, DT_AI_ERROR_NO_MODEL,
          "%s keeps its weights in another file, which is not followed for safety. Export the "
          "model as one file.",
          c->path);
  const gboolean ok = graph && !dt_onnx_graph_has_external_data(graph);
  dt_onnx_graph_destroy(graph);
  g_clear_error(&cause);
  return ok;
}

/* --- what the manifest asks for --- */

static gboolean _array_names(JsonNode *node, dt_ai_provider_t provider)
{
  JsonArray *array = node && JSON_NODE_HOLDS_ARRAY(node) ? json_node_get_array(node) : NULL;
  for(guint i = 0; array && i < json_array_get_length(array); i++)
  {
    const char *name = json_array_get_string_element(array, i);
    if(name && dt_ai_provider_is_known(name) && dt_ai_provider_from_string(name) == provider) return TRUE;
  }
  return FALSE;
}

/* `cpu_only`: a list of providers, or one list per file, by the file's name without its ending. */
static gboolean _prefers_cpu(const _choice_t *c, dt_ai_provider_t provider)
{
  JsonNode *root = c->opts->cpu_only ? json_from_string(c->opts->cpu_only, NULL) : NULL;
  if(!root) return FALSE;
  char *stem = g_path_get_basename(c->path), *dot = strrchr(stem, '.');
  if(dot) *dot = '\0';
  JsonNode *list =
      JSON_NODE_HOLDS_OBJECT(root) ? json_object_get_member(json_node_get_object(root), stem) : root;
  const gboolean found = _array_names(list, provider);
  g_free(stem);
  json_node_unref(root);
  return found;
}

/* --- one candidate --- */

static void _limit_memory(dt_ai_target_t *target, const dt_ai_device_t *device)
{
  /* a desktop draws with the same memory */
  if(target->memory == 0 && target->provider == DT_AI_PROVIDER_CUDA && device)
    target->memory = device->memory / 4 * 3;
}

/* Whether the provider starts here at all, and on what (transfer full). @p error: a clause */
static gboolean _probe(_choice_t *c, dt_ai_target_t *target, dt_ai_provider_report_t **found, GError **error)
{
  dt_ai_provider_report_t *report = *found = dt_ai_probe(c->ort, target, FALSE, c->opts->cancellable, error);
  if(!report) return FALSE;
  const dt_ai_device_t *device = dt_ai_report_device(report, target);
  gboolean ok = report->works;
  if(!ok)
    _fail(error, DT_AI_ERROR_PROVIDER, "it is not available: %s", report->reason);
  else if(c->opts->provider == DT_AI_PROVIDER_AUTO && dt_ai_report_is_pretended(report, target))
    ok = _fail(error, DT_AI_ERROR_PROVIDER, "there is no GPU for it, only %s",
               device ? device->name : "a driver that names none");
  _limit_memory(target, device);
  return ok;
}

static gboolean _try_model(_choice_t *c, dt_ai_target_t *target, GError **error)
{
  if(!c->hash) c->hash = g_compute_checksum_for_data(G_CHECKSUM_SHA256, c->bytes, c->size);
  char *folder = g_strndup(c->hash, 16);
  dt_ai_target_set_graphs(target, folder);
  g_free(folder);
  const dt_ai_trial_t trial = { .path = c->path,
                                .hash = c->hash,
                                .opt_level = c->opts->opt_level,
                                .side =
                                    dt_ai_provider_wants_fixed_shapes(target->provider) ? c->opts->side : 0,
                                .cancellable = c->opts->cancellable };
  return dt_ai_trial(c->ort, target, &trial, error);
}

static dt_ai_context_t *_open(_choice_t *c, const dt_ai_target_t *target, GError **error)
{
  GError *cause = NULL;
  dt_ai_context_t *ctx = dt_ai_session_open(c->ort, target, c->path, c->bytes, c->size, c->opts, &cause);
  if(!ctx && target->provider != DT_AI_PROVIDER_CPU
     && g_error_matches(cause, DT_AI_ERROR, DT_AI_ERROR_PROVIDER))
    g_prefix_error(&cause, "it cannot open the model (update its driver, or choose another provider): ");
  if(!ctx) g_propagate_error(error, cause);
  return ctx;
}

/* @p error: a clause with DT_AI_ERROR_PROVIDER when the next candidate may do better */
static dt_ai_context_t *_try(_choice_t *c, dt_ai_provider_t provider, GError **error)
{
  dt_ai_target_t target;
  dt_ai_provider_report_t *report = NULL;
  dt_ai_context_t *ctx = NULL;
  dt_ai_target_init(&target, c->ort, provider);
  const gboolean cpu = provider == DT_AI_PROVIDER_CPU;
  gboolean ok =
      cpu || !_prefers_cpu(c, provider)
      || _fail(error, DT_AI_ERROR_PROVIDER, "this model is made for the CPU where that is the choice");
  ok = ok && (cpu || (_probe(c, &target, &report, error) && _try_model(c, &target, error)));
  if(ok) ctx = _open(c, &target, error);
  if(ctx && report) dt_ai_context_set_device(ctx, report->device, report->pci);
  dt_ai_provider_report_free(report);
  dt_ai_target_cleanup(&target);
  return ctx;
}

/* --- all of them --- */

/* Why a provider that a person has installed or asked for does not run is told; why one that the runtime was never
 * built with does not, only to who reads along. */
static void _pass_over(_choice_t *c, dt_ai_provider_t provider, const GError *why)
{
  const char *name = dt_ai_provider_to_string(provider);
  char *absence = dt_ai_provider_absence(c->ort, provider);
  const gboolean expected = absence && c->opts->provider == DT_AI_PROVIDER_AUTO;
  g_free(absence);
  dt_log(DT_LOG_AI, "%s enable failed: %s", name, why->message);
  if(!expected)
    g_string_append_printf(c->reasons, "%s%s: %s", c->reasons->len ? "; " : "", name, why->message);
}

/* The candidates, ended by DT_AI_PROVIDER_AUTO; CPU comes last unless the caller is strict. */
static void _list_candidates(const dt_ai_session_opts_t *opts, dt_ai_provider_t *list)
{
  int n = 0;
  if(opts->provider == DT_AI_PROVIDER_AUTO)
    for(const dt_ai_provider_t *p = dt_ai_provider_auto_order(); *p != DT_AI_PROVIDER_AUTO; p++)
      list[n++] = *p;
  else if(opts->provider != DT_AI_PROVIDER_CPU)
    list[n++] = opts->provider;
  if(n == 0 || !opts->strict) list[n++] = DT_AI_PROVIDER_CPU;
  list[n] = DT_AI_PROVIDER_AUTO;
}

static dt_ai_context_t *_choose(_choice_t *c, GError **error)
{
  dt_ai_provider_t candidates[DT_AI_PROVIDER_COUNT + 1];
  _list_candidates(c->opts, candidates);
  for(const dt_ai_provider_t *p = candidates;; p++)
  {
    GError *why = NULL;
    dt_ai_context_t *ctx = _try(c, *p, &why);
    if(ctx) return ctx;
    const gboolean next =
        p[1] != DT_AI_PROVIDER_AUTO && g_error_matches(why, DT_AI_ERROR, DT_AI_ERROR_PROVIDER);
    if(!next)
    {
      if(*p != DT_AI_PROVIDER_CPU && g_error_matches(why, DT_AI_ERROR, DT_AI_ERROR_PROVIDER))
        _fail(error, DT_AI_ERROR_PROVIDER,
              "The execution provider %s cannot be used: %s. Use --provider auto or CPU.",
              dt_ai_provider_to_string(*p), why->message);
      else
        g_propagate_error(error, g_steal_pointer(&why));
      g_clear_error(&why);
      return NULL;
    }
    _pass_over(c, *p, why);
    g_error_free(why);
  }
}

/* Told once per process: a batch opens many sessions, and each for the same reason. */
static void _tell(const _choice_t *c, const dt_ai_context_t *ctx)
{
  static char *last;
  static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
  pthread_mutex_lock(&lock);
  if(g_strcmp0(last, c->reasons->str) != 0)
  {
    g_free(last);
    last = g_strdup(c->reasons->str);
    dt_log(DT_LOG_NOTICE, "Running on %s instead. %s",
           dt_ai_provider_to_string(dt_ai_get_provider((dt_ai_context_t *)ctx)), c->reasons->str);
  }
  pthread_mutex_unlock(&lock);
}

dt_ai_context_t *dt_ai_session_create(const char *path, const void *bytes, size_t size,
                                      const dt_ai_session_opts_t *opts, GError **error)
{
  _choice_t c = { .path = path, .bytes = bytes, .size = size, .opts = opts };
  if((int)opts->provider < 0 || opts->provider >= DT_AI_PROVIDER_COUNT)
  {
    _fail(error, DT_AI_ERROR_PROVIDER, "There is no execution provider number %d.", (int)opts->provider);
    return NULL;
  }
  if(!_check_graph(&c, error) || !(c.ort = dt_ort_get(error))) return NULL;
  c.reasons = g_string_new(NULL);
  dt_ai_context_t *ctx = _choose(&c, error);
  if(ctx && c.reasons->len)
  {
    dt_ai_context_set_fallback(ctx, c.reasons->str);
    _tell(&c, ctx);
  }
  g_string_free(c.reasons, TRUE);
  g_free(c.hash);
  return ctx;
}
