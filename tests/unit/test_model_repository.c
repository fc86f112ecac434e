/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Model repositories: names, both JSON files in every form, the choice of a release, and mirrors of all kinds. */
#include "support.h"
#include "test_server.h"

#include "common/model_repository_internal.h"

#include <glib/gstdio.h>
#include <string.h>

#define DIGEST "0123456789abcdef0123456789ABCDEF0123456789abcdef0123456789abcdef"
#define BASE "https://example.org/models"

static const char *_world;
static char *_root;
static test_server_t *_server;

static int _setup(void **state)
{
  (void)state;
  _world = test_world_create();
  _root = g_build_filename(_world, "root", NULL);
  g_mkdir(_root, 0755);
  _server = test_server_start(_root, NULL);
  return _server ? 0 : -1;
}

static int _teardown(void **state)
{
  (void)state;
  test_server_stop(_server);
  g_free(_root);
  test_world_destroy();
  return 0;
}

/* --- helpers --- */

static void _write(const char *relative, const char *text)
{
  char *path = g_build_filename(_root, relative, NULL), *directory = g_path_get_dirname(path);
  g_mkdir_with_parents(directory, 0755);
  assert_true(g_file_set_contents(path, text, -1, NULL));
  g_free(directory);
  g_free(path);
}

/* Takes @p error. */
static void _assert_error(GError *error, int code, const char *words)
{
  if(!error) fail_msg("no error; expected \"%s\"", words);
  if(!g_error_matches(error, DT_AI_ERROR, code) || !strstr(error->message, words))
    fail_msg("error %d \"%s\", expected %d with \"%s\"", error->code, error->message, code, words);
  assert_true(g_str_has_suffix(error->message, "."));
  assert_true(g_utf8_validate(error->message, -1, NULL));
  for(const char *c = error->message; *c; c++)
    if(g_ascii_iscntrl(*c)) fail_msg("a control character is in \"%s\"", error->message);
  g_error_free(error);
}

static void _assert_contains(const char *text, const char *words)
{
  if(!text || !strstr(text, words)) fail_msg("\"%s\" is not in \"%s\"", words, text ? text : "(nothing)");
}

/* The models of this versions.json, which has to be fine. */
static GPtrArray *_parse_models(const char *json, char **note)
{
  GError *error = NULL;
  GBytes *bytes = g_bytes_new(json, strlen(json));
  GPtrArray *models = dt_repository_parse_versions(bytes, "versions", BASE, note, &error);
  assert_no_error(error);
  g_bytes_unref(bytes);
  return models;
}

static void _refuse_models(const char *json, gsize size, const char *words)
{
  GError *error = NULL;
  char *note;
  GBytes *bytes = g_bytes_new(json, size);
  assert_null(dt_repository_parse_versions(bytes, "versions", BASE, &note, &error));
  _assert_error(error, DT_AI_ERROR_NETWORK, words);
  assert_null(note);
  g_bytes_unref(bytes);
}

/* The note is checked with _assert_contains(), NULL for none; the tag NULL for an error with the words. */
static void _check_choice(const char *json, const char *version, const char *tag, const char *words)
{
  GError *error = NULL;
  char *chosen, *note;
  GBytes *bytes = g_bytes_new(json, strlen(json));
  const gboolean done = dt_repository_parse_index(bytes, "index", version, &chosen, &note, &error);
  if(!tag)
  {
    if(done) fail_msg("%s: %s was chosen from %s", version, chosen, json);
    _assert_error(error, DT_AI_ERROR_NETWORK, words);
    assert_null(chosen);
    assert_null(note);
  }
  else
  {
    assert_no_error(error);
    if(strcmp(chosen, tag) != 0) fail_msg("%s: %s was chosen, not %s", version, chosen, tag);
    if(words) _assert_contains(note, words);
    if(!words && note) fail_msg("%s: %s", version, note);
  }
  g_free(chosen);
  g_free(note);
  g_bytes_unref(bytes);
}

/* --- names --- */

