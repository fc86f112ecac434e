/* SPDX-License-Identifier: GPL-3.0-or-later */
/** @file
 * Restore jobs as a user names them: one picture file in, one restored picture file out.
 */
#ifndef DT_LIBS_DENOISE_AI_H
#define DT_LIBS_DENOISE_AI_H

#include "ai/restore.h"
#include "imageio/imageio.h"

/** How large the result is to be; at most one member is set, none: as large as the model makes it. */
typedef struct dt_restore_target_t
{
  double scale;      ///< so many times the picture, above 1 to 16
  int long_edge;     ///< pixels of the longer side
  int width, height; ///< the largest picture of the same shape that fits into this
} dt_restore_target_t;

/** What to do with each picture. Zero-initialise for the defaults. */
typedef struct dt_restore_job_t
{
  const char *task;           ///< "denoise" or "upscale"; NULL: denoise
  dt_restore_target_t target; ///< for upscale
  const char *output;         ///< a file, a directory, or NULL: beside the input
  const char *assume_profile; ///< the input's colour profile instead of the embedded one
  const char *profile;        ///< the output's colour profile; NULL: the input's
  const char *mask;           ///< a picture as map of the strength, or NULL
  int bits;                   ///< 8, 16 or 32; 0: 16 for TIFF (32 when the input is float), for PNG 16
                              ///< when the input has more than 8, 8 for JPEG
  dt_imageio_compression_t compression;
  int quality;
  gboolean overwrite;
  char *const *originals; ///< further files that no output may replace: the other inputs of a batch
  int n_originals;
  dt_restore_opts_t restore;
} dt_restore_job_t;

/** The size of the result of a picture of @p width × @p height.
 * @param factor  receives the model's factor that it takes: 1, 2 or 4; what is left is resampled
 * @return FALSE with DT_AI_ERROR_INPUT when the picture is that large already, or the result would be absurd */
gboolean dt_restore_job_size(const dt_restore_job_t *job, int width, int height, int *to_width,
                             int *to_height, int *factor, GError **error);

/** The factor for @p input; the file is looked at only when the target depends on its size.
 * @param input  NULL: FALSE without an error when that would be needed */
gboolean dt_restore_job_factor(const dt_restore_job_t *job, const char *input, int *factor, GError **error);

/** Where the result of @p input goes: `<stem>_denoise.tif` in job->output when that is a directory or
 * beside the input when it is NULL; job->output itself otherwise (transfer full). */
char *dt_restore_job_output(const dt_restore_job_t *job, const char *input);

/** What will be done with @p input, without writing anything. Fails where @p output would replace an original.
 * @param reader  receives the opened input (transfer full), may be NULL */
gboolean dt_restore_job_plan(dt_restore_context_t *ctx, const dt_restore_job_t *job, const char *input,
                             const char *output, dt_restore_plan_t *plan, dt_imageio_reader_t **reader,
                             GError **error);

/** Restores @p input into @p output (see dt_restore_job_output()); @p ctx has the factor of dt_restore_job_size().
 * @param note  NULL, or receives (transfer full) what of the metadata the format could not hold, or NULL
 * @return FALSE with @p error set; the input is untouched and no partial file is left */
gboolean dt_restore_job_run(dt_restore_context_t *ctx, const dt_restore_job_t *job, const char *input,
                            const char *output, dt_restore_report_t *report, char **note, GError **error);

#endif
