/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Downloads from a server that does everything wrong (support/http_server.py): which error, which words, and
 * what is on the disk afterwards. */
#include "support.h"
#include "test_server.h"

#include "common/download.h"

#include <arpa/inet.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <json-glib/json-glib.h>
#include <netdb.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define PAYLOAD_SIZE 300000
#define SMALL_SIZE 3000
#define ABSENT (-1)

static const char *_world;
static char *_root, *_part;
static test_server_t *_server;
static char *_payload, *_sha256, *_small_sha256;

/* --- the C library's, to look over curl's shoulder --- */

static gint _connects;

int connect(int fd, const struct sockaddr *address, socklen_t size)
{
  int (*real)(int, const struct sockaddr *, socklen_t);
  void *symbol = dlsym(RTLD_NEXT, "connect");
  memcpy(&real, &symbol, sizeof symbol);
  if(address->sa_family == AF_INET || address->sa_family == AF_INET6) g_atomic_int_inc(&_connects);
  return real(fd, address, size);
}

/* A name server that does not answer for a while. */
int getaddrinfo(const char *node, const char *service, const struct addrinfo *hints, struct addrinfo **list)
{
  int (*real)(const char *, const char *, const struct addrinfo *, struct addrinfo **);
  void *symbol = dlsym(RTLD_NEXT, "getaddrinfo");
  memcpy(&real, &symbol, sizeof symbol);
  if(node && strstr(node, "hanging")) sleep(3);
  if(node && strstr(node, ".invalid")) return EAI_NONAME;
  return real(node, service, hints, list);
}

/* --- helpers --- */

static void _write_file(const char *path, const char *data, gssize size)
{
  assert_true(g_file_set_contents(path, data, size, NULL));
}

static char *_write_random(const char *name, test_random_t *random, gsize size, char **sha256)
{
  char *path = g_build_filename(_root, name, NULL), *data = g_malloc(size);
  for(gsize i = 0; i < size; i++) data[i] = (char)test_random(random);
  data[0] = 'P';
  _write_file(path, data, (gssize)size);
  *sha256 = g_compute_checksum_for_data(G_CHECKSUM_SHA256, (const guchar *)data, size);
  g_free(path);
  return data;
}

static int _setup(void **state)
{
  (void)state;
  test_random_t random = { 20240907 };
  /* what the machine has set up must not matter */
  const char *names[] = { "http_proxy", "https_proxy", "HTTPS_PROXY",   "all_proxy",
                          "ALL_PROXY",  "no_proxy",    "SSL_CERT_FILE", "CURL_CA_BUNDLE" };
  for(size_t i = 0; i < G_N_ELEMENTS(names); i++) g_unsetenv(names[i]);
  _world = test_world_create();
  _root = g_build_filename(_world, "root", NULL);
  _part = g_build_filename(_world, "download.part", NULL);
  g_mkdir(_root, 0755);
  _payload = _write_random("file", &random, PAYLOAD_SIZE, &_sha256);
  g_free(_write_random("small", &random, SMALL_SIZE, &_small_sha256));
  _server = test_server_start(_root, NULL);
  return _server ? 0 : -1;
}

static int _teardown(void **state)
{
  (void)state;
  test_server_stop(_server);
  test_world_destroy();
  char *strings[] = { _root, _part, _payload, _sha256, _small_sha256 };
  for(size_t i = 0; i < G_N_ELEMENTS(strings); i++) g_free(strings[i]);
  return 0;
}

static int _clear(void **state)
{
  (void)state;
  g_unlink(_part);
  return 0;
}

static gint64 _size_of(const char *path)
{
  struct stat status;
  return lstat(path, &status) == 0 ? (gint64)status.st_size : ABSENT;
}

static void _assert_content(const char *path, const char *data, gsize size)
{
  char *text = NULL;
  gsize length = 0;
  assert_true(g_file_get_contents(path, &text, &length, NULL));
  assert_int_equal(length, size);
  assert_memory_equal(text, data, size);
  g_free(text);
}

/* The error, or NULL when the file has arrived. */
static GError *_download(const char *url, const char *sha256, const dt_download_opts_t *opts)
{
  GError *error = NULL;
  const gboolean done = dt_download_file(url, _part, sha256, opts, &error);
  assert_true(done == (error == NULL));
  return error;
}

static GError *_download_path(const char *path, const dt_download_opts_t *opts)
{
  char *url = test_server_url(_server, "%s", path);
  GError *error = _download(url, _sha256, opts);
  g_free(url);
  return error;
}

/* Takes @p error; every message is sentences. */
static void _assert_error(GError *error, int code, const char *words)
{
  if(!error) fail_msg("no error; expected \"%s\"", words);
  if(!g_error_matches(error, DT_AI_ERROR, code) || !strstr(error->message, words))
    fail_msg("error %d \"%s\", expected %d with \"%s\"", error->code, error->message, code, words);
  assert_true(g_str_has_suffix(error->message, ".") || g_str_has_suffix(error->message, "?"));
  assert_true(g_utf8_validate(error->message, -1, NULL));
  g_error_free(error);
}

/* The file is there, whole. */
static void _assert_arrived(GError *error)
{
  assert_no_error(error);
  _assert_content(_part, _payload, PAYLOAD_SIZE);
}

typedef struct _log_t
{
  gint64 count, bytes;
  char *text; ///< of the requests
} _log_t;

/* What the server saw since the last call. */
static _log_t _take_log(void)
{
  GError *error = NULL;
  char *url = test_server_url(_server, "/log");
  GBytes *bytes = dt_download_bytes(url, NULL, &error);
  assert_no_error(error);
  JsonNode *root = json_from_string(g_bytes_get_data(bytes, NULL), NULL);
  JsonObject *o = json_node_get_object(root);
  _log_t log = { json_object_get_int_member(o, "count"), json_object_get_int_member(o, "bytes"),
                 json_to_string(json_object_get_member(o, "requests"), FALSE) };
  json_node_unref(root);
  g_bytes_unref(bytes);
  g_free(url);
  return log;
}

