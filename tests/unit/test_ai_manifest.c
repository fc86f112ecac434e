/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Manifests: both published forms, every field's default, and files that are wrong in every way there is. */
#include "support.h"

#include "common/ai_manifest.h"

#include <glib/gstdio.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* --- helpers --- */

static dt_manifest_t *_read_bytes(const char *bytes, gssize size, GError **error)
{
  char *path = g_build_filename(test_world, "config.json", NULL);
  assert_true(g_file_set_contents(path, bytes, size, NULL));
  dt_manifest_t *m = dt_manifest_read(test_world, error);
  g_free(path);
  return m;
}

static dt_manifest_t *_read(const char *json)
{
  GError *error = NULL;
  dt_manifest_t *m = _read_bytes(json, -1, &error);
  assert_no_error(error);
  assert_non_null(m);
  return m;
}

/* Refused with a sentence that names the file and holds @p words. */
static void _assert_refused_for(const char *bytes, gssize size, const char *words)
{
  GError *error = NULL;
  dt_manifest_t *m = _read_bytes(bytes, size, &error);
  if(m) fail_msg("accepted: %.200s", bytes);
  assert_true(g_error_matches(error, DT_AI_ERROR, DT_AI_ERROR_NO_MODEL));
  assert_non_null(strstr(error->message, "config.json: "));
  assert_non_null(strstr(error->message, "Install the model again"));
  if(!strstr(error->message, words)) fail_msg("\"%s\" lacks \"%s\"", error->message, words);
  assert_true(g_utf8_validate(error->message, -1, NULL));
  g_error_free(error);
}

static void _assert_refused(const char *bytes, gssize size)
{
  _assert_refused_for(bytes, size, "Install");
}

/* A complete manifest with @p extra in front of the closing brace. */
static dt_manifest_t *_read_with(const char *extra)
{
  char *json = g_strdup_printf("{\"id\": \"x\", \"name\": \"X\"%s%s}", *extra ? ", " : "", extra);
  dt_manifest_t *m = _read(json);
  g_free(json);
  return m;
}

/* --- the two forms --- */

static void test_defaults(void **state)
{
  (void)state;
  dt_manifest_t *m = _read("{\"id\": \"denoise-x\", \"name\": \"an x\"}");
  assert_string_equal(m->id, "denoise-x");
  assert_string_equal(m->name, "an x");
  assert_string_equal(m->description, "");
  assert_string_equal(m->task, "general");
  assert_string_equal(m->backend, "onnx");
  assert_string_equal(m->arch, "generic");
  assert_string_equal(m->version, "");
  assert_int_equal(m->num_inputs, 1);
  assert_false(m->tiling);
  assert_null(m->attributes);
  assert_null(m->cpu_only);
  assert_null(m->coreml_format);
  assert_null(m->model_card);
  assert_string_equal(m->directory, test_world);
  dt_manifest_unref(m);
}

static void test_form_of_the_specification(void **state)
{
  (void)state;
  dt_manifest_t *m = _read("{\n  \"id\": \"denoise-nind\",\n  \"name\": \"denoise nind\",\n"
                           "  \"description\": \"UNet denoiser trained on NIND dataset\",\n"
                           "  \"task\": \"denoise\",\n  \"backend\": \"onnx\",\n  \"num_inputs\": 2\n}\n");
  assert_string_equal(m->id, "denoise-nind");
  assert_string_equal(m->description, "UNet denoiser trained on NIND dataset");
  assert_string_equal(m->task, "denoise");
  assert_int_equal(m->num_inputs, 2);
  dt_manifest_unref(m);
}

/* The one that packages of release 5.6 have. */
static const char _published[] =
    "{\"id\": \"rawdenoise-nind\", \"name\": \"raw denoise nind\", \"description\": \"Für Körner – "
    "ünïcödé\","
    " \"task\": \"rawdenoise\", \"arch\": \"utnet2\", \"backend\": \"onnx\", \"version\": \"1.0\","
    " \"tiling\": true, \"model_card\": {\"author\": \"somebody\", \"notes\": null},"
    " \"attributes\": {\"input_sizes\": [512], \"shadow_boost\": true, \"target_mean\": 0.25, "
    "\"wb_norm\": \"none\","
    "  \"model_bayer\": {\"input_kind\": \"bayer_v1\", \"target_mean\": 0.5, \"input_sizes\": "
    "[256, 128]},"
    "  \"model_linear\": {\"input_kind\": \"linear_v1\", \"target_mean\": null, \"wb_norm\": 3}},"
    " \"cpu_only\": {\"model_bayer\": [\"coreml\"]}, \"coreml_format\": \"mlprogram\", "
    "\"spatial_dims\": [\"h\", \"w\"]}";

static void test_form_as_published(void **state)
{
  (void)state;
  dt_manifest_t *m = _read(_published);
  assert_string_equal(m->arch, "utnet2");
  assert_string_equal(m->version, "1.0");
  assert_string_equal(m->description, "Für Körner – ünïcödé");
  assert_true(m->tiling);
  assert_int_equal(m->num_inputs, 1);
  assert_string_equal(m->cpu_only, "{\"model_bayer\":[\"coreml\"]}");
  assert_string_equal(m->coreml_format, "\"mlprogram\"");
  assert_string_equal(m->model_card, "{\"author\":\"somebody\",\"notes\":null}");
  assert_non_null(strstr(m->attributes, "\"shadow_boost\":true"));
  assert_string_equal(m->spatial_dims[0], "h");
  assert_string_equal(m->spatial_dims[1], "w");
  dt_manifest_unref(m);
}

/* --- attributes --- */

static void _assert_string_attribute(const dt_manifest_t *m, const char *key, const char *expected)
{
  char *value = dt_manifest_attribute_string(m, key);
  if(expected)
    assert_string_equal(value, expected);
  else
    assert_null(value);
  g_free(value);
}

