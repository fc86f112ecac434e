/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Reads config.json. Every value is checked for its JSON type before it is used: a manifest is
 * somebody else's file. What is wrong with a value is told with its JSON path, what is wrong with the
 * text with its line and column. */
#include "common/ai_manifest.h"

#include <glib/gstdio.h>
#include <json-glib/json-glib.h>
#include <string.h>

/* far beyond any real manifest, far below what would hurt */
#define MAX_MANIFEST_BYTES (1 << 20)
#define MAX_LEVELS 32
/* as many inputs as any network for photographs has, with room */
#define MAX_INPUTS 16
/* the longest side of a tile that anybody could want */
#define MAX_INPUT_SIZE 16384
/* a file full of unknown keys is told once, not a million times */
#define MAX_REMARKS 32
/* characters of a foreign key or value in a message */
#define MAX_SHOWN 64
/* bytes of an id, as a file name has them, and of a task */
#define MAX_NAME 255

/* --- types --- */

enum
{
  TEXT = 1 << 0,
  BOOL = 1 << 1,
  INT = 1 << 2,
  REAL = 1 << 3, /* a number that is not written as a whole one */
  LIST = 1 << 4,
  OBJECT = 1 << 5,
  NOTHING = 1 << 6, /* null, or no such key */
};

typedef struct _key_t
{
  const char *name;
  guint kinds; /* the JSON types it may have */
} _key_t;

/* the specification's keys and those of the packages published with darktable 5.6 */
static const _key_t _keys[] = {
  { "id", TEXT },
  { "name", TEXT },
  { "description", TEXT },
  { "task", TEXT },
  { "backend", TEXT },
  { "arch", TEXT },
  { "version", TEXT },
  { "num_inputs", INT },
  { "tiling", BOOL },
  { "spatial_dims", LIST },
  { "attributes", OBJECT },
  { "model_card", OBJECT },
  { "cpu_only", LIST | OBJECT },
  { "coreml_format", TEXT | OBJECT },
  { NULL, 0 },
};

static const _key_t _card_keys[] = {
  { "long_description", TEXT },
  { "scope", TEXT },
  { "author", TEXT },
  { "source", TEXT },
  { "paper", TEXT },
  { "license", TEXT },
  { "training_data", TEXT },
  { "training_data_license", TEXT },
  { "notes", TEXT },
  { NULL, 0 },
};

/* the same at the top of the attributes and in the object of one file */
static const _key_t _attribute_keys[] = {
  { "input_sizes", LIST },      { "shadow_boost", BOOL },      { "unclamped", BOOL }, { "input_kind", TEXT },
  { "input_colorspace", TEXT }, { "bayer_orientation", TEXT }, { "edge_pad", TEXT },  { "wb_norm", TEXT },
  { "output_scale", TEXT },     { "target_mean", INT | REAL }, { NULL, 0 },
};

/* One manifest being read. */
typedef struct _reader_t
{
  char *path;         /* of config.json, for messages */
  GPtrArray *objects; /* of the parser: the keys seen so far in each open object */
  GPtrArray *remarks;
  GError **error;
} _reader_t;

/* --- words --- */

/* What a terminal obeys instead of showing it: control characters of both sets, what it takes for the end of a
 * line, and what turns the direction of the words around it. */
static gboolean _steers(gunichar c)
{
  return c < 0x20 || (c >= 0x7f && c <= 0x9f) || c == 0x61c || c == 0x200e || c == 0x200f
         || (c >= 0x2028 && c <= 0x202e) || (c >= 0x2066 && c <= 0x2069);
}

static gboolean _has_steering(const char *text)
{
  for(; *text; text = g_utf8_next_char(text))
    if(_steers(g_utf8_get_char(text))) return TRUE;
  return FALSE;
}

/* Whether the settings give @p text back as it was put in, be it in a key or in a value. */
static gboolean _is_settings_word(const char *text)
{
  const size_t n = strlen(text);
  if(n == 0 || n > MAX_NAME || !g_utf8_validate(text, -1, NULL)) return FALSE;
  const gunichar first = g_utf8_get_char(text), last = g_utf8_get_char(g_utf8_prev_char(text + n));
  return first != '#' && !strchr(text, '=') && !g_unichar_isspace(first) && !g_unichar_isspace(last)
         && !_has_steering(text);
}

gboolean dt_manifest_id_is_safe(const char *id)
{
  return _is_settings_word(id) && strcmp(id, ".") != 0 && strcmp(id, "..") != 0 && !strpbrk(id, "/\\");
}

