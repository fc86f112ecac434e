/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the tests share. */
#include "support.h"

#include "common/conf.h"
#include "common/paths.h"

#include <ftw.h>
#include <glib/gstdio.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static char *_world;

const char *test_world_create(void)
{
  _world = g_dir_make_tmp("darktable-ai-test-XXXXXX", NULL);
  assert_non_null(_world);
  char *config = g_build_filename(_world, "config", NULL), *cache = g_build_filename(_world, "cache", NULL);
  g_setenv("HOME", _world, TRUE);
  g_setenv("XDG_DATA_HOME", _world, TRUE);
  dt_paths_set(DT_DIR_CONFIG, config);
  dt_paths_set(DT_DIR_CACHE, cache);
  dt_conf_reload();
  dt_conf_override(DT_CONF_AI_ENABLED, "TRUE");
  g_free(config);
  g_free(cache);
  return _world;
}

static int _remove(const char *path, const struct stat *status, int type, struct FTW *place)
{
  (void)status;
  (void)type;
  (void)place;
  return remove(path);
}

void test_world_destroy(void)
{
  nftw(_world, _remove, 16, FTW_DEPTH | FTW_PHYS);
  g_clear_pointer(&_world, g_free);
}

const char *test_world;

int test_world_set_up(void **state)
{
  (void)state;
  test_world = test_world_create();
  return 0;
}

int test_world_tear_down(void **state)
{
  (void)state;
  test_world_destroy();
  return 0;
}

char *test_fixture(const char *relative)
{
  return g_build_filename(DT_TEST_SOURCE_DIR, "tests", "fixtures", relative, NULL);
}

char *test_data(const char *relative)
{
  const char *base = g_getenv("DT_TEST_DATA");
  char *path = base ? g_build_filename(base, relative, NULL)
                    : g_build_filename(DT_TEST_SOURCE_DIR, "..", "shared", "data", relative, NULL);
  if(!g_file_test(path, G_FILE_TEST_EXISTS)) g_clear_pointer(&path, g_free);
  return path;
}

gboolean test_is_long(void)
{
  return g_getenv("DT_TEST_LONG") != NULL;
}

gboolean test_is_sanitized(void)
{
  return g_getenv("DT_TEST_SANITIZED") != NULL;
}

uint32_t test_random(test_random_t *random)
{
  random->state ^= random->state >> 12;
  random->state ^= random->state << 25;
  random->state ^= random->state >> 27;
  return (uint32_t)((random->state * 0x2545F4914F6CDD1DULL) >> 32);
}

double test_random_range(test_random_t *random, double low, double high)
{
  return low + (high - low) * test_random(random) / 4294967296.0;
}

int test_random_int(test_random_t *random, int low, int high_inclusive)
{
  return low + (int)(test_random(random) % (uint32_t)(high_inclusive - low + 1));
}

test_image_t test_image_new(int width, int height, int channels)
{
  return (test_image_t){ width, height, channels,
                         g_new0(float, (gsize)width *(gsize)height *(gsize)channels) };
}

test_image_t test_image_random(test_random_t *random, int width, int height, int channels)
{
  test_image_t image = test_image_new(width, height, channels);
  const double fx = test_random_range(random, 0.01, 0.2), fy = test_random_range(random, 0.01, 0.2);
  float *p = image.pixels;
  for(int y = 0; y < height; y++)
    for(int x = 0; x < width; x++)
      for(int c = 0; c < channels; c++)
        *p++ = (float)(0.4 + 0.4 * sin(fx * x + c) * cos(fy * y) + test_random_range(random, -0.3, 0.3));
  return image;
}

void test_image_free(test_image_t *image)
{
  g_clear_pointer(&image->pixels, g_free);
}

typedef struct _source_t
{
  dt_row_source_t source;
  const test_image_t *image;
  int next;
} _source_t;

static gboolean _read(dt_row_source_t *self, int y, int n, float *rows, GError **error)
{
  (void)error;
  _source_t *s = (_source_t *)self;
  const size_t row = (size_t)self->width * (size_t)self->channels;
  g_assert(y >= s->next && n > 0 && y + n <= self->height);
  memcpy(rows, s->image->pixels + (size_t)y * row, (size_t)n * row * sizeof(float));
  s->next = y + n;
  return TRUE;
}

static void _destroy(dt_row_source_t *self)
{
  g_free(self);
}

dt_row_source_t *test_source_new(const test_image_t *image)
{
  _source_t *s = g_new0(_source_t, 1);
  s->source = (dt_row_source_t){ .width = image->width,
                                 .height = image->height,
                                 .channels = image->channels,
                                 .read = _read,
                                 .destroy = _destroy };
  s->image = image;
  return &s->source;
}

static gboolean _write(dt_row_sink_t *self, int y, int n, const float *rows, GError **error)
{
  test_sink_t *s = (test_sink_t *)self;
  const size_t row = (size_t)s->image->width * (size_t)s->image->channels;
  g_assert(y == s->next && n > 0 && y + n <= s->image->height);
  if(s->fail_at >= 0 && y + n > s->fail_at)
  {
    g_set_error(error, DT_AI_ERROR, DT_AI_ERROR_OUTPUT, "The sink is full.");
    return FALSE;
  }
  memcpy(s->image->pixels + (size_t)y * row, rows, (size_t)n * row * sizeof(float));
  s->next = y + n;
  return TRUE;
}

static gboolean _finish(dt_row_sink_t *self, GError **error)
{
  (void)error;
  test_sink_t *s = (test_sink_t *)self;
  g_assert(!s->finished && !s->abandoned);
  s->finished = TRUE;
  return TRUE;
}

static void _abandon(dt_row_sink_t *self)
{
  test_sink_t *s = (test_sink_t *)self;
  g_assert(!s->finished && !s->abandoned);
  s->abandoned = TRUE;
}

void test_sink_init(test_sink_t *sink, test_image_t *image)
{
  *sink = (test_sink_t){ .sink = { .write = _write, .finish = _finish, .abandon = _abandon },
                         .image = image,
                         .fail_at = -1 };
}
