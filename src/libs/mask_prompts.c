/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Prompts as text and as JSON. A file is refused as a whole for the first thing in it that is not understood: a mask of
 * something else than was meant would be found late. */
#include "libs/mask_prompts.h"
#include "common/ai_manifest.h"

#include <json-glib/json-glib.h>
#include <math.h>
#include <string.h>

#define MAX_FILE_BYTES (4 << 20)
#define MAX_DEPTH 32
/* numbers beyond are no places in a picture */
#define MAX_NUMBER 1e7

/* --- subjects --- */

static void _free_output(gpointer data)
{
  dt_mask_output_t *output = data;
  g_free(output->path);
  g_free(output);
}

dt_mask_subject_t *dt_mask_subject_new(const char *name)
{
  dt_mask_subject_t *subject = g_new0(dt_mask_subject_t, 1);
  subject->name = g_strdup(name);
  subject->prompts = g_array_new(FALSE, FALSE, sizeof(dt_mask_prompt_t));
  subject->outputs = g_ptr_array_new_with_free_func(_free_output);
  return subject;
}

void dt_mask_subject_free(dt_mask_subject_t *subject)
{
  if(!subject) return;
  g_array_unref(subject->prompts);
  g_ptr_array_unref(subject->outputs);
  g_free(subject->rough);
  g_free(subject->name);
  g_free(subject);
}

static void _free_subject(gpointer data)
{
  dt_mask_subject_free(data);
}

gboolean dt_mask_subject_has_prompts(const dt_mask_subject_t *subject)
{
  return subject->prompts->len > 0 || subject->rough;
}

void dt_mask_subject_add_output(dt_mask_subject_t *subject, dt_mask_kind_t kind, const char *path)
{
  dt_mask_output_t *output = g_new0(dt_mask_output_t, 1);
  output->kind = kind;
  output->path = g_strdup(path);
  g_ptr_array_add(subject->outputs, output);
}

dt_mask_kind_t dt_mask_kind_for_name(const char *path)
{
  const char *dot = strrchr(path, '.');
  if(dot && g_ascii_strcasecmp(dot, ".svg") == 0) return DT_MASK_SVG;
  return dot && g_ascii_strcasecmp(dot, ".json") == 0 ? DT_MASK_PATHS : DT_MASK_PICTURE;
}

/* --- coordinates --- */

/* "812", "40.5" or "50%". */
static gboolean _parse_coordinate(const char *text, dt_mask_coordinate_t *out)
{
  char *end = NULL;
  out->value = g_ascii_strtod(text, &end);
  out->percent = end && *end == '%';
  if(!end || end == text || !isfinite(out->value) || fabs(out->value) > MAX_NUMBER) return FALSE;
  return end[out->percent ? 1 : 0] == '\0' && !g_ascii_isspace(*text);
}

static gboolean _parse_sign(const char *text, gboolean *background)
{
  *background = strcmp(text, "-") == 0;
  return *background || strcmp(text, "+") == 0;
}

gboolean dt_mask_parse_point(const char *text, dt_mask_prompt_t *prompt, GError **error)
{
  *prompt = (dt_mask_prompt_t){ 0 };
  char **parts = g_strsplit(text, ",", 4);
  const guint n = g_strv_length(parts);
  const gboolean ok = (n == 2 || n == 3) && _parse_coordinate(parts[0], &prompt->at[0])
                      && _parse_coordinate(parts[1], &prompt->at[1])
                      && (n == 2 || _parse_sign(parts[2], &prompt->background));
  g_strfreev(parts);
  if(!ok)
    g_set_error(
        error, DT_AI_ERROR, DT_AI_ERROR_USAGE,
        "--point takes a place such as 812,400 or 50%%,40%%, and with ,- behind it what does not belong to "
        "the object; not \"%s\".",
        text);
  return ok;
}

gboolean dt_mask_parse_box(const char *text, dt_mask_prompt_t *prompt, GError **error)
{
  *prompt = (dt_mask_prompt_t){ .is_box = TRUE };
  char **parts = g_strsplit(text, ",", 5);
  gboolean ok = g_strv_length(parts) == 4;
  for(int i = 0; i < 4 && ok; i++) ok = _parse_coordinate(parts[i], &prompt->at[i]);
  g_strfreev(parts);
  if(!ok)
    g_set_error(error, DT_AI_ERROR, DT_AI_ERROR_USAGE,
                "--box takes two corners such as 10,10,400,300 or 5%%,5%%,50%%,60%%, not \"%s\".", text);
  return ok;
}

