/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Prepares a model for restoration: checks its contract, learns from its graph how far it looks, and
 * measures once what memory it takes and whether its tiles are exact. */
#include "ai/restore_internal.h"
#include "common/conf.h"
#include "common/log.h"
#include "common/memory.h"
#include "common/paths.h"

#include <string.h>

/* the specification's overlap; more is taken when exactness needs it */
#define MIN_OVERLAP 64
#define MIN_OVERLAP_UPSCALE 16
#define MIN_OVERLAP_RAW 32
/* resident memory at smaller windows says little about larger ones */
#define CALIBRATION_SIDE 512
/* what one process measures another may exceed a little; an arena that grows by what is requested holds
 * the same blocks at every size, one that doubles places them differently and needs more room for surprise */
static const double _margins[] = { [0] = 1.35, [1] = 1.1 };
#define CALIBRATION_SCHEMA 1
/* sensor values are shown as they are; this only keeps nonsense from becoming an infinity in the network */
#define SENSOR_LIMIT 1e4f
/* A device's memory is not ours to measure: windows that fit four gigabytes with any network this program is meant
 * for. Providers that compile for one shape get it always. */
#define DEVICE_SIDE 1024
/* what the host holds for a pixel of a window that is computed elsewhere: a copy of what goes in and out */
#define DEVICE_PIXEL_BYTES 64

static gboolean _refuse(const dt_restore_context_t *ctx, GError **error, const char *format, ...)
    G_GNUC_PRINTF(3, 4);
static gboolean _refuse(const dt_restore_context_t *ctx, GError **error, const char *format, ...)
{
  va_list args;
  va_start(args, format);
  char *why = g_strdup_vprintf(format, args);
  va_end(args);
  g_set_error(error, DT_AI_ERROR, DT_AI_ERROR_NO_MODEL,
              "The model %s cannot be used for this: %s. Choose another with --model (see: "
              "darktable-ai models list).",
              ctx->model_id, why);
  g_free(why);
  return FALSE;
}

/* --- the contract --- */

static gboolean _check_image(const dt_restore_context_t *ctx, const char *what, const char *name,
                             const char *wanted, dt_ai_dtype_t type, const int64_t *shape, int ndim,
                             int channels, GError **error)
{
  if(!name || strcmp(name, wanted) != 0)
    return _refuse(ctx, error, "its %s is called \"%s\" instead of \"%s\"", what, name ? name : "", wanted);
  if(type != DT_AI_FLOAT && type != DT_AI_FLOAT16)
    return _refuse(ctx, error, "its %s \"%s\" is not of a floating-point type", what, name);
  if(ndim != 4) return _refuse(ctx, error, "its %s \"%s\" has %d dimensions instead of 4", what, name, ndim);
  if((shape[0] != 1 && shape[0] != -1) || (shape[1] != channels && shape[1] != -1))
    return _refuse(ctx, error,
                   "its %s \"%s\" has shape [%" G_GINT64_FORMAT ", %" G_GINT64_FORMAT
                   ", H, W] instead of [1, %d, H, W]",
                   what, name, shape[0], shape[1], channels);
  return TRUE;
}

static gboolean _check_input(dt_restore_context_t *ctx, int index, const char *wanted, int channels,
                             int64_t shape[4], GError **error)
{
  const int ndim = dt_ai_get_input_shape(ctx->session, index, shape, 4);
  return _check_image(ctx, "input", dt_ai_get_input_name(ctx->session, index), wanted,
                      dt_ai_get_input_type(ctx->session, index), shape, ndim, channels, error);
}

/* What the task wants of the output's size, for messages. */
static const char *_wish(const dt_restore_context_t *ctx)
{
  if(ctx->input == DT_RESTORE_BAYER) return "a cell of a Bayer sensor has to become 2×2 pixels";
  switch(ctx->scale)
  {
  case 1: return "a denoise model must keep the size";
  case 2: return "twice the size was wanted";
  default: return "four times the size was wanted";
  }
}

/* The factor that a static model tells, or the graph, else 0: a trial run will tell. */
static int _real_scale(const dt_restore_context_t *ctx, const int64_t in[4], const int64_t out[4])
{
  if(in[2] > 0 && in[3] > 0 && out[2] > 0 && out[3] > 0)
    return out[2] % in[2] == 0 && out[3] * in[2] == out[2] * in[3] ? (int)MIN(out[2] / in[2], 1000) : -1;
  return ctx->locality.local ? ctx->locality.scale : 0;
}

