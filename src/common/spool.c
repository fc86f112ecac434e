/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Temporary files without a name. Where the file system can make one, it never had any; elsewhere the name is removed
 * before anything is written. */
#include "common/spool.h"
#include "common/write_all.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#define BUFFER_SIZE ((size_t)64 << 10)

static int _open_named(void)
{
  char *path = g_build_filename(g_get_tmp_dir(), "darktable-ai-XXXXXX", NULL);
  const int fd = g_mkstemp_full(path, O_RDWR | O_CLOEXEC, 0600);
  if(fd >= 0) unlink(path);
  g_free(path);
  return fd;
}

int dt_spool_open(void)
{
  const int fd = open(g_get_tmp_dir(), O_TMPFILE | O_RDWR | O_EXCL | O_CLOEXEC, 0600);
  return fd >= 0 ? fd : _open_named();
}

gboolean dt_spool_fill(int to, int from, gboolean *failed_reading)
{
  char buffer[BUFFER_SIZE];
  *failed_reading = FALSE;
  for(;;)
  {
    const ssize_t got = read(from, buffer, sizeof(buffer));
    if(got < 0 && errno == EINTR) continue;
    if(got < 0) *failed_reading = TRUE;
    if(got <= 0) return got == 0;
    if(!dt_write_all(to, buffer, (size_t)got)) return FALSE;
  }
}
