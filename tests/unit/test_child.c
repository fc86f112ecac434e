/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Child processes: how they end, what they say, and that none outlives its welcome. Most children are scripts of the
 * shell; file descriptor 3 is where results go. This program is its own child, too, for what must not happen to the
 * test itself. */
#include "support.h"

#include "common/child.h"

#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* a loaded machine, or one under a sanitizer, is slow to start and to end processes */
#define PATIENCE (test_is_sanitized() ? 10.0 : 1.0)

/* --- running --- */

static double _now(void)
{
  return 1e-6 * (double)g_get_monotonic_time();
}

static gboolean _run_shell(const char *script, const dt_child_opts_t *opts, dt_child_t *child, GError **error)
{
  const char *const argv[] = { "sh", "-c", script, NULL };
  return dt_child_run(argv, opts, child, error);
}

/* A script that must start. Free with dt_child_cleanup(). */
static dt_child_t _run(const char *script, int seconds)
{
  const dt_child_opts_t opts = { .seconds = seconds };
  dt_child_t child;
  GError *error = NULL;
  const gboolean ok = _run_shell(script, &opts, &child, &error);
  assert_no_error(error);
  assert_true(ok);
  assert_non_null(child.result);
  assert_non_null(child.words);
  return child;
}

static void _assert_ends(const char *script, int exit_code, int number)
{
  dt_child_t child = _run(script, 0);
  assert_int_equal(child.exit_code, exit_code);
  assert_int_equal(child.signal, number);
  assert_false(child.timed_out);
  dt_child_cleanup(&child);
}

/* Whether the process @p pid, named at the start of @p text, has ended; who is nobody's child may stay a zombie. */
static gboolean _has_ended(const char *text)
{
  char *path = g_strdup_printf("/proc/%d/stat", atoi(text)), *status = NULL;
  const gboolean there = g_file_get_contents(path, &status, NULL, NULL);
  const char *end = there ? strrchr(status, ')') : NULL;
  const gboolean ended = !there || !end || strchr("ZX", end[2]);
  g_free(status);
  g_free(path);
  return ended;
}

static void _assert_ended(const char *text)
{
  assert_true(atoi(text) > 1);
  for(const double limit = _now() + 5 * PATIENCE; !_has_ended(text) && _now() < limit;) g_usleep(5000);
  assert_true(_has_ended(text));
}

/* --- how they end --- */

static void test_exit_codes(void **state)
{
  (void)state;
  _assert_ends("exit 0", 0, 0);
  _assert_ends("exit 7", 7, 0);
  _assert_ends("exit 255", 255, 0);
}

static void test_signals(void **state)
{
  (void)state;
  static const int numbers[] = { SIGTERM, SIGKILL, SIGPIPE, SIGHUP };
  for(size_t i = 0; i < G_N_ELEMENTS(numbers); i++)
  {
    char *script = g_strdup_printf("kill -%d $$; sleep 10", numbers[i]);
    _assert_ends(script, -1, numbers[i]);
    g_free(script);
  }
}

/* Signals that the caller blocks or ignores still end its children. */
static void test_signal_mask(void **state)
{
  (void)state;
  sigset_t blocked, before;
  sigemptyset(&blocked);
  sigaddset(&blocked, SIGTERM);
  sigaddset(&blocked, SIGINT);
  pthread_sigmask(SIG_BLOCK, &blocked, &before);
  void (*pipe_before)(int) = signal(SIGPIPE, SIG_IGN);
  _assert_ends("kill -TERM $$; exit 0", -1, SIGTERM);
  _assert_ends("kill -PIPE $$; exit 0", -1, SIGPIPE);
  signal(SIGPIPE, pipe_before);
  pthread_sigmask(SIG_SETMASK, &before, NULL);
}

static void test_not_found(void **state)
{
  (void)state;
  char *file = NULL;
  close(g_file_open_tmp("not-a-program-XXXXXX", &file, NULL));
  const char *const programs[] = { "/no/such/program", "no-such-program-anywhere", "/", file };
  for(size_t i = 0; i < G_N_ELEMENTS(programs); i++)
  {
    const char *const argv[] = { programs[i], NULL };
    GError *error = NULL;
    dt_child_t child;
    assert_false(dt_child_run(argv, NULL, &child, &error));
    assert_int_equal(error->code, DT_AI_ERROR_FAILED);
    assert_non_null(strstr(error->message, programs[i]));
    dt_child_cleanup(&child); /* harmless */
    g_error_free(error);
  }
  g_unlink(file);
  g_free(file);
}