static gboolean _check_scale(const dt_restore_context_t *ctx, const int64_t in[4], const int64_t out[4],
                             GError **error)
{
  const int scale = _real_scale(ctx, in, out);
  if(scale == 0 || scale == ctx->scale) return TRUE;
  if(scale < 0)
    return _refuse(ctx, error,
                   "it turns %" G_GINT64_FORMAT "×%" G_GINT64_FORMAT " pixels into %" G_GINT64_FORMAT
                   "×%" G_GINT64_FORMAT "; %s",
                   in[3], in[2], out[3], out[2], _wish(ctx));
  return _refuse(ctx, error, "its output is %d times the size of its input; %s", scale, _wish(ctx));
}

/* Single input, or two with a noise map; one image out, of the task's size. */
static gboolean _check_contract(dt_restore_context_t *ctx, GError **error)
{
  int64_t in[4], map[4], out[4];
  const int n_in = dt_ai_get_input_count(ctx->session);
  if(n_in != 1 && ctx->input != DT_RESTORE_RGB)
    return _refuse(ctx, error, "it has %d inputs; a raw model has one", n_in);
  if(n_in != 1 && n_in != 2)
    return _refuse(ctx, error,
                   "it has %d inputs; one (image) or two (image and noise map) are "
                   "supported",
                   n_in);
  if(dt_ai_get_output_count(ctx->session) != 1)
    return _refuse(ctx, error, "it has %d outputs instead of one", dt_ai_get_output_count(ctx->session));
  if(!_check_input(ctx, 0, "input", ctx->planes, in, error)) return FALSE;
  if(n_in == 2 && !_check_input(ctx, 1, "sigma", 1, map, error)) return FALSE;
  const int ndim = dt_ai_get_output_shape(ctx->session, 0, out, 4);
  if(!_check_image(ctx, "output", dt_ai_get_output_name(ctx->session, 0), "output",
                   dt_ai_get_output_type(ctx->session, 0), out, ndim, 3, error))
    return FALSE;
  if(!_check_scale(ctx, in, out, error)) return FALSE;
  if(in[2] > G_MAXUINT16 || in[3] > G_MAXUINT16) return _refuse(ctx, error, "its fixed size is absurd");
  ctx->has_sigma = n_in == 2;
  if(in[2] > 0 && in[3] > 0)
  {
    ctx->fixed_h = (int)in[2];
    ctx->fixed_w = (int)in[3];
  }
  return TRUE;
}

/* The file's name without its extension (transfer full). */
static char *_stem(const dt_restore_context_t *ctx)
{
  char *stem = g_path_get_basename(ctx->path), *dot = strrchr(stem, '.');
  if(dot) *dot = '\0';
  return stem;
}

/* Those of the file, else those of the model. */
static int _input_sizes(const dt_restore_context_t *ctx, const dt_manifest_t *manifest, int *sizes, int max)
{
  char *stem = _stem(ctx), *key = g_strdup_printf("%s.input_sizes", stem);
  int n = dt_manifest_attribute_ints(manifest, key, sizes, max);
  if(n == 0) n = dt_manifest_attribute_ints(manifest, "input_sizes", sizes, max);
  g_free(key);
  g_free(stem);
  return n;
}

static gboolean _read_contract(dt_restore_context_t *ctx, const dt_manifest_t *manifest, GError **error)
{
  char *stem = _stem(ctx);
  GError *cause = NULL;
  if(!dt_raw_contract_read(manifest, stem, &ctx->contract, &cause)) _refuse(ctx, error, "%s", cause->message);
  const gboolean ok = !cause;
  g_clear_error(&cause);
  g_free(stem);
  return ok;
}

static void _read_attributes(dt_restore_context_t *ctx, const dt_manifest_t *manifest)
{
  int sizes[16];
  const int n = _input_sizes(ctx, manifest, sizes, 16);
  /* one size: the window; several, as older packages have them: a ladder */
  if(n == 1 && !ctx->fixed_w && sizes[0] >= 16 && sizes[0] <= 8192)
    ctx->fixed_w = ctx->fixed_h = sizes[0];
  else if(n > 1 && sizes[0] >= 256)
    ctx->max_tile = MIN(ctx->max_tile, sizes[0]);
  /* networks trained on noise that was not cut off at black and white must see it; the range is
   * bounded all the same, because no network has seen what lies far outside */
  const gboolean unclamped = dt_manifest_attribute_bool(manifest, "unclamped", ctx->has_sigma);
  ctx->low = unclamped ? -1.0f : 0.0f;
  ctx->high = unclamped ? 2.0f : 1.0f;
  if(ctx->input == DT_RESTORE_RGB) return;
  ctx->low = -SENSOR_LIMIT;
  ctx->high = SENSOR_LIMIT;
}

