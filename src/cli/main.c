/* SPDX-License-Identifier: GPL-3.0-or-later */
/* darktable-ai: reads the global options, finds the command, hands over. */
#include "cli/cli.h"

#include <locale.h>
#include <stdio.h>
#include <string.h>

static const dt_cli_command_t *const _commands[] = {
  &dt_cli_cmd_denoise,   &dt_cli_cmd_rawdenoise, &dt_cli_cmd_upscale,   &dt_cli_cmd_mask,
  &dt_cli_cmd_export,    &dt_cli_cmd_history,    &dt_cli_cmd_thumbnail, &dt_cli_cmd_models,
  &dt_cli_cmd_providers, &dt_cli_cmd_runtime,    &dt_cli_cmd_opencl,    &dt_cli_cmd_cache,
  &dt_cli_cmd_prefs,     &dt_cli_cmd_enable,     &dt_cli_cmd_disable,   &dt_cli_cmd_doctor,
  &dt_cli_cmd_bench,
};

static char *_overview(void)
{
  GString *text = g_string_new("Commands:\n");
  for(size_t i = 0; i < G_N_ELEMENTS(_commands); i++)
    g_string_append_printf(text, "  %-10s %s\n", _commands[i]->name, _commands[i]->summary);
  g_string_append(text, "\nExamples:\n"
                        "  darktable-ai enable\n"
                        "  darktable-ai denoise photo.jpg\n"
                        "  darktable-ai denoise --help\n\n"
                        "Everything runs on this machine; nothing is sent anywhere.");
  return g_string_free(text, FALSE);
}

static const dt_cli_command_t *_find(const char *name)
{
  for(size_t i = 0; i < G_N_ELEMENTS(_commands); i++)
    if(strcmp(name, _commands[i]->name) == 0) return _commands[i];
  return NULL;
}

/* Results that nobody received are no success. */
static int _check_stdout(int code)
{
  if((fflush(stdout) == 0 && !ferror(stdout)) || code != DT_EXIT_OK) return code;
  dt_cli_say("the results could not be written to stdout; check where it leads");
  return DT_EXIT_OUTPUT;
}

int main(int argc, char **argv)
{
  setlocale(LC_CTYPE, "");
  int code = DT_EXIT_OK;
  char *overview = _overview();
  const gboolean go_on = dt_cli_parse_global(&argc, &argv, overview, &code);
  g_free(overview);
  if(!go_on) return code;
  const dt_cli_command_t *command = argc > 1 ? _find(argv[1]) : NULL;
  if(command)
  {
    dt_cli_keep_stdout();
    return _check_stdout(command->run(argc - 1, argv + 1));
  }
  /* the list is an answer; without it there is nothing to do */
  if(argc <= 1 && dt_cli_report_opencl()) return DT_EXIT_OK;
  if(argc > 1)
    dt_cli_say("there is no command \"%s\". See: darktable-ai --help", argv[1]);
  else
    dt_cli_say("say what to do. See: darktable-ai --help");
  return DT_EXIT_USAGE;
}