static void test_attributes(void **state)
{
  (void)state;
  dt_manifest_t *m = _read(_published);
  int sizes[4] = { -1, -1, -1, -1 };
  assert_true(dt_manifest_attribute_bool(m, "shadow_boost", FALSE));
  assert_int_equal(dt_manifest_attribute_ints(m, "input_sizes", sizes, 4), 1);
  assert_int_equal(sizes[0], 512);
  assert_true(dt_manifest_attribute_double(m, "target_mean", 9) == 0.25);
  _assert_string_attribute(m, "wb_norm", "none");
  /* nested first */
  _assert_string_attribute(m, "model_bayer.input_kind", "bayer_v1");
  _assert_string_attribute(m, "model_linear.input_kind", "linear_v1");
  assert_true(dt_manifest_attribute_double(m, "model_bayer.target_mean", 9) == 0.5);
  assert_int_equal(dt_manifest_attribute_ints(m, "model_bayer.input_sizes", sizes, 4), 2);
  assert_int_equal(sizes[1], 128);
  assert_int_equal(dt_manifest_attribute_ints(m, "model_bayer.input_sizes", sizes, 1), 1);
  assert_int_equal(sizes[0], 256);
  /* then the top level: absent, null and of another type are the same */
  assert_true(dt_manifest_attribute_bool(m, "model_bayer.shadow_boost", FALSE));
  assert_int_equal(dt_manifest_attribute_ints(m, "model_linear.input_sizes", sizes, 4), 1);
  assert_true(dt_manifest_attribute_double(m, "model_linear.target_mean", 9) == 0.25);
  _assert_string_attribute(m, "model_linear.wb_norm", "none");
  assert_true(dt_manifest_attribute_bool(m, "no_such_stem.shadow_boost", FALSE));
  /* nowhere */
  _assert_string_attribute(m, "model_bayer.nothing", NULL);
  _assert_string_attribute(m, "input_kind", NULL);
  _assert_string_attribute(m, "", NULL);
  _assert_string_attribute(m, ".", NULL);
  dt_manifest_unref(m);
}

static void test_attributes_of_another_type(void **state)
{
  (void)state;
  dt_manifest_t *m =
      _read_with("\"attributes\": {\"s\": \"text\", \"b\": true, \"i\": 3, \"d\": 2.5, \"n\": null,"
                 " \"a\": [1, \"two\", 3.9, null, true, [4], 1e99, -1e99], \"o\": {\"x\": 1}}");
  static const char *const keys[] = { "s", "b", "i", "d", "n", "a", "o", "o.y", "missing" };
  for(size_t i = 0; i < G_N_ELEMENTS(keys); i++)
  {
    int values[8];
    const char key = keys[i][1] ? '-' : keys[i][0];
    assert_int_equal(dt_manifest_attribute_bool(m, keys[i], FALSE), key == 'b');
    assert_int_equal(dt_manifest_attribute_bool(m, keys[i], TRUE), TRUE);
    const double expected = key == 'i' ? 3 : key == 'd' ? 2.5 : -7;
    assert_true(dt_manifest_attribute_double(m, keys[i], -7) == expected);
    _assert_string_attribute(m, keys[i], key == 's' ? "text" : NULL);
    assert_int_equal(dt_manifest_attribute_ints(m, keys[i], values, 8), key == 'a' ? 4 : 0);
  }
  int values[8];
  assert_int_equal(dt_manifest_attribute_ints(m, "a", values, 8), 4);
  assert_int_equal(values[0], 1);
  assert_int_equal(values[1], 3);
  assert_int_equal(values[2], INT_MAX);
  assert_int_equal(values[3], INT_MIN);
  assert_int_equal(dt_manifest_attribute_ints(m, "a", values, 0), 0);
  dt_manifest_unref(m);
}

/* --- wrong types and values --- */

/* One value of each JSON type, and what messages call it. */
static const struct
{
  const char *value, *words;
} _values[] = {
  { "\"x\"", "a string" },          { "true", "true or false" }, { "2", "a whole number" },
  { "2.5", "a fractional number" }, { "[]", "a list" },          { "{}", "an object" },
};

/* Every key with a value of every wrong type is refused, with its JSON path. */
static void test_wrong_types(void **state)
{
  (void)state;
  static const struct
  {
    const char *key;
    const char *right; /* of _values, by index */
    const char *needed;
  } keys[] = {
    { "id", "0", "a string" },
    { "name", "0", "a string" },
    { "description", "0", "a string" },
    { "task", "0", "a string" },
    { "backend", "0", "a string" },
    { "arch", "0", "a string" },
    { "version", "0", "a string" },
    { "num_inputs", "2", "a whole number" },
    { "tiling", "1", "true or false" },
    { "spatial_dims", "4", "a list" },
    { "attributes", "5", "an object" },
    { "model_card", "5", "an object" },
    { "cpu_only", "45", "a list or an object" },
    { "coreml_format", "05", "a string or an object" },
  };
  for(size_t i = 0; i < G_N_ELEMENTS(keys); i++)
    for(size_t v = 0; v < G_N_ELEMENTS(_values); v++)
    {
      if(strchr(keys[i].right, (int)('0' + v))) continue;
      char *json = g_strdup_printf(
          "{%s%s\"%s\": %s}", strcmp(keys[i].key, "id") == 0 ? "" : "\"id\": \"x\", ",
          strcmp(keys[i].key, "name") == 0 ? "" : "\"name\": \"X\", ", keys[i].key, _values[v].value);
      char *words =
          g_strdup_printf(": $.%s is %s, but %s is needed.", keys[i].key, _values[v].words, keys[i].needed);
      _assert_refused_for(json, -1, words);
      g_free(words);
      g_free(json);
    }
}