/* Windows for where the network really runs. */
static void _adapt_to_provider(dt_restore_context_t *ctx)
{
  if(ctx->provider == DT_AI_PROVIDER_CPU) return;
  ctx->max_tile = MIN(ctx->max_tile, DEVICE_SIDE);
  if(!ctx->runs_chosen) ctx->runs = 1; /* runs on one device take turns */
  if(dt_ai_provider_wants_fixed_shapes(ctx->provider) && !ctx->fixed_w)
    ctx->fixed_w = ctx->fixed_h = ctx->device_side;
}

static int _min_overlap(const dt_restore_context_t *ctx)
{
  if(ctx->input != DT_RESTORE_RGB) return MIN_OVERLAP_RAW;
  return ctx->scale == 1 ? MIN_OVERLAP : MIN_OVERLAP_UPSCALE;
}

static void _set_blended(dt_restore_context_t *ctx, const char *why)
{
  g_strlcpy(ctx->reason, why, sizeof ctx->reason);
  ctx->ramp = _min_overlap(ctx) / 2; /* the inner half of the overlap */
}

/* Overlap and stride from the graph, or the safe guess when the graph does not tell. */
static void _choose_overlap(dt_restore_context_t *ctx)
{
  const dt_onnx_locality_t *l = &ctx->locality;
  const int side = MIN(ctx->fixed_w, ctx->fixed_h), wanted = MAX(l->local ? l->radius : 0, _min_overlap(ctx));
  ctx->ramp = 0;
  ctx->stride = l->local ? l->stride : 16;
  ctx->halo = (wanted + ctx->stride - 1) / ctx->stride * ctx->stride;
  const gboolean fits =
      side == 0
      || (2 * ctx->halo < side && ctx->fixed_w % ctx->stride == 0 && ctx->fixed_h % ctx->stride == 0);
  if(!l->local)
    _set_blended(ctx, l->reason);
  else if(!fits)
    _set_blended(ctx, "the model's fixed window is too small for its receptive field");
  if(!fits)
  {
    ctx->halo = MIN(_min_overlap(ctx), side / 4);
    ctx->ramp = ctx->halo / 2;
  }
}

/* --- sessions and single windows --- */

/* The first session decides where all later ones run. */
static void _settle(dt_restore_context_t *ctx)
{
  if(ctx->placement) return;
  ctx->provider = dt_ai_get_provider(ctx->session);
  ctx->strict = TRUE;
  ctx->device = g_strdup(dt_ai_get_device(ctx->session));
  ctx->placement = g_strdup(dt_ai_get_placement(ctx->session));
  ctx->fallback = g_strdup(dt_ai_get_fallback(ctx->session));
}

static gboolean _open_session(dt_restore_context_t *ctx, size_t arena_limit, int strategy, GError **error)
{
  const dt_ai_session_opts_t opts = { .provider = ctx->provider,
                                      .strict = ctx->strict,
                                      .cpu_only = ctx->cpu_only,
                                      .cancellable = ctx->loading,
                                      .side = ctx->device_side,
                                      .threads = ctx->threads,
                                      .own_arena = TRUE,
                                      .arena_limit = arena_limit,
                                      .arena_strategy = strategy };
  g_clear_pointer(&ctx->session, dt_ai_unload_model);
  ctx->session = dt_ai_session_create(ctx->path, g_bytes_get_data(ctx->bytes, NULL),
                                      g_bytes_get_size(ctx->bytes), &opts, error);
  if(ctx->session) _settle(ctx);
  return ctx->session != NULL;
}

gboolean dt_restore_open_session(dt_restore_context_t *ctx, GError **error)
{
  g_clear_pointer(&ctx->session, dt_ai_unload_model);
  dt_memory_trim();
  const size_t resident = (size_t)dt_memory_resident();
  /* a budget that is spent already shows when the plan is made, with figures */
  const size_t limit = ctx->budget > resident ? ctx->budget - resident : 0;
  return _open_session(ctx, MAX(limit, (size_t)16 << 20), ctx->calibration.arena_strategy, error);
}

gboolean dt_restore_run_window(dt_restore_context_t *ctx, float *in, float *sigma, float *out, int width,
                               int height, GCancellable *cancellable, GError **error)
{
  int64_t image[] = { 1, ctx->planes, height, width }, map[] = { 1, 1, height, width };
  int64_t result[] = { 1, 3, (int64_t)height * ctx->scale, (int64_t)width * ctx->scale };
  dt_ai_tensor_t inputs[] = { { in, DT_AI_FLOAT, image, 4 }, { sigma, DT_AI_FLOAT, map, 4 } };
  dt_ai_tensor_t output = { out, DT_AI_FLOAT, result, 4 };
  return dt_ai_run_in_place(ctx->session, inputs, ctx->has_sigma ? 2 : 1, &output, 1, cancellable, error);
}