static void test_names(void **state)
{
  (void)state;
  const char *good[] = { "darktable-org/darktable-ai",
                         "a/b",
                         "A.b_c-1/..x",
                         ".../...",
                         "https://example.org/models",
                         "https://user:pass@example.org:8443/models/",
                         "http://127.0.0.1:8000/models",
                         "http://localhost/",
                         "http://[::1]:80",
                         "file:///srv/models",
                         "/srv/models",
                         "/",
                         "./models",
                         "../models",
                         "~/models" };
  const char *bad[] = { "",
                        "a",
                        "a/",
                        "a/b/c",
                        "a/..",
                        "a/.",
                        "a b/c",
                        "a/b?c",
                        "a/b#c",
                        "a/b%2e",
                        "ä/b",
                        "a\\b",
                        "~user/models",
                        "a/b\n",
                        "http://192.0.2.1/models",
                        "http://example.org/models",
                        "ftp://example.org/models",
                        "https://example.org/models?x=1",
                        "https://example.org/models#x",
                        "https://",
                        "git@example.org:a/b",
                        "ssh://example.org/a" };
  for(size_t i = 0; i < G_N_ELEMENTS(good); i++)
  {
    GError *error = NULL;
    if(!dt_repository_check_name(good[i], &error)) fail_msg("%s: %s", good[i], error->message);
    assert_null(error);
  }
  for(size_t i = 0; i < G_N_ELEMENTS(bad); i++)
  {
    GError *error = NULL;
    if(dt_repository_check_name(bad[i], &error)) fail_msg("accepted: %s", bad[i]);
    _assert_error(error, DT_AI_ERROR_USAGE, "");
    error = NULL;
    assert_null(dt_repository_open(bad[i], "5.6.0", NULL, &error));
    _assert_error(error, DT_AI_ERROR_USAGE, "");
  }
  GError *error = NULL;
  assert_false(dt_repository_check_name("models", &error));
  _assert_contains(error->message, "owner/name");
  _assert_contains(error->message, "https://");
  _assert_contains(error->message, "directory");
  g_error_free(error);
}

/* --- the choice of a release --- */

#define INDEX                                                                                                \
  "{\"schema\":1,\"compatible_releases\":{\"5.5.0\":\"release-5.5.0\",\"5.10.0\":\"release-5.10.0\","        \
  "\"5.9.0\":\"release-5.9.0\",\"6.0.1\":\"nightly-6.0.1\"}}"

static void test_choice(void **state)
{
  (void)state;
  const char *cases[][3] = {
    { "5.5.0", "release-5.5.0", NULL },
    { "5.9.0", "release-5.9.0", NULL },
    { "5.10.0", "release-5.10.0", NULL },
    { "6.0.1", "nightly-6.0.1", NULL },
    { "5.5", "release-5.5.0", NULL },
    { "5.5.0+12~g0a1b2c3", "release-5.5.0", NULL },
    { "5.5.0-rc1", "release-5.5.0", NULL },
    { "05.005.0", "release-5.5.0", NULL },
    { "5.6.0", "release-5.5.0",
      "The repository does not list version 5.6.0; the packages of 5.5.0 (release-5.5.0) are used." },
    { "5.7.0+12~g0a1b2c3", "release-5.5.0", "does not list version 5.7.0;" },
    { "5.5.1", "release-5.5.0", "version 5.5.1;" },
    { "5.9.9", "release-5.9.0", "packages of 5.9.0" },
    { "5.11.0", "release-5.10.0", "packages of 5.10.0" },
    { "6.0.0", "release-5.10.0", "packages of 5.10.0" },
    { "99999999999999999999.0.0", "nightly-6.0.1", "packages of 6.0.1" },
    { "5.4.9", NULL,
      "no model packages for version 5.4.9 or an earlier one, only for 5.5.0, 5.10.0, 5.9.0, 6.0.1." },
    { "0", NULL, "version 0.0.0" },
  };
  for(size_t i = 0; i < G_N_ELEMENTS(cases); i++) _check_choice(INDEX, cases[i][0], cases[i][1], cases[i][2]);
}

static void test_versions_that_are_none(void **state)
{
  (void)state;
  const char *cases[] = { "", "x", "v5.6.0", "-5", ".5" };
  for(size_t i = 0; i < G_N_ELEMENTS(cases); i++)
  {
    GError *error = NULL;
    char *tag, *note;
    GBytes *bytes = g_bytes_new_static(INDEX, strlen(INDEX));
    assert_false(dt_repository_parse_index(bytes, "index", cases[i], &tag, &note, &error));
    _assert_error(error, DT_AI_ERROR_USAGE, "is no version");
    g_bytes_unref(bytes);
  }
}