char *dt_manifest_printable(const char *text, int max)
{
  char *valid = g_utf8_make_valid(text, -1);
  GString *result = g_string_new(NULL);
  const char *c = valid;
  for(int i = 0; *c && i < max; i++, c = g_utf8_next_char(c))
  {
    const gunichar character = g_utf8_get_char(c);
    const gboolean shown = g_unichar_isprint(character) && !_steers(character);
    g_string_append_unichar(result, shown ? character : '?');
  }
  if(*c) g_string_append(result, "…");
  g_free(valid);
  return g_string_free(result, FALSE);
}

/* All of @p text on one line, and nothing in it that a terminal obeys. */
static char *_clean_text(const char *text)
{
  char *valid = g_utf8_make_valid(text, -1);
  GString *result = g_string_new(NULL);
  for(const char *c = valid; *c; c = g_utf8_next_char(c))
  {
    const gunichar character = g_utf8_get_char(c);
    const gboolean is_blank = character == '\n' || character == '\r' || character == '\t';
    g_string_append_unichar(result, is_blank ? ' ' : _steers(character) ? '?' : character);
  }
  g_free(valid);
  return g_string_free(result, FALSE);
}

static gboolean _refuse(const _reader_t *r, const char *format, ...) G_GNUC_PRINTF(2, 3);
static gboolean _refuse(const _reader_t *r, const char *format, ...)
{
  va_list args;
  va_start(args, format);
  char *why = g_strdup_vprintf(format, args);
  va_end(args);
  g_set_error(r->error, DT_AI_ERROR, DT_AI_ERROR_NO_MODEL,
              "%s: %s. Install the model again, or correct its config.json.", r->path, why);
  g_free(why);
  return FALSE;
}

static void _remark(GPtrArray *remarks, const char *format, ...) G_GNUC_PRINTF(2, 3);
static void _remark(GPtrArray *remarks, const char *format, ...)
{
  if(remarks->len >= MAX_REMARKS) return;
  va_list args;
  va_start(args, format);
  g_ptr_array_add(remarks, g_strdup_vprintf(format, args));
  va_end(args);
}

static gboolean _is_identifier(const char *key)
{
  for(const char *c = key; *c; c++)
    if(!g_ascii_isalnum(*c) && *c != '_' && *c != '-') return FALSE;
  return *key && strlen(key) <= MAX_SHOWN;
}

/* The JSON path of member @p key of the object at @p parent. */
static char *_member_path(const char *parent, const char *key)
{
  if(_is_identifier(key)) return g_strdup_printf("%s.%s", parent, key);
  char *shown = dt_manifest_printable(key, MAX_SHOWN);
  char *path = g_strdup_printf("%s['%s']", parent, shown);
  g_free(shown);
  return path;
}

static const char *_kind_name(guint kind)
{
  switch(kind)
  {
  case TEXT: return "a string";
  case BOOL: return "true or false";
  case INT: return "a whole number";
  case REAL: return "a fractional number";
  case INT | REAL: return "a number";
  case LIST: return "a list";
  case OBJECT: return "an object";
  case LIST | OBJECT: return "a list or an object";
  case TEXT | OBJECT: return "a string or an object";
  default: return "null";
  }
}

/* --- the text, before json-glib sees it --- */

static int _hex4(const char *c)
{
  int value = 0;
  for(int i = 0; i < 4; i++)
  {
    if(!g_ascii_isxdigit(c[i])) return -1;
    value = value << 4 | g_ascii_xdigit_value(c[i]);
  }
  return value;
}

/* The character after the escape at @p c, or NULL when JSON has no such escape. Half of a surrogate pair is
 * none: json-glib takes the rest from what follows, quotes included, and then sees other strings than we. */
static const char *_skip_escape(const char *c)
{
  if(c[1] != 'u') return c[1] && strchr("\"\\/bfnrt", c[1]) ? c + 2 : NULL;
  const int first = _hex4(c + 2);
  if(first < 0 || (first >= 0xdc00 && first <= 0xdfff)) return NULL;
  if(first < 0xd800 || first > 0xdbff) return c + 6;
  const int second = c[6] == '\\' && c[7] == 'u' ? _hex4(c + 8) : -1;
  return second >= 0xdc00 && second <= 0xdfff ? c + 12 : NULL;
}

