/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Files from elsewhere.
 *
 * One curl handle per call, driven through the multi interface in the caller's thread, so that a cancel and a
 * stall are noticed while nothing arrives. Redirects are followed here and not by curl: every address is judged
 * before a connection to it is made. Local files are read here too: curl would wait for ever when a file://
 * address names a pipe. What arrives is judged before its first byte is kept, so that an error page never
 * takes the place of what an earlier call left. */
#include "common/download.h"

#include <arpa/inet.h>
#include <curl/curl.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define MAX_REDIRECTS 5
#define CONNECT_TIMEOUT_MS 30000L
#define DEFAULT_STALL_SECONDS 30
/** Bytes per second below which a transfer is as good as dead. */
#define STALL_RATE 1024
/** Longest wait without a look at the cancellable. */
#define POLL_MS 100
#define PROGRESS_US 100000
#define CHUNK ((size_t)256 << 10)
/** Headers of one answer; curl has no limit for their sum. */
#define MAX_HEADER_BYTES ((size_t)256 << 10)
/** Largest answer kept in memory. */
#define MAX_MEMORY_BYTES ((guint64)64 << 20)
/** How much of a file is looked at to tell a web page. */
#define HEAD_BYTES 512

typedef enum _kind_t
{
  KIND_OTHER,
  KIND_HTTPS,
  KIND_LOOPBACK, ///< http to this machine
  KIND_HTTP,     ///< http to another
  KIND_FILE,
} _kind_t;

typedef enum _outcome_t
{
  OUTCOME_FAILED,
  OUTCOME_DONE,
  OUTCOME_REDIRECTED,
  OUTCOME_NO_RANGE, ///< the server sent another part than the one asked for
} _outcome_t;

typedef struct _transfer_t
{
  dt_download_opts_t opts; ///< with the defaults filled in
  char *shown;             ///< the address for messages
  char *address;           ///< the one that is asked now; redirects change it
  CURLM *multi;
  CURL *easy;
  GByteArray *bytes;  ///< receives the answer, or
  const char *path;   ///< this file does,
  int fd;             ///< open
  guint64 range;      ///< the first byte to ask for
  guint64 done;       ///< bytes there, those of earlier calls included
  guint64 total;      ///< bytes there will be, 0 unknown
  guint64 received;   ///< bytes received by this call
  gboolean begun;     ///< this answer's first byte has been judged
  gboolean misplaced; ///< and was none of those asked for
  gboolean continued; ///< what is there began in an earlier call
  gboolean absent;
  gboolean useless;    ///< what is there is too long to be the beginning of anything
  size_t headers;      ///< bytes of this answer's headers
  gint64 window_start; ///< of the stall watch, microseconds
  guint64 window_received;
  gint64 reported; ///< time of the last report of progress
  GError *error;   ///< the first one; callbacks cannot return it
} _transfer_t;

G_GNUC_PRINTF(3, 4)
static gboolean _fail(_transfer_t *t, dt_ai_error_t code, const char *format, ...)
{
  va_list args;
  va_start(args, format);
  if(!t->error) t->error = g_error_new_valist(DT_AI_ERROR, (int)code, format, args);
  va_end(args);
  return FALSE;
}

// --- Addresses

static gboolean _is_loopback(const char *host)
{
  struct in_addr v4;
  struct in6_addr v6;
  if(g_ascii_strcasecmp(host, "localhost") == 0) return TRUE; // curl does not ask the network for it
  if(inet_pton(AF_INET, host, &v4) == 1) return ntohl(v4.s_addr) >> 24 == 127;
  return strcmp(host, "[::1]") == 0 || (inet_pton(AF_INET6, host, &v6) == 1 && IN6_IS_ADDR_LOOPBACK(&v6));
}

static _kind_t _kind_of_parts(CURLU *parts)
{
  char *scheme = NULL, *host = NULL;
  _kind_t kind = KIND_OTHER;
  if(curl_url_get(parts, CURLUPART_SCHEME, &scheme, 0) == CURLUE_OK
     && curl_url_get(parts, CURLUPART_HOST, &host, 0) == CURLUE_OK)
  {
    if(g_ascii_strcasecmp(scheme, "https") == 0) kind = KIND_HTTPS;
    if(g_ascii_strcasecmp(scheme, "http") == 0) kind = _is_loopback(host) ? KIND_LOOPBACK : KIND_HTTP;
  }
  curl_free(scheme);
  curl_free(host);
  return kind;
}

static _kind_t _kind_of(const char *url)
{
  if(g_ascii_strncasecmp(url, "file:", 5) == 0) return KIND_FILE;
  CURLU *parts = curl_url();
  _kind_t kind = KIND_OTHER;
  if(parts && curl_url_set(parts, CURLUPART_URL, url, 0) == CURLUE_OK) kind = _kind_of_parts(parts);
  curl_url_cleanup(parts);
  return kind;
}

