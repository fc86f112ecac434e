/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Any bytes as a config.json: read, asked for attributes of every type, and for what there is to say. Whatever
 * comes out is valid text. */
#include "common/ai_manifest.h"

#include <glib/gstdio.h>
#include <stdint.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void _use(const dt_manifest_t *m)
{
  int sizes[8];
  GPtrArray *remarks = dt_manifest_remarks(m);
  for(guint i = 0; i < remarks->len; i++)
    if(!g_utf8_validate(remarks->pdata[i], -1, NULL)) abort();
  g_ptr_array_unref(remarks);
  dt_manifest_attribute_ints(m, "model_x2.input_sizes", sizes, 8);
  dt_manifest_attribute_bool(m, "shadow_boost", FALSE);
  dt_manifest_attribute_double(m, "target_mean", 0);
  g_free(dt_manifest_attribute_string(m, "input_kind"));
  if(!dt_manifest_id_is_safe(m->id) || m->num_inputs < 1) abort();
}

static char *_dir;

static void _remove_dir(void)
{
  g_rmdir(_dir);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  static char *path;
  if(!_dir)
  {
    _dir = g_dir_make_tmp("darktable-ai-fuzz-XXXXXX", NULL);
    path = g_build_filename(_dir, "config.json", NULL);
    atexit(_remove_dir);
  }
  g_file_set_contents_full(path, (const char *)data, (gssize)size, G_FILE_SET_CONTENTS_NONE, 0600, NULL);
  GError *error = NULL;
  dt_manifest_t *m = dt_manifest_read(_dir, &error);
  if((m == NULL) != (error != NULL)) abort();
  if(error && !g_utf8_validate(error->message, -1, NULL)) abort();
  if(m) _use(m);
  g_clear_error(&error);
  dt_manifest_unref(m);
  g_unlink(path);
  return 0;
}
