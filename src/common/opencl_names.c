/* SPDX-License-Identifier: GPL-3.0-or-later */
/* How names of devices are compared. */
#include "common/opencl_priority.h"

char *dt_opencl_canonical_name(const char *name)
{
  GString *text = g_string_new(NULL);
  for(; *name; name++)
    if(g_ascii_isalnum(*name)) g_string_append_c(text, g_ascii_tolower(*name));
  return g_string_free(text, FALSE);
}