static void test_indexes(void **state)
{
  (void)state;
  const char *cases[][3] = {
    { "{\"compatible_releases\":{\"5.6.0\":\"r\"}}", "r", NULL },
    { "{\"schema\":2,\"compatible_releases\":{\"5.6.0\":\"r\"}}", "r", "newer than this program" },
    { "{\"schema\":\"1\",\"compatible_releases\":{\"5.6.0\":\"r\"}}", "r", "newer than this program" },
    { "{\"schema\":null,\"compatible_releases\":{\"5.6.0\":\"r\"}}", "r", "newer than this program" },
    { "{\"schema\":2,\"compatible_releases\":{\"5.5.0\":\"r\"}}", "r",
      "may know more. The repository does not" },
    { "{\"compatible_releases\":{\"5.6.0\":\"r\",\"5.6\":\"later\"}}", "r", NULL },
    { "{\"compatible_releases\":{\"5.6.0\":7,\"5.5.0\":\"r\"}}", "r", "5.5.0" },
    { "{\"compatible_releases\":{\"5.6.0\":{},\"5.5.0\":\"r\"}}", "r", "5.5.0" },
    { "{\"compatible_releases\":{\"5.6.0\":null,\"5.5.0\":\"r\"}}", "r", "5.5.0" },
    { "{\"compatible_releases\":{\"5.6.0\":\"..\",\"5.5.0\":\"r\"}}", "r", "5.5.0" },
    { "{\"compatible_releases\":{\"5.6.0\":\"../../etc\",\"5.5.0\":\"r\"}}", "r", "5.5.0" },
    { "{\"compatible_releases\":{\"5.6.0\":\"a\\\\b\",\"5.5.0\":\"r\"}}", "r", "5.5.0" },
    { "{\"compatible_releases\":{\"5.6.0\":\"a\\u001b[31m\",\"5.5.0\":\"r\"}}", "r", "5.5.0" },
    { "{\"compatible_releases\":{\"5.6.0\":\"\",\"5.5.0\":\"r\"}}", "r", "5.5.0" },
    { "{\"compatible_releases\":{\"5.6.0\":\".hidden\",\"5.5.0\":\"r\"}}", "r", "5.5.0" },
    { "{\"compatible_releases\":{\"\\u001b[31m\":\"r\"}}", NULL, "lists no release" },
    { "{\"compatible_releases\":{\"latest\":\"r\"}}", NULL, "lists no release" },
    { "{\"compatible_releases\":{}}", NULL, "lists no release" },
    { "{\"compatible_releases\":[\"5.6.0\"]}", NULL, "no \"compatible_releases\"" },
    { "{\"compatible_releases\":\"5.6.0\"}", NULL, "no \"compatible_releases\"" },
    { "{\"compatible_releases\":null}", NULL, "no \"compatible_releases\"" },
    { "{}", NULL, "no \"compatible_releases\"" },
    { "[]", NULL, "not a JSON object" },
    { "\"x\"", NULL, "not a JSON object" },
    { "null", NULL, "not a JSON object" },
    { "", NULL, "not a JSON object" },
    { "{\"compatible_releases\":{\"5.6.0\":\"r\"}", NULL, "not a JSON object" },
    { "{\"compatible_releases\":{\"5.6.0\":\"\xff\"}}", NULL, "UTF-8" },
    { "{\"compatible_releases\":{\"7\":\"r\",\"8\":\"r\",\"9\":\"r\",\"10\":\"r\",\"11\":\"r\",\"12\":\"r\","
      "\"13\":\"r\",\"14\":\"r\",\"15\":\"r\"}}",
      NULL, "13.0.0, 14.0.0 and others" },
  };
  for(size_t i = 0; i < G_N_ELEMENTS(cases); i++)
    _check_choice(cases[i][0], "5.6.0", cases[i][1], cases[i][2]);
}

/* --- versions.json --- */

static void _check_model(const dt_remote_model_t *m, const char *id, const char *version, const char *sha256)
{
  assert_string_equal(m->id, id);
  assert_string_equal(m->version, version);
  assert_string_equal(m->sha256, sha256);
}