static void test_null_is_absent(void **state)
{
  (void)state;
  dt_manifest_t *m = _read_with("\"description\": null, \"task\": null, \"backend\": null, \"arch\": null,"
                                " \"version\": null, \"num_inputs\": null, \"tiling\": null,"
                                " \"spatial_dims\": null, \"attributes\": null, \"model_card\": null,"
                                " \"cpu_only\": null, \"coreml_format\": null");
  assert_string_equal(m->description, "");
  assert_string_equal(m->task, "general");
  assert_string_equal(m->backend, "onnx");
  assert_string_equal(m->arch, "generic");
  assert_string_equal(m->version, "");
  assert_int_equal(m->num_inputs, 1);
  assert_false(m->tiling);
  assert_string_equal(m->spatial_dims[0], "height");
  assert_string_equal(m->spatial_dims[1], "width");
  assert_null(m->attributes);
  assert_null(m->cpu_only);
  assert_null(m->coreml_format);
  assert_null(m->model_card);
  assert_true(dt_manifest_attribute_bool(m, "x", TRUE));
  _assert_string_attribute(m, "x.y", NULL);
  dt_manifest_unref(m);
}

/* What is inside lists and objects. */
static void test_wrong_values(void **state)
{
  (void)state;
  static const char *const cases[][2] = {
    { "\"spatial_dims\": []", "$.spatial_dims has 0 elements, but two are needed" },
    { "\"spatial_dims\": [\"h\", \"w\", \"d\"]", "$.spatial_dims has 3 elements" },
    { "\"spatial_dims\": [\"h\", 3]", "$.spatial_dims[1] is a whole number, but a string is needed" },
    { "\"spatial_dims\": [null, \"w\"]", "$.spatial_dims[0] is null" },
    { "\"spatial_dims\": [\"h\", \"\"]", "$.spatial_dims[1] is empty" },
    { "\"attributes\": {\"input_sizes\": 768}",
      "$.attributes.input_sizes is a whole number, but a list is needed" },
    { "\"attributes\": {\"input_sizes\": [\"768\"]}",
      "$.attributes.input_sizes[0] is a string, but a whole number is needed" },
    { "\"attributes\": {\"input_sizes\": [768, 512.5]}",
      "$.attributes.input_sizes[1] is a fractional number, but a whole number is needed" },
    { "\"attributes\": {\"input_sizes\": [null]}", "$.attributes.input_sizes[0] is null" },
    { "\"attributes\": {\"input_sizes\": [0]}",
      "$.attributes.input_sizes[0] is 0, which is not between 1 and 16384" },
    { "\"attributes\": {\"input_sizes\": [-64]}", "$.attributes.input_sizes[0] is -64" },
    { "\"attributes\": {\"input_sizes\": [16384, 16385]}", "$.attributes.input_sizes[1] is 16385" },
    { "\"attributes\": {\"model_x2\": {\"input_sizes\": {}}}",
      "$.attributes.model_x2.input_sizes is an object, but a list is needed" },
    { "\"attributes\": {\"model_x2\": {\"input_sizes\": [512, false]}}",
      "$.attributes.model_x2.input_sizes[1] is true or false, but a whole number is needed" },
    { "\"attributes\": {\"a b.c\": {\"input_sizes\": [\"\"]}}",
      "$.attributes['a b.c'].input_sizes[0] is a string" },
    { "\"attributes\": {\"x\": [{\"y\": 1e999}]}", "$.attributes holds a number that is too large" },
    { "\"task\": \"\"", "$.task is not one line of text" },
    { "\"task\": \"de\\nnoise\"", "$.task is not one line of text" },
    { "\"task\": \"a=b\"", "$.task is not one line of text that can be a name (no \"=\"" },
    { "\"task\": \"#a\"", "$.task is not one line of text" },
    { "\"task\": \" a\"", "$.task is not one line of text" },
    { "\"task\": \"a \"", "$.task is not one line of text" },
    { "\"task\": \"a\\u009b31m\"", "$.task is not one line of text" },
    { "\"task\": \"a\\u2028b\"", "$.task is not one line of text" },
    { "\"task\": \"a\\u202eb\"", "$.task is not one line of text" },
    { "\"num_inputs\": 17", "$.num_inputs is 17, which is not between 1 and 16" },
    { "\"backend\": \"tensorflow\"", "$.backend is not \"onnx\"" },
  };
  for(size_t i = 0; i < G_N_ELEMENTS(cases); i++)
  {
    char *json = g_strdup_printf("{\"id\": \"x\", \"name\": \"X\", %s}", cases[i][0]);
    _assert_refused_for(json, -1, cases[i][1]);
    g_free(json);
  }
  dt_manifest_unref(
      _read_with("\"attributes\": {\"input_sizes\": [1, 16384], \"m\": {\"input_sizes\": null}}"));
  dt_manifest_unref(_read_with("\"attributes\": {\"input_sizes\": []}, \"cpu_only\": [\"coreml\"]"));
}

static void test_required_fields(void **state)
{
  (void)state;
  static const char *const wrong[] = { "", "null", "42", "[]", "{}", "true" };
  for(size_t i = 0; i < G_N_ELEMENTS(wrong); i++)
  {
    char *id = g_strdup_printf("{\"name\": \"X\"%s%s}", *wrong[i] ? ", \"id\": " : "", wrong[i]);
    char *name = g_strdup_printf("{\"id\": \"x\"%s%s}", *wrong[i] ? ", \"name\": " : "", wrong[i]);
    const gboolean absent = !*wrong[i] || strcmp(wrong[i], "null") == 0;
    _assert_refused_for(id, -1, absent ? "$.id is missing; a string is needed" : "$.id is ");
    _assert_refused_for(name, -1, absent ? "$.name is missing" : "$.name is ");
    g_free(name);
    g_free(id);
  }
}