static void _strip_secrets(CURLU *parts)
{
  const CURLUPart secrets[] = { CURLUPART_USER, CURLUPART_PASSWORD, CURLUPART_OPTIONS, CURLUPART_QUERY,
                                CURLUPART_FRAGMENT };
  for(size_t i = 0; i < G_N_ELEMENTS(secrets); i++) curl_url_set(parts, secrets[i], NULL, 0);
}

char *dt_download_shown_url(const char *url)
{
  CURLU *parts = curl_url();
  char *text = NULL;
  if(parts && curl_url_set(parts, CURLUPART_URL, url, CURLU_NON_SUPPORT_SCHEME) == CURLUE_OK)
  {
    _strip_secrets(parts);
    curl_url_get(parts, CURLUPART_URL, &text, 0);
  }
  char *shown = g_utf8_make_valid(text ? text : "the address given", -1);
  curl_free(text);
  curl_url_cleanup(parts);
  return shown;
}

/* Why @p kind is not asked for, or NULL. */
static const char *_objection(_kind_t kind)
{
  if(kind == KIND_HTTP)
    return "http is not encrypted and is accepted from this machine only; use an address with https://";
  if(kind == KIND_OTHER) return "only addresses with https:// and file:// are known; correct the address";
  return NULL;
}

gboolean dt_download_check_url(const char *url, GError **error)
{
  const char *objection = _objection(_kind_of(url));
  if(!objection) return TRUE;
  char *shown = dt_download_shown_url(url);
  g_set_error(error, DT_AI_ERROR, DT_AI_ERROR_USAGE, "%s cannot be fetched: %s.", shown, objection);
  g_free(shown);
  return FALSE;
}

/* Where the answer sends us, absolute (transfer full), or NULL. */
static char *_dup_location(const _transfer_t *t)
{
  struct curl_header *header = NULL;
  char *text = NULL, *location = NULL;
  if(curl_easy_header(t->easy, "Location", 0, CURLH_HEADER, -1, &header) != CURLHE_OK) return NULL;
  CURLU *parts = curl_url();
  if(parts && curl_url_set(parts, CURLUPART_URL, t->address, 0) == CURLUE_OK
     && curl_url_set(parts, CURLUPART_URL, header->value, CURLU_NON_SUPPORT_SCHEME | CURLU_URLENCODE)
            == CURLUE_OK
     && curl_url_get(parts, CURLUPART_URL, &text, 0) == CURLUE_OK)
    location = g_strdup(text);
  curl_free(text);
  curl_url_cleanup(parts);
  return location;
}

/* Redirects stay on https, or on this machine: neither encryption nor the border of the machine is given up
 * because a server says so. */
static gboolean _follow(_transfer_t *t)
{
  char *location = _dup_location(t);
  if(!location)
    return _fail(t, DT_AI_ERROR_NETWORK,
                 "%s sends the request on without a usable address. Try again later, or use another "
                 "repository.",
                 t->shown);
  const _kind_t from = _kind_of(t->address), to = _kind_of(location);
  if(to != from || (to != KIND_HTTPS && to != KIND_LOOPBACK))
  {
    char *shown = dt_download_shown_url(location);
    _fail(t, DT_AI_ERROR_NETWORK,
          "%s redirects to %s, which is not followed: a redirect has to stay with %s. Use another "
          "repository, or tell its keepers.",
          t->shown, shown, from == KIND_HTTPS ? "https" : "this machine");
    g_free(shown);
    g_free(location);
    return FALSE;
  }
  g_free(t->address);
  t->address = location;
  return TRUE;
}

// --- What is watched while bytes come

static gboolean _is_cancelled(_transfer_t *t)
{
  if(!g_cancellable_is_cancelled(t->opts.cancellable)) return FALSE;
  _fail(t, DT_AI_ERROR_CANCELLED, "The download of %s was cancelled.%s", t->shown,
        t->path && t->done ? " What has arrived is kept; the next download continues there." : "");
  return TRUE;
}

static void _report(_transfer_t *t, gboolean finished)
{
  const gint64 now = g_get_monotonic_time();
  if(!t->opts.progress || (!finished && now - t->reported < PROGRESS_US)) return;
  t->reported = now;
  t->opts.progress(t->done, finished ? t->done : t->total, t->opts.user_data);
}

/* "12.3 MB of 50 MB are there" */
static char *_describe_progress(const _transfer_t *t)
{
  char *done = g_format_size(t->done), *total = g_format_size(t->total), *text;
  if(t->total)
    text = g_strdup_printf("%s of %s are there", done, total);
  else
    text = g_strdup_printf("%s are there", done);
  g_free(done);
  g_free(total);
  return text;
}