static void _forget_log(void)
{
  _log_t log = _take_log();
  g_free(log.text);
}

static void _assert_log(gint64 count, gint64 bytes)
{
  _log_t log = _take_log();
  if(log.count != count || (bytes >= 0 && log.bytes != bytes))
    fail_msg("%d requests and %d bytes: %s", (int)log.count, (int)log.bytes, log.text);
  g_free(log.text);
}

/* The beginning that an earlier call left. */
static void _leave_part(gsize size)
{
  _write_file(_part, _payload, (gssize)size);
}

typedef struct _canceller_t
{
  GCancellable *cancellable;
  gint64 wanted; ///< bytes of the part to wait for
  gint64 at;     ///< when it was done
} _canceller_t;

static gpointer _run_canceller(gpointer data)
{
  _canceller_t *c = data;
  g_usleep(300000);
  for(int i = 0; i < 100 && _size_of(_part) < c->wanted; i++) g_usleep(20000);
  g_atomic_pointer_set(&c->at, g_get_monotonic_time());
  g_cancellable_cancel(c->cancellable);
  return NULL;
}

/* Downloads @p url and cancels it; checks that it stops at once. */
static GError *_cancel_download(const char *url, gint64 wanted)
{
  _canceller_t canceller = { g_cancellable_new(), wanted, 0 };
  const dt_download_opts_t opts = { .cancellable = canceller.cancellable };
  GThread *thread = g_thread_new("canceller", _run_canceller, &canceller);
  GError *error = _download(url, _sha256, &opts);
  const gint64 end = g_get_monotonic_time();
  g_thread_join(thread);
  if(end < canceller.at) fail_msg("it ended by itself: %s", error ? error->message : "done");
  if(end - canceller.at > (test_is_sanitized() ? 2000000 : 500000))
    fail_msg("a cancel took %d ms", (int)((end - canceller.at) / 1000));
  g_object_unref(canceller.cancellable);
  return error;
}

/* --- addresses --- */

static void test_addresses(void **state)
{
  (void)state;
  const struct
  {
    const char *url;
    gboolean good;
  } cases[] = {
    { "https://example.org/x", TRUE },
    { "HTTPS://example.org", TRUE },
    { "https://user:secret@example.org:8443/x?y", TRUE },
    { "http://127.0.0.1:8080/x", TRUE },
    { "http://127.255.0.3/", TRUE },
    { "http://localhost/", TRUE },
    { "http://LocalHost:80/", TRUE },
    { "http://[::1]:80/", TRUE },
    { "file:///tmp/x", TRUE },
    { "http://192.0.2.1/", FALSE },
    { "http://example.org/", FALSE },
    { "http://127.0.0.1.example.org/", FALSE },
    { "http://localhost.example.org/", FALSE },
    { "http://127.0.0.1@example.org/", FALSE },
    { "http://[::ffff:192.0.2.1]/", FALSE },
    { "http://[::2]/", FALSE },
    { "http://128.0.0.1/", FALSE },
    { "ftp://127.0.0.1/", FALSE },
    { "gopher://127.0.0.1/", FALSE },
    { "dict://127.0.0.1/", FALSE },
    { "example.org/x", FALSE },
    { "https://", FALSE },
    { "https://exa mple.org/", FALSE },
    { "https://example.org/\033[31m", FALSE },
    { "", FALSE },
    { "/tmp/x", FALSE },
  };
  for(size_t i = 0; i < G_N_ELEMENTS(cases); i++)
  {
    GError *error = NULL;
    if(dt_download_check_url(cases[i].url, &error) != cases[i].good) fail_msg("%s", cases[i].url);
    if(!cases[i].good) _assert_error(error, DT_AI_ERROR_USAGE, "cannot be fetched");
    error = NULL;
    if(!cases[i].good) _assert_error(_download(cases[i].url, _sha256, NULL), DT_AI_ERROR_NETWORK, "https");
    assert_int_equal(_size_of(_part), ABSENT);
  }
}

static void test_shown_addresses(void **state)
{
  (void)state;
  const char *cases[][2] = {
    { "https://example.org/a/b", "https://example.org/a/b" },
    { "https://user:secret@example.org:8443/x?token=secret#secret", "https://example.org:8443/x" },
    { "https://secret@example.org/?secret", "https://example.org/" },
    { "file:///tmp/x", "file:///tmp/x" },
    { "secret?secret", "the address given" },
    { "", "the address given" },
  };
  for(size_t i = 0; i < G_N_ELEMENTS(cases); i++)
  {
    char *shown = dt_download_shown_url(cases[i][0]);
    assert_string_equal(shown, cases[i][1]);
    g_free(shown);
  }
}

/* Nothing is asked of a server that must not be asked. */
static void test_refused_without_connection(void **state)
{
  (void)state;
  const gint before = g_atomic_int_get(&_connects);
  _assert_error(_download("http://192.0.2.1/x", _sha256, NULL), DT_AI_ERROR_NETWORK, "not encrypted");
  _assert_error(_download("http://example.org/x", _sha256, NULL), DT_AI_ERROR_NETWORK, "not encrypted");
  _assert_error(_download("https://example.org/x", "", NULL), DT_AI_ERROR_NETWORK, "no SHA-256");
  _assert_error(_download("https://example.org/x", "12ab", NULL), DT_AI_ERROR_NETWORK, "no SHA-256");
  assert_int_equal(g_atomic_int_get(&_connects), before);
  assert_int_equal(_size_of(_part), ABSENT);
  /* the counter counts */
  _forget_log();
  assert_true(g_atomic_int_get(&_connects) > before);
}

