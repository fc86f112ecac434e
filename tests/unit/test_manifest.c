/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Manifests: both published forms, every field's default, and files that are wrong in every way there is. */
#include "support.h"

#include "common/manifest.h"

#include <glib/gstdio.h>
#include <limits.h>
#include <string.h>

static const char *_world;

static int _setup(void **state)
{
  (void)state;
  _world = test_world_create();
  return 0;
}

static int _teardown(void **state)
{
  (void)state;
  test_world_destroy();
  return 0;
}

/* --- helpers --- */

static dt_manifest_t *_read_bytes(const char *bytes, gssize size, GError **error)
{
  char *path = g_build_filename(_world, "config.json", NULL);
  assert_true(g_file_set_contents(path, bytes, size, NULL));
  dt_manifest_t *m = dt_manifest_read(_world, error);
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

/* Refused with a sentence that names the file. */
static void _assert_refused(const char *bytes, gssize size)
{
  GError *error = NULL;
  dt_manifest_t *m = _read_bytes(bytes, size, &error);
  if(m) fail_msg("accepted: %.200s", bytes);
  assert_true(g_error_matches(error, DT_AI_ERROR, DT_AI_ERROR_NO_MODEL));
  assert_non_null(strstr(error->message, "config.json"));
  g_error_free(error);
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
  assert_string_equal(m->directory, _world);
  dt_manifest_free(m);
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
  dt_manifest_free(m);
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
  dt_manifest_free(m);
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
  dt_manifest_free(m);
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
  dt_manifest_free(m);
}

static void test_attributes_that_are_no_object(void **state)
{
  (void)state;
  static const char *const forms[] = { "\"none\"", "null", "[1]", "3", "true" };
  for(size_t i = 0; i < G_N_ELEMENTS(forms); i++)
  {
    char *extra = g_strdup_printf("\"attributes\": %s, \"model_card\": %s", forms[i], forms[i]);
    dt_manifest_t *m = _read_with(extra);
    assert_null(m->attributes);
    assert_null(m->model_card);
    assert_true(dt_manifest_attribute_bool(m, "x", TRUE));
    _assert_string_attribute(m, "x.y", NULL);
    dt_manifest_free(m);
    g_free(extra);
  }
}

/* --- wrong types and values --- */

/* Optional fields of a wrong type, or null, are as good as absent. */
static void test_wrong_types(void **state)
{
  (void)state;
  static const char *const values[] = { "42", "null", "true", "[]", "{}", "1.5" };
  for(size_t i = 0; i < G_N_ELEMENTS(values); i++)
  {
    const char *v = values[i];
    char *extra =
        g_strdup_printf("\"description\": %s, \"task\": %s, \"backend\": %s, \"arch\": %s, \"version\": %s,"
                        " \"tiling\": \"yes\", \"num_inputs\": \"2\"",
                        v, v, v, v, v);
    dt_manifest_t *m = _read_with(extra);
    assert_string_equal(m->description, "");
    assert_string_equal(m->task, "general");
    assert_string_equal(m->backend, "onnx");
    assert_string_equal(m->arch, "generic");
    assert_string_equal(m->version, "");
    assert_false(m->tiling);
    assert_int_equal(m->num_inputs, 1);
    dt_manifest_free(m);
    g_free(extra);
  }
  dt_manifest_t *m = _read_with("\"cpu_only\": null, \"coreml_format\": null");
  assert_null(m->cpu_only);
  assert_null(m->coreml_format);
  dt_manifest_free(m);
}

static void test_required_fields(void **state)
{
  (void)state;
  static const char *const wrong[] = { "", "null", "42", "[]", "{}", "true" };
  for(size_t i = 0; i < G_N_ELEMENTS(wrong); i++)
  {
    char *id = g_strdup_printf("{\"name\": \"X\"%s%s}", *wrong[i] ? ", \"id\": " : "", wrong[i]);
    char *name = g_strdup_printf("{\"id\": \"x\"%s%s}", *wrong[i] ? ", \"name\": " : "", wrong[i]);
    _assert_refused(id, -1);
    _assert_refused(name, -1);
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
    { "1", 1 },   { "2", 2 },    { "16", 16 },        { "17", 0 },
    { "0", 0 },   { "-1", 0 },   { "4294967297", 0 }, { "9223372036854775807", 0 },
    { "2.0", 1 }, { "null", 1 },
  };
  for(size_t i = 0; i < G_N_ELEMENTS(cases); i++)
  {
    char *json = g_strdup_printf("{\"id\": \"x\", \"name\": \"X\", \"num_inputs\": %s}", cases[i].text);
    if(cases[i].value)
    {
      dt_manifest_t *m = _read(json);
      assert_int_equal(m->num_inputs, cases[i].value);
      dt_manifest_free(m);
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

static char *_nested(int depth)
{
  char *open = g_strnfill((gsize)depth, '['), *close = g_strnfill((gsize)depth, ']');
  char *json = g_strdup_printf("{\"id\": \"x\", \"name\": \"a [[ \\\" {{\", \"attributes\": {\"a\": %s%s}}",
                               open, close);
  g_free(close);
  g_free(open);
  return json;
}

static void test_nesting(void **state)
{
  (void)state;
  static const int deep[] = { 40, 1000, 100000 };
  for(size_t i = 0; i < G_N_ELEMENTS(deep); i++)
  {
    char *json = _nested(deep[i]);
    _assert_refused(json, -1);
    g_free(json);
  }
  char *json = _nested(10);
  dt_manifest_free(_read(json));
  g_free(json);
}

static void test_huge(void **state)
{
  (void)state;
  char *text = g_strnfill(2 << 20, 'x');
  char *json = g_strdup_printf("{\"id\": \"x\", \"name\": \"%s\"}", text);
  _assert_refused(json, -1);
  text[200000] = '\0';
  g_free(json);
  json = g_strdup_printf("{\"id\": \"x\", \"name\": \"%s\"}", text);
  dt_manifest_t *m = _read(json);
  assert_int_equal(strlen(m->name), 200000);
  dt_manifest_free(m);
  g_free(json);
  g_free(text);
}

static void test_no_file(void **state)
{
  (void)state;
  char *config = g_build_filename(_world, "config.json", NULL);
  g_unlink(config);
  GError *error = NULL;
  assert_null(dt_manifest_read(_world, &error));
  assert_true(g_error_matches(error, DT_AI_ERROR, DT_AI_ERROR_NO_MODEL));
  g_clear_error(&error);
  assert_null(dt_manifest_read("/no/such/place", NULL));
  assert_int_equal(g_mkdir(config, 0700), 0);
  assert_null(dt_manifest_read(_world, &error));
  assert_true(g_error_matches(error, DT_AI_ERROR, DT_AI_ERROR_NO_MODEL));
  g_clear_error(&error);
  g_rmdir(config);
  g_free(config);
  dt_manifest_free(NULL);
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
    { "denoise-nind", TRUE }, { "a", TRUE },         { "...", TRUE },    { "a.b", TRUE },
    { ".hidden", TRUE },      { "ünïcödé", TRUE },   { "a b", TRUE },    { "", FALSE },
    { ".", FALSE },           { "..", FALSE },       { "a/b", FALSE },   { "/", FALSE },
    { "../x", FALSE },        { "a\\b", FALSE },     { "a\nb", FALSE },  { "a\tb", FALSE },
    { "\x7f", FALSE },        { "\xff\xfe", FALSE }, { "a\x01", FALSE },
  };
  for(size_t i = 0; i < G_N_ELEMENTS(ids); i++)
    if(dt_manifest_id_is_safe(ids[i].id) != ids[i].safe) fail_msg("\"%s\"", ids[i].id);
  char *long_id = g_strnfill(256, 'x');
  assert_false(dt_manifest_id_is_safe(long_id));
  long_id[255] = '\0';
  assert_true(dt_manifest_id_is_safe(long_id));
  g_free(long_id);
  _assert_refused("{\"id\": \"../x\", \"name\": \"X\"}", -1);
  /* an escaped NUL ends the string */
  dt_manifest_t *m = _read("{\"id\": \"a\\u0000/..\", \"name\": \"X\"}");
  assert_string_equal(m->id, "a");
  dt_manifest_free(m);
}

/* --- the fixtures --- */

/* These folders hold what is unusual but legal; all others are to be refused. */
static gboolean _is_legal(const char *name)
{
  static const char *const legal[] = { "attributes-text", "num-inputs-text", "task-number", NULL };
  return g_strv_contains(legal, name);
}

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
    if((m != NULL) != _is_legal(name)) fail_msg("%s: %s", name, m ? "accepted" : error->message);
    if(!m) assert_true(g_error_matches(error, DT_AI_ERROR, DT_AI_ERROR_NO_MODEL));
    if(!m) assert_non_null(strstr(error->message, name));
    dt_manifest_free(m);
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
    cmocka_unit_test(test_attributes_that_are_no_object),
    cmocka_unit_test(test_wrong_types),
    cmocka_unit_test(test_required_fields),
    cmocka_unit_test(test_number_of_inputs),
    cmocka_unit_test(test_unknown_backend),
    cmocka_unit_test(test_no_json),
    cmocka_unit_test(test_nesting),
    cmocka_unit_test(test_huge),
    cmocka_unit_test(test_no_file),
    cmocka_unit_test(test_ids),
    cmocka_unit_test(test_broken_configs),
  };
  return cmocka_run_group_tests_name("manifest", tests, _setup, _teardown);
}
