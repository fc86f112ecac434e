/* SPDX-License-Identifier: GPL-3.0-or-later */
/** @file
 * Restore jobs as a user names them: one picture file in, one restored picture file out.
 */
#ifndef DT_LIBS_DENOISE_AI_H
#define DT_LIBS_DENOISE_AI_H

#include "ai/restore.h"
#include "imageio/imageio.h"

/** What to do with each picture. Zero-initialise for the defaults. */
typedef struct dt_denoise_job_t
{
  const char *output;         ///< a file, a directory, or NULL: beside the input
  const char *assume_profile; ///< the input's colour profile instead of the embedded one
  const char *profile;        ///< the output's colour profile; NULL: the input's
  int bits;                   ///< 8, 16 or 32; 0: 16 for TIFF (32 when the input is float), for PNG 16
                              ///< when the input has more than 8, 8 for JPEG
  dt_imageio_compression_t compression;
  int quality;
  gboolean overwrite;
  char *const *originals; ///< further files that no output may replace: the other inputs of a batch
  int n_originals;
  dt_restore_opts_t restore;
} dt_denoise_job_t;

/** Where the result of @p input goes: `<stem>_denoise.tif` in job->output when that is a directory or
 * beside the input when it is NULL; job->output itself otherwise (transfer full). */
char *dt_denoise_output_path(const dt_denoise_job_t *job, const char *input);

/** What will be done with @p input, without writing anything. Fails where @p output would replace an original.
 * @param reader  receives the opened input (transfer full), may be NULL */
gboolean dt_denoise_plan_file(dt_restore_context_t *ctx, const dt_denoise_job_t *job, const char *input,
                              const char *output, dt_restore_plan_t *plan, dt_imageio_reader_t **reader,
                              GError **error);

/** Denoises @p input into @p output (see dt_denoise_output_path()).
 * @param note  NULL, or receives (transfer full) what of the metadata the format could not hold, or NULL
 * @return FALSE with @p error set; the input is untouched and no partial file is left */
gboolean dt_denoise_file(dt_restore_context_t *ctx, const dt_denoise_job_t *job, const char *input,
                         const char *output, dt_restore_report_t *report, char **note, GError **error);

#endif