static gboolean _fail_unfinished(_transfer_t *t, const char *what)
{
  char *progress = _describe_progress(t);
  _fail(t, DT_AI_ERROR_NETWORK, "%s: %s; %s. Try again%s.", t->shown, what, progress,
        t->path && t->done ? "; the download continues where it stopped" : "");
  g_free(progress);
  return FALSE;
}

/* Connecting has a limit of its own, so that the clock starts when the request is sent. */
static gboolean _has_stalled(_transfer_t *t)
{
  curl_off_t sent = 0;
  const gint64 now = g_get_monotonic_time();
  curl_easy_getinfo(t->easy, CURLINFO_PRETRANSFER_TIME_T, &sent);
  if(!sent || t->received - t->window_received >= (guint64)STALL_RATE * (guint64)t->opts.stall_seconds)
  {
    t->window_start = now;
    t->window_received = t->received;
  }
  if(now - t->window_start < (gint64)t->opts.stall_seconds * G_USEC_PER_SEC) return FALSE;
  char *what = g_strdup_printf("the server sent next to nothing for %d s", t->opts.stall_seconds);
  _fail_unfinished(t, what);
  g_free(what);
  return TRUE;
}

// --- The file

static guint64 _free_space(int fd)
{
  struct statvfs status;
  return fstatvfs(fd, &status) == 0 ? (guint64)status.f_bavail * status.f_frsize : G_MAXUINT64;
}

static gboolean _fail_disk(_transfer_t *t, int number)
{
  char *room = g_format_size(_free_space(t->fd));
  if(number == ENOSPC || number == EDQUOT || number == EFBIG)
    _fail(t, DT_AI_ERROR_OUTPUT,
          "The download cannot be written to %s (%s); %s are free there. Free some space and try again; it "
          "continues where it stopped.",
          t->path, g_strerror(number), room);
  else
    _fail(t, DT_AI_ERROR_OUTPUT,
          "The download cannot be written to %s (%s). Check the directory and its permissions.", t->path,
          g_strerror(number));
  g_free(room);
  return FALSE;
}

static gboolean _fail_unusable_path(_transfer_t *t, int number)
{
  const char *advice = "Check the directory and its permissions.";
  if(number == ELOOP) advice = "A symbolic link stands there; remove it.";
  if(number == EEXIST) advice = "What stands there is no plain file; remove it.";
  return _fail(t, DT_AI_ERROR_OUTPUT, "The download cannot be kept in %s: %s. %s", t->path,
               g_strerror(number), advice);
}

/* Whether the name still leads to the open file, a plain one without another name. */
static gboolean _is_own_file(_transfer_t *t)
{
  struct stat opened, named;
  if(fstat(t->fd, &opened) != 0 || lstat(t->path, &named) != 0 || opened.st_ino != named.st_ino
     || opened.st_dev != named.st_dev)
    return FALSE;
  t->done = (guint64)opened.st_size;
  if(S_ISREG(opened.st_mode) && opened.st_nlink == 1) return TRUE;
  return _fail_unusable_path(t, EEXIST);
}

/* Without the lock the file is not ours to look at, let alone to remove. */
static gboolean _lock_part(_transfer_t *t)
{
  // file systems without locks are fine
  if(flock(t->fd, LOCK_EX | LOCK_NB) == 0 || errno != EWOULDBLOCK) return TRUE;
  close(t->fd);
  t->fd = -1;
  return _fail(t, DT_AI_ERROR_OUTPUT,
               "%s is being downloaded by another process already. Wait until it has finished.", t->path);
}

/* The download that had the lock may have removed the file between our opening and locking it: try again. */
static gboolean _open_part(_transfer_t *t)
{
  for(int attempt = 0; attempt < 16; attempt++)
  {
    t->fd = open(t->path, O_RDWR | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0600);
    if(t->fd < 0) return _fail_unusable_path(t, errno == EISDIR || errno == ENXIO ? EEXIST : errno);
    if(!_lock_part(t)) return FALSE;
    if(_is_own_file(t)) return TRUE;
    if(t->error) return FALSE;
    close(t->fd);
  }
  t->fd = -1;
  return _fail_unusable_path(t, EBUSY);
}

/* Nothing that another call could go on with is left lying about. */
static void _close_part(_transfer_t *t)
{
  if(t->fd < 0) return;
  if(t->error && _is_own_file(t) && (t->done == 0 || t->useless)) unlink(t->path);
  close(t->fd);
}

