/* SPDX-License-Identifier: GPL-3.0-or-later */
/** @file
 * What mask prints on stdout, and in words on stderr.
 */
#ifndef DT_CLI_MASK_REPORT_H
#define DT_CLI_MASK_REPORT_H

#include "cli/mask_options.h"

/** A mask that has been made. */
typedef struct dt_cli_mask_result_t
{
  const dt_mask_subject_t *subject;
  const dt_seg_answer_t *answer;
  int candidate; ///< from 0 on
  dt_mask_facts_t facts;
  double deciding, finishing; ///< seconds of the model and of the edges
} dt_cli_mask_result_t;

/** What would be done. */
void dt_cli_mask_print_plan(const dt_cli_mask_t *mask, const dt_photo_t *photo, const dt_seg_context_t *seg);
/** That the picture is encoded. As JSON only. */
void dt_cli_mask_print_encoded(const dt_cli_mask_t *mask, const dt_object_t *object,
                               const dt_seg_context_t *seg);
/** All candidates of an answer. */
void dt_cli_mask_print_candidates(const dt_cli_mask_t *mask, const dt_cli_mask_result_t *result);
/** What the mask is like. */
void dt_cli_mask_print_mask(const dt_cli_mask_t *mask, const dt_object_t *object, const dt_seg_context_t *seg,
                            const dt_cli_mask_result_t *result);
/** A file that was written.
 * @param subject  NULL: it is of all
 * @param iou      of outlines, else negative */
void dt_cli_mask_print_output(const dt_cli_mask_t *mask, const dt_mask_subject_t *subject,
                              const dt_mask_output_t *output, double iou, const char *note);
/** Tells a failure and frees @p error. @return its exit code */
int dt_cli_mask_fail(const dt_cli_mask_t *mask, GError *error);

#endif