static void test_secrets_are_not_shown(void **state)
{
  (void)state;
  char *url = g_strdup_printf("http://user:secret@%s/status/404?token=secret", strstr(_server->base, "127"));
  GError *error = _download(url, _sha256, NULL);
  assert_non_null(error);
  assert_null(strstr(error->message, "secret"));
  assert_null(strstr(error->message, "user"));
  _assert_error(error, DT_AI_ERROR_NETWORK, "/status/404 ");
  g_free(url);
}

/* --- what goes well --- */

static void test_whole(void **state)
{
  (void)state;
  _forget_log();
  _assert_arrived(_download_path("/ok/file", NULL));
  _log_t log = _take_log();
  assert_int_equal(log.count, 1);
  assert_int_equal(log.bytes, PAYLOAD_SIZE);
  assert_non_null(strstr(log.text, "\"agent\":\"darktable-ai\""));
  assert_non_null(strstr(log.text, "\"range\":null"));
  g_free(log.text);
  struct stat status;
  assert_int_equal(stat(_part, &status), 0);
  assert_int_equal(status.st_mode & 0777, 0600);
}

static void test_capital_digest(void **state)
{
  (void)state;
  char *url = test_server_url(_server, "/ok/file"), *digest = g_ascii_strup(_sha256, -1);
  _assert_arrived(_download(url, digest, NULL));
  g_free(digest);
  g_free(url);
}

static void test_without_length(void **state)
{
  (void)state;
  _assert_arrived(_download_path("/nolength/file", NULL));
}

typedef struct _progress_t
{
  int calls;
  guint64 done, total;
  gint64 at;
} _progress_t;

static void _on_progress(guint64 done, guint64 total, gpointer user_data)
{
  _progress_t *p = user_data;
  assert_true(done >= p->done);
  p->calls++;
  p->done = done;
  p->total = total;
}

static void test_progress(void **state)
{
  (void)state;
  _progress_t progress = { .calls = 0 };
  const dt_download_opts_t opts = { .progress = _on_progress, .user_data = &progress };
  const gint64 begin = g_get_monotonic_time();
  _assert_arrived(_download_path("/ok/file", &opts));
  assert_true(progress.calls >= 1);
  assert_true(progress.calls <= 2 + (g_get_monotonic_time() - begin) / 100000);
  assert_int_equal(progress.done, PAYLOAD_SIZE);
  assert_int_equal(progress.total, PAYLOAD_SIZE);
}

static void test_redirects(void **state)
{
  (void)state;
  _assert_arrived(_download_path("/hops/1/file", NULL));
  _clear(NULL);
  _assert_arrived(_download_path("/hops/5/file", NULL));
  const int statuses[] = { 301, 302, 303, 307, 308 };
  for(size_t i = 0; i < G_N_ELEMENTS(statuses); i++)
  {
    char *path = g_strdup_printf("/redirect/%d?%s/ok/file", statuses[i], _server->base);
    _clear(NULL);
    _assert_arrived(_download_path(path, NULL));
    g_free(path);
  }
  /* and a continued one */
  _leave_part(1000);
  _forget_log();
  _assert_arrived(_download_path("/redirect/302?/ok/file", NULL));
  _assert_log(2, PAYLOAD_SIZE - 1000 + 4);
}

/* --- what does not --- */

typedef struct _case_t
{
  const char *path;
  int code;
  const char *words;
} _case_t;

/* Each leaves nothing behind, and what an earlier call left as it was. */
static void test_refusals(void **state)
{
  (void)state;
  const _case_t cases[] = {
    { "/status/404", DT_AI_ERROR_NETWORK, "does not exist" },
    { "/empty/404", DT_AI_ERROR_NETWORK, "status 404" },
    { "/status/410", DT_AI_ERROR_NETWORK, "does not exist" },
    { "/status/401", DT_AI_ERROR_NETWORK, "password" },
    { "/status/403", DT_AI_ERROR_NETWORK, "rate limit" },
    { "/status/407", DT_AI_ERROR_NETWORK, "proxy" },
    { "/status/429", DT_AI_ERROR_NETWORK, "rate limit" },
    { "/status/500", DT_AI_ERROR_NETWORK, "Try again later" },
    { "/status/503", DT_AI_ERROR_NETWORK, "status 503" },
    { "/empty/500", DT_AI_ERROR_NETWORK, "status 500" },
    { "/status/201", DT_AI_ERROR_NETWORK, "status 201" },
    { "/empty/204", DT_AI_ERROR_NETWORK, "status 204" },
    { "/empty/304", DT_AI_ERROR_NETWORK, "status 304" },
    { "/status/300", DT_AI_ERROR_NETWORK, "status 300" },
    { "/status/418", DT_AI_ERROR_NETWORK, "status 418" },
    { "/loop", DT_AI_ERROR_NETWORK, "in circles" },
    { "/hops/6/file", DT_AI_ERROR_NETWORK, "in circles" },
    { "/location", DT_AI_ERROR_NETWORK, "without a usable address" },
    { "/redirect/302?", DT_AI_ERROR_NETWORK, "without a usable address" },
    { "/redirect/302?file:///etc/passwd", DT_AI_ERROR_NETWORK, "stay with this machine" },
    { "/redirect/302?FILE:///etc/passwd", DT_AI_ERROR_NETWORK, "not followed" },
    { "/redirect/302?http://192.0.2.1/x", DT_AI_ERROR_NETWORK, "redirects to http://192.0.2.1/x" },
    { "/redirect/302?//192.0.2.1/x", DT_AI_ERROR_NETWORK, "not followed" },
    { "/redirect/307?https://example.org/x", DT_AI_ERROR_NETWORK, "not followed" },
    { "/redirect/302?ftp://127.0.0.1/x", DT_AI_ERROR_NETWORK, "not followed" },
    { "/redirect/302?gopher://127.0.0.1/x", DT_AI_ERROR_NETWORK, "not followed" },
    { "/headers", DT_AI_ERROR_NETWORK, "headers do not end" },
    { "/garbage", DT_AI_ERROR_NETWORK, "does not speak HTTP" },
    { "/page", DT_AI_ERROR_NETWORK, "log in" },
    { "/page/file", DT_AI_ERROR_NETWORK, "A web page came instead" },
    { "/announce/99999999999", DT_AI_ERROR_NETWORK, "larger than" },
  };
  const gsize sizes[] = { 0, 1000 };
  for(size_t i = 0; i < 2 * G_N_ELEMENTS(cases); i++)
  {
    const gsize size = sizes[i % 2];
    const _case_t *c = &cases[i / 2];
    _clear(NULL);
    if(size) _leave_part(size);
    _assert_error(_download_path(c->path, NULL), c->code, c->words);
    if(_size_of(_part) != (size ? (gint64)size : ABSENT))
      fail_msg("%s left %d bytes", c->path, (int)_size_of(_part));
    if(size) _assert_content(_part, _payload, size);
  }
}

