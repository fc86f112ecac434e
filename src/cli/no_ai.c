/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What a build without AI support has in place of runtime and of the AI part of doctor. */
#include "ai/backend.h"
#include "cli/cli.h"
#include "cli/doctor.h"

int dt_cli_doctor_print_ai(void)
{
  dt_cli_doctor_print("AI", "%s", dt_ai_last_error()->message);
  return DT_EXIT_OK;
}

static int _runtime(int argc, char **argv)
{
  int code = DT_EXIT_OK;
  if(!dt_cli_parse(&argc, &argv, "[VERB] [OPERAND]", "Shows, finds, chooses and installs ONNX Runtime.", NULL,
                   NULL, &code))
    return code;
  (void)dt_ai_env_init(NULL); /* which says why not */
  return dt_cli_fail(g_error_copy(dt_ai_last_error()));
}

const dt_cli_command_t dt_cli_cmd_runtime = { "runtime", "not in this build, it has no AI support",
                                              _runtime };
