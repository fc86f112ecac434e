/* SPDX-License-Identifier: GPL-3.0-or-later */
/* mask: a photograph and what is meant on it in, masks of it out. Everything that can be found out before the picture is
 * encoded is: encoding is what takes long. */
#include "cli/mask_report.h"

#include <math.h>
#include <stdlib.h>

/* what edges may take beside the mask, whatever its size (ai/seg_edges.h) */
#define EDGES_BYTES ((guint64)250 << 20)
/* and for each pixel, when the edge is blurred by more than WIDE */
#define WIDE 3.2
#define WIDE_BYTES 2
/* a pixel of an outline that is compared with its mask; of an overlay, and of each mask in it */
#define OUTLINE_BYTES sizeof(float)
#define OVERLAY_BYTES (3 + 2 * sizeof(float))

/* One run of the command. */
typedef struct _run_t
{
  dt_cli_mask_t *m;
  dt_ai_environment_t *env;
  dt_seg_context_t *seg;
  dt_photo_t *photo; /* until it goes into the object */
  dt_object_t *object;
  dt_overlay_t *overlay; /* of all subjects, or NULL */
  dt_provenance_t stamp;
} _run_t;

/* --- before anything is computed --- */

static gboolean _claim(GHashTable *claimed, const char *path, GError **error)
{
  if(g_hash_table_add(claimed, g_canonicalize_filename(path, NULL))) return TRUE;
  g_set_error(error, DT_AI_ERROR, DT_AI_ERROR_USAGE, "%s: two outputs go there. Give each a name of its own.",
              path);
  return FALSE;
}

static gboolean _check_output(const _run_t *run, const dt_mask_output_t *output, GHashTable *claimed,
                              GError **error)
{
  return _claim(claimed, output->path, error) && dt_mask_job_foresee(&run->m->job, run->photo, output, error);
}

static gboolean _check_subject(const _run_t *run, const dt_mask_subject_t *subject, GHashTable *claimed,
                               GError **error)
{
  if(!dt_mask_subject_check(subject, run->photo, error)) return FALSE;
  gboolean ok = TRUE;
  for(guint i = 0; i < subject->outputs->len && ok && !run->m->list_candidates; i++)
    ok = _check_output(run, subject->outputs->pdata[i], claimed, error);
  return ok;
}

static gboolean _check_subjects(const _run_t *run, GError **error)
{
  GHashTable *claimed = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
  const dt_mask_output_t overlay = { DT_MASK_OVERLAY, (char *)run->m->overlay };
  gboolean ok = !overlay.path || run->m->list_candidates || _check_output(run, &overlay, claimed, error);
  for(guint i = 0; i < run->m->subjects->len && ok; i++)
    ok = _check_subject(run, run->m->subjects->pdata[i], claimed, error);
  g_hash_table_unref(claimed);
  return ok;
}

static gboolean _has_output(const _run_t *run, dt_mask_kind_t kind)
{
  for(guint i = 0; i < run->m->subjects->len; i++)
  {
    const GPtrArray *outputs = ((const dt_mask_subject_t *)run->m->subjects->pdata[i])->outputs;
    for(guint k = 0; k < outputs->len; k++)
      if(((const dt_mask_output_t *)outputs->pdata[k])->kind == kind) return TRUE;
  }
  return FALSE;
}

/* Of the overlay, which stays until the end. */
static guint64 _count_overlay(const _run_t *run, guint64 pixels)
{
  const guint64 side = (guint64)run->m->overlay_size;
  if(!run->m->overlay && !_has_output(run, DT_MASK_OVERLAY)) return 0;
  const guint64 drawn = side ? MIN(pixels, side * side) : pixels;
  return drawn * (OVERLAY_BYTES + (run->m->overlay ? run->m->subjects->len : 1));
}

/* The photograph, the mask, and what edges or outlines take, one after the other; the network has its own. */
static gboolean _check_memory(const _run_t *run, GError **error)
{
  const guint64 pixels = (guint64)run->photo->width * (guint64)run->photo->height;
  const gboolean outlines = _has_output(run, DT_MASK_SVG) || _has_output(run, DT_MASK_PATHS);
  const guint64 edges = run->m->plain ? 0 : EDGES_BYTES + (run->m->feather > WIDE ? pixels * WIDE_BYTES : 0);
  const guint64 need = pixels * (3 + sizeof(float)) + MAX(edges, outlines ? pixels * OUTLINE_BYTES : 0)
                       + _count_overlay(run, pixels);
  if(!run->m->memory || need <= run->m->memory) return TRUE;
  g_set_error(
      error, DT_AI_ERROR, DT_AI_ERROR_MEMORY,
      "%s: masking %d×%d pixels takes %.0f MiB, and --memory allows %.0f MiB. Raise it, or make the picture "
      "smaller.",
      run->m->job.input, run->photo->width, run->photo->height, (double)need / 1048576,
      (double)run->m->memory / 1048576);
  return FALSE;
}

