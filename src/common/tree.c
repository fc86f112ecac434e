/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Removes trees through descriptors, so that nobody can put a link in the way meanwhile. */
#include "common/tree.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

static void _remove_at(int parent, const char *name);

static void _empty(int dir)
{
  DIR *entries = fdopendir(dir);
  if(!entries)
  {
    close(dir);
    return;
  }
  for(const struct dirent *e; (e = readdir(entries));)
    if(strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0) _remove_at(dirfd(entries), e->d_name);
  closedir(entries);
}

static void _remove_at(int parent, const char *name)
{
  if(unlinkat(parent, name, 0) == 0 || (errno != EISDIR && errno != EPERM)) return;
  const int dir = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  if(dir >= 0) _empty(dir);
  unlinkat(parent, name, AT_REMOVEDIR);
}

void dt_tree_remove(const char *path)
{
  _remove_at(AT_FDCWD, path);
}
