/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Any bytes as a releases-index.json and as a versions.json. What they give is a choice among safe names, digests
 * that are digests, and addresses and texts without anything that steers a terminal. */
#include "common/ai_manifest.h"
#include "common/model_repository_internal.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* `assert` without NDEBUG's help. */
static void _must(gboolean true_thing)
{
  if(!true_thing) abort();
}

static void _check_text(const char *text)
{
  _must(text && g_utf8_validate(text, -1, NULL));
  for(const char *c = text; *c; c++) _must(!g_ascii_iscntrl(*c) || *c == '\n');
}

static void _check_model(const dt_remote_model_t *m)
{
  const char *texts[] = { m->version, m->name, m->description, m->task, m->license, m->url };
  for(size_t i = 0; i < G_N_ELEMENTS(texts); i++) _check_text(texts[i]);
  _must(dt_manifest_id_is_safe(m->id));
  _must(strlen(m->sha256) == 0 || strspn(m->sha256, "0123456789abcdef") == 64);
  _must(g_str_has_prefix(m->url, "https://x/") && !strchr(m->url + strlen("https://x/"), '/'));
}

static void _check_error(GError *error)
{
  _must(error && error->domain == DT_AI_ERROR && error->code == DT_AI_ERROR_NETWORK);
  _check_text(error->message);
  g_error_free(error);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  char *tag = NULL, *note = NULL;
  GError *error = NULL;
  GBytes *bytes = g_bytes_new(data, size);
  if(dt_repository_parse_index(bytes, "index", "5.6.0", &tag, &note, &error))
  {
    _must(dt_manifest_id_is_safe(tag));
    if(note) _check_text(note);
  }
  else
    _check_error(error);
  g_free(tag);
  g_free(note);
  error = NULL;
  GPtrArray *models = dt_repository_parse_versions(bytes, "versions", "https://x", &note, &error);
  for(guint i = 0; models && i < models->len; i++) _check_model(g_ptr_array_index(models, i));
  if(models)
    g_ptr_array_unref(models);
  else
    _check_error(error);
  g_free(note);
  g_bytes_unref(bytes);
  return 0;
}
