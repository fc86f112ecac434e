/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Lists, clears and bounds the cache of compiled graphs, verdicts and measurements. */
#include "common/ai_cache.h"
#include "common/log.h"
#include "common/paths.h"
#include "common/tree.h"

#include <glib/gstdio.h>
#include <string.h>
#include <utime.h>

#define PREFIX "ai_v"

static void _free_entry(gpointer data)
{
  dt_ai_cache_entry_t *entry = data;
  g_free(entry->path);
  g_free(entry->provider);
  g_free(entry->runtime);
  g_free(entry->model);
  g_free(entry);
}

/* --- reading --- */

/* The model's id, as the trial wrote it down, or "". */
static char *_read_model(const char *folder)
{
  char *model = NULL;
  GDir *dir = g_dir_open(folder, 0, NULL);
  for(const char *name; dir && !model && (name = g_dir_read_name(dir));)
  {
    char *path = g_build_filename(folder, name, NULL);
    GKeyFile *file = g_key_file_new();
    if(g_str_has_prefix(name, "trial-") && g_key_file_load_from_file(file, path, G_KEY_FILE_NONE, NULL))
      model = g_key_file_get_string(file, "trial", "model", NULL);
    g_key_file_unref(file);
    g_free(path);
  }
  if(dir) g_dir_close(dir);
  return model ? model : g_strdup("");
}

static dt_ai_cache_entry_t *_new_entry(const char *top, const char *path, char *model)
{
  /* ai_v2_<provider>_ort<version>_<fingerprint> */
  char **words = g_strsplit(top, "_", 5);
  const guint n = g_strv_length(words);
  GStatBuf status;
  dt_ai_cache_entry_t *entry = g_new0(dt_ai_cache_entry_t, 1);
  entry->path = g_strdup(path);
  entry->provider = g_ascii_strdown(n > 2 ? words[2] : "", -1);
  entry->runtime = g_strdup(n > 3 && g_str_has_prefix(words[3], "ort") ? words[3] + 3 : "");
  entry->model = model;
  entry->used = g_stat(path, &status) == 0 ? (gint64)status.st_mtime : 0;
  g_strfreev(words);
  return entry;
}

/* The models' folders inside @p top, and one entry for the rest. */
static void _add_folder(const char *cache, const char *top, GPtrArray *entries)
{
  char *path = g_build_filename(cache, top, NULL);
  GDir *dir = g_dir_open(path, 0, NULL);
  dt_ai_cache_entry_t *rest = _new_entry(top, path, g_strdup(""));
  rest->bytes = dt_tree_measure(path, NULL, NULL);
  for(const char *name; dir && (name = g_dir_read_name(dir));)
  {
    char *child = g_build_filename(path, name, NULL), *model = _read_model(child);
    if(*model)
    {
      dt_ai_cache_entry_t *entry = _new_entry(top, child, g_steal_pointer(&model));
      entry->bytes = dt_tree_measure(child, NULL, NULL);
      rest->bytes -= MIN(rest->bytes, entry->bytes);
      g_ptr_array_add(entries, entry);
    }
    g_free(model);
    g_free(child);
  }
  if(dir) g_dir_close(dir);
  g_ptr_array_add(entries, rest);
  g_free(path);
}

static int _compare_paths(gconstpointer a, gconstpointer b)
{
  return strcmp((*(const dt_ai_cache_entry_t *const *)a)->path,
                (*(const dt_ai_cache_entry_t *const *)b)->path);
}

GPtrArray *dt_ai_cache_list(void)
{
  GPtrArray *entries = g_ptr_array_new_with_free_func(_free_entry);
  char *cache = dt_paths_get(DT_DIR_CACHE);
  GDir *dir = g_dir_open(cache, 0, NULL);
  for(const char *name; dir && (name = g_dir_read_name(dir));)
    if(g_str_has_prefix(name, PREFIX)) _add_folder(cache, name, entries);
  if(dir) g_dir_close(dir);
  g_free(cache);
  g_ptr_array_sort(entries, _compare_paths);
  return entries;
}

/* --- deleting --- */

guint64 dt_ai_cache_clear(const char *what, int *count)
{
  GPtrArray *entries = dt_ai_cache_list();
  guint64 bytes = 0;
  *count = 0;
  for(guint i = 0; i < entries->len; i++)
  {
    const dt_ai_cache_entry_t *entry = entries->pdata[i];
    /* an empty word is the name of nothing */
    if(what
       && (!*what
           || (g_ascii_strcasecmp(what, entry->provider) != 0
               && g_ascii_strcasecmp(what, entry->model) != 0)))
      continue;
    dt_tree_remove(entry->path);
    bytes += entry->bytes;
    ++*count;
  }
  g_ptr_array_unref(entries);
  return bytes;
}

static int _compare_use(gconstpointer a, gconstpointer b)
{
  const gint64 x = (*(const dt_ai_cache_entry_t *const *)a)->used,
               y = (*(const dt_ai_cache_entry_t *const *)b)->used;
  return x < y ? -1 : x > y;
}

static gboolean _is_path(const char *path, const char *canonical)
{
  char *own = g_canonicalize_filename(path, NULL);
  const gboolean same = g_strcmp0(own, canonical) == 0;
  g_free(own);
  return same;
}

void dt_ai_cache_trim(guint64 limit, const char *keep)
{
  /* the same folder, however it is written */
  char *kept = keep ? g_canonicalize_filename(keep, NULL) : NULL;
  GPtrArray *entries = dt_ai_cache_list();
  guint64 total = 0;
  for(guint i = 0; i < entries->len; i++) total += ((dt_ai_cache_entry_t *)entries->pdata[i])->bytes;
  g_ptr_array_sort(entries, _compare_use);
  for(guint i = 0; i < entries->len && total > limit; i++)
  {
    const dt_ai_cache_entry_t *entry = entries->pdata[i];
    /* what belongs to no model are kilobytes that cost seconds to find out again */
    if(!*entry->model || _is_path(entry->path, kept)) continue;
    dt_log(DT_LOG_AI, "the cache is over its limit: %s on %s goes", entry->model, entry->provider);
    dt_tree_remove(entry->path);
    total -= MIN(total, entry->bytes);
  }
  g_free(kept);
  g_ptr_array_unref(entries);
}

void dt_ai_cache_touch(const char *path)
{
  (void)g_utime(path, NULL);
}
