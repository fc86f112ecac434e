/* SPDX-License-Identifier: GPL-3.0-or-later */
/* darktable-ai-probe: started by the library to try what may crash or hang. Its answer goes to file descriptor 3;
 * what drivers print goes where they print it. */
#include "ai/probe_child.h"
#include "common/opencl_guard.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#if defined(__linux__)
#include <sys/prctl.h>
#endif

#define RESULT_FD 3

/* Whoever asked may be killed at any moment; nobody would want the answer then. */
static void _die_with_parent(void)
{
#if defined(__linux__)
  prctl(PR_SET_PDEATHSIG, SIGKILL);
#endif
}

static int _answer(const char *text)
{
  for(size_t left = strlen(text); left;)
  {
    const ssize_t n = write(RESULT_FD, text, left);
    if(n < 0 && errno != EINTR) return 1;
    if(n < 0) continue;
    text += n;
    left -= (size_t)n;
  }
  return 0;
}

int main(int argc, char **argv)
{
  _die_with_parent();
  const gboolean opencl = argc == 3 && strcmp(argv[1], "opencl") == 0;
  char *text = opencl ? g_strdup(dt_opencl_guard_child(argv[2])) : dt_ai_probe_child(argc - 1, argv + 1);
  if(!*text) fputs("darktable-ai-probe is started by darktable-ai and of no use by itself.\n", stderr);
  const int code = *text ? _answer(text) : 2;
  fflush(NULL);
  /* drivers crash when they are taken down; the answer is given already */
  _exit(code);
}