/* The character after the string that starts at @p c, or NULL with *fault set. */
static const char *_skip_string(const char *c, const char **fault)
{
  for(c++; *c != '"';)
  {
    const char *next = *c == '\\' ? _skip_escape(c) : *c ? c + 1 : NULL;
    if(!next) *fault = c;
    if(!next) return NULL;
    c = next;
  }
  return c + 1;
}

/* What JSON has outside strings. json-glib knows comments and single quotes as well, where brackets hide. */
static gboolean _is_plain(char c)
{
  return g_ascii_isalnum(c) || strchr(" \t\r\n{}[]:,+-.", c);
}

static const char *_skip_byte_order_mark(const char *text)
{
  return g_str_has_prefix(text, "\xef\xbb\xbf") ? text + 3 : text;
}

/* How deep @p text nests, up to the first character that JSON does not have there; *fault points at it. */
static int _count_levels(const char *text, const char **fault)
{
  int level = 0, deepest = 0;
  *fault = NULL;
  for(const char *c = _skip_byte_order_mark(text); c && *c;)
  {
    if(*c == '{' || *c == '[') level++;
    if(*c == '}' || *c == ']') level--;
    deepest = MAX(deepest, level);
    if(*c == '"')
      c = _skip_string(c, fault);
    else if(_is_plain(*c))
      c++;
    else
      *fault = c, c = NULL;
  }
  return deepest;
}

gboolean dt_manifest_nests_deeper(const char *text, int limit)
{
  const char *fault;
  const int deepest = _count_levels(text, &fault);
  if(!fault) return deepest > limit;
  int brackets = 0;
  for(const char *c = text; *c && brackets <= limit; c++) brackets += *c == '{' || *c == '[';
  return brackets > limit;
}

static gboolean _refuse_fault(const _reader_t *r, const char *text, const char *fault)
{
  int line = 1, column = 1;
  for(const char *c = _skip_byte_order_mark(text); c < fault; c++)
  {
    if((*c & 0xc0) != 0x80) column++; /* characters, not bytes */
    if(*c == '\n') line++, column = 1;
  }
  if(!*fault) return _refuse(r, "line %d, column %d: a string is not closed", line, column);
  if(*fault == '\\')
    return _refuse(r, "line %d, column %d: JSON has no such escape in a string", line, column);
  char *shown = dt_manifest_printable(fault, 1);
  _refuse(r, "line %d, column %d: this character is not JSON: %.*s", line, column,
          (int)(g_utf8_next_char(shown) - shown), shown);
  g_free(shown);
  return FALSE;
}

static gboolean _check_text(const _reader_t *r, const char *text, gsize size)
{
  const char *fault;
  if(strlen(text) != size) return _refuse(r, "it is a binary file, not a manifest");
  const int levels = _count_levels(text, &fault);
  if(levels > MAX_LEVELS) return _refuse(r, "it nests deeper than %d levels", MAX_LEVELS);
  return !fault || _refuse_fault(r, text, fault);
}

/* A pipe would be waited for and a file of gigabytes read: both are refused by their looks. */
static gboolean _check_file(const _reader_t *r)
{
  GStatBuf info;
  if(g_stat(r->path, &info) != 0) return TRUE; /* reading says why */
  if(!S_ISREG(info.st_mode)) return _refuse(r, "it is not a plain file");
  if(info.st_size > MAX_MANIFEST_BYTES)
    return _refuse(r, "it has %" G_GINT64_FORMAT " bytes; a manifest has at most %d", (gint64)info.st_size,
                   MAX_MANIFEST_BYTES);
  return TRUE;
}

static char *_read_text(const _reader_t *r)
{
  char *text = NULL;
  gsize size = 0;
  GError *cause = NULL;
  if(!_check_file(r)) return NULL;
  if(!g_file_get_contents(r->path, &text, &size, &cause))
    _refuse(r, "%s", cause->message);
  else if(!_check_text(r, text, size))
    g_clear_pointer(&text, g_free);
  g_clear_error(&cause);
  return text;
}

/* --- parsing --- */

static void _on_object_start(JsonParser *parser, gpointer data)
{
  (void)parser;
  _reader_t *r = data;
  g_ptr_array_add(r->objects, g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL));
}