static gboolean _check_boxes(const _run_t *run, GError **error)
{
  gboolean any = FALSE;
  for(guint i = 0; i < run->m->subjects->len; i++)
  {
    const GArray *prompts = ((const dt_mask_subject_t *)run->m->subjects->pdata[i])->prompts;
    for(guint k = 0; k < prompts->len; k++) any |= g_array_index(prompts, dt_mask_prompt_t, k).is_box;
  }
  if(!any || dt_seg_supports_box(run->seg)) return TRUE;
  g_set_error(error, DT_AI_ERROR, DT_AI_ERROR_INPUT,
              "The model %s does not understand boxes. Give points, or choose a model of the SAM family with "
              "--model.",
              dt_seg_get_model_id(run->seg));
  return FALSE;
}

static gboolean _prepare(_run_t *run, GError **error)
{
  dt_cli_mask_t *m = run->m;
  if(!(run->photo = dt_photo_open(m->job.input, m->job.assume_profile, error))) return FALSE;
  if(!_check_subjects(run, error) || !_check_memory(run, error)) return FALSE;
  if(!(run->seg = dt_seg_load_ext(run->env, m->model, &m->load, error))) return FALSE;
  run->stamp = (dt_provenance_t){ .task = "mask",
                                  .model = dt_seg_get_model_id(run->seg),
                                  .model_hash = dt_seg_get_model_hash(run->seg),
                                  .strength = 100,
                                  .scale = 1,
                                  .version = DT_VERSION };
  m->job.provenance = &run->stamp;
  return _check_boxes(run, error);
}

/* --- the photograph --- */

static void _show_progress(double fraction, void *data)
{
  const _run_t *run = data;
  const dt_photo_t *p = run->photo;
  dt_cli_progress_update(fraction, 1e-6 * p->width * p->height, &run->m->progress);
}

static gboolean _encode(_run_t *run, GError **error)
{
  dt_cli_mask_t *m = run->m;
  const dt_object_opts_t opts = { .assume_profile = m->job.assume_profile,
                                  .no_cache = m->no_cache,
                                  .progress = _show_progress,
                                  .progress_data = run,
                                  .cancellable = m->job.cancellable };
  char *label = dt_cli_display_basename(m->job.input);
  dt_cli_progress_begin(&m->progress, label);
  run->object = dt_mask_job_open(&m->job, run->seg, run->photo, &opts, error);
  run->photo = NULL; /* whatever became of it */
  dt_cli_progress_end(&m->progress);
  g_free(label);
  if(run->object) dt_cli_mask_print_encoded(m, run->object, run->seg);
  return run->object != NULL;
}

/* --- masks --- */

static gboolean _choose(const _run_t *run, const dt_mask_subject_t *subject, const dt_seg_answer_t *answer,
                        GError **error)
{
  if(!subject->candidate || dt_object_choose(run->object, subject->candidate - 1)) return TRUE;
  g_set_error(error, DT_AI_ERROR, DT_AI_ERROR_USAGE,
              "The model gives %d candidate%s, and number %d was asked for. See what there is with "
              "--list-candidates.",
              answer->n, answer->n > 1 ? "s" : "", subject->candidate);
  return FALSE;
}

/* The mask with its edges (transfer full), and what it is like. */
static float *_make_mask(const _run_t *run, dt_cli_mask_result_t *r, GError **error)
{
  const dt_cli_mask_t *m = run->m;
  const dt_photo_t *p = dt_object_photo(run->object);
  const dt_seg_edges_t edges = dt_cli_mask_edges(m, p->width, p->height);
  const size_t n = (size_t)p->width * (size_t)p->height;
  double before, after;
  /* reading the photograph, which guided edges want, is counted by itself */
  dt_object_get_seconds(run->object, &before, NULL);
  const gint64 start = g_get_monotonic_time();
  float *mask = dt_object_mask(run->object, m->plain ? NULL : &edges, 0, 0, m->job.cancellable, error);
  dt_object_get_seconds(run->object, &after, NULL);
  r->finishing = 1e-6 * (double)(g_get_monotonic_time() - start) - (after - before);
  if(!mask) return NULL;
  for(size_t i = 0; i < n && r->subject->invert; i++) mask[i] = 1.0f - mask[i];
  dt_mask_measure(mask, p->width, p->height, &r->facts);
  return mask;
}

/* --- outputs --- */

static gboolean _add_to(const _run_t *run, dt_overlay_t *overlay, const float *mask, GError **error)
{
  dt_overlay_mask_t what = { .mask = mask };
  what.points = dt_object_get_points(run->object, &what.n_points);
  what.rough = dt_object_get_rough(run->object, &what.rough_width, &what.rough_height);
  return dt_overlay_add(overlay, &what, error);
}

static dt_overlay_t *_begin_overlay(const _run_t *run, GError **error)
{
  if(!dt_object_read_photo(run->object, run->m->job.cancellable, error)) return NULL;
  return dt_overlay_new(dt_object_photo(run->object), run->m->overlay_size, error);
}

