/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Diagnostics: the names of the topics, who reads which, and lines that stay whole. */
#include "support.h"

#include "common/log.h"

#include <pthread.h>
#include <string.h>

#define THREADS 8

static const struct
{
  const char *name;
  unsigned topic;
} _names[] = {
  { "ai", DT_LOG_AI },         { "opencl", DT_LOG_OPENCL }, { "perf", DT_LOG_PERF }, { "pipe", DT_LOG_PIPE },
  { "tiling", DT_LOG_TILING }, { "memory", DT_LOG_MEMORY }, { "all", DT_LOG_ALL },
};

static void test_names(void **state)
{
  (void)state;
  unsigned all = 0;
  for(size_t i = 0; i < G_N_ELEMENTS(_names); i++)
  {
    assert_int_equal(dt_log_topic_from_name(_names[i].name), _names[i].topic);
    if(_names[i].topic != DT_LOG_ALL) all |= _names[i].topic;
  }
  assert_int_equal(all, DT_LOG_ALL);
  static const char *const unknown[] = { "", "AI", "ai ", "everything", "aii" };
  for(size_t i = 0; i < G_N_ELEMENTS(unknown); i++) assert_int_equal(dt_log_topic_from_name(unknown[i]), 0);
}

/* --- one reader --- */

typedef struct _reader_t
{
  GPtrArray *lines;
  unsigned topic; /* of the last line */
  int inside;     /* calls under way; more than one is a fault */
} _reader_t;

static void _note(unsigned topic, const char *line, void *data)
{
  _reader_t *reader = data;
  g_assert(g_atomic_int_add(&reader->inside, 1) == 0);
  reader->topic = topic;
  g_ptr_array_add(reader->lines, g_strdup(line));
  g_atomic_int_add(&reader->inside, -1);
}

static _reader_t _read_along(unsigned topics)
{
  return (_reader_t){ .lines = g_ptr_array_new_with_free_func(g_free), .topic = topics };
}

static void test_topics(void **state)
{
  (void)state;
  _reader_t reader = _read_along(0);
  dt_log_set_handler(_note, &reader, DT_LOG_AI | DT_LOG_TILING);
  assert_true(dt_log_enabled(DT_LOG_AI) && dt_log_enabled(DT_LOG_TILING));
  assert_false(dt_log_enabled(DT_LOG_PERF));
  assert_true(dt_log_enabled(DT_LOG_ALL)); /* any of them */
  dt_log(DT_LOG_PERF, "not read");
  assert_int_equal(reader.lines->len, 0);
  dt_log(DT_LOG_TILING, "%d tiles of %s", 12, "64");
  assert_int_equal(reader.lines->len, 1);
  assert_int_equal(reader.topic, DT_LOG_TILING);
  assert_string_equal(g_ptr_array_index(reader.lines, 0), "12 tiles of 64");
  char *long_line = g_strnfill(100000, 'x');
  dt_log(DT_LOG_AI, "%s", long_line);
  assert_string_equal(g_ptr_array_index(reader.lines, 1), long_line);
  g_free(long_line);
  dt_log_set_handler(NULL, NULL, 0);
  g_ptr_array_unref(reader.lines);
}

static void test_off(void **state)
{
  (void)state;
  _reader_t reader = _read_along(0);
  assert_false(dt_log_enabled(DT_LOG_ALL));
  dt_log(DT_LOG_AI, "nobody reads %s", "this");
  dt_log_set_handler(_note, &reader, DT_LOG_ALL);
  dt_log_set_handler(NULL, &reader, DT_LOG_ALL); /* no handler: all off, whatever the topics */
  assert_false(dt_log_enabled(DT_LOG_ALL));
  dt_log(DT_LOG_AI, "nor this");
  dt_log_set_handler(_note, &reader, 0);
  assert_false(dt_log_enabled(DT_LOG_AI));
  dt_log(DT_LOG_AI, "nor this");
  assert_int_equal(reader.lines->len, 0);
  dt_log_set_handler(NULL, NULL, 0);
  g_ptr_array_unref(reader.lines);
}

/* --- several writers --- */

static int _lines_each(void)
{
  return test_is_long() ? 20000 : 500;
}

static void *_chat(void *data)
{
  const int writer = GPOINTER_TO_INT(data);
  char *text = g_strnfill(64, (char)('a' + writer));
  for(int i = 0; i < _lines_each(); i++) dt_log(DT_LOG_AI, "%s %d", text, i);
  g_free(text);
  return NULL;
}

static void _check_line(const char *line, int next[THREADS])
{
  const int writer = line[0] - 'a';
  assert_in_range(writer, 0, THREADS - 1);
  for(int i = 0; i < 64; i++) assert_int_equal(line[i], line[0]);
  /* the lines of one thread keep their order */
  assert_int_equal(g_ascii_strtoll(line + 65, NULL, 10), next[writer]++);
}

static void test_lines_stay_whole(void **state)
{
  (void)state;
  _reader_t reader = _read_along(0);
  pthread_t threads[THREADS];
  int next[THREADS] = { 0 };
  dt_log_set_handler(_note, &reader, DT_LOG_ALL);
  for(int i = 0; i < THREADS; i++)
    assert_int_equal(pthread_create(&threads[i], NULL, _chat, GINT_TO_POINTER(i)), 0);
  for(int i = 0; i < THREADS; i++) pthread_join(threads[i], NULL);
  dt_log_set_handler(NULL, NULL, 0);
  assert_int_equal(reader.lines->len, THREADS * _lines_each());
  for(guint i = 0; i < reader.lines->len; i++) _check_line(g_ptr_array_index(reader.lines, i), next);
  g_ptr_array_unref(reader.lines);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_names),
    cmocka_unit_test(test_topics),
    cmocka_unit_test(test_off),
    cmocka_unit_test(test_lines_stay_whole),
  };
  return cmocka_run_group_tests_name("log", tests, NULL, NULL);
}
