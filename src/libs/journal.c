/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Keeps the journal of a batch.
 *
 * A line is written with one call and synced; one that was cut off by a crash has no line break and is cut away before
 * the next is written. Outputs take their names at the very end of their making, so an output of a picture that was
 * begun and not ended is either whole, and only the line about it is missing, or it is not there: it is made again.
 *
 * The lock is one of fcntl(), which file servers for clusters know better than flock(). */
#include "libs/journal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define KIND "darktable-ai batch"
#define MAGIC "{\"journal\":\"" KIND "\""
#define VERSION 1
/* a journal of a million pictures is smaller */
#define MAX_BYTES ((goffset)1 << 30)

/* The last word about a picture. */
typedef struct _entry_t
{
  dt_journal_state_t state;
  gboolean fresh; /* nothing was there when its output was begun, or only what was ours */
  char *output;
  gint64 size, mtime, output_size;
} _entry_t;

struct dt_journal_t
{
  char *path;
  int fd;              /* -1: only looked at */
  off_t size;          /* up to here it is whole */
  GHashTable *entries; /* canonical input -> _entry_t */
  GHashTable *outputs; /* canonical paths */
  gint64 begun;        /* seconds since 1970 */
  struct stat input;   /* of the picture at work, as it was when it was begun */
  int damaged, first_damaged;
};

static void _free_entry(gpointer data)
{
  _entry_t *entry = data;
  g_free(entry->output);
  g_free(entry);
}

static gboolean _fail(GError **error, dt_ai_error_t code, const char *path, const char *format, ...)
    G_GNUC_PRINTF(4, 5);
static gboolean _fail(GError **error, dt_ai_error_t code, const char *path, const char *format, ...)
{
  va_list args;
  va_start(args, format);
  char *text = g_strdup_vprintf(format, args), *display = g_filename_display_name(path);
  va_end(args);
  g_set_error(error, DT_AI_ERROR, code, "The journal %s %s", display, text);
  g_free(display);
  g_free(text);
  return FALSE;
}

static gboolean _fail_to_write(GError **error, const char *path, int number)
{
  return _fail(
      error, DT_AI_ERROR_OUTPUT, path,
      "cannot be written (%s). Check its directory, permissions and the free space, or choose another "
      "with --journal.",
      g_strerror(number));
}

/* --- lines --- */

/* JSON is UTF-8; a file's name need not be. */
static void _add_path(JsonObject *line, const char *member, const char *path)
{
  char *full = g_canonicalize_filename(path, NULL), *name = g_strconcat(member, "_uri", NULL);
  char *uri = g_utf8_validate(full, -1, NULL) ? NULL : g_filename_to_uri(full, NULL, NULL);
  if(uri)
    json_object_set_string_member(line, name, uri);
  else
    json_object_set_string_member(line, member, full);
  g_free(uri);
  g_free(name);
  g_free(full);
}

static const char *_get_string(JsonObject *line, const char *member)
{
  JsonNode *node = json_object_get_member(line, member);
  return node && JSON_NODE_HOLDS_VALUE(node) && json_node_get_value_type(node) == G_TYPE_STRING
             ? json_node_get_string(node)
             : NULL;
}

static gint64 _get_number(JsonObject *line, const char *member)
{
  JsonNode *node = json_object_get_member(line, member);
  return node && JSON_NODE_HOLDS_VALUE(node) && json_node_get_value_type(node) == G_TYPE_INT64
             ? json_node_get_int(node)
             : -1;
}

static char *_get_path(JsonObject *line, const char *member)
{
  const char *path = _get_string(line, member);
  if(path) return g_strdup(path);
  char *name = g_strconcat(member, "_uri", NULL);
  const char *uri = _get_string(line, name);
  path = uri ? g_filename_from_uri(uri, NULL, NULL) : NULL;
  g_free(name);
  return (char *)path;
}

static void _add_time(JsonObject *line)
{
  GDateTime *now = g_date_time_new_now_utc();
  char *text = g_date_time_format(now, "%Y-%m-%dT%H:%M:%SZ");
  json_object_set_string_member(line, "time", text);
  g_free(text);
  g_date_time_unref(now);
}

