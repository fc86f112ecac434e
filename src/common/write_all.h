/* SPDX-License-Identifier: GPL-3.0-or-later */
/** @file
 * Writing to a descriptor until everything is written.
 */
#ifndef DT_COMMON_WRITE_ALL_H
#define DT_COMMON_WRITE_ALL_H

#include <glib.h>

#include <errno.h>
#include <unistd.h>

/** Writes @p size bytes, however many calls that takes. @return FALSE with errno set */
static inline gboolean dt_write_all(int fd, const char *bytes, size_t size)
{
  for(size_t done = 0; done < size;)
  {
    const ssize_t put = write(fd, bytes + done, size - done);
    if(put < 0 && errno == EINTR) continue;
    if(put == 0) errno = ENOSPC;
    if(put <= 0) return FALSE;
    done += (size_t)put;
  }
  return TRUE;
}

#endif