static gboolean _write(_transfer_t *t, const char *data, size_t size)
{
  if(t->bytes)
  {
    g_byte_array_append(t->bytes, (const guint8 *)data, (guint)size);
    t->done += size;
    return TRUE;
  }
  for(size_t put = 0; put < size;)
  {
    const ssize_t n = pwrite(t->fd, data + put, size - put, (off_t)t->done);
    if(n < 0 && errno == EINTR) continue;
    if(n <= 0) return _fail_disk(t, n < 0 ? errno : ENOSPC);
    put += (size_t)n;
    t->done += (guint64)n;
  }
  return TRUE;
}

static gboolean _start_over(_transfer_t *t)
{
  t->done = 0;
  if(t->bytes) g_byte_array_set_size(t->bytes, 0);
  return t->bytes || ftruncate(t->fd, 0) == 0 || _fail_disk(t, errno);
}

// --- Judging an answer

static gboolean _is_web_page(const char *data, size_t size)
{
  const char *const beginnings[] = { "<!doctype", "<html", "<head", "<body", "<script", "<meta" };
  size_t i = 0;
  while(i < size && g_ascii_isspace(data[i])) i++;
  for(size_t b = 0; b < G_N_ELEMENTS(beginnings); b++)
    if(size - i >= strlen(beginnings[b])
       && g_ascii_strncasecmp(data + i, beginnings[b], strlen(beginnings[b])) == 0)
      return TRUE;
  return FALSE;
}

static gboolean _fail_web_page(_transfer_t *t)
{
  return _fail(t, DT_AI_ERROR_NETWORK,
               "A web page came instead of %s: does this network ask you to log in? Open any page in a "
               "browser, log in there, and try again.",
               t->shown);
}

static gboolean _check_length(_transfer_t *t, guint64 length)
{
  if(length <= t->opts.max_bytes) return TRUE;
  char *limit = g_format_size(t->opts.max_bytes);
  _fail(t, DT_AI_ERROR_NETWORK,
        "%s is larger than the %s accepted here. Check the address, or tell the "
        "repository's keepers.",
        t->shown, limit);
  g_free(limit);
  return FALSE;
}

static gboolean _check_room(_transfer_t *t, guint64 start)
{
  if(t->bytes || t->total <= start) return TRUE;
  const guint64 need = t->total - start, room = _free_space(t->fd);
  const guint64 freed = t->done > start ? t->done - start : 0; // by starting over
  if(need <= room || need - room <= freed) return TRUE;
  char *needed = g_format_size(need), *free_there = g_format_size(room);
  _fail(t, DT_AI_ERROR_OUTPUT,
        "%s needs %s more on the disk of %s, where %s are free. Free some space and try again.", t->shown,
        needed, t->path, free_there);
  g_free(needed);
  g_free(free_there);
  return FALSE;
}

/* The answer begins with byte @p start of @p total (0: unknown) bytes. */
static gboolean _begin_at(_transfer_t *t, guint64 start, guint64 total, const char *data, size_t size)
{
  t->total = total;
  t->continued = start > 0;
  if(start == 0 && _is_web_page(data, size)) return _fail_web_page(t);
  if(!_check_length(t, total) || !_check_room(t, start)) return FALSE;
  return start > 0 || t->done == 0 || _start_over(t);
}

/* "bytes 100-199/200", or an asterisk for the total. */
static gboolean _parse_content_range(const _transfer_t *t, guint64 *start, guint64 *total)
{
  struct curl_header *header = NULL;
  if(curl_easy_header(t->easy, "Content-Range", 0, CURLH_HEADER, -1, &header) != CURLHE_OK) return FALSE;
  const char *text = header->value;
  char *end;
  if(g_ascii_strncasecmp(text, "bytes ", 6) != 0 || !g_ascii_isdigit(text[6])) return FALSE;
  *start = g_ascii_strtoull(text + 6, &end, 10);
  const char *slash = strchr(end, '/');
  if(*end != '-' || !slash) return FALSE;
  *total = g_ascii_isdigit(slash[1]) ? g_ascii_strtoull(slash + 1, NULL, 10) : 0;
  return TRUE;
}

static long _get_status(const _transfer_t *t)
{
  long status = 0;
  curl_easy_getinfo(t->easy, CURLINFO_RESPONSE_CODE, &status);
  return status;
}

/* The headers are complete and the first bytes are here. FALSE without an error leaves the rest to _judge(). */
static gboolean _begin(_transfer_t *t, const char *data, size_t size)
{
  const long status = _get_status(t);
  guint64 start = 0, total = 0;
  curl_off_t length = -1;
  t->begun = TRUE;
  if(status == 206)
  {
    t->misplaced = t->range == 0 || !_parse_content_range(t, &start, &total) || start != t->range;
    return !t->misplaced && _begin_at(t, start, total, data, size);
  }
  if(status != 200) return FALSE;
  curl_easy_getinfo(t->easy, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &length);
  return _begin_at(t, 0, length > 0 ? (guint64)length : 0, data, size);
}

