/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Priorities in words: the whole text of the documented example, the table of the diagnostics, JSON read back, and carets
 * that stand below what they mark. */
#include "support.h"

#include "common/opencl_explain.h"

#include <json-glib/json-glib.h>
#include <string.h>

#define EXAMPLE "!GeForce GTS450,*/!Tahiti,*/Tahiti,*/Tahiti,*"

static const dt_opencl_names_t _two[] = {
  { "GeForce GTS 450", "NVIDIA CUDA", "pci:0000:01:00.0" },
  { "Tahiti", "AMD Accelerated Parallel Processing", NULL },
};

static dt_opencl_explained_t _read(const char *text, const dt_opencl_names_t *devices, int n)
{
  return (dt_opencl_explained_t){ dt_opencl_priorities_parse(text, devices, n), devices, "the test's", 2000 };
}

static void _free(dt_opencl_explained_t *e)
{
  dt_opencl_priorities_free((dt_opencl_priorities_t *)(gpointer)e->priorities);
}

static char *_text(const char *text, const dt_opencl_names_t *devices, int n)
{
  dt_opencl_explained_t e = _read(text, devices, n);
  char *explained = dt_opencl_explain_text(&e);
  _free(&e);
  return explained;
}

static void test_example(void **state)
{
  (void)state;
  char *text = _text(EXAMPLE, _two, 2);
  assert_string_equal(text, "In force: \"" EXAMPLE "\", the test's.\n"
                            "\n"
                            "full      1 Tahiti; then the CPU at once\n"
                            "preview   0 GeForce GTS 450; then the CPU at once\n"
                            "export    1 Tahiti, 0 GeForce GTS 450; then the CPU at once\n"
                            "thumbnail 1 Tahiti, 0 GeForce GTS 450; then the CPU at once\n"
                            "preview2  0 GeForce GTS 450; then the CPU at once\n"
                            "\n"
                            "  …rce GTS450,*/!Tahiti,*/Tahiti,*/Tahiti,*\n"
                            "                                           ^\n"
                            "  there is no fifth field: preview2 has what preview has\n");
  g_free(text);
}

static void test_waiting(void **state)
{
  (void)state;
  char *text = _text("+*/+1//Tahity/", _two, 2);
  assert_string_equal(text,
                      "In force: \"+*/+1//Tahity/\", the test's.\n"
                      "\n"
                      "full      0 GeForce GTS 450, 1 Tahiti; waits up to 2 s for one of them, then the CPU\n"
                      "preview   1 Tahiti; waits up to 2 s for it, then the CPU\n"
                      "export    always the CPU\n"
                      "thumbnail always the CPU\n"
                      "preview2  always the CPU\n"
                      "\n"
                      "  +*/+1//Tahity/\n"
                      "         ^^^^^^\n"
                      "  thumbnail: \"Tahity\" is ignored: no device has that name; did you mean device 1 "
                      "(\"Tahiti\")?\n"
                      "\n"
                      "  +*/+1//Tahity/\n"
                      "         ^^^^^^\n"
                      "  thumbnail: \"Tahity\" leaves no device: everything is left to the CPU\n");
  g_free(text);
}

/* Parts of seconds are written with a point, whatever the locale. */
static void test_seconds(void **state)
{
  (void)state;
  const struct
  {
    int ms;
    const char *words;
  } all[] = {
    { 500, "up to 0.5 s " }, { 5, "up to 0.005 s " }, { 12000, "up to 12 s " }, { 1250, "up to 1.25 s " }
  };
  for(gsize i = 0; i < G_N_ELEMENTS(all); i++)
  {
    dt_opencl_explained_t e = _read("+*////", _two, 2);
    e.timeout_ms = all[i].ms;
    char *text = dt_opencl_explain_text(&e);
    assert_non_null(strstr(text, all[i].words));
    g_free(text);
    _free(&e);
  }
}

static void test_not_in_force(void **state)
{
  (void)state;
  dt_opencl_explained_t e = _read("*////", _two, 2);
  e.why = NULL;
  char *text = dt_opencl_explain_text(&e);
  assert_true(g_str_has_prefix(text, "Not in force, only explained: \"*////\".\n"));
  g_free(text);
  _free(&e);
}

/* --- carets --- */

static int _columns(const char *text, gssize length)
{
  int columns = 0;
  for(const char *c = text; c - text < length; c = g_utf8_next_char(c))
    columns += g_unichar_iswide(g_utf8_get_char(c)) ? 2 : 1;
  return columns;
}

