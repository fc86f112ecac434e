/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Memory as the kernel reports it: /proc/meminfo, the control group (v2, then v1), /proc/self. */
#include "common/memory.h"

#if defined(__GLIBC__)
#include <malloc.h>
#endif
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

/* The number after @p label in a /proc file of "Label:  123 kB" lines, in bytes; 0 if absent. */
static guint64 _read_kb(const char *path, const char *label)
{
  char *text = NULL;
  guint64 value = 0;
  if(g_file_get_contents(path, &text, NULL, NULL))
  {
    const char *line = strstr(text, label);
    if(line) value = g_ascii_strtoull(line + strlen(label), NULL, 10) * 1024;
  }
  g_free(text);
  return value;
}

/* A file that holds one number; "max" and absence are no limit. */
static guint64 _read_number(const char *path)
{
  char *text = NULL;
  guint64 value = G_MAXUINT64;
  if(g_file_get_contents(path, &text, NULL, NULL) && g_ascii_isdigit(text[0]))
    value = g_ascii_strtoull(text, NULL, 10);
  g_free(text);
  return value;
}

static guint64 _group_headroom(const char *limit_path, const char *usage_path)
{
  const guint64 limit = _read_number(limit_path), usage = _read_number(usage_path);
  if(limit == G_MAXUINT64 || usage == G_MAXUINT64) return G_MAXUINT64;
  return limit > usage ? limit - usage : 0;
}

guint64 dt_memory_available(void)
{
  guint64 bytes = _read_kb("/proc/meminfo", "MemAvailable:");
  if(bytes == 0) bytes = 4ULL << 30;
  const guint64 v2 = _group_headroom("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.current");
  const guint64 v1 = _group_headroom("/sys/fs/cgroup/memory/memory.limit_in_bytes",
                                     "/sys/fs/cgroup/memory/memory.usage_in_bytes");
  return MIN(bytes, MIN(v1, v2));
}

guint64 dt_memory_resident(void)
{
  return _read_kb("/proc/self/status", "VmRSS:");
}

/* one huge page on the processors this runs on; a wrong guess costs nothing but alignment */
#define HUGE_PAGE ((size_t)2 << 20)

void *dt_memory_try_large(size_t count, size_t size)
{
  void *memory = NULL;
  size_t bytes;
  if(__builtin_mul_overflow(count, size, &bytes)) return NULL;
  if(bytes < 2 * HUGE_PAGE) return malloc(MAX(bytes, 1));
  if(posix_memalign(&memory, HUGE_PAGE, bytes) != 0) return NULL;
#if defined(MADV_HUGEPAGE)
  (void)madvise(memory, bytes, MADV_HUGEPAGE); /* a wish, not a need */
#endif
  return memory;
}

void dt_memory_trim(void)
{
#if defined(__GLIBC__)
  malloc_trim(0);
#endif
}

guint64 dt_memory_peak(void)
{
  const guint64 peak = _read_kb("/proc/self/status", "VmHWM:");
  struct rusage usage;
  if(peak || getrusage(RUSAGE_SELF, &usage) != 0) return peak;
  return (guint64)usage.ru_maxrss * 1024;
}