static void test_number_of_inputs(void **state)
{
  (void)state;
  static const struct
  {
    const char *text;
    int value; /* 0: refused */
  } cases[] = {
    { "1", 1 },
    { "2", 2 },
    { "16", 16 },
    { "17", 0 },
    { "0", 0 },
    { "-1", 0 },
    { "4294967297", 0 },
    { "9223372036854775807", 0 },
    { "2.0", 0 },
    { "null", 1 },
    { "99999999999999999999", 0 },
  };
  for(size_t i = 0; i < G_N_ELEMENTS(cases); i++)
  {
    char *json = g_strdup_printf("{\"id\": \"x\", \"name\": \"X\", \"num_inputs\": %s}", cases[i].text);
    if(cases[i].value)
    {
      dt_manifest_t *m = _read(json);
      assert_int_equal(m->num_inputs, cases[i].value);
      dt_manifest_unref(m);
    }
    else
      _assert_refused(json, -1);
    g_free(json);
  }
}

static void test_unknown_backend(void **state)
{
  (void)state;
  _assert_refused("{\"id\": \"x\", \"name\": \"X\", \"backend\": \"tensorflow\"}", -1);
  _assert_refused("{\"id\": \"x\", \"name\": \"X\", \"backend\": \"\"}", -1);
}

static void test_no_json(void **state)
{
  (void)state;
  static const char *const texts[] = { "",
                                       " ",
                                       "null",
                                       "[]",
                                       "\"x\"",
                                       "3",
                                       "{",
                                       "{\"id\"",
                                       "{\"id\": \"x\",",
                                       "<html>",
                                       "{\"id\": \"x\" \"name\": \"X\"}",
                                       "\xff\xfe{\"id\"" };
  for(size_t i = 0; i < G_N_ELEMENTS(texts); i++) _assert_refused(texts[i], -1);
  static const char nul[] = "{\"id\": \"x\", \"name\": \"X\"}\0 ";
  _assert_refused(nul, sizeof nul - 1);
}

/* Where a syntax error is: lines and columns count from one, characters and not bytes. */
static void test_line_and_column(void **state)
{
  (void)state;
  static const char *const cases[][2] = {
    { "{\n  \"id\": \"x\",\n  \"name\": }\n", "line 3, column " },
    { "{\n  \"id\": \"x\"\n  \"name\": \"X\"}", "line 2, column 11: " },
    { "{\"id\": \"x\",", "line 1, column " },
    { "{\n  \"id\": 'x'}", "line 2, column 9: this character is not JSON: '" },
    { "{ /* no */ }", "line 1, column 3: this character is not JSON: /" },
    { "{\n\n# no\n}", "line 3, column 1: this character is not JSON: #" },
    { "var x = {}", "line 1, column 7: this character is not JSON: =" },
    { "{\"id\": \"äöü\", ü}", "line 1, column 15: this character is not JSON: ü" },
    { "{\"id\": \"\\q\"}", "line 1, column 9: JSON has no such escape" },
    { "{\"id\": \"\\u12\"}", "line 1, column 9: JSON has no such escape" },
    { "{\"id\": \"\\ud800\"}", "line 1, column 9: JSON has no such escape" },
    { "{\"id\": \"\\ud800\\u0041\"}", "line 1, column 9: JSON has no such escape" },
    { "{\"id\": \"\\udc00\"}", "line 1, column 9: JSON has no such escape" },
    { "{\n\"id\": \"x", "line 2, column 9: a string is not closed" },
    { "{\"id\": \"x\\", "line 1, column 10: JSON has no such escape" },
    { "\x01", "line 1, column 1: this character is not JSON: ?" },
    { "\xff\xfe{", "line 1, column 1: this character is not JSON: " },
    { "[1]", "$ is a list, but an object is needed" },
    { "null", "$ is null, but an object is needed" },
  };
  for(size_t i = 0; i < G_N_ELEMENTS(cases); i++) _assert_refused_for(cases[i][0], -1, cases[i][1]);
  /* what editors on other systems write in front, and what JSON does have */
  dt_manifest_t *m = _read("\xef\xbb\xbf{\"id\": \"x\", \"name\": \"\\ud83d\\ude00 \\u00e4\\/\"}\r\n");
  assert_string_equal(m->name, "😀 ä/");
  dt_manifest_unref(m);
}

/* --- size and nesting --- */

/* A manifest of exactly @p levels. */
static char *_nested(int levels, char open, char close)
{
  const gsize n = (gsize)levels - 2;
  char *front = g_new0(char, 5 * n + 1), *back = g_new0(char, n + 1);
  for(gsize i = 0; i < n; i++)
  {
    g_strlcat(front, open == '{' ? "{\"a\":" : "[", 5 * n + 1);
    back[i] = close;
  }
  char *json = g_strdup_printf(
      "{\"id\": \"x\", \"name\": \"a [[ \\\" {{ \\\\\", \"attributes\": {\"a\": %s1%s}}", front, back);
  g_free(back);
  g_free(front);
  return json;
}

static void test_nesting(void **state)
{
  (void)state;
  static const struct
  {
    int levels;
    gboolean fine;
  } cases[] = { { 3, TRUE }, { 32, TRUE }, { 33, FALSE }, { 100, FALSE }, { 10000, FALSE } };
  for(size_t i = 0; i < G_N_ELEMENTS(cases); i++)
    for(int kind = 0; kind < 2; kind++)
    {
      char *json = _nested(cases[i].levels, "[{"[kind], "]}"[kind]);
      assert_false(dt_manifest_nests_deeper(json, cases[i].levels));
      assert_true(dt_manifest_nests_deeper(json, cases[i].levels - 1));
      if(cases[i].fine)
        dt_manifest_unref(_read(json));
      else
        _assert_refused_for(json, -1, "it nests deeper than 32 levels");
      g_free(json);
    }
  char *open = g_strnfill(500000, '[');
  _assert_refused_for(open, -1, "it nests deeper than 32 levels");
  g_free(open);
}

