/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The object mask tool. Every prompt is a step; a step knows what the model went on from when it was added, so that
 * taking the last one back leads to exactly what was there before it. */
#include "develop/masks/object.h"
#include "ai/seg_cache.h"
#include "common/log.h"
#include "common/memory.h"
#include "imageio/imageio.h"

#include <stdlib.h>
#include <string.h>

/* changes when pictures are shown to encoders in another way, so that what was kept of the old one is not found */
#define RENDERING "photo 2"

/* What a question goes on from: an earlier answer, or a rough mask, or nothing. */
typedef struct _start_t
{
  GBytes *previous;
  GBytes *rough;
  int width, height; /* of the rough mask */
} _start_t;

typedef struct _step_t
{
  int n_points; /* 0: a rough mask, 2: a box */
  int chosen;   /* candidate, -1: the best */
  _start_t start;
} _step_t;

struct dt_object_t
{
  dt_seg_context_t *seg;
  dt_photo_t *photo;
  gboolean cached;
  double reading, encoding; /* seconds */

  GArray *steps;           /* of _step_t */
  GArray *points;          /* of dt_seg_point_t, of all steps */
  dt_seg_answer_t *answer; /* to all of them; NULL: not asked yet */
};

/* --- opening --- */

static double _now(void)
{
  return 1e-6 * (double)g_get_monotonic_time();
}

/* What the encoded picture is called in the cache (transfer full); NULL: it is not looked for there. The standard input
 * is no file, though one of its name may be there. */
static char *_get_key(const char *path, const dt_object_opts_t *opts)
{
  const gboolean is_file = path && strcmp(path, DT_IMAGEIO_STREAM) != 0;
  char *content = is_file && !opts->no_cache && !opts->assume_profile ? dt_seg_cache_key(path, NULL) : NULL;
  if(!content) return NULL;
  char *text = g_strconcat(content, " ", RENDERING, NULL);
  char *key = g_compute_checksum_for_string(G_CHECKSUM_SHA256, text, -1);
  g_free(text);
  g_free(content);
  return key;
}

static gboolean _recall(dt_object_t *self, const char *key)
{
  int width, height;
  if(!key || !dt_seg_recall(self->seg, key)) return FALSE;
  if(dt_seg_get_size(self->seg, &width, &height) && width == self->photo->width
     && height == self->photo->height)
    return TRUE;
  dt_seg_reset_encoding(self->seg);
  return FALSE;
}

/* Keeps the encoded picture, if the file is still the one that was read. Nobody needs to fail for it. */
static void _remember(dt_object_t *self, const char *key, const char *path, const dt_object_opts_t *opts)
{
  GError *error = NULL;
  char *now = key ? _get_key(path, opts) : NULL;
  if(now && strcmp(now, key) == 0 && !dt_seg_remember(self->seg, key, &error))
  {
    dt_log(DT_LOG_AI, "the encoded picture is not kept: %s", error->message);
    g_error_free(error);
  }
  g_free(now);
}

static gboolean _encode(dt_object_t *self, const dt_object_opts_t *opts, GError **error)
{
  if(!dt_object_read_photo(self, opts->cancellable, error)) return FALSE;
  const double start = _now();
  dt_row_source_t *rows = dt_photo_rows(self->photo);
  dt_seg_set_gate(self->seg, opts->gate);
  const gboolean ok =
      dt_seg_encode(self->seg, rows, opts->progress, opts->progress_data, opts->cancellable, error);
  dt_seg_set_gate(self->seg, NULL);
  dt_row_source_destroy(rows);
  self->encoding = _now() - start;
  return ok;
}

dt_object_t *dt_object_open_photo(const dt_seg_context_t *seg, dt_photo_t *photo, const char *path,
                                  const dt_object_opts_t *opts, GError **error)
{
  const dt_object_opts_t defaults = { 0 };
  const dt_object_opts_t *o = opts ? opts : &defaults;
  dt_object_t *self = g_new0(dt_object_t, 1);
  self->seg = dt_seg_fork(seg);
  self->photo = photo;
  self->steps = g_array_new(FALSE, TRUE, sizeof(_step_t));
  self->points = g_array_new(FALSE, TRUE, sizeof(dt_seg_point_t));
  char *key = _get_key(path, o);
  self->cached = _recall(self, key);
  const gboolean ok = self->cached || _encode(self, o, error);
  if(ok && !self->cached) _remember(self, key, path, o);
  g_free(key);
  if(!ok) g_clear_pointer(&self, dt_object_free);
  return self;
}

dt_object_t *dt_object_open(const dt_seg_context_t *seg, const char *path, const dt_object_opts_t *opts,
                            GError **error)
{
  dt_photo_t *photo = dt_photo_open(path, opts ? opts->assume_profile : NULL, error);
  return photo ? dt_object_open_photo(seg, photo, path, opts, error) : NULL;
}