static void test_forms_of_versions(void **state)
{
  (void)state;
  char *note, *lower = g_ascii_strdown(DIGEST, -1);
  GPtrArray *models = _parse_models("{\"models\":{"
                                    "\"b\":\"1.0\","
                                    "\"c\":{\"version\":\"1.1\",\"sha256\":\"sha256:" DIGEST "\"},"
                                    "\"a\":{\"version\":\"2\",\"sha256\":\"sha256:" DIGEST
                                    "\",\"name\":\"An a\",\"description\":\"long\\nwords\","
                                    "\"task\":\"denoise\",\"license\":\"MIT\",\"size\":57700134}}}",
                                    &note);
  assert_null(note);
  assert_int_equal(models->len, 3);
  const dt_remote_model_t *a = g_ptr_array_index(models, 0);
  _check_model(a, "a", "2", lower);
  assert_string_equal(a->name, "An a");
  assert_string_equal(a->description, "long\nwords");
  assert_string_equal(a->task, "denoise");
  assert_string_equal(a->license, "MIT");
  assert_int_equal(a->size, 57700134);
  assert_string_equal(a->url, BASE "/a.dtmodel");
  const dt_remote_model_t *b = g_ptr_array_index(models, 1);
  _check_model(b, "b", "1.0", "");
  assert_string_equal(b->name, "");
  assert_int_equal(b->size, 0);
  _check_model(g_ptr_array_index(models, 2), "c", "1.1", lower);
  g_ptr_array_unref(models);
  g_free(lower);
}

/* What has the wrong type counts as not there. */
static void test_wrong_types(void **state)
{
  (void)state;
  const char *values[] = { "null", "1", "1.5", "true", "[]", "{}", "[\"x\"]", "{\"x\":1}" };
  const char *keys[] = { "version", "sha256", "name", "description", "task", "license", "size" };
  for(size_t v = 0; v < G_N_ELEMENTS(values); v++)
    for(size_t k = 0; k < G_N_ELEMENTS(keys); k++)
    {
      char *note;
      char *json = g_strdup_printf("{\"schema\":1,\"models\":{\"x\":{\"%s\":%s}}}", keys[k], values[v]);
      GPtrArray *models = _parse_models(json, &note);
      assert_null(note);
      assert_int_equal(models->len, 1);
      const dt_remote_model_t *m = g_ptr_array_index(models, 0);
      _check_model(m, "x", "", "");
      assert_string_equal(m->name, "");
      assert_string_equal(m->license, "");
      assert_int_equal(m->size, strcmp(keys[k], "size") == 0 && v == 1 ? 1 : 0);
      g_ptr_array_unref(models);
      g_free(json);
    }
}

static void test_values_of_models(void **state)
{
  (void)state;
  const char *passed_over[] = { "1", "null", "true", "[]", "[\"1.0\"]" };
  for(size_t i = 0; i < G_N_ELEMENTS(passed_over); i++)
  {
    char *note, *json = g_strdup_printf("{\"models\":{\"x\":%s,\"y\":\"1.0\"}}", passed_over[i]);
    GPtrArray *models = _parse_models(json, &note);
    assert_int_equal(models->len, 1);
    _check_model(g_ptr_array_index(models, 0), "y", "1.0", "");
    g_ptr_array_unref(models);
    g_free(json);
  }
}

static void test_sizes_and_digests(void **state)
{
  (void)state;
  const char *sizes[] = { "-1", "0", "-9223372036854775808", "1e30", "\"12\"" };
  const char *digests[] = { DIGEST,
                            "sha256:" DIGEST "0",
                            "sha256:" DIGEST " ",
                            "sha256: " DIGEST,
                            "SHA256:" DIGEST,
                            "md5:" DIGEST,
                            "sha256:",
                            "sha256:0123",
                            "sha256:g123456789abcdef0123456789ABCDEF0123456789abcdef0123456789abcdef" };
  for(size_t i = 0; i < G_N_ELEMENTS(digests); i++)
  {
    char *note, *json = g_strdup_printf("{\"models\":{\"x\":{\"sha256\":\"%s\",\"size\":%s}}}", digests[i],
                                        sizes[i % G_N_ELEMENTS(sizes)]);
    GPtrArray *models = _parse_models(json, &note);
    const dt_remote_model_t *m = g_ptr_array_index(models, 0);
    _check_model(m, "x", "", "");
    assert_int_equal(m->size, 0);
    g_ptr_array_unref(models);
    g_free(json);
  }
}

