/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Remembers how fast models are. */
#include "libs/speed.h"
#include "common/log.h"
#include "common/paths.h"

#include <math.h>

#define GROUP "speed"
/* of what the latest run counts: pictures differ, and so does what else the machine does */
#define WEIGHT 0.3

static char *_get_path(void)
{
  char *cache = dt_paths_get(DT_DIR_CACHE), *path = g_build_filename(cache, "ai_speed.conf", NULL);
  g_free(cache);
  return path;
}

/* A word that a key file can hold. */
static char *_get_key(const dt_restore_context_t *ctx, const dt_restore_plan_t *plan)
{
  char *key =
      g_strdup_printf("%s-x%d-%s-%dx%d", dt_restore_get_model_id(ctx), dt_restore_get_scale(ctx),
                      dt_ai_providers[dt_restore_get_provider(ctx)].config_string, plan->threads, plan->runs);
  return g_strcanon(key, G_CSET_a_2_z G_CSET_A_2_Z G_CSET_DIGITS "-_.", '_');
}

/* Pixels per second, or 0. */
static double _read(GKeyFile *file, const char *key)
{
  const double speed = g_key_file_get_double(file, GROUP, key, NULL);
  return isfinite(speed) && speed > 0 ? speed : 0;
}

double dt_speed_expect(const dt_restore_context_t *ctx, const dt_restore_plan_t *plan)
{
  char *path = _get_path(), *key = _get_key(ctx, plan);
  GKeyFile *file = g_key_file_new();
  double speed = 0;
  if(g_key_file_load_from_file(file, path, G_KEY_FILE_NONE, NULL)) speed = _read(file, key);
  g_key_file_unref(file);
  g_free(key);
  g_free(path);
  return speed > 0 ? (double)plan->computed / speed : -1;
}

/* Written after each picture; in place, an older and longer text would keep its end. */
static void _write(GKeyFile *file, const char *path)
{
  GError *error = NULL;
  gsize length;
  char *dir = g_path_get_dirname(path), *text = g_key_file_to_data(file, &length, NULL);
  g_mkdir_with_parents(dir, 0700);
  if(!g_file_set_contents_full(path, text, (gssize)length, G_FILE_SET_CONTENTS_CONSISTENT, 0600, &error))
    dt_log(DT_LOG_PERF, "the speed is not kept: %s", error->message);
  g_clear_error(&error);
  g_free(text);
  g_free(dir);
}

void dt_speed_learn(const dt_restore_context_t *ctx, const dt_restore_report_t *report)
{
  if(!(report->seconds > 0) || report->plan.computed <= 0) return;
  char *path = _get_path(), *key = _get_key(ctx, &report->plan);
  GKeyFile *file = g_key_file_new();
  g_key_file_load_from_file(file, path, G_KEY_FILE_NONE, NULL);
  const double now = (double)report->plan.computed / report->seconds, before = _read(file, key);
  g_key_file_set_double(file, GROUP, key, before > 0 ? before + WEIGHT * (now - before) : now);
  _write(file, path);
  g_key_file_unref(file);
  g_free(key);
  g_free(path);
}
