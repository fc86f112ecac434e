/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What mask prints: plans, candidates, masks, outputs, failures; in words or as JSON, one object a line. */
#include "cli/mask_report.h"

#include <math.h>
#include <stdio.h>

static const char *const _kinds[DT_MASK_KINDS] = {
  [DT_MASK_PICTURE] = "mask",  [DT_MASK_SVG] = "svg",         [DT_MASK_PATHS] = "paths",
  [DT_MASK_CUTOUT] = "cutout", [DT_MASK_OVERLAY] = "overlay",
};

/* --- words --- */

/* What is done with edges (transfer full). */
static char *_describe_edges(const dt_cli_mask_t *m, int width, int height)
{
  const dt_seg_edges_t e = dt_cli_mask_edges(m, width, height);
  GString *text = g_string_new(NULL);
  if(m->plain) return g_string_free(g_string_append(text, "as the model has them"), FALSE);
  g_string_append(text, e.guided ? "guided by the photograph" : "");
  if(e.holes != 0) g_string_append(text, ", holes filled");
  if(e.holes > 0) g_string_append_printf(text, " up to %.0f px", e.holes);
  if(e.specks < 0) g_string_append(text, ", all pieces but the largest removed");
  if(e.specks > 0) g_string_append_printf(text, ", specks removed up to %.0f px", e.specks);
  if(e.grow != 0)
    g_string_append_printf(text, ", %s by %g px", e.grow > 0 ? "grown" : "shrunk", fabs(e.grow));
  if(e.feather > 0) g_string_append_printf(text, ", feathered by %g px", e.feather);
  if(g_str_has_prefix(text->str, ", ")) g_string_erase(text, 0, 2);
  if(!text->len) g_string_append(text, "as the model has them");
  return g_string_free(text, FALSE);
}

/* "photo.jpg", or of several objects "photo.jpg, bird" (transfer full). */
static char *_describe_subject(const dt_cli_mask_t *m, const dt_mask_subject_t *subject)
{
  return subject->name ? g_strdup_printf("%s, %s", m->job.input, subject->name) : g_strdup(m->job.input);
}

static void _print_number(const char *name, double value, int digits)
{
  if(isfinite(value))
    printf(",\"%s\":%.*f", name, digits, value);
  else
    printf(",\"%s\":null", name);
}

static void _print_text(const char *name, const char *text)
{
  printf(",\"%s\":", name);
  if(text)
    dt_cli_print_json_string(text);
  else
    fputs("null", stdout);
}

static void _begin(const dt_cli_mask_t *m, const char *event)
{
  printf("{\"schema_version\":1,\"event\":\"%s\"", event);
  _print_text("input", m->job.input);
}

static void _end(void)
{
  fputs("}\n", stdout);
  fflush(stdout);
}

static void _print_photo(const dt_photo_t *photo, const dt_seg_context_t *seg)
{
  printf(",\"width\":%d,\"height\":%d,\"orientation\":%d", photo->width, photo->height, photo->orientation);
  _print_text("model", dt_seg_get_model_id(seg));
  _print_text("provider", dt_ai_providers[dt_seg_get_provider(seg)].config_string);
  _print_text("fallback", dt_seg_get_fallback(seg));
}

/* --- plans --- */

static void _print_json_plan(const dt_cli_mask_t *m, const dt_photo_t *photo, const dt_seg_context_t *seg,
                             const char *edges)
{
  _begin(m, "plan");
  _print_photo(photo, seg);
  _print_text("edges", edges);
  fputs(",\"objects\":[", stdout);
  for(guint i = 0; i < m->subjects->len; i++)
  {
    const dt_mask_subject_t *s = m->subjects->pdata[i];
    printf("%s{\"prompts\":%u", i ? "," : "", s->prompts->len + (s->rough ? 1 : 0));
    _print_text("object", s->name);
    fputs(",\"outputs\":[", stdout);
    for(guint k = 0; k < s->outputs->len; k++)
    {
      if(k) putchar(',');
      dt_cli_print_json_string(((const dt_mask_output_t *)s->outputs->pdata[k])->path);
    }
    fputs("]}", stdout);
  }
  putchar(']');
  _print_text("overlay", m->overlay);
  _end();
}

