/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Names of outputs made from a pattern: literal text, and placeholders in braces. */
#include "libs/output_template.h"

#include <string.h>

#define DEFAULT_NAME "{name}_{task}.{ext}"

static char *_get_dir(const dt_output_values_t *v)
{
  return g_path_get_dirname(v->input);
}

static char *_get_stem(const dt_output_values_t *v)
{
  char *name = g_path_get_basename(v->input), *dot = strrchr(name, '.');
  if(dot && dot != name) *dot = '\0';
  return name;
}

/* The name of the directory, also where the path does not tell it. */
static char *_get_parent(const dt_output_values_t *v)
{
  char *full = g_canonicalize_filename(v->input, NULL), *dir = g_path_get_dirname(full);
  char *parent = g_path_get_basename(dir);
  g_free(dir);
  g_free(full);
  if(strcmp(parent, G_DIR_SEPARATOR_S) == 0) *parent = '\0';
  return parent;
}

static char *_get_relative(const dt_output_values_t *v)
{
  return v->relative ? g_path_get_dirname(v->relative) : g_strdup(".");
}

static char *_get_ext(const dt_output_values_t *v)
{
  return g_strdup(v->ext ? v->ext : "");
}

static char *_get_task(const dt_output_values_t *v)
{
  return g_strdup(v->task ? v->task : "");
}

static char *_get_model(const dt_output_values_t *v)
{
  return g_strdup(v->model ? v->model : "");
}

static char *_get_scale(const dt_output_values_t *v)
{
  return g_strdup(v->scale ? v->scale : "");
}

static char *_get_counter(const dt_output_values_t *v)
{
  return g_strdup_printf("%04d", v->counter);
}

static const struct
{
  const char *name;
  char *(*get)(const dt_output_values_t *values);
} _placeholders[] = {
  { "dir", _get_dir },       { "name", _get_stem },         { "ext", _get_ext },
  { "task", _get_task },     { "model", _get_model },       { "scale", _get_scale },
  { "parent", _get_parent }, { "relative", _get_relative }, { "counter", _get_counter },
};

static int _find(const char *name)
{
  for(int i = 0; i < (int)G_N_ELEMENTS(_placeholders); i++)
    if(strcmp(_placeholders[i].name, name) == 0) return i;
  return -1;
}

/* --- taking a pattern apart --- */

/* The next piece at *at (transfer full): text, or a placeholder's name; NULL at the end. */
static char *_take(const char **at, gboolean *is_name)
{
  const char *begin = *at;
  *is_name = begin[0] == '{' && begin[1] != '{';
  if(!*begin) return NULL;
  if(*is_name)
  {
    const char *end = strchr(begin, '}');
    *at = end ? end + 1 : begin + strlen(begin);
    /* one that is never closed keeps its brace, and so is no placeholder that is known */
    return end ? g_strndup(begin + 1, (gsize)(end - begin - 1)) : g_strdup(begin);
  }
  /* of "{{" one brace is left; "}}" is taken for one as well, as elsewhere */
  if((begin[0] == '{' || begin[0] == '}') && begin[1] == begin[0])
  {
    *at = begin + 2;
    return g_strndup(begin, 1);
  }
  const size_t length = strcspn(begin + 1, "{}") + 1;
  *at = begin + length;
  return g_strndup(begin, length);
}

/* The pattern with a name, also when only a directory was given. */
static char *_complete(const char *pattern)
{
  return g_strconcat(pattern, g_str_has_suffix(pattern, G_DIR_SEPARATOR_S) ? DEFAULT_NAME : "", NULL);
}

gboolean dt_output_template_is(const char *output)
{
  return output && strchr(output, '{');
}

gboolean dt_output_template_has(const char *pattern, const char *name)
{
  char *whole = _complete(pattern);
  const char *at = whole;
  gboolean is_name, found = FALSE;
  for(char *piece; !found && (piece = _take(&at, &is_name)); g_free(piece))
    found = is_name && strcmp(piece, name) == 0;
  g_free(whole);
  return found;
}

static gboolean _refuse_name(const char *name, GError **error)
{
  GString *known = g_string_new(NULL);
  for(size_t i = 0; i < G_N_ELEMENTS(_placeholders); i++)
    g_string_append_printf(known, "%s{%s}", i ? ", " : "", _placeholders[i].name);
  g_set_error(error, DT_AI_ERROR, DT_AI_ERROR_USAGE,
              "-o knows no placeholder {%s}. Use these: %s; {{ stands for a brace.", name, known->str);
  g_string_free(known, TRUE);
  return FALSE;
}

gboolean dt_output_template_check(const char *pattern, gboolean several, GError **error)
{
  const char *at = pattern;
  gboolean is_name, ok = TRUE;
  for(char *piece; ok && (piece = _take(&at, &is_name)); g_free(piece))
    if(is_name && _find(piece) < 0) ok = _refuse_name(piece, error);
  if(!ok || !several || dt_output_template_has(pattern, "name") || dt_output_template_has(pattern, "counter"))
    return ok;
  g_set_error(error, DT_AI_ERROR, DT_AI_ERROR_USAGE,
              "With several files -o %s gives them all one name. Use {name} or {counter} in it.", pattern);
  return FALSE;
}

char *dt_output_template_base(const char *pattern)
{
  char *text = g_strndup(pattern, strcspn(pattern, "{")), *slash = strrchr(text, G_DIR_SEPARATOR);
  if(slash)
    slash[slash == text] = '\0';
  else if(*text)
    g_strlcpy(text, ".", 2);
  if(*text) return text;
  g_free(text);
  return NULL;
}

/* --- putting a name together --- */

/* Without "//" and "/./", which empty placeholders leave behind. */
static void _tidy(char *path)
{
  char *to = path;
  for(const char *from = path; *from; from++)
  {
    const gboolean inside = to > path && to[-1] == G_DIR_SEPARATOR;
    if(inside && from[0] == G_DIR_SEPARATOR) continue;
    if(inside && from[0] == '.' && from[1] == G_DIR_SEPARATOR)
    {
      from++;
      continue;
    }
    *to++ = *from;
  }
  *to = '\0';
}

char *dt_output_template_expand(const char *pattern, const dt_output_values_t *values)
{
  GString *path = g_string_new(NULL);
  char *whole = _complete(pattern);
  const char *at = whole;
  gboolean is_name;
  for(char *piece; (piece = _take(&at, &is_name)); g_free(piece))
  {
    const int i = is_name ? _find(piece) : -1;
    char *value = i >= 0 ? _placeholders[i].get(values) : NULL;
    g_string_append(path, value ? value : is_name ? "" : piece);
    g_free(value);
  }
  g_free(whole);
  _tidy(path->str);
  return g_string_free(path, FALSE);
}
