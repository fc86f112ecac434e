/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Fills holes and removes specks in a plane of logits.
 *
 * Pieces are found by union-find over the runs of each row: pieces of the inside touch by edges and corners, those of
 * the outside by edges only, so that a line parts what it should part. A hole that goes away is flooded: from its rim
 * the lowest sample is taken again and again, until the water runs over into another part of the outside, or the logits
 * leave no doubt; all that is under water is raised to that level. So the values go on without a step, and the rim of
 * the hole, where they cross 0, goes with it. Specks are holes of the negative. */
#include "ai/seg_internal.h"

#include <string.h>

typedef struct _piece_run_t
{
  int y, begin, end; /* samples begin to end - 1 */
  int parent;        /* the root's is itself */
  int next;          /* of the same piece, in a circle */
  int area;          /* of the piece, in its root */
  gboolean inside, at_border;
} _piece_run_t;

typedef struct _rim_t
{
  float value;
  int at;
} _rim_t;

typedef struct _regions_t
{
  dt_seg_plane_t *logits;
  gboolean specks; /* instead of holes */
  GArray *runs;    /* of _piece_run_t */
  uint8_t *seen;   /* by the flood that is under way */
  GArray *wet;     /* int: samples under water */
  GArray *rim;     /* _rim_t: a heap of those next to it, the lowest first */
} _regions_t;

static _piece_run_t *_run_at(const _regions_t *r, int i)
{
  return &g_array_index(r->runs, _piece_run_t, i);
}

/* --- pieces --- */

static int _root(const _regions_t *r, int i)
{
  while(_run_at(r, i)->parent != i) i = _run_at(r, i)->parent = _run_at(r, _run_at(r, i)->parent)->parent;
  return i;
}

/* The earlier root stays, so that pieces are found in the order in which they begin. */
static void _join(const _regions_t *r, int i, int k)
{
  const int a = _root(r, i), b = _root(r, k);
  if(a == b) return;
  _piece_run_t *root = _run_at(r, MIN(a, b)), *other = _run_at(r, MAX(a, b));
  other->parent = MIN(a, b);
  root->area += other->area;
  root->at_border |= other->at_border;
  const int next = root->next;
  root->next = other->next;
  other->next = next;
}

static void _add_runs(_regions_t *r, int y)
{
  const float *v = dt_seg_plane_row(r->logits, y);
  const int w = r->logits->width;
  for(int x = 0, begin = 0; x < w; begin = x)
  {
    const gboolean inside = v[begin] > 0;
    while(x < w && (v[x] > 0) == inside) x++;
    const int i = (int)r->runs->len;
    const gboolean at_border = begin == 0 || x == w || y == 0 || y == r->logits->height - 1;
    const _piece_run_t run = { y, begin, x, i, i, x - begin, inside, at_border };
    g_array_append_val(r->runs, run);
  }
}

/* Joins the runs of two rows, which begin at @p above, @p row and @p end. Every pair that is looked at overlaps. */
static void _join_rows(const _regions_t *r, int above, int row, int end)
{
  for(int i = above, k = row; i < row && k < end;)
  {
    const _piece_run_t *a = _run_at(r, i), *b = _run_at(r, k);
    const int a_end = a->end, b_end = b->end;
    if(a->inside == b->inside) _join(r, i, k);
    if(a_end == b_end && i + 1 < row && k + 1 < end)
    {
      /* four runs meet in a corner */
      if(a->inside && !b->inside) _join(r, i, k + 1);
      if(b->inside && !a->inside) _join(r, i + 1, k);
    }
    if(a_end <= b_end) i++;
    if(b_end <= a_end) k++;
  }
}

static gboolean _find_pieces(_regions_t *r, GCancellable *cancellable)
{
  g_array_set_size(r->runs, 0);
  for(int y = 0, above = 0, row = 0; y < r->logits->height; y++, above = row, row = (int)r->runs->len)
  {
    if(g_cancellable_is_cancelled(cancellable)) return FALSE;
    _add_runs(r, y);
    _join_rows(r, above, row, (int)r->runs->len);
  }
  return TRUE;
}

/* --- flooding; specks are looked at upside down --- */

static float _height(const _regions_t *r, int at)
{
  return r->specks ? -r->logits->values[at] : r->logits->values[at];
}

static void _push(GArray *heap, _rim_t item)
{
  g_array_append_val(heap, item);
  _rim_t *h = (_rim_t *)(void *)heap->data;
  guint i = heap->len - 1;
  for(; i > 0 && h[(i - 1) / 2].value > item.value; i = (i - 1) / 2) h[i] = h[(i - 1) / 2];
  h[i] = item;
}