/* --- time --- */

/* The whole group goes, and who waits is not kept by a grandchild that holds the pipes. */
static void test_timeout(void **state)
{
  (void)state;
  const double start = _now();
  dt_child_t child = _run("sleep 60 & echo $! >&3; echo said; sleep 60", 1);
  const double seconds = _now() - start;
  assert_true(child.timed_out);
  assert_int_equal(child.exit_code, -1);
  assert_int_equal(child.signal, 0);
  assert_string_equal(child.words, "said\n");
  if(seconds < 1 || seconds > 1 + 1.5 * PATIENCE) fail_msg("a second took %.2f s", seconds);
  _assert_ended(child.result);
  dt_child_cleanup(&child);
}

/* What a child leaves behind when it ends by itself goes with it. */
static void test_left_behind(void **state)
{
  (void)state;
  const double start = _now();
  dt_child_t child = _run("sleep 60 & echo $! >&3; exit 3", 30);
  assert_int_equal(child.exit_code, 3);
  assert_false(child.timed_out);
  assert_true(_now() - start < 5 * PATIENCE);
  _assert_ended(child.result);
  dt_child_cleanup(&child);
}

/* A driver in a loop of messages hangs as well. */
static void test_flood_times_out(void **state)
{
  (void)state;
  const double start = _now();
  dt_child_t child = _run("exec yes 'the GPU is busy, the GPU is busy, the GPU is busy, the GPU is busy'", 1);
  assert_true(child.timed_out);
  assert_true(_now() - start < 1 + 3 * PATIENCE);
  assert_true(strlen(child.words) <= 32 << 10);
  dt_child_cleanup(&child);
}

/* Ends that nobody waits for take no time: it is not looked for at intervals. */
static void test_quick(void **state)
{
  (void)state;
  if(test_is_sanitized()) skip();
  int slow = 0;
  for(int i = 0; i < 20; i++)
  {
    const double start = _now();
    _assert_ends("exec true", 0, 0);
    slow += _now() - start > 0.08;
  }
  assert_in_range(slow, 0, 5);
}

/* --- ticks and cancelling --- */

typedef struct _ticks_t
{
  int n;
  double last;
  pthread_t thread;
} _ticks_t;

static void _tick(double seconds, void *data)
{
  _ticks_t *t = data;
  assert_true(seconds >= t->last);
  assert_true(pthread_equal(pthread_self(), t->thread));
  t->last = seconds;
  t->n++;
}

static void test_ticks(void **state)
{
  (void)state;
  _ticks_t ticks = { .thread = pthread_self() };
  const dt_child_opts_t opts = { .tick = _tick, .tick_data = &ticks };
  dt_child_t child;
  assert_true(_run_shell("sleep 0.6", &opts, &child, NULL));
  dt_child_cleanup(&child);
  assert_in_range(ticks.n, 3, 20);
  assert_true(ticks.last < 0.6 + 2 * PATIENCE);
}

static void *_cancel_soon(void *data)
{
  g_usleep(200000);
  g_cancellable_cancel(data);
  return NULL;
}

static void _assert_cancelled(GCancellable *cancellable, const char *script)
{
  const dt_child_opts_t opts = { .seconds = 60, .cancellable = cancellable };
  GError *error = NULL;
  dt_child_t child;
  assert_false(_run_shell(script, &opts, &child, &error));
  assert_int_equal(error->code, DT_AI_ERROR_CANCELLED);
  g_error_free(error);
}

static void test_cancelled(void **state)
{
  (void)state;
  static const char *const scripts[] = { "sleep 60", "trap '' TERM INT; sleep 60; sleep 60", "exec yes",
                                         "sleep 60 & wait" };
  for(size_t i = 0; i < G_N_ELEMENTS(scripts); i++)
  {
    GCancellable *cancellable = g_cancellable_new();
    pthread_t thread;
    pthread_create(&thread, NULL, _cancel_soon, cancellable);
    const double start = _now();
    _assert_cancelled(cancellable, scripts[i]);
    const double seconds = _now() - start - 0.2;
    if(seconds > 0.5 * PATIENCE) fail_msg("\"%s\" ran %.2f s after it was cancelled", scripts[i], seconds);
    pthread_join(thread, NULL);
    _assert_cancelled(cancellable, "sleep 60"); /* it still is */
    g_object_unref(cancellable);
  }
}