/* --- calibration --- */

/* A window of a boundless field of noise, the same at the same place whatever the window. */
typedef struct _probe_t
{
  int x0, y0, width, height;
  int planes; /* of the input */
  int scale;  /* of the output */
  float *in, *sigma, *out;
} _probe_t;

static float _field(int x, int y, int c)
{
  guint32 h = (guint32)x * 0x9E3779B1u ^ (guint32)y * 0x85EBCA77u ^ (guint32)c * 0xC2B2AE3Du;
  h = (h ^ (h >> 15)) * 0x2C1B3C6Du;
  h = (h ^ (h >> 12)) * 0x297A2D39u;
  return (float)((h ^ (h >> 15)) >> 8) / 16777216.0f;
}

static void _probe_init(const dt_restore_context_t *ctx, _probe_t *p, int x0, int y0, int width, int height)
{
  const size_t n = (size_t)width * (size_t)height, planes = (size_t)ctx->planes,
               enlarged = n * (size_t)ctx->scale * (size_t)ctx->scale;
  *p = (_probe_t){ x0,
                   y0,
                   width,
                   height,
                   ctx->planes,
                   ctx->scale,
                   g_new(float, planes *n),
                   g_new(float, n),
                   g_new0(float, 3 * enlarged) };
  for(int c = 0; c < ctx->planes; c++)
    for(int y = 0; y < height; y++)
      for(int x = 0; x < width; x++)
        p->in[(size_t)c * n + (size_t)y * (size_t)width + (size_t)x] = _field(x0 + x, y0 + y, c);
  for(size_t i = 0; i < n; i++) p->sigma[i] = 25.0f / 255.0f;
}

static void _probe_cleanup(_probe_t *p)
{
  g_free(p->in);
  g_free(p->sigma);
  g_free(p->out);
}

/* Runs the window the careful way, with the runtime choosing the output's shape, and compares. */
static gboolean _probe_run(dt_restore_context_t *ctx, _probe_t *p, GError **error)
{
  int64_t image[] = { 1, p->planes, p->height, p->width }, map[] = { 1, 1, p->height, p->width };
  int64_t result[] = { 1, 3, (int64_t)p->height * p->scale, (int64_t)p->width * p->scale };
  const int64_t wanted_h = result[2], wanted_w = result[3];
  dt_ai_tensor_t inputs[] = { { p->in, DT_AI_FLOAT, image, 4 }, { p->sigma, DT_AI_FLOAT, map, 4 } };
  dt_ai_tensor_t output = { p->out, DT_AI_FLOAT, result, 4 };
  GError *cause = NULL;
  const gboolean ok =
      dt_ai_run_cancellable(ctx->session, inputs, ctx->has_sigma ? 2 : 1, &output, 1, ctx->loading, &cause);
  if(!ok
     && (g_error_matches(cause, DT_AI_ERROR, DT_AI_ERROR_MEMORY)
         || g_error_matches(cause, DT_AI_ERROR, DT_AI_ERROR_CANCELLED)))
  {
    g_propagate_error(error, cause);
    return FALSE;
  }
  if(!ok) _refuse(ctx, error, "a trial run of %d×%d pixels failed: %s", p->width, p->height, cause->message);
  g_clear_error(&cause);
  if(ok && (result[2] != wanted_h || result[3] != wanted_w))
    return _refuse(ctx, error, "it turns %d×%d pixels into %" G_GINT64_FORMAT "×%" G_GINT64_FORMAT "; %s",
                   p->width, p->height, result[3], result[2], _wish(ctx));
  return ok;
}

/* The output at @p x, @p y of the enlarged field. */
static const float *_probe_out(const _probe_t *p, int c, int x, int y)
{
  const size_t width = (size_t)p->width * (size_t)p->scale, height = (size_t)p->height * (size_t)p->scale;
  return p->out + ((size_t)c * height + (size_t)(y - p->scale * p->y0)) * width
         + (size_t)(x - p->scale * p->x0);
}

/* Whether two windows agree wherever neither feels its own border. */
static gboolean _probes_agree(const _probe_t *a, const _probe_t *b, int margin)
{
  const int s = a->scale;
  const int x0 = MAX(a->x0, b->x0) + margin, y0 = MAX(a->y0, b->y0) + margin;
  const int x1 = MIN(a->x0 + a->width, b->x0 + b->width) - margin;
  const int y1 = MIN(a->y0 + a->height, b->y0 + b->height) - margin;
  if(x1 <= x0 || y1 <= y0) return FALSE;
  for(int c = 0; c < 3; c++)
    for(int y = s * y0; y < s * y1; y++)
      if(memcmp(_probe_out(a, c, s * x0, y), _probe_out(b, c, s * x0, y),
                (size_t)(s * (x1 - x0)) * sizeof(float))
         != 0)
        return FALSE;
  return TRUE;
}