static void test_secrets_of_redirects_are_not_shown(void **state)
{
  (void)state;
  GError *error = _download_path("/redirect/302?https://u:secret@example.org/x%3Ftoken=secret", NULL);
  assert_non_null(error);
  assert_null(strstr(error->message, "secret"));
  _assert_error(error, DT_AI_ERROR_NETWORK, "https://example.org/x,");
}

static void test_nobody_there(void **state)
{
  (void)state;
  _assert_error(_download("http://127.0.0.1:1/x", _sha256, NULL), DT_AI_ERROR_NETWORK, "nobody answers");
  _assert_error(_download("https://host.invalid/x", _sha256, NULL), DT_AI_ERROR_NETWORK, "name is unknown");
  assert_int_equal(_size_of(_part), ABSENT);
}

static void test_lying_lengths(void **state)
{
  (void)state;
  /* announces half: that is all that is read, and it is not the file */
  _assert_error(_download_path("/short/file", NULL), DT_AI_ERROR_NETWORK, "SHA-256");
  assert_int_equal(_size_of(_part), ABSENT);
  /* announces more: kept, and found complete by the next call */
  _assert_error(_download_path("/long/file", NULL), DT_AI_ERROR_NETWORK, "ended early");
  assert_int_equal(_size_of(_part), PAYLOAD_SIZE);
  _forget_log();
  _assert_arrived(_download_path("/ok/file", NULL));
  _assert_log(1, 0);
}

static void test_too_long(void **state)
{
  (void)state;
  const dt_download_opts_t opts = { .max_bytes = 200000 };
  _forget_log();
  _assert_error(_download_path("/ok/file", &opts), DT_AI_ERROR_NETWORK, "larger than the 200");
  assert_int_equal(_size_of(_part), ABSENT);
  _assert_error(_download_path("/endless", &opts), DT_AI_ERROR_NETWORK, "larger than the 200");
  assert_int_equal(_size_of(_part), ABSENT);
  /* an answer that tells no length, and a beginning that is too long already */
  _assert_error(_download_path("/nolength/file", &opts), DT_AI_ERROR_NETWORK, "larger than the 200");
  _leave_part(250000);
  _assert_error(_download_path("/ok/file", &opts), DT_AI_ERROR_NETWORK, "larger than the 200");
  _leave_part(1000);
  _assert_error(_download_path("/ok/file", &opts), DT_AI_ERROR_NETWORK, "larger than the 200");
  assert_int_equal(_size_of(_part), 1000);
  const dt_download_opts_t exact = { .max_bytes = PAYLOAD_SIZE };
  _assert_arrived(_download_path("/ok/file", &exact));
}

static void test_wrong_digest(void **state)
{
  (void)state;
  char *url = test_server_url(_server, "/ok/file");
  _forget_log();
  _assert_error(_download(url, _small_sha256, NULL), DT_AI_ERROR_NETWORK, "does not have the SHA-256");
  assert_int_equal(_size_of(_part), ABSENT);
  _assert_log(1, PAYLOAD_SIZE);
  /* continued: once more from the start, and no oftener */
  _leave_part(1000);
  _assert_error(_download(url, _small_sha256, NULL), DT_AI_ERROR_NETWORK, "does not have the SHA-256");
  assert_int_equal(_size_of(_part), ABSENT);
  _assert_log(2, 2 * PAYLOAD_SIZE - 1000);
  g_free(url);
}

static void test_stale_part(void **state)
{
  (void)state;
  char *stale = g_malloc0(2 * PAYLOAD_SIZE);
  const gsize sizes[] = { 1, 1000, PAYLOAD_SIZE - 1, PAYLOAD_SIZE, PAYLOAD_SIZE + 1, 2 * PAYLOAD_SIZE };
  for(size_t i = 0; i < G_N_ELEMENTS(sizes); i++)
  {
    _write_file(_part, stale, (gssize)sizes[i]);
    _forget_log();
    _assert_arrived(_download_path("/ok/file", NULL));
    _assert_log(2, PAYLOAD_SIZE + (sizes[i] < PAYLOAD_SIZE ? PAYLOAD_SIZE - (gint64)sizes[i] : 0));
  }
  g_free(stale);
}

static void test_slow_page(void **state)
{
  (void)state;
  _assert_error(_download_path("/slowpage", NULL), DT_AI_ERROR_NETWORK, "log in");
  assert_int_equal(_size_of(_part), ABSENT);
}

/* --- continuing --- */

static int _compare_ints(const void *a, const void *b)
{
  return *(const int *)a - *(const int *)b;
}