static gboolean _write_overlay(const _run_t *run, const float *mask, const char *path, GError **error)
{
  dt_overlay_t *overlay = _begin_overlay(run, error);
  const gboolean ok = overlay && _add_to(run, overlay, mask, error)
                      && dt_mask_job_write_overlay(&run->m->job, overlay, path, error);
  dt_overlay_free(overlay);
  return ok;
}

static gboolean _write(const _run_t *run, const dt_mask_subject_t *subject, const float *mask,
                       const dt_mask_output_t *output, GError **error)
{
  const dt_photo_t *photo = dt_object_photo(run->object);
  double iou = -1;
  char *note = NULL;
  gboolean ok;
  if(output->kind == DT_MASK_OVERLAY)
    ok = _write_overlay(run, mask, output->path, error);
  else
    ok = (output->kind != DT_MASK_CUTOUT || !photo->is_raw
          || dt_object_read_photo(run->object, run->m->job.cancellable, error))
         && dt_mask_job_write(&run->m->job, photo, mask, output, &iou, &note, error);
  if(ok) dt_cli_mask_print_output(run->m, subject, output, iou, note);
  g_free(note);
  return ok;
}

static gboolean _write_all(_run_t *run, const dt_mask_subject_t *subject, const float *mask, GError **error)
{
  gboolean ok = TRUE;
  for(guint i = 0; i < subject->outputs->len && ok; i++)
    ok = _write(run, subject, mask, subject->outputs->pdata[i], error);
  if(!ok || !run->m->overlay) return ok;
  if(!run->overlay && !(run->overlay = _begin_overlay(run, error))) return FALSE;
  return _add_to(run, run->overlay, mask, error);
}

static gboolean _mask_subject(_run_t *run, const dt_mask_subject_t *subject, GError **error)
{
  dt_cli_mask_result_t r = { .subject = subject };
  GCancellable *cancellable = run->m->job.cancellable;
  dt_object_clear(run->object);
  if(!dt_mask_subject_apply(subject, run->object, cancellable, error)) return FALSE;
  const gint64 start = g_get_monotonic_time();
  if(!(r.answer = dt_object_answer(run->object, cancellable, error))) return FALSE;
  r.deciding = 1e-6 * (double)(g_get_monotonic_time() - start);
  if(run->m->list_candidates)
  {
    dt_cli_mask_print_candidates(run->m, &r);
    return TRUE;
  }
  if(!_choose(run, subject, r.answer, error)) return FALSE;
  r.candidate = dt_object_get_candidate(run->object);
  float *mask = _make_mask(run, &r, error);
  if(mask) dt_cli_mask_print_mask(run->m, run->object, run->seg, &r);
  const gboolean ok = mask && _write_all(run, subject, mask, error);
  free(mask);
  return ok;
}

static gboolean _finish_overlay(const _run_t *run, GError **error)
{
  const dt_mask_output_t output = { DT_MASK_OVERLAY, (char *)run->m->overlay };
  if(!run->overlay) return TRUE;
  if(!dt_mask_job_write_overlay(&run->m->job, run->overlay, output.path, error)) return FALSE;
  dt_cli_mask_print_output(run->m, NULL, &output, -1, NULL);
  return TRUE;
}

/* --- the command --- */

static gboolean _run_all(_run_t *run, GError **error)
{
  if(!_prepare(run, error)) return FALSE;
  if(dt_ai_runtime_warning()) dt_cli_say("%s", dt_ai_runtime_warning());
  if(run->m->dry_run)
  {
    /* where it would run shows when it is opened */
    if(!dt_seg_prepare(run->seg, run->m->job.cancellable, error)) return FALSE;
    dt_cli_mask_print_plan(run->m, run->photo, run->seg);
    return TRUE;
  }
  gboolean ok = _encode(run, error);
  for(guint i = 0; i < run->m->subjects->len && ok; i++)
    ok = _mask_subject(run, run->m->subjects->pdata[i], error);
  return ok && _finish_overlay(run, error);
}

static void _cleanup(_run_t *run)
{
  dt_overlay_free(run->overlay);
  dt_object_free(run->object);
  dt_photo_free(run->photo);
  dt_seg_free(run->seg);
  dt_ai_env_destroy(run->env);
  dt_cli_mask_clear(run->m);
}

static int _mask(int argc, char **argv)
{
  int code = DT_EXIT_OK;
  dt_cli_mask_t m;
  if(!dt_cli_mask_parse(argc, argv, &m, &code)) return code;
  _run_t run = { .m = &m, .env = dt_ai_env_init(NULL) };
  GError *error = NULL;
  if(!run.env)
    code = dt_cli_fail(g_error_copy(dt_ai_last_error()));
  else
  {
    /* --provider auto wins over a setting that names one */
    if(m.provider_given) dt_ai_env_set_provider(run.env, m.load.provider);
    if(!_run_all(&run, &error)) code = dt_cli_mask_fail(&m, error);
  }
  _cleanup(&run);
  return code;
}

const dt_cli_command_t dt_cli_cmd_mask = { "mask", "mask what a click means on a photograph", _mask };
