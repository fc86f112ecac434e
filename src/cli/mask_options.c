/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What mask can be asked for, on the command line. */
#include "cli/mask_options.h"
#include "common/conf.h"
#include "imageio/imageio.h"
#include "libs/output_template.h"

#include <math.h>
#include <string.h>

/* a number the user did not give */
#define UNSET G_MININT
/* specks and holes of so much of the picture, in percent, are mostly slips of the network */
#define SMALL_AREA "0.02%"
#define MAX_REACH 1000.0

static struct
{
  char **points, **boxes, **outputs, **cutouts;
  char *rough, *prompts, *overlay, *holes, *specks, *model, *provider, *memory, *assume, *progress;
  int candidate, bits, overlay_size, threads;
  double grow, feather;
  gboolean list_candidates, plain, guided, no_guided, invert, no_cache, overwrite, dry_run, json;
} _opt = {
  .candidate = UNSET, .bits = UNSET, .overlay_size = UNSET, .threads = UNSET, .grow = UNSET, .feather = UNSET
};

/* clang-format off */
static const GOptionEntry _entries[] = {
  { "point", 'p', 0, G_OPTION_ARG_STRING_ARRAY, &_opt.points,
    "a place on the object, or with ,- behind it beside the object; in pixels or percent (repeatable)", "X,Y[,-]" },
  { "box", 'b', 0, G_OPTION_ARG_STRING_ARRAY, &_opt.boxes, "a box around the object, by two corners (repeatable)",
    "X,Y,X,Y" },
  { "rough", 0, 0, G_OPTION_ARG_FILENAME, &_opt.rough,
    "a rough mask or scribble to begin with: white on black, of the whole picture, at any size", "FILE" },
  { "prompts", 0, 0, G_OPTION_ARG_FILENAME, &_opt.prompts, "several objects, from a JSON file (doc/masks.md)", "FILE" },
  { "output", 'o', 0, G_OPTION_ARG_FILENAME_ARRAY, &_opt.outputs,
    "a mask: .png .tif .pfm .exr; its outline: .svg .json; a directory; or - (default: {name}_mask.png)",
    "PATH" },
  { "cutout", 0, 0, G_OPTION_ARG_FILENAME_ARRAY, &_opt.cutouts, "the object alone, all else transparent: .png .tif .exr",
    "FILE" },
  { "overlay", 0, 0, G_OPTION_ARG_FILENAME, &_opt.overlay, "a picture to look at, with mask, outline and prompts",
    "FILE" },
  { "overlay-size", 0, 0, G_OPTION_ARG_INT, &_opt.overlay_size, "its longer side, 0 for the photograph's (default 1600)",
    "PIXELS" },
  { "candidate", 0, 0, G_OPTION_ARG_INT, &_opt.candidate, "take this of the model's answers, not the best", "N" },
  { "list-candidates", 0, 0, G_OPTION_ARG_NONE, &_opt.list_candidates, "print what the model answers, write nothing",
    NULL },
  { "invert", 0, 0, G_OPTION_ARG_NONE, &_opt.invert, "everything but the object", NULL },
  { "raw", 0, 0, G_OPTION_ARG_NONE, &_opt.plain, "the model's mask as it is, without any of the following", NULL },
  { "guided", 0, 0, G_OPTION_ARG_NONE, &_opt.guided, "let edges follow the photograph (default)", NULL },
  { "no-guided", 0, 0, G_OPTION_ARG_NONE, &_opt.no_guided, "do not", NULL },
  { "holes", 0, 0, G_OPTION_ARG_STRING, &_opt.holes,
    "fill holes up to so many pixels or percent of the picture, or all or none (default " SMALL_AREA ")", "AREA" },
  { "specks", 0, 0, G_OPTION_ARG_STRING, &_opt.specks,
    "remove separate pieces likewise; all: but the largest (default " SMALL_AREA ")", "AREA" },
  { "grow", 0, 0, G_OPTION_ARG_DOUBLE, &_opt.grow, "move the edge outwards, or inwards when negative", "PIXELS" },
  { "feather", 0, 0, G_OPTION_ARG_DOUBLE, &_opt.feather, "blur the edge by so much", "PIXELS" },
  { "bit-depth", 0, 0, G_OPTION_ARG_INT, &_opt.bits, "PNG: 8 (default), 16; TIFF: 8, 16 (default), 32; OpenEXR: 16, 32",
    "N" },
  { "assume-profile", 0, 0, G_OPTION_ARG_FILENAME, &_opt.assume, "read the input with this profile instead of its own",
    "PROFILE" },
  { "model", 0, 0, G_OPTION_ARG_STRING, &_opt.model, "use this model instead of the active one", "ID" },
  { "provider", 0, 0, G_OPTION_ARG_STRING, &_opt.provider, "encode on this execution provider or not at all", "P" },
  { "threads", 0, 0, G_OPTION_ARG_INT, &_opt.threads, "threads for the network", "N" },
  { "memory", 0, 0, G_OPTION_ARG_STRING, &_opt.memory, "refuse pictures that take more than this, e.g. 2G", "SIZE" },
  { "no-cache", 0, 0, G_OPTION_ARG_NONE, &_opt.no_cache, "neither look for the encoded picture on disk nor keep it",
    NULL },
  { "overwrite", 0, 0, G_OPTION_ARG_NONE, &_opt.overwrite, "replace existing outputs", NULL },
  { "dry-run", 0, 0, G_OPTION_ARG_NONE, &_opt.dry_run, "print the plan and write nothing", NULL },
  { "json", 0, 0, G_OPTION_ARG_NONE, &_opt.json, "print one JSON object per event", NULL },
  { "progress", 0, 0, G_OPTION_ARG_STRING, &_opt.progress, "auto (a bar on a terminal), bar, plain, json or none",
    "MODE" },
  { NULL, 0, 0, 0, NULL, NULL, NULL },
};
/* clang-format on */