/* Ten places at which the connection ends; @p path takes them as %s. */
static void _break_ten_times(guint64 seed)
{
  test_random_t random = { seed };
  int places[10];
  GString *path = g_string_new("/break/");
  for(int i = 0; i < 10; i++) places[i] = test_random_int(&random, 1, PAYLOAD_SIZE - 1);
  qsort(places, 10, sizeof places[0], _compare_ints);
  for(int i = 0; i < 10; i++) g_string_append_printf(path, "%s%d", i ? "," : "", places[i]);
  g_string_append(path, "/file");
  _clear(NULL);
  _forget_log();
  int calls = 0;
  for(int i = 0; i < 10; i++)
  {
    if(i > 0 && places[i] == places[i - 1]) continue;
    calls++;
    _assert_error(_download_path(path->str, NULL), DT_AI_ERROR_NETWORK, "continues where it stopped");
    if(_size_of(_part) != places[i]) fail_msg("seed %d: %d bytes are there", (int)seed, (int)_size_of(_part));
  }
  _assert_arrived(_download_path(path->str, NULL));
  _assert_log(calls + 1, PAYLOAD_SIZE);
  g_string_free(path, TRUE);
}

static void test_ten_breaks(void **state)
{
  (void)state;
  for(guint64 seed = 1; seed <= (test_is_long() ? 50 : 5); seed++) _break_ten_times(seed);
}

static void test_reset_connection(void **state)
{
  (void)state;
  _assert_error(_download_path("/reset/100000/file", NULL), DT_AI_ERROR_NETWORK, "ended early");
  const gint64 size = _size_of(_part);
  assert_true(size > 0 && size <= 100000);
  _forget_log();
  _assert_arrived(_download_path("/ok/file", NULL));
  _assert_log(1, PAYLOAD_SIZE - size);
}

static void test_server_without_ranges(void **state)
{
  (void)state;
  _leave_part(1000);
  _forget_log();
  _assert_arrived(_download_path("/norange/file", NULL));
  _assert_log(1, PAYLOAD_SIZE);
}

static void test_wrong_range(void **state)
{
  (void)state;
  _leave_part(1000);
  _forget_log();
  _assert_arrived(_download_path("/wrongrange/file", NULL));
  _log_t log = _take_log();
  assert_int_equal(log.count, 2);
  assert_non_null(strstr(log.text, "\"range\":\"bytes=1000-\""));
  assert_non_null(strstr(log.text, "\"range\":null"));
  g_free(log.text);
  _clear(NULL);
  _assert_error(_download_path("/twisted/file", NULL), DT_AI_ERROR_NETWORK, "a part where all");
  assert_int_equal(_size_of(_part), ABSENT);
}

static void test_fewer_bytes_than_asked(void **state)
{
  (void)state;
  char *url = test_server_url(_server, "/partial/small"), *ok = test_server_url(_server, "/ok/small");
  assert_no_error(_download(ok, _small_sha256, NULL));
  assert_int_equal(truncate(_part, 500), 0);
  _assert_error(_download(url, _small_sha256, NULL), DT_AI_ERROR_NETWORK, "continues");
  assert_int_equal(_size_of(_part), 1500);
  _assert_error(_download(url, _small_sha256, NULL), DT_AI_ERROR_NETWORK, "continues");
  assert_no_error(_download(url, _small_sha256, NULL));
  assert_int_equal(_size_of(_part), SMALL_SIZE);
  g_free(ok);
  g_free(url);
}

static void test_416(void **state)
{
  (void)state;
  _leave_part(PAYLOAD_SIZE);
  _forget_log();
  _assert_arrived(_download_path("/ok/file", NULL));
  _assert_log(1, 0);
  _leave_part(1000);
  _assert_arrived(_download_path("/no416/file", NULL));
  _assert_log(2, PAYLOAD_SIZE);
}

/* --- time --- */

static void test_stalls(void **state)
{
  (void)state;
  const dt_download_opts_t opts = { .stall_seconds = 1 };
  const struct
  {
    const char *path;
    gint64 least, most; ///< bytes left
  } cases[] = { { "/drip/file", 1, 20 },
                { "/hang", ABSENT, ABSENT },
                { "/driphead", ABSENT, ABSENT },
                { "/hangat/150000/file", 150000, 150000 } };
  for(size_t i = 0; i < G_N_ELEMENTS(cases); i++)
  {
    _clear(NULL);
    const gint64 begin = g_get_monotonic_time();
    _assert_error(_download_path(cases[i].path, &opts), DT_AI_ERROR_NETWORK, "next to nothing for 1 s");
    const gint64 took = g_get_monotonic_time() - begin;
    if(took < 900000 || took > (test_is_sanitized() ? 6000000 : 2500000))
      fail_msg("%s: a stall of 1 s was noticed after %d ms", cases[i].path, (int)(took / 1000));
    const gint64 size = _size_of(_part);
    if(size < cases[i].least || size > cases[i].most) fail_msg("%s left %d", cases[i].path, (int)size);
  }
}

static void test_cancel(void **state)
{
  (void)state;
  char *url = test_server_url(_server, "/hang");
  _assert_error(_cancel_download(url, ABSENT), DT_AI_ERROR_CANCELLED, "cancelled");
  assert_int_equal(_size_of(_part), ABSENT);
  g_free(url);
  url = test_server_url(_server, "/hangat/100000/file");
  _assert_error(_cancel_download(url, 100000), DT_AI_ERROR_CANCELLED, "continues there");
  assert_int_equal(_size_of(_part), 100000);
  _forget_log();
  _assert_arrived(_download_path("/ok/file", NULL));
  _assert_log(1, PAYLOAD_SIZE - 100000);
  g_free(url);
}

