/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Opens the journal of a batch, by its name or by what was asked for. */
#include "cli/restore_journal.h"
#include "common/paths.h"

#include <errno.h>
#include <string.h>

static int _compare_names(gconstpointer a, gconstpointer b)
{
  return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static GPtrArray *_read_names(const char *dir)
{
  GPtrArray *names = g_ptr_array_new_with_free_func(g_free);
  GDir *entries = g_dir_open(dir, 0, NULL);
  for(const char *name; entries && (name = g_dir_read_name(entries));)
    if(name[0] != '.') g_ptr_array_add(names, g_strdup(name));
  if(entries) g_dir_close(entries);
  g_ptr_array_sort(names, _compare_names);
  return names;
}

static void _add_file(GChecksum *sum, const char *path, const char *name)
{
  GMappedFile *file = g_mapped_file_new(path, FALSE, NULL);
  if(!file) return;
  const gsize size = g_mapped_file_get_length(file);
  g_checksum_update(sum, (const guchar *)name, (gssize)strlen(name) + 1);
  if(size) g_checksum_update(sum, (const guchar *)g_mapped_file_get_contents(file), (gssize)size);
  g_mapped_file_unref(file);
}

/* The files of the model: an update keeps the id (transfer full). */
static char *_digest_model(const char *dir)
{
  GChecksum *sum = g_checksum_new(G_CHECKSUM_SHA256);
  GPtrArray *names = _read_names(dir);
  for(guint i = 0; i < names->len; i++)
  {
    char *path = g_build_filename(dir, names->pdata[i], NULL);
    if(g_file_test(path, G_FILE_TEST_IS_REGULAR)) _add_file(sum, path, names->pdata[i]);
    g_free(path);
  }
  g_ptr_array_unref(names);
  char *digest = g_strdup(g_checksum_get_string(sum));
  g_checksum_free(sum);
  return digest;
}

/* In the cache, by what was asked for: operands and settings (transfer full). */
static char *_default_path(const dt_cli_restore_t *r, JsonObject *settings, GError **error)
{
  GChecksum *sum = g_checksum_new(G_CHECKSUM_SHA256);
  for(int i = 0; i < r->n_files; i++)
  {
    char *full = g_canonicalize_filename(r->files[i], NULL);
    g_checksum_update(sum, (const guchar *)full, (gssize)strlen(full) + 1);
    g_free(full);
  }
  JsonNode *node = json_node_new(JSON_NODE_OBJECT);
  json_node_set_object(node, settings);
  char *text = json_to_string(node, FALSE), *cache = dt_paths_get(DT_DIR_CACHE);
  json_node_unref(node);
  g_checksum_update(sum, (const guchar *)text, -1);
  char *dir = g_build_filename(cache, "batches", NULL),
       *path = g_strdup_printf("%s/%.32s.journal", dir, g_checksum_get_string(sum));
  if(!r->dry_run && g_mkdir_with_parents(dir, 0700) != 0)
  {
    g_set_error(error, DT_AI_ERROR, DT_AI_ERROR_OUTPUT,
                "%s cannot be made (%s). Choose another place for the journal with --journal.", dir,
                g_strerror(errno));
    g_clear_pointer(&path, g_free);
  }
  g_free(dir);
  g_free(cache);
  g_free(text);
  g_checksum_free(sum);
  return path;
}

dt_journal_t *dt_cli_restore_open_journal(const dt_cli_restore_t *r, const dt_ai_model_info_t *info,
                                          char **note, GError **error)
{
  JsonObject *settings = dt_cli_restore_settings(r->job.task);
  char *digest = _digest_model(info->directory);
  json_object_set_string_member(settings, "model", info->id);
  json_object_set_string_member(settings, "digest of the model", digest);
  g_free(digest);
  char *path = r->journal ? g_strdup(r->journal) : _default_path(r, settings, error);
  dt_journal_t *journal = path ? dt_journal_open(path, r->resume ? DT_JOURNAL_RESUME : DT_JOURNAL_NEW,
                                                 r->dry_run, settings, note, error)
                               : NULL;
  g_free(path);
  json_object_unref(settings);
  return journal;
}