/* One line of text from the object, which is freed (transfer full). */
static char *_to_line(JsonObject *line)
{
  JsonNode *node = json_node_new(JSON_NODE_OBJECT);
  json_node_take_object(node, line);
  char *json = json_to_string(node, FALSE), *text = g_strconcat(json, "\n", NULL);
  g_free(json);
  json_node_unref(node);
  return text;
}

/* Appends a line and syncs it; what a full disk took of it only in part is cut off again. Frees @p line. */
static gboolean _append(dt_journal_t *j, JsonObject *line, GError **error)
{
  if(j->fd < 0)
  {
    json_object_unref(line);
    return TRUE;
  }
  char *text = _to_line(line);
  const size_t length = strlen(text);
  size_t done = 0;
  int number = 0;
  while(done < length && !number)
  {
    const ssize_t put = pwrite(j->fd, text + done, length - done, j->size + (off_t)done);
    if(put > 0)
      done += (size_t)put;
    else if(put == 0 || errno != EINTR)
      number = put == 0 ? ENOSPC : errno;
  }
  if(!number && fdatasync(j->fd) != 0 && errno != EINVAL && errno != ENOTSUP) number = errno;
  g_free(text);
  if(!number)
    j->size += (off_t)length;
  else if(ftruncate(j->fd, j->size) != 0)
    number = errno;
  return !number || _fail_to_write(error, j->path, number);
}

/* --- reading --- */

static void _learn(dt_journal_t *j, JsonObject *line, const char *state)
{
  char *input = _get_path(line, "input"), *output = _get_path(line, "output");
  if(!input || !output)
  {
    g_free(input);
    g_free(output);
    return; /* about a run, not a picture */
  }
  _entry_t *entry = g_new0(_entry_t, 1);
  entry->state = strcmp(state, "done") == 0    ? DT_JOURNAL_DONE
                 : strcmp(state, "begun") == 0 ? DT_JOURNAL_BEGUN
                                               : DT_JOURNAL_UNKNOWN;
  entry->fresh = json_object_get_boolean_member_with_default(line, "fresh", FALSE);
  entry->size = _get_number(line, "size");
  entry->mtime = _get_number(line, "mtime");
  entry->output_size = _get_number(line, "output_size");
  /* what failed has left nothing new: what is there is somebody else's, or what it was to replace */
  if(strcmp(state, "failed") == 0 && entry->fresh) entry->state = DT_JOURNAL_BEGUN;
  if(entry->state != DT_JOURNAL_UNKNOWN) g_hash_table_add(j->outputs, g_strdup(output));
  entry->output = output;
  g_hash_table_replace(j->entries, input, entry);
}

static JsonObject *_parse(const char *text, size_t length)
{
  JsonParser *parser = json_parser_new();
  JsonObject *line = NULL;
  if(g_utf8_validate(text, (gssize)length, NULL)
     && json_parser_load_from_data(parser, text, (gssize)length, NULL))
  {
    JsonNode *root = json_parser_get_root(parser);
    if(root && JSON_NODE_HOLDS_OBJECT(root)) line = json_object_ref(json_node_get_object(root));
  }
  g_object_unref(parser);
  return line;
}

static void _read_line(dt_journal_t *j, const char *text, size_t length, int number)
{
  JsonObject *line = _parse(text, length);
  const char *state = line ? _get_string(line, "state") : NULL;
  if(state)
    _learn(j, line, state);
  else if(j->damaged++ == 0)
    j->first_damaged = number;
  if(line) json_object_unref(line);
}

/* All whole lines behind the first. */
static void _read_lines(dt_journal_t *j, const char *text, size_t size)
{
  int number = 1;
  for(const char *at = text, *end; (end = memchr(at, '\n', size - (size_t)(at - text)));
      at = end + 1, number++)
  {
    j->size = (off_t)(end + 1 - text);
    if(number > 1) _read_line(j, at, (size_t)(end - at), number);
  }
}

/* --- the first line --- */

static JsonObject *_new_header(JsonObject *settings)
{
  JsonObject *line = json_object_new();
  json_object_set_string_member(line, "journal", KIND);
  json_object_set_int_member(line, "version", VERSION);
  json_object_set_object_member(line, "settings", json_object_ref(settings));
  json_object_set_int_member(line, "begun", g_get_real_time() / G_USEC_PER_SEC);
  _add_time(line);
  return line;
}