static void test_cancelled_before(void **state)
{
  (void)state;
  const dt_download_opts_t opts = { .cancellable = g_cancellable_new() };
  g_cancellable_cancel(opts.cancellable);
  _forget_log();
  _assert_error(_download_path("/ok/file", &opts), DT_AI_ERROR_CANCELLED, "cancelled");
  assert_int_equal(_size_of(_part), ABSENT);
  _assert_log(0, 0);
  g_object_unref(opts.cancellable);
}

/* While it connects: a name server that is silent, and a machine that accepts and says nothing. */
static void test_cancel_while_connecting(void **state)
{
  (void)state;
  _assert_error(_cancel_download("https://hanging.invalid/x", ABSENT), DT_AI_ERROR_CANCELLED, "cancelled");
  struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
  socklen_t size = sizeof address;
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  assert_int_equal(bind(fd, (struct sockaddr *)&address, size), 0);
  assert_int_equal(listen(fd, 4), 0);
  assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &size), 0);
  char *url = g_strdup_printf("https://127.0.0.1:%d/x", ntohs(address.sin_port));
  _assert_error(_cancel_download(url, ABSENT), DT_AI_ERROR_CANCELLED, "cancelled");
  assert_int_equal(_size_of(_part), ABSENT);
  g_free(url);
  close(fd);
}

/* --- the disk --- */

static void test_full_disk(void **state)
{
  (void)state;
  struct rlimit before, small;
  assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
  small = (struct rlimit){ 100000, before.rlim_max };
  signal(SIGXFSZ, SIG_IGN);
  assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
  GError *error = _download_path("/ok/file", NULL);
  assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
  assert_non_null(error);
  assert_non_null(strstr(error->message, _part));
  _assert_error(error, DT_AI_ERROR_OUTPUT, "are free there");
  assert_int_equal(_size_of(_part), 100000);
  _forget_log();
  _assert_arrived(_download_path("/ok/file", NULL));
  _assert_log(1, PAYLOAD_SIZE - 100000);
}

static void test_no_room(void **state)
{
  (void)state;
  const dt_download_opts_t opts = { .max_bytes = (guint64)1 << 62 };
  _assert_error(_download_path("/announce/2305843009213693952", &opts), DT_AI_ERROR_OUTPUT,
                "Free some space");
  assert_int_equal(_size_of(_part), ABSENT);
  _leave_part(1000);
  _assert_error(_download_path("/announce/2305843009213693952", &opts), DT_AI_ERROR_OUTPUT,
                "Free some space");
  assert_int_equal(_size_of(_part), 1000);
}

static void test_part_that_is_no_file(void **state)
{
  (void)state;
  char *victim = g_build_filename(_world, "victim", NULL);
  _write_file(victim, "mine", 4);
  assert_int_equal(symlink(victim, _part), 0);
  _assert_error(_download_path("/ok/file", NULL), DT_AI_ERROR_OUTPUT, "symbolic link");
  assert_true(g_file_test(_part, G_FILE_TEST_IS_SYMLINK));
  _clear(NULL);
  assert_int_equal(link(victim, _part), 0);
  _assert_error(_download_path("/ok/file", NULL), DT_AI_ERROR_OUTPUT, "no plain file");
  assert_int_equal(_size_of(_part), 4);
  _clear(NULL);
  _assert_content(victim, "mine", 4);
  assert_int_equal(mkfifo(_part, 0600), 0);
  _assert_error(_download_path("/ok/file", NULL), DT_AI_ERROR_OUTPUT, "no plain file");
  assert_int_equal(_size_of(_part), 0);
  _clear(NULL);
  g_mkdir(_part, 0755);
  _assert_error(_download_path("/ok/file", NULL), DT_AI_ERROR_OUTPUT, "no plain file");
  g_rmdir(_part);
  g_unlink(victim);
  g_free(victim);
}

static void test_no_directory(void **state)
{
  (void)state;
  GError *error = NULL;
  char *path = g_build_filename(_world, "none", "x.part", NULL), *url = test_server_url(_server, "/ok/file");
  assert_false(dt_download_file(url, path, _sha256, NULL, &error));
  _assert_error(error, DT_AI_ERROR_OUTPUT, "Check the directory");
  g_free(url);
  g_free(path);
}

/* Two at once: the second one is told, and disturbs nothing. */
static gpointer _run_download(gpointer data)
{
  const dt_download_opts_t opts = { .cancellable = data };
  return _download_path("/hangat/100000/file", &opts);
}

static void test_two_at_once(void **state)
{
  (void)state;
  GCancellable *cancellable = g_cancellable_new();
  GThread *thread = g_thread_new("first", _run_download, cancellable);
  for(int i = 0; i < 200 && _size_of(_part) < 100000; i++) g_usleep(20000);
  _assert_error(_download_path("/ok/file", NULL), DT_AI_ERROR_OUTPUT, "by another process already");
  assert_int_equal(_size_of(_part), 100000);
  g_cancellable_cancel(cancellable);
  _assert_error(g_thread_join(thread), DT_AI_ERROR_CANCELLED, "cancelled");
  g_object_unref(cancellable);
  _assert_arrived(_download_path("/ok/file", NULL));
}

/* One that has nothing yet is not removed by the one that comes too late. */
static void test_two_at_the_beginning(void **state)
{
  (void)state;
  _leave_part(0);
  const int fd = open(_part, O_RDWR | O_CLOEXEC);
  assert_int_equal(flock(fd, LOCK_EX), 0);
  _assert_error(_download_path("/status/404", NULL), DT_AI_ERROR_OUTPUT, "by another process already");
  assert_int_equal(_size_of(_part), 0);
  close(fd);
  _assert_error(_download_path("/status/404", NULL), DT_AI_ERROR_NETWORK, "does not exist");
  assert_int_equal(_size_of(_part), ABSENT);
}