static int _calibration_side(const dt_restore_context_t *ctx)
{
  const int side = MAX(CALIBRATION_SIDE, 2 * ctx->halo + 256);
  return (side + ctx->stride - 1) / ctx->stride * ctx->stride;
}

/* Bytes per pixel that stay resident after one run with an arena of @p strategy. */
static gboolean _measure(dt_restore_context_t *ctx, int strategy, double *pixel_bytes, GError **error)
{
  const int side = _calibration_side(ctx);
  _probe_t probe;
  if(!_open_session(ctx, 0, strategy, error)) return FALSE;
  _probe_init(ctx, &probe, 0, 0, ctx->fixed_w ? ctx->fixed_w : side, ctx->fixed_h ? ctx->fixed_h : side);
  dt_memory_trim(); /* or the run would live off pages that count already */
  const guint64 before = dt_memory_resident();
  const gboolean ok = _probe_run(ctx, &probe, error);
  const guint64 after = dt_memory_resident();
  const double grown = after > before ? (double)(after - before) : 0;
  const double pixels = (double)probe.width * probe.height;
  /* without a figure from the system: generous for any network this program is meant for */
  *pixel_bytes = before ? MAX(grown / pixels, 24.0) * _margins[strategy] : 1500.0;
  dt_log(DT_LOG_MEMORY, "arena strategy %d: %.0f bytes per pixel at %d×%d", strategy, *pixel_bytes,
         probe.width, probe.height);
  _probe_cleanup(&probe);
  return ok;
}

/* One window against a larger one (a shifted one, when the size is fixed), origins on the stride. */
static gboolean _measure_exactness(dt_restore_context_t *ctx, GError **error)
{
  const int side = _calibration_side(ctx), shift = 3 * ctx->stride;
  const int w = ctx->fixed_w ? ctx->fixed_w : side, h = ctx->fixed_h ? ctx->fixed_h : side;
  const int grow = ctx->fixed_w ? 0 : 8 * ctx->stride;
  _probe_t a, b;
  _probe_init(ctx, &a, 0, 0, w, h);
  _probe_init(ctx, &b, -shift, -2 * shift, w + grow, h + grow);
  const gboolean ok = _probe_run(ctx, &a, error) && _probe_run(ctx, &b, error);
  ctx->calibration.exact = ok && _probes_agree(&a, &b, ctx->locality.radius);
  _probe_cleanup(&a);
  _probe_cleanup(&b);
  return ok;
}

/* OpenVINO runs on the processor as a rule, and what it takes there can be seen. */
static gboolean _runs_on_device(const dt_restore_context_t *ctx)
{
  return ctx->provider != DT_AI_PROVIDER_CPU && ctx->provider != DT_AI_PROVIDER_OPENVINO;
}

static gboolean _measure_memory(dt_restore_context_t *ctx, GError **error)
{
  double doubling, requested;
  ctx->calibration.arena_strategy = 1;
  ctx->calibration.pixel_bytes = DEVICE_PIXEL_BYTES;
  if(_runs_on_device(ctx)) return TRUE;
  if(!_measure(ctx, 1, &requested, error) || !_measure(ctx, 0, &doubling, error)) return FALSE;
  ctx->calibration.arena_strategy = requested < doubling ? 1 : 0;
  ctx->calibration.pixel_bytes = MIN(requested, doubling);
  return TRUE;
}

static gboolean _calibrate(dt_restore_context_t *ctx, GError **error)
{
  const gint64 start = g_get_monotonic_time();
  if(!_measure_memory(ctx, error)) return FALSE;
  ctx->calibration.exact = FALSE;
  if(ctx->ramp == 0 && !_measure_exactness(ctx, error)) return FALSE;
  dt_log(DT_LOG_AI, "calibrated %s: %.0f bytes per pixel, tiles %s, %.0f ms", ctx->model_id,
         ctx->calibration.pixel_bytes, ctx->calibration.exact ? "exact" : "not exact",
         1e-3 * (double)(g_get_monotonic_time() - start));
  return TRUE;
}