/* json-glib keeps the last of two values in silence. */
static void _on_object_member(JsonParser *parser, JsonObject *object, const char *key, gpointer data)
{
  (void)parser;
  (void)object;
  _reader_t *r = data;
  GHashTable *seen = r->objects->len ? r->objects->pdata[r->objects->len - 1] : NULL;
  if(!seen || g_hash_table_add(seen, g_strdup(key))) return;
  char *shown = dt_manifest_printable(key, MAX_SHOWN);
  _remark(r->remarks, "The key \"%s\" is given more than once in one object; the last one counts.", shown);
  g_free(shown);
}

static void _on_object_end(JsonParser *parser, JsonObject *object, gpointer data)
{
  (void)parser;
  (void)object;
  _reader_t *r = data;
  if(r->objects->len) g_ptr_array_set_size(r->objects, (int)r->objects->len - 1);
}

/* json-glib writes "<data>:2:7: …". */
static gboolean _refuse_syntax(const _reader_t *r, const char *message)
{
  const char *c = strchr(message, ':');
  char *end = NULL;
  const guint64 line = c ? g_ascii_strtoull(c + 1, &end, 10) : 0;
  const guint64 column = end && *end == ':' ? g_ascii_strtoull(end + 1, &end, 10) : 0;
  const char *words = line && end && *end == ':' ? end + 1 : message;
  while(*words == ' ') words++;
  char *shown = dt_manifest_printable(words, 3 * MAX_SHOWN);
  if(line)
    _refuse(r, "line %" G_GUINT64_FORMAT ", column %" G_GUINT64_FORMAT ": %s", line, column, shown);
  else
    _refuse(r, "it is not JSON: %s", shown);
  g_free(shown);
  return FALSE;
}

static guint _kind_of(JsonNode *node)
{
  if(!node || JSON_NODE_HOLDS_NULL(node)) return NOTHING;
  if(JSON_NODE_HOLDS_ARRAY(node)) return LIST;
  if(JSON_NODE_HOLDS_OBJECT(node)) return OBJECT;
  const GType type = json_node_get_value_type(node);
  return type == G_TYPE_STRING ? TEXT : type == G_TYPE_BOOLEAN ? BOOL : type == G_TYPE_INT64 ? INT : REAL;
}

static JsonNode *_parse_object(_reader_t *r, const char *text)
{
  GError *cause = NULL;
  JsonParser *parser = json_parser_new();
  g_signal_connect(parser, "object-start", G_CALLBACK(_on_object_start), r);
  g_signal_connect(parser, "object-member", G_CALLBACK(_on_object_member), r);
  g_signal_connect(parser, "object-end", G_CALLBACK(_on_object_end), r);
  JsonNode *root = NULL;
  if(!json_parser_load_from_data(parser, text, -1, &cause))
    _refuse_syntax(r, cause->message);
  else
    root = json_parser_steal_root(parser);
  if(!cause && _kind_of(root) != OBJECT)
  {
    _refuse(r, "$ is %s, but an object is needed", root ? _kind_name(_kind_of(root)) : "empty");
    g_clear_pointer(&root, json_node_unref);
  }
  g_clear_error(&cause);
  g_object_unref(parser);
  return root;
}

/* --- checking --- */

static gboolean _check_kind(const _reader_t *r, JsonNode *node, guint kinds, const char *path)
{
  const guint kind = _kind_of(node);
  return kind & (kinds | NOTHING)
         || _refuse(r, "%s is %s, but %s is needed", path, _kind_name(kind), _kind_name(kinds));
}

static gboolean _check_kinds(const _reader_t *r, JsonObject *o)
{
  gboolean ok = TRUE;
  for(const _key_t *key = _keys; ok && key->name; key++)
  {
    char *path = _member_path("$", key->name);
    ok = _check_kind(r, json_object_get_member(o, key->name), key->kinds, path);
    g_free(path);
  }
  return ok;
}

/* Numbers too large for a double cannot be written as JSON again, and the attributes are kept as JSON. */
static gboolean _is_finite(JsonNode *node)
{
  gboolean ok = TRUE;
  if(_kind_of(node) == REAL)
  {
    const double value = json_node_get_double(node);
    ok = value - value == 0;
  }
  GList *children = _kind_of(node) == OBJECT ? json_object_get_values(json_node_get_object(node))
                    : _kind_of(node) == LIST ? json_array_get_elements(json_node_get_array(node))
                                             : NULL;
  for(GList *child = children; ok && child; child = child->next) ok = _is_finite(child->data);
  g_list_free(children);
  return ok;
}

static gboolean _check_finite(const _reader_t *r, JsonObject *o)
{
  for(const _key_t *key = _keys; key->name; key++)
    if(!_is_finite(json_object_get_member(o, key->name)))
      return _refuse(r, "$.%s holds a number that is too large", key->name);
  return TRUE;
}