/* Brackets where json-glib sees them and a careless counter does not, and the other way round. */
static void test_nesting_and_strings(void **state)
{
  (void)state;
  static const struct
  {
    const char *text;
    gboolean deeper; /* than 2 */
  } cases[] = {
    { "", FALSE },
    { "[[1], [2], {\"a\": 3}]", FALSE },
    { "[{\"a\": [1]}]", TRUE },
    { "[\"[[[[\", \"{{{\"]", FALSE },
    { "[\"\\\"[[[[\"]", FALSE },
    { "[\"\\\\\", [[1]]]", TRUE },
    { "]]]] [[1]]", FALSE },
    { "/* \" */ [[[1]]]", TRUE },
    { "// \"\n[[[1]]]", TRUE },
    { "['\"', [[1]]]", TRUE },
    { "[\"\\u\" \"[[[[\"]", TRUE },
    { "[\"\\ud800\" \"[[[[\"]", TRUE },
    { "[\"unclosed", FALSE },
    { "[\"unclosed [[", TRUE },
  };
  for(size_t i = 0; i < G_N_ELEMENTS(cases); i++)
    if(dt_manifest_nests_deeper(cases[i].text, 2) != cases[i].deeper) fail_msg("%s", cases[i].text);
}

static void test_huge(void **state)
{
  (void)state;
  char *text = g_strnfill(2 << 20, 'x');
  char *json = g_strdup_printf("{\"id\": \"x\", \"name\": \"%s\"}", text);
  _assert_refused_for(json, -1, "a manifest has at most 1048576");
  text[200000] = '\0';
  g_free(json);
  json = g_strdup_printf("{\"id\": \"x\", \"name\": \"%s\"}", text);
  dt_manifest_t *m = _read(json);
  assert_int_equal(strlen(m->name), 200000);
  dt_manifest_unref(m);
  g_free(json);
  g_free(text);
}

/* 100 MB are refused by their size alone: the file has holes, reading it would still take its time and
 * memory. */
static void test_hundred_megabytes(void **state)
{
  (void)state;
  char *config = g_build_filename(test_world, "config.json", NULL);
  assert_true(g_file_set_contents(config, "{", 1, NULL));
  assert_int_equal(truncate(config, 100000000), 0);
  GError *error = NULL;
  const gint64 start = g_get_monotonic_time();
  assert_null(dt_manifest_read(test_world, &error));
  assert_true(g_get_monotonic_time() - start < G_USEC_PER_SEC / 100);
  assert_true(g_error_matches(error, DT_AI_ERROR, DT_AI_ERROR_NO_MODEL));
  assert_non_null(strstr(error->message, "it has 100000000 bytes; a manifest has at most 1048576."));
  g_clear_error(&error);
  /* the largest that is read */
  char *spaces = g_strnfill((1 << 20) - 24, ' ');
  char *json = g_strdup_printf("{\"id\": \"x\", \"name\": \"X\"}%s", spaces);
  assert_int_equal(strlen(json), 1 << 20);
  dt_manifest_unref(_read(json));
  g_free(json);
  g_free(spaces);
  g_free(config);
}

/* A pipe would be waited for for ever. */
static void test_no_plain_file(void **state)
{
  (void)state;
  char *config = g_build_filename(test_world, "config.json", NULL);
  g_unlink(config);
  assert_int_equal(mkfifo(config, 0600), 0);
  GError *error = NULL;
  assert_null(dt_manifest_read(test_world, &error));
  assert_true(g_error_matches(error, DT_AI_ERROR, DT_AI_ERROR_NO_MODEL));
  assert_non_null(strstr(error->message, "it is not a plain file"));
  g_clear_error(&error);
  g_unlink(config);
  g_free(config);
}

static void test_no_file(void **state)
{
  (void)state;
  char *config = g_build_filename(test_world, "config.json", NULL);
  g_unlink(config);
  GError *error = NULL;
  assert_null(dt_manifest_read(test_world, &error));
  assert_true(g_error_matches(error, DT_AI_ERROR, DT_AI_ERROR_NO_MODEL));
  g_clear_error(&error);
  assert_null(dt_manifest_read("/no/such/place", NULL));
  assert_int_equal(g_mkdir(config, 0700), 0);
  assert_null(dt_manifest_read(test_world, &error));
  assert_true(g_error_matches(error, DT_AI_ERROR, DT_AI_ERROR_NO_MODEL));
  g_clear_error(&error);
  g_rmdir(config);
  g_free(config);
  dt_manifest_unref(NULL);
}

/* --- texts --- */

/* Nothing that a terminal obeys, and one line. */
static void _assert_harmless(const char *text)
{
  assert_true(g_utf8_validate(text, -1, NULL));
  for(const char *c = text; *c; c = g_utf8_next_char(c))
  {
    const gunichar u = g_utf8_get_char(c);
    if(u < 0x20 || (u >= 0x7f && u <= 0x9f) || u == 0x61c || u == 0x200e || u == 0x200f
       || (u >= 0x2028 && u <= 0x202e) || (u >= 0x2066 && u <= 0x2069))
      fail_msg("U+%04X in \"%s\"", u, text);
  }
}

/* An escape sequence in seven and in eight bits, lines, and words that read backwards. */
#define HOSTILE "a\\u001b[31mb\\u009b2Jc\\r\\n\\td\\u007f\\u0085\\u2028\\u2029\\u061c\\u200e\\u202e\\u2066e"
#define HARMLESS "a?[31mb?2Jc   d????????e"