/* What was measured belongs to the runtime; on a device also to its driver, whose cache it joins. */
static char *_calibration_path(const dt_restore_context_t *ctx)
{
  char *cache = dt_paths_get(DT_DIR_CACHE);
  dt_ai_target_t target = { 0 };
  const dt_ort_t *ort = dt_ort_get(NULL); /* loaded, since there is a session */
  dt_ai_target_init(&target, ort, ctx->provider);
  char *dir = target.cache ? g_strdup_printf("%s/%.16s", target.cache, ctx->hash)
                           : g_strdup_printf("%s/ai_v%d_CPU_calibration", cache, CALIBRATION_SCHEMA);
  char *path =
      g_strdup_printf("%s/%.32s-ort%s-t%d-w%d.ini", dir, ctx->hash, ort->version, ctx->threads, ctx->fixed_w);
  dt_ai_target_cleanup(&target);
  g_free(dir);
  g_free(cache);
  return path;
}

static gboolean _load_calibration(dt_restore_context_t *ctx, const char *path)
{
  GKeyFile *file = g_key_file_new();
  dt_calibration_t *c = &ctx->calibration;
  gboolean ok = g_key_file_load_from_file(file, path, G_KEY_FILE_NONE, NULL);
  if(ok)
  {
    c->pixel_bytes = g_key_file_get_double(file, "calibration", "pixel_bytes", NULL);
    c->arena_strategy = g_key_file_get_integer(file, "calibration", "arena_strategy", NULL) == 1;
    c->exact = g_key_file_get_boolean(file, "calibration", "exact", NULL);
    ok = c->pixel_bytes >= 1 && c->pixel_bytes < 1e7;
  }
  g_key_file_unref(file);
  return ok;
}

/* A cache that cannot be written only costs the measurement next time. */
static void _save_calibration(const dt_restore_context_t *ctx, const char *path)
{
  const dt_calibration_t *c = &ctx->calibration;
  GKeyFile *file = g_key_file_new();
  g_key_file_set_string(file, "calibration", "model", ctx->model_id);
  g_key_file_set_double(file, "calibration", "pixel_bytes", c->pixel_bytes);
  g_key_file_set_integer(file, "calibration", "arena_strategy", c->arena_strategy);
  g_key_file_set_boolean(file, "calibration", "exact", c->exact);
  char *dir = g_path_get_dirname(path);
  g_mkdir_with_parents(dir, 0700);
  GError *error = NULL;
  if(!g_key_file_save_to_file(file, path, &error))
    dt_log(DT_LOG_AI, "the measurement is not kept: %s", error->message);
  g_clear_error(&error);
  g_free(dir);
  g_key_file_unref(file);
}

static gboolean _get_calibration(dt_restore_context_t *ctx, GError **error)
{
  char *path = _calibration_path(ctx);
  gboolean ok = _load_calibration(ctx, path);
  if(!ok && (ok = _calibrate(ctx, error))) _save_calibration(ctx, path);
  g_free(path);
  if(ok && ctx->ramp == 0 && !ctx->calibration.exact)
    _set_blended(ctx, "a trial tile differed from the same pixels of a larger window");
  return ok;
}

/* --- the public side --- */

/* The option, the setting, or a quarter of what there is. A setting that is no size is not passed over. */
static gboolean _choose_budget(const dt_restore_load_opts_t *opts, size_t *budget, GError **error)
{
  char *setting = dt_conf_get_string(DT_CONF_AI_MEMORY);
  const gboolean set = setting && *setting;
  const guint64 bytes = set ? dt_conf_parse_size(setting) : dt_memory_available() / 4;
  *budget = opts->memory ? opts->memory : (size_t)bytes;
  if(*budget == 0)
    g_set_error(
        error, DT_AI_ERROR, DT_AI_ERROR_USAGE,
        "The setting plugins/ai/memory=%s is no size such as 500M or 2G. Correct it: darktable-ai prefs "
        "reset plugins/ai/memory",
        setting);
  g_free(setting);
  return *budget != 0;
}

/* The option, else what the environment was made with; a misspelt setting is not taken for auto. */
static gboolean _choose_provider(dt_ai_environment_t *env, const dt_restore_load_opts_t *opts,
                                 dt_ai_provider_t *provider, GError **error)
{
  *provider = opts->provider != DT_AI_PROVIDER_AUTO ? opts->provider : dt_ai_env_get_provider(env);
  char *setting = dt_conf_get_string(DT_CONF_AI_PROVIDER);
  const gboolean ok =
      *provider != DT_AI_PROVIDER_AUTO || !setting || !*setting || dt_ai_provider_is_known(setting);
  if(!ok)
    g_set_error(
        error, DT_AI_ERROR, DT_AI_ERROR_USAGE,
        "The setting plugins/ai/provider=%s names no execution provider. Correct it: darktable-ai prefs "
        "reset plugins/ai/provider",
        setting);
  g_free(setting);
  return ok;
}