/* --- local files --- */

static void test_local_files(void **state)
{
  (void)state;
  char *path = g_build_filename(_root, "file", NULL), *url = g_filename_to_uri(path, NULL, NULL);
  _assert_arrived(_download(url, _sha256, NULL));
  assert_int_equal(truncate(_part, 1000), 0);
  _assert_arrived(_download(url, _sha256, NULL));
  _assert_arrived(_download(url, _sha256, NULL));
  _write_file(_part, "stale", 5);
  _assert_arrived(_download(url, _sha256, NULL));
  const dt_download_opts_t opts = { .max_bytes = 1000 };
  _clear(NULL);
  _assert_error(_download(url, _sha256, &opts), DT_AI_ERROR_NETWORK, "larger than");
  assert_int_equal(_size_of(_part), ABSENT);
  g_free(url);
  g_free(path);
}

static void test_local_files_that_are_none(void **state)
{
  (void)state;
  char *pipe_path = g_build_filename(_root, "pipe", NULL), *pipe_url;
  assert_int_equal(mkfifo(pipe_path, 0600), 0);
  pipe_url = g_filename_to_uri(pipe_path, NULL, NULL);
  _assert_error(_download(pipe_url, _sha256, NULL), DT_AI_ERROR_NETWORK, "no plain file");
  _assert_error(_download("file:///dev/zero", _sha256, NULL), DT_AI_ERROR_NETWORK, "no plain file");
  _assert_error(_download("file:///", _sha256, NULL), DT_AI_ERROR_NETWORK, "no plain file");
  _assert_error(_download("file:///no/such/file", _sha256, NULL), DT_AI_ERROR_NETWORK, "No such file");
  _assert_error(_download("file:relative", _sha256, NULL), DT_AI_ERROR_NETWORK, "no local file");
  _assert_error(_download("file:///x%00y", _sha256, NULL), DT_AI_ERROR_NETWORK, "no local file");
  assert_int_equal(_size_of(_part), ABSENT);
  g_free(pipe_url);
  g_free(pipe_path);
}

/* --- in memory --- */

static GBytes *_get(const char *path, const dt_download_opts_t *opts, gboolean *absent, GError **error)
{
  char *url = test_server_url(_server, "%s", path);
  *error = NULL;
  GBytes *bytes = dt_download_bytes_if_there(url, opts, absent, error);
  assert_true((bytes == NULL) == (*error != NULL));
  g_free(url);
  return bytes;
}

static void test_bytes(void **state)
{
  (void)state;
  GError *error;
  gboolean absent;
  gsize size;
  GBytes *bytes = _get("/ok/file", NULL, &absent, &error);
  assert_no_error(error);
  const char *data = g_bytes_get_data(bytes, &size);
  assert_int_equal(size, PAYLOAD_SIZE);
  assert_memory_equal(data, _payload, size);
  assert_int_equal(data[size], 0);
  g_bytes_unref(bytes);
  bytes = _get("/empty/200", NULL, &absent, &error);
  assert_no_error(error);
  assert_int_equal(g_bytes_get_size(bytes), 0);
  g_bytes_unref(bytes);
}

static void test_bytes_that_do_not_come(void **state)
{
  (void)state;
  const dt_download_opts_t opts = { .max_bytes = 100000, .stall_seconds = 1 };
  const struct
  {
    const char *path, *words;
    gboolean absent;
  } cases[] = {
    { "/status/404", "does not exist", TRUE },
    { "/status/410", "does not exist", TRUE },
    { "/status/500", "Try again later", FALSE },
    { "/ok/file", "larger than", FALSE },
    { "/nolength/file", "larger than", FALSE },
    { "/endless", "larger than", FALSE },
    { "/page", "log in", FALSE },
    { "/long/small", "ended early", FALSE },
    { "/reset/500/small", "ended early", FALSE },
    { "/drip/small", "next to nothing", FALSE },
    { "/twisted/small", "a part", FALSE },
    { "/loop", "in circles", FALSE },
  };
  for(size_t i = 0; i < G_N_ELEMENTS(cases); i++)
  {
    GError *error;
    gboolean absent = !cases[i].absent;
    assert_null(_get(cases[i].path, &opts, &absent, &error));
    assert_null(strstr(error->message, "continues"));
    _assert_error(error, DT_AI_ERROR_NETWORK, cases[i].words);
    assert_int_equal(absent, cases[i].absent);
  }
}

/* Whatever the caller allows, memory is not filled. */
static void test_bytes_without_limit(void **state)
{
  (void)state;
  GError *error;
  gboolean absent;
  assert_null(_get("/endless", NULL, &absent, &error));
  _assert_error(error, DT_AI_ERROR_NETWORK, "larger than the 67");
}

/* --- proxies and certificates --- */

static void test_proxy(void **state)
{
  (void)state;
  _forget_log();
  g_setenv("https_proxy", _server->base, TRUE);
  g_setenv("http_proxy", "http://127.0.0.1:1", TRUE);
  GError *error = _download("https://example.org/x", _sha256, NULL);
  /* this machine is reached without one */
  _log_t log = _take_log();
  g_unsetenv("https_proxy");
  g_unsetenv("http_proxy");
  _assert_error(error, DT_AI_ERROR_NETWORK, "proxy wants a user");
  assert_int_equal(log.count, 1);
  assert_non_null(strstr(log.text, "CONNECT"));
  g_free(log.text);
  g_setenv("https_proxy", "http://proxy.invalid:8080", TRUE);
  error = _download("https://example.org/x", _sha256, NULL);
  g_unsetenv("https_proxy");
  _assert_error(error, DT_AI_ERROR_NETWORK, "name of the proxy");
}

