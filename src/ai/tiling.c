/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Tile plans. Every grid up to a generous limit is tried; the cheapest that fits wins. */
#include "ai/tiling.h"

#include <string.h>

/* plans that compute at most this much more than the best count as equally good */
#define NEARLY_BEST 1.03

const int dt_tile_ladder[] = { 2048, 1536, 1024, 768, 512, 384, 256, 0 };

static int _divide_up(int a, int b)
{
  return (a + b - 1) / b;
}

static int _round_up(int a, int b)
{
  return _divide_up(a, b) * b;
}

int dt_tile_mirror(int i, int n)
{
  if(n == 1) return 0;
  const int period = 2 * (n - 1);
  i %= period;
  if(i < 0) i += period;
  return i < n ? i : period - i;
}

int dt_tile_next_smaller(const dt_tile_plan_t *plan)
{
  const int side = MAX(plan->window_w, plan->window_h);
  for(const int *step = dt_tile_ladder; *step; step++)
    if(*step < side) return *step;
  return 0;
}

/* Input rows that must be at hand: those of the band in work and of every band whose windows may
 * still be waiting in a slot, with the halo above and below. */
static int _band_rows(const dt_tile_request_t *r, int cols, int core_h)
{
  const int64_t rows = (int64_t)core_h * (1 + _divide_up(r->slots, cols)) + 2 * (int64_t)r->halo;
  return (int)MIN(rows, (int64_t)r->height + 2 * r->halo);
}

static void _fill_plan(const dt_tile_request_t *r, int core_w, int core_h, dt_tile_plan_t *plan)
{
  plan->core_w = core_w;
  plan->core_h = core_h;
  plan->halo = r->halo;
  plan->window_w = core_w + 2 * r->halo;
  plan->window_h = core_h + 2 * r->halo;
  plan->cols = _divide_up(r->width, core_w);
  plan->rows = _divide_up(r->height, core_h);
  plan->band_rows = _band_rows(r, plan->cols, core_h);
  const int64_t window = (int64_t)plan->window_w * plan->window_h;
  plan->computed = window * plan->cols * plan->rows;
  const double tiles = (double)window * (r->pixel_bytes * r->runs + (double)r->slot_pixel_bytes * r->slots);
  const double bands = (double)r->width
                       * ((double)plan->band_rows * (double)r->row_sample_bytes
                          + (double)(core_h + 2 * r->halo) * (double)r->out_sample_bytes);
  plan->memory = r->fixed_bytes + (size_t)(tiles + bands);
}

/* Fewer pixels win; among plans that are good @p enough the one that needs less memory does. That saves
 * a fifth of the memory, and keeps it nearly the same whatever the height of the picture. */
static gboolean _is_better(const dt_tile_plan_t *a, const dt_tile_plan_t *b, int64_t enough)
{
  if(a->computed <= enough && b->computed <= enough) return a->memory < b->memory;
  return a->computed < b->computed;
}

static gboolean _plan_fixed(const dt_tile_request_t *r, dt_tile_plan_t *plan, GError **error)
{
  const int core_w = r->fixed_w - 2 * r->halo, core_h = r->fixed_h - 2 * r->halo;
  if(core_w < 1 || core_h < 1)
  {
    g_set_error(error, DT_AI_ERROR, DT_AI_ERROR_NO_MODEL,
                "The model's fixed window of %d×%d pixels is too small for an overlap of %d on each "
                "side.",
                r->fixed_w, r->fixed_h, r->halo);
    return FALSE;
  }
  _fill_plan(r, core_w, core_h, plan);
  return TRUE;
}

/* The fewest cores along @p n pixels that are smaller than @p core; all counts in between would give
 * the same core again. */
static int _next_count(int n, int core, int stride)
{
  return core > stride ? _divide_up(n, core - stride) : G_MAXINT;
}

/* All grids of equal cores: n columns and m rows, each count giving one core size. Counts beyond
 * those of a 256 window with this halo cannot help. */
static gboolean _search(const dt_tile_request_t *r, int64_t enough, dt_tile_plan_t *best,
                        dt_tile_plan_t *smallest)
{
  const int most = (r->max_side - 2 * r->halo) / r->stride * r->stride;
  if(most < r->stride) return FALSE;
  const int least = CLAMP(256 - 2 * r->halo, r->stride, most);
  const int max_cols = _divide_up(r->width, least), max_rows = _divide_up(r->height, least);
  dt_tile_plan_t plan = { 0 };
  gboolean found = FALSE;
  for(int cols = _divide_up(r->width, most); cols <= max_cols;
      cols = _next_count(r->width, plan.core_w, r->stride))
    for(int rows = _divide_up(r->height, most); rows <= max_rows;
        rows = _next_count(r->height, plan.core_h, r->stride))
    {
      _fill_plan(r, _round_up(_divide_up(r->width, cols), r->stride),
                 _round_up(_divide_up(r->height, rows), r->stride), &plan);
      if(!smallest->memory || plan.memory < smallest->memory) *smallest = plan;
      if(plan.memory > r->budget) continue;
      if(!found || _is_better(&plan, best, enough)) *best = plan;
      found = TRUE;
    }
  return found;
}

static gboolean _plan_free(const dt_tile_request_t *r, dt_tile_plan_t *plan, dt_tile_plan_t *smallest)
{
  return _search(r, 0, plan, smallest)
         && _search(r, (int64_t)((double)plan->computed * NEARLY_BEST), plan, smallest);
}

gboolean dt_tile_plan(const dt_tile_request_t *r, dt_tile_plan_t *plan, GError **error)
{
  dt_tile_plan_t smallest;
  memset(&smallest, 0, sizeof smallest);
  gboolean fits;
  if(r->fixed_w && r->fixed_h)
  {
    if(!_plan_fixed(r, plan, error)) return FALSE;
    smallest = *plan;
    fits = plan->memory <= r->budget;
  }
  else
    fits = _plan_free(r, plan, &smallest);
  if(!fits && smallest.memory)
    g_set_error(error, DT_AI_ERROR, DT_AI_ERROR_MEMORY,
                "The picture does not fit the memory budget of %.0f MiB: the smallest tiles need "
                "%.0f MiB. Allow more with --memory, or close other programs.",
                (double)r->budget / 1048576.0, (double)smallest.memory / 1048576.0);
  else if(!fits)
    g_set_error(error, DT_AI_ERROR, DT_AI_ERROR_MEMORY,
                "The model looks %d pixels far, so windows of at most %d pixels leave no room for a "
                "core. Allow larger tiles.",
                r->halo, r->max_side);
  return fits;
}