static _rim_t _pop(GArray *heap)
{
  _rim_t *h = (_rim_t *)(void *)heap->data;
  const _rim_t top = h[0], last = h[heap->len - 1];
  const guint n = heap->len - 1;
  g_array_set_size(heap, n);
  guint i = 0;
  for(guint k = 1; k < n; i = k, k = 2 * i + 1)
  {
    if(k + 1 < n && h[k + 1].value < h[k].value) k++;
    if(h[k].value >= last.value) break;
    h[i] = h[k];
  }
  if(n > 0) h[i] = last;
  return top;
}

static void _wet(const _regions_t *r, int at)
{
  r->seen[at] = 1;
  g_array_append_val(r->wet, at);
}

/* Puts the neighbours of a sample on the rim. */
static void _look_around(const _regions_t *r, int at)
{
  const int w = r->logits->width, h = r->logits->height, x = at % w, y = at / w;
  for(int v = MAX(y - 1, 0); v <= MIN(y + 1, h - 1); v++)
    for(int u = MAX(x - 1, 0); u <= MIN(x + 1, w - 1); u++)
    {
      const int to = v * w + u;
      if(r->seen[to] || (!r->specks && u != x && v != y)) continue;
      r->seen[to] = 1;
      _push(r->rim, (_rim_t){ _height(r, to), to });
    }
}

/* Water rises until it runs over. @return its level */
static float _rise(const _regions_t *r, guint most)
{
  float level = 0;
  if(r->rim->len == 0) return DT_SEG_SURE;
  while(r->rim->len && r->wet->len < most)
  {
    const _rim_t lowest = _pop(r->rim);
    r->seen[lowest.at] = 0;
    if(r->specks ? lowest.value < 0 : lowest.value <= 0) break;
    if(lowest.value >= DT_SEG_SURE) return DT_SEG_SURE;
    level = MAX(level, lowest.value);
    _wet(r, lowest.at);
    _look_around(r, lowest.at);
  }
  return level;
}

static void _flood(_regions_t *r, int root)
{
  g_array_set_size(r->wet, 0);
  g_array_set_size(r->rim, 0);
  int i = root;
  do
  {
    const _piece_run_t *run = _run_at(r, i);
    for(int x = run->begin; x < run->end; x++) _wet(r, run->y * r->logits->width + x);
    i = run->next;
  } while(i != root);
  const guint area = r->wet->len;
  for(guint k = 0; k < area; k++) _look_around(r, g_array_index(r->wet, int, k));
  /* a bound for work that would not show: with slopes so gentle the water is level enough */
  const float level = _rise(r, area + 16 * MIN(area, 1u << 24) + 4096);
  for(guint k = 0; k < r->wet->len; k++)
  {
    const int at = g_array_index(r->wet, int, k);
    r->seen[at] = 0;
    r->logits->values[at] = r->specks ? -level : MAX(level, 1e-3f);
  }
  for(guint k = 0; k < r->rim->len; k++) r->seen[g_array_index(r->rim, _rim_t, k).at] = 0;
}

/* --- which ones --- */

static int _find_largest(const _regions_t *r)
{
  int largest = -1;
  for(int i = 0; i < (int)r->runs->len; i++)
  {
    const _piece_run_t *run = _run_at(r, i);
    if(run->parent == i && run->inside && (largest < 0 || run->area > _run_at(r, largest)->area)) largest = i;
  }
  return largest;
}

static gboolean _flood_all(_regions_t *r, double area, GCancellable *cancellable)
{
  const int kept = r->specks && area < 0 ? _find_largest(r) : -1;
  for(int i = 0; i < (int)r->runs->len; i++)
  {
    const _piece_run_t *run = _run_at(r, i);
    if(run->parent != i || run->inside != r->specks || i == kept) continue;
    if((!r->specks && run->at_border) || (area >= 0 && run->area > area)) continue;
    if(g_cancellable_is_cancelled(cancellable)) return FALSE;
    _flood(r, i);
  }
  return TRUE;
}

static gboolean _clean(const dt_seg_job_t *job, dt_seg_plane_t *logits, gboolean specks, double area)
{
  _regions_t r = { .logits = logits, .specks = specks };
  r.seen = g_try_malloc0((size_t)logits->width * (size_t)logits->height);
  if(!r.seen) return FALSE;
  r.runs = g_array_new(FALSE, FALSE, sizeof(_piece_run_t));
  r.wet = g_array_new(FALSE, FALSE, sizeof(int));
  r.rim = g_array_new(FALSE, FALSE, sizeof(_rim_t));
  const gboolean ok = _find_pieces(&r, job->cancellable) && _flood_all(&r, area, job->cancellable);
  g_array_unref(r.runs);
  g_array_unref(r.wet);
  g_array_unref(r.rim);
  g_free(r.seen);
  return ok;
}

gboolean dt_seg_fill_holes(const dt_seg_job_t *job, dt_seg_plane_t *logits, double area)
{
  return _clean(job, logits, FALSE, area);
}

gboolean dt_seg_remove_specks(const dt_seg_job_t *job, dt_seg_plane_t *logits, double area)
{
  return _clean(job, logits, TRUE, area);
}
