/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Outlines as SVG and as JSON. Numbers are written as whole multiples of their last digit, so that no locale, and no
 * rounding that adds up, comes in between. */
#include "common/ai_manifest.h"
#include "develop/masks/outline_internal.h"

#include <json-glib/json-glib.h>
#include <math.h>
#include <string.h>

#define SVG_UNITS 100 /* of a pixel */
#define JSON_UNITS 10000
#define STRAIGHT 0.005 /* pixels that the controls of a line are off it */

#define MAX_TEXT ((size_t)256 << 20)
#define MAX_DEPTH 8
#define MAX_SIDE (1 << 20)
#define MAX_PIXELS ((gint64)1 << 31)
#define MAX_SEGMENTS (1 << 22)
#define MAX_PLACE 1e7

/* --- writing --- */

static gint64 _units(double v, int per_pixel)
{
  return (gint64)llrint(v * per_pixel);
}

/* "-0.25", "3", ".5" with @p short_zero. */
static void _put_number(GString *out, gint64 units, int per_pixel, gboolean short_zero)
{
  const gint64 size = ABS(units), whole = size / per_pixel;
  gint64 rest = size % per_pixel;
  if(units < 0) g_string_append_c(out, '-');
  if(whole || !rest || !short_zero) g_string_append_printf(out, "%" G_GINT64_FORMAT, whole);
  if(rest) g_string_append_c(out, '.');
  for(gint64 digit = per_pixel / 10; rest; rest %= digit, digit /= 10)
  {
    g_string_append_c(out, (char)('0' + rest / digit));
    if(digit == 1) break;
  }
}

/* The next number of a path: a sign separates, too. */
static void _put_svg(GString *out, gint64 units)
{
  const char last = out->str[out->len - 1];
  if(units >= 0 && !g_ascii_isalpha(last)) g_string_append_c(out, ' ');
  _put_number(out, units, SVG_UNITS, TRUE);
}

typedef struct _place_t
{
  gint64 x, y;
} _place_t;

static void _put_step(GString *out, const _place_t *at, dt_outline_point_t to)
{
  _put_svg(out, _units(to.x, SVG_UNITS) - at->x);
  _put_svg(out, _units(to.y, SVG_UNITS) - at->y);
}

/* Whether @p p lies on the way from @p a to @p b. */
static gboolean _is_on_line(dt_outline_point_t a, dt_outline_point_t b, dt_outline_point_t p)
{
  const double x = b.x - a.x, y = b.y - a.y, u = p.x - a.x, v = p.y - a.y, length = hypot(x, y);
  const double along = x * u + y * v;
  return fabs(x * v - y * u) <= STRAIGHT * length && along >= 0 && along <= length * length;
}

static void _put_svg_path(GString *out, const GArray *segments)
{
  dt_outline_point_t from = dt_outline_start(segments);
  _place_t at = { 0 };
  char last = 0;
  g_string_append_c(out, 'M');
  _put_step(out, &at, from);
  for(guint i = 0; i < segments->len; i++)
  {
    const dt_outline_segment_t *s = &g_array_index(segments, dt_outline_segment_t, i);
    const gboolean line = _is_on_line(from, s->end, s->control1) && _is_on_line(from, s->end, s->control2);
    at = (_place_t){ _units(from.x, SVG_UNITS), _units(from.y, SVG_UNITS) };
    if(last != (line ? 'l' : 'c')) g_string_append_c(out, last = line ? 'l' : 'c');
    if(!line) _put_step(out, &at, s->control1);
    if(!line) _put_step(out, &at, s->control2);
    _put_step(out, &at, s->end);
    from = s->end;
  }
  g_string_append_c(out, 'z');
}

char *dt_outline_to_svg(const dt_outline_t *outline)
{
  GString *out = g_string_new("<svg xmlns=\"http://www.w3.org/2000/svg\"");
  g_string_append_printf(out, " width=\"%d\" height=\"%d\" viewBox=\"0 0 %d %d\">\n", outline->width,
                         outline->height, outline->width, outline->height);
  g_string_append(out, "<path fill-rule=\"evenodd\" d=\"");
  for(guint i = 0; i < outline->paths->len; i++)
    _put_svg_path(out, ((const dt_outline_path_t *)outline->paths->pdata[i])->segments);
  g_string_append(out, "\"/>\n</svg>\n");
  return g_string_free(out, FALSE);
}

static void _put_json_segment(GString *out, const dt_outline_segment_t *s)
{
  const double v[] = { s->control1.x, s->control1.y, s->control2.x, s->control2.y, s->end.x, s->end.y };
  for(size_t i = 0; i < G_N_ELEMENTS(v); i++)
  {
    g_string_append_c(out, i ? ',' : '[');
    _put_number(out, _units(v[i], JSON_UNITS), JSON_UNITS, FALSE);
  }
  g_string_append_c(out, ']');
}

char *dt_outline_to_json(const dt_outline_t *outline)
{
  GString *out = g_string_new("{\"schema_version\":1");
  g_string_append_printf(out, ",\"width\":%d,\"height\":%d,\"paths\":[", outline->width, outline->height);
  for(guint i = 0; i < outline->paths->len; i++)
  {
    const dt_outline_path_t *path = outline->paths->pdata[i];
    g_string_append_printf(out, "%s\n{\"hole\":%s,\"points\":[", i ? "," : "",
                           path->is_hole ? "true" : "false");
    for(guint k = 0; k < path->segments->len; k++)
    {
      if(k) g_string_append_c(out, ',');
      _put_json_segment(out, &g_array_index(path->segments, dt_outline_segment_t, k));
    }
    g_string_append(out, "]}");
  }
  g_string_append(out, "]}\n");
  return g_string_free(out, FALSE);
}