static void test_ids(void **state)
{
  (void)state;
  char *note;
  GPtrArray *models =
      _parse_models("{\"models\":{\"\":\"1\",\".\":\"1\",\"..\":\"1\",\"a/b\":\"1\",\"a\\\\b\":"
                    "\"1\",\"a\\u001bb\":\"1\",\".x\":\"1\",\"../x\":\"1\","
                    "\"100% \\u00e4?#&\":\"1\"}}",
                    &note);
  assert_int_equal(models->len, 1);
  const dt_remote_model_t *m = g_ptr_array_index(models, 0);
  assert_string_equal(m->id, "100% ä?#&");
  assert_string_equal(m->url, BASE "/100%25%20%C3%A4%3F%23%26.dtmodel");
  g_ptr_array_unref(models);
}

/* Nothing that steers a terminal, and nothing endless. */
static void test_texts(void **state)
{
  (void)state;
  char *note, *filler = g_strnfill(9000, 'x');
  char *json = g_strdup_printf(
      "{\"models\":{\"a\":{\"name\":\"%s\",\"description\":\"%s\"},"
      "\"b\":{\"name\":\"\\u001b[31mred\\nline\\u009b\\u007f\","
      "\"description\":\"\\u0007a\\nb\",\"license\":\"\\ud83d\\ude00\",\"version\":\"1\\u0000\"}}}",
      filler, filler);
  GPtrArray *models = _parse_models(json, &note);
  const dt_remote_model_t *a = g_ptr_array_index(models, 0), *b = g_ptr_array_index(models, 1);
  assert_int_equal(strlen(a->name), 200);
  assert_int_equal(strlen(a->description), 4000);
  assert_string_equal(b->name, " [31mred line  ");
  assert_string_equal(b->description, " a\nb");
  assert_string_equal(b->version, "1");
  assert_string_equal(b->license, "😀");
  g_ptr_array_unref(models);
  g_free(json);
  g_free(filler);
}

static void test_many_models(void **state)
{
  (void)state;
  char *note;
  GString *json = g_string_new("{\"schema\":7,\"models\":{\"m\":\"1\"");
  for(int i = 0; i < 1200; i++) g_string_append_printf(json, ",\"m%04d\":\"1\"", i);
  g_string_append(json, "}}");
  GPtrArray *models = _parse_models(json->str, &note);
  assert_int_equal(models->len, 1000);
  _assert_contains(note, "more than 1000 packages");
  _assert_contains(note, "newer than this program");
  g_free(note);
  g_ptr_array_unref(models);
  g_string_free(json, TRUE);
}

static void test_versions_that_are_refused(void **state)
{
  (void)state;
  const char *cases[][2] = {
    { "", "not a JSON object" },
    { "[]", "not a JSON object" },
    { "7", "not a JSON object" },
    { "{", "not a JSON object" },
    { "{}", "no \"models\"" },
    { "{\"models\":[]}", "no \"models\"" },
    { "{\"models\":\"x\"}", "no \"models\"" },
    { "{\"models\":null}", "no \"models\"" },
    { "{\"models\":{\"a\":\"\\ud800\"}}", "not a JSON object" },
    { "{\"models\":{\"\x1b[31m\x07\xc2\x9b\":x}}", "not a JSON object" },
    { "\x1b[31m", "not a JSON object" },
    { "{\"models\":{\"\xc3\":\"1\"}}", "UTF-8" },
  };
  for(size_t i = 0; i < G_N_ELEMENTS(cases); i++)
    _refuse_models(cases[i][0], strlen(cases[i][0]), cases[i][1]);
  _refuse_models("{\"models\":{}}\0 ", 15, "UTF-8");
  char *deep = g_strnfill(500000, '[');
  _refuse_models(deep, 500000, "nested too deeply");
  g_free(deep);
  char *large = g_strnfill((1 << 20) + 1, ' ');
  memcpy(large, "{\"models\":{}}", 13);
  _refuse_models(large, (1 << 20) + 1, "larger than 1 MiB");
  g_free(large);
}

/* --- whole repositories --- */

#define VERSIONS "{\"models\":{\"denoise-x\":{\"version\":\"1.0\",\"sha256\":\"sha256:" DIGEST "\"}}}"

