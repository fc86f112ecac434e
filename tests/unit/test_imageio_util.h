/* SPDX-License-Identifier: GPL-3.0-or-later */
/** @file
 * What the tests of imageio share: a directory of their own, pictures of reproducible noise, and
 * writing and reading of whole pictures.
 */
#ifndef TEST_IMAGEIO_UTIL_H
#define TEST_IMAGEIO_UTIL_H

#include "imageio/imageio.h"
#include "imageio/imageio_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define UNUSED __attribute__((unused))

static char *test_directory;

/** Group setup: a directory that all files of the tests go into. */
static UNUSED int make_directory(void **state)
{
  (void)state;
  test_directory = g_dir_make_tmp("dt-imageio-XXXXXX", NULL);
  return test_directory ? 0 : -1;
}

/** Group teardown: removes it with everything in it. */
static UNUSED int remove_directory(void **state)
{
  (void)state;
  GDir *entries = g_dir_open(test_directory, 0, NULL);
  for(const char *name; entries && (name = g_dir_read_name(entries));)
  {
    char *path = g_build_filename(test_directory, name, NULL);
    if(g_remove(path) != 0) g_rmdir(path);
    g_free(path);
  }
  if(entries) g_dir_close(entries);
  g_rmdir(test_directory);
  g_clear_pointer(&test_directory, g_free);
  return 0;
}

/** A path in the directory; lives until the test program ends. */
static UNUSED const char *in_directory(const char *name)
{
  char *path = g_build_filename(test_directory, name, NULL);
  const char *kept = g_intern_string(path);
  g_free(path);
  return kept;
}

/** Reproducible noise. */
static UNUSED uint32_t next_random(uint32_t *seed)
{
  *seed ^= *seed << 13;
  *seed ^= *seed >> 17;
  *seed ^= *seed << 5;
  return *seed;
}

static UNUSED void assert_no_error(GError *error)
{
  if(error) fail_msg("unexpected error: %s", error->message);
}

/** Fails unless @p error is of @p code and says @p words; frees it. */
static UNUSED void assert_error(GError *error, int code, const char *words)
{
  assert_non_null(error);
  if(!g_error_matches(error, DT_AI_ERROR, code) || !strstr(error->message, words))
    fail_msg("code %d, not %d, or words \"%s\" missing: %s", error->code, code, words, error->message);
  g_error_free(error);
}

/** Opens a file that must not open; checks code and words of the refusal. */
static UNUSED void assert_open_fails(const char *path, const char *words)
{
  GError *error = NULL;
  dt_imageio_reader_t *reader = dt_imageio_open(path, NULL, &error);
  assert_null(reader);
  assert_error(error, DT_AI_ERROR_INPUT, words);
}

/** All rows of a reader, @p band rows at a time; NULL with @p error. */
static UNUSED float *read_rows(dt_row_source_t *source, int band, GError **error)
{
  const size_t stride = (size_t)source->width * (size_t)source->channels;
  float *rows = g_new(float, stride *(size_t)source->height);
  for(int y = 0; y < source->height; y += band)
    if(!source->read(source, y, MIN(band, source->height - y), rows + (size_t)y * stride, error))
    {
      g_free(rows);
      return NULL;
    }
  return rows;
}

/** Writes a whole picture; FALSE with @p error. */
static UNUSED gboolean write_picture(const char *path, int width, int height, int channels, const float *rows,
                                     const dt_imageio_write_opts_t *opts, GError **error)
{
  dt_row_sink_t *sink = dt_imageio_create(path, width, height, channels, opts, error);
  if(!sink) return FALSE;
  const size_t stride = (size_t)width * (size_t)channels;
  for(int y = 0; y < height; y += 3)
    if(!sink->write(sink, y, MIN(3, height - y), rows + (size_t)y * stride, error))
    {
      sink->abandon(sink);
      return FALSE;
    }
  return sink->finish(sink, error);
}

/** Number of entries of the directory that begin with a dot: parts. */
static UNUSED int count_parts(const char *directory)
{
  int count = 0;
  GDir *entries = g_dir_open(directory, 0, NULL);
  for(const char *name; entries && (name = g_dir_read_name(entries));) count += name[0] == '.';
  if(entries) g_dir_close(entries);
  return count;
}

#endif
