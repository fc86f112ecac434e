/* SPDX-License-Identifier: GPL-3.0-or-later */
/** @file
 * Export jobs: a raw or a picture through the export pipe into a picture file.
 */
#ifndef DT_LIBS_EXPORT_H
#define DT_LIBS_EXPORT_H

#include "develop/history.h"
#include "develop/pixelpipe.h"
#include "imageio/imageio.h"

/** What to do with each photograph. Zero-initialise for the defaults. */
typedef struct dt_export_job_t
{
  const char *output;         ///< a file, a directory, a pattern, `-`: a stream, or NULL: beside the input
  dt_imageio_format_t format; ///< UNKNOWN: from the output's name, JPEG where it has none
  int bits;                   ///< 8, 16 or 32; 0: 16 for TIFF and PNG of a raw, else as the format has it
  int quality;                ///< JPEG 1..100; 0: 95
  dt_imageio_compression_t compression;
  const char *profile;        ///< the output's; NULL: a picture's own, sRGB of a raw
  const char *assume_profile; ///< a picture's instead of the embedded one
  dt_imageio_intent_t intent;
  gboolean no_dither, overwrite;
  int stream;                  ///< where the output `-` goes; 0: the standard output
  int width, height;           ///< the result fits into this; 0: as large as it is
  guint64 memory;              ///< bytes for pixels; 0: a quarter of what is available
  dt_opencl_t *cl;             ///< or NULL: the CPU
  gboolean no_sidecar;         ///< the photograph's history is left alone
  const char *style;           ///< file that is applied on top, or NULL
  char *const *settings;       ///< "exposure.exposure=1", applied last, NULL-terminated, or NULL
  const dt_history_t *history; ///< instead of what the three above say, or NULL
  gboolean thumbnail;          ///< through a thumbnail pipe; without metadata, what shines through on white
  GCancellable *cancellable;   ///< or NULL
  void (*progress)(double fraction, double megapixels, void *user_data); ///< or NULL
  void *user_data;
} dt_export_job_t;

/** What an export did. */
typedef struct dt_export_report_t
{
  int width, height;
  double seconds;
  int device; ///< that computed the most of it; -1: the CPU
  int tiles;
  GPtrArray *remarks; ///< of char *: what of the history was not used, what the format could not hold
} dt_export_report_t;
void dt_export_report_clear(dt_export_report_t *report);

/** What an export would do. */
typedef struct dt_export_plan_t
{
  int width, height;
  dt_imageio_format_t format;
  int bits;      ///< per sample
  guint64 bytes; ///< of the samples, without compression
  GPtrArray *
      modules; ///< of dt_history_item_t *: what changes something, in the order of the pipe, with the parameters that
               ///< differ from the standard
  GPtrArray *remarks; ///< as in the report
} dt_export_plan_t;
void dt_export_plan_clear(dt_export_plan_t *plan);

/** Where the result of @p input goes (transfer full): `<stem>.jpg`, or as the format has it, in job->output when that is a
 * directory or beside the input when it is NULL; job->output itself otherwise. */
char *dt_export_output(const dt_export_job_t *job, const char *input);

/** Exports one photograph into @p output.
 * @param report  cleared with dt_export_report_clear(), on failure as well
 * @return FALSE with @p error: DT_AI_ERROR_INPUT, _OUTPUT, _USAGE (settings that do not go with it), _MEMORY, _CANCELLED;
 *         the input is untouched and no partial file is left
 * Thread-safety: jobs are independent of each other. */
gboolean dt_export_run(const dt_export_job_t *job, const char *input, const char *output,
                       dt_export_report_t *report, GError **error);

/** Says what dt_export_run() would do; nothing is written, and nothing computed but what the photograph's size and noise
 * take.
 * @param plan  cleared with dt_export_plan_clear(), on failure as well
 * @return FALSE with @p error as dt_export_run(), as far as can be foreseen before a pixel is there */
gboolean dt_export_foresee(const dt_export_job_t *job, const char *input, const char *output,
                           dt_export_plan_t *plan, GError **error);

#endif