/* --- what they say --- */

static void test_result_and_words(void **state)
{
  (void)state;
  dt_child_t child = _run("echo to stdout; echo to stderr >&2; printf 'one\\ntwo' >&3", 0);
  assert_string_equal(child.result, "one\ntwo");
  assert_string_equal(child.words, "to stdout\nto stderr\n");
  dt_child_cleanup(&child);
  child = _run("exit 0", 0);
  assert_string_equal(child.result, "");
  assert_string_equal(child.words, "");
  dt_child_cleanup(&child);
  child = _run("cat; echo end", 0); /* stdin is empty */
  assert_string_equal(child.words, "end\n");
  dt_child_cleanup(&child);
  child = _run("exec 1>&- 2>&- 3>&-; sleep 0.3; exit 4", 0); /* closing the pipes is not ending */
  assert_int_equal(child.exit_code, 4);
  dt_child_cleanup(&child);
}

/* Of many words the last 32 KiB, the result whole: both at once. */
static void test_many_words(void **state)
{
  (void)state;
  dt_child_t child =
      _run("yes 123456789 | head -c 1000000; printf 'the end'; yes abcdefghi | head -c 200000 >&3",
           30 * (int)PATIENCE);
  assert_int_equal(child.exit_code, 0);
  assert_int_equal(strlen(child.words), 32 << 10);
  assert_true(g_str_has_suffix(child.words, "123456789\n123456789\nthe end"));
  assert_int_equal(strlen(child.result), 200000);
  dt_child_cleanup(&child);
}

static void test_any_bytes(void **state)
{
  (void)state;
  dt_child_t child = _run("printf 'gr\\374n \\303\\274ber\\303'; printf '\\377' >&3", 0);
  assert_true(g_utf8_validate(child.words, -1, NULL));
  assert_true(g_utf8_validate(child.result, -1, NULL));
  assert_string_equal(child.words, "gr\357\277\275n \303\274ber\357\277\275");
  dt_child_cleanup(&child);
  child = _run("printf 'before\\000after'", 0);
  assert_non_null(strstr(child.words, "before"));
  assert_non_null(strstr(child.words, "after"));
  dt_child_cleanup(&child);
}

/* --- many at once --- */

static void *_run_many(void *data)
{
  const int number = GPOINTER_TO_INT(data);
  for(int i = 0; i < 8; i++)
  {
    char *script = g_strdup_printf("echo %d.%d >&3; echo words %d; exit %d", number, i, number, number);
    char *wanted = g_strdup_printf("%d.%d\n", number, i);
    dt_child_t child;
    const gboolean ok = _run_shell(script, NULL, &child, NULL) && child.exit_code == number
                        && strcmp(child.result, wanted) == 0 && g_str_has_prefix(child.words, "words ");
    dt_child_cleanup(&child);
    g_free(wanted);
    g_free(script);
    if(!ok) return data;
  }
  return NULL;
}

static int _count_files(void)
{
  GDir *dir = g_dir_open("/proc/self/fd", 0, NULL);
  int n = 0;
  while(dir && g_dir_read_name(dir)) n++;
  if(dir) g_dir_close(dir);
  return n;
}

static void test_threads(void **state)
{
  (void)state;
  pthread_t threads[16];
  const int before = _count_files();
  for(int i = 0; i < 16; i++)
    assert_int_equal(pthread_create(&threads[i], NULL, _run_many, GINT_TO_POINTER(i + 1)), 0);
  for(int i = 0; i < 16; i++)
  {
    void *failed;
    pthread_join(threads[i], &failed);
    assert_null(failed);
  }
  assert_int_equal(_count_files(), before);
}

