/* SPDX-License-Identifier: GPL-3.0-or-later */
/* One child process: spawned with two pipes, polled until it ends, is cancelled or its time is up. */
#include "common/child.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#define RESULT_FD 3
#define TICK_MS 100
/* between the last word and the end */
#define END_MS 5
/* a result is a page of text; words may be a flood */
#define MAX_RESULT ((gsize)1 << 20)
#define MAX_WORDS ((gsize)32 << 10)

/* The reading ends, and what came through them. */
typedef struct _pipe_t
{
  int fds[2]; /* read, write */
  GString *text;
  gsize limit;
} _pipe_t;

/* Out of the way of the descriptors that the child gets: a caller may have closed its own ones. */
static gboolean _lift(int *fd)
{
  const int low = *fd;
  *fd = fcntl(low, F_DUPFD_CLOEXEC, RESULT_FD + 1);
  const int code = errno;
  close(low);
  errno = code;
  return *fd >= 0;
}

static gboolean _open_pipe(_pipe_t *p, gsize limit)
{
  *p = (_pipe_t){ .fds = { -1, -1 }, .text = g_string_new(NULL), .limit = limit };
  return pipe2(p->fds, O_CLOEXEC) == 0 && _lift(&p->fds[0]) && _lift(&p->fds[1])
         && fcntl(p->fds[0], F_SETFL, O_NONBLOCK) == 0;
}

static void _close_end(_pipe_t *p, int end)
{
  if(p->fds[end] >= 0) close(p->fds[end]);
  p->fds[end] = -1;
}

static void _close_pipe(_pipe_t *p)
{
  _close_end(p, 0);
  _close_end(p, 1);
  if(p->text) g_string_free(p->text, TRUE);
}

/* Reads what is there; the oldest goes when it gets too much. Not much more than a pipe holds is read at a time: who
 * writes without end must not keep the clock from being looked at. */
static void _drain(_pipe_t *p)
{
  char buffer[4096];
  for(int i = 0; i < 32 && p->fds[0] >= 0; i++)
  {
    const ssize_t n = read(p->fds[0], buffer, sizeof buffer);
    if(n < 0 && errno == EINTR) continue;
    if(n < 0) return;
    if(n == 0) _close_end(p, 0);
    g_string_append_len(p->text, buffer, n);
    if(p->text->len > 2 * p->limit) g_string_erase(p->text, 0, (gssize)(p->text->len - p->limit));
  }
}

/* --- starting --- */

/* The child starts with a clean mask: a parent that waits for signals in a thread blocks them, and a child that
 * inherited this could not be asked to end. */