void dt_object_free(dt_object_t *self)
{
  if(!self) return;
  dt_object_clear(self);
  g_array_free(self->steps, TRUE);
  g_array_free(self->points, TRUE);
  dt_seg_free(self->seg);
  dt_photo_free(self->photo);
  g_free(self);
}

const dt_photo_t *dt_object_photo(const dt_object_t *self)
{
  return self->photo;
}

gboolean dt_object_read_photo(dt_object_t *self, GCancellable *cancellable, GError **error)
{
  const double start = _now();
  if(self->photo->rgb) return TRUE;
  const gboolean ok = dt_photo_read(self->photo, cancellable, error);
  self->reading += _now() - start;
  return ok;
}

gboolean dt_object_was_cached(const dt_object_t *self)
{
  return self->cached;
}

void dt_object_get_seconds(const dt_object_t *self, double *reading, double *encoding)
{
  if(reading) *reading = self->reading;
  if(encoding) *encoding = self->encoding;
}

/* --- prompts --- */

static _step_t *_get_last(const dt_object_t *self)
{
  return self->steps->len ? &g_array_index(self->steps, _step_t, self->steps->len - 1) : NULL;
}

static void _forget_answer(dt_object_t *self)
{
  g_clear_pointer(&self->answer, dt_seg_answer_free);
}

static void _clear_start(_start_t *start)
{
  g_clear_pointer(&start->previous, g_bytes_unref);
  g_clear_pointer(&start->rough, g_bytes_unref);
}

/* What a step added now goes on from: the answer, if there is one, else what the step before it went on from. */
static _start_t _get_start(const dt_object_t *self)
{
  _start_t start = { 0 };
  const _step_t *last = _get_last(self);
  if(self->answer)
    start.previous = dt_seg_save_prev_mask(self->seg);
  else if(last)
  {
    start = last->start;
    if(start.previous) g_bytes_ref(start.previous);
    if(start.rough) g_bytes_ref(start.rough);
  }
  return start;
}

static void _add_step(dt_object_t *self, int n_points, _start_t start)
{
  const _step_t *last = _get_last(self);
  const _step_t step = { n_points, last ? last->chosen : -1, start };
  g_array_append_val(self->steps, step);
  _forget_answer(self);
}

gboolean dt_object_check_place(const dt_photo_t *photo, double x, double y, GError **error)
{
  if(x >= -0.5 && y >= -0.5 && x <= photo->width - 0.5 && y <= photo->height - 0.5) return TRUE;
  g_set_error(
      error, DT_AI_ERROR, DT_AI_ERROR_INPUT,
      "(%g, %g) is outside the picture, which has %d×%d pixels. Choose a place from (0, 0) to (%d, %d).", x,
      y, photo->width, photo->height, photo->width - 1, photo->height - 1);
  return FALSE;
}

static gboolean _check_count(const dt_object_t *self, guint more, GError **error)
{
  if(self->points->len + more <= DT_SEG_MAX_POINTS) return TRUE;
  g_set_error(error, DT_AI_ERROR, DT_AI_ERROR_USAGE,
              "There are %u points already. Leave some out: a model takes %d at most.", self->points->len,
              DT_SEG_MAX_POINTS);
  return FALSE;
}

static void _append_point(dt_object_t *self, double x, double y, int label)
{
  const dt_seg_point_t point = { (float)x, (float)y, label };
  g_array_append_val(self->points, point);
}

gboolean dt_object_add_point(dt_object_t *self, double x, double y, gboolean foreground, GError **error)
{
  if(!dt_object_check_place(self->photo, x, y, error) || !_check_count(self, 1, error)) return FALSE;
  _append_point(self, x, y, foreground ? DT_SEG_FOREGROUND : DT_SEG_BACKGROUND);
  _add_step(self, 1, _get_start(self));
  return TRUE;
}

gboolean dt_object_add_box(dt_object_t *self, double x0, double y0, double x1, double y1, GError **error)
{
  if(!dt_object_check_place(self->photo, x0, y0, error) || !dt_object_check_place(self->photo, x1, y1, error)
     || !_check_count(self, 2, error))
    return FALSE;
  if(!dt_seg_supports_box(self->seg))
  {
    g_set_error(error, DT_AI_ERROR, DT_AI_ERROR_INPUT,
                "The model %s does not understand boxes. Give points, or choose a model of the SAM family.",
                dt_seg_get_model_id(self->seg));
    return FALSE;
  }
  _append_point(self, MIN(x0, x1), MIN(y0, y1), DT_SEG_BOX_TOP_LEFT);
  _append_point(self, MAX(x0, x1), MAX(y0, y1), DT_SEG_BOX_BOTTOM_RIGHT);
  _add_step(self, 2, _get_start(self));
  return TRUE;
}