static gboolean _receive(_transfer_t *t, const char *data, size_t size)
{
  if(_is_cancelled(t)) return FALSE;
  t->useless = !_check_length(t, t->done + size);
  if(t->useless || !_write(t, data, size)) return FALSE;
  t->received += size;
  _report(t, FALSE);
  return TRUE;
}

static size_t _on_body(char *data, size_t one, size_t size, void *user_data)
{
  _transfer_t *t = user_data;
  (void)one;
  if(!t->begun && !_begin(t, data, size)) return 0;
  return _receive(t, data, size) ? size : 0;
}

static size_t _on_header(char *data, size_t one, size_t size, void *user_data)
{
  _transfer_t *t = user_data;
  (void)data;
  (void)one;
  t->headers += size;
  if(t->headers <= MAX_HEADER_BYTES) return size;
  _fail(t, DT_AI_ERROR_NETWORK, "%s: the server's headers do not end. Try again later.", t->shown);
  return 0;
}

static gboolean _fail_status(_transfer_t *t, long status)
{
  const char *meaning = "the server does not give it out. Check the address, or try again later";
  t->absent = status == 404 || status == 410;
  if(t->absent) meaning = "the repository or the release does not exist, or lacks this file. Check its name";
  if(status == 403 || status == 429)
    meaning = "access is refused, perhaps because of too many requests from this network (rate limit). Try "
              "again in an hour";
  if(status == 401) meaning = "it wants a user and a password. Check the address";
  if(status == 407)
    meaning = "the proxy wants a user and a password. Check the proxy settings (https_proxy) in the "
              "environment";
  if(status >= 500) meaning = "the server has trouble. Try again later";
  return _fail(t, DT_AI_ERROR_NETWORK, "%s was answered with status %ld: %s.", t->shown, status, meaning);
}

static gboolean _is_broken_connection(CURLcode code)
{
  return code == CURLE_PARTIAL_FILE || code == CURLE_RECV_ERROR || code == CURLE_SEND_ERROR
         || code == CURLE_GOT_NOTHING || code == CURLE_HTTP2 || code == CURLE_HTTP2_STREAM;
}

static gboolean _fail_connection(_transfer_t *t, CURLcode code)
{
  static const struct
  {
    CURLcode code;
    const char *words;
  } known[] = {
    { CURLE_COULDNT_RESOLVE_HOST, "its name is unknown. Check the address and the network connection" },
    { CURLE_COULDNT_RESOLVE_PROXY,
      "the name of the proxy is unknown. Check the proxy settings (https_proxy) in the environment" },
    { CURLE_COULDNT_CONNECT, "nobody answers there. Check the address and the network connection" },
    { CURLE_OPERATION_TIMEDOUT,
      "no connection came about within 30 seconds. Check the network connection, or try again later" },
    { CURLE_PEER_FAILED_VERIFICATION,
      "its certificate cannot be verified, so that it may be somebody else. Does this network ask you to log "
      "in, is the clock right, are the system's certificates (ca-certificates) installed?" },
    { CURLE_SSL_CACERT_BADFILE,
      "the certificates to verify it with cannot be read. Install the system's certificates "
      "(ca-certificates), or check SSL_CERT_FILE" },
    { CURLE_SSL_CONNECT_ERROR, "no encrypted connection came about. Try again later, or check the proxy" },
    { CURLE_UNSUPPORTED_PROTOCOL, "what answers does not speak HTTP. Check the address" },
    { CURLE_WEIRD_SERVER_REPLY, "what answers does not speak HTTP. Check the address" },
  };
  if(_is_broken_connection(code)) return _fail_unfinished(t, "the connection ended early");
  for(size_t i = 0; i < G_N_ELEMENTS(known); i++)
    if(known[i].code == code)
      return _fail(t, DT_AI_ERROR_NETWORK, "%s cannot be reached: %s.", t->shown, known[i].words);
  return _fail(t, DT_AI_ERROR_NETWORK, "%s cannot be fetched: %s. Try again later.", t->shown,
               curl_easy_strerror(code));
}

static gboolean _is_redirect(long status)
{
  return (status >= 301 && status <= 303) || status == 307 || status == 308;
}

static _outcome_t _judge_status(_transfer_t *t, long status)
{
  if(_is_redirect(status)) return OUTCOME_REDIRECTED;
  if(status == 416 && t->range > 0) // nothing is behind what we have: all of it, or of something else
  {
    t->continued = TRUE;
    return OUTCOME_DONE;
  }
  _fail_status(t, status);
  return OUTCOME_FAILED;
}