static void _choose_threads(dt_restore_context_t *ctx, const dt_restore_load_opts_t *opts)
{
  const int cores = (int)g_get_num_processors();
  /* beyond four threads a run gains less than a second tile beside it */
  ctx->threads = opts->threads > 0 ? MIN(opts->threads, 256) : MIN(cores, 4);
  ctx->runs = opts->runs > 0 ? MIN(opts->runs, 64) : MAX(1, cores / ctx->threads);
  ctx->runs_chosen = opts->runs > 0;
}

static void _learn_locality(dt_restore_context_t *ctx)
{
  dt_onnx_graph_t *graph =
      dt_onnx_graph_parse(g_bytes_get_data(ctx->bytes, NULL), g_bytes_get_size(ctx->bytes), NULL);
  if(graph) ctx->locality = dt_onnx_graph_locality(graph);
  dt_onnx_graph_destroy(graph);
}

static gboolean _prepare(dt_restore_context_t *ctx, const dt_manifest_t *manifest, GError **error)
{
  int sizes[16];
  const int n_sizes = _input_sizes(ctx, manifest, sizes, 16);
  ctx->device_side = n_sizes == 1 && sizes[0] >= 16 ? sizes[0] : DEVICE_SIDE;
  _learn_locality(ctx);
  if(!_open_session(ctx, 0, 1, error) || !_check_contract(ctx, error)) return FALSE;
  _read_attributes(ctx, manifest);
  if(ctx->input != DT_RESTORE_RGB && !_read_contract(ctx, manifest, error)) return FALSE;
  _adapt_to_provider(ctx);
  _choose_overlap(ctx);
  if(!_get_calibration(ctx, error)) return FALSE;
  dt_log(DT_LOG_AI | DT_LOG_TILING, "%s: stride %d, receptive field radius %d, overlap %d, %s%s%s",
         ctx->model_id, ctx->stride, ctx->locality.radius, ctx->halo, ctx->ramp ? "blended" : "exact",
         ctx->ramp ? ": " : "", ctx->reason);
  return dt_restore_open_session(ctx, error);
}

static const dt_ai_model_info_t *_choose_model(dt_ai_environment_t *env, const char *task,
                                               const char *model_id, GError **error)
{
  const dt_ai_model_info_t *info =
      model_id ? dt_ai_get_model_info_by_id(env, model_id) : dt_ai_env_get_active_model(env, task);
  if(!info && model_id)
    g_set_error(error, DT_AI_ERROR, DT_AI_ERROR_NO_MODEL,
                "There is no model \"%s\". See what is installed: darktable-ai models list", model_id);
  else if(!info)
    g_propagate_error(error, g_error_copy(dt_ai_last_error()));
  else if(strcmp(info->task_type, task) != 0)
  {
    g_set_error(error, DT_AI_ERROR, DT_AI_ERROR_NO_MODEL,
                "The model \"%s\" is for the task %s, not %s. See what is installed: darktable-ai "
                "models list",
                info->id, info->task_type, task);
    return NULL;
  }
  return info;
}

/* Of the names the one that is there (transfer full), or NULL. */
static char *_find_file(const dt_ai_model_info_t *info, const char *const *names)
{
  for(; *names; names++)
  {
    char *path = g_build_filename(info->directory, *names, NULL);
    const gboolean there = g_file_test(path, G_FILE_TEST_EXISTS);
    g_free(path);
    if(there) return g_strdup(*names);
  }
  return NULL;
}

/* `model_x2.onnx`, `model_x4.onnx`, or the only one there is. */
static char *_choose_enlarger(const dt_ai_model_info_t *info, int scale, GError **error)
{
  char *name = g_strdup_printf("model_x%d.onnx", scale);
  const char *const names[] = { name, "model.onnx", NULL };
  char *file = _find_file(info, names);
  if(!file)
    g_set_error(error, DT_AI_ERROR, DT_AI_ERROR_NO_MODEL,
                "The model \"%s\" cannot enlarge %d times%s: it has no %s. Choose another with --model (see: "
                "darktable-ai models list).",
                info->id, scale, scale == 4 ? ", which is what sizes beyond twice are made from" : "", name);
  g_free(name);
  return file;
}

/* `model_bayer.onnx` or `model_linear.onnx`. */
static char *_choose_raw(const dt_ai_model_info_t *info, gboolean linear, GError **error)
{
  const char *const names[] = { linear ? "model_linear.onnx" : "model_bayer.onnx", NULL };
  char *file = _find_file(info, names);
  if(!file)
    g_set_error(error, DT_AI_ERROR, DT_AI_ERROR_NO_MODEL,
                "The model \"%s\" has no network for %s: there is no %s. Choose another with --model (see: "
                "darktable-ai models list).",
                info->id,
                linear ? "sensors other than Bayer's (X-Trans, Foveon, reduced raws)" : "Bayer sensors",
                names[0]);
  return file;
}