static const char _examples[] =
    "Examples:\n"
    "  darktable-ai mask photo.jpg --point 50%,40%         writes photo_mask.png\n"
    "  darktable-ai mask photo.jpg --point 812,400 --point 90,40,- --overlay over.jpg\n"
    "  darktable-ai mask photo.nef --box 10,10,400,300 -o mask.tif -o mask.svg --cutout alone.png\n"
    "  darktable-ai mask photo.jpg --point 50%,40% --list-candidates\n"
    "  darktable-ai mask photo.jpg --prompts people.json --overlay over.jpg";

static gboolean _usage(GError **error, const char *format, ...) G_GNUC_PRINTF(2, 3);
static gboolean _usage(GError **error, const char *format, ...)
{
  va_list args;
  va_start(args, format);
  *error = g_error_new_valist(DT_AI_ERROR, DT_AI_ERROR_USAGE, format, args);
  va_end(args);
  return FALSE;
}

/* --- edges --- */

static gboolean _parse_area(const char *text, dt_cli_area_t *area)
{
  char *end = NULL;
  *area = (dt_cli_area_t){ 0 };
  if(strcmp(text, "none") == 0) return TRUE;
  area->value = -1;
  if(strcmp(text, "all") == 0) return TRUE;
  area->value = g_ascii_strtod(text, &end);
  area->percent = *end == '%';
  return end != text && end[area->percent ? 1 : 0] == '\0' && area->value >= 0 && isfinite(area->value);
}

static double _resolve_area(dt_cli_area_t area, int width, int height)
{
  return area.percent ? 0.01 * area.value * width * height : area.value;
}

dt_seg_edges_t dt_cli_mask_edges(const dt_cli_mask_t *m, int width, int height)
{
  return (dt_seg_edges_t){ .guided = m->guided,
                           .holes = _resolve_area(m->holes, width, height),
                           .specks = _resolve_area(m->specks, width, height),
                           .grow = m->grow,
                           .feather = m->feather,
                           .threads = m->load.threads };
}

static gboolean _parse_edges(dt_cli_mask_t *m, GError **error)
{
  const gboolean any =
      _opt.guided || _opt.holes || _opt.specks || _opt.grow != UNSET || _opt.feather != UNSET;
  if(_opt.guided && _opt.no_guided)
    return _usage(error, "--guided and --no-guided contradict each other; choose one.");
  if(_opt.plain && any)
    return _usage(error,
                  "--raw is the mask without any work on its edges; leave it out, or --guided, --holes, "
                  "--specks, --grow and --feather.");
  if(!_parse_area(_opt.holes ? _opt.holes : SMALL_AREA, &m->holes))
    return _usage(error, "--holes takes an area such as 300 (pixels), 0.1%%, all or none.");
  if(!_parse_area(_opt.specks ? _opt.specks : SMALL_AREA, &m->specks))
    return _usage(error, "--specks takes an area such as 300 (pixels), 0.1%%, all or none.");
  if(_opt.grow != UNSET && !(fabs(_opt.grow) <= MAX_REACH))
    return _usage(error, "--grow takes -1000 to 1000 pixels.");
  if(_opt.feather != UNSET && !(_opt.feather >= 0 && _opt.feather <= MAX_REACH))
    return _usage(error, "--feather takes 0 to 1000 pixels.");
  m->plain = _opt.plain;
  m->guided = !_opt.no_guided;
  m->grow = _opt.grow == UNSET ? 0 : _opt.grow;
  m->feather = _opt.feather == UNSET ? 0 : _opt.feather;
  return TRUE;
}

/* --- names --- */