static _outcome_t _judge_misplaced(_transfer_t *t)
{
  if(t->range > 0) return OUTCOME_NO_RANGE;
  _fail(t, DT_AI_ERROR_NETWORK, "%s: the server sent a part where all of it was asked for. Try again later.",
        t->shown);
  return OUTCOME_FAILED;
}

/* What has become of the request, now that it is over. */
static _outcome_t _judge(_transfer_t *t, CURLcode code)
{
  const long status = _get_status(t);
  long proxy_status = 0;
  curl_easy_getinfo(t->easy, CURLINFO_HTTP_CONNECTCODE, &proxy_status);
  if(t->error) return OUTCOME_FAILED;
  if(status != 0 && status != 200 && status != 206) return _judge_status(t, status);
  if(status == 0 && proxy_status >= 300)
    _fail_status(t, proxy_status);
  else if(code == CURLE_FILESIZE_EXCEEDED)
    _check_length(t, G_MAXUINT64);
  else if(t->misplaced)
    return _judge_misplaced(t);
  else if(code != CURLE_OK)
    _fail_connection(t, code);
  else if(!t->begun && !_begin(t, "", 0)) // an empty answer
    return t->misplaced ? _judge_misplaced(t) : OUTCOME_FAILED;
  else if(t->done < t->total)
    _fail_unfinished(t, "the connection ended early");
  return t->error ? OUTCOME_FAILED : OUTCOME_DONE;
}

// --- One request

/* curl leaves SIGPIPE to its user: a TLS library may write to a connection that is closed already. The
 * signal goes to the writing thread, which holds it back and forgets it. */
static void _hold_sigpipe(sigset_t *before)
{
  sigset_t pipe_only;
  sigemptyset(&pipe_only);
  sigaddset(&pipe_only, SIGPIPE);
  pthread_sigmask(SIG_BLOCK, &pipe_only, before);
}

static void _release_sigpipe(const sigset_t *before)
{
  const struct timespec at_once = { 0, 0 };
  sigset_t pipe_only;
  sigemptyset(&pipe_only);
  sigaddset(&pipe_only, SIGPIPE);
  if(!sigismember(before, SIGPIPE)) sigtimedwait(&pipe_only, NULL, &at_once);
  pthread_sigmask(SIG_SETMASK, before, NULL);
}

/* Proxies are for other machines: what goes to this one in the clear must not leave it. */
static void _set_request(_transfer_t *t)
{
  const gboolean here = _kind_of(t->address) == KIND_LOOPBACK;
  char range[32];
  g_snprintf(range, sizeof range, "%" G_GUINT64_FORMAT "-", t->range);
  curl_easy_setopt(t->easy, CURLOPT_URL, t->address);
  curl_easy_setopt(t->easy, CURLOPT_RANGE, t->range ? range : NULL);
  curl_easy_setopt(t->easy, CURLOPT_PROTOCOLS_STR, here ? "http" : "https");
  curl_easy_setopt(t->easy, CURLOPT_NOPROXY, here ? "*" : NULL);
  t->window_start = g_get_monotonic_time();
  t->window_received = t->received;
}

static CURLcode _perform(_transfer_t *t)
{
  CURLcode code = CURLE_ABORTED_BY_CALLBACK;
  int running = 1, waiting;
  curl_multi_add_handle(t->multi, t->easy);
  while(running && !t->error)
  {
    if(curl_multi_perform(t->multi, &running) != CURLM_OK)
      _fail(t, DT_AI_ERROR_NETWORK, "%s cannot be fetched: curl failed. Try again.", t->shown);
    if(!running || t->error || _is_cancelled(t) || _has_stalled(t)) continue;
    _report(t, FALSE);
    curl_multi_poll(t->multi, NULL, 0, POLL_MS, NULL);
  }
  const CURLMsg *message = curl_multi_info_read(t->multi, &waiting);
  if(message && message->msg == CURLMSG_DONE) code = message->data.result;
  curl_multi_remove_handle(t->multi, t->easy);
  return code;
}

static _outcome_t _request(_transfer_t *t)
{
  sigset_t before;
  _set_request(t);
  _hold_sigpipe(&before);
  const CURLcode code = _perform(t);
  _release_sigpipe(&before);
  return _judge(t, code);
}

static gboolean _copy_local(_transfer_t *t, int fd, guint64 start, guint64 size)
{
  char *buffer = g_malloc(CHUNK);
  ssize_t n = 0;
  do
  {
    n = pread(fd, buffer, CHUNK, (off_t)(t->begun ? t->done : start));
    if(n >= 0 && !t->begun && !_begin_at(t, start, size, buffer, (size_t)n)) break;
    t->begun = TRUE;
  } while(n > 0 && _receive(t, buffer, (size_t)n));
  if(n < 0)
    _fail(t, DT_AI_ERROR_NETWORK, "%s cannot be read: %s. Check the mirror's disk.", t->shown,
          g_strerror(errno));
  if(t->done < t->total) _fail_unfinished(t, "the file became shorter");
  g_free(buffer);
  return !t->error;
}

