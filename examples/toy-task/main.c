/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Runs the toy task on a small picture and compares with what is known.
 *
 *   cc main.c toytask.c -o toy-task $(pkg-config --cflags --libs darktable_ai) -lm
 *   ./toy-task models
 *
 * Exit code 0: the numbers are right. 1: they are not, or something failed. */
#include "toytask.h"

#include <math.h>
#include <stdio.h>

#define WIDTH 5
#define HEIGHT 3
#define PIXELS (WIDTH * HEIGHT)

/* The largest difference from the weights of Rec.709 luminance (ITU-R BT.709). */
static float _largest_error(const float *rgb, const float *luminance)
{
  float largest = 0;
  for(int i = 0; i < PIXELS; i++)
  {
    const float expected = 0.2126f * rgb[i] + 0.7152f * rgb[PIXELS + i] + 0.0722f * rgb[2 * PIXELS + i];
    largest = fmaxf(largest, fabsf(luminance[i] - expected));
  }
  return largest;
}

static gboolean _check(dt_ai_environment_t *env, GError **error)
{
  float rgb[3 * PIXELS], luminance[PIXELS] = { 0 };
  for(int i = 0; i < 3 * PIXELS; i++) rgb[i] = (float)(i * 7 % 11) / 10.0f;
  toy_context_t *ctx = toy_load(env, error);
  if(!ctx) return FALSE;
  gboolean ok = toy_run(ctx, rgb, WIDTH, HEIGHT, luminance, error);
  const float difference = ok ? _largest_error(rgb, luminance) : 0.0f;
  if(ok)
    printf("%s: %d×%d pixels, largest error %g\n", toy_get_model_id(ctx), WIDTH, HEIGHT, (double)difference);
  if(ok && difference > 1e-6f)
  {
    g_set_error(error, DT_AI_ERROR, DT_AI_ERROR_FAILED, "The numbers are not right.");
    ok = FALSE;
  }
  toy_free(ctx);
  return ok;
}

int main(int argc, char **argv)
{
  dt_conf_override(DT_CONF_AI_ENABLED, "TRUE"); /* for this process only */
  dt_ai_environment_t *env = dt_ai_env_init(argc > 1 ? argv[1] : "models");
  GError *error = NULL;
  if(!env) fprintf(stderr, "%s\n", dt_ai_last_error()->message);
  const gboolean ok = env && _check(env, &error);
  if(error) fprintf(stderr, "%s\n", error->message);
  g_clear_error(&error);
  dt_ai_env_destroy(env);
  return ok ? 0 : 1;
}
