/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the priorities should be, from how right and how fast the devices were. */
#include "libs/opencl_test.h"

#include <stdlib.h>
#include <string.h>

/* a device that is slower than this, times the CPU's speed, is more of a burden than a help */
#define WORTHWHILE 0.5

/* A device and the time it needs for all kernels beside the CPU's; pictures stay on the device between modules. */
typedef struct _rank_t
{
  int device;
  gboolean correct, worthwhile;
  double speed; /* times the CPU's */
} _rank_t;

static _rank_t _rank(const GPtrArray *tests, int device)
{
  _rank_t rank = { .device = device, .correct = TRUE };
  double here = 0.0, there = 0.0;
  for(guint i = 0; i < tests->len; i++)
  {
    const dt_opencl_test_t *test = tests->pdata[i];
    if(test->device != device) continue;
    rank.correct &= test->correct;
    if(!test->correct) continue;
    here += 1.0 / test->cpu;
    there += 1.0 / test->alone;
  }
  rank.speed = there > 0.0 ? here / there : 0.0;
  rank.worthwhile = rank.correct && rank.speed >= WORTHWHILE;
  return rank;
}

static int _faster_first(const void *a, const void *b)
{
  const _rank_t *x = a, *y = b;
  if(x->speed != y->speed) return x->speed < y->speed ? 1 : -1;
  return x->device - y->device;
}

/* How the string calls a device: by name, unless another has it too, or it cannot be written there (transfer full). */
static char *_call(dt_opencl_t *cl, int number)
{
  const dt_opencl_device_t *device = dt_opencl_device(cl, number), *other;
  gboolean clear = *device->canonical && !strpbrk(device->name, "/!,*+");
  for(int i = 0; (other = dt_opencl_device(cl, i)); i++)
    clear &= i == number || strcmp(other->canonical, device->canonical) != 0;
  return clear ? g_strdup(device->name) : g_strdup_printf("%d", number);
}

static void _append_field(GString *text, dt_opencl_t *cl, const _rank_t *ranks, int n, int from)
{
  for(int i = from; i < n; i++)
  {
    char *name = _call(cl, ranks[i].device);
    g_string_append_printf(text, "%s%s", i > from ? "," : "", name);
    g_free(name);
  }
}

static char *_describe(dt_opencl_t *cl, const _rank_t *ranks, int n)
{
  GString *text = g_string_new(NULL);
  for(int i = 0; i < n; i++)
  {
    const _rank_t *rank = &ranks[i];
    g_string_append_printf(text, "%s%d '%s' ", i ? "\n" : "", rank->device,
                           dt_opencl_device(cl, rank->device)->name);
    if(!rank->correct)
      g_string_append(text, "is left out: it does not compute everything right.");
    else
      g_string_append_printf(text, "computes %.2f times as fast as the CPU%s.", rank->speed,
                             rank->worthwhile ? "" : " and is left out");
  }
  return g_string_free(text, FALSE);
}

/* Only worthwhile devices are mentioned, so that no wildcard lets the others in. With one of them the preview is left to
 * the CPU, with more the fastest is kept free for the full view. */
char *dt_opencl_test_suggest(dt_opencl_t *cl, const GPtrArray *tests, char **why)
{
  int n = 0, good = 0;
  while(dt_opencl_device(cl, n)) n++;
  _rank_t *ranks = g_new0(_rank_t, (gsize)n + 1);
  for(int i = 0; i < n; i++) ranks[i] = _rank(tests, i);
  qsort(ranks, (size_t)n, sizeof(*ranks), _faster_first);
  *why = _describe(cl, ranks, n);
  for(int i = 0; i < n; i++)
    if(ranks[i].worthwhile) ranks[good++] = ranks[i];
  GString *text = g_string_new(NULL);
  for(int field = 0; field < 4; field++)
  {
    if(field) g_string_append_c(text, '/');
    _append_field(text, cl, ranks, good, field == DT_OPENCL_PREVIEW ? 1 : 0);
  }
  g_free(ranks);
  return g_string_free(text, FALSE);
}