double dt_mask_coordinate_resolve(dt_mask_coordinate_t c, int size)
{
  return c.percent ? 0.01 * c.value * size - 0.5 : c.value;
}

/* --- reading JSON --- */

typedef struct _reader_t
{
  const char *path;
  char *dir;
  GPtrArray *subjects;
  GError **error;
} _reader_t;

static gboolean _refuse(const _reader_t *r, const char *where, const char *format, ...) G_GNUC_PRINTF(3, 4);
static gboolean _refuse(const _reader_t *r, const char *where, const char *format, ...)
{
  va_list args;
  va_start(args, format);
  char *words = g_strdup_vprintf(format, args);
  va_end(args);
  g_set_error(r->error, DT_AI_ERROR, DT_AI_ERROR_INPUT,
              "%s: %s %s. Correct the file; doc/masks.md has an example.", r->path, where, words);
  g_free(words);
  return FALSE;
}

static gboolean _is_text(JsonNode *node)
{
  return JSON_NODE_HOLDS_VALUE(node) && json_node_get_value_type(node) == G_TYPE_STRING;
}

static gboolean _read_coordinate(JsonNode *node, dt_mask_coordinate_t *out)
{
  if(_is_text(node)) return _parse_coordinate(json_node_get_string(node), out) && out->percent;
  if(!JSON_NODE_HOLDS_VALUE(node) || json_node_get_value_type(node) == G_TYPE_BOOLEAN) return FALSE;
  *out = (dt_mask_coordinate_t){ json_node_get_double(node), FALSE };
  return fabs(out->value) <= MAX_NUMBER;
}

static gboolean _read_prompt(const _reader_t *r, JsonNode *node, const char *where, gboolean is_box,
                             GArray *prompts)
{
  dt_mask_prompt_t prompt = { .is_box = is_box };
  JsonArray *array = JSON_NODE_HOLDS_ARRAY(node) ? json_node_get_array(node) : NULL;
  const guint n = array ? json_array_get_length(array) : 0, numbers = is_box ? 4 : 2;
  gboolean ok = n == numbers || (n == 3 && !is_box);
  for(guint i = 0; i < numbers && ok; i++)
    ok = _read_coordinate(json_array_get_element(array, i), &prompt.at[i]);
  if(ok && n == 3)
  {
    JsonNode *sign = json_array_get_element(array, 2);
    ok = _is_text(sign) && _parse_sign(json_node_get_string(sign), &prompt.background);
  }
  if(ok) g_array_append_val(prompts, prompt);
  return ok
         || _refuse(r, where, "is not %s",
                    is_box ? "a box such as [10, 10, 400, 300] or [\"5%\", \"5%\", \"50%\", \"60%\"]"
                           : "a point such as [812, 400], [\"50%\", \"40%\"] or [90, 40, \"-\"]");
}

/* Calls @p read for each element of a list. */
static gboolean _read_prompts(const _reader_t *r, JsonNode *node, const char *where, gboolean is_box,
                              GArray *prompts)
{
  if(!JSON_NODE_HOLDS_ARRAY(node)) return _refuse(r, where, "is not a list");
  JsonArray *array = json_node_get_array(node);
  gboolean ok = TRUE;
  for(guint i = 0; i < json_array_get_length(array) && ok; i++)
  {
    char *place = g_strdup_printf("%s[%u]", where, i);
    ok = _read_prompt(r, json_array_get_element(array, i), place, is_box, prompts);
    g_free(place);
  }
  return ok;
}

/* A file's name (transfer full), or NULL with an error. */
static char *_read_name(const _reader_t *r, JsonNode *node, const char *where)
{
  const char *text = _is_text(node) ? json_node_get_string(node) : "";
  if(*text) return g_path_is_absolute(text) ? g_strdup(text) : g_build_filename(r->dir, text, NULL);
  _refuse(r, where, "is not the name of a file");
  return NULL;
}

