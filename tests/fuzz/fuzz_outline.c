/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Any text as an outline: read, written in both ways, read again, and filled where the mask is small. */
#include "develop/masks/outline.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MAX_FILLED 65536

static void _use(const dt_outline_t *o)
{
  char *svg = dt_outline_to_svg(o), *json = dt_outline_to_json(o);
  dt_outline_t *again = dt_outline_from_json(json, NULL);
  if(!again || again->paths->len != o->paths->len || !strstr(svg, "</svg>")) abort();
  const size_t n = (size_t)o->width * (size_t)o->height;
  if(n <= MAX_FILLED)
  {
    float *fill = g_new(float, n);
    dt_outline_fill(o, fill);
    for(size_t i = 0; i < n; i++)
      if(!(fill[i] >= 0 && fill[i] <= 1)) abort();
    g_free(fill);
  }
  dt_outline_free(again);
  g_free(json);
  g_free(svg);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  char *text = g_strndup((const char *)data, size);
  GError *error = NULL;
  dt_outline_t *o = dt_outline_from_json(text, &error);
  if((o == NULL) != (error != NULL)) abort();
  if(error && !g_utf8_validate(error->message, -1, NULL)) abort();
  if(o) _use(o);
  dt_outline_free(o);
  g_clear_error(&error);
  g_free(text);
  return 0;
}