static const char *_get_setting(JsonObject *settings, const char *name)
{
  const char *value = _get_string(settings, name);
  return value ? value : "";
}

/* The first setting of @p a that differs in @p b, or NULL. */
static char *_find_difference(JsonObject *a, JsonObject *b)
{
  GList *names = json_object_get_members(a);
  char *found = NULL;
  for(GList *n = names; n && !found; n = n->next)
    if(strcmp(_get_setting(a, n->data), _get_setting(b, n->data)) != 0) found = g_strdup(n->data);
  g_list_free(names);
  return found;
}

static gboolean _check_settings(const dt_journal_t *j, JsonObject *then, JsonObject *now, GError **error)
{
  char *name = _find_difference(now, then);
  if(!name) name = _find_difference(then, now);
  if(!name) return TRUE;
  const char *was = _get_setting(then, name), *is = _get_setting(now, name);
  _fail(error, DT_AI_ERROR_USAGE, j->path,
        "belongs to another command: its %s was %s, and now it is %s. Use the same options, remove the "
        "journal to "
        "begin anew, or choose another with --journal.",
        name, *was ? was : "not given", *is ? is : "not given");
  g_free(name);
  return FALSE;
}

/* Whether the file is a journal, and ours. */
static gboolean _check_header(dt_journal_t *j, const char *text, size_t size, JsonObject *settings,
                              GError **error)
{
  const char *end = memchr(text, '\n', size);
  JsonObject *header = end ? _parse(text, (size_t)(end - text)) : NULL;
  const char *kind = header ? _get_string(header, "journal") : NULL;
  JsonNode *then = header ? json_object_get_member(header, "settings") : NULL;
  gboolean ok = FALSE;
  if(!kind || strcmp(kind, KIND) != 0 || !then || !JSON_NODE_HOLDS_OBJECT(then))
    _fail(error, DT_AI_ERROR_USAGE, j->path,
          "is no journal of darktable-ai, or its first line is damaged. Choose another with --journal, or "
          "remove it "
          "to begin anew.");
  else if(_get_number(header, "version") != VERSION)
    _fail(error, DT_AI_ERROR_USAGE, j->path,
          "was written by another version of darktable-ai. Choose another with --journal, or remove it to "
          "begin "
          "anew.");
  else
    ok = _check_settings(j, json_node_get_object(then), settings, error);
  if(ok) j->begun = _get_number(header, "begun");
  if(header) json_object_unref(header);
  return ok;
}

/* Nothing, or a first line that a crash cut short. */
static gboolean _is_empty(const char *text, size_t size)
{
  return !memchr(text, '\n', size) && strncmp(text, MAGIC, MIN(size, strlen(MAGIC))) == 0;
}

/* --- opening --- */

/* "process 4711 on node3", as the last run has written, or NULL (transfer full). */
static char *_find_holder(const char *text)
{
  char *holder = NULL;
  char **lines = g_strsplit(text, "\n", -1);
  for(guint i = g_strv_length(lines); i > 0 && !holder; i--)
  {
    JsonObject *line =
        strstr(lines[i - 1], "\"state\":\"run\"") ? _parse(lines[i - 1], strlen(lines[i - 1])) : NULL;
    const char *host = line ? _get_string(line, "host") : NULL;
    if(host) holder = g_strdup_printf("process %" G_GINT64_FORMAT " on %s", _get_number(line, "pid"), host);
    if(line) json_object_unref(line);
  }
  g_strfreev(lines);
  return holder;
}

static gboolean _fail_to_lock(const dt_journal_t *j, int number, GError **error)
{
  char *text = NULL;
  if(number != EACCES && number != EAGAIN)
    return _fail(error, DT_AI_ERROR_OUTPUT, j->path,
                 "cannot be locked (%s). Choose one on another file system with --journal.",
                 g_strerror(number));
  char *holder = g_file_get_contents(j->path, &text, NULL, NULL) ? _find_holder(text) : NULL;
  _fail(error, DT_AI_ERROR_OUTPUT, j->path,
        "is in use by %s. Let it end and try again, or choose another with --journal.",
        holder ? holder : "another run");
  g_free(holder);
  g_free(text);
  return FALSE;
}