/* A certificate for 127.0.0.1 with its key (transfer full), or NULL. */
static char *_make_certificate(void)
{
  char *path = g_build_filename(_world, "server.pem", NULL), *text[2] = { NULL, NULL };
  const char *words[] = { "openssl",
                          "req",
                          "-x509",
                          "-newkey",
                          "ec",
                          "-pkeyopt",
                          "ec_paramgen_curve:prime256v1",
                          "-nodes",
                          "-days",
                          "2",
                          "-subj",
                          "/CN=localhost",
                          "-addext",
                          "subjectAltName=IP:127.0.0.1",
                          "-keyout",
                          "-",
                          NULL };
  int status = -1;
  const gboolean ran = g_spawn_sync(NULL, (char **)words, NULL, G_SPAWN_SEARCH_PATH, NULL, NULL, &text[0],
                                    &text[1], &status, NULL);
  if(ran && status == 0)
    _write_file(path, text[0], -1);
  else
    g_clear_pointer(&path, g_free);
  g_free(text[0]);
  g_free(text[1]);
  return path;
}

static void _check_tls(const test_server_t *server, const char *certificate)
{
  char *url = test_server_url(server, "/ok/file");
  char *down = test_server_url(server, "/redirect/302?%s/ok/file", _server->base);
  char *secret = test_server_url(server, "/redirect/302?file:///etc/passwd");
  _assert_error(_download(url, _sha256, NULL), DT_AI_ERROR_NETWORK, "certificate cannot be verified");
  g_setenv("SSL_CERT_FILE", "/no/such/bundle", TRUE);
  _assert_error(_download(url, _sha256, NULL), DT_AI_ERROR_NETWORK, "SSL_CERT_FILE");
  assert_int_equal(_size_of(_part), ABSENT);
  g_setenv("SSL_CERT_FILE", certificate, TRUE);
  _assert_arrived(_download(url, _sha256, NULL));
  assert_int_equal(truncate(_part, 1000), 0);
  _assert_arrived(_download(url, _sha256, NULL));
  _clear(NULL);
  _assert_error(_download(down, _sha256, NULL), DT_AI_ERROR_NETWORK, "stay with https");
  _assert_error(_download(secret, _sha256, NULL), DT_AI_ERROR_NETWORK, "stay with https");
  assert_int_equal(_size_of(_part), ABSENT);
  g_unsetenv("SSL_CERT_FILE");
  g_free(secret);
  g_free(down);
  g_free(url);
}

static void test_tls(void **state)
{
  (void)state;
  char *certificate = _make_certificate();
  test_server_t *server = certificate ? test_server_start(_root, certificate) : NULL;
  if(!server) skip(); /* no openssl program */
  _check_tls(server, certificate);
  test_server_stop(server);
  g_free(certificate);
  /* TLS with somebody who speaks none */
  char *url = g_strconcat("https", strchr(_server->base, ':'), "/x", NULL);
  _assert_error(_download(url, _sha256, NULL), DT_AI_ERROR_NETWORK, "no encrypted connection");
  g_free(url);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test_setup(test_addresses, _clear),
    cmocka_unit_test_setup(test_shown_addresses, _clear),
    cmocka_unit_test_setup(test_refused_without_connection, _clear),
    cmocka_unit_test_setup(test_secrets_are_not_shown, _clear),
    cmocka_unit_test_setup(test_whole, _clear),
    cmocka_unit_test_setup(test_capital_digest, _clear),
    cmocka_unit_test_setup(test_without_length, _clear),
    cmocka_unit_test_setup(test_progress, _clear),
    cmocka_unit_test_setup(test_redirects, _clear),
    cmocka_unit_test_setup(test_refusals, _clear),
    cmocka_unit_test_setup(test_secrets_of_redirects_are_not_shown, _clear),
    cmocka_unit_test_setup(test_nobody_there, _clear),
    cmocka_unit_test_setup(test_lying_lengths, _clear),
    cmocka_unit_test_setup(test_too_long, _clear),
    cmocka_unit_test_setup(test_wrong_digest, _clear),
    cmocka_unit_test_setup(test_stale_part, _clear),
    cmocka_unit_test_setup(test_slow_page, _clear),
    cmocka_unit_test_setup(test_ten_breaks, _clear),
    cmocka_unit_test_setup(test_reset_connection, _clear),
    cmocka_unit_test_setup(test_server_without_ranges, _clear),
    cmocka_unit_test_setup(test_wrong_range, _clear),
    cmocka_unit_test_setup(test_fewer_bytes_than_asked, _clear),
    cmocka_unit_test_setup(test_416, _clear),
    cmocka_unit_test_setup(test_stalls, _clear),
    cmocka_unit_test_setup(test_cancel, _clear),
    cmocka_unit_test_setup(test_cancelled_before, _clear),
    cmocka_unit_test_setup(test_cancel_while_connecting, _clear),
    cmocka_unit_test_setup(test_full_disk, _clear),
    cmocka_unit_test_setup(test_no_room, _clear),
    cmocka_unit_test_setup(test_part_that_is_no_file, _clear),
    cmocka_unit_test_setup(test_no_directory, _clear),
    cmocka_unit_test_setup(test_two_at_once, _clear),
    cmocka_unit_test_setup(test_two_at_the_beginning, _clear),
    cmocka_unit_test_setup(test_local_files, _clear),
    cmocka_unit_test_setup(test_local_files_that_are_none, _clear),
    cmocka_unit_test_setup(test_bytes, _clear),
    cmocka_unit_test_setup(test_bytes_that_do_not_come, _clear),
    cmocka_unit_test_setup(test_bytes_without_limit, _clear),
    cmocka_unit_test_setup(test_proxy, _clear),
    cmocka_unit_test_setup(test_tls, _clear),
  };
  return cmocka_run_group_tests(tests, _setup, _teardown);
}