/* The carets of the last remark are as many as @p marked has columns, right below it. */
static void _expect_carets(const char *string, const char *marked)
{
  char *text = _text(string, _two, 2);
  char **lines = g_strsplit(text, "\n", -1);
  const guint n = g_strv_length(lines);
  const char *shown = lines[n - 4], *carets = lines[n - 3], *at = g_strrstr(shown, marked);
  if(!at) fail_msg("\"%s\" is not in \"%s\"", marked, shown);
  const int before = (int)strspn(carets, " "), width = (int)strspn(carets + before, "^");
  if(before != _columns(shown, at - shown) || width != _columns(marked, (gssize)strlen(marked)))
    fail_msg("%s\n%s", shown, carets);
  assert_int_equal(carets[before + width], '\0');
  assert_true(_columns(shown, (gssize)strlen(shown)) < 200);
  g_strfreev(lines);
  g_free(text);
}

static void test_carets(void **state)
{
  (void)state;
  _expect_carets("Nope,0////", "Nope");
  _expect_carets("0/1/0,1/ 1 , Nope /1", "Nope");
  _expect_carets("显卡显卡,Nope,0////", "Nope");
  _expect_carets("0,显卡////", "显卡");
  _expect_carets("0,ä\x1b[2J\xff\x80 Nope,!gefärcё////", "!gefärcё");
  _expect_carets("0,ä\x1b[2J\xff\x80 Nope////", "ä?[2J\xef\xbf\xbd\xef\xbf\xbd Nope");
  char *blanks = g_strnfill(65536, ' '), *crowd = g_strconcat("0,1", blanks, ",Nope", blanks, "////", NULL);
  _expect_carets(crowd, "Nope");
  g_free(crowd);
  g_free(blanks);
  GString *wide = g_string_new("0,");
  for(int i = 0; i < 50; i++) g_string_append(wide, "ä显"); /* cut between characters, wherever it is cut */
  g_string_append(wide, ",Nope,");
  for(int i = 0; i < 50; i++) g_string_append(wide, "显ä");
  g_string_append(wide, "////");
  _expect_carets(wide->str, "显ä显ä显ä显ä显ä显ä显ä显ä显ä显ä显ä显ä"); /* 60 bytes */
  g_string_free(wide, TRUE);
}

/* The surroundings begin and end with whole characters, wherever they are cut. */
static void test_cut(void **state)
{
  (void)state;
  for(int shift = 0; shift < 12; shift++)
  {
    GString *string = g_string_new("0,");
    for(int i = 0; i < 30; i++) g_string_append(string, "显");
    g_string_append_printf(string, "Nope%.*s,Nope,%.*s显显显显显显显显显显显显显显显显////", shift % 4,
                           "abcd", shift / 4, "abcd");
    char *text = _text(string->str, _two, 2);
    assert_non_null(strstr(text, "^"));
    assert_null(strstr(text, "\xef\xbf\xbd"));
    g_free(text);
    g_string_free(string, TRUE);
  }
}

/* --- the table --- */

static void test_table(void **state)
{
  (void)state;
  const char *const expected[] = {
    "[opencl_priorities] these are your device priorities:",
    "[opencl_priorities]               image   preview    export    thumbs  preview2",
    "[opencl_priorities]                   1         0         1        -1         0",
    "[opencl_priorities]                  -1        -1         0        -1        -1",
    "[opencl_priorities] mandatory        NO       YES        NO        NO        NO",
  };
  dt_opencl_explained_t e = _read("!0,*/+0/Tahiti,*//0", _two, 2);
  char **lines = dt_opencl_explain_table(e.priorities);
  assert_int_equal(g_strv_length(lines), G_N_ELEMENTS(expected));
  for(gsize i = 0; i < G_N_ELEMENTS(expected); i++) assert_string_equal(lines[i], expected[i]);
  g_strfreev(lines);
  _free(&e);
}

static void test_table_without_devices(void **state)
{
  (void)state;
  dt_opencl_explained_t e = _read("*", NULL, 0);
  char **lines = dt_opencl_explain_table(e.priorities);
  assert_int_equal(g_strv_length(lines), 4);
  assert_string_equal(lines[2],
                      "[opencl_priorities]                  -1        -1        -1        -1        -1");
  g_strfreev(lines);
  _free(&e);
}

/* --- JSON --- */

/* The objects, one in each line. */
static GPtrArray *_objects(const dt_opencl_explained_t *e)
{
  GPtrArray *objects = g_ptr_array_new_with_free_func((GDestroyNotify)json_object_unref);
  char *text = dt_opencl_explain_json(e), **lines = g_strsplit(text, "\n", -1);
  assert_true(g_str_has_suffix(text, "\n"));
  for(char **line = lines; line[1]; line++)
  {
    GError *error = NULL;
    JsonNode *node = json_from_string(*line, &error);
    assert_no_error(error);
    JsonObject *object = json_node_dup_object(node);
    assert_int_equal(json_object_get_int_member(object, "schema_version"), 1);
    g_ptr_array_add(objects, object);
    json_node_unref(node);
  }
  g_strfreev(lines);
  g_free(text);
  return objects;
}