static void _lay_out(void)
{
  _write("mirror/releases-index.json", INDEX);
  _write("mirror/release-5.5.0/versions.json", VERSIONS);
  _write("flat/versions.json", VERSIONS);
  _write("nothing/readme", "");
  _write("broken/releases-index.json", "{\"compatible_releases\":{\"5.0.0\":\"gone\"}}");
  _write("bad/releases-index.json", "{\"compatible_releases\":");
  _write("raw/owner/name/HEAD/releases-index.json", INDEX);
  _write("site/owner/name/releases/download/release-5.5.0/versions.json", VERSIONS);
  _write("odd/releases-index.json", "{\"compatible_releases\":{\"5.6.0\":\"release 100%\"}}");
  _write("odd/release 100%/versions.json", VERSIONS);
}

/* Opens it for 5.6.0 and checks what has been found; @p url is the package's. */
static void _check_repository(const char *setting, const char *release, const char *note, const char *url)
{
  GError *error = NULL;
  dt_repository_t *r = dt_repository_open(setting, "5.6.0", NULL, &error);
  assert_no_error(error);
  assert_string_equal(r->name, setting);
  assert_string_equal(r->release, release);
  if(note) _assert_contains(r->note, note);
  if(!note) assert_null(r->note);
  assert_int_equal(r->models->len, 1);
  const dt_remote_model_t *m = dt_repository_find(r, "denoise-x");
  assert_non_null(m);
  assert_string_equal(m->url, url);
  assert_null(dt_repository_find(r, "denoise"));
  assert_null(dt_repository_find(r, ""));
  dt_repository_free(r);
}

static void _check_no_repository(const char *setting, const char *words)
{
  GError *error = NULL;
  assert_null(dt_repository_open(setting, "5.6.0", NULL, &error));
  _assert_error(error, DT_AI_ERROR_NETWORK, words);
}

/* One below the server, one below the root. */
static void _check_mirror(const char *base)
{
  const char *note = "does not list version 5.6.0; the packages of 5.5.0 (release-5.5.0) are used.";
  char *mirror = g_strconcat(base, "/mirror", NULL), *slashes = g_strconcat(mirror, "//", NULL);
  char *flat = g_strconcat(base, "/flat", NULL), *odd = g_strconcat(base, "/odd", NULL);
  char *url = g_strconcat(mirror, "/release-5.5.0/denoise-x.dtmodel", NULL);
  char *flat_url = g_strconcat(flat, "/denoise-x.dtmodel", NULL);
  char *odd_url = g_strconcat(odd, "/release%20100%25/denoise-x.dtmodel", NULL);
  _check_repository(mirror, "release-5.5.0", note, url);
  _check_repository(slashes, "release-5.5.0", note, url);
  _check_repository(flat, "", NULL, flat_url);
  _check_repository(odd, "release 100%", NULL, odd_url);
  char *strings[] = { mirror, slashes, flat, odd, url, flat_url, odd_url };
  for(size_t i = 0; i < G_N_ELEMENTS(strings); i++) g_free(strings[i]);
}

static void _check_broken_mirrors(const char *base)
{
  const char *cases[][2] = { { "nothing", "neither releases-index.json nor versions.json" },
                             { "broken", "/gone/versions.json" },
                             { "bad", "not a JSON object" } };
  for(size_t i = 0; i < G_N_ELEMENTS(cases); i++)
  {
    char *setting = g_strconcat(base, "/", cases[i][0], NULL);
    _check_no_repository(setting, cases[i][1]);
    g_free(setting);
  }
}

static void test_http_mirror(void **state)
{
  (void)state;
  _lay_out();
  char *base = test_server_url(_server, "/ok");
  _check_mirror(base);
  _check_broken_mirrors(base);
  g_free(base);
}

static void test_file_mirror(void **state)
{
  (void)state;
  _lay_out();
  char *base = g_filename_to_uri(_root, NULL, NULL);
  _check_mirror(base);
  _check_broken_mirrors(base);
  g_free(base);
}

