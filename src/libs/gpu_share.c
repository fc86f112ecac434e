/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Counts who is inside. The lock is held while the device is waited for: whoever wants to run meanwhile has to wait for
 * it as well. */
#include "libs/gpu_share.h"

#include <pthread.h>
#include <string.h>

/* after waiting in vain for a time, so many times of it go by before the next attempt */
#define PAUSE 8

struct dt_gpu_share_t
{
  dt_opencl_t *cl;
  GCancellable *cancellable;
  dt_ai_gate_t gate;
  pthread_mutex_t lock; /* of everything below */
  char *pci;            /* NULL: nobody has entered yet */
  int inside;
  dt_opencl_run_t *claim; /* or NULL: not held */
  gint64 next_attempt;    /* monotonic, in microseconds */
};

/* --- with the lock --- */

/* Whether it serves that device. */
static gboolean _serves(dt_gpu_share_t *share, const char *pci)
{
  if(!share->pci) share->pci = g_strdup(pci);
  return strcmp(share->pci, pci) == 0;
}

/* A claim that was offered and did not come back is none. */
static void _settle(dt_gpu_share_t *share, gint64 start)
{
  const gint64 now = g_get_monotonic_time();
  if(share->claim && dt_opencl_run_device(share->claim) < 0)
    dt_opencl_run_end(g_steal_pointer(&share->claim));
  if(!share->claim) share->next_attempt = now + PAUSE * (now - start);
}

static void _claim(dt_gpu_share_t *share)
{
  const gint64 start = g_get_monotonic_time();
  if(share->claim || start < share->next_attempt) return;
  share->claim = dt_opencl_claim(share->cl, share->pci, share->cancellable);
  _settle(share, start);
}

static void _offer(dt_gpu_share_t *share)
{
  const gint64 start = g_get_monotonic_time();
  if(!share->claim) return;
  dt_opencl_claim_yield(share->claim);
  _settle(share, start);
}

/* --- the public side --- */

void dt_gpu_share_enter(dt_gpu_share_t *share, const char *pci)
{
  if(!share || !pci) return;
  pthread_mutex_lock(&share->lock);
  if(_serves(share, pci) && share->inside++ == 0) _claim(share);
  pthread_mutex_unlock(&share->lock);
}

void dt_gpu_share_leave(dt_gpu_share_t *share, const char *pci)
{
  if(!share || !pci) return;
  pthread_mutex_lock(&share->lock);
  if(_serves(share, pci) && --share->inside == 0) _offer(share);
  pthread_mutex_unlock(&share->lock);
}

static void _enter_gate(const char *pci, void *share)
{
  dt_gpu_share_enter(share, pci);
}

static void _leave_gate(const char *pci, void *share)
{
  dt_gpu_share_leave(share, pci);
}

const dt_ai_gate_t *dt_gpu_share_gate(const dt_gpu_share_t *share)
{
  return share ? &share->gate : NULL;
}

dt_gpu_share_t *dt_gpu_share_create(dt_opencl_t *cl, GCancellable *cancellable)
{
  if(!cl) return NULL;
  dt_gpu_share_t *share = g_new0(dt_gpu_share_t, 1);
  share->cl = cl;
  share->cancellable = cancellable ? g_object_ref(cancellable) : NULL;
  share->gate = (dt_ai_gate_t){ _enter_gate, _leave_gate, share };
  pthread_mutex_init(&share->lock, NULL);
  return share;
}

void dt_gpu_share_destroy(dt_gpu_share_t *share)
{
  if(!share) return;
  dt_opencl_run_end(share->claim);
  pthread_mutex_destroy(&share->lock);
  g_clear_object(&share->cancellable);
  g_free(share->pci);
  g_free(share);
}
