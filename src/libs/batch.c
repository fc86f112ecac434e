/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Collects the pictures of a batch, and looks ahead where their results will go. */
#include "libs/batch.h"
#include "imageio/raw.h"
#include "libs/output_template.h"

#include <errno.h>
#include <glib/gstdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* what the tasks add to a name unless another pattern is given */
static const char *const _suffixes[] = { "_denoise", "_rawdenoise", "_upscale", "_mask" };

/* One collection at work. */
typedef struct _collector_t
{
  const dt_batch_opts_t *opts;
  dt_batch_t *batch;
  GHashTable *directories; /* "device:inode" of those entered */
  char *root;              /* the operand, a directory */
  gboolean own_names;      /* results of earlier runs may lie below it, under the usual names */
  int results, twice;
  char *again, *first; /* the first file that came twice, and what it was taken as */
} _collector_t;

static void _free_item(gpointer data)
{
  dt_batch_item_t *item = data;
  g_free(item->path);
  g_free(item->relative);
  g_free(item);
}

static char *_identify(const struct stat *status)
{
  return g_strdup_printf("%" G_GUINT64_FORMAT ":%" G_GUINT64_FORMAT, (guint64)status->st_dev,
                         (guint64)status->st_ino);
}

/* --- shards --- */

gboolean dt_batch_parse_shard(const char *text, int *shard, int *shards, GError **error)
{
  char **parts = g_strsplit(text, "/", 3);
  guint64 i = 0, n = 0;
  const gboolean ok = g_strv_length(parts) == 2
                      && g_ascii_string_to_unsigned(parts[1], 10, 1, 1000000, &n, NULL)
                      && g_ascii_string_to_unsigned(parts[0], 10, 1, n, &i, NULL);
  g_strfreev(parts);
  *shard = (int)i;
  *shards = (int)n;
  if(!ok)
    g_set_error(error, DT_AI_ERROR, DT_AI_ERROR_USAGE,
                "--shard takes a number and how many there are, such as 1/4 or 4/4, not \"%s\".", text);
  return ok;
}

int dt_batch_shard_of(const char *relative, int shards)
{
  guint8 digest[32];
  gsize size = sizeof digest;
  GChecksum *sum = g_checksum_new(G_CHECKSUM_SHA256);
  g_checksum_update(sum, (const guchar *)relative, (gssize)strlen(relative));
  g_checksum_get_digest(sum, digest, &size);
  g_checksum_free(sum);
  guint64 number = 0;
  for(int i = 0; i < 8; i++) number = number << 8 | digest[i];
  return (int)(number % (guint64)shards) + 1;
}

/* --- what is passed over --- */

static char *_resolve(const char *path)
{
  char *real = realpath(path, NULL);
  char *resolved = real ? g_strdup(real) : g_canonicalize_filename(path, NULL);
  free(real);
  return resolved;
}

/* Whether outputs may come to lie below the directory @p root. */
static gboolean _reaches_into(const char *output, const char *root)
{
  if(!output) return TRUE;
  char *base = dt_output_template_is(output) ? dt_output_template_base(output) : g_strdup(output);
  if(!base) return TRUE;
  char *inner = _resolve(base), *outer = _resolve(root);
  const size_t length = strlen(outer);
  const gboolean below = strncmp(inner, outer, length) == 0
                         && (inner[length] == '\0' || inner[length] == G_DIR_SEPARATOR || outer[1] == '\0');
  g_free(outer);
  g_free(inner);
  g_free(base);
  return below;
}

/* Whether the outputs have the usual names: in another pattern any name may be an original's. */
static gboolean _uses_own_names(const char *output)
{
  return !dt_output_template_is(output) || strstr(output, "{name}_{task}.") != NULL
         || g_str_has_suffix(output, G_DIR_SEPARATOR_S);
}