gboolean dt_object_set_rough(dt_object_t *self, const float *rough, int width, int height, GError **error)
{
  if(width < 1 || height < 1)
  {
    g_set_error(error, DT_AI_ERROR, DT_AI_ERROR_INPUT,
                "A rough mask of %d×%d pixels says nothing. Choose another.", width, height);
    return FALSE;
  }
  const gsize bytes = (gsize)width * (gsize)height * sizeof(float);
  const _start_t start = { .rough = g_bytes_new(rough, bytes), .width = width, .height = height };
  _add_step(self, 0, start);
  return TRUE;
}

gboolean dt_object_undo(dt_object_t *self)
{
  _step_t *last = _get_last(self);
  if(!last) return FALSE;
  g_array_set_size(self->points, self->points->len - (guint)last->n_points);
  _clear_start(&last->start);
  g_array_set_size(self->steps, self->steps->len - 1);
  _forget_answer(self);
  return TRUE;
}

void dt_object_clear(dt_object_t *self)
{
  while(dt_object_undo(self))
    ;
}

int dt_object_count(const dt_object_t *self)
{
  return (int)self->steps->len;
}

const dt_seg_point_t *dt_object_get_points(const dt_object_t *self, int *n)
{
  *n = (int)self->points->len;
  return (const dt_seg_point_t *)(const void *)self->points->data;
}

const float *dt_object_get_rough(const dt_object_t *self, int *width, int *height)
{
  for(guint i = self->steps->len; i-- > 0;)
  {
    const _start_t *start = &g_array_index(self->steps, _step_t, i).start;
    if(!start->rough) continue;
    *width = start->width;
    *height = start->height;
    return g_bytes_get_data(start->rough, NULL);
  }
  return NULL;
}

/* --- answers --- */

/* The next question goes on from the candidate that counts. */
static void _tell_choice(const dt_object_t *self)
{
  dt_seg_choose(self->seg, dt_object_get_candidate(self));
}

const dt_seg_answer_t *dt_object_answer(dt_object_t *self, GCancellable *cancellable, GError **error)
{
  const _step_t *last = _get_last(self);
  if(self->answer) return self->answer;
  const _start_t start = last ? last->start : (_start_t){ 0 };
  dt_seg_prompts_t prompts = { .fresh = !start.previous };
  prompts.points = dt_object_get_points(self, &prompts.n_points);
  if(start.rough)
  {
    prompts.rough = g_bytes_get_data(start.rough, NULL);
    prompts.rough_width = start.width;
    prompts.rough_height = start.height;
  }
  dt_seg_restore_prev_mask(self->seg, start.previous);
  self->answer = dt_seg_answer(self->seg, &prompts, cancellable, error);
  if(self->answer) _tell_choice(self);
  return self->answer;
}

gboolean dt_object_choose(dt_object_t *self, int candidate)
{
  _step_t *last = _get_last(self);
  if(!last || !self->answer || candidate < -1 || candidate >= self->answer->n) return FALSE;
  last->chosen = candidate;
  _tell_choice(self);
  return TRUE;
}

int dt_object_get_candidate(const dt_object_t *self)
{
  const _step_t *last = _get_last(self);
  if(!self->answer || !last) return -1;
  return last->chosen >= 0 && last->chosen < self->answer->n ? last->chosen : self->answer->best;
}

static gboolean _make_mask(dt_object_t *self, const dt_seg_edges_t *edges, float *mask, int width, int height,
                           GCancellable *cancellable, GError **error)
{
  const int candidate = dt_object_get_candidate(self);
  if(!edges) return dt_seg_answer_to_mask(self->answer, candidate, mask, width, height, error);
  if(edges->guided && !dt_object_read_photo(self, cancellable, error)) return FALSE;
  const dt_photo_t *p = self->photo;
  const dt_seg_guide_t guide = { p->rgb, 3 * (size_t)p->width, p->width, p->height };
  const dt_seg_logits_t logits = dt_seg_answer_logits(self->answer, candidate);
  return dt_seg_make_mask(&logits, p->rgb ? &guide : NULL, edges, mask, width, height, cancellable, error);
}

float *dt_object_mask(dt_object_t *self, const dt_seg_edges_t *edges, int width, int height,
                      GCancellable *cancellable, GError **error)
{
  if(!dt_object_answer(self, cancellable, error)) return NULL;
  if(width < 1) width = self->photo->width;
  if(height < 1) height = self->photo->height;
  float *mask = dt_memory_try_large((size_t)width * (size_t)height, sizeof(float));
  if(!mask)
    g_set_error(error, DT_AI_ERROR, DT_AI_ERROR_MEMORY,
                "There is no memory for a mask of %d×%d pixels. Close other programs, or make the picture "
                "smaller.",
                width, height);
  if(mask && !_make_mask(self, edges, mask, width, height, cancellable, error)) g_clear_pointer(&mask, free);
  return mask;
}