/* What this program was given by whoever started it, and would pass on. */
static int _count_inherited_pipes(void)
{
  int n = 0;
  for(int fd = 3; fd < 1024; fd++)
  {
    const int flags = fcntl(fd, F_GETFD);
    char *path = g_strdup_printf("/proc/self/fd/%d", fd), *target = g_file_read_link(path, NULL);
    n += flags >= 0 && !(flags & FD_CLOEXEC) && target && g_str_has_prefix(target, "pipe:");
    g_free(target);
    g_free(path);
  }
  return n;
}

static void *_run_slowly(void *data)
{
  GCancellable *cancellable = data;
  const dt_child_opts_t opts = { .cancellable = cancellable };
  dt_child_t child;
  (void)_run_shell("sleep 60", &opts, &child, NULL);
  return NULL;
}

/* A child does not get what belongs to another: else the other's pipes would stay open as long as it lives. */
static void test_nothing_inherited(void **state)
{
  (void)state;
  const char *const argv[] = { "ls", "-l", "/proc/self/fd", NULL };
  GCancellable *cancellable = g_cancellable_new();
  pthread_t thread;
  const int inherited = _count_inherited_pipes(), files = _count_files();
  pthread_create(&thread, NULL, _run_slowly, cancellable);
  for(const double limit = _now() + 5 * PATIENCE; _count_files() < files + 2 && _now() < limit;)
    g_usleep(2000);
  dt_child_t child;
  assert_true(dt_child_run(argv, NULL, &child, NULL));
  int pipes = 0;
  for(const char *p = child.words; (p = strstr(p, "-> pipe:")); p++) pipes++;
  assert_int_equal(pipes, inherited + 3); /* stdout, stderr, result */
  dt_child_cleanup(&child);
  g_cancellable_cancel(cancellable);
  pthread_join(thread, NULL);
  g_object_unref(cancellable);
}

/* --- callers in odd shape --- */

/* As a child of this program: without standard descriptors, or with children that reap themselves. */
static int _run_oddly(const char *what)
{
  dt_child_t child;
  if(strcmp(what, "ignore") == 0) signal(SIGCHLD, SIG_IGN);
  for(int fd = 0; strcmp(what, "closed") == 0 && fd <= 2; fd++) close(fd);
  const char *const argv[] = { "sh", "-c", "cat; echo words; echo result >&3", NULL };
  const dt_child_opts_t opts = { .seconds = 20 };
  const gboolean ok = dt_child_run(argv, &opts, &child, NULL);
  return ok && !child.timed_out && strcmp(child.words, "words\n") == 0
                 && strcmp(child.result, "result\n") == 0
             ? 0
             : 9;
}

static void test_odd_callers(void **state)
{
  (void)state;
  static const char *const shapes[] = { "normal", "closed", "ignore" };
  char *self = g_file_read_link("/proc/self/exe", NULL);
  for(size_t i = 0; i < G_N_ELEMENTS(shapes); i++)
  {
    const char *const argv[] = { self, "oddly", shapes[i], NULL };
    const dt_child_opts_t opts = { .seconds = 10 * (int)PATIENCE };
    dt_child_t child;
    assert_true(dt_child_run(argv, &opts, &child, NULL));
    if(child.timed_out || child.exit_code != 0)
      fail_msg("%s: %s, exit code %d", shapes[i], child.timed_out ? "it hangs" : "it fails", child.exit_code);
    dt_child_cleanup(&child);
  }
  g_free(self);
}

int main(int argc, char **argv)
{
  if(argc > 2 && strcmp(argv[1], "oddly") == 0) return _run_oddly(argv[2]);
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_exit_codes),
    cmocka_unit_test(test_signals),
    cmocka_unit_test(test_signal_mask),
    cmocka_unit_test(test_not_found),
    cmocka_unit_test(test_timeout),
    cmocka_unit_test(test_left_behind),
    cmocka_unit_test(test_flood_times_out),
    cmocka_unit_test(test_quick),
    cmocka_unit_test(test_ticks),
    cmocka_unit_test(test_cancelled),
    cmocka_unit_test(test_result_and_words),
    cmocka_unit_test(test_many_words),
    cmocka_unit_test(test_any_bytes),
    cmocka_unit_test(test_threads),
    cmocka_unit_test(test_nothing_inherited),
    cmocka_unit_test(test_odd_callers),
  };
  return cmocka_run_group_tests_name("child", tests, NULL, NULL);
}