static gboolean _has_own_name(const char *name)
{
  const char *dot = strrchr(name, '.');
  const size_t length = dot ? (size_t)(dot - name) : strlen(name);
  for(size_t i = 0; i < G_N_ELEMENTS(_suffixes); i++)
  {
    const size_t n = strlen(_suffixes[i]);
    if(length > n && strncmp(name + length - n, _suffixes[i], n) == 0) return TRUE;
  }
  return FALSE;
}

static gboolean _is_result(const _collector_t *c, const char *path, const char *name)
{
  if(c->own_names && _has_own_name(name)) return TRUE;
  if(!c->opts->written) return FALSE;
  char *full = g_canonicalize_filename(path, NULL);
  const gboolean known = g_hash_table_contains(c->opts->written, full);
  g_free(full);
  return known;
}

/* --- taking files --- */

static void _add_item(_collector_t *c, const char *path, const char *relative)
{
  const dt_batch_opts_t *o = c->opts;
  c->batch->total++;
  if(o->shards > 0 && dt_batch_shard_of(relative, o->shards) != o->shard) return;
  dt_batch_item_t *item = g_new0(dt_batch_item_t, 1);
  item->path = g_strdup(path);
  item->relative = g_strdup(relative);
  item->found = c->root != NULL;
  item->counter = c->batch->total;
  g_ptr_array_add(c->batch->items, item);
}

/* Whether the file has been taken under another name; @p status is its own. */
static gboolean _is_known(_collector_t *c, const char *path, const struct stat *status)
{
  char *id = _identify(status);
  const char *first = g_hash_table_lookup(c->batch->files, id);
  if(!first)
  {
    g_hash_table_insert(c->batch->files, id, g_strdup(path));
    return FALSE;
  }
  g_free(id);
  if(c->twice++ == 0)
  {
    c->again = g_strdup(path);
    c->first = g_strdup(first);
  }
  return TRUE;
}

