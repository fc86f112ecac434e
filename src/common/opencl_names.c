/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Names of devices, compared as priority strings compare them. */
#include "common/opencl_names.h"

#include <string.h>

#define LEAST_PART 3 /* letters that tell something about a name */
#define MAX_GUESSED 128

enum
{
  _NAME,
  _FULL,
  _FULL_OF_MESA,
  _IDENTITY,
  _KEYS
};

struct dt_opencl_name_table_t
{
  int n;
  char *(*keys)[_KEYS]; /* canonical, NULL: the device has none of the kind */
};

char *dt_opencl_canonical_name(const char *name)
{
  GString *canonical = g_string_new(NULL);
  for(; name && *name; name++)
    if(g_ascii_isalnum(*name)) g_string_append_c(canonical, g_ascii_tolower(*name));
  return g_string_free(canonical, FALSE);
}

/* --- the table --- */

static char *_join(const char *platform, const char *name, gsize length)
{
  char *text = g_strdup_printf("%s%.*s", platform, (int)length, name);
  char *canonical = dt_opencl_canonical_name(text);
  g_free(text);
  return canonical;
}

/* Mesa writes driver and kernel in brackets behind the name, where they change with every update. */
static gboolean _is_mesa(const char *platform)
{
  return g_ascii_strcasecmp(platform, "rusticl") == 0 || g_ascii_strcasecmp(platform, "Clover") == 0;
}

/* Of an identity such as "显卡#1" only digits count, and those are the number of a device, perhaps another's. */
static char *_identity_key(const char *identity)
{
  char *key = dt_opencl_canonical_name(identity);
  if(key[strspn(key, "0123456789")] == '\0') g_clear_pointer(&key, g_free);
  return key;
}

static void _fill(char *keys[_KEYS], const dt_opencl_names_t *device)
{
  const char *name = device->name ? device->name : "";
  keys[_NAME] = dt_opencl_canonical_name(name);
  if(device->platform) keys[_FULL] = _join(device->platform, name, strlen(name));
  if(device->platform && _is_mesa(device->platform))
    keys[_FULL_OF_MESA] = _join(device->platform, name, strcspn(name, "("));
  if(device->identity) keys[_IDENTITY] = _identity_key(device->identity);
}

dt_opencl_name_table_t *dt_opencl_name_table_new(const dt_opencl_names_t *devices, int n)
{
  dt_opencl_name_table_t *table = g_new0(dt_opencl_name_table_t, 1);
  table->n = n;
  table->keys = g_malloc0_n((gsize)n, sizeof *table->keys);
  for(int i = 0; i < n; i++) _fill(table->keys[i], &devices[i]);
  return table;
}

void dt_opencl_name_table_free(dt_opencl_name_table_t *table)
{
  if(!table) return;
  for(int i = 0; i < table->n; i++)
    for(int key = 0; key < _KEYS; key++) g_free(table->keys[i][key]);
  g_free(table->keys);
  g_free(table);
}

/* --- found --- */

static int _find_key(const dt_opencl_name_table_t *table, int key, const char *word, int from)
{
  for(int i = from; i < table->n; i++)
    if(g_strcmp0(table->keys[i][key], word) == 0) return i;
  return -1;
}

int dt_opencl_name_find(const dt_opencl_name_table_t *table, const char *word, int *twin)
{
  *twin = -1;
  for(int key = 0; key < _KEYS; key++)
  {
    const int found = _find_key(table, key, word, 0);
    if(found < 0) continue;
    *twin = _find_key(table, key, word, found + 1);
    return found;
  }
  return -1;
}

/* --- nearly found --- */

/* Letters to change, to insert or to leave out (Levenshtein). Neither is longer than MAX_GUESSED. */
static int _distance(const char *a, const char *b)
{
  int row[MAX_GUESSED + 1];
  const int n = (int)strlen(b);
  for(int j = 0; j <= n; j++) row[j] = j;
  for(int i = 1; a[i - 1]; i++)
  {
    int diagonal = row[0];
    row[0] = i;
    for(int j = 1; j <= n; j++)
    {
      const int changed = diagonal + (a[i - 1] != b[j - 1]);
      diagonal = row[j];
      row[j] = MIN(changed, 1 + MIN(row[j], row[j - 1]));
    }
  }
  return row[n];
}

/* Identities are left out, here and below: digits of an address say nothing when one of them is different. */
static gboolean _overlaps(char *const keys[_KEYS], const char *word)
{
  if(strlen(keys[_NAME]) >= LEAST_PART && strstr(word, keys[_NAME])) return TRUE;
  for(int key = 0; key < _IDENTITY; key++)
    if(keys[key] && strstr(keys[key], word)) return TRUE;
  return FALSE;
}

/* Twins count as one. */
static int _guess_part(const dt_opencl_name_table_t *table, const char *word)
{
  int found = -1;
  for(int i = 0; i < table->n; i++)
  {
    if(!_overlaps(table->keys[i], word)) continue;
    if(found >= 0 && strcmp(table->keys[i][_NAME], table->keys[found][_NAME]) != 0) return -1;
    if(found < 0) found = i;
  }
  return found;
}

static int _guess_spelling(const dt_opencl_name_table_t *table, const char *word)
{
  int found = -1, nearest = 2 + (int)strlen(word) / 5;
  for(int i = 0; i < table->n; i++)
    for(int key = 0; key < _IDENTITY; key++)
    {
      const char *name = table->keys[i][key];
      const int distance = name && strlen(name) <= MAX_GUESSED ? _distance(word, name) : G_MAXINT;
      if(distance >= nearest) continue;
      nearest = distance;
      found = i;
    }
  return found;
}

int dt_opencl_name_guess(const dt_opencl_name_table_t *table, const char *word)
{
  if(strlen(word) < LEAST_PART || strlen(word) > MAX_GUESSED) return -1;
  const int part = _guess_part(table, word);
  return part >= 0 ? part : _guess_spelling(table, word);
}
