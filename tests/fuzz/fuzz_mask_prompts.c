/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Any bytes as a file of prompts: refused with words, or objects that keep their promises. The first bytes are tried as a
 * point and as a box of the command line as well. */
#include "libs/mask_prompts.h"

#include <glib/gstdio.h>
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char *_path;

static void _remove(void)
{
  g_unlink(_path);
}

static void _use(const dt_mask_subject_t *s)
{
  const dt_photo_t photo = { .width = 300, .height = 200 };
  GError *error = NULL;
  if(!s->name || !*s->name || strchr(s->name, '/') || !dt_mask_subject_has_prompts(s)) abort();
  if(s->candidate < 0 || s->candidate > DT_SEG_MAX_CANDIDATES) abort();
  for(guint i = 0; i < s->prompts->len; i++)
    for(int k = 0; k < 4; k++)
      if(!isfinite(g_array_index(s->prompts, dt_mask_prompt_t, i).at[k].value)) abort();
  for(guint i = 0; i < s->outputs->len; i++)
    if(!*((const dt_mask_output_t *)s->outputs->pdata[i])->path) abort();
  if(!s->rough && dt_mask_subject_check(s, &photo, &error) == (error != NULL)) abort();
  g_clear_error(&error);
}

static void _try_text(const uint8_t *data, size_t size)
{
  char text[64] = { 0 };
  dt_mask_prompt_t prompt;
  GError *error = NULL;
  memcpy(text, data, MIN(size, sizeof text - 1));
  if(dt_mask_parse_point(text, &prompt, &error) == (error != NULL)) abort();
  g_clear_error(&error);
  if(dt_mask_parse_box(text, &prompt, &error) == (error != NULL)) abort();
  g_clear_error(&error);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  if(!_path)
  {
    const int fd = g_file_open_tmp("darktable-ai-fuzz-XXXXXX", &_path, NULL);
    g_close(fd, NULL);
    atexit(_remove);
  }
  g_file_set_contents_full(_path, (const char *)data, (gssize)size, G_FILE_SET_CONTENTS_NONE, 0600, NULL);
  GError *error = NULL;
  GPtrArray *subjects = dt_mask_prompts_load(_path, &error);
  if((subjects == NULL) != (error != NULL)) abort();
  if(error && !g_utf8_validate(error->message, -1, NULL)) abort();
  for(guint i = 0; subjects && i < subjects->len; i++) _use(subjects->pdata[i]);
  if(subjects) g_ptr_array_unref(subjects);
  g_clear_error(&error);
  _try_text(data, size);
  return 0;
}
