/* SPDX-License-Identifier: GPL-3.0-or-later */
/** @file
 * Restore jobs as a user names them: one picture file in, one restored picture file out.
 */
#ifndef DT_LIBS_DENOISE_AI_H
#define DT_LIBS_DENOISE_AI_H

#include "ai/restore.h"
#include "common/opencl.h"
#include "imageio/dng.h"
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
  const char *task;           ///< "denoise", "upscale" or "rawdenoise"; NULL: denoise
  dt_restore_target_t target; ///< for upscale
  const char *output;         ///< a file, a directory, `-`: a stream, or NULL: beside the input
  const char *assume_profile; ///< the input's colour profile instead of the embedded one
  const char *profile;        ///< the output's colour profile; NULL: the input's
  const char *mask;           ///< a picture as map of the strength, or NULL
  dt_imageio_format_t
      format;         ///< UNKNOWN: from the output's name; of a stream PNG, TIFF for floating point; of
                      ///< raws TIFF, OpenEXR, or UNKNOWN: DNG, unless the name says one of these
  dt_dng_kind_t kind; ///< of a DNG
  gboolean half;      ///< of a DNG: floating point of 16 bits
  int bits;           ///< 8, 16 or 32; 0: 16 for TIFF (32 when the input is float), for PNG 16
                      ///< when the input has more than 8, 8 for JPEG, 32 for PFM, and for
                      ///< OpenEXR 32 when the input has as many, else 16
  dt_imageio_intent_t intent;           ///< of the output's profile
  gboolean no_dither;                   ///< round to 8 bits without dither
  int stream;                           ///< where the output `-` goes; 0: the standard output
  dt_imageio_compression_t compression; ///< of a DNG: uncompressed, or anything else: lossless JPEG
  int quality;
  gboolean overwrite;
  gboolean force;         ///< also what has been through the task already
  const char *version;    ///< of this program, for the stamp in the output; NULL: not told
  char *const *originals; ///< further files that no output may replace: the other inputs of a batch
  int n_originals;
  /** Develops raws for denoise and upscale; its graphics processors are shared with the network (libs/gpu_share.h). NULL:
   * the CPU does that, and nothing is shared */
  dt_opencl_t *opencl;
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

/** A picture file that is open for a job: a developed one, or of rawdenoise a raw. */
typedef struct dt_restore_picture_t
{
  char *path;
  dt_imageio_reader_t *reader; ///< NULL of a raw that stays one
  dt_raw_t *raw;               ///< or NULL
} dt_restore_picture_t;

/** Opens @p input for the job. What has been through the task already, by the stamp in its XMP
 * (imageio/provenance.h), is refused with DT_AI_ERROR_USAGE unless job->force is set; what is no raw where one is wanted with
 * DT_AI_ERROR_INPUT. A raw where a picture is wanted is developed on the way (develop/developed.h).
 * @return transfer full: dt_restore_picture_close() */
dt_restore_picture_t *dt_restore_job_open(const dt_restore_job_t *job, const char *input, GError **error);
/** NULL is fine. */
void dt_restore_picture_close(dt_restore_picture_t *picture);

/** What dt_restore_load() has to be told to load the network for @p picture. */
gboolean dt_restore_job_choose_network(const dt_restore_job_t *job, const dt_restore_picture_t *picture,
                                       dt_restore_load_opts_t *load, GError **error);

/** Whether the file bears the stamp of the job's task. FALSE as well when it cannot be read. */
gboolean dt_restore_job_is_result(const dt_restore_job_t *job, const char *path);

/** Whether the picture @p output, which is there, is what restoring @p input would make, by its stamp: task, model and
 * its digest, strength, noise level, scale. Without a stamp the name has to do: TRUE. */
gboolean dt_restore_job_is_same(const dt_restore_context_t *ctx, const dt_restore_job_t *job,
                                const char *input, const char *output);

/** What a job makes of a picture. */
typedef struct dt_restore_result_t
{
  int width, height;
  guint64 bytes; ///< of its samples; compressed they are fewer, the metadata come on top
} dt_restore_result_t;

/** What will be done, without writing anything. Fails where @p output would replace an original, or cannot hold the
 * result.
 * @param ctx  with the network of dt_restore_job_choose_network() */
gboolean dt_restore_job_plan(dt_restore_context_t *ctx, const dt_restore_job_t *job,
                             const dt_restore_picture_t *picture, const char *output, dt_restore_plan_t *plan,
                             dt_restore_result_t *result, GError **error);

/** Restores the picture, which can only be closed afterwards, into @p output (see dt_restore_job_output()).
 * @param note  NULL, or receives (transfer full) what of the metadata the format could not hold, or NULL
 * @return FALSE with @p error set; the input is untouched and no partial file is left */
gboolean dt_restore_job_run(dt_restore_context_t *ctx, const dt_restore_job_t *job,
                            dt_restore_picture_t *picture, const char *output, dt_restore_report_t *report,
                            char **note, GError **error);

#endif
