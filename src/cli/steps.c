/* SPDX-License-Identifier: GPL-3.0-or-later */
/* One progress bar after the other, labelled by what is being done. */
#include "cli/steps.h"

#include <string.h>

static void _end_step(dt_cli_steps_t *s)
{
  if(s->running) dt_cli_progress_end(&s->bar);
  s->running = FALSE;
}

static void _begin_step(dt_cli_steps_t *s, const char *name, const char *step)
{
  static const struct
  {
    const char *step, *words;
  } labels[] = { { "download", "downloading" },
                 { "verify", "verifying" },
                 { "unpack", "unpacking" },
                 { "check", "checking" },
                 { "test", "trying" } };
  const char *words = step;
  for(size_t i = 0; i < G_N_ELEMENTS(labels); i++)
    if(strcmp(labels[i].step, step) == 0) words = labels[i].words;
  _end_step(s);
  g_strlcpy(s->step, step, sizeof s->step);
  g_free(s->label);
  s->label = g_strdup_printf("%s %s", words, name);
  s->bar.unit = "MB";
  dt_cli_progress_begin(&s->bar, s->label);
  s->running = TRUE;
}

void dt_cli_steps_show(dt_cli_steps_t *s, const char *name, const char *step, guint64 done, guint64 total)
{
  if(strcmp(step, "wait") == 0)
  {
    dt_cli_say("waiting for another darktable-ai that is changing the %s …", s->what);
    return;
  }
  if(strcmp(s->step, step) != 0) _begin_step(s, name, step);
  if(total) dt_cli_progress_update((double)done / (double)total, 1e-6 * (double)total, &s->bar);
}

void dt_cli_steps_say(const char *sentence, gpointer data)
{
  _end_step(data);
  dt_cli_say("%s", sentence);
}

void dt_cli_steps_end(dt_cli_steps_t *s)
{
  _end_step(s);
  g_free(s->label);
}
