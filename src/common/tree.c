/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Measures trees, and removes them through descriptors, so that nobody can put a link in the way meanwhile. */
#include "common/tree.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <string.h>
#include <unistd.h>

/* caches are flat; whatever lies deeper was not put there by us */
#define MAX_DEPTH 4

/* --- measuring --- */

typedef struct _sum_t
{
  guint64 bytes;
  int files;
  gint64 used;
} _sum_t;

static void _add(const char *path, int depth, _sum_t *sum)
{
  GStatBuf status;
  if(g_lstat(path, &status) != 0) return;
  if(S_ISREG(status.st_mode))
  {
    sum->bytes += (guint64)status.st_size;
    sum->files++;
    sum->used = MAX(sum->used, (gint64)status.st_mtime);
  }
  GDir *dir = S_ISDIR(status.st_mode) && depth < MAX_DEPTH ? g_dir_open(path, 0, NULL) : NULL;
  for(const char *name; dir && (name = g_dir_read_name(dir));)
  {
    char *child = g_build_filename(path, name, NULL);
    _add(child, depth + 1, sum);
    g_free(child);
  }
  if(dir) g_dir_close(dir);
}

guint64 dt_tree_measure(const char *path, int *files, gint64 *used)
{
  _sum_t sum = { 0 };
  _add(path, 0, &sum);
  if(files) *files = sum.files;
  if(used) *used = sum.used;
  return sum.bytes;
}

/* --- removing --- */

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