static const char *_text_of(JsonObject *o, const char *key)
{
  JsonNode *node = json_object_get_member(o, key);
  return _kind_of(node) == TEXT ? json_node_get_string(node) : NULL;
}

static gboolean _check_texts(const _reader_t *r, JsonObject *o)
{
  const char *id = _text_of(o, "id"), *task = _text_of(o, "task"), *backend = _text_of(o, "backend");
  if(!id) return _refuse(r, "$.id is missing; a string is needed");
  if(!_text_of(o, "name")) return _refuse(r, "$.name is missing; a string is needed");
  if(!dt_manifest_id_is_safe(id))
    return _refuse(
        r,
        "$.id is not a plain file name (not empty, no \"..\", no slash, no \"=\", no \"#\" in front, "
        "no blank at either end, no control characters, at most %d bytes)",
        MAX_NAME);
  if(task && !_is_settings_word(task))
    return _refuse(
        r,
        "$.task is not one line of text that can be a name (no \"=\", no \"#\" in front, no blank at "
        "either end, no control characters, at most %d bytes); leave it out for a model without a task",
        MAX_NAME);
  if(backend && strcmp(backend, "onnx") != 0)
    return _refuse(r, "$.backend is not \"onnx\", the only one supported");
  return TRUE;
}

static gboolean _check_num_inputs(const _reader_t *r, JsonObject *o)
{
  JsonNode *node = json_object_get_member(o, "num_inputs");
  if(_kind_of(node) != INT) return TRUE;
  const gint64 value = json_node_get_int(node);
  return (value >= 1 && value <= MAX_INPUTS)
         || _refuse(r, "$.num_inputs is %" G_GINT64_FORMAT ", which is not between 1 and %d", value,
                    MAX_INPUTS);
}

static gboolean _check_spatial_dims(const _reader_t *r, JsonObject *o)
{
  JsonNode *node = json_object_get_member(o, "spatial_dims");
  if(_kind_of(node) != LIST) return TRUE;
  JsonArray *list = json_node_get_array(node);
  if(json_array_get_length(list) != 2)
    return _refuse(r, "$.spatial_dims has %u elements, but two are needed: the names of height and width",
                   json_array_get_length(list));
  for(guint i = 0; i < 2; i++)
  {
    JsonNode *name = json_array_get_element(list, i);
    if(_kind_of(name) != TEXT)
      return _refuse(r, "$.spatial_dims[%u] is %s, but a string is needed", i, _kind_name(_kind_of(name)));
    if(!*json_node_get_string(name)) return _refuse(r, "$.spatial_dims[%u] is empty", i);
  }
  return TRUE;
}

static gboolean _check_sizes(const _reader_t *r, JsonNode *node, const char *path)
{
  if(!_check_kind(r, node, LIST, path)) return FALSE;
  JsonArray *list = _kind_of(node) == LIST ? json_node_get_array(node) : NULL;
  for(guint i = 0; list && i < json_array_get_length(list); i++)
  {
    JsonNode *element = json_array_get_element(list, i);
    if(_kind_of(element) != INT)
      return _refuse(r, "%s[%u] is %s, but a whole number is needed", path, i, _kind_name(_kind_of(element)));
    const gint64 size = json_node_get_int(element);
    if(size < 1 || size > MAX_INPUT_SIZE)
      return _refuse(r, "%s[%u] is %" G_GINT64_FORMAT ", which is not between 1 and %d", path, i, size,
                     MAX_INPUT_SIZE);
  }
  return TRUE;
}

/* The sizes in the object at @p path: the attributes, or those of one file. */
static gboolean _check_sizes_of(const _reader_t *r, JsonNode *node, const char *path)
{
  char *sizes = _member_path(path, "input_sizes");
  const gboolean ok =
      _check_sizes(r, json_object_get_member(json_node_get_object(node), "input_sizes"), sizes);
  g_free(sizes);
  return ok;
}

static gboolean _check_attributes(const _reader_t *r, JsonObject *o)
{
  JsonNode *node = json_object_get_member(o, "attributes");
  if(_kind_of(node) != OBJECT) return TRUE;
  gboolean ok = _check_sizes_of(r, node, "$.attributes");
  JsonObjectIter iter;
  const char *stem;
  JsonNode *member;
  json_object_iter_init_ordered(&iter, json_node_get_object(node));
  while(ok && json_object_iter_next_ordered(&iter, &stem, &member))
  {
    if(_kind_of(member) != OBJECT) continue;
    char *path = _member_path("$.attributes", stem);
    ok = _check_sizes_of(r, member, path);
    g_free(path);
  }
  return ok;
}

