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
  const char *output;         ///< a file, a directory, `-`: a stream, or NULL: beside the input
  const char *assume_profile; ///< the input's colour profile instead of the embedded one
  const char *profile;        ///< the output's colour profile; NULL: the input's
  const char *mask;           ///< a picture as map of the strength, or NULL
  dt_imageio_format_t format; ///< UNKNOWN: from the output's name; of a stream PNG, TIFF for floating point
  int bits;                   ///< 8, 16 or 32; 0: 16 for TIFF (32 when the input is float), for PNG 16
                              ///< when the input has more than 8, 8 for JPEG, 32 for PFM, and for
                              ///< OpenEXR 32 when the input has as many, else 16
  dt_imageio_intent_t intent; ///< of the output's profile
  gboolean no_dither;         ///< round to 8 bits without dither
  int stream;                 ///< where the output `-` goes; 0: the standard output
  dt_imageio_compression_t compression;
  int quality;
  gboolean overwrite;
  gboolean force;         ///< also what has been through the task already
  const char *version;    ///< of this program, for the stamp in the output; NULL: not told
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

/** Where the result of @p input goes: `<stem>_denoise.tif` (or as the format has it) in job->output when
 * that is a directory or beside the input when it is NULL; job->output itself otherwise (transfer full). */
char *dt_restore_job_output(const dt_restore_job_t *job, const char *input);

/** The extension of outputs that are given no name: "tif", or the format's (transfer none). */
const char *dt_restore_job_extension(const dt_restore_job_t *job);

/** Whether a picture has been through the task already, by the stamp in its XMP (imageio/provenance.h). Unless
 * job->force is set, plan and run refuse it then with DT_AI_ERROR_USAGE. */
gboolean dt_restore_job_is_repeat(const dt_restore_job_t *job, const dt_imageio_reader_t *reader);

/** Whether the picture @p output, which is there, is what restoring @p input would make, by its stamp: task, model and
 * its digest, strength, noise level, scale. Without a stamp the name has to do: TRUE. */
gboolean dt_restore_job_is_same(const dt_restore_context_t *ctx, const dt_restore_job_t *job,
                                const char *input, const char *output);

/** What will be done with @p input, without writing anything. Fails where @p output would replace an original.
 * @param reader  receives the opened input (transfer full), may be NULL */
gboolean dt_restore_job_plan(dt_restore_context_t *ctx, const dt_restore_job_t *job, const char *input,
                             const char *output, dt_restore_plan_t *plan, dt_imageio_reader_t **reader,
                             GError **error);

/** What the opened picture becomes as @p output.
 * @param bytes  receives the size of its samples; compressed they are fewer, the metadata come on top
 * @return FALSE as dt_restore_job_size() and dt_imageio_can_create() */
gboolean dt_restore_job_result(const dt_restore_job_t *job, const dt_imageio_reader_t *reader,
                               const char *output, int *width, int *height, guint64 *bytes, GError **error);

/** Restores @p input into @p output (see dt_restore_job_output()); @p ctx has the factor of dt_restore_job_size().
 * @param note  NULL, or receives (transfer full) what of the metadata the format could not hold, or NULL
 * @return FALSE with @p error set; the input is untouched and no partial file is left */
gboolean dt_restore_job_run(dt_restore_context_t *ctx, const dt_restore_job_t *job, const char *input,
                            const char *output, dt_restore_report_t *report, char **note, GError **error);

#endif