static void test_directories(void **state)
{
  (void)state;
  _lay_out();
  char *path = g_build_filename(_root, "flat", NULL), *slash = g_strconcat(path, "/", NULL);
  char *uri = g_filename_to_uri(path, NULL, NULL), *url = g_strconcat(uri, "/denoise-x.dtmodel", NULL);
  char *before = g_get_current_dir();
  _check_repository(path, "", NULL, url);
  _check_repository(slash, "", NULL, url);
  assert_int_equal(g_chdir(_root), 0);
  _check_repository("./flat", "", NULL, url);
  _check_repository("./mirror/../flat/", "", NULL, url);
  assert_int_equal(g_chdir("mirror"), 0);
  _check_repository("../flat", "", NULL, url);
  assert_int_equal(g_chdir(before), 0);
  _check_broken_mirrors(_root);
  _check_no_repository("/no/such/directory", "neither releases-index.json nor versions.json");
  char *strings[] = { path, slash, uri, url, before };
  for(size_t i = 0; i < G_N_ELEMENTS(strings); i++) g_free(strings[i]);
}

static void test_home_directory(void **state)
{
  (void)state;
  char *path = g_build_filename(g_get_home_dir(), "no such mirror", NULL);
  char *uri = g_filename_to_uri(path, NULL, NULL);
  _check_no_repository("~/no such mirror", uri);
  g_free(uri);
  g_free(path);
}

static void test_github(void **state)
{
  (void)state;
  _lay_out();
  char *raw = test_server_url(_server, "/ok/raw"), *site = test_server_url(_server, "/ok/site");
  char *url = g_strconcat(site, "/owner/name/releases/download/release-5.5.0/denoise-x.dtmodel", NULL);
  dt_repository_set_github(raw, site);
  _check_repository("owner/name", "release-5.5.0", "5.5.0 (release-5.5.0)", url);
  _check_no_repository("owner/nothing", "the repository or the release does not exist");
  /* the release the index promises is not there */
  dt_repository_set_github(raw, raw);
  _check_no_repository("owner/name", "release-5.5.0/versions.json was answered with status 404");
  dt_repository_set_github(NULL, NULL);
  g_free(url);
  g_free(site);
  g_free(raw);
}

/* The server's moods reach the user in words. */
static void test_bad_servers(void **state)
{
  (void)state;
  const char *cases[][2] = { { "/page", "does this network ask you to log in" },
                             { "/status/500", "Try again later" },
                             { "/status/403", "rate limit" },
                             { "/loop", "in circles" },
                             { "/endless", "larger than" },
                             { "/hang", "next to nothing" } };
  const dt_download_opts_t opts = { .stall_seconds = 1 };
  for(size_t i = 0; i < G_N_ELEMENTS(cases); i++)
  {
    GError *error = NULL;
    char *setting = test_server_url(_server, "%s", cases[i][0]);
    assert_null(dt_repository_open(setting, "5.6.0", &opts, &error));
    assert_non_null(error);
    assert_true(g_error_matches(error, DT_AI_ERROR, DT_AI_ERROR_NETWORK));
    _assert_contains(error->message, cases[i][1]);
    g_error_free(error);
    g_free(setting);
  }
}

static void test_cancelled(void **state)
{
  (void)state;
  GError *error = NULL;
  const dt_download_opts_t opts = { .cancellable = g_cancellable_new() };
  g_cancellable_cancel(opts.cancellable);
  assert_null(dt_repository_open(_root, "5.6.0", &opts, &error));
  _assert_error(error, DT_AI_ERROR_CANCELLED, "cancelled");
  g_object_unref(opts.cancellable);
  dt_repository_free(NULL);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_names),
    cmocka_unit_test(test_choice),
    cmocka_unit_test(test_versions_that_are_none),
    cmocka_unit_test(test_indexes),
    cmocka_unit_test(test_forms_of_versions),
    cmocka_unit_test(test_wrong_types),
    cmocka_unit_test(test_values_of_models),
    cmocka_unit_test(test_sizes_and_digests),
    cmocka_unit_test(test_ids),
    cmocka_unit_test(test_texts),
    cmocka_unit_test(test_many_models),
    cmocka_unit_test(test_versions_that_are_refused),
    cmocka_unit_test(test_http_mirror),
    cmocka_unit_test(test_file_mirror),
    cmocka_unit_test(test_directories),
    cmocka_unit_test(test_home_directory),
    cmocka_unit_test(test_github),
    cmocka_unit_test(test_bad_servers),
    cmocka_unit_test(test_cancelled),
  };
  return cmocka_run_group_tests(tests, _setup, _teardown);
}