static gboolean _check(const _reader_t *r, JsonObject *o)
{
  return _check_kinds(r, o) && _check_texts(r, o) && _check_num_inputs(r, o) && _check_spatial_dims(r, o)
         && _check_attributes(r, o) && _check_finite(r, o);
}

/* --- remarks --- */

static const _key_t *_find_key(const _key_t *keys, const char *name)
{
  for(; keys->name; keys++)
    if(strcmp(keys->name, name) == 0) return keys;
  return NULL;
}

static void _remark_member(GPtrArray *remarks, const _key_t *key, JsonNode *node, const char *path)
{
  const guint kind = _kind_of(node);
  if(!key)
    _remark(remarks, "%s is not a key this program knows; it is ignored.", path);
  else if(!(kind & (key->kinds | NOTHING)))
    _remark(remarks, "%s is %s instead of %s; it is ignored.", path, _kind_name(kind),
            _kind_name(key->kinds));
}

static void _remark_object(GPtrArray *remarks, const _key_t *keys, JsonNode *node, const char *path)
{
  JsonObjectIter iter;
  const char *name;
  JsonNode *member;
  if(_kind_of(node) != OBJECT) return;
  json_object_iter_init_ordered(&iter, json_node_get_object(node));
  while(json_object_iter_next_ordered(&iter, &name, &member))
  {
    char *member_path = _member_path(path, name);
    const _key_t *key = _find_key(keys, name);
    /* the attributes of one file; nothing is nested deeper */
    if(!key && keys == _attribute_keys && strcmp(path, "$.attributes") == 0 && _kind_of(member) == OBJECT)
      _remark_object(remarks, keys, member, member_path);
    else
      _remark_member(remarks, key, member, member_path);
    g_free(member_path);
  }
}

static gboolean _is_word(const char *text)
{
  for(const char *c = text; *c; c++)
    if(!g_ascii_islower(*c) && !g_ascii_isdigit(*c)) return FALSE;
  return *text;
}

/* <task>-<model>[-<size>], and for masks <task>-<subtask>-<model>[-<size>]. */
static gboolean _follows_convention(const dt_manifest_t *m)
{
  char **parts = g_strsplit(m->id, "-", -1);
  const guint n = g_strv_length(parts);
  gboolean ok = n >= (strcmp(m->task, "mask") == 0 ? 3u : 2u) && strcmp(parts[0], m->task) == 0;
  for(guint i = 0; ok && i < n; i++) ok = _is_word(parts[i]);
  g_strfreev(parts);
  return ok;
}

static void _remark_names(const dt_manifest_t *m, GPtrArray *remarks)
{
  char *id = dt_manifest_printable(m->id, MAX_SHOWN), *task = dt_manifest_printable(m->task, MAX_SHOWN);
  if(!_follows_convention(m))
    _remark(remarks,
            "$.id is \"%s\"; by convention it is <task>-<model>[-<size>] in lowercase letters, digits and "
            "hyphens, here %s%s-….",
            id, task, strcmp(m->task, "mask") == 0 ? "-<subtask>" : "");
  if(!*m->version)
    _remark(remarks, "$.version is empty or missing; without it an update cannot be recognised.");
  g_free(task);
  g_free(id);
}

static void _collect_remarks(const dt_manifest_t *m, JsonNode *root, GPtrArray *remarks)
{
  JsonObject *o = json_node_get_object(root);
  _remark_names(m, remarks);
  _remark_object(remarks, _keys, root, "$");
  _remark_object(remarks, _card_keys, json_object_get_member(o, "model_card"), "$.model_card");
  _remark_object(remarks, _attribute_keys, json_object_get_member(o, "attributes"), "$.attributes");
}

static gpointer _copy_text(gconstpointer text, gpointer unused)
{
  (void)unused;
  return g_strdup(text);
}

GPtrArray *dt_manifest_remarks(const dt_manifest_t *m)
{
  GPtrArray *copy = g_ptr_array_copy(m->remarks, _copy_text, NULL);
  g_ptr_array_set_free_func(copy, g_free);
  return copy;
}

/* --- the manifest --- */