static int _compare_names(gconstpointer a, gconstpointer b)
{
  return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static void _add_problem(_collector_t *c, const char *path, const char *what)
{
  char *display = g_filename_display_name(path);
  g_ptr_array_add(c->batch->problems, g_error_new(DT_AI_ERROR, DT_AI_ERROR_INPUT, "%s: %s", display, what));
  g_free(display);
}

static void _scan(_collector_t *c, const char *dir, const char *below, GPtrArray *found);

static gboolean _is_wanted(const _collector_t *c, const char *path, const char *name)
{
  return c->opts->raws ? dt_raw_is_raw(path) : dt_imageio_format_for_name(name) != DT_IMAGEIO_UNKNOWN;
}

/* One entry of a directory: a picture, a directory to enter, or nothing to us. */
static void _scan_entry(_collector_t *c, const char *dir, const char *below, const char *name,
                        GPtrArray *found)
{
  char *path = g_build_filename(dir, name, NULL);
  char *relative = *below ? g_build_filename(below, name, NULL) : g_strdup(name);
  struct stat status;
  const gboolean there = name[0] != '.' && !g_str_has_suffix(name, ".part") && stat(path, &status) == 0;
  if(there && S_ISDIR(status.st_mode) && c->opts->recursive)
    _scan(c, path, relative, found);
  else if(there && S_ISREG(status.st_mode) && _is_wanted(c, path, name))
  {
    if(_is_result(c, path, name))
      c->results++;
    else
      g_ptr_array_add(found, g_steal_pointer(&relative));
  }
  g_free(relative);
  g_free(path);
}

/* The names in @p dir, sorted: of two links to one directory every machine is to enter the same first. */
static GPtrArray *_read_names(const char *dir)
{
  GDir *entries = g_dir_open(dir, 0, NULL);
  if(!entries) return NULL;
  GPtrArray *names = g_ptr_array_new_with_free_func(g_free);
  for(const char *name; (name = g_dir_read_name(entries));) g_ptr_array_add(names, g_strdup(name));
  g_dir_close(entries);
  g_ptr_array_sort(names, _compare_names);
  return names;
}

/* Adds the pictures below @p dir to @p found, relative to the operand. */
static void _scan(_collector_t *c, const char *dir, const char *below, GPtrArray *found)
{
  struct stat status;
  /* a link may lead back to where we are */
  if(stat(dir, &status) == 0 && !g_hash_table_add(c->directories, _identify(&status))) return;
  GPtrArray *names = _read_names(dir);
  if(!names)
  {
    char *what =
        g_strdup_printf("the directory cannot be read (%s). Check its permissions.", g_strerror(errno));
    _add_problem(c, dir, what);
    g_free(what);
    return;
  }
  for(guint i = 0; i < names->len; i++) _scan_entry(c, dir, below, names->pdata[i], found);
  g_ptr_array_unref(names);
}

/* --- operands --- */

static void _take_found(_collector_t *c, GPtrArray *found)
{
  g_ptr_array_sort(found, _compare_names);
  for(guint i = 0; i < found->len; i++)
  {
    char *path = g_build_filename(c->root, found->pdata[i], NULL);
    struct stat status;
    if(stat(path, &status) != 0 || !_is_known(c, path, &status)) _add_item(c, path, found->pdata[i]);
    g_free(path);
  }
}

/* Why a directory gives nothing (transfer full). */
static char *_explain_nothing(const _collector_t *c, gboolean has_results)
{
  if(has_results)
    return g_strdup("there are only results of earlier runs in this directory. Choose another.");
  return g_strdup_printf("there are no %s in this directory%s", c->opts->raws ? "camera raws" : "pictures",
                         c->opts->recursive
                             ? " or below it. Choose another."
                             : ". Choose another, or use --recursive to look below it as well.");
}

static void _take_directory(_collector_t *c, const char *operand)
{
  const int results = c->results;
  const guint problems = c->batch->problems->len;
  GPtrArray *found = g_ptr_array_new_with_free_func(g_free);
  c->batch->from_directory = TRUE;
  c->root = g_strdup(operand);
  c->own_names = _uses_own_names(c->opts->output) && _reaches_into(c->opts->output, operand);
  g_hash_table_remove_all(
      c->directories); /* an operand inside another is entered again: its files are known */
  _scan(c, operand, "", found);
  if(!found->len && c->batch->problems->len == problems)
  {
    char *what = _explain_nothing(c, c->results > results);
    _add_problem(c, operand, what);
    g_free(what);
  }
  _take_found(c, found);
  g_ptr_array_unref(found);
  g_clear_pointer(&c->root, g_free);
}

static void _take_operand(_collector_t *c, const char *operand)
{
  struct stat status;
  const gboolean there = strcmp(operand, DT_IMAGEIO_STREAM) != 0 && stat(operand, &status) == 0;
  if(there && S_ISDIR(status.st_mode))
  {
    _take_directory(c, operand);
    return;
  }
  if(there) g_hash_table_add(c->batch->named, _identify(&status));
  /* only files are one and the same under two names; what is no file is told when it is opened */
  if(there && S_ISREG(status.st_mode) && _is_known(c, operand, &status)) return;
  char *name = g_path_get_basename(operand);
  _add_item(c, operand, name);
  g_free(name);
}

static void _note(dt_batch_t *batch, const char *format, ...) G_GNUC_PRINTF(2, 3);
static void _note(dt_batch_t *batch, const char *format, ...)
{
  va_list args;
  va_start(args, format);
  g_ptr_array_add(batch->notes, g_strdup_vprintf(format, args));
  va_end(args);
}

static void _note_passed_over(const _collector_t *c)
{
  if(c->results == 1) _note(c->batch, "1 result of an earlier run left out");
  if(c->results > 1) _note(c->batch, "%d results of earlier runs left out", c->results);
  if(c->twice == 1) _note(c->batch, "%s: the same file as %s, taken once", c->again, c->first);
  if(c->twice > 1)
    _note(c->batch, "%d files came under a second name and are taken once, such as %s, which is %s", c->twice,
          c->again, c->first);
}

dt_batch_t *dt_batch_collect(char *const *operands, int n, const dt_batch_opts_t *opts)
{
  dt_batch_t *batch = g_new0(dt_batch_t, 1);
  batch->items = g_ptr_array_new_with_free_func(_free_item);
  batch->notes = g_ptr_array_new_with_free_func(g_free);
  batch->problems = g_ptr_array_new_with_free_func((GDestroyNotify)g_error_free);
  batch->files = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
  batch->named = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
  _collector_t c = { .opts = opts, .batch = batch };
  c.directories = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
  for(int i = 0; i < n; i++) _take_operand(&c, operands[i]);
  _note_passed_over(&c);
  g_hash_table_unref(c.directories);
  g_free(c.again);
  g_free(c.first);
  return batch;
}

void dt_batch_free(dt_batch_t *batch)
{
  if(!batch) return;
  g_ptr_array_unref(batch->items);
  g_ptr_array_unref(batch->notes);
  g_ptr_array_unref(batch->problems);
  g_hash_table_unref(batch->files);
  g_hash_table_unref(batch->named);
  g_free(batch);
}

gboolean dt_batch_is_input(const dt_batch_t *batch, const char *path, gboolean *named)
{
  struct stat status;
  if(stat(path, &status) != 0) return FALSE;
  char *id = _identify(&status);
  const gboolean known = g_hash_table_contains(batch->files, id);
  if(named) *named = g_hash_table_contains(batch->named, id);
  g_free(id);
  return known;
}

/* --- where results go --- */

static gboolean _fail(GError **error, const char *path, const char *what)
{
  char *display = g_filename_display_name(path);
  g_set_error(error, DT_AI_ERROR, DT_AI_ERROR_OUTPUT, "%s: %s", display, what);
  g_free(display);
  return FALSE;
}

/* The directory of @p output or, when it will be made, the nearest above it that exists (transfer full). */
static char *_existing_directory(const char *output, gboolean makes_directories)
{
  char *dir = g_path_get_dirname(output);
  while(makes_directories && access(dir, F_OK) != 0 && strcmp(dir, ".") != 0
        && strcmp(dir, G_DIR_SEPARATOR_S) != 0)
  {
    char *above = g_path_get_dirname(dir);
    g_free(dir);
    dir = above;
  }
  return dir;
}

gboolean dt_batch_foresee(const char *output, gboolean overwrite, gboolean makes_directories, GError **error)
{
  if(strcmp(output, DT_IMAGEIO_STREAM) == 0) return TRUE;
  if(g_file_test(output, G_FILE_TEST_IS_DIR))
    return _fail(error, output, "this is a directory; choose another name with -o.");
  if(!overwrite && g_file_test(output, G_FILE_TEST_EXISTS))
    return _fail(error, output,
                 "the file exists already; choose another name or allow overwriting (--overwrite).");
  char *dir = _existing_directory(output, makes_directories);
  const gboolean there = g_file_test(dir, G_FILE_TEST_IS_DIR), writable = access(dir, W_OK | X_OK) == 0;
  if(!there)
    _fail(error, output, "the directory does not exist; create it first, or choose another.");
  else if(!writable)
    _fail(error, output, "the directory cannot be written to; check its permissions or choose another.");
  g_free(dir);
  return there && writable;
}

gboolean dt_batch_make_directory(const char *output, GError **error)
{
  char *dir = g_path_get_dirname(output);
  const gboolean made = g_mkdir_with_parents(dir, 0777) == 0; /* less the umask */
  if(!made)
  {
    char *what = g_strdup_printf("its directory cannot be made (%s). Check the path and its permissions.",
                                 g_strerror(errno));
    _fail(error, output, what);
    g_free(what);
  }
  g_free(dir);
  return made;
}