static gboolean _open_file(dt_journal_t *j, GError **error)
{
  struct stat status;
  j->fd = open(j->path, O_RDWR | O_CREAT | O_NONBLOCK | O_CLOEXEC, 0666); /* less the umask */
  if(j->fd < 0) return _fail_to_write(error, j->path, errno);
  if(fstat(j->fd, &status) != 0 || !S_ISREG(status.st_mode))
    return _fail(error, DT_AI_ERROR_USAGE, j->path, "is not a regular file. Choose another with --journal.");
  struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
  return fcntl(j->fd, F_SETLK, &lock) == 0 || _fail_to_lock(j, errno, error);
}

/* The whole text (transfer full); of a file that is not there, when it is only looked at, nothing. */
static char *_read_file(const dt_journal_t *j, gsize *size, GError **error)
{
  char *text = NULL;
  struct stat status;
  *size = 0;
  if(stat(j->path, &status) != 0) return g_strdup("");
  /* read through the descriptor that holds the lock: closing another of this process would give it up */
  const int fd = j->fd >= 0 ? j->fd : open(j->path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
  if(fd < 0 || !S_ISREG(status.st_mode) || status.st_size > MAX_BYTES)
  {
    _fail(error, DT_AI_ERROR_USAGE, j->path,
          "cannot be read. Check its permissions, or choose another with --journal.");
    if(fd >= 0 && fd != j->fd) close(fd);
    return NULL;
  }
  text = g_malloc((gsize)status.st_size + 1);
  for(ssize_t got; *size < (gsize)status.st_size; *size += (gsize)got)
    if((got = pread(fd, text + *size, (gsize)status.st_size - *size, (off_t)*size)) <= 0) break;
  text[*size] = '\0';
  if(fd != j->fd) close(fd);
  return text;
}

static void _sync_directory(const char *path)
{
  char *dir = g_path_get_dirname(path);
  const int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if(fd >= 0) (void)fsync(fd); /* best effort: some file systems refuse */
  if(fd >= 0) close(fd);
  g_free(dir);
}

/* A line about this run: who holds the lock. */
static gboolean _write_run(dt_journal_t *j, GError **error)
{
  JsonObject *line = json_object_new();
  json_object_set_string_member(line, "state", "run");
  json_object_set_string_member(line, "host", g_get_host_name());
  json_object_set_int_member(line, "pid", getpid());
  _add_time(line);
  return _append(j, line, error);
}

static gboolean _load(dt_journal_t *j, dt_journal_mode_t mode, JsonObject *settings, GError **error)
{
  gsize size;
  char *text = _read_file(j, &size, error);
  if(!text) return FALSE;
  const gboolean empty = _is_empty(text, size);
  gboolean ok = TRUE;
  if(!empty && mode == DT_JOURNAL_NEW)
    ok = _fail(error, DT_AI_ERROR_OUTPUT, j->path,
               "exists already. Use --resume to go on with it, remove it to begin anew, or choose another.");
  else if(!empty && (ok = _check_header(j, text, size, settings, error)))
    _read_lines(j, text, size);
  g_free(text);
  if(!ok || j->fd < 0) return ok;
  if(ftruncate(j->fd, j->size) != 0) return _fail_to_write(error, j->path, errno);
  if(empty) _sync_directory(j->path);
  return (!empty || _append(j, _new_header(settings), error)) && _write_run(j, error);
}

dt_journal_t *dt_journal_open(const char *path, dt_journal_mode_t mode, gboolean look, JsonObject *settings,
                              char **note, GError **error)
{
  dt_journal_t *j = g_new0(dt_journal_t, 1);
  *note = NULL;
  j->path = g_strdup(path);
  j->fd = -1;
  j->entries = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, _free_entry);
  j->outputs = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
  if((!look && !_open_file(j, error)) || !_load(j, mode, settings, error))
    g_clear_pointer(&j, dt_journal_close);
  if(j && j->damaged)
    *note = g_strdup_printf(
        "the journal %s is damaged: %d of its lines cannot be read, the first is line %d. What "
        "they told is done again.",
        path, j->damaged, j->first_damaged);
  return j;
}

