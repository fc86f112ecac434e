/* SPDX-License-Identifier: GPL-3.0-or-later */
/** @file
 * What the two files of the command `models` share: cmd_models.c reads the options and shows what there is,
 * cmd_models_change.c changes it.
 */
#ifndef DT_CLI_CMD_MODELS_H
#define DT_CLI_CMD_MODELS_H

#include "cli/cli.h"
#include "common/ai_models.h"

typedef struct dt_cli_models_opts_t
{
  gboolean json, remote, defaults, all, dry_run, overwrite;
  char *output;
  dt_cli_progress_mode_t progress;
} dt_cli_models_opts_t;

/** One verb: @p operands without the verb itself, @p n of them. Returns the exit code. */
typedef int (*dt_cli_models_verb_t)(dt_ai_models_t *models, const dt_cli_models_opts_t *opts, int n,
                                    char **operands);

int dt_cli_models_install(dt_ai_models_t *models, const dt_cli_models_opts_t *opts, int n, char **operands);
int dt_cli_models_download(dt_ai_models_t *models, const dt_cli_models_opts_t *opts, int n, char **operands);
int dt_cli_models_update(dt_ai_models_t *models, const dt_cli_models_opts_t *opts, int n, char **operands);
int dt_cli_models_remove(dt_ai_models_t *models, const dt_cli_models_opts_t *opts, int n, char **operands);
int dt_cli_models_activate(dt_ai_models_t *models, const dt_cli_models_opts_t *opts, int n, char **operands);
int dt_cli_models_deactivate(dt_ai_models_t *models, const dt_cli_models_opts_t *opts, int n,
                             char **operands);
int dt_cli_models_verify(dt_ai_models_t *models, const dt_cli_models_opts_t *opts, int n, char **operands);
int dt_cli_models_rescan(dt_ai_models_t *models, const dt_cli_models_opts_t *opts, int n, char **operands);
/** @p models is NULL: packing needs none. */
int dt_cli_models_pack(dt_ai_models_t *models, const dt_cli_models_opts_t *opts, int n, char **operands);

/** Asks the repository what it offers, and passes on what a person should know about its answer. */
gboolean dt_cli_models_ask(dt_ai_models_t *models, GError **error);
/** The model called @p id in a snapshot, or NULL. */
const dt_ai_model_t *dt_cli_models_find(const GPtrArray *list, const char *id);

#endif