void dt_cli_mask_print_plan(const dt_cli_mask_t *m, const dt_photo_t *photo, const dt_seg_context_t *seg)
{
  char *edges = _describe_edges(m, photo->width, photo->height);
  if(m->json)
    _print_json_plan(m, photo, seg, edges);
  else
  {
    printf("%s\n  picture   %d×%d, %.1f MP, upright\n", m->job.input, photo->width, photo->height,
           1e-6 * photo->width * photo->height);
    printf("  model     %s on %s\n  edges     %s\n", dt_seg_get_model_id(seg),
           dt_ai_provider_to_string(dt_seg_get_provider(seg)), edges);
    for(guint i = 0; i < m->subjects->len; i++)
    {
      const dt_mask_subject_t *s = m->subjects->pdata[i];
      for(guint k = 0; k < s->outputs->len; k++)
      {
        const dt_mask_output_t *output = s->outputs->pdata[k];
        printf("  %-9s %s%s%s\n", _kinds[output->kind], s->name ? s->name : "", s->name ? " -> " : "",
               output->path);
      }
    }
    if(m->overlay) printf("  %-9s %s\n", "overlay", m->overlay);
  }
  g_free(edges);
}

/* --- what was done --- */

void dt_cli_mask_print_encoded(const dt_cli_mask_t *m, const dt_object_t *object, const dt_seg_context_t *seg)
{
  double reading, encoding;
  if(!m->json) return;
  dt_object_get_seconds(object, &reading, &encoding);
  _begin(m, "encoded");
  _print_photo(dt_object_photo(object), seg);
  printf(",\"cached\":%s", dt_object_was_cached(object) ? "true" : "false");
  _print_number("read_seconds", reading, 3);
  _print_number("encode_seconds", encoding, 3);
  _end();
}

static void _print_json_candidate(const dt_cli_mask_t *m, const dt_cli_mask_result_t *r, int i)
{
  _begin(m, "candidate");
  _print_text("object", r->subject->name);
  printf(",\"candidate\":%d,\"best\":%s", i + 1, i == r->answer->best ? "true" : "false");
  _print_number("iou_predicted", (double)r->answer->iou[i], 4);
  _print_number("stability", (double)r->answer->stability[i], 4);
  _end();
}

void dt_cli_mask_print_candidates(const dt_cli_mask_t *m, const dt_cli_mask_result_t *r)
{
  if(!m->json && r->subject->name) printf("%s\n", r->subject->name);
  for(int i = 0; i < r->answer->n; i++)
  {
    if(m->json)
      _print_json_candidate(m, r, i);
    else if(isfinite(r->answer->iou[i]))
      printf("%d%s  IoU %.2f expected, stability %.2f\n", i + 1, i == r->answer->best ? " *" : "  ",
             (double)r->answer->iou[i], (double)r->answer->stability[i]);
    else
      printf("%d%s  stability %.2f\n", i + 1, i == r->answer->best ? " *" : "  ",
             (double)r->answer->stability[i]);
  }
}

static void _print_json_mask(const dt_cli_mask_t *m, const dt_object_t *object, const dt_cli_mask_result_t *r,
                             const char *edges)
{
  const dt_mask_facts_t *f = &r->facts;
  double reading;
  dt_object_get_seconds(object, &reading, NULL);
  _begin(m, "mask");
  _print_text("object", r->subject->name);
  printf(",\"candidate\":%d,\"candidates\":%d", r->candidate + 1, r->answer->n);
  _print_number("iou_predicted", (double)r->answer->iou[r->candidate], 4);
  _print_number("stability", (double)r->answer->stability[r->candidate], 4);
  printf(",\"area\":%.0f,\"share\":%.6f,\"bounding_box\":", f->area, f->share);
  if(f->left < 0)
    fputs("null", stdout);
  else
    printf("[%d,%d,%d,%d]", f->left, f->top, f->right, f->down);
  printf(",\"inverted\":%s", r->subject->invert ? "true" : "false");
  _print_text("edges", edges);
  _print_number("read_seconds", reading, 3);
  _print_number("decode_seconds", r->deciding, 4);
  _print_number("post_seconds", r->finishing, 4);
  _end();
}

