/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Any bytes as a config.json: read, and asked for attributes of every type. */
#include "common/manifest.h"

#include <glib/gstdio.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  static char *dir, *path;
  if(!dir)
  {
    dir = g_dir_make_tmp("darktable-ai-fuzz-XXXXXX", NULL);
    path = g_build_filename(dir, "config.json", NULL);
  }
  g_file_set_contents(path, (const char *)data, (gssize)size, NULL);
  dt_manifest_t *m = dt_manifest_read(dir, NULL);
  if(m)
  {
    int sizes[8];
    dt_manifest_attribute_ints(m, "model_x2.input_sizes", sizes, 8);
    dt_manifest_attribute_bool(m, "shadow_boost", FALSE);
    dt_manifest_attribute_double(m, "target_mean", 0);
    g_free(dt_manifest_attribute_string(m, "input_kind"));
  }
  dt_manifest_free(m);
  g_unlink(path);
  return 0;
}