static void _set_attributes(posix_spawnattr_t *attributes)
{
  sigset_t none, fallback;
  sigemptyset(&none);
  sigemptyset(&fallback);
  sigaddset(&fallback, SIGPIPE);
  sigaddset(&fallback, SIGXFSZ);
  posix_spawnattr_setsigmask(attributes, &none);
  posix_spawnattr_setsigdefault(attributes, &fallback);
  posix_spawnattr_setpgroup(attributes, 0);
  posix_spawnattr_setflags(attributes,
                           POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
}

static int _spawn(const char *const *argv, const _pipe_t *result, const _pipe_t *words, pid_t *pid)
{
  posix_spawn_file_actions_t actions;
  posix_spawnattr_t attributes;
  posix_spawn_file_actions_init(&actions);
  posix_spawnattr_init(&attributes);
  _set_attributes(&attributes);
  posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_adddup2(&actions, words->fds[1], STDOUT_FILENO);
  posix_spawn_file_actions_adddup2(&actions, words->fds[1], STDERR_FILENO);
  posix_spawn_file_actions_adddup2(&actions, result->fds[1], RESULT_FD);
  const int code = posix_spawnp(pid, argv[0], &actions, &attributes, (char *const *)argv, environ);
  posix_spawnattr_destroy(&attributes);
  posix_spawn_file_actions_destroy(&actions);
  return code;
}

/* --- waiting --- */

static void _wait_for_news(_pipe_t *result, _pipe_t *words)
{
  /* a negative descriptor is passed over, so that only time passes once both are closed: little, as a rule */
  const gboolean silent = result->fds[0] < 0 && words->fds[0] < 0;
  struct pollfd fds[] = { { .fd = result->fds[0], .events = POLLIN },
                          { .fd = words->fds[0], .events = POLLIN } };
  (void)poll(fds, G_N_ELEMENTS(fds), silent ? END_MS : TICK_MS);
  _drain(result);
  _drain(words);
}

/* Where the caller ignores SIGCHLD, children vanish without a status; their result tells enough. */
static gboolean _has_ended(pid_t pid, int *status)
{
  const pid_t ended = waitpid(pid, status, WNOHANG);
  return ended == pid || (ended < 0 && errno == ECHILD);
}

static void _kill(pid_t pid, int *status)
{
  kill(-pid, SIGKILL);
  while(waitpid(pid, status, 0) < 0 && errno == EINTR) continue;
}

/* @return FALSE when the caller cancelled */
static gboolean _wait(pid_t pid, const dt_child_opts_t *opts, _pipe_t *result, _pipe_t *words,
                      dt_child_t *child, int *status)
{
  const gint64 start = g_get_monotonic_time();
  while(!_has_ended(pid, status))
  {
    const double seconds = 1e-6 * (double)(g_get_monotonic_time() - start);
    const gboolean cancelled = opts->cancellable && g_cancellable_is_cancelled(opts->cancellable);
    child->timed_out = opts->seconds > 0 && seconds > opts->seconds;
    if(cancelled || child->timed_out) _kill(pid, status);
    if(cancelled) return FALSE;
    if(child->timed_out) return TRUE;
    if(opts->tick) opts->tick(seconds, opts->tick_data);
    _wait_for_news(result, words);
  }
  kill(-pid, SIGKILL); /* what it left behind */
  return TRUE;
}

static void _describe(dt_child_t *child, int status)
{
  child->exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  child->signal = WIFSIGNALED(status) && !child->timed_out ? WTERMSIG(status) : 0;
}

static char *_take_text(_pipe_t *p)
{
  _drain(p);
  if(p->text->len > p->limit) g_string_erase(p->text, 0, (gssize)(p->text->len - p->limit));
  /* a program may write anything; what is passed on is text */
  return g_utf8_make_valid(p->text->str, (gssize)p->text->len);
}

static gboolean _run(const char *const *argv, const dt_child_opts_t *opts, _pipe_t *result, _pipe_t *words,
                     dt_child_t *child, GError **error)
{
  pid_t pid;
  int status = 0;
  const int code = _spawn(argv, result, words, &pid);
  if(code)
  {
    g_set_error(error, DT_AI_ERROR, DT_AI_ERROR_FAILED, "%s could not be started: %s", argv[0],
                g_strerror(code));
    return FALSE;
  }
  _close_end(result, 1);
  _close_end(words, 1);
  if(!_wait(pid, opts, result, words, child, &status))
  {
    g_set_error_literal(error, DT_AI_ERROR, DT_AI_ERROR_CANCELLED, "Cancelled.");
    return FALSE;
  }
  _describe(child, status);
  child->result = _take_text(result);
  child->words = _take_text(words);
  return TRUE;
}

gboolean dt_child_run(const char *const *argv, const dt_child_opts_t *opts, dt_child_t *child, GError **error)
{
  const dt_child_opts_t defaults = { 0 };
  _pipe_t result, words = { .fds = { -1, -1 } };
  *child = (dt_child_t){ .exit_code = -1 };
  gboolean ok = _open_pipe(&result, MAX_RESULT) && _open_pipe(&words, MAX_WORDS);
  if(!ok)
    g_set_error(error, DT_AI_ERROR, DT_AI_ERROR_FAILED, "There is no pipe to talk to %s: %s", argv[0],
                g_strerror(errno));
  ok = ok && _run(argv, opts ? opts : &defaults, &result, &words, child, error);
  _close_pipe(&result);
  _close_pipe(&words);
  return ok;
}

void dt_child_cleanup(dt_child_t *child)
{
  g_clear_pointer(&child->result, g_free);
  g_clear_pointer(&child->words, g_free);
}