static char *_dup_text(JsonObject *o, const char *key, const char *fallback)
{
  const char *text = _text_of(o, key);
  return text ? _clean_text(text) : g_strdup(fallback);
}

static JsonNode *_clean_node(JsonNode *node);

static JsonNode *_clean_list(JsonArray *list)
{
  JsonArray *copy = json_array_new();
  for(guint i = 0; i < json_array_get_length(list); i++)
    json_array_add_element(copy, _clean_node(json_array_get_element(list, i)));
  JsonNode *node = json_node_new(JSON_NODE_ARRAY);
  json_node_take_array(node, copy);
  return node;
}

static JsonNode *_clean_object(JsonObject *object)
{
  JsonObject *copy = json_object_new();
  JsonObjectIter iter;
  const char *key;
  JsonNode *member;
  json_object_iter_init_ordered(&iter, object);
  while(json_object_iter_next_ordered(&iter, &key, &member))
  {
    char *clean = _clean_text(key);
    json_object_set_member(copy, clean, _clean_node(member));
    g_free(clean);
  }
  JsonNode *node = json_node_new(JSON_NODE_OBJECT);
  json_node_take_object(node, copy);
  return node;
}

/* JSON escapes only half of what steers a terminal, and whoever prints a single member has it unescaped. The
 * depth is bounded by MAX_LEVELS. */
static JsonNode *_clean_node(JsonNode *node)
{
  if(_kind_of(node) == LIST) return _clean_list(json_node_get_array(node));
  if(_kind_of(node) == OBJECT) return _clean_object(json_node_get_object(node));
  JsonNode *copy = json_node_copy(node);
  char *clean = _kind_of(node) == TEXT ? _clean_text(json_node_get_string(node)) : NULL;
  if(clean) json_node_set_string(copy, clean);
  g_free(clean);
  return copy;
}

static char *_dup_json(JsonObject *o, const char *key)
{
  JsonNode *node = json_object_get_member(o, key);
  if(_kind_of(node) == NOTHING) return NULL;
  JsonNode *clean = _clean_node(node);
  char *text = json_to_string(clean, FALSE);
  json_node_unref(clean);
  return text;
}

static char *_dup_dim(JsonObject *o, guint index, const char *fallback)
{
  JsonNode *node = json_object_get_member(o, "spatial_dims");
  return g_strdup(_kind_of(node) == LIST ? json_array_get_string_element(json_node_get_array(node), index)
                                         : fallback);
}

/* @p root has passed _check(). */
static dt_manifest_t *_from_object(JsonNode *root, const char *directory, GPtrArray *remarks)
{
  JsonObject *o = json_node_get_object(root);
  JsonNode *inputs = json_object_get_member(o, "num_inputs"), *tiling = json_object_get_member(o, "tiling");
  dt_manifest_t *m = g_atomic_rc_box_new0(dt_manifest_t);
  m->id = _dup_text(o, "id", NULL);
  m->name = _dup_text(o, "name", NULL);
  m->description = _dup_text(o, "description", "");
  m->task = _dup_text(o, "task", "general");
  m->backend = _dup_text(o, "backend", "onnx");
  m->arch = _dup_text(o, "arch", "generic");
  m->version = _dup_text(o, "version", "");
  m->num_inputs = _kind_of(inputs) == INT ? (int)json_node_get_int(inputs) : 1;
  m->tiling = _kind_of(tiling) == BOOL && json_node_get_boolean(tiling);
  m->spatial_dims[0] = _dup_dim(o, 0, "height");
  m->spatial_dims[1] = _dup_dim(o, 1, "width");
  m->attributes = _dup_json(o, "attributes");
  m->cpu_only = _dup_json(o, "cpu_only");
  m->coreml_format = _dup_json(o, "coreml_format");
  m->model_card = _dup_json(o, "model_card");
  m->directory = g_canonicalize_filename(directory, NULL);
  m->remarks = g_ptr_array_ref(remarks);
  _collect_remarks(m, root, remarks);
  return m;
}

dt_manifest_t *dt_manifest_read(const char *directory, GError **error)
{
  _reader_t r = { .path = g_build_filename(directory, "config.json", NULL),
                  .objects = g_ptr_array_new_with_free_func((GDestroyNotify)g_hash_table_unref),
                  .remarks = g_ptr_array_new_with_free_func(g_free),
                  .error = error };
  char *text = _read_text(&r);
  JsonNode *root = text ? _parse_object(&r, text) : NULL;
  dt_manifest_t *m =
      root && _check(&r, json_node_get_object(root)) ? _from_object(root, directory, r.remarks) : NULL;
  g_clear_pointer(&root, json_node_unref);
  g_free(text);
  g_ptr_array_unref(r.remarks);
  g_ptr_array_unref(r.objects);
  g_free(r.path);
  return m;
}