static gboolean _read_outputs(const _reader_t *r, JsonNode *node, const char *where, dt_mask_kind_t kind,
                              dt_mask_subject_t *subject)
{
  if(!JSON_NODE_HOLDS_ARRAY(node)) return _refuse(r, where, "is not a list of names");
  JsonArray *array = json_node_get_array(node);
  gboolean ok = TRUE;
  for(guint i = 0; i < json_array_get_length(array) && ok; i++)
  {
    char *place = g_strdup_printf("%s[%u]", where, i);
    char *name = _read_name(r, json_array_get_element(array, i), place);
    ok = name != NULL;
    if(ok)
      dt_mask_subject_add_output(subject, kind == DT_MASK_PICTURE ? dt_mask_kind_for_name(name) : kind, name);
    g_free(name);
    g_free(place);
  }
  return ok;
}

/* Names become part of file names. */
static gboolean _read_label(const _reader_t *r, JsonNode *node, const char *where, dt_mask_subject_t *subject)
{
  const char *text = _is_text(node) ? json_node_get_string(node) : "";
  gboolean ok = *text && *text != '.' && strlen(text) <= 100 && !strchr(text, '/');
  for(const char *c = text; *c && ok; c++) ok = !g_ascii_iscntrl(*c);
  if(!ok) return _refuse(r, where, "is not a name of 1 to 100 letters without slashes");
  for(guint i = 0; i < r->subjects->len; i++)
    if(strcmp(((const dt_mask_subject_t *)r->subjects->pdata[i])->name, text) == 0)
      return _refuse(r, where, "is the name of another object as well");
  g_free(subject->name);
  subject->name = g_strdup(text);
  return TRUE;
}

static gboolean _read_candidate(const _reader_t *r, JsonNode *node, const char *where,
                                dt_mask_subject_t *subject)
{
  const gboolean whole = JSON_NODE_HOLDS_VALUE(node) && json_node_get_value_type(node) == G_TYPE_INT64;
  const gint64 value = whole ? json_node_get_int(node) : 0;
  subject->candidate = (int)CLAMP(value, 0, DT_SEG_MAX_CANDIDATES);
  return (value >= 1 && value <= DT_SEG_MAX_CANDIDATES)
         || _refuse(r, where, "is not a number from 1 to %d", DT_SEG_MAX_CANDIDATES);
}

static gboolean _read_flag(const _reader_t *r, JsonNode *node, const char *where, gboolean *flag)
{
  const gboolean ok = JSON_NODE_HOLDS_VALUE(node) && json_node_get_value_type(node) == G_TYPE_BOOLEAN;
  *flag = ok && json_node_get_boolean(node);
  return ok || _refuse(r, where, "is neither true nor false");
}

static gboolean _read_member(const _reader_t *r, const char *key, JsonNode *node, const char *where,
                             dt_mask_subject_t *subject)
{
  if(strcmp(key, "name") == 0) return _read_label(r, node, where, subject);
  if(strcmp(key, "points") == 0) return _read_prompts(r, node, where, FALSE, subject->prompts);
  if(strcmp(key, "boxes") == 0) return _read_prompts(r, node, where, TRUE, subject->prompts);
  if(strcmp(key, "rough") == 0) return (subject->rough = _read_name(r, node, where)) != NULL;
  if(strcmp(key, "candidate") == 0) return _read_candidate(r, node, where, subject);
  if(strcmp(key, "invert") == 0) return _read_flag(r, node, where, &subject->invert);
  if(strcmp(key, "outputs") == 0) return _read_outputs(r, node, where, DT_MASK_PICTURE, subject);
  if(strcmp(key, "cutouts") == 0) return _read_outputs(r, node, where, DT_MASK_CUTOUT, subject);
  if(strcmp(key, "overlays") == 0) return _read_outputs(r, node, where, DT_MASK_OVERLAY, subject);
  return _refuse(
      r, where,
      "is not known; there are name, points, boxes, rough, candidate, invert, outputs, cutouts and "
      "overlays");
}