static void test_texts_that_steer_a_terminal(void **state)
{
  (void)state;
  dt_manifest_t *m = _read("{\"id\": \"x\", \"name\": \"" HOSTILE "\", \"description\": \"" HOSTILE
                           "\", \"arch\": \"" HOSTILE "\", \"version\": \"" HOSTILE "\"}");
  const char *const texts[] = { m->name, m->description, m->arch, m->version };
  for(size_t i = 0; i < G_N_ELEMENTS(texts); i++) assert_string_equal(texts[i], HARMLESS);
  dt_manifest_unref(m);
  /* as they are, without being escaped; what joins letters and marks is left alone */
  m = _read("{\"id\": \"x\", \"name\": \"\xc2\x9bm ünïcödé \xe2\x80\x8d – ☃\"}");
  assert_string_equal(m->name, "?m ünïcödé \xe2\x80\x8d – ☃");
  dt_manifest_unref(m);
}

/* The JSON text itself, and any member of it: whoever prints one has it unescaped. */
static void test_card_that_steers_a_terminal(void **state)
{
  (void)state;
  dt_manifest_t *m = _read_with("\"model_card\": {\"author\": \"" HOSTILE "\", \"k" HOSTILE "\": [\"" HOSTILE
                                "\", {\"deep\": \"" HOSTILE "\"}, 3, 2.5, null, true]},"
                                " \"attributes\": {\"s\": \"" HOSTILE "\", \"b\": true},"
                                " \"cpu_only\": [\"" HOSTILE "\"], \"coreml_format\": \"" HOSTILE "\"");
  assert_string_equal(m->model_card, "{\"author\":\"" HARMLESS "\",\"k" HARMLESS "\":[\"" HARMLESS
                                     "\",{\"deep\":\"" HARMLESS "\"},3,2.5,null,true]}");
  const char *const texts[] = { m->model_card, m->attributes, m->cpu_only, m->coreml_format };
  for(size_t i = 0; i < G_N_ELEMENTS(texts); i++)
  {
    assert_null(strchr(texts[i], '\\'));
    _assert_harmless(texts[i]);
  }
  _assert_string_attribute(m, "s", HARMLESS);
  assert_true(dt_manifest_attribute_bool(m, "b", FALSE));
  dt_manifest_unref(m);
}

/* --- ids --- */

static void test_ids(void **state)
{
  (void)state;
  static const struct
  {
    const char *id;
    gboolean safe;
  } ids[] = {
    { "denoise-nind", TRUE },
    { "a", TRUE },
    { "...", TRUE },
    { "a.b", TRUE },
    { ".hidden", TRUE },
    { "ünïcödé", TRUE },
    { "a b", TRUE },
    { "", FALSE },
    { ".", FALSE },
    { "..", FALSE },
    { "a/b", FALSE },
    { "/", FALSE },
    { "../x", FALSE },
    { "a\\b", FALSE },
    { "a\nb", FALSE },
    { "a\tb", FALSE },
    { "\x7f", FALSE },
    { "\xff\xfe", FALSE },
    { "a\x01", FALSE },
    /* what a terminal obeys */
    { "a\xc2\x9b", FALSE },
    { "\xc2\x80", FALSE },
    { "a\u2028b", FALSE },
    { "a\u2029b", FALSE },
    { "a\u202eb", FALSE },
    { "a\u2066b", FALSE },
    { "a\u200fb", FALSE },
    { "a\u061cb", FALSE },
    /* what settings do not give back */
    { "a=b", FALSE },
    { "#a", FALSE },
    { "a#b", TRUE },
    { " a", FALSE },
    { "a ", FALSE },
    { "a\u3000", FALSE },
  };
  for(size_t i = 0; i < G_N_ELEMENTS(ids); i++)
    if(dt_manifest_id_is_safe(ids[i].id) != ids[i].safe) fail_msg("\"%s\"", ids[i].id);
  char *long_id = g_strnfill(256, 'x');
  assert_false(dt_manifest_id_is_safe(long_id));
  long_id[255] = '\0';
  assert_true(dt_manifest_id_is_safe(long_id));
  g_free(long_id);
  static const char *const unsafe[] = { "",      ".",   "..", "../x", "a/b", "/",           "a\\\\b",
                                        "a\\nb", "a=b", "#a", " a",   "a ",  "a\\u009b31m", "a\\u202e" };
  for(size_t i = 0; i < G_N_ELEMENTS(unsafe); i++)
  {
    char *json = g_strdup_printf("{\"id\": \"%s\", \"name\": \"X\"}", unsafe[i]);
    _assert_refused_for(json, -1, "$.id is not a plain file name");
    g_free(json);
  }
  /* an escaped NUL ends the string */
  dt_manifest_t *m = _read("{\"id\": \"a\\u0000/..\", \"name\": \"X\"}");
  assert_string_equal(m->id, "a");
  dt_manifest_unref(m);
}

static void test_printable(void **state)
{
  (void)state;
  static const char *const cases[][2] = {
    { "", "" },
    { "plain", "plain" },
    { "sixteen of these!", "sixteen of these…" },
    { "ünïcödé", "ünïcödé" },
    { "a\x1b[31m\n", "a?[31m?" },
    { "\xc2\x9b", "?" },
    { "a\u2028b\u2029c\u202ed\u2066", "a?b?c?d?" },
  };
  for(size_t i = 0; i < G_N_ELEMENTS(cases); i++)
  {
    char *shown = dt_manifest_printable(cases[i][0], 16);
    assert_string_equal(shown, cases[i][1]);
    g_free(shown);
  }
  char *shown = dt_manifest_printable("\xff", 16);
  assert_true(g_utf8_validate(shown, -1, NULL));
  g_free(shown);
}