static void _clear_manifest(gpointer data)
{
  dt_manifest_t *m = data;
  char *strings[] = { m->id,
                      m->name,
                      m->description,
                      m->task,
                      m->backend,
                      m->arch,
                      m->version,
                      m->spatial_dims[0],
                      m->spatial_dims[1],
                      m->attributes,
                      m->cpu_only,
                      m->coreml_format,
                      m->model_card,
                      m->directory };
  for(size_t i = 0; i < G_N_ELEMENTS(strings); i++) g_free(strings[i]);
  g_ptr_array_unref(m->remarks);
}

dt_manifest_t *dt_manifest_ref(const dt_manifest_t *m)
{
  return g_atomic_rc_box_acquire((gpointer)m);
}

void dt_manifest_unref(dt_manifest_t *m)
{
  if(m) g_atomic_rc_box_release_full(m, _clear_manifest);
}

/* --- attributes --- */

/* The member @p key of the attributes: of the object of one file (@p nested), or of the top level. */
static JsonNode *_find_member(JsonNode *root, const char *key, gboolean nested)
{
  const char *dot = strchr(key, '.');
  if(_kind_of(root) != OBJECT || (nested && !dot)) return NULL;
  JsonObject *top = json_node_get_object(root);
  if(!nested) return json_object_get_member(top, dot ? dot + 1 : key);
  char *stem = g_strndup(key, (gsize)(dot - key));
  JsonNode *file = json_object_get_member(top, stem);
  g_free(stem);
  return _kind_of(file) == OBJECT ? json_object_get_member(json_node_get_object(file), dot + 1) : NULL;
}

/* The attribute called @p key if it is of a kind wanted, or NULL; *root is to be unreferenced
 * afterwards. */
static JsonNode *_find_attribute(const dt_manifest_t *m, const char *key, guint kinds, JsonNode **root)
{
  *root = m->attributes ? json_from_string(m->attributes, NULL) : NULL;
  JsonNode *found = _find_member(*root, key, TRUE);
  if(!(_kind_of(found) & kinds)) found = _find_member(*root, key, FALSE);
  return _kind_of(found) & kinds ? found : NULL;
}

gboolean dt_manifest_has_attribute(const dt_manifest_t *m, const char *key)
{
  JsonNode *root = m->attributes ? json_from_string(m->attributes, NULL) : NULL;
  const gboolean has = _find_member(root, key, TRUE) || _find_member(root, key, FALSE);
  g_clear_pointer(&root, json_node_unref);
  return has;
}

gboolean dt_manifest_attribute_bool(const dt_manifest_t *m, const char *key, gboolean fallback)
{
  JsonNode *root, *node = _find_attribute(m, key, BOOL, &root);
  if(node) fallback = json_node_get_boolean(node);
  g_clear_pointer(&root, json_node_unref);
  return fallback;
}

double dt_manifest_attribute_double(const dt_manifest_t *m, const char *key, double fallback)
{
  JsonNode *root, *node = _find_attribute(m, key, INT | REAL, &root);
  if(node) fallback = json_node_get_double(node);
  g_clear_pointer(&root, json_node_unref);
  return fallback;
}

char *dt_manifest_attribute_string(const dt_manifest_t *m, const char *key)
{
  JsonNode *root, *node = _find_attribute(m, key, TEXT, &root);
  char *result = node ? g_strdup(json_node_get_string(node)) : NULL;
  g_clear_pointer(&root, json_node_unref);
  return result;
}

int dt_manifest_attribute_ints(const dt_manifest_t *m, const char *key, int *values, int max)
{
  JsonNode *root, *node = _find_attribute(m, key, LIST, &root);
  JsonArray *array = node ? json_node_get_array(node) : NULL;
  int n = 0;
  for(guint i = 0; array && i < json_array_get_length(array) && n < max; i++)
  {
    JsonNode *element = json_array_get_element(array, i);
    if(_kind_of(element) & (INT | REAL))
      values[n++] = (int)CLAMP(json_node_get_double(element), (double)G_MININT, (double)G_MAXINT);
  }
  g_clear_pointer(&root, json_node_unref);
  return n;
}
