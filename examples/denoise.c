/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Denoises a picture with libdarktable_ai, from memory to memory.
 *
 *   cc denoise.c -o denoise $(pkg-config --cflags --libs darktable_ai) -lm
 *   ./denoise [MODELS_DIR [OUT.ppm]]
 *
 * Draws a picture, adds noise of a known strength, restores it with the active denoise model, and
 * prints which model and provider ran and what that gained. MODELS_DIR is searched before the usual
 * places; OUT.ppm receives the result. */
#include <darktable_ai/ai/darktable_ai.h>

#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#define WIDTH 320
#define HEIGHT 240
#define SAMPLES ((size_t)WIDTH * HEIGHT * 3)
/* strength of the noise, in the 8-bit units dt_restore_opts_t.sigma is given in */
#define SIGMA 25.0f

/* --- sRGB: files and models hold encoded values, rows hold linear light --- */

static float _to_linear(float v)
{
  const float a = fabsf(v);
  return copysignf(a <= 0.04045f ? a / 12.92f : powf((a + 0.055f) / 1.055f, 2.4f), v);
}

static float _to_srgb(float v)
{
  const float a = fabsf(v);
  return copysignf(a <= 0.0031308f ? a * 12.92f : 1.055f * powf(a, 1.0f / 2.4f) - 0.055f, v);
}

/* --- a picture as a source of rows, and as a sink --- */

typedef struct _source_t
{
  dt_row_source_t rows; /* first: a pointer to the rows is a pointer to this */
  const float *linear;  /* WIDTH × HEIGHT × 3, interleaved */
} _source_t;

static gboolean _read(dt_row_source_t *self, int y, int n, float *rows, GError **error)
{
  (void)error; /* memory does not fail; a file would report DT_AI_ERROR_INPUT */
  const float *from = ((_source_t *)self)->linear + (size_t)y * WIDTH * 3;
  for(size_t i = 0; i < (size_t)n * WIDTH * 3; i++) rows[i] = from[i];
  return TRUE;
}

static void _close(dt_row_source_t *self)
{
  (void)self; /* lives on main()'s stack */
}

typedef struct _sink_t
{
  dt_row_sink_t rows;
  float *linear;
} _sink_t;

static gboolean _write(dt_row_sink_t *self, int y, int n, const float *rows, GError **error)
{
  (void)error;
  float *to = ((_sink_t *)self)->linear + (size_t)y * WIDTH * 3;
  for(size_t i = 0; i < (size_t)n * WIDTH * 3; i++) to[i] = rows[i];
  return TRUE;
}

static gboolean _finish(dt_row_sink_t *self, GError **error)
{
  (void)self, (void)error;
  return TRUE;
}

static void _abandon(dt_row_sink_t *self)
{
  (void)self;
}

/* --- something to denoise --- */

/* A sky, a sun and a fence: a gradient, a round edge and straight ones. Encoded, 0..1. */
static float _draw(int x, int y, int c)
{
  const float sky[3] = { 0.35f, 0.50f, 0.75f }, sun[3] = { 0.95f, 0.85f, 0.60f };
  const float fence[3] = { 0.30f, 0.22f, 0.16f };
  if(y > HEIGHT / 2 && x % 40 < 24) return fence[c] * (1.0f + 0.2f * sinf(0.3f * (float)x));
  if(hypotf((float)(x - 220), (float)(y - 70)) < 40) return sun[c];
  return sky[c] * (1.0f - 0.5f * (float)y / HEIGHT);
}

/* Box-Muller over a fixed seed: the same picture every time. */
static float _gauss(uint32_t *state)
{
  float u[2];
  for(int i = 0; i < 2; i++)
  {
    *state = *state * 1664525u + 1013904223u;
    u[i] = ((float)(*state >> 8) + 0.5f) / 16777216.0f;
  }
  return sqrtf(-2.0f * logf(u[0])) * cosf(6.2831853f * u[1]);
}

static void _make_pictures(float *clean, float *noisy)
{
  uint32_t state = 1;
  for(size_t i = 0; i < SAMPLES; i++)
  {
    const float v = _draw((int)(i / 3 % WIDTH), (int)(i / 3 / WIDTH), (int)(i % 3));
    clean[i] = _to_linear(v);
    noisy[i] = _to_linear(v + SIGMA / 255.0f * _gauss(&state));
  }
}

/* --- what it gained --- */

static double _psnr(const float *a, const float *b)
{
  double sum = 0;
  for(size_t i = 0; i < SAMPLES; i++)
  {
    const double d = (double)_to_srgb(a[i]) - (double)_to_srgb(b[i]);
    sum += d * d;
  }
  return -10.0 * log10(sum / (double)SAMPLES);
}

static int _save(const char *path, const float *linear)
{
  FILE *file = fopen(path, "wb");
  if(!file) return 0;
  fprintf(file, "P6\n%d %d\n255\n", WIDTH, HEIGHT);
  for(size_t i = 0; i < SAMPLES; i++)
    fputc((int)(255.0f * fminf(fmaxf(_to_srgb(linear[i]), 0.0f), 1.0f) + 0.5f), file);
  return fclose(file) == 0;
}

static int _fail(const GError *error)
{
  fprintf(stderr, "%s\n", error->message);
  return 1;
}

/* Loads the active model and runs the picture through it. */
static gboolean _denoise(dt_ai_environment_t *env, const float *noisy, float *denoised, GError **error)
{
  dt_restore_context_t *ctx = dt_restore_load(env, "denoise", NULL, NULL, error);
  if(!ctx) return FALSE;
  _source_t source = { { .width = WIDTH,
                         .height = HEIGHT,
                         .channels = DT_ROW_RGB,
                         .space = DT_ROW_LINEAR_REC709,
                         .read = _read,
                         .destroy = _close },
                       noisy };
  _sink_t sink = { { .write = _write, .finish = _finish, .abandon = _abandon }, denoised };
  const dt_restore_opts_t opts = { .sigma = SIGMA };
  dt_restore_report_t report;
  const gboolean ok = dt_restore_process(ctx, &source.rows, &sink.rows, &opts, &report, error);
  if(ok)
    printf("model     %s\nprovider  %s\ntiles     %s, %.2f s\n", dt_restore_get_model_id(ctx),
           dt_ai_provider_to_string(report.provider), report.plan.exact ? "exact" : "blended",
           report.seconds);
  dt_restore_free(ctx);
  return ok;
}

int main(int argc, char **argv)
{
  /* AI is off by default. A program that asks its own users may switch it on for itself; this is
   * not saved anywhere. */
  dt_conf_override(DT_CONF_AI_ENABLED, "TRUE");
  dt_ai_environment_t *env = dt_ai_env_init(argc > 1 ? argv[1] : NULL);
  if(!env) return _fail(dt_ai_last_error());

  float *clean = malloc(3 * SAMPLES * sizeof(float));
  if(!clean) return 1;
  float *noisy = clean + SAMPLES, *denoised = noisy + SAMPLES;
  _make_pictures(clean, noisy);

  GError *error = NULL;
  int code = 0;
  if(_denoise(env, noisy, denoised, &error))
    printf("PSNR      %.2f dB before, %.2f dB after\n", _psnr(clean, noisy), _psnr(clean, denoised));
  else
    code = _fail(error);
  g_clear_error(&error);
  if(!code && argc > 2 && !_save(argv[2], denoised))
  {
    fprintf(stderr, "%s cannot be written.\n", argv[2]);
    code = 1;
  }
  free(clean);
  dt_ai_env_destroy(env);
  return code;
}