static void test_references(void **state)
{
  (void)state;
  dt_manifest_t *m = _read_with(""), *twin = dt_manifest_ref(m);
  assert_ptr_equal(m, twin);
  dt_manifest_unref(m);
  assert_string_equal(twin->id, "x");
  dt_manifest_unref(twin);
}

/* --- remarks --- */

/* A manifest with @p extra in a directory called @p id, and what is said about it. */
static GPtrArray *_remarks(const char *id, const char *extra)
{
  char *folder = g_build_filename(test_world, id, NULL),
       *config = g_build_filename(folder, "config.json", NULL);
  char *json = g_strdup_printf("{\"id\": \"%s\", \"name\": \"X\"%s%s}", id, *extra ? ", " : "", extra);
  g_mkdir(folder, 0700);
  assert_true(g_file_set_contents(config, json, -1, NULL));
  GError *error = NULL;
  dt_manifest_t *m = dt_manifest_read(folder, &error);
  assert_no_error(error);
  GPtrArray *remarks = dt_manifest_remarks(m);
  dt_manifest_unref(m);
  g_free(json);
  g_free(config);
  g_free(folder);
  return remarks;
}

static void _assert_remarks(const char *id, const char *extra, const char *const *expected)
{
  GPtrArray *remarks = _remarks(id, extra);
  guint n = 0;
  for(; expected[n]; n++)
  {
    if(n >= remarks->len) fail_msg("%s %s: no \"%s\"", id, extra, expected[n]);
    const char *remark = remarks->pdata[n];
    if(!strstr(remark, expected[n])) fail_msg("\"%s\" lacks \"%s\"", remark, expected[n]);
    assert_true(g_str_has_suffix(remark, "."));
  }
  if(remarks->len > n) fail_msg("%s %s: %s", id, extra, (char *)remarks->pdata[n]);
  g_ptr_array_unref(remarks);
}

#define assert_remarks(id, extra, ...)                                                                       \
  do                                                                                                         \
  {                                                                                                          \
    const char *const expected_[] = { __VA_ARGS__ };                                                         \
    _assert_remarks(id, extra, expected_);                                                                   \
  } while(0)

static void test_naming_remarks(void **state)
{
  (void)state;
  static const struct
  {
    const char *id, *task;
    gboolean fine;
  } names[] = {
    { "denoise-nind", "denoise", TRUE },    { "mask-object-sam21-small", "mask", TRUE },
    { "mask-light-hq-sam", "mask", TRUE },  { "upscale-x2", "upscale", TRUE },
    { "person-modnet", "person", TRUE },    { "denoise", "denoise", FALSE },
    { "denoise-", "denoise", FALSE },       { "denoise--x", "denoise", FALSE },
    { "denoise-Nind", "denoise", FALSE },   { "denoise-nind_2", "denoise", FALSE },
    { "denoise-nind 2", "denoise", FALSE }, { "denoise-ünïcödé", "denoise", FALSE },
    { "nind", "denoise", FALSE },           { "denoise-nind", "upscale", FALSE },
    { "mask-sam", "mask", FALSE },
  };
  for(size_t i = 0; i < G_N_ELEMENTS(names); i++)
  {
    char *extra = g_strdup_printf("\"task\": \"%s\", \"version\": \"1.0\"", names[i].task);
    if(names[i].fine)
      assert_remarks(names[i].id, extra, NULL);
    else
      assert_remarks(names[i].id, extra, "by convention it is <task>-<model>[-<size>]", NULL);
    g_free(extra);
  }
  assert_remarks("mask-sam", "\"task\": \"mask\", \"version\": \"1\"", "here mask-<subtask>-….", NULL);
  assert_remarks("denoise-x", "\"task\": \"denoise\"", "$.version is empty or missing", NULL);
  assert_remarks("denoise-x", "\"task\": \"denoise\", \"version\": \"\"", "$.version is empty", NULL);
}

static void test_remarks_are_copies(void **state)
{
  (void)state;
  dt_manifest_t *m =
      _read("{\"id\": \"denoise-x\", \"name\": \"X\", \"task\": \"denoise\", \"version\": \"\"}");
  GPtrArray *remarks = dt_manifest_remarks(m);
  assert_int_equal(remarks->len, 1);
  dt_manifest_unref(m);
  assert_non_null(strstr(remarks->pdata[0], "$.version"));
  g_ptr_array_unref(remarks);
}

#define FINE "\"task\": \"denoise\", \"version\": \"1.0\", "

static void test_unknown_keys(void **state)
{
  (void)state;
  assert_remarks("denoise-x", FINE "\"type\": \"single\", \"a b\": {\"c\": 1}",
                 "$.type is not a key this program knows; it is ignored.", "$['a b'] is not a key", NULL);
  assert_remarks("denoise-x", FINE "\"model_card\": {\"licence\": \"MIT\", \"notes\": null, \"author\": 3}",
                 "$.model_card.licence is not a key",
                 "$.model_card.author is a whole number instead of a string", NULL);
  assert_remarks("denoise-x",
                 FINE "\"attributes\": {\"tile\": 3, \"shadow_boost\": \"yes\", \"target_mean\": null,"
                      " \"model_x2\": {\"input_sizes\": [64], \"wb_norm\": 3, \"what\": true, \"deep\": {}}}",
                 "$.attributes.tile is not a key",
                 "$.attributes.shadow_boost is a string instead of true or false",
                 "$.attributes.model_x2.wb_norm is a whole number instead of a string",
                 "$.attributes.model_x2.what is not a key", "$.attributes.model_x2.deep is not a key", NULL);
  assert_remarks("denoise-x", FINE "\"a\\u001b[31m\": 1", "$['a?[31m'] is not a key", NULL);
}