/* DIR/photo_mask.png (transfer full); of one of several objects DIR/photo_NAME_mask.png. */
static char *_default_path(const char *dir, const char *input, const char *name)
{
  char *base = strcmp(input, DT_IMAGEIO_STREAM) == 0 ? g_strdup("stdin") : g_path_get_basename(input);
  char *dot = strrchr(base, '.');
  if(dot && dot != base) *dot = '\0';
  char *file = g_strconcat(base, name ? "_" : "", name ? name : "", "_mask.png", NULL);
  char *path = g_build_filename(dir, file, NULL);
  g_free(file);
  g_free(base);
  return path;
}

static gboolean _is_directory(const char *path)
{
  return g_file_test(path, G_FILE_TEST_IS_DIR) || g_str_has_suffix(path, G_DIR_SEPARATOR_S);
}

/* What -o names (transfer full). */
static char *_expand(const char *pattern, const char *input, GError **error)
{
  const dt_output_values_t values = { .input = input, .task = "mask", .ext = "png", .counter = 1 };
  if(strcmp(pattern, DT_IMAGEIO_STREAM) == 0) return g_strdup(pattern);
  if(!dt_output_template_is(pattern))
    return _is_directory(pattern) ? _default_path(pattern, input, NULL) : g_strdup(pattern);
  if(!dt_output_template_check(pattern, FALSE, error)) return NULL;
  return dt_output_template_expand(pattern, &values);
}

static gboolean _add_output(const char *pattern, const char *input, dt_mask_subject_t *subject,
                            GError **error)
{
  char *path = _expand(pattern, input, error);
  if(path) dt_mask_subject_add_output(subject, dt_mask_kind_for_name(path), path);
  g_free(path);
  return path != NULL;
}

static void _add_default(const char *dir, const char *input, dt_mask_subject_t *subject)
{
  char *own = dir ? g_strdup(dir) : g_path_get_dirname(input),
       *path = _default_path(own, input, subject->name);
  dt_mask_subject_add_output(subject, DT_MASK_PICTURE, path);
  g_free(path);
  g_free(own);
}

/* --- subjects --- */

static gboolean _parse_prompts(dt_mask_subject_t *subject, GError **error)
{
  dt_mask_prompt_t prompt;
  for(char **text = _opt.boxes; text && *text; text++)
  {
    if(!dt_mask_parse_box(*text, &prompt, error)) return FALSE;
    g_array_append_val(subject->prompts, prompt);
  }
  for(char **text = _opt.points; text && *text; text++)
  {
    if(!dt_mask_parse_point(*text, &prompt, error)) return FALSE;
    g_array_append_val(subject->prompts, prompt);
  }
  subject->rough = g_strdup(_opt.rough);
  return dt_mask_subject_has_prompts(subject)
         || _usage(error,
                   "Say what is meant: a place on the object (--point 50%%,40%%), a box around it (--box "
                   "10,10,400,300), a rough mask (--rough), or a file of these (--prompts).");
}

/* The object that the command line describes. */
static gboolean _describe_one(dt_cli_mask_t *m, GError **error)
{
  dt_mask_subject_t *subject = dt_mask_subject_new(NULL);
  g_ptr_array_add(m->subjects, subject);
  subject->candidate = _opt.candidate == UNSET ? 0 : _opt.candidate;
  subject->invert = _opt.invert;
  if(!_parse_prompts(subject, error)) return FALSE;
  for(char **path = _opt.outputs; path && *path; path++)
    if(!_add_output(*path, m->job.input, subject, error)) return FALSE;
  for(char **path = _opt.cutouts; path && *path; path++)
    dt_mask_subject_add_output(subject, DT_MASK_CUTOUT, *path);
  if(!subject->outputs->len && !m->overlay) _add_default(NULL, m->job.input, subject);
  return TRUE;
}

/* Those of a file; what it leaves open goes into one directory. */
static gboolean _describe_several(dt_cli_mask_t *m, GError **error)
{
  const char *dir = _opt.outputs ? _opt.outputs[0] : NULL;
  if(_opt.points || _opt.boxes || _opt.rough || _opt.cutouts || _opt.candidate != UNSET || _opt.invert)
    return _usage(error,
                  "With --prompts the file says what is meant and made of it; leave out --point, --box, "
                  "--rough, --candidate, --invert and --cutout.");
  if(dir && (_opt.outputs[1] || !_is_directory(dir)))
    return _usage(error,
                  "With --prompts -o takes one existing directory for objects whose outputs the file does "
                  "not name. Give that, or leave it out.");
  g_ptr_array_unref(m->subjects);
  m->subjects = dt_mask_prompts_load(_opt.prompts, error);
  for(guint i = 0; m->subjects && i < m->subjects->len; i++)
  {
    dt_mask_subject_t *subject = m->subjects->pdata[i];
    if(!subject->outputs->len && (dir || !m->overlay)) _add_default(dir, m->job.input, subject);
  }
  return m->subjects != NULL;
}

