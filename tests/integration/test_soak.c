/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A thousand tiles: memory at the end is what it was after the first hundred. */
#include "support.h"

#include "ai/restore.h"
#include "common/memory.h"

#include <string.h>

#define SIDE 256
#define OVERLAP 64
#define CORE (SIDE - 2 * OVERLAP)
#define COLUMNS 32
#define ROWS 33
#define MAX_GROWTH (2.0 * 1048576)

static dt_ai_environment_t *_env;

static int _setup(void **state)
{
  (void)state;
  test_world_create();
  char *fixtures = test_fixture("models");
  _env = dt_ai_env_init(fixtures);
  assert_non_null(_env);
  g_free(fixtures);
  return 0;
}

static int _teardown(void **state)
{
  (void)state;
  dt_ai_env_destroy(_env);
  test_world_destroy();
  return 0;
}

static gboolean _read(dt_row_source_t *self, int y, int n, float *rows, GError **error)
{
  (void)error;
  const size_t count = (size_t)n * (size_t)self->width * (size_t)self->channels;
  for(size_t i = 0; i < count; i++) rows[i] = (float)((i * 7 + (size_t)y * 13) % 256) / 256.0f;
  return TRUE;
}

static gboolean _write(dt_row_sink_t *self, int y, int n, const float *rows, GError **error)
{
  (void)self;
  (void)y;
  (void)n;
  (void)rows;
  (void)error;
  return TRUE;
}

static gboolean _finish(dt_row_sink_t *self, GError **error)
{
  (void)self;
  (void)error;
  return TRUE;
}

static void _abandon(dt_row_sink_t *self)
{
  (void)self;
}

typedef struct _watch_t
{
  int tiles;
  double after_100, after_1000;
} _watch_t;

static void _watch(double fraction, double megapixels, void *data)
{
  (void)fraction;
  (void)megapixels;
  _watch_t *w = data;
  w->tiles++;
  if(w->tiles == 100) w->after_100 = (double)dt_memory_resident();
  if(w->tiles == 1000) w->after_1000 = (double)dt_memory_resident();
}

static void test_memory_stays(void **state)
{
  (void)state;
  if(test_is_sanitized()) skip(); /* these keep what was freed */
  static const char *const models[][2] = { { "denoise", "denoise-conv3" }, { "upscale", "upscale-x2" } };
  for(size_t i = 0; i < G_N_ELEMENTS(models); i++)
  {
    const dt_restore_load_opts_t load = { .max_tile = SIDE, .scale = 2 };
    GError *error = NULL;
    dt_restore_context_t *ctx = dt_restore_load(_env, models[i][0], models[i][1], &load, &error);
    assert_no_error(error);
    const int core = i == 0 ? CORE : SIDE - 32;
    dt_row_source_t source = {
      .width = COLUMNS * core, .height = ROWS * core, .channels = DT_ROW_RGB, .read = _read
    };
    dt_row_sink_t sink = { .write = _write, .finish = _finish, .abandon = _abandon };
    _watch_t watch = { 0 };
    const dt_restore_opts_t opts = { .progress = _watch, .progress_data = &watch };
    dt_restore_process(ctx, &source, &sink, &opts, NULL, &error);
    assert_no_error(error);
    assert_true(watch.tiles >= 1000);
    print_message("%s: %d tiles, %+.2f MiB from tile 100 to tile 1000\n", models[i][1], watch.tiles,
                  (watch.after_1000 - watch.after_100) / 1048576);
    assert_true(watch.after_1000 - watch.after_100 <= MAX_GROWTH);
    dt_restore_free(ctx);
  }
}

int main(void)
{
  const struct CMUnitTest tests[] = { cmocka_unit_test(test_memory_stays) };
  return cmocka_run_group_tests_name("soak", tests, _setup, _teardown);
}