static _outcome_t _read_local(_transfer_t *t)
{
  struct stat status;
  char *path = g_filename_from_uri(t->address, NULL, NULL);
  // a pipe without a writer must not keep us waiting
  const int fd = path ? open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC) : -1;
  t->absent = !path || (fd < 0 && (errno == ENOENT || errno == ENOTDIR));
  if(fd < 0)
    _fail(t, DT_AI_ERROR_NETWORK, "%s cannot be read: %s. Check the address, and whether its disk is there.",
          t->shown, path ? g_strerror(errno) : "it names no local file");
  else if(fstat(fd, &status) != 0 || !S_ISREG(status.st_mode))
    _fail(t, DT_AI_ERROR_NETWORK, "%s is no plain file. Check the address.", t->shown);
  else
  {
    const guint64 size = (guint64)status.st_size;
    _copy_local(t, fd, t->range <= size ? t->range : 0, size);
  }
  if(fd >= 0) close(fd);
  g_free(path);
  return t->error ? OUTCOME_FAILED : OUTCOME_DONE;
}

// --- A whole fetch

static _outcome_t _attempt(_transfer_t *t)
{
  t->begun = t->misplaced = t->continued = FALSE;
  t->headers = 0;
  t->total = 0;
  if(_is_cancelled(t)) return OUTCOME_FAILED;
  return _kind_of(t->address) == KIND_FILE ? _read_local(t) : _request(t);
}

static gboolean _fetch(_transfer_t *t, const char *url)
{
  int redirects = 0;
  g_free(t->address);
  t->address = g_strdup(url);
  for(;;)
  {
    const _outcome_t outcome = _attempt(t);
    if(outcome == OUTCOME_DONE) _report(t, TRUE);
    if(outcome == OUTCOME_DONE || outcome == OUTCOME_FAILED) return outcome == OUTCOME_DONE;
    if(outcome == OUTCOME_NO_RANGE)
      t->range = 0; // and so never again
    else if(++redirects > MAX_REDIRECTS)
      return _fail(t, DT_AI_ERROR_NETWORK,
                   "%s sends the request in circles (more than %d redirects). Try again later, or use "
                   "another repository.",
                   t->shown, MAX_REDIRECTS);
    else if(!_follow(t))
      return FALSE;
  }
}

static void _init_curl(void)
{
  curl_global_init(CURL_GLOBAL_DEFAULT);
}

/* As the command curl does; the library alone knows its compiled-in bundle only. */
static void _set_certificates(CURL *easy)
{
  const char *bundle = g_getenv("CURL_CA_BUNDLE");
  if(!bundle || !*bundle) bundle = g_getenv("SSL_CERT_FILE");
  if(bundle && *bundle) curl_easy_setopt(easy, CURLOPT_CAINFO, bundle);
}