static gboolean _read_members(const _reader_t *r, JsonObject *object, const char *where,
                              dt_mask_subject_t *subject)
{
  GList *keys = json_object_get_members(object);
  gboolean ok = TRUE;
  for(GList *k = keys; k && ok; k = k->next)
  {
    char *place = g_strdup_printf("%s.%s", where, (const char *)k->data);
    ok = _read_member(r, k->data, json_object_get_member(object, k->data), place, subject);
    g_free(place);
  }
  g_list_free(keys);
  if(ok && !subject->name) ok = _refuse(r, where, "has no \"name\"");
  if(ok && !dt_mask_subject_has_prompts(subject))
    ok = _refuse(r, where, "has none of \"points\", \"boxes\" and \"rough\"");
  return ok;
}

static gboolean _read_subject(const _reader_t *r, JsonNode *node, const char *where)
{
  if(!JSON_NODE_HOLDS_OBJECT(node)) return _refuse(r, where, "is not an object in braces");
  dt_mask_subject_t *subject = dt_mask_subject_new(NULL);
  const gboolean ok = _read_members(r, json_node_get_object(node), where, subject);
  if(ok)
    g_ptr_array_add(r->subjects, subject);
  else
    dt_mask_subject_free(subject);
  return ok;
}

static gboolean _read_root(const _reader_t *r, JsonNode *root)
{
  JsonObject *object = root && JSON_NODE_HOLDS_OBJECT(root) ? json_node_get_object(root) : NULL;
  JsonNode *list = object ? json_object_get_member(object, "objects") : NULL;
  if(!list || !JSON_NODE_HOLDS_ARRAY(list)) return _refuse(r, "$.objects", "is missing, or no list");
  if(json_object_get_size(object) > 1) return _refuse(r, "$", "has members beside \"objects\"");
  JsonArray *array = json_node_get_array(list);
  const guint n = json_array_get_length(array);
  if(n < 1 || n > DT_MASK_MAX_OBJECTS)
    return _refuse(r, "$.objects", "has %u objects; 1 to %d are possible", n, DT_MASK_MAX_OBJECTS);
  gboolean ok = TRUE;
  for(guint i = 0; i < n && ok; i++)
  {
    char *where = g_strdup_printf("$.objects[%u]", i);
    ok = _read_subject(r, json_array_get_element(array, i), where);
    g_free(where);
  }
  return ok;
}

static gboolean _parse(const _reader_t *r, const char *text)
{
  GError *cause = NULL;
  if(dt_manifest_nests_deeper(text, MAX_DEPTH)) return _refuse(r, "it", "is nested too deeply");
  JsonParser *parser = json_parser_new();
  const gboolean ok = json_parser_load_from_data(parser, text, -1, &cause)
                          ? _read_root(r, json_parser_get_root(parser))
                          : _refuse(r, "it", "is not JSON (%s)", cause->message);
  g_clear_error(&cause);
  g_object_unref(parser);
  return ok;
}

static gboolean _read_file(const _reader_t *r, char **text)
{
  GError *cause = NULL;
  gsize size = 0;
  if(!g_file_test(r->path, G_FILE_TEST_IS_REGULAR))
  {
    g_set_error(r->error, DT_AI_ERROR, DT_AI_ERROR_INPUT,
                g_file_test(r->path, G_FILE_TEST_EXISTS)
                    ? "%s: this is no ordinary file. Give the name of one; a pipe is not read."
                    : "%s: there is no such file. Check its name.",
                r->path);
    return FALSE;
  }
  if(!g_file_get_contents(r->path, text, &size, &cause))
    g_set_error(r->error, DT_AI_ERROR, DT_AI_ERROR_INPUT, "%s. Check its permissions.", cause->message);
  else if(size > MAX_FILE_BYTES || strlen(*text) != size || !g_utf8_validate(*text, -1, NULL))
    _refuse(r, "it", "is too large, or not text");
  else
    return TRUE;
  g_clear_error(&cause);
  return FALSE;
}

GPtrArray *dt_mask_prompts_load(const char *path, GError **error)
{
  _reader_t r = { path, g_path_get_dirname(path), g_ptr_array_new_with_free_func(_free_subject), error };
  char *text = NULL;
  if(!_read_file(&r, &text) || !_parse(&r, text)) g_clear_pointer(&r.subjects, g_ptr_array_unref);
  g_free(text);
  g_free(r.dir);
  return r.subjects;
}

/* --- putting them to use --- */