void dt_journal_close(dt_journal_t *j)
{
  if(!j) return;
  if(j->fd >= 0) close(j->fd); /* gives up the lock */
  g_hash_table_unref(j->entries);
  g_hash_table_unref(j->outputs);
  g_free(j->path);
  g_free(j);
}

/* --- asking --- */

static gint64 _mtime(const struct stat *status)
{
  return (gint64)status->st_mtim.tv_sec * 1000000000 + status->st_mtim.tv_nsec;
}

/* Whether the entry's word holds for the files as they are now. */
static dt_journal_state_t _judge(const dt_journal_t *j, const _entry_t *e, const char *input,
                                 const char *output)
{
  struct stat in, out;
  const gboolean there = stat(output, &out) == 0;
  /* a damaged line may have told of this output: it is as young as the batch, and nobody else writes there */
  if(!e) return j->damaged && there && out.st_mtim.tv_sec >= j->begun ? DT_JOURNAL_BEGUN : DT_JOURNAL_UNKNOWN;
  if(strcmp(e->output, output) != 0 || e->state == DT_JOURNAL_UNKNOWN) return DT_JOURNAL_UNKNOWN;
  if(e->state == DT_JOURNAL_BEGUN) return e->fresh ? DT_JOURNAL_BEGUN : DT_JOURNAL_UNKNOWN;
  if(there && out.st_size == 0) return DT_JOURNAL_BEGUN; /* what a crash of the file system may leave */
  return there && out.st_size == e->output_size && stat(input, &in) == 0 && in.st_size == e->size
                 && _mtime(&in) == e->mtime
             ? DT_JOURNAL_DONE
             : DT_JOURNAL_UNKNOWN;
}

dt_journal_state_t dt_journal_get_state(const dt_journal_t *j, const char *input, const char *output)
{
  char *from = g_canonicalize_filename(input, NULL), *to = g_canonicalize_filename(output, NULL);
  const dt_journal_state_t state = _judge(j, g_hash_table_lookup(j->entries, from), from, to);
  g_free(to);
  g_free(from);
  return state;
}

GHashTable *dt_journal_get_outputs(const dt_journal_t *j)
{
  return j->outputs;
}

/* --- telling --- */

static JsonObject *_new_line(const char *state, const char *input, const char *output)
{
  JsonObject *line = json_object_new();
  json_object_set_string_member(line, "state", state);
  _add_path(line, "input", input);
  _add_path(line, "output", output);
  return line;
}

gboolean dt_journal_begin(dt_journal_t *j, const char *input, const char *output, GError **error)
{
  JsonObject *line = _new_line("begun", input, output);
  if(stat(input, &j->input) != 0) j->input = (struct stat){ 0 };
  /* one that is replaced after a crash was ours before */
  json_object_set_boolean_member(line, "fresh",
                                 !g_file_test(output, G_FILE_TEST_EXISTS)
                                     || dt_journal_get_state(j, input, output) == DT_JOURNAL_BEGUN);
  _add_time(line);
  return _append(j, line, error);
}

gboolean dt_journal_done(dt_journal_t *j, const char *input, const char *output, double seconds,
                         GError **error)
{
  struct stat out;
  JsonObject *line = _new_line("done", input, output);
  json_object_set_int_member(line, "size", (gint64)j->input.st_size);
  json_object_set_int_member(line, "mtime", _mtime(&j->input));
  json_object_set_int_member(line, "output_size", stat(output, &out) == 0 ? (gint64)out.st_size : -1);
  json_object_set_double_member(line, "seconds", seconds);
  _add_time(line);
  return _append(j, line, error);
}

gboolean dt_journal_failed(dt_journal_t *j, const char *input, const char *output, int exit_code,
                           const char *message, GError **error)
{
  char *words = g_utf8_make_valid(message, -1);
  JsonObject *line = _new_line("failed", input, output);
  json_object_set_boolean_member(line, "fresh", dt_journal_get_state(j, input, output) == DT_JOURNAL_BEGUN);
  json_object_set_int_member(line, "exit_code", exit_code);
  json_object_set_string_member(line, "message", words);
  _add_time(line);
  g_free(words);
  return _append(j, line, error);
}
