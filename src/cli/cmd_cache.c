/* SPDX-License-Identifier: GPL-3.0-or-later */
/* cache: what is kept to spare work, and clearing it. Works while AI is off. */
#include "ai/seg_cache.h"
#include "cli/cli.h"
#include "common/ai_cache.h"
#include "common/conf.h"
#include "common/opencl_program.h"
#include "common/paths.h"
#include "common/tree.h"
#include "libs/thumbnails.h"

#include <stdio.h>
#include <string.h>

static gboolean _json;

static const GOptionEntry _entries[] = {
  { "json", 0, 0, G_OPTION_ARG_NONE, &_json, "print one JSON object per entry", NULL },
  { NULL, 0, 0, 0, NULL, NULL, NULL },
};

static void _print_entry(const dt_ai_cache_entry_t *entry)
{
  GDateTime *used = g_date_time_new_from_unix_local(entry->used);
  char *date = used ? g_date_time_format(used, "%Y-%m-%d %H:%M") : g_strdup("");
  if(!_json)
    printf("%-10s %-8s %-28s %9.1f MiB  %s\n", entry->provider, entry->runtime,
           *entry->model ? entry->model : "(verdicts, measurements)", (double)entry->bytes / 1048576, date);
  else
  {
    const char *texts[][2] = { { "provider", entry->provider },
                               { "runtime", entry->runtime },
                               { "model", entry->model },
                               { "path", entry->path } };
    printf("{\"schema_version\":1,\"bytes\":%" G_GUINT64_FORMAT ",\"used\":%" G_GINT64_FORMAT, entry->bytes,
           entry->used);
    for(size_t i = 0; i < G_N_ELEMENTS(texts); i++)
    {
      printf(",\"%s\":", texts[i][0]);
      dt_cli_print_json_string(texts[i][1]);
    }
    puts("}");
  }
  g_free(date);
  if(used) g_date_time_unref(used);
}

/* What masks keep: counted as one, with a limit of its own. */
static void _print_masks(void)
{
  dt_seg_cache_facts_t facts;
  dt_seg_cache_measure(&facts);
  if(facts.bytes == 0) return;
  char *folder = dt_seg_cache_folder(), *limit = dt_conf_get_string(DT_CONF_AI_MASK_CACHE_LIMIT);
  if(_json)
  {
    printf("{\"schema_version\":1,\"task\":\"mask\",\"pictures\":%d,\"bytes\":%" G_GUINT64_FORMAT
           ",\"used\":%" G_GINT64_FORMAT ",\"path\":",
           facts.pictures, facts.bytes, facts.used);
    dt_cli_print_json_string(folder);
    puts("}");
  }
  else
  {
    char *words = g_strdup_printf("%d encoded picture%s", facts.pictures, facts.pictures == 1 ? "" : "s");
    printf("%-10s %-8s %-28s %9.1f MiB  of at most %s\n", "mask", "", words, (double)facts.bytes / 1048576,
           limit);
    g_free(words);
  }
  g_free(limit);
  g_free(folder);
}

/* --- plain directories: compiled OpenCL programs, thumbnails --- */

typedef struct _folder_t
{
  const char *name; /* for clear, and in JSON */
  const char *one, *many;
  char *(*path)(void);
  const char *limit; /* key of the setting, or NULL */
} _folder_t;

static const _folder_t _folders[] = {
  { "opencl", "program or verdict", "programs and verdicts", dt_opencl_program_cache, NULL },
  { "thumbnail", "thumbnail", "thumbnails", dt_thumbnails_folder, DT_CONF_THUMBNAIL_CACHE_LIMIT },
};

static void _print_folder(const _folder_t *folder)
{
  int files;
  gint64 used;
  char *path = folder->path();
  const guint64 bytes = dt_tree_measure(path, &files, &used);
  if(files > 0 && _json)
  {
    printf("{\"schema_version\":1,\"kind\":\"%s\",\"files\":%d,\"bytes\":%" G_GUINT64_FORMAT
           ",\"used\":%" G_GINT64_FORMAT ",\"path\":",
           folder->name, files, bytes, used);
    dt_cli_print_json_string(path);
    puts("}");
  }
  else if(files > 0)
  {
    char *words = g_strdup_printf("%d %s", files, files == 1 ? folder->one : folder->many);
    char *limit = folder->limit ? dt_conf_get_string(folder->limit) : NULL;
    printf("%-10s %-8s %-28s %9.1f MiB", folder->name, "", words, (double)bytes / 1048576);
    if(limit && dt_conf_parse_size(limit)) printf("  of at most %s", limit);
    putchar('\n');
    g_free(limit);
    g_free(words);
  }
  g_free(path);
}