/* --- reading --- */

static gboolean _refuse(GError **error, const char *format, ...) G_GNUC_PRINTF(2, 3);
static gboolean _refuse(GError **error, const char *format, ...)
{
  va_list args;
  va_start(args, format);
  char *why = g_strdup_vprintf(format, args);
  va_end(args);
  g_set_error(error, DT_AI_ERROR, DT_AI_ERROR_INPUT,
              "This is no outline that can be used: %s. Write it again with the mask command.", why);
  g_free(why);
  return FALSE;
}

static gboolean _is_of(JsonNode *node, GType type)
{
  return node && JSON_NODE_HOLDS_VALUE(node) && json_node_get_value_type(node) == type;
}

static gboolean _read_int(JsonObject *o, const char *key, gint64 most, gint64 *value, GError **error)
{
  JsonNode *node = json_object_get_member(o, key);
  *value = _is_of(node, G_TYPE_INT64) ? json_node_get_int(node) : 0;
  return (*value >= 1 && *value <= most)
         || _refuse(error, "\"%s\" is not a whole number from 1 to %" G_GINT64_FORMAT, key, most);
}

static gboolean _read_segment(JsonNode *node, guint path, GArray *segments, GError **error)
{
  double v[6];
  JsonArray *list = node && JSON_NODE_HOLDS_ARRAY(node) ? json_node_get_array(node) : NULL;
  if(!list || json_array_get_length(list) != 6)
    return _refuse(error, "path %u has a point that is not six numbers", path);
  for(guint i = 0; i < 6; i++)
  {
    JsonNode *number = json_array_get_element(list, i);
    if(!_is_of(number, G_TYPE_INT64) && !_is_of(number, G_TYPE_DOUBLE))
      return _refuse(error, "path %u has a point that is not six numbers", path);
    v[i] = json_node_get_double(number);
    if(!(fabs(v[i]) <= MAX_PLACE)) return _refuse(error, "path %u has a point that is too far away", path);
  }
  const dt_outline_segment_t s = { { v[0], v[1] }, { v[2], v[3] }, { v[4], v[5] } };
  g_array_append_val(segments, s);
  return TRUE;
}

static gboolean _read_path(JsonNode *node, guint i, dt_outline_t *outline, gint64 *left, GError **error)
{
  JsonObject *o = node && JSON_NODE_HOLDS_OBJECT(node) ? json_node_get_object(node) : NULL;
  JsonNode *hole = o ? json_object_get_member(o, "hole") : NULL,
           *points = o ? json_object_get_member(o, "points") : NULL;
  JsonArray *list = points && JSON_NODE_HOLDS_ARRAY(points) ? json_node_get_array(points) : NULL;
  const guint n = list ? json_array_get_length(list) : 0;
  if(n < 1) return _refuse(error, "path %u has no points", i);
  if(hole && !_is_of(hole, G_TYPE_BOOLEAN))
    return _refuse(error, "\"hole\" of path %u is neither true nor false", i);
  if((*left -= n) < 0) return _refuse(error, "it has more than %d points", MAX_SEGMENTS);
  GArray *segments = g_array_sized_new(FALSE, FALSE, sizeof(dt_outline_segment_t), n);
  dt_outline_add(outline, segments, hole && json_node_get_boolean(hole));
  for(guint k = 0; k < n; k++)
    if(!_read_segment(json_array_get_element(list, k), i, segments, error)) return FALSE;
  return TRUE;
}

static dt_outline_t *_read_paths(JsonNode *paths, int width, int height, GError **error)
{
  if(!paths || !JSON_NODE_HOLDS_ARRAY(paths))
  {
    _refuse(error, "\"paths\" is not a list");
    return NULL;
  }
  JsonArray *list = json_node_get_array(paths);
  dt_outline_t *outline = dt_outline_new(width, height);
  gint64 left = MAX_SEGMENTS;
  for(guint i = 0; outline && i < json_array_get_length(list); i++)
    if(!_read_path(json_array_get_element(list, i), i, outline, &left, error))
      g_clear_pointer(&outline, dt_outline_free);
  return outline;
}

static dt_outline_t *_read_root(JsonNode *root, GError **error)
{
  gint64 version, width, height;
  JsonObject *o = root && JSON_NODE_HOLDS_OBJECT(root) ? json_node_get_object(root) : NULL;
  if(!o)
  {
    _refuse(error, "it is not an object");
    return NULL;
  }
  if(!_read_int(o, "schema_version", 1, &version, error) || !_read_int(o, "width", MAX_SIDE, &width, error)
     || !_read_int(o, "height", MAX_SIDE, &height, error))
    return NULL;
  if(width * height > MAX_PIXELS)
  {
    _refuse(error, "its mask would be too large");
    return NULL;
  }
  return _read_paths(json_object_get_member(o, "paths"), (int)width, (int)height, error);
}

dt_outline_t *dt_outline_from_json(const char *json, GError **error)
{
  dt_outline_t *outline = NULL;
  const size_t size = strnlen(json, MAX_TEXT + 1);
  if(size > MAX_TEXT || !g_utf8_validate(json, (gssize)size, NULL)
     || dt_manifest_nests_deeper(json, MAX_DEPTH))
  {
    _refuse(error, "it is too long, too deep or not text");
    return NULL;
  }
  JsonParser *parser = json_parser_new_immutable();
  GError *cause = NULL;
  if(json_parser_load_from_data(parser, json, (gssize)size, &cause))
    outline = _read_root(json_parser_get_root(parser), error);
  else
    _refuse(error, "it is not JSON");
  g_clear_error(&cause);
  g_object_unref(parser);
  return outline;
}