/* Corners of a box or a point in pixels. */
static void _resolve(const dt_mask_prompt_t *prompt, const dt_photo_t *photo, double at[4])
{
  for(int i = 0; i < 4; i++)
    at[i] = dt_mask_coordinate_resolve(prompt->at[i], i % 2 ? photo->height : photo->width);
}

static gboolean _check_prompt(const dt_mask_prompt_t *prompt, const dt_photo_t *photo, GError **error)
{
  double at[4];
  _resolve(prompt, photo, at);
  for(int i = 0; i < (prompt->is_box ? 4 : 2); i += 2)
    if(!dt_object_check_place(photo, at[i], at[i + 1], error))
    {
      g_prefix_error(error, prompt->is_box ? "The corner " : "The point ");
      return FALSE;
    }
  return TRUE;
}

/* A mask that is not of the whole picture, or lies on its side, would be stretched over it. */
static gboolean _check_shape(const char *path, int width, int height, const dt_photo_t *photo, GError **error)
{
  const double across = (double)width / photo->width, down = (double)height / photo->height;
  const double slack = MAX(0.03, 1.0 / MIN(width, height));
  if(fabs(across / down - 1.0) <= slack) return TRUE;
  g_set_error(
      error, DT_AI_ERROR, DT_AI_ERROR_INPUT,
      "%s: has %d×%d pixels, which is another shape than the picture's %d×%d. Make it of the whole picture, "
      "at any size.",
      path, width, height, photo->width, photo->height);
  return FALSE;
}

static gboolean _check_rough(const char *path, const dt_photo_t *photo, GError **error)
{
  dt_photo_t *rough = dt_photo_open(path, NULL, error);
  const gboolean ok = rough && _check_shape(path, rough->width, rough->height, photo, error);
  dt_photo_free(rough);
  return ok;
}

static gboolean _check_count(const dt_mask_subject_t *subject, GError **error)
{
  guint n = 0;
  for(guint i = 0; i < subject->prompts->len; i++)
    n += g_array_index(subject->prompts, dt_mask_prompt_t, i).is_box ? 2 : 1;
  if(n <= DT_SEG_MAX_POINTS) return TRUE;
  g_set_error(error, DT_AI_ERROR, DT_AI_ERROR_INPUT,
              "%s%s%u points, boxes being two, are too many for one object. Leave some out: a model takes %d "
              "at most.",
              subject->name ? subject->name : "", subject->name ? ": " : "", n, DT_SEG_MAX_POINTS);
  return FALSE;
}

gboolean dt_mask_subject_check(const dt_mask_subject_t *subject, const dt_photo_t *photo, GError **error)
{
  if(!_check_count(subject, error)) return FALSE;
  if(subject->rough && !_check_rough(subject->rough, photo, error)) return FALSE;
  for(guint i = 0; i < subject->prompts->len; i++)
    if(!_check_prompt(&g_array_index(subject->prompts, dt_mask_prompt_t, i), photo, error))
    {
      if(subject->name) g_prefix_error(error, "%s: ", subject->name);
      return FALSE;
    }
  return TRUE;
}

static gboolean _apply_rough(const char *path, dt_object_t *object, GCancellable *cancellable, GError **error)
{
  int width, height;
  float *plane = dt_photo_load_plane(path, &width, &height, cancellable, error);
  const gboolean ok = plane && _check_shape(path, width, height, dt_object_photo(object), error)
                      && dt_object_set_rough(object, plane, width, height, error);
  g_free(plane);
  return ok;
}

gboolean dt_mask_subject_apply(const dt_mask_subject_t *subject, dt_object_t *object,
                               GCancellable *cancellable, GError **error)
{
  gboolean ok = !subject->rough || _apply_rough(subject->rough, object, cancellable, error);
  for(guint i = 0; i < subject->prompts->len && ok; i++)
  {
    const dt_mask_prompt_t *prompt = &g_array_index(subject->prompts, dt_mask_prompt_t, i);
    double at[4];
    _resolve(prompt, dt_object_photo(object), at);
    ok = prompt->is_box ? dt_object_add_box(object, at[0], at[1], at[2], at[3], error)
                        : dt_object_add_point(object, at[0], at[1], !prompt->background, error);
  }
  return ok;
}