/* @return FALSE when some of it is still there */
static gboolean _clear_folder(const _folder_t *folder, const char *what, guint64 *bytes, int *count)
{
  int files, left;
  if(what && g_ascii_strcasecmp(what, folder->name) != 0) return TRUE;
  char *path = folder->path();
  *bytes += dt_tree_measure(path, &files, NULL);
  *count += files > 0;
  dt_tree_remove(path);
  dt_tree_measure(path, &left, NULL);
  if(left > 0) dt_cli_say("%s cannot be removed. Check the permissions of its directory.", path);
  g_free(path);
  return left == 0;
}

/* --- the verbs --- */

static int _list(void)
{
  GPtrArray *entries = dt_ai_cache_list();
  guint64 total = 0;
  for(guint i = 0; i < entries->len; i++)
  {
    _print_entry(entries->pdata[i]);
    total += ((dt_ai_cache_entry_t *)entries->pdata[i])->bytes;
  }
  _print_masks();
  for(size_t i = 0; i < G_N_ELEMENTS(_folders); i++) _print_folder(&_folders[i]);
  char *limit = dt_conf_get_string(DT_CONF_AI_CACHE_LIMIT), *cache = dt_paths_get(DT_DIR_CACHE);
  dt_cli_say("%.1f MiB of at most %s in %s", (double)total / 1048576, limit, cache);
  g_free(cache);
  g_free(limit);
  g_ptr_array_unref(entries);
  return DT_EXIT_OK;
}

/* @return FALSE when some of it is still there */
static gboolean _clear_masks(const char *what, guint64 *bytes, int *count)
{
  dt_seg_cache_facts_t facts;
  GError *error = NULL;
  if(what && g_ascii_strcasecmp(what, "mask") != 0) return TRUE;
  dt_seg_cache_measure(&facts);
  if(dt_seg_cache_clear(&error))
  {
    *bytes += facts.bytes;
    *count += facts.bytes > 0;
    return TRUE;
  }
  dt_cli_say("%s", error->message);
  g_error_free(error);
  return FALSE;
}

static int _clear(const char *what)
{
  int count;
  guint64 bytes = dt_ai_cache_clear(what, &count);
  gboolean fine = _clear_masks(what, &bytes, &count);
  for(size_t i = 0; i < G_N_ELEMENTS(_folders); i++)
    fine = _clear_folder(&_folders[i], what, &bytes, &count) && fine;
  if(!fine) return DT_EXIT_OUTPUT;
  if(what && count == 0)
  {
    dt_cli_say("nothing is kept for \"%s\". See: darktable-ai cache list", what);
    return DT_EXIT_FAILED;
  }
  dt_cli_say("%.1f MiB cleared; what is needed is made again", (double)bytes / 1048576);
  return DT_EXIT_OK;
}

static int _cache(int argc, char **argv)
{
  int code = DT_EXIT_OK;
  if(!dt_cli_parse(
         &argc, &argv, "list | clear [PROVIDER|MODEL|mask|opencl|thumbnail]",
         "Shows and clears what is kept to spare work: compiled graphs, verdicts about providers,\n"
         "measurements of models, pictures encoded for masks, compiled OpenCL programs, thumbnails.",
         "Examples:\n  darktable-ai cache list\n  darktable-ai cache clear\n"
         "  darktable-ai cache clear webgpu\n  darktable-ai cache clear thumbnail",
         _entries, &code))
    return code;
  const char *verb = argc > 1 ? argv[1] : "list";
  if(strcmp(verb, "list") == 0 && argc <= 2) return _list();
  if(strcmp(verb, "clear") == 0 && argc <= 3) return _clear(argc == 3 ? argv[2] : NULL);
  dt_cli_say("cache takes: list, clear, or clear PROVIDER|MODEL|mask|opencl|thumbnail. See: darktable-ai "
             "cache --help");
  return DT_EXIT_USAGE;
}

const dt_cli_command_t dt_cli_cmd_cache = { "cache",
                                            "show and clear compiled graphs, thumbnails and verdicts",
                                            _cache };