/* "read 0.31 s, encoded 1.20 s", or that it need not be. */
static void _append_times(GString *text, const dt_object_t *object, const dt_cli_mask_result_t *r)
{
  double reading, encoding;
  dt_object_get_seconds(object, &reading, &encoding);
  if(reading > 0) g_string_append_printf(text, "read %.2f s, ", reading);
  if(dt_object_was_cached(object))
    g_string_append(text, "encoded earlier");
  else
    g_string_append_printf(text, "encoded %.2f s", encoding);
  g_string_append_printf(text, ", decoded %.2f s, edges %.2f s", r->deciding, r->finishing);
}

void dt_cli_mask_print_mask(const dt_cli_mask_t *m, const dt_object_t *object, const dt_seg_context_t *seg,
                            const dt_cli_mask_result_t *r)
{
  const dt_photo_t *photo = dt_object_photo(object);
  const dt_mask_facts_t *f = &r->facts;
  char *edges = _describe_edges(m, photo->width, photo->height), *what = _describe_subject(m, r->subject);
  if(m->json)
    _print_json_mask(m, object, r, edges);
  else
  {
    const double iou = (double)r->answer->iou[r->candidate];
    GString *text = g_string_new(NULL);
    g_string_printf(text, "%s: %s on %s, candidate %d of %d", what, dt_seg_get_model_id(seg),
                    dt_ai_provider_to_string(dt_seg_get_provider(seg)), r->candidate + 1, r->answer->n);
    if(isfinite(iou)) g_string_append_printf(text, ", IoU %.2f expected", iou);
    g_string_append_printf(text, ", stability %.2f", (double)r->answer->stability[r->candidate]);
    if(f->left >= 0)
      g_string_append_printf(text, "; %.3g %% of the picture, from (%d, %d) to (%d, %d)", 100 * f->share,
                             f->left, f->top, f->right, f->down);
    else
      g_string_append(text, "; the mask is empty: try other places, or another candidate");
    g_string_append_printf(text, "; edges %s; ", edges);
    _append_times(text, object, r);
    dt_cli_say("%s", text->str);
    g_string_free(text, TRUE);
  }
  g_free(what);
  g_free(edges);
}

void dt_cli_mask_print_output(const dt_cli_mask_t *m, const dt_mask_subject_t *subject,
                              const dt_mask_output_t *output, double iou, const char *note)
{
  if(note) dt_cli_say("%s: %s", output->path, note);
  if(!m->json)
  {
    if(!m->job.stream)
      printf("%s\n", output->path);
    else if(!dt_mask_output_is_stream(output)) /* that is for one picture alone */
      dt_cli_say("%s", output->path);
    fflush(stdout);
    if(iou >= 0) dt_cli_say("%s: the outline fits the mask with an IoU of %.4f", output->path, iou);
    return;
  }
  _begin(m, "done");
  _print_text("object", subject ? subject->name : NULL);
  _print_text("output", output->path);
  _print_text("kind", _kinds[output->kind]);
  if(iou >= 0) _print_number("outline_iou", iou, 6);
  _end();
}

int dt_cli_mask_fail(const dt_cli_mask_t *m, GError *error)
{
  const int code = dt_cli_exit_code(error);
  if(!m->json) return dt_cli_fail(error);
  _begin(m, "error");
  printf(",\"exit_code\":%d", code);
  _print_text("message", error->message);
  _end();
  g_error_free(error);
  return code;
}