static void test_keys_given_twice(void **state)
{
  (void)state;
  assert_remarks("denoise-x", FINE "\"arch\": \"a\", \"arch\": \"b\"",
                 "The key \"arch\" is given more than once", NULL);
  assert_remarks("denoise-x", FINE "\"attributes\": {\"wb_norm\": \"a\", \"wb_norm\": \"b\"}",
                 "The key \"wb_norm\" is given more than once", NULL);
  assert_remarks("denoise-x", FINE "\"attributes\": {\"wb_norm\": \"a\", \"model_x2\": {\"wb_norm\": \"b\"}}",
                 NULL);
}

/* A file full of unknown keys, long ones too, is not repeated in full. */
static void test_remarks_are_bounded(void **state)
{
  (void)state;
  GString *extra = g_string_new(FINE "\"0\": 0");
  for(int i = 1; i < 20000; i++) g_string_append_printf(extra, ", \"%d\": %d", i, i);
  GPtrArray *remarks = _remarks("denoise-x", extra->str);
  assert_int_equal(remarks->len, 32);
  g_ptr_array_unref(remarks);
  char *key = g_strnfill(500000, 'k');
  g_string_printf(extra, FINE "\"%s\": 0", key);
  remarks = _remarks("denoise-x", extra->str);
  assert_int_equal(remarks->len, 1);
  assert_true(strlen(remarks->pdata[0]) < 200);
  g_ptr_array_unref(remarks);
  g_free(key);
  g_string_free(extra, TRUE);
}

/* Every form there is loads, and the published one leaves nothing to say. */
static void test_published_forms(void **state)
{
  (void)state;
  assert_remarks(
      "rawdenoise-nind",
      "\"description\": \"\", \"task\": \"rawdenoise\", \"arch\": \"utnet2\", \"backend\": \"onnx\","
      " \"version\": \"1.0\", \"tiling\": true, \"model_card\": {\"long_description\": \"\","
      " \"scope\": \"\", \"author\": \"\", \"source\": \"\", \"paper\": \"\", \"license\": \"\","
      " \"training_data\": \"\", \"training_data_license\": \"\", \"notes\": \"\"},"
      " \"attributes\": {\"input_sizes\": [512], \"model_bayer\": {\"input_kind\": \"bayer_v1\","
      " \"bayer_orientation\": \"force_rggb\", \"edge_pad\": \"mirror_cropped\", \"wb_norm\": \"none\","
      " \"output_scale\": \"match_gain\"}, \"model_linear\": {\"input_kind\": \"linear_v1\","
      " \"input_colorspace\": \"lin_rec2020\", \"wb_norm\": \"none\","
      " \"output_scale\": \"match_gain\", \"target_mean\": null}},"
      " \"cpu_only\": {\"model_bayer\": [\"coreml\"]}, \"coreml_format\": \"mlprogram\","
      " \"spatial_dims\": [\"h\", \"w\"]",
      NULL);
  /* older: a ladder of sizes, another way to name the files */
  assert_remarks(
      "rawdenoise-nind",
      "\"task\": \"rawdenoise\", \"version\": \"1.0\", \"attributes\": {\"input_sizes\": [2048, 256],"
      " \"variants\": {\"bayer\": {\"onnx\": \"model_bayer.onnx\"}}}",
      "$.attributes.variants.bayer is not a key", NULL);
}

/* --- the fixtures --- */

static void test_broken_configs(void **state)
{
  (void)state;
  char *base = test_fixture("models/broken-configs");
  GDir *dir = g_dir_open(base, 0, NULL);
  assert_non_null(dir);
  int n = 0;
  for(const char *name; (name = g_dir_read_name(dir)); n++)
  {
    char *folder = g_build_filename(base, name, NULL);
    GError *error = NULL;
    dt_manifest_t *m = dt_manifest_read(folder, &error);
    if(m) fail_msg("%s: accepted", name);
    assert_true(g_error_matches(error, DT_AI_ERROR, DT_AI_ERROR_NO_MODEL));
    assert_non_null(strstr(error->message, name));
    g_clear_error(&error);
    g_free(folder);
  }
  assert_true(n >= 20);
  g_dir_close(dir);
  g_free(base);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_defaults),
    cmocka_unit_test(test_form_of_the_specification),
    cmocka_unit_test(test_form_as_published),
    cmocka_unit_test(test_attributes),
    cmocka_unit_test(test_attributes_of_another_type),
    cmocka_unit_test(test_wrong_types),
    cmocka_unit_test(test_null_is_absent),
    cmocka_unit_test(test_wrong_values),
    cmocka_unit_test(test_required_fields),
    cmocka_unit_test(test_number_of_inputs),
    cmocka_unit_test(test_unknown_backend),
    cmocka_unit_test(test_no_json),
    cmocka_unit_test(test_line_and_column),
    cmocka_unit_test(test_nesting),
    cmocka_unit_test(test_nesting_and_strings),
    cmocka_unit_test(test_huge),
    cmocka_unit_test(test_hundred_megabytes),
    cmocka_unit_test(test_no_plain_file),
    cmocka_unit_test(test_no_file),
    cmocka_unit_test(test_ids),
    cmocka_unit_test(test_texts_that_steer_a_terminal),
    cmocka_unit_test(test_card_that_steers_a_terminal),
    cmocka_unit_test(test_printable),
    cmocka_unit_test(test_references),
    cmocka_unit_test(test_naming_remarks),
    cmocka_unit_test(test_remarks_are_copies),
    cmocka_unit_test(test_unknown_keys),
    cmocka_unit_test(test_keys_given_twice),
    cmocka_unit_test(test_remarks_are_bounded),
    cmocka_unit_test(test_published_forms),
    cmocka_unit_test(test_broken_configs),
  };
  return cmocka_run_group_tests_name("manifest", tests, test_world_set_up, test_world_tear_down);
}
