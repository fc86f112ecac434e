/* SPDX-License-Identifier: GPL-3.0-or-later */
/** @file
 * The options of mask, parsed and checked.
 */
#ifndef DT_CLI_MASK_OPTIONS_H
#define DT_CLI_MASK_OPTIONS_H

#include "cli/cli.h"
#include "libs/mask_ai.h"

/** An area: square pixels, or percent of the picture. */
typedef struct dt_cli_area_t
{
  double value; ///< negative: all
  gboolean percent;
} dt_cli_area_t;

/** What was asked for, ready to be used. */
typedef struct dt_cli_mask_t
{
  dt_mask_job_t job;
  dt_seg_load_opts_t load;
  dt_cli_progress_t progress;
  const char *model;       ///< NULL: the active one
  gboolean provider_given; ///< on the command line
  GPtrArray *subjects;     ///< of dt_mask_subject_t
  gboolean plain;          ///< the specification's mask, no edges
  gboolean guided;
  dt_cli_area_t holes, specks;
  double grow, feather;
  const char *overlay; ///< of all subjects, or NULL
  int overlay_size;
  guint64 memory; ///< 0: whatever there is
  gboolean list_candidates, no_cache, dry_run, json;
} dt_cli_mask_t;

/** Parses the command line.
 * @return TRUE to go on (then dt_cli_mask_clear()); FALSE to return *exit_code */
gboolean dt_cli_mask_parse(int argc, char **argv, dt_cli_mask_t *mask, int *exit_code);
void dt_cli_mask_clear(dt_cli_mask_t *mask);

/** The edges that were asked for, of a picture of @p width × @p height. */
dt_seg_edges_t dt_cli_mask_edges(const dt_cli_mask_t *mask, int width, int height);

#endif