static void _set_options(_transfer_t *t)
{
  curl_easy_setopt(t->easy, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(t->easy, CURLOPT_USERAGENT, "darktable-ai");
  curl_easy_setopt(t->easy, CURLOPT_FOLLOWLOCATION, 0L);
  curl_easy_setopt(t->easy, CURLOPT_CONNECTTIMEOUT_MS, CONNECT_TIMEOUT_MS);
  curl_easy_setopt(t->easy, CURLOPT_MAXFILESIZE_LARGE, (curl_off_t)MIN(t->opts.max_bytes, G_MAXINT64));
  curl_easy_setopt(t->easy, CURLOPT_BUFFERSIZE, (long)CHUNK);
  curl_easy_setopt(t->easy, CURLOPT_WRITEFUNCTION, _on_body);
  curl_easy_setopt(t->easy, CURLOPT_WRITEDATA, t);
  curl_easy_setopt(t->easy, CURLOPT_HEADERFUNCTION, _on_header);
  curl_easy_setopt(t->easy, CURLOPT_HEADERDATA, t);
  // a name server that does not answer must not delay a cancel: its thread ends by itself
  curl_easy_setopt(t->easy, CURLOPT_QUICK_EXIT, 1L);
  _set_certificates(t->easy);
}

static gboolean _init(_transfer_t *t, const char *url, const dt_download_opts_t *opts)
{
  static pthread_once_t once = PTHREAD_ONCE_INIT;
  pthread_once(&once, _init_curl);
  *t = (_transfer_t){ .fd = -1, .shown = dt_download_shown_url(url) };
  if(opts) t->opts = *opts;
  if(t->opts.max_bytes == 0) t->opts.max_bytes = DT_PACKAGE_MAX_BYTES;
  if(t->opts.stall_seconds <= 0) t->opts.stall_seconds = DEFAULT_STALL_SECONDS;
  const char *objection = _objection(_kind_of(url));
  if(objection) return _fail(t, DT_AI_ERROR_NETWORK, "%s cannot be fetched: %s.", t->shown, objection);
  t->multi = curl_multi_init();
  t->easy = curl_easy_init();
  if(!t->multi || !t->easy)
    return _fail(t, DT_AI_ERROR_NETWORK, "%s cannot be fetched: curl does not start.", t->shown);
  _set_options(t);
  return TRUE;
}

static void _cleanup(_transfer_t *t, GError **error)
{
  _close_part(t);
  curl_easy_cleanup(t->easy);
  curl_multi_cleanup(t->multi);
  g_free(t->shown);
  g_free(t->address);
  if(t->error) g_propagate_error(error, t->error);
}

GBytes *dt_download_bytes_if_there(const char *url, const dt_download_opts_t *opts, gboolean *absent,
                                   GError **error)
{
  _transfer_t t;
  GBytes *answer = NULL;
  const gboolean usable = _init(&t, url, opts);
  t.opts.max_bytes = MIN(t.opts.max_bytes, MAX_MEMORY_BYTES);
  t.bytes = g_byte_array_new();
  if(usable && _fetch(&t, url))
  {
    g_byte_array_append(t.bytes, (const guint8 *)"", 1);
    GBytes *terminated = g_byte_array_free_to_bytes(t.bytes);
    answer = g_bytes_new_from_bytes(terminated, 0, g_bytes_get_size(terminated) - 1);
    g_bytes_unref(terminated);
  }
  else
    g_byte_array_unref(t.bytes);
  *absent = t.absent;
  _cleanup(&t, error);
  return answer;
}

GBytes *dt_download_bytes(const char *url, const dt_download_opts_t *opts, GError **error)
{
  gboolean absent;
  return dt_download_bytes_if_there(url, opts, &absent, error);
}

/* Whether the file has the digest. FALSE without an error: it has another. */
static gboolean _has_digest(_transfer_t *t, const char *sha256)
{
  GError *cause = NULL;
  char *digest = dt_package_sha256(t->path, t->opts.cancellable, &cause);
  const gboolean same = digest && g_ascii_strcasecmp(digest, sha256) == 0;
  if(!digest && !_is_cancelled(t))
    _fail(t, DT_AI_ERROR_OUTPUT, "The download cannot be read back from %s: %s", t->path, cause->message);
  g_clear_error(&cause);
  g_free(digest);
  return same;
}

/* Has to be called before the file is closed: it is still ours alone. */
static gboolean _discard(_transfer_t *t)
{
  char head[HEAD_BYTES];
  const ssize_t n = pread(t->fd, head, sizeof head, 0);
  unlink(t->path);
  if(n > 0 && _is_web_page(head, (size_t)n)) return _fail_web_page(t);
  return _fail(t, DT_AI_ERROR_NETWORK,
               "What came from %s does not have the SHA-256 that the repository gives: it was damaged or "
               "exchanged on the way. It has been removed. Try again; if that does not help, tell the "
               "repository's keepers.",
               t->shown);
}

static gboolean _fetch_verified(_transfer_t *t, const char *url, const char *sha256)
{
  // what is longer than allowed cannot be the beginning of it
  t->range = t->done <= t->opts.max_bytes ? t->done : 0;
  gboolean good = _fetch(t, url) && _has_digest(t, sha256);
  if(!good && !t->error && t->continued)
  {
    t->range = 0;
    good = _fetch(t, url) && _has_digest(t, sha256);
  }
  if(t->error) return FALSE;
  if(!good) return _discard(t);
  return fsync(t->fd) == 0 || _fail_disk(t, errno);
}

static gboolean _is_digest(const char *text)
{
  return strlen(text) == 64 && strspn(text, "0123456789abcdefABCDEF") == 64;
}

gboolean dt_download_file(const char *url, const char *path, const char *sha256,
                          const dt_download_opts_t *opts, GError **error)
{
  _transfer_t t;
  if(_init(&t, url, opts))
  {
    t.path = path;
    if(!_is_digest(sha256))
      _fail(&t, DT_AI_ERROR_NETWORK,
            "%s is not fetched: the repository gives no SHA-256 to verify it with. Tell its keepers.",
            t.shown);
    else if(_open_part(&t))
      _fetch_verified(&t, url, sha256);
  }
  const gboolean done = t.error == NULL;
  _cleanup(&t, error);
  return done;
}