/* --- the whole --- */

/* Takes the standard output for the one picture that goes there, if one does. */
static gboolean _take_stdout(dt_cli_mask_t *m, GError **error)
{
  const dt_mask_subject_t *subject = m->subjects->pdata[0];
  gboolean any = FALSE;
  for(guint i = 0; i < subject->outputs->len; i++)
    any |= dt_mask_output_is_stream(subject->outputs->pdata[i]);
  if(!any || m->dry_run || m->list_candidates) return TRUE;
  if(!dt_cli_check_stdout(m->json, error)) return FALSE;
  m->job.stream = dt_cli_take_stdout();
  return TRUE;
}

static gboolean _check_numbers(GError **error)
{
  if(_opt.candidate != UNSET && (_opt.candidate < 1 || _opt.candidate > DT_SEG_MAX_CANDIDATES))
    return _usage(error, "--candidate takes 1 to %d; --list-candidates shows them.", DT_SEG_MAX_CANDIDATES);
  if(_opt.bits != UNSET && _opt.bits != 8 && _opt.bits != 16 && _opt.bits != 32)
    return _usage(error, "--bit-depth takes 8, 16 or 32.");
  if(_opt.overlay_size != UNSET && _opt.overlay_size < 0)
    return _usage(error, "--overlay-size takes a number of pixels, or 0 for the photograph's own size.");
  if(_opt.threads != UNSET && _opt.threads < 1) return _usage(error, "--threads takes a positive number.");
  return TRUE;
}

/* What is asked for here is wanted or nothing; the setting may fall back. */
static gboolean _parse_provider(dt_cli_mask_t *m, GError **error)
{
  if(!_opt.provider) return TRUE;
  m->provider_given = TRUE;
  m->load.provider = dt_ai_provider_from_string(_opt.provider);
  m->load.strict = TRUE;
  if(dt_ai_provider_is_known(_opt.provider)) return TRUE;
  return _usage(error, "There is no execution provider \"%s\". See: darktable-ai providers", _opt.provider);
}

static gboolean _check(dt_cli_mask_t *m, int n_files, GError **error)
{
  if(n_files != 1)
    return _usage(error,
                  "Say which photograph to work on, %s e.g.: darktable-ai mask photo.jpg --point 50%%,40%%",
                  n_files ? "one at a time," : "");
  if(!_check_numbers(error) || !_parse_edges(m, error) || !_parse_provider(m, error)) return FALSE;
  if(_opt.progress && !dt_cli_progress_mode(_opt.progress, &m->progress.mode))
    return _usage(error, "--progress takes auto, bar, plain, json or none.");
  if(_opt.memory && !(m->memory = dt_conf_parse_size(_opt.memory)))
    return _usage(error, "--memory takes a size such as 500M or 2G.");
  return _opt.prompts ? _describe_several(m, error) : _describe_one(m, error) && _take_stdout(m, error);
}

static void _free_subject(gpointer data)
{
  dt_mask_subject_free(data);
}

static void _fill(dt_cli_mask_t *m, const char *input)
{
  GCancellable *cancellable = dt_cli_catch_signals();
  *m = (dt_cli_mask_t){ .model = _opt.model,
                        .overlay = _opt.overlay,
                        .overlay_size = _opt.overlay_size == UNSET ? 1600 : _opt.overlay_size,
                        .list_candidates = _opt.list_candidates,
                        .no_cache = _opt.no_cache,
                        .dry_run = _opt.dry_run,
                        .json = _opt.json };
  m->job = (dt_mask_job_t){ .input = input,
                            .assume_profile = _opt.assume,
                            .bits = MAX(_opt.bits, 0),
                            .overwrite = _opt.overwrite,
                            .cancellable = cancellable };
  m->load = (dt_seg_load_opts_t){ .threads = MAX(_opt.threads, 0), .cancellable = cancellable };
  m->subjects = g_ptr_array_new_with_free_func(_free_subject);
}

gboolean dt_cli_mask_parse(int argc, char **argv, dt_cli_mask_t *mask, int *exit_code)
{
  GError *error = NULL;
  if(!dt_cli_parse(
         &argc, &argv, "FILE",
         "Masks what a click, a box or a scribble means on a photograph. The original is not touched.",
         _examples, _entries, exit_code))
    return FALSE;
  _fill(mask, argc > 1 ? argv[1] : "");
  if(_check(mask, argc - 1, &error)) return TRUE;
  dt_cli_mask_clear(mask);
  *exit_code = dt_cli_fail(error);
  return FALSE;
}

void dt_cli_mask_clear(dt_cli_mask_t *mask)
{
  g_clear_pointer(&mask->subjects, g_ptr_array_unref);
}