static void test_json_pipes(void **state)
{
  (void)state;
  dt_opencl_explained_t e = _read("1,0/+0///", _two, 2);
  GPtrArray *objects = _objects(&e);
  assert_int_equal(objects->len, 6);
  assert_string_equal(json_object_get_string_member(objects->pdata[0], "priority"), "1,0/+0///");
  assert_string_equal(json_object_get_string_member(objects->pdata[0], "why"), "the test's");
  JsonObject *full = objects->pdata[1], *preview = objects->pdata[2], *export = objects->pdata[3];
  JsonArray *devices = json_object_get_array_member(full, "devices");
  assert_string_equal(json_object_get_string_member(full, "pipe"), "full");
  assert_int_equal(json_array_get_length(devices), 2);
  JsonObject *first = json_array_get_object_element(devices, 0),
             *second = json_array_get_object_element(devices, 1);
  assert_int_equal(json_object_get_int_member(first, "number"), 1);
  assert_string_equal(json_object_get_string_member(first, "name"), "Tahiti");
  assert_true(json_object_get_null_member(first, "identity"));
  assert_string_equal(json_object_get_string_member(second, "identity"), "pci:0000:01:00.0");
  assert_false(json_object_get_boolean_member(full, "mandatory"));
  assert_int_equal(json_object_get_int_member(full, "timeout_ms"), 0);
  assert_string_equal(json_object_get_string_member(full, "when_busy"), "cpu");
  assert_true(json_object_get_boolean_member(preview, "mandatory"));
  assert_int_equal(json_object_get_int_member(preview, "timeout_ms"), 2000);
  assert_string_equal(json_object_get_string_member(preview, "when_busy"), "wait");
  assert_int_equal(json_array_get_length(json_object_get_array_member(export, "devices")), 0);
  assert_string_equal(json_object_get_string_member(objects->pdata[5], "pipe"), "preview2");
  g_ptr_array_unref(objects);
  _free(&e);
}

/* Quotes, controls, and what is no UTF-8 at all, in the string and in a name. */
static void test_json_is_escaped(void **state)
{
  (void)state;
  const dt_opencl_names_t devices[] = { { "\"The\\ \n\xff Gamma\"", NULL, "\x1b\"" } };
  dt_opencl_explained_t e = _read("0,\"N\\ope\xff\n\"/*/*/*", devices, 1);
  GPtrArray *objects = _objects(&e);
  assert_int_equal(objects->len, 8);
  assert_string_equal(json_object_get_string_member(objects->pdata[0], "priority"),
                      "0,\"N\\ope\xef\xbf\xbd?\"/*/*/*");
  JsonObject *remark = objects->pdata[6], *fields = objects->pdata[7];
  assert_string_equal(json_object_get_string_member(remark, "remark"), "unknown");
  assert_string_equal(json_object_get_string_member(remark, "pipe"), "full");
  assert_int_equal(json_object_get_int_member(remark, "offset"), 2);
  assert_int_equal(json_object_get_int_member(remark, "length"), 9);
  assert_false(json_object_get_boolean_member(remark, "harmless"));
  assert_true(g_str_has_prefix(json_object_get_string_member(remark, "text"),
                               "\"\"N\\ope\xef\xbf\xbd?\"\" is ignored"));
  assert_string_equal(json_object_get_string_member(fields, "remark"), "fields");
  assert_true(json_object_get_null_member(fields, "pipe"));
  assert_true(json_object_get_boolean_member(fields, "harmless"));
  g_ptr_array_unref(objects);
  e.why = NULL;
  objects = _objects(&e);
  assert_true(json_object_get_null_member(objects->pdata[0], "why"));
  g_ptr_array_unref(objects);
  _free(&e);
}

/* Whatever the string: text that no terminal obeys, JSON that is read, and neither of them long. */
static void test_any_string(void **state)
{
  (void)state;
  test_random_t random = { 1066 };
  for(int run = 0; run < 3000; run++)
  {
    char string[200];
    const int length = test_random_int(&random, 0, (int)sizeof string - 1);
    for(int i = 0; i < length; i++)
      string[i] = test_random(&random) % 2 ? "/!,*+01T "[test_random_int(&random, 0, 8)]
                                           : (char)test_random_int(&random, 1, 255);
    string[length] = '\0';
    dt_opencl_explained_t e = _read(string, _two, 2);
    char *text = dt_opencl_explain_text(&e);
    assert_true(g_utf8_validate(text, -1, NULL) && strlen(text) < 60000);
    for(const char *c = text; *c; c++) assert_true(*c == '\n' || !g_ascii_iscntrl(*c));
    g_ptr_array_unref(_objects(&e));
    g_free(text);
    _free(&e);
  }
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_example),    cmocka_unit_test(test_waiting),
    cmocka_unit_test(test_seconds),    cmocka_unit_test(test_not_in_force),
    cmocka_unit_test(test_carets),     cmocka_unit_test(test_cut),
    cmocka_unit_test(test_table),      cmocka_unit_test(test_table_without_devices),
    cmocka_unit_test(test_json_pipes), cmocka_unit_test(test_json_is_escaped),
    cmocka_unit_test(test_any_string),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