/* What the task wants of a model: its file (transfer full), what goes in, and the factor. */
static char *_choose_file(dt_restore_context_t *ctx, const dt_ai_model_info_t *info, const char *task,
                          const dt_restore_load_opts_t *opts, GError **error)
{
  ctx->planes = 3;
  ctx->scale = 1;
  if(strcmp(task, "upscale") == 0)
  {
    ctx->scale = opts->scale ? opts->scale : 2;
    return _choose_enlarger(info, ctx->scale, error);
  }
  if(strcmp(task, "rawdenoise") != 0) return g_strdup("model.onnx");
  ctx->input = opts->linear ? DT_RESTORE_LINEAR : DT_RESTORE_BAYER;
  if(!opts->linear) ctx->planes = 4;
  if(!opts->linear) ctx->scale = 2;
  return _choose_raw(info, opts->linear, error);
}

/* The model's file in memory, and its place. */
static gboolean _read_file(dt_restore_context_t *ctx, const dt_ai_model_info_t *info, const char *task,
                           const dt_restore_load_opts_t *opts, GError **error)
{
  char *file = _choose_file(ctx, info, task, opts, error);
  ctx->bytes = file ? dt_ai_read_model_file(info->directory, file, error) : NULL;
  if(ctx->bytes)
  {
    ctx->path = g_build_filename(info->directory, file, NULL);
    ctx->hash = g_compute_checksum_for_bytes(G_CHECKSUM_SHA256, ctx->bytes);
  }
  g_free(file);
  return ctx->bytes != NULL;
}

dt_restore_context_t *dt_restore_load(dt_ai_environment_t *env, const char *task, const char *model_id,
                                      const dt_restore_load_opts_t *opts, GError **error)
{
  const dt_restore_load_opts_t defaults = { 0 };
  if(!opts) opts = &defaults;
  const dt_ai_model_info_t *info = _choose_model(env, task, model_id, error);
  size_t budget;
  dt_ai_provider_t provider;
  if(!info || !_choose_budget(opts, &budget, error) || !_choose_provider(env, opts, &provider, error))
    return NULL;
  dt_restore_context_t *ctx = g_new0(dt_restore_context_t, 1);
  ctx->model_id = g_strdup(info->id);
  ctx->provider = provider;
  ctx->strict = opts->strict && provider != DT_AI_PROVIDER_AUTO;
  ctx->cpu_only = g_strdup(info->cpu_only);
  ctx->budget = budget;
  ctx->loading = opts->cancellable;
  ctx->max_tile = opts->max_tile > 0 ? opts->max_tile : dt_tile_ladder[0];
  _choose_threads(ctx, opts);
  if(!_read_file(ctx, info, task, opts, error) || !_prepare(ctx, dt_ai_model_manifest(info), error))
    g_clear_pointer(&ctx, dt_restore_free);
  else
    ctx->loading = NULL;
  return ctx;
}

void dt_restore_free(dt_restore_context_t *ctx)
{
  if(!ctx) return;
  dt_ai_unload_model(ctx->session);
  g_clear_pointer(&ctx->bytes, g_bytes_unref);
  g_free(ctx->cpu_only);
  g_free(ctx->device);
  g_free(ctx->placement);
  g_free(ctx->fallback);
  g_free(ctx->path);
  g_free(ctx->hash);
  g_free(ctx->model_id);
  g_free(ctx);
}

const char *dt_restore_get_model_id(const dt_restore_context_t *ctx)
{
  return ctx->model_id;
}

const char *dt_restore_get_model_hash(const dt_restore_context_t *ctx)
{
  return ctx->hash;
}

dt_ai_provider_t dt_restore_get_provider(const dt_restore_context_t *ctx)
{
  return ctx->provider;
}

const char *dt_restore_get_device(const dt_restore_context_t *ctx)
{
  return ctx->device;
}

const char *dt_restore_get_placement(const dt_restore_context_t *ctx)
{
  return ctx->placement;
}

const char *dt_restore_get_fallback(const dt_restore_context_t *ctx)
{
  return ctx->fallback;
}

dt_restore_input_t dt_restore_get_input(const dt_restore_context_t *ctx)
{
  return ctx->input;
}

int dt_restore_get_scale(const dt_restore_context_t *ctx)
{
  return ctx->scale;
}

gboolean dt_restore_has_sigma(const dt_restore_context_t *ctx)
{
  return ctx->has_sigma;
}
