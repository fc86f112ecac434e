/* SPDX-License-Identifier: GPL-3.0-or-later */
/** @file
 * What the tests share: a world of their own (directories, settings), pictures in memory, random
 * numbers with a seed, and where the fixtures are.
 */
#ifndef DT_TESTS_SUPPORT_H
#define DT_TESTS_SUPPORT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants the four above first */
#include <cmocka.h>

#include "common/rows.h"

/** Creates a temporary world: HOME, config and cache below it, AI switched on. Returns its path, which
 * test_world_destroy() removes with everything in it. */
const char *test_world_create(void);
void test_world_destroy(void);
/** The same for cmocka_run_group_tests(), with its path. */
extern const char *test_world;
int test_world_set_up(void **state);
int test_world_tear_down(void **state);

/** A path below the fixtures, below the shared test data (NULL when they are not here). Free it. */
char *test_fixture(const char *relative);
char *test_data(const char *relative);

/** Whether the full counts are wanted (make test-long). */
gboolean test_is_long(void);

/** Whether a sanitizer watches, under which resident memory and times mean nothing (DT_TEST_SANITIZED). */
gboolean test_is_sanitized(void);

/** Fails the test with the error's message. */
#define assert_no_error(error)                                                                               \
  do                                                                                                         \
  {                                                                                                          \
    if(error) fail_msg("unexpected error: %s", (error)->message);                                            \
  } while(0)

/** A seeded generator (xorshift64*), the same on every machine. */
typedef struct test_random_t
{
  uint64_t state;
} test_random_t;
uint32_t test_random(test_random_t *random);
/** Uniform in [low, high). */
double test_random_range(test_random_t *random, double low, double high);
int test_random_int(test_random_t *random, int low, int high_inclusive);

/** A picture in memory as a row source and as a row sink. */
typedef struct test_image_t
{
  int width, height, channels;
  float *pixels; ///< interleaved
} test_image_t;
test_image_t test_image_new(int width, int height, int channels);
/** Smooth shapes plus noise, values mostly in 0..1 with some outside. */
test_image_t test_image_random(test_random_t *random, int width, int height, int channels);
void test_image_free(test_image_t *image);

/** Rows of @p image (borrowed); checks that reads never go back. Free with dt_row_source_destroy(). */
dt_row_source_t *test_source_new(const test_image_t *image);

typedef struct test_sink_t
{
  dt_row_sink_t sink;
  test_image_t *image; ///< receives the rows (borrowed)
  int next;            ///< rows received so far; anything out of order fails the test
  gboolean finished, abandoned;
  int fail_at; ///< row at which write() fails with DT_AI_ERROR_OUTPUT, -1: never
} test_sink_t;
/** The sink is owned by the caller, who reads its fields after the job: finish() and abandon() do not free
 * it. */
void test_sink_init(test_sink_t *sink, test_image_t *image);

#endif
