/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Starts and ends http_server.py. */
#include "test_server.h"

#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* The first line of what it prints, without its end; NULL when it ends before. */
static char *_read_line(int fd)
{
  GString *line = g_string_new(NULL);
  char c = 0;
  while(read(fd, &c, 1) == 1 && c != '\n') g_string_append_c(line, c);
  close(fd);
  return g_string_free(line, c != '\n');
}

test_server_t *test_server_start(const char *root, const char *tls)
{
  const char *words[] = {
    DT_TEST_PYTHON, "-B", DT_TEST_SOURCE_DIR "/tests/support/http_server.py", root, NULL, NULL, NULL
  };
  int output = -1;
  test_server_t *server = g_new0(test_server_t, 1);
  if(tls)
  {
    words[4] = "--tls";
    words[5] = tls;
  }
  if(g_spawn_async_with_pipes(NULL, (char **)words, NULL, G_SPAWN_DO_NOT_REAP_CHILD | G_SPAWN_SEARCH_PATH,
                              NULL, NULL, &server->pid, &server->input, &output, NULL, NULL))
    server->base = _read_line(output);
  if(!server->base) g_clear_pointer(&server, g_free);
  return server;
}

void test_server_stop(test_server_t *server)
{
  if(!server) return;
  close(server->input);
  for(int i = 0; i < 50 && waitpid(server->pid, NULL, WNOHANG) == 0; i++)
  {
    if(i == 40) kill(server->pid, SIGKILL);
    g_usleep(100000);
  }
  g_free(server->base);
  g_free(server);
}

char *test_server_url(const test_server_t *server, const char *format, ...)
{
  va_list args;
  va_start(args, format);
  char *path = g_strdup_vprintf(format, args);
  va_end(args);
  char *url = g_strconcat(server->base, path, NULL);
  g_free(path);
  return url;
}
